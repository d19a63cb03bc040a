//! Tests of the rules on documents, on drafts as a store provides them.

mod archive;
mod conflicts;
mod decisions;
mod digest;
mod digest_many;
mod edits;
mod entry_order;
mod lists;
mod preservation;
mod progress;
mod properties;
mod section;
mod section_selection;
mod write;

use std::time::Duration;

use jiff::Timestamp;

use super::{
    CoreDocument, Digest, DigestBounds, DigestExtras, DigestSource, Document, DocumentPath, Etag,
    UpdateActiveContext, UpdateTasks,
};
use crate::store::Drafts;

/// The shortest processor time of a thread that is distinguished from none: Windows counts it in steps of a 64th of a second.
pub(in crate::document) const CLOCK_STEP: Duration =
    Duration::from_millis(if cfg!(windows) { 16 } else { 0 });

/// The digest of one document.
fn digest_of(document: CoreDocument, text: &str) -> Digest {
    let source = DigestSource { name: document.name(), text };
    super::digest(&[source], &DigestExtras::default(), DigestBounds::default())
}

fn at() -> Timestamp {
    "2026-11-22T09:30:07.062Z".parse().unwrap()
}

fn path(name: &str) -> DocumentPath {
    DocumentPath::parse(name).unwrap()
}

fn stored(name: &str, content: &str) -> Document {
    Document {
        path: path(name),
        content: content.to_owned(),
        etag: Etag::of(content),
        version: 1,
        updated_at: at(),
    }
}

/// Drafts of all core documents, of which only these exist.
fn bank(present: &[(CoreDocument, &str)]) -> Drafts {
    let mut drafts = Drafts::default();
    for document in CoreDocument::ALL {
        let content = present.iter().find(|(name, _)| *name == document).map(|(_, content)| content);
        drafts.load(document.path(), content.map(|content| stored(document.name(), content)));
    }
    drafts
}

fn text(drafts: &Drafts, document: CoreDocument) -> String {
    drafts.text(&document.path()).unwrap_or_default().to_owned()
}

fn tasks(arguments: serde_json::Value) -> UpdateTasks {
    serde_json::from_value(arguments).unwrap()
}

fn context(arguments: serde_json::Value) -> UpdateActiveContext {
    serde_json::from_value(arguments).unwrap()
}
