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
mod sha256;
mod signals;
mod telemetry;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return cli::hook::refused(&error).unwrap_or_else(|| error.exit()),
    };
    if let Some(cli::Command::Hook(arguments)) = &cli.command {
        return cli::hook::run(arguments, &cli.global);
    }
    let traces = traces(&cli);
    let logging = logging::start(cli.global.debug, traces.as_ref().ok().and_then(Option::as_ref));
    let logging = if is_server(&cli) { logging } else { Ok(()) };
    match logging.map_err(Into::into).and(traces).and_then(|traces| lifecycle::run(&cli, traces)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report_error(&cli, &error);
            // The exit code of invalid arguments: the command line lacks or contradicts an option.
            let is_usage = error.is::<cli::setup::NoTerminal>() || error.is::<cli::usage_error::UsageError>();
            if is_usage { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

/// A server logs its failure; a command prints it.
fn report_error(cli: &cli::Cli, error: &anyhow::Error) {
    if is_server(cli) || cli::output::print_stderr(&format!("error: {error:#}")).is_err() {
        tracing::error!("{error:#}");
    }
}

/// Starts traces, if they are configured and the process is a server.
fn traces(cli: &cli::Cli) -> anyhow::Result<Option<telemetry::Traces>> {
    if !is_server(cli) {
        return Ok(None);
    }
    config::traces(&config::environment)?.map(|_| telemetry::Traces::start()).transpose()
}

fn is_server(cli: &cli::Cli) -> bool {
    matches!(cli.command, None | Some(cli::Command::Serve))
}
