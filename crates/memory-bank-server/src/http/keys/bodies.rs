//! The bodies of `/api/keys`: of requests, and of replies.

use jiff::Timestamp;
use memory_bank_core::caller::Right;
use memory_bank_core::clock::iso_millis;
use memory_bank_core::identity::{Environment, KeyRecord, KeyStatus, PlainKey};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Number;
use utoipa::ToSchema;
use uuid::Uuid;

const WARNING: &str = "Keep this key now: it is not stored and cannot be shown again";

/// A right that a key may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Scope {
    Read,
    Write,
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

impl From<Right> for Scope {
    fn from(right: Right) -> Self {
        match right {
            Right::Read => Self::Read,
            Right::Write => Self::Write,
            Right::Admin => Self::Admin,
        }
    }
}

/// The purpose of a key.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum KeyEnvironment {
    #[default]
    Live,
    Test,
}

impl From<KeyEnvironment> for Environment {
    fn from(environment: KeyEnvironment) -> Self {
        match environment {
            KeyEnvironment::Live => Self::Live,
            KeyEnvironment::Test => Self::Test,
        }
    }
}

/// A key to make.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct CreateKey {
    /// A name for it.
    #[schema(max_length = 200)]
    pub(crate) label: Option<String>,
    /// Its purpose; `live` when absent.
    pub(crate) environment: Option<KeyEnvironment>,
    /// After how many days it expires; never when absent.
    #[serde(deserialize_with = "whole_number")]
    #[schema(minimum = 1, maximum = 3650)]
    pub(crate) expires_in_days: Option<u32>,
    /// Its rights; everything that the role grants when absent or empty.
    pub(crate) scopes: Option<Vec<Scope>>,
    /// Requests per minute; 60 when absent, 0 = unlimited.
    #[serde(deserialize_with = "whole_number")]
    #[schema(minimum = 0, maximum = 1_000_000)]
    pub(crate) rate_limit: Option<u32>,
}

/// Changes of a key; absent members do not change.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct UpdateKey {
    /// Another name; `null` removes it.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>, max_length = 200)]
    pub(crate) label: Option<Option<String>>,
    /// Its rights.
    pub(crate) scopes: Option<Vec<Scope>>,
    /// Requests per minute; 0 = unlimited.
    #[serde(deserialize_with = "whole_number")]
    #[schema(minimum = 0, maximum = 1_000_000)]
    pub(crate) rate_limit: Option<u32>,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// A whole number in any notation: in JSON and its schemas `3.0` is the integer 3.
pub(crate) fn whole_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let Some(number) = Option::<Number>::deserialize(deserializer)? else { return Ok(None) };
    let written = number.as_f64().map_or_else(|| number.to_string(), |number| number.to_string());
    let parsed =
        written.parse().map_err(|_| D::Error::custom(format!("`{number}` is not a whole number in bounds")));
    parsed.map(Some)
}

/// Which keys to list.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ListKeys {
    /// Whether revoked keys are listed too.
    pub(crate) include_revoked: bool,
}

/// A key, without the key itself.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KeyView {
    pub(crate) id: Uuid,
    /// The first 12 characters.
    pub(crate) prefix: String,
    #[schema(required)]
    pub(crate) label: Option<String>,
    pub(crate) scopes: Vec<Scope>,
    /// Requests per minute; 0 = unlimited.
    pub(crate) rate_limit: u32,
    #[schema(required)]
    pub(crate) last_used_at: Option<String>,
    #[schema(required)]
    pub(crate) expires_at: Option<String>,
    pub(crate) created_at: String,
    #[schema(required)]
    pub(crate) revoked_at: Option<String>,
    /// `active`, `revoked` or `expired`.
    #[schema(value_type = String)]
    pub(crate) status: KeyStatus,
}

/// Keys, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeyList {
    pub(crate) keys: Vec<KeyView>,
    /// How many are listed: all that are active, and the newest others.
    pub(crate) total: usize,
    /// Whether there are more, which have ended.
    pub(crate) truncated: bool,
}

/// A new key. It is shown only once.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CreatedKey {
    pub(crate) id: Uuid,
    /// The key itself.
    pub(crate) key: String,
    pub(crate) prefix: String,
    #[schema(required)]
    pub(crate) label: Option<String>,
    pub(crate) scopes: Vec<Scope>,
    pub(crate) rate_limit: u32,
    #[schema(required)]
    pub(crate) expires_at: Option<String>,
    pub(crate) created_at: String,
    /// A notice that the key is shown only once.
    pub(crate) warning: String,
}

/// A key was revoked.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RevokedKey {
    pub(crate) message: String,
    pub(crate) id: Uuid,
}

impl KeyView {
    pub(crate) fn new(key: KeyRecord, now: Timestamp) -> Self {
        Self {
            id: key.id.0,
            status: key.status(now),
            prefix: key.prefix,
            label: key.label,
            scopes: key.scopes.into_iter().map(Scope::from).collect(),
            rate_limit: key.rate_limit,
            last_used_at: key.last_used_at.map(iso_millis),
            expires_at: key.expires_at.map(iso_millis),
            created_at: iso_millis(key.created_at),
            revoked_at: key.revoked_at.map(iso_millis),
        }
    }
}

impl CreatedKey {
    pub(crate) fn new(plain: &PlainKey, record: KeyRecord) -> Self {
        Self {
            id: record.id.0,
            key: plain.expose().to_owned(),
            prefix: record.prefix,
            label: record.label,
            scopes: record.scopes.into_iter().map(Scope::from).collect(),
            rate_limit: record.rate_limit,
            expires_at: record.expires_at.map(iso_millis),
            created_at: iso_millis(record.created_at),
            warning: WARNING.to_owned(),
        }
    }
}
