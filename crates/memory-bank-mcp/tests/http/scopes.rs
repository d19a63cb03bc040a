//! A key does what its scopes say, on a folder and on PostgreSQL: what may not read gets nothing of the bank, by whatever
//! way, and what is stored for replay goes to keys that may see it.

use std::thread;

use memory_bank_test_postgres::TestDatabase;
use serde_json::{Value, json};

use crate::client::{JSON, Listener, MCP_ACCEPT, Reply, Server, call, handshake, until};
use crate::database::{key_of, operate, serve};
use crate::replica_set::{Team, await_waiting};

/// Stands in every text of the bank, and in no call of the keys that may not read.
const CANARY: &str = "zwetschgenmus";

/// A server, and the database that it may have.
struct World {
    server: Server,
    _database: Option<TestDatabase>,
}

/// A server on a folder, and one on PostgreSQL.
fn worlds() -> [World; 2] {
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

fn made(server: &Server, wanted: &Value) -> Value {
    let reply = server.send("POST", "/api/keys", &[JSON], &wanted.to_string());
    assert_eq!(reply.status, 201, "{}", reply.body);
    reply.json()
}

/// A key in a session of its user.
struct Client<'a> {
    server: &'a Server,
    key: String,
    id: String,
    session: String,
}

impl<'a> Client<'a> {
    /// A new key of the server's user with these scopes, in a session of its own.
    fn with(server: &'a Server, scopes: &[&str]) -> Self {
        let made = made(server, &json!({"scopes": scopes, "rateLimit": 0}));
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        let mut client = Self { server, key: text("key"), id: text("id"), session: String::new() };
        let reply = client.send(&[JSON, MCP_ACCEPT], &handshake("2025-11-25").to_string());
        reply.header("mcp-session-id").unwrap().clone_into(&mut client.session);
        client
    }

    /// The same key in another one's session.
    fn in_session_of(&self, other: &Client<'_>) -> Self {
        Self {
            server: self.server,
            key: self.key.clone(),
            id: self.id.clone(),
            session: other.session.clone(),
        }
    }

    fn send(&self, headers: &[(&str, &str)], body: &str) -> Reply {
        let mut all = vec![("X-API-Key", self.key.as_str())];
        all.extend(headers);
        self.server.send_bare("POST", "/mcp", &all, body)
    }

    fn post(&self, message: &Value) -> Reply {
        self.send(&[JSON, MCP_ACCEPT, ("Mcp-Session-Id", self.session.as_str())], &message.to_string())
    }

    fn ask(&self, method: &str, params: &Value) -> Value {
        self.post(&json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params})).message()
    }

    /// The same by the protocol without sessions.
    fn ask_without_session(&self, method: &str, params: &Value) -> Reply {
        let name = ["name", "uri"].iter().find_map(|name| params[*name].as_str().map(str::to_owned));
        crate::client::ask_at(&self.server.address, &self.key, method, name.as_deref(), params)
    }

    fn call(&self, tool: &str, arguments: &Value) -> Value {
        self.ask("tools/call", &json!({"name": tool, "arguments": arguments}))
    }

    /// What a call that must succeed gives, as data.
    fn data(&self, tool: &str, arguments: &Value) -> Value {
        let reply = self.call(tool, arguments);
        assert_eq!(reply["result"]["isError"], json!(false), "{tool} {arguments}: {reply}");
        // A long reply has its text alone.
        match &reply["result"]["structuredContent"] {
            Value::Null => {
                let text = reply["result"]["content"][0]["text"].as_str().unwrap();
                serde_json::from_str(text).unwrap_or_default()
            }
            data => data.clone(),
        }
    }

    fn tools(&self) -> Vec<String> {
        let listed = self.ask("tools/list", &json!({}));
        let tools = listed["result"]["tools"].as_array().unwrap().clone();
        tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
    }

    fn listen(&self, last_event: Option<&str>) -> Listener {
        self.server.listen_as(&self.key, &self.session, last_event)
    }

    /// Gives the key other scopes, by the server's own key.
    fn change_scopes(&self, scopes: &[&str]) {
        let path = format!("/api/keys/{}", self.id);
        let reply = self.server.send("PATCH", &path, &[JSON], &json!({"scopes": scopes}).to_string());
        assert_eq!(reply.status, 200, "{}", reply.body);
    }
}

fn assert_silent(what: &str, reply: &str) {
    assert!(!reply.to_lowercase().contains(CANARY), "{what} shows what the bank holds: {reply}");
}

