//! Pointers from entities to documents: stored as a list in `attrs` and as an observation, and read from both.
//!
//! Older readers know one pointer in `attrs.docPath` and `attrs.heading`; these always contain the newest.

use serde_json::{Map, Value};

use crate::error::GraphError;
use crate::graph::ids::trim;
use crate::graph::rules::{ObservationPlan, check_size, label, remark};
use crate::graph::state::GraphState;
use crate::graph::{Entity, Observation, ObservationSource, SourceKind};
use crate::store::{ObservationAdded, ObservationDraft, PointerAdded, PointerDraft};

/// The attribute that holds the list of pointers, oldest first.
pub const POINTERS_ATTRIBUTE: &str = "docPointers";
const PATH_ATTRIBUTE: &str = "docPath";
const HEADING_ATTRIBUTE: &str = "heading";
/// The source reference of an observation that records a pointer.
const SOURCE_REFERENCE: &str = "graph_add_doc_pointer";
const TEXT_PREFIX: &str = "DOC: ";

/// A pointer from an entity to a document.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pointer {
    /// The document's name.
    pub path: String,
    /// A heading in it, or a part of one.
    pub heading: Option<String>,
    /// A remark.
    pub note: Option<String>,
}

/// A pointer that may be written.
#[derive(Debug, Clone, PartialEq)]
pub struct PointerPlan {
    pointer: Pointer,
    /// The observation that records it.
    pub observation: ObservationPlan,
}

impl PointerPlan {
    /// Checks a draft.
    ///
    /// # Errors
    /// Names the argument and the rule that it breaks.
    pub fn new(draft: &PointerDraft) -> Result<Self, GraphError> {
        let pointer = Pointer {
            path: label("docPath", &draft.path)?,
            heading: remark("heading", draft.heading.as_deref())?,
            note: remark("note", draft.note.as_deref())?,
        };
        let source =
            ObservationSource { kind: SourceKind::Tool, reference: Some(SOURCE_REFERENCE.to_owned()) };
        let text = pointer.to_text();
        let observation = ObservationPlan::new(ObservationDraft {
            text,
            source: Some(source),
            ..ObservationDraft::default()
        })?;
        Ok(Self { pointer, observation })
    }

    /// The pointer, with an author for its observation.
    #[must_use]
    pub fn signed(self, author: &str) -> Self {
        Self { observation: self.observation.signed(author), ..self }
    }

    /// The entity with its new attributes and the observation that records the pointer; a store writes both or none.
    /// An entity that has the pointer does not change, its modification time included.
    ///
    /// # Errors
    /// The merged attributes exceed a bound.
    pub fn apply(&self, entity: &Entity, known: &GraphState, now: &str) -> Result<PointerAdded, GraphError> {
        let attrs = with_pointer(entity, &self.pointer)?;
        let ObservationAdded { observation, existed, .. } =
            self.observation.apply(&entity.id, &[known], now)?;
        let entity = if entity.attrs.as_ref() == Some(&attrs) {
            entity.clone()
        } else {
            Entity { attrs: Some(attrs), updated_at: now.to_owned(), ..entity.clone() }
        };
        Ok(PointerAdded { entity, observation, existed })
    }
}

fn with_pointer(entity: &Entity, pointer: &Pointer) -> Result<Map<String, Value>, GraphError> {
    let old = entity.attrs.clone().unwrap_or_default();
    let mut pointers = in_attributes(&old);
    pointers.retain(|known| (&known.path, &known.heading) != (&pointer.path, &pointer.heading));
    pointers.push(pointer.clone());

    let mut attrs = old.clone();
    attrs.insert(PATH_ATTRIBUTE.to_owned(), Value::String(pointer.path.clone()));
    match &pointer.heading {
        Some(heading) => {
            attrs.insert(HEADING_ATTRIBUTE.to_owned(), Value::String(heading.clone()));
        }
        // The heading of an earlier pointer does not belong to this document.
        None => {
            attrs.shift_remove(HEADING_ATTRIBUTE);
        }
    }
    attrs.insert(POINTERS_ATTRIBUTE.to_owned(), pointers.iter().map(Pointer::to_json).collect());
    check_size(&attrs, Some(&old))?;
    Ok(attrs)
}

