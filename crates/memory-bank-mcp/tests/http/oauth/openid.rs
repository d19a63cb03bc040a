//! Signing in with an OpenID provider: the whole way, who gets what, and every answer that is not one.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::browser::{
    CALLBACK, authorize, authorize_with, code_of, encode, exchange, hidden, login_code, onward, opens,
    register, tokens,
};
use super::fake_issuer::{Signer, encode as base64, now};
use super::fake_provider::{CLIENT_ID, Provider};
use super::openid_site::{Browser, FORM, OpenIdSite, projects, serve};
use crate::client::Reply;
use crate::database::operate;

fn is_refused(reply: &Reply, status: u16, text: &str) {
    assert_eq!(reply.status, status, "{}", reply.body);
    assert!(reply.body.contains(text), "{}", reply.body);
}

#[test]
fn a_user_signs_in_with_the_provider_and_a_client_gets_its_tokens() {
    let site = OpenIdSite::new();
    let client = register(&site.server, &[CALLBACK]);
    let mut browser = site.browser();
    let begun = browser.begin(&authorize(&client, "read write"));
    let to = begun.reply.header("location").unwrap();
    assert!(to.starts_with(&format!("{}/auth?tenant=a&", site.provider.address)), "{to}");
    let asked = |name: &str| begun.query[name].as_str();
    assert_eq!((asked("response_type"), asked("client_id")), ("code", CLIENT_ID));
    assert_eq!((asked("scope"), asked("code_challenge_method")), ("openid email profile", "S256"));
    assert!(asked("redirect_uri").ends_with("/oauth/openid/callback"));
    let set = begun.reply.header("set-cookie").unwrap();
    assert!(set.contains("HttpOnly") && set.contains("SameSite=Lax"), "{set}");

    let mut claims = site.provider.claims("u1", asked("nonce"));
    claims["groups"] = json!(["dev", "other"]);
    claims["preferred_username"] = json!("<b>Una</b>");
    site.provider.give(&site.provider.id_token(&claims));
    let former = browser.cookies["mbmcp"].clone();
    let back = browser.come_back(&[("code", "c 1"), ("state", asked("state"))]);
    assert_eq!(back.status, 303, "{}", back.body);
    assert!(!browser.cookies.contains_key("mbmcp-openid") && browser.cookies["mbmcp"] != former);
    let next = back.header("location").unwrap().to_owned();
    assert!(next.starts_with("/oauth/authorize?"), "{next}");
    let page = browser.get(&next);
    assert!(page.body.contains("&lt;b&gt;Una&lt;/b&gt; (127.0.0.1)"), "{}", page.body);
    assert_eq!(projects(&page), ["atlas (you are an editor)"]);

    // What the provider was sent belongs to what it was asked for.
    let (form, authorization) = site.provider.exchanges().pop().unwrap();
    let form: BTreeMap<String, String> = url::form_urlencoded::parse(form.as_bytes()).into_owned().collect();
    assert_eq!((form["code"].as_str(), form["redirect_uri"].as_str()), ("c 1", asked("redirect_uri")));
    let hash = ring::digest::digest(&ring::digest::SHA256, form["code_verifier"].as_bytes());
    assert_eq!(base64(hash), asked("code_challenge"));
    assert_eq!(authorization, Provider::basic());

    let code = code_of(&browser.allow(&page, "read write"));
    let given = exchange(&site.server, &client, &code);
    assert_eq!(given.status, 200, "{}", given.body);
    assert_eq!(opens(&site.server, &tokens(&client, &given.json()).access), 200);
    let ends = "SELECT expires_at BETWEEN now() + interval '89 days' AND now() + interval '91 days' FROM app.oauth_grants";
    assert_eq!(site.database.psql(ends), "t", "a grant outlives its user's account at the provider");
    let (metrics, log) = (site.database.psql("SELECT count(*) FROM app.identities"), site.users());
    assert_eq!((metrics.as_str(), log.as_str()), ("1", "2"));
}

#[test]
fn claims_give_projects_and_an_address_counts_only_if_it_was_verified() {
    let site = OpenIdSite::new();
    let at = |email: &str, verified: Value| json!({"email": email, "email_verified": verified});
    assert_eq!(site.offered("u1", &at("a@example.com", json!(true))), ["docs (you are a viewer)"]);
    assert_eq!(site.offered("u2", &json!({"groups": ["boss", "dev"]})), ["atlas (you are an owner)"]);
    let before = site.users();
    for (subject, claims) in [
        ("u3", at("a@example.com", json!(false))),
        ("u4", at("a@example.com", json!("true"))),
        ("u5", json!({"email": "a@example.com"})),
        ("u6", at("a@example.com.evil.example", json!(true))),
        ("u7", json!({"groups": ["Dev", "devs"]})),
        ("alice", json!({"preferred_username": "alice", "name": "alice"})),
    ] {
        let page = site.browser().sign_in(&site.address(), subject, &claims);
        is_refused(&page, 403, "no project here is open to you");
        assert!(page.body.contains(&format!("“{subject}”")), "{}", page.body);
    }
    assert_eq!(site.users(), before, "a stranger was made a user");
}

