//! Letters and digits of all scripts. The standard library searches a list of ranges for each character, which takes ten times
//! longer in Thai or Hindi than in English; here the answers for a block of characters are kept once one of them is asked for.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The blocks, of 64 characters each, of the scripts in use; emoji and historic scripts are above them.
const BLOCKS: usize = 1024;

// Apart from the classes: a static value of zeros takes no room in the program.
static ALPHABETIC_BLOCKS: [Block; BLOCKS] = [const { Block::empty() }; BLOCKS];
static ALPHANUMERIC_BLOCKS: [Block; BLOCKS] = [const { Block::empty() }; BLOCKS];
static ALPHABETIC: Class = Class { blocks: &ALPHABETIC_BLOCKS, has_property: char::is_alphabetic };
static ALPHANUMERIC: Class = Class { blocks: &ALPHANUMERIC_BLOCKS, has_property: char::is_alphanumeric };

/// As [`char::is_alphabetic`].
pub(crate) fn is_alphabetic(character: char) -> bool {
    if character.is_ascii() { character.is_ascii_alphabetic() } else { ALPHABETIC.contains(character) }
}

/// As [`char::is_alphanumeric`].
pub(crate) fn is_alphanumeric(character: char) -> bool {
    if character.is_ascii() { character.is_ascii_alphanumeric() } else { ALPHANUMERIC.contains(character) }
}

/// The characters with a property, in blocks that are filled when they are needed.
struct Class {
    blocks: &'static [Block; BLOCKS],
    has_property: fn(char) -> bool,
}

struct Block {
    is_filled: AtomicBool,
    members: AtomicU64,
}

impl Block {
    const fn empty() -> Self {
        Self { is_filled: AtomicBool::new(false), members: AtomicU64::new(0) }
    }
}

impl Class {
    fn contains(&self, character: char) -> bool {
        let code = u32::from(character);
        let block = usize::try_from(code / u64::BITS).ok().and_then(|at| self.blocks.get(at));
        let Some(block) = block else { return (self.has_property)(character) };
        let members = if block.is_filled.load(Ordering::Acquire) {
            block.members.load(Ordering::Relaxed)
        } else {
            let members = self.members(code / u64::BITS);
            block.members.store(members, Ordering::Relaxed);
            block.is_filled.store(true, Ordering::Release);
            members
        };
        members >> (code % u64::BITS) & 1 == 1
    }

    fn members(&self, block: u32) -> u64 {
        let has = |at: &u32| char::from_u32(block * u64::BITS + at).is_some_and(self.has_property);
        (0..u64::BITS).filter(has).fold(0, |members, at| members | 1 << at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_has_the_class_that_the_standard_library_gives_it() {
        for _ in 0..2 {
            for character in '\0'..=char::MAX {
                assert_eq!(is_alphabetic(character), character.is_alphabetic(), "{character:?}");
                assert_eq!(is_alphanumeric(character), character.is_alphanumeric(), "{character:?}");
            }
        }
    }
}
