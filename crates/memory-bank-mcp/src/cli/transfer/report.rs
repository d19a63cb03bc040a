//! The output of transfers.

use memory_bank_core::transfer::Size;
use memory_bank_postgres::Imported;
use serde_json::{Value, json};

use crate::cli::output::Output;

/// How many omitted names are printed; JSON has all of them.
const NAMED: usize = 20;

/// Prints the result of an import or a restore.
#[expect(clippy::too_many_arguments, reason = "each is a part of the report")]
pub(super) fn report_import(
    done: &Imported,
    size: Size,
    left_out: &[String],
    dry_run: bool,
    project: &str,
    way: &str,
    user: &str,
    output: Output,
) -> anyhow::Result<()> {
    let shown = json!({
        "project": project, "user": user, "dryRun": dry_run, "moved": size_json(size),
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

pub(super) fn size_json(size: Size) -> Value {
    json!({
        "documents": size.documents, "entities": size.entities, "observations": size.observations,
        "relations": size.relations, "otherFiles": size.files,
    })
}

pub(super) fn size_text(size: Size) -> String {
    format!(
        "{} documents, {} other files, {} entities, {} observations, {} relations",
        size.documents, size.files, size.entities, size.observations, size.relations
    )
}

/// The non-empty lines of a report.
pub(super) fn lines(lines: impl IntoIterator<Item = Option<String>>) -> String {
    lines.into_iter().flatten().collect::<Vec<_>>().join("\n")
}
