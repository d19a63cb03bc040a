//! Traces, received by a collector that decodes what a server sends.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use memory_bank_test_postgres::{TestDatabase, TestRedis};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValue;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::json;

use crate::client::{JSON, MCP_ACCEPT, Server, TIMEOUT, call};
use crate::database::{key_of, operate};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// A collector of OTLP over HTTP.
struct Collector {
    url: String,
    received: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let received = Arc::new(Mutex::new(Vec::new()));
        let bodies = Arc::clone(&received);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let bodies = Arc::clone(&bodies);
                std::thread::spawn(move || {
                    let mut reader = BufReader::new(stream);
                    while let Some(body) = body(&mut reader) {
                        bodies.lock().unwrap().push(body);
                        let answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n";
                        if reader.get_mut().write_all(answer).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { url, received }
    }

    fn spans(&self) -> Vec<Span> {
        let received = self.received.lock().unwrap();
        let decoded = received.iter().map(|body| ExportTraceServiceRequest::decode(body.as_slice()).unwrap());
        decoded
            .flat_map(|request| request.resource_spans)
            .flat_map(|resource| resource.scope_spans)
            .flat_map(|scope| scope.spans)
            .collect()
    }

    /// Waits for a span that fits.
    fn span(&self, what: &str, fits: impl Fn(&Span) -> bool) -> Span {
        let began = Instant::now();
        loop {
            let spans = self.spans();
            if let Some(span) = spans.iter().find(|span| fits(span)) {
                return span.clone();
            }
            assert!(began.elapsed() < TIMEOUT, "no span {what} among {spans:#?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn holds(&self, word: &str) -> bool {
        let received = self.received.lock().unwrap();
        received.iter().any(|body| body.windows(word.len()).any(|window| window == word.as_bytes()))
    }
}

/// The body of the next request on a connection.
fn body(reader: &mut BufReader<std::net::TcpStream>) -> Option<Vec<u8>> {
    let (mut length, mut first) = (0, String::new());
    reader.read_line(&mut first).ok().filter(|read| *read > 0)?;
    assert!(first.starts_with("POST /v1/traces "), "{first}");
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        if line.trim().is_empty() {
            break;
        }
        let (name, value) = line.trim().split_once(": ").unwrap();
        if name.eq_ignore_ascii_case("content-length") {
            length = value.parse().unwrap();
        }
        if name.eq_ignore_ascii_case("content-type") {
            assert_eq!(value, "application/x-protobuf");
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(body)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attribute(span: &Span, name: &str) -> Option<String> {
    let found = span.attributes.iter().find(|one| one.key == name)?;
    match found.value.as_ref()?.value.as_ref()? {
        AnyValue::StringValue(text) => Some(text.clone()),
        AnyValue::IntValue(number) => Some(number.to_string()),
        other => Some(format!("{other:?}")),
    }
}

fn traced(collector: &Collector, more: &[(&str, &str)]) -> Server {
    let mut variables =
        vec![("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.as_str()), ("OTEL_BSP_SCHEDULE_DELAY", "100")];
    variables.extend_from_slice(more);
    Server::start(&variables)
}

#[test]
fn a_request_continues_the_trace_that_its_header_names() {
    let collector = Collector::start();
    let server = traced(&collector, &[]);
    let traceparent = format!("00-{TRACE}-{PARENT}-01");
    server.send("GET", "/api/keys", &[("traceparent", &traceparent)], "");
    server.send("GET", "/api/keys/secret-path", &[], "");
    let span = collector.span("of the request", |span| span.name == "GET /api/keys");
    assert_eq!((hex(&span.trace_id), hex(&span.parent_span_id)), (TRACE.to_owned(), PARENT.to_owned()));
    assert_eq!(attribute(&span, "http.route").as_deref(), Some("/api/keys"));
    assert_eq!(attribute(&span, "http.response.status_code").as_deref(), Some("200"));
    let own = collector.span("of its own", |span| span.name == "GET /api/keys/{id}");
    assert!(own.parent_span_id.is_empty() && hex(&own.trace_id) != TRACE);
}

#[test]
fn a_call_is_traced_from_the_request_down_to_the_database_and_redis() {
    let (database, redis, collector) = (TestDatabase::migrated(), TestRedis::start(), Collector::start());
    let made = operate(&database, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap();
    let variables =
        [("DATABASE_URL", database.url()), ("REDIS_URL", redis.url()), ("MCP_HOST", "127.0.0.1".to_owned())];
    let variables: Vec<(&str, &str)> =
        variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut server = traced(&collector, &variables);
    key_of(&made["key"]).clone_into(&mut server.key);
    for json_response in [false, true] {
        let session = server.initialize();
        server.call(&session, "initialize_memory_bank", &json!({"path": "."}));
        if json_response {
            break;
        }
    }
    let tool = collector.span("of the tool", |span| span.name == "tools/call initialize_memory_bank");
    let request = collector.span("of the request", |span| span.span_id == tool.parent_span_id);
    assert_eq!(request.name, "POST /mcp");
    assert_eq!(tool.trace_id, request.trace_id);
    assert_eq!(attribute(&tool, "outcome").as_deref(), Some("ok"));
    for name in ["postgresql begin", "postgresql commit"] {
        let span = collector.span(name, |span| span.name == name && span.parent_span_id == tool.span_id);
        assert_eq!(attribute(&span, "db.system.name").as_deref(), Some("postgresql"));
    }
    collector.span("of Redis", |span| span.name == "redis" && span.parent_span_id == request.span_id);
    let roots: Vec<String> = collector
        .spans()
        .into_iter()
        .filter(|span| span.parent_span_id.is_empty())
        .map(|span| span.name)
        .collect();
    assert!(roots.iter().all(|name| name == "POST /mcp"), "chores make traces: {roots:?}");
}

#[test]
fn a_call_continues_the_trace_of_its_meta_and_is_linked_to_the_request() {
    let collector = Collector::start();
    let server = traced(&collector, &[("MCP_JSON_RESPONSE", "true")]);
    let session = server.initialize();
    let mut message = call(3, "list_memory_bank_files", &json!({}));
    message["params"]["_meta"] =
        json!({"traceparent": format!("00-{TRACE}-{PARENT}-01"), "tracestate": "vendor=value"});
    server.post(Some(&session), &message);
    let tool = collector.span("of the tool", |span| span.name == "tools/call list_memory_bank_files");
    assert_eq!((hex(&tool.trace_id), hex(&tool.parent_span_id)), (TRACE.to_owned(), PARENT.to_owned()));
    assert_eq!(tool.trace_state, "vendor=value");
    assert_eq!(tool.links.len(), 1);
    collector.span("that is linked", |span| {
        span.name == "POST /mcp" && span.span_id == tool.links[0].span_id && hex(&span.trace_id) != TRACE
    });
}

#[test]
fn an_invalid_trace_context_is_ignored() {
    let collector = Collector::start();
    let server = traced(&collector, &[("MCP_JSON_RESPONSE", "true")]);
    let session = server.initialize();
    for value in ["nonsense", "00-00000000000000000000000000000000-0000000000000000-01"] {
        let mut message = call(3, "list_memory_bank_files", &json!({}));
        message["params"]["_meta"] = json!({"traceparent": value, "tracestate": "x".repeat(100_000)});
        let headers = [MCP_ACCEPT, JSON, ("Mcp-Session-Id", session.as_str()), ("traceparent", value)];
        assert_eq!(server.send("POST", "/mcp", &headers, &message.to_string()).status, 200);
    }
    let tool = collector.span("of the tool", |span| span.name == "tools/call list_memory_bank_files");
    collector.span("of the request", |span| span.span_id == tool.parent_span_id);
    assert!(tool.links.is_empty() && tool.trace_state.is_empty());
}

#[test]
fn no_span_contains_keys_arguments_or_document_text() {
    let collector = Collector::start();
    let server = traced(&collector, &[("RUST_LOG", "trace")]);
    let session = server.initialize();
    server.call(&session, "initialize_memory_bank", &json!({"path": "."}));
    let file = json!({"filename": "canary.md", "content": "canary in a document"});
    server.call(&session, "write_memory_bank_file", &file);
    server.call(&session, "search_memory_bank", &json!({"query": "canary"}));
    server.post(Some(&session), &call(9, "canary-tool", &json!({"canary": "canary"})));
    server.send("GET", "/canary?canary=canary", &[("X-Canary", "canary")], "");
    collector.span("of the last request", |span| span.name == "GET other");
    collector.span("of the unknown tool", |span| span.name == "tools/call other");
    assert!(!collector.holds("canary"));
    assert!(!collector.holds(&server.key) && !collector.holds("mbmcp_"));
    assert!(!collector.holds(&session) && !collector.holds("127.0.0.1"));
}

#[test]
fn pending_spans_are_exported_at_shutdown() {
    let collector = Collector::start();
    let mut server = traced(&collector, &[("OTEL_BSP_SCHEDULE_DELAY", "600000")]);
    server.send("GET", "/api/keys", &[], "");
    assert!(collector.spans().is_empty());
    assert_eq!(server.terminate().0, Some(0));
    collector.span("of the request", |span| span.name == "GET /api/keys");
}

#[test]
fn a_hanging_or_unreachable_collector_delays_neither_requests_nor_shutdown() {
    let hanging = TcpListener::bind("127.0.0.1:0").unwrap();
    let away = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for address in [hanging.local_addr().unwrap(), away] {
        let collector = Collector { url: format!("http://{address}"), received: Arc::default() };
        let mut server =
            traced(&collector, &[("OTEL_BSP_MAX_QUEUE_SIZE", "64"), ("RATE_LIMIT_IP_PER_MINUTE", "0")]);
        for _ in 0..200 {
            assert_eq!(server.send_bare("GET", "/health/live", &[], "").status, 200);
        }
        let (code, took) = server.terminate();
        assert_eq!(code, Some(0));
        assert!(took < Duration::from_secs(10), "{took:?}");
    }
}

#[test]
fn the_service_name_comes_from_otel_service_name() {
    for (name, wanted) in [("", "memory-bank-mcp"), ("bank", "bank")] {
        let collector = Collector::start();
        let server = traced(&collector, &[("OTEL_SERVICE_NAME", name)]);
        server.send("GET", "/api/keys", &[], "");
        collector.span("of the request", |span| span.name == "GET /api/keys");
        assert!(collector.holds(wanted));
        let received = collector.received.lock().unwrap();
        let request = ExportTraceServiceRequest::decode(received[0].as_slice()).unwrap();
        let resource = request.resource_spans[0].resource.clone().unwrap();
        let service = resource.attributes.into_iter().find(|one| one.key == "service.name").unwrap();
        assert_eq!(service.value.unwrap().value, Some(AnyValue::StringValue(wanted.to_owned())));
    }
}
