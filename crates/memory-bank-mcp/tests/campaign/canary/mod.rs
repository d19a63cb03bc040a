//! Two projects on several servers under faults: no reply contains data of the other project, a key without `read` reads
//! nothing, and a revoked key gets nothing.

mod arguments;
mod calls;
mod collected_ids;
mod environment;
mod faults;
mod forged_redis_entries;
mod leak_check;
#[cfg(test)]
mod leaking_stub;
mod outcomes;
mod run;
mod tenant;

use std::time::Instant;

use self::environment::{Environment, World};
use self::faults::Faults;
use self::run::Campaign;
use self::tenant::{CanaryLocation, locked};
use crate::harness::number;
use crate::harness::random::Random;

/// The number of calls in a normal test run.
const SHORT: u64 = 2400;
/// The default seed.
const SEED: u64 = 20_261_126;

/// No log holds a canary or a key.
fn check_logs(campaign: &Campaign, environment: &Environment) {
    for (number, replica) in environment.replicas.iter().enumerate() {
        let log = replica.log();
        let marks = campaign.tenants.iter().map(|tenant| tenant.mark.as_str());
        for secret in marks.chain(["mbmcp_live_"]) {
            if let Some(line) = log.lines().find(|line| line.contains(secret)) {
                panic!("the log of server {number} holds a secret: {line}, seed {}", campaign.seed);
            }
        }
    }
}

#[test]
fn no_reply_leaks_another_project_or_exceeds_the_rights_of_its_key() {
    let calls = usize::try_from(number("MEMORY_BANK_CAMPAIGN_CALLS", SHORT)).unwrap();
    let seed = number("MEMORY_BANK_CAMPAIGN_SEED", SEED);
    let began = Instant::now();
    let mut world = World::new(seed, calls);
    let (campaign, environment) = (&world.campaign, &mut world.environment);
    campaign.run(|| Faults { campaign, environment, random: Random::new(!seed) }.run());
    let tally = locked(&campaign.tally);
    println!("{calls} calls, seed {seed}, {} s\n{tally}", began.elapsed().as_secs());
    if let Some(leaks) = campaign.leaks() {
        panic!("{leaks}");
    }
    check_logs(campaign, environment);
    // A run in which calls and faults do not succeed proves nothing.
    for tool in &campaign.tools {
        let name = tool["name"].as_str().unwrap();
        let counts = tally.calls.get(name).copied().unwrap_or_default();
        let why = tally.refusals.get(name);
        assert!(counts.succeeded > 0, "`{name}` never succeeded: {counts:?}, {why:?}, seed {seed}");
    }
    let total = tally.total();
    assert!(total.succeeded * 4 > calls, "too little succeeded: {total:?}, seed {seed}");
    assert_eq!(tally.faults.len(), faults::KINDS.len(), "{:?}, seed {seed}", tally.faults);
    for tenant in 0..2 {
        for location in CanaryLocation::ALL.into_iter().filter(|location| *location != CanaryLocation::Client)
        {
            assert!(
                tally.seen.contains(&(tenant, location.character())),
                "no canary of {location:?} was ever seen by its own project"
            );
        }
    }
}
