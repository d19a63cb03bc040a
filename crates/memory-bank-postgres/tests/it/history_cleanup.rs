//! The clean-up of the history: by age, and by the quota of a project.

use jiff::ToSpan;
use memory_bank_core::caller::Caller;
use memory_bank_core::document::DocumentPath;
use memory_bank_core::graph::history::{GraphChangeQuery, GraphSubject};
use memory_bank_core::history::{ChainQuery, Subject, VersionQuery};
use memory_bank_core::store::{
    DocumentStore, EntityDraft, EntityRef, GraphHistoryStore, GraphStore, HistoryRetention, HistoryStore,
    ObservationDraft,
};
use memory_bank_postgres::PostgresBank;

use crate::support::{Bench, query_as_login, write};

pub(crate) async fn numbers(bank: &PostgresBank, caller: &Caller) -> Vec<i64> {
    let subject = Subject::Document(DocumentPath::parse("notes.md").unwrap());
    let query = VersionQuery { subject, since: None, until: None, by: None, after: None, limit: 50 };
    let page = bank.list_versions(caller, &query).await.unwrap();
    let mut numbers: Vec<i64> = page.versions.iter().map(|version| version.number).collect();
    numbers.sort_unstable();
    numbers
}

/// A document with ten versions, each of which replaced 100 kB.
pub(crate) async fn fill(bank: &PostgresBank, caller: &Caller) {
    for number in 1..=10 {
        let text = format!("{number}").repeat(100_000);
        write(bank, caller, "notes.md", &text).await.unwrap();
    }
}

pub(crate) async fn readable(bank: &PostgresBank, caller: &Caller, number: i64) -> bool {
    let path = DocumentPath::parse("notes.md").unwrap();
    let read = bank.read_version(caller, &path, number).await;
    read.is_ok_and(|version| version.text == Some(format!("{number}").repeat(100_000)))
}

/// Makes the whole history two days older.
fn make_older(bench: &Bench) {
    for table in ["document_versions", "graph_history"] {
        bench.test.psql(&format!("UPDATE app.{table} SET at = at - interval '2 days'"));
    }
}

/// Everything before is thinned.
fn a_year_ago(bench: &Bench) -> jiff::Timestamp {
    bench.deps().clock.now() - 8760.hours()
}

#[tokio::test]
async fn old_versions_are_deleted_and_newer_ones_stay_readable() {
    let bench = Bench::new().await;
    let caller = bench.tenant("alice", "demo").await;
    let bank = bench.bank();
    fill(&bank, &caller).await;
    let now = bench.deps().clock.now();
    assert_eq!(bench.database.thin_versions(now, 100).await.unwrap(), 0, "a day stays in any case");
    bench.test.psql(
        "UPDATE app.document_versions SET at = '2025-01-01T00:00:00Z'::timestamptz + (version / 4) * interval '1 day' \
         + version * interval '1 minute' WHERE version <= 7",
    );
    assert_eq!(bench.database.thin_versions(a_year_ago(&bench), 3).await.unwrap(), 3);
    assert_eq!(numbers(&bank, &caller).await, [1, 3, 6, 7, 8, 9, 10]);
    assert_eq!(bench.database.thin_versions(a_year_ago(&bench), 3).await.unwrap(), 1);
    assert_eq!(bench.database.thin_versions(a_year_ago(&bench), 3).await.unwrap(), 0);
    assert_eq!(numbers(&bank, &caller).await, [1, 3, 7, 8, 9, 10]);
    for number in [1, 3, 7, 8, 9, 10] {
        assert!(readable(&bank, &caller, number).await, "{number}");
    }
    assert!(!readable(&bank, &caller, 5).await);
}

/// Texts that grow, shrink and change in the middle, with characters of several bytes.
fn texts() -> Vec<String> {
    let mut seed: u64 = 0x7417;
    let mut draw = move |most: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap() % most
    };
    let mut lines: Vec<String> = Vec::new();
    (0..300)
        .map(|number| {
            let words = ["é", "e\u{301}", "\u{1F600}", "word", ""];
            let line = format!("- {number} {}{}", words[draw(5)], words[draw(5)]);
            match draw(6) {
                0 if !lines.is_empty() => {
                    let at = draw(lines.len());
                    lines[at] = line;
                }
                1 if lines.len() > 3 => {
                    let at = draw(lines.len());
                    lines.remove(at);
                }
                2 => lines.insert(draw(lines.len() + 1), line),
                _ => lines.push(line),
            }
            lines.join("\n")
        })
        .collect()
}

