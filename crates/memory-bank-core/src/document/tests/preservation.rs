//! Only requested deletions are made, written text is visible, and conflicts are not treated as text.

use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

use super::{at, bank, context, digest_of, tasks, text};
use crate::document::CoreDocument::{self, ActiveContext, DecisionLog, Progress};
use crate::document::section::{LineEnding, Outline};
use crate::document::{
    AddProgressEntry, AddSessionNote, Clear, Edit, FinalizeThinkingSession, LogDecision, Removed,
    TrackProgress, UpdateTasks, add_progress_entry, add_session_note, apply_edits, finalize_thinking_session,
    log_decision, track_progress, update_active_context, update_tasks,
};
use crate::error::EditError;
use crate::store::Drafts;

pub(super) fn edits(list: serde_json::Value) -> Vec<Edit> {
    serde_json::from_value(list).unwrap()
}

fn after_context(content: &str, arguments: serde_json::Value) -> (String, Removed) {
    let mut drafts = bank(&[(ActiveContext, content)]);
    let removed = update_active_context(&mut drafts, &context(arguments)).unwrap();
    (text(&drafts, ActiveContext), removed)
}

pub(super) fn after_tasks(content: &str, arguments: serde_json::Value) -> (String, Removed) {
    let mut drafts = bank(&[(ActiveContext, content)]);
    let updated = update_tasks(&mut drafts, &tasks(arguments), at()).unwrap();
    (text(&drafts, ActiveContext), updated.removed)
}

const LISTS: &str =
    "# A\n\n## Ongoing Tasks\n- a\n- b\n\n## Known Issues\n- i\n\n## Next Steps\n- n\n\n## Other\n- o\n";

#[rstest]
#[case(json!({"add": [], "remove": [], "replace": []}))]
#[case(json!({"add": [""], "remove": ["  "], "replace": ["", "\n"]}))]
#[case(json!({"clear": false}))]
#[case(json!({"clear": [], "replace": []}))]
fn an_empty_list_of_tasks_changes_nothing(#[case] arguments: serde_json::Value) {
    assert_eq!(after_tasks(LISTS, arguments.clone()), (LISTS.to_owned(), Removed::default()));
    let mut with_one = arguments;
    with_one["add"] = json!(["x"]);
    assert_eq!(after_tasks(LISTS, with_one).0, LISTS.replace("- b\n", "- b\n- x\n"));
}

#[rstest]
#[case(json!({"tasks": [], "issues": [], "nextSteps": []}))]
#[case(json!({"tasks": [""], "issues": [" "], "nextSteps": []}))]
#[case(json!({"tasks": [""], "clear": true}))]
#[case(json!({"tasks": [], "clear": false}))]
#[case(json!({"tasks": [], "clear": []}))]
fn an_empty_list_of_the_context_changes_nothing(#[case] arguments: serde_json::Value) {
    assert_eq!(after_context(LISTS, arguments), (LISTS.to_owned(), Removed::default()));
}

#[test]
fn only_clear_empties_a_list_and_the_reply_names_the_removed_items() {
    let (new, removed) = after_tasks(LISTS, json!({"clear": true}));
    assert_eq!(new, LISTS.replace("- a\n- b\n", ""));
    assert_eq!(removed.items, ["- a", "- b"]);
    let (new, _) = after_tasks(LISTS, json!({"clear": true, "add": ["x"], "replace": [], "remove": []}));
    assert_eq!(new, LISTS.replace("- a\n- b\n", "- x\n"));
    let prose = "## Tasks\n\nP.\n\n- a\n\n### S\n";
    let (new_prose, _) = after_tasks(prose, json!({"clear": true, "add": ["x"]}));
    assert_eq!(new_prose, prose.replace("- a", "- x"), "the new list is in the place of the old one");
    let (new, _) = after_tasks(LISTS, json!({"replace": ["r"], "add": ["x"]}));
    assert_eq!(new, LISTS.replace("- a\n- b\n", "- r\n- x\n"), "an added task is never dropped");

    let (new, removed) = after_context(LISTS, json!({"tasks": [], "issues": ["j"], "clear": true}));
    assert_eq!(new, LISTS.replace("- a\n- b\n", "").replace("- i\n", "- j\n"));
    assert_eq!(removed.items, ["- a", "- b", "- i"]);
    let (new, _) = after_context(LISTS, json!({"tasks": [], "nextSteps": [], "clear": ["nextSteps"]}));
    assert_eq!(new, LISTS.replace("- n\n", ""));

    for unclear in [json!({"clear": true}), json!({"clear": ["everything"]})] {
        let mut drafts = bank(&[(ActiveContext, LISTS)]);
        let refused = update_active_context(&mut drafts, &context(unclear)).unwrap_err();
        assert!(refused.to_string().starts_with("`clear`"), "{refused}");
    }
}

