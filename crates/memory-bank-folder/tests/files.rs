//! What may stand in a bank's folder, and backups on disk.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test may fail loudly; the lint knows test functions only")]

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memory_bank_core::caller::Caller;
use memory_bank_core::clock::{FixedClock, SystemEntropy};
use memory_bank_core::document::{DocumentPath, Etag};
use memory_bank_core::error::EditError;
use memory_bank_core::search::Query;
use memory_bank_core::store::{
    BackupError, BackupStore, DocumentSearch, DocumentStore, Drafts, NoSink, ReadOutcome, SearchStore,
};
use memory_bank_folder::{Deps, FolderBank};
use rstest::rstest;
use tempfile::TempDir;

struct Fixture {
    root: TempDir,
    bank: FolderBank,
}

fn caller() -> Caller {
    Caller::local("alice")
}

fn name(name: &str) -> DocumentPath {
    DocumentPath::parse(name).unwrap()
}

fn fixture() -> Fixture {
    let root = TempDir::new().unwrap();
    let path = root.path().join("memory-bank");
    std::fs::create_dir(&path).unwrap();
    let at = "2026-11-22T09:30:07.045Z".parse().unwrap();
    let deps = Deps {
        clock: Arc::new(FixedClock::new(at)),
        entropy: Arc::new(SystemEntropy),
        sink: Arc::new(NoSink),
    };
    let bank = FolderBank::new(path, root.path().to_owned(), deps);
    Fixture { root, bank }
}

impl Fixture {
    fn file(&self, name: &str) -> PathBuf {
        self.root.path().join("memory-bank").join(name)
    }

    async fn read(&self, asked: &str) -> ReadOutcome {
        self.bank.read(&caller(), &[name(asked)]).await.unwrap().remove(0)
    }

    async fn text(&self, asked: &str) -> String {
        match self.read(asked).await {
            ReadOutcome::Found(document) => document.content,
            other => format!("{other:?}"),
        }
    }

    async fn write(&self, asked: &str, text: &str) -> Result<(), EditError> {
        let name = name(asked);
        let mut editor = |drafts: &mut Drafts| drafts.set(&name, text.to_owned());
        self.bank.edit(&caller(), std::slice::from_ref(&name), &mut editor).await.map(|_| ())
    }

    async fn names(&self) -> Vec<String> {
        self.bank.list(&caller()).await.unwrap().into_iter().map(|entry| entry.name).collect()
    }
}

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
    // The link is shown, and stops nothing else.
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
async fn pipes_folders_and_huge_files_never_block_a_reader() {
    let f = fixture();
    assert!(std::process::Command::new("mkfifo").arg(f.file("pipe.md")).status().unwrap().success());
    std::fs::create_dir(f.file("folder.md")).unwrap();
    std::fs::File::create(f.file("huge.md")).unwrap().set_len(40 << 30).unwrap();
    for asked in ["pipe.md", "folder.md", "huge.md"] {
        assert!(matches!(f.read(asked).await, ReadOutcome::Unreadable(_)), "{asked}");
        assert!(f.write(asked, "x").await.is_err(), "{asked}");
    }
    std::fs::remove_file(f.file("huge.md")).unwrap();
    f.write("a.md", "x").await.unwrap();
    let backup = f.bank.create_backup(&caller(), None).await.unwrap();
    assert_eq!(std::fs::read_dir(backup.location).unwrap().count(), 1);
}

#[tokio::test]
async fn invalid_utf_8_is_read_with_replacement_characters() {
    let f = fixture();
    std::fs::write(f.file("a.md"), b"\xEF\xBB\xBFa\xFFb").unwrap();
    let ReadOutcome::Found(document) = f.read("a.md").await else { panic!() };
    assert_eq!(document.content, "\u{feff}a\u{fffd}b");
    assert_eq!(document.etag, Etag::of("\u{feff}a\u{fffd}b"));
}

