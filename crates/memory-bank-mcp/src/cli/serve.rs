//! `serve`: MCP over Streamable HTTP, of a folder or of a database.

use anyhow::Context;
use memory_bank_server::http::Server;
use tokio_util::sync::CancellationToken;

use crate::assembly;
use crate::cli::options::GlobalOptions;
use crate::cli::output::say;
use crate::config::{self, Settings};

/// Serves until the process gets a signal to end.
pub(crate) async fn run(global: &GlobalOptions, shutdown: CancellationToken) -> anyhow::Result<()> {
    let mut settings = Settings::read(&config::environment)?;
    settings.http.tools = global.tool_options()?;
    // A start that waits for its database must not outlast the signal to end.
    let (parts, vectors) = tokio::select! {
        parts = assembly::http_parts(global, settings) => parts?,
        () = shutdown.cancelled() => return Ok(()),
    };
    let server = Server::bind(parts, shutdown)
        .await
        .context("the server cannot listen (`MCP_HOST`, `MCP_PORT`, `METRICS_ADDR`)")?;
    let address = server.address().context("the server does not know where it listens")?;
    if let Some(address) = server.metrics_address().context("the server does not know where it listens")? {
        say(&format!("Metrics on http://{address}/metrics"))?;
    }
    tracing::info!(http.address = %address, "listening");
    say(&format!("Listening on http://{address}/mcp"))?;
    server.serve().await;
    vectors.stop().await;
    Ok(())
}