#[test]
fn the_parts_of_a_finalisation_follow_the_same_rule() {
    let mut drafts = bank(&[(ActiveContext, LISTS)]);
    let request: FinalizeThinkingSession = serde_json::from_value(json!({
        "summary": "s", "nextSteps": [],
        "tasks": {"add": ["x"], "remove": [], "replace": [], "clear": false},
    }))
    .unwrap();
    let done = finalize_thinking_session(&mut drafts, &request, at(), "a").unwrap();
    assert!(done.removed.is_empty());
    assert!(text(&drafts, ActiveContext).starts_with(&LISTS.replace("- b\n", "- b\n- x\n")));
    let nothing: FinalizeThinkingSession =
        serde_json::from_value(json!({"summary": "s", "tasks": {"replace": []}})).unwrap();
    let done = finalize_thinking_session(&mut drafts, &nothing, at(), "a").unwrap();
    assert_eq!(done.actions, ["Session note added to active-context.md"]);
}

#[rstest]
#[case::prose_sub_sections_tables_and_code(
    "# A\n\n## Next Steps\n\nPhased plan; see ADR 7.\n\n**Principles:** small PRs.\n\n- one\n\n### Phase 2\n\n| epic | owner |\n|---|---|\n| x | y |\n\n```sh\nmake release\n```\n\n- sub\n\n## Other\n",
    &["only this"],
    "# A\n\n## Next Steps\n\nPhased plan; see ADR 7.\n\n**Principles:** small PRs.\n\n- only this\n\n### Phase 2\n\n| epic | owner |\n|---|---|\n| x | y |\n\n```sh\nmake release\n```\n\n- sub\n\n## Other\n"
)]
#[case::prose_between_two_lists("## Next Steps\n- a\n\nBetween.\n\n* b\n* c\n", &["c", "d"], "## Next Steps\n\nBetween.\n\n* c\n* d\n")]
#[case::crlf("## Next Steps\r\nP.\r\n\r\n- a\r\n\r\nQ.\r\n", &["x"], "## Next Steps\r\nP.\r\n\r\n- x\r\n\r\nQ.\r\n")]
#[case::an_item_that_stays_keeps_bytes_and_place("## Next Steps\n- a\n  - deep\n* [x] B  \n1. c\n", &["b", "new", "C"], "## Next Steps\n* [x] B  \n* new\n1. c\n")]
#[case::a_check_box_is_ticked_in_place("## Next Steps\n- [ ] a\n  more\n- b\n", &["[x] a more", "b"], "## Next Steps\n- [x] a\n  more\n- b\n")]
#[case::a_line_that_only_follows_an_item_stays("## Next Steps\n- a\nRead ADR 7.\n- b\n", &["x"], "## Next Steps\n- x\n\nRead ADR 7.\n")]
#[case::an_underline_below_what_stays_makes_no_heading("## Next Steps\n2. e\nprose\n===\n1. d\n", &["x"], "## Next Steps\n2. x\n\nprose\n\n===\n")]
#[case::what_stays_underlines_nothing("## Next Steps\nText\n- a\n---\nEnd\n", &["x"], "## Next Steps\nText\n- x\n\n---\nEnd\n")]
#[case::a_number_does_not_end_a_paragraph("## Next Steps\nText\n1. a\n2. b\n", &["b"], "## Next Steps\nText\n\n2. b\n")]
#[case::another_order_moves_as_few_as_can_be("## Next Steps\n- a\n- b\n  more\n- c\n", &["c", "a", "b more"], "## Next Steps\n- c\n- a\n- b\n  more\n")]
#[case::a_links_definition_above_an_underlined_heading("## Next Steps\n[link]: x\n    code\n===\n", &["x"], "## Next Steps\n- x\n\n[link]: x\n    code\n===\n")]
#[case::a_section_without_a_list("## Next Steps\nText.\n\n## B\n", &["x"], "## Next Steps\nText.\n\n- x\n\n## B\n")]
fn only_items_of_the_section_itself_are_removed(
    #[case] before: &str,
    #[case] wanted: &[&str],
    #[case] expected: &str,
) {
    let (new, _) = after_context(before, json!({"nextSteps": wanted}));
    assert_eq!(new, expected);
    assert_eq!(after_context(&new, json!({"nextSteps": wanted})).0, new, "a second call changes nothing");
    let as_tasks = |text: &str| text.replace("## Next Steps", "## Ongoing Tasks");
    assert_eq!(after_tasks(&as_tasks(before), json!({"replace": wanted})).0, as_tasks(expected));
}

