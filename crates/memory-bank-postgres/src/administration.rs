//! The operator's commands, each one function of schema `app`.

use async_trait::async_trait;
use jiff::Timestamp;
use memory_bank_core::caller::{KeyId, ProjectId, Role, UserId};
use memory_bank_core::error::StoreError;
use memory_bank_core::identity::{
    AdminError, Administration, Bootstrapped, KeyRecord, MemberRecord, NewKey, NewProject, NewUser,
    ProjectRecord, Revoked, UserRecord,
};
use tokio_postgres::Row;

use crate::column::column;
use crate::database::Database;
use crate::keys::{NewRow, key, record_of, role};
use crate::tenant::{CallError, Query, Value};

#[async_trait]
impl Administration for Database {
    async fn bootstrap(
        &self,
        user: &NewUser,
        project: &NewProject,
        key: &NewKey,
    ) -> Result<Bootstrapped, AdminError> {
        const SQL: &str = "SELECT user_id, user_name, user_email, user_created_at, project_id, project_slug, project_name, \
            project_created_at FROM app.bootstrap($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";
        let row = NewRow::of(key)?;
        let values: [Value<'_>; 14] = [
            &user.id.0,
            &user.name,
            &user.email,
            &project.id.0,
            &project.slug,
            &project.name,
            &key.id.0,
            &row.hash,
            &key.prefix,
            &row.label,
            &row.scopes,
            &row.limit,
            &key.expires_at,
            &key.created_at,
        ];
        let rows = self.call(Query::new(SQL, &values)).await.map_err(admin_error)?;
        let row = only(&rows)?;
        Ok(Bootstrapped { user: user_record(row, 0)?, project: project_record(row, 4)?, key: record_of(key) })
    }

