//! `login-code`, `grants` and `oauth-clients`: the operator's commands for OAuth.

use anyhow::ensure;
use clap::{Args, Subcommand};
use jiff::{Timestamp, ToSpan};
use memory_bank_core::caller::KeyId;
use memory_bank_core::clock::{Clock, SystemClock, SystemEntropy, iso_millis};
use memory_bank_core::identity::{
    ClientRecord, GrantRecord, LoginCode, OAuthAdministration, PlainToken, TokenKind,
};
use memory_bank_postgres::Database;
use memory_bank_server::http::is_redirect_uri;
use serde_json::json;
use uuid::Uuid;

use crate::cli::keys;
use crate::cli::output::{Output, Table};
use crate::config::Settings;

/// Options of `login-code`.
#[derive(Debug, Clone, Args)]
pub(crate) struct LoginCodeOptions {
    /// The user's name.
    #[arg(long)]
    user: String,
    /// Minutes until it expires.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(i64).range(1..=60))]
    minutes: i64,
}

/// Commands for grants.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum GrantsCommand {
    /// List grants, newest first.
    List {
        /// Only those of this project, by its short name.
        #[arg(long)]
        project: Option<String>,
        /// Only those of this user.
        #[arg(long)]
        user: Option<String>,
        /// Also list those that have ended.
        #[arg(long)]
        all: bool,
    },
    /// Revoke a grant with its tokens, at once. The client of an outside issuer stays out until it is allowed.
    Revoke {
        /// The grant's id.
        id: Uuid,
    },
    /// Let the client of an outside issuer in again whose grant was revoked.
    Allow {
        /// The grant's id.
        id: Uuid,
    },
}

/// Commands for registered applications.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum ClientsCommand {
    /// Register an application for good. The page of consent shows its name without a warning.
    Create {
        /// Its name.
        #[arg(long)]
        name: String,
        /// Where codes may be sent; repeat the option for several.
        #[arg(long, required = true)]
        redirect_uri: Vec<String>,
    },
    /// List registered applications with the number of their grants.
    List,
    /// Delete an application, and end what users have allowed it.
    Delete {
        /// Its client id; for an application that is known by the address of a document, that address.
        id: String,
    },
}

/// Creates a login code.
pub(crate) async fn login_code(
    database: &Database,
    LoginCodeOptions { user, minutes }: &LoginCodeOptions,
    output: Output,
) -> anyhow::Result<()> {
    let code = LoginCode::generate(&SystemEntropy);
    let until = SystemClock.now().checked_add(minutes.minutes())?;
    database.create_login_code(user, &code.hash(), until).await?;
    let data = json!({"code": code.expose(), "user": user, "expiresAt": iso_millis(until)});
    let text = format!(
        "Login code  {}\n\nIt works once, for {minutes} minutes, on the server's sign-in page.",
        code.expose()
    );
    output.show(&data, &text)
}

/// Runs a command for grants.
pub(crate) async fn run(
    database: &Database,
    settings: &Settings,
    command: &GrantsCommand,
    output: Output,
) -> anyhow::Result<()> {
    match command {
        GrantsCommand::List { project, user, all } => {
            list(&database.list_grants(project.as_deref(), user.as_deref(), *all).await?, output)
        }
        GrantsCommand::Revoke { id } => {
            let void = database.revoke_grant(KeyId(*id)).await?;
            keys::notify_ended(settings, &[void]).await;
            output.show(&json!({"message": "grant revoked", "id": id}), &format!("Grant {id} revoked."))
        }
        GrantsCommand::Allow { id } => {
            database.allow_grant(KeyId(*id)).await?;
            let text = format!("The client of grant {id} is let in again.");
            output.show(&json!({"message": "client allowed", "id": id}), &text)
        }
    }
}

