//! Tokens of an outside issuer.

use memory_bank_core::error::StoreError;
use memory_bank_core::identity::{NewOutsideToken, OutsideAdmission, Void};
use memory_bank_core::limits;

use super::{bytes, clean, word};
use crate::database::Database;
use crate::keys::{limit, words};
use crate::revocations::{changed, unknown};
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
    let user = &token.user;
    let mapping = user.mapped.as_ref().map(|mapped| mapped.source.as_str());
    let projects = user.mapped.as_ref().map(|mapped| mapped.projects.as_slice()).unwrap_or_default();
    let slugs: Vec<&str> = projects.iter().map(|given| given.slug.as_str()).collect();
    let roles: Vec<&str> = projects.iter().map(|given| given.role.as_str()).collect();
    let values: [Value<'_>; 22] = [
        &bytes(&token.hash),
        &token.id,
        &token.prefix,
        &token.expires_at,
        &user.issuer,
        &user.subject,
        &user.name,
        &user.email,
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
    Ok((admission, rows.first().map(|row| changed(row, 1)).transpose()?.unwrap_or_default()))
}
