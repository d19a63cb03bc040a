//! The pieces of the graph's history: segments, oldest first, and the log. What a compaction drops becomes a segment; a record beside
//! them has the number at which the compacted log begins, so that a list of the newest changes reads the log alone.
//!
//! The last line of a segment shows that it is one of this graph; of segments of an earlier program, the first sealed line of a log names
//! them. Any other segment was planted, by a repository: it is no part of the history of this graph, and takes no number of it.

use std::io::{self, BufRead, BufReader, Read as _};

use cap_std::fs::OpenOptions;
use memory_bank_core::error::StoreError;
use memory_bank_core::limits;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::begins::{Begins, begins_of};
use super::ending::{Ending, ending_of};
use super::line_seal::LineSeal;
use super::log::LOG;
use crate::dir::BankDir;

/// The end of the names of segments, and of those that a transfer wrote.
const SEGMENT: &str = ".jsonl";
const IMPORTED: &str = ".imported";
/// The record of the last compaction.
const RECORD: &str = "graph-log.json";
/// The longest record that is read.
const RECORD_BYTES: u64 = 4096;
/// The most files of the history that are looked at.
const MAX_FILES: usize = 100_000;
/// The largest number that a file or a line without a seal can give a change, and the most bytes of all segments without one: what a
/// repository brings leaves room for the own changes.
pub(super) const BROUGHT_NUMBER: i64 = limits::GRAPH_OWN_NUMBER / 4;
/// The longest log that a compaction keeps as a segment, and the most bytes of all segments.
pub(super) const MAX_SEGMENT_BYTES: u64 = 64 * 1024 * 1024;

/// A reader of lines.
pub(super) type Lines = Box<dyn BufRead>;

/// Where a compaction left the log.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    /// The number of the last change before the log's own events.
    number: i64,
    /// The length of the state with which the log begins, and its SHA-256.
    bytes: u64,
    hash: String,
}

/// A segment, or the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    /// The name of a segment; none of the log.
    name: Option<String>,
    /// The number of the last change before its own events, if it is known.
    pub(super) number: Option<i64>,
    /// Whether a transfer wrote it: its lines have numbers, and its authors are as the source named them. No line of a log, which
    /// anybody can write, is read so.
    pub(super) is_imported: bool,
    /// Whether a seal shows that it is of this graph.
    pub(super) is_named: bool,
    /// Its last line, if its seal shows that it is the segment with this content.
    pub(super) ending: Option<Ending>,
    /// How many of its bytes are read.
    bytes: u64,
}

impl Piece {
    fn of_segment(number: i64, name: &str) -> Self {
        let is_imported = name.strip_suffix(SEGMENT).is_some_and(|stem| stem.ends_with(IMPORTED));
        let (name, bytes) = (Some(name.to_owned()), MAX_SEGMENT_BYTES);
        Self { name, number: Some(number), is_imported, is_named: false, ending: None, bytes }
    }

    /// A segment with what its last line states.
    fn of_file(dir: &BankDir, number: i64, name: &str, seal: Option<&LineSeal>) -> io::Result<Self> {
        let mut piece = Self::of_segment(number, name);
        if let Some((ending, is_certain)) = ending_of(dir, name, seal)? {
            piece.bytes = ending.bytes.min(MAX_SEGMENT_BYTES);
            piece.ending = Some(ending).filter(|_| is_certain);
            piece.is_named = is_certain;
        }
        Ok(piece)
    }

    /// The same without a number.
    pub(super) fn without_number(self) -> Self {
        Self { number: None, ..self }
    }

    /// The name of a segment; none of the log.
    pub(super) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Its lines.
    pub(super) fn open(&self, dir: &BankDir) -> io::Result<Lines> {
        match &self.name {
            None => open_log(dir),
            Some(name) => Ok(Box::new(BufReader::new(dir.open_history(name, false)?.take(self.bytes)))),
        }
    }
}

/// The pieces of a bank's history.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    /// Those of this graph, oldest first; the last one is the log.
    pub(super) own: Vec<Piece>,
    /// The segments that no seal shows to be of this graph.
    pub(super) planted: Vec<Piece>,
    /// What the first sealed line of the log states.
    pub(super) begins: Option<Begins>,
    /// Whether a piece follows another one than the one before it, as git or a backup brought an older log back: then no piece can be read
    /// by itself.
    pub(super) are_mixed: bool,
    /// Whether the log does so.
    pub(super) is_log_mixed: bool,
    /// Whether the log states where it begins.
    pub(super) has_log_begins: bool,
}

