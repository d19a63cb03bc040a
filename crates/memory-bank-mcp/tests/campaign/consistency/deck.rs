//! The kinds of faults of a run, in random order: each as often as a long run wants it, then all again. In a short one each is there once.

use crate::harness::random::Random;

/// A kind of fault, and how often it is in a deck.
pub(crate) type Kind = (&'static str, usize);

/// The kinds that are left of the present deck.
pub(crate) struct Deck {
    kinds: Vec<Kind>,
    left: Vec<&'static str>,
}

impl Deck {
    pub(crate) fn new(kinds: impl Iterator<Item = Kind>, is_long: bool) -> Self {
        let kinds = kinds.map(|(kind, times)| (kind, if is_long { times } else { 1 })).collect();
        Self { kinds, left: Vec::new() }
    }

    /// Whether each kind was drawn as often as each deck has it.
    pub(crate) fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    /// The kinds that are left, or all if none is.
    pub(crate) fn draw_all(&mut self, random: &mut Random) -> Vec<&'static str> {
        let first = self.draw(random);
        std::iter::once(first).chain(self.left.drain(..).rev()).collect()
    }

    /// The next kind.
    pub(crate) fn draw(&mut self, random: &mut Random) -> &'static str {
        if self.left.is_empty() {
            self.left = self.kinds.iter().flat_map(|(kind, times)| vec![*kind; *times]).collect();
            random.shuffle(&mut self.left);
        }
        self.left.pop().unwrap()
    }
}
