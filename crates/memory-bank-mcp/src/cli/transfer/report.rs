//! The output of transfers.

use memory_bank_core::transfer::{HistoryCount, Size};
use memory_bank_postgres::Imported;
use serde_json::{Value, json};

use crate::cli::output::Output;

/// How many omitted names are printed; JSON has all of them.
const MAX_LISTED: usize = 20;

/// The result of an import or a restore.
pub(super) struct ImportReport<'a> {
    pub(super) imported: &'a Imported,
    pub(super) size: Size,
    /// The files that were not imported.
    pub(super) left_out: &'a [String],
    pub(super) dry_run: bool,
    pub(super) project: &'a str,
    /// The source and the destination, for people.
    pub(super) route: &'a str,
    pub(super) user: &'a str,
}

impl ImportReport<'_> {
    /// Prints the result.
    pub(super) fn show(&self, output: Output) -> anyhow::Result<()> {
        let Self { imported, size, left_out, dry_run, project, route, user } = *self;
        let shown = json!({
            "project": project, "user": user, "dryRun": dry_run, "moved": size_json(size),
            "documents": {"added": imported.added, "changed": imported.changed, "unchanged": imported.unchanged, "removed": imported.removed},
            "history": history_json(imported.history),
            "backups": imported.backups, "backupsLeftOut": imported.backups_left_out, "leftOut": left_out,
            "snapshot": if dry_run { None } else { imported.snapshot.clone() },
        });
        let text = lines([
            Some(format!("{route}, in the name of {user}: {}.", size_text(size))),
            Some(format!(
                "Documents: {} added, {} changed, {} unchanged, {} removed. Backups: {}.",
                imported.added, imported.changed, imported.unchanged, imported.removed, imported.backups
            )),
            history_text(imported.history),
            (!left_out.is_empty()).then(|| {
                let listed: Vec<String> =
                    left_out.iter().take(MAX_LISTED).map(|name| name.escape_debug().to_string()).collect();
                let more = left_out.len().saturating_sub(MAX_LISTED);
                let rest = if more > 0 { format!(", and {more} more") } else { String::new() };
                format!(
                    "Left out, because they belong to the server or to version control, or are temporary: {}{rest}.",
                    listed.join(", ")
                )
            }),
            (!imported.backups_left_out.is_empty()).then(|| {
                format!(
                    "Backups left out (they exist already, or the project has no room for more): {}.",
                    imported.backups_left_out.join(", ")
                )
            }),
            imported.snapshot
                .as_ref()
                .filter(|_| !dry_run)
                .map(|id| format!("The previous content was saved as {id}.")),
            dry_run.then(|| "This was a dry run: nothing was changed.".to_owned()),
        ]);
        output.show(&shown, &text)
    }
}

pub(super) fn history_json(history: HistoryCount) -> Value {
    json!({
        "versions": history.versions, "leftOut": history.left_out,
        "graphChanges": history.changes, "graphChangesLeftOut": history.changes_left_out,
    })
}

/// The line about the history; none without one.
pub(super) fn history_text(history: HistoryCount) -> Option<String> {
    let HistoryCount { versions, left_out, changes, changes_left_out } = history;
    let left = (left_out > 0).then(|| {
        format!(
            " {left_out} were left out: those of documents that have another history in the project, and the oldest where there is no \
             room."
        )
    });
    let documents = (versions > 0 || left_out > 0)
        .then(|| format!("{versions} versions of documents.{}", left.unwrap_or_default()));
    let left = (changes_left_out > 0).then(|| {
        format!(
            " {changes_left_out} were left out: all, if the graph of the project has its own history, else the oldest, for which there \
             is no room."
        )
    });
    let graph = (changes > 0 || changes_left_out > 0)
        .then(|| format!("{changes} changes of the graph.{}", left.unwrap_or_default()));
    let both: Vec<String> = documents.into_iter().chain(graph).collect();
    (!both.is_empty()).then(|| format!("History: {}", both.join(" ")))
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

/// The present lines of a report, as one text.
pub(super) fn lines(lines: impl IntoIterator<Item = Option<String>>) -> String {
    lines.into_iter().flatten().collect::<Vec<_>>().join("\n")
}
