//! The entry of this server in each client's form, and what makes two entries the same server. It must not know files.

use memory_bank_core::identity::PlainKey;
use serde_json::{Map, Value, json};

use super::{Client, KeyReference, Scope};
use crate::cli::config_file::FileAccess;
use crate::config::command_variables::API_KEY;
use crate::sha256::sha256_hex;

/// VS Code's input for it.
const KEY_INPUT: &str = "memory-bank-api-key";
/// The server's default name.
pub(crate) const DEFAULT_NAME: &str = "memory-bank";
/// The placeholder of a key that a client can read from its file only.
const KEY_PLACEHOLDER: &str = "YOUR_API_KEY";

/// How the client reaches the server.
#[derive(Debug, Clone)]
pub(crate) enum Server {
    /// The client starts the server.
    Stdio { command: String, arguments: Vec<String> },
    /// The server runs elsewhere; `name` is the server's in the client.
    Http { url: String, key: Option<PlainKey>, name: String },
}

/// The variable for the key of the server that the client calls `name`. A key acts in one project, so each name has its
/// own variable.
pub(crate) fn key_variable(name: &str) -> String {
    match suffix(name) {
        Some(suffix) => format!("{API_KEY}_{}", suffix.to_ascii_uppercase().replace('-', "_")),
        None => API_KEY.to_owned(),
    }
}

fn key_input(name: &str) -> String {
    suffix(name).map_or_else(|| KEY_INPUT.to_owned(), |suffix| format!("{KEY_INPUT}-{suffix}"))
}

/// The suffix of the variable for a name; none for the default name. Names that differ only in letter case, or in `-` and
/// `_`, would share a variable, so such names get a part of their hash.
pub(super) fn suffix(name: &str) -> Option<String> {
    let is_plain = name
        .chars()
        .all(|character| character.is_ascii_lowercase() || character.is_ascii_digit() || character == '-');
    match name {
        DEFAULT_NAME => None,
        name if is_plain => Some(name.to_owned()),
        name => {
            let hash: String = sha256_hex(name.as_bytes()).chars().take(6).collect();
            Some(format!("{}-{hash}", name.to_ascii_lowercase().replace('_', "-")))
        }
    }
}

impl Server {
    /// The access to a file of this scope with the entry.
    pub(crate) fn file_access(&self, scope: Scope) -> FileAccess {
        match (self, scope) {
            (Self::Http { key: Some(_), .. }, _) => FileAccess::OwnerOnly,
            (_, Scope::User | Scope::Local) => FileAccess::PrivateIfNew,
            (_, Scope::Project) => FileAccess::PublicIfNew,
        }
    }
}

impl Client {
    /// Whether the client can read the key from outside its file.
    pub(crate) fn can_reference_key(self) -> bool {
        self.row().key_reference != KeyReference::None
    }

    /// The client's entry for the server.
    pub(crate) fn entry(self, server: &Server) -> Value {
        match server {
            Server::Stdio { command, arguments } => self.stdio_entry(command, arguments),
            Server::Http { url, key, name } => self.http_entry(url, key.as_ref(), name),
        }
    }

    fn stdio_entry(self, command: &str, arguments: &[String]) -> Value {
        match self {
            Self::ClaudeCode | Self::Vscode | Self::Inspector => {
                json!({ "type": "stdio", "command": command, "args": arguments })
            }
            Self::Cline => json!({ "command": command, "args": arguments, "disabled": false }),
            Self::Copilot => {
                json!({ "type": "local", "command": command, "args": arguments, "tools": ["*"] })
            }
            Self::Opencode => {
                let words: Vec<_> =
                    std::iter::once(command).chain(arguments.iter().map(String::as_str)).collect();
                json!({ "type": "local", "command": words, "enabled": true })
            }
            Self::Cursor
            | Self::ClaudeDesktop
            | Self::Roo
            | Self::Windsurf
            | Self::Codex
            | Self::Gemini
            | Self::Zed => json!({ "command": command, "args": arguments }),
        }
    }

    fn http_entry(self, url: &str, key: Option<&PlainKey>, name: &str) -> Value {
        let shown = key.map_or_else(|| self.reference(name), |key| key.expose().to_owned());
        let headers = json!({ "X-API-Key": shown });
        match self {
            Self::ClaudeCode | Self::Vscode => json!({ "type": "http", "url": url, "headers": headers }),
            Self::Cursor | Self::Zed => json!({ "url": url, "headers": headers }),
            Self::Cline => {
                json!({ "type": "streamableHttp", "url": url, "headers": headers, "disabled": false })
            }
            Self::Roo | Self::Inspector => {
                json!({ "type": "streamable-http", "url": url, "headers": headers })
            }
            Self::Windsurf => json!({ "serverUrl": url, "headers": headers }),
            Self::Gemini => json!({ "httpUrl": url, "headers": headers }),
            Self::Copilot => json!({ "type": "http", "url": url, "headers": headers, "tools": ["*"] }),
            Self::Opencode => json!({ "type": "remote", "url": url, "headers": headers, "enabled": true }),
            Self::Codex if key.is_some() => json!({ "url": url, "http_headers": headers }),
            Self::Codex => json!({ "url": url, "env_http_headers": headers }),
            Self::ClaudeDesktop => bridge(url, &shown),
        }
    }

