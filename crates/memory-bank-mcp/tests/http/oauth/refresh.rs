//! Refresh tokens: rotation, the grace time of a client that asks again, and the end of a family that two hold.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use memory_bank_test_postgres::{TestDatabase, TestRedis};

use super::browser::{Site, assert_error, connect, opens, post_form, refresh, tokens};
use crate::database::operate;
use crate::replica_set::{key, replica};

/// Lets the grace time of all uses pass.
fn pass_grace(database: &TestDatabase) {
    database.psql(
        "UPDATE app.oauth_refresh_tokens SET used_at = used_at - interval '31 seconds' WHERE used_at IS NOT NULL",
    );
}

#[test]
fn a_refresh_token_gives_new_tokens_and_is_void_afterwards() {
    let site = Site::new();
    let first = site.connect("read write");
    let second = tokens(&first.client, &refresh(&site.server, &first.client, &first.refresh).json());
    assert_ne!((&second.access, &second.refresh), (&first.access, &first.refresh));
    // The old access token is valid until it expires.
    assert_eq!((opens(&site.server, &first.access), opens(&site.server, &second.access)), (200, 200));
    pass_grace(&site.database);
    assert_error(&refresh(&site.server, &first.client, &first.refresh), "invalid_grant");
    // Two hold the family: it ends for both.
    assert_eq!((opens(&site.server, &first.access), opens(&site.server, &second.access)), (401, 401));
    assert_error(&refresh(&site.server, &first.client, &second.refresh), "invalid_grant");
    let why = "SELECT revoked_for FROM app.oauth_grants";
    assert_eq!(site.database.psql(why), "token_reuse");
    let noted = "SELECT detail ->> 'reason' FROM app.audit_log WHERE action = 'grant.revoked'";
    assert_eq!(site.database.psql(noted), "token_reuse");
}

#[test]
fn a_client_that_asks_again_gets_the_same_tokens() {
    let site = Site::new();
    let first = site.connect("read write");
    let again = |_| tokens(&first.client, &refresh(&site.server, &first.client, &first.refresh).json());
    let replies: Vec<_> = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..8).map(|at| scope.spawn(move || again(at))).collect();
        asked.into_iter().map(|one| one.join().unwrap()).collect()
    });
    for reply in &replies {
        assert_eq!((&reply.access, &reply.refresh), (&replies[0].access, &replies[0].refresh));
    }
    assert_eq!(opens(&site.server, &replies[0].access), 200);
    assert_eq!(site.database.psql("SELECT count(*) FROM app.oauth_refresh_tokens"), "2");
    // The window closes; the successor stays good.
    let next = refresh(&site.server, &first.client, &replies[0].refresh);
    assert_eq!(next.status, 200, "{}", next.body);
}

#[test]
fn a_registration_that_is_used_lives_on() {
    let site = Site::new();
    let first = site.connect("read write");
    site.database.psql("UPDATE app.oauth_clients SET expires_at = now() + interval '1 day'");
    assert_eq!(refresh(&site.server, &first.client, &first.refresh).status, 200);
    let lives = "SELECT expires_at > now() + interval '89 days' FROM app.oauth_clients";
    assert_eq!(site.database.psql(lives), "t");
}

