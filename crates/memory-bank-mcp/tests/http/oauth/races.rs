//! Requests at the same time, which real clients make and attackers try.

use super::browser::{
    Browser, CALLBACK, Site, authorize, code_of, connect, exchange, login_code, onward, opens, refresh,
    register, tokens,
};
use crate::client::Reply;
use crate::database::operate;
use crate::replica_set::ReplicaSet;

/// The replies to requests that are sent at the same time.
fn at_once(times: usize, send: impl Fn(usize) -> Reply + Sync) -> Vec<Reply> {
    let send = &send;
    std::thread::scope(|scope| {
        let sent: Vec<_> = (0..times).map(|at| scope.spawn(move || send(at))).collect();
        sent.into_iter().map(|one| one.join().unwrap()).collect()
    })
}

#[test]
fn of_exchanges_of_one_code_at_the_same_time_one_succeeds_and_the_grant_ends() {
    let site = Site::new();
    let client = register(&site.server, &[CALLBACK]);
    let mut browser = Browser::new(&site.server);
    let page = browser.sign_in(&authorize(&client, "read"), &login_code(&site.database, "alice"));
    let code = code_of(&browser.allow(&page, "read"));
    let replies = at_once(8, |_| exchange(&site.server, &client, &code));
    let good: Vec<_> = replies.iter().filter(|reply| reply.status == 200).collect();
    assert_eq!(good.len(), 1, "{replies:?}");
    let got = tokens(&client, &good[0].json());
    assert_eq!(
        (opens(&site.server, &got.access), refresh(&site.server, &client, &got.refresh).status),
        (401, 400)
    );
}

#[test]
fn two_replicas_give_a_client_that_asks_both_the_same_tokens() {
    let replicas = ReplicaSet::new();
    let public = [("PUBLIC_URL", "http://127.0.0.1:3999")];
    let servers = [(); 2].map(|()| replicas.replica_with(&public));
    let mut got = connect(&servers[0], &replicas.database, "alice", "read");
    for _ in 0..3 {
        let replies = at_once(6, |at| refresh(&servers[at % 2], &got.client, &got.refresh));
        let all: Vec<_> = replies.iter().map(|reply| tokens(&got.client, &reply.json())).collect();
        assert!(all.iter().all(|one| (&one.access, &one.refresh) == (&all[0].access, &all[0].refresh)));
        got = all[0].clone();
        assert_eq!(servers.each_ref().map(|server| opens(server, &got.access)), [200, 200]);
    }
}

#[test]
fn a_user_who_is_removed_while_the_page_is_open_gives_nothing() {
    let site = Site::new();
    operate(&site.database, &["users", "create", "bob"]).unwrap();
    let member = |verb: &str, more: &[&str]| {
        let arguments = [&["members", verb, "--project", "atlas", "--user", "bob"], more].concat();
        operate(&site.database, &arguments).unwrap();
    };
    member("add", &["--role", "editor"]);
    let client = register(&site.server, &[CALLBACK]);
    let address = authorize(&client, "read write");
    let mut browser = Browser::new(&site.server);
    let page = browser.sign_in(&address, &login_code(&site.database, "bob"));
    let mut late = Browser::new(&site.server);
    let late_page = late.sign_in(&address, &login_code(&site.database, "bob"));
    member("add", &["--role", "viewer"]);
    // The right that bob has lost meanwhile is not given.
    let less = exchange(&site.server, &client, &code_of(&browser.allow(&page, "read write")));
    assert_eq!(less.json()["scope"], serde_json::json!("read"));
    member("remove", &[]);
    let refused = late.allow(&late_page, "read");
    assert_eq!((refused.status, onward(&refused)), (400, None), "{}", refused.body);
    operate(&site.database, &["users", "remove", "bob"]).unwrap();
    // Nobody is signed in any more.
    let refused = late.allow(&late_page, "read");
    assert_eq!((refused.status, onward(&refused)), (403, None), "{}", refused.body);
    assert!(late.get(&address).body.contains("API key or login code"));
}

#[test]
fn of_allows_of_one_form_at_the_same_time_one_counts() {
    let site = Site::new();
    let client = register(&site.server, &[CALLBACK]);
    let mut browser = Browser::new(&site.server);
    let page = browser.sign_in(&authorize(&client, "read"), &login_code(&site.database, "alice"));
    let cookie = browser.cookie.clone();
    let replies = at_once(6, |_| {
        let mut browser = Browser::new(&site.server);
        browser.cookie.clone_from(&cookie);
        browser.allow(&page, "read")
    });
    let (good, other): (Vec<_>, Vec<_>) = replies.iter().partition(|reply| onward(reply).is_some());
    assert_eq!(good.len(), 1, "{replies:?}");
    assert!(
        other.iter().all(|reply| reply.status == 403 && reply.body.contains("decided already")),
        "{other:?}"
    );
    assert_eq!(site.database.psql("SELECT count(*) FROM app.oauth_grants"), "1");
    assert_eq!(exchange(&site.server, &client, &code_of(good[0])).status, 200);
}
