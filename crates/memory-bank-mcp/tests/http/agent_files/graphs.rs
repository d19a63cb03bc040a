//! Files of memory servers and vaults as graphs.

use serde_json::json;

use super::bank::{Bank, SourceFolder, listed};

fn entity(name: &str, observations: &[&str]) -> String {
    json!({"type": "entity", "name": name, "entityType": "service", "observations": observations}).to_string()
}

fn relation(from: &str, to: &str) -> String {
    json!({"type": "relation", "from": from, "to": to, "relationType": "uses"}).to_string()
}

#[test]
fn bad_lines_of_a_memory_server_are_named_and_the_rest_is_imported_with_its_origin() {
    let auth = entity("Auth", &["uses JWT", "uses JWT"]);
    let file =
        [auth.as_str(), "{broken", "", &relation("Auth", "Postgres"), r#"{"type":"entity","name":7}"#, "[1]"];
    let sources = SourceFolder::of(&[("memory.jsonl", &file.join("\r\n"))]);
    for bank in Bank::both() {
        let done = bank.import(&sources.path(), &[]);
        let lines: Vec<u64> =
            done["badLines"].as_array().unwrap().iter().map(|bad| bad["line"].as_u64().unwrap()).collect();
        assert_eq!(lines, [2, 5, 6], "{done}");
        let graph = bank.graph();
        let origin = graph.entities["Auth [service]"]["importedFrom"].as_str().unwrap();
        assert!(origin.ends_with("shop/memory.jsonl"), "{origin}");
        assert_eq!(graph.facts.get(&("Auth [service]".into(), "uses JWT".into())), Some(&1));
        assert!(graph.relations.contains(&(
            "Auth [service]".into(),
            "uses".into(),
            "Postgres [unknown]".into()
        )));
        bank.expect_complete(&sources.path());
        assert_eq!(bank.graph(), graph);
    }
}

#[test]
fn a_memory_server_that_goes_on_adds_what_is_new_and_nothing_that_was_deleted() {
    for bank in Bank::both() {
        let sources = SourceFolder::of(&[]);
        let first = [entity("Auth", &["uses JWT", "wrong"]), relation("Auth", "Db"), entity("Db", &[])];
        sources.put("memory.json", first.join("\n"));
        bank.import(&sources.path(), &[]);
        delete_fact(&bank, "wrong");
        let grown = [
            entity("Auth", &["uses JWT", "wrong", "in Rust"]),
            relation("Auth", "Db"),
            entity("Db", &["new"]),
        ];
        sources.put("memory.json", grown.join("\n"));
        let done = bank.import(&sources.path(), &[]);
        assert_eq!((&done["graph"]["observations"], &done["changes"]), (&json!(2), &json!(2)), "{done}");
        let facts: Vec<String> = bank.graph().facts.into_keys().map(|(_, text)| text).collect();
        assert_eq!(facts, ["in Rust", "uses JWT", "new"], "{facts:?}");
        // Facts that the file loses stay in the bank.
        sources.put("memory.json", entity("Db", &[]));
        bank.expect_complete(&sources.path());
        assert_eq!(bank.graph().facts.len(), 3);
    }
}

fn delete_fact(bank: &Bank, text: &str) {
    match bank {
        Bank::Database(database, _) => {
            database.psql(&format!("DELETE FROM graph_observations WHERE content = '{text}'"));
        }
        Bank::Folder(project) => {
            let log = std::fs::read_to_string(project.path().join("memory-bank/graph/graph.jsonl")).unwrap();
            let line =
                log.lines().find(|line| line.contains(text) && line.contains("observation_add")).unwrap();
            let event: serde_json::Value = serde_json::from_str(line).unwrap();
            let id = event["observation"]["id"].clone();
            let calls = [("graph_delete_entity", json!({"observationId": id}))];
            let replies = crate::transfer::over_stdio(project.path(), &calls);
            assert!(replies[0].contains("deleted"), "{}", replies[0]);
        }
    }
}

#[test]
fn facts_that_were_imported_by_the_file_itself_are_not_doubled() {
    let sources = SourceFolder::of(&[("memory.json", &entity("Auth", &["uses JWT"]))]);
    let bank = Bank::folder();
    let Bank::Folder(project) = &bank else { panic!() };
    bank.edit("progress.md", "# Progress\n");
    let file = sources.path().join("memory.json");
    let mut direct = crate::client::command(project, &[]);
    direct.env("HOME", project.path().join("home")).args(["import", "--from"]).arg(&file);
    assert!(direct.output().unwrap().status.success());
    let before = bank.graph();
    let tried = bank.import(&sources.path(), &["--dry-run"]);
    let done = bank.import(&sources.path(), &[]);
    assert_eq!((&tried["changes"], &done["changes"]), (&json!(0), &json!(0)));
    assert_eq!(bank.graph(), before);
    assert_eq!(before.facts.values().sum::<usize>(), 1);
}

fn vault() -> SourceFolder {
    SourceFolder::of(&[
        (".obsidian/app.json", "{}"),
        ("Index.md", "[[Alpha]], [[Alpha|again]], [[Nowhere]], `[[Code]]`, ![[picture.png]] #home\n"),
        ("work/Alpha.md", "[[index]] and [b](Beta%20plan.md)\n"),
        ("work/Beta plan.md", "---\ntags:\n  - plan/q1\n---\n![[Alpha#Goals]]\n"),
        ("picture.png", "\u{0}binary"),
        (".trash/Old.md", "[[Alpha]]\n"),
    ])
}

#[test]
fn links_embeds_and_tags_of_a_vault_become_relations() {
    for bank in Bank::both() {
        let sources = vault();
        let done = bank.import(&sources.path(), &[]);
        let graph = bank.graph();
        let note = |name: &str| format!("shop/{name} [note]");
        let relation = |from: String, kind: &str, to: String| (from, kind.to_owned(), to);
        let expected = [
            relation(note("Index"), "links_to", note("work/Alpha")),
            relation(note("Index"), "links_to", note("Nowhere")),
            relation(note("Index"), "tagged", "#home [tag]".to_owned()),
            relation(note("work/Alpha"), "links_to", note("Index")),
            relation(note("work/Alpha"), "links_to", note("work/Beta plan")),
            relation(note("work/Beta plan"), "embeds", note("work/Alpha")),
            relation(note("work/Beta plan"), "tagged", "#plan/q1 [tag]".to_owned()),
        ];
        assert_eq!(graph.relations, expected.into_iter().collect(), "{done}");
        let missing = done["missingLinks"].as_array().unwrap();
        assert_eq!(missing.len(), 1);
        assert_eq!(missing[0]["target"], json!("Nowhere"));
        // The entity leads to its document, and the document is there.
        let document = graph.entities[&note("work/Beta plan")]["docPath"].as_str().unwrap().to_owned();
        assert!(bank.document(&document).contains("![[Alpha#Goals]]"));
        assert!(bank.documents().keys().all(|name| !name.contains("trash") && !name.contains("picture")));
        // A note is its own origin, also where another note that links to it comes first; a missing one has that of the link.
        for (name, file) in [
            ("Index", "Index.md"),
            ("work/Alpha", "work/Alpha.md"),
            ("work/Beta plan", "work/Beta plan.md"),
            ("Nowhere", "Index.md"),
        ] {
            let origin = graph.entities[&note(name)]["importedFrom"].as_str().unwrap();
            assert!(origin.ends_with(&format!("shop/{file}")), "{name}: {origin}");
        }
        bank.expect_complete(&sources.path());
        assert_eq!(bank.graph(), graph);
    }
}

#[test]
fn a_link_that_a_note_loses_leaves_the_graph_and_others_stay() {
    for bank in Bank::both() {
        let sources = vault();
        bank.import(&sources.path(), &[]);
        sources.put("Index.md", "[[Nowhere]] #home [[Beta plan]]\n");
        sources.put("Nowhere.md", "I exist now.\n");
        let tried = bank.import(&sources.path(), &["--dry-run"]);
        let done = bank.import(&sources.path(), &[]);
        assert_eq!((&tried["graph"], &done["graph"]["removedRelations"]), (&done["graph"], &json!(1)));
        let graph = bank.graph();
        let from_index = graph.relations.iter().filter(|(from, _, _)| from == "shop/Index [note]");
        let to: Vec<&str> = from_index.map(|(_, _, to)| to.as_str()).collect();
        assert_eq!(to, ["shop/Nowhere [note]", "shop/work/Beta plan [note]", "#home [tag]"]);
        assert_eq!(listed(&done, "missingLinks").len(), 0);
        bank.expect_complete(&sources.path());
    }
}
