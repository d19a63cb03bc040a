//! What can be folded: over HTTP on PostgreSQL with its rights and without another project's words, and by the shell command.

use memory_bank_test_postgres::TestDatabase;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{Server, call, command, structured};
use crate::database::{key_of, operate, serve};

/// Facts that repeat each other, and such that contradict each other.
fn fill(server: &Server, session: &str, word: &str) {
    server.call(session, "initialize_memory_bank", &json!({"path": "."}));
    server.call(
        session,
        "graph_upsert_entity",
        &json!({"name": format!("Api {word}"), "entityType": "service"}),
    );
    for (text, day) in
        [("speaks", 1), ("speaks", 2), ("uses Postgres 14 for", 3), ("uses Postgres 15 for", 4)]
    {
        let fact = json!({
            "entity": format!("Api {word}"),
            "text": format!("{text} {word}"),
            "timestamp": format!("2026-01-0{day}T00:00:00Z"),
        });
        server.call(session, "graph_add_observation", &fact);
    }
    let content = format!("# Notes\n\n- remember {word}\n- remember {word}\n");
    server.call(session, "write_memory_bank_file", &json!({"filename": "notes.md", "content": content}));
}

fn reply(server: &Server, session: &str, arguments: &Value) -> Value {
    server.post(Some(session), &call(7, "maintain", arguments)).message()
}

fn listed(server: &Server, session: &str) -> Vec<Value> {
    let reply = reply(server, session, &json!({}));
    structured(&reply)["proposals"].as_array().unwrap_or_else(|| panic!("{reply}")).clone()
}

fn kinds(proposals: &[Value]) -> Vec<&str> {
    proposals.iter().map(|proposal| proposal["kind"].as_str().unwrap()).collect()
}

