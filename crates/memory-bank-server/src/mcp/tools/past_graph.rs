//! The graph of a bank as it is, or as it was at a day or time (`asOf`), for the tools that show it. Where the graph and its changes are
//! more than a call rebuilds, it is the present one without what came later.

use std::sync::Arc;

use jiff::Timestamp;
use memory_bank_core::caller::Caller;
use memory_bank_core::error::{GraphError, StoreError};
use memory_bank_core::graph::FactView;
use memory_bank_core::graph::state::GraphState;
use memory_bank_core::limits;
use memory_bank_core::search::{Index, search_graph};
use memory_bank_core::store::{Bank, EntityRef, GraphFound, GraphSearch, Subgraph};
use serde_json::{Value, json};

use crate::mcp::tools::extra_members::put;

/// The note about a graph that is too large to be rebuilt.
const TOO_LARGE: &str = "the graph is too large to be rebuilt as it was: attributes are those of today, and what was deleted since is missing";
/// The note about a history that does not reach back.
const NOT_WHOLE: &str = "the history of the graph does not reach back to that time without gaps: what was deleted since may be missing, and attributes may be those of today";

/// The graph in a view.
pub(crate) struct ViewedGraph<'a> {
    bank: &'a dyn Bank,
    caller: &'a Caller,
    view: FactView,
    /// As it was; `None` if the store has it.
    former: Option<Arc<GraphState>>,
    note: Option<&'static str>,
}

impl<'a> ViewedGraph<'a> {
    /// The graph in this view. If that is one of the past, the caller has a turn.
    pub(crate) async fn of(
        bank: &'a dyn Bank,
        caller: &'a Caller,
        view: FactView,
    ) -> Result<Self, StoreError> {
        let mut graph = Self { bank, caller, view, former: None, note: None };
        if !view.is_past {
            return Ok(graph);
        }
        let until = Timestamp::from_millisecond(view.at.saturating_add(1)).unwrap_or(Timestamp::MAX);
        let size = bank.graph_size(caller, until).await?;
        if size.is_unchanged {
            return Ok(graph);
        }
        let then = match size.bytes > limits::PAST_GRAPH_BYTES {
            true => None,
            false => bank.graph_before(caller, until).await?,
        };
        match then {
            None => graph.note = Some(TOO_LARGE),
            Some(then) => {
                graph.former = Some(Arc::new(then.state));
                graph.note = (!then.is_whole).then_some(NOT_WHOLE);
            }
        }
        Ok(graph)
    }

    /// Searches it.
    pub(crate) async fn search(&self, request: &GraphSearch) -> Result<GraphFound, GraphError> {
        let Some(former) = &self.former else { return self.bank.search_graph(self.caller, request).await };
        let (former, request) = (Arc::clone(former), request.clone());
        blocking(move || {
            let mut index = Index::default();
            if request.query.is_some() {
                index.follow_graph(&former, None);
            }
            Ok(search_graph(&former, &index, &request))
        })
        .await
    }

    /// The nodes with their neighbourhood, and of a time those that did not exist.
    ///
    /// # Errors
    /// A node does not exist now; at a time, none of them did or does.
    pub(crate) async fn open(
        &self,
        nodes: &[EntityRef],
        depth: u32,
        bytes: usize,
    ) -> Result<(Subgraph, Vec<String>), GraphError> {
        let opened = self.opened(nodes, depth, bytes).await;
        if !self.view.is_past {
            return Ok((opened?, Vec::new()));
        }
        let Err(GraphError::EntitiesNotFound { missing, suggestions }) = opened else {
            return Ok((opened?, Vec::new()));
        };
        let left: Vec<EntityRef> = nodes.iter().filter(|node| !missing.contains(&node.0)).cloned().collect();
        if !left.is_empty() {
            return Ok((self.opened(&left, depth, bytes).await?, missing));
        }
        // A name that nothing has now, either, may be misspelt.
        if self.former.is_some()
            && let Err(GraphError::EntitiesNotFound { missing: unknown, suggestions }) =
                self.bank.open(self.caller, nodes, 0, 0, FactView { is_past: false, ..self.view }).await
            && unknown.len() == nodes.len()
        {
            return Err(GraphError::EntitiesNotFound { missing: unknown, suggestions });
        }
        if self.former.is_none() {
            return Err(GraphError::EntitiesNotFound { missing, suggestions });
        }
        Ok((Subgraph::default(), missing))
    }

    async fn opened(&self, nodes: &[EntityRef], depth: u32, bytes: usize) -> Result<Subgraph, GraphError> {
        let Some(former) = &self.former else {
            return self.bank.open(self.caller, nodes, depth, bytes, self.view).await;
        };
        let (former, nodes, view) = (Arc::clone(former), nodes.to_vec(), self.view);
        blocking(move || former.open(&nodes, depth, bytes, view)).await
    }

    /// The parts of the past graph that could not be rebuilt: the `asOfNote`.
    pub(crate) fn note(&self) -> Option<&'static str> {
        self.note
    }

    /// Adds that to a reply.
    pub(crate) fn put_note(&self, data: &mut Value) {
        if let Some(note) = self.note {
            put(data, "asOfNote", json!(note));
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, GraphError> + Send + 'static,
) -> Result<T, GraphError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| GraphError::from(StoreError::Unavailable(error.to_string())))?
}
