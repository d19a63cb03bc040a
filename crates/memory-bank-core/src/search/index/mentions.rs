//! The documents that point to a name: those whose lines contain it, in a link such as `[[name]]` or in the text.
//!
//! Unlike a search it ranks nothing and leaves no document out because another one says the same.

use super::Index;
use crate::compact_sort::CompactSort as _;
use crate::document::core_rank;
use crate::limits;
use crate::search::lines::{Lines, clip};
use crate::search::markdown::is_template_row;
use crate::search::query::phrase_text;
use crate::search::words::has_no_blanks;
use crate::unicode::is_alphanumeric;

/// The most places of a document that are listed; its other ones are counted.
const PLACES_OF_DOCUMENT: usize = 3;
/// The longest line that is shown, in characters.
const LINE_CHARS: usize = 300;
/// A name of so few characters counts only in its own letter case: `Go` is no `go`.
const SHORT_NAME_CHARS: usize = 2;

/// Which name is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MentionSearch {
    /// The name, such as that of an entity.
    pub name: String,
    /// The most documents to return.
    pub limit: usize,
}

/// Documents that contain a name, the core documents first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mentions {
    /// At most as many as requested.
    pub documents: Vec<MentioningDocument>,
    /// How many more there are.
    pub documents_left: usize,
}

/// A document that contains a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MentioningDocument {
    /// Its name.
    pub name: String,
    /// How many of its lines contain the name.
    pub lines: usize,
    /// The first line of each of its sections that does, at most three.
    pub places: Vec<MentionPlace>,
}

/// A line that contains a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MentionPlace {
    /// Counted from 1.
    pub line: usize,
    /// The headings above it, outermost first.
    pub heading_path: Vec<String>,
    /// The trimmed line, cut around the name if it is long.
    pub content: String,
}

impl Index {
    /// Finds the documents that contain a name as a whole word or words.
    #[must_use]
    pub fn mentions(&self, request: &MentionSearch) -> Mentions {
        let Some(name) = Name::of(&request.name) else { return Mentions::default() };
        let mut documents: Vec<(&str, &Lines)> = self.texts().collect();
        documents.compact_sort_by_key(|(document, _)| (core_rank(document), *document));
        let mut found = Mentions::default();
        for (document, lines) in documents {
            let named = name.lines(lines);
            if named.is_empty() {
                continue;
            }
            if found.documents.len() >= request.limit {
                found.documents_left += 1;
                continue;
            }
            let places = self.places(document, lines, &named, &name);
            found.documents.push(MentioningDocument {
                name: document.to_owned(),
                lines: named.len(),
                places,
            });
        }
        found
    }

    /// The first of these lines of each section.
    fn places(&self, document: &str, lines: &Lines, named: &[usize], name: &Name) -> Vec<MentionPlace> {
        let mut places: Vec<MentionPlace> = Vec::new();
        for line in named {
            let path = self.slot_at(document, *line).map(|slot| slot.path.as_ref()).unwrap_or_default();
            let heading_path: Vec<String> =
                path.iter().map(|heading| clip(heading, 0, limits::RESULT_LINE_CHARS)).collect();
            if places.iter().any(|place| place.heading_path == heading_path) {
                continue;
            }
            let text = lines.get(*line).trim();
            let content = clip(text, name.position(text), LINE_CHARS);
            places.push(MentionPlace { line: *line, heading_path, content });
            if places.len() == PLACES_OF_DOCUMENT {
                break;
            }
        }
        places
    }
}

/// A name, as lines are compared with it.
struct Name {
    /// As quoted phrases are compared.
    phrase: String,
    /// The first word in lower case, where that and the phrase are spelt alike in every line that contains the name.
    first_word: Option<String>,
    /// The name itself, of few characters.
    cased: Option<String>,
}

impl Name {
    fn of(name: &str) -> Option<Self> {
        let phrase = phrase_text(name);
        let is_plain = phrase.is_ascii() && !phrase.contains('\'');
        let first_word = phrase.split(' ').next().filter(|word| is_plain && !word.is_empty());
        let is_short = phrase.chars().count() <= SHORT_NAME_CHARS;
        let first_word = first_word.map(str::to_owned);
        let cased = is_short.then(|| name.trim().to_owned());
        phrase.chars().any(is_alphanumeric).then_some(Self { phrase, first_word, cased })
    }

    /// The numbers of the lines that contain the name.
    fn lines(&self, lines: &Lines) -> Vec<usize> {
        let mut named = match &self.first_word {
            Some(word) => lines.containing(word, true),
            None => (1..=lines.count()).collect(),
        };
        named.retain(|line| {
            let text = lines.get(*line);
            !is_template_row(text) && self.is_in(text)
        });
        named
    }

