//! Writers on both stores, and kill -9 at moments by chance: of servers, of PostgreSQL, of Redis. After each kill every
//! acknowledged write is there once, and every other once or not at all, as a whole.

mod database;
mod folder;
mod ledger;
mod stdio;
mod writers;

use self::ledger::{Counts, KINDS};
use crate::harness::number;
use crate::harness::random::Random;

/// How many kills there are on each store when all tests run.
const SHORT: u64 = 5;
/// The seed when none is given.
const SEED: u64 = 20_261_126;

/// Half of the kills that were asked for, and the seed.
fn half() -> (usize, u64) {
    let kills = number("MEMORY_BANK_CAMPAIGN_KILLS", SHORT * 2).div_ceil(2);
    (usize::try_from(kills).unwrap(), number("MEMORY_BANK_CAMPAIGN_SEED", SEED))
}

/// A run in which a kind of writes never succeeded shows nothing of it.
fn enough(counts: &Counts) {
    for kind in KINDS {
        assert!(counts.acknowledged.contains_key(&kind), "no {kind:?} was acknowledged: {counts}");
    }
}

#[test]
fn no_write_to_a_folder_is_lost_or_doubled_by_kills() {
    let (kills, seed) = half();
    let counts = folder::run(kills, &mut Random::new(seed));
    println!("a folder, {kills} kills, seed {seed}: {counts}");
    enough(&counts);
}

#[test]
fn no_write_to_postgresql_is_lost_or_doubled_by_kills() {
    let (kills, seed) = half();
    let (counts, by_kind) = database::run(kills, &mut Random::new(seed));
    println!("PostgreSQL, {kills} kills {by_kind:?}, seed {seed}: {counts}");
    enough(&counts);
}
