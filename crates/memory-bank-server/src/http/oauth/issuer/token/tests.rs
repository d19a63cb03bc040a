use serde_json::json;

use super::*;

const ISSUER: &str = "https://login.example.com/realm";
const NOW: i64 = 1_800_000_000;

fn encode(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn header() -> Value {
    json!({"alg": "RS256", "kid": "k", "typ": "at+jwt"})
}

fn claims() -> Value {
    json!({"iss": ISSUER, "aud": "us", "sub": "u1", "exp": NOW + 300, "iat": NOW, "scope": "openid read"})
}

fn token(header: &Value, claims: &Value) -> String {
    format!("{}.{}.c2ln", encode(header), encode(claims))
}

fn check(token: &str) -> Result<Claims, Reason> {
    let audience = |audience: &str| audience == "us";
    let expected =
        Expected { issuer: ISSUER, audience: &audience, now: Timestamp::from_second(NOW).unwrap() };
    let read = read(token)?;
    read.check(&expected)?;
    read.claims(&expected)
}

fn with(name: &str, value: Value) -> Result<Claims, Reason> {
    let mut claims = claims();
    claims[name] = value;
    check(&token(&header(), &claims))
}

fn without(name: &str) -> Result<Claims, Reason> {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    check(&token(&header(), &claims))
}

fn with_header(name: &str, value: Value) -> Result<Claims, Reason> {
    let mut header = header();
    header[name] = value;
    check(&token(&header, &claims()))
}

#[test]
fn a_good_token_says_who_what_and_how_long() {
    let good = check(&token(&header(), &claims())).unwrap();
    assert_eq!((good.subject.as_str(), good.client.as_deref()), ("u1", None));
    assert_eq!(good.scope, ["openid", "read"]);
    assert_eq!(good.valid_for, Duration::from_secs(360));
    assert_eq!(with("azp", json!("app")).unwrap().client.as_deref(), Some("app"));
    assert_eq!(with("aud", json!(["other", "us"])).unwrap().subject, "u1");
    let mut listed = claims();
    listed.as_object_mut().unwrap().remove("scope");
    listed["scp"] = json!(["read", "write"]);
    assert_eq!(check(&token(&header(), &listed)).unwrap().scope, ["read", "write"]);
    assert!(without("scope").unwrap().scope.is_empty());
    for kind in ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt"] {
        assert!(with_header("typ", json!(kind)).is_ok(), "{kind}");
    }
    let bare = json!({"alg": "EdDSA", "kid": "k"});
    assert!(check(&token(&bare, &claims())).is_ok());
}

#[test]
fn keys_and_addresses_of_keys_in_the_header_are_passed_over() {
    for name in ["jku", "x5u", "jwk", "x5c"] {
        assert!(with_header(name, json!("https://evil.example/keys")).is_ok(), "{name}");
    }
}

#[test]
fn a_header_that_is_not_understood_is_refused() {
    for (name, value) in [
        ("alg", json!("none")),
        ("alg", json!("HS256")),
        ("alg", json!("rs256")),
        ("alg", json!(["RS256"])),
        ("alg", Value::Null),
        ("kid", Value::Null),
        ("kid", json!("")),
        ("kid", json!(1)),
        ("kid", json!("k".repeat(513))),
        ("typ", json!("dpop+jwt")),
        ("typ", json!("logout+jwt")),
        ("typ", json!("")),
        ("typ", json!(1)),
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("b64", json!(false)),
        ("enc", json!("A128GCM")),
    ] {
        assert!(with_header(name, value.clone()).is_err(), "{name} {value}");
    }
    for name in ["alg", "kid"] {
        let mut header = header();
        header.as_object_mut().unwrap().remove(name);
        assert!(check(&token(&header, &claims())).is_err(), "{name}");
    }
}

