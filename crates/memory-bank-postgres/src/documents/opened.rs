//! The documents of an edit as they are locked and read, and as its editor gets them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use memory_bank_core::document::{Document, DocumentPath, Etag};
use memory_bank_core::error::StoreError;
use memory_bank_core::store::{Drafts, Series};
use tokio_postgres::Row;

use crate::column::{answer, column};
use crate::quota::StoredBytes;

pub(super) const LOCK: &str = "SELECT path, content, etag, version, updated_at FROM public.documents \
    WHERE project_id = $1 AND path = ANY ($2) ORDER BY path FOR UPDATE";
/// How many documents there are, and the names of some that another file system may not hold beside new ones: those of
/// the letters of $2 that are not the names of $3, and those whose folders have the letters of $4 and are not spelled as
/// in $5. Letters beyond ASCII are as they are: a new name has small ones.
pub(super) const COUNT: &str = "SELECT count(*), (array_agg(path) FILTER (WHERE \
    lower(path) = ANY ($2) AND path <> ALL ($3) OR EXISTS (SELECT 1 FROM unnest($4::text[], $5::text[]) AS f (low, plain) \
    WHERE starts_with(lower(path), f.low) AND NOT starts_with(path, f.plain))))[1:100] \
    FROM public.documents WHERE project_id = $1";

/// The documents of an edit as they were read.
pub(super) struct Opened {
    pub(super) drafts: Drafts,
    pub(super) stored_names: BTreeMap<DocumentPath, DocumentPath>,
    /// How many documents the project has.
    pub(super) present: usize,
    /// Names beside which another file system may not hold new ones.
    pub(super) similar: Vec<String>,
    /// How many bytes the project has.
    pub(super) held: StoredBytes,
}

impl Opened {
    /// From the answers to [`LOCK`], [`COUNT`] and [`crate::quota::USAGE`].
    pub(super) fn of(paths: &[DocumentPath], rows: &[Vec<Row>]) -> Result<Self, StoreError> {
        let held = StoredBytes::of(answer(rows, 2))?;
        let (present, similar) = count_of(rows)?;
        Ok(Self::from_stored(paths, &by_name(answer(rows, 0))?, present, similar, held))
    }

    /// `stored` holds what there is of these documents; `present` and `held` count all that the project has.
    pub(super) fn from_stored(
        paths: &[DocumentPath],
        stored: &BTreeMap<String, Document>,
        present: usize,
        similar: Vec<String>,
        held: StoredBytes,
    ) -> Self {
        let mut opened =
            Self { drafts: Drafts::default(), stored_names: BTreeMap::new(), present, similar, held };
        for asked in paths.iter().collect::<BTreeSet<_>>() {
            let document = find(stored, asked).cloned();
            let name = document.as_ref().map_or_else(|| asked.canonical(), |document| document.path.clone());
            opened.stored_names.insert(asked.clone(), name);
            opened.drafts.load(asked.clone(), document);
        }
        opened
    }

    /// Adds the last documents of these series.
    pub(super) fn with(mut self, needed: &[Series], ends: &[Vec<Row>]) -> Result<Self, StoreError> {
        for (series, rows) in needed.iter().zip(ends) {
            let document = rows.first().map(document).transpose()?;
            let last = document.as_ref().and_then(|document| series.number_of(&document.path)).unwrap_or(0);
            self.drafts.load_series(series.clone(), last, document);
        }
        Ok(self)
    }
}

/// What [`COUNT`] found.
pub(super) fn count_of(rows: &[Vec<Row>]) -> Result<(usize, Vec<String>), StoreError> {
    let Some(row) = answer(rows, 1).first() else { return Ok((0, Vec::new())) };
    let present: i64 = column(row, 0)?;
    let similar: Option<Vec<String>> = column(row, 1)?;
    Ok((usize::try_from(present).unwrap_or_default(), similar.unwrap_or_default()))
}

/// What [`COUNT`] compares names with.
pub(super) struct Comparison {
    pub(super) low: Vec<String>,
    pub(super) names: Vec<String>,
    pub(super) low_folders: Vec<String>,
    pub(super) folders: Vec<String>,
}

impl Comparison {
    pub(super) fn of(paths: &[DocumentPath]) -> Self {
        let names: BTreeSet<String> = paths.iter().map(|path| path.canonical().as_str().to_owned()).collect();
        let folders: BTreeSet<String> = names
            .iter()
            .flat_map(|name| name.match_indices('/').filter_map(|(at, _)| Some(name.get(..=at)?.to_owned())))
            .collect();
        let low = |names: &BTreeSet<String>| names.iter().map(|name| name.to_ascii_lowercase()).collect();
        Self {
            low: low(&names),
            low_folders: low(&folders),
            names: names.into_iter().collect(),
            folders: folders.into_iter().collect(),
        }
    }
}

/// The names of the members of a series, as a regular expression.
pub(super) fn pattern(series: &Series) -> String {
    // A stem has letters, digits and hyphens only.
    format!("^{}(-([2-9]|[1-9][0-9]{{1,3}}))?\\.md$", series.stem())
}

/// The names under which the documents may be stored: as asked for, composed, and canonical.
pub(super) fn names_of(paths: &[DocumentPath]) -> Vec<String> {
    let names: BTreeSet<String> = paths.iter().flat_map(DocumentPath::spellings).collect();
    names.into_iter().collect()
}

pub(super) fn find<'a>(stored: &'a BTreeMap<String, Document>, asked: &DocumentPath) -> Option<&'a Document> {
    asked.spellings().iter().find_map(|name| stored.get(name))
}

pub(super) fn by_name(rows: &[Row]) -> Result<BTreeMap<String, Document>, StoreError> {
    rows.iter()
        .map(|row| {
            let document = document(row)?;
            Ok((document.path.as_str().to_owned(), document))
        })
        .collect()
}

/// A row of `path, content, etag, version, updated_at`.
fn document(row: &Row) -> Result<Document, StoreError> {
    let name: &str = column(row, 0)?;
    let path = DocumentPath::parse(name).map_err(|error| StoreError::Damaged {
        what: "the name of a document".to_owned(),
        detail: error.to_string(),
    })?;
    let content: String = column(row, 1)?;
    Ok(Document {
        path,
        etag: Etag::of(&content),
        content,
        version: column(row, 3)?,
        updated_at: column::<Timestamp>(row, 4)?,
    })
}
