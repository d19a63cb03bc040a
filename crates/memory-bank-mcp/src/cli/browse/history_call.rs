//! Calls the tool `history` for the commands, and words its refusals as the commands do.

use serde_json::Value;

use super::bank::CommandBank;

/// The tool of these commands.
const TOOL: &str = "history";

/// What the tool writes in refusals, and how the commands name it.
const WORDS: &[(&str, &str)] = &[
    ("the action `list` shows", "`history` shows"),
    (
        "Give `by` with the id of a session, or with a user and `since`",
        "Give `--session ID`, or `--by USER --since TIME`",
    ),
    ("this action is for documents; give no `entity`", "this command is for documents; omit `--entity`"),
    ("`since` is not a time", "`--since` is not a time"),
    ("`until` is not a time", "`--until` is not a time"),
    ("what `left` names", "the following"),
    ("the action `restore` brings", "the action `restore` of the tool `history` brings"),
];

/// The data of the tool's reply.
///
/// # Errors
/// As [`CommandBank::call`].
pub(super) async fn call(bank: &CommandBank, arguments: Value) -> anyhow::Result<Value> {
    bank.call(TOOL, arguments).await.map_err(worded)
}

/// The data of the tool's reply, with the lists of all pages.
///
/// # Errors
/// As [`CommandBank::call`].
pub(super) async fn call_all(bank: &CommandBank, arguments: Value, lists: &[&str]) -> anyhow::Result<Value> {
    bank.call_all(TOOL, arguments, lists).await.map_err(worded)
}

fn worded(error: anyhow::Error) -> anyhow::Error {
    let text = error.to_string();
    let worded = in_words_of_commands(&text);
    if worded == text { error } else { anyhow::anyhow!(worded) }
}

/// The text of a refusal, with the options of the commands in place of arguments; of a refusal with data, its message and the names that it lists.
fn in_words_of_commands(text: &str) -> String {
    let data = serde_json::from_str::<Value>(text).ok();
    let message = data.as_ref().and_then(|data| data.get("message")).and_then(Value::as_str).unwrap_or(text);
    let mut worded = message.to_owned();
    for (of_tool, of_command) in WORDS {
        worded = worded.replace(of_tool, of_command);
    }
    let left = data.as_ref().and_then(|data| data.get("left")).and_then(Value::as_array);
    for one in left.into_iter().flatten() {
        let member = |name: &str| one.get(name).and_then(Value::as_str);
        let name = member("filename").or_else(|| member("entity")).unwrap_or_default();
        let reason = member("reason").unwrap_or_default();
        worded = format!("{worded}\n  {name}: {reason}");
    }
    worded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_name_no_arguments_of_the_tool() {
        for (of_tool, of_command) in WORDS {
            assert_eq!(in_words_of_commands(&format!("a {of_tool} b")), format!("a {of_command} b"));
        }
        assert_eq!(in_words_of_commands("no such version"), "no such version");
        let data = r#"{"left":[{"filename":"a.md","reason":"changed by others"}],"error":"NOT_ALL","message":"nothing was undone, since what `left` names must stay as it is"}"#;
        assert_eq!(
            in_words_of_commands(data),
            "nothing was undone, since the following must stay as it is\n  a.md: changed by others"
        );
    }
}
