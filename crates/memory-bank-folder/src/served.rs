//! Contents that were served recently, by etag, so that a conflict can show what changed meanwhile. Bounded in bytes.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use memory_bank_core::document::Etag;

/// Bytes of text.
const KEPT_BYTES: usize = 16 * 1024 * 1024;

/// Stores texts by their etags; the oldest are evicted first.
#[derive(Debug, Default)]
pub(crate) struct ServedContents {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    texts: HashMap<Etag, Arc<str>>,
    oldest_first: VecDeque<Etag>,
    bytes: usize,
}

impl ServedContents {
    /// Stores a text.
    pub(crate) fn keep(&self, etag: &Etag, text: &str) {
        if text.len() > KEPT_BYTES / 4 {
            return;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.texts.contains_key(etag) {
            return;
        }
        kept.bytes += text.len();
        kept.texts.insert(etag.clone(), text.into());
        kept.oldest_first.push_back(etag.clone());
        while kept.bytes > KEPT_BYTES {
            let Some(oldest) = kept.oldest_first.pop_front() else { return };
            if let Some(text) = kept.texts.remove(&oldest) {
                kept.bytes -= text.len();
            }
        }
    }

    /// The text of this etag, if it is still stored.
    pub(crate) fn find(&self, etag: &Etag) -> Option<String> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.texts.get(etag).map(|text| text.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_texts_go_when_there_are_too_many_bytes() {
        let served = ServedContents::default();
        let texts: Vec<String> = ('a'..='h').map(|c| c.to_string().repeat(KEPT_BYTES / 4)).collect();
        for text in &texts {
            served.keep(&Etag::of(text), text);
        }
        assert_eq!(served.find(&Etag::of(&texts[0])), None);
        assert_eq!(served.find(&Etag::of(&texts[7])).as_ref(), Some(&texts[7]));
    }
}
