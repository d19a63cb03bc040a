//! Whole documents.

use rstest::rstest;

use super::{path, stored};
use crate::document::{
    BatchWrite, Etag, FileWritten, OLD_NAMES, delete_document, migrate_file_naming, migration_paths,
    rename_document, write_document,
};
use crate::error::EditError;
use crate::limits;
use crate::store::Drafts;

fn drafts(documents: &[(&str, Option<&str>)]) -> Drafts {
    let mut drafts = Drafts::default();
    for (name, content) in documents {
        drafts.load(path(name), content.map(|content| stored(name, content)));
    }
    drafts
}

fn batch(json: &serde_json::Value) -> BatchWrite {
    serde_json::from_value(json.clone()).unwrap()
}

fn outcome(written: &FileWritten) -> &str {
    match &written.result {
        Ok(written) => written.etag.as_str(),
        Err(reason) => reason,
    }
}

#[test]
fn an_empty_etag_is_refused_and_writes_nothing() {
    let mut drafts = drafts(&[("x.md", Some("c"))]);
    let error = write_document(&mut drafts, &path("x.md"), "new", Some("")).unwrap_err();
    assert!(error.to_string().contains("`ifMatchEtag` is empty"), "{error}");
    assert_eq!(drafts.text(&path("x.md")), Some("c"));
}

#[test]
fn a_write_with_an_etag_needs_the_stored_etag() {
    let mut drafts = drafts(&[("x.md", Some("c")), ("y.md", None)]);
    assert_eq!(
        write_document(&mut drafts, &path("x.md"), "a", Some("2e7d2c03a9507ae2")).unwrap().etag.as_str(),
        "ca978112ca1bbdca"
    );
    assert!(matches!(
        write_document(&mut drafts, &path("x.md"), "b", Some("ca978112ca1bbdcb")),
        Err(EditError::EtagMismatch { content, .. }) if content == "c"
    ));
    assert!(matches!(
        write_document(&mut drafts, &path("y.md"), "b", Some("ca978112ca1bbdca")),
        Err(EditError::NotFound(_))
    ));
    assert_eq!(drafts.text(&path("y.md")), None);
}

#[test]
fn a_batch_returns_an_outcome_per_write_and_stops_on_request() {
    let files = serde_json::json!([
        {"filename": "a.md", "content": "a"},
        {"filename": "b.md", "content": "x", "ifMatchEtag": "0"},
        {"filename": "../c.md", "content": "c"},
        {"filename": "d.md", "content": "c"},
    ]);
    let mut some = drafts(&[("a.md", None), ("b.md", Some("b")), ("d.md", None)]);
    let plan = batch(&serde_json::json!({"files": files})).plan().unwrap();
    assert_eq!(plan.paths(), [path("a.md"), path("b.md"), path("d.md")]);
    let written = plan.apply(&mut some).unwrap();
    let shown: Vec<&str> = written.iter().map(outcome).collect();
    assert_eq!(shown[0], "ca978112ca1bbdca");
    assert_eq!(shown[1], format!("ETag mismatch: expected 0, got {}", Etag::of("b")));
    assert!(shown[2].starts_with("Write failed: path traversal"), "{}", shown[2]);
    assert_eq!(shown[3], "2e7d2c03a9507ae2");

    let mut some = drafts(&[("a.md", None), ("b.md", Some("b")), ("d.md", None)]);
    let plan = batch(&serde_json::json!({"files": files, "stopOnError": true})).plan().unwrap();
    let written = plan.apply(&mut some).unwrap();
    assert_eq!(outcome(&written[3]), "Skipped due to previous error");
    assert_eq!(some.text(&path("d.md")), None);

    let mut some = drafts(&[("a.md", None), ("b.md", Some("b")), ("d.md", None)]);
    let plan = batch(&serde_json::json!({"files": files, "allOrNothing": true})).plan().unwrap();
    let error = plan.apply(&mut some).unwrap_err().to_string();
    assert!(error.contains("`b.md`") && error.contains("`../c.md`"), "{error}");
}

