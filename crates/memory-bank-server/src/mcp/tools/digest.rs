//! The digest of a bank: a summary of its documents, its graph and its list of documents.

mod lines;
mod since;
mod texts;

use std::collections::BTreeMap;

use memory_bank_core::caller::Right;
use memory_bank_core::clock::iso_millis;
use memory_bank_core::document::{
    DIGEST_TOKENS, DigestBounds, DigestContent, DigestExtras, DocumentEntry, estimated_tokens,
};
use memory_bank_core::graph::FactView;
use memory_bank_core::store::Bank;
use serde::Deserialize;
use serde_json::{Value, json};

use self::lines::{document_lines, former_graph_lines, graph_lines, short};
use self::since::{Changes, MAX_NAMED_CHANGES, changes, compare_with_history, last_session};
pub(crate) use self::texts::Texts;
use crate::mcp::tools::blind::WithoutRead;
use crate::mcp::tools::common_arguments::{AS_OF, INCLUDE_ENDED, WantedFacts};
use crate::mcp::tools::extra_members::{note_ended, put};
use crate::mcp::tools::past::PastBank;
use crate::mcp::tools::reply::{Failure, Reply};
use crate::mcp::tools::reply_space::LISTING_BYTES;
use crate::mcp::tools::schema::{Kind, optional};
use crate::mcp::tools::tool::{BANK, Call, Family, READS, ToolSpec, boxed};

/// The most decisions that are named as upcoming.
const MAX_UPCOMING: usize = 3;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DigestArguments {
    max_progress_entries: Option<usize>,
    max_decisions: Option<usize>,
    #[serde(default)]
    include_system_patterns: bool,
    max_tokens: Option<usize>,
    #[serde(flatten)]
    facts: WantedFacts,
}

impl DigestArguments {
    fn bounds(&self) -> DigestBounds {
        // An explicit number is not cut by the default budget.
        let requested =
            self.max_progress_entries.unwrap_or(0).saturating_add(self.max_decisions.unwrap_or(0));
        let default = if requested > 15 { DIGEST_TOKENS + requested * 60 } else { DIGEST_TOKENS };
        DigestBounds {
            progress_entries: self.max_progress_entries.unwrap_or(10),
            decisions: self.max_decisions.unwrap_or(5),
            system_patterns: self.include_system_patterns,
            tokens: self.max_tokens.unwrap_or(default),
        }
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
        AS_OF,
        INCLUDE_ENDED,
    ],
    handler: boxed!(get_context_digest),
};

/// A short overview of documents and graph.
pub(crate) async fn get_context_digest(mut call: Call) -> Result<Reply, Failure> {
    let arguments: DigestArguments = call.parse()?;
    let bank = call.bank()?;
    let now = call.services.clock.now();
    let bounds = arguments.bounds();
    let view = arguments.facts.view(now)?;
    let past = PastBank::of(&call.services, &call.caller, bank.as_ref(), view).await?;
    let mut metadata = json!({"timestamp": iso_millis(now), "memoryBankDir": bank.location()});
    if let Some(past) = &past {
        past.note(&mut metadata);
    }
    let Read { mut texts, present, authors, graph, graph_note, changes } = match &past {
        Some(past) => read_past(&call, bank.as_ref(), past, view).await?,
        None => read_present(&call, bank.as_ref(), view).await?,
    };
    let graph = graph.unwrap_or_else(|why| {
        texts.warnings.push(format!("the graph cannot be read: {why}"));
        Vec::new()
    });
    let content = DigestContent::of(&texts.sources(), &texts.ended, bounds);
    note(&call, &mut metadata, &texts);
    if let Some(note) = graph_note {
        put(&mut metadata, "asOfNote", json!(note));
    }
    let extras = DigestExtras {
        graph,
        documents: document_lines(&present),
        since: changes.and_then(|changes| changes.line(&present, &authors, &call.caller.user_name)),
    };
    let tokens = bounds.tokens.saturating_sub(estimated_tokens(&metadata.to_string()));
    let structured =
        json!({"digest": content.digest(&extras, DigestBounds { tokens, ..bounds }), "metadata": metadata});
    Reply::json(&structured)
}

/// Adds what a digest leaves out, and a notice of the workspace.
fn note(call: &Call, metadata: &mut Value, texts: &Texts) {
    if !texts.warnings.is_empty() {
        put(metadata, "warnings", json!(texts.warnings));
    }
    if let Some(notice) = call.services.workspace.notice(&call.caller) {
        put(metadata, "notice", json!(notice));
    }
    note_ended(metadata, texts.left_out);
    if !texts.upcoming.is_empty() {
        let upcoming: Vec<String> =
            texts.upcoming.iter().take(MAX_UPCOMING).map(|name| short(name)).collect();
        put(metadata, "upcoming", json!(upcoming));
    }
}

/// What a digest is made of.
struct Read {
    /// The content of the documents that it reads.
    texts: Texts,
    /// The list of documents.
    present: Vec<DocumentEntry>,
    /// Who last changed the newest of them, as far as it is known.
    authors: BTreeMap<String, String>,
    /// Lines on the graph, or why there are none.
    graph: Result<Vec<String>, String>,
    /// The parts of the past graph that could not be rebuilt.
    graph_note: Option<&'static str>,
    /// The changes since the last session, if there was one.
    changes: Option<Changes>,
}

async fn read_present(call: &Call, bank: &dyn Bank, view: FactView) -> Result<Read, Failure> {
    call.services.replies.need(LISTING_BYTES).await?;
    let holding_at = (!view.with_ended).then_some(view.at);
    let documents = async {
        let (present, authors) = bank.list_with_authors(&call.caller, MAX_NAMED_CHANGES).await?;
        let texts = Texts::read(call, bank, &present, holding_at, None).await?;
        Ok::<_, Failure>((present, authors, texts))
    };
    let news = async {
        let now = call.services.clock.now();
        match last_session(call, bank, now).await {
            Some(last) => Some(changes(call, bank, last).await),
            None => {
                compare_with_history(call, bank, now).await;
                None
            }
        }
    };
    // The store reads the graph while the documents are read.
    let (summary, changes, documents) = tokio::join!(bank.summary(&call.caller, holding_at), news, documents);
    let (present, authors, texts) = documents?;
    let graph = summary
        .map(|summary| summary.as_ref().map(graph_lines).unwrap_or_default())
        .map_err(|error| error.to_string());
    Ok(Read { texts, present, authors, graph, graph_note: None, changes })
}

/// Reads the material of a digest as it was at a time. Nothing counts as new, and no visit is recorded.
async fn read_past(
    call: &Call,
    bank: &dyn Bank,
    past: &PastBank<'_>,
    view: FactView,
) -> Result<Read, Failure> {
    let holding_at = (!view.with_ended).then_some(view.at);
    let present = past.entries();
    let texts = Texts::read(call, bank, &present, holding_at, Some(past)).await?;
    let (lines, graph_note) = former_graph_lines(call, bank, view).await?;
    Ok(Read { texts, present, authors: BTreeMap::new(), graph: Ok(lines), graph_note, changes: None })
}
