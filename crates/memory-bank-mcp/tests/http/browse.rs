//! The commands for people, on a folder and on a server: the text for terminals, pipes and programs, and the exit codes.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{Server, command};

/// A text that would control a terminal: colours, the title, the clipboard, the cursor, the direction of text.
pub(crate) const ATTACK: &str = "\u{1b}[31mred\u{1b}]0;owned\u{7}\u{1b}]52;c;cm0=\u{1b}\\ \u{9b}2J a\u{8}b \u{202e}txt.exe\u{202c}\u{feff}";

const PROGRESS: &str = "# Progress\n\n## Update History\n\n- [2026-11-21 10:00:00] - Fixed: the importer\n\
    - [2026-11-20 09:00:00] - Added: the search\n";
const DECISIONS: &str = "# Decision Log\n\n## Use Redis for sessions\n- **Date:** 2026-11-19\n- **Context:** replicas\n\
    - **Decision:** Sessions live in Redis\n";

/// A folder with a bank.
pub(crate) fn bank() -> TempDir {
    let folder = TempDir::new().unwrap();
    let bank = folder.path().join("memory-bank");
    std::fs::create_dir(&bank).unwrap();
    write(&bank, "progress.md", PROGRESS);
    write(&bank, "decision-log.md", DECISIONS);
    write(&bank, "notes.md", &format!("# Notes\n\n## First\n\nwords {ATTACK}\r\n\n## Second\n\nmore\n"));
    folder
}

pub(crate) fn write(bank: &Path, name: &str, text: &str) {
    std::fs::write(bank.join(name), text).unwrap();
}

/// The commands on one bank, wherever it is.
pub(crate) struct Shell<'a> {
    pub(crate) folder: &'a TempDir,
    pub(crate) variables: Vec<(&'a str, &'a str)>,
}

impl Shell<'_> {
    pub(crate) fn run(&self, words: &[&str]) -> Output {
        command(self.folder, &self.variables).args(words).stdin(Stdio::null()).output().unwrap()
    }

    pub(crate) fn text(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn json(&self, words: &[&str]) -> Value {
        serde_json::from_str(&self.text(&[words, &["--json"]].concat())).unwrap()
    }

    /// The exit code and the error.
    pub(crate) fn refused(&self, words: &[&str]) -> (i32, String) {
        let output = self.run(words);
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    }
}

pub(crate) fn on_folder(folder: &TempDir) -> Shell<'_> {
    Shell { folder, variables: vec![("HOME", folder.path().to_str().unwrap())] }
}

