//! A refusal costs the same for a missing code, token or key as for a void one, and secrets are found by their hash: the time of a
//! reply reveals nothing. Round trips are counted, since a time limit would fail on a slow machine.

use memory_bank_test_postgres::proxy::CountingProxy;
use memory_bank_test_postgres::{SERVER, TestDatabase};

use super::browser::{
    Browser, CALLBACK, authorize, code_of, connect, exchange_with, login_code, post_form, refresh, register,
};
use crate::client::Reply;
use crate::database::{operate, serve_through};

/// Measurements of each case. The least counts: periodic work may add to a measurement and never takes from it.
const TIMES: usize = 5;

#[test]
fn a_refusal_costs_the_same_whatever_its_cause() {
    let database = TestDatabase::migrated();
    operate(&database, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap();
    let proxy = CountingProxy::to(database.port());
    let url = format!("postgres://{SERVER}@127.0.0.1:{}/{}?sslmode=disable", proxy.port(), database.name());
    let server = serve_through(&url, "");
    let got = connect(&server, &database, "alice", "read");
    let client = register(&server, &[CALLBACK]);
    let mut browser = Browser::new(&server);
    let page = browser.sign_in(&authorize(&client, "read"), &login_code(&database, "alice"));
    let code = code_of(&browser.allow(&page, "read"));
    let wrong = [("code_verifier", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM")];
    let unknown = "mbmcp_rt_0123456789abcdefghijklmnopqrstuv";
    let cost = |send: &dyn Fn() -> Reply| {
        let mut costs = Vec::new();
        for _ in 0..TIMES {
            proxy.take();
            let reply = send();
            assert_eq!(reply.status, 400, "{}", reply.body);
            costs.push((proxy.take(), reply.body));
        }
        costs.into_iter().min().unwrap()
    };
    // A code that exists, without what belongs to it, and one that does not exist.
    let existing = cost(&|| exchange_with(&server, &client, &code, &wrong));
    let missing =
        cost(&|| exchange_with(&server, &client, "mbmcp_ac_0123456789abcdefghijklmnopqrstuv", &wrong));
    assert_eq!(existing, missing);
    // So with refresh tokens: of another client, and none.
    let existing = cost(&|| refresh(&server, &client, &got.refresh));
    let missing = cost(&|| refresh(&server, &client, unknown));
    assert_eq!(existing, missing);
    // Revocation answers all alike.
    let revoked = |token: &str| {
        let send =
            || post_form(&server, "/oauth/revoke", &[("client_id", client.as_str()), ("token", token)]);
        let costs = (0..TIMES).map(|_| {
            proxy.take();
            let reply = send();
            assert_eq!((reply.status, reply.body.as_str()), (200, ""));
            proxy.take()
        });
        costs.min().unwrap()
    };
    assert_eq!(revoked(&got.refresh), revoked(unknown));
}
