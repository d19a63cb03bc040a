//! Documents on disk: their bytes, their names and the files beside them.

use memory_bank_core::document::Etag;
use memory_bank_core::search::Query;
use memory_bank_core::store::{BackupStore, DocumentSearch, DocumentStore, Drafts, ReadOutcome, SearchStore};

use crate::support::{caller, fixture, name};

#[tokio::test]
async fn invalid_utf_8_is_read_with_replacement_characters() {
    let f = fixture();
    std::fs::write(f.file("a.md"), b"\xEF\xBB\xBFa\xFFb").unwrap();
    let ReadOutcome::Found(document) = f.read("a.md").await else { panic!() };
    assert_eq!(document.content, "\u{feff}a\u{fffd}b");
    assert_eq!(document.etag, Etag::of("\u{feff}a\u{fffd}b"));
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
async fn what_another_program_writes_while_an_edit_is_made_is_in_its_result() {
    let f = fixture();
    std::fs::write(f.file("a.md"), "a\n").unwrap();
    std::fs::write(f.file("b.md"), "b\n").unwrap();
    let append = |file: &str, text: &str| {
        let mut file = std::fs::File::options().append(true).create(true).open(f.file(file)).unwrap();
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    };
    // One document, two as one change, and one that is new.
    for names in [vec![name("a.md")], vec![name("a.md"), name("b.md")], vec![name("new.md")]] {
        let mut runs = 0;
        let mut add = |drafts: &mut Drafts| {
            runs += 1;
            let before: Vec<String> = names
                .iter()
                .map(|name| drafts.stored(name).map(|stored| stored.content.clone()).unwrap_or_default())
                .collect();
            if runs < 3 {
                append(names[0].as_str(), &format!("outside {runs}\n"));
            }
            names
                .iter()
                .zip(before)
                .try_for_each(|(name, before)| drafts.set(name, format!("{before}edit\n")))
        };
        f.bank.edit(&caller(), &names, &mut add).await.unwrap();
        let text = f.text(names[0].as_str()).await;
        assert!(text.ends_with("outside 1\noutside 2\nedit\n"), "{text}");
        assert_eq!(runs, 3);
    }
    assert_eq!(f.text("b.md").await, "b\nedit\n");
    assert_eq!(f.text("a.md").await.matches("edit").count(), 2);
}

#[tokio::test]
async fn an_edit_of_a_document_that_never_rests_is_refused_and_changes_nothing() {
    let f = fixture();
    std::fs::write(f.file("a.md"), "a\n").unwrap();
    let path = name("a.md");
    let mut number = 0;
    let mut replace = |drafts: &mut Drafts| {
        number += 1;
        std::fs::write(f.file("a.md"), "x".repeat(number)).unwrap();
        drafts.set(&path, "edit\n".to_owned())
    };
    let refused = f.bank.edit(&caller(), std::slice::from_ref(&path), &mut replace).await.unwrap_err();
    assert!(refused.to_string().contains("at the same time"), "{refused}");
    assert_eq!(f.text("a.md").await, "x".repeat(number));
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

#[cfg(unix)]
#[tokio::test]
async fn an_exact_file_name_is_found_before_its_canonical_form() {
    let f = fixture();
    std::fs::write(f.file("README.md"), "upper").unwrap();
    f.write("README.md", "changed").await.unwrap();
    assert_eq!(std::fs::read_to_string(f.file("README.md")).unwrap(), "changed");
    assert!(!f.file("readme.md").exists());
}

#[cfg(unix)]
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

#[cfg(windows)]
#[tokio::test]
async fn a_name_in_another_letter_case_is_the_same_document_under_its_listed_name() {
    let f = fixture();
    std::fs::create_dir(f.file("Adr")).unwrap();
    std::fs::write(f.file("README.md"), "upper").unwrap();
    std::fs::write(f.file("Adr/0001.md"), "one").unwrap();
    for (requested, listed) in
        [("README.md", "README.md"), ("readme.md", "README.md"), ("adr/0001.MD", "Adr/0001.md")]
    {
        f.write(requested, requested).await.unwrap();
        assert_eq!(std::fs::read_to_string(f.file(listed)).unwrap(), requested);
        assert_eq!(f.names().await, ["Adr/0001.md", "README.md"], "{requested}");
    }
    for name in ["con.md", "a:b.md", "docs /x.md", "docs./x.md", "aux.json"] {
        f.write(name, "x").await.unwrap_err();
    }
    assert_eq!(f.names().await, ["Adr/0001.md", "README.md"]);
}

#[tokio::test]
async fn a_name_is_found_in_every_unicode_normal_form() {
    let (composed, decomposed) = ("caf\u{e9}", "cafe\u{301}");
    for (there, requested) in [(composed, decomposed), (decomposed, composed)] {
        let f = fixture();
        std::fs::write(f.file(&format!("{there}.md")), "on disk").unwrap();
        std::fs::create_dir(f.file(there)).unwrap();
        std::fs::write(f.file(&format!("{there}/x.md")), "in a folder").unwrap();
        assert_eq!(f.text(&format!("{requested}.md")).await, "on disk");
        assert_eq!(f.text(&format!("{requested}/x.md")).await, "in a folder");
        f.write(&format!("{requested}.md"), "written").await.unwrap();
        f.write(&format!("{requested}/new.md"), "written").await.unwrap();
        let mut expected = vec![format!("{there}.md"), format!("{there}/new.md"), format!("{there}/x.md")];
        expected.sort();
        assert_eq!(f.names().await, expected);
        assert_eq!(std::fs::read_to_string(f.file(&format!("{there}.md"))).unwrap(), "written");
    }
    // If both exist, each name means its own document.
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
    // As Emacs locks a file, where links need no rights.
    #[cfg(unix)]
    std::os::unix::fs::symlink("alice@host.123", f.file(".#notes.md")).unwrap();
    let link = cfg!(unix).then_some(".#notes.md");
    let listed: Vec<&str> = left.into_iter().chain(link).collect();
    let entries = f.bank.list(&caller()).await.unwrap();
    for name in &listed {
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
        holding_at: None,
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
