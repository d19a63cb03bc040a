//! The command line: every flag, and its environment variable.

pub(crate) mod admin;
mod audit;
pub(crate) mod client_config;
mod clients;
mod config_file;
mod config_text;
pub(crate) mod doctor;
pub(crate) mod health;
pub(crate) mod index;
mod key_source;
mod keys;
pub(crate) mod output;
pub(crate) mod recall;
pub(crate) mod serve;
mod server_address;
mod server_login;
pub(crate) mod setup;
pub(crate) mod shell;
pub(crate) mod transfer;
pub(crate) mod variables;

pub(crate) use self::key_source::restore_terminal;

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use memory_bank_core::caller::UNKNOWN_USER;
use memory_bank_core::mode::Mode;
use memory_bank_server::mcp::Toolset;

/// The default name of the bank's folder.
pub(crate) const DEFAULT_FOLDER: &str = "memory-bank";

/// The help heading of global options, so that a command's own options come first.
const FOR_ALL: &str = "Options of every command";

/// The help text about settings.
const SETTINGS: &str =
    "A server and its database are set by environment variables: `memory-bank-mcp config` shows them.";

/// An MCP server that gives AI coding assistants a lasting memory of their projects.
///
/// Without arguments it serves the memory bank of the current folder over standard input and output.
#[derive(Debug, Clone, Parser)]
#[command(name = "memory-bank-mcp", version, about, long_about, after_help = SETTINGS)]
pub(crate) struct Cli {
    /// The command; without one, the server starts with `--transport`.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    /// The transport; `MCP_TRANSPORT` when absent, and `stdio` without both.
    #[arg(short, long, value_enum, global = true, help_heading = FOR_ALL)]
    pub(crate) transport: Option<Transport>,

    /// The mode at the start.
    #[arg(short, long, value_parser = parse_mode, default_value_t, global = true, help_heading = FOR_ALL)]
    pub(crate) mode: Mode,

    /// The project folder, which contains the bank's folder; the current folder when absent.
    #[arg(short, long, global = true, help_heading = FOR_ALL)]
    pub(crate) path: Option<String>,

    /// The name of the bank's folder inside the project folder.
    #[arg(short, long, default_value = DEFAULT_FOLDER, value_parser = parse_folder, global = true, help_heading = FOR_ALL)]
    pub(crate) folder: String,

    /// Also serve a bank that is reached through a link out of the project folder. By default such a link is refused,
    /// because a project may come from somebody else.
    #[arg(long, global = true, help_heading = FOR_ALL)]
    pub(crate) follow_links: bool,

    /// The folder for state outside of the project, such as API keys; `MEMORY_BANK_STATE_DIR` when absent.
    #[arg(long, value_name = "DIR", global = true, help_heading = FOR_ALL)]
    pub(crate) state_dir: Option<PathBuf>,

    /// Your name, written into entries; an address below github.com/ becomes a link to the profile.
    #[arg(short, long, default_value = UNKNOWN_USER, global = true, help_heading = FOR_ALL)]
    pub(crate) username: String,

    /// The tools that `tools/list` shows: `all`, `core`, or families separated by commas (workspace, documents,
    /// progress, context, graph, modes, thinking, backups); `MEMORY_BANK_TOOLS` when absent. Other tools can still be
    /// called.
    #[arg(long, value_name = "TOOLSET", global = true, help_heading = FOR_ALL)]
    pub(crate) tools: Option<Toolset>,

    /// Refuse every tool and command that changes the memory bank, regardless of the client's request.
    #[arg(long, global = true, help_heading = FOR_ALL)]
    pub(crate) read_only: bool,

    /// Print the output of commands as JSON.
    #[arg(long, global = true, help_heading = FOR_ALL)]
    pub(crate) json: bool,

    /// Log more. `RUST_LOG` sets the level in detail.
    #[arg(short, long, global = true, help_heading = FOR_ALL)]
    pub(crate) debug: bool,
}

/// The commands.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// Serve MCP over Streamable HTTP: the project folder, or the database of `DATABASE_URL`.
    Serve,
    /// Show every environment variable with its value, its default and its allowed values. Secrets are not shown.
    Config,
    /// Check the server on this machine: exit code 0 if it is ready, 1 otherwise.
    Health {
        /// Check only that the process answers, not its database.
        #[arg(long)]
        live: bool,
    },
    /// Connect the agents on this machine: find them, show the change of each file, ask, write and check it. `--remove` undoes
    /// it.
    Setup(setup::Setup),
    /// Print the configuration of an MCP client, or merge it into the client's file.
    ClientConfig(client_config::ClientConfig),
    /// Print shell completions.
    Completions(shell::Completions),
    /// Print the manual page, or write the pages of all commands.
    Man(shell::Manual),
    /// Look at everything that the server needs, and say what to do; exits with 1 when something must be mended.
    Doctor(doctor::DoctorArguments),
    /// Show the vectors of search by meaning (`EMBEDDINGS`), or make them anew.
    Index(index::IndexArguments),
    /// Measure this program on documents and questions of your own.
    #[command(subcommand)]
    Bench(recall::BenchCommand),
    #[command(flatten)]
    Admin(admin::AdminCommand),
    #[command(flatten)]
    Transfer(transfer::TransferCommand),
}

/// The transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Transport {
    /// Standard input and output, for one client that starts this process.
    Stdio,
    /// Streamable HTTP.
    Http,
}

fn parse_mode(word: &str) -> Result<Mode, String> {
    word.parse().map_err(|error: memory_bank_core::mode::UnknownMode| error.to_string())
}

/// The bank's folder must be a single name in the project folder.
fn parse_folder(name: &str) -> Result<String, String> {
    memory_bank_folder::check_folder_name(name).map(|()| name.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_folder_that_is_no_single_name_is_refused() {
        for name in ["", ".", "..", "a/b", "/a", "$HOME", "${workspaceFolder}", "~", ".git"] {
            assert!(parse_folder(name).is_err(), "{name}");
        }
        assert_eq!(parse_folder("memory-bank"), Ok("memory-bank".to_owned()));
    }
}
