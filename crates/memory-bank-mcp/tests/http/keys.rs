//! The REST routes of API keys.

use std::collections::BTreeSet;

use memory_bank_test_postgres::TestDatabase;
use serde_json::{Value, json};

use crate::client::{JSON, Server};
use crate::database::{key_of, operate, serve};

fn create(server: &Server, body: &Value) -> Value {
    let reply = server.send("POST", "/api/keys", &[JSON], &body.to_string());
    assert_eq!(reply.status, 201, "{}", reply.body);
    reply.json()
}

#[test]
fn a_key_is_created_listed_changed_rotated_and_revoked() {
    let server = Server::start(&[]);
    let made = create(
        &server,
        &json!({"label": "ci", "environment": "test", "expiresInDays": 30, "scopes": ["read"]}),
    );
    let key = made["key"].as_str().unwrap();
    assert!(key.starts_with("mbmcp_test_") && key.len() == 43);
    assert_eq!(made["prefix"], json!(key.chars().take(12).collect::<String>()));
    assert_eq!((&made["rateLimit"], &made["scopes"]), (&json!(60), &json!(["read"])));
    assert!(made["warning"].is_string() && made["expiresAt"].is_string());

    let path = format!("/api/keys/{}", made["id"].as_str().unwrap());
    let changed =
        server.send("PATCH", &path, &[JSON], &json!({"label": null, "rateLimit": 5}).to_string()).json();
    assert_eq!(
        (&changed["label"], &changed["rateLimit"], &changed["status"]),
        (&Value::Null, &json!(5), &json!("active"))
    );

    let rotated = server.send("POST", &format!("{path}/rotate"), &[], "");
    assert_eq!(rotated.status, 201);
    let fresh = rotated.json();
    assert_eq!((&fresh["rateLimit"], &fresh["scopes"]), (&json!(5), &json!(["read"])));
    let old = server.send_bare("GET", "/api/keys", &[("X-API-Key", key)], "");
    assert_eq!((old.status, old.json()), (401, json!({"error": "API key has been revoked"})));
    let new = server.send_bare("GET", "/api/keys", &[("X-API-Key", fresh["key"].as_str().unwrap())], "");
    assert_eq!(new.status, 403, "a key with the scope `read` manages keys");

    let revoked = server.send("DELETE", &format!("/api/keys/{}", fresh["id"].as_str().unwrap()), &[], "");
    assert_eq!(revoked.json(), json!({"message": "API key revoked", "id": fresh["id"]}));
    let active = server.send("GET", "/api/keys", &[], "").json();
    assert_eq!(active["total"], json!(1));
    let all = server.send("GET", "/api/keys?includeRevoked=true", &[], "").json();
    assert_eq!((&all["total"], &all["keys"][0]["status"]), (&json!(3), &json!("revoked")));
    assert!(!all.to_string().contains(key));
}

#[test]
fn only_an_owner_with_scope_admin_lists_and_changes_keys() {
    let server = Server::start(&[]);
    let reader = create(&server, &json!({"scopes": ["read"]}))["key"].as_str().unwrap().to_owned();
    let named = [("X-API-Key", reader.as_str()), JSON];
    assert_eq!(server.send_bare("POST", "/api/keys", &named, "{}").status, 403);
    assert_eq!(server.send_bare("GET", "/api/keys", &named, "").status, 403);
    let admin = create(&server, &json!({"scopes": ["admin"]}))["key"].as_str().unwrap().to_owned();
    let named = [("X-API-Key", admin.as_str()), JSON];
    let more = server.send_bare("POST", "/api/keys", &named, &json!({"scopes": ["write"]}).to_string());
    assert_eq!(more.status, 403, "a key gave more than it has");
}

#[test]
fn scope_admin_alone_cannot_gain_other_scopes_through_keys() {
    let server = Server::start(&[("RATE_LIMIT_IP_PER_MINUTE", "0")]);
    let admin = create(&server, &json!({"scopes": ["admin"], "rateLimit": 0}));
    let all = create(&server, &json!({}));
    let named = [("X-API-Key", admin["key"].as_str().unwrap()), JSON];
    let paths = [&admin, &all].map(|key| format!("/api/keys/{}", key["id"].as_str().unwrap()));
    for scopes in [json!([]), json!(["read"]), json!(["write"]), json!(["admin", "read"])] {
        let body = json!({"scopes": scopes}).to_string();
        assert_eq!(server.send_bare("POST", "/api/keys", &named, &body).status, 403, "made {body}");
        for path in &paths {
            assert_eq!(server.send_bare("PATCH", path, &named, &body).status, 403, "changed {path} {body}");
        }
    }
    assert_eq!(server.send_bare("POST", "/api/keys", &named, "{}").status, 403, "made one with all");
    let [own, other] = paths.map(|path| format!("{path}/rotate"));
    assert_eq!(server.send_bare("POST", &other, &named, "").status, 403, "rotated one with all");
    assert_eq!(server.send_bare("GET", "/api/keys", &named, "").status, 200);
    let rotated_key = server.send_bare("POST", &own, &named, "");
    assert_eq!((rotated_key.status, &rotated_key.json()["scopes"]), (201, &json!(["admin"])));
    let still = [("X-API-Key", all["key"].as_str().unwrap())];
    assert_eq!(server.send_bare("GET", "/api/keys", &still, "").status, 200, "a refused rotation revoked");
}

