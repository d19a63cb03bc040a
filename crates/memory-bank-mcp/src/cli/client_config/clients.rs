//! The format and the location of each client's file. It must not know how an entry is written.

use std::path::{Path, PathBuf};

use anyhow::Context;
use memory_bank_core::identity::PlainKey;
use serde_json::{Value, json};

use super::Client;
use crate::cli::options::{DEFAULT_FOLDER, GlobalOptions};

/// The variable that clients read the key from, if they can.
pub(super) const KEY_VARIABLE: &str = "MEMORY_BANK_API_KEY";

/// VS Code's input for the key.
const KEY_INPUT: &str = "memory-bank-api-key";

/// How the client reaches the server.
#[derive(Debug, Clone)]
pub(super) enum Server {
    /// The client starts the server.
    Stdio { command: String, arguments: Vec<String> },
    /// The server runs elsewhere.
    Http { url: String, key: Option<PlainKey> },
}

/// Locations of users' files.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// The folder for users' settings of programs.
    pub(super) settings: Option<PathBuf>,
}

impl Place {
    /// `$XDG_CONFIG_HOME` or `~/.config`, `~/Library/Application Support` or `%APPDATA%`.
    pub(super) fn of_this_machine() -> Self {
        let named = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let settings = if cfg!(windows) {
            named("APPDATA")
        } else if cfg!(target_os = "macos") {
            std::env::home_dir().map(|home| home.join("Library/Application Support"))
        } else {
            named("XDG_CONFIG_HOME").or_else(|| std::env::home_dir().map(|home| home.join(".config")))
        };
        Self { settings }
    }
}

impl Client {
    /// The file that the client reads.
    pub(super) fn file(self, project: &Path, place: &Place) -> anyhow::Result<PathBuf> {
        let settings = || {
            place
                .settings
                .clone()
                .context("the folder of your settings is not known; name the file with `--file`")
        };
        Ok(match self {
            Self::ClaudeCode => project.join(".mcp.json"),
            Self::Cursor => project.join(".cursor/mcp.json"),
            Self::Vscode => project.join(".vscode/mcp.json"),
            Self::Cline => settings()?
                .join("Code/User/globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json"),
            Self::ClaudeDesktop => settings()?.join("Claude/claude_desktop_config.json"),
            Self::Inspector => project.join("mcp.json"),
        })
    }

    /// Whether the file lies in the project, where it is meant to be committed.
    pub(super) fn shares_its_file(self) -> bool {
        matches!(self, Self::ClaudeCode | Self::Cursor | Self::Vscode)
    }

    /// Whether the client can read the key from elsewhere than its file.
    pub(super) fn finds_the_key(self) -> bool {
        self.shares_its_file()
    }