/// Puts the canary wherever a text may stand.
fn plant(owner: &Client<'_>) -> Value {
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

/// Calls of a key that may not read: some that succeed, and some that a tool refuses. A tool without a case fails the
/// test: say here with what it could show the bank.
fn calls(tool: &str, ids: &Value) -> (Vec<Value>, Vec<Value>) {
    let wrong = "\"0000000000000000000000000000000000000000000000000000000000000000\"";
    match tool {
        "initialize_memory_bank" => (vec![json!({"path": "."})], vec![]),
        "write_memory_bank_file" => (
            vec![
                json!({"filename": "own.md", "content": "own"}),
                json!({"filename": "gone.md", "content": "own"}),
            ],
            vec![json!({"filename": "notes.md", "content": "own", "ifMatchEtag": wrong})],
        ),
        "edit_memory_bank_file" => (
            vec![json!({"filename": "own.md", "edits": [{"op": "append", "heading": "Own", "text": "own"}]})],
            vec![
                json!({"filename": "notes.md", "edits": [{"op": "replace", "old": "nowhere", "new": "own"}]}),
                json!({"filename": "notes.md", "edits": [{"op": "replace", "old": "first", "new": "own"}]}),
                json!({"filename": "notes.md", "edits": [{"op": "replace", "old": "s", "new": "own"}]}),
                json!({"filename": "notes.md", "edits": [{"op": "insert_after", "match": "first", "text": "own"}]}),
                json!({"filename": "notes.md", "edits": [{"op": "insert_after", "match": "s", "text": "own"}]}),
                json!({"filename": "notes.md", "edits": [{"op": "append", "heading": "Nowhere", "text": "own"}]}),
                json!({"filename": "notes.md", "ifMatchEtag": wrong,
                    "edits": [{"op": "prepend", "heading": "Nowhere", "text": "own"}]}),
                json!({"filename": "nowhere.md", "edits": [{"op": "append", "heading": "X", "text": "own"}]}),
            ],
        ),
        "rename_memory_bank_file" => (
            vec![json!({"filename": "old.md", "newFilename": "new.md"})],
            vec![
                json!({"filename": "notes.md", "newFilename": "gone.md"}),
                json!({"filename": "notes.md", "newFilename": "newer.md", "ifMatchEtag": wrong}),
            ],
        ),
        "delete_memory_bank_file" => (
            vec![json!({"filename": "own.md"})],
            vec![json!({"filename": "notes.md", "ifMatchEtag": wrong}), json!({"filename": "progress.md"})],
        ),
        "migrate_file_naming" => (vec![json!({})], vec![]),
        "create_backup" => (vec![json!({})], vec![json!({"listOnly": true})]),
        "restore_backup" => (
            vec![json!({"backupId": ids["backup"], "createPreRestoreBackup": true})],
            vec![json!({"backupId": "nowhere"})],
        ),
        "add_progress_entry" => {
            (vec![json!({"type": "fix", "summary": "own"})], vec![json!({"type": "fix", "summary": " "})])
        }
        "add_session_note" => (vec![json!({"note": "own"})], vec![json!({"note": " "})]),
        "update_tasks" => {
            (vec![json!({"add": ["own"], "remove": [CANARY]}), json!({"remove": [CANARY.get(..4)]})], vec![])
        }
        "batch_write_files" => (
            vec![json!({"files": [{"filename": "batch.md", "content": "own"},
                {"filename": "notes.md", "content": "own", "ifMatchEtag": wrong}]})],
            vec![json!({"allOrNothing": true,
                "files": [{"filename": "notes.md", "content": "own", "ifMatchEtag": wrong}]})],
        ),
        "track_progress" => (vec![json!({"action": "did", "description": "own"})], vec![]),
        "update_active_context" => (vec![json!({"nextSteps": ["own"], "issues": ["own"]})], vec![]),
        "log_decision" => (vec![json!({"title": "own", "context": "own", "decision": "own"})], vec![]),
        "graph_upsert_entity" => (
            vec![json!({"name": "Thing", "entityType": "thing", "attrs": {"own": 1}})],
            vec![
                json!({"name": "Thing", "entityType": "thing", "attrs": {"own": {"a": "x".repeat(70_000)}}}),
            ],
        ),
        "graph_add_observation" => (
            vec![json!({"entity": "Thing", "text": "own"})],
            vec![json!({"entity": "Thin", "text": "own"}), json!({"entity": "Twin", "text": "own"})],
        ),
        "graph_batch" => (
            vec![json!({"entities": [{"name": "Thing", "entityType": "thing", "attrs": {"own": 2}}],
                "observations": [{"entity": "Thing", "text": "own"}],
                "relations": [{"from": "Thing", "relationType": "own batch", "to": "Other"}]})],
            vec![
                json!({"observations": [{"entity": "Thin", "text": "own"}]}),
                json!({"observations": [{"entity": "Twin", "text": "own"}]}),
                json!({"relations": [{"from": "Thing", "relationType": "own", "to": "Twin"}]}),
            ],
        ),
        "graph_link_entities" => (
            vec![
                json!({"from": "Thing", "relationType": "own", "to": "Other"}),
                json!({"from": "Thing", "relationType": "own", "to": "Other", "action": "unlink"}),
            ],
            vec![
                json!({"from": "Thin", "relationType": "own", "to": "Other"}),
                json!({"from": "Thing", "relationType": "own", "to": "Twin"}),
            ],
        ),
        "graph_delete_entity" => (
            vec![json!({"entity": "Passing"})],
            vec![
                json!({"entity": "Thin"}),
                json!({"entity": "Twin"}),
                json!({"entity": "Other", "observationId": ids["observation"]}),
                json!({"observationId": "nowhere"}),
            ],
        ),
        "graph_maintain" => (
            vec![json!({"operation": "rebuild"}), json!({"operation": "compact"})],
            vec![json!({"operation": "stats"})],
        ),
        "finalize_thinking_session" => (
            vec![
                json!({"summary": "own", "tasks": {"add": ["own"], "remove": [format!("{CANARY} again")]}, "nextSteps": ["own"]}),
                json!({"summary": "own", "tasks": {"remove": [CANARY.get(..4)]}}),
            ],
            vec![],
        ),
        "graph_add_doc_pointer" => (
            vec![json!({"entityNameOrId": "Thing", "docPath": "notes.md"})],
            vec![
                json!({"entityNameOrId": "Thin", "docPath": "notes.md"}),
                json!({"entityNameOrId": "Thing", "docPath": "nowhere.md"}),
                json!({"entityNameOrId": "Thing", "docPath": "notes.md", "heading": "own"}),
            ],
        ),
        other => panic!("`{other}` is a new tool: say in `calls` with what it could show the bank"),
    }
}

#[test]
fn no_tool_reply_shows_the_bank_to_a_key_without_read() {
    for world in worlds() {
        let owner = Client::with(&world.server, &["read", "write", "admin"]);
        let ids = plant(&owner);
        for scopes in [&["write"][..], &["admin"], &["write", "admin"]] {
            owner.data("write_memory_bank_file", &json!({"filename": "old.md", "content": CANARY}));
            owner.call("delete_memory_bank_file", &json!({"filename": "new.md"}));
            let tasks = ["", " again", " more"].map(|more| format!("{CANARY}{more}"));
            owner.data("update_tasks", &json!({"add": tasks}));
            owner.data(
                "write_memory_bank_file",
                &json!({"filename": "own.md", "content": format!("# Own\n\n{CANARY}\n")}),
            );
            owner.data("graph_upsert_entity", &json!({"name": "Passing", "entityType": "thing"}));
            let blind = Client::with(&world.server, scopes);
            let tools = blind.tools();
            assert!(!tools.is_empty());
            assert!(tools.iter().all(|tool| !tool.contains("search") && !tool.contains("read")), "{tools:?}");
            // What is replaced whole or deleted comes last, so that the canary stands where the others look.
            let last = ["write_memory_bank_file", "delete_memory_bank_file", "restore_backup"];
            let (late, early): (Vec<_>, Vec<_>) =
                tools.iter().partition(|tool| last.contains(&tool.as_str()));
            for tool in early.into_iter().chain(late) {
                let (fine, refused) = calls(tool, &ids);
                for (arguments, is_error) in
                    refused.iter().map(|call| (call, true)).chain(fine.iter().map(|call| (call, false)))
                {
                    let reply = blind.call(tool, arguments);
                    assert_silent(&format!("{tool} {arguments}"), &reply.to_string());
                    let failed = reply["result"]["isError"] == json!(true) || reply.get("error").is_some();
                    assert_eq!(failed, is_error, "{scopes:?} {tool} {arguments}: {reply}");
                    let etag = reply.to_string().to_lowercase().contains("etag\"");
                    assert!(
                        !etag || tool.contains("write") && !failed,
                        "{tool} tells what stands there: {reply}"
                    );
                }
            }
            // The older names lead to the same.
            for (tool, arguments) in [
                ("list_backups", json!({})),
                ("get_current_mode", json!({})),
                ("graph_unlink_entities", json!({"from": "Thin", "relationType": CANARY, "to": "Other"})),
                ("graph_delete_observation", json!({"observationId": "nowhere"})),
            ] {
                let reply = blind.call(tool, &arguments);
                assert_eq!(reply["result"]["isError"], json!(true), "{tool}: {reply}");
                assert_silent(tool, &reply.to_string());
            }
        }
    }
}

/// A log so full that one more entry moves the oldest to an archive.
fn full_log(section: &str) -> String {
    let filler = "y".repeat(7_960);
    let entries: String = (0..130)
        .map(|number| format!("- [2026-01-01 10:00:00] [a] - Did: {CANARY} {number} {filler}\n"))
        .collect();
    format!("# Log\n\n## {section}\n{entries}")
}

#[test]
fn archived_entries_are_not_shown_to_a_key_without_read() {
    let long = "x".repeat(7_900);
    for world in worlds() {
        let owner = Client::with(&world.server, &["read", "write", "admin"]);
        owner.data("initialize_memory_bank", &json!({"path": "."}));
        let blind = Client::with(&world.server, &["write"]);
        // One that answers with a sentence, and one that answers with members.
        for (document, section, tool, arguments) in [
            (
                "progress.md",
                "Update History",
                "track_progress",
                json!({"action": "did", "description": long}),
            ),
            (
                "active-context.md",
                "Current Session Notes",
                "finalize_thinking_session",
                json!({"summary": long}),
            ),
        ] {
            let fill = || {
                let full = json!({"filename": document, "content": full_log(section)});
                owner.data("write_memory_bank_file", &full);
            };
            fill();
            // A long reply has its text alone.
            let shown = owner.call(tool, &arguments).to_string();
            assert!(shown.contains("-archive-"), "{tool} moved nothing: {shown}");
            fill();
            let reply = blind.call(tool, &arguments);
            assert_eq!(reply["result"]["isError"], json!(false), "{tool}: {reply}");
            let reply = reply.to_string();
            for shows in ["archive", "2026-01-01", "moved", document] {
                assert!(!reply.contains(shows), "{tool} shows `{shows}`: {reply}");
            }
        }
    }
}

/// What the next call of a tool may take away, or find in its way, with the canary in all of it.
fn plant_what_goes(owner: &Client<'_>) -> Value {
    let word = CANARY;
    owner.data("initialize_memory_bank", &json!({"path": "."}));
    let own = format!("# Own\n\n{word}\n\n## Under {word}\n\n- {word}\n");
    let conflict = format!("# Own\n\n<<<<<<< {word}\n{word}\n=======\n{word} two\n>>>>>>> {word}\n");
    let tasks: String = (0..3).map(|number| format!("- [ ] {word} {number}\n")).collect();
    let active = format!(
        "# Context\n\n## Ongoing Tasks\n{tasks}\n## Known Issues\n- {word}\n\n## Next Steps\n- {word}\n"
    );
    let former = owner.data("write_memory_bank_file", &json!({"filename": "own.md", "content": "# Own\n"}));
    for (name, content) in [("own.md", own), ("conflict.md", conflict), ("active-context.md", active)] {
        owner.data("write_memory_bank_file", &json!({"filename": name, "content": content}));
    }
    owner.data("graph_upsert_entity", &json!({"name": "Passing", "entityType": "thing"}));
    owner.data("graph_upsert_entity", &json!({"name": "Other", "entityType": "thing"}));
    owner.data("graph_link_entities", &json!({"from": "Passing", "relationType": word, "to": "Other"}));
    let observed = owner.data("graph_add_observation", &json!({"entity": "Passing", "text": word}));
    json!({"observationId": observed["observation"]["id"], "ifMatchEtag": former["etag"]})
}

/// Arguments with the members that are null taken from what was planted.
fn filled(arguments: &Value, planted: &Value) -> Value {
    match arguments {
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| {
                (name.clone(), if value.is_null() { planted[name].clone() } else { filled(value, planted) })
            });
            Value::Object(members.collect())
        }
        Value::Array(items) => items.iter().map(|item| filled(item, planted)).collect(),
        other => other.clone(),
    }
}

