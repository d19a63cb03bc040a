//! The meaning of a message for a transport, which knows no tool: whether its reply may be large, whether it uses the
//! store, and which rights its reply needs.

use memory_bank_core::caller::{Caller, Right, Rights};
use serde_json::Value;

use crate::mcp::tools;

/// The member of a message at a path of names. It runs on every request; [`Value::pointer`] allocates for each name.
pub(crate) fn member<'a>(message: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(message, |value, name| value.get(name))
}

/// The method, if the message is a request or a notification.
pub(crate) fn method(message: &Value) -> Option<&str> {
    message.get("method").and_then(Value::as_str)
}

/// Whether a message reads the bank's content and changes nothing: its reply may be large.
pub(crate) fn reads_from_bank(message: &Value) -> bool {
    matches!(method(message), Some("resources/read" | "prompts/get"))
        || called_tool(message).is_some_and(tools::reads_only)
}

/// Whether a message can be answered without the store, so that only the health check shows whether to serve it. A
/// cancellation is always accepted.
pub(crate) fn needs_health_check(message: &Value) -> bool {
    match method(message) {
        Some("tools/call") => tools::is_answered_without_store(called_tool(message).unwrap_or_default()),
        Some(
            "initialize"
            | "resources/read"
            | "resources/list"
            | "resources/subscribe"
            | "resources/unsubscribe"
            | "notifications/cancelled",
        ) => false,
        _ => true,
    }
}

/// The rights to see the caller's reply to a message: those of the call, and `read` if the caller may read, because
/// only then the reply may contain the bank's content.
pub(crate) fn rights_of_reply(caller: &Caller, message: &Value) -> Rights {
    let tool = called_tool(message);
    // Without the right of the call it is refused, and everybody may see the refusal.
    let call = tool.and_then(|name| tools::right_of(name, None));
    call.into_iter().chain([Right::Read]).filter(|right| caller.may(*right)).collect()
}

/// The right that a request needs; none for those that everybody may make, and for unknown ones.
pub(crate) fn right_of_request(message: &Value) -> Option<Right> {
    match method(message)? {
        "tools/call" => {
            let arguments = member(message, &["params", "arguments"]).and_then(Value::as_object);
            tools::right_of(called_tool(message)?, arguments)
        }
        "resources/read"
        | "resources/subscribe"
        | "subscriptions/listen"
        | "prompts/get"
        | "completion/complete" => Some(Right::Read),
        _ => None,
    }
}

/// The name of the tool that a message calls.
pub(crate) fn called_tool(message: &Value) -> Option<&str> {
    if method(message) != Some("tools/call") {
        return None;
    }
    member(message, &["params", "name"]).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_request_needs_the_right_of_its_tool_or_method() {
        let call = |name: &str, arguments: Value| json!({"method": "tools/call", "params": {"name": name, "arguments": arguments}});
        for (message, needs) in [
            (call("read_memory_bank_file", json!({})), Some(Right::Read)),
            (call("create_backup", json!({"listOnly": true})), Some(Right::Read)),
            (call("create_backup", json!({})), Some(Right::Write)),
            (call("restore_backup", json!([])), Some(Right::Admin)),
            (call("no such tool", json!({})), None),
            (json!({"method": "resources/read"}), Some(Right::Read)),
            (json!({"method": "tools/list"}), None),
            (json!({"result": {}}), None),
        ] {
            assert_eq!(right_of_request(&message), needs, "{message}");
        }
    }

    #[test]
    fn a_reply_requires_the_rights_of_its_call_and_read_if_it_may_contain_data() {
        let call = |name: &str| json!({"method": "tools/call", "params": {"name": name}});
        let mut caller = Caller::local("alice");
        let read = Rights::NONE.with(Right::Read);
        for (message, needs) in [
            (call("read_memory_bank_file"), read),
            (call("update_tasks"), read.with(Right::Write)),
            (call("graph_unlink_entities"), read.with(Right::Write)),
            (call("restore_backup"), read.with(Right::Admin)),
            (call("no such tool"), read),
            (json!({"method": "resources/read"}), read),
        ] {
            assert_eq!(rights_of_reply(&caller, &message), needs, "{message}");
        }
        caller.scopes = vec![Right::Write];
        assert_eq!(rights_of_reply(&caller, &call("update_tasks")), Rights::NONE.with(Right::Write));
        assert_eq!(rights_of_reply(&caller, &call("restore_backup")), Rights::NONE);
        assert_eq!(rights_of_reply(&caller, &json!({"method": "ping"})), Rights::NONE);
    }
}
