//! What is to be done with one file. Nothing is changed here.

use std::path::{Path, PathBuf};

use anyhow::bail;
use memory_bank_core::identity::PlainKey;
use serde_json::Value;

use super::records::{Record, Records, digest};
use super::{Run, TOOLS};
use crate::cli::clients::{
    Client, Scope, Server, StartsIn, carried_over, is_same_server, launch, server_on_this_machine,
    surroundings,
};
use crate::cli::config_file::{self, Readers};
use crate::cli::config_text::{self, Spot};
use crate::cli::server_address;

/// A file of an agent.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) client: Client,
    pub(super) scope: Scope,
    pub(super) file: PathBuf,
}

/// What is to be done with a file.
#[derive(Debug)]
pub(super) enum Step {
    /// The entry is there; `ours` if `setup` wrote it. It also sets what `surroundings` names.
    Nothing { ours: bool, surroundings: Vec<String> },
    /// The entry is new.
    Add,
    /// An entry that `setup` wrote gets other options.
    Update,
    /// Another entry has the name.
    Replace { present: Value },
}

/// A change of a file.
#[derive(Debug)]
pub(super) struct Plan {
    /// The file, links followed.
    pub(super) file: PathBuf,
    pub(super) step: Step,
    pub(super) server: Server,
    pub(super) entry: Value,
    pub(super) readers: Readers,
    pub(super) before: Option<String>,
    pub(super) after: String,
    /// The record of what is written.
    pub(super) record: Record,
}

impl Target {
    /// Whether the file, or the entry in it, is of one project.
    pub(super) fn wants_project(&self, run: &Run<'_>) -> bool {
        let names_it = self.client.row().starts_in == StartsIn::Elsewhere && run.wanted.url.is_none();
        self.scope == Scope::Project || names_it
    }

    pub(super) fn spot<'a>(&self, name: &'a str) -> Spot<'a> {
        spot(self.client, name)
    }
}

/// Where a client has the entry of this name.
pub(super) fn spot(client: Client, name: &str) -> Spot<'_> {
    Spot { format: client.row().format, section: client.row().section, name }
}

/// The file of a target, links followed. A link of a project may not lead out of it.
pub(super) fn resolve(scope: Scope, file: &Path, project: &Path) -> anyhow::Result<PathBuf> {
    match scope {
        Scope::Project => config_file::target_within(file, project),
        Scope::User => config_file::target(file),
    }
}

/// The plan for a target as its file is now.
///
/// # Errors
/// The file cannot be read or understood, or the agent cannot be connected in that way.
pub(super) fn plan(
    run: &Run<'_>,
    target: &Target,
    key: Option<&PlainKey>,
    records: &Records,
) -> anyhow::Result<Plan> {
    let name = run.name();
    let server = server(run, target, key)?;
    let entry = target.client.entry(&server);
    let spot = target.spot(name);
    let file = resolve(target.scope, &target.file, &run.project)?;
    let before = config_file::read(&file)?;
    let text = before.as_deref().unwrap_or_default();
    let present = config_text::find(text, spot)?;
    let known = records.of(&file, name);
    let step = match &present {
        None => Step::Add,
        Some(present) if is_same_server(present, &entry) => {
            Step::Nothing { ours: known.is_some(), surroundings: surroundings(present, &entry) }
        }
        Some(present) if known.is_some_and(|known| known.launch == digest_of(present)) => Step::Update,
        Some(present) => Step::Replace { present: present.clone() },
    };
    let (after, record) =
        write(&step, target, name, known, text, before.is_some(), present.as_ref(), &entry, &server)?;
    let record = Record { file: file.clone(), ..record };
    let readers = server.readers(target.scope);
    Ok(Plan { file, step, server, entry, readers, before, after, record })
}

/// The text after the step, and its record.
#[expect(
    clippy::too_many_arguments,
    reason = "the parts of one plan, which has no sense without any of them"
)]
fn write(
    step: &Step,
    target: &Target,
    name: &str,
    known: Option<&Record>,
    text: &str,
    exists: bool,
    present: Option<&Value>,
    entry: &Value,
    server: &Server,
) -> anyhow::Result<(String, Record)> {
    let spot = target.spot(name);
    let input = target.client.input(server);
    // Where nothing else was changed since, it is as if it had not been written: the original can still come back.
    let original = known.and_then(|known| known.original(text));
    let base = match (step, &original) {
        (Step::Update, Some(original)) => original.as_str(),
        _ => text,
    };
    let written = match (step, present) {
        (Step::Update, Some(present)) => carried_over(present, entry),
        _ => entry.clone(),
    };
    let after = match step {
        Step::Nothing { .. } => text.to_owned(),
        _ => config_text::put(base, spot, &written, input.as_ref())?,
    };
    // A record of an entry that is gone says nothing of the file as it is now.
    let known = known.filter(|_| !matches!(step, Step::Add));
    let existed = known.map_or(exists, |known| known.existed);
    let additions = match step {
        Step::Add => config_text::additions(base, &after),
        Step::Update if original.is_some() => config_text::additions(base, &after),
        _ => None,
    };
    let made_section = match known {
        Some(known) => known.made_section,
        None => !config_text::has_section(text, spot)?,
    };
    let record = Record {
        client: target.client.name(),
        file: PathBuf::new(),
        name: name.to_owned(),
        launch: digest_of(entry),
        after: digest(&after),
        additions: additions.unwrap_or_default().into_iter().map(|range| [range.start, range.end]).collect(),
        existed,
        made_section,
        input: input.and_then(|input| Some(input.get("id")?.as_str()?.to_owned())),
        folders: known.map(|known| known.folders.clone()).unwrap_or_default(),
    };
    Ok((after, record))
}

/// By what an entry is recognised.
pub(super) fn digest_of(entry: &Value) -> String {
    digest(&launch(entry).join("\0"))
}

/// How the agent reaches the server.
fn server(run: &Run<'_>, target: &Target, key: Option<&PlainKey>) -> anyhow::Result<Server> {
    let Some(url) = &run.wanted.url else {
        let tools = run.global.tools.as_ref().map_or_else(|| TOOLS.to_owned(), ToString::to_string);
        return server_on_this_machine(target.client, target.scope, run.global, &run.project, Some(&tools));
    };
    let key = key.filter(|_| target.scope == Scope::User || !target.client.row().is_shared).cloned();
    if key.is_none() && !target.client.finds_the_key() {
        match target.scope {
            Scope::Project => bail!(
                "it takes the key from its file alone, and the project's file is meant to be committed; use `--scope user`"
            ),
            Scope::User => bail!("it takes the key from its file alone; give it with `--key-file`"),
        }
    }
    let url = server_address::with_options(url, run.global, Some(TOOLS))?;
    Ok(Server::Http { url, key, name: run.name().to_owned() })
}
