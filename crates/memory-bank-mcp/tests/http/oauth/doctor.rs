//! What `doctor` reports of signing in: the server's own address, the OpenID provider and the issuer of tokens.

use std::time::{Duration, Instant};

use memory_bank_test_postgres::{TestDatabase, free_port};
use serde_json::{Value, json};

use super::fake_issuer::{Issuer, Mood, Signer, reply};
use super::fake_provider::Provider;
use crate::client::Server;
use crate::doctor::{Report, doctor, of_database};

const SECRET: &str = "s3cret-of-the-client";

/// The report for an OpenID provider; the doctor's tests look for the secret in it.
fn of_provider(database: &TestDatabase, issuer: &str) -> Report {
    let variables =
        [("OIDC_ISSUER", issuer), ("OIDC_CLIENT_ID", "memory-bank"), ("OIDC_CLIENT_SECRET", SECRET)];
    of_database(&database.url(), &variables)
}

fn of_issuer(database: &TestDatabase, issuer: &str) -> Report {
    of_database(&database.url(), &[("OAUTH_ISSUER", issuer)])
}

#[test]
fn the_address_of_a_running_server_passes() {
    let database = TestDatabase::migrated();
    let (url, port) = (database.url(), free_port().to_string());
    let public = format!("http://127.0.0.1:{port}");
    let variables = [("REDIS_URL", ""), ("MCP_PORT", port.as_str()), ("PUBLIC_URL", public.as_str())];
    let before = of_database(&url, &variables);
    assert_eq!(before.code, Some(0), "{}", before.json);
    before
        .expect_finding("sign_in", &["warning", "cannot be reached from here", &public, "start the server"]);
    let mut of_server = vec![("DATABASE_URL", url.as_str()), ("MCP_HOST", "127.0.0.1")];
    of_server.extend(variables);
    let _server = Server::start(&of_server);
    let report = of_database(&url, &variables);
    assert_eq!(report.code, Some(0), "{}", report.json);
    report.expect_finding("sign_in", &[&format!("ok: clients find the server and its sign-in at {public}")]);
}

#[test]
fn an_address_at_which_something_else_answers_is_an_error() {
    let database = TestDatabase::migrated();
    let url = database.url();
    let report_of = |public: &str| {
        let report = of_database(&url, &[("PUBLIC_URL", public)]);
        report.expect_finding("sign_in", &["error: clients do not find the sign-in", "/oauth/*"]);
        assert_eq!(report.code, Some(1));
        report
    };
    // A server of a folder offers no sign-in.
    let port = free_port().to_string();
    let _folder = Server::start(&[("MCP_PORT", &port)]);
    report_of(&format!("http://127.0.0.1:{port}")).expect_finding(
        "sign_in",
        &[&format!("`http://127.0.0.1:{port}/.well-known/oauth-protected-resource` answers with status 404")],
    );
    // A server that knows itself by another name.
    let port = free_port().to_string();
    let other = "https://other.example.com";
    let _other = Server::start(&[
        ("DATABASE_URL", &url),
        ("REDIS_URL", ""),
        ("MCP_HOST", "127.0.0.1"),
        ("MCP_PORT", &port),
        ("PUBLIC_URL", other),
    ]);
    let public = format!("http://127.0.0.1:{port}");
    report_of(&public)
        .expect_finding("sign_in", &[&format!("has the resource `{other}` instead of `{public}`")]);
}

#[test]
fn an_address_without_https_or_with_a_path_is_refused() {
    let database = TestDatabase::migrated();
    let plain = of_database(&database.url(), &[("PUBLIC_URL", "http://memory.example.com")]);
    plain.expect_finding("sign_in", &["warning: `PUBLIC_URL` is http://memory.example.com, without https"]);
    for faulty in
        ["https://memory.example.com/mcp", "https://memory.example.com?a", "https://user@memory.example.com"]
    {
        let report = of_database(&database.url(), &[("PUBLIC_URL", faulty)]);
        assert_eq!(report.code, Some(1));
        report.expect_finding("configuration", &["error: `PUBLIC_URL` is `", "a scheme and a host"]);
    }
}

#[test]
fn without_an_address_the_report_names_how_clients_connect() {
    let database = TestDatabase::migrated();
    let report = |more: &[(&str, &str)]| of_database(&database.url(), more);
    report(&[]).expect_finding("sign_in", &["ok: clients connect with keys; with `PUBLIC_URL`"]);
    report(&[("ALLOWED_HOSTS", "memory.example.com")])
        .expect_finding("sign_in", &["ok: clients can sign in at memory.example.com, where a proxy"]);
    report(&[("ALLOWED_HOSTS", "memory.example.com"), ("TRUST_PROXY_HOPS", "0")])
        .expect_finding("sign_in", &["ok: clients connect with keys"]);
    let issuer = Issuer::start(&[&Signer::new("1")]);
    let of_issuer = ("OAUTH_ISSUER", issuer.address.as_str());
    report(&[("ALLOWED_HOSTS", "*"), of_issuer])
        .expect_finding("sign_in", &["warning: `OAUTH_ISSUER` has no effect", "set `PUBLIC_URL`"]);
    let folder = doctor(&[of_issuer]);
    folder
        .expect_finding("sign_in", &["warning: `OAUTH_ISSUER` has no effect: a server of a folder has keys"]);
    assert_eq!(doctor(&[]).of("sign_in"), "");
}