#[rstest]
#[case(serde_json::json!([]), "empty")]
#[case(serde_json::json!([{"filename": "README.md", "content": ""}, {"filename": "readme.md", "content": ""}]), "twice")]
fn an_invalid_batch_is_refused_before_anything_is_written(
    #[case] files: serde_json::Value,
    #[case] word: &str,
) {
    let error = batch(&serde_json::json!({"files": files})).plan().unwrap_err().to_string();
    assert!(error.contains(word), "{error}");
}

#[test]
fn a_batch_over_its_bound_is_refused() {
    let files: Vec<_> = (0..=limits::BATCH_DOCUMENTS)
        .map(|n| serde_json::json!({"filename": format!("{n}.md"), "content": ""}))
        .collect();
    assert!(batch(&serde_json::json!({"files": files})).plan().unwrap_err().to_string().contains("100"));
    assert!(serde_json::from_str::<BatchWrite>(r#"{"files":[null]}"#).is_err());
}

#[test]
fn a_document_is_renamed_unless_the_name_is_taken() {
    let mut drafts = drafts(&[("a.md", Some("c")), ("b.md", None), ("c.md", Some("x"))]);
    assert!(matches!(
        rename_document(&mut drafts, &path("a.md"), &path("c.md"), None),
        Err(EditError::Exists(_))
    ));
    assert!(matches!(
        rename_document(&mut drafts, &path("b.md"), &path("a.md"), None),
        Err(EditError::NotFound(_))
    ));
    rename_document(&mut drafts, &path("a.md"), &path("b.md"), Some("2e7d2c03a9507ae2")).unwrap();
    assert_eq!((drafts.text(&path("a.md")), drafts.text(&path("b.md"))), (None, Some("c")));
    assert_eq!(drafts.text(&path("c.md")), Some("x"));
}

#[rstest]
#[case("progress.md")]
#[case("activeContext.md")]
fn a_core_document_is_neither_deleted_nor_renamed(#[case] name: &str) {
    let mut drafts = drafts(&[(name, Some("c")), ("b.md", None)]);
    assert!(
        delete_document(&mut drafts, &path(name), None).unwrap_err().to_string().contains("core document")
    );
    assert!(rename_document(&mut drafts, &path(name), &path("b.md"), None).is_err());
    assert_eq!(drafts.text(&path(name)), Some("c"));
}

#[test]
fn deleting_needs_a_document_and_its_etag() {
    let mut drafts = drafts(&[("a.md", Some("c")), ("b.md", None)]);
    assert!(matches!(delete_document(&mut drafts, &path("b.md"), None), Err(EditError::NotFound(_))));
    assert!(delete_document(&mut drafts, &path("a.md"), Some("0")).is_err());
    delete_document(&mut drafts, &path("a.md"), Some("2e7d2c03a9507ae2")).unwrap();
    assert_eq!(drafts.text(&path("a.md")), None);
}

#[test]
fn old_names_are_migrated_and_conflicting_ones_are_named() {
    let mut drafts = drafts(&[
        ("productContext.md", Some("p")),
        ("product-context.md", None),
        ("activeContext.md", Some("old")),
        ("active-context.md", Some("new")),
        ("decision-log.md", None),
        ("system-patterns.md", Some("s")),
        ("decisionLog.md", None),
    ]);
    // A store finds the new name by the old one.
    drafts.load(path("systemPatterns.md"), Some(stored("system-patterns.md", "s")));
    assert_eq!(migration_paths().len(), OLD_NAMES.len() * 2);
    let done = migrate_file_naming(&mut drafts).unwrap();
    assert_eq!((done.migrated, done.skipped), (vec!["product-context.md"], vec!["activeContext.md"]));
    assert_eq!(drafts.text(&path("product-context.md")), Some("p"));
    assert_eq!(drafts.text(&path("productContext.md")), None);
    assert_eq!(drafts.text(&path("activeContext.md")), Some("old"));
    assert_eq!(drafts.text(&path("systemPatterns.md")), Some("s"));
}
