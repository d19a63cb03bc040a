//! Packs the facts and passages that matter for a question.

use std::collections::HashMap;

use memory_bank_core::caller::Right;
use memory_bank_core::document::roles::{has_content, without_template_rows};
use memory_bank_core::document::{DocumentPath, plain_digest};
use memory_bank_core::error::GraphError;
use memory_bank_core::graph::FactView;
use memory_bank_core::search::{Material, TargetedBounds, TargetedContext, pack, plan_pointers};
use memory_bank_core::store::{Bank, DocumentSearch, GraphFound, GraphSearch, ReadOutcome, Skip};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::mcp::tools::blind::WithoutRead;
use crate::mcp::tools::common_arguments::{AS_OF, INCLUDE_ENDED, WantedFacts, default_one, default_true};
use crate::mcp::tools::digest::Texts;
use crate::mcp::tools::extra_members::put;
use crate::mcp::tools::past::{PastBank, read_documents, search_documents};
use crate::mcp::tools::past_graph::ViewedGraph;
use crate::mcp::tools::query::parse_query;
use crate::mcp::tools::reply::{Failure, Reply};
use crate::mcp::tools::reply_space::LISTING_BYTES;
use crate::mcp::tools::schema::{Kind, optional, required};
use crate::mcp::tools::tool::{BANK, Call, Family, READS, ToolSpec, boxed};

pub(crate) const GET_TARGETED_CONTEXT: ToolSpec = ToolSpec {
    name: "get_targeted_context",
    title: "Context for a question",
    description: "Before a task: the facts and passages that matter for it.",
    family: Family::Context,
    right: Right::Read,
    without_read: WithoutRead::Refused,
    hints: READS,
    bank: BANK,
    arguments: &[
        required("query", Kind::Text, "query is required"),
        optional("maxChars", Kind::Whole(500, u32::MAX)),
        optional("maxFiles", Kind::Whole(1, 10)),
        optional("graphLimit", Kind::Whole(1, 20)),
        optional("graphDepth", Kind::Whole(1, 2)),
        optional("preferActiveContext", Kind::Flag),
        AS_OF,
        INCLUDE_ENDED,
    ],
    handler: boxed!(get_targeted_context),
};

/// Packs the most relevant context of a question, up to a number of characters.
async fn get_targeted_context(mut call: Call) -> Result<Reply, Failure> {
    let arguments: Targeted = call.parse()?;
    let query = parse_query(&arguments.query)?;
    let bounds = TargetedBounds {
        max_chars: arguments.max_chars.min(call.services.replies.bytes),
        max_files: arguments.max_files,
        prefer_core: arguments.prefer_active_context,
    };
    let bank = call.bank()?;
    let failed = |failure: Failure| failure.while_doing("Error getting targeted context");
    let view = arguments.facts.view(call.services.clock.now())?;
    let past = PastBank::of(&call.services, &call.caller, bank.as_ref(), view).await.map_err(failed)?;
    let graph_request = GraphSearch {
        query: Some(query.clone()),
        limit: arguments.graph_limit,
        depth: arguments.graph_depth,
        bytes: call.services.replies.bytes,
        skip: Skip::default(),
        view,
    };
    let (graph, graph_note) = found_in_graph(&call, bank.as_ref(), &graph_request).await.map_err(failed)?;
    let request = DocumentSearch {
        query,
        files: Vec::new(),
        limit: MAX_PLACES,
        case_sensitive: false,
        days: (None, None),
        holding_at: (!view.with_ended).then_some(view.at),
    };
    let found = search_documents(&call, bank.as_ref(), past.as_ref(), request).await;
    let (documents, meaning) = found.map_err(failed)?;
    let planned = plan_pointers(&graph, &documents, &bounds);
    let paths: Vec<DocumentPath> =
        planned.iter().filter_map(|pointer| DocumentPath::parse(&pointer.path).ok()).collect();
    let outcomes = read_documents(&call, bank.as_ref(), past.as_ref(), &paths).await;
    let texts = texts_of(&paths, outcomes.map_err(failed)?);
    let digest = digest(&call, bank.as_ref(), view, past.as_ref(), arguments.max_chars).await;
    let digest = digest.map_err(failed)?;
    let material = Material {
        query: &arguments.query,
        digest: &digest,
        graph: &graph,
        documents: &documents,
        texts: &texts,
    };
    let mut notes = notes(meaning.map(|meaning| meaning.text(documents.meaning)), past.as_ref());
    if let Some(note) = graph_note {
        put(&mut notes, "asOfNote", json!(note));
    }
    if notes.as_object().is_none_or(Map::is_empty) {
        return Reply::json(&pack(&material, planned, &bounds));
    }
    // The fields count as well.
    let space = bounds.max_chars.saturating_sub(notes.to_string().chars().count() + NOTES_CHARS);
    let packed = pack(&material, planned, &TargetedBounds { max_chars: space, ..bounds });
    Reply::json(&WithNotes { packed, notes })
}

