//! The message in the body of a `POST /mcp`: parsed, and refused if it is not a JSON-RPC message or breaks
//! a bound.

use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use serde_json::Value;

use crate::http::reply::{self, INVALID_REQUEST, PARSE_ERROR};
use crate::mcp::message::method;
use crate::mcp::repeated_members::{self, Repeated, Repetitions, argument_text, mark_repeated, member_text};
use crate::mcp::request_bounds::{self, TooLong};
use crate::mcp::surrogates::replace_lone_surrogates;

/// A valid message.
pub(crate) struct Incoming {
    pub(crate) message: Value,
    /// The message as text, in a form that the SDK can parse.
    pub(crate) body: Bytes,
    /// Whether it is a response to a request of the server.
    pub(crate) is_response: bool,
}

/// Parses a body.
///
/// # Errors
/// The reply to a client whose message is refused.
pub(crate) fn parse(body: Bytes) -> Result<Incoming, Box<Response>> {
    let refused = |id: Option<&Value>, code: i32, text: &str| {
        Box::new(reply::rpc_error(StatusCode::BAD_REQUEST, id, code, text))
    };
    let Parsed { message, repetitions, body } = parse_json(body)
        .map_err(|error| refused(None, PARSE_ERROR, &format!("the body is not JSON: {error}")))?;
    if message.is_array() {
        let text = "batches are not supported; send one message a request";
        return Err(refused(None, INVALID_REQUEST, text));
    }
    let is_response = message.get("method").is_none()
        && (message.get("result").is_some() || message.get("error").is_some());
    if message.get("jsonrpc").and_then(Value::as_str) != Some("2.0")
        || !(is_response || method(&message).is_some())
    {
        let text = "the body is not a JSON-RPC 2.0 message: it needs `jsonrpc`: \"2.0\" and a `method`";
        return Err(refused(repeatable_id(&message), INVALID_REQUEST, text));
    }
    if !is_response && message.get("id").is_some_and(|id| !request_bounds::is_id(id)) {
        return Err(refused(None, INVALID_REQUEST, request_bounds::INVALID_ID));
    }
    if let Err(TooLong { text, id }) = request_bounds::check(&message) {
        return Err(refused(id, INVALID_REQUEST, &text));
    }
    let (message, body) = without_repeated(message, repetitions, body)?;
    Ok(Incoming { message, body, is_response })
}

/// The id of a message whose other members may be anything, for the reply to it.
pub(crate) fn id_of(body: Bytes) -> Option<Value> {
    let parsed = parse_json(body).ok()?;
    repeatable_id(&parsed.message).cloned()
}

/// The id, if it is valid and every member is within its bound.
fn repeatable_id(message: &Value) -> Option<&Value> {
    let id = request_bounds::check(message).is_ok().then(|| message.get("id")).flatten();
    id.filter(|id| request_bounds::is_id(id))
}

/// JSON, whether it is a message or not.
struct Parsed {
    message: Value,
    repetitions: Repetitions,
    body: Bytes,
}

/// Parses a body in one pass, and returns it in a form that the SDK can read: as over stdio, a lone surrogate, which
/// JSON can express and Unicode text cannot, becomes U+FFFD.
fn parse_json(body: Bytes) -> Result<Parsed, serde_json::Error> {
    const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
    let body = if body.starts_with(BYTE_ORDER_MARK) { body.slice(BYTE_ORDER_MARK.len()..) } else { body };
    let error = match repeated_members::parse(&body) {
        Ok((message, repetitions)) => return Ok(Parsed { message, repetitions, body }),
        Err(error) => error,
    };
    let Ok(text) = std::str::from_utf8(&body) else { return Err(error) };
    let repaired = replace_lone_surrogates(text);
    let (message, repetitions) = repeated_members::parse(repaired.as_bytes())?;
    Ok(Parsed { message, repetitions, body: Bytes::from(repaired) })
}

/// Checks a message for repeated members. A call with a repeated argument becomes a call that a reply refuses.
fn without_repeated(
    mut message: Value,
    repetitions: Repetitions,
    body: Bytes,
) -> Result<(Value, Bytes), Box<Response>> {
    let refused =
        |id: Option<&Value>, text: &str| reply::rpc_error(StatusCode::BAD_REQUEST, id, INVALID_REQUEST, text);
    match repetitions.of_message(method(&message) == Some("tools/call")) {
        None => Ok((message, body)),
        Some(Repeated::Member(name)) => {
            // With two ids it is unknown for which one the client waits.
            let id = message.get("id").filter(|_| name != "id");
            Err(Box::new(refused(id, &member_text(&name))))
        }
        Some(Repeated::Argument(name)) => {
            mark_repeated(&mut message, &name);
            match serde_json::to_vec(&message) {
                Ok(body) => Ok((message, Bytes::from(body))),
                Err(_) => Err(Box::new(refused(message.get("id"), &argument_text(&name)))),
            }
        }
    }
}
