//! Registration of clients: what they may ask for, and the bounds of what strangers can store.

use serde_json::{Value, json};

use super::browser::{Browser, CALLBACK, Site, authorize, authorize_with, register};
use crate::client::{JSON, Reply, Server};
use crate::database::operate;

fn post(server: &Server, body: &Value) -> Reply {
    server.send_bare("POST", "/oauth/register", &[JSON], &body.to_string())
}

#[test]
fn a_client_learns_what_it_was_given() {
    let site = Site::new();
    let wanted = json!({
        "client_name": " Claude\u{202e}\n Code ", "redirect_uris": [CALLBACK, "http://localhost:1/cb"],
        "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
        "token_endpoint_auth_method": "client_secret_basic", "scope": "read", "logo_uri": "https://x.example/l.png",
        "application_type": "native",
    });
    let reply = post(&site.server, &wanted);
    assert_eq!((reply.status, reply.header("cache-control")), (201, Some("no-store")), "{}", reply.body);
    let made = reply.json();
    assert!(made["client_id"].as_str().unwrap().starts_with("mbmcp_client_"));
    assert_eq!(made["client_name"], json!("Claude Code"));
    assert_eq!(made["redirect_uris"], wanted["redirect_uris"]);
    assert_eq!((&made["token_endpoint_auth_method"], &made["client_secret"]), (&json!("none"), &Value::Null));
}

#[test]
fn metadata_that_cannot_be_used_is_refused() {
    let site = Site::new();
    for (body, error) in [
        (json!({}), "invalid_redirect_uri"),
        (json!({"redirect_uris": []}), "invalid_redirect_uri"),
        (json!({"redirect_uris": ["http://evil.example/cb"]}), "invalid_redirect_uri"),
        (json!({"redirect_uris": ["javascript:alert(1)"]}), "invalid_redirect_uri"),
        (json!({"redirect_uris": ["https://a.example/cb#x"]}), "invalid_redirect_uri"),
        (json!({"redirect_uris": vec![CALLBACK; 11]}), "invalid_redirect_uri"),
        (json!({"redirect_uris": CALLBACK}), "invalid_client_metadata"),
        (json!({"redirect_uris": [CALLBACK], "grant_types": ["implicit"]}), "invalid_client_metadata"),
        (json!({"redirect_uris": [CALLBACK], "response_types": ["token"]}), "invalid_client_metadata"),
        (json!([CALLBACK]), "invalid_client_metadata"),
    ] {
        let reply = post(&site.server, &body);
        assert_eq!((reply.status, &reply.json()["error"]), (400, &json!(error)), "{body}: {}", reply.body);
    }
    assert_eq!(site.database.psql("SELECT count(*) FROM app.oauth_clients"), "0");
}

#[test]
fn a_flood_of_registrations_is_bounded_and_displaces_no_client_that_a_user_let_in() {
    let site = Site::new();
    let connected = site.connect("read");
    site.database.psql(
        "INSERT INTO app.oauth_clients (id, name, redirect_uris, expires_at) \
         SELECT 'mbmcp_client_' || lpad(n::text, 32, '0'), 'x', '{https://x.example/}', now() + interval '1 day' \
         FROM generate_series(1, 2000) AS n",
    );
    let reply = post(&site.server, &json!({"redirect_uris": [CALLBACK]}));
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("600")), "{}", reply.body);
    site.database.psql(
        "UPDATE app.oauth_clients SET created_at = now() - interval '11 minutes' WHERE used_at IS NULL",
    );
    register(&site.server, &[CALLBACK]);
    assert_eq!(site.database.psql("SELECT count(*) FROM app.oauth_clients WHERE used_at IS NULL"), "2000");
    let there = format!("SELECT count(*) FROM app.oauth_clients WHERE id = '{}'", connected.client);
    assert_eq!(site.database.psql(&there), "1");
}

#[test]
fn an_address_registers_and_signs_in_a_bounded_number_of_times() {
    let site = Site::new();
    let url = site.database.url();
    let server = Server::start(&[("DATABASE_URL", &url), ("REDIS_URL", ""), ("MCP_HOST", "127.0.0.1")]);
    let statuses: Vec<u16> =
        (0..12).map(|_| post(&server, &json!({"redirect_uris": [CALLBACK]})).status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 10, "{statuses:?}");
    assert_eq!(statuses.last(), Some(&429));
    let client = site.database.psql("SELECT id FROM app.oauth_clients LIMIT 1");
    let mut browser = Browser::new(&server);
    let statuses: Vec<u16> = (0..12)
        .map(|_| browser.try_sign_in(&authorize(&client, "read"), "0000-0000-0000-0000").status)
        .collect();
    assert_eq!(statuses.iter().filter(|status| **status == 403).count(), 10, "{statuses:?}");
    assert_eq!(statuses.last(), Some(&429));
}

#[test]
fn a_client_expires_unless_a_user_lets_it_in() {
    let site = Site::new();
    let client = register(&site.server, &[CALLBACK]);
    assert_eq!(Browser::new(&site.server).get(&authorize(&client, "read")).status, 200);
    site.database.psql("UPDATE app.oauth_clients SET expires_at = now() - interval '1 second'");
    let page = Browser::new(&site.server).get(&authorize(&client, "read"));
    assert!(page.status == 400 && page.body.contains("not registered"), "{}", page.body);
}

#[test]
fn a_server_that_cannot_reach_the_internet_offers_registration_alone() {
    let site = Site::new();
    let url = site.database.url();
    let variables = [
        ("DATABASE_URL", url.as_str()),
        ("REDIS_URL", ""),
        ("MCP_HOST", "127.0.0.1"),
        ("OAUTH_CLIENT_DOCUMENTS", "false"),
    ];
    let server = Server::start(&variables);
    let offers = |server: &Server| {
        let document = server.send_bare("GET", "/.well-known/oauth-authorization-server", &[], "").json();
        document["client_id_metadata_document_supported"].clone()
    };
    assert_eq!((offers(&site.server), offers(&server)), (json!(true), json!(false)));
    let page = Browser::new(&server).get(&authorize("https://client.example/app.json", "read"));
    assert!(page.status == 400 && page.body.contains("registers itself"), "{}", page.body);
    register(&server, &[CALLBACK]);
}

#[test]
fn an_operator_registers_a_client_whose_page_has_no_warning() {
    let site = Site::new();
    let uri = "https://chat.example/callback";
    let arguments = ["oauth-clients", "create", "--name", "Chat", "--redirect-uri", uri];
    let made = operate(&site.database, &arguments).unwrap();
    let client = made["clientId"].as_str().unwrap();
    let page = Browser::new(&site.server).get(&authorize_with(client, &[("redirect_uri", uri)]));
    assert!(page.status == 200 && page.body.contains("Chat") && !page.body.contains("nobody has checked"));
    let refused = operate(
        &site.database,
        &["oauth-clients", "create", "--name", "x", "--redirect-uri", "http://x.example/"],
    );
    assert!(refused.unwrap_err().contains("cannot be a redirect URI"));
}
