//! Revoked and expired keys, and paths of the host in replies.

use serde_json::{Value, json};

use super::members::{Person, reads};
use super::projects::{Ids, world};
use super::tool_calls::cases;
use crate::client::{JSON, Server};
use crate::database::{key_of, operate};

#[test]
fn a_key_revoked_elsewhere_is_refused_at_once_also_without_redis() {
    let world = world();
    let boris = Person::new(&world.server, "boris", world.key("boris"), false, "common");
    boris.data("write_memory_bank_file", &json!({"filename": "notes.md", "content": "common"}));
    let listed = [("X-API-Key", boris.key.as_str())];
    assert_eq!(world.server.send_bare("GET", "/api/keys", &listed, "").status, 200);
    // Another process revokes the key and cannot notify this server.
    operate(&world.database, &["keys", "revoke", &world.id("boris")]).unwrap();
    for (tool, arguments) in [
        ("read_memory_bank_file", json!({"filename": "notes.md"})),
        ("search_memory_bank", json!({"query": "common"})),
        ("write_memory_bank_file", json!({"filename": "notes.md", "content": "mine"})),
    ] {
        // The server admits the first call and the database refuses it; the cache entry is evicted, so later calls are not admitted.
        let reply = boris.call(tool, &arguments);
        assert!(reply["result"]["isError"] == json!(true) || reply["error"].is_string(), "{reply}");
        assert!(reply.to_string().contains("revoked"), "{reply}");
    }
    for _ in 0..2 {
        let refused = world.server.send_bare("GET", "/api/keys", &listed, "");
        assert_eq!((refused.status, refused.json()), (401, json!({"error": "API key has been revoked"})));
        assert!(refused.header("www-authenticate").unwrap().starts_with("Bearer error=\"invalid_token\""));
    }
    assert_eq!(boris.post(&json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"})).status, 401);
}

#[test]
fn an_expired_key_gets_401_with_the_reason() {
    let world = world();
    let expire =
        format!("UPDATE api_keys SET expires_at = now() - interval '1 s' WHERE id = '{}'", world.id("vera"));
    world.database.psql(&expire);
    let vera = world.key("vera");
    for (method, path) in [("POST", "/mcp"), ("GET", "/api/keys")] {
        let refused = world.server.send_bare(method, path, &[("X-API-Key", &vera)], "");
        assert_eq!((refused.status, refused.json()), (401, json!({"error": "API key has expired"})));
        assert!(refused.header("www-authenticate").unwrap().starts_with("Bearer error=\"invalid_token\""));
    }
}

#[test]
fn over_http_no_reply_shows_a_path_of_the_host() {
    let server = Server::start(&[("RATE_LIMIT_IP_PER_MINUTE", "0")]);
    let made = server.send("POST", "/api/keys", &[JSON], "{\"rateLimit\":0}").json();
    let alice = Person::new(&server, "alice", key_of(&made), false, "common");
    let folder = server.folder.path().to_str().unwrap().to_owned();
    let mut ids = Ids { slug: folder.clone(), ..Ids::default() };
    let show = |what: &str, reply: &Value| {
        assert!(
            !reply.to_string().contains(&folder),
            "{what} shows where the server keeps its files: {reply}"
        );
    };
    ids.slug = "elsewhere".to_owned();
    for tool in alice.tools() {
        for own in [true, false] {
            for arguments in cases(&tool, "common", &ids, own) {
                let reply = alice.call(&tool, &arguments);
                if tool == "create_backup" && arguments == json!({}) {
                    let id = &reply["result"]["structuredContent"]["backupId"];
                    id.as_str().unwrap().clone_into(&mut ids.backup);
                }
                show(&format!("{tool} {arguments}"), &reply);
            }
        }
    }
    for (method, params) in reads(&alice, "Shared Thing") {
        show(&format!("{method} {params}"), &alice.request(method, &params));
    }
    // A client cannot choose the folder of a backup either.
    assert!(!server.folder.path().join("common").exists());
}
