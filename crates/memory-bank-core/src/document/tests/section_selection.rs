//! Edits find the existing sections of a bank in any layout, and insert entries in the bank's order.

use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

use super::{at, bank, context, tasks, text};
use crate::document::CoreDocument::{self, ActiveContext, DecisionLog, Progress};
use crate::document::section::Outline;
use crate::document::{
    AddProgressEntry, AddSessionNote, EntryType, FinalizeThinkingSession, LogDecision, TrackProgress,
    UpdateTasks, add_progress_entry, add_session_note, finalize_thinking_session, log_decision,
    track_progress, update_active_context, update_tasks,
};
use crate::store::Drafts;

pub(super) fn step(description: &str) -> TrackProgress {
    TrackProgress { action: "Did".into(), description: description.into(), update_active_context: true }
}

pub(super) fn entry(summary: &str) -> AddProgressEntry {
    serde_json::from_value(json!({"type": EntryType::Fix, "summary": summary})).unwrap()
}

fn note(text: &str) -> AddSessionNote {
    serde_json::from_value(json!({"note": text, "category": "blocker"})).unwrap()
}

pub(super) fn decision(title: &str) -> LogDecision {
    serde_json::from_value(json!({"title": title, "context": "", "decision": "d"})).unwrap()
}

/// Every edit of the lists and logs, as in a client's session.
fn all_edits(drafts: &mut Drafts, round: usize) {
    let named = |what: &str| format!("{what} {round}");
    update_tasks(drafts, &tasks(json!({"add": [named("task")]})), at()).unwrap();
    update_active_context(
        drafts,
        &context(json!({"issues": [named("issue")], "nextSteps": [named("step")]})),
    )
    .unwrap();
    track_progress(drafts, &step(&named("progress")), at(), "a").unwrap();
    add_progress_entry(drafts, &entry(&named("entry")), at(), "a").unwrap();
    add_session_note(drafts, &note(&named("note")), at(), "a").unwrap();
    let end: FinalizeThinkingSession =
        serde_json::from_value(json!({"summary": named("end"), "nextSteps": [named("more")]})).unwrap();
    finalize_thinking_session(drafts, &end, at(), "a").unwrap();
}

/// The headings of sections, without those of single entries.
fn headings(drafts: &Drafts, document: CoreDocument) -> Vec<String> {
    let text = text(drafts, document);
    let outline = Outline::of(&text);
    let all = outline.headings().iter().filter(|heading| !heading.title.starts_with("[2026-11-22"));
    all.map(|heading| heading.source.to_string()).collect()
}

