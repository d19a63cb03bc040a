//! `setup --remove`: removes the recorded entries, and nothing else.

use std::path::Path;

use anyhow::ensure;
use clap::ValueEnum;
use serde_json::{Value, json};

use super::hooks;
use super::ownership::Ownership;
use super::plan::launch_hash;
use super::records::{Part, Record, Records};
use super::replaced;
use super::report::{Item, Outcome, Report};
use super::run::{ATTEMPTS, Confirm, Run, prompt};
use super::show;
use crate::cli::clients::{Client, Scope, launch};
use crate::cli::config_file::{self, FileAccess, ReplaceOutcome};
use crate::cli::config_text::{self, Format, PruneOptions};
use crate::cli::output::print_text;

/// Removes the recorded entries, the newest first, in the reverse order of their changes.
pub(super) fn run(run: &Run<'_>, report: &mut Report) -> anyhow::Result<()> {
    let mut records = Records::open(&run.state, run.confirm != Confirm::DryRun)?;
    let selected: Vec<Record> =
        records.all().iter().rev().filter(|record| is_selected(run, record)).cloned().collect();
    if selected.is_empty() {
        report.message = Some(format!(
            "Nothing to remove: `{}` has no entry that `setup` wrote{}.",
            records.path().display(),
            if records.all().is_empty() { "" } else { " for these options" }
        ));
    }
    for record in selected {
        let client = Client::from_str(&record.client, true).ok();
        for part in copy_of(client, &record, &records).into_iter().chain([record]) {
            let item = remove_entry(run, client, &part, &mut records).unwrap_or_else(|error| {
                let message = format!("nothing was changed: {error:#}");
                Item::new(client, &part.file, &part.name, Outcome::Failed, message)
            });
            let outcome = item.outcome;
            report.add(run.output, Item { part: part.part, ..item })?;
            if matches!(outcome, Outcome::Failed | Outcome::Skipped) {
                // The record of the file is needed until its copy is done.
                break;
            }
        }
    }
    Ok(())
}

/// The entry in a regular file that has replaced a recorded link, as programs leave it that save by replacing. It
/// counts while it starts the same program; a link that leads elsewhere is not followed.
fn copy_of(client: Option<Client>, record: &Record, records: &Records) -> Option<Record> {
    let link = record
        .link
        .as_ref()
        .filter(|link| records.of(link, &record.name, record.project.as_deref(), record.part).is_none())?;
    if config_file::target(link).ok()? != *link {
        return None;
    }
    let text = config_file::read(link).ok()??;
    let present = Present::find(client?, record, &text, &owner(records, record)).ok()??;
    (present.launch == record.launch).then(|| Record {
        file: link.clone(),
        link: None,
        additions: Vec::new(),
        existed: true,
        folders: Vec::new(),
        former_mode: None,
        ..record.clone()
    })
}

fn is_selected(run: &Run<'_>, record: &Record) -> bool {
    let of_client = run.options.clients.is_empty()
        || run.options.clients.iter().any(|client| client.name() == record.client);
    let of_name = run.options.name.as_ref().is_none_or(|name| *name == record.name);
    let of_scope = match run.options.scope {
        None => true,
        Some(Scope::Project) => record.file.starts_with(&run.project),
        Some(Scope::User) => record.project.is_none() && !record.file.starts_with(&run.project),
        Some(Scope::Local) => record.project.is_some() && record.project == run.claude_project,
    };
    of_client && of_name && of_scope
}

/// Which hooks in the file of a record are those of its name.
fn owner(records: &Records, record: &Record) -> Ownership {
    Ownership::new(records, &record.file, &record.name, record.project.as_deref())
}

/// The entry, or the hooks, as the file has them now.
struct Present {
    /// The hash by which they are recognised.
    launch: String,
    /// For a prompt.
    shown: String,
    /// The texts that may be shown.
    texts: Value,
    /// The other name that has the same hooks.
    shared_with: Option<String>,
}

