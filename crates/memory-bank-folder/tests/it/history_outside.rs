//! Changes of documents by something outside.

use memory_bank_core::history::{ChangeContext, Subject, Version, VersionKind, VersionQuery};
use memory_bank_core::search::Query;
use memory_bank_core::store::{DocumentSearch, DocumentStore as _, HistoryStore as _, SearchStore as _};
use memory_bank_folder::FolderBank;
use tempfile::TempDir;

use crate::graph_history::copy_of;
use crate::history::{Kept, document, kept, open, some, texts, versions, write, write_with};
use crate::support::{caller, name};

/// Name, number, kind and former name of each version of the project, newest first.
async fn project_list(bank: &FolderBank) -> Vec<String> {
    let query = VersionQuery {
        subject: Subject::Project,
        since: None,
        until: None,
        by: None,
        after: None,
        limit: 200,
    };
    let page = bank.list_versions(&caller(), &query).await.unwrap();
    let line = |version: &Version| {
        let former = version.former_path.as_ref().map_or(String::new(), |former| format!(" from {former}"));
        let deleted = if version.is_outside_deletion() { ", deleted" } else { "" };
        format!("{} {} {}{deleted}{former}", version.path, version.number, version.kind.as_str())
    };
    let mut lines: Vec<String> = page.versions.iter().map(line).collect();
    lines.sort();
    lines
}

#[tokio::test]
async fn edits_from_outside_while_no_process_ran_are_in_both_lists_and_a_renaming_is_followed() {
    // A key in the project would count for this folder only.
    let state = TempDir::new().unwrap();
    let state = state.path().to_str().unwrap();
    let root = kept().root;
    let kept = Kept { bank: open(root.path(), state), root };
    for (name, text) in [
        ("a.md", "a\n"),
        ("b.md", LONG),
        ("c.md", "c\n"),
        ("d.md", "d\n"),
        ("same1.md", "the same in both\n"),
        ("same2.md", "the same in both\n"),
    ] {
        write(&kept.bank, name, text).await;
    }
    let file = |name: &str| document(&kept, name);
    std::fs::write(file("a.md"), "a changed\n").unwrap();
    std::fs::rename(file("b.md"), file("new.md")).unwrap();
    std::fs::remove_file(file("c.md")).unwrap();
    std::fs::rename(file("same1.md"), file("one.md")).unwrap();
    std::fs::rename(file("same2.md"), file("two.md")).unwrap();
    // The list of the project notes it first, in one run; in another one the list of a single document does.
    for alone in [None, Some("new.md"), Some("b.md")] {
        let copy = TempDir::new().unwrap();
        copy_of(kept.root.path(), copy.path());
        let bank = open(copy.path(), state);
        if let Some(name) = alone {
            let found = versions(&bank, name).await;
            let last = &found.last().unwrap().0;
            assert_eq!((last.kind, last.number), (VersionKind::Outside, 2), "{name}");
            assert_eq!(last.former_path.as_ref().map(ToString::to_string).as_deref(), Some("b.md"));
        }
        let list = project_list(&bank).await;
        for line in [
            "a.md 2 outside",
            "new.md 2 outside from b.md",
            "c.md 2 outside, deleted",
            "same1.md 2 outside, deleted",
            "same2.md 2 outside, deleted",
        ] {
            assert!(list.iter().any(|listed| listed == line), "{alone:?} {line}: {list:?}");
        }
        assert_eq!(list.len(), 11, "{list:?}");
        assert_eq!(project_list(&bank).await, list, "noted once");
        assert_eq!(texts(&bank, "new.md").await, some(&[LONG, LONG]));
        assert!(versions(&bank, "a.md").await.last().unwrap().0.author.is_none());
        write(&bank, "new.md", "b and more\n").await;
        assert_eq!(versions(&bank, "b.md").await.len(), 3, "it is one document");
    }
    // A write that comes first follows it, too.
    let bank = open(kept.root.path(), state);
    write(&bank, "new.md", "b and more\n").await;
    assert_eq!(texts(&bank, "new.md").await, some(&[LONG, LONG, "b and more\n"]));
}

