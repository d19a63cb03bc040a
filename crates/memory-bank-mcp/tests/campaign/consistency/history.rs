//! The history of a round that failed, in a file: all calls on its documents and entities, one line of JSON each.

use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::recorder::Recorder;

/// The folder of such files, if not that of the tests in the target folder.
const VARIABLE: &str = "MEMORY_BANK_CAMPAIGN_HISTORY";

/// What names a round.
pub(crate) struct Round {
    pub(crate) store: &'static str,
    pub(crate) seed: u64,
    pub(crate) number: usize,
    /// Its fault, with what was chosen at random.
    pub(crate) fault: String,
}

impl Round {
    /// Makes the round. If it fails, its history is stored, and the failure names the file.
    pub(crate) fn make<T>(&self, recorder: &Recorder, act: impl FnOnce() -> Result<T, String>) -> T {
        match catch_unwind(AssertUnwindSafe(act)) {
            Ok(Ok(made)) => made,
            Ok(Err(wrong)) => self.fail(&wrong, &recorder.lines()),
            Err(panic) => {
                eprintln!("{}", self.store(&folder(), "it panicked", &recorder.lines()));
                resume_unwind(panic)
            }
        }
    }

    /// Fails with a history of these lines.
    pub(crate) fn fail(&self, wrong: &str, lines: &[Value]) -> ! {
        let stored = self.store(&folder(), wrong, lines);
        let Self { store, seed, number, fault } = self;
        panic!("round {number} on {store}, {fault}, seed {seed}: {wrong}\n{stored}")
    }

    /// Stores a history; returns where it is, or why it is nowhere.
    fn store(&self, folder: &Path, wrong: &str, lines: &[Value]) -> String {
        let Self { store, seed, number, fault } = self;
        let head = json!({"store": store, "seed": seed, "round": number, "fault": fault, "wrong": wrong});
        let name = format!("consistency-{}-{seed}-{number}.jsonl", store.replace(' ', "-"));
        let text: String = std::iter::once(&head).chain(lines).map(|line| format!("{line}\n")).collect();
        match write(folder, &name, &text) {
            Ok(path) => format!("The history of round {number}: {}", path.display()),
            Err(error) => {
                format!("The history of round {number} cannot be stored in {}: {error}", folder.display())
            }
        }
    }
}

fn folder() -> PathBuf {
    let chosen = std::env::var_os(VARIABLE).filter(|folder| !folder.is_empty());
    chosen.map_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).join("campaign"), PathBuf::from)
}

fn write(folder: &Path, name: &str, text: &str) -> io::Result<PathBuf> {
    fs::create_dir_all(folder)?;
    let path = folder.join(name);
    fs::write(&path, text)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::harness::random::Random;
    use crate::harness::tool_call::Outcome;

    #[test]
    fn a_history_has_the_seed_the_round_and_all_of_its_calls() {
        let (folder, recorder) = (TempDir::new().unwrap(), Recorder::new("7"));
        let mut calls = 0;
        recorder.run(3, &mut Random::new(1), |_, _| {
            calls += 1;
            if calls == 20 {
                recorder.while_they_call(|| ());
            }
            Outcome::Unknown
        });
        let round = Round { store: "a store", seed: 5, number: 7, fault: "a fault".to_owned() };
        let told = round.store(folder.path(), "a reason", &recorder.lines());
        let path = folder.path().join("consistency-a-store-5-7.jsonl");
        assert!(told.ends_with(path.to_str().unwrap()), "{told}");
        let stored = fs::read_to_string(path).unwrap();
        let lines: Vec<Value> = stored.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(
            lines[0],
            json!({"store": "a store", "seed": 5, "round": 7, "fault": "a fault", "wrong": "a reason"})
        );
        assert!(
            lines.len() > 3 && lines[1..].iter().all(|line| line["operation"]["client"] == 3),
            "{stored}"
        );
        assert!(
            round.store(&folder.path().join("consistency-a-store-5-7.jsonl"), "", &[]).contains("cannot")
        );
    }
}
