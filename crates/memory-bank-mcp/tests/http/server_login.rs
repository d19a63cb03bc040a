//! `migrate --server-password-file`: the login role of servers, created with a generated password.

use memory_bank_test_postgres::{MIGRATOR, TestDatabase};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::command;

/// A role of this test alone: roles belong to the whole cluster.
fn role_of(database: &TestDatabase) -> String {
    format!("serves_{}", database.psql("SELECT current_database()"))
}

fn migrate(database: &TestDatabase, server_url: &str, folder: &TempDir) -> Result<Value, String> {
    let url = database.url_of(MIGRATOR);
    let file = folder.path().join("password").display().to_string();
    let variables = [("DATABASE_URL", url.as_str()), ("REDIS_URL", ""), ("SERVER_DATABASE_URL", server_url)];
    let arguments = ["migrate", "--json", "--server-password-file", &file];
    let output = command(folder, &variables).args(arguments).output().unwrap();
    if !output.status.success() {
        return Err(String::from_utf8(output.stderr).unwrap());
    }
    let shown = String::from_utf8(output.stdout).unwrap();
    if let Ok(password) = std::fs::read_to_string(&file) {
        assert!(!shown.contains(password.trim()), "{shown}");
    }
    Ok(serde_json::from_str(&shown).unwrap())
}

fn verifier(database: &TestDatabase, role: &str) -> String {
    database.psql(&format!("SELECT rolpassword FROM pg_authid WHERE rolname = '{role}'"))
}

#[test]
fn migrate_creates_the_server_role_once_and_keeps_its_password() {
    let (database, folder) = (TestDatabase::empty(), TempDir::new().unwrap());
    let role = role_of(&database);
    let url = format!("postgresql://{role}@localhost:5432");
    let made = migrate(&database, &url, &folder).unwrap();
    assert_eq!(made["serverLogin"], json!({"role": role, "outcome": "created"}));
    let password = std::fs::read_to_string(folder.path().join("password")).unwrap();
    let rights = format!(
        "SELECT rolcanlogin, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, pg_has_role(oid, 'app_server', 'USAGE') \
         FROM pg_roles WHERE rolname = '{role}'"
    );
    assert_eq!(database.psql(&rights), "t|f|f|f|f|t");
    // The database never saw the password itself.
    assert!(verifier(&database, &role).starts_with("SCRAM-SHA-256$4096:"));

    let again = migrate(&database, &url, &folder).unwrap();
    assert_eq!(again, json!({"applied": [], "serverLogin": {"role": role, "outcome": "updated"}}));
    assert_eq!(std::fs::read_to_string(folder.path().join("password")).unwrap(), password);

    // A given password takes precedence, and the file is not changed.
    let before = verifier(&database, &role);
    migrate(&database, &format!("postgresql://{role}:a%40b@localhost:5432"), &folder).unwrap();
    assert_ne!(verifier(&database, &role), before);
    assert_eq!(std::fs::read_to_string(folder.path().join("password")).unwrap(), password);
    database.psql(&format!("DROP ROLE \"{role}\""));
}

#[test]
fn the_password_of_a_role_with_more_rights_is_not_changed() {
    let (database, folder) = (TestDatabase::empty(), TempDir::new().unwrap());
    let role = role_of(&database);
    database.psql(&format!("CREATE ROLE \"{role}\" LOGIN BYPASSRLS PASSWORD 'its own'"));
    let before = verifier(&database, &role);
    for one in [role.as_str(), MIGRATOR] {
        let left = migrate(&database, &format!("postgresql://{one}:x@localhost"), &folder).unwrap();
        assert_eq!(left["serverLogin"]["outcome"], "leftAlone", "{left}");
    }
    assert_eq!(verifier(&database, &role), before);
    database.psql(&format!("DROP ROLE \"{role}\""));
}

#[test]
fn missing_requirements_are_named_before_a_password_is_generated() {
    let (database, folder) = (TestDatabase::empty(), TempDir::new().unwrap());
    for (url, words) in
        [("", "`SERVER_DATABASE_URL` is not set"), ("postgresql://localhost/x", "names no user")]
    {
        let refused = migrate(&database, url, &folder).unwrap_err();
        assert!(refused.contains(words), "{refused}");
    }
    assert!(!folder.path().join("password").exists());
}
