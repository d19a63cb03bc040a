//! Spellings of one text: composed or decomposed, upper or lower case. This module must not know what the text names.

use std::borrow::Cow;

/// Whether a text contains a null character, which PostgreSQL cannot store. Fast, since every edit checks whole documents.
#[must_use]
pub fn has_null(text: &str) -> bool {
    memchr::memchr(0, text.as_bytes()).is_some()
}

use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};

/// The composed form (NFC), in which `é` is one character.
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

/// A form that two texts share if they differ in letter case or composition only, so that a case-insensitive file
/// system treats them as one name.
#[must_use]
pub fn folded(text: &str) -> String {
    // Via upper case, since some lower-case letters share theirs: `ſ` is another `s`.
    let lower = nfc(text).to_uppercase().to_lowercase();
    nfc(&lower).into_owned()
}

/// Whether a character is invisible, or changes the direction or the look of the characters around it. Joiners of
/// scripts and emoji are included, since some file systems drop them.
pub(crate) fn is_invisible(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180e}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
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
