//! The changes of an edit: documents that are created, changed, renamed and deleted, and the statements that do it.

use std::collections::{BTreeMap, BTreeSet};

use memory_bank_core::caller::Caller;
use memory_bank_core::clock::Entropy;
use memory_bank_core::document::{Document, DocumentPath, Etag};
use memory_bank_core::error::EditError;
use memory_bank_core::history::ChangeContext;
use memory_bank_core::store::{
    Change, ChangeKind, DocumentChange, DraftChanges, DraftWrite, Drafts, check_document_count, name_clash,
};
use memory_bank_core::unicode::has_null;
use uuid::Uuid;

use crate::database::Database;
use crate::documents::versions::{NewVersion, SET_CHANGE, SettingOfChange};
use crate::graph::GraphWrites;
use crate::quota::StoredBytes;
use crate::tenant::{Failure, Query, Transaction, Value};

const RENAME: &str = "WITH changed AS (UPDATE public.documents d SET path = u.after, version = d.version + 1, updated_at = $4 \
    FROM unnest($2::text[], $3::text[]) AS u (before, after) WHERE d.project_id = $1 AND d.path = u.before RETURNING 1) \
    SELECT app.must_be((SELECT count(*) FROM changed), cardinality($2::text[]))";
const UPDATE: &str = "WITH changed AS (UPDATE public.documents d SET content = u.content, etag = u.etag, \
    version = d.version + u.edits, updated_at = $6 \
    FROM unnest($2::text[], $3::text[], $4::text[], $5::bigint[]) AS u (path, content, etag, edits) \
    WHERE d.project_id = $1 AND d.path = u.path RETURNING 1) \
    SELECT app.must_be((SELECT count(*) FROM changed), cardinality($2::text[]))";
/// The most frequent write: one document, changed once. It also sets the change for the history, see
/// [`versions`](super::versions).
const UPDATE_ONE: &str = "WITH changed AS (UPDATE public.documents d SET content = $3, etag = $4, version = d.version + 1, \
    updated_at = $5 WHERE d.project_id = $1 AND d.path = $2 RETURNING 1) \
    SELECT CASE WHEN count(*) = 1 THEN set_config('app.current_change', $6, true) \
    ELSE app.must_be(count(*), 1)::text END FROM changed";
const INSERT: &str = "INSERT INTO public.documents (project_id, path, content, etag, version, created_at, updated_at) \
    SELECT $1, u.path, u.content, u.etag, u.edits, $6, $6 \
    FROM unnest($2::text[], $3::text[], $4::text[], $5::bigint[]) AS u (path, content, etag, edits)";
/// Documents that come back with their ids.
const REVIVE: &str = "INSERT INTO public.documents (id, project_id, path, content, etag, version, created_at, updated_at) \
    SELECT u.id, $1, u.path, u.content, u.etag, u.version, $7, $7 \
    FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::bigint[]) AS u (id, path, content, etag, version)";
const DELETE: &str = "WITH changed AS (DELETE FROM public.documents WHERE project_id = $1 AND path = ANY ($2) RETURNING 1) \
    SELECT app.must_be((SELECT count(*) FROM changed), cardinality($2::text[]))";

/// The changes of an edit.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) changes: BTreeMap<DocumentPath, DocumentChange>,
    pub(super) updates: Texts,
    pub(super) inserts: Texts,
    pub(super) deletes: Vec<String>,
    /// Former and new names.
    pub(super) renamed_from: Vec<String>,
    pub(super) renamed_to: Vec<String>,
    /// How many bytes of text it adds; negative if it removes text.
    pub(super) added: i64,
    /// The facts that its versions record.
    pub(super) context: Box<ChangeContext>,
}

#[derive(Debug, Default)]
pub(super) struct Texts(pub(super) Vec<Text>);

#[derive(Debug)]
pub(super) struct Text {
    pub(super) path: DocumentPath,
    pub(super) name: String,
    pub(super) content: String,
    pub(super) etag: Etag,
    /// Its versions, oldest first: each edit is one.
    pub(super) versions: Vec<NewVersion>,
    /// The deleted document that comes back, with the number of its last version.
    pub(super) revives: Option<(Uuid, i64)>,
}

impl Texts {
    /// The columns of those texts that bring no document back.
    fn columns(&self) -> ([Vec<&str>; 3], Vec<i64>) {
        let count = |text: &Text| i64::try_from(text.versions.len()).unwrap_or(i64::MAX);
        let texts = || self.0.iter().filter(|text| text.revives.is_none());
        (columns_of(texts), texts().map(count).collect())
    }

    /// The ids, columns and numbers of those that bring one back.
    fn revived(&self) -> (Vec<Uuid>, [Vec<&str>; 3], Vec<i64>) {
        let texts = || self.0.iter().filter(|text| text.revives.is_some());
        let (ids, last): (Vec<Uuid>, Vec<i64>) = texts().filter_map(|text| text.revives).unzip();
        (ids, columns_of(texts), last.into_iter().map(|number| number.saturating_add(1)).collect())
    }
}