#[tokio::test]
async fn a_renaming_from_outside_that_a_list_saw_is_followed_when_the_text_changes_afterwards() {
    // By the process that wrote the document, after an earlier list and without one, and by another process.
    for (has_listed, is_other) in [(true, false), (false, false), (false, true)] {
        let mut kept = kept();
        write(&kept.bank, "a.md", LONG).await;
        if is_other {
            kept.bank = open(kept.root.path(), "state");
        }
        let names = async || {
            let listed = kept.bank.list(&caller()).await.unwrap();
            listed.into_iter().map(|entry| entry.name).collect::<Vec<_>>()
        };
        if has_listed {
            assert_eq!(names().await, ["a.md"]);
        }
        std::fs::rename(document(&kept, "a.md"), document(&kept, "new.md")).unwrap();
        assert_eq!(names().await, ["new.md"]);
        let history = kept.root.path().join("memory-bank/.mbmcp/history");
        let files = || {
            let found = std::fs::read_dir(&history).unwrap().map(|entry| entry.unwrap().path());
            found.filter(|path| path.extension().is_some_and(|ending| ending == "log")).count()
        };
        for _ in 0..500 {
            if files() > 1 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        std::fs::write(document(&kept, "new.md"), "another text by something outside\n").unwrap();
        assert_eq!(
            project_list(&kept.bank).await,
            ["a.md 1 created", "new.md 2 outside from a.md", "new.md 3 outside"],
            "{has_listed} {is_other}"
        );
    }
}

#[tokio::test]
async fn a_renaming_from_outside_is_recorded_before_the_reply_that_shows_it() {
    // After a list of this process, and in the first list of another one; by a list and by a search.
    for (is_other, searches) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut kept = kept();
        write(&kept.bank, "a.md", LONG).await;
        kept.bank.list(&caller()).await.unwrap();
        std::fs::rename(document(&kept, "a.md"), document(&kept, "new.md")).unwrap();
        if is_other {
            kept.bank = open(kept.root.path(), "state");
        }
        if searches {
            let wanted = DocumentSearch {
                query: Query::parse("known").unwrap(),
                files: Vec::new(),
                limit: 10,
                case_sensitive: false,
                days: (None, None),
                holding_at: None,
            };
            assert_eq!(kept.bank.search_documents(&caller(), &wanted).await.unwrap().hits.len(), 1);
        } else {
            assert_eq!(kept.bank.list(&caller()).await.unwrap().len(), 1);
        }
        std::fs::remove_file(document(&kept, "new.md")).unwrap();
        let expected = ["a.md 1 created", "new.md 2 outside from a.md", "new.md 3 outside, deleted"];
        assert_eq!(project_list(&kept.bank).await, expected, "{is_other} {searches}");
        assert_eq!(texts(&kept.bank, "new.md").await, [Some(LONG.to_owned()), Some(LONG.to_owned()), None]);
    }
}

#[tokio::test]
async fn a_copy_is_no_new_name_of_a_document_that_something_outside_deletes() {
    // A copy that a list, a read or another process saw before, and texts that are too short to tell.
    for (text, is_seen) in [(LONG, true), ("", false), ("# Notes\n", false)] {
        let kept = kept();
        write(&kept.bank, "a.md", text).await;
        write(&kept.bank, "kept.md", "kept\n").await;
        std::fs::copy(document(&kept, "a.md"), document(&kept, "copy.md")).unwrap();
        if is_seen {
            project_list(&kept.bank).await;
        }
        std::fs::remove_file(document(&kept, "a.md")).unwrap();
        let bank = open(kept.root.path(), "state");
        let expected = ["a.md 1 created", "a.md 2 outside, deleted", "kept.md 1 created"];
        assert_eq!(project_list(&bank).await, expected, "{text:?}");
        // The copy has no history of the original, and to erase it erases nothing of that.
        assert!(bank.erase(&caller(), &name("copy.md")).await.is_err());
        write(&bank, "copy.md", "changed\n").await;
        assert_eq!(texts(&bank, "copy.md").await, some(&[text, "changed\n"]));
        bank.erase(&caller(), &name("copy.md")).await.unwrap();
        assert_eq!(texts(&bank, "a.md").await, [Some(text.to_owned()), None]);
    }
    // A copy that nobody saw beside its original may be its new name.
    let kept = kept();
    write(&kept.bank, "a.md", LONG).await;
    std::fs::rename(document(&kept, "a.md"), document(&kept, "new.md")).unwrap();
    assert_eq!(project_list(&kept.bank).await, ["a.md 1 created", "new.md 2 outside from a.md"]);
}

#[tokio::test]
async fn documents_without_a_history_that_something_outside_removes_or_renames_are_noted() {
    let kept = kept();
    write(&kept.bank, "own.md", "own\n").await;
    for (name, text) in [("old.md", LONG), ("gone.md", "gone\n"), ("stays.md", "stays\n")] {
        std::fs::write(document(&kept, name), text).unwrap();
    }
    assert_eq!(project_list(&kept.bank).await, ["own.md 1 created"], "they have no version");
    std::fs::rename(document(&kept, "old.md"), document(&kept, "new.md")).unwrap();
    std::fs::remove_file(document(&kept, "gone.md")).unwrap();
    let bank = open(kept.root.path(), "state");
    let expected = [
        "gone.md 1 outside, deleted",
        "new.md 2 outside from old.md",
        "old.md 1 outside",
        "own.md 1 created",
    ];
    assert_eq!(project_list(&bank).await, expected);
    assert_eq!(project_list(&bank).await, expected, "noted once");
    assert_eq!(texts(&bank, "gone.md").await, [None]);
    assert_eq!(texts(&bank, "new.md").await, some(&[LONG, LONG]));
    // What the server itself deletes is no change from outside.
    write_with(&bank, "stays.md", None, &ChangeContext::default()).await;
    let list = project_list(&bank).await;
    let stays = list.iter().filter(|line| line.starts_with("stays"));
    assert_eq!(Vec::from_iter(stays), ["stays.md 1 outside", "stays.md 2 deleted"]);
}

/// A text that is long enough to recognise a renamed document by it.
const LONG: &str = "a text by which it is known\n";
