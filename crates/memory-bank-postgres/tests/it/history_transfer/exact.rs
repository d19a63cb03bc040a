//! A transfer adds and loses no version, also of documents that are older than their history, or whose history was erased.

use memory_bank_core::caller::Caller;
use memory_bank_core::history::{Subject, Version, VersionKind, VersionQuery};
use memory_bank_core::store::{Bank, HistoryError};
use memory_bank_core::transfer::{
    ExistingContentPolicy, HistoryCount, read_history_line, write_history_line,
};
use memory_bank_postgres::{OperatorAction, PostgresBank};

use super::{TransferFolders, assert_same, delete, documents, kept, rename, set, versions};
use crate::support::{Bench, path};

/// The last name of every document of the tests.
const NAMES: [&str; 8] = [
    "old.md",
    "new-name.md",
    "old-gone.md",
    "old-still.md",
    "erased.md",
    "erased-more.md",
    "erased-gone.md",
    "plain.md",
];

/// The documents that are there before the history begins.
const OLD: [&str; 4] = ["old.md", "old-name.md", "old-gone.md", "old-still.md"];

fn old_text(name: &str) -> String {
    format!("{name} before its history\n")
}

/// Makes a history that lacks what was before it, and what was erased.
async fn make(bank: &dyn Bank, owner: &Caller) {
    set(bank, owner, "old.md", &format!("{}and a line\n", old_text("old.md"))).await;
    set(bank, owner, "old.md", "another text\n").await;
    rename(bank, owner, "old-name.md", "new-name.md").await;
    delete(bank, owner, "old-gone.md").await;
    for name in ["erased.md", "erased-more.md", "erased-gone.md"] {
        set(bank, owner, name, "a secret\n").await;
        set(bank, owner, name, "no secret\n").await;
        if name == "erased-gone.md" {
            delete(bank, owner, name).await;
        }
        bank.erase(owner, &path(name)).await.unwrap();
    }
    set(bank, owner, "erased-more.md", "no secret\nand more\n").await;
    set(bank, owner, "plain.md", "plain\n").await;
    set(bank, owner, "plain.md", "plain\nand more\n").await;
}

/// What the list of a name has, with the texts.
async fn of_name(bank: &dyn Bank, caller: &Caller, name: &str) -> Vec<(Version, Option<String>)> {
    let subject = Subject::Name(path(name));
    let query = VersionQuery { subject, since: None, until: None, by: None, after: None, limit: 200 };
    let listed = match bank.list_versions(caller, &query).await {
        Err(HistoryError::NoDocument(_)) => Vec::new(),
        listed => listed.unwrap().versions,
    };
    let mut found = Vec::new();
    for version in listed {
        let read =
            bank.read_version_of(caller, &version.document, &path(name), version.number).await.unwrap();
        assert_eq!(kept(std::slice::from_ref(&read.version)), kept(std::slice::from_ref(&version)), "{name}");
        found.push((kept(&[version]).remove(0), read.text));
    }
    found
}

async fn assert_exact(one: (&dyn Bank, &Caller), other: (&dyn Bank, &Caller), what: &str) {
    assert_same(one, other, what).await;
    for name in NAMES {
        assert_eq!(
            of_name(one.0, one.1, name).await,
            of_name(other.0, other.1, name).await,
            "{what}: {name}"
        );
    }
}

/// Copies a project as a backup file does: each version as a line.
async fn copy(bank: &PostgresBank, from: &Caller, to: &Caller) -> HistoryCount {
    let mut export = bank.begin_export(from).await.unwrap();
    let mut import =
        bank.begin_import(to, ExistingContentPolicy::Empty, OperatorAction::Restored, None).await.unwrap();
    for document in export.history().await.unwrap() {
        let mut history = export.history_of(document).await.unwrap();
        for link in &mut history.links {
            *link = read_history_line(&write_history_line(link).unwrap()).unwrap();
        }
        import.put_history(&history).await.unwrap();
    }
    import.put(&export.project(&|_| {}).await.unwrap(), &|_| {}).await.unwrap();
    export.end().await;
    import.commit().await.unwrap().history
}

