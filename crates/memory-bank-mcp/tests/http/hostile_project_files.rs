//! A hostile project with a link, a pipe, a socket or a folder under each name that the server uses: nothing hangs, and
//! nothing outside of the project is read, changed or created.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use memory_bank_test_postgres::{MIGRATOR, TestDatabase};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::TIMEOUT;
use crate::database::operate;

/// Text outside of the project that must stay unchanged and unseen.
const SECRET: &str = "precious: do not touch";

/// Every name that the server reads, makes or replaces; `$$` is the number of its process.
const NAMES: &[&str] = &[
    "memory-bank",
    "memory-bank/progress.md",
    "memory-bank/active-context.md",
    "memory-bank/notes.md",
    "memory-bank/adr",
    "memory-bank/adr/0001.md",
    "memory-bank/backups",
    "memory-bank/backups/.gitignore",
    "memory-bank/backups/memory-bank-backup-2026-11-22T09-30-07-045Z",
    ".git",
    "memory-bank/.mbmcp",
    "memory-bank/.mbmcp/.gitignore",
    "memory-bank/.mbmcp/lock",
    "memory-bank/.mbmcp/commit.json",
    "memory-bank/.mbmcp/commit.damaged-0.json",
    "memory-bank/.mbmcp/backup-folders",
    "memory-bank/.mbmcp/state.json",
    "memory-bank/.mbmcp/stage",
    "memory-bank/.mbmcp/stage/$$-0.tmp",
    "memory-bank/graph",
    "memory-bank/graph/graph.jsonl",
    "memory-bank/graph/graph.snapshot.json",
    "memory-bank/graph/graph.index.json",
    "memory-bank/graph/graph.md",
    "backups",
    "memory-bank-backup-2026-11-22T09-30-07-045Z",
    "stores.json",
    ".stores.json.$$-0.tmp",
    ".mcprules-code",
    ".clinerules-code",
    ".memory-bank-keys.json",
    ".memory-bank-keys.$$.tmp",
    ".memory-bank-doctor-$$",
    ".memory-bank-export-x",
    ".mcp.json",
    "man/memory-bank-mcp.1",
];

#[derive(Debug, Clone, Copy, PartialEq)]
enum Plant {
    LinkToFile,
    LinkToFolder,
    DanglingLink,
    Pipe,
    Socket,
    Folder,
}

const PLANTS: [Plant; 6] =
    [Plant::LinkToFile, Plant::LinkToFolder, Plant::DanglingLink, Plant::Pipe, Plant::Socket, Plant::Folder];

/// A project, files outside of it, and a state folder.
struct Scene {
    root: TempDir,
    before: Vec<(PathBuf, Vec<u8>)>,
}

impl Scene {
    fn new() -> Self {
        let root = TempDir::new().unwrap();
        let outside = root.path().join("outside");
        for folder in ["project", "outside/graph", "outside/.mbmcp/stage", "home"] {
            std::fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        for name in ["precious", "progress.md", "id_rsa", ".mbmcp/stage/x.tmp"] {
            std::fs::write(outside.join(name), SECRET).unwrap();
        }
        let marker = concat!(
            r#"{"type":"memory_bank_graph","version":"1"}"#,
            "\n",
            r#"{"type":"entity_upsert","entity":{"id":"ent_a0000","name":"precious: do not touch","entityType":"t","createdAt":"2026","updatedAt":"2026"},"ts":"2026"}"#,
            "\n"
        );
        std::fs::write(outside.join("graph/graph.jsonl"), marker).unwrap();
        let before = files_below(&outside);
        Self { root, before }
    }

    fn project(&self) -> PathBuf {
        self.root.path().join("project")
    }

    fn outside(&self) -> PathBuf {
        self.root.path().join("outside")
    }

    /// Plants an entry under a name.
    fn plant(&self, name: &str, plant: Plant) {
        let path = self.project().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        match plant {
            Plant::LinkToFile => symlink(self.outside().join("precious"), path).unwrap(),
            Plant::LinkToFolder => symlink(self.outside(), path).unwrap(),
            Plant::DanglingLink => symlink(self.outside().join("new"), path).unwrap(),
            Plant::Pipe => assert!(Command::new("mkfifo").arg(path).status().unwrap().success()),
            Plant::Socket => {
                // The path may be too long for a socket's address.
                let short = self.root.path().join("s");
                drop(UnixListener::bind(&short).unwrap());
                std::fs::rename(short, path).unwrap();
            }
            Plant::Folder => std::fs::create_dir(path).unwrap(),
        }
    }

    /// The program in the project. A name with `$$` is put in place by the shell that becomes the program.
    fn command(&self, pending: Option<(&str, Plant)>, arguments: &[&str]) -> Command {
        let mut command = Command::new("sh");
        let prepare = pending.map_or_else(String::new, |(name, plant)| {
            let path = name;
            let outside = self.outside().display().to_string();
            let parent = Path::new(path).parent().unwrap().display().to_string();
            let make = match plant {
                Plant::LinkToFile => format!("ln -s '{outside}/precious' \"{path}\""),
                Plant::LinkToFolder => format!("ln -s '{outside}' \"{path}\""),
                Plant::DanglingLink => format!("ln -s '{outside}/new' \"{path}\""),
                Plant::Pipe | Plant::Socket => format!("mkfifo \"{path}\""),
                Plant::Folder => format!("mkdir \"{path}\""),
            };
            format!("mkdir -p './{parent}' 2>/dev/null; {make};")
        });
        command
            .arg("-c")
            .arg(format!("{prepare} exec \"$0\" \"$@\""))
            .arg(env!("CARGO_BIN_EXE_memory-bank-mcp"))
            .args(arguments)
            .current_dir(self.project())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.root.path().join("home"))
            .env("MCP_PORT", "0")
            .env("RUST_LOG", "warn");
        command
    }

