//! Tools that give an overview: the guide and the digest.

use memory_bank_core::clock::iso_millis;
use memory_bank_core::document::{CoreDocument, DigestBounds, DigestSources, digest};
use memory_bank_core::store::{GraphSummary, ReadOutcome};
use serde::Deserialize;
use serde_json::json;

use super::Call;
use super::reply::{Failure, Reply};
use super::room::reading_bytes;
use crate::mcp::instructions;

#[derive(Deserialize)]
struct Instructions {
    topic: Option<String>,
}

/// The guide to this server, or its lines about a topic.
pub(crate) async fn get_instructions(mut call: Call) -> Result<Reply, Failure> {
    let Instructions { topic } = call.parse()?;
    let mut text = instructions::full(&call.caller);
    if let Some(lines) = topic.and_then(|topic| lines_about(&text, &topic)) {
        text = lines;
    }
    let data = json!({"instructions": text});
    Ok(Reply::text(text, data))
}

/// The title and the lines that hold one of the words; nothing where none does.
fn lines_about(text: &str, topic: &str) -> Option<String> {
    let topic = topic.to_lowercase();
    let words: Vec<&str> = topic.split_whitespace().collect();
    let holds = |line: &&str| {
        let line = line.to_lowercase();
        words.iter().any(|word| line.contains(word))
    };
    let found: Vec<&str> = text.lines().skip(1).filter(holds).collect();
    let title = text.lines().next().unwrap_or_default();
    (!found.is_empty()).then(|| format!("{title}\n\n{}\n", found.join("\n")))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DigestArguments {
    #[serde(default = "ten")]
    max_progress_entries: usize,
    #[serde(default = "five")]
    max_decisions: usize,
    #[serde(default)]
    include_system_patterns: bool,
}

fn ten() -> usize {
    10
}

fn five() -> usize {
    5
}

/// A short overview of documents and graph.
pub(crate) async fn get_context_digest(mut call: Call) -> Result<Reply, Failure> {
    let asked: DigestArguments = call.parse()?;
    let bank = call.bank()?;
    let cores = [
        CoreDocument::ActiveContext,
        CoreDocument::Progress,
        CoreDocument::DecisionLog,
        CoreDocument::SystemPatterns,
    ];
    call.services.replies.need(reading_bytes(cores.len())).await?;
    let outcomes = bank.read(&call.caller, &cores.map(CoreDocument::path)).await?;
    let mut texts: [Option<String>; 4] = Default::default();
    let mut warnings = Vec::new();
    for ((slot, core), outcome) in texts.iter_mut().zip(cores).zip(outcomes) {
        match outcome {
            ReadOutcome::Found(document) => *slot = Some(document.content),
            ReadOutcome::Unreadable(reason) => {
                warnings.push(format!("{} cannot be read: {reason}", core.name()));
            }
            _ => warnings.push(format!("{} does not exist", core.name())),
        }
    }
    let [active_context, progress, decision_log, system_patterns] = &texts;
    let sources = DigestSources {
        active_context: active_context.as_deref(),
        progress: progress.as_deref(),
        decision_log: decision_log.as_deref(),
        system_patterns: system_patterns.as_deref(),
    };
    let bounds = DigestBounds {
        progress_entries: asked.max_progress_entries,
        decisions: asked.max_decisions,
        system_patterns: asked.include_system_patterns,
    };
    let mut digest = serde_json::to_value(digest(&sources, bounds))
        .map_err(|error| Failure::Internal(error.to_string()))?;
    match bank.summary(&call.caller).await {
        Ok(Some(summary)) => {
            if let Some(object) = digest.as_object_mut() {
                object.insert("graphSummary".into(), json!(graph_text(&summary)));
            }
        }
        Ok(None) => {}
        Err(error) => warnings.push(format!("the graph cannot be read: {error}")),
    }
    let mut metadata =
        json!({"timestamp": iso_millis(call.services.clock.now()), "memoryBankDir": bank.location()});
    if !warnings.is_empty()
        && let Some(object) = metadata.as_object_mut()
    {
        object.insert("warnings".into(), json!(warnings));
    }
    Reply::json(&json!({"digest": digest, "metadata": metadata}))
}

/// The graph in a few lines of Markdown.
fn graph_text(summary: &GraphSummary) -> String {
    let stats = summary.stats;
    let mut text = format!(
        "## Knowledge Graph\n{} entities, {} observations, {} relations",
        stats.entity_count, stats.observation_count, stats.relation_count
    );
    if !summary.types.is_empty() {
        let types: Vec<String> =
            summary.types.iter().map(|(name, count)| format!("{name} ({count})")).collect();
        text.push_str(&format!("\nTypes: {}", types.join(", ")));
    }
    for (name, kind, count) in &summary.busiest {
        text.push_str(&format!("\n- {name} [{kind}] ({count} obs)"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_picks_its_lines_and_an_unknown_one_nothing() {
        let text = "# Title\n\n- `create_backup`: Back up\n- `graph_search`: Find\n";
        assert_eq!(
            lines_about(text, "BACKUP x1").as_deref(),
            Some("# Title\n\n- `create_backup`: Back up\n")
        );
        for topic in ["weather", "", " "] {
            assert_eq!(lines_about(text, topic), None);
        }
    }
}
