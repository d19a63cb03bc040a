//! Documents in a folder: finds the file of a name, reads it, and writes the changes of an editor, all or nothing.
//! The rules of names and edits are the core's.

mod checks;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use memory_bank_core::caller::Caller;
use memory_bank_core::document::{Document, DocumentEntry, DocumentPath, Etag, is_leftover, keep_bytes};
use memory_bank_core::error::{EditError, StoreError};
use memory_bank_core::history::ChangeContext;
use memory_bank_core::store::{
    ChangeKind, DocumentChange, DocumentStore, DraftChanges, DraftWrite, Drafts, Editor, GraphRule,
    ReadOutcome, Series,
};

use memory_bank_core::unicode::nfc;

use self::checks::{check_new, check_room};
use crate::bank::FolderBank;
use crate::dir::{BankDir, FileRead, FolderEntry, reason, text_of};
use crate::graph::Addition;
use crate::history::{ChangeAuthor, Text, TextChange};
use crate::journal::{self, Step};
use crate::known_file::KnownFile;
use crate::lock::{WriteGuard, blocking};
use crate::system;

/// How often an edit is made again on what another program, which knows no lock, has written meanwhile.
const EDIT_ATTEMPTS: u32 = 20;

#[async_trait]
impl DocumentStore for FolderBank {
    async fn list(&self, _caller: &Caller) -> Result<Vec<DocumentEntry>, StoreError> {
        let root = self.root().clone();
        let listed = blocking(move || {
            let dir = root.open().map_err(StoreError::io("cannot open the memory bank"))?;
            if journal::is_pending(&dir) { Ok(None) } else { entries(&dir).map(Some) }
        })
        .await?;
        let listed = match listed {
            Some(listed) => listed,
            None => {
                // A change is running, or was interrupted: read its documents together.
                let guard = self.lock.shared().await?;
                blocking(move || entries(guard.dir())).await?
            }
        };
        self.compare_names_with_history(&listed).await;
        Ok(listed)
    }

    async fn read(&self, _caller: &Caller, paths: &[DocumentPath]) -> Result<Vec<ReadOutcome>, StoreError> {
        let outcomes = match paths {
            [] => return Ok(Vec::new()),
            [one] => self.read_one(one).await?,
            several => self.read_together(several).await?,
        };
        let mut contents = Vec::with_capacity(outcomes.len());
        for (outcome, requested) in outcomes.iter().zip(paths) {
            match outcome {
                ReadOutcome::Found(document) => {
                    self.recent_contents.keep(&document.etag, &document.content);
                    self.notifier.record_served(&document.path, &document.etag);
                    contents.push((document.path.clone(), Some(document.etag.clone())));
                }
                ReadOutcome::Missing => contents.push((requested.clone(), None)),
                _ => {}
            }
        }
        self.compare_with_history(contents);
        Ok(outcomes)
    }

    async fn edit(
        &self,
        caller: &Caller,
        paths: &[DocumentPath],
        editor: &mut Editor<'_>,
    ) -> Result<Vec<DocumentChange>, EditError> {
        self.edit_and(caller, paths, editor, None).await
    }

    async fn content_at(
        &self,
        _caller: &Caller,
        path: &DocumentPath,
        etag: &Etag,
    ) -> Result<Option<String>, StoreError> {
        let Some(text) = self.recent_contents.find(etag) else { return Ok(None) };
        // Another process may have erased it since.
        Ok(if self.may_show_former(path, etag).await? { Some(text) } else { None })
    }
}

impl FolderBank {
    /// Edits documents, and the graph with them, if a rule is given: both or neither.
    pub(crate) async fn edit_and(
        &self,
        caller: &Caller,
        paths: &[DocumentPath],
        editor: &mut Editor<'_>,
        mut rule: Option<&mut GraphRule<'_>>,
    ) -> Result<Vec<DocumentChange>, EditError> {
        for _ in 0..EDIT_ATTEMPTS {
            match self.edit_once(caller, paths, editor, rule.as_deref_mut()).await {
                Err(EditError::Store(StoreError::ChangedMeanwhile)) => {}
                outcome => return outcome,
            }
        }
        Err(StoreError::ChangedMeanwhile.into())
    }

