//! The space of one reply. Items that do not fit are counted and named, never cut in the middle: a part can never be
//! taken for the whole and written back.

use memory_bank_core::caller::Caller;
use memory_bank_core::document::{Document, DocumentPath, PartBounds, json_bytes, json_chars};
use memory_bank_core::limits;
use memory_bank_core::store::{Bank, ReadOutcome};
use serde::Serialize;
use serde_json::Value;

use super::bounded::shorten;
use super::reply::Failure;
use crate::services::Replies;

/// Length of the note about a shortened item.
const SHORTENED_NOTE_CHARS: usize = 80;
/// The most documents that are read without querying their lengths first, which costs a round trip.
const MAX_UNMEASURED_DOCUMENTS: usize = 5;

/// The remaining space of a reply's text: characters, which a model reads, and bytes, which the server holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReplySpace {
    chars: usize,
    bytes: usize,
}

impl ReplySpace {
    /// The space of a reply beside its `frame`: [`limits::REPLY_CHARS`] by default, or the requested length, up to the
    /// bytes of a reply.
    pub(super) fn of(replies: &Replies, chars_given: Option<usize>, frame: &Value) -> Self {
        /// Added to the frame afterwards: the omissions, and how to get them.
        const OMISSIONS_CHARS: usize = 600;
        let frame = frame.to_string();
        let chars = chars_given.unwrap_or(limits::REPLY_CHARS).min(replies.bytes);
        Self {
            chars: chars.saturating_sub(frame.chars().count() + OMISSIONS_CHARS),
            bytes: replies.bytes.saturating_sub(frame.len() + OMISSIONS_CHARS),
        }
    }

    /// The bounds of a part that uses all of the space.
    pub(super) fn bounds(self) -> PartBounds {
        PartBounds { chars: self.chars, bytes: self.bytes }
    }

    /// How many bytes are worth loading.
    pub(super) fn bytes(self) -> usize {
        self.bytes.min(self.chars.saturating_mul(4))
    }

    /// Uses these characters and bytes, if they are available.
    fn try_take(&mut self, chars: usize, bytes: usize) -> bool {
        let fits = chars <= self.chars && bytes <= self.bytes;
        if fits {
            self.chars = self.chars.saturating_sub(chars);
            self.bytes = self.bytes.saturating_sub(bytes);
        }
        fits
    }

    /// Uses the space of a list item, if it is available.
    fn try_take_item(&mut self, item: &Value) -> bool {
        let text = item.to_string();
        // A comma follows.
        self.try_take(text.chars().count().saturating_add(1), text.len().saturating_add(1))
    }

    /// A share of the space; its use must also be subtracted from the whole.
    pub(super) fn share(self, share: usize) -> Self {
        let share = share.max(1);
        Self { chars: self.chars / share, bytes: self.bytes / share }
    }

    /// Takes the first names that fit, and the number of the others.
    pub(super) fn names(&mut self, names: impl IntoIterator<Item = String>) -> (Vec<String>, usize) {
        /// Quotes, comma, indent and the end of the line.
        const OVERHEAD_CHARS: usize = 9;
        let (mut kept, mut left) = (Vec::new(), 0_usize);
        for name in names {
            let take_name = |space: &mut Self| {
                space.try_take(
                    json_chars(&name).saturating_add(OVERHEAD_CHARS),
                    json_bytes(&name).saturating_add(OVERHEAD_CHARS),
                )
            };
            if left == 0 && take_name(self) {
                kept.push(name);
            } else {
                left = left.saturating_add(1);
            }
        }
        (kept, left)
    }

    /// Takes the first items that fit into this share of the space, and the number of the others.
    pub(super) fn cut<T: Serialize>(
        &mut self,
        items: impl IntoIterator<Item = T>,
        share: usize,
    ) -> Result<(Vec<Value>, usize), Failure> {
        let mut own = self.share(share);
        let (mut kept, mut left) = (Vec::new(), 0_usize);
        for item in items {
            if left > 0 {
                left = left.saturating_add(1);
                continue;
            }
            let mut value =
                serde_json::to_value(&item).map_err(|error| Failure::Internal(error.to_string()))?;
            // A page must make progress, even if a single item is longer than the space.
            if kept.is_empty() && !own.clone().try_take_item(&value) {
                shorten(&mut value, own.chars.min(own.bytes / 4).saturating_sub(SHORTENED_NOTE_CHARS));
            }
            if own.try_take_item(&value) {
                self.try_take_item(&value);
                kept.push(value);
            } else {
                left = 1;
            }
        }
        Ok((kept, left))
    }
}

/// A requested document of a list.
pub(super) enum Bounded {
    /// The result of reading it.
    Read(ReadOutcome),
    /// It was omitted because it does not fit; its length in bytes.
    LeftOut(u64),
}

