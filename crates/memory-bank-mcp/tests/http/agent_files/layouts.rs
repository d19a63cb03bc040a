//! Every layout, twice; and a project that has all of them.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::bank::{Bank, SourceFolder, action, listed, rows};
use crate::client::command;
use crate::database::serve;
use crate::replica_set::key;

type Files = &'static [(&'static str, &'static str)];

/// Each layout, its files, and documents that they become with a part of their text.
const LAYOUTS: [(&str, Files, Files); 15] = [
    (
        "claude",
        &[
            ("CLAUDE.md", "# Build\nUse make.\n"),
            ("web/CLAUDE.md", "# Web\n"),
            (".claude/rules/git.md", "# Git\n"),
        ],
        &[
            ("imported/shop/claude.md", "Use make."),
            ("imported/shop/web/claude.md", "# Web"),
            ("imported/shop/claude/rules/git.md", "# Git"),
        ],
    ),
    (
        "agents",
        &[("AGENTS.md", "# Agents\n"), ("packages/api/AGENTS.md", "# API\n")],
        &[("imported/shop/agents.md", "# Agents"), ("imported/shop/packages/api/agents.md", "# API")],
    ),
    (
        "gemini",
        &[("GEMINI.md", "# Gemini\r\nCRLF stays.\r\n")],
        &[("imported/shop/gemini.md", "CRLF stays.\r\n")],
    ),
    (
        "cursor",
        &[
            (".cursorrules", "Always answer briefly.\n"),
            (
                ".cursor/rules/ts.mdc",
                "---\ndescription: TS\nglobs: \"*.ts\"\nalwaysApply: false\n---\n\n# TS\n",
            ),
            (".cursor/rules/deep/sql.md", "# SQL\n"),
        ],
        &[
            ("imported/shop/cursorrules.md", "Always answer briefly."),
            (
                "imported/shop/cursor/rules/ts.md",
                "---\ndescription: TS\nglobs: \"*.ts\"\nalwaysApply: false\n---\n",
            ),
            ("imported/shop/cursor/rules/deep/sql.md", "# SQL"),
        ],
    ),
    (
        "windsurf",
        &[(".windsurfrules", "Be kind.\n"), (".windsurf/rules/a.md", "# A\n")],
        &[("imported/shop/windsurfrules.md", "Be kind."), ("imported/shop/windsurf/rules/a.md", "# A")],
    ),
    (
        "cline-rules",
        &[
            (".clinerules/01-style.md", "# Style\n"),
            (".clinerules/02.txt", "plain\n"),
            ("web/.clinerules", "web\n"),
        ],
        &[
            ("imported/shop/clinerules/01-style.md", "# Style"),
            ("imported/shop/clinerules/02.md", "plain"),
            ("imported/shop/web/clinerules.md", "web"),
        ],
    ),
    (
        "roo-rules",
        &[(".roorules", "roo\n"), (".roo/rules-code/a.md", "# Code\n")],
        &[("imported/shop/roorules.md", "roo"), ("imported/shop/roo/rules-code/a.md", "# Code")],
    ),
    (
        "copilot",
        &[
            (".github/copilot-instructions.md", "# Copilot\n"),
            (".github/instructions/ts.instructions.md", "---\napplyTo: \"**/*.ts\"\n---\nTS\n"),
        ],
        &[
            ("imported/shop/github/copilot-instructions.md", "# Copilot"),
            ("imported/shop/github/instructions/ts.instructions.md", "applyTo: \"**/*.ts\""),
        ],
    ),
    (
        "cline-bank",
        &[
            ("memory-bank/projectbrief.md", "# Brief\n"),
            ("memory-bank/productContext.md", "# Product\n"),
            ("memory-bank/activeContext.md", "# Active\n\n## Current Work Focus\nPayments.\n"),
            ("memory-bank/systemPatterns.md", "# Patterns\n"),
            ("memory-bank/techContext.md", "# Tech\n"),
            ("memory-bank/progress.md", "# Progress\n\n## What Works\n- Login\n"),
            ("memory-bank/features/payFlow.md", "# Pay\n"),
        ],
        &[
            ("projectbrief.md", "# Brief"),
            ("product-context.md", "# Product"),
            ("active-context.md", "Payments."),
            ("system-patterns.md", "# Patterns"),
            ("tech-context.md", "# Tech"),
            ("progress.md", "- Login"),
            ("features/pay-flow.md", "# Pay"),
        ],
    ),
    (
        "roo-bank",
        &[
            ("projectBrief.md", "# Brief\n"),
            ("memory-bank/productContext.md", "# Product\n"),
            ("memory-bank/activeContext.md", "# Active\n"),
            ("memory-bank/decisionLog.md", "# Decision Log\n\n### Decision\n[2026-08-30] - Use hooks.\n"),
            ("memory-bank/progress.md", "# Progress\n"),
            ("memory-bank/systemPatterns.md", "# Patterns\n"),
        ],
        &[
            ("project-brief.md", "# Brief"),
            ("decision-log.md", "Use hooks."),
            ("active-context.md", "# Active"),
            ("progress.md", "# Progress"),
        ],
    ),
    (
        "kilo-rules",
        &[(".kilocoderules", "kilo\n"), (".kilocode/rules/style.md", "# Style\n")],
        &[("imported/shop/kilocoderules.md", "kilo"), ("imported/shop/kilocode/rules/style.md", "# Style")],
    ),
    (
        "kilo-bank",
        &[
            (".kilocode/rules/memory-bank/brief.md", "# Brief\n"),
            (".kilocode/rules/memory-bank/product.md", "# Product\n"),
            (".kilocode/rules/memory-bank/context.md", "# Context\n\n## Current Focus\n- Refunds of Kilo.\n"),
            (".kilocode/rules/memory-bank/architecture.md", "# Architecture\n"),
            (".kilocode/rules/memory-bank/tech.md", "# Tech\n"),
            (".kilocode/rules/memory-bank/tasks.md", "# Repeated tasks\n"),
        ],
        &[
            ("projectbrief.md", "# Brief"),
            ("product-context.md", "# Product"),
            ("active-context.md", "Refunds of Kilo."),
            ("system-patterns.md", "# Architecture"),
            ("tech-context.md", "# Tech"),
            ("tasks.md", "# Repeated tasks"),
        ],
    ),
    (
        "serena",
        &[(".serena/memories/style.md", "# Style\n"), (".serena/memories/modules/front.md", "# Front\n")],
        &[
            ("imported/shop/serena/memories/style.md", "# Style"),
            ("imported/shop/serena/memories/modules/front.md", "# Front"),
        ],
    ),
    (
        "memory-server",
        &[(
            "memory.jsonl",
            "{\"type\":\"entity\",\"name\":\"Auth\",\"entityType\":\"service\",\"observations\":[\"uses JWT\"]}\n",
        )],
        &[],
    ),
    (
        "obsidian",
        &[
            (".obsidian/app.json", "{}"),
            ("Index.md", "[[Projects/Alpha|the first]] and ![[日本語 メモ]] #home\n"),
            ("Projects/Alpha.md", "---\ntags: [work]\n---\nBack to [[Index]].\n"),
            ("日本語 メモ.md", "# メモ\n"),
            ("Große Übersicht.md", "# Übersicht\n"),
        ],
        &[
            ("imported/shop/obsidian/index.md", "the first"),
            ("imported/shop/obsidian/Projects/alpha.md", "Back to"),
            ("imported/shop/obsidian/日本語 メモ.md", "# メモ"),
            ("imported/shop/obsidian/große übersicht.md", "# Übersicht"),
        ],
    ),
];

