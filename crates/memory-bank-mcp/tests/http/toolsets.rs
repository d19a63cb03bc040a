//! Toolsets over HTTP, and read-only mode.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::client::{JSON, MCP_ACCEPT, Reply, Server, call, handshake};

/// A request at an address with a query, in a session if there is one.
fn post(
    server: &Server,
    query: &str,
    headers: &[(&str, &str)],
    session: Option<&str>,
    message: &Value,
) -> Reply {
    let mut all = vec![("X-API-Key", server.key.as_str()), JSON, MCP_ACCEPT];
    all.extend(session.map(|session| ("Mcp-Session-Id", session)));
    all.extend(headers);
    server.send_bare("POST", &format!("/mcp{query}"), &all, &message.to_string())
}

fn session(server: &Server, query: &str) -> String {
    let reply = post(server, query, &[], None, &handshake("2025-11-25"));
    reply.header("mcp-session-id").unwrap().to_owned()
}

/// The headers of [`modern_call`].
const MODERN: [(&str, &str); 3] =
    [("Mcp-Protocol-Version", "2026-07-28"), ("Mcp-Method", "tools/call"), ("Mcp-Name", "track_progress")];

/// A call that writes, in the protocol without sessions.
fn modern_call() -> Value {
    let mut message = call(5, "track_progress", &json!({"action": "a", "description": "b"}));
    message["params"]["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    message
}

fn list() -> Value {
    json!({"jsonrpc": "2.0", "id": 7, "method": "tools/list"})
}

fn names(message: &Value) -> BTreeSet<String> {
    let tools = message["result"]["tools"].as_array().unwrap_or_else(|| panic!("{message}"));
    tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}

fn text(reply: &Reply) -> String {
    let message = reply.message();
    assert_eq!(
        message["result"]["isError"] == json!(true),
        message["result"]["content"].to_string().contains("read-only"),
        "{message}"
    );
    message["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{message}")).to_owned()
}

#[test]
fn a_request_selects_the_toolset_by_query_or_header_and_unlisted_tools_still_work() {
    for mode in ["true", "false"] {
        let server = Server::start(&[("MCP_JSON_RESPONSE", mode)]);
        let session = session(&server, "");
        let listed = |query: &str, headers: &[(&str, &str)]| {
            names(&post(&server, query, headers, Some(&session), &list()).message())
        };
        let (all, core) = (listed("", &[]), listed("?tools=core", &[]));
        assert!(all.len() > 30 && core.len() == 13 && core.is_subset(&all), "{core:?}");
        assert_eq!(listed("", &[("X-MCP-Tools", "core")]), core);
        assert_eq!(listed("?tools=all", &[("X-MCP-Tools", "core")]), all);
        let backups: BTreeSet<String> = ["create_backup", "restore_backup"].map(str::to_owned).into();
        assert_eq!(listed("?tools=backups", &[]), backups);
        server.call(&session, "initialize_memory_bank", &json!({"path": "."}));
        let called = post(&server, "?tools=core", &[], Some(&session), &call(3, "create_backup", &json!({})));
        assert!(text(&called).contains("backupId"));
        for wrong in ["?tools=kern", "?readonly=perhaps"] {
            let refused = post(&server, wrong, &[], Some(&session), &list());
            assert_eq!(refused.status, 400, "{wrong}");
            let word = wrong.rsplit('=').next().unwrap();
            assert!(refused.message()["error"]["message"].as_str().unwrap().contains(word));
        }
    }
}

#[test]
fn read_only_set_by_client_or_server_always_applies() {
    let write = call(3, "write_memory_bank_file", &json!({"filename": "x.md", "content": "x"}));
    let read = call(4, "list_memory_bank_files", &json!({}));
    for (variables, query, refused) in [
        (&[][..], "", false),
        (&[], "?readonly", true),
        (&[], "?readonly=true&tools=all", true),
        (&[], "?read-only=true", true),
        (&[], "?readOnly", true),
        (&[], "?READ_ONLY=1", true),
        (&[], "?readonly=false", false),
        (&[("MEMORY_BANK_READ_ONLY", "true")], "?readonly=false&tools=all", true),
    ] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("memory-bank")).unwrap();
        std::fs::write(folder.path().join("memory-bank/progress.md"), "# Progress\n").unwrap();
        let server = Server::start_in(folder, variables);
        let session = session(&server, query);
        let reply = text(&post(&server, query, &[], Some(&session), &write));
        assert_eq!(reply.contains("read-only"), refused, "{query}: {reply}");
        assert!(text(&post(&server, query, &[], Some(&session), &read)).contains("progress.md"));
        let listed = names(&post(&server, query, &[], Some(&session), &list()).message());
        assert_eq!(!listed.contains("write_memory_bank_file"), refused, "{query}");
        assert!(listed.contains("read_memory_bank_file"));
        // Without a session, too.
        let reply = post(&server, query, &MODERN, None, &modern_call());
        assert_eq!(text(&reply).contains("read-only"), refused, "{query}");
    }
}

#[test]
fn a_read_only_session_stays_read_only_at_any_address() {
    for mode in ["true", "false"] {
        let server = Server::start(&[("MCP_JSON_RESPONSE", mode)]);
        let write = call(3, "write_memory_bank_file", &json!({"filename": "x.md", "content": "x"}));
        let open = session(&server, "");
        server.call(&open, "initialize_memory_bank", &json!({"path": "."}));
        for (query, headers) in [
            ("?readonly", &[][..]),
            ("?read-only=true", &[]),
            ("", &[("X-MCP-Readonly", "true")]),
            ("", &[("X-MCP-Read-Only", "true")]),
        ] {
            let opened = post(&server, query, headers, None, &handshake("2025-11-25"));
            let session = opened.header("mcp-session-id").unwrap().to_owned();
            for later in ["", "?readonly=false", "?tools=all"] {
                let reply = text(&post(&server, later, &[], Some(&session), &write));
                assert!(reply.contains("read-only"), "{query} {headers:?} {later}: {reply}");
                let listed = names(&post(&server, later, &[], Some(&session), &list()).message());
                assert!(!listed.contains("write_memory_bank_file"), "{query} {headers:?} {later}");
            }
            let reply = post(&server, "", &MODERN, Some(&session), &modern_call());
            assert!(text(&reply).contains("read-only"), "{query} {headers:?}");
        }
        assert!(!text(&post(&server, "", &[], Some(&open), &write)).contains("read-only"));
    }
}

#[test]
fn a_replayed_list_has_the_requested_toolset() {
    let server = Server::start(&[]);
    let session = session(&server, "");
    let listed = post(&server, "?tools=core&readonly", &[], Some(&session), &list());
    let events = listed.events();
    let (id, answer) = events.last().unwrap();
    let opening = &id.replace("-1", "-0");
    let expected = names(&serde_json::from_str(answer).unwrap());
    assert!(expected.len() < 12 && expected.contains("graph_search"), "{expected:?}");
    // The stream is resumed at its beginning, at an address without a toolset.
    let mut listener = server.listen(&session, Some(opening));
    let replayed = loop {
        let message = listener.next().expect("the reply comes again");
        if message["id"] == json!(7) {
            break message;
        }
    };
    assert_eq!(names(&replayed), expected);
}