    fn is_in(&self, line: &str) -> bool {
        match &self.cased {
            Some(name) => has_word(line, name),
            None => has_word(&phrase_text(line), &self.phrase),
        }
    }

    /// Where a text has the name, in characters.
    fn position(&self, text: &str) -> usize {
        let lower = text.to_lowercase();
        let needle = self.first_word.as_ref().unwrap_or(&self.phrase);
        lower.find(needle.as_str()).map_or(0, |at| lower.get(..at).unwrap_or_default().chars().count())
    }
}

/// Whether a text contains a name that is no part of a longer word or of a compound name: `api` is not in `api-gateway`.
fn has_word(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(at, _)| {
        let before = text.get(..at).unwrap_or_default().chars().rev();
        let after = text.get(at + name.len()..).unwrap_or_default().chars();
        ends(name.chars().next(), before) && ends(name.chars().next_back(), after)
    })
}

/// Whether a word ends between its character at the end and those that follow.
fn ends(end: Option<char>, mut following: impl Iterator<Item = char>) -> bool {
    if !end.is_some_and(is_joined) {
        return true;
    }
    match following.next() {
        Some('-') => !following.next().is_some_and(is_joined),
        Some(next) => !is_joined(next),
        None => true,
    }
}

/// Whether a character is of a word that blanks or punctuation end.
fn is_joined(character: char) -> bool {
    character == '_' || is_alphanumeric(character) && !has_no_blanks(character)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::document::DocumentPath;

    fn index(documents: &[(&str, &str)]) -> Index {
        let mut index = Index::default();
        for (name, text) in documents {
            index.put_document(&DocumentPath::parse(name).unwrap(), text, Timestamp::UNIX_EPOCH);
        }
        index
    }

    fn mentions(index: &Index, name: &str, limit: usize) -> Mentions {
        index.mentions(&MentionSearch { name: name.to_owned(), limit })
    }

    fn named(text: &str, name: &str) -> bool {
        !mentions(&index(&[("a.md", text)]), name, 10).documents.is_empty()
    }

    #[test]
    fn every_document_that_has_the_name_is_found_with_its_sections() {
        let same = "# Notes\n\n- The Billing-Service is slow.\n- billing-service again\n\n## Later\n\nsee [[billing-service]]\n";
        let index = index(&[("b.md", same), ("a.md", same), ("none.md", "# Else\n\nbilling\n\nservice\n")]);
        let found = mentions(&index, "billing-service", 10);
        let names: Vec<&str> = found.documents.iter().map(|document| document.name.as_str()).collect();
        assert_eq!((names, found.documents_left), (vec!["a.md", "b.md"], 0));
        let first = &found.documents[0];
        assert_eq!(first.lines, 3);
        let places: Vec<(usize, String, &str)> = first
            .places
            .iter()
            .map(|place| (place.line, place.heading_path.join("/"), place.content.as_str()))
            .collect();
        assert_eq!(
            places,
            [
                (3, "Notes".to_owned(), "- The Billing-Service is slow."),
                (8, "Notes/Later".to_owned(), "see [[billing-service]]")
            ]
        );
        let bounded = mentions(&index, "billing-service", 1);
        assert_eq!((bounded.documents.len(), bounded.documents_left), (1, 1));
    }

    #[test]
    fn a_name_is_no_part_of_a_longer_one() {
        for (text, name, expected) in [
            ("the api-gateway", "api", false),
            ("the API - slow", "api", true),
            ("the api-", "api", true),
            ("rapid", "api", false),
            ("my_api", "api", false),
            ("[[api|the interface]]", "api", true),
            ("docs/api.md", "api", true),
            ("we go home", "Go", false),
            ("written in Go.", "Go", true),
            ("token\tBucket  limit", "token bucket", true),
            ("uses C++ here", "C++", true),
            ("日本語メモは", "メモ", true),
            ("der Zahlungsdienst", "Dienst", false),
            ("cafe\u{301} noir", "Café", true),
            ("the team’s API", "team's api", true),
            ("--- ...", "---", false),
        ] {
            assert_eq!(named(text, name), expected, "{name} in {text}");
        }
    }

    #[test]
    fn a_long_line_is_cut_around_the_name() {
        let text = format!("{} billing-service {}", "x ".repeat(2000), "y ".repeat(2000));
        let found = mentions(&index(&[("a.md", &text)]), "billing-service", 10);
        let content = &found.documents[0].places[0].content;
        assert!(content.contains("billing-service"), "{content}");
        assert!(content.chars().count() <= LINE_CHARS);
    }
}
