//! Start and end of the process: runs a command or a transport until it is done or a signal arrives.

use std::time::Duration;

use anyhow::Context;
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
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

/// Runs the command line: serves until the client disconnects or a signal arrives, or runs a command.
pub(crate) fn run(cli: &Cli, traces: Option<Traces>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the process cannot start its threads")?;
    let outcome = runtime.block_on(run_command(cli));
    let delivery = traces.map(|traces| std::thread::spawn(move || traces.end(SHUTDOWN_TIMEOUT)));
    runtime.shutdown_timeout(SHUTDOWN_TIMEOUT);
    if delivery.is_some_and(|delivery| delivery.join().is_err()) {
        tracing::warn!("the last traces were lost");
    }
    outcome
}

async fn run_command(cli: &Cli) -> anyhow::Result<()> {
    let shutdown = CancellationToken::new();
    end_on_signals(shutdown.clone())?;
    let global = &cli.global;
    let output = Output { json: global.json };
    let Some(command) = &cli.command else {
        return if selects_http(global)? {
            cli::serve::run(global, shutdown).await
        } else {
            serve_stdio(global, shutdown).await
        };
    };
    match command {
        Command::Serve => cli::serve::run(global, shutdown).await,
        Command::Open(arguments) => cli::open::run(arguments, global, shutdown).await,
        Command::Browse(command) => Box::pin(cli::browse::run(command, global, output, shutdown)).await,
        Command::Admin(command) => tokio::select! {
            outcome = cli::admin::run(command, output) => outcome,
            () = shutdown.cancelled() => Err(anyhow::anyhow!("ended by a signal")),
        },
        Command::Transfer(command) => tokio::select! {
            outcome = Box::pin(cli::transfer::run(command, global, output)) => outcome,
            () = shutdown.cancelled() => Err(anyhow::anyhow!("interrupted; nothing was changed unless success was reported above")),
        },
        Command::Doctor(arguments) => tokio::select! {
            outcome = cli::doctor::run(global, arguments, output) => outcome,
            () = shutdown.cancelled() => Err(anyhow::anyhow!("ended by a signal")),
        },
        Command::Index(arguments) => tokio::select! {
            outcome = cli::index::run(global, arguments, output) => outcome,
            () = shutdown.cancelled() => Err(anyhow::anyhow!("ended by a signal; completed vectors are kept")),
        },
        Command::Bench(cli::recall::BenchCommand::Recall(arguments)) => {
            let arguments = arguments.clone();
            let measurement = tokio::task::spawn_blocking(move || cli::recall::run(&arguments, output));
            tokio::select! {
                outcome = measurement => outcome.context("the measurement ended unexpectedly")?,
                () = shutdown.cancelled() => Err(anyhow::anyhow!("ended by a signal")),
            }
        }
        Command::Config => cli::variables::run(output),
        Command::Health { live } => cli::health::run(*live).await,
        Command::Setup(options) => tokio::select! {
            outcome = Box::pin(cli::setup::run(options, global, output)) => outcome,
            () = shutdown.cancelled() => {
                cli::restore_terminal();
                Err(anyhow::anyhow!("ended by a signal; files that were reported as written are kept"))
            }
        },
        Command::ClientConfig(options) => cli::client_config::run(options, global, output),
        // Without this runtime and its logs: `main` runs it.
        Command::Hook(arguments) => {
            cli::hook::run(arguments, global);
            Ok(())
        }
        Command::Completions(arguments) => cli::shell::completions(arguments, cli::command()),
        Command::Man(arguments) => cli::shell::manual(arguments, cli::command()),
    }
}

async fn serve_stdio(global: &GlobalOptions, shutdown: CancellationToken) -> anyhow::Result<()> {
    let (services, vectors) = folder_services(global, None, false).await?;
    let caller = Caller::local(global.username.clone());
    let options = global.tool_options()?;
    let outcome = stdio::serve(services, caller, options, shutdown).await.context("the server stopped");
    vectors.stop().await;
    outcome
}

/// Without a command, the flag selects the transport, or else the environment.
fn selects_http(global: &GlobalOptions) -> anyhow::Result<bool> {
    match global.transport {
        Some(transport) => Ok(transport == Transport::Http),
        None => Ok(config::selects_http(&config::environment)?),
    }
}
