//! A line of a document: its bullet, its label, and its beginning without secrets. It must not know where the line is shown.

use crate::search::clip;
use crate::secrets::masked;

/// How many bytes of a line are searched for secrets and matches: a line may be as long as a document.
pub(super) const SCANNED_LINE_BYTES: usize = 4096;

/// The scanned part of a line, and whether it is all of it. It ends before a word that is cut: a part of a secret is not
/// recognised as one.
pub(super) fn scanned(line: &str) -> (&str, bool) {
    if line.len() <= SCANNED_LINE_BYTES {
        return (line, true);
    }
    let cut = line.get(..line.floor_char_boundary(SCANNED_LINE_BYTES)).unwrap_or_default();
    (cut.trim_end_matches(|character: char| character.is_ascii_graphic()).trim_end(), false)
}

/// The first `characters` of the line, with secrets masked. Omissions are shown as `…`.
pub(super) fn masked_beginning(line: &str, characters: usize) -> String {
    let (part, is_whole) = scanned(line);
    let mut text = masked(part);
    if !is_whole {
        text.push('…');
    }
    clip(&text, 0, characters)
}

/// The line without its bullet; bold words keep their marks.
pub(super) fn without_bullet(line: &str) -> &str {
    let line = line.trim();
    let bare = ["- ", "* ", "+ "].iter().find_map(|bullet| line.strip_prefix(bullet));
    bare.map_or(line, str::trim_start)
}

/// The line without its bullet and without a bold label: `- **Decision:** text` is `text`.
pub(super) fn without_label(line: &str) -> &str {
    let bare = without_bullet(line);
    let Some((label, rest)) = bare.strip_prefix("**").and_then(|rest| rest.split_once("**")) else {
        return bare;
    };
    let text = match label.strip_suffix(':') {
        Some(_) => Some(rest),
        None => rest.strip_prefix(':'),
    };
    text.map(str::trim).filter(|text| !text.is_empty()).unwrap_or(bare)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn a_secret_in_a_long_line_is_masked_also_where_the_line_is_cut() {
        let key = ["ghp_", &"a1B2".repeat(9)].concat();
        for before in [0, 10, 150, 200, SCANNED_LINE_BYTES - 30, SCANNED_LINE_BYTES - 1] {
            let line = format!("{} token {key} {}", "w ".repeat(before / 2), "x ".repeat(200_000));
            let shown = masked_beginning(&line, 5000);
            assert!(!shown.contains("a1B2"), "{before}: {shown}");
            assert!(shown.ends_with('…') && shown.chars().count() <= 5000, "{before}");
        }
        assert_eq!(masked_beginning(&"x".repeat(200_000), 100), "…");
        assert_eq!(masked_beginning(&"退款".repeat(100_000), 5), "退款退款…");
        assert_eq!(masked_beginning("short", 100), "short");
    }

    #[rstest]
    #[case("- **Decision:** use X", "**Decision:** use X", "use X")]
    #[case("* **Decision**: use X", "**Decision**: use X", "use X")]
    #[case("**bold** words", "**bold** words", "**bold** words")]
    #[case("- plain", "plain", "plain")]
    #[case("**Alone:**", "**Alone:**", "**Alone:**")]
    #[case("*emphasis*", "*emphasis*", "*emphasis*")]
    fn bullets_and_labels_are_left_out(#[case] line: &str, #[case] bullet: &str, #[case] label: &str) {
        assert_eq!((without_bullet(line), without_label(line)), (bullet, label));
    }
}
