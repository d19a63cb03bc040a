//! The graph's log on disk, and how a state in memory follows it: appends of this process, of another one or of an editor are read once and
//! applied to the state in memory. The log is the only source; nothing else is read at start-up.
//!
//! A stat shows whether the log changed. If the file only grew, the new lines are read; if it was replaced (a
//! compaction, a restored backup, an editor), it is read again. A few bytes before the known end are compared each
//! time, so that a file that changed elsewhere and happens to be longer is not mistaken for one that grew.
//!
//! The caller holds the bank's lock for [`append`]; reading needs none. This module must not know how an event is
//! planned.

use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use cap_std::fs::OpenOptions;
use memory_bank_core::error::StoreError;
use memory_bank_core::graph::event::{Event, Line, MARKER, read_line};
use memory_bank_core::graph::state::GraphState;
use memory_bank_core::limits;
use memory_bank_core::transfer::MemoryFile;

use super::line_seal::{LineSeal, Mark};
use super::signer::BankSigner;
use crate::dir::{BankDir, FileStamp};

/// The folder of the graph in the bank.
pub(crate) const GRAPH_FOLDER: &str = "graph";
/// The log.
pub(crate) const LOG: &str = "graph/graph.jsonl";

/// The longest line that is taken into memory, in bytes; a longer one is not understood.
const MAX_LINE_BYTES: u64 = 16 * 1024 * 1024;
/// How much before the known end is compared, in bytes.
const OVERLAP_BYTES: usize = 256;

/// The state of the graph, and how far into the log it goes.
#[derive(Debug, Default)]
pub(crate) struct View {
    state: GraphState,
    reached: Reached,
}

/// How far the log was read.
#[derive(Debug, Default, Clone)]
struct Reached {
    /// The file as it was when it was read; none if there was none.
    stamp: Option<FileStamp>,
    /// The end of the last whole line.
    offset: u64,
    /// The last bytes before `offset`.
    overlap: Vec<u8>,
    /// What follows `offset`: a line without its line end. If it is an event, it is applied already.
    rest: Vec<u8>,
    /// Whether the marker was seen.
    marker: bool,
    /// Lines read, and those among them that are not blank, without the rest.
    lines: usize,
    filled: usize,
    /// How many lines were not understood, and the first of them.
    unknown: usize,
    first_unknown: Option<usize>,
    /// Why the log cannot be used.
    damage: Option<String>,
}

impl View {
    /// The graph.
    pub(crate) fn state(&self) -> &GraphState {
        &self.state
    }

    /// The log as it was read; `None` if there was none.
    pub(super) fn stamp(&self) -> Option<FileStamp> {
        self.reached.stamp
    }

    /// Whether there is a log at all.
    pub(crate) fn has_log(&self) -> bool {
        self.reached.stamp.is_some()
    }

    /// The number of lines that are not blank.
    pub(crate) fn line_count(&self) -> usize {
        self.reached.filled + usize::from(!self.reached.rest.trim_ascii().is_empty())
    }

    /// Whether nothing happened to the log since it was read, and it can be used.
    pub(crate) fn is_current(&self, dir: &BankDir) -> bool {
        self.reached.damage.is_none()
            && dir.stamp(LOG) == self.reached.stamp
            && (self.reached.stamp.is_some() || dir.is_missing(LOG))
    }

    /// Reads the changes of the log since the last time.
    ///
    /// # Errors
    /// The log cannot be read, or is not a graph log.
    pub(crate) fn follow(&mut self, dir: &BankDir) -> Result<(), StoreError> {
        if !self.is_current(dir) && (self.reached.damage.is_none() || dir.stamp(LOG) != self.reached.stamp) {
            self.catch_up(dir).map_err(StoreError::io(format!("cannot read `{LOG}`")))?;
        }
        self.check()
    }

    /// Reads the log again from its beginning.
    ///
    /// # Errors
    /// As [`Self::follow`].
    pub(crate) fn reload(&mut self, dir: &BankDir) -> Result<(), StoreError> {
        self.reached = Reached::default();
        self.catch_up(dir).map_err(StoreError::io(format!("cannot read `{LOG}`")))?;
        self.check()
    }

    fn check(&self) -> Result<(), StoreError> {
        match &self.reached.damage {
            None => Ok(()),
            Some(detail) => Err(StoreError::Damaged { what: LOG.to_owned(), detail: detail.clone() }),
        }
    }

