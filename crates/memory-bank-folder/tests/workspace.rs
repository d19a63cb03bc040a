//! Finding, making and choosing banks in folders.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly; the lint knows test functions only")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use memory_bank_core::caller::Caller;
use memory_bank_core::clock::{SystemClock, SystemEntropy};
use memory_bank_core::document::DocumentPath;
use memory_bank_core::error::WorkspaceError;
use memory_bank_core::mode::Mode;
use memory_bank_core::store::{
    Bank, Drafts, EntityDraft, ModeRules, NoSink, SelectTarget, StoreKind, Workspace,
};
use memory_bank_folder::{Deps, FolderOptions, FolderWorkspace};
use tempfile::TempDir;

fn caller() -> Caller {
    Caller::local("alice")
}

fn options(working_directory: &Path) -> FolderOptions {
    FolderOptions {
        path: None,
        folder: None,
        working_directory: working_directory.to_owned(),
        home: Some(working_directory.join("home")),
        watch: false,
        shows_paths: true,
        follow_links: false,
        state: None,
    }
}

async fn start(options: FolderOptions) -> FolderWorkspace {
    let deps =
        Deps { clock: Arc::new(SystemClock), entropy: Arc::new(SystemEntropy), sink: Arc::new(NoSink) };
    FolderWorkspace::start(options, deps).await.unwrap()
}

/// A project with a bank of one document.
fn project(root: &TempDir, name: &str) -> PathBuf {
    let path = root.path().join(name);
    std::fs::create_dir_all(path.join("memory-bank")).unwrap();
    std::fs::write(path.join("memory-bank/progress.md"), format!("# {name}\n")).unwrap();
    path
}

fn words(path: &Path) -> &str {
    path.to_str().unwrap()
}

async fn write(bank: &Arc<dyn Bank>, name: &str) {
    let path = DocumentPath::parse(name).unwrap();
    let mut editor = |drafts: &mut Drafts| drafts.set(&path, "x".into());
    bank.edit(&caller(), std::slice::from_ref(&path), &mut editor).await.unwrap();
}

async fn upsert(bank: &Arc<dyn Bank>, name: &str) {
    let draft = EntityDraft { name: name.into(), entity_type: "t".into(), attrs: None };
    bank.upsert_entity(&caller(), draft).await.unwrap();
}

async fn active(workspace: &FolderWorkspace) -> String {
    workspace.bank(&caller(), None).await.unwrap().location()
}

#[tokio::test]
async fn switching_the_bank_switches_documents_graph_and_backups_together() {
    let root = TempDir::new().unwrap();
    let (a, b) = (root.path().join("a"), root.path().join("b"));
    let workspace = start(options(root.path())).await;
    workspace.initialize(&caller(), words(&a), false).await.unwrap();
    workspace.initialize(&caller(), words(&b), false).await.unwrap();
    let location = workspace.set_path(&caller(), Some(words(&a))).await.unwrap();
    assert_eq!(location, words(&a.join("memory-bank")));
    let bank = workspace.bank(&caller(), None).await.unwrap();
    write(&bank, "x.md").await;
    upsert(&bank, "E").await;
    assert!(a.join("memory-bank/x.md").exists() && a.join("memory-bank/graph/graph.jsonl").exists());
    assert!(!b.join("memory-bank/x.md").exists() && !b.join("memory-bank/graph").exists());
}

#[tokio::test]
async fn a_store_id_selects_that_store_or_fails() {
    let root = TempDir::new().unwrap();
    let (a, b) = (project(&root, "a"), project(&root, "b"));
    let workspace = start(options(&a)).await;
    let unknown = workspace.bank(&caller(), Some("no")).await;
    assert!(matches!(unknown.map(|_| ()), Err(WorkspaceError::UnknownStore(id)) if id == "no"));
    // Registered after a call with a store id, and met at once.
    workspace.register(&caller(), "B", words(&b), StoreKind::Local).await.unwrap();
    let bank = workspace.bank(&caller(), Some("B")).await.unwrap();
    upsert(&bank, "E").await;
    assert!(b.join("memory-bank/graph/graph.jsonl").exists());
    assert!(!a.join("memory-bank/graph").exists());
    assert_eq!(active(&workspace).await, words(&a.join("memory-bank")));
}

#[tokio::test]
async fn a_registered_store_without_a_bank_is_an_error() {
    let root = TempDir::new().unwrap();
    let a = project(&root, "a");
    let workspace = start(options(&a)).await;
    workspace.register(&caller(), "gone", words(&root.path().join("gone")), StoreKind::Local).await.unwrap();
    let refused = workspace.bank(&caller(), Some("gone")).await;
    assert!(matches!(refused.map(|_| ()), Err(WorkspaceError::Refused(_))));
}

