//! Vectors are computed once, stored per project, loaded by other replicas, and visible to its readers only.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use memory_bank_core::caller::{Caller, Right};
use memory_bank_core::search::{EmbedError, Embedder, ModelId, Query, Vector};
use memory_bank_core::store::{DocumentSearch, SearchStore};
use memory_bank_postgres::{Database, PostgresBank};
use memory_bank_vectors::MakerOptions;

use crate::edit_groups::{Holder, appended};
use crate::support::{Bench, write};

/// A model whose vectors depend on the letters of a text alone.
#[derive(Debug)]
struct Letters {
    name: &'static str,
    made: AtomicU64,
}

impl Letters {
    fn new(name: &'static str) -> Arc<Self> {
        Arc::new(Self { name, made: AtomicU64::default() })
    }

    fn made(&self) -> u64 {
        self.made.load(Ordering::SeqCst)
    }
}

fn vector(text: &str) -> Vector {
    let mut values = [0.1_f32; 26];
    for character in text.bytes().filter(u8::is_ascii_lowercase) {
        values[usize::from(character - b'a')] += 1.0;
    }
    Vector::of(&values).unwrap()
}

#[async_trait]
impl Embedder for Letters {
    async fn model(&self) -> Result<ModelId, EmbedError> {
        Ok(ModelId::new(self.name, 26, &[]).unwrap())
    }
    fn batch(&self) -> usize {
        4
    }
    async fn passages(&self, texts: Vec<String>) -> Result<Vec<Vector>, EmbedError> {
        self.made.fetch_add(texts.len() as u64, Ordering::SeqCst);
        Ok(texts.iter().map(|text| vector(text)).collect())
    }
    async fn query(&self, text: &str) -> Result<Vector, EmbedError> {
        Ok(vector(text))
    }
}

fn quick() -> MakerOptions {
    let short = Duration::from_millis(10);
    MakerOptions { delay: short, retry: short, pause: short }
}

fn replica(bench: &Bench, model: &Arc<Letters>) -> Database {
    bench.another().with_embedder(model.clone(), quick())
}

async fn search(database: &Database, caller: &Caller) {
    let wanted = DocumentSearch {
        query: Query::parse("harbour").unwrap(),
        files: Vec::new(),
        limit: 10,
        case_sensitive: false,
        days: (None, None),
        holding_at: None,
    };
    PostgresBank::new(database.clone(), "demo".into()).search_documents(caller, &wanted).await.unwrap();
}

