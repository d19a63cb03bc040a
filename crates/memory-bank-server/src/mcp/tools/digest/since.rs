//! The line of a digest about what changed since the caller's last session: documents that were written, deleted or renamed, and the
//! graph.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use memory_bank_core::caller::Caller;
use memory_bank_core::compact_sort::CompactSort as _;
use memory_bank_core::document::DocumentEntry;
use memory_bank_core::graph::history::{
    GraphChange, GraphChangePage, GraphChangeQuery, GraphItem, GraphSubject,
};
use memory_bank_core::history::{Subject, Version, VersionKind, VersionPage, VersionQuery};
use memory_bank_core::limits;
use memory_bank_core::store::Bank;

use super::lines::short;
use crate::mcp::tools::tool::Call;

/// The most documents that are named as changed.
pub(super) const MAX_NAMED_CHANGES: usize = 6;
/// The most deleted documents, renamed ones and entities that are named.
const MAX_NAMED_OTHERS: usize = 3;
/// The most changes of the graph that are read.
const GRAPH_CHANGES: usize = 20;

/// The time after which changes are news for the caller.
#[derive(Debug, Clone, Copy)]
pub(super) struct LastSession {
    at: Timestamp,
    /// Whether the caller was here since, so that only the changes of others are news.
    only_others: bool,
}

/// When this caller last read the digest: in an earlier session or, if none is known, in this one; records this read. An error does
/// not fail the digest.
pub(super) async fn last_session(call: &Call, bank: &dyn Bank, now: Timestamp) -> Option<LastSession> {
    let place = bank.location();
    let known = match call.services.state.load(&call.caller).await {
        Ok(state) => state.visits,
        Err(error) => {
            tracing::warn!(%error, "the digest omits the changes since the last session");
            return None;
        }
    };
    if known.needs_recording(&place, now) {
        let noted =
            call.services.state.update(&call.caller, &mut |state| state.visits.note(&place, now)).await;
        if let Err(error) = noted {
            tracing::warn!(%error, "the digest's time could not be stored");
        }
    }
    match known.last_session(&place, now) {
        Some(at) => Some(LastSession { at, only_others: false }),
        None => known.last_read(&place).map(|at| LastSession { at, only_others: true }),
    }
}

/// What the history has of the time since the last session.
#[derive(Debug)]
pub(super) struct Changes {
    last: LastSession,
    versions: VersionPage,
    /// Whether all versions of that time are here.
    is_complete: bool,
    graph: GraphChangePage,
}

fn all_since(at: Timestamp) -> VersionQuery {
    VersionQuery {
        subject: Subject::Project,
        since: Some(at),
        until: None,
        by: None,
        after: None,
        limit: limits::VERSIONS_LISTED,
    }
}

/// Reads it, without the parts that cannot be read.
pub(super) async fn changes(call: &Call, bank: &dyn Bank, last: LastSession) -> Changes {
    let versions = all_since(last.at);
    let graph = GraphChangeQuery {
        since: Some(last.at),
        ..GraphChangeQuery::newest(GraphSubject::Project, GRAPH_CHANGES)
    };
    let (versions, graph) = tokio::join!(
        bank.list_versions(&call.caller, &versions),
        bank.list_graph_changes(&call.caller, &graph)
    );
    let is_read = versions.is_ok();
    let versions = versions.unwrap_or_else(|error| {
        tracing::warn!(%error, "the digest omits deleted and renamed documents");
        VersionPage::default()
    });
    let graph = graph.unwrap_or_else(|error| {
        tracing::warn!(%error, "the digest omits the changes of the graph");
        GraphChangePage::default()
    });
    let is_complete = bank.keeps_history() && is_read && versions.next.is_none();
    Changes { last, versions, is_complete, graph }
}

/// Lets a folder compare its documents with their history at the first visit, so that the next one knows what something outside
/// changed: a list of the versions begins with it. A database knows all changes.
pub(super) async fn compare_with_history(call: &Call, bank: &dyn Bank, now: Timestamp) {
    if call.caller.project != Caller::local("").project {
        return;
    }
    if let Err(error) = bank.list_versions(&call.caller, &all_since(now)).await {
        tracing::debug!(%error, "the documents could not be compared with their history");
    }
}

impl Changes {
    /// The changes in a line, if there is something to report. What another user changed last has that user's name.
    pub(super) fn line(
        mut self,
        present: &[DocumentEntry],
        authors: &BTreeMap<String, String>,
        own: &str,
    ) -> Option<String> {
        let is_of_others = |author: Option<&str>| author.is_some_and(|author| author != own);
        let newest = newest(&self.versions.versions);
        let mut changed: Vec<&DocumentEntry> = present
            .iter()
            .filter(|entry| {
                let version = newest.get(entry.name.as_str());
                entry.path.is_some()
                    && (entry.updated_at > self.last.at || version.is_some_and(|one| is_outside_edit(one)))
            })
            .filter(|entry| {
                let author = authors.get(&entry.name).map(String::as_str);
                !self.last.only_others
                    || match newest.get(entry.name.as_str()) {
                        Some(version) => {
                            is_outside(version) || is_of_others(author.or(version.author.as_deref()))
                        }
                        // What has no version was changed by something outside.
                        None => is_of_others(author) || (author.is_none() && self.is_complete),
                    }
            })
            .collect();
        drop(newest);
        if self.last.only_others {
            let is_news = |version: &Version| is_outside(version) || is_of_others(version.author.as_deref());
            self.versions.versions.retain(is_news);
            self.graph.changes.retain(|change| is_of_others(change.author.as_deref()));
        }
        let gone = self.deleted_and_renamed(present, own);
        changed.retain(|entry| !gone.renamed.contains(entry.name.as_str()));
        changed.compact_sort_by(|a, b| b.updated_at.cmp(&a.updated_at).then_with(|| a.name.cmp(&b.name)));
        let names = changed.iter().map(|entry| by(&short(&entry.name), authors.get(&entry.name), own));
        let mut parts = Vec::from_iter(named(names, MAX_NAMED_CHANGES));
        parts.extend(gone.parts);
        let graph = self.graph_part(own);
        if parts.is_empty() && graph.is_none() && self.last.only_others {
            return None;
        }
        if parts.is_empty() {
            parts.push("no document changed".to_owned());
        }
        parts.extend(graph);
        Some(format!("since {}: {}", self.last.at.strftime("%Y-%m-%d %H:%M UTC"), parts.join("; ")))
    }

