//! Merge conflicts of git in a document. They are never treated as text: the correct side is unknown.
//!
//! This module only finds them; the rules refuse to edit around them.

use std::borrow::Cow;
use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag};

use crate::compact_sort::CompactSort as _;
use crate::document::dialect::{dialect, front_matter};

/// One conflict: `<<<<<<< `, `=======` and `>>>>>>> `, in this order at the beginnings of lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The bytes from its first marker to the end of the line of its last one.
    pub range: Range<usize>,
    /// The line of its first marker, from 1.
    pub line: usize,
    /// The line of its last marker.
    pub last_line: usize,
    /// The bytes of its marker lines, without line endings.
    markers: Vec<Range<usize>>,
}

impl Conflict {
    /// The reason why an edit is refused, with the remedy.
    #[must_use]
    pub fn refusal(&self) -> String {
        format!(
            "lines {} to {} hold a merge conflict that git left; resolve it first: edit_memory_bank_file with all of it \
             as `old`, or write_memory_bank_file with the whole text",
            self.line, self.last_line
        )
    }
}

/// The conflicts of a text, top to bottom. A lone `=======` underlines a heading, and a conflict in a code fence is
/// an example.
pub(super) fn find(text: &str) -> Vec<Conflict> {
    if !may_have(text) {
        return Vec::new();
    }
    let fences = fences(text);
    let mut open: Vec<Open> = Vec::new();
    let mut found = Vec::new();
    let mut at = 0;
    for (line, raw) in (1_usize..).zip(text.split_inclusive('\n')) {
        let range = at..at + raw.trim_end_matches(['\r', '\n']).len();
        let end = at + raw.len();
        at = end;
        let words = text.get(range.clone()).unwrap_or_default();
        let words = words.strip_prefix('\u{feff}').unwrap_or(words);
        if is_marker(words, "<<<<<<<") {
            let before = fences.partition_point(|fence| fence.end <= range.start);
            if fences.get(before).is_none_or(|fence| fence.start > range.start) {
                open.push(Open { start: range.start, line, divided: false, markers: vec![range] });
            }
            continue;
        }
        // A side of a conflict may open a fence that the other one does not, so fences do not count from here on.
        let Some(inner) = open.last_mut() else { continue };
        if words.trim_end() == "=======" {
            inner.divided = true;
            inner.markers.push(range);
        } else if is_marker(words, "|||||||") && !inner.divided {
            inner.markers.push(range);
        } else if is_marker(words, ">>>>>>>")
            && inner.divided
            && let Some(mut closed) = open.pop()
        {
            closed.markers.push(range);
            let range = closed.start..end;
            found.push(Conflict { range, line: closed.line, last_line: line, markers: closed.markers });
        }
    }
    outermost(found)
}

/// Whether a text may have a conflict. It must be fast, since every edit of a long log calls it.
pub(super) fn may_have(text: &str) -> bool {
    memchr::memmem::find(text.as_bytes(), b"<<<<<<<").is_some()
}

/// The outermost conflicts, with the markers of those nested in them.
fn outermost(mut found: Vec<Conflict>) -> Vec<Conflict> {
    found.compact_sort_by_key(|conflict| conflict.range.start);
    let mut outer: Vec<Conflict> = Vec::with_capacity(found.len());
    for conflict in found {
        match outer.last_mut().filter(|last| conflict.range.start < last.range.end) {
            Some(last) => last.markers.extend(conflict.markers),
            None => outer.push(conflict),
        }
    }
    for conflict in &mut outer {
        conflict.markers.compact_sort_by_key(|marker| marker.start);
    }
    outer
}

/// The conflicts that these bytes touch.
pub(super) fn all_in<'c>(
    conflicts: &'c [Conflict],
    range: &Range<usize>,
) -> impl Iterator<Item = &'c Conflict> + use<'c> {
    let first = conflicts.partition_point(|conflict| conflict.range.end <= range.start);
    let end = range.end;
    conflicts.get(first..).unwrap_or_default().iter().take_while(move |conflict| conflict.range.start < end)
}

/// These bytes of the text with every marker replaced by as many blanks, so that no marker creates a heading or an
/// item.
pub(super) fn blanked<'t>(text: &'t str, range: &Range<usize>, conflicts: &[Conflict]) -> Cow<'t, str> {
    let slice = text.get(range.clone()).unwrap_or_default();
    let mut markers = all_in(conflicts, range)
        .flat_map(|conflict| &conflict.markers)
        .filter(|marker| marker.start >= range.start && marker.end <= range.end)
        .peekable();
    if markers.peek().is_none() {
        return Cow::Borrowed(slice);
    }
    let mut blanked = String::with_capacity(slice.len());
    let mut at = range.start;
    for marker in markers {
        blanked.push_str(text.get(at..marker.start).unwrap_or_default());
        blanked.extend(std::iter::repeat_n(' ', marker.len()));
        at = marker.end;
    }
    blanked.push_str(text.get(at..range.end).unwrap_or_default());
    Cow::Owned(blanked)
}

struct Open {
    start: usize,
    line: usize,
    divided: bool,
    markers: Vec<Range<usize>>,
}

fn is_marker(line: &str, signs: &str) -> bool {
    line.strip_prefix(signs).is_some_and(|label| label.is_empty() || label.starts_with(' '))
}

fn fences(text: &str) -> Vec<Range<usize>> {
    let skipped = front_matter(text);
    Parser::new_ext(text.get(skipped..).unwrap_or_default(), dialect())
        .into_offset_iter()
        .filter(|(event, _)| matches!(event, Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(_)))))
        .map(|(_, range)| range.start + skipped..range.end + skipped)
        .collect()
}
