//! The bank of a session: in a folder, or on a server. Both are read as a client reads them, by the tools.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use jiff::Timestamp;
use memory_bank_core::caller::Caller;
use memory_bank_core::clock::{Clock, Entropy, SystemClock, SystemEntropy};
use memory_bank_core::compact_sort::CompactSort as _;
use memory_bank_core::document::{DocumentPath, NO_DOCUMENT, is_leftover};
use memory_bank_core::error::WorkspaceError;
use memory_bank_core::history::ChangeContext;
use memory_bank_core::hooks::{
    PassageText, PromptTerms, RecalledPassage, SESSION_RECORDS, is_session_records, matching_passages,
};
use memory_bank_core::store::{Bank, ReadOutcome, SessionState, Workspace};
use memory_bank_folder::{
    Deps, FolderOptions, FolderWorkspace, RememberedStateStore, StateFolder, is_versioned,
};
use memory_bank_server::hub::Hub;
use memory_bank_server::mcp::MemoryBankHandler;
use memory_bank_server::services::{Replies, Services};
use serde_json::{Map, Value, json};

use super::error_log::log_error;
use super::graph_texts::{GRAPH, lines_of_graph, lines_of_reply};
use super::session::BankState;
use crate::cli::options::GlobalOptions;
use crate::cli::tool_client::ToolClient;
use crate::config;

/// The most bytes of documents that are scanned for a prompt.
const SCANNED_BYTES: u64 = 8 * 1024 * 1024;
/// How often a document that changed meanwhile is written again.
const WRITE_ATTEMPTS: u32 = 8;
/// The most characters of the session records that are read from a server; a part could not be written back.
const RECORDS_READ_CHARS: usize = 1_000_000;
/// The words of a server that has no such document.
const NOT_FOUND: &str = "there is no such document";
/// The codes of a write that another one came before.
const CONFLICTS: [&str; 2] = ["ETAG_MISMATCH", "FILE_NOT_FOUND"];
/// Tools that record something.
const WRITING_TOOLS: [&str; 4] = ["track_progress", "log_decision", "update_tasks", "write_memory_bank_file"];
/// How many lines of a server's search are considered.
const SERVER_SEARCH_RESULTS: usize = 12;

/// A server does not take the record, and will not.
#[derive(Debug, thiserror::Error)]
#[error("the server refuses the session record: {0}")]
pub(super) struct WriteRefused(String);

/// A bank.
pub(super) enum HookBank {
    Folder(Box<FolderHookBank>),
    Server(Box<ToolClient>),
}

/// A bank in a folder.
pub(super) struct FolderHookBank {
    tools: MemoryBankHandler,
    caller: Caller,
    bank: Arc<dyn Bank>,
    location: PathBuf,
}

