//! Changes of the bank after an import stay, also when its sources change.

use serde_json::json;

use super::bank::{Bank, SourceFolder, action, listed};

const CLAUDE: &str = "imported/shop/claude.md";
const AGENTS: &str = "imported/shop/agents.md";

fn sources() -> SourceFolder {
    SourceFolder::of(&[("CLAUDE.md", "# One\n"), ("AGENTS.md", "# Agents\n"), ("GEMINI.md", "# Gemini\n")])
}

#[test]
fn a_changed_source_changes_its_document_alone() {
    for bank in Bank::both() {
        let sources = sources();
        bank.import(&sources.path(), &[]);
        let before = bank.documents();
        sources.put("CLAUDE.md", "# Two\n");
        let tried = bank.import(&sources.path(), &["--dry-run"]);
        assert_eq!(bank.documents(), before);
        let done = bank.import(&sources.path(), &[]);
        assert_eq!((&tried["items"], &done["changes"]), (&done["items"], &json!(1)));
        assert_eq!(action(&done, "CLAUDE.md"), "update");
        assert_eq!(action(&done, "AGENTS.md"), "unchanged");
        let after = bank.documents();
        assert!(after[CLAUDE].contains("# Two") && !after[CLAUDE].contains("# One"));
        assert_eq!(after[AGENTS], before[AGENTS]);
        bank.expect_complete(&sources.path());
    }
}

#[test]
fn a_document_that_was_edited_is_left_and_named() {
    for bank in Bank::both() {
        let sources = sources();
        bank.import(&sources.path(), &[]);
        bank.edit(CLAUDE, "# Mine\n");
        bank.edit(AGENTS, "# Mine, too\n");
        sources.put("CLAUDE.md", "# Two\n");
        for _ in 0..2 {
            let done = bank.import(&sources.path(), &[]);
            assert_eq!(
                (action(&done, "CLAUDE.md"), action(&done, "AGENTS.md")),
                ("keep".into(), "keep".into())
            );
            assert_eq!(done["changes"], json!(0));
            let note = done["items"].to_string();
            assert!(note.contains("changed in the source") && note.contains("--beside"), "{note}");
        }
        assert_eq!(
            (bank.document(CLAUDE), bank.document(AGENTS)),
            ("# Mine\n".into(), "# Mine, too\n".into())
        );
        // A document with the text of its source follows the source again.
        sources.put("CLAUDE.md", "# Three\n");
        bank.edit(CLAUDE, "<!-- imported from ../shop/CLAUDE.md -->\n\n# Three\n");
        if let Bank::Database(..) = bank {
            bank.edit(CLAUDE, "<!-- imported from shop/CLAUDE.md -->\n\n# Three\n");
        }
        bank.expect_complete(&sources.path());
        sources.put("CLAUDE.md", "# Four\n");
        assert_eq!(action(&bank.import(&sources.path(), &[]), "CLAUDE.md"), "update");
    }
}

#[test]
fn the_new_text_is_written_beside_an_edited_document_on_request() {
    for bank in Bank::both() {
        let sources = sources();
        bank.import(&sources.path(), &[]);
        bank.edit(CLAUDE, "# Mine\n");
        for text in ["# Two\n", "# Three\n"] {
            sources.put("CLAUDE.md", text);
            let done = bank.import(&sources.path(), &["--beside"]);
            assert_eq!(done["changes"], json!(1), "{done}");
            assert_eq!(bank.document(CLAUDE), "# Mine\n");
            assert!(bank.document("imported/shop/claude.source.md").contains(text));
            let again = bank.import(&sources.path(), &["--beside"]);
            assert_eq!(again["changes"], json!(0), "{again}");
        }
        bank.edit("imported/shop/claude.source.md", "# Merged by me\n");
        sources.put("CLAUDE.md", "# Four\n");
        let done = bank.import(&sources.path(), &["--beside"]);
        assert_eq!(done["changes"], json!(0), "{done}");
        assert_eq!(bank.document("imported/shop/claude.source.md"), "# Merged by me\n");
    }
}

#[test]
fn a_deleted_or_renamed_document_does_not_return() {
    for bank in Bank::both() {
        let sources = sources();
        bank.import(&sources.path(), &[]);
        bank.delete(CLAUDE);
        for text in ["# One\n", "# Two\n"] {
            sources.put("CLAUDE.md", text);
            let done = bank.import(&sources.path(), &[]);
            assert_eq!((action(&done, "CLAUDE.md"), &done["changes"]), ("keep".to_owned(), &json!(0)));
            assert!(!bank.documents().contains_key(CLAUDE));
        }
    }
}

#[test]
fn the_removal_of_a_source_deletes_nothing_and_is_named() {
    for bank in Bank::both() {
        let sources = sources();
        bank.import(&sources.path(), &[]);
        let before = bank.documents();
        sources.remove("CLAUDE.md");
        let done = bank.import(&sources.path(), &[]);
        assert_eq!(done["changes"], json!(0));
        let gone = listed(&done, "gone");
        assert!(gone.len() == 1 && gone[0].ends_with("shop/CLAUDE.md"), "{gone:?}");
        assert_eq!(bank.documents(), before);
        // Also if nothing else is left.
        sources.remove("AGENTS.md");
        sources.remove("GEMINI.md");
        bank.import(&sources.path(), &[]);
        assert_eq!(bank.documents(), before);
    }
}

#[test]
fn documents_that_exist_under_the_name_of_an_import_are_not_touched() {
    for bank in Bank::both() {
        let sources = sources();
        bank.import(&sources.path(), &["--only", "gemini"]);
        bank.edit(CLAUDE, "# Not imported\n");
        let done = bank.import(&sources.path(), &[]);
        assert_eq!(bank.document(CLAUDE), "# Not imported\n");
        let imported = bank.documents();
        let beside = imported
            .iter()
            .find(|(name, text)| name.starts_with("imported/shop/claude-") && text.contains("# One"));
        assert!(beside.is_some(), "{done}");
        bank.expect_complete(&sources.path());
    }
}

#[test]
fn a_lost_record_doubles_nothing_and_a_damaged_one_is_named() {
    for bank in Bank::both() {
        let sources = sources();
        bank.import(&sources.path(), &[]);
        let before = bank.documents();
        bank.delete("imported/record.json");
        let again = bank.import(&sources.path(), &[]);
        assert_eq!((bank.documents(), &again["changes"]), (before.clone(), &json!(0)), "{again}");
        bank.edit("imported/record.json", "<<<<<<< HEAD\n{}\n");
        let refused = bank.try_import(&sources.path(), &[]).unwrap_err();
        assert!(refused.contains("`imported/record.json` is damaged"), "{refused}");
        assert_eq!(bank.documents(), before);
    }
}

#[test]
fn two_projects_with_the_same_files_do_not_replace_each_other() {
    let (one, other) = (sources(), SourceFolder::of(&[]));
    let sibling = other.path().parent().unwrap().join("admin");
    std::fs::create_dir(&sibling).unwrap();
    std::fs::write(sibling.join("CLAUDE.md"), "# Admin\n").unwrap();
    for bank in Bank::both() {
        bank.import(&one.path(), &[]);
        let done = bank.import(&sibling, &[]);
        assert_eq!(listed(&done, "gone").len(), 0, "{done}");
        assert!(bank.document(CLAUDE).contains("# One"));
        assert!(bank.document("imported/admin/claude.md").contains("# Admin"));
        bank.expect_complete(&one.path());
        bank.expect_complete(&sibling);
    }
}