#[tokio::test]
async fn the_active_bank_and_the_same_bank_by_id_share_one_object() {
    let root = TempDir::new().unwrap();
    let (a, b) = (project(&root, "a"), project(&root, "b"));
    let workspace = start(options(&a)).await;
    workspace.register(&caller(), "B", words(&b), StoreKind::Local).await.unwrap();
    let named = workspace.bank(&caller(), Some("B")).await.unwrap();
    workspace.select(&caller(), SelectTarget::Path(words(&b).into())).await.unwrap();
    assert!(Arc::ptr_eq(&named, &workspace.bank(&caller(), None).await.unwrap()));
}

#[tokio::test]
async fn registering_stores_and_using_store_ids_do_not_overwrite_each_other() {
    let root = TempDir::new().unwrap();
    let (a, b, c) = (project(&root, "a"), project(&root, "b"), project(&root, "c"));
    let workspace = start(options(&a)).await;
    workspace.register(&caller(), "B", words(&b), StoreKind::Local).await.unwrap();
    workspace.bank(&caller(), Some("B")).await.unwrap();
    workspace.register(&caller(), "C", words(&c), StoreKind::Local).await.unwrap();
    workspace.bank(&caller(), Some("B")).await.unwrap();
    let ids = |text: String| ["\"B\"", "\"C\""].map(|id| text.contains(id));
    assert_eq!(ids(std::fs::read_to_string(a.join("stores.json")).unwrap()), [true, true]);
    assert!(workspace.unregister(&caller(), "B").await.unwrap());
    assert!(!workspace.unregister(&caller(), "B").await.unwrap());
    let unknown = workspace.bank(&caller(), Some("B")).await;
    assert!(matches!(unknown.map(|_| ()), Err(WorkspaceError::UnknownStore(_))));
    assert_eq!(ids(std::fs::read_to_string(a.join("stores.json")).unwrap()), [false, true]);
}

#[tokio::test]
async fn an_explicit_path_disables_the_search_in_the_working_directory() {
    let root = TempDir::new().unwrap();
    let here = project(&root, "here");
    let elsewhere = root.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let workspace = start(FolderOptions { path: Some(words(&elsewhere).into()), ..options(&here) }).await;
    assert!(matches!(workspace.bank(&caller(), None).await.map(|_| ()), Err(WorkspaceError::NoBank)));
    assert!(matches!(workspace.set_path(&caller(), None).await, Err(WorkspaceError::NotABank)));
    // A bank that appears later is found without a restart.
    project(&root, "elsewhere");
    assert_eq!(active(&workspace).await, words(&elsewhere.join("memory-bank")));
}

#[tokio::test]
async fn the_bank_folder_can_have_another_name() {
    let root = TempDir::new().unwrap();
    let workspace = start(FolderOptions { folder: Some("notes".into()), ..options(root.path()) }).await;
    workspace.initialize(&caller(), words(&root.path().join("p")), false).await.unwrap();
    assert_eq!(active(&workspace).await, words(&root.path().join("p/notes")));
}

#[tokio::test]
async fn initialising_creates_missing_files_and_overwrites_nothing() {
    let root = TempDir::new().unwrap();
    let a = project(&root, "a");
    std::fs::write(a.join("memory-bank/productContext.md"), "mine").unwrap();
    let workspace = start(options(root.path())).await;
    let made = workspace.initialize(&caller(), words(&a), false).await.unwrap();
    assert_eq!(made.created, ["active-context.md", "decision-log.md", "system-patterns.md"]);
    assert_eq!(std::fs::read_to_string(a.join("memory-bank/progress.md")).unwrap(), "# a\n");
    assert!(!a.join("memory-bank/product-context.md").exists(), "its old name is still to be migrated");
    assert!(workspace.initialize(&caller(), words(&a), false).await.unwrap().created.is_empty());
}

#[tokio::test]
async fn the_path_may_be_the_bank_folder_itself() {
    let root = TempDir::new().unwrap();
    let workspace = start(options(root.path())).await;
    let bank = root.path().join("p/memory-bank");
    let made = workspace.initialize(&caller(), words(&bank), false).await.unwrap();
    assert_eq!(made.location, words(&bank));
    assert!(!bank.join("memory-bank").exists());
    assert_eq!(workspace.set_path(&caller(), Some(words(&bank))).await.unwrap(), words(&bank));
}

