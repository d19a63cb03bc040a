//! Transfers of whole projects: between a folder and the database, and between the database and one file.
//!
//! The commands use the operator's connection, but act for a member of the project, under row-level security.

mod agent_files;
mod backup;
mod export;
mod import;
mod import_memory_file;
mod memory_file;
mod progress;
mod project;
mod report;
mod restore;

use std::path::PathBuf;

use anyhow::bail;
use clap::Subcommand;

use self::project::ProjectArguments;
use crate::cli::options::GlobalOptions;
use crate::cli::output::Output;

/// A command that transfers a project.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum TransferCommand {
    /// Import a folder's memory bank into a project of the database: documents, graph, rules files, backups. Or
    /// import the graph of a reference memory server, its `memory.json`, into a project or into the bank of the
    /// folder. Or import what other agents and programs keep in a project, with `--from auto`.
    Import {
        /// The bank's folder, or the project folder that contains it; or a `memory.json`. Or `auto`: CLAUDE.md,
        /// AGENTS.md, GEMINI.md, rules of Cursor, Windsurf, Cline, Roo and Copilot, memory banks of Cline and Roo,
        /// memories of Serena, `memory.json` and vaults of Obsidian. It is only read.
        #[arg(long, value_name = "PATH")]
        from: PathBuf,
        /// The project's short name. When absent, a `memory.json` is imported into the memory bank of the folder
        /// (`--path`).
        #[arg(long)]
        project: Option<String>,
        /// The member for whom this is done; an owner of the project when absent.
        #[arg(long, requires = "project")]
        user: Option<String>,
        /// Merge into the project; documents and entities of the same name are replaced.
        #[arg(long, conflicts_with = "replace")]
        merge: bool,
        /// Replace the project; its previous content is saved in a snapshot.
        #[arg(long)]
        replace: bool,
        /// Omit the folder's backups.
        #[arg(long)]
        no_backups: bool,
        /// Omit the folder's history; by default it is imported, and its versions are marked as imported.
        #[arg(long)]
        no_history: bool,
        /// Check everything and print the result, but change nothing.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        agent_files: agent_files::AgentFiles,
    },
    /// Export a project of the database into a folder, which can be served over standard input and output.
    Export {
        #[command(flatten)]
        of: ProjectArguments,
        /// The bank's folder (called `memory-bank`), or a project folder for it: missing or empty.
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
        /// Write even if the folder is not empty; the existing bank becomes a backup beside the new one.
        #[arg(long)]
        replace: bool,
        /// Omit the backups.
        #[arg(long)]
        no_backups: bool,
        /// Omit the history; by default the former versions of documents and the changes of the graph are exported.
        #[arg(long)]
        no_history: bool,
        /// Print the result, but write nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Back up a project of the database into one file.
    Backup {
        #[command(flatten)]
        of: ProjectArguments,
        /// The file to create, such as `atlas.zip`; it must not exist.
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
        /// Omit the history; by default the file contains the former versions of documents and the changes of the graph.
        #[arg(long)]
        no_history: bool,
    },
    /// Restore a project of the database from a file of `backup`; its previous content is saved in a snapshot.
    Restore {
        #[command(flatten)]
        of: ProjectArguments,
        /// The file.
        #[arg(long, value_name = "FILE")]
        from: PathBuf,
        /// Omit the file's history; by default the former versions of documents that the project does not know are restored, and
        /// the changes of its graph, if it never had one.
        /// The project's own history stays in any case.
        #[arg(long)]
        no_history: bool,
        /// Check the file and everything else and print the result, but change nothing.
        #[arg(long)]
        dry_run: bool,
    },
}

impl TransferCommand {
    /// The command's name, if it changes an existing memory bank.
    fn changes_bank(&self) -> Option<&'static str> {
        match self {
            Self::Import { dry_run: false, .. } => Some("import"),
            Self::Restore { dry_run: false, .. } => Some("restore"),
            Self::Export { dry_run: false, replace: true, .. } => Some("export --replace"),
            Self::Import { .. } | Self::Restore { .. } | Self::Export { .. } | Self::Backup { .. } => None,
        }
    }
}

/// Runs one command.
pub(crate) async fn run(
    command: &TransferCommand,
    global: &GlobalOptions,
    output: Output,
) -> anyhow::Result<()> {
    if let Some(name) = command.changes_bank()
        && global.tool_options()?.read_only
    {
        bail!(
            "`{name}` changes a memory bank, and `--read-only` or `MEMORY_BANK_READ_ONLY` forbids that; nothing was done. \
             Leave the setting out for this command, or try the command with `--dry-run`"
        );
    }
    match command {
        TransferCommand::Import {
            from,
            project,
            user,
            merge,
            replace,
            no_backups,
            no_history,
            dry_run,
            agent_files,
        } => {
            let options = import::ImportOptions {
                merge: *merge,
                replace: *replace,
                backups: !no_backups,
                history: !no_history,
                dry_run: *dry_run,
            };
            let arguments = project
                .as_ref()
                .map(|project| ProjectArguments { project: project.clone(), user: user.clone() });
            if from.as_os_str() == agent_files::AUTO {
                return agent_files::run(agent_files, options, global, arguments.as_ref(), output).await;
            }
            if agent_files.is_given() {
                bail!("`--in`, `--only` and `--beside` are for `--from auto`");
            }
            match arguments {
                Some(arguments) => import::run(from, global, &arguments, options, output).await,
                None => import_memory_file::run(from, global, options, output).await,
            }
        }
        TransferCommand::Export { of, to, replace, no_backups, no_history, dry_run } => {
            let options = export::ExportOptions {
                replace: *replace,
                backups: !no_backups,
                history: !no_history,
                dry_run: *dry_run,
            };
            export::run(to, global, of, options, output).await
        }
        TransferCommand::Backup { of, to, no_history } => backup::run(to, of, !no_history, output).await,
        TransferCommand::Restore { of, from, no_history, dry_run } => {
            restore::run(from, of, !no_history, *dry_run, output).await
        }
    }
}
