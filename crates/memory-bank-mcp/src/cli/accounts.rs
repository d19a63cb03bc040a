//! Commands that change or remove users, projects and keys in use, and that invite a member. Running servers are notified
//! of each change.

use std::io::{BufRead, IsTerminal};

use anyhow::{Context, ensure};
use clap::Args;
use memory_bank_core::caller::{KeyId, Right, Role, UserId};
use memory_bank_core::clock::{Clock, Entropy, SystemClock, SystemEntropy, iso_millis};
use memory_bank_core::identity::{Administration, KeyChange, NewUser, ProjectRecord, sorted_rights};
use memory_bank_core::limits::KEY_RATE_LIMIT_MAX;
use memory_bank_postgres::Database;
use serde_json::{Value, json};

use crate::cli::admin::{RoleName, parse_user_name, user_json};
use crate::cli::browse::UsageError;
use crate::cli::client_config;
use crate::cli::clients::{Client, DEFAULT_NAME, Server, key_variable};
use crate::cli::keys::{self, NewKeyOptions, Scope};
use crate::cli::output::{KEY_SHOWN_ONCE, Output, print_stderr};
use crate::cli::server_address;
use crate::config::Settings;

/// The placeholder for an unknown address.
const NO_URL: &str = "https://YOUR-SERVER/mcp";
/// The longest answer that is read, in bytes.
const ANSWER_BYTES: u64 = 1024;

/// Changes of a key.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct KeyChangeOptions {
    /// Another name for it, of at most 200 characters.
    #[arg(long, conflicts_with = "no_label", value_parser = keys::parse_label)]
    label: Option<String>,
    /// Remove its name.
    #[arg(long)]
    no_label: bool,
    /// Its rights, separated by commas.
    #[arg(long, value_enum, value_delimiter = ',', conflicts_with = "all_scopes")]
    scopes: Vec<Scope>,
    /// Everything that the role grants, instead of single rights.
    #[arg(long)]
    all_scopes: bool,
    /// Requests per minute; 0 = unlimited.
    #[arg(long, value_parser = clap::value_parser!(u32).range(..=i64::from(KEY_RATE_LIMIT_MAX)))]
    rate_limit: Option<u32>,
    /// Days from now until it expires; an expiry can only move earlier.
    #[arg(long, value_parser = keys::lifetime_days())]
    expires_days: Option<u32>,
}

/// Changes a key.
pub(crate) async fn update_key(
    database: &Database,
    settings: &Settings,
    id: KeyId,
    options: &KeyChangeOptions,
    output: Output,
) -> anyhow::Result<()> {
    let change = KeyChange {
        label: if options.no_label { Some(None) } else { options.label.clone().map(Some) },
        scopes: match (options.all_scopes, options.scopes.as_slice()) {
            (true, _) => Some(Vec::new()),
            (false, []) => None,
            (false, scopes) => Some(sorted_rights(scopes.iter().copied().map(Right::from).collect())),
        },
        rate_limit: options.rate_limit,
    };
    let expires_at = options.expires_days.map(|days| keys::in_days(SystemClock.now(), days)).transpose()?;
    let changed = database.update_key(id, &change, expires_at).await?;
    keys::notify_changed(settings, std::slice::from_ref(&changed)).await;
    let record = &changed.record;
    let scopes = serde_json::to_value(&record.scopes)?;
    let words: Vec<&str> = scopes.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let text = format!(
        "API key  {}…\nId       {}\nLabel    {}\nScopes   {}\nLimit    {}\nExpires  {}",
        record.prefix,
        record.id.0,
        record.label.as_deref().unwrap_or("-"),
        if words.is_empty() { "all".to_owned() } else { words.join(",") },
        if record.rate_limit == 0 { "none".to_owned() } else { format!("{} per minute", record.rate_limit) },
        record.expires_at.map_or_else(|| "never".to_owned(), iso_millis),
    );
    let data = json!({
        "id": record.id.0,
        "prefix": record.prefix,
        "label": record.label,
        "scopes": scopes,
        "rateLimit": record.rate_limit,
        "expiresAt": record.expires_at.map(iso_millis),
        "createdAt": iso_millis(record.created_at),
    });
    output.show(&data, &text)
}

/// Removes a user.
pub(crate) async fn remove_user(
    database: &Database,
    settings: &Settings,
    name: &str,
    output: Output,
) -> anyhow::Result<()> {
    let void = database.remove_user(name).await?;
    keys::notify_revoked(settings, &void).await;
    let data = json!({"message": "user removed", "user": name, "revokedKeys": void.len()});
    output.show(&data, &format!("The user {name} is removed; API keys revoked: {}.", void.len()))
}

/// Gives a project another short name.
pub(crate) async fn rename_project(
    database: &Database,
    settings: &Settings,
    project: &str,
    to: &str,
) -> anyhow::Result<ProjectRecord> {
    let renamed = database.rename_project(project, to).await?;
    // Servers read the name with a key.
    let keys = database.project_keys(&renamed.slug).await?;
    keys::notify_changed(settings, &keys).await;
    Ok(renamed)
}

/// Arguments of `projects remove`.
#[derive(Debug, Clone, Args)]
pub(crate) struct RemoveProject {
    /// The project's short name.
    project: String,
    /// The short name once more, instead of typing it at the prompt.
    #[arg(long, value_name = "SLUG")]
    confirm: Option<String>,
    /// Do not ask; only together with `--confirm`.
    #[arg(short = 'y', long, requires = "confirm")]
    yes: bool,
}

