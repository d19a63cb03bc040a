//! Replies for a caller who may call a tool, and may not read: that it succeeded, and data that the call itself
//! created, such as an id. They contain nothing of the bank, also if the tool's reply contains more for other
//! callers.

use memory_bank_core::caller::{Caller, Right};
use serde_json::{Map, Value, json};

use super::reply::{Failure, Reply};
use crate::mcp::rights;

/// How a tool answers a caller who may not read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum WithoutRead {
    /// Refused: the tool needs the right to read.
    Refused,
    /// With these members of its reply, which must contain only data that the call sent or created. `a/*/b` names the
    /// member `b` of every member of `a`.
    Members(&'static [&'static str]),
    /// With a sentence made of the call's arguments.
    Sentence(fn(&Map<String, Value>) -> String),
}

/// The outcome of a call as this caller may see it.
pub(super) fn visible_to(
    caller: &Caller,
    tool: &str,
    without_read: WithoutRead,
    arguments: &Map<String, Value>,
    outcome: Result<Reply, Failure>,
) -> Result<Reply, Failure> {
    if caller.may(Right::Read) {
        return outcome;
    }
    match (outcome, without_read) {
        (Ok(reply), WithoutRead::Members(members)) => with_members(&reply.structured, members),
        (Ok(_), WithoutRead::Sentence(sentence)) => Ok(Reply::sentence(sentence(arguments))),
        (Ok(_), WithoutRead::Refused) => {
            Err(Failure::Unquoted(format!("the reply of {tool} holds what you may not read")))
        }
        (Err(failure), _) => Err(hidden(caller, tool, failure)),
    }
}

/// An argument of a call, for a sentence about it.
pub(crate) fn given_text<'a>(given: &'a Map<String, Value>, name: &str) -> &'a str {
    given.get(name).and_then(Value::as_str).map(str::trim).unwrap_or_default()
}

fn with_members(reply: &Value, members: &[&str]) -> Result<Reply, Failure> {
    let mut seen = Map::from_iter([("success".to_owned(), json!(true))]);
    for member in members {
        let path: Vec<&str> = member.split('/').collect();
        if let Value::Object(from) = reply {
            copy(from, &mut seen, &path);
        }
    }
    seen.insert("note".to_owned(), json!(WITHOUT_READ_NOTE));
    let structured = Value::Object(seen);
    Ok(Reply { text: structured.to_string(), structured })
}

const WITHOUT_READ_NOTE: &str =
    "your key or token lacks the scope `read`, so the reply leaves out what the memory bank holds";

/// Copies the member at a path, if there is one.
fn copy(from: &Map<String, Value>, to: &mut Map<String, Value>, path: &[&str]) {
    let Some((name, rest)) = path.split_first() else { return };
    for (key, value) in from.iter().filter(|(key, _)| *name == "*" || key == name) {
        match value {
            _ if rest.is_empty() => {
                to.insert(key.clone(), value.clone());
            }
            Value::Object(inner) => {
                let place = to.entry(key.clone()).or_insert_with(|| json!({}));
                if let Value::Object(place) = place {
                    copy(inner, place, rest);
                }
            }
            _ => {}
        }
    }
}

/// A failure without quotations of the bank.
fn hidden(caller: &Caller, tool: &str, failure: Failure) -> Failure {
    match failure {
        Failure::Message(_) => Failure::Unquoted(format!(
            "{tool} was refused; the reason may quote the memory bank, which you may not read: {}",
            rights::lacking(caller, Right::Read)
        )),
        Failure::Hinted { text, .. } => Failure::Unquoted(text),
        Failure::Data(data) => {
            let known = [
                ("ETAG_MISMATCH", "the document is not the one that `ifMatchEtag` names"),
                ("FILE_NOT_FOUND", "the document does not exist"),
            ];
            let code = data.get("error").and_then(Value::as_str);
            let (code, message) = known
                .into_iter()
                .find(|(known, _)| code == Some(known))
                .unwrap_or(("REFUSED", "the call was refused"));
            Failure::Data(json!({"error": code, "message": message, "note": WITHOUT_READ_NOTE}))
        }
        own @ (Failure::Unquoted(_)
        | Failure::Busy(_)
        | Failure::NotAllowed(_)
        | Failure::Malformed(_)
        | Failure::UnknownTool(_)
        | Failure::NoMemory(_)
        | Failure::Unreachable(_)
        | Failure::Overloaded
        | Failure::KeyInvalid
        | Failure::Internal(_)) => own,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{TOOLS, ToolSpec};
    use super::*;

    fn blind() -> Caller {
        let mut caller = Caller::local("alice");
        caller.scopes = vec![Right::Write, Right::Admin];
        caller
    }

    #[test]
    fn every_tool_has_a_reply_for_callers_without_read_unless_it_requires_read() {
        for ToolSpec { name, right, without_read, .. } in TOOLS {
            let refuses = matches!(without_read, WithoutRead::Refused);
            assert_eq!(refuses, *right == Right::Read, "{name}");
        }
    }

    #[test]
    fn a_reply_without_read_shows_only_the_named_members() {
        let data = json!({"id": 1, "text": "secret", "made": {"id": 2, "text": "secret"},
            "each": {"a": {"ok": true, "text": "secret"}, "b": "secret"}});
        let named = WithoutRead::Members(&["id", "made/id", "each/*/ok", "nowhere/x"]);
        let reply = Ok(Reply::json(&data).unwrap());
        let seen = visible_to(&blind(), "x", named, &Map::new(), reply).unwrap();
        assert!(!seen.text.contains("secret"), "{}", seen.text);
        let members = json!({"success": true, "id": 1, "made": {"id": 2}, "each": {"a": {"ok": true}}, "note": WITHOUT_READ_NOTE});
        assert_eq!(seen.structured, members);
        let reply = Ok(Reply::json(&data).unwrap());
        let all = visible_to(&Caller::local("alice"), "x", named, &Map::new(), reply).unwrap();
        assert_eq!(all.structured, data);
    }

    #[test]
    fn a_failure_without_read_quotes_nothing_of_the_bank() {
        for failure in [
            Failure::Message("secret".to_owned()),
            Failure::Hinted { text: "no such entity".to_owned(), hint: " Did you mean: secret?".to_owned() },
            Failure::Data(json!({"error": "ETAG_MISMATCH", "message": "secret", "currentEtag": "secret"})),
            Failure::Data(json!({"error": "secret"})),
        ] {
            let seen = visible_to(&blind(), "x", WithoutRead::Members(&[]), &Map::new(), Err(failure));
            let seen = format!("{:?}", seen.unwrap_err());
            assert!(!seen.contains("secret"), "{seen}");
        }
    }
}