/// Takes a project of a database through all kinds of transfers. `first` is the caller of a source that is already there.
async fn through_all(
    bench: &Bench,
    folders: &TransferFolders,
    first: (&dyn Bank, &Caller),
    database: &Caller,
    prefix: &str,
) {
    let bank = bench.bank();
    let name = |letter: char| format!("{prefix}-{letter}");
    let listed = versions(first.0, first.1).await.len();
    let count = HistoryCount { versions: listed, ..HistoryCount::default() };

    assert_eq!(folders.export(&bank, database, &name('f')).await, count);
    assert_exact(first, (&folders.bank(&name('f')), database), "from a database into a folder").await;

    let carol = bench.tenant("carol", &name('b')).await;
    let imported = folders.import(&name('f'), &bank, &carol, ExistingContentPolicy::Empty).await.unwrap();
    assert_eq!(imported.history, count);
    assert_exact(first, (&bank, &carol), "from a folder into a database").await;

    assert_eq!(folders.export(&bank, &carol, &name('g')).await, count);
    assert_exact(first, (&folders.bank(&name('g')), &carol), "from a folder into a folder").await;

    let dora = bench.tenant("dora", &name('c')).await;
    assert_eq!(copy(&bank, &carol, &dora).await, count);
    assert_exact(first, (&bank, &dora), "from a database into a database").await;
}

#[tokio::test]
async fn the_history_of_a_database_comes_back_without_a_version_more_or_less() {
    let (bench, folders) = (Bench::new().await, TransferFolders::new());
    let (bank, alice) = (bench.bank(), bench.tenant("alice", "a").await);
    let before = PostgresBank::new(bench.database.clone().with_history_days(0), "a".to_owned());
    for name in OLD {
        set(&before, &alice, name, &old_text(name)).await;
    }
    make(&bank, &alice).await;
    let old = of_name(&bank, &alice, "old.md").await;
    assert_eq!(
        (old.len(), old[2].0.kind, old[2].1.clone()),
        (3, VersionKind::Outside, Some(old_text("old.md")))
    );
    through_all(&bench, &folders, (&bank, &alice), &alice, "database").await;
}

#[tokio::test]
async fn the_history_of_a_folder_comes_back_without_a_version_more_or_less() {
    let (bench, folders) = (Bench::new().await, TransferFolders::new());
    let (bank, owner) = (bench.bank(), Caller::local("alice"));
    let files = folders.project("f").join("memory-bank");
    std::fs::create_dir_all(&files).unwrap();
    for name in OLD {
        std::fs::write(files.join(name), old_text(name)).unwrap();
    }
    make(&folders.bank("f"), &owner).await;
    let folder = folders.bank("f");
    let old = of_name(&folder, &owner, "old.md").await;
    assert_eq!(
        (old.len(), old[2].0.kind, old[2].1.clone()),
        (3, VersionKind::Outside, Some(old_text("old.md")))
    );
    let alice = bench.tenant("alice", "a").await;
    let imported = folders.import("f", &bank, &alice, ExistingContentPolicy::Empty).await.unwrap();
    assert_eq!(imported.history.versions, versions(&folder, &owner).await.len());
    assert_exact((&folder, &owner), (&bank, &alice), "from the first folder").await;
    through_all(&bench, &folders, (&folder, &owner), &alice, "folder").await;
}

#[tokio::test]
async fn what_comes_without_a_history_is_created_by_the_import_unless_others_came_with_theirs() {
    let (bench, folders) = (Bench::new().await, TransferFolders::new());
    let bank = bench.bank();
    let files = folders.project("f").join("memory-bank");
    std::fs::create_dir_all(&files).unwrap();
    std::fs::write(files.join("notes.md"), "by hand\n").unwrap();
    let kinds = async |caller: &Caller| {
        let all = versions(&bank, caller).await;
        all.iter().map(|one| (one.path.to_string(), one.kind, one.tool.clone())).collect::<Vec<_>>()
    };
    let by_import = |name: &str| (name.to_owned(), VersionKind::Created, Some("import".to_owned()));
    let alice = bench.tenant("alice", "a").await;
    folders.import("f", &bank, &alice, ExistingContentPolicy::Empty).await.unwrap();
    assert_eq!(kinds(&alice).await, [by_import("notes.md")]);
    // Into a project that is not empty, each new document is one change of it, as each other one.
    set(&folders.bank("f"), &Caller::local("bob"), "other.md", "other\n").await;
    let bob = bench.tenant("bob", "b").await;
    set(&bank, &bob, "own.md", "own\n").await;
    folders.import("f", &bank, &bob, ExistingContentPolicy::Merge).await.unwrap();
    let found = kinds(&bob).await;
    assert!(found.contains(&by_import("notes.md")) && found.len() == 3, "{found:?}");
}