    fn catch_up(&mut self, dir: &BankDir) -> io::Result<()> {
        let file = match dir.open_file(LOG, OpenOptions::new().read(true)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.replace_by(GraphState::default(), Reached::default());
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let stamp = FileStamp::of(&file.metadata()?);
        if stamp.bytes > limits::GRAPH_LOG_BYTES {
            // A sparse file is small in an archive, and takes hours to read.
            let damage = Some(too_large(stamp.bytes));
            self.replace_by(
                GraphState::default(),
                Reached { stamp: Some(stamp), damage, ..Reached::default() },
            );
            return Ok(());
        }
        let mut file = file.into_std();
        if self.may_have_grown(stamp) && self.read_on(&mut file, stamp)? {
            return Ok(());
        }
        let mut state = GraphState::default();
        let mut reached = Reached { stamp: Some(stamp), ..Reached::default() };
        file.seek(SeekFrom::Start(0))?;
        reached.read_lines(BufReader::new(file.take(stamp.bytes)), &mut state)?;
        if let Some(first) = reached.first_unknown {
            tracing::warn!(
                lines = reached.unknown,
                first,
                "unknown lines in the graph log; skipped and kept"
            );
        }
        self.replace_by(state, reached);
        Ok(())
    }

    fn may_have_grown(&self, now: FileStamp) -> bool {
        let known = &self.reached;
        known.damage.is_none()
            && known.offset > 0
            && known.stamp.is_some_and(|before| before.inode == now.inode && before.bytes < now.bytes)
    }

    /// Reads the appended lines; false if the file turns out to be another one.
    fn read_on(&mut self, file: &mut std::fs::File, stamp: FileStamp) -> io::Result<bool> {
        let known = &self.reached;
        let start = known.offset - known.overlap.len() as u64;
        file.seek(SeekFrom::Start(start))?;
        let mut reader = BufReader::new(file.take(stamp.bytes - start));
        let mut expected = known.overlap.clone();
        expected.extend_from_slice(&known.rest);
        let mut found = vec![0; expected.len()];
        match reader.read_exact(&mut found) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            result => result?,
        }
        if found != expected {
            return Ok(false);
        }
        if !known.rest.is_empty() && matches!(read_line(&known.rest), Line::Event(_)) {
            // The partial line was applied as an event. If the rest of it makes another event, the state is wrong.
            let next = reader.fill_buf()?.first();
            if !matches!(next, Some(b'\n' | b'\r')) {
                return Ok(false);
            }
        }
        let rest = std::mem::take(&mut self.reached.rest);
        self.reached.stamp = Some(stamp);
        // Applying an event twice in a row is applying it once.
        self.reached.read_lines(io::Cursor::new(rest).chain(reader), &mut self.state)?;
        Ok(true)
    }

    /// Keeps the state (and everyone's cursors into it) if the new one is the same.
    fn replace_by(&mut self, state: GraphState, reached: Reached) {
        self.reached = reached;
        if state != self.state {
            self.state = state.following(&self.state);
        }
    }

    /// The bytes before the next line: the marker or its missing part, or the end of a torn line.
    fn repair(&self) -> Vec<u8> {
        let rest = &self.reached.rest;
        let missing = MARKER.as_bytes().strip_prefix(rest.as_slice());
        match missing {
            Some(missing) if !self.reached.marker => [missing, b"\n"].concat(),
            _ if !self.reached.marker => [b"\n", MARKER.as_bytes(), b"\n"].concat(),
            _ if rest.is_empty() => Vec::new(),
            _ => b"\n".to_vec(),
        }
    }
}

impl Reached {
    fn read_lines(&mut self, mut reader: impl BufRead, state: &mut GraphState) -> io::Result<()> {
        let mut line = Vec::new();
        while self.damage.is_none() {
            let Some(ReadLine { bytes, ended }) = next_line(&mut reader, &mut line)? else { break };
            let whole = bytes == line.len() as u64;
            if !ended {
                if whole {
                    self.take_rest(std::mem::take(&mut line), state);
                } else {
                    self.damage = Some(too_long(self.lines + 1));
                }
                break;
            }
            self.offset += bytes;
            self.remember(&line, whole);
            self.lines += 1;
            self.take_line(&line, whole, state);
        }
        Ok(())
    }