    /// The member of the file that contains servers by name.
    pub(super) fn section(self) -> &'static str {
        match self {
            Self::Vscode => "servers",
            _ => "mcpServers",
        }
    }

    /// The client's entry for the server.
    pub(super) fn entry(self, server: &Server) -> Value {
        match server {
            Server::Stdio { command, arguments } => {
                let mut entry = json!({ "command": command, "args": arguments });
                match self {
                    Self::ClaudeCode | Self::Vscode | Self::Inspector => {
                        entry = json!({ "type": "stdio", "command": command, "args": arguments });
                    }
                    Self::Cline => {
                        entry = json!({ "command": command, "args": arguments, "disabled": false });
                    }
                    Self::Cursor | Self::ClaudeDesktop => {}
                }
                entry
            }
            Server::Http { url, key } => {
                let key = key.as_ref().map_or_else(|| self.reference(), PlainKey::expose);
                let headers = json!({ "X-API-Key": key });
                match self {
                    Self::ClaudeCode | Self::Vscode => {
                        json!({ "type": "http", "url": url, "headers": headers })
                    }
                    Self::Cursor => json!({ "url": url, "headers": headers }),
                    Self::Cline => {
                        json!({ "type": "streamableHttp", "url": url, "headers": headers, "disabled": false })
                    }
                    Self::Inspector => json!({ "type": "streamable-http", "url": url, "headers": headers }),
                    Self::ClaudeDesktop => bridge(url, key),
                }
            }
        }
    }

    /// VS Code's prompt for the key, if it is not in the file.
    pub(super) fn input(self, server: &Server) -> Option<Value> {
        (self == Self::Vscode && matches!(server, Server::Http { key: None, .. })).then(|| {
            json!({
                "type": "promptString",
                "id": KEY_INPUT,
                "description": "API key of the memory bank",
                "password": true,
            })
        })
    }

    /// The program's path in the entry.
    ///
    /// A file that is committed contains the bare name, if that resolves to this program; all others the full path,
    /// since graphical programs seldom have the `PATH` of the shell.
    pub(super) fn command(self) -> anyhow::Result<String> {
        let program = std::env::current_exe().context("the path of this program is not known")?;
        let name = program.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let on_path = std::env::var_os("PATH").is_some_and(|path| {
            std::env::split_paths(&path)
                .map(|folder| folder.join(&name))
                .find(|candidate| candidate.is_file())
                .and_then(|found| found.canonicalize().ok())
                .is_some_and(|found| program.canonicalize().is_ok_and(|program| program == found))
        });
        if self.shares_its_file() && on_path {
            return Ok(name);
        }
        program
            .into_os_string()
            .into_string()
            .map_err(|_| anyhow::anyhow!("the path of this program is not UTF-8"))
    }

    /// The arguments of the program.
    pub(super) fn arguments(self, cli: &GlobalOptions, project: &Path) -> anyhow::Result<Vec<String>> {
        let mut arguments = Vec::new();
        match self {
            // It starts servers in the project's folder.
            Self::ClaudeCode => {}
            Self::Cursor | Self::Vscode => {
                arguments.extend(["--path".to_owned(), "${workspaceFolder}".to_owned()]);
            }
            Self::Cline | Self::ClaudeDesktop | Self::Inspector => {
                let project = project.to_str().context("the project's path is not UTF-8")?;
                arguments.extend(["--path".to_owned(), project.to_owned()]);
            }
        }
        if cli.folder != DEFAULT_FOLDER {
            arguments.extend(["--folder".to_owned(), cli.folder.clone()]);
        }
        if cli.follow_links {
            arguments.push("--follow-links".to_owned());
        }
        Ok(arguments)
    }

    /// Remaining steps for the user.
    pub(super) fn notes(self, server: &Server) -> Vec<String> {
        let mut notes = Vec::new();
        if let Server::Http { url, key } = server {
            match key {
                None => notes.push(format!("The key: {}.", self.key_advice())),
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
            Self::ClaudeDesktop => {
                notes.push("Start Claude Desktop anew to have it read the file.".to_owned());
            }
            _ => {}
        }
        notes
    }

    /// The source of the key.
    pub(super) fn key_advice(self) -> String {
        match self {
            Self::Vscode => "VS Code asks for it once and keeps it".to_owned(),
            Self::ClaudeCode | Self::Cursor => {
                format!("set the variable {KEY_VARIABLE} where the client is started")
            }
            Self::Cline | Self::ClaudeDesktop | Self::Inspector => {
                "put it in the place of YOUR_API_KEY, or give it with `--key-stdin`".to_owned()
            }
        }
    }

    /// The text in place of the key.
    fn reference(self) -> &'static str {
        match self {
            Self::ClaudeCode => "${MEMORY_BANK_API_KEY}",
            Self::Cursor => "${env:MEMORY_BANK_API_KEY}",
            Self::Vscode => "${input:memory-bank-api-key}",
            Self::Cline | Self::ClaudeDesktop | Self::Inspector => "YOUR_API_KEY",
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
    json!({ "command": "npx", "args": arguments, "env": { KEY_VARIABLE: key } })
}

fn is_loopback(url: &str) -> bool {
    url::Url::parse(url).is_ok_and(|url| match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_name_the_variable_and_the_input_that_are_described() {
        assert!(Client::ClaudeCode.reference().contains(KEY_VARIABLE));
        assert!(Client::Cursor.reference().contains(KEY_VARIABLE));
        assert_eq!(Client::Vscode.reference(), format!("${{input:{KEY_INPUT}}}"));
        let entry = bridge("https://host/mcp", "k");
        assert!(entry.to_string().contains(&format!("${{{KEY_VARIABLE}}}")));
    }

    #[test]
    fn only_a_plain_address_of_another_machine_needs_leave() {
        let asks = |url| bridge(url, "k").to_string().contains("--allow-http");
        assert!(asks("http://memory.lan:3100/mcp"));
        assert!(
            !asks("http://127.0.0.1:3100/mcp") && !asks("http://[::1]:3100/mcp") && !asks("https://host/mcp")
        );
    }

    #[test]
    fn a_project_file_lies_in_the_project_and_a_user_file_in_the_settings() {
        let place = Place { settings: Some(PathBuf::from("/settings")) };
        let project = Path::new("/project");
        for client in [Client::ClaudeCode, Client::Cursor, Client::Vscode, Client::Inspector] {
            assert!(client.file(project, &place).unwrap().starts_with(project), "{client:?}");
        }
        for client in [Client::Cline, Client::ClaudeDesktop] {
            assert!(client.file(project, &place).unwrap().starts_with("/settings"), "{client:?}");
            assert!(client.file(project, &Place { settings: None }).is_err(), "{client:?}");
        }
    }
}