#[test]
fn an_operator_links_a_user_and_removes_it() {
    let site = OpenIdSite::with(&[("OIDC_MAPPING", "")]);
    let page = site.browser().sign_in(&site.address(), "u1", &json!({"groups": ["dev"]}));
    is_refused(&page, 403, "no project here is open to you");
    let link =
        ["identities", "link", "--user", "alice", "--issuer", &site.provider.address, "--subject", "u1"];
    let id = operate(&site.database, &link).unwrap()["id"].as_str().unwrap().to_owned();
    assert!(operate(&site.database, &link).unwrap_err().contains("exists already"));
    let client = register(&site.server, &[CALLBACK]);
    let mut browser = site.browser();
    let page = browser.sign_in(&authorize(&client, "read"), "u1", &json!({}));
    assert_eq!(projects(&page).len(), 2);
    let code = code_of(&browser.allow(&page, "read"));
    let access = tokens(&client, &exchange(&site.server, &client, &code).json()).access;
    assert_eq!(opens(&site.server, &access), 200);

    let listed = operate(&site.database, &["identities", "list", "--user", "alice"]).unwrap();
    assert_eq!((&listed["total"], &listed["identities"][0]["subject"]), (&json!(1), &json!("u1")));
    operate(&site.database, &["identities", "remove", &id]).unwrap();
    // Without Redis no cache is notified; the database refuses at the next call.
    let call = super::browser::call_with;
    let refused =
        std::panic::catch_unwind(|| call(&site.server, &access, "list_memory_bank_files", &json!({})));
    assert!(
        refused.is_err() || refused.is_ok_and(|reply| reply.body.contains("revoked") || reply.status == 401)
    );
    assert!(browser.get("/oauth/grants").body.contains("Sign in to see"), "the browser is still signed in");
    is_refused(&site.browser().sign_in(&site.address(), "u1", &json!({})), 403, "removed your access");
}

#[test]
fn who_leaves_a_group_loses_the_project_and_its_tokens() {
    let site = OpenIdSite::new();
    let client = register(&site.server, &[CALLBACK]);
    let address = authorize(&client, "read write");
    let mut browser = site.browser();
    let page = browser.sign_in(&address, "u1", &json!({"groups": ["dev"]}));
    let code = code_of(&browser.allow(&page, "read write"));
    let access = tokens(&client, &exchange(&site.server, &client, &code).json()).access;
    assert_eq!(opens(&site.server, &access), 200);
    is_refused(&browser.sign_in("/oauth/grants", "u1", &json!({})), 200, "You have allowed nothing");
    assert_eq!(opens(&site.server, &access), 401, "the token of a former member");
    is_refused(&browser.sign_in(&address, "u1", &json!({})), 403, "There is no project");
    assert_eq!(projects(&browser.sign_in(&address, "u1", &json!({"groups": ["dev"]}))).len(), 1);
    assert_eq!(opens(&site.server, &access), 401, "the token came back");
    // Removed by an operator, the user is not put back.
    let name = site.database.psql("SELECT u.name FROM users u JOIN app.identities i ON i.user_id = u.id");
    operate(&site.database, &["members", "remove", "--project", "atlas", "--user", &name]).unwrap();
    is_refused(&browser.sign_in(&address, "u1", &json!({"groups": ["dev"]})), 403, "There is no project");
    operate(&site.database, &["users", "remove", &name, "--yes"])
        .or_else(|_| operate(&site.database, &["users", "remove", &name]))
        .unwrap();
    is_refused(&browser.sign_in(&address, "u1", &json!({"groups": ["dev"]})), 403, "removed your access");
}

#[test]
fn the_same_address_at_two_issuers_is_two_users() {
    let site = OpenIdSite::new();
    let claims = json!({"email": "a@example.com", "email_verified": true});
    site.offered("u1", &claims);
    let other = Provider::start();
    let server = serve(&site.database, &other, &[]);
    let mut browser = Browser { server: &server, provider: &other, cookies: BTreeMap::new() };
    let address = authorize(&register(&server, &[CALLBACK]), "read");
    is_refused(&browser.sign_in(&address, "u1", &claims), 403, "not set up for Example");
    operate(&site.database, &["identities", "trust", &other.address]).unwrap();
    assert_eq!(browser.sign_in(&address, "u1", &claims).status, 200);
    assert_eq!(site.database.psql("SELECT count(DISTINCT user_id) FROM app.identities"), "2");
}

