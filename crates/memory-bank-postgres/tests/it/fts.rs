//! Full-text search in the database: `documents.fts`, the trigger that marks it stale, and
//! `app.search_documents`.

use memory_bank_core::caller::{Caller, Right};
use memory_bank_core::store::TextIndex;
use memory_bank_test_postgres::TestDatabase;

use crate::isolation::two_tenants;
use crate::support::{Bench, query_as_login, write};

pub(crate) const FRESH: &str = "SELECT count(*) FROM documents WHERE fts IS NOT NULL";

pub(crate) fn context(user: &Caller, project: &Caller, key: &Caller) -> String {
    format!(
        "BEGIN; SET LOCAL app.current_user_id = '{}'; SET LOCAL app.current_project_id = '{}'; \
         SET LOCAL app.current_key_id = '{}'; SET LOCAL app.current_key_hash = '{}'; SET LOCAL ROLE app_user; ",
        user.user.0,
        project.project.0,
        key.key.unwrap().0,
        key.proof.unwrap().to_hex()
    )
}

/// Runs SQL as the login role of servers; returns the rows of the last statement, their columns separated by `|`.
pub(crate) async fn as_login(bench: &Bench, sql: &str) -> Result<String, String> {
    let mut rows = Vec::new();
    for message in query_as_login(bench, sql).await? {
        if let tokio_postgres::SimpleQueryMessage::Row(row) = message {
            let members: Vec<&str> = (0..row.len()).map(|at| row.get(at).unwrap_or("null")).collect();
            rows.push(members.join("|"));
        }
    }
    Ok(rows.join("\n"))
}

pub(crate) async fn search(bench: &Bench, caller: &Caller, query: &str) -> Result<String, String> {
    let sql = format!(
        "{}SELECT path, headline FROM app.search_documents($query${query}$query$, 10)",
        context(caller, caller, caller)
    );
    as_login(bench, &sql).await
}

pub(crate) async fn paths(bench: &Bench, caller: &Caller, query: &str) -> String {
    let found = search(bench, caller, query).await.unwrap();
    found.lines().map(|line| line.split('|').next().unwrap()).collect::<Vec<_>>().join(" ")
}

pub(crate) async fn fill(bench: &Bench) {
    // Another test of this cluster holds no lock of this database.
    for _ in 0..50 {
        bench.database.index_some().await.unwrap();
        if bench.database.count_stale().await.unwrap() == 0 {
            return;
        }
    }
    panic!("{} documents are stale still", bench.database.count_stale().await.unwrap());
}

#[tokio::test]
async fn search_is_correct_before_and_after_the_vectors_are_filled_and_after_an_edit() {
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "one").await;
    let bank = bench.bank();
    write(&bank, &alice, "a.md", "The quick brown fox; see docs/operations.md and foo_bar.").await.unwrap();
    write(&bank, &alice, "b.md", "A brown dog. 记忆库 的 说明。这是记忆的库").await.unwrap();
    for filled in [false, true] {
        if filled {
            fill(&bench).await;
        }
        assert_eq!(bench.test.psql(FRESH), if filled { "2" } else { "0" });
        for (query, found) in [
            ("brown", "a.md b.md"),
            ("BROWN fox", "a.md"),
            ("\"brown fox\"", "a.md"),
            ("\"fox brown\"", ""),
            ("brown -fox", "b.md"),
            ("fox or dog", "a.md b.md"),
            ("the", "a.md"),
            ("operations", "a.md"),
            ("docs/operations.md", "a.md"),
            ("foo_bar", "a.md"),
            ("foo-bar", "a.md"),
            ("bar", "a.md"),
            ("记忆", "b.md"),
            ("brown -记忆", "a.md"),
            ("brown -foo-bar", "b.md"),
            ("cat", ""),
        ] {
            let mut got: Vec<String> =
                paths(&bench, &alice, query).await.split(' ').map(str::to_owned).collect();
            got.sort();
            assert_eq!(got.join(" "), found, "{query}, filled: {filled}");
        }
    }
    write(&bank, &alice, "a.md", "Now a cat").await.unwrap();
    assert_eq!(bench.test.psql(FRESH), "1");
    assert_eq!(
        (paths(&bench, &alice, "cat").await, paths(&bench, &alice, "fox").await),
        ("a.md".into(), String::new())
    );
    // Plain SQL that forgets the etag, too.
    fill(&bench).await;
    bench.test.psql("UPDATE documents SET content = 'a bird' WHERE path = 'a.md'");
    assert_eq!(
        (paths(&bench, &alice, "bird").await, paths(&bench, &alice, "cat").await),
        ("a.md".into(), String::new())
    );
}

