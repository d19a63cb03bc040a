//! Plans the hooks of an agent, and finds and removes them. Nothing is changed here; it must not know how a change is
//! confirmed or written.

use std::path::{Path, PathBuf};

use anyhow::ensure;
use clap::ValueEnum;
use serde_json::{Value, json};

use super::file_plan::{Plan, Step, Target, resolve};
use super::notice;
use super::ownership::{self, Ownership};
use super::records::{Part, Record, Records};
use super::run::Run;
use crate::cli::clients::{
    Client, ClientPaths, HookContent, HookServer, Scope, installed_program, key_variable, unusual_name,
};
use crate::cli::config_file::{self, FileAccess};
use crate::cli::config_text;
use crate::cli::server_address;
use crate::sha256::sha256_hex;

/// The member of a file that has hooks by event, and that of an item with the commands.
const HOOKS: &str = "hooks";
/// The member with the version of the form.
const VERSION: &str = "version";
/// The option of hooks that use a server.
const URL_OPTION: &str = "--url";

/// Why no hooks are added.
#[derive(Debug)]
pub(super) struct Unavailable {
    pub(super) message: String,
    /// Whether those that `setup` wrote under this name are removed: they would use another memory than the entry.
    pub(super) replaces_former: bool,
}

/// Why the hooks are left out: a plugin has them, they would record the work in all folders in one bank, or the program is one
/// that hooks cannot start.
pub(super) fn unavailable(run: &Run<'_>, target: &Target) -> Option<Unavailable> {
    let because = |message: String| Some(Unavailable { message, replaces_former: false });
    if target.scope == Scope::User && (run.options.url.is_some() || run.global.path.is_some()) {
        let message = "no hooks are added: in a file for all folders, they would record the work in every repository in this one \
                       memory; run `setup --scope project` in the folder whose work belongs there"
            .to_owned();
        return Some(Unavailable { message, replaces_former: true });
    }
    if let Some(plugin) = target.client.hook_plugin(&run.paths) {
        return because(format!("no hooks are added, since a plugin has them (`{}`)", plugin.display()));
    }
    let error = installed_program(target.scope == Scope::Project).err()?;
    because(format!("no hooks are added: {error:#}"))
}

/// The record of the hooks that `setup` wrote for a target under this name.
pub(super) fn former(run: &Run<'_>, target: &Target, records: &Records) -> Option<Record> {
    let file = file(run, target).ok()?;
    records.of(&file, run.name(), target.project.as_deref(), Part::Hooks).cloned()
}

/// The file of a target, links followed.
fn file(run: &Run<'_>, target: &Target) -> anyhow::Result<PathBuf> {
    // The file of hooks for one project is in the project, also the user's own, so that its links are the project's.
    let scope = if target.scope == Scope::Local { Scope::Project } else { target.scope };
    resolve(scope, &target.file, &run.project)
}

/// The plan for the hooks of a target.
///
/// # Errors
/// The file cannot be read or parsed, or the program cannot be started by hooks.
pub(super) fn plan(run: &Run<'_>, target: &Target, records: &Records) -> anyhow::Result<Plan> {
    let client = target.client;
    let url = run.options.url.as_deref().map(|url| server_address::with_options(url, run.global, None));
    let url = url.transpose()?;
    let key_variable = key_variable(run.name());
    let server = url.as_deref().map(|url| HookServer {
        url,
        key_file: run.options.key_file.as_deref().filter(|file| file.as_os_str() != "-"),
        key_variable: &key_variable,
    });
    let content = client.hooks(target.scope, run.global, server)?;
    let file = file(run, target)?;
    let before = config_file::read(&file)?;
    let text = before.as_deref().unwrap_or_default();
    let known = records.of(&file, run.name(), target.project.as_deref(), Part::Hooks);
    let owner = Ownership::new(records, &file, run.name(), target.project.as_deref());
    let own = owner.of(present(client, text)?);
    let wanted = wanted(client, &content);
    let step = step(run, client, &own, &wanted, known, owner.shared_with(&wanted), before.is_some());
    // If nothing else was changed since, the update starts from the original, which `--remove` can restore.
    let original = known.filter(|_| !owner.shares()).and_then(|known| known.original(text));
    let (base, is_exact) = match (&step, original) {
        (Step::Update, Some(original)) => (original, true),
        (Step::Update | Step::Replace { .. }, _) => (without(client, text, &owner, false)?, false),
        _ => (text.to_owned(), matches!(step, Step::Add)),
    };
    let after = match step {
        Step::Nothing { .. } | Step::Share { .. } => text.to_owned(),
        _ => with(&base, &content)?,
    };
    let known = known.filter(|_| !matches!(step, Step::Add));
    let additions = if is_exact { config_text::additions(&base, &after) } else { None };
    let mut shown = vec![shown(&content)];
    shown.extend(known.filter(|known| known.launch == hash(&own)).map(|_| json!(own)));
    let record = Record {
        client: client.name(),
        file: file.clone(),
        link: config_file::last_link(&target.file)?,
        name: run.name().to_owned(),
        project: target.project.clone(),
        part: Part::Hooks,
        launch: hash(&wanted),
        after: sha256_hex(after.as_bytes()),
        additions: additions.unwrap_or_default().into_iter().map(|range| [range.start, range.end]).collect(),
        existed: known.map_or(before.is_some(), |known| known.existed),
        made_section: match known {
            Some(known) => known.made_section,
            None => !client.has_own_hook_file() && config_text::value_at(text, &[HOOKS])?.is_none(),
        },
        input: None,
        folders: known.map(|known| known.folders.clone()).unwrap_or_default(),
        commands: wanted.iter().map(|command| ownership::hash(command)).collect(),
        program: unusual_name(),
        replaced: known.and_then(|known| known.replaced_before(text)),
        former_mode: known.and_then(|known| known.former_mode),
    };
    let access = match target.scope {
        Scope::User | Scope::Local => FileAccess::PrivateIfNew,
        Scope::Project => FileAccess::PublicIfNew,
    };
    Ok(Plan {
        file,
        step,
        shown: json!(shown),
        notices: notice::of_hooks(run, target, server)?,
        notes: notes(run, target, server),
        access,
        before,
        after,
        record,
    })
}

