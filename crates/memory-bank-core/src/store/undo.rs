//! Takes back all that one session, or one user since a time, changed in documents: one edit, through the traits of a store.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::caller::{Caller, Right};
use crate::document::{DocumentPath, Etag};
use crate::error::{EditError, StoreError};
use crate::history::{
    Chain, ChainQuery, ChangeContext, LineRange, Link, Obstacle, Snapshot, Subject, TakenBack, UndoMark,
    Version, VersionQuery, take_back,
};
use crate::limits;
use crate::store::{Bank, Drafts, HistoryError, ReadOutcome};

/// How often the changes are examined anew, because documents changed meanwhile.
const TRIES: usize = 4;
/// The most others that are named for a document that is left.
const MAX_NAMED: usize = 5;

/// Whose changes are taken back.
#[derive(Debug, Clone, Default)]
pub struct UndoRequest {
    /// Of this session of a client.
    pub session: Option<String>,
    /// Of this user.
    pub by: Option<String>,
    /// Only changes of this time or later.
    pub since: Option<Timestamp>,
    /// Only changes before this time.
    pub until: Option<Timestamp>,
    /// Only changes of this document.
    pub document: Option<DocumentPath>,
    /// Whether nothing is taken back if a document must be left.
    pub all_or_nothing: bool,
    /// Whether nothing is written.
    pub dry_run: bool,
    /// What the versions of the undo record.
    pub context: ChangeContext,
}

/// What an undo did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UndoReport {
    /// The documents whose changes are taken back.
    pub undone: Vec<UndoneDocument>,
    /// The documents that stay as they are, although something in them would have to be taken back.
    pub left: Vec<LeftDocument>,
    /// How many documents of the set have none of its changes any more.
    pub unchanged: usize,
    /// How many changes of others are in the set, which the caller may not take back.
    pub of_others: usize,
    /// Whether it was written.
    pub is_written: bool,
}

/// A document whose changes are taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndoneDocument {
    /// Its name before the undo; `None` if it was deleted.
    pub from: Option<DocumentPath>,
    /// Its name after the undo; `None` if the undo deletes it.
    pub to: Option<DocumentPath>,
    /// Its etag after the undo.
    pub etag: Option<Etag>,
    /// How many versions were taken back.
    pub versions: usize,
    /// Whether later changes of others stay.
    pub is_merged: bool,
}

/// A document that is left as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftDocument {
    /// Its name.
    pub path: DocumentPath,
    /// Why.
    pub reason: Reason,
    /// The versions of others since the first change of the set, newest first.
    pub others: Vec<Version>,
}

/// Why a document is left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The changes cannot be taken back.
    Obstacle(Obstacle),
    /// Another document has the name that it would get.
    NameTaken(DocumentPath),
    /// It would be deleted, and others had changed it, so only an owner may do that.
    NotOwn,
    /// It is a core document, which stays.
    Core,
    /// There are more changes since than one call follows.
    TooManyVersions,
    /// Its text would be longer than a document may be, or its name cannot be given to a new one.
    NotAllowed,
    /// The history of it is gone.
    NoHistory,
}

impl Reason {
    /// The reason in words, as they follow the name of the document.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Obstacle(Obstacle::ChangedSince) => "was created, and changed since".to_owned(),
            Self::Obstacle(Obstacle::DeletedSince) => "was deleted since".to_owned(),
            Self::Obstacle(Obstacle::ExistsAgain) => "was deleted, and written anew since".to_owned(),
            Self::Obstacle(Obstacle::RenamedSince) => "was renamed, and renamed again since".to_owned(),
            Self::Obstacle(Obstacle::Lines(lines)) => format!("{} changed since", lines_named(lines)),
            Self::Obstacle(Obstacle::Damaged(damage)) => format!("cannot be followed back: {damage}"),
            Self::NameTaken(path) => format!("cannot become `{path}`: another document has this name"),
            Self::NotOwn => "would be deleted, and others changed it; only an owner may do that".to_owned(),
            Self::Core => "is a core document, which stays".to_owned(),
            Self::TooManyVersions => {
                format!("has more than {} later versions", limits::CHAIN_VERSIONS)
            }
            Self::NotAllowed => "would be too long, or has a name that is not allowed any more".to_owned(),
            Self::NoHistory => "has no history any more".to_owned(),
        }
    }
}

/// Lines of a text, in words.
#[must_use]
pub fn lines_named(lines: &[LineRange]) -> String {
    let named = lines.iter().take(MAX_NAMED).map(|range| {
        if range.to <= range.from {
            range.from.to_string()
        } else {
            format!("{} to {}", range.from, range.to)
        }
    });
    let named: Vec<String> = named.collect();
    let more = if lines.len() > MAX_NAMED { ", …" } else { "" };
    let is_one = matches!(lines, [range] if range.to <= range.from);
    format!("{} {}{more}", if is_one { "line" } else { "lines" }, named.join(", "))
}

