//! Finds each client's files on this machine, and the installed clients. It must not know the content of the files.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::{Client, Scope};

/// Locations of users' files.
#[derive(Debug, Clone, Default)]
pub(crate) struct ClientPaths {
    /// The home folder.
    pub(crate) home: Option<PathBuf>,
    /// The folder for users' settings of programs.
    pub(crate) settings: Option<PathBuf>,
    /// The folder of programs that use `~/.config` on every system.
    pub(crate) config: Option<PathBuf>,
    /// The folders of `PATH`.
    programs: Vec<PathBuf>,
    /// Files in folders that variables of clients name.
    overrides: Vec<(Client, PathBuf)>,
}

/// A file of the user, and the evidence that its client is installed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct UserFile {
    file: PathBuf,
    /// A file or folder that the client creates.
    evidence: PathBuf,
    /// Whether the client's program reads it; of a client with several files, one may be that of the program.
    is_of_program: bool,
}

/// A client on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FoundClient {
    pub(crate) client: Client,
    /// Its file.
    pub(crate) file: PathBuf,
}

/// Variables that name the folders of clients, and the file in the folder; without one, the variable names the file. The first that is
/// set counts.
const FOLDER_VARIABLES: [(Client, &str, &str); 7] = [
    // https://code.claude.com/docs/en/settings
    (Client::ClaudeCode, "CLAUDE_CONFIG_DIR", ".claude.json"),
    // openai/codex, docs/config.md
    (Client::Codex, "CODEX_HOME", "config.toml"),
    // google-gemini/gemini-cli, packages/core/src/utils/paths.ts
    (Client::Gemini, "GEMINI_CLI_HOME", ".gemini/settings.json"),
    // https://code.visualstudio.com/docs/agents/reference/mcp-configuration
    (Client::Copilot, "COPILOT_HOME", "mcp-config.json"),
    // cline/cline, sdk/packages/shared/src/storage/paths.ts
    (Client::Cline, "CLINE_MCP_SETTINGS_PATH", ""),
    (Client::Cline, "CLINE_DATA_DIR", "settings/cline_mcp_settings.json"),
    (Client::Cline, "CLINE_DIR", "data/settings/cline_mcp_settings.json"),
];

/// Editors of the family of VS Code, below the folder of settings.
const EDITORS: [&str; 3] = ["Code/User", "Code - Insiders/User", "VSCodium/User"];
/// Further editors that run its extensions.
const RELATED_EDITORS: [&str; 2] = ["Cursor/User", "Windsurf/User"];
/// The editors' folders on a machine that is edited remotely, below the home folder.
const REMOTE_EDITORS: [&str; 3] =
    [".vscode-server/data/User", ".vscode-server-insiders/data/User", ".cursor-server/data/User"];

