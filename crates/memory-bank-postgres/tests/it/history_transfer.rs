//! The history in transfers: from a database into a folder and back, every version stays as it was.

mod exact;
mod random;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::{Timestamp, ToSpan};
use memory_bank_core::caller::{Caller, Role};
use memory_bank_core::clock::{Clock, SystemClock, SystemEntropy};
use memory_bank_core::history::{ChainQuery, ChangeContext, Subject, Version, VersionKind, VersionQuery};
use memory_bank_core::limits;
use memory_bank_core::store::{Bank, DocumentStore, Drafts, NoSink, ReadOutcome, UndoRequest, undo};
use memory_bank_core::transfer::{ExistingContentPolicy, HistoryCount};
use memory_bank_folder::{Deps, FolderBank, FolderSource, FolderTarget, StateFolder};
use memory_bank_postgres::{Imported, OperatorAction, PostgresBank, TransferError};
use tempfile::TempDir;
use uuid::Uuid;

use crate::support::{Bench, path};

/// Folders for one test, and the state of the user who transfers.
pub(crate) struct TransferFolders {
    folder: TempDir,
    state: StateFolder,
}

impl TransferFolders {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let state = StateFolder::new(folder.path().join("state"));
        Self { folder, state }
    }

    pub(crate) fn project(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The bank of this project, as this user opens it.
    pub(crate) fn bank(&self, name: &str) -> FolderBank {
        let project = self.project(name);
        FolderBank::new(project.join("memory-bank"), project, folder_deps()).with_state(self.state.clone())
    }

    pub(crate) async fn export(&self, bank: &PostgresBank, caller: &Caller, name: &str) -> HistoryCount {
        let target = FolderTarget::choose(&self.project(name), "memory-bank", false).unwrap();
        let mut export = bank.begin_export(caller).await.unwrap();
        let copy = export.project(&|_| {}).await.unwrap();
        let mut staged = target.stage().await.unwrap();
        staged.write(&copy, folder_deps()).await.unwrap();
        let mut history =
            staged.begin_history(Some(self.state.clone()), Arc::new(SystemEntropy)).await.unwrap();
        let changes = export.graph_changes().await.unwrap();
        let graph = export.graph_history(changes).await.unwrap();
        let mut total;
        (history, total) = history.put_graph(graph, &copy.bank, SystemClock.now()).await.unwrap();
        for document in export.history().await.unwrap() {
            let of_document = export.history_of(document).await.unwrap();
            let (rest, count) = history.put(of_document, &copy.bank).await.unwrap();
            (history, total) = (rest, total.and(count));
        }
        history.finish().await.unwrap();
        staged.publish(SystemClock.now()).await.unwrap();
        export.end().await;
        total
    }

    pub(crate) async fn import(
        &self,
        name: &str,
        bank: &PostgresBank,
        caller: &Caller,
        onto: ExistingContentPolicy,
    ) -> Result<Imported, TransferError> {
        let read_at = SystemClock.now();
        let source = FolderSource::open(&self.project(name), "memory-bank", false).unwrap();
        let copy = Arc::new(source.project().await.unwrap());
        let entropy = Arc::new(SystemEntropy);
        let history =
            source.history(Some(self.state.clone()), entropy, Arc::clone(&copy), read_at).await.unwrap();
        let mut import = bank.begin_import(caller, onto, OperatorAction::Imported, None).await?;
        import.put_graph_history(&history.of_graph().await.unwrap()).await?;
        for number in 0..history.documents() {
            import.put_history(&history.of_document(number).await.unwrap()).await?;
        }
        import.put(&copy, &|_| {}).await?;
        import.commit().await
    }
}

fn folder_deps() -> Deps {
    Deps { clock: Arc::new(SystemClock), entropy: Arc::new(SystemEntropy), sink: Arc::new(NoSink) }
}

/// All versions of a bank, newest first, as what a transfer must keep of them.
async fn versions(bank: &dyn Bank, caller: &Caller) -> Vec<Version> {
    let mut query = VersionQuery {
        subject: Subject::Project,
        since: None,
        until: None,
        by: None,
        after: None,
        limit: limits::VERSIONS_LISTED,
    };
    let mut found = Vec::new();
    loop {
        let page = bank.list_versions(caller, &query).await.unwrap();
        found.extend(page.versions);
        query.after = page.next;
        if query.after.is_none() {
            return found;
        }
    }
}