#[tokio::test]
async fn every_version_that_stays_reads_back_byte_for_byte_after_thinning() {
    let bench = Bench::new().await;
    let caller = bench.tenant("alice", "demo").await;
    let bank = bench.bank();
    let path = DocumentPath::parse("notes.md").unwrap();
    for text in texts() {
        write(&bank, &caller, "notes.md", &text).await.unwrap();
    }
    write(&bank, &caller, "other.md", "one").await.unwrap();
    write(&bank, &caller, "other.md", "two").await.unwrap();
    let mut before = std::collections::BTreeMap::new();
    for number in bench.test.psql("SELECT version FROM app.document_versions WHERE path = 'notes.md'").lines()
    {
        let number: i64 = number.trim().parse().unwrap();
        before.insert(number, bank.read_version(&caller, &path, number).await.unwrap().text);
    }
    // Seven versions a day; the last of them is not old.
    bench.test.psql(
        "UPDATE app.document_versions SET at = '2025-01-01T00:00:00Z'::timestamptz + (version / 7) * interval '1 day' \
         + version * interval '1 minute' WHERE path = 'notes.md' AND version <= 290",
    );
    // One version that links names, and a damaged history of another document.
    bench.test.psql("UPDATE app.document_versions SET former_path = 'old.md', kind = 'renamed' WHERE path = 'notes.md' AND version = 100");
    bench.test.psql(
        "UPDATE app.document_versions SET at = '2025-01-01', former_etag = 'x' WHERE path = 'other.md'",
    );
    let mut removed = 0;
    loop {
        let some = bench.database.thin_versions(a_year_ago(&bench), 50).await.unwrap();
        removed += some;
        if some == 0 {
            break;
        }
    }
    let left: Vec<i64> = bench
        .test
        .psql("SELECT version FROM app.document_versions WHERE path = 'notes.md' ORDER BY version")
        .lines()
        .map(|number| number.trim().parse().unwrap())
        .collect();
    let created = *before.keys().next().unwrap();
    let stays = |number: i64| number % 7 == 6 || number >= 290 || number == 100 || number == created;
    let expected: Vec<i64> = before.keys().copied().filter(|number| stays(*number)).collect();
    assert_eq!((left.clone(), removed), (expected, before.len() - left.len()));
    for number in left {
        assert_eq!(
            bank.read_version(&caller, &path, number).await.unwrap().text,
            before[&number],
            "{number}"
        );
    }
    let query = ChainQuery { document: String::new(), path, from: 0, most: 1000 };
    let document = bench.test.psql("SELECT id FROM documents WHERE path = 'notes.md'").trim().to_owned();
    let chain = bank.chain(&caller, &ChainQuery { document, ..query }).await.unwrap();
    chain.walk(|_, _, _| std::ops::ControlFlow::Continue(())).unwrap();
    assert_eq!(bench.test.psql("SELECT count(*) FROM app.document_versions WHERE path = 'other.md'"), "2");
    let bytes =
        "SELECT sum(octet_length(former)) < 200000 FROM app.document_versions WHERE path = 'notes.md'";
    assert_eq!(bench.test.psql(bytes), "t", "what is stored is what changed");
}

#[tokio::test]
async fn thinning_joins_no_changes_of_different_users_and_keeps_creations() {
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "demo").await;
    let bank = bench.bank();
    for text in ["alice\n", "alice\nmore\n", "alice\nmore\nbob\n", "alice\nmore\nbob\ntwo\n"] {
        write(&bank, &alice, "notes.md", text).await.unwrap();
    }
    // The third and the fourth version are of another user.
    bench.test.psql(
        "UPDATE app.document_versions SET at = '2025-01-01T00:00:00Z'::timestamptz + version * interval '1 minute', \
         user_id = CASE WHEN version IN (3, 4) THEN gen_random_uuid() ELSE user_id END",
    );
    bench.test.psql(
        "UPDATE app.document_versions SET user_id = (SELECT user_id FROM app.document_versions WHERE version = 3) WHERE version = 4",
    );
    bench.database.thin_versions(a_year_ago(&bench), 100).await.unwrap();
    let left = "SELECT string_agg(version::text, ' ' ORDER BY version) FROM app.document_versions";
    assert_eq!(bench.test.psql(left), "1 2 4");
}

