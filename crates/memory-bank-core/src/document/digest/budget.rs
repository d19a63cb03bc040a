//! Cuts each list, so that the whole digest stays within a number of tokens.

use super::tokens::estimated_tokens;
use super::types::DecisionSummary;

/// Overhead of the members' names and the punctuation between them.
pub(super) const MEMBERS_OVERHEAD_TOKENS: usize = 75;

/// One list of a digest.
#[derive(Debug, Default, Clone)]
pub(super) struct List {
    /// Its items, the most informative first.
    pub(super) items: Vec<String>,
    /// Its share of the room, in percent; unused room goes to the other lists.
    pub(super) share: usize,
    /// The most items.
    pub(super) most: usize,
    /// The items that are always shown, cut if necessary.
    pub(super) least: usize,
}

/// The shown part of a list.
#[derive(Debug, Default)]
pub(super) struct Shown {
    pub(super) items: Vec<String>,
    pub(super) left: usize,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Shares {
    /// The tokens of all lists together.
    pub(super) room: usize,
    /// The tokens of one item; longer ones are cut.
    pub(super) longest: usize,
}

/// Shows all items, uncut if possible, if there is room for everything; otherwise as [`fill`] does.
pub(super) fn fill_preferring_whole_items(lists: &[List], shares: Shares) -> Vec<Shown> {
    for times in [4, 2] {
        let longest = shares.longest.saturating_mul(times);
        let shown = fill_with(lists, Shares { longest, ..shares }, false);
        let takes_all = lists
            .iter()
            .zip(&shown)
            .all(|(list, shown)| shown.items.len() == list.items.len().min(list.most));
        if takes_all {
            return shown;
        }
    }
    fill(lists, shares)
}

/// The most tokens of one item in a digest of this many tokens.
pub(super) fn longest_item(tokens: usize) -> usize {
    (tokens / 12).clamp(20, 400)
}

/// Takes the items that fit into the share of each list, then distributes the unused room to the lists in turn.
pub(super) fn fill(lists: &[List], shares: Shares) -> Vec<Shown> {
    fill_with(lists, shares, true)
}

/// As [`fill`]; with `bound`, no item is longer than the share of its list.
fn fill_with(lists: &[List], shares: Shares, bound: bool) -> Vec<Shown> {
    let mut left = shares.room;
    let mut shown: Vec<Shown> = Vec::with_capacity(lists.len());
    let mut waiting: Vec<Waiting<'_>> = Vec::with_capacity(lists.len());
    for list in lists {
        let share = shares.room * list.share / 100;
        let longest = if bound { shares.longest.min(share.max(20)) } else { shares.longest };
        let mut next = Waiting::of(list, longest);
        let mut used = 0;
        let mut items = Vec::new();
        while let Some(cost) = next.cost() {
            let must = items.len() < list.least;
            if (used + cost > share && !must) || cost > left {
                break;
            }
            used += cost;
            left -= cost;
            items.extend(next.take());
        }
        shown.push(Shown { left: list.items.len() - items.len(), items });
        waiting.push(next);
    }
    // Unused budget goes to the lists in turn, one item each.
    loop {
        let mut moved = false;
        for (shown, waiting) in shown.iter_mut().zip(&mut waiting) {
            if let Some(cost) = waiting.cost().filter(|cost| *cost <= left) {
                left -= cost;
                moved = true;
                shown.left -= 1;
                shown.items.extend(waiting.take());
            }
        }
        if !moved {
            return shown;
        }
    }
}

/// The items of a list that are not shown yet. The first one is cut and measured when it is asked for, since a list may have
/// thousands of them and a digest has room for a few.
struct Waiting<'a> {
    items: std::iter::Take<std::slice::Iter<'a, String>>,
    longest: usize,
    first: Option<(String, usize)>,
}

impl<'a> Waiting<'a> {
    fn of(list: &'a List, longest: usize) -> Self {
        Self { items: list.items.iter().take(list.most), longest, first: None }
    }

