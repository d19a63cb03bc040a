//! Tokens of an outside authorization server: what they open, and what ends them.

use serde_json::{Value, json};

use super::browser::{Browser, hidden, login_code};
use super::fake_issuer::{Issuer, Signer};
use crate::client::{JSON, MCP_ACCEPT, Reply, Server, call, command, handshake, until};
use crate::database::operate;
use crate::redis::Redis;
use crate::replica_set::ReplicaSet;
use memory_bank_test_postgres::MIGRATOR;
use tempfile::TempDir;

/// A key that nobody has.
const GUESS: &str = "mbmcp_live_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// The resource of the servers, whatever their port is.
pub(super) const RESOURCE: &str = "http://127.0.0.1:3999/mcp";

/// An issuer whose user `u1` is alice, who owns `atlas`.
pub(super) struct Outside {
    pub(super) replicas: ReplicaSet,
    pub(super) issuer: Issuer,
    pub(super) signer: Signer,
}

impl Outside {
    pub(super) fn new() -> Self {
        let replicas = ReplicaSet::new();
        let signer = Signer::new("key 1");
        let issuer = Issuer::start(&[&signer]);
        let outside = Self { replicas, issuer, signer };
        outside.psql(&format!("INSERT INTO app.issuers (issuer) VALUES ('{}')", outside.issuer.address));
        outside.link("u1", "alice");
        outside
    }

    pub(super) fn server(&self, more: &[(&str, &str)]) -> Server {
        let mut variables =
            vec![("PUBLIC_URL", "http://127.0.0.1:3999"), ("OAUTH_ISSUER", &self.issuer.address)];
        variables.extend(more);
        self.replicas.replica_with(&variables)
    }

    /// Links a subject of the issuer to a user.
    pub(super) fn link(&self, subject: &str, user: &str) {
        self.replicas.database.psql(&format!(
            "INSERT INTO app.identities (issuer, subject, user_id) SELECT '{}', '{subject}', id FROM users WHERE name = '{user}'",
            self.issuer.address
        ));
    }

    pub(super) fn user(&self, name: &str, role: &str) {
        operate(&self.replicas.database, &["users", "create", name]).unwrap();
        operate(
            &self.replicas.database,
            &["members", "add", "--project", "atlas", "--user", name, "--role", role],
        )
        .unwrap();
    }

    pub(super) fn claims(&self, subject: &str) -> Value {
        self.issuer.claims(subject, RESOURCE)
    }

    pub(super) fn token(&self, subject: &str) -> String {
        self.signer.token(&self.claims(subject))
    }

    /// A token with one other claim.
    pub(super) fn token_with(&self, subject: &str, name: &str, value: Value) -> String {
        let mut claims = self.claims(subject);
        claims[name] = value;
        self.signer.token(&claims)
    }

    pub(super) fn psql(&self, sql: &str) -> String {
        self.replicas.database.psql(sql)
    }

    pub(super) fn rows(&self) -> usize {
        self.psql("SELECT count(*) FROM api_keys WHERE grant_id IS NOT NULL").parse().unwrap()
    }

    /// One of the operator's commands, which notifies the replicas.
    fn notify(&self, arguments: &[&str]) {
        let redis = self.replicas.redis.as_ref().unwrap().url();
        let database = self.replicas.database.url_of(MIGRATOR);
        let variables = [("DATABASE_URL", database.as_str()), ("REDIS_URL", redis.as_str())];
        let output =
            command(&TempDir::new().unwrap(), &variables).args(arguments).arg("--json").output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    }
}

/// The reply to a handshake with a token.
pub(super) fn open(server: &Server, token: &str) -> Reply {
    let bearer = format!("Bearer {token}");
    let headers = [JSON, MCP_ACCEPT, ("Authorization", bearer.as_str())];
    server.send_bare("POST", "/mcp", &headers, &handshake("2025-11-25").to_string())
}

pub(super) fn use_session(
    server: &Server,
    session: &str,
    token: &str,
    tool: &str,
    arguments: &Value,
) -> Reply {
    let bearer = format!("Bearer {token}");
    let headers = [JSON, MCP_ACCEPT, ("Authorization", bearer.as_str()), ("Mcp-Session-Id", session)];
    server.send_bare("POST", "/mcp", &headers, &call(7, tool, arguments).to_string())
}

