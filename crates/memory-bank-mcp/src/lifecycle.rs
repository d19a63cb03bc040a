//! Start and end of the process: assembles stores, services and transport, and shuts them down.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use memory_bank_core::caller::Caller;
use memory_bank_core::clock::{SystemClock, SystemEntropy};
use memory_bank_core::store::{ChangeSink, SessionState};
use memory_bank_folder::{Deps, FolderOptions, FolderWorkspace, RememberedStateStore};
use memory_bank_server::http::Redis;
use memory_bank_server::hub::Hub;
use memory_bank_server::mcp::stdio;
use memory_bank_server::services::{Replies, Services};
use memory_bank_vectors::MakerOptions;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::cli::output::Output;
use crate::cli::{self, Cli, Command, Transport};
use crate::config;
use crate::embedder::VectorStore;
use crate::telemetry::Traces;

/// How long busy threads and undelivered traces may delay the end of the process.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// Runs the command line: serves until the client is gone or the process is told to end, or runs a command.
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
    let output = Output { json: cli.json };
    let Some(command) = &cli.command else {
        return if wants_http(cli)? {
            cli::serve::run(cli, shutdown).await
        } else {
            serve_stdio(cli, shutdown).await
        };
    };
    match command {
        Command::Serve => cli::serve::run(cli, shutdown).await,
        Command::Admin(command) => tokio::select! {
            done = cli::admin::run(command, output) => done,
            () = shutdown.cancelled() => Err(anyhow::anyhow!("ended by a signal")),
        },
        Command::Transfer(command) => tokio::select! {
            done = Box::pin(cli::transfer::run(command, cli, output)) => done,
            () = shutdown.cancelled() => Err(anyhow::anyhow!("interrupted; nothing was changed unless success was reported above")),
        },
        Command::Doctor(wanted) => tokio::select! {
            done = cli::doctor::run(cli, wanted, output) => done,
            () = shutdown.cancelled() => Err(anyhow::anyhow!("ended by a signal")),
        },
        Command::Index(wanted) => tokio::select! {
            done = cli::index::run(cli, wanted, output) => done,
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
        Command::Setup(wanted) => tokio::select! {
            done = Box::pin(cli::setup::run(wanted, cli, output)) => done,
            () = shutdown.cancelled() => {
                cli::restore_terminal();
                Err(anyhow::anyhow!("ended by a signal; files that were reported as written stay"))
            }
        },
        Command::ClientConfig(wanted) => cli::client_config::run(wanted, cli, output),
        Command::Completions(wanted) => cli::shell::completions(wanted),
        Command::Man(wanted) => cli::shell::manual(wanted),
    }
}

async fn serve_stdio(cli: &Cli, shutdown: CancellationToken) -> anyhow::Result<()> {
    let (services, vectors) = folder_services(cli, None, false).await?;
    let caller = Caller::local(cli.username.clone());
    let options = config::tool_options(cli.tools.as_ref(), cli.read_only, &config::environment)?;
    let served = stdio::serve(services, caller, options, shutdown).await.context("the server stopped");
    vectors.stop().await;
    served
}

/// Without a command, the flag decides, then the environment.
fn wants_http(cli: &Cli) -> anyhow::Result<bool> {
    match cli.transport {
        Some(transport) => Ok(transport == Transport::Http),
        None => Ok(config::wants_http(&config::environment)?),
    }
}

/// Services on the local folder that the command line names, and what makes its vectors.
///
/// With `redis`, other servers hear of changes too; `over_http`, no path of the host is told or taken.
pub(crate) async fn folder_services(
    cli: &Cli,
    redis: Option<&Redis>,
    over_http: bool,
) -> anyhow::Result<(Services, VectorStore)> {
    let hub = Arc::new(Hub::new());
    let sink = redis.map_or_else(|| hub.clone() as Arc<dyn ChangeSink>, |redis| redis.sink(hub.clone()));
    let clock = Arc::new(SystemClock);
    let entropy = Arc::new(SystemEntropy);
    let state_folder = config::state_folder(cli.state_dir.as_deref(), &config::environment)?;
    let options = FolderOptions {
        path: cli.path.clone(),
        folder: Some(cli.folder.clone()),
        working_directory: std::env::current_dir().context("the current folder cannot be used")?,
        home: std::env::home_dir(),
        watch: true,
        // Over HTTP a client may be anywhere.
        shows_paths: !over_http,
        follow_links: cli.follow_links,
        state: state_folder.clone(),
    };
    let deps = Deps { clock: clock.clone(), entropy: entropy.clone(), sink };
    let workspace =
        FolderWorkspace::start(options, deps).await.context("the project folder cannot be used")?;
    let workspace = Arc::new(workspace);
    let embedder = crate::embedder::embedder()?;
    if let Some(embedder) = &embedder {
        let options = config::tool_options(cli.tools.as_ref(), cli.read_only, &config::environment)?;
        workspace.set_embedder(Arc::clone(embedder), MakerOptions::default(), options.read_only);
    }
    let initial = SessionState { mode: cli.mode, ..SessionState::default() };
    let state = RememberedStateStore::new(initial, state_folder);
    let replies = Replies::default();
    let services = Services {
        workspace: workspace.clone(),
        state: Arc::new(state),
        hub,
        clock,
        entropy,
        replies,
        embedder,
    };
    Ok((services, VectorStore::Folder(workspace)))
}

/// Cancels the token on SIGTERM and SIGINT.
fn end_on_signals(shutdown: CancellationToken) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be handled")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be handled")?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("ending on SIGTERM"),
            _ = interrupt.recv() => tracing::info!("ending on SIGINT"),
        }
        shutdown.cancel();
    });
    Ok(())
}