/// Without a sealed line that names segments, all are of this graph: a repository brought it, or an earlier program wrote it.
pub(super) fn pieces(dir: &BankDir, seal: Option<&LineSeal>) -> Result<Pieces, StoreError> {
    let cannot = || StoreError::io("cannot read the history");
    let files = segments(dir)?;
    let bytes = limits::GRAPH_LOG_BYTES;
    let log = Piece { name: None, number: None, is_imported: false, is_named: false, ending: None, bytes };
    let mut found = Vec::new();
    for (number, name, bytes) in &files {
        found.push((Piece::of_file(dir, *number, name, seal).map_err(cannot())?, *number, *bytes));
    }
    let begins_in = |piece: &Piece| match seal {
        Some(seal) => begins_of(&mut piece.open(dir)?, seal),
        None => Ok(None),
    };
    let mut begins = begins_in(&log).map_err(StoreError::io(format!("cannot read `{LOG}`")))?;
    let log_begins = begins.clone();
    let mut known = begins.as_ref().map(Begins::named);
    // An own segment is newer if another program, or a restored backup, replaced the log: it names those before it.
    let mut reached = begins.as_ref().map_or(0, |begins| begins.number);
    for (piece, number, _) in &found {
        if *number < reached {
            continue;
        }
        let found = begins_in(piece).map_err(cannot())?;
        let Some(found) = found.filter(|found| found.number >= *number.max(&reached)) else { continue };
        let is_copy = log_begins_with(dir, piece.open(dir).map_err(cannot())?);
        if is_copy.map_err(cannot())? {
            continue;
        }
        reached = found.number;
        let mut names = found.named();
        names.extend(piece.name.clone().filter(|_| !found.have_endings));
        (known, begins) = (Some(names), None);
    }
    let mut pieces = Pieces::default();
    if found.iter().any(|(piece, ..)| piece.is_named) {
        known.get_or_insert_default();
    }
    let mut room = BROUGHT_NUMBER;
    let is_copy = |piece: &Piece| piece.open(dir).and_then(|segment| log_begins_with(dir, segment));
    for (mut piece, number, bytes) in found {
        let is_listed = |known: &Vec<String>| piece.name.as_ref().is_some_and(|name| known.contains(name));
        piece.is_named |= known.as_ref().is_some_and(is_listed);
        if !piece.is_named && is_copy(&piece).map_err(cannot())? {
            continue;
        }
        // A line has more bytes than it makes changes. So no segment without a seal leads to numbers that own changes have no room after.
        let most = if piece.is_named { limits::GRAPH_OWN_NUMBER } else { BROUGHT_NUMBER };
        let weight = i64::try_from(bytes.min(MAX_SEGMENT_BYTES)).unwrap_or(i64::MAX);
        let has_room = (0..=most).contains(&number) && (piece.is_named || weight <= room);
        if has_room && (piece.is_named || known.is_none()) {
            room -= if piece.is_named { 0 } else { weight };
            pieces.own.push(piece);
        } else {
            pieces.planted.push(piece);
        }
    }
    // A compaction that was killed left the segment and the log.
    while let Some(last) = pieces.own.last()
        && is_copy(last).map_err(cannot())?
    {
        pieces.own.pop();
    }
    let mut reached = 0;
    for piece in &pieces.own {
        let number = piece.number.unwrap_or_default();
        let is_mixed = piece.ending.as_ref().is_some_and(|ending| ending.is_mixed);
        pieces.are_mixed |= number < reached || is_mixed;
        let last = piece.ending.as_ref().and_then(|ending| ending.last);
        reached = reached.max(last.unwrap_or(number));
    }
    let is_at_start = |begins: &&Begins| begins.is_state;
    let number = match begins.as_ref().filter(is_at_start) {
        Some(begins) => Some(begins.number),
        None => {
            let number = recorded(dir).map_err(StoreError::io(format!("cannot read `{LOG}`")))?;
            number.filter(|number| (0..=BROUGHT_NUMBER).contains(number))
        }
    };
    pieces.has_log_begins = log_begins.is_some();
    let number_of_log = number.or(log_begins.map(|begins| begins.number));
    pieces.is_log_mixed = number_of_log.is_some_and(|number| number < reached);
    pieces.are_mixed |= pieces.is_log_mixed;
    let number = number.filter(|number| *number >= reached);
    pieces.own.push(Piece { number, ..log });
    pieces.begins = begins;
    Ok(pieces)
}

