//! Replaces parts of a text.

/// Replaces ranges, which are in order and do not overlap.
pub(super) fn splice(text: &str, edits: &[(usize, usize, String)]) -> String {
    let mut result =
        String::with_capacity(text.len() + edits.iter().map(|(_, _, new)| new.len()).sum::<usize>());
    let mut at = 0;
    for (start, end, new) in edits {
        result.push_str(text.get(at..*start).unwrap_or_default());
        result.push_str(new);
        at = *end;
    }
    result.push_str(text.get(at..).unwrap_or_default());
    result
}