impl Present {
    fn find(client: Client, record: &Record, text: &str, owner: &Ownership) -> anyhow::Result<Option<Self>> {
        if record.part == Part::Hooks {
            let commands = owner.of(hooks::present(client, text)?);
            let Some(first) = commands.first() else { return Ok(None) };
            let first = if client.has_own_hook_file() { String::new() } else { first.clone() };
            return Ok(Some(Self {
                launch: hooks::hash(&commands),
                shown: show::launch(&json!({ "command": first })),
                shared_with: owner.shared_with(&commands).map(str::to_owned),
                texts: json!(commands),
            }));
        }
        let entry = config_text::find(text, client.location(&record.name, record.project.as_deref()))?;
        Ok(entry.map(|entry| Self {
            launch: launch_hash(&entry),
            shown: show::launch(&entry),
            texts: json!(launch(&entry)),
            shared_with: None,
        }))
    }
}

/// A file without the entry.
struct Removal {
    text: String,
    /// Whether to delete the file, because it was created for the entry and has no other content.
    deletes_file: bool,
    /// Whether it has what `--replace` replaced.
    gives_back: bool,
}

/// Removes an entry, or hooks, that `setup` wrote.
pub(super) fn remove_entry(
    run: &Run<'_>,
    client: Option<Client>,
    record: &Record,
    records: &mut Records,
) -> anyhow::Result<Item> {
    let item = |outcome, message: String| Item::new(client, &record.file, &record.name, outcome, message);
    let Some(known) = client else {
        anyhow::bail!(
            "`{}` is not a client that this version knows; use the version that wrote the entry",
            record.client
        )
    };
    let (subject, owner) = (record.part.subject(&record.name), owner(records, record));
    for _ in 0..ATTEMPTS {
        check_file(record)?;
        let before = config_file::read(&record.file)?;
        let is_missing = before.is_none();
        let present = match &before {
            Some(text) => Present::find(known, record, text, &owner)?,
            None => None,
        };
        let (Some(before), Some(present)) = (before, present) else {
            if run.confirm != Confirm::DryRun {
                records.forget(record)?;
            }
            let copy = record
                .replaced
                .as_ref()
                .map(|replaced| format!("; what it replaced is in the copy `{}`", replaced.copy.display()));
            let copy = copy.unwrap_or_default();
            let message = if is_missing {
                format!(
                    "the file is not there any more, so {subject} {} removed with it{copy}; if its folder was moved, remove {subject} \
                     from the file by hand",
                    record.part.was()
                )
            } else {
                format!("{subject} {} removed before{copy}", record.part.was())
            };
            return Ok(item(Outcome::Unchanged, message));
        };
        if let Some(name) = &present.shared_with {
            if run.confirm != Confirm::DryRun {
                records.forget(record)?;
            }
            return Ok(item(Outcome::Unchanged, format!("the hooks stay, since `{name}` has the same")));
        }
        let removal = removal(known, record, &before, &owner)?;
        let diff = shown_diff(known, record, &before, &removal, &present.texts);
        let is_changed = present.launch != record.launch;
        if !run.output.json {
            print_text(&format!("\n{} ({})\n{diff}", known.row().title, record.file.display()))?;
        }
        let changed = is_changed.then_some(present.shown);
        if let Some((outcome, message)) = confirm_removal(run, record, &removal, changed)? {
            return Ok(Item { diff: Some(diff), ..item(outcome, message) });
        }
        if write(record, records, &before, &removal)? == ReplaceOutcome::Replaced {
            records.forget(record)?;
            remove_folders(record, records);
            if removal.gives_back {
                replaced::delete_copy(record, records);
            }
            let file =
                if removal.deletes_file { "; the file had no other content and is removed" } else { "" };
            let back = replaced::outcome(record, removal.gives_back, false);
            let message = format!("{subject} removed{file}{back}");
            return Ok(Item { diff: Some(diff), ..item(Outcome::Removed, message) });
        }
    }
    anyhow::bail!("another program changes it repeatedly; close the agent, then try again")
}

/// Checks that the file is the one that `setup` wrote: the record has it with links followed, and a link that was created since,
/// for example by a project, leads to another.
fn check_file(record: &Record) -> anyhow::Result<()> {
    let found = config_file::target(&record.file)?;
    ensure!(
        found == record.file,
        "`{}` is now a link to `{}`; restore the file, or remove the entry by hand",
        record.file.display(),
        found.display()
    );
    Ok(())
}

fn shown_diff(client: Client, record: &Record, before: &str, removal: &Removal, texts: &Value) -> String {
    let format = if record.part == Part::Hooks { Format::Json } else { client.row().format };
    if record.part == Part::Hooks && client.has_own_hook_file() {
        let outcome = if removal.gives_back { "has its former text again" } else { "is removed" };
        return format!("(the file {outcome})\n");
    }
    show::diff(before, &removal.text, format, texts)
}

