//! The dashboard, the alerts and the documentation name metrics and labels that the server exports.

use std::collections::BTreeSet;

use memory_bank_test_postgres::{TestDatabase, TestRedis};
use serde_json::{Value, json};

use crate::metrics::{Scrape, with_database_and_redis};

/// The names of metrics in a text.
fn named(text: &str) -> BTreeSet<String> {
    let is_name = |one: char| one.is_ascii_lowercase() || one == '_' || one.is_ascii_digit();
    text.split("memory_bank_")
        .skip(1)
        .map(|rest| rest.chars().take_while(|one| is_name(*one)).collect::<String>())
        .map(|name| format!("memory_bank_{name}"))
        .collect()
}

#[test]
fn every_metric_of_the_dashboard_the_alerts_and_the_documentation_exists() {
    let (database, redis) = (TestDatabase::migrated(), TestRedis::start());
    let server = with_database_and_redis(&database, &redis);
    let session = server.initialize();
    server.call(&session, "initialize_memory_bank", &json!({"path": "."}));
    let mut exists = BTreeSet::new();
    for (family, kind) in Scrape::of(&server).types {
        let suffixes: &[&str] = match kind.as_str() {
            "counter" => &["_total"],
            "histogram" => &["_bucket", "_sum", "_count", ""],
            _ => &[""],
        };
        exists.extend(suffixes.iter().map(|suffix| format!("{family}{suffix}")));
    }
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../");
    let read = |path: &str| std::fs::read_to_string(format!("{root}{path}")).unwrap();
    let dashboard = read("deploy/observability/grafana-dashboard.json");
    let parsed: Value = serde_json::from_str(&dashboard).unwrap();
    let panels = parsed["panels"].as_array().unwrap();
    let ids: BTreeSet<String> = panels.iter().map(|panel| panel["id"].to_string()).collect();
    assert_eq!(ids.len(), panels.len(), "panels share an id");
    let documented = read("docs/observability.md");
    for (file, text) in [
        ("the dashboard", &dashboard),
        ("the alerts", &read("deploy/observability/alerts.yml")),
        ("the documentation", &documented),
    ] {
        let unknown: Vec<String> = named(text).difference(&exists).cloned().collect();
        assert!(unknown.is_empty(), "{file} names {unknown:?}");
    }
    let missing: Vec<&String> = exists
        .iter()
        .filter(|name| !name.ends_with("_bucket") && !name.ends_with("_sum") && !name.ends_with("_count"))
        .filter(|name| !documented.contains(&format!("`{name}`")))
        .collect();
    assert!(missing.is_empty(), "the documentation lacks {missing:?}");
}

/// The labels that a query uses of each metric that it names: those of its selector with their values, and those by
/// which it is summed.
fn labels_of(query: &str) -> Vec<(String, String, Option<String>)> {
    let mut found = Vec::new();
    let pieces: Vec<&str> = query.split("memory_bank_").collect();
    for (place, rest) in pieces.iter().enumerate().skip(1) {
        let is_name = |one: &char| one.is_ascii_lowercase() || *one == '_';
        let bare: String = rest.chars().take_while(is_name).collect();
        let name = format!("memory_bank_{bare}");
        let selector = rest.strip_prefix(bare.as_str()).and_then(|rest| rest.strip_prefix('{'));
        for pair in selector.and_then(|rest| rest.split('}').next()).unwrap_or_default().split(',') {
            let Some((label, value)) = pair.split_once(['=', '!']) else { continue };
            let value = value.trim_start_matches(['=', '~']).trim_matches('"');
            found.push((name.clone(), label.trim().to_owned(), Some(value.to_owned())));
        }
        let before = pieces.iter().take(place).copied().collect::<String>();
        let grouped = before.rsplit_once(" by (").and_then(|(_, rest)| rest.split(')').next());
        for label in grouped.unwrap_or_default().split(',').map(str::trim).filter(|label| !label.is_empty()) {
            found.push((name.clone(), label.to_owned(), None));
        }
    }
    found
}

#[test]
fn every_label_and_value_in_queries_of_the_dashboard_and_the_alerts_exists() {
    let (database, redis) = (TestDatabase::migrated(), TestRedis::start());
    let server = with_database_and_redis(&database, &redis);
    let session = server.initialize();
    server.call(&session, "initialize_memory_bank", &json!({"path": "."}));
    let scrape = Scrape::of(&server);
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../");
    let read = |path: &str| std::fs::read_to_string(format!("{root}{path}")).unwrap();
    let documented = read("docs/observability.md");
    let dashboard: Value =
        serde_json::from_str(&read("deploy/observability/grafana-dashboard.json")).unwrap();
    let alerts: Value = serde_norway::from_str(&read("deploy/observability/alerts.yml")).unwrap();
    let mut queries: Vec<String> = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            queries.push(target["expr"].as_str().unwrap().to_owned());
        }
    }
    for rule in alerts["groups"][0]["rules"].as_array().unwrap() {
        queries.push(rule["expr"].as_str().unwrap().to_owned());
    }
    let mut checked = 0;
    for query in &queries {
        for (name, label, value) in labels_of(query) {
            // Prometheus itself adds these.
            if label == "instance" || label == "job" {
                continue;
            }
            checked += 1;
            let of_metric =
                |series: &&String| series.strip_prefix(&name).is_some_and(|rest| rest.starts_with('{'));
            let series: Vec<&String> = scrape.series.keys().filter(of_metric).collect();
            assert!(
                series.iter().any(|series| series.contains(&format!("{label}=\""))),
                "`{label}` in {query}: {series:?}"
            );
            let Some(value) = value.filter(|value| !value.contains(['.', '*'])) else { continue };
            let row = documented.lines().find(|line| line.contains(&format!("`{name}`"))).unwrap_or_default();
            for value in value.split('|') {
                let shown = series.iter().any(|series| series.contains(&format!("{label}=\"{value}\"")));
                assert!(shown || row.contains(&format!("`{value}`")), "`{label}={value}` in {query}");
            }
        }
    }
    assert!(checked >= 20, "{checked}");
}

#[test]
fn every_alert_has_all_its_fields() {
    let text = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../deploy/observability/alerts.yml"
    ))
    .unwrap();
    let file: Value = serde_norway::from_str(&text).unwrap();
    let mut names = BTreeSet::new();
    for rule in file["groups"][0]["rules"].as_array().unwrap() {
        let message = |path: &str| {
            rule.pointer(path).and_then(Value::as_str).unwrap_or_else(|| panic!("{path}: {rule}"))
        };
        assert!(names.insert(message("/alert")), "{rule}");
        assert!(matches!(message("/labels/severity"), "critical" | "warning" | "info"), "{rule}");
        assert!(
            !message("/annotations/summary").is_empty() && !message("/annotations/description").is_empty()
        );
        let count = |one: char| message("/expr").chars().filter(|other| *other == one).count();
        assert!(count('(') == count(')') && count('{') == count('}') && count('"') % 2 == 0, "{rule}");
    }
    assert!(names.len() >= 10);
}