#[test]
fn clearing_keeps_everything_but_items() {
    let before = "## Next Steps\n\nP.\n\n- a\n  - deep\n\n  in a\n- b\nstray\n\n| t |\n|---|\n\n### S\n- s\n";
    let (new, removed) = after_context(before, json!({"nextSteps": [], "clear": true}));
    assert_eq!(new, "## Next Steps\n\nP.\n\nstray\n\n| t |\n|---|\n\n### S\n- s\n");
    assert_eq!(removed.items, ["- a\n  - deep\n\n  in a", "- b"]);
}

#[test]
fn a_second_list_under_an_older_title_loses_items_and_no_text() {
    let before =
        "## Ongoing Tasks\n- a\n\n## Tasks\nOld ones:\n\n- b\n- keep\n\n```\ncode\n```\n\n### Later\n- l\n";
    let (new, removed) = after_context(before, json!({"tasks": ["x", "keep"]}));
    assert_eq!(
        new,
        "## Ongoing Tasks\n\n## Tasks\nOld ones:\n\n- x\n- keep\n\n```\ncode\n```\n\n### Later\n- l\n"
    );
    assert_eq!(removed.items, ["- a", "- b"]);
}

#[test]
fn removing_a_task_by_a_part_keeps_the_lines_after_it() {
    let before = "## Tasks\n- write docs\nSee the wiki.\n- b\n";
    assert_eq!(after_tasks(before, json!({"remove": ["write docs"]})).0, "## Tasks\nSee the wiki.\n\n- b\n");
    let whole = json!({"remove": ["write docs See the wiki."]});
    assert_eq!(after_tasks(before, whole).0, "## Tasks\n- b\n");
}

#[test]
fn a_reply_shows_removed_texts_within_its_bound() {
    let items: Vec<String> = (0..500).map(|n| format!("- {n} {}\n", "x".repeat(100))).collect();
    let (_, removed) = after_tasks(&format!("## Tasks\n{}", items.concat()), json!({"clear": true}));
    assert_eq!(removed.count(), 500);
    assert!(removed.items.len() > 20 && removed.items.iter().map(String::len).sum::<usize>() <= 4000);
}

