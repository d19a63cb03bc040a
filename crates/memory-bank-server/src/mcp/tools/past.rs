//! The documents of a bank as they were at a day or time (`asOf`), for the tools that show documents. Former texts come from the
//! history, and how many are rebuilt for a call is bounded.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use memory_bank_core::caller::Caller;
use memory_bank_core::clock::iso_millis;
use memory_bank_core::compact_sort::CompactSort as _;
use memory_bank_core::document::{Document, DocumentEntry, DocumentPath};
use memory_bank_core::graph::FactView;
use memory_bank_core::graph::timestamp::spelling;
use memory_bank_core::import::is_record;
use memory_bank_core::search::Index;
use memory_bank_core::store::{
    Bank, DocumentSearch, DocumentsFound, Past, PastDocument, ReadOutcome, SearchedDocuments,
};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::mcp::tools::extra_members::put;
use crate::mcp::tools::query::{Meaning, with_meaning};
use crate::mcp::tools::reply::Failure;
use crate::mcp::tools::reply_space::reading_bytes;
use crate::mcp::tools::tool::Call;
use crate::past_turns::Turn;
use crate::services::Services;

/// The most documents whose texts a call reads.
const MAX_DOCUMENTS: usize = 2000;
/// The most bytes of these texts.
const MAX_BYTES: u64 = 8 * 1024 * 1024;
/// How long a call reads them.
const MAX_TIME: Duration = Duration::from_secs(10);
/// The most documents that are read at once.
const AT_ONCE: usize = 16;
/// The most documents that a note names.
const MAX_NAMED: usize = 5;

/// The documents of a bank as they were at a time.
pub(crate) struct PastBank<'a> {
    services: &'a Services,
    caller: &'a Caller,
    bank: &'a dyn Bank,
    at: String,
    past: Past,
    until: Instant,
    /// Bounds the memory for texts and an index of them, about six times [`MAX_BYTES`].
    _turn: Turn,
}

impl<'a> PastBank<'a> {
    /// The bank at the moment of a view, if that is one of the past.
    pub(crate) async fn of(
        services: &'a Services,
        caller: &'a Caller,
        bank: &'a dyn Bank,
        view: FactView,
    ) -> Result<Option<Self>, Failure> {
        if !view.is_past {
            return Ok(None);
        }
        let turn = services.replies.past_turns.turn(caller.key).await?;
        let moment = |at: i64| Timestamp::from_millisecond(at).unwrap_or(Timestamp::MAX);
        let past = Past::of(bank, caller, moment(view.at.saturating_add(1))).await?;
        Ok(Some(Self {
            services,
            caller,
            bank,
            at: spelling(view.at).unwrap_or_default(),
            past,
            until: Instant::now() + MAX_TIME,
            _turn: turn,
        }))
    }

    /// The documents.
    pub(crate) fn entries(&self) -> Vec<DocumentEntry> {
        self.past.entries()
    }

    /// One document, by the name that it had or has now, and what a reply notes about it.
    ///
    /// # Errors
    /// There was none, or it is not known; the text has the reason.
    pub(crate) async fn document(
        &self,
        path: &DocumentPath,
    ) -> Result<Result<(Document, Map<String, Value>), String>, Failure> {
        let known = match self.past.document(path) {
            Ok(known) => known,
            Err(why) => return Ok(Err(why)),
        };
        self.services.replies.need(2 * length(known)).await?;
        let read = self.past.read(self.bank, self.caller, &[known]).await?.pop();
        let mut notes = Map::from_iter([("asOf".to_owned(), json!(self.at))]);
        notes.extend(known.number().map(|number| ("version".to_owned(), json!(number))));
        notes.insert("changedAt".to_owned(), json!(iso_millis(known.updated_at)));
        if known.is_approximate {
            let note =
                "versions of that day were removed by the retention, so the text may be older than that time";
            notes.insert("note".to_owned(), json!(note));
        }
        Ok(match read {
            Some(ReadOutcome::Found(document)) => Ok((document, notes)),
            Some(ReadOutcome::Unreadable(why)) => Err(why),
            _ => Err("its text of that time is not kept".to_owned()),
        })
    }

    /// Reads these documents, by the names that they had or have now, in their order, as far as the bounds allow. The others are
    /// outcomes with the reason.
    pub(crate) async fn read(&self, paths: &[DocumentPath]) -> Result<Vec<ReadOutcome>, Failure> {
        let known: Vec<Result<&PastDocument, String>> =
            paths.iter().map(|path| self.past.document(path)).collect();
        let mut wanted: Vec<&PastDocument> = Vec::new();
        for one in known.iter().flatten() {
            if !wanted.iter().any(|other| other.path == one.path) {
                wanted.push(one);
            }
        }
        let texts = self.texts(wanted).await?;
        let outcomes = known.into_iter().map(|known| {
            let name = match known {
                Ok(one) => one.path.as_str(),
                Err(why) => return ReadOutcome::Unreadable(why),
            };
            match texts.read.get(name) {
                Some(document) => ReadOutcome::Found(document.clone()),
                None => ReadOutcome::Unreadable(
                    texts.left.get(name).cloned().unwrap_or_else(|| "it was not read".to_owned()),
                ),
            }
        });
        Ok(outcomes.collect())
    }

