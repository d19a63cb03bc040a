//! `client-config`: an MCP client's configuration, printed or merged into its file.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::Args;
use serde_json::{Value, json};

use crate::cli::clients::{
    Client, DEFAULT_NAME, Place, Scope, Server, is_same_server, server_on_this_machine,
};
use crate::cli::config_file::{self, Replaced};
use crate::cli::config_text::{self, Format, Spot};
use crate::cli::key_source;
use crate::cli::options::GlobalOptions;
use crate::cli::output::{Output, note};
use crate::cli::server_address;

/// The configuration of a client.
#[derive(Debug, Clone, Args)]
pub(crate) struct ClientConfig {
    /// The client.
    #[arg(long, value_enum)]
    client: Client,

    /// The address of a server, such as `https://memory.example.com/mcp`; without it, the client starts this program by itself.
    #[arg(long, value_name = "URL", value_parser = server_address::parse)]
    http: Option<String>,

    /// Read an API key from standard input and put it into the configuration, for clients that can read it from
    /// nowhere else.
    #[arg(long, requires = "http")]
    key_stdin: bool,

    /// The server's name in the client. The variable for the key has this name in it, unless it is the default.
    #[arg(long, default_value = DEFAULT_NAME, value_parser = parse_name)]
    name: String,

    /// The user's or the project's file; the usual one of the client when absent.
    #[arg(long, value_enum)]
    scope: Option<Scope>,

    /// Merge it into the client's file; everything else in it stays unchanged.
    #[arg(long)]
    write: bool,

    /// Another file than the client's usual one.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// Replace a different entry of the same name.
    #[arg(long, requires = "write")]
    force: bool,
}

/// Prints the configuration, or merges it into the client's file.
pub(crate) fn run(wanted: &ClientConfig, global: &GlobalOptions, output: Output) -> anyhow::Result<()> {
    let client = wanted.client;
    let scope = wanted.scope.unwrap_or_else(|| client.usual_scope());
    let key = if wanted.key_stdin { Some(key_source::from_stdin()?) } else { None };
    let project = project_folder(global)?;
    let file = match &wanted.file {
        Some(file) => file.clone(),
        None => {
            let files = client.files(scope, &project, &Place::of_this_machine())?;
            files.into_iter().next().context("the client has no file; name one with `--file`")?
        }
    };
    if wanted.file.is_none() && scope == Scope::Project && client.row().is_shared {
        ensure!(
            key.is_none(),
            "`{}` is meant to be committed, so no key is put into it: {}; leave out `--key-stdin`",
            file.display(),
            client.key_advice(&wanted.name)
        );
    }
    let server = match &wanted.http {
        Some(url) => Server::Http {
            url: server_address::with_options(url, global, None)?,
            key,
            name: wanted.name.clone(),
        },
        None => {
            let tools = global.tools.as_ref().map(ToString::to_string);
            server_on_this_machine(client, scope, global, &project, tools.as_deref())?
        }
    };
    if wanted.write {
        let within = (wanted.file.is_none() && scope == Scope::Project).then_some(project.as_path());
        return write(wanted, &server, &file, within, output);
    }
    let snippet = snippet(client, &wanted.name, &server)?;
    let config = config_text::find(&snippet, spot(client, &wanted.name))?.unwrap_or_default();
    let whole = match client.row().format {
        Format::Json => serde_json::from_str(&snippet)?,
        Format::Toml => json!({ client.row().section: { wanted.name.as_str(): config } }),
    };
    let notes = client.notes(&server, scope);
    output
        .show(&json!({ "client": client.name(), "file": file, "config": whole, "notes": notes }), &snippet)?;
    if !output.json {
        note(&format!("This goes into {}; `--write` merges it into the file.", file.display()))?;
        for line in notes {
            note(&line)?;
        }
    }
    Ok(())
}

fn spot(client: Client, name: &str) -> Spot<'_> {
    Spot { format: client.row().format, section: client.row().section, name }
}

/// The content of a new file.
fn snippet(client: Client, name: &str, server: &Server) -> anyhow::Result<String> {
    config_text::put("", spot(client, name), &client.entry(server), client.input(server).as_ref())
}