    /// VS Code's prompt for the key, if it is not in the file.
    pub(crate) fn input(self, server: &Server) -> Option<Value> {
        let Server::Http { key: None, name, .. } = server else { return None };
        (self.row().key_reference == KeyReference::Input).then(|| {
            json!({
                "type": "promptString",
                "id": key_input(name),
                "description": format!("API key of the memory bank `{name}`"),
                "password": true,
            })
        })
    }

    /// The text in place of the key.
    fn reference(self, name: &str) -> String {
        match self.row().key_reference {
            KeyReference::Variable(before, after) => format!("{before}{}{after}", key_variable(name)),
            KeyReference::VariableName => key_variable(name),
            KeyReference::Input => format!("${{input:{}}}", key_input(name)),
            KeyReference::None => KEY_PLACEHOLDER.to_owned(),
        }
    }
}

/// Claude Desktop's file supports programs only, so a bridge connects it to the server.
fn bridge(url: &str, key: &str) -> Value {
    let mut arguments = vec!["-y", "mcp-remote", url, "--transport", "http-only", "--header"];
    // Omit the space after the colon: it would split the argument on Windows.
    arguments.push("X-API-Key:${MEMORY_BANK_API_KEY}");
    if url.starts_with("http://") && !is_loopback(url) {
        arguments.push("--allow-http");
    }
    json!({ "command": "npx", "args": arguments, "env": { API_KEY: key } })
}

/// Whether the address is one of this machine.
pub(super) fn is_loopback(url: &str) -> bool {
    url::Url::parse(url).is_ok_and(|url| match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    })
}

/// Members with which a client starts or reaches a server; all others are settings of the user.
const CONNECTION: [&str; 10] = [
    "type",
    "command",
    "args",
    "url",
    "httpUrl",
    "serverUrl",
    "headers",
    "http_headers",
    "env_http_headers",
    "env",
];

/// The program with its arguments that an entry starts, or the address that it uses, in any client's form.
///
/// `setup` recognises its own entries by it: clients rewrite their files and add members, and some refuse unknown members,
/// so an entry cannot carry a marker.
pub(crate) fn launch(entry: &Value) -> Vec<String> {
    let text = |name: &str| entry.get(name).and_then(Value::as_str);
    let list = |name: &str| {
        entry.get(name).and_then(Value::as_array).map(|words| {
            words
                .iter()
                .map(|word| word.as_str().map_or_else(|| word.to_string(), str::to_owned))
                .collect::<Vec<_>>()
        })
    };
    if let Some(url) = ["url", "httpUrl", "serverUrl"].iter().find_map(|name| text(name)) {
        return vec![url.to_owned()];
    }
    match (text("command"), list("command")) {
        (Some(command), _) => {
            std::iter::once(command.to_owned()).chain(list("args").unwrap_or_default()).collect()
        }
        (None, words) => words.unwrap_or_default(),
    }
}

/// Whether a present entry connects to the server in the same way as `ours`. Settings that the user or the client added do
/// not matter.
pub(crate) fn is_same_server(present: &Value, ours: &Value) -> bool {
    let empty = Map::new();
    let ours = ours.as_object().unwrap_or(&empty);
    CONNECTION.iter().all(|name| match (ours.get(*name), present.get(*name)) {
        (Some(expected), present) => present == Some(expected),
        // Clients add empty members, and the transport that they assume.
        (None, Some(present)) => {
            *name == "type" || present.as_object().is_some_and(Map::is_empty) || *name == "env"
        }
        (None, None) => true,
    })
}

/// Members that only the present entry has and that change how its program runs, with the names of variables: `env` (`A`).
///
/// A project's file may come from anybody, and a variable is enough to run another program.
pub(crate) fn added_environment(present: &Value, ours: &Value) -> Vec<String> {
    let members = ["env", "environment", "envFile", "env_vars", "cwd"];
    let added = members.iter().filter(|name| ours.get(**name).is_none()).filter_map(|name| {
        match present.get(*name)? {
            Value::Null => None,
            Value::Object(members) if members.is_empty() => None,
            Value::Object(members) => {
                let names: Vec<_> = members.keys().map(|name| format!("`{name}`")).collect();
                Some(format!("`{name}` ({})", names.join(", ")))
            }
            _ => Some(format!("`{name}`")),
        }
    });
    added.collect()
}

