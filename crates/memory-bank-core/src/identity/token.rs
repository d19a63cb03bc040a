//! Secrets of OAuth: their form, their generation, and the successors of a refresh token. Like keys they are stored as
//! hashes only. Nothing here knows HTTP or who may have a token.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::clock::Entropy;
use crate::identity::KeyHash;
use crate::identity::secret::{ACCESS_PREFIX, PREFIX_CHARS, RANDOM_CHARS, base62, random_text};

/// The purpose of a secret. It is part of the text, so that scanners for leaked secrets recognise it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// `mbmcp_at_…`, presented with every request.
    Access,
    /// `mbmcp_rt_…`, exchanged for new tokens.
    Refresh,
    /// `mbmcp_ac_…`, an authorization code.
    Code,
    /// `mbmcp_si_…`, the cookie of a browser in which a user is signed in.
    SignIn,
    /// `mbmcp_client_…`, the id of a registered client, which is not a secret.
    Client,
}

impl TokenKind {
    fn prefix(self) -> &'static str {
        match self {
            Self::Access => ACCESS_PREFIX,
            Self::Refresh => "mbmcp_rt_",
            Self::Code => "mbmcp_ac_",
            Self::SignIn => "mbmcp_si_",
            Self::Client => "mbmcp_client_",
        }
    }
}

/// A token in plain text. Its `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct PlainToken(String);

impl PlainToken {
    /// Generates a token of 32 random characters.
    #[must_use]
    pub fn generate(kind: TokenKind, entropy: &dyn Entropy) -> Self {
        Self(random_text(kind.prefix(), entropy))
    }

    /// Reads a text in the exact form of a generated token of this kind.
    #[must_use]
    pub fn parse(kind: TokenKind, text: &str) -> Option<Self> {
        let random = text.strip_prefix(kind.prefix())?;
        let fits = random.len() == RANDOM_CHARS && random.bytes().all(|byte| byte.is_ascii_alphanumeric());
        fits.then(|| Self(text.to_owned()))
    }

    /// A token that follows from the use of this one. Who knows the salt but not the token cannot compute it, and two
    /// who know both compute the same one.
    #[must_use]
    pub fn successor(&self, kind: TokenKind, salt: &[u8; 16]) -> Self {
        let mut text = kind.prefix().to_owned();
        let whole = text.len() + RANDOM_CHARS;
        for round in 0..=u8::MAX {
            let mut hash = Sha256::new();
            hash.update(salt);
            hash.update(kind.prefix());
            hash.update([round]);
            hash.update(self.0.as_bytes());
            let missing = whole - text.len();
            text.extend(hash.finalize().iter().filter_map(|byte| base62(*byte)).take(missing));
            if text.len() == whole {
                break;
            }
        }
        Self(text)
    }

    /// The token as it is given to its owner.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The stored form.
    #[must_use]
    pub fn hash(&self) -> KeyHash {
        KeyHash::of(self.0.as_bytes())
    }

    /// The first characters, by which a token is recognised in lists.
    #[must_use]
    pub fn prefix(&self) -> String {
        self.0.chars().take(PREFIX_CHARS).collect()
    }
}

/// A one-time code that a person types: 80 random bits in four groups of Crockford's base 32, which has no letters that
/// look like digits.
#[derive(Clone, PartialEq, Eq)]
pub struct LoginCode(String);

impl LoginCode {
    const CHARS: usize = 16;
    const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

    /// Generates a code.
    #[must_use]
    pub fn generate(entropy: &dyn Entropy) -> Self {
        let mut code = String::new();
        while code.len() < Self::CHARS {
            // The bytes 6 and 8 of a random id hold its version and variant; the others are random.
            let id = entropy.id().into_bytes();
            let random = id.iter().enumerate().filter(|(at, _)| *at != 6 && *at != 8);
            let chars = random.filter_map(|(_, byte)| Self::ALPHABET.get(usize::from(byte & 31)));
            let missing = Self::CHARS - code.len();
            code.extend(chars.map(|char| char::from(*char)).take(missing));
        }
        Self(code)
    }

    /// Reads a code as people type it: in any case, with or without hyphens, and with letters for the digits that they
    /// look like.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let typed = text.chars().filter(|char| !matches!(char, '-' | ' '));
        let code: String = typed
            .take(Self::CHARS + 1)
            .map(|char| match char.to_ascii_uppercase() {
                'O' => '0',
                'I' | 'L' => '1',
                other => other,
            })
            .collect();
        let is_known = |byte: u8| Self::ALPHABET.contains(&byte);
        (code.len() == Self::CHARS && code.bytes().all(is_known)).then_some(Self(code))
    }

    /// The code in groups.
    #[must_use]
    pub fn expose(&self) -> String {
        let groups: Vec<String> =
            self.0.as_bytes().chunks(4).map(|group| String::from_utf8_lossy(group).into_owned()).collect();
        groups.join("-")
    }

    /// The stored form.
    #[must_use]
    pub fn hash(&self) -> KeyHash {
        KeyHash::of(self.0.as_bytes())
    }
}

impl fmt::Debug for LoginCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LoginCode(…)")
    }
}

impl fmt::Debug for PlainToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlainToken(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemEntropy;

    #[test]
    fn a_token_is_read_in_its_exact_form_only() {
        let token = PlainToken::generate(TokenKind::Refresh, &SystemEntropy);
        assert!(token.expose().starts_with("mbmcp_rt_"));
        assert_eq!(PlainToken::parse(TokenKind::Refresh, token.expose()).as_ref(), Some(&token));
        assert_eq!(PlainToken::parse(TokenKind::Access, token.expose()), None);
        for text in ["", "mbmcp_rt_", "mbmcp_rt_short", &format!("{}x", token.expose()), " mbmcp_rt_"] {
            assert_eq!(PlainToken::parse(TokenKind::Refresh, text), None, "{text}");
        }
        assert!(!format!("{token:?}").contains("mbmcp"));
    }

    #[test]
    fn a_login_code_is_read_as_people_type_it() {
        let code = LoginCode::generate(&SystemEntropy);
        let shown = code.expose();
        assert_eq!(shown.len(), 19);
        for typed in [
            shown.clone(),
            shown.to_lowercase(),
            shown.replace('-', " "),
            format!(" {} ", shown.replace('-', "")),
        ] {
            assert_eq!(LoginCode::parse(&typed).as_ref(), Some(&code), "{typed}");
        }
        assert_eq!(LoginCode::parse("O0iI-lL11-2222-3333"), LoginCode::parse("0011-1111-2222-3333"));
        for typed in ["", "0011", "0011-1111-2222-33334", "U011-1111-2222-3333", "ä011-1111-2222-333"] {
            assert_eq!(LoginCode::parse(typed), None, "{typed}");
        }
    }

    #[test]
    fn successors_depend_on_token_salt_and_kind() {
        let [first, second] = [(); 2].map(|()| PlainToken::generate(TokenKind::Refresh, &SystemEntropy));
        let next = first.successor(TokenKind::Refresh, &[1; 16]);
        assert_eq!(next, first.successor(TokenKind::Refresh, &[1; 16]));
        assert!(PlainToken::parse(TokenKind::Refresh, next.expose()).is_some());
        let access = first.successor(TokenKind::Access, &[1; 16]);
        let random = |token: &PlainToken| token.expose().rsplit('_').next().unwrap().to_owned();
        assert_ne!(random(&access), random(&next));
        assert_ne!(first.successor(TokenKind::Refresh, &[2; 16]), next);
        assert_ne!(second.successor(TokenKind::Refresh, &[1; 16]), next);
    }
}
