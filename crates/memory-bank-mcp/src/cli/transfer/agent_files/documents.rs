//! The documents of an import: which document each source becomes, the decision on it, and the writes.

use std::collections::HashMap;

use anyhow::Context;
use memory_bank_core::document::{CoreDocument, DocumentPath, Etag};
use memory_bank_core::error::{EditError, StoreError};
use memory_bank_core::history::ChangeContext;
use memory_bank_core::import::{
    DocumentState, ImportEntry, ImportRecord, Layout, Names, WriteDecision, candidates, decide, is_record,
    name_beside, with_origin,
};
use memory_bank_core::store::{Bank, Drafts, ReadOutcome};

use super::options::AgentFiles;
use super::report::{Report, Row};
use super::sources::SourceFile;
use super::target::Target;
use crate::cli::transfer::progress::Progress;

/// How many documents are read at once.
const READ_BATCH: usize = 50;
/// How many documents are written at once, and how many bytes of them.
const WRITE_BATCH: usize = 50;
const WRITE_BATCH_BYTES: usize = 4 * 1024 * 1024;
/// How often a step is tried while other imports write the record.
pub(super) const RECORD_ATTEMPTS: usize = 20;

/// One document and the decision on it.
#[derive(Debug)]
pub(super) struct Planned<'a> {
    file: &'a SourceFile,
    document: String,
    decision: WriteDecision,
    /// The text beside an edited document has an entry of its own.
    from: String,
    source: Etag,
    text: String,
    /// Whether it is the new text of a source beside its edited document.
    is_beside: bool,
}

/// Reads the record of the bank.
///
/// # Errors
/// It is damaged, or the store fails.
pub(super) async fn read_record(target: &Target) -> anyhow::Result<ImportRecord> {
    let Some(bank) = target.bank() else { return Ok(ImportRecord::default()) };
    let mut texts = Vec::new();
    loop {
        let path = DocumentPath::parse(&ImportRecord::name(texts.len()))?;
        match bank.read(&target.caller, &[path]).await?.pop() {
            Some(ReadOutcome::Found(document)) => texts.push(document.content),
            Some(ReadOutcome::Unreadable(why)) => {
                anyhow::bail!("`{}` cannot be read: {why}", ImportRecord::name(texts.len()))
            }
            _ => break,
        }
    }
    Ok(ImportRecord::read(texts.iter().map(String::as_str))?)
}

/// Decides on every source.
///
/// # Errors
/// The store fails.
pub(super) async fn plan<'a>(
    target: &Target,
    record: &ImportRecord,
    files: &[&'a SourceFile],
    options: &AgentFiles,
) -> anyhow::Result<Vec<Planned<'a>>> {
    let mut planner = Planner::new(target, record, files).await?;
    let mut planned = Vec::new();
    for file in files {
        let first = planner.document(file);
        let is_conflict = first.decision == WriteDecision::Conflict;
        planned.push(first);
        if let Some(first) = planned.last().filter(|_| is_conflict && options.beside) {
            let beside = planner.plan_new_text_beside(first);
            planned.push(beside);
        }
    }
    Ok(planned)
}

struct Planner<'r> {
    label: Option<String>,
    record: &'r ImportRecord,
    names: Names,
    present: HashMap<String, DocumentState>,
}

impl<'r> Planner<'r> {
    async fn new(target: &Target, record: &'r ImportRecord, files: &[&SourceFile]) -> anyhow::Result<Self> {
        let label = target.start.label.clone();
        let listed = match target.bank() {
            Some(bank) => bank.list(&target.caller).await?,
            None => Vec::new(),
        };
        let mut names =
            Names::new(listed.into_iter().filter(|entry| entry.path.is_some()).map(|entry| entry.name));
        for (key, _) in record.entries() {
            names.reserve(key);
        }
        let mut planner = Self { label, record, names, present: HashMap::new() };
        let mut possible: Vec<String> = files
            .iter()
            .flat_map(|file| planner.names_of(file))
            .filter_map(|name| planner.names.stored(&name).map(str::to_owned))
            .collect();
        possible.sort();
        possible.dedup();
        if let Some(bank) = target.bank() {
            planner.present = read_present(target, bank, &possible).await?;
        }
        Ok(planner)
    }