impl ClientPaths {
    /// `$XDG_CONFIG_HOME` or `~/.config`, `~/Library/Application Support` or `%APPDATA%`, and the home folder.
    pub(crate) fn of_this_machine() -> Self {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let path = std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect());
        Self::new(std::env::home_dir(), &variable, path.unwrap_or_default())
    }

    pub(super) fn new(
        home: Option<PathBuf>,
        variable: &dyn Fn(&str) -> Option<OsString>,
        programs: Vec<PathBuf>,
    ) -> Self {
        let named = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let home = home.filter(|home| home.is_absolute());
        let config = named("XDG_CONFIG_HOME").or_else(|| home.as_ref().map(|home| home.join(".config")));
        let settings = if cfg!(windows) {
            named("APPDATA")
        } else if cfg!(target_os = "macos") {
            home.as_ref().map(|home| home.join("Library/Application Support"))
        } else {
            config.clone()
        };
        let overrides = FOLDER_VARIABLES
            .iter()
            .filter_map(|(client, name, file)| {
                let named = named(name)?;
                Some((*client, if file.is_empty() { named } else { named.join(file) }))
            })
            .collect();
        Self { home, settings, config, programs, overrides }
    }

    /// The clients on this machine, each with the files of the user that its installations read.
    pub(crate) fn found(&self) -> Vec<FoundClient> {
        Client::agents().flat_map(|client| self.found_files(client)).collect()
    }

    /// The folder with a client's settings, beside or above the file of its servers.
    pub(crate) fn settings_folder(&self, client: Client) -> Option<PathBuf> {
        let overridden = self.overrides.iter().find(|(overridden, _)| *overridden == client);
        // Claude Code's servers are in the home folder, but its settings are not.
        if client == Client::ClaudeCode && overridden.is_none() {
            return Some(self.home.as_ref()?.join(".claude"));
        }
        let file = self.candidates(client).into_iter().next()?.file;
        Some(file.parent()?.to_owned())
    }

    /// The user's files of a client: those of its installations, or else the default.
    ///
    /// # Errors
    /// The home folder is not known.
    pub(crate) fn user_files(&self, client: Client) -> anyhow::Result<Vec<PathBuf>> {
        let found: Vec<_> = self.found_files(client).into_iter().map(|found| found.file).collect();
        if !found.is_empty() {
            return Ok(found);
        }
        let default = self.candidates(client).into_iter().next();
        Ok(vec![
            default
                .context(
                    "the folder of your settings is not known; name the file with `client-config --file`",
                )?
                .file,
        ])
    }

    fn found_files(&self, client: Client) -> Vec<FoundClient> {
        let candidates = self.candidates(client);
        let has_program = self.has_program(client);
        let is_used =
            |candidate: &&UserFile| candidate.evidence.exists() || (has_program && candidate.is_of_program);
        let mut files: Vec<PathBuf> =
            candidates.iter().filter(is_used).map(|candidate| candidate.file.clone()).collect();
        if files.is_empty() && has_program {
            files.extend(candidates.into_iter().next().map(|candidate| candidate.file));
        }
        files.dedup();
        files.into_iter().map(|file| FoundClient { client, file }).collect()
    }

    /// The signs that a client is installed: its files and folders, and its programs.
    pub(crate) fn searched(&self, client: Client) -> Vec<String> {
        let mut places: Vec<String> = self
            .candidates(client)
            .iter()
            .map(|candidate| format!("`{}`", candidate.evidence.display()))
            .collect();
        let programs = client.row().programs.iter();
        places.extend(programs.map(|program| format!("the program `{program}` in `PATH`")));
        places
    }

    fn has_program(&self, client: Client) -> bool {
        client.row().programs.iter().any(|program| {
            let names = if cfg!(windows) {
                vec![format!("{program}.exe"), format!("{program}.cmd")]
            } else {
                vec![(*program).to_owned()]
            };
            self.programs.iter().any(|folder| names.iter().any(|name| folder.join(name).is_file()))
        })
    }

    /// The files that a client may read, the default first.
    fn candidates(&self, client: Client) -> Vec<UserFile> {
        if let Some((_, file)) = self.overrides.iter().find(|(overridden, _)| *overridden == client) {
            let evidence = file.parent().unwrap_or(file).to_owned();
            return vec![UserFile { file: file.clone(), evidence, is_of_program: false }];
        }
        let at = |base: Option<&PathBuf>, file: &str, evidence: &str| {
            base.map(|base| UserFile {
                file: base.join(file),
                evidence: base.join(evidence),
                is_of_program: false,
            })
        };
        let (home, settings, config) = (self.home.as_ref(), self.settings.as_ref(), self.config.as_ref());
        let files: Vec<Option<UserFile>> = match client {
            Client::ClaudeCode => {
                vec![at(home, ".claude.json", ".claude.json"), at(home, ".claude.json", ".claude")]
            }
            Client::ClaudeDesktop => vec![at(settings, "Claude/claude_desktop_config.json", "Claude")],
            Client::Cursor => vec![at(home, ".cursor/mcp.json", ".cursor")],
            Client::Vscode => self.in_editors(&EDITORS, "mcp.json", ""),
            Client::Cline => {
                let extension = "globalStorage/saoudrizwan.claude-dev";
                let file = format!("{extension}/settings/cline_mcp_settings.json");
                let mut files = self.in_editors(&EDITORS, &file, extension);
                files.extend(self.in_related(&file, extension));
                // The program without an editor, and the extension since its version 4.
                let own = at(home, ".cline/data/settings/cline_mcp_settings.json", ".cline/data");
                files.push(own.map(|own| UserFile { is_of_program: true, ..own }));
                files
            }
            Client::Roo => {
                let extension = "globalStorage/rooveterinaryinc.roo-cline";
                let file = format!("{extension}/settings/mcp_settings.json");
                let mut files = self.in_editors(&EDITORS, &file, extension);
                files.extend(self.in_related(&file, extension));
                files
            }
            Client::Windsurf => {
                vec![at(home, ".codeium/windsurf/mcp_config.json", ".codeium/windsurf")]
            }
            Client::Codex => vec![at(home, ".codex/config.toml", ".codex")],
            Client::Gemini => vec![at(home, ".gemini/settings.json", ".gemini")],
            Client::Copilot => vec![at(home, ".copilot/mcp-config.json", ".copilot")],
            Client::Opencode => {
                let commented = at(config, "opencode/opencode.jsonc", "opencode/opencode.jsonc");
                let plain = at(config, "opencode/opencode.json", "opencode");
                // The client reads both; use the one that exists.
                match commented.filter(|file| file.file.exists()) {
                    Some(file) => vec![Some(file)],
                    None => vec![plain],
                }
            }
            Client::Zed if cfg!(windows) => vec![at(settings, "Zed/settings.json", "Zed")],
            Client::Zed => vec![at(config, "zed/settings.json", "zed")],
            Client::Inspector => Vec::new(),
        };
        files.into_iter().flatten().collect()
    }

    fn in_editors(&self, editors: &[&str], file: &str, evidence: &str) -> Vec<Option<UserFile>> {
        let local = editors.iter().map(|editor| (self.settings.as_ref(), *editor));
        let remote = REMOTE_EDITORS.iter().map(|editor| (self.home.as_ref(), *editor));
        local.chain(remote).map(|(base, editor)| in_editor(base, editor, file, evidence)).collect()
    }

    fn in_related(&self, file: &str, evidence: &str) -> Vec<Option<UserFile>> {
        RELATED_EDITORS
            .iter()
            .map(|editor| in_editor(self.settings.as_ref(), editor, file, evidence))
            .collect()
    }
}

