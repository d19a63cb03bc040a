//! A database that earlier scripts of this version made, with rows in it, is brought up to date by running the scripts again.
//! `tests/fixtures/earlier_schema` has those of commit a34322e4, which knew neither OAuth nor outside identities.

use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;
use memory_bank_postgres::MIGRATIONS;
use memory_bank_test_postgres::{MIGRATOR, TestDatabase};

use crate::support::Bench;

fn earlier(version: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/earlier_schema");
    let packed = std::fs::read(folder.join(format!("{version}.sql.gz"))).unwrap();
    let mut text = String::new();
    GzDecoder::new(packed.as_slice()).read_to_string(&mut text).unwrap();
    text
}

/// A schema, line by line, without the order of columns, which an upgrade cannot change.
fn facts(database: &TestDatabase) -> Vec<String> {
    let mut lines: Vec<String> = database.schema().lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[tokio::test]
async fn the_scripts_bring_a_database_of_earlier_ones_up_to_date() {
    let old = TestDatabase::empty();
    for (version, _) in MIGRATIONS {
        old.psql_as(MIGRATOR, &earlier(version));
    }
    assert_eq!(old.psql("SELECT to_regclass('app.oauth_grants') IS NULL"), "t");
    old.psql(
        "INSERT INTO users (id, name) VALUES ('00000000-0000-0000-0000-000000000001', 'alice'); \
         INSERT INTO projects (id, owner_id, name, slug) VALUES ('00000000-0000-0000-0000-000000000002', \
           '00000000-0000-0000-0000-000000000001', 'Atlas', 'atlas'); \
         INSERT INTO memberships (user_id, project_id, role) VALUES ('00000000-0000-0000-0000-000000000001', \
           '00000000-0000-0000-0000-000000000002', 'owner'); \
         INSERT INTO api_keys (user_id, project_id, key_hash, key_prefix) VALUES ('00000000-0000-0000-0000-000000000001', \
           '00000000-0000-0000-0000-000000000002', sha256('key'), 'mbmcp_live_x'); \
         INSERT INTO documents (project_id, path, content, etag) VALUES ('00000000-0000-0000-0000-000000000002', 'a.md', 'x', 'e')",
    );
    let kept = "SELECT u.name, p.slug, m.role, k.key_prefix, d.content FROM users u, projects p, memberships m, api_keys k, documents d";
    let before = old.psql(kept);
    old.migrate_with_psql(MIGRATOR);
    assert_eq!(old.psql(kept), before);
    let (upgraded, new) = (facts(&old), facts(&TestDatabase::migrated()));
    let missing: Vec<_> = new.iter().filter(|fact| !upgraded.contains(fact)).collect();
    let left: Vec<_> = upgraded.iter().filter(|fact| !new.contains(fact)).collect();
    assert!(missing.is_empty() && left.is_empty(), "missing: {missing:#?}\nleft over: {left:#?}");
    let counted = "SELECT string_agg(kind || ' ' || bytes, ', ' ORDER BY kind DESC) FROM app.stored_bytes";
    assert_eq!(old.psql(counted), "documents 1, document_count 1", "the number of documents is counted once");
    // A server of today accepts it, and the new parts work on it.
    let bench = Bench::new().await;
    bench.open(&old.url(), 1).prove_isolation().await.unwrap();
    old.psql_as(
        MIGRATOR,
        "SELECT app.trust_issuer('https://login.example.com', true); \
        SELECT app.link_identity('alice', 'https://login.example.com', 'u1')",
    );
    let admitted = "SELECT outcome FROM app.oauth_admit_outside(sha256('token'), gen_random_uuid(), 'p', now() + interval '1 hour', \
        'https://login.example.com', 'u1', 'n', NULL, NULL, '{}', '{}', 10, NULL, gen_random_uuid(), 'app', 'App', \
        'login.example.com', '{read}', 'https://memory.example.com/mcp', 60, 10, 10)";
    assert_eq!(old.psql(admitted), "admitted");
    // Again: nothing changes.
    let before = facts(&old);
    old.migrate_with_psql(MIGRATOR);
    assert_eq!(facts(&old), before);
    assert_eq!(old.psql(counted), "documents 1, document_count 1");
    assert_eq!(old.psql("SELECT count(*) FROM app.oauth_grants WHERE issuer IS NOT NULL"), "1");
}
