//! The id of a request, in its extensions, its reply and its log lines. The server makes it; one that a client sends
//! is ignored.

use uuid::Uuid;

/// The id of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestId(pub(crate) Uuid);
