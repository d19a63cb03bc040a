//! Search: documents as units, and what a query finds in them.

use jiff::Timestamp;
use memory_bank_core::document::DocumentPath;
use memory_bank_core::search::{DocumentQuery, Index, Query, Unit, json_units, markdown_units};

use crate::input::texts;

/// The most lines that a query returns in these tests.
const LIMIT: usize = 20;

/// A query, and documents.
pub(crate) fn units(data: &[u8]) {
    let texts = texts(data, 6);
    let Some((query, documents)) = texts.split_first() else { return };
    let mut index = Index::default();
    for (at, text) in documents.iter().enumerate() {
        check_units(&markdown_units("document", text), text);
        check_units(&json_units("document", text), text);
        let ending = if at % 3 == 2 { "json" } else { "md" };
        let path = DocumentPath::parse(&format!("document-{at}.{ending}")).expect("a plain name");
        index.put_document(&path, text, Timestamp::UNIX_EPOCH);
    }
    if let Ok(query) = Query::parse(query) {
        let request = DocumentQuery {
            query,
            files: None,
            limit: LIMIT,
            case_sensitive: false,
            days: (None, None),
            holding_at: None,
        };
        let found = index.search_documents(&request);
        assert!(found.hits.len() <= LIMIT, "no more lines than asked for");
    }
    for at in 0..documents.len() {
        let ending = if at % 3 == 2 { "json" } else { "md" };
        index.remove_document(&format!("document-{at}.{ending}"));
    }
    assert_eq!((index.units(), index.total_length()), (0, 0), "nothing is left of documents that are gone");
}

fn check_units(units: &[Unit], text: &str) {
    let lines = text.split('\n').count();
    for (at, unit) in units.iter().enumerate() {
        assert!(unit.line >= 1 && unit.line <= lines, "unit {at} begins in the document: {unit:?}");
        assert!(unit.line + unit.lines <= lines + 1, "unit {at} ends in the document: {unit:?}");
        for other in [unit.parent, unit.previous, unit.next].into_iter().flatten() {
            assert!(other < units.len(), "unit {at} belongs to a unit");
        }
    }
}
