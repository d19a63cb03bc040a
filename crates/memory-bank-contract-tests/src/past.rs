//! Documents as they were at a time.
#![expect(missing_docs, reason = "the name of each function is its rule")]

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{Timestamp, ToSpan as _};
use memory_bank_core::history::{Subject, VersionQuery};
use memory_bank_core::limits;
use memory_bank_core::store::{Drafts, Past, PastDocument, ReadOutcome};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};

use crate::{Project, path};

/// The texts of all documents by name.
type Texts = BTreeMap<String, String>;

const NAMES: [&str; 4] = ["a.md", "b.md", "folder/c.md", "progress.md"];

/// The time right after the newest version.
async fn after_newest(p: &Project) -> Timestamp {
    let query = VersionQuery {
        subject: Subject::Project,
        since: None,
        until: None,
        by: None,
        after: None,
        limit: limits::VERSIONS_LISTED,
    };
    let versions = p.other.list_versions(&p.caller, &query).await.unwrap().versions;
    let newest = versions.iter().map(|version| version.at).max().unwrap();
    // Changes of the next moment are later.
    tokio::time::sleep(Duration::from_millis(3)).await;
    newest.checked_add(1.microsecond()).unwrap()
}

async fn past(p: &Project, until: Timestamp) -> Past {
    Past::of(p.other.as_ref(), &p.caller, until).await.unwrap()
}

async fn texts(p: &Project, past: &Past) -> Texts {
    let entries = past.entries();
    let documents: Vec<&PastDocument> =
        entries.iter().map(|entry| past.named(&entry.name).unwrap()).collect();
    let outcomes = past.read(p.other.as_ref(), &p.caller, &documents).await.unwrap();
    let text = |(entry, outcome): (&memory_bank_core::document::DocumentEntry, ReadOutcome)| match outcome {
        ReadOutcome::Found(document) => {
            assert_eq!(document.content.len() as u64, entry.bytes, "{}", entry.name);
            (entry.name.clone(), document.content)
        }
        other => panic!("{}: {other:?}", entry.name),
    };
    entries.iter().zip(outcomes).map(text).collect()
}

/// One change: what, of which name, to which name.
type RandomChange = (u8, usize, usize, String);

async fn make(p: &Project, texts: &mut Texts, (kind, from, to, words): RandomChange) {
    let (from, to) = (NAMES[from], NAMES[to]);
    let mut next = texts.clone();
    match (kind, texts.get(from)) {
        (0, Some(_)) => drop(next.remove(from)),
        (1, Some(text)) if from != to && !texts.contains_key(to) => {
            let text = text.clone();
            next.remove(from);
            next.insert(to.to_owned(), text);
        }
        (_, Some(text)) => {
            let text = format!("{text}- {words}\n");
            next.insert(from.to_owned(), text);
        }
        (_, None) => {
            next.insert(from.to_owned(), format!("# {words}\n"));
        }
    }
    let paths = NAMES.map(path);
    let mut editor = |drafts: &mut Drafts| {
        for name in NAMES {
            match (texts.get(name), next.get(name)) {
                (Some(_), None) => drafts.delete(&path(name))?,
                (before, Some(text)) if before != Some(text) => drafts.set(&path(name), text.clone())?,
                _ => {}
            }
        }
        Ok(())
    };
    p.bank.edit(&p.caller, &paths, &mut editor).await.unwrap();
    *texts = next;
}

pub async fn documents_read_back_as_they_were_after_each_change(p: Project) {
    let change = (0..4_u8, 0..NAMES.len(), 0..NAMES.len(), "[a-zé]{1,6}");
    let changes = proptest::collection::vec(change, 40);
    let mut runner = TestRunner::new(Config { cases: 1, ..Config::default() });
    let changes = changes.new_tree(&mut runner).unwrap().current();
    let (mut now, mut states) = (Texts::new(), Vec::new());
    for change in changes.clone() {
        make(&p, &mut now, change).await;
        states.push((after_newest(&p).await, now.clone()));
    }
    for (at, (until, right)) in states.iter().enumerate() {
        let known = past(&p, *until).await;
        assert_eq!(texts(&p, &known).await, *right, "after {at} of {changes:?}");
        assert_eq!(known.unknown().collect::<Vec<_>>(), [], "after {at} of {changes:?}");
        for name in NAMES {
            if right.contains_key(name) {
                assert_eq!(known.document(&path(name)).unwrap().path, path(name));
            }
        }
    }
    let before = past(&p, "2001-01-01T00:00:00Z".parse().unwrap()).await;
    assert!(before.entries().is_empty() && before.unknown().next().is_none(), "{before:?}");
    assert!(before.document(&path("a.md")).is_err());
}

pub async fn a_renamed_document_is_found_by_both_names(p: Project) {
    p.write("a.md", "# Old\n").await;
    let until = after_newest(&p).await;
    let mut now = Texts::from([("a.md".to_owned(), "# Old\n".to_owned())]);
    make(&p, &mut now, (1, 0, 1, String::new())).await;
    p.write("a.md", "# Another\n").await;
    let known = past(&p, until).await;
    let names: Vec<String> = known.entries().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["a.md"]);
    for name in ["a.md", "b.md", "A.md"] {
        let document = known.document(&path(name)).unwrap();
        let read = known.read(p.other.as_ref(), &p.caller, &[document]).await.unwrap().remove(0);
        // Another document has the name now.
        assert!(matches!(&read, ReadOutcome::Found(found) if found.content == "# Old\n"), "{name}: {read:?}");
    }
    let why = known.document(&path("none.md")).unwrap_err();
    assert!(why.contains("no such document"), "{why}");
}

pub async fn an_erased_history_does_not_reach_back(p: Project) {
    p.write("a.md", "one\n").await;
    let until = after_newest(&p).await;
    p.write("a.md", "two\n").await;
    p.write("b.md", "b\n").await;
    p.other.erase(&p.caller, &path("a.md")).await.unwrap();
    p.write("a.md", "three\n").await;
    let known = past(&p, until).await;
    assert!(known.entries().is_empty(), "{known:?}");
    let why = known.document(&path("a.md")).unwrap_err();
    assert!(why.contains("does not reach back"), "{why}");
    let why = known.document(&path("b.md")).unwrap_err();
    assert!(why.contains("made later"), "{why}");
}