fn in_editor(base: Option<&PathBuf>, editor: &str, file: &str, evidence: &str) -> Option<UserFile> {
    let folder = base?.join(editor);
    Some(UserFile { file: folder.join(file), evidence: folder.join(evidence), is_of_program: false })
}

impl Client {
    /// The files that it reads in this scope.
    ///
    /// # Errors
    /// The client has no such file.
    pub(crate) fn files(
        self,
        scope: Scope,
        project: &Path,
        paths: &ClientPaths,
    ) -> anyhow::Result<Vec<PathBuf>> {
        match scope {
            Scope::Project => {
                let file = self.row().project_file.with_context(|| {
                    format!("{} has no file in a project; use `--scope user`", self.row().title)
                })?;
                // The client reads both forms; use the one that exists.
                let commented = project.join(format!("{file}c"));
                let has_comments = self == Self::Opencode && commented.exists();
                Ok(vec![if has_comments { commented } else { project.join(file) }])
            }
            Scope::User => paths.user_files(self),
            Scope::Local if self == Self::ClaudeCode => paths.user_files(self),
            Scope::Local => bail!(
                "{} has no entries for one project in your own file; use `--scope user` or `--scope project`",
                self.row().title
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;

    fn paths(home: &Path, variables: &[(&str, &str)]) -> ClientPaths {
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
        };
        ClientPaths::new(Some(home.to_owned()), &variable, Vec::new())
    }

    #[test]
    fn an_empty_home_has_no_clients_but_a_usual_file_for_each() {
        let home = tempfile::TempDir::new().unwrap();
        let paths = paths(home.path(), &[("APPDATA", home.path().to_str().unwrap())]);
        assert_eq!(paths.found(), Vec::new());
        for client in Client::value_variants().iter().filter(|client| **client != Client::Inspector) {
            let files = paths.user_files(*client).unwrap();
            assert!(files.len() == 1 && files[0].starts_with(home.path()), "{client:?}: {files:?}");
        }
    }

    #[test]
    fn each_editor_with_the_extension_is_found() {
        let home = tempfile::TempDir::new().unwrap();
        let paths = paths(home.path(), &[("APPDATA", home.path().to_str().unwrap())]);
        let settings = paths.settings.clone().unwrap();
        for editor in ["Code/User", "Cursor/User"] {
            let extension = settings.join(editor).join("globalStorage/rooveterinaryinc.roo-cline");
            std::fs::create_dir_all(extension).unwrap();
        }
        let found: Vec<_> = paths.found().into_iter().map(|found| found.client).collect();
        assert_eq!(found, [Client::Vscode, Client::Roo, Client::Roo]);
    }

    #[test]
    fn a_folder_that_a_variable_names_is_used_unless_it_is_relative() {
        let home = tempfile::TempDir::new().unwrap();
        let elsewhere = home.path().join("elsewhere");
        let absolute = paths(home.path(), &[("CODEX_HOME", elsewhere.to_str().unwrap())]);
        assert_eq!(absolute.user_files(Client::Codex).unwrap(), [elsewhere.join("config.toml")]);
        let relative = paths(home.path(), &[("CODEX_HOME", "elsewhere")]);
        assert_eq!(relative.user_files(Client::Codex).unwrap(), [home.path().join(".codex/config.toml")]);
    }

    #[test]
    fn a_program_on_the_path_shows_that_a_client_is_installed() {
        let home = tempfile::TempDir::new().unwrap();
        let name = if cfg!(windows) { "gemini.cmd" } else { "gemini" };
        std::fs::write(home.path().join(name), "").unwrap();
        let paths = ClientPaths::new(Some(home.path().to_owned()), &|_| None, vec![home.path().to_owned()]);
        let file = home.path().join(".gemini/settings.json");
        assert_eq!(paths.found(), [FoundClient { client: Client::Gemini, file }]);
    }

    #[test]
    fn the_program_of_cline_has_a_file_of_its_own_beside_that_of_the_extension() {
        let home = tempfile::TempDir::new().unwrap();
        let name = if cfg!(windows) { "cline.cmd" } else { "cline" };
        std::fs::write(home.path().join(name), "").unwrap();
        let settings = home.path().join("settings");
        let variables = |name: &str| {
            matches!(name, "APPDATA" | "XDG_CONFIG_HOME").then(|| settings.clone().into_os_string())
        };
        let paths = ClientPaths::new(Some(home.path().to_owned()), &variables, vec![home.path().to_owned()]);
        let own = home.path().join(".cline/data/settings/cline_mcp_settings.json");
        assert_eq!(paths.user_files(Client::Cline).unwrap(), std::slice::from_ref(&own));
        let editor = paths.settings.clone().unwrap().join("Code/User");
        let extension = editor.join("globalStorage/saoudrizwan.claude-dev");
        std::fs::create_dir_all(&extension).unwrap();
        let of_extension = extension.join("settings/cline_mcp_settings.json");
        assert_eq!(paths.user_files(Client::Cline).unwrap(), [of_extension, own]);
    }

    #[test]
    fn the_narrowest_variable_of_cline_counts() {
        let home = tempfile::TempDir::new().unwrap();
        let at = |name: &str| home.path().join(name);
        let named = |names: &[&str]| {
            let folders: Vec<_> =
                names.iter().map(|name| (*name, at(name).to_str().unwrap().to_owned())).collect();
            let variables: Vec<_> = folders.iter().map(|(name, folder)| (*name, folder.as_str())).collect();
            paths(home.path(), &variables).user_files(Client::Cline).unwrap()
        };
        let file = "settings/cline_mcp_settings.json";
        assert_eq!(named(&["CLINE_DIR"]), [at("CLINE_DIR").join("data").join(file)]);
        assert_eq!(named(&["CLINE_DIR", "CLINE_DATA_DIR"]), [at("CLINE_DATA_DIR").join(file)]);
        assert_eq!(named(&["CLINE_DATA_DIR", "CLINE_MCP_SETTINGS_PATH"]), [at("CLINE_MCP_SETTINGS_PATH")]);
    }

    #[test]
    fn a_project_file_is_in_the_project() {
        let project = Path::new("/project");
        for client in Client::value_variants() {
            match client.files(Scope::Project, project, &ClientPaths::default()) {
                Ok(files) => assert!(files.iter().all(|file| file.starts_with(project)), "{client:?}"),
                Err(_) => assert!(client.row().project_file.is_none(), "{client:?}"),
            }
        }
    }

    #[test]
    fn without_a_home_folder_the_file_must_be_named() {
        let error = ClientPaths::default().user_files(Client::Zed).unwrap_err().to_string();
        assert!(error.contains("--file"), "{error}");
    }
}