#[test]
fn a_provider_and_an_issuer_that_answer_well_pass() {
    let database = TestDatabase::migrated();
    let provider = Provider::start();
    let report = of_provider(&database, &provider.address);
    report.expect_finding("sign_in.openid", &[&format!("ok: {} answers, and has one key", provider.address)]);
    assert_eq!(provider.exchanges().len(), 0, "the secret was sent");
    let issuer = Issuer::start(&[&Signer::new("1"), &Signer::new("2")]);
    let report = of_issuer(&database, &issuer.address);
    report.expect_finding("sign_in.issuer", &[&format!("ok: {} answers, and has 2 keys", issuer.address)]);
    let keys = format!("{}/keys?apikey={SECRET}", issuer.address);
    let report = of_database(
        &database.url(),
        &[("OAUTH_ISSUER", "https://login.example.com"), ("OAUTH_JWKS_URL", &keys)],
    );
    report.expect_finding("sign_in.issuer", &["error", &format!("`{}/keys`", issuer.address), "404"]);
}

#[test]
fn an_issuer_that_is_written_otherwise_is_named() {
    let database = TestDatabase::migrated();
    let provider = Provider::start();
    let other = "https://login.example.com/\u{1b}[31m";
    provider.set_metadata(json!({"issuer": other}));
    let report = of_provider(&database, &provider.address);
    assert_eq!(report.code, Some(1));
    report.expect_finding(
        "sign_in.openid",
        &["error", "another issuer, `https://login.example.com/\\u{1b}[31m`", "write `OIDC_ISSUER` exactly"],
    );
    let issuer = Issuer::start(&[&Signer::new("1")]);
    let report = of_issuer(&database, &format!("{}/", issuer.address));
    report.expect_finding("sign_in.issuer", &["error", &format!("another issuer, `{}`", issuer.address)]);
}

#[test]
fn an_issuer_at_a_dead_address_is_an_error_and_a_silent_one_is_not_waited_for() {
    let database = TestDatabase::migrated();
    let dead = format!("http://127.0.0.1:{}", free_port());
    of_provider(&database, &dead).expect_finding("sign_in.openid", &["error", &dead, "cannot be reached"]);
    of_issuer(&database, &dead).expect_finding("sign_in.issuer", &["error", &dead, "cannot be reached"]);
    let issuer = Issuer::start(&[]);
    issuer.set_mood(Mood::Slow);
    let began = Instant::now();
    let variables = [
        ("PUBLIC_URL", issuer.address.as_str()),
        ("OAUTH_ISSUER", issuer.address.as_str()),
        ("OIDC_ISSUER", issuer.address.as_str()),
        ("OIDC_CLIENT_ID", "memory-bank"),
        ("OIDC_CLIENT_SECRET", SECRET),
    ];
    let report = of_database(&database.url(), &variables);
    report.expect_finding("sign_in", &["warning", "did not arrive within 5 s"]);
    report.expect_finding("sign_in.issuer", &["error", "did not arrive within"]);
    report.expect_finding("sign_in.openid", &["error", "did not arrive within"]);
    assert!(began.elapsed() < Duration::from_secs(25), "{:?}", began.elapsed());
}

#[test]
fn keys_that_are_missing_or_cannot_be_used_are_an_error() {
    let database = TestDatabase::migrated();
    let signer = Signer::new("1");
    let mut unnamed: Value = signer.public();
    unnamed.as_object_mut().unwrap().remove("kid");
    let mut encrypting = signer.public();
    encrypting["use"] = json!("enc");
    let secret = json!({"kty": "oct", "kid": "1", "alg": "HS256", "k": "c2VjcmV0"});
    let issuer = Issuer::start(&[]);
    for keys in [json!([]), json!([unnamed]), json!([encrypting, secret])] {
        issuer.set_mood(Mood::Odd(reply(&json!({"keys": keys}).to_string())));
        let report = of_issuer(&database, &issuer.address);
        assert_eq!(report.code, Some(1), "{keys}");
        report.expect_finding(
            "sign_in.issuer",
            &["error", &format!("`{}/keys` has no key that can be used", issuer.address), "`kid`"],
        );
    }
    issuer.set_mood(Mood::Odd(reply("<html>")));
    of_issuer(&database, &issuer.address)
        .expect_finding("sign_in.issuer", &["error", "it is not a set of keys"]);
}

#[test]
fn a_provider_that_rules_out_what_a_sign_in_needs_is_an_error() {
    let database = TestDatabase::migrated();
    let provider = Provider::start();
    provider.set_metadata(json!({
        "code_challenge_methods_supported": ["plain"],
        "response_types_supported": ["id_token"],
        "scopes_supported": ["openid", "email"],
    }));
    let report = of_provider(&database, &provider.address);
    assert_eq!(report.code, Some(1));
    report.expect_finding(
        "sign_in.openid",
        &[
            "error",
            "`code_challenge_methods_supported`: S256",
            "`response_types_supported`: code",
            "`scopes_supported`: profile",
        ],
    );
    provider.set_metadata(json!({"authorization_endpoint": null}));
    of_provider(&database, &provider.address)
        .expect_finding("sign_in.openid", &["error", "authorization_endpoint"]);
}
