//! The history of the graph in a transfer: its changes, and their form as lines of JSON, in which backup files have them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::extra_data::item_problem;
use super::{HistoryCount, NotTransferable};
use crate::caller::KeyId;
use crate::graph::event::{Event, Line, read_line};
use crate::graph::history::{GraphChange, GraphItem, ItemChange, Origin};
use crate::graph::ids::{ENTITY_PREFIX, OBSERVATION_PREFIX, RELATION_PREFIX};
use crate::history::{ChangeContext, stored_tool};
use crate::limits;
use crate::words::word_enum;

/// About how many bytes a change takes beside the item before it.
const CHANGE_BYTES: usize = 500;
/// The longest name of an author or a session, in bytes, and of a tool with the mark of an undo.
const NAME_BYTES: usize = 255;
const TOOL_BYTES: usize = 64;

word_enum! {
    /// The kind of an item of the graph.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub enum ItemKind {
        /// An entity.
        Entity = "entity",
        /// An observation.
        Observation = "observation",
        /// A relation.
        Relation = "relation",
    }
}

impl ItemKind {
    /// The kind of an item.
    #[must_use]
    pub fn of(item: &GraphItem) -> Self {
        match item {
            GraphItem::Entity(_) => Self::Entity,
            GraphItem::Observation(_) => Self::Observation,
            GraphItem::Relation(_) => Self::Relation,
        }
    }

    /// How the ids of such items begin.
    fn prefix(self) -> &'static str {
        match self {
            Self::Entity => ENTITY_PREFIX,
            Self::Observation => OBSERVATION_PREFIX,
            Self::Relation => RELATION_PREFIX,
        }
    }
}

/// One change of the graph. What an item was after it is what it was before its next change, or what it is now.
#[derive(Debug, Clone, PartialEq)]
pub struct GraphChangeCopy {
    /// Its number.
    pub number: i64,
    /// The time of the change.
    pub at: Timestamp,
    /// What happened.
    pub change: ItemChange,
    /// The kind of the item.
    pub kind: ItemKind,
    /// The id of the item.
    pub id: String,
    /// The entity itself, the owner of an observation, the source of a relation.
    pub entity_id: String,
    /// The target of a relation.
    pub other_id: Option<String>,
    /// The item before the change; `None` if it was created.
    pub before: Option<GraphItem>,
    /// The name of the user, as the source names it.
    pub author: Option<String>,
    /// The key with which it was made.
    pub key: Option<KeyId>,
    /// The session of the client.
    pub session: Option<String>,
    /// The tool, as stores keep it: with what an undo took back. Of a change of nobody by something outside of the source, that it is one.
    pub tool: Option<String>,
}

/// The changes of a graph, newest first. A list that is not whole lacks the oldest.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GraphHistory {
    /// The changes.
    pub changes: Vec<GraphChangeCopy>,
    /// How many older changes are left out, because there is no room for them.
    pub left_out: usize,
}

impl GraphChangeCopy {
    /// The copy of a change; none of a change without an item. Facts that no store can have are left out.
    #[must_use]
    pub fn of(change: &GraphChange) -> Option<Self> {
        let item = change.item()?;
        let context = ChangeContext {
            tool: change.tool.clone(),
            undoes: change.undoes.clone(),
            ..ChangeContext::default()
        };
        Some(Self {
            number: change.number,
            at: stored_time(change.at),
            change: change.change,
            kind: ItemKind::of(item),
            id: change.id.clone(),
            entity_id: item.entity_id().to_owned(),
            other_id: item.other_id().map(str::to_owned),
            before: change.before.clone(),
            author: change.author.clone().filter(|author| is_name(author)),
            key: change.key,
            session: change.session.clone().filter(|session| is_name(session)),
            tool: match change.origin {
                Origin::Outside => Some(Origin::Outside.as_str().to_owned()),
                _ => stored_tool(&context).filter(|tool| is_tool(tool)),
            },
        })
    }

