//! Spellings of one text: composed or not, in capitals or not. It must not know what the text names.

use std::borrow::Cow;

/// Whether a text contains a null character, which PostgreSQL cannot store. Fast, since every edit checks whole documents.
#[must_use]
pub fn has_null(text: &str) -> bool {
    memchr::memchr(0, text.as_bytes()).is_some()
}

use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};

/// The composed form (NFC), in which `é` is one character however it was put together.
#[must_use]
pub fn nfc(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    ComposingNormalizerBorrowed::new_nfc().normalize(text)
}

/// The decomposed form (NFD), in which some file systems and programs keep names.
#[must_use]
pub fn nfd(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    DecomposingNormalizerBorrowed::new_nfd().normalize(text)
}

/// A form that two texts share when they differ in letter case or composition alone: a file system that does not tell
/// capitals from small letters would take them for one name.
#[must_use]
pub fn folded(text: &str) -> String {
    // By way of capitals, since some small letters share theirs: `ſ` is another `s`.
    let lower = nfc(text).to_uppercase().to_lowercase();
    nfc(&lower).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_text_are_one() {
        assert_eq!(nfc("cafe\u{301}"), "caf\u{e9}");
        assert_eq!(nfd("caf\u{e9}"), "cafe\u{301}");
        assert_eq!((nfc("plain"), nfd("plain")), ("plain".into(), "plain".into()));
        for (one, other) in
            [("README.md", "readme.md"), ("CAFE\u{301}", "caf\u{e9}"), ("backup\u{17f}", "Backups")]
        {
            assert_eq!(folded(one), folded(other));
        }
        assert_ne!(folded("a-b"), folded("ab"));
    }
}
