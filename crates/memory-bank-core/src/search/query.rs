//! A query: the words that are asked for, and the phrases that every answer must hold.

use std::collections::HashSet;

use super::words::{each_word, is_function_word, stem};
use crate::limits;

/// The most distinct words of a query that count; the rest of a longer text adds nothing but time.
const WORDS: usize = 128;

/// What is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    text: String,
    folded: String,
    words: Vec<QueryWord>,
    phrases: Vec<String>,
}

/// One word of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryWord {
    /// The word in lower case.
    pub form: String,
    /// Its stem, if that is another one.
    pub stem: Option<String>,
}

/// Why a text is no query.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// There is nothing in it.
    #[error("Search query cannot be empty.")]
    Blank,
    /// It passes [`limits::QUERY_BYTES`].
    #[error("the query is {0} bytes long, at most {max} are allowed", max = limits::QUERY_BYTES)]
    TooLong(usize),
}

impl Query {
    /// Parses a query. Parts in double quotes are phrases; the words of phrases count like all others. Words that only
    /// hold a sentence together do not count unless there are no others.
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
        Ok(Self {
            text: text.to_owned(),
            folded: fold(text),
            words: words_of(text),
            phrases: phrases_of(text),
        })
    }

    /// The query as it was given.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The query in lower case, blanks around it kept: what a line must contain to be found as plain text.
    #[must_use]
    pub fn folded(&self) -> &str {
        &self.folded
    }

    /// The distinct words that count, in order.
    #[must_use]
    pub fn words(&self) -> &[QueryWord] {
        &self.words
    }

    /// The quoted phrases, in lower case and with single blanks; each must stand in whatever is found.
    #[must_use]
    pub fn phrases(&self) -> &[String] {
        &self.phrases
    }

    /// Whether a text holds all phrases, ignoring case and the width of blanks.
    #[must_use]
    pub fn admits(&self, text: &str) -> bool {
        if self.phrases.is_empty() {
            return true;
        }
        let text = single_blanks(&fold(text));
        self.phrases.iter().all(|phrase| text.contains(phrase.as_str()))
    }

    /// Whether one thing is asked for, and not several words: then only what contains it is found.
    #[must_use]
    pub fn is_single(&self) -> bool {
        !self.text.trim().contains(char::is_whitespace)
    }
}

/// Lower case by the simple rule, as the original compares: no normalisation.
#[must_use]
pub fn fold(text: &str) -> String {
    text.to_lowercase()
}

fn words_of(text: &str) -> Vec<QueryWord> {
    let mut all = Vec::new();
    let mut seen = HashSet::new();
    each_word(text, |word| {
        if seen.insert(word.to_owned()) {
            all.push(word.to_owned());
        }
    });
    let telling: Vec<String> = all.iter().filter(|word| !is_function_word(word)).cloned().collect();
    let chosen = if telling.is_empty() { all } else { telling };
    chosen
        .into_iter()
        .take(WORDS)
        .map(|form| {
            let stem = stem(&form);
            QueryWord { form, stem }
        })
        .collect()
}

/// The parts between pairs of double quotes; a quote without its partner is a character like any other.
fn phrases_of(text: &str) -> Vec<String> {
    let parts: Vec<&str> = text.split('"').collect();
    let pairs = parts.len().saturating_sub(1) / 2;
    parts
        .into_iter()
        .skip(1)
        .step_by(2)
        .take(pairs)
        .map(|phrase| single_blanks(&fold(phrase)))
        .filter(|phrase| !phrase.is_empty())
        .collect()
}

fn single_blanks(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forms(text: &str) -> Vec<String> {
        Query::parse(text).unwrap().words().iter().map(|word| word.form.clone()).collect()
    }

    #[test]
    fn function_words_count_only_when_there_are_no_others() {
        assert_eq!(forms("why did we choose Redis for the cache"), ["choose", "redis", "cache"]);
        assert_eq!(forms("to be or not to be"), ["to", "be", "or", "not"]);
    }

    #[test]
    fn quoted_parts_must_stand_in_what_is_found() {
        let query = Query::parse("retry \"Token  Bucket\" limits").unwrap();
        assert_eq!(query.phrases(), ["token bucket"]);
        assert!(query.admits("a TOKEN\n bucket"));
        assert!(!query.admits("a bucket of tokens"));
        assert!(Query::parse("a lone \" quote").unwrap().phrases().is_empty());
    }

    #[test]
    fn blank_and_endless_queries_are_refused() {
        assert_eq!(Query::parse(" \n"), Err(QueryError::Blank));
        assert_eq!(Query::parse(&"x".repeat(4097)), Err(QueryError::TooLong(4097)));
    }
}
