//! New entries follow the order of their log.

use rstest::rstest;

use super::section_selection::{decision, entry, step};
use super::{at, bank, text};
use crate::document::CoreDocument::{ActiveContext, DecisionLog, Progress};
use crate::document::{
    TrackProgress, UpdateTasks, add_progress_entry, log_decision, track_progress, update_tasks,
};

#[rstest]
#[case::oldest_first(
    "## Log\n- [2026-01-01 10:00:00] one\n- [2026-01-02 10:00:00] two\n\n## Z\n",
    "## Log\n- [2026-01-01 10:00:00] one\n- [2026-01-02 10:00:00] two\n{}\n\n## Z\n"
)]
#[case::newest_first(
    "## Log\n- 2026-01-02: two\n- 2026-01-01: one\n",
    "## Log\n{}\n- 2026-01-02: two\n- 2026-01-01: one\n"
)]
#[case::one_day(
    "## Log\n- 2026-01-01: two\n- 2026-01-01: one\n",
    "## Log\n{}\n- 2026-01-01: two\n- 2026-01-01: one\n"
)]
#[case::ours_on_top_of_an_old_one(
    "## Log\n- 2026-05-05: new\n- 2026-01-01: one\n- 2026-01-02: two\n",
    "## Log\n{}\n- 2026-05-05: new\n- 2026-01-01: one\n- 2026-01-02: two\n"
)]
#[case::a_day_without_times(
    "## Log\n- 2026-01-01: two\n- [2026-01-01 10:00:00] one\n",
    "## Log\n{}\n- 2026-01-01: two\n- [2026-01-01 10:00:00] one\n"
)]
#[case::undated("## Log\n- one\n- two\n", "## Log\n{}\n- one\n- two\n")]
#[case::stars(
    "## Log\n* 2026-01-02 two\n* 2026-01-01 one\n",
    "## Log\n{*}\n* 2026-01-02 two\n* 2026-01-01 one\n"
)]
#[case::oldest_first_stars(
    "## Log\n\n* 2026-01-01 one\n* 2026-01-02 two\n",
    "## Log\n\n* 2026-01-01 one\n* 2026-01-02 two\n{*}\n"
)]
#[case::below_its_comment(
    "## Log\n<!-- newest first -->\n- 2026-01-01: one\n",
    "## Log\n<!-- newest first -->\n{}\n- 2026-01-01: one\n"
)]
#[case::blocks_oldest_first(
    "## Log\n\n### 2026-01-01\n- one\n\n### 2026-01-02\n- two\n\n## Z\n",
    "## Log\n\n### 2026-01-01\n- one\n\n### 2026-01-02\n- two\n\n---\n\n{}\n\n## Z\n"
)]
#[case::blocks_newest_first(
    "## Log\n\n### 2026-01-02\n- two\n\n### 2026-01-01\n- one\n",
    "## Log\n{}\n\n### 2026-01-02\n- two\n\n### 2026-01-01\n- one\n"
)]
fn an_entry_is_inserted_beside_the_newest_one(#[case] before: &str, #[case] after: &str) {
    let mut drafts = bank(&[(Progress, before)]);
    let request = TrackProgress { update_active_context: false, ..step("x") };
    track_progress(&mut drafts, &request, at(), "a").unwrap();
    let line = "[2026-11-22 09:30:07 UTC] [a] - Did: x";
    let after = after.replace("{}", &format!("- {line}")).replace("{*}", &format!("* {line}"));
    assert_eq!(text(&drafts, Progress), after);
    // A second entry is inserted beside the first, at the same end.
    let later = at() + jiff::SignedDuration::from_secs(60);
    track_progress(&mut drafts, &request, later, "a").unwrap();
    let now = text(&drafts, Progress);
    let (first, second) = (now.find(line).unwrap(), now.find("09:31:07 UTC").unwrap());
    let at_end = after.trim_end_matches("\n\n## Z\n").ends_with("Did: x") || after.ends_with("Did: x\n");
    assert_eq!(second > first, at_end && !after.ends_with("one\n"), "{now}");
}

