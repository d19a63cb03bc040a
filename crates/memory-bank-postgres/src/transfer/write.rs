//! Writes a copy of a bank as rows, many per statement; and as the items of a backup.

use jiff::Timestamp;
use memory_bank_core::caller::Caller;
use memory_bank_core::clock::iso_millis;
use memory_bank_core::document::Etag;
use memory_bank_core::error::StoreError;
use memory_bank_core::graph::history::GraphItem;
use memory_bank_core::graph::ids::normalise;
use memory_bank_core::graph::timestamp::instant;
use memory_bank_core::graph::{Entity, Observation, Relation};
use memory_bank_core::transfer::{BankCopy, DocumentCopy, ExtraDataFile, moment};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::error::TransferError;
use crate::graph::rows::{bounds_of, replaced_by, source_of};
use crate::tenant::{Query, Transaction, Value};

/// The largest size of one statement, in rows and in bytes; a single row may have more bytes.
const STATEMENT_ROWS: usize = 1000;
pub(super) const STATEMENT_BYTES: usize = 4 * 1024 * 1024;

const PUT_DOCUMENTS: &str = "INSERT INTO public.documents AS d (project_id, path, content, etag, created_at, updated_at) \
    SELECT $1, u.path, u.content, u.etag, u.at, u.at \
    FROM unnest($2::text[], $3::text[], $4::text[], $5::timestamptz[]) AS u (path, content, etag, at) \
    ON CONFLICT (project_id, path) DO UPDATE SET content = excluded.content, etag = excluded.etag, \
    version = d.version + 1, updated_at = excluded.updated_at WHERE d.etag <> excluded.etag";
// A row that is the same is not written: it would be a change in the history. Times have milliseconds in a copy.
const PUT_ENTITIES: &str = "INSERT INTO public.graph_entities AS o \
    (project_id, id, name, name_key, entity_type, attrs, created_at, updated_at) \
    SELECT $1, u.id, u.name, u.name_key, u.entity_type, u.attrs::json, u.created_at, u.updated_at \
    FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::timestamptz[]) \
    WITH ORDINALITY AS u (id, name, name_key, entity_type, attrs, created_at, updated_at, n) ORDER BY u.n \
    ON CONFLICT (project_id, id) DO UPDATE SET name = excluded.name, name_key = excluded.name_key, \
    entity_type = excluded.entity_type, attrs = excluded.attrs, created_at = excluded.created_at, updated_at = excluded.updated_at \
    WHERE (o.name, o.entity_type, o.attrs::text, date_trunc('milliseconds', o.created_at), date_trunc('milliseconds', o.updated_at)) \
      IS DISTINCT FROM (excluded.name, excluded.entity_type, excluded.attrs::text, \
        date_trunc('milliseconds', excluded.created_at), date_trunc('milliseconds', excluded.updated_at))";
const PUT_OBSERVATIONS: &str = "INSERT INTO public.graph_observations AS o \
    (project_id, id, entity_id, content, source, \"timestamp\", at, bounds, starts_at, ends_at, supersedes) \
    SELECT $1, u.id, u.entity_id, u.content, u.source::json, u.stamp, u.at, u.bounds::json, u.starts_at, u.ends_at, \
    CASE WHEN (u.bounds::json)->'supersedes' IS NOT NULL \
    THEN ARRAY(SELECT json_array_elements_text((u.bounds::json)->'supersedes')) END \
    FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::text[], $9::bigint[], $10::bigint[]) \
    WITH ORDINALITY AS u (id, entity_id, content, source, stamp, at, bounds, starts_at, ends_at, n) ORDER BY u.n \
    ON CONFLICT (project_id, id) DO UPDATE SET entity_id = excluded.entity_id, content = excluded.content, \
    source = excluded.source, \"timestamp\" = excluded.\"timestamp\", at = excluded.at, bounds = excluded.bounds, \
    starts_at = excluded.starts_at, ends_at = excluded.ends_at, supersedes = excluded.supersedes \
    WHERE (o.entity_id, o.content, o.source::text, o.\"timestamp\", o.at, o.bounds::text) \
      IS DISTINCT FROM (excluded.entity_id, excluded.content, excluded.source::text, excluded.\"timestamp\", excluded.at, excluded.bounds::text)";
