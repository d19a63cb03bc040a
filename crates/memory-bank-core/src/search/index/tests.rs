use super::*;
use crate::search::Query;

fn at(day: i64) -> Timestamp {
    Timestamp::from_second(day * 86_400).unwrap()
}

fn path(name: &str) -> DocumentPath {
    DocumentPath::parse(name).unwrap()
}

fn index(documents: &[(&str, &str)]) -> Index {
    let mut index = Index::default();
    for (name, text) in documents {
        index.put_document(&path(name), text, at(1));
    }
    index
}

fn wanted(query: &str) -> DocumentQuery {
    DocumentQuery {
        query: Query::parse(query).unwrap(),
        files: None,
        limit: 20,
        case_sensitive: false,
        days: (None, None),
        holding_at: None,
    }
}

fn lines(index: &Index, wanted: &DocumentQuery) -> Vec<(String, usize)> {
    index.search_documents(wanted).hits.into_iter().map(|hit| (hit.file, hit.line)).collect()
}

#[test]
fn several_words_are_found_in_any_order_best_first() {
    let index = index(&[(
        "notes.md",
        "# Notes\n\n- tokens expire after an hour\n- nothing here\n\n## Else\n\n- the session token is rotated\n",
    )]);
    let found = lines(&index, &wanted("rotated tokens session"));
    assert_eq!(found.first(), Some(&("notes.md".to_owned(), 8)));
    assert!(found.contains(&("notes.md".to_owned(), 3)));
}

#[test]
fn a_part_of_a_word_is_still_found() {
    let index = index(&[("notes.md", "we need to reauthenticate\nand auth\n")]);
    assert_eq!(lines(&index, &wanted("auth")), [("notes.md".to_owned(), 2), ("notes.md".to_owned(), 1)]);
    assert_eq!(lines(&index, &wanted("d to reau"))[0], ("notes.md".to_owned(), 1));
}

#[test]
fn more_is_set_by_further_results_and_not_by_a_reached_limit() {
    let index = index(&[("a.md", "- beta one\n- beta two\n")]);
    let mut query = wanted("beta");
    query.limit = 2;
    assert!(!index.search_documents(&query).more);
    query.limit = 1;
    assert!(index.search_documents(&query).more);
}

#[test]
fn a_long_line_is_cut_around_the_hit() {
    let long = format!("{} needle {}", "hay ".repeat(50_000), "straw ".repeat(50_000));
    let index = index(&[("a.md", &long)]);
    let hit = &index.search_documents(&wanted("needle")).hits[0];
    assert!(hit.content.contains("needle"));
    assert!(hit.content.chars().count() <= 500);
    assert!(hit.context.chars().count() <= 500);
}

#[test]
fn letter_case_counts_on_request() {
    let index = index(&[("a.md", "- redis cache\n- Redis server\n")]);
    let mut query = wanted("Redis");
    query.case_sensitive = true;
    assert_eq!(lines(&index, &query), [("a.md".to_owned(), 2)]);
}

#[test]
fn a_quoted_phrase_and_a_list_of_files_restrict() {
    let text = "- token bucket limits\n- a bucket of tokens\n";
    let index = index(&[("a.md", text), ("b.md", text)]);
    let mut query = wanted("\"token bucket\"");
    query.files = Some(vec!["b.md".to_owned()]);
    assert_eq!(lines(&index, &query), [("b.md".to_owned(), 1)]);
}

#[test]
fn an_exact_name_goes_first() {
    let index = index(&[
        ("a.md", "# Things\n\n- roadmap roadmap roadmap\n"),
        ("roadmap.md", "# Plan\n\nnothing\n"),
        ("z.md", "# Z\n\n## Roadmap\n\ntext\n"),
    ]);
    let found = lines(&index, &wanted("roadmap"));
    assert_eq!(found.len(), 3);
    assert_eq!(found[2], ("a.md".to_owned(), 3));
    assert_eq!(lines(&index, &wanted("roadmap.md"))[0], ("roadmap.md".to_owned(), 1));
}

#[test]
fn among_equals_core_documents_come_first_and_then_the_newer() {
    let mut index = Index::default();
    index.put_document(&path("a.md"), "- same words one\n", at(1));
    index.put_document(&path("b.md"), "- same words two\n", at(2));
    index.put_document(&path("progress.md"), "- same words six\n", at(0));
    let found: Vec<String> = lines(&index, &wanted("same words")).into_iter().map(|(file, _)| file).collect();
    assert_eq!(found, ["progress.md", "b.md", "a.md"]);
}

