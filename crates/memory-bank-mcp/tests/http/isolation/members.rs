//! Members of the projects: their keys, sessions and everything that they can read.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::client::{JSON, Listener, MCP_ACCEPT, Reply, Server, handshake, structured, tool_names};

/// An id that does not exist.
pub(super) const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

/// A text that only members of `alpha` may see. One word, so that searches and completions could find it.
pub(super) const SECRET: &str = "quorvexilumina";

/// A member with a key, and the session that this key opened.
pub(super) struct Person<'a> {
    pub(super) server: &'a Server,
    pub(super) name: &'static str,
    pub(super) key: String,
    pub(super) session: String,
    /// Whether every reply is searched for the secret.
    pub(super) outside: bool,
}

impl<'a> Person<'a> {
    pub(super) fn new(
        server: &'a Server,
        name: &'static str,
        key: String,
        outside: bool,
        client: &str,
    ) -> Self {
        let mut person = Self { server, name, key, session: String::new(), outside };
        let mut hello = handshake("2025-11-25");
        hello["params"]["clientInfo"]["name"] = json!(client);
        hello["params"]["clientInfo"]["title"] = json!(client);
        let reply = person.send("POST", "/mcp", &[JSON, MCP_ACCEPT], &hello.to_string());
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.header("mcp-session-id").unwrap().clone_into(&mut person.session);
        person
    }

    pub(super) fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let mut all = vec![("X-API-Key", self.key.as_str())];
        all.extend(headers);
        let reply = self.server.send_bare(method, path, &all, body);
        if self.outside {
            let whole = format!("{:?} {}", reply.headers, reply.body).to_lowercase();
            assert!(
                !whole.contains(SECRET),
                "{} got the secret from {method} {path} {body}: {whole}",
                self.name
            );
        }
        reply
    }

    /// A request in the session of this member.
    pub(super) fn post(&self, message: &Value) -> Reply {
        let headers = [JSON, MCP_ACCEPT, ("Mcp-Session-Id", self.session.as_str())];
        self.send("POST", "/mcp", &headers, &message.to_string())
    }

    pub(super) fn request(&self, method: &str, params: &Value) -> Value {
        self.post(&json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params})).message()
    }

    /// The same request by the sessionless protocol.
    pub(super) fn request_without_session(&self, method: &str, mut params: Value) -> Value {
        params["_meta"] = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {}});
        let name = ["name", "uri"].iter().find_map(|name| params[*name].as_str().map(str::to_owned));
        let mut headers =
            vec![JSON, MCP_ACCEPT, ("MCP-Protocol-Version", "2026-07-28"), ("Mcp-Method", method)];
        headers.extend(name.as_deref().map(|name| ("Mcp-Name", name)));
        let message = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params});
        self.send("POST", "/mcp", &headers, &message.to_string()).message()
    }

    pub(super) fn call(&self, tool: &str, arguments: &Value) -> Value {
        self.request("tools/call", &json!({"name": tool, "arguments": arguments}))
    }

    /// The structured result of a call.
    pub(super) fn data(&self, tool: &str, arguments: &Value) -> Value {
        let reply = self.call(tool, arguments);
        assert_eq!(reply["result"]["isError"], json!(false), "{tool} of {}: {reply}", self.name);
        structured(&reply)
    }

    pub(super) fn tools(&self) -> Vec<String> {
        let listed = self.request("tools/list", &json!({}));
        tool_names(&listed)
    }

    pub(super) fn listen(&self, last_event: Option<&str>) -> Listener {
        self.server.listen_as(&self.key, &self.session, last_event)
    }

    /// Everything that can be read, with changing values such as times replaced.
    pub(super) fn view(&self) -> BTreeMap<String, String> {
        let mut seen = BTreeMap::new();
        let mut see = |what: String, reply: &Value| {
            seen.insert(what, timeless(&reply.to_string()));
        };
        for (tool, arguments) in [
            ("debug_mcp_config", json!({"verbose": true})),
            ("list_memory_bank_files", json!({})),
            ("get_memory_bank_status", json!({})),
            ("get_context_bundle", json!({})),
            ("get_context_digest", json!({"includeSystemPatterns": true})),
            ("search_memory_bank", json!({"query": "common", "maxResults": 100})),
            ("get_targeted_context", json!({"query": "common"})),
            ("batch_read_files", json!({"files": ["notes.md", "progress.md"]})),
            ("graph_search", json!({"query": "*", "limit": 500, "includeNeighborhood": true})),
            ("graph_open_nodes", json!({"nodes": ["Shared Thing"], "depth": 2})),
            ("graph_maintain", json!({"operation": "stats"})),
            ("create_backup", json!({"listOnly": true})),
            ("list_stores", json!({})),
            ("switch_mode", json!({})),
        ] {
            see(format!("{tool} {arguments}"), &self.call(tool, &arguments));
            let again =
                self.request_without_session("tools/call", json!({"name": tool, "arguments": arguments}));
            see(format!("{tool} {arguments} without a session"), &again);
        }
        see("tools".to_owned(), &json!(self.tools()));
        for (method, params) in reads(self, "Shared Thing") {
            see(format!("{method} {params}"), &self.request(method, &params));
            let again = self.request_without_session(method, params.clone());
            see(format!("{method} {params} without a session"), &again);
        }
        for path in [
            "/api/keys",
            "/api/keys?includeRevoked=true",
            "/api/history",
            "/api/history?by=anna",
            "/api/history?filename=alone.md",
            "/api/history/show?filename=notes.md&version=1",
            "/api/history/diff?filename=notes.md&version=1",
            "/api/history?entity=Shared%20Thing",
            "/api/history/show?entity=Shared%20Thing&version=1",
            "/api/history/diff?entity=Shared%20Thing&version=1",
            "/api/v1/session",
            "/api/v1/documents",
            "/api/v1/document?filename=alone.md",
            "/api/v1/document?filename=notes.md",
            "/api/v1/document/name?filename=notes.md",
            "/api/v1/document/name?filename=alone.md",
            "/api/v1/document/name?filename=Alone.md",
            "/api/v1/digest",
            "/api/v1/search?query=quokka",
            "/api/v1/search?query=shared",
            "/api/v1/graph/search?query=*",
            "/api/v1/graph/entity?name=Shared%20Thing",
            "/api/v1/graph/mentions?name=Shared%20Thing",
            "/api/v1/graph/picture",
            "/api/v1/graph/picture?asOf=2100-01-01",
            "/api/v1/history",
            "/api/v1/history/show?filename=notes.md&version=1",
            "/api/v1/history/diff?filename=notes.md&version=1",
            "/api/v1/history/blame?filename=notes.md",
            "/api/v1/history/blame?filename=alone.md",
            "/api/v1/sessions",
            "/api/v1/members",
            "/api/v1/keys",
            "/api/v1/keys?includeRevoked=true",
            "/api/v1/grants",
        ] {
            seen.insert(path.to_owned(), timeless(&self.send("GET", path, &[], "").body));
        }
        // The server adds rows on its own, such as the addresses of keys, so only the secret is searched for.
        self.send("GET", "/api/v1/audit", &[], "");
        seen
    }
}

