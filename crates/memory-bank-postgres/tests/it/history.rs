//! The clean-up of the history: by age, and by the quota of a project.

use jiff::ToSpan;
use memory_bank_core::caller::{Caller, Role};
use memory_bank_core::document::DocumentPath;
use memory_bank_core::graph::Validity;
use memory_bank_core::graph::history::{GraphChangeQuery, GraphSubject};
use memory_bank_core::history::{ChainQuery, Subject, VersionQuery};
use memory_bank_core::store::{
    DocumentStore, EntityDraft, EntityRef, GraphHistoryStore, GraphStore, HistoryError, HistoryRetention,
    HistoryStore, ObservationDraft,
};
use memory_bank_postgres::PostgresBank;

use crate::support::{Bench, query_as_login, write};

async fn numbers(bank: &PostgresBank, caller: &Caller) -> Vec<i64> {
    let subject = Subject::Document(DocumentPath::parse("notes.md").unwrap());
    let query = VersionQuery { subject, since: None, until: None, by: None, after: None, limit: 50 };
    let page = bank.list_versions(caller, &query).await.unwrap();
    let mut numbers: Vec<i64> = page.versions.iter().map(|version| version.number).collect();
    numbers.sort_unstable();
    numbers
}

/// A document with ten versions, each of which replaced 100 kB.
async fn fill(bank: &PostgresBank, caller: &Caller) {
    for number in 1..=10 {
        let text = format!("{number}").repeat(100_000);
        write(bank, caller, "notes.md", &text).await.unwrap();
    }
}

async fn readable(bank: &PostgresBank, caller: &Caller, number: i64) -> bool {
    let path = DocumentPath::parse("notes.md").unwrap();
    let read = bank.read_version(caller, &path, number).await;
    read.is_ok_and(|version| version.text == Some(format!("{number}").repeat(100_000)))
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
    assert_eq!(limited.trim_versions(2).await.unwrap(), 2);
    assert_eq!(limited.trim_versions(100).await.unwrap(), 5);
    assert_eq!(limited.trim_versions(100).await.unwrap(), 0);
    assert_eq!(numbers(&bank, &alice).await, [7, 8, 9, 10]);
    for number in 7..=10 {
        assert!(readable(&bank, &alice, number).await, "{number}");
    }
    assert_eq!(numbers(&bank, &bob).await.len(), 10);
}

#[tokio::test]
async fn nobody_adds_changes_or_deletes_versions_by_sql_also_not_in_the_own_project() {
    let bench = Bench::new().await;
    let caller = bench.tenant("alice", "demo").await;
    let bank = bench.bank();
    fill(&bank, &caller).await;
    let context = format!(
        "BEGIN; SET LOCAL app.current_user_id = '{}'; SET LOCAL app.current_project_id = '{}'; SET LOCAL app.current_key_id = '{}'; \
         SET LOCAL app.current_key_hash = '{}'; SET LOCAL ROLE app_user;",
        caller.user.0,
        caller.project.0,
        caller.key.unwrap().0,
        caller.proof.unwrap().to_hex()
    );
    let seen = query_as_login(&bench, &format!("{context} SELECT version FROM app.document_versions")).await;
    assert_eq!(
        seen.unwrap().iter().filter(|row| matches!(row, tokio_postgres::SimpleQueryMessage::Row(_))).count(),
        10
    );
    for statement in [
        "UPDATE app.document_versions SET user_id = NULL",
        "DELETE FROM app.document_versions",
        "TRUNCATE app.document_versions",
        "INSERT INTO app.document_versions SELECT * FROM app.document_versions",
        "SELECT * FROM app.old_versions(now(), NULL, NULL, 100)",
        "SELECT app.thin_versions(project_id, id, '{1}') FROM public.documents",
        "SELECT * FROM app.old_graph_changes(now(), NULL, NULL, NULL, 100)",
        "SELECT app.thin_graph_changes(project_id, '', '', '{1}') FROM public.documents",
        "SELECT app.trim_history(1, 100)",
        "SELECT app.add_version(d, NULL, NULL, 'changed') FROM public.documents d",
    ] {
        let refused = query_as_login(&bench, &format!("{context} {statement}")).await.unwrap_err();
        assert!(refused.starts_with("42501"), "{statement}: {refused}");
    }
    assert_eq!(numbers(&bank, &caller).await.len(), 10);
}

/// The statements that enter the context of a caller, for an edit.
fn context_of(caller: &Caller) -> String {
    format!(
        "BEGIN; SET LOCAL app.current_user_id = '{}'; SET LOCAL app.current_project_id = '{}'; SET LOCAL app.current_key_id = '{}'; \
         SET LOCAL app.current_key_hash = '{}'; SET LOCAL app.current_purpose = 'edit'; SET LOCAL ROLE app_user;",
        caller.user.0,
        caller.project.0,
        caller.key.unwrap().0,
        caller.proof.unwrap().to_hex()
    )
}

