//! The verdict on a run: what must stay flat does, and what grows by design keeps its bound.

use std::fmt::Write as _;
use std::time::Duration;

/// A shorter run says what it found and fails for none of it: its quarters are too short for caches and sweeps to settle.
pub const SHORTEST: Duration = Duration::from_secs(30 * 60);

/// How far the median of the last quarter may be above that of the second one. The first quarter fills caches and pools.
#[derive(Clone, Copy)]
pub struct Flat {
    /// At most this many times as much…
    pub times: f64,
    /// … and this much more.
    pub more: f64,
}

/// The allocator keeps what it has freed, by its own choice: in earlier runs 14 % more in the last quarter than in the second, 2 % more than in
/// the third. A call that leaves 100 bytes behind is 10 MiB more in half an hour.
pub const MEMORY: Flat = Flat { times: 1.2, more: 4.0 };
/// Each open connection of a client, PostgreSQL and Redis is one: they come and go with sessions and streams, by a few.
pub const DESCRIPTORS: Flat = Flat { times: 1.1, more: 8.0 };
/// The runtime has a fixed number, and some more for a while for what blocks.
pub const THREADS: Flat = Flat { times: 1.0, more: 4.0 };
/// Each pool opens more when calls meet and closes what is idle; three servers and one that is being replaced.
pub const CONNECTIONS: Flat = Flat { times: 1.1, more: 6.0 };
/// Keys of sessions that clients have left go after a time, so that their number moves around a middle.
pub const REDIS_KEYS: Flat = Flat { times: 1.15, more: 25.0 };
/// Buffers and the windows of limits: the latter have one entry for each request of the last minute.
pub const REDIS_MEMORY: Flat = Flat { times: 1.2, more: 1.0 };
/// In KiB, of each table by itself: rows that were changed stay until a vacuum, and a table grows by whole pages. A row of 300 bytes for each
/// session that stays is more than this in half an hour.
pub const TABLE: Flat = Flat { times: 1.25, more: 256.0 };

/// What was found of one quantity.
pub struct Verdict {
    pub what: String,
    /// What was measured, and what is allowed.
    pub found: String,
    pub holds: bool,
}

impl Flat {
    /// The verdict on the values of a run, in order of time.
    pub fn verdict(self, what: &str, values: &[f64]) -> Verdict {
        let [second, last] = [0.25, 0.75].map(|from| middle(values, from, from + 0.25));
        let most = second * self.times + self.more;
        Verdict {
            what: what.to_owned(),
            found: format!("{second:.1} in the second quarter, {last:.1} in the last, at most {most:.1}"),
            // Without values nothing is known.
            holds: values.len() >= 4 && last <= most,
        }
    }
}

/// Tables that grow by design, and how far.
pub struct Growing {
    pub tables: &'static [&'static str],
    pub why: &'static str,
    pub bound: Bound,
}

/// The bound of what grows.
#[derive(Clone, Copy)]
pub enum Bound {
    /// Bytes for each acknowledged change of the run.
    PerChange(f64),
    /// MiB for each project.
    PerProject(f64),
}

/// Names of tables as PostgreSQL prints them.
pub const GROWING: [Growing; 3] = [
    Growing {
        tables: &["app.document_versions", "app.graph_versions", "app.graph_changes", "app.graph_history"],
        why: "the history of documents and graph keeps a year",
        // Earlier runs had 560 bytes a change, with indexes; a version that is stored as a whole text instead of a step back has 2 KB.
        bound: Bound::PerChange(1200.0),
    },
    Growing {
        tables: &["app.audit_log", "app.call_hours"],
        why: "the audit log and the counts of calls keep a year",
        // Earlier runs had 100 bytes a change, with indexes.
        bound: Bound::PerChange(400.0),
    },
    Growing {
        tables: &["mcp_events"],
        why: "events are in partitions by the hour, each of which is dropped after 24 hours",
        // A project has at most 64 MiB of events.
        bound: Bound::PerProject(64.0),
    },
];

impl Growing {
    /// The verdict on the size in KiB that these tables have at the end.
    pub fn verdict(&self, kib: f64, changes: u64, projects: usize) -> Verdict {
        let (found, most, unit) = match self.bound {
            Bound::PerChange(most) => (kib * 1024.0 / changes.max(1) as f64, most, "bytes a change"),
            Bound::PerProject(most) => (kib / 1024.0 / projects.max(1) as f64, most, "MiB a project"),
        };
        Verdict {
            what: format!("`{}`: {}", self.tables.join("`, `"), self.why),
            found: format!("{found:.1} {unit}, at most {most:.0}"),
            holds: found <= most,
        }
    }
}

