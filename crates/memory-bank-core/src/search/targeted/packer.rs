//! Assembles the pack: the most important parts first, each within its share of the space.

use std::collections::HashSet;

use super::excerpt::excerpt;
use super::json_size::{self, RemainingChars, escaped_prefix};
use super::reply::{
    Budget, ContextPointer, DigestPart, Excerpt, GraphHit, GraphPart, Material, OpenedEntity,
    OpenedObservation, OpenedRelation, TargetedBounds, TargetedContext,
};
use crate::graph::Observation;
use crate::search::lines::clip;
use crate::store::{EntityFound, GraphFound};

/// The shortest useful excerpt.
const MIN_EXCERPT_CHARS: usize = 50;

/// The length of a shortened observation.
const SHORT_OBSERVATION_CHARS: usize = 200;

/// How many of its newest observations are shown with each hit.
const NEWEST_OBSERVATIONS: usize = 5;

/// The space below which no excerpt fits.
const MIN_SPACE_FOR_EXCERPT: usize = 300;

/// The space for the note about omissions.
const OMISSIONS_CHARS: usize = 100;

/// Assembles the pack: at most `max_chars` characters as JSON.
#[must_use]
pub fn pack(
    material: &Material<'_>,
    planned: Vec<ContextPointer>,
    bounds: &TargetedBounds,
) -> TargetedContext {
    let readable = planned.into_iter().filter(|pointer| material.texts.contains_key(&pointer.path));
    let pointers: Vec<ContextPointer> = readable.take(bounds.max_files).collect();
    let mut packer = Packer::new(material, bounds);
    packer.digest();
    packer.hits();
    packer.pointers(&pointers);
    // Excerpts take precedence over the graph's details, which get a part of the space and what the excerpts leave.
    let details = Details::of(material.graph);
    packer.details(&details, 2.0 / 5.0);
    packer.excerpts(&pointers);
    packer.details(&details, 1.0);
    packer.finish(&details)
}

/// The graph's details by importance; they are omitted from the end.
struct Details<'a> {
    entities: Vec<&'a EntityFound>,
    observations: Vec<&'a Observation>,
    relations: Vec<OpenedRelation>,
}

impl<'a> Details<'a> {
    fn of(graph: &'a GraphFound) -> Self {
        let mut seen = HashSet::new();
        let matching = graph.observations.iter().map(|found| &found.observation);
        let newest =
            graph.entities.iter().flat_map(|found| found.observations.iter().take(NEWEST_OBSERVATIONS));
        let observations = matching.chain(newest).filter(|one| seen.insert(one.id.as_str())).collect();
        let relations = graph.relations.iter().map(|found| OpenedRelation {
            from_id: found.relation.from_id.clone(),
            to_id: found.relation.to_id.clone(),
            relation_type: found.relation.relation_type.clone(),
        });
        Self {
            entities: graph.entities.iter().chain(&graph.neighbours).collect(),
            observations,
            relations: relations.collect(),
        }
    }
}

struct Packer<'a> {
    material: &'a Material<'a>,
    context: TargetedContext,
    remaining: RemainingChars,
    attrs_left_out: usize,
    texts_cut: usize,
    hits_left_out: usize,
    pointers_left_out: usize,
    excerpts_left_out: usize,
}

impl<'a> Packer<'a> {
    fn new(material: &'a Material<'a>, bounds: &TargetedBounds) -> Self {
        let mut context = TargetedContext {
            query: clip(material.query, 0, bounds.max_chars / 10),
            digest: DigestPart::default(),
            graph: GraphPart::default(),
            pointers: Vec::new(),
            excerpts: Vec::new(),
            budget: Budget {
                max_chars: bounds.max_chars,
                used_chars: bounds.max_chars,
                truncated: false,
                left_out: Some("x".repeat(OMISSIONS_CHARS)),
            },
        };
        // A query of characters that JSON escapes by six characters each may still be too long.
        while json_size::length(&context) > bounds.max_chars && !context.query.is_empty() {
            context.query = context.query.chars().take(context.query.chars().count() / 2).collect();
        }
        let cut = context.query.chars().count() < material.query.chars().count();
        let remaining = RemainingChars::new(bounds.max_chars.saturating_sub(json_size::length(&context)));
        let texts_cut = usize::from(cut);
        Self {
            material,
            context,
            remaining,
            attrs_left_out: 0,
            texts_cut,
            hits_left_out: 0,
            pointers_left_out: 0,
            excerpts_left_out: 0,
        }
    }

