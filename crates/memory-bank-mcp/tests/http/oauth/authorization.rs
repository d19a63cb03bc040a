//! The authorization code: from the client's request to tokens, and every way that must not lead there.

use super::browser::{
    Browser, CALLBACK, Site, assert_error, authorize, authorize_with, code_of, exchange, exchange_with,
    hidden, login_code, onward, opens, parameter, post_form, register, tokens,
};
use crate::client::Reply;
use serde_json::json;

#[test]
fn a_client_registers_is_allowed_in_and_calls_a_tool() {
    let site = Site::new();
    let client = register(&site.server, &[CALLBACK]);
    let mut browser = Browser::new(&site.server);
    let page = browser.sign_in(&authorize(&client, "read write"), &login_code(&site.database, "alice"));
    for shown in ["Test &lt;client&gt;", "client.example", "alice", "atlas", "nobody has checked it"] {
        assert!(page.body.contains(shown), "{shown}: {}", page.body);
    }
    assert!(!page.body.contains("<script") && !page.body.contains("Test <client>"));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("frame-ancestors 'none'") && policy.contains("form-action 'self';"), "{policy}");
    let answer = browser.allow(&page, "read write");
    assert!(onward(&answer).unwrap().starts_with(&format!("{CALLBACK}?")), "{}", answer.body);
    let policy = answer.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("form-action 'self';"), "{policy}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(parameter(&answer, "state").as_deref(), Some("a state&"));
    assert_eq!(parameter(&answer, "iss"), Some(format!("http://{}", site.server.address)));
    let reply = exchange(&site.server, &client, &code_of(&answer));
    assert_eq!((reply.status, reply.header("cache-control")), (200, Some("no-store")), "{}", reply.body);
    let got = reply.json();
    assert_eq!((&got["token_type"], &got["scope"]), (&json!("Bearer"), &json!("read write")));
    let seconds = got["expires_in"].as_i64().unwrap();
    assert!((3500..=3600).contains(&seconds), "{seconds}");
    let got = tokens(&client, &got);
    assert!(got.access.starts_with("mbmcp_at_") && got.refresh.starts_with("mbmcp_rt_"));
    assert_eq!(opens(&site.server, &got.access), 200);
    // A refresh token opens nothing.
    assert_eq!(opens(&site.server, &got.refresh), 401);
    let plain = site.database.psql(&format!(
        "SELECT count(*) FROM (SELECT t::text FROM api_keys t UNION ALL SELECT t::text FROM app.oauth_grants t \
         UNION ALL SELECT t::text FROM app.oauth_refresh_tokens t UNION ALL SELECT t::text FROM app.oauth_codes t \
         UNION ALL SELECT t::text FROM app.audit_log t) AS all_rows (row) WHERE row LIKE '%{}%' OR row LIKE '%{}%'",
        got.access, got.refresh
    ));
    assert_eq!(plain, "0", "a token is stored in plain text");
}

/// A code of a consent, with its client.
fn code(site: &Site) -> (String, String) {
    let client = register(&site.server, &[CALLBACK]);
    let mut browser = Browser::new(&site.server);
    let page = browser.sign_in(&authorize(&client, "read write"), &login_code(&site.database, "alice"));
    let code = code_of(&browser.allow(&page, "read write"));
    (client, code)
}

#[test]
fn a_code_is_redeemed_once_and_its_replay_ends_what_it_gave() {
    let site = Site::new();
    let (client, code) = code(&site);
    let got = tokens(&client, &exchange(&site.server, &client, &code).json());
    assert_eq!(opens(&site.server, &got.access), 200);
    assert_error(&exchange(&site.server, &client, &code), "invalid_grant");
    assert_eq!(opens(&site.server, &got.access), 401);
    assert_error(&super::browser::refresh(&site.server, &client, &got.refresh), "invalid_grant");
}

