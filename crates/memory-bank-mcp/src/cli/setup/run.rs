//! One call of `setup`: its options, how changes are confirmed, and what all agents have in common. It must not know how a
//! file is planned or changed.

use std::io::{BufRead, Write};
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use memory_bank_folder::StateFolder;

use crate::cli::client_config::parse_name;
use crate::cli::clients::{Client, ClientPaths, DEFAULT_NAME, Scope};
use crate::cli::options::GlobalOptions;
use crate::cli::output::{Output, escaped_text};
use crate::cli::server_address;

/// The toolset of agents without `--tools`.
pub(super) const TOOLS: &str = "core";
/// How many times a change of a file is planned again because another program changes the file.
pub(super) const ATTEMPTS: usize = 3;

/// Connecting the agents on this machine.
#[derive(Debug, Clone, Args)]
pub(crate) struct SetupOptions {
    /// An agent to set up, also if it is not found; can be repeated. Without it, all agents that are found.
    #[arg(long = "client", value_enum, value_name = "CLIENT")]
    pub(super) clients: Vec<Client>,

    /// The address of a server, such as `https://memory.example.com/mcp`; without it, agents start this program by
    /// themselves.
    #[arg(long, value_name = "URL", value_parser = server_address::parse, conflicts_with = "remove")]
    pub(super) url: Option<String>,

    /// The file with the API key of the server, or `-` for standard input. Without it, the variable for the key is used
    /// (`MEMORY_BANK_API_KEY`), or a prompt asks for the key.
    #[arg(long, value_name = "FILE", requires = "url")]
    pub(super) key_file: Option<PathBuf>,

    /// The server's name in the agents; `memory-bank` when absent. The variable for the key has another name in it.
    #[arg(long, value_parser = parse_name)]
    pub(super) name: Option<String>,

    /// The user's file, which is read in every folder, or the project's, which is meant to be committed and never gets a
    /// key, or with `local` the user's for this project alone (Claude Code only); the user's when absent, except for VS Code.
    #[arg(long, value_enum)]
    pub(super) scope: Option<Scope>,

    /// Do not install the hooks of agents, which start a session with the digest and record it.
    #[arg(long)]
    pub(super) no_hooks: bool,

    /// Remove the entries that `setup` has written, and nothing else.
    #[arg(long)]
    pub(super) remove: bool,

    /// Also replace (with `--remove`, remove) an entry of that name that `setup` did not write in this form; a later `--remove`
    /// gives a replaced entry back.
    #[arg(long)]
    pub(super) replace: bool,

    /// Do not ask.
    #[arg(short = 'y', long)]
    pub(super) yes: bool,

    /// Show what would be done, and change nothing.
    #[arg(long, conflicts_with = "yes")]
    pub(super) dry_run: bool,
}

/// How a change is confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Confirm {
    /// By an answer on the terminal.
    Prompt,
    /// By `--yes`, except for changes that need `--replace`.
    Yes,
    /// Not at all: nothing is changed.
    DryRun,
}

/// The data that all agents have in common.
pub(super) struct Run<'a> {
    pub(super) options: &'a SetupOptions,
    pub(super) global: &'a GlobalOptions,
    pub(super) output: Output,
    pub(super) confirm: Confirm,
    pub(super) project: PathBuf,
    pub(super) paths: ClientPaths,
    pub(super) state: StateFolder,
    /// The project in Claude Code's file of the user; `None` if its path is not UTF-8.
    pub(super) claude_project: Option<String>,
}

impl Run<'_> {
    /// The server's name in the agents.
    pub(super) fn name(&self) -> &str {
        self.options.name.as_deref().unwrap_or(DEFAULT_NAME)
    }

    /// The folder that is taken for the project though it is none: the home folder, or the root folder; without `--path`.
    pub(super) fn no_project(&self) -> Option<&'static str> {
        let home = self.paths.home.as_ref().and_then(|home| dunce::canonicalize(home).ok());
        if self.global.path.is_some() {
            None
        } else if self.project.parent().is_none() {
            Some("the root folder")
        } else {
            home.is_some_and(|home| home == self.project).then_some("your home folder")
        }
    }
}

/// Asks on the terminal; the end of the input means no.
pub(super) fn prompt(question: &str, default: bool) -> anyhow::Result<bool> {
    let mut out = std::io::stdout().lock();
    write!(out, "{}", escaped_text(question))
        .and_then(|()| out.flush())
        .context("standard output is closed")?;
    let mut line = String::new();
    if std::io::stdin().lock().read_line(&mut line).context("the answer cannot be read")? == 0 {
        return Ok(false);
    }
    Ok(match line.trim().to_ascii_lowercase().as_str() {
        "" => default,
        answer => matches!(answer, "y" | "yes"),
    })
}
