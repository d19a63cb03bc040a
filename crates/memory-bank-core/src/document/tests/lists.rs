//! The lists, notes and tasks of active-context.md.

use rstest::rstest;

use super::{at, bank, text};
use crate::document::CoreDocument::ActiveContext;
use crate::document::{
    AddSessionNote, NoteCategory, TaskChanges, UpdateActiveContext, UpdateTasks, add_session_note,
    update_active_context, update_tasks,
};

fn strings(items: &[&str]) -> Vec<String> {
    items.iter().map(|&item| item.to_owned()).collect()
}

fn add(items: &[&str]) -> UpdateTasks {
    UpdateTasks { add: Some(strings(items)), ..UpdateTasks::default() }
}

fn remove(items: &[&str]) -> UpdateTasks {
    UpdateTasks { remove: Some(strings(items)), ..UpdateTasks::default() }
}

fn replace(items: &[&str]) -> UpdateTasks {
    UpdateTasks { replace: Some(strings(items)), ..UpdateTasks::default() }
}

fn after(content: &str, request: &UpdateTasks) -> (String, TaskChanges) {
    let mut drafts = bank(&[(ActiveContext, content)]);
    let changes = update_tasks(&mut drafts, request, at()).unwrap().changes;
    (text(&drafts, ActiveContext), changes)
}

#[test]
fn adding_twice_to_the_template_keeps_title_and_list() {
    let mut drafts = bank(&[]);
    update_tasks(&mut drafts, &add(&["a"]), at()).unwrap();
    let updated = update_tasks(&mut drafts, &add(&["b", "A"]), at()).unwrap();
    assert_eq!(updated.tasks, ["a", "b"]);
    assert_eq!(updated.changes, TaskChanges { added: 1, removed: 0, replaced: false });
    assert_eq!(
        text(&drafts, ActiveContext),
        ActiveContext.template().replace("each -->\n\n## Known", "each -->\n- a\n- b\n\n## Known")
    );
}

// As in Markdown, a carriage return alone ends a line. Seen by fuzzing: the line before an empty item was deleted with it.
#[rstest]
#[case("## Ongoing Tasks\n- [ ] a\r- \n[x] b\n", &add(&["c"]), "- [ ] a\r")]
#[case("## Ongoing Tasks\nProse.\r- a\n- b\n", &remove(&["a"]), "Prose.\n\n- b")]
#[case("## Ongoing Tasks\n- a\rProse.\n- b\n", &remove(&["a"]), "Prose.\n")]
#[case("## Ongoing Tasks\nProse.\r- [Task 1]\rMore.\r\r- b\r", &replace(&["c"]), "Prose.\r")]
#[case("## Ongoing Tasks\nProse.\r- a\r- b\rMore.\n", &replace(&["c"]), "More.\n")]
#[case("## Ongoing Tasks\n- a\n\n<!-- c -->\r## Notes\r\n- keep\n", &replace(&["a"]), "## Notes\r\n- keep\n")]
#[case("## Ongoing Tasks\n- a\n  <!-- n -->\r- b\r\r  more\n- c\n", &remove(&["a"]), "- b\r\r  more\n- c\n")]
#[case("## Ongoing Tasks\ntext\r- x\n\n===\nmore\n", &remove(&["x"]), "text\n\n===\nmore\n")]
#[case("## Ongoing Tasks\n- a\r- b\n\npara\n", &remove(&["b"]), "- a\n\npara\n")]
#[case("# T\r\n\r\n## Ongoing Tasks\r\n- x\r- y\r\r## Notes\r\n", &replace(&["n", "m"]), "- n\r\n- m\r\n\r## Notes\r\n")]
fn lines_that_a_carriage_return_parts_survive(
    #[case] before: &str,
    #[case] request: &UpdateTasks,
    #[case] kept: &str,
) {
    let (new, _) = after(before, request);
    assert!(new.contains(kept), "{new:?}");
}

