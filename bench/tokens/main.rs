//! Measures the replies of the tools in tokens of o200k: on a new bank, after a simulated week and after a simulated
//! year. Prints a table in Markdown, and fails if a reply exceeds its budget.

use std::fmt::Write as _;

use anyhow::ensure;
use memory_bank_simulation::{Simulation, WEEK, Workload, YEAR};
use serde_json::{Value, json};
use tiktoken_rs::{CoreBPE, o200k_base};

/// The token bounds of a digest and a bundle.
const BUDGETS: [(&str, usize); 2] = [("get_context_digest", 600), ("get_context_bundle", 6500)];

/// The measured replies, reading tools first.
fn calls() -> Vec<(&'static str, Value)> {
    let decision =
        json!({"title": "Bound the queue", "context": "it grew", "decision": "a thousand entries"});
    vec![
        ("get_context_digest", json!({})),
        ("get_context_bundle", json!({})),
        ("get_targeted_context", json!({"query": "which service drops the session token"})),
        ("search_memory_bank", json!({"query": "session token"})),
        ("list_memory_bank_files", json!({})),
        ("get_memory_bank_status", json!({})),
        ("read_memory_bank_file", json!({"filename": "progress.md"})),
        ("read_memory_bank_file", json!({"filename": "decision-log.md", "tail": 20})),
        ("batch_read_files", json!({"files": ["active-context.md", "progress.md", "system-patterns.md"]})),
        ("graph_search", json!({"query": "*"})),
        ("graph_search", json!({"query": "session token"})),
        ("graph_open_nodes", json!({"nodes": ["component 0"]})),
        ("graph_maintain", json!({"operation": "stats"})),
        ("list_stores", json!({})),
        ("get_instructions", json!({})),
        ("switch_mode", json!({})),
        ("track_progress", json!({"action": "Fixed", "description": "the queue"})),
        ("add_progress_entry", json!({"type": "fix", "summary": "the queue"})),
        ("add_session_note", json!({"note": "the queue is bounded", "category": "observation"})),
        ("update_tasks", json!({"add": ["Bound the queue"]})),
        ("update_active_context", json!({"nextSteps": ["Measure the queue"]})),
        ("log_decision", decision),
        (
            "graph_batch",
            json!({"entities": [{"name": "Queue", "entityType": "service"}],
            "observations": [{"entity": "Queue", "text": "holds a thousand entries"}]}),
        ),
        (
            "edit_memory_bank_file",
            json!({"filename": "system-patterns.md",
            "edits": [{"op": "append", "heading": "System Patterns", "text": "The queue is bounded."}]}),
        ),
        ("finalize_thinking_session", json!({"summary": "The queue is bounded"})),
        ("create_backup", json!({})),
    ]
}

/// The tokens of each reply, in the order of [`calls`], and those of the lists of tools.
async fn measure(workload: Option<Workload>, tokens: &CoreBPE) -> anyhow::Result<Vec<usize>> {
    let folder = tempfile::tempdir()?;
    let mut simulation = Simulation::start(folder.path()).await?;
    if let Some(workload) = workload {
        eprintln!("simulating a {}", workload.name);
        simulation.simulate(workload).await?;
    }
    let mut costs = Vec::new();
    for (tool, arguments) in calls() {
        let result = simulation.call(tool, arguments).await?;
        // A small reply has its data beside its text; a client may hand both to the model.
        let text = result.pointer("/content/0/text").and_then(Value::as_str).unwrap_or_default();
        costs.push(tokens.encode_ordinary(text).len());
    }
    Ok(costs)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let only_week = std::env::args().any(|argument| argument == "--quick");
    let tokens = o200k_base()?;
    let mut columns =
        vec![("empty", measure(None, &tokens).await?), (WEEK.name, measure(Some(WEEK), &tokens).await?)];
    if !only_week {
        columns.push((YEAR.name, measure(Some(YEAR), &tokens).await?));
    }
    let mut table = String::from("| reply |");
    for (name, _) in &columns {
        write!(table, " {name} |")?;
    }
    table.push_str("\n|---|");
    table.push_str(&"---:|".repeat(columns.len()));
    let mut passed = Vec::new();
    for (row, (tool, arguments)) in calls().iter().enumerate() {
        let shown = if arguments == &json!({}) { String::new() } else { format!(" `{arguments}`") };
        let shown = if shown.len() > 60 { String::new() } else { shown };
        write!(table, "\n| `{tool}`{shown} |")?;
        for (name, costs) in &columns {
            let cost = costs.get(row).copied().unwrap_or_default();
            write!(table, " {cost} |")?;
            if let Some((_, most)) = BUDGETS.iter().find(|(budgeted, most)| budgeted == tool && cost > *most)
            {
                passed.push(format!("{tool} on the bank `{name}`: {cost} tokens, at most {most} are wanted"));
            }
        }
    }
    println!("{table}");
    ensure!(passed.is_empty(), "{}", passed.join("; "));
    Ok(())
}
