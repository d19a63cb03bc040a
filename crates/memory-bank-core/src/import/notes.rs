//! Notes of Obsidian: their links, embeds and tags, and the note that a link leads to.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use pulldown_cmark::{CowStr, Event, Options, Parser, Tag};

use super::GraphItem;
use super::graph_items::EntityName;
use super::layout::below;
use crate::document::front_matter;
use crate::graph::ids::normalise;
use crate::limits;
use crate::unicode::{folded, is_alphanumeric};

/// The types of entities and relations that notes become.
const NOTE_TYPE: &str = "note";
const TAG_TYPE: &str = "tag";
const LINK_RELATION: &str = "links_to";
const EMBED_RELATION: &str = "embeds";
const TAG_RELATION: &str = "tagged";

/// The most links, embeds and tags of one note.
const MAX_LINKS_PER_NOTE: usize = 500;
/// Extensions of files that are not notes.
const ATTACHMENT_EXTENSIONS: [&str; 34] = [
    "png",
    "jpg",
    "jpeg",
    "gif",
    "bmp",
    "svg",
    "webp",
    "avif",
    "mp3",
    "wav",
    "m4a",
    "ogg",
    "flac",
    "3gp",
    "mp4",
    "webm",
    "ogv",
    "mov",
    "mkv",
    "pdf",
    "canvas",
    "base",
    "excalidraw",
    "zip",
    "csv",
    "json",
    "txt",
    "html",
    "docx",
    "xlsx",
    "pptx",
    "js",
    "css",
    "heic",
];

/// A link to a note.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Link {
    /// The note as the link names it, without heading, alias and extension.
    pub target: String,
    /// Whether the note is shown in this one.
    pub is_embed: bool,
}

/// The references of a note.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Note {
    /// Its links, each once.
    pub links: BTreeSet<Link>,
    /// Its tags, without `#`, each once.
    pub tags: BTreeSet<String>,
}

impl Note {
    /// Reads a note. Code contains no links.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let mut note = Self::default();
        let (front, body) = text.split_at_checked(front_matter(text)).unwrap_or(("", text));
        note.wikilinks(front);
        note.front_tags(front);
        let plain = note.without_code(body);
        note.wikilinks(&plain);
        note.inline_tags(&plain);
        note
    }

    fn count(&self) -> usize {
        self.links.len() + self.tags.len()
    }

    fn link(&mut self, target: &str, is_embed: bool) {
        let target = target.split(['#', '^']).next().unwrap_or_default().trim();
        let target = strip_markdown(target);
        let is_attachment = target.rsplit_once('.').is_some_and(|(_, extension)| {
            let extension = extension.to_ascii_lowercase();
            ATTACHMENT_EXTENSIONS.contains(&extension.as_str())
        });
        if target.is_empty() || is_attachment || self.count() >= MAX_LINKS_PER_NOTE {
            return;
        }
        self.links.insert(Link { target: target.to_owned(), is_embed });
    }

    /// The text with blanks for code; its Markdown links to notes are taken on the way.
    fn without_code(&mut self, body: &str) -> String {
        let mut plain = String::with_capacity(body.len());
        let mut done = 0;
        for (event, range) in Parser::new_ext(body, Options::ENABLE_TABLES).into_offset_iter() {
            match event {
                Event::Start(Tag::CodeBlock(_)) | Event::Code(_) if range.start >= done => {
                    plain.push_str(body.get(done..range.start).unwrap_or_default());
                    plain.push_str(if matches!(event, Event::Code(_)) { " " } else { "\n" });
                    done = range.end;
                }
                Event::Start(Tag::Link { dest_url, .. }) => self.markdown_link(&dest_url, false),
                Event::Start(Tag::Image { dest_url, .. }) => self.markdown_link(&dest_url, true),
                _ => {}
            }
        }
        plain.push_str(body.get(done..).unwrap_or_default());
        plain
    }

    /// `[text](Folder/Other%20note.md#heading)`.
    fn markdown_link(&mut self, url: &CowStr<'_>, is_embed: bool) {
        let path = url.split('#').next().unwrap_or_default();
        if path.contains("://") || path.starts_with("mailto:") || !path.to_ascii_lowercase().ends_with(".md")
        {
            return;
        }
        if let Some(path) = decoded(path) {
            self.link(&path, is_embed);
        }
    }

    fn wikilinks(&mut self, text: &str) {
        for line in text.lines() {
            let mut rest = line;
            while let Some((before, after)) = rest.split_once("[[") {
                let Some((inner, next)) = after.split_once("]]") else { break };
                // `[[a [[b]]`: the last opening counts.
                let inner = inner.rsplit("[[").next().unwrap_or(inner);
                let target = inner.split('|').next().unwrap_or_default();
                // In a table the bar is escaped.
                self.link(target.trim_end_matches('\\'), before.ends_with('!'));
                rest = next;
            }
        }
    }

    fn inline_tags(&mut self, text: &str) {
        for word in text.split_whitespace() {
            if let Some(tag) = word.strip_prefix('#') {
                self.tag(tag);
            }
        }
    }

    fn tag(&mut self, text: &str) {
        let is_part = |character: char| is_alphanumeric(character) || matches!(character, '_' | '-' | '/');
        let end = text.find(|character: char| !is_part(character)).unwrap_or(text.len());
        let tag = text.get(..end).unwrap_or_default().trim_matches('/');
        if tag.chars().any(|character| !character.is_numeric())
            && tag.len() < limits::LABEL_BYTES
            && self.count() < MAX_LINKS_PER_NOTE
        {
            self.tags.insert(tag.to_owned());
        }
    }

    /// `tags: [a, b]`, `tags: a, b` and a list below `tags:`.
    fn front_tags(&mut self, front: &str) {
        let mut in_list = false;
        for line in front.lines() {
            let value = match line.split_once(':') {
                Some(("tags" | "tag", value)) => {
                    in_list = value.trim().is_empty();
                    value
                }
                _ => match line.trim_start().strip_prefix("- ") {
                    Some(item) if in_list => item,
                    _ => {
                        in_list = false;
                        continue;
                    }
                },
            };
            for tag in value.split([',', ' ', '[', ']', '"', '\'']).filter(|tag| !tag.is_empty()) {
                self.tag(tag.trim_start_matches('#'));
            }
        }
    }
}