const PUT_RELATIONS: &str = "INSERT INTO public.graph_relations AS o \
    (project_id, id, from_entity_id, to_entity_id, relation_type, created_at) \
    SELECT $1, u.id, u.from_id, u.to_id, u.relation_type, u.created_at \
    FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[]) \
    WITH ORDINALITY AS u (id, from_id, to_id, relation_type, created_at, n) ORDER BY u.n \
    ON CONFLICT (project_id, id) DO UPDATE SET from_entity_id = excluded.from_entity_id, \
    to_entity_id = excluded.to_entity_id, relation_type = excluded.relation_type, created_at = excluded.created_at \
    WHERE (o.from_entity_id, o.to_entity_id, o.relation_type, date_trunc('milliseconds', o.created_at)) \
      IS DISTINCT FROM (excluded.from_entity_id, excluded.to_entity_id, excluded.relation_type, \
        date_trunc('milliseconds', excluded.created_at))";
const PUT_FILES: &str = "INSERT INTO app.files (project_id, kind, path, content, modified_at) \
    SELECT $1, u.kind, u.path, u.content, u.at \
    FROM unnest($2::text[], $3::text[], $4::bytea[], $5::timestamptz[]) AS u (kind, path, content, at) \
    ON CONFLICT (project_id, kind, path) DO UPDATE SET content = excluded.content, modified_at = excluded.modified_at";
const PUT_ITEMS: &str = "INSERT INTO app.backup_items (project_id, backup_id, kind, key, item) \
    SELECT $1, $2, u.kind, u.key, u.item::json FROM unnest($3::text[], $4::text[], $5::text[]) AS u (kind, key, item)";

/// Writes these documents. `wrote` gets the number of written items.
pub(super) async fn put_documents(
    transaction: &Transaction,
    caller: &Caller,
    documents: &[&DocumentCopy],
    wrote: &(dyn Fn(usize) + Send + Sync),
) -> Result<(), TransferError> {
    let project = caller.project.0;
    for chunk in chunks(documents, |document| document.text.len()) {
        let etags: Vec<String> = chunk.iter().map(|one| Etag::of(&one.text).as_str().to_owned()).collect();
        let values: [Value<'_>; 5] = [
            &project,
            &column(chunk, |one: &&DocumentCopy| one.path.as_str()),
            &column(chunk, |one: &&DocumentCopy| one.text.as_str()),
            &etags,
            &column(chunk, |one: &&DocumentCopy| one.updated_at),
        ];
        transaction.run(&[Query::new(PUT_DOCUMENTS, &values)]).await?;
        wrote(chunk.len());
    }
    Ok(())
}

