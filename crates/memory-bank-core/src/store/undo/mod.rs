//! Takes back all that one session, or one user since a time, changed in documents and graph: one edit, through the traits of a
//! store.

mod documents;
mod graph;

use jiff::Timestamp;

use self::documents::DocumentPlan;
use self::graph::GraphPlan;

use crate::caller::{Caller, Right};
use crate::document::{DocumentPath, Etag};
use crate::error::{EditError, GraphError, StoreError};
use crate::graph::history::{GraphChange, GraphItem, ItemChange, ItemObstacle};
use crate::graph::state::GraphState;
use crate::history::{ChangeContext, LineRange, Obstacle, UndoMark, Version};
use crate::limits;
use crate::store::{Bank, Drafts, EntityRef, GraphHistoryError, HistoryError};

/// How often the changes are examined again, because documents changed in between.
const TRIES: usize = 4;
/// The most others that are named for a document that is left.
const MAX_NAMED: usize = 5;

/// Whose changes are taken back.
#[derive(Debug, Clone, Default)]
pub struct UndoRequest {
    /// Only changes of this session of a client.
    pub session: Option<String>,
    /// Only changes of this user.
    pub by: Option<String>,
    /// Only changes of this time or later.
    pub since: Option<Timestamp>,
    /// Only changes before this time.
    pub until: Option<Timestamp>,
    /// Only changes of this document, and none of the graph.
    pub document: Option<DocumentPath>,
    /// Only changes of this entity, its observations and its relations, and none of documents.
    pub entity: Option<EntityRef>,
    /// Whether nothing is taken back if something must be left.
    pub all_or_nothing: bool,
    /// Whether nothing is written.
    pub dry_run: bool,
    /// How many characters of differences the report has, of all documents together.
    pub diff_chars: usize,
    /// The present time, at which the report names facts that have ended.
    pub now: Option<Timestamp>,
    /// What the versions of the undo record.
    pub context: ChangeContext,
}

/// What an undo did, or would do.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UndoReport {
    /// The documents whose changes are taken back.
    pub undone: Vec<UndoneDocument>,
    /// The documents that stay as they are, although something in them would have to be taken back.
    pub left: Vec<LeftDocument>,
    /// The entities, observations and relations whose changes are taken back.
    pub undone_items: Vec<UndoneItem>,
    /// The items that stay as they are, although something in them would have to be taken back.
    pub left_items: Vec<LeftItem>,
    /// How many documents and items of the set have none of its changes any more.
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
    /// What the undo changes in its text, as far as the request has room for it.
    pub diff: Option<String>,
}

/// A document that is left as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftDocument {
    /// Its name.
    pub path: DocumentPath,
    /// The reason.
    pub reason: Reason,
    /// The versions of others since the first change of the set, newest first.
    pub others: Vec<Version>,
    /// The versions that bring a former text back as a whole.
    pub former: FormerVersions,
}

/// Versions of a document that a restore can bring back where its changes cannot be taken back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FormerVersions {
    /// The version before the newest changes of the set: it keeps what others did before those.
    pub before_newest: Option<i64>,
    /// The version before the first change of the set, without all changes that others made since.
    pub before_first: Option<i64>,
}

/// An item of the graph whose changes are taken back.
#[derive(Debug, Clone, PartialEq)]
pub struct UndoneItem {
    /// The item after the undo, or before it if the undo deletes it.
    pub item: GraphItem,
    /// The name of its entity, or of the source of a relation.
    pub entity: Option<String>,
    /// The name of the target of a relation.
    pub other: Option<String>,
    /// What the undo does.
    pub change: ItemChange,
    /// How many changes were taken back.
    pub changes: usize,
    /// Whether later changes of others stay.
    pub is_merged: bool,
    /// Whether it is a fact that had ended before the undo.
    pub is_ended: bool,
}

/// An item of the graph that is left as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct LeftItem {
    /// The item as it was last.
    pub item: Option<GraphItem>,
    /// Its id.
    pub id: String,
    /// The name of its entity, or of the source of a relation.
    pub entity: Option<String>,
    /// The name of the target of a relation.
    pub other: Option<String>,
    /// The reason.
    pub reason: ItemReason,
    /// Changes of others since the first one of the set, newest first, one for each author; the last change, if there is none of others,
    /// and of an item whose entity is gone the deletion of that.
    pub others: Vec<GraphChange>,
    /// The version of its entity that a restore can bring back.
    pub former: Option<FormerEntity>,
}

/// A version of an entity that a restore can bring back where changes cannot be taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormerEntity {
    /// The name of the entity.
    pub name: String,
    /// The version before the first change of the set, or before the deletion of the entity.
    pub number: i64,
}

