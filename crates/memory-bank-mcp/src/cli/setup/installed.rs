//! What `setup` has written on this machine, for other commands.

use std::path::PathBuf;

use super::hooks;
use super::records::Records;
use crate::cli::clients::ClientPaths;
use crate::cli::options::GlobalOptions;

/// Whether `setup` has connected an agent of this machine.
///
/// # Errors
/// Its records cannot be read.
pub(crate) fn has_agents(global: &GlobalOptions) -> anyhow::Result<bool> {
    Ok(!Records::open(&global.state_folder()?, false)?.all().is_empty())
}

/// The files that have the hooks of agents for this project.
///
/// # Errors
/// The folder of the project cannot be determined, or the records cannot be read.
pub(crate) fn files_with_hooks(global: &GlobalOptions) -> anyhow::Result<Vec<PathBuf>> {
    // They name the programs whose hooks are ours.
    Records::open(&global.state_folder()?, false)?;
    Ok(hooks::installed(&global.project()?, &ClientPaths::of_this_machine()))
}
