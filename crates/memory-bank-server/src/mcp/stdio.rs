//! MCP over standard input and output: one JSON-RPC message per line.
//!
//! The transport answers lines that are not messages (broken JSON, batches, unbounded lines), counts calls in flight,
//! and at end of input or shutdown reports the end only after they were answered.

use parking_lot::{Mutex, MutexGuard};
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use memory_bank_core::caller::Caller;
use memory_bank_core::limits;
use rmcp::RoleServer;
use rmcp::model::{
    ClientJsonRpcMessage, ClientNotification, ClientRequest, ErrorCode, ErrorData, JsonRpcMessage, RequestId,
    ServerJsonRpcMessage,
};
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage, serve_directly_with_ct};
use rmcp::transport::Transport;
use rmcp::transport::io::stdio_pipes;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::mcp::repeated_members::{Repeated, argument_text, find_repeated, mark_repeated, member_text};
use crate::mcp::request_bounds::{self, TooLong};
use crate::mcp::surrogates::replace_lone_surrogates;
use crate::mcp::{MemoryBankHandler, ToolOptions};
use crate::services::Services;

/// The longest line that is read, in bytes; a longer one is answered with an error and skipped.
pub const MESSAGE_BYTES: usize = 16 * 1024 * 1024;
/// The most calls in flight; the next one is read when one of them was answered. A client that does not read the
/// replies has to wait, and does not fill the memory.
const MAX_IN_FLIGHT: usize = 128;
/// The most open `subscriptions/listen` requests; each can name many resources.
const MAX_SUBSCRIPTIONS: usize = 64;
/// How long calls in flight may take to finish after the end of input or a shutdown.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);
/// How long subscriptions may take to end after that.
const SUBSCRIPTION_DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// Serves one client over the process's standard streams until its input ends or `shutdown` is cancelled.
///
/// # Errors
/// The service task panicked.
pub async fn serve(
    services: Services,
    caller: Caller,
    options: ToolOptions,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let (input, output) = stdio_pipes();
    serve_on(output, input, services, caller, options, shutdown).await
}

/// Serves a client over any pair of streams.
///
/// # Errors
/// The service task panicked.
pub async fn serve_on<R, W>(
    output: W,
    input: R,
    services: Services,
    caller: Caller,
    options: ToolOptions,
    shutdown: CancellationToken,
) -> io::Result<()>
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    let transport = LineTransport::new(input, output, shutdown);
    let handler = MemoryBankHandler::new(services, caller).with_tools(options);
    let handler = handler.ending_with(transport.ending.clone());
    let running = serve_directly_with_ct(handler, transport, None, CancellationToken::new());
    running.waiting().await.map_err(io::Error::other)?;
    Ok(())
}

/// Reads and writes one message a line.
pub struct LineTransport<R, W> {
    input: BufReader<R>,
    line: Vec<u8>,
    skipping: bool,
    ended: bool,
    output: Arc<tokio::sync::Mutex<W>>,
    in_flight: Arc<InFlight>,
    shutdown: CancellationToken,
    ending: CancellationToken,
    rejection: Option<JoinHandle<io::Result<()>>>,
}

