//! The last line of a segment, which this program adds under its seal: the name of the segment, the hash of all bytes before the line, and
//! the number of its last change. So a file that takes the place of a segment, or a copy of one, is none of this graph, and a segment that
//! no log names any more, as git brought an older log back, is still one.

use std::collections::HashSet;
use std::io::{self, BufRead as _, BufReader, Read, Seek as _, SeekFrom};
use std::sync::LazyLock;

use cap_std::fs::Metadata;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::line_seal::LineSeal;
use super::pieces::{MAX_SEGMENT_BYTES, hex};
use crate::dir::{BankDir, FileStamp};

const START: &[u8] = br#"{"type":"segment_written""#;
/// The longest such line.
const LINE_BYTES: u64 = 1024;
/// The most files whose content is not read again to check it.
const CHECKED_FILES: usize = 10_000;

/// The files whose content was found to have a hash. A file with an equal stamp has the same content.
static CHECKED: LazyLock<Mutex<HashSet<(FileStamp, String)>>> = LazyLock::new(Mutex::default);

/// What the line states.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ending {
    r#type: EndingType,
    name: String,
    /// How many bytes are before it, but for a line feed that the last of them lacks.
    pub(super) bytes: u64,
    hash: String,
    /// The number of the last change; none if it is not known.
    pub(super) last: Option<i64>,
    /// Whether it followed another piece than the one before it.
    #[serde(default, rename = "isMixed")]
    pub(super) is_mixed: bool,
    /// Whether its first sealed line stated where it begins. An erasure can remove that line.
    #[serde(default, rename = "hasBegins")]
    pub(super) has_begins: bool,
}

/// What the writer of a segment knows of it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Facts {
    pub(super) last: Option<i64>,
    pub(super) is_mixed: bool,
    pub(super) has_begins: bool,
}

impl Ending {
    /// For the same segment with another content.
    pub(super) fn facts(&self) -> Facts {
        let Self { last, is_mixed, has_begins, .. } = *self;
        Facts { last, is_mixed, has_begins }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum EndingType {
    #[serde(rename = "segment_written")]
    SegmentWritten,
}

/// A segment with its last line.
pub(super) fn with_ending(
    seal: &LineSeal,
    name: &str,
    text: &[u8],
    Facts { last, is_mixed, has_begins }: Facts,
) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = text.to_vec();
    if !bytes.is_empty() && !bytes.ends_with(b"\n") {
        bytes.push(b'\n');
    }
    let hash = hex(&Sha256::digest(text));
    let r#type = EndingType::SegmentWritten;
    let ending =
        Ending { r#type, name: name.to_owned(), bytes: text.len() as u64, hash, last, is_mixed, has_begins };
    let start = bytes.len();
    serde_json::to_writer(&mut bytes, &ending)?;
    bytes.push(b'\n');
    seal.seal(&mut None, start, &mut bytes);
    Ok(bytes)
}

/// The last line of a segment if it belongs to it, and whether the seal shows that this program wrote it with this content.
pub(super) fn ending_of(
    dir: &BankDir,
    name: &str,
    seal: Option<&LineSeal>,
) -> io::Result<Option<(Ending, bool)>> {
    let mut file = dir.open_history(name, false)?;
    let stamp = FileStamp::of(&Metadata::from_file(&file)?);
    let tail = stamp.bytes.min(LINE_BYTES);
    file.seek(SeekFrom::Start(stamp.bytes - tail))?;
    let mut bytes = Vec::new();
    Read::take(&mut file, tail).read_to_end(&mut bytes)?;
    let Some(lines) = bytes.strip_suffix(b"\n") else { return Ok(None) };
    let Some(line) = lines.rsplit(|byte| *byte == b'\n').next().filter(|line| line.starts_with(START)) else {
        return Ok(None);
    };
    let before = stamp.bytes - 1 - line.len() as u64;
    let ending: Option<Ending> = serde_json::from_slice(line).ok();
    let is_its = |ending: &Ending| ending.bytes == before || ending.bytes.checked_add(1) == Some(before);
    let Some(ending) = ending.filter(is_its) else { return Ok(None) };
    let is_sealed = seal.is_some_and(|seal| seal.of_line(line).is_some()) && ending.name == name;
    let is_certain = is_sealed && has_content(file, stamp, &ending)?;
    Ok(Some((ending, is_certain)))
}

/// Whether the content has the hash. It is read once for each version of the file.
fn has_content(mut file: std::fs::File, stamp: FileStamp, ending: &Ending) -> io::Result<bool> {
    let known = (stamp, ending.hash.clone());
    if CHECKED.lock().contains(&known) {
        return Ok(true);
    }
    if ending.bytes > MAX_SEGMENT_BYTES {
        return Ok(false);
    }
    file.seek(SeekFrom::Start(0))?;
    let (mut lines, mut hash) = (BufReader::new(file.take(ending.bytes)), Sha256::new());
    loop {
        let found = lines.fill_buf()?;
        let length = found.len();
        if length == 0 {
            break;
        }
        hash.update(found);
        lines.consume(length);
    }
    if hex(&hash.finalize()) != ending.hash {
        return Ok(false);
    }
    let mut checked = CHECKED.lock();
    if checked.len() >= CHECKED_FILES {
        checked.clear();
    }
    checked.insert(known);
    Ok(true)
}