/// What a transfer keeps of a version: not the prefix of a key, which is of the database, nor the marks. A database has microseconds.
fn kept(versions: &[Version]) -> Vec<Version> {
    let keep = |version: &Version| Version {
        at: Timestamp::from_microsecond(version.at.as_microsecond()).unwrap(),
        key_prefix: None,
        imported: false,
        replaced: 0,
        ..version.clone()
    };
    versions.iter().map(keep).collect()
}

/// The texts of all versions, walked back from the documents, by document and number.
async fn texts(bank: &dyn Bank, caller: &Caller) -> BTreeMap<(String, i64), Option<String>> {
    let mut texts = BTreeMap::new();
    let all = versions(bank, caller).await;
    let documents: BTreeMap<String, Version> =
        all.into_iter().map(|version| (version.document.clone(), version)).collect();
    for (document, version) in documents {
        let query = ChainQuery { document: document.clone(), path: version.path, from: 0, most: 1000 };
        let chain = bank.chain(caller, &query).await.unwrap();
        chain
            .walk(|link, after, _| {
                let text = after.map(|after| after.text.clone());
                texts.insert((document.clone(), link.version.number), text);
                ControlFlow::Continue(())
            })
            .unwrap();
    }
    texts
}

/// The documents with their texts.
async fn documents(bank: &dyn Bank, caller: &Caller) -> BTreeMap<String, String> {
    let names: Vec<_> = bank.list(caller).await.unwrap().into_iter().filter_map(|entry| entry.path).collect();
    let found = DocumentStore::read(bank, caller, &names).await.unwrap();
    let texts = found.into_iter().map(|one| match one {
        ReadOutcome::Found(document) => (document.path.as_str().to_owned(), document.content),
        other => panic!("{other:?}"),
    });
    texts.collect()
}

async fn edit(
    bank: &dyn Bank,
    caller: &Caller,
    names: &[&str],
    restores: bool,
    mut rule: impl FnMut(&mut Drafts) + Send,
) {
    let paths: Vec<_> = names.iter().map(|name| path(name)).collect();
    let session = Some(Uuid::from_u128((7 << 76) | (2 << 62) | 5).to_string());
    let context = ChangeContext { session, restores, ..ChangeContext::of_tool("edit") };
    let mut editor = |drafts: &mut Drafts| {
        drafts.set_context(&context);
        rule(drafts);
        Ok(())
    };
    bank.edit(caller, &paths, &mut editor).await.unwrap();
}

async fn set(bank: &dyn Bank, caller: &Caller, name: &str, text: &str) {
    edit(bank, caller, &[name], false, |drafts| drafts.set(&path(name), text.to_owned()).unwrap()).await;
}

async fn rename(bank: &dyn Bank, caller: &Caller, from: &str, to: &str) {
    edit(bank, caller, &[from, to], false, |drafts| {
        let text = drafts.text(&path(from)).unwrap().to_owned();
        drafts.delete(&path(from)).unwrap();
        drafts.set(&path(to), text).unwrap();
    })
    .await;
}

async fn delete(bank: &dyn Bank, caller: &Caller, name: &str) {
    edit(bank, caller, &[name], false, |drafts| drafts.delete(&path(name)).unwrap()).await;
}

async fn undo_of(bank: &dyn Bank, caller: &Caller, user: &str) {
    let context = ChangeContext { restores: true, ..ChangeContext::of_tool("history") };
    let request = UndoRequest { by: Some(user.to_owned()), context, ..UndoRequest::default() };
    undo(bank, caller, &request).await.unwrap();
}

async fn assert_same(one: (&dyn Bank, &Caller), other: (&dyn Bank, &Caller), what: &str) {
    let (mine, theirs) = (versions(one.0, one.1).await, versions(other.0, other.1).await);
    assert_eq!(kept(&mine), kept(&theirs), "{what}");
    assert!(theirs.iter().all(|version| version.imported), "{what}");
    assert_eq!(texts(one.0, one.1).await, texts(other.0, other.1).await, "{what}");
    assert_eq!(documents(one.0, one.1).await, documents(other.0, other.1).await, "{what}");
}