    /// Changes outside of the project.
    fn harm(&self) -> Option<String> {
        let after = files_below(&self.outside());
        (after != self.before).then(|| {
            let names = |files: &[(PathBuf, Vec<u8>)]| -> Vec<String> {
                files.iter().map(|(path, bytes)| format!("{}:{}", path.display(), bytes.len())).collect()
            };
            format!("outside was {:?}, is {:?}", names(&self.before), names(&after))
        })
    }

    /// A file in the project or the state folder that contains the text from outside.
    fn leak(&self) -> Option<String> {
        let own = [self.project(), self.root.path().join("home")];
        let found = own.iter().flat_map(|folder| files_below(folder)).find(|(_, bytes)| holds_secret(bytes));
        found.map(|(path, _)| format!("{} holds what is outside", path.display()))
    }
}

fn holds_secret(bytes: &[u8]) -> bool {
    bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes())
}

/// The regular files below a folder with their bytes, and the other names with none; links are not followed.
fn files_below(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let kind = entry.file_type().unwrap();
            let bytes = if kind.is_file() { std::fs::read(entry.path()).unwrap() } else { Vec::new() };
            if kind.is_dir() {
                folders.push(entry.path());
            }
            found.push((entry.path(), bytes));
        }
    }
    found.sort();
    found
}