#[test]
fn removed_and_conflicting_text_is_not_shown_to_a_key_without_read() {
    // What planting gives, where a call names it.
    let (former, fact) = (json!(null), json!(null));
    let section = json!([{"op": "replace_section", "heading": "Own", "text": "own"}]);
    let append = json!([{"op": "append", "heading": "Own", "text": "own"}]);
    for world in worlds() {
        let owner = Client::with(&world.server, &["read", "write", "admin"]);
        let blind = Client::with(&world.server, &["write", "admin"]);
        // With what the reply to a key that may read shows.
        for (tool, arguments, shown) in [
            ("write_memory_bank_file", json!({"filename": "own.md", "content": "own"}), &["replaced"][..]),
            (
                "write_memory_bank_file",
                json!({"filename": "own.md", "content": "own", "ifMatchEtag": former}),
                &[CANARY],
            ),
            (
                "batch_write_files",
                json!({"files": [{"filename": "own.md", "content": "own"}]}),
                &["replaced"],
            ),
            (
                "batch_write_files",
                json!({"files": [{"filename": "own.md", "content": "own", "ifMatchEtag": former}]}),
                &["ETag mismatch", "expected"],
            ),
            (
                "edit_memory_bank_file",
                json!({"filename": "own.md", "edits": section}),
                &[CANARY, "removed", "sections", "diff"],
            ),
            ("edit_memory_bank_file", json!({"filename": "conflict.md", "edits": append}), &["line"]),
            ("delete_memory_bank_file", json!({"filename": "own.md"}), &["replaced", "removed"]),
            ("delete_memory_bank_file", json!({"filename": "own.md", "ifMatchEtag": former}), &[CANARY]),
            (
                "rename_memory_bank_file",
                json!({"filename": "own.md", "newFilename": "new.md", "ifMatchEtag": former}),
                &[CANARY],
            ),
            ("update_tasks", json!({"replace": ["own"]}), &[CANARY, "removed"]),
            ("update_tasks", json!({"clear": true}), &[CANARY, "removed"]),
            ("update_tasks", json!({"add": ["own"]}), &[CANARY, "tasks"]),
            ("update_active_context", json!({"nextSteps": ["own"]}), &[CANARY, "removed"]),
            ("update_active_context", json!({"issues": [], "clear": true}), &[CANARY, "removed"]),
            (
                "finalize_thinking_session",
                json!({"summary": "own", "tasks": {"replace": ["own"]}}),
                &[CANARY, "removed"],
            ),
            ("graph_delete_entity", json!({"entity": "Passing"}), &["observationCount", "relationCount"]),
            ("graph_delete_entity", json!({"observationId": fact}), &[CANARY, "removed"]),
        ] {
            let again = |as_whom: &Client<'_>| {
                let arguments = filled(&arguments, &plant_what_goes(&owner));
                as_whom.call(tool, &arguments).to_string()
            };
            let (open, hidden) = (again(&owner), again(&blind));
            for what in shown {
                assert!(open.contains(what), "{tool} {arguments} does not show `{what}` to anybody: {open}");
                assert!(!hidden.contains(what), "{tool} {arguments} shows `{what}`: {hidden}");
            }
            assert_silent(tool, &hidden);
            let failed = |reply: &str| reply.contains("\"isError\":true");
            assert_eq!(failed(&open), failed(&hidden), "{tool} {arguments}: {open} {hidden}");
        }
    }
}

