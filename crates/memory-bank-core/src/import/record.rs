//! The record of an import, in JSON documents of the bank: one entry per line, so that version control merges it.
//!
//! It moves with the bank, into a database and back. It is divided, since a document has a bound, and every step of an
//! import writes a part of it.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::IMPORT_FOLDER;
use crate::document::{DocumentPath, Etag};

/// The size at which further entries go into the next part, in bytes of JSON.
const PART_BYTES: usize = 384 * 1024;
/// The prefix of the keys that are not the name of a document.
pub const GRAPH_PREFIX: &str = "graph:";
const ABOUT_TEXT: &str = "What `memory-bank-mcp import --from auto` imported, so that it sees what changed since. An entry that is removed is \
    forgotten: its source is imported again.";

/// The entry of one imported source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportEntry {
    /// The source.
    pub from: String,
    /// The hash of the source's text.
    pub source: Etag,
    /// The etag of the document as it was written; the hash of the source for a file that becomes a graph only.
    pub written: Etag,
    /// The hash of its items in the graph.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graph: Option<Etag>,
    /// The relations that the import made, which it removes when the source does not have them any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<String>,
    /// The hashes of items that became entities, observations and relations.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<String>,
}

impl ImportEntry {
    /// The entry with the items that another import recorded meanwhile.
    #[must_use]
    pub fn with_items_of(mut self, other: &Self) -> Self {
        for item in &other.items {
            if !self.items.contains(item) {
                self.items.push(item.clone());
            }
        }
        self
    }
}

impl Default for ImportEntry {
    fn default() -> Self {
        let nothing = Etag::of("");
        Self {
            from: String::new(),
            source: nothing.clone(),
            written: nothing,
            graph: None,
            links: Vec::new(),
            items: Vec::new(),
        }
    }
}

/// One document of the record.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Part {
    #[serde(default)]
    about: String,
    #[serde(default)]
    entries: BTreeMap<String, ImportEntry>,
    #[serde(skip)]
    bytes: usize,
}

/// A part of the record is damaged.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{name}` is damaged: {why}; mend it, or delete it: documents that are as their sources are recognised without it, others \
     are left as they are"
)]
pub struct RecordDamaged {
    name: String,
    why: String,
}

/// The record of a bank.
#[derive(Debug, Clone, Default)]
pub struct ImportRecord {
    parts: Vec<Part>,
    /// The key of each source.
    sources: HashMap<String, String>,
}

/// Whether a document is a part of the record, which is not worth a search.
#[must_use]
pub fn is_record(name: &str) -> bool {
    let Some(file) = name.strip_prefix(IMPORT_FOLDER).and_then(|rest| rest.strip_prefix('/')) else {
        return false;
    };
    let Some(number) = file.strip_prefix("record").and_then(|rest| rest.strip_suffix(".json")) else {
        return false;
    };
    let digits = number.strip_prefix('-').unwrap_or_default();
    number.is_empty() || (!digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit()))
}

impl ImportRecord {
    /// The name of a part, from 0.
    #[must_use]
    pub fn name(part: usize) -> String {
        match part {
            0 => format!("{IMPORT_FOLDER}/record.json"),
            part => format!("{IMPORT_FOLDER}/record-{}.json", part + 1),
        }
    }

    /// Reads the parts, in their order.
    ///
    /// # Errors
    /// A part is not JSON, or not of this form.
    pub fn read<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, RecordDamaged> {
        let mut record = Self::default();
        for (at, text) in texts.into_iter().enumerate() {
            let damaged =
                |error: serde_json::Error| RecordDamaged { name: Self::name(at), why: error.to_string() };
            let mut part: Part = serde_json::from_str(text).map_err(damaged)?;
            // A record may come with a repository: it leads an import to documents only, and not to itself.
            let is_name = |key: &str| DocumentPath::parse(key).is_ok() && !is_record(key);
            part.entries.retain(|key, _| key.starts_with(GRAPH_PREFIX) || is_name(key));
            part.bytes = part.entries.iter().map(|(key, entry)| size(key, entry)).sum();
            for (key, entry) in &part.entries {
                record.sources.insert(entry.from.clone(), key.clone());
            }
            record.parts.push(part);
        }
        Ok(record)
    }

    /// The number of parts.
    #[must_use]
    pub fn parts(&self) -> usize {
        self.parts.len()
    }

    /// The text of a part.
    ///
    /// # Errors
    /// It cannot be written as JSON.
    pub fn text(&self, part: usize) -> Result<String, serde_json::Error> {
        let Some(part) = self.parts.get(part) else { return Ok(String::new()) };
        let mut text = format!("{{\"about\":{},\n\"entries\":{{", serde_json::to_string(ABOUT_TEXT)?);
        for (at, (key, entry)) in part.entries.iter().enumerate() {
            text.push_str(if at == 0 { "\n" } else { ",\n" });
            text.push_str(&serde_json::to_string(key)?);
            text.push(':');
            text.push_str(&serde_json::to_string(entry)?);
        }
        text.push_str("\n}}\n");
        Ok(text)
    }

