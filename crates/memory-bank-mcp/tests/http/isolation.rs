//! One server, three projects: whatever the members of one do, nobody of another sees a trace of it, whichever way they
//! ask. A word that stands in every kind of place of one project must never come back to anyone else.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use memory_bank_test_postgres::proxy::CountingProxy;
use memory_bank_test_postgres::{SERVER, TestDatabase};
use serde_json::{Value, json};

use crate::client::{JSON, Listener, MCP_ACCEPT, Reply, Server, handshake};
use crate::database::{key_of, operate};

/// What nobody but the members of `alpha` may ever see. One word, so that searches and completions could find it.
const SECRET: &str = "quorvexilumina";
/// An id of every kind that nobody has.
const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

/// Someone with a key, and the session that this key opened.
struct Person<'a> {
    server: &'a Server,
    name: &'static str,
    key: String,
    session: String,
    /// Whether every reply is looked through for the secret.
    outside: bool,
}

impl<'a> Person<'a> {
    fn new(server: &'a Server, name: &'static str, key: String, outside: bool, client: &str) -> Self {
        let mut person = Self { server, name, key, session: String::new(), outside };
        let mut hello = handshake("2025-11-25");
        hello["params"]["clientInfo"]["name"] = json!(client);
        hello["params"]["clientInfo"]["title"] = json!(client);
        let reply = person.send("POST", "/mcp", &[JSON, MCP_ACCEPT], &hello.to_string());
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.header("mcp-session-id").unwrap().clone_into(&mut person.session);
        person
    }

    fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let mut all = vec![("X-API-Key", self.key.as_str())];
        all.extend(headers);
        let reply = self.server.send_bare(method, path, &all, body);
        if self.outside {
            let whole = format!("{:?} {}", reply.headers, reply.body).to_lowercase();
            assert!(
                !whole.contains(SECRET),
                "{} got the secret from {method} {path} {body}: {whole}",
                self.name
            );
        }
        reply
    }

    /// A request in the session of the handshake.
    fn post(&self, message: &Value) -> Reply {
        let headers = [JSON, MCP_ACCEPT, ("Mcp-Session-Id", self.session.as_str())];
        self.send("POST", "/mcp", &headers, &message.to_string())
    }

    fn ask(&self, method: &str, params: &Value) -> Value {
        self.post(&json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params})).message()
    }

    /// The same by the protocol without sessions.
    fn ask_without_session(&self, method: &str, mut params: Value) -> Value {
        params["_meta"] = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {}});
        let name = ["name", "uri"].iter().find_map(|name| params[*name].as_str().map(str::to_owned));
        let mut headers =
            vec![JSON, MCP_ACCEPT, ("MCP-Protocol-Version", "2026-07-28"), ("Mcp-Method", method)];
        headers.extend(name.as_deref().map(|name| ("Mcp-Name", name)));
        let message = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params});
        self.send("POST", "/mcp", &headers, &message.to_string()).message()
    }

    fn call(&self, tool: &str, arguments: &Value) -> Value {
        self.ask("tools/call", &json!({"name": tool, "arguments": arguments}))
    }

    /// What a call gives, as data.
    fn data(&self, tool: &str, arguments: &Value) -> Value {
        let reply = self.call(tool, arguments);
        assert_eq!(reply["result"]["isError"], json!(false), "{tool} of {}: {reply}", self.name);
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

    /// Everything that can be read, with what differs from one moment to the next made equal.
    fn view(&self) -> BTreeMap<String, String> {
        let mut seen = BTreeMap::new();
        let mut see = |what: String, reply: &Value| {
            seen.insert(what, timeless(&reply.to_string()));
        };
        for (tool, arguments) in [
            ("debug_mcp_config", json!({"verbose": true})),
            ("list_memory_bank_files", json!({})),
            ("get_memory_bank_status", json!({})),
            ("get_context_bundle", json!({})),
            ("get_context_digest", json!({"includeSystemPatterns": true})),
            ("search_memory_bank", json!({"query": "common", "maxResults": 100})),
            ("get_targeted_context", json!({"query": "common"})),
            ("batch_read_files", json!({"files": ["notes.md", "progress.md"]})),
            ("graph_search", json!({"query": "*", "limit": 500, "includeNeighborhood": true})),
            ("graph_open_nodes", json!({"nodes": ["Shared Thing"], "depth": 2})),
            ("graph_maintain", json!({"operation": "stats"})),
            ("create_backup", json!({"listOnly": true})),
            ("list_stores", json!({})),
            ("switch_mode", json!({})),
        ] {
            see(format!("{tool} {arguments}"), &self.call(tool, &arguments));
            let again = self.ask_without_session("tools/call", json!({"name": tool, "arguments": arguments}));
            see(format!("{tool} {arguments} without a session"), &again);
        }
        see("tools".to_owned(), &json!(self.tools()));
        for (method, params) in reads(self, "Shared Thing") {
            see(format!("{method} {params}"), &self.ask(method, &params));
            let again = self.ask_without_session(method, params.clone());
            see(format!("{method} {params} without a session"), &again);
        }
        for path in ["/api/keys", "/api/keys?includeRevoked=true"] {
            seen.insert(path.to_owned(), timeless(&self.send("GET", path, &[], "").body));
        }
        seen
    }
}

