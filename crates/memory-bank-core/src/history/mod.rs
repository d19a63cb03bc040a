//! The history of documents: versions, what each changed, and how a former text is rebuilt. Pure functions; a store
//! keeps the versions.

mod context;
mod delta;
mod query;
mod rebuild;
mod version;

pub use context::ChangeContext;
pub use delta::{DamagedDelta, Delta};
pub use query::{Subject, VersionPage, VersionPlace, VersionQuery};
pub use rebuild::{Damage, Step, rebuild};
pub use version::{Version, VersionKind, VersionText};