#[tokio::test]
async fn an_editor_deletes_only_an_own_creation_that_nobody_else_touched() {
    let bench = Bench::new().await;
    let owner = bench.tenant("alice", "demo").await;
    let editor = bench.member("carol", "demo", Role::Editor).await;
    let viewer = bench.member("vera", "demo", Role::Viewer).await;
    let stranger = bench.tenant("bob", "two").await;
    let bank = bench.bank();
    for (caller, name) in [
        (&owner, "owners.md"),
        (&editor, "own.md"),
        (&editor, "touched.md"),
        (&editor, "touched-back.md"),
        (&editor, "unrecorded.md"),
        (&editor, "erased.md"),
        (&editor, "by-hand.md"),
        (&owner, "adopted.md"),
        (&editor, "kept.md"),
    ] {
        write(&bank, caller, name, "one").await.unwrap();
    }
    for text in ["two", "one"] {
        write(&bank, &owner, "touched-back.md", text).await.unwrap();
    }
    write(&bank, &owner, "touched.md", "two").await.unwrap();
    write(&bank, &editor, "own.md", "two").await.unwrap();
    write(&bank, &editor, "adopted.md", "two").await.unwrap();
    bank.erase(&owner, &DocumentPath::parse("erased.md").unwrap()).await.unwrap();
    // A change that no version records, and a version that is missing in between.
    bench.test.psql(
        "BEGIN; SET LOCAL app.current_change = '-'; UPDATE documents SET content = 'x' WHERE path = 'unrecorded.md'; COMMIT",
    );
    bench.test.psql("UPDATE documents SET content = 'by hand' WHERE path = 'by-hand.md'");
    let delete = |caller: &Caller, name: &str| {
        let statement = format!(
            "{} SET LOCAL app.current_change = '|history|||'; DELETE FROM documents WHERE path = '{name}' RETURNING path; COMMIT",
            context_of(caller)
        );
        let bench = &bench;
        async move {
            let rows = query_as_login(bench, &statement).await.unwrap();
            rows.iter().filter(|row| matches!(row, tokio_postgres::SimpleQueryMessage::Row(_))).count()
        }
    };
    for name in [
        "owners.md",
        "touched.md",
        "touched-back.md",
        "unrecorded.md",
        "erased.md",
        "by-hand.md",
        "adopted.md",
    ] {
        assert_eq!(delete(&editor, name).await, 0, "{name}");
    }
    for caller in [&viewer, &stranger] {
        assert_eq!(delete(caller, "own.md").await, 0);
    }
    // Not without the tool, and not by the numbers of another document.
    let plain =
        format!("{} DELETE FROM documents WHERE path = 'own.md' RETURNING path; COMMIT", context_of(&editor));
    let rows = query_as_login(&bench, &plain).await.unwrap();
    assert!(!rows.iter().any(|row| matches!(row, tokio_postgres::SimpleQueryMessage::Row(_))));
    let disguise = format!(
        "{} SET LOCAL app.current_change = '|history|||'; UPDATE documents SET version = 1, etag = (SELECT etag FROM documents WHERE path = 'kept.md') WHERE path = 'touched.md'; \
         DELETE FROM documents WHERE path = 'touched.md' RETURNING path; COMMIT",
        context_of(&editor)
    );
    let rows = query_as_login(&bench, &disguise).await.unwrap();
    assert!(!rows.iter().any(|row| matches!(row, tokio_postgres::SimpleQueryMessage::Row(_))));
    assert_eq!(delete(&editor, "own.md").await, 1);
    assert_eq!(
        bench.test.psql(
            "SELECT kind FROM app.document_versions WHERE path = 'own.md' ORDER BY version DESC LIMIT 1"
        ),
        "deleted"
    );
    // The document of its name that somebody creates next is not its own any more.
    write(&bank, &owner, "own.md", "three").await.unwrap();
    assert_eq!(delete(&editor, "own.md").await, 0);
    assert_eq!(delete(&owner, "own.md").await, 1);
    // One that the editor brings back is.
    write(&bank, &editor, "own.md", "four").await.unwrap();
    assert_eq!(delete(&editor, "own.md").await, 1);
}

#[tokio::test]
async fn the_steps_back_of_another_project_are_not_read() {
    let bench = Bench::new().await;
    let (alice, bob) = (bench.tenant("alice", "one").await, bench.tenant("bob", "two").await);
    let bank = bench.bank();
    fill(&bank, &alice).await;
    let path = DocumentPath::parse("notes.md").unwrap();
    let document = bench.test.psql("SELECT id FROM documents").trim().to_owned();
    let query = ChainQuery { document, path, from: 4, most: 5 };
    let chain = bank.chain(&alice, &query).await.unwrap();
    let read: Vec<i64> = chain.links.iter().map(|link| link.version.number).collect();
    assert_eq!(read, [10, 9, 8, 7, 6]);
    assert!(matches!(bank.chain(&bob, &query).await, Err(HistoryError::NoDocument(_))));
}

