//! Edits of documents: what an edit does not name stays.

use jiff::Timestamp;
use memory_bank_core::document::roles::is_placeholder;
use memory_bank_core::document::{
    AddProgressEntry, AddSessionNote, CoreDocument, DigestBounds, DigestExtras, DigestSource, Document, Edit,
    Etag, LogDecision, TrackProgress, UpdateTasks, add_progress_entry, add_session_note, apply_edits, digest,
    log_decision, track_progress, unified_diff_within, update_tasks,
};
use memory_bank_core::mode::{Mode, parse_rules, starts_umb};
use memory_bank_core::store::Drafts;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::input::{missing, texts, visible_lines};

/// The most bytes of a diff in these tests.
const DIFF_BYTES: usize = 4_000;

/// A document, and edits of three texts each: the kind, the place, and the new text.
pub(crate) fn section_edits(data: &[u8]) {
    let texts = texts(data, 31);
    let Some((document, edits)) = texts.split_first() else { return };
    let mut text = document.clone();
    for edit in edits.chunks_exact(3) {
        let [kind, place, new] = edit else { continue };
        let edit = edit_of(kind, place, new);
        let Ok(edited) = apply_edits(&text, std::slice::from_ref(&edit)) else { continue };
        check_edit(&text, &edit, &edited);
        let diff = unified_diff_within("document.md", &text, &edited, DIFF_BYTES);
        assert_eq!(diff.is_empty(), text == edited, "the difference is shown");
        text = edited;
    }
}

fn edit_of(kind: &str, place: &str, new: &str) -> Edit {
    let (place, new) = (place.to_owned(), new.to_owned());
    match kind.chars().next() {
        Some('a') => Edit::Append { heading: place, text: new },
        Some('p') => Edit::Prepend { heading: place, text: new },
        Some('s') => Edit::ReplaceSection { heading: place, text: new },
        Some('b') => Edit::InsertBefore { matching: None, heading: Some(place), text: new },
        Some('n') => Edit::InsertAfter { matching: None, heading: Some(place), text: new },
        Some('B') => Edit::InsertBefore { matching: Some(place), heading: None, text: new },
        Some('N') => Edit::InsertAfter { matching: Some(place), heading: None, text: new },
        Some('x') => Edit::Archive { matching: None, heading: Some(place) },
        Some('X') => Edit::Archive { matching: Some(place), heading: None },
        _ => Edit::Replace { old: place, new, count: 1 },
    }
}

/// A text as it is, and with each kind of line ending.
fn with_each_ending(text: &str) -> [String; 3] {
    let lines = text.replace("\r\n", "\n");
    let other = lines.replace('\n', "\r\n");
    [text.to_owned(), lines, other]
}

fn check_edit(before: &str, edit: &Edit, after: &str) {
    match edit {
        Edit::Replace { old, new, count } => {
            // Both take the line endings of the document.
            let old = with_each_ending(old).into_iter().find(|old| before.contains(old.as_str()));
            let old = old.expect("the replaced text was there");
            assert_eq!(before.matches(old.as_str()).count(), *count, "as often as the edit says");
            let is_expected = |new: &String| before.replacen(old.as_str(), new, *count) == after;
            assert!(with_each_ending(new).iter().any(is_expected), "nothing else changes: {after:?}");
        }
        Edit::InsertBefore { text, .. }
        | Edit::InsertAfter { text, .. }
        | Edit::Append { text, .. }
        | Edit::Prepend { text, .. } => {
            let lost = missing(visible_lines(before), visible_lines(after));
            assert_eq!(lost, None, "an insertion keeps all lines of the document");
            let lost = missing(visible_lines(text), visible_lines(after));
            assert_eq!(lost, None, "an insertion has all lines of its text");
        }
        Edit::ReplaceSection { text, .. } => {
            let lost = missing(visible_lines(text), visible_lines(after));
            assert_eq!(lost, None, "the section has all lines of its new text");
        }
        Edit::Archive { .. } => {
            // The heading of an archived section gets another level.
            let mut lines: Vec<&str> =
                visible_lines(after).map(|line| line.trim_start_matches('#')).collect();
            for line in visible_lines(before).map(|line| line.trim_start_matches('#')) {
                let at = lines.iter().position(|other| *other == line);
                assert!(at.is_some(), "an archived document keeps `{line}`");
                lines.remove(at.unwrap_or_default());
            }
        }
    }
}

