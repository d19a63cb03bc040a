//! Turns texts into vectors: a sentence-transformer from a folder, run here, or a service with OpenAI's interface.
//!
//! Nothing is ever downloaded. Computing happens on threads of its own, never on those that answer requests.

mod endpoint;
#[cfg(feature = "local")]
mod local;

pub use endpoint::{Endpoint, EndpointError, EndpointOptions};
#[cfg(feature = "local")]
pub use local::{LocalEmbedder, LocalModel, ModelError};