    /// The names that may become the document of a source.
    fn names_of(&self, file: &SourceFile) -> Vec<String> {
        let label = self.label.as_deref();
        let mut names = candidates(file.layout_match.layout, label, &file.layout_match.base, &file.path);
        if let Some(known) = self.record.key_of(&file.from) {
            names.push(known.to_owned());
            names.push(name_beside(known, &file.from));
        }
        names
    }

    fn document<'a>(&mut self, file: &'a SourceFile) -> Planned<'a> {
        let (source, text) = (Etag::of(&file.text), with_origin(&file.text, &file.from));
        let etag = Etag::of(&text);
        let (document, decision) = match self.record.key_of(&file.from) {
            Some(key) => {
                let present = self.present_of(key);
                let decision = decide(self.record.get(key), present.as_ref(), &source, &etag);
                (key.to_owned(), decision)
            }
            None => self.new_document(file, &source, &etag),
        };
        self.names.reserve(&document);
        let from = file.from.clone();
        Planned { file, document, decision, from, source, text, is_beside: false }
    }

    /// The first free name, or the name of a document that has this text, or none yet.
    fn new_document(&self, file: &SourceFile, source: &Etag, etag: &Etag) -> (String, WriteDecision) {
        let mut taken = None;
        for name in
            candidates(file.layout_match.layout, self.label.as_deref(), &file.layout_match.base, &file.path)
        {
            let name = self.names.spelled(&name);
            if self.names.is_taken(&name) {
                continue;
            }
            let name = self.names.stored(&name).map_or(name.clone(), str::to_owned);
            let decision = decide(None, self.present_of(&name).as_ref(), source, etag);
            if decision != WriteDecision::Taken {
                return (name, decision);
            }
            taken.get_or_insert(name);
        }
        (taken.unwrap_or_default(), WriteDecision::Taken)
    }

    fn plan_new_text_beside<'a>(&mut self, edited: &Planned<'a>) -> Planned<'a> {
        let from = format!("{} (beside {})", edited.file.from, edited.document);
        let document = self.names.spelled(&name_beside(&edited.document, &edited.file.from));
        let present = self.present_of(&document);
        let decision =
            decide(self.record.get(&document), present.as_ref(), &edited.source, &Etag::of(&edited.text));
        self.names.reserve(&document);
        Planned {
            file: edited.file,
            document,
            decision,
            from,
            source: edited.source.clone(),
            text: edited.text.clone(),
            is_beside: true,
        }
    }

    fn present_of(&self, name: &str) -> Option<DocumentState> {
        let stored = self.names.stored(name)?;
        self.present.get(stored).cloned()
    }
}

/// The state of documents. One that cannot be read counts as edited.
async fn read_present(
    target: &Target,
    bank: &dyn Bank,
    names: &[String],
) -> anyhow::Result<HashMap<String, DocumentState>> {
    let mut present = HashMap::new();
    for names in names.chunks(READ_BATCH) {
        let paths = names.iter().map(|name| DocumentPath::parse(name)).collect::<Result<Vec<_>, _>>()?;
        for (name, outcome) in names.iter().zip(bank.read(&target.caller, &paths).await?) {
            let state = match outcome {
                ReadOutcome::Found(document) => DocumentState {
                    is_template: is_template(document.path.as_str(), &document.content),
                    etag: document.etag,
                },
                ReadOutcome::Unreadable(_) => {
                    DocumentState { etag: Etag::claimed("unreadable"), is_template: false }
                }
                _ => continue,
            };
            present.insert(name.clone(), state);
        }
    }
    Ok(present)
}

/// Whether a document has no content of anybody.
fn is_template(name: &str, text: &str) -> bool {
    let normal = text.replace("\r\n", "\n");
    text.trim().is_empty()
        || CoreDocument::ALL.into_iter().any(|core| {
            DocumentPath::parse(name).is_ok_and(|path| path.canonical() == core.path())
                && core.template() == normal
        })
}

