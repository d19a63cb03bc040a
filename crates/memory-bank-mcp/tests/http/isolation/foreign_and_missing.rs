//! Items of another project are answered like items that do not exist, at the same cost.

use memory_bank_test_postgres::SERVER;
use memory_bank_test_postgres::proxy::CountingProxy;
use serde_json::{Value, json};

use super::members::{NOBODY, Person, SECRET, timeless};
use super::projects::{Ids, World, outsiders, plant, world};
use crate::client::{JSON, MCP_ACCEPT, Reply};

/// Everything by which a client can distinguish two replies.
pub(super) fn seen(reply: &Reply, requested: &str) -> (u16, Vec<(String, String)>, String) {
    // The framing of a stream depends on the speed of the machine, not on the request.
    let framing = ["content-length", "transfer-encoding"];
    let telling = |name: &str| {
        !["x-request-id", "date", "x-ratelimit-reset"].contains(&name) && !framing.contains(&name)
    };
    let headers = reply.headers.iter().filter(|(name, _)| telling(name)).cloned().collect();
    let body = match reply.header("content-type") {
        Some("text/event-stream") => reply.message().to_string(),
        _ => reply.body.clone(),
    };
    (reply.status, headers, timeless(&body.replace(requested, "…")))
}

/// Sends a probe.
type SendProbe = Box<dyn Fn(&Person<'_>, &str) -> Reply>;

/// One request that can name an item of another project or one that does not exist.
struct Probe {
    what: &'static str,
    foreign: String,
    missing: String,
    send: SendProbe,
}

fn probe(
    what: &'static str,
    foreign: &str,
    missing: &str,
    send: impl Fn(&Person<'_>, &str) -> Reply + 'static,
) -> Probe {
    Probe { what, foreign: foreign.to_owned(), missing: missing.to_owned(), send: Box::new(send) }
}

fn call_with(tool: &'static str, arguments: fn(&str) -> Value) -> impl Fn(&Person<'_>, &str) -> Reply {
    move |person, id| {
        let params = json!({"name": tool, "arguments": arguments(id)});
        person.post(&json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}))
    }
}

/// An unused id of the same length.
fn like(id: &str) -> String {
    let (kind, rest) = id.split_at(id.find('_').map_or(0, |at| at + 1));
    format!("{kind}{}", "0".repeat(rest.len()))
}

