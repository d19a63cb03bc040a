//! Finds the role of a heading.

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::LazyLock;

use foldhash::{HashMap, HashMapExt as _, HashSet, HashSetExt as _};

use super::function_cache::FunctionCache;
use super::normalise::{Title, is_cjk, words};
use super::phrases::phrases;
use super::role::Role;
use super::title_words::{
    BINDERS, EXCLUDING, FINAL_NOUNS, FIRST_AND_LAST_WORDS, INITIAL_NOUNS, SINGULAR, STATES, STRUCTURE, WITHIN,
};

impl Role {
    /// The role of a section with this heading, if it has one. Case, accents, numbers, emphasis, emoji, colons, text
    /// in brackets and a second language ("Ongoing Tasks / Aktuelle Aufgaben") are ignored.
    #[must_use]
    pub fn of_heading(title: &str) -> Option<Self> {
        // The beginning of a date is the label of every line of a log: "[2026-11-26 09".
        if is_numbers(title) {
            return None;
        }
        // Logs repeat their headings and labels.
        ROLES.with(|known| known.get(title, Self::of_new_heading))
    }

    fn of_new_heading(title: &str) -> Option<Self> {
        let title = Title::of(title);
        let known = &*VOCABULARY;
        // The state of a whole section, in brackets or after a dash: "Phase 2 (COMPLETED)".
        let state = title
            .inner
            .iter()
            .chain(title.parts.get(1..).unwrap_or_default())
            .find_map(|part| known.state(part));
        if state == Some(Self::Done) {
            return state;
        }
        let whole = known.role_of(&title.whole).or_else(|| known.without_count(&title.whole));
        let part = || {
            let plural = |part: &&String| !SINGULAR.contains(&part.as_str());
            let parts = title.parts.iter().filter(|_| title.parts.len() > 1);
            parts.filter(plural).find_map(|part| known.role_of(part).or_else(|| known.without_count(part)))
        };
        let role = whole
            .or_else(part)
            .or_else(|| known.by_first_noun(&title.whole))
            .or_else(|| known.within(&title.whole))
            .or_else(|| known.by_main_noun(&title.whole));
        role.or(state).or_else(|| title.inner.iter().find_map(|inner| known.role_of(inner))).or(title.sign)
    }

    /// Whether [`Self::of_heading`] returns this role for the heading.
    #[must_use]
    pub fn is_of(self, title: &str) -> bool {
        Self::of_heading(title) == Some(self)
    }
}

/// Whether a heading has digits and punctuation only, without the number for finished work.
fn is_numbers(title: &str) -> bool {
    title.bytes().all(|byte| byte.is_ascii_digit() || b"[]-:/., ".contains(&byte)) && !title.contains("100")
}

/// Whether this heading names a part of a record (Rationale, Consequences, Implementation Details, …), so that it is
/// not the title of a decision. A number after it is ignored ("Decision 1").
#[must_use]
pub fn is_structural(title: &str) -> bool {
    STRUCTURAL.with(|known| known.get(title, is_new_structural))
}

fn is_new_structural(title: &str) -> bool {
    let title = Title::of(title);
    let known = &*VOCABULARY;
    known.is_structure(&title.whole)
        || (title.parts.len() > 1 && title.parts.iter().all(|part| known.is_structure(part)))
}

/// Whether two headings are equal after normalisation.
#[must_use]
pub fn same_heading(one: &str, other: &str) -> bool {
    let (one, other) = (Title::of(one), Title::of(other));
    !one.whole.is_empty() && one.whole == other.whole
}

