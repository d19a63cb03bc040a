//! Lists what can be folded in a bank, and folds it: each proposal is one edit, through the traits of a store.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use uuid::Uuid;

use crate::caller::{Caller, Right};
use crate::compact_sort::CompactSort as _;
use crate::document::DocumentPath;
use crate::error::{EditError, GraphError, StoreError};
use crate::graph::event::Event;
use crate::graph::state::GraphState;
use crate::history::ChangeContext;
use crate::limits;
use crate::maintenance::{Fold, GraphFold, Proposal, fold_document, of_document, of_graph};
use crate::store::{Bank, Drafts, ReadOutcome, Subgraph};

/// How many documents are read at once.
const READ_TOGETHER: usize = 8;

/// What can be folded.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Survey {
    /// The proposals, sorted by their kinds.
    pub proposals: Vec<Proposal>,
    /// The parts that were not examined, in words; empty if all were.
    pub not_examined: Vec<String>,
}

/// Why nothing was folded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MaintainError {
    /// The bank does not give these proposals, or not any more.
    #[error(
        "there is no proposal {}; nothing was changed. List the proposals again: each is there until it was applied or what it concerns has changed",
        .0.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", ")
    )]
    Gone(Vec<String>),
    /// Two proposals change the same item.
    #[error(
        "`{0}` and `{1}` concern the same facts; nothing was changed. Apply one, and list the proposals again"
    )]
    Overlap(String, String),
    /// The proposal is only shown.
    #[error(
        "`{0}` is for you to decide and cannot be applied; nothing was changed. Its `change` says how to decide it"
    )]
    OnlyShown(String),
    /// Nothing could be undone.
    #[error(
        "the history is off (HISTORY_RETENTION_DAYS=0), so a change could not be undone; nothing was changed"
    )]
    NoHistory,
    /// The caller may not delete.
    #[error("`{0}` deletes facts or an entity, which takes an owner of the project; nothing was changed")]
    NotOwner(String),
    /// A document cannot be edited.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// The graph cannot be read.
    #[error(transparent)]
    Graph(#[from] GraphError),
}

impl From<StoreError> for MaintainError {
    fn from(error: StoreError) -> Self {
        Self::Edit(error.into())
    }
}

/// What a survey looks at.
#[derive(Debug, Default)]
pub struct Surveyed {
    graph: Option<Subgraph>,
    documents: Vec<(DocumentPath, String)>,
    not_examined: Vec<String>,
}

impl Surveyed {
    /// Finds what can be folded in it. Takes the processor for a moment, so it is work for a thread of its own.
    #[must_use]
    pub fn examine(self, now: Timestamp) -> Survey {
        let mut survey = Survey { proposals: Vec::new(), not_examined: self.not_examined };
        if let Some(graph) = self.graph {
            let found = of_graph(&state_of(graph), now);
            survey.proposals = found.proposals;
            if found.is_partial {
                survey.not_examined.push("some pairs of facts, since there are too many".to_owned());
            }
        }
        for (path, text) in &self.documents {
            survey.proposals.extend(of_document(path, text, now));
        }
        survey.proposals.compact_sort_by_key(|proposal| proposal.kind);
        survey
    }
}

/// Reads what a survey looks at, within its bounds. Needs the right to read.
///
/// # Errors
/// The store failed.
pub async fn surveyed(bank: &dyn Bank, caller: &Caller) -> Result<Surveyed, MaintainError> {
    let mut surveyed = Surveyed::default();
    let stats = bank.stats(caller).await?;
    if stats.entity_count + stats.observation_count + stats.relation_count > limits::MAINTAINED_ITEMS {
        surveyed
            .not_examined
            .push(format!("the graph, which has more than {} items", limits::MAINTAINED_ITEMS));
    } else if stats.entity_count > 0 {
        surveyed.graph = Some(bank.export(caller).await?);
    }
    read_documents(bank, caller, &mut surveyed).await?;
    Ok(surveyed)
}

async fn read_documents(
    bank: &dyn Bank,
    caller: &Caller,
    surveyed: &mut Surveyed,
) -> Result<(), MaintainError> {
    let (mut paths, mut bytes, mut left): (Vec<DocumentPath>, u64, usize) = (Vec::new(), 0, 0);
    for entry in bank.list(caller).await? {
        let Some(path) = entry.path.filter(|path| path.as_str().ends_with(".md")) else { continue };
        if bytes + entry.bytes > limits::MAINTAINED_BYTES {
            left += 1;
            continue;
        }
        bytes += entry.bytes;
        paths.push(path);
    }
    if left > 0 {
        let mib = limits::MAINTAINED_BYTES >> 20;
        surveyed.not_examined.push(format!("{left} documents, since all have more than {mib} MiB"));
    }
    for some in paths.chunks(READ_TOGETHER) {
        for (path, outcome) in some.iter().zip(bank.read(caller, some).await?) {
            if let ReadOutcome::Found(document) = outcome {
                surveyed.documents.push((path.clone(), document.content));
            }
        }
    }
    Ok(())
}