#[test]
fn invalid_input_is_a_400_and_a_missing_key_a_404() {
    let server = Server::start(&[]);
    for body in [
        "{",
        "[]",
        "{\"scopes\":[\"root\"]}",
        "{\"rateLimit\":-1}",
        "{\"expiresInDays\":0}",
        "{\"colour\":1}",
    ] {
        let reply = server.send("POST", "/api/keys", &[JSON], body);
        assert_eq!(reply.status, 400, "{body}");
        assert!(reply.json()["error"].is_string());
    }
    for id in ["nonsense", "00000000-0000-4000-8000-000000000000"] {
        assert_eq!(server.send("DELETE", &format!("/api/keys/{id}"), &[], "").status, 404);
        assert_eq!(server.send("PATCH", &format!("/api/keys/{id}"), &[JSON], "{}").status, 404);
        assert_eq!(server.send("POST", &format!("/api/keys/{id}/rotate"), &[], "").status, 404);
    }
}

#[test]
fn the_routes_are_described() {
    let server = Server::start(&[]);
    let described = server.send_bare("GET", "/api/openapi.json", &[], "").json();
    assert!(described["openapi"].as_str().unwrap().starts_with("3.1"));
    for path in ["/api/keys", "/api/keys/{id}", "/api/keys/{id}/rotate"] {
        assert!(described["paths"][path].is_object(), "{path}");
    }
}

#[test]
fn integers_are_accepted_in_every_json_form_and_a_key_needs_no_body() {
    let server = Server::start(&[]);
    let reply = server.send("POST", "/api/keys", &[JSON], "{\"rateLimit\": 3.0, \"expiresInDays\": 1e1}");
    assert_eq!((reply.status, &reply.json()["rateLimit"]), (201, &json!(3)), "{}", reply.body);
    assert_eq!(server.send("POST", "/api/keys", &[JSON], "{\"rateLimit\": 3.5}").status, 400);
    let bare = server.send("POST", "/api/keys", &[], "");
    assert_eq!(bare.status, 201);
    let path = format!("/api/keys/{}", bare.json()["id"].as_str().unwrap());
    assert_eq!(server.send("PATCH", &path, &[], "").status, 400);
}

#[test]
fn a_list_of_more_keys_than_a_reply_has_says_so_and_grants_are_listed_completely() {
    let database = TestDatabase::migrated();
    let made = operate(&database, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap();
    let server = serve(&database, &key_of(&made["key"]));
    let listed = |query: &str| server.send("GET", &format!("/api/keys{query}"), &[], "").json();
    assert_eq!((&listed("")["total"], &listed("")["truncated"]), (&json!(1), &json!(false)));
    let many = "FROM users u, projects p, generate_series(1, 2005) AS n";
    database.psql(&format!(
        "INSERT INTO api_keys (user_id, project_id, key_hash, key_prefix, revoked_at) \
         SELECT u.id, p.id, sha256(n::text::bytea), 'mbmcp_live_x', now() {many}"
    ));
    let all = listed("?includeRevoked=true");
    assert_eq!((&all["total"], &all["truncated"]), (&json!(2000), &json!(true)));
    assert!(all["keys"].as_array().unwrap().iter().any(|key| key["status"] == "active"));
    database.psql(&format!(
        "INSERT INTO app.oauth_grants (project_id, id, user_id, client_id, client_name, client_host, scopes, resource, created_at) \
         SELECT p.id, gen_random_uuid(), u.id, 'app', 'App', 'localhost', '{{read}}', 'r', now() - n / 3 * interval '1 second' {many}"
    ));
    let grants = operate(&database, &["grants", "list", "--all"]).unwrap();
    assert_eq!(grants["total"], json!(2005));
    let ids: BTreeSet<&str> =
        grants["grants"].as_array().unwrap().iter().map(|grant| grant["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 2005);
}
