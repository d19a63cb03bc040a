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

use crate::mcp::tools::blind::WithoutRead;
use crate::mcp::tools::common_arguments::{default_one, default_true};
use crate::mcp::tools::digest::Texts;
use crate::mcp::tools::query::{parse_query, with_meaning};
use crate::mcp::tools::reply::{Failure, Reply};
use crate::mcp::tools::room::{LISTING_BYTES, reading_bytes};
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
    let graph_request = GraphSearch {
        query: Some(query.clone()),
        limit: arguments.graph_limit,
        depth: arguments.graph_depth,
        bytes: call.services.replies.bytes,
        skip: Skip::default(),
        view: FactView::now(call.services.clock.now()),
    };
    let graph = match bank.search_graph(&call.caller, &graph_request).await {
        Ok(found) => found,
        // A pack without the graph is better than none. Without an index there is no pack.
        Err(GraphError::Store(error)) if !error.is_about_the_index() => {
            tracing::warn!(%error, "the context omits the graph");
            GraphFound::default()
        }
        Err(error) => return Err(failed(error.into())),
    };
    let (query, meaning) = with_meaning(&call, query).await;
    let request = DocumentSearch {
        query,
        files: Vec::new(),
        limit: MAX_PLACES,
        case_sensitive: false,
        days: (None, None),
        holding_at: Some(call.services.clock.now().as_millisecond()),
    };
    let documents =
        bank.search_documents(&call.caller, &request).await.map_err(|error| failed(error.into()))?;
    let planned = plan_pointers(&graph, &documents, &bounds);
    let paths: Vec<DocumentPath> =
        planned.iter().filter_map(|pointer| DocumentPath::parse(&pointer.path).ok()).collect();
    call.services.replies.need(reading_bytes(paths.len())).await?;
    let outcomes = bank.read(&call.caller, &paths).await.map_err(|error| failed(error.into()))?;
    let texts = texts_of(&paths, outcomes);
    let digest = digest(&call, bank.as_ref(), arguments.max_chars).await.map_err(failed)?;
    let material = Material {
        query: &arguments.query,
        digest: &digest,
        graph: &graph,
        documents: &documents,
        texts: &texts,
    };
    let Some(meaning) = meaning.map(|meaning| meaning.text(documents.meaning)) else {
        return Reply::json(&pack(&material, planned, &bounds));
    };
    // The field counts as well.
    let room = bounds.max_chars.saturating_sub(meaning.chars().count() + MEANING_FIELD_CHARS);
    let packed = pack(&material, planned, &TargetedBounds { max_chars: room, ..bounds });
    Reply::json(&WithMeaning { packed, meaning })
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

/// A pack that names whether the meaning counted.
#[derive(Serialize)]
struct WithMeaning {
    #[serde(flatten)]
    packed: TargetedContext,
    meaning: String,
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

/// The name of the field that names whether the meaning counted, with its marks and line.
const MEANING_FIELD_CHARS: usize = 32;
/// The most characters of a digest inside a pack of context, and its largest share, as a divisor.
const MAX_DIGEST_CHARS: usize = 1500;

const DIGEST_SHARE: usize = 5;

async fn digest(call: &Call, bank: &dyn Bank, max_chars: usize) -> Result<String, Failure> {
    call.services.replies.need(LISTING_BYTES).await?;
    let present = bank.list(&call.caller).await?;
    let texts = Texts::read(call, bank, &present, Some(call.services.clock.now())).await?;
    Ok(plain_digest(&texts.sources(), MAX_DIGEST_CHARS.min(max_chars / DIGEST_SHARE)))
}
