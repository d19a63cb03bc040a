//! The file of vectors: a header that names model and width, then records of one size, each with its checksum. Who holds
//! the lock appends; who reads takes what its checksum proves. Checksums need the user's key ([`Seal`]): a file that came with a
//! repository, or is not ours in another respect, is replaced by an empty one.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};

use memory_bank_core::search::{ModelId, UnitHash, Vector};
use sha2::{Digest, Sha256};

use super::seal::Seal;
use crate::dir::{BankDir, INTERNAL};

const FILE: &str = "vectors";
const LOCK: &str = ".mbmcp/vectors.lock";
const LOCK_NAME: &str = "vectors.lock";
const MAGIC: &[u8; 8] = b"mbvec\x00\x02\n";
const HEADER_BYTES: usize = 64;
const CHECKSUM_BYTES: usize = 8;
/// The largest file that is read or written.
const MAX_BYTES: u64 = 512 * 1024 * 1024;
/// From this many records of texts that are gone on, if they are at least half, the file is rewritten.
const MIN_UNUSED: usize = 1000;

/// The right to write the file, until it is dropped.
#[derive(Debug)]
pub(super) struct WriteLock(#[expect(dead_code, reason = "open, it is locked")] File);

/// Takes the right to write; none while another process has it.
pub(super) fn lock(dir: &BankDir) -> io::Result<Option<WriteLock>> {
    dir.prepare_internal()?;
    let file = dir.open_lock(LOCK)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(WriteLock(file))),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Whether a process has the right to write. Takes nothing, and makes no file.
pub(super) fn is_locked(dir: &BankDir) -> bool {
    let Ok(file) = dir.open_internal(LOCK_NAME, false) else { return false };
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

fn header_of(seal: &Seal, model: &ModelId) -> Vec<u8> {
    let mut header = MAGIC.to_vec();
    header.extend(Sha256::digest(model.to_string()));
    header.extend((model.dimension() as u64).to_le_bytes());
    header.resize(HEADER_BYTES - CHECKSUM_BYTES, 0);
    let check = seal.digest::<CHECKSUM_BYTES>(&[&header]);
    header.extend(check);
    header
}

fn record_bytes(model: &ModelId) -> usize {
    16 + 4 + model.dimension() + CHECKSUM_BYTES
}

fn record_of(seal: &Seal, header: &[u8], hash: &UnitHash, vector: &Vector) -> Vec<u8> {
    let mut record = hash.as_bytes().to_vec();
    record.extend(vector.to_bytes());
    let check = seal.digest::<CHECKSUM_BYTES>(&[header, &record]);
    record.extend(check);
    record
}

/// The content of a record; none if any part of it was changed.
fn parse(seal: &Seal, header: &[u8], record: &[u8], model: &ModelId) -> Option<(UnitHash, Vector)> {
    let (body, check) = record.split_at_checked(record.len().checked_sub(CHECKSUM_BYTES)?)?;
    if seal.digest::<CHECKSUM_BYTES>(&[header, body]) != check {
        return None;
    }
    let (hash, vector) = body.split_first_chunk::<16>()?;
    let vector = Vector::from_bytes(vector).ok().filter(|vector| vector.dimension() == model.dimension())?;
    Some((UnitHash::from_bytes(*hash), vector))
}

/// The file, behind its header; none if it is not one of this model, or too large.
fn open(dir: &BankDir, model: &ModelId, header: &[u8]) -> Option<File> {
    let mut file = dir.open_internal(FILE, false).ok()?;
    let mut found = vec![0; HEADER_BYTES];
    file.read_exact(&mut found).ok()?;
    let is_ours = found == header && file.metadata().ok()?.len() <= MAX_BYTES;
    (is_ours && model.dimension() > 0).then_some(file)
}

/// How large the file is, in bytes; 0 if there is none.
pub(super) fn size(dir: &BankDir) -> u64 {
    let size = dir.open_internal(FILE, false).and_then(|file| file.metadata());
    size.map_or(0, |metadata| metadata.len())
}

/// Whether there is a file that is another model's or another user's, or none that can be used.
pub(super) fn is_foreign(dir: &BankDir, seal: &Seal, model: &ModelId) -> bool {
    size(dir) > 0 && open(dir, model, &header_of(seal, model)).is_none()
}

/// Replaces the file by one without a vector. The caller holds the lock.
pub(super) fn clear(dir: &BankDir, _lock: &WriteLock, seal: &Seal, model: &ModelId) -> io::Result<()> {
    dir.replace_own(&format!("{INTERNAL}/{FILE}"), &header_of(seal, model))
}

/// Gives each vector of this model to `take`, a thousand at a time, and returns the number of records.
pub(super) fn read<E: From<io::Error>>(
    dir: &BankDir,
    seal: &Seal,
    model: &ModelId,
    mut take: impl FnMut(Vec<(UnitHash, Vector)>) -> Result<(), E>,
) -> Result<usize, E> {
    let header = header_of(seal, model);
    let Some(file) = open(dir, model, &header) else { return Ok(0) };
    let size = record_bytes(model);
    let mut file = io::BufReader::with_capacity(1024 * 1024, file);
    let (mut record, mut records, mut page) = (vec![0; size], 0, Vec::new());
    // A record that is not whole is one that is being written, or was when a process ended.
    while file.read_exact(&mut record).is_ok() {
        records += 1;
        page.extend(parse(seal, &header, &record, model));
        if page.len() >= 1000 {
            take(std::mem::take(&mut page))?;
        }
    }
    take(page)?;
    Ok(records)
}

/// Adds vectors. The caller holds the lock. False when the file is full.
pub(super) fn append(
    dir: &BankDir,
    _lock: &WriteLock,
    seal: &Seal,
    model: &ModelId,
    vectors: &[(UnitHash, Vector)],
) -> io::Result<bool> {
    let header = header_of(seal, model);
    if open(dir, model, &header).is_none() {
        // Another model's, a broken one or none: whole or not at all, and never through a link.
        dir.replace_own(&format!("{INTERNAL}/{FILE}"), &header)?;
    }
    let mut file = dir.open_internal(FILE, true)?;
    let size = record_bytes(model) as u64;
    let length = file.metadata()?.len();
    // Records after a half-written one would not be found.
    let end = length - (length.saturating_sub(HEADER_BYTES as u64)) % size;
    if end + size * vectors.len() as u64 > MAX_BYTES {
        return Ok(false);
    }
    file.set_len(end)?;
    file.seek(SeekFrom::Start(end))?;
    let records: Vec<u8> =
        vectors.iter().flat_map(|(hash, vector)| record_of(seal, &header, hash, vector)).collect();
    file.write_all(&records)?;
    file.sync_data()?;
    Ok(true)
}

/// Rewrites the file without the vectors of texts that do not exist any more, if they are many. The caller holds the lock.
pub(super) fn compact(
    dir: &BankDir,
    _lock: &WriteLock,
    seal: &Seal,
    model: &ModelId,
    is_used: impl Fn(&UnitHash) -> bool,
    records: usize,
    used: usize,
) -> io::Result<()> {
    let unused = records.saturating_sub(used);
    if unused < MIN_UNUSED || unused < used {
        return Ok(());
    }
    let header = header_of(seal, model);
    let mut content = header.clone();
    read::<io::Error>(dir, seal, model, |page| {
        let kept = page.iter().filter(|(hash, _)| is_used(hash));
        kept.for_each(|(hash, vector)| content.extend(record_of(seal, &header, hash, vector)));
        Ok(())
    })?;
    dir.replace_own(&format!("{INTERNAL}/{FILE}"), &content)
}
