//! What the REST routes that read a bank share: the request, the memory for the reply, refusals, etags, and pages of lists.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::ExtensionRejection;
use axum::extract::{FromRequestParts, Query};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::ETAG;
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};
use memory_bank_core::caller::Right;
use memory_bank_core::error::{StoreError, WorkspaceError};
use memory_bank_core::identity::{AdminError, KeyError, ProjectAdministration};
use memory_bank_core::store::Bank;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::http::auth::Authenticated;
use crate::http::body::{memory_for, read_object};
use crate::http::config::CALL_BYTES;
use crate::http::metrics::Limit;
use crate::http::reply_budget::{
    ConnectionId, Holder, Reservation, accounted, bytes_while_sent, plain_refusal, with_retry,
};
use crate::http::request_id::RequestId;
use crate::http::shared::Shared;
use crate::http::{admission, etag, reply, store_fault};
use crate::mcp::reading::NotRead;
use crate::mcp::rights;
use crate::reply_memory::{NoMemory, ReplyMemory};
use crate::services::Services;

/// The bytes of a list of members, keys, grants or rows of the audit log, beside a body.
const ADMINISTRATION_BYTES: usize = 4 * 1024 * 1024;
/// The items of a page, if the request names no number.
const PAGE: u32 = 100;

/// A request for something of a bank.
pub(crate) struct RestRequest {
    pub(crate) shared: Arc<Shared>,
    pub(crate) who: Authenticated,
    id: RequestId,
    pub(crate) connection: Option<ConnectionId>,
    pub(crate) headers: HeaderMap,
    method: Method,
}

impl FromRequestParts<Arc<Shared>> for RestRequest {
    type Rejection = ExtensionRejection;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, ExtensionRejection> {
        let Extension(who) = Extension::<Authenticated>::from_request_parts(parts, shared).await?;
        let Extension(id) = Extension::<RequestId>::from_request_parts(parts, shared).await?;
        let connection = parts.extensions.get().copied();
        let (headers, method) = (parts.headers.clone(), parts.method.clone());
        Ok(Self { shared: Arc::clone(shared), who, id, connection, headers, method })
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
    /// The caller lacks a right.
    NotAllowed(String),
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
            NotRead::NotAllowed(text) => Self::NotAllowed(text),
            NotRead::Conflict(text) => Self::Conflict(text),
            NotRead::Busy(text) => Self::Busy(text),
            NotRead::Store(error) => Self::Store(error),
            NotRead::Memory(full) => Self::Memory(full),
        }
    }
}

impl From<AdminError> for Refusal {
    fn from(error: AdminError) -> Self {
        match error {
            AdminError::NotFound { .. } => Self::NotFound(error.to_string()),
            AdminError::NotAllowed(text) => Self::NotAllowed(text),
            AdminError::Store(error) => Self::Store(error),
            other => Self::Conflict(other.to_string()),
        }
    }
}

impl From<KeyError> for Refusal {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Store(error) => Self::Store(error),
            other => Self::Conflict(other.to_string()),
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

    /// Verifies the key with the directory, for a request that does not use the store; the reply if it is void.
    pub(crate) async fn proven(&self) -> Result<(), Box<Response>> {
        let proven = admission::proven(&self.shared, &self.who).await;
        proven.map_err(|error| Box::new(admission::unauthorized(&error)))
    }

    /// Makes the reply, with `bytes` reserved meanwhile.
    pub(crate) async fn answer<T: Serialize>(
        &self,
        bytes: usize,
        work: impl Future<Output = Result<T, Refusal>>,
    ) -> Response {
        self.answer_within(bytes, |_| work).await
    }

    /// Makes the reply by work that finds out how many bytes it needs: it raises the reservation with the services that it gets.
    pub(crate) async fn answer_within<T: Serialize, W: Future<Output = Result<T, Refusal>>>(
        &self,
        bytes: usize,
        work: impl FnOnce(Services) -> W,
    ) -> Response {
        self.answer_to(Right::Read, bytes, work).await
    }

    /// Makes the reply to a request that changes the bank by its JSON body, with `bytes` beside those of the body. The body is
    /// read only for a caller with the right.
    pub(crate) async fn answer_to_change<B: DeserializeOwned, T: Serialize, W>(
        &self,
        right: Right,
        (body, bytes): (Body, usize),
        work: impl FnOnce(B, Services) -> W,
    ) -> Response
    where
        W: Future<Output = Result<T, Refusal>>,
    {
        let needed = CALL_BYTES.saturating_add(memory_for(&body));
        let work = |services: Services| async move {
            let wanted = read_object::<B>(&self.headers, body).await?;
            let wanted = wanted.ok_or_else(no_object)?;
            services.replies.need(needed.saturating_add(bytes)).await?;
            work(wanted, services).await
        };
        self.answer_to_write(right, needed, work).await
    }

