//! The address for metrics. It answers `GET /metrics` and nothing else, and needs no key: it is meant for a network
//! that clients cannot reach.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::http::config::HEADER_TIMEOUT;
use crate::http::metrics::Reading;
use crate::http::probe::Health;
use crate::http::reply;
use crate::http::shared::Shared;

/// The most connections.
const MAX_SCRAPE_CONNECTIONS: usize = 16;
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// The content type for readers that do not ask for OpenMetrics; they understand the same text.
const PLAIN_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Serves the metrics until the server ends.
pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let router = Router::new()
        .route("/metrics", get(metrics))
        .method_not_allowed_fallback(reply::wrong_method)
        .fallback(reply::not_found)
        .with_state(Arc::clone(&shared));
    let room = Arc::new(Semaphore::new(MAX_SCRAPE_CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            () = shared.shutdown.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection to the metrics could not be accepted");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            }
        };
        let Ok(room) = Arc::clone(&room).try_acquire_owned() else { continue };
        let service = TowerToHyperService::new(router.clone());
        let shutdown = shared.shutdown.clone();
        tokio::spawn(async move {
            let mut builder = Builder::new(TokioExecutor::new());
            builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
            let connection = builder.serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                ended = connection => if let Err(error) = ended {
                    tracing::debug!(error, "a connection to the metrics ended in an error");
                },
                () = shutdown.cancelled() => {}
            }
            drop(room);
        });
    }
}

async fn metrics(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let Ok(text) = shared.metrics.text(&read(&shared).await) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let wants = headers.get(http::header::ACCEPT).and_then(|value| value.to_str().ok());
    let kind =
        if wants.is_some_and(|wants| wants.contains("openmetrics-text")) { OPEN_METRICS } else { PLAIN_TEXT };
    let mut response = text.into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

async fn read(shared: &Shared) -> Reading {
    let (database, redis) = tokio::join!(shared.database.health(), shared.redis.health());
    let up = |health: Health| match health {
        Health::Ok => Some(true),
        Health::Error | Health::SchemaMissing => Some(false),
        Health::NotConfigured => None,
    };
    Reading {
        uptime: shared.started.elapsed(),
        database: up(database),
        redis: up(redis).zip(shared.redis_state.as_ref().map(|state| state())),
        storage: shared.storage.as_ref().map(|storage| storage()).unwrap_or_default(),
        connections: shared.connections.open(),
        streams: shared.slots.open(),
        sessions: shared.sessions.remembered(),
        events_waiting: shared.events.waiting(),
        documents_not_indexed: shared.text_index.stale(),
    }
}
