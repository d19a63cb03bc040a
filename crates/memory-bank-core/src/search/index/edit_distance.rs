//! Similar words: the number of different letters, and a fast check that excludes most words.

/// The most differing letters for a word of this length: one, for long words two, for very long words three.
pub(super) fn tolerance(length: usize) -> usize {
    match length {
        0..=5 => 1,
        6..=11 => 2,
        _ => 3,
    }
}

/// The set of letters of a word and its length, which exclude most words from a comparison.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Shape {
    letters: u64,
    length: u16,
}

impl Shape {
    pub(super) fn of(word: &str) -> Self {
        let letters = word.chars().fold(0, |letters, c| letters | 1 << place(c));
        Self { letters, length: u16::try_from(word.chars().count()).unwrap_or(u16::MAX) }
    }

    /// Whether the other word may contain this one.
    pub(super) fn may_be_in(&self, other: &Self) -> bool {
        self.length <= other.length && self.letters & !other.letters == 0 && self.length > 0
    }

    /// Whether the edit distance to the other word may be at most `bound`.
    pub(super) fn is_near(&self, other: &Self, bound: usize) -> bool {
        let bound = u32::try_from(bound).unwrap_or(u32::MAX);
        u32::from(self.length.abs_diff(other.length)) <= bound
            && (self.letters & !other.letters).count_ones() <= bound
            && (other.letters & !self.letters).count_ones() <= bound
    }
}

fn place(c: char) -> u32 {
    match c {
        'a'..='z' => u32::from(c) - u32::from('a'),
        '0'..='9' => 26 + u32::from(c) - u32::from('0'),
        c => 36 + u32::from(c) % 28,
    }
}

/// The edit distance of two words (changed, inserted, deleted and swapped letters), if at most `bound`.
pub(super) fn edit_distance(one: &str, other: &str, bound: usize) -> Option<usize> {
    // The lengths exclude most words before letters are compared.
    if one.chars().count().abs_diff(other.chars().count()) > bound {
        return None;
    }
    Some(strsim::osa_distance(one, other)).filter(|changed| *changed <= bound)
}
