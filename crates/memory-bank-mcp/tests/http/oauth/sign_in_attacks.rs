//! What the cookie of a sign-in is worth to somebody who gets it, and how long a sign-in lasts.

use serde_json::json;

use super::browser::{
    Browser, CALLBACK, CHALLENGE, FORM, Site, authorize, authorize_with, call_with, code_of, connect, encode,
    exchange, hidden, login_code, onward, parameter, refresh, register,
};
use crate::client::{Reply, Server};
use crate::database::{key_of, operate};

/// Whether a page wants its user to sign in.
fn wants_sign_in(page: &Reply) -> bool {
    page.status == 200 && page.body.contains("API key or login code")
}

/// Decides on a page of consent without allowing.
fn decide(browser: &mut Browser<'_>, page: &Reply, decision: &str) -> Reply {
    let (request, token) = (hidden(page, "request"), hidden(page, "token"));
    let form = [("request", request.as_str()), ("token", &token), ("decision", decision)];
    browser.post("/oauth/authorize", &form)
}

#[test]
fn every_decision_ends_the_sign_in_before_the_browser_goes_to_the_application() {
    let site = Site::new();
    let client = register(&site.server, &["http://127.0.0.1/cb"]);
    let address = authorize_with(&client, &[("redirect_uri", "http://127.0.0.1:34001/cb")]);
    for decision in ["allow", "deny", "switch"] {
        let mut browser = Browser::new(&site.server);
        let page = browser.sign_in(&address, &login_code(&site.database, "alice"));
        let mut thief = Browser::new(&site.server);
        thief.cookie.clone_from(&browser.cookie);
        let answer = match decision {
            "allow" => browser.allow(&page, "read write"),
            other => decide(&mut browser, &page, other),
        };
        assert_eq!(onward(&answer).is_some(), decision != "switch", "{}", answer.body);
        let removed = answer.header("set-cookie").unwrap();
        assert!(removed.starts_with("mbmcp=;") && removed.contains("Max-Age=0"), "{decision}: {removed}");
        assert_eq!(site.database.psql("SELECT count(*) FROM app.oauth_sign_ins"), "0", "{decision}");
        assert!(wants_sign_in(&thief.get(&address)), "{decision}");
        let again = thief.allow(&page, "read write");
        assert_eq!((again.status, onward(&again)), (403, None), "{decision}: {}", again.body);
    }
    assert_eq!(site.database.psql("SELECT count(*) FROM app.oauth_grants"), "1");
}

#[test]
fn a_sign_in_is_for_the_request_it_was_made_for() {
    let site = Site::new();
    let client = register(&site.server, &[CALLBACK, "https://client.example/other"]);
    let evil = register(&site.server, &[CALLBACK]);
    let address = authorize(&client, "read");
    let mut browser = Browser::new(&site.server);
    let page = browser.sign_in(&address, &login_code(&site.database, "alice"));
    assert!(page.body.contains("<dt>Signed in as</dt><dd>alice</dd>"), "{}", page.body);
    let cookie = browser.cookie.clone();
    let challenge = CHALLENGE.replacen('E', "F", 1);
    let resource = format!("http://{}/mcp", site.server.address);
    let read = ("scope", "read");
    let others = [
        authorize(&evil, "read"),
        authorize(&client, "read write admin"),
        authorize_with(&client, &[read, ("redirect_uri", "https://client.example/other")]),
        authorize_with(&client, &[read, ("state", "another")]),
        authorize_with(&client, &[read, ("code_challenge", &challenge)]),
        authorize_with(&client, &[read, ("resource", &resource)]),
        "/oauth/grants".to_owned(),
    ];
    for other in &others {
        for name in ["mbmcp", "mbmcp-grants"] {
            let mut thief = Browser::new(&site.server);
            thief.cookie = cookie.replace("mbmcp=", &format!("{name}="));
            let shown = thief.get(other);
            assert!(wants_sign_in(&shown) && !shown.body.contains("alice"), "{other}: {}", shown.body);
            // The cookie is enough to make the token of any form.
            let token = hidden(&shown, "token");
            let project = site.project("atlas");
            let request = other.trim_start_matches("/oauth/authorize?");
            let form = [
                ("request", request),
                ("token", &token),
                ("project", &project),
                ("decision", "allow"),
                ("read", "yes"),
            ];
            assert_eq!(onward(&thief.post("/oauth/authorize", &form)), None, "{other}");
        }
    }
    assert_eq!(site.database.psql("SELECT count(*) FROM app.oauth_grants"), "0");
    // A forged form and a reload lose nothing.
    let forged = browser.request(
        "POST",
        "/oauth/authorize",
        &[FORM],
        &encode(&[("token", "x"), ("decision", "allow")]),
    );
    assert_eq!(forged.status, 403, "{}", forged.body);
    let page = browser.get(&address);
    assert_eq!(exchange(&site.server, &client, &code_of(&browser.allow(&page, "read"))).status, 200);
}

