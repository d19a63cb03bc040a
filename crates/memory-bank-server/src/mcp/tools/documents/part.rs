//! Returns one document: whole if it fits, or else a part. A part is never called `content` and has no etag, so that
//! it cannot be written back as the whole.

use memory_bank_core::document::section::Outline;
use memory_bank_core::document::{Document, DocumentSize, LeftOut, Part, Selection, json_chars, part};
use memory_bank_core::graph::FactView;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::mcp::tools::common_arguments::default_true;
use crate::mcp::tools::extra_members::{note_stored_name, put};
use crate::mcp::tools::reply::{Failure, Reply};
use crate::mcp::tools::reply_space::ReplySpace;
use crate::services::Replies;

/// How many headings are listed with the beginning of a long document, and their length.
const MAX_HEADINGS: usize = 40;

const MAX_HEADING_CHARS: usize = 60;

/// The requested selection.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReadOne {
    pub(crate) filename: String,
    #[serde(default = "default_true")]
    include_etag: bool,
    heading: Option<String>,
    from_line: Option<usize>,
    from_char: Option<usize>,
    lines: Option<usize>,
    tail: Option<usize>,
    max_chars: Option<usize>,
    as_of: Option<String>,
}

impl ReadOne {
    /// The requested part, if any.
    ///
    /// # Errors
    /// Two parts are requested at once.
    fn selection(&self) -> Result<Option<Selection<'_>>, Failure> {
        let heading = self.heading.as_deref().filter(|heading| !heading.trim().is_empty());
        let from = self.from_line.or(self.from_char.map(|_| 1));
        let selections = [heading.is_some(), from.is_some(), self.tail.is_some()];
        if selections.iter().filter(|given| **given).count() > 1
            || (self.tail.is_some() && self.lines.is_some())
        {
            return Err(Failure::Malformed(
                "give one of `heading`, `fromLine` and `tail`; `lines` says how many lines of a heading or from a line on"
                    .to_owned(),
            ));
        }
        let count = self.lines;
        Ok(match (heading, self.tail) {
            (Some(title), _) => Some(Selection::Heading { title, count }),
            (None, Some(tail)) => Some(Selection::Tail(tail)),
            (None, None) if from.is_some() || count.is_some() => Some(Selection::Lines {
                from: from.unwrap_or(1),
                from_char: self.from_char.unwrap_or(1),
                count,
            }),
            (None, None) => None,
        })
    }

    /// The view of the past that is requested, if one is.
    pub(crate) fn past_view(&self) -> Result<Option<FactView>, Failure> {
        let as_of = self.as_of.as_deref().map(str::trim).filter(|as_of| !as_of.is_empty());
        as_of.map(FactView::as_of).transpose().map_err(Failure::from)
    }

    /// The document, or the part of it, as a reply. A past state has notes and no etag, since it cannot be edited.
    pub(crate) fn reply(
        &self,
        document: Document,
        notes: &Map<String, Value>,
        replies: &Replies,
    ) -> Result<Reply, Failure> {
        let selection = self.selection()?;
        let mut frame = json!({"filename": self.filename});
        add(&mut frame, notes);
        note_stored_name(&mut frame, &self.filename, &document.path);
        let space = ReplySpace::of(replies, self.max_chars, &frame);
        if selection.is_none()
            && json_chars(&document.content) <= space.bounds().chars.saturating_add(OMISSIONS_CHARS)
        {
            return self.whole_document(document, notes);
        }
        let extent = DocumentSize::of(&document.content);
        let start = Selection::Lines { from: 1, from_char: 1, count: None };
        let headings = match selection {
            None => headings(&document.content),
            Some(_) => Vec::new(),
        };
        // They help to select a part, and must not take its space.
        let fits = json!(headings).to_string().chars().count() <= space.bounds().chars / 4;
        let headings = if fits { headings } else { Vec::new() };
        put(&mut frame, "headings", json!(headings));
        let bounds = ReplySpace::of(replies, self.max_chars, &frame).bounds();
        let part = part(&document.content, selection.unwrap_or(start), bounds)
            .map_err(|reason| Failure::message(format!("Error reading file {}: {reason}", self.filename)))?;
        let Part { text, from_line, from_char, lines, left } = part;
        let mut data = json!({"part": text, "fromLine": from_line, "lines": lines, "totalLines": extent.lines,
            "totalChars": extent.chars, "filename": self.filename});
        if from_char > 1 {
            put(&mut data, "fromChar", json!(from_char));
        }
        add(&mut data, notes);
        note_stored_name(&mut data, &self.filename, &document.path);
        if !headings.is_empty() {
            put(&mut data, "headings", json!(headings));
        }
        if let Some(left) = left {
            put(&mut data, "next", self.next(left, selection));
        }
        Reply::json(&data)
    }

    fn whole_document(&self, document: Document, notes: &Map<String, Value>) -> Result<Reply, Failure> {
        if !notes.is_empty() {
            let mut data = json!({"content": document.content, "filename": self.filename});
            add(&mut data, notes);
            note_stored_name(&mut data, &self.filename, &document.path);
            return Reply::json(&data);
        }
        if !self.include_etag {
            let data = json!({"content": document.content, "filename": self.filename});
            return Ok(Reply::text(document.content, data));
        }
        let mut data = json!({"content": document.content, "etag": document.etag, "filename": self.filename});
        note_stored_name(&mut data, &self.filename, &document.path);
        Reply::json(&data)
    }

    /// The call that reads the omitted part.
    fn next(&self, left: LeftOut, selection: Option<Selection<'_>>) -> Value {
        let mut arguments = Map::new();
        arguments.insert("filename".into(), json!(self.filename));
        arguments.insert("fromLine".into(), json!(left.from_line));
        if left.from_char > 1 {
            arguments.insert("fromChar".into(), json!(left.from_char));
        }
        let open_end = matches!(selection, None | Some(Selection::Lines { count: None, .. }));
        if !open_end {
            arguments.insert("lines".into(), json!(left.lines));
        }
        if let Some(max_chars) = self.max_chars {
            arguments.insert("maxChars".into(), json!(max_chars));
        }
        if let Some(as_of) = &self.as_of {
            arguments.insert("asOf".into(), json!(as_of));
        }
        json!({"tool": "read_memory_bank_file", "arguments": arguments})
    }
}

/// Adds members to an object.
fn add(data: &mut Value, members: &Map<String, Value>) {
    for (name, value) in members {
        put(data, name, value.clone());
    }
}

/// The space that a whole document does not need: it has no omissions.
const OMISSIONS_CHARS: usize = 500;

/// The headings of a document with their lines, the highest levels first if there are too many.
fn headings(text: &str) -> Vec<String> {
    let outline = Outline::of(text);
    let all = outline.headings();
    let most = (1..=6_u8)
        .rev()
        .find(|level| all.iter().filter(|heading| heading.level <= *level).count() <= MAX_HEADINGS)
        .unwrap_or(1);
    let shown = all.iter().filter(|heading| heading.level <= most).take(MAX_HEADINGS);
    shown
        .map(|heading| {
            let title: String = heading.title.chars().take(MAX_HEADING_CHARS).collect();
            format!("{}: {title}", heading.line)
        })
        .collect()
}
