//! A query: its words, and its phrases.

use std::collections::HashSet;
use std::sync::Arc;

use super::dates::dates_in;
use super::embedding::Vector;
use super::language::{Language, LanguageCounts, is_function_word};
use super::words::{TermKind, each_term, normal};
use crate::limits;
use crate::unicode::{is_alphabetic, is_alphanumeric};

/// The shortest word, in letters, that a minus before it can exclude.
const MIN_EXCLUDED_CHARS: usize = 3;

/// A parsed query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    text: String,
    folded: String,
    words: Vec<QueryWord>,
    phrases: Vec<String>,
    excluded: Vec<String>,
    meaning: Option<Arc<Vector>>,
}

/// One word of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryWord {
    /// The term, in the form of indexed terms.
    pub form: String,
    /// The kind.
    pub kind: TermKind,
    /// Equivalent terms: other forms of the same date.
    pub others: Vec<String>,
}

/// Why a query is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// It is blank.
    #[error("Search query cannot be empty.")]
    Blank,
    /// It exceeds [`limits::QUERY_BYTES`].
    #[error("the query is {0} bytes long, at most {max} are allowed", max = limits::QUERY_BYTES)]
    TooLong(usize),
}

impl Query {
    /// Parses a query. Parts in double quotes are phrases; their words count like all others, including function
    /// words. Function words outside of phrases do not count unless there are no others. A word with a minus before
    /// it is unwanted: units that contain it come last.
    ///
    /// # Errors
    /// The text is blank or too long.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        if text.trim().is_empty() {
            return Err(QueryError::Blank);
        }
        if text.len() > limits::QUERY_BYTES {
            return Err(QueryError::TooLong(text.len()));
        }
        let plain: String = normal(text)
            .chars()
            .map(|c| if matches!(c, '“' | '”' | '„' | '«' | '»') { '"' } else { c })
            .collect();
        let (included, excluded) = split_excluded(&plain);
        let phrases = phrases_of(&included);
        Ok(Self {
            text: text.to_owned(),
            folded: fold(text),
            words: words_of(&included, &phrases),
            phrases,
            excluded,
            meaning: None,
        })
    }

    /// The query as it was given.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The query in lower case, with its surrounding blanks: the text that a plain-text hit contains.
    #[must_use]
    pub fn folded(&self) -> &str {
        &self.folded
    }

    /// The distinct words that count, in order.
    #[must_use]
    pub fn words(&self) -> &[QueryWord] {
        &self.words
    }

    /// The quoted phrases, in compatibility form and lower case, with single blanks.
    #[must_use]
    pub fn phrases(&self) -> &[String] {
        &self.phrases
    }

    /// The terms that are unwanted.
    #[must_use]
    pub fn excluded(&self) -> &[String] {
        &self.excluded
    }

    /// Returns this query with its vector, so that units of similar meaning are found, too.
    #[must_use]
    pub fn with_meaning(mut self, vector: Vector) -> Self {
        self.meaning = Some(Arc::new(vector));
        self
    }

    /// The vector of the query, if it has one.
    #[must_use]
    pub fn meaning(&self) -> Option<&Vector> {
        self.meaning.as_deref()
    }

    /// Returns this query without some of its phrases; their words still count.
    #[must_use]
    pub fn without_phrases(&self, gone: &[String]) -> Self {
        let mut rest = self.clone();
        rest.phrases.retain(|phrase| !gone.contains(phrase));
        rest
    }

    /// Whether a text contains all phrases, ignoring case and the width of blanks.
    #[must_use]
    pub fn admits(&self, text: &str) -> bool {
        if self.phrases.is_empty() {
            return true;
        }
        let text = phrase_text(text);
        self.phrases.iter().all(|phrase| text.contains(phrase.as_str()))
    }

    /// Whether the query is a single word: then only units that contain it are found.
    #[must_use]
    pub fn is_single(&self) -> bool {
        !self.text.trim().contains(char::is_whitespace)
    }
}

/// Lower case without normalisation, as the TypeScript server compares.
#[must_use]
pub fn fold(text: &str) -> String {
    text.to_lowercase()
}