#[test]
fn the_page_of_grants_has_a_short_sign_in_of_its_own() {
    let site = Site::new();
    let client = register(&site.server, &[CALLBACK]);
    let mut browser = Browser::new(&site.server);
    let page = browser.get("/oauth/grants");
    let (token, secret) = (hidden(&page, "token"), login_code(&site.database, "alice"));
    let signed = browser.post("/oauth/grants", &[("token", &token), ("secret", &secret)]);
    let cookie = signed.header("set-cookie").unwrap();
    assert!(cookie.starts_with("mbmcp-grants=") && cookie.contains("Max-Age=300"), "{cookie}");
    let left = "SELECT expires_at <= now() + interval '5 minutes' FROM app.oauth_sign_ins";
    assert_eq!(site.database.psql(left), "t");
    assert!(browser.get("/oauth/grants").body.contains("You have allowed nothing"));
    browser.cookie = browser.cookie.replace("mbmcp-grants=", "mbmcp=");
    assert!(wants_sign_in(&browser.get(&authorize(&client, "read"))));
}

#[test]
fn cookies_that_were_planted_beside_the_own_one_lock_nobody_out_and_sign_nobody_in() {
    let site = Site::new();
    let client = register(&site.server, &[CALLBACK]);
    let address = authorize(&client, "read");
    let token = format!("mbmcp_si_{}", "A1".repeat(16));
    let junk = format!("mbmcp=junk; mbmcp={token}; mbmcp-grants=; mbmcp-grants={token}");
    for planted in [(junk.clone(), String::new()), (String::new(), junk)] {
        let mut browser = Browser::new(&site.server);
        browser.planted = planted;
        let page = browser.sign_in(&address, &login_code(&site.database, "alice"));
        assert_eq!(exchange(&site.server, &client, &code_of(&browser.allow(&page, "read"))).status, 200);
        let page = browser.get("/oauth/grants");
        let (token, secret) = (hidden(&page, "token"), login_code(&site.database, "alice"));
        browser.post("/oauth/grants", &[("token", &token), ("secret", &secret)]);
        let listed = browser.get("/oauth/grants");
        assert!(listed.body.contains("Signed in as alice"), "{}", listed.body);
        let token = hidden(&listed, "token");
        assert_eq!(browser.post("/oauth/grants", &[("token", &token), ("sign_out", "yes")]).status, 303);
    }
    // With two who have signed in it is unknown who sits there.
    let mut other = Browser::new(&site.server);
    other.sign_in(&address, &login_code(&site.database, "alice"));
    let mut browser = Browser::new(&site.server);
    browser.sign_in(&address, &login_code(&site.database, "alice"));
    browser.planted.0.clone_from(&other.cookie);
    assert!(wants_sign_in(&browser.get(&address)));
}

#[test]
fn a_form_counts_once() {
    let site = Site::new();
    let client = register(&site.server, &[CALLBACK]);
    let mut browser = Browser::new(&site.server);
    let page = browser.sign_in(&authorize(&client, "read"), &login_code(&site.database, "alice"));
    assert!(onward(&browser.allow(&page, "read")).is_some());
    let again = browser.allow(&page, "read");
    assert_eq!((again.status, onward(&again)), (403, None), "{}", again.body);
    assert!(again.body.contains("You have decided already"), "{}", again.body);
    assert_eq!(site.database.psql("SELECT count(*) FROM app.oauth_grants"), "1");
}

/// A browser that is signed in on the page of grants, with that page.
fn grants_with<'a>(site: &'a Site, secret: &str) -> (Browser<'a>, Reply) {
    let mut browser = Browser::new(&site.server);
    let token = hidden(&browser.get("/oauth/grants"), "token");
    let signed = browser.post("/oauth/grants", &[("token", &token), ("secret", secret)]);
    assert_eq!(signed.status, 303, "{}", signed.body);
    let page = browser.get("/oauth/grants");
    (browser, page)
}

