//! Edits of one caller in one transaction: each runs on the text that the previous one left.

use std::collections::BTreeMap;

use async_trait::async_trait;
use memory_bank_core::caller::Caller;
use memory_bank_core::document::{Document, DocumentPath};
use memory_bank_core::error::{EditError, StoreError};
use memory_bank_core::store::{ChangeKind, DocumentChange};
use tokio_postgres::Row;

use crate::database::Database;
use crate::documents::opened::{Comparison, Found, OPEN, Opened, names_of};
use crate::documents::plan::{Plan, Text, check_count, check_names, check_quota, notify, write};
use crate::documents::versions::NewVersion;
use crate::edit_groups::{Member, RunGroup};
use crate::quota::StoredBytes;
use crate::tenant::{Failure, Query};

#[async_trait]
impl RunGroup for Database {
    async fn run(&self, caller: &Caller, members: Vec<Member>) -> Vec<Member> {
        edit_together(self, caller, members).await
    }
}

/// Runs the edits of one caller in one transaction, one after the other, each on the text that the previous one left.
/// A refused edit leaves the text unchanged. Returns the edits that could not run together, in order: nothing of them
/// was written.
async fn edit_together(database: &Database, caller: &Caller, mut members: Vec<Member>) -> Vec<Member> {
    let paths: Vec<DocumentPath> = members.iter().flat_map(|member| member.paths.clone()).collect();
    let names = names_of(&paths);
    let compared = Comparison::of(&paths);
    let values = compared.values(&names);
    let begun = database.begin_by_function(caller, Query::new(OPEN, &values)).await;
    let (transaction, mut group) = match begun {
        Ok((transaction, rows)) => match Group::of(&rows) {
            Ok(group) => (transaction, group),
            Err(error) => {
                transaction.roll_back().await;
                return give_up(members, &error);
            }
        },
        Err(failure) => return retry_alone(members, failure),
    };
    let mut done: Vec<(Member, Result<Plan, EditError>)> = Vec::new();
    let mut rest = Vec::new();
    while !members.is_empty() {
        let member = members.remove(0);
        match group.apply(database, &member).await {
            Some(Applied::Done(result)) => done.push((member, result)),
            Some(Applied::Alone) => {
                rest.push(member);
                rest.append(&mut members);
            }
            None if member.is_gone() => {}
            // Its own task, which runs the editor, is not done in time on a busy computer. It runs alone, when it is ready.
            None => {
                rest.push(member);
                rest.append(&mut members);
            }
        }
    }
    if let Some(first) = rest.first_mut() {
        first.set_alone();
    }
    let plan = group.plan();
    let written = if plan.is_empty() {
        transaction.roll_back().await;
        Ok(())
    } else {
        write(database, caller, transaction, &plan, None).await
    };
    match written {
        Ok(()) => {
            notify(database, caller, &plan);
            for (member, result) in done {
                let result = result.map(|plan| plan.changes_of(&member.paths));
                member.finish(result);
            }
            rest
        }
        Err(failure) => {
            let members = done.into_iter().map(|(member, _)| member).chain(rest).collect();
            retry_alone(members, failure)
        }
    }
}

/// Handles the edits of a failed transaction: each runs alone, unless it is unknown whether the transaction was
/// committed.
fn retry_alone(mut members: Vec<Member>, failure: Failure) -> Vec<Member> {
    match failure {
        Failure::Store(error @ (StoreError::Unavailable(_) | StoreError::Unreachable(_))) => {
            give_up(members, &error)
        }
        failure => {
            tracing::debug!(
                ?failure,
                edits = members.len(),
                "a group of edits failed; running its edits one by one"
            );
            members.iter_mut().for_each(Member::set_alone);
            members
        }
    }
}

fn give_up(members: Vec<Member>, error: &StoreError) -> Vec<Member> {
    for member in members {
        let error = match error {
            StoreError::Unreachable(detail) => StoreError::Unreachable(detail.clone()),
            other => StoreError::Unavailable(other.to_string()),
        };
        member.finish(Err(error.into()));
    }
    Vec::new()
}

