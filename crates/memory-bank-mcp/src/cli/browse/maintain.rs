//! `maintain`: lists proposals, and applies those that the user names.

use serde_json::{Value, json};

use super::bank::CommandBank;
use super::command_output::CommandOutput;
use super::screen::{Screen, Style};
use super::versions::text;

const TOOL: &str = "maintain";

/// Lists proposals, or applies those with these ids.
pub(super) async fn run(
    bank: &CommandBank,
    apply: &[String],
    mut screen: Screen,
) -> anyhow::Result<CommandOutput> {
    let arguments = if apply.is_empty() { json!({}) } else { json!({"apply": apply}) };
    let data = bank.call(TOOL, arguments).await?;
    let list = |name: &str| data.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let proposals = list("proposals");
    if !proposals.is_empty() {
        screen.line(Style::Strong, "dry run: nothing was changed; `--apply ID` folds one of these:");
    }
    proposals.iter().for_each(|proposal| put_proposal(&mut screen, proposal));
    for applied in list("applied") {
        put_head(&mut screen, &applied);
        screen.line(Style::Plain, "folded");
        screen.line(Style::Dim, &format!("  undo --session {} --yes", text(&applied, "undoBy")));
    }
    let more = data.get("more").and_then(Value::as_u64).unwrap_or_default();
    if more > 0 {
        screen.line(Style::Dim, &format!("and {more} more; apply some of these, then list again"));
    }
    for left in list("notExamined") {
        screen.line(Style::Alert, &format!("not examined: {}", left.as_str().unwrap_or_default()));
    }
    if screen.is_empty() {
        screen.line(Style::Dim, "There is nothing to fold.");
    }
    Ok(CommandOutput::new(data, screen))
}

fn put_head(screen: &mut Screen, proposal: &Value) {
    screen.put(Style::Name, text(proposal, "id"));
    screen.put(Style::Plain, &format!("  {}  ", text(proposal, "about")));
}

fn put_proposal(screen: &mut Screen, proposal: &Value) {
    put_head(screen, proposal);
    screen.line(Style::Dim, text(proposal, "kind"));
    screen.line(Style::Plain, &format!("  {}", text(proposal, "why")));
    screen.line(Style::Dim, &format!("  {}", text(proposal, "change")));
}
