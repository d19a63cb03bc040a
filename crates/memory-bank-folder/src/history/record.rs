//! One record of a history file: its facts as JSON, the texts that it changed, a checksum, and a seal with the user's key.
//! This module must not know files or documents.

use std::collections::HashSet;
use std::ops::Range;

use jiff::Timestamp;
use memory_bank_core::caller::KeyId;
use memory_bank_core::document::{DocumentPath, Etag};
use memory_bank_core::error::StoreError;
use memory_bank_core::history::{Delta, Version, VersionKind, tool_and_mark};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::search::Seal;

/// How each record begins.
const MAGIC: &[u8; 4] = b"mbh1";
/// The end of the names of files.
pub(super) const ENDING: &str = ".log";
/// Magic, length of the facts, length of the texts, state.
const HEAD: usize = 13;
/// Where the state is.
pub(super) const STATE_AT: u64 = 12;
/// Checksum, seal, length of the whole record.
const TAIL: usize = CHECKSUM + SEAL + 4;
const CHECKSUM: usize = 8;
const SEAL: usize = 16;
const SEALED: &[u8; 8] = b"mbhist\x00\x01";
/// The longest facts.
const MAX_FACTS: usize = 64 * 1024;
/// The longest texts of one record.
const MAX_TEXTS: usize = 48 * 1024 * 1024;
/// How often the next record is searched for behind bytes that are none.
const MAX_SEARCHES: usize = 1000;
/// The most records of one file.
const MAX_RECORDS: usize = 200_000;
/// The highest number of a version that is continued.
const MAX_NUMBER: i64 = 1 << 40;

/// The document of the record is not changed yet, or its process ended before it noted so.
const PENDING: u8 = b'P';
/// The document was changed.
pub(super) const COMMITTED: u8 = b'C';

/// The kind of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Created,
    Changed,
    Renamed,
    Deleted,
    Restored,
    Outside,
    /// A transfer brought it as foreign.
    Foreign,
    /// The document has another name from here on, whose file has the version.
    Moved,
    /// The versions before it were erased.
    Erased,
}

impl Kind {
    /// The kind of the record of a version.
    pub(super) fn of(kind: VersionKind) -> Self {
        match kind {
            VersionKind::Created => Self::Created,
            VersionKind::Changed => Self::Changed,
            VersionKind::Renamed => Self::Renamed,
            VersionKind::Deleted => Self::Deleted,
            VersionKind::Restored => Self::Restored,
            VersionKind::Outside => Self::Outside,
            VersionKind::Foreign => Self::Foreign,
        }
    }

    fn listed(self) -> Option<VersionKind> {
        match self {
            Self::Created => Some(VersionKind::Created),
            Self::Changed => Some(VersionKind::Changed),
            Self::Renamed => Some(VersionKind::Renamed),
            Self::Deleted => Some(VersionKind::Deleted),
            Self::Restored => Some(VersionKind::Restored),
            Self::Outside => Some(VersionKind::Outside),
            Self::Foreign => Some(VersionKind::Foreign),
            Self::Moved | Self::Erased => None,
        }
    }
}

/// The facts of a record.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Facts {
    /// The document, through renames.
    pub(super) document: Uuid,
    pub(super) number: i64,
    pub(super) kind: Kind,
    /// The name after the change.
    pub(super) path: String,
    /// The former name of a document that was renamed, also from outside, or the name that it moved to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) other: Option<String>,
    pub(super) at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) author: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) key: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) session: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) tool: Option<String>,
    /// The etag before the change; none if there was no text.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) before: Option<String>,
    /// The etag after it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) after: Option<String>,
    /// The length of the text after it.
    pub(super) bytes: u64,
    /// The bytes at the beginning and at the end that the change left.
    pub(super) start: usize,
    pub(super) end: usize,
    /// The lengths of the texts: the replaced one and its replacement. The whole text after the change may follow.
    pub(super) former: usize,
    pub(super) inserted: usize,
    pub(super) whole: bool,
    /// Whether a transfer brought it, with the author that its source named.
    #[serde(skip_serializing_if = "is_false", default)]
    pub(super) imported: bool,
    /// Where the record is in its file. One that is elsewhere was repeated or moved, or one before it is missing. Records of an earlier
    /// program have none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) place: Option<u64>,
    /// The etag of another document that had the name until the change.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) over: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// A record of a file.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) facts: Facts,
    pub(super) texts: Vec<u8>,
    pub(super) is_pending: bool,
    /// Whether it has the seal of this user, and is where it was written.
    pub(super) is_own: bool,
    /// Whether it has that seal, and is elsewhere.
    pub(super) is_misplaced: bool,
    /// Where it is in its file.
    pub(super) range: Range<usize>,
}

