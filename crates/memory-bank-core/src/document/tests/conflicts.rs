//! Documents with merge conflicts.

use rstest::rstest;
use serde_json::json;

use super::preservation::{CONFLICT, after_tasks, edits};
use super::{at, bank, context, digest_of, tasks, text};
use crate::document::CoreDocument::{ActiveContext, DecisionLog};
use crate::document::section::Outline;
use crate::document::{AddSessionNote, add_session_note, apply_edits, update_active_context, update_tasks};
use crate::error::EditError;

#[rstest]
#[case(CONFLICT.to_owned())]
#[case(CONFLICT.replace('\n', "\r\n"))]
#[case(CONFLICT.replace("||||||| base\n- old\n", ""))]
#[case(CONFLICT.replace("- theirs", "```\n- theirs"))]
fn a_conflict_is_never_treated_as_text(#[case] content: String) {
    let refused = |error: EditError| {
        let error = error.to_string();
        assert!(error.contains("lines 4 to ") && error.contains("merge conflict"), "{error}");
    };
    for arguments in [
        json!({"add": ["new"]}),
        json!({"remove": ["mine"]}),
        json!({"replace": ["mine"]}),
        json!({"clear": true}),
    ] {
        let mut drafts = bank(&[(ActiveContext, &content)]);
        refused(update_tasks(&mut drafts, &tasks(arguments), at()).unwrap_err());
        assert_eq!(text(&drafts, ActiveContext), content);
    }
    let mut drafts = bank(&[(ActiveContext, &content)]);
    refused(update_active_context(&mut drafts, &context(json!({"tasks": ["x"]}))).unwrap_err());
    let listed = update_tasks(&mut drafts, &tasks(json!({"add": []})), at()).unwrap();
    assert_eq!(text(&drafts, ActiveContext), content);
    assert!(listed.tasks.iter().all(|task| !task.contains(['<', '=', '|', '>'])), "{:?}", listed.tasks);
    let context_ = digest_of(ActiveContext, &content).current_context;
    assert!(context_.tasks.iter().all(|task| !task.contains(['<', '=', '|', '>'])), "{:?}", context_.tasks);
}

#[test]
fn other_sections_of_such_a_document_work_and_a_conflict_can_be_resolved() {
    let mut drafts = bank(&[(ActiveContext, CONFLICT)]);
    update_active_context(&mut drafts, &context(json!({"issues": ["j"]}))).unwrap();
    add_session_note(&mut drafts, &AddSessionNote { note: "n".into(), category: None }, at(), "a").unwrap();
    let new = text(&drafts, ActiveContext);
    assert!(new.starts_with(&CONFLICT.replace("- i\n", "- j\n")), "{new}");
    let whole = CONFLICT.get(CONFLICT.find("<<<").unwrap()..CONFLICT.find("\n\n## Known").unwrap()).unwrap();
    let resolve = edits(json!([
        {"op": "replace", "old": "- i", "new": "- j"},
        {"op": "append", "heading": "Known Issues", "text": "- k"},
        {"op": "replace", "old": whole, "new": "- both"},
        {"op": "append", "heading": "Ongoing Tasks", "text": "- new"},
    ]));
    assert_eq!(
        apply_edits(CONFLICT, &resolve).unwrap(),
        "# A\n\n## Ongoing Tasks\n- both\n- new\n\n## Known Issues\n- j\n- k\n"
    );
}

#[rstest]
#[case("# A\n\n## Ongoing Tasks\n- a\n\nTitle\n=======\n\n## X\n")]
#[case("# A\n\n## Ongoing Tasks\n- a\n\n```\n<<<<<<< HEAD\n=======\n>>>>>>> x\n```\n")]
#[case("# A\n\n## Ongoing Tasks\n- a\n\n <<<<<<< HEAD\n =======\n >>>>>>> x\n")]
#[case("# A\n\n## Ongoing Tasks\n- a\n\n>>>>>>> x\n\n<<<<<<< HEAD\n")]
fn text_that_resembles_a_conflict_is_text(#[case] content: &str) {
    assert!(Outline::of(content).conflict_in(&(0..content.len())).is_none());
    assert_eq!(after_tasks(content, json!({"add": ["b"]})).0, content.replace("- a\n", "- a\n- b\n"));
}

#[test]
fn a_document_of_conflicts_is_read_in_linear_time() {
    let unit = "## S\n<<<<<<< a\nx\n=======\ny\n>>>>>>> b\n";
    let text = unit.repeat(crate::limits::DOCUMENT_BYTES / unit.len());
    // The same decision twice is shown once.
    assert_eq!(digest_of(DecisionLog, &text).recent_decisions.len(), 1);
    let all = 0..text.len();
    assert_eq!(Outline::of(&text).conflicts_in(&all).count(), text.len() / unit.len());
}