#[test]
fn what_was_allowed_is_shown_while_the_key_of_the_sign_in_is_valid_and_as_far_as_it_may() {
    let site = Site::new();
    let key = |scopes: &[&str]| {
        let arguments = [&["keys", "create", "--user", "alice", "--project", "atlas"], scopes].concat();
        let made = operate(&site.database, &arguments).unwrap();
        (key_of(&made), made["id"].as_str().unwrap().to_owned())
    };
    let by_code = site.connect("read write");
    let of_client = |client: &str| {
        site.database.psql(&format!("SELECT id FROM app.oauth_grants WHERE client_id = '{client}'"))
    };
    let by_code = of_client(&by_code.client);
    let (read, read_id) = key(&["--scopes", "read"]);
    let by_read = of_client(&super::browser::connect_with(&site.server, &read, "read").client);
    let (full, full_id) = key(&[]);

    // A key that may only read shows and ends only the grants that were made with it.
    let (mut browser, page) = grants_with(&site, &read);
    assert!(page.body.contains(&by_read) && !page.body.contains(&by_code), "{}", page.body);
    let token = hidden(&page, "token");
    let state = |id: &str| {
        site.database.psql(&format!("SELECT revoked_at IS NOT NULL FROM app.oauth_grants WHERE id = '{id}'"))
    };
    browser.post("/oauth/grants", &[("token", &token), ("grant", &by_code)]);
    assert_eq!(state(&by_code), "f");
    let (mut other, other_page) = grants_with(&site, &full);
    assert!(other_page.body.contains(&by_read) && other_page.body.contains(&by_code), "{}", other_page.body);

    // Revoked keys and expired ones show and end nothing.
    operate(&site.database, &["keys", "revoke", &full_id]).unwrap();
    assert!(wants_sign_in(&other.get("/oauth/grants")));
    other.post("/oauth/grants", &[("token", &hidden(&other_page, "token")), ("grant", &by_code)]);
    assert_eq!(state(&by_code), "f");
    browser.post("/oauth/grants", &[("token", &token), ("grant", &by_read)]);
    assert_eq!(state(&by_read), "t");
    operate(&site.database, &["keys", "revoke", &read_id]).unwrap();
    assert!(wants_sign_in(&browser.get("/oauth/grants")));
    let mut editor = grants_with(&site, &key(&["--scopes", "write"]).0).0;
    let page = editor.get("/oauth/grants");
    editor.post("/oauth/grants", &[("token", &hidden(&page, "token")), ("grant", &by_code)]);
    assert_eq!(state(&by_code), "t");
}

#[test]
fn a_consent_whose_code_was_not_used_is_not_listed() {
    let site = Site::new();
    let client = register(&site.server, &[CALLBACK]);
    let mut browser = Browser::new(&site.server);
    let page = browser.sign_in(&authorize(&client, "read"), &login_code(&site.database, "alice"));
    assert!(onward(&browser.allow(&page, "read")).is_some());
    let shown = || grants_with(&site, &login_code(&site.database, "alice")).1.body;
    assert!(shown().contains("Test &lt;client&gt;"), "the client may still use its code");
    site.database.psql("UPDATE app.oauth_codes SET expires_at = now() - interval '1 second'");
    assert!(shown().contains("You have allowed nothing"));
    assert_eq!(operate(&site.database, &["grants", "list"]).unwrap()["total"], json!(0));
    assert_eq!(operate(&site.database, &["grants", "list", "--all"]).unwrap()["total"], json!(1));
}