/// The same commands on the folder and on a server that serves a copy of it.
pub(crate) fn everywhere(check: impl Fn(&Shell<'_>, &str)) {
    let folder = bank();
    check(&on_folder(&folder), "folder");
    for json_replies in ["true", "false"] {
        let server = Server::start_in(bank(), &[("MCP_JSON_RESPONSE", json_replies)]);
        let url = format!("http://{}/mcp", server.address);
        let elsewhere = TempDir::new().unwrap();
        let variables = vec![("MEMORY_BANK_URL", url.as_str()), ("MEMORY_BANK_API_KEY", server.key.as_str())];
        check(&Shell { folder: &elsewhere, variables }, &format!("server, JSON replies: {json_replies}"));
    }
}

#[test]
fn documents_are_listed_with_size_and_time_of_the_last_change() {
    everywhere(|shell, place| {
        let text = shell.text(&["list"]);
        let first = text.lines().next().unwrap();
        assert!(first.starts_with("NAME") && first.ends_with("CHANGED (UTC)"), "{place}: {text}");
        assert!(
            text.lines().any(|line| line.starts_with("progress.md ") && line.contains(" B  20")),
            "{place}: {text}"
        );
        assert_eq!(shell.text(&["list", "--names"]), "decision-log.md\nnotes.md\nprogress.md\n", "{place}");
        let data = shell.json(&["list"]);
        let documents = data["documents"].as_array().unwrap();
        assert_eq!(documents.len(), 3, "{place}");
        assert_eq!(documents[0]["name"], json!("decision-log.md"));
        assert_eq!(documents[0]["bytes"], json!(DECISIONS.len()));
        assert!(documents[0]["updatedAt"].as_str().unwrap().ends_with('Z'));
    });
}

#[test]
fn a_long_list_is_complete() {
    let folder = bank();
    for number in 0..3000 {
        let name = format!("a-document-with-a-rather-long-name-{number:04}.md");
        write(&folder.path().join("memory-bank"), &name, "x\n");
    }
    assert_eq!(on_folder(&folder).text(&["list", "--names"]).lines().count(), 3003);
    let server = Server::start_in(folder, &[]);
    let url = format!("http://{}/mcp", server.address);
    let elsewhere = TempDir::new().unwrap();
    let variables = vec![("MEMORY_BANK_URL", url.as_str()), ("MEMORY_BANK_API_KEY", server.key.as_str())];
    let shell = Shell { folder: &elsewhere, variables };
    assert_eq!(shell.text(&["list", "--names"]).lines().count(), 3003);
    assert_eq!(shell.json(&["list"])["documents"].as_array().unwrap().len(), 3003);
}

#[test]
fn a_document_is_piped_byte_for_byte_whole_or_by_its_heading() {
    everywhere(|shell, place| {
        assert_eq!(shell.text(&["show", "progress.md"]), PROGRESS, "{place}");
        assert!(shell.text(&["show", "notes.md"]).contains(ATTACK), "{place}: a pipe gets what is stored");
        let section = shell.text(&["show", "notes", "--heading", "second"]);
        assert_eq!(section, "## Second\n\nmore\n", "{place}");
        assert_eq!(
            shell.text(&["show", "progress.md", "--tail", "1"]),
            PROGRESS.lines().last().unwrap().to_owned() + "\n"
        );
        let lines = shell.text(&["show", "progress.md", "--from-line", "3", "--lines", "1"]);
        assert_eq!(lines, "## Update History\n", "{place}");
        let data = shell.json(&["show", "progress.md"]);
        assert_eq!(
            (&data["content"], &data["filename"]),
            (&json!(PROGRESS), &json!("progress.md")),
            "{place}"
        );
        assert!(data["etag"].is_string(), "{place}");
        let part = shell.json(&["show", "notes.md", "--heading", "Second"]);
        assert_eq!((&part["part"], &part["fromLine"]), (&json!("## Second\n\nmore\n"), &json!(7)), "{place}");
    });
}

#[test]
fn a_document_of_a_megabyte_comes_whole() {
    let text: String = (0..14_000)
        .map(|line| format!("line {line} «ä» of a long \"document\" \u{1f4a1} that needs several parts\n"))
        .collect();
    let folder = bank();
    write(&folder.path().join("memory-bank"), "long.md", &text);
    assert!(on_folder(&folder).text(&["show", "long"]) == text, "the folder's differs");
    let server = Server::start_in(folder, &[]);
    let url = format!("http://{}/mcp", server.address);
    let elsewhere = TempDir::new().unwrap();
    let variables = vec![("MEMORY_BANK_URL", url.as_str()), ("MEMORY_BANK_API_KEY", server.key.as_str())];
    let shell = Shell { folder: &elsewhere, variables };
    assert!(shell.text(&["show", "long.md"]) == text, "the server's differs");
    let tail: String = text.lines().skip(2_000).map(|line| format!("{line}\n")).collect();
    assert!(shell.text(&["show", "long.md", "--tail", "12000"]) == tail, "the tail differs");
    assert!(shell.json(&["show", "long.md"])["content"] == json!(text));
}

#[test]
fn a_name_that_is_nearly_right_is_found_or_suggested() {
    everywhere(|shell, place| {
        assert_eq!(shell.text(&["show", "PROGRESS"]), PROGRESS, "{place}");
        let (code, error) = shell.refused(&["show", "progess.md"]);
        assert_eq!(code, 1, "{place}: {error}");
        assert!(
            error.contains("no document `progess.md`") && error.contains("similar: `progress.md`"),
            "{place}: {error}"
        );
        let (code, error) = shell.refused(&["show", "zzz"]);
        assert!(code == 1 && error.contains("`memory-bank-mcp list`"), "{place}: {error}");
        let (code, error) = shell.refused(&["show", "progress.md", "--heading", "none of it"]);
        assert!(code == 1 && error.contains("`Update History` (line 3)"), "{place}: {error}");
        let (code, error) = shell.refused(&["show", "../../etc/passwd"]);
        assert!(code == 1 && !error.contains("root:"), "{place}: {error}");
    });
}

#[test]
fn a_search_prints_one_line_per_hit_and_finds_nothing_with_exit_code_1() {
    everywhere(|shell, place| {
        let text = shell.text(&["search", "sessions", "redis"]);
        assert!(text.lines().any(|line| line.starts_with("decision-log.md:3:")), "{place}: {text}");
        let data = shell.json(&["search", "importer", "--file", "progress.md", "-n", "1"]);
        assert_eq!(data["results"].as_array().unwrap().len(), 1, "{place}");
        assert_eq!(data["results"][0]["file"], json!("progress.md"), "{place}");
        let (code, error) = shell.refused(&["search", "xylophone"]);
        assert!(code == 1 && error.contains("nothing is found for `xylophone`"), "{place}: {error}");
        let output = shell.run(&["search", "xylophone", "--json"]);
        assert_eq!(output.status.code(), Some(1), "{place}");
        let data: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(data["results"], json!([]), "{place}");
        let output = shell.run(&["search", "xylophone", "sessions"]);
        let note = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && note.contains("found nowhere: xylophone"), "{place}: {note}");
        let (code, error) = shell.refused(&["search", "redis", "--since", "yesterday"]);
        assert!(code == 1 && error.contains("`yesterday` is not a day"), "{place}: {error}");
        let text = shell.text(&["search", "words"]);
        assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "{place}: {text:?}");
    });
}

