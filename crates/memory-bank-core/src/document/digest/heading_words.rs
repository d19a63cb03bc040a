//! Words of headings and labels, in eleven languages, that decide how the lines below are read.

use super::line_state::{labelled, plain};
use crate::document::roles::is_one_of;
use crate::unicode::{is_alphabetic, is_alphanumeric};

/// Whether a heading is a numbered session: "Session 3".
pub(super) fn is_session(title: &str) -> bool {
    let bare = title.trim_start_matches(|character: char| !is_alphanumeric(character));
    // The headings of a log begin with a date.
    if bare.starts_with(|first: char| first.is_ascii_digit()) {
        return false;
    }
    let bare = bare.to_lowercase();
    let words = [
        "session",
        "sitzung",
        "séance",
        "sesión",
        "sessão",
        "sessione",
        "сессия",
        "sesja",
        "会话",
        "會話",
        "セッション",
        "세션",
        "day ",
        "tag ",
        "jour ",
        "день ",
    ];
    words.iter().any(|word| bare.starts_with(word)) && number_in(title).is_some()
}

/// Whether a heading is only the number of a session, without a topic: "Session 3 (2026-11-22)".
pub(super) fn is_number_only(title: &str) -> bool {
    let words = |character: &char| is_alphabetic(*character);
    is_session(title) && title.chars().filter(words).count() <= "session".len() + 2
}

/// Whether a heading is that of the current task.
pub(super) fn is_current_task(title: &str) -> bool {
    const TITLES: &[&str] = &[
        "current task",
        "active task",
        "aktuelle aufgabe",
        "tâche en cours",
        "tâche actuelle",
        "tarea actual",
        "tarefa atual",
        "attività corrente",
        "текущая задача",
        "bieżące zadanie",
        "当前任务",
        "當前任務",
        "現在のタスク",
        "현재 과제",
    ];
    is_one_of(title, TITLES)
}

/// Whether a heading is about criteria of success.
pub(super) fn is_criteria(title: &str) -> bool {
    let lower = title.to_lowercase();
    let words = [
        "success criteria",
        "success metric",
        "acceptance criteria",
        "definition of done",
        "erfolgskriteri",
        "abnahmekriteri",
        "akzeptanzkriteri",
        "critères de",
        "criterios de",
        "critérios de",
        "criteri di",
        "критерии",
        "kryteria",
        "成功标准",
        "成功標準",
        "验收标准",
        "成功基準",
        "受け入れ基準",
        "성공 기준",
    ];
    words.iter().any(|word| lower.contains(word))
}

/// Whether a heading is about the past.
pub(super) fn is_past(title: &str) -> bool {
    let lower = title.to_lowercase();
    ["archive", "archived", "previous focus", "old ", "deprecated", "archiv", "归档", "アーカイブ"]
        .iter()
        .any(|word| lower.contains(word))
}

/// Whether a heading is about an earlier session than the last one.
pub(super) fn is_earlier_session(title: &str) -> bool {
    let bare = title.trim_start_matches(|character: char| !is_alphanumeric(character));
    if bare.starts_with(|first: char| first.is_ascii_digit()) {
        return false;
    }
    let bare = bare.to_lowercase();
    let words = [
        "previous",
        "earlier",
        "prior ",
        "past session",
        "older",
        "frühere",
        "vorherige",
        "vorige",
        "précédent",
        "sesión anterior",
        "sessão anterior",
        "sesiones anteriores",
        "sessioni precedenti",
        "sessione precedente",
        "предыдущ",
        "прошл",
        "poprzedni",
        "wcześniejsz",
        "之前的",
        "以前的",
        "前回",
        "以前の",
        "이전 세션",
        "지난 세션",
    ];
    words.iter().any(|word| bare.starts_with(word))
}

/// Whether the words beside a date are a version number.
pub(super) fn is_version(words: &str) -> bool {
    let bare = words.replace("Unreleased", "");
    bare.chars().filter(|character| is_alphabetic(*character)).count() <= 1
        || bare
            .to_lowercase()
            .trim_start_matches(['[', ' '])
            .strip_prefix("version")
            .is_some_and(|rest| !rest.chars().any(is_alphabetic))
}

/// The number of a numbered heading: of a session, phase, sprint, day or version.
pub(super) fn number_in(title: &str) -> Option<u64> {
    const NUMBERED_WORDS: &[&str] = &[
        "session",
        "phase",
        "sprint",
        "day",
        "week",
        "iteration",
        "step",
        "part",
        "v",
        "version",
        "sitzung",
        "tag",
        "woche",
        "séance",
        "jour",
        "semaine",
        "sesión",
        "día",
        "semana",
        "sessão",
        "dia",
        "sessione",
        "giorno",
        "settimana",
        "сессия",
        "день",
        "неделя",
        "этап",
        "sesja",
        "dzień",
        "tydzień",
        "etap",
        "adr",
        "release",
        "milestone",
    ];
    if !title.bytes().any(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let lower = title.to_lowercase();
    let mut before = "";
    for word in lower.split(|character: char| !is_alphanumeric(character)).filter(|word| !word.is_empty()) {
        let is_digits = |text: &str| text.starts_with(|first: char| first.is_ascii_digit());
        if is_digits(word)
            && !is_digits(before)
            && NUMBERED_WORDS.contains(&before)
            && let Ok(number) = word.parse()
        {
            return Some(number);
        }
        before = word;
    }
    None
}

/// Whether a line is metadata of the section: `**Priority:** high`.
pub(super) fn is_metadata(text: &str) -> bool {
    const LABELS: &[&str] = &[
        "status",
        "complexity",
        "priority",
        "level",
        "owner",
        "assignee",
        "assigned",
        "created",
        "started",
        "start date",
        "due",
        "due date",
        "deadline",
        "type",
        "branch",
        "estimate",
        "effort",
        "last updated",
        "updated",
        "date",
        "version",
        "phase",
        "progress",
        "stand",
        "priorität",
        "verantwortlich",
        "statut",
        "priorité",
        "responsable",
        "estado",
        "prioridad",
        "prioridade",
        "stato",
        "priorità",
        "статус",
        "приоритет",
        "priorytet",
        "状态",
        "优先级",
        "状態",
        "優先度",
        "상태",
        "우선순위",
    ];
    labelled(text).is_some_and(|(label, _)| LABELS.contains(&plain(label).to_lowercase().as_str()))
}
