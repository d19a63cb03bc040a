//! `client-config`: an MCP client's configuration, printed or merged into its file.

mod clients;
mod merge;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::{Args, ValueEnum};
use memory_bank_core::identity::PlainKey;
use serde_json::{Map, Value, json};

use self::clients::{Place, Server};
use self::merge::Merged;
use crate::cli::options::GlobalOptions;
use crate::cli::output::{Output, note};

/// The largest configuration file that is read, in bytes. Real ones have a few kilobytes.
const MAX_FILE: u64 = 8 * 1024 * 1024;

/// A key has 43 characters; a much longer line is not a key.
const MAX_KEY_LINE: u64 = 1024;

/// The configuration of a client.
#[derive(Debug, Clone, Args)]
pub(crate) struct ClientConfig {
    /// The client.
    #[arg(long, value_enum)]
    client: Client,

    /// The address of a server, such as `https://memory.example.com/mcp`; without it, the client starts this program by itself.
    #[arg(long, value_name = "URL", value_parser = parse_url)]
    http: Option<String>,

    /// Read an API key from standard input and put it into the configuration, for clients that can read it from
    /// nowhere else.
    #[arg(long, requires = "http")]
    key_stdin: bool,

    /// The server's name in the client.
    #[arg(long, default_value = "memory-bank", value_parser = parse_name)]
    name: String,

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

/// An MCP client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Client {
    /// Claude Code: `.mcp.json` in the project.
    ClaudeCode,
    /// Cursor: `.cursor/mcp.json` in the project.
    Cursor,
    /// Visual Studio Code: `.vscode/mcp.json` in the project.
    Vscode,
    /// Cline in Visual Studio Code: `cline_mcp_settings.json` of the user.
    Cline,
    /// Claude Desktop: `claude_desktop_config.json` of the user.
    ClaudeDesktop,
    /// The MCP Inspector: `mcp.json` in the project, given with `--config`.
    Inspector,
}

/// Prints the configuration, or merges it into the client's file.
pub(crate) fn run(wanted: &ClientConfig, cli: &GlobalOptions, output: Output) -> anyhow::Result<()> {
    let client = wanted.client;
    let key = if wanted.key_stdin { Some(key_from(std::io::stdin().lock())?) } else { None };
    let project = project_folder(cli)?;
    let file = match &wanted.file {
        Some(file) => file.clone(),
        None => client.file(&project, &Place::of_this_machine())?,
    };
    if wanted.file.is_none() && client.shares_its_file() {
        ensure!(
            key.is_none(),
            "`{}` is meant to be committed, so no key is put into it: {}; leave out `--key-stdin`",
            file.display(),
            client.key_advice()
        );
    }
    let server = match &wanted.http {
        Some(url) => Server::Http { url: url.clone(), key },
        None => Server::Stdio { command: client.command()?, arguments: client.arguments(cli, &project)? },
    };
    if wanted.write {
        // A project, including its links, may come from anybody.
        let within = (wanted.file.is_none() && file.starts_with(&project)).then_some(project.as_path());
        return write(wanted, &server, &file, within, output);
    }
    let snippet = snippet(client, &wanted.name, &server);
    let text = serde_json::to_string_pretty(&snippet)?;
    output.show(
        &json!({ "client": client.name(), "file": file, "config": snippet, "notes": client.notes(&server) }),
        &text,
    )?;
    if !output.json {
        note(&format!("This goes into {}; `--write` merges it into the file.", file.display()))?;
        for line in client.notes(&server) {
            note(&line)?;
        }
    }
    Ok(())
}