/// The files of agents that have this program's hooks, and the lists of plugins that name one with them.
pub(super) fn installed(project: &Path, paths: &ClientPaths) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = Client::agents()
        .flat_map(|client| {
            let scopes = [Scope::User, Scope::Project, Scope::Local];
            let files = scopes.into_iter().flat_map(move |scope| client.hook_files(scope, project, paths));
            files.filter(move |file| has_hooks(client, file)).chain(client.hook_plugin(paths))
        })
        .collect();
    files.dedup();
    files
}

/// Whether a file has this program's hooks. One that cannot be read has none for its agent either.
fn has_hooks(client: Client, file: &Path) -> bool {
    let text = config_file::read(file).ok().flatten().unwrap_or_default();
    present(client, &text).is_ok_and(|present| !present.is_empty())
}

/// The notes of an agent's hooks; they name the files of other scopes that have this program's hooks, too.
fn notes(run: &Run<'_>, target: &Target, server: Option<HookServer<'_>>) -> Vec<String> {
    let client = target.client;
    let mut notes = Vec::new();
    for scope in [Scope::User, Scope::Project, Scope::Local] {
        for file in client.hook_files(scope, &run.project, &run.paths) {
            let is_other = file != target.file && scope != target.scope && has_hooks(client, &file);
            if is_other {
                notes.push(note_of_other(run, client, scope, &file));
            }
        }
    }
    notes.extend(client.hook_notes(target.scope, server));
    notes
}

/// The note on another file that has this program's hooks for the same folder, too.
fn note_of_other(run: &Run<'_>, client: Client, scope: Scope, file: &Path) -> String {
    let text = config_file::read(file).ok().flatten().unwrap_or_default();
    let uses_server = text.contains(URL_OPTION);
    if uses_server == run.options.url.is_some() {
        return format!(
            "`{}` has these hooks, too: the agent runs both for each event, and the second one is silent. One file is enough.",
            file.display()
        );
    }
    let scope = scope.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned());
    format!(
        "`{}` has hooks of another memory: in this project the agent runs both for each event, and one of the two answers. \
         `memory-bank-mcp setup --remove --client {} --scope {scope}` removes them there with their entry.",
        file.display(),
        client.name()
    )
}

fn step(
    run: &Run<'_>,
    client: Client,
    own: &[String],
    wanted: &[String],
    known: Option<&Record>,
    shared_with: Option<&str>,
    exists: bool,
) -> Step {
    let nothing = Step::Nothing { is_ours: known.is_some(), added_environment: Vec::new() };
    let is_foreign = client.has_own_hook_file() && own.is_empty() && exists;
    let is_wanted = hash(own) == hash(wanted);
    if is_foreign || run.options.replace && known.is_none() && !own.is_empty() && !is_wanted {
        Step::Replace { present: json!({ "command": own.first() }), is_edited: false }
    } else if let Some(name) = shared_with.filter(|_| known.is_none()) {
        Step::Share { name: name.to_owned() }
    } else if own.is_empty() {
        Step::Add
    } else if is_wanted {
        nothing
    } else if known.is_some() {
        Step::Update
    } else {
        // They were installed by hand, in another form.
        nothing
    }
}

