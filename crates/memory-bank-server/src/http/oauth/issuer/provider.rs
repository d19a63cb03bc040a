//! An OpenID provider with which users sign in: authorization code with PKCE, state and nonce (OpenID Connect Core).
//!
//! `openidconnect` does not fit: it brings a second HTTP client, a second library of cryptography and over a megabyte of
//! program. Signatures, keys and fetches are those of outside tokens.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{HeaderValue, StatusCode};
use jiff::Timestamp;
use memory_bank_core::identity::{
    ClaimMapping, KeyHash, Mapped, MappingSource, OutsideUser, PlainToken, VerifiedClaims,
};
use serde_json::{Map, Value};
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};

use crate::http::oauth::issuer::fetch::{Message, Web};
use crate::http::oauth::issuer::id_token::{self, ExpectedIdToken};
use crate::http::oauth::issuer::provider_metadata::{Discovery, ProviderMetadata};
use crate::http::oauth::issuer::published_keys::{NoKey, PublishedKeys};
use crate::http::oauth::issuer::{strict_json, token};

/// The settings of an OpenID provider.
#[derive(Clone, PartialEq, Eq)]
pub struct OpenIdSettings {
    /// Its issuer, exactly as it writes it.
    pub issuer: String,
    /// The id of this server at the provider.
    pub client_id: String,
    /// The secret of this server at the provider.
    pub client_secret: String,
    /// The name of the provider on the page.
    pub name: String,
    /// The scopes that are requested; `openid` is among them.
    pub scopes: String,
    /// What claims give; without it only identities that an operator linked can sign in.
    pub mapping: Option<ClaimMapping>,
}

impl std::fmt::Debug for OpenIdSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenIdSettings").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

/// See the module.
pub(crate) struct OpenIdProvider {
    settings: OpenIdSettings,
    discovery: Discovery,
    keys: PublishedKeys,
    web: Web,
}

/// The answer that the provider sends through the browser.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer<'a> {
    pub(crate) code: &'a str,
    /// Who answers, if it says so.
    pub(crate) issuer: Option<&'a str>,
    /// Where the browser was sent to.
    pub(crate) redirect_uri: &'a str,
}

/// Why nobody is signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotSignedIn {
    /// The provider is out of reach; the log has the reason.
    Unavailable,
    /// What it sent is not acceptable, for the log.
    Invalid(String),
}

impl OpenIdProvider {
    pub(crate) fn new(settings: OpenIdSettings) -> Self {
        Self {
            discovery: Discovery::new(settings.issuer.clone()),
            keys: PublishedKeys::new(settings.issuer.clone(), None, Box::<Web>::default()),
            web: Web::default(),
            settings,
        }
    }

    /// Its name, for people.
    pub(crate) fn name(&self) -> &str {
        &self.settings.name
    }

    /// Its issuer, as an address.
    pub(crate) fn address(&self) -> Option<Url> {
        Url::parse(&self.settings.issuer).ok()
    }

    pub(crate) fn issuer(&self) -> &str {
        &self.settings.issuer
    }

    /// Where the browser goes to sign in; none if the provider is out of reach. With `is_switch` the provider has to ask
    /// who the user is.
    pub(crate) async fn begin(
        &self,
        secret: &PlainToken,
        redirect_uri: &str,
        is_switch: bool,
    ) -> Option<Url> {
        let metadata = self.discovery.get(&self.web).await?;
        let mut address = metadata.authorization.clone();
        let challenge = URL_SAFE_NO_PAD.encode(KeyHash::of(verifier(secret).as_bytes()).as_bytes());
        address
            .query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("redirect_uri", redirect_uri)
            .append_pair("scope", &self.settings.scopes)
            .append_pair("state", &state(secret))
            .append_pair("nonce", &nonce(secret))
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        if is_switch {
            address.query_pairs_mut().append_pair("prompt", "login");
        }
        Some(address)
    }

    /// The user of an answer. `secret` is what the sign-in began with.
    ///
    /// # Errors
    /// Nobody is signed in.
    pub(crate) async fn user(
        &self,
        secret: &PlainToken,
        answer: &Answer<'_>,
        now: Timestamp,
    ) -> Result<OutsideUser, NotSignedIn> {
        let invalid = |why: &str| NotSignedIn::Invalid(why.to_owned());
        let metadata = self.discovery.get(&self.web).await.ok_or(NotSignedIn::Unavailable)?;
        // Before the code goes anywhere: it may be of another provider (RFC 9207).
        match answer.issuer {
            Some(issuer) if issuer != self.settings.issuer => return Err(invalid("another issuer answers")),
            None if metadata.names_itself => return Err(invalid("the answer does not name its issuer")),
            _ => {}
        }
        let tokens = self.tokens(&metadata, secret, answer).await?;
        let text = |name: &str| tokens.get(name).and_then(Value::as_str);
        let id_token = text("id_token").ok_or_else(|| invalid("the provider gave no ID token"))?;
        let mut claims = self.verified(id_token, &nonce(secret), now).await?;
        if self.needs_more(&claims)
            && let (Some(address), Some(access)) = (&metadata.user_info, text("access_token"))
        {
            let more = self.user_info(address, access).await?;
            complete(&mut claims, more).map_err(invalid)?;
        }
        Ok(self.outside_user(&claims))
    }

