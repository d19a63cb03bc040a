//! Questions that share no word with the line that answers them, on the documents of a made-up project with distractors.

use std::collections::BTreeMap;

use super::recall::{Bank, Question};

/// Document, line that answers, question.
const PAIRS: &str = include_str!("paraphrases.txt");
/// Texts that share words with the questions and answer none.
const DISTRACTORS: &str = include_str!("distractors.txt");

/// The bank: facts among distractors, with the given documents.
pub fn bank(beside: BTreeMap<String, String>) -> Bank {
    let mut bank = Bank { name: "paraphrases".to_owned(), documents: beside, questions: Vec::new() };
    // In separate documents: next to an answer, they would let a search find it by its surroundings.
    for (number, distractor) in DISTRACTORS.lines().enumerate() {
        let page = bank.documents.entry(format!("minutes-{}.md", number % 6)).or_default();
        page.push_str(&format!("- {distractor}\n"));
    }
    for pair in PAIRS.lines().filter(|line| !line.starts_with('#')) {
        let mut parts = pair.split('|');
        let (file, fact, ask) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
        let shared = shared_word(fact, ask);
        assert!(shared.is_none(), "`{ask}` shares `{}` with `{fact}`", shared.unwrap());
        let page = bank
            .documents
            .entry(file.to_owned())
            .or_insert_with(|| format!("# {}\n\n", file.trim_end_matches(".md")));
        page.push_str(&format!("- {fact}\n"));
        let line = page.lines().count();
        bank.questions.push(Question { ask: ask.to_owned(), answers: vec![(file.to_owned(), line)] });
    }
    bank
}

/// A word of four letters or more that both have, by its first five letters.
fn shared_word(fact: &str, ask: &str) -> Option<String> {
    const SMALL: [&str; 14] = [
        "what", "which", "when", "where", "does", "with", "that", "this", "have", "from", "must", "they",
        "into", "than",
    ];
    let words = |text: &str| -> Vec<String> {
        let lower = text.to_lowercase();
        let words = lower
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| word.len() >= 4 && !SMALL.contains(word));
        words.map(|word| word.chars().take(5).collect()).collect()
    };
    let held = words(fact);
    words(ask).into_iter().find(|word| held.contains(word))
}
