//! `backup`: from the database into one file.

use std::path::Path;

use memory_bank_core::caller::Right;
use memory_bank_core::clock::{Clock, SystemClock};
use serde_json::json;

use super::archive::Writer;
use super::progress::Progress;
use super::{Project, Whose, note, open, size_json, size_text};
use crate::cli::output::Output;
use memory_bank_postgres::OperatorAction;

/// Writes the project into the file, which appears when it is complete.
pub(super) async fn run(to: &Path, whose: &Whose, output: Output) -> anyhow::Result<()> {
    let to = std::path::absolute(to)?;
    let now = SystemClock.now();
    let mut writer = Writer::create(&to)?;
    let opened = open(whose, Right::Read).await?;
    let Project { bank, caller, .. } = &opened;
    let mut export = bank.begin_export(caller).await?;
    let backups = export.backups().await?;
    let progress = Progress::of(export.size().items() + backups.len(), "backing up");
    let copy = export.project(&|items| progress.add(items)).await?;
    writer.project(&copy, now)?;
    for (id, _) in &backups {
        writer.backup(id, &export.backup(id).await?, now)?;
        progress.add(1);
    }
    export.end().await;
    note(&opened, whose, OperatorAction::BackedUp, &to).await?;
    let bytes = writer.finish(&whose.project, now)?;
    progress.end();
    let shown = json!({
        "project": whose.project, "user": caller.user_name, "file": to.display().to_string(), "bytes": bytes,
        "moved": size_json(copy.bank.size()), "backups": backups.len(),
    });
    let text = format!(
        "{} → {} ({bytes} bytes): {}; {} backups. API keys and members are not in it.",
        whose.project,
        to.display(),
        size_text(copy.bank.size()),
        backups.len()
    );
    output.show(&shown, &text)
}