/// The names that a segment can have by the number of the last change before it, the usual one first.
pub(super) fn segment_names(number: i64) -> impl Iterator<Item = String> {
    let others = (2..=MAX_FILES).map(move |copy| format!("graph-{number:015}.{copy}{SEGMENT}"));
    std::iter::once(format!("graph-{number:015}{SEGMENT}")).chain(others)
}

/// The number in the name of a segment, and its place among those with the same one.
fn order_of(name: &str) -> Option<(i64, usize)> {
    let stem = name.strip_prefix("graph-")?.strip_suffix(SEGMENT)?;
    let (number, place) = match stem.split_once('.') {
        None => (stem, 1),
        Some((number, "imported")) => (number, 0),
        Some((number, copy)) => (number, copy.parse().ok().filter(|copy| *copy > 1)?),
    };
    Some((number.parse().ok()?, place))
}

/// The name of a segment that a transfer writes, by the number of the last change before it.
pub(super) fn imported_name(number: i64) -> String {
    format!("graph-{number:015}{IMPORTED}{SEGMENT}")
}

/// The segments of a bank, oldest first: the number of the last change before each, its name, its bytes.
pub(super) fn segments(dir: &BankDir) -> Result<Vec<(i64, String, u64)>, StoreError> {
    let files = dir.history_files(MAX_FILES, SEGMENT).map_err(StoreError::io("cannot read the history"))?;
    let found = files.into_iter().filter_map(|(name, bytes)| Some((order_of(&name)?, name, bytes)));
    let mut segments: Vec<((i64, usize), String, u64)> = found.collect();
    segments.sort_unstable();
    Ok(segments.into_iter().map(|((number, _), name, bytes)| (number, name, bytes)).collect())
}

/// The text of a segment, without the line that shows that it is one.
pub(super) fn segment_text(dir: &BankDir, name: &str) -> Result<Vec<u8>, StoreError> {
    let read = || {
        let mut bytes = Vec::new();
        Piece::of_file(dir, 0, name, None)?.open(dir)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().map_err(StoreError::io("cannot read the history"))
}

/// Notes that the log begins with this state, after the change with this number.
pub(super) fn record(dir: &BankDir, number: i64, state: &[u8]) -> io::Result<()> {
    let record = Record { number, bytes: state.len() as u64, hash: hex(&Sha256::digest(state)) };
    dir.replace_history(RECORD, &serde_json::to_vec(&record)?)
}

/// The number at which the log begins; none if the log is not the one that the last compaction made.
fn recorded(dir: &BankDir) -> io::Result<Option<i64>> {
    let mut text = Vec::new();
    let Some(file) = dir.find_history(RECORD)? else { return Ok(None) };
    file.take(RECORD_BYTES).read_to_end(&mut text)?;
    let Ok(record) = serde_json::from_slice::<Record>(&text) else { return Ok(None) };
    let mut state = open_log(dir)?.take(record.bytes);
    let mut hash = Sha256::new();
    let mut bytes = 0;
    loop {
        let found = state.fill_buf()?;
        let length = found.len();
        if length == 0 {
            break;
        }
        hash.update(found);
        bytes += length as u64;
        state.consume(length);
    }
    let is_same = bytes == record.bytes && hex(&hash.finalize()) == record.hash;
    Ok(is_same.then_some(record.number))
}

/// As hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn open_log(dir: &BankDir) -> io::Result<Lines> {
    match dir.open_file(LOG, OpenOptions::new().read(true)) {
        Ok(file) => Ok(Box::new(BufReader::new(file.into_std().take(limits::GRAPH_LOG_BYTES)))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Box::new(io::empty())),
        Err(error) => Err(error),
    }
}

/// Whether the log begins with all of these bytes.
fn log_begins_with(dir: &BankDir, mut segment: Lines) -> io::Result<bool> {
    let mut log = open_log(dir)?;
    loop {
        let expected = segment.fill_buf()?;
        if expected.is_empty() {
            return Ok(true);
        }
        let found = log.fill_buf()?;
        let length = found.len().min(expected.len());
        if length == 0 || found.get(..length) != expected.get(..length) {
            return Ok(false);
        }
        segment.consume(length);
        log.consume(length);
    }
}
