//! Notes with links as a graph: an entity for each note, which points to its document, with its links and tags.

use std::collections::{BTreeMap, HashMap, HashSet};

use anyhow::Context;
use memory_bank_core::error::{EditError, GraphError, StoreError};
use memory_bank_core::history::ChangeContext;
use memory_bank_core::import::{
    GraphItem, ImportEntry, ImportRecord, KnownGraph, Note, Vault, batches, entity_ref, items_hash,
    link_text, remembered_link,
};
use memory_bank_core::limits;
use memory_bank_core::store::{Bank, Drafts, GraphBatch, PointerDraft};

use super::documents::{
    RECORD_ATTEMPTS, entry_of, expect_unchanged, is_note, read_record, record_paths, set_parts,
};
use super::report::{GraphCounts, Report};
use super::sources::SourceFile;
use super::target::Target;

/// After how many notes the record is written.
const NOTE_BATCH: usize = 50;
const IMPORT_STOPPED: &str = "the import of the graph stopped; what it reports as written is written, and the same command completes it";

/// Writes to the graph of the bank.
pub(super) struct GraphWriter<'a> {
    pub(super) target: &'a Target,
    known: Option<KnownGraph>,
}

impl<'a> GraphWriter<'a> {
    pub(super) fn new(target: &'a Target) -> Self {
        Self { target, known: None }
    }

    /// The items of the graph, read once, and only if something may be new.
    pub(super) async fn known(&mut self) -> anyhow::Result<&mut KnownGraph> {
        if self.known.is_none() {
            let known = match self.target.bank() {
                Some(bank) => KnownGraph::of(&bank.export(&self.target.caller).await?),
                None => KnownGraph::default(),
            };
            self.known = Some(known);
        }
        self.known.as_mut().context("the graph was not read")
    }

    fn bank(&self) -> anyhow::Result<&dyn Bank> {
        self.target.existing_bank()
    }

    pub(super) async fn batch(&self, batch: GraphBatch) -> anyhow::Result<()> {
        self.bank()?.apply_batch(&self.target.caller, batch).await.context(IMPORT_STOPPED)?;
        Ok(())
    }

    async fn unlink(&self, item: &GraphItem) -> anyhow::Result<bool> {
        let GraphItem::Relation { from, relation_type, to } = item else { return Ok(false) };
        let (from, to) = (entity_ref(from), entity_ref(to));
        match self.bank()?.unlink(&self.target.caller, &from, relation_type, &to).await {
            Ok(removed) => Ok(removed.removed),
            // An entity that was deleted has no relations any more.
            Err(GraphError::EntityNotFound { .. }) => Ok(false),
            Err(error) => Err(error).context(IMPORT_STOPPED),
        }
    }

    /// Writes entries of the record.
    pub(super) async fn remember(
        &self,
        record: &mut ImportRecord,
        entries: Vec<(String, ImportEntry)>,
    ) -> anyhow::Result<()> {
        for _ in 0..RECORD_ATTEMPTS {
            match self.try_remember(record, &entries).await {
                Err(EditError::Blocked(_)) => *record = read_record(self.target).await?,
                outcome => return outcome.context(IMPORT_STOPPED),
            }
        }
        Err(StoreError::Busy).context(IMPORT_STOPPED)
    }

    async fn try_remember(
        &self,
        record: &mut ImportRecord,
        entries: &[(String, ImportEntry)],
    ) -> Result<(), EditError> {
        let bank = self.bank().map_err(|error| EditError::Refused(error.to_string()))?;
        let before: &ImportRecord = record;
        let mut after = before.clone();
        let merged = |key: &str, entry: &ImportEntry| match before.get(key) {
            Some(known) => entry.clone().with_items_of(known),
            None => entry.clone(),
        };
        let mut parts: Vec<usize> =
            entries.iter().map(|(key, entry)| after.set(key, merged(key, entry))).collect();
        parts.sort_unstable();
        parts.dedup();
        let paths = record_paths(&parts)?;
        let names: Vec<_> = paths.iter().map(|(_, path)| path.clone()).collect();
        let mut edit = |drafts: &mut Drafts| -> Result<(), EditError> {
            drafts.set_context(&ChangeContext::of_tool("import"));
            expect_unchanged(drafts, before, &paths)?;
            set_parts(drafts, &after, &paths)
        };
        bank.edit(&self.target.caller, &names, &mut edit).await?;
        *record = after;
        Ok(())
    }
}

/// The change of one note.
struct NoteChange<'a> {
    file: &'a SourceFile,
    document: String,
    entry: ImportEntry,
    /// Whether the entity gets its pointer to the document.
    is_new: bool,
    added: Vec<GraphItem>,
    stale: Vec<GraphItem>,
}

