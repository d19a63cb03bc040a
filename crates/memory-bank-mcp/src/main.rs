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
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
