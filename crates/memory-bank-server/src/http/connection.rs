//! Connections: each passes its requests to the router, and closes gracefully when the server ends. It must not know
//! what the requests mean.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::http::client_address::PeerAddress;
use crate::http::config::{BUFFER_BYTES, CLOSE_GRACE, FIRST_REQUEST_TIMEOUT, MAX_CONCURRENT_REQUESTS};
use crate::http::connection_registry::ConnectionSlot;
use crate::http::connection_timeouts::{TimedOut, Watch, WatchedBody, WatchedStream};
use crate::http::reply_budget::ConnectionId;

/// All connections of a server.
pub(crate) struct Connections {
    router: Router,
    closing: CancellationToken,
    open: TaskTracker,
}

impl Connections {
    /// Connections that pass requests to `router`, and close gracefully once `closing` is cancelled.
    pub(crate) fn new(router: Router, closing: CancellationToken) -> Self {
        Self { router, closing, open: TaskTracker::new() }
    }

    /// Serves a connection in its own task; its slot is released at its end.
    pub(crate) fn take(&self, stream: TcpStream, address: SocketAddr, slot: ConnectionSlot) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a new connection failed");
            return;
        }
        let (router, closing) = (self.router.clone(), self.closing.clone());
        self.open.spawn(async move {
            if let Err(error) = serve(stream, address, router, &slot, closing).await {
                tracing::debug!(error, "a connection ended in an error");
            }
            drop(slot);
        });
    }

    /// Waits until all connections are closed.
    pub(crate) async fn ended(&self) {
        self.open.close();
        self.open.wait().await;
    }
}

/// Serves one connection. When the server ends, or other connections need the slot, the request in flight is answered
/// and then the connection closed.
async fn serve(
    stream: TcpStream,
    address: SocketAddr,
    router: Router,
    slot: &ConnectionSlot,
    closing: CancellationToken,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let first_request = CancellationToken::new();
    let first_request_begun = first_request.clone();
    let watch = &slot.watch;
    let watched = Arc::clone(watch);
    let connection = ConnectionId(slot.number());
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        first_request_begun.cancel();
        let mut request: Request = request.map(axum::body::Body::new);
        request.extensions_mut().insert(PeerAddress(address));
        request.extensions_mut().insert(connection);
        let in_flight = watched.begin();
        let answering = router.clone().oneshot(request);
        async move {
            let response = answering.await?;
            Ok::<_, Infallible>(response.map(|body| WatchedBody::new(body, in_flight)))
        }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    // The library's own time-out also closes idle connections.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(BUFFER_BYTES);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(Duration::from_secs(60));
    builder.http2().max_concurrent_streams(MAX_CONCURRENT_REQUESTS).max_send_buf_size(BUFFER_BYTES);
    let stream = TokioIo::new(WatchedStream::new(stream, Arc::clone(watch)));
    let mut connection = pin!(builder.serve_connection(stream, service));
    // The first request of a new connection is in transit, and its client cannot know whether it was processed:
    // closing now would fail it.
    let closing_for_shutdown = async {
        closing.cancelled().await;
        tokio::select! {
            () = first_request.cancelled() => {}
            () = tokio::time::sleep(FIRST_REQUEST_TIMEOUT) => {}
        }
    };
    let mut client_timed_out = pin!(watch.timed_out());
    // A request may be in transit on an idle connection: close gracefully, so that it is answered.
    tokio::select! {
        ended = connection.as_mut() => return ended,
        why = client_timed_out.as_mut() => match why {
            TimedOut::Idle => tracing::debug!("closing an idle connection"),
            TimedOut::SlowHeaders | TimedOut::ReplyNotRead => return timed_out(why),
        },
        () = slot.evicted.cancelled() => tracing::debug!("closing a connection to make room"),
        () = closing_for_shutdown => {}
    }
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        ended = connection => ended,
        why = reply_timed_out(watch) => timed_out(why),
        () = unused(watch) => Ok(()),
    }
}

/// Waits until a time-out of the client: a reply was not read, or headers do not arrive.
async fn reply_timed_out(watch: &Watch) -> TimedOut {
    loop {
        match watch.timed_out().await {
            // The connection is closed already.
            TimedOut::Idle => tokio::time::sleep(CLOSE_GRACE).await,
            why => return why,
        }
    }
}

/// Waits until no request has been in flight for a moment.
async fn unused(watch: &Watch) {
    loop {
        tokio::time::sleep(CLOSE_GRACE).await;
        if watch.idle().is_some_and(|(_, since)| since.elapsed() >= CLOSE_GRACE) {
            return;
        }
    }
}

fn timed_out(why: TimedOut) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    tracing::debug!(?why, "closed a connection after a time-out");
    Ok(())
}