/// Imports the graph of the notes whose documents are imported.
///
/// # Errors
/// The store fails. Earlier writes are recorded.
pub(super) async fn import_notes(
    graph: &mut GraphWriter<'_>,
    record: &mut ImportRecord,
    files: &[&SourceFile],
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut vaults: BTreeMap<&str, Vec<&SourceFile>> = BTreeMap::new();
    for file in files.iter().filter(|file| is_note(file)) {
        vaults.entry(&file.layout_match.base).or_default().push(file);
    }
    for (base, notes) in vaults {
        let vault = Vault::new(base, notes.iter().map(|file| file.path.as_str()));
        let origins = origins(&notes, graph.target.start.label.as_deref());
        let mut counts = GraphCounts::default();
        let mut changes = Vec::new();
        for file in &notes {
            if let Some(change) = change(graph, record, &vault, file, report).await? {
                counts.add(&change.added);
                counts.removed += change.stale.len();
                changes.push(change);
            }
        }
        if !report.is_dry_run() {
            let mut written = GraphCounts::default();
            for step in changes.chunks(NOTE_BATCH) {
                if let Err(error) = write(graph, record, step, &origins, &mut written).await {
                    report.graph(base, notes.len(), &written);
                    return Err(error);
                }
            }
            counts = written;
        }
        report.graph(base, notes.len(), &counts);
    }
    Ok(())
}

/// The file of each note, by the id of the note's entity: a link may make the entity before its own note does.
fn origins<'a>(notes: &[&'a SourceFile], label: Option<&str>) -> HashMap<String, &'a str> {
    notes.iter().map(|file| (entity_ref(&Vault::entity(&file.path, label)).0, file.from.as_str())).collect()
}

/// The difference between the items of a note now and at its last import; none if nothing changed.
async fn change<'a>(
    graph: &mut GraphWriter<'_>,
    record: &ImportRecord,
    vault: &Vault,
    file: &'a SourceFile,
    report: &mut Report,
) -> anyhow::Result<Option<NoteChange<'a>>> {
    let label = graph.target.start.label.clone();
    let (items, missing) = vault.items(&file.path, label.as_deref(), &Note::read(&file.text));
    let entity = Vault::entity(&file.path, label.as_deref());
    if entity.0.len() > limits::LABEL_BYTES {
        report.warning(format!("`{}` has too long a name for the graph; its links are not in it", file.from));
        return Ok(None);
    }
    report.missing_links(&file.from, &missing);
    if report.is_deleted(&file.from) {
        return Ok(None);
    }
    let entry = entry_of(record, file);
    let hash = items_hash(&items);
    // Before a first import nothing is recorded yet.
    let is_planned = graph.target.bank().is_none() || report.is_dry_run();
    let Some((document, known_entry)) =
        entry.map(|(key, entry)| (key.to_owned(), entry.clone())).or_else(|| {
            let is_written = is_planned && report.creates(&file.from);
            is_written.then(|| (String::new(), ImportEntry::default()))
        })
    else {
        return Ok(None);
    };
    if known_entry.graph.as_ref() == Some(&hash) {
        return Ok(None);
    }
    let remembered: HashSet<&str> = known_entry.links.iter().map(String::as_str).collect();
    let is_remembered =
        |item: &GraphItem| link_text(item).is_some_and(|text| remembered.contains(text.as_str()));
    let now: HashSet<String> = items.iter().filter_map(link_text).collect();
    let mut links: Vec<String> =
        known_entry.links.iter().filter(|link| now.contains(*link)).cloned().collect();
    let stale: Vec<GraphItem> = known_entry
        .links
        .iter()
        .filter(|link| !now.contains(*link))
        .filter_map(|link| remembered_link(&entity, link))
        .collect();
    let known = graph.known().await?;
    let mut added = Vec::new();
    for item in &items {
        // A relation that the import made, and somebody removed in the bank, is not made again.
        if !is_remembered(item) && known.add(item) {
            links.extend(link_text(item));
            added.push(item.clone());
        }
    }
    links.sort();
    let is_new = known_entry.graph.is_none();
    let entry = ImportEntry { graph: Some(hash), links, ..known_entry };
    Ok(Some(NoteChange { file, document, entry, is_new, added, stale }))
}

async fn write(
    graph: &GraphWriter<'_>,
    record: &mut ImportRecord,
    step: &[NoteChange<'_>],
    origins: &HashMap<String, &str>,
    written: &mut GraphCounts,
) -> anyhow::Result<()> {
    let origin = |item: &GraphItem| match item {
        GraphItem::Entity(entity) => origins.get(&entity_ref(entity).0).copied(),
        _ => None,
    };
    let items = step.iter().flat_map(|note| {
        note.added.iter().map(|item| (item, origin(item).unwrap_or(note.file.from.as_str())))
    });
    for batch in batches(items) {
        graph.batch(batch.batch).await?;
    }
    for note in step {
        written.add(&note.added);
        for item in &note.stale {
            written.removed += usize::from(graph.unlink(item).await?);
        }
        if note.is_new {
            let label = graph.target.start.label.as_deref();
            let entity = entity_ref(&Vault::entity(&note.file.path, label));
            let pointer = PointerDraft {
                path: note.document.clone(),
                heading: None,
                note: Some(format!("imported from {}", note.file.from)),
            };
            graph
                .bank()?
                .add_pointer(&graph.target.caller, &entity, pointer)
                .await
                .context(IMPORT_STOPPED)?;
        }
    }
    let entries = step.iter().map(|note| (note.document.clone(), note.entry.clone())).collect();
    graph.remember(record, entries).await
}