#[tokio::test]
async fn the_text_before_a_deletion_stays_and_a_document_that_came_back_is_thinned_past_it() {
    let bench = Bench::new().await;
    let caller = bench.tenant("alice", "demo").await;
    let bank = bench.bank();
    let path = DocumentPath::parse("cycle.md").unwrap();
    let put = async |text: Option<&str>| {
        let mut editor = |drafts: &mut memory_bank_core::store::Drafts| match text {
            Some(text) => drafts.set(&path, text.to_owned()),
            None => drafts.delete(&path),
        };
        bank.edit(&caller, std::slice::from_ref(&path), &mut editor).await.unwrap();
    };
    for text in [Some("one"), Some("two"), Some("three"), None, Some("four"), Some("five"), Some("six"), None]
    {
        put(text).await;
    }
    bench.test.psql("UPDATE app.document_versions SET at = '2025-01-01T00:00:00Z'::timestamptz + version * interval '1 minute'");
    assert_eq!(bench.database.thin_versions(a_year_ago(&bench), 100).await.unwrap(), 2);
    assert_eq!(bench.database.thin_versions(a_year_ago(&bench), 100).await.unwrap(), 0);
    let left = "SELECT string_agg(version::text, ' ' ORDER BY version) FROM app.document_versions";
    assert_eq!(bench.test.psql(left), "1 3 4 5 7 8");
    for (number, text) in [(3, Some("three")), (4, None), (7, Some("six")), (8, None)] {
        let read = bank.read_version(&caller, &path, number).await.unwrap();
        assert_eq!(read.text.as_deref(), text, "{number}");
    }
    put(Some("back")).await;
    assert_eq!(bank.read_version(&caller, &path, 7).await.unwrap().text.as_deref(), Some("six"));
}

#[tokio::test]
async fn the_history_of_a_project_is_bounded_by_its_quota_and_no_other_project_loses_versions() {
    let bench = Bench::new().await;
    let (alice, bob) = (bench.tenant("alice", "one").await, bench.tenant("bob", "two").await);
    let bank = bench.bank();
    fill(&bank, &alice).await;
    fill(&bank, &bob).await;
    let limited = bench.database.clone().with_default_quota(0);
    assert_eq!(limited.trim_versions(100).await.unwrap(), 0, "0 is unlimited");
    bench.test.psql(&format!(
        "INSERT INTO app.stored_bytes (project_id, slot, kind, bytes) VALUES ('{}', -1, 'quota', 350000)",
        alice.project.0
    ));
    assert_eq!(limited.trim_versions(100).await.unwrap(), 0, "a day stays in any case");
    assert_eq!(numbers(&bank, &alice).await.len(), 10);
    assert_eq!(numbers(&bank, &bob).await.len(), 10);
    make_older(&bench);
    assert_eq!(limited.trim_versions(2).await.unwrap(), 2);
    assert_eq!(limited.trim_versions(100).await.unwrap(), 5);
    assert_eq!(limited.trim_versions(100).await.unwrap(), 0);
    assert_eq!(numbers(&bank, &alice).await, [7, 8, 9, 10]);
    for number in 7..=10 {
        assert!(readable(&bank, &alice, number).await, "{number}");
    }
    assert_eq!(numbers(&bank, &bob).await.len(), 10);
}

/// What the server's role can call: bounds of its choice, and numbers of its choice.
fn thin_everything(bench: &Bench) -> String {
    let calls = "SET ROLE app_server; SELECT app.state_history_bounds(1, 1); \
         SELECT 'trimmed ' || app.trim_history(1000);";
    let ids = "SELECT string_agg(DISTINCT format('SELECT ''thinned '' || app.thin_versions(%L, %L, ARRAY[%s]);', \
         project_id, document_id, version), ' ') FROM app.document_versions";
    let of_graph = "SELECT string_agg(format('SELECT ''thinned '' || app.thin_graph_changes(%L, %L, %L, ARRAY[%s]);', \
         project_id, entity_id, id, number), ' ') FROM app.graph_history";
    let thinned: String = [ids, of_graph].iter().map(|sql| bench.test.psql(sql)).collect();
    bench.test.psql(&format!("{calls} {thinned}"))
}

