//! `memory-bank-mcp`: an MCP server that gives AI coding assistants a lasting memory of their projects.

mod assembly;
mod cli;
mod config;
mod database;
mod database_probe;
mod embedder;
mod file_system;
mod lifecycle;
mod logging;
mod signals;
mod telemetry;

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let traces = traces(&cli);
    let logged = logging::start(cli.global.debug, traces.as_ref().ok().and_then(Option::as_ref));
    let logged = if serves(&cli) { logged } else { Ok(()) };
    match logged.map_err(Into::into).and(traces).and_then(|traces| lifecycle::run(&cli, traces)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&cli, &error);
            // As with wrong arguments: the command line lacks something.
            if error.is::<cli::setup::CannotAsk>() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

/// A server logs its failure; a command prints it.
fn report(cli: &cli::Cli, error: &anyhow::Error) {
    if serves(cli) || cli::output::note(&format!("error: {error:#}")).is_err() {
        tracing::error!("{error:#}");
    }
}

/// Traces, if they are configured and something is served.
fn traces(cli: &cli::Cli) -> anyhow::Result<Option<telemetry::Traces>> {
    if !serves(cli) {
        return Ok(None);
    }
    config::traces(&config::environment)?.map(|_| telemetry::Traces::start()).transpose()
}

fn serves(cli: &cli::Cli) -> bool {
    matches!(cli.command, None | Some(cli::Command::Serve))
}
