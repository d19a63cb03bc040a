//! Administration by owners: each method is one function of schema `app`, which enters the context of the caller and checks it.

use async_trait::async_trait;
use jiff::Timestamp;
use memory_bank_core::caller::{Caller, KeyId, Role};
use memory_bank_core::error::StoreError;
use memory_bank_core::identity::{
    AdminError, AuditPosition, GrantRecord, KeyRecord, ListPosition, ListedMember, NewKey, NewUser,
    ProjectAdministration, ProjectUsage, Revoked, UserRecord, Void,
};
use memory_bank_core::limits;
use memory_bank_core::store::{AuditEntry, CallStep, StepLength};
use tokio_postgres::Row;

use crate::administration::{admin_error, member_record, only, user_record};
use crate::audit::entry;
use crate::call_log::{CALLS, call_step};
use crate::column::{answer, column};
use crate::database::Database;
use crate::keys::{NewRow, key, record, record_of};
use crate::oauth::grant_record;
use crate::quota::{StoredBytes, USAGE};
use crate::revocations::void;
use crate::tenant::{CallError, Query, Value, context_of};

const MEMBERS: &str = "SELECT id, name, email, created_at, role, is_own_open_invitation FROM app.owner_members($1, $2, $3, $4, $5, $6)";
const CHANGE_MEMBER: &str = "SELECT coalesce(grant_id, id), key_hash, key_prefix, label, scopes, rate_limit, last_used_at, expires_at, \
    created_at, revoked_at FROM app.owner_change_member($1, $2, $3, $4, $5, $6)";
const INVITE: &str = "SELECT id, name, email, created_at, key_expires_at \
    FROM app.owner_invite($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)";
const REPLACE_INVITATION: &str = "SELECT id, key_hash, key_prefix, label, scopes, rate_limit, last_used_at, expires_at, created_at, revoked_at \
    FROM app.owner_replace_invitation($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
const REMOVE_MEMBER: &str = "SELECT coalesce(grant_id, id), key_hash, key_prefix, label, scopes, rate_limit, last_used_at, expires_at, \
    created_at, revoked_at FROM app.owner_remove_member($1, $2, $3, $4, $5)";
const KEYS: &str = "SELECT user_name, id, key_prefix, label, scopes, rate_limit, last_used_at, expires_at, created_at, revoked_at \
    FROM app.owner_keys($1, $2, $3, $4, $5, $6, $7, $8)";
const REVOKE_KEY: &str = "SELECT id, key_hash, key_prefix, label, scopes, rate_limit, last_used_at, expires_at, created_at, revoked_at \
    FROM app.owner_revoke_key($1, $2, $3, $4, $5, $6)";
const GRANTS: &str = "SELECT id, project_slug, client_name, client_host, scopes, created_at, last_used_at, expires_at, \
    user_name, client_id, revoked_at, revoked_for FROM app.owner_grants($1, $2, $3, $4, $5, $6, $7)";
const END_GRANT: &str = "SELECT app.owner_revoke_grant($1, $2, $3, $4, $5)";
const AUDIT: &str = "SELECT id, at, action, project, user_name, user_id, key_id, login, subject, address, detail \
    FROM app.owner_audit($1, $2, $3, $4, $5, $6, $7)";

#[async_trait]
impl ProjectAdministration for Database {
    async fn members_of(
        &self,
        caller: &Caller,
        after: Option<&str>,
        most: u32,
    ) -> Result<Vec<ListedMember>, StoreError> {
        let rows = self.as_owner(caller, MEMBERS, &[&after, &i64::from(most)]).await?;
        let listed =
            |row| Ok(ListedMember { member: member_record(row)?, is_own_open_invitation: column(row, 5)? });
        rows.iter().map(listed).collect()
    }

    async fn change_member(
        &self,
        caller: &Caller,
        member: &str,
        role: Role,
    ) -> Result<Vec<Revoked>, AdminError> {
        let rows = self.as_owner(caller, CHANGE_MEMBER, &[&member, &role.as_str()]).await;
        all_keys(&rows.map_err(admin_error)?)
    }

    async fn invite(
        &self,
        caller: &Caller,
        user: &NewUser,
        role: Role,
        new: &NewKey,
    ) -> Result<(UserRecord, KeyRecord), AdminError> {
        let (row, word) = (NewRow::of(new)?, role.as_str());
        let [members, keys] = [limits::PROJECT_MEMBERS, limits::PROJECT_KEYS]
            .map(|most| i64::try_from(most).unwrap_or(i64::MAX));
        let values: [Value<'_>; 14] = [
            &members,
            &keys,
            &user.id.0,
            &user.name,
            &user.email,
            &word,
            &new.id.0,
            &row.hash,
            &new.prefix,
            &row.label,
            &row.scopes,
            &row.limit,
            &new.expires_at,
            &new.created_at,
        ];
        let rows = self.as_owner(caller, INVITE, &values).await.map_err(admin_error)?;
        let made = only(&rows)?;
        Ok((user_record(made, 0)?, KeyRecord { expires_at: column(made, 4)?, ..record_of(new) }))
    }

