//! Shows each change, asks, and writes it.

use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use memory_bank_core::identity::PlainKey;
use serde_json::json;

use super::plan::{Plan, Step, Target, plan};
use super::records::{Record, Records, digest};
use super::report::{Item, Outcome, Report};
use super::{Confirm, Run, show};
use crate::cli::clients::Scope;
use crate::cli::config_file::{self, Replaced};
use crate::cli::output::{lines, say_lines};

/// How often a file is planned anew, because somebody else changes it.
const ATTEMPTS: usize = 3;

/// Writes the targets.
pub(super) fn run(
    run: &Run<'_>,
    targets: &[Target],
    key: Option<&PlainKey>,
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut records = Records::open(&run.state, run.confirm != Confirm::DryRun)?;
    for target in targets {
        let item = one(run, target, key, &mut records).unwrap_or_else(|error| {
            let message = format!("nothing was changed: {error:#}");
            Item::new(Some(target.client), &target.file, run.name(), Outcome::Failed, message)
        });
        report.add(run.output, item)?;
    }
    Ok(())
}

fn one(
    run: &Run<'_>,
    target: &Target,
    key: Option<&PlainKey>,
    records: &mut Records,
) -> anyhow::Result<Item> {
    if run.is_in_home() && target.wants_project(run) {
        let outcome = if run.wanted.clients.is_empty() { Outcome::Skipped } else { Outcome::Failed };
        let message = "nothing was changed: it must name a project, and this is your home folder; run `setup` in the project, or \
                       name it with `--path`";
        return Ok(Item::new(Some(target.client), &target.file, run.name(), outcome, message.to_owned()));
    }
    for _ in 0..ATTEMPTS {
        let plan = plan(run, target, key, records)?;
        config_file::check_writable(&plan.file)?;
        let mut item = item(run, target, &plan);
        if let Step::Nothing { ours, surroundings } = &plan.step {
            let whose = if *ours { "" } else { "; `setup` did not write it, so that `--remove` leaves it" };
            let beside = match surroundings.join(", ") {
                beside if beside.is_empty() => beside,
                beside => format!(", with {beside}, which `setup` did not write"),
            };
            item.message = format!("`{}` is there already{beside}{whose}", run.name());
            return Ok(item);
        }
        if !run.output.json {
            say_lines(&format!(
                "\n{} ({})\n{}",
                target.client.row().title,
                item.file,
                item.diff.clone().unwrap_or_default()
            ))?;
        }
        if let Some(refused) = refused(run, &plan, &mut item)? {
            return Ok(refused);
        }
        match write(run, &plan, records)? {
            Replaced::Yes => {
                item.outcome = Outcome::Written;
                item.message = format!("`{}` {}", run.name(), done(&plan.step));
                return Ok(item);
            }
            Replaced::ChangedMeanwhile if run.output.json => {}
            Replaced::ChangedMeanwhile => {
                say_lines(&format!(
                    "{}: somebody else changed it meanwhile; here is the change again.",
                    item.file
                ))?;
            }
        }
    }
    anyhow::bail!("somebody else changes it all the time; close the agent, then try again")
}

fn item(run: &Run<'_>, target: &Target, plan: &Plan) -> Item {
    let mut item = Item::new(Some(target.client), &plan.file, run.name(), Outcome::Unchanged, String::new());
    if !matches!(plan.step, Step::Nothing { .. }) {
        let before = plan.before.as_deref().unwrap_or_default();
        let shown = json!([plan.entry, target.client.input(&plan.server)]);
        item.diff = Some(show::diff(before, &plan.after, target.client.row().format, &shown));
        item.notes = target.client.notes(&plan.server, target.scope);
        if run.wanted.url.is_none() && target.scope == Scope::User && target.wants_project(run) {
            item.notes.push(format!(
                "It has the memory of {} only; another project needs another `--name`.",
                run.project.display()
            ));
        }
        if target.scope == Scope::User && run.wanted.url.is_some() {
            item.notes.push(
                "A key acts in one project: this agent has that project's memory in every folder. For one folder only, use `--scope project`."
                    .to_owned(),
            );
        }
    }
    item
}

