//! Every MCP client that this program can configure: one table, which `client-config` and `setup` read. It must not know
//! how a file is edited.
//!
//! Each row names the client's documentation or source. `client_paths.rs` has the files, `entry.rs` the entries.

mod claude_project;
mod client_paths;
mod command_shell;
mod entry;
mod hook_files;
mod hooks;
mod key_file;
mod notes;
mod package_runner;
mod program;

use clap::ValueEnum;

pub(crate) use self::claude_project::claude_project;
pub(crate) use self::client_paths::ClientPaths;
pub(crate) use self::entry::{
    DEFAULT_NAME, Server, added_environment, is_same_server, key_variable, launch, with_present_settings,
};
pub(crate) use self::hooks::{HookContent, HookServer, recognise_programs, unusual_name};
pub(crate) use self::key_file::check_may_hold_key;
pub(crate) use self::program::{installed_program, server_on_this_machine};

use crate::cli::config_text::{EntryLocation, Format};

/// An MCP client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub(crate) enum Client {
    /// Claude Code.
    ClaudeCode,
    /// Claude Desktop.
    ClaudeDesktop,
    /// Cursor.
    Cursor,
    /// Visual Studio Code, also Insiders and VSCodium.
    #[value(alias = "vs-code")]
    Vscode,
    /// Cline, in Visual Studio Code or on its own.
    Cline,
    /// Roo Code in Visual Studio Code.
    #[value(alias = "roo-code")]
    Roo,
    /// Windsurf.
    Windsurf,
    /// Codex.
    #[value(alias = "codex-cli")]
    Codex,
    /// Gemini CLI.
    #[value(alias = "gemini-cli")]
    Gemini,
    /// GitHub Copilot CLI.
    #[value(alias = "copilot-cli")]
    Copilot,
    /// opencode.
    Opencode,
    /// Zed.
    Zed,
    /// The MCP Inspector; its file is given with `--config`.
    Inspector,
}

/// The owner of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scope {
    /// The user's own file: the client has the server in every folder.
    User,
    /// The project's file, which is meant to be committed; no key is ever written into it.
    Project,
    /// The user's own file, for one project alone; Claude Code only.
    #[value(alias = "private")]
    Local,
}

/// The folder in which a client starts a server of the user's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StartsIn {
    /// The project that is open.
    Project,
    /// Another folder. The client replaces this placeholder by the path of the open project.
    Expands(&'static str),
    /// Another folder, and there is no placeholder: the file must contain the path of the project.
    Elsewhere,
}

/// How a client's file refers to a secret that is kept elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyReference {
    /// This text before the variable's name, and that after it.
    Variable(&'static str, &'static str),
    /// The variable's name, in a member of its own.
    VariableName,
    /// The client prompts for it once.
    Input,
    /// The client cannot refer to a secret.
    None,
}

/// The properties of a client.
#[derive(Debug)]
pub(crate) struct Row {
    client: Client,
    /// The name for people.
    pub(crate) title: &'static str,
    /// The format of its files.
    pub(crate) format: Format,
    /// The member of the file that contains servers by name.
    pub(crate) section: &'static str,
    /// Its file in a project.
    pub(crate) project_file: Option<&'static str>,
    /// Whether that file is meant to be committed.
    pub(crate) is_shared: bool,
    pub(crate) starts_in: StartsIn,
    pub(crate) key_reference: KeyReference,
    /// Programs that show on `PATH` that the client is installed.
    programs: &'static [&'static str],
}

