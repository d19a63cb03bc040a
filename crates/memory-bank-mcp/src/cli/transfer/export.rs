//! `export`: from the database into a folder, staged beside its place and renamed.

use std::path::Path;
use std::sync::Arc;

use memory_bank_core::caller::Right;
use memory_bank_core::clock::{Clock, SystemClock, SystemEntropy};
use memory_bank_core::store::NoSink;
use memory_bank_core::transfer::{HistoryCount, ProjectCopy};
use memory_bank_folder::{Deps, FolderTarget, Published};
use memory_bank_postgres::OperatorAction;
use serde_json::json;

use super::progress::Progress;
use super::project::{OpenedProject, ProjectArguments, open, record_audit};
use super::report::{history_json, history_text, lines, size_json, size_text};
use crate::cli::options::GlobalOptions;
use crate::cli::output::Output;
use crate::config;

/// Options.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(super) struct ExportOptions {
    pub(super) replace: bool,
    pub(super) backups: bool,
    pub(super) history: bool,
    pub(super) dry_run: bool,
}

/// Writes the project into the folder.
pub(super) async fn run(
    to: &Path,
    global: &GlobalOptions,
    arguments: &ProjectArguments,
    options: ExportOptions,
    output: Output,
) -> anyhow::Result<()> {
    let to = std::path::absolute(to)?;
    let target = FolderTarget::choose(&to, &global.folder, options.replace)?;
    let opened = open(arguments, Right::Read).await?;
    let OpenedProject { bank, caller, .. } = &opened;
    let mut export = bank.begin_export(caller).await?;
    let size = export.size();
    let backups = if options.backups { export.backups().await? } else { Vec::new() };
    let documents = if options.history { export.history().await? } else { Vec::new() };
    let changes = if options.history { export.graph_changes().await? } else { 0 };
    let progress = Progress::new(size.items() + backups.len() + documents.len(), "exporting");
    let copy = export.project(&|items| progress.add(items)).await?;
    let now = SystemClock.now();
    let mut history = HistoryCount::default();
    let published = if options.dry_run {
        copy.bank.to_files(now)?;
        history.versions = documents.iter().map(|(_, versions)| versions).sum();
        history.changes = changes;
        None
    } else {
        let mut staged = target.stage().await?;
        staged.write(&copy, folder_deps()).await?;
        if !documents.is_empty() || changes > 0 {
            let state = config::state_folder(global.state_dir.as_deref(), &config::environment)?;
            let mut written = staged.begin_history(state, Arc::new(SystemEntropy)).await?;
            if changes > 0 {
                let of_graph = export.graph_history(changes).await?;
                (written, history) = written.put_graph(of_graph, &copy.bank, now).await?;
            }
            for document in documents {
                let (rest, count) = written.put(export.history_of(document).await?, &copy.bank).await?;
                (written, history) = (rest, history.and(count));
                progress.add(1);
            }
            written.finish().await?;
        }
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
    let report = ExportReport {
        copy: &copy,
        backups: backups.len(),
        history,
        published,
        dry_run: options.dry_run,
        project: &arguments.project,
        user: &caller.user_name,
    };
    report.show(output)
}

/// The result.
struct ExportReport<'a> {
    copy: &'a ProjectCopy,
    backups: usize,
    history: HistoryCount,
    published: Published,
    dry_run: bool,
    project: &'a str,
    user: &'a str,
}

impl ExportReport<'_> {
    /// Prints it.
    fn show(self, output: Output) -> anyhow::Result<()> {
        let Self { copy, backups, history, published, dry_run, project, user } = self;
        let Published { moved_aside, kept, bank } = published;
        let mode = copy.state.as_ref().map(|state| state.mode);
        let shown = json!({
            "project": project, "user": user, "dryRun": dry_run, "moved": size_json(copy.bank.size()),
            "bank": bank.display().to_string(), "backups": backups, "history": history_json(history),
            "movedAside": moved_aside.as_ref().map(|path| path.display().to_string()),
            "kept": kept, "mode": mode,
        });
        let text = lines([
            Some(format!(
                "{project} → {}: {}; {backups} backups.",
                bank.display(),
                size_text(copy.bank.size())
            )),
            history_text(history),
            moved_aside.map(|path| format!("The previous bank was moved to {}.", path.display())),
            (!kept.is_empty()).then(|| {
                format!(
                    "These files beside the bank exist already and were not changed: {}.",
                    kept.join(", ")
                )
            }),
            mode.map(|mode| {
                format!(
                    "{user} was in mode `{mode}`; to continue in it, start the server with `--mode {mode}`."
                )
            }),
            dry_run.then(|| "This was a dry run: nothing was written.".to_owned()),
        ]);
        output.show(&shown, &text)
    }
}

fn folder_deps() -> Deps {
    Deps { clock: Arc::new(SystemClock), entropy: Arc::new(SystemEntropy), sink: Arc::new(NoSink) }
}
