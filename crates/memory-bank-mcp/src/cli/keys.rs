//! `keys`: creates, lists, changes, revokes and rotates API keys.

use std::sync::Arc;

use anyhow::Context;
use clap::builder::RangedI64ValueParser;
use clap::{Args, Subcommand, ValueEnum};
use jiff::{SignedDuration, Timestamp};
use memory_bank_core::caller::{KeyId, Right};
use memory_bank_core::clock::{Clock, SystemClock, SystemEntropy, iso_millis};
use memory_bank_core::identity::{
    Administration, Environment, KeyChange, KeyOptions, KeyRecord, NewKey, OAuthStore, PlainKey, Revoked,
    Void, sorted_rights,
};
use memory_bank_core::limits::{KEY_LABEL_CHARS, KEY_LIFETIME_DAYS_MAX, KEY_RATE_LIMIT_MAX};
use memory_bank_postgres::Database;
use memory_bank_server::http::Redis;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::cli::output::{KEY_SHOWN_ONCE, Output, Table};
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
    /// Change a key's label, scopes, rate limit or expiry; the key itself stays the same.
    #[command(override_usage = "memory-bank-mcp keys update [OPTIONS] <ID>")]
    Update {
        /// The key's id.
        id: Uuid,
        #[command(flatten)]
        change: KeyChangeOptions,
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
        #[arg(long, value_parser = lifetime_days())]
        expires_days: Option<u32>,
    },
}

/// Properties of a new key.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct NewKeyOptions {
    /// A name for it, of at most 200 characters.
    #[arg(long, value_parser = parse_label)]
    pub(crate) label: Option<String>,
    /// Its purpose.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) env: KeyEnvironment,
    /// Its rights, separated by commas; everything that the role grants when absent.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(crate) scopes: Vec<Scope>,
    /// Requests per minute; 60 when absent, 0 = unlimited.
    #[arg(long, value_parser = clap::value_parser!(u32).range(..=i64::from(KEY_RATE_LIMIT_MAX)))]
    pub(crate) rate_limit: Option<u32>,
    /// Days until it expires; never when absent.
    #[arg(long, value_parser = lifetime_days())]
    pub(crate) expires_days: Option<u32>,
}

pub(crate) fn lifetime_days() -> RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=i64::from(KEY_LIFETIME_DAYS_MAX))
}

pub(crate) fn parse_label(text: &str) -> Result<String, String> {
    if text.chars().count() > KEY_LABEL_CHARS {
        return Err(format!("use at most {KEY_LABEL_CHARS} characters"));
    }
    Ok(text.to_owned())
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
        KeysCommand::List { project, all } => show_list(&database.keys(project, *all).await?, output),
        KeysCommand::Update { id, change } => {
            update_key(database, settings, KeyId(*id), change, output).await
        }
        KeysCommand::Revoke { id } => {
            let revoked = database.revoke_key(KeyId(*id), SystemClock.now()).await?;
            let tokens = database.tokens_of_key(&revoked.hash).await?;
            notify_revoked(settings, &[revoked]).await;
            notify_ended(settings, &tokens).await;
            output.show(&json!({"message": "API key revoked", "id": id}), &format!("API key {id} revoked."))
        }
        KeysCommand::Rotate { id, expires_days } => {
            let old = database.key(KeyId(*id)).await?;
            let options = KeyOptions { expires_in_days: *expires_days, ..KeyOptions::new(old.environment()) };
            let (plain, mut key) = NewKey::generate(options, SystemClock.now(), &SystemEntropy);
            key.expires_at = key.expires_at.or_else(|| old.renewed_expiry(key.created_at));
            let (record, revoked) = database.rotate_key(KeyId(*id), &key).await?;
            let tokens = database.tokens_of_key(&revoked.hash).await?;
            notify_revoked(settings, &[revoked]).await;
            notify_ended(settings, &tokens).await;
            show_created(&plain, &record, output)
        }
    }
}

impl From<KeyEnvironment> for Environment {
    fn from(environment: KeyEnvironment) -> Self {
        match environment {
            KeyEnvironment::Live => Self::Live,
            KeyEnvironment::Test => Self::Test,
        }
    }
}

/// Generates a key; its stored form does not contain the key.
pub(crate) fn new_key(options: &NewKeyOptions) -> (PlainKey, NewKey) {
    let options = KeyOptions {
        environment: options.env.into(),
        label: options.label.clone(),
        scopes: options.scopes.iter().copied().map(Right::from).collect(),
        rate_limit: options.rate_limit,
        expires_in_days: options.expires_days,
    };
    NewKey::generate(options, SystemClock.now(), &SystemEntropy)
}

