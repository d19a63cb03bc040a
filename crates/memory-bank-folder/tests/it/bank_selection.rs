//! Which folder is the bank: the search for it, paths, and switches between banks.

use memory_bank_core::error::WorkspaceError;
use memory_bank_core::store::{SelectTarget, Workspace};
use memory_bank_folder::{FolderOptions, FolderWorkspace};
use tempfile::TempDir;

use crate::support::{
    active, as_text, caller, deps, names_below, options, project, refused, start, upsert, write,
};

#[tokio::test]
async fn switching_the_bank_switches_documents_graph_and_backups_together() {
    let root = TempDir::new().unwrap();
    let (a, b) = (root.path().join("a"), root.path().join("b"));
    let workspace = start(options(root.path())).await;
    workspace.initialize(&caller(), as_text(&a), false).await.unwrap();
    workspace.initialize(&caller(), as_text(&b), false).await.unwrap();
    let location = workspace.set_path(&caller(), Some(as_text(&a))).await.unwrap();
    assert_eq!(location, as_text(&a.join("memory-bank")));
    let bank = workspace.bank(&caller(), None).await.unwrap();
    write(&bank, "x.md").await;
    upsert(&bank, "E").await;
    assert!(a.join("memory-bank/x.md").exists() && a.join("memory-bank/graph/graph.jsonl").exists());
    assert!(!b.join("memory-bank/x.md").exists() && !b.join("memory-bank/graph").exists());
}

#[tokio::test]
async fn an_explicit_path_disables_the_search_in_the_working_directory() {
    let root = TempDir::new().unwrap();
    let here = project(&root, "here");
    let elsewhere = root.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let workspace = start(FolderOptions { path: Some(as_text(&elsewhere).into()), ..options(&here) }).await;
    assert!(matches!(workspace.bank(&caller(), None).await.map(|_| ()), Err(WorkspaceError::NoBank)));
    assert!(matches!(workspace.set_path(&caller(), None).await, Err(WorkspaceError::NotABank)));
    // A bank that appears later is found without a restart.
    project(&root, "elsewhere");
    assert_eq!(active(&workspace).await, as_text(&elsewhere.join("memory-bank")));
}

#[tokio::test]
async fn the_bank_folder_can_have_another_name() {
    let root = TempDir::new().unwrap();
    let workspace = start(FolderOptions { folder: Some("notes".into()), ..options(root.path()) }).await;
    workspace.initialize(&caller(), as_text(&root.path().join("p")), false).await.unwrap();
    assert_eq!(active(&workspace).await, as_text(&root.path().join("p").join("notes")));
}

#[tokio::test]
async fn the_path_may_be_the_bank_folder_itself() {
    let root = TempDir::new().unwrap();
    let workspace = start(options(root.path())).await;
    let bank = root.path().join("p").join("memory-bank");
    let made = workspace.initialize(&caller(), as_text(&bank), false).await.unwrap();
    assert_eq!(made.location, as_text(&bank));
    assert!(!bank.join("memory-bank").exists());
    assert_eq!(workspace.set_path(&caller(), Some(as_text(&bank))).await.unwrap(), as_text(&bank));
}