/// Estimated bytes for listing the documents of a bank, before their number is known.
pub(crate) const LISTING_BYTES: usize = 2 * 1024 * 1024;

/// Estimated bytes for reading these documents, before their lengths are known.
pub(crate) fn reading_bytes(paths: usize) -> usize {
    paths.min(MAX_UNMEASURED_DOCUMENTS).saturating_mul(limits::DOCUMENT_BYTES / 2)
}

/// Reads documents in order, as many as fit. For a long list the lengths are queried first, so that no more is read
/// than is shown.
pub(super) async fn read_within(
    bank: &dyn Bank,
    caller: &Caller,
    paths: &[DocumentPath],
    space: &mut ReplySpace,
) -> Result<Vec<Bounded>, Failure> {
    let lengths: Vec<Option<u64>> = if paths.len() <= MAX_UNMEASURED_DOCUMENTS {
        vec![Some(0); paths.len()]
    } else {
        let entries = bank.list(caller).await?;
        let length = |name: &str| {
            entries
                .binary_search_by(|entry| entry.name.as_str().cmp(name))
                .ok()
                .and_then(|at| entries.get(at))
        };
        let of = |path: &DocumentPath| path.spellings().iter().find_map(|name| length(name));
        paths.iter().map(|path| of(path).map(|entry| entry.bytes)).collect()
    };
    let mut found = Vec::with_capacity(paths.len());
    while found.len() < paths.len() {
        // One group at a time: those that fit by their length, and few of unknown length.
        let (mut readable, mut decided) = (Vec::new(), Vec::new());
        let (mut expected, mut unknown) = (*space, 0);
        for (path, length) in paths.iter().zip(&lengths).skip(found.len()) {
            match length {
                // A character has up to four bytes.
                Some(length) if !expected.try_take(least_chars(*length), to_usize(*length)) => {
                    decided.push(Some(*length));
                }
                _ => {
                    unknown += usize::from(length.is_none());
                    if unknown > MAX_UNMEASURED_DOCUMENTS {
                        break;
                    }
                    readable.push(path.clone());
                    decided.push(None);
                }
            }
        }
        let mut outcomes = bank.read(caller, &readable).await?.into_iter();
        for left_out in decided {
            found.push(match left_out {
                Some(bytes) => Bounded::LeftOut(bytes),
                None => fitting(outcomes.next().unwrap_or(ReadOutcome::Missing), space),
            });
        }
    }
    Ok(found)
}

fn to_usize(length: u64) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}

fn least_chars(length: u64) -> usize {
    to_usize(length) / 4
}

/// A document that was read, if it fits.
pub(super) fn fitting(outcome: ReadOutcome, space: &mut ReplySpace) -> Bounded {
    /// Brackets, an etag and the words between.
    const OVERHEAD_CHARS: usize = 120;
    let take_document = |space: &mut ReplySpace, document: &Document| {
        let beside = document.path.as_str().len().saturating_mul(2).saturating_add(OVERHEAD_CHARS);
        let text = &document.content;
        space.try_take(json_chars(text).saturating_add(beside), json_bytes(text).saturating_add(beside))
    };
    match outcome {
        ReadOutcome::Found(document) if !take_document(space, &document) => {
            Bounded::LeftOut(u64::try_from(document.content.len()).unwrap_or(u64::MAX))
        }
        other => Bounded::Read(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_cut_if_it_does_not_fit_and_the_rest_is_counted() {
        let mut space = ReplySpace { chars: 100, bytes: 100 };
        let (kept, left) = space.cut(["a", "b", "c"], 1).unwrap();
        assert_eq!((kept.len(), left), (3, 0));
        let (kept, left) = space.cut(vec!["x".repeat(30); 9], 1).unwrap();
        assert_eq!((kept.len(), left), (2, 7));
        assert!(!space.try_take(100, 0) && !space.try_take(0, 100));
        let mut space = ReplySpace { chars: 10, bytes: 100 };
        assert_eq!(space.cut(["ääääää", "b"], 1).unwrap().0.len(), 1, "characters are counted, not bytes");
    }

    #[test]
    fn a_call_may_request_more_characters_within_the_bytes_of_a_reply() {
        let replies = Replies::of_bytes(100_000);
        let chars = |given| ReplySpace::of(&replies, given, &Value::Null).bounds().chars;
        assert!((limits::REPLY_CHARS - 1000..limits::REPLY_CHARS).contains(&chars(None)));
        assert!((49_000..50_000).contains(&chars(Some(50_000))));
        assert!((99_000..100_000).contains(&chars(Some(usize::MAX))));
        assert_eq!(chars(Some(10)), 0);
    }
}