#[tokio::test]
async fn what_changed_while_no_history_was_kept_takes_no_version_from_another_document() {
    let (bench, folders) = (Bench::new().await, TransferFolders::new());
    let (bank, alice) = (bench.bank(), bench.tenant("alice", "a").await);
    let without = PostgresBank::new(bench.database.clone().with_history_days(0), "a".to_owned());
    for name in ["renamed.md", "replaced.md", "gone.md", "changed.md", "both.md"] {
        set(&bank, &alice, name, &format!("{name} one\n")).await;
        set(&bank, &alice, name, &format!("{name} two\n")).await;
    }
    rename(&without, &alice, "renamed.md", "moved.md").await;
    set(&without, &alice, "renamed.md", "a namesake\n").await;
    delete(&without, &alice, "replaced.md").await;
    set(&without, &alice, "replaced.md", "a new one\n").await;
    delete(&without, &alice, "gone.md").await;
    set(&without, &alice, "changed.md", "changed later\n").await;
    rename(&without, &alice, "both.md", "both-moved.md").await;
    set(&without, &alice, "both-moved.md", "both changed\n").await;

    folders.export(&bank, &alice, "f").await;
    let carol = bench.tenant("carol", "b").await;
    folders.import("f", &bank, &carol, ExistingContentPolicy::Empty).await.unwrap();
    let dora = bench.tenant("dora", "c").await;
    copy(&bank, &alice, &dora).await;
    let folder = folders.bank("f");
    let copies: [(&dyn Bank, &Caller, &str); 3] =
        [(&folder, &alice, "in the folder"), (&bank, &carol, "from the folder"), (&bank, &dora, "copied")];
    let names = ["moved.md", "replaced.md", "gone.md", "changed.md", "both-moved.md"];
    for (other, caller, what) in copies {
        assert_eq!(documents(other, caller).await, documents(&bank, &alice).await, "{what}");
        for name in names {
            let (mut source, copied) =
                (of_name(&bank, &alice, name).await, of_name(other, caller, name).await);
            // A renaming adds no version where no history is kept, and a folder notices a text that has none.
            let noticed =
                copied.iter().take_while(|(version, _)| version.kind == VersionKind::Outside).count();
            assert!(noticed <= 1, "{what}: {name}");
            if name == "both-moved.md" {
                // The copy knows of the renaming, which the change after it shows.
                source[0].0.former_path = Some(path("both.md"));
            }
            assert_eq!(copied.get(noticed..), Some(source.as_slice()), "{what}: {name}");
        }
        let moved = of_name(other, caller, "moved.md").await;
        assert_eq!(
            (moved[0].0.kind, moved[0].0.former_path.clone(), moved[0].1.as_deref()),
            (VersionKind::Outside, Some(path("renamed.md")), Some("renamed.md two\n")),
            "{what}"
        );
        assert_eq!(moved[2].1.as_deref(), Some("renamed.md one\n"), "{what}");
        // A folder notices the text of the namesake, and nothing else is of it.
        let namesake = of_name(other, caller, "renamed.md").await;
        assert!(namesake.iter().all(|(_, text)| text.as_deref() == Some("a namesake\n")), "{what}");
    }
    let names_of = async |caller: &Caller| -> Vec<String> {
        versions(&bank, caller)
            .await
            .iter()
            .map(|version| format!("{} {}", version.path, version.number))
            .collect()
    };
    let (source, copied) = (names_of(&alice).await, names_of(&dora).await);
    let mut more: Vec<&String> = copied.iter().filter(|version| !source.contains(version)).collect();
    more.sort();
    assert_eq!(more, ["moved.md 3", "replaced.md 4"], "the renaming, and the new document of a name");
}
