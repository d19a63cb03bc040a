//! `setup`: finds the agents on this machine, shows the change of their files, asks, writes, checks the result, and removes
//! it again with `--remove`.
//!
//! `run.rs` has the options, `plan.rs` plans the change of one file (`file_plan.rs`), `apply.rs` confirms and writes it, `remove.rs` undoes
//! it, `records.rs` stores the written parts, `replaced.rs` the entries of others that were replaced. Each agent is one
//! [`file_plan::Target`] with one file. Its hooks are a further target, which `hooks.rs` plans, and which is shown, written, recorded
//! and removed in the same way; `ownership.rs` separates those of several names in one file.

mod apply;
mod check;
mod file_plan;
mod hooks;
pub(crate) mod installed;
mod masks;
mod notice;
mod ownership;
mod plan;
mod records;
mod remove;
mod replaced;
mod report;
mod run;
mod show;

pub(crate) use self::run::SetupOptions;

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::path::PathBuf;

use anyhow::{Context, bail};
use memory_bank_core::identity::PlainKey;

use self::file_plan::Target;
use self::records::Part;
use self::report::Report;
use self::run::{Confirm, Run};
use crate::cli::client_config::project_folder;
use crate::cli::clients::{Client, ClientPaths, Scope, claude_project, key_variable};
use crate::cli::config_file;
use crate::cli::key_source;
use crate::cli::options::GlobalOptions;
use crate::cli::output::{Output, print_stderr};

/// Changes cannot be confirmed: there is no terminal, and no option confirms them.
#[derive(Debug, thiserror::Error)]
#[error(
    "standard input is not a terminal, so changes cannot be confirmed, and nothing was changed; see the changes with \
     `--dry-run`, or make them with `--yes`, for selected agents with `--yes --client NAME`"
)]
pub(crate) struct NoTerminal;

/// Sets up the agents, or undoes it.
pub(crate) async fn run(
    options: &SetupOptions,
    global: &GlobalOptions,
    output: Output,
) -> anyhow::Result<()> {
    let (setup_options, global_options) = (options.clone(), global.clone());
    // Prompts block a separate thread, so that a signal can end the process.
    let changes = tokio::task::spawn_blocking(move || change_files(&setup_options, &global_options, output));
    let (mut report, key) = changes.await.context("`setup` ended unexpectedly")??;
    if !options.remove && !options.dry_run && report.has_written_or_found() {
        report.findings = Some(match &options.url {
            Some(url) => check::check_server(url, key.as_ref()).await,
            None => crate::cli::doctor::findings_of_stdio(global).await,
        });
    }
    report.show(output)
}

/// Changes the files; returns the report, and the key of the server.
fn change_files(
    options: &SetupOptions,
    global: &GlobalOptions,
    output: Output,
) -> anyhow::Result<(Report, Option<PlainKey>)> {
    let confirm = confirm(options, output)?;
    let project = project_folder(global)?;
    let run = Run {
        options,
        global,
        output,
        confirm,
        claude_project: claude_project(&project).ok(),
        project,
        paths: ClientPaths::of_this_machine(),
        state: global.state_folder()?,
    };
    if run.confirm != Confirm::DryRun {
        discard_left_drafts(&run);
    }
    let mut report = Report::default();
    if options.remove {
        remove::run(&run, &mut report)?;
        return Ok((report, None));
    }
    let targets = targets(&run)?;
    let key = key(&run)?;
    apply::run(&run, &targets, key.as_ref(), &mut report)?;
    Ok((report, key))
}

/// Removes what a `setup` that was killed left beside the files of agents: a draft may have a key.
fn discard_left_drafts(run: &Run<'_>) {
    let scopes = [Scope::User, Scope::Project, Scope::Local];
    let files = Client::agents().flat_map(|client| {
        scopes.into_iter().flat_map(move |scope| {
            let of_hooks = client.hook_files(scope, &run.project, &run.paths);
            client.files(scope, &run.project, &run.paths).unwrap_or_default().into_iter().chain(of_hooks)
        })
    });
    // A file is written where its links lead.
    let targets = files.flat_map(|file| [config_file::target(&file).ok(), Some(file)]).flatten();
    let folders: BTreeSet<PathBuf> = targets.filter_map(|file| Some(file.parent()?.to_owned())).collect();
    folders.iter().for_each(|folder| config_file::discard_left_drafts(folder));
}

fn confirm(options: &SetupOptions, output: Output) -> Result<Confirm, NoTerminal> {
    if options.dry_run {
        Ok(Confirm::DryRun)
    } else if options.yes {
        Ok(Confirm::Yes)
    } else if std::io::stdin().is_terminal()
        && !output.json
        && options.key_file.as_ref().is_none_or(|file| file.as_os_str() != "-")
    {
        Ok(Confirm::Prompt)
    } else {
        Err(NoTerminal)
    }
}

/// The key, if the address of a server is given.
fn key(run: &Run<'_>) -> anyhow::Result<Option<PlainKey>> {
    let Some(url) = &run.options.url else { return Ok(None) };
    if let Some(file) = &run.options.key_file {
        return key_source::from_file(file).map(Some);
    }
    let variable = key_variable(run.name());
    if let Some(key) = key_source::from_variable(&variable)? {
        return Ok(Some(key));
    }
    if run.confirm != Confirm::Prompt {
        return Ok(None);
    }
    print_stderr(&format!(
        "The API key for {url} is written only into your own files, which others cannot read then."
    ))?;
    key_source::from_prompt(&format!("API key (hidden; leave it empty to set {variable} yourself): "))
}

/// The files to write.
fn targets(run: &Run<'_>) -> anyhow::Result<Vec<Target>> {
    let mut targets = Vec::new();
    let mut clients = run.options.clients.clone();
    clients.sort_unstable();
    clients.dedup();
    if clients.is_empty() {
        let found = run.paths.found();
        if found.is_empty() {
            let searched = Client::agents().map(|client| {
                format!("\n  {}: {}", client.row().title, run.paths.searched(client).join(", "))
            });
            bail!(
                "no agent was found on this machine; name one with `--client`, such as `--client claude-code`. `setup` looked for{}",
                searched.collect::<String>()
            );
        }
        clients = found.into_iter().map(|found| found.client).collect();
        clients.dedup();
        if run.options.scope == Some(Scope::Project) {
            clients.retain(|client| client.row().project_file.is_some());
        }
        if run.options.scope == Some(Scope::Local) {
            clients.retain(|client| *client == Client::ClaudeCode);
        }
    }
    if clients.contains(&Client::Inspector) {
        bail!(
            "the MCP Inspector is started by hand, with a file of its own; use `client-config --client inspector --write`"
        );
    }
    for client in clients {
        let scope = run.options.scope.unwrap_or_else(|| client.setup_scope());
        let files = client
            .files(scope, &run.project, &run.paths)
            .with_context(|| format!("{} cannot be set up", client.row().title))?;
        let project = match scope {
            Scope::Local => Some(run.claude_project.clone().context("the project's path is not UTF-8")?),
            Scope::User | Scope::Project => None,
        };
        let target = |file| Target { client, scope, file, project: project.clone(), part: Part::Server };
        targets.extend(files.into_iter().map(target));
        let hooks =
            client.hook_file(scope, &run.project, &run.paths, run.name()).filter(|_| !run.options.no_hooks);
        let project = project.clone();
        targets.extend(hooks.map(|file| Target { client, scope, file, project, part: Part::Hooks }));
    }
    Ok(targets)
}