fn check_layout(bank: &Bank, layout: &str, sources: &SourceFolder, expected: Files) {
    let before = sources.state();
    let tried = bank.import(&sources.path(), &["--dry-run"]);
    let untouched = bank.documents();
    assert!(untouched.keys().all(|name| !name.starts_with("imported/")), "{layout}: {untouched:?}");
    let done = bank.import(&sources.path(), &[]);
    for list in ["items", "graph", "changes", "documents", "skipped", "missingLinks", "secrets", "badLines"] {
        assert_eq!(tried[list], done[list], "{layout}: the dry run differs in `{list}`");
    }
    assert!(done["changes"].as_u64().unwrap() > 0, "{layout}: {done}");
    for row in done["items"].as_array().unwrap() {
        assert_eq!(row["layout"], json!(layout), "{row}");
    }
    for (name, text) in expected {
        let document = bank.document(name);
        assert!(document.contains(text), "{layout}: {name} is {document}");
        assert!(document.contains("<!-- imported from "), "{layout}: {name} is {document}");
    }
    let (documents, graph) = (bank.documents(), bank.graph());
    let again = bank.import(&sources.path(), &[]);
    assert_eq!(again["changes"], json!(0), "{layout}: {again}");
    assert!(rows(&again).iter().all(|(action, _, _)| action == "unchanged"), "{layout}: {again}");
    assert_eq!((bank.documents(), bank.graph()), (documents, graph), "{layout}");
    assert_eq!(sources.state(), before, "{layout}: a source was changed");
}

