//! The filler of `documents.fts`: it computes the search vectors of stale documents, with few rights.

use memory_bank_core::document::DocumentPath;
use memory_bank_core::store::{BackupStore, DocumentStore, Drafts, TextIndex};

use crate::fts::{FRESH, as_login, context, fill, paths};
use crate::isolation::two_tenants;
use crate::support::{Bench, path, write};

#[tokio::test]
async fn the_filler_changes_the_vector_and_nothing_else() {
    let (bench, alice, _) = two_tenants().await;
    let state = || {
        bench.test.psql(
            "SELECT md5(string_agg(t::text, ';' ORDER BY t::text)) FROM ( \
             SELECT ROW(id, project_id, path, content, etag, version, created_at, updated_at)::text AS t FROM documents \
             UNION ALL SELECT s::text || s.xmin || s.ctid FROM app.stored_bytes s UNION ALL SELECT l::text FROM app.audit_log l \
             UNION ALL SELECT v::text FROM app.graph_versions v UNION ALL SELECT e::text FROM mcp_events e) AS everything",
        )
    };
    let before = state();
    assert_eq!(bench.database.count_stale().await.unwrap(), 2);
    fill(&bench).await;
    assert_eq!((bench.test.psql(FRESH), state()), ("2".into(), before));
    // A backup contains no vectors, and all are computed again after its restore.
    let bank = bench.bank();
    let backup = bank.create_backup(&alice, None).await.unwrap();
    let items = bench
        .test
        .psql("SELECT count(*) FROM app.backup_items WHERE kind = 'document' AND item::jsonb ? 'fts'");
    assert_eq!(items, "0");
    write(&bank, &alice, "secret.md", "something else").await.unwrap();
    fill(&bench).await;
    bank.restore_backup(&alice, &backup.id, false).await.unwrap();
    assert_eq!(bench.test.psql(FRESH), "1");
    assert_eq!(paths(&bench, &alice, "secret").await, "secret.md");
    assert_eq!(paths(&bench, &alice, "something").await, "");
}

#[tokio::test]
async fn an_edit_of_a_stale_document_is_a_hot_update_and_edits_write_no_words() {
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "one").await;
    let bank = bench.bank();
    write(&bank, &alice, "a.md", &"some words ".repeat(2000)).await.unwrap();
    fill(&bench).await;
    let (client, connection) =
        tokio_postgres::connect(&bench.test.url_of("postgres"), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    // In one session, which sees its own statistics at once.
    let count = "SELECT pg_stat_get_xact_tuples_hot_updated('documents'::regclass) || ' of ' || \
        pg_stat_get_xact_tuples_updated('documents'::regclass)";
    client.batch_execute("BEGIN").await.unwrap();
    for (n, expected) in [(1, "0 of 1"), (2, "1 of 2"), (3, "2 of 3")] {
        client
            .execute(&format!("UPDATE documents SET content = 'edit {n}', etag = '{n}', version = {n}"), &[])
            .await
            .unwrap();
        let got: String = client.query_one(count, &[]).await.unwrap().get(0);
        assert_eq!(got, expected, "HOT updates after edit {n}");
    }
    client.batch_execute("COMMIT").await.unwrap();
    assert_eq!(bench.test.psql(FRESH), "0");
    // A renamed document is stale, so that the new row costs no word of the GIN index.
    fill(&bench).await;
    let (old, new) = (path("a.md"), path("b.md"));
    let mut rename = |drafts: &mut Drafts| {
        let text = drafts.text(&old).unwrap_or_default().to_owned();
        drafts.delete(&old)?;
        drafts.set(&new, text)
    };
    bank.edit(&alice, &[old.clone(), new.clone()], &mut rename).await.unwrap();
    assert_eq!(bench.test.psql(FRESH), "0");
    assert_eq!(paths(&bench, &alice, "edit").await, "b.md");
    let indexes = "SELECT string_agg(pg_get_expr(i.indpred, i.indrelid), ', ' ORDER BY 1) FROM pg_index i \
        JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attname = 'fts' \
        WHERE i.indrelid = 'documents'::regclass AND (a.attnum = ANY (i.indkey) OR pg_get_expr(i.indpred, i.indrelid) ~ 'fts')";
    assert_eq!(bench.test.psql(indexes), "(fts IS NOT NULL), (fts IS NULL)");
}