/// A call of a tool in a session of its own.
pub(super) fn call_with(server: &Server, token: &str, tool: &str, arguments: &Value) -> Reply {
    let opened = open(server, token);
    assert_eq!(opened.status, 200, "{}", opened.body);
    use_session(server, opened.header("mcp-session-id").unwrap(), token, tool, arguments)
}

fn refused(reply: &Reply, status: u16, text: &str) {
    assert_eq!(reply.status, status, "{}", reply.body);
    assert!(reply.body.contains(text), "{}", reply.body);
}

#[test]
fn a_token_becomes_a_row_at_first_sight_and_acts_as_a_key_on_all_replicas() {
    let outside = Outside::new();
    let [one, two] = [(); 2].map(|()| outside.server(&[]));
    let token = outside.token("u1");
    let write = json!({"filename": "a.md", "content": "x"});
    call_with(&one, &token, "initialize_memory_bank", &json!({"path": "."}));
    let opened = open(&one, &token);
    let session = opened.header("mcp-session-id").unwrap();
    for server in [&one, &two] {
        assert_eq!(use_session(server, session, &token, "write_memory_bank_file", &write).status, 200);
    }
    // The client's next token continues its session, in the same grant.
    let next = outside.token("u1");
    assert_eq!(use_session(&two, session, &next, "write_memory_bank_file", &write).status, 200);
    assert_eq!(outside.rows(), 2);
    let grants =
        outside.psql("SELECT issuer || ' ' || client_id || ' ' || scopes::text FROM app.oauth_grants");
    assert_eq!(grants, format!("{} app {{read,write}}", outside.issuer.address));
    let stored =
        outside.psql("SELECT k::text FROM api_keys k UNION ALL SELECT g::text FROM app.oauth_grants g");
    assert!(!stored.contains(&token) && !stored.contains(token.rsplit('.').next().unwrap()));
    assert_eq!(outside.psql("SELECT count(*) FROM app.audit_log WHERE action = 'grant.created'"), "1");
    // Each replica read metadata and keys once.
    assert_eq!(outside.issuer.fetched(), 4);
    // A row lives for an hour, whatever the token says, and is made anew before its end.
    outside.psql("ALTER TABLE api_keys DISABLE TRIGGER guard; UPDATE api_keys SET expires_at = now() + interval '20 seconds' \
        WHERE grant_id IS NOT NULL; ALTER TABLE api_keys ENABLE TRIGGER guard");
    let three = outside.server(&[]);
    assert_eq!(open(&three, &token).status, 200);
    assert_eq!(outside.psql("SELECT count(*) FROM api_keys WHERE grant_id IS NOT NULL AND expires_at > now() + interval '4 minutes'"), "1");
}

#[test]
fn a_token_opens_one_project_that_it_or_the_operator_names_or_the_only_one() {
    let outside = Outside::new();
    let server = outside.server(&[]);
    let project = |token: &str| {
        assert_eq!(open(&server, token).status, 200);
        outside.psql("SELECT p.slug FROM api_keys k JOIN projects p ON p.id = k.project_id WHERE k.grant_id IS NOT NULL \
            ORDER BY k.created_at DESC LIMIT 1")
    };
    assert_eq!(project(&outside.token("u1")), "atlas");
    operate(&outside.replicas.database, &["projects", "create", "beacon", "--owner", "alice"]).unwrap();
    refused(&open(&server, &outside.token("u1")), 403, "several projects");
    assert_eq!(project(&outside.token_with("u1", "memory_bank_project", json!("beacon"))), "beacon");
    operate(&outside.replicas.database, &["users", "create", "bob"]).unwrap();
    outside.link("u2", "bob");
    refused(&open(&server, &outside.token("u2")), 403, "member of no project");
    let foreign = outside.token_with("u2", "memory_bank_project", json!("atlas"));
    refused(&open(&server, &foreign), 403, "not a member of the project");
    refused(&open(&server, &outside.token("nobody")), 403, "not known here");
    let set = outside.server(&[("OAUTH_PROJECT", "beacon")]);
    assert_eq!(open(&set, &outside.token("u1")).status, 200);
    let last = "SELECT p.slug FROM api_keys k JOIN projects p ON p.id = k.project_id WHERE k.grant_id IS NOT NULL \
        ORDER BY k.created_at DESC LIMIT 1";
    assert_eq!(outside.psql(last), "beacon");
}