/// Removes a project, if its name was typed.
pub(crate) async fn remove_project(
    database: &Database,
    settings: &Settings,
    target: &RemoveProject,
    output: Output,
) -> anyhow::Result<()> {
    let slug = &target.project;
    let confirmed = match &target.confirm {
        Some(confirmed) => confirmed.clone(),
        None => {
            // A missing project is refused before the prompt.
            let members = database.members(slug).await?.len();
            let keys = database.keys(slug, false).await?.len();
            let stored = database.stored_bytes_of(slug).await?;
            typed(slug, members, keys, stored, output).await?
        }
    };
    if confirmed != *slug {
        return Err(UsageError(format!(
            "`{}` is not the short name `{slug}`; nothing was removed",
            confirmed.chars().take(100).collect::<String>()
        ))
        .into());
    }
    let void = database.remove_project(slug).await?;
    keys::notify_revoked(settings, &void).await;
    let data = json!({"message": "project removed", "project": slug, "revokedKeys": void.len()});
    output.show(&data, &format!("The project {slug} is removed; API keys revoked: {}.", void.len()))
}

/// The text that is typed at the prompt.
async fn typed(
    slug: &str,
    members: usize,
    keys: usize,
    bytes: i64,
    output: Output,
) -> anyhow::Result<String> {
    if !std::io::stdin().is_terminal() || output.json {
        return Err(UsageError(format!(
            "`projects remove` cannot be undone, and nothing can be asked here; nothing was removed. A last copy is made by \
             `memory-bank-mcp backup --project {slug} --to {slug}.zip`; then repeat the name with `--confirm {slug}`"
        ))
        .into());
    }
    print_stderr(&format!(
        "This removes the project {slug} for good: {bytes} bytes of documents, graph and backups; members: {members}; API keys: \
         {keys}.\nA last copy is made by: memory-bank-mcp backup --project {slug} --to {slug}.zip\nType {slug} to remove it:"
    ))?;
    let answer = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        let mut input = std::io::Read::take(std::io::stdin().lock(), ANSWER_BYTES);
        input.read_line(&mut line).map(|_| line.trim().to_owned())
    });
    answer.await?.context("the answer cannot be read")
}

/// Arguments of `members invite`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Invite {
    /// The project's short name.
    #[arg(long)]
    project: String,
    /// The user's name.
    #[arg(long)]
    user: String,
    /// The member's role.
    #[arg(long, value_enum)]
    role: RoleName,
    /// The address of a new user.
    #[arg(long)]
    email: Option<String>,
    /// The client whose configuration is printed.
    #[arg(long, value_enum, default_value_t = Client::ClaudeCode)]
    client: Client,
    /// The server's address, such as `https://memory.example.com/mcp`; that of `PUBLIC_URL` when absent.
    #[arg(long, value_name = "URL", value_parser = server_address::parse)]
    url: Option<String>,
    #[command(flatten)]
    key: NewKeyOptions,
}

/// Invites a member, and prints how a client is connected.
pub(crate) async fn invite(
    database: &Database,
    settings: &Settings,
    invite: &Invite,
    output: Output,
) -> anyhow::Result<()> {
    let user = NewUser {
        id: UserId(SystemEntropy.id()),
        name: parse_user_name(&invite.user)?,
        email: invite.email.clone(),
    };
    ensure!(!invite.project.is_empty(), "`--project` takes the project's short name");
    let role: Role = invite.role.into();
    let (plain, key) = keys::new_key(&invite.key);
    let invited = database.invite_member(&invite.project, &user, role, &key).await?;
    let known = invite.url.clone().or_else(|| settings.http.public_url.as_deref().map(mcp_address));
    let url = known.clone().unwrap_or_else(|| NO_URL.to_owned());
    let server = Server::Http { url: url.clone(), key: None, name: DEFAULT_NAME.to_owned() };
    let line =
        format!("memory-bank-mcp client-config --client {} --http {url} --write", invite.client.name());
    let snippet = client_config::snippet(invite.client, DEFAULT_NAME, &server)?;
    let variable = key_variable(DEFAULT_NAME);
    let data = json!({
        "user": user_json(&invited.user),
        "isNewUser": invited.is_new,
        "project": invite.project,
        "role": role.as_str(),
        "key": keys::created_json(&plain, &invited.key),
        "client": {
            "name": invite.client.name(),
            "url": known,
            "line": line,
            "config": snippet,
            "keyVariable": variable,
        },
    });
    let text = format!(
        "User     {}{}\nProject  {}, as {}\nAPI key  {}\n\n{KEY_SHOWN_ONCE}\n\nWith the key in the variable {variable}, this line \
         connects {}:\n\n  {line}\n\nWithout this program, its file gets:\n\n{snippet}",
        invited.user.name,
        if invited.is_new { " (created)" } else { "" },
        invite.project,
        role.as_str(),
        plain.expose(),
        invite.client.row().title,
    );
    output.show(&data, &text)?;
    if known.is_none() && !output.json {
        print_stderr(&format!(
            "The server's address is not known: put it in the place of {NO_URL}, or give it with `--url` or `PUBLIC_URL`."
        ))?;
    }
    Ok(())
}

/// The address of MCP on a server.
fn mcp_address(public_url: &str) -> String {
    format!("{}/mcp", public_url.trim_end_matches('/'))
}