/// The item, if the change is not to be made.
fn refused(run: &Run<'_>, plan: &Plan, item: &mut Item) -> anyhow::Result<Option<Item>> {
    let name = run.name();
    let other = match &plan.step {
        Step::Replace { present } => {
            Some(format!("an entry `{name}` that starts `{}`", show::launch(present)))
        }
        _ => None,
    };
    let outcome = match (run.confirm, &other) {
        (Confirm::DryRun, None) => {
            Some((Outcome::Planned, format!("`{name}` would be {}", done(&plan.step))))
        }
        (Confirm::DryRun, Some(other)) => {
            Some((Outcome::Planned, format!("it has {other}; `--replace` would replace it")))
        }
        (Confirm::Yes, Some(other)) if !run.wanted.replace => Some((
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
    };
    Ok(outcome.map(|(outcome, message)| Item {
        outcome,
        message,
        diff: item.diff.take(),
        notes: std::mem::take(&mut item.notes),
        ..Item::new(item.client, &plan.file, name, outcome, String::new())
    }))
}

fn done(step: &Step) -> &'static str {
    match step {
        Step::Nothing { .. } => "unchanged",
        Step::Add => "added",
        Step::Update => "updated",
        Step::Replace { .. } => "replaced",
    }
}

/// Asks on the terminal; the end of the input means no.
pub(super) fn prompt(question: &str, otherwise: bool) -> anyhow::Result<bool> {
    let mut out = std::io::stdout().lock();
    write!(out, "{}", lines(question)).and_then(|()| out.flush()).context("standard output is closed")?;
    let mut line = String::new();
    if std::io::stdin().lock().read_line(&mut line).context("the answer cannot be read")? == 0 {
        return Ok(false);
    }
    Ok(match line.trim().to_ascii_lowercase().as_str() {
        "" => otherwise,
        answer => matches!(answer, "y" | "yes"),
    })
}

/// Writes the file. The record is first: an entry without one would stay at `--remove`.
fn write(run: &Run<'_>, plan: &Plan, records: &mut Records) -> anyhow::Result<Replaced> {
    let known = records.of(&plan.file, run.name()).cloned();
    let mut record = plan.record.clone();
    record.folders.extend(missing_folders(&plan.file));
    if let (Step::Replace { .. }, Some(before)) = (&plan.step, &plan.before) {
        keep_copy(run, &plan.file, before)?;
    }
    records.put(record.clone())?;
    let outcome = config_file::replace(&plan.file, &plan.after, plan.before.as_deref(), plan.readers);
    if !matches!(outcome, Ok(Replaced::Yes)) {
        restore(records, &record, known)?;
    }
    outcome
}

fn restore(records: &mut Records, written: &Record, known: Option<Record>) -> anyhow::Result<()> {
    match known {
        Some(known) => records.put(known),
        None => records.forget(written),
    }
}

/// The folders that will be made for a file, the inmost first.
fn missing_folders(file: &Path) -> Vec<PathBuf> {
    file.ancestors().skip(1).take_while(|folder| !folder.exists()).map(Path::to_owned).collect()
}

/// Keeps a file that loses an entry of somebody else. The copy is in the state folder, closed to others, not beside the
/// file, where it could be committed or read by the agent.
fn keep_copy(run: &Run<'_>, file: &Path, text: &str) -> anyhow::Result<()> {
    let folder = run.state.path().join("replaced");
    std::fs::create_dir_all(&folder)?;
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let hash: String = digest(text).chars().take(12).collect();
    let copy = folder.join(format!("{hash}-{name}"));
    let mut draft = tempfile::Builder::new().prefix(".setup-").tempfile_in(&folder)?;
    draft.write_all(text.as_bytes())?;
    draft.as_file().sync_all()?;
    draft.persist(&copy).with_context(|| format!("`{}` cannot be written", copy.display()))?;
    if !run.output.json {
        say_lines(&format!("The file as it was is kept as {}.", copy.display()))?;
    }
    Ok(())
}
