//! A reply that came as a stream of events, as a client reads it that waits for one response. It knows nothing of how the server
//! writes its streams: a proxy may have rewritten the ends of lines.

use serde_json::Value;

/// The response of JSON-RPC in a whole stream of events, the last one if there are several: notifications come before it. Lines end
/// with a line feed, or a carriage return and a line feed.
#[must_use]
pub fn response_in_events(stream: &str) -> Option<Value> {
    let mut found = None;
    for event in stream.replace("\r\n", "\n").split("\n\n") {
        let data: Vec<&str> = event
            .lines()
            .filter_map(|line| line.strip_prefix("data:"))
            .map(|data| data.strip_prefix(' ').unwrap_or(data))
            .collect();
        if let Ok(message) = serde_json::from_str::<Value>(&data.join("\n"))
            && (message.get("result").is_some() || message.get("error").is_some())
        {
            found = Some(message);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_response_is_found_among_events() {
        let body = ": a comment\r\n\r\nid: 1\r\ndata: {\"method\": \"notifications/progress\"}\r\n\r\nid: 2\r\n\
            data: {\"result\":\r\ndata: {\"a\": 1}}\r\n\r\n";
        assert_eq!(response_in_events(body).unwrap()["result"], json!({"a": 1}));
        assert_eq!(response_in_events("data:\n\n"), None);
    }
}
