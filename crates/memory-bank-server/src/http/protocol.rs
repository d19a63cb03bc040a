//! Headers and versions of Streamable HTTP, and the version from which on the protocol has no sessions.

use http::{HeaderMap, HeaderName};
use serde_json::Value;

use crate::mcp::message::{member, method};

pub(crate) const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
pub(crate) const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// The first version without sessions.
pub(crate) const SESSIONLESS: &str = "2026-07-28";
/// Methods that this version removed.
pub(crate) const REMOVED_METHODS: [&str; 5] =
    ["initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"];
/// The first version whose clients accept an event without a message.
const ACCEPTS_EMPTY_EVENTS: &str = "2025-11-25";

/// Whether the headers name a version without sessions.
pub(crate) fn names_sessionless_version(headers: &HeaderMap) -> bool {
    let version = headers.get(VERSION).and_then(|value| value.to_str().ok());
    version.is_some_and(|version| version >= SESSIONLESS)
}

/// Whether a message uses the protocol without sessions, by its header or its own metadata. A client that sends
/// `initialize` may name its newest version in the header; the version in the message decides.
pub(crate) fn is_sessionless(headers: &HeaderMap, message: &Value) -> bool {
    let own = member(message, &["params", "_meta", "io.modelcontextprotocol/protocolVersion"]);
    match method(message) {
        Some("initialize") => own.and_then(Value::as_str).is_some_and(|version| version >= SESSIONLESS),
        Some("server/discover") => true,
        _ => own.is_some() || names_sessionless_version(headers),
    }
}

/// Whether clients of this version accept an event without a message.
pub(crate) fn accepts_empty_events(version: &str) -> bool {
    version >= ACCEPTS_EMPTY_EVENTS
}
