//! The role of a section, by the words of its heading: the current focus, open tasks, issues, next steps, and so on,
//! in the layouts and languages of known banks. Reading and editing use the same rules, so that an edit never creates
//! a second section with the same meaning.
//!
//! [`Role::of_heading`] classifies one heading, [`sections`] finds the sections of a document, [`is_placeholder`]
//! detects empty lines of templates. This module only reads; it must not know what a digest or an edit is.

mod normal;
mod placeholder;
mod table;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use serde::Serialize;

pub(in crate::document) use self::normal::is_cjk;
use self::normal::{Title, words};
pub use self::placeholder::{has_content, is_nothing, is_placeholder, without_template_rows};
use crate::document::section::{Outline, Section};

/// The role of a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// Current work.
    Focus,
    /// The state of the whole project.
    Status,
    /// Work that is open.
    Task,
    /// Problems: issues, blockers, risks, limitations.
    Issue,
    /// Next steps.
    NextStep,
    /// Recent events: changes, updates, the history.
    RecentChange,
    /// Finished work.
    Done,
    /// Decisions.
    Decision,
    /// Open questions.
    Question,
    /// Notes of a session, of any kind.
    Note,
}

/// Words that name one thing, not a list of them: with a number or a name behind them they head a single entry.
const SINGULAR: &[&str] = &[
    "task",
    "issue",
    "bug",
    "problem",
    "decision",
    "question",
    "note",
    "error",
    "fehler",
    "aufgabe",
    "entscheidung",
    "tache",
    "probleme",
    "tarea",
    "tarefa",
    "problema",
    "decisao",
    "decisione",
    "задача",
    "проблема",
    "решение",
    "zadanie",
    "decyzja",
    "next",
    "adr",
    "history",
    "log",
];

/// Words that decide a heading which ends with them ("Backend Tasks").
const HEADS_AT_END: &[&str] = &[
    "tasks",
    "issues",
    "bugs",
    "todos",
    "blockers",
    "decisions",
    "questions",
    "aufgaben",
    "probleme",
    "entscheidungen",
    "fragen",
];

/// Words that decide a heading which begins with them ("Tareas de la semana").
const HEADS_AT_START: &[&str] = &[
    "tareas",
    "tarefas",
    "taches",
    "attivita",
    "compiti",
    "problemes",
    "problemas",
    "problemi",
    "decisiones",
    "decisoes",
    "decisioni",
    "preguntas",
    "perguntas",
    "domande",
    "aufgaben",
    "entscheidungen",
    "probleme",
    "fragen",
    "задачи",
    "проблемы",
    "решения",
    "вопросы",
    "zadania",
    "problemy",
    "decyzje",
    "pytania",
    "blocages",
    "bloqueos",
    "bloqueios",
    "риски",
    "ошибки",
    "bledy",
    "errores",
];

/// First and last words that decide a heading, whatever stands between ("Recent Significant Changes").
const ENDS: &[(&[&str], &[&str], Role)] = &[
    (
        &["recent", "recently", "latest", "last"],
        &[
            "changes",
            "updates",
            "work",
            "progress",
            "improvements",
            "fixes",
            "activity",
            "developments",
            "additions",
            "modifications",
        ],
        Role::RecentChange,
    ),
    (&["next", "immediate", "upcoming"], &["steps", "actions", "items", "priorities"], Role::NextStep),
    (
        &["current", "active", "present", "main", "primary", "our"],
        &["focus", "goal", "goals", "objective", "objectives"],
        Role::Focus,
    ),
    (&["current", "overall", "project"], &["status", "state"], Role::Status),
];

/// Words that bind what follows to the word before ("Tasks for this week").
const BINDERS: &[&str] = &[
    "for", "of", "in", "to", "from", "on", "this", "since", "with", "that", "before", "after", "um", "fur",
    "zu", "der", "des", "aus", "im", "seit", "pour", "de", "du", "des", "para", "do", "da", "del", "per",
    "di", "dla", "na", "po", "z", "для", "по", "на",
];

/// Words for "and".
const AND: &[&str] = &["and", "und", "et", "y", "e", "и", "i", "or", "oder", "ou", "o", "или", "lub", "vs"];