#[test]
fn a_token_has_the_rights_of_its_scope_and_role() {
    let outside = Outside::new();
    let server = outside.server(&[]);
    call_with(&server, &outside.token("u1"), "initialize_memory_bank", &json!({"path": "."}));
    let write = json!({"filename": "a.md", "content": "x"});
    for scope in [json!("read"), json!(format!("{RESOURCE}/read")), json!(["openid", "read"])] {
        let reader = outside.token_with("u1", "scope", scope);
        let reply = call_with(&server, &reader, "write_memory_bank_file", &write);
        assert_eq!(reply.status, 403, "{}", reply.body);
        assert!(reply.header("www-authenticate").unwrap().contains("insufficient_scope"), "{reply:?}");
    }
    let none = open(&server, &outside.token_with("u1", "scope", json!("openid email READ")));
    refused(&none, 403, "none of the scopes");
    assert!(
        none.header("www-authenticate")
            .unwrap()
            .contains("error=\"insufficient_scope\", scope=\"read write\"")
    );
    let generous = outside.server(&[("OAUTH_DEFAULT_SCOPES", "read write")]);
    let plain = outside.token_with("u1", "scope", json!("openid"));
    assert_eq!(call_with(&generous, &plain, "write_memory_bank_file", &write).status, 200);
    outside.user("vera", "viewer");
    outside.link("u2", "vera");
    let all = outside.token_with("u2", "scope", json!("read write admin"));
    let reply = call_with(&server, &all, "write_memory_bank_file", &write);
    assert_eq!((reply.status, reply.message()["result"]["isError"].clone()), (200, json!(true)));
    // A token manages no keys.
    let bearer = format!("Bearer {}", outside.token("u1"));
    refused(
        &server.send_bare("GET", "/api/keys", &[("Authorization", &bearer)], ""),
        403,
        "cannot manage keys",
    );
}

/// On two replicas, a token that was used on both is void on both.
fn ends(cause: &str, end: impl FnOnce(&Outside)) -> Outside {
    let outside = Outside::new();
    let [one, two] = [(); 2].map(|()| outside.server(&[]));
    outside.user("bob", "owner");
    outside.link("u2", "bob");
    let token = outside.token("u2");
    let files = |server: &Server| call_with(server, &token, "list_memory_bank_files", &json!({}));
    for server in [&one, &two] {
        assert_eq!(files(server).status, 200, "{cause}");
    }
    let session = open(&two, &token).header("mcp-session-id").unwrap().to_owned();
    end(&outside);
    // What reads from the bank is refused at once, whatever caches contain.
    let reply = use_session(&two, &session, &token, "list_memory_bank_files", &json!({}));
    assert!(matches!(reply.status, 401 | 403), "{cause}: {} {}", reply.status, reply.body);
    for server in [&one, &two] {
        until(cause, || matches!(open(server, &token).status, 401 | 403));
        // A new server has no cache.
        assert!(matches!(open(&outside.server(&[]), &token).status, 401 | 403), "{cause}");
    }
    outside
}

#[test]
fn what_is_taken_back_stays_so_for_later_tokens_until_an_operator_allows_it() {
    let outside = ends("a revoked grant", |outside| {
        let grant = outside.psql(
            "SELECT g.id FROM app.oauth_grants g JOIN users u ON u.id = g.user_id WHERE u.name = 'bob'",
        );
        outside.notify(&["grants", "revoke", &grant]);
    });
    let server = outside.server(&[]);
    let next = outside.token("u2");
    refused(&open(&server, &next), 401, "revoked");
    // Other clients of the user, and other users of the client, are let in.
    assert_eq!(open(&server, &outside.token_with("u2", "client_id", json!("other"))).status, 200);
    assert_eq!(open(&server, &outside.token("u1")).status, 200);
    let grant = outside.psql("SELECT id FROM app.oauth_grants WHERE revoked_for = 'operator'");
    outside.notify(&["grants", "allow", &grant]);
    assert_eq!(open(&server, &outside.token("u2")).status, 200);
}