#[test]
fn an_id_token_that_is_not_for_this_sign_in_signs_nobody_in() {
    let site = OpenIdSite::new();
    let address = site.address();
    let provider = &site.provider;
    let stranger = Signer::new(&provider.signer.id);
    let unsigned = |claims: &Value| {
        let header = json!({"alg": "none", "kid": provider.signer.id});
        format!("{}.{}.", base64(header.to_string()), base64(claims.to_string()))
    };
    type Make<'a> = Box<dyn Fn(Value) -> String + 'a>;
    let with = |name: &'static str, value: Value| -> Make<'_> {
        Box::new(move |mut claims: Value| {
            claims[name] = value.clone();
            provider.id_token(&claims)
        })
    };
    let cases: Vec<(&str, Make<'_>)> = vec![
        ("nonce", with("nonce", json!("another"))),
        ("no nonce", with("nonce", Value::Null)),
        ("audience", with("aud", json!("another"))),
        ("audiences", with("aud", json!([CLIENT_ID, "another"]))),
        ("party", with("azp", json!("another"))),
        ("issuer", with("iss", json!("https://evil.example"))),
        ("expired", with("exp", json!(now() - 61))),
        ("future", with("iat", json!(now() + 120))),
        ("subject", with("sub", json!(""))),
        ("none", Box::new(|claims| unsigned(&claims))),
        ("hash", Box::new(|claims| provider.hashed(&claims))),
        (
            "stranger",
            Box::new(|claims| stranger.token_with(&json!({"alg": "ES256", "kid": stranger.id}), &claims)),
        ),
        ("unknown key", Box::new(|claims| Signer::new("key 2").token(&claims))),
        (
            "other algorithm",
            Box::new(|claims| {
                provider.signer.token_with(&json!({"alg": "RS256", "kid": provider.signer.id}), &claims)
            }),
        ),
        (
            "critical",
            Box::new(|claims| {
                provider
                    .signer
                    .token_with(&json!({"alg": "ES256", "kid": provider.signer.id, "crit": ["b64"]}), &claims)
            }),
        ),
        (
            "twice",
            Box::new(|claims| {
                let text = claims.to_string().replacen('{', "{\"nonce\":\"x\",", 1);
                let header = json!({"alg": "ES256", "kid": provider.signer.id});
                provider.signer.sign(&format!("{}.{}", base64(header.to_string()), base64(text)))
            }),
        ),
        ("nonsense", Box::new(|_| "a.b.c".to_owned())),
        ("empty", Box::new(|_| String::new())),
    ];
    for (what, make) in cases {
        let mut browser = site.browser();
        let begun = browser.begin(&address);
        let mut claims = provider.claims("u1", &begun.query["nonce"]);
        claims["groups"] = json!(["boss"]);
        provider.give(&make(claims));
        let reply = browser.come_back(&[("code", "c"), ("state", &begun.query["state"])]);
        assert_eq!(reply.status, 502, "{what}: {}", reply.body);
        assert!(browser.get(&address).body.contains("API key or login code"), "{what}: signed in");
    }
    for text in [
        b"HTTP/1.1 400 Bad Request\r\ncontent-length: 25\r\n\r\n{\"error\":\"invalid_grant\"}".to_vec(),
        super::fake_issuer::reply("[]"),
        super::fake_issuer::reply("{\"id_token\": 1}"),
        format!("HTTP/1.1 302 Found\r\nlocation: {}/keys\r\ncontent-length: 0\r\n\r\n", provider.address)
            .into_bytes(),
    ] {
        let mut browser = site.browser();
        let begun = browser.begin(&address);
        provider.give_reply(text);
        assert_eq!(browser.come_back(&[("code", "c"), ("state", &begun.query["state"])]).status, 502);
    }
    assert_eq!(site.users(), "1");
}

