//! Text that JSON can write and Unicode cannot hold.

/// Replaces `\ud800`-like escapes that are not half of a pair by `\ufffd`: JSON allows them, Unicode text does not.
#[must_use]
pub fn replace_lone_surrogates(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        let taken = match surrogate(escape) {
            Some(0xd800..=0xdbff)
                if escape
                    .get(6..)
                    .and_then(surrogate)
                    .is_some_and(|low| (0xdc00..=0xdfff).contains(&low)) =>
            {
                12
            }
            Some(0xd800..=0xdfff) => {
                out.push_str("\\ufffd");
                rest = escape.get(6..).unwrap_or_default();
                continue;
            }
            _ => escape.chars().take(2).map(char::len_utf8).sum(),
        };
        let (whole, after) = escape.split_at_checked(taken).unwrap_or((escape, ""));
        out.push_str(whole);
        rest = after;
    }
    out.push_str(rest);
    out
}

/// The code unit of a `\uXXXX` escape at the start of the text.
fn surrogate(escape: &str) -> Option<u16> {
    u16::from_str_radix(escape.strip_prefix("\\u")?.get(..4)?, 16).ok()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::Value;

    use super::*;

    #[rstest]
    #[case(r#"{"a":"\ud83d\ude00"}"#, "😀")]
    #[case(r#"{"a":"\ud800"}"#, "\u{fffd}")]
    #[case(r#"{"a":"\ud800\ud83d\ude00"}"#, "\u{fffd}😀")]
    #[case(r#"{"a":"\udc00x"}"#, "\u{fffd}x")]
    #[case(r#"{"a":"\\ud800"}"#, "\\ud800")]
    #[case(r#"{"a":"é\\\ud800ü"}"#, "é\\\u{fffd}ü")]
    fn lone_surrogates_become_the_replacement_character(#[case] line: &str, #[case] text: &str) {
        let value: Value = serde_json::from_str(&replace_lone_surrogates(line)).unwrap();
        assert_eq!(value["a"], text);
    }
}
