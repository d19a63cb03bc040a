use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use async_trait::async_trait;
use memory_bank_core::search::DenseCount;

use super::*;

/// Returns a vector by the length of a text. It refuses `bad`, and fails while `down`.
#[derive(Debug, Default)]
struct Lengths {
    down: Mutex<Option<EmbedError>>,
    calls: AtomicU64,
}

#[async_trait]
impl Embedder for Lengths {
    async fn model(&self) -> Result<ModelId, EmbedError> {
        Ok(ModelId::new("lengths", 2, &[]).unwrap())
    }
    fn batch(&self) -> usize {
        4
    }
    async fn passages(&self, texts: Vec<String>) -> Result<Vec<Vector>, EmbedError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if let Some(error) = self.down.lock().clone() {
            return Err(error);
        }
        if texts.iter().any(|text| text.starts_with("bad")) {
            return Err(EmbedError::Permanent("refused".to_owned()));
        }
        Ok(texts.iter().map(|text| Vector::of(&[text.len() as f32, 1.0]).unwrap()).collect())
    }
    async fn query(&self, _text: &str) -> Result<Vector, EmbedError> {
        Err(EmbedError::Permanent("not here".to_owned()))
    }
}

/// Passages without vectors, and the order in which projects got vectors.
struct Texts {
    name: &'static str,
    left: Mutex<Vec<Passage>>,
    kept: Mutex<Vec<UnitHash>>,
    order: Arc<Mutex<Vec<&'static str>>>,
    closed: AtomicUsize,
}

impl Texts {
    fn new(name: &'static str, texts: &[String], order: &Arc<Mutex<Vec<&'static str>>>) -> Arc<Self> {
        let passage = |text: &String| Passage { hash: UnitHash::of(text), text: text.clone() };
        let left = Mutex::new(texts.iter().map(passage).collect());
        Arc::new(Self {
            name,
            left,
            kept: Mutex::default(),
            order: Arc::clone(order),
            closed: AtomicUsize::new(0),
        })
    }
}

#[async_trait]
impl VectorProject for Texts {
    async fn open(&self, _model: &ModelId) -> Result<Progress, StoreError> {
        Ok(Progress::Ready)
    }
    async fn count(&self) -> DenseCount {
        let (left, kept) = (self.left.lock().len(), self.kept.lock().len());
        DenseCount { passages: left + kept, vectors: kept, ..DenseCount::default() }
    }
    async fn missing(
        &self,
        _model: &ModelId,
        most: usize,
        _bytes: usize,
        skipped: &HashSet<UnitHash>,
    ) -> Result<Vec<Passage>, StoreError> {
        let left = self.left.lock();
        Ok(left.iter().filter(|one| !skipped.contains(&one.hash)).take(most).cloned().collect())
    }
    async fn keep(&self, _model: &ModelId, made: Vec<(UnitHash, Vector)>) -> Result<Progress, StoreError> {
        self.order.lock().push(self.name);
        self.left.lock().retain(|one| made.iter().all(|(hash, _)| *hash != one.hash));
        self.kept.lock().extend(made.into_iter().map(|(hash, _)| hash));
        Ok(Progress::Ready)
    }
    async fn close(&self, _model: &ModelId) {
        self.closed.fetch_add(1, Ordering::SeqCst);
    }
}

fn texts(name: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{name} {number}")).collect()
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{what} did not happen");
}

