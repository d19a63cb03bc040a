//! Logs go to standard error: text on a terminal, JSON otherwise. Standard output belongs to the protocol.

use std::io::{self, IsTerminal};

use tracing::Level;
use tracing_subscriber::filter::{EnvFilter, FilterFn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

/// What is logged when neither `RUST_LOG` nor `--debug` says otherwise.
const USUALLY: &str = "warn,memory_bank_mcp=info,memory_bank_server=info,memory_bank_folder=info";
/// What is logged with `--debug`.
const DEBUGGING: &str = "info,memory_bank_mcp=debug,memory_bank_server=debug,memory_bank_folder=debug";

/// Starts logging. `RUST_LOG` wins over `debug`.
pub(crate) fn start(debug: bool) {
    let usual = if debug { DEBUGGING } else { USUALLY };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(usual));
    // The SDK logs whole requests at its finer levels; documents of users do not belong into logs, whatever was asked.
    let no_contents =
        FilterFn::new(|metadata| !metadata.target().starts_with("rmcp") || *metadata.level() < Level::INFO);
    let lines = if io::stderr().is_terminal() {
        fmt::layer().with_writer(io::stderr).boxed()
    } else {
        fmt::layer().json().with_writer(io::stderr).boxed()
    };
    tracing_subscriber::registry().with(lines.with_filter(no_contents)).with(filter).init();
}
