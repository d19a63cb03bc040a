//! The history of documents in the server's own folder: a file for each name, to which each change appends a record.
//!
//! A record has what a change replaced and by what, and every so often the whole text, so each version is rebuilt forward from a
//! whole text before it or back from a later one. Records are sealed with the user's key for the bank, so versions that came with a
//! repository, or from another bank, are recognised as foreign.

mod as_of;
mod authors;
mod bank_key;
mod changes;
mod erase;
mod file;
mod outside_changes;
mod outside_renames;
mod record;
mod seen_names;
mod sources;
mod thin;
mod timeline;
mod transferred;
mod version_lists;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use memory_bank_core::caller::{Caller, Right};
use memory_bank_core::clock::Entropy;
use memory_bank_core::document::{DocumentEntry, DocumentPath, Etag};
use memory_bank_core::error::StoreError;
use memory_bank_core::history::{Chain, ChainQuery, Subject, VersionPage, VersionQuery, VersionText};
use memory_bank_core::store::{DocumentAt, DocumentStore as _, HistoryError, HistoryStore};
use parking_lot::Mutex;
use uuid::Uuid;

use crate::bank::FolderBank;
use crate::dir::BankDir;
use crate::documents::name_on_disk;
use crate::graph::LineSeal;
use crate::history::as_of::documents_at;
use crate::history::changes::Writer;
use crate::history::erase::{erase, erased_timelines, timelines_of};
use crate::history::file::HistoryFile;
use crate::history::seen_names::SeenNames;
use crate::history::timeline::Timeline;
use crate::history::version_lists::{all_versions, listed_of, page_of};
use crate::journal;
use crate::lock::blocking;
use crate::search::{Seal, SealLocation};
pub(crate) use bank_key::seal_to_read;
pub(crate) use changes::{ChangeAuthor, Text, TextChange};
pub(crate) use transferred::{NewHistory, documents as documents_with_history, history_of};

/// How many days all versions are kept, if nothing else is set.
const DEFAULT_DAYS: u32 = 365;
/// At every such version of a document, old ones are removed.
const THIN_EVERY: i64 = 32;

/// How the banks of a process keep their history.
#[derive(Debug)]
pub(crate) struct HistorySettings {
    place: OnceLock<SealLocation>,
    seal: OnceLock<Seal>,
    days: AtomicU32,
    is_read_only: AtomicBool,
}

impl Default for HistorySettings {
    fn default() -> Self {
        Self {
            place: OnceLock::new(),
            seal: OnceLock::new(),
            days: AtomicU32::new(DEFAULT_DAYS),
            is_read_only: AtomicBool::new(false),
        }
    }
}

impl HistorySettings {
    /// Settings with the user's key there.
    pub(crate) fn with_seal(place: SealLocation) -> Self {
        Self { place: OnceLock::from(place), ..Self::default() }
    }

    /// Sets for how many days all versions are kept (0: none are added), and whether nothing is written at all.
    pub(crate) fn set(&self, days: u32, is_read_only: bool) {
        self.days.store(days, Ordering::Relaxed);
        self.is_read_only.store(is_read_only, Ordering::Relaxed);
    }

    fn is_kept(&self) -> bool {
        !self.is_off() && !self.is_read_only.load(Ordering::Relaxed)
    }

    fn is_off(&self) -> bool {
        self.days.load(Ordering::Relaxed) == 0
    }

    /// Everything before is thinned.
    fn retention_start(&self, now: Timestamp) -> Timestamp {
        let days = i64::from(self.days.load(Ordering::Relaxed));
        now.checked_sub(SignedDuration::from_hours(24 * days)).unwrap_or(Timestamp::MIN)
    }

    /// The user's key; one is made with `may_store`. Blocks.
    fn seal(&self, entropy: &dyn Entropy, may_store: bool) -> Option<Seal> {
        if let Some(seal) = self.seal.get() {
            return Some(seal.clone());
        }
        let nowhere = SealLocation::default();
        let found = Seal::of_user(self.place.get().unwrap_or(&nowhere), entropy, may_store)?;
        Some(self.seal.get_or_init(|| found).clone())
    }
}

/// The history's part of a bank.
#[derive(Clone)]
pub(crate) struct FolderHistory {
    settings: Arc<HistorySettings>,
    entropy: Arc<dyn Entropy>,
    /// The contents that were compared with the history.
    compared: Arc<Mutex<HashMap<DocumentPath, Option<Etag>>>>,
    /// The names of the last list of documents.
    listed: Arc<Mutex<Option<BTreeSet<DocumentPath>>>>,
}

impl std::fmt::Debug for FolderHistory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FolderHistory").finish_non_exhaustive()
    }
}

impl FolderHistory {
    pub(crate) fn new(entropy: Arc<dyn Entropy>) -> Self {
        Self { settings: Arc::default(), entropy, compared: Arc::default(), listed: Arc::default() }
    }

