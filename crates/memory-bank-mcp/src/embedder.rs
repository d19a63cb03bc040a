//! Creates the configured embedder: none, a model from a folder, or a service.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use memory_bank_core::search::Embedder;
use memory_bank_embeddings::{Endpoint, EndpointOptions};

use crate::config;

/// The embedder that `EMBEDDINGS` asks for, if any. A folder is looked at now; weights are read and services asked at first use.
///
/// # Errors
/// The variable or the folder cannot be used.
pub(crate) fn embedder() -> anyhow::Result<Option<Arc<dyn Embedder>>> {
    let Some(options) = config::embeddings(&config::environment)? else { return Ok(None) };
    if let Some(dir) = options.place.strip_prefix("local:") {
        return local(Path::new(dir)).map(Some);
    }
    let Some(model) = options.model else {
        bail!("`EMBEDDINGS_MODEL` is not set; it takes the name of the service's model")
    };
    let endpoint = Endpoint::new(EndpointOptions { url: options.place, model, key: options.key })
        .context("`EMBEDDINGS` cannot be used")?;
    Ok(Some(Arc::new(endpoint)))
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
