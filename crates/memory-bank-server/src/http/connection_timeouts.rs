//! Time-outs for clients that hold a connection without using it: idle, slow to send headers, or not reading a reply.
//!
//! The library's time-out for HTTP/1 headers also runs while a connection is idle, and would close one that a proxy
//! keeps for reuse. So the first byte of a request is recorded here.

use parking_lot::Mutex;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::http::config::{HEADER_TIMEOUT, PIECE_READ_TIMEOUT, REPLY_READ_TIMEOUT};

/// The size of the pieces of a body. HTTP/2 buffers a piece until the client makes room for it, so a client that does
/// not read holds no more than this per request, until its time-out.
const PIECE_BYTES: usize = 16 * 1024;
/// How often a connection is checked.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// The first bytes of an HTTP/2 connection.
const HTTP2_PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How a client uses one connection.
#[derive(Debug)]
pub(crate) struct Watch {
    keep_alive: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Whether there was any request.
    used: bool,
    /// When the last request began or ended.
    last: Instant,
    /// When the first byte of a request arrived whose headers are incomplete.
    headers_since: Option<Instant>,
    /// The requests in flight, each with the state of its reply, if any.
    in_flight: Vec<(u64, Option<UnreadReply>)>,
    next: u64,
}

/// A reply that the client has not read to its end.
#[derive(Debug, Clone, Copy)]
struct UnreadReply {
    /// When the last piece was handed out.
    piece_since: Instant,
    /// Since when more was always available.
    reply_since: Instant,
}

/// A request in flight; dropping it unregisters the request.
#[derive(Debug)]
pub(crate) struct RequestGuard {
    watch: Arc<Watch>,
    number: u64,
}

/// Why a connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimedOut {
    /// No request arrived within the idle time-out.
    Idle,
    /// The headers of a request did not arrive in time.
    SlowHeaders,
    /// A reply was not read in time.
    ReplyNotRead,
}

impl Watch {
    /// Watches a new connection, with its idle time-out.
    pub(crate) fn new(keep_alive: Duration) -> Arc<Self> {
        let state =
            State { used: false, last: Instant::now(), headers_since: None, in_flight: Vec::new(), next: 0 };
        Arc::new(Self { keep_alive, state: Mutex::new(state) })
    }

    /// Records a request.
    pub(crate) fn begin(self: &Arc<Self>) -> RequestGuard {
        let mut state = self.state.lock();
        state.used = true;
        state.last = Instant::now();
        state.headers_since = None;
        state.next += 1;
        let number = state.next;
        state.in_flight.push((number, None));
        RequestGuard { watch: Arc::clone(self), number }
    }

    /// Whether there was any request, and since when the connection is idle; `None` while a request is in flight.
    pub(crate) fn idle(&self) -> Option<(bool, Instant)> {
        let state = self.state.lock();
        state.in_flight.is_empty().then_some((state.used, state.last))
    }

    /// Waits until the client exceeds a time-out.
    pub(crate) async fn timed_out(&self) -> TimedOut {
        let mut checks = tokio::time::interval(CHECK_INTERVAL);
        loop {
            let now = checks.tick().await;
            if let Some(why) = self.check(now) {
                return why;
            }
        }
    }

    fn check(&self, now: Instant) -> Option<TimedOut> {
        let state = self.state.lock();
        if state.in_flight.is_empty() {
            if state.headers_since.is_some_and(|since| now.duration_since(since) >= HEADER_TIMEOUT) {
                return Some(TimedOut::SlowHeaders);
            }
            return (now.duration_since(state.last) >= self.keep_alive).then_some(TimedOut::Idle);
        }
        let late = |unread: &UnreadReply| {
            now.duration_since(unread.piece_since) >= PIECE_READ_TIMEOUT
                || now.duration_since(unread.reply_since) >= REPLY_READ_TIMEOUT
        };
        state
            .in_flight
            .iter()
            .filter_map(|(_, unread)| unread.as_ref())
            .any(late)
            .then_some(TimedOut::ReplyNotRead)
    }

    /// Records received bytes. While a request is in flight they belong to it, or to the next one, whose headers are
    /// complete or late by the time that matters.
    fn received(&self) {
        let mut state = self.state.lock();
        if state.in_flight.is_empty() && state.headers_since.is_none() {
            state.headers_since = Some(Instant::now());
        }
    }

    /// Records that no request has begun after all.
    fn clear_headers(&self) {
        self.state.lock().headers_since = None;
    }
}

