//! Remembers the results of a function on texts that logs repeat.

use std::cell::RefCell;

use foldhash::HashMap;

/// The results of a pure function on short texts, within a bound.
pub(super) struct FunctionCache<T>(RefCell<HashMap<Box<str>, T>>);

impl<T> Default for FunctionCache<T> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

impl<T: Copy> FunctionCache<T> {
    const MAX_TEXT_BYTES: usize = 160;
    const MAX_TEXTS: usize = 1024;

    /// The result for this text.
    pub(super) fn get(&self, text: &str, function: fn(&str) -> T) -> T {
        if text.len() > Self::MAX_TEXT_BYTES {
            return function(text);
        }
        if let Some(known) = self.0.borrow().get(text) {
            return *known;
        }
        let result = function(text);
        let mut known = self.0.borrow_mut();
        if known.len() >= Self::MAX_TEXTS {
            known.clear();
        }
        known.insert(text.into(), result);
        result
    }
}