/// The documents of a group while its edits run.
struct Group {
    /// As stored, and after the edits so far.
    documents: BTreeMap<String, (Option<Document>, Document)>,
    /// The versions of each that the edits added, oldest first.
    versions: BTreeMap<String, Vec<NewVersion>>,
    /// How many documents the project has.
    present: usize,
    /// Names that another file system may not store beside new ones.
    similar: Vec<String>,
    /// The bytes of the project, including the edits so far.
    held: StoredBytes,
}

/// The result of one edit of a group.
enum Applied {
    /// It ran: its changes, or why it was refused.
    Done(Result<Plan, EditError>),
    /// It deletes, renames or brings back, which needs other rights or the history, or needs more than a group has.
    Alone,
}

impl Group {
    fn of(rows: &[Row]) -> Result<Self, StoreError> {
        let Found { stored, present, similar, held } = Found::of(rows)?;
        let documents =
            stored.into_iter().map(|(name, document)| (name, (Some(document.clone()), document))).collect();
        Ok(Self { documents, versions: BTreeMap::new(), present, similar, held })
    }

    async fn apply(&mut self, database: &Database, member: &Member) -> Option<Applied> {
        let stored = |requested: &DocumentPath| {
            let (_, document) = requested.spellings().iter().find_map(|name| self.documents.get(name))?;
            Some(document.clone())
        };
        let similar = self.similar.iter().chain(self.documents.keys()).cloned().collect();
        let opened = Opened::from_stored(&member.paths, stored, self.present, similar, self.held);
        let result = match member.apply(opened.drafts).await? {
            Ok(drafts) => Plan::of(&drafts, &opened.stored_names),
            // It needs documents that are not part of the group.
            Err(EditError::Incomplete { .. }) => return Some(Applied::Alone),
            Err(error) => Err(error),
        };
        let mut result = result.and_then(|plan| {
            check_count(self.present, &plan)?;
            check_names(&opened.similar, &plan)?;
            check_quota(database, &self.held, &plan)?;
            Ok(plan)
        });
        if let Ok(plan) = &mut result {
            let revives = plan.inserts.0.iter().any(|text| text.revives.is_some());
            if revives
                || !plan.context.made_of.is_empty()
                || !plan.deletes.is_empty()
                || !plan.renamed_from.is_empty()
            {
                return Some(Applied::Alone);
            }
            self.take(database, plan);
        }
        Some(Applied::Done(result))
    }

    /// Moves the texts of an edit into the group; the plan keeps its changes.
    fn take(&mut self, database: &Database, plan: &mut Plan) {
        let now = database.deps.clock.now();
        self.present += plan.inserts.0.len();
        self.held.documents = self.held.documents.saturating_add(plan.added);
        for text in plan.updates.0.drain(..).chain(plan.inserts.0.drain(..)) {
            let before = self.documents.remove(&text.name);
            let version = before.as_ref().map_or(0, |(_, document)| document.version) + 1;
            let document = Document {
                path: text.path,
                content: text.content,
                etag: text.etag,
                version,
                updated_at: now,
            };
            self.versions.entry(text.name.clone()).or_default().extend(text.versions);
            self.documents.insert(text.name.clone(), (before.and_then(|(stored, _)| stored), document));
        }
    }

    /// The combined changes.
    fn plan(self) -> Plan {
        let mut plan = Plan::default();
        for (name, versions) in self.versions {
            let Some((stored, document)) = self.documents.get(&name) else { continue };
            let kind = if stored.is_some() { ChangeKind::Modified } else { ChangeKind::Created };
            let (path, etag) = (document.path.clone(), document.etag.clone());
            let change = DocumentChange { path: path.clone(), kind, etag: Some(etag.clone()) };
            plan.changes.insert(path.clone(), change);
            let text = Text { path, name, content: document.content.clone(), etag, versions, revives: None };
            let texts = if stored.is_some() { &mut plan.updates } else { &mut plan.inserts };
            texts.0.push(text);
        }
        plan
    }
}