#[test]
fn members_list_what_can_be_folded_and_writers_fold_it_and_take_it_back() {
    let database = TestDatabase::migrated();
    let made = operate(&database, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap();
    let alice = serve(&database, &key_of(&made["key"]));
    let session = alice.initialize();
    fill(&alice, &session, "atlas");
    operate(&database, &["users", "create", "vera"]).unwrap();
    operate(&database, &["members", "add", "--project", "atlas", "--user", "vera", "--role", "viewer"])
        .unwrap();
    let vera = operate(&database, &["keys", "create", "--project", "atlas", "--user", "vera"]).unwrap();
    let vera = serve(&database, &key_of(&vera));
    let viewing = vera.initialize();
    let proposals = listed(&vera, &viewing);
    assert_eq!(kinds(&proposals), ["duplicate", "duplicateEntry", "contradiction"]);
    assert_eq!(proposals[2]["onlyShown"], true);

    let apply = |index: usize| json!({"apply": [proposals[index]["id"]]});
    let refused = reply(&vera, &viewing, &apply(0));
    assert!(
        refused["result"]["content"][0]["text"].as_str().unwrap().contains("a role with the scope `write`"),
        "{refused}"
    );
    let refused = reply(&alice, &session, &apply(2));
    assert!(
        refused["result"]["content"][0]["text"].as_str().unwrap().contains("for you to decide"),
        "{refused}"
    );
    let mixed = json!({"apply": [proposals[0]["id"], "fold_unknown"]});
    let refused = reply(&alice, &session, &mixed);
    assert!(
        refused["result"]["content"][0]["text"].as_str().unwrap().contains("nothing was changed"),
        "{refused}"
    );
    assert_eq!(listed(&alice, &session), proposals);

    let both = json!({"apply": [proposals[0]["id"], proposals[1]["id"]]});
    let done = structured(&reply(&alice, &session, &both));
    assert_eq!(done["applied"].as_array().unwrap().len(), 2, "{done}");
    assert_eq!(kinds(&listed(&alice, &session)), ["contradiction"]);
    for applied in done["applied"].as_array().unwrap() {
        alice.call(&session, "history", &json!({"action": "undo", "by": applied["undoBy"]}));
    }
    assert_eq!(listed(&alice, &session), proposals);
}

#[test]
fn proposals_have_no_word_of_another_project() {
    let database = TestDatabase::migrated();
    let mut servers = Vec::new();
    for (user, project) in [("anna", "atlas"), ("bert", "borealis")] {
        let made = operate(&database, &["bootstrap", "--user", user, "--project", project]).unwrap();
        let server = serve(&database, &key_of(&made["key"]));
        let session = server.initialize();
        fill(&server, &session, project);
        servers.push((server, session, project));
    }
    let foreign = listed(&servers[0].0, &servers[0].1);
    let (server, session, _) = &servers[1];
    let list = server.send("GET", "/api/maintain", &[], "");
    assert_eq!(list.status, 200);
    let prompt =
        json!({"jsonrpc": "2.0", "id": 4, "method": "prompts/get", "params": {"name": "consolidate"}});
    let prompt = server.post(Some(session), &prompt).message();
    for text in [json!(listed(server, session)).to_string(), list.json().to_string(), prompt.to_string()] {
        assert!(text.contains("remember borealis") && !text.contains("atlas"), "{text}");
    }
    assert_eq!(list.json()["proposals"].as_array().unwrap().len(), 3);
    let refused = reply(server, session, &json!({"apply": [foreign[0]["id"]]}));
    assert!(
        refused["result"]["content"][0]["text"].as_str().unwrap().contains("there is no proposal"),
        "{refused}"
    );
    assert_eq!(listed(&servers[0].0, &servers[0].1), foreign);
}

#[test]
fn a_reply_has_fifty_proposals_and_counts_the_others() {
    let server = Server::start(&[("RATE_LIMIT_IP_PER_MINUTE", "0")]);
    let session = server.initialize();
    server.call(&session, "initialize_memory_bank", &json!({"path": "."}));
    let entries: String = (0..60).map(|n| format!("- remember the number {n}\n").repeat(2)).collect();
    let content = format!("# Notes\n\n{entries}");
    server.call(&session, "write_memory_bank_file", &json!({"filename": "notes.md", "content": content}));
    let list = server.send("GET", "/api/maintain", &[], "").json();
    let tool: Value = serde_json::from_str(&server.call(&session, "maintain", &json!({}))).unwrap();
    for data in [&list, &tool] {
        assert_eq!((data["proposals"].as_array().unwrap().len(), &data["more"]), (50, &json!(10)), "{data}");
    }
    let ids: Vec<&Value> = tool["proposals"].as_array().unwrap().iter().map(|one| &one["id"]).collect();
    server.call(&session, "maintain", &json!({"apply": ids}));
    let rest: Value = serde_json::from_str(&server.call(&session, "maintain", &json!({}))).unwrap();
    assert_eq!((rest["proposals"].as_array().unwrap().len(), rest.get("more")), (10, None), "{rest}");
    let many: Vec<String> = (0..51).map(|n| format!("fold_{n}")).collect();
    let refused = server.call(&session, "maintain", &json!({"apply": many}));
    assert!(refused.contains("more than 50 ids"), "{refused}");
}

#[test]
fn the_shell_command_lists_and_folds_in_a_folder_and_on_a_server() {
    let server = Server::start(&[("RATE_LIMIT_IP_PER_MINUTE", "0")]);
    let session = server.initialize();
    fill(&server, &session, "shell");
    let url = format!("http://{}/mcp", server.address);
    let state = TempDir::new().unwrap();
    let run = |words: &[&str], on_server: bool| {
        let state = state.path().to_str().unwrap();
        let mut variables = vec![("MEMORY_BANK_STATE_DIR", state)];
        if on_server {
            variables
                .extend([("MEMORY_BANK_URL", url.as_str()), ("MEMORY_BANK_API_KEY", server.key.as_str())]);
        }
        let output = command(&server.folder, &variables).args(words).output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    for on_server in [false, true] {
        let (code, listed, _) = run(&["maintain"], on_server);
        assert!(code == Some(0) && listed.starts_with("dry run: nothing was changed"), "{listed}");
        let line = listed.lines().find(|line| line.ends_with("duplicateEntry")).unwrap();
        let id = line.split(' ').next().unwrap();
        let (code, folded, error) = run(&["maintain", "--apply", id], on_server);
        assert!(code == Some(0) && folded.contains("folded"), "{folded}{error}");
        let (code, _, error) = run(&["maintain", "--apply", id], on_server);
        assert!(code == Some(1) && error.contains("nothing was changed"), "{error}");
        let undo: Vec<&str> = folded.lines().nth(1).unwrap().split_whitespace().collect();
        let (code, undone, error) = run(&undo, on_server);
        assert!(code == Some(0) && undone.contains("notes.md"), "{undone}{error}");
    }
}

/// Applies two proposals, of which the second one is refused: the reply names the first one, which can be undone, and nothing else changed.
fn applies_a_part(owner: (&Server, &str), caller: (&Server, &str), ids: [&Value; 2], why: &str) {
    let before = listed(owner.0, owner.1);
    let refused = reply(caller.0, caller.1, &json!({"apply": ids}));
    assert_eq!(refused["result"]["isError"], true, "{refused}");
    let data: Value =
        serde_json::from_str(refused["result"]["content"][0]["text"].as_str().unwrap()).unwrap();
    assert_eq!(data["error"], "NOT_ALL", "{data}");
    let message = data["message"].as_str().unwrap();
    assert!(message.contains("the first 1 were applied, then: ") && message.contains(why), "{message}");
    let applied = data["applied"].as_array().unwrap();
    assert_eq!((applied.len(), &applied[0]["id"]), (1, ids[0]), "{data}");
    let left = listed(owner.0, owner.1);
    assert_eq!(left.len(), before.len() - 1, "{left:?}");
    assert!(left.iter().all(|one| one["id"] != *ids[0]), "{left:?}");
    let undone = caller.0.call(caller.1, "history", &json!({"action": "undo", "by": applied[0]["undoBy"]}));
    assert!(!undone.contains("NOT_ALL"), "{undone}");
    assert_eq!(listed(owner.0, owner.1), before);
}

#[test]
fn a_part_of_the_chosen_proposals_is_applied_and_taken_back_on_a_database() {
    let database = TestDatabase::migrated();
    let made = operate(&database, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap();
    let alice = serve(&database, &key_of(&made["key"]));
    let session = alice.initialize();
    fill(&alice, &session, "atlas");
    operate(&database, &["users", "create", "edith"]).unwrap();
    operate(&database, &["members", "add", "--project", "atlas", "--user", "edith", "--role", "editor"])
        .unwrap();
    let edith = operate(&database, &["keys", "create", "--project", "atlas", "--user", "edith"]).unwrap();
    let edith = serve(&database, &key_of(&edith));
    let editing = edith.initialize();
    let proposals = listed(&alice, &session);
    assert_eq!(kinds(&proposals), ["duplicate", "duplicateEntry", "contradiction"]);
    let ids = [&proposals[1]["id"], &proposals[0]["id"]];
    applies_a_part((&alice, &session), (&edith, &editing), ids, "takes an owner");
    // Each alone is what the reply of both would have been.
    for id in ids {
        let done = structured(&reply(&alice, &session, &json!({"apply": [id]})));
        assert_eq!(done["applied"].as_array().unwrap().len(), 1, "{done}");
        alice.call(&session, "history", &json!({"action": "undo", "by": done["applied"][0]["undoBy"]}));
        assert_eq!(listed(&alice, &session), proposals);
    }
}

#[test]
fn chosen_proposals_are_applied_together_or_singly_and_each_is_taken_back() {
    let database = TestDatabase::migrated();
    let made = operate(&database, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap();
    for server in [Server::start(&[]), serve(&database, &key_of(&made["key"]))] {
        let session = server.initialize();
        server.call(&session, "initialize_memory_bank", &json!({"path": "."}));
        for name in ["Cache", "Caches", "Queue", "Queues"] {
            let entity = json!({"name": name, "entityType": "service"});
            server.call(&session, "graph_upsert_entity", &entity);
            let fact = json!({"entity": name, "text": format!("{name} is fast")});
            server.call(&session, "graph_add_observation", &fact);
        }
        // Either of the merges gives this relation another end.
        let relation = json!({"from": "Caches", "to": "Queues", "relationType": "fills"});
        server.call(&session, "graph_link_entities", &relation);
        let proposals = listed(&server, &session);
        assert_eq!(kinds(&proposals), ["sameName", "sameName"]);
        let ids = [&proposals[0]["id"], &proposals[1]["id"]];
        let both = structured(&reply(&server, &session, &json!({"apply": ids})));
        let applied = both["applied"].as_array().unwrap();
        assert_eq!(applied.iter().map(|one| &one["id"]).collect::<Vec<_>>(), ids, "{both}");
        assert!(listed(&server, &session).is_empty());
        for one in applied.iter().rev() {
            server.call(&session, "history", &json!({"action": "undo", "by": one["undoBy"]}));
        }
        assert_eq!(listed(&server, &session), proposals);
        for id in ids {
            let done = structured(&reply(&server, &session, &json!({"apply": [id]})));
            assert_eq!(done["applied"].as_array().unwrap().len(), 1, "{done}");
            server.call(&session, "history", &json!({"action": "undo", "by": done["applied"][0]["undoBy"]}));
            assert_eq!(listed(&server, &session), proposals);
        }
    }
}
