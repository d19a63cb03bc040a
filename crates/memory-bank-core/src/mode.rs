//! The five modes of an assistant, and "Update Memory Bank" (UMB).

mod rules;

use std::fmt;
use std::str::FromStr;

pub use rules::{DEFAULT_UMB_TRIGGER, RULES_PREFIXES, parse_rules, rules_template, starts_umb};

use crate::words::word_enum;

word_enum! {
    /// A mode. Modes restrict nothing; they inform the model about its task.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
    pub enum Mode {
        /// Designs.
        Architect = "architect",
        /// Answers questions.
        Ask = "ask",
        /// Writes code; the default mode.
        #[default]
        Code = "code",
        /// Finds faults.
        Debug = "debug",
        /// Tests.
        Test = "test",
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An unknown mode. Clients match the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Invalid mode: {0}. Valid modes are: {words}", words = Mode::WORDS.join(", "))]
pub struct UnknownMode(pub String);

impl FromStr for Mode {
    type Err = UnknownMode;

    fn from_str(word: &str) -> Result<Self, UnknownMode> {
        Self::from_word(word).ok_or_else(|| UnknownMode(word.to_owned()))
    }
}
