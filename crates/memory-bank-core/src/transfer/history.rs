//! The history of documents in a transfer: the versions of one document at a time, each with the step back from it, and their
//! form as lines of JSON, in which backup files and databases get them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::NotTransferable;
use crate::caller::KeyId;
use crate::document::{DocumentPath, Etag};
use crate::history::{ChangeContext, Delta, Link, Version, VersionKind, stored_tool, tool_and_mark};

/// The versions of one document, newest first. A list that is not whole lacks the oldest.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DocumentHistory {
    /// The versions.
    pub links: Vec<Link>,
    /// How many older versions are left out, because there is no room for them.
    pub left_out: usize,
}

/// How many versions and changes of the graph a transfer carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HistoryCount {
    /// Versions that it carries.
    pub versions: usize,
    /// Versions that it leaves out.
    pub left_out: usize,
    /// Changes of the graph that it carries.
    pub changes: usize,
    /// Changes of the graph that it leaves out.
    pub changes_left_out: usize,
}

impl HistoryCount {
    /// With those of another document.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            versions: self.versions + other.versions,
            left_out: self.left_out + other.left_out,
            changes: self.changes + other.changes,
            changes_left_out: self.changes_left_out + other.changes_left_out,
        }
    }
}

impl DocumentHistory {
    /// The newest version.
    #[must_use]
    pub fn newest(&self) -> Option<&Version> {
        self.links.first().map(|link| &link.version)
    }

    /// The name of the document, unless its last version deleted it.
    #[must_use]
    pub fn live_path(&self) -> Option<&DocumentPath> {
        self.newest().filter(|newest| newest.etag.is_some()).map(|newest| &newest.path)
    }

    /// The number of versions.
    #[must_use]
    pub fn count(&self) -> HistoryCount {
        HistoryCount { versions: self.links.len(), left_out: self.left_out, ..HistoryCount::default() }
    }
}

/// A version as a line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct VersionLine {
    document: String,
    number: i64,
    kind: String,
    path: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    former_path: Option<String>,
    at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    author: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    key: Option<uuid::Uuid>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    session: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    tool: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    etag: Option<String>,
    bytes: u64,
    /// The etag of the text before, the bytes that stay of it at both ends, and the bytes between them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    former_etag: Option<String>,
    #[serde(default)]
    start: usize,
    #[serde(default)]
    end: usize,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    former: Option<String>,
}

/// A version as a line of JSON, without the line's end. A version whose former text is not kept is one without a text before.
///
/// # Errors
/// It cannot be written as JSON.
pub fn write_history_line(link: &Link) -> Result<Vec<u8>, NotTransferable> {
    let Version { document, number, path, former_path, at, author, key, session, kind, etag, bytes, .. } =
        &link.version;
    let undone = ChangeContext {
        tool: link.version.tool.clone(),
        undoes: link.version.undoes.clone(),
        ..ChangeContext::default()
    };
    let step = link.former.as_ref().zip(link.back.as_ref());
    let text = |etag: &Etag| etag.as_str().to_owned();
    let line = VersionLine {
        document: document.clone(),
        number: *number,
        kind: kind.as_str().to_owned(),
        path: path.as_str().to_owned(),
        former_path: former_path.as_ref().map(|path| path.as_str().to_owned()),
        at: in_microseconds(*at),
        author: author.clone(),
        key: key.map(|key| key.0),
        session: session.clone(),
        tool: stored_tool(&undone),
        etag: etag.as_ref().map(text),
        bytes: *bytes,
        former_etag: step.map(|(etag, _)| text(etag)),
        start: step.map_or(0, |(_, back)| back.start()),
        end: step.map_or(0, |(_, back)| back.end()),
        former: step.map(|(_, back)| back.former().to_owned()),
    };
    serde_json::to_vec(&line).map_err(|error| NotTransferable(error.to_string()))
}

/// A time as databases have it; each would round the rest in its own way.
fn in_microseconds(at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at)
}