/// The pointers of an entity: those in `attrs`, the newest first, then those that only observations record, in the
/// given order; each path and heading once. A path without a heading is omitted if the same path has one.
#[must_use]
pub fn pointers<'a>(
    entity: &Entity,
    observations: impl IntoIterator<Item = &'a Observation>,
) -> Vec<Pointer> {
    let mut all: Vec<Pointer> = entity.attrs.as_ref().map(in_attributes).unwrap_or_default();
    all.reverse();
    all.extend(observations.into_iter().filter_map(|observation| Pointer::read(&observation.text)));
    let mut kept: Vec<Pointer> = Vec::new();
    for pointer in &all {
        let known = kept
            .iter()
            .any(|other| other.path == pointer.path && same_heading(&other.heading, &pointer.heading));
        let is_less_exact = pointer.heading.is_none()
            && all.iter().any(|other| other.path == pointer.path && other.heading.is_some());
        if !known && !is_less_exact {
            kept.push(pointer.clone());
        }
    }
    kept
}

impl Pointer {
    /// The text of the observation that records the pointer.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = format!("{TEXT_PREFIX}{}", self.path);
        if let Some(heading) = &self.heading {
            text.push_str(" # ");
            text.push_str(heading);
        }
        if let Some(note) = &self.note {
            text.push_str(" — ");
            text.push_str(note);
        }
        text
    }

    /// Parses the text of an observation that records a pointer: `DOC: <path>[ # <heading>][ — <note>]`.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let rest = trim(text).strip_prefix(TEXT_PREFIX)?;
        // The path ends at a file extension, since a name may itself contain ` # ` or ` — `.
        let (path, rest) = path_end(rest).and_then(|end| rest.split_at_checked(end))?;
        let (rest, note) = match rest.split_once(" — ") {
            Some((before, note)) => (before, Some(note)),
            None => (rest, None),
        };
        let heading = if rest.is_empty() { None } else { Some(rest.strip_prefix(" # ")?) };
        Some(Self { path: path.to_owned(), heading: heading.and_then(filled), note: note.and_then(filled) })
    }

    fn to_json(&self) -> Value {
        let mut members = Map::new();
        members.insert("path".to_owned(), Value::String(self.path.clone()));
        for (key, value) in [("heading", &self.heading), ("note", &self.note)] {
            if let Some(value) = value {
                members.insert(key.to_owned(), Value::String(value.clone()));
            }
        }
        Value::Object(members)
    }

    fn from_json(value: &Value) -> Option<Self> {
        let text = |key: &str| value.get(key).and_then(Value::as_str).and_then(filled);
        Some(Self { path: text("path")?, heading: text("heading"), note: text("note") })
    }
}

/// The pointers in attributes, oldest first. A single pointer that an older program wrote or changed, ignoring the
/// list, is the newest.
fn in_attributes(attrs: &Map<String, Value>) -> Vec<Pointer> {
    let mut pointers: Vec<Pointer> = attrs
        .get(POINTERS_ATTRIBUTE)
        .and_then(Value::as_array)
        .map(|list| list.iter().filter_map(Pointer::from_json).collect())
        .unwrap_or_default();
    let first =
        |keys: &[&str]| keys.iter().find_map(|key| attrs.get(*key).and_then(Value::as_str).and_then(filled));
    // Programs that write a list write `docPath` and `heading`, too; the other names are older.
    let (paths, headings): (&[&str], &[&str]) = if pointers.is_empty() {
        (&[PATH_ATTRIBUTE, "path"], &[HEADING_ATTRIBUTE, "section", "anchor"])
    } else {
        (&[PATH_ATTRIBUTE], &[HEADING_ATTRIBUTE])
    };
    if let Some(path) = first(paths) {
        let heading = first(headings);
        let single = Pointer { path, heading, note: None };
        if !pointers.iter().any(|known| known.path == single.path && known.heading == single.heading) {
            pointers.push(single);
        }
    }
    pointers
}

fn path_end(text: &str) -> Option<usize> {
    let lower = text.to_ascii_lowercase();
    [".md", ".json"]
        .iter()
        .flat_map(|extension| lower.match_indices(extension))
        .map(|(at, extension)| at + extension.len())
        .filter(|end| {
            lower
                .get(*end..)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(" # ") || rest.starts_with(" — "))
        })
        .min()
}

fn same_heading(one: &Option<String>, other: &Option<String>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.to_lowercase() == other.to_lowercase(),
        (None, None) => true,
        _ => false,
    }
}

