//! What an undo does with documents: each follows its chain of versions back.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    FormerVersions, LeftDocument, MAX_NAMED, Reason, UndoError, UndoReport, UndoRequest, UndoneDocument,
};
use crate::caller::{Caller, Right};
use crate::document::{DocumentPath, Etag, unified_diff_within};
use crate::error::EditError;
use crate::history::{
    Chain, ChainQuery, HistorySource, Link, Snapshot, Subject, TakenBack, Version, VersionKind, VersionQuery,
    take_back,
};
use crate::limits;
use crate::store::{Bank, Drafts, HistoryError, ReadOutcome, Renaming};

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
    /// The versions that were followed back.
    source: HistorySource,
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
        let (mut planned, mut bytes, mut diff_chars) = (Vec::new(), 0, request.diff_chars);
        for (document, (path, numbers)) in set {
            let from = numbers.first().copied().unwrap_or_default();
            let query = ChainQuery { document, path: path.clone(), from, most: limits::CHAIN_VERSIONS };
            let left = |reason| LeftDocument {
                path: path.clone(),
                reason,
                others: Vec::new(),
                former: FormerVersions::default(),
            };
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
                Ok(Some(mut one)) => {
                    one.undone.diff = one.diff(&chain, diff_chars);
                    let shown = one.undone.diff.as_ref().map_or(0, |diff| diff.chars().count());
                    diff_chars = diff_chars.saturating_sub(shown);
                    bytes += one.change.to.as_ref().map_or(0, |to| to.text.len());
                    if bytes > limits::UNDO_BYTES {
                        return Err(UndoError::TooMany);
                    }
                    planned.push(one);
                }
                Err(mut left) => {
                    if matches!(left.reason, Reason::Obstacle(_)) {
                        left.former = former_versions(bank, caller, &chain, &left.path, &numbers).await?;
                    }
                    plan.left.push(left);
                }
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
        let mut names = Names::default();
        if planned.iter().any(|one| one.new_name().is_some()) {
            names.stored = bank.list(caller).await?.into_iter().map(|entry| entry.name).collect();
        }
        for name in planned.iter().filter_map(Planned::new_name) {
            // One at a time, since a document of this name may be large.
            let found = bank.read(caller, std::slice::from_ref(name)).await?;
            if !matches!(found.as_slice(), [ReadOutcome::Missing]) {
                names.taken.insert(name.clone());
            }
        }
        let mut planned = planned;
        while let Some((place, reason)) = names.refuse_one(&planned) {
            let Planned { undone, others, .. } = planned.remove(place);
            let Some(path) = undone.from.or(undone.to) else { continue };
            self.left.push(LeftDocument { path, reason, others, former: FormerVersions::default() });
        }
        for Planned { change, undone, .. } in planned {
            self.changes.push(change);
            self.undone.push(undone);
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

    /// The versions of which the plan is made.
    pub(super) fn sources(&self) -> impl Iterator<Item = HistorySource> {
        self.changes.iter().map(|change| change.source.clone())
    }

    /// Whether a document changed since the plan was made.
    pub(super) fn is_stale(&self, drafts: &Drafts) -> bool {
        let left: BTreeSet<&DocumentPath> = self.changes.iter().filter_map(Change::left_name).collect();
        self.changes.iter().any(|change| change.is_stale(drafts, &left))
    }

    /// Deletions and renamings come first: they free names.
    pub(super) fn apply(&self, drafts: &mut Drafts) -> Result<(), EditError> {
        let mut renamings = Vec::new();
        for Change { from, to, .. } in &self.changes {
            match (from, to) {
                (Some((from, _)), None) => drafts.delete(from)?,
                (Some((from, _)), Some(to)) if *from != to.path => {
                    renamings.push(Renaming { from, to: &to.path, text: &to.text });
                }
                _ => {}
            }
        }
        drafts.rename_all(&renamings)?;
        for Change { document: (document, last), from, to, .. } in &self.changes {
            match (from, to) {
                (Some((from, _)), Some(to)) if *from == to.path => drafts.set(&to.path, to.text.clone())?,
                (None, Some(to)) => drafts.revive(&to.path, to.text.clone(), document, *last)?,
                _ => {}
            }
        }
        Ok(())
    }
}

/// The names that a bank has.
#[derive(Default)]
struct Names {
    /// Those new names that documents have.
    taken: BTreeSet<DocumentPath>,
    /// All names.
    stored: Vec<String>,
}

impl Names {
    /// The place of a document that cannot get its new name, and why: the name is taken, or a file system could not keep it beside
    /// another name, and the document with that name keeps it, or another document gets it.
    fn refuse_one(&self, planned: &[Planned]) -> Option<(usize, Reason)> {
        let left: BTreeSet<&str> =
            planned.iter().filter_map(|one| one.change.left_name()).map(DocumentPath::as_str).collect();
        let mut given: Vec<&str> = Vec::new();
        planned.iter().enumerate().find_map(|(place, one)| {
            let name = one.new_name()?;
            let is_taken = self.taken.contains(name) && !left.contains(name.as_str());
            if is_taken || given.contains(&name.as_str()) {
                return Some((place, Reason::NameTaken(name.clone())));
            }
            let kept = self.stored.iter().map(String::as_str).filter(|stored| !left.contains(stored));
            if let Some(other) = kept.chain(given.iter().copied()).find(|other| name.clashes_with(other)) {
                return Some((place, Reason::NameClashes(Box::new((name.clone(), other.to_owned())))));
            }
            given.push(name.as_str());
            None
        })
    }
}

impl Planned {
    /// The diff of the document's text, of at most `most` characters.
    fn diff(&self, chain: &Chain, most: usize) -> Option<String> {
        let path = self.undone.to.as_ref().or(self.undone.from.as_ref())?;
        let old = chain.current.as_ref().map_or("", |document| document.content.as_str());
        let new = self.change.to.as_ref().map_or("", |to| to.text.as_str());
        (most > 0).then(|| unified_diff_within(path.as_str(), old, new, most))
    }

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

    /// The name that the document has and does not keep.
    fn left_name(&self) -> Option<&DocumentPath> {
        let (from, _) = self.from.as_ref()?;
        (self.to.as_ref().map(|to| &to.path) != Some(from)).then_some(from)
    }

    /// `left`: the names that other documents of the undo leave.
    fn is_stale(&self, drafts: &Drafts, left: &BTreeSet<&DocumentPath>) -> bool {
        let from = self
            .from
            .as_ref()
            .is_some_and(|(path, etag)| drafts.stored(path).is_none_or(|stored| stored.etag != *etag));
        from || self.new_name().is_some_and(|name| drafts.stored(name).is_some() && !left.contains(name))
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
    let left = |reason| LeftDocument {
        path: named.clone(),
        reason,
        others: others.clone(),
        former: FormerVersions::default(),
    };
    let oldest = chain.links.last().map(|link| link.version.number);
    if numbers.first().copied() < oldest {
        return Err(left(Reason::TooManyVersions));
    }
    // An erasure leaves a deletion, without the text.
    let is_erased = |link: &Link| {
        mine(&link.version) && link.version.kind == VersionKind::Deleted && link.before().is_none()
    };
    if now.is_none() && chain.links.iter().any(is_erased) {
        return Err(left(Reason::NoHistory));
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
        diff: None,
    };
    let from = now.map(|document| (document.path.clone(), document.etag.clone()));
    let document = chain.links.first().map(|link| (link.version.document.clone(), link.version.number));
    let document = document.unwrap_or_default();
    let source = chain.source(&document.0, named);
    let change = Change { document, source, from, to };
    Ok(Some(Planned { change, undone, others }))
}

/// The versions that bring a former text of this document back. Its chain begins with the first of the numbers.
async fn former_versions(
    bank: &dyn Bank,
    caller: &Caller,
    chain: &Chain,
    path: &DocumentPath,
    numbers: &BTreeSet<i64>,
) -> Result<FormerVersions, UndoError> {
    let is_mine = |link: &&Link| numbers.contains(&link.version.number);
    let number = |version: &Version| version.etag.as_ref().map(|_| version.number);
    let mut older = chain.links.iter().skip_while(|link| !is_mine(link));
    let before_newest = older.find(|link| !is_mine(link)).and_then(|link| number(&link.version));
    let first = chain.links.iter().rfind(is_mine).filter(|link| link.former.is_some());
    let Some(first) = first else { return Ok(FormerVersions { before_newest, before_first: None }) };
    let query = VersionQuery {
        subject: Subject::Document(path.clone()),
        since: None,
        until: None,
        by: None,
        after: Some(first.version.position()),
        limit: 1,
    };
    let page = bank.list_versions(caller, &query).await?;
    Ok(FormerVersions { before_newest, before_first: page.versions.first().and_then(number) })
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
