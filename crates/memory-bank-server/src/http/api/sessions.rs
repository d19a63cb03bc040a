//! `GET /api/v1/sessions`: the working sessions, the latest first, as the history shows them: who changed what, from when to when.

use std::collections::{BTreeMap, HashSet};

use axum::response::Response;
use jiff::Timestamp;
use memory_bank_core::clock::iso_millis;
use memory_bank_core::compact_sort::CompactSort as _;
use memory_bank_core::graph::history::{
    GraphChange, GraphChangePage, GraphChangeQuery, GraphItem, GraphSubject,
};
use memory_bank_core::history::{Subject, Version, VersionPage, VersionQuery};
use memory_bank_core::limits;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::api::Problem;
use crate::http::api::queries::ListSessions;
use crate::http::history::merged::Ends;
use crate::http::rest_request::{QueryParameters, Refusal, RestRequest, decoded, encoded};
use crate::services::Services;

/// The latest changes of documents, and as many of the graph, that are read.
const CHANGES: usize = limits::VERSIONS_LISTED;
/// The bytes of both.
const BYTES: usize = 2 * CHANGES * limits::OBSERVATION_BYTES;
/// The most names of documents, entities and tools of a session.
const NAMES: usize = 10;
/// The sessions of a page whose clients are looked up.
const CLIENTS: usize = 20;

/// A session of work: changes of one client, or of a user without one.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WorkingSession {
    /// The id of the client's session; absent for changes without one, such as those of the console.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    session: Option<String>,
    /// The name of the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    by: Option<String>,
    /// The name of the client, as it gave it; of the sessions of the caller that are open, as far as they are among the latest 20.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    client: Option<String>,
    /// The tools that made the changes, the latest first, at most ten. Absent are those of changes that no tool made: a person in the console,
    /// or a program over REST. Without a session they are listed apart from those that a tool made.
    tools: Vec<String>,
    /// The first and the last of its changes that are listed.
    #[schema(format = DateTime)]
    from: String,
    #[schema(format = DateTime)]
    to: String,
    /// How many changes of documents and of the graph.
    changes: usize,
    /// The names of documents that it changed, the latest first, at most ten.
    documents: Vec<String>,
    /// How many more documents it changed than are named.
    documents_not_named: usize,
    /// The names of entities that it changed, the latest first, at most ten.
    entities: Vec<String>,
    /// How many more entities it changed than are named.
    entities_not_named: usize,
}

/// Sessions, the latest first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WorkingSessions {
    sessions: Vec<WorkingSession>,
    /// Whether there are older changes than those that were read.
    truncated: bool,
    /// For the next page, if there is one. A session with older changes is in that page, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

