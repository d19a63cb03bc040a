//! Half surrogate pairs in JSON. JavaScript writes one as an escape where a text was cut within a character, such as an emoji in the
//! history in the file of Claude Code; the parser refuses it.

use std::borrow::Cow;

use super::splice::splice;

/// The number of bytes of an escape, as in `\\ud83d`.
const ESCAPE: usize = 6;

/// The text for the parser: an escape of the same length stands for each half pair, so that all positions stay.
pub(super) fn replace_half_pairs(text: &str) -> Cow<'_, str> {
    let mut edits = Vec::new();
    let mut at = 0;
    while let Some(found) = text.get(at..).and_then(|rest| rest.find('\\')) {
        let start = at + found;
        at = start
            + match (code_unit(text, start), code_unit(text, start + ESCAPE)) {
                (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => 2 * ESCAPE,
                (Some(0xD800..=0xDFFF), _) => {
                    edits.push((start, start + ESCAPE, "\\ufffd".to_owned()));
                    ESCAPE
                }
                (Some(_), _) => ESCAPE,
                // The character behind a backslash begins no escape.
                (None, _) => {
                    1 + text.get(start + 1..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8)
                }
            };
    }
    if edits.is_empty() { Cow::Borrowed(text) } else { Cow::Owned(splice(text, &edits)) }
}

/// The number in the escape at this position.
fn code_unit(text: &str, at: usize) -> Option<u16> {
    let digits = text.get(at..at + ESCAPE)?.strip_prefix("\\u")?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_half_pairs_are_replaced_and_positions_stay() {
        for (text, replaced) in [
            (r#""\ud83d\ude00 \u00e9 \n""#, None),
            (r#""C:\\ud83d""#, None),
            (r#""\ud83d""#, Some(r#""\ufffd""#)),
            (r#""\uD83D\ud83d\ude00\ude00é""#, Some(r#""\ufffd\ud83d\ude00\ufffdé""#)),
            (r#""\\\ud83d x""#, Some(r#""\\\ufffd x""#)),
            ("// \\é \\", None),
        ] {
            assert_eq!(replace_half_pairs(text), replaced.unwrap_or(text), "{text}");
        }
    }
}