    async fn replace_invitation(
        &self,
        caller: &Caller,
        member: &str,
        new: &NewKey,
    ) -> Result<(KeyRecord, Vec<Revoked>), AdminError> {
        let row = NewRow::of(new)?;
        let values: [Value<'_>; 9] = [
            &member,
            &new.id.0,
            &row.hash,
            &new.prefix,
            &row.label,
            &row.scopes,
            &row.limit,
            &new.expires_at,
            &new.created_at,
        ];
        let rows = self.as_owner(caller, REPLACE_INVITATION, &values).await.map_err(admin_error)?;
        let (mut made, void): (Vec<Revoked>, Vec<Revoked>) =
            all_keys(&rows)?.into_iter().partition(|key| key.record.id == new.id);
        let made = made.pop().ok_or_else(|| {
            StoreError::Unavailable("a function of schema `app` gave back no key".to_owned())
        })?;
        Ok((made.record, void))
    }

    async fn end_membership(&self, caller: &Caller, member: &str) -> Result<Vec<Revoked>, AdminError> {
        all_keys(&self.as_owner(caller, REMOVE_MEMBER, &[&member]).await.map_err(admin_error)?)
    }

    async fn keys_of_members(
        &self,
        caller: &Caller,
        all: bool,
        before: Option<ListPosition>,
        most: u32,
    ) -> Result<Vec<(String, KeyRecord)>, StoreError> {
        let (at, id) = before.unzip();
        let rows = self.as_owner(caller, KEYS, &[&all, &at, &id, &i64::from(most)]).await?;
        rows.iter().map(|row| Ok((column(row, 0)?, record(row, 1, 2)?))).collect()
    }

    async fn revoke_key_of_member(
        &self,
        caller: &Caller,
        id: KeyId,
        now: Timestamp,
    ) -> Result<Revoked, AdminError> {
        let rows = self.as_owner(caller, REVOKE_KEY, &[&id.0, &now]).await.map_err(admin_error)?;
        Ok(key(only(&rows)?, 0)?)
    }

    async fn grants_of_members(
        &self,
        caller: &Caller,
        before: Option<ListPosition>,
        most: u32,
    ) -> Result<Vec<GrantRecord>, StoreError> {
        let (at, id) = before.unzip();
        self.as_owner(caller, GRANTS, &[&at, &id, &i64::from(most)]).await?.iter().map(grant_record).collect()
    }

    async fn end_grant_of_member(&self, caller: &Caller, id: KeyId) -> Result<Void, AdminError> {
        let rows = self.as_owner(caller, END_GRANT, &[&id.0]).await.map_err(admin_error)?;
        Ok(void(id, only(&rows)?, 0)?)
    }

    async fn audit_log(
        &self,
        caller: &Caller,
        before: Option<AuditPosition>,
        most: u32,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        let (at, id) = before.unzip();
        let rows = self.as_owner(caller, AUDIT, &[&at, &id, &i64::from(most)]).await?;
        rows.iter().map(entry).collect()
    }

    async fn calls(
        &self,
        caller: &Caller,
        step: StepLength,
        since: Timestamp,
    ) -> Result<Vec<CallStep>, StoreError> {
        let step = match step {
            StepLength::Hour => "hour",
            StepLength::Day => "day",
        };
        self.as_owner(caller, CALLS, &[&step, &since]).await?.iter().map(call_step).collect()
    }

    async fn usage(&self, caller: &Caller) -> Result<ProjectUsage, StoreError> {
        let rows = self.read_own(caller, &[Query::new(USAGE, &[&caller.project.0])]).await?;
        let stored = StoredBytes::of(answer(&rows, 0))?;
        let bytes = |bytes: i64| u64::try_from(bytes).unwrap_or_default();
        Ok(ProjectUsage {
            documents: bytes(stored.documents),
            backups: bytes(stored.snapshots),
            others: bytes(stored.others),
            quota: stored.limit(self.default_quota).map(bytes),
        })
    }
}

impl Database {
    /// Calls a function that takes user, project, key and the key's hash before these values.
    async fn as_owner(
        &self,
        caller: &Caller,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<Vec<Row>, CallError> {
        let [user, project, key, proof] = context_of(caller);
        let context: [Value<'_>; 4] = [&user, &project, &key, &proof];
        let values: Vec<Value<'_>> = context.iter().chain(values).copied().collect();
        self.call(Query::new(sql, &values)).await
    }
}

fn all_keys(rows: &[Row]) -> Result<Vec<Revoked>, AdminError> {
    Ok(rows.iter().map(|row| key(row, 0)).collect::<Result<_, _>>()?)
}