/// Why nothing was taken back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UndoError {
    /// The set is larger than one call takes back.
    #[error(
        "these are more than {versions} versions, {documents} documents or {mib} MiB of text; narrow them with `since`, \
         `until` or `filename`, and undo the newest first",
        versions = limits::UNDO_VERSIONS, documents = limits::UNDO_DOCUMENTS, mib = limits::UNDO_BYTES >> 20
    )]
    TooMany,
    /// The history cannot be read.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The documents cannot be written.
    #[error(transparent)]
    Edit(#[from] EditError),
}

impl From<StoreError> for UndoError {
    fn from(error: StoreError) -> Self {
        Self::History(error.into())
    }
}

/// Takes the changes back, in one edit. Who may not administer takes back only own changes.
///
/// # Errors
/// The set is too large, or the store failed. Nothing was written.
pub async fn undo(bank: &dyn Bank, caller: &Caller, request: &UndoRequest) -> Result<UndoReport, UndoError> {
    let own = (!caller.may(Right::Admin)).then_some(caller.user_name.as_str());
    let mark =
        UndoMark::of(request.session.as_deref(), request.by.as_deref().or(own), request.since, request.until);
    let context = ChangeContext { restores: true, undoes: Some(mark), ..request.context.clone() };
    for _ in 0..TRIES {
        let plan = Plan::of(bank, caller, request).await?;
        let refused = request.all_or_nothing && !plan.report.left.is_empty();
        if request.dry_run || refused || plan.changes.is_empty() {
            return Ok(plan.report);
        }
        if let Some(report) = plan.carry_out(bank, caller, &context).await? {
            return Ok(report);
        }
    }
    Err(StoreError::Busy.into())
}

/// The changes of an undo.
#[derive(Default)]
struct Plan {
    report: UndoReport,
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

impl Plan {
    async fn of(bank: &dyn Bank, caller: &Caller, request: &UndoRequest) -> Result<Self, UndoError> {
        let (set, of_others) = changes_of(bank, caller, request).await?;
        let mut plan = Self::default();
        plan.report.of_others = of_others;
        let (mut planned, mut bytes) = (Vec::new(), 0);
        for (document, (path, numbers)) in set {
            let from = numbers.first().copied().unwrap_or_default();
            let query = ChainQuery { document, path: path.clone(), from, most: limits::CHAIN_VERSIONS };
            let left = |reason| LeftDocument { path: path.clone(), reason, others: Vec::new() };
            let chain = match bank.chain(caller, &query).await {
                Ok(chain) => chain,
                Err(HistoryError::NoDocument(_)) => {
                    plan.report.left.push(left(Reason::NoHistory));
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            match plan_document(caller, &chain, &path, &numbers) {
                Ok(None) => plan.report.unchanged += 1,
                Ok(Some(one)) => {
                    bytes += one.change.to.as_ref().map_or(0, |to| to.text.len());
                    if bytes > limits::UNDO_BYTES {
                        return Err(UndoError::TooMany);
                    }
                    planned.push(one);
                }
                Err(left) => plan.report.left.push(left),
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
                    self.report.undone.push(undone);
                }
                Some(name) => {
                    let path =
                        undone.from.clone().or_else(|| undone.to.clone()).unwrap_or_else(|| name.clone());
                    let reason = Reason::NameTaken(name);
                    self.report.left.push(LeftDocument { path, reason, others });
                }
            }
        }
        Ok(())
    }

    /// Writes the changes; `None` if a document changed meanwhile.
    async fn carry_out(
        mut self,
        bank: &dyn Bank,
        caller: &Caller,
        context: &ChangeContext,
    ) -> Result<Option<UndoReport>, UndoError> {
        let mut paths = BTreeSet::new();
        for change in &self.changes {
            paths.extend(change.from.iter().map(|(path, _)| path.clone()));
            paths.extend(change.to.iter().map(|to| to.path.clone()));
        }
        let paths: Vec<DocumentPath> = paths.into_iter().collect();
        let mut is_stale = false;
        let edited = bank
            .edit(caller, &paths, &mut |drafts| {
                drafts.set_context(context);
                is_stale = self.changes.iter().any(|change| change.is_stale(drafts));
                if is_stale {
                    return Err(EditError::Refused("a document changed meanwhile".to_owned()));
                }
                self.changes.iter().try_for_each(|change| change.apply(drafts))
            })
            .await;
        if is_stale {
            return Ok(None);
        }
        edited?;
        self.report.is_written = true;
        Ok(Some(self.report))
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
