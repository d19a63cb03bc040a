//! `import --from auto`: the files that other agents and programs keep in a project become documents and a graph. It reads
//! the sources and never changes them; the rules are in the core.
//!
//! Every step writes a few documents together with their entries of the record, all or nothing. So a killed import is
//! completed by the next one, without doubles.

mod documents;
mod graph;
mod memory_files;
mod options;
mod report;
mod scan;
mod sources;
mod target;

use anyhow::bail;
use memory_bank_core::import::Layout;

pub(crate) use self::options::AgentFiles;
use self::report::Report;
use self::target::Target;
use super::import::ImportOptions;
use super::project::ProjectArguments;
use crate::cli::options::GlobalOptions;
use crate::cli::output::Output;
use crate::config::command_variables::URL;

/// The word for `--from` that means the files of other agents. A folder of this name is `./auto`.
pub(super) const AUTO: &str = "auto";

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
    let names_server = std::env::var_os(URL).is_some_and(|url| !url.is_empty());
    if project.is_none() && global.path.is_none() && names_server {
        bail!(
            "`{URL}` names a server, and `--from auto` needs a folder or the database: unset the variable or name the folder with \
             `--path`, or run it where `DATABASE_URL` is set, with `--project` and `--user`"
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
        scanned.files.iter().partition(|file| file.layout_match.layout != Layout::MemoryServer);
    let outcome = async {
        let mut record = documents::read_record(&target).await?;
        let planned = documents::plan(&target, &record, &documents, options).await?;
        documents::apply(&target, &mut record, planned, &mut report).await?;
        let mut graph = graph::GraphWriter::new(&target);
        graph::import_notes(&mut graph, &mut record, &documents, &mut report).await?;
        memory_files::import(&mut graph, &mut record, &memories, &mut report).await?;
        report.report_removed_sources(&record, &scanned, options.only.is_empty());
        Ok::<_, anyhow::Error>(())
    }
    .await;
    target.finish(report.has_changed()).await;
    // Work done before an error is reported, too.
    let shown = report.show(output);
    outcome.and(shown)
}