impl HookBank {
    /// The bank of the folder in which the session works; none if it has none. Nothing is created.
    pub(super) async fn in_folder(
        global: &GlobalOptions,
        folder: &Path,
        state: Option<StateFolder>,
    ) -> anyhow::Result<Option<Self>> {
        let hub = Arc::new(Hub::new());
        let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
        let options = FolderOptions {
            path: global.path.clone(),
            folder: Some(global.folder.clone()),
            working_directory: folder.to_owned(),
            home: std::env::home_dir(),
            watch: false,
            shows_paths: true,
            follow_links: global.follow_links,
            state: state.clone(),
        };
        let deps = Deps { clock: clock.clone(), entropy: entropy.clone(), sink: hub.clone() };
        let workspace = Arc::new(FolderWorkspace::start(options, deps).await?);
        workspace.set_history(config::history_days(&config::environment)?, global.tool_options()?.read_only);
        let caller = Caller::local(global.username.clone());
        let bank = match workspace.bank(&caller, None).await {
            Ok(bank) => bank,
            Err(WorkspaceError::NoBank) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let services = Services {
            workspace,
            state: Arc::new(RememberedStateStore::new(SessionState::default(), state)),
            hub,
            clock,
            entropy,
            replies: Replies::default(),
            embedder: None,
        };
        let location = PathBuf::from(bank.location());
        let tools = MemoryBankHandler::new(services, caller.clone());
        Ok(Some(Self::Folder(Box::new(FolderHookBank { tools, caller, bank, location }))))
    }

    /// The bank of a key's project.
    pub(super) fn on_server(server: ToolClient) -> Self {
        Self::Server(Box::new(server))
    }

    /// The bank's folder, if it is one.
    pub(super) fn folder(&self) -> Option<&Path> {
        match self {
            Self::Folder(bank) => Some(&bank.location),
            Self::Server(_) => None,
        }
    }

    /// Whether only this user can read the bank, as far as that can be known.
    pub(super) fn is_private(&self) -> bool {
        self.folder().is_some_and(|folder| !is_versioned(folder))
    }

    /// The reply of the digest.
    pub(super) async fn digest(&self, tokens: usize) -> anyhow::Result<Value> {
        self.json("get_context_digest", json!({"maxTokens": tokens})).await
    }

    /// The passages of documents and graph that match a prompt and were not shown. The graph of a folder has `graph_time`.
    pub(super) async fn recall(
        &self,
        terms: &PromptTerms,
        graph_time: Duration,
        is_shown: impl Fn(u64) -> bool,
    ) -> anyhow::Result<Vec<RecalledPassage>> {
        match self {
            Self::Folder(bank) => {
                let mut texts = bank.texts().await?;
                // A large graph must not cost the lines of the documents.
                match tokio::time::timeout(graph_time, bank.bank.export(&bank.caller)).await {
                    Ok(Ok(graph)) => {
                        let graph = graph.without_ended(now());
                        texts.push((GRAPH.to_owned(), lines_of_graph(&graph)));
                    }
                    Ok(Err(error)) => log_error(&format!("the graph cannot be read: {error}")),
                    Err(_) => log_error("the graph was not searched within the time of a hook"),
                }
                let texts: Vec<PassageText<'_>> =
                    texts.iter().map(|(document, text)| PassageText { document, text }).collect();
                Ok(matching_passages(terms, &texts, true, is_shown))
            }
            Self::Server(_) => {
                let query = terms.words().join(" ");
                let (reply, graph) = tokio::join!(
                    self.json(
                        "search_memory_bank",
                        json!({"query": query, "maxResults": SERVER_SEARCH_RESULTS})
                    ),
                    self.json("graph_search", json!({"query": query, "limit": SERVER_SEARCH_RESULTS})),
                );
                let graph = graph.as_ref().map(lines_of_reply).unwrap_or_else(|error| {
                    log_error(&format!("the graph was not searched: {error:#}"));
                    String::new()
                });
                let reply = reply?;
                let hits = reply.get("results").and_then(Value::as_array).cloned().unwrap_or_default();
                let member = |hit: &Value, name: &str| {
                    hit.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
                };
                let hits: Vec<(String, String)> =
                    hits.iter().map(|hit| (member(hit, "file"), member(hit, "content"))).collect();
                let texts: Vec<PassageText<'_>> = hits
                    .iter()
                    .filter(|(file, _)| !is_session_records(file))
                    .map(|(document, text)| PassageText { document, text })
                    .chain([PassageText { document: GRAPH, text: &graph }])
                    .collect();
                Ok(matching_passages(terms, &texts, false, is_shown))
            }
        }
    }

    /// When the documents, but for the session records, were written last; and how much the graph holds.
    pub(super) async fn state(&self) -> anyhow::Result<BankState> {
        match self {
            Self::Folder(bank) => bank.state().await,
            Self::Server(_) => {
                let (status, graph) = tokio::join!(
                    self.json("get_memory_bank_status", json!({})),
                    self.json("graph_maintain", json!({"operation": "stats"})),
                );
                let written =
                    status?.get("lastUpdated").and_then(Value::as_str).and_then(|at| at.parse().ok());
                // A key that may not write is not counted for: it cannot have written.
                Ok(BankState { written, graph: graph.ok().as_ref().and_then(items_of_stats) })
            }
        }
    }

    /// Whether the agent may write it: a server lists the tools that the key may call.
    pub(super) async fn may_write(&self) -> anyhow::Result<bool> {
        match self {
            Self::Folder(_) => Ok(true),
            Self::Server(server) => {
                let tools = server.tools().await?;
                Ok(WRITING_TOOLS.iter().any(|tool| tools.iter().any(|listed| listed == tool)))
            }
        }
    }

    /// Changes the document of session records, all or nothing. `rule` gets its text and returns the new one, or none to leave
    /// it. Whether something was written.
    pub(super) async fn edit_records(
        &self,
        rule: &(dyn Fn(Option<&str>) -> Option<String> + Sync),
    ) -> anyhow::Result<bool> {
        match self {
            Self::Folder(bank) => bank.edit_records(rule).await,
            Self::Server(server) => edit_on_server(server, rule).await,
        }
    }

    async fn json(&self, tool: &str, arguments: Value) -> anyhow::Result<Value> {
        let arguments = members(arguments);
        let result = match self {
            Self::Folder(bank) => bank.tools.call_in_process(tool, arguments).await?,
            Self::Server(server) => server.call(tool, arguments).await?,
        };
        let text = text(&result).map_err(|refusal| anyhow!("{tool}: {refusal}"))?;
        serde_json::from_str(text).with_context(|| format!("{tool} replied with something else than JSON"))
    }
}

/// How much a graph holds, by the reply of `graph_maintain`.
fn items_of_stats(reply: &Value) -> Option<usize> {
    let stats = reply.get("stats")?;
    let count = |name: &str| usize::try_from(stats.get(name)?.as_u64()?).ok();
    let counts = [count("entityCount")?, count("observationCount")?, count("relationCount")?];
    Some(counts.into_iter().fold(0, usize::saturating_add))
}

fn members(arguments: Value) -> Map<String, Value> {
    if let Value::Object(members) = arguments { members } else { Map::new() }
}

/// The text of a tool's result; an error if the tool refused the call.
fn text(result: &Value) -> Result<&str, &str> {
    let text = result.pointer("/content/0/text").and_then(Value::as_str).unwrap_or_default();
    let is_error = result.get("isError").and_then(Value::as_bool).unwrap_or(false);
    if is_error { Err(text) } else { Ok(text) }
}

impl FolderHookBank {
    /// The Markdown documents but for the session records, the last written first, within a bound.
    async fn texts(&self) -> anyhow::Result<Vec<(String, String)>> {
        let mut entries = self.bank.list(&self.caller).await?;
        entries.retain(|entry| {
            entry.path.is_some()
                && entry.name.to_ascii_lowercase().ends_with(".md")
                && !is_leftover(&entry.name)
                && !is_session_records(&entry.name)
        });
        entries.compact_sort_by(|a, b| b.updated_at.cmp(&a.updated_at).then_with(|| a.name.cmp(&b.name)));
        let mut room = SCANNED_BYTES;
        entries.retain(|entry| {
            let fits = entry.bytes <= room;
            room -= if fits { entry.bytes } else { 0 };
            fits
        });
        let paths: Vec<DocumentPath> = entries.into_iter().filter_map(|entry| entry.path).collect();
        let outcomes = self.bank.read(&self.caller, &paths).await?;
        Ok(outcomes
            .into_iter()
            .filter_map(|outcome| match outcome {
                ReadOutcome::Found(document) => Some((document.path.as_str().to_owned(), document.content)),
                _ => None,
            })
            .collect())
    }

