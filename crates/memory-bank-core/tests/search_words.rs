//! Words as people write them: each query finds its line first, in a document of facts in many languages and
//! notations.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use jiff::Timestamp;
use memory_bank_core::document::DocumentPath;
use memory_bank_core::search::{DocumentHits, DocumentQuery, Index, LineHit, Query};

fn index(documents: &[(&str, &str)]) -> Index {
    let mut index = Index::default();
    for (name, text) in documents {
        index.put_document(&DocumentPath::parse(name).unwrap(), text, Timestamp::UNIX_EPOCH);
    }
    index
}

fn search(index: &Index, query: &str) -> DocumentHits {
    let query = Query::parse(query).unwrap();
    let wanted = DocumentQuery {
        query,
        files: None,
        limit: 10,
        case_sensitive: false,
        days: (None, None),
        holding_at: None,
    };
    index.search_documents(&wanted)
}

fn first(index: &Index, query: &str) -> Option<LineHit> {
    search(index, query).hits.into_iter().next()
}

/// `query|line` pairs; a repeated line appears once in the document.
const QUERIES: &str = include_str!("ranking/words.txt");

#[test]
fn each_query_finds_its_fact_first() {
    let pairs: Vec<(&str, &str)> = QUERIES
        .lines()
        .filter(|line| !line.starts_with("//"))
        .map(|line| line.split_once(" => ").unwrap_or_else(|| panic!("{line}")))
        .collect();
    let mut facts: Vec<&str> = Vec::new();
    for (_, fact) in &pairs {
        if !facts.contains(fact) {
            facts.push(fact);
        }
    }
    let lines: Vec<String> = facts.iter().map(|fact| format!("- {fact}")).collect();
    let index = index(&[("facts.md", &format!("# Facts\n\n{}\n", lines.join("\n")))]);
    let missed: Vec<String> = pairs
        .iter()
        .filter_map(|(query, fact)| {
            let found = first(&index, query).map(|hit| hit.content).unwrap_or_default();
            (found != format!("- {fact}").trim()).then(|| format!("{query:?}: {found:?} and not {fact:?}"))
        })
        .collect();
    assert!(missed.is_empty(), "{} of {}:\n{}", missed.len(), pairs.len(), missed.join("\n"));
}

#[test]
fn words_of_a_file_name_do_not_flood_the_results() {
    let progress = "# Progress\n\n## Update History\n\n## Milestones\n\n## Known Issues\n";
    let filler = "something about module number 3, its settings and the reasons that led there. ";
    let notes = format!(
        "# Notes\n\n{}The upload bar shows progress in percent. {}\n",
        filler.repeat(5),
        filler.repeat(5)
    );
    let index = index(&[("progress.md", progress), ("notes.md", &notes)]);
    let hit = first(&index, "progress bar").unwrap();
    assert_eq!(hit.file, "notes.md");
    assert!(hit.content.contains("upload bar"), "{}", hit.content);
}

#[test]
fn a_line_of_an_entry_ranks_before_a_document_name() {
    let log = "# Decision Log\n\n## Decision\n\n*\n---\n### Decision\n[2026-08-30 10:49:40] - Use hooks for state.\n\n\
        **Rationale:**\nLess code.\n---\n### Decision\n[2026-09-02 09:00:00] - Drop the context provider.\n";
    let index = index(&[
        ("decision-log.md", log),
        ("product-context.md", "# Product Context\n\n## Overview\n\ntext\n"),
    ]);
    assert_eq!(first(&index, "context provider").unwrap().line, 14);
    assert_eq!(first(&index, "hooks state").unwrap().line, 8);
}

#[test]
fn korean_words_match_lines_where_they_carry_particles() {
    let facts = "# 사실\n\n- 배포는 금요일 오후에 진행한다\n- 데이터베이스를 PostgreSQL로 옮겼다\n- 캐시는 Redis에 저장된다\n";
    let index = index(&[("facts.md", facts)]);
    for (query, line) in [
        ("배포 일정", 3),
        ("배포 금요일", 3),
        ("데이터베이스 이전", 4),
        ("Redis 캐시", 5),
        ("PostgreSQL 데이터베이스", 4),
        ("캐시", 5),
    ] {
        assert_eq!(first(&index, query).map(|hit| hit.line), Some(line), "{query}");
    }
}

