//! Headings and lines of real layouts.

use rstest::rstest;

use super::Role::{self, Decision, Done, Focus, Issue, NextStep, Note, Question, RecentChange, Status, Task};
use super::*;

#[rstest]
// Headings of this server
#[case("Ongoing Tasks", Some(Task))]
#[case("Known Issues", Some(Issue))]
#[case("Next Steps", Some(NextStep))]
#[case("Current Session Notes", Some(Note))]
#[case("Update History", Some(RecentChange))]
#[case("Completed Milestones", Some(Done))]
#[case("Pending Milestones", Some(Task))]
#[case("Current Project State", Some(Status))]
// Numbers, emphasis, emoji, colons, brackets
#[case("1. Ongoing Tasks:", Some(Task))]
#[case("2.3 Known issues", Some(Issue))]
#[case("IV. Next Steps", Some(NextStep))]
#[case("**Known Issues**", Some(Issue))]
#[case("Next Steps (In Priority Order)", Some(NextStep))]
#[case("🎯 Current Focus", Some(Focus))]
#[case("✅ Done", Some(Done))]
#[case("🔄 In Progress", Some(Task))]
#[case("📋 Next", Some(NextStep))]
#[case("🚧 Work in Progress 🚧", Some(Task))]
#[case("  recent   CHANGES  ", Some(RecentChange))]
#[case("`Known Issues`", Some(Issue))]
#[case("[Known Issues]", Some(Issue))]
#[case("【当前任务】", Some(Task))]
#[case("Recent Changes (2026-11-26)", Some(RecentChange))]
#[case("Recent Changes 2026", Some(RecentChange))]
#[case("Ongoing Tasks (3)", Some(Task))]
#[case("✅", Some(Done))]
// Cline's and Kilo's
#[case("Current Work Focus", Some(Focus))]
#[case("Recent Changes", Some(RecentChange))]
#[case("Active Decisions and Considerations", Some(Decision))]
#[case("Active Decisions & Considerations", Some(Decision))]
#[case("What Works", Some(Done))]
#[case("What's Working", Some(Done))]
#[case("What’s Left to Build", Some(Task))]
#[case("What's left", Some(Task))]
#[case("Current Status", Some(Status))]
#[case("Evolution of Project Decisions", Some(Decision))]
// Roo's and Cursor's
#[case("Open Questions/Issues", Some(Issue))]
#[case("Current Tasks", Some(Task))]
#[case("Completed Tasks", Some(Done))]
#[case("Active Task", Some(Task))]
#[case("To Do", Some(Task))]
#[case("TODO", Some(Task))]
// Headings written by people
#[case("Current Focus: Payment flow", Some(Focus))]
#[case("Immediate Next Steps for Phase 2", Some(NextStep))]
#[case("Known Bugs and Limitations", Some(Issue))]
#[case("What doesn't work", Some(Issue))]
#[case("Backend Tasks", Some(Task))]
#[case("Tasks for this week", Some(Task))]
#[case("Remaining Work", Some(Task))]
#[case("Phase 2: Storage (COMPLETED)", Some(Done))]
#[case("Phase 2: Storage - Completed", Some(Done))]
#[case("Phase 3: Search (in progress)", Some(Task))]
#[case("Sprint 4 – Planned", Some(NextStep))]
#[case("Known Issues (Resolved)", Some(Done))]
#[case("Resolved Issues", Some(Done))]
#[case("To be completed", Some(Task))]
#[case("Open Questions", Some(Question))]
#[case("Pending Decisions", Some(Question))]
#[case("Recent Decisions", Some(Decision))]
#[case("Blockers & Risks", Some(Issue))]
#[case("Session Summary", Some(RecentChange))]
#[case("Recent Significant Changes", Some(RecentChange))]
#[case("Next Immediate Steps", Some(NextStep))]
#[case("Current Development Focus", Some(Focus))]
#[case("Things that are broken", Some(Issue))]
// Two languages
#[case("Ongoing Tasks / Aktuelle Aufgaben", Some(Task))]
#[case("Aktuelle Aufgaben | Ongoing Tasks", Some(Task))]
#[case("下一步 (Next Steps)", Some(NextStep))]
#[case("Focus actuel — Current focus", Some(Focus))]
// Headings without a role
#[case("Architecture", None)]
#[case("Overview", None)]
#[case("Update History Archive", None)]
#[case("Decision Template", None)]
#[case("Next Steps Template", None)]
#[case("Task 1", None)]
#[case("Task 12: Set up CI", None)]
#[case("Bug: crash on start", None)]
#[case("Decision: Use nom", None)]
#[case("Task Management Guidelines", None)]
#[case("State Management", None)]
#[case("Current Workflow", None)]
#[case("", None)]
#[case("---", None)]
#[case("2026-11-26", None)]
fn headings_have_a_role(#[case] title: &str, #[case] role: Option<Role>) {
    assert_eq!(Role::of_heading(title), role, "{title}");
}

