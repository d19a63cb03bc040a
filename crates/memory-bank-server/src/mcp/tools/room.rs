//! What fits into one reply. What does not is counted and named, never cut in the middle: nothing that is shown can be
//! taken for the whole and written back.

use memory_bank_core::caller::Caller;
use memory_bank_core::document::DocumentPath;
use memory_bank_core::limits;
use memory_bank_core::store::{Bank, ReadOutcome};
use serde::Serialize;
use serde_json::Value;

use super::reply::{Failure, pretty};

/// So many documents are read without asking for their lengths first, which costs a round trip.
const UNASKED: usize = 5;

/// The bytes of text that are left in a reply.
#[derive(Debug)]
pub(super) struct Room(usize);

impl Room {
    pub(super) fn new(bytes: usize) -> Self {
        Self(bytes)
    }

    /// Takes so many bytes, if they are left.
    pub(super) fn take(&mut self, bytes: usize) -> bool {
        let fits = bytes <= self.0;
        if fits {
            self.0 = self.0.saturating_sub(bytes);
        }
        fits
    }

    /// Takes the first items that fit into this share of what is left; the number of the others comes with them.
    pub(super) fn cut<T: Serialize>(
        &mut self,
        items: impl IntoIterator<Item = T>,
        share: usize,
    ) -> Result<(Vec<Value>, usize), Failure> {
        let mut own = Self(self.0 / share.max(1));
        let (mut kept, mut left) = (Vec::new(), 0_usize);
        for item in items {
            if left > 0 {
                left = left.saturating_add(1);
                continue;
            }
            let value = serde_json::to_value(&item).map_err(|error| Failure::Internal(error.to_string()))?;
            let text = pretty(&value)?;
            // Each line stands four spaces further in than it does alone.
            let bytes = text.len().saturating_add(text.lines().count().saturating_mul(5));
            if own.take(bytes) {
                self.take(bytes);
                kept.push(value);
            } else {
                left = 1;
            }
        }
        Ok((kept, left))
    }
}

/// How many bytes a text takes in JSON.
pub(super) fn escaped(text: &str) -> usize {
    text.bytes()
        .map(|byte| match byte {
            b'"' | b'\\' | b'\n' | b'\r' | b'\t' => 2,
            0..0x20 => 6,
            _ => 1,
        })
        .sum()
}

/// A document that was asked for in a list.
pub(super) enum Bounded {
    /// What reading it gave.
    Read(ReadOutcome),
    /// It was left out, since it would not fit any more; so many bytes long.
    LeftOut(u64),
}

/// What it may take to read these documents, in bytes, before their lengths are known.
pub(super) fn reading_bytes(paths: usize) -> usize {
    paths.min(UNASKED).saturating_mul(limits::DOCUMENT_BYTES / 2)
}

/// Reads documents in order, as many as fit. Of a long list the lengths are asked for first, so that no more is read than
/// is shown.
pub(super) async fn read_within(
    bank: &dyn Bank,
    caller: &Caller,
    paths: &[DocumentPath],
    room: &mut Room,
) -> Result<Vec<Bounded>, Failure> {
    let lengths: Vec<Option<u64>> = if paths.len() <= UNASKED {
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
        // One group at a time: what fits by its length, and few whose length nobody knows.
        let (mut wanted, mut decided) = (Vec::new(), Vec::new());
        let (mut expected, mut unknown) = (Room(room.0), 0);
        for (path, length) in paths.iter().zip(&lengths).skip(found.len()) {
            match length {
                Some(length) if !expected.take(usize::try_from(*length).unwrap_or(usize::MAX)) => {
                    decided.push(Some(*length));
                }
                _ => {
                    unknown += usize::from(length.is_none());
                    if unknown > UNASKED {
                        break;
                    }
                    wanted.push(path.clone());
                    decided.push(None);
                }
            }
        }
        let mut outcomes = bank.read(caller, &wanted).await?.into_iter();
        for left_out in decided {
            found.push(match left_out {
                Some(bytes) => Bounded::LeftOut(bytes),
                None => fitting(outcomes.next().unwrap_or(ReadOutcome::Missing), room),
            });
        }
    }
    Ok(found)
}

fn fitting(outcome: ReadOutcome, room: &mut Room) -> Bounded {
    match outcome {
        ReadOutcome::Found(document) if !room.take(escaped(&document.content).saturating_add(200)) => {
            Bounded::LeftOut(u64::try_from(document.content.len()).unwrap_or(u64::MAX))
        }
        other => Bounded::Read(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_cut_where_it_does_not_fit_and_the_rest_is_counted() {
        let mut room = Room::new(100);
        let (kept, left) = room.cut(["a", "b", "c"], 1).unwrap();
        assert_eq!((kept.len(), left), (3, 0));
        let (kept, left) = room.cut(vec!["x".repeat(30); 9], 1).unwrap();
        assert_eq!((kept.len(), left), (2, 7));
        assert!(!room.take(100));
    }

    #[test]
    fn the_length_in_json_is_right() {
        let text = "a \"b\" \\ \n\r\t \u{1} \u{fc}";
        assert_eq!(escaped(text) + 2, serde_json::to_string(text).unwrap().len());
    }
}
