//! Signing in and consenting in a browser: forged forms, prepared cookies, used codes, and taking back.

use super::browser::{
    Browser, CALLBACK, Site, authorize, code_of, exchange, hidden, login_code, onward, opens, register,
    tokens,
};
use crate::client::Server;
use crate::database::key_of;
use crate::database::operate;
use serde_json::json;

#[test]
fn a_login_code_works_once_and_a_new_one_takes_its_place() {
    let site = Site::new();
    let client = register(&site.server, &[CALLBACK]);
    let address = authorize(&client, "read");
    let (old, new) = (login_code(&site.database, "alice"), login_code(&site.database, "alice"));
    let try_with = |secret: &str| Browser::new(&site.server).try_sign_in(&address, secret).status;
    assert_eq!(try_with(&old), 403);
    assert_eq!(try_with(&new.to_lowercase().replace('-', " ")), 303);
    assert_eq!(try_with(&new), 403, "it was used");
    let late = login_code(&site.database, "alice");
    site.database.psql("UPDATE app.oauth_login_codes SET expires_at = now() - interval '1 second'");
    assert_eq!(try_with(&late), 403);
    let token = site.connect("read").access;
    for secret in ["", "mbmcp_live_0123456789abcdefghijklmnopqrstuv", "alice", &token] {
        assert_eq!(try_with(secret), 403, "{secret}");
    }
    assert!(operate(&site.database, &["login-code", "--user", "nobody"]).is_err());
}

#[test]
fn signing_in_makes_a_new_cookie_so_that_a_prepared_one_is_worth_nothing() {
    let site = Site::new();
    let client = register(&site.server, &[CALLBACK]);
    let address = authorize(&client, "read");
    // An attacker has this cookie and puts it into the victim's browser.
    let mut attacker = Browser::new(&site.server);
    attacker.get(&address);
    let mut victim = Browser::new(&site.server);
    victim.cookie.clone_from(&attacker.cookie);
    victim.sign_in(&address, &login_code(&site.database, "alice"));
    assert_ne!(victim.cookie, attacker.cookie);
    assert!(attacker.get(&address).body.contains("API key or login code"), "the attacker is signed in");
}

#[test]
fn a_cookie_is_for_this_server_alone() {
    let site = Site::new();
    let client = register(&site.server, &[CALLBACK]);
    let page = Browser::new(&site.server).get(&authorize(&client, "read"));
    let cookie = page.header("set-cookie").unwrap();
    assert!(cookie.starts_with("mbmcp=mbmcp_si_"), "{cookie}");
    for word in ["HttpOnly", "SameSite=Lax", "Path=/", "Max-Age="] {
        assert!(cookie.contains(word), "{cookie}");
    }
    let url = site.database.url();
    let variables =
        [("DATABASE_URL", url.as_str()), ("REDIS_URL", ""), ("PUBLIC_URL", "https://memory.example.com")];
    let server = Server::start(&variables);
    let host = [("Host", "memory.example.com")];
    let page = Browser::new(&server).request("GET", &authorize(&client, "read"), &host, "");
    assert_eq!(page.status, 200, "{}", page.body);
    let cookie = page.header("set-cookie").unwrap();
    assert!(cookie.starts_with("__Host-mbmcp=") && cookie.contains("; Secure"), "{cookie}");
}

#[test]
fn a_forged_form_of_consent_is_refused() {
    let site = Site::new();
    let client = register(&site.server, &[CALLBACK]);
    let mut browser = Browser::new(&site.server);
    let page = browser.sign_in(&authorize(&client, "read"), &login_code(&site.database, "alice"));
    let (request, token) = (hidden(&page, "request"), hidden(&page, "token"));
    let project = site.project("atlas");
    let wider = request.replace("scope=read", "scope=read%20write%20admin");
    assert_ne!(request, wider);
    let evil = register(&site.server, &["https://evil.example/"]);
    let other = request.replace(&client, &evil);
    for (request, token) in
        [(&request, ""), (&request, "0"), (&wider, token.as_str()), (&other, token.as_str())]
    {
        let parameters = [
            ("request", request.as_str()),
            ("token", token),
            ("project", &project),
            ("read", "yes"),
            ("write", "yes"),
            ("decision", "allow"),
        ];
        let refused = browser.post("/oauth/authorize", &parameters);
        assert_eq!((refused.status, refused.header("location")), (403, None), "{}", refused.body);
    }
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    let body = super::browser::encode(&[
        ("request", &request),
        ("token", &token),
        ("project", &project),
        ("read", "yes"),
        ("decision", "allow"),
    ]);
    for (name, value) in [
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
        ("Origin", "https://evil.example"),
    ] {
        let refused = browser.request("POST", "/oauth/authorize", &[form, (name, value)], &body);
        assert_eq!((refused.status, refused.header("location")), (403, None), "{name}: {}", refused.body);
    }
    let mut stranger = Browser::new(&site.server);
    assert_eq!(stranger.request("POST", "/oauth/authorize", &[form], &body).status, 403);
    assert_eq!(site.database.psql("SELECT count(*) FROM app.oauth_grants"), "0");
    let origin = format!("http://{}", site.server.address);
    let own = [form, ("Origin", origin.as_str()), ("Sec-Fetch-Site", "same-origin")];
    assert!(onward(&browser.request("POST", "/oauth/authorize", &own, &body)).is_some());
}