#[test]
fn a_code_is_void_without_its_verifier_client_redirect_uri_and_resource() {
    let site = Site::new();
    let (client, code) = code(&site);
    let other = register(&site.server, &[CALLBACK]);
    for (parameters, error) in [
        (&[("code_verifier", "")][..], "invalid_grant"),
        (&[("code_verifier", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM")], "invalid_grant"),
        (&[("client_id", other.as_str())], "invalid_grant"),
        (&[("client_id", "")], "invalid_request"),
        (&[("redirect_uri", "https://client.example/callback/")], "invalid_grant"),
        (&[("resource", "https://evil.example/mcp")], "invalid_target"),
        (&[("grant_type", "password")], "unsupported_grant_type"),
        (&[("grant_type", "")], "invalid_request"),
        (&[("code", "mbmcp_ac_0123456789abcdefghijklmnopqrstuv")], "invalid_grant"),
    ] {
        assert_error(&exchange_with(&site.server, &client, &code, parameters), error);
    }
    // None of it used the code up, and none of it ended the grant.
    let resource = format!("http://{}/mcp", site.server.address);
    let reply = exchange_with(&site.server, &client, &code, &[("resource", &resource)]);
    assert_eq!(reply.status, 200, "{}", reply.body);
}

#[test]
fn a_code_expires() {
    let site = Site::new();
    let (client, code) = code(&site);
    site.database.psql("UPDATE app.oauth_codes SET expires_at = now() - interval '1 second'");
    assert_error(&exchange(&site.server, &client, &code), "invalid_grant");
}

/// The page that refuses a request, which sends the browser nowhere.
fn refused(site: &Site, address: &str) -> Reply {
    let page = Browser::new(&site.server).get(address);
    assert_eq!((page.status, page.header("location")), (400, None), "{address}: {}", page.body);
    page
}

#[test]
fn a_request_for_an_unknown_client_or_redirect_uri_leads_nowhere() {
    let site = Site::new();
    let client = register(&site.server, &[CALLBACK]);
    for other in [
        &[("client_id", "mbmcp_client_0123456789abcdefghijklmnopqrstuv")][..],
        &[("client_id", "")],
        &[("redirect_uri", "https://evil.example/callback")],
        &[("redirect_uri", "https://client.example/callback/")],
        &[("redirect_uri", "https://client.example.evil.example/callback")],
        &[("redirect_uri", "https://client.example/callback?next=https://evil.example")],
        &[("redirect_uri", "javascript:alert(1)")],
    ] {
        let page = refused(&site, &authorize_with(&client, other));
        assert!(!page.body.contains("href=\"http"), "{}", page.body);
    }
}

#[test]
fn a_malformed_request_of_a_known_client_is_reported_when_its_user_follows_the_link() {
    let site = Site::new();
    let client = register(&site.server, &[CALLBACK]);
    for (other, error) in [
        (&[("response_type", "token")][..], "unsupported_response_type"),
        (&[("code_challenge", "")], "invalid_request"),
        (&[("code_challenge_method", "plain")], "invalid_request"),
        (&[("code_challenge_method", "")], "invalid_request"),
        (&[("code_challenge", "short")], "invalid_request"),
        (&[("resource", "https://evil.example/mcp")], "invalid_target"),
        (&[("response_mode", "fragment")], "invalid_request"),
        (&[("request", "eyJ")], "invalid_request"),
    ] {
        let page = refused(&site, &authorize_with(&client, other));
        let link = format!("href=\"{CALLBACK}?error={error}&amp;");
        assert!(page.body.contains(&link) && page.body.contains("iss=http"), "{link}: {}", page.body);
    }
    let twice = format!("{}&client_id={client}", authorize(&client, "read"));
    refused(&site, &twice);
}

#[test]
fn a_user_can_refuse() {
    let site = Site::new();
    let client = register(&site.server, &[CALLBACK]);
    let mut browser = Browser::new(&site.server);
    let page = browser.sign_in(&authorize(&client, "read"), &login_code(&site.database, "alice"));
    let (request, token) = (hidden(&page, "request"), hidden(&page, "token"));
    let answer =
        browser.post("/oauth/authorize", &[("request", &request), ("token", &token), ("decision", "deny")]);
    assert_eq!(parameter(&answer, "error").as_deref(), Some("access_denied"));
    assert_eq!(parameter(&answer, "iss"), Some(format!("http://{}", site.server.address)));
    assert_eq!(site.database.psql("SELECT count(*) FROM app.oauth_grants"), "0");
}

#[test]
fn a_program_on_this_machine_may_use_any_port() {
    let site = Site::new();
    let client = register(&site.server, &["http://localhost/callback"]);
    let address = authorize_with(&client, &[("redirect_uri", "http://localhost:43210/callback")]);
    let mut browser = Browser::new(&site.server);
    let page = browser.sign_in(&address, &login_code(&site.database, "alice"));
    let answer = browser.allow(&page, "read write");
    assert!(onward(&answer).unwrap().starts_with("http://localhost:43210/callback?"), "{answer:?}");
    let code = code_of(&answer);
    let other = [("redirect_uri", "http://localhost:43211/callback")];
    assert_error(&exchange_with(&site.server, &client, &code, &other), "invalid_grant");
    let same = [("redirect_uri", "http://localhost:43210/callback")];
    assert_eq!(exchange_with(&site.server, &client, &code, &same).status, 200);
}

#[test]
fn a_revoked_token_opens_nothing_and_only_its_client_can_revoke_it() {
    let site = Site::new();
    let got = site.connect("read write");
    let other = register(&site.server, &[CALLBACK]);
    let revoke = |client: &str, token: &str| {
        let reply = post_form(&site.server, "/oauth/revoke", &[("client_id", client), ("token", token)]);
        assert_eq!(reply.status, 200, "{}", reply.body);
    };
    revoke(&other, &got.access);
    revoke(&other, &got.refresh);
    revoke(&got.client, "mbmcp_rt_no_such_token");
    assert_eq!(opens(&site.server, &got.access), 200);
    revoke(&got.client, &got.access);
    assert_eq!(opens(&site.server, &got.access), 401);
    let next = super::browser::refresh(&site.server, &got.client, &got.refresh);
    let next = tokens(&got.client, &next.json());
    revoke(&got.client, &next.refresh);
    assert_eq!(opens(&site.server, &next.access), 401);
}

#[test]
fn the_database_has_the_sha_256_of_codes_and_tokens_and_nothing_else_of_them() {
    let site = Site::new();
    let secret = login_code(&site.database, "alice");
    let client = register(&site.server, &[CALLBACK]);
    let hashed = |value: &str, table: &str, column: &str| {
        let sql = format!("SELECT count(*) FROM {table} WHERE {column} = sha256('{value}')");
        assert_eq!(site.database.psql(&sql), "1", "the hash in {table}");
    };
    let tables = site.database.psql(
        "SELECT string_agg(format('SELECT t::text FROM %I.%I t', schemaname, tablename), ' UNION ALL ') FROM pg_tables \
         WHERE schemaname IN ('public', 'app')",
    );
    // A text in a column of bytes is shown as hexadecimal digits.
    let plain = |value: &str| {
        site.database.psql(&format!(
            "SELECT count(*) FROM ({tables}) AS all_rows (row) \
             WHERE strpos(row, '{value}') > 0 OR strpos(row, encode('{value}', 'hex')) > 0"
        ))
    };
    assert_ne!(plain("alice"), "0", "the name of the user is found");
    let spoken = secret.replace('-', "");
    hashed(&spoken, "app.oauth_login_codes", "code_hash");
    assert_eq!((plain(&secret), plain(&spoken)), ("0".to_owned(), "0".to_owned()));
    let mut browser = Browser::new(&site.server);
    let page = browser.sign_in(&authorize(&client, "read write"), &secret);
    let code = code_of(&browser.allow(&page, "read write"));
    hashed(&code, "app.oauth_codes", "code_hash");
    assert_eq!(plain(&code), "0");
    let got = tokens(&client, &exchange(&site.server, &client, &code).json());
    hashed(&got.access, "public.api_keys", "key_hash");
    hashed(&got.refresh, "app.oauth_refresh_tokens", "token_hash");
    assert_eq!((plain(&got.access), plain(&got.refresh)), ("0".to_owned(), "0".to_owned()));
}