#[test]
fn a_claim_that_is_wrong_or_cannot_be_read_is_refused() {
    for (name, value) in [
        ("iss", json!("https://login.example.com/realm/")),
        ("iss", json!("https://login.example.com")),
        ("iss", json!([ISSUER])),
        ("aud", json!("them")),
        ("aud", json!(["them"])),
        ("aud", json!([])),
        ("aud", json!(["us", 1])),
        ("aud", json!({"us": true})),
        ("aud", Value::Null),
        ("sub", json!("")),
        ("sub", json!(7)),
        ("sub", json!("a\u{0}b")),
        ("sub", json!("x".repeat(256))),
        ("exp", json!(NOW - 60)),
        ("exp", json!((NOW + 300).to_string())),
        ("exp", Value::Null),
        ("exp", json!(-1)),
        ("exp", json!(1e300)),
        ("nbf", json!(NOW + 61)),
        ("nbf", json!("0")),
        ("nbf", Value::Null),
        ("iat", json!(NOW + 61)),
        ("iat", json!({})),
        ("scope", json!(7)),
        ("scope", json!(["read", 7])),
        ("events", json!({})),
        ("typ", json!("ID")),
        ("typ", json!("Refresh")),
        ("typ", json!(1)),
        ("token_use", json!("id")),
        ("cnf", json!({"jkt": "x"})),
        ("memory_bank_project", json!(["a", "b"])),
        ("memory_bank_project", Value::Null),
    ] {
        assert!(with(name, value.clone()).is_err(), "{name} {value}");
    }
    for name in ["iss", "aud", "sub", "exp"] {
        assert!(without(name).is_err(), "{name}");
    }
    for (name, value) in [
        ("exp", json!(NOW - 59)),
        ("nbf", json!(NOW + 60)),
        ("iat", json!(NOW + 60)),
        ("exp", json!(NOW as f64 + 0.5)),
    ] {
        assert!(with(name, value.clone()).is_ok(), "{name} {value}");
    }
    assert!(without("iat").is_ok());
    for name in ["nonce", "at_hash", "c_hash"] {
        let mut claims = claims();
        claims[name] = json!("x");
        let plain = json!({"alg": "RS256", "kid": "k", "typ": "JWT"});
        assert!(check(&token(&plain, &claims)).is_err(), "{name}");
        assert!(check(&token(&header(), &claims)).is_ok(), "{name}: its header says what it is");
        claims["typ"] = json!("Bearer");
        assert!(check(&token(&plain, &claims)).is_ok(), "{name}: it says itself what it is");
        claims["typ"] = json!("ID");
        assert!(check(&token(&header(), &claims)).is_err(), "{name}");
    }
    assert_eq!(with("memory_bank_project", json!("atlas")).unwrap().project.as_deref(), Some("atlas"));
    assert_eq!(with("typ", json!("Bearer")).unwrap().subject, "u1");
    assert_eq!(with("token_use", json!("access")).unwrap().subject, "u1");
}

#[test]
fn what_is_no_token_is_refused() {
    let good = token(&header(), &claims());
    let [head, body] = [encode(&header()), encode(&claims())];
    let twice = claims().to_string().replacen('{', "{\"sub\": \"evil\", ", 1);
    let twice = format!("{head}.{}.c2ln", URL_SAFE_NO_PAD.encode(twice));
    for text in [
        "",
        ".",
        "..",
        "a.b.c",
        &format!("{head}.{body}"),
        &format!("{good}.x"),
        &format!("{head}.{body}.c2ln="),
        &format!("{head}=.{body}.c2ln"),
        &format!("{head}.{body}.c2l/"),
        &format!(" {good}"),
        &twice,
    ] {
        assert!(check(text).is_err(), "{text}");
    }
    let huge = format!("{good}{}", "A".repeat(LONGEST));
    assert_eq!(check(&huge).unwrap_err(), "the token is too long");
    assert!(has_form(&good) && !has_form("mbmcp_live_a.b.c") && !has_form("eyJhbGciOiJub25lIn0"));
}