/// Every tool that writes to the core documents, each on the same text.
fn each_call_on(content: &str) -> Vec<(&'static str, CoreDocument, Result<String, EditError>)> {
    let run = |rule: &dyn Fn(&mut Drafts) -> Result<(), EditError>, document: CoreDocument| {
        let mut drafts = bank(&[(ActiveContext, content), (Progress, content), (DecisionLog, content)]);
        rule(&mut drafts).map(|()| text(&drafts, document))
    };
    let track =
        TrackProgress { action: "Did".into(), description: "zzz".into(), update_active_context: true };
    let entry: AddProgressEntry = serde_json::from_value(
        json!({"type": "fix", "summary": "zzz", "details": "one\n---\ntwo", "files": ["f"], "tags": ["t"]}),
    )
    .unwrap();
    let decision: LogDecision =
        serde_json::from_value(json!({"title": "zzz", "context": "", "decision": "d"})).unwrap();
    let finalize: FinalizeThinkingSession =
        serde_json::from_value(json!({"summary": "s", "nextSteps": ["zzz"]})).unwrap();
    let note = AddSessionNote { note: "zzz".into(), category: None };
    vec![
        ("track_progress", Progress, run(&|d| track_progress(d, &track, at(), "a").map(drop), Progress)),
        ("its note", ActiveContext, run(&|d| track_progress(d, &track, at(), "a").map(drop), ActiveContext)),
        (
            "add_progress_entry",
            Progress,
            run(&|d| add_progress_entry(d, &entry, at(), "a").map(drop), Progress),
        ),
        ("add_session_note", ActiveContext, run(&|d| add_session_note(d, &note, at(), "a"), ActiveContext)),
        (
            "update_tasks",
            ActiveContext,
            run(&|d| update_tasks(d, &tasks(json!({"add": ["zzz"]})), at()).map(drop), ActiveContext),
        ),
        (
            "update_active_context",
            ActiveContext,
            run(&|d| update_active_context(d, &context(json!({"issues": ["zzz"]}))).map(drop), ActiveContext),
        ),
        ("log_decision", DecisionLog, run(&|d| log_decision(d, &decision, at(), "a").map(drop), DecisionLog)),
        (
            "finalize_thinking_session",
            ActiveContext,
            run(&|d| finalize_thinking_session(d, &finalize, at(), "a").map(drop), ActiveContext),
        ),
    ]
}

fn is_seen(text: &str) -> bool {
    let outline = Outline::of(text);
    outline.items().iter().any(|item| item.text.contains("zzz"))
        || outline.headings().iter().any(|heading| heading.title.contains("zzz"))
}

#[rstest]
#[case("# A\n\n```js\nconst a = 1\n\n## Ongoing Tasks\n- one\n")]
#[case("# A\n\n   ~~~~\n```\ncode")]
#[case("# A\n\n- item\n  ```\n  code\n")]
#[case("# A\n\n- item\n\n      <!-- open\n")]
#[case("> ```\n> quoted")]
#[case("# A\n\n<!-- a note\n\n## Known Issues\n- i\n")]
#[case("# A\n\n<pre>\ntext\n\n")]
#[case("# A\n\n<script>\nx\n")]
#[case("# A\n\n<style>")]
#[case("# A\n\n<textarea>\nx")]
#[case("# A\n\n<![CDATA[\nx\n\ny\n")]
#[case("# A\n\n<?php\nx\n")]
#[case("# A\n\n<!DOCTYPE html\nx\n")]
#[case("# A\n\n<div>\nx\n")]
#[case("---\ntitle: x\n\n# A\n\n## Update History\n- [2026-01-01] a\n")]
#[case("---\ntitle: x\n")]
#[case("## Ongoing Tasks\n\n```\ncode\n\n\n")]
#[case("## Next Steps\n- a\n  ~~~\n  code")]
#[case("## Known Issues\n\n<!-- [Describe] \n- [ ] x\n")]
#[case("# A\r\n\r\n```\r\ncode\r\n")]
#[case("`````\n```\n")]
fn text_written_after_an_open_block_is_visible(#[case] content: &str) {
    for (tool, document, new) in each_call_on(content) {
        let new = new.unwrap_or_else(|error| panic!("{tool} on {content:?}: {error}"));
        assert!(is_seen(&new), "{tool}: {new:?}");
        let mut left = new.lines();
        for line in content.lines() {
            assert!(left.any(|kept| kept == line), "{tool} lost {line:?}: {new:?}");
        }
        if LineEnding::of(content) == LineEnding::CrLf {
            assert_eq!(new.matches('\n').count(), new.matches("\r\n").count(), "{tool}: {new:?}");
        }
        for (again, other, twice) in each_call_on(&new) {
            if again != tool || other != document {
                continue;
            }
            let twice = twice.unwrap();
            let sections = |text: &str| {
                let outline = Outline::of(text);
                outline.headings().iter().filter(|one| one.level == 2 && !one.title.contains("zzz")).count()
            };
            assert_eq!(sections(&twice), sections(&new), "{tool} made a second section: {twice:?}");
        }
    }
}