#[tokio::test]
async fn an_exact_file_name_is_found_before_its_canonical_form() {
    let f = fixture();
    std::fs::write(f.file("README.md"), "upper").unwrap();
    f.write("README.md", "changed").await.unwrap();
    assert_eq!(std::fs::read_to_string(f.file("README.md")).unwrap(), "changed");
    assert!(!f.file("readme.md").exists());
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_can_be_read() {
    let f = fixture();
    std::fs::write(f.file("a.md"), "x").unwrap();
    std::fs::write(f.file("b.md"), "y").unwrap();
    // The server's own folder cannot be made: its name is taken.
    std::fs::write(f.file(".mbmcp"), "").unwrap();
    assert_eq!(f.text("a.md").await, "x");
    let both = f.bank.read(&caller(), &[name("a.md"), name("b.md")]).await.unwrap();
    assert!(both.iter().all(|outcome| matches!(outcome, ReadOutcome::Found(_))));
    let refused = f.write("a.md", "z").await.unwrap_err().to_string();
    assert!(
        refused.contains("cannot write") && !refused.contains(f.root.path().to_str().unwrap()),
        "{refused}"
    );
    assert_eq!(f.text("a.md").await, "x");
}

#[tokio::test]
async fn reading_writes_nothing() {
    let f = fixture();
    std::fs::write(f.file("a.md"), "x").unwrap();
    f.text("a.md").await;
    f.bank.read(&caller(), &[name("a.md"), name("b.md")]).await.unwrap();
    f.names().await;
    f.bank.list_backups(&caller(), None).await.unwrap();
    assert_eq!(std::fs::read_dir(f.file("")).unwrap().count(), 1);
}

#[tokio::test]
async fn a_write_recreates_a_deleted_bank_folder() {
    let f = fixture();
    f.write("a.md", "x").await.unwrap();
    std::fs::remove_dir_all(f.file("")).unwrap();
    f.write("b.md", "y").await.unwrap();
    assert_eq!(f.names().await, ["b.md"]);
}

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
    assert!(!f.file("upper.md").exists());
}

#[tokio::test]
async fn a_restore_is_refused_when_its_safety_copy_fails() {
    let f = fixture();
    f.write("a.md", "old").await.unwrap();
    let backup = f.bank.create_backup(&caller(), None).await.unwrap();
    f.write("a.md", "new").await.unwrap();
    // The clock stands still: take every name that the safety copy could have.
    for number in 2..1000 {
        std::fs::write(f.file(&format!("backups/{}-{number}", backup.id)), "").unwrap();
    }
    assert!(f.bank.restore_backup(&caller(), &backup.id, true).await.is_err());
    assert_eq!(f.text("a.md").await, "new");
}

