//! The data of an authorization server: clients, sign-ins, grants, codes and tokens, all of them as hashes. Every
//! method takes the hash of a secret that the request presented, and no caller: it is about who becomes one.

use async_trait::async_trait;
use jiff::Timestamp;
use uuid::Uuid;

use crate::caller::{KeyId, ProjectId, Right, Role, UserId};
use crate::error::StoreError;
use crate::identity::{AdminError, KeyHash, NewOutsideToken, OutsideAdmission, OutsideUsers};

/// How a user shows who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignIn {
    /// With an API key, which opens its own project and gives no right that it does not have.
    Key(KeyHash),
    /// With a one-time code of an operator, which opens all projects of its user.
    LoginCode(KeyHash),
}

/// A user in a browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    /// The user.
    pub user: UserId,
    /// The user's name.
    pub user_name: String,
    /// The projects that the user can let a client into.
    pub projects: Vec<Membership>,
}

/// A project of a user, with the rights that the user can give there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The project.
    pub project: ProjectId,
    /// Its short name.
    pub slug: String,
    /// Its name for people.
    pub name: String,
    /// The user's role.
    pub role: Role,
    /// The rights, in the order of [`Right::ALL`].
    pub rights: Vec<Right>,
}

/// The grant of a user to a client: rights in a project. To every other part of the server it acts as a key with this id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewGrant {
    /// Id to use.
    pub id: KeyId,
    /// The project that it opens.
    pub project: ProjectId,
    /// The client's id.
    pub client_id: String,
    /// The client's name, as it was shown.
    pub client_name: String,
    /// The host that the code goes to, as it was shown.
    pub client_host: String,
    /// The rights; never empty.
    pub rights: Vec<Right>,
    /// The resource that its tokens are for.
    pub resource: String,
    /// Requests per minute, of all its tokens together.
    pub rate_limit: u32,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// Whether the client must authenticate itself to use its codes and refresh tokens.
    pub needs_assertion: bool,
}

/// An authorization code to store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCode {
    /// The hash.
    pub hash: KeyHash,
    /// The redirect URI of the request.
    pub redirect_uri: String,
    /// The SHA-256 of the verifier.
    pub challenge: [u8; 32],
    /// When it expires.
    pub expires_at: Timestamp,
}

/// The result of a consent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    /// The grant and its code are stored.
    Granted,
    /// The browser is not signed in (any more).
    SignedOut,
    /// The user is not a member of the project, or signed in with the key of another one.
    NotAMember,
    /// The user cannot give these rights.
    TooMuch,
}

/// Tokens to store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTokens {
    /// The id of the access token's row.
    pub access_id: Uuid,
    /// The hash of the access token.
    pub access_hash: KeyHash,
    /// Its first characters.
    pub access_prefix: String,
    /// When it expires.
    pub access_expires_at: Timestamp,
    /// The hash of the refresh token.
    pub refresh_hash: KeyHash,
    /// When it expires.
    pub refresh_expires_at: Timestamp,
}

/// A code or a refresh token, as a client presents it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presentation {
    /// Its hash.
    pub hash: KeyHash,
    /// The client that presents it.
    pub client_id: String,
    /// The resource that the client names, if it does.
    pub resource: Option<String>,
}

/// Tokens that were stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// The rights of the access token.
    pub rights: Vec<Right>,
    /// When the access token expires.
    pub expires_at: Timestamp,
    /// The salt of the tokens of a refresh: the proposed one, or that of an earlier use.
    pub salt: Option<[u8; 16]>,
}

/// The result of an exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exchange {
    /// The tokens are stored.
    Issued(Issued),
    /// Nothing is stored, and why.
    Refused(Refusal),
}

/// Why an exchange was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such code or token.
    Unknown,
    /// It is for another client, redirect URI, resource or verifier.
    Mismatch,
    /// It has expired.
    Expired,
    /// The grant has ended.
    Ended,
    /// More rights are wanted than the grant has.
    TooMuch,
    /// It was used before. The grant has ended.
    Reused(Void),
}

/// A grant that has ended, with the hashes of its tokens, for caches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Void {
    /// The grant.
    pub grant: KeyId,
    /// Its access tokens.
    pub hashes: Vec<KeyHash>,
}

/// A client that is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Its name.
    pub name: String,
    /// Where codes may be sent.
    pub redirect_uris: Vec<String>,
    /// Whether an operator registered it.
    pub by_operator: bool,
    /// The keys with which it authenticates itself; none for a public client.
    pub keys: Option<ClientKeys>,
}

/// The public keys of a client that authenticates itself at the token endpoint (`private_key_jwt`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientKeys {
    /// A set of keys (RFC 7517), as JSON.
    Set(String),
    /// The address of one.
    Address(String),
}

/// A client that registers itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewClient {
    /// Id to use.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Where codes may be sent.
    pub redirect_uris: Vec<String>,
    /// When it is forgotten, unless a user lets it in.
    pub expires_at: Timestamp,
    /// The keys with which it authenticates itself; none for a public client.
    pub keys: Option<ClientKeys>,
}

/// A grant as its user sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantView {
    /// Its id.
    pub id: KeyId,
    /// The project's short name.
    pub project_slug: String,
    /// The client's name.
    pub client_name: String,
    /// The client's host.
    pub client_host: String,
    /// The rights.
    pub rights: Vec<Right>,
    /// When it was given.
    pub created_at: Timestamp,
    /// When it was last used, accurate to about a minute.
    pub last_used_at: Option<Timestamp>,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
}

