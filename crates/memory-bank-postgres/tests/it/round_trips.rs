//! How many round trips a use case costs, counted by a proxy between the store and the database.

use memory_bank_core::identity::KeyDirectory;
use memory_bank_core::search::Query;
use memory_bank_core::store::{
    BackupStore, DocumentSearch, DocumentStore, EntityDraft, EntityRef, EventStore, GraphStore,
    ObservationDraft, SearchStore, StateStore,
};
use memory_bank_postgres::PostgresBank;
use memory_bank_test_postgres::SERVER;
use memory_bank_test_postgres::proxy::CountingProxy;

use crate::support::{Bench, new_key, path, write};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_costs_one_round_trip_and_an_edit_two() {
    let bench = Bench::new().await;
    let caller = bench.tenant("alice", "demo").await;
    let proxy = CountingProxy::to(bench.test.port());
    let url = format!("postgres://{SERVER}@127.0.0.1:{}/{}?sslmode=disable", proxy.port(), bench.test.name());
    let database = bench.open(&url, 1);
    let bank = PostgresBank::new(database.clone(), "demo".to_owned());
    let (plain, _) = new_key();
    let draft = || EntityDraft { name: "a".into(), entity_type: "t".into(), attrs: None };
    let fact = |text: &str| ObservationDraft { text: text.into(), source: None, timestamp: None };
    let wanted = DocumentSearch {
        query: Query::parse("one").unwrap(),
        files: Vec::new(),
        limit: 5,
        case_sensitive: false,
    };
    // Statements are prepared once a connection; what counts is every time after that.
    for round in 0..4 {
        let count = |what: &str, most: usize| {
            let trips = proxy.take();
            assert!(round < 2 || trips == most, "{what} took {trips} round trips, not {most}");
        };
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
        bank.open(&caller, &[EntityRef("a".into())], 2).await.unwrap();
        count("opening nodes", 1);
        bank.summary(&caller).await.unwrap();
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
}