#[test]
fn a_person_gets_a_page_where_a_program_gets_json() {
    let site = Site::new();
    let client = register(&site.server, &[CALLBACK]);
    let address = authorize(&client, "read");
    let mut browser = Browser::new(&site.server);
    let is_page = |reply: &Reply, status: u16| {
        assert_eq!(reply.status, status, "{}", reply.body);
        assert!(reply.header("content-type").unwrap().starts_with("text/html"), "{}", reply.body);
        assert!(reply.header("content-security-policy").is_some());
    };
    let long = "x".repeat(40_000);
    let huge = "x".repeat(20_000_000);
    for path in ["/oauth/sign-in", "/oauth/authorize", "/oauth/grants"] {
        is_page(&browser.post(path, &[("request", &long)]), 413);
        is_page(&browser.request("POST", path, &[FORM], "a=1&a=1"), 400);
        is_page(&browser.request("POST", path, &[FORM], &huge), 413);
        is_page(&browser.request("POST", path, &[("Content-Type", "text/plain")], "a=1"), 415);
    }
    let url = site.database.url();
    let limited = Server::start(&[("DATABASE_URL", &url), ("REDIS_URL", ""), ("MCP_HOST", "127.0.0.1")]);
    let mut browser = Browser::new(&limited);
    let refused = (0..12).map(|_| browser.try_sign_in(&address, "0000-0000-0000-0000")).last().unwrap();
    is_page(&refused, 429);
    assert!(
        refused.header("retry-after").is_some() && refused.body.contains("too often"),
        "{}",
        refused.body
    );
}

#[test]
fn only_rights_that_the_user_has_are_chosen_to_begin_with() {
    let site = Site::new();
    let client = register(&site.server, &[CALLBACK]);
    let address = authorize(&client, "read write admin");
    let made = operate(
        &site.database,
        &["keys", "create", "--user", "alice", "--project", "atlas", "--scopes", "read"],
    )
    .unwrap();
    operate(&site.database, &["users", "create", "bob"]).unwrap();
    operate(&site.database, &["members", "add", "--project", "atlas", "--user", "bob", "--role", "viewer"])
        .unwrap();
    for secret in [key_of(&made), login_code(&site.database, "bob")] {
        let page = Browser::new(&site.server).sign_in(&address, &secret);
        assert!(page.body.contains("name=\"read\" value=\"yes\" checked>"), "{}", page.body);
        for right in ["write", "admin"] {
            assert!(
                page.body.contains(&format!("name=\"{right}\" value=\"yes\" disabled>")),
                "{}",
                page.body
            );
        }
    }
}

#[test]
fn a_reply_with_tokens_has_the_scope_that_the_role_leaves_and_refusals_speak_of_the_user() {
    let site = Site::new();
    operate(&site.database, &["users", "create", "bob"]).unwrap();
    let role = |role: &str| {
        let arguments = ["members", "add", "--project", "atlas", "--user", "bob", "--role", role];
        operate(&site.database, &arguments).unwrap();
    };
    role("editor");
    let first = connect(&site.server, &site.database, "bob", "read write");
    assert_eq!(first.reply["scope"], json!("read write"));
    let client = register(&site.server, &[CALLBACK]);
    let mut browser = Browser::new(&site.server);
    let page = browser.sign_in(&authorize(&client, "read write"), &login_code(&site.database, "bob"));
    let code = code_of(&browser.allow(&page, "read write"));
    role("viewer");
    assert_eq!(exchange(&site.server, &client, &code).json()["scope"], json!("read"));
    let next = refresh(&site.server, &first.client, &first.refresh).json();
    assert_eq!(next["scope"], json!("read"));
    // A client that asks again gets the same.
    assert_eq!(refresh(&site.server, &first.client, &first.refresh).json(), next);
    let arguments = json!({"entities": [{"name": "a", "entityType": "b"}]});
    let refused =
        call_with(&site.server, next["access_token"].as_str().unwrap(), "graph_add_observation", &arguments);
    assert!(refused.body.contains("you may not call graph_add_observation"), "{}", refused.body);
    assert!(!refused.body.contains("this key"), "{}", refused.body);
    role("editor");
    let next = refresh(&site.server, &first.client, next["refresh_token"].as_str().unwrap()).json();
    assert_eq!(next["scope"], json!("read write"), "the user has allowed it, and has the role again");
}

#[test]
fn a_refusal_has_the_state_of_the_request() {
    let site = Site::new();
    let client = register(&site.server, &[CALLBACK]);
    let mut browser = Browser::new(&site.server);
    let page = browser.sign_in(&authorize(&client, "read"), &login_code(&site.database, "alice"));
    let answer = decide(&mut browser, &page, "deny");
    assert_eq!(parameter(&answer, "state").as_deref(), Some("a state&"));
    assert!(answer.body.contains("“Test &lt;client&gt;” gets no access."), "{}", answer.body);
}
