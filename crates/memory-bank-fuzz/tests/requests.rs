//! The seeds of `requests` get the replies that they are for, in a process of its own.

use std::fs;
use std::path::Path;

use memory_bank_fuzz::request_status;

/// The name of a seed begins with the status of its reply, so that a request that has become a mere "not found" is seen.
#[test]
fn every_seed_of_requests_has_the_status_of_its_name() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/requests");
    let mut names: Vec<String> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let wrong = names.iter().filter_map(|name| {
        let wanted: u16 = name.split('-').next().and_then(|status| status.parse().ok()).unwrap_or_default();
        let status = request_status(&fs::read(folder.join(name)).unwrap());
        (status != Some(wanted)).then(|| format!("{name}: {status:?}"))
    });
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