#[test]
fn a_user_takes_back_what_a_client_of_the_issuer_has_and_its_streams_end() {
    let outside = Outside::new();
    let [one, two] = [(); 2].map(|()| outside.server(&[]));
    let token = outside.token("u1");
    assert_eq!(open(&one, &token).status, 200);
    let mut stream = two.listen_without_session_as(&token, &[]);
    let mut browser = Browser::new(&one);
    let page = browser.get("/oauth/grants");
    let (form, code) = (hidden(&page, "token"), login_code(&outside.replicas.database, "alice"));
    browser.post("/oauth/grants", &[("token", &form), ("secret", &code)]);
    let page = browser.get("/oauth/grants");
    assert!(page.body.contains("app") && page.body.contains("127.0.0.1"), "{}", page.body);
    let grant = outside.psql("SELECT id FROM app.oauth_grants");
    let form = hidden(&page, "token");
    assert_eq!(browser.post("/oauth/grants", &[("token", &form), ("grant", &grant)]).status, 303);
    while stream.next().is_some() {}
    for server in [&one, &two] {
        until("the end of the grant", || open(server, &token).status == 401);
        refused(&open(server, &outside.token("u1")), 401, "revoked");
    }
}

#[test]
fn many_first_requests_with_one_token_make_one_row() {
    let outside = Outside::new();
    let [one, two] = [(); 2].map(|()| outside.server(&[]));
    let token = outside.token("u1");
    let refusals: Vec<String> = std::thread::scope(|scope| {
        let requests: Vec<_> = (0..40)
            .map(|n| if n % 2 == 0 { &one } else { &two })
            .map(|server| scope.spawn(|| open(server, &token)))
            .collect();
        let replies = requests.into_iter().map(|request| request.join().unwrap());
        replies.filter(|reply| reply.status != 200).map(|reply| reply.body).collect()
    });
    assert_eq!(refusals, [""; 0]);
    assert_eq!((outside.rows(), outside.psql("SELECT count(*) FROM app.oauth_grants")), (1, "1".to_owned()));
}

/// One replica's late entry in Redis would refuse a token that another replica has admitted meanwhile.
#[test]
fn redis_never_has_a_verified_token_as_unknown() {
    let mut outside = Outside::new();
    let redis = Redis(outside.replicas.redis.take().unwrap());
    let [one, two] = [(); 2].map(|()| outside.server(&[]));
    let guess = || {
        assert_eq!(
            one.send_bare("POST", "/mcp", &[JSON, MCP_ACCEPT, ("X-API-Key", GUESS)], "{}").status,
            401
        );
    };
    let of_the_guess = redis.cached_key(guess);
    refused(&open(&one, &outside.token("new")), 403, "not known here");
    assert_eq!(redis.keys("apikey"), [of_the_guess]);
    outside.user("bob", "viewer");
    outside.link("new", "bob");
    assert_eq!([&one, &two].map(|server| open(server, &outside.token("new")).status), [200, 200]);
}

#[test]
fn a_removed_member_user_or_identity_loses_its_tokens_at_once() {
    let outside = ends("a removed member", |outside| {
        outside.notify(&["members", "remove", "--project", "atlas", "--user", "bob"]);
    });
    outside.notify(&["members", "add", "--project", "atlas", "--user", "bob", "--role", "viewer"]);
    assert_eq!(open(&outside.server(&[]), &outside.token("u2")).status, 200, "it is a member again");
    drop(outside);
    ends("a removed user", |outside| outside.notify(&["users", "remove", "bob"]));
    let outside = ends("a removed identity", |outside| {
        outside.psql("DELETE FROM app.identities WHERE subject = 'u2'");
    });
    assert_eq!(open(&outside.server(&[]), &outside.token("u2")).status, 403);
    drop(outside);
    let outside = ends("an issuer that is not trusted any more", |outside| {
        outside.psql("DELETE FROM app.issuers");
    });
    refused(&open(&outside.server(&[]), &outside.token("u2")), 403, "not trusted");
}

