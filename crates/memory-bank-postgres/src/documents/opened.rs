//! The documents of an edit, as they are locked and read, and as its editor gets them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use memory_bank_core::document::{Document, DocumentPath, Etag};
use memory_bank_core::error::StoreError;
use memory_bank_core::store::{Drafts, Series};
use tokio_postgres::Row;

use crate::column::column;
use crate::quota::StoredBytes;
use crate::tenant::Value;

/// Locks and reads the documents of these names; then a row without a path has the bytes of the project, the number
/// of its documents, and names that another file system may not store beside new ones. The latter are missing if all
/// names exist. Takes the values of a [`Comparison`].
pub(super) const OPEN: &str = "SELECT path, content, version, updated_at, document_bytes, snapshot_bytes, other_bytes, \
    quota, present, similar_names FROM app.open_documents($1, $2, $3, $4, $5, $6, $7, $8, $9)";

/// The last member of a series of documents: of two names, the longer one has the larger number. The names are between
/// two bounds, so that the index serves.
pub(super) const LOCK_LAST: &str = "SELECT path, content, version, updated_at FROM public.documents \
    WHERE project_id = $1 AND path = (SELECT path FROM public.documents WHERE project_id = $1 AND path >= $3 AND path < $4 \
    AND path ~ $2 ORDER BY length(path) DESC, path DESC LIMIT 1) FOR UPDATE";

/// The result of [`OPEN`].
pub(super) struct Found {
    /// The documents by their names.
    pub(super) stored: BTreeMap<String, Document>,
    /// The number of documents of the project.
    pub(super) present: usize,
    /// Names that another file system may not store beside new ones.
    pub(super) similar: Vec<String>,
    /// The bytes of the project.
    pub(super) held: StoredBytes,
}

impl Found {
    /// From the result of [`OPEN`].
    pub(super) fn of(rows: &[Row]) -> Result<Self, StoreError> {
        let Some((project, documents)) = rows.split_last() else {
            let detail = "it has no row of the project".to_owned();
            return Err(StoreError::Damaged { what: "the answer of app.open_documents".to_owned(), detail });
        };
        let present: Option<i64> = column(project, 8)?;
        let Some(present) = present else {
            let detail =
                "it does not count the documents: run the SQL scripts of this version again".to_owned();
            return Err(StoreError::Damaged { what: "the answer of app.open_documents".to_owned(), detail });
        };
        let similar: Option<Vec<String>> = column(project, 9)?;
        Ok(Self {
            stored: by_name(documents)?,
            present: usize::try_from(present).unwrap_or_default(),
            similar: similar.unwrap_or_default(),
            held: StoredBytes::of_row(project, 4)?,
        })
    }
}

/// The documents of an edit as they were read.
pub(super) struct Opened {
    pub(super) drafts: Drafts,
    pub(super) stored_names: BTreeMap<DocumentPath, DocumentPath>,
    /// The number of documents of the project.
    pub(super) present: usize,
    /// Names that another file system may not store beside new ones.
    pub(super) similar: Vec<String>,
    /// The bytes of the project.
    pub(super) held: StoredBytes,
}

impl Opened {
    /// From the result of [`OPEN`].
    pub(super) fn of(paths: &[DocumentPath], rows: &[Row]) -> Result<Self, StoreError> {
        let Found { stored, present, similar, held } = Found::of(rows)?;
        Ok(Self::from_stored(paths, |requested| find(&stored, requested).cloned(), present, similar, held))
    }

    /// `stored` gives the existing document of a name; `present` and `held` count the whole project.
    pub(super) fn from_stored(
        paths: &[DocumentPath],
        stored: impl Fn(&DocumentPath) -> Option<Document>,
        present: usize,
        similar: Vec<String>,
        held: StoredBytes,
    ) -> Self {
        let mut opened =
            Self { drafts: Drafts::default(), stored_names: BTreeMap::new(), present, similar, held };
        for requested in paths.iter().collect::<BTreeSet<_>>() {
            let document = stored(requested);
            let name =
                document.as_ref().map_or_else(|| requested.canonical(), |document| document.path.clone());
            opened.stored_names.insert(requested.clone(), name);
            opened.drafts.load(requested.clone(), document);
        }
        opened
    }

    /// Adds the last documents of these series, from the results of one query for each.
    pub(super) fn with(mut self, needed: &[Series], ends: &[Vec<Row>]) -> Result<Self, StoreError> {
        for (series, rows) in needed.iter().zip(ends) {
            let document = rows.first().map(document_of).transpose()?;
            let last = document.as_ref().and_then(|document| series.number_of(&document.path)).unwrap_or(0);
            self.drafts.load_series(series.clone(), last, document);
        }
        Ok(self)
    }
}

/// The names that [`OPEN`] compares.
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

    /// The values of [`OPEN`].
    pub(super) fn values<'a>(&'a self, names: &'a Vec<String>) -> [Value<'a>; 5] {
        [names, &self.low, &self.names, &self.low_folders, &self.folders]
    }
}

/// The names of the members of a series: as a regular expression, and the bounds between which they are.
pub(super) fn names_of_series(series: &Series) -> [String; 3] {
    // A stem has letters, digits and hyphens only. Behind it a name has `-` or `.`, and `/` follows these.
    let stem = series.stem();
    [format!("^{stem}(-([2-9]|[1-9][0-9]{{1,3}}))?\\.md$"), format!("{stem}-"), format!("{stem}/")]
}

/// The names under which the documents may be stored: as given, canonical, and composed in either way.
pub(crate) fn names_of(paths: &[DocumentPath]) -> Vec<String> {
    let names: BTreeSet<String> = paths.iter().flat_map(DocumentPath::spellings).collect();
    names.into_iter().collect()
}

pub(super) fn find<'a>(
    stored: &'a BTreeMap<String, Document>,
    requested: &DocumentPath,
) -> Option<&'a Document> {
    requested.spellings().iter().find_map(|name| stored.get(name))
}

pub(super) fn by_name(rows: &[Row]) -> Result<BTreeMap<String, Document>, StoreError> {
    rows.iter()
        .map(|row| {
            let document = document_of(row)?;
            Ok((document.path.as_str().to_owned(), document))
        })
        .collect()
}

/// A row that begins with `path, content, version, updated_at`.
pub(crate) fn document_of(row: &Row) -> Result<Document, StoreError> {
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
        version: column(row, 2)?,
        updated_at: column::<Timestamp>(row, 3)?,
    })
}
