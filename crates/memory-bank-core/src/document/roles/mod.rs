//! Determines the role of a section from the words of its heading: focus, tasks, issues, next steps, and so on, in
//! the layouts and languages of known banks. Reading and editing use the same rules, so that an edit never creates a
//! second section with the same meaning.
//!
//! [`Role::of_heading`] classifies one heading, [`sections`] finds the sections of a document, [`is_placeholder`]
//! detects empty lines of templates. This module only reads; it must not know digests or edits.

mod classify;
mod function_cache;
mod normalise;
mod phrases;
mod placeholder;
mod role;
#[cfg(test)]
mod tests;
mod title_words;

pub use self::classify::{is_one_of, is_structural, same_heading};
pub(in crate::document) use self::normalise::is_cjk;
pub use self::placeholder::{has_content, is_nothing, is_placeholder, without_template_rows};
pub use self::role::Role;
use crate::compact_sort::CompactSort as _;
use crate::document::section::{Outline, Section};

/// Builds the tables of known headings, which takes milliseconds. A process that reads a single digest builds them on another thread
/// while it waits for its files; elsewhere the first heading does.
pub fn prepare() {
    classify::prepare();
    placeholder::prepare();
}

/// The sections with this role below the title of the document: those with one of `titles` first (in that order, as
/// in [`Outline::find_all`]), then by level, top to bottom. Sections nested in one of the same role are omitted.
#[must_use]
pub fn sections<'o>(outline: &'o Outline<'_>, role: Role, titles: &[&str]) -> Vec<Section<'o>> {
    let mut found: Vec<(usize, u8, Section<'o>)> = Vec::new();
    let mut end = 0;
    for section in outline.sections().filter(|section| section.heading.level >= 2) {
        let rank = titles.iter().position(|title| same_heading(&section.heading.title, title));
        if rank.is_none() && (section.heading.range.start < end || !role.is_of(&section.heading.title)) {
            continue;
        }
        end = end.max(section.body.end);
        found.push((rank.unwrap_or(titles.len()), section.heading.level, section));
    }
    found.compact_sort_by_key(|(rank, level, _)| (*rank, *level));
    found.into_iter().map(|(_, _, section)| section).collect()
}
