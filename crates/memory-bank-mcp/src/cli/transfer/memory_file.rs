//! Imports the file of a reference memory server into the memory bank of a folder. Idempotent: existing data is not
//! added again.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, bail};
use memory_bank_core::caller::Caller;
use memory_bank_core::error::WorkspaceError;
use memory_bank_core::graph::ids::normalise;
use memory_bank_core::store::{EntityDraft, EntityRef, ObservationDraft};
use memory_bank_core::transfer::MemoryFile;
use serde_json::json;

use super::import::TransferOptions;
use crate::cli::Cli;
use crate::cli::output::Output;
use crate::lifecycle::folder_services;

/// The largest file that is read, in bytes.
const BYTES: u64 = 64 * 1024 * 1024;

/// Reads the file.
pub(super) fn read(from: &Path) -> anyhow::Result<MemoryFile> {
    // Check the type first: opening a pipe waits for a writer.
    let metadata = fs_err::metadata(from)?;
    if !metadata.is_file() || metadata.len() > BYTES {
        bail!("`{}` is no file of at most {BYTES} bytes", from.display());
    }
    let mut bytes = Vec::new();
    fs_err::File::open(from)?.take(BYTES + 1).read_to_end(&mut bytes)?;
    if !MemoryFile::is_memory_file(&bytes) {
        bail!(
            "`{}` is not the file of a reference memory server, whose lines are entities and relations; give such a file, or \
             the folder of a memory bank",
            from.display()
        );
    }
    MemoryFile::read(&bytes).with_context(|| format!("`{}` was not brought in", from.display()))
}

/// Imports the file's graph into the memory bank of the folder.
pub(super) async fn run(
    from: &Path,
    cli: &Cli,
    options: TransferOptions,
    output: Output,
) -> anyhow::Result<()> {
    if !from.is_file() {
        bail!("`--project` is missing: it names the project of the database that the memory bank goes into");
    }
    if options.merge || options.replace {
        bail!(
            "`--merge` and `--replace` are for a project of the database; a folder's graph is always added to"
        );
    }
    let file = read(&std::path::absolute(from)?)?;
    let caller = Caller::local(&cli.username);
    let (services, vectors) = folder_services(cli, None, false).await?;
    // The server that is started next makes them.
    vectors.stop().await;
    let bank = services.workspace.bank(&caller, None).await.map_err(|error| match error {
        WorkspaceError::NoBank => anyhow::anyhow!(
            "there is no memory bank in this folder; name its project with `--path`, or have one made with \
             initialize_memory_bank first"
        ),
        other => other.into(),
    })?;
    let (mut facts, mut known) = (0, 0);
    if !options.dry_run {
        let mut ids: HashMap<String, EntityRef> = HashMap::new();
        for entity in &file.entities {
            let draft = EntityDraft {
                name: entity.name.clone(),
                entity_type: entity.entity_type.clone(),
                attrs: None,
            };
            let stored = EntityRef(bank.upsert_entity(&caller, draft).await?.id);
            for text in entity.observations.iter().filter(|text| !text.trim().is_empty()) {
                let fact = ObservationDraft { text: text.clone(), source: None, timestamp: None };
                let existed = bank.add_observation(&caller, &stored, fact).await?.existed;
                facts += usize::from(!existed);
                known += usize::from(existed);
            }
            ids.entry(normalise(&entity.name)).or_insert(stored);
        }
        for relation in &file.relations {
            if let (Some(from), Some(to)) =
                (ids.get(&normalise(&relation.from)), ids.get(&normalise(&relation.to)))
            {
                bank.link(&caller, from, &relation.relation_type, to).await?;
            }
        }
    }
    let (entities, relations) = (file.entities.len(), file.relations.len());
    let shown = json!({
        "bank": bank.location(), "dryRun": options.dry_run, "entities": entities, "relations": relations,
        "observations": {"added": facts, "alreadyThere": known},
    });
    let mut text = format!(
        "{} → {}: {entities} entities, {facts} observations ({known} were there already), {relations} relations.",
        from.display(),
        bank.location()
    );
    if options.dry_run {
        text.push_str("\nThis was a dry run: nothing was changed.");
    }
    output.show(&shown, &text)
}