#[test]
fn three_calls_after_an_open_fence_create_one_section() {
    let mut drafts = bank(&[(ActiveContext, "# A\n\n```js\nconst a = 1\n\n## Ongoing Tasks\n- one\n")]);
    for task in ["two", "three", "four"] {
        update_tasks(&mut drafts, &tasks(json!({"add": [task]})), at()).unwrap();
    }
    let new = text(&drafts, ActiveContext);
    assert_eq!(
        new,
        "# A\n\n```js\nconst a = 1\n\n## Ongoing Tasks\n- one\n```\n\n## Ongoing Tasks\n- two\n- three\n- four\n"
    );
    let tasks = digest_of(ActiveContext, &new).current_context.tasks;
    assert_eq!(tasks, ["four", "three", "two"]);
}

#[rstest]
#[case(json!({"op": "append", "heading": "A", "text": "## B\nb"}), Some("# A\n\n```\ncode\n```\n\n## B\nb\n"))]
#[case(json!({"op": "append", "heading": "A", "text": "more"}), Some("# A\n\n```\ncode\n```\n\nmore\n"))]
#[case(json!({"op": "replace", "old": "code\n", "new": "code\n```\n"}), Some("# A\n\n```\ncode\n```\n"))]
#[case(json!({"op": "insert_after", "match": "code", "text": "line of code"}), Some("# A\n\n```\ncode\nline of code\n"))]
fn edits_by_section_close_an_open_block_and_those_by_match_work_in_it(
    #[case] edit: serde_json::Value,
    #[case] expected: Option<&str>,
) {
    assert_eq!(apply_edits("# A\n\n```\ncode\n", &edits(json!([edit]))).ok().as_deref(), expected);
}

#[rstest]
#[case(json!({"op": "append", "heading": "A", "text": "```\nopen"}))]
#[case(json!({"op": "prepend", "heading": "A", "text": "<!-- open"}))]
#[case(json!({"op": "replace_section", "heading": "A", "text": "~~~\nopen"}))]
#[case(json!({"op": "insert_before", "heading": "B", "text": "```\nopen"}))]
#[case(json!({"op": "insert_after", "heading": "A", "text": "```\nopen"}))]
fn an_edit_of_a_section_hides_no_other(#[case] edit: serde_json::Value) {
    let error = apply_edits("# T\n\n## A\na\n\n## B\nb\n", &edits(json!([edit]))).unwrap_err().to_string();
    assert!(error.contains("the heading `B` would not be visible any more"), "{error}");
}

#[test]
fn a_removed_sub_section_is_reported_even_if_another_has_its_heading() {
    let mut drafts = Drafts::default();
    let path = super::path("n.md");
    let content = "## A\n\n### S\none\n\n### S\ntwo\n";
    drafts.load(path.clone(), Some(super::stored("n.md", content)));
    let list = edits(json!([{"op": "replace_section", "heading": "A", "text": "### S\nother"}]));
    let edited = crate::document::edit_document(&mut drafts, &path, &list, None).unwrap();
    assert_eq!(edited.removed_sections, ["### S"]);
}

