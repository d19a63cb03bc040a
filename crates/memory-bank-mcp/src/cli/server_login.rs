//! The password of servers' login role: from the connection string, or from a file that is created once and that the
//! servers read. This module must not know how the role is created.

use std::io::{Read as _, Write as _};
use std::path::Path;

use anyhow::{Context, bail};
use fs_err as fs;
use memory_bank_core::clock::{Entropy, SystemEntropy};
use memory_bank_postgres::{Database, LoginOutcome, ServerLogin};

use crate::{config, file_system};

/// The longest password in a file, in bytes.
const PASSWORD_BYTES: u64 = 1024;

/// Creates the role, or sets its password; returns its name.
pub(crate) async fn set(database: &Database, file: &Path) -> anyhow::Result<(String, LoginOutcome)> {
    let url = config::server_database_url(&config::environment)?;
    let login = ServerLogin::of(&url).context("`SERVER_DATABASE_URL` cannot be used")?;
    let password = match login.password {
        Some(password) => password,
        None => read_or_create(file)?,
    };
    let outcome = database.set_server_login(&login.role, &password).await?;
    Ok((login.role, outcome))
}

/// The password in the file. A missing file is created atomically; of several concurrent processes, the first creates it.
fn read_or_create(file: &Path) -> anyhow::Result<String> {
    if !fs::exists(file)? {
        let folder = file.parent().context("`--server-password-file` takes the path of a file")?;
        let mut builder = tempfile::Builder::new();
        file_system::read_only_for_owner(&mut builder);
        let mut draft =
            builder.tempfile_in(folder).with_context(|| format!("`{}` cannot be created", file.display()))?;
        let password = format!("{}{}\n", SystemEntropy.id().simple(), SystemEntropy.id().simple());
        draft.write_all(password.as_bytes())?;
        draft.as_file().sync_all()?;
        match draft.persist_noclobber(file) {
            Ok(_) => file_system::sync_folder(folder)?,
            Err(failure) if failure.error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(failure) => {
                return Err(failure.error).with_context(|| format!("`{}` cannot be created", file.display()));
            }
        }
    }
    let mut text = String::new();
    let length = fs::File::open(file)?.take(PASSWORD_BYTES + 1).read_to_string(&mut text)?;
    let password = text.trim_end_matches(['\r', '\n']);
    if password.is_empty() || u64::try_from(length)? > PASSWORD_BYTES {
        bail!(
            "`{}` must contain a password of 1 to {PASSWORD_BYTES} bytes; remove the file to have one generated",
            file.display()
        );
    }
    Ok(password.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_generated_once_and_readable_by_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        let password = read_or_create(&file).unwrap();
        assert_eq!(password.len(), 64);
        assert_eq!(read_or_create(&file).unwrap(), password);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o400);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_ne!(read_or_create(&folder.path().join("another")).unwrap(), password);
    }

    #[test]
    fn an_empty_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        std::fs::write(&file, "\n").unwrap();
        assert!(read_or_create(&file).unwrap_err().to_string().contains("remove the file"));
    }
}
