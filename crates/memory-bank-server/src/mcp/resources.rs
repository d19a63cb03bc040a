//! Documents as resources: five that are always listed, and all others through a template. The pages of [`apps`] are resources, too.

use std::borrow::Cow;
use std::sync::Arc;

use memory_bank_core::caller::Caller;
use memory_bank_core::document::{CORE_DOCUMENTS, DocumentPath};
use memory_bank_core::error::WorkspaceError;
use memory_bank_core::history::VersionText;
use memory_bank_core::limits;
use memory_bank_core::store::{Bank, HISTORY_IS_OFF, HistoryError, ReadOutcome};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use rmcp::model::{
    ErrorCode, ErrorData, ListResourcesResult, ReadResourceResult, Resource, ResourceContents,
    ResourceTemplate,
};
use serde_json::{Value, json};

use crate::mcp::apps::{self, App};
use crate::mcp::errors::{internal, no_memory, store_fault, workspace_fault};
use crate::mcp::reading::{self, NotRead};
use crate::mcp::tools::{LISTING_BYTES, reading_bytes};
use crate::services::Services;

/// The scheme of every document.
const SCHEME: &str = "memory-bank://";

/// The memory for the reply with an app, which quotes the text of a page.
const APP_BYTES: usize = 1 << 20;

/// Everything but the unreserved characters of RFC 3986.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

const CORE: [(&str, &str); 5] = [
    ("Product Context", "What the project is, its objectives and technologies"),
    ("Active Context", "Ongoing tasks, known issues, next steps and session notes"),
    ("Progress", "Milestones and the history of updates"),
    ("Decision Log", "Decisions and why they were made"),
    ("System Patterns", "Architecture, code and documentation patterns"),
];

/// The five core documents first, for a client that shows them the apps, then all other documents by name, in pages. The cursor is
/// the last name of the page before.
pub(crate) async fn list(
    services: &Services,
    caller: &Caller,
    cursor: Option<&str>,
    with_apps: bool,
) -> Result<ListResourcesResult, ErrorData> {
    let mut names: Vec<(String, u64)> = match services.workspace.bank(caller, None).await {
        Ok(bank) => {
            services.replies.need(LISTING_BYTES).await.map_err(no_memory)?;
            let entries =
                bank.list(caller).await.map_err(|error| store_fault(&error, services.entropy.id()))?;
            entries
                .into_iter()
                .filter(|entry| {
                    entry.path.as_ref().is_some_and(|path| !CORE_DOCUMENTS.contains(&path.as_str()))
                })
                .map(|entry| (entry.name, entry.bytes))
                .collect()
        }
        Err(WorkspaceError::NoBank) => Vec::new(),
        Err(error) => return Err(workspace_fault(&error, services.entropy.id())),
    };
    names.sort();
    let mut resources = Vec::new();
    match cursor {
        None => {
            resources.extend(core_resources());
            resources.extend(apps::resources().filter(|_| with_apps));
        }
        Some(cursor) => {
            let after = cursor.strip_prefix("after:").ok_or_else(|| {
                ErrorData::invalid_params(
                    "`cursor` is not one that this server gave; leave it out to start anew",
                    None,
                )
            })?;
            names.retain(|(name, _)| name.as_str() > after);
        }
    }
    let room = limits::RESOURCE_PAGE - resources.len();
    let more = names.len() > room;
    names.truncate(room);
    let last = names.last().map(|(name, _)| format!("after:{name}"));
    resources.extend(names.into_iter().map(|(name, bytes)| {
        Resource::new(uri_of(&name), name.clone()).with_mime_type(mime_type(&name)).with_size(bytes)
    }));
    let mut page = ListResourcesResult::with_all_items(resources);
    page.next_cursor = last.filter(|_| more);
    Ok(page)
}

fn core_resources() -> impl Iterator<Item = Resource> {
    CORE_DOCUMENTS.iter().zip(CORE).map(|(file, (name, description))| {
        Resource::new(uri_of(file), name).with_description(description).with_mime_type("text/markdown")
    })
}

/// The template through which every document can be read.
pub(crate) fn templates() -> Vec<ResourceTemplate> {
    vec![
        ResourceTemplate::new(format!("{SCHEME}{{name}}"), "document")
            .with_title("Document of the memory bank")
            .with_description("Any document by its name, with its folders, with or without `.md`")
            .with_mime_type("text/markdown"),
    ]
}