    /// The entry of a key: the name of a document, or another name of an imported source.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&ImportEntry> {
        self.parts.iter().find_map(|part| part.entries.get(key))
    }

    /// The key of a source.
    #[must_use]
    pub fn key_of(&self, from: &str) -> Option<&str> {
        self.sources.get(from).map(String::as_str)
    }

    /// All entries, with their keys.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &ImportEntry)> {
        self.parts.iter().flat_map(|part| part.entries.iter().map(|(key, entry)| (key.as_str(), entry)))
    }

    /// Sets an entry and returns the part that it is in.
    pub fn set(&mut self, key: &str, entry: ImportEntry) -> usize {
        let bytes = size(key, &entry);
        self.sources.insert(entry.from.clone(), key.to_owned());
        let known = self.parts.iter().position(|part| part.entries.contains_key(key));
        let at = known.unwrap_or_else(|| self.part_with_room(bytes));
        if self.parts.len() <= at {
            self.parts.push(Part::default());
        }
        if let Some(part) = self.parts.get_mut(at) {
            let before = part.entries.get(key).map_or(0, |before| size(key, before));
            part.bytes = part.bytes.saturating_sub(before).saturating_add(bytes);
            part.entries.insert(key.to_owned(), entry);
        }
        at
    }

    fn part_with_room(&self, bytes: usize) -> usize {
        let has_room = |part: &Part| part.bytes == 0 || part.bytes + bytes <= PART_BYTES;
        self.parts.iter().position(has_room).unwrap_or(self.parts.len())
    }
}

/// The bytes of an entry in JSON, at most: every byte of a text may take six.
fn size(key: &str, entry: &ImportEntry) -> usize {
    let texts: usize = [key, entry.from.as_str()].iter().map(|text| text.len()).sum();
    let lists: usize = entry.links.iter().chain(&entry.items).map(|text| text.len() + 3).sum();
    texts + lists + 160
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(from: &str) -> ImportEntry {
        ImportEntry {
            from: from.to_owned(),
            source: Etag::of(from),
            written: Etag::of("w"),
            ..ImportEntry::default()
        }
    }

    #[test]
    fn a_record_is_read_as_it_was_written_one_entry_a_line() {
        let mut record = ImportRecord::default();
        assert_eq!(record.set("imported/claude.md", entry("CLAUDE.md")), 0);
        let note =
            ImportEntry { links: vec!["links_to:B".to_owned()], graph: Some(Etag::of("g")), ..entry("A.md") };
        record.set("imported/obsidian/a.md", note.clone());
        let text = record.text(0).unwrap();
        assert_eq!(text.lines().count(), 5);
        let again = ImportRecord::read([text.as_str()]).unwrap();
        assert_eq!(again.get("imported/obsidian/a.md"), Some(&note));
        assert_eq!(again.key_of("CLAUDE.md"), Some("imported/claude.md"));
        assert_eq!(again.text(0).unwrap(), text);
    }

    #[test]
    fn a_full_part_is_followed_by_another_and_entries_stay_in_theirs() {
        let mut record = ImportRecord::default();
        let long = "x".repeat(1000);
        let parts: Vec<usize> =
            (0..1000).map(|n| record.set(&format!("{n}-{long}"), entry(&format!("{n}")))).collect();
        assert!(record.parts() > 2, "{}", record.parts());
        assert!(parts.is_sorted());
        let texts: Vec<String> = (0..record.parts()).map(|part| record.text(part).unwrap()).collect();
        assert!(texts.iter().all(|text| text.len() < crate::limits::DOCUMENT_BYTES));
        let mut again = ImportRecord::read(texts.iter().map(String::as_str)).unwrap();
        assert_eq!(again.set(&format!("0-{long}"), entry("0")), 0);
        assert_eq!(again.parts(), record.parts());
    }

    #[test]
    fn a_damaged_record_is_named() {
        let good = ImportRecord::default().text(0).unwrap();
        assert!(ImportRecord::read([good.as_str()]).is_err(), "an empty text is not a part");
        let why = ImportRecord::read(["{}", "<<<<<<< HEAD"]).unwrap_err().to_string();
        assert!(why.contains("`imported/record-2.json` is damaged"), "{why}");
        assert_eq!(ImportRecord::read(["{}"]).unwrap().parts(), 1);
        let mut planted = ImportRecord::default();
        for key in ["imported/record.json", "../x.md", "", "graph/graph.jsonl", "x.txt"] {
            planted.set(key, entry("CLAUDE.md"));
        }
        let text = planted.text(0).unwrap();
        assert_eq!(ImportRecord::read([text.as_str()]).unwrap().entries().count(), 0);
    }

    #[test]
    fn the_record_is_recognised_by_its_name() {
        for part in [0, 1, 11] {
            assert!(is_record(&ImportRecord::name(part)));
        }
        for name in
            ["record.json", "imported/record-.json", "imported/records.json", "imported/record-x.json"]
        {
            assert!(!is_record(name), "{name}");
        }
    }
}
