//! `import --from auto`: the files that other agents and programs keep in a project become documents and a graph. It reads
//! the sources and never changes them; the rules are in the core.
//!
//! Every step writes a few documents together with their entries of the record, all or nothing. So a killed import is
//! completed by the next one, without doubles.

mod documents;
mod graph;
mod memory_files;
mod report;
mod scan;
mod sources;
mod target;

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use memory_bank_core::import::Layout;

use self::report::Report;
use self::target::Target;
use super::import::ImportOptions;
use super::project::ProjectArguments;
use crate::cli::options::GlobalOptions;
use crate::cli::output::Output;

/// The word for `--from` that means the files of other agents. A folder of this name is `./auto`.
pub(super) const AUTO: &str = "auto";

/// Options of `--from auto`.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct AgentFiles {
    /// With `--from auto`: the folder to search; the project's folder when absent.
    #[arg(long = "in", value_name = "DIR")]
    searched: Option<PathBuf>,
    /// With `--from auto`: import only these layouts, separated by commas.
    #[arg(long, value_name = "LAYOUTS", value_delimiter = ',')]
    only: Vec<Layout>,
    /// With `--from auto`: write the new text of a source beside a document that was edited in the bank. Without it such
    /// a document is named and left as it is.
    #[arg(long)]
    beside: bool,
}

impl AgentFiles {
    /// Whether one of them is given.
    pub(super) fn is_given(&self) -> bool {
        self.searched.is_some() || !self.only.is_empty() || self.beside
    }

    fn takes(&self, layout: Layout) -> bool {
        self.only.is_empty() || self.only.contains(&layout)
    }
}

/// Imports what is found.
pub(super) async fn run(
    options: &AgentFiles,
    import: ImportOptions,
    global: &GlobalOptions,
    project: Option<&ProjectArguments>,
    output: Output,
) -> anyhow::Result<()> {
    if import.merge || import.replace || !import.backups {
        bail!(
            "`--merge`, `--replace` and `--no-backups` are for a whole memory bank; `--from auto` adds to a bank and replaces \
             nothing that was edited there. Leave them out"
        );
    }
    let mut target = Target::open(global, project, options.searched.as_deref()).await?;
    let scanned = sources::read(&target.start, options)?;
    let mut report = Report::new(&target, import.dry_run);
    report.skipped(&scanned);
    if scanned.files.is_empty() {
        return report.show(output);
    }
    if !import.dry_run {
        target.make_bank(global).await?;
        report.located(&target);
    }
    let (documents, memories): (Vec<_>, Vec<_>) =
        scanned.files.iter().partition(|file| file.claim.layout != Layout::MemoryServer);
    let outcome = async {
        let mut record = documents::read_record(&target).await?;
        let planned = documents::plan(&target, &record, &documents, options).await?;
        documents::apply(&target, &mut record, planned, &mut report).await?;
        let mut graph = graph::GraphWriter::new(&target);
        graph::import_notes(&mut graph, &mut record, &documents, &mut report).await?;
        memory_files::import(&mut graph, &mut record, &memories, &mut report).await?;
        report.gone(&record, &scanned, options.only.is_empty());
        Ok::<_, anyhow::Error>(())
    }
    .await;
    target.finish(&report).await;
    // Work done before an error is reported, too.
    let shown = report.show(output);
    outcome.and(shown)
}