    pub(crate) fn with_settings(self, settings: Arc<HistorySettings>) -> Self {
        Self { settings, ..self }
    }

    /// See [`HistorySettings::set`].
    pub(crate) fn set(&self, days: u32, is_read_only: bool) {
        self.settings.set(days, is_read_only);
    }

    /// Whether versions are added.
    pub(crate) fn is_kept(&self) -> bool {
        self.settings.is_kept()
    }

    /// Whether the operator turned the history off.
    fn is_off(&self) -> bool {
        self.settings.is_off()
    }

    /// The time before which the history is thinned; none if no history is kept.
    pub(crate) fn keep_from(&self, now: Timestamp) -> Option<Timestamp> {
        self.is_kept().then(|| self.settings.retention_start(now))
    }

    /// Carries out the steps of a change as [`journal::commit`] does, and adds its versions. The caller holds the bank's lock. A
    /// document is more important than its history, so an error of the history is only logged. Blocks.
    pub(crate) fn commit(
        &self,
        dir: &BankDir,
        steps: &[journal::Step],
        changes: Vec<TextChange>,
        by: &ChangeAuthor,
        check: journal::Check<'_>,
    ) -> Result<(), StoreError> {
        if !self.is_kept() || changes.is_empty() {
            return journal::commit_beside(dir, steps, None, check);
        }
        let paths: Vec<DocumentPath> = changes.iter().map(|change| change.path.clone()).collect();
        let prepare = || self.with_writer(dir, |writer| writer.prepare(&changes, by));
        // A file may be full.
        let prepared = prepare().or_else(|error| {
            tracing::debug!(%error, "old versions are removed first");
            self.thin(dir, &paths, by);
            prepare()
        });
        let mut pending = match prepared {
            Ok(pending) => pending,
            Err(error) => {
                tracing::warn!(%error, "a change is not in the history of the memory bank");
                return journal::commit_beside(dir, steps, None, check);
            }
        };
        let flush = || {
            if let Err(error) = pending.flush(dir) {
                tracing::warn!(%error, "the history could not be flushed to the disk");
            }
        };
        match journal::commit_beside(dir, steps, Some(&flush), check) {
            Ok(()) => pending.confirm(),
            // The change is completed later, and its versions are settled then.
            Err(error @ StoreError::Damaged { .. }) => return Err(error),
            Err(error) => {
                pending.withdraw();
                return Err(error);
            }
        }
        let contents = changes.into_iter().map(|change| (change.path, change.after.map(|text| text.etag)));
        self.compared.lock().extend(contents);
        let is_due = pending.is_due(THIN_EVERY);
        // A file that is open cannot be replaced on every system.
        drop(pending);
        if is_due {
            self.thin(dir, &paths, by);
        }
        Ok(())
    }

    /// Removes old versions of these documents.
    fn thin(&self, dir: &BankDir, paths: &[DocumentPath], by: &ChangeAuthor) {
        let before = self.settings.retention_start(by.at());
        if let Err(error) = self.with_writer(dir, |writer| writer.thin(paths, before)) {
            tracing::warn!(%error, "old versions could not be removed");
        }
    }

    /// Those of these contents that were not compared with the history yet, which counts as done now.
    fn not_compared(&self, contents: Vec<(DocumentPath, Option<Etag>)>) -> Vec<DocumentPath> {
        let mut compared = self.compared.lock();
        let mut new = Vec::new();
        for (path, etag) in contents {
            let is_new = match compared.get(&path) {
                Some(known) => *known != etag,
                // A missing document that was never seen has no history that this process knows.
                None => etag.is_some(),
            };
            if is_new {
                compared.insert(path.clone(), etag);
                new.push(path);
            }
        }
        new
    }

    /// Whether one of these documents differs from its last version. Only a history of this user is continued. Blocks.
    fn differs(&self, dir: &BankDir, paths: &[DocumentPath]) -> Result<bool, StoreError> {
        let Some(seal) = self.seal_to_read(dir) else { return Ok(false) };
        let mut is_new = false;
        let seen = SeenNames::read(dir, &seal)?;
        for path in paths {
            let file = HistoryFile::open(dir, path, Some(&seal), false).map_err(changes::cannot())?;
            let now = timeline::current(dir, path)?.map(|document| document.etag);
            is_new |= match &now {
                Some(etag) => !outside_renames::is_live(file.last.as_ref()) && !seen.has_with(path, etag),
                None => seen.has(path) && outside_renames::is_removed(dir, path, &seal)?,
            };
            let Some(last) = file.last.filter(|last| last.is_own) else { continue };
            if last.is_pending || last.facts.after.as_deref() != now.as_ref().map(Etag::as_str) {
                return Ok(true);
            }
        }
        if !is_new {
            return Ok(false);
        }
        // A new document may be one that something outside renamed. One that is none is noted as seen.
        let compared = outside_renames::compare(dir, &seal)?;
        Ok(paths.iter().any(|path| compared.concerns(path)))
    }

