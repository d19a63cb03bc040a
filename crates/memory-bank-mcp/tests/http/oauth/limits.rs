//! Bounds of requests that need no key: they hold for all replicas together, and for each alone while Redis is down.

use serde_json::json;

use super::browser::{Browser, CALLBACK, FORM, authorize};
use crate::client::{JSON, Server, until};
use crate::replica_set::{ReplicaSet, health};

const LIMITED: [(&str, &str); 2] =
    [("PUBLIC_URL", "http://127.0.0.1:3999"), ("RATE_LIMIT_IP_PER_MINUTE", "1000")];

fn register(server: &Server) -> u16 {
    let body = json!({"redirect_uris": [CALLBACK]}).to_string();
    server.send_bare("POST", "/oauth/register", &[JSON], &body).status
}

fn exchange(server: &Server) -> u16 {
    let body = "grant_type=refresh_token&client_id=x&refresh_token=mbmcp_rt_x";
    server.send_bare("POST", "/oauth/token", &[FORM], body).status
}

fn fetch(server: &Server, at: usize) -> String {
    // A name that cannot exist (RFC 6761).
    let client = format!("https://client{at}.invalid/app.json");
    Browser::new(server).get(&authorize(&client, "read")).body
}

/// The number of requests that are not refused with 429 when they are sent to the servers in turn.
fn admitted(servers: &[&Server], times: usize, send: impl Fn(&Server) -> u16) -> usize {
    let turns = servers.iter().cycle().take(times);
    turns.filter(|server| send(server) != 429).count()
}

#[test]
fn two_replicas_have_one_bound_for_registrations_sign_ins_exchanges_and_documents() {
    let replicas = ReplicaSet::new();
    let [one, two] = [(); 2].map(|()| replicas.replica_with(&LIMITED));
    let both = [&one, &two];
    assert_eq!(admitted(&both, 14, register), 10);
    let client = replicas.database.psql("SELECT id FROM app.oauth_clients LIMIT 1");
    let wrong = |server: &Server| {
        Browser::new(server).try_sign_in(&authorize(&client, "read"), "0000-0000-0000-0000").status
    };
    assert_eq!(admitted(&both, 14, wrong), 10);
    assert_eq!(admitted(&both, 130, exchange), 120);
    let documents: Vec<String> = (0..24).map(|at| fetch(both[at % 2], at)).collect();
    let refused = documents.iter().filter(|page| page.contains("applications are looked up"));
    assert_eq!(refused.count(), 4);
}

#[test]
fn without_redis_each_replica_counts_alone_and_also_what_it_admitted_before() {
    let mut replicas = ReplicaSet::new();
    let [one, two] = [(); 2].map(|()| replicas.replica_with(&LIMITED));
    assert_eq!(admitted(&[&one], 4, register), 4);
    replicas.stop_redis();
    until("the report that Redis is gone", || {
        health(&one)["redis"] == "error" && health(&two)["redis"] == "error"
    });
    assert_eq!(admitted(&[&one], 12, register), 6);
    assert_eq!(admitted(&[&two], 12, register), 10);
}