#[test]
fn appending_to_a_long_log_indexes_one_unit() {
    let mut log = String::from("# Progress\n\n## Update History\n\n");
    for entry in 0..500 {
        log.push_str(&format!("- entry number {entry}\n"));
    }
    let mut index = index(&[("progress.md", &log)]);
    let before: Vec<u64> =
        index.sources.values().flat_map(|source| &source.units).map(|at| u64::from(*at)).collect();
    log.push_str("- one more\n");
    index.put_document(&path("progress.md"), &log, at(2));
    let after: Vec<u64> =
        index.sources.values().flat_map(|source| &source.units).map(|at| u64::from(*at)).collect();
    assert_eq!(after.len(), before.len() + 1);
    assert_eq!(&after[..before.len()], before);
}

fn entity(id: &str, name: &str, kind: &str, attrs: &serde_json::Value) -> Entity {
    Entity {
        id: id.to_owned(),
        name: name.to_owned(),
        entity_type: kind.to_owned(),
        attrs: attrs.as_object().cloned(),
        created_at: "2026-01-01T00:00:00.000Z".to_owned(),
        updated_at: "2026-01-01T00:00:00.000Z".to_owned(),
    }
}

fn observation(id: &str, owner: &str, text: &str) -> Observation {
    Observation {
        id: id.to_owned(),
        entity_id: owner.to_owned(),
        text: text.to_owned(),
        source: None,
        timestamp: "2026-01-01T00:00:00.000Z".to_owned(),
        author: None,
        validity: None,
    }
}

#[test]
fn results_for_a_single_word_keep_the_order_that_clients_expect() {
    let mut index = Index::default();
    let none = serde_json::Value::Null;
    index.put_entity(&entity("ent_1", "reauth", "x", &none), []);
    index.put_entity(&entity("ent_2", "my auth", "x", &none), []);
    index.put_entity(&entity("ent_3", "thing", "x", &serde_json::json!({"use": "auth"})), []);
    index.put_entity(&entity("ent_4", "auth service", "x", &none), []);
    index.put_entity(&entity("ent_5", "auth", "x", &none), []);
    let hits = index.search_graph(&Query::parse("auth").unwrap(), 10, |_| true);
    let scores: Vec<(&str, f64)> = hits.entities.iter().map(|hit| (hit.id.as_str(), hit.score)).collect();
    assert_eq!(
        scores,
        [("ent_5", 100.0), ("ent_4", 80.0), ("ent_2", 60.0), ("ent_1", 40.0), ("ent_3", 36.0)]
    );
    assert_eq!(hits.entities[4].matched_in, [MatchedIn::Attrs]);
}

#[test]
fn the_owner_of_a_matched_observation_is_a_result_too() {
    let mut index = Index::default();
    let login = observation("obs_1", "ent_1", "login is slow because of many queries");
    index.put_entity(&entity("ent_1", "Auth", "service", &serde_json::Value::Null), [&login]);
    let hits = index.search_graph(&Query::parse("why are queries slow").unwrap(), 10, |_| true);
    assert_eq!(hits.observations[0].id, "obs_1");
    assert_eq!(hits.entities[0].id, "ent_1");
    assert_eq!(hits.entities[0].matched_in, [MatchedIn::Observations]);
}

#[test]
fn marks_bound_decisions_in_logs_of_any_name_and_spelling() {
    for (name, mark) in [
        ("architecture-decisions.md", "- **Superseded By:** Use PostgreSQL"),
        ("docs-adr-0001.md", "- **Valid Until:** 2026-01-01"),
        ("docs-adr-0002.md", "- **Valid From:** 2026-02-02"),
        ("decisions.md", "**valid until:** 2026-01-01"),
        ("decision-log-archive-2026-11.md", "- superseded by: Use PostgreSQL"),
    ] {
        let mut index = Index::default();
        let text = format!("# Log\n\n## Use MySQL\n{mark}\n- walrus\n\n## Use PostgreSQL\n- giraffe\n");
        index.put_document(&DocumentPath::parse(name).unwrap(), &text, Timestamp::UNIX_EPOCH);
        let at = "2026-02-01T00:00:00Z".parse::<Timestamp>().unwrap().as_millisecond();
        let found =
            |query: &str, holding_at| lines(&index, &DocumentQuery { holding_at, ..wanted(query) }).len();
        assert_eq!((found("walrus", Some(at)), found("walrus", None)), (0, 1), "{name}");
        assert_eq!(found("giraffe", Some(at)), 1, "{name}");
        let ended = |query: &str, holding_at| {
            index.search_documents(&DocumentQuery { holding_at, ..wanted(query) }).ended
        };
        assert_eq!((ended("walrus", Some(at)), ended("walrus", None)), (1, 0), "{name}");
        assert_eq!((ended("giraffe", Some(at)), ended("absent", Some(at))), (0, 0), "{name}");
    }
}
