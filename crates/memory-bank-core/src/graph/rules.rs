//! Turns a request into a change of the graph: validated, normalised, merged with the existing data. These are pure
//! functions of the affected rows, so that a store with a log and a store with tables follow the same rules.

use serde_json::{Map, Value};

use crate::error::GraphError;
use crate::graph::ids::{entity_id, relation_id, trim};
use crate::graph::{Entity, Observation, ObservationSource, Relation, SourceKind, Validity, timestamp};
use crate::limits;
use crate::store::{EntityDraft, ObservationDraft};

/// A checked entity: its labels are trimmed and within bounds, its id is known.
#[derive(Debug, Clone, PartialEq)]
pub struct EntityPlan {
    /// The id of the entity, by which a store finds an existing one.
    pub id: String,
    name: String,
    entity_type: String,
    attrs: Option<Map<String, Value>>,
}

impl EntityPlan {
    /// Checks a draft.
    ///
    /// # Errors
    /// Names the argument and the rule that it breaks.
    pub fn new(draft: EntityDraft) -> Result<Self, GraphError> {
        let name = label("name", &draft.name)?;
        let entity_type = label("entityType", &draft.entity_type)?;
        if let Some(attrs) = &draft.attrs {
            check_values(attrs.values(), 1)?;
            if attrs.keys().any(|key| key.contains('\0')) {
                return Err(GraphError::Invalid("attrs has a key with a null character".to_owned()));
            }
        }
        Ok(Self { id: entity_id(&name, &entity_type), name, entity_type, attrs: draft.attrs })
    }

    /// The entity to store: the new spelling, attributes merged key by key into the existing ones (`null` deletes a
    /// key; without `attrs` all stay), and the existing creation time.
    ///
    /// # Errors
    /// The merged attributes exceed [`limits::ATTRIBUTES_BYTES`].
    pub fn apply(self, existing: Option<&Entity>, now: &str) -> Result<Entity, GraphError> {
        let old = existing.and_then(|entity| entity.attrs.as_ref());
        let attrs = match self.attrs {
            None => old.cloned(),
            Some(changes) => {
                let merged = merge(old.cloned().unwrap_or_default(), changes);
                check_size(&merged, old)?;
                Some(merged)
            }
        };
        Ok(Entity {
            id: self.id,
            name: self.name,
            entity_type: self.entity_type,
            attrs,
            created_at: existing.map_or_else(|| now.to_owned(), |entity| entity.created_at.clone()),
            updated_at: now.to_owned(),
        })
    }
}

/// A checked observation: its text is trimmed and within bounds, its time is parsed if one was given.
#[derive(Debug, Clone, PartialEq)]
pub struct ObservationPlan {
    /// The text to store.
    pub text: String,
    /// Where it comes from.
    pub source: Option<ObservationSource>,
    /// From when until when it holds, and what it replaces, by ids or texts.
    pub validity: Validity,
    timestamp: Option<String>,
    author: Option<String>,
    /// With how many of the newest facts it is compared.
    compared: usize,
}

impl ObservationPlan {
    /// Checks a draft.
    ///
    /// # Errors
    /// Names the argument and the rule that it breaks.
    pub fn new(draft: ObservationDraft) -> Result<Self, GraphError> {
        let text = trim(&draft.text).to_owned();
        if text.is_empty() {
            return Err(GraphError::Invalid("text is blank; give the fact".to_owned()));
        }
        within("text", text.len(), limits::OBSERVATION_BYTES)?;
        no_null("text", &text)?;
        if let Some(reference) = draft.source.as_ref().and_then(|source| source.reference.as_ref()) {
            within("source", reference.len(), limits::LINE_BYTES)?;
            no_null("source", reference)?;
        }
        let timestamp = match draft.timestamp.as_deref().map(trim) {
            None | Some("") => None,
            Some(given) => Some(timestamp::parse_new(given)?),
        };
        Ok(Self {
            text,
            source: draft.source,
            validity: draft.validity.checked()?,
            timestamp,
            author: None,
            compared: limits::COMPARED_FACTS,
        })
    }

    /// The observation with an author. The author does not distinguish observations: an existing one keeps its own.
    #[must_use]
    pub fn signed(mut self, author: &str) -> Self {
        self.author = Some(author.to_owned());
        self
    }

    /// Returns this observation, to be compared with at most `compared` facts.
    #[must_use]
    pub fn compared_with(self, compared: usize) -> Self {
        Self { compared, ..self }
    }

    /// With how many of the newest facts of its entity it is compared.
    #[must_use]
    pub fn compared(&self) -> usize {
        self.compared
    }

    /// The given time in its stored form.
    #[must_use]
    pub fn timestamp(&self) -> Option<&str> {
        self.timestamp.as_deref()
    }
}

/// The relation between two entities. An existing relation with its id does not change.
///
/// # Errors
/// The type is blank or too long.
pub fn plan_relation(
    from_id: &str,
    relation_type: &str,
    to_id: &str,
    now: &str,
) -> Result<Relation, GraphError> {
    let relation_type = label("relationType", relation_type)?;
    Ok(Relation {
        id: relation_id(from_id, &relation_type, to_id),
        from_id: from_id.to_owned(),
        to_id: to_id.to_owned(),
        relation_type,
        created_at: now.to_owned(),
    })
}

