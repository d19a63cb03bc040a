//! `import`: from a folder into the database, in one transaction.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use memory_bank_core::caller::Right;
use memory_bank_core::clock::{Clock, SystemClock, SystemEntropy};
use memory_bank_core::transfer::{ExistingContentPolicy, ProjectCopy};
use memory_bank_folder::{FolderSource, SourceHistory};
use memory_bank_postgres::OperatorAction;

use super::memory_file;
use super::progress::Progress;
use super::project::{OpenedProject, ProjectArguments, notify_servers, open, subject};
use super::report::ImportReport;
use crate::cli::options::GlobalOptions;
use crate::cli::output::Output;
use crate::config;

/// Options.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(super) struct ImportOptions {
    pub(super) merge: bool,
    pub(super) replace: bool,
    pub(super) backups: bool,
    pub(super) history: bool,
    pub(super) dry_run: bool,
}

/// Imports the folder's bank into the project.
pub(super) async fn run(
    from: &Path,
    global: &GlobalOptions,
    arguments: &ProjectArguments,
    options: ImportOptions,
    output: Output,
) -> anyhow::Result<()> {
    let from = std::path::absolute(from)?;
    // Everything is read and checked before the database is used.
    let Input { source, copy, left_out, read_at } = read(&from, global).await?;
    let copy = Arc::new(copy);
    copy.bank.check_for_rows()?;
    let onto = match options {
        ImportOptions { replace: true, .. } => ExistingContentPolicy::Replace,
        ImportOptions { merge: true, .. } => ExistingContentPolicy::Merge,
        _ => ExistingContentPolicy::Empty,
    };
    let backups = match &source {
        Some(source) if options.backups => source.backups().await?,
        _ => Vec::new(),
    };
    let history = match &source {
        Some(source) if options.history => {
            let state = config::state_folder(global.state_dir.as_deref(), &config::environment)?;
            Some(source.history(state, Arc::new(SystemEntropy), Arc::clone(&copy), read_at).await?)
        }
        _ => None,
    };
    let right = if onto == ExistingContentPolicy::Replace { Right::Admin } else { Right::Write };
    let opened = open(arguments, right).await?;
    let OpenedProject { bank, caller, .. } = &opened;
    let mut import =
        bank.begin_import(caller, onto, OperatorAction::Imported, subject(&from).as_deref()).await?;
    let size = copy.bank.size();
    let documents = history.as_ref().map_or(0, SourceHistory::documents);
    let progress = Progress::new(size.items() + backups.len() + documents, "importing");
    if let Some(history) = history {
        import.put_graph_history(&history.of_graph().await?).await?;
        for number in 0..documents {
            import.put_history(&history.of_document(number).await?).await?;
            progress.add(1);
        }
    }
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
    let imported = if options.dry_run { import.forget().await } else { import.commit().await? };
    progress.end();
    let shown = source.as_ref().map_or(from.as_path(), FolderSource::bank);
    let route = format!("{} → {}", shown.display(), arguments.project);
    let report = ImportReport {
        imported: &imported,
        size,
        left_out: &left_out,
        dry_run: options.dry_run,
        project: &arguments.project,
        route: &route,
        user: &caller.user_name,
    };
    report.show(output)?;
    if !options.dry_run {
        notify_servers(&opened).await;
    }
    Ok(())
}

/// The content to import.
struct Input {
    /// The folder, unless a file is imported.
    source: Option<FolderSource>,
    copy: ProjectCopy,
    /// The files that are not imported.
    left_out: Vec<String>,
    /// When the folder was read.
    read_at: Timestamp,
}

async fn read(from: &Path, global: &GlobalOptions) -> anyhow::Result<Input> {
    let read_at = SystemClock.now();
    if from.is_file() {
        let bank = memory_file::read(from)?.to_bank(read_at);
        let copy = ProjectCopy { bank, ..ProjectCopy::default() };
        return Ok(Input { source: None, copy, left_out: Vec::new(), read_at });
    }
    let source = FolderSource::open(from, &global.folder, global.follow_links)?;
    let (copy, left_out) = (source.project().await?, source.left_out().await?);
    Ok(Input { source: Some(source), copy, left_out, read_at })
}
