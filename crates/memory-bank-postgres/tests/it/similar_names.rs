//! What an edit learns of its project before it makes a document: the number of documents, and names that some file systems
//! cannot store beside the new one. The cost does not depend on the number of documents.

use memory_bank_core::caller::Caller;
use memory_bank_core::document::DocumentPath;
use memory_bank_core::error::EditError;
use memory_bank_test_postgres::SERVER;

use crate::support::{Bench, write};

/// The arrays of `app.open_documents` for one new name.
fn compared(name: &str) -> String {
    let canonical = DocumentPath::parse(name).unwrap().canonical().as_str().to_owned();
    let folders: Vec<&str> =
        canonical.match_indices('/').map(|(at, _)| canonical.get(..=at).unwrap()).collect();
    let array = |names: &[&str]| {
        format!(
            "ARRAY[{}]::text[]",
            names.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(",")
        )
    };
    let low = |names: &[&str]| {
        let low: Vec<String> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
        array(&low.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let names = [canonical.as_str()];
    format!("{}, {}, {}, {}", low(&names), array(&names), low(&folders), array(&folders))
}

/// The call for one name, with the columns that are asked for.
fn open(caller: &Caller, columns: &str, name: &str) -> String {
    format!(
        "SELECT {columns} FROM app.open_documents('{}', '{}', '{}', '{}', ARRAY['{name}'], {})",
        caller.user.0,
        caller.project.0,
        caller.key.unwrap().0,
        caller.proof.unwrap().to_hex(),
        compared(name)
    )
}

#[tokio::test]
async fn the_index_finds_the_names_that_a_comparison_of_all_finds() {
    const FOLDERS: [&str; 10] = [
        "",
        "notes/",
        "Notes/",
        "nOTES/",
        "notes/Daily/",
        "Notes/daily/",
        "notes/daily/",
        "not/",
        "Ä/",
        "ä/",
    ];
    const FILES: [&str; 8] = ["a.md", "A.md", "a.MD", "read-me.md", "Read-Me.md", "z_1.md", "0.md", "é.md"];
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "one").await;
    let bob = bench.tenant("bob", "two").await;
    let names: Vec<String> =
        FOLDERS.iter().flat_map(|folder| FILES.iter().map(move |file| format!("{folder}{file}"))).collect();
    let mut found = 0;
    for (round, step) in [(0_usize, 2_usize), (1, 3), (2, 5), (0, 7)] {
        bench.test.psql("DELETE FROM documents");
        for (name, project) in names
            .iter()
            .skip(round)
            .step_by(step)
            .map(|name| (name, &alice))
            .chain(names.iter().map(|name| (name, &bob)))
        {
            bench.test.psql(&format!(
                "INSERT INTO documents (project_id, path, content, etag) VALUES ('{}', '{name}', 'x', 'e')",
                project.project.0
            ));
        }
        for name in &names {
            let list = "(SELECT string_agg(DISTINCT n, ' ' ORDER BY n) FROM unnest(similar_names) n)";
            let seen =
                bench.test.psql_as(SERVER, &format!("{} WHERE path IS NULL", open(&alice, list, name)));
            let arrays = compared(name);
            let all = bench.test.psql(&format!(
                "SELECT string_agg(d.path, ' ' ORDER BY d.path) FROM (SELECT {arrays}) AS v (low, names, low_folders, folders), documents d \
                 WHERE d.project_id = '{}' AND NOT EXISTS (SELECT FROM documents o WHERE o.project_id = d.project_id AND o.path = '{name}') \
                 AND (lower(d.path COLLATE \"C\") = ANY (low) AND d.path <> ALL (names) OR EXISTS (SELECT FROM unnest(low_folders, folders) f (low, plain) \
                 WHERE starts_with(lower(d.path COLLATE \"C\"), f.low) AND NOT starts_with(d.path, f.plain)))",
                alice.project.0
            ));
            assert_eq!(seen, all, "{name}");
            found += usize::from(!all.is_empty());
        }
    }
    assert!(found > 50, "only {found} names were similar to others");
}

#[tokio::test]
async fn a_new_document_reads_as_much_in_a_small_project_as_in_a_large_one() {
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "one").await;
    let bank = bench.bank();
    let fill = |from: u32, to: u32| {
        bench.test.psql(&format!(
            "INSERT INTO documents (project_id, path, content, etag) \
             SELECT '{}', CASE n % 4 WHEN 0 THEN '' WHEN 1 THEN 'notes/' WHEN 2 THEN 'Plans/' ELSE 'archive/Daily/' END || 'document-' || n || '.md', \
             repeat('x', 300), n FROM generate_series({from}, {to}) n",
            alice.project.0
        ));
        bench.test.psql("VACUUM ANALYZE documents");
    };
    // How many pages the statement touches; another one has planned it.
    let pages = |name: &str| {
        let call = open(&alice, "*", name);
        let explained =
            format!("{call}; RESET ROLE; EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF) {call}");
        let plan = bench.test.psql_as(SERVER, &explained);
        let line = plan.lines().find(|line| line.contains("Buffers: shared")).unwrap().to_owned();
        let numbers = line.split([' ', '=']).filter_map(|word| word.parse::<u64>().ok());
        numbers.sum::<u64>()
    };
    const NEW: [&str; 3] = ["new.md", "notes/new.md", "notes/other/new.md"];
    fill(1, 100);
    let small = NEW.map(pages);
    fill(101, 20_000);
    let large = NEW.map(pages);
    for ((name, small), large) in NEW.iter().zip(small).zip(large) {
        assert!(large < small + 60, "`{name}`: {small} pages of 100 documents, {large} of 20,000");
    }
    // The number of documents is right, after all ways in which documents come and go.
    let counted = |expected: &str| {
        let call = format!("{} WHERE path IS NULL", open(&alice, "present", "new.md"));
        assert_eq!(bench.test.psql_as(SERVER, &call), expected);
    };
    counted("20000");
    write(&bank, &alice, "notes/new.md", "# New\n").await.unwrap();
    counted("20001");
    bench.test.psql("UPDATE documents SET content = 'y' WHERE path LIKE 'notes/%'; DELETE FROM documents WHERE path LIKE 'Plans/%'");
    counted("15001");
    let refused = write(&bank, &alice, "NOTES/x.md", "x").await;
    assert!(matches!(&refused, Err(EditError::Refused(text)) if text.contains("letter case")), "{refused:?}");
}