/// Every way to read but tools: resources, every prompt there is, completions of whatever can be completed.
fn reads(person: &Person<'_>, entity: &str) -> Vec<(&'static str, Value)> {
    let mut all = vec![
        ("resources/list", json!({})),
        ("resources/list", json!({"cursor": "after:a.md"})),
        ("resources/templates/list", json!({})),
        ("resources/read", json!({"uri": "memory-bank://notes"})),
        ("resources/read", json!({"uri": "memory-bank://progress"})),
        ("resources/read", json!({"uri": "memory-bank://nowhere"})),
        ("prompts/list", json!({})),
    ];
    for value in ["", "q", "no", "sha", "al"] {
        let name = json!({"type": "ref/resource", "uri": "memory-bank://{name}"});
        let argument = json!({"name": "name", "value": value});
        all.push(("completion/complete", json!({"ref": name, "argument": argument})));
    }
    let prompts = person.ask("prompts/list", &json!({}))["result"]["prompts"].clone();
    for prompt in prompts.as_array().unwrap() {
        let arguments: Vec<&str> = prompt["arguments"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|argument| argument["name"].as_str().unwrap())
            .collect();
        let mut given = json!({});
        for argument in &arguments {
            for value in ["", "q", "s"] {
                let prompt = json!({"type": "ref/prompt", "name": prompt["name"]});
                let argument = json!({"name": argument, "value": value});
                all.push(("completion/complete", json!({"ref": prompt, "argument": argument})));
            }
            given[*argument] = match *argument {
                "mode" => json!("code"),
                "document" => json!("notes"),
                "entity" => json!(entity),
                _ => json!("something"),
            };
        }
        all.push(("prompts/get", json!({"name": prompt["name"]})));
        all.push(("prompts/get", json!({"name": prompt["name"], "arguments": given})));
    }
    all
}

/// What someone can name of the things of `alpha`.
#[derive(Default, Clone)]
struct Ids {
    entity: String,
    observation: String,
    relation: String,
    backup: String,
    slug: String,
}