/// Merges it into the file, which must be `within` that folder if one is given.
fn write(
    wanted: &ClientConfig,
    server: &Server,
    file: &Path,
    within: Option<&Path>,
    output: Output,
) -> anyhow::Result<()> {
    let client = wanted.client;
    let scope = wanted.scope.unwrap_or_else(|| client.usual_scope());
    if let Server::Http { key: None, .. } = server
        && !client.finds_the_key()
    {
        bail!(
            "`{}` takes the key from its file alone: give it with `--key-stdin`, for example `--key-stdin < key.txt`",
            client.name()
        );
    }
    let target = match within {
        Some(project) => config_file::target_within(file, project)?,
        None => config_file::target(file)?,
    };
    let before = config_file::read(&target)?;
    let merged = merge(before.as_deref().unwrap_or_default(), wanted, server)
        .with_context(|| format!("`{}` is not changed", target.display()))?;
    let outcome = match &merged {
        None => "unchanged",
        Some((_, false)) => "added",
        Some((_, true)) => "replaced",
    };
    if let Some((text, _)) = merged {
        let replaced = config_file::replace(&target, &text, before.as_deref(), server.readers(scope))
            .with_context(|| format!("`{}` cannot be written", target.display()))?;
        ensure!(
            replaced == Replaced::Yes,
            "`{}` cannot be written: somebody else changed it at the same moment, and nothing was lost; try again",
            target.display()
        );
    }
    let notes = client.notes(server, scope);
    output.show(
        &json!({ "client": client.name(), "file": target, "outcome": outcome, "notes": notes }),
        &format!("{}: `{}` {outcome}.", target.display(), wanted.name),
    )?;
    if !output.json {
        for line in notes {
            note(&line)?;
        }
    }
    Ok(())
}

/// The text with the entry, and whether another was replaced; none if nothing is to be changed.
fn merge(text: &str, wanted: &ClientConfig, server: &Server) -> anyhow::Result<Option<(String, bool)>> {
    let spot = spot(wanted.client, &wanted.name);
    let entry = wanted.client.entry(server);
    let present: Option<Value> = config_text::find(text, spot)?;
    match &present {
        Some(present) if is_same_server(present, &entry) => return Ok(None),
        Some(_) if !wanted.force => bail!(
            "it has an entry `{}` that says something else; give the new one another `--name`, or replace it with `--force`",
            wanted.name
        ),
        _ => {}
    }
    let text = config_text::put(text, spot, &entry, wanted.client.input(server).as_ref())?;
    Ok(Some((text, present.is_some())))
}

/// The project folder as an absolute path.
pub(crate) fn project_folder(global: &GlobalOptions) -> anyhow::Result<PathBuf> {
    let here = std::env::current_dir().context("the current folder cannot be used")?;
    let folder = global.path.as_ref().map_or_else(|| here.clone(), |path| here.join(path));
    folder
        .canonicalize()
        .with_context(|| format!("`{}` is no folder; name the project with `--path`", folder.display()))
}

/// A name that every client and file format takes.
pub(crate) fn parse_name(text: &str) -> Result<String, String> {
    let fits = !text.is_empty()
        && text.len() <= 64
        && text.chars().all(|character| character.is_ascii_alphanumeric() || matches!(character, '-' | '_'));
    if fits { Ok(text.to_owned()) } else { Err("use up to 64 letters, digits, `-` and `_`".to_owned()) }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::Command;

    fn wanted(words: &[&str]) -> ClientConfig {
        let cli = crate::cli::Cli::parse_from(
            [&["memory-bank-mcp", "client-config", "--client", "claude-code"], words].concat(),
        );
        let Some(Command::ClientConfig(wanted)) = cli.command else { panic!("another command") };
        wanted
    }

    fn local() -> Server {
        Server::Stdio { command: "m".to_owned(), arguments: Vec::new() }
    }

    #[test]
    fn a_second_merge_changes_nothing() {
        let (text, replaced) = merge("{ \"a\": 1 }", &wanted(&[]), &local()).unwrap().unwrap();
        assert!(!replaced);
        assert_eq!(merge(&text, &wanted(&[]), &local()).unwrap(), None);
    }

    #[test]
    fn an_entry_that_says_something_else_is_replaced_on_demand_only() {
        let text = "{\"mcpServers\": {\"memory-bank\": {\"command\": \"old\"}, \"b\": 1}}";
        assert!(merge(text, &wanted(&[]), &local()).unwrap_err().to_string().contains("--force"));
        let (after, replaced) = merge(text, &wanted(&["--write", "--force"]), &local()).unwrap().unwrap();
        assert!(replaced);
        let value: Value = serde_json::from_str(&after).unwrap();
        let entry = Client::ClaudeCode.entry(&local());
        assert_eq!(value, json!({ "mcpServers": { "memory-bank": entry, "b": 1 } }));
    }
}