impl RequestGuard {
    /// Records whether the client has a piece to read, or the server must produce one.
    fn set_unread(&self, has_unread: bool) {
        let mut state = self.watch.state.lock();
        if let Some((_, unread)) = state.in_flight.iter_mut().find(|(number, _)| *number == self.number) {
            let now = Instant::now();
            *unread = has_unread.then(|| UnreadReply {
                piece_since: now,
                reply_since: unread.map_or(now, |unread| unread.reply_since),
            });
        }
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        let mut state = self.watch.state.lock();
        state.in_flight.retain(|(number, _)| *number != self.number);
        state.last = Instant::now();
    }
}

/// A connection that records when the first byte of a request arrives.
pub(crate) struct WatchedStream<S> {
    stream: S,
    watch: Arc<Watch>,
    protocol: Protocol,
}

/// The protocol of a connection, as far as its first bytes show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    /// This many bytes of the HTTP/2 preface arrived, and nothing else.
    Open(usize),
    Http1,
    /// Frames also arrive without a request; the idle time-out bounds headers that never end.
    Http2,
}

impl<S> WatchedStream<S> {
    pub(crate) fn new(stream: S, watch: Arc<Watch>) -> Self {
        Self { stream, watch, protocol: Protocol::Open(0) }
    }

    fn received(&mut self, bytes: &[u8]) {
        if let Protocol::Open(known) = self.protocol {
            let rest = HTTP2_PREFACE.get(known..).unwrap_or_default();
            self.protocol = if bytes.starts_with(rest) {
                self.watch.clear_headers();
                Protocol::Http2
            } else if rest.starts_with(bytes) {
                Protocol::Open(known.saturating_add(bytes.len()))
            } else {
                Protocol::Http1
            };
        }
        // Some clients send an empty line after a body. It starts no request.
        if self.protocol != Protocol::Http2 && bytes.iter().any(|byte| !b"\r\n".contains(byte)) {
            self.watch.received();
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WatchedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_ready() {
            self.received(buffer.filled().get(before..).unwrap_or_default());
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WatchedStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// A body that is handed out in pieces, with time-outs.
#[derive(Debug)]
pub(crate) struct WatchedBody {
    inner: Body,
    rest: Bytes,
    in_flight: RequestGuard,
}

impl WatchedBody {
    /// The time-out starts with the reply: it also covers a client that does not let it begin.
    pub(crate) fn new(inner: Body, in_flight: RequestGuard) -> Self {
        in_flight.set_unread(true);
        Self { inner, rest: Bytes::new(), in_flight }
    }

    fn piece(&mut self) -> Frame<Bytes> {
        self.in_flight.set_unread(true);
        Frame::data(self.rest.split_to(self.rest.len().min(PIECE_BYTES)))
    }
}

impl HttpBody for WatchedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if !self.rest.is_empty() {
            return Poll::Ready(Some(Ok(self.piece())));
        }
        let next = Pin::new(&mut self.inner).poll_frame(context);
        match next {
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => {
                    self.rest = data;
                    Poll::Ready(Some(Ok(self.piece())))
                }
                Err(trailers) => Poll::Ready(Some(Ok(trailers))),
            },
            other => {
                self.in_flight.set_unread(false);
                other
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let inner = self.inner.size_hint();
        let rest = u64::try_from(self.rest.len()).unwrap_or(u64::MAX);
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower().saturating_add(rest));
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;
    use http_body_util::BodyExt;

    use super::*;

    const KEEP_ALIVE: Duration = Duration::from_secs(180);

    async fn outcome(watch: &Watch, wait: Duration) -> Option<TimedOut> {
        tokio::time::timeout(wait, watch.timed_out()).await.ok()
    }

    /// A connection that receives exactly these pieces, one after the other.
    async fn received(watch: &Arc<Watch>, parts: &[&[u8]]) -> WatchedStream<tokio_test_stream::Parts> {
        use tokio::io::AsyncReadExt;
        let mut stream = WatchedStream::new(tokio_test_stream::Parts::new(parts), Arc::clone(watch));
        for part in parts {
            let mut buffer = vec![0; part.len()];
            stream.read_exact(&mut buffer).await.unwrap();
        }
        stream
    }

    mod tokio_test_stream {
        use super::*;

        pub(super) struct Parts(std::collections::VecDeque<Vec<u8>>);

        impl Parts {
            pub(super) fn new(parts: &[&[u8]]) -> Self {
                Self(parts.iter().map(|part| part.to_vec()).collect())
            }
        }

        impl AsyncRead for Parts {
            fn poll_read(
                mut self: Pin<&mut Self>,
                _: &mut Context<'_>,
                buffer: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                if let Some(part) = self.0.pop_front() {
                    buffer.put_slice(&part);
                }
                Poll::Ready(Ok(()))
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_a_request_is_closed_after_its_time_out() {
        let watch = Watch::new(KEEP_ALIVE);
        assert_eq!(outcome(&watch, KEEP_ALIVE.checked_sub(CHECK_INTERVAL).unwrap()).await, None);
        assert_eq!(outcome(&watch, 2 * CHECK_INTERVAL).await, Some(TimedOut::Idle));
        drop(watch.begin());
        assert_eq!(outcome(&watch, KEEP_ALIVE.checked_sub(CHECK_INTERVAL).unwrap()).await, None);
        assert_eq!(outcome(&watch, 2 * CHECK_INTERVAL).await, Some(TimedOut::Idle));
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_for_headers_starts_at_their_first_byte() {
        let watch = Watch::new(KEEP_ALIVE);
        drop(watch.begin());
        assert_eq!(outcome(&watch, 3 * HEADER_TIMEOUT).await, None);
        let _stream = received(&watch, &[b"\r\n", b"G"]).await;
        assert_eq!(outcome(&watch, HEADER_TIMEOUT.checked_sub(CHECK_INTERVAL).unwrap()).await, None);
        assert_eq!(outcome(&watch, 2 * CHECK_INTERVAL).await, Some(TimedOut::SlowHeaders));
        drop(watch.begin());
        assert_eq!(outcome(&watch, 3 * HEADER_TIMEOUT).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn an_empty_line_does_not_start_a_request() {
        let watch = Watch::new(KEEP_ALIVE);
        let _stream = received(&watch, &[b"\r\n"]).await;
        assert_eq!(outcome(&watch, 3 * HEADER_TIMEOUT).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_partial_preface_has_the_time_for_headers_and_a_complete_one_the_idle_time() {
        let half = Watch::new(KEEP_ALIVE);
        let _stream = received(&half, &[b"PRI * HT", b"TP/2.0\r\n\r"]).await;
        assert_eq!(outcome(&half, HEADER_TIMEOUT + CHECK_INTERVAL).await, Some(TimedOut::SlowHeaders));
        let whole = Watch::new(KEEP_ALIVE);
        let _stream = received(&whole, &[b"PRI * HT", b"TP/2.0\r\n\r\nSM\r\n\r\n\0\0", b"\0\x04"]).await;
        assert_eq!(outcome(&whole, KEEP_ALIVE.checked_sub(CHECK_INTERVAL).unwrap()).await, None);
        assert_eq!(outcome(&whole, 2 * CHECK_INTERVAL).await, Some(TimedOut::Idle));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_waits_stays_connected_and_one_that_does_not_read_its_reply_is_disconnected() {
        let watch = Watch::new(2 * Duration::from_secs(3600));
        let silent = Body::from_stream(futures::stream::pending::<io::Result<Bytes>>());
        let mut silent = WatchedBody::new(silent, watch.begin());
        let hour = Duration::from_secs(3600);
        let taking = tokio::time::timeout(hour, silent.frame());
        assert_eq!(tokio::join!(outcome(&watch, hour), taking).0, None);

        let mut large = WatchedBody::new(Body::from(vec![0; 10 * PIECE_BYTES]), watch.begin());
        assert!(large.frame().await.is_some());
        assert_eq!(outcome(&watch, PIECE_READ_TIMEOUT + CHECK_INTERVAL).await, Some(TimedOut::ReplyNotRead));
        drop(large);
        assert_eq!(outcome(&watch, hour).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reply_that_is_read_not_at_all_or_too_slowly_is_abandoned() {
        let watch = Watch::new(KEEP_ALIVE);
        let untouched = WatchedBody::new(Body::from("a"), watch.begin());
        assert_eq!(outcome(&watch, PIECE_READ_TIMEOUT + CHECK_INTERVAL).await, Some(TimedOut::ReplyNotRead));
        drop(untouched);

        let mut large = WatchedBody::new(Body::from(vec![0; 100 * PIECE_BYTES]), watch.begin());
        let began = Instant::now();
        let slowly = async {
            while large.frame().await.is_some() {
                tokio::time::sleep(PIECE_READ_TIMEOUT / 2).await;
            }
        };
        tokio::select! {
            why = watch.timed_out() => assert_eq!(why, TimedOut::ReplyNotRead),
            () = slowly => panic!("all was taken"),
        }
        assert!(began.elapsed() <= REPLY_READ_TIMEOUT + CHECK_INTERVAL, "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn a_body_is_sent_completely_in_pieces_with_its_length() {
        let text: Vec<u8> = (0..=255).cycle().take(3 * PIECE_BYTES + 7).collect();
        let body = WatchedBody::new(Body::from(text.clone()), Watch::new(KEEP_ALIVE).begin());
        assert_eq!(body.size_hint().exact(), Some(text.len() as u64));
        let pieces: Vec<Bytes> = Body::new(body).into_data_stream().map(Result::unwrap).collect().await;
        assert!(pieces.len() == 4 && pieces.iter().all(|piece| piece.len() <= PIECE_BYTES));
        assert_eq!(pieces.concat(), text);
    }
}
