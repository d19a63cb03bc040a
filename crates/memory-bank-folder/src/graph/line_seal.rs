//! The seal on lines of the graph's log: its last member, which other programs ignore. It shows that this user's program wrote the
//! line into this bank. The key is the user's, and is not in the bank; the bank's part is a random id in the server's own folder, which
//! is not shared and has a seal of its own, so that no repository brings an id along: nobody can copy a line that is known from a
//! repository into another bank. A line also has the beginning of the seal of the line before it, so that a line that is repeated or moved
//! within its bank is recognised, and that one before it is missing.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};

use memory_bank_core::clock::Entropy;
use memory_bank_core::graph::event::{Line, read_line};
use sha2::{Digest, Sha256};

use super::pieces::hex;
use crate::dir::BankDir;
use crate::search::Seal;

/// The file with the bank's id.
const ID_FILE: &str = "graph-seal.id";
const ID_BYTES: usize = 16;
const SEALED: &[u8; 8] = b"mbgraph\x01";
/// The purpose in the seal of the id; that seal has as many bytes as the id.
const SEALED_ID: &[u8; 8] = b"mbbank.\x01";
/// The purpose in the key of the records of documents.
const SEALED_RECORDS: &[u8; 8] = b"mbrecs.\x01";
/// How the member begins and ends.
const MEMBER: &[u8] = br#","seal":""#;
const END: &[u8] = br#""}"#;
/// The length of the seal in hexadecimal digits.
const DIGITS: usize = 32;
/// The member before the seal. Its value is the first [`AFTER_DIGITS`] digits of the seal of the line before; empty in the first
/// sealed line.
const AFTER: &[u8] = br#","after":""#;
const AFTER_DIGITS: usize = 16;
/// The most bytes that a seal adds to a line.
pub(super) const SEAL_BYTES: usize = AFTER.len() + AFTER_DIGITS + 1 + MEMBER.len() + DIGITS + 1;
/// How a line begins that stands for one which an owner erased.
const ERASED: &[u8] = br#"{"type":"line_erased""#;
/// The bytes at the end of a log that are searched first for its last sealed line.
const TAIL_BYTES: u64 = 4 * 1024;

/// The beginning of the seal of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Mark(u64);

impl Mark {
    fn of_digits(digits: &[u8]) -> Option<Self> {
        let digits = std::str::from_utf8(digits.get(..AFTER_DIGITS)?).ok()?;
        u64::from_str_radix(digits, 16).ok().map(Self)
    }
}

/// What a valid seal shows of its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sealed {
    /// Its own.
    pub(super) mark: Mark,
    /// That of the line before: none of a line of an earlier program, `Some(None)` of the first line.
    pub(super) after: Option<Option<Mark>>,
}

/// What seals lines of one bank.
#[derive(Debug, Clone)]
pub(crate) struct LineSeal {
    key: Seal,
    bank: [u8; ID_BYTES],
}

impl LineSeal {
    /// The seal of a bank that has one. Blocks.
    pub(crate) fn of_bank(dir: &BankDir, key: &Seal) -> io::Result<Option<Self>> {
        let mut bytes = Vec::new();
        let Some(file) = dir.find_history(ID_FILE)? else { return Ok(None) };
        file.take(2 * ID_BYTES as u64 + 1).read_to_end(&mut bytes)?;
        let Some((id, seal)) = bytes.split_first_chunk::<ID_BYTES>() else { return Ok(None) };
        let is_own = *seal == Self::seal_of_id(key, id);
        Ok(is_own.then(|| Self { key: key.clone(), bank: *id }))
    }

    /// The seal of a bank, which gets one if it has none. The caller holds the bank's lock. Blocks.
    pub(crate) fn for_writing(dir: &BankDir, key: &Seal, entropy: &dyn Entropy) -> io::Result<Self> {
        if let Some(found) = Self::of_bank(dir, key)? {
            return Ok(found);
        }
        let bank = entropy.id().into_bytes();
        dir.open_history(ID_FILE, true)?;
        dir.replace_history(ID_FILE, &[bank, Self::seal_of_id(key, &bank)].concat())?;
        dir.sync_history()?;
        Ok(Self { key: key.clone(), bank })
    }