    /// About how many bytes it takes.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.before.as_ref().map_or(0, GraphItem::bytes) + CHANGE_BYTES
    }

    /// Why it cannot be a change of a graph.
    fn problem(&self) -> Option<&'static str> {
        let is_id = |id: &str, kind: ItemKind| id.starts_with(kind.prefix()) && !id.contains('\0');
        let is_owned = match self.kind {
            ItemKind::Entity => self.entity_id == self.id && self.other_id.is_none(),
            ItemKind::Observation => self.other_id.is_none(),
            ItemKind::Relation => self.other_id.is_some(),
        };
        let are_ids = is_id(&self.id, self.kind)
            && is_id(&self.entity_id, ItemKind::Entity)
            && self.other_id.as_deref().is_none_or(|id| is_id(id, ItemKind::Entity));
        let is_same = |item: &GraphItem| {
            ItemKind::of(item) == self.kind
                && item.id() == self.id
                && item.entity_id() == self.entity_id
                && item.other_id() == self.other_id.as_deref()
        };
        if !(1..=limits::TRANSFER_NUMBER).contains(&self.number) {
            Some("has a number that no change has")
        } else if !is_owned || !are_ids {
            Some("has an id that does not fit its kind")
        } else if self.before.is_some() == (self.change == ItemChange::Created) {
            Some("lacks the former item, or is a creation with a former item")
        } else if self.before.as_ref().is_some_and(|item| !is_same(item)) {
            Some("has another item before it than the one that it changed")
        } else if self.author.as_deref().is_some_and(|author| !is_name(author)) {
            Some("has an author whose name is too long")
        } else if self.session.as_deref().is_some_and(|session| !is_name(session)) {
            Some("has a session whose name is too long")
        } else if self.tool.as_deref().is_some_and(|tool| !is_tool(tool)) {
            Some("has a tool whose name no tool can have")
        } else {
            None
        }
    }

    /// Why it cannot be a row.
    fn row_problem(&self) -> Option<&'static str> {
        let most = limits::TRANSFER_PATH_BYTES;
        let ids = [Some(&self.id), Some(&self.entity_id), self.other_id.as_ref()];
        if ids.into_iter().flatten().any(|id| id.len() > most) {
            return Some("has an id of more than 1024 bytes");
        }
        self.before.as_ref().and_then(item_problem)
    }
}

impl GraphHistory {
    /// The number of changes.
    #[must_use]
    pub fn count(&self) -> HistoryCount {
        let (changes, changes_left_out) = (self.changes.len(), self.left_out);
        HistoryCount { changes, changes_left_out, ..HistoryCount::default() }
    }

    /// Checks that these are changes of a graph in their order, and that a database can store them.
    ///
    /// # Errors
    /// The first change that is refused, with the reason.
    pub fn check_for_rows(&self) -> Result<(), NotTransferable> {
        let refused = |change: &GraphChangeCopy, why: &str| {
            Err(NotTransferable(format!(
                "the history of the graph cannot be moved, and nothing was: change {} of `{}` {why}; correct the source, or \
                 leave the history out with --no-history",
                change.number,
                shown(&change.id)
            )))
        };
        for (place, change) in self.changes.iter().enumerate() {
            if let Some(why) = change.problem().or_else(|| change.row_problem()) {
                return refused(change, why);
            }
            let newer = place.checked_sub(1).and_then(|place| self.changes.get(place));
            if newer.is_some_and(|newer| newer.number <= change.number) {
                return refused(change, "is not in the order of numbers, newest first");
            }
        }
        Ok(())
    }
}

/// The beginning of foreign text, in a message.
fn shown(text: &str) -> String {
    text.chars().take(80).collect::<String>().escape_debug().to_string()
}

fn is_name(name: &str) -> bool {
    name.len() <= NAME_BYTES && !name.contains('\0')
}

fn is_tool(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    (1..=TOOL_BYTES).contains(&name.len()) && name.bytes().all(plain)
}

/// A time as databases have it: in microseconds, not before the year 1.
fn stored_time(at: Timestamp) -> Timestamp {
    const FIRST_SECOND: i64 = -62_135_596_800;
    let first = Timestamp::from_second(FIRST_SECOND).unwrap_or(Timestamp::UNIX_EPOCH);
    Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at).max(first)
}