/// The form in which phrases are compared: compatibility form, lower case, single blanks, straight apostrophes.
pub(super) fn phrase_text(text: &str) -> String {
    let text = fold(&normal(text)).replace('’', "'");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Removes words with a minus before them, unless there are no others.
fn split_excluded(text: &str) -> (String, Vec<String>) {
    let mut excluded = Vec::new();
    let mut included: Vec<&str> = Vec::new();
    let mut in_quotes = false;
    for piece in text.split(' ') {
        let word = piece.strip_prefix('-').filter(|word| {
            !in_quotes && word.chars().count() >= MIN_EXCLUDED_CHARS && word.chars().all(is_alphanumeric)
        });
        match word {
            Some(word) => {
                each_term(word, |term| excluded.push(term.text.to_owned()));
            }
            // Operators of other search engines.
            None if !in_quotes && matches!(piece, "AND" | "OR" | "&&" | "||") => {}
            None => included.push(piece),
        }
        if piece.matches('"').count() % 2 == 1 {
            in_quotes = !in_quotes;
        }
    }
    let included = included.join(" ");
    if included.chars().any(is_alphanumeric) { (included, excluded) } else { (text.to_owned(), Vec::new()) }
}

fn words_of(text: &str, phrases: &[String]) -> Vec<QueryWord> {
    let mut quoted: HashSet<String> = HashSet::new();
    for phrase in phrases {
        each_term(phrase, |term| {
            quoted.insert(term.text.to_owned());
        });
    }
    let mut counts = LanguageCounts::default();
    let mut all: Vec<(QueryWord, String)> = Vec::new();
    let mut seen = HashSet::new();
    let mut take = |all: &mut Vec<(QueryWord, String)>, form: &str, spelt: &str, kind, others| {
        if seen.insert(form.to_owned()) {
            all.push((QueryWord { form: form.to_owned(), kind, others }, spelt.to_owned()));
        }
    };
    let mut from = 0;
    for date in dates_in(text).into_iter().map(Some).chain([None]) {
        let until = date.as_ref().map_or(text.len(), |date| date.start);
        each_term(text.get(from..until).unwrap_or_default(), |term| {
            if term.kind != TermKind::Whole {
                counts.count(term.spelt);
            }
            take(&mut all, term.text, term.spelt, term.kind, Vec::new());
        });
        let Some(date) = date else { break };
        let mut terms = date.query_terms().into_iter();
        if let Some(first) = terms.next() {
            take(&mut all, &first, &first, TermKind::Date, terms.collect());
        }
        // Names of months are searched as words, too.
        each_name(text.get(date.start..date.end).unwrap_or_default(), |name| {
            take(&mut all, name, name, TermKind::Word, Vec::new());
        });
        from = date.end;
    }
    measures(&mut all);
    let lists = languages_of(&counts);
    let is_function = |word: &QueryWord, spelt: &str| {
        !quoted.contains(&word.form)
            && word.kind != TermKind::Date
            && (lists.iter().any(|language| is_function_word(spelt, *language)) || is_only_kana(spelt))
    };
    let chosen: Vec<QueryWord> =
        all.iter().filter(|(word, spelt)| !is_function(word, spelt)).map(|(word, _)| word.clone()).collect();
    let chosen = if chosen.is_empty() { all.into_iter().map(|(word, _)| word).collect() } else { chosen };
    chosen.into_iter().take(limits::QUERY_WORDS).collect()
}

/// Names of months in a date.
fn each_name(date: &str, mut name: impl FnMut(&str)) {
    let names = date.split(|c: char| !is_alphabetic(c)).filter(|name| name.chars().count() > 2);
    names.for_each(|one| name(&one.to_lowercase()));
}

/// A number followed by a unit of measure is also searched without the blank: `30 s`, `30s`.
fn measures(all: &mut Vec<(QueryWord, String)>) {
    let is_number = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    let is_measure = |word: &str| word.len() <= 3 && word.bytes().all(|byte| byte.is_ascii_lowercase());
    let joined: Vec<String> = all
        .windows(2)
        .filter_map(|two| match two {
            [(number, _), (measure, _)] if is_number(&number.form) && is_measure(&measure.form) => {
                Some(format!("{}{}", number.form, measure.form))
            }
            _ => None,
        })
        .filter(|joined| all.iter().all(|(word, _)| word.form != *joined))
        .collect();
    all.extend(joined.into_iter().map(|form| {
        let word = QueryWord { form: form.clone(), kind: TermKind::Whole, others: Vec::new() };
        (word, form)
    }));
}

/// The languages of the query's function words. A single word of a language other than English is not enough: `war`
/// and `die` are English, too.
fn languages_of(counts: &LanguageCounts) -> Vec<Language> {
    if let Some(script) = counts.script() {
        return vec![script, Language::English];
    }
    let (best, count) = counts.words();
    if best != Language::English && count >= 2 { vec![best] } else { vec![Language::English] }
}

/// A pair of Hiragana is nearly always an ending or a particle.
fn is_only_kana(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|c| matches!(c, '\u{3041}'..='\u{309F}'))
}

