//! Routes and their layers.

use std::any::Any;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::{MethodRouter, get, patch, post};
use http::header::ACCEPT_ENCODING;
use http::{Extensions, HeaderMap, StatusCode, Version};
use http_body_util::BodyExt;
use tower::util::option_layer;
use tower_http::CompressionLevel;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, Predicate, SizeAbove};

use crate::http::content_type::is_event_stream;
use crate::http::shared::Shared;
use crate::http::{admission, api, console, health, history, keys, mcp, oauth, openapi, reply, request_log};

/// Smaller replies are not compressed.
const MIN_COMPRESSED_BYTES: u64 = 2048;

/// Marks a reply for which no compressor is available.
#[derive(Clone, Copy)]
struct NoEncoder;

fn may_be_compressed(_: StatusCode, _: Version, _: &HeaderMap, extensions: &Extensions) -> bool {
    extensions.get::<NoEncoder>().is_none()
}

/// A compressor uses more memory than most replies, for as long as the client reads. Their number is bounded; without
/// one a reply is sent uncompressed.
async fn one_encoder(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let wanted = request.headers().contains_key(ACCEPT_ENCODING);
    let mut response = next.run(request).await;
    let small = response.body().size_hint().exact().is_some_and(|length| length <= MIN_COMPRESSED_BYTES);
    if !wanted || small || is_event_stream(&response) {
        return response;
    }
    match Arc::clone(&shared.encoders).try_acquire_owned() {
        Ok(encoder) => response.map(|body| {
            Body::new(body.map_frame(move |frame| {
                let _held = &encoder;
                frame
            }))
        }),
        Err(_) => {
            response.extensions_mut().insert(NoEncoder);
            response
        }
    }
}

fn mcp_routes() -> MethodRouter<Arc<Shared>> {
    post(mcp::post).get(mcp::get).delete(mcp::delete)
}

/// The reply to a request that panicked; its connection stays open.
fn panicked(_: Box<dyn Any + Send>) -> Response {
    tracing::error!("a request panicked");
    reply::error(StatusCode::INTERNAL_SERVER_ERROR, "the server failed")
}

pub(crate) fn router(shared: Arc<Shared>) -> Router {
    let admitted = Router::new()
        .route("/mcp", mcp_routes())
        // Some clients append a slash.
        .route("/mcp/", mcp_routes())
        .route("/api/keys", get(keys::list).post(keys::create))
        .route("/api/keys/{id}", patch(keys::update).delete(keys::revoke))
        .route("/api/keys/{id}/rotate", post(keys::rotate))
        .route("/api/history", get(history::list))
        .route("/api/history/show", get(history::show))
        .route("/api/history/diff", get(history::diff))
        .route("/api/maintain", get(history::proposals::list))
        .route_layer(from_fn_with_state(Arc::clone(&shared), admission::layer));
    let api = api::routes().route_layer(from_fn_with_state(Arc::clone(&shared), admission::layer));
    let compression = CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(
        DefaultPredicate::new().and(SizeAbove::new(MIN_COMPRESSED_BYTES)).and(may_be_compressed),
    );
    Router::new()
        .merge(admitted)
        .merge(api)
        .merge(console::routes())
        .merge(oauth::routes())
        .route("/health", get(health::health))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/api/openapi.json", get(openapi::describe))
        .method_not_allowed_fallback(reply::wrong_method)
        .fallback(reply::not_found)
        .layer(from_fn(api::problems))
        .layer(from_fn_with_state(Arc::clone(&shared), one_encoder))
        .layer(compression)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(option_layer(shared.origins.sharing()))
        .layer(from_fn_with_state(Arc::clone(&shared), request_log::layer))
        .with_state(shared)
}