#[test]
fn digest_log_and_status_show_the_work() {
    everywhere(|shell, place| {
        let digest = shell.text(&["digest"]);
        for part in ["Progress", "Fixed: the importer", "Decisions", "Use Redis for sessions", "2026-11-19"] {
            assert!(digest.contains(part), "{place}: {part} in {digest}");
        }
        assert!(shell.json(&["digest", "--tokens", "300"])["digest"]["recentProgress"].is_array(), "{place}");
        let log = shell.text(&["log", "-n", "1"]);
        assert!(log.contains("2026-11-21") && !log.contains("2026-11-20"), "{place}: {log}");
        shell.text(&["add-decision", "Measure twice", "--decision", "Then cut"]);
        let log = shell.text(&["log", "-n", "1"]);
        assert!(log.contains("Decision Made: Measure twice"), "{place}: {log}");
        let entries = shell.json(&["log", "-n", "1"]);
        assert_eq!(
            entries["entries"][0]["text"].as_str().map(|text| text.contains("Measure twice")),
            Some(true),
            "{entries}"
        );
        assert!(entries["entries"][0]["date"].is_string() && entries.get("digest").is_none(), "{entries}");
        assert!(shell.json(&["log", "--decisions"])["decisions"][0]["title"].is_string(), "{place}");
        let decisions = shell.text(&["log", "--decisions"]);
        assert!(
            decisions.contains("Sessions live in Redis") && !decisions.contains("importer"),
            "{place}: {decisions}"
        );
        let status = shell.text(&["status"]);
        assert!(status.contains("Documents  3") && status.contains("missing: "), "{place}: {status}");
        let data = shell.json(&["status"]);
        assert_eq!(
            (&data["isComplete"], &data["files"]),
            (&json!(false), &json!(["decision-log.md", "notes.md", "progress.md"])),
            "{place}"
        );
    });
}

#[test]
fn a_decision_is_added_with_its_parts() {
    everywhere(|shell, place| {
        let words = [
            "add-decision",
            "Keep SQLite out",
            "--decision",
            "PostgreSQL only",
            "--context",
            "one store to test",
            "--alternative",
            "SQLite",
            "--consequence",
            "a database is needed",
        ];
        assert_eq!(shell.text(&words), "Decision logged: Keep SQLite out\n", "{place}");
        let log = shell.text(&["show", "decision-log.md"]);
        for part in
            ["Keep SQLite out", "PostgreSQL only", "one store to test", "SQLite", "a database is needed"]
        {
            assert!(log.contains(part), "{place}: {part} in {log}");
        }
        assert!(log.contains("Use Redis for sessions"), "{place}");
        let (code, error) = shell.refused(&["add-decision", "x", "--decision", "y", "--read-only"]);
        assert!(code == 1 && error.contains("read-only"), "{place}: {error}");
        assert_eq!(shell.refused(&["add-decision", "without what"]).0, 2, "{place}");
        assert_eq!(shell.text(&["show", "decision-log.md"]), log, "{place}");
    });
}