/// The time `days` days from now.
pub(crate) fn in_days(now: Timestamp, days: u32) -> anyhow::Result<Timestamp> {
    now.checked_add(SignedDuration::from_hours(24 * i64::from(days))).context("the expiry is too far away")
}

/// A new key as JSON, with the key itself.
pub(crate) fn created_json(plain: &PlainKey, record: &KeyRecord) -> Value {
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
    let text = format!("API key  {}\nId       {}\n\n{KEY_SHOWN_ONCE}", plain.expose(), record.id.0);
    output.show(&created_json(plain, record), &text)
}

fn show_list(keys: &[(String, KeyRecord)], output: Output) -> anyhow::Result<()> {
    let now = SystemClock.now();
    let mut table =
        Table::new(&["ID", "PREFIX", "USER", "LABEL", "SCOPES", "LIMIT", "LAST USED", "EXPIRES", "STATUS"]);
    let mut shown = Vec::new();
    for (user, key) in keys {
        let scopes = serde_json::to_value(&key.scopes)?;
        let status = serde_json::to_value(key.status(now))?;
        let words: Vec<&str> = scopes.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let time_or_dash = |at: Option<Timestamp>| at.map_or_else(|| "-".to_owned(), iso_millis);
        table.row(vec![
            key.id.0.to_string(),
            key.prefix.clone(),
            user.clone(),
            key.label.clone().unwrap_or_else(|| "-".to_owned()),
            if words.is_empty() { "all".to_owned() } else { words.join(",") },
            key.rate_limit.to_string(),
            time_or_dash(key.last_used_at),
            time_or_dash(key.expires_at),
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

/// Notifies running servers that cached keys are outdated. Without Redis, servers notice it when they read the key again.
pub(crate) async fn notify_changed(settings: &Settings, keys: &[Revoked]) {
    let Some(redis) = redis(settings) else { return };
    for key in keys {
        if !redis.key_changed(&key.hash).await {
            tracing::warn!(
                "Redis does not answer; running servers may use what they know of a key for up to five minutes"
            );
            return;
        }
    }
}

/// Notifies running servers of revoked keys. Without Redis, servers notice it when they read the key again.
pub(crate) async fn notify_revoked(settings: &Settings, keys: &[Revoked]) {
    let Some(redis) = redis(settings) else { return };
    for key in keys {
        if !redis.key_revoked(&key.hash, key.record.id).await {
            tracing::warn!(
                "Redis does not answer; running servers may accept the key for up to five minutes"
            );
            return;
        }
    }
}

/// Notifies running servers of grants that have ended or changed. Without Redis, servers notice it when they read the tokens again.
pub(crate) async fn notify_ended(settings: &Settings, grants: &[Void]) {
    let Some(redis) = redis(settings) else { return };
    for grant in grants {
        for hash in &grant.hashes {
            if !redis.key_revoked(hash, grant.grant).await {
                tracing::warn!(
                    "Redis does not answer; running servers may accept the token for up to five minutes"
                );
                return;
            }
        }
    }
}

fn redis(settings: &Settings) -> Option<Redis> {
    let RedisSettings { url, prefix } = settings.redis.as_ref()?;
    Redis::new(url, prefix, Arc::new(SystemClock), Arc::new(SystemEntropy)).ok()
}

/// Changes of a key.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct KeyChangeOptions {
    /// Another name for it, of at most 200 characters.
    #[arg(long, conflicts_with = "no_label", value_parser = parse_label)]
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
    #[arg(long, value_parser = lifetime_days())]
    expires_days: Option<u32>,
}

/// Changes a key.
async fn update_key(
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
    let expires_at = options.expires_days.map(|days| in_days(SystemClock.now(), days)).transpose()?;
    let changed = database.update_key(id, &change, expires_at).await?;
    notify_changed(settings, std::slice::from_ref(&changed)).await;
    notify_ended(settings, &database.tokens_of_key(&changed.hash).await?).await;
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::cli::Cli;

    fn create(option: &str, value: &str) -> Result<Cli, clap::Error> {
        let words = ["memory-bank-mcp", "keys", "create", "--user", "u", "--project", "p", option, value];
        Cli::try_parse_from(words)
    }

    #[test]
    fn options_of_a_key_have_the_bounds_of_the_rest_api() {
        for (option, valid, invalid) in [
            ("--label", "é".repeat(200), "é".repeat(201)),
            ("--rate-limit", "1000000".to_owned(), "1000001".to_owned()),
            ("--rate-limit", "0".to_owned(), "x".to_owned()),
            ("--expires-days", "3650".to_owned(), "3651".to_owned()),
            ("--expires-days", "1".to_owned(), "0".to_owned()),
        ] {
            assert!(create(option, &valid).is_ok(), "{option} {valid}");
            let error = create(option, &invalid).unwrap_err().to_string();
            assert!(error.contains(option), "{error}");
        }
    }
}