/// Why an item of the graph is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemReason {
    /// The changes cannot be taken back.
    Obstacle(ItemObstacle),
    /// It is an entity that others use: it has observations or relations that stay.
    InUse,
    /// Its entity, or an end of it, does not exist any more.
    NoEntity,
    /// It would be deleted, and others had changed it, so only an owner may do that.
    NotOwn,
    /// The history of it is gone.
    NoHistory,
}

impl ItemReason {
    /// The reason in words, as they follow the name of the item.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::Obstacle(ItemObstacle::ChangedSince) => "was changed since",
            Self::Obstacle(ItemObstacle::DeletedSince) => "was deleted since",
            Self::Obstacle(ItemObstacle::ExistsAgain) => "was deleted, and exists again since",
            Self::InUse => "was created, and has observations or relations that stay",
            Self::NoEntity => "cannot come back: its entity does not exist",
            Self::NotOwn => "would be deleted, and others changed it; only an owner may do that",
            Self::NoHistory => "has no history any more",
        }
    }
}

/// Why a document is left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The changes cannot be taken back.
    Obstacle(Obstacle),
    /// Another document has the name that it would get.
    NameTaken(DocumentPath),
    /// It would get the first name, which some systems cannot keep beside the second one.
    NameClashes(Box<(DocumentPath, String)>),
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
            Self::NameClashes(names) => {
                let (path, other) = names.as_ref();
                format!("cannot become `{path}`: `{}` differs only by letter case", other.escape_debug())
            }
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
         `until`, `filename` or `entity`, and undo the newest first",
        versions = limits::UNDO_VERSIONS, documents = limits::UNDO_DOCUMENTS, mib = limits::UNDO_BYTES >> 20
    )]
    TooMany,
    /// The history cannot be read.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The history of the graph cannot be read.
    #[error(transparent)]
    Graph(#[from] GraphHistoryError),
    /// The changes cannot be written.
    #[error(transparent)]
    Edit(#[from] EditError),
}

impl From<GraphError> for UndoError {
    fn from(error: GraphError) -> Self {
        Self::Graph(error.into())
    }
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
    let UndoRequest { session, by, since, until, .. } = request;
    let mark = if caller.may(Right::Admin) {
        UndoMark::of(session.as_deref(), by.as_deref(), *since, *until)
    } else {
        UndoMark::of_own(session.as_deref(), &caller.user_name, *since, *until)
    };
    let context = ChangeContext { restores: true, undoes: Some(mark), ..request.context.clone() };
    for _ in 0..TRIES {
        let documents = DocumentPlan::of(bank, caller, request).await?;
        let graph = GraphPlan::of(bank, caller, request, documents.versions).await?;
        let mut report = UndoReport::default();
        let is_empty = documents.is_empty() && graph.is_empty();
        documents.report(&mut report);
        graph.report(&mut report);
        let refused = request.all_or_nothing && !(report.left.is_empty() && report.left_items.is_empty());
        if request.dry_run || refused || is_empty {
            return Ok(report);
        }
        if carry_out(bank, caller, &context, &documents, &graph).await? {
            report.is_written = true;
            return Ok(report);
        }
    }
    Err(StoreError::Busy.into())
}

/// Writes the changes in one edit; false if something changed meanwhile.
async fn carry_out(
    bank: &dyn Bank,
    caller: &Caller,
    context: &ChangeContext,
    documents: &DocumentPlan,
    graph: &GraphPlan,
) -> Result<bool, UndoError> {
    let context =
        ChangeContext { made_of: documents.sources().chain(graph.sources()).collect(), ..context.clone() };
    let stale = |what: &str| EditError::Refused(format!("{what} changed meanwhile"));
    let (mut document_is_stale, mut graph_is_stale) = (false, false);
    let mut editor = |drafts: &mut Drafts| {
        drafts.set_context(&context);
        document_is_stale = documents.is_stale(drafts);
        if document_is_stale { Err(stale("a document")) } else { documents.apply(drafts) }
    };
    let mut rule = |state: &GraphState, now: &str| {
        let events = graph.events(state, now);
        graph_is_stale = events.is_none();
        events.ok_or_else(|| stale("the graph"))
    };
    let paths: Vec<DocumentPath> = documents.paths();
    let edited = if graph.is_empty() {
        bank.edit(caller, &paths, &mut editor).await
    } else {
        bank.edit_with_graph(caller, &paths, &mut editor, &graph.part, &mut rule).await
    };
    match edited {
        _ if document_is_stale || graph_is_stale => Ok(false),
        Err(EditError::Store(StoreError::HistoryErased)) => Ok(false),
        edited => Ok(edited.map(|_| true)?),
    }
}
