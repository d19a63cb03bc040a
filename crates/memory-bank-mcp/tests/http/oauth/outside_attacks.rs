//! Attacks with tokens of an outside authorization server: forged ones open nothing, store nothing, and make the server
//! send nothing.

use serde_json::{Value, json};

use super::fake_issuer::{Mood, Signer, encode, now, reply};
use super::outside::{Outside, RESOURCE, call_with, open};
use crate::client::{Server, until};

fn stored(outside: &Outside) -> String {
    outside.psql("SELECT (SELECT count(*) FROM api_keys WHERE grant_id IS NOT NULL) || ' ' || (SELECT count(*) FROM app.oauth_grants)")
}

#[test]
fn forged_tokens_open_and_store_nothing() {
    let outside = Outside::new();
    let server = outside.server(&[("RATE_LIMIT_IP_PER_MINUTE", "0")]);
    let (claims, signer) = (outside.claims("u1"), &outside.signer);
    let header = json!({"alg": "ES256", "kid": signer.id, "typ": "at+jwt"});
    let evil = Signer::new("key 1");
    let changed = |name: &str, value: Value| outside.token_with("u1", name, value);
    let with_header = |name: &str, value: Value| {
        let mut header = header.clone();
        header[name] = value;
        signer.token_with(&header, &claims)
    };
    let good = signer.token(&claims);
    let [head, body, signature] = [0, 1, 2].map(|part| good.split('.').nth(part).unwrap().to_owned());
    let none = encode(json!({"alg": "none", "kid": signer.id}).to_string());
    let shared = {
        // HS256 with the public key as the secret.
        let text = format!("{}.{body}", encode(json!({"alg": "HS256", "kid": signer.id}).to_string()));
        let key =
            ring::hmac::Key::new(ring::hmac::HMAC_SHA256, signer.public()["x"].as_str().unwrap().as_bytes());
        format!("{text}.{}", encode(ring::hmac::sign(&key, text.as_bytes())))
    };
    let twice = claims.to_string().replacen('{', "{\"sub\":\"u2\",", 1);
    let forged: Vec<(&str, String)> = vec![
        ("no signature", format!("{none}.{body}.")),
        ("no algorithm with a signature", format!("{none}.{body}.{signature}")),
        ("a shared secret", shared),
        ("another key with the same id", evil.token(&claims)),
        ("the attacker's key in the header", {
            let header = json!({"alg": "ES256", "kid": "key 1", "jwk": evil.public(), "jku": "http://127.0.0.1:9/keys", "x5u": "http://127.0.0.1:9/"});
            evil.token_with(&header, &claims)
        }),
        (
            "another subject under the signature",
            format!("{head}.{}.{signature}", encode(outside.claims("u2").to_string())),
        ),
        ("a repeated claim", signer.sign(&format!("{head}.{}", encode(twice)))),
        ("another issuer", changed("iss", json!("http://127.0.0.1:9"))),
        ("another audience", changed("aud", json!("http://127.0.0.1:3999/other"))),
        ("no audience", changed("aud", json!([]))),
        ("expired", changed("exp", json!(now() - 61))),
        ("expired, as a text", changed("exp", json!((now() + 300).to_string()))),
        ("not valid yet", changed("nbf", json!(now() + 90))),
        ("issued in the future", changed("iat", json!(now() + 90))),
        ("an id token", {
            let mut claims = claims.clone();
            claims["nonce"] = json!("n");
            signer.token_with(&json!({"alg": "ES256", "kid": signer.id, "typ": "JWT"}), &claims)
        }),
        ("bound to a key", changed("cnf", json!({"jkt": "x"}))),
        ("critical extension", with_header("crit", json!(["exp"]))),
        ("another type", with_header("typ", json!("logout+jwt"))),
        ("another algorithm for the key", with_header("alg", json!("RS256"))),
        ("a short signature", format!("{head}.{body}.AAAA")),
        ("too long", changed("x", json!("x".repeat(17_000)))),
    ];
    for (attack, token) in &forged {
        let reply = open(&server, token);
        assert_eq!(reply.status, 401, "{attack}: {}", reply.body);
        let challenge = reply.header("www-authenticate").unwrap();
        assert!(challenge.starts_with("Bearer error=\"invalid_token\""), "{attack}: {challenge}");
    }
    assert_eq!(stored(&outside), "0 0");
    assert!(outside.issuer.fetched() <= 2, "{}", outside.issuer.fetched());
    assert_eq!(open(&server, &good).status, 200);
}

#[test]
fn no_request_is_sent_without_a_key_id_and_one_in_an_interval_with_an_unknown_one() {
    let outside = Outside::new();
    let server = outside.server(&[("RATE_LIMIT_IP_PER_MINUTE", "0")]);
    let without = outside.signer.token_with(&json!({"alg": "ES256"}), &outside.claims("u1"));
    for _ in 0..10 {
        let reply = open(&server, &without);
        assert!(reply.status == 401 && reply.body.contains("no key id"), "{}", reply.body);
    }
    assert_eq!(outside.issuer.fetched(), 0);
    for n in 0..30 {
        assert_eq!(
            open(&server, &Signer::new(&format!("forged {n}")).token(&outside.claims("u1"))).status,
            401
        );
    }
    // Metadata and keys at first; keys again if the machine was so slow that ten seconds have passed.
    assert!(outside.issuer.fetched() <= 4, "{}", outside.issuer.fetched());
}