/// Checks that an observation belongs to the entity that the caller named with it.
///
/// # Errors
/// It belongs to another entity; `owner_name` is the name (or id) of that entity.
pub fn check_owner(observation: &Observation, named: &Entity, owner_name: &str) -> Result<(), GraphError> {
    if observation.entity_id == named.id {
        return Ok(());
    }
    Err(GraphError::Invalid(format!(
        "observation `{}` belongs to `{owner_name}`, not to `{}`; leave out the entity or name its owner",
        observation.id, named.name
    )))
}

impl ObservationSource {
    /// Parses a source in an argument: one of the four words, another text (which becomes the reference of a manual
    /// source), or the stored object. Blank text and `null` mean no source.
    ///
    /// # Errors
    /// It has another form.
    pub fn from_argument(value: &Value) -> Result<Option<Self>, GraphError> {
        match value {
            Value::Null => Ok(None),
            Value::String(text) => Ok(Self::from_text(text)),
            Value::Object(members) => {
                let kind = members.get("kind").and_then(Value::as_str).and_then(SourceKind::from_word);
                let reference = match members.get("ref") {
                    None | Some(Value::Null) => Some(None),
                    Some(Value::String(text)) => Some(Some(text.clone())),
                    Some(_) => None,
                };
                match (kind, reference) {
                    (Some(kind), Some(reference)) => Ok(Some(Self { kind, reference })),
                    _ => Err(Self::refused()),
                }
            }
            _ => Err(Self::refused()),
        }
    }

    /// Parses a source given as text; see [`Self::from_argument`].
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let text = trim(text);
        if text.is_empty() {
            return None;
        }
        Some(match SourceKind::from_word(text) {
            Some(kind) => Self { kind, reference: None },
            None => Self { kind: SourceKind::Manual, reference: Some(text.to_owned()) },
        })
    }

    fn refused() -> GraphError {
        GraphError::Invalid(
            "source must be text, or an object with `kind` (manual, tool, import or agent) and optionally `ref` (text)"
                .to_owned(),
        )
    }
}

/// A name or type in its stored form: trimmed, not blank, within bounds.
pub(super) fn label(argument: &str, text: &str) -> Result<String, GraphError> {
    let text = trim(text);
    if text.is_empty() {
        return Err(GraphError::Invalid(format!("{argument} is blank; give it a text")));
    }
    within(argument, text.len(), limits::LABEL_BYTES)?;
    no_null(argument, text)?;
    Ok(text.to_owned())
}

/// One line of free text: trimmed and within bounds; `None` if blank.
pub(super) fn remark(argument: &str, text: Option<&str>) -> Result<Option<String>, GraphError> {
    let Some(text) = text.map(trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    within(argument, text.len(), limits::LINE_BYTES)?;
    no_null(argument, text)?;
    Ok(Some(text.to_owned()))
}

/// Checks the size of merged attributes; attributes that were too large before may shrink.
pub(crate) fn check_size(
    merged: &Map<String, Value>,
    old: Option<&Map<String, Value>>,
) -> Result<(), GraphError> {
    let size = json_size(merged);
    if size > limits::ATTRIBUTES_BYTES && old.is_none_or(|old| json_size(old) <= size) {
        return within("attrs", size, limits::ATTRIBUTES_BYTES);
    }
    Ok(())
}

fn merge(mut attrs: Map<String, Value>, changes: Map<String, Value>) -> Map<String, Value> {
    for (key, value) in changes {
        if value.is_null() {
            attrs.shift_remove(&key);
        } else {
            attrs.insert(key, value);
        }
    }
    attrs
}

/// The length of an object as compact JSON, in bytes.
fn json_size(attrs: &Map<String, Value>) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // Counting cannot fail, and an object of JSON values can always be written.
    if serde_json::to_writer(&mut count, attrs).is_err() {
        return usize::MAX;
    }
    count.0
}

fn check_values<'a>(values: impl Iterator<Item = &'a Value>, depth: usize) -> Result<(), GraphError> {
    if depth > limits::ATTRIBUTES_DEPTH {
        return Err(GraphError::Invalid(format!(
            "attrs is nested more than {} levels deep; flatten it",
            limits::ATTRIBUTES_DEPTH
        )));
    }
    for value in values {
        match value {
            Value::String(text) => no_null("attrs", text)?,
            Value::Array(items) => check_values(items.iter(), depth + 1)?,
            Value::Object(members) => {
                members.keys().try_for_each(|key| no_null("attrs", key))?;
                check_values(members.values(), depth + 1)?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Refuses null characters, which databases cannot store.
fn no_null(argument: &str, text: &str) -> Result<(), GraphError> {
    if text.contains('\0') {
        return Err(GraphError::Invalid(format!("{argument} contains a null character; leave it out")));
    }
    Ok(())
}

fn within(argument: &str, got: usize, limit: usize) -> Result<(), GraphError> {
    if got > limit {
        return Err(GraphError::Invalid(format!(
            "{argument} is {got} bytes long, at most {limit} are allowed"
        )));
    }
    Ok(())
}

mod observation;
#[cfg(test)]
mod tests;
