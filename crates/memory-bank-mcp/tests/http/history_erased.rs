//! An erasure beside calls that bring something of the same history back, over HTTP, on PostgreSQL, through two servers.

use std::thread;
use std::time::Duration;

use memory_bank_test_postgres::TestDatabase;
use serde_json::{Value, json};

use crate::database::operate;
use crate::history::{Member, member};

/// How often each pair of calls meets. The erasure begins a little later in each.
const ROUNDS: u64 = 16;

struct Project {
    /// Who erases, and who brings back, each through a server of its own.
    owner: Member,
    editor: Member,
    _database: TestDatabase,
}

fn project() -> Project {
    let database = TestDatabase::migrated();
    let made = operate(&database, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap();
    let bob = member(&database, "bob", "editor");
    database.psql("UPDATE public.api_keys SET rate_limit = 0");
    let owner = Member::new(&database, &made["key"]);
    let editor = Member::new(&database, &bob);
    owner.call("initialize_memory_bank", &json!({"path": "."}));
    Project { owner, editor, _database: database }
}

/// Makes both calls at once, the second one a little later. Returns whether the first one was done; the second one must be.
fn at_once(p: &Project, round: u64, back: &Value, erase: &Value) -> bool {
    let (back, erased) = thread::scope(|scope| {
        let back = scope.spawn(|| p.editor.reply("history", back));
        thread::sleep(Duration::from_micros(700 * round));
        let erased = p.owner.reply("history", erase);
        (back.join().unwrap(), erased)
    });
    assert_ne!(erased["result"]["isError"], true, "{erased}");
    back["result"]["isError"] != true && !back.to_string().contains("has no history")
}

#[test]
fn no_text_comes_back_beside_its_erasure() {
    let p = project();
    for round in 0..ROUNDS {
        let name = format!("{round}.md");
        let write = |by: &Member, content: &str| {
            by.call("write_memory_bank_file", &json!({"filename": name, "content": content}));
        };
        write(&p.owner, "one\n");
        write(&p.owner, "one\nsecret\n");
        write(&p.editor, "one\n");
        let back = match round % 2 {
            0 => json!({"action": "restore", "filename": name, "version": 2}),
            _ => json!({"action": "undo", "filename": name, "by": p.editor.session}),
        };
        let is_back = at_once(&p, round, &back, &json!({"action": "erase", "filename": name}));
        let text = p.owner.call("read_memory_bank_file", &json!({"filename": name}));
        assert_eq!(text["content"], if is_back { "one\nsecret\n" } else { "one\n" }, "{name}");
        assert_eq!(p.owner.versions(&json!({"filename": name})), Vec::<Value>::new(), "{name}");
    }
}

#[test]
fn no_fact_comes_back_beside_its_erasure() {
    let p = project();
    for round in 0..ROUNDS {
        let name = format!("Service {round}");
        p.owner.call("graph_upsert_entity", &json!({"name": name, "entityType": "service"}));
        let added = p.editor.call("graph_add_observation", &json!({"entity": name, "text": "a secret"}));
        let before = p.owner.versions(&json!({"entity": name}))[0]["version"].clone();
        let id = &added["observation"]["id"];
        p.owner.call("graph_delete_observation", &json!({"entity": name, "observationId": id}));
        let back = json!({"action": "restore", "entity": name, "version": before});
        let is_back = at_once(&p, round, &back, &json!({"action": "erase", "entity": name}));
        let opened = p.owner.call("graph_open_nodes", &json!({"nodes": [name]}));
        let facts = opened["observations"].as_array().unwrap().len();
        assert_eq!(facts, usize::from(is_back), "{name}: {opened}");
        assert_eq!(p.owner.versions(&json!({"entity": name})), Vec::<Value>::new(), "{name}");
    }
}
