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
                Some(_) => notes.push("The file holds the key: keep it out of version control.".to_owned()),
            }
            if self == Self::ClaudeDesktop {
                notes.push(
                    "Claude Desktop reaches it through `npx mcp-remote`, which needs Node.js.".to_owned(),
                );
            }
            if url.starts_with("http://") && !is_loopback(url) {
                notes.push("Over http:// everybody on the way can read the key: use https://.".to_owned());
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
                notes.push("It is read once you trust the folder.".to_owned());
            }
            Self::ClaudeCode if scope == Scope::Project => {
                notes.push("Claude Code asks once whether you trust it.".to_owned());
            }
            Self::ClaudeDesktop => {
                notes.push("Start Claude Desktop anew to have it read the file.".to_owned());
            }
            _ => {}
        }
        notes
    }

    /// The source of the key.
    pub(crate) fn key_advice(self, name: &str) -> String {
        match self.row().key_reference {
            KeyReference::Input => "VS Code asks for it once and keeps it".to_owned(),
            KeyReference::Variable(..) | KeyReference::VariableName => {
                format!("set the variable {} where the client is started", key_variable(name))
            }
            KeyReference::None => {
                "put it in the place of YOUR_API_KEY, or give it with `--key-stdin`".to_owned()
            }
        }
    }
}