#[tokio::test]
async fn a_core_document_beside_sources_does_not_make_the_project_a_bank() {
    for path in [None, Some("repo"), Some(".")] {
        let root = TempDir::new().unwrap();
        let above = root.path().join("above");
        let repository = above.join("repo");
        std::fs::create_dir_all(&repository).unwrap();
        std::fs::write(repository.join("progress.md"), "# of the sources\n").unwrap();
        // What lies beside the repository is another project's.
        project(&root, "above");
        let here = if path == Some("repo") { &above } else { &repository };
        let workspace = start(FolderOptions { path: path.map(Into::into), ..options(here) }).await;
        let found = workspace.bank(&caller(), None).await.map(|_| ());
        assert!(matches!(found, Err(WorkspaceError::NoBank)), "{path:?}: {found:?}");
        let made = workspace.initialize(&caller(), words(&repository), false).await.unwrap();
        assert_eq!(made.location, words(&repository.join("memory-bank")), "{path:?}");
        assert_eq!(names_below(&above).into_iter().filter(|name| !name.starts_with(&repository)).count(), 2);
        assert_eq!(std::fs::read_to_string(repository.join("progress.md")).unwrap(), "# of the sources\n");
    }
}

#[tokio::test]
async fn a_tilde_is_expanded() {
    let root = TempDir::new().unwrap();
    std::fs::create_dir(root.path().join("home")).unwrap();
    let workspace = start(options(root.path())).await;
    let made = workspace.initialize(&caller(), "~/mb", false).await.unwrap();
    assert_eq!(made.location, words(&root.path().join("home/mb/memory-bank")));
    assert!(!root.path().join("~").exists());
}

#[tokio::test]
async fn a_failed_switch_keeps_the_active_bank() {
    let root = TempDir::new().unwrap();
    let a = project(&root, "a");
    let file = root.path().join("file");
    std::fs::write(&file, "").unwrap();
    let empty = root.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let workspace = start(options(&a)).await;
    let before = active(&workspace).await;
    for path in [words(&file), "", "a\0b", "~nobody/x"] {
        assert!(workspace.initialize(&caller(), path, false).await.is_err(), "{path:?}");
    }
    assert!(matches!(
        workspace.set_path(&caller(), Some(words(&empty))).await,
        Err(WorkspaceError::NotABank)
    ));
    let select = |path: &str| SelectTarget::Path(path.to_owned());
    assert!(matches!(
        workspace.select(&caller(), select("/no/such/place")).await,
        Err(WorkspaceError::NoSuchPath(_))
    ));
    assert!(workspace.select(&caller(), select(words(&empty))).await.is_err());
    assert!(workspace.select(&caller(), SelectTarget::Store("no".into())).await.is_err());
    assert_eq!(active(&workspace).await, before);
    assert_eq!(std::fs::read_dir(&empty).unwrap().count(), 0, "selecting creates nothing");
    assert!(!a.join("stores.json").exists());
}

#[tokio::test]
async fn list_stores_shows_the_bank_in_use() {
    let root = TempDir::new().unwrap();
    let (a, b) = (project(&root, "a"), project(&root, "b"));
    std::fs::write(b.join("memory-bank/more.md"), "").unwrap();
    let workspace = start(options(&a)).await;
    let list = workspace.stores(&caller()).await.unwrap();
    assert_eq!(list.selected_store_id.as_deref(), Some("a"));
    for id in ["B", "B-again"] {
        workspace.register(&caller(), id, words(&b), StoreKind::Local).await.unwrap();
    }
    workspace.register(&caller(), "A", words(&a), StoreKind::Local).await.unwrap();
    let selected = workspace.select(&caller(), SelectTarget::Path(words(&b).into())).await.unwrap();
    assert_eq!((selected.id.as_str(), selected.path.as_str()), ("B", words(&b)));
    let list = workspace.stores(&caller()).await.unwrap();
    assert_eq!(list.selected_store_id.as_deref(), Some("B"));
    let first = &list.stores[0];
    assert_eq!((first.id.as_str(), first.path.as_str(), first.file_count), ("B", words(&b), 2));
    let shown: Vec<_> = list.stores.iter().map(|store| (store.id.as_str(), store.is_active)).collect();
    assert_eq!(shown, [("B", true), ("B-again", true), ("A", false)]);
    // After a restart the file's choice is not taken for the bank in use.
    let restarted = start(options(&a)).await;
    assert_eq!(restarted.stores(&caller()).await.unwrap().selected_store_id.as_deref(), Some("A"));
}