#[test]
fn adding_a_fact_does_not_reveal_to_a_key_without_read_whether_it_exists() {
    for world in worlds() {
        let owner = Client::with(&world.server, &["read", "write", "admin"]);
        owner.data("initialize_memory_bank", &json!({"path": "."}));
        for name in ["Thing", "Other"] {
            owner.data("graph_upsert_entity", &json!({"name": name, "entityType": "thing"}));
        }
        let fact = |text: &str| json!({"entity": "Thing", "text": text});
        owner.data("graph_add_observation", &fact("stored"));
        let shown = owner.data("graph_add_observation", &fact("stored"));
        assert_eq!(shown["existed"], json!(true), "{shown}");
        let link = |kind: &str| json!({"from": "Thing", "relationType": kind, "to": "Other"});
        owner.data("graph_link_entities", &link("stored"));
        for scopes in [&["write"][..], &["write", "admin"]] {
            let blind = Client::with(&world.server, scopes);
            let new = scopes.len().to_string();
            for (tool, there, not_there) in [
                ("graph_add_observation", fact("stored"), fact(&new)),
                ("graph_link_entities", link("stored"), link(&new)),
            ] {
                let replies = [there, not_there].map(|arguments| blind.data(tool, &arguments));
                assert_eq!(replies[0], replies[1], "{tool} tells what was there");
            }
        }
    }
}

