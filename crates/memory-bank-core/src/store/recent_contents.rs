//! The contents that a store recently read or wrote, so that a conflict can show the changes. Bounded in bytes. The
//! store chooses the key, which has the etag and everything that separates projects.

use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::Arc;

/// The capacity, in bytes.
const CAPACITY_BYTES: usize = 16 * 1024 * 1024;
/// The approximate bytes of an entry beside its text.
const OVERHEAD_BYTES: usize = 200;

/// A cache of texts by key; the oldest are evicted first.
#[derive(Debug)]
pub struct RecentContents<K> {
    entries: Mutex<Entries<K>>,
}

#[derive(Debug)]
struct Entries<K> {
    texts: HashMap<K, Arc<str>>,
    oldest_first: VecDeque<K>,
    bytes: usize,
}

impl<K> Default for RecentContents<K> {
    fn default() -> Self {
        Self {
            entries: Mutex::new(Entries { texts: HashMap::new(), oldest_first: VecDeque::new(), bytes: 0 }),
        }
    }
}

impl<K: Eq + Hash + Clone> RecentContents<K> {
    /// Stores a text, unless it is larger than a quarter of the capacity.
    pub fn keep(&self, key: &K, text: &str) {
        if text.len() > CAPACITY_BYTES / 4 {
            return;
        }
        let mut entries = self.entries.lock();
        if entries.texts.contains_key(key) {
            return;
        }
        entries.bytes += text.len() + OVERHEAD_BYTES;
        entries.texts.insert(key.clone(), text.into());
        entries.oldest_first.push_back(key.clone());
        while entries.bytes > CAPACITY_BYTES {
            let Some(oldest) = entries.oldest_first.pop_front() else { return };
            if let Some(text) = entries.texts.remove(&oldest) {
                entries.bytes -= text.len() + OVERHEAD_BYTES;
            }
        }
    }

    /// Drops the texts whose keys are of this kind, such as those of a project whose history was erased.
    pub fn forget(&self, is_of: impl Fn(&K) -> bool) {
        let mut entries = self.entries.lock();
        entries.oldest_first.retain(|key| !is_of(key));
        let mut freed = 0;
        entries.texts.retain(|key, text| {
            let stays = !is_of(key);
            freed += if stays { 0 } else { text.len() + OVERHEAD_BYTES };
            stays
        });
        entries.bytes -= freed;
    }

    /// The text of this key, if it is still cached.
    pub fn find(&self, key: &K) -> Option<String> {
        let entries = self.entries.lock();
        entries.texts.get(key).map(|text| text.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_texts_are_evicted_beyond_the_capacity() {
        let recent = RecentContents::default();
        let texts: Vec<String> = ('a'..='h').map(|c| c.to_string().repeat(CAPACITY_BYTES / 4)).collect();
        for (key, text) in texts.iter().enumerate() {
            recent.keep(&key, text);
        }
        assert_eq!(recent.find(&0), None);
        assert_eq!(recent.find(&7).as_ref(), Some(&texts[7]));
    }

    #[test]
    fn many_small_texts_are_bounded_too() {
        let recent = RecentContents::default();
        let most = CAPACITY_BYTES / OVERHEAD_BYTES;
        for key in 0..=most {
            recent.keep(&key, "");
        }
        assert_eq!(recent.find(&0), None);
        assert_eq!(recent.find(&most).as_deref(), Some(""));
        assert_eq!(recent.entries.lock().texts.len(), most);
    }

    #[test]
    fn forgotten_texts_make_room_and_others_stay() {
        let recent = RecentContents::default();
        for key in 0..4 {
            recent.keep(&key, "text");
        }
        recent.forget(|key| key % 2 == 0);
        assert_eq!(
            (0..4).map(|key| recent.find(&key).is_some()).collect::<Vec<_>>(),
            [false, true, false, true]
        );
        let entries = recent.entries.lock();
        assert_eq!((entries.bytes, entries.oldest_first.len()), (2 * ("text".len() + OVERHEAD_BYTES), 2));
    }

    #[test]
    fn a_text_larger_than_a_quarter_of_the_capacity_is_not_kept() {
        let recent = RecentContents::default();
        recent.keep(&1, &"x".repeat(CAPACITY_BYTES / 4 + 1));
        assert_eq!(recent.find(&1), None);
    }
}