#[tokio::test]
async fn a_core_document_beside_sources_does_not_make_the_project_a_bank() {
    for path in [None, Some("repo"), Some(".")] {
        let root = TempDir::new().unwrap();
        let above = root.path().join("above");
        let repository = above.join("repo");
        std::fs::create_dir_all(&repository).unwrap();
        std::fs::write(repository.join("progress.md"), "# of the sources\n").unwrap();
        // Folders beside the repository belong to another project.
        project(&root, "above");
        let here = if path == Some("repo") { &above } else { &repository };
        let workspace = start(FolderOptions { path: path.map(Into::into), ..options(here) }).await;
        let found = workspace.bank(&caller(), None).await.map(|_| ());
        assert!(matches!(found, Err(WorkspaceError::NoBank)), "{path:?}: {found:?}");
        let made = workspace.initialize(&caller(), as_text(&repository), false).await.unwrap();
        assert_eq!(made.location, as_text(&repository.join("memory-bank")), "{path:?}");
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
    assert_eq!(made.location, as_text(&root.path().join("home").join("mb").join("memory-bank")));
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
    for path in [as_text(&file), "", "a\0b", "~nobody/x"] {
        assert!(workspace.initialize(&caller(), path, false).await.is_err(), "{path:?}");
    }
    assert!(matches!(
        workspace.set_path(&caller(), Some(as_text(&empty))).await,
        Err(WorkspaceError::NotABank)
    ));
    let select = |path: &str| SelectTarget::Path(path.to_owned());
    assert!(matches!(
        workspace.select(&caller(), select("/no/such/place")).await,
        Err(WorkspaceError::NoSuchPath(_))
    ));
    assert!(workspace.select(&caller(), select(as_text(&empty))).await.is_err());
    assert!(workspace.select(&caller(), SelectTarget::Store("no".into())).await.is_err());
    assert_eq!(active(&workspace).await, before);
    assert_eq!(std::fs::read_dir(&empty).unwrap().count(), 0, "selecting creates nothing");
    assert!(!a.join("stores.json").exists());
}

#[tokio::test]
async fn a_bank_that_contains_only_folders_is_a_bank() {
    let root = TempDir::new().unwrap();
    let adr = root.path().join("p/memory-bank/adr");
    std::fs::create_dir_all(&adr).unwrap();
    let workspace = start(options(&root.path().join("p"))).await;
    assert!(workspace.bank(&caller(), None).await.is_err());
    // Files that are not documents do not make a bank.
    for name in ["graph/graph.md", "backups/x.md", ".hidden/x.md", "adr/x.txt", "adr/a (conflicted copy).md"]
    {
        let file = root.path().join("p/memory-bank").join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, "").unwrap();
        assert!(workspace.bank(&caller(), None).await.is_err(), "{name}");
    }
    std::fs::write(adr.join("0001.md"), "").unwrap();
    assert_eq!(active(&workspace).await, as_text(&root.path().join("p").join("memory-bank")));
    assert_eq!(workspace.stores(&caller()).await.unwrap().stores[0].file_count, 1);
}