/// This program's hooks in the text of a file: their commands, or the whole text of a file of their own.
pub(super) fn present(client: Client, text: &str) -> anyhow::Result<Vec<String>> {
    if client.has_own_hook_file() {
        return Ok(if client.is_hook_file(text) { vec![text.to_owned()] } else { Vec::new() });
    }
    let hooks = config_text::value_at(text, &[HOOKS])?;
    ensure!(
        hooks.as_ref().is_none_or(Value::is_object),
        "its member `{HOOKS}` is not an object; fix it first"
    );
    Ok(hooks.map(|hooks| client.hook_commands(&hooks)).unwrap_or_default())
}

/// The hash by which `setup` recognises hooks.
pub(super) fn hash(commands: &[String]) -> String {
    let mut commands: Vec<&str> = commands.iter().map(String::as_str).collect();
    commands.sort_unstable();
    sha256_hex(commands.join("\0").as_bytes())
}

/// The text without the hooks of one name; with `prunes`, also without the member of all hooks, if it becomes empty.
pub(super) fn without(client: Client, text: &str, owner: &Ownership, prunes: bool) -> anyhow::Result<String> {
    if client.has_own_hook_file() {
        return Ok(String::new());
    }
    let Some(Value::Object(events)) = config_text::value_at(text, &[HOOKS])? else {
        return Ok(text.to_owned());
    };
    let is_own = |item: &Value| is_own(client, owner, item);
    let mut text = text.to_owned();
    for (event, list) in &events {
        if !client.hook_commands(list).iter().any(|command| owner.has_alone(command)) {
            continue;
        }
        let keep = usize::from(!prunes);
        text = config_text::remove_items(&text, &[HOOKS, event], HOOKS, &is_own, keep)?;
    }
    Ok(text)
}

/// Whether an item is one command, which belongs to this name alone.
fn is_own(client: Client, owner: &Ownership, item: &Value) -> bool {
    client.is_hook(item) && client.hook_commands(item).iter().all(|command| owner.has_alone(command))
}

/// The text with the hooks of `copy` that belong to one name.
pub(super) fn with_those_of(
    client: Client,
    text: &str,
    copy: &str,
    owner: &Ownership,
) -> anyhow::Result<String> {
    if client.has_own_hook_file() {
        return Ok(copy.to_owned());
    }
    let Some(Value::Object(events)) = config_text::value_at(copy, &[HOOKS])? else {
        return Ok(text.to_owned());
    };
    let mut text = text.to_owned();
    for (event, list) in &events {
        for item in list.as_array().into_iter().flatten() {
            if let Some(item) = own_part(client, owner, item) {
                text = config_text::append(&text, &[HOOKS, event], &item)?;
            }
        }
    }
    Ok(text)
}

/// The part of an item of an event's list that belongs to one name.
fn own_part(client: Client, owner: &Ownership, item: &Value) -> Option<Value> {
    if is_own(client, owner, item) {
        return Some(item.clone());
    }
    let mut part = item.clone();
    let inner = part.get_mut(HOOKS)?.as_array_mut()?;
    inner.retain(|item| is_own(client, owner, item));
    (!inner.is_empty()).then_some(part)
}

/// Whether the text has no content, apart from the version of its form.
pub(super) fn is_empty(text: &str) -> bool {
    match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(members)) => members.keys().all(|name| name == VERSION),
        _ => text.trim().is_empty(),
    }
}

fn with(text: &str, content: &HookContent) -> anyhow::Result<String> {
    match content {
        HookContent::Own(whole) => Ok(whole.clone()),
        HookContent::Listed { items, version } => {
            let start = match version {
                Some(version) => config_text::put_value(text, &[VERSION], version)?,
                None => text.to_owned(),
            };
            items
                .iter()
                .try_fold(start, |text, (event, item)| config_text::append(&text, &[HOOKS, event], item))
        }
    }
}

fn wanted(client: Client, content: &HookContent) -> Vec<String> {
    match content {
        HookContent::Own(whole) => vec![whole.clone()],
        HookContent::Listed { items, .. } => {
            items.iter().flat_map(|(_, item)| client.hook_commands(item)).collect()
        }
    }
}

/// The texts that may be shown.
fn shown(content: &HookContent) -> Value {
    match content {
        HookContent::Own(whole) => json!(whole),
        HookContent::Listed { items, .. } => json!(items.iter().map(|(_, item)| item).collect::<Vec<_>>()),
    }
}
