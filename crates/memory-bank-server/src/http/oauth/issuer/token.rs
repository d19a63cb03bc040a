//! A token of an issuer (RFC 7519, RFC 9068): what it says, and every check that needs no key.
//!
//! The reasons are part of a challenge, so they contain no quotes.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::http::oauth::issuer::signature::{Algorithm, LONGEST_ID};
use crate::http::oauth::issuer::strict_json;

/// The longest token, in bytes.
const LONGEST: usize = 16 * 1024;
/// The longest subject, in bytes.
pub(super) const LONGEST_SUBJECT: usize = 255;
/// The claim with the short name of a project.
const PROJECT_CLAIM: &str = "memory_bank_project";
/// How much the clocks of the issuer and of this server may differ.
pub(super) const SKEW: Duration = Duration::from_secs(60);

/// The type of an access token (RFC 9068).
const ACCESS_TOKEN: &str = "at+jwt";

const NO_KEY_ID: Reason = "the token has no key id";

/// Why a token is not accepted.
pub(super) type Reason = &'static str;

/// A token whose signature is not verified yet.
#[cfg_attr(test, derive(Debug))]
pub(super) struct Unverified<'a> {
    pub(super) algorithm: Algorithm,
    /// Whether its header says that it is an access token.
    is_marked: bool,
    key_id: Option<String>,
    /// What is signed.
    pub(super) text: &'a [u8],
    pub(super) signature: Vec<u8>,
    pub(super) claims: Map<String, Value>,
}

/// What a token has to say to be accepted.
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    /// Whether an audience is this server.
    pub(super) audience: &'a (dyn Fn(&str) -> bool + Sync),
    pub(super) now: Timestamp,
}

/// Whether a text has the form of a signed token, so that it cannot be a key.
pub(crate) fn has_form(text: &str) -> bool {
    text.starts_with("eyJ") && text.bytes().filter(|byte| *byte == b'.').count() == 2
}

/// Reads a token in compact form.
///
/// # Errors
/// Why it cannot be accepted.
pub(super) fn read(token: &str) -> Result<Unverified<'_>, Reason> {
    let read = read_kind(token, &["jwt", ACCESS_TOKEN], "the token is not an access token")?;
    // Without one, every forged token would be a reason to fetch keys.
    if read.key_id.is_none() { Err(NO_KEY_ID) } else { Ok(read) }
}

/// Reads a JWT of one of these types, or without a type, and also without the id of a key; `other` is the reason against
/// other types.
pub(super) fn read_kind<'a>(token: &'a str, kinds: &[&str], other: Reason) -> Result<Unverified<'a>, Reason> {
    const MALFORMED: Reason = "the token is not a signed JWT";
    if token.len() > LONGEST {
        return Err("the token is too long");
    }
    let (text, signature) = token.rsplit_once('.').ok_or(MALFORMED)?;
    let (header, claims) =
        text.split_once('.').filter(|(_, claims)| !claims.contains('.')).ok_or(MALFORMED)?;
    let object = |part: &str| strict_json::object(&URL_SAFE_NO_PAD.decode(part).ok()?);
    let header = object(header).ok_or(MALFORMED)?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| MALFORMED)?;
    let algorithm = header.get("alg").and_then(Value::as_str).and_then(Algorithm::named);
    let algorithm = algorithm.ok_or("the token is signed with an algorithm that is not accepted")?;
    // Keys and addresses of keys in the header (`jwk`, `jku`, `x5c`, `x5u`) are never used.
    if header.contains_key("crit") || header.contains_key("b64") || header.contains_key("enc") {
        return Err("the token demands an extension that is not supported");
    }
    let kind = header.get("typ").map(|kind| kind.as_str().unwrap_or_default().to_ascii_lowercase());
    let kind = kind.as_deref().map(|kind| kind.strip_prefix("application/").unwrap_or(kind));
    if kind.is_some_and(|kind| !kinds.contains(&kind)) {
        return Err(other);
    }
    let is_id = |id: &&str| !id.is_empty() && id.len() <= LONGEST_ID;
    let key_id = match header.get("kid") {
        Some(id) => Some(id.as_str().filter(is_id).ok_or(NO_KEY_ID)?.to_owned()),
        None => None,
    };
    let claims = object(claims).ok_or(MALFORMED)?;
    let is_marked = kind == Some(ACCESS_TOKEN);
    Ok(Unverified { algorithm, is_marked, key_id, text: text.as_bytes(), signature, claims })
}

/// What an accepted token says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Claims {
    /// The user, as the issuer knows it.
    pub(crate) subject: String,
    /// The client that the issuer gave it to, if it says so.
    pub(crate) client: Option<String>,
    /// The words of its scope.
    pub(crate) scope: Vec<String>,
    /// The project that it is for, if it names one.
    pub(crate) project: Option<String>,
    /// How long it is valid, with the clock skew.
    pub(crate) valid_for: Duration,
    /// All claims.
    pub(crate) all: Map<String, Value>,
}