#[test]
fn partial_task_names_reveal_nothing_to_a_key_without_read() {
    for world in worlds() {
        let owner = Client::with(&world.server, &["read", "write", "admin"]);
        owner.data("initialize_memory_bank", &json!({"path": "."}));
        owner.data("update_tasks", &json!({"add": ["secret plan alpha"]}));
        for scopes in [&["write"][..], &["write", "admin"]] {
            let blind = Client::with(&world.server, scopes);
            for (tool, wrap) in [("update_tasks", false), ("finalize_thinking_session", true)] {
                let remove = |guess: &str| {
                    // With a task of its own that has the guess, a part that stands in another one fits two.
                    blind.data("update_tasks", &json!({"add": [format!("own {guess}")]}));
                    let tasks = json!({"remove": [guess]});
                    let arguments = if wrap { json!({"summary": "own", "tasks": tasks}) } else { tasks };
                    let mut reply = blind.call(tool, &arguments)["result"].clone();
                    reply["content"].take();
                    reply["structuredContent"]["timestamp"].take();
                    reply
                };
                assert_eq!(remove("secret p"), remove("secret q"), "{scopes:?} {tool}");
            }
            // What it names whole goes.
            blind.data("update_tasks", &json!({"add": ["its own"]}));
            blind.data("update_tasks", &json!({"remove": ["its own"]}));
        }
        let tasks = owner.data("update_tasks", &json!({"remove": []}))["tasks"].to_string();
        assert!(tasks.contains("secret plan alpha") && !tasks.contains("its own"), "{tasks}");
        // Who may read is told that a part fits two.
        assert_eq!(
            owner.call("update_tasks", &json!({"remove": ["secret"]}))["result"]["isError"],
            json!(true)
        );
    }
}