/// Runs a command for registered applications.
pub(crate) async fn clients(
    database: &Database,
    settings: &Settings,
    command: &ClientsCommand,
    output: Output,
) -> anyhow::Result<()> {
    match command {
        ClientsCommand::Create { name, redirect_uri } => {
            create_client(database, name, redirect_uri, output).await
        }
        ClientsCommand::List => list_clients(&database.clients().await?, output),
        ClientsCommand::Delete { id } => {
            let ended = database.delete_client(id).await?;
            keys::notify_ended(settings, &ended).await;
            let data = json!({"message": "application deleted", "clientId": id, "endedGrants": ended.len()});
            output.show(&data, &format!("Application {id} deleted; grants ended: {}.", ended.len()))
        }
    }
}

async fn create_client(
    database: &Database,
    name: &str,
    redirect_uris: &[String],
    output: Output,
) -> anyhow::Result<()> {
    for uri in redirect_uris {
        ensure!(
            is_redirect_uri(uri),
            "`{uri}` cannot be a redirect URI; use https, http on this machine, or the scheme of a program"
        );
    }
    ensure!(redirect_uris.len() <= 10, "an application has at most 10 redirect URIs");
    let id = PlainToken::generate(TokenKind::Client, &SystemEntropy);
    database.create_client(id.expose(), name, redirect_uris).await?;
    let data = json!({"clientId": id.expose(), "name": name, "redirectUris": redirect_uris});
    output.show(&data, &format!("Client id  {}", id.expose()))
}

fn list_clients(clients: &[ClientRecord], output: Output) -> anyhow::Result<()> {
    let mut table =
        Table::new(&["ID", "NAME", "REDIRECT URIS", "BY", "GRANTS", "CREATED", "LAST USED", "EXPIRES"]);
    let mut shown = Vec::new();
    for ClientRecord { id, client, grants, created_at, used_at, expires_at } in clients {
        let by = if client.by_operator { "operator" } else { "itself" };
        table.row(vec![
            id.clone(),
            client.name.clone(),
            client.redirect_uris.join(" "),
            by.to_owned(),
            grants.to_string(),
            iso_millis(*created_at),
            time_or_dash(*used_at),
            time_or_dash(*expires_at),
        ]);
        shown.push(json!({
            "clientId": id,
            "name": client.name,
            "redirectUris": client.redirect_uris,
            "registeredBy": by,
            "grants": grants,
            "createdAt": iso_millis(*created_at),
            "lastUsedAt": used_at.map(iso_millis),
            "expiresAt": expires_at.map(iso_millis),
        }));
    }
    output.show(&json!({"total": shown.len(), "clients": shown}), &table.to_string())
}

pub(crate) fn time_or_dash(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "-".to_owned(), iso_millis)
}

fn list(grants: &[GrantRecord], output: Output) -> anyhow::Result<()> {
    let mut table = Table::new(&[
        "ID",
        "USER",
        "PROJECT",
        "APPLICATION",
        "HOST",
        "SCOPES",
        "CREATED",
        "LAST USED",
        "EXPIRES",
        "ENDED",
    ]);
    let mut shown = Vec::new();
    for GrantRecord { grant, user_name, client_id, revoked_at, revoked_for } in grants {
        let scopes: Vec<&str> = grant.rights.iter().map(|right| right.as_str()).collect();
        table.row(vec![
            grant.id.0.to_string(),
            user_name.clone(),
            grant.project_slug.clone(),
            grant.client_name.clone(),
            grant.client_host.clone(),
            scopes.join(","),
            iso_millis(grant.created_at),
            time_or_dash(grant.last_used_at),
            time_or_dash(grant.expires_at),
            time_or_dash(*revoked_at),
        ]);
        shown.push(json!({
            "id": grant.id.0,
            "user": user_name,
            "project": grant.project_slug,
            "clientId": client_id,
            "clientName": grant.client_name,
            "clientHost": grant.client_host,
            "scopes": scopes,
            "createdAt": iso_millis(grant.created_at),
            "lastUsedAt": grant.last_used_at.map(iso_millis),
            "expiresAt": grant.expires_at.map(iso_millis),
            "revokedAt": revoked_at.map(iso_millis),
            "revokedFor": revoked_for,
        }));
    }
    output.show(&json!({"total": shown.len(), "grants": shown}), &table.to_string())
}
