//! Documents in rows. An edit locks its documents in the first round trip and writes in the second.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use jiff::Timestamp;
use memory_bank_core::caller::{Caller, Right};
use memory_bank_core::document::{Document, DocumentEntry, DocumentPath, Etag};
use memory_bank_core::error::{EditError, StoreError};
use memory_bank_core::limits;
use memory_bank_core::store::{
    Change, ChangeKind, DocumentChange, DocumentStore, Drafts, Editor, ReadOutcome, Series,
};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::bank::PostgresBank;
use crate::column::{answer, column};
use crate::tenant::{Failure, Query, TRIES, Transaction, Value};

const LIST: &str = "SELECT path, octet_length(content)::bigint, updated_at FROM public.documents \
    WHERE project_id = $1 ORDER BY path";
const READ: &str =
    "SELECT path, content, etag, version, updated_at, project_id FROM app.read_documents($1, $2, $3, $4)";
const LOCK: &str = "SELECT path, content, etag, version, updated_at FROM public.documents \
    WHERE project_id = $1 AND path = ANY ($2) ORDER BY path FOR UPDATE";
/// The last member of a series of documents: of two names, the longer one has the larger number.
const LOCK_LAST: &str = "SELECT path, content, etag, version, updated_at FROM public.documents \
    WHERE project_id = $1 AND path = (SELECT path FROM public.documents WHERE project_id = $1 AND path ~ $2 \
    ORDER BY length(path) DESC, path DESC LIMIT 1) FOR UPDATE";
const COUNT: &str = "SELECT count(*) FROM public.documents WHERE project_id = $1";
const RENAME: &str = "WITH changed AS (UPDATE public.documents d SET path = u.after, version = d.version + 1, updated_at = $4 \
    FROM unnest($2::text[], $3::text[]) AS u (before, after) WHERE d.project_id = $1 AND d.path = u.before RETURNING 1) \
    SELECT app.must_be((SELECT count(*) FROM changed), cardinality($2::text[]))";
const UPDATE: &str = "WITH changed AS (UPDATE public.documents d SET content = u.content, etag = u.etag, \
    version = d.version + 1, updated_at = $5 FROM unnest($2::text[], $3::text[], $4::text[]) AS u (path, content, etag) \
    WHERE d.project_id = $1 AND d.path = u.path RETURNING 1) \
    SELECT app.must_be((SELECT count(*) FROM changed), cardinality($2::text[]))";
const INSERT: &str = "INSERT INTO public.documents (project_id, path, content, etag, created_at, updated_at) \
    SELECT $1, u.path, u.content, u.etag, $5, $5 FROM unnest($2::text[], $3::text[], $4::text[]) AS u (path, content, etag)";
const DELETE: &str = "WITH changed AS (DELETE FROM public.documents WHERE project_id = $1 AND path = ANY ($2) RETURNING 1) \
    SELECT app.must_be((SELECT count(*) FROM changed), cardinality($2::text[]))";

#[async_trait]
impl DocumentStore for PostgresBank {
    async fn list(&self, caller: &Caller) -> Result<Vec<DocumentEntry>, StoreError> {
        let rows = self.database.read(caller, &[Query::new(LIST, &[&caller.project.0])]).await?;
        answer(&rows, 0)
            .iter()
            .map(|row| {
                let name: String = column(row, 0)?;
                Ok(DocumentEntry {
                    path: DocumentPath::parse(&name).ok(),
                    name,
                    bytes: u64::try_from(column::<i64>(row, 1)?).unwrap_or_default(),
                    updated_at: column(row, 2)?,
                })
            })
            .collect()
    }

    async fn read(&self, caller: &Caller, paths: &[DocumentPath]) -> Result<Vec<ReadOutcome>, StoreError> {
        if paths.is_empty() {
            return Ok(Vec::new());
        }
        let names = names_of(paths);
        let rows = self.database.read_by_function(caller, Query::new(READ, &[&names])).await?;
        for row in &rows {
            // Others' reads are on the same connection. That answers are not mixed up is the driver's part; it is looked at here.
            if column::<Uuid>(row, 5)? != caller.project.0 {
                return Err(StoreError::Denied);
            }
        }
        let stored = by_name(&rows)?;
        for document in stored.values() {
            self.database.served.keep(caller.project, &document.etag, &document.content);
        }
        Ok(paths
            .iter()
            .map(|path| {
                find(&stored, path).map_or(ReadOutcome::Missing, |found| ReadOutcome::Found(found.clone()))
            })
            .collect())
    }

