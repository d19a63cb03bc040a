//! The rights that a request needs, the error for a caller without them, and the rights to see a reply again. The
//! right to read is checked here for everything that shows the bank's content; the stores check it again.

use memory_bank_core::caller::{Caller, Right, Rights};
use rmcp::model::ErrorData;
use serde_json::{Value, json};

use crate::mcp::tools;

/// Refuses a request without the right.
pub(crate) fn require(caller: &Caller, right: Right, what: &str) -> Result<(), ErrorData> {
    if caller.may(right) {
        return Ok(());
    }
    let message = format!("this key may not use `{what}`: {}", lacking(caller, right));
    Err(ErrorData::invalid_request(message, Some(json!({"missingScope": right.as_str()}))))
}

/// Why the caller lacks a right, and what to do.
pub(crate) fn lacking(caller: &Caller, right: Right) -> String {
    let scope = right.as_str();
    if caller.role.grants(right) {
        format!("it lacks the scope `{scope}`; ask an owner of the project for a key that has it")
    } else {
        format!("it takes a role with the scope `{scope}`; ask an owner of the project for a key that may")
    }
}

/// The rights to see the caller's reply to a message: those of the call, and `read` if the caller may read, because
/// only then the reply may contain the bank's content.
pub(crate) fn of_reply(caller: &Caller, message: &Value) -> Rights {
    let tool = match message.get("method").and_then(Value::as_str) {
        Some("tools/call") => message.pointer("/params/name").and_then(Value::as_str),
        _ => None,
    };
    // Without the right of the call it is refused, and everybody may see the refusal.
    let call = tool.and_then(|name| tools::right_of(name, None));
    call.into_iter().chain([Right::Read]).filter(|right| caller.may(*right)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_takes_the_rights_of_its_call_and_read_if_it_may_hold_something() {
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
            assert_eq!(of_reply(&caller, &message), needs, "{message}");
        }
        caller.scopes = vec![Right::Write];
        assert_eq!(of_reply(&caller, &call("update_tasks")), Rights::NONE.with(Right::Write));
        assert_eq!(of_reply(&caller, &call("restore_backup")), Rights::NONE);
        assert_eq!(of_reply(&caller, &json!({"method": "ping"})), Rights::NONE);
    }

    #[test]
    fn whoever_lacks_a_right_learns_which() {
        let mut caller = Caller::local("alice");
        caller.scopes = vec![Right::Write];
        let error = require(&caller, Right::Read, "resources/read").unwrap_err();
        assert!(error.message.contains("scope `read`"), "{error:?}");
        assert!(require(&caller, Right::Write, "x").is_ok());
    }
}