#[test]
fn a_replaced_section_reports_removed_sub_sections() {
    let mut drafts = Drafts::default();
    let path = super::path("n.md");
    let content = "## A\na\n\n### S\ns\n\n### T\nt\n\n## B\n";
    drafts.load(path.clone(), Some(super::stored("n.md", content)));
    let list = edits(json!([{"op": "replace_section", "heading": "A", "text": "new\n\n### T\nt\n"}]));
    let edited = crate::document::edit_document(&mut drafts, &path, &list, None).unwrap();
    assert_eq!(edited.removed_sections, ["### S"]);
    assert_eq!(edited.removed_lines, 4);
}

pub(super) const CONFLICT: &str = "# A\n\n## Ongoing Tasks\n<<<<<<< HEAD\n- mine\n||||||| base\n- old\n=======\n- theirs\n>>>>>>> feature\n\n## Known Issues\n- i\n";

#[rstest]
#[case(json!({"op": "append", "heading": "Ongoing Tasks", "text": "x"}))]
#[case(json!({"op": "prepend", "heading": "Ongoing Tasks", "text": "x"}))]
#[case(json!({"op": "replace_section", "heading": "Ongoing Tasks", "text": "x"}))]
#[case(json!({"op": "insert_before", "heading": "Ongoing Tasks", "text": "x"}))]
#[case(json!({"op": "insert_after", "match": "- mine", "text": "x"}))]
#[case(json!({"op": "replace", "old": "- mine", "new": "x"}))]
#[case(json!({"op": "replace", "old": "<<<<<<< HEAD\n- mine\n", "new": ""}))]
#[case(json!({"op": "replace", "old": ">>>>>>> feature\n\n## Known Issues", "new": ""}))]
#[case(json!({"op": "replace", "old": "## Ongoing Tasks", "new": "## Tasks"}))]
fn edits_of_a_section_with_a_conflict_are_refused_with_its_line(#[case] edit: serde_json::Value) {
    let error = apply_edits(CONFLICT, &edits(json!([edit]))).unwrap_err().to_string();
    assert!(error.contains("lines 4 to 10"), "{error}");
}

fn documents() -> impl Strategy<Value = String> {
    let line = prop::sample::select(vec![
        "- a",
        "- b",
        "* c",
        "+ a",
        "1. d",
        "2. e",
        "- [ ] f",
        "- [x] g",
        "  - n",
        "    - deep",
        "  wrapped",
        "",
        "",
        "prose",
        "more prose",
        "===",
        "---",
        "### Sub",
        "## Ongoing Tasks",
        "## Tasks",
        "## Next Steps",
        "## Known Issues",
        "## Update History",
        "## Session Notes",
        "# Top",
        "> quote",
        "| t |\n|---|\n| c |",
        "```\n- fenced\n```",
        "~~~",
        "```",
        "<!-- x -->",
        "<!--",
        "<div>",
        "    code",
        "  ```\n  in item\n  ```",
        "[link]: x",
        "  para in item",
    ]);
    (prop::collection::vec(line, 0..16), prop::bool::ANY, prop::bool::ANY).prop_map(|(lines, crlf, ended)| {
        let text = lines.join("\n") + if ended { "\n" } else { "" };
        if crlf { text.replace('\n', "\r\n") } else { text }
    })
}

/// The lines with content, without those of the removed items.
fn remaining(text: &str, removed: &Removed) -> Vec<String> {
    let mut gone: Vec<String> =
        removed.items.iter().flat_map(|item| item.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    let mut left = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        match gone.iter().position(|one| one == line) {
            Some(at) => drop(gone.remove(at)),
            None => left.push(line.to_owned()),
        }
    }
    left.sort();
    left
}