#[tokio::test]
async fn without_a_bank_list_stores_shows_the_registry_only() {
    let root = TempDir::new().unwrap();
    let b = project(&root, "b");
    let empty = root.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let workspace = start(options(&empty)).await;
    let list = workspace.stores(&caller()).await.unwrap();
    assert!(list.stores.is_empty() && list.selected_store_id.is_none());
    workspace.register(&caller(), "B", words(&b), StoreKind::Local).await.unwrap();
    let list = workspace.stores(&caller()).await.unwrap();
    assert_eq!((list.stores.len(), list.stores[0].is_active, list.selected_store_id), (1, false, None));
    // A chosen store by its id works as well.
    let selected = workspace.select(&caller(), SelectTarget::Store("B".into())).await.unwrap();
    assert_eq!((selected.id.as_str(), selected.location.as_str()), ("B", words(&b.join("memory-bank"))));
}

#[tokio::test]
async fn rules_files_are_created_on_request_in_the_bank_s_project() {
    let root = TempDir::new().unwrap();
    let (a, b) = (root.path().join("a"), root.path().join("b"));
    std::fs::create_dir(&a).unwrap();
    std::fs::write(a.join(".clinerules-ask"), "mode: ask\ninstructions: {general: []}\n").unwrap();
    let workspace = start(options(&a)).await;
    let made = workspace.initialize(&caller(), ".", false).await.unwrap();
    assert!(made.outside.is_empty() && made.warnings.is_empty(), "{made:?}");
    assert_eq!(std::fs::read_dir(&a).unwrap().count(), 2, "the bank alone is made");
    let made = workspace.initialize(&caller(), words(&b), false).await.unwrap();
    assert_eq!(made.outside, [words(&b)], "the folder of the project was made, too");
    assert_eq!(names_below(&b).iter().filter(|name| !name.starts_with(b.join("memory-bank"))).count(), 0);
    assert_eq!(workspace.mode_rules(&caller(), Mode::Code).await.unwrap(), ModeRules::Absent);
    let made = workspace.initialize(&caller(), words(&b), true).await.unwrap();
    let rules = ["architect", "ask", "code", "debug", "test"].map(|mode| b.join(format!(".mcprules-{mode}")));
    assert_eq!(made.outside.len(), 5);
    for file in &rules {
        assert!(file.exists() && made.outside.contains(&words(file).to_owned()), "{}", file.display());
    }
    assert!(!a.join(".mcprules-code").exists(), "the server's own project gets none");
    let valid = |rules| matches!(rules, ModeRules::Valid { umb_trigger: Some(_) });
    assert!(valid(workspace.mode_rules(&caller(), Mode::Code).await.unwrap()));
    // Whoever has rules files is served with them, under the older name, too; none is made twice.
    let made = workspace.initialize(&caller(), words(&a), true).await.unwrap();
    assert_eq!(made.outside.len(), 4);
    assert!(!a.join(".mcprules-ask").exists(), "the older name serves");
    let ask = workspace.mode_rules(&caller(), Mode::Ask).await.unwrap();
    assert_eq!(ask, ModeRules::Valid { umb_trigger: None });
    assert!(workspace.initialize(&caller(), words(&a), true).await.unwrap().outside.is_empty());
}

#[tokio::test]
async fn rules_files_of_the_server_s_project_also_apply_to_other_banks() {
    let root = TempDir::new().unwrap();
    let (a, b) = (project(&root, "a"), project(&root, "b"));
    let workspace = start(options(&a)).await;
    workspace.initialize(&caller(), ".", true).await.unwrap();
    workspace.set_path(&caller(), Some(words(&b))).await.unwrap();
    let rules = workspace.mode_rules(&caller(), Mode::Code).await.unwrap();
    assert!(matches!(rules, ModeRules::Valid { umb_trigger: Some(_) }));
}

#[tokio::test]
async fn a_bank_that_contains_only_folders_is_a_bank() {
    let root = TempDir::new().unwrap();
    let adr = root.path().join("p/memory-bank/adr");
    std::fs::create_dir_all(&adr).unwrap();
    let workspace = start(options(&root.path().join("p"))).await;
    assert!(workspace.bank(&caller(), None).await.is_err());
    // What is no document makes no bank.
    for name in ["graph/graph.md", "backups/x.md", ".hidden/x.md", "adr/x.txt", "adr/a (conflicted copy).md"]
    {
        let file = root.path().join("p/memory-bank").join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, "").unwrap();
        assert!(workspace.bank(&caller(), None).await.is_err(), "{name}");
    }
    std::fs::write(adr.join("0001.md"), "").unwrap();
    assert_eq!(active(&workspace).await, words(&root.path().join("p/memory-bank")));
    assert_eq!(workspace.stores(&caller()).await.unwrap().stores[0].file_count, 1);
}

