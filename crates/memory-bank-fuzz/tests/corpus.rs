//! Every target on its seeds, on the inputs that once failed, and on the corpus that long runs have found.

use std::fs;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use memory_bank_fuzz::{TARGETS, target};
use zip::ZipArchive;

/// The most bytes of a kept corpus: the repository carries every version of it.
const KEPT_BYTES: u64 = 300_000;
/// The most inputs of a kept corpus: all of them are run here.
const KEPT_INPUTS: usize = 800;

fn fuzz_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

/// The inputs of a target in one of the folders of `fuzz/`.
fn inputs(kind: &str, target: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(fuzz_folder().join(kind).join(target)) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn fails(run: fn(&[u8]), input: &[u8]) -> bool {
    catch_unwind(AssertUnwindSafe(|| run(input))).is_err()
}

#[test]
fn every_target_has_seeds_and_holds_on_them() {
    let mut failed = Vec::new();
    for (name, run) in TARGETS {
        let seeds = inputs("seeds", name);
        assert!(!seeds.is_empty(), "`{name}` has no seeds in fuzz/seeds/{name}");
        for path in seeds.iter().chain(&inputs("regressions", name)) {
            if fails(*run, &fs::read(path).unwrap()) {
                failed.push(path.clone());
            }
        }
    }
    assert_eq!(failed, Vec::<PathBuf>::new(), "the messages of their failures are above");
}

/// Runs a target on its kept corpus.
fn replay(name: &str) {
    let path = fuzz_folder().join("corpus").join(name).with_extension("zip");
    let file = fs::File::open(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; `scripts/fuzz --keep {name}` makes it", path.display()));
    assert!(file.metadata().unwrap().len() <= KEPT_BYTES, "{} is too large", path.display());
    let mut corpus = ZipArchive::new(file).unwrap();
    assert!((1..=KEPT_INPUTS).contains(&corpus.len()), "{} has {} inputs", path.display(), corpus.len());
    let mut failed = Vec::new();
    for at in 0..corpus.len() {
        let mut input = Vec::new();
        corpus.by_index(at).unwrap().read_to_end(&mut input).unwrap();
        if fails(target(name), &input) {
            failed.push(corpus.name_for_index(at).unwrap().unwrap().into_owned());
        }
    }
    assert_eq!(failed, Vec::<String>::new(), "inputs of {}; their messages are above", path.display());
}

/// A test for each target, so that they run side by side.
macro_rules! replayed {
    ($($name:ident)+) => {
        mod the_kept_corpus_holds_for {
            $(#[test]
            fn $name() {
                super::replay(stringify!($name));
            })+
        }

        #[test]
        fn the_kept_corpus_of_every_target_is_replayed() {
            let names = TARGETS.iter().map(|(name, _)| *name);
            assert_eq!(names.collect::<Vec<_>>(), [$(stringify!($name)),+]);
            let mut kept: Vec<String> = names_in("corpus").into_iter().filter(|name| name.ends_with(".zip")).collect();
            kept.sort();
            let mut replayed = vec![$(concat!(stringify!($name), ".zip")),+];
            replayed.sort_unstable();
            assert_eq!(kept, replayed, "each kept corpus is one that is replayed");
        }
    };
}

replayed! {
    section_edits core_documents rules_files history_patches history_lines graph_log entity_names names search_units imports
    archives messages arguments requests event_streams
}

/// The names in one of the folders of `fuzz/`.
fn names_in(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(fuzz_folder().join(folder)).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn every_target_has_a_program_of_libfuzzer_that_runs_it_and_is_listed() {
    let mut programs = names_in("fuzz_targets");
    programs.sort();
    let mut wanted: Vec<String> = TARGETS.iter().map(|(name, _)| format!("{name}.rs")).collect();
    wanted.sort();
    assert_eq!(programs, wanted);
    let manifest = fs::read_to_string(fuzz_folder().join("Cargo.toml")).unwrap();
    assert_eq!(manifest.matches("[[bin]]").count(), TARGETS.len(), "a program for each target");
    for (name, _) in TARGETS {
        let program = fs::read_to_string(fuzz_folder().join("fuzz_targets").join(name).with_extension("rs"));
        let call = format!("memory_bank_fuzz::target(\"{name}\")(data)");
        assert!(program.unwrap().contains(&call), "fuzz_targets/{name}.rs runs its own target");
        let listed = format!("[[bin]]\nname = \"{name}\"\npath = \"fuzz_targets/{name}.rs\"\n");
        assert!(manifest.contains(&listed), "fuzz/Cargo.toml lists `{name}`");
    }
}

#[test]
fn every_folder_of_inputs_belongs_to_a_target() {
    let folders = names_in("seeds").into_iter().chain(names_in("regressions"));
    let unknown: Vec<String> =
        folders.filter(|folder| !TARGETS.iter().any(|(name, _)| name == folder)).collect();
    assert_eq!(unknown, Vec::<String>::new(), "nothing runs these inputs");
}
