//! Clients that authenticate themselves at the token endpoint with a key (`private_key_jwt`, RFC 7523).

use serde_json::{Value, json};

use super::browser::{
    Browser, CALLBACK, Site, VERIFIER, assert_error, authorize, code_of, login_code, opens, post_form, tokens,
};
use super::fake_issuer::{Signer, encode, now};
use crate::client::{JSON, Reply, Server};
use crate::replica_set::ReplicaSet;

const PUBLIC: &str = "http://127.0.0.1:3999";
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Registers a client with this key.
fn register(server: &Server, key: &Signer) -> String {
    let metadata = json!({
        "redirect_uris": [CALLBACK], "token_endpoint_auth_method": "private_key_jwt",
        "jwks": {"keys": [key.public()]},
    });
    let reply = server.send_bare("POST", "/oauth/register", &[JSON], &metadata.to_string());
    assert_eq!(reply.status, 201, "{}", reply.body);
    let made = reply.json();
    assert_eq!(made["token_endpoint_auth_method"], json!("private_key_jwt"));
    assert_eq!(made["jwks"], metadata["jwks"]);
    made["client_id"].as_str().unwrap().to_owned()
}

/// The issuer of a server.
fn issuer(server: &Server) -> String {
    let metadata = server.send_bare("GET", "/.well-known/oauth-authorization-server", &[], "").json();
    let methods = metadata["token_endpoint_auth_methods_supported"].as_array().unwrap();
    assert!(methods.contains(&json!("private_key_jwt")));
    let algorithms = metadata["token_endpoint_auth_signing_alg_values_supported"].to_string();
    assert!(algorithms.contains("ES256") && !algorithms.contains("HS") && !algorithms.contains("none"));
    metadata["issuer"].as_str().unwrap().to_owned()
}

fn claims(client: &str, audience: &str, id: &str) -> Value {
    json!({"iss": client, "sub": client, "aud": audience, "jti": id, "iat": now(), "exp": now() + 60})
}

fn changed_claims(claims: &Value, name: &str, value: Value) -> Value {
    let mut claims = claims.clone();
    claims[name] = value;
    claims
}

/// An assertion with these claims and the usual header.
fn assertion(key: &Signer, claims: &Value) -> String {
    key.token_with(&json!({"alg": "ES256", "kid": key.id, "typ": "JWT"}), claims)
}

fn code(server: &Server, secret: &str, client: &str) -> String {
    let mut browser = Browser::new(server);
    let page = browser.sign_in(&authorize(client, "read"), secret);
    code_of(&browser.allow(&page, "read"))
}

fn exchange(server: &Server, code: &str, proof: &str) -> Reply {
    let mut parameters = vec![
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ];
    parameters.extend([("client_assertion_type", JWT_BEARER), ("client_assertion", proof)]);
    post_form(server, "/oauth/token", &parameters)
}

fn refresh(server: &Server, token: &str, more: &[(&str, &str)]) -> Reply {
    let parameters = [&[("grant_type", "refresh_token"), ("refresh_token", token)][..], more].concat();
    post_form(server, "/oauth/token", &parameters)
}

fn assert_refused(reply: &Reply, why: &str) {
    assert_eq!(
        (reply.status, &reply.json()["error"]),
        (401, &json!("invalid_client")),
        "{why}: {}",
        reply.body
    );
}

#[test]
fn a_client_with_a_key_gets_tokens_with_an_assertion_that_no_replica_accepts_again() {
    let replicas = ReplicaSet::new();
    let [one, two] = [(); 2].map(|()| replicas.replica_with(&[("PUBLIC_URL", PUBLIC)]));
    let key = Signer::new("1");
    let client = register(&one, &key);
    let code = code(&one, &login_code(&replicas.database, "alice"), &client);
    let named = [("client_id", client.as_str())];
    // Without an assertion the code is worth nothing, and stays good.
    let bare = [
        ("grant_type", "authorization_code"),
        ("client_id", client.as_str()),
        ("code", code.as_str()),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ];
    assert_refused(&post_form(&two, "/oauth/token", &bare), "no assertion");
    let first = assertion(&key, &claims(&client, &issuer(&one), "a"));
    let reply = exchange(&two, &code, &first);
    assert_eq!(reply.status, 200, "{}", reply.body);
    let got = tokens(&client, &reply.json());
    assert_eq!(opens(&one, &got.access), 200);
    assert_refused(&refresh(&one, &got.refresh, &named), "a refresh without an assertion");
    let with = |assertion: &'static str| ("client_assertion", assertion);
    assert_refused(
        &refresh(&one, &got.refresh, &[("client_assertion_type", JWT_BEARER), with("x")]),
        "malformed",
    );
    let proof = |assertion: &str| {
        refresh(&one, &got.refresh, &[("client_assertion_type", JWT_BEARER), ("client_assertion", assertion)])
    };
    assert_refused(&proof(&first), "an assertion that the other replica accepted");
    let second = proof(&assertion(&key, &claims(&client, &format!("{PUBLIC}/oauth/token"), "b")));
    assert_eq!(second.status, 200, "{}", second.body);
    assert_eq!(replicas.database.psql("SELECT count(*) FROM app.oauth_assertions"), "2");
    // Assertions of a client are bounded.
    replicas.database.psql(&format!(
        "INSERT INTO app.oauth_assertions SELECT sha256(n::text::bytea), '{client}', now() + interval '1 minute' \
         FROM generate_series(1, 998) AS n"
    ));
    assert_refused(&proof(&assertion(&key, &claims(&client, PUBLIC, "c"))), "too many");
    replicas.database.psql("UPDATE app.oauth_assertions SET expires_at = now() - interval '1 second'");
    let named = key.token_with(
        &json!({"alg": "ES256", "kid": "1", "typ": "client-authentication+jwt"}),
        &claims(&client, PUBLIC, "d"),
    );
    let again = proof(&named);
    assert_eq!(again.status, 200, "{}", again.body);
}

