//! Shows each change, confirms it, and writes it.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use memory_bank_core::identity::PlainKey;

use super::hooks;
use super::plan::{Plan, Step, Target, plan};
use super::records::{Part, Record, Records};
use super::report::{Item, Outcome, Report};
use super::run::{ATTEMPTS, Confirm, Run, prompt};
use super::show;
use crate::cli::clients::Scope;
use crate::cli::config_file::{self, ReplaceOutcome};
use crate::cli::config_text::Format;
use crate::cli::output::print_text;
use crate::sha256::sha256_hex;

/// Writes the targets.
pub(super) fn run(
    run: &Run<'_>,
    targets: &[Target],
    key: Option<&PlainKey>,
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut records = Records::open(&run.state, run.confirm != Confirm::DryRun)?;
    let mut without_server = Vec::new();
    for target in targets {
        let item = if target.part == Part::Hooks && without_server.contains(&target.client) {
            let message = "no hooks are added, since the server was not added".to_owned();
            Item::new(Some(target.client), &target.file, run.name(), Outcome::Skipped, message)
        } else {
            apply_target(run, target, key, &mut records).unwrap_or_else(|error| {
                let message = format!("nothing was changed: {error:#}");
                Item::new(Some(target.client), &target.file, run.name(), Outcome::Failed, message)
            })
        };
        if target.part == Part::Server && matches!(item.outcome, Outcome::Failed | Outcome::Skipped) {
            without_server.push(target.client);
        }
        report.add(run.output, Item { part: target.part, ..item })?;
    }
    Ok(())
}

fn apply_target(
    run: &Run<'_>,
    target: &Target,
    key: Option<&PlainKey>,
    records: &mut Records,
) -> anyhow::Result<Item> {
    if run.is_in_home() && target.names_project(run) {
        let outcome = if run.options.clients.is_empty() { Outcome::Skipped } else { Outcome::Failed };
        let message = "nothing was changed: it must name a project, and this is your home folder; run `setup` in the project, or \
                       name the project with `--path`";
        return Ok(Item::new(Some(target.client), &target.file, run.name(), outcome, message.to_owned()));
    }
    if target.part == Part::Hooks
        && let Some(message) = hooks::unavailable(run, target)
    {
        return Ok(Item::new(Some(target.client), &target.file, run.name(), Outcome::Skipped, message));
    }
    for _ in 0..ATTEMPTS {
        let plan = plan(run, target, key, records)?;
        config_file::check_writable(&plan.file)?;
        let mut item = new_item(run, target, &plan);
        if let Step::Nothing { is_ours, added_environment } = &plan.step {
            item.message = unchanged_message(target.part, run.name(), *is_ours, added_environment);
            return Ok(item);
        }
        if !run.output.json {
            print_text(&format!(
                "\n{} ({})\n{}",
                target.client.row().title,
                item.file,
                item.diff.clone().unwrap_or_default()
            ))?;
        }
        if let Some((outcome, message)) = confirm_write(run, &plan)? {
            return Ok(Item { outcome, message, ..item });
        }
        match write(run, &plan, records)? {
            ReplaceOutcome::Replaced => {
                item.outcome = Outcome::Written;
                item.message = format!("{} {}", target.part.subject(run.name()), step_word(&plan.step));
                return Ok(item);
            }
            ReplaceOutcome::ChangedMeanwhile if run.output.json => {}
            ReplaceOutcome::ChangedMeanwhile => {
                print_text(&format!(
                    "{}: another program changed it meanwhile; here is the change again.",
                    item.file
                ))?;
            }
        }
    }
    anyhow::bail!("another program changes it repeatedly; close the agent, then try again")
}

fn unchanged_message(part: Part, name: &str, is_ours: bool, added_environment: &[String]) -> String {
    if part == Part::Hooks {
        let origin =
            if is_ours { "" } else { "; `setup` did not write them, so `--remove` does not remove them" };
        return format!("the hooks are there already{origin}");
    }
    let environment = if added_environment.is_empty() {
        String::new()
    } else {
        format!(", with {}, which `setup` did not write", added_environment.join(", "))
    };
    let origin = if is_ours { "" } else { "; `setup` did not write it, so `--remove` does not remove it" };
    format!("`{name}` is there already{environment}{origin}")
}

