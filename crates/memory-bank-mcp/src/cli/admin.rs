//! Commands of operators, directly on the database: schema, users, projects, members.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::bail;
use clap::Subcommand;
use memory_bank_core::caller::{ProjectId, UserId};
use memory_bank_core::clock::{Entropy, SystemEntropy, iso_millis};
use memory_bank_core::identity::{Administration, MemberRecord, NewProject, NewUser, ProjectRecord};
use memory_bank_core::store::NoSink;
use memory_bank_postgres::{Database, LoginOutcome};
use serde_json::{Value, json};

use crate::cli::account_arguments::{RoleName, parse_slug, parse_user_name, user_json};
use crate::cli::database_advice::with_advice;
use crate::cli::output::{Output, Table};
use crate::cli::{accounts, audit, grants, identities, keys, output, server_login};
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
        #[arg(long, value_parser = parse_slug)]
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
    /// Create a one-time code with which a user signs in on the server's page.
    LoginCode(grants::LoginCodeOptions),
    /// List and revoke what users have allowed to applications.
    #[command(subcommand)]
    Grants(grants::GrantsCommand),
    /// Manage users of outside issuers, such as an OpenID provider.
    #[command(subcommand)]
    Identities(identities::IdentitiesCommand),
    /// Register applications that may ask users for access.
    #[command(subcommand)]
    OauthClients(grants::ClientsCommand),
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
    /// Remove a user with memberships, keys and sessions. The documents of the projects stay.
    Remove {
        /// The user's name.
        name: String,
    },
}

/// Commands for projects.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum ProjectsCommand {
    /// Create a project.
    Create {
        /// A unique short name: lower-case letters, digits and hyphens.
        #[arg(value_parser = parse_slug)]
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
    /// Give a project another short name. Keys and documents stay as they are.
    /// It asks for the present one to be typed.
    Rename(accounts::RenameProject),
    /// Remove a project with all documents, the graph, backups, keys and memberships. It asks for the short name to be typed.
    Remove(accounts::RemoveProject),
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
    /// Invite a user: create it if it is missing, make it a member, create a key, and print the lines that connect a client.
    Invite(accounts::Invite),
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

/// Runs one command.
pub(crate) async fn run(command: &AdminCommand, output: Output) -> anyhow::Result<()> {
    let settings = Settings::read(&config::environment)?;
    let Some(database_settings) = &settings.database else {
        bail!("`DATABASE_URL` is not set; this command needs a database");
    };
    let database = database::connect(database_settings, Arc::new(NoSink)).await?;
    if !matches!(command, AdminCommand::Migrate { .. }) {
        database::require_owner(&database, database_settings).await?;
    }
    let outcome = match command {
        AdminCommand::Migrate { status: true, .. } => migration_status(&database, output).await,
        AdminCommand::Migrate { server_password_file, .. } => {
            migrate(&database, server_password_file.as_deref(), output).await
        }
        AdminCommand::Bootstrap { user, project } => bootstrap(&database, user, project, output).await,
        AdminCommand::Users(command) => users(&database, &settings, command, output).await,
        AdminCommand::Projects(command) => projects(&database, &settings, command, output).await,
        AdminCommand::Members(command) => members(&database, &settings, command, output).await,
        AdminCommand::Keys(command) => keys::run(&database, &settings, command, output).await,
        AdminCommand::LoginCode(options) => grants::login_code(&database, options, output).await,
        AdminCommand::Grants(command) => grants::run(&database, &settings, command, output).await,
        AdminCommand::Identities(command) => identities::run(&database, &settings, command, output).await,
        AdminCommand::OauthClients(command) => grants::clients(&database, &settings, command, output).await,
        AdminCommand::Audit(command) => audit::run(&database, command, output).await,
    };
    outcome.map_err(with_advice)
}

async fn migration_status(database: &Database, output: Output) -> anyhow::Result<()> {
    let migrations = database.migrations().await?;
    let list: Vec<Value> = migrations
        .iter()
        .map(|migration| {
            json!({"version": migration.version, "appliedAt": migration.applied_at.map(iso_millis)})
        })
        .collect();
    let mut table = Table::new(&["MIGRATION", "APPLIED"]);
    for migration in &migrations {
        let applied = migration.applied_at.map_or_else(|| "-".to_owned(), iso_millis);
        table.row(vec![migration.version.to_owned(), applied]);
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
                ("created", format!("The login role of servers, `{role}`, was created."))
            }
            LoginOutcome::Updated => {
                ("updated", format!("The password of the login role of servers, `{role}`, was set."))
            }
            LoginOutcome::LeftAlone => (
                "leftAlone",
                format!(
                    "The role `{role}` may do more than serve; it was left as it is. Let servers log in with a role of their own."
                ),
            ),
        };
        text = format!("{text}\n{sentence}");
        shown = json!({"applied": applied, "serverLogin": {"role": role, "outcome": word}});
    }
    output.show(&shown, &text)
}

