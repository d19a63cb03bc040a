//! What stays of the history of the graph: in a transfer, in a compaction, and when segments are old.

use std::borrow::Cow;
use std::collections::{HashSet, VecDeque};

use jiff::Timestamp;
use memory_bank_core::error::StoreError;
use memory_bank_core::graph::compact::write_compacted;
use memory_bank_core::graph::event::{Line, read_line};
use memory_bank_core::graph::state::GraphState;
use memory_bank_core::graph::timestamp::instant;
use memory_bank_core::limits;
use memory_bank_core::transfer::{GraphChangeCopy, GraphHistory, GraphLines, HistoryCount};

use super::begins::Begins;
use super::ending::{Facts, with_ending};
use super::folder_graph::seal_state;
use super::line_seal::{LineSeal, SEAL_BYTES};
use super::log::{LOG, bytes as log_bytes, write_durably};
use super::marks::Mark;
use super::pieces::{
    MAX_SEGMENT_BYTES, Piece, Pieces, imported_name, pieces, record, segment_names, segment_text, segments,
};
use super::replay::{Replayed, ends, replay};
use crate::dir::BankDir;

/// The newest changes of the graph up to `now`, the graph as it was read at `read_at`, as far as a transfer carries them. Blocks.
pub(crate) fn carried(
    dir: &BankDir,
    seal: Option<&LineSeal>,
    now: &GraphState,
    read_at: Timestamp,
) -> Result<GraphHistory, StoreError> {
    let (mut kept, mut bytes, mut left_out) = (VecDeque::new(), 0, 0);
    replay(dir, seal, &mut |change| {
        let Some(copy) = GraphChangeCopy::of(&change) else { return };
        bytes += copy.weight();
        kept.push_front((copy, change.after));
        while bytes > limits::TRANSFER_HISTORY_BYTES && kept.len() > 1 {
            bytes -= kept.pop_back().map_or(0, |(oldest, _)| oldest.weight());
            left_out += 1;
        }
    })?;
    // Changes since then are not in the graph as it was read. A clock that was wrong is no reason to leave a change out.
    while kept.front().is_some_and(|(last, after)| last.at > read_at && now.item(&last.id) != *after) {
        kept.pop_front();
    }
    Ok(GraphHistory { changes: kept.into_iter().map(|(copy, _)| copy).collect(), left_out })
}

/// Writes the history of the graph into a new bank, beside its log, and returns how many changes. `now` is the graph of the log.
/// Blocks.
pub(crate) fn put_carried(
    dir: &BankDir,
    seal: &LineSeal,
    history: &GraphHistory,
    now: &GraphState,
    ts: &str,
) -> Result<HistoryCount, StoreError> {
    let cannot = || StoreError::io("cannot write the history");
    let unwritable = |error: String| StoreError::Unavailable(error);
    // A line has at least as many bytes as its seal. There are at most two lines of a change, and one of an item.
    let (stats, bound) = (now.stats(), usize::try_from(MAX_SEGMENT_BYTES).unwrap_or(usize::MAX));
    let items = stats.entity_count + stats.observation_count + stats.relation_count;
    let seals = SEAL_BYTES.saturating_mul(2 * history.changes.len() + items + 1);
    let most = bound.saturating_sub(seals).max(bound / 2);
    let all = history.changes.len() + history.left_out;
    let lines = GraphLines::of(history, now, most).map_err(|error| unwritable(error.to_string()))?;
    let Some(GraphLines { bytes, before, last, changes }) = lines else {
        return Ok(HistoryCount { changes_left_out: all, ..HistoryCount::default() });
    };
    // Without a state at its beginning the log would be compared as a whole.
    if dir.is_missing(LOG) {
        let mut empty = Vec::new();
        write_compacted(now, [], ts, &mut empty).map_err(|error| unwritable(error.to_string()))?;
        write_durably(dir, &empty).map_err(StoreError::io(format!("cannot write to `{LOG}`")))?;
    }
    let name = imported_name(before);
    let segment =
        with_ending(seal, &name, &seal.seal_all(&bytes), Facts { last: Some(last), ..Facts::default() })
            .map_err(|error| unwritable(error.to_string()))?;
    // Some file systems of Windows replace no file that is open.
    dir.open_history(&name, true)
        .map(drop)
        .and_then(|()| dir.replace_history(&name, &segment))
        .and_then(|()| dir.sync_history())
        .map_err(cannot())?;
    let mut log = log_bytes(dir)?;
    let begins = Begins { number: last, segments: vec![name], have_endings: true, is_state: true };
    seal_state(seal, &begins, &mut log).map_err(|error| unwritable(error.to_string()))?;
    dir.replace(LOG, &log).map_err(StoreError::io(format!("cannot replace `{LOG}`")))?;
    record(dir, last, &log).map_err(cannot())?;
    Ok(HistoryCount { changes, changes_left_out: all - changes, ..HistoryCount::default() })
}

/// The number of the last change, and the segments of this graph. Blocks.
pub(super) fn begins_now(dir: &BankDir, seal: Option<&LineSeal>) -> Result<Begins, StoreError> {
    keep_log(dir, seal, None)
}

