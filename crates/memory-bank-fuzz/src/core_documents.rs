//! The core documents that tools edit by their sections: a call changes what it names, and nothing else.

use jiff::Timestamp;
use memory_bank_core::document::roles::is_placeholder;
use memory_bank_core::document::{
    AddProgressEntry, AddSessionNote, CoreDocument, DigestBounds, DigestExtras, DigestSource, Document, Etag,
    FinalizeThinkingSession, LogDecision, Removed, TrackProgress, UpdateActiveContext, UpdateTasks,
    add_progress_entry, add_session_note, digest, finalize_thinking_session, log_decision, track_progress,
    update_active_context, update_tasks,
};
use memory_bank_core::store::Drafts;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::input::{missing, texts, visible_lines};
use crate::roles::{check_roles, headings};

/// Separates the items of a call.
const ITEM: char = '\u{1f}';
/// The most items of a call.
const ITEMS: usize = 6;
/// Documents of so many characters lose no item that the reply does not repeat as a whole.
const SHOWN_CHARS: usize = 900;
/// The documents of an input.
const DOCUMENTS: [CoreDocument; 3] =
    [CoreDocument::ActiveContext, CoreDocument::Progress, CoreDocument::DecisionLog];

/// Three core documents, a call, and its items. An item `#3` is the third visible line of the documents, without its marker.
pub(crate) fn core_documents(data: &[u8]) {
    let texts = texts(data, 5);
    let text = |at: usize| texts.get(at).map_or("", String::as_str);
    let before = [text(0), text(1), text(2)];
    let items: Vec<String> =
        text(4).split(ITEM).take(ITEMS).map(|item| item_of(item, &before).to_owned()).collect();
    let call = Call::of(text(3), &items);
    let mut drafts = drafts(&before);
    let outcome = call.as_ref().and_then(|call| call.run(&mut drafts));
    let after = DOCUMENTS.map(|document| drafts.text(&document.path()).unwrap_or_default().to_owned());
    // The drafts of a refused call are dropped.
    if let Some((call, outcome)) = call.as_ref().zip(outcome) {
        check_kept(call, &outcome, &before, &after);
        check_written(call, &after);
        check_again(call, &mut drafts, &after);
    }
    check_digest(&drafts);
    before.iter().for_each(|text| check_roles(text));
    after.iter().for_each(|text| check_roles(text));
}

