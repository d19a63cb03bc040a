//! The summary of a run, for `bench/results/consistency.md`: where it ran, of which state of the code, what it did.

use std::fs;
use std::process::Command;
use std::time::Instant;

use super::counts::Counts;

/// A run that has begun.
pub(crate) struct Run {
    began: Instant,
    commit: String,
    seed: u64,
}

impl Run {
    pub(crate) fn begin(seed: u64) -> Self {
        Self { began: Instant::now(), commit: commit(), seed }
    }

    /// Prints the summary, with the names of the store and of its network.
    pub(crate) fn print(&self, store: &str, network: Option<&str>, counts: &Counts) {
        let Self { began, commit, seed } = self;
        let build = if cfg!(debug_assertions) { "a debug build" } else { "a release build" };
        println!("{store}: {} faults in {} s, seed {seed}", counts.faults(), began.elapsed().as_secs());
        println!("  {}; {}; {build} of {commit}", machine(), output("rustc", &["--version"]));
        if let Some(network) = network {
            println!("  {network}");
        }
        println!("{counts}");
    }
}

/// Processor, memory and kernel.
fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let value = |path: &str, name: &str| {
        let text = read(path);
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_once(':').map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    };
    let memory =
        value("/proc/meminfo", "MemTotal").trim_end_matches(" kB").parse::<u64>().unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let (processor, kernel) = (value("/proc/cpuinfo", "model name"), read("/proc/sys/kernel/osrelease"));
    format!("{processor}, {cores} cores, {} GiB, Linux {}", memory.div_ceil(1 << 20), kernel.trim())
}

fn commit() -> String {
    let commit = output("git", &["rev-parse", "--short=12", "HEAD"]);
    let changes = output("git", &["status", "--porcelain", "--untracked-files=no"]);
    match (commit.as_str(), changes.as_str()) {
        ("", _) => "no commit".to_owned(),
        (_, "") => format!("commit {commit}"),
        _ => format!("commit {commit} with changes"),
    }
}

/// What a program prints; nothing if it is not there.
fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}