/// Names, contents and etags.
fn columns_of<'t, I: Iterator<Item = &'t Text>>(texts: impl Fn() -> I) -> [Vec<&'t str>; 3] {
    [
        texts().map(|text| text.name.as_str()).collect(),
        texts().map(|text| text.content.as_str()).collect(),
        texts().map(|text| text.etag.as_str()).collect(),
    ]
}

impl Plan {
    pub(super) fn of(
        drafts: &Drafts,
        stored: &BTreeMap<DocumentPath, DocumentPath>,
    ) -> Result<Self, EditError> {
        let DraftChanges { changes, writes } = DraftChanges::of(drafts, stored)?;
        let mut plan = Self { changes, context: Box::new(drafts.context().clone()), ..Self::default() };
        let mut deleted: Vec<&Document> = Vec::new();
        for DraftWrite { path, before, after, moved_from, leaves, revives, .. } in writes {
            let bytes = |text: Option<usize>| i64::try_from(text.unwrap_or_default()).unwrap_or(i64::MAX);
            let new = after.as_ref().map(|(content, _)| content.len());
            plan.added += bytes(new) - bytes(before.map(|before| before.content.len()));
            // Another document may continue under its name.
            let before = before.filter(|_| !leaves);
            let is_replaced = moved_from.is_some() || revives.is_some();
            if after.is_none() || is_replaced {
                deleted.extend(before);
            }
            let before = before.filter(|_| !is_replaced);
            let Some((content, etag)) = after else { continue };
            if has_null(content) {
                return Err(EditError::Refused(format!(
                    "`{path}` would contain a null character, which cannot be kept; leave it out"
                )));
            }
            let text = |before: Option<&Document>, etag: Etag, context: &ChangeContext| Text {
                path: path.clone(),
                name: path.as_str().to_owned(),
                versions: vec![NewVersion::of(before, content, &etag, context)],
                content: content.to_owned(),
                etag,
                revives: revives.and_then(|(document, number)| Some((document.parse().ok()?, number))),
            };
            if let Some(moved) = moved_from {
                plan.renamed_from.push(moved.path.as_str().to_owned());
                plan.renamed_to.push(path.as_str().to_owned());
                if content != moved.content {
                    // The renaming is a version of its own.
                    let renamed = Document { version: moved.version.saturating_add(1), ..moved.clone() };
                    plan.updates.0.push(text(Some(&renamed), etag, &plan.context));
                }
                continue;
            }
            let text = text(before, etag, &plan.context);
            let texts = if before.is_none() { &mut plan.inserts } else { &mut plan.updates };
            texts.0.push(text);
        }
        plan.find_renames(&deleted);
        Ok(plan)
    }

