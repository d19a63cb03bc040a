//! Archives move entries and keep all other text.

use std::collections::BTreeMap;

use proptest::prelude::*;
use rstest::rstest;

use super::{at, bank, path, stored, text};
use crate::document::{
    AddProgressEntry, Archived, CoreDocument, EntryType, LogDecision, TrackProgress, UpdateTasks,
    add_progress_entry, log_decision, track_progress, update_tasks, with_archiving,
};
use crate::error::EditError;
use crate::limits;
use crate::store::{Drafts, Series};

const ARCHIVES: [&str; 3] =
    ["progress-archive-2026-11", "decision-log-archive-2026-11", "active-context-archive-2026-11"];

/// Drafts of the five core documents, with empty series.
fn drafts(document: CoreDocument, content: &str) -> Drafts {
    let mut drafts = bank(&[(document, content)]);
    for stem in ARCHIVES {
        drafts.load_series(Series::new(stem), 0, None);
    }
    drafts
}

/// Appends a line to the document, as a tool does, with archiving.
fn grow(drafts: &mut Drafts, document: CoreDocument) -> Result<Vec<Archived>, EditError> {
    let done = with_archiving(drafts, at(), |drafts| {
        let new = format!("{}<!-- new -->\n", text(drafts, document));
        drafts.set(&document.path(), new)
    });
    done.map(|((), archived)| archived)
}

/// How often each `<mark>` occurs in a text.
fn marks(text: &str) -> BTreeMap<&str, usize> {
    let mut found = BTreeMap::new();
    for rest in text.split('<').skip(1) {
        *found.entry(rest.split('>').next().unwrap_or_default()).or_default() += 1;
    }
    found
}

fn archive(drafts: &Drafts, archived: &[Archived]) -> String {
    archived.iter().filter_map(|one| drafts.text(&path(&one.archive))).collect()
}

/// Fills a document to the bound with entries between `head` and `tail`, oldest last: `[old-0]` is the newest.
fn full(head: &str, entry: impl Fn(usize, &str) -> String, tail: &str) -> (String, usize) {
    let mut entries = String::new();
    let mut count = 0;
    while head.len() + entries.len() + tail.len() < limits::DOCUMENT_BYTES - 16384 {
        let day = at() - jiff::SignedDuration::from_mins(i64::try_from(count).unwrap());
        entries.push_str(&entry(count, &day.strftime("%Y-%m-%d %H:%M:%S").to_string()));
        count += 1;
    }
    let filler = limits::DOCUMENT_BYTES - head.len() - entries.len() - tail.len();
    (format!("{head}{entries}{tail}\n{}\n", "~".repeat(filler - 2)), count)
}

#[test]
fn a_missing_archive_is_requested_only_above_the_bound() {
    let (content, _) = full(
        "# P\n\n## Update History\n",
        |n, day| format!("- [{day}] - entry {n} {}\n", "x".repeat(200)),
        "",
    );
    let mut unloaded = bank(&[(CoreDocument::Progress, &content)]);
    let outcome = grow(&mut unloaded, CoreDocument::Progress);
    assert!(
        matches!(&outcome, Err(EditError::Incomplete { needed }) if needed == &[Series::new(ARCHIVES[0])]),
        "{outcome:?}"
    );
    let mut small = bank(&[(CoreDocument::Progress, "# P\n")]);
    assert_eq!(grow(&mut small, CoreDocument::Progress).unwrap(), []);
}

