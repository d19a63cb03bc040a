//! The table of roles: the sections that it finds in a document, and what it ignores in a heading.

use std::ops::Range;

use memory_bank_core::document::Edit;
use memory_bank_core::document::roles::{
    Role, has_content, is_placeholder, same_heading, sections, without_template_rows,
};
use memory_bank_core::document::section::{Heading, Outline};

use crate::input::{lone_as_feeds, missing, visible_lines};

/// All roles.
const ROLES: [Role; 10] = [
    Role::Focus,
    Role::Status,
    Role::Task,
    Role::Issue,
    Role::NextStep,
    Role::RecentChange,
    Role::Done,
    Role::Decision,
    Role::Question,
    Role::Note,
];
/// The most characters of a heading whose spellings are compared: the table reads the first 200.
const TITLE_CHARS: usize = 150;
/// The most lines of a document that are tried as a heading.
const TITLES: usize = 40;

/// The rules of the table for one document.
pub(crate) fn check_roles(text: &str) {
    let outline = Outline::of(text);
    // The parser sees a carriage return alone as a line feed.
    let seen = lone_as_feeds(text);
    for heading in outline.headings() {
        check_heading(&seen, heading);
        check_title(&heading.title);
    }
    for role in ROLES {
        check_sections(&outline, role);
    }
    check_titled(&outline);
    check_endings(text);
    visible_lines(text).take(TITLES).for_each(check_title);
    check_rows(text);
}

/// A heading is whole lines of the document: one that begins with as many `#` as its level, or the words above a line of `=` or `-`.
fn check_heading(seen: &str, heading: &Heading) {
    let Range { start, end } = heading.range;
    let (Some(before), Some(lines)) = (seen.get(..start), seen.get(start..end)) else {
        panic!("a heading lies within its document: {heading:?}");
    };
    assert!(before.is_empty() || before.ends_with('\n'), "a heading begins a line: {heading:?}");
    assert!(end == seen.len() || lines.ends_with('\n'), "a heading ends with its line: {heading:?}");
    assert_eq!(heading.line, before.matches('\n').count() + 1, "the number of its line: {heading:?}");
    let words = lines.strip_prefix('\u{feff}').unwrap_or(lines).trim();
    let level = usize::from(heading.level);
    let marks = words.len() - words.trim_start_matches('#').len();
    let below = words.lines().next_back().unwrap_or_default().trim();
    let is_line_of = |mark: char| !below.is_empty() && below.chars().all(|character| character == mark);
    let is_underlined = (level == 1 && is_line_of('=')) || (level == 2 && is_line_of('-'));
    assert!((1..=6).contains(&level) && (marks == level || is_underlined), "a line of a heading: {lines:?}");
}

/// The sections of a role lie within the document and apart from each other, the higher headings first, then from top to bottom. Every
/// heading of the role below the document's title is one of theirs, or nested in one.
fn check_sections(outline: &Outline<'_>, role: Role) {
    let found = sections(outline, role, &[]);
    let order: Vec<(u8, usize)> =
        found.iter().map(|section| (section.heading.level, section.heading.range.start)).collect();
    assert!(order.is_sorted_by(|one, next| one < next), "{role:?}, by level and place: {order:?}");
    let mut places: Vec<Range<usize>> = Vec::with_capacity(found.len());
    for section in &found {
        let (heading, range) = (section.heading, section.range());
        assert!(heading.level >= 2 && role.is_of(&heading.title), "{role:?}: {heading:?}");
        assert!(outline.text().get(range.clone()).is_some(), "{role:?}, within the document: {range:?}");
        let is_inside = section.own.start == section.body.start && section.own.end <= section.body.end;
        assert!(is_inside && heading.range.end == section.body.start, "{role:?}: {section:?}");
        places.push(range);
    }
    places.sort_by_key(|place| place.start);
    let are_apart = places.is_sorted_by(|one, next| one.end <= next.start);
    assert!(are_apart, "{role:?}, none within another: {places:?}");
    let of_role = outline.headings().iter().filter(|one| one.level >= 2 && role.is_of(&one.title));
    for heading in of_role {
        let is_found = places.iter().any(|place| place.contains(&heading.range.start));
        assert!(is_found, "{role:?} leaves out {heading:?}");
    }
}