    /// Reads the documents, and writes what the editor makes of them, unless another program, which knows no lock, has changed
    /// one of them since.
    async fn edit_once(
        &self,
        caller: &Caller,
        paths: &[DocumentPath],
        editor: &mut Editor<'_>,
        rule: Option<&mut GraphRule<'_>>,
    ) -> Result<Vec<DocumentChange>, EditError> {
        let guard = self.lock.exclusive().await?;
        let requested: BTreeSet<DocumentPath> = paths.iter().cloned().collect();
        let (mut guard, found) = blocking(move || {
            let found = load(guard.dir(), requested)?;
            Ok::<_, EditError>((guard, found))
        })
        .await?;
        let mut opened = Opened::default();
        for loaded in found {
            if let Some(document) = &loaded.document {
                self.recent_contents.keep(&document.etag, &document.content);
            }
            opened.add(loaded);
        }
        let mut drafts = opened.drafts.clone();
        match editor(&mut drafts) {
            Err(EditError::Incomplete { needed }) => {
                let (held, ends) = blocking(move || {
                    let ends = needed.into_iter().map(|series| last_of(guard.dir(), series));
                    let ends = ends.collect::<Result<Vec<_>, StoreError>>()?;
                    Ok::<_, EditError>((guard, ends))
                })
                .await?;
                guard = held;
                for (series, last, loaded) in ends {
                    if let Some(broken) = loaded.as_ref().and_then(|loaded| loaded.broken.clone())
                        && let Some(path) = series.member(last)
                    {
                        opened.raw.insert(path, broken);
                    }
                    opened.known.extend(loaded.as_ref().map(|loaded| loaded.known.clone()));
                    opened.drafts.load_series(series, last, loaded.and_then(|loaded| loaded.document));
                }
                drafts = opened.drafts.clone();
                editor(&mut drafts)?;
            }
            other => other?,
        }
        let mut plan = Plan::of(&drafts, &opened.stored_names, &opened.raw)?;
        plan.known = opened.known;
        guard = self.check_sources(guard, &plan.context.made_of).await?;
        if let Some(rule) = rule {
            (guard, plan.graph) = self.plan_graph(guard, caller, &plan.context, rule).await?;
        }
        let changes = plan.changes.clone();
        self.carry_out(caller, guard, plan).await?;
        self.request_vectors();
        Ok(paths.iter().filter_map(|path| changes.get(path).cloned()).collect())
    }

    /// A single file is replaced atomically, so reading it needs no lock.
    async fn read_one(&self, path: &DocumentPath) -> Result<Vec<ReadOutcome>, StoreError> {
        let (root, requested) = (self.root().clone(), path.clone());
        let outcome = blocking(move || {
            let dir = root.open().map_err(StoreError::io("cannot open the memory bank"))?;
            if journal::is_pending(&dir) { Ok(None) } else { read(&dir, &requested).map(Some) }
        })
        .await?;
        match outcome {
            Some(outcome) => Ok(vec![outcome]),
            None => self.read_together(std::slice::from_ref(path)).await,
        }
    }

    /// Read several files under lock, or half of an edit could be visible.
    async fn read_together(&self, paths: &[DocumentPath]) -> Result<Vec<ReadOutcome>, StoreError> {
        let mut is_last_try = false;
        loop {
            let guard = self.lock.shared().await?;
            let paths = paths.to_vec();
            let (outcomes, is_whole) = blocking(move || {
                let outcomes =
                    paths.iter().map(|path| read(guard.dir(), path)).collect::<Result<_, StoreError>>()?;
                Ok::<_, StoreError>((outcomes, guard.excluded_processes()))
            })
            .await?;
            if is_whole || is_last_try {
                return Ok(outcomes);
            }
            // The first writer ever created the lock file meanwhile; now it can be locked.
            is_last_try = true;
        }
    }

