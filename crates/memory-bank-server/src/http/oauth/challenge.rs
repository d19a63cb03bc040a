//! `WWW-Authenticate`: where a client without a sufficient token gets one (RFC 6750, RFC 9728).

use axum::response::Response;
use http::header::WWW_AUTHENTICATE;
use http::{HeaderValue, StatusCode};
use memory_bank_core::caller::{Caller, Right, Rights};
use serde_json::Value;

use crate::http::auth::Authenticated;
use crate::http::oauth::ServerUrl;
use crate::http::reply::{self, INVALID_REQUEST};
use crate::mcp::message::right_of_request;

/// The rights that a client requests first.
pub(crate) const FIRST_RIGHTS: Rights = Rights::NONE.with(Right::Read).with(Right::Write);

/// Why a response asks for another token. It travels with the response, because only the outer layer knows the
/// server's address.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Challenge {
    /// The request had no key.
    Missing,
    /// Its key or token is void; has the reason.
    Invalid(&'static str),
    /// Its token lacks a right; has the rights that suffice.
    Insufficient(Rights),
}

/// Writes the challenge of a response. Where OAuth is not offered, a 401 keeps its plain `Bearer`.
pub(crate) fn complete(response: &mut Response, server: Option<&ServerUrl>) {
    let challenge = response.extensions_mut().remove::<Challenge>();
    let Some(server) = server else { return };
    let challenge = match (challenge, response.status()) {
        (Some(challenge), _) => challenge,
        // A reply that was relayed from a task of its own.
        (None, StatusCode::UNAUTHORIZED) => Challenge::Invalid("the key or token is void"),
        (None, _) => return,
    };
    if let Ok(value) = HeaderValue::from_str(&text(challenge, server)) {
        response.headers_mut().insert(WWW_AUTHENTICATE, value);
    }
}

fn text(challenge: Challenge, server: &ServerUrl) -> String {
    let metadata = server.resource_metadata();
    match challenge {
        Challenge::Missing => {
            format!("Bearer resource_metadata=\"{metadata}\", scope=\"{}\"", scope(FIRST_RIGHTS))
        }
        Challenge::Invalid(why) => format!(
            "Bearer error=\"invalid_token\", error_description=\"{why}\", resource_metadata=\"{metadata}\", \
             scope=\"{}\"",
            scope(FIRST_RIGHTS)
        ),
        Challenge::Insufficient(rights) => format!(
            "Bearer error=\"insufficient_scope\", scope=\"{}\", resource_metadata=\"{metadata}\", \
             error_description=\"the token does not have the scope that this request needs\"",
            scope(rights)
        ),
    }
}

/// Rights as a scope is written.
pub(super) fn scope(rights: Rights) -> String {
    rights.iter().map(Right::as_str).collect::<Vec<_>>().join(" ")
}

/// The right that a token lacks for a request and that another sign-in can give. A right that the user's role does not
/// grant is refused in the reply, as it is for a key: a sign-in would lead nowhere.
pub(crate) fn missing_right(who: &Authenticated, message: &Value) -> Option<Right> {
    let right = right_of_request(message).filter(|_| who.is_token)?;
    (!who.caller.may(right) && who.caller.role.grants(right)).then_some(right)
}

/// 403 for a token that lacks a right. The scope also has what the token has, since some clients request exactly the
/// scope of the last challenge.
pub(crate) fn insufficient_scope(id: Option<&Value>, caller: &Caller, right: Right) -> Response {
    let text = format!("the token lacks the scope `{}`; sign in again to give it", right.as_str());
    let mut response = reply::rpc_error(StatusCode::FORBIDDEN, id, INVALID_REQUEST, &text);
    response.extensions_mut().insert(Challenge::Insufficient(caller.rights().with(right)));
    response
}

#[cfg(test)]
mod tests {
    use memory_bank_core::caller::Role;
    use memory_bank_core::identity::KeyHash;
    use serde_json::json;
    use std::sync::Arc;

    use super::*;

    fn token(role: Role, scopes: &[Right], is_token: bool) -> Authenticated {
        let caller = Caller { role, scopes: scopes.to_vec(), ..Caller::local("alice") };
        Authenticated {
            caller: Arc::new(caller),
            hash: KeyHash::of(b"x"),
            rate_limit: 60,
            counted_as: None,
            expires_at: None,
            is_token,
            is_console: false,
        }
    }

    #[test]
    fn only_a_token_whose_user_has_the_right_is_sent_to_sign_in_again() {
        let delete = json!({"method": "tools/call", "params": {"name": "delete_memory_bank_file"}});
        let restore = json!({"method": "tools/call", "params": {"name": "restore_backup"}});
        let both = [Right::Read, Right::Write];
        for message in [&delete, &restore] {
            let right = right_of_request(message);
            if right == Some(Right::Admin) {
                assert_eq!(missing_right(&token(Role::Owner, &both, true), message), right);
            }
            assert_eq!(missing_right(&token(Role::Owner, &both, false), message), None);
            assert_eq!(missing_right(&token(Role::Viewer, &both, true), message), None);
            assert_eq!(missing_right(&token(Role::Owner, &Right::ALL, true), message), None);
        }
        assert_eq!(missing_right(&token(Role::Owner, &both, true), &restore), Some(Right::Admin));
    }
}