impl Record {
    /// A new record. `change` has the step back and the inserted text; `whole` is stored if it is given.
    pub(super) fn new(facts: Facts, change: Option<(&Delta, &str)>, whole: Option<&str>) -> Self {
        let mut record = Self {
            facts,
            texts: Vec::new(),
            is_pending: false,
            is_own: true,
            is_misplaced: false,
            range: 0..0,
        };
        if let Some((delta, inserted)) = change {
            (record.facts.start, record.facts.end) = (delta.start(), delta.end());
            (record.facts.former, record.facts.inserted) = (delta.bytes(), inserted.len());
            record.texts.extend_from_slice(delta.former().as_bytes());
            record.texts.extend_from_slice(inserted.as_bytes());
        }
        record.facts.whole = whole.is_some();
        record.texts.extend_from_slice(whole.unwrap_or_default().as_bytes());
        record
    }

    /// Takes a record of this user that is not where it was written for a foreign one. `has_places`: whether a record before it has a
    /// place.
    fn check_place(&mut self, has_places: bool) {
        let is_there = match self.facts.place {
            Some(place) => place == self.range.start as u64,
            None => !has_places,
        };
        self.is_misplaced = self.is_own && !is_there;
        self.is_own &= is_there;
    }

    /// The former name of a renamed document, or the name that it moved to.
    pub(super) fn other(&self) -> Option<DocumentPath> {
        DocumentPath::parse(self.facts.other.as_deref()?).ok()
    }

    fn text(&self, range: Range<usize>) -> Option<&str> {
        std::str::from_utf8(self.texts.get(range)?).ok()
    }

    /// The step back from its text to the one before; none if there is no text before. After a deletion only if it is the first version
    /// of a document that is older than its history: others have the text in the version before.
    pub(super) fn back(&self) -> Option<Delta> {
        let facts = &self.facts;
        facts.before.as_ref()?;
        if facts.after.is_none() && facts.former == 0 {
            return None;
        }
        let former = self.text(0..facts.former)?.to_owned();
        Some(Delta::from_parts(facts.start, facts.end, former))
    }

    /// The step from the text before to its own.
    pub(super) fn forward(&self) -> Option<Delta> {
        let facts = &self.facts;
        facts.before.as_ref().and(facts.after.as_ref())?;
        let inserted = self.text(facts.former..facts.former.checked_add(facts.inserted)?)?.to_owned();
        Some(Delta::from_parts(facts.start, facts.end, inserted))
    }

    /// Its text, if it is stored as a whole.
    pub(super) fn whole(&self) -> Option<&str> {
        let from = self.facts.former.checked_add(self.facts.inserted)?;
        self.facts.whole.then(|| self.text(from..self.texts.len())).flatten()
    }

    /// As a version of a list; none if it is not one.
    pub(super) fn version(&self) -> Option<Version> {
        let facts = &self.facts;
        let kind = facts.kind.listed()?;
        let (tool, undoes) = tool_and_mark(facts.tool.as_deref());
        Some(Version {
            document: facts.document.to_string(),
            number: facts.number,
            path: DocumentPath::parse(&facts.path).ok()?,
            former_path: self.other(),
            at: facts.at,
            // A name that came with a repository is a claim.
            author: facts.author.clone().filter(|_| self.is_own),
            key: facts.key.filter(|_| self.is_own).map(KeyId),
            key_prefix: None,
            session: facts.session.clone().filter(|_| self.is_own),
            tool: tool.filter(|_| self.is_own),
            undoes: undoes.filter(|_| self.is_own),
            kind: if self.is_own { kind } else { VersionKind::Foreign },
            etag: facts.after.as_deref().map(Etag::claimed),
            bytes: facts.bytes,
            replaced: facts.former as u64,
            imported: facts.imported && self.is_own,
        })
    }

