//! The digest of a bank: a summary of its documents, its graph and its list of documents.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use memory_bank_core::caller::Right;
use memory_bank_core::clock::iso_millis;
use memory_bank_core::compact_sort::CompactSort as _;
use memory_bank_core::document::{
    DIGEST_TOKENS, DigestBounds, DigestContent, DigestExtras, DigestSource, DocumentEntry, DocumentFacts,
    DocumentPath, MAX_SOURCE_BYTES, digest_documents, estimated_tokens, holding_decisions,
};
use memory_bank_core::store::{Bank, GraphSummary, ReadOutcome};
use serde::Deserialize;
use serde_json::json;

use crate::mcp::tools::blind::WithoutRead;
use crate::mcp::tools::common_arguments::INCLUDE_ENDED;
use crate::mcp::tools::reply::{Failure, Reply};
use crate::mcp::tools::room::{LISTING_BYTES, reading_bytes};
use crate::mcp::tools::schema::{Kind, optional};
use crate::mcp::tools::tool::{BANK, Call, Family, READS, ToolSpec, boxed};

/// Length of a graph name in the digest.
const MAX_NAME_CHARS: usize = 40;
/// The most documents that are named as changed since the last session.
const MAX_NAMED_CHANGES: usize = 6;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DigestArguments {
    max_progress_entries: Option<usize>,
    max_decisions: Option<usize>,
    #[serde(default)]
    include_system_patterns: bool,
    max_tokens: Option<usize>,
    #[serde(default)]
    include_ended: bool,
}

/// The texts that a digest is made of.
pub(crate) struct Texts {
    documents: Vec<(String, String)>,
    /// The titles of decisions that have ended, which the texts do not have any more.
    ended: Vec<String>,
    warnings: Vec<String>,
}

impl Texts {
    /// Reads the documents that describe the current state, under any names.
    pub(crate) async fn read(
        call: &Call,
        bank: &dyn Bank,
        present: &[DocumentEntry],
        holding_at: Option<Timestamp>,
    ) -> Result<Self, Failure> {
        let facts: Vec<DocumentFacts<'_>> = present
            .iter()
            .filter(|entry| entry.path.is_some())
            .map(|entry| DocumentFacts {
                name: &entry.name,
                bytes: entry.bytes,
                updated_at: entry.updated_at,
            })
            .collect();
        let paths: Vec<DocumentPath> =
            digest_documents(&facts).into_iter().filter_map(|name| DocumentPath::parse(name).ok()).collect();
        call.services.replies.need(reading_bytes(paths.len())).await?;
        let outcomes = bank.read(&call.caller, &paths).await?;
        let mut texts =
            Self { documents: Vec::with_capacity(paths.len()), ended: Vec::new(), warnings: Vec::new() };
        for long in facts
            .iter()
            .filter(|document| document.bytes > MAX_SOURCE_BYTES && document.name.ends_with(".md"))
        {
            let (name, length) = (short(long.name), size(long.bytes));
            texts.warnings.push(format!(
                "{name} is left out: it has {length}, and a digest reads {}",
                size(MAX_SOURCE_BYTES)
            ));
        }
        for (path, outcome) in paths.iter().zip(outcomes) {
            match outcome {
                ReadOutcome::Found(document) => {
                    let name = document.path.as_str().to_owned();
                    let holding = holding_at
                        .and_then(|at| holding_decisions(&name, &document.content, at.as_millisecond()))
                        .map(|holding| (holding.text.into_owned(), holding.ended));
                    let (text, mut ended) = holding.unwrap_or((document.content, Vec::new()));
                    texts.ended.append(&mut ended);
                    texts.documents.push((name, text));
                }
                ReadOutcome::Unreadable(reason) => {
                    texts.warnings.push(format!("{path} cannot be read: {reason}"));
                }
                _ => {}
            }
        }
        Ok(texts)
    }

