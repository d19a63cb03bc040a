//! The history in export, import, backup and restore by the binary.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::Path;

use memory_bank_test_postgres::TestDatabase;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{Server, call, command, structured};
use crate::database::{key_of, operate, serve};

struct Member {
    server: Server,
    session: String,
}

impl Member {
    fn call(&self, tool: &str, arguments: &Value) -> Value {
        let reply = self.server.post(Some(&self.session), &call(7, tool, arguments)).message();
        assert_ne!(reply["result"]["isError"], true, "{tool} {arguments}: {reply}");
        structured(&reply)
    }

    fn write(&self, name: &str, content: &str) {
        self.call("write_memory_bank_file", &json!({"filename": name, "content": content}));
    }

    fn versions(&self, name: &str) -> Value {
        self.call("history", &json!({"filename": name}))["versions"].take()
    }
}

/// A new database with a project `atlas`, and its owner.
fn atlas(owner: &str) -> (TestDatabase, Member) {
    let database = TestDatabase::migrated();
    let made = operate(&database, &["bootstrap", "--user", owner, "--project", "atlas"]).unwrap();
    let server = serve(&database, &key_of(&made["key"]));
    let session = server.initialize();
    (database, Member { server, session })
}

/// A database in which `plan.md` has four versions, one under its former name, and a document was deleted.
fn with_history() -> (TestDatabase, Member) {
    let (database, alice) = atlas("alice");
    alice.call("initialize_memory_bank", &json!({"path": "."}));
    alice.write("draft.md", "# Plan\n\none\n");
    alice.write("draft.md", "# Plan\n\none\ntwo\n");
    alice.call("rename_memory_bank_file", &json!({"filename": "draft.md", "newFilename": "plan.md"}));
    alice.write("plan.md", "# Plan\n\n2\n");
    alice.write("gone.md", "# Gone\n");
    alice.call("delete_memory_bank_file", &json!({"filename": "gone.md"}));
    (database, alice)
}

/// What a transfer keeps of a list of versions: all but the marks of a database.
fn kept(versions: &Value) -> Vec<Value> {
    let keep = |version: &Value| {
        let mut version = version.clone();
        for mark in ["key", "imported", "replacedBytes"] {
            version.as_object_mut().unwrap().remove(mark);
        }
        version
    };
    versions.as_array().unwrap().iter().map(keep).collect()
}

fn are_imported(versions: &Value) -> bool {
    versions.as_array().unwrap().iter().all(|version| version["imported"] == true)
}

fn run(database: &TestDatabase, name: &str, at: &Path, state: &Path, more: &[&str]) -> Result<Value, String> {
    let place = if matches!(name, "export" | "backup") { "--to" } else { "--from" };
    let mut arguments = vec![name, "--project", "atlas", place, at.to_str().unwrap()];
    arguments.extend(["--state-dir", state.to_str().unwrap()]);
    arguments.extend(more);
    operate(database, &arguments)
}

