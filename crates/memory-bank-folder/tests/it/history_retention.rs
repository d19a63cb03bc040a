//! The retention of the history of a folder: no versions without one, and old ones thinned to one a day.

use std::sync::Arc;

use memory_bank_core::clock::FixedClock;
use memory_bank_core::history::ChangeContext;
use memory_bank_core::store::{DocumentStore, ReadOutcome};
use memory_bank_folder::Deps;
use tempfile::TempDir;

use crate::history::{document, file, kept, open_at, some, texts, write, write_with};
use crate::support::{caller, deps, name};

#[tokio::test]
async fn nothing_is_added_without_a_retention_or_when_only_reading() {
    for (days, is_read_only) in [(0, false), (365, true)] {
        let kept = kept();
        write(&kept.bank, "a.md", "one\n").await;
        let before = std::fs::read(file(&kept)).unwrap();
        kept.bank.set_history(days, is_read_only);
        std::fs::write(document(&kept, "a.md"), "outside\n").unwrap();
        let read = kept.bank.read(&caller(), &[name("a.md")]).await.unwrap();
        assert!(matches!(&read[..], [ReadOutcome::Found(_)]));
        assert_eq!(texts(&kept.bank, "a.md").await, some(&["one\n"]), "those that exist stay");
        assert_eq!(std::fs::read(file(&kept)).unwrap(), before);
    }
}

#[tokio::test]
async fn old_versions_are_thinned_to_one_a_day_and_the_rest_reads_back() {
    let root = TempDir::new().unwrap();
    std::fs::create_dir(root.path().join("memory-bank")).unwrap();
    let at = |text: &str| Deps { clock: Arc::new(FixedClock::new(text.parse().unwrap())), ..deps() };
    let mut log = String::new();
    let mut last_of_day = Vec::new();
    for day in 1..=3 {
        for hour in 0..20 {
            let bank = open_at(root.path(), "state", at(&format!("2026-01-0{day}T{hour:02}:00:00Z")));
            log.push_str(&format!("- day {day}, hour {hour}\n"));
            write(&bank, "log.md", &log).await;
        }
        last_of_day.push(log.clone());
    }
    let bank = open_at(root.path(), "state", at("2026-06-01T00:00:00Z"));
    bank.set_history(30, false);
    let mut later = Vec::new();
    for number in 0..70 {
        log.push_str(&format!("- later {number}\n"));
        write(&bank, "log.md", &log).await;
        later.push(log.clone());
    }
    let found: Vec<String> = texts(&bank, "log.md").await.into_iter().flatten().collect();
    let created = "- day 1, hour 0\n".to_owned();
    let expected: Vec<String> = std::iter::once(created).chain(last_of_day).chain(later).collect();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn thinning_joins_no_changes_of_different_sessions() {
    let root = TempDir::new().unwrap();
    std::fs::create_dir(root.path().join("memory-bank")).unwrap();
    let at = |text: &str| Deps { clock: Arc::new(FixedClock::new(text.parse().unwrap())), ..deps() };
    let mut log = String::new();
    let mut expected = Vec::new();
    // Of one day: the creation and the last change of each session's run stay.
    for minute in 0..60 {
        let bank = open_at(root.path(), "state", at(&format!("2026-01-01T10:{minute:02}:00Z")));
        log.push_str(&format!("- minute {minute}\n"));
        let session = Some(if minute / 20 == 1 { "theirs" } else { "mine" }.to_owned());
        let context = ChangeContext { session, ..ChangeContext::default() };
        write_with(&bank, "log.md", Some(&log), &context).await;
        if minute == 0 || minute % 20 == 19 {
            expected.push(log.clone());
        }
    }
    let bank = open_at(root.path(), "state", at("2026-06-01T00:00:00Z"));
    bank.set_history(30, false);
    for number in 0..70 {
        log.push_str(&format!("- later {number}\n"));
        write(&bank, "log.md", &log).await;
        expected.push(log.clone());
    }
    let found: Vec<String> = texts(&bank, "log.md").await.into_iter().flatten().collect();
    assert_eq!(found, expected);
}
