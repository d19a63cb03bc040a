//! The content address of a document.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The first 16 hexadecimal digits of the SHA-256 of a document's UTF-8 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Etag(String);

impl Etag {
    /// The etag of this text.
    #[must_use]
    pub fn of(content: &str) -> Self {
        let digest = Sha256::digest(content.as_bytes());
        Self(digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect())
    }

    /// An etag from a caller; it may be malformed, so that it equals no stored etag.
    #[must_use]
    pub fn claimed(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The sixteen digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Etag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_examples_hold() {
        assert_eq!(Etag::of("").as_str(), "e3b0c44298fc1c14");
        assert_eq!(Etag::of("c").as_str(), "2e7d2c03a9507ae2");
        assert_eq!(Etag::of("a").as_str(), "ca978112ca1bbdca");
    }
}
