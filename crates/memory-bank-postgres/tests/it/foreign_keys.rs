//! The plan of the check of a foreign key. A plan that reads all rows of a project for each new row makes a restore take
//! minutes: a table that was emptied and then analysed looks as cheap to read by any index.

use memory_bank_test_postgres::TestDatabase;

use crate::support::Bench;

/// One row per foreign key of several columns: its name, the referenced table, and the condition of the check.
const FOREIGN_KEYS: &str = "SELECT c.conname || '|' || c.confrelid::regclass || '|' ||
    string_agg(format('%I = (SELECT NULL::%s)', a.attname, format_type(a.atttypid, a.atttypmod)), ' AND ')
  FROM pg_constraint AS c
  JOIN pg_attribute AS a ON a.attrelid = c.confrelid AND a.attnum = ANY (c.confkey)
  WHERE c.contype = 'f' AND cardinality(c.confkey) > 1 AND c.connamespace IN ('public'::regnamespace, 'app'::regnamespace)
  GROUP BY c.oid, c.conname, c.confrelid ORDER BY 1";

#[test]
fn a_check_of_a_foreign_key_does_not_read_all_rows_of_a_project_or_user() {
    let database = TestDatabase::migrated();
    for statistics in ["", "ANALYZE; "] {
        let mut faults = Vec::new();
        let keys = database.psql(FOREIGN_KEYS);
        assert!(keys.lines().count() > 5, "{keys}");
        for line in keys.lines() {
            let [name, table, condition] = line.split('|').collect::<Vec<_>>()[..] else {
                panic!("{line}");
            };
            let plan = database.psql(&format!(
                "{statistics}SET enable_seqscan = off; SET enable_bitmapscan = off; \
                 EXPLAIN SELECT 1 FROM ONLY {table} AS x WHERE {condition} FOR KEY SHARE OF x"
            ));
            let index_condition = plan.lines().find(|line| line.contains("Index Cond:")).unwrap_or_default();
            let is_narrow = index_condition.contains(" AND ") || index_condition.contains("(id =");
            if !is_narrow {
                faults.push(format!("{name}:\n{plan}"));
            }
        }
        assert!(faults.is_empty(), "{statistics}{}", faults.join("\n"));
    }
}

#[tokio::test]
async fn entities_are_found_by_name_with_an_index_that_checks_of_foreign_keys_cannot_use() {
    let bench = Bench::new().await;
    let project = bench.tenant("alice", "demo").await.project.0;
    bench.test.psql(&format!(
        "INSERT INTO public.graph_entities (project_id, id, name, name_key, entity_type) \
         SELECT '{project}', 'ent_' || n, 'Service ' || n, 'service ' || n, 'service' FROM generate_series(1, 5000) AS n; \
         ANALYZE public.graph_entities"
    ));
    let names = "(SELECT ARRAY['a', 'b'])::text[]";
    for condition in
        [format!("name_key = ANY ({names})"), format!("(id = ANY ({names}) OR name_key = ANY ({names}))")]
    {
        let plan = bench.test.psql(&format!(
            "EXPLAIN SELECT 1 FROM public.graph_entities WHERE project_id = '{project}' AND {condition}"
        ));
        assert!(plan.contains("graph_entities_key_idx"), "{plan}");
        assert!(!plan.contains("Filter: "), "{plan}");
    }
}