#[rstest]
#[case::numbered(
    "## 1. Ongoing Tasks:",
    "## 2) Known Issues:",
    "## 3. Next Steps:",
    "## 4. Session Notes:",
    "## 1. Update History:"
)]
#[case::bold_and_brackets(
    "## **Ongoing Tasks**",
    "## **Known Issues**",
    "## Next Steps (In Priority Order)",
    "## [Session Notes]",
    "## **Update History** (newest first)"
)]
#[case::emoji(
    "## 🔄 Ongoing Tasks",
    "## 🐛 Known Issues",
    "## ➡️ Next Steps",
    "## 📝 Session Notes",
    "## 📜 Update History"
)]
#[case::deeper("### ONGOING TASKS", "### known issues", "### Next  Steps", "### Notes", "### Changelog")]
#[case::cline(
    "## What's Left to Build",
    "## Known Issues",
    "## Next Steps",
    "## Session Notes",
    "## Recent Changes"
)]
#[case::german(
    "## Laufende Aufgaben",
    "## Bekannte Probleme",
    "## Nächste Schritte",
    "## Sitzungsnotizen",
    "## Verlauf"
)]
#[case::french(
    "## Tâches en cours",
    "## Problèmes connus",
    "## Prochaines étapes",
    "## Notes de session",
    "## Historique des mises à jour"
)]
#[case::spanish(
    "## Tareas en curso",
    "## Problemas conocidos",
    "## Próximos pasos",
    "## Notas de la sesión",
    "## Historial de cambios"
)]
#[case::portuguese(
    "## Tarefas em andamento",
    "## Problemas conhecidos",
    "## Próximos passos",
    "## Notas da sessão",
    "## Histórico de atualizações"
)]
#[case::italian(
    "## Attività in corso",
    "## Problemi noti",
    "## Prossimi passi",
    "## Note della sessione",
    "## Cronologia aggiornamenti"
)]
#[case::russian(
    "## Текущие задачи",
    "## Известные проблемы",
    "## Следующие шаги",
    "## Заметки сессии",
    "## История изменений"
)]
#[case::polish(
    "## Bieżące zadania",
    "## Znane problemy",
    "## Następne kroki",
    "## Notatki z sesji",
    "## Historia zmian"
)]
#[case::chinese("## 当前任务", "## 已知问题", "## 下一步", "## 会话笔记", "## 更新历史")]
#[case::japanese(
    "## 進行中のタスク",
    "## 既知の問題",
    "## 次のステップ",
    "## セッションノート",
    "## 更新履歴"
)]
#[case::korean("## 진행 중인 작업", "## 알려진 문제", "## 다음 단계", "## 세션 노트", "## 업데이트 내역")]
fn no_edit_creates_a_second_section_beside_an_existing_one(
    #[case] task: &str,
    #[case] issue: &str,
    #[case] next: &str,
    #[case] notes: &str,
    #[case] history: &str,
) {
    let active = format!(
        "# A\n\nWords.\n\n{task}\n- one\n\n{issue}\n- two\n\n{next}\n1. three\n\n{notes}\n- four\n\n## Vision\nfar\n"
    );
    let progress = format!("# P\n\n{history}\n- 2026-01-02: old\n\n## Vision\nfar\n");
    let mut drafts = bank(&[(ActiveContext, &active), (Progress, &progress)]);
    let before = [ActiveContext, Progress].map(|document| headings(&drafts, document));
    for round in 0..2 {
        all_edits(&mut drafts, round);
        assert_eq!([ActiveContext, Progress].map(|document| headings(&drafts, document)), before);
    }
    let now = text(&drafts, ActiveContext);
    let below = |heading: &str| now.split(heading).nth(1).unwrap().split("\n#").next().unwrap();
    assert!(below(task).contains("one\n") && below(task).contains("task 0\n- task 1\n"), "{now}");
    assert!(below(issue).starts_with("\n- issue 1\n"), "{now}");
    assert!(below(next).contains("more 1"), "{now}");
    for line in ["note 1\n", "note 0\n", "progress 0\n", "end 1\n", "- four\n"] {
        assert!(below(notes).contains(line), "{line:?} in {now}");
    }
    let progress = text(&drafts, Progress);
    assert!(progress.starts_with(&format!("# P\n\n{history}\n")), "{progress}");
    assert!(progress.ends_with("- 2026-01-02: old\n\n## Vision\nfar\n"), "{progress}");
}

const CLINE_ACTIVE: &str = "# Active Context\n\n## Current Work Focus\nPayment flow.\n\n## Recent Changes\n- Added Stripe\n\n## Next Steps\n1. Webhooks\n2. Refunds\n\n## Active Decisions\n- Use idempotency keys\n";
const CLINE_PROGRESS: &str = "# Progress\n\n## What Works\n- Login\n\n## What's Left to Build\n- [ ] Refunds\n\n## Current Status\nBeta.\n\n## Known Issues\n- Slow checkout\n";

#[test]
fn lists_in_progress_are_edited_there() {
    let mut drafts = bank(&[(ActiveContext, CLINE_ACTIVE), (Progress, CLINE_PROGRESS)]);
    let updated = update_tasks(&mut drafts, &tasks(json!({"add": ["Invoices", "refunds"]})), at()).unwrap();
    assert_eq!(
        updated.tasks,
        ["[ ] Refunds", "[ ] Invoices"],
        "a new task gets a check box where all have one"
    );
    assert_eq!(updated.changes.added, 1);
    update_active_context(&mut drafts, &context(json!({"issues": ["Slow search"]}))).unwrap();
    assert_eq!(text(&drafts, ActiveContext), CLINE_ACTIVE);
    assert_eq!(
        text(&drafts, Progress),
        CLINE_PROGRESS
            .replace("- [ ] Refunds\n", "- [ ] Refunds\n- [ ] Invoices\n")
            .replace("Slow checkout", "Slow search")
    );
    let updated = update_tasks(&mut drafts, &tasks(json!({"remove": ["invoices"]})), at()).unwrap();
    assert_eq!((updated.changes.removed, updated.tasks), (1, vec!["[ ] Refunds".to_owned()]));
    track_progress(&mut drafts, &step("x"), at(), "a").unwrap();
    let changed = "## Recent Changes\n- [2026-11-22 09:30:07 UTC] [a] - Did: x\n- Added Stripe\n";
    assert_eq!(
        text(&drafts, ActiveContext),
        CLINE_ACTIVE.replace("## Recent Changes\n- Added Stripe\n", changed)
    );
}