#[test]
fn no_method_or_route_reads_with_a_key_without_read() {
    for world in worlds() {
        let owner = Client::with(&world.server, &["read", "write", "admin"]);
        plant(&owner);
        for scopes in [&["write"][..], &["admin"], &["write", "admin"]] {
            let blind = Client::with(&world.server, scopes);
            for (method, list) in [
                ("resources/list", "resources"),
                ("resources/templates/list", "resourceTemplates"),
                ("prompts/list", "prompts"),
            ] {
                let listed = owner.ask(method, &json!({}))["result"][list].clone();
                assert!(!listed.as_array().unwrap().is_empty(), "{method}");
                for reply in
                    [blind.ask(method, &json!({})), blind.ask_without_session(method, &json!({})).message()]
                {
                    assert_eq!(reply["result"][list], json!([]), "{scopes:?} {method}: {reply}");
                }
            }
            let refused = [
                ("resources/read", json!({"uri": "memory-bank://notes"})),
                ("resources/read", json!({"uri": "memory-bank://nowhere"})),
                ("resources/list", json!({"cursor": "after:a.md"})),
                (
                    "prompts/get",
                    json!({"name": "start_session", "arguments": {"document": "notes", "entity": "Thing"}}),
                ),
                ("prompts/get", json!({"name": "hand_over"})),
                (
                    "completion/complete",
                    json!({"ref": {"type": "ref/resource", "uri": "memory-bank://{name}"},
                    "argument": {"name": "name", "value": "z"}}),
                ),
                (
                    "completion/complete",
                    json!({"ref": {"type": "ref/prompt", "name": "start_session"},
                    "argument": {"name": "entity", "value": "T"}}),
                ),
                ("resources/subscribe", json!({"uri": "memory-bank://notes"})),
            ];
            for (method, params) in &refused {
                let mut replies = vec![blind.ask(method, params)];
                if *method != "resources/subscribe" {
                    replies.push(blind.ask_without_session(method, params).message());
                }
                for reply in replies {
                    assert_silent(method, &reply.to_string());
                    let message = reply["error"]["message"].as_str().unwrap_or_default();
                    let empty = reply["result"]["resources"] == json!([]);
                    assert!(
                        message.contains("scope `read`") || empty,
                        "{scopes:?} {method} {params}: {reply}"
                    );
                }
            }
            let wanted = json!({"notifications": {"resourcesListChanged": true,
                "resourceSubscriptions": ["memory-bank://notes"]}});
            let reply = blind.ask_without_session("subscriptions/listen", &wanted);
            assert!(reply.body.contains("scope `read`"), "{}", reply.body);
        }
    }
}

#[test]
fn only_keys_with_scope_admin_list_keys() {
    for world in worlds() {
        for (scopes, status) in
            [(&["read"][..], 403), (&["write"], 403), (&["read", "write"], 403), (&["admin"], 200)]
        {
            let key = Client::with(&world.server, scopes).key;
            let reply = world.server.send_bare("GET", "/api/keys", &[("X-API-Key", &key)], "");
            assert_eq!(reply.status, status, "{scopes:?}: {}", reply.body);
        }
    }
}

