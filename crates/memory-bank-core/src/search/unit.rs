//! The unit of search: the smallest piece of text that answers a question by itself.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::language::Language;

/// The kind of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UnitKind {
    /// A document by its name; the parent of its top-level units. Found by its exact name only.
    Document,
    /// A heading, or the key of a JSON object or list; the parent of the units of its section. Its text is its own
    /// title only.
    Heading,
    /// A paragraph, a line of a paragraph of separate lines, or some sentences of a long line.
    Paragraph,
    /// A list item without the items nested in it.
    Item,
    /// A row of a table.
    Row,
    /// Some lines of a code block.
    Code,
    /// A value in a JSON document, with its key.
    Value,
    /// An entity of the graph: its name, type and attributes.
    Entity,
    /// An observation on an entity.
    Observation,
}

impl UnitKind {
    /// Whether units of this kind have other units as children, so that they are not neighbours in the flow of text.
    #[must_use]
    pub fn is_container(self) -> bool {
        matches!(self, Self::Document | Self::Heading | Self::Entity)
    }

    /// Whether it comes from the graph.
    #[must_use]
    pub fn is_in_graph(self) -> bool {
        matches!(self, Self::Entity | Self::Observation)
    }
}

/// One unit of a source: of a document, or of an entity with its observations. The links are positions in the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// The kind.
    pub kind: UnitKind,
    /// The searched text.
    pub text: String,
    /// The first line in the document, from 1; 0 in the graph.
    pub line: usize,
    /// The number of lines.
    pub lines: usize,
    /// The number of characters before it in its first line; several units may share one long line.
    pub from: usize,
    /// The plain text of the headings above it, outermost first, with its own if it has one.
    pub path: Arc<[String]>,
    /// The unit to which it belongs: its heading, document or entity.
    pub parent: Option<usize>,
    /// The unit before it with the same parent.
    pub previous: Option<usize>,
    /// The unit after it with the same parent.
    pub next: Option<usize>,
}

impl Unit {
    /// The unit of a whole document. `stem` is its name without the extension.
    pub(super) fn of_document(stem: &str) -> Self {
        Self {
            kind: UnitKind::Document,
            text: stem.to_owned(),
            line: 1,
            lines: 1,
            from: 0,
            path: Arc::from([]),
            parent: None,
            previous: None,
            next: None,
        }
    }

    /// Its own heading, if it has one.
    #[must_use]
    pub fn title(&self) -> Option<&str> {
        if self.kind == UnitKind::Heading { self.path.last().map(String::as_str) } else { None }
    }

    /// A hash of the content and the language; the position does not count.
    #[must_use]
    pub fn fingerprint(&self, language: Language) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.kind, language, &self.text).hash(&mut hasher);
        hasher.finish()
    }
}

/// Sets `previous` and `next`: the neighbours in reading order that belong to the same parent.
pub(super) fn link_neighbours(units: &mut [Unit]) {
    let mut last_child: Vec<Option<usize>> = vec![None; units.len()];
    for at in 0..units.len() {
        let Some(unit) = units.get(at) else { continue };
        let (false, Some(parent)) = (unit.kind.is_container(), unit.parent) else { continue };
        let previous = last_child.get_mut(parent).and_then(|last| last.replace(at));
        if let Some(before) = previous.and_then(|before| units.get_mut(before)) {
            before.next = Some(at);
        }
        if let Some(unit) = units.get_mut(at) {
            unit.previous = previous;
        }
    }
}
