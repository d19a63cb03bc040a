//! Commands of operators, directly on the database: schema, users, projects, members.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::{Subcommand, ValueEnum};
use memory_bank_core::caller::{ProjectId, Role, UserId};
use memory_bank_core::clock::{Entropy, SystemEntropy, iso_millis};
use memory_bank_core::error::StoreError;
use memory_bank_core::identity::{
    AdminError, Administration, MemberRecord, NewProject, NewUser, ProjectRecord, UserRecord,
};
use memory_bank_core::store::NoSink;
use memory_bank_postgres::{Database, LoginOutcome, MigrateError};
use serde_json::{Value, json};

use crate::cli::output::{Output, Table};
use crate::cli::{audit, keys, output, server_login};
use crate::config::{self, Settings};
use crate::database;

/// A command of the operator.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum AdminCommand {
    /// Apply the schema migrations of the database, or list them.
    Migrate {
        /// List the migrations and whether they are applied; change nothing.
        #[arg(long)]
        status: bool,
        /// Also create the login role of servers that `SERVER_DATABASE_URL` names. Its password is that of the
        /// connection string, or else the content of this file, which is created with a random password if it is
        /// missing.
        #[arg(long, value_name = "FILE", conflicts_with = "status")]
        server_password_file: Option<PathBuf>,
    },
    /// Create a user, a project and their ownership if they are missing, and a new key for the owner.
    Bootstrap {
        /// The user's name.
        #[arg(long)]
        user: String,
        /// The project's short name.
        #[arg(long, value_parser = slug)]
        project: String,
    },
    /// Manage users.
    #[command(subcommand)]
    Users(UsersCommand),
    /// Manage projects.
    #[command(subcommand)]
    Projects(ProjectsCommand),
    /// Manage the members of a project.
    #[command(subcommand)]
    Members(MembersCommand),
    /// Manage API keys.
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Show the audit log.
    #[command(subcommand)]
    Audit(audit::AuditCommand),
}

/// Commands for users.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum UsersCommand {
    /// Create a user.
    Create {
        /// A unique name.
        name: String,
        /// An e-mail address.
        #[arg(long)]
        email: Option<String>,
    },
    /// List all users.
    List,
}

/// Commands for projects.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum ProjectsCommand {
    /// Create a project.
    Create {
        /// A unique short name: lower-case letters, digits and hyphens.
        #[arg(value_parser = slug)]
        slug: String,
        /// The name of the user who owns it.
        #[arg(long)]
        owner: String,
        /// A display name; the short name when absent.
        #[arg(long)]
        name: Option<String>,
    },
    /// List all projects.
    List,
    /// Set the quota of a project, in bytes of documents, backups and graph.
    SetQuota {
        /// The project's short name.
        #[arg(long)]
        project: String,
        /// The quota in bytes; 0 = unlimited.
        #[arg(long, value_parser = clap::value_parser!(i64).range(0..), required_unless_present = "default")]
        bytes: Option<i64>,
        /// Use the server's `MAX_PROJECT_BYTES`.
        #[arg(long, conflicts_with = "bytes")]
        default: bool,
    },
}

/// Commands for members.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum MembersCommand {
    /// Make a user a member, or change a member's role.
    Add {
        /// The project's short name.
        #[arg(long)]
        project: String,
        /// The user's name.
        #[arg(long)]
        user: String,
        /// The member's role.
        #[arg(long, value_enum)]
        role: RoleName,
    },
    /// Remove a member; the member's keys of the project become void.
    Remove {
        /// The project's short name.
        #[arg(long)]
        project: String,
        /// The user's name.
        #[arg(long)]
        user: String,
    },
    /// List the members of a project.
    List {
        /// The project's short name.
        #[arg(long)]
        project: String,
    },
}

/// A role on the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum RoleName {
    /// All rights, including keys and restores.
    Owner,
    /// Read and write.
    Editor,
    /// Read only.
    Viewer,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Owner => Self::Owner,
            RoleName::Editor => Self::Editor,
            RoleName::Viewer => Self::Viewer,
        }
    }
}

/// Runs one command.
pub(crate) async fn run(command: &AdminCommand, output: Output) -> anyhow::Result<()> {
    let settings = Settings::read(&config::environment)?;
    let Some(wanted) = &settings.database else {
        bail!("`DATABASE_URL` is not set; this command works on a database");
    };
    let database = database::reach(wanted, Arc::new(NoSink)).await?;
    if !matches!(command, AdminCommand::Migrate { .. }) {
        database::expect_owner(&database, wanted).await?;
    }
    let done = match command {
        AdminCommand::Migrate { status: true, .. } => migration_status(&database, output).await,
        AdminCommand::Migrate { server_password_file, .. } => {
            migrate(&database, server_password_file.as_deref(), output).await
        }
        AdminCommand::Bootstrap { user, project } => bootstrap(&database, user, project, output).await,
        AdminCommand::Users(command) => users(&database, command, output).await,
        AdminCommand::Projects(command) => projects(&database, command, output).await,
        AdminCommand::Members(command) => members(&database, &settings, command, output).await,
        AdminCommand::Keys(command) => keys::run(&database, &settings, command, output).await,
        AdminCommand::Audit(command) => audit::run(&database, command, output).await,
    };
    done.map_err(advised)
}