/// Reads the document or the app that a URI names.
pub(crate) async fn read(
    services: &Services,
    caller: &Caller,
    uri: &str,
) -> Result<ReadResourceResult, ErrorData> {
    if let Some(app) = App::of(uri) {
        return read_app(services, app).await;
    }
    let (document, former) = of_version_or_time(uri);
    let paths = parse(document)?;
    let bank: Arc<dyn Bank> = services.workspace.bank(caller, None).await.map_err(|error| match error {
        WorkspaceError::NoBank => {
            not_found(uri, "there is no memory bank; initialize_memory_bank creates one")
        }
        other => workspace_fault(&other, services.entropy.id()),
    })?;
    services.replies.need(reading_bytes(paths.len())).await.map_err(no_memory)?;
    match former {
        Some(Former::Version(number)) => {
            return read_version(services, caller, &bank, uri, &paths, number).await;
        }
        Some(Former::Time(time)) => return read_as_of(services, caller, &bank, uri, &paths, time).await,
        None => {}
    }
    let outcomes =
        bank.read(caller, &paths).await.map_err(|error| store_fault(&error, services.entropy.id()))?;
    let mut unreadable = None;
    for outcome in outcomes {
        match outcome {
            ReadOutcome::Found(document) => {
                services.replies.need(document.content.len().saturating_mul(4)).await.map_err(no_memory)?;
                let contents = ResourceContents::text(document.content, uri)
                    .with_mime_type(mime_type(document.path.as_str()));
                return Ok(ReadResourceResult::new(vec![contents]));
            }
            ReadOutcome::Unreadable(reason) => unreadable = Some(reason),
            _ => {}
        }
    }
    match unreadable {
        Some(reason) => Err(not_found(uri, &format!("`{uri}` cannot be read: {reason}"))),
        None => Err(not_found(uri, &format!("`{uri}` does not exist; resources/list shows what does"))),
    }
}

async fn read_app(services: &Services, app: &App) -> Result<ReadResourceResult, ErrorData> {
    services.replies.need(APP_BYTES).await.map_err(no_memory)?;
    let content = app
        .content()
        .map_err(|error| internal(&format!("an app is damaged: {error}"), services.entropy.id()))?;
    Ok(ReadResourceResult::new(vec![content]))
}

/// Which former state of a document a URI names.
enum Former<'u> {
    /// `memory-bank://progress?version=12`
    Version(i64),
    /// `memory-bank://progress?asOf=2026-11-22`
    Time(&'u str),
}

/// A URI without its version or time, and that.
fn of_version_or_time(uri: &str) -> (&str, Option<Former<'_>>) {
    let version = uri.rsplit_once("?version=");
    if let Some((document, number)) = version.and_then(|(uri, number)| Some((uri, number.parse().ok()?))) {
        return (document, Some(Former::Version(number)));
    }
    match uri.rsplit_once("?asOf=") {
        Some((document, time)) => (document, Some(Former::Time(time))),
        None => (uri, None),
    }
}

/// Reads the first of these documents that existed at a time, as it was.
async fn read_as_of(
    services: &Services,
    caller: &Caller,
    bank: &Arc<dyn Bank>,
    uri: &str,
    paths: &[DocumentPath],
    time: &str,
) -> Result<ReadResourceResult, ErrorData> {
    let time = percent_decoded(time).unwrap_or_else(|| time.to_owned());
    let mut refused: Option<String> = None;
    for path in paths {
        match reading::document_at(services, caller, bank.as_ref(), path, &time).await {
            Ok((document, _)) => {
                services.replies.need(document.content.len().saturating_mul(4)).await.map_err(no_memory)?;
                let mime_type = mime_type(document.path.as_str());
                let contents = ResourceContents::text(document.content, uri).with_mime_type(mime_type);
                return Ok(ReadResourceResult::new(vec![contents]));
            }
            Err(NotRead::Store(error)) => return Err(store_fault(&error, services.entropy.id())),
            Err(NotRead::Memory(full)) => return Err(no_memory(full)),
            Err(NotRead::Busy(why)) => return Err(ErrorData::internal_error(why, None)),
            Err(NotRead::Refused(why) | NotRead::NotAllowed(why) | NotRead::Conflict(why)) => {
                refused.get_or_insert(why);
            }
        }
    }
    Err(not_found(uri, &refused.unwrap_or_else(|| format!("`{uri}` does not exist"))))
}

/// Reads a former version of the first of these documents that has a history.
async fn read_version(
    services: &Services,
    caller: &Caller,
    bank: &Arc<dyn Bank>,
    uri: &str,
    paths: &[DocumentPath],
    number: i64,
) -> Result<ReadResourceResult, ErrorData> {
    let mut refused = format!("`{uri}` does not exist");
    for path in paths {
        match bank.read_version(caller, path, number).await {
            Ok(VersionText { text: Some(text), .. }) => {
                services.replies.need(text.len().saturating_mul(4)).await.map_err(no_memory)?;
                let contents = ResourceContents::text(text, uri).with_mime_type(mime_type(path.as_str()));
                return Ok(ReadResourceResult::new(vec![contents]));
            }
            Ok(_) => refused = format!("version {number} of `{path}` is its deletion"),
            Err(HistoryError::Store(error)) => return Err(store_fault(&error, services.entropy.id())),
            Err(HistoryError::NoDocument(_)) => {}
            Err(error) => refused = error.to_string(),
        }
    }
    if !bank.keeps_history() {
        refused = format!("{refused}; {HISTORY_IS_OFF}");
    }
    Err(not_found(uri, &refused))
}