#[test]
fn each_layout_is_imported_into_a_folder_once_however_often_the_command_runs() {
    for (layout, files, expected) in LAYOUTS {
        check_layout(&Bank::folder(), layout, &SourceFolder::of(files), expected);
    }
}

#[test]
fn each_layout_is_imported_into_a_database_once_however_often_the_command_runs() {
    // A bank of each kind, and everything else into one of them.
    let is_own = |layout: &str| ["roo-bank", "kilo-bank"].contains(&layout);
    for (layout, files, expected) in LAYOUTS.into_iter().filter(|(layout, _, _)| is_own(layout)) {
        check_layout(&Bank::database(), layout, &SourceFolder::of(files), expected);
    }
    let bank = Bank::database();
    let others = || LAYOUTS.into_iter().filter(|(layout, _, _)| !is_own(layout));
    for (layout, files, _) in others() {
        let sources = SourceFolder::of(files);
        let before = sources.state();
        let tried = bank.import(&sources.path(), &["--dry-run"]);
        let done = bank.import(&sources.path(), &[]);
        for list in ["items", "graph", "changes", "documents"] {
            assert_eq!(tried[list], done[list], "{layout}: the dry run differs in `{list}`");
        }
        assert!(done["changes"].as_u64().unwrap() > 0, "{layout}: {done}");
        assert_eq!(sources.state(), before, "{layout}: a source was changed");
    }
    let (documents, graph) = (bank.documents(), bank.graph());
    for (layout, files, expected) in others() {
        for (name, text) in expected {
            assert!(documents[*name].contains(text), "{layout}: {name}");
        }
        bank.expect_complete(&SourceFolder::of(files).path());
    }
    assert_eq!((bank.documents(), bank.graph()), (documents, graph));
}

