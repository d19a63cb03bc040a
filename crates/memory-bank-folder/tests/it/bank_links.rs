//! Links in the path of a bank.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use memory_bank_core::store::{SelectTarget, StoreKind, Workspace};
use memory_bank_folder::{FolderOptions, FolderSource};
use tempfile::TempDir;

use crate::support::{active, as_text, caller, names_below, options, project, refused, start, upsert, write};

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
            workspace.initialize(&caller(), as_text(&project), false).await.map(|_| ()),
            workspace.initialize(&caller(), as_text(&link), false).await.map(|_| ()),
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
    assert!(why.contains("leads out") && !why.contains(as_text(root.path())), "{why}");
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
    let path = Some(as_text(&root.path().join("link")).to_owned());
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
    for path in ["sub", "sub/memory-bank", "sub/new", as_text(&here.join("sub"))] {
        assert!(refused(&workspace, path).await.contains("leads out"), "{path}");
        assert!(workspace.set_path(&caller(), Some(path)).await.is_err(), "{path}");
    }
    assert_eq!(names_below(root.path()), before);
    // The same folder by its own path is accepted.
    workspace.set_path(&caller(), Some(as_text(&elsewhere))).await.unwrap();
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
    workspace.set_path(&caller(), Some(as_text(&path))).await.unwrap_err();
    workspace.initialize(&caller(), as_text(&path), false).await.unwrap_err();
    assert_eq!(active(&workspace).await, as_text(&repository));
}
