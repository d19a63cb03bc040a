//! Words of a project, the same every time.

use crate::random::Random;

const WORDS: &[&str] = &[
    "parser",
    "cache",
    "session",
    "token",
    "index",
    "webhook",
    "payment",
    "order",
    "search",
    "replica",
    "lock",
    "journal",
    "retry",
    "timeout",
    "schema",
    "migration",
    "report",
    "export",
    "import",
    "login",
    "key",
    "quota",
    "stream",
    "event",
    "queue",
    "worker",
    "backup",
    "restore",
    "invoice",
    "customer",
    "address",
    "calendar",
    "slot",
    "courier",
    "label",
];
const VERBS: &[&str] =
    &["reads", "writes", "checks", "drops", "keeps", "splits", "merges", "waits for", "replaces", "limits"];
const ENDS: &[&str] = &[
    "before the reply is sent",
    "when the connection breaks",
    "for every tenant",
    "within 40 ms",
    "so that nothing is lost",
    "as the customer asked for",
    "in one transaction",
    "after a restart",
];

/// A source of words.
pub(crate) struct Words(Random);

impl Words {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Random::new(seed))
    }

    pub(crate) fn one_of<'t>(&mut self, words: &'t [&'t str]) -> &'t &'t str {
        words.get(self.0.below(words.len().max(1))).unwrap_or(&"")
    }

    pub(crate) fn word(&mut self) -> String {
        (*self.one_of(WORDS)).to_owned()
    }

    pub(crate) fn phrase(&mut self) -> String {
        format!(
            "{} the {} of the {}",
            self.one_of(&["Move", "Split", "Test", "Name", "Bound"]),
            self.word(),
            self.word()
        )
    }

    pub(crate) fn sentence(&mut self) -> String {
        format!("The {} {} the {} {}", self.word(), self.one_of(VERBS), self.word(), self.one_of(ENDS))
    }

    /// A paragraph of about `words` words.
    pub(crate) fn paragraph(&mut self, words: usize) -> String {
        let sentences: Vec<String> = (0..words.div_ceil(9)).map(|_| self.sentence()).collect();
        format!("{}.", sentences.join(". "))
    }
}
