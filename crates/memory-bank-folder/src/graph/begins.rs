//! What the first sealed line of a log states under its seal: the number at which the log's own changes begin, and the segments before
//! it. So no file that comes later gives a number of these changes again, or counts as a part of this history.

use std::io::{self, BufRead};

use memory_bank_core::limits;
use serde::{Deserialize, Serialize};

use super::line_seal::LineSeal;
use super::log::next_line;

/// How the member begins that has it.
const MEMBER: &str = r#","begins":"#;
/// How the line begins that ends the state of a compaction.
const STATE: &[u8] = br#"{"type":"snapshot_written""#;

/// Where a log begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Begins {
    /// The number of the last change before the line.
    pub(super) number: i64,
    /// The names of the segments before the log.
    pub(super) segments: Vec<String>,
    /// Whether each of them has a last line that shows that it is one.
    #[serde(default, rename = "haveEndings")]
    pub(super) have_endings: bool,
    /// Whether the line ends the state of a compaction.
    #[serde(skip)]
    pub(super) is_state: bool,
}

impl Begins {
    /// The segments before the log that nothing else shows to be of this graph.
    pub(super) fn named(&self) -> Vec<String> {
        if self.have_endings { Vec::new() } else { self.segments.clone() }
    }

    /// Adds it to the line that these bytes end with, an object with members and a line feed, before the line is sealed.
    pub(super) fn write(&self, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        if out.ends_with(b"}\n") {
            let member = serde_json::to_string(self)?;
            out.truncate(out.len() - 2);
            out.extend_from_slice(MEMBER.as_bytes());
            out.extend_from_slice(member.as_bytes());
            out.extend_from_slice(b"}\n");
        }
        Ok(())
    }

    /// What a line has of it. Its seal shows whether to believe it.
    pub(super) fn of_line(line: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Members {
            begins: Begins,
        }
        let is_there = line.windows(MEMBER.len()).any(|bytes| bytes == MEMBER.as_bytes());
        let members: Members = is_there.then(|| serde_json::from_slice(line).ok()).flatten()?;
        let is_number = (0..=limits::GRAPH_OWN_NUMBER).contains(&members.begins.number);
        is_number.then(|| Self { is_state: line.starts_with(STATE), ..members.begins })
    }
}

/// What the first sealed line states, if it is the first one of its order.
pub(super) fn begins_of(lines: &mut dyn BufRead, seal: &LineSeal) -> io::Result<Option<Begins>> {
    let mut line = Vec::new();
    while next_line(&mut &mut *lines, &mut line)?.is_some() {
        if let Some(sealed) = seal.of_line(&line) {
            return Ok(Begins::of_line(&line).filter(|_| sealed.after == Some(None)));
        }
    }
    Ok(None)
}