/// What a tool is called with. A tool without a case fails the test: whoever adds one says here how it could leak.
///
/// `word` is put wherever a text may go; `own` = the caller's own things are meant, so that it may delete some.
fn cases(tool: &str, word: &str, ids: &Ids, own: bool) -> Vec<Value> {
    let entity = if own { word } else { ids.entity.as_str() };
    match tool {
        "get_instructions"
        | "list_memory_bank_files"
        | "get_memory_bank_status"
        | "migrate_file_naming"
        | "list_stores" => vec![json!({})],
        "initialize_memory_bank" => vec![json!({"path": ids.slug}), json!({"path": "."})],
        "set_memory_bank_path" => vec![json!({}), json!({"path": ids.slug})],
        "debug_mcp_config" => vec![json!({}), json!({"verbose": true})],
        "read_memory_bank_file" => vec![
            json!({"filename": "notes.md"}),
            json!({"filename": "progress.md"}),
            json!({"filename": "alone.md", "includeEtag": false}),
        ],
        "write_memory_bank_file" => vec![
            json!({"filename": format!("{word}.md"), "content": format!("common {word}")}),
            json!({"filename": "notes.md", "content": format!("# common {word}\n\ncommon {word}\n")}),
            json!({"filename": "old.md", "content": word}),
            json!({"filename": "gone.md", "content": word}),
            json!({"filename": if own { "alone.md" } else { "other.md" }, "content": word}),
            json!({"filename": "system-patterns.md", "content": format!("# common {word}\n")}),
        ],
        "edit_memory_bank_file" => vec![
            json!({"filename": "notes.md", "edits": [{"op": "replace", "old": "common", "new": format!("common {word}"), "count": 2}]}),
        ],
        "rename_memory_bank_file" => {
            vec![json!({"filename": "old.md", "newFilename": format!("{word}-new.md")})]
        }
        "delete_memory_bank_file" => vec![json!({"filename": if own { "gone.md" } else { "alone.md" }})],
        "get_context_bundle" => vec![json!({}), json!({"includeEtags": false})],
        "get_context_digest" => vec![json!({"includeSystemPatterns": true, "maxDecisions": 50})],
        "search_memory_bank" => {
            vec![
                json!({"query": "common", "maxResults": 1000}),
                json!({"query": "common", "files": ["alone.md"]}),
            ]
        }
        "create_backup" => vec![json!({}), json!({"listOnly": true}), json!({"backupDir": word})],
        "restore_backup" => vec![json!({"backupId": ids.backup, "createPreRestoreBackup": false})],
        "add_progress_entry" => {
            vec![
                json!({"type": "feature", "summary": word, "details": word, "files": [word], "tags": [word]}),
            ]
        }
        "add_session_note" => vec![json!({"note": format!("common {word}"), "category": "todo"})],
        "update_tasks" => vec![json!({"add": [word]})],
        "batch_read_files" => vec![json!({"files": ["notes.md", "alone.md", "progress.md"]})],
        "batch_write_files" => vec![json!({"files": [{"filename": "batch.md", "content": word}]})],
        "track_progress" => vec![json!({"action": word, "description": format!("common {word}")})],
        "update_active_context" => vec![json!({"issues": [word], "nextSteps": [word]})],
        "log_decision" => vec![json!({"title": word, "context": word, "decision": format!("common {word}"),
            "alternatives": [word], "consequences": [word]})],
        "switch_mode" => vec![json!({}), json!({"umb": true}), json!({"mode": "architect"})],
        "graph_upsert_entity" => vec![
            json!({"name": word, "entityType": word, "attrs": {word: word, "common": word}}),
            json!({"name": "Shared Thing", "entityType": "thing", "attrs": {"common": word}}),
            json!({"name": "Passing", "entityType": "thing", "storeId": ids.slug}),
        ],
        "graph_add_observation" => vec![
            json!({"entity": entity, "text": format!("common {word}"), "source": word}),
            json!({"entity": "Shared Thing", "text": format!("shared common {word}")}),
        ],
        "graph_batch" => vec![json!({
            "entities": [{"name": format!("{word} batch"), "entityType": word, "attrs": {"common": word}}],
            "observations": [{"entity": "Shared Thing", "text": format!("batch common {word}")}],
            "relations": [{"from": format!("{word} batch"), "relationType": word, "to": "Shared Thing"}],
        })],
        "graph_link_entities" => vec![
            json!({"from": entity, "relationType": word, "to": "Shared Thing"}),
            json!({"from": "Shared Thing", "relationType": "unknown", "to": entity, "action": "unlink"}),
        ],
        "graph_search" => vec![
            json!({"query": "*", "limit": 1000, "includeNeighborhood": true, "neighborhoodDepth": 2}),
            json!({"query": "common", "limit": 1000}),
            json!({"query": "*", "storeId": ids.slug}),
        ],
        "graph_open_nodes" => {
            vec![json!({"nodes": [ids.entity], "depth": 2}), json!({"nodes": ["Shared Thing"], "depth": 2})]
        }
        "graph_delete_entity" if own => vec![json!({"entity": "Passing"})],
        "graph_delete_entity" => vec![
            json!({"entity": ids.entity}),
            json!({"observationId": ids.observation}),
            json!({"entity": ids.entity, "observationId": ids.observation}),
            json!({"entity": ids.relation}),
        ],
        "graph_maintain" => {
            ["stats", "rebuild", "compact"].iter().map(|operation| json!({"operation": operation})).collect()
        }
        "select_store" => vec![
            json!({"storeId": ids.slug}),
            json!({"path": ids.slug}),
            json!({"action": "register", "storeId": word, "path": ids.slug}),
            json!({"action": "unregister", "storeId": ids.slug}),
        ],
        "sequential_thinking" => vec![
            json!({"thought": word, "nextThoughtNeeded": true, "thoughtNumber": 1, "totalThoughts": 2,
                "sessionId": "shared-session"}),
            json!({"thought": word, "nextThoughtNeeded": true, "thoughtNumber": 2, "totalThoughts": 2,
                "sessionId": "shared-session", "branchFromThought": 1, "branchId": word}),
            json!({"thought": word, "nextThoughtNeeded": true, "thoughtNumber": 1, "totalThoughts": 2,
                "sessionId": word}),
        ],
        "finalize_thinking_session" => vec![json!({"summary": format!("common {word}"), "sessionId": word,
            "decision": {"title": word, "context": word, "decision": word}, "tasks": {"add": [word]},
            "nextSteps": [word], "progressEntry": {"type": "fix", "summary": word}})],
        "get_targeted_context" => vec![json!({"query": "common shared thing", "maxChars": 20000})],
        "graph_add_doc_pointer" => {
            vec![json!({"entityNameOrId": entity, "docPath": "notes.md", "heading": word, "note": word})]
        }
        other => panic!(
            "`{other}` is a new tool: say in `cases` with what it could show or change another project"
        ),
    }
}

