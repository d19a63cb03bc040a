//! Commands for people at a shell, and for scripts: they read a bank, or add a decision to it.
//!
//! Each command calls a tool, in this process for a folder, over HTTP for a server, and shows the tool's data. So it knows no
//! rule of documents, search or graph, and must not.

mod arguments;
mod bank;
mod command_output;
mod decision;
mod digest;
mod documents;
mod folder;
mod graph;
mod history_call;
mod init;
mod log;
mod maintain;
mod markdown;
mod pager;
mod screen;
mod search;
mod status;
mod undo;
mod versions;

use tokio_util::sync::CancellationToken;

pub(crate) use self::arguments::BrowseCommand;
use self::bank::CommandBank;
use self::command_output::CommandOutput;
use self::screen::{Screen, json_line};
use crate::cli::options::GlobalOptions;
use crate::cli::output::{Output, print_stderr};

/// Runs one command. A signal ends it, unless a pager shows its output already.
pub(crate) async fn run(
    command: &BrowseCommand,
    global: &GlobalOptions,
    output: Output,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let view = command.options().view();
    let screen = Screen::new(view);
    let shown = tokio::select! {
        shown = Box::pin(show(command, global, screen)) => shown?,
        () = shutdown.cancelled() => anyhow::bail!("ended by a signal"),
    };
    if output.json {
        pager::print(&json_line(&shown.data))?;
    } else if !shown.text.is_empty() {
        let text = shown.text;
        tokio::task::spawn_blocking(move || pager::show(&text, view)).await??;
    }
    if let Some(note) = shown.note.filter(|_| !output.json) {
        print_stderr(&note)?;
    }
    match shown.not_found {
        Some(text) => Err(anyhow::anyhow!(text)),
        None => Ok(()),
    }
}

async fn show(
    command: &BrowseCommand,
    global: &GlobalOptions,
    screen: Screen,
) -> anyhow::Result<CommandOutput> {
    let bank = CommandBank::open(command, global).await?;
    match command {
        BrowseCommand::Init { .. } => init::run(&bank, global, screen).await,
        BrowseCommand::List { names, .. } => documents::list(&bank, *names, screen).await,
        BrowseCommand::Show { document, part, as_of, .. } => {
            documents::show(&bank, document, (part, as_of.as_deref()), screen).await
        }
        BrowseCommand::Search { search, .. } => search::run(&bank, search, screen).await,
        BrowseCommand::Digest { tokens, facts, .. } => digest::run(&bank, *tokens, facts, screen).await,
        BrowseCommand::Log { entries, decisions, .. } => log::run(&bank, *entries, *decisions, screen).await,
        BrowseCommand::History { history, .. } => versions::history(&bank, history, screen).await,
        BrowseCommand::Diff { diff, .. } => versions::diff(&bank, diff, screen).await,
        BrowseCommand::Blame { document, .. } => versions::blame(&bank, document, screen).await,
        BrowseCommand::Undo { undo, .. } => undo::run(&bank, undo, screen).await,
        BrowseCommand::Maintain { apply, .. } => maintain::run(&bank, apply, screen).await,
        BrowseCommand::Graph(command) => graph::run(&bank, command, screen).await,
        BrowseCommand::AddDecision { decision, .. } => decision::run(&bank, decision, screen).await,
        BrowseCommand::Status { .. } => status::run(&bank, screen).await,
    }
}
