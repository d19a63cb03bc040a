//! `setup --remove`: takes away what was recorded as written, and nothing else.

use std::path::Path;

use anyhow::ensure;
use clap::ValueEnum;
use serde_json::json;

use super::plan::{digest_of, spot};
use super::records::{Record, Records};
use super::report::{Item, Outcome, Report};
use super::{Confirm, Run, apply, show};
use crate::cli::clients::{Client, Scope, launch};
use crate::cli::config_file::{self, Readers, Replaced};
use crate::cli::config_text::{self, Emptied};
use crate::cli::output::say_lines;

/// How often a file is planned anew, because somebody else changes it.
const ATTEMPTS: usize = 3;

/// Takes away what is recorded, the newest first, so that the files go back the way they came.
pub(super) fn run(run: &Run<'_>, report: &mut Report) -> anyhow::Result<()> {
    let mut records = Records::open(&run.state, run.confirm != Confirm::DryRun)?;
    let wanted: Vec<Record> =
        records.all().iter().rev().filter(|record| is_wanted(run, record)).cloned().collect();
    if wanted.is_empty() {
        report.message = Some(format!(
            "Nothing to remove: `{}` has no entry that `setup` wrote{}.",
            records.path().display(),
            if records.all().is_empty() { "" } else { " for these options" }
        ));
    }
    for record in wanted {
        let client = Client::from_str(&record.client, true).ok();
        let item = one(run, client, &record, &mut records).unwrap_or_else(|error| {
            let message = format!("nothing was changed: {error:#}");
            Item::new(client, &record.file, &record.name, Outcome::Failed, message)
        });
        report.add(run.output, item)?;
    }
    Ok(())
}

fn is_wanted(run: &Run<'_>, record: &Record) -> bool {
    let of_client = run.wanted.clients.is_empty()
        || run.wanted.clients.iter().any(|client| client.name() == record.client);
    let of_name = run.wanted.name.as_ref().is_none_or(|name| *name == record.name);
    let of_scope = match run.wanted.scope {
        None => true,
        Some(Scope::Project) => record.file.starts_with(&run.project),
        Some(Scope::User) => !record.file.starts_with(&run.project),
    };
    of_client && of_name && of_scope
}

/// A file without the entry.
struct Removal {
    text: String,
    /// Whether the file goes, since it was made for the entry and nothing else is in it.
    deletes: bool,
}

fn one(
    run: &Run<'_>,
    client: Option<Client>,
    record: &Record,
    records: &mut Records,
) -> anyhow::Result<Item> {
    let item = |outcome, message: String| Item::new(client, &record.file, &record.name, outcome, message);
    let Some(known) = client else {
        anyhow::bail!(
            "`{}` is no client that this version knows; use the version that wrote it",
            record.client
        )
    };
    for _ in 0..ATTEMPTS {
        // The record has the file with links followed. A link that came since, such as with a project, leads to a file
        // that `setup` did not write, and whose text would be put in the link's place.
        let found = config_file::target(&record.file)?;
        ensure!(
            found == record.file,
            "`{}` is reached through a link now, which leads to `{}`; put the file back, or remove the entry by hand",
            record.file.display(),
            found.display()
        );
        let before = config_file::read(&record.file)?;
        let spot = spot(known, &record.name);
        let present = match &before {
            Some(text) => config_text::find(text, spot)?,
            None => None,
        };
        let (Some(before), Some(present)) = (before, present) else {
            if run.confirm != Confirm::DryRun {
                records.forget(record)?;
            }
            return Ok(item(Outcome::Unchanged, format!("`{}` is gone already", record.name)));
        };
        let removal = removal(known, record, &before)?;
        let diff = show::diff(&before, &removal.text, known.row().format, &json!(launch(&present)));
        let is_changed = digest_of(&present) != record.launch;
        if !run.output.json {
            say_lines(&format!("\n{} ({})\n{diff}", known.row().title, record.file.display()))?;
        }
        if let Some((outcome, message)) = refused(run, record, is_changed.then(|| show::launch(&present)))? {
            return Ok(Item { diff: Some(diff), ..item(outcome, message) });
        }
        if write(&record.file, &before, &removal)? == Replaced::Yes {
            records.forget(record)?;
            remove_folders(record, records);
            let what = if removal.deletes { "; the file had nothing else and is removed" } else { "" };
            let message = format!("`{}` removed{what}", record.name);
            return Ok(Item { diff: Some(diff), ..item(Outcome::Removed, message) });
        }
    }
    anyhow::bail!("somebody else changes it all the time; close the agent, then try again")
}

/// The file without the entry: the original, while nothing else was changed.
fn removal(client: Client, record: &Record, text: &str) -> anyhow::Result<Removal> {
    if let Some(original) = record.original(text) {
        return Ok(Removal { deletes: !record.existed && original.is_empty(), text: original });
    }
    let emptied = Emptied { section: record.made_section, input: record.input.as_deref() };
    let text = config_text::take(text, spot(client, &record.name), emptied)?;
    Ok(Removal { deletes: !record.existed && config_text::is_empty(&text, client.row().format), text })
}

/// Why the entry is not taken away. `changed` is what it starts, if that is not what was written.
fn refused(
    run: &Run<'_>,
    record: &Record,
    changed: Option<String>,
) -> anyhow::Result<Option<(Outcome, String)>> {
    let name = &record.name;
    Ok(match (run.confirm, changed) {
        (Confirm::DryRun, None) => Some((Outcome::Planned, format!("`{name}` would be removed"))),
        (Confirm::DryRun, Some(started)) => Some((
            Outcome::Planned,
            format!("`{name}` was changed since and starts `{started}`; `--replace` would remove it"),
        )),
        (Confirm::Yes, Some(started)) if !run.wanted.replace => Some((
            Outcome::Failed,
            format!(
                "nothing was changed: `{name}` was changed since and starts `{started}`; remove it with `--replace`"
            ),
        )),
        (Confirm::Yes, _) => None,
        (Confirm::Prompt, Some(started)) => {
            let question = format!("`{name}` was changed since and starts `{started}`. Remove it? [y/N] ");
            (!apply::prompt(&question, false)?).then(|| (Outcome::Skipped, "skipped".to_owned()))
        }
        (Confirm::Prompt, None) => {
            (!apply::prompt("Remove it? [Y/n] ", true)?).then(|| (Outcome::Skipped, "skipped".to_owned()))
        }
    })
}

fn write(file: &Path, before: &str, removal: &Removal) -> anyhow::Result<Replaced> {
    if !removal.deletes {
        return config_file::replace(file, &removal.text, Some(before), Readers::AsBefore);
    }
    config_file::check_writable(file)?;
    if config_file::read(file)?.as_deref() != Some(before) {
        return Ok(Replaced::ChangedMeanwhile);
    }
    std::fs::remove_file(file)?;
    Ok(Replaced::Yes)
}

/// Removes the folders that were made for the file, while they are empty and no other entry has them.
fn remove_folders(record: &Record, records: &Records) {
    let is_used = |folder: &Path| records.all().iter().any(|other| other.file.starts_with(folder));
    for folder in record.folders.iter().filter(|folder| !is_used(folder)) {
        if std::fs::remove_dir(folder).is_err() {
            // It is not empty, or gone.
            break;
        }
    }
}
