//! Reusable memory of queries.

/// A buffer that queries reuse, so that they do not allocate memory for all units.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// For each unit its row plus one, or 0.
    pub(super) row_of: Vec<u32>,
    /// The unit of each row.
    pub(super) rows: Vec<u32>,
    /// For each row the count of each word, later its weight.
    pub(super) worth: Vec<f32>,
}

impl Scratch {
    pub(super) fn bytes(&self) -> usize {
        self.worth.capacity() * size_of::<f32>()
            + (self.row_of.capacity() + self.rows.capacity()) * size_of::<u32>()
    }

    /// The row of a unit; adds it if it is missing.
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
