//! `backup`: from the database into one file.

use std::path::Path;

use memory_bank_archive::Writer;
use memory_bank_core::caller::Right;
use memory_bank_core::clock::{Clock, SystemClock};
use memory_bank_core::transfer::HistoryCount;
use memory_bank_postgres::OperatorAction;
use serde_json::json;

use super::progress::Progress;
use super::project::{OpenedProject, ProjectArguments, open, record_audit};
use super::report::{history_json, history_text, lines, size_json, size_text};
use crate::cli::output::Output;

/// Writes the project into the file, which appears when it is complete.
pub(super) async fn run(
    to: &Path,
    arguments: &ProjectArguments,
    with_history: bool,
    output: Output,
) -> anyhow::Result<()> {
    let to = std::path::absolute(to)?;
    let now = SystemClock.now();
    let mut writer = Writer::create(&to)?;
    let opened = open(arguments, Right::Read).await?;
    let OpenedProject { bank, caller, .. } = &opened;
    let mut export = bank.begin_export(caller).await?;
    let backups = export.backups().await?;
    let documents = if with_history { export.history().await? } else { Vec::new() };
    let progress = Progress::new(export.size().items() + backups.len() + documents.len(), "backing up");
    let copy = export.project(&|items| progress.add(items)).await?;
    writer.project(&copy, now)?;
    for (id, _) in &backups {
        writer.backup(id, &export.backup(id).await?, now)?;
        progress.add(1);
    }
    let mut history = HistoryCount::default();
    if with_history {
        let changes = export.graph_changes().await?;
        history = writer.graph_history(&export.graph_history(changes).await?, now)?;
    }
    for document in documents {
        history = history.and(writer.history(&export.history_of(document).await?, now)?);
        progress.add(1);
    }
    export.end().await;
    record_audit(&opened, arguments, OperatorAction::BackedUp, &to).await?;
    let bytes = writer.finish(&arguments.project, now)?;
    progress.end();
    let shown = json!({
        "project": arguments.project, "user": caller.user_name, "file": to.display().to_string(), "bytes": bytes,
        "moved": size_json(copy.bank.size()), "backups": backups.len(),
        "history": history_json(history),
    });
    let text = format!(
        "{} → {} ({bytes} bytes): {}; {} backups. API keys and members are not in it.",
        arguments.project,
        to.display(),
        size_text(copy.bank.size()),
        backups.len()
    );
    output.show(&shown, &lines([Some(text), history_text(history)]))
}
