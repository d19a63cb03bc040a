//! The number of open streams per key, and the frames of event streams.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

use memory_bank_core::caller::KeyId;
use memory_bank_core::store::EventId;

/// Counts the open streams of each key.
#[derive(Debug, Clone)]
pub(crate) struct StreamSlots {
    most: usize,
    open: Arc<Mutex<HashMap<Option<KeyId>, usize>>>,
}

/// One open stream; dropping it releases the slot.
#[derive(Debug)]
pub(crate) struct Slot {
    key: Option<KeyId>,
    open: Arc<Mutex<HashMap<Option<KeyId>, usize>>>,
}

impl StreamSlots {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, open: Arc::default() }
    }

    /// How many streams are open.
    pub(crate) fn open(&self) -> usize {
        self.open.lock().values().sum()
    }

    /// Opens a stream, unless the key has reached its limit.
    pub(crate) fn take(&self, key: Option<KeyId>) -> Option<Slot> {
        let mut open = self.open.lock();
        let count = open.entry(key).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Slot { key, open: Arc::clone(&self.open) })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut open = self.open.lock();
        if let Some(count) = open.get_mut(&self.key) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.remove(&self.key);
            }
        }
    }
}

/// An event with a message, which must be on one line.
pub(crate) fn frame(id: Option<EventId>, message: &str) -> String {
    match id {
        Some(id) => format!("id: {id}\ndata: {message}\n\n"),
        None => format!("data: {message}\n\n"),
    }
}

/// The first event of a stream: it contains only the id from which the client may resume.
pub(crate) fn opening(id: EventId) -> String {
    format!("id: {id}\nretry: 3000\ndata: \n\n")
}

/// A comment, which prevents proxies from closing a silent stream.
pub(crate) const KEEP_ALIVE_COMMENT: &str = ": alive\n\n";

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_key_has_a_bounded_number_of_streams_and_closed_ones_are_free_again() {
        let slots = StreamSlots::new(2);
        let key = Some(KeyId(Uuid::nil()));
        let first = slots.take(key);
        let second = slots.take(key);
        assert!(first.is_some() && second.is_some() && slots.take(key).is_none());
        assert!(slots.take(None).is_some());
        drop(first);
        assert!(slots.take(key).is_some());
    }
}
