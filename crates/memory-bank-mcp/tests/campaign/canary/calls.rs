//! Makes one random call: any tool, method or route, with names and ids of both projects.

use serde_json::{Value, json};

use super::arguments::{COMMON, Maker};
use super::tenant::{CanaryLocation, Kind, Persona, Tenant};
use crate::harness::random::Random;
use crate::harness::wire::Request;

/// The protocol version without sessions.
const SESSIONLESS: &str = "2026-07-28";
const METHODS: [&str; 10] = [
    "resources/list",
    "resources/read",
    "resources/read",
    "resources/templates/list",
    "prompts/list",
    "prompts/get",
    "prompts/get",
    "completion/complete",
    "completion/complete",
    "tools/list",
];

/// A call, and the name under which it is counted.
pub(crate) struct Call {
    pub(crate) what: String,
    pub(crate) request: Request,
    /// The session that it opens or ends.
    pub(crate) session: Session,
}

/// The effect of a call on sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Session {
    Untouched,
    Opens,
    Ends(String),
}

/// The inputs of a random call.
pub(crate) struct Calls<'a> {
    pub(crate) persona: &'a Persona,
    pub(crate) own: &'a Tenant,
    pub(crate) others: &'a Tenant,
    /// The tools as `tools/list` shows them, in the order in which they are called.
    pub(crate) tools: &'a [Value],
    pub(crate) random: &'a mut Random,
}