impl Unverified<'_> {
    /// The id of the key that signed it, if it has one.
    pub(super) fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// Checks what the token says. It means nothing before its signature is verified.
    ///
    /// # Errors
    /// Why it is not accepted.
    pub(super) fn check(&self, expected: &Expected<'_>) -> Result<(), Reason> {
        self.claims(expected).map(|_| ())
    }

    /// Checks the token like [`Self::check`] and returns its claims.
    pub(super) fn claims(&self, expected: &Expected<'_>) -> Result<Claims, Reason> {
        let text = |name: &str| self.claims.get(name).and_then(Value::as_str);
        if text("iss") != Some(expected.issuer) {
            return Err("the token is of another issuer");
        }
        let for_this_server = match self.claims.get("aud") {
            Some(Value::String(audience)) => (expected.audience)(audience),
            Some(Value::Array(all)) => {
                all.iter().all(Value::is_string)
                    && all.iter().filter_map(Value::as_str).any(expected.audience)
            }
            _ => false,
        };
        if !for_this_server {
            return Err("the token is for another audience");
        }
        let valid_for = self.valid_for(expected.now)?;
        self.is_access_token()?;
        let subject = text("sub").filter(|subject| is_plain(subject, LONGEST_SUBJECT));
        let subject = subject.ok_or("the token names no user")?.to_owned();
        let client = ["client_id", "azp", "cid", "appid"].into_iter().find_map(text);
        let client = client.filter(|client| is_plain(client, LONGEST_SUBJECT)).map(str::to_owned);
        Ok(Claims {
            subject,
            client,
            scope: self.scope()?,
            project: self.project()?,
            valid_for,
            all: self.claims.clone(),
        })
    }

    pub(super) fn valid_for(&self, now: Timestamp) -> Result<Duration, Reason> {
        let (now, skew) = (now.as_duration().as_secs_f64(), SKEW.as_secs_f64());
        let expires_at = self.moment("exp")?.ok_or("the token does not expire")?;
        if expires_at + skew <= now {
            return Err("the token has expired");
        }
        if self.moment("nbf")?.is_some_and(|from| from - skew > now)
            || self.moment("iat")?.is_some_and(|at| at - skew > now)
        {
            return Err("the token is not valid yet");
        }
        Duration::try_from_secs_f64(expires_at + skew - now).map_err(|_| "the token does not expire")
    }

    fn moment(&self, name: &str) -> Result<Option<f64>, Reason> {
        /// The end of the year 9999.
        const LAST: f64 = 253_402_300_799.0;
        let Some(value) = self.claims.get(name) else { return Ok(None) };
        let seconds = value.as_f64().filter(|seconds| (0.0..=LAST).contains(seconds));
        seconds.map(Some).ok_or("the token has a time that cannot be read")
    }

    /// Tokens for other purposes are signed with the same keys. One that is bound to a key of its client would be worth
    /// nothing to a thief, and is refused, since that is not checked here.
    fn is_access_token(&self) -> Result<(), Reason> {
        // The type that the token declares, if any.
        let says = |name: &str, right: &str| {
            let value = self.claims.get(name)?;
            Some(value.as_str().is_some_and(|kind| kind.eq_ignore_ascii_case(right)))
        };
        let words = [says("typ", "Bearer"), says("token_use", "access"), self.is_marked.then_some(true)];
        // Some issuers write a nonce into access tokens, too.
        let is_marked = words.contains(&Some(true));
        let looks_like_id_token =
            ["nonce", "at_hash", "c_hash"].iter().any(|name| self.claims.contains_key(*name));
        if words.contains(&Some(false))
            || (looks_like_id_token && !is_marked)
            || self.claims.contains_key("events")
        {
            return Err("the token is not an access token");
        }
        if self.claims.contains_key("cnf") {
            return Err("the token is bound to a key of its client, which is not supported");
        }
        Ok(())
    }

    fn project(&self) -> Result<Option<String>, Reason> {
        let Some(value) = self.claims.get(PROJECT_CLAIM) else { return Ok(None) };
        let slug = value.as_str().map(str::to_owned);
        slug.map(Some).ok_or("the token names a project that cannot be read")
    }

    /// `scope` is a text (RFC 8693), `scp` a text or a list of words.
    fn scope(&self) -> Result<Vec<String>, Reason> {
        let value = self.claims.get("scope").or_else(|| self.claims.get("scp"));
        let words: Option<Vec<String>> = match value {
            None => Some(Vec::new()),
            Some(Value::String(text)) => Some(text.split(' ').map(str::to_owned).collect()),
            Some(Value::Array(all)) => all.iter().map(|word| Some(word.as_str()?.to_owned())).collect(),
            Some(_) => None,
        };
        words.ok_or("the token has a scope that cannot be read")
    }
}

pub(super) fn is_plain(text: &str, longest: usize) -> bool {
    !text.is_empty() && text.len() <= longest && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests;
