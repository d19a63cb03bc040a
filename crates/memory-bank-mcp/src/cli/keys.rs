//! `keys`: creates, lists, revokes and rotates API keys.

use std::sync::Arc;

use clap::{Args, Subcommand, ValueEnum};
use jiff::SignedDuration;
use memory_bank_core::caller::{KeyId, Right};
use memory_bank_core::clock::{Clock, Entropy, SystemClock, SystemEntropy, iso_millis};
use memory_bank_core::identity::{Administration, Environment, KeyRecord, NewKey, PlainKey, Revoked};
use memory_bank_postgres::Database;
use memory_bank_server::http::{DEFAULT_RATE_LIMIT, Redis};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::cli::output::{Output, SHOWN_ONCE, Table};
use crate::config::{RedisSettings, Settings};

/// Commands for keys.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum KeysCommand {
    /// Create a key for a member of a project; it is shown only once.
    Create {
        /// The user's name.
        #[arg(long)]
        user: String,
        /// The project's short name.
        #[arg(long)]
        project: String,
        #[command(flatten)]
        options: NewKeyOptions,
    },
    /// List the keys of a project.
    List {
        /// The project's short name.
        #[arg(long)]
        project: String,
        /// Also list revoked and expired keys.
        #[arg(long)]
        all: bool,
    },
    /// Revoke a key, at once.
    Revoke {
        /// The key's id.
        id: Uuid,
    },
    /// Replace a key by a new one with the same label, scopes, limit and lifetime.
    Rotate {
        /// The key's id.
        id: Uuid,
        /// Days until the new key expires; the old key's lifetime when absent.
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=3650))]
        expires_days: Option<u32>,
    },
}

/// Properties of a new key.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct NewKeyOptions {
    /// A name for it.
    #[arg(long)]
    pub(crate) label: Option<String>,
    /// Its purpose.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) env: KeyEnvironment,
    /// Its rights, separated by commas; everything that the role grants when absent.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(crate) scopes: Vec<Scope>,
    /// Requests per minute; 60 when absent, 0 = unlimited.
    #[arg(long, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub(crate) rate_limit: Option<u32>,
    /// Days until it expires; never when absent.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub(crate) expires_days: Option<u32>,
}

/// The purpose of a key.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(crate) enum KeyEnvironment {
    /// `mbmcp_live_…`
    #[default]
    Live,
    /// `mbmcp_test_…`
    Test,
}

/// A right that a key may have.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Scope {
    /// Read.
    Read,
    /// Write.
    Write,
    /// Delete, restore, manage keys.
    Admin,
}

impl From<Scope> for Right {
    fn from(scope: Scope) -> Self {
        match scope {
            Scope::Read => Self::Read,
            Scope::Write => Self::Write,
            Scope::Admin => Self::Admin,
        }
    }
}

/// Runs one command.
pub(crate) async fn run(
    database: &Database,
    settings: &Settings,
    command: &KeysCommand,
    output: Output,
) -> anyhow::Result<()> {
    match command {
        KeysCommand::Create { user, project, options } => {
            let (plain, key) = new_key(options);
            let record = database.create_key(project, user, &key).await?;
            show_created(&plain, &record, output)
        }
        KeysCommand::List { project, all } => list(&database.keys(project, *all).await?, output),
        KeysCommand::Revoke { id } => {
            let revoked = database.revoke_key(KeyId(*id), SystemClock.now()).await?;
            forget(settings, &[revoked]).await;
            output.show(&json!({"message": "API key revoked", "id": id}), &format!("API key {id} revoked."))
        }
        KeysCommand::Rotate { id, expires_days } => {
            let old = database.key(KeyId(*id)).await?;
            let env = match old.environment() {
                Environment::Live => KeyEnvironment::Live,
                Environment::Test => KeyEnvironment::Test,
            };
            let options = NewKeyOptions { env, expires_days: *expires_days, ..NewKeyOptions::default() };
            let (plain, mut key) = new_key(&options);
            key.expires_at = key.expires_at.or_else(|| old.renewed_until(key.created_at));
            let (record, revoked) = database.rotate_key(KeyId(*id), &key).await?;
            forget(settings, &[revoked]).await;
            show_created(&plain, &record, output)
        }
    }
}

