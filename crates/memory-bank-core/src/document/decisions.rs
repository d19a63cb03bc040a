//! Decision records. A record is stored in decision-log.md; progress.md gets one line that names it.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::clock;
pub use crate::document::decision_marks::ReplacedDecision;
use crate::document::progress::{TrackProgress, track_progress};
use crate::document::section::{LineEnding, Outline, Section};
use crate::document::splice::{Gap, append_block, insert_visible};
use crate::document::templates::is_template_decision;
use crate::document::{CoreDocument, DocumentPath, archive, argument, decision_marks};
use crate::error::EditError;
use crate::graph::Validity;
use crate::store::Drafts;

/// A decision: arguments of `log_decision`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogDecision {
    /// Its name.
    pub title: String,
    /// The reason for the decision; may be empty.
    pub context: String,
    /// The decision.
    pub decision: String,
    /// Alternatives.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<String>,
    /// Consequences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub consequences: Vec<String>,
    /// The first day or time at which it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<String>,
    /// The last day or time at which it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<String>,
    /// The last day or time at which it can be relied on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// The decisions of the log that it replaces, by title, or date and title.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub supersedes: Vec<String>,
}

impl LogDecision {
    /// The documents that the edit needs.
    #[must_use]
    pub fn paths() -> Vec<DocumentPath> {
        [CoreDocument::DecisionLog, CoreDocument::Progress]
            .into_iter()
            .flat_map(CoreDocument::paths)
            .collect()
    }
}

/// The text that [`log_decision`] wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecisionLogged {
    /// The title, with line breaks folded.
    pub title: String,
    /// The decisions that it replaces.
    pub replaced: Vec<ReplacedDecision>,
    /// When it begins, if it does not hold yet.
    pub from: Option<String>,
}

impl DecisionLogged {
    /// A line that names the logged decision and those that it replaces. If another decision had replaced one of them before, the line names
    /// that one, too, since both may hold.
    #[must_use]
    pub fn sentence(&self) -> String {
        let mut text = format!("Decision logged: {}", self.title);
        let names: Vec<&str> = self.replaced.iter().map(|one| one.name.as_str()).collect();
        if let Some(from) = &self.from {
            text.push_str(&format!("; it holds from {from} on"));
        }
        if !names.is_empty() {
            let then = if self.from.is_some() { " then" } else { "" };
            text.push_str(&format!("; it{then} replaces {}", names.join(", ")));
        }
        for one in &self.replaced {
            let Some(by) = one.already_by.as_deref().filter(|by| !names.contains(by)) else { continue };
            text.push_str(&format!(
                ". {} was already replaced by {by}: if that does not hold any more, log a decision that `supersedes` both",
                one.name
            ));
        }
        text
    }
}

/// Appends a decision, and a line of progress that names it. Missing documents start from their template.
///
/// # Errors
/// The title or the decision is blank, an argument is too long, a time has another form or the end is before the begin, a decision that
/// it should replace is not found, or a document would become too large.
pub fn log_decision(
    drafts: &mut Drafts,
    request: &LogDecision,
    at: Timestamp,
    author: &str,
) -> Result<DecisionLogged, EditError> {
    let title = argument::written_line("title", &request.title)?;
    let context = argument::text("context", &request.context)?;
    let decision = argument::text("decision", &request.decision)?;
    if decision.trim().is_empty() {
        return Err(EditError::Refused("`decision` is empty; say what was decided".to_owned()));
    }
    let alternatives = argument::lines("alternatives", &request.alternatives)?;
    let consequences = argument::lines("consequences", &request.consequences)?;
    let bounds = bounds_of(request)?;
    // A decision that holds already replaces others at once.
    let from = bounds.valid_from.clone().filter(|_| bounds.starts_at() > Some(at.as_millisecond()));
    let bounds = [
        (decision_marks::VALID_FROM, bounds.valid_from),
        (decision_marks::VALID_UNTIL, bounds.valid_until),
        (decision_marks::EXPIRES, bounds.expires_at),
    ];
    let replaced = argument::lines("supersedes", &request.supersedes)?;
    let date = clock::date_time(at);
    let by = format!("{title} ({date})");
    let mut marked: Vec<ReplacedDecision> = Vec::new();
    CoreDocument::DecisionLog.rewrite(drafts, |text| {
        let mut text = without_template(text).into_owned();
        marked.clear();
        for named in &replaced {
            let (changed, replaced) = decision_marks::mark_superseded(&text, named, &by, from.as_deref())?;
            text = changed;
            marked.push(replaced);
        }
        let mut record = vec![
            format!("## {title}"),
            field("Date", &date),
            field("Author", author),
            field("Context", &context),
        ];
        record.push(field("Decision", &decision));
        record.push(list("Alternatives Considered", &alternatives));
        record.push(list("Consequences", &consequences));
        record.extend(bounds.iter().filter_map(|(label, time)| Some(field(label, time.as_ref()?))));
        record.extend(marked.iter().map(|one| field(decision_marks::SUPERSEDES, &one.name)));
        insert_record(&text, &record.join("\n"))
    })?;
    let progress = TrackProgress {
        action: "Decision Made".to_owned(),
        description: title.clone(),
        update_active_context: false,
    };
    track_progress(drafts, &progress, at, author)?;
    Ok(DecisionLogged { title, replaced: marked, from })
}

/// The times of a decision as they are stored.
fn bounds_of(request: &LogDecision) -> Result<Validity, EditError> {
    let given = Validity {
        valid_from: request.valid_from.clone(),
        valid_until: request.valid_until.clone(),
        expires_at: request.expires_at.clone(),
        supersedes: Vec::new(),
    };
    given.checked().map_err(|error| EditError::Refused(error.to_string()))
}

/// Inserts a record beside the newest one of the log: at the end, unless the log is sorted newest first.
fn insert_record(text: &str, record: &str) -> Result<String, EditError> {
    let outline = Outline::of(text);
    match archive::newest_decision_at_top(text) {
        Some(top) => insert_visible(&outline, top, record, Gap::Blank, Gap::Blank),
        None => append_block(&outline, record),
    }
}

/// The log without the sections of an earlier version's template, if it has no other sections.
fn without_template(text: &str) -> Cow<'_, str> {
    let outline = Outline::of(text);
    let is_unfilled = |section: &Section<'_>| {
        section.heading.level == 2
            && is_template_decision(&section.heading.title, outline.slice(&section.body))
    };
    let sections = || outline.sections().filter(|section| section.heading.level >= 2);
    if !sections().all(|section| is_unfilled(&section)) {
        return Cow::Borrowed(text);
    }
    let mut kept = String::new();
    let mut at = 0;
    for section in sections() {
        kept.push_str(text.get(at..section.heading.range.start).unwrap_or_default());
        at = section.body.end;
    }
    if at == 0 {
        return Cow::Borrowed(text);
    }
    kept.push_str(text.get(at..).unwrap_or_default());
    Cow::Owned(kept)
}

/// A labelled bullet. Further lines are indented, so that they stay in the item.
fn field(label: &str, text: &str) -> String {
    let text = LineEnding::Lf.apply(text);
    let mut lines = text.lines();
    let mut field = format!("- **{label}:** {}", lines.next().unwrap_or_default()).trim_end().to_owned();
    for line in lines {
        field.push_str(format!("\n  {line}").trim_end_matches(' '));
    }
    field
}

fn list(label: &str, items: &[String]) -> String {
    if items.is_empty() {
        return format!("- **{label}:** None");
    }
    let items: Vec<String> = items.iter().map(|item| format!("\n  - {item}")).collect();
    format!("- **{label}:**{}", items.concat())
}
