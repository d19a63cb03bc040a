//! The heading of the section into which entries are archived.

use crate::document::section::{Heading, Outline, Section};

/// The heading of archived entries.
pub(super) const ARCHIVE: &str = "Archive";

/// Whether a section with this heading holds archived entries.
pub(super) fn is_archive(heading: &Heading) -> bool {
    heading.title.trim().eq_ignore_ascii_case(ARCHIVE)
}

/// Where a level-1 archive at the end of the document begins. No tool would find a section behind it.
pub(super) fn archive_at_end(outline: &Outline<'_>) -> Option<usize> {
    let tops = outline.sections().filter(|section| section.heading.level == 1);
    let tops: Vec<Section<'_>> = tops.collect();
    let archives = tops.iter().rev().take_while(|section| is_archive(section.heading));
    archives.last().map(|section| section.heading.range.start)
}
