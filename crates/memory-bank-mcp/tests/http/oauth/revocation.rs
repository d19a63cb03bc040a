//! Whatever ends a grant ends it at once on all replicas: also for what they answer from their caches, and for open
//! streams.

use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

use super::browser::{
    Browser, Site, Tokens, assert_error, connect, connect_with, hidden, login_code, post_form, refresh,
};
use crate::client::{Server, command, send_sessionless_to, until};
use crate::database::{key_of, operate};
use crate::replica_set::ReplicaSet;
use memory_bank_test_postgres::MIGRATOR;

/// The status of a request that a server answers from its caches.
fn lists(server: &Server, token: &str) -> u16 {
    send_sessionless_to(&server.address, token, "tools/list", None, &json!({})).status
}

/// One of the operator's commands, which notifies the replicas.
fn notify(replicas: &ReplicaSet, arguments: &[&str]) {
    let redis = replicas.redis.as_ref().unwrap().url();
    let database = replicas.database.url_of(MIGRATOR);
    let variables = [("DATABASE_URL", database.as_str()), ("REDIS_URL", redis.as_str())];
    let output =
        command(&TempDir::new().unwrap(), &variables).args(arguments).arg("--json").output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
}

/// Two replicas, and what ends a grant of bob's that was given on the first.
struct Ends {
    replicas: ReplicaSet,
    one: Server,
    two: Server,
}

impl Ends {
    fn new() -> Self {
        let replicas = ReplicaSet::new();
        let public = [("PUBLIC_URL", "http://127.0.0.1:3999")];
        let [one, two] = [(); 2].map(|()| replicas.replica_with(&public));
        operate(&replicas.database, &["users", "create", "bob"]).unwrap();
        Self { replicas, one, two }
    }

    fn operate(&self, arguments: &[&str]) -> serde_json::Value {
        operate(&self.replicas.database, arguments).unwrap()
    }

    fn key(&self) -> (String, String) {
        let made = self.operate(&["keys", "create", "--user", "bob", "--project", "atlas"]);
        (made["id"].as_str().unwrap().to_owned(), key_of(&made))
    }

    fn grant(&self) -> String {
        self.replicas.database.psql("SELECT id FROM app.oauth_grants WHERE revoked_at IS NULL")
    }

    /// A grant from this key or login code is used everywhere, and ends everywhere.
    fn ends(&self, cause: &str, secret: &str, end: impl FnOnce(&Tokens)) {
        let got = connect_with(&self.one, secret, "read write");
        for server in [&self.one, &self.two] {
            assert_eq!(lists(server, &got.access), 200, "{cause}");
        }
        let mut stream = self.two.listen_without_session_as(&got.access, &[]);
        end(&got);
        for server in [&self.one, &self.two] {
            // Without a notification a replica believes its cache for a minute.
            let begun = Instant::now();
            until(cause, || lists(server, &got.access) == 401);
            assert!(begun.elapsed() < Duration::from_secs(30), "{cause}: {:?}", begun.elapsed());
        }
        while stream.next().is_some() {}
        assert_error(&refresh(&self.two, &got.client, &got.refresh), "invalid_grant");
        assert_eq!(self.grant(), "", "{cause}");
    }
}