#[tokio::test]
async fn the_filler_skips_locked_rows_and_writes_no_vector_of_a_changed_text() {
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "one").await;
    let bank = bench.bank();
    for name in ["a.md", "b.md"] {
        write(&bank, &alice, name, "some words").await.unwrap();
    }
    let (mut client, connection) =
        tokio_postgres::connect(&bench.test.url_of("postgres"), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let held = client.transaction().await.unwrap();
    held.execute("SELECT FROM documents WHERE path = 'a.md' FOR UPDATE", &[]).await.unwrap();
    bench.database.index_some().await.unwrap();
    assert_eq!(bench.test.psql("SELECT string_agg(path, ' ') FROM documents WHERE fts IS NOT NULL"), "b.md");
    held.execute("UPDATE documents SET content = 'others', etag = 'other' WHERE path = 'a.md'", &[])
        .await
        .unwrap();
    held.commit().await.unwrap();
    fill(&bench).await;
    assert_eq!(bench.test.psql("SELECT fts FROM documents WHERE path = 'a.md'"), "'others':1");
    // Its bounds: rows, bytes (but for one document) and time.
    bench.test.psql("UPDATE documents SET content = content || ' more'");
    for bounds in [
        "1, 1000000, '1 s'",
        "100, 1, '1 s'",
        "100, 1000000, '0 s'",
        "1, 1, '-170000000 years'",
        "NULL, NULL, NULL",
    ] {
        bench.test.psql("UPDATE documents SET path = path WHERE fts IS NOT NULL");
        as_login(&bench, &format!("SELECT app.fill_fts({bounds})")).await.unwrap();
        assert_eq!(bench.test.psql(FRESH), "1", "{bounds}");
    }
}

#[tokio::test]
async fn the_filler_has_minimal_rights_and_tenants_cannot_write_vectors() {
    let (bench, alice, _) = two_tenants().await;
    let columns = |role: &str, right: &str| {
        bench.test.psql(&format!(
            "SELECT string_agg(attname, ' ' ORDER BY attname) FROM pg_attribute WHERE attrelid = 'documents'::regclass \
             AND attnum > 0 AND has_column_privilege('{role}', attrelid, attnum, '{right}')"
        ))
    };
    // Functions of the history find a document by its project, since ids are unique in a project only.
    assert_eq!(columns("app_definer", "SELECT"), "content etag fts id project_id");
    assert_eq!(columns("app_definer", "UPDATE"), "fts");
    assert_eq!(columns("app_definer", "INSERT"), "");
    for right in ["INSERT", "UPDATE"] {
        assert!(!columns("app_user", right).contains("fts"), "{right}");
    }
    let own = context(&alice, &alice, &alice);
    for sql in [
        "UPDATE documents SET fts = 'forged'",
        "INSERT INTO documents (project_id, path, etag, fts) VALUES (app.current_project_id(), 'x.md', 'x', 'forged')",
        "SELECT app.fill_fts(1, 1, '1 s')",
    ] {
        let refused = as_login(&bench, &format!("{own}{sql}")).await;
        assert!(refused.as_ref().is_err_and(|error| error.starts_with("42501")), "{sql}: {refused:?}");
    }
    let returns = "SELECT prorettype::regtype FROM pg_proc WHERE proname = 'fill_fts'";
    assert_eq!(bench.test.psql(returns), "void");
    let invoker = "SELECT prosecdef FROM pg_proc WHERE proname = 'search_documents'";
    assert_eq!(bench.test.psql(invoker), "f");
}

/// Ids are unique in a project only, so a project may have a document with the id of another project's.
#[tokio::test]
async fn documents_with_equal_id_and_etag_get_the_vectors_of_their_own_project() {
    let (bench, alice, bob) = two_tenants().await;
    write(&bench.bank(), &bob, "theirs.md", "the words of bob").await.unwrap();
    let theirs = bench.test.psql("SELECT id || ' ' || etag FROM documents WHERE path = 'theirs.md'");
    let (id, etag) = theirs.split_once(' ').unwrap();
    let twin = format!(
        "{}INSERT INTO documents (id, project_id, path, content, etag) VALUES ('{id}', app.current_project_id(), 'twin.md', \
         'words of alice', '{etag}'); COMMIT",
        context(&alice, &alice, &alice)
    );
    as_login(&bench, &twin).await.unwrap();
    fill(&bench).await;
    let of = |name: &str| bench.test.psql(&format!("SELECT fts FROM documents WHERE path = '{name}'"));
    assert_eq!(of("twin.md"), "'alice':3 'of':2 'words':1");
    assert_eq!(of("theirs.md"), "'bob':4 'of':3 'the':1 'words':2");
}

#[tokio::test]
async fn concurrent_edits_and_filling_lose_nothing_and_never_fail() {
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "one").await;
    let bank = bench.bank();
    let names: Vec<DocumentPath> = (0..4).map(|n| path(&format!("{n}.md"))).collect();
    let edits = futures::future::join_all(names.iter().map(|name| async {
        for n in 0..40 {
            let mut editor = |drafts: &mut Drafts| drafts.set(name, format!("turn{n} of a text"));
            bank.edit(&alice, std::slice::from_ref(name), &mut editor).await.unwrap();
        }
    }));
    let filling = async {
        for _ in 0..40 {
            bench.database.index_some().await.unwrap();
        }
    };
    futures::future::join(edits, filling).await;
    fill(&bench).await;
    assert_eq!(
        bench.test.psql("SELECT DISTINCT version || ' ' || fts::text FROM documents"),
        "40 'a':3 'of':2 'text':4 'turn39':1"
    );
}
