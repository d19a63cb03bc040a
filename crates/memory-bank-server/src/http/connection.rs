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

use crate::http::admission::PeerAddress;
use crate::http::config::{BUFFER_BYTES, CLOSE_GRACE, FIRST_REQUEST, REQUESTS_AT_ONCE};
use crate::http::connection_registry::ConnectionSlot;
use crate::http::connection_timeouts::{GivenUp, Watch, Watched, WatchedStream};
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
    let first = CancellationToken::new();
    let begun = first.clone();
    let watch = &slot.watch;
    let watched = Arc::clone(watch);
    let connection = ConnectionId(slot.number());
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        begun.cancel();
        let mut request: Request = request.map(axum::body::Body::new);
        request.extensions_mut().insert(PeerAddress(address));
        request.extensions_mut().insert(connection);
        let under_way = watched.begin();
        let answering = router.clone().oneshot(request);
        async move {
            let response = answering.await?;
            Ok::<_, Infallible>(response.map(|body| Watched::new(body, under_way)))
        }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    // The library's own time-out also closes idle connections.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(BUFFER_BYTES);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(Duration::from_secs(60));
    builder.http2().max_concurrent_streams(REQUESTS_AT_ONCE).max_send_buf_size(BUFFER_BYTES);
    let stream = TokioIo::new(WatchedStream::new(stream, Arc::clone(watch)));
    let mut connection = pin!(builder.serve_connection(stream, service));
    // The first request of a new connection is in transit, and its client cannot know whether it was processed:
    // closing now would fail it.
    let told = async {
        closing.cancelled().await;
        tokio::select! {
            () = first.cancelled() => {}
            () = tokio::time::sleep(FIRST_REQUEST) => {}
        }
    };
    let mut impatient = pin!(watch.given_up());
    // A request may be in transit on an idle connection: close gracefully, so that it is answered.
    tokio::select! {
        ended = connection.as_mut() => return ended,
        why = impatient.as_mut() => match why {
            GivenUp::Idle => tracing::debug!("closing an idle connection"),
            GivenUp::SlowHeaders | GivenUp::NotTaken => return given_up(why),
        },
        () = slot.gives_way.cancelled() => tracing::debug!("closing a connection to make room"),
        () = told => {}
    }
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        ended = connection => ended,
        why = not_taken(watch) => given_up(why),
        () = unused(watch) => Ok(()),
    }
}

/// Waits until a time-out of the client: a reply was not read, or headers do not arrive.
async fn not_taken(watch: &Watch) -> GivenUp {
    loop {
        match watch.given_up().await {
            // The connection is closed already.
            GivenUp::Idle => tokio::time::sleep(CLOSE_GRACE).await,
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

fn given_up(why: GivenUp) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    tracing::debug!(?why, "closed a connection after a time-out");
    Ok(())
}
