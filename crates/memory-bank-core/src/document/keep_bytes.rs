//! Preserves bytes that are not UTF-8 through an edit. A document is read as text with U+FFFD; unchanged parts must
//! keep their bytes. This module must not know files or edits.

use std::collections::{HashMap, VecDeque};

/// The bytes for `after`, the edited text of a file with the content `raw`. The common beginning and end, and every
/// unchanged line in between, keep their bytes. The text of the result is `after`.
#[must_use]
pub fn keep_bytes(raw: &[u8], after: &str) -> Vec<u8> {
    let before = String::from_utf8_lossy(raw);
    let head = shared(before.chars(), after.chars());
    let (rest_before, rest_after) = (from(&before, head), from(after, head));
    let tail = shared(rest_before.chars().rev(), rest_after.chars().rev());
    let start = raw_offset(raw, head);
    let end = raw_offset(raw, before.len() - tail);
    let middle = rest_after.get(..rest_after.len() - tail).unwrap_or_default();
    let mut kept = raw.get(..start).unwrap_or_default().to_vec();
    keep_lines(raw.get(start..end).unwrap_or_default(), middle, &mut kept);
    kept.extend_from_slice(raw.get(end..).unwrap_or_default());
    // Two invalid halves that became adjacent may form a valid character.
    if String::from_utf8_lossy(&kept) == after { kept } else { after.as_bytes().to_vec() }
}

/// The length in bytes of the common beginning of two character sequences.
fn shared(a: impl Iterator<Item = char>, b: impl Iterator<Item = char>) -> usize {
    a.zip(b).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum()
}

fn from(text: &str, at: usize) -> &str {
    text.get(at..).unwrap_or_default()
}

/// The offset in the file of an offset in its text.
fn raw_offset(raw: &[u8], at: usize) -> usize {
    let (mut text, mut bytes) = (0, 0);
    for chunk in raw.utf8_chunks() {
        let valid = chunk.valid().len();
        if at <= text + valid {
            return bytes + (at - text);
        }
        text += valid;
        bytes += valid;
        if !chunk.invalid().is_empty() {
            text += char::REPLACEMENT_CHARACTER.len_utf8();
            bytes += chunk.invalid().len();
        }
    }
    bytes
}

fn keep_lines(raw: &[u8], after: &str, kept: &mut Vec<u8>) {
    let mut known: HashMap<String, VecDeque<&[u8]>> = HashMap::new();
    // Without line ends, since the end of the last line may belong to the following text.
    for line in raw.split(|byte| *byte == b'\n') {
        if let Err(_broken) = std::str::from_utf8(line) {
            known.entry(String::from_utf8_lossy(line).into_owned()).or_default().push_back(line);
        }
    }
    for line in after.split_inclusive('\n') {
        let (text, end) = line.strip_suffix('\n').map_or((line, ""), |text| (text, "\n"));
        let bytes = known.get_mut(text).and_then(VecDeque::pop_front);
        kept.extend_from_slice(bytes.unwrap_or(text.as_bytes()));
        kept.extend_from_slice(end.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const RAW: &[u8] = b"# T\xff\n\ncaf\xe9 open\n\n## A\n- x\n\n\xe8\n## B\n\xe9\n\xe2\x82\xff\n";

    #[rstest]
    #[case("- x\n", "- x\n- y\n", b"- x\n", b"- x\n- y\n")]
    #[case("open", "closed", b"open", b"closed")]
    #[case("\u{fffd}\n## B\n", "## B\n", b"\xe8\n## B\n", b"## B\n")]
    fn unedited_parts_keep_their_bytes(
        #[case] old: &str,
        #[case] new: &str,
        #[case] raw_old: &[u8],
        #[case] raw_new: &[u8],
    ) {
        let after = String::from_utf8_lossy(RAW).replacen(old, new, 1);
        let at = RAW.windows(raw_old.len()).position(|part| part == raw_old).unwrap();
        let expected = [&RAW[..at], raw_new, &RAW[at + raw_old.len()..]].concat();
        assert_eq!(keep_bytes(RAW, &after), expected);
    }

    #[test]
    fn lines_between_two_edits_keep_their_bytes() {
        let after = String::from_utf8_lossy(RAW).replace("# T", "# U").replace("- x", "- y") + "end\n";
        let kept = keep_bytes(RAW, &after);
        assert!(kept.windows(9).any(|part| part == b"caf\xe9 open"));
        assert!(kept.ends_with(b"\xe8\n## B\n\xe9\n\xe2\x82\xff\nend\n"));
    }

    proptest! {
        #[test]
        fn the_result_has_the_edited_text(
            raw in prop::collection::vec(prop::sample::select(vec![b'a', b'\n', 0xff, 0xe2, 0x82, 0xac]), 0..40),
            after in "[a\\n\u{fffd}€]{0,30}",
        ) {
            let kept = keep_bytes(&raw, &after);
            prop_assert_eq!(String::from_utf8_lossy(&kept), after);
            prop_assert_eq!(keep_bytes(&raw, &String::from_utf8_lossy(&raw)), raw);
        }
    }
}