    /// The documents that exist no more or have another name, as far as they existed before.
    fn deleted_and_renamed(&self, present: &[DocumentEntry], own: &str) -> Gone<'_> {
        let names: BTreeSet<&str> = present.iter().map(|entry| entry.name.as_str()).collect();
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        let (mut deleted, mut renamed, mut new_names) = (Vec::new(), Vec::new(), BTreeSet::new());
        // The newest version of each document comes first.
        for version in &self.versions.versions {
            let is_newest = seen.insert(version.document.as_str());
            let name = version.path.as_str();
            let all = || self.versions.versions.iter().filter(|one| one.document == version.document);
            let is_new = || all().any(|one| one.kind == VersionKind::Created && one.number == 1);
            if !is_newest || is_new() {
                continue;
            }
            if version.etag.is_none() && !names.contains(name) {
                deleted.push(by(&short(name), version.author.as_ref(), own));
            } else if let Some((former, renaming)) = first_name(all())
                && former != name
                && names.contains(name)
            {
                let edited = if all().any(is_edit) { " and edited" } else { "" };
                let pair = format!("{} to {}{edited}", short(former), short(name));
                renamed.push(by(&pair, renaming.author.as_ref(), own));
                new_names.insert(name);
            }
        }
        let parts = [("deleted: ", deleted), ("renamed: ", renamed)];
        let parts = parts.into_iter().filter_map(|(head, names)| {
            Some(format!("{head}{}", named(names.into_iter(), MAX_NAMED_OTHERS)?))
        });
        Gone { parts: parts.collect(), renamed: new_names }
    }

    fn graph_part(&self, own: &str) -> Option<String> {
        let changes = &self.graph.changes;
        let count = match (changes.len(), self.graph.next) {
            (0, _) => return None,
            (1, None) => "1 change".to_owned(),
            (count, None) => format!("{count} changes"),
            (count, Some(_)) => format!("{count} changes and more"),
        };
        let mut entities: Vec<(&str, Option<&String>)> = Vec::new();
        for change in changes {
            let Some(name) = entity_of(change) else { continue };
            if !entities.iter().any(|(known, _)| *known == name) {
                entities.push((name, change.author.as_ref()));
            }
        }
        let names = entities.into_iter().map(|(name, author)| by(&short(name), author, own));
        let names = named(names, MAX_NAMED_OTHERS).map(|names| format!(" of {names}")).unwrap_or_default();
        Some(format!("graph: {count}{names}"))
    }
}

/// Documents that exist no more or have another name.
struct Gone<'v> {
    /// In words.
    parts: Vec<String>,
    /// The names that renamed ones have.
    renamed: BTreeSet<&'v str>,
}

/// The newest version under each name.
fn newest(versions: &[Version]) -> BTreeMap<&str, &Version> {
    let mut newest = BTreeMap::new();
    for version in versions {
        newest.entry(version.path.as_str()).or_insert(version);
    }
    newest
}

/// Whether something outside of the server made it.
fn is_outside(version: &Version) -> bool {
    version.kind == VersionKind::Outside && !version.imported
}

/// Whether it changed the text of a document. The first version of a document that is older than its history does not.
fn is_edit(version: &Version) -> bool {
    let is_first = version.kind == VersionKind::Outside && version.number == 1;
    version.former_path.is_none() && version.etag.is_some() && !is_first
}

/// Whether something outside changed the text. The file may have kept its time.
fn is_outside_edit(version: &Version) -> bool {
    is_outside(version) && is_edit(version)
}

/// The name before the first of these versions that renames, and that version.
fn first_name<'v>(versions: impl Iterator<Item = &'v Version>) -> Option<(&'v str, &'v Version)> {
    let renaming = versions.filter(|version| version.former_path.is_some()).last()?;
    Some((renaming.former_path.as_ref()?.as_str(), renaming))
}

/// The name of the entity that a change is about.
fn entity_of(change: &GraphChange) -> Option<&str> {
    change.entity.as_deref().or_else(|| match change.item()? {
        GraphItem::Entity(entity) => Some(entity.name.as_str()),
        _ => None,
    })
}

/// A name, with the user who changed it if that is another one.
fn by(name: &str, author: Option<&String>, own: &str) -> String {
    match author.filter(|author| *author != own) {
        Some(author) => format!("{name} ({})", short(author)),
        None => name.to_owned(),
    }
}

/// The first of these names, and how many more there are.
fn named(names: impl Iterator<Item = String>, most: usize) -> Option<String> {
    let names: Vec<String> = names.collect();
    let shown: Vec<&str> = names.iter().take(most).map(String::as_str).collect();
    if shown.is_empty() {
        return None;
    }
    let more = names.len() - shown.len();
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    Some(shown.join(", ") + &rest)
}
