//! Logs that are full: their oldest entries move to an archive, in the same edit.
#![expect(missing_docs, reason = "the name of each function is its rule")]

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use jiff::Timestamp;
use memory_bank_core::caller::Caller;
use memory_bank_core::document::{
    AddProgressEntry, AddSessionNote, Archived, DocumentPath, EntryType, LogDecision, TrackProgress,
    add_progress_entry, add_session_note, log_decision, track_progress, with_archiving,
};
use memory_bank_core::error::{EditError, StoreError};
use memory_bank_core::limits;
use memory_bank_core::store::{Bank, Change, Drafts, Series};

use crate::{Project, path};

const DAY: i64 = 86_400;

/// A number of seconds after the beginning of March 2026.
fn at(seconds: i64) -> Timestamp {
    let begin: Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
    Timestamp::from_second(begin.as_second() + seconds).unwrap()
}

/// An edit as a tool makes it.
async fn edit(
    bank: &dyn Bank,
    caller: &Caller,
    paths: &[DocumentPath],
    now: Timestamp,
    rule: impl Fn(&mut Drafts) -> Result<(), EditError> + Send + Sync,
) -> Result<Vec<Archived>, EditError> {
    let mut archived = Vec::new();
    let mut editor = |drafts: &mut Drafts| {
        archived = with_archiving(drafts, now, &rule)?.1;
        Ok(())
    };
    // On a slow machine a queue of large documents outlasts the wait for the lock; a caller would try again, too.
    for _ in 0..10 {
        match bank.edit(caller, paths, &mut editor).await {
            Err(EditError::Store(StoreError::Busy)) => {}
            other => return other.map(|_| archived),
        }
    }
    Err(StoreError::Busy.into())
}

async fn track(
    bank: &dyn Bank,
    caller: &Caller,
    mark: &str,
    length: usize,
    now: Timestamp,
) -> Result<Vec<Archived>, EditError> {
    let entry = TrackProgress {
        action: mark.to_owned(),
        description: "x".repeat(length),
        update_active_context: false,
    };
    edit(bank, caller, &entry.paths(), now, |drafts| track_progress(drafts, &entry, now, "alice").map(drop))
        .await
}

/// A history of about this size, newest first; its entries are `old-0`, `old-1`, …; `old-0` is the newest.
fn history(bytes: usize) -> (String, Vec<String>) {
    let mut text = "# Progress\n\nWhat this is.\n\n## Update History\n".to_owned();
    let mut marks = Vec::new();
    while text.len() + 4200 < bytes {
        let mark = format!("<old-{}>", marks.len());
        let seconds = -60 * i64::try_from(marks.len()).unwrap() - 60;
        let stamp = at(seconds).strftime("%Y-%m-%d %H:%M:%S").to_string();
        text.push_str(&format!("- [{stamp}] [bob] - Did: {mark} {}\n", "y".repeat(4000)));
        marks.push(mark);
    }
    (text, marks)
}

/// All documents of the bank whose names begin so, joined.
async fn all(p: &Project, stem: &str) -> String {
    let mut text = String::new();
    for entry in p.bank.list(&p.caller).await.unwrap() {
        if entry.path.is_some() && entry.name.starts_with(stem) {
            let one = p.text(&entry.name).await.unwrap();
            assert!(one.len() <= limits::DOCUMENT_BYTES, "`{}` has {} bytes", entry.name, one.len());
            text.push_str(&one);
        }
    }
    text
}

fn each_once<'m>(text: &str, marks: impl IntoIterator<Item = &'m String>) {
    // In one pass: a mark is `<…>`.
    let mut found: BTreeMap<&str, usize> = BTreeMap::new();
    for rest in text.split('<').skip(1) {
        *found.entry(rest.split('>').next().unwrap_or_default()).or_default() += 1;
    }
    for mark in marks {
        assert_eq!(found.get(mark.trim_matches(['<', '>'])), Some(&1), "{mark}");
    }
}

