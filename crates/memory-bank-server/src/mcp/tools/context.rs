//! The tool that gives the guide to this server.

use serde::Deserialize;
use serde_json::json;

use super::Call;
use super::reply::{Failure, Reply};
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

/// The title and the lines with one of the words; empty if there are none.
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