    /// If a document disappears while another one with its text appears, it is renamed: that needs no right to
    /// delete, and keeps the document's history of versions.
    fn find_renames(&mut self, deleted: &[&Document]) {
        for document in deleted {
            let from = document.path.as_str().to_owned();
            let renamed = self.inserts.0.iter().position(|text| text.content == document.content);
            let renamed = renamed.filter(|_| !self.context.restores);
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

    /// The changes in the order of these paths.
    pub(super) fn changes_of(&self, paths: &[DocumentPath]) -> Vec<DocumentChange> {
        paths.iter().filter_map(|path| self.changes.get(path).cloned()).collect()
    }

    /// The only change, if it changes one document once.
    fn only_update(&self) -> Option<&Text> {
        let others = [self.inserts.0.len(), self.deletes.len(), self.renamed_from.len()];
        match self.updates.0.as_slice() {
            [text] if text.versions.len() == 1 && others == [0; 3] => Some(text),
            _ => None,
        }
    }

    /// The change for the triggers of the transaction.
    fn setting(&self, keeps_history: bool) -> SettingOfChange {
        let (updates, inserts) = (self.updates.0.as_slice(), self.inserts.0.as_slice());
        match updates {
            [] if inserts.iter().all(|text| text.versions.len() == 1) => {
                SettingOfChange::of_edit(keeps_history, &self.context, None)
            }
            [Text { versions, .. }] if versions.len() == 1 && inserts.is_empty() => {
                SettingOfChange::of_edit(keeps_history, &self.context, versions.first())
            }
            _ => {
                let texts = updates.iter().chain(inserts);
                let versions = texts.map(|text| (&text.name, text.versions.as_slice()));
                SettingOfChange::of_edits(keeps_history, &self.context, versions)
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.updates.0.is_empty()
            && self.inserts.0.is_empty()
            && self.deletes.is_empty()
            && self.renamed_from.is_empty()
    }
}

/// Refuses new names that another file system could not store beside an existing name, or another new one.
pub(super) fn check_names(similar: &[String], plan: &Plan) -> Result<(), EditError> {
    let new = plan.inserts.0.iter().map(|text| &text.name).chain(&plan.renamed_to);
    let new: Vec<&String> = new.collect();
    let is_removed = |name: &String| plan.deletes.contains(name) || plan.renamed_from.contains(name);
    for name in &new {
        let Ok(path) = DocumentPath::parse(name) else { continue };
        let others = similar.iter().chain(new.iter().copied());
        if let Some(other) = others.filter(|other| !is_removed(other)).find(|other| path.clashes_with(other))
        {
            return Err(name_clash(&path, other));
        }
    }
    Ok(())
}

/// Refuses new documents past the limit of a bank.
pub(super) fn check_count(present: usize, plan: &Plan) -> Result<(), EditError> {
    check_document_count(present, plan.inserts.0.len())
}

pub(super) fn check_quota(database: &Database, held: &StoredBytes, plan: &Plan) -> Result<(), EditError> {
    database.admit(held, plan.added).map_err(EditError::Refused)
}

/// Writes the plan and what changes with it, and commits.
pub(super) async fn write(
    database: &Database,
    caller: &Caller,
    transaction: Transaction,
    plan: &Plan,
    graph: Option<&GraphWrites>,
) -> Result<(), Failure> {
    let project = caller.project.0;
    let graph_values = graph.map(|graph| graph.values(&project)).unwrap_or_default();
    let graph_queries = graph.map(|graph| graph.queries(&graph_values)).unwrap_or_default();
    let now = database.deps.clock.now();
    let change = plan.setting(database.keeps_history);
    if let Some(text) = plan.only_update() {
        let etag = text.etag.as_str();
        let values: [Value<'_>; 6] = [&project, &text.name, &text.content, &etag, &now, &change.change];
        let queries: Vec<Query<'_>> =
            [Query::new(UPDATE_ONE, &values)].into_iter().chain(graph_queries).collect();
        transaction.commit(&queries).await?;
        return Ok(());
    }
    let set: [Value<'_>; 2] = [&change.change, &change.versions];
    let rename_steps = rename_steps(plan, &*database.deps.entropy);
    let renames: Vec<[Value<'_>; 4]> =
        rename_steps.iter().map(|(from, to)| -> [Value<'_>; 4] { [&project, from, to, &now] }).collect();
    let ([updated, updates, update_etags], update_edits) = plan.updates.columns();
    let update: [Value<'_>; 6] = [&project, &updated, &updates, &update_etags, &update_edits, &now];
    let ([inserted, inserts, insert_etags], insert_edits) = plan.inserts.columns();
    let insert: [Value<'_>; 6] = [&project, &inserted, &inserts, &insert_etags, &insert_edits, &now];
    let (ids, [revived, revives, revive_etags], numbers) = plan.inserts.revived();
    let revive: [Value<'_>; 7] = [&project, &ids, &revived, &revives, &revive_etags, &numbers, &now];
    let delete: [Value<'_>; 2] = [&project, &plan.deletes];
    let mut writes = vec![Query::new(SET_CHANGE, &set)];
    // Free a name before it is used.
    if !plan.deletes.is_empty() {
        writes.push(Query::new(DELETE, &delete));
    }
    writes.extend(renames.iter().map(|renames| Query::new(RENAME, renames)));
    if !updated.is_empty() {
        writes.push(Query::new(UPDATE, &update));
    }
    if !inserted.is_empty() {
        writes.push(Query::new(INSERT, &insert));
    }
    if !revived.is_empty() {
        writes.push(Query::new(REVIVE, &revive));
    }
    writes.extend(graph_queries);
    transaction.commit(&writes).await?;
    Ok(())
}

/// The renamings in the order in which each name is free when a document gets it. Where names are swapped, one document gets a
/// name in between, which its history shows.
fn rename_steps(plan: &Plan, entropy: &dyn Entropy) -> Vec<(Vec<String>, Vec<String>)> {
    let mut waiting: Vec<(String, String)> =
        plan.renamed_from.iter().cloned().zip(plan.renamed_to.iter().cloned()).collect();
    let mut steps = Vec::new();
    while !waiting.is_empty() {
        let held: BTreeSet<String> = waiting.iter().map(|(from, _)| from.clone()).collect();
        let (blocked, free): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|(_, to)| held.contains(to));
        waiting = blocked;
        if free.is_empty()
            && let Some((from, _)) = waiting.first_mut()
        {
            let between = format!("renaming-{}.md", entropy.id());
            steps.push((vec![std::mem::replace(from, between.clone())], vec![between]));
        } else {
            steps.push(free.into_iter().unzip());
        }
    }
    steps
}

/// Notifies subscribers of the committed changes.
pub(super) fn notify(database: &Database, caller: &Caller, plan: &Plan) {
    let sink = &database.deps.sink;
    let mut list = false;
    for text in plan.updates.0.iter().chain(&plan.inserts.0) {
        database.recent_contents.keep(&(caller.project, text.etag.clone()), &text.content);
    }
    let mut notified = BTreeSet::new();
    for change in plan.changes.values() {
        if change.kind == ChangeKind::Unchanged || !notified.insert(&change.path) {
            continue;
        }
        list |= matches!(change.kind, ChangeKind::Created | ChangeKind::Deleted);
        sink.changed(caller.project, Change::Updated(change.path.clone()));
    }
    if list {
        sink.changed(caller.project, Change::List);
    }
}
