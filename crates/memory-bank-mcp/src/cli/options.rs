//! The options of every command. This module must not know the commands.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, ValueEnum};
use memory_bank_core::caller::UNKNOWN_USER;
use memory_bank_core::mode::{Mode, UnknownMode};
use memory_bank_folder::{StateFolder, check_folder_name, project_of};
use memory_bank_server::mcp::{ToolOptions, Toolset};

use crate::config::{self, ConfigError};

/// The default name of the bank's folder.
pub(crate) const DEFAULT_FOLDER: &str = "memory-bank";

/// The help heading of these options, so that a command's own options come first.
const HEADING: &str = "Options of every command";

/// The options of every command.
#[derive(Debug, Clone, Args)]
pub(crate) struct GlobalOptions {
    /// The transport; `MCP_TRANSPORT` when absent, and `stdio` without both.
    #[arg(short, long, value_enum, global = true, help_heading = HEADING)]
    pub(crate) transport: Option<Transport>,

    /// The mode at the start.
    #[arg(short, long, value_parser = parse_mode, default_value_t, global = true, help_heading = HEADING)]
    pub(crate) mode: Mode,

    /// The project folder, which contains the bank's folder; the current folder when absent.
    #[arg(short, long, global = true, help_heading = HEADING)]
    pub(crate) path: Option<String>,

    /// The name of the bank's folder inside the project folder.
    #[arg(short, long, default_value = DEFAULT_FOLDER, value_parser = parse_folder, global = true, help_heading = HEADING)]
    pub(crate) folder: String,

    /// Also serve a bank that is reached through a link out of the project folder. By default such a link is refused,
    /// because a project may come from somebody else.
    #[arg(long, global = true, help_heading = HEADING)]
    pub(crate) follow_links: bool,

    /// The folder for state outside of the project, such as API keys; `MEMORY_BANK_STATE_DIR` when absent.
    #[arg(long, value_name = "DIR", global = true, help_heading = HEADING)]
    pub(crate) state_dir: Option<PathBuf>,

    /// Your name, written into entries; an address below github.com/ becomes a link to the profile.
    #[arg(short, long, default_value = UNKNOWN_USER, global = true, help_heading = HEADING)]
    pub(crate) username: String,

    /// The tools that `tools/list` shows: `all`, `core`, or families separated by commas (workspace, documents,
    /// progress, context, graph, modes, thinking, backups); `MEMORY_BANK_TOOLS` when absent. Other tools can still be
    /// called.
    #[arg(long, value_name = "TOOLSET", global = true, help_heading = HEADING)]
    pub(crate) tools: Option<Toolset>,

    /// Refuse every tool and command that changes the memory bank, regardless of the client's request.
    #[arg(long, global = true, help_heading = HEADING)]
    pub(crate) read_only: bool,

    /// Print the output of commands as JSON.
    #[arg(long, global = true, help_heading = HEADING)]
    pub(crate) json: bool,

    /// Log more. `RUST_LOG` sets the level in detail.
    #[arg(short, long, global = true, help_heading = HEADING)]
    pub(crate) debug: bool,
}

/// The transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Transport {
    /// Standard input and output, for one client that starts this process.
    Stdio,
    /// Streamable HTTP.
    Http,
}

impl GlobalOptions {
    /// The project folder.
    pub(crate) fn project(&self) -> anyhow::Result<PathBuf> {
        let here = std::env::current_dir().context("the current folder cannot be used")?;
        project_of(self.path.as_deref(), &self.folder, &here, std::env::home_dir())
            .context("the project folder cannot be used")
    }

    /// The folder for state outside of the project.
    pub(crate) fn state_folder(&self) -> anyhow::Result<StateFolder> {
        config::state_folder(self.state_dir.as_deref(), &config::environment)?.context(
            "there is no home folder for the API keys; set `HOME`, or name a folder with `--state-dir` or \
             `MEMORY_BANK_STATE_DIR`",
        )
    }

    /// The tools to list, and read-only mode, with the environment's settings.
    pub(crate) fn tool_options(&self) -> Result<ToolOptions, ConfigError> {
        config::tool_options(self.tools.as_ref(), self.read_only, &config::environment)
    }
}

fn parse_mode(word: &str) -> Result<Mode, String> {
    word.parse().map_err(|error: UnknownMode| error.to_string())
}

/// The bank's folder must be a single name in the project folder.
fn parse_folder(name: &str) -> Result<String, String> {
    check_folder_name(name).map(|()| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_more_than_one_name_is_refused() {
        for name in ["", ".", "..", "a/b", "/a", "$HOME", "${workspaceFolder}", "~", ".git"] {
            assert!(parse_folder(name).is_err(), "{name}");
        }
        assert_eq!(parse_folder("memory-bank"), Ok("memory-bank".to_owned()));
    }
}