/// A path without percent signs.
fn decoded(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next()?, rest.next()?];
        let digits = std::str::from_utf8(&digits).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
    }
    String::from_utf8(bytes).ok()
}

fn strip_markdown(target: &str) -> &str {
    match target.rsplit_once('.') {
        Some((stem, extension)) if extension.eq_ignore_ascii_case("md") => stem,
        _ => target,
    }
}

/// The notes of one vault, by their paths without extension.
#[derive(Debug, Default)]
pub struct Vault {
    base: String,
    /// Paths in the vault, by the folded name of the note.
    notes: HashMap<String, Vec<String>>,
}

impl Vault {
    /// The vault in the folder `base` with the notes of these paths below the start.
    #[must_use]
    pub fn new<'a>(base: &str, paths: impl Iterator<Item = &'a str>) -> Self {
        let mut notes: HashMap<String, Vec<String>> = HashMap::new();
        for path in paths {
            let path = strip_markdown(below(path, base));
            let name = path.rsplit('/').next().unwrap_or(path);
            notes.entry(folded(name)).or_default().push(path.to_owned());
        }
        Self { base: base.to_owned(), notes }
    }

    /// The path of the note that a link leads to: with the whole path, or the end of it; of several, one in the same
    /// folder, else the one with the shortest path.
    #[must_use]
    pub fn resolve(&self, from: &str, target: &str) -> Option<&str> {
        let from = below(from, &self.base);
        let folder = from.rsplit_once('/').map_or("", |(folder, _)| folder);
        let is_relative = target.starts_with("./") || target.starts_with("../");
        let target =
            if is_relative { resolve_relative(folder, target)? } else { target.trim_matches('/').to_owned() };
        let name = target.rsplit('/').next().unwrap_or(&target);
        let folded_target = folded(&target);
        let fits = |path: &&String| {
            let path = folded(path);
            path == folded_target
                || (!is_relative && path.strip_suffix(&folded_target).is_some_and(|rest| rest.ends_with('/')))
        };
        let found = self.notes.get(&folded(name))?.iter().filter(fits);
        let rank = |path: &&String| {
            let is_whole = folded(path) == folded_target && target.contains('/');
            let is_near = path.rsplit_once('/').map_or("", |(folder, _)| folder) == folder;
            (!is_whole, !is_near, path.matches('/').count(), path.len(), (*path).clone())
        };
        found.min_by_key(rank).map(String::as_str)
    }

    /// The entity of a note: its path below the start, without extension.
    #[must_use]
    pub fn entity(from: &str, label: Option<&str>) -> EntityName {
        let path = strip_markdown(from);
        let label = label.map(|label| label.trim_start_matches("../"));
        let name = label.map_or_else(|| path.to_owned(), |label| format!("{label}/{path}"));
        (name, NOTE_TYPE.to_owned())
    }

    /// The items of a note in the graph, and its links that lead to no note. A missing note becomes an entity, too, since
    /// the link refers to it and the note may follow.
    #[must_use]
    pub fn items(&self, from: &str, label: Option<&str>, note: &Note) -> (Vec<GraphItem>, Vec<String>) {
        let entity = Self::entity(from, label);
        let (mut items, mut missing) = (vec![GraphItem::Entity(entity.clone())], Vec::new());
        let mut related: BTreeMap<String, GraphItem> = BTreeMap::new();
        for link in &note.links {
            let path = self.resolve(from, &link.target);
            if path.is_none() {
                missing.push(link.target.clone());
            }
            let path = path.unwrap_or(&link.target);
            let path = if self.base.is_empty() { path.to_owned() } else { format!("{}/{path}", self.base) };
            let to = Self::entity(&path, label);
            if normalise(&to.0) == normalise(&entity.0) || to.0.len() > limits::LABEL_BYTES {
                continue;
            }
            let relation_type = if link.is_embed { EMBED_RELATION } else { LINK_RELATION }.to_owned();
            let item = GraphItem::Relation { from: entity.clone(), relation_type, to };
            related.insert(item.key(), item);
        }
        for tag in &note.tags {
            let to = (format!("#{tag}"), TAG_TYPE.to_owned());
            let item =
                GraphItem::Relation { from: entity.clone(), relation_type: TAG_RELATION.to_owned(), to };
            related.insert(item.key(), item);
        }
        for item in related.into_values() {
            if let GraphItem::Relation { to, .. } = &item {
                items.push(GraphItem::Entity(to.clone()));
            }
            items.push(item);
        }
        (items, missing)
    }
}