/// A database with three projects and everyone's keys, and a server on it.
struct World {
    server: Server,
    keys: BTreeMap<&'static str, Value>,
    database: TestDatabase,
}

impl World {
    fn key(&self, name: &str) -> String {
        key_of(&self.keys[name])
    }

    fn id(&self, name: &str) -> String {
        self.keys[name]["id"].as_str().unwrap().to_owned()
    }
}

/// `alpha` has the secret; `beta` has everything else; `gamma` is empty. `mara` is an editor there and a viewer here.
fn world() -> World {
    let database = TestDatabase::migrated();
    let run = |arguments: &[&str]| operate(&database, arguments).unwrap();
    for (user, project) in [("anna", "alpha"), ("boris", "beta"), ("otto", "gamma")] {
        run(&["bootstrap", "--user", user, "--project", project]);
    }
    for (user, project, role) in [
        ("eddi", "alpha", "editor"),
        ("vera", "alpha", "viewer"),
        ("mara", "alpha", "editor"),
        ("mara", "beta", "viewer"),
        ("bea", "beta", "editor"),
    ] {
        // A user may be made already.
        let _made = operate(&database, &["users", "create", user]);
        run(&["members", "add", "--project", project, "--user", user, "--role", role]);
    }
    let mut keys = BTreeMap::new();
    for (name, user, project, scopes) in [
        ("anna", "anna", "alpha", "read,write,admin"),
        ("eddi", "eddi", "alpha", "read,write,admin"),
        ("vera", "vera", "alpha", "read,write,admin"),
        ("mara in alpha", "mara", "alpha", "read,write,admin"),
        ("boris", "boris", "beta", "read,write,admin"),
        ("bea", "bea", "beta", "read,write,admin"),
        ("mara in beta", "mara", "beta", "read,write,admin"),
        ("boris, reading", "boris", "beta", "read"),
        ("otto", "otto", "gamma", "read,write,admin"),
    ] {
        let label = if project == "alpha" { SECRET } else { "common" };
        let wanted = [
            "keys",
            "create",
            "--user",
            user,
            "--project",
            project,
            "--scopes",
            scopes,
            "--label",
            label,
            "--rate-limit",
            "0",
        ];
        keys.insert(name, run(&wanted));
    }
    let server = crate::database::serve(&database, &key_of(&keys["anna"]));
    World { server, keys, database }
}

/// Everyone who is not in `alpha`, or not there with this key.
fn outsiders<'a>(world: &'a World) -> Vec<Person<'a>> {
    ["boris", "bea", "mara in beta", "boris, reading", "otto"]
        .into_iter()
        .map(|name| Person::new(&world.server, name, world.key(name), true, "common"))
        .collect()
}