#[test]
fn exact_titles_precede_other_forms_and_sections_by_role() {
    for (before, after) in [
        ("## Backlog\n- b\n\n## Ongoing Tasks\n- a\n", "## Backlog\n- b\n\n## Ongoing Tasks\n- a\n- x\n"),
        (
            "## Backlog\n- b\n\n## 2. Ongoing Tasks:\n- a\n",
            "## Backlog\n- b\n\n## 2. Ongoing Tasks:\n- a\n- x\n",
        ),
        ("## Backlog\n- b\n\n## Todo\n- a\n", "## Backlog\n- b\n- x\n\n## Todo\n- a\n"),
    ] {
        let mut drafts = bank(&[(ActiveContext, before), (Progress, "## Ongoing Tasks\n- p\n")]);
        update_tasks(&mut drafts, &tasks(json!({"add": ["x"]})), at()).unwrap();
        assert_eq!(text(&drafts, ActiveContext), after);
        assert_eq!(text(&drafts, Progress), "## Ongoing Tasks\n- p\n");
    }
}

#[test]
fn replacing_a_list_keeps_other_sections_of_its_role() {
    let active = "## Ongoing Tasks\n- a\n\n## Backlog\n- b\n";
    let mut drafts = bank(&[(ActiveContext, active), (Progress, CLINE_PROGRESS)]);
    let updated = update_tasks(&mut drafts, &tasks(json!({"replace": ["x"]})), at()).unwrap();
    assert_eq!(text(&drafts, ActiveContext), active.replace("- a", "- x"));
    assert_eq!(text(&drafts, Progress), CLINE_PROGRESS);
    assert_eq!(updated.removed.items, ["- a"]);
    assert_eq!(updated.tasks, ["x", "b", "[ ] Refunds"]);
}

#[test]
fn finished_sections_get_no_open_items() {
    let active = "## Known Issues (resolved)\n- old\n\n## Ongoing Tasks (COMPLETED)\n- done\n";
    let mut drafts = bank(&[(ActiveContext, active)]);
    update_active_context(&mut drafts, &context(json!({"issues": ["i"], "tasks": ["t"]}))).unwrap();
    let now = text(&drafts, ActiveContext);
    assert!(now.starts_with(active), "{now}");
    assert!(now.contains("\n## Known Issues\n- i\n") && now.contains("\n## Ongoing Tasks\n- t\n"), "{now}");
}

const ROWS: &str = "# Current Context\n\n## Ongoing Tasks\n- [Task 1]\n- [Task 2]\n- [Task 3]\n\n## Known Issues\n- [Issue 1]\n- [Issue 2]\n\n## Next Steps\n- [Next step 1]\n- [Next step 2]\n- [Next step 3]\n\n## Current Session Notes\n- [Note 1]\n- [Note 2]\n";
const DECISION_ROWS: &str = "## Decision 1\n- **Date:** [Date]\n- **Context:** [Context]\n- **Decision:** [Decision]\n- **Alternatives Considered:** [Alternatives]\n- **Consequences:** [Consequences]\n";