fn filled(text: &str) -> Option<String> {
    let text = trim(text);
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const NOW: &str = "2026-01-01T00:00:00.000Z";

    fn plan_pointer(
        entity: &Entity,
        draft: &PointerDraft,
        now: &str,
    ) -> Result<(Entity, Observation), GraphError> {
        let pointed = PointerPlan::new(draft)?.apply(entity, &GraphState::default(), now)?;
        Ok((pointed.entity, pointed.observation))
    }

    fn entity(attrs: &Value) -> Entity {
        Entity {
            id: "ent_uJwUBCqjVyWo".into(),
            name: "Rust".into(),
            entity_type: "lang".into(),
            attrs: attrs.as_object().cloned(),
            created_at: NOW.into(),
            updated_at: NOW.into(),
        }
    }

    fn draft(path: &str, heading: Option<&str>, note: Option<&str>) -> PointerDraft {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        PointerDraft { path: path.into(), heading: owned(heading), note: owned(note) }
    }

    fn pointer(path: &str, heading: Option<&str>, note: Option<&str>) -> Pointer {
        let PointerDraft { path, heading, note } = draft(path, heading, note);
        Pointer { path, heading, note }
    }

    #[test]
    fn a_second_pointer_joins_the_first_and_drops_its_heading() {
        let (first, _) =
            plan_pointer(&entity(&json!({"k": 1})), &draft("a.md", Some("H"), None), NOW).unwrap();
        assert_eq!(
            json!(first.attrs),
            json!({"k": 1, "docPath": "a.md", "heading": "H", "docPointers": [{"path": "a.md", "heading": "H"}]})
        );
        let (second, _) = plan_pointer(&first, &draft("b.md", None, Some("why")), NOW).unwrap();
        assert_eq!(
            json!(second.attrs),
            json!({"k": 1, "docPath": "b.md", "docPointers":
                [{"path": "a.md", "heading": "H"}, {"path": "b.md", "note": "why"}]})
        );
    }

    #[test]
    fn a_pointer_of_an_older_program_is_kept() {
        let old = entity(&json!({"docPath": "a.md", "heading": "H"}));
        let (now, _) = plan_pointer(&old, &draft("b.md", None, None), NOW).unwrap();
        assert_eq!(pointers(&now, []), [pointer("b.md", None, None), pointer("a.md", Some("H"), None)]);
    }

    #[test]
    fn a_pointer_observation_is_parsed_into_path_heading_and_note() {
        let text_of = |heading, note| {
            let (_, observation) =
                plan_pointer(&entity(&json!({})), &draft("a.md", heading, note), NOW).unwrap();
            assert_eq!(observation.source.as_ref().unwrap().kind, SourceKind::Tool);
            observation.text
        };
        assert_eq!(text_of(Some("Head"), Some("note")), "DOC: a.md # Head — note");
        assert_eq!(text_of(None, Some("note")), "DOC: a.md — note");
        assert_eq!(
            Pointer::read("DOC: a.md # Head — note").unwrap(),
            pointer("a.md", Some("Head"), Some("note"))
        );
        assert_eq!(Pointer::read("DOC: a.md — note").unwrap(), pointer("a.md", None, Some("note")));
        assert_eq!(Pointer::read("DOC: a # b — c.md").unwrap(), pointer("a # b — c.md", None, None));
        assert_eq!(Pointer::read("DOC: nothing"), None);
        assert_eq!(Pointer::read("see a.md"), None);
    }

    #[test]
    fn pointers_come_from_attributes_first_and_each_once() {
        let subject = entity(&json!({"path": "a.md", "section": "S"}));
        let observe = |text: &str| {
            let draft = ObservationDraft { text: text.into(), ..ObservationDraft::default() };
            ObservationPlan::new(draft)
                .unwrap()
                .apply("ent_x", &[&GraphState::default()], NOW)
                .unwrap()
                .observation
        };
        let observations =
            [observe("DOC: a.md # s"), observe("DOC: a.md"), observe("DOC: b.md"), observe("no")];
        assert_eq!(
            pointers(&subject, &observations),
            [pointer("a.md", Some("S"), None), pointer("b.md", None, None)]
        );
    }

    proptest! {
        #[test]
        fn pointers_are_read_back_from_their_observations(
            path in "[a-z]{1,8}\\.(md|json)",
            heading in proptest::option::of("[A-Za-z0-9#]{1,8}( [a-z]{1,5}){0,2}"),
            note in proptest::option::of("[A-Za-z0-9]{1,8}( [a-z#—]{1,5}){0,2}"),
        ) {
            let pointer = Pointer { path, heading, note };
            prop_assert_eq!(Pointer::read(&pointer.to_text()), Some(pointer));
        }
    }
}