    fn digest(&mut self) {
        let left = self.remaining.left();
        // A very small pack consists of the digest only.
        let max_chars = if left < MIN_SPACE_FOR_EXCERPT { left.saturating_sub(6) } else { left / 2 };
        let text = escaped_prefix(self.material.digest, max_chars);
        self.texts_cut += usize::from(text.len() < self.material.digest.len());
        self.remaining.take(json_size::escaped_length(text) + 6);
        self.context.digest = DigestPart { text: text.to_owned(), chars: text.chars().count() };
    }

    fn hits(&mut self) {
        let floor = self.remaining.floor(2.0 / 5.0);
        for found in &self.material.graph.entities {
            let hit = GraphHit {
                id: found.entity.id.clone(),
                name: found.entity.name.clone(),
                entity_type: found.entity.entity_type.clone(),
                score: found.score,
                matched_in: found.matched_in.clone(),
            };
            if self.remaining.fits(&hit, floor) {
                self.context.graph.hits.push(hit);
            } else {
                self.hits_left_out += 1;
            }
        }
    }

    fn pointers(&mut self, pointers: &[ContextPointer]) {
        let floor = self.remaining.floor(2.0 / 5.0);
        for pointer in pointers {
            if self.remaining.fits(pointer, floor) {
                self.context.pointers.push(pointer.clone());
            } else {
                self.pointers_left_out += 1;
            }
        }
    }

    /// Adds missing details while they fit into this share of the space.
    fn details(&mut self, details: &Details<'_>, share: f64) {
        let floor = self.remaining.floor(share);
        let hits = self.material.graph.entities.len();
        let (own, neighbours) = details.entities.split_at_checked(hits).unwrap_or((&details.entities, &[]));
        self.entities(own, floor);
        self.observations(&details.observations, floor);
        let known = self.context.graph.opened.relations.len();
        for relation in details.relations.iter().skip(known) {
            if !self.remaining.fits(relation, floor) {
                break;
            }
            self.context.graph.opened.relations.push(relation.clone());
        }
        self.entities(neighbours, floor);
    }

    fn entities(&mut self, entities: &[&EntityFound], floor: usize) {
        let opened = &mut self.context.graph.opened.entities;
        for found in entities {
            if opened.iter().any(|known| known.id == found.entity.id) {
                continue;
            }
            let whole = OpenedEntity {
                id: found.entity.id.clone(),
                name: found.entity.name.clone(),
                entity_type: found.entity.entity_type.clone(),
                attrs: found.entity.attrs.clone(),
            };
            if self.remaining.fits(&whole, floor) {
                opened.push(whole);
                continue;
            }
            let short = OpenedEntity { attrs: None, ..whole };
            if self.remaining.fits(&short, floor) {
                self.attrs_left_out += usize::from(found.entity.attrs.is_some());
                opened.push(short);
            }
        }
    }

    fn observations(&mut self, observations: &[&Observation], floor: usize) {
        let opened = &mut self.context.graph.opened.observations;
        let present: HashSet<String> = opened.iter().map(|one| one.id.clone()).collect();
        for one in observations.iter().filter(|one| !present.contains(&one.id)) {
            let whole = OpenedObservation {
                id: one.id.clone(),
                entity_id: one.entity_id.clone(),
                text: one.text.clone(),
                timestamp: one.timestamp.clone(),
            };
            if self.remaining.fits(&whole, floor) {
                opened.push(whole);
                continue;
            }
            let short = OpenedObservation { text: clip(&one.text, 0, SHORT_OBSERVATION_CHARS), ..whole };
            if short.text.len() < one.text.len() && self.remaining.fits(&short, floor) {
                self.texts_cut += 1;
                opened.push(short);
            }
        }
    }

