//! `setup`: finds the agents on this machine, shows what it would write into their files, asks, writes, checks the result,
//! and takes it away again with `--remove`.
//!
//! `plan.rs` decides what is to be done with one file, `apply.rs` asks and does it, `remove.rs` undoes it, `records.rs`
//! remembers what was written. Each agent is one [`plan::Target`] with one file; hooks of an agent are further targets of
//! it, which are planned, shown, written, recorded and removed in the same way.

mod apply;
mod check;
mod masks;
mod plan;
mod records;
mod remove;
mod report;
mod show;

use std::io::IsTerminal;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use memory_bank_core::identity::PlainKey;
use memory_bank_folder::StateFolder;

use self::plan::Target;
use self::report::Report;
use crate::cli::client_config::{parse_name, project_folder};
use crate::cli::clients::{Client, DEFAULT_NAME, Place, Scope, key_variable};
use crate::cli::options::GlobalOptions;
use crate::cli::output::{Output, note};
use crate::cli::{key_source, server_address};

/// The toolset that agents are shown without `--tools`.
const TOOLS: &str = "core";

/// Connecting the agents on this machine.
#[derive(Debug, Clone, Args)]
pub(crate) struct Setup {
    /// An agent to set up, also if it is not found; can be repeated. Without it, all agents that are found.
    #[arg(long = "client", value_enum, value_name = "CLIENT")]
    clients: Vec<Client>,

    /// The address of a server, such as `https://memory.example.com/mcp`; without it, agents start this program by
    /// themselves.
    #[arg(long, value_name = "URL", value_parser = server_address::parse, conflicts_with = "remove")]
    url: Option<String>,

    /// The file with the API key of the server, or `-` for standard input. Without it, the variable for the key counts
    /// (`MEMORY_BANK_API_KEY`), or the key is asked for.
    #[arg(long, value_name = "FILE", requires = "url")]
    key_file: Option<PathBuf>,

    /// The server's name in the agents; `memory-bank` when absent. The variable for the key has another name in it.
    #[arg(long, value_parser = parse_name)]
    name: Option<String>,

    /// The user's file, which is read in every folder, or the project's, which is meant to be committed and never gets a
    /// key; the user's when absent, except for VS Code.
    #[arg(long, value_enum)]
    scope: Option<Scope>,

    /// Take away what `setup` has written, and nothing else.
    #[arg(long)]
    remove: bool,

    /// Also replace, or with `--remove` take away, an entry of that name that is not as `setup` writes it.
    #[arg(long)]
    replace: bool,

    /// Do not ask.
    #[arg(short = 'y', long)]
    yes: bool,

    /// Show what would be done, and change nothing.
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
}

/// Nothing can be asked, and no option answers.
#[derive(Debug, thiserror::Error)]
#[error(
    "standard input is no terminal, so that nothing can be asked, and nothing was changed; see what would be done with \
     `--dry-run`, or do it with `--yes`, for chosen agents with `--yes --client NAME`"
)]
pub(crate) struct CannotAsk;

/// How a change is confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Confirm {
    /// By an answer on the terminal.
    Prompt,
    /// By `--yes`; what needs `--replace` is not.
    Yes,
    /// Not at all: nothing is done.
    DryRun,
}

/// What all agents have in common.
struct Run<'a> {
    wanted: &'a Setup,
    global: &'a GlobalOptions,
    output: Output,
    confirm: Confirm,
    project: PathBuf,
    place: Place,
    state: StateFolder,
}

impl Run<'_> {
    fn name(&self) -> &str {
        self.wanted.name.as_deref().unwrap_or(DEFAULT_NAME)
    }

    /// Whether the project is the home folder, without `--path`.
    fn is_in_home(&self) -> bool {
        let home = self.place.home.as_ref().and_then(|home| home.canonicalize().ok());
        self.global.path.is_none() && home.is_some_and(|home| home == self.project)
    }
}

/// Sets up the agents, or undoes it.
pub(crate) async fn run(wanted: &Setup, global: &GlobalOptions, output: Output) -> anyhow::Result<()> {
    let (setup, options) = (wanted.clone(), global.clone());
    // Answers are waited for on a thread of its own, so that a signal ends the process meanwhile.
    let changed = tokio::task::spawn_blocking(move || change(&setup, &options, output));
    let (mut report, key) = changed.await.context("the files were not finished")??;
    if !wanted.remove && !wanted.dry_run && report.has_written_or_found() {
        report.findings = Some(match &wanted.url {
            Some(url) => check::server(url, key.as_ref()).await,
            None => crate::cli::doctor::findings_of_stdio(global).await,
        });
    }
    report.show(output)
}

/// Changes the files; the report, and the key of the server.
fn change(
    wanted: &Setup,
    global: &GlobalOptions,
    output: Output,
) -> anyhow::Result<(Report, Option<PlainKey>)> {
    let run = Run {
        wanted,
        global,
        output,
        confirm: confirm(wanted, output)?,
        project: project_folder(global)?,
        place: Place::of_this_machine(),
        state: global.state_folder()?,
    };
    let mut report = Report::default();
    if wanted.remove {
        remove::run(&run, &mut report)?;
        return Ok((report, None));
    }
    let targets = targets(&run)?;
    let key = key(&run)?;
    apply::run(&run, &targets, key.as_ref(), &mut report)?;
    Ok((report, key))
}

fn confirm(wanted: &Setup, output: Output) -> Result<Confirm, CannotAsk> {
    if wanted.dry_run {
        Ok(Confirm::DryRun)
    } else if wanted.yes {
        Ok(Confirm::Yes)
    } else if std::io::stdin().is_terminal()
        && !output.json
        && wanted.key_file.as_ref().is_none_or(|file| file.as_os_str() != "-")
    {
        Ok(Confirm::Prompt)
    } else {
        Err(CannotAsk)
    }
}

/// The key, if a server is named.
fn key(run: &Run<'_>) -> anyhow::Result<Option<PlainKey>> {
    let Some(url) = &run.wanted.url else { return Ok(None) };
    if let Some(file) = &run.wanted.key_file {
        return key_source::from_file(file).map(Some);
    }
    let variable = key_variable(run.name());
    if let Some(key) = key_source::from_variable(&variable)? {
        return Ok(Some(key));
    }
    if run.confirm != Confirm::Prompt {
        return Ok(None);
    }
    note(&format!("The API key for {url} goes into your own files only, which are closed to others then."))?;
    key_source::from_prompt(&format!("API key (hidden; empty to set {variable} by yourself): "))
}

/// The files to write.
fn targets(run: &Run<'_>) -> anyhow::Result<Vec<Target>> {
    let mut targets = Vec::new();
    let mut clients = run.wanted.clients.clone();
    clients.sort_unstable();
    clients.dedup();
    if clients.is_empty() {
        let found = run.place.found();
        if found.is_empty() {
            let known: Vec<_> = Client::agents().map(|client| client.row().title).collect();
            bail!(
                "no agent was found on this machine; `setup` knows {}. Name one with `--client`, such as `--client claude-code`",
                known.join(", ")
            );
        }
        clients = found.into_iter().map(|found| found.client).collect();
        clients.dedup();
        if run.wanted.scope == Some(Scope::Project) {
            clients.retain(|client| client.row().project_file.is_some());
        }
    }
    for client in clients {
        let scope = run.wanted.scope.unwrap_or_else(|| client.setup_scope());
        let files = client
            .files(scope, &run.project, &run.place)
            .with_context(|| format!("{} cannot be set up", client.row().title))?;
        targets.extend(files.into_iter().map(|file| Target { client, scope, file }));
    }
    Ok(targets)
}
