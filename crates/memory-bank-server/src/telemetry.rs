//! Traces: the span of a request or tool call, and its parent. The binary configures the exporter; without one, a
//! span costs one check of a flag.
//!
//! Architecture invariant: attributes of spans are names of this program, numbers or ids, never an argument, a key,
//! an address or a piece of a document.

use std::sync::atomic::{AtomicBool, Ordering};

use http::HeaderMap;
use opentelemetry::Context;
use opentelemetry::global::get_text_map_propagator;
use opentelemetry::propagation::Extractor;
use opentelemetry::trace::TraceContextExt;
use rmcp::model::RequestMetaObject;
use tracing::Span;
use tracing::field::Empty;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Whether spans are exported.
static ENABLED: AtomicBool = AtomicBool::new(false);

/// The longest `traceparent` or `tracestate` that is read, in bytes; the standard asks for 512.
const MAX_HEADER_BYTES: usize = 512;

/// Enables spans; the binary calls it once, before it serves.
pub fn enable() {
    ENABLED.store(true, Ordering::Relaxed);
}

fn is_on() -> bool {
    ENABLED.load(Ordering::Relaxed)
}

/// Continues the trace of an HTTP request, and names its span.
pub(crate) fn begin_request(span: &Span, headers: &HeaderMap, method: &'static str, route: &'static str) {
    if !is_on() {
        return;
    }
    let parent = get_text_map_propagator(|propagator| {
        propagator.extract_with_context(&Context::new(), &Headers(headers))
    });
    if parent.span().span_context().is_valid() && span.set_parent(parent).is_err() {
        tracing::trace!("the trace of a request cannot be continued");
    }
    span.record("otel.name", format!("{method} {route}"));
    span.record("otel.kind", "server");
    span.set_attribute("http.request.method", method);
    span.set_attribute("http.route", route);
}

/// Records the reply of a request.
pub(crate) fn end_request(span: &Span, status: u16) {
    if !is_on() {
        return;
    }
    span.set_attribute("http.response.status_code", i64::from(status));
    if status >= 500 {
        span.set_status(opentelemetry::trace::Status::error(""));
    }
}

/// The span of a tool call: a child of the span that the client names in `_meta` (SEP-414), linked to its request; or
/// else a child of that request. `tool` is a constant of the program.
pub(crate) fn tool_span(tool: &'static str, meta: &RequestMetaObject) -> Span {
    if !is_on() {
        return Span::none();
    }
    let span = tracing::debug_span!(
        "tool",
        otel.name = Empty,
        otel.kind = "server",
        mcp.method.name = "tools/call",
        gen_ai.tool.name = tool,
        outcome = Empty
    );
    span.record("otel.name", format!("tools/call {tool}"));
    let parent =
        get_text_map_propagator(|propagator| propagator.extract_with_context(&Context::new(), &Meta(meta)));
    if parent.span().span_context().is_valid() {
        let carrier = Span::current().context().span().span_context().clone();
        if span.set_parent(parent).is_err() {
            tracing::trace!("the trace of a call cannot be continued");
        }
        span.add_link(carrier);
    }
    span
}

/// Records the outcome of a tool call.
pub(crate) fn end_tool(span: &Span, outcome: &'static str) {
    if span.is_disabled() {
        return;
    }
    span.record("outcome", outcome);
    if outcome == "failed" {
        span.set_status(opentelemetry::trace::Status::error(""));
    }
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok()).filter(|value| value.len() <= MAX_HEADER_BYTES)
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent", "tracestate"]
    }
}

struct Meta<'a>(&'a RequestMetaObject);

impl Extractor for Meta<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        let value = match key {
            "traceparent" => self.0.get_traceparent(),
            "tracestate" => self.0.get_tracestate(),
            _ => None,
        };
        value.filter(|value| value.len() <= MAX_HEADER_BYTES)
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent", "tracestate"]
    }
}
