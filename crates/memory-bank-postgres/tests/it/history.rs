//! Rights on the history: nobody forges or changes a version, and members see those of their project only.

use memory_bank_core::caller::{Caller, Role};
use memory_bank_core::document::DocumentPath;
use memory_bank_core::graph::Validity;
use memory_bank_core::graph::history::{GraphChangeQuery, GraphSubject};
use memory_bank_core::history::{ChainQuery, Subject, VersionQuery};
use memory_bank_core::store::{
    EntityDraft, EntityRef, GraphHistoryStore, GraphStore, HistoryError, HistoryStore, ObservationDraft,
};
use memory_bank_postgres::PostgresBank;

use crate::history_cleanup::{fill, fill_graph, graph_numbers, numbers, readable};
use crate::support::{Bench, query_as_login, write};

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
        "SELECT app.trim_history(100)",
        "SELECT app.state_history_bounds(1, 1)",
        "SELECT * FROM app.history_bounds",
        "UPDATE app.history_bounds SET days = 1",
        "SELECT app.add_version(d, NULL, NULL, 'changed') FROM public.documents d",
    ] {
        let refused = query_as_login(&bench, &format!("{context} {statement}")).await.unwrap_err();
        assert!(refused.starts_with("42501"), "{statement}: {refused}");
    }
    assert_eq!(numbers(&bank, &caller).await.len(), 10);
}

/// The statements that enter the context of a caller, for an edit.
pub(crate) fn context_of(caller: &Caller) -> String {
    format!(
        "BEGIN; SET LOCAL app.current_user_id = '{}'; SET LOCAL app.current_project_id = '{}'; SET LOCAL app.current_key_id = '{}'; \
         SET LOCAL app.current_key_hash = '{}'; SET LOCAL app.current_purpose = 'edit'; SET LOCAL ROLE app_user;",
        caller.user.0,
        caller.project.0,
        caller.key.unwrap().0,
        caller.proof.unwrap().to_hex()
    )
}

/// A statement that changes `log.md` to a text, with what the caller claims of the change.
pub(crate) fn forged_update(caller: &Caller, change: &str, versions: &str, text: &str) -> String {
    format!(
        "{} SET LOCAL app.current_change = '{change}'; SET LOCAL app.current_versions = '{versions}'; \
         UPDATE documents SET content = '{text}', etag = left(encode(sha256('{text}'), 'hex'), 16), version = version + 1 \
         WHERE path = 'log.md'; COMMIT",
        context_of(caller)
    )
}

#[tokio::test]
async fn a_list_of_versions_that_a_caller_made_up_replaces_no_former_text() {
    let bench = Bench::new().await;
    let owner = bench.tenant("alice", "demo").await;
    let editor = bench.member("mallory", "demo", Role::Editor).await;
    let bank = bench.bank();
    let name = DocumentPath::parse("log.md").unwrap();
    let mut texts: Vec<String> = Vec::new();
    for number in 0..6 {
        let text = format!("{}- entry {number}\n", texts.last().cloned().unwrap_or_default());
        write(&bank, &owner, "log.md", &text).await.unwrap();
        texts.push(text);
    }
    let etag = |text: &str| memory_bank_core::document::Etag::of(text).as_str().to_owned();
    let step = |text: &str, before: &str, former: &str, start: usize, end: usize| {
        serde_json::json!({"kind": "changed", "tool": "write", "session": null, "bytes": text.len(), "start": start, "end": end,
            "former": former, "etag": etag(text), "formerEtag": etag(before)})
    };
    let forge = async |change: &str, versions: &[serde_json::Value], text: &str| {
        let versions = serde_json::json!({"log.md": versions}).to_string();
        query_as_login(&bench, &forged_update(&editor, change, &versions, text)).await.unwrap();
    };
    let readable = async |texts: &[String]| {
        for (number, text) in (1..).zip(texts) {
            let read = bank.read_version(&owner, &name, number).await.unwrap();
            assert_eq!(read.text.as_ref(), Some(text), "{number}");
        }
    };
    // A former text of the caller's choice, and steps between that lead elsewhere.
    let last = texts.last().unwrap().clone();
    for (text, steps) in [
        ("one", vec![step("one", &last, &"x".repeat(last.len()), 0, 0)]),
        ("once", vec![step("once", "one", "a lie", 0, 0)]),
        ("two", vec![step("between", "a lie", "a lie", 0, 0), step("two", "between", "between", 0, 0)]),
        ("three", vec![step("other", "two", "two", 0, 0)]),
        ("four", vec![step("four", "three", "three", 0, 4)]),
    ] {
        forge("*|write|||", &steps, text).await;
        texts.push(text.to_owned());
        readable(&texts).await;
    }
    // A correct list is stored as the caller gives it.
    forge("*|write|||", &[step("fours", "four", "", 4, 0)], "fours").await;
    texts.push("fours".to_owned());
    readable(&texts).await;
    let newest = bench.test.psql(
        "SELECT kept_start, octet_length(former) FROM app.document_versions ORDER BY version DESC LIMIT 1",
    );
    assert_eq!(newest.trim(), "4|0");
}

