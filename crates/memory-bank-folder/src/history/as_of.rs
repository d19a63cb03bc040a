//! What documents were at a time, and the text of one version.

use jiff::Timestamp;
use memory_bank_core::compact_sort::CompactSort as _;
use memory_bank_core::document::DocumentPath;
use memory_bank_core::history::{PastVersion, Version, VersionKind, VersionText};
use memory_bank_core::store::{DocumentAt, HistoryError};
use uuid::Uuid;

use crate::bank::FolderBank;
use crate::history::record::Record;
use crate::history::timeline_of_document;

/// For each document of these versions, what it was before a time and what came next.
pub(super) fn documents_at(mut versions: Vec<Version>, until: Timestamp) -> Vec<DocumentAt> {
    // A version of this user comes before one that claims its number.
    let is_foreign = |version: &Version| version.kind == VersionKind::Foreign;
    versions.compact_sort_by(|a, b| {
        let order = |one: &Version| (one.number, is_foreign(one));
        a.document.cmp(&b.document).then_with(|| order(a).cmp(&order(b)))
    });
    versions.dedup_by(|later, former| later.document == former.document && later.number == former.number);
    let documents = versions.chunk_by(|a, b| a.document == b.document);
    documents
        .map(|own| DocumentAt {
            then: own.iter().rfind(|version| version.at < until).map(PastVersion::from),
            next: own.iter().find(|version| version.at >= until).map(PastVersion::from),
            now: own.last().filter(|last| last.etag.is_some()).map(|last| last.path.clone()),
        })
        .collect()
}

impl FolderBank {
    /// A version of this document, or of the one that has the name or had it last.
    pub(super) async fn version_of(
        &self,
        document: Option<Uuid>,
        path: &DocumentPath,
        number: i64,
    ) -> Result<VersionText, HistoryError> {
        self.settle_history(vec![path.clone()]).await;
        let path = path.clone();
        self.read_history(move |dir, seal| {
            let timeline = timeline_of_document(dir, &path, document, seal)?;
            let Some(place) = timeline.place(number) else {
                if let Some((version, text)) =
                    timeline.before_history().filter(|(one, _)| one.number == number)
                {
                    return Ok(VersionText { version, text: Some(text) });
                }
                let number_at = |record: Option<&Record>| record.map_or(0, |record| record.facts.number);
                let (oldest, newest) =
                    (number_at(timeline.records.first()), number_at(timeline.records.last()));
                return Err(HistoryError::NoVersion { path, number, oldest, newest });
            };
            let text = timeline.text(place);
            let text = text.map_err(|damage| HistoryError::Damaged { path: path.clone(), number, damage })?;
            let version = timeline.records.get(place).and_then(Record::version);
            let version = version.ok_or(HistoryError::NoDocument(path))?;
            Ok(VersionText { version, text })
        })
        .await
    }
}