    async fn tokens(
        &self,
        metadata: &ProviderMetadata,
        secret: &PlainToken,
        answer: &Answer<'_>,
    ) -> Result<Map<String, Value>, NotSignedIn> {
        let message = self.code_message(metadata, secret, answer);
        let sent = self.web.send(&metadata.token, &message).await;
        let (status, body) = sent.map_err(|error| self.out_of_reach("token", &error))?;
        if status.is_server_error() {
            return Err(self.out_of_reach("token", &format!("it answers with status {}", status.as_u16())));
        }
        let tokens = strict_json::object(&body);
        let tokens = tokens
            .ok_or_else(|| NotSignedIn::Invalid("the token endpoint does not answer with JSON".to_owned()))?;
        if status != StatusCode::OK {
            // The words are the provider's; they go to the log only, without a secret of this server.
            let word = |name: &str| tokens.get(name).and_then(Value::as_str).unwrap_or_default();
            let why =
                format!("the provider refuses the code: {} {}", word("error"), word("error_description"));
            return Err(NotSignedIn::Invalid(why.chars().take(300).collect()));
        }
        Ok(tokens)
    }

    /// The code, with the secrets that belong to it.
    fn code_message(&self, metadata: &ProviderMetadata, secret: &PlainToken, answer: &Answer<'_>) -> Message {
        let OpenIdSettings { client_id, client_secret, .. } = &self.settings;
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code")
            .append_pair("code", answer.code)
            .append_pair("redirect_uri", answer.redirect_uri)
            .append_pair("code_verifier", &verifier(secret));
        let mut message = Message::default();
        if metadata.secret_in_form {
            form.append_pair("client_id", client_id).append_pair("client_secret", client_secret);
        } else {
            // Both are encoded like a form before they are joined (RFC 6749, 2.3.1).
            let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
            let pair = format!("{}:{}", encoded(client_id), encoded(client_secret));
            message.authorization = secret_header(&format!("Basic {}", STANDARD.encode(pair)));
        }
        message.form = Some(form.finish());
        message
    }

    fn out_of_reach(&self, what: &str, error: &str) -> NotSignedIn {
        tracing::warn!(issuer = self.settings.issuer, what, error, "the OpenID provider cannot be used");
        NotSignedIn::Unavailable
    }

    async fn verified(
        &self,
        id_token: &str,
        nonce: &str,
        now: Timestamp,
    ) -> Result<Map<String, Value>, NotSignedIn> {
        let invalid = |why: &str| NotSignedIn::Invalid(why.to_owned());
        let expected = ExpectedIdToken {
            issuer: &self.settings.issuer,
            client_id: &self.settings.client_id,
            nonce,
            now,
        };
        let read = token::read(id_token).map_err(invalid)?;
        let claims = id_token::check(&read, &expected).map_err(invalid)?;
        let keys =
            self.keys.with_id(read.key_id().unwrap_or_default()).await.map_err(|error| match error {
                NoKey::Unknown => {
                    invalid("the ID token is signed with a key that the provider does not publish")
                }
                NoKey::Unavailable => NotSignedIn::Unavailable,
            })?;
        if keys.iter().any(|key| key.verifies(read.algorithm, read.text, &read.signature)) {
            Ok(claims)
        } else {
            Err(invalid("the signature of the ID token is wrong"))
        }
    }

    /// Many providers put little into the ID token, and the rest behind an address of its own.
    fn needs_more(&self, claims: &Map<String, Value>) -> bool {
        let mapping = self.settings.mapping.as_ref();
        let has_address = claims.contains_key("email") && claims.contains_key("email_verified");
        mapping.is_some_and(|mapping| !has_address || !mapping.has_groups(claims))
    }