    async fn edit(
        &self,
        caller: &Caller,
        paths: &[DocumentPath],
        editor: &mut Editor<'_>,
    ) -> Result<Vec<DocumentChange>, EditError> {
        if !caller.may(Right::Write) {
            return Err(StoreError::Denied.into());
        }
        for _ in 0..TRIES {
            match self.try_edit(caller, paths, editor).await {
                Ok(plan) => {
                    self.tell(caller, &plan);
                    return Ok(paths.iter().filter_map(|path| plan.changes.get(path).cloned()).collect());
                }
                Err(Refusal::Edit(error)) => return Err(error),
                Err(Refusal::Failed(Failure::Store(error))) => return Err(error.into()),
                Err(Refusal::Failed(Failure::Conflict(met))) => {
                    tracing::debug!(met, "an edit met another one and is tried again");
                }
            }
        }
        Err(StoreError::Busy.into())
    }

    async fn content_at(
        &self,
        caller: &Caller,
        _path: &DocumentPath,
        etag: &Etag,
    ) -> Result<Option<String>, StoreError> {
        Ok(self.database.served.find(caller.project, etag))
    }
}

/// Why one attempt came to nothing.
enum Refusal {
    Edit(EditError),
    Failed(Failure),
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl PostgresBank {
    async fn try_edit(
        &self,
        caller: &Caller,
        paths: &[DocumentPath],
        editor: &mut Editor<'_>,
    ) -> Result<Plan, Refusal> {
        let project = caller.project.0;
        let names = names_of(paths);
        let (transaction, rows) = self
            .database
            .begin(caller, &[Query::new(LOCK, &[&project, &names]), Query::new(COUNT, &[&project])])
            .await?;
        let mut planned = Opened::of(paths, &rows)
            .map_err(EditError::from)
            .and_then(|opened| self.plan(caller, opened, editor));
        if let Err(EditError::Incomplete { needed }) = &planned {
            planned = match self.lock_last(&transaction, &project, needed).await {
                Ok(ends) => Opened::of(paths, &rows)
                    .and_then(|opened| opened.with(needed, &ends))
                    .map_err(EditError::from)
                    .and_then(|opened| self.plan(caller, opened, editor)),
                Err(failure) => {
                    // One that does not answer is dropped, and its connection closed.
                    if matches!(failure, Failure::Conflict(_)) {
                        transaction.roll_back().await;
                    }
                    return Err(failure.into());
                }
            };
        }
        let plan = match planned {
            Ok(plan) if !plan.is_empty() => plan,
            other => {
                transaction.roll_back().await;
                return other.map_err(Refusal::Edit);
            }
        };
        let now = self.database.around.clock.now();
        let renames: [Value<'_>; 4] = [&project, &plan.renamed_from, &plan.renamed_to, &now];
        let [updated, updates, update_etags] = plan.updates.columns();
        let update: [Value<'_>; 5] = [&project, &updated, &updates, &update_etags, &now];
        let [inserted, inserts, insert_etags] = plan.inserts.columns();
        let insert: [Value<'_>; 5] = [&project, &inserted, &inserts, &insert_etags, &now];
        let delete: [Value<'_>; 2] = [&project, &plan.deletes];
        let mut writes = Vec::new();
        // What makes room for a name comes before what takes it.
        if !plan.deletes.is_empty() {
            writes.push(Query::new(DELETE, &delete));
        }
        if !plan.renamed_from.is_empty() {
            writes.push(Query::new(RENAME, &renames));
        }
        if !updated.is_empty() {
            writes.push(Query::new(UPDATE, &update));
        }
        if !inserted.is_empty() {
            writes.push(Query::new(INSERT, &insert));
        }
        transaction.commit(&writes).await?;
        Ok(plan)
    }

    /// Reads and locks the last document of each series: a third round trip, for the few edits that need it.
    async fn lock_last(
        &self,
        transaction: &Transaction,
        project: &Uuid,
        needed: &[Series],
    ) -> Result<Vec<Vec<Row>>, Failure> {
        let patterns: Vec<String> = needed.iter().map(pattern).collect();
        let values: Vec<[Value<'_>; 2]> =
            patterns.iter().map(|pattern| [project as Value<'_>, pattern as Value<'_>]).collect();
        let queries: Vec<Query<'_>> = values.iter().map(|values| Query::new(LOCK_LAST, values)).collect();
        transaction.read(&queries).await
    }

    /// Runs the editor on what was read.
    fn plan(&self, caller: &Caller, opened: Opened, editor: &mut Editor<'_>) -> Result<Plan, EditError> {
        let Opened { mut drafts, stored_names, present } = opened;
        for (_, document, _) in drafts.changes() {
            if let Some(document) = document {
                self.database.served.keep(caller.project, &document.etag, &document.content);
            }
        }
        editor(&mut drafts)?;
        let plan = Plan::of(&drafts, &stored_names)?;
        let after = usize::try_from(present).unwrap_or_default() + plan.inserts.0.len();
        if !plan.inserts.0.is_empty() && after > limits::DOCUMENTS {
            return Err(EditError::Refused(format!(
                "the memory bank has {present} documents, at most {} are allowed; delete some first",
                limits::DOCUMENTS
            )));
        }
        Ok(plan)
    }

    fn tell(&self, caller: &Caller, plan: &Plan) {
        let sink = &self.database.around.sink;
        let mut list = false;
        for text in plan.updates.0.iter().chain(&plan.inserts.0) {
            self.database.served.keep(caller.project, &text.etag, &text.content);
        }
        let mut told = BTreeSet::new();
        for change in plan.changes.values() {
            if change.kind == ChangeKind::Unchanged || !told.insert(&change.path) {
                continue;
            }
            list |= matches!(change.kind, ChangeKind::Created | ChangeKind::Deleted);
            sink.changed(caller.project, Change::Updated(change.path.clone()));
        }
        if list {
            sink.changed(caller.project, Change::List);
        }
    }
}

/// The documents of an edit as they were read.
struct Opened {
    drafts: Drafts,
    stored_names: BTreeMap<DocumentPath, DocumentPath>,
    /// How many documents the project has.
    present: i64,
}

impl Opened {
    fn of(paths: &[DocumentPath], rows: &[Vec<Row>]) -> Result<Self, StoreError> {
        let stored = by_name(answer(rows, 0))?;
        let present: i64 = match answer(rows, 1).first() {
            Some(row) => column(row, 0)?,
            None => 0,
        };
        let mut opened = Self { drafts: Drafts::default(), stored_names: BTreeMap::new(), present };
        for asked in paths.iter().collect::<BTreeSet<_>>() {
            let document = find(&stored, asked).cloned();
            let name = document.as_ref().map_or_else(|| asked.canonical(), |document| document.path.clone());
            opened.stored_names.insert(asked.clone(), name);
            opened.drafts.load(asked.clone(), document);
        }
        Ok(opened)
    }

    /// Adds the last documents of these series.
    fn with(mut self, needed: &[Series], ends: &[Vec<Row>]) -> Result<Self, StoreError> {
        for (series, rows) in needed.iter().zip(ends) {
            let document = rows.first().map(document).transpose()?;
            let last = document.as_ref().and_then(|document| series.number_of(&document.path)).unwrap_or(0);
            self.drafts.load_series(series.clone(), last, document);
        }
        Ok(self)
    }
}

/// The names of the members of a series, as a regular expression.
fn pattern(series: &Series) -> String {
    // A stem has letters, digits and hyphens only.
    format!("^{}(-([2-9]|[1-9][0-9]{{1,3}}))?\\.md$", series.stem())
}

/// What an edit comes to.
#[derive(Debug, Default)]
struct Plan {
    changes: BTreeMap<DocumentPath, DocumentChange>,
    updates: Texts,
    inserts: Texts,
    deletes: Vec<String>,
    renamed_from: Vec<String>,
    renamed_to: Vec<String>,
}

#[derive(Debug, Default)]
struct Texts(Vec<Text>);

#[derive(Debug)]
struct Text {
    name: String,
    content: String,
    etag: Etag,
}

impl Texts {
    fn columns(&self) -> [Vec<&str>; 3] {
        let column = |of: fn(&Text) -> &str| self.0.iter().map(of).collect::<Vec<_>>();
        [column(|text| &text.name), column(|text| &text.content), column(|text| text.etag.as_str())]
    }
}

impl Plan {
    fn of(drafts: &Drafts, stored: &BTreeMap<DocumentPath, DocumentPath>) -> Result<Self, EditError> {
        let mut plan = Self::default();
        let mut touched: BTreeMap<&DocumentPath, Option<&str>> = BTreeMap::new();
        let mut deleted: Vec<&Document> = Vec::new();
        for (asked, before, after) in drafts.changes() {
            let path = stored.get(asked).unwrap_or(asked);
            let kind = match (before, after) {
                (None, None) => ChangeKind::Unchanged,
                (None, Some(_)) => ChangeKind::Created,
                (Some(_), None) => ChangeKind::Deleted,
                (Some(before), Some(after)) if before.content == after => ChangeKind::Unchanged,
                (Some(_), Some(_)) => ChangeKind::Modified,
            };
            let etag = after.map(Etag::of);
            plan.changes
                .insert(asked.clone(), DocumentChange { path: path.clone(), kind, etag: etag.clone() });
            if kind == ChangeKind::Unchanged {
                continue;
            }
            // `myNotes.md` and `my-notes.md` may be one document.
            if let Some(other) = touched.insert(path, after) {
                if other == after {
                    continue;
                }
                return Err(EditError::Refused(format!(
                    "two of the names mean the one document `{path}`; name it once"
                )));
            }
            match (after, etag) {
                (Some(content), Some(etag)) => {
                    if content.contains('\0') {
                        return Err(EditError::Refused(format!(
                            "`{path}` would contain a null character, which cannot be kept; leave it out"
                        )));
                    }
                    let text = Text { name: path.as_str().to_owned(), content: content.to_owned(), etag };
                    let texts =
                        if kind == ChangeKind::Created { &mut plan.inserts } else { &mut plan.updates };
                    texts.0.push(text);
                }
                _ => deleted.extend(before),
            }
        }
        plan.find_renames(&deleted);
        Ok(plan)
    }

    /// A document that goes while another with its text comes is renamed: that takes no right to delete, and keeps
    /// the document's history of versions.
    fn find_renames(&mut self, deleted: &[&Document]) {
        for document in deleted {
            let renamed = self.inserts.0.iter().position(|text| text.content == document.content);
            let from = document.path.as_str().to_owned();
            match renamed {
                Some(at) => {
                    let text = self.inserts.0.swap_remove(at);
                    self.renamed_from.push(from);
                    self.renamed_to.push(text.name);
                }
                None => self.deletes.push(from),
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.updates.0.is_empty()
            && self.inserts.0.is_empty()
            && self.deletes.is_empty()
            && self.renamed_from.is_empty()
    }
}

/// The names under which the documents may be stored: as asked for, and canonical.
fn names_of(paths: &[DocumentPath]) -> Vec<String> {
    let names: BTreeSet<String> = paths
        .iter()
        .flat_map(|path| [path.as_str().to_owned(), path.canonical().as_str().to_owned()])
        .collect();
    names.into_iter().collect()
}

fn find<'a>(stored: &'a BTreeMap<String, Document>, asked: &DocumentPath) -> Option<&'a Document> {
    stored.get(asked.as_str()).or_else(|| stored.get(asked.canonical().as_str()))
}

fn by_name(rows: &[Row]) -> Result<BTreeMap<String, Document>, StoreError> {
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