/// The headings that the tools write.
const WRITTEN: [&str; 5] =
    ["Ongoing Tasks", "Next Steps", "Known Issues", "Update History", "Current Session Notes"];

fn all_there(old: &str, new: &str, removed: &Removed) -> Result<(), TestCaseError> {
    prop_assert_eq!(removed.more, 0);
    let mut new_lines: Vec<&str> = new.lines().collect();
    for line in remaining(old, removed) {
        let found = new_lines.iter().position(|one| *one == line);
        prop_assert!(
            found.is_some(),
            "{:?} is lost\nold {:?}\nnew {:?}\nremoved {:?}",
            line,
            old,
            new,
            removed
        );
        new_lines.remove(found.unwrap());
    }
    let headings =
        |text: &str| Outline::of(text).headings().iter().map(|one| one.source.clone()).collect::<Vec<_>>();
    let mut after = headings(new).into_iter();
    for heading in headings(old) {
        prop_assert!(
            after.any(|one| one == heading),
            "{:?} is hidden\nold {:?}\nnew {:?}",
            heading,
            old,
            new
        );
    }
    let before = headings(old);
    for heading in headings(new) {
        let known = before.contains(&heading) || heading.contains("zzz") || WRITTEN.contains(&&*heading);
        prop_assert!(known, "{:?} has become a heading\nold {:?}\nnew {:?}", heading, old, new);
    }
    if LineEnding::of(old) == LineEnding::CrLf {
        prop_assert_eq!(new.matches('\n').count(), new.matches("\r\n").count());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn lists_lose_nothing_but_what_the_reply_names(
        content in documents(),
        wanted in prop::collection::vec(prop::sample::select(vec!["a", "B", "c", "d", "e", "f", "g", "new zzz", "other"]), 1..5),
        how in 0..5_usize,
    ) {
        let mut drafts = bank(&[(ActiveContext, &content)]);
        let (removed, title) = match how {
            0 => (update_tasks(&mut drafts, &tasks(json!({"replace": wanted})), at()).unwrap().removed, "tasks"),
            1 => (update_tasks(&mut drafts, &tasks(json!({"add": wanted})), at()).unwrap().removed, "tasks"),
            2 => (update_active_context(&mut drafts, &context(json!({"nextSteps": wanted, "tasks": []}))).unwrap(), "next"),
            3 => (update_active_context(&mut drafts, &context(json!({"issues": wanted}))).unwrap(), "issues"),
            _ => (update_tasks(&mut drafts, &UpdateTasks { clear: Some(Clear::Flag(true)), ..tasks(json!({"add": wanted})) }, at()).unwrap().removed, "tasks"),
        };
        let new = text(&drafts, ActiveContext);
        all_there(&content, &new, &removed)?;
        let digest = digest_of(ActiveContext, &new);
        let (shown, done) = (digest.current_context, digest.recent_progress);
        let shown = match title { "tasks" => shown.tasks, "next" => shown.next_steps, _ => shown.issues };
        for item in &wanted {
            let word = item.trim_start_matches("[ ] ").to_lowercase();
            // A ticked item is done.
            prop_assert!(shown.iter().chain(&done).any(|one| one.to_lowercase().contains(&word)), "{:?} is not seen in {:?}", item, new);
        }
    }

    #[test]
    fn every_edit_keeps_every_line_and_is_visible(content in documents()) {
        for (tool, _, new) in each_call_on(&content) {
            let new = match new {
                Ok(new) => new,
                Err(error) => return Err(TestCaseError::fail(format!("{tool} on {content:?}: {error}"))),
            };
            let removed = if tool == "update_active_context" {
                after_context(&content, json!({"issues": ["zzz"]})).1
            } else {
                Removed::default()
            };
            all_there(&content, &new, &removed)?;
            prop_assert!(is_seen(&new), "{}: {:?}", tool, new);
        }
    }
}