impl<R, W> LineTransport<R, W>
where
    R: AsyncRead + Send + Unpin,
    W: AsyncWrite + Send + Unpin + 'static,
{
    /// A transport over a pair of streams. Cancelling `shutdown` is like the end of input.
    pub fn new(input: R, output: W, shutdown: CancellationToken) -> Self {
        Self {
            input: BufReader::with_capacity(64 * 1024, input),
            line: Vec::new(),
            skipping: false,
            ended: false,
            output: Arc::new(tokio::sync::Mutex::new(output)),
            in_flight: Arc::default(),
            shutdown,
            ending: CancellationToken::new(),
            rejection: None,
        }
    }

    /// Reads until a line is complete. Cancel safe: partial input stays in `self.line`.
    async fn read_line(&mut self) -> Line {
        loop {
            let available = match self.input.fill_buf().await {
                Ok(available) => available,
                Err(error) => {
                    tracing::warn!(%error, "standard input failed");
                    return Line::End;
                }
            };
            if available.is_empty() {
                let last = !self.line.is_empty() && !self.skipping;
                return if last { Line::Last } else { Line::End };
            }
            let newline = available.iter().position(|byte| *byte == b'\n');
            let taken = newline.map_or(available.len(), |at| at + 1);
            let too_long = self.line.len() + taken > MESSAGE_BYTES;
            if !self.skipping && !too_long {
                self.line.extend(available.iter().take(taken));
            }
            self.input.consume(taken);
            if self.skipping {
                self.skipping = newline.is_none();
            } else if too_long {
                self.line.clear();
                self.skipping = newline.is_none();
                return Line::TooLong;
            } else if newline.is_some() {
                return Line::Whole;
            }
        }
    }

    /// Writes a reply of the transport itself, in a task, since `receive` may be cancelled half-way.
    fn reject(&mut self, Rejection { id, code, message }: Rejection) {
        let output = Arc::clone(&self.output);
        let message = ServerJsonRpcMessage::error(ErrorData::new(code, message, None), id);
        self.rejection = Some(tokio::spawn(async move { write(&output, &message).await }));
    }

    /// Waits until the last of those replies is written: one at a time, so that they cannot pile up.
    async fn rejection_written(&mut self) {
        if let Some(task) = &mut self.rejection {
            let written = task.await;
            self.rejection = None;
            if !matches!(written, Ok(Ok(()))) {
                tracing::warn!("standard output failed");
            }
        }
    }
}

enum Line {
    Whole,
    Last,
    TooLong,
    End,
}

impl<R, W> Transport<RoleServer> for LineTransport<R, W>
where
    R: AsyncRead + Send + Unpin,
    W: AsyncWrite + Send + Unpin + 'static,
{
    type Error = io::Error;

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = Result<(), io::Error>> + Send + 'static {
        let output = Arc::clone(&self.output);
        let in_flight = Arc::clone(&self.in_flight);
        async move {
            let answered = match &message {
                JsonRpcMessage::Response(response) => Some(&response.id),
                JsonRpcMessage::Error(error) => error.id.as_ref(),
                _ => None,
            };
            // Unregister before the client sees the reply: it may reuse the id at once.
            let _writing = answered.map(|id| in_flight.answer(id));
            write(&output, &message).await
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        loop {
            self.rejection_written().await;
            if self.ended || self.shutdown.is_cancelled() {
                drain(&self.in_flight, &self.ending).await;
                return None;
            }
            let shutdown = self.shutdown.clone();
            let in_flight = Arc::clone(&self.in_flight);
            let line = tokio::select! {
                biased;
                () = shutdown.cancelled() => continue,
                line = async {
                    in_flight.at_most(MAX_IN_FLIGHT - 1).await;
                    self.read_line().await
                } => line,
            };
            let parsed = match line {
                Line::End => {
                    self.ended = true;
                    continue;
                }
                Line::TooLong => Err(Rejection {
                    id: None,
                    code: ErrorCode::INVALID_REQUEST,
                    message: format!("the message is longer than {MESSAGE_BYTES} bytes; send less at a time"),
                }),
                Line::Whole | Line::Last => {
                    self.ended = matches!(line, Line::Last);
                    let parsed = parse(&self.line);
                    self.line.clear();
                    if self.line.capacity() > 1024 * 1024 {
                        self.line = Vec::new();
                    }
                    match parsed {
                        Ok(None) => continue,
                        Ok(Some(message)) => Ok(message),
                        Err(rejection) => Err(rejection),
                    }
                }
            };
            match parsed.and_then(|message| self.in_flight.start(message)) {
                Ok(message) => return Some(message),
                Err(rejection) => self.reject(rejection),
            }
        }
    }

    async fn close(&mut self) -> Result<(), io::Error> {
        self.output.lock().await.flush().await
    }
}