/// Shows the working sessions of 200 changes at most of documents, and as many of the graph, the latest first.
#[utoipa::path(get, path = "/api/v1/sessions", tag = "history", operation_id = "list_sessions", params(ListSessions), responses(
    (status = 200, body = WorkingSessions),
    (status = 304, description = "the client has this reply"),
    (status = 400, body = Problem, content_type = "application/problem+json", description = "the query is malformed"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such bank or page"),
    (status = 429, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(
    request: RestRequest,
    QueryParameters(query): QueryParameters<ListSessions>,
) -> Response {
    request.answer_within(BYTES, |_: Services| sessions_of(&request, query)).await
}

async fn sessions_of(request: &RestRequest, query: ListSessions) -> Result<WorkingSessions, Refusal> {
    let (bank, caller) = (request.bank().await?, &request.who.caller);
    let begin = query.cursor.as_deref().map(decoded::<Ends>).transpose()?.unwrap_or_default();
    let query = VersionQuery {
        subject: Subject::Project,
        since: None,
        until: None,
        by: None,
        after: begin.documents.clone(),
        limit: CHANGES,
    };
    let mut documents = bank.list_versions(caller, &query).await?;
    let query =
        GraphChangeQuery { after: begin.graph, ..GraphChangeQuery::newest(GraphSubject::Project, CHANGES) };
    let mut graph = bank.list_graph_changes(caller, &query).await?;
    let next = cut(&begin, &mut documents, &mut graph);
    let mut sessions = grouped(&documents.versions, &graph.changes);
    name_clients(request, &mut sessions).await?;
    Ok(WorkingSessions {
        sessions,
        truncated: next.is_some(),
        next_cursor: next.as_ref().map(encoded).transpose()?,
    })
}

/// Adds the names of the clients. A session of another user is none that the caller can look up.
async fn name_clients(request: &RestRequest, sessions: &mut [WorkingSession]) -> Result<(), Refusal> {
    let caller = &request.who.caller;
    let own = sessions.iter_mut().filter(|session| session.by.as_deref() == Some(&caller.user_name));
    let named = own.filter_map(|session| Some((session.session.as_deref()?.parse().ok()?, session)));
    for (id, session) in named.take(CLIENTS) {
        session.client = request.shared.sessions.client_of(caller, id).await?;
    }
    Ok(())
}

/// Leaves the changes of both lists that are not older than what either of them shows, and gives where the next page begins, if there is
/// one. A list that goes on is shown whole, or up to the end of the other one, so that each page has changes.
fn cut(begin: &Ends, documents: &mut VersionPage, graph: &mut GraphChangePage) -> Option<Ends> {
    let end_of_documents = documents.next.as_ref().and(documents.versions.last()).map(|last| last.at);
    let end_of_graph = graph.next.and(graph.changes.last()).map(|last| last.at);
    let end = end_of_documents.max(end_of_graph)?;
    if end_of_documents != Some(end) {
        let shown = documents.versions.iter().take_while(|version| version.at >= end).count();
        documents.versions.truncate(shown);
        documents.next = documents.versions.last().map(Version::position).or_else(|| begin.documents.clone());
    }
    if end_of_graph != Some(end) {
        let shown = graph.changes.iter().take_while(|change| change.at >= end).count();
        graph.changes.truncate(shown);
        graph.next = graph.changes.last().map(|change| change.number).or(begin.graph);
    }
    Some(Ends { documents: documents.next.take(), graph: graph.next })
}

/// What identifies a session: its id and user; of changes without one the user, and whether a tool made them.
type Key = (Option<String>, Option<String>, bool);

struct Group {
    from: Timestamp,
    to: Timestamp,
    changes: usize,
    documents: Names,
    entities: Names,
    tools: Names,
}

/// The names of what a session changed, each once, in the order of their latest changes.
#[derive(Default)]
struct Names {
    listed: Vec<String>,
    all: HashSet<String>,
}

impl Names {
    fn add(&mut self, name: &str) {
        if !name.is_empty() && self.all.insert(name.to_owned()) && self.listed.len() < NAMES {
            self.listed.push(name.to_owned());
        }
    }

    fn not_listed(&self) -> usize {
        self.all.len() - self.listed.len()
    }
}

/// Both lists have their newest change first.
fn grouped(versions: &[Version], changes: &[GraphChange]) -> Vec<WorkingSession> {
    let mut groups: BTreeMap<Key, Group> = BTreeMap::new();
    for version in versions {
        let by = (&version.session, &version.author, &version.tool);
        let group = group(&mut groups, by, version.at);
        group.documents.add(version.path.as_str());
    }
    for change in changes {
        let group = group(&mut groups, (&change.session, &change.author, &change.tool), change.at);
        let entity = change.entity.as_deref().or_else(|| change.item().map(GraphItem::entity_id));
        group.entities.add(entity.unwrap_or_default());
    }
    let mut all: Vec<(Key, Group)> = groups.into_iter().collect();
    all.compact_sort_by_key(|(_, group)| std::cmp::Reverse(group.to));
    let view = |((session, by, _), group): (Key, Group)| WorkingSession {
        session,
        by,
        client: None,
        tools: group.tools.listed,
        from: iso_millis(group.from),
        to: iso_millis(group.to),
        changes: group.changes,
        documents_not_named: group.documents.not_listed(),
        documents: group.documents.listed,
        entities_not_named: group.entities.not_listed(),
        entities: group.entities.listed,
    };
    all.into_iter().map(view).collect()
}

/// The group of a change by its session, user and tool.
fn group<'a>(
    groups: &'a mut BTreeMap<Key, Group>,
    (session, author, tool): (&Option<String>, &Option<String>, &Option<String>),
    at: Timestamp,
) -> &'a mut Group {
    let key = (session.clone(), author.clone(), session.is_none() && tool.is_some());
    let group = groups.entry(key).or_insert_with(|| Group {
        from: at,
        to: at,
        changes: 0,
        documents: Names::default(),
        entities: Names::default(),
        tools: Names::default(),
    });
    group.tools.add(tool.as_deref().unwrap_or_default());
    group.from = group.from.min(at);
    group.to = group.to.max(at);
    group.changes += 1;
    group
}
