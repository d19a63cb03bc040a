//! Over MCP and REST, a list of several documents names the document of a version whose name means another one now.

use memory_bank_test_postgres::TestDatabase;
use serde_json::{Value, json};

use crate::client::{Server, call, structured};
use crate::database::{key_of, operate, serve};

fn reply(server: &Server, session: &str, tool: &str, arguments: &Value) -> Value {
    structured(&server.post(Some(session), &call(7, tool, arguments)).message())
}

/// What a list has of `plan.md`: number, kind, and whether the document is named.
fn of_plan(versions: &Value) -> Vec<(u64, String, bool)> {
    let versions = versions.as_array().unwrap_or_else(|| panic!("{versions}")).iter();
    let of_plan = versions.filter(|version| version["filename"] == "plan.md");
    let seen = |version: &Value| {
        let kind = version["kind"].as_str().unwrap().to_owned();
        (version["version"].as_u64().unwrap(), kind, version["documentId"].is_string())
    };
    of_plan.map(seen).collect()
}

#[test]
fn lists_without_a_name_show_the_document_of_a_version_that_its_name_does_not_find() {
    let folder = Server::start(&[("MCP_HOST", "127.0.0.1")]);
    let database = TestDatabase::migrated();
    let made = operate(&database, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap();
    for server in [folder, serve(&database, &key_of(&made["key"]))] {
        let session = server.initialize();
        let call = |tool: &str, arguments: Value| reply(&server, &session, tool, &arguments);
        call("initialize_memory_bank", json!({"path": "."}));
        call("write_memory_bank_file", json!({"filename": "plan.md", "content": "deleted"}));
        call("delete_memory_bank_file", json!({"filename": "plan.md"}));
        call("write_memory_bank_file", json!({"filename": "draft.md", "content": "the draft"}));
        call("rename_memory_bank_file", json!({"filename": "draft.md", "newFilename": "plan.md"}));
        let seen = |kind: &str, number: u64, is_named: bool| (number, kind.to_owned(), is_named);
        let expected = [seen("renamed", 2, false), seen("deleted", 2, true), seen("created", 1, true)];
        let all = call("history", json!({}));
        assert_eq!(of_plan(&all["versions"]), expected);
        assert_eq!(of_plan(&call("history", json!({"by": session}))["versions"]), expected);
        for query in ["", "?includeGraph=true", &format!("?by={session}")] {
            let listed = server.send("GET", &format!("/api/history{query}"), &[], "").json();
            assert_eq!(of_plan(&listed["versions"]), expected, "{query}");
        }
        // What the list says leads to the text, and by another name to nothing.
        let versions = all["versions"].as_array().unwrap();
        let deleted =
            versions.iter().find(|version| version["documentId"].is_string() && version["version"] == 1);
        let document = deleted.unwrap()["documentId"].clone();
        let of = |action: &str, name: &str| json!({"action": action, "filename": name, "version": 1, "documentId": document});
        assert_eq!(call("history", of("show", "plan.md"))["text"], "deleted");
        for (action, name) in
            [("show", "never.md"), ("diff", "never.md"), ("restore", "never.md"), ("restore", "draft.md")]
        {
            let refused = server.call(&session, "history", &of(action, name));
            assert!(refused.contains(&format!("`{name}` has no history")), "{action} {name}: {refused}");
        }
        assert_eq!(call("read_memory_bank_file", json!({"filename": "plan.md"}))["content"], "the draft");
    }
}

#[test]
fn a_restored_version_says_under_which_name_its_document_is_stored() {
    let folder = Server::start(&[("MCP_HOST", "127.0.0.1")]);
    let database = TestDatabase::migrated();
    let made = operate(&database, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap();
    for server in [folder, serve(&database, &key_of(&made["key"]))] {
        let session = server.initialize();
        let call = |tool: &str, arguments: Value| reply(&server, &session, tool, &arguments);
        call("initialize_memory_bank", json!({"path": "."}));
        call("write_memory_bank_file", json!({"filename": "plan.md", "content": "first"}));
        call("write_memory_bank_file", json!({"filename": "plan.md", "content": "second"}));
        let restore =
            |name: &str| call("history", json!({"action": "restore", "filename": name, "version": 1}));
        let restored = restore("Plan.md");
        assert_eq!(
            (&restored["filename"], &restored["storedAs"]),
            (&json!("Plan.md"), &json!("plan.md")),
            "{restored}"
        );
        assert!(restore("plan.md").get("storedAs").is_none());
        assert_eq!(call("read_memory_bank_file", json!({"filename": "plan.md"}))["content"], "first");
    }
}