#[test]
fn an_assertion_that_is_not_the_clients_for_this_server_and_now_is_refused() {
    let site = Site::new();
    let (key, other) = (Signer::new("1"), Signer::new("1"));
    let client = register(&site.server, &key);
    let stranger = register(&site.server, &other);
    let issuer = issuer(&site.server);
    let code = code(&site.server, &login_code(&site.database, "alice"), &client);
    let good = claims(&client, &issuer, "a");
    let changed = |name: &str, value: Value| assertion(&key, &changed_claims(&good, name, value));
    let header = |alg: &str, kid: &str| json!({"alg": alg, "kid": kid});
    let mac = format!("{}.{}", encode(header("HS256", "1").to_string()), encode(good.to_string()));
    let typed = |kind: &str| key.token_with(&json!({"alg": "ES256", "kid": "1", "typ": kind}), &good);
    for (why, proof) in [
        ("must be the client_id", changed("iss", json!(stranger))),
        ("must be the client_id", changed("sub", json!(stranger))),
        ("must be the client_id", changed("sub", Value::Null)),
        ("nothing else", changed("aud", json!("https://other.example"))),
        ("nothing else", changed("aud", json!([issuer, "https://other.example"]))),
        ("nothing else", changed("aud", json!([]))),
        ("nothing else", changed("aud", json!(format!("{issuer}/mcp")))),
        ("no `jti`", changed("jti", json!(""))),
        ("no `jti`", changed("jti", json!(7))),
        ("a time that cannot be read", changed("exp", Value::Null)),
        ("has expired", changed("exp", json!(now() - 61))),
        ("five minutes", changed("exp", json!(now() + 600))),
        ("not valid yet", changed("nbf", json!(now() + 120))),
        ("not signed with a key", assertion(&other, &good)),
        ("not signed with a key", key.token_with(&header("ES256", "2"), &good)),
        ("not signed with a key", key.token_with(&header("ES384", "1"), &good)),
        ("no key id", key.token_with(&json!({"alg": "ES256", "kid": 7}), &good)),
        ("no key id", key.token_with(&json!({"alg": "ES256", "kid": ""}), &good)),
        ("not signed with a key", other.token_with(&json!({"alg": "ES256"}), &good)),
        ("not signed with a key", key.token_with(&json!({"alg": "ES384"}), &good)),
        ("another type", typed("at+jwt")),
        ("another type", typed("dpop+jwt")),
        ("algorithm", format!("{}.{}.", encode(header("none", "1").to_string()), encode(good.to_string()))),
        ("algorithm", format!("{mac}.{}", encode("x"))),
        ("too long", changed("x", json!("x".repeat(20_000)))),
        ("not a signed JWT", "x".to_owned()),
    ] {
        let reply = exchange(&site.server, &code, &proof);
        assert_refused(&reply, why);
        assert!(reply.body.contains(why), "{why}: {}", reply.body);
    }
    assert_eq!(site.database.psql("SELECT count(*) FROM app.oauth_assertions"), "0");
    // Another client with a good assertion of its own does not have the code.
    let theirs = exchange(&site.server, &code, &assertion(&other, &claims(&stranger, &issuer, "a")));
    assert_error(&theirs, "invalid_grant");
    // An assertion without a key id is checked with all keys of its client.
    let unnamed =
        key.token_with(&json!({"alg": "ES256", "typ": "JWT"}), &changed_claims(&good, "jti", json!("b")));
    let named_none = exchange(&site.server, &code, &unnamed);
    assert_eq!(named_none.status, 200, "{}", named_none.body);
    // The clocks may differ by a minute.
    let code = self::code(&site.server, &login_code(&site.database, "alice"), &client);
    let late = exchange(&site.server, &code, &changed("exp", json!(now() - 30)));
    assert_eq!(late.status, 200, "{}", late.body);
}

#[test]
fn a_client_that_names_no_usable_key_is_not_registered() {
    let site = Site::new();
    let key = Signer::new("1");
    for keys in [
        json!({}),
        json!({"jwks": {"keys": []}}),
        json!({"jwks": {"keys": [key.public()]}, "jwks_uri": "https://client.example/jwks"}),
        json!({"jwks_uri": "https://10.0.0.1/jwks"}),
        json!({"jwks_uri": "http://client.example/jwks"}),
    ] {
        let mut metadata = keys.clone();
        metadata["redirect_uris"] = json!([CALLBACK]);
        metadata["token_endpoint_auth_method"] = json!("private_key_jwt");
        let reply = site.server.send_bare("POST", "/oauth/register", &[JSON], &metadata.to_string());
        assert_error(&reply, "invalid_client_metadata");
    }
    assert_eq!(site.database.psql("SELECT count(*) FROM app.oauth_clients"), "0");
}
