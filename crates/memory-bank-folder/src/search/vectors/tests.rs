use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use memory_bank_core::caller::Caller;
use memory_bank_core::clock::{SystemClock, SystemEntropy};
use memory_bank_core::search::{EmbedError, Embedder, IndexBudget, Query};
use memory_bank_core::store::{DocumentSearch, NoSink, SearchStore};
use memory_bank_vectors::{Maker, MakerOptions};

use super::*;
use crate::bank::Deps;
use crate::search::{FolderIndexes, SealLocation};
use crate::state_folder::StateFolder;

#[derive(Debug, Default)]
struct Lengths(AtomicU64, &'static str);

#[async_trait]
impl Embedder for Lengths {
    async fn model(&self) -> Result<ModelId, EmbedError> {
        Ok(ModelId::new(self.1, 2, &[]).unwrap())
    }
    fn batch(&self) -> usize {
        4
    }
    async fn passages(&self, texts: Vec<String>) -> Result<Vec<Vector>, EmbedError> {
        self.0.fetch_add(texts.len() as u64, Ordering::SeqCst);
        Ok(texts.iter().map(|text| Vector::of(&[text.len() as f32, 1.0]).unwrap()).collect())
    }
    async fn query(&self, text: &str) -> Result<Vector, EmbedError> {
        Ok(Vector::of(&[text.len() as f32, 1.0]).unwrap())
    }
}

/// Searches the bank as a new process would, and returns the number of computed vectors.
async fn made(path: &std::path::Path, model: &'static str) -> u64 {
    made_by(path, model, "user").await
}

/// The vectors, opened as one of several users.
async fn made_by(path: &std::path::Path, model: &'static str, user: &str) -> u64 {
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
    let deps = Deps { clock, entropy, sink: Arc::new(NoSink) };
    let short = Duration::from_millis(5);
    let maker = Maker::new(
        Arc::new(Lengths(AtomicU64::default(), model)),
        MakerOptions { delay: short, retry: short, pause: short },
    );
    let indexes = Arc::new(FolderIndexes::default());
    indexes.maker.set(maker.clone()).unwrap();
    let state = Some(StateFolder::new(path.parent().unwrap().join(user)));
    indexes.seal_location.set(SealLocation { state, project: path.to_owned() }).unwrap();
    let bank = FolderBank::new(path.to_owned(), path.parent().unwrap().to_owned(), deps).sharing(&indexes);
    let wanted = DocumentSearch {
        query: Query::parse("harbour").unwrap(),
        files: Vec::new(),
        limit: 20,
        case_sensitive: false,
        days: (None, None),
        holding_at: None,
    };
    bank.search_documents(&Caller::local("me"), &wanted).await.unwrap();
    for _ in 0..3000 {
        if maker.usage().projects == 0 {
            let count = bank.search.indexed.read().index.dense_count();
            assert_eq!((count.passages, count.vectors), (10, 10));
            return maker.usage().made;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{:?}", maker.usage());
}

fn bank() -> (tempfile::TempDir, std::path::PathBuf) {
    let temp = tempfile::TempDir::new().unwrap();
    let path = temp.path().join("memory-bank");
    std::fs::create_dir_all(&path).unwrap();
    let lines: String = (0..10).map(|line| format!("- harbour number {line}\n")).collect();
    std::fs::write(path.join("a.md"), lines).unwrap();
    (temp, path)
}

#[tokio::test]
async fn vectors_are_computed_once_and_loaded_by_the_next_process() {
    let (_temp, path) = bank();
    assert_eq!(made(&path, "m").await, 10);
    assert_eq!(made(&path, "m").await, 0);
    assert_eq!(made(&path, "another").await, 10, "another model's are not used");
    assert_eq!(made(&path, "another").await, 0);
    assert_eq!(std::fs::read_to_string(path.join(".mbmcp/.gitignore")).unwrap(), "*\n");
}

#[tokio::test]
async fn torn_or_changed_vectors_are_computed_again_and_the_others_kept() {
    let (_temp, path) = bank();
    assert_eq!(made(&path, "m").await, 10);
    let file = path.join(".mbmcp/vectors");
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() - 5]).unwrap();
    assert_eq!(made(&path, "m").await, 1, "the last record was torn");
    let mut changed = std::fs::read(&file).unwrap();
    assert_eq!(changed.len(), whole.len(), "what was torn is written over");
    changed[64 + 17] ^= 1;
    std::fs::write(&file, &changed).unwrap();
    assert_eq!(made(&path, "m").await, 1, "the first record was changed");
    for planted in [&b""[..], b"not a file of vectors", &vec![0xff; 100_000]] {
        std::fs::write(&file, planted).unwrap();
        assert_eq!(made(&path, "m").await, 10);
        assert_eq!(made(&path, "m").await, 0);
    }
}

#[tokio::test]
async fn a_vector_file_from_the_repository_is_replaced() {
    let (_temp, path) = bank();
    // As another user would make and commit it: whole, with checksums that fit, for these very texts.
    assert_eq!(made_by(&path, "m", "attacker").await, 10);
    assert_eq!(made_by(&path, "m", "attacker").await, 0);
    assert_eq!(made(&path, "m").await, 10, "nothing of it is used");
    assert_eq!(made(&path, "m").await, 0);
    // Its records below a valid header are not used either.
    let file = path.join(".mbmcp/vectors");
    let ours = std::fs::read(&file).unwrap();
    assert_eq!(made_by(&path, "m", "attacker").await, 10);
    let theirs = std::fs::read(&file).unwrap();
    std::fs::write(&file, [&ours[..64], &theirs[64..]].concat()).unwrap();
    assert_eq!(made(&path, "m").await, 10);
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_in_place_of_the_vector_file_is_replaced_and_never_written_through() {
    let (temp, path) = bank();
    let other = temp.path().join("other");
    std::fs::write(&other, "precious").unwrap();
    std::fs::create_dir_all(path.join(".mbmcp")).unwrap();
    std::os::unix::fs::symlink(&other, path.join(".mbmcp/vectors")).unwrap();
    assert_eq!(made(&path, "m").await, 10);
    assert_eq!(std::fs::read_to_string(&other).unwrap(), "precious");
    assert_eq!(made(&path, "m").await, 0);
}

#[tokio::test]
async fn two_concurrent_processes_compute_each_vector_once() {
    let (_temp, path) = bank();
    let (one, other) = tokio::join!(made(&path, "m"), made(&path, "m"));
    assert_eq!(one + other, 10);
}

#[tokio::test]
async fn vectors_count_against_the_memory_for_indexes_and_a_search_reports_missing_room() {
    for (room, gap) in [(64 * 1024 * 1024, None), (96 * 1024, Some(VectorGap::NoMemory))] {
        let (_temp, path) = bank();
        let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
        let deps = Deps { clock, entropy, sink: Arc::new(NoSink) };
        let short = Duration::from_millis(5);
        let maker = Maker::new(
            Arc::new(Lengths(AtomicU64::default(), "m")),
            MakerOptions { delay: short, retry: short, pause: short },
        );
        let budget = IndexBudget { total: room, per_project: room };
        let indexes = Arc::new(FolderIndexes::new(budget, Duration::from_secs(3600)));
        let bank = FolderBank::new(path.clone(), path.parent().unwrap().to_owned(), deps).sharing(&indexes);
        let wanted = DocumentSearch {
            query: Query::parse("harbour").unwrap().with_meaning(Vector::of(&[1.0, 1.0]).unwrap()),
            files: Vec::new(),
            limit: 20,
            case_sensitive: false,
            days: (None, None),
            holding_at: None,
        };
        let found = bank.search_documents(&Caller::local("me"), &wanted).await.unwrap();
        assert_eq!((found.hits.len(), found.meaning), (10, None), "no model is set");
        let before = indexes.used_bytes();
        indexes.maker.set(maker.clone()).unwrap();
        bank.request_vectors();
        for _ in 0..3000 {
            if maker.usage().projects == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let found = bank.search_documents(&Caller::local("me"), &wanted).await.unwrap();
        let meaning = found.meaning.unwrap();
        assert_eq!((found.hits.len(), meaning.gap), (10, gap));
        assert_eq!(meaning.vectors, if gap.is_some() { 0 } else { 10 });
        // A piece of memory for a thousand vectors of two values.
        assert_eq!(
            indexes.used_bytes() >= before + 2 * 1024,
            gap.is_none(),
            "{before} {}",
            indexes.used_bytes()
        );
        assert!(indexes.used_bytes() <= room);
    }
}
