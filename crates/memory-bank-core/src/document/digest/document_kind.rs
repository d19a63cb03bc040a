//! The purpose of a document, by its name, in the layouts of known banks.

use crate::hooks::is_session_records;
use crate::import::IMPORT_FOLDER;
use crate::unicode::is_alphanumeric;

/// The purpose of a document, in the order in which documents are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum DocumentKind {
    /// Current work.
    Active,
    /// Finished work.
    Progress,
    /// Lists of work.
    Tasks,
    /// Decisions.
    Decisions,
    /// Anything else.
    Other,
    /// The project.
    Product,
    /// Conventions of the project.
    Patterns,
    /// Records.
    Archive,
}

/// Folders of archives and templates, and of files of other agents, whose rules and notes are not the state of the project.
const ARCHIVE_FOLDERS: &[&str] =
    &["archive", "archives", "archived", "old", "templates", "template", "backup", IMPORT_FOLDER];

/// Beginnings of names of documents on current work.
const ACTIVE_PREFIXES: &[&str] = &[
    "activecontext",
    "currentcontext",
    "activework",
    "aktiverkontext",
    "contexteactif",
    "contextoactiv",
    "contextoativo",
];

/// Names of documents on current work.
const ACTIVE_NAMES: &[&str] = &[
    "context",
    "active",
    "current",
    "currenttask",
    "currentwork",
    "currentstate",
    "currentfocus",
    "currentsession",
    "session",
    "handoff",
    "handover",
    "nextsession",
    "kontext",
    "contexte",
    "contexto",
    "contesto",
    "aktuellerstand",
    "aktuellerkontext",
    "projectstate",
    "projectstatus",
    "estadoactual",
    "estadoatual",
    "étatactuel",
    "текущеесостояние",
    "当前任务",
    "当前状态",
    "当前工作",
    "現在のタスク",
    "контекст",
    "активныйконтекст",
    "kontekst",
    "aktywnykontekst",
    "当前上下文",
    "活动上下文",
    "當前上下文",
    "アクティブコンテキスト",
    "現在の状況",
    "활성컨텍스트",
    "현재컨텍스트",
];

/// Beginnings of names of decision logs.
const DECISION_PREFIXES: &[&str] = &[
    "decision",
    "adr",
    "entscheidung",
    "décision",
    "decisao",
    "decisã",
    "decisió",
    "решени",
    "decyzj",
    "决策",
    "決定",
    "決策",
    "결정",
];

/// Folders of decisions.
const DECISION_FOLDERS: &[&str] = &["adr", "adrs", "decisions", "decision-log", "decision-records"];

/// Beginnings of names of documents on finished work.
const PROGRESS_PREFIXES: &[&str] = &[
    "progress",
    "fortschritt",
    "progression",
    "avancement",
    "progreso",
    "avance",
    "progresso",
    "прогресс",
    "postęp",
    "postep",
    "进度",
    "進度",
    "进展",
    "進捗",
    "진행",
];

/// Names of documents on finished work.
const PROGRESS_NAMES: &[&str] = &[
    "changelog",
    "history",
    "worklog",
    "devlog",
    "journal",
    "log",
    "status",
    "sessionlog",
    "updates",
    "milestones",
];

/// Beginnings of names of lists of work.
const TASK_PREFIXES: &[&str] = &[
    "task",
    "todo",
    "backlog",
    "aufgaben",
    "tache",
    "tâche",
    "tarea",
    "tarefa",
    "attivit",
    "compiti",
    "задач",
    "zadani",
    "任务",
    "任務",
    "タスク",
    "작업",
    "할일",
    "knownissue",
    "issue",
    "bugs",
    "blocker",
    "nextstep",
    "roadmap",
];

/// Folders of lists of work.
const TASK_FOLDERS: &[&str] = &["tasks", "issues", "todo"];

/// Beginnings of names of documents on the project.
const PRODUCT_PREFIXES: &[&str] =
    &["productcontext", "projectbrief", "projectcontext", "projectoverview", "prd", "readme"];

/// Names of documents on the project.
const PRODUCT_NAMES: &[&str] =
    &["brief", "product", "project", "overview", "projekt", "produktkontext", "vision", "goals"];

/// Beginnings of names of documents on conventions.
const PATTERN_PREFIXES: &[&str] =
    &["systempattern", "techcontext", "architecture", "styleguide", "codingstandard", "tech"];

/// Names of documents on conventions.
const PATTERN_NAMES: &[&str] =
    &["patterns", "stack", "conventions", "glossary", "api", "creative", "rules", "projectrules"];

/// Folders of documents on conventions.
const PATTERN_FOLDERS: &[&str] = &["creative", "reference", "docs"];