/// Whether a heading is one of these after normalisation, as with [`same_heading`]. The known ones are normalised once.
#[must_use]
pub fn is_one_of(title: &str, known: &[&'static str]) -> bool {
    thread_local! {
        static NORMALISED: RefCell<HashMap<&'static str, String>> = RefCell::default();
    }
    let title = Title::of(title).whole;
    !title.is_empty()
        && NORMALISED.with_borrow_mut(|normalised| {
            known
                .iter()
                .any(|known| *normalised.entry(*known).or_insert_with(|| Title::of(known).whole) == title)
        })
}

thread_local! {
    static ROLES: FunctionCache<Option<Role>> = FunctionCache::default();
    static STRUCTURAL: FunctionCache<bool> = FunctionCache::default();
}

/// The phrases, indexed for look-ups.
struct Vocabulary {
    /// Every phrase.
    phrases: HashMap<Cow<'static, str>, Role>,
    /// The phrases that may be part of a longer heading.
    within: HashMap<Cow<'static, str>, Role>,
    /// Their first words.
    within_first: HashSet<String>,
    /// The largest number of words of one of these.
    longest: usize,
    /// Phrases of languages without blanks between words, which may be anywhere in a heading.
    cjk: Vec<(Cow<'static, str>, Role)>,
    states: HashMap<Cow<'static, str>, Role>,
    structure: HashSet<Cow<'static, str>>,
    excluding: HashSet<String>,
}

static VOCABULARY: LazyLock<Vocabulary> = LazyLock::new(|| {
    let mut known = Vocabulary {
        phrases: HashMap::with_capacity(2048),
        within: HashMap::with_capacity(2048),
        within_first: HashSet::new(),
        longest: 1,
        cjk: Vec::new(),
        states: HashMap::new(),
        structure: split_phrases(STRUCTURE).collect(),
        excluding: EXCLUDING.iter().map(|word| words(word)).collect(),
    };
    let singles: HashSet<String> = WITHIN.iter().map(|word| words(word)).collect();
    for (role, text) in phrases() {
        for phrase in split_phrases(text) {
            if phrase.chars().any(is_cjk) {
                if phrase.chars().count() >= 3 {
                    known.cjk.push((phrase.clone(), *role));
                }
            } else {
                let count = phrase.split(' ').count();
                if count > 1 || singles.contains(&*phrase) {
                    known.longest = known.longest.max(count);
                    if let Some(first) = phrase.split(' ').next()
                        && !known.within_first.contains(first)
                    {
                        known.within_first.insert(first.to_owned());
                    }
                    known.within.entry(phrase.clone()).or_insert(*role);
                }
            }
            known.phrases.entry(phrase).or_insert(*role);
        }
    }
    for (role, text) in STATES {
        for phrase in split_phrases(text) {
            known.states.entry(phrase).or_insert(*role);
        }
    }
    known
});

pub(super) fn prepare() {
    LazyLock::force(&VOCABULARY);
}

/// The phrases of one row, normalised like headings.
fn split_phrases(text: &'static str) -> impl Iterator<Item = Cow<'static, str>> {
    text.split(',').map(|phrase| normalised(phrase.trim())).filter(|phrase| !phrase.is_empty())
}

/// As [`words`]. Most phrases are normalised already.
fn normalised(phrase: &'static str) -> Cow<'static, str> {
    let bytes = phrase.as_bytes();
    let is_normal = bytes.iter().all(|byte| byte.is_ascii_lowercase() || *byte == b' ')
        && memchr::memchr_iter(b' ', bytes).all(|at| bytes.get(at + 1) != Some(&b' '));
    if is_normal { Cow::Borrowed(phrase) } else { Cow::Owned(words(phrase)) }
}

impl Vocabulary {
    fn role_of(&self, title: &str) -> Option<Role> {
        self.phrases.get(title).copied()
    }

    /// The role of a title without numbers at its end ("Recent Changes 2026"), unless they number a single entry
    /// ("Task 1").
    fn without_count(&self, title: &str) -> Option<Role> {
        let bare = without_number(title);
        if bare.len() == title.len() || SINGULAR.contains(&bare) { None } else { self.role_of(bare) }
    }

    fn state(&self, part: &str) -> Option<Role> {
        self.states.get(without_number(part)).or_else(|| self.states.get(part)).copied()
    }

    fn is_structure(&self, title: &str) -> bool {
        self.structure.contains(title) || self.structure.contains(without_number(title))
    }

    /// The role of the longest phrase in the title; of equally long ones, the first.
    fn within(&self, title: &str) -> Option<Role> {
        if title.chars().any(is_cjk) {
            if self.excluding.iter().any(|word| word.chars().any(is_cjk) && title.contains(word.as_str())) {
                return None;
            }
            let found = self.cjk.iter().filter(|(phrase, _)| title.contains(&**phrase));
            let mut best: Option<&(Cow<'static, str>, Role)> = None;
            for one in found {
                best = best.filter(|known| known.0.len() >= one.0.len()).or(Some(one));
            }
            return best.map(|(_, role)| *role);
        }
        let words: Vec<&str> = title.split(' ').collect();
        if words.iter().any(|word| self.excluding.contains(*word)) {
            return None;
        }
        let mut best: Option<(usize, Role)> = None;
        for (first, word) in words.iter().enumerate() {
            if !self.within_first.contains(*word) {
                continue;
            }
            for count in (1..=self.longest.min(words.len() - first)).rev() {
                let Some(run) = words.get(first..first + count) else { continue };
                let phrase = run.join(" ");
                if let Some(role) = self.within.get(phrase.as_str())
                    && best.is_none_or(|(length, _)| phrase.len() > length)
                {
                    best = Some((phrase.len(), *role));
                }
            }
        }
        best.map(|(_, role)| role)
    }

    /// The role by the main noun of the title.
    fn by_main_noun(&self, title: &str) -> Option<Role> {
        const MAX_WORDS: usize = 6;
        if title.chars().any(is_cjk) {
            let finished = ["完成", "完了", "완료"].iter().any(|word| title.contains(word))
                && !["未", "待", "미"].iter().any(|word| title.contains(word));
            let role = self.phrases.iter().find_map(|(phrase, role)| {
                let is_head = matches!(role, Role::Task | Role::Issue | Role::Decision | Role::Question)
                    && phrase.chars().count() == 2
                    && title.chars().count() <= 2 + MAX_WORDS
                    && phrase.chars().all(is_cjk)
                    && title.ends_with(&**phrase);
                is_head.then_some(*role)
            })?;
            return Some(if finished { Role::Done } else { role });
        }
        let words: Vec<&str> = title.split(' ').collect();
        if words.len() > MAX_WORDS || words.iter().any(|word| self.excluding.contains(*word)) {
            return None;
        }
        let (first, last) = (words.first()?, words.last()?);
        let ends =
            |(firsts, lasts, _): &&(&[&str], &[&str], Role)| firsts.contains(first) && lasts.contains(last);
        if let Some((_, _, role)) = FIRST_AND_LAST_WORDS.iter().find(ends) {
            return Some(*role);
        }
        if FINAL_NOUNS.contains(last) {
            return self.role_of(last);
        }
        if INITIAL_NOUNS.contains(first) { self.role_of(first) } else { None }
    }

    /// The role of a title whose main noun is first ("Tasks for this week").
    fn by_first_noun(&self, title: &str) -> Option<Role> {
        let mut words = title.split(' ');
        let (first, next) = (words.next()?, words.next()?);
        let is_bound = BINDERS.contains(&next) && !SINGULAR.contains(&first);
        self.role_of(first).filter(|role| is_bound && !matches!(role, Role::Status | Role::Focus))
    }
}

/// The title without numbers at its end.
fn without_number(title: &str) -> &str {
    title.trim_end_matches(|character: char| character.is_ascii_digit() || character == ' ')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn a_heading_of_numbers_has_no_role(title in "[0-9\\[\\]:/., -]{0,40}") {
            if is_numbers(&title) {
                prop_assert_eq!(Role::of_new_heading(&title), None);
            }
        }
    }
}
