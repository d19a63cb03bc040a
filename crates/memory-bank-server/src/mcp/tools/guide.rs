//! The tool that gives the guide to this server.

use memory_bank_core::caller::Right;
use serde::Deserialize;
use serde_json::json;

use crate::mcp::instructions;
use crate::mcp::tools::blind::WithoutRead;
use crate::mcp::tools::reply::{Failure, Reply};
use crate::mcp::tools::schema::{Kind, optional};
use crate::mcp::tools::tool::{BankNeed, Call, Family, READS, ToolSpec, boxed};

pub(crate) const GET_INSTRUCTIONS: ToolSpec = ToolSpec {
    name: "get_instructions",
    title: "How to use the memory bank",
    description: "How to work with this server; read it when unsure.",
    family: Family::Workspace,
    right: Right::Read,
    without_read: WithoutRead::Refused,
    hints: READS,
    bank: BankNeed::None,
    arguments: &[optional("topic", Kind::Text)],
    handler: boxed!(get_instructions),
};

/// The guide to this server, or its lines about a topic.
async fn get_instructions(mut call: Call) -> Result<Reply, Failure> {
    let Instructions { topic } = call.parse()?;
    let mut text = instructions::full(&call.caller, call.tools);
    if let Some(lines) = topic.and_then(|topic| lines_about(&text, &topic)) {
        text = lines;
    }
    let data = json!({"instructions": text});
    Ok(Reply::text(text, data))
}

#[derive(Deserialize)]
struct Instructions {
    topic: Option<String>,
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
    fn a_topic_selects_its_lines_and_an_unknown_topic_selects_none() {
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