/// Every way to read except tools: resources, all prompts, all completions.
pub(super) fn reads(person: &Person<'_>, entity: &str) -> Vec<(&'static str, Value)> {
    let mut all = vec![
        ("resources/list", json!({})),
        ("resources/list", json!({"cursor": "after:a.md"})),
        ("resources/templates/list", json!({})),
        ("resources/read", json!({"uri": "memory-bank://notes"})),
        ("resources/read", json!({"uri": "memory-bank://progress"})),
        ("resources/read", json!({"uri": "memory-bank://nowhere"})),
        ("prompts/list", json!({})),
    ];
    for value in ["", "q", "no", "sha", "al"] {
        let name = json!({"type": "ref/resource", "uri": "memory-bank://{name}"});
        let argument = json!({"name": "name", "value": value});
        all.push(("completion/complete", json!({"ref": name, "argument": argument})));
    }
    let prompts = person.request("prompts/list", &json!({}))["result"]["prompts"].clone();
    for prompt in prompts.as_array().unwrap() {
        let arguments: Vec<&str> = prompt["arguments"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|argument| argument["name"].as_str().unwrap())
            .collect();
        let mut given = json!({});
        for argument in &arguments {
            for value in ["", "q", "s"] {
                let prompt = json!({"type": "ref/prompt", "name": prompt["name"]});
                let argument = json!({"name": argument, "value": value});
                all.push(("completion/complete", json!({"ref": prompt, "argument": argument})));
            }
            given[*argument] = match *argument {
                "mode" => json!("code"),
                "document" => json!("notes"),
                "entity" => json!(entity),
                _ => json!("something"),
            };
        }
        all.push(("prompts/get", json!({"name": prompt["name"]})));
        all.push(("prompts/get", json!({"name": prompt["name"], "arguments": given})));
    }
    all
}

/// Replaces changing values such as times.
pub(super) fn timeless(text: &str) -> String {
    static MOMENT: OnceLock<regex::Regex> = OnceLock::new();
    let moment = MOMENT.get_or_init(|| {
        regex::Regex::new(
            r#"\d{4}-\d\d-\d\dT[\d:.]+Z|"lastUsedAt":(null|"[^"]*")|\\"(timestamp|lastUsedAt)\\": ?\\"[^"]*\\""#,
        )
        .unwrap()
    });
    moment.replace_all(text, "…").into_owned()
}