    /// The key that seals records of the history of documents in this bank: a file of another bank has another one.
    pub(crate) fn for_records(&self) -> Seal {
        self.key.derived(&[SEALED_RECORDS, &self.bank])
    }

    fn seal_of_id(key: &Seal, id: &[u8; ID_BYTES]) -> [u8; ID_BYTES] {
        key.digest(&[SEALED_ID, id])
    }

    /// Adds the seal to the line that these bytes end with: an object with members, and a line feed. `last`: the sealed line before it,
    /// in whose place comes this one.
    pub(super) fn seal(&self, last: &mut Option<Mark>, line_start: usize, out: &mut Vec<u8>) {
        let is_line = out.get(line_start..).is_some_and(|line| line.ends_with(b"}\n"));
        if !is_line {
            return;
        }
        out.truncate(out.len() - 2);
        out.extend_from_slice(AFTER);
        if let Some(Mark(mark)) = last {
            out.extend_from_slice(format!("{mark:016x}").as_bytes());
        }
        out.push(b'"');
        let digits = self.digits(out.get(line_start..).unwrap_or_default());
        *last = Mark::of_digits(digits.as_bytes());
        out.extend_from_slice(MEMBER);
        out.extend_from_slice(digits.as_bytes());
        out.extend_from_slice(END);
        out.push(b'\n');
    }

    /// Seals each of these lines except the marker. They are the first lines of a log.
    pub(super) fn seal_all(&self, lines: &[u8]) -> Vec<u8> {
        let (mut sealed, mut last) = (Vec::with_capacity(lines.len()), None);
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            let start = sealed.len();
            sealed.extend_from_slice(line);
            if read_line(line) != Line::Marker {
                self.seal(&mut last, start, &mut sealed);
            }
        }
        sealed
    }

    /// What the seal of a line shows; none without a valid one.
    pub(super) fn of_line(&self, line: &[u8]) -> Option<Sealed> {
        let rest = line.trim_ascii().strip_suffix(END)?;
        let (rest, digits) = rest.split_at_checked(rest.len().checked_sub(DIGITS)?)?;
        let line = rest.strip_suffix(MEMBER)?;
        if self.digits(line).as_bytes() != digits {
            return None;
        }
        Some(Sealed { mark: Mark::of_digits(digits)?, after: after_of(line) })
    }

    /// The last sealed line of a log. Blocks.
    pub(super) fn last_of(&self, log: &mut File) -> io::Result<Option<Mark>> {
        let length = log.metadata()?.len();
        let mut searched = TAIL_BYTES;
        loop {
            let start = length.saturating_sub(searched);
            log.seek(SeekFrom::Start(start))?;
            let mut bytes = Vec::new();
            Read::take(&mut *log, length - start).read_to_end(&mut bytes)?;
            let mut lines = bytes.split(|byte| *byte == b'\n').rev();
            if let Some(found) = lines.find_map(|line| self.of_line(line)) {
                return Ok(Some(found.mark));
            }
            if start == 0 {
                return Ok(None);
            }
            searched = searched.saturating_mul(16);
        }
    }

    /// A line in the place of an erased one; nothing in the place of one without a seal.
    pub(super) fn erased(&self, line: &[u8], out: &mut Vec<u8>) {
        let Some(Sealed { mark: Mark(mark), .. }) = self.of_line(line) else { return };
        let start = out.len();
        out.extend_from_slice(ERASED);
        out.extend_from_slice(format!(",\"was\":\"{mark:016x}\"}}\n").as_bytes());
        // It proves no order: the line that it stands for does.
        let digits = self.digits(out.get(start..out.len() - 2).unwrap_or_default());
        out.truncate(out.len() - 2);
        out.extend_from_slice(MEMBER);
        out.extend_from_slice(digits.as_bytes());
        out.extend_from_slice(END);
        out.push(b'\n');
    }

    /// The digits of the seal of a line, which has neither seal nor closing brace yet.
    fn digits(&self, line: &[u8]) -> String {
        let line: [u8; 32] = Sha256::digest(line.trim_ascii_start()).into();
        hex(&self.key.digest::<{ DIGITS / 2 }>(&[SEALED, &self.bank, &line]))
    }
}

