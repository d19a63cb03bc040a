//! Tool calls whose `arguments` are not the object that the model types expect: some clients send JSON text, or an
//! empty list if there are none.

use rmcp::model::{CallToolRequestParams, CallToolResult, ContentBlock, CustomRequest, JsonObject};
use serde_json::Value;

use crate::mcp::repeated_members::{argument_text, find_repeated_argument};
use crate::mcp::tools::unrepeated;

/// Interprets such a call: a call, or the reply that explains the error. `None` for any other request.
pub(crate) fn recovered(request: &CustomRequest) -> Option<Result<CallToolRequestParams, CallToolResult>> {
    if request.method != "tools/call" {
        return None;
    }
    let params = request.params.as_ref()?.as_object()?;
    let given = params.get("arguments").filter(|given| !given.is_object())?;
    let mut params = params.clone();
    params.shift_remove("arguments");
    let mut call: CallToolRequestParams = serde_json::from_value(Value::Object(params)).ok()?;
    Some(match object(given) {
        Ok(arguments) => {
            call.arguments = arguments;
            Ok(call)
        }
        Err(came) => {
            let repeated = given.as_str().and_then(find_repeated_argument);
            let text = repeated.map_or_else(
                || {
                    format!(
                        "`arguments` must be an object, got {came}; for example {{\"filename\":\"progress.md\"}}, or leave \
                         it out where there are none"
                    )
                },
                |name| argument_text(&name),
            );
            Err(CallToolResult::error(vec![ContentBlock::text(text)]))
        }
    })
}

fn object(given: &Value) -> Result<Option<JsonObject>, &'static str> {
    match given {
        Value::Null => Ok(None),
        Value::Array(items) if items.is_empty() => Ok(None),
        Value::String(text) if text.trim().is_empty() => Ok(None),
        // JSON text with a repeated member is ambiguous.
        Value::String(text) => match unrepeated(text) {
            Ok(Value::Object(arguments)) => Ok(Some(arguments)),
            Ok(Value::Null) => Ok(None),
            Ok(Value::Array(items)) if items.is_empty() => Ok(None),
            _ => Err("a string that is not a JSON object"),
        },
        Value::Array(_) => Err("an array"),
        Value::Bool(_) => Err("true or false"),
        Value::Number(_) => Err("a number"),
        Value::Object(arguments) => Ok(Some(arguments.clone())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The arguments, or whether the reply is an error.
    fn arguments(given: &Value) -> Result<Option<JsonObject>, Option<bool>> {
        let request = CustomRequest::new("tools/call", Some(json!({"name": "x", "arguments": given})));
        recovered(&request).unwrap().map(|call| call.arguments).map_err(|refused| refused.is_error)
    }

    #[test]
    fn arguments_are_read_from_json_text_and_an_empty_list_means_none() {
        let object = json!({"a": 1}).as_object().cloned();
        assert_eq!(arguments(&json!("{\"a\":1}")), Ok(object));
        for none in [json!(null), json!([]), json!(""), json!(" "), json!("null"), json!("[]")] {
            assert_eq!(arguments(&none), Ok(None), "{none}");
        }
        for bad in [
            json!(7),
            json!([1]),
            json!(true),
            json!("text"),
            json!("[1]"),
            json!("{\"a\":"),
            json!("{\"a\":1,\"a\":2}"),
        ] {
            assert_eq!(arguments(&bad), Err(Some(true)), "{bad}");
        }
    }

    #[test]
    fn other_requests_are_not_changed() {
        for (method, params) in [
            ("tools/list", json!({"name": "x", "arguments": []})),
            ("tools/call", json!({"name": 7, "arguments": []})),
            ("tools/call", json!({"arguments": "{}"})),
            ("tools/call", json!({"name": "x", "arguments": {}})),
            ("tools/call", json!({"name": "x"})),
            ("tools/call", json!([])),
        ] {
            assert!(
                recovered(&CustomRequest::new(method, Some(params.clone()))).is_none(),
                "{method} {params}"
            );
        }
        assert!(recovered(&CustomRequest::new("tools/call", None)).is_none());
    }
}
