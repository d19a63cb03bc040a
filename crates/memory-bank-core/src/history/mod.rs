//! The history of documents: versions, what each changed, and how a former text is rebuilt. Pure functions; a store
//! keeps the versions.

mod blame;
mod chain;
mod context;
mod delta;
mod live;
mod mark;
mod merge;
mod query;
mod rebuild;
mod take_back;
mod thinning;
mod version;

pub use blame::{Blamed, blame};
pub use chain::{Chain, ChainQuery, Link, Snapshot};
pub use context::{ChangeContext, HistorySource};
pub use delta::{DamagedDelta, Delta};
pub(crate) use live::live;
pub use mark::{ChangeFacts, UndoMark, stored_tool, tool_and_mark};
pub use merge::{LineRange, take_back_lines};
pub use query::{Subject, VersionPage, VersionPosition, VersionQuery, moment};
pub use rebuild::{Damage, Step, rebuild};
pub use take_back::{Obstacle, TakenBack, changed_again, take_back};
pub use thinning::{DatedChange, superseded};
pub use version::{PastVersion, Version, VersionKind, VersionText};
