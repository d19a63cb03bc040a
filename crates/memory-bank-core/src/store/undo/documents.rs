//! What an undo does with documents: each follows its chain of versions back.

use std::collections::{BTreeMap, BTreeSet};

use super::{LeftDocument, MAX_NAMED, Reason, UndoError, UndoReport, UndoRequest, UndoneDocument};
use crate::caller::{Caller, Right};
use crate::document::{DocumentPath, Etag};
use crate::error::EditError;
use crate::history::{
    Chain, ChainQuery, Link, Snapshot, Subject, TakenBack, Version, VersionQuery, take_back,
};
use crate::limits;
use crate::store::{Bank, Drafts, HistoryError, ReadOutcome};

/// What an undo does with documents.
#[derive(Default)]
pub(super) struct DocumentPlan {
    undone: Vec<UndoneDocument>,
    left: Vec<LeftDocument>,
    unchanged: usize,
    of_others: usize,
    /// How many versions are in the set.
    pub(super) versions: usize,
    changes: Vec<Change>,
}

/// The change of one document.
struct Change {
    /// The store's own name of the document, and the number of its last version.
    document: (String, i64),
    from: Option<(DocumentPath, Etag)>,
    to: Option<Snapshot>,
}

/// A change with the facts of its report.
struct Planned {
    change: Change,
    undone: UndoneDocument,
    others: Vec<Version>,
}