/// The mark in the member that a sealed line ends with: none without such a member, `Some(None)` if it is empty.
fn after_of(line: &[u8]) -> Option<Option<Mark>> {
    let rest = line.strip_suffix(b"\"")?;
    if rest.ends_with(AFTER) {
        return Some(None);
    }
    let (rest, digits) = rest.split_at_checked(rest.len().checked_sub(AFTER_DIGITS)?)?;
    rest.ends_with(AFTER).then(|| Mark::of_digits(digits)).flatten().map(Some)
}

/// The order of the sealed lines of a piece of the history. Lines that git brought together from two branches are all in order: each
/// follows its own predecessor.
#[derive(Debug, Default)]
pub(super) struct Order {
    seen: HashSet<Mark>,
    /// Lines that another one followed before they came.
    late: HashSet<Mark>,
    is_chained: bool,
}

impl Order {
    /// Whether the next line is where this program wrote it: it is no repetition, the line before it was there, and no line that
    /// followed it came first.
    #[cfg(test)]
    fn has(&mut self, seal: &LineSeal, line: &[u8]) -> bool {
        self.own(seal, line).is_some()
    }

    /// The beginning of the seal of the next line if it is where this program wrote it.
    pub(super) fn own(&mut self, seal: &LineSeal, line: &[u8]) -> Option<Mark> {
        let Sealed { mark, after } = seal.of_line(line)?;
        if line.starts_with(ERASED) {
            if let Some(was) = erased_mark(line) {
                self.seen.insert(was);
            }
            return None;
        }
        let follows = match after {
            // An earlier program sealed no order. Its lines come first.
            None => !self.is_chained,
            Some(None) => !self.is_chained && self.seen.is_empty(),
            Some(Some(after)) => {
                let is_there = self.seen.contains(&after);
                if !is_there {
                    self.late.insert(after);
                }
                is_there
            }
        };
        self.is_chained |= after.is_some();
        let is_late = self.late.contains(&mark);
        (self.seen.insert(mark) && follows && !is_late).then_some(mark)
    }

    /// All sealed lines.
    pub(super) fn into_seen(self) -> HashSet<Mark> {
        self.seen
    }
}

