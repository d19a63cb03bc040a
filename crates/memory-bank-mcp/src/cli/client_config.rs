//! `client-config`: an MCP client's configuration, printed or merged into its file.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::Args;
use serde_json::{Value, json};

use crate::cli::clients::{
    Client, ClientPaths, DEFAULT_NAME, Scope, Server, check_may_hold_key, is_same_server,
    server_on_this_machine,
};
use crate::cli::config_file::{self, ReplaceOutcome};
use crate::cli::config_text::{self, Format};
use crate::cli::key_source;
use crate::cli::options::GlobalOptions;
use crate::cli::output::{Output, print_stderr};
use crate::cli::server_address;

/// Options of `client-config`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ClientConfigOptions {
    /// The client.
    #[arg(long, value_enum)]
    client: Client,

    /// The address of a server, such as `https://memory.example.com/mcp`; without it, the client starts this program by itself.
    #[arg(long, value_name = "URL", value_parser = server_address::parse)]
    http: Option<String>,

    /// Read an API key from standard input and put it into the configuration, for clients that can read it only from
    /// there.
    #[arg(long, requires = "http")]
    key_stdin: bool,

    /// The server's name in the client. The variable for the key has this name in it, unless it is the default.
    #[arg(long, default_value = DEFAULT_NAME, value_parser = parse_name)]
    name: String,

    /// The user's or the project's file; the client's default when absent.
    #[arg(long, value_enum)]
    scope: Option<Scope>,

    /// Merge it into the client's file; everything else in the file is kept.
    #[arg(long)]
    write: bool,

    /// Another file than the client's default.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// Replace a different entry of the same name.
    #[arg(long, requires = "write")]
    force: bool,
}

/// Prints the configuration, or merges it into the client's file.
pub(crate) fn run(
    options: &ClientConfigOptions,
    global: &GlobalOptions,
    output: Output,
) -> anyhow::Result<()> {
    let client = options.client;
    let scope = options.scope.unwrap_or_else(|| client.default_scope());
    ensure!(
        scope != Scope::Local,
        "`client-config` writes no entries for one project into your own file; use `setup --scope local`"
    );
    let key = if options.key_stdin { Some(key_source::from_stdin()?) } else { None };
    let project = project_folder(global)?;
    let file = match &options.file {
        Some(file) => file.clone(),
        None => {
            let files = client.files(scope, &project, &ClientPaths::of_this_machine())?;
            files.into_iter().next().context("the client has no file; name one with `--file`")?
        }
    };
    if options.file.is_none() && scope == Scope::Project && client.row().is_shared {
        ensure!(
            key.is_none(),
            "`{}` is meant to be committed, so no key is written into it: {}; omit `--key-stdin`",
            file.display(),
            client.key_advice(&options.name)
        );
    }
    let server = match &options.http {
        Some(url) => Server::Http {
            url: server_address::with_options(url, global, None)?,
            key,
            name: options.name.clone(),
        },
        None => {
            let tools = global.tools.as_ref().map(ToString::to_string);
            server_on_this_machine(client, scope, global, &project, tools.as_deref())?
        }
    };
    if options.write {
        let within = (options.file.is_none() && scope == Scope::Project).then_some(project.as_path());
        return write(options, &server, &file, within, output);
    }
    print(options, &server, &file, scope, output)
}

/// Prints the configuration for the file.
fn print(
    options: &ClientConfigOptions,
    server: &Server,
    file: &Path,
    scope: Scope,
    output: Output,
) -> anyhow::Result<()> {
    let client = options.client;
    let snippet = snippet(client, &options.name, server)?;
    let entry = config_text::find(&snippet, client.location(&options.name, None))?.unwrap_or_default();
    let config = match client.row().format {
        Format::Json => serde_json::from_str(&snippet)?,
        Format::Toml => json!({ client.row().section: { options.name.as_str(): entry } }),
    };
    let notes = client.notes(server, scope);
    output.show(
        &json!({ "client": client.name(), "file": file, "config": config, "notes": notes }),
        &snippet,
    )?;
    if !output.json {
        let destination = file.display();
        print_stderr(&format!("Put this into {destination}, or use `--write` to merge it into the file."))?;
        notes.iter().try_for_each(|note| print_stderr(note))?;
    }
    Ok(())
}

/// The content of a new file.
pub(crate) fn snippet(client: Client, name: &str, server: &Server) -> anyhow::Result<String> {
    config_text::put("", client.location(name, None), &client.entry(server), client.input(server).as_ref())
}

