//! How long a client may hold a connection without using it: saying nothing, or not taking what it asked for.
//!
//! HTTP/1 has a time-out for headers in the library, which begins when the version is known; what a client does before
//! that, and with HTTP/2, is bounded here.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Instant;

use crate::http::config::{HEADER_WAIT, IDLE, TAKE_WAIT};

/// How much of a body is handed out at a time. HTTP/2 keeps what it is handed until the client makes room for it, so a
/// client that does not may hold no more than this for each request, until it is given up.
const PIECE: usize = 64 * 1024;
/// How often a connection is looked at.
const LOOK: Duration = Duration::from_secs(5);

/// What a client does with one connection.
#[derive(Debug)]
pub(crate) struct Watch(Mutex<State>);

#[derive(Debug)]
struct State {
    /// Whether there was a request ever.
    asked: bool,
    /// When the last request began or ended.
    last: Instant,
    /// The requests under way, each with the moment since which its client is to take the next piece.
    under_way: Vec<(u64, Option<Instant>)>,
    next: u64,
}

/// A request under way; dropping it ends the account.
#[derive(Debug)]
pub(crate) struct UnderWay {
    watch: Arc<Watch>,
    number: u64,
}

/// Why a connection is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GivenUp {
    /// No request came in time.
    Silent,
    /// A reply was not taken in time.
    NotTaken,
}

impl Watch {
    pub(crate) fn new() -> Arc<Self> {
        let state = State { asked: false, last: Instant::now(), under_way: Vec::new(), next: 0 };
        Arc::new(Self(Mutex::new(state)))
    }

    /// Notes that a request has come.
    pub(crate) fn begin(self: &Arc<Self>) -> UnderWay {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.asked = true;
        state.last = Instant::now();
        state.next += 1;
        let number = state.next;
        state.under_way.push((number, None));
        UnderWay { watch: Arc::clone(self), number }
    }

    /// Waits until the client has used the connection badly for long enough.
    pub(crate) async fn given_up(&self) -> GivenUp {
        let mut looks = tokio::time::interval(LOOK);
        loop {
            let now = looks.tick().await;
            if let Some(why) = self.judge(now) {
                return why;
            }
        }
    }

    fn judge(&self, now: Instant) -> Option<GivenUp> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = if state.asked { IDLE } else { HEADER_WAIT };
        if state.under_way.is_empty() {
            return (now.duration_since(state.last) >= idle).then_some(GivenUp::Silent);
        }
        let late = |handed: &Option<Instant>| handed.is_some_and(|at| now.duration_since(at) >= TAKE_WAIT);
        state.under_way.iter().any(|(_, handed)| late(handed)).then_some(GivenUp::NotTaken)
    }
}

impl UnderWay {
    /// The client has been handed a piece and is to take the next; or the server is to make one.
    fn handed(&self, handed: bool) {
        let mut state = self.watch.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, since)) = state.under_way.iter_mut().find(|(number, _)| *number == self.number) {
            *since = handed.then(Instant::now);
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut state = self.watch.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.under_way.retain(|(number, _)| *number != self.number);
        state.last = Instant::now();
    }
}

/// A body that is handed out piece by piece, under watch.
#[derive(Debug)]
pub(crate) struct Watched {
    inner: Body,
    rest: Bytes,
    under_way: UnderWay,
}

impl Watched {
    pub(crate) fn new(inner: Body, under_way: UnderWay) -> Self {
        Self { inner, rest: Bytes::new(), under_way }
    }

    fn piece(&mut self) -> Frame<Bytes> {
        self.under_way.handed(true);
        Frame::data(self.rest.split_to(self.rest.len().min(PIECE)))
    }
}

impl HttpBody for Watched {
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
                self.under_way.handed(false);
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

    async fn outcome(watch: &Watch, wait: Duration) -> Option<GivenUp> {
        tokio::time::timeout(wait, watch.given_up()).await.ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_asks_nothing_is_given_up_soon_and_one_that_asked_later() {
        let watch = Watch::new();
        assert_eq!(outcome(&watch, HEADER_WAIT + LOOK).await, Some(GivenUp::Silent));
        drop(watch.begin());
        assert_eq!(outcome(&watch, IDLE.checked_sub(LOOK).unwrap()).await, None);
        assert_eq!(outcome(&watch, 2 * LOOK).await, Some(GivenUp::Silent));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_waits_for_the_server_may_wait_and_one_that_does_not_take_its_reply_may_not() {
        let watch = Watch::new();
        let silent = Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
        let mut silent = Watched::new(silent, watch.begin());
        let hour = Duration::from_secs(3600);
        let taking = tokio::time::timeout(hour, silent.frame());
        assert_eq!(tokio::join!(outcome(&watch, hour), taking).0, None);

        let mut large = Watched::new(Body::from(vec![0; 10 * PIECE]), watch.begin());
        assert!(large.frame().await.is_some());
        assert_eq!(outcome(&watch, TAKE_WAIT + LOOK).await, Some(GivenUp::NotTaken));
        drop(large);
        assert_eq!(outcome(&watch, hour).await, None);
    }

    #[tokio::test]
    async fn a_body_comes_whole_in_pieces_and_says_its_length() {
        let text: Vec<u8> = (0..=255).cycle().take(3 * PIECE + 7).collect();
        let body = Watched::new(Body::from(text.clone()), Watch::new().begin());
        assert_eq!(body.size_hint().exact(), Some(text.len() as u64));
        let pieces: Vec<Bytes> = Body::new(body).into_data_stream().map(Result::unwrap).collect().await;
        assert!(pieces.len() == 4 && pieces.iter().all(|piece| piece.len() <= PIECE));
        assert_eq!(pieces.concat(), text);
    }
}
