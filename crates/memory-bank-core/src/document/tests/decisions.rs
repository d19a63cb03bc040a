//! Decisions, and the end of a thinking session.

use super::{at, bank, text};
use crate::document::CoreDocument::{ActiveContext, DecisionLog, Progress};
use crate::document::{FinalizeThinkingSession, LogDecision, finalize_thinking_session, log_decision};

fn decision(title: &str) -> LogDecision {
    serde_json::from_value(serde_json::json!({"title": title, "context": "", "decision": "do it"})).unwrap()
}

#[test]
fn an_empty_context_is_accepted_and_missing_documents_are_created() {
    let mut drafts = bank(&[(DecisionLog, "# Decision Log")]);
    log_decision(&mut drafts, &decision("Use PG"), at(), "alice").unwrap();
    assert_eq!(
        text(&drafts, DecisionLog),
        "# Decision Log\n\n## Use PG\n- **Date:** 2026-11-22 09:30:07 UTC\n- **Author:** alice\n- **Context:**\n- **Decision:** do it\n- **Alternatives Considered:** None\n- **Consequences:** None\n"
    );
    assert!(
        text(&drafts, Progress).contains("- [2026-11-22 09:30:07 UTC] [alice] - Decision Made: Use PG\n")
    );
    assert_eq!(drafts.text(&ActiveContext.path()), None, "a decision is recorded in one place");
}

#[test]
fn a_decision_lists_alternatives_and_keeps_further_lines_inside_its_bullets() {
    let mut drafts = bank(&[(DecisionLog, "# D\r\n")]);
    let request = LogDecision {
        title: "a\n## b".into(),
        context: "one\n\n## two\n```\nopen".into(),
        decision: "d".into(),
        alternatives: vec!["x".into(), "y\nz".into()],
        consequences: Vec::new(),
        ..LogDecision::default()
    };
    log_decision(&mut drafts, &request, at(), "a").unwrap();
    let log = text(&drafts, DecisionLog);
    assert!(log.contains("## a ## b\r\n"), "{log}");
    assert!(
        log.contains("- **Context:** one\r\n\r\n  ## two\r\n  ```\r\n  open\r\n- **Decision:** d\r\n"),
        "{log}"
    );
    assert!(
        log.contains("- **Alternatives Considered:**\r\n  - x\r\n  - y z\r\n- **Consequences:** None\r\n"),
        "{log}"
    );
    let outline = crate::document::section::Outline::of(&log);
    assert_eq!(outline.headings().len(), 2);
}

#[test]
fn dollar_signs_in_a_title_reach_progress_as_they_are() {
    let mut drafts = bank(&[]);
    log_decision(&mut drafts, &decision("$& $` $$"), at(), "a").unwrap();
    assert!(text(&drafts, Progress).ends_with(" - Decision Made: $& $` $$\n"));
}

#[test]
fn a_decision_without_words_is_refused() {
    let request = LogDecision { decision: " \n".into(), ..decision("t") };
    assert!(
        log_decision(&mut bank(&[]), &request, at(), "a").unwrap_err().to_string().contains("`decision`")
    );
}

#[test]
fn finalising_begins_new_lines() {
    let mut drafts = bank(&[(DecisionLog, "# Decision Log"), (ActiveContext, "## Next Steps\n- a")]);
    let request = FinalizeThinkingSession {
        summary: "done".into(),
        decision: Some(decision("D")),
        tasks: None,
        next_steps: Some(vec!["b".into()]),
        progress_entry: None,
        session_id: None,
    };
    finalize_thinking_session(&mut drafts, &request, at(), "a").unwrap();
    assert!(text(&drafts, DecisionLog).starts_with("# Decision Log\n\n## D\n- **Date:**"));
    assert!(text(&drafts, ActiveContext).starts_with("## Next Steps\n- a\n- b\n\n## "));
}

#[test]
fn finalising_reports_its_parts_in_order_and_uses_the_one_task_list() {
    let active = "## Ongoing Tasks\n- old task\n- other\n\n## Next Steps\n- known step\n";
    let mut drafts = bank(&[(ActiveContext, active)]);
    let request: FinalizeThinkingSession = serde_json::from_value(serde_json::json!({
        "summary": "sum\nmed up", "sessionId": "s1",
        "decision": {"title": "D", "context": "c", "decision": "d"},
        "tasks": {"add": ["new task"], "remove": ["old task", "no such task"]},
        "nextSteps": ["step", "known step"],
        "progressEntry": {"type": "docs", "summary": "wrote it"},
    }))
    .unwrap();
    let done = finalize_thinking_session(&mut drafts, &request, at(), "a").unwrap();
    assert_eq!(
        done.actions,
        [
            "Next steps updated (1 items)",
            "Tasks updated",
            "Session note added to active-context.md",
            "Decision logged: D",
            "Progress entry added: wrote it"
        ]
    );
    assert_eq!(done.not_found.iter().map(|one| one.text.as_str()).collect::<Vec<_>>(), ["no such task"]);
    assert_eq!(
        text(&drafts, ActiveContext),
        "## Ongoing Tasks\n- other\n- new task\n\n## Next Steps\n- known step\n- step\n\n\
         ## Current Session Notes\n- [2026-11-22 09:30:07 UTC] [a] - 🧠 Outcome: sum med up [session:s1]\n"
    );
    let heading = "### [2026-11-22 09:30:07 UTC] [a] - 📚 Docs: wrote it\n";
    assert!(text(&drafts, Progress).contains(heading));
}

#[test]
fn incomplete_decisions_and_empty_entries_are_refused() {
    for part in [r#"{"summary":"s","decision":{"title":"x"}}"#, r#"{"summary":"s","progressEntry":{}}"#] {
        assert!(serde_json::from_str::<FinalizeThinkingSession>(part).is_err(), "{part}");
    }
    let mut request: FinalizeThinkingSession = serde_json::from_str(r#"{"summary":"s"}"#).unwrap();
    request.decision = Some(decision(" "));
    assert!(finalize_thinking_session(&mut bank(&[]), &request, at(), "a").is_err());
}