/// The version of a line.
///
/// # Errors
/// It is not the line of a version; the text has the reason.
pub fn read_history_line(line: &[u8]) -> Result<Link, NotTransferable> {
    let damaged = |why: String| NotTransferable(format!("a version of the history is damaged: {why}"));
    let line: VersionLine = serde_json::from_slice(line).map_err(|error| damaged(error.to_string()))?;
    let path = |name: &str| DocumentPath::parse(name).map_err(|error| damaged(error.to_string()));
    let kind = VersionKind::from_word(&line.kind)
        .ok_or_else(|| damaged(format!("its kind is `{}`", line.kind.escape_debug())))?;
    let (tool, undoes) = tool_and_mark(line.tool.as_deref());
    // Each is of no use without the other, and neither is written without it.
    let (former, back) = line
        .former_etag
        .as_deref()
        .map(Etag::claimed)
        .zip(line.former.map(|former| Delta::from_parts(line.start, line.end, former)))
        .unzip();
    let version = Version {
        path: path(&line.path)?,
        former_path: line.former_path.as_deref().map(path).transpose()?,
        document: line.document,
        number: line.number,
        at: in_microseconds(line.at),
        author: line.author,
        key: line.key.map(KeyId),
        key_prefix: None,
        session: line.session,
        tool,
        undoes,
        kind,
        etag: line.etag.as_deref().map(Etag::claimed),
        bytes: line.bytes,
        replaced: back.as_ref().map_or(0, |back| back.bytes() as u64),
        imported: true,
    };
    Ok(Link { version, former, back })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> Link {
        let at: Timestamp = "2026-11-27T09:00:00.123456Z".parse().unwrap();
        Link {
            version: Version {
                document: uuid::Uuid::from_u128(7).to_string(),
                number: 3,
                path: DocumentPath::parse("sub/notes.md").unwrap(),
                former_path: DocumentPath::parse("notes.md").ok(),
                at,
                author: Some("bob \"é\"".to_owned()),
                key: Some(KeyId(uuid::Uuid::from_u128(8))),
                key_prefix: None,
                session: Some(uuid::Uuid::from_u128(9).to_string()),
                tool: Some("history".to_owned()),
                undoes: Some(crate::history::UndoMark::of(Some("one"), None, Some(at), None)),
                kind: VersionKind::Renamed,
                etag: Some(Etag::of("after")),
                bytes: 5,
                replaced: 3,
                imported: true,
            },
            former: Some(Etag::of("before")),
            back: Some(Delta::from_parts(1, 2, "\u{1F600}\r\n".to_owned())),
        }
    }

    #[test]
    fn a_time_is_read_in_microseconds() {
        let line = String::from_utf8(write_history_line(&link()).unwrap()).unwrap();
        let finer = line.replace("00:00.123456Z", "00:00.123456789Z");
        assert_ne!(finer, line);
        assert_eq!(read_history_line(finer.as_bytes()).unwrap(), read_history_line(line.as_bytes()).unwrap());
    }

    #[test]
    fn a_version_reads_back_from_its_line() {
        let mut whole = link();
        whole.version.replaced = 6;
        let line = write_history_line(&whole).unwrap();
        assert!(!line.contains(&b'\n'));
        assert_eq!(read_history_line(&line).unwrap(), whole);
        let bare = Link {
            version: Version {
                former_path: None,
                author: None,
                key: None,
                session: None,
                tool: None,
                undoes: None,
                etag: None,
                replaced: 0,
                ..link().version
            },
            former: None,
            back: None,
        };
        assert_eq!(read_history_line(&write_history_line(&bare).unwrap()).unwrap(), bare);
    }

    #[test]
    fn a_line_that_is_no_version_is_refused() {
        let line = String::from_utf8(write_history_line(&link()).unwrap()).unwrap();
        for (from, to) in
            [("renamed", "planted"), ("sub/notes.md", "../notes.md"), ("\"number\":3", "\"number\":\"3\"")]
        {
            let planted = line.replace(from, to);
            assert_ne!(planted, line);
            assert!(read_history_line(planted.as_bytes()).is_err(), "{planted}");
        }
    }
}
