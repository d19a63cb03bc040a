//! The key of the records of one bank. Records that an earlier program sealed for all banks of its user get the seal of their bank at
//! the first write, once: afterwards such a record came from elsewhere.

use std::io;

use memory_bank_core::clock::Entropy;

use crate::dir::BankDir;
use crate::graph::LineSeal;
use crate::history::file::HistoryFile;
use crate::history::record::{ENDING, put};
use crate::history::thin::MAX_FILES;
use crate::search::Seal;

/// Shows that the records of a bank have its seal.
const FILE: &str = "records.id";
const SEALED: &[u8; 8] = b"mbbound\x01";
const SEAL: usize = 16;

/// The key of a bank, with the user's; none if nothing of the bank was sealed. Blocks.
pub(crate) fn seal_to_read(dir: &BankDir, key: &Seal) -> io::Result<Option<Seal>> {
    Ok(LineSeal::of_bank(dir, key)?.map(|seal| seal.for_records()))
}

/// The key of a bank, with the user's; created if the bank has none. The caller holds the bank's lock. Blocks.
pub(crate) fn seal_for_writing(dir: &BankDir, key: &Seal, entropy: &dyn Entropy) -> io::Result<Seal> {
    let seal = LineSeal::for_writing(dir, key, entropy)?.for_records();
    let mark: [u8; SEAL] = seal.digest(&[SEALED]);
    if is_marked(dir, &mark)? {
        return Ok(seal);
    }
    for (name, _) in dir.history_files(MAX_FILES, ENDING)? {
        if let Err(error) = bind(dir, name.clone(), key, &seal) {
            tracing::warn!(name, %error, "the versions of a file of the history stay foreign");
        }
    }
    dir.replace_history(FILE, &mark)?;
    Ok(seal)
}

fn is_marked(dir: &BankDir, mark: &[u8; SEAL]) -> io::Result<bool> {
    let mut found = Vec::new();
    let Some(file) = dir.find_history(FILE)? else { return Ok(false) };
    io::Read::read_to_end(&mut io::Read::take(file, 2 * SEAL as u64), &mut found)?;
    Ok(found == mark)
}

/// Seals the records of a file for its bank, unless some are sealed so already.
fn bind(dir: &BankDir, name: String, key: &Seal, seal: &Seal) -> io::Result<()> {
    let mut file = HistoryFile::open_named(dir, name, Some(key), false)?;
    let former = file.contents(Some(key))?;
    let is_bound = file.contents(Some(seal))?.records.iter().any(|record| record.is_own);
    if is_bound || former.records.iter().all(|record| !record.is_own) {
        return Ok(());
    }
    let (old, mut new) = (file.bytes()?, Vec::new());
    for record in &former.records {
        put(record, &old, &file.name, seal, &mut new).map_err(io::Error::other)?;
    }
    let name = file.into_name();
    dir.replace_history(&name, &new)
}

#[cfg(test)]
mod tests {
    use memory_bank_core::clock::SystemEntropy;
    use memory_bank_core::document::DocumentPath;
    use tempfile::TempDir;

    use super::*;
    use crate::history::record::tests::{NAME, record};

    fn append(dir: &BankDir, number: i64, seal: &Seal) {
        let path = DocumentPath::parse(NAME).unwrap();
        let mut file = HistoryFile::open(dir, &path, Some(seal), true).unwrap();
        file.append(record(number), seal).unwrap();
    }

    fn owned(dir: &BankDir, seal: &Seal) -> Vec<bool> {
        let path = DocumentPath::parse(NAME).unwrap();
        let mut file = HistoryFile::open(dir, &path, Some(seal), false).unwrap();
        file.contents(Some(seal)).unwrap().records.iter().map(|record| record.is_own).collect()
    }

    #[test]
    fn records_of_an_earlier_program_get_the_seal_of_their_bank_once() {
        let key = Seal::new(&SystemEntropy);
        let banks = [TempDir::new().unwrap(), TempDir::new().unwrap()];
        let [one, other] = banks.each_ref().map(|bank| BankDir::open(bank.path()).unwrap());
        append(&one, 1, &key);
        append(&one, 2, &key);
        assert!(seal_to_read(&one, &key).unwrap().is_none());
        let seal = seal_for_writing(&one, &key, &SystemEntropy).unwrap();
        assert_eq!(owned(&one, &seal), [true, true]);
        append(&one, 3, &seal);
        assert_eq!(owned(&one, &seal_to_read(&one, &key).unwrap().unwrap()), [true, true, true]);
        // What comes later from elsewhere stays foreign, in the old form and in the new one.
        let (others, file) = (seal_for_writing(&other, &key, &SystemEntropy).unwrap(), file_of(&one));
        for sealed in [&key, &others] {
            one.replace_history(&file, b"").unwrap();
            append(&one, 1, sealed);
            seal_for_writing(&one, &key, &SystemEntropy).unwrap();
            assert_eq!(owned(&one, &seal), [false]);
        }
    }

    fn file_of(dir: &BankDir) -> String {
        dir.history_files(MAX_FILES, ENDING).unwrap().pop().unwrap().0
    }
}
