//! The report of an import: the same for a dry run, which changes nothing.

use std::collections::HashSet;

use memory_bank_core::import::{BadLine, GRAPH_PREFIX, GraphItem, ImportRecord, WriteDecision};
use memory_bank_core::secrets::secret_warnings;
use serde_json::{Value, json};

use super::sources::{SourceFile, Sources};
use super::target::Target;
use crate::cli::output::{Output, Table};
use crate::cli::transfer::report::lines;

/// How many items of a kind are printed; JSON has up to [`MAX_JSON_ITEMS`].
const MAX_PRINTED_ITEMS: usize = 20;
/// How many items of a kind JSON has.
const MAX_JSON_ITEMS: usize = 10_000;

/// The outcome of one source.
#[derive(Debug, Clone)]
pub(super) struct Row {
    action: &'static str,
    layout: &'static str,
    from: String,
    document: Option<String>,
    graph: Option<GraphCounts>,
    note: String,
    writes: bool,
}

/// Items of the graph.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct GraphCounts {
    entities: usize,
    observations: usize,
    relations: usize,
    /// Relations that the source does not have any more.
    pub(super) removed: usize,
}

impl GraphCounts {
    pub(super) fn add<'a>(&mut self, items: impl IntoIterator<Item = &'a GraphItem>) {
        for item in items {
            match item {
                GraphItem::Entity(_) => self.entities += 1,
                GraphItem::Observation { .. } => self.observations += 1,
                GraphItem::Relation { .. } => self.relations += 1,
            }
        }
    }

    fn total(&self) -> usize {
        self.entities + self.observations + self.relations + self.removed
    }

    fn json(&self) -> Value {
        json!({
            "entities": self.entities, "observations": self.observations, "relations": self.relations,
            "removedRelations": self.removed,
        })
    }

    fn text(&self) -> String {
        let removed =
            if self.removed > 0 { format!(", {} relations removed", self.removed) } else { String::new() };
        format!(
            "{} entities, {} observations, {} relations{removed}",
            self.entities, self.observations, self.relations
        )
    }
}

impl Row {
    pub(super) fn document(file: &SourceFile, document: &str, decision: WriteDecision, note: &str) -> Self {
        Self {
            action: match decision {
                WriteDecision::Create => "create",
                WriteDecision::Update => "update",
                WriteDecision::Unchanged | WriteDecision::Adopt => "unchanged",
                WriteDecision::Edited
                | WriteDecision::Conflict
                | WriteDecision::Deleted
                | WriteDecision::Taken => "keep",
            },
            layout: file.layout_match.layout.as_str(),
            from: file.from.clone(),
            document: Some(document.to_owned()),
            graph: None,
            note: note.to_owned(),
            writes: decision.writes(),
        }
    }

    fn json(&self) -> Value {
        json!({
            "action": self.action, "layout": self.layout, "from": self.from, "document": self.document,
            "graph": self.graph.map(|graph| graph.json()),
            "note": (!self.note.is_empty()).then_some(&self.note),
        })
    }
}

/// The report.
pub(super) struct Report {
    dry_run: bool,
    bank: Option<String>,
    user: Option<String>,
    start: String,
    label: Option<String>,
    /// How many files were found.
    found: usize,
    rows: Vec<Row>,
    /// Sources whose documents were deleted in the bank.
    deleted: HashSet<String>,
    failed: usize,
    skipped: Vec<(String, String)>,
    warnings: Vec<String>,
    bad_lines: Vec<(String, BadLine)>,
    secrets: Vec<(String, usize, &'static str)>,
    missing_links: Vec<(String, String)>,
    gone: Vec<(String, String)>,
}

impl Report {
    pub(super) fn new(target: &Target, dry_run: bool) -> Self {
        Self {
            dry_run,
            bank: target.location(),
            user: target.user().map(str::to_owned),
            start: target.start.folder.display().to_string(),
            label: target.start.label.clone(),
            found: 0,
            rows: Vec::new(),
            deleted: HashSet::new(),
            failed: 0,
            skipped: Vec::new(),
            warnings: Vec::new(),
            bad_lines: Vec::new(),
            secrets: Vec::new(),
            missing_links: Vec::new(),
            gone: Vec::new(),
        }
    }

    pub(super) fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    /// Whether the bank changed.
    pub(super) fn has_changed(&self) -> bool {
        !self.dry_run && self.changes() > 0
    }

    /// The bank may have been made meanwhile.
    pub(super) fn located(&mut self, target: &Target) {
        self.bank = target.location();
    }

    pub(super) fn skipped(&mut self, sources: &Sources) {
        self.found = sources.files.len();
        self.skipped.extend(sources.skipped.iter().cloned());
        self.warnings.extend(sources.warnings.iter().cloned());
    }