    /// Searches all documents, or those that the request names.
    pub(crate) async fn search(&self, request: DocumentSearch) -> Result<DocumentsFound, Failure> {
        let mut wanted: Vec<&PastDocument> = if request.files.is_empty() {
            let entries = self.past.entries();
            entries.iter().filter_map(|entry| self.past.named(&entry.name)).collect()
        } else {
            let paths = request.files.iter().filter_map(|name| DocumentPath::parse(name).ok());
            paths.filter_map(|path| self.past.document(&path).ok()).collect()
        };
        wanted.retain(|one| !is_record(one.path.as_str()));
        // Where not all fit: the core documents, then those that changed last.
        wanted.compact_sort_by(|a, b| {
            b.path.is_core().cmp(&a.path.is_core()).then_with(|| b.updated_at.cmp(&a.updated_at))
        });
        let mut texts = self.texts(wanted).await?;
        for (name, why) in self.past.unknown() {
            texts.left.entry(name.to_owned()).or_insert_with(|| why.to_owned());
        }
        let found = tokio::task::spawn_blocking(move || {
            let mut index = Index::default();
            for document in texts.read.values() {
                index.put_document(&document.path, &document.content, document.updated_at);
            }
            request.run(&index, &texts)
        });
        found.await.map_err(|error| Failure::Internal(error.to_string()))
    }

    async fn texts(&self, wanted: Vec<&PastDocument>) -> Result<Texts, Failure> {
        let mut texts = Texts::default();
        let mut space = MAX_BYTES;
        let mut taken: Vec<&PastDocument> = Vec::new();
        for one in wanted {
            if taken.len() < MAX_DOCUMENTS && one.bytes <= space {
                space -= one.bytes;
                taken.push(one);
            } else {
                texts.leave(one, "a former state is read up to 2000 documents and 8 MiB; name it in `files`, or read it alone");
            }
        }
        for some in taken.chunks(AT_ONCE) {
            if Instant::now() > self.until {
                some.iter().for_each(|one| texts.leave(one, "rebuilding former texts took longer than 10 s"));
                continue;
            }
            let outcomes = self.past.read(self.bank, self.caller, some).await?;
            for (one, outcome) in some.iter().zip(outcomes) {
                match outcome {
                    ReadOutcome::Found(document) => {
                        texts.read.insert(one.path.as_str().to_owned(), document);
                    }
                    ReadOutcome::Unreadable(why) => texts.leave(one, &why),
                    _ => texts.leave(one, "its text of that time is not kept"),
                }
            }
        }
        Ok(texts)
    }

    /// Adds to a reply which time it is about.
    pub(crate) fn note(&self, metadata: &mut Value) {
        put(metadata, "asOf", json!(self.at));
    }

    /// A line for each of the first documents of which nothing is known, and one for the others.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let mut lines: Vec<String> = self
            .past
            .unknown()
            .take(MAX_NAMED)
            .map(|(name, why)| format!("{name} is left out: {why}"))
            .collect();
        let more = self.past.unknown().count().saturating_sub(lines.len());
        if more > 0 {
            lines.push(format!("{more} more are left out for such reasons"));
        }
        lines
    }
}

/// Searches the documents of now, also by meaning, or those of a time.
pub(crate) async fn search_documents(
    call: &Call,
    bank: &dyn Bank,
    past: Option<&PastBank<'_>>,
    request: DocumentSearch,
) -> Result<(DocumentsFound, Option<Meaning>), Failure> {
    if let Some(past) = past {
        return Ok((past.search(request).await?, None));
    }
    let (query, meaning) = with_meaning(call, request.query).await;
    let found = bank.search_documents(&call.caller, &DocumentSearch { query, ..request }).await?;
    Ok((found, meaning))
}

/// Reads documents as they are, or as they were at a time.
pub(crate) async fn read_documents(
    call: &Call,
    bank: &dyn Bank,
    past: Option<&PastBank<'_>>,
    paths: &[DocumentPath],
) -> Result<Vec<ReadOutcome>, Failure> {
    match past {
        None => {
            call.services.replies.need(reading_bytes(paths.len())).await?;
            Ok(bank.read(&call.caller, paths).await?)
        }
        Some(past) => past.read(paths).await,
    }
}

/// The bytes of a document.
fn length(document: &PastDocument) -> usize {
    usize::try_from(document.bytes).unwrap_or(usize::MAX / 16)
}

/// Former texts.
#[derive(Default)]
struct Texts {
    read: BTreeMap<String, Document>,
    /// The documents that were not read, with the reasons.
    left: BTreeMap<String, String>,
}

impl Texts {
    fn leave(&mut self, document: &PastDocument, why: &str) {
        self.left.insert(document.path.as_str().to_owned(), why.to_owned());
    }
}

impl SearchedDocuments for Texts {
    fn names(&self) -> impl Iterator<Item = &str> {
        self.read.keys().map(String::as_str)
    }

    fn contains(&self, name: &str) -> bool {
        self.read.contains_key(name)
    }

    fn unreadable(&self) -> impl Iterator<Item = (&str, &str)> {
        self.left.iter().map(|(name, why)| (name.as_str(), why.as_str()))
    }

    fn why_unreadable(&self, name: &str) -> Option<&str> {
        self.left.get(name).map(String::as_str)
    }
}