/// Whether a table grows by design.
pub fn grows(table: &str) -> bool {
    GROWING.iter().any(|growing| growing.tables.contains(&table))
}

/// The table of verdicts.
pub fn table(verdicts: &[Verdict]) -> String {
    let mut out = String::from("| quantity | found | verdict |\n|---|---|---|\n");
    for Verdict { what, found, holds } in verdicts {
        let _ = writeln!(out, "| {what} | {found} | {} |", if *holds { "holds" } else { "does not hold" });
    }
    out
}

/// An error that names what does not hold, if the run was long enough to tell.
pub fn check(verdicts: &[Verdict], length: Duration) -> anyhow::Result<()> {
    let broken: Vec<&str> =
        verdicts.iter().filter(|verdict| !verdict.holds).map(|verdict| verdict.what.as_str()).collect();
    anyhow::ensure!(length < SHORTEST || broken.is_empty(), "this does not hold: {}", broken.join("; "));
    Ok(())
}

/// The middle of the values of a part of the run, from and to as fractions.
pub fn middle(values: &[f64], from: f64, to: f64) -> f64 {
    let place = |part: f64| ((values.len() as f64 * part) as usize).min(values.len());
    let mut values = values[place(from)..place(to)].to_vec();
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Flat = Flat { times: 1.2, more: 4.0 };

    fn holds(value: impl Fn(usize) -> f64) -> bool {
        BOUND.verdict("", &(0..360).map(value).collect::<Vec<_>>()).holds
    }

    /// A number from -1 to 1 that looks like chance.
    fn noise(at: usize) -> f64 {
        (at * 7919 % 101) as f64 / 50.0 - 1.0
    }

    #[test]
    fn a_flat_series_holds_also_if_it_is_noisy_or_has_peaks() {
        assert!(holds(|_| 40.0));
        assert!(holds(|_| 0.0));
        assert!(holds(|at| 40.0 + 15.0 * noise(at)));
        assert!(holds(|at| if at % 5 == 0 { 400.0 } else { 40.0 }));
    }

    #[test]
    fn the_first_quarter_may_grow_and_a_series_may_fall() {
        assert!(holds(|at| if at < 90 { at as f64 } else { 90.0 }));
        assert!(holds(|at| 400.0 - at as f64));
    }

    #[test]
    fn a_series_that_grows_does_not_hold_also_if_it_is_noisy() {
        assert!(!holds(|at| 40.0 + 0.1 * at as f64));
        assert!(!holds(|at| 40.0 + 0.15 * at as f64 + 10.0 * noise(at)));
        assert!(holds(|at| 40.0 + 0.01 * at as f64), "within the bound");
    }

    #[test]
    fn a_step_that_stays_until_the_last_quarter_does_not_hold() {
        for step in [200, 250, 300] {
            assert!(!holds(|at| if at < step { 40.0 } else { 80.0 }), "{step}");
        }
        assert!(holds(|at| if at < 80 { 40.0 } else { 80.0 }), "in the first quarter");
        assert!(holds(|at| if (200..260).contains(&at) { 80.0 } else { 40.0 }), "a step that ends");
    }

    #[test]
    fn a_run_without_values_does_not_hold() {
        assert!(!BOUND.verdict("", &[]).holds);
    }

    #[test]
    fn only_a_long_run_fails() {
        let verdicts = [BOUND.verdict("memory", &[])];
        check(&verdicts, SHORTEST - Duration::from_secs(1)).unwrap();
        assert!(check(&verdicts, SHORTEST).unwrap_err().to_string().ends_with("memory"));
        check(&[BOUND.verdict("memory", &[1.0; 8])], SHORTEST).unwrap();
    }

    #[test]
    fn what_grows_by_design_has_a_bound_for_each_change_or_project() {
        let [history, _, events] = &GROWING;
        assert!(history.verdict(500.0, 1000, 8).holds);
        assert!(!history.verdict(2000.0, 1000, 8).holds);
        assert!(events.verdict(64.0 * 1024.0, 0, 8).holds);
        assert!(!events.verdict(9.0 * 64.0 * 1024.0, 0, 8).holds);
        assert!(grows("mcp_events") && !grows("sessions"));
    }
}