/// Every client.
static TABLE: [Row; 13] = [
    // https://code.claude.com/docs/en/mcp: scopes, `${VAR}` in command, args, env, url and headers. Servers of the user
    // start in the folder of the session.
    Row {
        client: Client::ClaudeCode,
        title: "Claude Code",
        format: Format::Json,
        section: "mcpServers",
        project_file: Some(".mcp.json"),
        is_shared: true,
        starts_in: StartsIn::Project,
        key_reference: KeyReference::Variable("${", "}"),
        programs: &["claude"],
    },
    // https://modelcontextprotocol.io/docs/develop/connect-local-servers: programs only, no variables.
    Row {
        client: Client::ClaudeDesktop,
        title: "Claude Desktop",
        format: Format::Json,
        section: "mcpServers",
        project_file: None,
        is_shared: false,
        starts_in: StartsIn::Elsewhere,
        key_reference: KeyReference::None,
        programs: &[],
    },
    // https://cursor.com/docs/context/mcp: `${workspaceFolder}` and `${env:VAR}` in both files.
    Row {
        client: Client::Cursor,
        title: "Cursor",
        format: Format::Json,
        section: "mcpServers",
        project_file: Some(".cursor/mcp.json"),
        is_shared: true,
        starts_in: StartsIn::Expands("${workspaceFolder}"),
        key_reference: KeyReference::Variable("${env:", "}"),
        programs: &["cursor", "cursor-agent"],
    },
    // https://code.visualstudio.com/docs/copilot/reference/mcp-configuration. In the user's file `${workspaceFolder}` is
    // not resolved (microsoft/vscode issues 243526 and 245905), and servers do not start in the project.
    Row {
        client: Client::Vscode,
        title: "VS Code",
        format: Format::Json,
        section: "servers",
        project_file: Some(".vscode/mcp.json"),
        is_shared: true,
        starts_in: StartsIn::Elsewhere,
        key_reference: KeyReference::Input,
        programs: &["code", "code-insiders", "codium"],
    },
    // https://docs.cline.bot/mcp/configuring-mcp-servers.
    Row {
        client: Client::Cline,
        title: "Cline",
        format: Format::Json,
        section: "mcpServers",
        project_file: None,
        is_shared: false,
        starts_in: StartsIn::Elsewhere,
        key_reference: KeyReference::None,
        programs: &["cline"],
    },
    // RooCodeInc/Roo-Code, src/services/mcp/McpHub.ts: `url` also needs `type`, the working folder is that of the
    // workspace, and `${env:VAR}` is replaced.
    Row {
        client: Client::Roo,
        title: "Roo Code",
        format: Format::Json,
        section: "mcpServers",
        project_file: Some(".roo/mcp.json"),
        is_shared: true,
        starts_in: StartsIn::Project,
        key_reference: KeyReference::Variable("${env:", "}"),
        programs: &[],
    },
    // https://docs.windsurf.com/windsurf/cascade/mcp: `serverUrl`, and `${env:VAR}`; one file, of the user.
    Row {
        client: Client::Windsurf,
        title: "Windsurf",
        format: Format::Json,
        section: "mcpServers",
        project_file: None,
        is_shared: false,
        starts_in: StartsIn::Elsewhere,
        key_reference: KeyReference::Variable("${env:", "}"),
        programs: &["windsurf"],
    },
    // openai/codex, codex-rs/config/src/mcp_types.rs: `env_http_headers` maps a header to a variable. The project's file
    // is read in trusted projects.
    Row {
        client: Client::Codex,
        title: "Codex",
        format: Format::Toml,
        section: "mcp_servers",
        project_file: Some(".codex/config.toml"),
        is_shared: true,
        starts_in: StartsIn::Project,
        key_reference: KeyReference::VariableName,
        programs: &["codex"],
    },
    // google-gemini/gemini-cli, docs/tools/mcp-server.md: `httpUrl` is Streamable HTTP (`url` alone means SSE), and `${VAR}` is
    // replaced in every text of the file.
    Row {
        client: Client::Gemini,
        title: "Gemini CLI",
        format: Format::Json,
        section: "mcpServers",
        project_file: Some(".gemini/settings.json"),
        is_shared: true,
        starts_in: StartsIn::Project,
        key_reference: KeyReference::Variable("${", "}"),
        programs: &["gemini"],
    },
    // https://docs.github.com/en/copilot/how-tos/copilot-cli/customize-copilot/add-mcp-servers; `${VAR}` in headers as in
    // github/github-mcp-server, docs/installation-guides/install-copilot-cli.md.
    Row {
        client: Client::Copilot,
        title: "Copilot CLI",
        format: Format::Json,
        section: "mcpServers",
        project_file: Some(".github/mcp.json"),
        is_shared: true,
        starts_in: StartsIn::Project,
        key_reference: KeyReference::Variable("${", "}"),
        programs: &["copilot"],
    },
    // https://opencode.ai/docs/mcp-servers: `command` is a list, unknown members are refused, `{env:VAR}` is replaced.
    Row {
        client: Client::Opencode,
        title: "opencode",
        format: Format::Json,
        section: "mcp",
        project_file: Some("opencode.json"),
        is_shared: true,
        starts_in: StartsIn::Project,
        key_reference: KeyReference::Variable("{env:", "}"),
        programs: &["opencode"],
    },
    // https://zed.dev/docs/ai/mcp; servers start in the first folder of the project.
    Row {
        client: Client::Zed,
        title: "Zed",
        format: Format::Json,
        section: "context_servers",
        project_file: Some(".zed/settings.json"),
        is_shared: true,
        starts_in: StartsIn::Project,
        key_reference: KeyReference::None,
        programs: &["zed", "zeditor"],
    },
    // https://github.com/modelcontextprotocol/inspector.
    Row {
        client: Client::Inspector,
        title: "MCP Inspector",
        format: Format::Json,
        section: "mcpServers",
        project_file: Some("mcp.json"),
        is_shared: false,
        starts_in: StartsIn::Elsewhere,
        key_reference: KeyReference::None,
        programs: &[],
    },
];

impl Client {
    /// Its properties.
    pub(crate) fn row(self) -> &'static Row {
        let [first, ..] = &TABLE;
        TABLE.iter().find(|row| row.client == self).unwrap_or(first)
    }

    /// Its name on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// The agents that `setup` searches. The Inspector is excluded: users start it by hand and name its file.
    pub(crate) fn agents() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.client).filter(|client| *client != Self::Inspector)
    }

    /// The location of the server's entry in the client's files; with `project`, of its entry for that project alone.
    pub(crate) fn location<'a>(self, name: &'a str, project: Option<&'a str>) -> EntryLocation<'a> {
        EntryLocation { format: self.row().format, section: self.row().section, project, name }
    }

    /// The file that `client-config` writes without `--scope`.
    pub(crate) fn default_scope(self) -> Scope {
        match self {
            Self::ClaudeCode | Self::Cursor | Self::Vscode | Self::Inspector => Scope::Project,
            _ => Scope::User,
        }
    }

    /// The file that `setup` writes without `--scope`: the user's, unless servers in it cannot know the open project.
    pub(crate) fn setup_scope(self) -> Scope {
        let row = self.row();
        if row.starts_in == StartsIn::Elsewhere && row.project_file.is_some() {
            Scope::Project
        } else {
            Scope::User
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_client_has_one_row() {
        for client in Client::value_variants() {
            assert_eq!(TABLE.iter().filter(|row| row.client == *client).count(), 1, "{client:?}");
            assert_eq!(client.row().client, *client);
        }
    }

    #[test]
    fn vs_code_is_set_up_in_the_project_because_its_own_file_cannot_name_it() {
        assert_eq!(Client::Vscode.setup_scope(), Scope::Project);
        assert_eq!(Client::ClaudeCode.setup_scope(), Scope::User);
        assert_eq!(Client::ClaudeDesktop.setup_scope(), Scope::User);
    }
}
