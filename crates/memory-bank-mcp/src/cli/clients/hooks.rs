//! The hooks of the agents that have them: the files, and their contents with this program in place of the bare name. The
//! files of `integrations/` are the source of both. It must not know how a file is edited.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::Context;
use serde_json::{Value, json};

use super::command_shell::CommandShell;
use super::program::{installed_program, literal};
use super::{Client, ClientPaths, Scope};
use crate::cli::options::{DEFAULT_FOLDER, GlobalOptions};
use crate::config::command_variables::API_KEY;

/// What an agent's hooks are written as.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum HookContent {
    /// Items of the lists `hooks.EVENT` of a JSON file that others write, too; and the version of its form, if it has one.
    Listed { items: Vec<(String, Value)>, version: Option<Value> },
    /// A file of its own.
    Own(String),
}

/// The hooks of one agent.
#[derive(Debug, Clone, Copy)]
pub(super) struct HookRow {
    client: Client,
    /// Its name for `hook --agent`.
    agent: &'static str,
    /// The file of `integrations/`.
    source: &'static str,
    /// The file of the user, in the folder of the agent's settings; of a project; and of the user for one project.
    pub(super) user: &'static str,
    pub(super) project: &'static str,
    pub(super) local: Option<&'static str>,
    /// Whether the file belongs to these hooks alone.
    pub(super) is_own: bool,
    /// The shell in which it runs a command on Windows, where the file does not name it.
    windows: CommandShell,
    /// A plugin or an extension that has the same hooks: its file in the folder of settings, and a word in it.
    plugin: Option<(&'static str, &'static str)>,
}

/// Every agent that has hooks.
static TABLE: [HookRow; 6] = [
    // https://code.claude.com/docs/en/hooks
    HookRow {
        client: Client::ClaudeCode,
        agent: "claude-code",
        source: include_str!("../../../../../integrations/claude-code/hooks/hooks.json"),
        user: "settings.json",
        project: ".claude/settings.json",
        local: Some(".claude/settings.local.json"),
        is_own: false,
        // Git Bash.
        windows: CommandShell::Posix,
        plugin: Some(("plugins/installed_plugins.json", "\"memory@memory-bank-mcp\"")),
    },
    // https://cursor.com/docs/agent/hooks
    HookRow {
        client: Client::Cursor,
        agent: "cursor",
        source: include_str!("../../../../../integrations/cursor/hooks.json"),
        user: "hooks.json",
        project: ".cursor/hooks.json",
        local: None,
        is_own: false,
        windows: CommandShell::Windows,
        plugin: None,
    },
    // openai/codex, docs/hooks.md
    HookRow {
        client: Client::Codex,
        agent: "codex",
        source: include_str!("../../../../../integrations/codex/hooks.json"),
        user: "hooks.json",
        project: ".codex/hooks.json",
        local: None,
        is_own: false,
        windows: CommandShell::Windows,
        plugin: None,
    },
    // google-gemini/gemini-cli, docs/hooks/index.md
    HookRow {
        client: Client::Gemini,
        agent: "gemini-cli",
        source: include_str!("../../../../../integrations/gemini-cli/hooks/hooks.json"),
        user: "settings.json",
        project: ".gemini/settings.json",
        local: None,
        is_own: false,
        // hookRunner.ts
        windows: CommandShell::PowerShell,
        plugin: Some(("extensions/memory-bank/gemini-extension.json", "\"memory-bank\"")),
    },
    // https://docs.github.com/en/copilot/reference/hooks-reference
    HookRow {
        client: Client::Copilot,
        agent: "copilot-cli",
        source: include_str!("../../../../../integrations/copilot-cli/memory-bank.json"),
        user: "hooks/memory-bank.json",
        project: ".github/hooks/memory-bank.json",
        local: None,
        is_own: true,
        windows: CommandShell::Windows,
        plugin: None,
    },
    // https://opencode.ai/docs/plugins
    HookRow {
        client: Client::Opencode,
        agent: "opencode",
        source: include_str!("../../../../../integrations/opencode/memory-bank.js"),
        user: "plugins/memory-bank.js",
        project: ".opencode/plugins/memory-bank.js",
        local: None,
        is_own: true,
        windows: CommandShell::Windows,
        plugin: None,
    },
];

/// The program in the files of `integrations/`.
const BARE: &str = "memory-bank-mcp hook ";
/// The lines of opencode's plugin that name the program and its options.
const SCRIPT_PROGRAM: &str = "const PROGRAM = process.env.MEMORY_BANK_MCP ?? \"memory-bank-mcp\";";
const SCRIPT_OPTIONS: &str = "const OPTIONS = [];";