async fn bootstrap(database: &Database, user: &str, project: &str, output: Output) -> anyhow::Result<()> {
    let user = NewUser { id: UserId(SystemEntropy.id()), name: parse_user_name(user)?, email: None };
    let project =
        NewProject { id: ProjectId(SystemEntropy.id()), slug: project.to_owned(), name: project.to_owned() };
    let (plain, key) =
        keys::new_key(&keys::NewKeyOptions { label: Some("bootstrap".to_owned()), ..Default::default() });
    let created = database.bootstrap(&user, &project, &key).await?;
    let shown = json!({
        "user": {"id": created.user.id.0, "name": created.user.name},
        "project": {"id": created.project.id.0, "slug": created.project.slug},
        "key": keys::created_json(&plain, &created.key),
    });
    let text = format!(
        "User     {} ({})\nProject  {} ({})\nAPI key  {}\n\n{}",
        created.user.name,
        created.user.id.0,
        created.project.slug,
        created.project.id.0,
        plain.expose(),
        output::KEY_SHOWN_ONCE
    );
    output.show(&shown, &text)
}

async fn users(
    database: &Database,
    settings: &Settings,
    command: &UsersCommand,
    output: Output,
) -> anyhow::Result<()> {
    let (users, is_single) = match command {
        UsersCommand::Create { name, email } => {
            let name = parse_user_name(name)?;
            let user = NewUser { id: UserId(SystemEntropy.id()), name, email: email.clone() };
            (vec![database.create_user(&user).await?], true)
        }
        UsersCommand::List => (database.users().await?, false),
        UsersCommand::Remove { name } => {
            return accounts::remove_user(database, settings, name, output).await;
        }
    };
    let mut table = Table::new(&["ID", "NAME", "EMAIL", "CREATED"]);
    for user in &users {
        let email = user.email.clone().unwrap_or_else(|| "-".to_owned());
        table.row(vec![user.id.0.to_string(), user.name.clone(), email, iso_millis(user.created_at)]);
    }
    let list: Vec<Value> = users.iter().map(user_json).collect();
    output.show(&record_or_list(is_single, "users", list), &table.to_string())
}

async fn projects(
    database: &Database,
    settings: &Settings,
    command: &ProjectsCommand,
    output: Output,
) -> anyhow::Result<()> {
    let (projects, is_single) = match command {
        ProjectsCommand::Create { slug, owner, name } => {
            let name = name.clone().unwrap_or_else(|| slug.clone());
            let project = NewProject { id: ProjectId(SystemEntropy.id()), slug: slug.clone(), name };
            (vec![database.create_project(&project, owner).await?], true)
        }
        ProjectsCommand::List => (database.projects().await?, false),
        ProjectsCommand::Rename(options) => {
            (vec![accounts::rename_project(database, settings, options, output).await?], true)
        }
        ProjectsCommand::Remove(options) => {
            return accounts::remove_project(database, settings, options, output).await;
        }
        ProjectsCommand::SetQuota { project, bytes, .. } => {
            database.set_quota(project, *bytes).await?;
            let text = match bytes {
                Some(0) => format!("{project} has no quota."),
                Some(bytes) => format!("{project} has a quota of {bytes} bytes."),
                None => format!("{project} has the quota of `MAX_PROJECT_BYTES`."),
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
    output.show(&record_or_list(is_single, "projects", list), &table.to_string())
}

async fn members(
    database: &Database,
    settings: &Settings,
    command: &MembersCommand,
    output: Output,
) -> anyhow::Result<()> {
    let (members, is_single) = match command {
        MembersCommand::Add { project, user, role } => {
            let member = database.set_member(project, user, (*role).into()).await?;
            // Running servers may have cached the member's old role.
            keys::notify_changed(settings, &database.member_keys(project, user).await?).await;
            (vec![member], true)
        }
        MembersCommand::Invite(options) => {
            return accounts::invite(database, settings, options, output).await;
        }
        MembersCommand::Remove { project, user } => {
            let revoked = database.remove_member(project, user).await?;
            keys::notify_revoked(settings, &revoked).await;
            let shown = json!({"message": "member removed", "user": user, "project": project});
            return output.show(&shown, &format!("{user} is no longer a member of {project}."));
        }
        MembersCommand::List { project } => (database.members(project).await?, false),
    };
    let mut table = Table::new(&["USER", "ROLE"]);
    for member in &members {
        table.row(vec![member.user.name.clone(), member.role.as_str().to_owned()]);
    }
    let list: Vec<Value> = members.iter().map(member_json).collect();
    output.show(&record_or_list(is_single, "members", list), &table.to_string())
}

fn record_or_list(is_single: bool, name: &str, list: Vec<Value>) -> Value {
    if is_single { list.into_iter().next().unwrap_or_default() } else { json!({name: list}) }
}

fn project_json(project: &ProjectRecord) -> Value {
    let created = iso_millis(project.created_at);
    json!({"id": project.id.0, "slug": project.slug, "name": project.name, "createdAt": created})
}

fn member_json(member: &MemberRecord) -> Value {
    json!({"user": {"id": member.user.id.0, "name": member.user.name}, "role": member.role})
}