    /// The stored form at this place of the file of this name.
    pub(super) fn to_bytes(&self, name: &str, place: u64, seal: &Seal) -> Result<Vec<u8>, serde_json::Error> {
        self.encoded(&Facts { place: Some(place), ..self.facts.clone() }, name, seal)
    }

    fn encoded(&self, facts: &Facts, name: &str, seal: &Seal) -> Result<Vec<u8>, serde_json::Error> {
        let facts = serde_json::to_vec(facts)?;
        let length = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX).to_le_bytes();
        let mut bytes = Vec::with_capacity(HEAD + facts.len() + self.texts.len() + TAIL);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&length(facts.len()));
        bytes.extend_from_slice(&length(self.texts.len()));
        bytes.push(if self.is_pending { PENDING } else { COMMITTED });
        bytes.extend_from_slice(&facts);
        bytes.extend_from_slice(&self.texts);
        let digest = digest_of(&bytes);
        bytes.extend(digest.iter().take(CHECKSUM));
        bytes.extend(seal_of(seal, name, &digest));
        bytes.extend_from_slice(&length(bytes.len() + 4));
        Ok(bytes)
    }
}

/// Appends a record to a new form of its file: one of this user with its new place, another one as it is in the old form.
pub(super) fn put(
    record: &Record,
    old: &[u8],
    name: &str,
    seal: &Seal,
    new: &mut Vec<u8>,
) -> Result<(), StoreError> {
    if !record.is_own {
        new.extend_from_slice(old.get(record.range.clone()).unwrap_or_default());
        return Ok(());
    }
    let bytes = record.to_bytes(name, new.len() as u64, seal);
    new.extend(bytes.map_err(|error| StoreError::Unavailable(error.to_string()))?);
    Ok(())
}

/// The digest of everything except the state, which changes later.
fn digest_of(unsealed: &[u8]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(unsealed.get(..HEAD - 1).unwrap_or_default());
    hasher.update(unsealed.get(HEAD..).unwrap_or_default());
    hasher.finalize().into()
}

fn seal_of(seal: &Seal, name: &str, digest: &[u8; 32]) -> [u8; SEAL] {
    // The name is hashed, so that each part has one length.
    let name: [u8; 32] = Sha256::digest(name.as_bytes()).into();
    seal.digest(&[SEALED, &name, digest])
}

/// The content of a file at a place.
enum Found {
    Record(Box<Record>),
    /// A record whose checksum or content is wrong.
    Damaged(Range<usize>),
    Nothing,
}

fn number_at(bytes: &[u8], at: usize) -> Option<usize> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    usize::try_from(u32::from_le_bytes(four.try_into().ok()?)).ok()
}

fn find(bytes: &[u8], at: usize, name: &str, seal: Option<&Seal>) -> Found {
    found(bytes, at, name, seal).unwrap_or(Found::Nothing)
}

fn found(bytes: &[u8], at: usize, name: &str, seal: Option<&Seal>) -> Option<Found> {
    if bytes.get(at..at.checked_add(4)?)? != MAGIC {
        return None;
    }
    let facts_length = number_at(bytes, at + 4).filter(|length| *length <= MAX_FACTS)?;
    let texts_length = number_at(bytes, at + 8).filter(|length| *length <= MAX_TEXTS)?;
    let total = HEAD + facts_length + texts_length + TAIL;
    let record = bytes.get(at..at.checked_add(total)?)?;
    (number_at(record, total - 4)? == total).then_some(())?;
    let range = at..at + total;
    let (unsealed, tail) = record.split_at_checked(total - TAIL)?;
    let digest = digest_of(unsealed);
    let facts_end = HEAD + facts_length;
    let facts: Option<Facts> =
        unsealed.get(HEAD..facts_end).and_then(|json| serde_json::from_slice(json).ok());
    let is_right = |facts: &Facts| {
        tail.get(..CHECKSUM) == digest.get(..CHECKSUM)
            && (1..=MAX_NUMBER).contains(&facts.number)
            && DocumentPath::parse(&facts.path).is_ok_and(|path| file_name(&path) == name)
    };
    let Some(facts) = facts.filter(is_right) else { return Some(Found::Damaged(range)) };
    let sealed = tail.get(CHECKSUM..CHECKSUM + SEAL)?;
    let is_own = seal.is_some_and(|seal| seal_of(seal, name, &digest) == sealed);
    let texts = unsealed.get(facts_end..)?.to_vec();
    let is_pending = *unsealed.get(HEAD - 1)? == PENDING;
    let record = Record { facts, texts, is_pending, is_own, is_misplaced: false, range };
    Some(Found::Record(Box::new(record)))
}