#[test]
fn an_answer_of_another_browser_or_issuer_is_not_used() {
    let site = OpenIdSite::new();
    let address = site.address();
    let provider = &site.provider;
    // An attacker has signed in, and leads the victim's browser back with the own code.
    let mut attacker = site.browser();
    let begun = attacker.begin(&address);
    let mut claims = provider.claims("eve", &begun.query["nonce"]);
    claims["groups"] = json!(["dev"]);
    let answer = [("code", "c"), ("state", begun.query["state"].as_str())];
    for mut victim in [site.browser(), site.browser()] {
        if victim.cookies.is_empty() {
            victim.begin(&address);
        }
        provider.give(&provider.id_token(&claims));
        is_refused(&victim.come_back(&answer), 403, "Start again");
        is_refused(&site.browser().come_back(&answer), 403, "Start again");
        assert!(victim.get(&address).body.contains("API key or login code"));
    }
    for state in ["", "x", &begun.query["nonce"]] {
        is_refused(&attacker.come_back(&[("code", "c"), ("state", state)]), 403, "Start again");
    }
    is_refused(&attacker.come_back(&[("code", "c")]), 403, "Start again");
    let twice = format!("/oauth/openid/callback?{}&code=d", encode(&answer));
    is_refused(&attacker.get(&twice), 403, "Start again");
    assert_eq!(provider.exchanges().len(), 0, "a code was sent to the provider");
    // A code of another issuer goes nowhere (RFC 9207).
    let mut browser = site.browser();
    let begun = browser.begin(&address);
    let mixed = [("code", "c"), ("state", begun.query["state"].as_str()), ("iss", "https://evil.example")];
    is_refused(&browser.come_back(&mixed), 502, "cannot be used");
    assert_eq!(provider.exchanges().len(), 0, "a code was sent to the wrong provider");
    // An answer is used once.
    is_refused(&browser.come_back(&mixed[..2]), 403, "Start again");
}

#[test]
fn a_provider_that_names_itself_must_do_so() {
    let site = OpenIdSite::new();
    site.provider.set_metadata(json!({
        "authorization_response_iss_parameter_supported": true,
        "token_endpoint_auth_methods_supported": ["client_secret_post"],
    }));
    let mut browser = site.browser();
    let address = site.address();
    let begun = browser.begin(&address);
    let answer = [("code", "c"), ("state", begun.query["state"].as_str())];
    is_refused(&browser.come_back(&answer), 502, "cannot be used");
    let begun = browser.begin(&address);
    let mut claims = site.provider.claims("u1", &begun.query["nonce"]);
    claims["groups"] = json!(["dev"]);
    site.provider.give(&site.provider.id_token(&claims));
    let issuer = site.provider.address.as_str();
    let answer = [("code", "c"), ("state", begun.query["state"].as_str()), ("iss", issuer)];
    assert_eq!(browser.come_back(&answer).status, 303);
    let (form, authorization) = site.provider.exchanges().pop().unwrap();
    assert!(authorization.is_empty() && form.contains("client_secret=a%3Asecret%26"), "{form}");
}

#[test]
fn what_the_id_token_lacks_comes_from_the_user_info_of_the_same_user() {
    let site = OpenIdSite::new();
    site.provider.set_user_info(
        json!({"sub": "u1", "groups": ["dev"], "email": "a@example.com", "email_verified": true}),
    );
    let mut offered = site.offered("u1", &json!({}));
    offered.sort();
    assert_eq!(offered, ["atlas (you are an editor)", "docs (you are a viewer)"]);
    let page = site.browser().sign_in(&site.address(), "u2", &json!({}));
    is_refused(&page, 502, "cannot be used");
}

#[test]
fn a_refusal_or_an_error_of_the_provider_is_a_clear_page() {
    let site = OpenIdSite::new();
    let address = site.address();
    let mut browser = site.browser();
    let begun = browser.begin(&address);
    let denied = browser.come_back(&[("error", "access_denied"), ("state", &begun.query["state"])]);
    is_refused(&denied, 403, "You did not sign in with Example &amp; Co");
    let again =
        denied.body.split("<a href=\"").nth(1).unwrap().split('"').next().unwrap().replace("&amp;", "&");
    assert!(browser.get(&again).body.contains("Sign in with Example"), "{again}");
    for error in ["<script>alert(1)</script>", "x".repeat(500).as_str(), "server_error"] {
        let begun = browser.begin(&address);
        let reply = browser.come_back(&[
            ("error", error),
            ("error_description", "<b>"),
            ("state", &begun.query["state"]),
        ]);
        assert_eq!(reply.status, 502);
        assert!(!reply.body.contains("<script>") && !reply.body.contains("<b>"), "{}", reply.body);
    }
}