/// Numbers, kinds, etags and what can be read of the versions of a document, newest first.
async fn readable(
    bank: &dyn Bank,
    caller: &Caller,
    name: &str,
) -> Vec<(i64, VersionKind, String, Option<String>)> {
    let subject = Subject::Document(path(name));
    let query = VersionQuery { subject, since: None, until: None, by: None, after: None, limit: 200 };
    let mut found = Vec::new();
    for version in bank.list_versions(caller, &query).await.unwrap().versions {
        let read = bank.read_version(caller, &path(name), version.number).await;
        let etag = version.etag.map(|etag| etag.to_string()).unwrap_or_default();
        found.push((version.number, version.kind, etag, read.ok().and_then(|read| read.text)));
    }
    found
}

#[tokio::test]
async fn a_history_whose_oldest_or_middle_versions_are_gone_is_carried_with_what_can_be_read() {
    let (bench, folders) = (Bench::new().await, TransferFolders::new());
    let (bank, alice) = (bench.bank(), bench.tenant("alice", "a").await);
    for name in ["purged.md", "gap.md"] {
        for number in 1..=12 {
            // Every fourth version replaces the text as a whole.
            let text = (0..300).map(|line| format!("{} line {line} of {}\n", number / 4, (number - 1) % 4));
            set(&bank, &alice, name, &format!("{}- entry {number}\n", text.collect::<String>())).await;
        }
    }
    bench.test.psql("DELETE FROM app.document_versions WHERE path = 'purged.md' AND version <= 3");
    bench.test.psql("DELETE FROM app.document_versions WHERE path = 'gap.md' AND version = 7");
    folders.export(&bank, &alice, "f").await;
    let carol = bench.tenant("carol", "b").await;
    folders.import("f", &bank, &carol, ExistingContentPolicy::Empty).await.unwrap();
    folders.export(&bank, &carol, "g").await;
    for name in ["purged.md", "gap.md"] {
        let before = readable(&bank, &alice, name).await;
        let texts = before.iter().filter(|(_, _, _, text)| text.is_some()).count();
        assert!(texts >= 5, "{name}: {before:?}");
        for folder in ["f", "g"] {
            assert_eq!(readable(&folders.bank(folder), &alice, name).await, before, "{name} in {folder}");
        }
        assert_eq!(readable(&bank, &carol, name).await, before, "{name}");
    }
    let numbers: Vec<i64> = readable(&bank, &carol, "purged.md").await.iter().map(|one| one.0).collect();
    assert_eq!(numbers, (3..=12).rev().collect::<Vec<_>>(), "with the text before the first version");
}

#[tokio::test]
async fn a_document_goes_on_after_an_import_and_a_namesake_owns_none_of_its_versions() {
    let (bench, folders) = (Bench::new().await, TransferFolders::new());
    let (bank, alice) = (bench.bank(), bench.tenant("alice", "a").await);
    let editor = bench.member("bob", "a", Role::Editor).await;
    for text in ["one\n", "one\ntwo\n"] {
        set(&bank, &editor, "notes.md", text).await;
    }
    set(&bank, &alice, "gone.md", "gone\n").await;
    delete(&bank, &alice, "gone.md").await;
    folders.export(&bank, &alice, "f").await;
    let carol = bench.tenant("carol", "b").await;
    folders.import("f", &bank, &carol, ExistingContentPolicy::Empty).await.unwrap();
    let bob = bench.member("bob", "b", Role::Editor).await;
    // An editor of the same name may take back none of them.
    let request = UndoRequest { by: Some("bob".to_owned()), ..UndoRequest::default() };
    let report = undo(&bank, &bob, &request).await.unwrap();
    assert_eq!((report.undone.len(), report.of_others), (0, 2));
    for (bank, caller) in [(&bank as &dyn Bank, &carol), (&folders.bank("f") as &dyn Bank, &alice)] {
        set(bank, caller, "notes.md", "one\ntwo\nthree\n").await;
        set(bank, caller, "gone.md", "again\n").await;
        let all = versions(bank, caller).await;
        let of = |name: &str| {
            let of_name = all.iter().filter(|version| version.path.as_str() == name);
            of_name.map(|version| (version.number, version.kind, version.imported)).collect::<Vec<_>>()
        };
        use VersionKind::{Changed, Created, Deleted};
        assert_eq!(of("notes.md"), [(3, Changed, false), (2, Changed, true), (1, Created, true)]);
        assert_eq!(of("gone.md"), [(3, Created, false), (2, Deleted, true), (1, Created, true)]);
        assert_eq!(texts(bank, caller).await.len(), 6);
    }
}

