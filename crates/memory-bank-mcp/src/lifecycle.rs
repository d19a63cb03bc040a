//! Start and end of the process: runs a command or a transport until it is done or a signal arrives.

use std::time::Duration;

use anyhow::Context;
use clap::CommandFactory;
use memory_bank_core::caller::Caller;
use memory_bank_server::mcp::stdio;
use tokio_util::sync::CancellationToken;

use crate::assembly::folder_services;
use crate::cli::options::{GlobalOptions, Transport};
use crate::cli::output::Output;
use crate::cli::{self, Cli, Command};
use crate::config;
use crate::signals::end_on_signals;
use crate::telemetry::Traces;

/// How long busy threads and undelivered traces may delay the end of the process.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// Runs the command line: serves until the client is gone or a signal arrives, or runs a command.
pub(crate) fn run(cli: &Cli, traces: Option<Traces>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the process cannot start its threads")?;
    let outcome = runtime.block_on(perform(cli));
    let delivery = traces.map(|traces| std::thread::spawn(move || traces.end(LAST_WAIT)));
    runtime.shutdown_timeout(LAST_WAIT);
    if delivery.is_some_and(|delivery| delivery.join().is_err()) {
        tracing::warn!("the last traces were lost");
    }
    outcome
}

async fn perform(cli: &Cli) -> anyhow::Result<()> {
    let shutdown = CancellationToken::new();
    end_on_signals(shutdown.clone())?;
    let global = &cli.global;
    let output = Output { json: global.json };
    let Some(command) = &cli.command else {
        return if wants_http(global)? {
            cli::serve::run(global, shutdown).await
        } else {
            serve_stdio(global, shutdown).await
        };
    };
    match command {
        Command::Serve => cli::serve::run(global, shutdown).await,
        Command::Admin(command) => tokio::select! {
            done = cli::admin::run(command, output) => done,
            () = shutdown.cancelled() => Err(anyhow::anyhow!("ended by a signal")),
        },
        Command::Transfer(command) => tokio::select! {
            done = Box::pin(cli::transfer::run(command, global, output)) => done,
            () = shutdown.cancelled() => Err(anyhow::anyhow!("interrupted; nothing was changed unless success was reported above")),
        },
        Command::Doctor(wanted) => tokio::select! {
            done = cli::doctor::run(global, wanted, output) => done,
            () = shutdown.cancelled() => Err(anyhow::anyhow!("ended by a signal")),
        },
        Command::Index(wanted) => tokio::select! {
            done = cli::index::run(global, wanted, output) => done,
            () = shutdown.cancelled() => Err(anyhow::anyhow!("ended by a signal; vectors that were made stay")),
        },
        Command::Bench(cli::recall::BenchCommand::Recall(wanted)) => {
            let wanted = wanted.clone();
            let measured = tokio::task::spawn_blocking(move || cli::recall::run(&wanted, output));
            tokio::select! {
                done = measured => done.context("the measurement was lost")?,
                () = shutdown.cancelled() => Err(anyhow::anyhow!("ended by a signal")),
            }
        }
        Command::Config => cli::variables::run(output),
        Command::Health { live } => cli::health::run(*live).await,
        Command::Setup(options) => tokio::select! {
            done = Box::pin(cli::setup::run(options, global, output)) => done,
            () = shutdown.cancelled() => {
                cli::restore_terminal();
                Err(anyhow::anyhow!("ended by a signal; files that were reported as written stay"))
            }
        },
        Command::ClientConfig(options) => cli::client_config::run(options, global, output),
        Command::Completions(wanted) => cli::shell::completions(wanted, Cli::command()),
        Command::Man(wanted) => cli::shell::manual(wanted, Cli::command()),
    }
}

async fn serve_stdio(global: &GlobalOptions, shutdown: CancellationToken) -> anyhow::Result<()> {
    let (services, vectors) = folder_services(global, None, false).await?;
    let caller = Caller::local(global.username.clone());
    let options = global.tool_options()?;
    let served = stdio::serve(services, caller, options, shutdown).await.context("the server stopped");
    vectors.stop().await;
    served
}

/// Without a command, the flag decides, then the environment.
fn wants_http(global: &GlobalOptions) -> anyhow::Result<bool> {
    match global.transport {
        Some(transport) => Ok(transport == Transport::Http),
        None => Ok(config::wants_http(&config::environment)?),
    }
}
