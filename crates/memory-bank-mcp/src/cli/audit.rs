//! `audit`: the audit log of a project.

use anyhow::{Context, bail};
use clap::Subcommand;
use jiff::{SignedDuration, Timestamp};
use memory_bank_core::clock::{Clock, SystemClock, iso_millis, within_years};
use memory_bank_core::store::AuditEntry;
use memory_bank_postgres::Database;
use serde_json::{Value, json};

use crate::cli::output::{Output, Table};

/// Commands for the audit log.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum AuditCommand {
    /// Show the newest rows of a project's log, newest first.
    List {
        /// The project's short name; when absent, all projects, and rows without a project.
        #[arg(long)]
        project: Option<String>,
        /// Only rows since a time (2026-11-22T09:30:00Z), or since a period ago (90m, 24h, 7d).
        #[arg(long, value_parser = parse_since)]
        since: Option<Timestamp>,
        /// The largest number of rows.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        limit: u32,
    },
}

/// Runs one command.
pub(crate) async fn run(database: &Database, command: &AuditCommand, output: Output) -> anyhow::Result<()> {
    let AuditCommand::List { project, since, limit } = command;
    let entries = database.audit(project.as_deref(), *since, *limit).await?;
    let mut table = Table::new(&["WHEN", "ACTION", "PROJECT", "BY", "SUBJECT", "DETAIL"]);
    for entry in &entries {
        let or_none = |text: Option<&String>| text.map_or_else(|| "-".to_owned(), |text| one_line(text));
        let detail = match (&entry.address, &entry.detail) {
            (Some(address), _) => address.clone(),
            (None, detail) => detail.to_string(),
        };
        table.row(vec![
            iso_millis(entry.at),
            entry.action.clone(),
            or_none(entry.project.as_ref()),
            actor(entry),
            or_none(entry.subject.as_ref()),
            detail,
        ]);
    }
    let list: Vec<Value> = entries.iter().map(entry_json).collect();
    output.show(&json!({"total": list.len(), "entries": list}), &table.to_string())
}

fn entry_json(entry: &AuditEntry) -> Value {
    json!({
        "id": entry.id,
        "at": iso_millis(entry.at),
        "action": entry.action,
        "project": entry.project,
        "user": entry.user.map(|user| json!({"id": user.0, "name": entry.user_name})),
        "keyId": entry.key.map(|key| key.0),
        "login": entry.login,
        "subject": entry.subject,
        "address": entry.address,
        "detail": entry.detail,
    })
}

/// The user who did it, or the login role.
fn actor(entry: &AuditEntry) -> String {
    match (&entry.user_name, entry.user, &entry.login) {
        (Some(name), ..) => one_line(name),
        (None, Some(user), _) => user.0.to_string(),
        (None, None, Some(login)) => format!("{} (login role)", one_line(login)),
        (None, None, None) => "-".to_owned(),
    }
}

/// A name that a user chose, without control characters.
fn one_line(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}

/// A time, or a period until now.
fn parse_since(text: &str) -> anyhow::Result<Timestamp> {
    let advice = "use a time such as 2026-11-22T09:30:00Z, or a period such as 90m, 24h or 7d";
    if let Ok(at) = text.parse::<Timestamp>() {
        return within_years(at).context(advice);
    }
    let number = text.trim_end_matches(|unit: char| unit.is_ascii_alphabetic());
    let count: u32 = number.parse().context(advice)?;
    let seconds = match text.trim_start_matches(number) {
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => bail!(advice),
    };
    let period = SignedDuration::from_secs(i64::from(count) * seconds);
    SystemClock.now().checked_sub(period).ok().and_then(within_years).context(advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_timestamp_or_a_span_before_now() {
        assert_eq!(parse_since("2026-11-22T09:30:00Z").unwrap().to_string(), "2026-11-22T09:30:00Z");
        let day = SystemClock.now().duration_since(parse_since("1d").unwrap());
        assert!((86_390..86_410).contains(&day.as_secs()), "{day:?}");
        for text in ["", "d", "yesterday", "-1d", "7w", "4294967295d", "2000000d", "0000-12-31T00:00:00Z"] {
            assert!(parse_since(text).is_err(), "{text}");
        }
    }

    #[test]
    fn control_characters_of_names_do_not_reach_the_terminal() {
        assert_eq!(one_line("a\u{1b}[2J\nb"), "a\u{fffd}[2J\u{fffd}b");
    }
}