impl Role {
    /// The role of a section with this heading, or none. Case, accents, numbers, emphasis, emoji, colons, what stands in
    /// brackets and the words of a second language ("Ongoing Tasks / Aktuelle Aufgaben") do not hide it.
    #[must_use]
    pub fn of_heading(title: &str) -> Option<Self> {
        let title = Title::of(title);
        let known = &*KNOWN;
        // What a bracket or the part behind a dash says of a whole section: "Phase 2 (COMPLETED)".
        let state = title
            .inner
            .iter()
            .chain(title.parts.get(1..).unwrap_or_default())
            .find_map(|part| known.state(part));
        if state == Some(Self::Done) {
            return state;
        }
        let whole = known.whole(&title.whole).or_else(|| known.counted(&title.whole));
        let part = || {
            let plural = |part: &&String| !SINGULAR.contains(&part.as_str());
            let parts = title.parts.iter().filter(|_| title.parts.len() > 1);
            parts.filter(plural).find_map(|part| known.whole(part).or_else(|| known.counted(part)))
        };
        let role = whole
            .or_else(part)
            .or_else(|| known.bound(&title.whole))
            .or_else(|| known.within(&title.whole))
            .or_else(|| known.by_head(&title.whole));
        role.or(state).or_else(|| title.inner.iter().find_map(|inner| known.whole(inner))).or(title.sign)
    }

    /// Whether a section with this heading may hold this role's entries: the same role, by the same words as
    /// [`Self::of_heading`], without a state that ends it.
    #[must_use]
    pub fn is_of(self, title: &str) -> bool {
        Self::of_heading(title) == Some(self)
    }
}

/// Whether this heading names a part of a record (Rationale, Consequences, Implementation Details, …) and is therefore no
/// title of a decision. A number behind it does not count ("Decision 1").
#[must_use]
pub fn is_structural(title: &str) -> bool {
    let title = Title::of(title);
    let known = &*KNOWN;
    known.is_structure(&title.whole)
        || (title.parts.len() > 1 && title.parts.iter().all(|part| known.is_structure(part)))
}

/// Whether two headings are equal after normalisation.
#[must_use]
pub fn same_heading(one: &str, other: &str) -> bool {
    let (one, other) = (Title::of(one), Title::of(other));
    !one.whole.is_empty() && one.whole == other.whole
}