    pub(crate) fn sources(&self) -> Vec<DigestSource<'_>> {
        self.documents.iter().map(|(name, text)| DigestSource { name, text }).collect()
    }
}

pub(crate) const GET_CONTEXT_DIGEST: ToolSpec = ToolSpec {
    name: "get_context_digest",
    title: "Short overview",
    description: "Short overview of tasks, progress and decisions; start a session with it.",
    family: Family::Context,
    right: Right::Read,
    without_read: WithoutRead::Refused,
    hints: READS,
    bank: BANK,
    arguments: &[
        optional("maxProgressEntries", Kind::Whole(0, 1000)),
        optional("maxDecisions", Kind::Whole(0, 1000)),
        optional("includeSystemPatterns", Kind::Flag),
        optional("maxTokens", Kind::Whole(200, 20_000)),
        INCLUDE_ENDED,
    ],
    handler: boxed!(get_context_digest),
};

/// A short overview of documents and graph.
pub(crate) async fn get_context_digest(mut call: Call) -> Result<Reply, Failure> {
    let arguments: DigestArguments = call.parse()?;
    let bank = call.bank()?;
    let now = call.services.clock.now();
    call.services.replies.need(LISTING_BYTES).await?;
    // An explicit number is not cut by the default budget.
    let requested =
        arguments.max_progress_entries.unwrap_or(0).saturating_add(arguments.max_decisions.unwrap_or(0));
    let tokens = arguments
        .max_tokens
        .unwrap_or_else(|| if requested > 15 { DIGEST_TOKENS + requested * 60 } else { DIGEST_TOKENS });
    let bounds = DigestBounds {
        progress_entries: arguments.max_progress_entries.unwrap_or(10),
        decisions: arguments.max_decisions.unwrap_or(5),
        system_patterns: arguments.include_system_patterns,
        tokens,
    };
    // The store reads the graph while the documents are parsed.
    let (summary, last, documents) = tokio::join!(
        bank.summary(&call.caller),
        last_session(&call, bank.as_ref(), now),
        read_documents(&call, bank.as_ref(), bounds, (!arguments.include_ended).then_some(now))
    );
    let Read { present, authors, content, mut warnings } = documents?;
    let graph = match summary {
        Ok(summary) => summary.as_ref().map(graph_lines).unwrap_or_default(),
        Err(error) => {
            warnings.push(format!("the graph cannot be read: {error}"));
            Vec::new()
        }
    };
    let mut metadata = json!({"timestamp": iso_millis(now), "memoryBankDir": bank.location()});
    if !warnings.is_empty()
        && let Some(object) = metadata.as_object_mut()
    {
        object.insert("warnings".into(), json!(warnings));
    }
    if let Some(notice) = call.services.workspace.notice(&call.caller)
        && let Some(object) = metadata.as_object_mut()
    {
        object.insert("notice".into(), json!(notice));
    }
    let extras = DigestExtras {
        graph,
        documents: document_lines(&present),
        since: last.map(|last| since(last, &present, &authors, &call.caller.user_name)),
    };
    let bounds =
        DigestBounds { tokens: tokens.saturating_sub(estimated_tokens(&metadata.to_string())), ..bounds };
    let structured = json!({"digest": content.digest(&extras, bounds), "metadata": metadata});
    Reply::json(&structured)
}

/// What a digest is made of.
struct Read {
    /// The list of documents.
    present: Vec<DocumentEntry>,
    /// Who last changed the newest of them, as far as it is known.
    authors: BTreeMap<String, String>,
    /// The content of those that the digest reads.
    content: DigestContent,
    /// Warnings about the others.
    warnings: Vec<String>,
}

async fn read_documents(
    call: &Call,
    bank: &dyn Bank,
    bounds: DigestBounds,
    holding_at: Option<Timestamp>,
) -> Result<Read, Failure> {
    let (present, authors) = bank.list_with_authors(&call.caller, MAX_NAMED_CHANGES).await?;
    let texts = Texts::read(call, bank, &present, holding_at).await?;
    let content = DigestContent::of(&texts.sources(), &texts.ended, bounds);
    Ok(Read { present, authors, content, warnings: texts.warnings })
}