/// The parts between pairs of double quotes; an unpaired quote is an ordinary character.
fn phrases_of(text: &str) -> Vec<String> {
    let parts: Vec<&str> = text.split('"').collect();
    let pairs = parts.len().saturating_sub(1) / 2;
    parts
        .into_iter()
        .skip(1)
        .step_by(2)
        .take(pairs)
        .map(phrase_text)
        .filter(|phrase| !phrase.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn forms(text: &str) -> Vec<String> {
        Query::parse(text).unwrap().words().iter().map(|word| word.form.clone()).collect()
    }

    #[rstest]
    #[case("why did we choose Redis for the cache", &["choose", "redis", "cache"])]
    #[case("to be or not to be", &["to", "be", "or", "not"])]
    #[case("warum haben wir das für den Cache gewählt", &["cache", "gewählt"])]
    #[case("pourquoi avons-nous choisi Redis pour le cache", &["avonsnous", "choisi", "redis", "cache"])]
    #[case("¿por qué elegimos Redis para la caché?", &["elegimos", "redis", "caché"])]
    #[case("почему мы выбрали Redis", &["выбрали", "redis"])]
    #[case("dlaczego nie ma tego na serwerze", &["serwerze"])]
    #[case("배포를 언제 하나", &["배포를"])]
    #[case("what about the war", &["war"])]
    #[case("don't trust", &["trust"])]
    #[case("the \"to do\" list", &["to", "do", "list"])]
    #[case("redis AND (cache OR queue)", &["redis", "cache", "queue"])]
    #[case("timeout 30 s", &["timeout", "30", "30s"])]
    #[case("deployed on 2026-11-03", &["deployed", "@2026-11-03"])]
    fn function_words_count_only_when_there_are_no_others(#[case] text: &str, #[case] expected: &[&str]) {
        assert_eq!(forms(text), expected);
    }

    #[test]
    fn quoted_parts_are_phrases() {
        let query = Query::parse("retry “Token  Bucket” limits").unwrap();
        assert_eq!(query.phrases(), ["token bucket"]);
        assert!(query.admits("a TOKEN\n bucket"));
        assert!(!query.admits("a bucket of tokens"));
        assert!(query.without_phrases(&["token bucket".to_owned()]).admits("a bucket of tokens"));
        assert!(Query::parse("a lone \" quote").unwrap().phrases().is_empty());
    }

    #[test]
    fn a_minus_excludes_a_word_unless_the_query_has_no_other() {
        let query = Query::parse("cluster -staging").unwrap();
        assert_eq!(
            (forms("cluster -staging"), query.excluded()),
            (vec!["cluster".to_owned()], &["staging".to_owned()][..])
        );
        assert_eq!(forms("-MongoDB"), ["mongodb", "mongo", "db"]);
        assert_eq!(forms("tar -xf a.tar"), ["tar", "xf", "atar"]);
        assert!(Query::parse("--dry-run flag").unwrap().excluded().is_empty());
    }

    #[test]
    fn blank_and_endless_queries_are_refused() {
        assert_eq!(Query::parse(" \n"), Err(QueryError::Blank));
        assert_eq!(Query::parse(&"x".repeat(4097)), Err(QueryError::TooLong(4097)));
    }
}
