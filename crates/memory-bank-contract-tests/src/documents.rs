//! Documents and edits.
#![expect(missing_docs, reason = "the name of each function is its rule")]

use std::sync::Arc;

use futures::future::join_all;
use jiff::Timestamp;
use memory_bank_core::caller::Caller;
use memory_bank_core::document::{
    AddSessionNote, Etag, LogDecision, NoteCategory, UpdateActiveContext, UpdateTasks, add_session_note,
    log_decision, update_active_context, update_tasks,
};
use memory_bank_core::error::EditError;
use memory_bank_core::limits;
use memory_bank_core::search::Query;
use memory_bank_core::store::{Bank, Change, ChangeKind, DocumentSearch, Drafts, ReadOutcome};

use crate::{Project, path, text};

pub async fn names_are_listed_sorted(p: Project) {
    for name in ["b.md", "a.md", "c.json"] {
        p.write(name, "x").await;
    }
    let entries = p.bank.list(&p.caller).await.unwrap();
    let names: Vec<_> =
        entries.iter().filter_map(|entry| entry.path.as_ref()).map(|name| name.as_str()).collect();
    assert_eq!(names, ["a.md", "b.md", "c.json"]);
    assert!(entries.iter().filter(|entry| entry.path.is_some()).all(|entry| entry.bytes == 1));
    assert!(entries.iter().all(|entry| !entry.name.contains("tmp") && entry.name != ".mbmcp"));
}