    /// The reply to a request that changes the bank.
    pub(crate) async fn answer_to_write<T: Serialize, W: Future<Output = Result<T, Refusal>>>(
        &self,
        right: Right,
        bytes: usize,
        work: impl FnOnce(Services) -> W,
    ) -> Response {
        if self.is_read_only() {
            let text = format!("the memory bank is served read-only: {}", rights::STARTED_READ_ONLY);
            return reply::error(StatusCode::FORBIDDEN, &text);
        }
        self.answer_to(right, bytes, work).await
    }

    /// The reply to an owner who administers the project. No application with a token does that: what it did would outlive
    /// what its user can take back.
    pub(crate) async fn answer_to_owner<T: Serialize, W: Future<Output = Result<T, Refusal>>>(
        &self,
        work: impl FnOnce(Arc<dyn ProjectAdministration>) -> W,
    ) -> Response {
        self.answer_to_administrator(|_| async { work(self.administration()?).await }).await
    }

    /// Makes the reply to an owner's request with a JSON body.
    pub(crate) async fn answer_to_owner_with<B: DeserializeOwned, T: Serialize, W>(
        &self,
        body: Body,
        work: impl FnOnce(B, Arc<dyn ProjectAdministration>) -> W,
    ) -> Response
    where
        W: Future<Output = Result<T, Refusal>>,
    {
        let needed = ADMINISTRATION_BYTES.saturating_add(memory_for(&body));
        self.answer_to_administrator(|services: Services| async move {
            let administration = self.administration()?;
            services.replies.need(needed).await?;
            let wanted = read_object::<B>(&self.headers, body).await?;
            work(wanted.ok_or_else(no_object)?, administration).await
        })
        .await
    }

    /// The reply to a request of one who may administer, also where there is one user.
    pub(crate) async fn answer_to_administrator<T: Serialize, W: Future<Output = Result<T, Refusal>>>(
        &self,
        work: impl FnOnce(Services) -> W,
    ) -> Response {
        if self.who.is_token && !self.who.is_console {
            let text = "a token of OAuth cannot administer the project; send an API key, or use the console";
            return reply::error(StatusCode::FORBIDDEN, text);
        }
        self.answer_to(Right::Admin, ADMINISTRATION_BYTES, work).await
    }

    fn administration(&self) -> Result<Arc<dyn ProjectAdministration>, Refusal> {
        self.shared.administration.clone().ok_or_else(|| {
            let text =
                "a folder has one user; members, grants and an audit log are there on a server of a database";
            Refusal::NotFound(text.to_owned())
        })
    }

    /// The reply to a request that needs a right.
    pub(crate) async fn answer_to<T: Serialize, W: Future<Output = Result<T, Refusal>>>(
        &self,
        right: Right,
        bytes: usize,
        work: impl FnOnce(Services) -> W,
    ) -> Response {
        // Only this is compiled for each route.
        match self.admitted(right, bytes).await {
            Ok((services, memory)) => {
                let body = work(services).await.and_then(|body| encoded_body(&body));
                self.outcome(right, body, &memory).await
            }
            Err(refused) => *refused,
        }
    }

    /// The services for a request of a caller with a right, and the memory for its reply; the reply if there are none.
    async fn admitted(
        &self,
        right: Right,
        bytes: usize,
    ) -> Result<(Services, Arc<Reservation>), Box<Response>> {
        if !self.who.caller.may(right) {
            return Err(Box::new(self.may_not(right)));
        }
        let holder = Holder { key: self.who.caller.key, connection: self.connection };
        let memory = self.shared.replies.reserve(holder, bytes).await;
        let memory = memory.map_err(|full| Box::new(self.no_memory(full)))?;
        let mut services = self.shared.services.clone();
        services.replies.memory = Some(Arc::clone(&memory) as Arc<dyn ReplyMemory>);
        Ok((services, memory))
    }