#[tokio::test]
async fn a_repository_named_memory_bank_is_a_project() {
    let root = TempDir::new().unwrap();
    let repository = root.path().join("memory-bank");
    std::fs::create_dir_all(repository.join(".git")).unwrap();
    std::fs::write(repository.join("README.md"), "# sources\n").unwrap();
    // Started above it, its readme is no bank's document.
    let above = start(options(root.path())).await;
    assert!(matches!(above.bank(&caller(), None).await.map(|_| ()), Err(WorkspaceError::NoBank)));
    for (here, path) in [(root.path(), words(&repository)), (&repository, ".")] {
        let workspace = start(options(here)).await;
        let made = workspace.initialize(&caller(), path, false).await.unwrap();
        assert_eq!(made.location, words(&repository.join("memory-bank")));
        assert!(!repository.join("progress.md").exists());
    }
    // A bank that is a repository of its own stays one.
    let own = root.path().join("p/memory-bank");
    std::fs::create_dir_all(own.join(".git")).unwrap();
    std::fs::write(own.join("activeContext.md"), "").unwrap();
    for here in [root.path().join("p"), own.clone()] {
        assert_eq!(active(&start(options(&here)).await).await, words(&own));
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_server_started_in_a_subfolder_reports_which_bank_it_uses() {
    let root = TempDir::new().unwrap();
    let above = project(&root, "p");
    let here = above.join("src/deep");
    std::fs::create_dir_all(&here).unwrap();
    // Without a repository nothing above is looked at.
    let workspace = start(options(&here)).await;
    assert!(workspace.bank(&caller(), None).await.is_err());
    assert_eq!(workspace.notice(&caller()), None);
    std::fs::create_dir(above.join(".git")).unwrap();
    std::fs::write(above.join(".git/HEAD"), "ref: refs/heads/main\n").unwrap();
    let workspace = start(options(&here)).await;
    let canonical = above.canonicalize().unwrap();
    assert_eq!(active(&workspace).await, words(&canonical.join("memory-bank")));
    let notice = workspace.notice(&caller()).unwrap();
    assert!(notice.contains("folder below") && notice.contains(words(&here)), "{notice}");
    assert_eq!(memory_bank_folder::project_of(None, "memory-bank", &here, None).unwrap(), canonical);
    let elsewhere = start(FolderOptions { shows_paths: false, ..options(&here) }).await;
    assert!(!elsewhere.notice(&caller()).unwrap().contains(words(root.path())));
    // `--path` decides otherwise, and so does a client that chooses.
    let told = start(FolderOptions { path: Some(".".into()), ..options(&here) }).await;
    assert!(told.bank(&caller(), None).await.is_err());
    // "Here" is the bank that is served, and not a second one below it.
    for path in [".", "./", ""] {
        let made = workspace.initialize(&caller(), path, false).await.unwrap();
        assert_eq!(made.location, words(&canonical.join("memory-bank")));
        assert!(made.notice.unwrap().contains("folder below"));
        assert!(!here.join("memory-bank").exists());
    }
    let made = workspace.initialize(&caller(), words(&here), false).await.unwrap();
    let notice = made.notice.unwrap();
    assert!(notice.contains(words(&canonical)) && notice.contains("above"), "{notice}");
    assert_eq!(active(&workspace).await, words(&here.join("memory-bank")));
    assert_eq!(workspace.initialize(&caller(), words(&here), false).await.unwrap().notice, None);
    assert_eq!(workspace.notice(&caller()), None);
    // Now there is one where the server starts.
    assert_eq!(start(options(&here)).await.notice(&caller()), None);
}

#[tokio::test]
async fn an_invalid_bank_folder_name_is_refused() {
    let root = TempDir::new().unwrap();
    for folder in ["$HOME", "${workspaceFolder}", "null", "a/b", "..", ".git", ".mbmcp", " "] {
        let deps =
            Deps { clock: Arc::new(SystemClock), entropy: Arc::new(SystemEntropy), sink: Arc::new(NoSink) };
        let options = FolderOptions { folder: Some(folder.to_owned()), ..options(root.path()) };
        assert!(FolderWorkspace::start(options, deps).await.is_err(), "{folder}");
        assert!(memory_bank_folder::check_folder_name(folder).is_err(), "{folder}");
    }
    memory_bank_folder::check_folder_name("memory-bank").unwrap();
    memory_bank_folder::check_folder_name(".memory").unwrap();
}

#[tokio::test]
async fn an_invalid_rules_file_is_reported_and_never_overwritten() {
    let root = TempDir::new().unwrap();
    let rules = root.path().join(".mcprules-debug");
    std::fs::write(&rules, "mode: debug\n  broken: [").unwrap();
    let workspace = start(options(root.path())).await;
    for _ in 0..2 {
        let read = workspace.mode_rules(&caller(), Mode::Debug).await.unwrap();
        assert!(matches!(read, ModeRules::Invalid(why) if why.starts_with(".mcprules-debug")));
        workspace.initialize(&caller(), words(root.path()), false).await.unwrap();
    }
    assert_eq!(std::fs::read_to_string(&rules).unwrap(), "mode: debug\n  broken: [");
}

#[tokio::test]
async fn a_damaged_registry_is_reported_and_the_bank_still_opens() {
    let root = TempDir::new().unwrap();
    let (a, b) = (project(&root, "a"), project(&root, "b"));
    std::fs::write(a.join("stores.json"), "{").unwrap();
    let workspace = start(options(&a)).await;
    assert!(workspace.register(&caller(), "B", words(&b), StoreKind::Local).await.is_err());
    assert_eq!(workspace.stores(&caller()).await.unwrap().stores.len(), 1);
    workspace.select(&caller(), SelectTarget::Path(words(&b).into())).await.unwrap();
    assert_eq!(active(&workspace).await, words(&b.join("memory-bank")));
    assert_eq!(std::fs::read_to_string(a.join("stores.json")).unwrap(), "{");
}

/// What a server says that refuses a path.
async fn refused(workspace: &FolderWorkspace, path: &str) -> String {
    workspace.initialize(&caller(), path, false).await.unwrap_err().to_string()
}

/// Every name below a folder; links are not followed.
fn names_below(folder: &Path) -> Vec<PathBuf> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        names.push(entry.path());
        if entry.file_type().unwrap().is_dir() {
            names.extend(names_below(&entry.path()));
        }
    }
    names.sort();
    names
}

