//! Imports the file of a reference memory server into the memory bank of a folder. Idempotent: existing data is not
//! added again.

use std::collections::HashMap;
use std::path::Path;

use anyhow::bail;
use memory_bank_core::caller::Caller;
use memory_bank_core::error::WorkspaceError;
use memory_bank_core::graph::ids::normalise;
use memory_bank_core::store::{Bank, EntityDraft, EntityRef, ObservationDraft};
use memory_bank_core::transfer::MemoryFile;
use serde_json::json;

use super::import::ImportOptions;
use super::memory_file;
use crate::assembly::folder_services;
use crate::cli::options::GlobalOptions;
use crate::cli::output::Output;

/// Imports the file's graph into the memory bank of the folder.
pub(super) async fn run(
    from: &Path,
    global: &GlobalOptions,
    options: ImportOptions,
    output: Output,
) -> anyhow::Result<()> {
    if !from.is_file() {
        bail!("`--project` is missing; it names the project of the database to import into");
    }
    if options.merge || options.replace {
        bail!(
            "`--merge` and `--replace` are for a project of the database; leave them out, an import into a folder always adds"
        );
    }
    let file = memory_file::read(&std::path::absolute(from)?)?;
    let caller = Caller::local(&global.username);
    let (services, vectors) = folder_services(global, None, false).await?;
    // The next server makes the vectors of the imported text.
    vectors.stop().await;
    let bank = services.workspace.bank(&caller, None).await.map_err(|error| match error {
        WorkspaceError::NoBank => anyhow::anyhow!(
            "there is no memory bank in this folder; name its project with `--path`, or create one with \
             `memory-bank-mcp init` first"
        ),
        other => other.into(),
    })?;
    let counts = if options.dry_run {
        ObservationCounts::default()
    } else {
        add_graph(&*bank, &caller, &file).await?
    };
    let (entities, relations) = (file.entities.len(), file.relations.len());
    let shown = json!({
        "bank": bank.location(), "dryRun": options.dry_run, "entities": entities, "relations": relations,
        "observations": {"added": counts.added, "alreadyThere": counts.known},
    });
    let mut text = format!(
        "{} → {}: {entities} entities, {} observations ({} were there already), {relations} relations.",
        from.display(),
        bank.location(),
        counts.added,
        counts.known
    );
    if options.dry_run {
        text.push_str("\nThis was a dry run: nothing was changed.");
    }
    output.show(&shown, &text)
}

/// The observations of a file.
#[derive(Debug, Default)]
struct ObservationCounts {
    added: usize,
    known: usize,
}

/// Adds the file's entities, observations and relations to the graph of the bank.
async fn add_graph(bank: &dyn Bank, caller: &Caller, file: &MemoryFile) -> anyhow::Result<ObservationCounts> {
    let mut counts = ObservationCounts::default();
    let mut ids: HashMap<String, EntityRef> = HashMap::new();
    for entity in &file.entities {
        let draft =
            EntityDraft { name: entity.name.clone(), entity_type: entity.entity_type.clone(), attrs: None };
        let stored = EntityRef(bank.upsert_entity(caller, draft).await?.id);
        for text in entity.observations.iter().filter(|text| !text.trim().is_empty()) {
            let observation = ObservationDraft { text: text.clone(), ..ObservationDraft::default() };
            let is_known = bank.add_observation(caller, &stored, observation).await?.existed;
            counts.added += usize::from(!is_known);
            counts.known += usize::from(is_known);
        }
        ids.entry(normalise(&entity.name)).or_insert(stored);
    }
    for relation in &file.relations {
        if let (Some(from), Some(to)) =
            (ids.get(&normalise(&relation.from)), ids.get(&normalise(&relation.to)))
        {
            bank.link(caller, from, &relation.relation_type, to).await?;
        }
    }
    Ok(counts)
}
