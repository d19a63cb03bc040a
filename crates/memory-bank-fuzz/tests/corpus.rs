//! Every target on its seeds, and on the inputs that once failed.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use memory_bank_fuzz::TARGETS;

/// The inputs of a target in one of the folders of `fuzz/`.
fn inputs(kind: &str, target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz").join(kind).join(target);
    let Ok(entries) = fs::read_dir(&folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

#[test]
fn every_target_has_seeds_and_holds_on_them() {
    let mut failed = Vec::new();
    for (name, run) in TARGETS {
        let seeds = inputs("seeds", name);
        assert!(!seeds.is_empty(), "`{name}` has no seeds in fuzz/seeds/{name}");
        for path in seeds.iter().chain(&inputs("regressions", name)) {
            let data = fs::read(path).unwrap();
            if catch_unwind(AssertUnwindSafe(|| run(&data))).is_err() {
                failed.push(path.clone());
            }
        }
    }
    assert_eq!(failed, Vec::<PathBuf>::new(), "the messages of their failures are above");
}

#[test]
fn every_target_has_a_program_of_libfuzzer() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/fuzz_targets");
    let mut programs: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    programs.sort();
    let mut wanted: Vec<String> = TARGETS.iter().map(|(name, _)| format!("{name}.rs")).collect();
    wanted.sort();
    assert_eq!(programs, wanted);
}