fn new_item(run: &Run<'_>, target: &Target, plan: &Plan) -> Item {
    let mut item = Item::new(Some(target.client), &plan.file, run.name(), Outcome::Unchanged, String::new());
    if !matches!(plan.step, Step::Nothing { .. }) {
        let before = plan.before.as_deref().unwrap_or_default();
        item.diff = Some(match target.part {
            Part::Hooks if target.client.has_own_hook_file() => show::own_file(&plan.after),
            Part::Hooks => show::diff(before, &plan.after, Format::Json, &plan.shown),
            Part::Server => show::diff(before, &plan.after, target.client.row().format, &plan.shown),
        });
        item.notes.clone_from(&plan.notes);
        if target.part == Part::Hooks {
            return item;
        }
        if run.options.url.is_none() && target.scope == Scope::User && target.names_project(run) {
            item.notes.push(format!(
                "It uses the memory of {} only; for another project, use another `--name`.",
                run.project.display()
            ));
        }
        if target.scope == Scope::User && run.options.url.is_some() {
            item.notes.push(
                "A key acts in one project: this agent has that project's memory in every folder. For one folder only, use `--scope project`."
                    .to_owned(),
            );
        }
    }
    item
}

/// Confirms the change; returns an outcome with its message if nothing is to be written.
fn confirm_write(run: &Run<'_>, plan: &Plan) -> anyhow::Result<Option<(Outcome, String)>> {
    let name = run.name();
    let subject = plan.record.part.subject(name);
    let other = match &plan.step {
        Step::Replace { .. } if plan.record.part == Part::Hooks => Some("other hooks there".to_owned()),
        Step::Replace { present } => {
            Some(format!("an entry `{name}` that starts `{}`", show::launch(present)))
        }
        _ => None,
    };
    Ok(match (run.confirm, &other) {
        (Confirm::DryRun, None) => {
            Some((Outcome::Planned, format!("{subject} would be {}", step_word(&plan.step))))
        }
        (Confirm::DryRun, Some(other)) => {
            Some((Outcome::Planned, format!("it has {other}; `--replace` would replace it")))
        }
        (Confirm::Yes, Some(other)) if !run.options.replace => Some((
            Outcome::Failed,
            format!(
                "nothing was changed: it has {other}; replace it with `--replace`, or choose another `--name`"
            ),
        )),
        (Confirm::Yes, _) => None,
        (Confirm::Prompt, Some(other)) => {
            let yes = prompt(&format!("It has {other}. Replace it? [y/N] "), false)?;
            (!yes).then(|| (Outcome::Skipped, "skipped".to_owned()))
        }
        (Confirm::Prompt, None) => {
            (!prompt("Write it? [Y/n] ", true)?).then(|| (Outcome::Skipped, "skipped".to_owned()))
        }
    })
}

fn step_word(step: &Step) -> &'static str {
    match step {
        Step::Nothing { .. } => "unchanged",
        Step::Add => "added",
        Step::Update => "updated",
        Step::Replace { .. } => "replaced",
    }
}

/// Writes the record, then the file: `--remove` would not remove an entry without a record.
fn write(run: &Run<'_>, plan: &Plan, records: &mut Records) -> anyhow::Result<ReplaceOutcome> {
    let known = records.of(&plan.file, run.name(), plan.record.project.as_deref(), plan.record.part).cloned();
    let mut record = plan.record.clone();
    record.folders.extend(missing_folders(&plan.file));
    if let (Step::Replace { .. }, Some(before)) = (&plan.step, &plan.before) {
        save_copy(run, &plan.file, before)?;
    }
    records.put(record.clone())?;
    let outcome = config_file::replace(&plan.file, &plan.after, plan.before.as_deref(), plan.access);
    if !matches!(outcome, Ok(ReplaceOutcome::Replaced)) {
        restore_record(records, &record, known)?;
    }
    outcome
}

fn restore_record(records: &mut Records, written: &Record, known: Option<Record>) -> anyhow::Result<()> {
    match known {
        Some(known) => records.put(known),
        None => records.forget(written),
    }
}

/// The folders that will be created for a file, the innermost first.
fn missing_folders(file: &Path) -> Vec<PathBuf> {
    file.ancestors().skip(1).take_while(|folder| !folder.exists()).map(Path::to_owned).collect()
}

/// Saves a copy of a file that loses an entry of somebody else. The copy is in the state folder, readable for its owner only,
/// not beside the file, where it could be committed or read by the agent.
fn save_copy(run: &Run<'_>, file: &Path, text: &str) -> anyhow::Result<()> {
    let folder = run.state.path().join("replaced");
    std::fs::create_dir_all(&folder)?;
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let hash: String = sha256_hex(text.as_bytes()).chars().take(12).collect();
    let copy = folder.join(format!("{hash}-{name}"));
    let mut draft = tempfile::Builder::new().prefix(".setup-").tempfile_in(&folder)?;
    draft.write_all(text.as_bytes())?;
    draft.as_file().sync_all()?;
    draft.persist(&copy).with_context(|| format!("`{}` cannot be written", copy.display()))?;
    if !run.output.json {
        print_text(&format!("The previous file was saved as {}.", copy.display()))?;
    }
    Ok(())
}
