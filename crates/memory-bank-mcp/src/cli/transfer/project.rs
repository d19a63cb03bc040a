//! The project of the database that a transfer reads or writes, opened for a member.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Args;
use memory_bank_core::caller::{Caller, Right, Role};
use memory_bank_core::clock::{SystemClock, SystemEntropy};
use memory_bank_core::identity::Administration;
use memory_bank_core::store::NoSink;
use memory_bank_postgres::{Database, OperatorAction, PostgresBank};
use memory_bank_server::http::Redis;
use serde_json::json;

use crate::cli::database_advice::with_advice;
use crate::config::{self, RedisSettings, Settings};
use crate::database;

/// The project, and the member.
#[derive(Debug, Clone, Args)]
pub(crate) struct ProjectArguments {
    /// The project's short name.
    #[arg(long)]
    pub(super) project: String,
    /// The member for whom this is done; an owner of the project when absent.
    #[arg(long)]
    pub(super) user: Option<String>,
}

/// A project of the database, opened for a member.
pub(super) struct OpenedProject {
    redis: Option<RedisSettings>,
    database: Database,
    pub(super) bank: PostgresBank,
    pub(super) caller: Caller,
}

/// Opens the project.
pub(super) async fn open(arguments: &ProjectArguments, right: Right) -> anyhow::Result<OpenedProject> {
    let settings = Settings::read(&config::environment)?;
    let Some(database_settings) = &settings.database else {
        bail!("`DATABASE_URL` is not set; this command needs a database");
    };
    let database = database::connect(database_settings, Arc::new(NoSink)).await?;
    database::require_owner(&database, database_settings).await?;
    let caller = member_caller(&database, arguments, right).await.map_err(with_advice)?;
    let bank = PostgresBank::new(database.clone(), arguments.project.clone());
    Ok(OpenedProject { redis: settings.redis, database, bank, caller })
}

/// The member as a caller, who must have the right.
async fn member_caller(
    database: &Database,
    arguments: &ProjectArguments,
    right: Right,
) -> anyhow::Result<Caller> {
    let projects = database.projects().await?;
    let project = projects.iter().find(|project| project.slug == arguments.project).with_context(|| {
        format!(
            "there is no project `{0}`; create it with `projects create {0} --owner USER`",
            arguments.project
        )
    })?;
    let members = database.members(&arguments.project).await?;
    let member = match &arguments.user {
        Some(name) => members
            .into_iter()
            .find(|member| member.user.name == *name)
            .with_context(|| format!("`{name}` is not a member of `{}`", arguments.project))?,
        None => members
            .into_iter()
            .find(|member| member.role == Role::Owner)
            .with_context(|| format!("`{}` has no owner", arguments.project))?,
    };
    let caller = Caller {
        user: member.user.id,
        project: project.id,
        role: member.role,
        scopes: Vec::new(),
        key: None,
        proof: None,
        user_name: member.user.name,
        is_read_only: false,
    };
    if !caller.may(right) {
        bail!(
            "`{}` may not do this in `{}`; name a member of a higher role with `--user`",
            caller.user_name,
            arguments.project
        );
    }
    Ok(caller)
}

/// Notifies the subscribers of running servers, through Redis, to read the project again.
pub(super) async fn notify_servers(project: &OpenedProject) {
    let Some(RedisSettings { url, prefix }) = &project.redis else { return };
    let published = match Redis::new(url, prefix, Arc::new(SystemClock), Arc::new(SystemEntropy)) {
        Ok(redis) => redis.project_changed(project.caller.project).await,
        Err(_) => false,
    };
    if !published {
        tracing::warn!(
            "Redis (`REDIS_URL`) does not answer; subscribers of running servers are not notified of the change"
        );
    }
}

/// Records the transfer in the audit log, with the name of the folder or file.
pub(super) async fn record_audit(
    project: &OpenedProject,
    arguments: &ProjectArguments,
    action: OperatorAction,
    path: &Path,
) -> anyhow::Result<()> {
    let subject = subject(path);
    let detail = json!({ "inTheNameOf": project.caller.user_name });
    Ok(project.database.note_audit(&arguments.project, action, subject.as_deref(), &detail).await?)
}

/// The name of a folder or file in the audit log: without its path.
pub(super) fn subject(path: &Path) -> Option<String> {
    path.file_name().map(|name| name.to_string_lossy().into_owned())
}