#[tokio::test]
async fn an_unusable_path_is_refused_and_creates_nothing() {
    let root = TempDir::new().unwrap();
    std::fs::create_dir(root.path().join("home")).unwrap();
    let workspace = start(options(root.path())).await;
    let address = format!("file://{}/proj", root.path().display());
    let before = names_below(root.path());
    for (path, says) in [
        ("${workspaceFolder}", "${workspaceFolder}"),
        ("${workspaceFolder}/x", "${workspaceFolder}"),
        ("$HOME/x", "$HOME"),
        ("%USERPROFILE%\\x", "%USERPROFILE%"),
        ("C:\\Users\\me\\proj", "path for Windows"),
        ("\\\\server\\share", "path for Windows"),
        (&address, &format!("plain path, `{}/proj`", root.path().display())),
        ("a/b", "no folder"),
        ("/nonexistent/x", "no folder `/nonexistent`"),
        ("/nonexistent-either/a/b/c", "no folder `/nonexistent-either`"),
        ("a\nb", "control character"),
        ("~other/x", "another user's home"),
    ] {
        let why = refused(&workspace, path).await;
        assert!(why.contains(says), "{path}: {why}");
        assert!(workspace.set_path(&caller(), Some(path)).await.is_err(), "{path}");
        assert!(workspace.select(&caller(), SelectTarget::Path(path.to_owned())).await.is_err(), "{path}");
        let by_path = FolderOptions { path: Some(path.to_owned()), ..options(root.path()) };
        let deps =
            Deps { clock: Arc::new(SystemClock), entropy: Arc::new(SystemEntropy), sink: Arc::new(NoSink) };
        let started = FolderWorkspace::start(by_path, deps).await;
        assert!(started.is_err() || says.starts_with("no folder"), "{path} by --path");
    }
    assert_eq!(names_below(root.path()), before);
    for path in ["~/proj", "proj", "./other/", words(&root.path().join("full"))] {
        workspace.initialize(&caller(), path, false).await.unwrap();
    }
    for path in ["home/proj", "proj", "other", "full"] {
        assert!(root.path().join(path).join("memory-bank/progress.md").exists(), "{path}");
    }
}

#[cfg(unix)]
mod links {
    use std::os::unix::fs::symlink;

    use memory_bank_folder::{FolderSource, StateFolder};

    use super::*;