/// The binary in a project's folder, without `--in`.
fn in_project(project: &TempDir, more: &[&str]) -> Value {
    let mut command = command(project, &[]);
    command.env("HOME", project.path().join("home")).args(["import", "--from", "auto", "--json"]).args(more);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_project_with_everything_at_once_is_imported_into_its_own_new_bank() {
    let project = TempDir::new().unwrap();
    for (layout, files, _) in LAYOUTS {
        // The bank of the project is at the place of these.
        let below = if layout.ends_with("-bank") { format!("old-{layout}/") } else { String::new() };
        for (name, text) in files {
            let path = project.path().join(format!("{below}{name}"));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }
    fs::write(project.path().join("README.md"), "# Shop\n").unwrap();
    let tried = in_project(&project, &["--dry-run"]);
    assert!(!project.path().join("memory-bank").exists());
    let done = in_project(&project, &[]);
    for list in ["items", "graph", "changes", "missingLinks"] {
        assert_eq!(tried[list], done[list], "the dry run differs in `{list}`");
    }
    let bank = Bank::Folder(project);
    let documents = bank.documents();
    // The vault is the project, so that its other notes belong to it; each file is imported once.
    assert!(documents["imported/obsidian/readme.md"].contains("# Shop"));
    assert!(documents["imported/claude.md"].contains("Use make."));
    assert!(documents["imported/cursor/rules/ts.md"].starts_with("---\ndescription: TS\n"));
    assert!(documents["decision-log.md"].contains("Use hooks."));
    assert!(documents["tech-context.md"].contains("# Tech"));
    let actives: Vec<&String> = documents.keys().filter(|name| name.ends_with("active-context.md")).collect();
    assert_eq!(actives.len(), 2, "one of the two banks goes beside the other: {actives:?}");
    let origins = rows(&done);
    let unique: std::collections::BTreeSet<_> = origins.iter().map(|(_, _, document)| document).collect();
    let with_document = origins.iter().filter(|(_, _, document)| !document.is_empty()).count();
    assert_eq!(unique.iter().filter(|name| !name.is_empty()).count(), with_document);
    let Bank::Folder(project) = &bank else { panic!() };
    let again = in_project(project, &[]);
    assert_eq!(again["changes"], json!(0), "{again}");
    assert!(listed(&again, "skipped").contains(&"memory-bank".to_owned()), "{again}");
    assert_eq!(bank.documents(), documents);
}

#[test]
fn a_bank_with_content_of_its_own_keeps_it_and_another_bank_goes_beside() {
    let sources = SourceFolder::of(LAYOUTS[8].1);
    for bank in Bank::both() {
        bank.edit("active-context.md", "# Mine\n");
        let done = bank.import(&sources.path(), &[]);
        assert_eq!(bank.document("active-context.md"), "# Mine\n");
        assert!(bank.document("imported/shop/cline/active-context.md").contains("Payments."));
        assert_eq!(action(&done, "activeContext.md"), "create");
        assert!(bank.document("progress.md").contains("- Login"));
        bank.expect_complete(&sources.path());
    }
}

#[test]
fn only_some_layouts_are_imported_on_request_and_the_table_shows_what_happens() {
    let sources =
        SourceFolder::of(&[("CLAUDE.md", "# A\n"), ("AGENTS.md", "# B\n"), (".cursorrules", "c\n")]);
    let bank = Bank::folder();
    let output = bank.command(&sources.path(), &["--only", "claude,cursor", "--dry-run"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("create") && text.contains("imported/shop/claude.md"), "{text}");
    assert!(!text.contains("agents.md") && text.contains("nothing was changed"), "{text}");
    bank.import(&sources.path(), &["--only", "claude,cursor"]);
    let documents = bank.documents();
    assert!(documents.contains_key("imported/shop/cursorrules.md"));
    assert!(!documents.contains_key("imported/shop/agents.md"));
    let wrong = bank.try_import(&sources.path(), &["--only", "vscode"]).unwrap_err();
    assert!(wrong.contains("vscode") && wrong.contains("obsidian"), "{wrong}");
}

#[test]
fn options_of_other_imports_and_read_only_mode_are_refused() {
    let sources = SourceFolder::of(&[("CLAUDE.md", "# A\n")]);
    let bank = Bank::folder();
    for option in ["--merge", "--replace", "--no-backups"] {
        let refused = bank.try_import(&sources.path(), &[option]).unwrap_err();
        assert!(refused.contains(option), "{refused}");
    }
    let refused = bank.try_import(&sources.path(), &["--read-only"]).unwrap_err();
    assert!(refused.contains("--read-only"), "{refused}");
    bank.import(&sources.path(), &["--read-only", "--dry-run"]);
    let refused = bank.try_import(&sources.path().join("nowhere"), &[]).unwrap_err();
    assert!(refused.contains("there is no folder"), "{refused}");
    assert_eq!(bank.documents().len(), 0);
    let project = TempDir::new().unwrap();
    let output =
        command(&project, &[]).args(["import", "--from", "memory.json", "--beside"]).output().unwrap();
    assert!(String::from_utf8(output.stderr).unwrap().contains("--from auto"));
}

#[test]
fn a_folder_without_sources_makes_no_bank() {
    let sources = SourceFolder::of(&[("README.md", "# A\n"), ("src/main.rs", "fn main() {}\n")]);
    let bank = Bank::folder();
    let done = bank.import(&sources.path(), &[]);
    assert_eq!((&done["changes"], done["items"].as_array().unwrap().len()), (&json!(0), 0));
    assert_eq!(bank.documents().len(), 0);
}

#[test]
fn documents_are_searched_and_the_record_is_not() {
    let sources = SourceFolder::of(&[(".cursor/rules/zebra.mdc", "# Stripes\n")]);
    let searches =
        ["stripes", "entries source written"].map(|query| ("search_memory_bank", json!({"query": query})));
    for bank in Bank::both() {
        bank.import(&sources.path(), &[]);
        let replies = match &bank {
            Bank::Folder(project) => crate::transfer::over_stdio(project.path(), &searches),
            Bank::Database(database, _) => {
                let server = serve(database, &key(database));
                let session = server.initialize();
                searches.iter().map(|(tool, arguments)| server.call(&session, tool, arguments)).collect()
            }
        };
        assert!(replies[0].contains("zebra.md"), "{}", replies[0]);
        assert!(!replies[1].contains("record.json"), "{}", replies[1]);
    }
}

#[test]
fn an_import_into_a_database_is_audited_if_it_changes_something() {
    let sources = SourceFolder::of(&[("CLAUDE.md", "# A\n")]);
    let bank = Bank::database();
    let Bank::Database(database, _) = &bank else { panic!() };
    let subjects =
        "SELECT coalesce(string_agg(subject, ','), '') FROM app.audit_log WHERE action = 'bank.imported'";
    bank.import(&sources.path(), &["--dry-run"]);
    assert_eq!(database.psql(subjects), "");
    bank.import(&sources.path(), &[]);
    bank.expect_complete(&sources.path());
    assert_eq!(database.psql(subjects), "shop");
}
