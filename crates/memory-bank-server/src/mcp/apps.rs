//! MCP Apps (the extension `io.modelcontextprotocol/ui`): pages that a client shows beside the result of a tool. They are in the
//! program and contain no data: a client passes results to them, and calls tools for them. This module must not know a bank.

use std::io::{self, Read};

use flate2::read::GzDecoder;
use rmcp::model::{ClientCapabilities, MetaObject, Resource, ResourceContents};
use serde_json::{Value, json};

/// The extension by which a client declares that it shows apps.
const EXTENSION: &str = "io.modelcontextprotocol/ui";
/// The type of a page.
const MIME_TYPE: &str = "text/html;profile=mcp-app";

/// A page.
pub(crate) struct App {
    uri: &'static str,
    name: &'static str,
    title: &'static str,
    description: &'static str,
    /// The tools whose results it shows.
    tools: &'static [&'static str],
    compressed: &'static [u8],
}

/// Every page.
const APPS: [App; 2] = [
    App {
        uri: "ui://memory-bank/digest",
        name: "digest",
        title: "Overview of the memory bank",
        description: "Shows a digest: issues, tasks, decisions and progress",
        tools: &["get_context_digest"],
        compressed: include_bytes!(concat!(env!("OUT_DIR"), "/app-digest.gz")),
    },
    App {
        uri: "ui://memory-bank/graph",
        name: "graph",
        title: "Knowledge graph",
        description: "Shows entities with their facts and relations, as a picture and as lists",
        tools: &["graph_search", "graph_open_nodes"],
        compressed: include_bytes!(concat!(env!("OUT_DIR"), "/app-graph.gz")),
    },
];

impl App {
    /// The page of this URI.
    pub(crate) fn of(uri: &str) -> Option<&'static Self> {
        APPS.iter().find(|app| app.uri == uri)
    }

    /// The page as the content of a resource.
    ///
    /// # Errors
    /// The page in the program is damaged.
    pub(crate) fn content(&self) -> io::Result<ResourceContents> {
        let mut page = String::new();
        GzDecoder::new(self.compressed).read_to_string(&mut page)?;
        Ok(ResourceContents::text(page, self.uri).with_mime_type(MIME_TYPE).with_meta(page_meta()))
    }

    fn resource(&self) -> Resource {
        Resource::new(self.uri, self.name)
            .with_title(self.title)
            .with_description(self.description)
            .with_mime_type(MIME_TYPE)
            .with_meta(page_meta())
    }
}

/// The pages in `resources/list`.
pub(crate) fn resources() -> impl Iterator<Item = Resource> {
    APPS.iter().map(App::resource)
}

/// The link from a tool to the page that shows its results.
pub(crate) fn link(tool: &str) -> Option<MetaObject> {
    let app = APPS.iter().find(|app| app.tools.contains(&tool))?;
    Some(meta(json!({"resourceUri": app.uri})))
}

/// Whether a client with these capabilities shows apps.
pub(crate) fn are_shown(capabilities: Option<ClientCapabilities>) -> bool {
    let extensions = capabilities.and_then(|capabilities| capabilities.extensions);
    extensions.and_then(|mut all| all.remove(EXTENSION)).is_some_and(|set| has_type(set.get("mimeTypes")))
}

/// Whether a client shows apps, by the capabilities that its session stores in the form in which the client sent them.
pub(crate) fn are_shown_by_stored(capabilities: &Value) -> bool {
    let settings = capabilities.get("extensions").and_then(|all| all.get(EXTENSION));
    settings.and_then(Value::as_object).is_some_and(|set| has_type(set.get("mimeTypes")))
}

/// A client lists the types that it shows. One without a list shows the only type that there is.
fn has_type(listed: Option<&Value>) -> bool {
    listed.is_none_or(|listed| {
        listed.as_array().is_some_and(|types| types.iter().any(|listed| listed == MIME_TYPE))
    })
}

/// A page loads nothing, so it declares no host; a frame around it separates it from the conversation.
fn page_meta() -> MetaObject {
    let csp = json!({"connectDomains": [], "resourceDomains": [], "frameDomains": [], "baseUriDomains": []});
    meta(json!({"csp": csp, "prefersBorder": true}))
}

fn meta(ui: Value) -> MetaObject {
    let mut meta = MetaObject::default();
    meta.insert("ui".to_owned(), ui);
    meta
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::mcp::tools::TOOLS;

    /// The most that a page may add to the program.
    const MOST_BYTES: usize = 40_000;

    #[test]
    fn an_app_is_one_small_page_that_loads_nothing() {
        for app in &APPS {
            assert!(app.compressed.len() <= MOST_BYTES, "{}: {} bytes", app.uri, app.compressed.len());
            let ResourceContents::TextResourceContents { text, mime_type, .. } = app.content().unwrap()
            else {
                panic!("{} is no text", app.uri)
            };
            assert_eq!(mime_type.as_deref(), Some(MIME_TYPE));
            assert!(text.starts_with("<!doctype html>"), "{}", app.uri);
            for loading in ["src=\"", "href=\"", "@import", "url(", "import(", "fetch(", "XMLHttpRequest"] {
                assert!(!text.contains(loading), "{} has {loading}", app.uri);
            }
        }
    }

    #[test]
    fn every_linked_tool_exists_and_reads_only() {
        for name in APPS.iter().flat_map(|app| app.tools) {
            let tool = TOOLS.iter().find(|tool| tool.name == *name).unwrap();
            assert!(tool.hints.reads_only, "{name}");
        }
        assert!(link("track_progress").is_none());
    }

    #[rstest]
    #[case(json!({"extensions": {EXTENSION: {"mimeTypes": [MIME_TYPE]}}}), true)]
    #[case(json!({"extensions": {EXTENSION: {"mimeTypes": ["text/plain", MIME_TYPE]}}}), true)]
    #[case(json!({"extensions": {EXTENSION: {}}}), true)]
    #[case(json!({"extensions": {EXTENSION: {"mimeTypes": ["text/html"]}}}), false)]
    #[case(json!({"extensions": {EXTENSION: {"mimeTypes": []}}}), false)]
    #[case(json!({"extensions": {EXTENSION: {"mimeTypes": MIME_TYPE}}}), false)]
    #[case(json!({"extensions": {"io.modelcontextprotocol/tasks": {}}}), false)]
    #[case(json!({"experimental": {EXTENSION: {}}}), false)]
    #[case(json!({}), false)]
    fn a_client_declares_the_extension_and_its_type(#[case] capabilities: Value, #[case] shows: bool) {
        assert_eq!(are_shown_by_stored(&capabilities), shows);
        assert_eq!(are_shown(Some(serde_json::from_value(capabilities).unwrap())), shows);
    }

    #[rstest]
    #[case(json!({"extensions": [EXTENSION]}))]
    #[case(json!({"extensions": {EXTENSION: true}}))]
    #[case(json!([1]))]
    #[case(Value::Null)]
    fn a_malformed_declaration_is_none(#[case] stored: Value) {
        assert!(!are_shown_by_stored(&stored));
    }
}
