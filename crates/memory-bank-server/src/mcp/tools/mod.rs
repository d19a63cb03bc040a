//! Tools. [`table`] lists them; a family's files have their rows and handlers: typed arguments in, typed reply out, no
//! rules of their own.

mod aliases;
mod arguments;
mod backups;
mod blind;
mod bounded;
mod bundle;
mod common_arguments;
mod cursor;
mod digest;
mod dispatch;
mod documents;
mod editing;
mod examples;
mod extra_members;
mod graph;
mod guide;
mod history;
mod ignored;
mod lenient;
mod listing;
mod lookup;
mod maintain;
mod modes;
mod progress;
mod query;
mod reply;
mod room;
mod schema;
mod table;
mod targeted;
mod thinking;
mod tool;
mod workspace;

pub(crate) use self::dispatch::{call, data, refused_as_read_only};
pub(crate) use self::lenient::unrepeated;
pub(crate) use self::listing::list;
pub(crate) use self::lookup::{is_answered_without_store, label, reads_only, right_of};
pub(crate) use self::maintain::listed_data;
pub(crate) use self::reply::Failure;
pub(crate) use self::room::{LISTING_BYTES, reading_bytes};
pub(crate) use self::table::TOOLS;
pub(crate) use self::tool::{Family, ToolSpec};
