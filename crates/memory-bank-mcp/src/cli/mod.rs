//! The command line: every flag, and the environment variable that stands for it.

pub(crate) mod admin;
mod audit;
pub(crate) mod client_config;
pub(crate) mod doctor;
pub(crate) mod health;
pub(crate) mod index;
mod keys;
pub(crate) mod moving;
pub(crate) mod output;
pub(crate) mod recall;
pub(crate) mod serve;
mod server_login;
pub(crate) mod shell;
pub(crate) mod variables;

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use memory_bank_core::caller::UNKNOWN_USER;
use memory_bank_core::mode::Mode;
use memory_bank_server::mcp::Toolset;

/// The bank's folder inside the project folder, unless another is named.
pub(crate) const DEFAULT_FOLDER: &str = "memory-bank";

/// What stands above the options that every command takes, so that its own come first.
const FOR_ALL: &str = "Options of every command";

/// Where all other settings are.
const SETTINGS: &str =
    "A server and its database are set by environment variables: `memory-bank-mcp config` shows them.";

/// An MCP server that gives AI coding assistants a lasting memory of their projects.
///
/// Without arguments it serves the memory bank of the current folder over standard input and output.
#[derive(Debug, Parser)]
#[command(name = "memory-bank-mcp", version, about, long_about, after_help = SETTINGS)]
pub(crate) struct Cli {
    /// What to do; without a command, a client is served as `--transport` says.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    /// How clients connect; `MCP_TRANSPORT` decides when this is absent, `stdio` when both are.
    #[arg(short, long, value_enum, global = true, help_heading = FOR_ALL)]
    pub(crate) transport: Option<Transport>,

    /// The mode to start in.
    #[arg(short, long, value_parser = parse_mode, default_value_t, global = true, help_heading = FOR_ALL)]
    pub(crate) mode: Mode,

    /// The project folder, which holds the bank's folder; the current folder when absent.
    #[arg(short, long, global = true, help_heading = FOR_ALL)]
    pub(crate) path: Option<String>,

    /// The name of the bank's folder inside the project folder.
    #[arg(short, long, default_value = DEFAULT_FOLDER, value_parser = parse_folder, global = true, help_heading = FOR_ALL)]
    pub(crate) folder: String,

    /// Serve a bank also where a link leads out of the project folder. Without, such a link is refused: a project may come
    /// from somebody else.
    #[arg(long, global = true, help_heading = FOR_ALL)]
    pub(crate) follow_links: bool,

    /// The folder for what is kept outside of the project, such as API keys; `MEMORY_BANK_STATE_DIR` when absent.
    #[arg(long, value_name = "DIR", global = true, help_heading = FOR_ALL)]
    pub(crate) state_dir: Option<PathBuf>,

    /// Your name, written into entries; an address below github.com/ becomes a link to the profile.
    #[arg(short, long, default_value = UNKNOWN_USER, global = true, help_heading = FOR_ALL)]
    pub(crate) username: String,

    /// The tools that clients are shown: `all`, `core`, or families separated by commas (workspace, documents, progress,
    /// context, graph, modes, thinking, backups); `MEMORY_BANK_TOOLS` when absent. Others are answered all the same.
    #[arg(long, value_name = "TOOLSET", global = true, help_heading = FOR_ALL)]
    pub(crate) tools: Option<Toolset>,

    /// Refuse every tool and command that changes the memory bank, whatever a client asks for.
    #[arg(long, global = true, help_heading = FOR_ALL)]
    pub(crate) read_only: bool,

    /// Print what commands say as JSON, for programs.
    #[arg(long, global = true, help_heading = FOR_ALL)]
    pub(crate) json: bool,

    /// Log more. `RUST_LOG` decides in detail.
    #[arg(short, long, global = true, help_heading = FOR_ALL)]
    pub(crate) debug: bool,
}

/// What to do.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// Serve MCP over Streamable HTTP: the project folder, or the database of `DATABASE_URL`.
    Serve,
    /// Show every environment variable: what it holds, its default and what it takes. Secrets are not shown.
    Config,
    /// Ask the server that runs on this machine how it is: exit code 0 when it can serve, 1 otherwise.
    Health {
        /// Only ask whether the process answers, not whether its database does.
        #[arg(long)]
        live: bool,
    },
    /// Print what a client's configuration file has to say, or merge it into the file.
    ClientConfig(client_config::ClientConfig),
    /// Print completions for a shell.
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
    Moving(moving::MovingCommand),
}

/// How clients connect.
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

/// The bank's folder is one name below the project folder.
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
