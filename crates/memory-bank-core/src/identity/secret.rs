//! The secret of a key: its form, its generation, and its hash, which is the only stored form.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::clock::Entropy;

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// The prefix of access tokens of OAuth, which are presented like keys.
pub(super) const ACCESS_PREFIX: &str = "mbmcp_at_";
/// How many random characters follow the prefix: 190 bits.
pub(super) const RANDOM_CHARS: usize = 32;
/// How many characters of a key are stored, to recognise it.
pub(super) const PREFIX_CHARS: usize = 12;
/// The longest text that is parsed as a key, in bytes.
const MAX_KEY_BYTES: usize = 128;

/// The purpose of a key. The word is part of the key; nothing else depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    /// `mbmcp_live_…`
    #[default]
    Live,
    /// `mbmcp_test_…`
    Test,
}

impl Environment {
    /// The purpose of keys with this prefix.
    #[must_use]
    pub fn of_prefix(prefix: &str) -> Self {
        if prefix.starts_with(Self::Test.prefix()) { Self::Test } else { Self::Live }
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::Live => "mbmcp_live_",
            Self::Test => "mbmcp_test_",
        }
    }
}

/// A key in plain text. It is shown once, to its creator, and its `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct PlainKey(String);

/// The text is not a key: it has another prefix, or invalid characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key looks like `mbmcp_live_…` or `mbmcp_test_…`")]
pub struct MalformedKey;

impl PlainKey {
    /// Generates a key of 32 random base62 characters, each equally likely.
    #[must_use]
    pub fn generate(environment: Environment, entropy: &dyn Entropy) -> Self {
        Self(random_text(environment.prefix(), entropy))
    }

    /// Whether it is an access token of OAuth. The word is part of the hash, so that it is as certain as the key.
    #[must_use]
    pub fn is_token(&self) -> bool {
        self.0.starts_with(ACCESS_PREFIX)
    }

    /// The key as it is given to its owner.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The stored form of a key.
    #[must_use]
    pub fn hash(&self) -> KeyHash {
        KeyHash::of(self.0.as_bytes())
    }

    /// The first 12 characters, by which a key is recognised in lists.
    #[must_use]
    pub fn prefix(&self) -> String {
        self.0.chars().take(PREFIX_CHARS).collect()
    }
}

impl FromStr for PlainKey {
    type Err = MalformedKey;

    /// Accepts a text in the form of a key. Whether the key exists is checked by its hash.
    fn from_str(text: &str) -> Result<Self, MalformedKey> {
        let random = [Environment::Live.prefix(), Environment::Test.prefix(), ACCESS_PREFIX]
            .into_iter()
            .find_map(|prefix| text.strip_prefix(prefix))
            .ok_or(MalformedKey)?;
        let fits = !random.is_empty()
            && text.len() <= MAX_KEY_BYTES
            && random.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
        if fits { Ok(Self(text.to_owned())) } else { Err(MalformedKey) }
    }
}

/// The prefix and 32 random base62 characters, each equally likely.
pub(super) fn random_text(prefix: &str, entropy: &dyn Entropy) -> String {
    let mut text = prefix.to_owned();
    let whole = text.len() + RANDOM_CHARS;
    while text.len() < whole {
        // The bytes 6 and 8 of a random id hold its version and variant; the others are random.
        let id = entropy.id().into_bytes();
        let random = id.iter().enumerate().filter(|(at, _)| *at != 6 && *at != 8).map(|(_, byte)| *byte);
        let missing = whole - text.len();
        text.extend(random.filter_map(base62).take(missing));
    }
    text
}

/// A character of six bits of a random byte. Of 64 values two are discarded, so that all characters are equally likely.
pub(super) fn base62(random: u8) -> Option<char> {
    BASE62.get(usize::from(random & 63)).map(|byte| char::from(*byte))
}

impl fmt::Debug for PlainKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlainKey(…)")
    }
}

/// The SHA-256 of a key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyHash([u8; 32]);

impl KeyHash {
    /// The hash of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// A stored hash.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// 64 hexadecimal digits in lower case.
    #[must_use]
    pub fn to_hex(&self) -> String {
        use fmt::Write;
        self.0.iter().fold(String::with_capacity(64), |mut hex, byte| {
            // Writing into a string cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }

    /// Reads [`Self::to_hex`].
    #[must_use]
    pub fn from_hex(hex: &str) -> Option<Self> {
        let mut bytes = [0u8; 32];
        if hex.len() != 64 || !hex.is_ascii() {
            return None;
        }
        for (byte, digits) in bytes.iter_mut().zip(hex.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(…)")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::clock::SystemEntropy;

    #[test]
    fn a_key_is_its_environment_and_32_characters() {
        let key = PlainKey::generate(Environment::Test, &SystemEntropy);
        assert!(key.expose().starts_with("mbmcp_test_"));
        assert_eq!(key.expose().len(), "mbmcp_test_".len() + 32);
        assert_eq!(key.expose().parse::<PlainKey>().as_ref(), Ok(&key));
        assert!(key.prefix().len() == 12 && key.expose().starts_with(&key.prefix()));
    }

    #[test]
    fn every_character_is_as_likely_as_any_other() {
        let mut counts: BTreeMap<char, u32> = BTreeMap::new();
        for _ in 0..3000 {
            let key = PlainKey::generate(Environment::Live, &SystemEntropy);
            for char in key.expose().chars().skip(11) {
                *counts.entry(char).or_default() += 1;
            }
        }
        // 96,000 characters, 1,548 of each expected, with a deviation of 39: six deviations on each side.
        assert_eq!(counts.len(), 62);
        assert!(counts.values().all(|count| (1300..1800).contains(count)), "{counts:?}");
    }

    #[test]
    fn malformed_keys_are_refused() {
        for text in ["", "mbmcp_live_", "mbmcp_prod_abc", "live_abc", "mbmcp_live_a b", "mbmcp_live_ä"] {
            assert_eq!(text.parse::<PlainKey>(), Err(MalformedKey), "{text}");
        }
        assert!(format!("mbmcp_live_{}", "a".repeat(200)).parse::<PlainKey>().is_err());
        assert!("mbmcp_rt_0123".parse::<PlainKey>().is_err());
    }

    #[test]
    fn an_access_token_is_presented_like_a_key() {
        assert!("mbmcp_at_0123".parse::<PlainKey>().unwrap().is_token());
        assert!(!"mbmcp_live_0123".parse::<PlainKey>().unwrap().is_token());
    }

    #[test]
    fn debug_shows_nothing_of_a_key() {
        let key: PlainKey = "mbmcp_live_secret".parse().unwrap();
        assert!(!format!("{key:?} {:?}", key.hash()).contains("secret"));
    }

    #[test]
    fn a_hash_round_trips_through_hexadecimal() {
        let hash = "mbmcp_live_secret".parse::<PlainKey>().unwrap().hash();
        assert_eq!(KeyHash::from_hex(&hash.to_hex()), Some(hash));
        assert_eq!(KeyHash::from_hex("zz"), None);
    }
}
