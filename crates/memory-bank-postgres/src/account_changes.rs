//! The operator's changes and removals of users, projects and keys, each one function of schema `app`.

use jiff::Timestamp;
use memory_bank_core::caller::{KeyId, Role};
use memory_bank_core::error::StoreError;
use memory_bank_core::identity::{
    AdminError, KeyChange, KeyRecord, NewKey, NewUser, ProjectRecord, Revoked, UserRecord,
};

use crate::administration::{admin_error, only, project_record, user_record};
use crate::column::column;
use crate::database::Database;
use crate::keys::{NewRow, key, limit, record_of, words};
use crate::tenant::{Query, Value};

/// A member who was invited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invited {
    /// The user.
    pub user: UserRecord,
    /// Whether the user was created.
    pub is_new: bool,
    /// The new key.
    pub key: KeyRecord,
}

impl Database {
    /// Makes a user, who is created if missing, a member of a project, with a new key: all or nothing. A member with another
    /// role is refused.
    ///
    /// # Errors
    /// There is no such project, the role is another one, or the database fails.
    pub async fn invite_member(
        &self,
        project: &str,
        user: &NewUser,
        role: Role,
        new: &NewKey,
    ) -> Result<Invited, AdminError> {
        const SQL: &str = "SELECT id, name, email, created_at, is_new \
            FROM app.invite_member($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
        let (row, word) = (NewRow::of(new)?, role.as_str());
        let values: [Value<'_>; 13] = [
            &user.id.0,
            &user.name,
            &user.email,
            &project,
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
        let rows = self.call(Query::new(SQL, &values)).await.map_err(admin_error)?;
        let row = only(&rows)?;
        Ok(Invited { user: user_record(row, 0)?, is_new: column(row, 4)?, key: record_of(new) })
    }

    /// Changes a key that is not revoked. An expiry can only move earlier.
    ///
    /// # Errors
    /// There is no such key, the change is not allowed, or the database fails.
    pub async fn update_key(
        &self,
        id: KeyId,
        change: &KeyChange,
        expires_at: Option<Timestamp>,
    ) -> Result<Revoked, AdminError> {
        const SQL: &str = "SELECT id, key_hash, key_prefix, label, scopes, rate_limit, last_used_at, expires_at, created_at, \
            revoked_at FROM app.update_key($1, $2, $3, $4, $5, $6)";
        let label = change.label.clone().flatten().map(|label| label.replace('\0', "\u{fffd}"));
        let scopes = change.scopes.as_deref().map(words);
        let rate_limit = change.rate_limit.map(limit).transpose()?;
        let labels = change.label.is_some();
        let values: [Value<'_>; 6] = [&id.0, &labels, &label, &scopes, &rate_limit, &expires_at];
        let rows = self.call(Query::new(SQL, &values)).await.map_err(admin_error)?;
        Ok(key(only(&rows)?, 0)?)
    }

    /// Removes a user, with memberships, keys and sessions. What projects contain stays. Returns the keys that become void,
    /// for invalidation of caches.
    ///
    /// # Errors
    /// There is no such user, a project would lose its last owner, or the database fails.
    pub async fn remove_user(&self, name: &str) -> Result<Vec<Revoked>, AdminError> {
        const SQL: &str = "SELECT coalesce(grant_id, id), key_hash, key_prefix, label, scopes, rate_limit, last_used_at, expires_at, created_at, \
            revoked_at FROM app.remove_user($1)";
        self.keys_of(SQL, name).await
    }

    /// Gives a project another slug. Running servers show the former one for some minutes.
    ///
    /// # Errors
    /// There is no such project, the new slug is taken or invalid, or the database fails.
    pub async fn rename_project(&self, slug: &str, new: &str) -> Result<ProjectRecord, AdminError> {
        const SQL: &str = "SELECT id, slug, name, created_at FROM app.rename_project($1, $2)";
        let rows = self.call(Query::new(SQL, &[&slug, &new])).await.map_err(admin_error)?;
        Ok(project_record(only(&rows)?, 0)?)
    }

    /// The active keys of a project, for invalidation of caches.
    ///
    /// # Errors
    /// There is no such project, or the database fails.
    pub async fn project_keys(&self, slug: &str) -> Result<Vec<Revoked>, AdminError> {
        const SQL: &str = "SELECT coalesce(grant_id, id), key_hash, key_prefix, label, scopes, rate_limit, last_used_at, expires_at, created_at, \
            revoked_at FROM app.list_keys($1, false, now())";
        self.keys_of(SQL, slug).await
    }

    /// How many bytes a project holds.
    ///
    /// # Errors
    /// There is no such project, or the database fails.
    pub async fn stored_bytes_of(&self, slug: &str) -> Result<i64, AdminError> {
        let all = self.stored_bytes().await?;
        let found = all.into_iter().find(|project| project.slug == slug);
        let missing = || AdminError::NotFound { kind: "project", name: slug.to_owned() };
        Ok(found.ok_or_else(missing)?.stored.total())
    }

    /// Removes a project with all that it contains. Returns the keys that become void, for invalidation of caches.
    ///
    /// # Errors
    /// There is no such project, or the database fails.
    pub async fn remove_project(&self, slug: &str) -> Result<Vec<Revoked>, AdminError> {
        const SQL: &str = "SELECT coalesce(grant_id, id), key_hash, key_prefix, label, scopes, rate_limit, last_used_at, expires_at, created_at, \
            revoked_at FROM app.remove_project($1)";
        self.keys_of(SQL, slug).await
    }

    async fn keys_of(&self, sql: &'static str, name: &str) -> Result<Vec<Revoked>, AdminError> {
        let rows = self.call(Query::new(sql, &[&name])).await.map_err(admin_error)?;
        let keys: Result<Vec<Revoked>, StoreError> = rows.iter().map(|row| key(row, 0)).collect();
        Ok(keys?)
    }
}
