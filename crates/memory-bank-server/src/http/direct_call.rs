//! A call of a tool that the SDK's service would accept as it is, made without that service, which parses the message a
//! second time, writes it once more to compare it with its headers, and passes it through three tasks. Any other request, also one with a
//! header too many, is left to the service, which refuses it by the rules of its version.

use axum::body::Body;
use axum::response::Response;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};
use rmcp::model::{
    CallToolRequestParams, ProtocolVersion, RequestId, RequestMetaObject, ServerJsonRpcMessage, ServerResult,
};
use serde::Deserialize;
use serde_json::Value;

use crate::http::protocol::{SESSIONLESS, VERSION};
use crate::mcp::message::{called_tool, member};
use crate::mcp::{MemoryBankHandler, ObservedHandler};
use crate::outcome::Outcome;

const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");
/// The members of a request, and of the parameters of a call, that are understood here.
const OF_REQUEST: [&str; 4] = ["jsonrpc", "id", "method", "params"];
const OF_CALL: [&str; 3] = ["name", "arguments", "_meta"];

/// A call that the SDK would accept.
pub(crate) struct DirectCall {
    id: RequestId,
    params: CallToolRequestParams,
    meta: RequestMetaObject,
    /// Whether the client's version is one with sessions, whose results have another form.
    is_legacy: bool,
}

impl DirectCall {
    /// The call of a message, if there is nothing about it or its headers that the SDK's service might refuse.
    pub(crate) fn of(headers: &HeaderMap, message: &Value) -> Option<Self> {
        let tool = called_tool(message)?;
        let version = only(headers, &VERSION)?;
        let version = ProtocolVersion::KNOWN_VERSIONS.iter().find(|known| known.as_str() == version)?;
        let is_legacy = version.as_str() < SESSIONLESS;
        let own_version = member(message, &["params", "_meta", "io.modelcontextprotocol/protocolVersion"]);
        if is_legacy {
            if own_version.is_some() {
                return None;
            }
        } else {
            // A name in Base64 is longer than the name, so it is not equal to it.
            let agree = own_version.and_then(Value::as_str) == Some(version.as_str())
                && only(headers, &METHOD) == Some("tools/call")
                && only(headers, &NAME) == Some(tool)
                && !tool.starts_with("=?");
            if !agree {
                return None;
            }
        }
        let has_only = |value: &Value, names: &[&str]| {
            value.as_object().is_some_and(|value| value.keys().all(|name| names.contains(&name.as_str())))
        };
        let params = message.get("params")?;
        if !has_only(message, &OF_REQUEST) || !has_only(params, &OF_CALL) {
            return None;
        }
        let id = RequestId::deserialize(message.get("id")?).ok()?;
        let mut params = CallToolRequestParams::deserialize(params).ok()?;
        let meta = params.meta.take().unwrap_or_default();
        if !is_legacy && !meta.missing_required_keys(version).is_empty() {
            return None;
        }
        Some(Self { id, params, meta, is_legacy })
    }

    /// Makes the call. The reply has the form in which the SDK's service writes it, and status 200.
    ///
    /// # Errors
    /// The reply cannot be written as JSON.
    pub(crate) async fn answer(
        self,
        handler: &ObservedHandler<MemoryBankHandler>,
    ) -> Result<DirectReply, serde_json::Error> {
        let result = handler.call_here(self.params, &self.meta).await;
        let has_succeeded = Outcome::of_call(&result) == Outcome::Ok;
        let message = match result {
            Ok(result) => {
                let mut result = ServerResult::from(result);
                if self.is_legacy {
                    result.strip_result_type_for_legacy_peer();
                    result.strip_non_object_output_for_legacy_peer();
                }
                ServerJsonRpcMessage::response(result, self.id)
            }
            Err(error) => ServerJsonRpcMessage::error(error, Some(self.id)),
        };
        let mut response = Response::new(Body::from(serde_json::to_vec(&message)?));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(DirectReply { response, has_succeeded })
    }
}

/// The reply to a call.
pub(crate) struct DirectReply {
    pub(crate) response: Response,
    /// Whether the tool did what it was asked for; nothing else has to be looked for in the reply.
    pub(crate) has_succeeded: bool,
}

