//! What became of each file, for people and for programs.

use std::path::Path;

use anyhow::bail;
use serde_json::{Value, json};

use crate::cli::clients::Client;
use crate::cli::doctor::findings::{Findings, Level};
use crate::cli::output::{Output, say, say_lines};

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was written.
    Written,
    /// The entry was there already.
    Unchanged,
    /// The entry was taken away.
    Removed,
    /// It would be written or removed.
    Planned,
    /// The user did not want it.
    Skipped,
    /// It was left alone, since something must be decided or mended first.
    Failed,
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Unchanged => "unchanged",
            Self::Removed => "removed",
            Self::Planned => "planned",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
        }
    }
}

/// One file.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) client: Option<Client>,
    pub(super) file: String,
    pub(super) name: String,
    pub(super) outcome: Outcome,
    pub(super) message: String,
    pub(super) diff: Option<String>,
    pub(super) notes: Vec<String>,
}

impl Item {
    pub(super) fn new(
        client: Option<Client>,
        file: &Path,
        name: &str,
        outcome: Outcome,
        message: String,
    ) -> Self {
        let file = file.display().to_string();
        Self { client, file, name: name.to_owned(), outcome, message, diff: None, notes: Vec::new() }
    }
}

/// All files, in order.
#[derive(Debug, Default)]
pub(super) struct Report {
    items: Vec<Item>,
    /// The check of what was written.
    pub(super) findings: Option<Findings>,
    /// A message about the whole.
    pub(super) message: Option<String>,
}

impl Report {
    /// Adds a file, and prints what became of it.
    pub(super) fn add(&mut self, output: Output, item: Item) -> anyhow::Result<()> {
        if !output.json {
            say_lines(&format!("{}: {}", item.file, item.message))?;
            if matches!(item.outcome, Outcome::Written | Outcome::Planned) {
                item.notes.iter().try_for_each(|note| say_lines(&format!("  {note}")))?;
            }
        }
        self.items.push(item);
        Ok(())
    }

    /// Whether a server is set up now.
    pub(super) fn has_written_or_found(&self) -> bool {
        self.items.iter().any(|item| matches!(item.outcome, Outcome::Written | Outcome::Unchanged))
    }

    /// Prints the check, or all as JSON.
    ///
    /// # Errors
    /// Something was left undone, or the check found an error.
    pub(super) fn show(&self, output: Output) -> anyhow::Result<()> {
        let failed = self.items.iter().filter(|item| item.outcome == Outcome::Failed).count();
        let errors = self.findings.as_ref().map_or(0, |findings| findings.count(Level::Error));
        if output.json {
            let files: Vec<_> = self.items.iter().map(Item::json).collect();
            let check = self.findings.as_ref().map_or(Value::Null, Findings::json);
            say(&json!({ "files": files, "check": check, "message": self.message }).to_string())?;
        } else {
            if let Some(message) = &self.message {
                say_lines(message)?;
            }
            if let Some(findings) = &self.findings {
                output.show(&Value::Null, &format!("\n{}", findings.text()))?;
            }
        }
        match (failed, errors) {
            (0, 0) => Ok(()),
            (0, errors) => bail!("the check found {errors} error{}", plural(errors)),
            (failed, _) => bail!(
                "{failed} file{} left as {} was",
                plural(failed),
                if failed == 1 { "it" } else { "each" }
            ),
        }
    }
}

fn plural(number: usize) -> &'static str {
    if number == 1 { "" } else { "s" }
}

impl Item {
    fn json(&self) -> Value {
        json!({
            "client": self.client.map(Client::name),
            "file": self.file,
            "name": self.name,
            "outcome": self.outcome.word(),
            "message": self.message,
            "diff": self.diff,
            "notes": self.notes,
        })
    }
}
