//! The first sight of a token of the outside issuer: a genuine one becomes a row of the database, which every later
//! request finds as it finds a key. Each process verifies a token again from time to time, which costs no request, so
//! that a key that the issuer has removed ends its tokens.

use std::time::Duration;

use jiff::Timestamp;
use memory_bank_core::caller::{KeyId, Rights};
use memory_bank_core::identity::{
    DEFAULT_RATE_LIMIT, KeyHash, Mapped, MappingSource, NewOutsideToken, OutsideAdmission, OutsideUser,
    VerifiedClaims,
};
use memory_bank_core::limiter::{Admission, Limiter, MemoryLimiter, Origin, Verdict};
use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use uuid::Uuid;

use crate::http::auth::{AuthError, Authenticated, OutsideToken, Turns};
use crate::http::invalidation::Invalidation;
use crate::http::oauth::issuer::{Claims, IssuerSettings, OutsideIssuer, Untrusted};
use crate::http::oauth::names::clean_name;
use crate::http::oauth::server_url::ServerUrl;
use crate::http::shared::Shared;

/// How long a row lives, at most; then the claims are mapped again.
const ROW_LIFE: Duration = Duration::from_secs(3600);
/// How long a verification counts in this process.
const VERIFIED_FOR: Duration = Duration::from_secs(600);
/// How many verifications are remembered.
const VERIFIED: usize = 20_000;
/// How long before its end it is renewed.
const RENEWED_BEFORE: Duration = Duration::from_secs(180);
/// The most rows for a user of the issuer, per minute.
const MOST_ROWS: u32 = 30;

/// The dependencies of tokens of the outside issuer.
pub(crate) struct FirstSights {
    issuer: OutsideIssuer,
    /// Counts new rows of a user.
    rows: MemoryLimiter,
    /// First sights in flight.
    turns: Turns<()>,
    /// When this process verified a token.
    verified: Cache<KeyHash, Instant>,
}

impl FirstSights {
    pub(crate) fn new(settings: IssuerSettings, rows: MemoryLimiter) -> Self {
        Self {
            issuer: OutsideIssuer::new(settings),
            rows,
            turns: Turns::default(),
            verified: Cache::new(VERIFIED),
        }
    }

    /// Whether a known token needs no other look: it was verified a while ago, and its row does not end soon.
    pub(crate) fn is_settled(&self, known: &Authenticated, now: Timestamp) -> bool {
        self.verified.get(&known.hash).is_some_and(|at| at.elapsed() < VERIFIED_FOR) && !is_due(known, now)
    }

    /// The issuer, if clients are led to it.
    pub(super) fn listed_issuer(&self) -> Option<&str> {
        let settings = self.issuer.settings();
        settings.is_listed.then_some(settings.issuer.as_str())
    }
}

/// The result of a first sight.
pub(crate) enum FirstSight {
    Is(Result<Authenticated, AuthError>),
    TooMany(Verdict),
}

/// Whether the row of a token ends soon.
fn is_due(known: &Authenticated, now: Timestamp) -> bool {
    known
        .expires_at
        .is_some_and(|at| at.duration_since(now).as_secs() < RENEWED_BEFORE.as_secs().cast_signed())
}

/// Verifies a token, and looks it up or makes its row. `known` is what this process knows of it.
pub(crate) async fn first_sight(
    shared: &Shared,
    sights: &FirstSights,
    token: &OutsideToken,
    server: &ServerUrl,
    known: Option<Authenticated>,
) -> FirstSight {
    let now = shared.services.clock.now();
    let claims = match sights.issuer.verify(token.text(), server, now).await {
        Ok(claims) => claims,
        Err(Untrusted::Unavailable) => return FirstSight::Is(known.ok_or(AuthError::IssuerUnavailable)),
        Err(Untrusted::Invalid(why)) => return FirstSight::Is(Err(AuthError::InvalidToken(why))),
    };
    let hash = token.hash();
    sights.verified.insert(hash, Instant::now());
    let ticket = sights.turns.ticket(hash);
    let _turn = ticket.turn().await;
    // The request before this one may have made or renewed the row.
    let found = match shared.auth.known(&hash) {
        Some(Ok(known)) => Ok(known),
        _ => shared.auth.look_up(&hash).await,
    };
    let known = match found {
        Ok(found) if !is_due(&found, now) || !lives_longer(&claims, &found, now) => {
            return FirstSight::Is(Ok(found));
        }
        Ok(found) => Some(found),
        Err(AuthError::Unknown | AuthError::Expired) => None,
        Err(error) => return FirstSight::Is(Err(error)),
    };
    let rights = sights.issuer.rights(&claims, server);
    if rights == Rights::NONE {
        return FirstSight::Is(Err(AuthError::NoScope));
    }
    let verdict = sights.rows.admit(of_subject(&sights.issuer.settings().issuer, &claims.subject)).await;
    if !verdict.admitted {
        return known.map_or(FirstSight::TooMany(verdict), |known| FirstSight::Is(Ok(known)));
    }
    FirstSight::Is(admit(shared, sights, token, server, &claims, rights).await)
}