/// The content of a new file.
fn snippet(client: Client, name: &str, server: &Server) -> Value {
    let mut members = Map::new();
    if let Some(input) = client.input(server) {
        members.insert("inputs".to_owned(), json!([input]));
    }
    members.insert(client.section().to_owned(), json!({ name: client.entry(server) }));
    Value::Object(members)
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
    if let Server::Http { key: None, .. } = server
        && !client.finds_the_key()
    {
        bail!(
            "`{}` takes the key from its file alone: give it with `--key-stdin`, for example `--key-stdin < key.txt`",
            client.name()
        );
    }
    let target = target(file)?;
    if let Some(project) = within {
        ensure!(
            target.starts_with(project),
            "`{}` is a link that leads out of the project, to `{}`; if that is meant, name it with `--file`",
            file.display(),
            target.display()
        );
    }
    let before = read(&target)?;
    let merged = merge::merge(
        before.as_deref().unwrap_or_default(),
        client.section(),
        &wanted.name,
        &client.entry(server),
        client.input(server).as_ref(),
        wanted.force,
    )
    .with_context(|| format!("`{}` is not changed", target.display()))?;
    let (text, outcome) = match merged {
        Merged::Same => (None, "unchanged"),
        Merged::Added(text) => (Some(text), "added"),
        Merged::Replaced(text) => (Some(text), "replaced"),
    };
    if let Some(text) = text {
        replace(&target, &text, before.as_deref(), server.holds_a_key())
            .with_context(|| format!("`{}` cannot be written", target.display()))?;
    }
    output.show(
        &json!({ "client": client.name(), "file": target, "outcome": outcome, "notes": client.notes(server) }),
        &format!("{}: `{}` {outcome}.", target.display(), wanted.name),
    )?;
    if !output.json {
        for line in client.notes(server) {
            note(&line)?;
        }
    }
    Ok(())
}

/// The file to replace: links are followed, also if the file or its folders do not exist yet.
fn target(file: &Path) -> anyhow::Result<PathBuf> {
    let file = std::path::absolute(file)?;
    for (above, folder) in file.ancestors().enumerate() {
        if folder.symlink_metadata().is_err() {
            continue;
        }
        let found = folder
            .canonicalize()
            .with_context(|| format!("`{}` is a link that leads nowhere", folder.display()))?;
        let rest = file.components().count().saturating_sub(above);
        return Ok(file.components().skip(rest).fold(found, |path, part| path.join(part)));
    }
    Ok(file)
}

/// The text of the file, if there is one.
fn read(file: &Path) -> anyhow::Result<Option<String>> {
    // Opening a pipe would wait for a writer.
    if let Ok(metadata) = std::fs::metadata(file) {
        ensure!(metadata.is_file(), "`{}` is no regular file; name another with `--file`", file.display());
    }
    let opened = match std::fs::File::open(file) {
        Ok(opened) => opened,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("`{}` cannot be read", file.display())),
    };
    let mut text = String::new();
    let read = opened
        .take(MAX_FILE + 1)
        .read_to_string(&mut text)
        .with_context(|| format!("`{}` cannot be read as text", file.display()))?;
    ensure!(
        u64::try_from(read)? <= MAX_FILE,
        "`{}` has more than {MAX_FILE} bytes, too many for a configuration; name the right file with `--file`",
        file.display()
    );
    Ok(Some(text))
}

/// Replaces the file atomically. A file with a key is readable for its owner only, whatever its permissions were.
fn replace(file: &Path, text: &str, before: Option<&str>, secret: bool) -> anyhow::Result<()> {
    let folder = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(folder)?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(".memory-bank-mcp-");
    #[cfg(unix)]
    if !secret {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o644));
    }
    let mut draft = builder.tempfile_in(folder)?;
    draft.write_all(text.as_bytes())?;
    if before.is_some() {
        draft.as_file().set_permissions(permissions(&std::fs::metadata(file)?, secret))?;
    }
    draft.as_file().sync_all()?;
    // A running client may write its file, too.
    ensure!(
        read(file)?.as_deref() == before,
        "somebody else changed it at the same moment, and nothing was lost; try again"
    );
    if before.is_some() {
        draft.persist(file)?;
    } else {
        draft.persist_noclobber(file)?;
    }
    Ok(())
}

