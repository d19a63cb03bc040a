//! Answers as of a time, over MCP and REST, on a folder and on PostgreSQL.

use std::time::Duration;

use memory_bank_core::clock::{Clock as _, SystemClock};
use memory_bank_test_postgres::TestDatabase;
use serde_json::{Value, json};

use crate::client::{Reply, Server, call, structured};
use crate::database::{key_of, operate, serve};

/// A server with a session.
pub(crate) struct Client {
    pub(crate) server: Server,
    pub(crate) session: String,
}

impl Client {
    fn of(server: Server) -> Self {
        let session = server.initialize();
        Self { server, session }
    }

    pub(crate) fn reply(&self, tool: &str, arguments: &Value) -> Value {
        self.server.post(Some(&self.session), &call(7, tool, arguments)).message()
    }

    pub(crate) fn call(&self, tool: &str, arguments: &Value) -> Value {
        let reply = self.reply(tool, arguments);
        assert_ne!(reply["result"]["isError"], true, "{tool} {arguments}: {reply}");
        structured(&reply)
    }

    pub(crate) fn refused(&self, tool: &str, arguments: &Value) -> String {
        let reply = self.reply(tool, arguments);
        assert_eq!(reply["result"]["isError"], true, "{tool} {arguments}: {reply}");
        reply["result"]["content"][0]["text"].as_str().unwrap().to_owned()
    }

    pub(crate) fn write(&self, filename: &str, content: &str) {
        self.call("write_memory_bank_file", &json!({"filename": filename, "content": content}));
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        let key = ("X-API-Key", self.server.key.as_str());
        self.server.send_bare("GET", path, &[key], "")
    }

    /// What a route shows.
    pub(crate) fn shown(&self, path: &str) -> Value {
        let reply = self.get(path);
        assert_eq!(reply.status, 200, "{path}: {}", reply.body);
        reply.json()
    }
}