#[tokio::test]
async fn a_search_never_reaches_another_project_in_any_context() {
    let (bench, alice, bob) = two_tenants().await;
    for filled in [false, true] {
        if filled {
            fill(&bench).await;
        }
        assert_eq!(search(&bench, &alice, "secret").await.unwrap(), "secret.md|the <b>secret</b> of alice");
        assert_eq!(search(&bench, &alice, "bob").await.unwrap(), "");
        let query = "SELECT count(*) FROM app.search_documents('secret', 10)";
        // Without a context, also for roles that see all rows.
        assert_eq!(as_login(&bench, &format!("BEGIN; SET LOCAL ROLE app_user; {query}")).await.unwrap(), "0");
        assert_eq!(bench.test.psql(query), "0");
        for forged in
            [context(&alice, &bob, &alice), context(&bob, &bob, &alice), context(&alice, &alice, &bob)]
        {
            let refused = as_login(&bench, &format!("{forged}{query}")).await;
            assert!(refused.as_ref().is_err_and(|error| error.starts_with("MB401")), "{refused:?}");
        }
        let writer = bench.with_scopes(&alice, vec![Right::Write]).await;
        assert_eq!(search(&bench, &writer, "secret").await.unwrap(), "");
    }
    // Even the planner's estimates do not depend on other projects' rows.
    bench.test.psql("ANALYZE documents");
    assert_eq!(
        bench.test.psql(
            "SELECT count(*) FROM pg_statistic WHERE starelid = 'documents'::regclass AND staattnum = \
            (SELECT attnum FROM pg_attribute WHERE attrelid = 'documents'::regclass AND attname = 'fts')"
        ),
        "0"
    );
}

#[tokio::test]
async fn the_plan_filters_by_project_first() {
    let (bench, alice, _) = two_tenants().await;
    bench.test.psql(&format!(
        "INSERT INTO documents (project_id, path, content, etag, fts) SELECT p.id, 'n' || n, 'x', n, to_tsvector('simple', 'x ' || n) \
         FROM generate_series(1, 3000) n, projects p WHERE n < 50 OR p.id <> '{}'; ANALYZE documents",
        alice.project.0
    ));
    let plan = as_login(
        &bench,
        &format!(
            "{}EXPLAIN SELECT path FROM documents WHERE project_id = app.readable_project() AND fts @@ 'rare'::tsquery",
            context(&alice, &alice, &alice)
        ),
    )
    .await
    .unwrap();
    assert!(plan.contains("documents_project_id_path_key") && !plan.contains("documents_fts_idx"), "{plan}");
    // A role that bypasses the policies uses the GIN index.
    let plan = bench
        .test
        .psql("SET enable_seqscan = off; EXPLAIN SELECT path FROM documents WHERE fts @@ 'rare'::tsquery");
    assert!(plan.contains("documents_fts_idx"), "{plan}");
}

#[tokio::test]
async fn unusual_queries_find_nothing_or_are_refused_with_a_reason() {
    let (bench, alice, _) = two_tenants().await;
    for query in [
        "",
        " ",
        "\"",
        "\"\"",
        "-",
        "--",
        "!&|()<>:*'",
        "OR",
        "- - -",
        "\\",
        "....",
        &"\"".repeat(4000),
        &"-".repeat(4000),
        &"(".repeat(4000),
        &"x".repeat(4000),
    ] {
        let found = search(&bench, &alice, query).await;
        assert_eq!(found, Ok(String::new()), "{query}");
    }
    for query in ["- ".repeat(2000), "-. ".repeat(1000), "-' ".repeat(1000)] {
        assert_eq!(search(&bench, &alice, &query).await, Ok(String::new()), "{query}");
    }
    for query in ["-\"\" ".repeat(800), "-\" ".repeat(1000)] {
        let found = search(&bench, &alice, &query).await;
        let refused = found.as_ref().is_err_and(|error| error.starts_with("MB400 the query cannot be read"));
        assert!(refused || found == Ok(String::new()), "{found:?}");
    }
    let long = search(&bench, &alice, &"word ".repeat(200_000)).await.unwrap_err();
    assert_eq!(long, "MB400 the query has 1000000 bytes, at most 4096 are taken; ask for fewer words");
    let own = context(&alice, &alice, &alice);
    let count = async |arguments: &str| {
        as_login(&bench, &format!("{own}SELECT count(*) FROM app.search_documents({arguments})"))
            .await
            .unwrap()
    };
    let bank = bench.bank();
    for n in 0..120 {
        write(&bank, &alice, &format!("n{n}.md"), "common").await.unwrap();
    }
    for (arguments, expected) in [
        ("NULL, 5", "0"),
        ("NULL, NULL", "0"),
        ("'common'", "10"),
        ("'common', NULL", "10"),
        ("'common', 0", "1"),
        ("'common', -5", "1"),
        ("'common', 3", "3"),
        ("'common', 2147483647", "100"),
        ("'-common', 5", "1"),
    ] {
        assert_eq!(count(arguments).await, expected, "{arguments}");
    }
}