pub async fn reading_keeps_the_requested_order(p: Project) {
    p.write("a.md", "A").await;
    p.write("b.md", "B").await;
    let outcomes = p.bank.read(&p.caller, &["b.md", "none.md", "a.md", "b.md"].map(path)).await.unwrap();
    let texts: Vec<_> = outcomes
        .iter()
        .map(|outcome| match outcome {
            ReadOutcome::Found(document) => {
                assert_eq!(document.etag, Etag::of(&document.content));
                document.content.as_str()
            }
            ReadOutcome::Missing => "-",
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(texts, ["B", "-", "A", "B"]);
}

pub async fn reading_and_writing_use_the_same_canonical_name(p: Project) {
    for (requested, stored) in [("README.md", "readme.md"), ("myNotes.md", "my-notes.md")] {
        let change = p.write(requested, "one").await;
        assert_eq!((change.path.as_str(), change.kind), (stored, ChangeKind::Created));
        assert_eq!(p.text(requested).await.as_deref(), Some("one"));
        assert_eq!(p.text(stored).await.as_deref(), Some("one"));
        // The etag that reading gave is the one that writing compares.
        let change = p.write(requested, "two").await;
        assert_eq!((change.path.as_str(), change.kind), (stored, ChangeKind::Modified));
        assert_eq!(change.etag, Some(Etag::of("two")));
    }
    assert_eq!(p.bank.list(&p.caller).await.unwrap().iter().filter(|entry| entry.path.is_some()).count(), 2);
}

pub async fn an_edit_that_fails_writes_nothing(p: Project) {
    p.write("a.md", "old").await;
    let names = ["a.md", "b.md"].map(path);
    let mut editor = |drafts: &mut Drafts| {
        drafts.set(&names[0], "new".into())?;
        drafts.set(&names[1], "new".into())?;
        Err(EditError::Refused("no".into()))
    };
    let refused = p.bank.edit(&p.caller, &names, &mut editor).await;
    assert!(matches!(refused, Err(EditError::Refused(why)) if why == "no"));
    assert_eq!(p.text("a.md").await.as_deref(), Some("old"));
    assert_eq!(p.text("b.md").await, None);
}

pub async fn an_edit_of_several_documents_is_atomic(p: Project) {
    let names = ["a.md", "b.md"].map(path);
    let write = async |bank: &dyn Bank, text: String| {
        let mut editor = |drafts: &mut Drafts| {
            drafts.set(&names[0], text.clone())?;
            drafts.set(&names[1], text.clone())
        };
        bank.edit(&p.caller, &names, &mut editor).await.unwrap();
    };
    write(p.bank.as_ref(), "0".into()).await;
    let writing = async {
        for turn in 1..30 {
            write(p.bank.as_ref(), turn.to_string()).await;
        }
    };
    let reading = async {
        for _ in 0..60 {
            let both = p.other.read(&p.caller, &names).await.unwrap();
            let texts: Vec<_> = both
                .into_iter()
                .map(|outcome| match outcome {
                    ReadOutcome::Found(document) => document.content,
                    other => panic!("{other:?}"),
                })
                .collect();
            assert_eq!(texts[0], texts[1]);
        }
    };
    futures::join!(writing, reading);
}

pub async fn an_edit_reports_its_changes_in_the_requested_order(p: Project) {
    for name in ["same.md", "gone.md", "changed.md"] {
        p.write(name, "x").await;
    }
    let names = ["new.md", "same.md", "gone.md", "changed.md", "absent.md"].map(path);
    let mut editor = |drafts: &mut Drafts| {
        drafts.set(&names[0], "n".into())?;
        drafts.set(&names[1], "x".into())?;
        drafts.delete(&names[2])?;
        drafts.set(&names[3], "y".into())
    };
    let changes = p.bank.edit(&p.caller, &names, &mut editor).await.unwrap();
    let kinds: Vec<_> = changes.iter().map(|change| change.kind).collect();
    use ChangeKind::{Created, Deleted, Modified, Unchanged};
    assert_eq!(kinds, [Created, Unchanged, Deleted, Modified, Unchanged]);
    let etags: Vec<_> = changes.into_iter().map(|change| change.etag).collect();
    assert_eq!(etags, [Some(Etag::of("n")), Some(Etag::of("x")), None, Some(Etag::of("y")), None]);
}

pub async fn a_document_is_deleted_and_renamed(p: Project) {
    p.write("old.md", "text").await;
    let names = ["old.md", "new.md"].map(path);
    let mut rename = |drafts: &mut Drafts| {
        let text = drafts.text(&names[0]).unwrap().to_owned();
        drafts.set(&names[1], text)?;
        drafts.delete(&names[0])
    };
    p.bank.edit(&p.caller, &names, &mut rename).await.unwrap();
    assert_eq!((p.text("old.md").await, p.text("new.md").await.as_deref()), (None, Some("text")));
    let mut delete = |drafts: &mut Drafts| drafts.delete(&names[1]);
    p.bank.edit(&p.caller, &names[1..], &mut delete).await.unwrap();
    assert_eq!(p.text("new.md").await, None);
}

pub async fn two_names_of_one_document_are_one_document(p: Project) {
    let names = ["myNotes.md", "my-notes.md"].map(path);
    let mut editor = |drafts: &mut Drafts| {
        drafts.set(&names[0], "one".into())?;
        drafts.set(&names[1], "two".into())
    };
    let refused = p.bank.edit(&p.caller, &names, &mut editor).await;
    assert!(matches!(refused, Err(EditError::Refused(_))), "{refused:?}");
    assert_eq!(p.text("my-notes.md").await, None);
}

async fn append(bank: &dyn Bank, caller: &Caller, line: &str) {
    let name = path("progress.md");
    let mut editor = |drafts: &mut Drafts| {
        let text = format!("{}{line}\n", drafts.text(&name).unwrap_or_default());
        drafts.set(&name, text)
    };
    bank.edit(caller, std::slice::from_ref(&name), &mut editor).await.unwrap();
}

pub async fn ten_concurrent_appends_are_all_kept(p: Project) {
    let lines: Vec<String> = (0..10).map(|number| format!("entry {number}")).collect();
    join_all(lines.iter().map(|line| append(p.bank.as_ref(), &p.caller, line))).await;
    let text = p.text("progress.md").await.unwrap();
    assert_eq!(text.lines().count(), 10);
    assert!(lines.iter().all(|line| text.contains(line.as_str())));
}

pub async fn two_instances_lose_no_entry(p: Project) {
    let banks = [Arc::clone(&p.bank), Arc::clone(&p.other)];
    let tasks: Vec<_> = (0..20)
        .map(|number| {
            let (bank, caller) = (Arc::clone(&banks[number % 2]), p.caller.clone());
            tokio::spawn(async move { append(bank.as_ref(), &caller, &number.to_string()).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(p.text("progress.md").await.unwrap().lines().count(), 20);
}

pub async fn of_ten_writes_with_one_etag_exactly_one_succeeds(p: Project) {
    p.write("a.md", "old").await;
    let expected = Etag::of("old");
    let name = path("a.md");
    let attempts = (0..10).map(|number| {
        let bank = if number % 2 == 0 { &p.bank } else { &p.other };
        let (name, expected, caller) = (&name, &expected, &p.caller);
        async move {
            let mut editor = |drafts: &mut Drafts| {
                let current = drafts.stored(name).unwrap();
                if current.etag != *expected {
                    return Err(EditError::EtagMismatch {
                        path: name.clone(),
                        expected: expected.to_string(),
                        current: current.etag.clone(),
                        content: current.content.clone(),
                    });
                }
                drafts.set(name, format!("new {number}"))
            };
            bank.edit(caller, std::slice::from_ref(name), &mut editor).await
        }
    });
    let results = join_all(attempts).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    assert!(results.iter().filter(|r| matches!(r, Err(EditError::EtagMismatch { .. }))).count() == 9);
}

pub async fn a_document_over_the_bound_is_refused(p: Project) {
    let name = path("a.md");
    let mut editor = |drafts: &mut Drafts| drafts.set(&name, "x".repeat(limits::DOCUMENT_BYTES + 1));
    let refused = p.bank.edit(&p.caller, std::slice::from_ref(&name), &mut editor).await;
    assert!(
        matches!(refused, Err(EditError::Refused(why)) if why.contains(&limits::DOCUMENT_BYTES.to_string()))
    );
    assert_eq!(p.text("a.md").await, None);
    p.write("a.md", &"x".repeat(limits::DOCUMENT_BYTES)).await;
}

pub async fn the_text_of_an_earlier_etag_is_still_available(p: Project) {
    p.write("a.md", "one").await;
    p.text("a.md").await;
    p.write("a.md", "two").await;
    let name = path("a.md");
    let known = p.bank.content_at(&p.caller, &name, &Etag::of("one")).await.unwrap();
    assert_eq!(known.as_deref(), Some("one"));
    assert_eq!(p.bank.content_at(&p.caller, &name, &Etag::of("never")).await.unwrap(), None);
}

pub async fn each_change_is_notified_once(p: Project) {
    p.changes.take();
    p.write("a.md", "one").await;
    assert_eq!(p.changes.take(), [Change::Updated(path("a.md")), Change::List]);
    p.write("a.md", "one").await;
    assert_eq!(p.changes.take(), []);
    p.write("a.md", "two").await;
    assert_eq!(p.changes.take(), [Change::Updated(path("a.md"))]);
}

pub async fn unusual_valid_names_are_kept(p: Project) {
    for name in [".hidden.md", "%2e%2e%2f.md", "v1..2.md", "größe & maße 日本.md", " .md", "'; drop table.md"]
    {
        let change = p.write(name, name).await;
        assert_eq!(change.path.as_str(), name);
        assert_eq!(text(p.other.as_ref(), &p.caller, name).await.as_deref(), Some(name));
    }
}

pub async fn an_edit_changes_only_the_documents_that_it_names(p: Project) {
    let (named, unnamed) = (path("a.md"), path("b.md"));
    let mut editor = |drafts: &mut Drafts| drafts.set(&unnamed, "x".into());
    assert!(p.bank.edit(&p.caller, &[named], &mut editor).await.is_err());
    assert_eq!(p.text("b.md").await, None);
}

/// The rules for lists keep the text of the store, including line endings.
pub async fn an_edit_of_a_list_keeps_all_other_text(p: Project) {
    let before =
        "# A\r\n\r\n## Next Steps\r\nProse.\r\n\r\n- one\r\n\r\n### Sub\r\n- s\r\n\r\n```\r\nopen\r\n";
    p.write("active-context.md", before).await;
    let update = async |arguments: UpdateActiveContext| {
        let mut removed = Vec::new();
        let mut editor = |drafts: &mut Drafts| {
            removed = update_active_context(drafts, &arguments)?.items;
            Ok(())
        };
        p.bank.edit(&p.caller, &UpdateActiveContext::paths(), &mut editor).await.unwrap();
        removed
    };
    let empty = UpdateActiveContext { next_steps: Some(Vec::new()), ..UpdateActiveContext::default() };
    assert!(update(empty).await.is_empty());
    assert_eq!(p.text("active-context.md").await.as_deref(), Some(before));
    let steps = UpdateActiveContext {
        next_steps: Some(vec!["two".into()]),
        issues: Some(vec!["i".into()]),
        ..UpdateActiveContext::default()
    };
    assert_eq!(update(steps).await, ["- one"]);
    let after = before.replace("- one", "- two") + "```\r\n\r\n## Known Issues\r\n- i\r\n";
    assert_eq!(p.text("active-context.md").await.as_deref(), Some(after.as_str()));
}

/// A bank with tasks and issues in progress.md never gets a second list.
pub async fn a_list_is_edited_in_the_document_that_contains_it(p: Project) {
    let active = "# Active Context\n\n## Current Work Focus\nPayment.\n\n## Recent Changes\n- Stripe\n";
    let progress =
        "# Progress\n\n## What's Left to Build\n- [ ] Refunds\n\n## 3. **Known Issues**:\n- Slow\n";
    p.write("active-context.md", active).await;
    p.write("progress.md", progress).await;
    for name in ["Invoices", "Invoices", "Webhooks"] {
        let request = UpdateTasks { add: Some(vec![name.to_owned()]), ..UpdateTasks::default() };
        let mut editor =
            |drafts: &mut Drafts| update_tasks(drafts, &request, Timestamp::UNIX_EPOCH).map(drop);
        p.bank.edit(&p.caller, &UpdateTasks::paths(), &mut editor).await.unwrap();
    }
    let issues =
        UpdateActiveContext { issues: Some(vec!["Slower".into()]), ..UpdateActiveContext::default() };
    let mut editor = |drafts: &mut Drafts| update_active_context(drafts, &issues).map(drop);
    p.bank.edit(&p.caller, &UpdateActiveContext::paths(), &mut editor).await.unwrap();
    assert_eq!(p.text("active-context.md").await.as_deref(), Some(active));
    let after = progress
        .replace("- [ ] Refunds\n", "- [ ] Refunds\n- [ ] Invoices\n- [ ] Webhooks\n")
        .replace("Slow\n", "Slower\n");
    assert_eq!(text(p.other.as_ref(), &p.caller, "progress.md").await.as_deref(), Some(after.as_str()));
}

/// A resolved note stays, struck through; an ambiguous one is refused and changes nothing.
pub async fn a_note_is_resolved_in_place(p: Project) {
    let note = AddSessionNote { note: "CI is down".into(), category: Some(NoteCategory::Blocker) };
    let mut editor = |drafts: &mut Drafts| add_session_note(drafts, &note, Timestamp::UNIX_EPOCH, "alice");
    p.bank.edit(&p.caller, &AddSessionNote::paths(), &mut editor).await.unwrap();
    let resolve = async |text: &str| {
        let request = UpdateTasks { resolve: Some(vec![text.to_owned()]), ..UpdateTasks::default() };
        let mut resolved = Vec::new();
        let mut editor = |drafts: &mut Drafts| {
            resolved = update_tasks(drafts, &request, Timestamp::UNIX_EPOCH)?.resolved;
            Ok(())
        };
        let outcome = p.other.edit(&p.caller, &UpdateTasks::paths(), &mut editor).await;
        outcome.map(|_| resolved)
    };
    let before = p.text("active-context.md").await;
    let refused = resolve("CI").await.unwrap_err().to_string();
    assert!(refused.contains("`resolve`") && refused.contains("🚧 Blocker: CI is down"), "{refused}");
    assert_eq!(p.text("active-context.md").await, before);
    assert_eq!(resolve("ci is down").await.unwrap(), ["CI is down"]);
    let now = p.text("active-context.md").await.unwrap();
    let line = "- [1970-01-01 00:00:00 UTC] [alice] - 🚧 Blocker: ~~CI is down~~ [resolved 1970-01-01]\n";
    assert!(now.contains(line), "{now}");
    assert!(resolve("CI is down").await.unwrap().is_empty(), "what is settled stays as it is");
    assert_eq!(p.text("active-context.md").await.unwrap(), now);
}

/// Edits find a core document by its name on other servers, and create no second one.
pub async fn an_edit_finds_a_core_document_by_its_camel_case_name(p: Project) {
    for name in ["activeContext.md", "decisionLog.md"] {
        p.write(name, "# Mine\n").await;
        // A store may only know the name of today; then there is one document, too.
        let request = UpdateTasks { add: Some(vec![format!("task of {name}")]), ..UpdateTasks::default() };
        let mut editor =
            |drafts: &mut Drafts| update_tasks(drafts, &request, Timestamp::UNIX_EPOCH).map(drop);
        p.bank.edit(&p.caller, &UpdateTasks::paths(), &mut editor).await.unwrap();
        let decision: LogDecision =
            serde_json::from_value(serde_json::json!({"title": name, "context": "", "decision": "d"}))
                .unwrap();
        let mut editor =
            |drafts: &mut Drafts| log_decision(drafts, &decision, Timestamp::UNIX_EPOCH, "a").map(drop);
        p.other.edit(&p.caller, &LogDecision::paths(), &mut editor).await.unwrap();
    }
    let names: Vec<String> =
        p.bank.list(&p.caller).await.unwrap().into_iter().map(|entry| entry.name).collect();
    for stem in ["active", "decision"] {
        assert_eq!(names.iter().filter(|name| name.starts_with(stem)).count(), 1, "{names:?}");
    }
    let active = text(p.bank.as_ref(), &p.caller, "activeContext.md").await.unwrap();
    assert!(active.starts_with("# Mine\n\n## Ongoing Tasks\n- task of"), "{active}");
}

pub async fn a_document_in_a_folder_is_a_document(p: Project) {
    let deep = "1/2/3/4/5/6/7/8/x.md";
    for name in ["adr/0001.md", "adr/data.json", "notes.md", deep] {
        let change = p.write(name, "old words").await;
        assert_eq!((change.path.as_str(), change.kind), (name, ChangeKind::Created));
        assert_eq!(text(p.other.as_ref(), &p.caller, name).await.as_deref(), Some("old words"));
    }
    let names = async || -> Vec<String> {
        let entries = p.other.list(&p.caller).await.unwrap();
        entries.into_iter().filter(|entry| entry.path.is_some()).map(|entry| entry.name).collect()
    };
    assert_eq!(names().await, [deep, "adr/0001.md", "adr/data.json", "notes.md"]);
    // The name of a file is brought into its form, and the folders are as they were given.
    assert_eq!(p.write("Docs/MyNotes.md", "x").await.path.as_str(), "Docs/my-notes.md");
    assert_eq!(p.text("Docs/my-notes.md").await.as_deref(), Some("x"));
    assert_eq!(p.text("Docs/MyNotes.md").await.as_deref(), Some("x"));
    // Several at once, one of them from folder to folder.
    let paths = ["adr/0001.md", "archive/2026/0001.md", "notes.md"].map(path);
    let mut editor = |drafts: &mut Drafts| {
        let moved = drafts.text(&paths[0]).unwrap().to_owned();
        drafts.set(&paths[1], moved)?;
        drafts.delete(&paths[0])?;
        drafts.set(&paths[2], "new words".into())
    };
    p.bank.edit(&p.caller, &paths, &mut editor).await.unwrap();
    let left = [deep, "Docs/my-notes.md", "adr/data.json", "archive/2026/0001.md", "notes.md"];
    assert_eq!(names().await, left);
    assert_eq!(p.text("archive/2026/0001.md").await.as_deref(), Some("old words"));
    for name in left {
        let name = path(name);
        let mut delete = |drafts: &mut Drafts| drafts.delete(&name);
        p.bank.edit(&p.caller, std::slice::from_ref(&name), &mut delete).await.unwrap();
    }
    // The empty folders are removed, so a folder with another spelling can be created.
    assert!(p.bank.list(&p.caller).await.unwrap().is_empty());
    p.write("ADR/0001.md", "x").await;
}

pub async fn a_document_in_a_folder_is_found_by_search(p: Project) {
    p.write("adr/0001.md", "We chose the albatross.\n").await;
    p.write("notes.md", "An albatross, too.\n").await;
    let search = async |files: &[&str]| {
        let wanted = DocumentSearch {
            query: Query::parse("albatross").unwrap(),
            files: files.iter().map(|name| (*name).to_owned()).collect(),
            limit: 20,
            case_sensitive: false,
            days: (None, None),
            holding_at: None,
        };
        let found = p.other.search_documents(&p.caller, &wanted).await.unwrap();
        let mut files: Vec<String> = found.hits.into_iter().map(|hit| hit.file).collect();
        files.sort();
        files
    };
    assert_eq!(search(&[]).await, ["adr/0001.md", "notes.md"]);
    assert_eq!(search(&["adr/0001.md"]).await, ["adr/0001.md"]);
    let name = path("adr/0001.md");
    let mut delete = |drafts: &mut Drafts| drafts.delete(&name);
    p.bank.edit(&p.caller, std::slice::from_ref(&name), &mut delete).await.unwrap();
    assert_eq!(search(&[]).await, ["notes.md"]);
}

pub async fn unicode_normal_forms_of_a_name_are_one_document(p: Project) {
    let (composed, decomposed) = ("caf\u{e9}/na\u{ef}ve.md", "cafe\u{301}/nai\u{308}ve.md");
    let change = p.write(decomposed, "one").await;
    assert_eq!((change.path.as_str(), change.kind), (composed, ChangeKind::Created));
    for name in [composed, decomposed] {
        assert_eq!(p.text(name).await.as_deref(), Some("one"));
    }
    assert_eq!(p.write(composed, "two").await.kind, ChangeKind::Modified);
    assert_eq!(p.write(decomposed, "three").await.path.as_str(), composed);
    assert_eq!(p.bank.list(&p.caller).await.unwrap().iter().filter(|entry| entry.path.is_some()).count(), 1);
    // As one edit they are one document as well.
    let names = ["r\u{e9}sum\u{e9}.md", "re\u{301}sume\u{301}.md"].map(path);
    let mut editor = |drafts: &mut Drafts| {
        drafts.set(&names[0], "one".into())?;
        drafts.set(&names[1], "two".into())
    };
    assert!(matches!(p.bank.edit(&p.caller, &names, &mut editor).await, Err(EditError::Refused(_))));
}

/// The store's result when this document is created.
async fn refused(p: &Project, name: &str) -> String {
    let name = path(name);
    let mut editor = |drafts: &mut Drafts| drafts.set(&name, "x".to_owned());
    match p.bank.edit(&p.caller, std::slice::from_ref(&name), &mut editor).await {
        Err(EditError::Refused(why)) => why,
        other => panic!("{name}: {other:?}"),
    }
}

pub async fn a_name_that_other_systems_do_not_allow_is_not_created(p: Project) {
    for (name, message) in [
        ("con.md", "device"),
        ("docs/aux.json", "device"),
        ("a:b.md", "`:`"),
        ("a\nb.md", "control character"),
        ("fdp\u{202e}gpj.md", "invisible character"),
        ("docs./x.md", "dot or a blank"),
        ("docs /x.md", "dot or a blank"),
        ("memory-bank/progress.md", "leave out `memory-bank/`"),
        ("notes (conflicted copy).md", "a sync tool"),
        (".#notes.md", "a sync tool"),
    ] {
        let why = refused(&p, name).await;
        assert!(why.contains(message), "{name:?}: {why}");
        // On one line, without direction marks.
        assert!(!why.contains(['\n', '\u{202e}']), "{why:?}");
        assert_eq!(p.text(name).await, None);
    }
    assert!(p.bank.list(&p.caller).await.unwrap().is_empty());
}

pub async fn names_that_differ_only_by_case_are_not_created_together(p: Project) {
    p.write("ADR/0001.md", "x").await;
    let mut names = vec!["adr/0002.md", "adr/deep/er.md"];
    // Elsewhere it is the same document.
    if cfg!(not(any(windows, target_os = "macos"))) {
        names.push("Adr/0001.md");
    }
    for name in names {
        let why = refused(&p, name).await;
        assert!(why.contains("letter case") && why.contains("`ADR"), "{name}: {why}");
    }
    p.write("ADR/0002.md", "x").await;
    let names = ["one/a.md", "One/b.md"].map(path);
    let mut editor = |drafts: &mut Drafts| {
        drafts.set(&names[0], "x".into())?;
        drafts.set(&names[1], "x".into())
    };
    assert!(matches!(p.bank.edit(&p.caller, &names, &mut editor).await, Err(EditError::Refused(_))));
}
