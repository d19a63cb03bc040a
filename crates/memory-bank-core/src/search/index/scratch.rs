//! Memory that queries use one after the other.

/// Memory that queries use one after the other, so that none allocates for all units.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// For each unit its row and one more, or 0.
    pub(super) row_of: Vec<u32>,
    /// The unit of each row.
    pub(super) rows: Vec<u32>,
    /// For each row how often it has each word, and then what that is worth.
    pub(super) worth: Vec<f32>,
}

impl Scratch {
    pub(super) fn bytes(&self) -> usize {
        self.worth.capacity() * size_of::<f32>()
            + (self.row_of.capacity() + self.rows.capacity()) * size_of::<u32>()
    }

    /// The row of a unit, which it gets if it has none.
    pub(super) fn row(&mut self, at: u32, words: usize) -> Option<usize> {
        let row = self.row_of.get_mut(at as usize)?;
        if *row == 0 {
            self.rows.push(at);
            *row = u32::try_from(self.rows.len()).ok()?;
            self.worth.resize(self.rows.len() * words, 0.0);
        }
        Some(*row as usize - 1)
    }
}