#[tokio::test]
async fn nobody_with_the_servers_role_chooses_the_bounds_of_the_clean_up_or_what_goes() {
    let bench = Bench::new().await;
    let caller = bench.tenant("alice", "one").await;
    let bank = bench.bank();
    fill(&bank, &caller).await;
    fill_graph(&bank, &caller).await;
    make_older(&bench);
    let total = || {
        bench.test.psql(
            "SELECT (SELECT count(*) FROM app.document_versions), (SELECT count(*) FROM app.graph_history)",
        )
    };
    let bounds = || bench.test.psql("SELECT days, quota, lower_days, lower_quota FROM app.history_bounds");
    let (before, unlimited) = (total(), i64::MAX);
    // Two days old, and not as old as the server keeps all versions.
    let said = thin_everything(&bench);
    assert!(
        said.contains("trimmed 0") && said.contains("thinned 0") && !said.contains("thinned 1"),
        "{said}"
    );
    assert_eq!(total(), before);
    assert_eq!(bounds(), format!("365|{unlimited}|1|1"));
    // The next clean-up of a server states its own again.
    bench.database.trim_versions(1).await.unwrap();
    assert_eq!(bounds().trim(), format!("365|{unlimited}||"));
    // A server whose settings are lower has its way after a day.
    let lower = bench.database.clone().with_history_days(30).with_default_quota(350_000);
    assert_eq!(lower.trim_versions(100).await.unwrap(), 0);
    assert_eq!(lower.trim_versions(100).await.unwrap(), 0);
    bench.test.psql("UPDATE app.history_bounds SET lower_since = lower_since - interval '2 days'");
    assert!(lower.trim_versions(100).await.unwrap() > 0);
    assert_eq!(bounds().trim(), "30|350000||");
    assert!(readable(&bank, &caller, 10).await);
    // A higher one has it at once, and two with different settings keep the more.
    bench.database.trim_versions(1).await.unwrap();
    assert_eq!(bounds().trim(), format!("365|{unlimited}||"));
    lower.trim_versions(1).await.unwrap();
    assert_eq!(bounds(), format!("365|{unlimited}|30|350000"));
}

#[tokio::test]
async fn the_last_version_of_an_old_day_and_others_that_stay_cannot_be_thinned_by_naming_them() {
    let bench = Bench::new().await;
    let caller = bench.tenant("alice", "one").await;
    let other = bench.member("bob", "one", memory_bank_core::caller::Role::Owner).await;
    let bank = bench.bank();
    fill(&bank, &caller).await;
    write(&bank, &other, "notes.md", "by bob").await.unwrap();
    write(&bank, &other, "notes.md", "by bob again").await.unwrap();
    fill_graph(&bank, &caller).await;
    // Days of two versions each; the last one before a change by another user stays, too.
    bench.test.psql("UPDATE app.document_versions SET at = '2025-01-01T10:00:00Z'::timestamptz + ((version - 1) / 2) * interval '1 day'");
    bench.test.psql("UPDATE app.graph_history SET at = '2025-01-01T10:00:00Z'::timestamptz + ((number - 1) / 2) * interval '1 day'");
    let left = || {
        bench.test.psql("SELECT string_agg(version::text, ' ' ORDER BY version) FROM app.document_versions")
    };
    let of_graph =
        || bench.test.psql("SELECT string_agg(number::text, ' ' ORDER BY number) FROM app.graph_history");
    thin_everything(&bench);
    // The creation is the first version.
    assert_eq!(left().trim(), "1 2 4 6 8 10 12");
    assert_eq!(of_graph().trim(), "1 2 4 5 6 7");
    thin_everything(&bench);
    assert_eq!(left().trim(), "1 2 4 6 8 10 12");
    for number in [2, 4, 6, 8, 10] {
        assert!(readable(&bank, &caller, number).await, "{number}");
    }
}

