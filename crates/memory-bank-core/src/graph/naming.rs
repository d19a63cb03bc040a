//! Resolves a caller's text to an entity: by exact id, by exact name, or as `name [type]`.
//!
//! A part of a name never matches: an unknown name is an error with suggestions, and an ambiguous one is an error
//! with the candidates.

use crate::error::GraphError;
use crate::graph::Entity;
use crate::graph::ids::{normalise, normalise_type, trim};
use crate::graph::state::GraphState;
use crate::store::EntityRef;

/// The most names that an error suggests.
pub(crate) const MAX_SUGGESTIONS: usize = 5;
/// The most candidates that an error lists.
const MAX_CANDIDATES: usize = 10;

/// The keys under which a store looks for what an [`EntityRef`] may mean. [`Lookup::choose`] then decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// The name in the request, unchanged.
    pub requested: String,
    /// Entities with this id. A name that only looks like an id is found as a name.
    pub id: String,
    /// Entities with this normalised name.
    pub name: String,
    /// Entities with this normalised name and normalised type.
    pub typed: Option<(String, String)>,
}

impl Lookup {
    /// The keys to look up.
    #[must_use]
    pub fn of(entity: &EntityRef) -> Self {
        let requested = entity.0.clone();
        let typed = trim(&requested)
            .strip_suffix(']')
            .and_then(|rest| rest.rsplit_once('['))
            .map(|(name, entity_type)| (normalise(name), normalise_type(entity_type)))
            .filter(|(name, entity_type)| !name.is_empty() && !entity_type.is_empty());
        Self { id: trim(&requested).to_owned(), name: normalise(&requested), typed, requested }
    }

    /// Chooses among all entities that match any of the keys: the id wins over the name, the name over the name with
    /// type.
    ///
    /// # Errors
    /// No entity matches (without suggestions, which the store adds), or several match.
    pub fn choose<'a>(&self, candidates: &[&'a Entity]) -> Result<&'a Entity, GraphError> {
        if let Some(entity) = candidates.iter().find(|entity| entity.id == self.id) {
            return Ok(entity);
        }
        let by_name = candidates.iter().filter(|entity| normalise(&entity.name) == self.name).copied();
        if let Some(entity) = self.only(by_name.collect())? {
            return Ok(entity);
        }
        if let Some((name, entity_type)) = &self.typed {
            let by_type = candidates.iter().copied().filter(|entity| {
                normalise(&entity.name) == *name && normalise_type(&entity.entity_type) == *entity_type
            });
            if let Some(entity) = self.only(by_type.collect())? {
                return Ok(entity);
            }
        }
        Err(GraphError::EntityNotFound { name: self.requested.clone(), suggestions: Vec::new() })
    }

    fn only<'a>(&self, entities: Vec<&'a Entity>) -> Result<Option<&'a Entity>, GraphError> {
        if entities.len() < 2 {
            return Ok(entities.into_iter().next());
        }
        let candidates = entities
            .iter()
            .take(MAX_CANDIDATES)
            .map(|entity| format!("{} [{}] ({})", entity.name, entity.entity_type, entity.id))
            .collect();
        Err(GraphError::Ambiguous { name: self.requested.clone(), candidates })
    }
}

impl GraphState {
    /// The entity that the caller names.
    ///
    /// # Errors
    /// No entity has this id or exact name (with suggestions), or several have.
    pub fn resolve(&self, entity: &EntityRef) -> Result<&Entity, GraphError> {
        let lookup = Lookup::of(entity);
        let mut candidates: Vec<&Entity> = self.entity(&lookup.id).into_iter().collect();
        if !lookup.name.is_empty() {
            candidates.extend(self.named(&lookup.name));
        }
        if let Some((name, _)) = &lookup.typed {
            candidates.extend(self.named(name));
        }
        lookup.choose(&candidates).map_err(|error| match error {
            GraphError::EntityNotFound { name, .. } => {
                let suggestions = self.suggestions(&name);
                GraphError::EntityNotFound { name, suggestions }
            }
            other => other,
        })
    }

    /// The most similar names of entities, best first, at most five.
    #[must_use]
    pub fn suggestions(&self, name: &str) -> Vec<String> {
        suggest(&normalise(name), self.normalised_names())
            .into_iter()
            .filter_map(|name| self.named(name).next().map(|entity| entity.name.clone()))
            .collect()
    }
}

/// The most similar names, best first, at most five: those that begin with the requested one, contain it or are
/// contained in it, then those that differ in few letters. All are in normal form.
fn suggest<'a>(misspelt: &str, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let length = misspelt.chars().count();
    if length == 0 || misspelt.len() > crate::limits::LABEL_BYTES {
        return Vec::new();
    }
    let tolerance = 1 + length / 4;
    let mut close: Vec<(usize, usize, &str)> = Vec::new();
    for name in names {
        let kind = if name.starts_with(misspelt) {
            Some((0, name.len()))
        } else if name.contains(misspelt) {
            Some((1, name.len()))
        } else if name.len() >= 3 && misspelt.contains(name) {
            Some((2, misspelt.len() - name.len()))
        } else {
            bounded_distance(misspelt, name, tolerance).map(|distance| (3, distance))
        };
        if let Some((kind, rank)) = kind {
            let entry = (kind, rank, name);
            let position = close.partition_point(|known| *known <= entry);
            close.insert(position, entry);
            close.truncate(MAX_SUGGESTIONS);
        }
    }
    close.into_iter().map(|(_, _, name)| name).collect()
}