/// A server for hooks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HookServer<'a> {
    pub(crate) url: &'a str,
    /// The file with the key; without it, the hooks read the variable.
    pub(crate) key_file: Option<&'a Path>,
    /// The variable with the key.
    pub(crate) key_variable: &'a str,
}

impl Client {
    pub(super) fn hook_row(self) -> Option<&'static HookRow> {
        TABLE.iter().find(|row| row.client == self)
    }

    /// Whether its hooks have a file of their own.
    pub(crate) fn has_own_hook_file(self) -> bool {
        self.hook_row().is_some_and(|row| row.is_own)
    }

    /// The plugin or extension that has the same hooks, if it is installed.
    pub(crate) fn hook_plugin(self, paths: &ClientPaths) -> Option<PathBuf> {
        let (file, word) = self.hook_row()?.plugin?;
        let file = paths.settings_folder(self)?.join(file);
        // A list of plugins is short.
        let is_short = std::fs::metadata(&file).is_ok_and(|file| file.is_file() && file.len() < 1024 * 1024);
        (is_short && std::fs::read_to_string(&file).is_ok_and(|text| text.contains(word))).then_some(file)
    }

    /// The hooks that start this program.
    ///
    /// # Errors
    /// The program is in a cache, or a path cannot be written into the file.
    pub(crate) fn hooks(
        self,
        scope: Scope,
        global: &GlobalOptions,
        server: Option<HookServer<'_>>,
    ) -> anyhow::Result<HookContent> {
        let row = self.hook_row().with_context(|| format!("{} has no hooks", self.row().title))?;
        let program = installed_program(scope == Scope::Project)?;
        let options = options(self, scope, global, server)?;
        literal(self, &program)?;
        content(row, &program, &options, cfg!(windows))
    }

    /// The commands of this program's hooks in a value, in any form of this agent.
    pub(crate) fn hook_commands(self, value: &Value) -> Vec<String> {
        let mut found = Vec::new();
        collect(value, &mut |text| {
            if self.is_hook_command(text) {
                found.push(text.to_owned());
            }
        });
        found
    }

    /// Whether an item is one command, which starts this program's hook.
    pub(crate) fn is_hook(self, item: &Value) -> bool {
        let members = item.as_object().into_iter().flat_map(|members| members.values());
        members.filter_map(Value::as_str).any(|text| self.is_hook_command(text))
    }

    fn is_hook_command(self, text: &str) -> bool {
        self.hook_row().is_some_and(|row| {
            text.split_once(" hook ").is_some_and(|(program, options)| {
                is_this_program(program) && options.contains(&format!("--agent {}", row.agent))
            })
        })
    }

    /// Whether a text of a file of its own starts this program's hooks.
    pub(crate) fn is_hook_file(self, text: &str) -> bool {
        text.contains("hook")
            && (text.contains(PROGRAM) || unusual_names().iter().any(|name| text.contains(name)))
    }

    /// Remaining steps for the user.
    pub(crate) fn hook_notes(self, scope: Scope, server: Option<HookServer<'_>>) -> Vec<String> {
        let mut notes = Vec::new();
        match self {
            Self::Codex => notes.push("Codex asks once whether you trust the hooks.".to_owned()),
            Self::Copilot | Self::Gemini | Self::ClaudeCode if scope == Scope::Project => {
                notes.push("The agent runs them after you trust the folder.".to_owned());
            }
            _ => {}
        }
        if let Some(server) = server.filter(|server| server.key_file.is_none()) {
            notes.push(format!(
                "Set {} in the environment of the agent: its hooks read the key from there, or from the file of `--key-file`.",
                server.key_variable
            ));
        }
        notes
    }
}

fn collect(value: &Value, found: &mut dyn FnMut(&str)) {
    match value {
        Value::String(text) => found(text),
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(members) => members.values().for_each(|member| collect(member, found)),
        _ => {}
    }
}