/// `ours` with the settings that the user or the client added to a present entry.
pub(crate) fn with_present_settings(present: &Value, ours: &Value) -> Value {
    let (Some(present), Some(own)) = (present.as_object(), ours.as_object()) else { return ours.clone() };
    let mut entry = own.clone();
    let is_setting = |name: &str| !CONNECTION.contains(&name) || name == "env" && !own.contains_key(name);
    for (name, value) in present.iter().filter(|(name, _)| is_setting(name)) {
        entry.insert(name.clone(), value.clone());
    }
    Value::Object(entry)
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    const KEY: &str = "mbmcp_live_0123456789abcdefghijABCDEFGHIJxy";

    fn remote(key: Option<&str>, name: &str) -> Server {
        let key = key.map(|key| key.parse().unwrap());
        Server::Http { url: "https://memory.example.com/mcp".to_owned(), key, name: name.to_owned() }
    }

    #[test]
    fn a_given_key_is_written_into_every_entry() {
        for client in Client::value_variants() {
            let text = client.entry(&remote(Some(KEY), DEFAULT_NAME)).to_string();
            assert!(text.contains(KEY), "{client:?}: {text}");
        }
    }

    #[test]
    fn without_a_key_the_entry_refers_to_the_variable_of_its_name() {
        for client in Client::value_variants() {
            for (name, variable, input) in [
                (DEFAULT_NAME, "MEMORY_BANK_API_KEY", "${input:memory-bank-api-key}"),
                ("shop", "MEMORY_BANK_API_KEY_SHOP", "${input:memory-bank-api-key-shop}"),
            ] {
                let server = remote(None, name);
                let text = client.entry(&server).to_string();
                match client.row().key_reference {
                    KeyReference::None => assert!(text.contains(KEY_PLACEHOLDER), "{client:?}: {text}"),
                    KeyReference::Input => {
                        assert!(text.contains(input), "{client:?}: {text}");
                        let id = client.input(&server).unwrap()["id"].as_str().unwrap().to_owned();
                        assert!(text.contains(&format!("${{input:{id}}}")), "{text}");
                    }
                    KeyReference::Variable(before, after) => {
                        assert!(
                            text.contains(&format!("\"{before}{variable}{after}\"")),
                            "{client:?}: {text}"
                        );
                    }
                    KeyReference::VariableName => {
                        assert!(text.contains(&format!("\"{variable}\"")), "{client:?}: {text}");
                    }
                }
            }
        }
    }

    #[test]
    fn two_names_never_share_a_variable() {
        let names =
            ["memory-bank", "a-b", "a_b", "A-b", "a--b", "shop", "Shop", "memory-bank-shop", "memory_bank"];
        let variables: std::collections::BTreeSet<_> = names.iter().map(|name| key_variable(name)).collect();
        assert_eq!(variables.len(), names.len(), "{variables:?}");
        let is_variable = |name: &String| {
            name.chars().all(|character| {
                character.is_ascii_uppercase() || character.is_ascii_digit() || character == '_'
            })
        };
        assert!(variables.iter().all(is_variable), "{variables:?}");
    }

    #[test]
    fn only_an_unencrypted_address_of_another_machine_needs_consent() {
        let allows_http = |url| bridge(url, "k").to_string().contains("--allow-http");
        assert!(allows_http("http://memory.lan:3100/mcp"));
        assert!(
            !allows_http("http://127.0.0.1:3100/mcp")
                && !allows_http("http://[::1]:3100/mcp")
                && !allows_http("https://host/mcp")
        );
        assert!(bridge("https://h/mcp", "k").to_string().contains(&format!("${{{API_KEY}}}")));
    }

    #[test]
    fn settings_that_a_client_adds_do_not_make_it_another_server() {
        let ours = json!({ "command": "m", "args": ["--tools", "core"], "disabled": false });
        let present = json!({ "type": "stdio", "command": "m", "args": ["--tools", "core"], "env": {},
            "disabled": true, "alwaysAllow": ["search_memory_bank"] });
        assert!(is_same_server(&present, &ours));
        assert_eq!(launch(&present), launch(&ours));
        let other = json!({ "command": "m", "args": [] });
        assert!(!is_same_server(&other, &ours));
        let newer = json!({ "command": "n", "args": [], "disabled": false });
        assert_eq!(
            with_present_settings(&present, &newer),
            json!({ "command": "n", "args": [], "disabled": true, "env": {}, "alwaysAllow": ["search_memory_bank"] })
        );
    }

    #[test]
    fn another_key_is_another_server() {
        let entry = |key| Client::Cursor.entry(&remote(Some(key), DEFAULT_NAME));
        let other = KEY.replace("live", "test");
        assert!(!is_same_server(&entry(KEY), &entry(&other)));
    }

    #[test]
    fn the_command_of_an_entry_is_read_in_each_form() {
        for client in Client::value_variants().iter().filter(|client| **client != Client::ClaudeDesktop) {
            let started = Server::Stdio { command: "m".to_owned(), arguments: vec!["-a".to_owned()] };
            assert_eq!(launch(&client.entry(&started)), ["m", "-a"], "{client:?}");
            assert_eq!(launch(&client.entry(&remote(None, "x"))), ["https://memory.example.com/mcp"]);
        }
    }
}
