//! `serve`: serves a folder or a database as MCP over Streamable HTTP.

use anyhow::Context;
use memory_bank_server::http::Server;
use tokio_util::sync::CancellationToken;

use crate::assembly;
use crate::cli::options::GlobalOptions;
use crate::cli::output::print_line;
use crate::config::{self, Settings};

/// Serves until the process gets a signal to end.
pub(crate) async fn run(global: &GlobalOptions, shutdown: CancellationToken) -> anyhow::Result<()> {
    let mut settings = Settings::read(&config::environment)?;
    settings.http.tools = global.tool_options()?;
    // A signal must end the start, too, which may wait for the database.
    let (parts, vectors) = tokio::select! {
        parts = assembly::http_parts(global, settings) => parts?,
        () = shutdown.cancelled() => return Ok(()),
    };
    let server = Server::bind(parts, shutdown)
        .await
        .context("the server cannot listen (`MCP_HOST`, `MCP_PORT`, `METRICS_ADDR`)")?;
    let address = server.address().context("the address of the server is not known")?;
    if let Some(address) = server.metrics_address().context("the address of the metrics is not known")? {
        print_line(&format!("Metrics on http://{address}/metrics"))?;
    }
    tracing::info!(http.address = %address, "listening");
    print_line(&format!("Listening on http://{address}/mcp"))?;
    server.serve().await;
    vectors.stop().await;
    Ok(())
}
