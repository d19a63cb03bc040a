//! An import that is killed is completed by the next one, without doubles.

use std::process::Stdio;
use std::time::{Duration, Instant};

use super::bank::{Bank, SourceFolder};
use crate::client::TIMEOUT;
use crate::replica_set::{Held, await_waiting};

const NOTES: usize = 160;

fn large_vault() -> SourceFolder {
    let sources = SourceFolder::of(&[(".obsidian/app.json", "{}")]);
    for n in 0..NOTES {
        let next = (n + 1) % NOTES;
        sources.put(
            &format!("note {n}.md"),
            format!("# Note {n}\n[[note {next}]] [[note {}]] #t{}\n", n / 2, n % 7),
        );
    }
    let lines = (0..NOTES).map(|n| {
        format!(r#"{{"type":"entity","name":"E{n}","entityType":"thing","observations":["fact {n}","other {n}"]}}"#)
    });
    sources.put("memory.jsonl", lines.collect::<Vec<_>>().join("\n"));
    sources
}

#[test]
fn an_import_into_a_folder_that_is_killed_is_completed_without_doubles() {
    let sources = large_vault();
    let whole = Bank::folder();
    whole.import(&sources.path(), &[]);
    let (documents, graph) = (whole.documents(), whole.graph());
    assert!(documents.len() > NOTES && graph.relations.len() > NOTES);
    let bank = Bank::folder();
    let Bank::Folder(project) = &bank else { panic!() };
    let notes = project.path().join("memory-bank/imported/shop/obsidian");
    let log = project.path().join("memory-bank/graph/graph.jsonl");
    let written = || {
        let notes = std::fs::read_dir(&notes).map_or(0, Iterator::count);
        notes + std::fs::read(&log).map_or(0, |log| log.iter().filter(|byte| **byte == b'\n').count())
    };
    // Each kill comes a little later; every one but the last finds the import at work.
    let mut killed = 0;
    for aim in [1, 60, 110, 165, 400, 700] {
        let mut child =
            bank.command(&sources.path(), &[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let began = Instant::now();
        while child.try_wait().unwrap().is_none() && written() < aim {
            assert!(began.elapsed() < TIMEOUT, "the import does not progress");
            std::thread::sleep(Duration::from_millis(1));
        }
        if child.try_wait().unwrap().is_none() {
            child.kill().unwrap();
            killed += 1;
        }
        child.wait().unwrap();
    }
    assert!(killed >= 3, "only {killed} imports were killed");
    bank.import(&sources.path(), &[]);
    assert_eq!(bank.documents(), documents);
    assert_eq!(bank.graph(), graph);
    bank.expect_complete(&sources.path());
}

#[test]
fn an_import_into_a_database_that_is_killed_is_completed_without_doubles() {
    let sources = large_vault();
    let whole = Bank::database();
    whole.import(&sources.path(), &[]);
    let bank = Bank::database();
    let Bank::Database(database, _) = &bank else { panic!() };
    for table in ["public.documents", "public.graph_entities", "public.graph_observations"] {
        let held = Held::take(database, &format!("LOCK TABLE {table} IN EXCLUSIVE MODE"));
        let mut child =
            bank.command(&sources.path(), &[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        await_waiting(database, 1);
        child.kill().unwrap();
        child.wait().unwrap();
        drop(held);
    }
    bank.import(&sources.path(), &[]);
    assert_eq!(bank.documents(), whole.documents());
    assert_eq!(bank.graph(), whole.graph());
    bank.expect_complete(&sources.path());
}

#[test]
fn imports_at_the_same_time_write_everything_once() {
    let sources = large_vault();
    let mut expected = None;
    for bank in Bank::both() {
        // On a folder, all of them must find the bank.
        bank.edit("notes.md", "# Notes\n");
        let imports: Vec<_> = (0..3)
            .map(|_| {
                bank.command(&sources.path(), &[])
                    .stdout(Stdio::null())
                    .stderr(Stdio::piped())
                    .spawn()
                    .unwrap()
            })
            .collect();
        for import in imports {
            let output = import.wait_with_output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        bank.expect_complete(&sources.path());
        let (documents, graph) = (bank.documents(), bank.graph());
        assert_eq!(documents.keys().filter(|name| name.contains("obsidian")).count(), NOTES);
        assert!(graph.facts.values().all(|times| *times == 1));
        let numbers = (graph.facts.len(), graph.relations.len());
        assert_eq!(*expected.get_or_insert(numbers), numbers);
    }
}