/// Fills `alpha`: every tool, with the secret wherever a text may go.
fn plant(anna: &Person<'_>) -> Ids {
    let mut ids = Ids { slug: "alpha".to_owned(), ..Ids::default() };
    // What is read is written first; after that come all tools, in their order.
    let first = ["initialize_memory_bank", "write_memory_bank_file"].map(str::to_owned);
    for tool in first.into_iter().chain(anna.tools()) {
        for arguments in cases(&tool, SECRET, &ids, true) {
            if tool == "select_store" && arguments.get("action").is_some() || tool == "set_memory_bank_path" {
                continue;
            }
            let made = anna.data(&tool, &arguments);
            let text = |pointer: &str| made.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
            match tool.as_str() {
                "graph_upsert_entity" if arguments["name"] == json!(SECRET) => {
                    ids.entity = text("/entity/id").unwrap();
                }
                "graph_add_observation" if arguments["entity"] == json!(SECRET) => {
                    ids.observation = text("/observation/id").unwrap();
                }
                "graph_link_entities" if arguments.get("action").is_none() => {
                    ids.relation = text("/relation/id").unwrap();
                }
                "create_backup" if arguments.get("listOnly").is_none() => {
                    ids.backup = text("/backupId").unwrap();
                }
                _ => {}
            }
        }
    }
    ids
}

#[test]
fn no_data_of_a_project_reaches_members_of_another() {
    let world = world();
    let anna = Person::new(&world.server, "anna", world.key("anna"), false, SECRET);
    let outsiders = outsiders(&world);
    let boris = &outsiders[0];
    let own = Ids { slug: "beta".to_owned(), ..Ids::default() };
    for tool in ["initialize_memory_bank", "write_memory_bank_file", "graph_upsert_entity", "create_backup"] {
        for arguments in cases(tool, "harmless", &own, true) {
            boris.data(tool, &arguments);
        }
    }
    let writers = [boris, &outsiders[4]];
    let marker = json!({"filename": "marker.md", "content": "common"});
    for writer in writers {
        writer.data("write_memory_bank_file", &marker);
    }
    let before: Vec<_> = outsiders.iter().map(Person::view).collect();
    let mut streams: Vec<Listener> = outsiders
        .iter()
        .map(|person| {
            for uri in ["memory-bank://notes", "memory-bank://progress", "memory-bank://marker"] {
                let subscribed = person.ask("resources/subscribe", &json!({"uri": uri}));
                assert_eq!(subscribed["result"], json!({}), "{subscribed}");
            }
            person.listen(None)
        })
        .collect();

    let ids = plant(&anna);
    let planted = anna.view();
    // The words stand where they were put, or the rest would show nothing.
    for (place, what) in [
        ("list_memory_bank_files {}", "the name of a document"),
        ("get_context_bundle {}", "documents"),
        ("search_memory_bank {\"query\":\"common\",\"maxResults\":100}", "the index"),
        ("graph_open_nodes {\"nodes\":[\"Shared Thing\"],\"depth\":2}", "the graph"),
        ("/api/keys", "the label of a key"),
    ] {
        assert!(planted[place].contains(SECRET), "{what} of alpha: {}", planted[place]);
    }

    // What the others see is what they saw before.
    for (person, before) in outsiders.iter().zip(&before) {
        for (what, now) in person.view() {
            assert_eq!(now, before[&what], "{what} changed for {}", person.name);
        }
    }

    // Of all that happened in alpha no stream has heard: the first news are those of the project's own write.
    let marker = json!({"filename": "marker.md", "content": "common again"});
    for writer in writers {
        writer.data("write_memory_bank_file", &marker);
    }
    for (person, stream) in outsiders.iter().zip(&mut streams) {
        let news = stream.next().expect("news");
        assert_eq!(news["params"]["uri"], json!("memory-bank://marker"), "{} heard {news}", person.name);
    }

    // And whatever they try with what they know of alpha, in both eras.
    let all_tools = anna.tools();
    let mut changed_by = BTreeMap::new();
    for person in &outsiders {
        for tool in &all_tools {
            for arguments in cases(tool, "harmless", &ids, false) {
                person.call(tool, &arguments);
                if arguments.to_string().contains("alpha") {
                    let params = json!({"name": tool, "arguments": arguments});
                    person.ask_without_session("tools/call", params);
                }
            }
        }
        for (method, params) in reads(person, &ids.entity) {
            person.ask(method, &params);
            person.ask_without_session(method, params);
        }
        changed_by.insert(person.name, anna.view());
    }
    for (name, view) in changed_by {
        for (what, now) in view {
            assert_eq!(now, planted[&what], "{name} changed {what} of alpha");
        }
    }
}

