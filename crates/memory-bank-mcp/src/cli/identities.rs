//! `identities`: the operator's commands for users of outside issuers.

use anyhow::ensure;
use clap::Subcommand;
use memory_bank_core::clock::iso_millis;
use memory_bank_core::identity::IdentityAdministration;
use memory_bank_postgres::Database;
use memory_bank_server::http::IssuerSettings;
use serde_json::json;
use uuid::Uuid;

use crate::cli::grants::time_or_dash;
use crate::cli::keys;
use crate::cli::output::{Output, Table};
use crate::config::Settings;

/// Commands for outside identities.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum IdentitiesCommand {
    /// List the users of outside issuers.
    List {
        /// Only those of this user.
        #[arg(long)]
        user: Option<String>,
    },
    /// Let a user of an issuer sign in as this user.
    Link {
        /// The user's name.
        #[arg(long)]
        user: String,
        /// The issuer, exactly as it writes itself.
        #[arg(long)]
        issuer: String,
        /// The user's id at the issuer (`sub`).
        #[arg(long)]
        subject: String,
    },
    /// Remove an identity, and end what was allowed with it. It cannot sign in again.
    Remove {
        /// The identity's id.
        id: Uuid,
    },
    /// Let an identity that was removed, or whose user was, sign in again by its groups or domain.
    Allow {
        /// The issuer, exactly as it writes itself.
        #[arg(long)]
        issuer: String,
        /// The user's id at the issuer (`sub`).
        #[arg(long)]
        subject: String,
    },
    /// Trust an issuer, so that servers with a login role of their own may use it; without one, list those that are trusted.
    Trust {
        /// The issuer, exactly as it writes itself.
        issuer: Option<String>,
    },
    /// Trust an issuer no longer.
    Distrust {
        /// The issuer.
        issuer: String,
    },
}

/// Runs a command.
pub(crate) async fn run(
    database: &Database,
    settings: &Settings,
    command: &IdentitiesCommand,
    output: Output,
) -> anyhow::Result<()> {
    match command {
        IdentitiesCommand::List { user } => list(database, user.as_deref(), output).await,
        IdentitiesCommand::Link { user, issuer, subject } => {
            is_issuer(issuer)?;
            let id = database.link_identity(user, issuer, subject).await?;
            let data = json!({"id": id, "user": user, "issuer": issuer, "subject": subject});
            output.show(&data, &format!("Identity {id}: {subject} of {issuer} signs in as {user}."))
        }
        IdentitiesCommand::Remove { id } => {
            let ended = database.unlink_identity(*id).await?;
            keys::notify_ended(settings, &ended).await;
            let data = json!({"message": "identity removed", "id": id, "endedGrants": ended.len()});
            output.show(&data, &format!("Identity {id} removed."))
        }
        IdentitiesCommand::Allow { issuer, subject } => {
            database.allow_identity(issuer, subject).await?;
            let data = json!({"message": "identity allowed", "issuer": issuer, "subject": subject});
            output.show(&data, &format!("{subject} of {issuer} may sign in again."))
        }
        IdentitiesCommand::Trust { issuer: Some(issuer) } => {
            is_issuer(issuer)?;
            database.trust_issuer(issuer, true).await?;
            output.show(
                &json!({"message": "issuer trusted", "issuer": issuer}),
                &format!("{issuer} is trusted."),
            )
        }
        IdentitiesCommand::Trust { issuer: None } => list_issuers(database, output).await,
        IdentitiesCommand::Distrust { issuer } => {
            database.trust_issuer(issuer, false).await?;
            let data = json!({"message": "issuer distrusted", "issuer": issuer});
            output.show(&data, &format!("{issuer} is trusted no longer."))
        }
    }
}

fn is_issuer(issuer: &str) -> anyhow::Result<()> {
    ensure!(
        IssuerSettings::is_issuer(issuer),
        "`{issuer}` cannot be an issuer; give its address with https, exactly as its metadata writes it"
    );
    Ok(())
}

async fn list(database: &Database, user: Option<&str>, output: Output) -> anyhow::Result<()> {
    let mut table = Table::new(&["ID", "USER", "ISSUER", "SUBJECT", "E-MAIL", "LINKED", "LAST SEEN"]);
    let mut shown = Vec::new();
    for identity in database.identities(user).await? {
        table.row(vec![
            identity.id.to_string(),
            identity.user_name.clone(),
            identity.issuer.clone(),
            identity.subject.clone(),
            identity.email.clone().unwrap_or_else(|| "-".to_owned()),
            iso_millis(identity.linked_at),
            time_or_dash(identity.seen_at),
        ]);
        shown.push(json!({
            "id": identity.id,
            "user": identity.user_name,
            "issuer": identity.issuer,
            "subject": identity.subject,
            "email": identity.email,
            "linkedAt": iso_millis(identity.linked_at),
            "lastSeenAt": identity.seen_at.map(iso_millis),
        }));
    }
    output.show(&json!({"total": shown.len(), "identities": shown}), &table.to_string())
}

async fn list_issuers(database: &Database, output: Output) -> anyhow::Result<()> {
    let mut table = Table::new(&["ISSUER", "TRUSTED"]);
    let mut shown = Vec::new();
    for (issuer, at) in database.issuers().await? {
        table.row(vec![issuer.clone(), iso_millis(at)]);
        shown.push(json!({"issuer": issuer, "trustedAt": iso_millis(at)}));
    }
    output.show(&json!({"total": shown.len(), "issuers": shown}), &table.to_string())
}
