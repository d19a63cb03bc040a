//! How a client starts this program: the command, and the options that are taken over from this command line.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use memory_bank_core::caller::UNKNOWN_USER;
use memory_bank_core::mode::Mode;

use super::package_runner::PackageRunner;
use super::{Client, Scope, Server, StartsIn};
use crate::cli::options::GlobalOptions;

/// The folder in which Homebrew keeps each version of a program; the links to it outlive an upgrade.
const CELLAR: &str = "Cellar";

/// Beginnings of placeholders that clients replace in arguments.
const PLACEHOLDERS: [&str; 3] = ["${", "{env:", "{file:"];

/// This program as a server that the client starts, with the toolset `tools`.
///
/// # Errors
/// The path of the program or of the project cannot be written into the file.
pub(crate) fn server_on_this_machine(
    client: Client,
    scope: Scope,
    global: &GlobalOptions,
    project: &Path,
    tools: Option<&str>,
) -> anyhow::Result<Server> {
    let program = own_program()?;
    let mut words = command(&program, scope == Scope::Project && client.row().is_shared)?;
    words.iter().try_for_each(|word| literal(client, word).map(|_| ()))?;
    words.extend(arguments(client, scope, global, project, tools)?);
    let mut words = words.into_iter();
    let command = words.next().context("the path of this program is not known")?;
    Ok(Server::Stdio { command, arguments: words.collect() })
}

/// This program for hooks, which an agent waits for: a program that a package runner must find first takes too long.
///
/// # Errors
/// The program is in the cache of a package runner.
pub(crate) fn installed_program(is_committed: bool) -> anyhow::Result<String> {
    let program = own_program()?;
    if let Some(runner) = PackageRunner::of(&program) {
        bail!(
            "this program runs from the cache of {}, which takes too long to start for hooks; install it with `{}`, then run \
             `memory-bank-mcp setup`",
            runner.name,
            runner.install
        );
    }
    command(&program, is_committed)?.into_iter().next().context("the path of this program is not known")
}

/// The path of this program, on Windows without the beginning of canonical paths.
fn own_program() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe().context("the path of this program is not known")?;
    Ok(dunce::simplified(&program).to_owned())
}

/// The words that start this program.
///
/// A file that is committed contains the bare name, if that resolves to this program; all others the full path,
/// since graphical programs seldom have the `PATH` of the shell.
fn command(program: &Path, is_committed: bool) -> anyhow::Result<Vec<String>> {
    if let Some(runner) = PackageRunner::of(program) {
        return runner.words().with_context(|| {
            format!(
                "this program runs from the cache of {}, which may be emptied at any time; install it first, such as with `{}`, \
                 and run the installed program",
                runner.name, runner.install
            )
        });
    }
    let name = program.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let on_path = std::env::var_os("PATH").and_then(|path| {
        let found =
            std::env::split_paths(&path).map(|folder| folder.join(&name)).find(|file| file.is_file())?;
        let is_this = found.canonicalize().ok()? == program.canonicalize().ok()?;
        is_this.then_some(found)
    });
    if is_committed && on_path.is_some() {
        return Ok(vec![name]);
    }
    // The folder below `Cellar` has the version in its name, and goes at an upgrade; the link to it stays.
    let link = on_path
        .or_else(|| started_by(program))
        .filter(|found| is_below(program, CELLAR) && !is_below(found, CELLAR));
    let path =
        link.as_deref().unwrap_or(program).to_str().context("the path of this program is not UTF-8")?;
    Ok(vec![path.to_owned()])
}

/// The path by which this program was started, if it is a full one.
fn started_by(program: &Path) -> Option<PathBuf> {
    let path = PathBuf::from(std::env::args_os().next()?);
    (path.is_absolute() && path.canonicalize().ok()? == program.canonicalize().ok()?).then_some(path)
}

/// Whether the program is below a folder of this name.
fn is_below(program: &Path, folder: &str) -> bool {
    program.iter().any(|part| part == folder)
}

/// The arguments of the program. They name the project unless the client starts the program in it.
fn arguments(
    client: Client,
    scope: Scope,
    global: &GlobalOptions,
    project: &Path,
    tools: Option<&str>,
) -> anyhow::Result<Vec<String>> {
    let mut arguments = Vec::new();
    let mut option = |name: &str, value: &str| arguments.extend([name.to_owned(), value.to_owned()]);
    match client.row().starts_in {
        // VS Code replaces the placeholder in the project's file only.
        _ if scope == Scope::Project && client == Client::Vscode => option("--path", "${workspaceFolder}"),
        StartsIn::Project if scope != Scope::User || global.path.is_none() => {}
        StartsIn::Expands(folder) if scope == Scope::Project || global.path.is_none() => {
            option("--path", folder);
        }
        _ => option("--path", literal(client, project.to_str().context("the project's path is not UTF-8")?)?),
    }
    if global.folder != crate::cli::options::DEFAULT_FOLDER {
        option("--folder", literal(client, &global.folder)?);
    }
    if global.mode != Mode::default() {
        option("--mode", global.mode.as_str());
    }
    if global.username != UNKNOWN_USER {
        option("--username", literal(client, &global.username)?);
    }
    if let Some(tools) = tools {
        option("--tools", tools);
    }
    if let Some(state) = &global.state_dir {
        let state = std::path::absolute(state)?;
        option(
            "--state-dir",
            literal(client, state.to_str().context("the state folder's path is not UTF-8")?)?,
        );
    }
    let flags = [
        (global.follow_links, "--follow-links"),
        (global.read_only, "--read-only"),
        (global.debug, "--debug"),
    ];
    arguments.extend(flags.iter().filter(|(set, _)| *set).map(|(_, flag)| (*flag).to_owned()));
    Ok(arguments)
}

