//! Shows each change, confirms it, and writes it.

use std::path::{Path, PathBuf};

use memory_bank_core::identity::PlainKey;

use super::file_plan::{Plan, Step, Target};
use super::hooks::{self, Unavailable};
use super::plan::plan;
use super::records::{Part, Record, Records, Replaced};
use super::remove::remove_entry;
use super::replaced;
use super::report::{Item, Outcome, Report};
use super::run::{ATTEMPTS, Confirm, Run, prompt};
use super::show;
use crate::cli::clients::Scope;
use crate::cli::config_file::{self, FileAccess, ReplaceOutcome};
use crate::cli::config_text::Format;
use crate::cli::output::print_text;

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
    if let Some(folder) = run.no_project().filter(|_| target.names_project(run)) {
        let outcome = if run.options.clients.is_empty() { Outcome::Skipped } else { Outcome::Failed };
        let message = format!(
            "nothing was changed: it must name a project, and this is {folder}; run `setup` in the project, or name the project \
             with `--path`"
        );
        return Ok(Item::new(Some(target.client), &target.file, run.name(), outcome, message));
    }
    if target.part == Part::Hooks
        && let Some(unavailable) = hooks::unavailable(run, target)
    {
        return without_hooks(run, target, &unavailable, records);
    }
    for _ in 0..ATTEMPTS {
        let plan = plan(run, target, key, records)?;
        config_file::check_writable(&plan.file)?;
        let mut item = new_item(run, target, &plan);
        if let Step::Nothing { is_ours, added_environment } = &plan.step {
            item.message = unchanged_message(target.part, run.name(), *is_ours, added_environment);
            return Ok(item);
        }
        if let Step::Share { name } = &plan.step {
            item.message = format!("the hooks are there already, those of `{name}`");
            if run.confirm != Confirm::DryRun {
                records.put(plan.record)?;
            }
            return Ok(item);
        }
        if !run.output.json {
            print_text(&format!(
                "\n{} ({})\n{}",
                target.client.row().title,
                item.file,
                item.diff.clone().unwrap_or_default()
            ))?;
            item.notices.iter().try_for_each(|notice| print_text(notice))?;
        }
        if let Some((outcome, message)) = confirm_write(run, &plan)? {
            return Ok(Item { outcome, message, ..item });
        }
        match write(run, &plan, records, &mut item.notes)? {
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

/// The outcome for hooks that are left out; those that would use another memory than the entry are removed.
fn without_hooks(
    run: &Run<'_>,
    target: &Target,
    unavailable: &Unavailable,
    records: &mut Records,
) -> anyhow::Result<Item> {
    let skipped = Item::new(
        Some(target.client),
        &target.file,
        run.name(),
        Outcome::Skipped,
        unavailable.message.clone(),
    );
    let former = hooks::former(run, target, records).filter(|_| unavailable.replaces_former);
    let Some(former) = former else { return Ok(skipped) };
    let item = remove_entry(run, Some(target.client), &former, records)?;
    let message = format!("{}; {}", item.message, unavailable.message);
    Ok(Item { message, ..item })
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
    if !matches!(plan.step, Step::Nothing { .. } | Step::Share { .. }) {
        let before = plan.before.as_deref().unwrap_or_default();
        item.diff = Some(match target.part {
            Part::Hooks if target.client.has_own_hook_file() => show::own_file(&plan.after),
            Part::Hooks => show::diff(before, &plan.after, Format::Json, &plan.shown),
            Part::Server => show::diff(before, &plan.after, target.client.row().format, &plan.shown),
        });
        item.notices.clone_from(&plan.notices);
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
            let row = target.client.row();
            let for_one_folder = if row.project_file.is_some() && target.client.can_reference_key() {
                " For one folder only, use `--scope project`."
            } else {
                ""
            };
            item.notes.push(format!(
                "A key acts in one project: this agent has that project's memory in every folder.{for_one_folder}"
            ));
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
        Step::Replace { present, .. } => {
            Some(format!("an entry `{name}` that starts `{}`", show::launch(present)))
        }
        _ => None,
    };
    let kept = match gives_back(&plan.step) {
        true => "`setup --remove` would give it back",
        false => "a copy of the file would be kept",
    };
    Ok(match (run.confirm, &other) {
        (Confirm::DryRun, None) => {
            Some((Outcome::Planned, format!("{subject} would be {}", step_word(&plan.step))))
        }
        (Confirm::DryRun, Some(other)) => {
            Some((Outcome::Planned, format!("it has {other}; `--replace` would replace it, and {kept}")))
        }
        (Confirm::Yes, Some(other)) if !run.options.replace => Some((
            Outcome::Failed,
            format!(
                "nothing was changed: it has {other}; replace it with `--replace`, or choose another `--name`"
            ),
        )),
        (Confirm::Yes, _) => None,
        (Confirm::Prompt, Some(other)) => {
            let yes = prompt(&format!("It has {other}. Replace it ({kept})? [y/N] "), false)?;
            (!yes).then(|| (Outcome::Skipped, "skipped".to_owned()))
        }
        (Confirm::Prompt, None) => {
            (!prompt("Write it? [Y/n] ", true)?).then(|| (Outcome::Skipped, "skipped".to_owned()))
        }
    })
}

fn step_word(step: &Step) -> &'static str {
    match step {
        Step::Nothing { .. } | Step::Share { .. } => "unchanged",
        Step::Add => "added",
        Step::Update => "updated",
        Step::Replace { .. } => "replaced",
    }
}

/// Whether `--remove` gives back what a step replaces.
fn gives_back(step: &Step) -> bool {
    matches!(step, Step::Replace { is_edited: false, .. })
}

/// Writes the record, then the file: `--remove` would not remove an entry without a record.
fn write(
    run: &Run<'_>,
    plan: &Plan,
    records: &mut Records,
    notes: &mut Vec<String>,
) -> anyhow::Result<ReplaceOutcome> {
    let known = records.of(&plan.file, run.name(), plan.record.project.as_deref(), plan.record.part).cloned();
    let mut record = plan.record.clone();
    record.folders.extend(missing_folders(&plan.file));
    if plan.access == FileAccess::OwnerOnly && plan.before.is_some() {
        record.former_mode = record.former_mode.or_else(|| config_file::open_mode(&plan.file));
    }
    if let (Step::Replace { .. }, Some(before)) = (&plan.step, &plan.before) {
        let copy = replaced::save_copy(&run.state, &plan.file, before)?;
        let saved = format!("The previous file was saved as {}", copy.display());
        if gives_back(&plan.step) {
            notes.push(format!("{saved}; `memory-bank-mcp setup --remove` gives back what was replaced."));
            record.replaced = Some(Replaced { copy, is_exact: true });
        } else {
            notes.push(format!("{saved}."));
        }
    }
    records.put(record.clone())?;
    let outcome = config_file::replace(&plan.file, &plan.after, plan.before.as_deref(), plan.access);
    if !matches!(outcome, Ok(ReplaceOutcome::Replaced)) {
        restore_record(records, &record, known)?;
        replaced::delete_copy(&record, records);
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
