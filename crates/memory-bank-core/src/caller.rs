//! The caller. Every store method takes a [`Caller`] first; a project's data cannot be reached without one.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::identity::KeyHash;
use crate::words::word_enum;

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

word_enum! {
    /// The role of a member in a project, in the order of rights.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum Role {
        /// Reads.
        Viewer = "viewer",
        /// Reads and writes.
        Editor = "editor",
        /// Also deletes, restores and manages keys.
        Owner = "owner",
    }
}

word_enum! {
    /// One right. A role grants rights; the scopes of a key restrict them.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum Right {
        /// Read documents, the graph and the state of the bank.
        Read = "read",
        /// Create and change documents and the graph.
        Write = "write",
        /// Delete, restore, manage keys.
        Admin = "admin",
    }
}

/// A set of rights, such as those that a caller needs to see a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Rights(u8);

impl Rights {
    /// No right.
    pub const NONE: Self = Self(0);
    /// Every right.
    pub const ALL: Self = Self::NONE.with(Right::Read).with(Right::Write).with(Right::Admin);

    /// These rights and one more.
    #[must_use]
    pub const fn with(self, right: Right) -> Self {
        Self(self.0 | Self::bit(right))
    }

    /// Whether the set contains the right.
    #[must_use]
    pub const fn contains(self, right: Right) -> bool {
        self.0 & Self::bit(right) != 0
    }

    /// Whether the other set contains all of these rights.
    #[must_use]
    pub const fn are_within(self, others: Self) -> bool {
        self.0 & !others.0 == 0
    }

    /// The rights, one by one.
    pub fn iter(self) -> impl Iterator<Item = Right> {
        Right::ALL.into_iter().filter(move |right| self.contains(*right))
    }

    /// The set as a number, for a store: the sum of 1 = read, 2 = write, 4 = admin.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// The set of a stored number; unknown bits are ignored.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits & Self::ALL.0)
    }

    const fn bit(right: Right) -> u8 {
        match right {
            Right::Read => 1,
            Right::Write => 2,
            Right::Admin => 4,
        }
    }
}

impl FromIterator<Right> for Rights {
    fn from_iter<T: IntoIterator<Item = Right>>(rights: T) -> Self {
        rights.into_iter().fold(Self::NONE, Self::with)
    }
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

/// The identity of a request: one user, in one project, with the rights of a role, restricted by a key's scopes.
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
    /// The hash of the key that the request presented, always computed from the request. A store uses it to verify
    /// the other members, which may come from a cache.
    pub proof: Option<KeyHash>,
    /// The name that is written into entries (`[alice]`), as [`author_label`] renders it.
    pub user_name: String,
    /// Whether this process or its client refuses every change, whatever role and scopes grant; a refusal says so.
    pub is_read_only: bool,
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
            is_read_only: false,
        }
    }

    /// Whether this caller has the right: the role grants it and the scopes, if any, include it.
    #[must_use]
    pub fn may(&self, right: Right) -> bool {
        self.role.grants(right) && (self.scopes.is_empty() || self.scopes.contains(&right))
    }

    /// Whether data of this user in this project belongs to the caller; for others it does not exist.
    #[must_use]
    pub fn owns(&self, user: UserId, project: ProjectId) -> bool {
        self.user == user && self.project == project
    }

    /// All rights of this caller.
    #[must_use]
    pub fn rights(&self) -> Rights {
        Right::ALL.into_iter().filter(|right| self.may(*right)).collect()
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
    fn a_role_and_a_right_have_one_word_everywhere() {
        for role in Role::ALL {
            assert_eq!(Role::from_word(role.as_str()), Some(role));
            assert_eq!(serde_json::to_value(role).unwrap(), role.as_str());
        }
        for right in Right::ALL {
            assert_eq!(Right::from_word(right.as_str()), Some(right));
            assert_eq!(serde_json::to_value(right).unwrap(), right.as_str());
        }
        assert_eq!((Role::WORDS, Right::WORDS), (["viewer", "editor", "owner"], ["read", "write", "admin"]));
        assert_eq!((Role::from_word("Owner"), Right::from_word("")), (None, None));
    }

    #[test]
    fn a_scope_restricts_a_role_and_never_extends_it() {
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
    fn a_set_of_rights_contains_its_members_and_is_within_larger_sets() {
        let some: Rights = [Right::Admin, Right::Read].into_iter().collect();
        assert_eq!(some.iter().collect::<Vec<_>>(), [Right::Read, Right::Admin]);
        assert!(some.are_within(Rights::ALL) && Rights::NONE.are_within(some));
        assert!(!some.are_within(Rights::NONE.with(Right::Read)) && !Rights::ALL.are_within(some));
        assert_eq!((some.bits(), Rights::from_bits(5)), (5, some));
        let mut caller = Caller::local("alice");
        assert_eq!(caller.rights(), Rights::ALL);
        caller.scopes = vec![Right::Write, Right::Admin];
        caller.role = Role::Editor;
        assert_eq!(caller.rights(), Rights::NONE.with(Right::Write));
    }

    #[test]
    fn a_github_address_becomes_a_profile_link() {
        assert_eq!(author_label("https://github.com/octocat"), "[@octocat](https://github.com/octocat)");
        assert_eq!(author_label("github.com/octocat/"), "[@octocat](https://github.com/octocat/)");
        assert_eq!(author_label("alice"), "alice");
        assert_eq!(author_label("  \n"), UNKNOWN_USER);
    }
}
