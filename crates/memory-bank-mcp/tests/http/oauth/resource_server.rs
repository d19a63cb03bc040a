//! The server as a resource: challenges and metadata, for clients of every revision.

use serde_json::json;

use super::browser::{Site, opens};
use crate::client::{JSON, MCP_ACCEPT, Reply, Server, handshake};
use crate::database::{key_of, operate};
use memory_bank_test_postgres::TestDatabase;

fn bare(server: &Server, headers: &[(&str, &str)]) -> Reply {
    let mut all = vec![JSON, MCP_ACCEPT];
    all.extend(headers);
    server.send_bare("POST", "/mcp", &all, &handshake("2025-11-25").to_string())
}

fn challenge(reply: &Reply) -> &str {
    assert_eq!(reply.status, 401, "{}", reply.body);
    reply.header("www-authenticate").unwrap()
}

fn well_known(server: &Server, path: &str, headers: &[(&str, &str)]) -> Reply {
    server.send_bare("GET", &format!("/.well-known/{path}"), headers, "")
}

#[test]
fn a_request_without_a_key_is_shown_where_to_sign_in() {
    let site = Site::new();
    let origin = format!("http://{}", site.server.address);
    let metadata = format!("{origin}/.well-known/oauth-protected-resource/mcp");
    let reply = bare(&site.server, &[]);
    assert_eq!(challenge(&reply), format!("Bearer resource_metadata=\"{metadata}\", scope=\"read write\""));
    assert_eq!(reply.json(), json!({"error": "Missing X-API-Key or Authorization header"}));
    for (path, resource) in [
        ("oauth-protected-resource/mcp", format!("{origin}/mcp")),
        ("oauth-protected-resource", origin.clone()),
    ] {
        let document = well_known(&site.server, path, &[]);
        assert_eq!((document.status, document.header("content-type")), (200, Some("application/json")));
        let document = document.json();
        assert_eq!(document["resource"], json!(resource));
        assert_eq!(document["authorization_servers"], json!([origin]));
        assert_eq!(document["scopes_supported"], json!(["read", "write"]));
        assert_eq!(document["bearer_methods_supported"], json!(["header"]));
    }
    for path in ["oauth-authorization-server", "openid-configuration"] {
        let document = well_known(&site.server, path, &[]).json();
        assert_eq!(document["issuer"], json!(origin));
        assert_eq!(document["authorization_endpoint"], json!(format!("{origin}/oauth/authorize")));
        assert_eq!(document["token_endpoint"], json!(format!("{origin}/oauth/token")));
        assert_eq!(document["code_challenge_methods_supported"], json!(["S256"]));
        assert_eq!(document["authorization_response_iss_parameter_supported"], json!(true));
    }
}

#[test]
fn a_void_key_or_token_is_an_invalid_token() {
    let site = Site::new();
    for bearer in ["Bearer mbmcp_at_0123456789abcdefghijklmnopqrstuv", "Bearer mbmcp_live_0123", "Bearer x"] {
        let reply = bare(&site.server, &[("Authorization", bearer)]);
        let challenge = challenge(&reply);
        assert!(challenge.starts_with("Bearer error=\"invalid_token\", error_description=\""), "{challenge}");
        assert!(challenge.contains("resource_metadata=\"http://127.0.0.1"), "{challenge}");
    }
}

#[test]
fn a_token_in_the_address_is_no_token() {
    let site = Site::new();
    let token = site.connect("read write").access;
    assert_eq!(opens(&site.server, &token), 200);
    let path = format!("/mcp?access_token={token}");
    let reply =
        site.server.send_bare("POST", &path, &[JSON, MCP_ACCEPT], &handshake("2025-11-25").to_string());
    assert!(!challenge(&reply).contains("invalid_token"));
    let body = format!("access_token={token}");
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    assert_eq!(site.server.send_bare("POST", "/mcp", &[form, MCP_ACCEPT], &body).status, 401);
}

