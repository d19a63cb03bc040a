//! The space of a project, and the time of its backup, restore and export.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::report::{grouped, shown};
use crate::servers::{Postgres, operate};

/// Bytes of tables and of their indexes.
#[derive(Clone, Copy)]
pub struct Sizes {
    tables: u64,
    indexes: u64,
}

impl Sizes {
    /// Of the whole database.
    pub fn of(postgres: &Postgres) -> anyhow::Result<Self> {
        let sum = |function: &str| {
            let sql = format!(
                "SELECT coalesce(sum({function}(c.oid)), 0) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                 WHERE n.nspname IN ('public', 'app') AND c.relkind = 'r'"
            );
            anyhow::Ok(postgres.psql(&sql)?.trim().parse::<u64>()?)
        };
        Ok(Self { tables: sum("pg_table_size")?, indexes: sum("pg_indexes_size")? })
    }
}

/// The space and times of one project; none where a command failed.
pub struct Upkeep {
    tables: u64,
    indexes: u64,
    backup: Option<(Duration, u64)>,
    restore: Option<Duration>,
    export: Option<Duration>,
}

/// Measures a project that was written since `before`.
pub fn measure(
    postgres: &Postgres,
    binary: &Path,
    home: &Path,
    project: &str,
    before: &Sizes,
) -> anyhow::Result<Upkeep> {
    let owner = postgres.url("postgres");
    let after = Sizes::of(postgres)?;
    let place = home.join(format!("{project}.zip"));
    let file = place.to_string_lossy();
    let timed = |arguments: &[&str]| {
        let began = Instant::now();
        match operate(binary, &owner, arguments) {
            Ok(_) => Some(began.elapsed()),
            Err(error) => {
                eprintln!("{}: {error:#}", arguments.join(" "));
                None
            }
        }
    };
    let backup = timed(&["backup", "--project", project, "--to", &file]);
    let bytes = std::fs::metadata(&place).map_or(0, |file| file.len());
    let copy = format!("{project}-restored");
    operate(binary, &owner, &["bootstrap", "--user", "alice", "--project", &copy])?;
    let restore = backup.and_then(|_| timed(&["restore", "--project", &copy, "--from", &file]));
    let folder = home.join(format!("{project}-exported"));
    let export = timed(&["export", "--project", project, "--to", &folder.to_string_lossy()]);
    let _gone = std::fs::remove_dir_all(&folder);
    if place.exists() {
        std::fs::remove_file(&place)?;
    }
    operate(binary, &owner, &["projects", "remove", &copy, "--confirm", &copy, "--yes"])?;
    eprintln!("{project}: backup, restore and export done");
    Ok(Upkeep {
        tables: after.tables.saturating_sub(before.tables),
        indexes: after.indexes.saturating_sub(before.indexes),
        backup: backup.map(|took| (took, bytes)),
        restore,
        export,
    })
}

/// The rows as a table.
pub fn table(rows: &[(usize, Upkeep)]) -> String {
    let mebibytes = |bytes: u64| format!("{:.1}", bytes as f64 / 1024.0 / 1024.0);
    let time = |took: Option<Duration>| took.map_or_else(|| "failed".to_owned(), shown);
    let mut out = String::from(
        "### Space and upkeep of a project, with its history\n\n\
         | observations | tables, MiB | indexes, MiB | `backup` | of it, MiB | `restore` | `export` |\n|---|---:|---:|---:|---:|---:|---:|\n",
    );
    for (size, upkeep) in rows {
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} |",
            grouped(*size),
            mebibytes(upkeep.tables),
            mebibytes(upkeep.indexes),
            time(upkeep.backup.map(|(took, _)| took)),
            upkeep.backup.map_or_else(|| "–".to_owned(), |(_, bytes)| mebibytes(bytes)),
            time(upkeep.restore),
            time(upkeep.export)
        );
    }
    out
}