impl DocumentKind {
    /// By the name as stored, with its folders.
    pub(super) fn of(name: &str) -> Self {
        let lower = name.to_lowercase();
        let mut folders: Vec<&str> = lower.split('/').collect();
        let file = folders.pop().unwrap_or_default();
        let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
        let bare: String = stem.chars().filter(|character| is_alphanumeric(*character)).collect();
        let within = |names: &[&str]| folders.iter().any(|folder| names.contains(folder));
        let is = |names: &[&str]| names.contains(&bare.as_str());
        let begins = |names: &[&str]| names.iter().any(|name| bare.starts_with(name));
        if within(ARCHIVE_FOLDERS)
            || bare.contains("archive")
            || bare.contains("template")
            || is_session_records(name)
        {
            Self::Archive
        } else if begins(ACTIVE_PREFIXES) || is(ACTIVE_NAMES) {
            Self::Active
        } else if begins(DECISION_PREFIXES) || within(DECISION_FOLDERS) {
            Self::Decisions
        } else if begins(PROGRESS_PREFIXES) || is(PROGRESS_NAMES) {
            Self::Progress
        } else if begins(TASK_PREFIXES) || within(TASK_FOLDERS) {
            Self::Tasks
        } else if begins(PRODUCT_PREFIXES) || is(PRODUCT_NAMES) {
            Self::Product
        } else if begins(PATTERN_PREFIXES) || is(PATTERN_NAMES) || within(PATTERN_FOLDERS) {
            Self::Patterns
        } else {
            Self::Other
        }
    }

    /// Whether its focus, status, changes and finished work describe the current state of the project.
    pub(super) fn is_current(self) -> bool {
        matches!(self, Self::Active | Self::Progress | Self::Tasks | Self::Other)
    }
}

/// Whether a name has a word for decisions anywhere, as `architecture-decisions.md` and `docs-adr-0001.md` have.
pub(super) fn names_decisions(name: &str) -> bool {
    let lower = name.to_lowercase();
    let is_record = |word: &str| {
        let word = word.trim_end_matches(|character: char| character.is_ascii_digit());
        // The letters occur in other words.
        matches!(word, "adr" | "adrs")
    };
    DocumentKind::of(name) == DocumentKind::Decisions
        || DECISION_PREFIXES.iter().any(|word| *word != "adr" && lower.contains(word))
        || lower.split(|character: char| !is_alphanumeric(character)).any(is_record)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("active-context.md", DocumentKind::Active)]
    #[case("activeContext.md", DocumentKind::Active)]
    #[case("memory-bank/active_context.md", DocumentKind::Active)]
    #[case("context.md", DocumentKind::Active)]
    #[case("currentTask.md", DocumentKind::Active)]
    #[case("aktueller-stand.md", DocumentKind::Active)]
    #[case("当前任务.md", DocumentKind::Active)]
    #[case("progress.md", DocumentKind::Progress)]
    #[case("decisionLog.md", DocumentKind::Decisions)]
    #[case("adr/0001-use-nom.md", DocumentKind::Decisions)]
    #[case("tasks.md", DocumentKind::Tasks)]
    #[case("tasks/_index.md", DocumentKind::Tasks)]
    #[case("productContext.md", DocumentKind::Product)]
    #[case("projectbrief.md", DocumentKind::Product)]
    #[case("systemPatterns.md", DocumentKind::Patterns)]
    #[case("creative/creative-auth.md", DocumentKind::Patterns)]
    #[case("progress-archive-2026-11.md", DocumentKind::Archive)]
    #[case("archive/old-tasks.md", DocumentKind::Archive)]
    #[case("imported/obsidian/progress.md", DocumentKind::Archive)]
    #[case("notes.md", DocumentKind::Other)]
    #[case("session-records.md", DocumentKind::Archive)]
    fn a_name_determines_the_kind_of_a_document(#[case] name: &str, #[case] kind: DocumentKind) {
        assert_eq!(DocumentKind::of(name), kind);
    }

    #[rstest]
    #[case("decision-log.md", true)]
    #[case("decision-log-archive-2026-11.md", true)]
    #[case("architecture-decisions.md", true)]
    #[case("architectureDecisions.md", true)]
    #[case("docs-adr-0001.md", true)]
    #[case("docs/adr0001-use-nom.md", true)]
    #[case("架构决策.md", true)]
    #[case("adr.md", true)]
    #[case("system-patterns.md", false)]
    #[case("quadrants.md", false)]
    #[case("cadre.md", false)]
    fn a_name_determines_whether_marks_end_entries(#[case] name: &str, #[case] expected: bool) {
        assert_eq!(names_decisions(name), expected);
    }
}
