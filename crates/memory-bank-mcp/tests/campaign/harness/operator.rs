//! The operator's commands, on a database.

use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::replica::BINARY;

/// Runs a command and returns its output.
pub(crate) fn operate(database: &str, redis: &str, arguments: &[&str]) -> Value {
    let folder = TempDir::new().unwrap();
    let output = Command::new(BINARY)
        .current_dir(folder.path())
        .env_clear()
        .envs([("DATABASE_URL", database), ("REDIS_URL", redis)])
        .args(arguments)
        .arg("--json")
        .output()
        .unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {message}");
    serde_json::from_slice(&output.stdout).unwrap()
}
