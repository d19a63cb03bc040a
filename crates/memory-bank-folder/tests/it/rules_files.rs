//! Rules files of the modes, and the files that `initialize` creates.

use memory_bank_core::mode::Mode;
use memory_bank_core::store::{ModeRules, Workspace};
use tempfile::TempDir;

use crate::support::{as_text, caller, names_below, options, project, start};

#[tokio::test]
async fn initialising_creates_missing_files_and_overwrites_nothing() {
    let root = TempDir::new().unwrap();
    let a = project(&root, "a");
    std::fs::write(a.join("memory-bank/productContext.md"), "mine").unwrap();
    let workspace = start(options(root.path())).await;
    let made = workspace.initialize(&caller(), as_text(&a), false).await.unwrap();
    assert_eq!(made.created, ["active-context.md", "decision-log.md", "system-patterns.md"]);
    assert_eq!(std::fs::read_to_string(a.join("memory-bank/progress.md")).unwrap(), "# a\n");
    assert!(!a.join("memory-bank/product-context.md").exists(), "its old name is still to be migrated");
    assert!(workspace.initialize(&caller(), as_text(&a), false).await.unwrap().created.is_empty());
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
    let made = workspace.initialize(&caller(), as_text(&b), false).await.unwrap();
    assert_eq!(made.outside, [as_text(&b)], "the folder of the project was made, too");
    assert_eq!(names_below(&b).iter().filter(|name| !name.starts_with(b.join("memory-bank"))).count(), 0);
    assert_eq!(workspace.mode_rules(&caller(), Mode::Code).await.unwrap(), ModeRules::Absent);
    let made = workspace.initialize(&caller(), as_text(&b), true).await.unwrap();
    let rules = ["architect", "ask", "code", "debug", "test"].map(|mode| b.join(format!(".mcprules-{mode}")));
    assert_eq!(made.outside.len(), 5);
    for file in &rules {
        assert!(file.exists() && made.outside.contains(&as_text(file).to_owned()), "{}", file.display());
    }
    assert!(!a.join(".mcprules-code").exists(), "the server's own project gets none");
    let valid = |rules| matches!(rules, ModeRules::Valid { umb_trigger: Some(_) });
    assert!(valid(workspace.mode_rules(&caller(), Mode::Code).await.unwrap()));
    // Existing rules files are used, under the older name, too; none is created twice.
    let made = workspace.initialize(&caller(), as_text(&a), true).await.unwrap();
    assert_eq!(made.outside.len(), 4);
    assert!(!a.join(".mcprules-ask").exists(), "the older name serves");
    let ask = workspace.mode_rules(&caller(), Mode::Ask).await.unwrap();
    assert_eq!(ask, ModeRules::Valid { umb_trigger: None });
    assert!(workspace.initialize(&caller(), as_text(&a), true).await.unwrap().outside.is_empty());
}

#[tokio::test]
async fn rules_files_of_the_server_s_project_also_apply_to_other_banks() {
    let root = TempDir::new().unwrap();
    let (a, b) = (project(&root, "a"), project(&root, "b"));
    let workspace = start(options(&a)).await;
    workspace.initialize(&caller(), ".", true).await.unwrap();
    workspace.set_path(&caller(), Some(as_text(&b))).await.unwrap();
    let rules = workspace.mode_rules(&caller(), Mode::Code).await.unwrap();
    assert!(matches!(rules, ModeRules::Valid { umb_trigger: Some(_) }));
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
        workspace.initialize(&caller(), as_text(root.path()), false).await.unwrap();
    }
    assert_eq!(std::fs::read_to_string(&rules).unwrap(), "mode: debug\n  broken: [");
}