/// What a client can tell two replies apart by.
fn seen(reply: &Reply, asked: &str) -> (u16, Vec<(String, String)>, String) {
    // Whether a stream comes in one piece depends on how fast the machine is, not on what was asked.
    let framing = ["content-length", "transfer-encoding"];
    let telling = |name: &str| {
        !["x-request-id", "date", "x-ratelimit-reset"].contains(&name) && !framing.contains(&name)
    };
    let headers = reply.headers.iter().filter(|(name, _)| telling(name)).cloned().collect();
    let body = match reply.header("content-type") {
        Some("text/event-stream") => reply.message().to_string(),
        _ => reply.body.clone(),
    };
    (reply.status, headers, timeless(&body.replace(asked, "…")))
}

/// How a question is asked.
type Ask = Box<dyn Fn(&Person<'_>, &str) -> Reply>;

/// One question that can be asked of a thing that is another project's, and of one that nobody has.
struct Question {
    what: &'static str,
    theirs: String,
    nobodys: String,
    ask: Ask,
}

fn question(
    what: &'static str,
    theirs: &str,
    nobodys: &str,
    ask: impl Fn(&Person<'_>, &str) -> Reply + 'static,
) -> Question {
    Question { what, theirs: theirs.to_owned(), nobodys: nobodys.to_owned(), ask: Box::new(ask) }
}

fn call_with(tool: &'static str, arguments: fn(&str) -> Value) -> impl Fn(&Person<'_>, &str) -> Reply {
    move |person, id| {
        let params = json!({"name": tool, "arguments": arguments(id)});
        person.post(&json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}))
    }
}

/// An id as long as this one, which nobody has.
fn like(id: &str) -> String {
    let (kind, rest) = id.split_at(id.find('_').map_or(0, |at| at + 1));
    format!("{kind}{}", "0".repeat(rest.len()))
}