    fn take_line(&mut self, line: &[u8], whole: bool, state: &mut GraphState) {
        let read = if whole {
            // Some editors put a byte order mark in front.
            let line =
                if self.filled == 0 { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line) } else { line };
            read_line(line)
        } else {
            Line::Unknown(format!("it is longer than {MAX_LINE_BYTES} bytes"))
        };
        if read == Line::Blank {
            return;
        }
        self.filled += 1;
        if !self.marker && read != Line::Marker {
            let why = match read {
                _ if MemoryFile::is_memory_file(line) => MEMORY_FILE.to_owned(),
                Line::Unknown(why) => why,
                _ => "it is an event, and the marker is missing".to_owned(),
            };
            self.damage = Some(no_marker(self.lines, &why));
            return;
        }
        match read {
            Line::Marker => self.marker = true,
            Line::Event(event) => state.apply(event),
            Line::Unknown(why) => {
                tracing::debug!(line = self.lines, why, "unknown line in the graph log");
                self.unknown += 1;
                self.first_unknown.get_or_insert(self.lines);
            }
            Line::Blank | Line::SnapshotWritten => {}
        }
    }

    /// A line without an end: it may be torn, still being written, or merely lack its line feed.
    fn take_rest(&mut self, rest: Vec<u8>, state: &mut GraphState) {
        match read_line(&rest) {
            Line::Marker => self.marker = true,
            Line::Event(event) if self.marker => state.apply(event),
            Line::Blank => {}
            _ if self.marker || MARKER.as_bytes().starts_with(&rest) => {}
            _ => {
                let is_memory = MemoryFile::is_memory_file(&rest);
                let why = if is_memory { MEMORY_FILE } else { "it is another one" };
                self.damage = Some(no_marker(self.lines + 1, why));
            }
        }
        self.rest = rest;
    }

    fn remember(&mut self, line: &[u8], whole: bool) {
        if !whole {
            // Its end is unknown; the text after it will be compared.
            self.overlap.clear();
            return;
        }
        self.overlap.extend_from_slice(line);
        let surplus = self.overlap.len().saturating_sub(OVERLAP_BYTES);
        self.overlap.drain(..surplus);
    }
}

/// Events as the lines that follow the log.
///
/// # Errors
/// An event cannot be written as JSON.
pub(crate) fn lines_of(
    repair: Vec<u8>,
    events: &[Event],
    by: &mut BankSigner<'_>,
) -> Result<Vec<u8>, StoreError> {
    let mut bytes = repair;
    for event in events {
        by.write(event, &mut bytes).map_err(|error| StoreError::Unavailable(error.to_string()))?;
    }
    Ok(bytes)
}

/// Writes events to the end of the log, in one write, durably. `view` has followed the log under the same lock.
///
/// # Errors
/// The disk failed; the partial write was undone.
pub(crate) fn append(
    dir: &BankDir,
    repair: Vec<u8>,
    events: &[Event],
    by: &mut BankSigner<'_>,
) -> Result<(), StoreError> {
    let bytes = lines_of(repair, events, by)?;
    write_durably(dir, &bytes).map_err(StoreError::io(format!("cannot write to `{LOG}`")))
}

