//! Search: units of text, BM25 with context, one ranking for every store.
//!
//! A document or an entity is cut into [`Unit`]s ([`markdown_units`], [`json_units`], [`entity_units`]); each unit
//! into terms ([`each_term`]); [`score`] weighs the words of a query in a unit and around it. The [`Index`] does that
//! in memory and by difference; every store has one.

mod aliases;
mod answer;
mod dates;
mod embedding;
mod entity;
mod index;
mod index_use;
mod irregular;
mod json;
mod language;
mod lines;
mod markdown;
mod memory;
mod query;
mod rank;
mod targeted;
mod unit;
mod words;

pub use answer::search_graph;
pub use dates::{FoundDate, dates_in};
pub use embedding::{
    DIMENSIONS, EmbedError, Embedder, MODEL_NAME_BYTES, ModelId, PASSAGE_BYTES, Passage, UnitHash, Vector,
    VectorError,
};
pub use entity::{entity_units, recency};
pub use index::{
    DenseCount, DocumentHits, DocumentQuery, EntityHit, GraphHits, Index, LineHit, MatchedIn, MentionPlace,
    MentionSearch, MentioningDocument, Mentions, ObservationHit, VectorGap,
};
pub use index_use::IndexUse;
pub use json::json_units;
pub use language::{Language, is_function_word};
pub use lines::{Lines, clip};
pub use markdown::markdown_units;
pub use memory::{IndexBudget, IndexMemory, MemoryShare, TextSize};
pub use query::{Query, QueryError, QueryWord, fold};
pub use rank::{Corpus, Occurrences, above, before, behind, combine_scores, is_question, score};
pub use targeted::{
    ContextPointer, Excerpt, Material, TargetedBounds, TargetedContext, pack, plan_pointers,
    whole_if_possible,
};
pub use unit::{Unit, UnitKind};
pub use words::{Term, TermKind, each_term, each_word};
