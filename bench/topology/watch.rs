//! Watches a metric of all servers while something is broken.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;

/// Between two scrapes.
const STEP: Duration = Duration::from_millis(50);
/// How long a server may take to answer a scrape.
const LONGEST: Duration = Duration::from_secs(5);

/// The addresses where servers have their metrics.
#[derive(Clone)]
pub struct Metrics(pub Vec<SocketAddr>);

impl Metrics {
    /// The sum of the series whose text begins so, at each server.
    pub fn of_each(&self, series: &str) -> anyhow::Result<Vec<f64>> {
        self.0.iter().map(|address| sum(&scrape(*address)?, series)).collect()
    }

    /// Watches from now on when the sum has at least this value at all servers.
    pub fn watch(&self, series: &'static str, least: f64) -> Watch {
        let (metrics, end) = (self.clone(), Arc::new(AtomicBool::new(false)));
        let ended = Arc::clone(&end);
        let began = Instant::now();
        let thread = std::thread::spawn(move || {
            let mut seen = Seen::Always;
            while !ended.load(Ordering::Relaxed) {
                let is_below = metrics.of_each(series)?.iter().any(|sum| *sum < least);
                seen = match seen {
                    _ if is_below => Seen::NotYet,
                    Seen::NotYet => Seen::After(began.elapsed()),
                    before => before,
                };
                std::thread::sleep(STEP);
            }
            Ok(seen)
        });
        Watch { end, thread }
    }
}

/// When the value was large enough for good.
#[derive(Clone, Copy)]
pub enum Seen {
    /// From the beginning.
    Always,
    /// From this time on.
    After(Duration),
    /// Not when the watch ended.
    NotYet,
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Always => write!(f, "all the time"),
            Self::After(time) => write!(f, "after {:.1} s", time.as_secs_f64()),
            Self::NotYet => write!(f, "not before the next fault"),
        }
    }
}

/// A watch that goes on.
pub struct Watch {
    end: Arc<AtomicBool>,
    thread: JoinHandle<anyhow::Result<Seen>>,
}

impl Watch {
    /// Ends it.
    pub fn end(self) -> anyhow::Result<Seen> {
        self.end.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow::anyhow!("a watch has panicked"))?
    }
}

fn scrape(address: SocketAddr) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(LONGEST))?;
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

fn sum(text: &str, series: &str) -> anyhow::Result<f64> {
    let lines = text.lines().filter(|line| line.starts_with(series));
    let values = lines.map(|line| line.rsplit(' ').next().unwrap_or_default().parse::<f64>());
    let values: Vec<f64> =
        values.collect::<Result<_, _>>().with_context(|| format!("{series} is no number"))?;
    anyhow::ensure!(!values.is_empty(), "a server has no {series}");
    Ok(values.iter().sum())
}
