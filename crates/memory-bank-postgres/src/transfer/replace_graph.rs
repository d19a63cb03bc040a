//! What goes before the graph of a project is replaced by that of a source. Rows that both have stay, so that the history has the
//! changes of the replacement alone.

use std::collections::HashSet;

use memory_bank_core::error::StoreError;
use memory_bank_core::graph::ids::normalise;
use memory_bank_core::transfer::BankCopy;
use tokio_postgres::Row;

use super::error::TransferError;
use super::import::Import;
use super::write::{chunks, edges, facts};
use crate::column::{answer, column};
use crate::tenant::Query;

const ENTITIES: &str =
    "SELECT id, ARRAY[name_key] FROM public.graph_entities WHERE project_id = $1 ORDER BY seq";
const OBSERVATIONS: &str =
    "SELECT id, ARRAY[entity_id] FROM public.graph_observations WHERE project_id = $1 ORDER BY seq";
const RELATIONS: &str = "SELECT id, ARRAY[from_entity_id, to_entity_id, relation_type] FROM public.graph_relations \
    WHERE project_id = $1 ORDER BY seq";
const REMOVE_ENTITIES: &str = "WITH gone AS (DELETE FROM public.graph_entities WHERE project_id = $1 AND id = ANY ($2) RETURNING 1) \
    SELECT app.must_be((SELECT count(*) FROM gone), cardinality($2::text[]))";
const REMOVE_OBSERVATIONS: &str = "WITH gone AS (DELETE FROM public.graph_observations WHERE project_id = $1 AND id = ANY ($2) \
    RETURNING 1) SELECT app.must_be((SELECT count(*) FROM gone), cardinality($2::text[]))";
const REMOVE_RELATIONS: &str = "WITH gone AS (DELETE FROM public.graph_relations WHERE project_id = $1 AND id = ANY ($2) RETURNING 1) \
    SELECT app.must_be((SELECT count(*) FROM gone), cardinality($2::text[]))";

/// A row: its id, and the values that cannot change while it stays.
type Key = (String, Vec<String>);

impl Import {
    /// Removes the rows of the graph that the source does not have in this order: new rows come behind those that stay.
    pub(super) async fn remove_graph_but(&self, bank: &BankCopy) -> Result<(), TransferError> {
        let entities = bank.graph.entities().map(|one| (one.id.clone(), vec![normalise(&one.name)]));
        self.remove_but(ENTITIES, REMOVE_ENTITIES, &entities.collect::<Vec<_>>()).await?;
        let observations = facts(bank).into_iter().map(|one| (one.id.clone(), vec![one.entity_id.clone()]));
        self.remove_but(OBSERVATIONS, REMOVE_OBSERVATIONS, &observations.collect::<Vec<_>>()).await?;
        let relations = edges(bank).into_iter().map(|one| {
            (one.id.clone(), vec![one.from_id.clone(), one.to_id.clone(), one.relation_type.clone()])
        });
        self.remove_but(RELATIONS, REMOVE_RELATIONS, &relations.collect::<Vec<_>>()).await
    }

    async fn remove_but(
        &self,
        list: &'static str,
        remove: &'static str,
        coming: &[Key],
    ) -> Result<(), TransferError> {
        let project = self.caller.project.0;
        let rows = self.transaction.run(&[Query::new(list, &[&project])]).await?;
        let present = answer(&rows, 0).iter().map(key).collect::<Result<Vec<_>, StoreError>>()?;
        let removed = removed(&present, coming);
        for chunk in chunks(&removed, |id| id.len()) {
            self.transaction.run(&[Query::new(remove, &[&project, &chunk])]).await?;
        }
        Ok(())
    }
}

fn key(row: &Row) -> Result<Key, StoreError> {
    Ok((column(row, 0)?, column(row, 1)?))
}

/// The ids of the rows that do not stay. Those that stay are the first ones of the source.
fn removed<'p>(present: &'p [Key], coming: &[Key]) -> Vec<&'p str> {
    let known: HashSet<&Key> = coming.iter().collect();
    let mut first = coming.iter();
    let mut has_ended = false;
    let mut removed = Vec::new();
    for row in present {
        let is_known = known.contains(row);
        has_ended |= is_known && first.next() != Some(row);
        if has_ended || !is_known {
            removed.push(row.0.as_str());
        }
    }
    removed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_source_begins_with_stays_and_everything_behind_another_row_goes() {
        let keys = |words: &str| -> Vec<Key> {
            words
                .split_whitespace()
                .map(|word| (word.get(..1).unwrap().to_owned(), vec![word.to_owned()]))
                .collect()
        };
        for (present, coming, expected) in [
            ("a b c", "a b c", ""),
            ("a b c", "a b", "c"),
            ("a b c", "a c", "b"),
            ("a b", "a b c", ""),
            // One that was removed meanwhile comes back before others.
            ("a c d", "a b c d", "c d"),
            ("b a", "a b", "b a"),
            ("a b1 c", "a b2 c", "b c"),
            ("x y", "", "x y"),
        ] {
            assert_eq!(removed(&keys(present), &keys(coming)).join(" "), expected, "{present} -> {coming}");
        }
    }
}