/// The mark of the line that was erased.
fn erased_mark(line: &[u8]) -> Option<Mark> {
    let rest = line.strip_prefix(ERASED)?.strip_prefix(br#","was":""#)?;
    Mark::of_digits(rest)
}

#[cfg(test)]
mod tests {
    use memory_bank_core::clock::SystemEntropy;

    use super::*;

    const LINE: &str = r#"{"type":"entity_delete","entityId":"ent_one","ts":"2026-11-27T09:00:00.000Z"}"#;

    fn seal() -> LineSeal {
        LineSeal { key: Seal::new(&SystemEntropy), bank: [1; ID_BYTES] }
    }

    #[test]
    fn a_seal_is_valid_in_its_bank_for_its_line_and_its_user() {
        let seal = seal();
        let is_on = |seal: &LineSeal, line: &[u8]| seal.of_line(line).is_some();
        let mut sealed = b"before\n".to_vec();
        let start = sealed.len();
        sealed.extend_from_slice(LINE.as_bytes());
        sealed.push(b'\n');
        seal.seal(&mut None, start, &mut sealed);
        let sealed = &sealed[start..];
        assert_eq!(sealed.len(), LINE.len() + 1 + AFTER.len() + 1 + MEMBER.len() + DIGITS + 1);
        assert!(is_on(&seal, sealed));
        // Another end of lines, and blanks around it, are no change.
        assert!(is_on(&seal, &[b" ", sealed.trim_ascii_end(), b"\r\n"].concat()));
        assert!(matches!(read_line(sealed), Line::Event(_)));
        assert!(!is_on(&seal, LINE.as_bytes()));
        assert!(!is_on(&LineSeal { bank: [2; ID_BYTES], ..seal.clone() }, sealed));
        assert!(!is_on(&LineSeal { key: Seal::new(&SystemEntropy), ..seal.clone() }, sealed));
        let other = String::from_utf8(sealed.to_vec()).unwrap().replace("ent_one", "ent_two");
        assert!(!is_on(&seal, other.as_bytes()));
    }

    /// Lines that differ, sealed one after the other; after a line that has this mark.
    fn chain(seal: &LineSeal, last: &mut Option<Mark>, names: &str) -> Vec<String> {
        let sealed = |name: char| {
            let mut line = format!("{}\n", LINE.replace("one", &name.to_string())).into_bytes();
            seal.seal(last, 0, &mut line);
            String::from_utf8(line).unwrap()
        };
        names.chars().map(sealed).collect()
    }

    fn owned(seal: &LineSeal, lines: &[&String]) -> Vec<bool> {
        let mut order = Order::default();
        lines.iter().map(|line| order.has(seal, line.as_bytes())).collect()
    }

    #[test]
    fn a_line_that_is_repeated_moved_or_without_its_predecessor_is_not_where_it_was_written() {
        let seal = seal();
        let lines = chain(&seal, &mut None, "abcde");
        let [a, b, c, d, e] = &lines[..] else { panic!("five lines") };
        assert_eq!(owned(&seal, &[a, b, c, d, e]), [true; 5]);
        assert_eq!(owned(&seal, &[a, b, a, b, c, d]), [true, true, false, false, true, true], "repeated");
        assert_eq!(owned(&seal, &[a, b, d, e]), [true, true, false, true], "c is missing");
        assert_eq!(owned(&seal, &[a, c, b, d]), [true, false, false, true], "moved forward or back");
        assert_eq!(owned(&seal, &[a, c, d, b, e]), [true, false, true, false, true], "moved back");
        assert_eq!(owned(&seal, &[b, a, c]), [false, false, true], "the first one is another");
        // Another program's lines in between change nothing.
        let foreign = format!("{LINE}\n");
        assert_eq!(owned(&seal, &[&foreign, a, &foreign, b]), [false, true, false, true]);
    }

    #[test]
    fn lines_of_two_branches_of_an_earlier_program_and_erased_ones_keep_the_order_of_the_others() {
        let seal = seal();
        let mut fork = None;
        let trunk = chain(&seal, &mut fork, "ab");
        let (one, other) = (chain(&seal, &mut fork.clone(), "cd"), chain(&seal, &mut fork, "ef"));
        let merged: Vec<&String> = trunk.iter().chain(&one).chain(&other).collect();
        assert_eq!(owned(&seal, &merged), [true; 6]);
        // Sealed without an order, as before: they come first.
        let former = |name: &str| {
            let line = LINE.replace("one", name);
            let digits = seal.digits(line.strip_suffix('}').unwrap().as_bytes());
            format!("{},\"seal\":\"{digits}\"}}\n", line.strip_suffix('}').unwrap())
        };
        let (first, second) = (former("x"), former("y"));
        let mut last = seal.of_line(second.as_bytes()).map(|sealed| sealed.mark);
        let next = chain(&seal, &mut last, "gh");
        assert_eq!(owned(&seal, &[&first, &second, &next[0], &next[1]]), [true; 4]);
        assert_eq!(
            owned(&seal, &[&first, &second, &next[0], &first, &next[1]]),
            [true, true, true, false, true]
        );
        // The place of an erased line.
        let mut erased = Vec::new();
        seal.erased(one[0].as_bytes(), &mut erased);
        let erased = String::from_utf8(erased).unwrap();
        assert_eq!(owned(&seal, &[&trunk[0], &trunk[1], &erased, &one[1]]), [true, true, false, true]);
        let planted = erased.replace("line_erased", "line_erasee");
        assert_eq!(owned(&seal, &[&trunk[0], &trunk[1], &planted, &one[1]]), [true, true, false, false]);
    }

    #[test]
    fn the_last_sealed_line_of_a_log_is_found_behind_many_others() {
        let seal = seal();
        let lines = chain(&seal, &mut None, "ab");
        let mut file = tempfile::tempfile().unwrap();
        assert_eq!(seal.last_of(&mut file).unwrap(), None);
        io::Write::write_all(&mut file, lines.concat().as_bytes()).unwrap();
        let last = seal.of_line(lines[1].as_bytes()).map(|sealed| sealed.mark);
        assert_eq!(seal.last_of(&mut file).unwrap(), last);
        io::Write::write_all(&mut file, format!("{LINE}\n").repeat(5000).as_bytes()).unwrap();
        assert_eq!(seal.last_of(&mut file).unwrap(), last);
    }
}