/// The relation of a note as a record remembers it.
#[must_use]
pub fn link_text(item: &GraphItem) -> Option<String> {
    match item {
        GraphItem::Relation { relation_type, to, .. } => Some(format!("{relation_type}:{}", to.0)),
        _ => None,
    }
}

/// The relation of a note that a record remembers.
#[must_use]
pub fn remembered_link(from: &EntityName, text: &str) -> Option<GraphItem> {
    let (relation_type, name) = text.split_once(':')?;
    let kind = if relation_type == TAG_RELATION { TAG_TYPE } else { NOTE_TYPE };
    let to = (name.to_owned(), kind.to_owned());
    Some(GraphItem::Relation { from: from.clone(), relation_type: relation_type.to_owned(), to })
}

/// A relative path; none if it leads out.
fn resolve_relative(folder: &str, relative: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in relative.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(text: &str) -> Vec<String> {
        Note::read(text).links.into_iter().map(|link| link.target).collect()
    }

    #[test]
    fn links_are_read_with_alias_heading_and_block() {
        let text = "[[Alpha]] and [[Projects/Beta|the beta]], [[Gamma#Plan|plan]], [[Delta^block]], [[#here]]\n\
            | [[Eta\\|in a table]] |\n[md](Zeta%20note.md#x) [web](https://x.org/a.md) [[日本語 メモ]] [[open\n";
        assert_eq!(
            targets(text),
            ["Alpha", "Delta", "Eta", "Gamma", "Projects/Beta", "Zeta note", "日本語 メモ"]
        );
    }

    #[test]
    fn embeds_are_marked_and_attachments_are_not_notes() {
        let note = Note::read("![[Alpha]] ![[picture.png]] [[v1.2]] ![[report.PDF|page]] ![x](Beta.md)");
        let links: Vec<(&str, bool)> =
            note.links.iter().map(|link| (link.target.as_str(), link.is_embed)).collect();
        assert_eq!(links, [("Alpha", true), ("Beta", true), ("v1.2", false)]);
    }

    #[test]
    fn code_has_no_links_and_no_tags() {
        let text = "`[[no]] #no`\n\n```\n[[no]]\n#no\n```\n\n~~~\n[[no]]\n~~~\n\n[[yes]] #yes\n";
        let note = Note::read(text);
        assert_eq!(note.links.len(), 1);
        assert_eq!(note.tags.into_iter().collect::<Vec<_>>(), ["yes"]);
    }

    #[test]
    fn tags_are_read_from_text_and_front_matter() {
        let text = "---\ntags: [one, \"two\"]\nrelated: \"[[Front]]\"\n---\n# Heading\n#three, #four/five #1984 a#no #\n";
        let note = Note::read(text);
        assert_eq!(
            note.tags.iter().map(String::as_str).collect::<Vec<_>>(),
            ["four/five", "one", "three", "two"]
        );
        assert_eq!(note.links.first().unwrap().target, "Front");
        let list = Note::read("---\ntags:\n  - a\n  - b/c\nother:\n  - no\n---\n");
        assert_eq!(list.tags.into_iter().collect::<Vec<_>>(), ["a", "b/c"]);
    }

    #[test]
    fn a_link_leads_to_the_nearest_note_in_any_letter_case() {
        let paths = ["Index.md", "a/Index.md", "a/Note.md", "b/deep/Note.md", "b/Café.md"];
        let vault = Vault::new("", paths.into_iter());
        assert_eq!(vault.resolve("a/Note.md", "index"), Some("a/Index"));
        assert_eq!(vault.resolve("b/Café.md", "Index"), Some("Index"));
        assert_eq!(vault.resolve("Index.md", "Note"), Some("a/Note"));
        assert_eq!(vault.resolve("Index.md", "deep/note"), Some("b/deep/Note"));
        assert_eq!(vault.resolve("Index.md", "cafe\u{301}"), Some("b/Café"));
        assert_eq!(vault.resolve("b/deep/Note.md", "../Café"), Some("b/Café"));
        assert_eq!(vault.resolve("Index.md", "../Index"), None);
        assert_eq!(vault.resolve("Index.md", "Missing"), None);
        assert_eq!(vault.resolve("Index.md", "eep/Note"), None);
    }

    #[test]
    fn notes_become_entities_and_links_to_missing_notes_are_named() {
        let vault = Vault::new("v", ["v/A.md", "v/sub/B.md"].into_iter());
        let (items, missing) = vault.items("v/A.md", None, &Note::read("[[b]] [[Nowhere]] [[A]] #x"));
        let note = |name: &str| (name.to_owned(), NOTE_TYPE.to_owned());
        assert_eq!(missing, ["Nowhere"]);
        assert_eq!(items.len(), 7);
        assert_eq!(items[0], GraphItem::Entity(note("v/A")));
        for (relation_type, to) in [
            (LINK_RELATION, note("v/sub/B")),
            (LINK_RELATION, note("v/Nowhere")),
            (TAG_RELATION, ("#x".into(), TAG_TYPE.into())),
        ] {
            let relation = GraphItem::Relation { from: note("v/A"), relation_type: relation_type.into(), to };
            assert!(items.contains(&relation), "{relation:?}");
        }
    }

    #[test]
    fn a_remembered_link_is_the_relation_that_it_was() {
        let from = ("v/A".to_owned(), NOTE_TYPE.to_owned());
        for to in [("a:b".to_owned(), NOTE_TYPE.to_owned()), ("#x".to_owned(), TAG_TYPE.to_owned())] {
            let kind = if to.1 == TAG_TYPE { TAG_RELATION } else { LINK_RELATION }.to_owned();
            let item = GraphItem::Relation { from: from.clone(), relation_type: kind, to };
            assert_eq!(remembered_link(&from, &link_text(&item).unwrap()), Some(item));
        }
    }

    #[test]
    fn a_note_with_too_many_links_is_bounded() {
        let text: String = (0..2 * MAX_LINKS_PER_NOTE).map(|n| format!("[[note {n}]] #tag{n} ")).collect();
        assert_eq!(Note::read(&text).count(), MAX_LINKS_PER_NOTE);
        // Unclosed brackets cost no more than their length.
        assert_eq!(Note::read(&"[[".repeat(100_000)).links.len(), 0);
    }
}