    pub(super) fn row(&mut self, row: Row) {
        self.rows.push(row);
    }

    pub(super) fn deleted(&mut self, from: &str) {
        self.deleted.insert(from.to_owned());
    }

    /// Whether the document of a source was deleted in the bank.
    pub(super) fn is_deleted(&self, from: &str) -> bool {
        self.deleted.contains(from)
    }

    /// Whether the document of a source is new.
    pub(super) fn creates(&self, from: &str) -> bool {
        self.rows.iter().any(|row| row.from == from && row.document.is_some() && row.action != "keep")
    }

    pub(super) fn failed(&mut self, row: Row) {
        self.failed += 1;
        self.rows.push(Row { action: "failed", writes: false, ..row });
    }

    pub(super) fn warning(&mut self, warning: String) {
        self.warnings.push(warning);
    }

    /// Warns of secrets in a text that is written.
    pub(super) fn secrets(&mut self, file: &SourceFile, decision: WriteDecision) {
        if decision.writes() {
            self.secrets_of(file);
        }
    }

    pub(super) fn secrets_of(&mut self, file: &SourceFile) {
        let found = secret_warnings(&file.text)
            .into_iter()
            .map(|warning| (file.from.clone(), warning.line, warning.kind));
        self.secrets.extend(found);
    }

    pub(super) fn bad_lines(&mut self, from: &str, bad: Vec<BadLine>) {
        self.bad_lines.extend(bad.into_iter().map(|bad| (from.to_owned(), bad)));
    }

    pub(super) fn missing_links(&mut self, from: &str, missing: &[String]) {
        self.missing_links.extend(missing.iter().map(|target| (from.to_owned(), target.clone())));
    }

    /// The graph of a vault.
    pub(super) fn graph(&mut self, base: &str, notes: usize, counts: &GraphCounts) {
        let from = if base.is_empty() { ".".to_owned() } else { base.to_owned() };
        let action = if counts.total() == 0 { "unchanged" } else { "update" };
        self.graph_row(action, "obsidian", from, counts, format!("the graph of {notes} notes"));
    }

    /// The graph of a memory server's file.
    pub(super) fn memory(&mut self, file: &SourceFile, is_known: bool, counts: &GraphCounts) {
        let action = match (counts.total(), is_known) {
            (0, _) => "unchanged",
            (_, true) => "update",
            (_, false) => "create",
        };
        self.graph_row(action, file.layout_match.layout.as_str(), file.from.clone(), counts, String::new());
    }

    fn graph_row(
        &mut self,
        action: &'static str,
        layout: &'static str,
        from: String,
        counts: &GraphCounts,
        note: String,
    ) {
        let writes = counts.total() > 0;
        self.rows.push(Row { action, layout, from, document: None, graph: Some(*counts), note, writes });
    }

    /// Documents whose source was removed: they stay.
    pub(super) fn report_removed_sources(
        &mut self,
        record: &ImportRecord,
        sources: &Sources,
        is_whole: bool,
    ) {
        if !is_whole {
            return;
        }
        let here: HashSet<&str> = sources.files.iter().map(|file| file.from.as_str()).collect();
        let skipped: HashSet<String> = sources.skipped.iter().map(|(path, _)| self.origin(path)).collect();
        let gone = record.entries().filter(|(key, entry)| {
            let from = entry.from.as_str();
            let is_document = !key.starts_with(GRAPH_PREFIX) && !from.contains(" (beside ");
            is_document && self.is_below_start(from) && !here.contains(from) && !skipped.contains(from)
        });
        self.gone = gone.map(|(key, entry)| (entry.from.clone(), key.to_owned())).collect();
    }

    fn origin(&self, path: &str) -> String {
        self.label.as_ref().map_or_else(|| path.to_owned(), |label| format!("{label}/{path}"))
    }

    /// Whether a source would have been found.
    fn is_below_start(&self, from: &str) -> bool {
        match &self.label {
            Some(label) => from.strip_prefix(label).is_some_and(|rest| rest.starts_with('/')),
            None => !from.starts_with("../"),
        }
    }

    fn changes(&self) -> usize {
        let of = |row: &Row| match row.graph {
            Some(graph) => graph.total(),
            None => usize::from(row.writes),
        };
        self.rows.iter().map(of).sum()
    }

    /// Prints the report.
    ///
    /// # Errors
    /// Standard output is closed, or a document was refused.
    pub(super) fn show(&self, output: Output) -> anyhow::Result<()> {
        output.show(&self.json(), &self.text())?;
        if self.failed > 0 {
            anyhow::bail!("{} documents were not imported; the report has the reasons", self.failed);
        }
        Ok(())
    }

    fn count(&self, action: &str) -> usize {
        self.rows.iter().filter(|row| row.action == action && row.document.is_some()).count()
    }

