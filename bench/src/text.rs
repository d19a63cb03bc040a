//! Made-up prose with the word frequencies of real one: a few words everywhere, many words hardly ever.

use memory_bank_core::search::{Language, is_function_word};
use memory_bank_simulation::random::Random;

/// How many different words there are.
const VOCABULARY: usize = 20_000;
/// The most frequent words, as in English.
const FREQUENT: &str = "the of and to in is for on with as by that it at from be this are an was or not have has but \
    which when we they can if into after so no their will than its all";
const SYLLABLES: [&str; 40] = [
    "ba", "con", "de", "fer", "gra", "hy", "in", "ja", "ker", "lo", "ma", "net", "op", "par", "que", "ro",
    "ser", "ta", "un", "ver", "wi", "xe", "ya", "zo", "cle", "dri", "ent", "fu", "gi", "hal", "ist", "ju",
    "kla", "lim", "mo", "nu", "or", "pli", "ra", "sto",
];
const ENDINGS: [&str; 8] = ["", "s", "ed", "ing", "er", "ation", "ly", "ment"];

/// A source of sentences. The same seed gives the same ones, so a large bank begins like a small one.
pub struct Prose {
    words: Vec<String>,
    /// For each word, the weight of it and of all before it.
    cumulative: Vec<f64>,
    random: Random,
}

impl Prose {
    /// Prose from a seed.
    pub fn new(seed: u64) -> Self {
        let mut words: Vec<String> = FREQUENT.split_whitespace().map(str::to_owned).collect();
        words.extend((0..VOCABULARY - words.len()).map(made_up));
        // By Zipf's law a word is as frequent as its rank is low.
        let cumulative = (1..=words.len())
            .scan(0.0, |sum, rank| {
                *sum += 1.0 / rank as f64;
                Some(*sum)
            })
            .collect();
        Self { words, cumulative, random: Random::new(seed) }
    }

    /// Eight to sixteen words.
    pub fn sentence(&mut self) -> String {
        let ranks: Vec<usize> = (0..8 + self.random.below(9)).map(|_| self.rank()).collect();
        let words: Vec<&str> = ranks.into_iter().map(|rank| self.words[rank].as_str()).collect();
        words.join(" ")
    }

    /// Three words that mean something, out of a sentence.
    pub fn question(&mut self, sentence: &str) -> String {
        let mut words: Vec<&str> =
            sentence.split(' ').filter(|word| !is_function_word(word, Language::English)).collect();
        while words.len() > 3 {
            words.remove(self.random.below(words.len()));
        }
        words.join(" ")
    }

    /// The three most frequent words that mean something: the most work that three words can make.
    pub fn frequent_question(&self) -> String {
        let words: Vec<&str> = self
            .words
            .iter()
            .map(String::as_str)
            .filter(|word| !is_function_word(word, Language::English))
            .take(3)
            .collect();
        words.join(" ")
    }

    fn rank(&mut self) -> usize {
        let all = self.cumulative[self.cumulative.len() - 1];
        let at = self.random.number() as f64 / u64::MAX as f64 * all;
        self.cumulative.partition_point(|sum| *sum < at).min(self.words.len() - 1)
    }
}

/// The word of this number: some syllables and an ending that a stemmer takes off.
fn made_up(number: usize) -> String {
    let count = SYLLABLES.len();
    let stem = number / ENDINGS.len();
    let mut word = format!("{}{}", SYLLABLES[stem % count], SYLLABLES[(stem / count) % count]);
    if stem >= count * count {
        word.push_str(SYLLABLES[(stem / count / count) % count]);
    }
    word.push_str(ENDINGS[number % ENDINGS.len()]);
    word
}