/// Whether the meaning counted, and which time the pack is about.
fn notes(meaning: Option<String>, past: Option<&PastBank<'_>>) -> Value {
    let mut notes = Value::Object(Map::new());
    if let Some(meaning) = meaning {
        put(&mut notes, "meaning", json!(meaning));
    }
    if let Some(past) = past {
        past.note(&mut notes);
        let warnings = past.warnings();
        if !warnings.is_empty() {
            put(&mut notes, "warnings", json!(warnings));
        }
    }
    notes
}

/// The graph's part of a pack. A pack without the graph is better than none; without an index there is no pack.
/// With it comes what of a former graph is not as it was.
async fn found_in_graph(
    call: &Call,
    bank: &dyn Bank,
    request: &GraphSearch,
) -> Result<(GraphFound, Option<&'static str>), Failure> {
    let found = async {
        let graph = ViewedGraph::of(bank, &call.caller, request.view).await?;
        Ok::<_, GraphError>((graph.search(request).await?, graph.note()))
    };
    match found.await {
        Err(GraphError::Store(error)) if !error.is_about_the_index() => {
            tracing::warn!(%error, "the context omits the graph");
            Ok((GraphFound::default(), None))
        }
        found => Ok(found?),
    }
}

/// The texts of the documents that have content of their own, by name. A document with only a template's rows has none.
fn texts_of(paths: &[DocumentPath], outcomes: Vec<ReadOutcome>) -> HashMap<String, String> {
    paths
        .iter()
        .zip(outcomes)
        .filter_map(|(path, outcome)| match outcome {
            ReadOutcome::Found(document) if has_content(&document.content) => {
                let text = without_template_rows(&document.content).into_owned();
                Some((path.as_str().to_owned(), text))
            }
            _ => None,
        })
        .collect()
}

/// A pack with notes: whether the meaning counted, and which time it is about.
#[derive(Serialize)]
struct WithNotes {
    #[serde(flatten)]
    packed: TargetedContext,
    #[serde(flatten)]
    notes: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Targeted {
    query: String,
    #[serde(default = "default_max_chars")]
    max_chars: usize,
    #[serde(default = "default_max_files")]
    max_files: usize,
    #[serde(default = "default_graph_limit")]
    graph_limit: usize,
    #[serde(default = "default_one")]
    graph_depth: u32,
    #[serde(default = "default_true")]
    prefer_active_context: bool,
    #[serde(flatten)]
    facts: WantedFacts,
}

fn default_max_chars() -> usize {
    8000
}

fn default_max_files() -> usize {
    4
}

fn default_graph_limit() -> usize {
    6
}

/// How many places in documents are considered for a pack of context.
const MAX_PLACES: usize = 40;

/// The marks and lines of the notes.
const NOTES_CHARS: usize = 16;
/// The most characters of a digest inside a pack of context, and its largest share, as a divisor.
const MAX_DIGEST_CHARS: usize = 1500;

const DIGEST_SHARE: usize = 5;

async fn digest(
    call: &Call,
    bank: &dyn Bank,
    view: FactView,
    past: Option<&PastBank<'_>>,
    max_chars: usize,
) -> Result<String, Failure> {
    let present = match past {
        Some(past) => past.entries(),
        None => {
            call.services.replies.need(LISTING_BYTES).await?;
            bank.list(&call.caller).await?
        }
    };
    let holding_at = (!view.with_ended).then_some(view.at);
    let texts = Texts::read(call, bank, &present, holding_at, past).await?;
    Ok(plain_digest(&texts.sources(), MAX_DIGEST_CHARS.min(max_chars / DIGEST_SHARE)))
}