#[test]
fn a_write_only_key_appends_to_a_document_and_loses_nothing() {
    for world in worlds() {
        let owner = Client::with(&world.server, &["read", "write", "admin"]);
        owner.data("initialize_memory_bank", &json!({"path": "."}));
        let before = format!("# Notes\n\nintro {CANARY}\n\n## Log\n\n- one\n\n## End\n\n{CANARY}\n");
        owner.data("write_memory_bank_file", &json!({"filename": "notes.md", "content": before}));
        owner.data("track_progress", &json!({"action": "did", "description": "the first"}));
        let writer = Client::with(&world.server, &["write"]);
        let edits = json!([{"op": "append", "heading": "Log", "text": "- two"}]);
        let reply = writer.data("edit_memory_bank_file", &json!({"filename": "notes.md", "edits": edits}));
        assert_eq!(reply["success"], json!(true), "{reply}");
        writer.data("track_progress", &json!({"action": "did", "description": "the second"}));
        let observed = json!({"entity": "Thing", "text": "a fact"});
        owner
            .data("graph_upsert_entity", &json!({"name": "Thing", "entityType": "thing", "attrs": {"a": 1}}));
        writer
            .data("graph_upsert_entity", &json!({"name": "Thing", "entityType": "thing", "attrs": {"b": 2}}));
        writer.data("graph_add_observation", &observed);
        let read = |name: &str| {
            let read = owner.data("read_memory_bank_file", &json!({"filename": name}));
            read["content"].as_str().unwrap().to_owned()
        };
        assert_eq!(read("notes.md"), before.replace("- one\n", "- one\n- two\n"));
        let progress = read("progress.md");
        assert!(progress.contains("the first") && progress.contains("the second"), "{progress}");
        let open = owner.data("graph_open_nodes", &json!({"nodes": ["Thing"]}));
        assert_eq!(open["entities"][0]["attrs"], json!({"a": 1, "b": 2}), "{open}");
        assert_eq!(open["observations"][0]["text"], json!("a fact"), "{open}");
        let files = owner.data("list_memory_bank_files", &json!({}))["files"].to_string();
        assert_eq!(files.matches("notes").count(), 1, "{files}");
    }
}

/// The place before the first event of a reply.
fn before_first(reply: &Reply) -> String {
    let id = reply.events()[0].0.clone();
    format!("{}0", id.strip_suffix('1').unwrap())
}

/// Resumes a stream and returns what came of the reply, before the first news of the list of documents.
fn resumed(client: &Client<'_>, place: &str, news: impl FnOnce()) -> Option<Value> {
    let mut stream = client.listen(Some(place));
    let first = {
        news();
        stream.next()
    };
    first.filter(|message| message.get("method").is_none())
}

#[test]
fn a_stored_reply_is_replayed_only_to_keys_with_the_rights_of_its_call() {
    for world in worlds() {
        let owner = Client::with(&world.server, &["read", "write", "admin"]);
        plant(&owner);
        let read = call(11, "read_memory_bank_file", &json!({"filename": "notes.md"}));
        let write = call(12, "update_tasks", &json!({"add": ["one more"]}));
        let delete = call(13, "delete_memory_bank_file", &json!({"filename": "gone.md"}));
        let prompt =
            json!({"jsonrpc": "2.0", "id": 14, "method": "prompts/get", "params": {"name": "hand_over"}});
        let places = [read, write, delete, prompt].map(|message| before_first(&owner.post(&message)));
        let made = std::cell::Cell::new(0);
        // Another session of the same key hears nothing of replays, so a new document makes the news that ends the wait.
        let news = || {
            made.set(made.get() + 1);
            let name = format!("news-{}.md", made.get());
            owner.data("write_memory_bank_file", &json!({"filename": name, "content": "x"}));
        };
        for (index, place) in places.iter().enumerate() {
            let again = resumed(&owner, place, || {}).expect("the owner's own reply");
            assert_eq!(again["id"], json!(11 + index), "{again}");
        }
        let sees = |scopes: &[&str]| {
            let client = Client::with(&world.server, scopes).in_session_of(&owner);
            [0, 1, 2, 3].map(|index| resumed(&client, &places[index], news).is_some())
        };
        assert_eq!(sees(&["read"]), [true, false, false, true]);
        assert_eq!(sees(&["read", "write"]), [true, true, false, true]);
        assert_eq!(sees(&["read", "admin"]), [true, false, true, true]);
        for scopes in [&["write"][..], &["admin"], &["write", "admin"]] {
            let blind = Client::with(&world.server, scopes).in_session_of(&owner);
            for place in &places {
                let mut stream = blind.listen(Some(place));
                news();
                // Its own call is answered after what was stored was looked for; then the key goes, and the stream with it.
                let path = format!("/api/keys/{}", blind.id);
                blind.post(&call(15, "add_session_note", &json!({"note": "own"})));
                let _changed = world.server.send("PATCH", &path, &[JSON], "{\"scopes\": [\"read\"]}");
                assert_eq!(stream.next(), None, "{scopes:?} was given a stored reply, or news");
                blind.change_scopes(scopes);
            }
        }
        // The same key, once it may do less.
        let lowered = Client::with(&world.server, &["read", "write", "admin"]).in_session_of(&owner);
        assert!(resumed(&lowered, &places[1], || {}).is_some());
        lowered.change_scopes(&["read"]);
        assert!(
            resumed(&lowered, &places[1], news).is_none(),
            "a reply of a time with more rights was replayed"
        );
    }
}