    async fn outcome(
        &self,
        right: Right,
        body: Result<String, Refusal>,
        memory: &Arc<Reservation>,
    ) -> Response {
        match body {
            Ok(text) => self.sent(text, memory),
            Err(Refusal::Malformed(text)) => reply::error(StatusCode::BAD_REQUEST, &text),
            Err(Refusal::NotFound(text)) => reply::error(StatusCode::NOT_FOUND, &text),
            Err(Refusal::Busy(text)) => with_retry(reply::error(StatusCode::SERVICE_UNAVAILABLE, &text)),
            Err(Refusal::Conflict(text)) => reply::error(StatusCode::CONFLICT, &text),
            Err(Refusal::NotAllowed(text)) => reply::error(StatusCode::FORBIDDEN, &text),
            Err(Refusal::Memory(full)) => self.no_memory(full),
            Err(Refusal::Reply(response)) => *response,
            Err(Refusal::Store(error)) => {
                let what = "a request over REST could not be answered";
                let forbidden = || self.may_not(right);
                store_fault::of(&self.shared, &self.who, self.id, &error, what, forbidden).await
            }
        }
    }

    /// The reply to a caller without a right.
    pub(crate) fn may_not(&self, right: Right) -> Response {
        may_not(&rights::lacking(&self.who.caller, right))
    }

    fn no_memory(&self, full: NoMemory) -> Response {
        self.shared.metrics.limit_reached(Limit::Replies);
        plain_refusal(full)
    }

    fn sent(&self, text: String, memory: &Arc<Reservation>) -> Response {
        // The result of a change is never cached: a 304 would hide it.
        let etag = if [Method::GET, Method::HEAD].contains(&self.method) { etag::of(&text) } else { None };
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

fn encoded_body(body: &impl Serialize) -> Result<String, Refusal> {
    let failed = |_| reply::error(StatusCode::INTERNAL_SERVER_ERROR, "the server failed").into();
    serde_json::to_string(body).map_err(failed)
}

/// A position in a list as a cursor.
pub(crate) fn encoded(position: &impl Serialize) -> Result<String, Refusal> {
    let failed = |error: serde_json::Error| Refusal::Store(StoreError::Unavailable(error.to_string()));
    serde_json::to_vec(position).map(|position| URL_SAFE_NO_PAD.encode(position)).map_err(failed)
}

pub(crate) fn decoded<P: DeserializeOwned>(cursor: &str) -> Result<P, Refusal> {
    let decoded = URL_SAFE_NO_PAD.decode(cursor).ok();
    let position = decoded.and_then(|position| serde_json::from_slice::<P>(&position).ok());
    position.ok_or_else(|| {
        Refusal::NotFound("there is no such page; send the `nextCursor` of the last reply".to_owned())
    })
}

fn no_object() -> Refusal {
    Refusal::Malformed("the body must be a JSON object; /api/openapi.json describes it".to_owned())
}

fn may_not(why: &str) -> Response {
    reply::error(StatusCode::FORBIDDEN, &format!("You may not do that: {why}"))
}

/// Reads a page of a list, which the store returns after a position and with a limit, and the cursor for the next page. The
/// position identifies an item, and the list continues there also when the item was removed.
pub(crate) async fn page<T, P: Serialize + DeserializeOwned, E: Into<Refusal>>(
    (cursor, limit): (Option<&str>, Option<u32>),
    position: impl Fn(&T) -> P,
    list: impl AsyncFnOnce(Option<P>, u32) -> Result<Vec<T>, E>,
) -> Result<(Vec<T>, Option<String>), Refusal> {
    let limit = limit.unwrap_or(PAGE);
    let after = cursor.map(decoded::<P>).transpose()?;
    // One more shows whether there is a next page.
    let mut items = list(after, limit.saturating_add(1)).await.map_err(Into::into)?;
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let is_last = items.len() <= most;
    items.truncate(most);
    let next = match items.last() {
        Some(last) if !is_last => Some(encoded(&position(last))?),
        _ => None,
    };
    Ok((items, next))
}

/// The query of a request. A malformed one is refused.
pub(crate) struct QueryParameters<Q>(pub(crate) Q);

impl<Q: DeserializeOwned> FromRequestParts<Arc<Shared>> for QueryParameters<Q> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _shared: &Arc<Shared>) -> Result<Self, Response> {
        let text = "the query is malformed; /api/openapi.json describes it";
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(query)) => Ok(Self(query)),
            Err(_) => Err(reply::error(StatusCode::BAD_REQUEST, text)),
        }
    }
}

/// The data of a tool's reply, as a reply of this interface.
pub(crate) fn parsed<T: DeserializeOwned>(data: serde_json::Value) -> Result<T, Refusal> {
    serde_json::from_value(data).map_err(|error| Refusal::Store(StoreError::Unavailable(error.to_string())))
}
