//! A server with a planted bank, and clients whose keys have chosen scopes.

use memory_bank_test_postgres::TestDatabase;
use serde_json::{Value, json};

use crate::client::{JSON, Listener, MCP_ACCEPT, Reply, Server, handshake, structured, tool_names};
use crate::database::{key_of, operate, serve};

/// A word in every text of the bank, and in no call of keys without `read`.
pub(super) const CANARY: &str = "zwetschgenmus";

/// A server, and its database if it has one.
pub(super) struct World {
    pub(super) server: Server,
    _database: Option<TestDatabase>,
}

/// A server on a folder, and one on PostgreSQL.
pub(super) fn worlds() -> [World; 2] {
    let roomy = [("RATE_LIMIT_IP_PER_MINUTE", "0")];
    let mut folder = Server::start(&roomy);
    let all = made(&folder, &json!({"rateLimit": 0}));
    all["key"].as_str().unwrap().clone_into(&mut folder.key);
    let database = TestDatabase::migrated();
    operate(&database, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap();
    let owner = ["keys", "create", "--user", "alice", "--project", "atlas", "--rate-limit", "0"];
    let server = serve(&database, &key_of(&operate(&database, &owner).unwrap()));
    [World { server: folder, _database: None }, World { server, _database: Some(database) }]
}

pub(super) fn made(server: &Server, wanted: &Value) -> Value {
    let reply = server.send("POST", "/api/keys", &[JSON], &wanted.to_string());
    assert_eq!(reply.status, 201, "{}", reply.body);
    reply.json()
}

/// A key in a session of its user.
pub(super) struct Client<'a> {
    pub(super) server: &'a Server,
    pub(super) key: String,
    pub(super) id: String,
    pub(super) session: String,
}

impl<'a> Client<'a> {
    /// A new key of the server's user with these scopes, in a separate session.
    pub(super) fn with(server: &'a Server, scopes: &[&str]) -> Self {
        let made = made(server, &json!({"scopes": scopes, "rateLimit": 0}));
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        let mut client = Self { server, key: text("key"), id: text("id"), session: String::new() };
        let reply = client.send(&[JSON, MCP_ACCEPT], &handshake("2025-11-25").to_string());
        reply.header("mcp-session-id").unwrap().clone_into(&mut client.session);
        client
    }

    /// The same key in the session of another client.
    pub(super) fn in_session_of(&self, other: &Client<'_>) -> Self {
        Self {
            server: self.server,
            key: self.key.clone(),
            id: self.id.clone(),
            session: other.session.clone(),
        }
    }

    pub(super) fn send(&self, headers: &[(&str, &str)], body: &str) -> Reply {
        let mut all = vec![("X-API-Key", self.key.as_str())];
        all.extend(headers);
        self.server.send_bare("POST", "/mcp", &all, body)
    }

    pub(super) fn post(&self, message: &Value) -> Reply {
        self.send(&[JSON, MCP_ACCEPT, ("Mcp-Session-Id", self.session.as_str())], &message.to_string())
    }

    pub(super) fn request(&self, method: &str, params: &Value) -> Value {
        self.post(&json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params})).message()
    }

    /// The same request by the sessionless protocol.
    pub(super) fn request_without_session(&self, method: &str, params: &Value) -> Reply {
        let name = ["name", "uri"].iter().find_map(|name| params[*name].as_str().map(str::to_owned));
        crate::client::send_sessionless_to(&self.server.address, &self.key, method, name.as_deref(), params)
    }

    pub(super) fn call(&self, tool: &str, arguments: &Value) -> Value {
        self.request("tools/call", &json!({"name": tool, "arguments": arguments}))
    }

    /// The structured result of a call that must succeed.
    pub(super) fn data(&self, tool: &str, arguments: &Value) -> Value {
        let reply = self.call(tool, arguments);
        assert_eq!(reply["result"]["isError"], json!(false), "{tool} {arguments}: {reply}");
        structured(&reply)
    }

    pub(super) fn tools(&self) -> Vec<String> {
        let listed = self.request("tools/list", &json!({}));
        tool_names(&listed)
    }

    pub(super) fn listen(&self, last_event: Option<&str>) -> Listener {
        self.server.listen_as(&self.key, &self.session, last_event)
    }

    /// Changes the scopes of the key, with the server's own key.
    pub(super) fn change_scopes(&self, scopes: &[&str]) {
        let path = format!("/api/keys/{}", self.id);
        let reply = self.server.send("PATCH", &path, &[JSON], &json!({"scopes": scopes}).to_string());
        assert_eq!(reply.status, 200, "{}", reply.body);
    }
}

pub(super) fn assert_silent(what: &str, reply: &str) {
    assert!(!reply.to_lowercase().contains(CANARY), "{what} shows what the bank holds: {reply}");
}

/// Plants the canary in every kind of text.
pub(super) fn plant(owner: &Client<'_>) -> Value {
    let word = CANARY;
    owner.data("initialize_memory_bank", &json!({"path": "."}));
    let section =
        format!("# Notes {word}\n\n## Part {word}\n\n{word} first\n\n### Below {word}\n\n{word} second\n");
    for name in ["notes.md", "gone.md", "old.md", &format!("{word}.md")] {
        owner.data("write_memory_bank_file", &json!({"filename": name, "content": section}));
    }
    for name in ["product-context.md", "system-patterns.md"] {
        owner.data("write_memory_bank_file", &json!({"filename": name, "content": section}));
    }
    owner.data("update_tasks", &json!({"add": [word, format!("{word} again"), format!("{word} more")]}));
    owner.data("update_active_context", &json!({"issues": [word], "nextSteps": [word]}));
    owner.data("add_session_note", &json!({"note": word}));
    owner.data("track_progress", &json!({"action": word, "description": word}));
    owner.data("log_decision", &json!({"title": word, "context": word, "decision": word}));
    for name in ["Thing", "Passing", "Other", &format!("Thing {word}")] {
        owner.data(
            "graph_upsert_entity",
            &json!({"name": name, "entityType": "thing", "attrs": {"at": word}}),
        );
    }
    owner.data("graph_upsert_entity", &json!({"name": "Twin", "entityType": word}));
    owner.data("graph_upsert_entity", &json!({"name": "Twin", "entityType": format!("{word}-two")}));
    owner.data("graph_link_entities", &json!({"from": "Thing", "relationType": word, "to": "Other"}));
    let observed =
        owner.data("graph_add_observation", &json!({"entity": format!("Thing {word}"), "text": word}));
    let backup = owner.data("create_backup", &json!({}));
    json!({"observation": observed["observation"]["id"], "backup": backup["backupId"]})
}