#[test]
fn a_provider_that_is_down_leaves_the_other_ways_to_sign_in() {
    let site = OpenIdSite::new();
    site.provider.set_down(true);
    let address = site.address();
    let mut browser = site.browser();
    is_refused(&browser.begin(&address).reply, 503, "Example &amp; Co cannot be reached");
    let page = browser.get(&address);
    let (request, token) = (hidden(&page, "request"), hidden(&page, "token"));
    let secret = login_code(&site.database, "alice");
    let form = encode(&[("request", &request), ("token", &token), ("secret", &secret)]);
    assert_eq!(browser.request("POST", "/oauth/sign-in", &form).status, 303);
    // It was well when the sign-in began, and is down when the browser comes back.
    site.provider.set_down(false);
    let site = OpenIdSite::new();
    let mut browser = site.browser();
    let begun = browser.begin(&site.address());
    site.provider.set_down(true);
    let reply = browser.come_back(&[("code", "c"), ("state", &begun.query["state"])]);
    is_refused(&reply, 503, "cannot be reached");
}

#[test]
fn forms_of_others_begin_nothing_and_no_answer_leads_elsewhere() {
    let site = OpenIdSite::new();
    let address = site.address();
    let mut browser = site.browser();
    let page = browser.get(&address);
    let (request, token) = (hidden(&page, "request"), hidden(&page, "token"));
    for (request, token) in [(request.as_str(), "x"), ("a=b", &token), ("", &token)] {
        let form = encode(&[("request", request), ("token", token)]);
        is_refused(&browser.request("POST", "/oauth/openid", &form), 403, "Start again");
    }
    assert_eq!(
        site.browser()
            .request("POST", "/oauth/openid", &encode(&[("request", &request), ("token", &token)]))
            .status,
        403
    );
    // A prepared cookie leads to a page of this server, whatever is in it.
    let begun = browser.begin(&address);
    let secret = browser.cookies["mbmcp-openid"].split_once('.').unwrap().0.to_owned();
    for next in ["//evil.example/\r\nx: y", "https://evil.example", "\u{0}"] {
        browser.cookies.insert("mbmcp-openid".to_owned(), format!("{secret}.{}", base64(next)));
        let mut claims = site.provider.claims("u1", &begun.query["nonce"]);
        claims["groups"] = json!(["dev"]);
        site.provider.give(&site.provider.id_token(&claims));
        let reply = browser.come_back(&[("code", "c"), ("state", &begun.query["state"])]);
        let to = reply.header("location").unwrap_or_default();
        assert!(to.is_empty() || to.starts_with("/oauth/authorize?"), "{to}");
        assert!(reply.header("x").is_none());
    }
    let long = authorize_with(&register(&site.server, &[CALLBACK]), &[("state", &"x".repeat(6000))]);
    is_refused(&site.browser().begin(&long).reply, 400, "too long");
}

#[test]
fn somebody_else_is_asked_who_it_is() {
    let site = OpenIdSite::new();
    let address = site.address();
    let mut browser = site.browser();
    assert!(!browser.begin(&address).query.contains_key("prompt"));
    let page = browser.sign_in(&address, "u1", &json!({"groups": ["dev"]}));
    let (request, token) = (hidden(&page, "request"), hidden(&page, "token"));
    let form = encode(&[("request", &request), ("token", &token), ("decision", "switch")]);
    let next = browser.request("POST", "/oauth/authorize", &form).header("location").unwrap().to_owned();
    assert_eq!(browser.begin(&next).query["prompt"], "login");
    let page = browser.sign_in(&next, "u2", &json!({"groups": ["boss"]}));
    assert_eq!(projects(&page), ["atlas (you are an owner)"]);
    assert!(onward(&browser.allow(&page, "read")).is_some());
}

#[test]
fn steps_of_sign_ins_are_bounded_for_an_address() {
    let site = OpenIdSite::with(&[("RATE_LIMIT_IP_PER_MINUTE", "10000")]);
    let mut browser = site.browser();
    let begun = browser.begin(&site.address());
    let attempt = browser.cookies["mbmcp-openid"].clone();
    let statuses: Vec<u16> = (0..60)
        .map(|_| {
            browser.cookies.insert("mbmcp-openid".to_owned(), attempt.clone());
            browser.come_back(&[("code", "c"), ("state", &begun.query["state"])]).status
        })
        .collect();
    assert_eq!((statuses[0], statuses[59]), (502, 429));
    assert_eq!(site.provider.exchanges().len(), 59);
}

#[test]
fn without_a_provider_nothing_is_offered() {
    let site = super::browser::Site::new();
    let page =
        site.server.send_bare("GET", &authorize(&register(&site.server, &[CALLBACK]), "read"), &[], "");
    assert!(!page.body.contains("Sign in with"), "{}", page.body);
    assert_eq!(site.server.send_bare("POST", "/oauth/openid", &[FORM], "").status, 404);
    assert_eq!(site.server.send_bare("GET", "/oauth/openid/callback?code=c&state=s", &[], "").status, 404);
}
