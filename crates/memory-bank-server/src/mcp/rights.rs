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

/// Why a server changes nothing, for one that was started so.
pub(crate) const STARTED_READ_ONLY: &str = "the server was started with `--read-only` or `MEMORY_BANK_READ_ONLY`, so nobody can change anything here";

/// Why nothing is changed for a client.
pub(crate) const READ_ONLY: &str = "the server was started with `--read-only` or `MEMORY_BANK_READ_ONLY`, or this client has connected with `readonly`";

/// Why the caller lacks a right, and what to do.
pub(crate) fn lacking(caller: &Caller, right: Right) -> String {
    let scope = right.as_str();
    if caller.is_read_only && right != Right::Read {
        format!("the memory bank is served read-only: {READ_ONLY}")
    } else if caller.role.grants(right) {
        format!(
            "your key or token lacks the scope `{scope}`; ask an owner of the project for a key that has it, or sign in again and allow it"
        )
    } else {
        format!("it takes a role with the scope `{scope}`; ask an owner of the project for that role")
    }
}

#[cfg(test)]
mod tests {
    use memory_bank_core::caller::Role;

    use super::*;

    #[test]
    fn a_refusal_names_the_missing_right() {
        let mut caller = Caller::local("alice");
        caller.scopes = vec![Right::Write];
        let error = require(&caller, Right::Read, "resources/read").unwrap_err();
        assert!(error.message.contains("scope `read`"), "{error:?}");
        assert!(require(&caller, Right::Write, "x").is_ok());
    }

    #[test]
    fn a_refusal_of_a_read_only_server_sends_nobody_to_an_owner() {
        let caller = Caller { is_read_only: true, role: Role::Viewer, ..Caller::local("alice") };
        for right in [Right::Write, Right::Admin] {
            let text = lacking(&caller, right);
            assert!(text.contains("--read-only") && !text.contains("owner"), "{text}");
        }
        assert!(lacking(&Caller { is_read_only: false, ..caller }, Right::Write).contains("owner"));
    }
}