/// The value of a header that is sent once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    value.to_str().ok()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    const MODERN: [(&str, &str); 3] = [
        ("mcp-protocol-version", SESSIONLESS),
        ("mcp-method", "tools/call"),
        ("mcp-name", "read_memory_bank_file"),
    ];
    const LEGACY: [(&str, &str); 1] = [("mcp-protocol-version", "2025-11-25")];

    fn headers(sent: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut all = HeaderMap::new();
        for (name, value) in sent {
            all.append(*name, HeaderValue::from_static(value));
        }
        all
    }

    /// A call with the metadata of the protocol without sessions, or without metadata.
    fn call(is_modern: bool) -> Value {
        let mut call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {"name": "read_memory_bank_file", "arguments": {"filename": "progress.md"}}});
        if is_modern {
            call["params"]["_meta"] = json!({"io.modelcontextprotocol/protocolVersion": SESSIONLESS,
                "io.modelcontextprotocol/clientCapabilities": {}});
        }
        call
    }

    fn is_direct(headers: &HeaderMap, message: &Value) -> bool {
        DirectCall::of(headers, message).is_some()
    }

    #[rstest]
    #[case("2024-11-05")]
    #[case("2025-03-26")]
    #[case("2025-06-18")]
    #[case("2025-11-25")]
    fn a_call_of_a_version_with_sessions_is_made_here(#[case] version: &'static str) {
        let direct = DirectCall::of(&headers(&[("mcp-protocol-version", version)]), &call(false)).unwrap();
        assert!(direct.is_legacy);
        assert_eq!(direct.params.name, "read_memory_bank_file");
        assert_eq!(direct.params.arguments.unwrap()["filename"], "progress.md");
    }

    #[test]
    fn a_call_without_a_session_whose_headers_agree_is_made_here() {
        let direct = DirectCall::of(&headers(&MODERN), &call(true)).unwrap();
        assert!(!direct.is_legacy && direct.meta.client_capabilities().is_some());
    }

    #[rstest]
    #[case::list("/method", json!("tools/list"))]
    #[case::no_id("/id", json!(null))]
    #[case::id_of_another_type("/id", json!(1.5))]
    #[case::nameless("/params/name", json!(7))]
    #[case::list_of_arguments("/params/arguments", json!([]))]
    #[case::text_as_arguments("/params/arguments", json!("{}"))]
    fn another_value_is_left_to_the_service(#[case] member: &str, #[case] value: Value) {
        for (headers, is_modern) in [(headers(&MODERN), true), (headers(&LEGACY), false)] {
            let mut changed = call(is_modern);
            *changed.pointer_mut(member).unwrap() = value.clone();
            assert!(is_direct(&headers, &call(is_modern)) && !is_direct(&headers, &changed), "{changed}");
        }
    }

    #[rstest]
    #[case::of_the_request("", "extra")]
    #[case::task("/params", "task")]
    #[case::state("/params", "requestState")]
    fn a_member_more_is_left_to_the_service(#[case] object: &str, #[case] member: &str) {
        for (headers, is_modern) in [(headers(&MODERN), true), (headers(&LEGACY), false)] {
            let mut changed = call(is_modern);
            changed.pointer_mut(object).unwrap()[member] = json!({});
            assert!(!is_direct(&headers, &changed), "{changed}");
        }
    }

    #[test]
    fn headers_that_do_not_agree_are_left_to_the_service() {
        for (name, value) in MODERN {
            let sent = |values: &[&'static str]| {
                let others = MODERN.into_iter().filter(|(other, _)| *other != name);
                headers(&others.chain(values.iter().map(|value| (name, *value))).collect::<Vec<_>>())
            };
            assert!(is_direct(&sent(&[value]), &call(true)));
            assert!(!is_direct(&sent(&[]), &call(true)), "{name} is missing");
            assert!(!is_direct(&sent(&[value, value]), &call(true)), "{name} twice");
            for wrong in ["", "tools/list", "2025-11-25", "2027-01-01", "=?base64?cmVhZA==?="] {
                assert!(!is_direct(&sent(&[wrong]), &call(true)), "{name}: {wrong}");
            }
        }
        for wrong in ["2023-01-01", "2026-07-29", "x"] {
            assert!(!is_direct(&headers(&[("mcp-protocol-version", wrong)]), &call(false)), "{wrong}");
        }
        assert!(!is_direct(&HeaderMap::new(), &call(false)));
        let mut encoded = call(true);
        encoded["params"]["name"] = json!("=?base64?cmVhZA==?=");
        let sent = [MODERN[0], MODERN[1], ("mcp-name", "=?base64?cmVhZA==?=")];
        assert!(!is_direct(&headers(&sent), &encoded), "a name that its header could be the Base64 of");
    }

    #[test]
    fn metadata_of_another_version_is_left_to_the_service() {
        assert!(!is_direct(&headers(&MODERN), &call(false)), "no version in the metadata");
        assert!(!is_direct(&headers(&LEGACY), &call(true)), "a version in the metadata of a session");
        for (name, value) in [
            ("io.modelcontextprotocol/protocolVersion", json!("2025-11-25")),
            ("io.modelcontextprotocol/protocolVersion", json!(7)),
            ("io.modelcontextprotocol/clientCapabilities", json!(7)),
        ] {
            let mut changed = call(true);
            changed["params"]["_meta"][name] = value;
            assert!(!is_direct(&headers(&MODERN), &changed), "{changed}");
        }
        let mut changed = call(true);
        changed["params"]["_meta"] = json!([]);
        assert!(!is_direct(&headers(&MODERN), &changed));
    }
}
