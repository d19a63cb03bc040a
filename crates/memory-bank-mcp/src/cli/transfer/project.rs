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

use crate::cli::admin;
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
pub(super) async fn open(wanted: &ProjectArguments, right: Right) -> anyhow::Result<OpenedProject> {
    let settings = Settings::read(&config::environment)?;
    let Some(settings_of_database) = &settings.database else {
        bail!("`DATABASE_URL` is not set; this command works on a database");
    };
    let database = database::reach(settings_of_database, Arc::new(NoSink)).await?;
    database::expect_owner(&database, settings_of_database).await?;
    let caller = member(&database, wanted, right).await.map_err(admin::advised)?;
    let bank = PostgresBank::new(database.clone(), wanted.project.clone());
    Ok(OpenedProject { redis: settings.redis, database, bank, caller })
}

async fn member(database: &Database, wanted: &ProjectArguments, right: Right) -> anyhow::Result<Caller> {
    let projects = database.projects().await?;
    let project = projects.iter().find(|project| project.slug == wanted.project).with_context(|| {
        format!("there is no project `{0}`; `projects create {0} --owner USER` makes it", wanted.project)
    })?;
    let members = database.members(&wanted.project).await?;
    let member = match &wanted.user {
        Some(name) => members
            .into_iter()
            .find(|member| member.user.name == *name)
            .with_context(|| format!("`{name}` is no member of `{}`", wanted.project))?,
        None => members
            .into_iter()
            .find(|member| member.role == Role::Owner)
            .with_context(|| format!("`{}` has no owner", wanted.project))?,
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
            wanted.project
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
            "Redis (`REDIS_URL`) does not answer; subscribers of running servers are not told to read the project again"
        );
    }
}

/// Records the transfer in the audit log, with the name of the folder or file.
pub(super) async fn record_audit(
    project: &OpenedProject,
    wanted: &ProjectArguments,
    action: OperatorAction,
    with: &Path,
) -> anyhow::Result<()> {
    let subject = subject(with);
    let detail = json!({ "inTheNameOf": project.caller.user_name });
    Ok(project.database.note_audit(&wanted.project, action, subject.as_deref(), &detail).await?)
}

/// The name of a folder or file in the audit log: without its path.
pub(super) fn subject(path: &Path) -> Option<String> {
    path.file_name().map(|name| name.to_string_lossy().into_owned())
}