/// The sections with this role below the title of the document, those with one of `titles` first (in that order, as
/// [`Outline::find_all`] has them), then level by level, top to bottom. A section within another of the same role belongs
/// to that one and is not given.
#[must_use]
pub fn sections<'o>(outline: &'o Outline<'_>, role: Role, titles: &[&str]) -> Vec<Section<'o>> {
    let mut found: Vec<(usize, u8, Section<'o>)> = Vec::new();
    let mut end = 0;
    for section in outline.sections().filter(|section| section.heading.level >= 2) {
        let rank = titles.iter().position(|title| same_heading(&section.heading.title, title));
        if rank.is_none() && (section.heading.range.start < end || !role.is_of(&section.heading.title)) {
            continue;
        }
        end = end.max(section.body.end);
        found.push((rank.unwrap_or(titles.len()), section.heading.level, section));
    }
    found.sort_by_key(|(rank, level, _)| (*rank, *level));
    found.into_iter().map(|(_, _, section)| section).collect()
}

/// The table, ready for look-ups.
struct Known {
    /// Every phrase.
    phrases: HashMap<String, Role>,
    /// Those that count within a longer heading.
    within: HashMap<String, Role>,
    /// The most words that one of them has.
    longest: usize,
    /// Those without blanks between words, which are looked for everywhere.
    cjk: Vec<(String, Role)>,
    states: HashMap<String, Role>,
    structure: HashSet<String>,
    not_now: HashSet<String>,
}

static KNOWN: LazyLock<Known> = LazyLock::new(|| {
    let mut known = Known {
        phrases: HashMap::new(),
        within: HashMap::new(),
        longest: 1,
        cjk: Vec::new(),
        states: HashMap::new(),
        structure: phrases(table::STRUCTURE).collect(),
        not_now: table::NOT_NOW.iter().map(|word| words(word)).collect(),
    };
    let singles: HashSet<String> = table::WITHIN.iter().map(|word| words(word)).collect();
    for (role, text) in table::PHRASES {
        for phrase in phrases(text) {
            if phrase.chars().any(is_cjk) {
                if phrase.chars().count() >= 3 {
                    known.cjk.push((phrase.clone(), *role));
                }
            } else {
                let count = phrase.split(' ').count();
                if count > 1 || singles.contains(&phrase) {
                    known.longest = known.longest.max(count);
                    known.within.entry(phrase.clone()).or_insert(*role);
                }
            }
            known.phrases.entry(phrase).or_insert(*role);
        }
    }
    for (role, text) in table::STATES {
        for phrase in phrases(text) {
            known.states.entry(phrase).or_insert(*role);
        }
    }
    known
});

/// The phrases of one row, normalised as headings are.
fn phrases(text: &str) -> impl Iterator<Item = String> {
    text.split(',').map(words).filter(|phrase| !phrase.is_empty())
}

impl Known {
    fn whole(&self, title: &str) -> Option<Role> {
        self.phrases.get(title).copied()
    }

    /// The title without numbers at its end ("Recent Changes 2026"), unless they tell one entry from the next ("Task 1").
    fn counted(&self, title: &str) -> Option<Role> {
        let bare = without_number(title);
        if bare.len() == title.len() || SINGULAR.contains(&bare) { None } else { self.whole(bare) }
    }

    fn state(&self, part: &str) -> Option<Role> {
        self.states.get(without_number(part)).or_else(|| self.states.get(part)).copied()
    }

    fn is_structure(&self, title: &str) -> bool {
        self.structure.contains(title) || self.structure.contains(without_number(title))
    }

    /// The role of the longest phrase that stands in the title, the first one of two that are as long.
    fn within(&self, title: &str) -> Option<Role> {
        if title.chars().any(is_cjk) {
            if self.not_now.iter().any(|word| word.chars().any(is_cjk) && title.contains(word.as_str())) {
                return None;
            }
            let found = self.cjk.iter().filter(|(phrase, _)| title.contains(phrase.as_str()));
            let mut best: Option<&(String, Role)> = None;
            for one in found {
                best = best.filter(|known| known.0.len() >= one.0.len()).or(Some(one));
            }
            return best.map(|(_, role)| *role);
        }
        let words: Vec<&str> = title.split(' ').collect();
        if words.iter().any(|word| self.not_now.contains(*word)) {
            return None;
        }
        let mut best: Option<(usize, Role)> = None;
        for first in 0..words.len() {
            for count in (1..=self.longest.min(words.len() - first)).rev() {
                let Some(run) = words.get(first..first + count) else { continue };
                let phrase = run.join(" ");
                if let Some(role) = self.within.get(&phrase)
                    && best.is_none_or(|(length, _)| phrase.len() > length)
                {
                    best = Some((phrase.len(), *role));
                }
            }
        }
        best.map(|(_, role)| role)
    }

    /// The role by the noun that the title is about.
    fn by_head(&self, title: &str) -> Option<Role> {
        const LONGEST: usize = 6;
        if title.chars().any(is_cjk) {
            let finished = ["完成", "完了", "완료"].iter().any(|word| title.contains(word))
                && !["未", "待", "미"].iter().any(|word| title.contains(word));
            let role = self.phrases.iter().find_map(|(phrase, role)| {
                let is_head = matches!(role, Role::Task | Role::Issue | Role::Decision | Role::Question)
                    && phrase.chars().count() == 2
                    && title.chars().count() <= 2 + LONGEST
                    && phrase.chars().all(is_cjk)
                    && title.ends_with(phrase.as_str());
                is_head.then_some(*role)
            })?;
            return Some(if finished { Role::Done } else { role });
        }
        let words: Vec<&str> = title.split(' ').collect();
        if words.len() > LONGEST || words.iter().any(|word| self.not_now.contains(*word)) {
            return None;
        }
        let (first, last) = (words.first()?, words.last()?);
        let ends =
            |(firsts, lasts, _): &&(&[&str], &[&str], Role)| firsts.contains(first) && lasts.contains(last);
        if let Some((_, _, role)) = ENDS.iter().find(ends) {
            return Some(*role);
        }
        if HEADS_AT_END.contains(last) {
            return self.whole(last);
        }
        if HEADS_AT_START.contains(first) { self.whole(first) } else { None }
    }

    /// The role of a title that begins with its noun and goes on with what that is about ("Tasks for this week").
    fn bound(&self, title: &str) -> Option<Role> {
        let mut words = title.split(' ');
        let (first, next) = (words.next()?, words.next()?);
        let is_bound = BINDERS.contains(&next) && !SINGULAR.contains(&first);
        self.whole(first).filter(|role| is_bound && !matches!(role, Role::Status | Role::Focus))
    }
}

/// The title without numbers at its end.
fn without_number(title: &str) -> &str {
    title.trim_end_matches(|sign: char| sign.is_ascii_digit() || sign == ' ')
}