#[rstest]
#[case::at_the_end("# P\n\n## Notes\nstays\n\n# Archive\n\n## Old\n- [ ] gone\n")]
#[case::windows("# P\r\n\r\n# archive\r\n\r\n## Old\r\n- [ ] gone\r\n")]
#[case::underlined("P\n=\n\nArchive\n=======\n\n## Old\n- [ ] gone\n")]
#[case::twice("# P\n\n# Archive\n- [ ] gone\n\n# Archive\n\n## Old\n")]
#[case::without_a_line_end("# P\n\n# Archive\n- [ ] gone")]
#[case::title("# Archive\n\n## Old\n- [ ] gone\n")]
fn an_archive_of_level_1_at_the_end_contains_no_section_that_is_added_later(#[case] content: &str) {
    let all = [CoreDocument::Progress, CoreDocument::DecisionLog, CoreDocument::ActiveContext];
    let mut drafts = bank(&all.map(|document| (document, content)));
    let start = |text: &str| text.to_lowercase().find("archive").unwrap();
    for round in ["first", "second"] {
        let progress = TrackProgress {
            action: "Did".into(),
            description: format!("{round} <step>"),
            update_active_context: true,
        };
        track_progress(&mut drafts, &progress, at(), "a").unwrap();
        let decision = LogDecision {
            title: format!("{round} <choice>"),
            context: "c".into(),
            decision: "d".into(),
            ..LogDecision::default()
        };
        log_decision(&mut drafts, &decision, at(), "a").unwrap();
        let tasks = UpdateTasks { add: Some(vec![format!("{round} <task>")]), ..UpdateTasks::default() };
        update_tasks(&mut drafts, &tasks, at()).unwrap();
    }
    for document in all {
        let text = text(&drafts, document);
        let archive = text.get(start(&text)..).unwrap();
        assert!(!archive.contains('<') && archive.contains("gone"), "{document:?}: {text}");
        assert!(text.ends_with(content.get(content.len() - 7..).unwrap()), "{document:?}: {text:?}");
        // The second call found the section of the first one.
        let headings: Vec<&str> = text.lines().filter(|line| line.starts_with("## ")).collect();
        let unique: std::collections::BTreeSet<&str> = headings.iter().copied().collect();
        assert_eq!(headings.len(), unique.len(), "{document:?}: {text}");
    }
}

#[test]
fn blocks_move_with_their_details_and_line_entries_below_are_separate() {
    let block = |n: usize, day: &str| {
        format!(
            "### [{day}] 🐛 Fix: <block-{n}>\n<!-- ID: p_2026-11-22_{n} -->\n\n- detail\n\n---\n\nmore {}\n\n**Affected \
             files:**\n- `a.rs`\n\n---\n\n",
            "x".repeat(9000)
        )
    };
    let head = "# P\n\nIntro.\n\n## Pending Milestones\n- [2025-01-01] stays, it is no history\n\n## Update History\n\n";
    let tail = "- [2020-02-02 10:00:00] [a] - Did: <line-1>\n  with more\n- undated <line-2>\n\n| a | b |\n|---|---|\n| [2020-01-01] | c |\n\n\
        ## Another\n\nProse that stays.\n\n- [ ] 2020-01-01 a task by no title of tasks\n";
    let (content, count) = full(head, block, tail);
    let mut drafts = drafts(CoreDocument::Progress, &content);
    let archived = grow(&mut drafts, CoreDocument::Progress).unwrap();
    let (rest, old) = (text(&drafts, CoreDocument::Progress), archive(&drafts, &archived));
    assert!(
        rest.starts_with(head) && rest.contains("| [2020-01-01] | c |") && rest.contains("Prose that stays.")
    );
    for line in ["- [2020-02-02 10:00:00] [a] - Did: <line-1>\n  with more\n", "- undated <line-2>\n"] {
        assert!(old.contains(line) && !rest.contains(line), "{line}");
    }
    for n in 0..count {
        let whole = block(n, "");
        let whole = whole.split_once("🐛").unwrap().1.trim_end();
        assert_eq!(rest.contains(whole), !old.contains(whole), "{n}");
    }
    assert!(rest.contains("<block-0>") && old.contains(&format!("<block-{}>", count - 1)));
}

#[test]
fn decisions_move_oldest_first_and_free_text_and_the_template_stay() {
    let mut log = "# Decision Log\n\nHow we decide.\n\n## Decision 1\n- **Date:** [Date]\n- **Decision:** [Decision]\n\n".to_owned();
    let mut n = 0;
    while log.len() < limits::DOCUMENT_BYTES - 3000 {
        let day = at() + jiff::SignedDuration::from_mins(n);
        log.push_str(&format!(
            "## <decision-{n}>\n- **Date:** {}\n- **Context:** {}\n- **Decision:** d\n\n### Notes\nn\n\n",
            day.strftime("%Y-%m-%d %H:%M:%S"),
            "x".repeat(1000)
        ));
        n += 1;
    }
    log.push_str("## About the log\n\nNo decision.\n\n### Decision\n[2020-01-01 10:00:00] - <roo-1>\n\n**Rationale:**\nLess code.\n---\n");
    log.push_str(&format!(
        "### Decision\n[2020-01-02 10:00:00] - <roo-2>\n\n* list\n---\n\n## Glossary\n\n{}\n",
        "g".repeat(3000)
    ));
    let mut drafts = drafts(CoreDocument::DecisionLog, &log);
    let archived = grow(&mut drafts, CoreDocument::DecisionLog).unwrap();
    let (rest, old) = (text(&drafts, CoreDocument::DecisionLog), archive(&drafts, &archived));
    assert_eq!(archived[0].from.as_deref(), Some("2020-01-01"));
    assert!(
        old.contains("### Decision\n[2020-01-01 10:00:00] - <roo-1>\n\n**Rationale:**\nLess code.\n---\n")
    );
    for stays in ["How we decide.", "[Date]", "## About the log\n\nNo decision.", "## Glossary"] {
        assert!(rest.contains(stays) && !old.contains(stays), "{stays}");
    }
    let all = format!("{rest}{old}");
    let found = marks(&all);
    for n in 0..n {
        assert_eq!(found.get(format!("decision-{n}").as_str()), Some(&1), "{n}");
    }
    assert!(old.contains("## <decision-0>\n") && rest.contains(&format!("## <decision-{}>", n - 1)));
    assert_eq!(
        rest.matches("### Notes\nn").count() + old.matches("### Notes\nn").count(),
        usize::try_from(n).unwrap()
    );
}

