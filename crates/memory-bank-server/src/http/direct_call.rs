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
