//! The derivation of graph ids, and the normal form of names for it.
//!
//! The rules are those of JavaScript, since existing logs were written by it: its set of white space differs from
//! Rust's (U+FEFF belongs to it, U+0085 does not). Ids are the same in every store, so that export and import lose
//! nothing.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::unicode::nfc;

/// The prefix of entity ids.
pub const ENTITY_PREFIX: &str = "ent_";
/// The prefix of observation ids.
pub const OBSERVATION_PREFIX: &str = "obs_";
/// The prefix of relation ids.
pub const RELATION_PREFIX: &str = "rel_";

/// Twelve characters of base64url are exactly nine bytes of the digest.
const DIGEST_BYTES: usize = 9;

/// The id of the entity with this name and type, in any spelling.
#[must_use]
pub fn entity_id(name: &str, entity_type: &str) -> String {
    derive(ENTITY_PREFIX, &[&normalise(name), &normalise_type(entity_type)])
}

/// The id of an observation; `timestamp` exactly as stored.
#[must_use]
pub fn observation_id(entity_id: &str, text: &str, timestamp: &str) -> String {
    derive(OBSERVATION_PREFIX, &[entity_id, trim(text), timestamp])
}

/// The id of a relation. The type is used as stored, ignoring case.
#[must_use]
pub fn relation_id(from_id: &str, relation_type: &str, to_id: &str) -> String {
    derive(RELATION_PREFIX, &[from_id, &relation_type.to_lowercase(), to_id])
}

/// The normal form under which names are compared: trimmed, composed, in lower case, each run of white space one space.
#[must_use]
pub fn normalise(name: &str) -> String {
    let lower = nfc(trim(name)).to_lowercase();
    let lower = nfc(&lower);
    let mut normal = String::with_capacity(lower.len());
    let mut in_space = false;
    for character in lower.chars() {
        let space = is_whitespace(character);
        if !space {
            normal.push(character);
        } else if !in_space {
            normal.push(' ');
        }
        in_space = space;
    }
    normal
}

/// The normal form under which entity types are compared: trimmed, in lower case.
#[must_use]
pub fn normalise_type(entity_type: &str) -> String {
    trim(entity_type).to_lowercase()
}

/// Trims the white space that JavaScript's `trim` trims.
#[must_use]
pub fn trim(text: &str) -> &str {
    text.trim_matches(is_whitespace)
}

/// Whether ECMAScript counts the character as white space or line terminator.
#[must_use]
pub fn is_whitespace(character: char) -> bool {
    matches!(
        character,
        '\t' | '\n' | '\u{b}' | '\u{c}' | '\r' | ' ' | '\u{a0}' | '\u{1680}' | '\u{2000}'
            ..='\u{200a}' | '\u{2028}' | '\u{2029}' | '\u{202f}' | '\u{205f}' | '\u{3000}' | '\u{feff}'
    )
}

/// An id of these parts; twelve characters follow the prefix.
pub(crate) fn derive(prefix: &str, parts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for (position, part) in parts.iter().enumerate() {
        if position > 0 {
            hasher.update(b":");
        }
        hasher.update(part.as_bytes());
    }
    let digest = hasher.finalize();
    let mut id = String::with_capacity(prefix.len() + 12);
    id.push_str(prefix);
    URL_SAFE_NO_PAD.encode_string(digest.get(..DIGEST_BYTES).unwrap_or_default(), &mut id);
    id
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("Rust", "lang", "ent_uJwUBCqjVyWo")]
    #[case("Axum", "lib", "ent_LXEBm1nzdFq0")]
    #[case("Ru  st", "lang", "ent_gh5yymXHk0Ut")]
    #[case("日本語 $&\nline2", "型", "ent_4Hfpe0aynkEi")]
    #[case("ΣΑΣ", "T", "ent_dN1pjr5MTc6e")]
    #[case("İx", "t", "ent_iEMsD-JV43Q2")]
    #[case("ẞ", "t", "ent_kbfs8iKt36OE")]
    #[case("\u{feff}BOM", "t", "ent_LCyjwPfvRSY5")]
    #[case("a\u{85}b", "t", "ent_ow5MigJ_oqbx")]
    fn entity_ids_match_the_vectors(#[case] name: &str, #[case] entity_type: &str, #[case] id: &str) {
        assert_eq!(entity_id(name, entity_type), id);
    }

    #[test]
    fn relation_and_observation_ids_match_the_vectors() {
        let (axum, rust) = (entity_id("Axum", "lib"), entity_id("Rust", "lang"));
        assert_eq!(relation_id(&axum, "written-in", &rust), "rel_c8-6byqpeOrw");
        assert_eq!(relation_id(&axum, "Written-In", &rust), "rel_c8-6byqpeOrw");
        assert_eq!(observation_id(&rust, "ts date", "2020-01-01"), "obs_MKAnkrEEYhsZ");
        assert_eq!(observation_id(&rust, "  ts date\n", "2020-01-01"), "obs_MKAnkrEEYhsZ");
    }

    #[test]
    fn white_space_is_that_of_ecmascript() {
        let all: Vec<u32> =
            (0..=0x0010_ffff_u32).filter(|code| char::from_u32(*code).is_some_and(is_whitespace)).collect();
        let mut expected: Vec<u32> = vec![9, 10, 11, 12, 13, 32, 0xa0, 0x1680];
        expected.extend(0x2000..=0x200a);
        expected.extend([0x2028, 0x2029, 0x202f, 0x205f, 0x3000, 0xfeff]);
        assert_eq!(all, expected);
    }

    proptest! {
        #[test]
        fn spelling_does_not_change_the_id(
            words in proptest::collection::vec("[a-zA-Z0-9äÖ]{1,6}", 1..4),
            space in "[ \t\n\u{a0}\u{feff}]{1,3}",
        ) {
            let plain = words.join(" ");
            let odd = format!("{space}{}{space}", words.join(&space));
            prop_assert_eq!(entity_id(&plain, "t"), entity_id(&odd, " T "));
        }

        #[test]
        fn normalising_twice_is_normalising_once(name in "[\\PC\t\n\u{85}\u{feff}]{0,20}") {
            let once = normalise(&name);
            prop_assert_eq!(normalise(&once), once);
        }
    }
}
