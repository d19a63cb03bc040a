//! Sources that are not what they seem: links, pipes, binaries, encodings, sizes, depths, and names that clash.

use serde_json::json;

use super::bank::{Bank, SourceFolder, action, listed, rows};

#[test]
fn texts_are_kept_and_other_files_are_named() {
    for bank in Bank::both() {
        let sources = SourceFolder::of(&[]);
        sources.put("CLAUDE.md", b"\xef\xbb\xbf# Mark\r\n- one\r\n");
        let utf16: Vec<u8> = "\u{feff}Wind\u{e9}\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        sources.put(".windsurfrules", utf16);
        sources.put("AGENTS.md", b"a\0b");
        sources.put("GEMINI.md", b"caf\xe9\n");
        sources.put(".cursorrules", b" \n");
        sources.put(".clinerules", "x".repeat(2 * 1024 * 1024));
        sources.put("notes/CLAUDE.md", "``` an open fence\n<!-- and a comment");
        sources.put("CLAUDE.local.md", "my own");
        let done = bank.import(&sources.path(), &[]);
        assert!(bank.document("imported/shop/claude.md").ends_with("-->\r\n\r\n# Mark\r\n- one\r\n"));
        assert!(bank.document("imported/shop/windsurfrules.md").contains("Wind\u{e9}\r\n"));
        assert!(
            bank.document("imported/shop/notes/claude.md").ends_with("``` an open fence\n<!-- and a comment")
        );
        let mut skipped = listed(&done, "skipped");
        skipped.sort();
        assert_eq!(skipped, [".clinerules", ".cursorrules", "AGENTS.md", "CLAUDE.local.md", "GEMINI.md"]);
        let reasons = done["skipped"].to_string();
        for reason in ["is binary", "is not UTF-8", "is empty", "2097152 bytes", "personal settings"] {
            assert!(reasons.contains(reason), "{reasons}");
        }
        bank.expect_complete(&sources.path());
    }
}

#[cfg(unix)]
#[test]
fn links_and_pipes_neither_hang_an_import_nor_bring_files_from_elsewhere() {
    let outside =
        SourceFolder::of(&[("secret.md", "not to be seen\n"), ("rules/secret.mdc", "not to be seen\n")]);
    let sources = SourceFolder::of(&[("AGENTS.md", "# Agents\n"), (".serena/memories/a.md", "# A\n")]);
    let link = |to: &str, name: &str| {
        std::os::unix::fs::symlink(outside.path().join(to), sources.path().join(name)).unwrap();
    };
    link("secret.md", "CLAUDE.md");
    link("", ".cursor");
    link("secret.md", ".serena/memories/b.md");
    link("", "packages");
    std::os::unix::fs::symlink(sources.path(), sources.path().join("loop")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(sources.path().join("GEMINI.md")).status().unwrap();
    assert!(made.success());
    for bank in Bank::both() {
        let done = bank.import(&sources.path(), &[]);
        let mut skipped = listed(&done, "skipped");
        skipped.sort();
        assert_eq!(skipped, [".cursor", ".serena/memories/b.md", "CLAUDE.md", "GEMINI.md"]);
        assert!(bank.documents().values().all(|text| !text.contains("not to be seen")));
        assert_eq!(done["documents"]["created"], json!(2), "{done}");
    }
}

#[test]
fn names_that_clash_or_that_other_systems_refuse_get_their_own_documents() {
    let names = [
        "Notes.md",
        "notes.md",
        "Docs/a.md",
        "docs/b.md",
        "myNote.md",
        "my-note.md",
        "con.md",
        "what? is: this*.md",
        "日本語.md",
        "cafe\u{301}.md",
        "caf\u{e9}.md",
        "a\u{202e}b.md",
        "-->.md",
    ];
    let deep = format!("{}deep.md", "folder/".repeat(10));
    let long = format!("{}.md", "x".repeat(240));
    for bank in Bank::both() {
        let sources = SourceFolder::of(&[(".obsidian/app.json", "{}")]);
        for name in names.iter().copied().chain([deep.as_str(), long.as_str()]) {
            sources.put(name, format!("the text of {}\n", name.escape_unicode()));
        }
        let tried = bank.import(&sources.path(), &["--dry-run"]);
        let done = bank.import(&sources.path(), &[]);
        assert_eq!(tried["items"], done["items"]);
        assert_eq!(done["documents"]["created"], json!(names.len() + 2), "{done}");
        let documents = bank.documents();
        let notes: Vec<&String> = documents.values().filter(|text| text.contains("the text of")).collect();
        assert_eq!(notes.len(), names.len() + 2, "{:?}", documents.keys());
        for (_, from, document) in rows(&done).into_iter().filter(|(_, _, document)| !document.is_empty()) {
            let name = from.split_once("shop/").unwrap().1.escape_unicode().to_string();
            assert!(documents[&document].contains(&name), "{from} is not in {document}");
        }
        bank.expect_complete(&sources.path());
        // One of two that clash goes: the other keeps its document.
        sources.remove("Notes.md");
        bank.expect_complete(&sources.path());
        sources.put("notes.md", "changed\n");
        assert_eq!(action(&bank.import(&sources.path(), &[]), "shop/notes.md"), "update");
        assert_eq!(bank.documents().len(), documents.len());
    }
}

#[test]
fn texts_that_look_like_secrets_are_imported_with_a_warning_that_does_not_repeat_them() {
    let token = "ghp_0123456789abcdefABCDEF0123456789abcd";
    let sources = SourceFolder::of(&[("CLAUDE.md", &format!("# Keys\n\n`{token}`\n"))]);
    for bank in Bank::both() {
        let output = bank.command(&sources.path(), &[]).output().unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(text.contains("line 3: a GitHub token") && !text.contains(token), "{text}");
        assert!(bank.document("imported/shop/claude.md").contains(token));
        // Once is enough.
        assert_eq!(listed(&bank.import(&sources.path(), &[]), "secrets").len(), 0);
    }
}
