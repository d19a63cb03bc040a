//! Who is asking. Every store method takes a [`Caller`] first; nothing reaches a project's data without one.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::identity::KeyHash;

/// Identifies a user account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UserId(pub Uuid);

/// Identifies a project: the unit of isolation. Over stdio there is one, the nil id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProjectId(pub Uuid);

/// Identifies an API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(pub Uuid);

/// What a member may do in a project. The order is the order of power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads.
    Viewer,
    /// Reads and writes.
    Editor,
    /// Also deletes, restores and manages keys.
    Owner,
}

/// One right. A role grants some, the scopes of a key cut them down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Right {
    /// Look at documents, the graph and the state of the bank.
    Read,
    /// Create and change documents and the graph.
    Write,
    /// Delete, restore, manage keys.
    Admin,
}

impl Role {
    /// Whether the role alone grants the right.
    #[must_use]
    pub fn grants(self, right: Right) -> bool {
        match right {
            Right::Read => self >= Self::Viewer,
            Right::Write => self >= Self::Editor,
            Right::Admin => self >= Self::Owner,
        }
    }
}

/// The identity that a request acts with: one user, in one project, with the rights of a role cut by a key's scopes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Caller {
    /// The user.
    pub user: UserId,
    /// The project. A key acts in exactly one.
    pub project: ProjectId,
    /// The user's role in the project.
    pub role: Role,
    /// The scopes of the key; empty means everything that the role grants.
    pub scopes: Vec<Right>,
    /// The key, when there is one.
    pub key: Option<KeyId>,
    /// The hash of the key that the request presented, computed from the request itself and from nowhere else: by it a
    /// store can prove the rest, which may come from a cache.
    pub proof: Option<KeyHash>,
    /// The name that is written into entries (`[alice]`), as [`author_label`] renders it.
    pub user_name: String,
}

impl Caller {
    /// The one caller of a process that serves its own user over stdio.
    #[must_use]
    pub fn local(user_name: impl Into<String>) -> Self {
        Self {
            user: UserId(Uuid::nil()),
            project: ProjectId(Uuid::nil()),
            role: Role::Owner,
            scopes: Vec::new(),
            key: None,
            proof: None,
            user_name: user_name.into(),
        }
    }

    /// Whether this caller has the right: the role grants it and the scopes, if any, include it.
    #[must_use]
    pub fn may(&self, right: Right) -> bool {
        self.role.grants(right) && (self.scopes.is_empty() || self.scopes.contains(&right))
    }

    /// The author as it is written into documents.
    #[must_use]
    pub fn author(&self) -> String {
        author_label(&self.user_name)
    }
}

/// The name used when none was given.
pub const UNKNOWN_USER: &str = "Unknown User";

/// Renders a user name for an entry. An address below `github.com/` becomes a Markdown link to the profile.
#[must_use]
pub fn author_label(name: &str) -> String {
    let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
    if name.is_empty() {
        return UNKNOWN_USER.to_owned();
    }
    if !name.contains("github.com/") {
        return name;
    }
    let handle = name.trim_end_matches('/').rsplit('/').next().unwrap_or(&name);
    let address = if name.starts_with("http://") || name.starts_with("https://") {
        name.clone()
    } else {
        format!("https://{name}")
    };
    format!("[@{handle}]({address})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_cuts_what_the_role_grants_and_never_adds() {
        let mut caller = Caller::local("alice");
        caller.scopes = vec![Right::Read];
        assert!(caller.may(Right::Read));
        assert!(!caller.may(Right::Write));
        caller.role = Role::Viewer;
        caller.scopes = vec![Right::Read, Right::Write, Right::Admin];
        assert!(caller.may(Right::Read));
        assert!(!caller.may(Right::Write));
        assert!(!caller.may(Right::Admin));
    }

    #[test]
    fn a_github_address_becomes_a_profile_link() {
        assert_eq!(author_label("https://github.com/octocat"), "[@octocat](https://github.com/octocat)");
        assert_eq!(author_label("github.com/octocat/"), "[@octocat](https://github.com/octocat/)");
        assert_eq!(author_label("alice"), "alice");
        assert_eq!(author_label("  \n"), UNKNOWN_USER);
    }
}