/// The edit distance of two texts, if it is at most `bound`. It is not `strsim`'s, which computes the whole table: this one stops
/// at the first row above the bound. A project may have many thousand names of up to [`crate::limits::LABEL_BYTES`] each, and all
/// of them are compared with a name that was not found.
fn bounded_distance(one: &str, other: &str, bound: usize) -> Option<usize> {
    let other: Vec<char> = other.chars().take(crate::limits::LABEL_BYTES).collect();
    if one.chars().count().abs_diff(other.len()) > bound {
        return None;
    }
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, character) in one.chars().enumerate() {
        let mut next = Vec::with_capacity(row.len());
        next.push(at + 1);
        for ((known, diagonal), above) in other.iter().zip(&row).zip(row.iter().skip(1)) {
            let left = next.last().copied().unwrap_or(usize::MAX - 1);
            let replaced = diagonal + usize::from(*known != character);
            next.push(replaced.min(above + 1).min(left + 1));
        }
        if next.iter().min().is_none_or(|least| *least > bound) {
            return None;
        }
        row = next;
    }
    row.last().copied().filter(|distance| *distance <= bound)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::event::Event;
    use crate::graph::ids::entity_id;

    fn entity(name: &str, entity_type: &str) -> Entity {
        Entity {
            id: entity_id(name, entity_type),
            name: name.to_owned(),
            entity_type: entity_type.to_owned(),
            attrs: None,
            created_at: "2026-01-01".to_owned(),
            updated_at: "2026-01-01".to_owned(),
        }
    }

    fn state(entities: &[(&str, &str)]) -> GraphState {
        let mut state = GraphState::default();
        for (name, entity_type) in entities {
            state.apply(Event::EntityUpsert { entity: entity(name, entity_type), ts: "2026".to_owned() });
        }
        state
    }

    fn found(state: &GraphState, name: &str) -> String {
        state.resolve(&EntityRef(name.to_owned())).unwrap().id.clone()
    }

    #[test]
    fn an_entity_is_found_by_id_by_name_in_any_spelling_and_by_name_with_type() {
        let state = state(&[("Rust  Lang", "Language")]);
        let id = entity_id("Rust Lang", "language");
        assert_eq!(found(&state, &id), id);
        assert_eq!(found(&state, " rust LANG "), id);
        assert_eq!(found(&state, "rust lang [LANGUAGE]"), id);
    }

    #[test]
    fn a_part_of_a_name_and_a_blank_never_resolve() {
        let state = state(&[("Alpha", "t"), ("Alphabet", "t")]);
        for name in ["lph", "   ", "", "Alph", "[t]", " [t]"] {
            let error = state.resolve(&EntityRef(name.to_owned())).unwrap_err();
            assert!(matches!(error, GraphError::EntityNotFound { .. }), "{name:?}: {error}");
        }
    }

    #[test]
    fn unmatched_texts_come_with_suggestions() {
        let state = state(&[("Alpha", "t"), ("Beta", "t"), ("Gamma Service", "t")]);
        let suggestions = |name: &str| match state.resolve(&EntityRef(name.to_owned())) {
            Err(GraphError::EntityNotFound { suggestions, .. }) => suggestions,
            other => panic!("{other:?}"),
        };
        assert_eq!(suggestions("lph"), ["Alpha"]);
        assert_eq!(suggestions("alhpa"), ["Alpha"]);
        assert_eq!(suggestions("gamma"), ["Gamma Service"]);
        assert!(suggestions("entirely different").is_empty());
    }

    #[test]
    fn a_name_of_several_types_is_ambiguous_until_the_type_is_given() {
        let state = state(&[("Mercury", "planet"), ("Mercury", "metal")]);
        let error = state.resolve(&EntityRef("mercury".to_owned())).unwrap_err();
        match error {
            GraphError::Ambiguous { candidates, .. } => assert_eq!(candidates.len(), 2),
            other => panic!("{other}"),
        }
        assert_eq!(found(&state, "Mercury [metal]"), entity_id("mercury", "metal"));
    }

    #[test]
    fn a_name_that_looks_like_an_id_is_found() {
        let state = state(&[("ent_fake", "t"), ("Zed [x]", "y")]);
        assert_eq!(found(&state, "ent_fake"), entity_id("ent_fake", "t"));
        assert_eq!(found(&state, "zed [X]"), entity_id("zed [x]", "y"));
    }
}
