//! What the REST routes that read a bank share: the request, the memory for the reply, refusals, etags, and pages of lists.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::extract::rejection::ExtensionRejection;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::ETAG;
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use memory_bank_core::caller::Right;
use memory_bank_core::error::{StoreError, WorkspaceError};
use memory_bank_core::store::Bank;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::http::auth::Authenticated;
use crate::http::metrics::Limit;
use crate::http::reply_budget::{
    ConnectionId, Holder, Reservation, accounted, bytes_while_sent, plain_refusal, with_retry,
};
use crate::http::request_id::RequestId;
use crate::http::shared::Shared;
use crate::http::{admission, etag, reply, store_fault};
use crate::mcp::reading::NotRead;
use crate::services::{NoMemory, ReplyMemory, Services};

/// A request for something of a bank.
pub(crate) struct RestRequest {
    shared: Arc<Shared>,
    pub(crate) who: Authenticated,
    id: RequestId,
    connection: Option<ConnectionId>,
    headers: HeaderMap,
}

impl FromRequestParts<Arc<Shared>> for RestRequest {
    type Rejection = ExtensionRejection;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, ExtensionRejection> {
        let Extension(who) = Extension::<Authenticated>::from_request_parts(parts, shared).await?;
        let Extension(id) = Extension::<RequestId>::from_request_parts(parts, shared).await?;
        let connection = parts.extensions.get().copied();
        Ok(Self { shared: Arc::clone(shared), who, id, connection, headers: parts.headers.clone() })
    }
}

/// Why there is no reply with content.
pub(crate) enum Refusal {
    Malformed(String),
    NotFound(String),
    /// It cannot be answered now.
    Busy(String),
    /// What is stored, or a rule, is against it.
    Conflict(String),
    Store(StoreError),
    Memory(NoMemory),
    /// Another reply.
    Reply(Box<Response>),
}