/// The options that hooks take over from this command line. The event names the folder of the session.
fn options(
    client: Client,
    scope: Scope,
    global: &GlobalOptions,
    server: Option<HookServer<'_>>,
) -> anyhow::Result<Vec<String>> {
    let mut options = Vec::new();
    let mut option = |name: &str, value: &str| -> anyhow::Result<()> {
        options.extend([name.to_owned(), literal(client, value)?.to_owned()]);
        Ok(())
    };
    if let Some(path) = global.path.as_deref().filter(|_| scope == Scope::User && server.is_none()) {
        let path = std::path::absolute(path)?;
        option("--path", path.to_str().context("the project's path is not UTF-8")?)?;
    }
    if global.folder != DEFAULT_FOLDER && server.is_none() {
        option("--folder", &global.folder)?;
    }
    if global.username != memory_bank_core::caller::UNKNOWN_USER && server.is_none() {
        option("--username", &global.username)?;
    }
    if let Some(state) = &global.state_dir {
        let state = std::path::absolute(state)?;
        option("--state-dir", state.to_str().context("the state folder's path is not UTF-8")?)?;
    }
    if let Some(server) = server {
        option("--url", server.url)?;
        match server.key_file {
            Some(file) => {
                let file = std::path::absolute(file)?;
                option("--key-file", file.to_str().context("the path of the key's file is not UTF-8")?)?;
            }
            None if server.key_variable != API_KEY => option("--key-variable", server.key_variable)?,
            None => {}
        }
    }
    let flags = [(global.follow_links, "--follow-links"), (global.read_only, "--read-only")];
    options.extend(flags.iter().filter(|(set, _)| *set).map(|(_, flag)| (*flag).to_owned()));
    Ok(options)
}

fn content(
    row: &HookRow,
    program: &str,
    options: &[String],
    is_windows: bool,
) -> anyhow::Result<HookContent> {
    if row.client == Client::Opencode {
        let text = row
            .source
            .replacen(SCRIPT_PROGRAM, &format!("const PROGRAM = {};", json!(program)), 1)
            .replacen(SCRIPT_OPTIONS, &format!("const OPTIONS = {};", json!(options)), 1);
        return Ok(HookContent::Own(text));
    }
    let mut whole: Value =
        serde_json::from_str(row.source).context("the hooks of this program are damaged")?;
    let mut error = None;
    replace_commands(&mut whole, &mut |name, text| {
        let rest = text.strip_prefix(BARE)?;
        let shell = if name == "powershell" {
            CommandShell::PowerShell
        } else if is_windows && name != "bash" {
            row.windows
        } else {
            CommandShell::Posix
        };
        // Shells other than that of Windows read a backslash as an escape; Windows accepts slashes in paths.
        let slashed = |word: &String| word.replace('\\', "/");
        let is_slashed = is_windows && shell != CommandShell::Windows;
        let (program, options) = match is_slashed {
            true => (program.replace('\\', "/"), options.iter().map(slashed).collect()),
            false => (program.to_owned(), options.to_vec()),
        };
        match shell.command(&program, rest, &options) {
            Ok(command) => Some(command),
            Err(refused) => {
                error = Some(refused);
                None
            }
        }
    });
    if let Some(error) = error {
        return Err(error);
    }
    if row.is_own {
        return Ok(HookContent::Own(format!("{}\n", serde_json::to_string_pretty(&whole)?)));
    }
    let events =
        whole.get("hooks").and_then(Value::as_object).context("the hooks of this program are damaged")?;
    let items = events
        .iter()
        .flat_map(|(event, list)| {
            list.as_array().into_iter().flatten().map(|item| (event.clone(), item.clone()))
        })
        .collect();
    Ok(HookContent::Listed { items, version: whole.get("version").cloned() })
}

fn replace_commands(value: &mut Value, change: &mut dyn FnMut(&str, &str) -> Option<String>) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| replace_commands(item, change)),
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                match member {
                    Value::String(text) => {
                        if let Some(changed) = change(name, text) {
                            *text = changed;
                        }
                    }
                    other => replace_commands(other, change),
                }
            }
        }
        _ => {}
    }
}

/// The usual name of this program.
const PROGRAM: &str = "memory-bank-mcp";

/// The names of copies of this program whose hooks `setup` has written.
static RECORDED_NAMES: OnceLock<Vec<String>> = OnceLock::new();

/// Takes hooks that start a program of one of these names for this program's, too. The first list stays.
pub(crate) fn recognise_programs(names: impl Iterator<Item = String>) {
    RECORDED_NAMES.get_or_init(|| names.collect());
}

/// The name of the running program without `.exe`, if it is a copy with another name than the usual one.
pub(crate) fn unusual_name() -> Option<String> {
    let name = std::env::current_exe().ok()?.file_name()?.to_string_lossy().into_owned();
    Some(without_extension(&name).to_owned()).filter(|name| name != PROGRAM)
}

fn without_extension(name: &str) -> &str {
    name.strip_suffix(".exe").unwrap_or(name)
}

