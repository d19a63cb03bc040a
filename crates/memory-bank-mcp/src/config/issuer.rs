//! The settings of the outside authorization server. This module must not know how a token is verified.

use memory_bank_core::caller::{Right, Rights};
use memory_bank_server::http::IssuerSettings;

use super::error::ConfigError;
use super::openid::mapping;
use super::read::{Read, boolean, invalid, non_blank};
use super::variables::{
    OAUTH_AUDIENCE, OAUTH_DEFAULT_SCOPES, OAUTH_GROUPS_CLAIM, OAUTH_ISSUER, OAUTH_ISSUER_SIGN_IN,
    OAUTH_JWKS_URL, OAUTH_MAPPING, OAUTH_PROJECT, Variable,
};

/// The outside authorization server. Each value is checked whether or not it is used.
pub(super) fn settings(read: Read<'_>) -> Result<Option<IssuerSettings>, ConfigError> {
    let checked = |variable: &'static Variable, is_good: fn(&str) -> bool| match non_blank(variable, read) {
        Some(text) if !is_good(&text) => Err(invalid(variable, read)),
        text => Ok(text),
    };
    let is_word = |text: &str| !text.contains(char::is_whitespace);
    let issuer = checked(&OAUTH_ISSUER, IssuerSettings::is_issuer)?;
    let audience = checked(&OAUTH_AUDIENCE, is_word)?;
    let keys = checked(&OAUTH_JWKS_URL, IssuerSettings::is_keys_address)?;
    let project = checked(&OAUTH_PROJECT, is_word)?;
    let is_listed = boolean(&OAUTH_ISSUER_SIGN_IN, read)?;
    let scopes = non_blank(&OAUTH_DEFAULT_SCOPES, read).unwrap_or_default();
    let rights: Option<Rights> = scopes.split_whitespace().map(Right::from_word).collect();
    let default_rights = rights.ok_or_else(|| invalid(&OAUTH_DEFAULT_SCOPES, read))?;
    let mapping = mapping(&OAUTH_MAPPING, &OAUTH_GROUPS_CLAIM, read)?;
    Ok(issuer.map(|issuer| IssuerSettings {
        issuer,
        audience,
        keys,
        default_rights,
        project,
        mapping,
        is_listed,
    }))
}
