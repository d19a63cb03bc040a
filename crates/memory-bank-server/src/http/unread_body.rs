//! The unread rest of a request's body. A refusal often precedes the body, which clients send after the head. The server reads and drops
//! the rest, or the reply has `Connection: close`: a client that sends its next request on a connection that the server closes
//! gets no reply.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::HeaderMap;
use http::header::EXPECT;
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use parking_lot::Mutex;

/// The most bytes that are read and dropped.
const MOST: usize = 64 * 1024;
/// How long the rest may take to arrive.
const PATIENCE: Duration = Duration::from_secs(1);

/// A body that gives back its unread rest.
struct Returned {
    body: Option<Body>,
    left: Arc<Mutex<Option<Body>>>,
}

/// Where the rest of a body is once nobody reads it any more.
pub(crate) struct Rest {
    left: Arc<Mutex<Option<Body>>>,
    /// The client sends no body before it is asked for it.
    waits: bool,
}

/// A body to hand on, and its rest; no rest if there is no body.
pub(crate) fn with_rest(headers: &HeaderMap, body: Body) -> (Body, Option<Rest>) {
    if body.is_end_stream() {
        return (body, None);
    }
    let left = Arc::new(Mutex::new(None));
    let rest = Rest { left: Arc::clone(&left), waits: headers.contains_key(EXPECT) };
    (Body::new(Returned { body: Some(body), left }), Some(rest))
}

impl Rest {
    /// Reads the rest; whether the body is read to its end now. A body that somebody still reads counts as read.
    pub(crate) async fn read(self) -> bool {
        let left = self.left.lock().take();
        let Some(body) = left else { return true };
        // To read would ask the client for the body.
        !self.waits && tokio::time::timeout(PATIENCE, to_its_end(body)).await.unwrap_or(false)
    }
}

async fn to_its_end(mut body: Body) -> bool {
    let mut read: usize = 0;
    loop {
        match body.frame().await {
            None => return true,
            Some(Err(_)) => return false,
            Some(Ok(frame)) => read = read.saturating_add(frame.data_ref().map_or(0, Bytes::len)),
        }
        if read > MOST {
            return false;
        }
    }
}

impl HttpBody for Returned {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(HttpBody::size_hint).unwrap_or_default()
    }
}

impl Drop for Returned {
    fn drop(&mut self) {
        *self.left.lock() = self.body.take().filter(|body| !body.is_end_stream());
    }
}