#[tokio::test]
async fn texts_past_the_limits_of_a_vector_are_indexed_as_far_as_they_go() {
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "one").await;
    let project = alice.project.0;
    for (name, content) in [
        (
            "unique.md",
            "(SELECT 'firstword ' || string_agg(md5(n::text), ' ') FROM generate_series(1, 40000) n)",
        ),
        (
            "base64.md",
            "(SELECT string_agg(replace(encode(sha512(n::text::bytea), 'base64'), E'\\n', ''), '') \
            FROM generate_series(1, 35000) n) || ' conclusion'",
        ),
        ("word.md", "repeat('x', 16000000)"),
        ("chinese.md", "repeat('记忆库很大', 60000) || '结尾'"),
        // The parser of PostgreSQL alone takes hours for these.
        ("square.md", "repeat('a_', 500000) || ' conclusion'"),
        ("tags.md", "repeat('<!--', 250000) || ' conclusion'"),
        ("empty.md", "''"),
    ] {
        bench.test.psql(&format!(
            "INSERT INTO documents (project_id, path, content, etag) SELECT '{project}', '{name}', {content}, '{name}'"
        ));
    }
    fill(&bench).await;
    assert_eq!(bench.test.psql(FRESH), "7");
    assert_eq!(paths(&bench, &alice, "firstword").await, "unique.md");
    assert_eq!(bench.test.psql("SELECT length(fts) > 25000 FROM documents WHERE path = 'unique.md'"), "t");
    let mut found: Vec<String> =
        paths(&bench, &alice, "conclusion").await.split(' ').map(str::to_owned).collect();
    found.sort();
    assert_eq!(found.join(" "), "base64.md square.md tags.md");
    assert_eq!(paths(&bench, &alice, "结尾").await, "chinese.md");
    assert_eq!(bench.test.psql("SELECT count(*) FROM documents WHERE fts = ''"), "2");
}

#[tokio::test]
async fn a_search_over_too_much_unindexed_text_is_refused() {
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "one").await;
    bench.test.psql(&format!(
        "INSERT INTO documents (project_id, path, content, etag) SELECT '{}', n || '.md', repeat('word ', 2000000), n \
         FROM generate_series(1, 4) n",
        alice.project.0
    ));
    let refused = search(&bench, &alice, "word").await.unwrap_err();
    assert!(refused.starts_with("MB400 38 MiB of the project's documents are not indexed yet"), "{refused}");
    fill(&bench).await;
    assert_eq!(paths(&bench, &alice, "word").await.split(' ').count(), 4);
}

#[tokio::test]
async fn a_headline_is_short_and_its_only_html_is_the_marks() {
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "one").await;
    let text = format!(
        "{} <script>alert(\"x\")</script> \u{2}needle\u{3} & needles [needle] {}",
        "padding ".repeat(50_000),
        "<b>".repeat(1000)
    );
    write(&bench.bank(), &alice, "a.md", &text).await.unwrap();
    let found = search(&bench, &alice, "needle -nothing or script").await.unwrap();
    let (_, headline) = found.split_once('|').unwrap();
    assert!(headline.contains("&lt;<b>script</b>&gt;alert(&quot;x&quot;)&lt;/<b>script</b>&gt; <b>needle</b> &amp; needles [<b>needle</b>]"), "{headline}");
    let bare = headline.replace("<b>", "").replace("</b>", "");
    assert!(!bare.contains(['<', '>', '"', '\u{2}', '\u{3}']), "{headline}");
    assert!(headline.len() < 2000, "{}", headline.len());
}

#[tokio::test]
async fn session_settings_do_not_change_search_results() {
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "one").await;
    write(&bench.bank(), &alice, "a.md", "the decisions").await.unwrap();
    for setting in [
        "SET default_text_search_config = 'english'",
        "SET search_path = pg_temp, public",
        "SET search_path = ''",
    ] {
        for (query, found) in [("the", "a.md"), ("decision", ""), ("decisions", "a.md")] {
            let sql = format!(
                "{setting}; {}SELECT path FROM app.search_documents('{query}')",
                context(&alice, &alice, &alice)
            );
            assert_eq!(as_login(&bench, &sql).await.unwrap(), found, "{setting} {query}");
        }
    }
    let configured = bench.test.psql("SELECT count(*) FROM pg_proc WHERE pronamespace = 'app'::regnamespace AND proname ~ 'fts|search_documents' \
        AND NOT ('search_path=pg_catalog, pg_temp' = ANY (coalesce(proconfig, '{}')))");
    assert_eq!(configured, "0");
}

#[test]
fn text_search_works_on_supabase() {
    let database = TestDatabase::supabase();
    for script in ["001_schema", "002_policies", "003_functions"] {
        let file = format!("{}/../../supabase/setup/{script}.sql", env!("CARGO_MANIFEST_DIR"));
        database.psql_as(memory_bank_test_postgres::SUPABASE, &std::fs::read_to_string(file).unwrap());
    }
    database.psql_as(
        memory_bank_test_postgres::SUPABASE,
        "SELECT app.fill_fts(1, 1, '1 s'); SELECT * FROM app.search_documents('x', 1)",
    );
}
