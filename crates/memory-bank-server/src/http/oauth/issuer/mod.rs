//! Tokens of an outside authorization server, which an operator trusts: whether one is genuine and for this server.
//!
//! What a token opens is decided by the database, where a genuine one becomes a row (`first_sight`). This module must not
//! know users, projects or requests.

mod assertion;
mod fetch;
mod fetch_address;
mod id_token;
mod inspection;
mod provider;
mod provider_metadata;
mod published_keys;
mod settings;
pub(super) mod signature;
mod strict_json;
mod token;
mod token_hash;

use jiff::Timestamp;
use memory_bank_core::caller::{Right, Rights};
use url::Url;

pub(crate) use self::assertion::Assertion;
pub(super) use self::fetch::Web;
pub use self::inspection::IssuerFacts;
pub use self::provider::OpenIdSettings;
pub(crate) use self::provider::{Answer, NotSignedIn, OpenIdProvider, state};
use self::published_keys::{NoKey, PublishedKeys};
pub use self::settings::IssuerSettings;
pub(crate) use self::signature::Algorithm;
pub(crate) use self::token::{Claims, has_form};
use self::token::{Expected, Reason};
pub(crate) use self::token_hash::token_hash;
use crate::http::oauth::ServerUrl;

/// An outside authorization server.
pub(crate) struct OutsideIssuer {
    settings: IssuerSettings,
    keys: PublishedKeys,
}

/// Why a token is not genuine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Untrusted {
    /// It is not, for this reason.
    Invalid(Reason),
    /// Nobody knows, since the issuer's keys cannot be fetched.
    Unavailable,
}

impl OutsideIssuer {
    pub(crate) fn new(settings: IssuerSettings) -> Self {
        let address = settings.keys.as_deref().and_then(|address| Url::parse(address).ok());
        let keys = PublishedKeys::new(settings.issuer.clone(), address, Box::<Web>::default());
        Self { settings, keys }
    }

    pub(crate) fn settings(&self) -> &IssuerSettings {
        &self.settings
    }

    /// The host of its address, for people.
    pub(crate) fn host(&self) -> String {
        let url = Url::parse(&self.settings.issuer).ok();
        url.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
    }

    /// What a token says, if this issuer made it for this server and it is valid. No request is sent for a token that
    /// could not be accepted whatever the issuer's keys are.
    ///
    /// # Errors
    /// It is not.
    pub(crate) async fn verify(
        &self,
        token: &str,
        server: &ServerUrl,
        now: Timestamp,
    ) -> Result<Claims, Untrusted> {
        let audience = |audience: &str| match &self.settings.audience {
            Some(expected) => audience == expected,
            None => server.accepts_resource(audience),
        };
        let expected = Expected { issuer: &self.settings.issuer, audience: &audience, now };
        let read = token::read(token).map_err(Untrusted::Invalid)?;
        read.check(&expected).map_err(Untrusted::Invalid)?;
        let keys =
            self.keys.with_id(read.key_id().unwrap_or_default()).await.map_err(|error| match error {
                NoKey::Unknown => {
                    Untrusted::Invalid("the token is signed with a key that the issuer does not publish")
                }
                NoKey::Unavailable => Untrusted::Unavailable,
            })?;
        if !keys.iter().any(|key| key.verifies(read.algorithm, read.text, &read.signature)) {
            return Err(Untrusted::Invalid("the signature of the token is wrong"));
        }
        read.claims(&expected).map_err(Untrusted::Invalid)
    }

    /// The rights of a token, by the words of its scope: those of this server, also in the form `AUDIENCE/read`, or the
    /// default if it names none.
    pub(crate) fn rights(&self, claims: &Claims, server: &ServerUrl) -> Rights {
        let resource = server.resource();
        let audience = self.settings.audience.as_deref().unwrap_or(&resource);
        let right = |word: &String| {
            let word = word.strip_prefix(audience).and_then(|word| word.strip_prefix('/')).unwrap_or(word);
            Right::ALL.into_iter().find(|right| right.as_str() == word)
        };
        let named: Rights = claims.scope.iter().filter_map(right).collect();
        if named == Rights::NONE { self.settings.default_rights } else { named }
    }
}