/// Writes the graph of a bank. `wrote` gets the number of written items.
pub(super) async fn put_graph(
    transaction: &Transaction,
    project: Uuid,
    bank: &BankCopy,
    wrote: &(dyn Fn(usize) + Send + Sync),
) -> Result<(), TransferError> {
    let entities: Vec<&Entity> = bank.graph.entities().collect();
    for chunk in chunks(&entities, |one| one.name.len() + 512) {
        let attrs = chunk.iter().map(|one| text_of(one.attrs.as_ref())).collect::<Result<Vec<_>, _>>()?;
        let values: [Value<'_>; 8] = [
            &project,
            &column(chunk, |one: &&Entity| one.id.as_str()),
            &column(chunk, |one: &&Entity| one.name.as_str()),
            &column(chunk, |one: &&Entity| normalise(&one.name)),
            &column(chunk, |one: &&Entity| one.entity_type.as_str()),
            &attrs,
            &column(chunk, |one: &&Entity| moment(&one.created_at)),
            &column(chunk, |one: &&Entity| moment(&one.updated_at)),
        ];
        transaction.run(&[Query::new(PUT_ENTITIES, &values)]).await?;
        wrote(chunk.len());
    }
    for chunk in chunks(&facts(bank), |one| one.text.len()) {
        let sources = chunk.iter().map(|one| source_of(one)).collect::<Result<Vec<_>, _>>()?;
        let bounds = chunk.iter().map(|one| bounds_of(one)).collect::<Result<Vec<_>, _>>()?;
        let values: [Value<'_>; 10] = [
            &project,
            &column(chunk, |one: &&Observation| one.id.as_str()),
            &column(chunk, |one: &&Observation| one.entity_id.as_str()),
            &column(chunk, |one: &&Observation| one.text.as_str()),
            &sources,
            &column(chunk, |one: &&Observation| one.timestamp.as_str()),
            &column(chunk, |one: &&Observation| milliseconds(one)),
            &bounds,
            &column(chunk, |one: &&Observation| one.validity().starts_at()),
            &column(chunk, |one: &&Observation| one.validity().ends_at()),
        ];
        transaction.run(&[Query::new(PUT_OBSERVATIONS, &values)]).await?;
        wrote(chunk.len());
    }
    for chunk in chunks(&edges(bank), |_| 256) {
        let values: [Value<'_>; 6] = [
            &project,
            &column(chunk, |one: &&Relation| one.id.as_str()),
            &column(chunk, |one: &&Relation| one.from_id.as_str()),
            &column(chunk, |one: &&Relation| one.to_id.as_str()),
            &column(chunk, |one: &&Relation| one.relation_type.as_str()),
            &column(chunk, |one: &&Relation| moment(&one.created_at)),
        ];
        transaction.run(&[Query::new(PUT_RELATIONS, &values)]).await?;
        wrote(chunk.len());
    }
    Ok(())
}

/// Writes files beside the rows.
pub(super) async fn put_files(
    transaction: &Transaction,
    caller: &Caller,
    files: &[ExtraDataFile],
) -> Result<(), TransferError> {
    for chunk in chunks(files, |file| file.bytes.len()) {
        let values: [Value<'_>; 5] = [
            &caller.project.0,
            &column(chunk, |one: &ExtraDataFile| one.kind.as_str()),
            &column(chunk, |one: &ExtraDataFile| one.path.as_str()),
            &column(chunk, |one: &ExtraDataFile| one.bytes.as_slice()),
            &column(chunk, |one: &ExtraDataFile| one.modified),
        ];
        transaction.run(&[Query::new(PUT_FILES, &values)]).await?;
    }
    Ok(())
}

/// Writes a bank as the items of a backup, in the form of a copy of its rows.
pub(super) async fn put_items(
    transaction: &Transaction,
    caller: &Caller,
    backup: &str,
    bank: &BankCopy,
    extra_data: &[ExtraDataFile],
) -> Result<(), TransferError> {
    for chunk in chunks(&items(bank, extra_data)?, |(_, _, item)| item.len()) {
        let values: [Value<'_>; 5] = [
            &caller.project.0,
            &backup,
            &column(chunk, |one: &Item| one.0),
            &column(chunk, |one: &Item| one.1.as_str()),
            &column(chunk, |one: &Item| one.2.as_str()),
        ];
        transaction.run(&[Query::new(PUT_ITEMS, &values)]).await?;
    }
    Ok(())
}

