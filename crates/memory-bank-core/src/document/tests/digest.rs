//! The digest of the documents.

use super::{at, bank, text};
use crate::document::CoreDocument::{ActiveContext, DecisionLog, Progress};
use crate::document::{
    AddProgressEntry, AddSessionNote, Digest, DigestBounds, DigestContent, DigestExtras, DigestSource,
    EntryType, LogDecision, NoteCategory, UpdateTasks, add_progress_entry, add_session_note, clip,
    holding_decisions, log_decision, plain_digest, update_tasks,
};
use crate::store::Drafts;

fn sources<'t>(active: &'t str, progress: &'t str, log: &'t str) -> Vec<DigestSource<'t>> {
    vec![
        DigestSource { name: "active-context.md", text: active },
        DigestSource { name: "progress.md", text: progress },
        DigestSource { name: "decision-log.md", text: log },
    ]
}

fn digest(sources: &[DigestSource<'_>], bounds: DigestBounds) -> Digest {
    crate::document::digest(sources, &DigestExtras::default(), bounds)
}

#[test]
fn decisions_come_newest_first_without_the_title() {
    let mut drafts = bank(&[]);
    for number in 1..=7 {
        let request = LogDecision {
            title: format!("Nr {number}"),
            context: String::new(),
            decision: format!("dec {number}"),
            alternatives: Vec::new(),
            consequences: Vec::new(),
            ..LogDecision::default()
        };
        log_decision(&mut drafts, &request, at(), "a").unwrap();
    }
    let log = text(&drafts, DecisionLog);
    let shown = digest(&sources("", "", &log), DigestBounds::default()).recent_decisions;
    let titles: Vec<_> = shown.iter().map(|one| one.title.as_str()).collect();
    assert_eq!(titles, ["Nr 7", "Nr 6", "Nr 5", "Nr 4", "Nr 3"]);
    assert_eq!((shown[0].date.as_str(), shown[0].summary.as_str()), ("2026-11-22 09:30:07 UTC", "dec 7"));
}

#[test]
fn entries_and_lines_both_appear_and_zero_means_none() {
    let mut drafts =
        bank(&[(Progress, "## Update History\n- [2026-11-21 08:00:00] [a] - x: y\n- [Date] - [Update]\n")]);
    let entry = AddProgressEntry {
        kind: EntryType::Fix,
        summary: "mended".into(),
        details: None,
        files: Vec::new(),
        tags: Vec::new(),
    };
    add_progress_entry(&mut drafts, &entry, at(), "a").unwrap();
    let progress = text(&drafts, Progress);
    let shown = digest(&sources("", &progress, ""), DigestBounds::default()).recent_progress;
    assert_eq!(
        shown,
        ["- [2026-11-22 09:30:07 UTC] [a] - 🐛 Fix: mended", "- [2026-11-21 08:00:00] [a] - x: y"]
    );
    let none = DigestBounds { progress_entries: 0, decisions: 0, ..DigestBounds::default() };
    assert!(digest(&sources("", &progress, "## D\n"), none).recent_progress.is_empty());
    assert!(digest(&sources("", "", "## D\n"), none).recent_decisions.is_empty());
}

#[test]
fn a_sub_heading_or_a_hash_in_an_item_does_not_cut_a_list() {
    let active = "## Tasks\n- a ## b\n  - nested\n\n---\n\n### More\n* c\n\n## Known Issues\n1. i\n";
    let context = digest(&sources(active, "", ""), DigestBounds::default()).current_context;
    // This server adds tasks at the end.
    assert_eq!(context.tasks, ["c", "a ## b: nested"]);
    assert_eq!(context.issues, ["i"]);
}

#[test]
fn the_digest_shows_tasks_written_by_update_tasks() {
    let mut drafts = bank(&[(ActiveContext, "# Mine\n")]);
    let request = UpdateTasks { add: Some(vec!["t".into()]), ..UpdateTasks::default() };
    update_tasks(&mut drafts, &request, at()).unwrap();
    let active = text(&drafts, ActiveContext);
    assert_eq!(digest(&sources(&active, "", ""), DigestBounds::default()).current_context.tasks, ["t"]);
}

#[test]
fn a_task_in_two_parallel_lists_is_shown_once() {
    let active = "## Tasks\n- a\n- b\n\n# Current Context\n\n## Ongoing Tasks\n- A\n- c\n";
    let shown = digest(&sources(active, "", ""), DigestBounds::default());
    assert_eq!(shown.current_context.tasks, ["c", "A", "b"]);
}

#[test]
fn placeholders_are_not_content_and_arrays_are_present_even_if_empty() {
    let shown = digest(
        &sources(ActiveContext.template(), Progress.template(), DecisionLog.template()),
        DigestBounds::default(),
    );
    assert_eq!(shown, Digest::default());
    assert_eq!(
        serde_json::to_string(&digest(&[], DigestBounds::default())).unwrap(),
        r#"{"currentContext":{"tasks":[],"issues":[],"nextSteps":[]},"recentProgress":[],"recentDecisions":[]}"#
    );
}

#[test]
fn state_and_patterns_are_shown_when_there_are_any() {
    let patterns = "line\n".repeat(30);
    let all = [
        DigestSource { name: "active-context.md", text: "## Current Project State\n\n Going well.\nMore\n" },
        DigestSource { name: "system-patterns.md", text: &patterns },
    ];
    let bounds = DigestBounds { system_patterns: true, ..DigestBounds::default() };
    let shown = digest(&all, bounds);
    assert_eq!(shown.project_state.as_deref(), Some("Going well. More"));
    assert_eq!(shown.system_patterns.map(|text| text.lines().count()), Some(20));
    assert_eq!(digest(&all, DigestBounds::default()).system_patterns, None);
}

#[test]
fn the_summary_of_a_decision_is_not_replaced_by_a_line_of_its_text() {
    let mut drafts = bank(&[]);
    let injected = "\n## Injected\n- **Decision:** x\n- **Date:** 2020-01-01";
    let request = LogDecision {
        title: "T".to_owned(),
        context: format!("c{injected}"),
        decision: format!("the real one{injected}"),
        alternatives: Vec::new(),
        consequences: Vec::new(),
        ..LogDecision::default()
    };
    log_decision(&mut drafts, &request, at(), "a").unwrap();
    let log = text(&drafts, DecisionLog);
    let shown = digest(&sources("", "", &log), DigestBounds::default()).recent_decisions;
    let shown: Vec<_> = shown.iter().map(|one| (one.title.as_str(), one.summary.as_str())).collect();
    assert_eq!(shown, [("T", "the real one")], "{log}");
}

#[test]
fn the_plain_digest_has_its_parts_within_its_bound() {
    let active = "## Ongoing Tasks\n- a\n- b\n\n## Next Steps\n- n\n";
    let progress = "- [2026-11-22 09:30:07] [a] - x: y\n";
    let all = sources(active, progress, "# L\n\n## T\n- **Decision:** d\n\n## U\n");
    assert_eq!(
        plain_digest(&all, 1500),
        "Tasks: b; a\n\nNext: n\n\nRecent progress:\n- [2026-11-22 09:30:07] [a] - x: y\n\nDecisions:\n- U: not stated in short; see decision-log.md\n- T: d"
    );
    let cut = plain_digest(&all, 30);
    assert_eq!(cut, "Tasks: b; a\n\nNe\n...(truncated)");
    assert_eq!(clip("größe", 3), "grö");
}

#[test]
fn blockers_and_issues_of_any_author_count_until_resolved() {
    for author in
        ["alice", "[@octocat](https://github.com/octocat)", "A very long name of a user, with a comma in it"]
    {
        let mut drafts = bank(&[]);
        for category in NoteCategory::ALL {
            let note =
                AddSessionNote { note: format!("the {} x", category.as_str()), category: Some(category) };
            add_session_note(&mut drafts, &note, at(), author).unwrap();
        }
        let shown = |drafts: &Drafts| {
            let active = text(drafts, ActiveContext);
            digest(&sources(&active, "", ""), DigestBounds::default()).current_context
        };
        let context = shown(&drafts);
        let issues = context.issues.join("\n");
        assert!(issues.contains("the blocker x") && issues.contains("the issue x"), "{context:?}");
        assert_eq!(context.issues.len(), 2, "{context:?}");
        assert!(!issues.contains("octocat") && !issues.contains("UTC"), "{context:?}");
        assert!(context.tasks.iter().any(|task| task.contains("the todo x")), "{context:?}");
        // They are resolved by the text that the digest shows.
        let resolve = UpdateTasks { resolve: Some(context.issues), ..UpdateTasks::default() };
        let updated = update_tasks(&mut drafts, &resolve, at()).unwrap();
        assert_eq!(updated.resolved.len(), 2);
        assert!(shown(&drafts).issues.is_empty(), "{:?}", shown(&drafts));
    }
    let known = "## Known Issues\n- Slow checkout\n- ~5 minutes of outage\n";
    let mut drafts = bank(&[(Progress, known)]);
    let issues = |drafts: &Drafts| {
        digest(&sources("", &text(drafts, Progress), ""), DigestBounds::default()).current_context.issues
    };
    let resolve = UpdateTasks { resolve: Some(issues(&drafts)), ..UpdateTasks::default() };
    assert_eq!(update_tasks(&mut drafts, &resolve, at()).unwrap().resolved.len(), 2);
    assert_eq!(
        text(&drafts, Progress),
        "## Known Issues\n- ~~Slow checkout~~ [resolved 2026-11-22]\n- ~~ ~5 minutes of outage~~ [resolved 2026-11-22]\n"
    );
    assert!(issues(&drafts).is_empty());
}

#[test]
fn what_is_in_the_archive_of_a_document_does_not_count() {
    let tail = "- [ ] write docs\n- ✅ ship it\n\n### Build\n- [ ] a\n\n#### Known Issues\n- it leaks\n\n### Use nom\n- **Date:** 2026-11-22\n- **Decision:** nom.\n";
    for name in [
        "plan.md",
        "active-context.md",
        "progress.md",
        "tasks.md",
        "decision-log.md",
        "adr/0001.md",
        "product-context.md",
        "system-patterns.md",
    ] {
        let text =
            format!("# Plan\n\n## Tasks\n- [ ] stay\n\n## archive\n\n{tail}\n## Known Issues\n- open one\n");
        let shown = digest(&[DigestSource { name, text: &text }], DigestBounds::default());
        let all = format!("{shown:?}");
        for gone in ["write docs", "ship it", "leaks", "nom", "\"a\""] {
            assert!(!all.contains(gone), "{name}: {gone} in {all}");
        }
        if !matches!(name, "decision-log.md" | "adr/0001.md") {
            assert_eq!(shown.current_context.tasks, ["stay"], "{name}");
            assert_eq!(shown.current_context.issues, ["open one"], "{name}");
        }
    }
    // Neither does it count in an excerpt, nor in the record of a decision.
    let text =
        "# Words\n\n## Colours\nThe sky is blue.\n\n## Archive\n\n### Sea 2026-11-22\nThe sea is green.\n";
    let shown = digest(&[DigestSource { name: "notes.md", text }], DigestBounds::default());
    let excerpt = format!("{:?}", shown.excerpt);
    assert!(
        excerpt.contains("blue") && !excerpt.contains("ea is") && !excerpt.contains("Archive"),
        "{excerpt}"
    );
    let text = "# Use nom\n\n## Status\naccepted\n\n## Decision\nIt is nom.\n\n## Archive\n\n### Decision\nIt was pest.\n";
    let shown = digest(&[DigestSource { name: "adr/0001.md", text }], DigestBounds::default());
    let decided: Vec<_> =
        shown.recent_decisions.iter().map(|one| (one.title.as_str(), one.summary.as_str())).collect();
    assert_eq!(decided, [("Use nom", "It is nom.")]);
}

#[test]
fn lines_of_progress_about_ended_decisions_are_hidden() {
    let mut drafts = bank(&[]);
    let decision = |title: &str, more: serde_json::Value| {
        let mut request = serde_json::json!({"title": title, "context": "", "decision": "d"});
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value::<LogDecision>(request).unwrap()
    };
    for request in [
        decision("Use `MySQL`", serde_json::json!({})),
        decision("Use REST", serde_json::json!({"validUntil": "2026-01-01"})),
        decision("Use nom", serde_json::json!({"validUntil": "2026-01-01"})),
        decision("Use nom", serde_json::json!({})),
        decision("Use PostgreSQL", serde_json::json!({"supersedes": ["Use `MySQL`"]})),
        decision("Use gRPC", serde_json::json!({"validFrom": "2999-01-01"})),
    ] {
        log_decision(&mut drafts, &request, at(), "a").unwrap();
    }
    let (progress, log) = (text(&drafts, Progress), text(&drafts, DecisionLog));
    let holding = holding_decisions("decision-log.md", &log, at().as_millisecond()).unwrap();
    assert_eq!(holding.ended, ["Use MySQL", "Use REST", "Use gRPC"]);
    let read = |log: &str, ended: &[String], bounds: DigestBounds| {
        let content = DigestContent::of(&sources("", &progress, log), ended, bounds);
        content.digest(&DigestExtras::default(), bounds).recent_progress
    };
    let lines = |log: &str, ended: &[String]| read(log, ended, DigestBounds::default());
    assert_eq!(lines(&holding.text, &holding.ended), Vec::<String>::new());
    // Where no decision is shown, the lines about those that hold are.
    let without = DigestBounds { decisions: 0, ..DigestBounds::default() };
    assert_eq!(read(&holding.text, &holding.ended, without), lines("", &holding.ended));
    // Without the titles of those that hold, the others are left.
    let none = lines("", &holding.ended);
    let left_out = ["MySQL", "REST", "gRPC"];
    assert!(none.iter().all(|line| left_out.iter().all(|title| !line.contains(title))), "{none:?}");
    assert!(none[0].contains("Use PostgreSQL") && none[1].contains("Use nom"), "{none:?}");
    assert!(lines("", &[]).iter().any(|line| line.contains("MySQL")));
    assert!(holding_decisions("notes.md", &log, at().as_millisecond()).is_none());
}
