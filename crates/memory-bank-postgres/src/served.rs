//! Contents that were served recently, by project and etag, so that a conflict can show what changed meanwhile.
//! Bounded in bytes. A content is stored for one project, and found for that project only.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use memory_bank_core::caller::ProjectId;
use memory_bank_core::document::Etag;

/// Bytes of text for all projects together.
const KEPT_BYTES: usize = 16 * 1024 * 1024;

type Key = (ProjectId, Etag);

/// Stores texts by project and etag; the oldest are evicted first.
#[derive(Debug, Default)]
pub(crate) struct ServedContents {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    texts: HashMap<Key, Arc<str>>,
    oldest_first: VecDeque<Key>,
    bytes: usize,
}

impl ServedContents {
    /// Stores a text.
    pub(crate) fn keep(&self, project: ProjectId, etag: &Etag, text: &str) {
        if text.len() > KEPT_BYTES / 4 {
            return;
        }
        let key = (project, etag.clone());
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.texts.contains_key(&key) {
            return;
        }
        kept.bytes += text.len();
        kept.texts.insert(key.clone(), text.into());
        kept.oldest_first.push_back(key);
        while kept.bytes > KEPT_BYTES {
            let Some(oldest) = kept.oldest_first.pop_front() else { return };
            if let Some(text) = kept.texts.remove(&oldest) {
                kept.bytes -= text.len();
            }
        }
    }

    /// The text of this etag in this project, if it is still stored.
    pub(crate) fn find(&self, project: ProjectId, etag: &Etag) -> Option<String> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.texts.get(&(project, etag.clone())).map(|text| text.to_string())
    }
}
