//! The accepted values of an argument, in words and as an example, for error messages.

use memory_bank_core::limits;
use serde_json::{Map, Value, json};

use super::schema::{Argument, Kind};

/// The accepted values, in words.
pub(super) fn accepted(kind: Kind) -> String {
    match kind {
        Kind::Text | Kind::TextOrFree => "a string".to_owned(),
        Kind::Word(words) | Kind::KnownWord(words) => format!("one of {}", words.join(", ")),
        Kind::Flag | Kind::Clear => "true or false".to_owned(),
        Kind::Whole(least, u32::MAX) => format!("a whole number of at least {least}"),
        Kind::Whole(least, most) | Kind::Clamped(least, most) => {
            format!("a whole number from {least} to {most}")
        }
        Kind::Texts => "an array of strings".to_owned(),
        Kind::Free | Kind::Object(_) => "an object".to_owned(),
        Kind::Objects(_) => "an array of objects".to_owned(),
    }
}

/// An example object with these arguments.
pub(super) fn of<'a>(arguments: impl IntoIterator<Item = &'a Argument>) -> Value {
    Value::Object(arguments.into_iter().map(|one| (one.name.to_owned(), value(one))).collect())
}

fn value(argument: &Argument) -> Value {
    match argument.kind {
        Kind::Text | Kind::TextOrFree => json!(text(argument.name)),
        Kind::Word(words) | Kind::KnownWord(words) => json!(words.first()),
        Kind::Flag | Kind::Clear => json!(true),
        Kind::Whole(least, most) | Kind::Clamped(least, most) => json!(10.clamp(least, most)),
        Kind::Texts => json!([text(argument.name)]),
        Kind::Free => json!({"language": "rust"}),
        Kind::Object(members) => Value::Object(filled(members)),
        // Further members of an edit depend on its `op`.
        Kind::Objects(_) if argument.name == "edits" => {
            json!([{"op": "append", "heading": "Next Steps", "text": "- write the tests"}])
        }
        Kind::Objects(members) => json!([filled(members)]),
    }
}

/// Its required members, or the first if there are none.
fn filled(members: &[Argument]) -> Map<String, Value> {
    let required = members.iter().filter(|member| member.required.is_some());
    let chosen: Vec<&Argument> = match required.clone().next() {
        Some(_) => required.collect(),
        None => members.iter().take(1).collect(),
    };
    chosen.into_iter().map(|member| (member.name.to_owned(), value(member))).collect()
}

fn text(name: &str) -> &'static str {
    match name {
        "filename" | "files" | "docPath" => "progress.md",
        "newFilename" => "plan.md",
        "path" => "/home/me/project",
        "query" => "how are sessions kept",
        "entity" | "entityNameOrId" | "from" | "name" | "nodes" => "Order Service",
        "to" => "Queue",
        "entityType" => "service",
        "relationType" => "uses",
        "timestamp" => "2026-11-26T09:30:00Z",
        "heading" => "Next Steps",
        "title" => "Use a queue",
        "context" => "orders come in bursts",
        "decision" => "PostgreSQL is the queue",
        "action" => "Added",
        "description" => "the order queue",
        "summary" => "the order queue works",
        "add" | "remove" | "replace" | "tasks" | "nextSteps" => "write the tests",
        "backupId" => "memory-bank-backup-2026-11-20T17-45-12-308Z",
        "storeId" => "shop",
        "observationId" => "obs_B2ttSzKE_blm",
        "ifMatchEtag" => "2d711642b726b044",
        _ => "text",
    }
}

/// A received value, as far as it may be repeated: neither a long one nor a possible secret.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) if text.is_empty() => "an empty string".to_owned(),
        Value::String(text) if is_harmless(text) => format!("the string {text:?}"),
        Value::String(text) => format!("a string of {} characters", text.chars().count()),
        Value::Array(items) => format!("an array of {} items", items.len()),
        Value::Object(members) => format!("an object of {} members", members.len()),
    }
}

/// A received name, as far as it may be repeated.
pub(super) fn shown_name(name: &str) -> String {
    if is_short(name) && !looks_like_a_key(name) {
        return name.replace(|sign: char| sign.is_control() || sign == '`', "\u{fffd}");
    }
    format!("a name of {} characters", name.chars().count())
}

fn is_harmless(text: &str) -> bool {
    const SECRET_NAMES: [&str; 6] = ["password", "passwd", "secret", "token", "apikey", "api_key"];
    let lower = text.to_ascii_lowercase();
    is_short(text) && !looks_like_a_key(text) && !SECRET_NAMES.iter().any(|name| lower.contains(name))
}

fn is_short(text: &str) -> bool {
    text.chars().nth(limits::ECHO_CHARS).is_none()
}

/// Whether a text begins like a key, or contains a long word of letters and digits.
fn looks_like_a_key(text: &str) -> bool {
    const KEY_PREFIXES: [&str; 12] = [
        "mbmcp_",
        "sk-",
        "pk-",
        "ghp_",
        "gho_",
        "ghs_",
        "github_pat_",
        "glpat-",
        "xox",
        "eyj",
        "akia",
        "bearer ",
    ];
    let lower = text.trim().to_ascii_lowercase();
    let begins = KEY_PREFIXES.iter().any(|beginning| lower.starts_with(beginning));
    let is_word = |word: &str| {
        word.len() >= 20
            && word.bytes().any(|byte| byte.is_ascii_digit())
            && word.bytes().any(|byte| byte.is_ascii_alphabetic())
    };
    begins || lower.split_whitespace().any(is_word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_and_possible_secrets_are_not_repeated() {
        assert_eq!(shown(&json!("bugfix")), "the string \"bugfix\"");
        assert_eq!(shown(&json!("a\n\"b\"")), r#"the string "a\n\"b\"""#);
        assert_eq!(shown(&json!(0.5)), "0.5");
        assert_eq!(shown(&json!([1, "secret"])), "an array of 2 items");
        for secret in [
            "mbmcp_live_abc",
            "Bearer abc",
            "sk-abc",
            "ghp_abc",
            "eyJhbGciOi",
            "my password is x",
            "TOKEN=1",
            "f47ac10b58cc4372a5670e02b2c3d479",
            &"x".repeat(41),
        ] {
            assert_eq!(shown(&json!(secret)), format!("a string of {} characters", secret.chars().count()));
        }
        assert_eq!(shown_name("toolCallId"), "toolCallId");
        assert_eq!(shown_name("apiToken"), "apiToken");
        assert_eq!(shown_name("a`b\u{1b}"), "a\u{fffd}b\u{fffd}");
        assert!(shown_name(&"x".repeat(1000)).len() < 40);
    }
}
