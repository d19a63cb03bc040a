//! The options of `import --from auto`.

use std::path::PathBuf;

use clap::Args;
use memory_bank_core::import::Layout;

/// Options of `--from auto`.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct AgentFiles {
    /// With `--from auto`: the folder to search; the project's folder when absent.
    #[arg(long = "in", value_name = "DIR")]
    pub(super) searched: Option<PathBuf>,
    /// With `--from auto`: import only these layouts, separated by commas.
    #[arg(long, value_name = "LAYOUTS", value_delimiter = ',')]
    pub(super) only: Vec<Layout>,
    /// With `--from auto`: write the new text of a source beside a document that was edited in the bank. Without it such
    /// a document is named and left as it is.
    #[arg(long)]
    pub(super) beside: bool,
}

impl AgentFiles {
    /// Whether one of them is given.
    pub(crate) fn is_given(&self) -> bool {
        self.searched.is_some() || !self.only.is_empty() || self.beside
    }

    pub(super) fn takes(&self, layout: Layout) -> bool {
        self.only.is_empty() || self.only.contains(&layout)
    }
}
