//! The signals that end the process, on each system.

use anyhow::Context;
use tokio_util::sync::CancellationToken;

/// Cancels the token on SIGTERM and SIGINT.
#[cfg(unix)]
pub(crate) fn end_on_signals(shutdown: CancellationToken) -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
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

/// Cancels the token on Ctrl-C and Ctrl-Break, and when the console closes, the user logs off or the system shuts down.
#[cfg(windows)]
pub(crate) fn end_on_signals(shutdown: CancellationToken) -> anyhow::Result<()> {
    use tokio::signal::windows;
    let mut interrupt = windows::ctrl_c().context("Ctrl-C cannot be handled")?;
    let mut interrupted = windows::ctrl_break().context("Ctrl-Break cannot be handled")?;
    let mut closed = windows::ctrl_close().context("the end of the console cannot be handled")?;
    let mut logged_off = windows::ctrl_logoff().context("a log-off cannot be handled")?;
    let mut shut_down = windows::ctrl_shutdown().context("a shutdown cannot be handled")?;
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => tracing::info!("ending on Ctrl-C"),
            _ = interrupted.recv() => tracing::info!("ending on Ctrl-Break"),
            _ = closed.recv() => tracing::info!("ending with the console"),
            _ = logged_off.recv() => tracing::info!("ending with the user's session"),
            _ = shut_down.recv() => tracing::info!("ending with the system"),
        }
        shutdown.cancel();
    });
    Ok(())
}
