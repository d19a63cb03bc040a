//! The command line: the commands, and the options of each.

mod account_arguments;
mod accounts;
pub(crate) mod admin;
mod audit;
pub(crate) mod browse;
pub(crate) mod client_config;
mod clients;
mod config_file;
mod config_text;
mod database_advice;
pub(crate) mod doctor;
mod grants;
pub(crate) mod health;
mod help;
pub(crate) mod hook;
pub(crate) mod http_client;
mod identities;
pub(crate) mod index;
mod key_source;
mod keys;
pub(crate) mod open;
pub(crate) mod options;
pub(crate) mod output;
pub(crate) mod recall;
pub(crate) mod serve;
mod server_address;
mod server_login;
pub(crate) mod setup;
pub(crate) mod shell;
mod tool_client;
pub(crate) mod transfer;
pub(crate) mod usage_error;
pub(crate) mod variables;

pub(crate) use self::help::{command, try_parse};
pub(crate) use self::key_source::restore_terminal;

use clap::{Parser, Subcommand};

use self::options::GlobalOptions;

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

    /// The options of every command.
    #[command(flatten)]
    pub(crate) global: GlobalOptions,
}

/// The commands.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// Serve MCP over Streamable HTTP: the project folder, or the database of `DATABASE_URL`.
    Serve,
    /// Show the bank of the project folder in a browser: who wrote what, a search and the history. Only this computer reaches it.
    Open(open::OpenArguments),
    #[command(flatten)]
    Browse(browse::BrowseCommand),
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
    Setup(setup::SetupOptions),
    /// Print the configuration of an MCP client, or merge it into the client's file.
    ClientConfig(client_config::ClientConfigOptions),
    /// Answer an event of an agent's session, which comes on standard input: the digest at its start, what the bank says on a
    /// prompt, a reminder at its end. For the hooks of Claude Code, Codex, Gemini CLI, Cursor, Copilot CLI and opencode.
    Hook(hook::HookArguments),
    /// Print shell completions.
    Completions(shell::Completions),
    /// Print the manual page, or write the pages of all commands.
    Man(shell::Manual),
    /// Check everything that the server needs, and show what to do; exits with 1 if something must be fixed.
    Doctor(doctor::DoctorArguments),
    /// Show the vectors of search by meaning (`EMBEDDINGS`), or make them again.
    Index(index::IndexArguments),
    /// Measure this program on documents and questions of your own.
    #[command(subcommand)]
    Bench(recall::BenchCommand),
    #[command(flatten)]
    Admin(admin::AdminCommand),
    #[command(flatten)]
    Transfer(transfer::TransferCommand),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }
}
