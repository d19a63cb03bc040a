//! Samples, and the tables that show them.

use std::fmt::Write as _;
use std::time::Duration;

/// The samples of one measurement, sorted.
pub struct Samples(Vec<Duration>);

impl Samples {
    /// From durations in any order; at least one.
    pub fn new(mut durations: Vec<Duration>) -> Self {
        durations.sort_unstable();
        Self(durations)
    }

    /// Half of them took at most this long.
    pub fn median(&self) -> Duration {
        self.at(50)
    }

    /// 19 of 20 took at most this long.
    pub fn p95(&self) -> Duration {
        self.at(95)
    }

    fn at(&self, percent: usize) -> Duration {
        self.0.get((self.0.len() - 1) * percent / 100).copied().unwrap_or_default()
    }
}

/// One thing, measured at each size.
pub struct Row {
    name: String,
    /// One for each size; or why it could not be measured.
    cells: Vec<anyhow::Result<Samples>>,
    expected: Option<Expected>,
}

/// The targets for the medians.
#[derive(Clone, Copy)]
pub enum Expected {
    /// The time for the largest size is at most this multiple of the time for the smallest.
    Growth(f64),
    /// The time for the largest size is below this.
    Under(Duration),
}

impl Row {
    /// A row without an expectation.
    pub fn new(name: &str, cells: Vec<anyhow::Result<Samples>>) -> Self {
        Self { name: name.to_owned(), cells, expected: None }
    }

    /// Returns this row with an expectation.
    pub fn expecting(self, expected: Expected) -> Self {
        Self { expected: Some(expected), ..self }
    }

    /// Target, result and verdict, as a row of a Markdown table.
    pub fn verdict(&self) -> Option<String> {
        let (limit, is, holds) = match self.expected? {
            Expected::Growth(most) => {
                let growth = self.growth()?;
                (format!("growth of at most {most}"), format!("{growth:.2}"), growth <= most)
            }
            Expected::Under(limit) => {
                let took = self.cells.last()?.as_ref().ok()?.median();
                (format!("under {}", shown(limit)), shown(took), took < limit)
            }
        };
        Some(format!(
            "| {} | {limit} | {is} | {} |",
            self.name,
            if holds { "holds" } else { "**does not hold**" }
        ))
    }

    /// The name of the measured call.
    #[allow(dead_code, reason = "shared with programs that do not call it")]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many times longer the median of the largest size is than that of the smallest.
    pub fn growth(&self) -> Option<f64> {
        let first = self.cells.first()?.as_ref().ok()?.median();
        let last = self.cells.last()?.as_ref().ok()?.median();
        (self.cells.len() > 1).then(|| last.as_secs_f64() / first.as_secs_f64())
    }
}

/// Runs `work` on each subject in turn, once without and `rounds` times with taking the time, so that what disturbs the
/// machine disturbs all subjects alike. `work` gets the number of the round and returns the time of the part that counts.
pub async fn interleaved<S>(
    rounds: usize,
    subjects: &mut [S],
    mut work: impl AsyncFnMut(&mut S, usize) -> anyhow::Result<Duration>,
) -> Vec<anyhow::Result<Samples>> {
    let mut durations: Vec<anyhow::Result<Vec<Duration>>> = subjects.iter().map(|_| Ok(Vec::new())).collect();
    for round in 0..=rounds {
        for (subject, durations) in subjects.iter_mut().zip(&mut durations) {
            let Ok(known) = durations else { continue };
            match work(subject, round).await {
                Ok(took) if round > 0 => known.push(took),
                Ok(_) => {}
                Err(error) => *durations = Err(error),
            }
        }
    }
    durations.into_iter().map(|durations| durations.map(Samples::new)).collect()
}

/// The rows as a Markdown table.
pub fn table(title: &str, sizes: &[usize], rows: &[Row]) -> String {
    let mut out = format!("### {title}\n\n| |");
    for size in sizes {
        let _ = write!(out, " {} |", grouped(*size));
    }
    let _ = writeln!(out, " growth |\n|---|{}", "---:|".repeat(sizes.len() + 1));
    for row in rows {
        let _ = write!(out, "| {} |", row.name);
        for cell in &row.cells {
            let _ = match cell {
                Ok(samples) => write!(out, " {} ({}) |", shown(samples.median()), shown(samples.p95())),
                Err(_) => write!(out, " failed |"),
            };
        }
        let growth = row.growth().map_or_else(|| "–".to_owned(), |growth| format!("{growth:.2}"));
        let _ = writeln!(out, " {growth} |");
        if let Some(error) = row.cells.iter().find_map(|cell| cell.as_ref().err()) {
            eprintln!("{}: {error:#}", row.name);
        }
    }
    out
}

/// A duration with three digits that count.
pub fn shown(duration: Duration) -> String {
    let micros = duration.as_secs_f64() * 1e6;
    match micros {
        m if m < 100.0 => format!("{m:.1} µs"),
        m if m < 1000.0 => format!("{m:.0} µs"),
        m if m < 10_000.0 => format!("{:.2} ms", m / 1e3),
        m if m < 100_000.0 => format!("{:.1} ms", m / 1e3),
        m => format!("{:.0} ms", m / 1e3),
    }
}

/// A number with commas.
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
