//! Rows of a table, by the heads of their columns.

use jiff::civil::DateTime;

use super::line_state::{content, plain};
use crate::document::date::dated;
use crate::document::roles::{Role, is_placeholder, is_structural};
use crate::unicode::is_alphabetic;

/// Heads of columns with a status.
const STATUS_HEADS: &[&str] = &[
    "status",
    "state",
    "progress",
    "done",
    "stand",
    "zustand",
    "fortschritt",
    "état",
    "statut",
    "avancement",
    "estado",
    "progreso",
    "situação",
    "andamento",
    "progresso",
    "stato",
    "avanzamento",
    "статус",
    "состояние",
    "stan",
    "状态",
    "狀態",
    "进度",
    "進度",
    "ステータス",
    "状態",
    "状況",
    "進捗",
    "상태",
    "진행",
    "완료",
];

/// Heads of columns with a date.
const DATE_HEADS: &[&str] = &[
    "date",
    "datum",
    "fecha",
    "data",
    "дата",
    "日期",
    "日付",
    "날짜",
    "when",
    "updated",
    "last updated",
    "time",
];

/// Heads of columns that do not name the item.
const OTHER_HEADS: &[&str] = &[
    "id",
    "#",
    "no",
    "nr",
    "number",
    "date",
    "datum",
    "fecha",
    "data",
    "дата",
    "日期",
    "日付",
    "날짜",
    "priority",
    "prio",
    "priorität",
    "priorité",
    "prioridad",
    "prioridade",
    "priorità",
    "приоритет",
    "priorytet",
    "优先级",
    "優先度",
    "우선순위",
    "owner",
    "when",
    "time",
    "编号",
    "番号",
    "번호",
];

/// The content of a row.
pub(super) struct Row {
    pub(super) words: String,
    pub(super) status: Option<String>,
    pub(super) date: Option<DateTime>,
}

impl Row {
    pub(super) fn of(cells: &[(String, String)]) -> Option<Self> {
        let is = |head: &str, names: &[&str]| {
            let head = plain(head).to_lowercase();
            names.iter().any(|name| {
                head == *name || head.starts_with(&format!("{name} ")) || head.ends_with(&format!(" {name}"))
            })
        };
        let status = cells.iter().find(|(head, _)| is(head, STATUS_HEADS));
        let date = cells.iter().find_map(|(head, cell)| is(head, DATE_HEADS).then(|| dated(cell)).flatten());
        let skip = |head: &str, cell: &str| is(head, OTHER_HEADS) || !cell.chars().any(is_alphabetic);
        let words = cells
            .iter()
            .filter(|cell| Some(*cell) != status)
            .find(|(head, cell)| !skip(head, cell) && !is_placeholder(cell))
            .map(|(_, cell)| plain(cell))?;
        let status = status.map(|(_, cell)| cell.clone()).filter(|cell| !cell.is_empty());
        (!words.is_empty() && content(&words).is_some() && !is_structural_row(&words)).then(|| Self {
            words,
            status,
            date: date.map(|(date, _)| date),
        })
    }
}

fn is_structural_row(words: &str) -> bool {
    words.len() < 12 && is_structural(words) && Role::of_heading(words) == Some(Role::Status)
}
