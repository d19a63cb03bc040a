//! Creates the configured embedder: none, a model from a folder, or a service.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use async_trait::async_trait;
use memory_bank_core::search::{DenseCount, EmbedError, Embedder, ModelId, Vector};
use memory_bank_embeddings::{Endpoint, EndpointOptions};
use memory_bank_folder::FolderWorkspace;
use memory_bank_postgres::Database;
use memory_bank_server::http::VectorState;
use memory_bank_vectors::VectorUse;

use crate::config::{self, EmbeddingSettings};

/// How long the end of the process waits for a batch of vectors.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(500);

/// The embedder of `EMBEDDINGS`, if it is set. A folder is checked now; weights are read and services connected at first use. A
/// folder that cannot be used is not an error: searches use words only, and their replies report it.
///
/// # Errors
/// A variable cannot be used.
pub(crate) fn for_server() -> anyhow::Result<Option<Arc<dyn Embedder>>> {
    match open() {
        Err(Failure::Folder(error)) => {
            tracing::error!("search by meaning is off: {error:#}");
            Ok(Some(Arc::new(Unusable)))
        }
        Err(Failure::Settings(error)) => Err(error),
        Ok(embedder) => Ok(embedder),
    }
}

/// Loads the model before the first search needs it.
pub(crate) fn warm_up(embedder: Arc<dyn Embedder>) {
    tokio::spawn(async move {
        match embedder.model().await {
            Ok(model) => tracing::info!(model = model.name(), "search by meaning is on"),
            Err(error) => tracing::warn!(%error, "search by meaning does not work at the moment"),
        }
    });
}

/// Why a configured embedder cannot be used.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The folder cannot be used.
    Folder(anyhow::Error),
    /// A variable cannot be used.
    Settings(anyhow::Error),
}

impl Failure {
    /// The error.
    pub(crate) fn into_error(self) -> anyhow::Error {
        match self {
            Self::Folder(error) | Self::Settings(error) => error,
        }
    }
}

/// Like [`for_server`], but returns an error of the folder.
///
/// # Errors
/// A variable or the folder cannot be used.
pub(crate) fn open() -> Result<Option<Arc<dyn Embedder>>, Failure> {
    let options =
        config::embeddings(&config::environment).map_err(|error| Failure::Settings(error.into()))?;
    let Some(options) = options else { return Ok(None) };
    if let Some(dir) = options.place.strip_prefix("local:") {
        return local(Path::new(dir)).map(Some).map_err(Failure::Folder);
    }
    endpoint(options).map(Some).map_err(Failure::Settings)
}

fn endpoint(options: EmbeddingSettings) -> anyhow::Result<Arc<dyn Embedder>> {
    let Some(model) = options.model else {
        bail!("`EMBEDDINGS_MODEL` is not set; it takes the name of the service's model")
    };
    let endpoint = Endpoint::new(EndpointOptions { url: options.place, model, key: options.key })
        .context("`EMBEDDINGS` cannot be used")?;
    Ok(Arc::new(endpoint))
}

#[cfg(feature = "local-embeddings")]
fn local(dir: &Path) -> anyhow::Result<Arc<dyn Embedder>> {
    let embedder = memory_bank_embeddings::LocalEmbedder::open(dir)
        .with_context(|| format!("`EMBEDDINGS` is `local:{}`, which cannot be used", dir.display()))?;
    Ok(Arc::new(embedder))
}

#[cfg(not(feature = "local-embeddings"))]
fn local(_dir: &Path) -> anyhow::Result<Arc<dyn Embedder>> {
    bail!(
        "this program was built without models from folders (feature `local-embeddings`); `EMBEDDINGS` takes a URL"
    )
}

/// Replaces a model that cannot be used. Any client may read its errors, so they do not show the folder.
#[derive(Debug)]
struct Unusable;

impl Unusable {
    fn error<T>() -> Result<T, EmbedError> {
        Err(EmbedError::Permanent(
            "the folder of the model cannot be used; the server's log and `memory-bank-mcp doctor` have the reason"
                .to_owned(),
        ))
    }
}

#[async_trait]
impl Embedder for Unusable {
    async fn model(&self) -> Result<ModelId, EmbedError> {
        Self::error()
    }

    fn batch(&self) -> usize {
        1
    }

    async fn passages(&self, _texts: Vec<String>) -> Result<Vec<Vector>, EmbedError> {
        Self::error()
    }

    async fn query(&self, _text: &str) -> Result<Vector, EmbedError> {
        Self::error()
    }
}

/// The store whose vectors are made in the background.
#[derive(Debug, Clone)]
pub(crate) enum VectorStore {
    /// The banks of a folder.
    Folder(Arc<FolderWorkspace>),
    /// All projects of a database.
    Database(Database),
}

impl VectorStore {
    /// The state for metrics; none without a model.
    pub(crate) fn state(&self) -> Option<VectorState> {
        let (usage, count): (VectorUse, DenseCount) = match self {
            Self::Folder(workspace) => (workspace.vector_use()?, workspace.vectors_in_memory()),
            Self::Database(database) => (database.vector_use()?, database.vectors_in_memory()),
        };
        Some(VectorState {
            made: usage.made,
            failed: usage.failed,
            refused: usage.refused,
            waiting: usage.waiting,
            in_memory: count.vectors,
            bytes: count.bytes,
        })
    }

    /// Stops making vectors, because the process ends.
    pub(crate) async fn stop(&self) {
        match self {
            Self::Folder(workspace) => workspace.stop_vectors(SHUTDOWN_TIMEOUT).await,
            Self::Database(database) => database.stop_vectors(SHUTDOWN_TIMEOUT).await,
        }
    }
}
