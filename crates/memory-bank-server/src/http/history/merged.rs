//! The history of documents and graph as one list, in the order of time.

use std::iter::Peekable;

use memory_bank_core::graph::history::{GraphChange, GraphChangeQuery, GraphSubject};
use memory_bank_core::history::{Subject, Version, VersionPosition, VersionQuery};
use serde::{Deserialize, Serialize};

use super::bodies::{GraphVersionView, ListedVersion, VersionList, VersionView};
use super::graph_change_details::ChangeDetails;
use super::missing;
use crate::http::rest_request::{Refusal, RestRequest, decoded, encoded};

/// Where a page ended: in the list of changes of documents, and in that of the graph.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ends {
    pub(crate) documents: Option<VersionPosition>,
    pub(crate) graph: Option<i64>,
}

/// Lists the changes that a query for documents asks for, of the graph, too.
pub(super) async fn list(
    request: &RestRequest,
    query: VersionQuery,
    cursor: Option<&str>,
) -> Result<VersionList, Refusal> {
    let begin = cursor.map(decoded::<Ends>).transpose()?.unwrap_or_default();
    let (bank, caller, limit) = (request.bank().await?, &request.who.caller, query.limit);
    let subject = match &query.subject {
        Subject::Session(session) => GraphSubject::Session(session.clone()),
        _ => GraphSubject::Project,
    };
    let of_graph = GraphChangeQuery {
        subject,
        since: query.since,
        until: query.until,
        by: query.by.clone(),
        after: begin.graph,
        limit,
    };
    let of_documents = VersionQuery { after: begin.documents.clone(), ..query };
    let documents = bank.list_versions(caller, &of_documents).await.map_err(|error| missing(&bank, error))?;
    let graph = bank.list_graph_changes(caller, &of_graph).await.map_err(|error| missing(&bank, error))?;
    let details = ChangeDetails::of(bank.as_ref(), caller, &graph.changes).await?;
    let has_more = documents.next.is_some() || graph.next.is_some();
    let page = &documents;
    let (mut documents, mut graph) = (page.versions.iter().peekable(), graph.changes.iter().peekable());
    let (mut ends, mut versions) = (begin, Vec::new());
    while versions.len() < limit {
        let Some(next) = later(&mut documents, &mut graph) else { break };
        versions.push(match next {
            Change::Document(version) => {
                ends.documents = Some(version.position());
                ListedVersion::Document(VersionView::in_page(version, page))
            }
            Change::Graph(change) => {
                ends.graph = Some(change.number);
                ListedVersion::Graph(GraphVersionView::of(change, &details))
            }
        });
    }
    let has_more = has_more || documents.peek().is_some() || graph.peek().is_some();
    let next_cursor = has_more.then(|| encoded(&ends)).transpose()?;
    Ok(VersionList { versions, next_cursor })
}

enum Change<'a> {
    Document(&'a Version),
    Graph(&'a GraphChange),
}

/// The later one of the first changes of two lists that have their newest change first.
fn later<'a>(
    documents: &mut Peekable<impl Iterator<Item = &'a Version>>,
    graph: &mut Peekable<impl Iterator<Item = &'a GraphChange>>,
) -> Option<Change<'a>> {
    let is_graph = match (documents.peek(), graph.peek()) {
        (Some(version), Some(change)) => change.at > version.at,
        (version, _) => version.is_none(),
    };
    if is_graph { graph.next().map(Change::Graph) } else { documents.next().map(Change::Document) }
}