async fn idle(database: &Database) {
    for _ in 0..3000 {
        if database.vector_use().is_some_and(|usage| usage.projects == 0) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("vectors were not made: {:?}", database.vector_use());
}

fn text(lines: usize) -> String {
    (0..lines).map(|line| format!("- harbour number {line}\n")).collect()
}

#[tokio::test]
async fn vectors_are_computed_once_and_loaded_by_the_next_replica() {
    let bench = Bench::new().await;
    let caller = bench.tenant("alice", "demo").await;
    write(&bench.bank(), &caller, "a.md", &text(10)).await.unwrap();
    let model = Letters::new("letters");
    let first = replica(&bench, &model);
    search(&first, &caller).await;
    idle(&first).await;
    assert_eq!(model.made(), 10);
    let stored = "SELECT count(*), min(octet_length(vector)), (SELECT sum(vectors) FROM app.vector_sets) FROM app.vectors";
    assert_eq!(bench.test.psql(stored), "10|30|10");
    let second = replica(&bench, &model);
    search(&second, &caller).await;
    idle(&second).await;
    assert_eq!((model.made(), second.vector_use().unwrap().made), (10, 0), "they are loaded");
    // A write in a project in memory requests vectors for the new text, without a search.
    let there = PostgresBank::new(second.clone(), "demo".into());
    write(&there, &caller, "b.md", "- a quay\n").await.unwrap();
    idle(&second).await;
    assert_eq!(model.made(), 11);
    // The first replica takes that one over.
    search(&first, &caller).await;
    idle(&first).await;
    assert_eq!(model.made(), 11);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grouped_edits_request_vectors_without_a_search() {
    let bench = Bench::new().await;
    let caller = bench.tenant("alice", "demo").await;
    write(&bench.bank(), &caller, "log.md", "- a harbour\n").await.unwrap();
    let model = Letters::new("letters");
    let database = replica(&bench, &model);
    search(&database, &caller).await;
    idle(&database).await;
    let bank = PostgresBank::new(database.clone(), "demo".into());
    // The edit that the group waits for is refused: it requests nothing itself.
    let holder = Holder::of(&bank, &caller, &["log.md"], false).await;
    let edits = ["- a quay", "- a pier"].map(|line| appended(&bank, &caller, line));
    let (held, edits) = tokio::join!(holder.release(), join_all(edits));
    assert!(held.is_err());
    assert!(edits.iter().all(Result::is_ok), "{edits:?}");
    for _ in 0..3000 {
        if model.made() == 3 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{} vectors were made", model.made());
}

#[tokio::test]
async fn another_model_computes_its_own_vectors_and_old_ones_are_removed() {
    let bench = Bench::new().await;
    let caller = bench.tenant("alice", "demo").await;
    write(&bench.bank(), &caller, "a.md", &text(5)).await.unwrap();
    let (old, new) = (Letters::new("old"), Letters::new("new"));
    for model in [&old, &new] {
        let database = replica(&bench, model);
        search(&database, &caller).await;
        idle(&database).await;
        assert_eq!(model.made(), 5);
    }
    assert_eq!(bench.test.psql("SELECT count(*) FROM app.vectors"), "10");
    bench.test.psql("UPDATE app.vector_sets SET used_at = now() - interval '2 hours' WHERE name = 'old'");
    bench.test.psql("UPDATE app.vectors SET made_at = now() - interval '2 hours'");
    write(&bench.bank(), &caller, "a.md", &text(3)).await.unwrap();
    let database = replica(&bench, &new);
    search(&database, &caller).await;
    idle(&database).await;
    assert_eq!(new.made(), 5, "nothing is made again");
    let left = "SELECT (SELECT string_agg(name, ' ') FROM app.vector_sets), count(*), \
        (SELECT sum(vectors) FROM app.vector_sets) FROM app.vectors";
    assert_eq!(bench.test.psql(left), "new|3|3");
}

#[tokio::test]
async fn replicas_take_turns_computing_vectors_and_a_revoked_key_computes_none() {
    let bench = Bench::new().await;
    let caller = bench.tenant("alice", "demo").await;
    write(&bench.bank(), &caller, "a.md", &text(5)).await.unwrap();
    let model = Letters::new("letters");
    let database = replica(&bench, &model);
    search(&database, &caller).await;
    idle(&database).await;
    bench.test.psql(
        "DELETE FROM app.vectors; \
         UPDATE app.vector_sets SET vectors = 0, holder = gen_random_uuid(), held_until = now() + interval '1 hour'",
    );
    let other = replica(&bench, &model);
    search(&other, &caller).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!((model.made(), other.vector_use().unwrap().projects), (5, 1), "it waits");
    bench.test.psql("UPDATE app.vector_sets SET held_until = now() - interval '1 second'");
    idle(&other).await;
    assert_eq!((model.made(), bench.test.psql("SELECT count(*) FROM app.vectors").as_str()), (10, "5"));
    bench.test.psql("DELETE FROM app.vectors; UPDATE app.vector_sets SET vectors = 0");
    let third = replica(&bench, &model);
    search(&third, &caller).await;
    bench.test.psql("UPDATE api_keys SET revoked_at = now()");
    idle(&third).await;
    assert_eq!(bench.test.psql("SELECT count(*) FROM app.vectors"), "0");
}

#[tokio::test]
async fn without_a_model_no_vectors_are_stored_and_clearing_removes_one_project() {
    let bench = Bench::new().await;
    let (alice, bob) = (bench.tenant("alice", "one").await, bench.tenant("bob", "two").await);
    for caller in [&alice, &bob] {
        write(&bench.bank(), caller, "a.md", &text(5)).await.unwrap();
    }
    search(&bench.database, &alice).await;
    assert_eq!(
        (bench.database.vector_use(), bench.test.psql("SELECT count(*) FROM app.vector_sets")),
        (None, "0".into())
    );
    let model = Letters::new("letters");
    let database = replica(&bench, &model);
    for caller in [&alice, &bob] {
        search(&database, caller).await;
    }
    idle(&database).await;
    let stored = bench.owner.stored_vectors().await.unwrap();
    let figures: Vec<(&str, i64)> = stored.iter().map(|one| (one.slug.as_str(), one.vectors)).collect();
    assert_eq!(figures, [("one", 5), ("two", 5)]);
    assert_eq!(bench.owner.forget_vectors("one").await.unwrap(), 5);
    let left = "SELECT count(*), count(DISTINCT project_id) FROM app.vectors";
    assert_eq!(bench.test.psql(left), "5|1");
    bench.test.psql(&format!("DELETE FROM projects WHERE id = '{}'", bob.project.0));
    assert_eq!(bench.test.psql(left), "0|0", "vectors go with the project");
}

/// Runs SQL as the server's login with the context of this caller.
async fn as_caller(bench: &Bench, caller: &Caller, sql: &str) -> Result<(), String> {
    let (client, connection) =
        tokio_postgres::connect(&bench.test.url(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let context = format!(
        "SET app.current_user_id = '{}'; SET app.current_project_id = '{}'; SET app.current_key_id = '{}'; \
         SET app.current_key_hash = '{}'; SET ROLE app_user; ",
        caller.user.0,
        caller.project.0,
        caller.key.unwrap().0,
        caller.proof.unwrap().to_hex()
    );
    client.batch_execute(&format!("{context}{sql}")).await.map_err(|error| {
        error.as_db_error().map_or_else(|| error.to_string(), |error| error.code().code().to_owned())
    })
}

#[tokio::test]
async fn nobody_writes_a_vector_into_another_project_or_past_the_functions() {
    let bench = Bench::new().await;
    let (alice, bob) = (bench.tenant("alice", "one").await, bench.tenant("bob", "two").await);
    let reader = bench.with_scopes(&alice, vec![Right::Read]).await;
    write(&bench.bank(), &alice, "a.md", &text(5)).await.unwrap();
    // The same texts in a project of the attacker's, whose vectors he may make as he likes.
    write(&bench.bank(), &bob, "a.md", &text(5)).await.unwrap();
    let model = Letters::new("letters");
    let database = replica(&bench, &model);
    search(&database, &bob).await;
    idle(&database).await;
    let stored = "SELECT string_agg(v.unit::text || v.vector::text, ' ' ORDER BY v.unit) FROM app.vectors v \
        JOIN projects p ON p.id = v.project_id WHERE p.slug = 'one'";
    assert_eq!(bench.test.psql(stored), "", "those of one project are none of another, whatever their hash");
    search(&database, &alice).await;
    idle(&database).await;
    let before = bench.test.psql(stored);
    assert_eq!((model.made(), before.is_empty()), (10, false), "each project has its own made");

    let a = alice.project.0;
    for (who, sql) in [
        (&bob, format!("INSERT INTO app.vectors SELECT '{a}', model, unit, '\\x00' FROM app.vectors")),
        (&bob, "UPDATE app.vectors SET vector = '\\x00'".to_owned()),
        (&reader, "UPDATE app.vectors SET vector = '\\x00'".to_owned()),
        (&reader, "DELETE FROM app.vectors".to_owned()),
        (&reader, "UPDATE app.vector_sets SET holder = gen_random_uuid()".to_owned()),
        (
            &alice,
            format!(
                "INSERT INTO app.vectors VALUES ('{a}', '\\x0011223344556677', '\\x8899aabbccddeeff', '\\x00')"
            ),
        ),
    ] {
        assert_eq!(as_caller(&bench, who, &sql).await, Err("42501".to_owned()), "{sql}");
    }
    // With his key and a foreign project he gets no claim, stores nothing and removes nothing.
    let (proof, b_user) = (bob.proof.unwrap().to_hex(), bob.user.0);
    for user in [b_user, alice.user.0] {
        for call in [
            format!(
                "app.claim_vectors('\\x{proof}', '{user}', '{a}', (SELECT '\\x0011223344556677'::bytea), 'm', 30, gen_random_uuid(), 60)"
            ),
            format!(
                "app.put_vectors('\\x{proof}', '{user}', '{a}', '\\x0011223344556677', gen_random_uuid(), ARRAY['\\x00'::bytea], ARRAY['\\x00'::bytea])"
            ),
            format!(
                "app.prune_vectors('\\x{proof}', '{user}', '{a}', '\\x0011223344556677', gen_random_uuid(), ARRAY['\\x00'::bytea])"
            ),
        ] {
            let sql = format!("SET ROLE app_server; SELECT {call}");
            let refused = as_caller(&bench, &bob, &sql).await;
            assert!(
                matches!(refused.as_ref().map_err(String::as_str), Err("42501" | "MB401")),
                "{call}: {refused:?}"
            );
        }
    }
    assert_eq!(bench.test.psql(stored), before);
}

#[tokio::test]
async fn an_invalid_stored_vector_is_not_used_and_is_replaced_by_a_valid_one() {
    let bench = Bench::new().await;
    let caller = bench.tenant("alice", "demo").await;
    write(&bench.bank(), &caller, "a.md", &text(4)).await.unwrap();
    let model = Letters::new("letters");
    let first = replica(&bench, &model);
    search(&first, &caller).await;
    idle(&first).await;
    let sound = "SELECT string_agg(vector::text, ' ' ORDER BY unit) FROM app.vectors";
    let before = bench.test.psql(sound);
    // Of another width, with a scale that is not a number, with an infinite one, and without a scale: no model returns these.
    let tampered = [
        "'\\x0102'::bytea",
        "'\\x0000c07f'::bytea || substr(vector, 5)",
        "'\\x0000807f'::bytea || substr(vector, 5)",
        "'\\x00000000'::bytea || substr(vector, 5)",
    ];
    for (place, value) in tampered.iter().enumerate() {
        bench.test.psql(&format!(
            "UPDATE app.vectors SET vector = {value}, made_at = now() - interval '2 hours' \
             WHERE unit = (SELECT unit FROM app.vectors ORDER BY unit LIMIT 1 OFFSET {place})"
        ));
    }
    let second = replica(&bench, &model);
    search(&second, &caller).await;
    idle(&second).await;
    assert_eq!((model.made(), second.vectors_in_memory().vectors), (8, 4), "all four are made again");
    assert_eq!(bench.test.psql(sound), before, "and stored in the place of the others");
}

#[tokio::test]
async fn only_readers_of_a_project_see_its_embeddings() {
    let bench = Bench::new().await;
    let (alice, bob) = (bench.tenant("alice", "one").await, bench.tenant("bob", "two").await);
    write(&bench.bank(), &alice, "a.md", &text(5)).await.unwrap();
    let database = replica(&bench, &Letters::new("letters"));
    search(&database, &alice).await;
    idle(&database).await;
    let reader = bench.with_scopes(&alice, vec![Right::Read]).await;
    let writer = bench.with_scopes(&alice, vec![Right::Write]).await;
    for (caller, seen) in [(&alice, 5), (&reader, 5), (&writer, 0), (&bob, 0)] {
        let sql = format!(
            "DO $$ BEGIN ASSERT (SELECT count(*) FROM app.vectors) = {seen}, 'other embeddings'; END $$"
        );
        assert_eq!(as_caller(&bench, caller, &sql).await, Ok(()), "{seen}");
    }
}