/// The entity `A` with a fact, both changed, and the deletion of both.
pub(crate) async fn fill_graph(bank: &PostgresBank, caller: &Caller) {
    let draft = |n: u32| EntityDraft {
        name: "A".into(),
        entity_type: "thing".into(),
        attrs: serde_json::json!({"n": n}).as_object().cloned(),
    };
    for n in 0..4 {
        bank.upsert_entity(caller, draft(n)).await.unwrap();
    }
    let fact = ObservationDraft { text: "x".repeat(10_000), ..ObservationDraft::default() };
    bank.add_observation(caller, &EntityRef("A".into()), fact).await.unwrap();
    bank.delete_entity(caller, &EntityRef("A".into())).await.unwrap();
}

pub(crate) async fn graph_numbers(bank: &PostgresBank, caller: &Caller) -> Vec<i64> {
    let query = GraphChangeQuery::newest(GraphSubject::Project, 50);
    let page = bank.list_graph_changes(caller, &query).await.unwrap();
    page.changes.iter().rev().map(|change| change.number).collect()
}

#[tokio::test]
async fn changes_of_the_graph_are_cleaned_up_by_age_and_by_quota_with_the_versions_of_documents() {
    let bench = Bench::new().await;
    let (alice, bob) = (bench.tenant("alice", "one").await, bench.tenant("bob", "two").await);
    let bank = bench.bank();
    fill_graph(&bank, &alice).await;
    fill_graph(&bank, &bob).await;
    assert_eq!(graph_numbers(&bank, &alice).await, (1..=7).collect::<Vec<i64>>());
    let now = bench.deps().clock.now();
    let entity = EntityRef("A".into());
    let before = bank.entity_chain(&alice, &entity, 4).await.unwrap().start();
    assert_eq!(bench.database.thin_versions(now, 100).await.unwrap(), 0, "a day stays in any case");
    bench.test.psql("UPDATE app.graph_history SET at = '2025-01-01T10:00:00Z' WHERE number <= 4");
    // The creation, the last of the day and what follows stay.
    assert_eq!(bench.database.thin_versions(a_year_ago(&bench), 3).await.unwrap(), 3);
    assert_eq!(bench.database.thin_versions(a_year_ago(&bench), 3).await.unwrap(), 1);
    assert_eq!(bench.database.thin_versions(a_year_ago(&bench), 3).await.unwrap(), 0);
    assert_eq!(graph_numbers(&bank, &alice).await, [1, 4, 5, 6, 7]);
    assert_eq!(bank.entity_chain(&alice, &entity, 4).await.unwrap().start(), before);
    let created = bank.entity_chain(&alice, &entity, 1).await.unwrap().start();
    let attrs = created.entity().and_then(|entity| entity.attrs.clone());
    assert_eq!(attrs, serde_json::json!({"n": 0}).as_object().cloned());
    fill(&bank, &alice).await;
    let limited = bench.database.clone().with_default_quota(0);
    bench.test.psql(&format!(
        "INSERT INTO app.stored_bytes (project_id, slot, kind, bytes) VALUES ('{}', -1, 'quota', 350000)",
        alice.project.0
    ));
    make_older(&bench);
    // The changes of the graph are older than the versions of the document, of which seven are beyond the quota.
    assert_eq!(limited.trim_versions(100).await.unwrap(), 12);
    assert_eq!(graph_numbers(&bank, &alice).await, Vec::<i64>::new());
    assert_eq!(numbers(&bank, &alice).await, [7, 8, 9, 10]);
    assert_eq!(graph_numbers(&bank, &bob).await, [1, 4, 5, 6, 7]);
    bench.test.psql(&format!("DELETE FROM projects WHERE id = '{}'", bob.project.0));
    assert_eq!(bench.test.psql("SELECT count(*) FROM app.graph_history").trim(), "0");
}

#[tokio::test]
async fn the_servers_role_sees_ids_numbers_times_and_flags_of_old_versions() {
    let bench = Bench::new().await;
    assert_eq!(
        bench.test.psql(
            "SELECT pg_get_function_result('app.old_versions(timestamptz, uuid, uuid, integer)'::regprocedure)"
        ),
        "TABLE(project_id uuid, document_id uuid, version bigint, at timestamp with time zone, stays boolean, deletes boolean)"
    );
    for table in ["app.document_versions", "app.graph_history"] {
        let read = query_as_login(&bench, &format!("SELECT * FROM {table}")).await;
        assert!(read.as_ref().is_err_and(|error| error.starts_with("42501")), "{table}: {read:?}");
    }
}
