//! Many clients on one bank, while servers, databases and connections fail: is there an order in which each reply is right? Every
//! client's calls are recorded with the times of the call and of the reply, and a checker looks for that order, document by
//! document: no acknowledged write is missing, no read is older than one that ended before it began, nothing is done twice.

mod checker;
mod clock;
mod database;
mod folder;
mod links;
mod recorder;

use crate::harness::number;
use crate::harness::random::Random;

/// The number of faults on each store in a normal test run.
const SHORT: u64 = 6;
/// The default seed.
const SEED: u64 = 20_261_129;

/// Half of the requested faults, and the seed.
fn half() -> (usize, u64) {
    let faults = number("MEMORY_BANK_CAMPAIGN_FAULTS", SHORT * 2).div_ceil(2);
    (usize::try_from(faults).unwrap(), number("MEMORY_BANK_CAMPAIGN_SEED", SEED))
}

#[test]
fn a_folder_is_linearizable_while_its_processes_are_killed() {
    let (faults, seed) = half();
    let counts = folder::run(faults, &mut Random::new(seed));
    println!("a folder, {faults} faults, seed {seed}: {counts}");
    counts.assert_enough();
}

#[test]
fn servers_are_linearizable_while_they_and_their_databases_fail() {
    let (faults, seed) = half();
    let counts = database::run(faults, &mut Random::new(seed));
    println!("PostgreSQL, {faults} faults, seed {seed}: {counts}");
    counts.assert_enough();
}