#[test]
fn a_folder_carries_the_history_into_another_database_unless_it_is_left_out() {
    let (database, alice) = with_history();
    let (folder, before) = (TempDir::new().unwrap(), alice.versions("plan.md"));
    let (place, state) = (folder.path().join("p"), folder.path().join("state"));
    let tried = run(&database, "export", &place, &state, &["--dry-run"]).unwrap();
    let done = run(&database, "export", &place, &state, &[]).unwrap();
    assert_eq!(tried["history"], done["history"]);
    assert_eq!(done["history"]["leftOut"], 0);

    let empty = TempDir::new().unwrap();
    let shell = |action: &[&str]| {
        let output = command(&empty, &[])
            .args(["history", "plan", "--json", "--path", place.to_str().unwrap(), "--state-dir"])
            .arg(&state)
            .args(action)
            .output()
            .unwrap();
        serde_json::from_slice::<Value>(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
    };
    let listed = shell(&[]);
    assert_eq!(kept(&listed["versions"]), kept(&before));
    assert!(are_imported(&listed["versions"]), "{listed}");
    assert_eq!(shell(&["--show", "1"])["text"], "# Plan\n\none\n");
    for action in ["history", "blame"] {
        let mut shown = command(&empty, &[]);
        let shown =
            shown.args([action, "plan", "--path", place.to_str().unwrap(), "--state-dir"]).arg(&state);
        let shown = String::from_utf8(shown.output().unwrap().stdout).unwrap();
        assert!(shown.contains("alice, write_memory_bank_file, imported"), "{shown}");
    }

    let (other, bob) = atlas("bob");
    let imported = run(&other, "import", &place, &state, &[]).unwrap();
    assert_eq!(imported["history"], done["history"]);
    let found = bob.versions("plan.md");
    assert_eq!(kept(&found), kept(&before));
    assert!(are_imported(&found), "{found}");
    let blamed = bob.call("history", &json!({"action": "blame", "filename": "plan.md"}));
    assert!(are_imported(&blamed["ranges"]), "{blamed}");
    assert_eq!(kept(&bob.versions("gone.md")), kept(&alice.versions("gone.md")));
    let audited = operate(&other, &["audit", "list", "--project", "atlas"]).unwrap();
    assert!(audited.to_string().contains("bank.imported"), "{audited}");

    // Without it, the import is the first version.
    let (third, carol) = atlas("carol");
    let none = run(&third, "import", &place, &state, &["--no-history"]).unwrap();
    assert_eq!(
        none["history"],
        json!({"versions": 0, "leftOut": 0, "graphChanges": 0, "graphChangesLeftOut": 0})
    );
    let found = carol.versions("plan.md");
    assert_eq!((found.as_array().unwrap().len(), &found[0]["by"]), (1, &json!("carol")));
    let bare = folder.path().join("bare");
    let exported = run(&database, "export", &bare, &state, &["--no-history"]).unwrap();
    assert_eq!(
        exported["history"],
        json!({"versions": 0, "leftOut": 0, "graphChanges": 0, "graphChangesLeftOut": 0})
    );
    assert!(!bare.join("memory-bank/.mbmcp/history").exists());
}

#[test]
fn a_backup_file_carries_the_history_to_another_computer_and_a_restore_removes_none() {
    let (database, alice) = with_history();
    let folder = TempDir::new().unwrap();
    let (file, bare) = (folder.path().join("atlas.zip"), folder.path().join("bare.zip"));
    let (state, elsewhere) = (folder.path().join("state"), folder.path().join("elsewhere"));
    let (plan, gone) = (alice.versions("plan.md"), alice.versions("gone.md"));
    let made = run(&database, "backup", &file, &state, &[]).unwrap();
    assert_eq!(made["history"]["leftOut"], 0);
    let without = run(&database, "backup", &bare, &state, &["--no-history"]).unwrap();
    assert_eq!(without["history"]["versions"], 0);

    let (other, bob) = atlas("bob");
    let restored = run(&other, "restore", &file, &elsewhere, &[]).unwrap();
    assert_eq!(restored["history"], made["history"]);
    for (name, before) in [("plan.md", &plan), ("gone.md", &gone)] {
        assert_eq!(kept(&bob.versions(name)), kept(before));
        assert!(are_imported(&bob.versions(name)));
    }
    let show = json!({"action": "show", "filename": "plan.md", "version": 2});
    assert_eq!(bob.call("history", &show)["text"], "# Plan\n\none\ntwo\n");

    // In its own project the file's versions are there already, and later ones stay.
    alice.write("plan.md", "# Plan\n\nlater\n");
    let restored = run(&database, "restore", &file, &state, &[]).unwrap();
    assert_eq!(restored["history"]["versions"], 0, "{restored}");
    let found = alice.versions("plan.md");
    let numbers: Vec<i64> =
        found.as_array().unwrap().iter().map(|one| one["version"].as_i64().unwrap()).collect();
    assert_eq!(numbers, [6, 5, 4, 3, 2, 1], "{found}");
    assert!(!are_imported(&found));
    let (third, carol) = atlas("carol");
    run(&third, "restore", &file, &state, &["--no-history"]).unwrap();
    assert_eq!(carol.versions("plan.md").as_array().unwrap().len(), 1);
}

/// Replaces a text in the histories of a backup file, with a manifest that fits.
fn rewrite_history(from: &Path, to: &Path, old: &str, new: &str) {
    let mut zip = zip::ZipArchive::new(std::fs::File::open(from).unwrap()).unwrap();
    let mut files = BTreeMap::new();
    for at in 0..zip.len() {
        let mut entry = zip.by_index(at).unwrap();
        let (name, mut bytes) = (entry.name().unwrap().into_owned(), Vec::new());
        entry.read_to_end(&mut bytes).unwrap();
        if name.starts_with("history/") {
            bytes = String::from_utf8(bytes).unwrap().replace(old, new).into_bytes();
        }
        files.insert(name, bytes);
    }
    let mut manifest: Value = serde_json::from_slice(&files.remove("manifest.json").unwrap()).unwrap();
    for entry in manifest["files"].as_array_mut().unwrap() {
        let bytes = &files[entry["path"].as_str().unwrap()];
        let hash = ring::digest::digest(&ring::digest::SHA256, bytes);
        entry["bytes"] = bytes.len().into();
        entry["sha256"] = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>().into();
    }
    files.insert("manifest.json".to_owned(), serde_json::to_vec(&manifest).unwrap());
    let mut zip = zip::ZipWriter::new(std::fs::File::create(to).unwrap());
    for (name, bytes) in files {
        zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(&bytes).unwrap();
    }
    zip.finish().unwrap();
}

#[test]
fn a_backup_file_with_a_planted_version_changes_nothing() {
    let (database, _alice) = with_history();
    let folder = TempDir::new().unwrap();
    let (file, state) = (folder.path().join("atlas.zip"), folder.path().join("state"));
    run(&database, "backup", &file, &state, &[]).unwrap();
    let (other, _bob) = atlas("bob");
    for (number, (from, to)) in
        [("\"number\":1,", "\"number\":0,"), ("\"path\":\"gone.md\"", "\"path\":\"../x.md\"")]
            .into_iter()
            .enumerate()
    {
        let changed = folder.path().join(format!("{number}.zip"));
        rewrite_history(&file, &changed, from, to);
        let refused = run(&other, "restore", &changed, &state, &[]).unwrap_err();
        assert!(refused.contains("version") || refused.contains("damaged"), "{refused}");
    }
    assert_eq!(other.psql("SELECT count(*) FROM app.document_versions"), "0");
    assert_eq!(other.psql("SELECT count(*) FROM documents"), "0");
}

/// A database whose graph was changed five times and in which an entity was deleted, without documents beside those of a new bank.
fn with_graph() -> (TestDatabase, Member) {
    let (database, alice) = atlas("alice");
    alice.call("initialize_memory_bank", &json!({"path": "."}));
    for port in [80, 81] {
        let entity = json!({"name": "Api", "entityType": "service", "attrs": {"port": port}});
        alice.call("graph_upsert_entity", &entity);
    }
    alice.call("graph_add_observation", &json!({"entity": "Api", "text": "answers fast"}));
    alice.call("graph_upsert_entity", &json!({"name": "Gone", "entityType": "service"}));
    alice.call("graph_delete_entity", &json!({"entity": "Gone"}));
    (database, alice)
}

impl Member {
    fn changes(&self, entity: &str) -> Value {
        self.call("history", &json!({"entity": entity}))["versions"].take()
    }
}

#[test]
fn folders_and_backup_files_carry_the_history_of_the_graph_unless_it_is_left_out() {
    let (database, alice) = with_graph();
    let (api, gone) = (alice.changes("Api"), alice.changes("Gone"));
    assert_eq!((api.as_array().unwrap().len(), gone.as_array().unwrap().len()), (3, 2));
    let folder = TempDir::new().unwrap();
    let (place, state) = (folder.path().join("p"), folder.path().join("state"));
    let file = folder.path().join("atlas.zip");
    let tried = run(&database, "export", &place, &state, &["--dry-run"]).unwrap();
    let exported = run(&database, "export", &place, &state, &[]).unwrap();
    assert_eq!(tried["history"], exported["history"]);
    assert_eq!(
        (&exported["history"]["graphChanges"], &exported["history"]["graphChangesLeftOut"]),
        (&json!(5), &json!(0))
    );
    let made = run(&database, "backup", &file, &state, &[]).unwrap();
    assert_eq!(made["history"]["graphChanges"], 5);
    let empty = TempDir::new().unwrap();
    let mut shown = command(&empty, &[]);
    let shown = shown
        .args(["history", "Api", "--entity", "--path", place.to_str().unwrap(), "--state-dir"])
        .arg(&state);
    let shown = String::from_utf8(shown.output().unwrap().stdout).unwrap();
    assert!(shown.contains("alice, graph_upsert_entity, imported"), "{shown}");

    for (name, from) in [("import", &place), ("restore", &file)] {
        let (other, bob) = atlas("bob");
        let tried = run(&other, name, from, &state, &["--dry-run"]).unwrap();
        let done = run(&other, name, from, &state, &[]).unwrap();
        assert_eq!(tried["history"], done["history"]);
        assert_eq!(
            (&done["history"]["graphChanges"], &done["history"]["graphChangesLeftOut"]),
            (&json!(5), &json!(0)),
            "{name}"
        );
        for (entity, before) in [("Api", &api), ("Gone", &gone)] {
            let found = bob.changes(entity);
            assert_eq!(kept(&found), kept(before), "{name}");
            assert!(are_imported(&found), "{found}");
        }
        let show = json!({"action": "show", "entity": "Api", "version": 1});
        assert!(bob.call("history", &show)["text"].as_str().unwrap().contains("port = 80"));
        bob.call("history", &json!({"action": "restore", "entity": "Gone", "version": 4}));
        let found = bob.changes("Gone");
        assert_eq!((&found[0]["by"], &found[0]["imported"]), (&json!("bob"), &Value::Null), "{found}");

        let (third, carol) = atlas("carol");
        let none = run(&third, name, from, &state, &["--no-history"]).unwrap();
        assert_eq!(none["history"]["graphChanges"], 0);
        let found = carol.changes("Api");
        assert_eq!((found.as_array().unwrap().len(), &found[0]["by"]), (2, &json!("carol")), "{found}");
    }
    // To a user with another key the changes are of nobody, in the folder and in the database.
    let (other, bob) = atlas("bob");
    run(&other, "import", &place, &folder.path().join("other-state"), &[]).unwrap();
    let found = bob.changes("Api");
    let are_foreign = |change: &Value| change["origin"] == "foreign" && change["by"].is_null();
    assert!(found.as_array().unwrap().iter().all(are_foreign), "{found}");
    let restore = |more: Value| {
        let mut arguments = json!({"action": "restore", "entity": "Api", "version": 1});
        arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        bob.server.post(Some(&bob.session), &call(8, "history", &arguments)).message()
    };
    assert!(restore(json!({})).to_string().contains("acceptForeign"));
    assert_ne!(restore(json!({"acceptForeign": true}))["result"]["isError"], true);
    // Into its own project a restore adds no change of the file.
    let restored = run(&database, "restore", &file, &state, &[]).unwrap();
    assert_eq!(restored["history"]["graphChangesLeftOut"], 5, "{restored}");
}

#[test]
fn a_backup_file_with_a_planted_change_of_the_graph_changes_nothing() {
    let (database, _alice) = with_graph();
    let folder = TempDir::new().unwrap();
    let (file, state) = (folder.path().join("atlas.zip"), folder.path().join("state"));
    run(&database, "backup", &file, &state, &[]).unwrap();
    let (other, _bob) = atlas("bob");
    let cases = [
        ("{\"number\":5,", "{\"number\":1,", "order"),
        ("{\"number\":5,", "{\"number\":0,", "number"),
        ("\"kind\":\"observation\"", "\"kind\":\"relation\"", "id"),
        ("\"change\":\"deleted\"", "\"change\":\"created\"", "lacks"),
        ("\"before\":{\"id\":\"ent_", "\"before\":{\"id\":\"ent_x", "another item"),
        ("\"before\":{", "\"before\":[", "damaged"),
    ];
    for (number, (from, to, why)) in cases.into_iter().enumerate() {
        let changed = folder.path().join(format!("{number}.zip"));
        rewrite_history(&file, &changed, from, to);
        let refused = run(&other, "restore", &changed, &state, &[]).unwrap_err();
        assert!(refused.contains(why), "{from} -> {to}: {refused}");
    }
    for table in ["app.graph_history", "graph_entities", "app.document_versions", "documents"] {
        assert_eq!(other.psql(&format!("SELECT count(*) FROM {table}")), "0", "{table}");
    }
}

#[test]
fn an_export_without_the_history_of_the_graph_is_imported_as_before() {
    let (database, alice) = with_graph();
    let folder = TempDir::new().unwrap();
    let (place, state) = (folder.path().join("p"), folder.path().join("state"));
    run(&database, "export", &place, &state, &[]).unwrap();
    let history = place.join("memory-bank/.mbmcp/history");
    for name in ["graph-000000000000000.imported.jsonl", "graph-log.json"] {
        std::fs::remove_file(history.join(name)).unwrap();
    }
    let (other, bob) = atlas("bob");
    let imported = run(&other, "import", &place, &state, &[]).unwrap();
    assert_eq!(
        (&imported["history"]["graphChanges"], &imported["history"]["graphChangesLeftOut"]),
        (&json!(0), &json!(0))
    );
    assert!(imported["history"]["versions"].as_i64().unwrap() > 0, "{imported}");
    let found = bob.changes("Api");
    assert_eq!(
        (found.as_array().unwrap().len(), &found[0]["by"], &found[0]["imported"]),
        (2, &json!("bob"), &Value::Null)
    );
    assert_eq!(alice.changes("Api").as_array().unwrap().len(), 3);
}