/// A process that is killed when it is not done in time.
struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    fn start(mut command: Command) -> Self {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (sender, lines) = mpsc::channel();
        let stdout = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                let Ok(line) = line else { break };
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, lines }
    }

    /// The next line; an error when there is none in time.
    fn line(&self) -> Result<Option<String>, String> {
        match self.lines.recv_timeout(TIMEOUT) {
            Ok(line) => Ok(Some(line)),
            Err(mpsc::RecvTimeoutError::Disconnected) => Ok(None),
            Err(mpsc::RecvTimeoutError::Timeout) => Err("it hangs".to_owned()),
        }
    }

    fn ends(mut self) -> Result<(), String> {
        drop(self.child.stdin.take());
        let deadline = Instant::now() + TIMEOUT;
        while self.child.try_wait().unwrap().is_none() {
            if Instant::now() > deadline {
                return Err("it does not end".to_owned());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A session over standard input and output, with a call of every kind.
fn session(scene: &Scene, pending: Option<(&str, Plant)>) -> Result<(), String> {
    let project = scene.project().display().to_string();
    let calls = [
        ("get_memory_bank_status", json!({})),
        ("initialize_memory_bank", json!({"path": project})),
        ("read_memory_bank_file", json!({"filename": "progress.md"})),
        ("write_memory_bank_file", json!({"filename": "notes.md", "content": "# mine\n"})),
        ("read_memory_bank_file", json!({"filename": "adr/0001.md"})),
        ("write_memory_bank_file", json!({"filename": "adr/0001.md", "content": "# mine\n"})),
        ("list_memory_bank_files", json!({})),
        ("initialize_memory_bank", json!({"path": project, "rules": true})),
        ("track_progress", json!({"action": "A", "description": "mine"})),
        ("graph_upsert_entity", json!({"name": "Mine", "entityType": "thing"})),
        ("graph_search", json!({"query": "precious"})),
        ("graph_rebuild", json!({})),
        ("search_memory_bank", json!({"query": "precious"})),
        ("create_backup", json!({})),
        ("create_backup", json!({"backupDir": "backups"})),
        ("create_backup", json!({"listOnly": true})),
        ("restore_backup", json!({"backupId": "memory-bank-backup-2026-11-22T09-30-07-045Z"})),
        ("switch_mode", json!({"mode": "code"})),
        ("select_store", json!({"action": "register", "storeId": "here", "path": project})),
        ("list_stores", json!({})),
        ("get_context_digest", json!({})),
    ];
    let mut running = Running::start(scene.command(pending, &[]));
    let mut stdin = running.child.stdin.take().unwrap();
    let mut send = |id: usize, method: &str, params: Value| -> Result<(), String> {
        let message = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        if writeln!(stdin, "{message}").is_err() {
            return Ok(());
        }
        loop {
            let Some(line) = running.line().map_err(|error| format!("{params}: {error}"))? else {
                return Ok(());
            };
            if holds_secret(line.as_bytes()) {
                // The error may repeat the requested name, never text from outside.
                return Err(format!("{params} reveals text from outside: {line}"));
            }
            if serde_json::from_str::<Value>(&line).is_ok_and(|reply| reply["id"] == json!(id)) {
                return Ok(());
            }
        }
    };
    send(
        0,
        "initialize",
        json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}),
    )?;
    for (at, (name, arguments)) in calls.iter().enumerate() {
        send(at + 1, "tools/call", json!({"name": name, "arguments": arguments}))?;
    }
    send(100, "resources/list", json!({}))?;
    drop(stdin);
    running.ends()
}

/// A server of the folder, until it listens or gives up.
fn served(scene: &Scene, pending: Option<(&str, Plant)>) -> Result<(), String> {
    let running = Running::start(scene.command(pending, &["serve"]));
    loop {
        match running.line()? {
            Some(line) if line.starts_with("Listening") => return Ok(()),
            Some(_) => {}
            None => return running.ends(),
        }
    }
}

/// A command that ends by itself.
fn ran(scene: &Scene, pending: Option<(&str, Plant)>, arguments: &[&str]) -> Result<(), String> {
    let running = Running::start(scene.command(pending, arguments));
    while let Some(line) = running.line()? {
        if holds_secret(line.as_bytes()) {
            return Err(format!("{arguments:?} reveals text from outside: {line}"));
        }
    }
    running.ends()
}

/// All operations on a project, each in a separate scene.
fn faults(name: &str, plant: Plant) -> Vec<String> {
    type Act = fn(&Scene, Option<(&str, Plant)>) -> Result<(), String>;
    let acts: [(&str, Act); 6] = [
        ("stdio", session),
        ("serve", served),
        ("doctor", |scene, pending| ran(scene, pending, &["doctor"])),
        ("man", |scene, pending| ran(scene, pending, &["man", "--dir", "man"])),
        ("client-config", |scene, pending| {
            ran(scene, pending, &["client-config", "--client", "claude-code", "--write"])
        }),
        ("setup", |scene, pending| {
            ran(scene, pending, &["setup", "--yes", "--client", "claude-code", "--scope", "project"])
        }),
    ];
    let mut faults = Vec::new();
    for (act, perform) in acts {
        let is_concerned = match act {
            "man" => name.starts_with("man"),
            "client-config" | "setup" => name == ".mcp.json",
            "doctor" => !name.starts_with("man") && !name.contains('/'),
            _ => !name.starts_with("man"),
        };
        if !is_concerned {
            continue;
        }
        let scene = Scene::new();
        let pending = name.contains("$$").then_some((name, plant));
        if pending.is_none() {
            scene.plant(name, plant);
        }
        let outcome = perform(&scene, pending);
        let fault = outcome.err().or_else(|| scene.harm()).or_else(|| scene.leak());
        faults.extend(fault.map(|fault| format!("{act} with {name} as {plant:?}: {fault}")));
    }
    faults
}

#[test]
fn hostile_files_under_the_server_s_names_neither_hang_it_nor_reach_outside() {
    let cases: Vec<_> =
        NAMES.iter().flat_map(|name| PLANTS.iter().map(move |plant| (*name, *plant))).collect();
    let (cases, found) = (Mutex::new(cases), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let Some((name, plant)) = cases.lock().unwrap().pop() else { break };
                    let faults = faults(name, plant);
                    found.lock().unwrap().extend(faults);
                }
            });
        }
    });
    let found = found.into_inner().unwrap();
    assert!(found.is_empty(), "{} faults:\n{}", found.len(), found.join("\n"));
}

/// As above, for the commands that move a project between a folder and a database.
#[test]
fn hostile_files_are_not_imported_or_exported() {
    let database = TestDatabase::migrated();
    operate(&database, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap();
    let url = database.url_of(MIGRATOR);
    let moved = |scene: &Scene, arguments: &[&str]| {
        let mut command = scene.command(None, arguments);
        command.env("DATABASE_URL", &url).env("REDIS_URL", "");
        let running = Running::start(command);
        while running.line()?.is_some() {}
        running.ends()
    };
    let mut found = Vec::new();
    let names = [
        "memory-bank",
        "memory-bank/progress.md",
        "memory-bank/graph/graph.jsonl",
        ".mcprules-code",
        ".memory-bank-export-x",
    ];
    for (name, plant) in names.iter().flat_map(|name| PLANTS.iter().map(move |plant| (*name, *plant))) {
        let scene = Scene::new();
        scene.plant(name, plant);
        for act in [
            &["import", "--from", ".", "--project", "atlas", "--merge"][..],
            &["export", "--to", ".", "--project", "atlas", "--replace"],
        ] {
            let outcome = moved(&scene, act);
            let fault = outcome.err().or_else(|| scene.harm()).or_else(|| scene.leak());
            found.extend(fault.map(|fault| format!("{act:?} with {name} as {plant:?}: {fault}")));
        }
    }
    assert!(found.is_empty(), "{} faults:\n{}", found.len(), found.join("\n"));
}
