//! Search: units of text, BM25 with context, one ranking for every store.
//!
//! A document or an entity is cut into [`Unit`]s ([`markdown_units`], [`json_units`], [`entity_units`]); each unit into
//! words ([`each_word`]); a [`Ranker`] scores a unit from the counts of its words and of its neighbours' words. The
//! [`Index`] does that in memory and by difference. A database keeps the counts in a table and ranks what one query
//! returns with the same [`Ranker`].

mod answer;
mod entity;
mod index;
mod json;
mod lines;
mod markdown;
mod memory;
mod query;
mod rank;
mod targeted;
mod unit;
mod words;

pub use answer::search_graph;
pub use entity::{entity_units, recency};
pub use index::{
    DocumentHits, DocumentQuery, EntityHit, GraphHits, Index, LineHit, MatchedIn, ObservationHit,
};
pub use json::json_units;
pub use lines::{Lines, clip};
pub use markdown::markdown_units;
pub use memory::{IndexBudget, IndexMemory, MemoryShare, TextSize};
pub use query::{Query, QueryError, QueryWord, fold};
pub use rank::{Around, CorpusStats, RankedTerm, RankedWord, Ranker, UnitTerms, mix};
pub use targeted::{
    ContextPointer, Excerpt, Material, TargetedBounds, TargetedContext, pack, plan_pointers,
    whole_if_possible,
};
pub use unit::{Unit, UnitKind};
pub use words::{each_word, is_function_word, stem};
