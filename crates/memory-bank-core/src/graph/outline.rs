//! The outline of a graph: its entities and relations without facts and attributes, now or as they were at a time. Stores
//! add their rows to a [`OutlineBuilder`], which has the rules.

use std::collections::{BTreeSet, HashMap};

use crate::graph::timestamp::instant;
use crate::graph::{Entity, Relation};
use crate::limits;

/// An entity of an outline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutlineEntity {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its type, as an index into [`Outline::types`].
    pub entity_type: usize,
}

/// A relation of an outline. Both ends are indices into [`Outline::entities`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutlineRelation {
    /// Its source.
    pub from: usize,
    /// Its target.
    pub to: usize,
    /// Its type, as an index into [`Outline::relation_types`].
    pub relation_type: usize,
}

/// The entities and relations of a graph.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outline {
    /// In storage order; those that were deleted since the time are last.
    pub entities: Vec<OutlineEntity>,
    /// Relations whose ends are both there.
    pub relations: Vec<OutlineRelation>,
    /// The types of entities.
    pub types: Vec<String>,
    /// The types of relations.
    pub relation_types: Vec<String>,
    /// When the first of all entities was made, in milliseconds since 1970, whichever time the outline has.
    pub first: Option<i64>,
    /// Whether the graph has more than the outline has room for.
    pub is_cut: bool,
}

/// Makes an outline. It takes items of all kinds in any order, and leaves out items that are newer than the time.
#[derive(Debug, Default)]
pub struct OutlineBuilder {
    at: Option<i64>,
    /// Items that were deleted at the time, and were restored later with their first timestamp.
    absent: BTreeSet<String>,
    indices: HashMap<String, usize>,
    types: HashMap<String, usize>,
    relation_types: HashMap<String, usize>,
    relations: Vec<(String, String, usize)>,
    known: BTreeSet<String>,
    outline: Outline,
}

impl OutlineBuilder {
    /// An outline of the graph as it was at this time in milliseconds since 1970, or as it is.
    #[must_use]
    pub fn at(at: Option<i64>) -> Self {
        Self { at, ..Self::default() }
    }

    /// Leaves out an item that had been deleted at the time, and was brought back with its original time later.
    pub fn leave_out(&mut self, id: &str) {
        self.absent.insert(id.to_owned());
    }

    /// Takes back [`Self::leave_out`].
    pub fn let_in(&mut self, id: &str) {
        self.absent.remove(id);
    }

    /// Adds an entity.
    pub fn entity(&mut self, Entity { id, name, entity_type, created_at, .. }: &Entity) {
        let created = instant(created_at);
        if let Some(created) = created {
            self.outline.first = Some(self.outline.first.map_or(created, |first| first.min(created)));
        }
        if !self.is_meant(id, created) || self.indices.contains_key(id) {
            return;
        }
        if self.outline.entities.len() >= limits::OUTLINE_ENTITIES {
            self.outline.is_cut = true;
            return;
        }
        let entity_type = index_of(&mut self.types, &mut self.outline.types, entity_type);
        self.indices.insert(id.clone(), self.outline.entities.len());
        self.outline.entities.push(OutlineEntity { id: id.clone(), name: name.clone(), entity_type });
    }

    /// Adds a relation.
    pub fn relation(&mut self, Relation { id, from_id, to_id, relation_type, created_at }: &Relation) {
        if !self.is_meant(id, instant(created_at)) || self.known.contains(id) {
            return;
        }
        if self.relations.len() >= limits::OUTLINE_RELATIONS {
            self.outline.is_cut = true;
            return;
        }
        self.known.insert(id.clone());
        let relation_type =
            index_of(&mut self.relation_types, &mut self.outline.relation_types, relation_type);
        self.relations.push((from_id.clone(), to_id.clone(), relation_type));
    }

    /// The outline.
    #[must_use]
    pub fn finish(self) -> Outline {
        let Self { indices, relations, mut outline, .. } = self;
        let both = |(from, to, relation_type): (String, String, usize)| {
            let (from, to) = (*indices.get(&from)?, *indices.get(&to)?);
            Some(OutlineRelation { from, to, relation_type })
        };
        outline.relations = relations.into_iter().filter_map(both).collect();
        outline
    }

    /// Whether an item existed at the time. An item without a readable time always did.
    fn is_meant(&self, id: &str, created: Option<i64>) -> bool {
        let Some(at) = self.at else { return true };
        created.is_none_or(|created| created <= at) && !self.absent.contains(id)
    }
}

fn index_of(indices: &mut HashMap<String, usize>, words: &mut Vec<String>, word: &str) -> usize {
    if let Some(index) = indices.get(word) {
        return *index;
    }
    words.push(word.to_owned());
    indices.insert(word.to_owned(), words.len() - 1);
    words.len() - 1
}
