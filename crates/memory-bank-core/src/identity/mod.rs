//! Who may come in: API keys, what is kept of them, and the traits through which a server looks them up and manages
//! them. Nothing here knows HTTP, and nothing here keeps a key in plain text.

mod administration;
mod keys;
mod secret;

pub use administration::{
    AdminError, Administration, Bootstrapped, MemberRecord, NewProject, NewUser, ProjectRecord, UserRecord,
};
pub use keys::{
    KeyChange, KeyDirectory, KeyError, KeyIdentity, KeyRecord, KeyStatus, KeyStore, KeyUse, NewKey, Revoked,
};
pub use secret::{Environment, KeyHash, MalformedKey, PlainKey};