    async fn carry_out(&self, caller: &Caller, guard: WriteGuard, mut plan: Plan) -> Result<(), EditError> {
        if plan.steps.is_empty() && plan.graph.is_none() {
            return Ok(());
        }
        for (etag, text) in &plan.texts {
            self.recent_contents.keep(etag, text);
        }
        let (notifier, project) = (Arc::clone(&self.notifier), caller.project);
        let (history, now) = (self.history.clone(), self.deps().clock.now());
        let by = ChangeAuthor::caller(caller, plan.context.clone(), now);
        blocking(move || {
            if !plan.creates.is_empty() {
                check_room(guard.dir(), plan.creates.len())?;
                check_new(guard.dir(), &plan)?;
            }
            if let Some(graph) = plan.graph.take() {
                plan.known.extend(graph.write(guard.dir(), &mut plan.steps)?);
            }
            let check = || plan.known.iter().try_for_each(|known| known.check(guard.dir()));
            history.commit(guard.dir(), &plan.steps, plan.history, &by, &check)?;
            // Notify before the lock is released: the watcher checks under the lock, and then finds no difference.
            let mut list = false;
            for change in plan.changes.into_values() {
                match change.kind {
                    ChangeKind::Unchanged => continue,
                    ChangeKind::Created | ChangeKind::Deleted => {
                        list = true;
                        notifier.record_name(&change.path, change.kind == ChangeKind::Created);
                    }
                    ChangeKind::Modified => {}
                }
                notifier.notify_document(project, &change.path, change.etag.as_ref());
            }
            if list {
                notifier.notify_list(project);
            }
            drop(guard);
            Ok(())
        })
        .await
    }
}

/// The changes of an edit.
#[derive(Debug, Default)]
struct Plan {
    steps: Vec<Step>,
    changes: BTreeMap<DocumentPath, DocumentChange>,
    texts: Vec<(Etag, String)>,
    /// The names of new documents.
    creates: Vec<DocumentPath>,
    /// The documents with their texts before and after, for the history.
    history: Vec<TextChange>,
    context: ChangeContext,
    known: Vec<KnownFile>,
    /// What is added to the graph's log.
    graph: Option<Addition>,
}

impl Plan {
    fn of(
        drafts: &Drafts,
        stored: &BTreeMap<DocumentPath, DocumentPath>,
        raw: &RawBytes,
    ) -> Result<Self, EditError> {
        let DraftChanges { changes, writes } = DraftChanges::of(drafts, stored)?;
        let mut plan = Self { changes, context: drafts.context().clone(), ..Self::default() };
        for DraftWrite { requested, path, before, after, moved_from, revives, .. } in writes {
            if before.is_none() {
                plan.creates.push(path.clone());
            }
            let text =
                after.as_ref().map(|(text, etag)| Text { content: (*text).to_owned(), etag: etag.clone() });
            plan.history.push(TextChange {
                path: path.clone(),
                before: before.map(Text::from),
                after: text,
                moved_from: moved_from.map(|document| document.path.clone()),
                revives: revives.and_then(|(document, number)| Some((document.parse().ok()?, number))),
            });
            let name = path.as_str().to_owned();
            match after {
                Some((text, etag)) => {
                    let content = match revives {
                        // The bytes of a deleted document are not those of the one that comes back.
                        Some(_) => text.as_bytes().to_vec(),
                        None => bytes_of(drafts, raw, requested, text),
                    };
                    plan.steps.push(Step::Write { name, content });
                    plan.texts.push((etag, text.to_owned()));
                }
                None => plan.steps.push(Step::Remove { name }),
            }
        }
        Ok(plan)
    }
}