#[test]
fn a_decision_is_read_from_standard_input_and_signed() {
    let folder = bank();
    let shell = on_folder(&folder);
    let mut process = command(&folder, &shell.variables)
        .args(["add-decision", "From a pipe", "--decision", "-", "-u", "Jo"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut process.stdin.take().unwrap(), b"what the pipe said\n").unwrap();
    assert!(process.wait().unwrap().success());
    let log = shell.text(&["show", "decision-log"]);
    assert!(log.contains("what the pipe said") && log.contains("Jo"), "{log}");
}

#[test]
fn whose_changes_an_undo_takes_back_is_explained() {
    let folder = bank();
    let shell = on_folder(&folder);
    let (code, error) = shell.refused(&["undo"]);
    assert!(code == 2 && error.contains("--session") && error.contains("--by USER --since"), "{error}");
    let (code, error) = shell.refused(&["undo", "--session", "alice"]);
    assert!(code == 2 && error.contains("`history --json` shows"), "{error}");
    let (_, error) = shell.refused(&["undo", "--by", "local", "--since", "2999-01-01"]);
    assert!(!error.contains("the action `list`"), "{error}");
    for command in [&["history", "--since", "soon"][..], &["undo", "--by", "local", "--since", "soon"]] {
        let (_, error) = shell.refused(command);
        assert!(error.contains("`--since` is not a time"), "{error}");
    }
}

#[test]
fn wrong_arguments_are_exit_code_2() {
    let folder = bank();
    let shell = on_folder(&folder);
    for words in [
        &["list", "--url", "http://h/mcp", "--path", "."][..],
        &["list", "--url", "not an address"],
        &["list", "--url", "http://h/mcp", "-u", "jo"],
        &["list", "--key-file", "key"],
        &["show"],
        &["show", "a", "--heading", "b", "--tail", "3"],
        &["digest", "--tokens", "3"],
        &["search"],
        &["graph"],
    ] {
        assert_eq!(shell.refused(words).0, 2, "{words:?}");
    }
    let variables = vec![("MEMORY_BANK_URL", "http://me:hunter2@h/mcp")];
    let (code, error) = Shell { folder: &folder, variables }.refused(&["list"]);
    assert!(code == 2 && error.contains("MEMORY_BANK_URL") && !error.contains("hunter2"), "{error}");
}

#[test]
fn a_folder_without_a_bank_and_a_server_without_a_key_are_explained() {
    let empty = TempDir::new().unwrap();
    let (code, error) = on_folder(&empty).refused(&["list"]);
    assert!(code == 1 && error.contains("no memory bank in") && error.contains("--path"), "{error}");
    assert_eq!(std::fs::read_dir(empty.path()).unwrap().count(), 0, "something was created");
    let server = Server::start_in(bank(), &[]);
    let url = format!("http://{}/mcp", server.address);
    let shell = |key| Shell {
        folder: &empty,
        variables: vec![("MEMORY_BANK_URL", url.as_str()), ("MEMORY_BANK_API_KEY", key)],
    };
    let (code, error) = shell("").refused(&["list"]);
    assert!(code == 1 && error.contains("MEMORY_BANK_API_KEY"), "{error}");
    let wrong = format!("mbmcp_live_{}", "k".repeat(32));
    let (code, error) = shell(&wrong).refused(&["list"]);
    assert!(code == 1 && error.contains("refuses the API key") && !error.contains(&wrong), "{error}");
    let other = format!("http://{}/elsewhere", server.address);
    let variables = vec![("MEMORY_BANK_URL", other.as_str()), ("MEMORY_BANK_API_KEY", server.key.as_str())];
    let (code, error) = Shell { folder: &empty, variables }.refused(&["list"]);
    assert!(code == 1 && error.contains("ends in `/mcp`"), "{error}");
    let variables = vec![("MEMORY_BANK_URL", "http://127.0.0.1:1/mcp")];
    let (code, error) = Shell { folder: &empty, variables }.refused(&["list"]);
    assert!(code == 1 && error.contains("cannot be reached"), "{error}");
    // A folder that is named comes before the variable.
    let folder = bank();
    let variables = vec![("MEMORY_BANK_URL", "http://127.0.0.1:1/mcp")];
    let named = Shell { folder: &empty, variables };
    assert_eq!(
        named.text(&["list", "--names", "--path", folder.path().to_str().unwrap()]).lines().count(),
        3
    );
    let file = empty.path().join("key");
    std::fs::write(&file, format!("{}\n", server.key)).unwrap();
    let listed =
        on_folder(&empty).text(&["list", "--names", "--url", &url, "--key-file", file.to_str().unwrap()]);
    assert_eq!(listed.lines().count(), 3);
}

#[test]
fn a_key_with_other_rights_is_refused_with_the_reason() {
    let server = Server::start_in(bank(), &[]);
    let made = server.send("POST", "/api/keys", &[crate::client::JSON], "{\"scopes\":[\"read\"]}").json();
    let url = format!("http://{}/mcp", server.address);
    let elsewhere = TempDir::new().unwrap();
    let variables =
        vec![("MEMORY_BANK_URL", url.as_str()), ("MEMORY_BANK_API_KEY", made["key"].as_str().unwrap())];
    let shell = Shell { folder: &elsewhere, variables };
    assert_eq!(shell.text(&["list", "--names"]).lines().count(), 3);
    let (code, error) = shell.refused(&["add-decision", "x", "--decision", "y"]);
    assert!(code == 1 && error.contains("may not"), "{error}");
}

#[test]
fn a_closed_pipe_causes_no_error() {
    let folder = bank();
    let text: String =
        (0..20_000).map(|line| format!("line {line} of a document that is longer than a pipe\n")).collect();
    write(&folder.path().join("memory-bank"), "long.md", &text);
    for words in ["show long.md", "show long.md --json", "search line -n 1000", "config"] {
        let program = env!("CARGO_BIN_EXE_memory-bank-mcp");
        // Short output fits into a pipe that is still open.
        let (pause, reader) = if words == "config" { ("sleep 1", "true") } else { (":", "head -c 10") };
        let script = format!("{{ {pause}; {program} {words}; echo \"code $?\" >&2; }} | {reader} >/dev/null");
        let output = Command::new("sh")
            .args(["-c", &script])
            .current_dir(folder.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .output()
            .unwrap();
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "code 0\n", "{words}");
    }
}

#[test]
fn a_shown_digest_does_not_count_as_a_session() {
    let folder = bank();
    let state = TempDir::new().unwrap();
    let variables = vec![("MEMORY_BANK_STATE_DIR", state.path().to_str().unwrap())];
    Shell { folder: &folder, variables }.text(&["digest"]);
    assert!(!state.path().join("sessions").exists(), "the visit was recorded");
}

#[test]
fn init_creates_a_bank_and_keeps_what_is_there() {
    let folder = TempDir::new().unwrap();
    let shell = on_folder(&folder);
    let (code, error) = shell.refused(&["list"]);
    assert!(code == 1 && error.contains("`memory-bank-mcp init`"), "{error}");
    let (code, error) = shell.refused(&["init", "--read-only"]);
    assert!(code == 1 && error.contains("`init` changes a memory bank"), "{error}");
    assert!(!folder.path().join("memory-bank").exists());
    let created = shell.json(&["init"]);
    assert_eq!(created["created"].as_array().unwrap().len(), 5, "{created}");
    write(&folder.path().join("memory-bank"), "progress.md", "mine\n");
    assert!(shell.text(&["init"]).contains("there already"));
    assert_eq!(shell.text(&["show", "progress"]), "mine\n");
    assert_eq!(shell.json(&["status"])["isComplete"], json!(true));
}

#[test]
fn init_creates_the_bank_of_a_key_on_a_server() {
    let (server, elsewhere) = (Server::start_in(TempDir::new().unwrap(), &[]), TempDir::new().unwrap());
    let url = format!("http://{}/mcp", server.address);
    let variables = vec![("MEMORY_BANK_URL", url.as_str()), ("MEMORY_BANK_API_KEY", server.key.as_str())];
    let shell = Shell { folder: &elsewhere, variables };
    assert!(shell.text(&["init"]).contains("is ready"));
    assert_eq!(shell.json(&["status"])["isComplete"], json!(true));
}

#[test]
fn a_bank_with_the_names_of_older_versions_is_complete() {
    let folder = TempDir::new().unwrap();
    let bank = folder.path().join("memory-bank");
    std::fs::create_dir(&bank).unwrap();
    for name in ["productContext", "activeContext", "progress", "decisionLog", "systemPatterns"] {
        write(&bank, &format!("{name}.md"), "# Title\n");
    }
    let status = on_folder(&folder).json(&["status"]);
    assert_eq!((&status["isComplete"], &status["missingCoreFiles"]), (&json!(true), &json!([])), "{status}");
}
