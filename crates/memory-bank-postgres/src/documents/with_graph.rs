//! An edit of documents and a change of the graph in one transaction: the documents are locked first, then the part of the graph.

use memory_bank_core::caller::{Caller, Right};
use memory_bank_core::clock::iso_millis;
use memory_bank_core::document::DocumentPath;
use memory_bank_core::error::{EditError, StoreError};
use memory_bank_core::store::{Change, DocumentChange, Editor, GraphRule};

use super::{Refusal, names_of};
use crate::bank::PostgresBank;
use crate::documents::opened::{Comparison, OPEN, Opened};
use crate::documents::plan::{Plan, notify, write};
use crate::graph::{GraphWrites, PartKeys};
use crate::history_sources::hold;
use crate::tenant::{Failure, Query, TRIES, Transaction};

impl PostgresBank {
    /// Edits documents and changes the graph: both or neither.
    pub(crate) async fn edit_and(
        &self,
        caller: &Caller,
        paths: &[DocumentPath],
        editor: &mut Editor<'_>,
        keys: &PartKeys,
        rule: &mut GraphRule<'_>,
    ) -> Result<Vec<DocumentChange>, EditError> {
        if !caller.may(Right::Write) && !caller.may(Right::Admin) {
            return Err(StoreError::Denied.into());
        }
        for _ in 0..TRIES {
            match self.try_edit_and(caller, paths, editor, keys, rule).await {
                Ok(plan) => {
                    notify(&self.database, caller, &plan);
                    self.database.deps.sink.changed(caller.project, Change::Graph);
                    self.request_vectors(caller);
                    return Ok(plan.changes_of(paths));
                }
                Err(Refusal::Edit(error)) => return Err(error),
                Err(Refusal::Failed(Failure::Store(error))) => return Err(error.into()),
                Err(Refusal::Failed(Failure::Conflict(met))) => {
                    tracing::debug!(
                        met,
                        "an edit of documents and graph conflicted with another one; retrying"
                    );
                }
            }
        }
        Err(StoreError::Busy.into())
    }

    async fn try_edit_and(
        &self,
        caller: &Caller,
        paths: &[DocumentPath],
        editor: &mut Editor<'_>,
        keys: &PartKeys,
        rule: &mut GraphRule<'_>,
    ) -> Result<Plan, Refusal> {
        let names = names_of(paths);
        let compared = Comparison::of(paths);
        let values = compared.values(&names);
        let (transaction, rows) = self.database.begin_by_function(caller, Query::new(OPEN, &values)).await?;
        let planned = match Opened::of(paths, &rows) {
            Ok(opened) => self.plan_and(caller, &transaction, opened, editor, keys, rule).await,
            Err(error) => Err(Refusal::Edit(error.into())),
        };
        let (plan, graph) = match planned {
            Ok(planned) => planned,
            Err(refusal) => {
                return Err(match refusal {
                    Refusal::Failed(failure) => self.refused(transaction, failure).await,
                    refusal => {
                        transaction.roll_back().await;
                        refusal
                    }
                });
            }
        };
        if plan.is_empty() && graph.is_empty() {
            transaction.roll_back().await;
            return Ok(plan);
        }
        write(&self.database, caller, transaction, &plan, Some(&graph)).await?;
        Ok(plan)
    }

    async fn plan_and(
        &self,
        caller: &Caller,
        transaction: &Transaction,
        opened: Opened,
        editor: &mut Editor<'_>,
        keys: &PartKeys,
        rule: &mut GraphRule<'_>,
    ) -> Result<(Plan, GraphWrites), Refusal> {
        let held = opened.held;
        let plan = self.plan(caller, opened, editor).map_err(Refusal::Edit)?;
        hold(transaction, &caller.project.0, &plan.context.made_of).await?;
        let state = self.lock_part(transaction, &caller.project.0, keys).await?;
        let now = iso_millis(self.database.deps.clock.now());
        let events = rule(&state, &now).map_err(Refusal::Edit)?;
        let graph = GraphWrites::of(&events, state).map_err(Failure::Store)?;
        let added = plan.added.saturating_add(graph.added);
        self.database.admit(&held, added).map_err(|full| Refusal::Edit(EditError::Refused(full)))?;
        Ok((plan, graph))
    }
}