#[test]
fn claims_give_projects_and_take_back_what_they_gave() {
    let outside = Outside::new();
    let server =
        outside.server(&[("OAUTH_MAPPING", "group:dev=atlas:editor,domain:example.com=atlas:viewer")]);
    let token = |claims: &[(&str, Value)]| {
        let mut all = outside.claims("new");
        for (name, value) in claims {
            all[*name] = value.clone();
        }
        outside.signer.token(&all)
    };
    let role = || {
        outside.psql("SELECT m.role FROM memberships m JOIN app.identities i ON i.user_id = m.user_id WHERE i.subject = 'new'")
    };
    let unverified = [("email", json!("x@example.com")), ("email_verified", json!(false))];
    assert_eq!(open(&server, &token(&unverified)).status, 403);
    let developer = token(&[("groups", json!(["dev", "ops"]))]);
    assert_eq!((open(&server, &developer).status, role()), (200, "editor".to_owned()));
    let verified = [("email", json!("x@example.com")), ("email_verified", json!(true))];
    assert_eq!((open(&server, &token(&verified)).status, role()), (200, "viewer".to_owned()));
    assert_eq!((open(&server, &token(&[])).status, role()), (403, String::new()));
    // What the earlier tokens opened is gone with the membership.
    until("the end of the membership", || open(&server, &developer).status != 200);
}

#[test]
fn a_demoted_owner_has_the_rights_of_its_new_role_at_once() {
    let outside = Outside::new();
    let server = outside.server(&[]);
    call_with(&server, &outside.token("u1"), "initialize_memory_bank", &json!({"path": "."}));
    outside.user("bob", "owner");
    outside.link("u2", "bob");
    let token = outside.token("u2");
    let write = json!({"filename": "a.md", "content": "x"});
    let written = call_with(&server, &token, "write_memory_bank_file", &write);
    assert_eq!(written.message()["result"]["isError"], json!(false), "{}", written.body);
    outside.notify(&["members", "add", "--project", "atlas", "--user", "bob", "--role", "viewer"]);
    let written = call_with(&server, &token, "write_memory_bank_file", &write);
    assert_ne!(written.message()["result"]["isError"], json!(false), "{}", written.body);
}

#[test]
fn metadata_leads_clients_to_the_issuer_first_unless_told_otherwise() {
    let outside = Outside::new();
    let servers = |server: &Server| {
        let reply = server.send_bare("GET", "/.well-known/oauth-protected-resource/mcp", &[], "");
        reply.json()["authorization_servers"].clone()
    };
    let own = "http://127.0.0.1:3999";
    assert_eq!(servers(&outside.server(&[])), json!([outside.issuer.address, own]));
    assert_eq!(servers(&outside.server(&[("OAUTH_ISSUER_SIGN_IN", "false")])), json!([own]));
}

#[test]
fn expired_rows_are_removed_and_blocks_are_kept() {
    let outside = Outside::new();
    let server = outside.server(&[]);
    assert_eq!(open(&server, &outside.token("u1")).status, 200);
    assert_eq!(open(&server, &outside.token_with("u1", "client_id", json!("blocked"))).status, 200);
    outside.psql("UPDATE app.oauth_grants SET revoked_at = now() - interval '99 days', revoked_for = 'user' WHERE client_id = 'blocked'");
    outside.psql("ALTER TABLE api_keys DISABLE TRIGGER guard; UPDATE api_keys SET expires_at = now() - interval '2 days' \
        WHERE grant_id IS NOT NULL; ALTER TABLE api_keys ENABLE TRIGGER guard; \
        UPDATE app.oauth_grants SET refreshed_at = now() - interval '2 days'");
    outside.psql("SELECT app.purge_oauth(1000)");
    assert_eq!(
        (outside.rows(), outside.psql("SELECT client_id FROM app.oauth_grants")),
        (0, "blocked".to_owned())
    );
}
