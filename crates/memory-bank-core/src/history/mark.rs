//! What an undo took back, as its versions record it: beside the name of the tool, so that a store needs no place of its own.

use jiff::Timestamp;

use crate::document::Etag;
use crate::history::ChangeContext;

/// The tool that undoes.
const TOOL: &str = "history";
/// Follows the mark of an undo that no tool made.
const NO_TOOL: &str = "none";

/// The attributes of a change, of a document or of the graph, by which an undo selects it.
#[derive(Debug, Clone, Copy)]
pub struct ChangeFacts<'c> {
    /// The time of the change.
    pub at: Timestamp,
    /// The session of the client.
    pub session: Option<&'c str>,
    /// The name of the user.
    pub author: Option<&'c str>,
    /// What it took back, if it is of an undo.
    pub undoes: Option<&'c UndoMark>,
    /// Whether a transfer brought it, so that its user is as the source named it.
    pub imported: bool,
}

/// Whose changes an undo took back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndoMark {
    /// The hash of session and user.
    scope_hash: String,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl UndoMark {
    /// The changes of this session or user, or of this user in this session, in this span.
    #[must_use]
    pub fn of(
        session: Option<&str>,
        by: Option<&str>,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
    ) -> Self {
        Self { scope_hash: scope_hash(session, by), since, until }
    }

    /// Marks this user's own changes. What a transfer brought under the same name belongs to another user.
    #[must_use]
    pub fn of_own(
        session: Option<&str>,
        user: &str,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
    ) -> Self {
        Self { scope_hash: own_scope_hash(session, user), since, until }
    }

    /// Whether a change that existed at the undo was to be taken back by it. `imported`: whether a transfer brought the undo.
    #[must_use]
    pub fn matches(&self, change: &ChangeFacts<'_>, imported: bool) -> bool {
        let is_in_span = self.since.is_none_or(|since| change.at >= since)
            && self.until.is_none_or(|until| change.at < until);
        let (session, by) = (change.session, change.author);
        let is_whose = |session: Option<&str>, by: Option<&str>| {
            (session.is_some() || by.is_some()) && scope_hash(session, by) == self.scope_hash
        };
        let is_own =
            |session: Option<&str>| by.is_some_and(|by| own_scope_hash(session, by) == self.scope_hash);
        let is_own = change.imported == imported && (is_own(None) || is_own(session));
        is_in_span && (is_own || is_whose(session, None) || is_whose(None, by) || is_whose(session, by))
    }
}

fn scope_hash(session: Option<&str>, by: Option<&str>) -> String {
    Etag::of(&format!("{}\n{}", session.unwrap_or_default(), by.unwrap_or_default())).as_str().to_owned()
}

fn own_scope_hash(session: Option<&str>, user: &str) -> String {
    Etag::of(&format!("{}\n{user}\nown", session.unwrap_or_default())).as_str().to_owned()
}

/// The name of the tool as a store keeps it: letters, digits, `_` and `-`. For stores.
#[must_use]
pub fn stored_tool(context: &ChangeContext) -> Option<String> {
    let Some(UndoMark { scope_hash, since, until }) = &context.undoes else { return context.tool.clone() };
    let time = |at: &Option<Timestamp>| at.map(nanoseconds).map(|at| format!("{at:x}")).unwrap_or_default();
    let mark = format!("{scope_hash}-{}-{}", time(since), time(until));
    Some(match &context.tool {
        Some(tool) => format!("{tool}-{mark}"),
        // The policies of a database know an undo by the name of the tool.
        None => format!("{TOOL}-{mark}-{NO_TOOL}"),
    })
}

/// The tool and the mark of a stored name. For stores.
#[must_use]
pub fn tool_and_mark(stored: Option<&str>) -> (Option<String>, Option<UndoMark>) {
    let parts: Vec<&str> = stored.map(|stored| stored.split('-').collect()).unwrap_or_default();
    let time = |text: &str| u64::from_str_radix(text, 16).ok().map(timestamp);
    let (tool, scope_hash, since, until) = match parts.as_slice() {
        [TOOL, scope_hash, since, until] => (Some(TOOL.to_owned()), scope_hash, since, until),
        [TOOL, scope_hash, since, until, NO_TOOL] => (None, scope_hash, since, until),
        _ => return (stored.map(str::to_owned), None),
    };
    let mark = UndoMark { scope_hash: (*scope_hash).to_owned(), since: time(since), until: time(until) };
    (tool, Some(mark))
}

/// Bits of a signed number; a time outside of the years 1677 to 2262 is moved to their ends.
fn nanoseconds(at: Timestamp) -> u64 {
    let most = if at < Timestamp::UNIX_EPOCH { i64::MIN } else { i64::MAX };
    i64::try_from(at.as_nanosecond()).unwrap_or(most).cast_unsigned()
}

fn timestamp(bits: u64) -> Timestamp {
    Timestamp::from_nanosecond(bits.cast_signed().into()).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_of_an_undo_of_own_changes_matches_no_imported_ones() {
        let facts = |session: Option<&'static str>, author: &'static str, imported: bool| ChangeFacts {
            at: Timestamp::UNIX_EPOCH,
            session,
            author: Some(author),
            undoes: None,
            imported,
        };
        for session in [None, Some("a session")] {
            let own = UndoMark::of_own(session, "bob", None, None);
            let anybody_s = UndoMark::of(session, Some("bob"), None, None);
            for (change, is_own, is_any) in [
                (facts(session, "bob", false), true, true),
                (facts(session, "bob", true), false, true),
                (facts(session, "alice", false), false, false),
                (facts(Some("other"), "bob", false), session.is_none(), session.is_none()),
            ] {
                assert_eq!(own.matches(&change, false), is_own, "{change:?}");
                assert_eq!(anybody_s.matches(&change, false), is_any, "{change:?}");
            }
            // A transfer brings the undo with what it took back.
            assert!(own.matches(&facts(session, "bob", true), true));
        }
    }

    #[test]
    fn a_mark_reads_back_from_the_name_of_the_tool() {
        let at = |text: &str| text.parse::<Timestamp>().ok();
        for (since, until) in [
            (None, None),
            (at("2026-11-27T09:00:00.123456789Z"), None),
            (at("1900-01-01T00:00:00Z"), at("2200-01-01T00:00:00Z")),
        ] {
            let mark = UndoMark::of(Some("a session"), Some("bob"), since, until);
            for tool in [Some(TOOL.to_owned()), None] {
                let undoes = Some(mark.clone());
                let context = ChangeContext { tool: tool.clone(), undoes, ..ChangeContext::default() };
                let stored = stored_tool(&context).unwrap();
                assert!(stored.len() <= 64 && stored.starts_with("history-"), "{stored}");
                assert_eq!(tool_and_mark(Some(&stored)), (tool, Some(mark.clone())));
            }
        }
        for tool in ["history", "track_progress", "history-x", "other-a-b-c", "history-a-b-c-d"] {
            assert_eq!(tool_and_mark(Some(tool)), (Some(tool.to_owned()), None));
        }
        assert_eq!((tool_and_mark(None), stored_tool(&ChangeContext::default())), ((None, None), None));
        assert_eq!(stored_tool(&ChangeContext::of_tool("batch")), Some("batch".to_owned()));
    }
}
