//! Plans the change of one file of an agent. Nothing is changed here.

use std::path::PathBuf;

use anyhow::bail;
use memory_bank_core::identity::PlainKey;
use serde_json::{Value, json};

use super::file_plan::{Plan, Step, Target, resolve};
use super::hooks;
use super::notice;
use super::records::{Part, Record, Records};
use super::run::{Run, TOOLS};
use crate::cli::clients::{
    Scope, Server, added_environment, check_may_hold_key, is_same_server, launch, server_on_this_machine,
    with_present_settings,
};
use crate::cli::config_file;
use crate::cli::config_text;
use crate::cli::server_address;
use crate::sha256::sha256_hex;

/// The plan for a target as its file is now.
///
/// # Errors
/// The file cannot be read or parsed, or the agent does not support this kind of connection.
pub(super) fn plan(
    run: &Run<'_>,
    target: &Target,
    key: Option<&PlainKey>,
    records: &Records,
) -> anyhow::Result<Plan> {
    if target.part == Part::Hooks {
        return hooks::plan(run, target, records);
    }
    let name = run.name();
    let server = server(run, target, key)?;
    let entry = target.client.entry(&server);
    let location = target.client.location(name, target.project.as_deref());
    let file = resolve(target.scope, &target.file, &run.project)?;
    check_may_hold_key(&server, target.client, &file, &run.paths)?;
    let before = config_file::read(&file)?;
    let text = before.as_deref().unwrap_or_default();
    let present = config_text::find(text, location)?;
    let known = records.of(&file, name, target.project.as_deref(), Part::Server);
    let step = match &present {
        None => Step::Add,
        Some(present) if is_same_server(present, &entry) => {
            let added_environment = added_environment(present, &entry);
            Step::Nothing { is_ours: known.is_some(), added_environment }
        }
        Some(present) if known.is_some_and(|known| known.launch == launch_hash(present)) => Step::Update,
        Some(present) => {
            let is_same_program = launch(present).first() == launch(&entry).first();
            Step::Replace { present: present.clone(), is_edited: known.is_some() && is_same_program }
        }
    };
    let (after, record) =
        result(&step, target, name, known, text, before.is_some(), present.as_ref(), &entry, &server)?;
    let record = Record { file: file.clone(), link: config_file::last_link(&target.file)?, ..record };
    let access = server.file_access(target.scope);
    // An entry that `setup` wrote has no text of others, and the former project must be seen.
    let former = present.as_ref().filter(|_| matches!(step, Step::Update)).map(launch);
    let shown = json!([entry, target.client.input(&server), former]);
    let mut notices = notice::of_entry(run, target, &server);
    notices.extend(former.as_deref().and_then(|former| notice::of_move(former, &launch(&entry))));
    let notes = target.client.notes(&server, target.scope);
    Ok(Plan { file, step, shown, notices, notes, access, before, after, record })
}

/// The text after the step, and its record.
#[expect(clippy::too_many_arguments, reason = "the parts of one plan")]
fn result(
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
    let location = target.client.location(name, target.project.as_deref());
    let input = target.client.input(server);
    // If nothing else was changed since, the update starts from the original, which `--remove` can restore.
    let original = known.and_then(|known| known.original(text));
    let base = match (step, &original) {
        (Step::Update, Some(original)) => original.as_str(),
        _ => text,
    };
    let written = match (step, present) {
        (Step::Update, Some(present)) => with_present_settings(present, entry),
        _ => entry.clone(),
    };
    let after = match step {
        Step::Nothing { .. } | Step::Share { .. } => text.to_owned(),
        _ => config_text::put(base, location, &written, input.as_ref())?,
    };
    // The record of a removed entry does not describe the present file.
    let known = known.filter(|_| !matches!(step, Step::Add));
    let existed = known.map_or(exists, |known| known.existed);
    let additions = match step {
        Step::Add => config_text::additions(base, &after),
        Step::Update if original.is_some() => config_text::additions(base, &after),
        _ => None,
    };
    let made_section = match known {
        Some(known) => known.made_section,
        None => !config_text::has_section(text, location)?,
    };
    let record = Record {
        client: target.client.name(),
        file: PathBuf::new(),
        link: None,
        name: name.to_owned(),
        project: target.project.clone(),
        part: Part::Server,
        launch: launch_hash(entry),
        after: sha256_hex(after.as_bytes()),
        additions: additions.unwrap_or_default().into_iter().map(|range| [range.start, range.end]).collect(),
        existed,
        made_section,
        input: input.and_then(|input| Some(input.get("id")?.as_str()?.to_owned())),
        folders: known.map(|known| known.folders.clone()).unwrap_or_default(),
        commands: Vec::new(),
        program: None,
        replaced: known.and_then(|known| known.replaced_before(text)),
        former_mode: known.and_then(|known| known.former_mode),
    };
    Ok((after, record))
}

/// The hash by which `setup` recognises an entry.
pub(super) fn launch_hash(entry: &Value) -> String {
    sha256_hex(launch(entry).join("\0").as_bytes())
}

/// How the agent connects to the server.
fn server(run: &Run<'_>, target: &Target, key: Option<&PlainKey>) -> anyhow::Result<Server> {
    let Some(url) = &run.options.url else {
        let tools = run.global.tools.as_ref().map_or_else(|| TOOLS.to_owned(), ToString::to_string);
        return server_on_this_machine(target.client, target.scope, run.global, &run.project, Some(&tools));
    };
    let key = key.filter(|_| target.scope != Scope::Project || !target.client.row().is_shared).cloned();
    if key.is_none() && !target.client.can_reference_key() {
        match target.scope {
            Scope::Project => bail!(
                "it reads the key only from its file, and the project's file is meant to be committed; use `--scope user`"
            ),
            Scope::User | Scope::Local => {
                bail!("it reads the key only from its file; give the key with `--key-file`")
            }
        }
    }
    let url = server_address::with_options(url, run.global, Some(TOOLS))?;
    Ok(Server::Http { url, key, name: run.name().to_owned() })
}