    async fn create_user(&self, user: &NewUser) -> Result<UserRecord, AdminError> {
        const SQL: &str = "SELECT id, name, email, created_at FROM app.create_user($1, $2, $3)";
        let values: [Value<'_>; 3] = [&user.id.0, &user.name, &user.email];
        let rows = self.call(Query::new(SQL, &values)).await.map_err(admin_error)?;
        Ok(user_record(only(&rows)?, 0)?)
    }

    async fn users(&self) -> Result<Vec<UserRecord>, AdminError> {
        const SQL: &str = "SELECT id, name, email, created_at FROM app.list_users()";
        let rows = self.call(Query::new(SQL, &[])).await.map_err(admin_error)?;
        Ok(rows.iter().map(|row| user_record(row, 0)).collect::<Result<_, _>>()?)
    }

    async fn create_project(&self, project: &NewProject, owner: &str) -> Result<ProjectRecord, AdminError> {
        const SQL: &str = "SELECT id, slug, name, created_at FROM app.create_project($1, $2, $3, $4)";
        let values: [Value<'_>; 4] = [&project.id.0, &project.slug, &project.name, &owner];
        let rows = self.call(Query::new(SQL, &values)).await.map_err(admin_error)?;
        Ok(project_record(only(&rows)?, 0)?)
    }

    async fn projects(&self) -> Result<Vec<ProjectRecord>, AdminError> {
        const SQL: &str = "SELECT id, slug, name, created_at FROM app.list_projects()";
        let rows = self.call(Query::new(SQL, &[])).await.map_err(admin_error)?;
        Ok(rows.iter().map(|row| project_record(row, 0)).collect::<Result<_, _>>()?)
    }

    async fn set_member(&self, project: &str, user: &str, role: Role) -> Result<MemberRecord, AdminError> {
        const SQL: &str = "SELECT id, name, email, created_at, role FROM app.put_member($1, $2, $3)";
        let rows =
            self.call(Query::new(SQL, &[&project, &user, &role.as_str()])).await.map_err(admin_error)?;
        Ok(member_record(only(&rows)?)?)
    }

    async fn remove_member(&self, project: &str, user: &str) -> Result<Vec<Revoked>, AdminError> {
        const SQL: &str = "SELECT coalesce(grant_id, id), key_hash, key_prefix, label, scopes, rate_limit, last_used_at, expires_at, created_at, \
            revoked_at FROM app.remove_member($1, $2)";
        let rows = self.call(Query::new(SQL, &[&project, &user])).await.map_err(admin_error)?;
        Ok(rows.iter().map(|row| key(row, 0)).collect::<Result<_, _>>()?)
    }

    async fn members(&self, project: &str) -> Result<Vec<MemberRecord>, AdminError> {
        const SQL: &str = "SELECT id, name, email, created_at, role FROM app.list_members($1)";
        let rows = self.call(Query::new(SQL, &[&project])).await.map_err(admin_error)?;
        Ok(rows.iter().map(member_record).collect::<Result<_, _>>()?)
    }

    async fn create_key(&self, project: &str, user: &str, new: &NewKey) -> Result<KeyRecord, AdminError> {
        const SQL: &str = "SELECT id, key_hash, key_prefix, label, scopes, rate_limit, last_used_at, expires_at, created_at, \
            revoked_at FROM app.create_key($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
        let row = NewRow::of(new)?;
        let values: [Value<'_>; 10] = [
            &project,
            &user,
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
        Ok(key(only(&rows)?, 0)?.record)
    }

    async fn keys(&self, project: &str, all: bool) -> Result<Vec<(String, KeyRecord)>, AdminError> {
        const SQL: &str = "SELECT user_name, id, key_hash, key_prefix, label, scopes, rate_limit, last_used_at, expires_at, \
            created_at, revoked_at FROM app.list_keys($1, $2, $3) WHERE grant_id IS NULL";
        let now = self.deps.clock.now();
        let rows = self.call(Query::new(SQL, &[&project, &all, &now])).await.map_err(admin_error)?;
        Ok(rows
            .iter()
            .map(|row| Ok::<_, StoreError>((column(row, 0)?, key(row, 1)?.record)))
            .collect::<Result<_, _>>()?)
    }

    async fn member_keys(&self, project: &str, user: &str) -> Result<Vec<Revoked>, AdminError> {
        const SQL: &str = "SELECT coalesce(grant_id, id), key_hash, key_prefix, label, scopes, rate_limit, last_used_at, expires_at, created_at, \
            revoked_at FROM app.list_keys($1, false, $3) WHERE user_name = $2";
        let now = self.deps.clock.now();
        let rows = self.call(Query::new(SQL, &[&project, &user, &now])).await.map_err(admin_error)?;
        Ok(rows.iter().map(|row| key(row, 0)).collect::<Result<_, _>>()?)
    }

    async fn key(&self, id: KeyId) -> Result<KeyRecord, AdminError> {
        const SQL: &str = "SELECT id, key_hash, key_prefix, label, scopes, rate_limit, last_used_at, expires_at, created_at, \
            revoked_at FROM app.find_key($1)";
        let rows = self.call(Query::new(SQL, &[&id.0])).await.map_err(admin_error)?;
        Ok(key(only(&rows)?, 0)?.record)
    }

    async fn revoke_key(&self, id: KeyId, now: Timestamp) -> Result<Revoked, AdminError> {
        const SQL: &str = "SELECT id, key_hash, key_prefix, label, scopes, rate_limit, last_used_at, expires_at, created_at, \
            revoked_at FROM app.revoke_key($1, $2)";
        let rows = self.call(Query::new(SQL, &[&id.0, &now])).await.map_err(admin_error)?;
        Ok(key(only(&rows)?, 0)?)
    }

    async fn rotate_key(&self, id: KeyId, new: &NewKey) -> Result<(KeyRecord, Revoked), AdminError> {
        const SQL: &str = "SELECT id, key_hash, key_prefix, label, scopes, rate_limit, last_used_at, expires_at, created_at, \
            revoked_at FROM app.rotate_key($1, $2, $3, $4, $5, $6)";
        let hash: &[u8] = new.hash.as_bytes();
        let values: [Value<'_>; 6] = [&id.0, &new.id.0, &hash, &new.prefix, &new.expires_at, &new.created_at];
        let rows = self.call(Query::new(SQL, &values)).await.map_err(admin_error)?;
        let made = key(only(&rows)?, 0)?.record;
        let old = rows.get(1).ok_or_else(missing)?;
        Ok((made, key(old, 0)?))
    }
}

/// The functions report four codes for errors that the operator can fix.
pub(crate) fn admin_error(error: CallError) -> AdminError {
    let CallError::Database(database) = &error else { return AdminError::Store(error.into()) };
    let Some(message) = database.as_db_error() else { return AdminError::Store(error.into()) };
    let kind = match message.detail() {
        Some("user") => "user",
        Some("project") => "project",
        Some("member") => "member",
        Some("grant") => "grant",
        Some("client") => "client",
        Some("identity") => "identity",
        Some("barred identity") => "barred identity",
        Some("issuer") => "issuer",
        _ => "key",
    };
    let name = message.message().to_owned();
    match message.code().code() {
        "MB400" => AdminError::Refused(name),
        "MB403" => AdminError::NotAllowed(name),
        "MB404" => AdminError::NotFound { kind, name },
        "MB409" => AdminError::Exists { kind, name },
        _ => AdminError::Store(error.into()),
    }
}

pub(crate) fn only(rows: &[Row]) -> Result<&Row, StoreError> {
    rows.first().ok_or_else(missing)
}

fn missing() -> StoreError {
    StoreError::Unavailable("a function of schema `app` gave back no row".to_owned())
}

pub(crate) fn user_record(row: &Row, from: usize) -> Result<UserRecord, StoreError> {
    Ok(UserRecord {
        id: UserId(column(row, from)?),
        name: column(row, from + 1)?,
        email: column(row, from + 2)?,
        created_at: column(row, from + 3)?,
    })
}

pub(crate) fn project_record(row: &Row, from: usize) -> Result<ProjectRecord, StoreError> {
    Ok(ProjectRecord {
        id: ProjectId(column(row, from)?),
        slug: column(row, from + 1)?,
        name: column(row, from + 2)?,
        created_at: column(row, from + 3)?,
    })
}

pub(crate) fn member_record(row: &Row) -> Result<MemberRecord, StoreError> {
    Ok(MemberRecord { user: user_record(row, 0)?, role: role(column(row, 4)?)? })
}
