//! The folder store, called directly: the cost of a tool without the protocol.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use memory_bank_core::caller::Caller;
use memory_bank_core::clock::{Clock, SystemClock, SystemEntropy};
use memory_bank_core::document::{self, DocumentPath, Edit, TrackProgress};
use memory_bank_core::error::EditError;
use memory_bank_core::limits;
use memory_bank_core::search::Query;
use memory_bank_core::store::{
    DocumentSearch, DocumentStore, Drafts, EntityRef, GraphSearch, GraphStore, NoSink, ObservationDraft,
    SearchStore,
};
use memory_bank_folder::{Deps, FolderBank};

use crate::bank::{Content, HUB, SizedBank};
use crate::report::{Expected, Row, interleaved};
use crate::{APPEND_GROWTH, Plan, SEARCH, edits};

/// A bank, opened.
struct Open {
    on_disk: SizedBank,
    bank: FolderBank,
    caller: Caller,
}

impl Open {
    fn new(on_disk: SizedBank) -> Self {
        let bank = open(&on_disk);
        Self { on_disk, bank, caller: Caller::local("bench") }
    }

    async fn append(&self, entity: &str, round: usize) -> anyhow::Result<Duration> {
        let draft =
            ObservationDraft { text: format!("Measured in round {round}"), ..ObservationDraft::default() };
        let entity = EntityRef(entity.to_owned());
        timed(self.bank.add_observation(&self.caller, &entity, draft)).await
    }

    async fn search_graph(&self, question: &str) -> anyhow::Result<Duration> {
        let wanted = GraphSearch {
            query: Some(Query::parse(question)?),
            limit: 10,
            depth: 0,
            bytes: limits::REPLY_BYTES,
            skip: memory_bank_core::store::Skip::default(),
            view: memory_bank_core::graph::FactView::ALL,
        };
        timed(self.bank.search_graph(&self.caller, &wanted)).await
    }

    async fn search_documents(&self, question: &str) -> anyhow::Result<Duration> {
        let query = Query::parse(question)?;
        let wanted = DocumentSearch {
            query,
            files: Vec::new(),
            limit: 20,
            case_sensitive: false,
            days: (None, None),
            holding_at: None,
        };
        timed(self.bank.search_documents(&self.caller, &wanted)).await
    }

    async fn edit(
        &self,
        paths: &[DocumentPath],
        mut rule: impl FnMut(&mut Drafts) -> Result<(), EditError> + Send,
    ) -> anyhow::Result<Duration> {
        timed(self.bank.edit(&self.caller, paths, &mut rule)).await
    }

    async fn edit_a_line(&self, round: usize) -> anyhow::Result<Duration> {
        let path = DocumentPath::parse("progress.md")?;
        let (old, new) = edits(round);
        let edits = [Edit::Replace { old, new, count: 1 }];
        let paths = [path.clone()];
        self.edit(&paths, |drafts| document::edit_document(drafts, &path, &edits, None).map(|_| ())).await
    }

    async fn track_progress(&self, round: usize) -> anyhow::Result<Duration> {
        let asked = TrackProgress {
            action: "Measured".to_owned(),
            description: format!("round {round}"),
            update_active_context: true,
        };
        let now = SystemClock.now();
        self.edit(&asked.paths(), |drafts| document::track_progress(drafts, &asked, now, "bench").map(|_| ()))
            .await
    }
}

fn open(on_disk: &SizedBank) -> FolderBank {
    let deps =
        Deps { clock: Arc::new(SystemClock), entropy: Arc::new(SystemEntropy), sink: Arc::new(NoSink) };
    FolderBank::new(on_disk.path(), on_disk.project().to_owned(), deps)
}