/// Stores what an authorization server needs. Every change is one transaction, and any replica continues what another
/// began. A `cookie` is the hash of a browser's cookie together with what its user signs in for, so that a sign-in for one
/// purpose is unknown for every other.
#[async_trait]
pub trait OAuthStore: OutsideUsers {
    /// Signs a user in: from now on the cookie stands for the user. The user's name; `None` if the secret is void.
    async fn sign_in(
        &self,
        shown: SignIn,
        cookie: &KeyHash,
        until: Timestamp,
    ) -> Result<Option<String>, StoreError>;

    /// The user of a cookie, if it is signed in.
    async fn signed_in(&self, cookie: &KeyHash) -> Result<Option<SignedIn>, StoreError>;

    /// Ends a sign-in.
    async fn sign_out(&self, cookie: &KeyHash) -> Result<(), StoreError>;

    /// Stores what the user of a cookie gives to a client, and the code for it, and ends the sign-in: one sign-in makes
    /// one grant.
    async fn consent(
        &self,
        cookie: &KeyHash,
        grant: &NewGrant,
        code: &NewCode,
    ) -> Result<Consent, StoreError>;

    /// Exchanges a code for tokens. `challenge` is the SHA-256 of the verifier.
    async fn redeem(
        &self,
        code: &Presentation,
        redirect_uri: Option<&str>,
        challenge: &[u8; 32],
        tokens: &NewTokens,
    ) -> Result<Exchange, StoreError>;

    /// Exchanges a refresh token for its successors, which were computed with `salt`. For a token that was used a
    /// moment ago, the salt of that use is returned and nothing is stored.
    async fn refresh(
        &self,
        token: &Presentation,
        rights: Option<&[Right]>,
        salt: &[u8; 16],
        tokens: &NewTokens,
    ) -> Result<Exchange, StoreError>;

    /// Stores a token of an outside issuer, or renews its row. The keys and tokens whose role has changed are returned,
    /// for caches.
    async fn admit_outside_token(
        &self,
        token: &NewOutsideToken,
    ) -> Result<(OutsideAdmission, Vec<Void>), StoreError>;

    /// Revokes a token of this client; `None` if there is no such token.
    async fn revoke(&self, token: &KeyHash, client_id: &str) -> Result<Option<Void>, StoreError>;

    /// The grants of the user of a cookie that have not ended, newest first: signed in with a key that may only read,
    /// those that were given with this key.
    async fn grants(&self, cookie: &KeyHash) -> Result<Vec<GrantView>, StoreError>;

    /// Ends a grant of the user of a cookie; `None` if there is none.
    async fn take_back(&self, cookie: &KeyHash, grant: KeyId) -> Result<Option<Void>, StoreError>;

    /// Stores a client; `false` if there are too many.
    async fn register(&self, client: &NewClient) -> Result<bool, StoreError>;

    /// A stored client.
    async fn client(&self, id: &str) -> Result<Option<Client>, StoreError>;

    /// Whether the client of this code or refresh token must authenticate itself.
    async fn demands_assertion(&self, secret: &KeyHash) -> Result<bool, StoreError>;

    /// Stores that a client has used an assertion; `false` if it was used before, or if the client has used too many.
    async fn use_assertion(
        &self,
        client_id: &str,
        assertion: &KeyHash,
        until: Timestamp,
    ) -> Result<bool, StoreError>;

    /// The tokens of the grants that a user gave with a key, for caches: after the key was revoked or changed.
    async fn tokens_of_key(&self, key: &KeyHash) -> Result<Vec<Void>, StoreError>;

    /// Removes expired rows. Returns their number.
    async fn purge(&self) -> Result<u64, StoreError>;
}

/// A grant as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantRecord {
    /// The grant.
    pub grant: GrantView,
    /// The name of its user.
    pub user_name: String,
    /// The client's id.
    pub client_id: String,
    /// When it was taken back.
    pub revoked_at: Option<Timestamp>,
    /// Why it was taken back.
    pub revoked_for: Option<String>,
}

/// A registered client as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientRecord {
    /// Its id.
    pub id: String,
    /// The client.
    pub client: Client,
    /// How many grants it has.
    pub grants: u64,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When a user last let it in.
    pub used_at: Option<Timestamp>,
    /// When it is forgotten.
    pub expires_at: Option<Timestamp>,
}

/// The operator's commands for OAuth, directly on the database.
#[async_trait]
pub trait OAuthAdministration: Send + Sync {
    /// Stores a login code of a user; older ones are void.
    async fn create_login_code(&self, user: &str, code: &KeyHash, until: Timestamp)
    -> Result<(), AdminError>;

    /// Grants, newest first, of a project or a user if one is named; those that have ended only with `all`.
    async fn list_grants(
        &self,
        project: Option<&str>,
        user: Option<&str>,
        all: bool,
    ) -> Result<Vec<GrantRecord>, AdminError>;

    /// Ends a grant.
    async fn revoke_grant(&self, id: KeyId) -> Result<Void, AdminError>;

    /// Lets in again what was taken back of a client of an outside issuer.
    async fn allow_grant(&self, id: KeyId) -> Result<(), AdminError>;

    /// Registers a client for good.
    async fn create_client(&self, id: &str, name: &str, redirect_uris: &[String]) -> Result<(), AdminError>;

    /// Registered clients: those of operators first, then those that were used most lately.
    async fn clients(&self) -> Result<Vec<ClientRecord>, AdminError>;

    /// Removes a client and ends its grants. The id may also be the address of a client's document.
    async fn delete_client(&self, id: &str) -> Result<Vec<Void>, AdminError>;
}
