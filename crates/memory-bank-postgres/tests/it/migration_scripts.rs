//! The three scripts on unusual databases: a schema of another program, settings of a role, the wrong order, and a schema
//! public of another owner.

use memory_bank_test_postgres::{GUIDE_ROLLBACK, MIGRATOR, SERVER, TestDatabase};

use crate::migrations::CONTENTS;

const SCRIPTS: [&str; 3] = ["001_schema.sql", "002_policies.sql", "003_functions.sql"];

#[test]
fn objects_of_another_program_in_schema_app_are_neither_used_nor_changed() {
    for (theirs, named) in [
        ("CREATE SCHEMA app; CREATE TABLE app.customers (id integer)", "app.customers"),
        (
            "CREATE SCHEMA app; CREATE FUNCTION app.one() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
            "app.one()",
        ),
        ("CREATE TYPE public.project_role AS ENUM ('boss')", "project_role"),
        ("CREATE SCHEMA app; CREATE TYPE app.access AS ENUM ('all')", "app.access"),
    ] {
        let database = TestDatabase::empty();
        database.psql_as(MIGRATOR, theirs);
        let before = database.psql(CONTENTS);
        for role in [MIGRATOR, "postgres"] {
            let refused = database.run_with_psql(role, SCRIPTS[0]).unwrap_err();
            assert!(refused.contains("another program") && refused.contains(named), "{refused}");
            assert_eq!(database.psql(CONTENTS), before, "{role}");
        }
    }
}

#[test]
fn a_schema_app_of_another_role_is_refused() {
    let database = TestDatabase::empty();
    database
        .psql(&format!("CREATE SCHEMA app AUTHORIZATION {SERVER}; GRANT ALL ON SCHEMA app TO {MIGRATOR}"));
    for role in [MIGRATOR, "postgres"] {
        let refused = database.run_with_psql(role, SCRIPTS[0]).unwrap_err();
        assert!(refused.contains(&format!("schema app belongs to role {SERVER}")), "{refused}");
    }
    // Of a superuser's, or of the database's owner, it is as good as one's own.
    database.psql(&format!(
        "ALTER SCHEMA app OWNER TO postgres; GRANT ALL ON SCHEMA app TO {MIGRATOR} WITH GRANT OPTION"
    ));
    database.migrate_with_psql(MIGRATOR);
}

#[test]
fn scripts_in_the_wrong_order_name_the_missing_one() {
    let database = TestDatabase::empty();
    for script in [SCRIPTS[1], SCRIPTS[2]] {
        let refused = database.run_with_psql(MIGRATOR, script).unwrap_err();
        assert!(refused.contains("apply 001_schema.sql first"), "{refused}");
    }
    database.run_with_psql(MIGRATOR, SCRIPTS[0]).unwrap();
    let refused = database.run_with_psql(MIGRATOR, SCRIPTS[2]).unwrap_err();
    assert!(refused.contains("apply 002_policies.sql first"), "{refused}");
    database.migrate_with_psql(MIGRATOR);
}

/// Operators and functions that would be found before PostgreSQL's own, by a role that has them on its path.
const PLANTED: &str = "
    CREATE SCHEMA planted;
    CREATE FUNCTION planted.same(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
    CREATE OPERATOR planted.= (LEFTARG = text, RIGHTARG = text, FUNCTION = planted.same);
    CREATE FUNCTION planted.now() RETURNS timestamptz LANGUAGE sql AS $$ SELECT timestamptz '2000-01-01' $$;
    GRANT USAGE ON SCHEMA planted TO PUBLIC;";

#[test]
fn role_settings_do_not_change_the_created_schema() {
    let plain = TestDatabase::empty();
    plain.migrate_with_psql(MIGRATOR);
    for settings in [
        &["search_path = planted, public, pg_catalog"][..],
        &["quote_all_identifiers = on"],
        &["row_security = off"],
        &["DateStyle = 'SQL, DMY'", "TimeZone = 'Pacific/Chatham'", "IntervalStyle = sql_standard"],
        &["default_transaction_isolation = serializable", "standard_conforming_strings = off"],
    ] {
        let database = TestDatabase::empty();
        database.psql(PLANTED);
        for setting in settings {
            database.psql(&format!("ALTER ROLE {MIGRATOR} IN DATABASE {} SET {setting}", database.name()));
        }
        for _ in 0..2 {
            database.migrate_with_psql(MIGRATOR);
            assert_eq!(database.schema(), plain.schema(), "{settings:?}");
        }
    }
}

#[test]
fn the_deployment_guide_s_rollback_works_where_a_superuser_owns_schema_public() {
    // As it is in every database that came from a PostgreSQL before 15, and where a right to create is granted by hand.
    for right in [
        "CREATE ON SCHEMA public TO PUBLIC",
        &format!("CREATE ON SCHEMA public TO {MIGRATOR} WITH GRANT OPTION"),
    ] {
        let database = TestDatabase::empty();
        database.psql(&format!("ALTER SCHEMA public OWNER TO postgres; GRANT {right}"));
        let before = database.psql(CONTENTS);
        database.migrate_with_psql(MIGRATOR);
        database.psql_as(MIGRATOR, GUIDE_ROLLBACK);
        assert_eq!(database.psql(CONTENTS), before, "{right}");
    }
}

#[test]
fn a_role_without_the_right_to_create_tables_is_refused_before_anything_is_created() {
    let database = TestDatabase::empty();
    database
        .psql(&format!("ALTER SCHEMA public OWNER TO postgres; GRANT CREATE ON SCHEMA public TO {MIGRATOR}"));
    let before = database.psql(CONTENTS);
    let refused = database.run_with_psql(MIGRATOR, SCRIPTS[0]).unwrap_err();
    assert!(
        refused.contains("does not own schema public") && refused.contains("WITH GRANT OPTION"),
        "{refused}"
    );
    assert_eq!(database.psql(CONTENTS), before);
}
