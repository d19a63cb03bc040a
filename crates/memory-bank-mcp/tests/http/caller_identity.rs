//! The caller of a request is proved by its key in the database, never by entries in Redis or by a server's cache.

use memory_bank_core::identity::PlainKey;
use memory_bank_test_postgres::{MIGRATOR, TestDatabase};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{JSON, Server, call, command, handshake};
use crate::database::{key_of, operate, operate_at};
use crate::history::{Member, member};
use crate::redis::Redis;

/// A well-formed key that was never issued.
const MADE_UP: &str = "mbmcp_live_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn serve(database: &TestDatabase, redis: &str, key: &str) -> Server {
    let mut server = Server::start(&[
        ("DATABASE_URL", &database.url()),
        ("REDIS_URL", redis),
        ("MCP_HOST", "127.0.0.1"),
        ("RATE_LIMIT_IP_PER_MINUTE", "0"),
    ]);
    key.clone_into(&mut server.key);
    server
}

/// An operator's command that notifies running servers.
fn operate_with_redis(database: &TestDatabase, redis: &str, arguments: &[&str]) {
    let folder = TempDir::new().unwrap();
    let url = database.url_of(MIGRATOR);
    let variables = [("DATABASE_URL", url.as_str()), ("REDIS_URL", redis)];
    let output = command(&folder, &variables).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_copied_cache_entry_gives_no_access_and_creates_no_key() {
    let database = TestDatabase::migrated();
    let redis = Redis::start();
    let alice = operate(&database, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap();
    let mut server = serve(&database, &redis.url(), &key_of(&alice["key"]));
    let session = server.initialize();
    server.call(&session, "initialize_memory_bank", &json!({"path": "."}));
    server.subscribe(&session, "memory-bank://active-context.md");
    let list = call(7, "list_memory_bank_files", &json!({}));
    let hers = redis.cached_key(|| assert_eq!(server.post(Some(&session), &list).status, 200));
    let (prefix, _) = hers.rsplit_once(':').unwrap();
    let forged = format!("{prefix}:{}", MADE_UP.parse::<PlainKey>().unwrap().hash().to_hex());
    assert!(redis.run(&format!("COPY {hers} stolen")).contains(":1"));
    // A server that has not seen the made-up key queries Redis first.
    let poison = || assert!(redis.run(&format!("COPY stolen {forged} REPLACE")).contains(":1"));
    server.key = MADE_UP.to_owned();
    let in_session =
        [JSON, ("Mcp-Session-Id", session.as_str()), ("Accept", "application/json, text/event-stream")];
    let tries: Vec<(&str, &str, String)> = vec![
        ("POST", "/api/keys", "{}".to_owned()),
        ("GET", "/api/keys", String::new()),
        ("POST", "/mcp", handshake("2025-11-25").to_string()),
        ("POST", "/mcp", call(2, "read_memory_bank_file", &json!({"filename": "progress.md"})).to_string()),
        ("POST", "/mcp", call(3, "search_memory_bank", &json!({"query": "progress"})).to_string()),
        (
            "POST",
            "/mcp",
            call(4, "track_progress", &json!({"action": "stolen", "description": "x"})).to_string(),
        ),
        ("POST", "/mcp", json!({"jsonrpc": "2.0", "id": 5, "method": "resources/list"}).to_string()),
        (
            "POST",
            "/mcp",
            json!({"jsonrpc": "2.0", "id": 6, "method": "resources/subscribe",
                "params": {"uri": "memory-bank://progress.md"}})
            .to_string(),
        ),
        ("GET", "/mcp", String::new()),
        ("DELETE", "/mcp", String::new()),
    ];
    for (method, path, body) in tries {
        poison();
        let headers = if body.contains("\"initialize\"") { &in_session[..1] } else { &in_session[..] };
        let reply = server.send(method, path, headers, &body);
        let refused =
            reply.status == 401 || reply.status == 403 || reply.body.contains("API key has been revoked");
        assert!(
            refused && !reply.body.contains("# "),
            "{method} {path} {body}: {} {}",
            reply.status,
            reply.body
        );
        assert!(
            !(500..600).contains(&reply.status),
            "{method} {path} {body}: {} {}",
            reply.status,
            reply.body
        );
        // The forged entry is evicted, so the next request queries the database.
        assert_eq!(server.send("GET", "/api/keys", &[], "").status, 401, "after {method} {path} {body}");
        redis.run(&format!("DEL {forged}"));
    }
    assert_eq!(database.psql("SELECT count(*) FROM api_keys"), "1");
    assert_eq!(database.psql("SELECT count(*) FROM sessions"), "1");
    assert_eq!(database.psql("SELECT count(*) FROM documents WHERE content LIKE '%stolen%'"), "0");
    server.key = key_of(&alice["key"]);
    assert!(server.call(&session, "list_memory_bank_files", &json!({})).contains("progress.md"));
}

#[test]
fn a_copied_cache_entry_gives_no_access_to_a_folder() {
    let redis = Redis::start();
    let mut server = Server::start(&[("REDIS_URL", &redis.url()), ("RATE_LIMIT_IP_PER_MINUTE", "0")]);
    let own = redis.cached_key(|| assert_eq!(server.send("GET", "/api/keys", &[], "").status, 200));
    let (prefix, _) = own.rsplit_once(':').unwrap();
    let forged = format!("{prefix}:{}", MADE_UP.parse::<PlainKey>().unwrap().hash().to_hex());
    assert!(redis.run(&format!("COPY {own} {forged} REPLACE")).contains(":1"));
    server.key = MADE_UP.to_owned();
    assert_eq!(server.send("POST", "/api/keys", &[JSON], "{}").status, 401);
    assert_eq!(server.send("POST", "/mcp", &[JSON], &handshake("2025-11-25").to_string()).status, 401);
}

#[test]
fn a_demotion_from_owner_to_viewer_applies_at_once() {
    let database = TestDatabase::migrated();
    let redis = Redis::start();
    operate(&database, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap();
    operate(&database, &["users", "create", "bob"]).unwrap();
    let member = |role| ["members", "add", "--project", "atlas", "--user", "bob", "--role", role];
    operate(&database, &member("owner")).unwrap();
    let bob = operate(&database, &["keys", "create", "--user", "bob", "--project", "atlas"]).unwrap();
    let server = serve(&database, &redis.url(), &key_of(&bob));
    let session = server.initialize();
    server.call(&session, "initialize_memory_bank", &json!({"path": "."}));
    let tools = || {
        let list = json!({"jsonrpc": "2.0", "id": 4, "method": "tools/list"});
        server.post(Some(&session), &list).message().to_string()
    };
    assert!(tools().contains("restore_backup"));
    assert_eq!(server.send("GET", "/api/keys", &[], "").status, 200);
    // By a command, which notifies the servers.
    operate_with_redis(&database, &redis.url(), &member("viewer"));
    crate::client::until("the role is forgotten", || !tools().contains("restore_backup"));
    assert_eq!(server.send("POST", "/api/keys", &[JSON], "{}").status, 403);

    // SQL notifies no server: the next call that queries the database is refused, and the cache entry is evicted.
    for role in ["owner", "viewer"] {
        operate_with_redis(&database, &redis.url(), &member(role));
        if role == "owner" {
            crate::client::until("the role is known", || tools().contains("restore_backup"));
            database.psql("UPDATE memberships SET role = 'viewer' WHERE user_id = (SELECT id FROM users WHERE name = 'bob')");
            let refused = server.send("POST", "/api/keys", &[JSON], "{}");
            assert_eq!(refused.status, 403, "{}", refused.body);
            assert!(!tools().contains("restore_backup"), "the cached role was still used");
            database.psql("UPDATE memberships SET role = 'owner' WHERE user_id = (SELECT id FROM users WHERE name = 'bob')");
            operate_with_redis(&database, &redis.url(), &member("owner"));
            crate::client::until("the role is known", || tools().contains("restore_backup"));
            database.psql("UPDATE memberships SET role = 'viewer' WHERE user_id = (SELECT id FROM users WHERE name = 'bob')");
            let write = call(9, "write_memory_bank_file", &json!({"filename": "a.md", "content": "x"}));
            let refused = server.post(Some(&session), &write);
            assert_eq!(
                (refused.status, &refused.message()["result"]["isError"]),
                (200, &json!(true)),
                "{}",
                refused.body
            );
            assert!(!tools().contains("restore_backup"), "the cached role was still used");
        }
    }
    assert_eq!(database.psql("SELECT count(*) FROM api_keys"), "2");
}

/// A write-only key appends to an existing document, and sees none of it.
fn appends_blindly(server: &mut Server, owner: &str, writer: &str) {
    owner.clone_into(&mut server.key);
    let session = server.initialize();
    server.call(&session, "initialize_memory_bank", &json!({"path": "."}));
    let track = |server: &Server, session: &str, action: &str| {
        server.call(session, "track_progress", &json!({"action": action, "description": "done"}))
    };
    track(server, &session, "first");
    let before: Value = serde_json::from_str(&server.call(&session, "list_memory_bank_files", &json!({})))
        .unwrap_or(Value::Null);
    writer.clone_into(&mut server.key);
    let blind = server.initialize();
    for action in ["second", "third"] {
        let message = track(server, &blind, action);
        assert!(!message.contains("first"), "{message}");
    }
    let read =
        server.post(Some(&blind), &call(7, "read_memory_bank_file", &json!({"filename": "progress.md"})));
    assert!(!read.body.contains("first"), "{}", read.body);
    owner.clone_into(&mut server.key);
    let text = server.call(&session, "read_memory_bank_file", &json!({"filename": "progress.md"}));
    for action in ["first", "second", "third"] {
        assert_eq!(text.matches(&format!("{action}: done")).count(), 1, "{action} in {text}");
    }
    let after: Value = serde_json::from_str(&server.call(&session, "list_memory_bank_files", &json!({})))
        .unwrap_or(Value::Null);
    assert_eq!(before["files"].as_array().map(Vec::len), after["files"].as_array().map(Vec::len));
}

#[test]
fn a_write_only_key_appends_to_existing_documents_in_a_database() {
    let database = TestDatabase::migrated();
    let alice = operate(&database, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap();
    let writer =
        operate(&database, &["keys", "create", "--user", "alice", "--project", "atlas", "--scopes", "write"])
            .unwrap();
    let mut server = serve(&database, "", &key_of(&alice["key"]));
    appends_blindly(&mut server, &key_of(&alice["key"]), &key_of(&writer));
    assert_eq!(database.psql("SELECT count(*) FROM documents WHERE path LIKE 'progress%'"), "1");
}

#[test]
fn a_write_only_key_appends_to_existing_documents_in_a_folder() {
    let mut server = Server::start(&[("RATE_LIMIT_IP_PER_MINUTE", "0")]);
    let owner = server.key.clone();
    let writer = server.send("POST", "/api/keys", &[JSON], "{\"scopes\":[\"write\"]}").json();
    appends_blindly(&mut server, &owner, &key_of(&writer));
}

#[test]
fn an_operator_command_with_the_server_login_names_the_required_role() {
    let database = TestDatabase::migrated();
    operate(&database, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap();
    let folder = TempDir::new().unwrap();
    let to = folder.path().join("out").display().to_string();
    for arguments in [
        vec!["bootstrap", "--user", "eve", "--project", "eve"],
        vec!["users", "list"],
        vec!["projects", "list"],
        vec!["members", "list", "--project", "atlas"],
        vec!["keys", "create", "--user", "alice", "--project", "atlas"],
        vec!["audit", "list"],
        vec!["export", "--project", "atlas", "--to", &to],
        vec!["backup", "--project", "atlas", "--to", &to],
    ] {
        let refused = operate_at(&database.url(), &arguments).unwrap_err();
        for words in ["schema's owner", "`DATABASE_URL`", memory_bank_test_postgres::SERVER] {
            assert!(refused.contains(words), "{arguments:?}: {refused}");
        }
    }
    assert_eq!(database.psql("SELECT count(*) FROM api_keys"), "1");
}

#[test]
fn the_author_of_a_change_is_the_owner_of_the_key_whatever_the_arguments_say() {
    let database = TestDatabase::migrated();
    let made = operate(&database, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap();
    let alice = Member::new(&database, &made["key"]);
    let bob = Member::new(&database, &member(&database, "bob", "editor"));
    alice.call("initialize_memory_bank", &json!({"path": "."}));
    alice.call("graph_upsert_entity", &json!({"name": "Api", "entityType": "service"}));
    let mut written = 0;
    for name in ["author", "user", "userName", "by", "createdBy", "_meta"] {
        let mut fact = json!({"entity": "Api", "text": format!("{name} is given")});
        fact[name] = json!("alice");
        let mut progress = json!({"action": "Wrote", "description": format!("{name} was given")});
        progress[name] = json!("alice");
        let mut note = json!({"note": format!("{name} is noted")});
        note[name] = json!("alice");
        for (tool, arguments) in
            [("graph_add_observation", fact), ("track_progress", progress), ("add_session_note", note)]
        {
            let reply = bob.reply(tool, &arguments);
            written += usize::from(reply["result"]["isError"] == false);
        }
    }
    bob.call("graph_add_observation", &json!({"entity": "Api", "text": "is fast"}));
    bob.call("track_progress", &json!({"action": "Wrote", "description": "without a name"}));
    println!("{written} calls with a name of another user were not refused");
    let facts = alice.versions(&json!({"entity": "Api"}));
    let (of_alice, of_bob): (Vec<_>, Vec<_>) = facts.iter().partition(|version| version["by"] == "alice");
    assert!(of_alice.len() == 1 && of_bob.iter().all(|version| version["by"] == "bob"), "{facts:#?}");
    assert!(!of_bob.is_empty());
    let progress =
        alice.call("read_memory_bank_file", &json!({"filename": "progress.md"}))["content"].to_string();
    assert!(progress.contains("[bob]") && !progress.contains("[alice]"), "{progress}");
    for name in ["progress.md", "active-context.md"] {
        let versions = alice.versions(&json!({"filename": name}));
        let newest = versions.iter().filter(|version| version["tool"] != "initialize_memory_bank");
        assert!(
            newest.clone().count() > 0 && newest.clone().all(|version| version["by"] == "bob"),
            "{versions:#?}"
        );
    }
}
