//! What a token may do: no more than its user allowed and may do itself, and never what a key is for.

use serde_json::json;

use super::browser::{
    Browser, CALLBACK, Site, authorize, call_with, code_of, connect, exchange, login_code, onward, opens,
    refresh, register, tokens,
};
use crate::database::{key_of, operate};

#[test]
fn a_token_that_lacks_a_scope_is_sent_to_sign_in_again() {
    let site = Site::new();
    let owner = site.connect("read write admin").access;
    call_with(&site.server, &owner, "initialize_memory_bank", &json!({"path": "."}));
    let reader = site.connect("read").access;
    let write = json!({"filename": "a.md", "content": "x"});
    let refused = call_with(&site.server, &reader, "write_memory_bank_file", &write);
    assert_eq!(refused.status, 403, "{}", refused.body);
    let challenge = refused.header("www-authenticate").unwrap();
    let metadata = format!("http://{}/.well-known/oauth-protected-resource/mcp", site.server.address);
    assert!(
        challenge.starts_with(&format!(
            "Bearer error=\"insufficient_scope\", scope=\"read write\", resource_metadata=\"{metadata}\""
        )),
        "{challenge}"
    );
    assert_eq!(refused.json()["id"], json!(7));
    let writer = site.connect("read write").access;
    assert_eq!(call_with(&site.server, &writer, "write_memory_bank_file", &write).status, 200);
    let restore = json!({"backupId": "memory-bank-backup-2020-01-01T00-00-00-000Z"});
    let refused = call_with(&site.server, &writer, "restore_backup", &restore);
    assert_eq!(refused.status, 403, "{}", refused.body);
    assert!(refused.header("www-authenticate").unwrap().contains("scope=\"read write admin\""));
    assert_eq!(call_with(&site.server, &owner, "restore_backup", &restore).status, 200);
}

#[test]
fn a_right_that_the_role_does_not_grant_is_refused_in_the_reply() {
    let site = Site::new();
    let owner = site.connect("read write").access;
    call_with(&site.server, &owner, "initialize_memory_bank", &json!({"path": "."}));
    operate(&site.database, &["users", "create", "vera"]).unwrap();
    operate(&site.database, &["members", "add", "--project", "atlas", "--user", "vera", "--role", "viewer"])
        .unwrap();
    // What a viewer cannot give is not given, whatever is requested and chosen.
    let vera = connect(&site.server, &site.database, "vera", "read write admin");
    assert_eq!(vera.reply["scope"], json!("read"));
    let write = json!({"filename": "a.md", "content": "x"});
    let refused = call_with(&site.server, &vera.access, "write_memory_bank_file", &write);
    assert_eq!((refused.status, refused.header("www-authenticate")), (200, None), "{}", refused.body);
    assert_eq!(refused.message()["result"]["isError"], json!(true));
}

#[test]
fn a_demoted_owner_has_the_rights_of_its_new_role_at_once() {
    let site = Site::new();
    operate(&site.database, &["users", "create", "bob"]).unwrap();
    let set = |role: &str| {
        operate(&site.database, &["members", "add", "--project", "atlas", "--user", "bob", "--role", role])
            .unwrap();
    };
    set("owner");
    let bob = connect(&site.server, &site.database, "bob", "read write admin");
    call_with(&site.server, &bob.access, "initialize_memory_bank", &json!({"path": "."}));
    set("viewer");
    let write = json!({"filename": "a.md", "content": "x"});
    let refused = call_with(&site.server, &bob.access, "write_memory_bank_file", &write);
    let message = refused.message();
    assert!(message["result"]["isError"] == json!(true) || message["error"].is_object(), "{message}");
    assert_eq!(site.database.psql("SELECT count(*) FROM documents WHERE path = 'a.md'"), "0");
    // Nor does a refresh give back what it had.
    let next = tokens(&bob.client, &refresh(&site.server, &bob.client, &bob.refresh).json());
    call_with(&site.server, &next.access, "write_memory_bank_file", &write);
    assert_eq!(site.database.psql("SELECT count(*) FROM documents WHERE path = 'a.md'"), "0");
}