/// Sections with a named title are all found, before those that only have the role.
fn check_titled(outline: &Outline<'_>) {
    let Some(title) = outline.headings().last().map(|heading| &*heading.title) else { return };
    let is_titled = |heading: &Heading| heading.level >= 2 && same_heading(&heading.title, title);
    let all = outline.headings().iter().filter(|heading| is_titled(heading)).count();
    let found = sections(outline, Role::Task, &[title]);
    let first = found.iter().take_while(|section| is_titled(section.heading)).count();
    let with_title = found.iter().filter(|section| is_titled(section.heading)).count();
    assert_eq!((first, with_title), (all, all), "those with the title `{title}` first");
}

/// Both kinds of line endings have the same headings. Blanks are not compared: in an underlined heading of several lines the parser makes
/// other blanks of a carriage return and a line feed at the edge of a code span than of a line feed.
fn check_endings(text: &str) {
    let feeds = text.replace("\r\n", "\n");
    if feeds.contains('\r') {
        return;
    }
    let returns = feeds.replace('\n', "\r\n");
    let headings = |text: &str| -> Vec<(u8, String)> {
        let outline = Outline::of(text);
        outline.headings().iter().map(|heading| (heading.level, heading.title.replace(' ', ""))).collect()
    };
    assert_eq!(headings(&feeds), headings(&returns), "the same headings with each line ending");
}

/// A heading has the same role in another letter case, with emphasis, with a colon and with a number before it.
fn check_title(title: &str) {
    assert!(same_heading(title, title) || !same_heading(title, "Tasks"), "a heading is like itself: {title}");
    assert_eq!(same_heading(title, "Tasks"), same_heading("Tasks", title), "likeness is mutual: {title}");
    // Letters of other scripts may become several in another case, and a number is a date or a part of the title, too.
    if !title.is_ascii()
        || title.len() > TITLE_CHARS
        || !title.starts_with(|first: char| first.is_ascii_alphabetic())
    {
        return;
    }
    let role = Role::of_heading(title);
    let spellings =
        [title.to_ascii_uppercase(), title.to_ascii_lowercase(), format!("**{title}**"), format!("{title}:")];
    for spelling in spellings {
        assert_eq!(Role::of_heading(&spelling), role, "`{spelling}` is the heading `{title}`");
    }
    // "a) Tasks" has a number already.
    let word = title.find(|character: char| !character.is_ascii_alphanumeric());
    let is_numbered = word.is_some_and(|at| title.get(at..).is_some_and(|rest| rest.starts_with(['.', ')'])));
    if !is_numbered {
        assert_eq!(Role::of_heading(&format!("1. {title}")), role, "`1. {title}` is the heading `{title}`");
    }
}

/// The rows of a template that are left out have no content, and no other lines are.
fn check_rows(text: &str) {
    let kept = without_template_rows(text);
    assert_eq!(without_template_rows(&kept), kept, "nothing more is left out of what stays");
    let mut rest = kept.split_inclusive('\n').peekable();
    for line in text.split_inclusive('\n') {
        if rest.next_if_eq(&line).is_none() {
            // A comment within a line is no content either, but may part the brackets of a row.
            assert!(line.contains("<!--") || is_placeholder(line), "`{line}` has content");
        }
    }
    assert_eq!(rest.next(), None, "nothing is added");
    if visible_lines(text).next().is_none() {
        assert!(!has_content(text), "blank lines are no content");
    }
}

/// After an edit that adds text below or above a heading, every section is there as before.
pub(crate) fn check_edit_keeps_headings(before: &str, edit: &Edit, after: &str) {
    let is_by_heading = match edit {
        Edit::Append { .. } | Edit::Prepend { .. } => true,
        Edit::InsertBefore { heading, .. } | Edit::InsertAfter { heading, .. } => heading.is_some(),
        _ => false,
    };
    if is_by_heading {
        let (before, after) = (headings(before), headings(after));
        let lost = missing(before.iter().map(String::as_str), after.iter().map(String::as_str));
        assert_eq!(lost, None, "an edit below a heading keeps all headings");
    }
}

/// The headings of a document as they are written, with their levels.
pub(crate) fn headings(text: &str) -> Vec<String> {
    let outline = Outline::of(text);
    outline.headings().iter().map(|heading| format!("{} {}", heading.level, heading.source)).collect()
}
