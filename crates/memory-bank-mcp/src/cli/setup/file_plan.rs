//! The plan for one file of an agent: the file, the step, and the text after it.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::records::{Part, Record};
use super::run::Run;
use crate::cli::clients::{Client, Scope, StartsIn};
use crate::cli::config_file::{self, FileAccess};

/// A file of an agent.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) client: Client,
    pub(super) scope: Scope,
    pub(super) file: PathBuf,
    /// The project of the entry in a file of the user.
    pub(super) project: Option<String>,
    pub(super) part: Part,
}

/// The change of a file.
#[derive(Debug)]
pub(super) enum Step {
    /// None: the entry is there. `is_ours` if `setup` wrote it; `added_environment` has members that others added.
    Nothing { is_ours: bool, added_environment: Vec<String> },
    /// The entry is added.
    Add,
    /// An entry that `setup` wrote gets other options.
    Update,
    /// A different entry of this name is replaced. `is_edited` if `setup` wrote it, and somebody changed its options since.
    Replace { present: Value, is_edited: bool },
    /// None: these hooks are there for another name, and belong to both from now on.
    Share { name: String },
}

/// A planned change of a file.
#[derive(Debug)]
pub(super) struct Plan {
    /// The file, links followed.
    pub(super) file: PathBuf,
    pub(super) step: Step,
    /// The texts of the change that may be shown.
    pub(super) shown: Value,
    /// What the user must know before the file is written.
    pub(super) notices: Vec<String>,
    /// Remaining steps for the user.
    pub(super) notes: Vec<String>,
    pub(super) access: FileAccess,
    pub(super) before: Option<String>,
    pub(super) after: String,
    /// The record of the entry.
    pub(super) record: Record,
}

impl Target {
    /// Whether the file, or the entry in it, is for one project.
    pub(super) fn names_project(&self, run: &Run<'_>) -> bool {
        let has_path = self.part == Part::Server
            && self.client.row().starts_in == StartsIn::Elsewhere
            && run.options.url.is_none();
        self.scope != Scope::User || has_path
    }
}

/// The file of a target, links followed. A link in a project must not lead out of it.
pub(super) fn resolve(scope: Scope, file: &Path, project: &Path) -> anyhow::Result<PathBuf> {
    match scope {
        Scope::Project => config_file::target_within(file, project),
        Scope::User | Scope::Local => config_file::target(file),
    }
}
