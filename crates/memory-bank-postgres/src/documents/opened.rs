//! The documents of an edit as they are locked and read, and as its editor gets them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use memory_bank_core::document::{Document, DocumentPath, Etag};
use memory_bank_core::error::StoreError;
use memory_bank_core::store::{Drafts, Series};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::column::{answer, column};
use crate::quota::StoredBytes;
use crate::tenant::Value;

pub(super) const LOCK: &str = "SELECT path, content, etag, version, updated_at FROM public.documents \
    WHERE project_id = $1 AND path = ANY ($2) ORDER BY path FOR UPDATE";
/// How many documents the project has, unless all of these names are there, so that none is new: counting takes long where
/// there are many.
pub(super) const COUNT: &str = "SELECT CASE WHEN \
    (SELECT count(*) FROM public.documents WHERE project_id = $1 AND path = ANY ($2)) < cardinality($2::text[]) \
    THEN (SELECT count(*) FROM public.documents WHERE project_id = $1) END";
/// The same where it is known that there may be new ones.
pub(super) const COUNT_ALL: &str = "SELECT count(*) FROM public.documents WHERE project_id = $1";

/// The names of some documents that another file system may not hold beside new ones, if one of $2 is new: those of the
/// letters of $3 that are not the names of $4, and those whose folders have the letters of $5 and are not spelled as in
/// $6. Letters beyond ASCII are as they are: a new name has small ones.
pub(super) const SIMILAR: &str = "SELECT path FROM public.documents WHERE project_id = $1 AND \
    (SELECT count(*) FROM public.documents WHERE project_id = $1 AND path = ANY ($2)) < cardinality($2::text[]) AND \
    (lower(path) = ANY ($3) AND path <> ALL ($4) OR EXISTS (SELECT 1 FROM unnest($5::text[], $6::text[]) AS f (low, plain) \
    WHERE starts_with(lower(path), f.low) AND NOT starts_with(path, f.plain))) LIMIT 100";

/// The documents of an edit as they were read.
pub(super) struct Opened {
    pub(super) drafts: Drafts,
    pub(super) stored_names: BTreeMap<DocumentPath, DocumentPath>,
    /// How many documents the project has; unknown where all that are edited are there.
    pub(super) present: Option<usize>,
    /// Names beside which another file system may not hold new ones.
    pub(super) similar: Vec<String>,
    /// How many bytes the project has.
    pub(super) held: StoredBytes,
}

impl Opened {
    /// From the answers to [`LOCK`], [`COUNT`], [`crate::quota::USAGE`] and [`SIMILAR`].
    pub(super) fn of(paths: &[DocumentPath], rows: &[Vec<Row>]) -> Result<Self, StoreError> {
        let held = StoredBytes::of(answer(rows, 2))?;
        let (stored, present) = (by_name(answer(rows, 0))?, count_of(answer(rows, 1))?);
        Ok(Self::from_stored(paths, &stored, present, similar_of(answer(rows, 3))?, held))
    }

    /// `stored` holds what there is of these documents; `present` and `held` count all that the project has.
    pub(super) fn from_stored(
        paths: &[DocumentPath],
        stored: &BTreeMap<String, Document>,
        present: Option<usize>,
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
    /// From the answers to a query for each and, after them, to [`COUNT_ALL`].
    pub(super) fn with(mut self, needed: &[Series], ends: &[Vec<Row>]) -> Result<Self, StoreError> {
        self.present = count_of(answer(ends, needed.len()))?;
        for (series, rows) in needed.iter().zip(ends) {
            let document = rows.first().map(document).transpose()?;
            let last = document.as_ref().and_then(|document| series.number_of(&document.path)).unwrap_or(0);
            self.drafts.load_series(series.clone(), last, document);
        }
        Ok(self)
    }
}

/// How many documents the project has, if that was counted.
pub(super) fn count_of(rows: &[Row]) -> Result<Option<usize>, StoreError> {
    let present: Option<i64> = rows.first().map(|row| column(row, 0)).transpose()?.flatten();
    Ok(present.map(|present| usize::try_from(present).unwrap_or_default()))
}

/// The names that [`SIMILAR`] found.
pub(super) fn similar_of(rows: &[Row]) -> Result<Vec<String>, StoreError> {
    rows.iter().map(|row| column(row, 0)).collect()
}

/// What [`SIMILAR`] compares names with.
pub(super) struct Comparison {
    low: Vec<String>,
    names: Vec<String>,
    low_folders: Vec<String>,
    folders: Vec<String>,
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

    /// The parameters of [`SIMILAR`].
    pub(super) fn values<'a>(&'a self, project: &'a Uuid, names: &'a Vec<String>) -> [Value<'a>; 6] {
        [project, names, &self.low, &self.names, &self.low_folders, &self.folders]
    }
}

/// The names of the members of a series, as a regular expression.
pub(super) fn pattern(series: &Series) -> String {
    // A stem has letters, digits and hyphens only.
    format!("^{}(-([2-9]|[1-9][0-9]{{1,3}}))?\\.md$", series.stem())
}

/// The names under which the documents may be stored: as asked for, canonical, and composed in either way.
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
