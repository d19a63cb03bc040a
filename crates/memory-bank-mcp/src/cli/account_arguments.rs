//! Names of users, projects and roles on the command line.

use clap::ValueEnum;
use memory_bank_core::caller::Role;
use memory_bank_core::clock::iso_millis;
use memory_bank_core::identity::UserRecord;
use memory_bank_core::limits::PROJECT_SLUG_CHARS;
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
    Ok(memory_bank_core::identity::parse_user_name(name)?)
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

#[cfg(test)]
mod tests {
    use memory_bank_core::limits::USER_NAME_BYTES;

    use super::*;

    #[test]
    fn names_of_users_have_the_bound_of_the_database() {
        for name in ["ana", " Jürgen Groß ", &"a".repeat(255), &"🦀".repeat(63)] {
            assert_eq!(parse_user_name(name).unwrap(), name.trim());
        }
        for name in ["", " ", "a\nb", &"a".repeat(256), &"🦀".repeat(200)] {
            let refusal = parse_user_name(name).unwrap_err().to_string();
            assert_eq!(refusal, "a user's name has 1 to 255 bytes, on one line", "{name}");
        }
        let schema = include_str!("../../../../migrations/001_schema.sql");
        let (_, users) = schema.split_once("CREATE TABLE IF NOT EXISTS public.users (").unwrap();
        let bound = format!("CHECK (name <> '' AND octet_length(name) <= {USER_NAME_BYTES})");
        assert!(users.split_once(";").unwrap().0.contains(&bound));
    }
}