#[test]
fn the_oldest_entries_move_by_date_and_undated_ones_by_position() {
    let mut content = "# P\n\n## Update History\n".to_owned();
    let mut n = 0;
    while content.len() < limits::DOCUMENT_BYTES {
        let day = at() + jiff::SignedDuration::from_mins(n);
        content.push_str(&format!(
            "- [{}] - <dated-{n}> {}\n",
            day.strftime("%Y-%m-%d %H:%M"),
            "x".repeat(2000)
        ));
        content.push_str(&format!("- <undated-{n}>\n"));
        n += 1;
    }
    let mut drafts = drafts(CoreDocument::Progress, &content);
    let archived = grow(&mut drafts, CoreDocument::Progress).unwrap();
    let (rest, old) = (text(&drafts, CoreDocument::Progress), archive(&drafts, &archived));
    let moved = old.matches("<dated-").count();
    let (here, there) = (marks(&rest), marks(&old));
    for index in 0..usize::try_from(n).unwrap() {
        for kind in ["dated", "undated"] {
            let mark = format!("{kind}-{index}");
            let (here, there) = (here.contains_key(mark.as_str()), there.contains_key(mark.as_str()));
            assert!(here != there, "{mark}");
            assert!(index == moved - 1 || there == (index < moved), "{mark} of {moved}");
        }
    }
}

#[rstest]
#[case::open_fence("```\n- [2019-01-01 10:00:00] - in a fence\n", "in a fence")]
#[case::open_comment("<!--\n- [2019-01-01 10:00:00] - in a comment\n", "in a comment")]
#[case::block_with_an_open_fence("### [2019-01-01] block\n\n```\nopen\n", "### [2019-01-01] block")]
#[case::conflict(
    "<<<<<<< HEAD\n- [2019-01-01 10:00:00] - ours\n=======\n- [2019-01-02 10:00:00] - theirs\n>>>>>>> branch\n",
    "<<<<<<< HEAD\n- [2019-01-01 10:00:00] - ours\n=======\n- [2019-01-02 10:00:00] - theirs\n>>>>>>> branch\n"
)]
#[case::two_ends(
    "### [2019-01-01] block\n\n---\n\n- [2019-01-02] x\n\n---\n\nprose\n",
    "### [2019-01-01] block\n\n---\n\n- [2019-01-02] x\n\n---\n\nprose\n"
)]
#[case::quote("> - [2019-01-01] quoted\n", "> - [2019-01-01] quoted\n")]
#[case::broken_bytes("- [2019-01-01 10:00:00] - \u{fffd}\n", "\u{fffd}")]
fn text_that_cannot_be_divided_into_entries_is_not_archived(#[case] tail: &str, #[case] stays: &str) {
    let mut content = "# P\n\n## Update History\n".to_owned();
    let mut n = 0;
    while content.len() < limits::DOCUMENT_BYTES {
        let day = at() - jiff::SignedDuration::from_mins(n);
        content.push_str(&format!("- [{}] - <{n}> {}\n", day.strftime("%Y-%m-%d %H:%M"), "x".repeat(6000)));
        n += 1;
    }
    let content = format!("{content}\n{tail}");
    let mut drafts = drafts(CoreDocument::Progress, &content);
    let archived = grow(&mut drafts, CoreDocument::Progress).unwrap();
    let (rest, old) = (text(&drafts, CoreDocument::Progress), archive(&drafts, &archived));
    assert!(rest.contains(stays) && !old.contains(stays), "{old}");
    let all = rest + &old;
    let found = marks(&all);
    for n in 0..n {
        assert_eq!(found.get(n.to_string().as_str()), Some(&1), "{n}");
    }
}