/// Kind, key and row.
type Item = (&'static str, String, String);

fn items(bank: &BankCopy, extra_data: &[ExtraDataFile]) -> Result<Vec<Item>, StoreError> {
    let time = |at: Timestamp| Json::String(at.to_string());
    let mut items: Vec<Item> = Vec::new();
    for one in &bank.documents {
        let row = json!({
            "path": one.path.as_str(), "content": one.text, "etag": Etag::of(&one.text).as_str(), "version": 1,
            "created_at": time(one.updated_at), "updated_at": time(one.updated_at),
        });
        items.push(("document", one.path.as_str().to_owned(), row.to_string()));
    }
    for (seq, one) in bank.graph.entities().enumerate() {
        items.push(("entity", one.id.clone(), at_place(entity_row(one), seq).to_string()));
    }
    for (seq, one) in facts(bank).into_iter().enumerate() {
        items.push(("observation", one.id.clone(), at_place(observation_row(one)?, seq).to_string()));
    }
    for (seq, one) in edges(bank).into_iter().enumerate() {
        items.push(("relation", one.id.clone(), at_place(relation_row(one), seq).to_string()));
    }
    for one in extra_data {
        let row = json!({
            "kind": one.kind.as_str(), "path": one.path, "content": hex(&one.bytes), "modified_at": time(one.modified),
        });
        items.push(("file", format!("{}/{}", one.kind.as_str(), one.path), row.to_string()));
    }
    Ok(items)
}

/// A row with its place in the storage order.
fn at_place(mut row: Json, seq: usize) -> Json {
    if let Some(row) = row.as_object_mut() {
        row.insert("seq".to_owned(), json!(seq));
    }
    row
}

fn time_of(text: &str) -> Json {
    Json::String(iso_millis(moment(text)))
}

fn entity_row(one: &Entity) -> Json {
    json!({
        "id": one.id, "name": one.name, "name_key": normalise(&one.name), "entity_type": one.entity_type, "attrs": one.attrs,
        "created_at": time_of(&one.created_at), "updated_at": time_of(&one.updated_at),
    })
}

fn observation_row(one: &Observation) -> Result<Json, StoreError> {
    // In the form of the column, which is JSON.
    let source: Json = match source_of(one)? {
        Some(source) => {
            serde_json::from_str(&source).map_err(|error| StoreError::Unavailable(error.to_string()))?
        }
        None => Json::Null,
    };
    Ok(json!({
        "id": one.id, "entity_id": one.entity_id, "content": one.text, "source": source,
        "timestamp": one.timestamp, "at": milliseconds(one), "created_at": time_of(&one.timestamp),
        "bounds": one.validity, "starts_at": one.validity().starts_at(), "ends_at": one.validity().ends_at(),
        "supersedes": replaced_by(one),
    }))
}

fn relation_row(one: &Relation) -> Json {
    json!({
        "id": one.id, "from_entity_id": one.from_id, "to_entity_id": one.to_id, "relation_type": one.relation_type,
        "created_at": time_of(&one.created_at),
    })
}

/// An item with the columns of its row.
pub(super) fn item_row(item: &GraphItem) -> Result<Json, StoreError> {
    match item {
        GraphItem::Entity(entity) => Ok(entity_row(entity)),
        GraphItem::Observation(observation) => observation_row(observation),
        GraphItem::Relation(relation) => Ok(relation_row(relation)),
    }
}

/// Bytes in the database's JSON form.
fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(bytes.len() * 2 + 2);
    text.push_str("\\x");
    for byte in bytes {
        // Writing into a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The facts whose entity exists; others cannot be rows and are stored beside them.
pub(super) fn facts(bank: &BankCopy) -> Vec<&Observation> {
    bank.graph.observations().filter(|one| bank.graph.entity(&one.entity_id).is_some()).collect()
}

/// The relations whose entities exist.
pub(super) fn edges(bank: &BankCopy) -> Vec<&Relation> {
    let is_there = |id: &str| bank.graph.entity(id).is_some();
    bank.graph.relations().filter(|one| is_there(&one.from_id) && is_there(&one.to_id)).collect()
}

fn milliseconds(observation: &Observation) -> i64 {
    instant(&observation.timestamp).unwrap_or(i64::MIN)
}

fn text_of<T: serde::Serialize>(value: Option<&T>) -> Result<Option<String>, StoreError> {
    value.map(serde_json::to_string).transpose().map_err(|error| StoreError::Unavailable(error.to_string()))
}

fn column<'a, T, C>(rows: &'a [T], of: impl Fn(&'a T) -> C) -> Vec<C> {
    rows.iter().map(of).collect()
}

/// Splits rows into statements.
pub(super) fn chunks<T>(rows: &[T], weight: impl Fn(&T) -> usize) -> Vec<&[T]> {
    let mut chunks = Vec::new();
    let mut rest = rows;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fitting = rest
            .iter()
            .take(STATEMENT_ROWS)
            .take_while(|row| {
                bytes += weight(row);
                bytes <= STATEMENT_BYTES
            })
            .count();
        let (chunk, left) = rest.split_at(fitting.clamp(1, rest.len()));
        chunks.push(chunk);
        rest = left;
    }
    chunks
}
