//! Dated lines of finished work and of notes, as most lines of a large bank are: each is an entry without a copy of its words.

use std::sync::Arc;

use super::block::ListItem;
use super::document_kind::DocumentKind;
use super::entry::{Entry, Words};
use super::line_context::LineContext;
use super::line_state::{ends_finished, is_plain};
use super::note::note_role;
use crate::document::date::dated_log_line;
use crate::document::roles::{Role, is_placeholder};

/// Parses a dated log line without copying its words: the entry, except for its place in the document, equals that of the complete
/// parser. `None` if the line has another form, or is not an entry of these roles.
pub(super) fn log_line(kind: DocumentKind, item: &ListItem, place: &LineContext) -> Option<Entry> {
    let role = place.role.filter(|role| matches!(role, Role::RecentChange | Role::Done | Role::Note))?;
    if item.has_children || item.depth > 0 || place.is_past || !kind.is_current() {
        return None;
    }
    let (date, rest) = dated_log_line(&item.text)?;
    let is_plain = is_plain(&item.text) && !ends_finished(&item.text);
    if !is_plain || is_placeholder(&item.text) || is_placeholder(rest) {
        return None;
    }
    let is_entry = match role {
        Role::Note => !place.is_earlier_session && note_role(&item.text, rest) == Some(Role::Note),
        _ => !is_open_point(rest),
    };
    is_entry.then(|| Entry {
        role,
        text: String::new(),
        source: Words::Line(Arc::clone(&item.text)),
        date: Some(date),
        own_date: true,
        section: 0,
        order: 0,
        depth: 0,
        newest_first: place.newest_first,
        unticked: false,
        number: place.number,
    })
}

/// Whether a line begins with "todo:", in any case: an open point in a list of finished work.
pub(super) fn is_open_point(text: &str) -> bool {
    text.get(..5).is_some_and(|head| head.eq_ignore_ascii_case("todo:"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::entries::entries_of_item;
    use super::*;

    const HEADS: &[&str] = &[
        "[2026-11-22 09:30:07 UTC] ",
        "[2026-11-22 09:30:07] ",
        "[2026-11-22 09:30:07 UTC]",
        "[2026-13-22 09:30:07 UTC] ",
        "[2026-11-22] ",
    ];
    /// Parts and ends of lines of a log.
    const PARTS: &[&str] = &[
        "[eve] - ",
        "[eve] ",
        "- ",
        "Measured: the login",
        "the login checks the cache",
        "Decision Made: Use nom",
        "👀 Observation: ",
        "🚧 Blocker: ",
        "(issue) ",
        "[bug] ",
        "bug: ",
        "] todo: ",
        "todo: ",
        "TODO: ",
        "Next: deploy",
        "Status: beta",
        "TBD",
        "none yet",
        "[Update]",
        "[x] ",
        "[Task 1]",
        "(done)",
        " ✅",
        "[resolved]",
        "~~old~~",
        "**bold**",
        "_a_",
        "[link](x)",
        "<!-- c -->",
        "12",
        "…",
        "Ünder",
        "a 'b",
        "  ",
        "This file tracks it",
        "|",
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]

        /// The fast path returns the same entry as the complete parser.
        #[test]
        fn a_log_line_is_the_entry_of_its_item(
            head in prop::sample::select(HEADS),
            parts in prop::collection::vec(prop::sample::select(PARTS), 0..5),
            role in prop::sample::select(&[Role::RecentChange, Role::Done, Role::Note][..]),
            kind in prop::sample::select(&[DocumentKind::Active, DocumentKind::Progress, DocumentKind::Other][..]),
            flags in any::<[bool; 4]>(),
        ) {
            let line = format!("{head}{}", parts.concat());
            let text = line.split_whitespace().collect::<Vec<_>>().join(" ").into();
            let item = ListItem { text, depth: 0, has_children: false };
            let [is_past, is_earlier_session, is_entry, by_title] = flags;
            let place = LineContext {
                role: Some(role),
                is_past: is_past && is_entry,
                is_earlier_session,
                is_entry,
                by_title,
                ..LineContext::default()
            };
            if let Some(entry) = log_line(kind, &item, &place) {
                let found = entries_of_item(kind, &item, &place);
                let whole: Vec<Entry> = found.into_iter().map(|one| Entry { text: String::new(), ..one }).collect();
                prop_assert_eq!(whole, [entry], "{}", line);
            }
        }
    }

    #[test]
    fn a_line_of_this_servers_logs_is_not_copied() {
        let place = |role| LineContext { role: Some(role), ..LineContext::default() };
        let item = |text: &str| ListItem { text: text.into(), depth: 0, has_children: false };
        let progress = item("[2026-11-22 09:30:07 UTC] [eve] - Implemented: the parser");
        assert!(log_line(DocumentKind::Progress, &progress, &place(Role::RecentChange)).is_some());
        let note = item("[2026-11-22 09:30:07 UTC] [eve] - 👀 Observation: the cache is cold");
        assert!(log_line(DocumentKind::Active, &note, &place(Role::Note)).is_some());
        assert!(log_line(DocumentKind::Active, &note, &place(Role::Task)).is_none());
    }
}
