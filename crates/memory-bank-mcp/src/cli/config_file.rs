//! Reads and replaces a client's file atomically, through links, and keeps its owner and permissions. It must not know its
//! content.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

/// The largest configuration file that is read, in bytes. Most have a few kilobytes. That of Claude Code, which also
/// contains its history, has a few megabytes.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// The beginning of the names of drafts, which may have a key.
const DRAFT: &str = ".memory-bank-mcp-";
/// The beginning of the name of a file that somebody else has written, which nothing could take back to its place.
#[cfg(any(target_os = "linux", target_vendor = "apple"))]
const KEPT: &str = ".kept-by-memory-bank-mcp-";
/// How many characters follow in the name of a draft.
const DRAFT_CHARS: usize = 6;
/// The most names of a folder that are looked at for drafts.
const MAX_NAMES: usize = 100_000;

/// The permissions of a file after it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileAccess {
    /// A new file is readable for everybody; an existing one keeps its permissions.
    PublicIfNew,
    /// A new file is readable for its owner only; an existing one keeps its permissions.
    PrivateIfNew,
    /// The file is readable for its owner only, since it contains a key.
    OwnerOnly,
    /// The file gets these permission bits back, unless they were changed since [`Self::OwnerOnly`].
    Reopened(u32),
}

/// The outcome of [`replace`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReplaceOutcome {
    /// The file was replaced.
    Replaced,
    /// Another process changed the file since it was read. Nothing was done.
    ChangedMeanwhile,
}

/// The file to replace: links are followed, also if the file or its folders do not exist yet.
pub(crate) fn target(file: &Path) -> anyhow::Result<PathBuf> {
    let file = std::path::absolute(file)?;
    for (above, folder) in file.ancestors().enumerate() {
        if folder.symlink_metadata().is_err() {
            continue;
        }
        let found = dunce::canonicalize(folder)
            .with_context(|| format!("`{}` is a link to a missing file or folder", folder.display()))?;
        let rest = file.components().count().saturating_sub(above);
        return Ok(file.components().skip(rest).fold(found, |path, part| path.join(part)));
    }
    Ok(file)
}

/// The name of the file as it is read through the last link on its way, with all links before that followed; none without
/// links.
pub(crate) fn last_link(file: &Path) -> anyhow::Result<Option<PathBuf>> {
    let file = std::path::absolute(file)?;
    let Some(link) = file.ancestors().find(|part| part.is_symlink()) else { return Ok(None) };
    let (Some(above), Some(name)) = (link.parent(), link.file_name()) else { return Ok(None) };
    let rest = file.strip_prefix(link)?.components();
    Ok(Some(rest.fold(dunce::canonicalize(above)?.join(name), |path, part| path.join(part))))
}

/// As [`target`], for a file in a project: a project, including its links, may come from anybody.
pub(crate) fn target_within(file: &Path, project: &Path) -> anyhow::Result<PathBuf> {
    let target = target(file)?;
    ensure!(
        target.starts_with(project),
        "`{}` is a link that leads out of the project, to `{}`; if that is meant, name it with `client-config --file`",
        file.display(),
        target.display()
    );
    Ok(target)
}

/// The text of the file, if there is one.
pub(crate) fn read(file: &Path) -> anyhow::Result<Option<String>> {
    // Opening a pipe would wait for a writer.
    if let Ok(metadata) = std::fs::metadata(file) {
        ensure!(
            metadata.is_file(),
            "`{}` is not a regular file; name another with `client-config --file`",
            file.display()
        );
    }
    let opened = match std::fs::File::open(file) {
        Ok(opened) => opened,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("`{}` cannot be read", file.display())),
    };
    let mut text = String::new();
    let read = opened
        .take(MAX_BYTES + 1)
        .read_to_string(&mut text)
        .with_context(|| format!("`{}` cannot be read as text", file.display()))?;
    ensure!(
        u64::try_from(read)? <= MAX_BYTES,
        "`{}` has more than {MAX_BYTES} bytes, too many for a configuration; name the right file with `client-config --file`",
        file.display()
    );
    Ok(Some(text))
}

