//! A model from a folder behind the trait of an embedder: two threads, one for queries, and one of low priority for passages.

mod encoder;
mod folder;
mod model;

use std::path::Path;
use std::sync::{Arc, Once};

use async_trait::async_trait;
use memory_bank_core::search::{EmbedError, Embedder, ModelId, Vector};
use rayon::{ThreadPool, ThreadPoolBuilder};
use tokio::sync::{Semaphore, oneshot, watch};

pub use folder::ModelError;
use folder::ModelFolder;
pub use model::LocalModel;

/// The most passages of one call.
const MAX_BATCH: usize = 32;
/// How many queries may wait.
const MAX_QUERIES: usize = 64;
/// How much lower than usual the priority of the thread for passages is.
const NICENESS: i32 = 10;

type Loaded = Option<Result<Arc<LocalModel>, EmbedError>>;

/// A model from a folder. Its weights are read when it is first used.
pub struct LocalEmbedder {
    folder: ModelFolder,
    queries: ThreadPool,
    passages: ThreadPool,
    waiting: Semaphore,
    batches: Semaphore,
    load: Once,
    loaded: watch::Sender<Loaded>,
}

impl std::fmt::Debug for LocalEmbedder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalEmbedder").field("folder", &self.folder.path()).finish_non_exhaustive()
    }
}

impl LocalEmbedder {
    /// Checks the model in this folder: reads all its files but the weights.
    ///
    /// # Errors
    /// [`ModelError`] if a file is missing, too large or of a kind that is not supported.
    pub fn open(dir: &Path) -> Result<Self, ModelError> {
        let folder = ModelFolder::open(dir)?;
        let pool = |name: &'static str| {
            ThreadPoolBuilder::new().num_threads(1).thread_name(move |_| name.to_owned())
        };
        let failed = |error: rayon::ThreadPoolBuildError| ModelError::Thread(error.to_string());
        Ok(Self {
            folder,
            queries: pool("embed-query").build().map_err(failed)?,
            passages: pool("embed-passage").start_handler(|_| lower_priority()).build().map_err(failed)?,
            waiting: Semaphore::new(MAX_QUERIES),
            batches: Semaphore::new(1),
            load: Once::new(),
            loaded: watch::Sender::new(None),
        })
    }

    /// The model, once it is read. Waiting may be cancelled at any time; reading continues.
    async fn loaded(&self) -> Result<Arc<LocalModel>, EmbedError> {
        self.load.call_once(|| {
            let (folder, sender) = (self.folder.clone(), self.loaded.clone());
            self.queries.spawn(move || {
                let model = LocalModel::load(&folder);
                let model = model.map(Arc::new).map_err(|error| EmbedError::Permanent(error.to_string()));
                sender.send_replace(Some(model));
            });
        });
        let mut receiver = self.loaded.subscribe();
        let loaded = receiver.wait_for(Option::is_some).await;
        let gone = || EmbedError::Permanent("the model was lost while it was read".to_owned());
        loaded.map_err(|_| gone())?.clone().unwrap_or_else(|| Err(gone()))
    }
}

/// Runs this on the pool's thread, unless nobody waits for it any more.
async fn run<T: Send + 'static>(
    pool: &ThreadPool,
    work: impl FnOnce() -> Result<T, EmbedError> + Send + 'static,
) -> Result<T, EmbedError> {
    let (sender, receiver) = oneshot::channel();
    pool.spawn(move || {
        if !sender.is_closed() {
            let _nobody_waits = sender.send(work());
        }
    });
    receiver.await.map_err(|_| EmbedError::Permanent("the model failed".to_owned()))?
}

/// Threads have a priority of their own on Linux; elsewhere this would change the whole process.
fn lower_priority() {
    #[cfg(target_os = "linux")]
    {
        // Without it passages only compete as equals.
        let _unchanged = rustix::process::setpriority_process(None, NICENESS);
    }
}

#[async_trait]
impl Embedder for LocalEmbedder {
    async fn model(&self) -> Result<ModelId, EmbedError> {
        Ok(self.loaded().await?.id().clone())
    }

    fn batch(&self) -> usize {
        MAX_BATCH
    }

    async fn passages(&self, texts: Vec<String>) -> Result<Vec<Vector>, EmbedError> {
        if texts.len() > MAX_BATCH {
            return Err(EmbedError::Permanent(format!(
                "{} passages in one call; it takes {MAX_BATCH}",
                texts.len()
            )));
        }
        let model = self.loaded().await?;
        let closed = |_| EmbedError::Permanent("the model was closed".to_owned());
        let _turn = self.batches.acquire().await.map_err(closed)?;
        run(&self.passages, move || texts.iter().map(|text| model.passage(text)).collect()).await
    }

    async fn query(&self, text: &str) -> Result<Vector, EmbedError> {
        let busy = |_| EmbedError::Temporary("too many searches wait for the model".to_owned());
        let _place = self.waiting.try_acquire().map_err(busy)?;
        let model = self.loaded().await?;
        let text = text.to_owned();
        run(&self.queries, move || model.query(&text)).await
    }
}