/// A refusal of the database alone is hard to understand (a missing schema, a missing right), so it gets an
/// explanation.
pub(crate) fn advised(error: anyhow::Error) -> anyhow::Error {
    let of_the_database = error.is::<StoreError>()
        || matches!(error.downcast_ref::<AdminError>(), Some(AdminError::Store(_)))
        || matches!(error.downcast_ref::<MigrateError>(), Some(MigrateError::Store(_)));
    if of_the_database {
        error.context("the database could not do it; `memory-bank-mcp doctor` says what to mend")
    } else {
        error
    }
}

async fn migration_status(database: &Database, output: Output) -> anyhow::Result<()> {
    let migrations = database.migrations().await?;
    let list: Vec<Value> = migrations
        .iter()
        .map(|one| json!({"version": one.version, "appliedAt": one.applied_at.map(iso_millis)}))
        .collect();
    let mut table = Table::new(&["MIGRATION", "APPLIED"]);
    for one in &migrations {
        table.row(vec![one.version.to_owned(), one.applied_at.map_or_else(|| "-".to_owned(), iso_millis)]);
    }
    output.show(&json!({"migrations": list}), &table.to_string())
}

async fn migrate(
    database: &Database,
    server_password_file: Option<&Path>,
    output: Output,
) -> anyhow::Result<()> {
    let applied = database.migrate().await?;
    let mut text = if applied.is_empty() {
        "The schema is up to date.".to_owned()
    } else {
        format!("Applied: {}", applied.join(", "))
    };
    let mut shown = json!({"applied": applied});
    if let Some(file) = server_password_file {
        let (role, outcome) = server_login::set(database, file).await?;
        let (word, sentence) = match outcome {
            LoginOutcome::Created => {
                ("created", format!("The role `{role}`, as which servers log in, was made."))
            }
            LoginOutcome::Updated => {
                ("updated", format!("The role `{role}`, as which servers log in, has its password."))
            }
            LoginOutcome::LeftAlone => (
                "leftAlone",
                format!(
                    "The role `{role}` may do more than serve; it was left as it is. Let servers log in as a role of their own."
                ),
            ),
        };
        text = format!("{text}\n{sentence}");
        shown = json!({"applied": applied, "serverLogin": {"role": role, "outcome": word}});
    }
    output.show(&shown, &text)
}

async fn bootstrap(database: &Database, user: &str, project: &str, output: Output) -> anyhow::Result<()> {
    let user = NewUser { id: UserId(SystemEntropy.id()), name: named(user)?, email: None };
    let project =
        NewProject { id: ProjectId(SystemEntropy.id()), slug: project.to_owned(), name: project.to_owned() };
    let (plain, key) =
        keys::new_key(&keys::NewKeyOptions { label: Some("bootstrap".to_owned()), ..Default::default() });
    let made = database.bootstrap(&user, &project, &key).await?;
    let shown = json!({
        "user": {"id": made.user.id.0, "name": made.user.name},
        "project": {"id": made.project.id.0, "slug": made.project.slug},
        "key": keys::created(&plain, &made.key),
    });
    let text = format!(
        "User     {} ({})\nProject  {} ({})\nAPI key  {}\n\n{}",
        made.user.name,
        made.user.id.0,
        made.project.slug,
        made.project.id.0,
        plain.expose(),
        output::SHOWN_ONCE
    );
    output.show(&shown, &text)
}

async fn users(database: &Database, command: &UsersCommand, output: Output) -> anyhow::Result<()> {
    let (users, one) = match command {
        UsersCommand::Create { name, email } => {
            let user = NewUser { id: UserId(SystemEntropy.id()), name: named(name)?, email: email.clone() };
            (vec![database.create_user(&user).await?], true)
        }
        UsersCommand::List => (database.users().await?, false),
    };
    let mut table = Table::new(&["ID", "NAME", "EMAIL", "CREATED"]);
    for user in &users {
        let email = user.email.clone().unwrap_or_else(|| "-".to_owned());
        table.row(vec![user.id.0.to_string(), user.name.clone(), email, iso_millis(user.created_at)]);
    }
    let list: Vec<Value> = users.iter().map(user_json).collect();
    output.show(&one_or_all(one, "users", list), &table.to_string())
}

