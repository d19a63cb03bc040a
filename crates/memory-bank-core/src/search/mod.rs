//! Search: units of text, BM25 with context, one ranking for every store.
