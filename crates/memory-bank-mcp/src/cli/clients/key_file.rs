//! Which files a key may be written into: none that is committed.

use std::path::Path;

use anyhow::bail;
use memory_bank_folder::tracked_by;

use super::{Client, ClientPaths, Server};

/// Checks that a key in the entry may be written into this file of the client, links followed.
///
/// # Errors
/// Version control has the file, or may have it, or it is a project's file, which is meant to be committed.
pub(crate) fn check_may_hold_key(
    server: &Server,
    client: Client,
    file: &Path,
    paths: &ClientPaths,
) -> anyhow::Result<()> {
    let Server::Http { key: Some(_), name, .. } = server else { return Ok(()) };
    let advice = if client.can_reference_key() {
        format!("omit the key; {}", client.key_advice(name))
    } else {
        "use a file that is not committed".to_owned()
    };
    if let Some(reason) = tracked_by(file) {
        bail!("{reason}, so the key would be committed: {advice}");
    }
    let is_of_user = || {
        let files = paths.user_files(client).unwrap_or_default();
        files.iter().any(|own| own == file || same_file(own, file))
    };
    let is_of_project =
        client.row().is_shared && client.row().project_file.is_some_and(|name| file.ends_with(name));
    if is_of_project && !is_of_user() {
        bail!("a project's file is meant to be committed, so no key is written into it: {advice}");
    }
    Ok(())
}

fn same_file(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn git(folder: &Path, words: &[&str]) {
        let done = std::process::Command::new("git").args(words).current_dir(folder).status().unwrap();
        assert!(done.success());
    }

    fn server(key: bool) -> Server {
        let key = key.then(|| format!("mbmcp_live_{}", "k".repeat(32)).parse().unwrap());
        Server::Http { url: "https://memory.example.com/mcp".to_owned(), key, name: "memory-bank".to_owned() }
    }

    fn check(client: Client, file: &Path, home: &Path) -> Result<(), String> {
        let paths = ClientPaths::new(Some(home.to_owned()), &|_| None, Vec::new());
        assert!(check_may_hold_key(&server(false), client, file, &paths).is_ok());
        check_may_hold_key(&server(true), client, file, &paths).map_err(|error| error.to_string())
    }

    #[test]
    fn no_key_is_written_into_a_file_that_a_repository_tracks() {
        let folder = TempDir::new().unwrap();
        let (home, dotfiles) = (folder.path().join("home"), folder.path().join("dotfiles"));
        std::fs::create_dir_all(&home).unwrap();
        std::fs::create_dir_all(&dotfiles).unwrap();
        git(&dotfiles, &["init", "--quiet"]);
        std::fs::write(dotfiles.join("config.toml"), "").unwrap();
        std::fs::write(dotfiles.join("free.toml"), "").unwrap();
        git(&dotfiles, &["add", "config.toml"]);
        let refused = check(Client::Codex, &dotfiles.join("config.toml"), &home).unwrap_err();
        assert!(
            refused.contains("dotfiles` tracks it") && refused.contains("MEMORY_BANK_API_KEY"),
            "{refused}"
        );
        assert_eq!(check(Client::Codex, &dotfiles.join("free.toml"), &home), Ok(()));
        assert_eq!(check(Client::Codex, &dotfiles.join("absent/config.toml"), &home), Ok(()));
        #[cfg(unix)]
        {
            let link = home.join("config.toml");
            std::os::unix::fs::symlink(dotfiles.join("config.toml"), &link).unwrap();
            assert!(check(Client::Codex, &link, &home).is_err());
        }
    }

    #[test]
    fn no_key_is_written_into_the_file_of_a_project_and_that_of_the_user_takes_it() {
        let folder = TempDir::new().unwrap();
        let home = folder.path().join("home");
        let refused =
            check(Client::Gemini, &folder.path().join("shop/.gemini/settings.json"), &home).unwrap_err();
        assert!(refused.contains("a project's file") && refused.contains("MEMORY_BANK_API_KEY"), "{refused}");
        assert_eq!(check(Client::Gemini, &home.join(".gemini/settings.json"), &home), Ok(()));
        assert_eq!(check(Client::Gemini, &folder.path().join("other.json"), &home), Ok(()));
    }
}
