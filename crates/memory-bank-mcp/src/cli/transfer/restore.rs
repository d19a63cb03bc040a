//! `restore`: from one file into the database, in one transaction, with a snapshot of the previous content.

use std::path::Path;

use memory_bank_archive::Reader;
use memory_bank_core::caller::Right;
use memory_bank_core::transfer::ExistingContentPolicy;
use memory_bank_postgres::OperatorAction;

use super::progress::Progress;
use super::project::{OpenedProject, ProjectArguments, notify_servers, open, subject};
use super::report::ImportReport;
use crate::cli::output::Output;

/// Restores the project from the file.
pub(super) async fn run(
    from: &Path,
    arguments: &ProjectArguments,
    with_history: bool,
    dry_run: bool,
    output: Output,
) -> anyhow::Result<()> {
    // Every byte is checked before the database is used.
    let mut reader = Reader::open(from)?;
    let backups = reader.check()?;
    let copy = reader.project()?;
    copy.bank.check_for_rows()?;
    let opened = open(arguments, Right::Admin).await?;
    let OpenedProject { bank, caller, .. } = &opened;
    let file = subject(from);
    let mut import = bank
        .begin_import(caller, ExistingContentPolicy::Replace, OperatorAction::Restored, file.as_deref())
        .await?;
    let size = copy.bank.size();
    let histories = if with_history { reader.histories() } else { Vec::new() };
    let progress = Progress::new(size.items() + backups.len() + histories.len(), "restoring");
    if with_history {
        import.put_graph_history(&reader.graph_history()?).await?;
    }
    for path in &histories {
        import.put_history(&reader.history(path)?).await?;
        progress.add(1);
    }
    import.put(&copy, &|items| progress.add(items)).await?;
    drop(copy);
    for (id, made_at) in &backups {
        if import.takes_backup(id) {
            import.put_backup(id, *made_at, &reader.backup(id)?).await?;
        }
        progress.add(1);
    }
    let imported = if dry_run { import.forget().await } else { import.commit().await? };
    progress.end();
    let route = format!("{} (of project {}) → {}", from.display(), reader.of_project(), arguments.project);
    let report = ImportReport {
        imported: &imported,
        size,
        left_out: &[],
        dry_run,
        project: &arguments.project,
        route: &route,
        user: &caller.user_name,
    };
    report.show(output)?;
    if !dry_run {
        notify_servers(&opened).await;
    }
    Ok(())
}