#[test]
fn invalid_tokens_count_as_wrong_keys_do() {
    let outside = Outside::new();
    let server = outside.server(&[("RATE_LIMIT_IP_PER_MINUTE", "5")]);
    let forged = Signer::new("key 1").token(&outside.claims("u1"));
    let statuses: Vec<u16> = (0..8).map(|_| open(&server, &forged).status).collect();
    assert_eq!(statuses, [401, 401, 401, 401, 401, 429, 429, 429]);
    // A valid token is let in beside them.
    assert_eq!(open(&server, &outside.token("u1")).status, 200);
}

#[test]
fn a_flood_of_valid_tokens_of_a_user_is_bounded() {
    let outside = Outside::new();
    let server = outside.server(&[("RATE_LIMIT_IP_PER_MINUTE", "0")]);
    let statuses: Vec<u16> = (0..40).map(|_| open(&server, &outside.token("u1")).status).collect();
    assert!(statuses.contains(&429), "{statuses:?}");
    assert!(outside.rows() <= 30, "{}", outside.rows());
}

#[test]
fn a_new_key_is_accepted_and_a_removed_one_ends_its_tokens() {
    let outside = Outside::new();
    let server = outside.server(&[]);
    let old = outside.token("u1");
    assert_eq!(open(&server, &old).status, 200);
    let second = Signer::new("key 2");
    outside.issuer.publish(&[&second]);
    let new = second.token(&outside.claims("u1"));
    until("the new key", || open(&server, &new).status == 200);
    // A token of the removed key that was not seen before is refused at once; one that was, when its process verifies it
    // again, and by another process, although its row lives.
    assert_eq!(open(&server, &outside.token("u1")).status, 401);
    let another = outside.server(&[]);
    assert_eq!(open(&another, &old).status, 401);
    assert_eq!(open(&another, &new).status, 200);
}

#[test]
fn an_issuer_out_of_reach_is_a_temporary_failure_for_new_tokens_only() {
    let outside = Outside::new();
    let long = |server: &Server, mood: Mood| {
        outside.issuer.set_mood(mood);
        let reply = open(server, &outside.token("u1"));
        assert_eq!((reply.status, reply.header("retry-after").is_some()), (503, true), "{}", reply.body);
        assert!(reply.body.contains("issuer"), "{}", reply.body);
    };
    let redirect =
        b"HTTP/1.1 302 Found\r\nlocation: /.well-known/openid-configuration\r\ncontent-length: 0\r\n\r\n"
            .to_vec();
    let huge = reply(&format!("{{\"keys\": [{}]}}", " ".repeat(10 * 1024 * 1024)));
    for mood in [Mood::Down, Mood::Odd(redirect), Mood::Odd(huge), Mood::Odd(reply("[]")), Mood::Slow] {
        long(&outside.server(&[]), mood);
    }
    // It returns, and goes again: known tokens continue.
    let server = outside.server(&[]);
    long(&server, Mood::Down);
    outside.issuer.set_mood(Mood::Well);
    let token = outside.token("u1");
    until("the issuer's keys", || open(&server, &token).status == 200);
    outside.issuer.set_mood(Mood::Down);
    assert_eq!(open(&server, &token).status, 200);
    assert_eq!(open(&server, &outside.token("u1")).status, 200, "with the keys that it has");
    let listed = call_with(&server, &token, "list_memory_bank_files", &json!({}));
    assert_eq!(listed.status, 200, "{}", listed.body);
}

#[test]
fn without_an_issuer_its_tokens_are_malformed_keys() {
    let outside = Outside::new();
    let server = outside.replicas.replica_with(&[("PUBLIC_URL", "http://127.0.0.1:3999")]);
    let reply = open(&server, &outside.token("u1"));
    assert_eq!((reply.status, reply.json()), (401, json!({"error": "Invalid API key format"})));
    assert_eq!((outside.issuer.fetched(), RESOURCE), (0, "http://127.0.0.1:3999/mcp"));
}

#[test]
fn supabase_tokens_need_their_audience_and_a_public_key() {
    let outside = Outside::new();
    let server =
        outside.server(&[("OAUTH_AUDIENCE", "authenticated"), ("OAUTH_DEFAULT_SCOPES", "read write")]);
    let mut claims = outside.claims("u1");
    for (name, value) in [
        ("aud", json!("authenticated")),
        ("role", json!("authenticated")),
        ("aal", json!("aal1")),
        ("session_id", json!("ff7f9f1b")),
        ("is_anonymous", json!(false)),
        ("email", json!("alice@example.com")),
        ("app_metadata", json!({"provider": "email"})),
    ] {
        claims[name] = value;
    }
    for name in ["scope", "client_id"] {
        claims.as_object_mut().unwrap().remove(name);
    }
    let token =
        outside.signer.token_with(&json!({"alg": "ES256", "kid": outside.signer.id, "typ": "JWT"}), &claims);
    assert_eq!(call_with(&server, &token, "get_memory_bank_status", &json!({})).status, 200);
    // The older tokens of a project, which are signed with a shared secret and have no key id.
    let text = format!(
        "{}.{}",
        encode(json!({"alg": "HS256", "typ": "JWT"}).to_string()),
        encode(claims.to_string())
    );
    let secret = ring::hmac::Key::new(
        ring::hmac::HMAC_SHA256,
        b"super-secret-jwt-token-with-at-least-32-characters-long",
    );
    let old = format!("{text}.{}", encode(ring::hmac::sign(&secret, text.as_bytes())));
    assert_eq!(open(&server, &old).status, 401);
    assert_eq!(open(&server, &outside.token("u1")).status, 401, "the server's address is no audience then");
}
