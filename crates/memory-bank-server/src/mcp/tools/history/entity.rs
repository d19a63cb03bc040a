//! The actions on an entity of the graph: shows it as it was, compares, restores, erases.

use std::sync::Arc;

use memory_bank_core::document::unified_diff_within;
use memory_bank_core::graph::history::{EntitySnapshot, render};
use memory_bank_core::limits;
use memory_bank_core::store::{Bank, EntityChain, EntityRef, GraphHistoryError};
use serde_json::json;

use super::{History, MAX_DIFF_CHARS, text_page};
use crate::mcp::tools::extra_members::put;
use crate::mcp::tools::reply::{Failure, Reply};
use crate::mcp::tools::tool::Call;

async fn chain(call: &Call, bank: &Arc<dyn Bank>, entity: &str, number: i64) -> Result<EntityChain, Failure> {
    // The changes with the items before and after them.
    call.services.replies.need(3 * limits::CHAIN_BYTES).await?;
    Ok(bank.entity_chain(&call.caller, &EntityRef(entity.to_owned()), number).await?)
}

/// Shows the entity as it was after a change.
pub(super) async fn show(
    call: &Call,
    bank: &Arc<dyn Bank>,
    arguments: &History,
    entity: &str,
) -> Result<Reply, Failure> {
    let number = arguments.number()?;
    let was = chain(call, bank, entity, number).await?.start();
    let mut data = json!({"entity": was.name_of(&was.id), "id": was.id, "version": number});
    if was.entity().is_none() {
        put(&mut data, "kind", json!("deleted"));
        return Reply::json(&data);
    }
    text_page(call, bank, &json!([was.id, number]), &render(&was), data, arguments.cursor.as_deref())
}

/// Compares the entity after a change with what it was after another one, or is now.
pub(super) async fn diff(
    call: &Call,
    bank: &Arc<dyn Bank>,
    arguments: &History,
    entity: &str,
) -> Result<Reply, Failure> {
    let number = arguments.number()?;
    let old = chain(call, bank, entity, number).await?;
    let new = match arguments.with {
        Some(with) => chain(call, bank, entity, with).await?.start(),
        None => old.now.clone(),
    };
    let was = old.start();
    let name = name_of(&was, &new);
    let most = MAX_DIFF_CHARS.min(call.services.replies.bytes / 4);
    let text = unified_diff_within(&name, &render(&was), &render(&new), most);
    let other = arguments.with.map_or_else(|| "now".to_owned(), |with| format!("version {with}"));
    let text = if text.is_empty() { format!("version {number} and {other} are the same") } else { text };
    Ok(Reply::text(text.clone(), json!({"entity": name, "version": number, "diff": text})))
}

fn name_of(was: &EntitySnapshot, new: &EntitySnapshot) -> String {
    let entity = was.entity().or_else(|| new.entity());
    entity.map_or_else(|| was.id.clone(), |entity| entity.name.clone())
}

/// Makes the entity what it was after a change.
pub(super) async fn restore(
    call: &Call,
    bank: &Arc<dyn Bank>,
    arguments: &History,
    entity: &str,
) -> Result<Reply, Failure> {
    call.must_change("restore a version")?;
    if arguments.only_change || arguments.if_match_etag.is_some() {
        return Err(Failure::Malformed("`onlyChange` and `ifMatchEtag` are for documents".to_owned()));
    }
    let number = arguments.number()?;
    let was = chain(call, bank, entity, number).await?.start();
    if was.entity().is_none() {
        return Err(Failure::message(format!(
            "after version {number} the entity did not exist; restore an earlier version"
        )));
    }
    let done = bank.restore_entity(&call.caller, &was).await?;
    let mut data = json!({"success": true, "entity": done.name, "restored": number});
    let counts = [
        ("observationsAdded", done.observations_added),
        ("observationsDeleted", done.observations_deleted),
        ("relationsAdded", done.relations_added),
        ("relationsRemoved", done.relations_removed),
    ];
    for (name, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        put(&mut data, name, json!(count));
    }
    if !done.relations_left.is_empty() {
        put(&mut data, "relationsLeft", json!(done.relations_left));
    }
    Reply::json(&data)
}

impl From<GraphHistoryError> for Failure {
    fn from(error: GraphHistoryError) -> Self {
        match error {
            GraphHistoryError::Graph(error) => error.into(),
            other => Self::Message(other.to_string()),
        }
    }
}
