//! The steps that remain for the user after an entry is written.

use super::entry::is_loopback;
use super::{Client, KeyReference, Scope, Server, key_variable};

impl Client {
    /// Remaining steps for the user.
    pub(crate) fn notes(self, server: &Server, scope: Scope) -> Vec<String> {
        let mut notes = Vec::new();
        if let Server::Http { url, key, name } = server {
            match key {
                None => notes.push(format!("The key: {}.", self.key_advice(name))),
                Some(_) => {
                    notes.push("The file contains the key: keep it out of version control.".to_owned());
                }
            }
            if self == Self::ClaudeDesktop {
                notes.push(
                    "Claude Desktop connects to it through `npx mcp-remote`, which needs Node.js.".to_owned(),
                );
            }
            if url.starts_with("http://") && !is_loopback(url) {
                notes.push(
                    "Over http:// anybody on the network path can read the key: use https://.".to_owned(),
                );
            }
        }
        match self {
            Self::Inspector => {
                notes.push(
                    "Start it with `npx @modelcontextprotocol/inspector --config mcp.json`.".to_owned(),
                );
            }
            Self::Gemini => {
                notes.push("Gemini CLI starts servers only in folders that you trust.".to_owned());
            }
            Self::Codex | Self::Copilot | Self::Zed if scope == Scope::Project => {
                notes.push("The client reads it after you trust the folder.".to_owned());
            }
            Self::ClaudeCode if scope == Scope::Project => {
                notes.push("Claude Code asks once whether you trust the server.".to_owned());
            }
            Self::ClaudeDesktop => {
                notes.push("Restart Claude Desktop so that it reads the file.".to_owned());
            }
            _ => {}
        }
        notes
    }

    /// How the client gets the key.
    pub(crate) fn key_advice(self, name: &str) -> String {
        match self.row().key_reference {
            KeyReference::Input => "VS Code asks for it once and stores it".to_owned(),
            KeyReference::Variable(..) | KeyReference::VariableName => {
                format!("set the variable {} in the environment of the client", key_variable(name))
            }
            KeyReference::None => "replace YOUR_API_KEY by it, or give it with `--key-stdin`".to_owned(),
        }
    }
}