/// Writes the planned documents in steps, and reports them.
///
/// # Errors
/// The store fails. Earlier writes are recorded.
pub(super) async fn apply(
    target: &Target,
    record: &mut ImportRecord,
    planned: Vec<Planned<'_>>,
    report: &mut Report,
) -> anyhow::Result<()> {
    let (recorded, others): (Vec<_>, Vec<_>) =
        planned.into_iter().partition(|item| item.decision.is_recorded());
    for item in &others {
        report.row(item.row(item.decision));
        if item.decision == WriteDecision::Deleted {
            report.deleted(&item.from);
        }
    }
    if report.is_dry_run() {
        for item in &recorded {
            report.row(item.row(item.decision));
            report.secrets(item.file, item.decision);
        }
        return Ok(());
    }
    let progress = Progress::new(recorded.len(), "importing");
    let mut rest = recorded.as_slice();
    while !rest.is_empty() {
        let (step, next) = rest.split_at_checked(step_length(rest)).unwrap_or((rest, &[]));
        match write(target, record, step).await {
            Ok(outcomes) => report_step(step, &outcomes, report),
            // One document that is refused must not stop the others.
            Err(EditError::Store(error)) => {
                return Err(error).context(
                    "the import stopped; what it reports as written is written, and the same command completes it",
                );
            }
            Err(_) => {
                for item in step {
                    let item = std::slice::from_ref(item);
                    match write(target, record, item).await {
                        Ok(outcomes) => report_step(item, &outcomes, report),
                        Err(EditError::Store(error)) => return Err(error).context("the import stopped"),
                        Err(error) => item.iter().for_each(|item| report.failed(item.refused(&error))),
                    }
                }
            }
        }
        progress.add(step.len());
        rest = next;
    }
    progress.end();
    Ok(())
}