/// The user of a token, with the projects that its claims give.
fn user(sights: &FirstSights, claims: &Claims) -> OutsideUser {
    let settings = sights.issuer.settings();
    let verified = VerifiedClaims { issuer: &settings.issuer, subject: &claims.subject, all: &claims.all };
    let mapped = settings
        .mapping
        .as_ref()
        .map(|mapping| Mapped { source: MappingSource::Token, projects: mapping.projects(&verified) });
    OutsideUser::of(&verified, &sights.issuer.host(), mapped)
}

/// Whether a token lives longer than its row.
fn lives_longer(claims: &Claims, known: &Authenticated, now: Timestamp) -> bool {
    /// The least gain of a renewal.
    const GAIN: u64 = 60;
    let left = known.expires_at.map_or(0, |at| at.duration_since(now).as_secs());
    claims.valid_for.as_secs().saturating_sub(GAIN) > u64::try_from(left).unwrap_or_default()
}

fn of_subject(issuer: &str, subject: &str) -> Admission {
    let mut hash = Sha256::new();
    hash.update(issuer);
    hash.update([0]);
    hash.update(subject);
    let hash: [u8; 32] = hash.finalize().into();
    let id = hash.first_chunk::<16>().copied().unwrap_or_default();
    Admission { key: Some((KeyId(Uuid::from_bytes(id)), MOST_ROWS)), address: None, origin: Origin::Keyed }
}

async fn admit(
    shared: &Shared,
    sights: &FirstSights,
    token: &OutsideToken,
    server: &ServerUrl,
    claims: &Claims,
    rights: Rights,
) -> Result<Authenticated, AuthError> {
    let Some(store) = &shared.oauth else { return Err(AuthError::Malformed) };
    let settings = sights.issuer.settings();
    let hash = token.hash();
    // A client that the issuer does not name is the issuer itself.
    let client_id = claims.client.as_deref().unwrap_or(&settings.issuer);
    let new = NewOutsideToken {
        id: shared.services.entropy.id(),
        grant: KeyId(shared.services.entropy.id()),
        hash,
        prefix: hash.to_hex().chars().take(12).collect(),
        user: user(sights, claims),
        client_id: client_id.to_owned(),
        client_name: clean_name(client_id).unwrap_or_else(|| sights.issuer.host()),
        client_host: sights.issuer.host(),
        rights: rights.iter().collect(),
        resource: server.resource(),
        rate_limit: DEFAULT_RATE_LIMIT,
        project: claims.project.clone().or_else(|| settings.project.clone()),
        expires_at: shared
            .services
            .clock
            .now()
            .saturating_add(claims.valid_for.min(ROW_LIFE))
            .unwrap_or_default(),
    };
    let (outcome, changed) = store.admit_outside_token(&new).await.map_err(AuthError::Unavailable)?;
    for hash in changed.iter().flat_map(|void| &void.hashes) {
        shared.auth.forget_everywhere(hash).await;
        shared.invalidations.send(Invalidation::key_changed(hash, None)).await;
    }
    let refused = match outcome {
        OutsideAdmission::Admitted => {
            shared.auth.forget_everywhere(&hash).await;
            return shared.auth.look_up(&hash).await;
        }
        OutsideAdmission::Revoked => return Err(AuthError::Revoked),
        OutsideAdmission::UnknownUser => "the user of the token is not known here; an operator can add it",
        OutsideAdmission::Untrusted => {
            "the issuer of the token is not trusted in the database; an operator can trust it"
        }
        OutsideAdmission::NoProject => "the user of the token is a member of no project",
        OutsideAdmission::NotAMember => "the user of the token is not a member of the project that it is for",
        OutsideAdmission::SeveralProjects => {
            "the user of the token is a member of several projects; the claim memory_bank_project of the token or the \
             setting OAUTH_PROJECT must name one"
        }
    };
    Err(AuthError::NotAdmitted(refused))
}