#[tokio::test]
async fn a_restore_that_cannot_complete_changes_nothing() {
    let f = fixture();
    for asked in ["a.md", "b.md"] {
        f.write(asked, "old").await.unwrap();
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
    assert!(backup.location.starts_with(f.root.path().join("backups/weekly").to_str().unwrap()));
    assert_eq!(f.bank.list_backups(&caller(), None).await.unwrap(), std::slice::from_ref(&backup));
    assert_eq!(f.bank.list_backups(&caller(), Some("backups/weekly")).await.unwrap().len(), 1);
    f.write("a.md", "new").await.unwrap();
    f.bank.restore_backup(&caller(), &backup.id, false).await.unwrap();
    assert_eq!(f.text("a.md").await, "old");
}

#[rstest]
#[case("../esc")]
#[case("/proc/nope")]
#[case("/tmp")]
#[case("memory-bank/inside")]
#[case("linked")]
#[tokio::test]
async fn a_backup_outside_the_project_or_inside_the_bank_is_refused(#[case] directory: &str) {
    let f = fixture();
    let outside = TempDir::new().unwrap();
    symlink(outside.path(), f.root.path().join("linked")).unwrap();
    f.write("a.md", "x").await.unwrap();
    let refused = f.bank.create_backup(&caller(), Some(directory)).await;
    assert!(refused.is_err(), "{refused:?}");
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
    assert!(!f.file("inside").exists());
}

#[tokio::test]
async fn a_backup_of_the_original_without_z_and_without_graph_is_restored() {
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
async fn an_edit_and_a_rename_keep_bytes_that_are_not_utf_8() {
    let f = fixture();
    std::fs::write(f.file("old.md"), b"caf\xe9\n- x\n\xff end").unwrap();
    let text = f.text("old.md").await.replace("- x\n", "- x\n- y\n");
    f.write("old.md", &text).await.unwrap();
    assert_eq!(std::fs::read(f.file("old.md")).unwrap(), b"caf\xe9\n- x\n- y\n\xff end");
    assert_eq!(f.text("old.md").await, text);
    let names = [name("old.md"), name("new.md")];
    let mut rename = |drafts: &mut Drafts| {
        drafts.set(&names[1], text.clone())?;
        drafts.delete(&names[0])
    };
    f.bank.edit(&caller(), &names, &mut rename).await.unwrap();
    assert_eq!(std::fs::read(f.file("new.md")).unwrap(), b"caf\xe9\n- x\n- y\n\xff end");
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
    let f = Fixture { root, bank: bank.for_strangers() };
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
    // What a restore would overwrite is still copied aside.
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
    // A backup holds no other, and what is in backups is not the bank's.
    assert_eq!(std::fs::read_dir(&named.location).unwrap().count(), 1);
    assert_eq!(f.names().await, ["a.md", "backups"]);
    for (id, text) in [(old, "zero"), (backup.id.as_str(), "one")] {
        let restored = f.bank.restore_backup(&caller(), id, false).await.unwrap();
        assert_eq!((restored.files, restored.kept), (vec!["a.md".to_owned()], Vec::new()));
        assert_eq!(f.text("a.md").await, text);
    }
    // What somebody keeps in a folder of that name is backed up, too.
    std::fs::write(f.file("backups/mine.txt"), "x").unwrap();
    let third = f.bank.create_backup(&caller(), None).await.unwrap();
    assert!(Path::new(&third.location).join("backups/mine.txt").exists());
    assert!(!Path::new(&third.location).join("backups").join(&backup.id).exists());
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
async fn existing_files_are_read_under_any_name() {
    let f = fixture();
    let odd =
        ["con.md", "a:b.md", "a\nb.md", "fdp\u{202e}gpj.md", "docs /x.md", "README.md", "Docs./aux.json"];
    for name in odd {
        std::fs::create_dir_all(f.file(name).parent().unwrap()).unwrap();
        std::fs::write(f.file(name), "one").unwrap();
        assert_eq!(f.text(name).await, "one", "{name:?}");
        f.write(name, "two").await.unwrap();
        assert_eq!(std::fs::read_to_string(f.file(name)).unwrap(), "two");
    }
    let documents = f.bank.list(&caller()).await.unwrap();
    assert_eq!(documents.iter().filter(|entry| entry.path.is_some()).count(), odd.len());
    // Beside `README.md` no `readme.md` is made.
    let why = f.write("readme.md", "x").await.unwrap_err().to_string();
    assert!(why.contains("`README.md`"), "{why}");
    let names = [name("README.md"), name("readme.md")];
    let mut rename = |drafts: &mut Drafts| {
        drafts.set(&names[1], "two".into())?;
        drafts.delete(&names[0])
    };
    f.bank.edit(&caller(), &names, &mut rename).await.unwrap();
    assert!(f.file("readme.md").exists() && !f.file("README.md").exists());
}

#[tokio::test]
async fn a_name_is_found_in_every_unicode_normal_form() {
    let (composed, decomposed) = ("caf\u{e9}", "cafe\u{301}");
    for (there, asked) in [(composed, decomposed), (decomposed, composed)] {
        let f = fixture();
        std::fs::write(f.file(&format!("{there}.md")), "on disk").unwrap();
        std::fs::create_dir(f.file(there)).unwrap();
        std::fs::write(f.file(&format!("{there}/x.md")), "in a folder").unwrap();
        assert_eq!(f.text(&format!("{asked}.md")).await, "on disk");
        assert_eq!(f.text(&format!("{asked}/x.md")).await, "in a folder");
        f.write(&format!("{asked}.md"), "written").await.unwrap();
        f.write(&format!("{asked}/new.md"), "written").await.unwrap();
        let mut expected = vec![format!("{there}.md"), format!("{there}/new.md"), format!("{there}/x.md")];
        expected.sort();
        assert_eq!(f.names().await, expected);
        assert_eq!(std::fs::read_to_string(f.file(&format!("{there}.md"))).unwrap(), "written");
    }
    // Where both are there, each is itself.
    let f = fixture();
    for name in [composed, decomposed] {
        std::fs::write(f.file(&format!("{name}.md")), name).unwrap();
    }
    for name in [composed, decomposed] {
        assert_eq!(f.text(&format!("{name}.md")).await, name);
    }
}

#[tokio::test]
async fn leftovers_of_editors_and_sync_tools_are_listed_and_readable_but_not_documents() {
    let f = fixture();
    f.write("notes.md", "An albatross, too.").await.unwrap();
    f.write("adr/0001.md", "albatross").await.unwrap();
    let left =
        ["notes (conflicted copy).md", "adr/0001.sync-conflict-20260101-101010-ABCDEFG.md", ".notes.md.swp"];
    for name in left {
        std::fs::write(f.file(name), "albatross").unwrap();
    }
    symlink("alice@host.123", f.file(".#notes.md")).unwrap();
    let entries = f.bank.list(&caller()).await.unwrap();
    for name in left.iter().chain(&[".#notes.md"]) {
        let entry = entries.iter().find(|entry| entry.name == *name);
        assert!(entry.is_some_and(|entry| entry.path.is_none()), "{name}: {entries:?}");
    }
    assert_eq!(f.text(left[0]).await, "albatross");
    let wanted = |files: &[&str]| DocumentSearch {
        query: Query::parse("albatross").unwrap(),
        files: files.iter().map(|name| (*name).to_owned()).collect(),
        limit: 20,
        case_sensitive: false,
        days: (None, None),
    };
    let found = f.bank.search_documents(&caller(), &wanted(&[])).await.unwrap();
    let mut files: Vec<&str> = found.hits.iter().map(|hit| hit.file.as_str()).collect();
    files.sort_unstable();
    assert_eq!((files, found.skipped.len()), (vec!["adr/0001.md", "notes.md"], 0));
    let found = f.bank.search_documents(&caller(), &wanted(&[left[0]])).await.unwrap();
    assert!(found.hits.is_empty() && found.skipped[0].reason.contains("sync tools"), "{found:?}");
    // It may become a document.
    let names = [name(left[0]), name("merged.md")];
    let mut rename = |drafts: &mut Drafts| {
        drafts.set(&names[1], "albatross".into())?;
        drafts.delete(&names[0])
    };
    f.bank.edit(&caller(), &names, &mut rename).await.unwrap();
    assert_eq!(f.text("merged.md").await, "albatross");
}

#[tokio::test]
async fn a_bank_with_more_files_than_the_scan_limit_still_works() {
    let f = fixture();
    f.write("a.md", "x").await.unwrap();
    f.write("adr/0001.md", "x").await.unwrap();
    std::fs::create_dir_all(f.file("junk/deep")).unwrap();
    for number in 0..memory_bank_core::limits::WALKED_NAMES {
        std::fs::write(f.file(&format!("junk/{number}.txt")), "").unwrap();
    }
    std::fs::write(f.file("junk/deep/x.md"), "").unwrap();
    let names = f.names().await;
    assert_eq!(names, ["a.md", "adr/0001.md", "junk"]);
    assert_eq!(f.text("junk/deep/x.md").await, "");
}