#[test]
fn a_write_only_key_can_replay_its_own_reply() {
    for world in worlds() {
        let owner = Client::with(&world.server, &["read", "write", "admin"]);
        plant(&owner);
        let writer = Client::with(&world.server, &["write"]);
        let reply = writer.post(&call(21, "update_tasks", &json!({"add": ["own"]})));
        let again = writer.listen(Some(&before_first(&reply))).next().unwrap();
        assert_eq!(again, reply.message());
        assert_silent("a replay", &again.to_string());
    }
}

#[test]
fn a_stream_ends_at_once_when_the_scopes_of_its_key_change() {
    for world in worlds() {
        let owner = Client::with(&world.server, &["read", "write", "admin"]);
        plant(&owner);
        let reader = Client::with(&world.server, &["read"]);
        assert_eq!(
            reader.ask("resources/subscribe", &json!({"uri": "memory-bank://notes"}))["result"],
            json!({})
        );
        let mut stream = reader.listen(None);
        let mut other = world.server.listen_without_session_as(&reader.key, &["memory-bank://notes"]);
        reader.change_scopes(&["write"]);
        owner.data("write_memory_bank_file", &json!({"filename": "notes.md", "content": "x"}));
        owner.data("write_memory_bank_file", &json!({"filename": "newest.md", "content": "x"}));
        assert_eq!(stream.next(), None, "news went to a key that may not read any more");
        while let Some(message) = other.next() {
            assert!(
                message.get("result").is_some(),
                "news went to a key that may not read any more: {message}"
            );
        }
    }
}

#[test]
fn a_key_can_cancel_only_its_own_calls_also_when_ids_are_equal() {
    let team = Team::new();
    let (first, second) = (team.replica(), team.replica());
    let owner = Client::with(&first, &["read", "write", "admin"]);
    owner.data("initialize_memory_bank", &json!({"path": "."}));
    for canceller in [&first, &second] {
        let made = Client::with(&first, &["read"]).in_session_of(&owner);
        let reader = Client { server: canceller, ..made };
        let held = team.hold_documents();
        let message = call(42, "track_progress", &json!({"action": "did", "description": "slow"}));
        let cancel =
            json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 42}});
        let reply = thread::scope(|scope| {
            let asked = scope.spawn(|| owner.post(&message));
            await_waiting(&team.database, 1);
            // A call of another key with the same id, which is over before the first one is.
            let other = reader.post(&call(42, "get_instructions", &json!({})));
            assert_eq!(other.status, 200);
            assert_eq!(reader.post(&cancel).status, 202);
            drop(held);
            asked.join().unwrap()
        });
        assert_eq!(reply.message()["id"], json!(42), "another key cancelled the call: {}", reply.body);
    }
    let held = team.hold_documents();
    let message = call(43, "track_progress", &json!({"action": "did", "description": "slow"}));
    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 43}});
    let reader = Client::with(&first, &["read"]).in_session_of(&owner);
    let reply = thread::scope(|scope| {
        let asked = scope.spawn(|| owner.post(&message));
        await_waiting(&team.database, 1);
        reader.post(&call(43, "get_instructions", &json!({})));
        assert_eq!(owner.post(&cancel).status, 202);
        asked.join().unwrap()
    });
    drop(held);
    assert_eq!(reply.events(), [], "a key could not cancel its own call");
    until("the server", || owner.post(&call(1, "get_instructions", &json!({}))).status == 200);
}

#[test]
fn a_reply_is_withheld_from_a_key_that_lost_the_right_during_the_call() {
    let team = Team::new();
    let server = team.replica();
    let owner = Client::with(&server, &["read", "write", "admin"]);
    plant(&owner);
    let lowered = Client::with(&server, &["read", "write"]);
    let held = team.hold_documents();
    let read = call(51, "read_memory_bank_file", &json!({"filename": "notes.md"}));
    let reply = thread::scope(|scope| {
        let asked = scope.spawn(|| lowered.post(&read));
        await_waiting(&team.database, 1);
        lowered.change_scopes(&["write"]);
        drop(held);
        asked.join().unwrap()
    });
    assert_silent("a call of a key that was lowered", &reply.body);
    assert!(
        reply.body.contains("rights of this key changed") || reply.body.contains("isError"),
        "{}",
        reply.body
    );
}