fn questions(world: &World, anna: &Person<'_>, ids: &Ids) -> Vec<Question> {
    let reply = anna.post(&json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}));
    let event = reply.events()[0].0.clone();
    let key = world.id("eddi");
    let in_session = |method: &'static str| {
        move |person: &Person<'_>, id: &str| {
            let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).to_string();
            let body = if method == "POST" { message.as_str() } else { "" };
            let accept = if method == "GET" { ("Accept", "text/event-stream") } else { MCP_ACCEPT };
            person.send(method, "/mcp", &[JSON, accept, ("Mcp-Session-Id", id)], body)
        }
    };
    let resume = move |person: &Person<'_>, id: &str| {
        let headers = [("Accept", "text/event-stream"), ("Mcp-Session-Id", id), ("Last-Event-ID", &event)];
        person.send("GET", "/mcp", &headers, "")
    };
    let rest = |method: &'static str, tail: &'static str| {
        move |person: &Person<'_>, id: &str| {
            let body = if method == "PATCH" { "{\"label\":\"mine\"}" } else { "" };
            person.send(method, &format!("/api/keys/{id}{tail}"), &[JSON], body)
        }
    };
    let read = |person: &Person<'_>, id: &str| {
        let params = json!({"uri": format!("memory-bank://{id}")});
        person.post(&json!({"jsonrpc": "2.0", "id": 7, "method": "resources/read", "params": params}))
    };
    let file = |id: &str| json!({"filename": id});
    let backup = like("memory-bank-backup-2020-01-01T00-00-00-000Z").replace('0', "1");
    assert_eq!(backup.len(), ids.backup.len());
    let nowhen = "memory-bank-backup-2020-01-01T00-00-00-000Z";
    vec![
        question("a message in a session", &anna.session, NOBODY, in_session("POST")),
        question("the stream of a session", &anna.session, NOBODY, in_session("GET")),
        question("the stream of a session from an event", &anna.session, NOBODY, resume),
        question("the end of a session", &anna.session, NOBODY, in_session("DELETE")),
        question("the change of a key", &key, NOBODY, rest("PATCH", "")),
        question("the revocation of a key", &key, NOBODY, rest("DELETE", "")),
        question("the rotation of a key", &key, NOBODY, rest("POST", "/rotate")),
        question("a document", "alone.md", "nosuc.md", call_with("read_memory_bank_file", file)),
        question(
            "the deletion of a document",
            "alone.md",
            "nosuc.md",
            call_with("delete_memory_bank_file", file),
        ),
        question(
            "a document among others",
            "alone.md",
            "nosuc.md",
            call_with("batch_read_files", |id| json!({"files": [id]})),
        ),
        question(
            "a change of a document",
            "alone.md",
            "nosuc.md",
            call_with(
                "write_memory_bank_file",
                |id| json!({"filename": id, "content": "x", "ifMatchEtag": "0123456789abcdef"}),
            ),
        ),
        question("a resource", "alone", "nosuc", read),
        question(
            "an entity",
            &ids.entity,
            &like(&ids.entity),
            call_with("graph_open_nodes", |id| json!({"nodes": [id]})),
        ),
        question(
            "the deletion of an entity",
            &ids.entity,
            &like(&ids.entity),
            call_with("graph_delete_entity", |id| json!({"entity": id})),
        ),
        question(
            "a fact about an entity",
            &ids.entity,
            &like(&ids.entity),
            call_with("graph_add_observation", |id| json!({"entity": id, "text": "x"})),
        ),
        question(
            "a relation of an entity",
            &ids.entity,
            &like(&ids.entity),
            call_with("graph_link_entities", |id| json!({"from": id, "relationType": "x", "to": id})),
        ),
        question(
            "the deletion of a fact",
            &ids.observation,
            &like(&ids.observation),
            call_with("graph_delete_entity", |id| json!({"observationId": id})),
        ),
        question("a backup", &ids.backup, nowhen, call_with("restore_backup", |id| json!({"backupId": id}))),
        question("a store", "alpha", "omega", call_with("select_store", |id| json!({"storeId": id}))),
        question(
            "the path of a store",
            "alpha",
            "omega",
            call_with("select_store", |id| json!({"path": id})),
        ),
        question(
            "a search in a store",
            "alpha",
            "omega",
            call_with("graph_search", |id| json!({"query": "*", "storeId": id})),
        ),
    ]
}

#[test]
fn foreign_items_are_answered_like_missing_ones() {
    let world = world();
    let anna = Person::new(&world.server, "anna", world.key("anna"), false, SECRET);
    let ids = plant(&anna);
    let questions = questions(&world, &anna, &ids);
    for person in outsiders(&world) {
        for Question { what, theirs, nobodys, ask } in &questions {
            let (one, other) = (ask(&person, theirs), ask(&person, nobodys));
            assert_eq!(seen(&one, theirs), seen(&other, nobodys), "{what}, asked by {}", person.name);
        }
    }
    // Nothing of it was changed, and the members' own is there.
    assert_eq!(anna.post(&json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"})).status, 200);
    assert!(anna.data("read_memory_bank_file", &json!({"filename": "alone.md"}))["content"].is_string());
    let eddi = world.key("eddi");
    // Let in as before: an editor's key manages no keys, and one that is no good is a 401.
    assert_eq!(world.server.send_bare("GET", "/api/keys", &[("X-API-Key", &eddi)], "").status, 403);
}

/// The most tries of one question. A difference that is there is in all of them.
const TRIES: usize = 24;

/// Wall time depends on the machine. What the server asks its database does not: an answer for another's thing takes
/// as many round trips as one for nothing. Chores of the server only ever add some, so the least of a few tries counts.
#[test]
fn foreign_items_cost_as_much_as_missing_ones() {
    let world = world();
    let anna = Person::new(&world.server, "anna", world.key("anna"), false, SECRET);
    let ids = plant(&anna);
    let questions = questions(&world, &anna, &ids);
    let proxy = CountingProxy::to(world.database.port());
    let url =
        format!("postgres://{SERVER}@127.0.0.1:{}/{}?sslmode=disable", proxy.port(), world.database.name());
    let counted = crate::database::serve_through(&url, &world.key("anna"));
    // The replica knows the session of alpha, as it would when its owner is at work there.
    let here = Person { server: &counted, session: anna.session.clone(), key: anna.key.clone(), ..anna };
    let boris = Person::new(&counted, "boris", world.key("boris"), true, "common");
    for Question { what, theirs, nobodys, ask } in &questions {
        let count = |id: &str| {
            here.post(&json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}));
            proxy.take();
            ask(&boris, id);
            proxy.take()
        };
        // Statements are prepared by whoever needs them first.
        let _prepared = (ask(&boris, theirs), ask(&boris, nobodys));
        let (mut one, mut other) = (usize::MAX, usize::MAX);
        for attempt in 0..TRIES {
            one = one.min(count(theirs));
            other = other.min(count(nobodys));
            if attempt >= 3 && one == other {
                break;
            }
        }
        assert_eq!(one, other, "round trips for {what}");
    }
}

