//! Names of users, projects and roles on the command line.

use anyhow::Context;
use clap::ValueEnum;
use memory_bank_core::caller::Role;
use memory_bank_core::clock::iso_millis;
use memory_bank_core::identity::UserRecord;
use memory_bank_core::limits::{PROJECT_SLUG_CHARS, USER_NAME_CHARS};
use serde_json::{Value, json};

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

pub(crate) fn parse_user_name(name: &str) -> anyhow::Result<String> {
    let name = name.trim();
    let is_valid =
        !name.is_empty() && name.chars().count() <= USER_NAME_CHARS && !name.chars().any(char::is_control);
    is_valid
        .then(|| name.to_owned())
        .with_context(|| format!("a user's name takes 1 to {USER_NAME_CHARS} characters on one line"))
}

/// Lower-case letters, digits and hyphens.
pub(crate) fn parse_slug(text: &str) -> Result<String, String> {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_valid = (1..=PROJECT_SLUG_CHARS).contains(&text.len())
        && text.bytes().all(is_allowed)
        && !text.starts_with('-');
    is_valid.then(|| text.to_owned()).ok_or_else(|| {
        format!("use up to {PROJECT_SLUG_CHARS} lower-case letters, digits and hyphens, not beginning with a hyphen")
    })
}

pub(crate) fn user_json(user: &UserRecord) -> Value {
    json!({"id": user.id.0, "name": user.name, "email": user.email, "createdAt": iso_millis(user.created_at)})
}
