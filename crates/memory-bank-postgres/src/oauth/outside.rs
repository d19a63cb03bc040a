//! Tokens of an outside issuer.

use memory_bank_core::caller::KeyId;
use memory_bank_core::error::StoreError;
use memory_bank_core::identity::{NewOutsideToken, OutsideAdmission, Void};
use memory_bank_core::limits;
use tokio_postgres::Row;
use uuid::Uuid;

use super::{bytes, clean, unknown, word};
use crate::column::column;
use crate::database::Database;
use crate::keys::{hash_of, limit, words};
use crate::tenant::{Query, Value};

const ADMIT: &str = "SELECT outcome, void_ids, void_hashes FROM app.oauth_admit_outside($1, $2, $3, $4, $5, $6, $7, $8, $9, \
    $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22)";

/// Stores a token, or renews its row.
pub(super) async fn admit(
    database: &Database,
    token: &NewOutsideToken,
) -> Result<(OutsideAdmission, Vec<Void>), StoreError> {
    let (rights, rate_limit) = (words(&token.rights), limit(token.rate_limit)?);
    let count = |most: usize| i64::try_from(most).unwrap_or(i64::MAX);
    let (most, most_tokens) = (count(limits::GRANTS), count(limits::OUTSIDE_TOKENS));
    let (name, project) = (clean(&token.client_name), token.project.as_deref().map(clean));
    let most_identities = count(limits::IDENTITIES);
    let mapping = token.mapped.as_ref().map(|_| "token");
    let mapped = token.mapped.as_deref().unwrap_or_default();
    let slugs: Vec<&str> = mapped.iter().map(|(slug, _)| slug.as_str()).collect();
    let roles: Vec<&str> = mapped.iter().map(|(_, role)| role.as_str()).collect();
    let values: [Value<'_>; 22] = [
        &bytes(&token.hash),
        &token.id,
        &token.prefix,
        &token.expires_at,
        &token.issuer,
        &token.subject,
        &token.name,
        &token.email,
        &mapping,
        &slugs,
        &roles,
        &most_identities,
        &project,
        &token.grant.0,
        &token.client_id,
        &name,
        &token.client_host,
        &rights,
        &token.resource,
        &rate_limit,
        &most,
        &most_tokens,
    ];
    let rows = database.call(Query::new(ADMIT, &values)).await?;
    let admission = match word(&rows)?.as_str() {
        "admitted" => OutsideAdmission::Admitted,
        "revoked" => OutsideAdmission::Revoked,
        "unknown_user" => OutsideAdmission::UnknownUser,
        "no_project" => OutsideAdmission::NoProject,
        "several_projects" => OutsideAdmission::SeveralProjects,
        "not_a_member" => OutsideAdmission::NotAMember,
        "untrusted" => OutsideAdmission::Untrusted,
        other => return Err(unknown("oauth_admit_outside", other)),
    };
    Ok((admission, rows.first().map(changed).transpose()?.unwrap_or_default()))
}

/// Keys and tokens whose role has changed, from `void_ids` and `void_hashes`.
fn changed(row: &Row) -> Result<Vec<Void>, StoreError> {
    let ids: Vec<Uuid> = column::<Option<_>>(row, 1)?.unwrap_or_default();
    let hashes: Vec<&[u8]> = column::<Option<_>>(row, 2)?.unwrap_or_default();
    let one = |(id, hash)| Ok(Void { grant: KeyId(id), hashes: vec![hash_of(hash)?] });
    ids.into_iter().zip(hashes).map(one).collect()
}
