//! The eleven older names: answered, never listed.
//!
//! Each maps to a tool of [`super::table`]; the reply has the members of both forms, because JSON readers ignore
//! unknown members.

use serde_json::{Map, Value, json};

use super::reply::{Failure, Reply};
use super::schema::{Argument, Kind, required};

type Arguments = Map<String, Value>;

/// An older name.
#[derive(Clone, Copy)]
pub(crate) struct Alias {
    pub(crate) name: &'static str,
    pub(crate) tool: &'static str,
    /// Arguments that only the older name has.
    pub(crate) own: &'static [Argument],
    /// Translates the arguments, or returns what is missing.
    pub(crate) arguments: fn(Arguments) -> Result<Arguments, String>,
    /// Translates the reply, given the translated arguments.
    pub(crate) reply: fn(&Arguments, Reply) -> Result<Reply, Failure>,
}

const COMMAND: &[Argument] = &[required("command", Kind::Text, "")];

const ALIASES: [Alias; 11] = [
    Alias { name: "get_current_mode", tool: "switch_mode", own: &[], arguments: nothing, reply: same },
    Alias {
        name: "process_umb_command",
        tool: "switch_mode",
        own: COMMAND,
        arguments: umb_command,
        reply: same,
    },
    Alias { name: "complete_umb", tool: "switch_mode", own: &[], arguments: umb_off, reply: same },
    Alias { name: "list_backups", tool: "create_backup", own: &[], arguments: list_only, reply: same },
    Alias { name: "register_store", tool: "select_store", own: &[], arguments: register, reply: registered },
    Alias {
        name: "unregister_store",
        tool: "select_store",
        own: &[],
        arguments: unregister,
        reply: unregistered,
    },
    Alias {
        name: "reset_sequential_thinking",
        tool: "sequential_thinking",
        own: &[],
        arguments: reset,
        reply: was_reset,
    },
    Alias {
        name: "graph_unlink_entities",
        tool: "graph_link_entities",
        own: &[],
        arguments: unlink,
        reply: unlinked,
    },
    Alias {
        name: "graph_delete_observation",
        tool: "graph_delete_entity",
        own: &[],
        arguments: observation,
        reply: same,
    },
    Alias { name: "graph_rebuild", tool: "graph_maintain", own: &[], arguments: rebuild, reply: same },
    Alias { name: "graph_compact", tool: "graph_maintain", own: &[], arguments: compact, reply: same },
];

/// The alias of this name.
pub(crate) fn find(name: &str) -> Option<&'static Alias> {
    ALIASES.iter().find(|alias| alias.name == name)
}

fn with(mut arguments: Arguments, name: &str, value: Value) -> Arguments {
    arguments.insert(name.to_owned(), value);
    arguments
}

fn has_text(arguments: &Arguments, name: &str) -> bool {
    arguments.get(name).is_some_and(|value| value.as_str() != Some("") && !value.is_null())
}

fn nothing(_: Arguments) -> Result<Arguments, String> {
    Ok(Arguments::new())
}

fn umb_command(mut arguments: Arguments) -> Result<Arguments, String> {
    if !has_text(&arguments, "command") {
        return Err("Command not specified: `command` is required; it takes a string, for example {\"command\":\"UMB\"}".to_owned());
    }
    let command = arguments.shift_remove("command").unwrap_or_default();
    Ok(with(with(arguments, "umb", json!(true)), "umbCommand", command))
}

fn umb_off(_: Arguments) -> Result<Arguments, String> {
    Ok(with(Arguments::new(), "umb", json!(false)))
}

fn list_only(arguments: Arguments) -> Result<Arguments, String> {
    Ok(with(arguments, "listOnly", json!(true)))
}

fn register(arguments: Arguments) -> Result<Arguments, String> {
    if !has_text(&arguments, "storeId") || !has_text(&arguments, "path") {
        let missing = if has_text(&arguments, "path") { "storeId" } else { "path" };
        return Err(format!(
            "`{missing}` is required, for example {{\"storeId\":\"shop\",\"path\":\"/home/me/shop\"}}"
        ));
    }
    Ok(with(arguments, "action", json!("register")))
}

fn unregister(arguments: Arguments) -> Result<Arguments, String> {
    Ok(with(arguments, "action", json!("unregister")))
}

fn reset(arguments: Arguments) -> Result<Arguments, String> {
    Ok(with(arguments, "reset", json!(true)))
}

fn unlink(arguments: Arguments) -> Result<Arguments, String> {
    Ok(with(arguments, "action", json!("unlink")))
}

fn observation(arguments: Arguments) -> Result<Arguments, String> {
    if !has_text(&arguments, "observationId") {
        return Err(
            "`observationId` is required; it takes a string, for example {\"observationId\":\"obs_B2ttSzKE_blm\"}".to_owned()
        );
    }
    Ok(arguments)
}

fn rebuild(arguments: Arguments) -> Result<Arguments, String> {
    Ok(with(arguments, "operation", json!("rebuild")))
}

fn compact(arguments: Arguments) -> Result<Arguments, String> {
    Ok(with(arguments, "operation", json!("compact")))
}

fn same(_: &Arguments, reply: Reply) -> Result<Reply, Failure> {
    Ok(reply)
}

/// Adds members to the reply's object and writes its text again.
fn extended(mut reply: Reply, members: Value) -> Result<Reply, Failure> {
    if let (Some(object), Value::Object(members)) = (reply.structured.as_object_mut(), members) {
        object.extend(members);
    }
    reply.text = reply.structured.to_string();
    Ok(reply)
}

fn registered(_: &Arguments, reply: Reply) -> Result<Reply, Failure> {
    extended(reply, json!({"registered": true}))
}

fn unregistered(_: &Arguments, reply: Reply) -> Result<Reply, Failure> {
    let text = reply.structured.get("message").and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(Reply::text(text, reply.structured))
}

fn was_reset(_: &Arguments, reply: Reply) -> Result<Reply, Failure> {
    let message = reply.structured.get("status").cloned().unwrap_or_default();
    let members = match reply.structured.get("clearedCount") {
        Some(count) => json!({"sessionsCleared": count, "message": message}),
        None => json!({"existed": reply.structured.get("hadSession"), "message": message}),
    };
    extended(reply, members)
}

fn unlinked(given: &Arguments, reply: Reply) -> Result<Reply, Failure> {
    let word = |name: &str| given.get(name).and_then(Value::as_str).unwrap_or_default();
    let message = format!("Unlinked {} --{}--> {}", word("from"), word("relationType"), word("to"));
    extended(reply, json!({"message": message}))
}