/// The content of a file.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) records: Vec<Record>,
    /// How many records or runs of other bytes cannot be read, without a torn end.
    pub(super) damaged: usize,
    /// The end of the last record; what follows was torn.
    pub(super) end: usize,
}

/// Reads a file of this name.
pub(super) fn read_all(bytes: &[u8], name: &str, seal: Option<&Seal>) -> Contents {
    let mut contents = Contents::default();
    let (mut at, mut searches, mut has_places) = (0, 0, false);
    while at < bytes.len() && contents.records.len() < MAX_RECORDS {
        match find(bytes, at, name, seal) {
            Found::Record(mut record) => {
                record.check_place(has_places);
                has_places |= record.is_own && record.facts.place.is_some();
                // Unreadable bytes between records are one damage.
                contents.damaged += usize::from(contents.end < at);
                (at, contents.end) = (record.range.end, record.range.end);
                contents.records.push(*record);
            }
            Found::Damaged(range) => {
                contents.damaged += 1;
                (at, contents.end) = (range.end, range.end);
            }
            Found::Nothing => {
                searches += 1;
                if searches > MAX_SEARCHES {
                    break;
                }
                let rest = bytes.get(at + 1..).unwrap_or_default();
                let next = rest.windows(MAGIC.len()).position(|window| window == MAGIC);
                at = next.map_or(bytes.len(), |next| at + 1 + next);
            }
        }
    }
    contents.forget_copies();
    contents
}

impl Contents {
    /// Leaves out repetitions of records that are in their place.
    fn forget_copies(&mut self) {
        if self.records.iter().all(|record| !record.is_misplaced) {
            return;
        }
        let placed: HashSet<(Uuid, i64, Kind)> = self
            .records
            .iter()
            .filter(|record| record.is_own)
            .map(|record| (record.facts.document, record.facts.number, record.facts.kind))
            .collect();
        self.records.retain(|record| {
            let facts = &record.facts;
            !record.is_misplaced || !placed.contains(&(facts.document, facts.number, facts.kind))
        });
    }

    /// The last record that is in its place, or not of this user.
    pub(super) fn last(&self) -> Option<&Record> {
        self.records.iter().rfind(|record| !record.is_misplaced).or(self.records.last())
    }
}

/// The length of the record that ends with these four bytes, if it can be one.
pub(super) fn length_before(end: [u8; 4]) -> Option<usize> {
    let total = usize::try_from(u32::from_le_bytes(end)).ok()?;
    (HEAD + TAIL..=HEAD + MAX_FACTS + MAX_TEXTS + TAIL).contains(&total).then_some(total)
}

/// The record that these bytes are, which are at this place of their file.
pub(super) fn read_one(bytes: &[u8], at: usize, name: &str, seal: Option<&Seal>) -> Option<Record> {
    match find(bytes, 0, name, seal) {
        Found::Record(record) if record.range.end == bytes.len() => {
            let mut record = Record { range: at..at + bytes.len(), ..*record };
            record.check_place(false);
            Some(record)
        }
        _ => None,
    }
}

/// The name of the file with the versions that a document has under this name.
pub(super) fn file_name(path: &DocumentPath) -> String {
    let digest = Sha256::digest(path.as_str().as_bytes());
    let name: String = digest.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
    format!("{name}{ENDING}")
}

#[cfg(test)]
pub(super) mod tests;