pub async fn a_full_log_is_archived_and_loses_nothing(p: Project) {
    let (text, mut marks) = history(limits::DOCUMENT_BYTES - 100);
    p.write("progress.md", &text).await;
    p.changes.take();
    let archived = track(p.bank.as_ref(), &p.caller, "<new>", 7000, at(60)).await.unwrap();
    let [one] = archived.as_slice() else { panic!("{archived:?}") };
    assert_eq!((one.document.as_str(), one.archive.as_str()), ("progress.md", "progress-archive-2026-03.md"));
    assert!(one.entries > marks.len() / 3 && one.from <= one.to, "{one:?}");
    let changes: BTreeSet<String> = p.changes.take().iter().map(|change| format!("{change:?}")).collect();
    for change in [
        Change::Updated(path("progress.md")),
        Change::Updated(path("progress-archive-2026-03.md")),
        Change::List,
    ] {
        assert!(changes.contains(&format!("{change:?}")), "{change:?} is not in {changes:?}");
    }
    let (rest, old) = (p.text("progress.md").await.unwrap(), p.text(&one.archive).await.unwrap());
    assert!(rest.len() < limits::DOCUMENT_BYTES * 6 / 10, "{}", rest.len());
    let (stay, went) = marks.split_at(marks.len() - one.entries);
    each_once(&rest, stay);
    each_once(&old, went);
    // The moved bytes, in order.
    let moved = text.find(&went[0]).unwrap();
    let moved = &text[text[..moved].rfind('\n').unwrap() + 1..];
    assert!(old.ends_with(moved));
    marks.push("<new>".to_owned());
    each_once(&all(&p, "progress").await, &marks);
    assert_eq!(track(p.other.as_ref(), &p.caller, "<next>", 7000, at(120)).await.unwrap(), []);
}

pub async fn a_full_log_without_entries_is_refused_and_nothing_changes(p: Project) {
    let prose = format!("# Progress\n\n{}", "A story without a date.\n".repeat(43_690));
    p.write("progress.md", &prose).await;
    let refused = track(p.bank.as_ref(), &p.caller, "<new>", 7000, at(0)).await;
    assert!(
        matches!(&refused, Err(EditError::Refused(why)) if why.contains("`progress.md` would be") && why.contains("1048576")),
        "{refused:?}"
    );
    assert_eq!(p.text("progress.md").await.as_deref(), Some(prose.as_str()));
    assert_eq!(p.text("progress-archive-2026-03.md").await, None);
}

pub async fn archives_of_many_months_contain_each_entry_once(p: Project) {
    let mut marks = Vec::new();
    let mut names = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for turn in 0..40_i64 {
        // A month has about 30 entries of 60 KB: more than one archive of each log.
        let now = at(turn * DAY);
        let mark = format!("<mark-{turn}>");
        let details = format!("- a\n\n{}", "z".repeat(60_000));
        let entry = AddProgressEntry {
            kind: EntryType::Fix,
            summary: mark.clone(),
            details: Some(details.clone()),
            files: vec!["src/a.rs".into()],
            tags: vec!["t".into()],
        };
        let bank = if turn % 2 == 0 { &p.bank } else { &p.other };
        let id = std::sync::Mutex::new(String::new());
        let decision = LogDecision {
            title: format!("<decided-{turn}>"),
            context: details,
            decision: "d".into(),
            alternatives: vec![],
            consequences: vec![],
            ..LogDecision::default()
        };
        let archived = edit(bank.as_ref(), &p.caller, &LogDecision::paths(), now, |drafts| {
            *id.lock().unwrap() = add_progress_entry(drafts, &entry, now, "a")?.entry_id;
            log_decision(drafts, &decision, now, "alice").map(drop)
        })
        .await
        .unwrap();
        assert!(ids.insert(id.into_inner().unwrap()), "an id came twice");
        names.extend(archived.into_iter().map(|one| one.archive));
        marks.push(mark);
    }
    for name in [
        "progress-archive-2026-03.md",
        "progress-archive-2026-03-2.md",
        "progress-archive-2026-04.md",
        "decision-log-archive-2026-03.md",
        "decision-log-archive-2026-03-2.md",
        "decision-log-archive-2026-04.md",
    ] {
        assert!(names.contains(name), "{name} is not in {names:?}");
    }
    let progress = all(&p, "progress").await;
    each_once(&progress, &marks);
    let comments: Vec<String> = ids.into_iter().map(|id| format!("!-- ID: {id} --")).collect();
    each_once(&progress, &comments);
    // A decision is in its own log and in one line of progress.
    let decided: Vec<String> = (0..40).map(|turn| format!("<decided-{turn}>")).collect();
    each_once(&all(&p, "decision-log").await, &decided);
    each_once(&progress, &decided);
}

