//! Measures the hooks of agents: how long an event takes and how many tokens its answer has, on a new bank, after a simulated
//! week and after a simulated year; and what two banks hold after 20 sessions of a scripted agent, with hooks and without.

mod agent;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use memory_bank_simulation::{Simulation, WEEK, Workload, YEAR};
use serde_json::{Value, json};
use tiktoken_rs::{CoreBPE, o200k_base};

/// The most tokens of an answer, and the most time of 95 in 100 events.
const TOKENS: usize = 500;
const P95: Duration = Duration::from_millis(50);
/// How many files the repository has.
const FILES: usize = 2000;

/// A hook: the program, and the folders of a session.
pub(crate) struct Hooks {
    program: PathBuf,
    project: PathBuf,
    state: PathBuf,
}

impl Hooks {
    pub(crate) fn new(program: &Path, place: &Path) -> Self {
        Self { program: program.to_owned(), project: place.join("project"), state: place.join("state") }
    }

    /// Sends an event; the answer, and how long it took.
    pub(crate) fn send(&self, event: &str, mut input: Value) -> anyhow::Result<(Value, Duration)> {
        if let Some(members) = input.as_object_mut() {
            members.insert("cwd".to_owned(), json!(self.project));
            members.insert("hook_event_name".to_owned(), json!(event));
        }
        let began = Instant::now();
        let mut child = Command::new(&self.program)
            .args(["hook", event, "--agent", "claude-code"])
            .current_dir(&self.project)
            .env("MEMORY_BANK_STATE_DIR", &self.state)
            // A slow answer is measured, not cut off.
            .env("MEMORY_BANK_HOOK_TIMEOUT_MS", "10000")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("the program cannot be started")?;
        child.stdin.take().context("no standard input")?.write_all(input.to_string().as_bytes())?;
        let output = child.wait_with_output()?;
        let took = began.elapsed();
        ensure!(
            output.status.success() && output.stderr.is_empty(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let answer =
            if output.stdout.is_empty() { Value::Null } else { serde_json::from_slice(&output.stdout)? };
        Ok((answer, took))
    }

    pub(crate) fn git(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let output = Command::new("git")
            .args(["-c", "user.name=a", "-c", "user.email=a@example.com"])
            .args(arguments)
            .current_dir(&self.project)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .context("git cannot be started")?;
        ensure!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// Creates the project, with a repository of `files` files.
    pub(crate) fn prepare(&self, files: usize) -> anyhow::Result<()> {
        std::fs::create_dir_all(self.project.join("src"))?;
        for number in 0..files {
            std::fs::write(self.project.join(format!("src/file_{number}.rs")), format!("// {number}\n"))?;
        }
        self.git(&["init", "-q", "-b", "main"])?;
        std::fs::write(self.project.join(".gitignore"), "memory-bank/\n")?;
        self.git(&["add", "."])?;
        self.git(&["commit", "-qm", "begin"])
    }

    pub(crate) fn project(&self) -> &Path {
        &self.project
    }
}

/// The text of an answer of any kind.
pub(crate) fn text(answer: &Value) -> &str {
    let places = ["/hookSpecificOutput/additionalContext", "/reason", "/systemMessage"];
    places.iter().find_map(|place| answer.pointer(place)?.as_str()).unwrap_or_default()
}

/// The cost of one event.
struct Row {
    event: &'static str,
    cells: Vec<(Duration, Duration, usize)>,
}

const EVENTS: [&str; 6] = [
    "SessionStart",
    "SessionStart after a compaction",
    "UserPromptSubmit, answered",
    "UserPromptSubmit, nothing to say",
    "PostToolUse",
    "Stop",
];

fn measure(
    hooks: &Hooks,
    rounds: usize,
    question: &str,
    tokens: &CoreBPE,
) -> anyhow::Result<Vec<(Duration, Duration, usize)>> {
    let mut cells = Vec::new();
    for (number, event) in EVENTS.iter().enumerate() {
        let mut times = Vec::new();
        let mut most = 0;
        for round in 0..rounds {
            let session = format!("{number}-{round}");
            let start = || hooks.send("SessionStart", json!({"session_id": session, "source": "startup"}));
            let (answer, took) = match *event {
                "SessionStart" => start()?,
                "SessionStart after a compaction" => {
                    start()?;
                    std::fs::write(hooks.project().join("src/file_0.rs"), format!("// {round}\n"))?;
                    hooks.send("SessionStart", json!({"session_id": session, "source": "compact"}))?
                }
                "UserPromptSubmit, answered" => {
                    hooks.send("UserPromptSubmit", json!({"session_id": session, "prompt": question}))?
                }
                "UserPromptSubmit, nothing to say" => {
                    let prompt = "what about quantum chromodynamics and zeppelins?";
                    hooks.send("UserPromptSubmit", json!({"session_id": session, "prompt": prompt}))?
                }
                "PostToolUse" => {
                    start()?;
                    hooks.send("PostToolUse", json!({"session_id": session, "tool_name": "Edit"}))?
                }
                _ => {
                    start()?;
                    std::fs::write(hooks.project().join("src/file_1.rs"), format!("// {round}\n"))?;
                    hooks.send("Stop", json!({"session_id": session, "stop_hook_active": false}))?
                }
            };
            times.push(took);
            most = most.max(tokens.encode_ordinary(text(&answer)).len());
        }
        times.sort_unstable();
        let at = |share: usize| {
            times.get((times.len() * share / 100).min(times.len() - 1)).copied().unwrap_or_default()
        };
        cells.push((at(50), at(95), most));
    }
    Ok(cells)
}

/// The documents of the bank, without the graph.
fn kilobytes(project: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(project.join("memory-bank"))? {
        let entry = entry?;
        bytes += if entry.file_type()?.is_file() { entry.metadata()?.len() } else { 0 };
    }
    Ok(bytes / 1024)
}

/// A question that some line of the bank answers.
fn question(project: &Path) -> String {
    let progress = std::fs::read_to_string(project.join("memory-bank/progress.md")).unwrap_or_default();
    let lines: Vec<&str> = progress.lines().filter(|line| line.starts_with("- [")).collect();
    let line = lines.get(lines.len() / 2).copied().unwrap_or("- the bank is empty");
    line.rsplit(['-', ':']).next().unwrap_or(line).to_owned()
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let is_quick = arguments.iter().any(|argument| argument == "--quick");
    let value = |name: &str| {
        arguments.iter().position(|argument| argument == name).and_then(|at| arguments.get(at + 1))
    };
    let named = value("--server");
    let beside = std::env::current_exe()?.with_file_name("memory-bank-mcp");
    let program = named.map_or(beside, PathBuf::from);
    let tokens = o200k_base()?;
    let rounds = match value("--rounds") {
        Some(rounds) => {
            rounds.parse::<usize>().ok().filter(|rounds| *rounds > 0).context("`--rounds` takes a number")?
        }
        None if is_quick => 10,
        None => 100,
    };
    let workloads: Vec<(&str, Option<Workload>)> = if is_quick {
        vec![("empty", None), ("week", Some(WEEK))]
    } else {
        vec![("empty", None), ("week", Some(WEEK)), ("year", Some(YEAR))]
    };
    let mut rows: Vec<Row> = EVENTS.iter().map(|event| Row { event, cells: Vec::new() }).collect();
    for (name, workload) in &workloads {
        eprintln!("a bank: {name}");
        let began = Instant::now();
        let place = tempfile::tempdir()?;
        let hooks = Hooks::new(&program, place.path());
        hooks.prepare(FILES)?;
        let mut simulation = Simulation::start(hooks.project()).await?;
        if let Some(workload) = workload {
            simulation.simulate(*workload).await?;
        }
        drop(simulation);
        eprintln!(
            "  made in {:.0} s, {} KB of documents",
            began.elapsed().as_secs_f64(),
            kilobytes(hooks.project())?
        );
        let cells = measure(&hooks, rounds, &question(hooks.project()), &tokens)?;
        rows.iter_mut().zip(cells).for_each(|(row, cell)| row.cells.push(cell));
    }
    let names: Vec<String> = workloads.iter().map(|(name, _)| format!(" {name} | tokens |")).collect();
    println!("| event |{}\n|---|{}", names.concat(), "---:|---:|".repeat(workloads.len()));
    let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
    for row in &rows {
        let cells: Vec<String> = row
            .cells
            .iter()
            .map(|(median, p95, tokens)| {
                format!(" {:.1} ms ({:.1} ms) | {tokens} |", milliseconds(*median), milliseconds(*p95))
            })
            .collect();
        println!("| {} |{}", row.event, cells.concat());
    }
    let slow = rows.iter().flat_map(|row| &row.cells).filter(|(_, p95, _)| *p95 > P95).count();
    println!("\nEvents whose 95th percentile is above {} ms: {slow}.\n", P95.as_millis());
    agent::compare(&program, &tokens).await?;
    let long = rows.iter().flat_map(|row| &row.cells).find(|(_, _, count)| *count > TOKENS);
    ensure!(long.is_none(), "an answer has more than {TOKENS} tokens");
    Ok(())
}