async fn projects(database: &Database, command: &ProjectsCommand, output: Output) -> anyhow::Result<()> {
    let (projects, one) = match command {
        ProjectsCommand::Create { slug, owner, name } => {
            let name = name.clone().unwrap_or_else(|| slug.clone());
            let project = NewProject { id: ProjectId(SystemEntropy.id()), slug: slug.clone(), name };
            (vec![database.create_project(&project, owner).await?], true)
        }
        ProjectsCommand::List => (database.projects().await?, false),
        ProjectsCommand::SetQuota { project, bytes, .. } => {
            database.set_quota(project, *bytes).await?;
            let text = match bytes {
                Some(0) => format!("{project} may hold any number of bytes."),
                Some(bytes) => format!("{project} may hold {bytes} bytes."),
                None => format!("{project} may hold as many bytes as `MAX_PROJECT_BYTES` says."),
            };
            return output.show(&json!({"project": project, "quotaBytes": bytes}), &text);
        }
    };
    let mut table = Table::new(&["ID", "SLUG", "NAME", "CREATED"]);
    for project in &projects {
        let created = iso_millis(project.created_at);
        table.row(vec![project.id.0.to_string(), project.slug.clone(), project.name.clone(), created]);
    }
    let list: Vec<Value> = projects.iter().map(project_json).collect();
    output.show(&one_or_all(one, "projects", list), &table.to_string())
}

async fn members(
    database: &Database,
    settings: &Settings,
    command: &MembersCommand,
    output: Output,
) -> anyhow::Result<()> {
    let (members, one) = match command {
        MembersCommand::Add { project, user, role } => {
            let member = database.set_member(project, user, (*role).into()).await?;
            // Running servers may have cached the member's old role.
            keys::changed(settings, &database.member_keys(project, user).await?).await;
            (vec![member], true)
        }
        MembersCommand::Remove { project, user } => {
            let void = database.remove_member(project, user).await?;
            keys::forget(settings, &void).await;
            let shown = json!({"message": "member removed", "user": user, "project": project});
            return output.show(&shown, &format!("{user} is no longer a member of {project}."));
        }
        MembersCommand::List { project } => (database.members(project).await?, false),
    };
    let mut table = Table::new(&["USER", "ROLE"]);
    for member in &members {
        table.row(vec![member.user.name.clone(), role_name(member.role).to_owned()]);
    }
    let list: Vec<Value> = members.iter().map(member_json).collect();
    output.show(&one_or_all(one, "members", list), &table.to_string())
}

fn one_or_all(one: bool, name: &str, list: Vec<Value>) -> Value {
    match list.into_iter().collect::<Vec<_>>() {
        list if one => list.into_iter().next().unwrap_or_default(),
        list => json!({name: list}),
    }
}

fn user_json(user: &UserRecord) -> Value {
    json!({"id": user.id.0, "name": user.name, "email": user.email, "createdAt": iso_millis(user.created_at)})
}

fn project_json(project: &ProjectRecord) -> Value {
    let created = iso_millis(project.created_at);
    json!({"id": project.id.0, "slug": project.slug, "name": project.name, "createdAt": created})
}

fn member_json(member: &MemberRecord) -> Value {
    json!({"user": {"id": member.user.id.0, "name": member.user.name}, "role": role_name(member.role)})
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Owner => "owner",
        Role::Editor => "editor",
        Role::Viewer => "viewer",
    }
}

fn named(name: &str) -> anyhow::Result<String> {
    let name = name.trim();
    let fits = !name.is_empty() && name.chars().count() <= 200 && !name.chars().any(char::is_control);
    fits.then(|| name.to_owned()).context("a user's name takes 1 to 200 characters on one line")
}

/// Lower-case letters, digits and hyphens.
pub(crate) fn slug(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let ok = !text.is_empty() && text.len() <= 100 && text.bytes().all(fits) && !text.starts_with('-');
    ok.then(|| text.to_owned()).ok_or_else(|| "give lower-case letters, digits and hyphens".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_database_refuses_names_the_doctor() {
        let refused = || StoreError::Unavailable("schema \"app\" does not exist (3F000)".to_owned());
        let failures: [anyhow::Error; 3] =
            [refused().into(), AdminError::Store(refused()).into(), MigrateError::Store(refused()).into()];
        for failure in failures {
            let told = format!("{:#}", advised(failure));
            assert!(told.contains("memory-bank-mcp doctor") && told.contains("3F000"), "{told}");
        }
    }

    #[test]
    fn what_the_operator_got_wrong_is_told_as_it_is() {
        let unknown = AdminError::NotFound { kind: "user", name: "zoe".to_owned() };
        assert_eq!(format!("{:#}", advised(unknown.into())), "there is no user `zoe`");
    }
}