#[rstest]
#[case("Aktueller Fokus", Focus)]
#[case("Nächste Schritte", NextStep)]
#[case("Naechste Schritte", NextStep)]
#[case("Was noch zu tun ist", Task)]
#[case("Bekannte Probleme und Fehler", Issue)]
#[case("Letzte Änderungen", RecentChange)]
#[case("Was funktioniert", Done)]
#[case("Architekturentscheidungen", Decision)]
#[case("Offene Fragen", Question)]
#[case("Tâches en cours", Task)]
#[case("Taches en cours", Task)]
#[case("Prochaines étapes :", NextStep)]
#[case("Ce qui reste à faire", Task)]
#[case("Problèmes connus", Issue)]
#[case("Décisions d’architecture", Decision)]
#[case("Modifications récentes", RecentChange)]
#[case("Ce qui fonctionne", Done)]
#[case("Enfoque actual", Focus)]
#[case("Próximos pasos", NextStep)]
#[case("Tareas pendientes", Task)]
#[case("Lo que falta por construir", Task)]
#[case("Cambios recientes", RecentChange)]
#[case("Foco atual", Focus)]
#[case("Próximos Passos", NextStep)]
#[case("O que funciona", Done)]
#[case("Pendências", Task)]
#[case("Mudanças recentes", RecentChange)]
#[case("Attività in corso", Task)]
#[case("Prossimi passi", NextStep)]
#[case("Problemi noti", Issue)]
#[case("Cosa funziona", Done)]
#[case("Текущий фокус", Focus)]
#[case("Следующие шаги", NextStep)]
#[case("Текущие задачи:", Task)]
#[case("Известные проблемы", Issue)]
#[case("Последние изменения", RecentChange)]
#[case("Что осталось сделать", Task)]
#[case("Принятые решения", Decision)]
#[case("Następne kroki", NextStep)]
#[case("Nastepne kroki", NextStep)]
#[case("Znane błędy", Issue)]
#[case("Do zrobienia", Task)]
#[case("Ostatnie zmiany", RecentChange)]
#[case("当前焦点", Focus)]
#[case("一、当前任务", Task)]
#[case("下一步计划", NextStep)]
#[case("已知问题", Issue)]
#[case("最近的更改", RecentChange)]
#[case("已完成的功能", Done)]
#[case("未完成任务", Task)]
#[case("本周任务", Task)]
#[case("架构决策记录", Decision)]
#[case("待辦事項", Task)]
#[case("現在のフォーカス", Focus)]
#[case("次のステップ", NextStep)]
#[case("進行中のタスク：", Task)]
#[case("既知の課題", Issue)]
#[case("最近の変更点", RecentChange)]
#[case("決定事項", Decision)]
#[case("動作しているもの", Done)]
#[case("현재 작업 초점", Focus)]
#[case("진행 중인 작업", Task)]
#[case("다음 단계", NextStep)]
#[case("다음단계", NextStep)]
#[case("알려진 문제", Issue)]
#[case("최근 변경 사항", RecentChange)]
#[case("결정 사항", Decision)]
fn headings_of_other_languages_have_a_role(#[case] title: &str, #[case] role: Role) {
    assert_eq!(Role::of_heading(title), Some(role), "{title}");
}

#[rstest]
#[case("Decision")]
#[case("Decisions")]
#[case("Decision 1")]
#[case("**Rationale:**")]
#[case("Implementation Details")]
#[case("Context & Problem Statement")]
#[case("Alternatives Considered")]
#[case("Konsequenzen")]
#[case("Begründung")]
#[case("Détails d'implémentation")]
#[case("Consecuencias")]
#[case("Justificativa")]
#[case("Motivazione")]
#[case("Обоснование")]
#[case("Uzasadnienie")]
#[case("实现细节")]
#[case("理由")]
#[case("決定事項")]
#[case("구현 세부 사항")]
fn parts_of_a_record_are_not_titles(#[case] title: &str) {
    assert!(is_structural(title), "{title}");
}

#[rstest]
#[case("Use hooks for state")]
#[case("Decision: Use nom")]
#[case("ADR-001: Context propagation")]
#[case("Drop the context provider")]
fn titles_of_decisions_are_not_parts(#[case] title: &str) {
    assert!(!is_structural(title), "{title}");
}

