//! `export`: from the database into a folder, staged beside its place and renamed.

use std::path::Path;
use std::sync::Arc;

use memory_bank_core::caller::Right;
use memory_bank_core::clock::{Clock, SystemClock, SystemEntropy};
use memory_bank_core::store::NoSink;
use memory_bank_core::transfer::ProjectCopy;
use memory_bank_folder::{Deps, FolderTarget, Published};
use memory_bank_postgres::OperatorAction;
use serde_json::json;

use super::progress::Progress;
use super::project::{OpenedProject, ProjectArguments, open, record_audit};
use super::report::{lines, size_json, size_text};
use crate::cli::output::Output;

/// Options.
#[derive(Debug, Clone, Copy)]
pub(super) struct ExportOptions {
    pub(super) replace: bool,
    pub(super) backups: bool,
    pub(super) dry_run: bool,
}

/// Writes the project into the folder.
pub(super) async fn run(
    to: &Path,
    folder: &str,
    arguments: &ProjectArguments,
    options: ExportOptions,
    output: Output,
) -> anyhow::Result<()> {
    let to = std::path::absolute(to)?;
    let target = FolderTarget::choose(&to, folder, options.replace)?;
    let opened = open(arguments, Right::Read).await?;
    let OpenedProject { bank, caller, .. } = &opened;
    let mut export = bank.begin_export(caller).await?;
    let size = export.size();
    let backups = if options.backups { export.backups().await? } else { Vec::new() };
    let progress = Progress::new(size.items() + backups.len(), "exporting");
    let copy = export.project(&|items| progress.add(items)).await?;
    let now = SystemClock.now();
    let published = if options.dry_run {
        copy.bank.to_files(now)?;
        None
    } else {
        let mut staged = target.stage().await?;
        staged.write(&copy, folder_deps()).await?;
        for (id, _) in &backups {
            staged.write_backup(id, &export.backup(id).await?, now).await?;
            progress.add(1);
        }
        record_audit(&opened, arguments, OperatorAction::Exported, &to).await?;
        Some(staged.publish(now).await?)
    };
    export.end().await;
    progress.end();
    let published = published.unwrap_or_else(|| Published {
        bank: target.bank().to_owned(),
        moved_aside: None,
        kept: Vec::new(),
    });
    report_export(
        &copy,
        backups.len(),
        published,
        options.dry_run,
        &arguments.project,
        &caller.user_name,
        output,
    )
}

/// Prints the result.
fn report_export(
    copy: &ProjectCopy,
    backups: usize,
    published: Published,
    dry_run: bool,
    project: &str,
    user: &str,
    output: Output,
) -> anyhow::Result<()> {
    let Published { moved_aside, kept, bank } = published;
    let mode = copy.state.as_ref().map(|state| state.mode);
    let shown = json!({
        "project": project, "user": user, "dryRun": dry_run, "moved": size_json(copy.bank.size()),
        "bank": bank.display().to_string(), "backups": backups,
        "movedAside": moved_aside.as_ref().map(|path| path.display().to_string()),
        "kept": kept, "mode": mode,
    });
    let text = lines([
        Some(format!("{project} → {}: {}; {backups} backups.", bank.display(), size_text(copy.bank.size()),)),
        moved_aside.map(|path| format!("The previous bank was moved to {}.", path.display())),
        (!kept.is_empty()).then(|| {
            format!("These files beside the bank exist already and were not changed: {}.", kept.join(", "))
        }),
        mode.map(|mode| {
            format!("{user} was in mode `{mode}`; to continue in it, start the server with `--mode {mode}`.")
        }),
        dry_run.then(|| "This was a dry run: nothing was written.".to_owned()),
    ]);
    output.show(&shown, &text)
}

fn folder_deps() -> Deps {
    Deps { clock: Arc::new(SystemClock), entropy: Arc::new(SystemEntropy), sink: Arc::new(NoSink) }
}