/// Checks that the file may be replaced. A read-only file is left alone: another program writes it, such as a package manager.
pub(crate) fn check_writable(file: &Path) -> anyhow::Result<()> {
    if let Ok(metadata) = std::fs::metadata(file) {
        ensure!(
            !metadata.permissions().readonly(),
            "`{}` is read-only, perhaps because another program writes it; make it writable, or add the entry to its source",
            file.display()
        );
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            // Replacing it would leave the old text under its other name, for example in a repository of settings.
            ensure!(
                metadata.nlink() == 1,
                "`{}` has another name (a hard link), which would keep the old text; make it a file of its own or a symbolic link",
                file.display()
            );
        }
    }
    Ok(())
}

/// Replaces the file atomically, if it still has the text `before`.
pub(crate) fn replace(
    file: &Path,
    text: &str,
    before: Option<&str>,
    access: FileAccess,
) -> anyhow::Result<ReplaceOutcome> {
    check_writable(file)?;
    let folder = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(folder)?;
    discard_left_drafts(folder);
    let mut builder = tempfile::Builder::new();
    builder.prefix(DRAFT);
    #[cfg(unix)]
    if access == FileAccess::PublicIfNew {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o644));
    }
    let mut draft = builder
        .tempfile_in(folder)
        .with_context(|| format!("no file can be made in `{}`", folder.display()))?;
    // As long as this process runs, others see that the draft is not left. Without locks they leave it.
    if let Err(error) = draft.as_file().try_lock() {
        tracing::debug!(%error, "the draft of a file is not locked");
    }
    draft.write_all(text.as_bytes())?;
    if before.is_some() {
        let metadata = std::fs::metadata(file)?;
        keep_owner(draft.as_file(), &metadata)?;
        draft.as_file().set_permissions(permissions(&metadata, access))?;
    }
    draft.as_file().sync_all()?;
    // A running client also writes its file.
    if read(file)?.as_deref() != before {
        return Ok(ReplaceOutcome::ChangedMeanwhile);
    }
    if let Some(before) = before {
        return exchange(draft, file, before);
    }
    match draft.persist_noclobber(file) {
        Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => {
            Ok(ReplaceOutcome::ChangedMeanwhile)
        }
        outcome => outcome.map(|_| ReplaceOutcome::Replaced).map_err(Into::into),
    }
}

/// Removes the drafts that killed processes left in a folder: nobody has a lock on them. One that cannot be removed is logged.
pub(crate) fn discard_left_drafts(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.take(MAX_NAMES).flatten() {
        let is_draft =
            entry.file_name().to_str().and_then(|name| name.strip_prefix(DRAFT)).is_some_and(|rest| {
                rest.len() == DRAFT_CHARS && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
            });
        // A link or a pipe is not one.
        if !is_draft || !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        let removed = std::fs::File::open(entry.path()).and_then(|draft| {
            draft.try_lock()?;
            std::fs::remove_file(entry.path())
        });
        if let Err(error) = removed {
            tracing::debug!(draft = %entry.path().display(), %error, "a draft stays");
        }
    }
}

/// Replaces the file by the draft. Where the system can exchange two files, the replaced file is checked once more: a
/// client may have written it between the last check and the exchange.
fn exchange(draft: tempfile::NamedTempFile, file: &Path, before: &str) -> anyhow::Result<ReplaceOutcome> {
    #[cfg(any(target_os = "linux", target_vendor = "apple"))]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        let swap = || renameat_with(CWD, draft.path(), CWD, file, RenameFlags::EXCHANGE);
        let ours = read(draft.path())?;
        if swap().is_ok() {
            // A file that cannot be read has changed.
            if read(draft.path()).is_ok_and(|found| found.as_deref() == Some(before)) {
                return Ok(ReplaceOutcome::Replaced);
            }
            let restored = swap().and_then(|()| {
                // If the file was written again meanwhile, the newest text stays.
                let is_ours = read(draft.path()).is_ok_and(|found| found == ours);
                if is_ours { Ok(()) } else { swap() }
            });
            if let Err(error) = restored {
                let (_, kept) = draft.keep()?;
                // Under a name that no later call takes for a draft that was left.
                let name = kept.file_name().unwrap_or_default().to_string_lossy().replace(DRAFT, KEPT);
                let draft_path = kept.with_file_name(name);
                std::fs::rename(&kept, &draft_path)?;
                anyhow::bail!(
                    "another program changed it at the same time; its text is now in `{}` ({error}); move that file back",
                    draft_path.display()
                );
            }
            return Ok(ReplaceOutcome::ChangedMeanwhile);
        }
    }
    // Other systems, and some file systems, cannot exchange files.
    let _unused_elsewhere = before;
    draft.persist(file)?;
    Ok(ReplaceOutcome::Replaced)
}

