//! `memory-bank-mcp`: an MCP server that gives AI coding assistants a lasting memory of their projects.

mod cli;
mod config;
mod database;
mod lifecycle;
mod logging;

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    logging::start(cli.debug);
    match lifecycle::run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&cli, &error);
            ExitCode::FAILURE
        }
    }
}

/// A server's failure is a line of its log; a command's is for whoever typed it.
fn report(cli: &cli::Cli, error: &anyhow::Error) {
    let serves = matches!(cli.command, None | Some(cli::Command::Serve));
    if serves || cli::output::note(&format!("error: {error:#}")).is_err() {
        tracing::error!("{error:#}");
    }
}