#[tokio::test]
async fn a_repository_named_memory_bank_is_a_project() {
    let root = TempDir::new().unwrap();
    let repository = root.path().join("memory-bank");
    std::fs::create_dir_all(repository.join(".git")).unwrap();
    std::fs::write(repository.join("README.md"), "# sources\n").unwrap();
    // For a server started above it, its readme is not a document of a bank.
    let above = start(options(root.path())).await;
    assert!(matches!(above.bank(&caller(), None).await.map(|_| ()), Err(WorkspaceError::NoBank)));
    for (here, path) in [(root.path(), as_text(&repository)), (&repository, ".")] {
        let workspace = start(options(here)).await;
        let made = workspace.initialize(&caller(), path, false).await.unwrap();
        assert_eq!(made.location, as_text(&repository.join("memory-bank")));
        assert!(!repository.join("progress.md").exists());
    }
    // A bank that is a separate repository stays one.
    let own = root.path().join("p").join("memory-bank");
    std::fs::create_dir_all(own.join(".git")).unwrap();
    std::fs::write(own.join("activeContext.md"), "").unwrap();
    for here in [root.path().join("p"), own.clone()] {
        assert_eq!(active(&start(options(&here)).await).await, as_text(&own));
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_server_started_in_a_subfolder_reports_which_bank_it_uses() {
    let root = TempDir::new().unwrap();
    let above = project(&root, "p");
    let here = above.join("src/deep");
    std::fs::create_dir_all(&here).unwrap();
    // Without a repository the folders above are not searched.
    let workspace = start(options(&here)).await;
    assert!(workspace.bank(&caller(), None).await.is_err());
    assert_eq!(workspace.notice(&caller()), None);
    std::fs::create_dir(above.join(".git")).unwrap();
    std::fs::write(above.join(".git/HEAD"), "ref: refs/heads/main\n").unwrap();
    let workspace = start(options(&here)).await;
    let canonical = above.canonicalize().unwrap();
    assert_eq!(active(&workspace).await, as_text(&canonical.join("memory-bank")));
    let notice = workspace.notice(&caller()).unwrap();
    assert!(notice.contains("folder below") && notice.contains(as_text(&here)), "{notice}");
    assert_eq!(memory_bank_folder::project_of(None, "memory-bank", &here, None).unwrap(), canonical);
    let elsewhere = start(FolderOptions { shows_paths: false, ..options(&here) }).await;
    assert!(!elsewhere.notice(&caller()).unwrap().contains(as_text(root.path())));
    // `--path` decides otherwise, and so does a client that chooses.
    let chosen = start(FolderOptions { path: Some(".".into()), ..options(&here) }).await;
    assert!(chosen.bank(&caller(), None).await.is_err());
    // "Here" is the bank that is served, and not a second one below it.
    for path in [".", "./", ""] {
        let made = workspace.initialize(&caller(), path, false).await.unwrap();
        assert_eq!(made.location, as_text(&canonical.join("memory-bank")));
        assert!(made.notice.unwrap().contains("folder below"));
        assert!(!here.join("memory-bank").exists());
    }
    let made = workspace.initialize(&caller(), as_text(&here), false).await.unwrap();
    let notice = made.notice.unwrap();
    assert!(notice.contains(as_text(&canonical)) && notice.contains("above"), "{notice}");
    assert_eq!(active(&workspace).await, as_text(&here.join("memory-bank")));
    assert_eq!(workspace.initialize(&caller(), as_text(&here), false).await.unwrap().notice, None);
    assert_eq!(workspace.notice(&caller()), None);
    // Now there is one where the server starts.
    assert_eq!(start(options(&here)).await.notice(&caller()), None);
}

#[tokio::test]
async fn an_invalid_bank_folder_name_is_refused() {
    let root = TempDir::new().unwrap();
    for folder in ["$HOME", "${workspaceFolder}", "null", "a/b", "..", ".git", ".mbmcp", " "] {
        let options = FolderOptions { folder: Some(folder.to_owned()), ..options(root.path()) };
        assert!(FolderWorkspace::start(options, deps()).await.is_err(), "{folder}");
        assert!(memory_bank_folder::check_folder_name(folder).is_err(), "{folder}");
    }
    memory_bank_folder::check_folder_name("memory-bank").unwrap();
    memory_bank_folder::check_folder_name(".memory").unwrap();
}

#[tokio::test]
async fn an_unusable_path_is_refused_and_creates_nothing() {
    let root = TempDir::new().unwrap();
    std::fs::create_dir(root.path().join("home")).unwrap();
    let workspace = start(options(root.path())).await;
    let address = format!("file://{}/proj", root.path().display());
    let before = names_below(root.path());
    for (path, message) in [
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
        // On Windows the first are paths, and the last ones get the current drive.
        let differs = message == "path for Windows" || path.starts_with("file:") || path.starts_with('/');
        if cfg!(windows) && differs {
            continue;
        }
        let why = refused(&workspace, path).await;
        assert!(why.contains(message), "{path}: {why}");
        assert!(workspace.set_path(&caller(), Some(path)).await.is_err(), "{path}");
        assert!(workspace.select(&caller(), SelectTarget::Path(path.to_owned())).await.is_err(), "{path}");
        let by_path = FolderOptions { path: Some(path.to_owned()), ..options(root.path()) };
        let started = FolderWorkspace::start(by_path, deps()).await;
        assert!(started.is_err() || message.starts_with("no folder"), "{path} by --path");
    }
    assert_eq!(names_below(root.path()), before);
    for path in ["~/proj", "proj", "./other/", as_text(&root.path().join("full"))] {
        workspace.initialize(&caller(), path, false).await.unwrap();
    }
    for path in ["home/proj", "proj", "other", "full"] {
        assert!(root.path().join(path).join("memory-bank/progress.md").exists(), "{path}");
    }
}
