//! Kills servers, PostgreSQL and Redis at random moments while writers write to both stores. After each kill every
//! acknowledged write exists exactly once, and every other one once or not at all, never in part.

mod acknowledged_writes;
mod database;
mod flushed;
mod folder;
mod writers;

use self::acknowledged_writes::{Counts, KINDS};
use crate::harness::number;
use crate::harness::random::Random;

/// The number of kills on each store in a normal test run.
const SHORT: u64 = 5;
/// The default seed.
const SEED: u64 = 20_261_126;

/// Half of the requested kills, and the seed.
fn half() -> (usize, u64) {
    let kills = number("MEMORY_BANK_CAMPAIGN_KILLS", SHORT * 2).div_ceil(2);
    (usize::try_from(kills).unwrap(), number("MEMORY_BANK_CAMPAIGN_SEED", SEED))
}

/// A run in which a kind of write never succeeded proves nothing about it.
fn enough(counts: &Counts) {
    for kind in KINDS {
        assert!(counts.acknowledged.contains_key(&kind), "no {kind:?} was acknowledged: {counts}");
    }
}

#[test]
fn kills_neither_lose_nor_duplicate_writes_to_a_folder() {
    let (kills, seed) = half();
    let counts = folder::run(kills, &mut Random::new(seed));
    println!("a folder, {kills} kills, seed {seed}: {counts}");
    enough(&counts);
}

#[test]
fn kills_neither_lose_nor_duplicate_writes_to_postgresql() {
    let (kills, seed) = half();
    let (counts, by_kind) = database::run(kills, &mut Random::new(seed));
    println!("PostgreSQL, {kills} kills {by_kind:?}, seed {seed}: {counts}");
    enough(&counts);
}
