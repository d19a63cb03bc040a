//! Names the ignored arguments in a reply.

use memory_bank_core::limits;
use serde_json::{Value, json};

use super::reply::{Failure, Reply};

/// Adds the names to a reply: to its data, and to its text unless that is the text of a document.
pub(super) fn noted(outcome: Result<Reply, Failure>, names: &[String]) -> Result<Reply, Failure> {
    if names.is_empty() {
        return outcome;
    }
    let (line, shown) = (line(names), shown(names));
    let add = |data: &mut Value| {
        if let Some(object) = data.as_object_mut() {
            object.insert("ignoredArguments".into(), json!(shown));
        }
    };
    match outcome {
        Ok(Reply { text, mut structured }) => {
            let is_document = is_document(&text, &structured);
            add(&mut structured);
            if text.starts_with('{') && !is_document {
                return Reply::json(&structured);
            }
            // A note in the text of a document would be written back with it.
            let text = if is_document { text } else { format!("{text}\n{line}") };
            Ok(Reply { text, structured })
        }
        Err(Failure::Message(text)) => Err(Failure::Message(format!("{text}\n{line}"))),
        Err(Failure::Unquoted(text)) => Err(Failure::Unquoted(format!("{text}\n{line}"))),
        Err(Failure::Busy(text)) => Err(Failure::Busy(format!("{text}\n{line}"))),
        Err(Failure::NotAllowed(text)) => Err(Failure::NotAllowed(format!("{text}\n{line}"))),
        Err(Failure::Malformed(text)) => Err(Failure::Malformed(format!("{text}\n{line}"))),
        Err(Failure::Hinted { text, hint }) => Err(Failure::Hinted { text, hint: format!("{hint}\n{line}") }),
        Err(Failure::Data(mut data)) => {
            add(&mut data);
            Err(Failure::Data(data))
        }
        Err(failure) => Err(failure),
    }
}

/// The names in one line, if the text of the reply is a document: a separate block after it.
pub(super) fn beside_a_document(outcome: &Result<Reply, Failure>, names: &[String]) -> Option<String> {
    let Ok(reply) = outcome else { return None };
    (!names.is_empty() && is_document(&reply.text, &reply.structured)).then(|| line(names))
}

/// Whether the text is that of a document, or of a part of one.
fn is_document(text: &str, structured: &Value) -> bool {
    ["content", "part", "text"]
        .iter()
        .any(|member| structured.get(member).and_then(Value::as_str) == Some(text))
}

fn shown(names: &[String]) -> &[String] {
    names.get(..names.len().min(limits::ECHO_NAMES)).unwrap_or_default()
}

fn line(names: &[String]) -> String {
    let shown = shown(names);
    let more = if names.len() > shown.len() { " and more" } else { "" };
    format!("Ignored arguments, which this tool does not know: {}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_names_are_in_the_data_and_in_a_text_that_is_not_a_document() {
        let names = ["toolCallId".to_owned(), "x".to_owned()];
        let reply = noted(Reply::json(&json!({"a": 1})), &names).unwrap();
        let data = json!({"a": 1, "ignoredArguments": ["toolCallId", "x"]});
        assert_eq!(reply.structured, data);
        assert_eq!(serde_json::from_str::<Value>(&reply.text).unwrap(), data);
        let reply = noted(Ok(Reply::sentence("Done")), &names).unwrap();
        assert_eq!(reply.text, "Done\nIgnored arguments, which this tool does not know: toolCallId, x");
        for content in ["# A\n", "{\"a\": 1}"] {
            let document = Ok(Reply::text(content, json!({"content": content})));
            assert!(beside_a_document(&document, &names).unwrap().ends_with(": toolCallId, x"));
            assert_eq!(beside_a_document(&document, &[]), None);
            let reply = noted(document, &names).unwrap();
            assert_eq!(reply.text, content);
            assert_eq!(reply.structured["ignoredArguments"], json!(names));
        }
        let many: Vec<String> = (0..11).map(|n| format!("x{n}")).collect();
        let reply = noted(Ok(Reply::sentence("Done")), &many).unwrap();
        assert!(reply.text.ends_with("x9 and more"), "{}", reply.text);
        let failure = noted(Err(Failure::unquoted("no")), &names).unwrap_err();
        assert!(format!("{failure:?}").contains("toolCallId"), "{failure:?}");
        assert_eq!(noted(Ok(Reply::sentence("Done")), &[]).unwrap().text, "Done");
    }
}