#[test]
fn a_token_manages_no_keys_and_is_listed_as_none() {
    let site = Site::new();
    let token = site.connect("read write admin").access;
    let bearer = format!("Bearer {token}");
    let named = [("Authorization", bearer.as_str())];
    for (method, path) in [("GET", "/api/keys"), ("POST", "/api/keys")] {
        let refused = site.server.send_bare(method, path, &named, "");
        assert!(refused.status == 403 && refused.body.contains("cannot manage keys"), "{}", refused.body);
    }
    let listed = site.server.send("GET", "/api/keys?includeRevoked=true", &[], "").json();
    assert_eq!(listed["total"], json!(1), "{listed}");
    let listed = operate(&site.database, &["keys", "list", "--project", "atlas", "--all"]).unwrap();
    assert_eq!(listed["total"], json!(1), "{listed}");
    let id = site.database.psql("SELECT id FROM api_keys WHERE grant_id IS NOT NULL");
    assert_eq!(site.server.send("DELETE", &format!("/api/keys/{id}"), &[], "").status, 404);
    assert!(operate(&site.database, &["keys", "revoke", &id]).is_err());
    assert!(operate(&site.database, &["keys", "rotate", &id]).is_err());
    assert_eq!(opens(&site.server, &token), 200);
}

#[test]
fn a_key_opens_its_own_project_only_gives_no_more_than_it_has_and_takes_its_grants_with_it() {
    let site = Site::new();
    operate(&site.database, &["projects", "create", "borealis", "--owner", "alice"]).unwrap();
    let arguments = ["keys", "create", "--user", "alice", "--project", "atlas", "--scopes", "read"];
    let made = operate(&site.database, &arguments).unwrap();
    let client = register(&site.server, &[CALLBACK]);
    let mut browser = Browser::new(&site.server);
    let page = browser.sign_in(&authorize(&client, "read write"), &key_of(&made));
    assert!(page.body.contains("atlas") && !page.body.contains("borealis"), "{}", page.body);
    let refused = browser.allow_in(&page, "read write", &site.project("borealis"));
    assert_eq!((refused.status, onward(&refused)), (400, None), "{}", refused.body);
    let code = code_of(&browser.allow_in(&page, "read write", &site.project("atlas")));
    let got = exchange(&site.server, &client, &code).json();
    assert_eq!(got["scope"], json!("read"));
    let got = tokens(&client, &got);
    assert_eq!(opens(&site.server, &got.access), 200);
    operate(&site.database, &["keys", "revoke", made["id"].as_str().unwrap()]).unwrap();
    assert_eq!(opens(&site.server, &got.access), 401);
    super::browser::assert_error(&refresh(&site.server, &client, &got.refresh), "invalid_grant");
    // With a login code both projects can be chosen.
    let page = Browser::new(&site.server)
        .sign_in(&authorize(&client, "read write"), &login_code(&site.database, "alice"));
    assert!(page.body.contains("atlas") && page.body.contains("borealis"), "{}", page.body);
}

#[test]
fn limits_sessions_and_the_audit_log_are_those_of_the_grant() {
    let site = Site::new();
    let first = site.connect("read write");
    let next = tokens(&first.client, &refresh(&site.server, &first.client, &first.refresh).json());
    for token in [&first.access, &next.access] {
        assert_eq!(opens(&site.server, token), 200);
    }
    let grant = site.database.psql("SELECT id FROM app.oauth_grants");
    assert_eq!(site.database.psql("SELECT string_agg(DISTINCT key_id::text, ' ') FROM sessions"), grant);
    let created =
        "SELECT key_id || ' ' || (detail ->> 'client') FROM app.audit_log WHERE action = 'grant.created'";
    assert_eq!(site.database.psql(created), format!("{grant} Test <client>"));
    // Sixty requests a minute, of all tokens together.
    let statuses: Vec<u16> = (0..70)
        .map(|at| opens(&site.server, if at % 2 == 0 { &first.access } else { &next.access }))
        .collect();
    assert!(statuses.contains(&429), "{statuses:?}");
    assert_eq!(opens(&site.server, &first.access), 429);
    let refreshed = tokens(&first.client, &refresh(&site.server, &first.client, &next.refresh).json());
    assert_eq!(opens(&site.server, &refreshed.access), 429, "a new token has the old limit");
}
