//! Connections: each hands its requests to the router, and ends in good order when the server does. Knows nothing of
//! what the requests ask for.

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
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::http::admission::PeerAddress;
use crate::http::config::{FIRST_REQUEST, HEADER_WAIT, REQUESTS_AT_ONCE};
use crate::http::patience::{GivenUp, Watch, Watched};

/// All connections of a server.
pub(crate) struct Connections {
    router: Router,
    closing: CancellationToken,
    open: TaskTracker,
}

impl Connections {
    /// Connections that bring requests to `router`, and end in good order once `closing` is cancelled.
    pub(crate) fn new(router: Router, closing: CancellationToken) -> Self {
        Self { router, closing, open: TaskTracker::new() }
    }

    /// Serves a connection in a task of its own; `room` is given back with its end.
    pub(crate) fn take(&self, stream: TcpStream, address: SocketAddr, room: OwnedSemaphorePermit) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection broke at once");
            return;
        }
        let (router, closing) = (self.router.clone(), self.closing.clone());
        self.open.spawn(async move {
            if let Err(error) = serve(stream, address, router, closing).await {
                tracing::debug!(error, "a connection ended in an error");
            }
            drop(room);
        });
    }

    /// Waits until no connection is left.
    pub(crate) async fn ended(&self) {
        self.open.close();
        self.open.wait().await;
    }
}

/// Serves one connection. When the server ends, the request under way is answered, and the connection closed after it.
async fn serve(
    stream: TcpStream,
    address: SocketAddr,
    router: Router,
    closing: CancellationToken,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let first = CancellationToken::new();
    let begun = first.clone();
    let watch = Watch::new();
    let watched = Arc::clone(&watch);
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        begun.cancel();
        let mut request: Request = request.map(axum::body::Body::new);
        request.extensions_mut().insert(PeerAddress(address));
        let under_way = watched.begin();
        let answering = router.clone().oneshot(request);
        async move {
            let response = answering.await?;
            Ok::<_, Infallible>(response.map(|body| Watched::new(body, under_way)))
        }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_WAIT);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(Duration::from_secs(60));
    builder.http2().max_concurrent_streams(REQUESTS_AT_ONCE);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    // A connection that was just made has its first request on the way, and whoever sent that cannot know whether it
    // was heeded: closing now would fail it.
    let told = async {
        closing.cancelled().await;
        tokio::select! {
            () = first.cancelled() => {}
            () = tokio::time::sleep(FIRST_REQUEST) => {}
        }
    };
    let mut impatient = pin!(watch.given_up());
    tokio::select! {
        ended = connection.as_mut() => return ended,
        why = impatient.as_mut() => return given_up(why),
        () = told => connection.as_mut().graceful_shutdown(),
    }
    tokio::select! {
        ended = connection => ended,
        why = impatient => given_up(why),
    }
}

fn given_up(why: GivenUp) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    tracing::debug!(?why, "a connection was given up");
    Ok(())
}
