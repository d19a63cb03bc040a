//! The difference between a text and the next one, stored so that the former text can be made of the later one.

use crate::limits;

/// A step back: what an edit replaced, and where. Text that the edit left at the beginning and at the end is not
/// repeated, so the step of an append has no text at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delta {
    /// The bytes at the beginning that both texts share.
    start: usize,
    /// The bytes at the end that both texts share.
    end: usize,
    /// The bytes of the former text between them.
    former: String,
}

/// A delta that does not belong to this text, or whose stored form is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stored difference does not fit the text")]
pub struct DamagedDelta;

impl Delta {
    /// The smallest step back from `after` to `before`.
    #[must_use]
    pub fn between(before: &str, after: &str) -> Self {
        let mut start = common_prefix(before.as_bytes(), after.as_bytes());
        while !(before.is_char_boundary(start) && after.is_char_boundary(start)) {
            start -= 1;
        }
        let (rest, other) = (tail(before, start), tail(after, start));
        let mut end = common_suffix(rest.as_bytes(), other.as_bytes());
        while !(rest.is_char_boundary(rest.len() - end) && other.is_char_boundary(other.len() - end)) {
            end -= 1;
        }
        let former = rest.get(..rest.len() - end).unwrap_or_default().to_owned();
        Self { start, end, former }
    }

    /// The former text as a whole, which needs no later one.
    #[must_use]
    pub fn whole(before: &str) -> Self {
        Self { start: 0, end: 0, former: before.to_owned() }
    }

    /// The step back from version `number` to the one before it, as it is stored: the former text as a whole at every
    /// [`limits::VERSIONS_TO_WHOLE`]th version, and if a large part of the text is replaced. So a text is rebuilt of a
    /// bounded number of steps and bytes.
    #[must_use]
    pub fn of_version(number: i64, before: &str, after: &str) -> Self {
        if number % limits::VERSIONS_TO_WHOLE == 0 {
            return Self::whole(before);
        }
        let delta = Self::between(before, after);
        let is_large = delta.former.len() > before.len() / limits::DELTA_PART;
        if is_large && delta.former.len() > limits::DELTA_BYTES { Self::whole(before) } else { delta }
    }

    /// Whether the former text needs no later one.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.start == 0 && self.end == 0
    }

    /// The bytes at the beginning that both texts share.
    #[must_use]
    pub fn start(&self) -> usize {
        self.start
    }

    /// The bytes at the end that both texts share.
    #[must_use]
    pub fn end(&self) -> usize {
        self.end
    }

    /// The bytes of the former text between them.
    #[must_use]
    pub fn former(&self) -> &str {
        &self.former
    }

    /// From its parts, as a store has them.
    #[must_use]
    pub fn from_parts(start: usize, end: usize, former: String) -> Self {
        Self { start, end, former }
    }

    /// The bytes of former text that are stored.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.former.len()
    }

    /// The former text, from the later one.
    ///
    /// # Errors
    /// The delta belongs to another text.
    pub fn undo(&self, after: &str) -> Result<String, DamagedDelta> {
        if self.is_whole() {
            return Ok(self.former.clone());
        }
        let from =
            after.len().checked_sub(self.end).filter(|from| *from >= self.start).ok_or(DamagedDelta)?;
        let start = after.get(..self.start).ok_or(DamagedDelta)?;
        let end = after.get(from..).ok_or(DamagedDelta)?;
        Ok([start, &self.former, end].concat())
    }

    /// The stored form: two numbers in groups of seven bits, lowest first, then the former bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.former.len() + 8);
        push_number(&mut bytes, self.start);
        push_number(&mut bytes, self.end);
        bytes.extend_from_slice(self.former.as_bytes());
        bytes
    }

    /// From the stored form.
    ///
    /// # Errors
    /// The bytes are not a stored form.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DamagedDelta> {
        let (start, rest) = take_number(bytes)?;
        let (end, rest) = take_number(rest)?;
        let former = std::str::from_utf8(rest).map_err(|_| DamagedDelta)?.to_owned();
        Ok(Self { start, end, former })
    }
}

fn tail(text: &str, start: usize) -> &str {
    text.get(start..).unwrap_or_default()
}

/// Slices are compared by the system's fast function, bytes only within the first slice that differs.
const SLICE: usize = 512;

fn common_prefix(one: &[u8], other: &[u8]) -> usize {
    let slices = one.chunks_exact(SLICE).zip(other.chunks_exact(SLICE));
    let same = slices.take_while(|(one, other)| one == other).count() * SLICE;
    let rest = one.iter().skip(same).zip(other.iter().skip(same));
    same + rest.take_while(|(one, other)| one == other).count()
}

fn common_suffix(one: &[u8], other: &[u8]) -> usize {
    let slices = one.rchunks_exact(SLICE).zip(other.rchunks_exact(SLICE));
    let same = slices.take_while(|(one, other)| one == other).count() * SLICE;
    let rest = one.iter().rev().skip(same).zip(other.iter().rev().skip(same));
    same + rest.take_while(|(one, other)| one == other).count()
}

fn push_number(bytes: &mut Vec<u8>, mut number: usize) {
    loop {
        let group = u8::try_from(number & 0x7f).unwrap_or_default();
        number >>= 7;
        if number == 0 {
            bytes.push(group);
            return;
        }
        bytes.push(group | 0x80);
    }
}

fn take_number(bytes: &[u8]) -> Result<(usize, &[u8]), DamagedDelta> {
    let mut number: u64 = 0;
    // Five groups hold every length of a document.
    for (at, byte) in bytes.iter().take(5).enumerate() {
        number |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            let number = usize::try_from(number).map_err(|_| DamagedDelta)?;
            return Ok((number, bytes.get(at + 1..).unwrap_or_default()));
        }
    }
    Err(DamagedDelta)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_step_back_of_an_append_has_no_text() {
        let log = "- an entry\n".repeat(40_000);
        let delta = Delta::of_version(7, &log, &format!("{log}- one more\n"));
        assert_eq!(delta.bytes(), 0);
        assert!(delta.to_bytes().len() < 10, "{}", delta.to_bytes().len());
    }

    #[test]
    fn a_replaced_range_keeps_its_former_bytes_and_characters_stay_whole() {
        let delta = Delta::between("one é two", "one è two");
        assert_eq!(delta, Delta { start: 4, end: 4, former: "é".to_owned() });
        assert_eq!(delta.undo("one è two").unwrap(), "one é two");
    }

    #[test]
    fn the_former_text_is_stored_whole_every_so_often_and_after_large_changes() {
        let (before, after) = ("a\n".repeat(2000), format!("{}b\n", "a\n".repeat(2000)));
        assert!(Delta::of_version(limits::VERSIONS_TO_WHOLE, &before, &after).is_whole());
        assert!(!Delta::of_version(limits::VERSIONS_TO_WHOLE + 1, &before, &after).is_whole());
        let rewritten = format!("a\n{}", "c\n".repeat(1999));
        assert!(Delta::of_version(2, &before, &rewritten).is_whole());
    }

    #[test]
    fn a_delta_of_another_text_is_refused() {
        let delta = Delta::between("a long text", "a very long text");
        assert_eq!(delta.undo("a"), Err(DamagedDelta));
        assert_eq!(Delta::from_bytes(&[0x80]), Err(DamagedDelta));
        assert_eq!(Delta::from_bytes(&[0x80; 12]), Err(DamagedDelta));
        assert_eq!(Delta::from_bytes(&[0, 0, 0xff]), Err(DamagedDelta));
    }
}