#[rstest]
#[case(
    "## Ongoing Tasks\n\nProse.\n\n* a\n  more\n* b\n\nEnd.\n",
    "## Ongoing Tasks\n\nProse.\n\n* b\n* c\n\nEnd.\n"
)]
#[case(
    "# T\r\n\r\n## Tasks\r\n- a more\r\n- b\r\n## X\r\n",
    "# T\r\n\r\n## Tasks\r\n- b\r\n- c\r\n\r\n## X\r\n"
)]
#[case("## Current Tasks\n1. a more\n2. b", "## Current Tasks\n2. b\n3. c\n")]
fn other_bullets_prose_wrapped_lines_and_crlf_survive(#[case] before: &str, #[case] expected: &str) {
    let request = UpdateTasks { remove: Some(strings(&["A MORE"])), ..add(&["c"]) };
    let (new, changes) = after(before, &request);
    assert_eq!(new, expected);
    assert_eq!(changes, TaskChanges { added: 1, removed: 1, replaced: false });
}

#[test]
fn a_blank_text_removes_nothing() {
    let (new, changes) = after("## Tasks\n- a\n- b\n", &remove(&["", "  "]));
    assert_eq!(new, "## Tasks\n- a\n- b\n");
    assert_eq!(changes.removed, 0);
    assert_eq!(after("## Tasks\n- a\n", &remove(&["[ ]", "\n"])).0, "## Tasks\n- a\n");
}

#[test]
fn an_exact_match_goes_before_a_substring_and_a_substring_must_be_unique() {
    let content = "## Tasks\n- test\n- test the rest\n- [ ] write docs\n";
    assert_eq!(after(content, &remove(&["Test"])).0, "## Tasks\n- test the rest\n- [ ] write docs\n");
    assert_eq!(after(content, &remove(&["docs"])).0, "## Tasks\n- test\n- test the rest\n");
    assert_eq!(after(content, &remove(&["nothing like it"])), (content.to_owned(), TaskChanges::default()));
    let error = update_tasks(&mut bank(&[(ActiveContext, content)]), &remove(&["tes"]), at())
        .unwrap_err()
        .to_string();
    assert!(error.contains("fits 2 tasks (`test`, `test the rest`)"), "{error}");
}

/// A task that contains a text by coincidence is not the named one.
#[rstest]
#[case("1")]
#[case("o")]
#[case("v")]
#[case("v1")]
#[case("arse")]
#[case("the")]
#[case("parser")]
#[case("lph")]
#[case("port the v1 pars")]
#[case("2026 07")]
fn an_ambiguous_part_of_a_task_removes_nothing(#[case] part: &str) {
    let content = "## Tasks\n- alpha\n- beta\n- [ ] port the v1 parser\n- due 2026 07\n";
    for request in [
        remove(&[part]),
        UpdateTasks { replace: Some(strings(&["port the v1 parser", "due 2026 07"])), ..remove(&[part]) },
    ] {
        let mut drafts = bank(&[(ActiveContext, content)]);
        let updated = update_tasks(&mut drafts, &request, at()).unwrap();
        assert!(updated.tasks.iter().any(|task| task.ends_with("port the v1 parser")), "{updated:?}");
        assert!(updated.tasks.iter().any(|task| task == "due 2026 07"), "{updated:?}");
        let missed: Vec<_> = updated.not_found.iter().map(|missed| missed.text.as_str()).collect();
        assert_eq!(missed, [part]);
    }
}

#[rstest]
#[case("[x] PORT  the v1\tparser", "port the v1 parser")]
#[case("v1 parser", "port the v1 parser")]
#[case("alpha", "alpha")]
#[case("e", "e")]
#[case("invoices", "- Invoices for customers")]
#[case("解析器", "重写解析器模块")]
#[case("internationalisation", "do the internationalisation of each and every page that we have")]
fn an_unambiguous_part_of_a_task_removes_it(#[case] words: &str, #[case] task: &str) {
    let task = task.trim_start_matches("- ");
    let content = format!("## Tasks\n- other\n- [ ] {task}\n");
    assert_eq!(after(&content, &remove(&[words])).0, "## Tasks\n- other\n");
}

