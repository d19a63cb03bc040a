//! Outside identities: sign-ins with them, and the operator's commands. Each method is one function of schema `app`; the
//! tables are out of reach of every role that serves.

use async_trait::async_trait;
use jiff::Timestamp;
use memory_bank_core::error::StoreError;
use memory_bank_core::identity::{
    AdminError, IdentityAdministration, IdentityRecord, KeyHash, OutsideRefusal, OutsideSignIn, OutsideUser,
    OutsideUsers, Void,
};
use memory_bank_core::limits;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::administration::{admin_error, only};
use crate::column::column;
use crate::database::Database;
use crate::revocations::{changed, unknown, voids};
use crate::tenant::{Query, Value};

const SIGN_IN: &str = "SELECT outcome, user_name, void_ids, void_hashes \
    FROM app.oauth_sign_in_with_identity($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";

#[async_trait]
impl OutsideUsers for Database {
    async fn sign_in_outside(
        &self,
        user: &OutsideUser,
        cookie: &KeyHash,
        until: Timestamp,
    ) -> Result<OutsideSignIn, StoreError> {
        let most = i64::try_from(limits::IDENTITIES).unwrap_or(i64::MAX);
        let mapping = user.mapped.as_ref().map(|mapped| mapped.source.as_str());
        let projects = user.mapped.as_ref().map(|mapped| mapped.projects.as_slice()).unwrap_or_default();
        let slugs: Vec<&str> = projects.iter().map(|given| given.slug.as_str()).collect();
        let roles: Vec<&str> = projects.iter().map(|given| given.role.as_str()).collect();
        let cookie = cookie.as_bytes().as_slice();
        let values: [Value<'_>; 10] = [
            &user.issuer,
            &user.subject,
            &user.name,
            &user.email,
            &mapping,
            &slugs,
            &roles,
            &most,
            &cookie,
            &until,
        ];
        let rows = self.call(Query::new(SIGN_IN, &values)).await?;
        let row = rows.first().ok_or_else(|| unknown("oauth_sign_in_with_identity", "no row"))?;
        let outcome: String = column(row, 0)?;
        let refusal = match outcome.as_str() {
            "known" | "created" => {
                let is_new = outcome == "created";
                return Ok(OutsideSignIn::SignedIn {
                    user_name: column(row, 1)?,
                    is_new,
                    changed: changed(row, 2)?,
                });
            }
            "unknown" => OutsideRefusal::Unknown,
            "barred" => OutsideRefusal::Barred,
            "full" => OutsideRefusal::Full,
            "untrusted" => OutsideRefusal::Untrusted,
            other => return Err(unknown("oauth_sign_in_with_identity", other)),
        };
        Ok(OutsideSignIn::Refused(refusal))
    }
}

#[async_trait]
impl IdentityAdministration for Database {
    async fn identities(&self, user: Option<&str>) -> Result<Vec<IdentityRecord>, AdminError> {
        const SQL: &str =
            "SELECT id, user_name, issuer, subject, email, linked_at, seen_at FROM app.list_identities($1)";
        let rows = self.call(Query::new(SQL, &[&user])).await.map_err(admin_error)?;
        Ok(rows.iter().map(record).collect::<Result<_, _>>()?)
    }

    async fn link_identity(&self, user: &str, issuer: &str, subject: &str) -> Result<Uuid, AdminError> {
        const SQL: &str = "SELECT app.link_identity($1, $2, $3)";
        let rows = self.call(Query::new(SQL, &[&user, &issuer, &subject])).await.map_err(admin_error)?;
        Ok(column(only(&rows)?, 0)?)
    }

    async fn unlink_identity(&self, id: Uuid) -> Result<Vec<Void>, AdminError> {
        const SQL: &str = "SELECT grant_id, key_hash FROM app.unlink_identity($1)";
        Ok(voids(&self.call(Query::new(SQL, &[&id])).await.map_err(admin_error)?)?)
    }

    async fn allow_identity(&self, issuer: &str, subject: &str) -> Result<(), AdminError> {
        const SQL: &str = "SELECT app.allow_identity($1, $2)";
        self.call(Query::new(SQL, &[&issuer, &subject])).await.map_err(admin_error)?;
        Ok(())
    }

    async fn trust_issuer(&self, issuer: &str, trusted: bool) -> Result<(), AdminError> {
        const SQL: &str = "SELECT app.trust_issuer($1, $2)";
        self.call(Query::new(SQL, &[&issuer, &trusted])).await.map_err(admin_error)?;
        Ok(())
    }

    async fn issuers(&self) -> Result<Vec<(String, Timestamp)>, AdminError> {
        const SQL: &str = "SELECT issuer, trusted_at FROM app.list_issuers()";
        let rows = self.call(Query::new(SQL, &[])).await.map_err(admin_error)?;
        let issuer = |row: &Row| Ok::<_, StoreError>((column(row, 0)?, column(row, 1)?));
        Ok(rows.iter().map(issuer).collect::<Result<_, _>>()?)
    }
}

fn record(row: &Row) -> Result<IdentityRecord, StoreError> {
    Ok(IdentityRecord {
        id: column(row, 0)?,
        user_name: column(row, 1)?,
        issuer: column(row, 2)?,
        subject: column(row, 3)?,
        email: column(row, 4)?,
        linked_at: column(row, 5)?,
        seen_at: column(row, 6)?,
    })
}