#[test]
fn the_first_entry_replaces_a_template_row_which_is_not_counted() {
    let mut drafts = bank(&[
        (ActiveContext, ROWS),
        (
            Progress,
            "# P\n\n## Completed Milestones\n- [Milestone 1] - [Date]\n\n## Update History\n- [Date] - [Update]\n- [Date] - [Update]\n",
        ),
        (
            DecisionLog,
            &format!(
                "# Decision Log\n\n{DECISION_ROWS}\n{}",
                DECISION_ROWS.replace("Decision 1", "Decision 2")
            ),
        ),
    ]);
    let updated = update_tasks(&mut drafts, &tasks(json!({"add": ["Write the parser"]})), at()).unwrap();
    assert_eq!(
        (updated.tasks, updated.changes.added, updated.changes.removed),
        (vec!["Write the parser".to_owned()], 1, 0)
    );
    assert!(updated.removed.is_empty());
    let removed = update_active_context(&mut drafts, &context(json!({"issues": ["i"]}))).unwrap();
    assert!(removed.is_empty(), "{removed:?}");
    add_session_note(&mut drafts, &note("n"), at(), "a").unwrap();
    assert_eq!(
        text(&drafts, ActiveContext),
        "# Current Context\n\n## Ongoing Tasks\n- Write the parser\n\n## Known Issues\n- i\n\n## Next Steps\n- [Next step 1]\n- [Next step 2]\n- [Next step 3]\n\n## Current Session Notes\n- [2026-11-22 09:30:07 UTC] [a] - 🚧 Blocker: n\n",
        "other lists stay as they are"
    );
    log_decision(&mut drafts, &decision("Use nom"), at(), "a").unwrap();
    assert!(text(&drafts, DecisionLog).starts_with("# Decision Log\n\n## Use nom\n- **Date:** 2026"));
    assert_eq!(
        text(&drafts, Progress),
        "# P\n\n## Completed Milestones\n- [Milestone 1] - [Date]\n\n## Update History\n- [2026-11-22 09:30:07 UTC] [a] - Decision Made: Use nom\n"
    );
}

#[rstest]
#[case::a_row_that_somebody_went_on_with("- [Task 1] write it\n", "- [Task 1] write it\n- x\n")]
#[case::a_row_with_more_below("- [Task 1]\n  write it\n", "- [Task 1]\n  write it\n- x\n")]
#[case::a_row_with_a_nested_item("- [Task 1]\n  - write it\n", "- [Task 1]\n  - write it\n- x\n")]
#[case::a_link("- [Task 1](task.md)\n", "- [Task 1](task.md)\n- x\n")]
#[case::other_brackets("- [JIRA-1]\n- TBD\n", "- [JIRA-1]\n- TBD\n- x\n")]
#[case::among_real_ones("- a\n- [Task 2]\n- b\n\nProse.\n", "- a\n- b\n- x\n\nProse.\n")]
#[case::before_prose("- [Task 1]\n- [Task 2]\n\nProse.\n", "- x\n\nProse.\n")]
#[case::a_real_one_with_a_number(
    "- [Issue 12]\n- [Issue 1]\n- [Task 12]\n",
    "- [Issue 12]\n- [Issue 1]\n- [Task 12]\n- x\n"
)]
#[case::real_ones_in_brackets("- [Fix login]\n- [Issue #12]\n", "- [Fix login]\n- [Issue #12]\n- x\n")]
#[case::an_empty_bullet("*\n", "* x\n")]
fn only_a_template_row_is_replaced(#[case] before: &str, #[case] after: &str) {
    let mut drafts = bank(&[(ActiveContext, &format!("## Ongoing Tasks\n{before}"))]);
    update_tasks(&mut drafts, &tasks(json!({"add": ["x"]})), at()).unwrap();
    assert_eq!(text(&drafts, ActiveContext), format!("## Ongoing Tasks\n{after}"));
}

#[test]
fn a_partly_filled_decision_stays() {
    let begun = DECISION_ROWS.replace("[Context]", "load");
    let log = format!("# D\n\n{begun}\n{DECISION_ROWS}");
    let mut drafts = bank(&[(DecisionLog, &log)]);
    log_decision(&mut drafts, &decision("t"), at(), "a").unwrap();
    assert!(text(&drafts, DecisionLog).starts_with(&format!("{log}\n## t\n")), "it is not the first one");
}

#[test]
fn placeholders_are_refused_as_items() {
    for (name, arguments) in [("add", json!({"add": ["[Task 1]"]})), ("replace", json!({"replace": ["TBD"]}))]
    {
        let refused = update_tasks(&mut bank(&[]), &tasks(arguments), at()).unwrap_err().to_string();
        assert!(refused.starts_with(&format!("`{name}`: ")) && refused.contains("placeholder"), "{refused}");
    }
    let refused = update_active_context(&mut bank(&[]), &context(json!({"issues": ["None"]}))).unwrap_err();
    assert!(refused.to_string().contains("`clear`"), "{refused}");
}