/// The file's permissions, without those of others if it contains a secret.
fn permissions(metadata: &std::fs::Metadata, secret: bool) -> std::fs::Permissions {
    #[cfg_attr(not(unix), expect(unused_mut, reason = "only Unix has bits to take away"))]
    let mut permissions = metadata.permissions();
    #[cfg(unix)]
    if secret {
        use std::os::unix::fs::PermissionsExt;
        permissions.set_mode(permissions.mode() & 0o7700);
    }
    #[cfg(not(unix))]
    let _all_the_same = secret;
    permissions
}

fn key_from(input: impl Read) -> anyhow::Result<PlainKey> {
    let mut line = String::new();
    input.take(MAX_KEY_LINE).read_to_string(&mut line).context("standard input is not text")?;
    // The line may be another secret, so the error does not repeat it.
    line.trim().parse().context(
        "standard input holds no API key; one begins with `mbmcp_live_` or `mbmcp_test_` and has 43 characters",
    )
}

/// The project folder as an absolute path.
fn project_folder(cli: &GlobalOptions) -> anyhow::Result<PathBuf> {
    let here = std::env::current_dir().context("the current folder cannot be used")?;
    let folder = cli.path.as_ref().map_or_else(|| here.clone(), |path| here.join(path));
    folder
        .canonicalize()
        .with_context(|| format!("`{}` is no folder; name the project with `--path`", folder.display()))
}

