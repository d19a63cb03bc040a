//! What owners see and change of their own project, over HTTP: members, keys, grants, the audit log. Unlike the commands of
//! operators, each method takes a caller, and the store checks that it is an owner whose key administers.

use async_trait::async_trait;
use jiff::Timestamp;
use uuid::Uuid;

use crate::caller::{Caller, KeyId, Role};
use crate::error::StoreError;
use crate::identity::{
    AdminError, GrantRecord, KeyRecord, MemberRecord, NewKey, NewUser, Revoked, UserRecord, Void,
};
use crate::store::{AuditEntry, CallStep, StepLength};

/// How many bytes a project holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProjectUsage {
    /// Its documents.
    pub documents: u64,
    /// Its backups.
    pub backups: u64,
    /// Its graph, and files beside the documents.
    pub others: u64,
    /// The most that it may hold; `None`: unlimited.
    pub quota: Option<u64>,
}

impl ProjectUsage {
    /// The sum.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.documents.saturating_add(self.backups).saturating_add(self.others)
    }
}

/// A position in the audit log, which is listed newest first.
pub type AuditPosition = (Timestamp, i64);

/// A position in a list of keys or grants, which is sorted by time, then id, newest first. The list goes on after it also when the
/// item is gone.
pub type ListPosition = (Timestamp, Uuid);

/// A member in the list that an owner sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedMember {
    /// The user, with the role.
    pub member: MemberRecord,
    /// Whether this owner may replace the key of the invitation ([`ProjectAdministration::replace_invitation`]).
    pub is_own_open_invitation: bool,
}

/// Administers the project of the caller, who must be an owner with a key or a session that administers; an application with a
/// token never does. Lists have pages of at most so many items.
#[async_trait]
pub trait ProjectAdministration: Send + Sync {
    /// The members, by name, after a name.
    async fn members_of(
        &self,
        caller: &Caller,
        after: Option<&str>,
        most: u32,
    ) -> Result<Vec<ListedMember>, StoreError>;

    /// Changes the role of a member. A project keeps at least one owner. Returns the valid keys of the member, for caches.
    async fn change_member(
        &self,
        caller: &Caller,
        member: &str,
        role: Role,
    ) -> Result<Vec<Revoked>, AdminError>;

    /// Makes a new user a member, with a key that gives no more than the caller's, and ends no later. A user who exists is refused.
    async fn invite(
        &self,
        caller: &Caller,
        user: &NewUser,
        role: Role,
        key: &NewKey,
    ) -> Result<(UserRecord, KeyRecord), AdminError>;

    /// Makes a key for a member whom the caller invited and who has used nothing yet, as an invitation does. Returns it, and the keys
    /// that it replaces. Any other member is refused: the key would act in the name of somebody who has worked here.
    async fn replace_invitation(
        &self,
        caller: &Caller,
        member: &str,
        key: &NewKey,
    ) -> Result<(KeyRecord, Vec<Revoked>), AdminError>;

    /// Ends a membership. A project keeps at least one owner. Returns the keys that become invalid, for caches.
    async fn end_membership(&self, caller: &Caller, member: &str) -> Result<Vec<Revoked>, AdminError>;

    /// The keys of all members with the names of their users, newest first; with `all`, revoked and expired ones too.
    async fn keys_of_members(
        &self,
        caller: &Caller,
        all: bool,
        before: Option<ListPosition>,
        most: u32,
    ) -> Result<Vec<(String, KeyRecord)>, StoreError>;

    /// Revokes a key of any member.
    async fn revoke_key_of_member(
        &self,
        caller: &Caller,
        id: KeyId,
        now: Timestamp,
    ) -> Result<Revoked, AdminError>;

    /// What the members have allowed in the project, newest first.
    async fn grants_of_members(
        &self,
        caller: &Caller,
        before: Option<ListPosition>,
        most: u32,
    ) -> Result<Vec<GrantRecord>, StoreError>;

    /// Ends a grant of any member.
    async fn end_grant_of_member(&self, caller: &Caller, id: KeyId) -> Result<Void, AdminError>;

    /// Lists at most `most` rows of the project's log, from before a position.
    async fn audit_log(
        &self,
        caller: &Caller,
        before: Option<AuditPosition>,
        most: u32,
    ) -> Result<Vec<AuditEntry>, StoreError>;

    /// The calls of tools since a time, in steps, oldest first; steps without a call are left out.
    async fn calls(
        &self,
        caller: &Caller,
        step: StepLength,
        since: Timestamp,
    ) -> Result<Vec<CallStep>, StoreError>;

    /// How many bytes the project holds.
    async fn usage(&self, caller: &Caller) -> Result<ProjectUsage, StoreError>;
}