/// The file without the entry: the original, if nothing else was changed; and with the entry that was replaced.
fn removal(client: Client, record: &Record, text: &str, owner: &Ownership) -> anyhow::Result<Removal> {
    if let Some(text) = replaced::given_back(client, record, text, owner)? {
        return Ok(Removal { text, deletes_file: false, gives_back: true });
    }
    let gives_back = false;
    if let Some(original) = record.original(text).filter(|_| !owner.shares()) {
        let deletes_file = !record.existed && original.is_empty();
        return Ok(Removal { deletes_file, text: original, gives_back });
    }
    if record.part == Part::Hooks {
        let text = hooks::without(client, text, owner, record.made_section)?;
        let deletes_file = hooks::is_empty(&text) && (client.has_own_hook_file() || !record.existed);
        return Ok(Removal { deletes_file, text, gives_back });
    }
    let prune = PruneOptions { empty_section: record.made_section, unused_input: record.input.as_deref() };
    let text = config_text::remove(text, client.location(&record.name, record.project.as_deref()), prune)?;
    let deletes_file = !record.existed && config_text::is_empty(&text, client.row().format);
    Ok(Removal { deletes_file, text, gives_back })
}

/// Confirms the removal; returns an outcome with its message if the entry is not to be removed. `changed` is the command
/// line of an entry that was changed since.
fn confirm_removal(
    run: &Run<'_>,
    record: &Record,
    removal: &Removal,
    changed: Option<String>,
) -> anyhow::Result<Option<(Outcome, String)>> {
    let back = replaced::outcome(record, removal.gives_back, true);
    let (name, was) = (record.part.subject(&record.name), record.part.was());
    let starts = if record.part == Part::Hooks { "start" } else { "starts" };
    Ok(match (run.confirm, changed) {
        (Confirm::DryRun, None) => Some((Outcome::Planned, format!("{name} would be removed{back}"))),
        (Confirm::DryRun, Some(launch)) => Some((
            Outcome::Planned,
            format!("{name} {was} changed since and {starts} `{launch}`; `--replace` would remove it"),
        )),
        (Confirm::Yes, Some(launch)) if !run.options.replace => Some((
            Outcome::Failed,
            format!(
                "nothing was changed: {name} {was} changed since and {starts} `{launch}`; remove it with `--replace`"
            ),
        )),
        (Confirm::Yes, _) => None,
        (Confirm::Prompt, Some(launch)) => {
            let question = format!("{name} {was} changed since and {starts} `{launch}`. Remove it? [y/N] ");
            (!prompt(&question, false)?).then(|| (Outcome::Skipped, "skipped".to_owned()))
        }
        (Confirm::Prompt, None) => {
            let question = match removal.gives_back {
                true => "Remove it, and put back what it replaced? [Y/n] ",
                false => "Remove it? [Y/n] ",
            };
            (!prompt(question, true)?).then(|| (Outcome::Skipped, "skipped".to_owned()))
        }
    })
}

fn write(
    record: &Record,
    records: &Records,
    before: &str,
    removal: &Removal,
) -> anyhow::Result<ReplaceOutcome> {
    let file = &record.file;
    if !removal.deletes_file {
        // Another entry of ours in the file may have a key, too; its record inherits the permissions.
        let is_last = records.all().iter().filter(|known| known.file == *file).count() <= 1;
        let access = match record.former_mode {
            Some(mode) if is_last => FileAccess::Reopened(mode),
            _ => FileAccess::PrivateIfNew,
        };
        return config_file::replace(file, &removal.text, Some(before), access);
    }
    config_file::check_writable(file)?;
    if config_file::read(file)?.as_deref() != Some(before) {
        return Ok(ReplaceOutcome::ChangedMeanwhile);
    }
    std::fs::remove_file(file)?;
    Ok(ReplaceOutcome::Replaced)
}

/// Removes the folders that were created for the file, unless they have other content or another entry uses them.
fn remove_folders(record: &Record, records: &Records) {
    let is_used = |folder: &Path| records.all().iter().any(|other| other.file.starts_with(folder));
    for folder in record.folders.iter().filter(|folder| !is_used(folder)) {
        if std::fs::remove_dir(folder).is_err() {
            // The folder is not empty, or does not exist.
            break;
        }
    }
}
