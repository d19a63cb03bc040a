//! The measurements by name, their figures, and the tables that are printed.

use std::fmt::Write as _;
use std::time::Duration;

use crate::load::Outcome;

/// The measurements.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    PgbenchRead,
    PgbenchFunction,
    Stateless,
    ManyKeys,
    SessionEvents,
    SessionJson,
    SessionTools,
    PgbenchEdit,
    Edit,
    AppendTogether,
    AppendSpread,
}

impl Kind {
    pub const ALL: [Self; 10] = [
        Self::PgbenchRead,
        Self::PgbenchFunction,
        Self::Stateless,
        Self::SessionEvents,
        Self::SessionJson,
        Self::SessionTools,
        Self::PgbenchEdit,
        Self::Edit,
        Self::AppendTogether,
        Self::AppendSpread,
    ];

    /// Those that an outside load generator measures, beside pgbench.
    pub const LIMITS: [Self; 7] = [
        Self::PgbenchRead,
        Self::PgbenchFunction,
        Self::Stateless,
        Self::ManyKeys,
        Self::SessionEvents,
        Self::PgbenchEdit,
        Self::Edit,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::PgbenchRead => "pgbench, the read as a pipelined transaction",
            Self::PgbenchFunction => "pgbench, the read as one statement",
            Self::Stateless => "read, 2026-07-28 without a session",
            Self::ManyKeys => "the same by 1,000 keys, each asked for in Redis",
            Self::SessionEvents => "read, session, SSE with stored events",
            Self::SessionJson => "read, session, JSON",
            Self::SessionTools => "tools/list, session, SSE",
            Self::PgbenchEdit => "pgbench, the edit in two pipelines",
            Self::Edit => "edit, 2026-07-28 without a session",
            Self::AppendTogether => "track_progress, all on one project",
            Self::AppendSpread => "track_progress, each on a project of its own",
        }
    }
}

/// The result of one measurement.
#[derive(Clone, Copy)]
pub struct Figures {
    pub rate: f64,
    pub half: Duration,
    pub most: Duration,
    /// Processor time a request: of PostgreSQL, of Redis and of the server.
    pub work: [Duration; 3],
}

impl Figures {
    pub fn of(outcome: &Outcome) -> Self {
        let at = |percent: usize| {
            outcome.times.get((outcome.times.len() - 1) * percent / 100).copied().unwrap_or_default()
        };
        Self { rate: outcome.rate, half: at(50), most: at(99), work: [Duration::ZERO; 3] }
    }

    /// Divides the processor time between two moments among the requests of this time.
    pub fn weigh(&mut self, before: [Duration; 3], after: [Duration; 3], length: Duration) {
        let requests = self.rate * length.as_secs_f64();
        for (work, (before, after)) in self.work.iter_mut().zip(before.into_iter().zip(after)) {
            *work = after.saturating_sub(before).div_f64(requests.max(1.0));
        }
    }

    /// The median of each figure over the rounds.
    pub fn median(rounds: &[Self]) -> Self {
        let middle = |mut values: Vec<f64>| {
            values.sort_unstable_by(f64::total_cmp);
            values.get((values.len() - 1) / 2).copied().unwrap_or_default()
        };
        let time = |of: fn(&Self) -> Duration| {
            Duration::from_secs_f64(middle(rounds.iter().map(|one| of(one).as_secs_f64()).collect()))
        };
        Self {
            rate: middle(rounds.iter().map(|one| one.rate).collect()),
            half: time(|one| one.half),
            most: time(|one| one.most),
            work: [time(|one| one.work[0]), time(|one| one.work[1]), time(|one| one.work[2])],
        }
    }
}

/// The figures as a table in Markdown.
pub fn table(found: &[(Kind, Figures)]) -> String {
    let mut out = String::from(
        "| | a second | p50 | p99 | PostgreSQL | Redis | server |\n|---|---:|---:|---:|---:|---:|---:|\n",
    );
    for (kind, figures) in found {
        let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
        let (half, most) = (milliseconds(figures.half), milliseconds(figures.most));
        let [postgres, redis, server] = figures.work.map(|work| work.as_secs_f64() * 1e6);
        let _ = writeln!(
            out,
            "| {} | {:.0} | {half:.2} ms | {most:.2} ms | {postgres:.0} µs | {redis:.0} µs | {server:.0} µs |",
            kind.name(),
            figures.rate
        );
    }
    out
}

/// The ratios that are expected, each the median of the ratios within a round; an outside generator takes less of the processors. And
/// whether all of them hold.
pub fn ratios(kinds: &[Kind], results: &[Vec<Figures>], is_outside: bool) -> (String, bool) {
    let of = |wanted: Kind| kinds.iter().position(|kind| *kind == wanted).and_then(|at| results.get(at));
    let mut out =
        String::from("| ratio | expected | measured (lowest to highest round) | |\n|---|---:|---:|---|\n");
    let (read, events) = if is_outside { (0.6, 0.75) } else { (0.5, 0.6) };
    let wanted = [
        (Kind::Stateless, Kind::PgbenchRead, Some(read)),
        (Kind::Stateless, Kind::PgbenchFunction, Some(read)),
        (Kind::ManyKeys, Kind::PgbenchRead, Some(read)),
        (Kind::ManyKeys, Kind::PgbenchFunction, Some(read)),
        (Kind::SessionEvents, Kind::Stateless, Some(events)),
        (Kind::SessionJson, Kind::Stateless, None),
        (Kind::Edit, Kind::PgbenchEdit, None),
        (Kind::AppendTogether, Kind::AppendSpread, None),
    ];
    let mut all_hold = true;
    for (kind, base, least) in wanted {
        let (Some(ours), Some(theirs)) = (of(kind), of(base)) else { continue };
        let mut ratios: Vec<f64> =
            ours.iter().zip(theirs).map(|(ours, theirs)| ours.rate / theirs.rate).collect();
        ratios.sort_unstable_by(f64::total_cmp);
        let at = |place: usize| ratios.get(place).copied().unwrap_or_default();
        let (low, middle, high) = (at(0), at((ratios.len() - 1) / 2), at(ratios.len() - 1));
        let holds = least.is_none_or(|least| middle >= least);
        all_hold &= holds;
        let verdict = least.map_or("", |_| if holds { "holds" } else { "**does not hold**" });
        let least = least.map_or_else(|| "–".to_owned(), |least| format!("{least}"));
        let _ = writeln!(
            out,
            "| {} to {} | {least} | {middle:.2} ({low:.2} to {high:.2}) | {verdict} |",
            kind.name(),
            base.name()
        );
    }
    (out, all_hold)
}