/// The documents of an edit as they were read.
#[derive(Default)]
struct Opened {
    drafts: Drafts,
    stored_names: BTreeMap<DocumentPath, DocumentPath>,
    raw: RawBytes,
    known: Vec<KnownFile>,
}

impl Opened {
    fn add(&mut self, loaded: Loaded) {
        let Loaded { requested, stored_as, document, broken, known } = loaded;
        self.known.push(known);
        if let Some(broken) = broken {
            self.raw.insert(requested.clone(), broken);
        }
        self.stored_names.insert(requested.clone(), stored_as);
        self.drafts.load(requested, document);
    }
}

/// The bytes of those files of an edit that are not UTF-8 throughout.
type RawBytes = BTreeMap<DocumentPath, Vec<u8>>;

/// The bytes to write for this text: unchanged parts of the file, or of the file that it is moved from, keep their
/// bytes.
fn bytes_of(drafts: &Drafts, raw: &RawBytes, requested: &DocumentPath, text: &str) -> Vec<u8> {
    let moved = || {
        let is_same = |path: &DocumentPath| drafts.stored(path).is_some_and(|stored| stored.content == text);
        raw.iter().find(|(path, _)| is_same(path)).map(|(_, bytes)| bytes.clone())
    };
    match raw.get(requested) {
        Some(bytes) => keep_bytes(bytes, text),
        None => moved().unwrap_or_else(|| text.as_bytes().to_vec()),
    }
}

/// All documents of the bank, what else is directly in it, and what editors and sync tools left in its folders. A folder
/// with documents is not among them: they have its name.
pub(crate) fn entries(dir: &BankDir) -> Result<Vec<DocumentEntry>, StoreError> {
    let walked = dir.walk().map_err(StoreError::io("cannot list the memory bank"))?;
    let documents = walked.iter().filter(|entry| is_document(entry));
    let folders: BTreeSet<&str> = documents.filter_map(|entry| Some(entry.name.split_once('/')?.0)).collect();
    let is_listed = |entry: &&FolderEntry| {
        if entry.name.contains('/') {
            is_document(entry) || (entry.is_file && is_leftover(&entry.name))
        } else {
            !entry.is_folder || !folders.contains(entry.name.as_str())
        }
    };
    let entries = walked.iter().filter(is_listed).map(|entry| DocumentEntry {
        path: DocumentPath::parse(&entry.name).ok().filter(|_| is_document(entry)),
        name: entry.name.clone(),
        bytes: entry.stamp.bytes,
        updated_at: entry.stamp.updated_at(),
    });
    Ok(entries.collect())
}

/// Whether this is a document of the bank.
pub(crate) fn is_document(entry: &FolderEntry) -> bool {
    entry.is_file && DocumentPath::parse(&entry.name).is_ok() && !is_leftover(&entry.name)
}

/// Reads the document that a name means.
pub(crate) fn read(dir: &BankDir, requested: &DocumentPath) -> Result<ReadOutcome, StoreError> {
    Ok(read_with_bytes(dir, requested)?.0)
}

/// Reads as [`read`] does, and returns the bytes of the file too if they are not UTF-8.
fn read_with_bytes(
    dir: &BankDir,
    requested: &DocumentPath,
) -> Result<(ReadOutcome, Option<Vec<u8>>), StoreError> {
    let path = name_on_disk(dir, requested);
    if system::check_name(Path::new(path.as_str())).is_err() {
        // This file system cannot have it. An attempt to make it is refused with the rule, as on every system.
        return Ok((ReadOutcome::Missing, None));
    }
    let checked =
        dir.check_folders(path.as_str(), false).and_then(|()| dir.check_spelling(Path::new(path.as_str())));
    if let Err(error) = checked {
        return Ok((ReadOutcome::Unreadable(reason(&error)), None));
    }
    Ok(match dir.read(path.as_str())? {
        FileRead::Missing => (ReadOutcome::Missing, None),
        FileRead::Unreadable(why) => (ReadOutcome::Unreadable(why), None),
        FileRead::Found(bytes, stamp) => {
            let broken = std::str::from_utf8(&bytes).is_err().then(|| bytes.clone());
            let content = text_of(bytes);
            let etag = Etag::of(&content);
            let document = Document { path, content, etag, version: 0, updated_at: stamp.updated_at() };
            (ReadOutcome::Found(document), broken)
        }
    })
}