#[test]
fn the_public_url_or_the_proxy_name_the_server() {
    let database = TestDatabase::migrated();
    let made = operate(&database, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap();
    assert!(!key_of(&made["key"]).is_empty());
    let url = database.url();
    let start = |more: &[(&str, &str)]| {
        let mut variables =
            vec![("DATABASE_URL", url.as_str()), ("REDIS_URL", ""), ("MCP_HOST", "127.0.0.1")];
        variables.extend(more);
        Server::start(&variables)
    };
    let resource = |server: &Server, headers: &[(&str, &str)]| {
        let reply = well_known(server, "oauth-protected-resource/mcp", headers);
        if reply.status == 200 { Some(reply.json()["resource"].as_str().unwrap().to_owned()) } else { None }
    };
    let public = start(&[("PUBLIC_URL", "https://memory.example.com")]);
    for headers in [&[][..], &[("Host", "memory.example.com")], &[("X-Forwarded-Host", "evil.example")]] {
        assert_eq!(
            resource(&public, headers).as_deref(),
            Some("https://memory.example.com/mcp"),
            "{headers:?}"
        );
    }
    let plain = bare(&start(&[("PUBLIC_URL", "http://memory.example.com")]), &[]);
    assert_eq!(challenge(&plain), "Bearer");
    let listed = start(&[("ALLOWED_HOSTS", "memory.example.com,localhost")]);
    let host = ("Host", "memory.example.com");
    let https = ("X-Forwarded-Proto", "https");
    assert_eq!(resource(&listed, &[host, https]).as_deref(), Some("https://memory.example.com/mcp"));
    assert_eq!(resource(&listed, &[host]), None, "without https");
    let direct = start(&[("ALLOWED_HOSTS", "memory.example.com"), ("TRUST_PROXY_HOPS", "0")]);
    assert_eq!(resource(&direct, &[host, https]), None, "nobody is trusted to name the scheme");
    let any = start(&[("ALLOWED_HOSTS", "*")]);
    assert_eq!(resource(&any, &[("Host", "evil.example"), https]), None);
}

#[test]
fn a_page_over_plain_http_is_refused_with_a_word_on_https() {
    let database = TestDatabase::migrated();
    let url = database.url();
    let server = |more: &[(&str, &str)]| {
        let mut variables = vec![("DATABASE_URL", url.as_str()), ("REDIS_URL", "")];
        variables.extend(more);
        Server::start(&variables)
    };
    let refused = |server: &Server, path: &str, headers: &[(&str, &str)], status: u16, words: &str| {
        let reply = server.send_bare("GET", path, headers, "");
        assert_eq!(reply.status, status, "{path} {headers:?}: {}", reply.body);
        assert!(reply.body.contains("https") && reply.body.contains(words), "{path}: {}", reply.body);
        assert!(reply.header("set-cookie").is_none() && !reply.body.contains("<form"), "{}", reply.body);
    };
    let (host, other) = (("Host", "memory.example.com"), ("Host", "10.0.0.5:3100"));
    let proto = |scheme: &'static str| ("X-Forwarded-Proto", scheme);
    let public = ("PUBLIC_URL", "https://memory.example.com");
    for path in ["/oauth/grants", "/oauth/authorize?client_id=x"] {
        let behind = server(&[("MCP_HOST", "127.0.0.1"), public]);
        refused(&behind, path, &[host, proto("http")], 403, "Open it at https://memory.example.com");
        for headers in [&[host, proto("https")][..], &[host], &[host, proto("http, https")]] {
            let reply = behind.send_bare("GET", path, headers, "");
            assert!(!reply.body.contains("is not possible here"), "{headers:?}: {}", reply.body);
        }
        // A server that trusts no proxy does not listen to one.
        let direct = server(&[("MCP_HOST", "127.0.0.1"), public, ("TRUST_PROXY_HOPS", "0")]);
        let reply = direct.send_bare("GET", path, &[host, proto("http")], "");
        assert!(!reply.body.contains("is not possible here"), "{}", reply.body);
        refused(&server(&[("MCP_HOST", "0.0.0.0")]), path, &[other], 403, "set PUBLIC_URL");
        refused(&server(&[("MCP_HOST", "0.0.0.0"), public]), path, &[other], 403, "Open it at https://");
        let listed = server(&[("MCP_HOST", "0.0.0.0"), ("ALLOWED_HOSTS", "10.0.0.5")]);
        refused(&listed, path, &[other], 404, "set PUBLIC_URL");
        let foreign = listed.send_bare("GET", path, &[host], "");
        assert_eq!((foreign.status, foreign.body.contains("Host not allowed")), (403, true));
    }
    // The form is not read either.
    let behind = server(&[("MCP_HOST", "127.0.0.1"), public]);
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    let reply = behind.send_bare("POST", "/oauth/sign-in", &[host, proto("http"), form], "secret=x");
    assert_eq!((reply.status, reply.body.contains("without https")), (403, true), "{}", reply.body);
}

#[test]
fn a_folder_s_server_keeps_the_plain_challenge() {
    let server = Server::start(&[]);
    assert_eq!(challenge(&bare(&server, &[])), "Bearer");
    for path in ["oauth-protected-resource", "oauth-protected-resource/mcp", "oauth-authorization-server"] {
        assert_eq!(well_known(&server, path, &[]).status, 404, "{path}");
    }
    assert_eq!(server.send_bare("GET", "/oauth/authorize", &[], "").status, 404);
}
