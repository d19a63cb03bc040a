//! `open`: shows the bank of a folder in the web console, to the user of this computer.

mod link_file;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use memory_bank_core::clock::SystemEntropy;
use memory_bank_server::http::{HttpConfig, LocalConsole, Server};
use tokio_util::sync::CancellationToken;

use self::link_file::LinkFile;
use crate::assembly;
use crate::cli::options::GlobalOptions;
use crate::cli::output::print_line;
use crate::config::{self, Settings};

/// How long the file with the link is kept for a browser that does not use it.
const FILE_LIFE: Duration = Duration::from_secs(60);

/// The options of `open`.
#[derive(Debug, Clone, Args)]
pub(crate) struct OpenArguments {
    /// Print the link, and open no browser.
    #[arg(long)]
    no_browser: bool,

    /// The port on this computer; a free one when absent.
    #[arg(long, value_name = "PORT", default_value_t = 0, hide_default_value = true)]
    port: u16,
}

/// Serves the console until the process gets a signal to end.
pub(crate) async fn run(
    arguments: &OpenArguments,
    global: &GlobalOptions,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let mut settings = Settings::read(&config::environment)?;
    settings.http = HttpConfig { tools: global.tool_options()?, ..local(settings.http, arguments.port) };
    let (parts, vectors, console) = tokio::select! {
        parts = assembly::console_parts(global, settings) => parts?,
        () = shutdown.cancelled() => return Ok(()),
    };
    let server = Server::bind(parts, shutdown).await.context("the console cannot listen (`--port`)")?;
    let address = server.address().context("the address of the console is not known")?;
    let link = format!("http://{address}{}", console.link(&SystemEntropy));
    print_line(&format!("Console, for one use of this link: {link}"))?;
    print_line("Stop it with Ctrl+C.")?;
    let browsing = browse(&link, &console, !arguments.no_browser);
    let serving = server.serve();
    tokio::pin!(serving);
    // The end of the server drops the file with the link.
    tokio::select! {
        () = &mut serving => {}
        () = browsing => serving.await,
    }
    vectors.stop().await;
    Ok(())
}

/// The settings of a server for this computer alone, whatever the environment has for `serve`.
fn local(config: HttpConfig, port: u16) -> HttpConfig {
    HttpConfig {
        listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port),
        allowed_hosts: Vec::new(),
        allowed_origins: Vec::new(),
        public_url: None,
        openid: None,
        outside_issuer: None,
        trust_proxy_hops: 0,
        metrics: None,
        ..config
    }
}

/// Opens the link in the browser, unless it is not wanted, and keeps its file as long as the browser may need it.
async fn browse(link: &str, console: &Arc<LocalConsole>, is_wanted: bool) {
    if !is_wanted {
        return;
    }
    let file = match LinkFile::new(link).and_then(|file| start_browser(file.path()).map(|()| file)) {
        Ok(file) => file,
        Err(error) => {
            tracing::warn!(%error, "no browser could be opened; open the link yourself");
            return;
        }
    };
    // The link was not used within the minute.
    drop(tokio::time::timeout(FILE_LIFE, console.redeemed()).await);
    if let Err(error) = file.remove() {
        tracing::warn!(%error, "the file with the link could not be deleted");
    }
}

/// Opens a file in the browser of the user. Other users of the computer can read the arguments of a program, so the link
/// itself is none.
fn start_browser(file: &Path) -> io::Result<()> {
    let (program, arguments): (_, &[&str]) = if cfg!(target_os = "windows") {
        ("rundll32", &["url.dll,FileProtocolHandler"])
    } else if cfg!(target_os = "macos") {
        ("open", &[])
    } else {
        ("xdg-open", &[])
    };
    let mut command = Command::new(program);
    command.args(arguments).arg(file);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut started = command.spawn()?;
    // It ends at once, or with the browser; nothing waits for it but a thread.
    std::thread::spawn(move || started.wait());
    Ok(())
}