/// Stores the log as a segment before a compaction replaces it, and returns what follows: the number of the last change, and the segments
/// of this graph. Without a log only the latter. Blocks.
pub(super) fn keep_log(
    dir: &BankDir,
    seal: Option<&LineSeal>,
    log: Option<&[u8]>,
) -> Result<Begins, StoreError> {
    let Replayed { before_log, last, in_log, .. } = replay(dir, seal, &mut |_| ())?;
    let pieces = pieces(dir, seal)?;
    if let Some(seal) = seal {
        add_endings(dir, seal, &pieces)?;
    }
    let segments = pieces.own.iter().filter_map(Piece::name).map(str::to_owned).collect();
    let mut begins = Begins { number: last, segments, have_endings: seal.is_some(), is_state: true };
    let Some(log) = log else { return Ok(begins) };
    if log.len() as u64 > MAX_SEGMENT_BYTES {
        tracing::warn!(bytes = log.len(), "the graph log is too long to be kept; its history ends here");
        return Ok(begins);
    }
    // Without a change in it the next one continues the segment before.
    if in_log == 0 {
        return Ok(begins);
    }
    let mut text = without_marks(log);
    let name = free_name(dir, before_log, &text)?;
    if let Some(seal) = seal {
        let has_begins = pieces.has_log_begins;
        let facts = Facts { last: Some(last), is_mixed: pieces.is_log_mixed, has_begins };
        text = ended(seal, &name, &text, facts)?.into();
    }
    // Some file systems of Windows replace no file that is open.
    dir.open_history(&name, true)
        .map(drop)
        .and_then(|()| dir.replace_history(&name, &text))
        .and_then(|()| dir.sync_history())
        .map_err(StoreError::io("cannot write the history"))?;
    if !begins.segments.contains(&name) {
        begins.segments.push(name);
    }
    Ok(begins)
}

fn ended(seal: &LineSeal, name: &str, text: &[u8], facts: Facts) -> Result<Vec<u8>, StoreError> {
    with_ending(seal, name, text, facts).map_err(|error| StoreError::Unavailable(error.to_string()))
}

/// Adds the last line to segments that lack it: an earlier program wrote them, or they came before the first own change. From now on no
/// other file is taken for one of them.
fn add_endings(dir: &BankDir, seal: &LineSeal, pieces: &Pieces) -> Result<(), StoreError> {
    for (place, piece) in pieces.own.iter().enumerate() {
        let Some(name) = piece.name().filter(|_| piece.ending.is_none()) else { continue };
        let facts = Facts { last: ends(pieces, place), ..Facts::default() };
        let text = ended(seal, name, &segment_text(dir, name)?, facts)?;
        dir.replace_history(name, &text).map_err(StoreError::io("cannot write the history"))?;
    }
    Ok(())
}

/// The name of the segment that gets this text. No other segment is replaced, but for one that a compaction left which did not replace the
/// log: the log begins with it.
fn free_name(dir: &BankDir, number: i64, text: &[u8]) -> Result<String, StoreError> {
    let known: HashSet<String> = segments(dir)?.into_iter().map(|(_, name, _)| name).collect();
    for name in segment_names(number) {
        if !known.contains(&name) || text.starts_with(&segment_text(dir, &name)?) {
            return Ok(name);
        }
    }
    Err(StoreError::Unavailable("the history has too many segments with the same number".to_owned()))
}

/// A log without lines about erased changes, which only segments have: a repository planted them.
fn without_marks(log: &[u8]) -> Cow<'_, [u8]> {
    let mut lines = log.split_inclusive(|byte| *byte == b'\n');
    if lines.all(|line| Mark::read(line).is_none()) {
        return Cow::Borrowed(log);
    }
    let lines = log.split_inclusive(|byte| *byte == b'\n').filter(|line| Mark::read(line).is_none());
    Cow::Owned(lines.collect::<Vec<_>>().concat())
}

/// Notes where a compaction left the log, so that lists of the newest changes read no segment. Without the note they read all.
pub(super) fn note_compaction(dir: &BankDir, last: i64, content: &[u8]) {
    if let Err(error) = record(dir, last, content) {
        tracing::warn!(%error, "lists of changes of the graph read all of its history until the next compaction");
    }
}

/// Removes the segments whose last change is older, and the oldest beyond the bound; planted ones first, which count by themselves. Blocks.
pub(super) fn thin(dir: &BankDir, seal: Option<&LineSeal>, before: Timestamp) -> Result<(), StoreError> {
    let planted: HashSet<String> =
        pieces(dir, seal)?.planted.iter().filter_map(Piece::name).map(str::to_owned).collect();
    let (planted, own): (Vec<_>, Vec<_>) =
        segments(dir)?.into_iter().partition(|(_, name, _)| planted.contains(name));
    for found in [planted, own] {
        thin_some(dir, found, before)?;
    }
    Ok(())
}

fn thin_some(dir: &BankDir, found: Vec<(i64, String, u64)>, before: Timestamp) -> Result<(), StoreError> {
    let mut bytes: u64 = found.iter().map(|(_, _, bytes)| bytes).sum();
    for (_, name, length) in found {
        let text = segment_text(dir, &name)?;
        let last = text.split(|byte| *byte == b'\n').rev().find_map(|line| match read_line(line) {
            Line::Event(event) => Some(event.time().to_owned()),
            _ => None,
        });
        let is_old = last.is_none_or(|last| instant(&last).is_none_or(|last| last < before.as_millisecond()));
        if !is_old && bytes <= MAX_SEGMENT_BYTES {
            return Ok(());
        }
        dir.remove_history(&name).map_err(StoreError::io("cannot thin the history"))?;
        bytes -= length;
    }
    Ok(())
}
