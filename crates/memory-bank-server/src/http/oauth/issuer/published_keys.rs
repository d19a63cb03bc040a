//! The keys that the issuer publishes, cached. A forged token must not make this server send requests: fetches have an
//! interval, whatever arrives, and one runs at a time.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::{Mutex as Turn, OwnedMutexGuard};
use tokio::time::Instant;
use url::{Position, Url};

use crate::http::oauth::issuer::fetch::Fetch;
use crate::http::oauth::issuer::fetch_address::{is_plain_here, may_fetch};
use crate::http::oauth::issuer::provider_metadata::is_about;
use crate::http::oauth::issuer::signature::{PublicKey, key_set};
use crate::http::oauth::issuer::strict_json;

/// How long keys are used before they are fetched again: a removed key is refused after that.
const FRESH: Duration = Duration::from_secs(600);
/// How long they are used while the issuer is out of reach.
const USABLE: Duration = Duration::from_secs(3600);
/// The shortest time between two fetches.
const INTERVAL: Duration = Duration::from_secs(10);
/// How long the address of the keys is used before the issuer's metadata is read again.
const ADDRESS_FRESH: Duration = Duration::from_secs(24 * 3600);
/// How long a fetch may take, with the metadata.
const PATIENCE: Duration = Duration::from_secs(12);
/// How long a request with a known key waits for it.
const KNOWN_PATIENCE: Duration = Duration::from_secs(2);

/// Why there is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoKey {
    /// The issuer does not publish a key with this id.
    Unknown,
    /// Its keys could not be fetched.
    Unavailable,
}

/// See the module.
#[derive(Clone)]
pub(super) struct PublishedKeys(Arc<Inner>);

struct Inner {
    issuer: String,
    /// The address of the keys, if a setting names it.
    address: Option<Url>,
    web: Box<dyn Fetch>,
    state: Mutex<State>,
    turn: Arc<Turn<()>>,
}

#[derive(Default)]
struct State {
    keys: Arc<[PublicKey]>,
    fetched_at: Option<Instant>,
    tried_at: Option<Instant>,
    found: Option<(Url, Instant)>,
}

impl State {
    fn is_within(at: Option<Instant>, time: Duration) -> bool {
        at.is_some_and(|at| at.elapsed() < time)
    }

    fn of_id(&self, id: &str) -> Vec<PublicKey> {
        self.keys.iter().filter(|key| key.id() == id).cloned().collect()
    }
}

impl PublishedKeys {
    pub(super) fn new(issuer: String, address: Option<Url>, web: Box<dyn Fetch>) -> Self {
        Self(Arc::new(Inner { issuer, address, web, state: Mutex::default(), turn: Arc::default() }))
    }

    /// The keys with an id; usually one.
    ///
    /// # Errors
    /// There is none.
    pub(super) async fn with_id(&self, id: &str) -> Result<Vec<PublicKey>, NoKey> {
        let (found, fresh, usable) = self.look(id);
        if fresh && !found.is_empty() {
            return Ok(found);
        }
        let turn = Arc::clone(&self.0.turn);
        let turn = if usable && !found.is_empty() {
            // Another request fetches them already, and the old ones do for now.
            let Ok(turn) = turn.try_lock_owned() else { return Ok(found) };
            turn
        } else {
            turn.lock_owned().await
        };
        let (found, fresh, usable) = self.look(id);
        if fresh && !found.is_empty() {
            return Ok(found);
        }
        if !State::is_within(self.0.state.lock().tried_at, INTERVAL) {
            // In a task of its own, so that a client that hangs up does not end it.
            let ended = tokio::spawn(Arc::clone(&self.0).refresh(turn));
            let patience = if usable && !found.is_empty() { KNOWN_PATIENCE } else { PATIENCE };
            let _ended = tokio::time::timeout(patience, ended).await;
        }
        let (found, _, usable) = self.look(id);
        match (usable, found.is_empty()) {
            (true, false) => Ok(found),
            (true, true) => Err(NoKey::Unknown),
            (false, _) => Err(NoKey::Unavailable),
        }
    }

    /// How many keys can be used now, and their address without a query, which may contain a secret.
    ///
    /// # Errors
    /// They cannot be fetched.
    pub(super) async fn inspect(&self) -> Result<(String, usize), String> {
        match tokio::time::timeout(PATIENCE, self.0.fetch(None)).await {
            Ok(fetched) => fetched.map(|((address, _), keys)| (shown(&address).to_owned(), keys.len())),
            Err(_) => Err(format!("they did not arrive within {} s", PATIENCE.as_secs())),
        }
    }

