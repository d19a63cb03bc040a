//! Checks the configuration: its effect, and misspelt variables.

use std::ffi::OsString;

use crate::cli::doctor::findings::Findings;
use crate::config::{Provider, Settings, VARIABLES, command_variables};

/// The memory that a server needs in addition to its search indexes.
const BASE_MEMORY: u64 = 256 * 1024 * 1024;

/// A name that differs from a known one in this many letters or fewer is taken for a misspelling.
const MAX_EDITS: usize = 2;

/// Reports whether the server uses a folder or a database.
pub(crate) fn report_backend(settings: &Settings, findings: &mut Findings) {
    let message = match settings.database.as_ref().map(|database| database.provider) {
        None => "all variables are valid; the server uses a folder",
        Some(Provider::Postgres) => "all variables are valid; the server uses PostgreSQL",
        Some(Provider::Supabase) => "all variables are valid; the server uses Supabase",
    };
    findings.ok("configuration", message);
}

/// Compares the memory for search indexes with that of the process.
pub(crate) fn check_index_memory(settings: &Settings, allowed: Option<u64>, findings: &mut Findings) {
    let Some(database) = &settings.database else { return };
    let mib = |bytes: u64| bytes / (1024 * 1024);
    let budget = database.index_memory;
    let shown = format!(
        "search indexes may use {} MiB, that of one project {} MiB",
        mib(budget.total),
        mib(budget.per_project)
    );
    match allowed {
        Some(allowed) if budget.total.saturating_add(BASE_MEMORY) > allowed => findings.warning(
            "search.memory",
            format!("{shown}; the process may use {} MiB in total", mib(allowed)),
            format!(
                "lower `SEARCH_INDEX_MEMORY`, or give the process {} MiB",
                mib(budget.total.saturating_add(BASE_MEMORY))
            ),
        ),
        _ => findings.ok("search.memory", shown),
    }
}

/// The memory limit of this process: that of its control group, if there is one.
pub(crate) fn allowed_memory() -> Option<u64> {
    let read = |path: &str| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    // Without a limit, version 2 has the word `max` there, and version 1 a number above any real memory.
    read("/sys/fs/cgroup/memory.max")
        .or_else(|| read("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
        .filter(|bytes| *bytes < 1 << 50)
}

/// Warns of variables that differ in one or two letters from a known one.
pub(crate) fn check_spelling(variables: impl Iterator<Item = (OsString, OsString)>, findings: &mut Findings) {
    let known: Vec<String> = VARIABLES
        .iter()
        .flat_map(|variable| [Some(variable.name.to_owned()), variable.file_variable()])
        .flatten()
        .chain(command_variables::ALL.map(str::to_owned))
        .collect();
    let mut given: Vec<String> = variables.filter_map(|(name, _)| name.into_string().ok()).collect();
    given.sort_unstable();
    for name in given.iter().filter(|name| name.len() >= 6 && !known.contains(name)) {
        let nearest = known
            .iter()
            .filter(|known| name.chars().count().abs_diff(known.len()) <= MAX_EDITS)
            .map(|known| (strsim::levenshtein(name, known), known))
            .min();
        if let Some((1..=MAX_EDITS, known)) = nearest {
            findings.warning(
                "configuration",
                format!("`{name}` is not a variable of this server"),
                format!("did you mean `{known}`?"),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::findings::Level;

    #[test]
    fn indexes_that_may_exceed_the_memory_of_the_process_are_a_warning() {
        let url = |name: &str| (name == "DATABASE_URL").then(|| "postgresql://h/d".to_owned());
        let settings = Settings::read(&url).unwrap();
        for (allowed, warnings) in [(None, 0), (Some(1 << 30), 0), (Some(512 << 20), 1)] {
            let mut findings = Findings::default();
            check_index_memory(&settings, allowed, &mut findings);
            assert_eq!(findings.count(Level::Warning), warnings, "{allowed:?}: {}", findings.text());
        }
    }

    #[test]
    fn a_misspelt_variable_is_named_and_others_are_not() {
        let given = [
            "MCP_PROT",
            "DATABASE_URI",
            "ALLOWED_HOST",
            "MCP_PORT",
            "PATH",
            "HOME_PORT",
            "PG_PORT",
            "MEMORY_BANK_HOOKS",
        ];
        let mut findings = Findings::default();
        check_spelling(given.iter().map(|name| (OsString::from(name), OsString::new())), &mut findings);
        let message = findings.text();
        for pair in
            [("MCP_PROT", "MCP_PORT"), ("DATABASE_URI", "DATABASE_URL"), ("ALLOWED_HOST", "ALLOWED_HOSTS")]
        {
            assert!(message.contains(&format!("`{}` is not a variable", pair.0)), "{message}");
            assert!(message.contains(&format!("`{}`?", pair.1)), "{message}");
        }
        assert_eq!(findings.count(Level::Warning), 3, "{message}");
    }
}