fn parse_url(text: &str) -> Result<String, String> {
    let url = url::Url::parse(text)
        .map_err(|error| format!("{error}; give an address such as https://host/mcp"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err("give an address that begins with http:// or https://".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("leave user and password out of the address; the key goes into a header".to_owned());
    }
    if matches!(url.path(), "" | "/") {
        return Err(format!(
            "MCP is not served at the root; give the whole address, such as {}/mcp",
            text.trim_end_matches('/')
        ));
    }
    Ok(text.to_owned())
}

fn parse_name(text: &str) -> Result<String, String> {
    let fits = !text.is_empty()
        && text.len() <= 64
        && text.chars().all(|character| character.is_ascii_alphanumeric() || matches!(character, '-' | '_'));
    if fits { Ok(text.to_owned()) } else { Err("use up to 64 letters, digits, `-` and `_`".to_owned()) }
}

impl Client {
    /// As on the command line.
    fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

impl Server {
    fn holds_a_key(&self) -> bool {
        matches!(self, Self::Http { key: Some(_), .. })
    }
}

#[cfg(test)]
mod tests {
    use super::clients::KEY_VARIABLE;
    use super::*;

    const KEY: &str = "mbmcp_live_0123456789abcdefghijABCDEFGHIJxy";

    fn remote(key: Option<&str>) -> Server {
        Server::Http {
            url: "https://memory.example.com/mcp".to_owned(),
            key: key.map(|key| key.parse().unwrap()),
        }
    }

    #[test]
    fn a_key_is_read_without_the_line_end() {
        assert_eq!(key_from(format!("{KEY}\r\n").as_bytes()).unwrap().expose(), KEY);
    }

    #[test]
    fn what_is_no_key_is_refused_without_repeating_it() {
        let error = key_from("hunter2-the-password\n".as_bytes()).unwrap_err();
        assert!(!format!("{error:#}").contains("hunter2"), "{error:#}");
    }

    #[test]
    fn an_address_with_a_password_or_another_scheme_is_refused() {
        for url in ["ftp://host/mcp", "memory.example.com/mcp", "https://me:secret@host/mcp"] {
            assert!(parse_url(url).is_err(), "{url}");
        }
        assert!(parse_url("http://127.0.0.1:3100/mcp").is_ok());
    }

    #[test]
    fn an_address_without_a_path_is_refused_with_the_one_that_is_meant() {
        for url in ["https://memory.example.com", "https://memory.example.com/"] {
            assert!(parse_url(url).unwrap_err().ends_with("such as https://memory.example.com/mcp"), "{url}");
        }
        assert!(parse_url("https://example.com/memory").is_ok(), "a proxy may put it anywhere");
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_is_refused_and_not_waited_for() {
        let folder = tempfile::TempDir::new().unwrap();
        let pipe = folder.path().join("mcp.json");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert!(read(&pipe).unwrap_err().to_string().contains("no regular file"));
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_gets_a_key_is_closed_to_others_and_keeps_its_bits_otherwise() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("mcp.json");
        let mode = || std::fs::metadata(&file).unwrap().permissions().mode() & 0o777;
        replace(&file, "{}", None, false).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o664)).unwrap();
        replace(&file, "{ }", Some("{}"), false).unwrap();
        assert_eq!(mode(), 0o664);
        replace(&file, "{  }", Some("{ }"), true).unwrap();
        assert_eq!(mode(), 0o600);
    }

    #[test]
    fn what_somebody_else_wrote_meanwhile_is_not_lost() {
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("mcp.json");
        std::fs::write(&file, "theirs").unwrap();
        for before in [None, Some("before")] {
            assert!(replace(&file, "ours", before, false).is_err());
            assert_eq!(std::fs::read_to_string(&file).unwrap(), "theirs");
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no draft is left");
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_to_the_file_that_is_meant_also_where_it_is_still_to_be_made() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::TempDir::new().unwrap();
        let root = folder.path().canonicalize().unwrap();
        for name in ["project", "outside"] {
            std::fs::create_dir(root.join(name)).unwrap();
        }
        let (project, outside) = (root.join("project"), root.join("outside"));
        symlink("../outside", project.join(".cursor")).unwrap();
        std::fs::write(outside.join("there.json"), "{}").unwrap();
        symlink("../outside/there.json", project.join(".mcp.json")).unwrap();
        symlink("../outside/nowhere", project.join(".vscode")).unwrap();
        assert_eq!(target(&project.join(".cursor/mcp.json")).unwrap(), outside.join("mcp.json"));
        assert_eq!(target(&project.join(".cursor/a/mcp.json")).unwrap(), outside.join("a/mcp.json"));
        assert_eq!(target(&project.join(".mcp.json")).unwrap(), outside.join("there.json"));
        assert_eq!(target(&project.join("new/mcp.json")).unwrap(), project.join("new/mcp.json"));
        assert!(target(&project.join(".vscode/mcp.json")).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_that_a_project_brings_along_changes_no_file_outside_of_it() {
        let folder = tempfile::TempDir::new().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let project = root.join("project");
        std::fs::create_dir(&project).unwrap();
        std::fs::write(root.join("mine.json"), "{}").unwrap();
        std::os::unix::fs::symlink("../mine.json", project.join(".mcp.json")).unwrap();
        let wanted = ClientConfig {
            client: Client::ClaudeCode,
            http: None,
            key_stdin: false,
            name: "memory-bank".to_owned(),
            write: true,
            file: None,
            force: true,
        };
        let file = project.join(".mcp.json");
        let output = Output { json: false };
        let error = write(&wanted, &remote(None), &file, Some(&project), output).unwrap_err().to_string();
        assert!(error.contains("leads out of the project") && error.contains("--file"), "{error}");
        assert_eq!(std::fs::read_to_string(root.join("mine.json")).unwrap(), "{}");
    }

    #[test]
    fn a_key_that_is_given_stands_in_every_snippet() {
        for client in Client::value_variants() {
            let text = snippet(*client, "memory-bank", &remote(Some(KEY))).to_string();
            assert!(text.contains(KEY), "{client:?}: {text}");
        }
    }

    #[test]
    fn without_a_key_the_snippet_says_where_the_client_finds_it() {
        for client in Client::value_variants() {
            let text = snippet(*client, "memory-bank", &remote(None)).to_string();
            let place = if client.finds_the_key() { [KEY_VARIABLE, "${input:"] } else { ["YOUR_API_KEY"; 2] };
            assert!(place.iter().any(|place| text.contains(place)), "{client:?}: {text}");
        }
    }
}