#[tokio::test]
async fn what_a_namesake_took_back_is_none_of_what_an_import_brought() {
    let (bench, folders) = (Bench::new().await, TransferFolders::new());
    let (bank, alice) = (bench.bank(), bench.tenant("alice", "a").await);
    let editor = bench.member("bob", "a", Role::Editor).await;
    set(&bank, &editor, "notes.md", "one\n").await;
    folders.export(&bank, &alice, "f").await;
    let carol = bench.tenant("carol", "b").await;
    folders.import("f", &bank, &carol, ExistingContentPolicy::Empty).await.unwrap();
    let bob = bench.member("bob", "b", Role::Editor).await;
    set(&bank, &bob, "notes.md", "one\ntwo\n").await;
    undo_of(&bank, &bob, "bob").await;
    assert_eq!(documents(&bank, &carol).await["notes.md"], "one\n");
    // So an owner can still take back the imported creation.
    undo_of(&bank, &carol, "bob").await;
    assert!(documents(&bank, &carol).await.is_empty());
}

#[tokio::test]
async fn a_document_of_the_project_keeps_its_own_history() {
    let (bench, folders) = (Bench::new().await, TransferFolders::new());
    let (bank, alice) = (bench.bank(), bench.tenant("alice", "a").await);
    for (name, text) in [("notes.md", "one\n"), ("notes.md", "two\n"), ("other.md", "new\n")] {
        set(&bank, &alice, name, text).await;
    }
    folders.export(&bank, &alice, "f").await;
    let carol = bench.tenant("carol", "b").await;
    set(&bank, &carol, "notes.md", "hers\n").await;
    let imported = folders.import("f", &bank, &carol, ExistingContentPolicy::Merge).await.unwrap();
    assert_eq!(imported.history, HistoryCount { versions: 1, left_out: 2, ..HistoryCount::default() });
    let kinds: Vec<(i64, VersionKind, bool)> = versions(&bank, &carol)
        .await
        .iter()
        .filter(|version| version.path.as_str() == "notes.md")
        .map(|version| (version.number, version.kind, version.imported))
        .collect();
    assert_eq!(kinds, [(2, VersionKind::Changed, false), (1, VersionKind::Created, false)]);
    assert_eq!(documents(&bank, &carol).await["notes.md"], "two\n");
    assert_eq!(versions(&bank, &carol).await.iter().filter(|version| version.imported).count(), 1);
    assert_eq!(texts(&bank, &carol).await.len(), 3);
    // An import that replaces removes no version either.
    set(&bank, &carol, "third.md", "hers\n").await;
    folders.import("f", &bank, &carol, ExistingContentPolicy::Replace).await.unwrap();
    assert_eq!(versions(&bank, &carol).await.len(), 5);
}