/// The three core documents that tools edit by their sections, the tool, and the text that it is to record.
pub(crate) fn core_documents(data: &[u8]) {
    let texts = texts(data, 5);
    let text = |at: usize| texts.get(at).map_or("", String::as_str);
    let documents = [
        (CoreDocument::ActiveContext, text(0)),
        (CoreDocument::Progress, text(1)),
        (CoreDocument::DecisionLog, text(2)),
    ];
    let mut drafts = Drafts::default();
    for document in CoreDocument::ALL {
        let content = documents.iter().find(|(name, _)| *name == document).map(|(_, content)| *content);
        drafts.load(
            document.path(),
            content.filter(|content| !content.is_empty()).map(|content| stored(document, content)),
        );
    }
    let recorded = record(&mut drafts, text(3), text(4));
    for (document, before) in documents {
        let after = drafts.text(&document.path()).unwrap_or_default();
        let lost = missing(visible_lines(before).filter(|line| !is_placeholder(line)), visible_lines(after));
        assert_eq!(lost, None, "{} keeps its lines", document.name());
    }
    if recorded {
        // Characters that are not seen are replaced.
        let word = text(4).split(|c: char| !c.is_alphanumeric()).find(|word| !word.is_empty());
        let word = word.unwrap_or_default();
        let has_word = |(document, _): &(CoreDocument, &str)| {
            drafts.text(&document.path()).is_some_and(|text| text.contains(word))
        };
        // A list of tasks without any text may leave all documents as they are.
        assert!(word.is_empty() || documents.iter().any(has_word), "`{word}` was recorded");
    }
    let shown: Vec<(&str, String)> = CoreDocument::ALL
        .into_iter()
        .map(|document| (document.name(), drafts.text(&document.path()).unwrap_or_default().to_owned()))
        .collect();
    let sources: Vec<DigestSource<'_>> =
        shown.iter().map(|(name, text)| DigestSource { name, text }).collect();
    let _ = digest(&sources, &DigestExtras::default(), DigestBounds::default());
}

/// Records a text with one of the tools; whether it was taken.
fn record(drafts: &mut Drafts, tool: &str, text: &str) -> bool {
    fn arguments<T: DeserializeOwned>(value: Value) -> Option<T> {
        serde_json::from_value(value).ok()
    }
    let at = Timestamp::UNIX_EPOCH;
    match tool.chars().next() {
        Some('t') => arguments::<TrackProgress>(json!({"action": "Fixed", "description": text}))
            .is_some_and(|request| track_progress(drafts, &request, at, "user").is_ok()),
        Some('e') => arguments::<AddProgressEntry>(json!({"type": "fix", "summary": text}))
            .is_some_and(|request| add_progress_entry(drafts, &request, at, "user").is_ok()),
        Some('n') => arguments::<AddSessionNote>(json!({"note": text}))
            .is_some_and(|request| add_session_note(drafts, &request, at, "user").is_ok()),
        Some('d') => arguments::<LogDecision>(json!({"title": text, "context": text, "decision": text}))
            .is_some_and(|request| log_decision(drafts, &request, at, "user").is_ok()),
        _ => arguments::<UpdateTasks>(json!({"add": [text]}))
            .is_some_and(|request| update_tasks(drafts, &request, at).is_ok()),
    }
}

fn stored(document: CoreDocument, content: &str) -> Document {
    Document {
        path: document.path(),
        content: content.to_owned(),
        etag: Etag::of(content),
        version: 1,
        updated_at: Timestamp::UNIX_EPOCH,
    }
}

/// A file with the rules of a mode, and a command.
pub(crate) fn rules_files(data: &[u8]) {
    let texts = texts(data, 2);
    let text = |at: usize| texts.get(at).map_or("", String::as_str);
    for mode in Mode::ALL {
        let rules = parse_rules(mode, text(0));
        let _ = starts_umb(&rules, text(1));
        assert_eq!(parse_rules(mode, text(0)), rules, "the same file has the same rules");
    }
}
