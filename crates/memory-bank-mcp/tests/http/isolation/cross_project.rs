//! Calls of every tool, method and route by members of other projects.

use std::collections::BTreeMap;

use serde_json::json;

use super::members::{Person, SECRET, reads};
use super::projects::{Ids, outsiders, plant, world};
use super::tool_calls::cases;
use crate::client::Listener;

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
                let subscribed = person.request("resources/subscribe", &json!({"uri": uri}));
                assert_eq!(subscribed["result"], json!({}), "{subscribed}");
            }
            person.listen(None)
        })
        .collect();

    let ids = plant(&anna);
    let planted = anna.view();
    // The planted words exist; otherwise the test would prove nothing.
    for (place, what) in [
        ("list_memory_bank_files {}", "the name of a document"),
        ("get_context_bundle {}", "documents"),
        ("search_memory_bank {\"query\":\"common\",\"maxResults\":100}", "the index"),
        ("graph_open_nodes {\"nodes\":[\"Shared Thing\"],\"depth\":2}", "the graph"),
        ("/api/keys", "the label of a key"),
    ] {
        assert!(planted[place].contains(SECRET), "{what} of alpha: {}", planted[place]);
    }

    // Other members see the same as before.
    for (person, before) in outsiders.iter().zip(&before) {
        for (what, now) in person.view() {
            assert_eq!(now, before[&what], "{what} changed for {}", person.name);
        }
    }

    // No stream was notified of changes in alpha: the first notification is of the project's own write.
    let marker = json!({"filename": "marker.md", "content": "common again"});
    for writer in writers {
        writer.data("write_memory_bank_file", &marker);
    }
    for (person, stream) in outsiders.iter().zip(&mut streams) {
        let notification = stream.next().expect("a notification");
        assert_eq!(
            notification["params"]["uri"],
            json!("memory-bank://marker"),
            "{} got {notification}",
            person.name
        );
    }

    // They also try every call with ids of alpha, in both protocol versions.
    let all_tools = anna.tools();
    let mut changed_by = BTreeMap::new();
    for person in &outsiders {
        for tool in &all_tools {
            for arguments in cases(tool, "harmless", &ids, false) {
                person.call(tool, &arguments);
                if arguments.to_string().contains("alpha") {
                    let params = json!({"name": tool, "arguments": arguments});
                    person.request_without_session("tools/call", params);
                }
            }
        }
        for (method, params) in reads(person, &ids.entity) {
            person.request(method, &params);
            person.request_without_session(method, params);
        }
        changed_by.insert(person.name, anna.view());
    }
    for (name, view) in changed_by {
        for (what, now) in view {
            assert_eq!(now, planted[&what], "{name} changed {what} of alpha");
        }
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
    // Other members, and the same user's key for another project, get notifications and not the reply.
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