#[tokio::test(start_paused = true)]
async fn a_large_project_does_not_delay_a_small_one() {
    let order = Arc::default();
    let (large, small) =
        (Texts::new("large", &texts("l", 400), &order), Texts::new("small", &texts("s", 8), &order));
    let maker = Maker::new(Arc::new(Lengths::default()), MakerOptions::default());
    maker.request("large", large.clone());
    maker.request("small", small.clone());
    until("the end", || maker.usage().projects == 0).await;
    assert_eq!((large.kept.lock().len(), small.kept.lock().len()), (400, 8));
    let order = order.lock();
    let last_of_small = order.iter().rposition(|name| *name == "small").unwrap();
    assert!(last_of_small < 5, "{last_of_small}");
    assert_eq!((maker.usage().made, maker.usage().waiting, maker.usage().failed), (408, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_failing_embedder_is_retried_with_growing_pauses_and_nothing_is_lost() {
    let project = Texts::new("one", &texts("t", 8), &Arc::default());
    let embedder = Arc::new(Lengths::default());
    *embedder.down.lock() = Some(EmbedError::Temporary("down".to_owned()));
    let maker = Maker::new(embedder.clone(), MakerOptions::default());
    maker.request("one", project.clone());
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let usage = maker.usage();
    assert_eq!((usage.made, usage.waiting, usage.last_error.as_deref()), (0, 8, Some("down")));
    assert!((10..40).contains(&usage.failed), "{}", usage.failed);
    *embedder.down.lock() = None;
    until("the end", || maker.usage().projects == 0).await;
    assert_eq!((maker.usage().made, maker.usage().last_error), (8, None));
}

#[tokio::test(start_paused = true)]
async fn one_text_that_the_model_refuses_does_not_stop_the_others() {
    let mut all = texts("t", 6);
    all.insert(2, "bad".to_owned());
    let project = Texts::new("one", &all, &Arc::default());
    let maker = Maker::new(Arc::new(Lengths::default()), MakerOptions::default());
    maker.request("one", project.clone());
    until("the end", || maker.usage().projects == 0).await;
    assert_eq!((maker.usage().made, maker.usage().failed), (6, 1));
    assert_eq!(project.left.lock().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refused_text_is_offered_again_after_a_while_and_not_with_each_search() {
    let project = Texts::new("one", &["bad".to_owned()], &Arc::default());
    let embedder = Arc::new(Lengths::default());
    let maker = Maker::new(embedder.clone(), MakerOptions::default());
    // Each search requests missing vectors: a hundred in a minute.
    for _ in 0..100 {
        maker.request("one", project.clone());
        tokio::time::sleep(Duration::from_millis(600)).await;
    }
    // The batch, the trial of the settings, and the text by itself.
    assert_eq!((embedder.calls.load(Ordering::SeqCst), maker.usage().failed), (3, 1));
    tokio::time::sleep(Duration::from_secs(24 * 3600)).await;
    maker.request("one", project.clone());
    until("the end", || maker.usage().projects == 0).await;
    assert_eq!(maker.usage().failed, 2);
}

#[tokio::test(start_paused = true)]
async fn too_many_refused_texts_end_the_work_for_now() {
    let mut all = texts("bad", 1200);
    all.extend(texts("t", 6));
    let project = Texts::new("one", &all, &Arc::default());
    let embedder = Arc::new(Lengths::default());
    let maker = Maker::new(embedder.clone(), MakerOptions::default());
    maker.request("one", project.clone());
    until("the end", || maker.usage().projects == 0).await;
    // A batch of four, the trial, and each by itself: no text is offered twice.
    assert!(embedder.calls.load(Ordering::SeqCst) < 2000, "{embedder:?}");
}

#[tokio::test(start_paused = true)]
async fn wrong_settings_skip_no_text_and_are_retried_rarely() {
    let project = Texts::new("one", &texts("t", 8), &Arc::default());
    let embedder = Arc::new(Lengths::default());
    *embedder.down.lock() = Some(EmbedError::Permanent("wrong key".to_owned()));
    let maker = Maker::new(embedder.clone(), MakerOptions::default());
    maker.request("one", project.clone());
    tokio::time::sleep(Duration::from_secs(3000)).await;
    assert!(embedder.calls.load(Ordering::SeqCst) <= 22, "{embedder:?}");
    *embedder.down.lock() = None;
    until("the end", || maker.usage().projects == 0).await;
    assert_eq!(maker.usage().made, 8);
}

#[tokio::test(start_paused = true)]
async fn the_queue_is_bounded_and_a_stop_empties_it() {
    let maker = Maker::new(Arc::new(Lengths::default()), MakerOptions::default());
    let project = Texts::new("one", &texts("t", 1), &Arc::default());
    for number in 0..PROJECTS + 3 {
        maker.request(&number.to_string(), project.clone());
    }
    assert_eq!((maker.usage().projects, maker.usage().refused), (PROJECTS, 3));
    maker.stop(Duration::from_secs(1)).await;
    maker.request("late", project.clone());
    assert_eq!(maker.usage().projects, 0);
    assert_eq!(project.closed.load(Ordering::SeqCst), PROJECTS, "each right was released");
}