    #[tokio::test]
    async fn a_bank_link_out_of_the_project_is_refused_and_its_target_named() {
        let root = TempDir::new().unwrap();
        let home = root.path().canonicalize().unwrap();
        std::fs::write(home.join("settings.json"), "{}").unwrap();
        std::fs::write(home.join("notes.md"), "private").unwrap();
        std::fs::create_dir_all(home.join("src/project")).unwrap();
        let project = home.join("src/project");
        let targets = [PathBuf::from("../.."), home.clone(), home.join("nowhere")];
        for target in targets {
            let link = project.join("memory-bank");
            symlink(&target, &link).unwrap();
            let before = names_below(&home);
            let workspace = start(options(&project)).await;
            let leads_to = if target.is_relative() { &home } else { &target };
            let to = format!("to `{}`", leads_to.display());
            for outcome in [
                workspace.bank(&caller(), None).await.map(|_| ()),
                workspace.initialize(&caller(), ".", false).await.map(|_| ()),
                workspace.initialize(&caller(), words(&project), false).await.map(|_| ()),
                workspace.initialize(&caller(), words(&link), false).await.map(|_| ()),
                workspace.set_path(&caller(), None).await.map(|_| ()),
                workspace.select(&caller(), SelectTarget::Path(".".into())).await.map(|_| ()),
                workspace.register(&caller(), "x", "memory-bank", StoreKind::Local).await.map(|_| ()),
            ] {
                let why = outcome.unwrap_err().to_string();
                assert!(why.contains(&to) && why.contains("--follow-links"), "{why}");
            }
            assert!(FolderSource::open(&project, "memory-bank", false).is_err());
            assert_eq!(names_below(&home), before);
            std::fs::remove_file(&link).unwrap();
        }
    }

    #[tokio::test]
    async fn remote_clients_do_not_see_the_target_of_a_link() {
        let root = TempDir::new().unwrap();
        let project = root.path().join("project");
        std::fs::create_dir(&project).unwrap();
        std::fs::write(root.path().join("a.md"), "private").unwrap();
        symlink("..", project.join("memory-bank")).unwrap();
        let workspace = start(FolderOptions { shows_paths: false, ..options(&project) }).await;
        let why = workspace.bank(&caller(), None).await.map(|_| ()).unwrap_err().to_string();
        assert!(why.contains("leads out") && !why.contains(words(root.path())), "{why}");
    }

    #[tokio::test]
    async fn follow_links_allows_a_bank_link_out_of_the_project() {
        let root = TempDir::new().unwrap();
        let shared = root.path().join("shared");
        std::fs::create_dir(&shared).unwrap();
        std::fs::create_dir(root.path().join("project")).unwrap();
        symlink("../shared", root.path().join("project/memory-bank")).unwrap();
        let started = FolderOptions { follow_links: true, ..options(&root.path().join("project")) };
        let workspace = start(started).await;
        workspace.initialize(&caller(), ".", false).await.unwrap();
        assert!(shared.join("progress.md").exists());
        let bank = workspace.bank(&caller(), None).await.unwrap();
        write(&bank, "x.md").await;
        upsert(&bank, "E").await;
        assert!(shared.join("x.md").exists() && shared.join("graph/graph.jsonl").exists());
    }

    #[tokio::test]
    async fn a_bank_link_within_the_project_is_followed() {
        let root = TempDir::new().unwrap();
        let absolute = root.path().join("p/docs/bank");
        for (name, target) in [("relative", Path::new("docs/bank")), ("absolute", &absolute)] {
            let project = root.path().join("p");
            std::fs::create_dir_all(project.join("docs/bank")).unwrap();
            symlink(target, project.join("memory-bank")).unwrap();
            let workspace = start(options(&project)).await;
            workspace.initialize(&caller(), ".", false).await.unwrap();
            write(&workspace.bank(&caller(), None).await.unwrap(), "x.md").await;
            assert!(project.join("docs/bank/x.md").exists(), "{name}");
            std::fs::remove_dir_all(&project).unwrap();
        }
    }

    #[tokio::test]
    async fn a_bank_link_into_a_version_control_folder_is_refused() {
        let root = TempDir::new().unwrap();
        let project = root.path().join("p");
        std::fs::create_dir_all(project.join(".git/hooks")).unwrap();
        std::fs::write(project.join(".git/notes.md"), "").unwrap();
        for target in [".git", ".git/hooks", "./.git/../.git"] {
            symlink(target, project.join("memory-bank")).unwrap();
            let workspace = start(options(&project)).await;
            assert!(workspace.bank(&caller(), None).await.is_err(), "{target}");
            assert!(refused(&workspace, ".").await.contains("leads out"), "{target}");
            std::fs::remove_file(project.join("memory-bank")).unwrap();
        }
        assert_eq!(names_below(&project.join(".git")).len(), 2);
    }

    #[tokio::test]
    async fn a_project_path_may_itself_be_a_link() {
        let root = TempDir::new().unwrap();
        let real = project(&root, "real");
        symlink(&real, root.path().join("link")).unwrap();
        let path = Some(words(&root.path().join("link")).to_owned());
        let workspace = start(FolderOptions { path, ..options(root.path()) }).await;
        write(&workspace.bank(&caller(), None).await.unwrap(), "x.md").await;
        assert!(real.join("memory-bank/x.md").exists());
    }

