//! Spellings of one text: composed or decomposed, upper or lower case. This module must not know what the text names.

mod letters;

use std::borrow::Cow;

pub(crate) use self::letters::{is_alphabetic, is_alphanumeric};

/// Whether a text contains a null character, which PostgreSQL cannot store. Fast, since every edit checks whole documents.
#[must_use]
pub fn has_null(text: &str) -> bool {
    memchr::memchr(0, text.as_bytes()).is_some()
}

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick, is_nfd_quick, is_nfkc_quick};

/// The composed form (NFC), in which `é` is one character.
#[must_use]
pub fn nfc(text: &str) -> Cow<'_, str> {
    if text.is_ascii() || is_nfc_quick(text.chars()) == IsNormalized::Yes {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.nfc().collect())
}

/// The composed form in which compatible characters are one (NFKC), as a letter and the same one of full width.
#[must_use]
pub fn nfkc(text: &str) -> Cow<'_, str> {
    if text.is_ascii() || is_nfkc_quick(text.chars()) == IsNormalized::Yes {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.nfkc().collect())
}

/// The decomposed form (NFD), in which some file systems and programs keep names.
#[must_use]
pub fn nfd(text: &str) -> Cow<'_, str> {
    if text.is_ascii() || is_nfd_quick(text.chars()) == IsNormalized::Yes {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.nfd().collect())
}

/// A form that two texts share if they differ in letter case or composition only, so that a case-insensitive file
/// system treats them as one name.
#[must_use]
pub fn folded(text: &str) -> String {
    // Via upper case, since some lower-case letters share theirs: `ſ` is another `s`.
    let lower = nfc(text).to_uppercase().to_lowercase();
    nfc(&lower).into_owned()
}

/// Why a reader does not see a character, or sees others differently because of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hidden {
    /// It changes the direction of the text around it, or its digits and joins.
    Direction,
    /// It separates lines or paragraphs where a line end is not expected.
    Separator,
    /// It has no width and no use in ordinary text.
    ZeroWidth,
    /// It joins characters of scripts and emoji, or keeps them apart.
    Joiner,
    /// It fills the place of a letter, or is shown at a line's end only.
    Filler,
    /// It selects a variant of the character before it, as emoji have them.
    Selector,
    /// It is a copy of an ASCII character that no font shows.
    Tag,
}

/// Why a reader does not see a character; none if it is seen. Control characters are not among them: [`char::is_control`].
#[must_use]
pub fn hidden(character: char) -> Option<Hidden> {
    Some(match character {
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{206f}' => {
            Hidden::Direction
        }
        '\u{2028}' | '\u{2029}' => Hidden::Separator,
        '\u{200b}' | '\u{2060}'..='\u{2065}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' => Hidden::ZeroWidth,
        '\u{200c}' | '\u{200d}' => Hidden::Joiner,
        '\u{ad}'
        | '\u{34f}'
        | '\u{115f}'
        | '\u{1160}'
        | '\u{17b4}'
        | '\u{17b5}'
        | '\u{180e}'
        | '\u{2800}'
        | '\u{3164}'
        | '\u{ffa0}'
        | '\u{13430}'..='\u{1343f}'
        | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' => Hidden::Filler,
        '\u{180b}'..='\u{180d}' | '\u{180f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0080}'..='\u{e0fff}' => {
            Hidden::Selector
        }
        '\u{e0000}'..='\u{e007f}' => Hidden::Tag,
        _ => return None,
    })
}

/// Whether a character does not belong into a name, since two names that differ in it look the same. Joiners are among
/// them, since some file systems drop them; selectors are not, since emoji need them.
#[must_use]
pub fn is_invisible(character: char) -> bool {
    hidden(character).is_some_and(|reason| reason != Hidden::Selector)
}

/// Whether a character makes a terminal show something else than the text, or nothing. Tabs and what scripts need do not.
#[must_use]
pub fn misleads_on_terminal(character: char) -> bool {
    character != '\t' && character.is_control()
        || matches!(
            hidden(character),
            Some(Hidden::Direction | Hidden::Separator | Hidden::ZeroWidth | Hidden::Tag)
        )
}

/// The text without characters that a person does not see, so that a model reads what a person reads. Tabs and line ends
/// stay.
#[must_use]
pub fn visible(text: &str) -> String {
    let is_seen = |character: &char| match character {
        '\n' | '\t' => true,
        character => !character.is_control() && hidden(*character).is_none(),
    };
    text.chars().filter(is_seen).collect()
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

    #[test]
    fn invisible_instructions_are_removed() {
        let smuggled: String = "run rm"
            .chars()
            .map(|character| char::from_u32(0xe0000 + u32::from(character)).unwrap())
            .collect();
        assert_eq!(visible(&format!("plan{smuggled}\u{1b}[31m\u{202e}x\r")), "plan[31mx");
    }

    #[test]
    fn names_keep_selectors_and_terminals_what_scripts_need() {
        let selector = '\u{fe0f}';
        assert!(!is_invisible(selector) && !misleads_on_terminal(selector) && visible("\u{fe0f}").is_empty());
        for character in ['\u{200d}', '\u{ad}', '\u{3164}'] {
            assert!(is_invisible(character) && !misleads_on_terminal(character), "{character:?}");
        }
        for character in ['\u{202e}', '\u{2028}', '\u{200b}', '\u{feff}', '\u{e0041}'] {
            assert!(is_invisible(character) && misleads_on_terminal(character), "{character:?}");
        }
        assert!(misleads_on_terminal('\u{1b}') && !misleads_on_terminal('\t') && !is_invisible('a'));
    }
}
