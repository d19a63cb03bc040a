//! Progress lines and entries.

use rstest::rstest;

use super::{at, bank, text};
use crate::document::CoreDocument::{ActiveContext, Progress};
use crate::document::{AddProgressEntry, EntryType, TrackProgress, add_progress_entry, track_progress};
use crate::limits;

fn step(action: &str, description: &str) -> TrackProgress {
    TrackProgress { action: action.into(), description: description.into(), update_active_context: true }
}

fn entry(summary: &str) -> AddProgressEntry {
    AddProgressEntry {
        kind: EntryType::Feature,
        summary: summary.into(),
        details: None,
        files: Vec::new(),
        tags: Vec::new(),
    }
}

#[test]
fn a_line_is_inserted_on_top_of_history_and_notes_with_the_utc_date() {
    let history = "## Update History\n- [Date] - [Update]\n- [Date] - [Update]\n";
    let mut drafts = bank(&[(Progress, history), (ActiveContext, "# C\n\n## Session Notes\n\n- old\n")]);
    track_progress(&mut drafts, &step("Did", "thing"), at(), "alice").unwrap();
    assert_eq!(
        text(&drafts, Progress),
        "## Update History\n- [2026-11-22 09:30:07 UTC] [alice] - Did: thing\n",
        "the first real entry takes the place of the template's rows"
    );
    assert_eq!(
        text(&drafts, ActiveContext),
        "# C\n\n## Session Notes\n\n- [2026-11-22 09:30:07 UTC] [alice] - Did: thing\n- old\n"
    );
}

#[rstest]
#[case("$&")]
#[case("$`")]
#[case("$'")]
#[case("$$ $1")]
fn dollar_signs_are_taken_literally(#[case] sign: &str) {
    let mut drafts = bank(&[(Progress, Progress.template())]);
    track_progress(&mut drafts, &step("x", sign), at(), "a").unwrap();
    let expected = Progress.template().to_owned() + &format!("- [2026-11-22 09:30:07 UTC] [a] - x: {sign}\n");
    assert_eq!(text(&drafts, Progress), expected);
}

#[rstest]
#[case("# P\n\n## Update History", "# P\n\n## Update History\n- [2026-11-22 09:30:07 UTC] [a] - x: y\n")]
#[case(
    "# P\n\n## Update History Archive\n- old\n",
    "# P\n\n## Update History Archive\n- old\n\n## Update History\n- [2026-11-22 09:30:07 UTC] [a] - x: y\n"
)]
#[case(
    "see ## Update History\n\n```\n## Update History\n```\n\n## Update History\r\n",
    "see ## Update History\n\n```\n## Update History\n```\n\n## Update History\r\n- [2026-11-22 09:30:07 UTC] [a] - x: y\n"
)]
#[case("", "## Update History\n- [2026-11-22 09:30:07 UTC] [a] - x: y\n")]
fn only_a_real_heading_counts_and_one_at_the_end_is_found(#[case] before: &str, #[case] after: &str) {
    let mut drafts = bank(&[(Progress, before)]);
    track_progress(&mut drafts, &step("x", "y"), at(), "a").unwrap();
    assert_eq!(text(&drafts, Progress), after);
}

#[test]
fn an_entry_is_inserted_below_a_heading_at_the_end() {
    let mut drafts = bank(&[(Progress, "# P\r\n\r\n## Update History")]);
    add_progress_entry(&mut drafts, &entry("s"), at(), "a").unwrap();
    assert_eq!(
        text(&drafts, Progress),
        "# P\r\n\r\n## Update History\r\n\r\n### [2026-11-22 09:30:07 UTC] [a] - ✨ Feature: s\r\n<!-- ID: p_2026-11-22_mwrmyt06 -->\r\n\r\n---\r\n"
    );
}

#[test]
fn the_notes_change_only_on_request() {
    let mut drafts = bank(&[(Progress, "")]);
    let request = TrackProgress { update_active_context: false, ..step("x", "y") };
    assert_eq!(request.paths(), [Progress.path()]);
    track_progress(&mut drafts, &request, at(), "a").unwrap();
    assert_eq!(drafts.text(&ActiveContext.path()), None);
}

#[test]
fn missing_documents_start_from_their_templates() {
    let mut drafts = bank(&[]);
    track_progress(&mut drafts, &step("x", "y"), at(), "a").unwrap();
    assert!(text(&drafts, Progress).starts_with("# Project Progress\n\n## Completed Milestones\n"));
    assert!(text(&drafts, ActiveContext).ends_with("\n- [2026-11-22 09:30:07 UTC] [a] - x: y\n"));
}

#[test]
fn an_entry_has_all_its_parts_newest_first() {
    let mut drafts = bank(&[(Progress, "## Update History\n- old\n")]);
    let request = AddProgressEntry {
        kind: EntryType::Other,
        summary: "a\n## b".into(),
        details: Some("more\r\n\r\n- list\n".into()),
        files: vec!["src/a.rs".into(), "b`c".into()],
        tags: vec!["x".into(), "y".into()],
    };
    let added = add_progress_entry(&mut drafts, &request, at(), "a").unwrap();
    assert_eq!(added.summary, "a ## b");
    assert_eq!(
        text(&drafts, Progress),
        "## Update History\n\n### [2026-11-22 09:30:07 UTC] [a] - 📝 Other: a ## b\n<!-- ID: p_2026-11-22_mwrmyt06 -->\n\nmore\n\n- list\n\n**Affected files:**\n- `src/a.rs`\n- `` b`c ``\n\n**Tags:** `x`, `y`\n\n---\n\n- old\n"
    );
}

#[test]
fn entries_of_one_millisecond_have_different_ids() {
    let mut drafts = bank(&[]);
    let ids: Vec<String> =
        (0..3).map(|_| add_progress_entry(&mut drafts, &entry("s"), at(), "a").unwrap().entry_id).collect();
    assert_eq!(ids, ["p_2026-11-22_mwrmyt06", "p_2026-11-22_mwrmyt07", "p_2026-11-22_mwrmyt08"]);
}

#[test]
fn details_cannot_open_a_section_or_hide_later_text() {
    let mut drafts = bank(&[(Progress, "## Update History\n- old\n")]);
    let request = AddProgressEntry { details: Some("## Update History\n```\nopen".into()), ..entry("s") };
    add_progress_entry(&mut drafts, &request, at(), "a").unwrap();
    assert!(text(&drafts, Progress).contains("\n> ## Update History\n> ```\n> open\n"));
}

#[rstest]
#[case("", "y", "`action`")]
#[case("x", " \n", "`description`")]
fn a_blank_argument_is_refused_by_name(#[case] action: &str, #[case] description: &str, #[case] name: &str) {
    let error = track_progress(&mut bank(&[]), &step(action, description), at(), "a").unwrap_err();
    assert!(error.to_string().contains(name), "{error}");
}

#[test]
fn an_exceeded_bound_is_named_and_nothing_is_written() {
    let mut drafts = bank(&[(Progress, "p")]);
    let error =
        track_progress(&mut drafts, &step("x", &"y".repeat(limits::LINE_BYTES + 1)), at(), "a").unwrap_err();
    assert!(error.to_string().contains("`description`") && error.to_string().contains("8192"), "{error}");
    assert_eq!(text(&drafts, Progress), "p");
}
