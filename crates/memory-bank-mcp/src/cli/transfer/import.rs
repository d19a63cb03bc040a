//! `import`: from a folder into the database, in one transaction.

use std::path::Path;

use memory_bank_core::caller::Right;
use memory_bank_core::clock::{Clock, SystemClock};
use memory_bank_core::transfer::{Onto, ProjectCopy, Size};
use memory_bank_folder::FolderSource;
use memory_bank_postgres::{Imported, OperatorAction};
use serde_json::json;

use super::progress::Progress;
use super::{Project, Whose, lines, memory_file, notify_servers, open, size_json, size_text, subject};
use crate::cli::Cli;
use crate::cli::output::Output;

/// How many omitted names are printed; JSON has all of them.
const NAMED: usize = 20;

/// Options.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(super) struct TransferOptions {
    pub(super) merge: bool,
    pub(super) replace: bool,
    pub(super) backups: bool,
    pub(super) dry_run: bool,
}

/// Imports the folder's bank into the project.
pub(super) async fn run(
    from: &Path,
    cli: &Cli,
    whose: &Whose,
    options: TransferOptions,
    output: Output,
) -> anyhow::Result<()> {
    let from = std::path::absolute(from)?;
    // Everything is read and checked before the database is used.
    let source =
        if from.is_file() { None } else { Some(FolderSource::open(&from, &cli.folder, cli.follow_links)?) };
    let (copy, left_out) = match &source {
        Some(source) => (source.project().await?, source.left_out().await?),
        None => {
            let bank = memory_file::read(&from)?.to_bank(SystemClock.now());
            (ProjectCopy { bank, ..ProjectCopy::default() }, Vec::new())
        }
    };
    copy.bank.check_for_rows()?;
    let onto = match options {
        TransferOptions { replace: true, .. } => Onto::Replace,
        TransferOptions { merge: true, .. } => Onto::Merge,
        _ => Onto::Empty,
    };
    let backups = match &source {
        Some(source) if options.backups => source.backups().await?,
        _ => Vec::new(),
    };
    let right = if onto == Onto::Replace { Right::Admin } else { Right::Write };
    let opened = open(whose, right).await?;
    let Project { bank, caller, .. } = &opened;
    let mut import =
        bank.begin_import(caller, onto, OperatorAction::Imported, subject(&from).as_deref()).await?;
    let size = copy.bank.size();
    let progress = Progress::of(size.items() + backups.len(), "importing");
    import.put(&copy, &|items| progress.add(items)).await?;
    drop(copy);
    for (id, made_at) in &backups {
        if let Some(source) = &source
            && import.takes_backup(id)
        {
            import.put_backup(id, *made_at, &source.backup(id).await?).await?;
        }
        progress.add(1);
    }
    let done = if options.dry_run { import.forget().await } else { import.commit().await? };
    progress.end();
    let shown = source.as_ref().map_or(from.as_path(), FolderSource::bank);
    let way = format!("{} → {}", shown.display(), whose.project);
    report(&done, size, &left_out, options.dry_run, whose, &way, &caller.user_name, output)?;
    if !options.dry_run {
        notify_servers(&opened).await;
    }
    Ok(())
}

/// Prints the result.
#[expect(clippy::too_many_arguments, reason = "each is a part of the report")]
pub(super) fn report(
    done: &Imported,
    size: Size,
    left_out: &[String],
    dry_run: bool,
    whose: &Whose,
    way: &str,
    user: &str,
    output: Output,
) -> anyhow::Result<()> {
    let shown = json!({
        "project": whose.project, "user": user, "dryRun": dry_run, "moved": size_json(size),
        "documents": {"added": done.added, "changed": done.changed, "unchanged": done.unchanged, "removed": done.removed},
        "backups": done.backups, "backupsLeftOut": done.backups_left_out, "leftOut": left_out,
        "snapshot": if dry_run { None } else { done.snapshot.clone() },
    });
    let text = lines([
        Some(format!("{way}, in the name of {user}: {}.", size_text(size))),
        Some(format!(
            "Documents: {} added, {} changed, {} unchanged, {} removed. Backups: {}.",
            done.added, done.changed, done.unchanged, done.removed, done.backups
        )),
        (!left_out.is_empty()).then(|| {
            let some: Vec<String> =
                left_out.iter().take(NAMED).map(|name| name.escape_debug().to_string()).collect();
            let more = left_out.len().saturating_sub(NAMED);
            let rest = if more > 0 { format!(", and {more} more") } else { String::new() };
            format!(
                "Left out, since it is the server's own, version control's or temporary: {}{rest}.",
                some.join(", ")
            )
        }),
        (!done.backups_left_out.is_empty()).then(|| {
            format!(
                "Backups left out (there already, or no more room): {}.",
                done.backups_left_out.join(", ")
            )
        }),
        done.snapshot
            .as_ref()
            .filter(|_| !dry_run)
            .map(|id| format!("What was there before is kept as {id}.")),
        dry_run.then(|| "This was a dry run: nothing was changed.".to_owned()),
    ]);
    output.show(&shown, &text)
}