#[test]
fn no_right_that_was_not_requested_or_chosen_is_given() {
    let site = Site::new();
    let client = register(&site.server, &[CALLBACK]);
    let mut browser = Browser::new(&site.server);
    let page = browser.sign_in(&authorize(&client, "read write"), &login_code(&site.database, "alice"));
    assert!(!page.body.contains("name=\"admin\""), "{}", page.body);
    let got = exchange(&site.server, &client, &code_of(&browser.allow(&page, "write admin"))).json();
    assert_eq!(got["scope"], json!("write"));
    let page = browser.sign_in(&authorize(&client, "read write"), &login_code(&site.database, "alice"));
    let none = browser.allow(&page, "admin");
    assert_eq!((none.status, onward(&none)), (400, None), "{}", none.body);
    // A decision that was not possible does not end the sign-in.
    assert!(onward(&browser.allow(&none, "read")).is_some());
    // What can lose something is never chosen to begin with.
    let page = browser.sign_in(&authorize(&client, "read write admin"), &login_code(&site.database, "alice"));
    assert!(page.body.contains("name=\"write\" value=\"yes\" checked>"), "{}", page.body);
    assert!(page.body.contains("name=\"admin\" value=\"yes\">"), "{}", page.body);
}

#[test]
fn a_user_sees_what_it_has_allowed_and_takes_it_back() {
    let site = Site::new();
    let got = site.connect("read write");
    operate(&site.database, &["users", "create", "bob"]).unwrap();
    operate(&site.database, &["members", "add", "--project", "atlas", "--user", "bob", "--role", "owner"])
        .unwrap();
    let sign_in = |user: &str| {
        let mut browser = Browser::new(&site.server);
        let page = browser.get("/oauth/grants");
        let token = hidden(&page, "token");
        let secret = login_code(&site.database, user);
        assert_eq!(browser.post("/oauth/grants", &[("token", &token), ("secret", &secret)]).status, 303);
        browser
    };
    let grant = site.database.psql("SELECT id FROM app.oauth_grants");
    let mut bob = sign_in("bob");
    let page = bob.get("/oauth/grants");
    assert!(page.body.contains("You have allowed nothing"), "{}", page.body);
    bob.post("/oauth/grants", &[("token", &hidden(&page, "token")), ("grant", &grant)]);
    assert_eq!(opens(&site.server, &got.access), 200, "another user took it back");
    let mut alice = sign_in("alice");
    let page = alice.get("/oauth/grants");
    assert!(page.body.contains("Test &lt;client&gt;") && page.body.contains(&grant), "{}", page.body);
    assert_eq!(alice.post("/oauth/grants", &[("token", "forged"), ("grant", &grant)]).status, 403);
    assert_eq!(opens(&site.server, &got.access), 200);
    let token = hidden(&page, "token");
    assert_eq!(alice.post("/oauth/grants", &[("token", &token), ("grant", &grant)]).status, 303);
    assert_eq!(opens(&site.server, &got.access), 401);
    assert!(alice.get("/oauth/grants").body.contains("You have allowed nothing"));
    alice.post("/oauth/grants", &[("token", &token), ("sign_out", "yes")]);
    assert!(alice.get("/oauth/grants").body.contains("API key or login code"));
}

#[test]
fn an_operator_lists_and_revokes_grants() {
    let site = Site::new();
    let got = site.connect("read write");
    let listed = operate(&site.database, &["grants", "list", "--project", "atlas"]).unwrap();
    let grant = &listed["grants"][0];
    assert_eq!(
        (&listed["total"], &grant["user"], &grant["scopes"]),
        (&json!(1), &json!("alice"), &json!(["read", "write"]))
    );
    assert_eq!((&grant["clientHost"], &grant["revokedAt"]), (&json!("client.example"), &json!(null)));
    let id = grant["id"].as_str().unwrap();
    assert_eq!(opens(&site.server, &got.access), 200);
    operate(&site.database, &["grants", "revoke", id]).unwrap();
    let again = tokens(&got.client, &got.reply);
    assert_eq!(opens(&site.server, &again.access), 401);
    assert_eq!(operate(&site.database, &["grants", "list"]).unwrap()["total"], json!(0));
    let all = operate(&site.database, &["grants", "list", "--user", "alice", "--all"]).unwrap();
    assert_eq!(all["grants"][0]["revokedFor"], json!("operator"));
    assert!(operate(&site.database, &["grants", "revoke", id]).unwrap_err().contains("there is no grant"));
    let key = operate(&site.database, &["keys", "create", "--user", "alice", "--project", "atlas"]).unwrap();
    assert!(key_of(&key).starts_with("mbmcp_live_"), "keys stay as they are");
}
