//! How a key is made, for every way to request one: commands, REST routes.

use jiff::{SignedDuration, Timestamp};

use crate::caller::{KeyId, Right};
use crate::clock::Entropy;
use crate::identity::{Environment, NewKey, PlainKey};

/// Requests per minute of a key for which none are given.
pub const DEFAULT_RATE_LIMIT: u32 = 60;

/// The requested properties of a key.
#[derive(Debug, Clone)]
pub struct KeyOptions {
    /// Its purpose.
    pub environment: Environment,
    /// A name for it.
    pub label: Option<String>,
    /// Its rights, in any order; everything that the role grants when empty.
    pub scopes: Vec<Right>,
    /// Requests per minute; 0 = unlimited.
    pub rate_limit: Option<u32>,
    /// Days until it expires; never when absent.
    pub expires_in_days: Option<u32>,
}

impl KeyOptions {
    /// A key for this purpose, with the default of everything else.
    #[must_use]
    pub fn new(environment: Environment) -> Self {
        Self { environment, label: None, scopes: Vec::new(), rate_limit: None, expires_in_days: None }
    }
}

impl NewKey {
    /// Makes a key: the key itself, and its stored form, which does not contain it.
    #[must_use]
    pub fn generate(options: KeyOptions, now: Timestamp, entropy: &dyn Entropy) -> (PlainKey, Self) {
        let plain = PlainKey::generate(options.environment, entropy);
        let life = options.expires_in_days.map(|days| SignedDuration::from_hours(24 * i64::from(days)));
        let key = Self {
            id: KeyId(entropy.id()),
            hash: plain.hash(),
            prefix: plain.prefix(),
            label: options.label,
            scopes: sorted_rights(options.scopes),
            rate_limit: options.rate_limit.unwrap_or(DEFAULT_RATE_LIMIT),
            expires_at: life.and_then(|life| now.checked_add(life).ok()),
            created_at: now,
        };
        (plain, key)
    }
}

/// Rights as they are stored: in order, each once.
#[must_use]
pub fn sorted_rights(mut rights: Vec<Right>) -> Vec<Right> {
    rights.sort_unstable();
    rights.dedup();
    rights
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;

    use super::*;
    use crate::clock::SystemEntropy;

    #[test]
    fn a_new_key_has_defaults_unique_rights_and_an_expiry() {
        let now: Timestamp = "2026-11-22T09:30:07Z".parse().unwrap();
        let (plain, key) = NewKey::generate(KeyOptions::new(Environment::Live), now, &SystemEntropy);
        assert_eq!((key.rate_limit, key.expires_at, key.created_at), (DEFAULT_RATE_LIMIT, None, now));
        assert_eq!((key.hash, key.prefix), (plain.hash(), plain.prefix()));
        let options = KeyOptions {
            scopes: vec![Right::Write, Right::Read, Right::Write],
            rate_limit: Some(0),
            expires_in_days: Some(2),
            ..KeyOptions::new(Environment::Test)
        };
        let (plain, key) = NewKey::generate(options, now, &SystemEntropy);
        assert_eq!(key.scopes, sorted_rights(vec![Right::Read, Right::Write]));
        assert_eq!((key.rate_limit, key.expires_at), (0, Some(now + 48.hours())));
        assert_eq!(Environment::of_prefix(&plain.prefix()), Environment::Test);
    }
}