/// Measures the graph.
pub async fn graph(plan: &Plan, place: &Path) -> anyhow::Result<Vec<Row>> {
    let mut banks = banks(plan, place, Content::Graph)?;
    let mut rows = Vec::new();
    let cells = interleaved(plan.rounds, &mut banks, async |open, round| {
        open.append(&SizedBank::entity(round), round).await
    })
    .await;
    rows.push(Row::new("append an observation", cells).expecting(Expected::Growth(APPEND_GROWTH)));
    let cells = interleaved(plan.rounds, &mut banks, async |open, round| open.append(HUB, round).await).await;
    rows.push(
        Row::new("append to the entity that holds a quarter of all", cells)
            .expecting(Expected::Growth(APPEND_GROWTH)),
    );
    let cells = interleaved(plan.rounds, &mut banks, async |open, round| {
        open.search_graph(open.on_disk.question(round)).await
    })
    .await;
    rows.push(Row::new("search, three words", cells).expecting(Expected::Under(SEARCH)));
    let cells = interleaved(plan.rounds, &mut banks, async |open, _| {
        open.search_graph(&open.on_disk.frequent_question).await
    })
    .await;
    rows.push(Row::new("search, the three most frequent words", cells).expecting(Expected::Under(SEARCH)));
    let cells = interleaved(plan.rounds, &mut banks, async |open, round| {
        open.append(HUB, plan.rounds + 1 + round).await?;
        open.search_graph(open.on_disk.question(round)).await
    })
    .await;
    rows.push(Row::new("search after an append", cells).expecting(Expected::Under(SEARCH)));
    let cells = interleaved(plan.rounds, &mut banks, async |open, round| {
        let node = [EntityRef(SizedBank::entity(round))];
        timed(open.bank.open(
            &open.caller,
            &node,
            1,
            limits::REPLY_BYTES,
            memory_bank_core::graph::FactView::ALL,
        ))
        .await
    })
    .await;
    rows.push(Row::new("open an entity with its neighbours", cells));
    let cells = interleaved(plan.few_rounds, &mut banks, async |open, round| {
        open.bank = self::open(&open.on_disk);
        open.append("Component 2", 2 * plan.rounds + 2 + round).await
    })
    .await;
    rows.push(Row::new("first append after opening", cells));
    let cells = interleaved(plan.few_rounds, &mut banks, async |open, round| {
        open.bank = self::open(&open.on_disk);
        open.search_graph(open.on_disk.question(round)).await
    })
    .await;
    rows.push(Row::new("first search after opening", cells));
    Ok(rows)
}

/// Measures documents.
pub async fn documents(plan: &Plan, place: &Path) -> anyhow::Result<Vec<Row>> {
    let mut banks = banks(plan, place, Content::Documents)?;
    let mut rows = Vec::new();
    let cells = interleaved(plan.rounds, &mut banks, async |open, round| open.edit_a_line(round).await).await;
    rows.push(Row::new("edit a line", cells));
    let cells =
        interleaved(plan.rounds, &mut banks, async |open, round| open.track_progress(round).await).await;
    rows.push(Row::new("track progress", cells));
    // Files that were written this moment are read once more.
    tokio::time::sleep(crate::SETTLED).await;
    let cells = interleaved(plan.rounds, &mut banks, async |open, round| {
        open.search_documents(open.on_disk.question(round)).await
    })
    .await;
    rows.push(Row::new("search, three words", cells).expecting(Expected::Under(SEARCH)));
    let cells = interleaved(plan.rounds, &mut banks, async |open, _| {
        open.search_documents(&open.on_disk.frequent_question).await
    })
    .await;
    rows.push(Row::new("search, the three most frequent words", cells).expecting(Expected::Under(SEARCH)));
    let cells = interleaved(plan.few_rounds, &mut banks, async |open, round| {
        open.track_progress(plan.rounds + 1 + round).await?;
        open.search_documents(open.on_disk.question(round)).await
    })
    .await;
    rows.push(Row::new("search after progress was tracked", cells).expecting(Expected::Under(SEARCH)));
    let cells = interleaved(plan.few_rounds, &mut banks, async |open, round| {
        open.bank = self::open(&open.on_disk);
        open.search_documents(open.on_disk.question(round)).await
    })
    .await;
    rows.push(Row::new("first search after opening", cells));
    Ok(rows)
}

fn banks(plan: &Plan, place: &Path, content: Content) -> anyhow::Result<Vec<Open>> {
    plan.sizes.iter().map(|items| Ok(Open::new(SizedBank::make(place, content, *items)?))).collect()
}

async fn timed<T, E: std::error::Error + Send + Sync + 'static>(
    work: impl Future<Output = Result<T, E>>,
) -> anyhow::Result<Duration> {
    let began = Instant::now();
    let outcome = work.await;
    let took = began.elapsed();
    outcome?;
    Ok(took)
}