/// When this caller last read the digest in an earlier session; records this read. An error does not fail the digest.
async fn last_session(call: &Call, bank: &dyn Bank, now: Timestamp) -> Option<Timestamp> {
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
    known.last_session(&place, now)
}

/// The changes since then, in a line. A document that another user changed last has that user's name.
fn since(
    last: Timestamp,
    present: &[DocumentEntry],
    authors: &BTreeMap<String, String>,
    own: &str,
) -> String {
    let mut changed: Vec<&DocumentEntry> =
        present.iter().filter(|entry| entry.path.is_some() && entry.updated_at > last).collect();
    changed.compact_sort_by(|a, b| b.updated_at.cmp(&a.updated_at).then_with(|| a.name.cmp(&b.name)));
    let named = |entry: &&DocumentEntry| match authors.get(&entry.name).filter(|author| *author != own) {
        Some(author) => format!("{} ({})", short(&entry.name), short(author)),
        None => short(&entry.name),
    };
    let names: Vec<String> = changed.iter().take(MAX_NAMED_CHANGES).map(named).collect();
    let mut text = format!("since {}: ", last.strftime("%Y-%m-%d %H:%M UTC"));
    text.push_str(&if names.is_empty() { "no document changed".to_owned() } else { names.join(", ") });
    if changed.len() > names.len() {
        text.push_str(&format!(" and {} more", changed.len() - names.len()));
    }
    text
}

/// The documents with size and last change, the last changed first.
fn document_lines(present: &[DocumentEntry]) -> Vec<String> {
    let mut documents: Vec<&DocumentEntry> = present.iter().filter(|entry| entry.path.is_some()).collect();
    documents.compact_sort_by(|a, b| b.updated_at.cmp(&a.updated_at).then_with(|| a.name.cmp(&b.name)));
    documents
        .into_iter()
        .map(|entry| {
            format!("{} {} {}", entry.name, size(entry.bytes), entry.updated_at.strftime("%Y-%m-%d"))
        })
        .collect()
}

fn size(bytes: u64) -> String {
    if bytes < 1000 { format!("{bytes} B") } else { format!("{} KB", bytes.div_ceil(1000)) }
}

/// The graph in a few lines of Markdown: counts, then entities.
fn graph_lines(summary: &GraphSummary) -> Vec<String> {
    let stats = summary.stats;
    let mut head = format!(
        "## Knowledge Graph\n{} entities, {} observations, {} relations",
        stats.entity_count, stats.observation_count, stats.relation_count
    );
    if !summary.types.is_empty() {
        let types: Vec<String> =
            summary.types.iter().map(|(name, count)| format!("{} ({count})", short(name))).collect();
        head.push_str(&format!("\nTypes: {}", types.join(", ")));
    }
    let mut seen = BTreeSet::new();
    // Alternate between connected and recent entities: a small budget shows both.
    let entities = interleaved(&summary.busiest, &summary.recent)
        .filter(|(name, kind, _)| seen.insert((name, kind)))
        .map(|(name, kind, count)| format!("- {} [{}] ({count} obs)", short(name), short(kind)));
    std::iter::once(head).chain(entities).collect()
}

fn interleaved<'t, T>(one: &'t [T], other: &'t [T]) -> impl Iterator<Item = &'t T> {
    (0..one.len().max(other.len())).flat_map(|at| one.get(at).into_iter().chain(other.get(at)))
}

/// The head of a name.
fn short(name: &str) -> String {
    if name.chars().count() <= MAX_NAME_CHARS {
        return name.to_owned();
    }
    name.chars().take(MAX_NAME_CHARS).chain(['…']).collect()
}
