//! A short unified diff between two texts.

use std::time::Duration;

use similar::{Algorithm, TextDiff};

use crate::limits;

/// The time limit for the shortest diff; after it, the diff is correct but may be longer.
const TIME_LIMIT: Duration = Duration::from_millis(100);

/// A unified diff with two lines of context, cut at a line to [`limits::DIFF_CHARS`]; empty if nothing changed.
#[must_use]
pub fn unified_diff(name: &str, old: &str, new: &str) -> String {
    unified_diff_within(name, old, new, limits::DIFF_CHARS)
}

/// The same, cut at a line to `most` characters.
#[must_use]
pub fn unified_diff_within(name: &str, old: &str, new: &str, most: usize) -> String {
    if old == new {
        return String::new();
    }
    let diff = TextDiff::configure().algorithm(Algorithm::Myers).timeout(TIME_LIMIT).diff_lines(old, new);
    let whole = diff.unified_diff().context_radius(2).header(name, name).to_string();
    cut(&whole, most)
}

fn cut(diff: &str, most: usize) -> String {
    if diff.chars().count() <= most {
        return diff.to_owned();
    }
    let mut kept = String::new();
    let mut chars = 0;
    let mut lines = diff.split_inclusive('\n');
    for line in lines.by_ref() {
        let length = line.chars().count();
        if chars + length > most {
            let room = most.saturating_sub(chars);
            // Show a part of a single line that is longer than the bound; otherwise the diff would be empty.
            if room > most / 2 {
                kept.extend(line.chars().take(room));
                kept.push_str("…\n");
            }
            break;
        }
        chars += length;
        kept.push_str(line);
    }
    let left = lines.count();
    kept.push_str(&format!("… the diff is cut here ({left} more lines)\n"));
    kept
}