#[test]
fn units_with_more_query_words_rank_first() {
    let mut log = String::from("# Progress\n\n");
    for day in 1..=28 {
        log.push_str(&format!(
            "### [Nov {day}, 2026, 9:30 AM] Fix: refunds, part {day}\n\n**Affected files:**\n- `src/part{day}/mod.rs`\n\n---\n"
        ));
        if day % 7 == 0 {
            log.push_str(&format!("- billing pays refunds of week {day} in ledger {day}\n\n"));
        }
    }
    let index = index(&[("progress.md", &log)]);
    let hits = search(&index, "refunds billing").hits;
    let both =
        hits.iter().take_while(|hit| hit.content.contains("billing") && hit.content.contains("refunds"));
    assert_eq!(both.count(), 3, "{hits:#?}");
    // Entries that differ only in numbers rank lower, and entries without a query word rank last.
    let holds = |hit: &LineHit| hit.content.contains("refunds") || hit.content.contains("billing");
    let last = hits.iter().rposition(holds).unwrap();
    assert!(hits[..last].iter().all(holds), "{hits:#?}");
}

#[test]
fn entries_that_differ_only_in_dates_are_shown_once_and_counted() {
    let mut log = String::from("# Progress\n\n");
    for day in 1..=9 {
        log.push_str(&format!("- [2026-03-0{day} 09:00:00] [alice] - Deploy: staging cluster\n"));
    }
    log.push_str("- [2026-03-10 09:00:00] [alice] - Deploy: production cluster\n");
    let index = index(&[("progress.md", &log)]);
    let found = search(&index, "deploy cluster");
    assert_eq!(found.hits.len(), 2, "{:#?}", found.hits);
    let staging = found.hits.iter().find(|hit| hit.content.contains("staging")).unwrap();
    // Of equals the newest is shown.
    assert_eq!((staging.line, staging.similar), (11, 8));
    // The first ones are named, the best first.
    assert_eq!(staging.similar_in.len(), 5);
    assert!(staging.similar_in.iter().all(|(file, line)| file == "progress.md" && (3..=10).contains(line)));
    assert!(!found.more);
}

#[test]
fn a_sentence_of_several_documents_is_shown_once_with_the_other_places() {
    let sentence = "The harbour crane lifts 40 tons.";
    let documents: Vec<(String, String)> = ["a", "b", "d"]
        .iter()
        .map(|name| (format!("dup/{name}.md"), format!("# Notes {name}\n\n{sentence}\n")))
        .collect();
    let texts: Vec<(&str, &str)> =
        documents.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let index = index(&texts);
    for query in ["harbour crane", "\"lifts 40 tons\""] {
        let found = search(&index, query);
        let mut places: Vec<(&str, usize)> = found
            .hits
            .iter()
            .flat_map(|hit| {
                std::iter::once((hit.file.as_str(), hit.line))
                    .chain(hit.similar_in.iter().map(|(file, line)| (file.as_str(), *line)))
            })
            .collect();
        places.sort_unstable();
        assert_eq!(places, [("dup/a.md", 3), ("dup/b.md", 3), ("dup/d.md", 3)], "{query}");
    }
}

#[test]
fn entries_that_differ_in_numbers_are_all_shown() {
    let index = index(&[(
        "budget.md",
        "- budget of 2025: 5000\n- budget of 2026: 7000\n- budget of 2027: 9000\n- budget of 2028: 1\n- plan the budget\n",
    )]);
    assert_eq!(search(&index, "budget").hits.len(), 5);
}

#[test]
fn rows_of_a_template_are_never_found() {
    let index = index(&[(
        "active-context.md",
        "# Active Context\n\n## Ongoing Tasks\n\n- [Task 1]\n- [Task 2]\n\n## Issues\n\n- task queue stalls\n",
    )]);
    for query in ["task", "Task 1", "[Task 1]", "ask 1"] {
        let hits = search(&index, query).hits;
        assert!(hits.iter().all(|hit| !hit.content.contains("[Task")), "{query}: {hits:?}");
    }
    assert_eq!(first(&index, "task").unwrap().content, "- task queue stalls");
}

