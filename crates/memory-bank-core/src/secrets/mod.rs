//! Secrets in texts: keys, tokens, private keys, passwords, connection strings. One set of rules (`rules.rs`, and those of
//! gitleaks in `gitleaks.tsv`) and the uses of it: records of sessions are masked, imports warn, and commands do not print
//! the secrets of configuration files.
//!
//! The uses differ in how sure they must be. A mask may hide an ordinary word, since a miss is a leak; a warning must not
//! appear for ordinary lines, since nobody reads warnings that are mostly wrong.

mod command_rules;
mod improbable;
#[cfg(test)]
mod known_forms;
mod language_rules;
mod mask;
mod rules;
mod seed_phrase;
mod value_rule;
mod warning;

pub use mask::{MASK, masked, prepare};
pub use rules::{OWN_KEY_PREFIX, has_secret_name};
pub use warning::{SecretWarning, secret_warnings};