/// The same on a folder and on a database.
pub(crate) fn everywhere(check: impl Fn(&Client, &str)) {
    check(&Client::of(Server::start(&[])), "folder");
    let database = TestDatabase::migrated();
    let made = operate(&database, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap();
    check(&Client::of(serve(&database, &key_of(&made["key"]))), "database");
}

/// A time between the changes before and after this call.
pub(crate) fn moment() -> String {
    let pause = || std::thread::sleep(Duration::from_millis(20));
    pause();
    let now = SystemClock.now().to_string();
    pause();
    now
}

/// A bank that changed after the returned time.
pub(crate) fn changed_bank(client: &Client) -> String {
    client.call("initialize_memory_bank", &json!({"path": "."}));
    client.write("notes.md", "# Notes\n\nthe walrus sleeps\n");
    client.write("old.md", "# Old\n\nan old walrus\n");
    let log = |title: &str, more: Value| {
        let mut decision = json!({"title": title, "context": "c", "decision": format!("{title} it is")});
        decision.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        client.call("log_decision", &decision);
    };
    log("Use MySQL", json!({}));
    client.call("graph_upsert_entity", &json!({"name": "Api", "entityType": "service"}));
    client.call("graph_add_observation", &json!({"entity": "Api", "text": "the port is 80"}));
    let then = moment();
    client.write("notes.md", "# Notes\n\nthe giraffe runs\n");
    client.write("later.md", "# Later\n\na later walrus\n");
    client.call("rename_memory_bank_file", &json!({"filename": "old.md", "newFilename": "new.md"}));
    log("Use PostgreSQL", json!({"supersedes": "Use MySQL"}));
    client.call("graph_upsert_entity", &json!({"name": "Db", "entityType": "service"}));
    then
}

fn files(found: &Value) -> Vec<&str> {
    let mut files: Vec<&str> =
        found["results"].as_array().unwrap().iter().map(|hit| hit["file"].as_str().unwrap()).collect();
    files.sort_unstable();
    files
}

#[test]
fn documents_searches_and_digests_are_those_of_the_time() {
    everywhere(|client, place| {
        let then = changed_bank(client);
        let read = |name: &str| json!({"filename": name, "asOf": then});
        let notes = client.call("read_memory_bank_file", &read("notes.md"));
        assert_eq!(notes["content"], "# Notes\n\nthe walrus sleeps\n", "{place}: {notes}");
        assert!(notes["etag"].is_null() && notes["version"].is_u64(), "{place}: {notes}");
        let old = client.call("read_memory_bank_file", &read("new.md"));
        assert_eq!(
            (&old["content"], &old["storedAs"]),
            (&json!("# Old\n\nan old walrus\n"), &json!("old.md"))
        );
        let part =
            client.call("read_memory_bank_file", &json!({"filename": "notes.md", "asOf": then, "tail": 1}));
        assert!(
            part["part"].as_str().unwrap().contains("walrus") && part["asOf"].is_string(),
            "{place}: {part}"
        );
        let today = then.get(..10).unwrap();
        let now = client.call("read_memory_bank_file", &json!({"filename": "notes.md", "asOf": today}));
        assert!(now["content"].as_str().unwrap().contains("giraffe"), "{place}: {now}");
        let why = client.refused("read_memory_bank_file", &read("later.md"));
        assert!(why.contains("made later, at 20"), "{place}: {why}");
        let why =
            client.refused("read_memory_bank_file", &json!({"filename": "notes.md", "asOf": "2001-01-01"}));
        assert!(why.contains("made later"), "{place}: {why}");

        let search = |query: &str, more: Value| {
            let mut arguments = json!({"query": query});
            arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            client.call("search_memory_bank", &arguments)
        };
        let found = search("walrus", json!({"asOf": then}));
        assert_eq!(files(&found), ["notes.md", "old.md"], "{place}: {found}");
        assert!(found["metadata"]["asOf"].is_string(), "{place}: {found}");
        assert_eq!(files(&search("walrus", json!({}))), ["later.md", "new.md"], "{place}");
        assert_eq!(files(&search("walrus", json!({"asOf": then, "files": ["notes.md"]}))), ["notes.md"]);
        assert!(files(&search("giraffe", json!({"asOf": then}))).is_empty(), "{place}");
        let page = search("walrus", json!({"asOf": then, "maxResults": 1}));
        let cursor = &page["metadata"]["nextCursor"];
        let second = search("walrus", json!({"asOf": then, "maxResults": 1, "cursor": cursor}));
        assert_ne!(files(&page), files(&second), "{place}: {page} {second}");

        let digest = client.call("get_context_digest", &json!({"asOf": then}));
        assert_eq!(titles(&digest), ["Use MySQL"], "{place}: {digest}");
        let text = digest.to_string();
        assert!(
            text.contains("old.md") && !text.contains("later.md") && !text.contains("new.md"),
            "{place}: {text}"
        );
        let graph = digest["digest"]["graphSummary"].as_str().unwrap();
        assert!(graph.contains("1 entities, 1 observations") && graph.contains("Api"), "{place}: {graph}");
        assert_eq!(titles(&client.call("get_context_digest", &json!({}))), ["Use PostgreSQL"], "{place}");
        let context = json!({"query": "where does the walrus sleep", "asOf": then});
        let context = client.call("get_targeted_context", &context).to_string();
        assert!(context.contains("the walrus sleeps") && !context.contains("later"), "{place}: {context}");
        for tool in
            ["search_memory_bank", "get_context_digest", "get_targeted_context", "read_memory_bank_file"]
        {
            let why = client.refused(tool, &json!({"query": "x", "filename": "notes.md", "asOf": "soon"}));
            assert!(why.contains("asOf `soon` is neither RFC 3339"), "{place} {tool}: {why}");
        }
    });
}

fn titles(digest: &Value) -> Vec<&str> {
    let decisions = digest["digest"]["recentDecisions"].as_array().unwrap();
    decisions.iter().map(|decision| decision["title"].as_str().unwrap()).collect()
}

#[test]
fn rest_shows_what_was_known_at_a_time_and_what_has_ended() {
    everywhere(|client, place| {
        let then = changed_bank(client);
        let fact = json!({"entity": "Api", "text": "the port is 443", "supersedes": "the port is 80"});
        client.call("graph_add_observation", &fact);
        let found = client.shown(&format!("/api/v1/search?query=walrus&asOf={then}"));
        assert_eq!(files(&found), ["notes.md", "old.md"], "{place}: {found}");
        assert!(found["asOf"].is_string() && found["skipped"] == json!([]), "{place}: {found}");
        let found = client.shown("/api/v1/search?query=MySQL%20it%20is");
        assert!(found["endedLeftOut"].as_u64().unwrap() > 0, "{place}: {found}");
        let all = client.shown("/api/v1/search?query=MySQL%20it%20is&includeEnded=true");
        assert_eq!(all["endedLeftOut"], 0, "{place}: {all}");
        assert!(all.to_string().contains("MySQL it is"), "{place}: {all}");
        let document = client.shown(&format!("/api/v1/document?filename=notes.md&asOf={then}"));
        assert!(document["text"].as_str().unwrap().contains("walrus"), "{place}: {document}");
        let digest = client.shown(&format!("/api/v1/digest?asOf={then}"));
        assert_eq!(titles(&digest), ["Use MySQL"], "{place}: {digest}");
        let digest = client.shown("/api/v1/digest");
        assert_eq!(digest["metadata"]["ended"]["leftOut"], 1, "{place}: {digest}");
        assert_eq!(titles(&client.shown("/api/v1/digest?includeEnded=true")).len(), 2, "{place}");

        let texts = |entity: &Value| -> Vec<String> {
            let facts = entity["observations"].as_array().unwrap().iter();
            facts.map(|fact| fact["text"].as_str().unwrap().to_owned()).collect()
        };
        let entity = client.shown("/api/v1/graph/entity?name=Api");
        assert_eq!(
            (texts(&entity), &entity["endedLeftOut"]),
            (vec!["the port is 443".to_owned()], &json!(1))
        );
        let entity = client.shown("/api/v1/graph/entity?name=Api&includeEnded=true");
        assert_eq!(texts(&entity).len(), 2, "{place}: {entity}");
        assert!(entity.to_string().contains("supersededBy"), "{place}: {entity}");
        let entity = client.shown(&format!("/api/v1/graph/entity?name=Api&asOf={then}"));
        assert_eq!(texts(&entity), ["the port is 80"], "{place}: {entity}");
        let found = client.shown(&format!("/api/v1/graph/search?query=*&asOf={then}"));
        assert_eq!(found["entities"].as_array().unwrap().len(), 1, "{place}: {found}");
        let found = client.shown("/api/v1/graph/search?query=*&includeEnded=true");
        assert_eq!(found["entities"].as_array().unwrap().len(), 2, "{place}: {found}");
        for (path, status) in [
            ("/api/v1/search?query=x&asOf=soon", 400),
            ("/api/v1/digest?asOf=0000-01-01", 400),
            ("/api/v1/document?filename=notes.md&asOf=99999-01-01", 400),
            ("/api/v1/graph/search?query=x&asOf=-1", 400),
            ("/api/v1/graph/entity?name=Api&asOf=10000-01-01", 400),
            ("/api/v1/search?query=x&includeEnded=perhaps", 400),
            ("/api/v1/document?filename=notes.md&asOf=2001-01-01", 404),
        ] {
            let reply = client.get(path);
            assert_eq!(reply.status, status, "{place} {path}: {}", reply.body);
        }
    });
}

#[test]
fn a_history_that_does_not_reach_back_is_a_clear_error() {
    everywhere(|client, place| {
        client.call("initialize_memory_bank", &json!({"path": "."}));
        client.write("notes.md", "# Notes\n\nthe walrus sleeps\n");
        let then = moment();
        client.write("notes.md", "# Notes\n\nthe giraffe runs\n");
        client.call("history", &json!({"action": "erase", "filename": "notes.md"}));
        client.write("notes.md", "# Notes\n\nthe zebra jumps\n");
        let read = json!({"filename": "notes.md", "asOf": then});
        let why = client.refused("read_memory_bank_file", &read);
        assert!(why.contains("history does not reach back to that time"), "{place}: {why}");
        let found = client.call("search_memory_bank", &json!({"query": "sleeps", "asOf": then}));
        let skipped = found["metadata"]["skipped"].to_string();
        assert!(skipped.contains("notes.md") && skipped.contains("reach back"), "{place}: {found}");
        let digest = client.call("get_context_digest", &json!({"asOf": then}));
        let warnings = digest["metadata"]["warnings"].to_string();
        assert!(
            warnings.contains("notes.md is left out: ") && warnings.contains("reach back"),
            "{place}: {digest}"
        );
    });
}

#[test]
fn a_time_of_one_project_shows_nothing_of_another() {
    let database = TestDatabase::migrated();
    let made = operate(&database, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap();
    let then = changed_bank(&Client::of(serve(&database, &key_of(&made["key"]))));
    let made = operate(&database, &["bootstrap", "--user", "bob", "--project", "other"]).unwrap();
    let bob = Client::of(serve(&database, &key_of(&made["key"])));
    bob.call("initialize_memory_bank", &json!({"path": "."}));
    bob.call("graph_upsert_entity", &json!({"name": "Own", "entityType": "service"}));
    for time in [then.as_str(), "2999-01-01"] {
        let why = bob.refused("read_memory_bank_file", &json!({"filename": "notes.md", "asOf": time}));
        assert!(why.contains("no such document at that time"), "{why}");
        for (tool, arguments) in [
            ("search_memory_bank", json!({"query": "walrus", "asOf": time})),
            ("get_context_digest", json!({"asOf": time})),
            ("get_targeted_context", json!({"query": "walrus", "asOf": time})),
            ("graph_search", json!({"query": "*", "asOf": time})),
            ("batch_read_files", json!({"files": ["notes.md"], "asOf": time})),
        ] {
            let shown = bob.call(tool, &arguments).to_string();
            for secret in ["walrus sleeps", "old.md", "new.md", "MySQL", "Api"] {
                assert!(!shown.contains(secret), "{tool}: {secret} in {shown}");
            }
        }
    }
}

#[test]
fn what_was_deleted_from_the_graph_since_is_there_as_of_a_time() {
    everywhere(|client, place| {
        client.call("initialize_memory_bank", &json!({"path": "."}));
        let entity = |name: &str, attrs: Value| {
            client
                .call("graph_upsert_entity", &json!({"name": name, "entityType": "service", "attrs": attrs}));
        };
        entity("Api", json!({"tier": 1}));
        entity("Db", json!({}));
        client.call("graph_add_observation", &json!({"entity": "Db", "text": "stores walruses"}));
        client.call("graph_link_entities", &json!({"from": "Api", "to": "Db", "relationType": "uses"}));
        let then = moment();
        entity("Api", json!({"tier": 2}));
        client.call("graph_delete_entity", &json!({"entity": "Db"}));
        entity("Later", json!({}));
        let names = |reply: &Value| -> Vec<String> {
            let entities = reply["entities"].as_array().unwrap().iter();
            let mut names: Vec<String> = entities.map(|one| one["name"].as_str().unwrap().into()).collect();
            names.sort();
            names
        };
        let open = |nodes: &[&str]| client.call("graph_open_nodes", &json!({"nodes": nodes, "asOf": then}));
        let both = open(&["Api", "Db"]);
        assert_eq!(names(&both), ["Api", "Db"], "{place}: {both}");
        assert_eq!((&both["asOfNote"], &both["missing"]), (&Value::Null, &Value::Null), "{place}: {both}");
        assert_eq!(both["entities"][0]["attrs"], json!({"tier": 1}), "{place}: {both}");
        assert_eq!(both["observations"][0]["text"], "stores walruses", "{place}: {both}");
        assert_eq!(both["relations"][0]["to"], "Db", "{place}: {both}");
        let some = open(&["Db", "Later"]);
        assert_eq!((names(&some), &some["missing"]), (vec!["Api".into(), "Db".into()], &json!(["Later"])));
        let none = open(&["Later"]);
        assert_eq!((&none["entities"], &none["missing"]), (&json!([]), &json!(["Later"])), "{place}: {none}");
        let why = client.refused("graph_open_nodes", &json!({"nodes": ["Nobody"], "asOf": then}));
        assert!(why.contains("Nobody"), "{place}: {why}");
        let why = client.refused("graph_open_nodes", &json!({"nodes": ["Api", "Db"]}));
        assert!(why.contains("Db"), "{place}: {why}");

        for query in ["walruses", "*"] {
            let found = client.call("graph_search", &json!({"query": query, "asOf": then}));
            assert!(names(&found).contains(&"Db".to_owned()), "{place}: {found}");
            assert!(!names(&found).contains(&"Later".to_owned()), "{place}: {found}");
            let now = client.call("graph_search", &json!({"query": query}));
            assert!(!names(&now).contains(&"Db".to_owned()), "{place}: {now}");
        }
        let digest = client.call("get_context_digest", &json!({"asOf": then}));
        let graph = digest["digest"]["graphSummary"].as_str().unwrap();
        assert!(graph.contains("2 entities, 1 observations") && graph.contains("Db"), "{place}: {graph}");
        let context = json!({"query": "where are the walruses stored", "asOf": then});
        let context = client.call("get_targeted_context", &context).to_string();
        assert!(context.contains("stores walruses"), "{place}: {context}");
        let entity = client.shown(&format!("/api/v1/graph/entity?name=Db&asOf={then}"));
        assert_eq!(entity["observations"][0]["text"], "stores walruses", "{place}: {entity}");
        let reply = client.get(&format!("/api/v1/graph/entity?name=Later&asOf={then}"));
        assert_eq!(reply.status, 404, "{place}: {}", reply.body);
        let found = client.shown(&format!("/api/v1/graph/search?query=walruses&asOf={then}"));
        assert_eq!(names(&found), ["Db"], "{place}: {found}");
    });
}

#[test]
fn a_graph_whose_history_does_not_reach_back_says_so_everywhere() {
    everywhere(|client, place| {
        client.call("initialize_memory_bank", &json!({"path": "."}));
        client.call("graph_upsert_entity", &json!({"name": "Api", "entityType": "service"}));
        let then = moment();
        client.call("graph_add_observation", &json!({"entity": "Api", "text": "is fast"}));
        client.call("history", &json!({"action": "erase", "entity": "Api"}));
        client.call("graph_upsert_entity", &json!({"name": "Db", "entityType": "service"}));
        for (tool, arguments) in [
            ("graph_search", json!({"query": "nothing", "asOf": then})),
            ("graph_search", json!({"query": "*", "asOf": then})),
            ("graph_open_nodes", json!({"nodes": ["Db"], "asOf": then})),
            ("get_targeted_context", json!({"query": "nothing", "asOf": then})),
        ] {
            let reply = client.call(tool, &arguments);
            let note = reply["asOfNote"].as_str().unwrap_or_default();
            assert!(note.contains("does not reach back"), "{place} {tool}: {reply}");
        }
        let digest = client.call("get_context_digest", &json!({"asOf": then}));
        let note = digest["metadata"]["asOfNote"].as_str().unwrap_or_default();
        assert!(note.contains("does not reach back"), "{place}: {digest}");
        for path in ["search?query=nothing", "search?query=*", "entity?name=Api"] {
            let shown = client.shown(&format!("/api/v1/graph/{path}&asOf={then}"));
            let note = shown["asOfNote"].as_str().unwrap_or_default();
            assert!(note.contains("does not reach back"), "{place} {path}: {shown}");
        }
        let now = client.call("graph_search", &json!({"query": "*"}));
        assert!(now["asOfNote"].is_null(), "{place}: {now}");
    });
}

#[test]
fn the_first_and_the_last_day_are_times_like_others() {
    everywhere(|client, place| {
        client.call("initialize_memory_bank", &json!({"path": "."}));
        client.write("notes.md", "# Notes\n\nthe walrus sleeps\n");
        client.call("graph_upsert_entity", &json!({"name": "Api", "entityType": "service"}));
        let fact = json!({"entity": "Api", "text": "lasts", "validUntil": "9999-12-31T23:59:59Z"});
        let added = client.call("graph_add_observation", &fact);
        assert_eq!(added["observation"]["validUntil"], "9999-12-31T23:59:59.000Z", "{place}: {added}");
        for (time, shown) in [
            ("9999-12-31", "9999-12-31T23:59:59.999Z"),
            ("9999-12-31T23:59:58Z", "9999-12-31T23:59:58.000Z"),
            ("9999-12-31T11:00:00-12:00", "9999-12-31T23:00:00.000Z"),
        ] {
            let read = client.call("read_memory_bank_file", &json!({"filename": "notes.md", "asOf": time}));
            assert_eq!(read["asOf"], shown, "{place}: {read}");
            let found = client.call("search_memory_bank", &json!({"query": "walrus", "asOf": time}));
            assert_eq!((files(&found), &found["metadata"]["asOf"]), (vec!["notes.md"], &json!(shown)));
            let open = client.call("graph_open_nodes", &json!({"nodes": ["Api"], "asOf": time}));
            let held = usize::from(time != "9999-12-31");
            assert_eq!(open["observations"].as_array().unwrap().len(), held, "{place} {time}: {open}");
            let picture = client.shown(&format!("/api/v1/graph/picture?asOf={}", time.replace('+', "%2B")));
            assert_eq!(picture["entities"], 1, "{place} {time}: {picture}");
        }
        for time in ["0001-01-01", "0001-01-01T00:00:00Z", "0001-01-01T12:00:00%2B12:00"] {
            let time = time.replace("%2B", "+");
            let open = client.call("graph_open_nodes", &json!({"nodes": ["Api"], "asOf": time}));
            assert_eq!(open["entities"], json!([]), "{place} {time}: {open}");
            let found = client.call("search_memory_bank", &json!({"query": "walrus", "asOf": time}));
            assert!(files(&found).is_empty(), "{place} {time}: {found}");
        }
    });
}
