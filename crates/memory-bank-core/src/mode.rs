//! The five modes of an assistant, and "Update Memory Bank" (UMB).

mod rules;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use rules::{DEFAULT_UMB_TRIGGER, parse_rules, rules_template, starts_umb};

/// A mode. Modes gate nothing; they are a note to the model of what it is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Designs.
    Architect,
    /// Answers questions.
    Ask,
    /// Writes code; the mode when none was chosen.
    #[default]
    Code,
    /// Finds faults.
    Debug,
    /// Tests.
    Test,
}

impl Mode {
    /// All modes, in the order that error texts list them.
    pub const ALL: [Self; 5] = [Self::Architect, Self::Ask, Self::Code, Self::Debug, Self::Test];

    /// The mode's word, as tools take and give it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Architect => "architect",
            Self::Ask => "ask",
            Self::Code => "code",
            Self::Debug => "debug",
            Self::Test => "test",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An unknown mode. Clients know the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Invalid mode: {0}. Valid modes are: architect, ask, code, debug, test")]
pub struct UnknownMode(pub String);

impl FromStr for Mode {
    type Err = UnknownMode;

    fn from_str(word: &str) -> Result<Self, UnknownMode> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == word).ok_or_else(|| UnknownMode(word.to_owned()))
    }
}
