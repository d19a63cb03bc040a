//! The schema as a database takes it that distributes tables by a column, such as Citus: every key and every foreign key of a table
//! that has a project contains the project, so that all rows of a project can be on one node.

use memory_bank_test_postgres::TestDatabase;

/// Tables that a distributed database copies to every node, although they have a project: a key is looked up by its hash alone,
/// before its project is known, and with it the grant that it belongs to.
const COPIED: &str = "'public.api_keys'::regclass, 'app.oauth_grants'::regclass";

/// The tables, with the number of their column `project_id`; none for those that every node has.
fn tables() -> String {
    format!(
        "WITH t AS (SELECT c.oid, (SELECT a.attnum FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'project_id' \
           AND NOT a.attisdropped AND c.oid NOT IN ({COPIED})) AS project \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname IN ('public', 'app') AND c.relkind IN ('r', 'p') AND NOT c.relispartition)"
    )
}

#[test]
fn every_unique_key_of_a_table_with_a_project_contains_the_project() {
    let database = TestDatabase::migrated();
    let without = format!(
        "{} SELECT i.indexrelid::regclass FROM t JOIN pg_index i ON i.indrelid = t.oid AND i.indisunique \
         WHERE t.project IS NOT NULL AND NOT (t.project = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])) ORDER BY 1",
        tables()
    );
    assert_eq!(database.psql(&without), "");
    database.psql("CREATE UNIQUE INDEX stray ON public.documents (path) INCLUDE (project_id)");
    assert_eq!(database.psql(&without), "stray");
    let distributed = format!("{} SELECT count(*) >= 20 FROM t WHERE project IS NOT NULL", tables());
    assert_eq!(database.psql(&distributed), "t");
}

#[test]
fn every_foreign_key_stays_in_its_project_or_leads_to_a_table_that_every_node_has() {
    let database = TestDatabase::migrated();
    // Both tables have a project, and it is not the same column of the key in both.
    let beyond = format!(
        "{} SELECT k.conrelid::regclass || ' ' || k.conname FROM pg_constraint k JOIN t ON t.oid = k.conrelid \
         JOIN t f ON f.oid = k.confrelid WHERE k.contype = 'f' AND f.project IS NOT NULL \
         AND (t.project IS NULL OR array_position(k.conkey, t.project) IS DISTINCT FROM array_position(k.confkey, f.project) \
           OR array_position(k.conkey, t.project) IS NULL) ORDER BY 1",
        tables()
    );
    assert_eq!(database.psql(&beyond), "");
    // The check finds a key that leaves its project.
    database.psql(
        "CREATE TABLE app.stray (document_id uuid, project uuid, path text, \
        FOREIGN KEY (project, path) REFERENCES public.documents (project_id, path))",
    );
    assert_eq!(database.psql(&beyond), "app.stray stray_project_path_fkey");
}

/// A new table belongs here only if its rows are of no project: otherwise it needs a column `project_id`.
#[test]
fn tables_without_a_project_are_those_of_users_and_of_the_server() {
    let database = TestDatabase::migrated();
    let without = format!(
        "{} SELECT oid::regclass FROM t WHERE project IS NULL ORDER BY oid::regclass::text",
        tables()
    );
    let found = database.psql(&without);
    let expected = [
        "api_keys",
        "app.barred_identities",
        "app.history_bounds",
        "app.identities",
        "app.issuers",
        "app.log_history",
        "app.oauth_assertions",
        "app.oauth_clients",
        "app.oauth_grants",
        "app.oauth_login_codes",
        "app.oauth_sign_ins",
        "projects",
        "schema_migrations",
        "users",
    ];
    assert_eq!(found.lines().collect::<Vec<_>>(), expected);
}
