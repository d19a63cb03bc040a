//! Many clients on one bank, while servers, databases and connections fail: is there an order in which each reply is right? Every
//! client's calls are recorded with the times of the call and of the reply, and a checker looks for that order, document by
//! document: no acknowledged write is missing, no read is older than one that ended before it began, nothing is done twice. What a round
//! leaves is read again after the next round and at the end of its bank. A round that fails stores its history.

mod checker;
mod clock;
mod counts;
mod database;
mod deck;
mod folder;
mod history;
mod hurry;
mod left;
mod links;
mod network;
mod recorder;
mod summary;

use self::summary::Run;
use crate::harness::number;

/// The number of kills on each store in a normal test run: as many as make each kind of fault happen.
const SHORT: usize = 4;
/// The default seed.
const SEED: u64 = 20_261_129;

/// How many of 100 kills are on a folder, where a round takes a fraction of the time.
const ON_A_FOLDER: u64 = 70;

/// The number of kills on a store that gets this percentage of all, and the seed.
fn kills(percentage: u64) -> (usize, u64) {
    let kills = match number("MEMORY_BANK_CAMPAIGN_KILLS", 0) {
        0 => SHORT,
        kills => usize::try_from((kills * percentage).div_ceil(100)).unwrap(),
    };
    (kills, number("MEMORY_BANK_CAMPAIGN_SEED", SEED))
}

#[test]
fn a_folder_is_linearizable_while_its_processes_are_killed() {
    let (kills, seed) = kills(ON_A_FOLDER);
    let run = Run::begin(seed);
    let counts = folder::run(kills, seed);
    run.print("four processes on a folder", None, &counts);
    counts.assert_enough();
}

#[test]
fn servers_are_linearizable_while_they_and_their_databases_fail() {
    let name = "consistency::servers_are_linearizable_while_they_and_their_databases_fail";
    network::in_own_network(name, |network| {
        let (kills, seed) = kills(100 - ON_A_FOLDER);
        let (run, partitions) = (Run::begin(seed), network.describe());
        let counts = database::run(network, kills, seed);
        run.print("three servers on PostgreSQL", Some(partitions), &counts);
        counts.assert_enough();
    });
}
