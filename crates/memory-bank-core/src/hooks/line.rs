//! A line of a document: its bullet and its label. It must not know where the line is shown.

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
