//! Removed, archived and existing text is not revealed to keys without `read`.

use serde_json::{Value, json};

use super::scoped_client::{CANARY, Client, assert_silent, worlds};

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

/// Plants the canary in text that the next call may remove or conflict with.
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

/// Arguments; members that are null are replaced by planted values.
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
    // Ids of planted items, where a call needs them.
    let (former, fact) = (json!(null), json!(null));
    let section = json!([{"op": "replace_section", "heading": "Own", "text": "own"}]);
    let append = json!([{"op": "append", "heading": "Own", "text": "own"}]);
    for world in worlds() {
        let owner = Client::with(&world.server, &["read", "write", "admin"]);
        let blind = Client::with(&world.server, &["write", "admin"]);
        // The reply to a key with `read` contains the details.
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
                assert_eq!(replies[0], replies[1], "{tool} reveals stored text");
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
                    // If its own task contains the guess, a part of another task matches two.
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
            // A task that is named completely is removed.
            blind.data("update_tasks", &json!({"add": ["its own"]}));
            blind.data("update_tasks", &json!({"remove": ["its own"]}));
        }
        let tasks = owner.data("update_tasks", &json!({"remove": []}))["tasks"].to_string();
        assert!(tasks.contains("secret plan alpha") && !tasks.contains("its own"), "{tasks}");
        // A key with `read` learns that a part matches two tasks.
        assert_eq!(
            owner.call("update_tasks", &json!({"remove": ["secret"]}))["result"]["isError"],
            json!(true)
        );
    }
}

#[test]
fn replacing_reveals_nothing_to_a_key_without_read() {
    for world in worlds() {
        let owner = Client::with(&world.server, &["read", "write", "admin"]);
        owner.data("initialize_memory_bank", &json!({"path": "."}));
        owner.data("graph_upsert_entity", &json!({"name": "Thing", "entityType": "thing"}));
        owner.data("graph_add_observation", &json!({"entity": "Thing", "text": "stored"}));
        let decision = |replaces: &[&str]| json!({"title": "New", "context": "c", "decision": "d", "supersedes": replaces});
        owner.call("log_decision", &json!({"title": "Stored", "context": "c", "decision": "d"}));
        for scopes in [&["write"][..], &["write", "admin"]] {
            let blind = Client::with(&world.server, scopes);
            for (tool, arguments) in [
                ("log_decision", &(|replaces: &[&str]| decision(replaces)) as &dyn Fn(&[&str]) -> Value),
                (
                    "finalize_thinking_session",
                    &|replaces| json!({"summary": "s", "decision": decision(replaces)}),
                ),
                (
                    "graph_add_observation",
                    &|replaces| json!({"entity": "Thing", "text": "new", "supersedes": replaces}),
                ),
                (
                    "graph_batch",
                    &|replaces| json!({"observations": [{"entity": "Thing", "text": "new", "supersedes": replaces}]}),
                ),
                (
                    "edit_memory_bank_file",
                    &|replaces| json!({"filename": "decision-log.md", "edits": [{"op": "archive", "match": replaces[0]}]}),
                ),
            ] {
                for stored in ["Stored", "stored"] {
                    let replies = [stored, "not there"].map(|guess| blind.call(tool, &arguments(&[guess])));
                    let [there, not_there] = replies.map(|reply| {
                        assert_eq!(reply["result"]["isError"], json!(true), "{tool}: {reply}");
                        reply["result"]["content"].to_string()
                    });
                    assert_eq!(there, not_there, "{scopes:?} {tool}");
                }
            }
        }
    }
}