/// Gives the draft to the owner of the file: a command that runs as root must not take users' files away from them.
fn keep_owner(draft: &std::fs::File, metadata: &std::fs::Metadata) -> anyhow::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let own = draft.metadata()?;
        if own.uid() != metadata.uid() || own.gid() != metadata.gid() {
            std::os::unix::fs::fchown(draft, Some(metadata.uid()), Some(metadata.gid()))
                .context("it belongs to another user or group; run this as its owner")?;
        }
    }
    #[cfg(not(unix))]
    let _inherited_from_the_folder = (draft, metadata);
    Ok(())
}

/// The permission bits of a file that others may use; none of other files, and on systems without such bits.
pub(crate) fn open_mode(file: &Path) -> Option<u32> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(file).ok()?.permissions().mode() & ALL_BITS;
        (mode != mode & OWNER_BITS).then_some(mode)
    }
    #[cfg(not(unix))]
    {
        let _all_the_same = file;
        None
    }
}

/// The permission bits, and those of them that the owner has.
#[cfg(unix)]
const ALL_BITS: u32 = 0o7777;
#[cfg(unix)]
const OWNER_BITS: u32 = 0o7700;

/// The permissions of the replaced file, as `access` changes them.
fn permissions(metadata: &std::fs::Metadata, access: FileAccess) -> std::fs::Permissions {
    #[cfg_attr(not(unix), expect(unused_mut, reason = "only Unix has bits to take away"))]
    let mut permissions = metadata.permissions();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let present = permissions.mode() & ALL_BITS;
        match access {
            FileAccess::OwnerOnly => permissions.set_mode(present & OWNER_BITS),
            FileAccess::Reopened(mode) if present == mode & OWNER_BITS => permissions.set_mode(mode),
            FileAccess::PublicIfNew | FileAccess::PrivateIfNew | FileAccess::Reopened(_) => {}
        }
    }
    #[cfg(not(unix))]
    let _all_the_same = access;
    permissions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_pipe_is_refused_without_waiting() {
        let folder = tempfile::TempDir::new().unwrap();
        let pipe = folder.path().join("mcp.json");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert!(read(&pipe).unwrap_err().to_string().contains("not a regular file"));
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_gets_a_key_is_closed_to_others_and_keeps_its_bits_otherwise() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("mcp.json");
        let mode = || std::fs::metadata(&file).unwrap().permissions().mode() & 0o777;
        let own = folder.path().join("own.json");
        replace(&own, "{}", None, FileAccess::PrivateIfNew).unwrap();
        assert_eq!(std::fs::metadata(&own).unwrap().permissions().mode() & 0o777, 0o600);
        replace(&file, "{}", None, FileAccess::PublicIfNew).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o664)).unwrap();
        replace(&file, "{ }", Some("{}"), FileAccess::PrivateIfNew).unwrap();
        assert_eq!(mode(), 0o664);
        replace(&file, "{  }", Some("{ }"), FileAccess::OwnerOnly).unwrap();
        assert_eq!(mode(), 0o600);
        assert_eq!(open_mode(&file), None);
        replace(&file, "{ }", Some("{  }"), FileAccess::Reopened(0o664)).unwrap();
        assert_eq!((mode(), open_mode(&file)), (0o664, Some(0o664)));
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        replace(&file, "{}", Some("{ }"), FileAccess::Reopened(0o664)).unwrap();
        assert_eq!(mode(), 0o640, "somebody has changed them since");
    }

    #[test]
    fn a_concurrent_write_of_another_program_is_not_lost() {
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("mcp.json");
        std::fs::write(&file, "theirs").unwrap();
        for before in [None, Some("before")] {
            let outcome = replace(&file, "ours", before, FileAccess::PrivateIfNew).unwrap();
            assert_eq!(outcome, ReplaceOutcome::ChangedMeanwhile);
            assert_eq!(std::fs::read_to_string(&file).unwrap(), "theirs");
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no draft is left");
    }

    #[cfg(any(target_os = "linux", target_vendor = "apple"))]
    #[test]
    fn a_write_after_the_last_check_is_not_lost() {
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("mcp.json");
        let draft = || {
            let mut draft = tempfile::Builder::new().tempfile_in(folder.path()).unwrap();
            draft.write_all(b"ours").unwrap();
            draft
        };
        // The file after a client wrote it between the last check and the exchange.
        for theirs in [&b"theirs"[..], b"\xff no text"] {
            std::fs::write(&file, theirs).unwrap();
            assert_eq!(exchange(draft(), &file, "before").unwrap(), ReplaceOutcome::ChangedMeanwhile);
            assert_eq!(std::fs::read(&file).unwrap(), theirs);
        }
        std::fs::write(&file, "before").unwrap();
        assert_eq!(exchange(draft(), &file, "before").unwrap(), ReplaceOutcome::Replaced);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "ours");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no draft is left");
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_also_to_a_missing_file() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::TempDir::new().unwrap();
        let root = folder.path().canonicalize().unwrap();
        for name in ["project", "outside"] {
            std::fs::create_dir(root.join(name)).unwrap();
        }
        let (project, outside) = (root.join("project"), root.join("outside"));
        symlink("../outside", project.join(".cursor")).unwrap();
        std::fs::write(outside.join("there.json"), "{}").unwrap();
        symlink("../outside/there.json", project.join(".mcp.json")).unwrap();
        symlink("../outside/nowhere", project.join(".vscode")).unwrap();
        assert_eq!(target(&project.join(".cursor/mcp.json")).unwrap(), outside.join("mcp.json"));
        assert_eq!(target(&project.join(".cursor/a/mcp.json")).unwrap(), outside.join("a/mcp.json"));
        assert_eq!(target(&project.join(".mcp.json")).unwrap(), outside.join("there.json"));
        assert_eq!(target(&project.join("new/mcp.json")).unwrap(), project.join("new/mcp.json"));
        assert!(target(&project.join(".vscode/mcp.json")).is_err());
    }

    #[test]
    fn a_read_only_file_is_not_changed() {
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("mcp.json");
        std::fs::write(&file, "{}").unwrap();
        let mut permissions = std::fs::metadata(&file).unwrap().permissions();
        permissions.set_readonly(true);
        std::fs::set_permissions(&file, permissions).unwrap();
        let error = replace(&file, "{ }", Some("{}"), FileAccess::PrivateIfNew).unwrap_err();
        assert!(error.to_string().contains("read-only"), "{error}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "{}");
    }

    #[cfg(unix)]
    #[test]
    fn a_file_with_another_name_is_not_changed() {
        let folder = tempfile::TempDir::new().unwrap();
        let (file, other) = (folder.path().join("mcp.json"), folder.path().join("dotfile.json"));
        std::fs::write(&file, "{}").unwrap();
        std::fs::hard_link(&file, &other).unwrap();
        let error = replace(&file, "{ }", Some("{}"), FileAccess::PrivateIfNew).unwrap_err().to_string();
        assert!(error.contains("hard link"), "{error}");
        assert_eq!(std::fs::read_to_string(&other).unwrap(), std::fs::read_to_string(&file).unwrap());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_in_a_project_that_leads_out_of_it_is_refused() {
        let folder = tempfile::TempDir::new().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let project = root.join("project");
        std::fs::create_dir(&project).unwrap();
        std::fs::write(root.join("mine.json"), "{}").unwrap();
        std::os::unix::fs::symlink("../mine.json", project.join(".mcp.json")).unwrap();
        let error = target_within(&project.join(".mcp.json"), &project).unwrap_err().to_string();
        assert!(error.contains("leads out of the project") && error.contains("--file"), "{error}");
    }
}
