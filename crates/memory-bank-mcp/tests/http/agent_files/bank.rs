//! A bank on a folder or in a database, driven by the binary alone, and sources to import.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use memory_bank_test_postgres::{MIGRATOR, TestDatabase};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::command;
use crate::database::operate;
use crate::transfer::{atlas, files};

/// A bank to import into.
pub(super) enum Bank {
    Folder(TempDir),
    Database(TestDatabase, TempDir),
}

/// The graph of a bank, by names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Graph {
    pub(super) entities: BTreeMap<String, Value>,
    /// Entity and text, with the number of times.
    pub(super) facts: BTreeMap<(String, String), usize>,
    pub(super) relations: BTreeSet<(String, String, String)>,
}

impl Bank {
    /// A new bank in a folder.
    pub(super) fn folder() -> Self {
        Self::Folder(TempDir::new().unwrap())
    }

    pub(super) fn database() -> Self {
        Self::Database(atlas(), TempDir::new().unwrap())
    }

    /// One of each kind.
    pub(super) fn both() -> [Self; 2] {
        [Self::folder(), Self::database()]
    }

    /// A command on the bank that reads sources in `sources`.
    pub(super) fn command(&self, sources: &Path, more: &[&str]) -> Command {
        let mut command = match self {
            Self::Folder(project) => {
                let mut command = command(project, &[]);
                command.env("HOME", project.path().join("home"));
                command.args(["import", "--from", "auto"]);
                command
            }
            Self::Database(database, place) => {
                let url = database.url_of(MIGRATOR);
                let mut command = command(place, &[("DATABASE_URL", &url), ("REDIS_URL", "")]);
                command.args(["import", "--from", "auto", "--project", "atlas"]);
                command
            }
        };
        command.arg("--in").arg(sources).args(more);
        command
    }

    pub(super) fn try_import(&self, sources: &Path, more: &[&str]) -> Result<Value, String> {
        let output = self.command(sources, more).arg("--json").output().unwrap();
        if !output.status.success() {
            return Err(String::from_utf8(output.stderr).unwrap());
        }
        Ok(serde_json::from_slice(&output.stdout).unwrap())
    }

