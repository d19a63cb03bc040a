//! The names of users that people give. Documents, the history and the audit log show names alone, so none looks like another. The
//! database has the same rules, and compares with the names that there are.

use thiserror::Error;

use crate::limits::USER_NAME_BYTES;
use crate::unicode::{hidden, nfkc};

/// Why a text is not a valid name of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum MalformedUserName {
    /// It is empty or too long, or has a control character.
    #[error("a user's name has 1 to {USER_NAME_BYTES} bytes, on one line")]
    Length,
    /// It has a character that a reader does not see.
    #[error("a user's name has no invisible characters, and none that change the direction of text")]
    Hidden,
    /// It has letters of two scripts that look alike.
    #[error("a user's name does not mix Latin letters with Cyrillic or Greek ones, which look like them")]
    Mixed,
    /// It has the form of names that signing in with a provider makes.
    #[error(
        "a user's name does not end with a word in parentheses; names of users who sign in with a provider do"
    )]
    Provider,
}

/// The name of a new user, without spaces around it.
///
/// # Errors
/// The text is not a valid name, or could be taken for another one.
pub fn parse_user_name(text: &str) -> Result<String, MalformedUserName> {
    let name = text.trim();
    if !(1..=USER_NAME_BYTES).contains(&name.len()) || name.chars().any(char::is_control) {
        return Err(MalformedUserName::Length);
    }
    if name.chars().any(|character| hidden(character).is_some()) {
        return Err(MalformedUserName::Hidden);
    }
    let plain = nfkc(name);
    if plain.chars().any(is_latin) && plain.chars().any(resembles_latin) {
        return Err(MalformedUserName::Mixed);
    }
    if ends_with_host(&plain) { Err(MalformedUserName::Provider) } else { Ok(name.to_owned()) }
}

fn is_latin(character: char) -> bool {
    character.is_ascii_alphabetic()
        || character.is_alphabetic()
            && matches!(character, '\u{c0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' | '\u{2c60}'..='\u{2c7f}' | '\u{a720}'..='\u{a7ff}')
}

/// Whether it is a Greek or Cyrillic letter.
fn resembles_latin(character: char) -> bool {
    matches!(character, '\u{370}'..='\u{52f}' | '\u{1c80}'..='\u{1c8f}' | '\u{1f00}'..='\u{1fff}' | '\u{2de0}'..='\u{2dff}' | '\u{a640}'..='\u{a69f}')
}

/// Whether a name ends like `una (login.example.com)`, also with the id that makes it unique.
fn ends_with_host(name: &str) -> bool {
    let is_id =
        |text: &str| text.len() == 36 && text.chars().all(|one| one.is_ascii_hexdigit() || one == '-');
    let name = name.rsplit_once(' ').map_or(name, |(before, last)| if is_id(last) { before } else { name });
    let inside = name.strip_suffix(')').and_then(|name| name.rsplit_once(" ("));
    inside.is_some_and(|(_, host)| !host.is_empty() && !host.contains([' ', '(', ')']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_be_taken_for_another_one() {
        for name in
            ["ana", " Jürgen Groß ", "Анна Каренина", "Νίκος", "李 Wei", "Bob (of the north)", "<b>Una</b>"]
        {
            assert_eq!(parse_user_name(name).as_deref(), Ok(name.trim()));
        }
        for (name, why) in [
            ("", MalformedUserName::Length),
            ("a\nb", MalformedUserName::Length),
            ("a\u{7f}", MalformedUserName::Length),
            ("ali\u{200b}ce", MalformedUserName::Hidden),
            ("\u{202e}ecila", MalformedUserName::Hidden),
            ("a\u{2028}b", MalformedUserName::Hidden),
            ("al\u{ad}ice", MalformedUserName::Hidden),
            ("alice\u{fe0f}", MalformedUserName::Hidden),
            ("\u{430}lice", MalformedUserName::Mixed),
            ("Al\u{3b9}ce", MalformedUserName::Mixed),
            ("\u{ff21}lic\u{435}", MalformedUserName::Mixed),
            ("una (login.example.com)", MalformedUserName::Provider),
            ("una \u{ff08}login.example.com\u{ff09}", MalformedUserName::Provider),
            ("una (sso) 0191e2a4-0000-7000-8000-000000000000", MalformedUserName::Provider),
        ] {
            assert_eq!(parse_user_name(name), Err(why), "{name:?}");
        }
        assert_eq!(parse_user_name(&"a".repeat(256)), Err(MalformedUserName::Length));
        assert!(parse_user_name(&"🦀".repeat(63)).is_ok());
    }
}