    /// The known keys with an id, and whether the known keys are fresh, and usable.
    fn look(&self, id: &str) -> (Vec<PublicKey>, bool, bool) {
        let state = self.0.state.lock();
        let within = |time| State::is_within(state.fetched_at, time);
        (state.of_id(id), within(FRESH), within(USABLE))
    }
}

impl Inner {
    async fn refresh(self: Arc<Self>, _turn: OwnedMutexGuard<()>) {
        let known = {
            let mut state = self.state.lock();
            state.tried_at = Some(Instant::now());
            state.found.clone().filter(|(_, at)| at.elapsed() < ADDRESS_FRESH)
        };
        let began = Instant::now();
        let fetched = tokio::time::timeout(PATIENCE, self.fetch(known)).await;
        let fetched = fetched.unwrap_or_else(|_| Err("they did not arrive in time".to_owned()));
        let mut state = self.state.lock();
        // The interval begins at the end, so that requests that waited for a slow issuer do not send more.
        state.tried_at = Some(Instant::now());
        match fetched {
            Ok((address, keys)) => {
                tracing::debug!(keys = keys.len(), "the issuer's keys were fetched");
                state.keys = keys.into();
                state.fetched_at = Some(began);
                if self.address.is_none() {
                    state.found = Some(address);
                }
            }
            Err(error) => {
                tracing::warn!(issuer = self.issuer, error, "the issuer's keys cannot be fetched; retrying");
                state.found = None;
            }
        }
    }

    async fn fetch(&self, known: Option<(Url, Instant)>) -> Result<((Url, Instant), Vec<PublicKey>), String> {
        let (address, at) = match (&self.address, known) {
            (Some(address), _) => (address.clone(), Instant::now()),
            (None, Some(known)) => known,
            (None, None) => (self.discover().await?, Instant::now()),
        };
        let at_address = |error: &str| format!("`{}`: {error}", shown(&address));
        let text = self.web.get(&address).await.map_err(|error| at_address(&error))?;
        let keys = key_set(&text).ok_or_else(|| at_address("it is not a set of keys"))?;
        Ok(((address, at), keys))
    }

    /// The address of the keys, by the issuer's metadata: OpenID's, or OAuth's (RFC 8414), or without either the path
    /// that Supabase and others use.
    async fn discover(&self) -> Result<Url, String> {
        let mut errors = Vec::new();
        for address in metadata_addresses(&self.issuer) {
            match self.web.get(&address).await {
                Ok(text) => return self.keys_address(&text).map_err(|error| format!("`{address}`: {error}")),
                Err(error) => errors.push(format!("`{address}`: {error}")),
            }
        }
        let usual = Url::parse(&format!("{}/.well-known/jwks.json", self.issuer.trim_end_matches('/')));
        match usual {
            Ok(address) if self.web.get(&address).await.is_ok() => Ok(address),
            _ => Err(errors.join("; ")),
        }
    }

    fn keys_address(&self, metadata: &[u8]) -> Result<Url, String> {
        let metadata = strict_json::object(metadata).ok_or("it is not JSON")?;
        is_about(&self.issuer, &metadata)?;
        let address = metadata.get("jwks_uri").and_then(Value::as_str).ok_or("it names no keys")?;
        let address = Url::parse(address).ok().filter(may_fetch);
        let address = address.ok_or("the address of its keys has no https")?;
        // An issuer elsewhere must not lead into this machine.
        let issuer_is_here = Url::parse(&self.issuer).is_ok_and(|issuer| is_plain_here(&issuer));
        if is_plain_here(&address) && !issuer_is_here {
            return Err("the address of its keys has no https".to_owned());
        }
        Ok(address)
    }
}

/// An address for messages: its query may contain a secret.
fn shown(address: &Url) -> &str {
    &address[..Position::AfterPath]
}

/// Where an issuer's metadata may be: below its path, or before it.
fn metadata_addresses(issuer: &str) -> Vec<Url> {
    let Ok(url) = Url::parse(issuer) else { return Vec::new() };
    let path = url.path().trim_end_matches('/');
    let mut paths = vec![
        format!("{path}/.well-known/openid-configuration"),
        format!("/.well-known/oauth-authorization-server{path}"),
    ];
    if !path.is_empty() {
        paths.push(format!("/.well-known/openid-configuration{path}"));
    }
    paths.iter().filter_map(|path| url.join(path).ok()).collect()
}

#[cfg(test)]
mod tests;