    pub(super) fn import(&self, sources: &Path, more: &[&str]) -> Value {
        self.try_import(sources, more).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Checks that the sources are imported completely: nothing is left to do.
    pub(super) fn expect_complete(&self, sources: &Path) {
        let again = self.import(sources, &[]);
        assert_eq!(again["changes"], json!(0), "{again}");
    }

    /// A folder with the bank's files.
    fn files_at(&self) -> (Option<TempDir>, PathBuf) {
        match self {
            Self::Folder(project) => (None, project.path().join("memory-bank")),
            Self::Database(database, _) => {
                let place = TempDir::new().unwrap();
                let to = place.path().join("out");
                operate(database, &["export", "--project", "atlas", "--to", to.to_str().unwrap()]).unwrap();
                (Some(place), to.join("memory-bank"))
            }
        }
    }

    /// The documents by name, without the record of imports.
    pub(super) fn documents(&self) -> BTreeMap<String, String> {
        let (_kept, bank) = self.files_at();
        if !bank.exists() {
            return BTreeMap::new();
        }
        let all = files(&bank).into_iter().filter(|(name, _)| !name.starts_with("imported/record"));
        all.map(|(name, bytes)| (name, String::from_utf8_lossy(&bytes).into_owned())).collect()
    }

    pub(super) fn document(&self, name: &str) -> String {
        let documents = self.documents();
        documents.get(name).unwrap_or_else(|| panic!("no {name} in {:?}", documents.keys())).clone()
    }

    pub(super) fn edit(&self, name: &str, text: &str) {
        match self {
            Self::Folder(project) => {
                let path = project.path().join("memory-bank").join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            Self::Database(database, _) => {
                database.psql(&format!(
                    "INSERT INTO documents (project_id, path, content, etag) SELECT id, '{name}', $t${text}$t$, \
                     left(encode(sha256(convert_to($t${text}$t$, 'UTF8')), 'hex'), 16) FROM projects WHERE slug = 'atlas' \
                     ON CONFLICT (project_id, path) DO UPDATE SET content = excluded.content, etag = excluded.etag"
                ));
            }
        }
    }

    pub(super) fn delete(&self, name: &str) {
        match self {
            Self::Folder(project) => fs::remove_file(project.path().join("memory-bank").join(name)).unwrap(),
            Self::Database(database, _) => {
                database.psql(&format!("DELETE FROM documents WHERE path = '{name}'"));
            }
        }
    }

    pub(super) fn graph(&self) -> Graph {
        let (_kept, bank) = self.files_at();
        fs::read_to_string(bank.join("graph/graph.jsonl")).map(|log| fold(&log)).unwrap_or_default()
    }
}

fn fold(log: &str) -> Graph {
    let mut graph = Graph::default();
    let (mut names, mut facts) = (BTreeMap::new(), BTreeMap::new());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    for line in log.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        match event["type"].as_str().unwrap() {
            "entity_upsert" => {
                let entity = &event["entity"];
                let name = format!("{} [{}]", text(&entity["name"]), text(&entity["entityType"]));
                names.insert(text(&entity["id"]), name.clone());
                graph.entities.insert(name, entity["attrs"].clone());
            }
            "observation_add" => {
                let fact = &event["observation"];
                facts.insert(text(&fact["id"]), (text(&fact["entityId"]), text(&fact["text"])));
            }
            "observation_delete" => {
                facts.remove(&text(&event["observationId"]));
            }
            "relation_add" => {
                let relation = &event["relation"];
                let ends =
                    (text(&relation["fromId"]), text(&relation["relationType"]), text(&relation["toId"]));
                graph.relations.insert(ends);
            }
            "relation_remove" => {
                let ends = (text(&event["fromId"]), text(&event["relationType"]), text(&event["toId"]));
                graph.relations.remove(&ends);
            }
            _ => {}
        }
    }
    for (entity, text) in facts.into_values() {
        *graph.facts.entry((names[&entity].clone(), text)).or_default() += 1;
    }
    let relations = std::mem::take(&mut graph.relations).into_iter();
    graph.relations =
        relations.map(|(from, kind, to)| (names[&from].clone(), kind, names[&to].clone())).collect();
    graph
}

/// A folder of sources, called `shop`.
pub(super) struct SourceFolder(TempDir);

impl SourceFolder {
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        let place = Self(TempDir::new().unwrap());
        fs::create_dir(place.path()).unwrap();
        files.iter().for_each(|(name, text)| place.put(name, text));
        place
    }

    pub(super) fn path(&self) -> PathBuf {
        self.0.path().join("shop")
    }

    pub(super) fn put(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(super) fn remove(&self, name: &str) {
        fs::remove_file(self.path().join(name)).unwrap();
    }

    /// Every file with its content and time, to see that nothing was touched.
    pub(super) fn state(&self) -> BTreeMap<String, (Vec<u8>, std::time::SystemTime)> {
        let time = |name: &str| fs::metadata(self.path().join(name)).unwrap().modified().unwrap();
        files(&self.path()).into_iter().map(|(name, bytes)| (name.clone(), (bytes, time(&name)))).collect()
    }
}

/// The rows of a report about documents: action, source and document.
pub(super) fn rows(report: &Value) -> Vec<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let items = report["items"].as_array().unwrap().iter();
    items.map(|row| (text(&row["action"]), text(&row["from"]), text(&row["document"]))).collect()
}

/// The action on a source, whose origin ends with this path.
pub(super) fn action(report: &Value, from: &str) -> String {
    let rows = rows(report);
    let row = rows.iter().find(|(_, origin, document)| origin.ends_with(from) && !document.is_empty());
    row.unwrap_or_else(|| panic!("no {from} in {rows:?}")).0.clone()
}

/// The sources of a list of the report.
pub(super) fn listed(report: &Value, list: &str) -> Vec<String> {
    report[list].as_array().unwrap().iter().map(|one| one["from"].as_str().unwrap().to_owned()).collect()
}