/// Creates a key; its stored form does not contain the key.
pub(crate) fn new_key(options: &NewKeyOptions) -> (PlainKey, NewKey) {
    let environment = match options.env {
        KeyEnvironment::Live => Environment::Live,
        KeyEnvironment::Test => Environment::Test,
    };
    let plain = PlainKey::generate(environment, &SystemEntropy);
    let created_at = SystemClock.now();
    let mut scopes: Vec<Right> = options.scopes.iter().copied().map(Right::from).collect();
    scopes.sort_unstable();
    scopes.dedup();
    let life = options.expires_days.map(|days| SignedDuration::from_hours(24 * i64::from(days)));
    let key = NewKey {
        id: KeyId(SystemEntropy.id()),
        hash: plain.hash(),
        prefix: plain.prefix(),
        label: options.label.clone(),
        scopes,
        rate_limit: options.rate_limit.unwrap_or(DEFAULT_RATE_LIMIT),
        expires_at: life.and_then(|life| created_at.checked_add(life).ok()),
        created_at,
    };
    (plain, key)
}

/// A new key, with the key itself.
pub(crate) fn created(plain: &PlainKey, record: &KeyRecord) -> Value {
    json!({
        "id": record.id.0,
        "key": plain.expose(),
        "prefix": record.prefix,
        "label": record.label,
        "scopes": record.scopes,
        "rateLimit": record.rate_limit,
        "expiresAt": record.expires_at.map(iso_millis),
        "createdAt": iso_millis(record.created_at),
    })
}

fn show_created(plain: &PlainKey, record: &KeyRecord, output: Output) -> anyhow::Result<()> {
    let text = format!("API key  {}\nId       {}\n\n{SHOWN_ONCE}", plain.expose(), record.id.0);
    output.show(&created(plain, record), &text)
}

fn list(keys: &[(String, KeyRecord)], output: Output) -> anyhow::Result<()> {
    let now = SystemClock.now();
    let mut table =
        Table::new(&["ID", "PREFIX", "USER", "LABEL", "SCOPES", "LIMIT", "LAST USED", "EXPIRES", "STATUS"]);
    let mut shown = Vec::new();
    for (user, key) in keys {
        let scopes = serde_json::to_value(&key.scopes)?;
        let status = serde_json::to_value(key.status(now))?;
        let words: Vec<&str> = scopes.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let when = |at: Option<jiff::Timestamp>| at.map_or_else(|| "-".to_owned(), iso_millis);
        table.row(vec![
            key.id.0.to_string(),
            key.prefix.clone(),
            user.clone(),
            key.label.clone().unwrap_or_else(|| "-".to_owned()),
            if words.is_empty() { "all".to_owned() } else { words.join(",") },
            key.rate_limit.to_string(),
            when(key.last_used_at),
            when(key.expires_at),
            status.as_str().unwrap_or_default().to_owned(),
        ]);
        shown.push(json!({
            "id": key.id.0,
            "prefix": key.prefix,
            "user": user,
            "label": key.label,
            "scopes": scopes,
            "rateLimit": key.rate_limit,
            "lastUsedAt": key.last_used_at.map(iso_millis),
            "expiresAt": key.expires_at.map(iso_millis),
            "createdAt": iso_millis(key.created_at),
            "revokedAt": key.revoked_at.map(iso_millis),
            "status": status,
        }));
    }
    output.show(&json!({"total": shown.len(), "keys": shown}), &table.to_string())
}

/// Notifies running servers that cached keys are outdated; without Redis they find out at their next look-up.
pub(crate) async fn changed(settings: &Settings, keys: &[Revoked]) {
    let Some(RedisSettings { url, prefix }) = &settings.redis else { return };
    let Ok(redis) = Redis::new(url, prefix, Arc::new(SystemClock), Arc::new(SystemEntropy)) else { return };
    for key in keys {
        if !redis.key_changed(&key.hash).await {
            tracing::warn!(
                "Redis does not answer; running servers may show a member's former role for up to five minutes"
            );
            return;
        }
    }
}

/// Notifies running servers that keys are void; without Redis they find out at their next look-up.
pub(crate) async fn forget(settings: &Settings, void: &[Revoked]) {
    let Some(RedisSettings { url, prefix }) = &settings.redis else { return };
    let Ok(redis) = Redis::new(url, prefix, Arc::new(SystemClock), Arc::new(SystemEntropy)) else { return };
    for revoked in void {
        if !redis.key_revoked(&revoked.hash, revoked.record.id).await {
            tracing::warn!(
                "Redis does not answer; running servers may believe the key for up to five minutes"
            );
            return;
        }
    }
}