/// The graph of these rows in memory.
fn state_of(graph: Subgraph) -> GraphState {
    let mut state = GraphState::default();
    let ts = String::new;
    let entities = graph.entities.into_iter().map(|entity| Event::EntityUpsert { entity, ts: ts() });
    let facts =
        graph.observations.into_iter().map(|observation| Event::ObservationAdd { observation, ts: ts() });
    let relations = graph.relations.into_iter().map(|relation| Event::RelationAdd { relation, ts: ts() });
    entities.chain(facts).chain(relations).for_each(|event| state.apply(event));
    state
}

/// The proposals with these ids, each once, in their order.
///
/// # Errors
/// One does not exist or cannot be carried out, or two concern the same items.
pub fn chosen(survey: &Survey, ids: &[String]) -> Result<Vec<Proposal>, MaintainError> {
    let by_id: BTreeMap<&str, &Proposal> =
        survey.proposals.iter().map(|proposal| (proposal.id.as_str(), proposal)).collect();
    let gone: Vec<String> = ids.iter().filter(|id| !by_id.contains_key(id.as_str())).cloned().collect();
    if !gone.is_empty() {
        return Err(MaintainError::Gone(gone));
    }
    let (mut chosen, mut touched): (Vec<Proposal>, BTreeMap<&str, &str>) = Default::default();
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for proposal in ids.iter().filter(|id| seen.insert(id.as_str())).filter_map(|id| by_id.get(id.as_str())) {
        if proposal.fold.is_none() {
            return Err(MaintainError::OnlyShown(proposal.id.clone()));
        }
        for item in proposal.touches() {
            if let Some(other) = touched.insert(item, &proposal.id) {
                return Err(MaintainError::Overlap(other.to_owned(), proposal.id.clone()));
            }
        }
        chosen.push((*proposal).clone());
    }
    Ok(chosen)
}

/// Carries one proposal out, as one edit. Its versions have the session `session`, so that an undo of this session takes exactly
/// this edit back.
///
/// # Errors
/// Its precondition has changed, or the store refused. Nothing was written.
pub async fn carry_out(
    bank: &dyn Bank,
    caller: &Caller,
    proposal: &Proposal,
    session: Uuid,
    now: Timestamp,
) -> Result<(), MaintainError> {
    if !bank.keeps_history() {
        return Err(MaintainError::NoHistory);
    }
    let context = ChangeContext { session: Some(session.to_string()), ..ChangeContext::of_tool("maintain") };
    match &proposal.fold {
        None => Err(MaintainError::OnlyShown(proposal.id.clone())),
        Some(Fold::Graph(fold)) => fold_graph(bank, caller, &proposal.id, fold, &context).await,
        Some(Fold::Document(path)) => {
            let mut is_gone = false;
            let edited = bank
                .edit(caller, std::slice::from_ref(path), &mut |drafts| {
                    drafts.set_context(&context);
                    let text = drafts.text(path).unwrap_or_default();
                    let folded = fold_document(path, text, &proposal.id, now);
                    is_gone = folded.is_none();
                    folded.map_or_else(|| Err(stale()), |folded| drafts.set(path, folded))
                })
                .await;
            done(edited.map(|_| ()), is_gone, &proposal.id)
        }
    }
}

async fn fold_graph(
    bank: &dyn Bank,
    caller: &Caller,
    id: &str,
    fold: &GraphFold,
    context: &ChangeContext,
) -> Result<(), MaintainError> {
    let mut is_gone = false;
    let mut editor = |drafts: &mut Drafts| {
        drafts.set_context(context);
        Ok(())
    };
    let mut rule = |graph: &GraphState, now: &str| {
        let events = fold.events(graph, &caller.user_name, now)?;
        is_gone = events.is_none();
        events.ok_or_else(stale)
    };
    let edited = bank.edit_with_graph(caller, &[], &mut editor, &fold.part(), &mut rule).await;
    match edited {
        Err(EditError::Store(StoreError::Denied)) if fold.deletes() && caller.may(Right::Write) => {
            Err(MaintainError::NotOwner(id.to_owned()))
        }
        edited => done(edited.map(|_| ()), is_gone, id),
    }
}

fn stale() -> EditError {
    EditError::Refused("it changed meanwhile".to_owned())
}

fn done(edited: Result<(), EditError>, is_gone: bool, id: &str) -> Result<(), MaintainError> {
    if is_gone {
        return Err(MaintainError::Gone(vec![id.to_owned()]));
    }
    Ok(edited?)
}
