//! The settings of the OpenID provider with which users sign in. This module must not know how that works.

use memory_bank_core::identity::ClaimMapping;
use memory_bank_server::http::{IssuerSettings, OpenIdSettings};
use url::Url;

use super::error::ConfigError;
use super::read::{Read, invalid, non_blank, secret, value};
use super::variables::{
    OIDC_CLIENT_ID, OIDC_CLIENT_SECRET, OIDC_GROUPS_CLAIM, OIDC_ISSUER, OIDC_MAPPING, OIDC_NAME, OIDC_SCOPES,
    Variable,
};

/// The OpenID provider. Each value is checked whether or not it is used.
pub(super) fn settings(read: Read<'_>) -> Result<Option<OpenIdSettings>, ConfigError> {
    let issuer = non_blank(&OIDC_ISSUER, read);
    if issuer.as_deref().is_some_and(|issuer| !IssuerSettings::is_issuer(issuer) || issuer.len() > 512) {
        return Err(invalid(&OIDC_ISSUER, read));
    }
    let scopes = value(&OIDC_SCOPES, read);
    if !scopes.split(' ').any(|scope| scope == "openid") {
        return Err(invalid(&OIDC_SCOPES, read));
    }
    let client_id = non_blank(&OIDC_CLIENT_ID, read);
    let client_secret = secret(&OIDC_CLIENT_SECRET, read)?.map(|(_, secret)| secret);
    let name = non_blank(&OIDC_NAME, read);
    if name.as_deref().is_some_and(|name| name.chars().count() > 80 || name.chars().any(char::is_control)) {
        return Err(invalid(&OIDC_NAME, read));
    }
    let mapping = mapping(&OIDC_MAPPING, &OIDC_GROUPS_CLAIM, read)?;
    let missing = |variable: &Variable| {
        let reason = "`OIDC_ISSUER` is set";
        ConfigError::Missing { name: variable.name, takes: variable.takes, reason }
    };
    let Some(issuer) = issuer else { return Ok(None) };
    let host = Url::parse(&issuer).ok().and_then(|url| url.host_str().map(str::to_owned));
    Ok(Some(OpenIdSettings {
        client_id: client_id.ok_or_else(|| missing(&OIDC_CLIENT_ID))?,
        client_secret: client_secret.ok_or_else(|| missing(&OIDC_CLIENT_SECRET))?,
        name: name.or(host).unwrap_or_default(),
        issuer,
        scopes,
        mapping,
    }))
}

/// A mapping of claims, with the claim that has the groups.
pub(super) fn mapping(
    rules: &Variable,
    groups: &Variable,
    read: Read<'_>,
) -> Result<Option<ClaimMapping>, ConfigError> {
    let groups = value(groups, read);
    let Some(text) = non_blank(rules, read) else { return Ok(None) };
    let mapping: ClaimMapping = text.parse().map_err(|why| ConfigError::Mapping { name: rules.name, why })?;
    Ok(Some(mapping.with_groups_claim(&groups)))
}