fn probes(world: &World, anna: &Person<'_>, ids: &Ids) -> Vec<Probe> {
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
    let administered = |method: &'static str, route: &'static str| {
        move |person: &Person<'_>, id: &str| {
            let body = if method == "PATCH" { "{\"role\":\"viewer\"}" } else { "" };
            person.send(method, &format!("/api/v1/{route}={id}"), &[JSON], body)
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
        probe("a message in a session", &anna.session, NOBODY, in_session("POST")),
        probe("the stream of a session", &anna.session, NOBODY, in_session("GET")),
        probe("the stream of a session from an event", &anna.session, NOBODY, resume),
        probe("the end of a session", &anna.session, NOBODY, in_session("DELETE")),
        probe("the change of a key", &key, NOBODY, rest("PATCH", "")),
        probe("the revocation of a key", &key, NOBODY, rest("DELETE", "")),
        probe("the rotation of a key", &key, NOBODY, rest("POST", "/rotate")),
        probe("the revocation of a member's key", &key, NOBODY, administered("DELETE", "key?id")),
        probe("the role of a member", "anna", "arno", administered("PATCH", "member?name")),
        probe("the end of a membership", "anna", "arno", administered("DELETE", "member?name")),
        probe("a document of REST", "alone.md", "nosuc.md", administered("GET", "document?filename")),
        probe(
            "the lines of a document",
            "alone.md",
            "nosuc.md",
            administered("GET", "history/blame?filename"),
        ),
        probe(
            "the deletion by REST",
            "alone.md",
            "nosuc.md",
            administered("DELETE", "document?etag=0123456789abcdef&filename"),
        ),
        probe("a document", "alone.md", "nosuc.md", call_with("read_memory_bank_file", file)),
        probe(
            "the deletion of a document",
            "alone.md",
            "nosuc.md",
            call_with("delete_memory_bank_file", file),
        ),
        probe(
            "a document among others",
            "alone.md",
            "nosuc.md",
            call_with("batch_read_files", |id| json!({"files": [id]})),
        ),
        probe(
            "a change of a document",
            "alone.md",
            "nosuc.md",
            call_with(
                "write_memory_bank_file",
                |id| json!({"filename": id, "content": "x", "ifMatchEtag": "0123456789abcdef"}),
            ),
        ),
        probe("a resource", "alone", "nosuc", read),
        probe(
            "an entity",
            &ids.entity,
            &like(&ids.entity),
            call_with("graph_open_nodes", |id| json!({"nodes": [id]})),
        ),
        probe(
            "the deletion of an entity",
            &ids.entity,
            &like(&ids.entity),
            call_with("graph_delete_entity", |id| json!({"entity": id})),
        ),
        probe(
            "a fact about an entity",
            &ids.entity,
            &like(&ids.entity),
            call_with("graph_add_observation", |id| json!({"entity": id, "text": "x"})),
        ),
        probe(
            "a relation of an entity",
            &ids.entity,
            &like(&ids.entity),
            call_with("graph_link_entities", |id| json!({"from": id, "relationType": "x", "to": id})),
        ),
        probe(
            "the deletion of a fact",
            &ids.observation,
            &like(&ids.observation),
            call_with("graph_delete_entity", |id| json!({"observationId": id})),
        ),
        probe("a backup", &ids.backup, nowhen, call_with("restore_backup", |id| json!({"backupId": id}))),
        probe("a store", "alpha", "omega", call_with("select_store", |id| json!({"storeId": id}))),
        probe("the path of a store", "alpha", "omega", call_with("select_store", |id| json!({"path": id}))),
        probe(
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
    let probes = probes(&world, &anna, &ids);
    for person in outsiders(&world) {
        for Probe { what, foreign, missing, send } in &probes {
            let (one, other) = (send(&person, foreign), send(&person, missing));
            assert_eq!(seen(&one, foreign), seen(&other, missing), "{what}, requested by {}", person.name);
        }
    }
    // Nothing was changed, and the members' data still exists.
    assert_eq!(anna.post(&json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"})).status, 200);
    assert!(anna.data("read_memory_bank_file", &json!({"filename": "alone.md"}))["content"].is_string());
    let eddi = world.key("eddi");
    // The key still works: an editor gets 403 here, an invalid key would get 401.
    assert_eq!(world.server.send_bare("GET", "/api/keys", &[("X-API-Key", &eddi)], "").status, 403);
}

/// The maximum number of tries of one question. A real difference appears in all of them.
const TRIES: usize = 24;

/// Wall time depends on the machine. The queries of the server do not: a reply about a foreign item takes
/// as many round trips as one about a missing item. Background tasks of the server add some, so the lowest of a few tries counts.
#[test]
fn foreign_items_cost_as_much_as_missing_ones() {
    let world = world();
    let anna = Person::new(&world.server, "anna", world.key("anna"), false, SECRET);
    let ids = plant(&anna);
    let probes = probes(&world, &anna, &ids);
    let proxy = CountingProxy::to(world.database.port());
    let url =
        format!("postgres://{SERVER}@127.0.0.1:{}/{}?sslmode=disable", proxy.port(), world.database.name());
    let counted = crate::database::serve_through(&url, &world.key("anna"));
    // The replica caches the session of alpha, as after a request of its owner.
    let here = Person { server: &counted, session: anna.session.clone(), key: anna.key.clone(), ..anna };
    let boris = Person::new(&counted, "boris", world.key("boris"), true, "common");
    for Probe { what, foreign, missing, send } in &probes {
        let count = |id: &str| {
            here.post(&json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}));
            proxy.take();
            send(&boris, id);
            proxy.take()
        };
        // The first use of a statement prepares it.
        let _prepared = (send(&boris, foreign), send(&boris, missing));
        let (mut one, mut other) = (usize::MAX, usize::MAX);
        for attempt in 0..TRIES {
            one = one.min(count(foreign));
            other = other.min(count(missing));
            if attempt >= 3 && one == other {
                break;
            }
        }
        assert_eq!(one, other, "round trips for {what}");
    }
}
