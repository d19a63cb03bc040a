//! Links, pipes and other special files in a bank folder.

use std::os::unix::fs::symlink;
use std::path::Path;

use memory_bank_core::error::EditError;
use memory_bank_core::store::{BackupStore, DocumentStore, Drafts, ReadOutcome};
use rstest::rstest;
use tempfile::TempDir;

use crate::support::{caller, fixture, name};

#[rstest]
#[case("/etc/hostname")]
#[case("../secret.md")]
#[case("../../../../../../etc/passwd")]
#[case("/proc/self/environ")]
#[tokio::test]
async fn a_link_that_leads_out_is_not_followed(#[case] target: &str) {
    let f = fixture();
    std::fs::write(f.root.path().join("secret.md"), "secret").unwrap();
    symlink(target, f.file("link.md")).unwrap();
    let outcome = f.read("link.md").await;
    assert!(matches!(&outcome, ReadOutcome::Unreadable(why) if !why.contains('/')), "{outcome:?}");
    assert!(matches!(f.write("link.md", "x").await, Err(EditError::Refused(_))));
    assert_eq!(std::fs::read_to_string(f.root.path().join("secret.md")).unwrap(), "secret");
    // The link is listed, and other documents are not affected.
    assert_eq!(f.names().await, ["link.md"]);
    f.write("a.md", "x").await.unwrap();
}

#[tokio::test]
async fn a_link_within_the_bank_is_read_and_written_through() {
    let f = fixture();
    f.write("notes.md", "one").await.unwrap();
    symlink("notes.md", f.file("link.md")).unwrap();
    assert_eq!(f.text("link.md").await, "one");
    f.write("link.md", "two").await.unwrap();
    assert!(f.file("link.md").is_symlink());
    assert_eq!(f.text("notes.md").await, "two");
}

#[tokio::test]
async fn a_link_into_the_server_s_own_folder_is_refused() {
    let f = fixture();
    f.write("a.md", "x").await.unwrap();
    symlink(".mbmcp/lock", f.file("lock.md")).unwrap();
    assert!(matches!(f.read("lock.md").await, ReadOutcome::Unreadable(_)));
    assert!(f.write("lock.md", "x").await.is_err());
}

#[tokio::test]
async fn a_link_in_place_of_the_backup_folder_is_not_followed() {
    let f = fixture();
    f.write("a.md", "x").await.unwrap();
    let outside = TempDir::new().unwrap();
    for target in [outside.path(), Path::new("adr"), Path::new(".mbmcp"), Path::new("nowhere")] {
        std::fs::create_dir_all(f.file("adr")).unwrap();
        symlink(target, f.file("backups")).unwrap();
        assert!(f.bank.create_backup(&caller(), None).await.is_err(), "{}", target.display());
        assert!(f.bank.list_backups(&caller(), None).await.unwrap().is_empty());
        std::fs::remove_file(f.file("backups")).unwrap();
    }
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
    assert_eq!(std::fs::read_dir(f.file("adr")).unwrap().count(), 0);
}

#[tokio::test]
async fn documents_in_a_linked_folder_are_ignored() {
    let f = fixture();
    let outside = TempDir::new().unwrap();
    std::fs::write(outside.path().join("x.md"), "secret").unwrap();
    f.write("real/x.md", "x").await.unwrap();
    f.write("a.md", "x").await.unwrap();
    std::fs::create_dir(f.file("graph")).unwrap();
    std::fs::write(f.file("graph/x.md"), "of the graph").unwrap();
    for target in
        [outside.path(), Path::new("../.."), Path::new("real"), Path::new("graph"), Path::new(".mbmcp")]
    {
        for link in ["sub", "real/sub"] {
            symlink(target, f.file(link)).unwrap();
            let below = format!("{link}/x.md");
            assert!(!f.names().await.iter().any(|name| name.starts_with(&format!("{link}/"))), "{link}");
            let read = f.read(&below).await;
            assert!(!matches!(read, ReadOutcome::Found(_)), "{link} to {}: {read:?}", target.display());
            for name in [&below, &format!("{link}/new.md"), &format!("{link}/deep/new.md")] {
                assert!(f.write(name, "gone").await.is_err(), "{name} to {}", target.display());
            }
            let names = [name("a.md"), name(&format!("{link}/new.md"))];
            let mut both = |drafts: &mut Drafts| {
                drafts.set(&names[0], "changed".into())?;
                drafts.set(&names[1], "new".into())
            };
            assert!(f.bank.edit(&caller(), &names, &mut both).await.is_err());
            std::fs::remove_file(f.file(link)).unwrap();
        }
    }
    assert_eq!(f.text("a.md").await, "x");
    assert_eq!(f.text("real/x.md").await, "x");
    assert_eq!(std::fs::read_dir(f.file("real")).unwrap().count(), 1);
    assert_eq!(std::fs::read_to_string(f.file("graph/x.md")).unwrap(), "of the graph");
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 1);
    assert_eq!(std::fs::read_to_string(outside.path().join("x.md")).unwrap(), "secret");
}

#[tokio::test]
async fn a_restore_never_writes_through_a_linked_folder() {
    let f = fixture();
    f.write("adr/x.md", "old").await.unwrap();
    let backup = f.bank.create_backup(&caller(), None).await.unwrap();
    std::fs::remove_dir_all(f.file("adr")).unwrap();
    f.write("other/x.md", "precious").await.unwrap();
    symlink("other", f.file("adr")).unwrap();
    f.bank.restore_backup(&caller(), &backup.id, false).await.unwrap_err();
    assert_eq!(f.text("other/x.md").await, "precious");
}

#[tokio::test]
async fn pipes_folders_and_huge_files_never_block_a_reader() {
    let f = fixture();
    assert!(std::process::Command::new("mkfifo").arg(f.file("pipe.md")).status().unwrap().success());
    std::fs::create_dir(f.file("folder.md")).unwrap();
    std::fs::File::create(f.file("huge.md")).unwrap().set_len(40 << 30).unwrap();
    for requested in ["pipe.md", "folder.md", "huge.md"] {
        assert!(matches!(f.read(requested).await, ReadOutcome::Unreadable(_)), "{requested}");
        assert!(f.write(requested, "x").await.is_err(), "{requested}");
    }
    std::fs::remove_file(f.file("huge.md")).unwrap();
    f.write("a.md", "x").await.unwrap();
    let backup = f.bank.create_backup(&caller(), None).await.unwrap();
    assert_eq!(std::fs::read_dir(backup.location).unwrap().count(), 1);
}
