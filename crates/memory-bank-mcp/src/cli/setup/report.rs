//! The outcome for each file, for people and for programs.

use std::path::Path;

use anyhow::bail;
use serde_json::{Value, json};

use super::records::Part;
use crate::cli::clients::Client;
use crate::cli::doctor::findings::{Findings, Level};
use crate::cli::output::{Output, print_line, print_text};

/// The outcome for a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The entry was written.
    Written,
    /// The entry was there already.
    Unchanged,
    /// The entry was removed.
    Removed,
    /// The entry would be written or removed.
    Planned,
    /// The user answered no.
    Skipped,
    /// Nothing was changed, because the user must decide or fix something first.
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
    pub(super) part: Part,
    pub(super) outcome: Outcome,
    pub(super) message: String,
    pub(super) diff: Option<String>,
    /// What the user must know before the file is written.
    pub(super) notices: Vec<String>,
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
        let (name, part) = (name.to_owned(), Part::Server);
        Self {
            client,
            file,
            name,
            part,
            outcome,
            message,
            diff: None,
            notices: Vec::new(),
            notes: Vec::new(),
        }
    }
}

/// All files, in order.
#[derive(Debug, Default)]
pub(super) struct Report {
    items: Vec<Item>,
    /// The check of the written entries.
    pub(super) findings: Option<Findings>,
    /// A message about the whole.
    pub(super) message: Option<String>,
}

impl Report {
    /// Adds a file, and prints its outcome.
    pub(super) fn add(&mut self, output: Output, item: Item) -> anyhow::Result<()> {
        if !output.json {
            print_text(&format!("{}: {}", item.file, item.message))?;
            if matches!(item.outcome, Outcome::Written | Outcome::Planned) {
                item.notes.iter().try_for_each(|note| print_text(&format!("  {note}")))?;
            }
        }
        self.items.push(item);
        Ok(())
    }

    /// Whether an agent is connected now.
    pub(super) fn has_written_or_found(&self) -> bool {
        self.items.iter().any(|item| matches!(item.outcome, Outcome::Written | Outcome::Unchanged))
    }

    /// Prints the check, or everything as JSON.
    ///
    /// # Errors
    /// A file failed, or the check found an error.
    pub(super) fn show(&self, output: Output) -> anyhow::Result<()> {
        let failed = self.items.iter().filter(|item| item.outcome == Outcome::Failed).count();
        let errors = self.findings.as_ref().map_or(0, |findings| findings.count(Level::Error));
        if output.json {
            let files: Vec<_> = self.items.iter().map(Item::json).collect();
            let check = self.findings.as_ref().map_or(Value::Null, Findings::json);
            print_line(&json!({ "files": files, "check": check, "message": self.message }).to_string())?;
        } else {
            if let Some(message) = &self.message {
                print_text(message)?;
            }
            if let Some(findings) = &self.findings {
                output.show(&Value::Null, &format!("\n{}", findings.text()))?;
            }
        }
        match (failed, errors) {
            (0, 0) => Ok(()),
            (0, errors) => bail!("the check found {errors} error{}", plural(errors)),
            (failed, _) => bail!("{failed} file{} not changed", if failed == 1 { " was" } else { "s were" }),
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
            "part": self.part,
            "outcome": self.outcome.word(),
            "message": self.message,
            "diff": self.diff,
            "notes": self.notices.iter().chain(&self.notes).collect::<Vec<_>>(),
        })
    }
}
