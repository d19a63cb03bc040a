//! The text of a source, and the note of its origin.

use crate::document::front_matter;
use crate::unicode::has_null;

/// Decodes a source: UTF-8, or UTF-16 with a byte order mark. The mark is dropped; everything else stays.
///
/// # Errors
/// The reason why it is not a text, as the end of a sentence.
pub fn decode(bytes: &[u8]) -> Result<String, &'static str> {
    let text = match bytes {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes)?,
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes)?,
        _ => {
            let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
            if memchr::memchr(0, bytes).is_some() {
                return Err("is binary");
            }
            let text = std::str::from_utf8(bytes).map_err(|_| "is not UTF-8; save it as UTF-8 first")?;
            text.to_owned()
        }
    };
    if has_null(&text) {
        return Err("is binary");
    }
    if text.trim().is_empty() { Err("is empty") } else { Ok(text) }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, &'static str> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let units = pairs.iter().map(|pair| unit(*pair));
    let text: Result<String, _> = char::decode_utf16(units).collect();
    match text {
        Ok(text) if rest.is_empty() => Ok(text),
        _ => Err("is binary"),
    }
}

/// The document of a source: its text with a comment that names the origin, behind the front matter, whose place is the
/// first line.
#[must_use]
pub fn with_origin(text: &str, from: &str) -> String {
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let (front, body) = text.split_at_checked(front_matter(text)).unwrap_or(("", text));
    let gap = if front.is_empty() || front.ends_with('\n') { "" } else { end };
    let blank = if body.starts_with(['\n', '\r']) || body.is_empty() { "" } else { end };
    format!("{front}{gap}{}{end}{blank}{body}", comment(from))
}

/// The name of a file must not end the comment early.
fn comment(from: &str) -> String {
    let mut shown = String::with_capacity(from.len());
    for character in from.chars() {
        match character {
            '>' => shown.push_str("&gt;"),
            '<' => shown.push_str("&lt;"),
            character if character.is_control() => shown.extend(character.escape_unicode()),
            character => shown.push(character),
        }
    }
    format!("<!-- imported from {shown} -->")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_decoded_and_others_refused() {
        assert_eq!(decode(b"\xef\xbb\xbf# A\r\n"), Ok("# A\r\n".to_owned()));
        assert_eq!(decode(b"\xff\xfe#\0 \0\xe9\0"), Ok("# \u{e9}".to_owned()));
        assert_eq!(decode(b"\xfe\xff\0#\0 \0A"), Ok("# A".to_owned()));
        assert_eq!(decode(b"\xff\xfe#"), Err("is binary"));
        assert_eq!(decode(b"\xff\xfe#\0\0\0"), Err("is binary"));
        assert_eq!(decode(b"a\0b"), Err("is binary"));
        assert_eq!(decode(b"caf\xe9"), Err("is not UTF-8; save it as UTF-8 first"));
        assert_eq!(decode(b"\xef\xbb\xbf \r\n"), Err("is empty"));
        assert_eq!(decode(b""), Err("is empty"));
    }

    #[test]
    fn the_origin_is_behind_the_front_matter_and_everything_else_stays() {
        assert_eq!(with_origin("# A\n", "CLAUDE.md"), "<!-- imported from CLAUDE.md -->\n\n# A\n");
        assert_eq!(with_origin("# A\r\nb", "x.md"), "<!-- imported from x.md -->\r\n\r\n# A\r\nb");
        let rule = "---\nglobs: \"*.ts\"\nalwaysApply: false\n---\n\n# TS\n";
        let noted = with_origin(rule, ".cursor/rules/ts.mdc");
        assert_eq!(
            noted,
            "---\nglobs: \"*.ts\"\nalwaysApply: false\n---\n<!-- imported from .cursor/rules/ts.mdc -->\n\n# TS\n"
        );
        assert_eq!(with_origin("---\na: b\n---", "x"), "---\na: b\n---\n<!-- imported from x -->\n");
    }

    #[test]
    fn no_name_ends_the_comment_early() {
        let noted = with_origin("x", "a --> <script>\n.md");
        let (comment, _) = noted.split_once("-->").unwrap();
        assert!(!comment.contains("<script>") && !comment.contains('\n'), "{noted}");
    }
}