#[rstest]
#[case("- [Task 1]")]
#[case("* [ ] [Task 1]")]
#[case("1. [Next step 1]")]
#[case("- [Milestone 1] - [Date]")]
#[case("- [Date] - [Update]")]
#[case("- **Date:** [Date]")]
#[case("- **Alternatives Considered:** [Alternatives]")]
#[case("## Decision 1 [Date]")]
#[case("Decision 1 [Date]")]
#[case("[YYYY-MM-DD HH:MM:SS] - [Summary of the change]")]
#[case("[Project description]")]
#[case("{{task}}")]
#[case("<Describe the task>")]
#[case("*")]
#[case("-")]
#[case("* ")]
#[case("- [ ]")]
#[case("...")]
#[case("<!-- tasks go here -->")]
#[case("<!-- open")]
#[case("- TBD")]
#[case("- N/A")]
#[case("None")]
#[case("- None at this time.")]
#[case("_None yet_")]
#[case("No known issues at this time")]
#[case("- No blockers currently")]
#[case("Keine")]
#[case("Derzeit keine bekannten Probleme.")]
#[case("Aucun pour l’instant")]
#[case("Ninguno por ahora")]
#[case("Nenhum no momento.")]
#[case("Nessuno al momento")]
#[case("Нет")]
#[case("Известных проблем пока нет")]
#[case("Brak")]
#[case("暂无")]
#[case("目前没有已知问题。")]
#[case("特になし")]
#[case("既知の問題はありません。")]
#[case("없음")]
#[case("알려진 문제 없음")]
#[case("2025-03-01 01:00:00 - Log of updates made.")]
#[case("(Add your tasks here)")]
#[case("- [Project structure description]")]
#[case("- [Note 2]")]
#[case("- [Add your tasks here]")]
#[case("[Describe the current focus]")]
#[case("- [任务1]")]
#[case("- [Beschreibung]")]
#[case("This file records architectural and implementation decisions using a list format.")]
fn rows_without_content_are_placeholders(#[case] line: &str) {
    assert!(is_placeholder(line), "{line}");
}

#[rstest]
#[case("- Task 1")]
#[case("- [ ] Write the parser")]
#[case("- [x] done: parser")]
#[case("[2026-08-30 10:49:40] - Use hooks for state.")]
#[case("[2026-11-22 09:30:07] [alice] - Did: thing")]
#[case("- [the guide](docs/guide.md)")]
#[case("[[wiki link]]")]
#[case("- [JIRA-123]")]
#[case("Status: [In Progress]")]
#[case("- None of the workers restart after a crash")]
#[case("No retries are made when the queue is full")]
#[case("- Add pagination to the list")]
#[case("- `Vec<T>` is too slow")]
#[case("Nessun test copre il modulo dei pagamenti")]
#[case("<https://example.org/issue>")]
#[case("- [api] returns 500 on empty body")]
#[case("2026-08-30")]
#[case("没有缓存导致首页很慢")]
#[case("Date: 2026-08-30")]
#[case("- [Fix login]")]
#[case("- [Issue #12]")]
#[case("- [Issue 12]")]
#[case("- [Release 2.0]")]
#[case("- [Add tests]")]
#[case("- [ ] [Add tests]")]
#[case("- [Task one: rewrite parser]")]
#[case("- [Update docs]")]
#[case("- <Fix login>")]
#[case("- {Fix login}")]
#[case("- (Add pagination to the list)")]
#[case("- Owner: [Bob]")]
#[case("- [修复登录]")]
fn rows_with_content_are_not_placeholders(#[case] line: &str) {
    assert!(!is_placeholder(line), "{line}");
}

#[test]
fn a_section_of_nothing_but_placeholders_has_no_content() {
    assert!(!has_content("\n*   \n\n- [Decision]\n### [Title]\n<!--\n- a\n-->\nTBD\n"));
    assert!(has_content("- [Decision]\n\nUse nom.\n"));
}

#[test]
fn template_rows_are_removed_from_text_but_not_from_code() {
    let text = "# [Title]\n- [Task 1]\n- real\n```\n[list]\n```\n- **Date:** [Date]\n{\n";
    assert_eq!(without_template_rows(text), "# [Title]\n- real\n```\n[list]\n```\n{\n");
    assert_eq!(without_template_rows("- a [link](x)\n"), "- a [link](x)\n");
}

#[test]
fn sections_are_found_by_role_and_none_within_another() {
    let text = "# Tasks\n\n## Backlog\n- b\n\n### To do\n- c\n\n## 1. Ongoing Tasks:\n- a\n\n## Notes\n";
    let outline = Outline::of(text);
    let titles: Vec<_> = sections(&outline, Task, &["Ongoing Tasks"])
        .iter()
        .map(|section| section.heading.title.to_string())
        .collect();
    assert_eq!(titles, ["1. Ongoing Tasks:", "Backlog"]);
}

#[test]
fn every_phrase_of_the_table_is_found() {
    for (role, text) in phrases::phrases() {
        for phrase in text.split(',').map(str::trim) {
            let found = Role::of_heading(phrase);
            assert!(found.is_some(), "{phrase} ({role:?})");
        }
    }
}

#[test]
fn the_template_of_a_new_bank_has_no_content() {
    use crate::document::CoreDocument;
    for document in CoreDocument::ALL {
        assert!(!has_content(document.template()), "{}", document.name());
    }
}
