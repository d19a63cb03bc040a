//! Transfers of whole projects: between a folder and the database, and between the database and one file.
//!
//! The commands use the operator's connection, but act for a member of the project, under row-level security.

mod archive;
mod backup;
mod export;
mod import;
mod memory_file;
mod progress;
mod restore;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Subcommand;
use memory_bank_core::caller::{Caller, Right, Role};
use memory_bank_core::clock::{SystemClock, SystemEntropy};
use memory_bank_core::identity::Administration;
use memory_bank_core::store::NoSink;
use memory_bank_core::transfer::Size;
use memory_bank_postgres::{Database, OperatorAction, PostgresBank};
use memory_bank_server::http::Redis;
use serde_json::{Value, json};

use crate::cli::output::Output;
use crate::cli::{Cli, admin};
use crate::config::{self, RedisSettings, Settings};
use crate::database;

/// A command that transfers a project.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum TransferCommand {
    /// Import a folder's memory bank into a project of the database: documents, graph, rules files, backups. Or
    /// import the graph of a reference memory server, its `memory.json`, into a project or into the bank of the
    /// folder.
    Import {
        /// The bank's folder, or the project folder that contains it; or a `memory.json`. It is only read.
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
        /// Check everything and print the result, but change nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Export a project of the database into a folder, which can be served over standard input and output.
    Export {
        #[command(flatten)]
        whose: Whose,
        /// The bank's folder (called `memory-bank`), or a project folder for it: missing or empty.
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
        /// Write even if the folder is not empty; the existing bank becomes a backup beside the new one.
        #[arg(long)]
        replace: bool,
        /// Omit the backups.
        #[arg(long)]
        no_backups: bool,
        /// Print the result, but write nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Back up a project of the database into one file.
    Backup {
        #[command(flatten)]
        whose: Whose,
        /// The file to create, such as `atlas.zip`; it must not exist.
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
    /// Restore a project of the database from a file of `backup`; its previous content is saved in a snapshot.
    Restore {
        #[command(flatten)]
        whose: Whose,
        /// The file.
        #[arg(long, value_name = "FILE")]
        from: PathBuf,
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

/// The project, and the member.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Whose {
    /// The project's short name.
    #[arg(long)]
    project: String,
    /// The member for whom this is done; an owner of the project when absent.
    #[arg(long)]
    user: Option<String>,
}

/// Runs one command.
pub(crate) async fn run(command: &TransferCommand, cli: &Cli, output: Output) -> anyhow::Result<()> {
    if let Some(name) = command.changes_bank()
        && config::tool_options(cli.tools.as_ref(), cli.read_only, &config::environment)?.read_only
    {
        bail!(
            "`{name}` changes a memory bank, and `--read-only` or `MEMORY_BANK_READ_ONLY` forbids that; nothing was done. \
             Leave the setting out for this command, or try the command with `--dry-run`"
        );
    }
    match command {
        TransferCommand::Import { from, project, user, merge, replace, no_backups, dry_run } => {
            let options = import::TransferOptions {
                merge: *merge,
                replace: *replace,
                backups: !no_backups,
                dry_run: *dry_run,
            };
            match project {
                Some(project) => {
                    let whose = Whose { project: project.clone(), user: user.clone() };
                    import::run(from, cli, &whose, options, output).await
                }
                None => memory_file::run(from, cli, options, output).await,
            }
        }
        TransferCommand::Export { whose, to, replace, no_backups, dry_run } => {
            let options =
                export::TransferOptions { replace: *replace, backups: !no_backups, dry_run: *dry_run };
            export::run(to, &cli.folder, whose, options, output).await
        }
        TransferCommand::Backup { whose, to } => backup::run(to, whose, output).await,
        TransferCommand::Restore { whose, from, dry_run } => {
            restore::run(from, whose, *dry_run, output).await
        }
    }
}

/// A project of the database, opened for a member.
struct Project {
    redis: Option<RedisSettings>,
    database: Database,
    bank: PostgresBank,
    caller: Caller,
}

/// Opens the project.
async fn open(whose: &Whose, right: Right) -> anyhow::Result<Project> {
    let settings = Settings::read(&config::environment)?;
    let Some(wanted) = &settings.database else {
        bail!("`DATABASE_URL` is not set; this command works on a database");
    };
    let database = database::reach(wanted, Arc::new(NoSink)).await?;
    database::expect_owner(&database, wanted).await?;
    let caller = member(&database, whose, right).await.map_err(admin::advised)?;
    let bank = PostgresBank::new(database.clone(), whose.project.clone());
    Ok(Project { redis: settings.redis, database, bank, caller })
}

async fn member(database: &Database, whose: &Whose, right: Right) -> anyhow::Result<Caller> {
    let projects = database.projects().await?;
    let project = projects.iter().find(|project| project.slug == whose.project).with_context(|| {
        format!("there is no project `{0}`; `projects create {0} --owner USER` makes it", whose.project)
    })?;
    let members = database.members(&whose.project).await?;
    let member = match &whose.user {
        Some(name) => members
            .into_iter()
            .find(|member| member.user.name == *name)
            .with_context(|| format!("`{name}` is no member of `{}`", whose.project))?,
        None => members
            .into_iter()
            .find(|member| member.role == Role::Owner)
            .with_context(|| format!("`{}` has no owner", whose.project))?,
    };
    let caller = Caller {
        user: member.user.id,
        project: project.id,
        role: member.role,
        scopes: Vec::new(),
        key: None,
        proof: None,
        user_name: member.user.name,
    };
    if !caller.may(right) {
        bail!(
            "`{}` may not do this in `{}`; it takes a member of a higher role",
            caller.user_name,
            whose.project
        );
    }
    Ok(caller)
}

/// Notifies the subscribers of running servers, through Redis, to read the project again.
async fn notify_servers(project: &Project) {
    let Some(RedisSettings { url, prefix }) = &project.redis else { return };
    let message = match Redis::new(url, prefix, Arc::new(SystemClock), Arc::new(SystemEntropy)) {
        Ok(redis) => redis.project_changed(project.caller.project).await,
        Err(_) => false,
    };
    if !message {
        tracing::warn!(
            "Redis (`REDIS_URL`) does not answer; subscribers of running servers are not told to read the project again"
        );
    }
}

/// Records the transfer in the audit log, with the name of the folder or file.
async fn note(project: &Project, whose: &Whose, action: OperatorAction, with: &Path) -> anyhow::Result<()> {
    let subject = subject(with);
    let detail = json!({ "inTheNameOf": project.caller.user_name });
    Ok(project.database.note_audit(&whose.project, action, subject.as_deref(), &detail).await?)
}

/// The name of a folder or file in the audit log: without its path.
fn subject(path: &Path) -> Option<String> {
    path.file_name().map(|name| name.to_string_lossy().into_owned())
}

fn surroundings() -> memory_bank_folder::Deps {
    memory_bank_folder::Deps {
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        sink: Arc::new(NoSink),
    }
}

fn size_json(size: Size) -> Value {
    json!({
        "documents": size.documents, "entities": size.entities, "observations": size.observations,
        "relations": size.relations, "otherFiles": size.files,
    })
}

fn size_text(size: Size) -> String {
    format!(
        "{} documents, {} other files, {} entities, {} observations, {} relations",
        size.documents, size.files, size.entities, size.observations, size.relations
    )
}

/// The non-empty lines of a report.
fn lines(lines: impl IntoIterator<Item = Option<String>>) -> String {
    lines.into_iter().flatten().collect::<Vec<_>>().join("\n")
}