impl Calls<'_> {
    pub(crate) fn next(&mut self, turn: usize) -> Call {
        match self.random.below(100) {
            0..60 => self.tool(turn),
            60..76 => self.method(),
            76..80 => self.subscription(),
            80..83 => self.stream(),
            83..84 => self.listener(),
            84..87 => self.cancellation(),
            87..89 => self.end(None),
            89..93 => self.keys(),
            93..95 => self.reads(),
            95..98 => self.open(),
            _ => self.raw(),
        }
    }

    /// A valid call of the tool at this place, as far as chance makes one.
    pub(crate) fn valid_tool(&mut self, place: usize) -> Call {
        let tool = &self.tools[place];
        let name = tool["name"].as_str().unwrap().to_owned();
        let mut maker = Maker { own: self.own, named: self.own, random: self.random, malformed: false };
        let arguments = maker.arguments(&name, &tool["inputSchema"]);
        self.named_call("tools/call", &name, json!({"name": name, "arguments": arguments}))
    }

    /// Uses the names of the own project in most cases.
    fn maker(&mut self) -> Maker<'_> {
        let outside = self.random.chance(30);
        let malformed = self.random.chance(8);
        let named = if outside { self.others } else { self.own };
        Maker { own: self.own, named, random: self.random, malformed }
    }

    fn tool(&mut self, turn: usize) -> Call {
        let tool = &self.tools[turn % self.tools.len()];
        let name = tool["name"].as_str().unwrap().to_owned();
        let arguments = self.maker().arguments(&name, &tool["inputSchema"]);
        self.named_call("tools/call", &name.clone(), json!({"name": name, "arguments": arguments}))
    }

    fn method(&mut self) -> Call {
        let method = *self.random.pick(&METHODS);
        let mut maker = self.maker();
        let params = match method {
            "resources/list" if maker.random.chance(60) => json!({"cursor": maker.thing(Kind::Cursor)}),
            "resources/read" => json!({"uri": uri(&mut maker)}),
            "prompts/get" => prompt(&mut maker),
            "completion/complete" => completion(&mut maker),
            _ => json!({}),
        };
        self.named_call(method, method, params)
    }

    fn subscription(&mut self) -> Call {
        let method =
            *self.random.pick(&["resources/subscribe", "resources/subscribe", "resources/unsubscribe"]);
        let uri = uri(&mut self.maker());
        let session = self.session();
        let request = self.in_session("POST", &session, &self.message(method, &json!({"uri": uri})));
        Call { what: method.to_owned(), request, session: Session::Untouched }
    }

    /// Opens the stream of a session and resumes it from an event of either project.
    fn stream(&mut self) -> Call {
        let session = self.session();
        let mut request = self.in_session("GET", &session, "");
        request.headers.retain(|(name, _)| *name != "Accept");
        request.headers.push(("Accept", "text/event-stream".to_owned()));
        let event = self.maker().thing(Kind::Event);
        // Replay from the beginning of the event's stream.
        let event = event.rsplit_once('-').map_or("0".to_owned(), |(stream, _)| format!("{stream}-0"));
        request.headers.push(("Last-Event-ID", event));
        request.stream = true;
        Call { what: "GET /mcp".to_owned(), request, session: Session::Untouched }
    }

    fn listener(&mut self) -> Call {
        let uris: Vec<String> = (0..3).map(|_| uri(&mut self.maker())).collect();
        let params = json!({"notifications": {"resourcesListChanged": true, "resourceSubscriptions": uris}});
        let mut request = self.without_session("subscriptions/listen", None, params);
        request.stream = true;
        Call { what: "subscriptions/listen".to_owned(), request, session: Session::Untouched }
    }

    fn cancellation(&mut self) -> Call {
        let id = self.maker().thing(Kind::RequestId);
        let id: Value = id.parse::<u64>().map_or(json!(id), |id| json!(id));
        let message =
            json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}});
        let session = self.session();
        let request = self.in_session("POST", &session, &message.to_string());
        Call { what: "notifications/cancelled".to_owned(), request, session: Session::Untouched }
    }

    /// Ends this session, or one by chance.
    pub(crate) fn end(&mut self, session: Option<String>) -> Call {
        let session = session.unwrap_or_else(|| self.session());
        let request = self.in_session("DELETE", &session, "");
        Call { what: "DELETE /mcp".to_owned(), request, session: Session::Ends(session) }
    }

    /// The handshake; the client info holds a canary.
    pub(crate) fn open(&mut self) -> Call {
        let name = self.own.canary(CanaryLocation::Client);
        let params = json!({"protocolVersion": "2025-11-25", "capabilities": {},
            "clientInfo": {"name": name, "version": name, "title": name}});
        let mut request = self.post(&self.message("initialize", &params));
        self.pack(&mut request);
        Call { what: "initialize".to_owned(), request, session: Session::Opens }
    }

    /// The REST routes. Keys of the own project are revoked by the faults alone, which record it.
    fn keys(&mut self) -> Call {
        let label = json!({"label": self.own.canary(CanaryLocation::Label)}).to_string();
        let others = self.others.thing(Kind::KeyId, true, self.random).unwrap_or_default();
        let own = self.own.thing(Kind::KeyId, false, self.random).filter(|_| self.random.chance(50));
        let own = own.unwrap_or_else(|| self.persona.key_id.clone());
        let (method, path, body) = match self.random.below(8) {
            0..3 => ("GET", "/api/keys?includeRevoked=true".to_owned(), String::new()),
            3 => ("PATCH", format!("/api/keys/{own}"), label),
            4 => ("PATCH", format!("/api/keys/{others}"), label),
            5 => ("DELETE", format!("/api/keys/{others}"), String::new()),
            6 => ("POST", format!("/api/keys/{others}/rotate"), "{}".to_owned()),
            _ => ("GET", "/api/openapi.json".to_owned(), String::new()),
        };
        let what = match path.strip_prefix("/api/keys/") {
            Some(rest) if rest.ends_with("rotate") => format!("{method} /api/keys/ID/rotate"),
            Some(_) => format!("{method} /api/keys/ID"),
            None => format!("{method} {}", path.split('?').next().unwrap_or_default()),
        };
        let mut request = Request { method, path, body, ..Request::default() };
        request.headers.push(("Content-Type", "application/json".to_owned()));
        self.pack(&mut request);
        Call { what, request, session: Session::Untouched }
    }

    /// The REST routes that read a bank, with names of either project.
    fn reads(&mut self) -> Call {
        let word = *self.random.pick(&COMMON);
        let mut maker = self.maker();
        let file = encoded(&maker.thing(Kind::File));
        let entity = encoded(&maker.thing(Kind::EntityName));
        let path = match self.random.below(18) {
            17 => format!("/api/v1/document/name?filename={file}"),
            11 => "/api/v1/sessions".to_owned(),
            12 => "/api/v1/members".to_owned(),
            13 => "/api/v1/keys?includeRevoked=true".to_owned(),
            14 => "/api/v1/grants".to_owned(),
            15 => "/api/v1/audit".to_owned(),
            16 => "/api/v1/graph/picture".to_owned(),
            10 => format!("/api/v1/history/blame?filename={file}"),
            8 => "/api/v1/graph/search?query=%2A".to_owned(),
            9 => format!("/api/v1/graph/entity?name={entity}"),
            0 => "/api/v1/session".to_owned(),
            1 => "/api/v1/documents".to_owned(),
            2 => "/api/v1/digest".to_owned(),
            3 => format!("/api/v1/search?query={}", encoded(word)),
            4 => format!("/api/v1/document?filename={file}"),
            5 => format!("/api/v1/history?filename={file}"),
            6 => format!("/api/v1/history/show?entity={entity}&version=1"),
            _ => format!("/api/v1/history/diff?filename={file}&version=1"),
        };
        let what = format!("GET {}", path.split('?').next().unwrap_or_default());
        let mut request = Request { method: "GET", path, ..Request::default() };
        self.pack(&mut request);
        Call { what, request, session: Session::Untouched }
    }

    /// A malformed message, or one for a foreign session.
    fn raw(&mut self) -> Call {
        let session = self.session();
        let mark = self.own.canary(CanaryLocation::Text);
        let list = self.message("tools/list", &json!({}));
        let body = match self.random.below(4) {
            0 => format!("[{list},{list}]"),
            1 => format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"{mark}"),
            2 => self.message(&mark, &json!({"cursor": mark})),
            _ => list,
        };
        Call {
            what: "raw".to_owned(),
            request: self.in_session("POST", &session, &body),
            session: Session::Untouched,
        }
    }

    /// A call of a method with exactly these parameters, without a session.
    pub(crate) fn plain(&mut self, method: &str, params: Value) -> Call {
        let name = params["name"].as_str().or(params["uri"].as_str()).map(str::to_owned);
        let request = self.without_session(method, name, params);
        Call { what: method.to_owned(), request, session: Session::Untouched }
    }

    /// A call with or without a session; without one a header repeats the name.
    fn named_call(&mut self, method: &str, what: &str, params: Value) -> Call {
        let request = match self.persona.session(self.random).filter(|_| self.random.chance(60)) {
            Some(session) => self.in_session("POST", &session, &self.message(method, &params)),
            None => {
                let name = ["name", "uri"].iter().find_map(|name| params[*name].as_str());
                let name = name.filter(|name| !name.is_empty() && name.chars().all(|c| c.is_ascii_graphic()));
                self.without_session(method, name.map(str::to_owned), params)
            }
        };
        Call { what: what.to_owned(), request, session: Session::Untouched }
    }

    /// An own session in most cases.
    fn session(&mut self) -> String {
        let own = self.persona.session(self.random).filter(|_| self.random.chance(75));
        match own {
            Some(session) => session,
            None => {
                let other = if self.random.chance(70) { self.others } else { self.own };
                let other = other.thing(Kind::Session, true, self.random);
                other.unwrap_or_else(|| "00000000-0000-4000-8000-000000000000".to_owned())
            }
        }
    }

    fn message(&self, method: &str, params: &Value) -> String {
        // Ids come from a small range, so that others can guess them.
        let id = self.persona.name.len() + params.to_string().len() % 50;
        json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string()
    }

    fn in_session(&mut self, method: &'static str, session: &str, body: &str) -> Request {
        let mut request = Request { method, ..self.post(body) };
        request.headers.push(("Mcp-Session-Id", session.to_owned()));
        self.pack(&mut request);
        request
    }

    fn without_session(&mut self, method: &str, name: Option<String>, mut params: Value) -> Request {
        params["_meta"] = json!({"io.modelcontextprotocol/protocolVersion": SESSIONLESS,
            "io.modelcontextprotocol/clientInfo": {"name": self.own.canary(CanaryLocation::Client), "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {}});
        let mut request = self.post(&self.message(method, &params));
        request.headers.push(("MCP-Protocol-Version", SESSIONLESS.to_owned()));
        request.headers.push(("Mcp-Method", method.to_owned()));
        request.headers.extend(name.map(|name| ("Mcp-Name", name)));
        self.pack(&mut request);
        request
    }

    fn post(&self, body: &str) -> Request {
        let mut request =
            Request { method: "POST", path: "/mcp".to_owned(), body: body.to_owned(), ..Request::default() };
        request.headers.push(("Content-Type", "application/json".to_owned()));
        request.headers.push(("Accept", "application/json, text/event-stream".to_owned()));
        request
    }

    /// Accepts gzip, another compression, or none.
    fn pack(&mut self, request: &mut Request) {
        if let Some(way) = [None, Some("gzip"), Some("br")][self.random.below(3)] {
            request.headers.push(("Accept-Encoding", way.to_owned()));
        }
    }
}

fn uri(maker: &mut Maker<'_>) -> String {
    let name = maker.thing(Kind::File);
    format!("memory-bank://{}", name.trim_end_matches(".md"))
}

fn prompt(maker: &mut Maker<'_>) -> Value {
    match maker.random.below(4) {
        0 => json!({"name": "start_session", "arguments": prompt_arguments(maker)}),
        1 => json!({"name": "update_memory_bank"}),
        2 => json!({"name": "record_decision", "arguments": {"title": maker.sentence()}}),
        _ => json!({"name": "hand_over"}),
    }
}

fn prompt_arguments(maker: &mut Maker<'_>) -> Value {
    match maker.random.below(4) {
        0 => json!({}),
        1 => json!({"mode": "code"}),
        2 => json!({"document": maker.thing(Kind::File).trim_end_matches(".md")}),
        _ => json!({"entity": maker.thing(Kind::EntityName)}),
    }
}

fn completion(maker: &mut Maker<'_>) -> Value {
    let begun: String = maker.named.mark.chars().take(2).collect();
    let value = *maker.random.pick(&["", "p", "c", COMMON[1], &begun]);
    let (reference, argument) = match maker.random.below(3) {
        0 => (json!({"type": "ref/resource", "uri": "memory-bank://{name}"}), "name"),
        1 => (json!({"type": "ref/prompt", "name": "start_session"}), "document"),
        _ => (json!({"type": "ref/prompt", "name": "start_session"}), "entity"),
    };
    json!({"ref": reference, "argument": {"name": argument, "value": value}})
}

/// A text in a query.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
        encoded
    })
}