#[test]
fn replacing_keeps_items_in_the_requested_order() {
    let content = "## Ongoing Tasks\nIntro.\n- a\n  - nested\n- b\n\n### Notes\ntext\n";
    let (new, changes) = after(content, &replace(&["c", "a"]));
    assert_eq!(new, "## Ongoing Tasks\nIntro.\n- c\n- a\n  - nested\n\n### Notes\ntext\n");
    assert_eq!(changes, TaskChanges { added: 1, removed: 1, replaced: true });
    assert_eq!(after(content, &replace(&["a", "b"])).0, content);
    assert_eq!(after(content, &replace(&[])).0, content);
    assert_eq!(after("# T\n", &replace(&["x"])).0, "# T\n\n## Ongoing Tasks\n- x\n");
}

#[test]
fn tasks_under_an_older_title_belong_to_the_one_list() {
    let content = "## Tasks\n- a\n\n## Ongoing Tasks\n- b\n";
    let mut drafts = bank(&[(ActiveContext, content)]);
    let updated =
        update_tasks(&mut drafts, &UpdateTasks { remove: Some(strings(&["a"])), ..add(&["b", "c"]) }, at())
            .unwrap();
    assert_eq!(updated.tasks, ["b", "c"]);
    assert_eq!(text(&drafts, ActiveContext), "## Tasks\n\n## Ongoing Tasks\n- b\n- c\n");
    let mut drafts = bank(&[(ActiveContext, content)]);
    let request = UpdateActiveContext { tasks: Some(strings(&["x"])), ..UpdateActiveContext::default() };
    update_active_context(&mut drafts, &request).unwrap();
    assert_eq!(text(&drafts, ActiveContext), "## Tasks\n\n## Ongoing Tasks\n- x\n");
}

#[test]
fn an_empty_request_creates_nothing() {
    let mut drafts = bank(&[]);
    update_active_context(&mut drafts, &UpdateActiveContext::default()).unwrap();
    assert_eq!(drafts.text(&ActiveContext.path()), None);
}

#[rstest]
#[case("## Current Session Notes\n- [Note 1]\n", "## Current Session Notes\n{}\n")]
#[case("## Session Notes\n- old\n", "## Session Notes\n{}\n- old\n")]
#[case(
    "## Session Notes\n- old\n\n## Current Session Notes",
    "## Session Notes\n- old\n\n## Current Session Notes\n{}\n"
)]
#[case("# C", "# C\n\n## Current Session Notes\n{}\n")]
#[case("## Current Session Notes\nprose\n", "## Current Session Notes\n{}\n\nprose\n")]
fn there_is_one_section_of_notes(#[case] before: &str, #[case] expected: &str) {
    let mut drafts = bank(&[(ActiveContext, before)]);
    let request = AddSessionNote { note: "see $&\nthis".into(), category: Some(NoteCategory::Observation) };
    add_session_note(&mut drafts, &request, at(), "a").unwrap();
    let note = "- [2026-11-22 09:30:07 UTC] [a] - 👀 Observation: see $& this";
    assert_eq!(text(&drafts, ActiveContext), expected.replace("{}", note));
}

#[test]
fn a_note_without_category_is_a_note_and_an_unknown_one_is_refused() {
    let mut drafts = bank(&[(ActiveContext, "")]);
    add_session_note(&mut drafts, &AddSessionNote { note: "n".into(), category: None }, at(), "a").unwrap();
    assert!(text(&drafts, ActiveContext).ends_with("\n- [2026-11-22 09:30:07 UTC] [a] - 📝 Note: n\n"));
    assert!(serde_json::from_str::<AddSessionNote>(r#"{"note":"n","category":"zzz"}"#).is_err());
}

#[test]
fn the_time_is_utc_whatever_the_zone_of_the_caller() {
    let mut drafts = bank(&[(ActiveContext, "")]);
    let late: jiff::Timestamp = "2026-11-23T08:57:15+09:00".parse().unwrap();
    add_session_note(&mut drafts, &AddSessionNote { note: "n".into(), category: None }, late, "a").unwrap();
    assert!(text(&drafts, ActiveContext).contains("[2026-11-22 23:57:15 UTC] [a] - 📝 Note: n"));
}

#[test]
fn a_task_without_words_is_refused() {
    let refused = update_tasks(&mut bank(&[]), &add(&["--"]), at()).unwrap_err().to_string();
    assert!(refused.contains("`--` is a placeholder"), "{refused}");
}
