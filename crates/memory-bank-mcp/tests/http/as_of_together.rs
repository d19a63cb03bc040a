//! Calls as of a time beside single documents: at once, in bundles and batches, and as resources; on a folder and on PostgreSQL.

use serde_json::json;

use crate::as_of::{changed_bank, everywhere, moment};

/// Calls of one key at the same time, of two assistants with some sub-agents each.
#[test]
fn searches_of_a_time_at_once_are_all_answered() {
    everywhere(|client, place| {
        client.call("initialize_memory_bank", &json!({"path": "."}));
        let line = "the walrus sleeps beside other animals of the northern sea\n";
        for number in 0..6 {
            let text = format!("# Notes {number}\n\n{}", line.repeat(60_000 / line.len()));
            client.write(&format!("notes-{number}.md"), &text);
        }
        let then = moment();
        client.write("notes-0.md", "# Notes\n\nthe giraffe runs\n");
        client.call("graph_upsert_entity", &json!({"name": "Api", "entityType": "service"}));
        let calls = [
            ("search_memory_bank", json!({"query": "walrus", "asOf": then})),
            ("get_context_digest", json!({"asOf": then})),
            ("get_targeted_context", json!({"query": "walrus", "asOf": then})),
            ("graph_search", json!({"query": "walrus", "asOf": then})),
        ];
        std::thread::scope(|scope| {
            for (tool, arguments) in calls.iter().chain(&calls) {
                scope.spawn(move || {
                    let reply = client.reply(tool, arguments);
                    assert!(reply["error"].is_null(), "{place} {tool}: {reply}");
                    assert_ne!(reply["result"]["isError"], true, "{place} {tool}: {reply}");
                    if *tool == "search_memory_bank" {
                        let text = reply.to_string();
                        assert!(text.contains("notes-0.md"), "{place}: {text}");
                    }
                });
            }
        });
    });
}

#[test]
fn bundles_batches_and_resources_are_those_of_the_time() {
    everywhere(|client, place| {
        let then = changed_bank(client);
        let files = json!(["notes.md", "old.md", "new.md", "later.md", "nowhere.md"]);
        let batch = client.call("batch_read_files", &json!({"files": files, "asOf": then}));
        let result = |name: &str| &batch["results"][name];
        assert_eq!(result("notes.md")["content"], "# Notes\n\nthe walrus sleeps\n", "{place}: {batch}");
        assert!(result("notes.md")["etag"].is_null(), "{place}: {batch}");
        assert_eq!(result("old.md")["content"], "# Old\n\nan old walrus\n", "{place}: {batch}");
        assert_eq!(result("new.md")["storedAs"], "old.md", "{place}: {batch}");
        for (name, why) in
            [("later.md", "made later, at 20"), ("nowhere.md", "no such document at that time")]
        {
            let error = result(name)["error"].as_str().unwrap_or_default();
            assert!(error.contains(why), "{place}: {batch}");
        }
        let counts =
            ["requested", "successful", "failed"].map(|name| batch["metadata"][name].as_u64().unwrap());
        assert_eq!((counts, batch["metadata"]["asOf"].is_string()), ([5, 3, 2], true), "{place}: {batch}");

        let bundle = client.call("get_context_bundle", &json!({"asOf": then}));
        let text = bundle.to_string();
        assert!(text.contains("Use MySQL") && !text.contains("Use PostgreSQL"), "{place}: {text}");
        assert!(!text.contains("giraffe") && bundle["metadata"]["asOf"].is_string(), "{place}: {text}");
        assert!(bundle["bundle"]["decision-log.md"]["etag"].is_null(), "{place}: {text}");
        assert!(bundle["digest"].to_string().contains("Use MySQL"), "{place}: {text}");
        let now = client.call("get_context_bundle", &json!({}));
        assert!(now.to_string().contains("Use PostgreSQL"), "{place}: {now}");
        assert!(now["bundle"]["decision-log.md"]["etag"].is_string(), "{place}: {now}");
        let why = client.refused("get_context_bundle", &json!({"asOf": "2001-01-01"}));
        assert!(why.contains("no document of that time"), "{place}: {why}");
        for tool in ["batch_read_files", "get_context_bundle"] {
            let why = client.refused(tool, &json!({"files": ["notes.md"], "asOf": "soon"}));
            assert!(why.contains("asOf `soon` is neither RFC 3339"), "{place} {tool}: {why}");
        }

        let resource = |uri: &str| {
            let request =
                json!({"jsonrpc": "2.0", "id": 9, "method": "resources/read", "params": {"uri": uri}});
            client.server.post(Some(&client.session), &request).message()
        };
        for (name, text) in
            [("notes", "the walrus sleeps"), ("old.md", "an old walrus"), ("new", "an old walrus")]
        {
            let uri = format!("memory-bank://{name}?asOf={then}");
            let read = resource(&uri);
            let contents = &read["result"]["contents"][0];
            assert!(contents["text"].as_str().unwrap_or_default().contains(text), "{place} {name}: {read}");
            assert_eq!(contents["uri"], uri.as_str(), "{place} {name}: {read}");
        }
        for (uri, why) in [
            (format!("memory-bank://later?asOf={then}"), "made later, at 20"),
            ("memory-bank://notes?asOf=2001-01-01T00%3A00%3A00%2B01%3A00".to_owned(), "made later, at 20"),
            ("memory-bank://notes?asOf=soon".to_owned(), "asOf `soon` is neither RFC 3339"),
        ] {
            let read = resource(&uri);
            let message = read["error"]["message"].as_str().unwrap_or_default();
            assert!(message.contains(why), "{place} {uri}: {read}");
        }
    });
}
