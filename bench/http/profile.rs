//! Samples of where a server spends its processor time, which perf takes while wrk sends.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::Bench;
use crate::figures::Kind;

/// How long samples are taken, in seconds, and for how long the load lasts around it.
const SECONDS: u64 = 8;
const LOAD: Duration = Duration::from_secs(SECONDS + 4);
/// The calls that are sampled, each with the name of its file.
const PROFILED: [(Kind, &str); 3] =
    [(Kind::Stateless, "read"), (Kind::SessionEvents, "session-read"), (Kind::Edit, "edit")];

/// Writes `read.perf`, `session-read.perf` and `edit.perf` into a folder.
pub async fn record(bench: &Bench, folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)?;
    for (kind, name) in PROFILED {
        let file = folder.join(format!("{name}.perf"));
        let mut perf = Command::new("perf");
        perf.args(["record", "--quiet", "--freq", "499", "--call-graph", "dwarf,16384", "--output"])
            .arg(&file);
        perf.args(["--pid", &bench.streaming.id().to_string()]);
        // Connections are opened first.
        perf.args(["--delay", "2000", "--", "sleep", &(SECONDS + 2).to_string()]).stdin(Stdio::null());
        let mut perf = perf.spawn().context("`perf` is needed: scripts/setup profile")?;
        let measured = bench.measure(kind, LOAD).await;
        let ended = perf.wait()?;
        measured?;
        ensure!(ended.success(), "perf failed: {ended}");
        eprintln!("{}", file.display());
    }
    Ok(())
}
