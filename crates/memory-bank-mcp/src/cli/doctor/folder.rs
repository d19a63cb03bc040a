//! The folder that is served without a database: there, writable, and its keys for the owner alone.

use std::io::ErrorKind;
use std::path::Path;

use memory_bank_folder::FolderKeys;

use crate::cli::Cli;
use crate::cli::doctor::findings::Findings;
use crate::cli::doctor::key;
use crate::cli::serve::project;

/// Looks at the folder, and at a key of it.
pub(crate) async fn look(cli: &Cli, key: Option<&str>, findings: &mut Findings) {
    let project = match project(cli) {
        Ok(project) => project,
        Err(error) => return findings.error("folder", format!("{error:#}"), "correct `--path`"),
    };
    if !writable("folder", &project, findings) {
        return;
    }
    let bank = project.join(&cli.folder);
    match std::fs::metadata(&bank) {
        Ok(metadata) if metadata.is_dir() => {
            writable("folder.bank", &bank, findings);
        }
        Ok(_) => findings.error(
            "folder.bank",
            format!("`{}` is no folder", bank.display()),
            "move it away, or name another folder with `--folder`",
        ),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            findings.ok("folder.bank", "there is no bank yet; `initialize_memory_bank` makes one");
        }
        Err(error) => {
            findings.error("folder.bank", format!("`{}`: {error}", bank.display()), "correct its rights");
        }
    }
    match FolderKeys::open(&project, &cli.folder, &cli.username) {
        Ok(keys) => {
            private(&project.join(format!(".{}-keys.json", cli.folder)), findings);
            if let Some(key) = key {
                key::judge(&keys, key, findings).await;
            }
        }
        Err(error) => findings.error("folder.keys", error.to_string(), "mend or remove the file of the keys"),
    }
}

/// Tries to write, and leaves nothing behind.
fn writable(check: &'static str, folder: &Path, findings: &mut Findings) -> bool {
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
                ErrorKind::NotFound => "make it, or name another with `--path`",
                ErrorKind::PermissionDenied => {
                    "give the user that the server runs as the right to write there"
                }
                ErrorKind::ReadOnlyFilesystem => "mount it for writing",
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "make room on the disk",
                _ => "see whether it is a folder, and whose",
            };
            findings.error(check, format!("`{shown}` cannot be written: {error}"), advice);
            false
        }
    }
}

/// The keys' hashes are nobody else's business.
fn private(file: &Path, findings: &mut Findings) {
    use std::os::unix::fs::PermissionsExt;
    match std::fs::metadata(file) {
        Ok(metadata) if metadata.permissions().mode() & 0o077 != 0 => findings.warning(
            "folder.keys",
            format!("others may read or change `{}`", file.display()),
            format!("chmod 600 {}", file.display()),
        ),
        Ok(_) => findings.ok("folder.keys", "the file of the keys is the owner's alone"),
        Err(_) => findings.ok("folder.keys", "there is no key yet; the first start makes one and shows it"),
    }
}