/// A change as a line.
#[derive(Debug, Serialize, Deserialize)]
struct ChangeLine {
    number: i64,
    at: Timestamp,
    change: ItemChange,
    kind: ItemKind,
    id: String,
    entity: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    other: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    author: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    key: Option<uuid::Uuid>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    session: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    tool: Option<String>,
    /// The item before the change, with the members of a graph's log.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    before: Option<Value>,
}

/// A change as a line of JSON, without the line's end.
///
/// # Errors
/// It cannot be written as JSON.
pub fn write_graph_line(change: &GraphChangeCopy) -> Result<Vec<u8>, NotTransferable> {
    let failed = |error: serde_json::Error| NotTransferable(error.to_string());
    let before = change.before.as_ref().map(|item| match item {
        GraphItem::Entity(entity) => serde_json::to_value(entity),
        GraphItem::Observation(observation) => serde_json::to_value(observation),
        GraphItem::Relation(relation) => serde_json::to_value(relation),
    });
    let line = ChangeLine {
        number: change.number,
        at: change.at,
        change: change.change,
        kind: change.kind,
        id: change.id.clone(),
        entity: change.entity_id.clone(),
        other: change.other_id.clone(),
        author: change.author.clone(),
        key: change.key.map(|key| key.0),
        session: change.session.clone(),
        tool: change.tool.clone(),
        before: before.transpose().map_err(failed)?,
    };
    serde_json::to_vec(&line).map_err(failed)
}

/// The change of a line.
///
/// # Errors
/// It is not the line of a change; the text has the reason.
pub fn read_graph_line(line: &[u8]) -> Result<GraphChangeCopy, NotTransferable> {
    let damaged = |why: String| NotTransferable(format!("a change of the graph's history is damaged: {why}"));
    if line.len() > limits::TRANSFER_LINE_BYTES {
        return Err(damaged(format!("its line has more than {} bytes", limits::TRANSFER_LINE_BYTES)));
    }
    let line: ChangeLine = serde_json::from_slice(line).map_err(|error| damaged(error.to_string()))?;
    let before =
        line.before.as_ref().map(|before| item_of(line.kind, before)).transpose().map_err(damaged)?;
    let change = GraphChangeCopy {
        number: line.number,
        at: stored_time(line.at),
        change: line.change,
        kind: line.kind,
        id: line.id,
        entity_id: line.entity,
        other_id: line.other,
        before,
        author: line.author,
        key: line.key.map(KeyId),
        session: line.session,
        tool: line.tool,
    };
    match change.problem() {
        None => Ok(change),
        Some(why) => Err(damaged(format!("change {} of `{}` {why}", change.number, shown(&change.id)))),
    }
}

