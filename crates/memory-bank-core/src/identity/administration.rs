//! Commands of operators, directly on the database: users, projects, members and their keys. They have no caller:
//! possession of the database's connection string authorises the operator.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::caller::{KeyId, ProjectId, Role, UserId};
use crate::error::StoreError;
use crate::identity::{KeyRecord, NewKey, Revoked};

/// Why an operator's command was not carried out. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdminError {
    /// The named object does not exist; has its kind and name (`user`, `alice`).
    #[error("there is no {kind} `{name}`")]
    NotFound {
        /// `user`, `project`, `member` or `key`.
        kind: &'static str,
        /// The requested name.
        name: String,
    },
    /// The object exists already.
    #[error("the {kind} `{name}` exists already")]
    Exists {
        /// `user` or `project`.
        kind: &'static str,
        /// The requested name.
        name: String,
    },
    /// A rule forbids it; the text has the remedy.
    #[error("{0}")]
    Refused(String),
    /// The caller lacks a right; the text names it.
    #[error("{0}")]
    NotAllowed(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A user to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewUser {
    /// Id to use.
    pub id: UserId,
    /// A unique name.
    pub name: String,
    /// An e-mail address.
    pub email: Option<String>,
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRecord {
    /// The id.
    pub id: UserId,
    /// The name, by which the command line names users.
    pub name: String,
    /// The address.
    pub email: Option<String>,
    /// When it was created.
    pub created_at: Timestamp,
}

/// A project to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewProject {
    /// Id to use.
    pub id: ProjectId,
    /// A unique short name: lower-case letters, digits and hyphens.
    pub slug: String,
    /// A name for people.
    pub name: String,
}

/// A project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectRecord {
    /// The id.
    pub id: ProjectId,
    /// The short name, by which the command line names projects.
    pub slug: String,
    /// The name for people.
    pub name: String,
    /// When it was created.
    pub created_at: Timestamp,
}

/// A member of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberRecord {
    /// The user.
    pub user: UserRecord,
    /// The role.
    pub role: Role,
}

/// The result of `bootstrap`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bootstrapped {
    /// The user.
    pub user: UserRecord,
    /// The project.
    pub project: ProjectRecord,
    /// The new key.
    pub key: KeyRecord,
}

/// The operator's commands, each one transaction.
#[async_trait]
pub trait Administration: Send + Sync {
    /// Creates missing user (by name), project (by slug) and ownership, and always stores the key. All or nothing.
    async fn bootstrap(
        &self,
        user: &NewUser,
        project: &NewProject,
        key: &NewKey,
    ) -> Result<Bootstrapped, AdminError>;

    /// Creates a user.
    async fn create_user(&self, user: &NewUser) -> Result<UserRecord, AdminError>;

    /// All users, by name.
    async fn users(&self) -> Result<Vec<UserRecord>, AdminError>;

    /// Creates a project, owned by the user of this name.
    async fn create_project(&self, project: &NewProject, owner: &str) -> Result<ProjectRecord, AdminError>;

    /// All projects, by slug.
    async fn projects(&self) -> Result<Vec<ProjectRecord>, AdminError>;

    /// Makes the user a member with this role, or changes the role. A project keeps at least one owner.
    async fn set_member(&self, project: &str, user: &str, role: Role) -> Result<MemberRecord, AdminError>;

    /// Ends a membership. A project keeps at least one owner. Returns the keys that become invalid, for invalidation
    /// of caches.
    async fn remove_member(&self, project: &str, user: &str) -> Result<Vec<Revoked>, AdminError>;

    /// The members of a project, by name.
    async fn members(&self, project: &str) -> Result<Vec<MemberRecord>, AdminError>;

    /// Stores a key of a member in a project.
    async fn create_key(&self, project: &str, user: &str, key: &NewKey) -> Result<KeyRecord, AdminError>;

    /// The keys of a project with the names of their users, newest first; with `all`, revoked and expired ones too.
    async fn keys(&self, project: &str, all: bool) -> Result<Vec<(String, KeyRecord)>, AdminError>;

    /// The active keys of a member in a project, for invalidation of caches.
    async fn member_keys(&self, project: &str, user: &str) -> Result<Vec<Revoked>, AdminError>;

    /// A key of any project.
    async fn key(&self, id: KeyId) -> Result<KeyRecord, AdminError>;

    /// Revokes a key.
    async fn revoke_key(&self, id: KeyId, now: Timestamp) -> Result<Revoked, AdminError>;

    /// Replaces a key, as [`crate::identity::KeyStore::rotate`] does.
    async fn rotate_key(&self, id: KeyId, key: &NewKey) -> Result<(KeyRecord, Revoked), AdminError>;
}