    /// Adds the versions of these documents that something outside made. The caller holds the bank's lock. Blocks.
    pub(crate) fn note_outside(
        &self,
        dir: &BankDir,
        paths: &[DocumentPath],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.with_writer(dir, |writer| {
            let followed = writer.follow_outside(now)?;
            self.compared.lock().extend(followed);
            for path in paths {
                let mut file =
                    HistoryFile::open(dir, path, Some(writer.seal), false).map_err(changes::cannot())?;
                if file.last.as_ref().is_none_or(|last| !last.is_own) {
                    continue;
                }
                let text = timeline::current(dir, path)?.as_ref().map(Text::from);
                file = HistoryFile::open(dir, path, Some(writer.seal), true).map_err(changes::cannot())?;
                if writer.note_outside(&mut file, path, text.as_ref(), now)? {
                    file.flush().map_err(changes::cannot())?;
                }
                self.compared.lock().insert(path.clone(), text.map(|text| text.etag));
            }
            Ok(())
        })
    }

    fn with_writer<T>(
        &self,
        dir: &BankDir,
        work: impl FnOnce(&Writer<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let key = self.settings.seal(&*self.entropy, true);
        let key = key.ok_or_else(|| StoreError::Unavailable("there is no key for the history".to_owned()))?;
        let seal = bank_key::seal_for_writing(dir, &key, &*self.entropy).map_err(changes::cannot())?;
        work(&Writer { dir, seal: &seal, entropy: &*self.entropy })
    }

    /// The seal for lines of the graph's log. Without one the lines count as another program's, which is logged. The caller holds the
    /// bank's lock. Blocks.
    pub(crate) fn line_seal(&self, dir: &BankDir) -> Option<LineSeal> {
        let key = self.settings.seal(&*self.entropy, true)?;
        let seal = LineSeal::for_writing(dir, &key, &*self.entropy);
        seal.inspect_err(|error| tracing::warn!(%error, "changes of the graph cannot be sealed")).ok()
    }

    /// The seal that recognises sealed lines of the graph; none if no line was sealed. Blocks.
    pub(crate) fn line_seal_to_read(&self, dir: &BankDir) -> Option<LineSeal> {
        let seal = LineSeal::of_bank(dir, &self.settings.seal(&*self.entropy, false)?);
        seal.inspect_err(|error| tracing::warn!(%error, "seals of changes of the graph cannot be read"))
            .ok()?
    }

    /// The key of the records of a bank; none if none was sealed. Blocks.
    fn seal_to_read(&self, dir: &BankDir) -> Option<Seal> {
        self.line_seal_to_read(dir).map(|seal| seal.for_records())
    }
}

impl FolderBank {
    async fn read_history<T: Send + 'static>(
        &self,
        read: impl FnOnce(&BankDir, Option<&Seal>) -> Result<T, HistoryError> + Send + 'static,
    ) -> Result<T, HistoryError> {
        let guard = self.lock.shared().await?;
        let history = self.history.clone();
        blocking(move || {
            let seal = history.seal_to_read(guard.dir());
            read(guard.dir(), seal.as_ref())
        })
        .await
    }
}

#[async_trait]
impl HistoryStore for FolderBank {
    fn keeps_history(&self) -> bool {
        !self.history.is_off()
    }

    async fn list_versions(
        &self,
        _caller: &Caller,
        query: &VersionQuery,
    ) -> Result<VersionPage, HistoryError> {
        let (subject, since) = (query.subject.clone(), query.since);
        match &subject {
            Subject::Document(path) | Subject::Name(path) => self.settle_history(vec![path.clone()]).await,
            // Once for all pages of a list.
            Subject::Project if query.after.is_none() => self.settle_all().await,
            Subject::Project | Subject::Session(_) => {}
        }
        let (document, before, listed) = self
            .read_history(move |dir, seal| match &subject {
                Subject::Document(path) => {
                    let timelines = timeline_of(dir, path, seal).map(|timeline| vec![timeline]);
                    let (before, listed) = listed_of(&none_if_it_exists(dir, path, timelines)?);
                    Ok((None, before, listed))
                }
                Subject::Name(path) => {
                    let timelines = none_if_it_exists(dir, path, timelines_of(dir, path, seal))?;
                    let document = timelines.first().map(|timeline| timeline.document.to_string());
                    let (before, listed) = listed_of(&timelines);
                    Ok((document, before, listed))
                }
                Subject::Project => Ok((None, Vec::new(), all_versions(dir, seal, since)?)),
                Subject::Session(session) => {
                    let mut listed = all_versions(dir, seal, since)?;
                    listed.versions.retain(|version| version.session.as_ref() == Some(session));
                    Ok((None, Vec::new(), listed))
                }
            })
            .await?;
        let mut page = VersionPage { document, ..page_of(listed, query) };
        if page.next.is_none() && query.since.is_none() && query.by.is_none() {
            page.versions.extend(before);
        }
        Ok(page)
    }