#[test]
fn the_end_of_a_grant_reaches_the_caches_and_streams_of_all_replicas() {
    let ends = Ends::new();
    let database = &ends.replicas.database;
    let member = ["members", "add", "--project", "atlas", "--user", "bob", "--role", "editor"];
    ends.operate(&member);
    let code = || login_code(database, "bob");
    ends.ends("an operator revokes the grant", &code(), |_| {
        notify(&ends.replicas, &["grants", "revoke", &ends.grant()]);
    });
    ends.ends("an operator deletes the application", &code(), |got| {
        notify(&ends.replicas, &["oauth-clients", "delete", &got.client]);
    });
    ends.ends("its client revokes the refresh token", &code(), |got| {
        let parameters = [("client_id", got.client.as_str()), ("token", &got.refresh)];
        assert_eq!(post_form(&ends.one, "/oauth/revoke", &parameters).status, 200);
    });
    ends.ends("its user takes it back", &code(), |_| {
        let mut browser = Browser::new(&ends.one);
        let page = browser.get("/oauth/grants");
        let (token, secret) = (hidden(&page, "token"), code());
        browser.post("/oauth/grants", &[("token", &token), ("secret", &secret)]);
        let page = browser.get("/oauth/grants");
        let (token, grant) = (hidden(&page, "token"), ends.grant());
        assert_eq!(browser.post("/oauth/grants", &[("token", &token), ("grant", &grant)]).status, 303);
    });
    let (id, key) = ends.key();
    ends.ends("an operator revokes the key that its user signed in with", &key, |_| {
        notify(&ends.replicas, &["keys", "revoke", &id]);
    });
    let (id, key) = ends.key();
    ends.ends("that key is rotated", &key, |_| notify(&ends.replicas, &["keys", "rotate", &id]));
    let (id, key) = ends.key();
    ends.ends("that key loses a scope", &key, |_| {
        notify(&ends.replicas, &["keys", "update", &id, "--scopes", "read"]);
    });
    let (id, key) = ends.key();
    let (_, manager) = ends.key();
    let owner = ["members", "add", "--project", "atlas", "--user", "bob", "--role", "owner"];
    ends.operate(&owner);
    ends.ends("an owner revokes that key over HTTP", &key, |_| {
        let named = [("X-API-Key", manager.as_str())];
        let reply = ends.one.send_bare("DELETE", &format!("/api/keys/{id}"), &named, "");
        assert_eq!(reply.status, 200, "{}", reply.body);
    });
    ends.operate(&member);
    ends.ends("the member is removed", &code(), |_| {
        notify(&ends.replicas, &["members", "remove", "--project", "atlas", "--user", "bob"]);
    });
    ends.operate(&member);
    ends.ends("the user is removed", &code(), |_| notify(&ends.replicas, &["users", "remove", "bob"]));
}

#[test]
fn a_grant_expires_no_later_than_the_key_that_its_user_signed_in_with() {
    let site = Site::new();
    let made = operate(&site.database, &["keys", "create", "--user", "alice", "--project", "atlas"]).unwrap();
    connect_with(&site.server, &key_of(&made), "read write");
    let same =
        "SELECT g.expires_at = k.expires_at FROM app.oauth_grants g JOIN api_keys k ON k.id = g.by_key";
    assert_eq!(site.database.psql(same), "", "neither expires");
    operate(&site.database, &["keys", "update", made["id"].as_str().unwrap(), "--expires-days", "1"])
        .unwrap();
    assert_eq!(site.database.psql(same), "t");
    site.database.psql("UPDATE api_keys SET expires_at = now() + interval '1 minute' WHERE grant_id IS NULL");
    let token =
        "SELECT t.expires_at <= g.expires_at FROM api_keys t JOIN app.oauth_grants g ON g.id = t.grant_id";
    assert_eq!((site.database.psql(same), site.database.psql(token)), ("t".to_owned(), "t".to_owned()));
}

#[test]
fn an_operator_lists_and_deletes_applications() {
    let site = Site::new();
    let got = connect(&site.server, &site.database, "alice", "read");
    let uri = "https://chat.example/callback";
    operate(&site.database, &["oauth-clients", "create", "--name", "Chat", "--redirect-uri", uri]).unwrap();
    let listed = operate(&site.database, &["oauth-clients", "list"]).unwrap();
    assert_eq!(listed["total"], json!(2));
    let [chat, test] = [0, 1].map(|at| listed["clients"][at].clone());
    assert_eq!(
        (&chat["name"], &chat["registeredBy"], &chat["expiresAt"]),
        (&json!("Chat"), &json!("operator"), &json!(null))
    );
    assert_eq!(
        (&test["clientId"], &test["registeredBy"], &test["grants"]),
        (&json!(got.client), &json!("itself"), &json!(1))
    );
    let deleted = operate(&site.database, &["oauth-clients", "delete", &got.client]).unwrap();
    assert_eq!(deleted["endedGrants"], json!(1));
    assert_error(&refresh(&site.server, &got.client, &got.refresh), "invalid_grant");
    let again = operate(&site.database, &["oauth-clients", "delete", &got.client]).unwrap_err();
    assert!(again.contains("there is no client"), "{again}");
    assert_eq!(operate(&site.database, &["oauth-clients", "list"]).unwrap()["total"], json!(1));
}
