//! Checks the right that a request needs, and has the error for a caller without it. The right to read is checked
//! here for everything that shows the bank's content; the stores check it again.

use memory_bank_core::caller::{Caller, Right};
use rmcp::model::ErrorData;
use serde_json::json;

/// Refuses a request without the right.
pub(crate) fn require(caller: &Caller, right: Right, what: &str) -> Result<(), ErrorData> {
    if caller.may(right) {
        return Ok(());
    }
    let message = format!("you may not use `{what}`: {}", lacking(caller, right));
    Err(ErrorData::invalid_request(message, Some(json!({"missingScope": right.as_str()}))))
}

/// Why the caller lacks a right, and what to do.
pub(crate) fn lacking(caller: &Caller, right: Right) -> String {
    let scope = right.as_str();
    if caller.role.grants(right) {
        format!(
            "your key or token lacks the scope `{scope}`; ask an owner of the project for a key that has it, or sign in again and allow it"
        )
    } else {
        format!("it takes a role with the scope `{scope}`; ask an owner of the project for that role")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_missing_right() {
        let mut caller = Caller::local("alice");
        caller.scopes = vec![Right::Write];
        let error = require(&caller, Right::Read, "resources/read").unwrap_err();
        assert!(error.message.contains("scope `read`"), "{error:?}");
        assert!(require(&caller, Right::Write, "x").is_ok());
    }
}