#[test]
fn a_full_or_unreadable_archive_is_followed_by_a_new_one() {
    let (content, _) = full(
        "# P\n\n## Update History\n",
        |n, day| format!("- [{day}] - entry {n} {}\n", "x".repeat(200)),
        "",
    );
    for last in ["f".repeat(limits::DOCUMENT_BYTES - 10), "# A\n\n```\nopen\n".to_owned()] {
        let mut drafts = drafts(CoreDocument::Progress, &content);
        let member = "progress-archive-2026-11-3.md";
        drafts.load_series(Series::new(ARCHIVES[0]), 3, Some(stored(member, &last)));
        let archived = grow(&mut drafts, CoreDocument::Progress).unwrap();
        assert_eq!(archived[0].archive, "progress-archive-2026-11-4.md");
        assert_eq!(drafts.text(&path(member)), Some(last.as_str()));
    }
    // An archive with room gets the newer entries above the older ones.
    let mut drafts = drafts(CoreDocument::Progress, &content);
    let last = "# Mine\n\n## Update History\n\n- [2020-01-01 10:00:00] - older\n";
    drafts.load_series(Series::new(ARCHIVES[0]), 1, Some(stored("progress-archive-2026-11.md", last)));
    let archived = grow(&mut drafts, CoreDocument::Progress).unwrap();
    let old = archive(&drafts, &archived);
    assert!(
        old.starts_with("# Mine\n\n## Update History\n\n- [2026-11-")
            && old.ends_with("\n- [2020-01-01 10:00:00] - older\n")
    );
}

#[test]
fn a_document_far_over_the_bound_fills_several_archives() {
    let mut content = "# P\n\n## Update History\n".to_owned();
    let mut n = 0;
    while content.len() < 3 * limits::DOCUMENT_BYTES {
        let day = at() - jiff::SignedDuration::from_mins(n);
        content.push_str(&format!("- [{}] - <{n}> {}\n", day.strftime("%Y-%m-%d %H:%M"), "x".repeat(2000)));
        n += 1;
    }
    let mut drafts = drafts(CoreDocument::Progress, &content);
    let archived = grow(&mut drafts, CoreDocument::Progress).unwrap();
    assert!(archived.len() >= 3, "{archived:?}");
    let all = text(&drafts, CoreDocument::Progress) + &archive(&drafts, &archived);
    let found = marks(&all);
    for n in 0..n {
        assert_eq!(found.get(n.to_string().as_str()), Some(&1), "{n}");
    }
    for one in &archived {
        assert!(drafts.text(&path(&one.archive)).unwrap().len() <= limits::DOCUMENT_BYTES);
    }
    assert!(archived[0].to <= archived[1].from, "{archived:?}");
}