    fn json(&self) -> Value {
        let mut graph = GraphCounts::default();
        for counts in self.rows.iter().filter_map(|row| row.graph) {
            graph.entities += counts.entities;
            graph.observations += counts.observations;
            graph.relations += counts.relations;
            graph.removed += counts.removed;
        }
        let pairs = |pairs: &[(String, String)], names: [&str; 2]| -> Vec<Value> {
            pairs.iter().take(MAX_JSON_ITEMS).map(|(a, b)| json!({names[0]: a, names[1]: b})).collect()
        };
        json!({
            "bank": self.bank, "user": self.user, "source": self.start, "dryRun": self.dry_run,
            "changes": self.changes(),
            "documents": {
                "created": self.count("create"), "updated": self.count("update"), "unchanged": self.count("unchanged"),
                "kept": self.count("keep"), "failed": self.failed,
            },
            "graph": graph.json(),
            "items": self.rows.iter().take(MAX_JSON_ITEMS).map(Row::json).collect::<Vec<_>>(),
            "skipped": pairs(&self.skipped, ["from", "reason"]),
            "gone": pairs(&self.gone, ["from", "document"]),
            "missingLinks": pairs(&self.missing_links, ["from", "target"]),
            "badLines": self.bad_lines.iter().take(MAX_JSON_ITEMS)
                .map(|(from, bad)| json!({"from": from, "line": bad.line, "reason": bad.reason})).collect::<Vec<_>>(),
            "secrets": self.secrets.iter().take(MAX_JSON_ITEMS)
                .map(|(from, line, kind)| json!({"from": from, "line": line, "kind": kind})).collect::<Vec<_>>(),
            "warnings": self.warnings,
        })
    }

    fn text(&self) -> String {
        let bank = self.bank.as_deref().unwrap_or("a new memory bank");
        let user = self.user.as_ref().map(|user| format!(", in the name of {user}")).unwrap_or_default();
        let shown: Vec<&Row> =
            self.rows.iter().filter(|row| row.action != "unchanged" || !row.note.is_empty()).collect();
        let mut table = Table::new(&["ACTION", "LAYOUT", "FROM", "DOCUMENT OR GRAPH", "NOTE"]);
        for row in &shown {
            let what =
                row.graph.map_or_else(|| row.document.clone().unwrap_or_default(), |graph| graph.text());
            let cells = [row.action, row.layout].map(str::to_owned).into_iter();
            table.row(cells.chain([row.from.clone(), what, row.note.clone()]).collect());
        }
        let lists = [
            list("Not imported:", self.skipped.iter().map(|(from, reason)| format!("`{from}`: {reason}"))),
            list(
                "Lines that are not imported:",
                self.bad_lines
                    .iter()
                    .map(|(from, bad)| format!("`{from}`, line {}: {}", bad.line, bad.reason)),
            ),
            list(
                "Links to notes that do not exist:",
                self.missing_links.iter().map(|(from, target)| format!("`{from}`: {target}")),
            ),
            list(
                "Sources that do not exist any more; their documents stay:",
                self.gone.iter().map(|(from, document)| format!("`{from}`: {document}")),
            ),
            list(
                "Texts that look like secrets; remove them if others read this memory bank:",
                self.secrets.iter().map(|(from, line, kind)| format!("`{from}`, line {line}: {kind}")),
            ),
            list("Warnings:", self.warnings.iter().cloned()),
        ];
        let summary = format!(
            "Documents: {} created, {} updated, {} unchanged, {} kept as they are in the bank. Changes: {}.",
            self.count("create"),
            self.count("update"),
            self.count("unchanged"),
            self.count("keep"),
            self.changes()
        );
        let found = if self.found == 0 { "Nothing was found to import.".to_owned() } else { summary };
        lines(
            [
                Some(format!("{} → {bank}{user}", self.start)),
                (!shown.is_empty()).then(|| table.to_string().trim_end().to_owned()),
            ]
            .into_iter()
            .chain(lists)
            .chain([
                Some(found),
                self.dry_run.then(|| "This was a dry run: nothing was changed.".to_owned()),
            ]),
        )
    }
}

/// A heading with a bounded list.
fn list(heading: &str, items: impl ExactSizeIterator<Item = String>) -> Option<String> {
    let count = items.len();
    if count == 0 {
        return None;
    }
    let mut text = heading.to_owned();
    for item in items.take(MAX_PRINTED_ITEMS) {
        text.push_str("\n  ");
        text.push_str(&item.replace('\n', " "));
    }
    if count > MAX_PRINTED_ITEMS {
        text.push_str(&format!("\n  and {} more (`--json` has them)", count - MAX_PRINTED_ITEMS));
    }
    Some(text)
}
