//! The plans of the statements behind calls, as PostgreSQL logs them while it runs them: `EXPLAIN (ANALYZE, BUFFERS)` of what the
//! server really sends, with its role, its policies and its parameters, and of the statements within functions.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;

use crate::ROLE;
use crate::growth::{self, Subject};
use crate::servers::Postgres;

/// Shorter statements are not logged.
const LEAST: &str = "5ms";
/// The most statements of a call that are shown, the longest first. A function and a statement within it are two.
const SHOWN: usize = 4;
/// The most characters of a statement, and of a line of its plan, that are shown.
const STATEMENT: usize = 500;
const LINE: usize = 220;
/// The most lines of a plan that are shown; its outermost nodes come first.
const LINES: usize = 60;
/// The last statements of a call may be logged after its reply.
const LOGGED: Duration = Duration::from_millis(300);

/// A statement that took long.
#[derive(Default)]
struct Plan {
    milliseconds: f64,
    statement: String,
    lines: Vec<String>,
}

/// Prints the plans of these calls on a project. `home` is the folder that PostgreSQL was started in.
pub async fn print(
    postgres: &Postgres,
    home: &Path,
    subject: &mut Subject,
    names: &[&str],
    round: usize,
) -> anyhow::Result<()> {
    let settings = [
        "session_preload_libraries = 'auto_explain'".to_owned(),
        format!("auto_explain.log_min_duration = '{LEAST}'"),
        "auto_explain.log_analyze = on".to_owned(),
        "auto_explain.log_buffers = on".to_owned(),
        "auto_explain.log_nested_statements = on".to_owned(),
    ];
    let sets: Vec<String> =
        settings.iter().map(|setting| format!("ALTER ROLE {ROLE} SET {setting}; ")).collect();
    // A PostgreSQL without the library says so here, and not at each connection of the server.
    postgres.psql(&format!("LOAD 'auto_explain'; {}", sets.concat()))?;
    // A new server would build its indexes again; new connections of the same one have the settings, too.
    postgres.psql(&format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = '{ROLE}'"
    ))?;
    println!("### Plans of the calls that are not flat, in the largest project\n");
    println!(
        "By `auto_explain`, which reads the clock at each node, so that a call takes longer than above. Statements of at least \
         {LEAST}, the {SHOWN} longest of a call; a function has a row for its call and one for what it runs.\n"
    );
    let log = home.join("postgres.log");
    for name in names {
        if let Err(error) = print_one(&log, subject, name, round).await {
            eprintln!("no plan of `{name}`: {error:#}");
        }
    }
    postgres.psql(&format!("ALTER ROLE {ROLE} RESET ALL"))?;
    Ok(())
}

async fn print_one(log: &Path, subject: &mut Subject, name: &str, round: usize) -> anyhow::Result<()> {
    // The first call opens connections and fills caches.
    growth::once(subject, name, round).await?;
    tokio::time::sleep(LOGGED).await;
    let before = std::fs::read(log)?.len();
    let took = growth::once(subject, name, round + 1).await?;
    tokio::time::sleep(LOGGED).await;
    let bytes = std::fs::read(log)?;
    let logged = String::from_utf8_lossy(bytes.get(before..).context("the log is shorter than before")?);
    let mut plans = plans(&logged);
    plans.sort_by(|one, other| other.milliseconds.total_cmp(&one.milliseconds));
    println!("#### {name}: {}\n", crate::report::shown(took));
    if plans.is_empty() {
        println!("No statement took {LEAST}.\n");
        return Ok(());
    }
    println!("```text");
    for (at, plan) in plans.iter().take(SHOWN).enumerate() {
        if at > 0 {
            println!();
        }
        println!("{:.1} ms: {}", plan.milliseconds, cut(&plan.statement, STATEMENT));
        for line in plan.lines.iter().take(LINES) {
            println!("  {}", cut(line, LINE));
        }
        if plan.lines.len() > LINES {
            println!("  … {} lines more", plan.lines.len() - LINES);
        }
    }
    println!("```\n");
    Ok(())
}

/// The plans in a part of PostgreSQL's log. The text of an entry continues in lines that begin with a tab.
fn plans(log: &str) -> Vec<Plan> {
    let mut plans: Vec<Plan> = Vec::new();
    let mut is_inside = false;
    for line in log.lines() {
        if let Some(text) = line.strip_prefix('\t') {
            if let Some(plan) = plans.last_mut().filter(|_| is_inside) {
                plan.add(text);
            }
            continue;
        }
        let duration =
            line.split_once(" LOG:  duration: ").and_then(|(_, rest)| rest.strip_suffix(" ms  plan:"));
        is_inside = duration.is_some();
        if let Some(milliseconds) = duration.and_then(|duration| duration.parse().ok()) {
            plans.push(Plan { milliseconds, ..Plan::default() });
        }
    }
    plans
}

impl Plan {
    /// Takes a line of the entry: the statement comes first, then the plan, whose first line has costs.
    fn add(&mut self, text: &str) {
        if !self.lines.is_empty() || text.contains("  (cost=") {
            self.lines.push(text.to_owned());
        } else if !text.starts_with("Query Parameters: ") {
            let text = text.strip_prefix("Query Text: ").unwrap_or(text);
            for word in text.split_whitespace() {
                if !self.statement.is_empty() {
                    self.statement.push(' ');
                }
                self.statement.push_str(word);
            }
        }
    }
}

/// The beginning of a text.
fn cut(text: &str, characters: usize) -> String {
    let beginning: String = text.chars().take(characters).collect();
    if beginning.len() < text.len() { beginning + " …" } else { beginning }
}
