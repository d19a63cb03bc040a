//! Leftovers of editors and sync tools beside documents. They are listed, and can be read by name, but search and
//! digests omit them: an old copy could be taken for the current text.
//!
//! Only generated names are matched: `notes (1).md` may be a user's own.

/// The words in brackets, or after the last dot, hyphen or underscore, in the name of a conflicted copy.
const CONFLICT_WORDS: [&str; 8] = [
    "conflicted copy",
    "conflict copy",
    "case conflict",
    "copie en conflit",
    "copia en conflicto",
    "in konflikt stehende kopie",
    "konfliktkopie",
    "cópia em conflito",
];

/// Whether a name, with or without folders, is a leftover of an editor or a sync tool.
#[must_use]
pub fn is_leftover(name: &str) -> bool {
    let name = name.rsplit_once('/').map_or(name, |(_, file)| file);
    let lower = name.to_lowercase();
    let is_marked = [".#", "._", "~$", ".~lock."].iter().any(|mark| lower.starts_with(mark));
    let is_ended =
        ["~", ".swp", ".swo", ".swn", ".orig", ".rej", ".bak", ".tmp"].iter().any(|end| lower.ends_with(end))
            || (lower.starts_with('#') && lower.ends_with('#'));
    is_marked || is_ended || is_conflict_copy(&lower)
}

fn is_conflict_copy(lower: &str) -> bool {
    let Some((stem, _)) = lower.rsplit_once('.') else { return false };
    // `notes (Alice's conflicted copy 2026-01-01).md`, also followed by a number.
    let in_brackets = stem
        .rsplit_once('(')
        .and_then(|(before, rest)| Some((before, rest.split_once(')')?.0)))
        .is_some_and(|(before, words)| {
            !before.trim().is_empty() && CONFLICT_WORDS.iter().any(|conflict| words.contains(conflict))
        });
    // `notes.sync-conflict-20260101-101010-ABCDEFG.md` and `notes_conflict-20260101-101010.md`.
    let has_stamp = |mark: &str| {
        stem.split_once(mark).is_some_and(|(before, rest)| {
            !before.is_empty() && rest.bytes().take(8).filter(u8::is_ascii_digit).count() == 8
        })
    };
    in_brackets || has_stamp(".sync-conflict-") || has_stamp("_conflict-")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("notes.md~")]
    #[case(".notes.md.swp")]
    #[case("notes.md.swp")]
    #[case(".#notes.md")]
    #[case("#notes.md#")]
    #[case("._notes.md")]
    #[case("~$notes.md")]
    #[case("notes (conflicted copy).md")]
    #[case("notes (Alice's conflicted copy 2026-01-01).md")]
    #[case("adr/0001 (conflicted copy 2026-01-01 101010).md")]
    #[case("notes (Case Conflict 1).md")]
    #[case("notes (Konfliktkopie von Bob).md")]
    #[case("notes.sync-conflict-20260101-101010-ABCDEFG.md")]
    #[case("notes_conflict-20260101-101010.md")]
    #[case("notes.md.orig")]
    fn leftovers_of_tools_are_recognised(#[case] name: &str) {
        assert!(is_leftover(name), "{name}");
    }

    #[rstest]
    #[case("notes.md")]
    #[case("notes (1).md")]
    #[case("Sprint (2).md")]
    #[case("conflicted copy.md")]
    #[case("merge-conflict-notes.md")]
    #[case("how we resolve conflicts (draft).md")]
    #[case("_conflict-of-interest.md")]
    #[case("policy_conflict-of-interest.md")]
    #[case(".hidden.md")]
    #[case("temp.md")]
    fn names_chosen_by_people_are_not_leftovers(#[case] name: &str) {
        assert!(!is_leftover(name), "{name}");
    }
}