/// The documents that a URI may mean, best first: the name with `.md`, and the name itself if it has an extension;
/// each as written, and percent-decoded.
///
/// # Errors
/// -32602 for a URI that is not a document's.
pub(crate) fn parse(uri: &str) -> Result<Vec<DocumentPath>, ErrorData> {
    let bad = |reason: String| {
        ErrorData::invalid_params(format!("invalid resource URI `{uri}`: {reason}"), about(uri))
    };
    let name = uri.strip_prefix(SCHEME).ok_or_else(|| bad(format!("it must begin with {SCHEME}")))?;
    if name.is_empty() {
        return Err(bad("it names no document".to_owned()));
    }
    let mut spellings = vec![name.to_owned()];
    spellings.extend(percent_decoded(name).filter(|decoded| decoded != name));
    let mut paths = Vec::new();
    let mut refused = None;
    for spelling in spellings {
        match DocumentPath::parse(&format!("{spelling}.md")) {
            Ok(path) => paths.push(path),
            Err(error) => refused = Some(error),
        }
        paths.extend(DocumentPath::parse(&spelling).ok());
    }
    match refused {
        Some(error) => Err(bad(error.to_string())),
        None => Ok(paths),
    }
}

/// The URI of a stored name: it omits the extension `.md`, and escapes characters that are not allowed in a part of a URI.
pub(crate) fn uri_of(name: &str) -> String {
    let stem = name.strip_suffix(".md").unwrap_or(name);
    let parts: Vec<String> =
        stem.split('/').map(|part| utf8_percent_encode(part, ESCAPED).to_string()).collect();
    format!("{SCHEME}{}", parts.join("/"))
}

fn percent_decoded(text: &str) -> Option<String> {
    percent_decode_str(text).decode_utf8().ok().map(Cow::into_owned)
}

fn mime_type(name: &str) -> &'static str {
    if name.to_ascii_lowercase().ends_with(".json") { "application/json" } else { "text/markdown" }
}

fn not_found(uri: &str, message: &str) -> ErrorData {
    ErrorData::new(ErrorCode::RESOURCE_NOT_FOUND, message.to_owned(), about(uri))
}

/// The protocol asks for the URI in the error's data.
fn about(uri: &str) -> Option<Value> {
    Some(json!({ "uri": uri }))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("memory-bank://progress", &["progress.md"])]
    #[case("memory-bank://progress.md", &["progress.md.md", "progress.md"])]
    #[case("memory-bank://data.json", &["data.json.md", "data.json"])]
    #[case("memory-bank://my%20notes", &["my%20notes.md", "my notes.md"])]
    #[case("memory-bank://adr/0001", &["adr/0001.md"])]
    #[case("memory-bank://adr%2F0001", &["adr%2F0001.md", "adr/0001.md"])]
    fn a_uri_names_documents(#[case] uri: &str, #[case] names: &[&str]) {
        let paths: Vec<String> = parse(uri).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(paths, names);
    }

    #[rstest]
    #[case("memory-bank://../x")]
    #[case("memory-bank://")]
    #[case("memory-bank://..%2Fx")]
    #[case("memory-bank://a/../x")]
    #[case("memory-bank://a/%2e%2e/x")]
    #[case("memory-bank:///etc/passwd")]
    #[case("memory-bank://graph/graph.md")]
    #[case("memory-bank://.mbmcp/x")]
    #[case("Memory-Bank://progress")]
    #[case("file:///etc/passwd")]
    fn a_uri_of_another_kind_is_refused_as_invalid_parameters(#[case] uri: &str) {
        assert_eq!(parse(uri).unwrap_err().code, ErrorCode::INVALID_PARAMS);
    }

    #[test]
    fn a_listed_uri_leads_back_to_its_document() {
        for name in [
            "progress.md",
            "my notes.md",
            "größe.md",
            "100%.md",
            "data.json",
            "a%20b.md",
            "x.md.md",
            "adr/0001 a.md",
            "größe/x.json",
        ] {
            let paths = parse(&uri_of(name)).unwrap();
            assert!(paths.iter().any(|path| path.as_str() == name), "{name}: {paths:?}");
        }
    }
}
