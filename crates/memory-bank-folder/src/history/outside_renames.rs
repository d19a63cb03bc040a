//! Renamings by something outside: a document that is gone, and a new one with its bytes, which was not there at the last comparison.
//! Where two could be meant, and of very short texts, none is followed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use memory_bank_core::document::{Document, DocumentPath, Etag};
use memory_bank_core::error::StoreError;

use crate::dir::BankDir;
use crate::documents;
use crate::history::changes::{ChangeAuthor, Text, TextChange, Writer, cannot};
use crate::history::file::HistoryFile;
use crate::history::record::{ENDING, Record};
use crate::history::seen_names::SeenNames;
use crate::history::thin::MAX_FILES;
use crate::history::timeline;
use crate::search::Seal;

/// The shortest text by which a renamed document is recognised. Many documents have the same few words.
const MIN_BYTES: usize = 16;

/// A document that got another name.
#[derive(Debug)]
pub(super) struct OutsideRename {
    from: DocumentPath,
    to: Document,
}

/// Whether the last record of a name is of a document that has it, or had it when something outside removed it.
pub(super) fn is_live(last: Option<&Record>) -> bool {
    last.is_some_and(|last| last.facts.after.is_some())
}

/// The names of all documents that this user's history has last.
pub(super) fn names(dir: &BankDir, seal: &Seal) -> Result<Vec<DocumentPath>, StoreError> {
    let mut names = Vec::new();
    for (name, _) in dir.history_files(MAX_FILES, ENDING).map_err(cannot())? {
        // A file that cannot be read is reported where its document is.
        let Ok(file) = HistoryFile::open_named(dir, name, Some(seal), false) else { continue };
        let last = file.last.filter(|last| last.is_own && !last.is_pending && is_live(Some(last)));
        names.extend(last.and_then(|last| DocumentPath::parse(&last.facts.path).ok()));
    }
    Ok(names)
}

/// What a comparison of the documents with the history finds.
#[derive(Debug, Default)]
pub(super) struct Compared {
    /// The renamings that can be told from deletions and creations.
    renames: Vec<OutsideRename>,
    /// The names of documents that were there at the last comparison, without a history, and are gone.
    removed: Vec<DocumentPath>,
    /// The documents without a history that are none of them.
    others: SeenNames,
}

/// Compares all documents with the history. Blocks.
pub(super) fn compare(dir: &BankDir, seal: &Seal) -> Result<Compared, StoreError> {
    let (known, seen) = (names(dir, seal)?, SeenNames::read(dir, seal)?);
    if known.is_empty() && seen.is_empty() {
        return Ok(Compared::default());
    }
    let mut gone: BTreeMap<String, Vec<DocumentPath>> = BTreeMap::new();
    for path in known.into_iter().filter(|path| dir.is_missing(path.as_str())) {
        let file = HistoryFile::open(dir, &path, Some(seal), false).map_err(cannot())?;
        if let Some(etag) = file.last.and_then(|last| last.facts.after) {
            gone.entry(etag).or_default().push(path);
        }
    }
    let mut removed = Vec::new();
    for (path, etag) in seen.all() {
        if is_removed(dir, &path, seal)? {
            gone.entry(etag.to_owned()).or_default().push(path.clone());
            removed.push(path);
        }
    }
    gone.retain(|_, paths| paths.len() == 1);
    let mut others = SeenNames::default();
    let mut new: BTreeMap<String, Vec<Document>> = BTreeMap::new();
    for path in documents::entries(dir)?.into_iter().filter_map(|entry| entry.path) {
        let file = HistoryFile::open(dir, &path, Some(seal), false).map_err(cannot())?;
        if is_live(file.last.as_ref()) {
            continue;
        }
        let Some(document) = timeline::current_if_readable(dir, &path) else { continue };
        others.add(&path, &document.etag);
        let is_new = !seen.has(&path) && document.content.len() >= MIN_BYTES;
        if is_new && gone.contains_key(document.etag.as_str()) {
            new.entry(document.etag.as_str().to_owned()).or_default().push(document);
        }
    }
    let pair = |(etag, mut found): (String, Vec<Document>)| match (gone.remove(&etag), found.pop()) {
        (Some(mut paths), Some(to)) if found.is_empty() => Some(OutsideRename { from: paths.pop()?, to }),
        _ => None,
    };
    let renames: Vec<OutsideRename> = new.into_iter().filter_map(pair).collect();
    for rename in &renames {
        others.remove(&rename.to.path);
        removed.retain(|path| *path != rename.from);
    }
    Ok(Compared { renames, removed, others })
}

/// Whether a document that had no history at the last comparison is gone, and still has none.
pub(super) fn is_removed(dir: &BankDir, path: &DocumentPath, seal: &Seal) -> Result<bool, StoreError> {
    if !dir.is_missing(path.as_str()) {
        return Ok(false);
    }
    let file = HistoryFile::open(dir, path, Some(seal), false).map_err(cannot())?;
    Ok(file.last.is_none())
}

impl Compared {
    /// Whether a document of this name was renamed or removed, or is there without a history.
    pub(super) fn concerns(&self, path: &DocumentPath) -> bool {
        let is_renamed = |rename: &OutsideRename| rename.from == *path || rename.to.path == *path;
        self.renames.iter().any(is_renamed) || self.removed.contains(path) || self.others.has(path)
    }
}

impl Writer<'_> {
    /// Follows renamings from outside, and returns the names that they have. The caller holds the bank's lock. Blocks.
    pub(super) fn follow_outside(
        &self,
        now: Timestamp,
    ) -> Result<Vec<(DocumentPath, Option<Etag>)>, StoreError> {
        let mut followed = Vec::new();
        let Compared { renames, removed, others } = compare(self.dir, self.seal)?;
        for OutsideRename { from, to } in renames {
            let text = Some(Text::from(&to));
            let changing = |path: &DocumentPath, before, after, moved_from| TextChange {
                path: path.clone(),
                before,
                after,
                moved_from,
                revives: None,
            };
            let changes = [
                changing(&from, text.clone(), None, None),
                changing(&to.path, None, text, Some(from.clone())),
            ];
            let mut pending = self.prepare(&changes, &ChangeAuthor::outside(now))?;
            pending.confirm();
            pending.flush(self.dir).map_err(cannot())?;
            followed.extend([(from, None), (to.path, Some(to.etag))]);
        }
        for path in removed {
            let mut file = HistoryFile::open(self.dir, &path, Some(self.seal), true).map_err(cannot())?;
            let record = self.removal(&file, &path, now)?;
            file.append(record, self.seal).map_err(cannot())?;
            file.flush().map_err(cannot())?;
            followed.push((path, None));
        }
        others.write(self.dir, self.seal)?;
        Ok(followed)
    }
}