#[test]
fn a_reply_is_replayed_only_to_its_own_session_and_key() {
    let world = world();
    let anna = Person::new(&world.server, "anna", world.key("anna"), false, SECRET);
    plant(&anna);
    let read = json!({"name": "read_memory_bank_file", "arguments": {"filename": "notes.md"}});
    let reply = anna.post(&json!({"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": read}));
    let event = reply.events()[0].0.clone();
    let before = event.replace("-1", "-0");
    assert_eq!(anna.listen(Some(&before)).next().unwrap(), reply.message());
    // Members of the same project, and the same user's key for another one, are others: they get news, not the answer.
    let others: Vec<Person<'_>> = ["eddi", "vera", "mara in alpha", "boris", "mara in beta", "otto"]
        .into_iter()
        .map(|name| Person::new(&world.server, name, world.key(name), false, "common"))
        .collect();
    let mut streams: Vec<Listener> = others.iter().map(|person| person.listen(Some(&before))).collect();
    for writer in [&anna, &others[3], &others[5]] {
        writer.data("write_memory_bank_file", &json!({"filename": "new.md", "content": "common"}));
    }
    for (person, stream) in others.iter().zip(&mut streams) {
        let first = stream.next().unwrap();
        assert_eq!(
            first["method"],
            json!("notifications/resources/list_changed"),
            "{} got {first}",
            person.name
        );
    }
}

#[test]
fn a_key_revoked_elsewhere_is_refused_at_once_also_without_redis() {
    let world = world();
    let boris = Person::new(&world.server, "boris", world.key("boris"), false, "common");
    boris.data("write_memory_bank_file", &json!({"filename": "notes.md", "content": "common"}));
    let listed = [("X-API-Key", boris.key.as_str())];
    assert_eq!(world.server.send_bare("GET", "/api/keys", &listed, "").status, 200);
    // By another process, which cannot tell this server.
    operate(&world.database, &["keys", "revoke", &world.id("boris")]).unwrap();
    for (tool, arguments) in [
        ("read_memory_bank_file", json!({"filename": "notes.md"})),
        ("search_memory_bank", json!({"query": "common"})),
        ("write_memory_bank_file", json!({"filename": "notes.md", "content": "mine"})),
    ] {
        // The first call is let in and refused by the database; what was believed is forgotten, so that none is after it.
        let reply = boris.call(tool, &arguments);
        assert!(reply["result"]["isError"] == json!(true) || reply["error"].is_string(), "{reply}");
        assert!(reply.to_string().contains("revoked"), "{reply}");
    }
    for _ in 0..2 {
        let refused = world.server.send_bare("GET", "/api/keys", &listed, "");
        assert_eq!((refused.status, refused.json()), (401, json!({"error": "API key has been revoked"})));
        assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
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
        assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
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
        show(&format!("{method} {params}"), &alice.ask(method, &params));
    }
    // Nor does a client choose where a backup goes.
    assert!(!server.folder.path().join("common").exists());
}

/// What stands in for a value that differs from one moment to the next.
fn timeless(text: &str) -> String {
    static MOMENT: OnceLock<regex::Regex> = OnceLock::new();
    let moment = MOMENT.get_or_init(|| {
        regex::Regex::new(
            r#"\d{4}-\d\d-\d\dT[\d:.]+Z|"lastUsedAt":(null|"[^"]*")|\\"(timestamp|lastUsedAt)\\": ?\\"[^"]*\\""#,
        )
        .unwrap()
    });
    moment.replace_all(text, "…").into_owned()
}