    async fn user_info(&self, address: &Url, access: &str) -> Result<Map<String, Value>, NotSignedIn> {
        let authorization = secret_header(&format!("Bearer {access}"));
        let authorization = authorization
            .ok_or_else(|| NotSignedIn::Invalid("the access token cannot be sent".to_owned()))?;
        let message = Message { authorization: Some(authorization), form: None };
        match self.web.send(address, &message).await {
            Ok((StatusCode::OK, body)) => strict_json::object(&body).ok_or_else(|| {
                NotSignedIn::Invalid("the user info is not JSON; unsigned JSON is needed".to_owned())
            }),
            Ok((status, _)) => {
                Err(self.out_of_reach("userinfo", &format!("it answers with status {}", status.as_u16())))
            }
            Err(error) => Err(self.out_of_reach("userinfo", &error)),
        }
    }

    fn outside_user(&self, claims: &Map<String, Value>) -> OutsideUser {
        let subject = claims.get("sub").and_then(Value::as_str).unwrap_or_default();
        let verified = VerifiedClaims { issuer: &self.settings.issuer, subject, all: claims };
        let mapped = self
            .settings
            .mapping
            .as_ref()
            .map(|mapping| Mapped { source: MappingSource::SignIn, projects: mapping.projects(&verified) });
        let host = self.address().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
        OutsideUser::of(&verified, &host, mapped)
    }
}

/// Adds what the ID token lacks. What it says counts; the user must be the same, and the word that an address was
/// verified is about that address.
fn complete(claims: &mut Map<String, Value>, more: Map<String, Value>) -> Result<(), &'static str> {
    if more.get("sub").is_none() || more.get("sub") != claims.get("sub") {
        return Err("the user info is about another user");
    }
    if !claims.contains_key("email") {
        claims.remove("email_verified");
    }
    let is_same_address = claims.get("email").is_none_or(|email| Some(email) == more.get("email"));
    for (name, value) in more {
        if name != "email_verified" || is_same_address {
            claims.entry(name).or_insert(value);
        }
    }
    Ok(())
}

fn secret_header(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The parts of a sign-in follow from one secret, which the browser keeps in a cookie: a browser without it, or with
/// that of another sign-in, cannot use the answer.
fn derived(part: &str, secret: &PlainToken) -> String {
    KeyHash::of(format!("openid {part}\n{}", secret.expose()).as_bytes()).to_hex()
}

/// What the answer has to repeat.
pub(crate) fn state(secret: &PlainToken) -> String {
    derived("state", secret)
}

fn nonce(secret: &PlainToken) -> String {
    derived("nonce", secret)
}

fn verifier(secret: &PlainToken) -> String {
    derived("verifier", secret)
}

#[cfg(test)]
mod tests {
    use memory_bank_core::clock::SystemEntropy;
    use memory_bank_core::identity::TokenKind;
    use serde_json::json;

    use super::*;

    fn completed(id_token: &Value, more: &Value) -> Result<Value, &'static str> {
        let mut claims = id_token.as_object().unwrap().clone();
        complete(&mut claims, more.as_object().unwrap().clone()).map(|()| Value::Object(claims))
    }

    #[test]
    fn user_info_adds_and_never_changes() {
        let more =
            json!({"sub": "u", "email": "a@b.example", "email_verified": true, "groups": ["g"], "iss": "x"});
        let whole = completed(&json!({"sub": "u", "iss": "i"}), &more).unwrap();
        assert_eq!(
            (&whole["iss"], &whole["email"], &whole["groups"]),
            (&json!("i"), &json!("a@b.example"), &json!(["g"]))
        );
        let other = completed(&json!({"sub": "u", "email": "victim@b.example"}), &more).unwrap();
        assert_eq!((&other["email"], other.get("email_verified")), (&json!("victim@b.example"), None));
        assert_eq!(completed(&json!({"sub": "u", "groups": []}), &more).unwrap()["groups"], json!([]));
        let unverified = json!({"sub": "u", "email": "boss@b.example", "email_verified": false});
        let whole = completed(&json!({"sub": "u", "email_verified": true}), &unverified).unwrap();
        assert_eq!(whole, unverified, "the word of the ID token is about another address");
        let silent = json!({"sub": "u", "email": "boss@b.example"});
        assert_eq!(completed(&json!({"sub": "u", "email_verified": true}), &silent).unwrap(), silent);
        assert!(
            completed(&json!({"sub": "v"}), &more).is_err()
                && completed(&json!({"sub": "u"}), &json!({})).is_err()
        );
    }

    #[test]
    fn the_parts_of_a_sign_in_do_not_show_each_other() {
        let [one, two] = [(); 2].map(|()| PlainToken::generate(TokenKind::SignIn, &SystemEntropy));
        let parts = [state(&one), nonce(&one), verifier(&one), state(&two), nonce(&two), verifier(&two)];
        let all: std::collections::BTreeSet<_> = parts.iter().collect();
        assert_eq!(all.len(), 6);
        assert!(parts.iter().all(|part| part.len() == 64));
    }
}