    async fn read_version(
        &self,
        _caller: &Caller,
        path: &DocumentPath,
        number: i64,
    ) -> Result<VersionText, HistoryError> {
        self.version_of(None, path, number).await
    }

    async fn read_version_of(
        &self,
        _caller: &Caller,
        document: &str,
        path: &DocumentPath,
        number: i64,
    ) -> Result<VersionText, HistoryError> {
        let document = document.parse().map_err(|_| HistoryError::NoDocument(path.clone()))?;
        self.version_of(Some(document), path, number).await
    }

    async fn versions_at(&self, _caller: &Caller, until: Timestamp) -> Result<Vec<DocumentAt>, HistoryError> {
        self.read_history(move |dir, seal| Ok(documents_at(all_versions(dir, seal, None)?.versions, until)))
            .await
    }

    async fn list_with_authors(
        &self,
        caller: &Caller,
        most: usize,
    ) -> Result<(Vec<DocumentEntry>, BTreeMap<String, String>), StoreError> {
        let entries = self.list(caller).await?;
        let newest = authors::newest(&entries, most);
        let authors = self.read_history(move |dir, seal| Ok(authors::of(dir, &newest, seal))).await;
        let authors = authors.unwrap_or_else(|error| {
            tracing::warn!(%error, "the authors of documents cannot be read");
            BTreeMap::new()
        });
        Ok((entries, authors))
    }

    async fn chain(&self, _caller: &Caller, query: &ChainQuery) -> Result<Chain, HistoryError> {
        self.settle_history(vec![query.path.clone()]).await;
        let query = query.clone();
        self.read_history(move |dir, seal| {
            let missing = || HistoryError::NoDocument(query.path.clone());
            let document = query.document.parse().map_err(|_| missing())?;
            let path = name_on_disk(dir, &query.path);
            let timeline = Timeline::of_document(dir, &path, Some(document), seal)?.ok_or_else(missing)?;
            Ok(Chain { links: timeline.links(&query), current: timeline.into_current() })
        })
        .await
    }

    async fn erase(&self, caller: &Caller, path: &DocumentPath) -> Result<u64, HistoryError> {
        if !caller.may(Right::Admin) {
            return Err(StoreError::Denied.into());
        }
        let (guard, history, path) = (self.lock.exclusive().await?, self.history.clone(), path.clone());
        blocking(move || {
            let erased = history.with_writer(guard.dir(), |writer| {
                let timelines = match erased_timelines(writer.dir, &path, Some(writer.seal)) {
                    Ok(timelines) => timelines,
                    Err(HistoryError::NoDocument(_)) => return Ok(None),
                    Err(HistoryError::Store(error)) => return Err(error),
                    Err(error) => return Err(StoreError::Unavailable(error.to_string())),
                };
                erase(writer, &timelines).map(Some)
            })?;
            erased.ok_or(HistoryError::NoDocument(path))
        })
        .await
        .inspect(|_| self.recent_contents.forget(|_| true))
    }
}

/// A document that exists may have no versions: they were erased, or it never changed here.
fn none_if_it_exists(
    dir: &BankDir,
    path: &DocumentPath,
    timelines: Result<Vec<Timeline>, HistoryError>,
) -> Result<Vec<Timeline>, HistoryError> {
    match timelines {
        Err(HistoryError::NoDocument(_))
            if timeline::current_if_readable(dir, &name_on_disk(dir, path)).is_some() =>
        {
            Ok(Vec::new())
        }
        timelines => timelines,
    }
}

/// The versions of the document that has this name, or that had it last.
fn timeline_of(dir: &BankDir, path: &DocumentPath, seal: Option<&Seal>) -> Result<Timeline, HistoryError> {
    timeline_of_document(dir, path, None, seal)
}

/// The versions of the document that has this name, or that had it last, or of the given document.
fn timeline_of_document(
    dir: &BankDir,
    path: &DocumentPath,
    document: Option<Uuid>,
    seal: Option<&Seal>,
) -> Result<Timeline, HistoryError> {
    let found = Timeline::of_document(dir, &name_on_disk(dir, path), document, seal)?;
    let timeline = found.filter(|timeline| !timeline.records.is_empty());
    let timeline = timeline.ok_or_else(|| HistoryError::NoDocument(path.clone()))?;
    if timeline.damaged > 0 {
        tracing::warn!(document = %path, records = timeline.damaged, "a part of the history cannot be read");
    }
    Ok(timeline)
}
