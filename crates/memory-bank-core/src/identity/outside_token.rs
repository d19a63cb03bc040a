//! Tokens of an outside authorization server, as they are stored once they were verified. Nothing here verifies one.

use jiff::Timestamp;
use uuid::Uuid;

use crate::caller::{KeyId, Right};
use crate::identity::{KeyHash, OutsideUser};

/// A verified token to store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOutsideToken {
    /// The id of its row.
    pub id: Uuid,
    /// The id of its grant, if this user has none yet for this client in the project.
    pub grant: KeyId,
    /// Its hash.
    pub hash: KeyHash,
    /// By which it is recognised in lists: nothing of the token itself.
    pub prefix: String,
    /// The user.
    pub user: OutsideUser,
    /// The client that the issuer gave it to.
    pub client_id: String,
    /// The client's name, for people.
    pub client_name: String,
    /// The host of the issuer.
    pub client_host: String,
    /// The rights; never empty.
    pub rights: Vec<Right>,
    /// The resource that it is for.
    pub resource: String,
    /// Requests per minute, of all tokens of the grant together.
    pub rate_limit: u32,
    /// The short name of the project that it is for, if it or a setting names one.
    pub project: Option<String>,
    /// When it must be verified again.
    pub expires_at: Timestamp,
}

/// The result of storing a token of an outside issuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutsideAdmission {
    /// It is stored, or its row lives on.
    Admitted,
    /// The token was revoked, or what its user allowed this client was taken back.
    Revoked,
    /// No user has this subject.
    UnknownUser,
    /// An operator has not trusted the issuer.
    Untrusted,
    /// The user is a member of no project.
    NoProject,
    /// The user is a member of several projects, and nothing names one.
    SeveralProjects,
    /// The user is not a member of the named project.
    NotAMember,
}
