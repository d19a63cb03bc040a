//! The settings of an outside authorization server.

use memory_bank_core::caller::Rights;
use memory_bank_core::identity::ClaimMapping;
use url::Url;

use super::fetch_address::may_fetch;

/// The settings of an outside authorization server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerSettings {
    /// Its issuer, exactly as it writes it.
    pub issuer: String,
    /// The audience of tokens for this server; the server's own address when absent.
    pub audience: Option<String>,
    /// The address of its keys; found by its metadata when absent.
    pub keys: Option<String>,
    /// The rights of a token whose scope names none of them.
    pub default_rights: Rights,
    /// The project of a token that names none.
    pub project: Option<String>,
    /// The projects and roles that claims of a token give to its user.
    pub mapping: Option<ClaimMapping>,
    /// Whether clients are led to it to sign in.
    pub is_listed: bool,
}

impl IssuerSettings {
    /// Whether a text can be an issuer: an address with https, or of this machine, without a query.
    #[must_use]
    pub fn is_issuer(text: &str) -> bool {
        Url::parse(text).is_ok_and(|url| may_fetch(&url) && url.query().is_none())
            && !text.ends_with(['?', '#'])
    }

    /// Whether a text can be the address of keys.
    #[must_use]
    pub fn is_keys_address(text: &str) -> bool {
        Url::parse(text).is_ok_and(|url| may_fetch(&url))
    }
}
