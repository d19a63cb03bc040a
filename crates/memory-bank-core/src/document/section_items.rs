//! The list items of a known section.

use std::collections::BTreeSet;

use crate::document::known_section::KnownSection;
use crate::document::list::key;
use crate::document::roles::is_placeholder;
use crate::document::section::{Item, Outline};

/// The texts of the items of a known section, in the order of the document, without duplicates and placeholders.
pub(super) fn items(text: &str, part: KnownSection) -> Vec<String> {
    let outline = Outline::of(text);
    let mut seen = BTreeSet::new();
    items_of(&outline, part)
        .into_iter()
        .map(|item| item.text.to_string())
        .filter(|text| !is_placeholder(text) && seen.insert(key(text)))
        .collect()
}

/// The items of a known section, nested ones included, top to bottom, each once.
pub(super) fn items_of<'o>(outline: &'o Outline<'_>, part: KnownSection) -> Vec<&'o Item> {
    let mut end = 0;
    let mut found = Vec::new();
    for section in part.find_all(outline).into_iter().filter_map(|index| outline.section(index)) {
        found.extend(outline.items_in(&(section.body.start.max(end)..section.body.end)));
        end = end.max(section.body.end);
    }
    found
}