#[test]
fn a_structured_entry_is_inserted_beside_the_newest_one() {
    let mut drafts = bank(&[(Progress, "## Log\n- [2026-01-01] one\n- [2026-01-02] two\n")]);
    add_progress_entry(&mut drafts, &entry("s"), at(), "a").unwrap();
    let now = text(&drafts, Progress);
    assert!(now.starts_with("## Log\n- [2026-01-01] one\n- [2026-01-02] two\n\n### [2026-11-22 09:30:07 UTC] [a] - 🐛 Fix: s\n"), "{now}");
    let later = at() + jiff::SignedDuration::from_secs(60);
    let request = TrackProgress { update_active_context: false, ..step("x") };
    track_progress(&mut drafts, &request, later, "a").unwrap();
    let now = text(&drafts, Progress);
    assert!(now.ends_with("---\n\n- [2026-11-22 09:31:07 UTC] [a] - Did: x\n"), "{now}");
}

#[rstest]
#[case::ours("# D\n\n## A\n- **Date:** 2026-01-01\n\n## B\n- **Date:** 2026-01-02\n", false)]
#[case::newest_first("# D\n\nHow.\n\n## B\n- **Date:** 2026-01-02\n\n## A\n- **Date:** 2026-01-01\n", true)]
#[case::mixed(
    "# D\n\n## A\n- **Date:** 2026-01-01 10:00:00\n\n## B\n- **Date:** 2026-01-02\n\n## C\n- **Date:** 2026-01-01\n",
    false
)]
#[case::below_a_section(
    "# D\n\n## 2026\n\n### B (2026-01-02)\n- **Decision:** b\n\n### A (2026-01-01)\n- **Decision:** a\n",
    false
)]
#[case::undated("# D\n\n## B\n- **Decision:** b\n\n## A\n- **Decision:** a\n", false)]
fn a_decision_is_inserted_beside_the_newest_one(#[case] log: &str, #[case] on_top: bool) {
    let mut drafts = bank(&[(DecisionLog, log)]);
    log_decision(&mut drafts, &decision("New"), at(), "a").unwrap();
    let now = text(&drafts, DecisionLog);
    let (head, rest) = now.split_once("## New\n").unwrap();
    let (_, tail) = rest.split_once("**Consequences:** None\n").unwrap();
    assert_eq!(!tail.is_empty(), on_top, "{now}");
    let without = match tail.strip_prefix('\n') {
        Some(old) => format!("{head}{old}"),
        None => head.strip_suffix('\n').unwrap().to_owned(),
    };
    assert_eq!(without, log, "{now}");
}

#[test]
fn edits_write_and_read_no_section_of_the_archive() {
    let archived = "## Archive\n\n### Current Tasks\n- old task\n\n### Current Session Notes\n- old note\n";
    let history = "## Archive\n\n### Update History\n- [2026-01-01 10:00:00] - old\n";
    let mut drafts =
        bank(&[(ActiveContext, &format!("# A\n\n{archived}")), (Progress, &format!("# P\n\n{history}"))]);
    let tasks = UpdateTasks { add: Some(vec!["new task".into()]), ..UpdateTasks::default() };
    let tasks = update_tasks(&mut drafts, &tasks, at()).unwrap();
    assert_eq!(tasks.tasks, ["new task"]);
    let request = TrackProgress { update_active_context: true, ..step("new work") };
    track_progress(&mut drafts, &request, at(), "a").unwrap();
    for (document, kept) in [(ActiveContext, archived), (Progress, history)] {
        let now = text(&drafts, document);
        assert!(now.contains(kept) && now.contains("new "), "{now}");
        let (_, below) = now.split_once(kept).unwrap();
        assert!(below.is_empty() || below.trim_start().starts_with("## "), "{now}");
    }
}