#[tokio::test]
async fn versions_of_another_project_are_neither_listed_nor_read_and_only_an_owner_erases() {
    let bench = Bench::new().await;
    let (alice, bob) = (bench.tenant("alice", "one").await, bench.tenant("bob", "two").await);
    let editor = bench.member("carol", "one", Role::Editor).await;
    let bank = bench.bank();
    fill(&bank, &alice).await;
    let path = DocumentPath::parse("notes.md").unwrap();
    assert!(bank.read_version(&bob, &path, 3).await.is_err());
    let all = VersionQuery {
        subject: Subject::Project,
        since: None,
        until: None,
        by: None,
        after: None,
        limit: 50,
    };
    assert!(bank.list_versions(&bob, &all).await.unwrap().versions.is_empty());
    assert!(bank.erase(&bob, &path).await.is_err() && bank.erase(&editor, &path).await.is_err());
    assert_eq!(numbers(&bank, &editor).await.len(), 10);
    assert_eq!(bank.erase(&alice, &path).await.unwrap(), 10);
    assert!(!readable(&bank, &alice, 3).await);
    let audited = bench.test.psql("SELECT count(*) FROM app.audit_log WHERE action = 'history.erased'");
    assert_eq!(audited.trim(), "1");
}

/// The entity `A` with a fact, both changed, and the deletion of both.
async fn fill_graph(bank: &PostgresBank, caller: &Caller) {
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

async fn graph_numbers(bank: &PostgresBank, caller: &Caller) -> Vec<i64> {
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
    // The changes of the graph are older than the versions of the document, of which seven are beyond the quota.
    assert_eq!(limited.trim_versions(100).await.unwrap(), 12);
    assert_eq!(graph_numbers(&bank, &alice).await, Vec::<i64>::new());
    assert_eq!(numbers(&bank, &alice).await, [7, 8, 9, 10]);
    assert_eq!(graph_numbers(&bank, &bob).await, [1, 4, 5, 6, 7]);
    bench.test.psql(&format!("DELETE FROM projects WHERE id = '{}'", bob.project.0));
    assert_eq!(bench.test.psql("SELECT count(*) FROM app.graph_history").trim(), "0");
}

#[tokio::test]
async fn nobody_adds_changes_or_deletes_changes_of_the_graph_by_sql_and_no_other_project_sees_them() {
    let bench = Bench::new().await;
    let (alice, bob) = (bench.tenant("alice", "one").await, bench.tenant("bob", "two").await);
    let editor = bench.member("carol", "one", Role::Editor).await;
    let bank = bench.bank();
    fill_graph(&bank, &alice).await;
    for statement in [
        "UPDATE app.graph_history SET user_id = NULL",
        "DELETE FROM app.graph_history",
        "TRUNCATE app.graph_history",
        "INSERT INTO app.graph_history SELECT * FROM app.graph_history",
        "UPDATE app.graph_versions SET changes = 0",
    ] {
        let refused =
            query_as_login(&bench, &format!("{} {statement}", context_of(&alice))).await.unwrap_err();
        assert!(refused.starts_with("42501"), "{statement}: {refused}");
    }
    let entity = EntityRef("A".into());
    assert!(graph_numbers(&bank, &bob).await.is_empty());
    assert!(bank.entity_chain(&bob, &entity, 0).await.is_err());
    let id = bench.test.psql("SELECT id FROM app.graph_history WHERE kind = 'entity' LIMIT 1");
    assert!(bank.entity_chain(&bob, &EntityRef(id.trim().into()), 0).await.is_err());
    assert!(
        bank.erase_entity(&bob, &entity).await.is_err() && bank.erase_entity(&editor, &entity).await.is_err()
    );
    assert_eq!(graph_numbers(&bank, &editor).await.len(), 7);
    // User and key are those of the context.
    let query = GraphChangeQuery::newest(GraphSubject::Project, 1);
    let newest = bank.list_graph_changes(&editor, &query).await.unwrap().changes.remove(0);
    assert_eq!((newest.author.as_deref(), newest.key), (Some("alice"), alice.key));
    assert_eq!(bank.erase_entity(&alice, &entity).await.unwrap(), 7);
    let audited = bench.test.psql(
        "SELECT count(*) || ' ' || min(subject) || ' ' || min(detail ->> 'changes') FROM app.audit_log WHERE action = 'history.erased'",
    );
    assert_eq!(audited.trim(), "1 A 7");
}

#[tokio::test]
async fn a_server_without_a_history_adds_no_changes_of_the_graph() {
    let bench = Bench::new().await;
    let caller = bench.tenant("alice", "one").await;
    let bank = PostgresBank::new(bench.database.clone().with_history(false), "one".to_owned());
    fill_graph(&bank, &caller).await;
    assert_eq!(graph_numbers(&bank, &caller).await, Vec::<i64>::new());
}

#[tokio::test]
async fn an_editor_deletes_only_own_items_of_the_graph_that_nobody_else_touched() {
    let bench = Bench::new().await;
    let owner = bench.tenant("alice", "demo").await;
    let editor = bench.member("carol", "demo", Role::Editor).await;
    let viewer = bench.member("vera", "demo", Role::Viewer).await;
    let stranger = bench.tenant("bob", "two").await;
    let bank = bench.bank();
    let entity = async |caller: &Caller, name: &str, n: u32| {
        let attrs = serde_json::json!({"n": n}).as_object().cloned();
        let draft = EntityDraft { name: name.into(), entity_type: "thing".into(), attrs };
        bank.upsert_entity(caller, draft).await.unwrap();
    };
    let fact = async |caller: &Caller, name: &str, text: &str| {
        let draft = ObservationDraft {
            text: text.into(),
            source: None,
            timestamp: None,
            validity: Validity::default(),
        };
        bank.add_observation(caller, &EntityRef(name.into()), draft).await.unwrap();
    };
    for name in ["Own", "Touched", "Touched back", "Noted", "Linked", "Erased"] {
        entity(&editor, name, 1).await;
    }
    entity(&owner, "Owner's", 1).await;
    entity(&editor, "Own", 2).await;
    entity(&owner, "Touched", 2).await;
    for n in [2, 1] {
        entity(&owner, "Touched back", n).await;
    }
    fact(&editor, "Noted", "own fact").await;
    fact(&owner, "Noted", "the owner's fact").await;
    bank.link(&owner, &EntityRef("Owner's".into()), "uses", &EntityRef("Linked".into())).await.unwrap();
    bank.erase_entity(&owner, &EntityRef("Erased".into())).await.unwrap();
    let delete = async |caller: &Caller, from: &str, tool: &str| {
        let statement = format!(
            "{} SET LOCAL app.current_change = '|{tool}|||'; DELETE FROM {from} RETURNING id; COMMIT",
            context_of(caller)
        );
        let rows = query_as_login(&bench, &statement).await.unwrap();
        rows.iter().filter(|row| matches!(row, tokio_postgres::SimpleQueryMessage::Row(_))).count()
    };
    let entities = |name: &str| format!("graph_entities WHERE name = '{}'", name.replace('\'', "''"));
    let facts = |text: &str| format!("graph_observations WHERE content = '{}'", text.replace('\'', "''"));
    for name in ["Owner's", "Touched", "Touched back", "Noted", "Linked", "Erased"] {
        assert_eq!(delete(&editor, &entities(name), "history").await, 0, "{name}");
    }
    assert_eq!(delete(&editor, &facts("the owner's fact"), "history").await, 0);
    for caller in [&viewer, &stranger] {
        assert_eq!(delete(caller, &entities("Own"), "history").await, 0);
        assert_eq!(delete(caller, &facts("own fact"), "history").await, 0);
    }
    assert_eq!(delete(&editor, &entities("Own"), "graph_delete_entity").await, 0, "only in an undo");
    assert_eq!(delete(&editor, &facts("own fact"), "history").await, 1);
    assert_eq!(delete(&editor, &entities("Own"), "history").await, 1);
    // The entity of its name that somebody creates next is not its own any more.
    entity(&owner, "Own", 3).await;
    assert_eq!(delete(&editor, &entities("Own"), "history").await, 0);
    assert_eq!(delete(&owner, &entities("Own"), "history").await, 1);
    entity(&editor, "Own", 4).await;
    assert_eq!(delete(&editor, &entities("Own"), "history").await, 1);
}

#[tokio::test]
async fn changes_of_single_items_of_another_project_are_not_read() {
    let bench = Bench::new().await;
    let (alice, bob) = (bench.tenant("alice", "one").await, bench.tenant("bob", "two").await);
    let bank = bench.bank();
    fill_graph(&bank, &alice).await;
    let id =
        bench.test.psql("SELECT DISTINCT id FROM app.graph_history WHERE kind = 'entity'").trim().to_owned();
    let items = [(id.clone(), id)];
    assert_eq!(bank.item_changes(&alice, &items, 2).await.unwrap().len(), 4);
    assert!(bank.item_changes(&bob, &items, 0).await.unwrap().is_empty());
}
