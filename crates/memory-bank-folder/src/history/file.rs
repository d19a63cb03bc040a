//! The files of the history: one for each name of a document, to which records are appended. A torn end is cut at the next
//! write. The caller holds the bank's lock for a change.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use jiff::Timestamp;
use memory_bank_core::document::DocumentPath;

use crate::dir::BankDir;
use crate::history::record::{self, COMMITTED, Contents, Record, STATE_AT};
use crate::search::Seal;

/// The largest file that is read or written.
pub(super) const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;

/// The bytes that are read of a file for the time of its first record.
const FIRST_BYTES: u64 = 16 * 1024;

/// A file that is open, and its last record.
#[derive(Debug)]
pub(super) struct HistoryFile {
    pub(super) name: String,
    file: Option<File>,
    /// Where the next record goes.
    pub(super) end: u64,
    pub(super) last: Option<Record>,
    /// The highest number of that document in the file, as far as all of it was read: records that are not in their place may have
    /// higher ones than the last.
    pub(super) highest: i64,
    /// The length of the file, with a torn end.
    length: u64,
}

impl HistoryFile {
    /// Opens the file of a name, making it if `create`. Without a file it is empty.
    pub(super) fn open(
        dir: &BankDir,
        path: &DocumentPath,
        seal: Option<&Seal>,
        create: bool,
    ) -> io::Result<Self> {
        Self::open_named(dir, record::file_name(path), seal, create)
    }

    /// Opens a file of the history by its name.
    pub(super) fn open_named(
        dir: &BankDir,
        name: String,
        seal: Option<&Seal>,
        create: bool,
    ) -> io::Result<Self> {
        let mut file = match dir.open_history(&name, create) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !create => None,
            file => Some(file?),
        };
        let length = file.as_ref().map_or(Ok(0), |file| file.metadata().map(|metadata| metadata.len()))?;
        check_length(&name, length)?;
        let last = match &mut file {
            Some(file) => last_record(file, length, &name, seal)?,
            None => None,
        };
        // A record of an earlier version of this program does not contain its own position.
        let last = last.filter(|last| !last.is_misplaced && (!last.is_own || last.facts.place.is_some()));
        let mut found = Self { name, file, end: length, last, highest: 0, length };
        if found.last.is_none() && length > 0 {
            let contents = found.contents(seal)?;
            found.end = contents.end as u64;
            found.take_last(&contents);
        }
        Ok(found)
    }

    fn take_last(&mut self, contents: &Contents) {
        self.last = contents.last().cloned();
        let document = self.last.as_ref().map(|last| last.facts.document);
        let numbers = contents.records.iter().filter(|record| Some(record.facts.document) == document);
        self.highest = numbers.map(|record| record.facts.number).max().unwrap_or_default();
    }

    /// All that it contains.
    pub(super) fn contents(&mut self, seal: Option<&Seal>) -> io::Result<Contents> {
        Ok(record::read_all(&self.bytes()?, &self.name, seal))
    }

    /// When its first record was made; none if that cannot be read without the whole file.
    pub(super) fn first_at(&mut self) -> io::Result<Option<Timestamp>> {
        let mut bytes = Vec::new();
        if let Some(file) = &mut self.file {
            file.seek(SeekFrom::Start(0))?;
            file.take(FIRST_BYTES).read_to_end(&mut bytes)?;
        }
        let contents = record::read_all(&bytes, &self.name, None);
        Ok(contents.records.first().filter(|first| first.range.start == 0).map(|first| first.facts.at))
    }

    /// Its bytes.
    pub(super) fn bytes(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        if let Some(file) = &mut self.file {
            file.seek(SeekFrom::Start(0))?;
            file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
            check_length(&self.name, bytes.len() as u64)?;
        }
        Ok(bytes)
    }

    /// Appends a record, without a flush, and returns where it is.
    pub(super) fn append(&mut self, mut record: Record, seal: &Seal) -> io::Result<u64> {
        let start = self.end;
        let bytes = record.to_bytes(&self.name, start, seal).map_err(io::Error::other)?;
        record.facts.place = Some(start);
        check_length(&self.name, start + bytes.len() as u64)?;
        if self.length > start {
            tracing::warn!(bytes = self.length - start, "the torn end of a file of the history was cut");
            self.file()?.set_len(start)?;
        }
        let file = self.file()?;
        file.seek(SeekFrom::Start(start))?;
        file.write_all(&bytes)?;
        self.end = start + bytes.len() as u64;
        self.length = self.end;
        self.highest = 0;
        record.range =
            usize::try_from(start).unwrap_or_default()..usize::try_from(self.end).unwrap_or_default();
        self.last = Some(record);
        Ok(start)
    }

    /// Notes that the change of the record at this place was made.
    pub(super) fn confirm(&mut self, start: u64) -> io::Result<()> {
        let file = self.file()?;
        file.seek(SeekFrom::Start(start + STATE_AT))?;
        file.write_all(&[COMMITTED])
    }

    /// Removes what follows this place, of a change that was not made.
    pub(super) fn cut(&mut self, end: u64, seal: Option<&Seal>) -> io::Result<()> {
        self.file()?.set_len(end)?;
        (self.end, self.length) = (end, end);
        let contents = self.contents(seal)?;
        self.take_last(&contents);
        Ok(())
    }

    /// Writes it to the disk.
    pub(super) fn flush(&self) -> io::Result<()> {
        self.file.as_ref().map_or(Ok(()), File::sync_data)
    }

    /// Closes it, and returns its name.
    pub(super) fn into_name(self) -> String {
        self.name
    }

    fn file(&mut self) -> io::Result<&mut File> {
        self.file.as_mut().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }
}

fn check_length(name: &str, length: u64) -> io::Result<()> {
    if length <= MAX_FILE_BYTES {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "`{name}` in `.mbmcp/history` is {length} bytes long, at most {MAX_FILE_BYTES} are allowed; remove the file"
    )))
}

/// The last record, read from the end; none if there is none or the end is torn.
fn last_record(file: &mut File, length: u64, name: &str, seal: Option<&Seal>) -> io::Result<Option<Record>> {
    if length < 4 {
        return Ok(None);
    }
    file.seek(SeekFrom::Start(length - 4))?;
    let mut end = [0; 4];
    file.read_exact(&mut end)?;
    let Some(total) = record::length_before(end) else { return Ok(None) };
    let Some(start) = length.checked_sub(total as u64) else { return Ok(None) };
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = vec![0; total];
    file.read_exact(&mut bytes)?;
    let at = usize::try_from(start).unwrap_or_default();
    Ok(record::read_one(&bytes, at, name, seal))
}