    /// The tokens of the first item.
    fn cost(&mut self) -> Option<usize> {
        if self.first.is_none() {
            let item = cut(self.items.next()?, self.longest);
            let cost = cost(&item);
            self.first = Some((item, cost));
        }
        self.first.as_ref().map(|(_, cost)| *cost)
    }

    /// The first item.
    fn take(&mut self) -> Option<String> {
        self.first.take().map(|(item, _)| item)
    }
}

/// The length of an item as a JSON string with a comma.
fn cost(item: &str) -> usize {
    let escapes = item.chars().filter(|character| matches!(character, '"' | '\\' | '\n')).count();
    estimated_tokens(item) + escapes + 2
}

/// The text, cut at a word to at most this many tokens.
pub(super) fn cut(text: &str, tokens: usize) -> String {
    if estimated_tokens(text) <= tokens {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut end = 0;
    for word in text.split_inclusive(' ') {
        let next = end + word.len();
        let part = text.get(..next).unwrap_or_default();
        if estimated_tokens(part) + 2 > tokens {
            break;
        }
        end = next;
    }
    kept.push_str(text.get(..end).unwrap_or_default().trim_end());
    if kept.len() * 2 < text.len().min(tokens) || kept.is_empty() {
        // One long word, or a script without blanks.
        kept.clear();
        for character in text.chars() {
            kept.push(character);
            if estimated_tokens(&kept) + 2 > tokens {
                kept.pop();
                break;
            }
        }
    }
    kept.push('…');
    kept
}

/// The decision, cut as its item in the list was cut.
pub(super) fn cut_decision(decision: DecisionSummary, fitted: &str, longest: usize) -> DecisionSummary {
    if !fitted.ends_with('…') || decision.summary.is_empty() && decision.title.is_empty() {
        return decision;
    }
    let title = cut(&decision.title, longest / 2);
    let rest = longest.saturating_sub(estimated_tokens(&title) + estimated_tokens(&decision.date) + 12);
    DecisionSummary {
        summary: if rest < 6 { String::new() } else { cut(&decision.summary, rest) },
        title,
        date: cut(&decision.date, 20),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(count: usize, share: usize) -> List {
        List {
            items: (0..count).map(|number| format!("item number {number}")).collect(),
            share,
            most: usize::MAX,
            least: 1,
        }
    }

    #[test]
    fn unused_room_goes_to_other_lists_and_omitted_items_are_counted() {
        let shares = Shares { room: 100, longest: 50 };
        let shown = fill(&[list(1, 50), list(50, 25), list(0, 25)], shares);
        assert_eq!(shown[0].items.len(), 1);
        assert!(shown[1].items.len() > 5, "{shown:?}");
        assert_eq!(shown[1].left, 50 - shown[1].items.len());
        let cost: usize = shown.iter().flat_map(|one| &one.items).map(|item| cost(item)).sum();
        assert!(cost <= 100, "{cost}");
    }

    /// Processor time, which other programs do not change; a hundred times as many items would take a hundred times as long.
    #[test]
    fn items_that_no_digest_has_room_for_cost_nothing() {
        let shares = Shares { room: 100, longest: 50 };
        let time = |count: usize| {
            let lists = [list(count, 50), list(count, 25)];
            let measured = |_| {
                let started = cpu_time::ThreadTime::now();
                std::hint::black_box(fill_preferring_whole_items(&lists, shares));
                started.elapsed()
            };
            (0..5).map(measured).min().unwrap().max(crate::document::tests::CLOCK_STEP)
        };
        let (few, many) = (time(200), time(20_000));
        assert!(many < few * 10, "{few:?} {many:?}");
    }

    #[test]
    fn a_text_is_cut_to_its_tokens_in_every_script() {
        for text in [
            "word ".repeat(300),
            "任务".repeat(300),
            "задача ".repeat(200),
            "x".repeat(4000),
            "작업 ".repeat(300),
        ] {
            let cut = cut(&text, 30);
            assert!(estimated_tokens(&cut) <= 32, "{cut}");
            assert!(estimated_tokens(&cut) >= 15, "{cut}");
        }
    }
}
