use rmcp::model::ServerResult;
use rstest::rstest;

use tokio::io::{AsyncReadExt, DuplexStream, duplex};

use super::*;

fn transport(input: &[u8]) -> (LineTransport<io::Cursor<Vec<u8>>, DuplexStream>, DuplexStream) {
    let (ours, theirs) = duplex(64 * 1024);
    (LineTransport::new(io::Cursor::new(input.to_vec()), ours, CancellationToken::new()), theirs)
}

async fn answer(theirs: &mut DuplexStream) -> Value {
    let mut line = Vec::new();
    loop {
        let byte = theirs.read_u8().await.unwrap();
        if byte == b'\n' {
            return serde_json::from_slice(&line).unwrap();
        }
        line.push(byte);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_replies_has_to_wait() {
    let lines: String = (0..=MAX_IN_FLIGHT)
        .map(|id| format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"ping\"}}\n"))
        .collect();
    let (mut transport, _theirs) = transport(lines.as_bytes());
    for _ in 0..MAX_IN_FLIGHT {
        assert!(transport.receive().await.is_some());
    }
    let next = tokio::time::timeout(Duration::from_secs(5), transport.receive()).await;
    assert!(next.is_err(), "one call too many was taken");
    drop(transport.in_flight.answer(&RequestId::Number(0)));
    assert!(transport.receive().await.is_some());
}

#[tokio::test]
async fn an_id_that_is_too_long_is_refused_and_not_repeated() {
    let (long, fits) = ("x".repeat(255), "x".repeat(254));
    let lines = format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":\"{long}\",\"method\":\"ping\"}}\n\
         {{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"ping\",\"params\":{{\"_meta\":{{\"progressToken\":\"{long}\"}}}}}}\n\
         {{\"jsonrpc\":\"2.0\",\"id\":\"{fits}\",\"method\":\"ping\"}}\n"
    );
    let (mut transport, mut theirs) = transport(lines.as_bytes());
    let message = transport.receive().await.unwrap();
    assert!(
        matches!(message, JsonRpcMessage::Request(request) if request.id == RequestId::String(fits.as_str().into()))
    );
    for id in [Value::Null, json!(2)] {
        let refused = answer(&mut theirs).await;
        assert_eq!((&refused["error"]["code"], &refused["id"]), (&json!(-32600), &id));
        assert!(
            refused["error"]["message"].as_str().unwrap().contains("257 bytes long, at most 256"),
            "{refused}"
        );
    }
}

#[tokio::test]
async fn an_id_may_be_reused_as_soon_as_its_reply_can_be_read() {
    let ping = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n";
    // The reader takes a byte at a time, so that the answer is still being written when the next call comes.
    let (ours, _theirs) = duplex(1);
    let input = io::Cursor::new(ping.repeat(2).into_bytes());
    let mut transport = LineTransport::new(input, ours, CancellationToken::new());
    assert!(transport.receive().await.is_some());
    let answer = ServerJsonRpcMessage::response(ServerResult::empty(()), RequestId::Number(1));
    let mut sent = std::pin::pin!(transport.send(answer));
    assert!(futures::poll!(&mut sent).is_pending());
    assert!(transport.receive().await.is_some(), "the second call was refused");
    let left = tokio::time::timeout(Duration::from_millis(50), transport.in_flight.at_most(1)).await;
    assert!(left.is_err(), "an answer that is not out yet, and the call, are both under way");
}

#[tokio::test]
async fn the_number_of_open_subscriptions_is_bounded() {
    let lines: String = (0..=MAX_SUBSCRIPTIONS)
        .map(|id| {
            format!(
                "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"subscriptions/listen\",\"params\":{{\"notifications\":{{}}}}}}\n"
            )
        })
        .collect();
    let (mut transport, mut theirs) = transport(lines.as_bytes());
    for _ in 0..MAX_SUBSCRIPTIONS {
        assert!(transport.receive().await.is_some());
    }
    let last = tokio::time::timeout(Duration::from_millis(200), transport.receive()).await;
    assert!(!matches!(last, Ok(Some(_))), "one subscription too many was taken");
    let answer = answer(&mut theirs).await;
    assert_eq!(
        (&answer["id"], &answer["error"]["code"]),
        (&json!(MAX_SUBSCRIPTIONS), &json!(ErrorCode::INVALID_REQUEST.0))
    );
}

#[rstest]
#[case(b"not json\n".as_slice(), ErrorCode::PARSE_ERROR, json!(null))]
#[case(b"[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}]\n", ErrorCode::INVALID_REQUEST, json!(null))]
#[case(b"{\"id\":7,\"method\":5}\n", ErrorCode::INVALID_REQUEST, json!(7))]
#[tokio::test]
async fn a_line_that_is_not_a_message_is_answered(
    #[case] line: &[u8],
    #[case] code: ErrorCode,
    #[case] id: Value,
) {
    let (mut transport, mut theirs) = transport(line);
    assert!(transport.receive().await.is_none());
    let answer = answer(&mut theirs).await;
    assert_eq!(answer["error"]["code"], code.0, "{answer}");
    assert_eq!(answer.get("id").cloned().unwrap_or_default(), id);
}

#[tokio::test]
async fn a_line_that_is_too_long_is_answered_and_the_next_one_is_read() {
    let mut input = vec![b'x'; MESSAGE_BYTES + 10];
    input.extend_from_slice(b"\n{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n");
    let (mut transport, mut theirs) = transport(&input);
    assert!(matches!(transport.receive().await, Some(JsonRpcMessage::Request(_))));
    assert_eq!(answer(&mut theirs).await["error"]["code"], ErrorCode::INVALID_REQUEST.0);
}

#[tokio::test]
async fn the_last_line_needs_no_newline_and_the_end_waits_for_the_reply() {
    let (mut transport, _theirs) = transport(b"{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"ping\"}");
    assert!(transport.receive().await.is_some());
    let pending = tokio::time::timeout(Duration::from_millis(50), transport.receive()).await;
    assert!(pending.is_err(), "the end was reported before the call was answered");
    let answer = ServerJsonRpcMessage::response(ServerResult::empty(()), RequestId::String("a".into()));
    transport.send(answer).await.unwrap();
    assert!(transport.receive().await.is_none());
}

#[tokio::test]
async fn a_second_call_with_an_id_in_use_is_refused() {
    let ping = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n".repeat(2);
    let (mut transport, mut theirs) = transport(&ping);
    assert!(transport.receive().await.is_some());
    let second = tokio::time::timeout(Duration::from_millis(50), transport.receive()).await;
    assert!(second.is_err());
    assert_eq!(answer(&mut theirs).await["error"]["code"], ErrorCode::INVALID_REQUEST.0);
}