/// Whether the beginning of a command, up to its first argument, starts this program: by its usual name, by that of the
/// running one, or by that of one whose hooks were written.
fn is_this_program(start: &str) -> bool {
    let start = start.trim().trim_matches(['"', '\'']);
    let name = without_extension(start.rsplit(['/', '\\']).next().unwrap_or_default());
    name == PROGRAM || unusual_names().iter().any(|known| known == name)
}

fn unusual_names() -> Vec<String> {
    RECORDED_NAMES.get().into_iter().flatten().cloned().chain(unusual_name()).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn of(client: Client, program: &str, options: &[&str]) -> HookContent {
        let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
        content(client.hook_row().unwrap(), program, &options, false).unwrap()
    }

    #[test]
    fn every_agent_with_hooks_gets_every_event_of_its_file_with_this_program() {
        for row in &TABLE {
            match of(row.client, "/opt/my programs/memory-bank-mcp", &["--folder", "it's"]) {
                HookContent::Listed { items, .. } => {
                    assert!(items.len() >= 5, "{:?}", row.client);
                    for (event, item) in items {
                        let commands = row.client.hook_commands(&item);
                        let expected = format!(
                            "'/opt/my programs/memory-bank-mcp' hook {event} --agent {} --folder 'it'\\''s'",
                            row.agent
                        );
                        assert_eq!(commands, [expected], "{item}");
                    }
                }
                HookContent::Own(text) => {
                    assert!(
                        text.contains("/opt/my programs/memory-bank-mcp")
                            && !text.contains(&format!("\"{BARE}"))
                    );
                    assert!(row.client.is_hook_file(&text));
                    assert!(text.contains("--folder") && text.contains("it'"), "{text}");
                }
            }
        }
    }

    #[test]
    fn on_windows_each_agent_gets_a_command_of_its_shell() {
        let of = |client: Client, program: &str| {
            let content = content(client.hook_row().unwrap(), program, &[], true).unwrap();
            let HookContent::Listed { items, .. } = content else { panic!("a file of its own") };
            let command = client.hook_commands(&items[0].1).remove(0);
            command.split_once(" hook ").unwrap().0.to_owned()
        };
        let (plain, blank) = ("C:\\p\\memory-bank-mcp.exe", "C:\\Jo Doe\\memory-bank-mcp.exe");
        assert_eq!(of(Client::ClaudeCode, plain), "C:/p/memory-bank-mcp.exe");
        assert_eq!(of(Client::ClaudeCode, blank), "'C:/Jo Doe/memory-bank-mcp.exe'");
        assert_eq!(of(Client::Gemini, plain), "C:/p/memory-bank-mcp.exe");
        assert_eq!(of(Client::Gemini, blank), "& 'C:/Jo Doe/memory-bank-mcp.exe'");
        assert_eq!(of(Client::Cursor, plain), plain);
        assert_eq!(of(Client::Cursor, blank), format!("\"{blank}\""));
    }

    #[test]
    fn hooks_take_over_the_options_that_select_the_bank() {
        let parsed =
            |words: &[&str]| crate::cli::Cli::parse_from([&["memory-bank-mcp"], words].concat()).global;
        let words = ["--folder", "bank", "-u", "Jo", "--state-dir", "/state", "--read-only", "-m", "ask"];
        let options =
            |server| options(Client::Codex, Scope::User, &parsed(&words), server).unwrap().join(" ");
        assert_eq!(options(None), "--folder bank --username Jo --state-dir /state --read-only");
        let server = HookServer {
            url: "https://a.example/mcp",
            key_file: Some(Path::new("/key")),
            key_variable: "MEMORY_BANK_API_KEY_SHOP",
        };
        assert_eq!(
            options(Some(server)),
            "--state-dir /state --url https://a.example/mcp --key-file /key --read-only"
        );
        let server = HookServer { key_file: None, ..server };
        assert_eq!(
            options(Some(server)),
            "--state-dir /state --url https://a.example/mcp --key-variable MEMORY_BANK_API_KEY_SHOP --read-only"
        );
        let server = HookServer { key_variable: API_KEY, ..server };
        assert_eq!(options(Some(server)), "--state-dir /state --url https://a.example/mcp --read-only");
    }

    #[test]
    fn commands_of_others_are_not_taken_for_ours() {
        for other in ["echo hook", "memory-bank-mcp doctor", "memory-bank-mcp hook Stop --agent codex"] {
            let item = json!({"hooks": [{"command": other}]});
            assert!(Client::ClaudeCode.hook_commands(&item).is_empty(), "{other}");
        }
    }
}