/// The text, unless the client would replace a part of it.
pub(super) fn literal(client: Client, text: &str) -> anyhow::Result<&str> {
    // google-gemini/gemini-cli, envVarResolver.ts: it also replaces variables without brackets.
    let is_name = |rest: &str| {
        rest.starts_with(|character: char| character.is_ascii_alphanumeric() || character == '_')
    };
    if client == Client::Gemini && text.split('$').skip(1).any(is_name) {
        bail!("Gemini CLI replaces the variable after `$` in `{text}`; use a name without it");
    }
    if let Some(placeholder) = PLACEHOLDERS.iter().find(|placeholder| text.contains(**placeholder)) {
        bail!("clients replace `{placeholder}` in `{text}`; use a name without it");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn of(client: Client, scope: Scope, words: &[&str]) -> Vec<String> {
        let global = crate::cli::Cli::parse_from([&["memory-bank-mcp"], words].concat()).global;
        arguments(client, scope, &global, Path::new("/shop"), None).unwrap()
    }

    #[test]
    fn the_project_is_named_where_the_client_does_not_start_the_server_in_it() {
        assert_eq!(of(Client::ClaudeCode, Scope::User, &[]), [""; 0]);
        assert_eq!(of(Client::ClaudeCode, Scope::User, &["--path", "/shop"]), ["--path", "/shop"]);
        assert_eq!(of(Client::ClaudeCode, Scope::Project, &["--path", "/shop"]), [""; 0]);
        assert_eq!(of(Client::Cursor, Scope::User, &[]), ["--path", "${workspaceFolder}"]);
        assert_eq!(of(Client::Vscode, Scope::Project, &[]), ["--path", "${workspaceFolder}"]);
        assert_eq!(of(Client::Vscode, Scope::User, &[]), ["--path", "/shop"]);
        assert_eq!(of(Client::ClaudeDesktop, Scope::User, &[]), ["--path", "/shop"]);
    }

    #[test]
    fn options_of_the_command_line_are_taken_over() {
        let words = ["-u", "Jo B", "-m", "architect", "-f", "bank", "--read-only", "--state-dir", "/state"];
        let arguments = of(Client::Codex, Scope::User, &words).join(" ");
        assert_eq!(
            arguments,
            "--folder bank --mode architect --username Jo B --state-dir /state --read-only"
        );
    }

    #[test]
    fn a_name_that_a_client_would_replace_is_refused() {
        for name in ["${HOME}", "{env:KEY}", "{file:/etc/passwd}"] {
            let global = crate::cli::Cli::parse_from(["memory-bank-mcp", "-u", name]).global;
            let error = arguments(Client::Codex, Scope::User, &global, Path::new("/shop"), None).unwrap_err();
            assert!(error.to_string().contains("clients replace"), "{error}");
        }
        let in_folder = |client, folder| {
            let global = crate::cli::Cli::parse_from(["memory-bank-mcp", "--path", folder]).global;
            arguments(client, Scope::User, &global, Path::new(folder), None)
        };
        assert!(
            in_folder(Client::Gemini, "/a$HOME/b").unwrap_err().to_string().contains("Gemini CLI replaces")
        );
        assert!(in_folder(Client::Gemini, "/a$/b").is_ok() && in_folder(Client::Codex, "/a$HOME/b").is_ok());
    }

    #[test]
    fn a_program_in_a_cache_is_started_by_its_package_or_not_at_all() {
        let words = |folder: &str| command(&Path::new(folder).join("bin/memory-bank-mcp"), false);
        for (folder, start) in [
            ("/home/jo/.npm/_npx/1a/node_modules/x", "npx -y @diazstg/memory-bank-mcp"),
            ("/home/jo/.cache/pnpm/dlx/6f/1a-2n/node_modules/x", "pnpm dlx @diazstg/memory-bank-mcp"),
            ("/tmp/bunx-0-@diazstg/x@latest/node_modules/x", "bunx @diazstg/memory-bank-mcp"),
        ] {
            assert!(words(folder).unwrap().join(" ").ends_with(start), "{folder}");
        }
        for (folder, install) in [
            ("/home/jo/.cache/uv/archive-v0/ab", "uv tool install"),
            ("/home/jo/.cache/pipx/c539b568024c72c", "pipx install"),
            ("/tmp/dlx-11894/node_modules/x", "npm install --global"),
        ] {
            let error = words(folder).unwrap_err().to_string();
            assert!(error.contains(install), "{folder}: {error}");
        }
        assert_eq!(command(Path::new("/opt/x/memory-bank-mcp"), false).unwrap(), ["/opt/x/memory-bank-mcp"]);
    }
}