#[tokio::test]
async fn foreign_versions_stay_foreign_and_changes_from_outside_are_noticed() {
    let (bench, folders) = (Bench::new().await, TransferFolders::new());
    let (bank, owner) = (bench.bank(), Caller::local("alice"));
    let files = folders.project("f").join("memory-bank");
    std::fs::create_dir_all(&files).unwrap();
    for (name, text) in [("a.md", "one\n"), ("a.md", "two\n"), ("b.md", "b\n")] {
        set(&folders.bank("f"), &owner, name, text).await;
    }
    std::fs::write(files.join("a.md"), "three, by hand\n").unwrap();
    std::fs::remove_file(files.join("b.md")).unwrap();
    let carol = bench.tenant("carol", "b").await;
    folders.import("f", &bank, &carol, ExistingContentPolicy::Empty).await.unwrap();
    let kinds = |versions: Vec<Version>| {
        let mut kinds: Vec<_> = versions
            .into_iter()
            .map(|one| (one.path.to_string(), one.number, one.kind, one.author))
            .collect();
        kinds.sort_by_key(|(path, number, ..)| (path.clone(), *number));
        kinds
    };
    let alice = || Some("alice".to_owned());
    use VersionKind::{Changed, Created, Foreign, Outside};
    let expected = [
        ("a.md", 1, Created, alice()),
        ("a.md", 2, Changed, alice()),
        ("a.md", 3, Outside, None),
        ("b.md", 1, Created, alice()),
        ("b.md", 2, Outside, None),
    ];
    let expected = expected.map(|(path, number, kind, author)| (path.to_owned(), number, kind, author));
    assert_eq!(kinds(versions(&bank, &carol).await), expected);
    let all = texts(&bank, &carol).await;
    assert_eq!(all.values().flatten().count(), 4);

    // Under another state folder the same files are foreign, and stay so.
    let stranger = TransferFolders { state: StateFolder::new(folders.project("other state")), ..folders };
    let dora = bench.tenant("dora", "c").await;
    stranger.import("f", &bank, &dora, ExistingContentPolicy::Empty).await.unwrap();
    stranger.export(&bank, &dora, "g").await;
    let erik = bench.tenant("erik", "d").await;
    stranger.import("g", &bank, &erik, ExistingContentPolicy::Empty).await.unwrap();
    for (bank, caller) in
        [(&bank as &dyn Bank, &dora), (&stranger.bank("g") as &dyn Bank, &dora), (&bank as &dyn Bank, &erik)]
    {
        let found = versions(bank, caller).await;
        let claimed = found.iter().filter(|version| version.kind == Foreign);
        assert_eq!(claimed.clone().count(), 3, "{found:?}");
        assert!(claimed.clone().all(|version| version.author.is_none()), "{found:?}");
        assert_eq!(texts(bank, caller).await, all);
    }
}

#[tokio::test]
async fn a_history_beyond_the_bounds_is_refused_or_its_oldest_versions_are_left_out_and_counted() {
    let (bench, folders) = (Bench::new().await, TransferFolders::new());
    let (bank, alice) = (bench.bank(), bench.tenant("alice", "a").await);
    for number in 0..40 {
        set(&bank, &alice, "large.md", &format!("{number:07} ").repeat(120_000)).await;
    }
    let count = folders.export(&bank, &alice, "f").await;
    assert!(count.versions > 10 && count.left_out > 0, "{count:?}");
    assert_eq!(count.versions + count.left_out, 40);
    let folder = folders.bank("f");
    let all = readable(&folder, &alice, "large.md").await;
    for (number, _, _, text) in &all {
        assert_eq!(text.as_deref(), Some(format!("{:07} ", number - 1).repeat(120_000).as_str()), "{number}");
    }
    assert_eq!(all.len(), count.versions + 1, "with the text before the first version");

    let carol = bench.tenant("carol", "b").await;
    bench.test.psql(&format!(
        "INSERT INTO app.stored_bytes (project_id, slot, kind, bytes) VALUES ('{}', -1, 'quota', 5000000)",
        carol.project.0
    ));
    let refused =
        folders.import("f", &bank, &carol, ExistingContentPolicy::Empty).await.unwrap_err().to_string();
    assert!(refused.contains("--no-history") && refused.contains("5000000"), "{refused}");
    assert_eq!((versions(&bank, &carol).await.len(), documents(&bank, &carol).await.len()), (0, 0));
}

#[tokio::test]
async fn a_version_of_the_future_becomes_one_of_today() {
    let (bench, folders) = (Bench::new().await, TransferFolders::new());
    let (bank, alice) = (bench.bank(), bench.tenant("alice", "a").await);
    set(&bank, &alice, "notes.md", "one\n").await;
    bench.test.psql("UPDATE app.document_versions SET at = at + interval '300 days'");
    folders.export(&bank, &alice, "f").await;
    // The files are dated later than they are read.
    let carol = bench.tenant("carol", "b").await;
    let now = SystemClock.now();
    let mut import = bank
        .begin_import(&carol, ExistingContentPolicy::Empty, OperatorAction::Imported, None)
        .await
        .unwrap();
    let mut export = bank.begin_export(&alice).await.unwrap();
    for document in export.history().await.unwrap() {
        import.put_history(&export.history_of(document).await.unwrap()).await.unwrap();
    }
    import.put(&export.project(&|_| {}).await.unwrap(), &|_| {}).await.unwrap();
    import.commit().await.unwrap();
    export.end().await;
    let at: Vec<Timestamp> = versions(&bank, &carol).await.iter().map(|version| version.at).collect();
    assert_eq!(at.len(), 1);
    assert!(at[0] < now + 1.hour(), "{at:?}");
}
