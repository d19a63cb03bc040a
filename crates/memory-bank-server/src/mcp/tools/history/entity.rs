//! The actions on an entity of the graph: shows it as it was, compares, restores, erases.

use std::sync::Arc;

use memory_bank_core::document::unified_diff_within;
use memory_bank_core::graph::history::{EntitySnapshot, Origin, render};
use memory_bank_core::limits;
use memory_bank_core::store::{Bank, EntityChain, EntityRef, GraphHistoryError};
use serde_json::json;

use super::list::put_origin;
use super::restore::foreign;
use super::{History, MAX_DIFF_CHARS, missing, text_page, with_foreign};
use crate::mcp::tools::extra_members::put;
use crate::mcp::tools::reply::{Failure, Reply};
use crate::mcp::tools::tool::Call;

async fn chain(call: &Call, bank: &Arc<dyn Bank>, entity: &str, number: i64) -> Result<EntityChain, Failure> {
    // The changes with the items before and after them.
    call.services.replies.need(3 * limits::CHAIN_BYTES).await?;
    let chain = bank.entity_chain(&call.caller, &EntityRef(entity.to_owned()), number).await;
    chain.map_err(|error| missing(bank, error))
}

/// Shows the entity as it was after a change.
pub(super) async fn show(
    call: &Call,
    bank: &Arc<dyn Bank>,
    arguments: &History,
    entity: &str,
) -> Result<Reply, Failure> {
    let number = arguments.number()?;
    let chain = chain(call, bank, entity, number).await?;
    let was = chain.start();
    let mut data = json!({"entity": was.name_of(&was.id), "id": was.id, "version": number});
    put_origin(&mut data, chain.origin);
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
    let mut origins = vec![(number, old.origin)];
    let new = match arguments.with {
        Some(with) => {
            let new = chain(call, bank, entity, with).await?;
            origins.push((with, new.origin));
            new.start()
        }
        None => old.now.clone(),
    };
    let was = old.start();
    let name = name_of(&was, &new);
    let most = MAX_DIFF_CHARS.min(call.services.replies.bytes / 4);
    let text = unified_diff_within(&name, &render(&was), &render(&new), most);
    let other = arguments.with.map_or_else(|| "now".to_owned(), |with| format!("version {with}"));
    let text = if text.is_empty() { format!("version {number} and {other} are the same") } else { text };
    let text =
        with_foreign(text, origins.iter().map(|(number, origin)| (*number, *origin == Origin::Foreign)));
    let mut data = json!({"entity": name, "version": number, "diff": text});
    put_origin(&mut data, old.origin);
    Ok(Reply::text(text, data))
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
    let chain = chain(call, bank, entity, number).await?;
    if chain.origin == Origin::Foreign && !arguments.accept_foreign {
        return Err(foreign(number, entity));
    }
    let (was, mut made_of) = (chain.start(), chain.numbers());
    made_of.extend((number > 0).then_some(number));
    if was.entity().is_none() {
        return Err(Failure::message(format!(
            "after version {number} the entity did not exist; restore an earlier version"
        )));
    }
    let done = bank.restore_entity(&call.caller, &was, &made_of).await?;
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