/// Waits, within a bound, until every call in flight was answered, and then until the subscriptions have ended. A
/// subscription that was just requested is answered by the protocol's loop, which stops when the input has ended.
async fn drain(in_flight: &InFlight, ending: &CancellationToken) {
    if tokio::time::timeout(DRAIN_TIMEOUT, in_flight.none_left()).await.is_err() {
        tracing::warn!("calls in flight did not finish in {} s", DRAIN_TIMEOUT.as_secs());
    }
    ending.cancel();
    if tokio::time::timeout(SUBSCRIPTION_DRAIN_TIMEOUT, in_flight.no_subscriptions()).await.is_err() {
        tracing::warn!("subscriptions did not finish in {} s", SUBSCRIPTION_DRAIN_TIMEOUT.as_secs());
    }
}

async fn write<W: AsyncWrite + Unpin>(
    output: &tokio::sync::Mutex<W>,
    message: &ServerJsonRpcMessage,
) -> io::Result<()> {
    let mut line = match message {
        // The model omits a missing id; JSON-RPC 2.0 requires null.
        JsonRpcMessage::Error(error) if error.id.is_none() => {
            serde_json::to_vec(&json!({ "jsonrpc": "2.0", "id": null, "error": error.error }))?
        }
        _ => serde_json::to_vec(message)?,
    };
    line.push(b'\n');
    let mut output = output.lock().await;
    output.write_all(&line).await?;
    output.flush().await
}

/// A reply to input that never becomes a call.
struct Rejection {
    id: Option<RequestId>,
    code: ErrorCode,
    message: String,
}

/// Parses a line. `Ok(None)`: no reply is needed (a blank line, an unknown notification).
fn parse(line: &[u8]) -> Result<Option<ClientJsonRpcMessage>, Rejection> {
    let text = String::from_utf8_lossy(line);
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.is_empty() {
        return Ok(None);
    }
    // A shorter line has nothing in it that is too long.
    if text.len() > limits::REQUEST_ID_BYTES
        && let Some(members) = request_bounds::bounded_members(text)
            .or_else(|| request_bounds::bounded_members(&replace_lone_surrogates(text)))
        && let Err(TooLong { text, id }) = request_bounds::check(&members)
    {
        let id = id.and_then(|id| serde_json::from_value::<RequestId>(id.clone()).ok());
        return Err(Rejection { id, code: ErrorCode::INVALID_REQUEST, message: text });
    }
    if let Ok(message) = serde_json::from_str(text) {
        return unrepeated(message, text).map(Some);
    }
    let repaired = replace_lone_surrogates(text);
    if let Ok(message) = serde_json::from_str(&repaired) {
        return unrepeated(message, &repaired).map(Some);
    }
    let value: Value = serde_json::from_str(&repaired).map_err(|error| Rejection {
        id: None,
        code: ErrorCode::PARSE_ERROR,
        message: format!("the line is not JSON: {error}"),
    })?;
    let is_batch = value.is_array();
    let id = value.get("id").and_then(|id| serde_json::from_value::<RequestId>(id.clone()).ok());
    if id.is_none() && value.get("id").is_none() && value.get("method").is_some_and(Value::is_string) {
        tracing::debug!("ignored a malformed notification");
        return Ok(None);
    }
    let has_no_id =
        id.is_none() && value.get("id").is_some() && value.get("method").is_some_and(Value::is_string);
    let message = if is_batch {
        "batches are not supported; send one message a line"
    } else if has_no_id {
        request_bounds::INVALID_ID
    } else {
        "the message is not a JSON-RPC 2.0 request: it needs `jsonrpc`: \"2.0\", an `id` and a `method`, and `params` \
         that is an object"
    };
    Err(Rejection { id, code: ErrorCode::INVALID_REQUEST, message: message.to_owned() })
}

