//! Replies of the endpoints for clients: errors as OAuth names them (RFC 6749, 5.2).

use axum::response::Response;
use http::StatusCode;
use memory_bank_core::error::StoreError;
use serde_json::json;

use crate::http::reply;
use crate::mcp::errors::UNREACHABLE_RETRY;

/// The errors of OAuth that this server uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ErrorCode {
    InvalidRequest,
    InvalidGrant,
    /// The client has not authenticated itself as it must.
    InvalidClient,
    InvalidScope,
    InvalidTarget,
    InvalidRedirectUri,
    InvalidClientMetadata,
    UnsupportedGrantType,
    UnsupportedResponseType,
    AccessDenied,
    TemporarilyUnavailable,
}

impl ErrorCode {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidGrant => "invalid_grant",
            Self::InvalidClient => "invalid_client",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidTarget => "invalid_target",
            Self::InvalidRedirectUri => "invalid_redirect_uri",
            Self::InvalidClientMetadata => "invalid_client_metadata",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::AccessDenied => "access_denied",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
        }
    }
}

/// An error for a client.
pub(super) fn error(code: ErrorCode, text: &str) -> Response {
    let status = match code {
        ErrorCode::TemporarilyUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::InvalidClient => StatusCode::UNAUTHORIZED,
        _ => StatusCode::BAD_REQUEST,
    };
    reply::json(status, &json!({"error": code.as_str(), "error_description": text}))
}

/// The reply while the store does not answer; the log has the detail.
pub(super) fn unavailable(failure: &StoreError) -> Response {
    tracing::error!(error = %failure, "a request of OAuth could not use the store");
    let text = "the server cannot reach its database at the moment; try again";
    reply::with_retry_after(error(ErrorCode::TemporarilyUnavailable, text), UNREACHABLE_RETRY)
}

/// 404 where OAuth is not offered.
pub(super) fn not_offered() -> Response {
    let text = "OAuth needs https, or a name of this machine, and a server that knows its own address: set `PUBLIC_URL`";
    reply::error(StatusCode::NOT_FOUND, text)
}