#[test]
fn a_parameter_with_nul_is_a_malformed_request() {
    let site = Site::new();
    let first = site.connect("read write");
    for path in ["/oauth/authorize?client_id=a%00b", "/oauth/authorize?client_id=a&state=%00"] {
        assert_eq!(site.server.send_bare("GET", path, &[], "").status, 400, "{path}");
    }
    let nul: [(&str, &[(&str, &str)]); 4] = [
        (
            "/oauth/token",
            &[("grant_type", "refresh_token"), ("refresh_token", &first.refresh), ("client_id", "\0")],
        ),
        ("/oauth/token", &[("grant_type", "authorization_code"), ("code", "x"), ("redirect_uri", "\0")]),
        ("/oauth/revoke", &[("token", "x"), ("client_id", "a\0")]),
        ("/oauth/revoke", &[("token", "\0")]),
    ];
    for (path, parameters) in nul {
        assert_error(&post_form(&site.server, path, parameters), "invalid_request");
    }
    // The sub of an assertion is a client id, too.
    let part = |json: &str| URL_SAFE_NO_PAD.encode(json);
    let assertion = format!(
        "{}.{}.AAAA",
        part(r#"{"alg":"ES256","kid":"1"}"#),
        part(r#"{"iss":"a\u0000","sub":"a\u0000"}"#)
    );
    let parameters = [
        ("grant_type", "refresh_token"),
        ("refresh_token", first.refresh.as_str()),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", &assertion),
    ];
    let reply = post_form(&site.server, "/oauth/token", &parameters);
    assert!((400..500).contains(&reply.status), "{} {}", reply.status, reply.body);
}

#[test]
fn a_refresh_token_is_void_for_another_client_resource_or_scope() {
    let site = Site::new();
    let first = site.connect("read");
    let ask = |client: &str, other: &[(&str, &str)]| {
        let mut parameters =
            vec![("grant_type", "refresh_token"), ("client_id", client), ("refresh_token", &first.refresh)];
        parameters.extend(other);
        post_form(&site.server, "/oauth/token", &parameters)
    };
    let other = super::browser::register(&site.server, &[super::browser::CALLBACK]);
    assert_error(&ask(&other, &[]), "invalid_grant");
    assert_error(&ask(&first.client, &[("resource", "https://evil.example/mcp")]), "invalid_target");
    assert_error(&ask(&first.client, &[("scope", "read admin")]), "invalid_scope");
    assert_error(&ask(&first.client, &[("scope", "openid")]), "invalid_scope");
    assert_eq!(ask(&first.client, &[("scope", "read")]).status, 200);
}

#[test]
fn a_refresh_token_expires_and_a_removed_member_gets_no_new_tokens() {
    let site = Site::new();
    let first = site.connect("read write");
    operate(&site.database, &["users", "create", "bob"]).unwrap();
    operate(&site.database, &["members", "add", "--project", "atlas", "--user", "bob", "--role", "editor"])
        .unwrap();
    let bob = connect(&site.server, &site.database, "bob", "read write");
    assert_eq!(opens(&site.server, &bob.access), 200);
    operate(&site.database, &["members", "remove", "--project", "atlas", "--user", "bob"]).unwrap();
    assert_error(&refresh(&site.server, &bob.client, &bob.refresh), "invalid_grant");
    operate(&site.database, &["members", "add", "--project", "atlas", "--user", "bob", "--role", "editor"])
        .unwrap();
    // A member who returns has not allowed anything again.
    assert_error(&refresh(&site.server, &bob.client, &bob.refresh), "invalid_grant");
    site.database.psql("UPDATE app.oauth_refresh_tokens SET expires_at = now() - interval '1 second'");
    assert_error(&refresh(&site.server, &first.client, &first.refresh), "invalid_grant");
}

#[test]
fn replicas_share_codes_tokens_and_revocations() {
    let database = TestDatabase::migrated();
    let redis = TestRedis::start();
    operate(&database, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap();
    let public = [("PUBLIC_URL", "http://127.0.0.1:3999")];
    let key = key(&database);
    let start = || replica(&database.url(), &redis.url(), &key, &public);
    let (one, two) = (start(), start());
    let client = super::browser::register(&one, &[super::browser::CALLBACK]);
    let code = {
        let mut browser = super::browser::Browser::new(&one);
        let page = browser.sign_in(
            &super::browser::authorize(&client, "read write"),
            &super::browser::login_code(&database, "alice"),
        );
        super::browser::code_of(&browser.allow(&page, "read write"))
    };
    // The replica that gave the code is gone.
    drop(one);
    let got = tokens(&client, &super::browser::exchange(&two, &client, &code).json());
    let three = start();
    assert_eq!((opens(&two, &got.access), opens(&three, &got.access)), (200, 200));
    let next = tokens(&client, &refresh(&three, &client, &got.refresh).json());
    assert_eq!(opens(&two, &next.access), 200);
    let grant = database.psql("SELECT id FROM app.oauth_grants");
    operate(&database, &["grants", "revoke", &grant]).unwrap();
    // Without a word through Redis: the database refuses, and the reply to a call shows nothing.
    for server in [&two, &three] {
        for token in [&got.access, &next.access] {
            let bearer = format!("Bearer {token}");
            let called = server.send_bare(
                "POST",
                "/mcp",
                &[crate::client::JSON, crate::client::MCP_ACCEPT, ("Authorization", bearer.as_str())],
                &crate::client::handshake("2025-11-25").to_string(),
            );
            assert_eq!(called.status, 401, "{}", called.body);
        }
    }
}
