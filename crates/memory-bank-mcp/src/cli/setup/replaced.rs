//! The entries and hooks of others that `--replace` replaced: copies of their files, from which `--remove` gives them back. It
//! must not know how a change is confirmed or written.
//!
//! The copies are in the state folder, readable for their owner only, not beside the files, where they could be committed or
//! read by the agent.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use memory_bank_folder::StateFolder;

use super::hooks;
use super::ownership::Ownership;
use super::records::{Part, Record, Records};
use crate::cli::clients::Client;
use crate::cli::config_file;
use crate::cli::config_text::{self, PruneOptions};
use crate::sha256::sha256_hex;

/// The folder in the state folder.
const FOLDER: &str = "replaced";

/// Saves a copy of a file.
pub(super) fn save_copy(state: &StateFolder, file: &Path, text: &str) -> anyhow::Result<PathBuf> {
    let folder = state.path().join(FOLDER);
    std::fs::create_dir_all(&folder)?;
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let hash: String = sha256_hex(text.as_bytes()).chars().take(12).collect();
    let copy = folder.join(format!("{hash}-{name}"));
    let mut draft = tempfile::Builder::new().prefix(".setup-").tempfile_in(&folder)?;
    draft.write_all(text.as_bytes())?;
    draft.as_file().sync_all()?;
    draft.persist(&copy).with_context(|| format!("`{}` cannot be written", copy.display()))?;
    Ok(copy)
}

/// The text of a file with what was replaced in the place of ours; none if nothing was replaced, or its copy is gone.
///
/// # Errors
/// The copy cannot be read, or what was replaced cannot be put into the text.
pub(super) fn given_back(
    client: Client,
    record: &Record,
    text: &str,
    owner: &Ownership,
) -> anyhow::Result<Option<String>> {
    let Some(replaced) = &record.replaced else { return Ok(None) };
    let Some(copy) = config_file::read(&replaced.copy)? else { return Ok(None) };
    if replaced.is_exact && sha256_hex(text.as_bytes()) == record.after {
        return Ok(Some(copy));
    }
    if record.part == Part::Hooks {
        let text = hooks::without(client, text, owner, false)?;
        return hooks::with_those_of(client, &text, &copy, owner).map(Some);
    }
    let location = client.location(&record.name, record.project.as_deref());
    let Some(entry) = config_text::find(&copy, location)? else { return Ok(None) };
    // A prompt that was there before ours is needed again.
    let unused_input = record.input.as_deref().filter(|id| !copy.contains(id));
    let text = config_text::remove(text, location, PruneOptions { empty_section: false, unused_input })?;
    config_text::put(&text, location, &entry, None).map(Some)
}

/// The outcome for what was replaced, once ours is removed; `is_back` if it was given back.
pub(super) fn outcome(record: &Record, is_back: bool, is_planned: bool) -> String {
    let what = if record.part == Part::Hooks {
        "the hooks that they replaced"
    } else {
        "the entry that it replaced"
    };
    let (is, would) = if record.part == Part::Hooks { ("are", "would be") } else { ("is", "would be") };
    match &record.replaced {
        Some(_) if is_back => format!("; {what} {} there again", if is_planned { would } else { is }),
        Some(replaced) => {
            format!("; {what} cannot be given back, since its copy `{}` is gone", replaced.copy.display())
        }
        None => String::new(),
    }
}

/// Deletes the copy, which may contain keys, once its entry is back and no record needs it.
pub(super) fn delete_copy(record: &Record, records: &Records) {
    let Some(replaced) = &record.replaced else { return };
    let is_needed = |other: &Record| other.replaced.as_ref().is_some_and(|other| other.copy == replaced.copy);
    if !records.all().iter().any(is_needed) && std::fs::remove_file(&replaced.copy).is_err() {
        tracing::debug!(copy = %replaced.copy.display(), "the copy of a replaced entry stays");
    }
}