    fn excerpts(&mut self, pointers: &[ContextPointer]) {
        let count = pointers.len();
        for (at, pointer) in pointers.iter().enumerate() {
            let Some(text) = self.material.texts.get(&pointer.path) else { continue };
            let (whole, rationale) = excerpt(text, pointer, self.material.documents);
            let mut excerpt =
                Excerpt { path: pointer.path.clone(), excerpt: String::new(), chars: 0, rationale };
            let frame = self.remaining.cost(&excerpt) + 6;
            // The first documents are the best, but none gets all the space.
            let left = self.remaining.left().saturating_sub(frame);
            let share = if at + 1 == count { left } else { left * 3 / 5 };
            let text = json_size::cut_to(&whole, share);
            if text.trim().is_empty() {
                continue;
            }
            if text.chars().count() < MIN_EXCERPT_CHARS.min(whole.chars().count()) {
                self.excerpts_left_out += 1;
                continue;
            }
            let is_cut = text != whole;
            excerpt.chars = text.chars().count();
            excerpt.excerpt = text;
            if self.remaining.fits(&excerpt, 0) {
                self.context.excerpts.push(excerpt);
                self.texts_cut += usize::from(is_cut);
            } else {
                self.excerpts_left_out += 1;
            }
        }
    }

    fn finish(mut self, details: &Details<'_>) -> TargetedContext {
        let max = self.context.budget.max_chars;
        loop {
            self.describe(details);
            if self.context.budget.used_chars <= max || !self.drop_last() {
                return self.context;
            }
        }
    }

    /// Adds the omissions and the size of the whole.
    fn describe(&mut self, details: &Details<'_>) {
        let opened = &self.context.graph.opened;
        let omitted = |all: usize, given: usize| all.saturating_sub(given);
        let counts = [
            (self.hits_left_out, "hits"),
            (omitted(details.entities.len(), opened.entities.len()), "entities"),
            (omitted(details.observations.len(), opened.observations.len()), "observations"),
            (omitted(details.relations.len(), opened.relations.len()), "relations"),
            (self.pointers_left_out, "pointers"),
            (self.excerpts_left_out, "excerpts"),
            (self.attrs_left_out, "attrs"),
        ];
        let mut message: Vec<String> = counts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        if self.material.graph.more {
            message.push("more of the graph".to_owned());
        }
        if self.texts_cut > 0 {
            message.push(format!("ends of {} texts", self.texts_cut));
        }
        let budget = &mut self.context.budget;
        budget.truncated = !message.is_empty();
        budget.left_out = (!message.is_empty()).then(|| message.join(", "));
        budget.used_chars = 0;
        // The number of digits counts too.
        for _ in 0..3 {
            self.context.budget.used_chars = json_size::length(&self.context);
        }
    }

    /// The size is estimated from above, so this is not expected; it guarantees the bound.
    fn drop_last(&mut self) -> bool {
        let opened = &mut self.context.graph.opened;
        let dropped = opened.observations.pop().is_some()
            || opened.relations.pop().is_some()
            || opened.entities.pop().is_some();
        if dropped {
            return true;
        }
        if self.context.excerpts.pop().is_some() {
            self.excerpts_left_out += 1;
            return true;
        }
        if self.context.pointers.pop().is_some() {
            self.pointers_left_out += 1;
            return true;
        }
        if self.context.graph.hits.pop().is_some() {
            self.hits_left_out += 1;
            return true;
        }
        let cut = !self.context.digest.text.is_empty();
        self.context.digest = DigestPart::default();
        cut
    }
}