/// Headings of each role in unusual forms.
fn dressed(titles: &'static [&'static str]) -> impl Strategy<Value = String> {
    let dress = prop::sample::select(vec![
        "{}",
        "1. {}",
        "{}:",
        "**{}**",
        "🚀 {}",
        "[{}]",
        "{} (now)",
        "2.1 **{}**:",
        "_{}_",
        "{} ✨",
        "`{}`",
        "{} #",
        "  {}",
    ]);
    let level = prop::sample::select(vec!["##", "###"]);
    (prop::sample::select(titles), dress, level)
        .prop_map(|(title, dress, level)| format!("{level} {}", dress.replace("{}", title)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_repeated_edit_creates_no_second_section(
        task in dressed(&["Ongoing Tasks", "Tasks", "Todo", "In Progress", "Backlog", "Offene Aufgaben", "Tâches", "任务", "タスク", "할 일"]),
        issue in dressed(&["Known Issues", "Blockers", "Bugs", "Bekannte Probleme", "Problèmes connus", "已知问题"]),
        next in dressed(&["Next Steps", "Up Next", "What's Next", "Nächste Schritte", "Следующие шаги", "次のステップ"]),
        history in dressed(&["Update History", "Changelog", "Recent Changes", "Progress Log", "Verlauf", "更新历史"]),
        in_progress in prop::bool::ANY,
        crlf in prop::bool::ANY,
    ) {
        let lists = format!("{task}\n- one\n\n{issue}\n- two\n\nProse.\n\n{next}\n- three\n");
        let notes = "## Session Notes\n- four\n";
        let (active, progress) = if in_progress {
            (format!("# A\n\n{notes}"), format!("# P\n\n{lists}\n{history}\n- old\n"))
        } else {
            (format!("# A\n\n{lists}\n{notes}"), format!("# P\n\n{history}\n- old\n"))
        };
        let ended = |text: String| if crlf { text.replace('\n', "\r\n") } else { text };
        let mut drafts = bank(&[(ActiveContext, &ended(active)), (Progress, &ended(progress))]);
        let before = [ActiveContext, Progress].map(|document| headings(&drafts, document));
        for round in 0..2 {
            all_edits(&mut drafts, round);
            let now = [ActiveContext, Progress].map(|document| headings(&drafts, document));
            prop_assert_eq!(&now, &before, "{:?}", drafts);
        }
        for document in [ActiveContext, Progress] {
            let now = text(&drafts, document);
            prop_assert_eq!(now.matches('\n').count(), if crlf { now.matches("\r\n").count() } else { now.lines().count() });
        }
        let kept = text(&drafts, if in_progress { Progress } else { ActiveContext });
        prop_assert!(kept.contains("Prose."), "{}", kept);
    }
}

#[test]
fn a_document_with_a_camel_case_name_is_edited_without_a_second_one() {
    let (old, new) = (super::path("activeContext.md"), ActiveContext.path());
    assert!(UpdateTasks::paths().contains(&old) && AddSessionNote::paths().contains(&old));
    let drafts_of = |old_text: Option<&str>, new_text: Option<&str>| {
        let mut drafts = bank(&[(Progress, "# P\n")]);
        let stored = |name: &str, text: Option<&str>| text.map(|text| super::stored(name, text));
        // A store without a document of the old name finds the new one.
        drafts.load(
            old.clone(),
            stored("activeContext.md", old_text).or_else(|| stored("active-context.md", new_text)),
        );
        drafts.load(new.clone(), stored("active-context.md", new_text));
        drafts
    };
    let changed = |drafts: &Drafts| -> Vec<String> {
        let changes =
            drafts.changes().filter(|(_, before, after)| before.map(|one| one.content.as_str()) != *after);
        changes.map(|(path, _, _)| path.to_string()).collect()
    };
    for (old_text, new_text, place) in [
        (Some("# A\n\n## Tasks\n- a\n"), None, "activeContext.md"),
        (None, Some("# A\n\n## Tasks\n- a\n"), "active-context.md"),
        (Some("# Old\n"), Some("# A\n\n## Tasks\n- a\n"), "active-context.md"),
        (None, None, "active-context.md"),
    ] {
        let mut drafts = drafts_of(old_text, new_text);
        let updated = update_tasks(&mut drafts, &tasks(json!({"add": ["x"]})), at()).unwrap();
        assert_eq!(updated.tasks.last().map(String::as_str), Some("x"));
        add_session_note(&mut drafts, &note("n"), at(), "a").unwrap();
        assert_eq!(changed(&drafts), [place]);
    }
}