impl DocumentPlan {
    pub(super) async fn of(
        bank: &dyn Bank,
        caller: &Caller,
        request: &UndoRequest,
    ) -> Result<Self, UndoError> {
        let mut plan = Self::default();
        if request.entity.is_some() {
            return Ok(plan);
        }
        let (set, of_others) = changes_of(bank, caller, request).await?;
        plan.of_others = of_others;
        plan.versions = set.values().map(|(_, numbers)| numbers.len()).sum();
        let (mut planned, mut bytes) = (Vec::new(), 0);
        for (document, (path, numbers)) in set {
            let from = numbers.first().copied().unwrap_or_default();
            let query = ChainQuery { document, path: path.clone(), from, most: limits::CHAIN_VERSIONS };
            let left = |reason| LeftDocument { path: path.clone(), reason, others: Vec::new() };
            let chain = match bank.chain(caller, &query).await {
                Ok(chain) => chain,
                Err(HistoryError::NoDocument(_)) => {
                    plan.left.push(left(Reason::NoHistory));
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            match plan_document(caller, &chain, &path, &numbers) {
                Ok(None) => plan.unchanged += 1,
                Ok(Some(one)) => {
                    bytes += one.change.to.as_ref().map_or(0, |to| to.text.len());
                    if bytes > limits::UNDO_BYTES {
                        return Err(UndoError::TooMany);
                    }
                    planned.push(one);
                }
                Err(left) => plan.left.push(left),
            }
        }
        plan.take_names(bank, caller, planned).await?;
        Ok(plan)
    }

    /// Leaves the documents whose names are taken.
    async fn take_names(
        &mut self,
        bank: &dyn Bank,
        caller: &Caller,
        planned: Vec<Planned>,
    ) -> Result<(), UndoError> {
        let mut free = BTreeSet::new();
        for name in planned.iter().filter_map(Planned::new_name) {
            // One at a time, since a document of this name may be large.
            let found = bank.read(caller, std::slice::from_ref(name)).await?;
            if matches!(found.as_slice(), [ReadOutcome::Missing]) {
                free.insert(name.clone());
            }
        }
        for Planned { change, undone, others } in planned {
            let new = change.new_name().cloned();
            match new.filter(|name| !free.remove(name)) {
                None => {
                    self.changes.push(change);
                    self.undone.push(undone);
                }
                Some(name) => {
                    let path =
                        undone.from.clone().or_else(|| undone.to.clone()).unwrap_or_else(|| name.clone());
                    let reason = Reason::NameTaken(name);
                    self.left.push(LeftDocument { path, reason, others });
                }
            }
        }
        Ok(())
    }

    /// Adds what it does to the report.
    pub(super) fn report(&self, report: &mut UndoReport) {
        report.undone.clone_from(&self.undone);
        report.left.clone_from(&self.left);
        report.unchanged += self.unchanged;
        report.of_others += self.of_others;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The documents of the edit.
    pub(super) fn paths(&self) -> Vec<DocumentPath> {
        let mut paths = BTreeSet::new();
        for change in &self.changes {
            paths.extend(change.from.iter().map(|(path, _)| path.clone()));
            paths.extend(change.to.iter().map(|to| to.path.clone()));
        }
        paths.into_iter().collect()
    }

    /// Whether a document changed since the plan was made.
    pub(super) fn is_stale(&self, drafts: &Drafts) -> bool {
        self.changes.iter().any(|change| change.is_stale(drafts))
    }

    pub(super) fn apply(&self, drafts: &mut Drafts) -> Result<(), EditError> {
        self.changes.iter().try_for_each(|change| change.apply(drafts))
    }
}

impl Planned {
    fn new_name(&self) -> Option<&DocumentPath> {
        self.change.new_name()
    }
}

impl Change {
    /// The name that the document gets and does not have.
    fn new_name(&self) -> Option<&DocumentPath> {
        let to = self.to.as_ref().map(|to| &to.path)?;
        (self.from.as_ref().map(|(path, _)| path) != Some(to)).then_some(to)
    }

    fn is_stale(&self, drafts: &Drafts) -> bool {
        let from = self
            .from
            .as_ref()
            .is_some_and(|(path, etag)| drafts.stored(path).is_none_or(|stored| stored.etag != *etag));
        from || self.new_name().is_some_and(|name| drafts.stored(name).is_some())
    }

    fn apply(&self, drafts: &mut Drafts) -> Result<(), EditError> {
        match (&self.from, &self.to) {
            (Some((from, _)), Some(to)) if *from != to.path => drafts.rename(from, &to.path, to.text.clone()),
            (Some(_), Some(to)) => drafts.set(&to.path, to.text.clone()),
            (None, Some(to)) => {
                let (document, last) = &self.document;
                drafts.revive(&to.path, to.text.clone(), document, *last)
            }
            (Some((from, _)), None) => drafts.delete(from),
            (None, None) => Ok(()),
        }
    }
}

/// The numbers of the versions to take back, by document, each with a name that it had; and how many are of others.
type ChangeSet = BTreeMap<String, (DocumentPath, BTreeSet<i64>)>;

async fn changes_of(
    bank: &dyn Bank,
    caller: &Caller,
    request: &UndoRequest,
) -> Result<(ChangeSet, usize), UndoError> {
    let subject = match (&request.document, &request.session) {
        (Some(path), _) => Subject::Document(path.clone()),
        (None, Some(session)) => Subject::Session(session.clone()),
        (None, None) => Subject::Project,
    };
    let mut query = VersionQuery {
        subject,
        since: request.since,
        until: request.until,
        by: request.by.clone(),
        after: None,
        limit: limits::VERSIONS_LISTED,
    };
    let (mut set, mut of_others, mut found) = (ChangeSet::new(), 0, 0);
    let is_meant = |version: &Version| {
        let is_of_session = request.session.is_none() || version.session == request.session;
        is_of_session && (request.by.is_none() || version.author == request.by)
    };
    loop {
        let page = bank.list_versions(caller, &query).await?;
        for version in page.versions.into_iter().filter(is_meant) {
            if !caller.may(Right::Admin) && !version.is_by(&caller.user_name) {
                of_others += 1;
                continue;
            }
            found += 1;
            let entry = set.entry(version.document).or_insert_with(|| (version.path, BTreeSet::new()));
            entry.1.insert(version.number);
        }
        if found > limits::UNDO_VERSIONS || set.len() > limits::UNDO_DOCUMENTS {
            return Err(UndoError::TooMany);
        }
        if page.next.is_none() {
            return Ok((set, of_others));
        }
        query.after = page.next;
    }
}

/// How one document changes; `None` if it does not.
fn plan_document(
    caller: &Caller,
    chain: &Chain,
    path: &DocumentPath,
    numbers: &BTreeSet<i64>,
) -> Result<Option<Planned>, LeftDocument> {
    let mine = |version: &Version| numbers.contains(&version.number);
    let now = chain.current.as_ref();
    let named = now.map_or(path, |document| &document.path);
    let others = others(chain, &mine);
    let left = |reason| LeftDocument { path: named.clone(), reason, others: others.clone() };
    let oldest = chain.links.last().map(|link| link.version.number);
    if numbers.first().copied() < oldest {
        return Err(left(Reason::TooManyVersions));
    }
    let taken = take_back(chain, &mine).map_err(|obstacle| left(Reason::Obstacle(obstacle)))?;
    let TakenBack { document: to, versions } = taken;
    if to == chain.now() {
        return Ok(None);
    }
    match &to {
        None if named.is_core() => return Err(left(Reason::Core)),
        None if !caller.may(Right::Admin) && !is_own_creation(chain, caller) => {
            return Err(left(Reason::NotOwn));
        }
        Some(to) if !is_allowed(to, chain) => return Err(left(Reason::NotAllowed)),
        _ => {}
    }
    let undone = UndoneDocument {
        from: now.map(|document| document.path.clone()),
        to: to.as_ref().map(|to| to.path.clone()),
        etag: to.as_ref().map(|to| Etag::of(&to.text)),
        versions,
        is_merged: !others.is_empty(),
    };
    let from = now.map(|document| (document.path.clone(), document.etag.clone()));
    let document = chain.links.first().map(|link| (link.version.document.clone(), link.version.number));
    let change = Change { document: document.unwrap_or_default(), from, to };
    Ok(Some(Planned { change, undone, others }))
}

/// The first few versions of others, newest first, one for each author.
fn others(chain: &Chain, mine: &dyn Fn(&Version) -> bool) -> Vec<Version> {
    let oldest = chain.links.iter().rposition(|link| mine(&link.version)).unwrap_or_default();
    let mut named: Vec<Version> = Vec::new();
    for Link { version, .. } in chain.links.iter().take(oldest).filter(|link| !mine(&link.version)) {
        if named.len() < MAX_NAMED && named.iter().all(|known| known.author != version.author) {
            named.push(version.clone());
        }
    }
    named
}

/// Whether the caller created the document and nobody else touched it. The policies of a database have the same rule.
fn is_own_creation(chain: &Chain, caller: &Caller) -> bool {
    let creation = chain.links.iter().position(|link| link.former.is_none());
    let life = creation.and_then(|creation| chain.links.get(..=creation));
    life.is_some_and(|life| life.iter().all(|link| link.version.is_by(&caller.user_name)))
}

fn is_allowed(to: &Snapshot, chain: &Chain) -> bool {
    let now = chain.current.as_ref();
    let may_be_as_long =
        to.text.len() <= limits::DOCUMENT_BYTES || now.is_some_and(|now| to.text.len() < now.content.len());
    let keeps_name = now.is_some_and(|now| now.path == to.path);
    may_be_as_long && (keeps_name || to.path.canonical().check_new().is_ok())
}
