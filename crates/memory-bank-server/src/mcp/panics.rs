//! Turns a panic of a request into an error. Over both transports the SDK runs each request in a task of its own, where
//! a panic would leave the client without a reply.

use std::any::Any;
use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use memory_bank_core::clock::Entropy;
use rmcp::model::ErrorData;

use crate::mcp::errors::internal;

/// Runs a request. An id identifies a panic in the reply and in the log.
pub(crate) async fn caught<T>(
    what: &str,
    entropy: &dyn Entropy,
    request: impl Future<Output = Result<T, ErrorData>> + Send,
) -> Result<T, ErrorData> {
    match AssertUnwindSafe(request).catch_unwind().await {
        Ok(outcome) => outcome,
        Err(panic) => {
            Err(internal(&format!("{what} panicked: {}", panic_text(panic.as_ref())), entropy.id()))
        }
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("?")
}

#[cfg(test)]
mod tests;