fn report_step(step: &[Planned<'_>], outcomes: &[WriteDecision], report: &mut Report) {
    for (item, decision) in step.iter().zip(outcomes) {
        report.row(item.row(*decision));
        report.secrets(item.file, *decision);
    }
}

fn step_length(planned: &[Planned<'_>]) -> usize {
    let mut bytes = 0;
    let fits = planned.iter().take(WRITE_BATCH).take_while(|item| {
        bytes += item.text.len();
        bytes <= WRITE_BATCH_BYTES
    });
    fits.count().max(1)
}

/// Writes documents with their entries of the record, all or nothing. A document that changed since it was read is decided
/// on again, under the store's lock. Returns the decision on each.
async fn write(
    target: &Target,
    record: &mut ImportRecord,
    step: &[Planned<'_>],
) -> Result<Vec<WriteDecision>, EditError> {
    for _ in 0..RECORD_ATTEMPTS {
        match try_write(target, record, step).await {
            Err(EditError::Blocked(_)) => {
                *record = read_record(target).await.map_err(|error| refused(&error))?;
            }
            outcomes => return outcomes,
        }
    }
    Err(EditError::Store(StoreError::Busy))
}

async fn try_write(
    target: &Target,
    record: &mut ImportRecord,
    step: &[Planned<'_>],
) -> Result<Vec<WriteDecision>, EditError> {
    let bank = target.existing_bank().map_err(|error| refused(&error))?;
    // The parts of the record that the step changes, if it writes everything.
    let mut all = record.clone();
    let mut parts: Vec<usize> = step.iter().map(|item| all.set(&item.document, item.entry(record))).collect();
    parts.sort_unstable();
    parts.dedup();
    let mut paths = Vec::new();
    for item in step.iter().filter(|item| item.decision.writes()) {
        paths.push(DocumentPath::parse(&item.document).map_err(|error| refused(&error))?);
    }
    let before: &ImportRecord = record;
    let record_paths = record_paths(&parts)?;
    paths.extend(record_paths.iter().map(|(_, path)| path.clone()));
    let mut outcomes = Vec::new();
    let mut after = None;
    let mut edit = |drafts: &mut Drafts| {
        drafts.set_context(&ChangeContext::of_tool("import"));
        outcomes.clear();
        expect_unchanged(drafts, before, &record_paths)?;
        let mut next = before.clone();
        for item in step {
            let decision = item.decide_again(before, drafts)?;
            if decision.writes() {
                let path = DocumentPath::parse(&item.document).map_err(|error| refused(&error))?;
                drafts.set(&path, item.text.clone())?;
            }
            if decision.is_recorded() {
                next.set(&item.document, item.entry(before));
            }
            outcomes.push(decision);
        }
        set_parts(drafts, &next, &record_paths)?;
        after = Some(next);
        Ok(())
    };
    bank.edit(&target.caller, &paths, &mut edit).await?;
    if let Some(after) = after {
        *record = after;
    }
    Ok(outcomes)
}

fn refused(error: &dyn std::fmt::Display) -> EditError {
    EditError::Refused(error.to_string())
}

/// The documents of parts of the record.
pub(super) fn record_paths(parts: &[usize]) -> Result<Vec<(usize, DocumentPath)>, EditError> {
    let path = |part: &usize| {
        let path = DocumentPath::parse(&ImportRecord::name(*part));
        Ok((*part, path.map_err(|error| refused(&error))?))
    };
    parts.iter().map(path).collect()
}

/// Another import may run at the same time.
///
/// # Errors
/// [`EditError::Blocked`] if the record in the bank is another one.
pub(super) fn expect_unchanged(
    drafts: &Drafts,
    record: &ImportRecord,
    parts: &[(usize, DocumentPath)],
) -> Result<(), EditError> {
    for (part, path) in parts {
        let known = (*part < record.parts()).then(|| record.text(*part)).transpose();
        let known = known.map_err(|error| refused(&error))?;
        let stored = drafts.stored(path).map(|document| document.content.as_str());
        // An editor may have written the same entries in another form.
        let is_equal = |stored: &str, known: &str| {
            stored == known
                || ImportRecord::read([stored])
                    .is_ok_and(|stored| stored.text(0).is_ok_and(|text| text == known))
        };
        let is_same = match (stored, &known) {
            (Some(stored), Some(known)) => is_equal(stored, known),
            (stored, known) => stored.is_none() && known.is_none(),
        };
        if !is_same {
            return Err(EditError::Blocked("another import wrote the record".to_owned()));
        }
    }
    Ok(())
}

/// Writes parts of the record that changed.
pub(super) fn set_parts(
    drafts: &mut Drafts,
    record: &ImportRecord,
    parts: &[(usize, DocumentPath)],
) -> Result<(), EditError> {
    for (part, path) in parts.iter().filter(|(part, _)| *part < record.parts()) {
        let text = record.text(*part).map_err(|error| refused(&error))?;
        drafts.set(path, text)?;
    }
    Ok(())
}

impl Planned<'_> {
    /// The entry of the record once the document is written. The graph items of the note stay recorded.
    fn entry(&self, record: &ImportRecord) -> ImportEntry {
        let known = record.get(&self.document).cloned().unwrap_or_default();
        ImportEntry {
            from: self.from.clone(),
            source: self.source.clone(),
            written: Etag::of(&self.text),
            ..known
        }
    }

    fn decide_again(&self, record: &ImportRecord, drafts: &Drafts) -> Result<WriteDecision, EditError> {
        if record.get(&self.document).is_some_and(|entry| entry.from != self.from) {
            return Ok(WriteDecision::Taken);
        }
        if !self.decision.writes() {
            return Ok(self.decision);
        }
        let path = DocumentPath::parse(&self.document).map_err(|error| refused(&error))?;
        let present = drafts.stored(&path).map(|document| DocumentState {
            etag: document.etag.clone(),
            is_template: is_template(document.path.as_str(), &document.content),
        });
        Ok(decide(record.get(&self.document), present.as_ref(), &self.source, &Etag::of(&self.text)))
    }

    fn row(&self, decision: WriteDecision) -> Row {
        let note = match decision {
            WriteDecision::Conflict => {
                "edited in the bank and changed in the source; left as it is (`--beside` writes the new text beside it)"
            }
            WriteDecision::Edited => "edited in the bank; left as it is",
            WriteDecision::Deleted => "deleted or renamed in the bank; not made again",
            WriteDecision::Taken => "a document of this name exists and was not imported; left as it is",
            WriteDecision::Create if self.is_beside => "beside the edited document",
            WriteDecision::Adopt => "the document has this text already",
            WriteDecision::Create | WriteDecision::Update | WriteDecision::Unchanged => "",
        };
        Row::document(self.file, &self.document, decision, note)
    }

    fn refused(&self, error: &EditError) -> Row {
        Row::document(self.file, &self.document, self.decision, &error.to_string())
    }
}

/// Whether a source has a document that the graph may point to.
pub(super) fn entry_of<'a>(
    record: &'a ImportRecord,
    file: &SourceFile,
) -> Option<(&'a str, &'a ImportEntry)> {
    let key = record.key_of(&file.from).filter(|key| !is_record(key))?;
    Some((key, record.get(key)?))
}

/// Whether a layout becomes documents.
pub(super) fn is_note(file: &SourceFile) -> bool {
    file.layout_match.layout == Layout::Obsidian
}