/// Merges it into the file. With `within`, the file must be in that folder.
fn write(
    options: &ClientConfigOptions,
    server: &Server,
    file: &Path,
    within: Option<&Path>,
    output: Output,
) -> anyhow::Result<()> {
    let client = options.client;
    let scope = options.scope.unwrap_or_else(|| client.default_scope());
    if let Server::Http { key: None, .. } = server
        && !client.can_reference_key()
    {
        bail!(
            "`{}` reads the key only from its file; give the key with `--key-stdin`, for example `--key-stdin < key.txt`",
            client.name()
        );
    }
    let target = match within {
        Some(project) => config_file::target_within(file, project)?,
        None => config_file::target(file)?,
    };
    check_may_hold_key(server, client, &target, &ClientPaths::of_this_machine())?;
    let before = config_file::read(&target)?;
    let merged = merge(before.as_deref().unwrap_or_default(), options, server)
        .with_context(|| format!("`{}` is not changed", target.display()))?;
    let outcome = match &merged {
        None => "unchanged",
        Some((_, false)) => "added",
        Some((_, true)) => "replaced",
    };
    if let Some((text, _)) = merged {
        let replaced = config_file::replace(&target, &text, before.as_deref(), server.file_access(scope))
            .with_context(|| format!("`{}` cannot be written", target.display()))?;
        ensure!(
            replaced == ReplaceOutcome::Replaced,
            "`{}` was not written, because another program changed it at the same time; try again",
            target.display()
        );
    }
    let notes = client.notes(server, scope);
    output.show(
        &json!({ "client": client.name(), "file": target, "outcome": outcome, "notes": notes }),
        &format!("{}: `{}` {outcome}.", target.display(), options.name),
    )?;
    if !output.json {
        notes.iter().try_for_each(|note| print_stderr(note))?;
    }
    Ok(())
}

/// The text with the entry, and whether it replaces another one; `None` if the entry is there already.
fn merge(
    text: &str,
    options: &ClientConfigOptions,
    server: &Server,
) -> anyhow::Result<Option<(String, bool)>> {
    let location = options.client.location(&options.name, None);
    let entry = options.client.entry(server);
    let present: Option<Value> = config_text::find(text, location)?;
    match &present {
        Some(present) if is_same_server(present, &entry) => return Ok(None),
        Some(_) if !options.force => bail!(
            "it has a different entry `{}`; give the new one another `--name`, or replace the present one with `--force`",
            options.name
        ),
        _ => {}
    }
    let text = config_text::put(text, location, &entry, options.client.input(server).as_ref())?;
    Ok(Some((text, present.is_some())))
}

/// The project folder as an absolute path.
pub(crate) fn project_folder(global: &GlobalOptions) -> anyhow::Result<PathBuf> {
    let here = std::env::current_dir().context("the current folder cannot be used")?;
    let folder = global.path.as_ref().map_or_else(|| here.clone(), |path| here.join(path));
    // On Windows a canonical path begins with `\\?\`, which agents and people do not understand.
    dunce::canonicalize(&folder)
        .with_context(|| format!("`{}` is not a folder; name the project with `--path`", folder.display()))
}

/// Checks a name: every client and file format accepts these characters.
pub(crate) fn parse_name(text: &str) -> Result<String, String> {
    let is_valid = !text.is_empty()
        && text.len() <= 64
        && text.chars().all(|character| character.is_ascii_alphanumeric() || matches!(character, '-' | '_'));
    if is_valid { Ok(text.to_owned()) } else { Err("use up to 64 letters, digits, `-` and `_`".to_owned()) }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::Command;

    fn options(words: &[&str]) -> ClientConfigOptions {
        let cli = crate::cli::Cli::parse_from(
            [&["memory-bank-mcp", "client-config", "--client", "claude-code"], words].concat(),
        );
        let Some(Command::ClientConfig(options)) = cli.command else { panic!("another command") };
        options
    }

    fn local() -> Server {
        Server::Stdio { command: "m".to_owned(), arguments: Vec::new() }
    }

    #[test]
    fn a_second_merge_changes_nothing() {
        let (text, replaced) = merge("{ \"a\": 1 }", &options(&[]), &local()).unwrap().unwrap();
        assert!(!replaced);
        assert_eq!(merge(&text, &options(&[]), &local()).unwrap(), None);
    }

    #[test]
    fn a_different_entry_is_replaced_on_request_only() {
        let text = "{\"mcpServers\": {\"memory-bank\": {\"command\": \"old\"}, \"b\": 1}}";
        assert!(merge(text, &options(&[]), &local()).unwrap_err().to_string().contains("--force"));
        let (after, replaced) = merge(text, &options(&["--write", "--force"]), &local()).unwrap().unwrap();
        assert!(replaced);
        let value: Value = serde_json::from_str(&after).unwrap();
        let entry = Client::ClaudeCode.entry(&local());
        assert_eq!(value, json!({ "mcpServers": { "memory-bank": entry, "b": 1 } }));
    }
}