/// The last line of the log with this seal.
///
/// # Errors
/// The log cannot be read.
pub(super) fn last_sealed(dir: &BankDir, seal: &LineSeal) -> io::Result<Option<Mark>> {
    match dir.open_file(LOG, OpenOptions::new().read(true)) {
        Ok(file) => seal.last_of(&mut file.into_std()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The log as it is.
///
/// # Errors
/// It cannot be read.
pub(crate) fn bytes(dir: &BankDir) -> Result<Vec<u8>, StoreError> {
    let cannot = || StoreError::io(format!("cannot read `{LOG}`"));
    let file = dir.open_file(LOG, OpenOptions::new().read(true)).map_err(cannot())?;
    let mut bytes = Vec::new();
    file.into_std().take(limits::GRAPH_LOG_BYTES).read_to_end(&mut bytes).map_err(cannot())?;
    Ok(bytes)
}

/// The bytes that [`append`] writes before its events.
pub(crate) fn repair_of(view: &View) -> Vec<u8> {
    view.repair()
}

/// The lines that are not understood, as they are, in their order, and the number of lines that are not blank.
///
/// # Errors
/// The log cannot be read, or has a line that is too long to be kept.
pub(crate) fn unknown_lines(dir: &BankDir) -> Result<(Vec<Vec<u8>>, usize), StoreError> {
    let cannot = || StoreError::io(format!("cannot read `{LOG}`"));
    let file = match dir.open_file(LOG, OpenOptions::new().read(true)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), 0)),
        Err(error) => return Err(cannot()(error)),
    };
    let mut reader = BufReader::new(file.take(limits::GRAPH_LOG_BYTES));
    let (mut unknown, mut filled, mut number) = (Vec::new(), 0, 0);
    let mut line = Vec::new();
    while let Some(taken) = next_line(&mut reader, &mut line).map_err(cannot())? {
        number += 1;
        if taken.bytes != line.len() as u64 {
            return Err(StoreError::Damaged { what: LOG.to_owned(), detail: too_long(number) });
        }
        let read = read_line(&line);
        filled += usize::from(read != Line::Blank);
        // The first line may have a byte order mark before the marker.
        if matches!(read, Line::Unknown(_)) && filled > 1 {
            unknown.push(line.strip_suffix(b"\n").unwrap_or(&line).to_vec());
        }
    }
    Ok((unknown, filled))
}

/// Appends these bytes, durably.
pub(super) fn write_durably(dir: &BankDir, bytes: &[u8]) -> io::Result<()> {
    dir.create_folder(GRAPH_FOLDER)?;
    let is_new = dir.stamp(LOG).is_none();
    let mut file = dir.open_file(LOG, OpenOptions::new().append(true).create(true))?;
    let before = file.metadata()?.len();
    if before.saturating_add(bytes.len() as u64) > limits::GRAPH_LOG_BYTES {
        return Err(io::Error::other(format!(
            "it would have more than {} bytes; graph_maintain with `compact` makes room",
            limits::GRAPH_LOG_BYTES
        )));
    }
    let written = file.write_all(bytes).and_then(|()| file.sync_data());
    if let Err(error) = written {
        // Undone, unless a process that does not use the lock has written after us; then the line is repaired later.
        let ours = file.metadata().is_ok_and(|now| now.len() <= before + bytes.len() as u64);
        if ours && let Err(again) = file.set_len(before) {
            tracing::warn!(error = %again, "a failed write to the graph log could not be undone");
        }
        return Err(error);
    }
    if is_new { dir.sync(Path::new(GRAPH_FOLDER)) } else { Ok(()) }
}

/// The line that [`next_line`] took.
pub(super) struct ReadLine {
    /// Bytes of the file: more than the line holds, if the line is too long.
    bytes: u64,
    /// Whether it ended with a line feed, which it holds then unless it is too long.
    ended: bool,
}

pub(super) fn next_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Option<ReadLine>> {
    line.clear();
    let mut bytes = reader.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', line)? as u64;
    if bytes == 0 {
        return Ok(None);
    }
    let mut ended = line.last() == Some(&b'\n');
    if bytes == MAX_LINE_BYTES {
        while !ended {
            let buffer = reader.fill_buf()?;
            if buffer.is_empty() {
                break;
            }
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let length = end.map_or(buffer.len(), |at| at + 1);
            reader.consume(length);
            bytes += length as u64;
            ended = end.is_some();
        }
    }
    Ok(Some(ReadLine { bytes, ended }))
}

fn too_large(bytes: u64) -> String {
    format!(
        "it has {bytes} bytes, at most {} are read; restore a backup, or move the file away to start a new graph",
        limits::GRAPH_LOG_BYTES
    )
}

fn too_long(line: usize) -> String {
    format!("line {line} is longer than {MAX_LINE_BYTES} bytes; shorten or remove it")
}

/// The message about a file that is not a log, but can be imported.
const MEMORY_FILE: &str = "this is the file of a reference memory server, which `memory-bank-mcp import --from FILE` brings \
    in: move it out of the bank's folder first";

fn no_marker(line: usize, why: &str) -> String {
    format!(
        "line {line} should be the marker `{MARKER}`, but {why}; nothing was changed: correct that line, restore a \
         backup, or move the file away to start a new graph"
    )
}