/// The item that these members are, by the rules for a graph's log.
fn item_of(kind: ItemKind, members: &Value) -> Result<GraphItem, String> {
    let ts = "1970-01-01T00:00:00.000Z";
    let line = match kind {
        ItemKind::Entity => json!({"type": "entity_upsert", "entity": members, "ts": ts}),
        ItemKind::Observation => json!({"type": "observation_add", "observation": members, "ts": ts}),
        ItemKind::Relation => json!({"type": "relation_add", "relation": members, "ts": ts}),
    };
    match read_line(line.to_string().as_bytes()) {
        Line::Event(Event::EntityUpsert { entity, .. }) => Ok(GraphItem::Entity(entity)),
        Line::Event(Event::ObservationAdd { observation, .. }) => Ok(GraphItem::Observation(observation)),
        Line::Event(Event::RelationAdd { relation, .. }) => Ok(GraphItem::Relation(relation)),
        Line::Unknown(why) => Err(why),
        _ => Err("it has no item".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Entity, Relation};

    fn entity() -> GraphItem {
        GraphItem::Entity(Entity {
            id: "ent_one_and_two".to_owned(),
            name: "One \u{1F600}".to_owned(),
            entity_type: "thing".to_owned(),
            attrs: json!({"b": 1, "a": [null, "x\n"]}).as_object().cloned(),
            created_at: "2026-11-27T09:00:00.123Z".to_owned(),
            updated_at: "2026-11-27T09:00:01.000Z".to_owned(),
        })
    }

    fn change(number: i64, before: Option<GraphItem>) -> GraphChangeCopy {
        GraphChangeCopy {
            number,
            at: "2026-11-27T09:00:00.123456Z".parse().unwrap(),
            change: if before.is_some() { ItemChange::Changed } else { ItemChange::Created },
            kind: ItemKind::Entity,
            id: "ent_one_and_two".to_owned(),
            entity_id: "ent_one_and_two".to_owned(),
            other_id: None,
            before,
            author: Some("bob \"é\"".to_owned()),
            key: Some(KeyId(uuid::Uuid::from_u128(8))),
            session: Some(uuid::Uuid::from_u128(9).to_string()),
            tool: Some("graph_upsert_entity".to_owned()),
        }
    }

    #[test]
    fn a_change_reads_back_from_its_line() {
        let relation = Relation {
            id: "rel_one".to_owned(),
            from_id: "ent_one".to_owned(),
            to_id: "ent_two".to_owned(),
            relation_type: "uses".to_owned(),
            created_at: "2026-11-27T09:00:00.123Z".to_owned(),
        };
        let gone = GraphChangeCopy {
            change: ItemChange::Deleted,
            kind: ItemKind::Relation,
            id: relation.id.clone(),
            entity_id: relation.from_id.clone(),
            other_id: Some(relation.to_id.clone()),
            author: None,
            key: None,
            session: None,
            tool: None,
            ..change(3, Some(GraphItem::Relation(relation)))
        };
        for whole in [change(1, None), change(2, Some(entity())), gone] {
            let line = write_graph_line(&whole).unwrap();
            assert!(!line.contains(&b'\n'));
            assert_eq!(read_graph_line(&line).unwrap(), whole);
        }
    }

    #[test]
    fn a_line_that_is_no_change_is_refused() {
        let line = String::from_utf8(write_graph_line(&change(2, Some(entity()))).unwrap()).unwrap();
        for (from, to) in [
            ("\"number\":2", "\"number\":0"),
            ("\"number\":2", "\"number\":1099511627777"),
            ("\"changed\"", "\"planted\""),
            ("\"changed\"", "\"created\""),
            ("\"kind\":\"entity\"", "\"kind\":\"observation\""),
            ("\"id\":\"ent_one_and_two\",\"entity\"", "\"id\":\"ent_other\",\"entity\""),
            ("\"entity\":\"ent_one_and_two\"", "\"entity\":\"ent_other\""),
            ("\"before\":{", "\"other\":\"ent_other\",\"before\":{"),
            ("2026-11-27T09:00:01.000Z", "never"),
            ("graph_upsert_entity", "a|b"),
            ("graph_upsert_entity", ""),
            ("thing", ""),
        ] {
            let planted = line.replacen(from, to, 1);
            assert_ne!(planted, line);
            assert!(read_graph_line(planted.as_bytes()).is_err(), "{planted}");
        }
        assert!(read_graph_line(line.as_bytes()).is_ok());
        let long = line.replace("bob", &"b".repeat(limits::TRANSFER_LINE_BYTES));
        assert!(read_graph_line(long.as_bytes()).unwrap_err().0.contains("16777216"));
    }

    #[test]
    fn changes_in_another_order_and_changes_that_cannot_be_rows_are_refused() {
        let history = |changes: Vec<GraphChangeCopy>| GraphHistory { changes, left_out: 0 };
        let whole = vec![change(3, Some(entity())), change(2, Some(entity())), change(1, None)];
        assert!(history(whole.clone()).check_for_rows().is_ok());
        for (one, other) in [(0, 1), (1, 2)] {
            let mut mixed = whole.clone();
            mixed.swap(one, other);
            assert!(history(mixed).check_for_rows().unwrap_err().0.contains("order"));
        }
        let mut twice = whole;
        twice[0].number = 2;
        assert!(history(twice).check_for_rows().unwrap_err().0.contains("order"));
        let GraphItem::Entity(entity) = entity() else { panic!("it is an entity") };
        for attrs in [json!({"a": ["\0"]}), json!({"\0": 1})] {
            let entity = Entity { attrs: attrs.as_object().cloned(), ..entity.clone() };
            let null = history(vec![change(1, Some(GraphItem::Entity(entity)))]);
            assert!(null.check_for_rows().unwrap_err().0.contains("null character"));
        }
    }
}