/// Checks the message for repeated members. A call with a repeated argument becomes a call that a reply refuses.
fn unrepeated(message: ClientJsonRpcMessage, text: &str) -> Result<ClientJsonRpcMessage, Rejection> {
    let JsonRpcMessage::Request(request) = &message else { return Ok(message) };
    if !is_tool_call(&request.request) {
        return Ok(message);
    }
    let refused = |text: String| Rejection {
        id: Some(request.id.clone()),
        code: ErrorCode::INVALID_REQUEST,
        message: text,
    };
    match find_repeated(text.as_bytes(), true) {
        None => Ok(message),
        Some(Repeated::Member(name)) => Err(refused(member_text(&name))),
        Some(Repeated::Argument(name)) => {
            let mut value: Value = serde_json::from_str(text).map_err(|_| refused(argument_text(&name)))?;
            mark_repeated(&mut value, &name);
            serde_json::from_value(value).map_err(|_| refused(argument_text(&name)))
        }
    }
}

/// Whether a request calls a tool, also if its arguments are not an object.
fn is_tool_call(request: &ClientRequest) -> bool {
    match request {
        ClientRequest::CallToolRequest(_) => true,
        ClientRequest::CustomRequest(custom) => custom.method == "tools/call",
        _ => false,
    }
}

/// Unanswered calls. Shutdown does not wait for subscriptions.
#[derive(Default)]
struct InFlight {
    calls: Mutex<Calls>,
    changed: Notify,
}

#[derive(Default)]
struct Calls {
    /// By id, whether the end waits for it.
    unanswered: HashMap<RequestId, bool>,
    /// Replies that are being written.
    writing: usize,
}

/// A reply that is being written; dropped when it was written, or cannot be.
struct Writing<'a>(&'a InFlight);

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        let mut calls = self.0.lock();
        calls.writing = calls.writing.saturating_sub(1);
        drop(calls);
        self.0.changed.notify_waiters();
    }
}

impl InFlight {
    /// Registers a message that begins or cancels a call. An id that is in use is refused, since two calls of one id
    /// could not be distinguished.
    fn start(&self, message: ClientJsonRpcMessage) -> Result<ClientJsonRpcMessage, Rejection> {
        let calls = &mut self.lock().unanswered;
        match &message {
            JsonRpcMessage::Request(request) => {
                let delays_end = !matches!(request.request, ClientRequest::SubscriptionsListenRequest(_));
                if calls.contains_key(&request.id) {
                    return Err(Rejection {
                        id: None,
                        code: ErrorCode::INVALID_REQUEST,
                        message: format!("a request with the id {} is under way already", request.id),
                    });
                }
                let open_subscriptions = calls.values().filter(|delays_end| !**delays_end).count();
                if !delays_end && open_subscriptions >= MAX_SUBSCRIPTIONS {
                    return Err(Rejection {
                        id: Some(request.id.clone()),
                        code: ErrorCode::INVALID_REQUEST,
                        message: format!(
                            "{MAX_SUBSCRIPTIONS} subscriptions are open already; cancel one, or ask for more in one"
                        ),
                    });
                }
                calls.insert(request.id.clone(), delays_end);
            }
            JsonRpcMessage::Notification(notification) => {
                if let ClientNotification::CancelledNotification(cancelled) = &notification.notification
                    && let Some(id) = &cancelled.params.request_id
                {
                    calls.remove(id);
                    self.changed.notify_waiters();
                }
            }
            _ => {}
        }
        Ok(message)
    }

    /// A call was answered: its id may be reused, and the reply counts until it is written.
    fn answer(&self, id: &RequestId) -> Writing<'_> {
        let mut calls = self.lock();
        calls.unanswered.remove(id);
        calls.writing += 1;
        Writing(self)
    }

    fn lock(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock()
    }

    async fn none_left(&self) {
        self.at_most(0).await;
    }

    /// Waits until at most `count` calls are in flight.
    async fn at_most(&self, count: usize) {
        self.until(|calls| {
            calls.unanswered.values().filter(|delays_end| **delays_end).count() + calls.writing <= count
        })
        .await;
    }

    /// Waits until the subscriptions have ended too.
    async fn no_subscriptions(&self) {
        self.until(|calls| calls.unanswered.is_empty() && calls.writing == 0).await;
    }

    async fn until(&self, reached: impl Fn(&Calls) -> bool) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let is_reached = reached(&self.lock());
            if is_reached {
                return;
            }
            changed.await;
        }
    }
}

#[cfg(test)]
mod tests;