    async fn state(&self) -> anyhow::Result<BankState> {
        // An observation that ends by itself is no change of the graph, so ended ones count.
        let summary = self.bank.summary(&self.caller, None);
        let (entries, summary) = tokio::join!(self.bank.list(&self.caller), summary);
        let written = entries?
            .iter()
            .filter(|entry| entry.path.is_some() && !is_session_records(&entry.name))
            .map(|entry| entry.updated_at)
            .max();
        let count = summary.ok().flatten().map(|summary| {
            let stats = summary.stats;
            stats.entity_count.saturating_add(stats.observation_count).saturating_add(stats.relation_count)
        });
        Ok(BankState { written, graph: Some(count.unwrap_or(0)) })
    }

    async fn edit_records(
        &self,
        rule: &(dyn Fn(Option<&str>) -> Option<String> + Sync),
    ) -> anyhow::Result<bool> {
        let path = DocumentPath::parse(SESSION_RECORDS)?;
        let mut is_written = false;
        self.bank
            .edit(&self.caller, std::slice::from_ref(&path), &mut |drafts| {
                drafts.set_context(&ChangeContext::of_tool("hook"));
                let before = drafts.stored(&path).map(|document| document.content.clone());
                let after = rule(before.as_deref());
                is_written = after.is_some();
                after.map_or(Ok(()), |after| drafts.set(&path, after))
            })
            .await?;
        Ok(is_written)
    }
}

/// Reads, changes, and writes with the etag of the read text, or as a new document; repeated if another write came first.
async fn edit_on_server(
    server: &ToolClient,
    rule: &(dyn Fn(Option<&str>) -> Option<String> + Sync),
) -> anyhow::Result<bool> {
    let mut refused = String::new();
    for attempt in 0..WRITE_ATTEMPTS {
        tokio::time::sleep(pause_before(attempt)).await;
        let whole = json!({"filename": SESSION_RECORDS, "includeEtag": true, "maxChars": RECORDS_READ_CHARS});
        let read = server.call("read_memory_bank_file", members(whole)).await?;
        let (after, etag) = match text(&read) {
            // The server refuses the creation if there is a document by now.
            Err(refusal) if refusal.contains(NOT_FOUND) => (rule(None), NO_DOCUMENT.to_owned()),
            Err(refusal) => return Err(anyhow!("the session records cannot be read: {refusal}")),
            Ok(text) => {
                let read: Value = serde_json::from_str(text).context("the session records cannot be read")?;
                let member = |name: &str| read.get(name).and_then(Value::as_str);
                let (Some(content), Some(etag)) = (member("content"), member("etag")) else {
                    return Err(anyhow!(
                        "`{SESSION_RECORDS}` on the server is too long to be read whole; shorten it"
                    ));
                };
                (rule(Some(content)), etag.to_owned())
            }
        };
        let Some(after) = after else { return Ok(false) };
        let arguments = json!({"filename": SESSION_RECORDS, "content": after, "ifMatchEtag": etag});
        match text(&server.call("write_memory_bank_file", members(arguments)).await?) {
            Ok(_) => return Ok(true),
            Err(refusal) if CONFLICTS.iter().any(|code| refusal.contains(code)) => {
                refusal.clone_into(&mut refused);
            }
            Err(refusal) => return Err(WriteRefused(refusal.to_owned()).into()),
        }
    }
    Err(anyhow!("the session record was not written: {refused}"))
}

/// A pause that grows, and is random, so that writes that were refused at the same time part.
fn pause_before(attempt: u32) -> Duration {
    let [random, ..] = SystemEntropy.id().into_bytes();
    Duration::from_millis(u64::from(attempt) * u64::from(random) / 4)
}

/// The current time.
pub(super) fn now() -> Timestamp {
    SystemClock.now()
}