fn item_of<'t>(item: &'t str, documents: &[&'t str; 3]) -> &'t str {
    let number = item.strip_prefix('#').and_then(|number| number.parse::<usize>().ok());
    let line = number.and_then(|number| documents.iter().flat_map(|text| visible_lines(text)).nth(number));
    line.map_or(item, without_marker)
}

fn drafts(documents: &[&str; 3]) -> Drafts {
    let mut drafts = Drafts::default();
    for document in CoreDocument::ALL {
        let content = DOCUMENTS.iter().position(|known| *known == document);
        let content = content.and_then(|at| documents.get(at)).filter(|content| !content.is_empty());
        drafts.load(document.path(), content.map(|content| stored(document, content)));
    }
    drafts
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

/// A call of a tool.
enum Call {
    Track(TrackProgress),
    Entry(AddProgressEntry),
    Note(AddSessionNote),
    Decision(LogDecision),
    Tasks(UpdateTasks),
    Context(UpdateActiveContext),
    Finalize(Box<FinalizeThinkingSession>),
}

/// What a call reports.
struct Outcome {
    removed: Removed,
    /// How many texts to remove matched nothing.
    not_found: usize,
}

impl Call {
    /// The call of a kind.
    fn of(kind: &str, items: &[String]) -> Option<Self> {
        fn read<T: DeserializeOwned>(value: Value) -> Option<T> {
            serde_json::from_value(value).ok()
        }
        let (first, rest) = items.split_first()?;
        let all = json!(items);
        let kind = kind.chars().next().unwrap_or('u');
        Some(match kind {
            't' => Self::Track(read(json!({"action": "Fixed", "description": first}))?),
            'e' => Self::Entry(read(
                json!({"type": "fix", "summary": first, "details": rest.first(), "files": rest.get(1..).unwrap_or_default()}),
            )?),
            'n' => Self::Note(read(json!({"note": first}))?),
            'd' => Self::Decision(read(
                json!({"title": first, "context": first, "decision": first, "supersedes": rest}),
            )?),
            'r' => Self::Tasks(read(json!({"remove": all}))?),
            'p' => Self::Tasks(read(json!({"replace": all}))?),
            'v' => Self::Tasks(read(json!({"resolve": all}))?),
            'c' => Self::Tasks(read(json!({"clear": true, "add": rest}))?),
            'm' => {
                Self::Tasks(read(json!({"add": [first], "remove": rest.get(..1), "resolve": rest.get(1..)}))?)
            }
            'q' => {
                Self::Tasks(read(json!({"replace": [first], "remove": rest.get(..1), "add": rest.get(1..)}))?)
            }
            'a' => Self::Context(read(json!({"tasks": all}))?),
            'i' => Self::Context(read(json!({"issues": all}))?),
            's' => Self::Context(read(json!({"nextSteps": all}))?),
            'l' => Self::Context(read(json!({"nextSteps": all, "tasks": rest, "clear": ["issues"]}))?),
            'x' => Self::Context(read(json!({"tasks": [], "issues": [], "nextSteps": all, "clear": true}))?),
            'f' => Self::Finalize(read(json!({
                "summary": first, "tasks": {"add": rest.get(..1), "remove": rest.get(1..2)}, "nextSteps": rest.get(2..),
                "decision": {"title": first, "context": "", "decision": first},
                "progressEntry": {"type": "fix", "summary": first},
            }))?),
            _ => Self::Tasks(read(json!({"add": all}))?),
        })
    }

    /// Makes the call; nothing if it is refused.
    fn run(&self, drafts: &mut Drafts) -> Option<Outcome> {
        let at = Timestamp::UNIX_EPOCH;
        let nothing = || Outcome { removed: Removed::default(), not_found: 0 };
        match self {
            Self::Track(call) => track_progress(drafts, call, at, "user").ok().map(|_| nothing()),
            Self::Entry(call) => add_progress_entry(drafts, call, at, "user").ok().map(|_| nothing()),
            Self::Note(call) => add_session_note(drafts, call, at, "user").ok().map(|()| nothing()),
            Self::Decision(call) => log_decision(drafts, call, at, "user").ok().map(|_| nothing()),
            Self::Context(call) => {
                update_active_context(drafts, call).ok().map(|removed| Outcome { removed, not_found: 0 })
            }
            Self::Tasks(call) => update_tasks(drafts, call, at)
                .ok()
                .map(|done| Outcome { removed: done.removed, not_found: done.not_found.len() }),
            Self::Finalize(call) => finalize_thinking_session(drafts, call, at, "user")
                .ok()
                .map(|done| Outcome { removed: done.removed, not_found: done.not_found.len() }),
        }
    }

    /// Whether it may write to the decision log.
    fn writes_decisions(&self) -> bool {
        matches!(self, Self::Decision(_) | Self::Finalize(_))
    }

    /// Whether it only adds: then the lines keep their order, too.
    fn only_adds(&self) -> bool {
        match self {
            Self::Track(_) | Self::Entry(_) | Self::Note(_) => true,
            Self::Decision(call) => call.supersedes.is_empty(),
            Self::Tasks(call) => call == &UpdateTasks { add: call.add.clone(), ..UpdateTasks::default() },
            Self::Context(_) | Self::Finalize(_) => false,
        }
    }

    /// A text that is in the documents after it.
    fn written(&self) -> Option<&str> {
        match self {
            Self::Track(call) => Some(&call.description),
            Self::Entry(call) => Some(&call.summary),
            Self::Note(call) => Some(&call.note),
            Self::Decision(call) => Some(&call.title),
            Self::Finalize(call) => Some(&call.summary),
            Self::Tasks(call) => call.add.as_ref()?.first().map(String::as_str),
            Self::Context(call) => {
                let lists = [&call.next_steps, &call.tasks, &call.issues];
                lists.into_iter().flatten().find_map(|list| list.first()).map(String::as_str)
            }
        }
    }
}

/// What the call does not name stays.
fn check_kept(call: &Call, outcome: &Outcome, before: &[&str; 3], after: &[String; 3]) {
    let [_, _, log_before] = before;
    let [_, _, log_after] = after;
    assert!(
        call.writes_decisions() || log_before == log_after,
        "the decision log does not belong to the call"
    );
    if call.only_adds() {
        for (document, (before, after)) in DOCUMENTS.iter().zip(before.iter().zip(after)) {
            let lost =
                missing(visible_lines(before).filter(|line| !is_placeholder(line)), visible_lines(after));
            assert_eq!(lost, None, "{} keeps its lines", document.name());
        }
    }
    if let Call::Tasks(UpdateTasks { remove: Some(remove), replace: None, .. }) = call
        && remove.iter().any(|text| text.chars().any(char::is_alphanumeric))
    {
        assert!(
            outcome.not_found > 0 || !outcome.removed.is_empty(),
            "each text to remove is found or reported"
        );
    }
    // A longer reply is cut.
    if outcome.removed.more > 0 || before.iter().map(|text| text.chars().count()).sum::<usize>() > SHOWN_CHARS
    {
        return;
    }
    let mut found: Vec<String> = after.iter().flat_map(|text| visible_lines(text)).map(words).collect();
    let mut gone: Vec<String> =
        outcome.removed.items.iter().flat_map(|text| visible_lines(text)).map(words).collect();
    for line in before.iter().flat_map(|text| visible_lines(text)).filter(|line| !is_placeholder(line)) {
        let line = words(line);
        if let Some(at) = gone.iter().position(|other| *other == line) {
            gone.swap_remove(at);
            continue;
        }
        let at = found.iter().position(|other| *other == line);
        assert!(
            at.is_some(),
            "`{line}` is lost, and was not named\nbefore {before:?}\nafter {after:?}\nremoved {:?}",
            outcome.removed
        );
        found.swap_remove(at.unwrap_or_default());
    }
}

/// The words of a line: an item may get another marker, a tick, or the mark of a resolved one.
fn words(line: &str) -> String {
    let line = line.replace("~~", "").replace("[resolved 1970-01-01]", "");
    without_marker(line.trim()).split_whitespace().collect::<Vec<_>>().join(" ")
}

fn without_marker(line: &str) -> &str {
    let line = line.trim_start_matches(|character: char| character.is_ascii_digit());
    let line = line.trim_start_matches(['-', '*', '+', '.', ')', ' ', '\t']);
    let line = ["[ ]", "[x]", "[X]"].into_iter().find_map(|mark| line.strip_prefix(mark)).unwrap_or(line);
    line.trim()
}

/// What the call writes is there. Characters that are not seen are replaced, and of two items that differ by case one stays.
fn check_written(call: &Call, after: &[String; 3]) {
    let Some(written) = call.written() else { return };
    let word = written.split(|character: char| !character.is_alphanumeric()).find(|word| !word.is_empty());
    let word = word.unwrap_or_default().to_lowercase();
    let has_word = |text: &String| text.contains(&word) || text.to_lowercase().contains(&word);
    assert!(after.iter().any(has_word), "`{word}` was recorded");
}

/// A list that is set again stays as it is. What is added to a list or a log a second time gets no second section: the one that the
/// first call has found or made is found again.
fn check_again(call: &Call, drafts: &mut Drafts, after: &[String; 3]) {
    let sets = matches!(
        call,
        Call::Context(_) | Call::Tasks(UpdateTasks { replace: Some(_), remove: None, add: None, .. })
    );
    let adds = matches!(call, Call::Tasks(_) | Call::Note(_) | Call::Track(_)) && call.only_adds();
    if !(sets || adds) || call.run(drafts).is_none() {
        return;
    }
    for (document, after) in DOCUMENTS.iter().zip(after) {
        let again = drafts.text(&document.path()).unwrap_or_default();
        if sets {
            assert_eq!(again, after, "{} is the same after the same call", document.name());
        } else {
            assert_eq!(headings(again), headings(after), "{} gets no second section", document.name());
        }
    }
}

fn check_digest(drafts: &Drafts) {
    let shown: Vec<(&str, String)> = CoreDocument::ALL
        .into_iter()
        .map(|document| (document.name(), drafts.text(&document.path()).unwrap_or_default().to_owned()))
        .collect();
    let sources: Vec<DigestSource<'_>> =
        shown.iter().map(|(name, text)| DigestSource { name, text }).collect();
    let _ = digest(&sources, &DigestExtras::default(), DigestBounds::default());
}
