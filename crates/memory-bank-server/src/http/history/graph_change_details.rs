//! What a list of changes of the graph shows beside them.

use memory_bank_core::caller::Caller;
use memory_bank_core::graph::history::{GraphChange, GraphItem, summary_of};
use memory_bank_core::graph::state::GraphState;
use memory_bank_core::graph::{Entity, Observation};
use memory_bank_core::store::{Bank, GraphHistoryError, GraphPart};

use crate::http::rest_request::Refusal;

/// The most characters of the text of an item.
pub(super) const ABOUT_CHARS: usize = 300;

/// What a list shows beside its changes: facts that were replaced, and whether entities have something now.
pub(super) struct ChangeDetails(GraphState);

impl ChangeDetails {
    pub(super) async fn of(
        bank: &dyn Bank,
        caller: &Caller,
        changes: &[GraphChange],
    ) -> Result<Self, Refusal> {
        let mut part = GraphPart::default();
        for change in changes.iter().filter(|change| change.before.is_none()) {
            match &change.after {
                Some(GraphItem::Observation(fact)) => part.observations.extend(replaced(fact).cloned()),
                Some(GraphItem::Entity(entity)) => {
                    part.entities.insert(entity.id.clone());
                    part.emptied.insert(entity.id.clone());
                }
                _ => {}
            }
        }
        if part == GraphPart::default() {
            return Ok(Self(GraphState::default()));
        }
        Ok(Self(bank.graph_part(caller, &part).await.map_err(GraphHistoryError::from)?))
    }

    /// The text of the fact that the change replaced.
    pub(super) fn text_replaced_by(&self, change: &GraphChange) -> Option<String> {
        let Some(GraphItem::Observation(fact)) = &change.after else { return None };
        let former = self.0.observation(replaced(fact).filter(|_| change.before.is_none())?)?;
        let former = GraphItem::Observation(former.clone());
        Some(summary_of(&former, None, ABOUT_CHARS))
    }

    /// Whether the entity that the change created has something now.
    pub(super) fn is_in_use(&self, change: &GraphChange) -> bool {
        let Some(GraphItem::Entity(Entity { id, .. })) = &change.after else { return false };
        let has_something =
            || self.0.observations_of(id).next().is_some() || self.0.relations_of(id).next().is_some();
        change.before.is_none() && has_something()
    }
}

/// The id of the fact that a fact replaced: the first one is what its author named.
fn replaced(fact: &Observation) -> Option<&String> {
    fact.validity().supersedes.first()
}