impl From<Response> for Refusal {
    fn from(response: Response) -> Self {
        Self::Reply(Box::new(response))
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<NoMemory> for Refusal {
    fn from(full: NoMemory) -> Self {
        Self::Memory(full)
    }
}

impl From<NotRead> for Refusal {
    fn from(why: NotRead) -> Self {
        match why {
            NotRead::Refused(text) => Self::NotFound(text),
            NotRead::Busy(text) => Self::Busy(text),
            NotRead::Store(error) => Self::Store(error),
            NotRead::Memory(full) => Self::Memory(full),
        }
    }
}

impl RestRequest {
    /// Whether this server changes no bank.
    pub(crate) fn is_read_only(&self) -> bool {
        self.shared.config.tools.read_only
    }

    pub(crate) async fn bank(&self) -> Result<Arc<dyn Bank>, Refusal> {
        self.shared.services.workspace.bank(&self.who.caller, None).await.map_err(|error| match error {
            WorkspaceError::Store(error) => Refusal::Store(error),
            other => Refusal::NotFound(other.to_string()),
        })
    }

    /// Verifies the key with the directory, for a request that does not use the store.
    pub(crate) async fn proven(&self) -> Result<(), Refusal> {
        let proven = admission::proven(&self.shared, &self.who).await;
        proven.map_err(|error| admission::unauthorized(&error).into())
    }

    /// The reply, for which so many bytes are reserved while it is made.
    pub(crate) async fn answer<T: Serialize>(
        &self,
        bytes: usize,
        work: impl Future<Output = Result<T, Refusal>>,
    ) -> Response {
        self.answer_within(bytes, |_| work).await
    }

    /// The same for work that finds out how many bytes it needs: it raises the reservation with the services that it gets.
    pub(crate) async fn answer_within<T: Serialize, W: Future<Output = Result<T, Refusal>>>(
        &self,
        bytes: usize,
        work: impl FnOnce(Services) -> W,
    ) -> Response {
        if self.who.caller.may(Right::Read) { self.made(bytes, work, forbidden).await } else { forbidden() }
    }

    /// The reply to a request that writes; only the work reads its body.
    pub(crate) async fn answer_to_write<T: Serialize, W: Future<Output = Result<T, Refusal>>>(
        &self,
        bytes: usize,
        work: impl FnOnce(Services) -> W,
    ) -> Response {
        if self.is_read_only() {
            return reply::error(StatusCode::FORBIDDEN, "the memory bank is served read-only here");
        }
        if self.who.caller.may(Right::Write) {
            self.made(bytes, work, may_not_write).await
        } else {
            may_not_write()
        }
    }

    async fn made<T: Serialize, W: Future<Output = Result<T, Refusal>>>(
        &self,
        bytes: usize,
        work: impl FnOnce(Services) -> W,
        forbidden: fn() -> Response,
    ) -> Response {
        let holder = Holder { key: self.who.caller.key, connection: self.connection };
        let memory = match self.shared.replies.reserve(holder, bytes).await {
            Ok(memory) => memory,
            Err(full) => return self.no_memory(full),
        };
        let mut services = self.shared.services.clone();
        services.replies.memory = Some(Arc::clone(&memory) as Arc<dyn ReplyMemory>);
        match work(services).await {
            Ok(body) => self.sent(&body, &memory),
            Err(Refusal::Malformed(text)) => reply::error(StatusCode::BAD_REQUEST, &text),
            Err(Refusal::NotFound(text)) => reply::error(StatusCode::NOT_FOUND, &text),
            Err(Refusal::Busy(text)) => with_retry(reply::error(StatusCode::SERVICE_UNAVAILABLE, &text)),
            Err(Refusal::Conflict(text)) => reply::error(StatusCode::CONFLICT, &text),
            Err(Refusal::Memory(full)) => self.no_memory(full),
            Err(Refusal::Reply(response)) => *response,
            Err(Refusal::Store(error)) => {
                let what = "a request over REST could not be answered";
                store_fault::of(&self.shared, &self.who, self.id, &error, what, forbidden).await
            }
        }
    }

    fn no_memory(&self, full: NoMemory) -> Response {
        self.shared.metrics.limit_reached(Limit::Replies);
        plain_refusal(full)
    }

    fn sent(&self, body: &impl Serialize, memory: &Arc<Reservation>) -> Response {
        let Ok(text) = serde_json::to_string(body) else {
            return reply::error(StatusCode::INTERNAL_SERVER_ERROR, "the server failed");
        };
        let etag = etag::of(&text);
        if let Some(etag) = &etag
            && etag::is_known(&self.headers, etag)
        {
            return etag::not_modified(etag);
        }
        memory.settle(bytes_while_sent(text.len()));
        let mut response = reply::json(StatusCode::OK, &serde_json::Value::Null);
        *response.body_mut() = Body::from(accounted(text.into_bytes(), memory));
        if let Some(etag) = etag {
            response.headers_mut().insert(ETAG, etag);
        }
        response
    }
}

/// A place in a list as a cursor.
pub(crate) fn encoded(place: &impl Serialize) -> Result<String, Refusal> {
    let failed = |error: serde_json::Error| Refusal::Store(StoreError::Unavailable(error.to_string()));
    serde_json::to_vec(place).map(|place| URL_SAFE_NO_PAD.encode(place)).map_err(failed)
}

pub(crate) fn decoded<P: DeserializeOwned>(cursor: &str) -> Result<P, Refusal> {
    let decoded = URL_SAFE_NO_PAD.decode(cursor).ok();
    let place = decoded.and_then(|place| serde_json::from_slice::<P>(&place).ok());
    place.ok_or_else(|| {
        Refusal::NotFound("there is no such page; send the `nextCursor` of the last reply".to_owned())
    })
}

pub(crate) fn malformed() -> Response {
    reply::error(StatusCode::BAD_REQUEST, "the query is malformed; /api/openapi.json describes it")
}

fn may_not_write() -> Response {
    reply::error(StatusCode::FORBIDDEN, "You may not do that: it takes the scope `write`")
}

fn forbidden() -> Response {
    reply::error(StatusCode::FORBIDDEN, "You may not do that: it takes the scope `read`")
}
