//! The first sight of a token of the outside issuer: a genuine one becomes a row of the database, which every later
//! request finds as it finds a key. Each process verifies a token again from time to time, which costs no request, so
//! that a key that the issuer has removed ends its tokens.

use std::time::Duration;

use jiff::Timestamp;
use memory_bank_core::caller::{KeyId, Rights};
use memory_bank_core::identity::{
    DEFAULT_RATE_LIMIT, Mapped, MappingSource, NewOutsideToken, OutsideAdmission, OutsideUser, VerifiedClaims,
};
use memory_bank_core::limiter::{Admission, Limiter, Origin, Verdict};
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use uuid::Uuid;

use crate::http::auth::{AuthError, Authenticated, OutsideToken};
use crate::http::invalidation::Invalidation;
use crate::http::oauth::first_sights::{FirstSights, is_due};
use crate::http::oauth::issuer::{Claims, Untrusted};
use crate::http::oauth::names::clean_name;
use crate::http::oauth::server_url::ServerUrl;
use crate::http::shared::Shared;

/// How long a row lives, at most; then the claims are mapped again.
const ROW_LIFE: Duration = Duration::from_secs(3600);
/// The most rows for a user of the issuer, per minute.
const MOST_ROWS: u32 = 30;

/// The result of a first sight.
pub(crate) enum FirstSight {
    Is(Result<Authenticated, AuthError>),
    TooMany(Verdict),
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
        _ => shared.auth.look_up_verified(&hash).await,
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
            return shared.auth.look_up_verified(&hash).await;
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