#[test]
fn ids_of_one_moment_stay_unique_after_archiving() {
    let entry = || AddProgressEntry {
        kind: EntryType::Fix,
        summary: "s".into(),
        details: Some("d".repeat(60_000)),
        files: vec![],
        tags: vec![],
    };
    let mut drafts = drafts(CoreDocument::Progress, "# P\n");
    let mut ids = std::collections::BTreeSet::new();
    let mut moved = 0;
    for _ in 0..40 {
        let (added, archived) =
            with_archiving(&mut drafts, at(), |drafts| add_progress_entry(drafts, &entry(), at(), "a"))
                .unwrap();
        assert!(ids.insert(added.entry_id));
        moved += archived.iter().map(|one| one.entries).sum::<usize>();
    }
    assert!(moved > 20, "{moved}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4, ..ProptestConfig::default() })]

    /// For any content of the log: after many archivings every mark exists once, and text that is not an entry stays.
    #[test]
    fn no_entry_is_lost_or_doubled(
        kinds in proptest::collection::vec((0_usize..9, 1_usize..40_000), 8..30),
        crlf in any::<bool>(),
    ) {
        let mut content = "# P\n\n## Update History\n\n".to_owned();
        let mut marks = Vec::new();
        let mut fixed = Vec::new();
        for (kind, size) in kinds {
            let mark = format!("<mark-{}>", marks.len());
            let day = at() - jiff::SignedDuration::from_hours(7 * i64::try_from(marks.len()).unwrap());
            let (line, people) = (day.strftime("%Y-%m-%d %H:%M:%S").to_string(), day.strftime("%b %-d, %Y, %-I:%M %p").to_string());
            let filler = "x".repeat(size);
            content.push_str(&match kind {
                0 => format!("- [{line}] [a] - Did: {mark} {filler}\n"),
                1 => format!("### [{people}] ✨ Feature: {mark}\n<!-- ID: p_1 -->\n\n- [ ] a\n- {filler}\n\n---\n\n"),
                2 => format!("### [{people}] {mark}\n{filler}\n\n"),
                3 => format!("- {mark} {filler}\n\n  more\n\n"),
                4 => format!("* [{people}] {mark}\n    - nested {filler}\n"),
                5 => format!("### Notes {mark}\n\n{filler}\n\n| a |\n|---|\n| 1 |\n\n"),
                // Without the blank line it would continue the list item above.
                6 => format!("\n{mark} {filler}\n\n"),
                7 => format!("```\n- [{line}] {mark} {filler}\n```\n\n"),
                _ => format!("## {line} {mark}\n\n> {filler}\n\n1. one\n\n"),
            });
            if matches!(kind, 5 | 6) {
                fixed.push(mark.clone());
            }
            marks.push(mark);
        }
        if crlf {
            content = content.replace('\n', "\r\n");
        }
        let mut drafts = drafts(CoreDocument::Progress, &content);
        let mut names = std::collections::BTreeSet::new();
        for turn in 0..24 {
            let entry = TrackProgress {
                action: format!("<new-{turn}>"),
                description: "y".repeat(8000),
                update_active_context: false,
            };
            // A few large entries, so that the bound is reached.
            let now = at() + jiff::SignedDuration::from_hours(turn);
            let large = AddProgressEntry {
                kind: EntryType::Docs, summary: format!("<large-{turn}>"), details: Some("z".repeat(60_000)), files: vec![], tags: vec![],
            };
            let rule = |drafts: &mut Drafts| {
                track_progress(drafts, &entry, now, "a")?;
                add_progress_entry(drafts, &large, now, "a").map(drop)
            };
            let done = with_archiving(&mut drafts, at(), rule);
            let (_, archived) = done.unwrap();
            names.extend(archived.into_iter().map(|one| one.archive));
            marks.extend([entry.action, large.summary]);
        }
        prop_assert!(!names.is_empty());
        let rest = text(&drafts, CoreDocument::Progress);
        let old: String = names.iter().filter_map(|name| drafts.text(&path(name))).collect();
        let all = format!("{rest}{old}");
        let found = super::archive::marks(&all);
        for mark in &marks {
            prop_assert_eq!(found.get(mark.trim_matches(['<', '>'])), Some(&1), "{}", mark);
        }
        // Text after a block without a rule belongs to the block; text before the first block stays.
        let first = ["### [", "\n## 2"].iter().filter_map(|block| content.find(block)).min().unwrap_or(content.len());
        for mark in fixed.iter().filter(|mark| content.find(mark.as_str()).is_some_and(|at| at < first)) {
            prop_assert!(rest.contains(mark.as_str()));
        }
        if crlf {
            prop_assert!(!rest.replace("\r\n", "").contains('\n'));
        }
    }
}

#[test]
fn an_open_blocker_stays_when_other_notes_are_archived() {
    let (content, _) = full(
        "# A\n\n## Current Session Notes\n",
        |n, day| format!("- [{day} UTC] [a] - 📝 Note: entry {n} {}\n", "x".repeat(200)),
        "- [2020-01-01 10:00:00 UTC] [a] - 🚧 Blocker: <open>\n- [2020-01-01 09:00:00 UTC] [a] - ⚠️ Issue: ~~<settled>~~ [resolved 2020-01-02]\n- [Jan 1, 2020, 8:00 AM] 🚧 <old form>\n",
    );
    let mut drafts = drafts(CoreDocument::ActiveContext, &content);
    let archived = grow(&mut drafts, CoreDocument::ActiveContext).unwrap();
    let (rest, old) = (text(&drafts, CoreDocument::ActiveContext), archive(&drafts, &archived));
    assert!(rest.contains("<open>") && rest.contains("<old form>"), "open blockers stay");
    assert!(old.contains("<settled>") && !rest.contains("<settled>"), "settled ones go by their age");
    assert!(rest.contains("entry 0 "), "the newest note stays");
}