#[tokio::test]
async fn a_document_that_is_written_while_its_deletion_commits_continues_its_numbers_or_is_refused() {
    let bench = Bench::new().await;
    let owner = bench.tenant("alice", "demo").await;
    let bank = bench.bank();
    for text in ["one", "two", "three"] {
        write(&bank, &owner, "a.md", text).await.unwrap();
    }
    // The deletion commits as soon as the insertion waits for it.
    let deletion = format!(
        "{} DELETE FROM documents WHERE path = 'a.md'; RESET ROLE; DO $$ BEGIN FOR n IN 1 .. 1000 LOOP PERFORM pg_stat_clear_snapshot(); \
         EXIT WHEN EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'); \
         PERFORM pg_sleep(0.01); END LOOP; END $$; COMMIT",
        context_of(&owner)
    );
    let insertion = format!(
        "{} INSERT INTO documents (project_id, path, content, etag) VALUES (app.current_project_id(), 'a.md', 'four', \
         left(encode(sha256('four'), 'hex'), 16)); COMMIT",
        context_of(&owner)
    );
    let (deleted, inserted) = futures::join!(query_as_login(&bench, &deletion), async {
        for _ in 0..1000 {
            let has_deleted = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'";
            if bench.test.psql(has_deleted).trim() != "0" {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        query_as_login(&bench, &insertion).await
    });
    deleted.unwrap();
    let refused = inserted.unwrap_err();
    assert!(refused.starts_with("40001"), "{refused}");
    write(&bank, &owner, "a.md", "four").await.unwrap();
    let path = DocumentPath::parse("a.md").unwrap();
    for (number, text) in [(1, Some("one")), (3, Some("three")), (4, None), (5, Some("four"))] {
        let read = bank.read_version(&owner, &path, number).await.unwrap();
        assert_eq!(read.text.as_deref(), text, "{number}");
    }
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
    let bank = PostgresBank::new(bench.database.clone().with_history_days(0), "one".to_owned());
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

/// With another id, an own row would take the place of another's, and its history would make that one deletable.
#[tokio::test]
async fn no_id_of_a_document_or_of_an_item_of_the_graph_is_changed_by_sql() {
    let bench = Bench::new().await;
    let owner = bench.tenant("alice", "demo").await;
    fill(&bench.bank(), &owner).await;
    fill_graph(&bench.bank(), &owner).await;
    for table in ["documents", "graph_entities", "graph_observations", "graph_relations"] {
        for column in ["id", "project_id"] {
            let statement = format!("{} UPDATE {table} SET {column} = {column}", context_of(&owner));
            let refused = query_as_login(&bench, &statement).await;
            assert!(refused.as_ref().is_err_and(|error| error.starts_with("42501")), "{table}.{column}");
        }
    }
}

/// An item of another kind with the same id is no creation of this one.
#[tokio::test]
async fn an_own_relation_with_the_id_of_a_fact_does_not_make_the_fact_deletable() {
    let bench = Bench::new().await;
    let owner = bench.tenant("alice", "demo").await;
    let editor = bench.member("carol", "demo", Role::Editor).await;
    let draft = EntityDraft { name: "Api".into(), entity_type: "thing".into(), attrs: None };
    bench.bank().upsert_entity(&owner, draft).await.unwrap();
    let draft = ObservationDraft { text: "the owner's fact".into(), ..ObservationDraft::default() };
    bench.bank().add_observation(&owner, &EntityRef("Api".into()), draft).await.unwrap();
    let fact = bench.test.psql("SELECT id || ' ' || entity_id FROM graph_observations ORDER BY seq LIMIT 1");
    let (id, entity) = fact.trim().split_once(' ').unwrap();
    let relation = |verb: &str| {
        let sql = match verb {
            "insert" => format!(
                "INSERT INTO graph_relations (project_id, id, from_entity_id, to_entity_id, relation_type) \
                 VALUES (app.current_project_id(), '{id}', '{entity}', '{entity}', 'x')"
            ),
            _ => format!("DELETE FROM graph_relations WHERE id = '{id}'"),
        };
        format!("{} SET LOCAL app.current_change = '|history|||'; {sql}; COMMIT", context_of(&editor))
    };
    for verb in ["insert", "delete", "insert"] {
        query_as_login(&bench, &relation(verb)).await.unwrap();
    }
    let delete = format!(
        "{} SET LOCAL app.current_change = '|history|||'; DELETE FROM graph_observations WHERE id = '{id}'; COMMIT",
        context_of(&editor)
    );
    query_as_login(&bench, &delete).await.unwrap();
    let left = format!("SELECT count(*) FROM graph_observations WHERE id = '{id}'");
    assert_eq!(bench.test.psql(&left), "1");
}
