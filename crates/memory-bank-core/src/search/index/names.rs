//! The words of entities' names by trigram, so that a misspelt word is replaced by the most similar name. Trigrams
//! select the candidates; the edit distance decides.

use std::collections::HashMap;
use std::sync::Arc;

use super::edit_distance::{edit_distance, tolerance};
use crate::search::words::each_word;

/// The shortest word, in letters, that is replaced by similar ones.
const MIN_WORD_CHARS: usize = 4;
/// The most replacements of a word.
const MAX_REPLACEMENTS: usize = 5;
/// The most words that are compared letter by letter: those with the most common trigrams.
const MAX_COMPARED: usize = 64;

type Trigram = [char; 3];

/// Words of names, counted, with an index by trigram.
#[derive(Debug, Default)]
pub(super) struct NameWords {
    ids: HashMap<Arc<str>, u32>,
    words: Vec<Option<Word>>,
    free: Vec<u32>,
    by_trigram: HashMap<Trigram, Vec<u32>>,
}

#[derive(Debug)]
struct Word {
    text: Arc<str>,
    /// How often it occurs in names.
    count: u32,
}

impl NameWords {
    /// Adds the words of a name.
    pub(super) fn add(&mut self, name: &str) {
        each_word(name, |word| {
            if let Some(known) = self.known(word) {
                known.count += 1;
            } else {
                self.take(word);
            }
        });
    }

    /// Removes the words of a name; the name must be one that was added.
    pub(super) fn remove(&mut self, name: &str) {
        each_word(name, |word| {
            let gone = self.known(word).is_some_and(|known| {
                known.count = known.count.saturating_sub(1);
                known.count == 0
            });
            if gone {
                self.drop(word);
            }
        });
    }

    /// The most similar words, closest first: those that differ in few letters.
    pub(super) fn similar(&self, word: &str) -> Vec<&str> {
        let length = word.chars().count();
        if length < MIN_WORD_CHARS {
            return Vec::new();
        }
        let mut shared: HashMap<u32, usize> = HashMap::new();
        for trigram in trigrams(word) {
            for id in self.by_trigram.get(&trigram).into_iter().flatten() {
                *shared.entry(*id).or_default() += 1;
            }
        }
        let mut candidates: Vec<(usize, &str)> = shared
            .into_iter()
            .filter_map(|(id, shared)| Some((shared, self.words.get(id as usize)?.as_ref()?.text.as_ref())))
            .collect();
        candidates.sort_unstable_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(b.1)));
        candidates.truncate(MAX_COMPARED);
        let mut close: Vec<(usize, &str)> = candidates
            .into_iter()
            .filter_map(|(_, known)| Some((edit_distance(word, known, tolerance(length))?, known)))
            .collect();
        close.sort_unstable();
        // Only the closest words count.
        let least = close.first().map_or(0, |(changed, _)| *changed);
        close
            .into_iter()
            .take_while(|(changed, _)| *changed == least)
            .take(MAX_REPLACEMENTS)
            .map(|(_, word)| word)
            .collect()
    }

    /// About how many bytes of memory this takes.
    pub(super) fn bytes(&self) -> usize {
        // One posting per letter and one more, and the tables with their slack.
        self.words.len() * 160 + self.by_trigram.len() * 64
    }

    fn known(&mut self, word: &str) -> Option<&mut Word> {
        let id = *self.ids.get(word)?;
        self.words.get_mut(id as usize)?.as_mut()
    }

    fn take(&mut self, word: &str) {
        let text: Arc<str> = Arc::from(word);
        let entry = Some(Word { text: Arc::clone(&text), count: 1 });
        let id = match self.free.pop() {
            Some(id) => {
                if let Some(place) = self.words.get_mut(id as usize) {
                    *place = entry;
                }
                id
            }
            None => {
                self.words.push(entry);
                u32::try_from(self.words.len() - 1).unwrap_or(u32::MAX)
            }
        };
        for trigram in trigrams(word) {
            self.by_trigram.entry(trigram).or_default().push(id);
        }
        self.ids.insert(text, id);
    }

    fn drop(&mut self, word: &str) {
        let Some(id) = self.ids.remove(word) else { return };
        for trigram in trigrams(word) {
            let Some(holders) = self.by_trigram.get_mut(&trigram) else { continue };
            if let Some(place) = holders.iter().position(|holder| *holder == id) {
                holders.swap_remove(place);
            }
            if holders.is_empty() {
                self.by_trigram.remove(&trigram);
            }
        }
        if let Some(place) = self.words.get_mut(id as usize) {
            *place = None;
        }
        self.free.push(id);
    }
}

/// The distinct trigrams of a word with two blanks before it and one after it, so that its beginning counts more.
fn trigrams(word: &str) -> Vec<Trigram> {
    let letters: Vec<char> = [' ', ' '].into_iter().chain(word.chars()).chain([' ']).collect();
    let mut all: Vec<Trigram> = letters.windows(3).filter_map(|three| three.try_into().ok()).collect();
    all.sort_unstable();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> NameWords {
        let mut names = NameWords::default();
        for name in ["PostgreSQL", "Postgres", "Redis", "Traefik gateway", "Redis cluster"] {
            names.add(name);
        }
        names
    }

    #[test]
    fn a_misspelt_word_matches_the_closest_name() {
        let names = names();
        assert_eq!(names.similar("postgers"), ["postgres"]);
        assert_eq!(names.similar("redsi"), ["redis"]);
        assert_eq!(names.similar("trefik"), ["traefik"]);
        assert_eq!(names.similar("gatewya"), ["gateway"]);
        assert!(names.similar("ledger").is_empty());
        assert!(names.similar("red").is_empty());
    }

    #[test]
    fn a_word_exists_while_a_name_has_it() {
        let mut names = names();
        names.remove("Redis");
        assert_eq!(names.similar("redsi"), ["redis"]);
        names.remove("Redis cluster");
        assert!(names.similar("redsi").is_empty());
        names.add("Redis");
        assert_eq!(names.similar("redsi"), ["redis"]);
    }

    #[test]
    fn swapped_letters_count_once() {
        assert_eq!(edit_distance("redsi", "redis", 2), Some(1));
        assert_eq!(edit_distance("kitten", "sitting", 3), Some(3));
        assert_eq!(edit_distance("kitten", "sitting", 2), None);
    }
}