/// The name under which a document is, or would be, stored: exactly the one requested if it is taken, else the
/// canonical one, or one of the same letters composed otherwise.
pub(crate) fn name_on_disk(dir: &BankDir, requested: &DocumentPath) -> DocumentPath {
    let taken = requested.existing_spelling(|name| dir.exists(name)).and_then(|name| dir.listed_name(&name));
    let taken = taken.and_then(|name| DocumentPath::parse(&name).ok());
    taken.unwrap_or_else(|| in_existing_spelling(dir, &requested.canonical()))
}

/// The name in the spelling of its existing parts, which may be composed in another way.
fn in_existing_spelling(dir: &BankDir, path: &DocumentPath) -> DocumentPath {
    // Letters of ASCII have one form.
    if path.as_str().is_ascii() {
        return path.clone();
    }
    let mut there = String::new();
    for part in path.as_str().split('/') {
        let names = if dir.check_folders(&there, true).is_ok() { dir.names_in(&there) } else { Vec::new() };
        let found = names.iter().find(|name| *name == part);
        let found = found.or_else(|| names.iter().find(|name| nfc(name) == nfc(part)));
        if !there.is_empty() {
            there.push('/');
        }
        there.push_str(found.map_or(part, |name| name));
    }
    DocumentPath::parse(&there).unwrap_or_else(|_| path.clone())
}

/// A document of an edit.
struct Loaded {
    requested: DocumentPath,
    stored_as: DocumentPath,
    document: Option<Document>,
    /// Its bytes, if they are not UTF-8.
    broken: Option<Vec<u8>>,
    known: KnownFile,
}

fn load(dir: &BankDir, requested: BTreeSet<DocumentPath>) -> Result<Vec<Loaded>, EditError> {
    let mut loaded = Vec::with_capacity(requested.len());
    for path in requested {
        let known = KnownFile::of(dir, &path);
        let (outcome, broken) = read_with_bytes(dir, &path)?;
        match outcome {
            ReadOutcome::Found(document) => {
                let stored_as = document.path.clone();
                loaded.push(Loaded { requested: path, stored_as, document: Some(document), broken, known });
            }
            ReadOutcome::Missing => {
                let stored_as = in_existing_spelling(dir, &path.canonical());
                loaded.push(Loaded { requested: path, stored_as, document: None, broken: None, known });
            }
            ReadOutcome::Unreadable(why) => {
                return Err(EditError::Refused(format!("`{path}` cannot be changed: {why}")));
            }
            other => {
                return Err(StoreError::Unavailable(format!("`{path}` was read as {other:?}")).into());
            }
        }
    }
    Ok(loaded)
}

/// The number of the last member of a series, and that member if it can be read. Any file with the name of a
/// member uses up its number.
fn last_of(dir: &BankDir, series: Series) -> Result<(Series, u32, Option<Loaded>), StoreError> {
    let names = dir.names().map_err(StoreError::io("cannot list the memory bank"))?;
    let numbers = names.filter_map(|name| series.number_of(&DocumentPath::parse(&name).ok()?));
    let last = numbers.max().unwrap_or(0);
    let Some(path) = series.member(last) else { return Ok((series, last, None)) };
    let known = KnownFile::of(dir, &path);
    let (outcome, broken) = read_with_bytes(dir, &path)?;
    let loaded = match outcome {
        ReadOutcome::Found(document) => {
            Some(Loaded { requested: path.clone(), stored_as: path, document: Some(document), broken, known })
        }
        _ => None,
    };
    Ok((series, last, loaded))
}