#[test]
fn a_phrase_narrows_the_search_and_a_missing_one_falls_back_to_its_words() {
    let index = index(&[("a.md", "- the token bucket is full\n- a bucket of tokens\n- the rate limiter\n")]);
    let found = search(&index, "\"token bucket\"");
    assert_eq!(found.hits.len(), 1);
    assert!(found.missing_phrases.is_empty());
    let found = search(&index, "\"bucket rate\" limiter");
    assert_eq!(found.missing_phrases, ["bucket rate"]);
    assert_eq!(found.hits[0].content, "- the rate limiter");
    // The phrase that exists still narrows the results.
    let found = search(&index, "\"bucket rate\" \"of tokens\"");
    assert_eq!((found.missing_phrases, found.hits.len()), (vec!["bucket rate".to_owned()], 1));
    let found = search(&index, "\"the\"");
    assert_eq!(found.hits.len(), 2);
}

#[test]
fn date_filters_use_the_date_of_entry_section_or_document() {
    let log = "# Log\n\n- [2026-08-30 10:49] deploy one\n  - detail of deploy one\n- 2026-09-02: deploy two\n\n\
        ### Sep 5, 2026\n\n- deploy three\n";
    let mut index = index(&[("log.md", log)]);
    let at: Timestamp = "2026-10-01T12:00:00Z".parse().unwrap();
    index.put_document(&DocumentPath::parse("plain.md").unwrap(), "- deploy four\n", at);
    let lines = |since: Option<&str>, until: Option<&str>| {
        let day = |text: Option<&str>| text.map(|text| text.parse().unwrap());
        let wanted = DocumentQuery {
            query: Query::parse("deploy").unwrap(),
            files: None,
            limit: 10,
            case_sensitive: false,
            days: (day(since), day(until)),
            holding_at: None,
        };
        let mut found: Vec<String> =
            index.search_documents(&wanted).hits.into_iter().map(|hit| hit.content).collect();
        found.sort();
        found
    };
    assert_eq!(
        lines(None, Some("2026-08-30")),
        ["- [2026-08-30 10:49] deploy one", "- detail of deploy one"]
    );
    assert_eq!(lines(Some("2026-09-02"), Some("2026-09-02")), ["- 2026-09-02: deploy two"]);
    assert_eq!(lines(Some("2026-09-03"), None), ["- deploy four", "- deploy three"]);
    assert!(lines(Some("2027-01-01"), None).is_empty());
}

#[test]
fn a_date_in_a_query_matches_every_format_and_newer_entries_rank_first() {
    let log = "# Log\n\n- [2026-08-30 10:49] moved the queue\n- on Aug 30, 2026 we moved the mail\n- 30.08.2026 cleaned up\n- 2026-08-31 rested\n";
    let index = index(&[("log.md", log)]);
    let mut found: Vec<usize> = search(&index, "2026-08-30").hits.iter().map(|hit| hit.line).collect();
    found.sort_unstable();
    assert_eq!(found, [3, 4, 5]);
    let mut log = String::from("# Log\n\n");
    for day in [3, 9, 5] {
        log.push_str(&format!("- [2026-01-0{day} 08:00] [x] - Did: step {day}\n"));
    }
    let index = self::index(&[("log.md", &log)]);
    let found: Vec<String> = search(&index, "did step").hits.into_iter().map(|hit| hit.content).collect();
    assert!(
        found[0].contains("step 9") && found[1].contains("step 5") && found[2].contains("step 3"),
        "{found:?}"
    );
}

#[test]
fn a_misspelt_word_finds_the_closest_match_and_the_reply_names_it() {
    let index = index(&[(
        "a.md",
        "- the authentification servise is slow\n- the mail service is fast\n- kubernetes nodes\n",
    )]);
    let found = search(&index, "kubernets nodes");
    assert_eq!(found.hits[0].content, "- kubernetes nodes");
    assert_eq!(found.unknown_words, ["kubernets"]);
    assert_eq!(first(&index, "authentication").unwrap().line, 1);
    assert!(search(&index, "zzzzzz").hits.is_empty());
}

#[test]
fn graph_contents_do_not_change_the_ranking_of_documents() {
    use memory_bank_core::graph::Entity;
    let mut index =
        index(&[("a.md", "- queue worker stalls\n- worker of the mail\n- queue queue of the bank\n")]);
    let before = search(&index, "queue worker");
    let ts = "2026-01-01T00:00:00.000Z".to_owned();
    for number in 0..50 {
        let entity = Entity {
            id: format!("ent_{number}"),
            name: format!("queue {number}"),
            entity_type: "worker".to_owned(),
            attrs: None,
            created_at: ts.clone(),
            updated_at: ts.clone(),
        };
        index.put_entity(&entity, []);
    }
    assert_eq!(search(&index, "queue worker"), before);
}