pub async fn the_last_archive_is_found_at_any_number(p: Project) {
    let (text, marks) = history(limits::DOCUMENT_BYTES - 100);
    p.write("progress.md", &text).await;
    let full = "f".repeat(limits::DOCUMENT_BYTES - 100);
    // Without the ninth, and with names that only resemble members.
    for name in
        ["progress-archive-2026-03.md", "progress-archive-2026-03-2.md", "progress-archive-2026-03-10.md"]
    {
        p.write(name, &full).await;
    }
    for name in [
        "progress-archive-2026-03-old.md",
        "progress-archive-2026-03-011.md",
        "progress-archive-2026-0399.md",
    ] {
        p.write(name, "mine").await;
    }
    let archived = track(p.bank.as_ref(), &p.caller, "<new>", 7000, at(0)).await.unwrap();
    assert_eq!(archived[0].archive, "progress-archive-2026-03-11.md");
    assert_eq!(p.text("progress-archive-2026-03-10.md").await.as_deref(), Some(full.as_str()));
    assert_eq!(p.text("progress-archive-2026-03-old.md").await.as_deref(), Some("mine"));
    let kept =
        p.text("progress.md").await.unwrap() + &p.text("progress-archive-2026-03-11.md").await.unwrap();
    each_once(&kept, &marks);
}

pub async fn concurrent_writers_at_the_bound_lose_nothing(p: Project) {
    let (text, mut marks) = history(limits::DOCUMENT_BYTES - 100);
    p.write("progress.md", &text).await;
    let (notes, noted) = history(limits::DOCUMENT_BYTES - 100);
    p.write("active-context.md", &notes.replace("## Update History", "## Current Session Notes")).await;
    let writers = (0..9_i64).map(|number| {
        let bank = if number % 2 == 0 { &p.bank } else { &p.other };
        let caller = &p.caller;
        async move {
            let mark = format!("<new-{number}>");
            if number % 3 == 0 {
                let note = AddSessionNote { note: mark, category: None };
                let now = at(number);
                edit(bank.as_ref(), caller, &AddSessionNote::paths(), now, |drafts| {
                    add_session_note(drafts, &note, now, "a")
                })
                .await
            } else if number % 3 == 1 {
                track(bank.as_ref(), caller, &mark, 8000, at(number)).await
            } else {
                // Both documents, and an own edit of the archive in between, in the other order of names.
                let entry = TrackProgress {
                    action: mark,
                    description: "x".repeat(8000),
                    update_active_context: true,
                };
                let mine = [path("progress-archive-2026-03.md"), path("progress.md")];
                let mut touch = |drafts: &mut Drafts| {
                    let text = drafts.text(&mine[0]).unwrap_or("# Mine\n\n## Update History\n\n").to_owned();
                    drafts.set(&mine[0], text)
                };
                match bank.edit(caller, &mine, &mut touch).await {
                    Err(EditError::Store(StoreError::Busy)) => {}
                    other => drop(other?),
                }
                let now = at(number);
                edit(bank.as_ref(), caller, &entry.paths(), now, |drafts| {
                    track_progress(drafts, &entry, now, "alice").map(drop)
                })
                .await
            }
        }
    });
    let mut moved = 0;
    for archived in join_all(writers).await {
        moved += archived.unwrap().len();
    }
    assert_eq!(moved, 2, "each log was full once");
    marks.extend((0..9).filter(|number| number % 3 != 0).map(|number| format!("<new-{number}>")));
    each_once(&all(&p, "progress").await, &marks);
    let mut notes = noted;
    notes.extend((0..9).filter(|number| number % 3 != 1).map(|number| format!("<new-{number}>")));
    each_once(&all(&p, "active-context").await, &notes);
}

pub async fn a_full_bank_reports_that_it_is_full(p: Project) {
    let series = Series::new("a-2026-03");
    let name = path("a.md");
    p.write("a-2026-03-9999.md", "last").await;
    let mut editor = |drafts: &mut Drafts| {
        let next = match drafts.last_of(&series) {
            Some(_) => drafts.extend(&series)?,
            None => return Err(EditError::Incomplete { needed: vec![series.clone()] }),
        };
        drafts.set(&next, "x".into())
    };
    let refused = p.bank.edit(&p.caller, std::slice::from_ref(&name), &mut editor).await;
    assert!(
        matches!(&refused, Err(EditError::Refused(why)) if why.contains("a-2026-03-9999.md")),
        "{refused:?}"
    );
}

pub async fn an_edit_that_keeps_requesting_archives_is_stopped(p: Project) {
    let name = path("a.md");
    let mut rounds = 0;
    let mut editor = |_: &mut Drafts| {
        rounds += 1;
        Err(EditError::Incomplete { needed: vec![Series::new(&format!("s-{rounds}"))] })
    };
    assert!(p.bank.edit(&p.caller, std::slice::from_ref(&name), &mut editor).await.is_err());
    assert_eq!(rounds, 2);
}
