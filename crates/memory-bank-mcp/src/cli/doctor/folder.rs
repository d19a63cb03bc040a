//! Checks a folder that is served without a database: it exists, is writable, and only the owner can read its keys.

use std::io::ErrorKind;
use std::path::Path;

use memory_bank_folder::FolderKeys;
use memory_bank_folder::dir::Root;

use crate::cli::doctor::findings::Findings;
use crate::cli::doctor::key;
use crate::cli::options::GlobalOptions;

/// Checks the folder, and a key of it.
pub(crate) async fn check(global: &GlobalOptions, key: Option<&str>, findings: &mut Findings) {
    let project = match global.project() {
        Ok(project) => project,
        Err(error) => return findings.error("folder", format!("{error:#}"), "correct `--path`"),
    };
    if !check_writable("folder", &project, findings) {
        return;
    }
    let bank = project.join(&global.folder);
    let root =
        if global.follow_links { Root::anywhere(bank.clone()) } else { Root::within(&project, bank.clone()) };
    match std::fs::metadata(&bank) {
        _ if root.leads_out().is_some() => {
            let to = root.leads_out().unwrap_or_default();
            findings.error(
                "folder.bank",
                format!("`{}` leads out of the project, to `{}`", bank.display(), to.display()),
                "remove the link; if you made it yourself, start the server with `--follow-links`",
            );
        }
        Ok(metadata) if metadata.is_dir() => {
            check_writable("folder.bank", &bank, findings);
        }
        Ok(_) => findings.error(
            "folder.bank",
            format!("`{}` is not a folder", bank.display()),
            "move it, or set another folder with `--folder`",
        ),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            findings.ok("folder.bank", "there is no bank yet; `memory-bank-mcp init`, or an assistant with `initialize_memory_bank`, creates one");
        }
        Err(error) => {
            findings.error(
                "folder.bank",
                format!("`{}`: {error}", bank.display()),
                "correct its permissions",
            );
        }
    }
    check_keys(global, &project, key, findings).await;
}

/// Checks that only the owner can read the keys. Nothing is created or moved.
async fn check_keys(global: &GlobalOptions, project: &Path, key: Option<&str>, findings: &mut Findings) {
    let state = match global.state_folder() {
        Ok(state) => state,
        Err(error) => return findings.error("folder.keys", format!("{error:#}"), "set a folder for them"),
    };
    let status = match FolderKeys::check(project, &global.folder, &global.username, &state) {
        Ok(status) => status,
        Err(error) => {
            return findings.error("folder.keys", error.to_string(), "repair or remove the file of the keys");
        }
    };
    if let Some(message) = status.in_project {
        findings.warning("folder.keys", message, "check these keys: a project may come from somebody else");
    }
    match &status.keys {
        Some(keys) => {
            findings.ok(
                "folder.keys",
                format!("only the owner can read the keys, in `{}`", status.file.display()),
            );
            if let Some(key) = key {
                key::check(keys, key, findings).await;
            }
        }
        None => findings.ok("folder.keys", "there is no key yet; the first start creates and prints one"),
    }
}

/// Writes a temporary file into the folder, and removes it.
fn check_writable(check: &'static str, folder: &Path, findings: &mut Findings) -> bool {
    let shown = folder.display();
    let probe = folder.join(format!(".memory-bank-doctor-{}", std::process::id()));
    let written = std::fs::File::options().write(true).create_new(true).open(&probe);
    match written.and_then(|_| std::fs::remove_file(&probe)) {
        Ok(()) => {
            findings.ok(check, format!("`{shown}` can be written"));
            true
        }
        Err(error) => {
            let advice = match error.kind() {
                ErrorKind::NotFound => "create it, or set another one with `--path`",
                ErrorKind::PermissionDenied => "allow the server's user to write there",
                ErrorKind::ReadOnlyFilesystem => "mount it read-write",
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "free space on the disk",
                _ => "check that it is a folder, and its owner",
            };
            findings.error(check, format!("`{shown}` cannot be written: {error}"), advice);
            false
        }
    }
}