    #[tokio::test]
    async fn a_link_between_the_project_and_a_path_in_it_is_refused() {
        let root = TempDir::new().unwrap();
        let (here, elsewhere) = (root.path().join("here"), project(&root, "elsewhere"));
        std::fs::create_dir(&here).unwrap();
        symlink("../elsewhere", here.join("sub")).unwrap();
        let workspace = start(options(&here)).await;
        let before = names_below(root.path());
        for path in ["sub", "sub/memory-bank", "sub/new", words(&here.join("sub"))] {
            assert!(refused(&workspace, path).await.contains("leads out"), "{path}");
            assert!(workspace.set_path(&caller(), Some(path)).await.is_err(), "{path}");
        }
        assert_eq!(names_below(root.path()), before);
        // The same folder by its own path is meant as it is.
        workspace.set_path(&caller(), Some(words(&elsewhere))).await.unwrap();
    }

    #[tokio::test]
    async fn a_link_out_of_a_repository_named_memory_bank_is_refused() {
        let root = TempDir::new().unwrap();
        project(&root, "other");
        let repository = root.path().join("memory-bank");
        std::fs::create_dir(&repository).unwrap();
        std::fs::write(repository.join("README.md"), "# theirs\n").unwrap();
        symlink("../other", repository.join("x")).unwrap();
        let workspace = start(options(&repository)).await;
        let path = repository.join("x");
        workspace.set_path(&caller(), Some(words(&path))).await.unwrap_err();
        workspace.initialize(&caller(), words(&path), false).await.unwrap_err();
        assert_eq!(active(&workspace).await, words(&repository));
    }

    #[tokio::test]
    async fn a_registry_committed_to_the_project_opens_nothing_outside() {
        let root = TempDir::new().unwrap();
        let (here, elsewhere) = (project(&root, "here"), project(&root, "elsewhere"));
        let inside = here.join("packages/one");
        std::fs::create_dir_all(inside.join("memory-bank")).unwrap();
        std::fs::write(inside.join("memory-bank/progress.md"), "").unwrap();
        symlink(&elsewhere, here.join("sly")).unwrap();
        let entry = |id: &str, path: &Path| serde_json::json!({"storeId": id, "projectPath": path, "kind": "local", "registeredAt": "2026", "lastUsedAt": "2026"});
        let stores = [entry("out", &elsewhere), entry("in", &inside), entry("sly", &here.join("sly"))];
        let planted =
            serde_json::json!({"version": 1, "selectedStoreId": "out", "stores": stores}).to_string();
        std::fs::write(here.join("stores.json"), &planted).unwrap();
        let state = StateFolder::new(root.path().join("state"));
        let with_state = || FolderOptions { state: Some(state.clone()), ..options(&here) };
        let workspace = start(with_state()).await;
        for id in ["out", "sly"] {
            let why = workspace.bank(&caller(), Some(id)).await.map(|_| ()).unwrap_err().to_string();
            assert!(why.contains("register"), "{why}");
            assert!(workspace.select(&caller(), SelectTarget::Store(id.into())).await.is_err());
        }
        workspace.bank(&caller(), Some("in")).await.unwrap();
        let list = workspace.stores(&caller()).await.unwrap();
        let counts: Vec<_> = list.stores.iter().map(|store| (store.id.as_str(), store.file_count)).collect();
        assert_eq!(counts, [("here", 1), ("out", 0), ("in", 1), ("sly", 0)]);
        // What the user registers on this machine is used, also after a restart.
        workspace.register(&caller(), "out", words(&elsewhere), StoreKind::Local).await.unwrap();
        for workspace in [workspace, start(with_state()).await] {
            workspace.bank(&caller(), Some("out")).await.unwrap();
            assert!(workspace.bank(&caller(), Some("sly")).await.is_err(), "it was not registered");
        }
        // What is unregistered is not opened again because the project names it once more.
        start(with_state()).await.unregister(&caller(), "out").await.unwrap();
        std::fs::write(here.join("stores.json"), &planted).unwrap();
        assert!(start(with_state()).await.bank(&caller(), Some("out")).await.is_err());
        std::fs::write(here.join("stores.json"), planted.replace("elsewhere", "else")).unwrap();
        assert!(start(with_state()).await.bank(&caller(), Some("out")).await.is_err());
        let following = FolderOptions { follow_links: true, ..options(&here) };
        std::fs::write(here.join("stores.json"), &planted).unwrap();
        start(following).await.bank(&caller(), Some("out")).await.unwrap();
    }
}
