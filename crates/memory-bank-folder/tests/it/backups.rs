//! Backups on disk: where they are stored, what they contain and how they are restored.

use std::path::{Path, PathBuf};

use memory_bank_core::store::{BackupError, BackupStore};

use crate::support::{Fixture, caller, fixture};

#[tokio::test]
async fn unusual_file_names_do_not_stop_a_backup() {
    let f = fixture();
    for odd in ["bad..name.md", "Upper.md", "a b.json", "notes.txt", ".hidden.md"] {
        std::fs::write(f.file(odd), odd).unwrap();
    }
    let backup = f.bank.create_backup(&caller(), None).await.unwrap();
    assert_eq!(backup.id, "memory-bank-backup-2026-11-22T09-30-07-045Z");
    for odd in ["bad..name.md", "Upper.md", "a b.json", "notes.txt", ".hidden.md"] {
        std::fs::write(f.file(odd), "changed").unwrap();
    }
    f.bank.restore_backup(&caller(), &backup.id, false).await.unwrap();
    for odd in ["bad..name.md", "Upper.md", "a b.json", "notes.txt", ".hidden.md"] {
        assert_eq!(std::fs::read_to_string(f.file(odd)).unwrap(), odd);
    }
    let mut names: Vec<_> =
        std::fs::read_dir(f.file("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [".hidden.md", ".mbmcp", "Upper.md", "a b.json", "backups", "bad..name.md", "notes.txt"]
    );
}

#[tokio::test]
async fn a_restore_is_refused_when_its_safety_copy_fails() {
    let f = fixture();
    f.write("a.md", "old").await.unwrap();
    let backup = f.bank.create_backup(&caller(), None).await.unwrap();
    f.write("a.md", "new").await.unwrap();
    // The clock is fixed: occupy every name that the safety copy could get.
    for number in 2..1000 {
        std::fs::write(f.file(&format!("backups/{}-{number}", backup.id)), "").unwrap();
    }
    assert!(f.bank.restore_backup(&caller(), &backup.id, true).await.is_err());
    assert_eq!(f.text("a.md").await, "new");
}

#[tokio::test]
async fn a_restore_that_cannot_complete_changes_nothing() {
    let f = fixture();
    for requested in ["a.md", "b.md"] {
        f.write(requested, "old").await.unwrap();
    }
    let backup = f.bank.create_backup(&caller(), None).await.unwrap();
    f.write("a.md", "new").await.unwrap();
    std::fs::remove_file(f.file("b.md")).unwrap();
    std::fs::create_dir(f.file("b.md")).unwrap();
    f.bank.restore_backup(&caller(), &backup.id, false).await.unwrap_err();
    assert_eq!(f.text("a.md").await, "new");
    assert_eq!(std::fs::read_dir(f.file(".mbmcp/stage")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_backup_in_a_custom_folder_is_listed_and_restored() {
    let f = fixture();
    f.write("a.md", "old").await.unwrap();
    let backup = f.bank.create_backup(&caller(), Some("backups/weekly")).await.unwrap();
    assert!(
        Path::new(&backup.location).starts_with(f.root.path().join("backups/weekly")),
        "{}",
        backup.location
    );
    assert_eq!(f.bank.list_backups(&caller(), None).await.unwrap(), std::slice::from_ref(&backup));
    assert_eq!(f.bank.list_backups(&caller(), Some("backups/weekly")).await.unwrap().len(), 1);
    f.write("a.md", "new").await.unwrap();
    f.bank.restore_backup(&caller(), &backup.id, false).await.unwrap();
    assert_eq!(f.text("a.md").await, "old");
}

#[cfg(unix)]
#[rstest::rstest]
#[case("../esc")]
#[case("/proc/nope")]
#[case("/tmp")]
#[case("memory-bank/inside")]
#[case("linked")]
#[tokio::test]
async fn a_backup_outside_the_project_or_inside_the_bank_is_refused(#[case] directory: &str) {
    let f = fixture();
    let outside = tempfile::TempDir::new().unwrap();
    std::os::unix::fs::symlink(outside.path(), f.root.path().join("linked")).unwrap();
    f.write("a.md", "x").await.unwrap();
    let refused = f.bank.create_backup(&caller(), Some(directory)).await;
    assert!(refused.is_err(), "{refused:?}");
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
    assert!(!f.file("inside").exists());
}

#[tokio::test]
async fn a_backup_of_the_typescript_server_without_z_and_without_graph_is_restored() {
    let f = fixture();
    f.write("a.md", "new").await.unwrap();
    std::fs::create_dir(f.file("graph")).unwrap();
    std::fs::write(f.file("graph/graph.jsonl"), "log\n").unwrap();
    let old = f.root.path().join("memory-bank-backup-2025-01-02T03-04-05-006");
    std::fs::create_dir(&old).unwrap();
    std::fs::write(old.join("a.md"), "old").unwrap();
    let listed = f.bank.list_backups(&caller(), None).await.unwrap();
    assert_eq!(listed[0].timestamp.to_string(), "2025-01-02T03:04:05.006Z");
    let restored = f.bank.restore_backup(&caller(), &format!("{}Z", listed[0].id), false).await.unwrap();
    assert_eq!(restored.files, ["a.md"]);
    assert_eq!(restored.kept, ["graph/graph.jsonl"]);
    assert_eq!(std::fs::read_to_string(f.file("graph/graph.jsonl")).unwrap(), "log\n");
}

#[tokio::test]
async fn an_empty_backup_is_refused() {
    let f = fixture();
    f.write("a.md", "x").await.unwrap();
    let id = "memory-bank-backup-2025-01-02T03-04-05-006Z";
    std::fs::create_dir(f.root.path().join(id)).unwrap();
    let refused = f.bank.restore_backup(&caller(), id, false).await;
    assert!(matches!(refused, Err(BackupError::Refused(_))));
}

#[tokio::test]
async fn version_control_folders_are_neither_backed_up_nor_restored() {
    let f = fixture();
    f.write("a.md", "one").await.unwrap();
    std::fs::create_dir_all(f.file(".git/hooks")).unwrap();
    std::fs::write(f.file(".git/HEAD"), "ref: refs/heads/main").unwrap();
    let backup = f.bank.create_backup(&caller(), None).await.unwrap();
    let folder = PathBuf::from(&backup.location);
    assert!(folder.join("a.md").exists() && !folder.join(".git").exists());
    // A backup that came with a repository.
    std::fs::create_dir_all(folder.join(".git/hooks")).unwrap();
    std::fs::write(folder.join(".git/hooks/pre-commit"), "evil").unwrap();
    let restored = f.bank.restore_backup(&caller(), &backup.id, false).await.unwrap();
    assert_eq!(restored.files, ["a.md"]);
    assert!(!f.file(".git/hooks/pre-commit").exists());
    assert_eq!(std::fs::read_to_string(f.file(".git/HEAD")).unwrap(), "ref: refs/heads/main");
}

#[tokio::test]
async fn a_sparse_file_does_not_fill_the_disk_with_backups() {
    let f = fixture();
    let hole = std::fs::File::create(f.file("hole.md")).unwrap();
    hole.set_len(memory_bank_core::limits::BACKUP_BYTES + 1).unwrap();
    let error = f.bank.create_backup(&caller(), None).await.unwrap_err().to_string();
    assert!(error.contains("`hole.md`") && error.contains("1073741824"), "{error}");
    assert_eq!(std::fs::read_dir(f.root.path()).unwrap().count(), 1, "nothing is left behind");
    hole.set_len(1).unwrap();
    let backup = f.bank.create_backup(&caller(), None).await.unwrap();
    let copy = std::fs::File::options().write(true).open(Path::new(&backup.location).join("hole.md"));
    copy.unwrap().set_len(memory_bank_core::limits::BACKUP_BYTES + 1).unwrap();
    f.bank.restore_backup(&caller(), &backup.id, false).await.unwrap_err();
}

#[tokio::test]
async fn backups_over_http_are_limited_in_number_and_none_is_deleted_for_another() {
    let Fixture { root, bank } = fixture();
    let f = Fixture { root, bank: bank.for_remote_clients() };
    f.write("a.md", "old").await.unwrap();
    let oldest = f.bank.create_backup(&caller(), None).await.unwrap();
    for number in 1..memory_bank_core::limits::BACKUPS {
        let name = format!("memory-bank-backup-2026-11-21T10-{number:02}-00-000Z");
        std::fs::create_dir(f.root.path().join(name)).unwrap();
    }
    let there = || std::fs::read_dir(f.root.path()).unwrap().count();
    let before = there();
    let refused = f.bank.create_backup(&caller(), None).await.unwrap_err().to_string();
    assert!(refused.contains("there are 50 backups already") && refused.contains("can remove"), "{refused}");
    assert_eq!(there(), before);
    // A restore still backs up files that it would overwrite.
    f.write("a.md", "new").await.unwrap();
    let restored = f.bank.restore_backup(&caller(), &oldest.id, true).await.unwrap();
    assert!(restored.safety.is_some());
    assert_eq!(f.text("a.md").await, "old");
    for number in 1..3 {
        let name = format!("memory-bank-backup-2026-11-21T10-{number:02}-00-000Z");
        std::fs::remove_dir(f.root.path().join(name)).unwrap();
    }
    f.bank.create_backup(&caller(), None).await.unwrap();
}

#[tokio::test]
async fn hidden_files_that_are_not_documents_are_not_backed_up() {
    let f = fixture();
    f.write("a.md", "x").await.unwrap();
    for name in [".ssh/id_rsa", ".env", "notes/.netrc", "notes/kept.txt", ".hidden.md"] {
        std::fs::create_dir_all(f.file(name).parent().unwrap()).unwrap();
        std::fs::write(f.file(name), "x").unwrap();
    }
    let backup = PathBuf::from(f.bank.create_backup(&caller(), None).await.unwrap().location);
    let copied = |name: &str| backup.join(name).exists();
    assert!(copied("a.md") && copied("notes/kept.txt") && copied(".hidden.md"));
    assert!(!copied(".ssh") && !copied(".env") && !copied("notes/.netrc"));
}

#[tokio::test]
async fn backups_are_stored_in_the_bank_and_older_places_are_still_listed() {
    let f = fixture();
    f.write("a.md", "one").await.unwrap();
    let old = "memory-bank-backup-2025-01-02T03-04-05-006Z";
    std::fs::create_dir(f.root.path().join(old)).unwrap();
    std::fs::write(f.root.path().join(old).join("a.md"), "zero").unwrap();
    let backup = f.bank.create_backup(&caller(), None).await.unwrap();
    assert_eq!(Path::new(&backup.location), f.file("backups").join(&backup.id));
    assert_eq!(std::fs::read_to_string(f.file("backups/.gitignore")).unwrap(), "*\n");
    // The same folder may be named.
    let named = f.bank.create_backup(&caller(), Some("memory-bank/backups")).await.unwrap();
    assert_eq!(Path::new(&named.location).parent(), Path::new(&backup.location).parent());
    let ids: Vec<String> =
        f.bank.list_backups(&caller(), None).await.unwrap().into_iter().map(|backup| backup.id).collect();
    assert_eq!(ids, [named.id.as_str(), backup.id.as_str(), old]);
    // A backup contains no other backup, and files in backups are not part of the bank.
    assert_eq!(std::fs::read_dir(&named.location).unwrap().count(), 1);
    assert_eq!(f.names().await, ["a.md", "backups"]);
    for (id, text) in [(old, "zero"), (backup.id.as_str(), "one")] {
        let restored = f.bank.restore_backup(&caller(), id, false).await.unwrap();
        assert_eq!((restored.files, restored.kept), (vec!["a.md".to_owned()], Vec::new()));
        assert_eq!(f.text("a.md").await, text);
    }
    // User files in a folder of that name are backed up, too.
    std::fs::write(f.file("backups/mine.txt"), "x").unwrap();
    let third = f.bank.create_backup(&caller(), None).await.unwrap();
    assert!(Path::new(&third.location).join("backups/mine.txt").exists());
    assert!(!Path::new(&third.location).join("backups").join(&backup.id).exists());
}
