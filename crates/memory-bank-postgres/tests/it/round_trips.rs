//! The number of round trips of each use case, counted by a proxy between the store and the database.

use std::collections::BTreeMap;

use memory_bank_core::clock::{Clock, SystemClock};
use memory_bank_core::document::{TrackProgress, track_progress, with_archiving};
use memory_bank_core::identity::KeyDirectory;
use memory_bank_core::limits;
use memory_bank_core::limits::REPLY_BYTES;
use memory_bank_core::search::Query;
use memory_bank_core::store::{
    BackupStore, BatchObservation, DocumentSearch, DocumentStore, Drafts, EntityDraft, EntityRef, EventStore,
    GraphBatch, GraphStore, ObservationDraft, SearchStore, StateStore,
};
use memory_bank_postgres::PostgresBank;
use memory_bank_test_postgres::SERVER;
use memory_bank_test_postgres::proxy::CountingProxy;

use crate::support::{Bench, new_key, path, write};

/// The maximum number of rounds to find the minimum.
const ROUNDS: usize = 16;

/// The lowest number of round trips of each use case, and the expected number. On a busy machine an answer may come in
/// pieces, and messages sent between them count as another trip: this only adds to the number.
#[derive(Default)]
struct Trips(BTreeMap<&'static str, (usize, usize)>);

impl Trips {
    fn note(&mut self, round: usize, what: &'static str, took: usize, right: usize) {
        // Statements are prepared once per connection; later uses are measured.
        if round >= 2 {
            let (least, _) = self.0.entry(what).or_insert((took, right));
            *least = took.min(*least);
        }
    }

    /// Whether there were enough rounds.
    fn are_right(&self, rounds: usize) -> bool {
        rounds >= 4 && self.0.values().all(|(least, right)| least == right)
    }

    fn check(&self) {
        for (what, (least, right)) in &self.0 {
            assert_eq!(least, right, "round trips of {what}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_takes_one_round_trip_and_an_edit_two() {
    let bench = Bench::new().await;
    let caller = bench.tenant("alice", "demo").await;
    let proxy = CountingProxy::to(bench.test.port());
    let url = format!("postgres://{SERVER}@127.0.0.1:{}/{}?sslmode=disable", proxy.port(), bench.test.name());
    let database = bench.open(&url, 1);
    let bank = PostgresBank::new(database.clone(), "demo".to_owned());
    let (plain, _) = new_key();
    let draft = || EntityDraft { name: "a".into(), entity_type: "t".into(), attrs: None };
    let fact = |text: &str| ObservationDraft { text: text.into(), ..ObservationDraft::default() };
    let wanted = DocumentSearch {
        query: Query::parse("one").unwrap(),
        files: Vec::new(),
        limit: 5,
        case_sensitive: false,
        days: (None, None),
        holding_at: None,
    };
    let mut trips = Trips::default();
    for round in 0..ROUNDS {
        if trips.are_right(round) {
            break;
        }
        let mut count = |what: &'static str, right: usize| trips.note(round, what, proxy.take(), right);
        proxy.take();
        write(&bank, &caller, "a.md", &format!("one {round}")).await.unwrap();
        count("an edit", 2);
        bank.read(&caller, &[path("a.md"), path("b.md")]).await.unwrap();
        count("a read", 1);
        bank.list(&caller).await.unwrap();
        count("a list", 1);
        bank.upsert_entity(&caller, draft()).await.unwrap();
        count("an upsert", 2);
        bank.add_observation(&caller, &EntityRef("a".into()), fact(&round.to_string())).await.unwrap();
        count("an observation", 2);
        let batch = || GraphBatch {
            entities: (0..20).map(|n| EntityDraft { name: format!("e{n} {round}"), ..draft() }).collect(),
            observations: (0..40)
                .map(|n| BatchObservation {
                    entity: EntityRef(format!("e{} {round}", n % 20)),
                    draft: fact(&n.to_string()),
                })
                .collect(),
            ..GraphBatch::default()
        };
        bank.apply_batch(&caller, batch()).await.unwrap();
        count("a batch of sixty", 2);
        bank.apply_batch(&caller, batch()).await.unwrap();
        count("the same batch again", 2);
        bank.open(&caller, &[EntityRef("a".into())], 2, REPLY_BYTES, memory_bank_core::graph::FactView::ALL)
            .await
            .unwrap();
        count("opening nodes", 1);
        bank.summary(&caller, Some(0)).await.unwrap();
        count("a summary", 1);
        database.load(&caller).await.unwrap();
        count("the state", 1);
        database.update(&caller, &mut |state| state.umb_active = !state.umb_active).await.unwrap();
        count("a change of the state", 2);
        KeyDirectory::find(&database, &plain.hash()).await.unwrap();
        count("a key", 1);
        database.append(&[]).await.unwrap();
        count("no events", 0);
        bank.list_backups(&caller, None).await.unwrap();
        count("the list of backups", 1);
        bank.search_documents(&caller, &wanted).await.unwrap();
        proxy.take();
        bank.search_documents(&caller, &wanted).await.unwrap();
        count("a search of what is known", 1);
    }
    trips.check();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archiving_edit_takes_three_round_trips() {
    let bench = Bench::new().await;
    let caller = bench.tenant("alice", "demo").await;
    let proxy = CountingProxy::to(bench.test.port());
    let url = format!("postgres://{SERVER}@127.0.0.1:{}/{}?sslmode=disable", proxy.port(), bench.test.name());
    let database = bench.open(&url, 1);
    let bank = PostgresBank::new(database.clone(), "demo".to_owned());
    let now = SystemClock.now();
    let entry = |mark: &str| TrackProgress {
        action: mark.to_owned(),
        description: "x".repeat(8000),
        update_active_context: false,
    };
    let line = format!("- [2026-01-01 10:00:00] [a] - Did: it {}\n", "y".repeat(4000));
    let full = format!("# P\n\n## Update History\n{}", line.repeat(limits::DOCUMENT_BYTES / line.len()));
    let mut counted = Trips::default();
    for round in 0..ROUNDS {
        if counted.are_right(round) {
            break;
        }
        write(&bank, &caller, "progress.md", &full).await.unwrap();
        for archives in [true, false] {
            let entry = entry(&format!("turn {round}"));
            let mut archived = Vec::new();
            let mut editor = |drafts: &mut Drafts| {
                archived = with_archiving(drafts, now, |drafts| track_progress(drafts, &entry, now, "a"))?.1;
                Ok(())
            };
            proxy.take();
            bank.edit(&caller, &entry.paths(), &mut editor).await.unwrap();
            let (what, right) = if archives { ("an edit that archives", 3) } else { ("the next edit", 2) };
            counted.note(round, what, proxy.take(), right);
            assert_eq!(!archived.is_empty(), archives);
        }
    }
    counted.check();
    let names: Vec<String> = bank.list(&caller).await.unwrap().into_iter().map(|entry| entry.name).collect();
    assert!(names.iter().any(|name| name.ends_with("-2.md")), "{names:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_fact_takes_no_more_round_trips_and_uses_an_index() {
    let bench = Bench::new().await;
    let caller = bench.tenant("alice", "demo").await;
    let proxy = CountingProxy::to(bench.test.port());
    let url = format!("postgres://{SERVER}@127.0.0.1:{}/{}?sslmode=disable", proxy.port(), bench.test.name());
    let database = bench.open(&url, 1);
    let bank = PostgresBank::new(database.clone(), "demo".to_owned());
    let draft = EntityDraft { name: "a".into(), entity_type: "t".into(), attrs: None };
    bank.upsert_entity(&caller, draft).await.unwrap();
    let mut counted = Trips::default();
    for round in 0..ROUNDS {
        if counted.are_right(round) {
            break;
        }
        for (what, text) in [("a known fact", "one".to_owned()), ("a new fact", format!("new {round}"))] {
            let fact = ObservationDraft { text, ..ObservationDraft::default() };
            proxy.take();
            bank.add_observation(&caller, &EntityRef("a".into()), fact).await.unwrap();
            counted.note(round, what, proxy.take(), 2);
        }
    }
    counted.check();
    // Under row-level security an index serves only leakproof conditions, so the plan is checked as the querying role.
    let project = caller.project.0;
    bench.test.psql(&format!(
        "INSERT INTO public.graph_observations (project_id, id, entity_id, content, \"timestamp\", at) \
         SELECT '{project}', 'obs_' || n, (SELECT id FROM public.graph_entities WHERE project_id = '{project}'), 'fact ' || n, \
         '2026-01-01', 0 FROM generate_series(1, 20000) AS n; ANALYZE public.graph_observations"
    ));
    let plan = bench.test.psql(&format!(
        "BEGIN; SELECT set_config('app.current_user_id', '{}', true), set_config('app.current_project_id', '{project}', true), \
         set_config('app.current_key_id', '{}', true); SET LOCAL ROLE app_user; \
         EXPLAIN SELECT id FROM public.graph_observations WHERE project_id = '{project}' AND entity_id = 'ent_x' \
         AND content_hash = hashtextextended('fact 7', 0) AND content = 'fact 7' ORDER BY seq LIMIT 1; COMMIT",
        caller.user.0,
        caller.key.map(|key| key.0.to_string()).unwrap_or_default(),
    ));
    assert!(plan.contains("graph_observations_hash_idx"), "{plan}");
}
