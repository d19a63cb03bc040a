//! Logs go to standard error: text on a terminal, JSON otherwise. Standard output belongs to the protocol.

use std::io::{self, IsTerminal};

use tracing::Level;
use tracing_subscriber::filter::{FilterExt, FilterFn, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use crate::config::{self, ConfigError};
use crate::telemetry::Traces;

/// The parts of the program of which more is logged by default than warnings.
const OWN_TARGETS: [&str; 3] = ["memory_bank_mcp", "memory_bank_server", "memory_bank_folder"];

/// The filter without `RUST_LOG`; `debug` is that of `--debug`.
fn default_filter(debug: bool) -> Targets {
    let (others, own) = if debug { (Level::INFO, Level::DEBUG) } else { (Level::WARN, Level::INFO) };
    Targets::new().with_default(others).with_targets(OWN_TARGETS.map(|target| (target, own)))
}

/// Starts logging, and tracing if there are traces. `RUST_LOG` takes precedence over `debug`, and does not affect
/// traces.
///
/// # Errors
/// `RUST_LOG` is invalid; the default is used.
pub(crate) fn start(debug: bool, traces: Option<&Traces>) -> Result<(), ConfigError> {
    let (filter, outcome) = match config::log_filter(&config::environment) {
        Ok(filter) => (filter.unwrap_or_else(|| default_filter(debug)), Ok(())),
        Err(error) => (default_filter(debug), Err(error)),
    };
    // The SDK logs whole requests at its finer levels, and a warning with the request's data for each error reply;
    // users' documents must never be logged.
    let no_contents = FilterFn::new(|metadata| is_free_of_contents(metadata.target(), *metadata.level()));
    let layer = if io::stderr().is_terminal() {
        fmt::layer().with_writer(io::stderr).boxed()
    } else {
        fmt::layer().json().with_writer(io::stderr).boxed()
    };
    let layer = layer.with_filter(no_contents.and(filter));
    tracing_subscriber::registry().with(layer).with(traces.map(Traces::layer)).init();
    outcome
}

fn is_free_of_contents(target: &str, level: Level) -> bool {
    !target.starts_with("rmcp") || level == Level::ERROR
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_the_sdk_about_requests_and_refusals_are_not_logged() {
        for level in [Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE] {
            assert!(!is_free_of_contents("rmcp::service", level), "{level}");
        }
        assert!(is_free_of_contents("rmcp::service", Level::ERROR));
        assert!(is_free_of_contents("memory_bank_server", Level::DEBUG));
    }
}
