//! Authentication: API keys and tokens of OAuth, their stored form, and the traits to look them up and manage them. Nothing here knows
//! HTTP, and nothing here stores a key in plain text.

mod administration;
mod claim_mapping;
mod keys;
mod new_key;
mod oauth;
mod outside;
mod outside_token;
mod project_administration;
mod secret;
mod token;
mod user_name;

pub use administration::{
    AdminError, Administration, Bootstrapped, MemberRecord, NewProject, NewUser, ProjectRecord, UserRecord,
};
pub use claim_mapping::{ClaimMapping, GROUPS_CLAIM, MalformedMapping, MappedProject, VerifiedClaims};
pub use keys::{
    KeyChange, KeyDirectory, KeyError, KeyIdentity, KeyRecord, KeyStatus, KeyStore, KeyUse, NewKey, Revoked,
};
pub use new_key::{DEFAULT_RATE_LIMIT, KeyOptions, sorted_rights};
pub use oauth::{
    Client, ClientKeys, ClientRecord, Consent, Exchange, GrantRecord, GrantView, Issued, Membership,
    NewClient, NewCode, NewGrant, NewTokens, OAuthAdministration, OAuthStore, Presentation, Refusal, SignIn,
    SignedIn, Void,
};
pub use outside::{
    IdentityAdministration, IdentityRecord, Mapped, MappingSource, OutsideRefusal, OutsideSignIn,
    OutsideUser, OutsideUsers,
};
pub use outside_token::{NewOutsideToken, OutsideAdmission};
pub use project_administration::{
    AuditPosition, ListPosition, ListedMember, ProjectAdministration, ProjectUsage,
};
pub use secret::{Environment, KeyHash, MalformedKey, PlainKey};
pub use token::{LoginCode, PlainToken, TokenKind};
pub use user_name::{MalformedUserName, parse_user_name};
