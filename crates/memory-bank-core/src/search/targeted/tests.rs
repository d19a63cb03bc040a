use proptest::prelude::*;

use super::*;
use crate::graph::{Entity, Observation, Relation};
use crate::search::{LineHit, MatchedIn};
use crate::store::{DocumentsFound, EntityFound, GraphFound, ObservationFound, RelationFound};

fn bounds(max_chars: usize) -> TargetedBounds {
    TargetedBounds { max_chars, max_files: 4, prefer_core: true }
}

fn found(id: &str, name: &str, score: f64, facts: &[&str]) -> EntityFound {
    let observations: Vec<Observation> = facts
        .iter()
        .enumerate()
        .map(|(at, text)| Observation {
            author: None,
            validity: None,
            id: format!("obs_{id}{at}"),
            entity_id: id.to_owned(),
            text: (*text).to_owned(),
            source: None,
            timestamp: "2026-01-01T00:00:00.000Z".to_owned(),
        })
        .collect();
    EntityFound {
        entity: Entity {
            id: id.to_owned(),
            name: name.to_owned(),
            entity_type: "service".to_owned(),
            attrs: serde_json::json!({"docPath": "auth.md", "heading": "Tokens"}).as_object().cloned(),
            created_at: String::new(),
            updated_at: String::new(),
        },
        score,
        matched_in: vec![MatchedIn::Name],
        observation_count: observations.len(),
        observations,
        relation_count: 0,
    }
}

fn hit(file: &str, line: usize) -> LineHit {
    LineHit {
        file: file.to_owned(),
        line,
        content: String::new(),
        context: String::new(),
        score: 1.0,
        heading_path: Vec::new(),
        unit: (line, line),
        similar: 0,
        similar_in: Vec::new(),
    }
}

fn graph(size: usize, fact: &str) -> GraphFound {
    let entities: Vec<EntityFound> = (0..size)
        .map(|at| found(&format!("ent_{at:012}"), &format!("Auth {at}"), 100.0, &[fact; 5]))
        .collect();
    let relation = |at: usize| RelationFound {
        relation: Relation {
            id: format!("rel_{at}"),
            from_id: format!("ent_{at:012}"),
            to_id: "ent_000000000000".to_owned(),
            relation_type: "uses".to_owned(),
            created_at: String::new(),
        },
        from_name: String::new(),
        to_name: String::new(),
    };
    GraphFound {
        neighbours: (0..size).map(|at| found(&format!("ent_n{at}"), "Near", 0.0, &[])).collect(),
        observations: Vec::<ObservationFound>::new(),
        relations: (0..size).map(relation).collect(),
        entities,
        ..GraphFound::default()
    }
}

fn packed(
    graph: &GraphFound,
    documents: &DocumentsFound,
    text: &str,
    query: &str,
    max: usize,
) -> TargetedContext {
    let planned = plan_pointers(graph, documents, &bounds(max));
    let texts = planned.iter().map(|pointer| (pointer.path.clone(), text.to_owned())).collect();
    let digest = "Tasks: a; b\n\nRecent progress:\n- [2026-01-01] x".repeat(3);
    let material = Material { query, digest: &digest, graph, documents, texts: &texts };
    pack(&material, planned, &bounds(max))
}

#[test]
fn a_pointer_s_section_ends_at_a_heading_and_not_at_a_line_in_a_code_block() {
    let text = "# Auth\n\n## Tokens\nrotate\n```sh\n# not a heading\n```\nmore\n## Else\nother\n";
    let context = packed(&graph(1, "fact"), &DocumentsFound::default(), text, "auth", 8000);
    assert_eq!(context.excerpts[0].excerpt, "## Tokens\nrotate\n```sh\n# not a heading\n```\nmore");
    assert_eq!(context.pointers[0].heading_hint.as_deref(), Some("Tokens"));
    assert!(!context.budget.truncated);
}

#[test]
fn hits_in_a_document_are_shown_with_a_line_around() {
    let text = (1..=30).map(|line| format!("line {line}")).collect::<Vec<_>>().join("\n");
    let documents =
        DocumentsFound { hits: vec![hit("a.md", 10), hit("a.md", 20)], ..DocumentsFound::default() };
    let context = packed(&GraphFound::default(), &documents, &text, "line", 8000);
    assert_eq!(context.excerpts[0].excerpt, "line 9\nline 10\nline 11\n...\nline 19\nline 20\nline 21");
}

#[test]
fn without_any_hit_the_core_documents_are_shown() {
    let context = packed(&GraphFound::default(), &DocumentsFound::default(), "# X\ntext\n", "nothing", 8000);
    let paths: Vec<&str> = context.pointers.iter().map(|pointer| pointer.path.as_str()).collect();
    assert_eq!(paths, ["active-context.md", "product-context.md", "progress.md", "decision-log.md"]);
}

#[test]
fn neighbours_and_observations_are_cut_before_excerpts_and_the_budget_reports_it() {
    let text = "## Tokens\n".to_owned() + &"a long line of text about tokens\n".repeat(40);
    let context = packed(
        &graph(6, "a fact that is rather long, as facts are"),
        &DocumentsFound::default(),
        &text,
        "auth",
        3000,
    );
    assert!(!context.excerpts.is_empty());
    assert!(context.graph.opened.entities.iter().all(|entity| entity.name != "Near"));
    assert!(context.budget.truncated);
    let left_out = context.budget.left_out.unwrap();
    assert!(left_out.contains("observations") && left_out.contains("entities"), "{left_out}");
}

#[test]
fn the_budget_reports_omitted_attributes_cut_texts_and_further_nodes() {
    let mut graph = graph(1, "fact");
    graph.more = true;
    graph.entities[0].entity.attrs =
        serde_json::json!({"docPath": "a.md", "notes": "x".repeat(9000)}).as_object().cloned();
    let text = "a line of text\n".repeat(2000);
    let context = packed(&graph, &DocumentsFound::default(), &text, "auth", 3000);
    assert_eq!(context.graph.opened.entities[0].attrs, None);
    let left_out = context.budget.left_out.unwrap();
    assert!(left_out.contains("attrs") && left_out.contains("more of the graph"), "{left_out}");

    let documents = DocumentsFound { hits: vec![hit("a.md", 1)], ..DocumentsFound::default() };
    let text = "a long line of text ".repeat(500);
    let context = packed(&GraphFound::default(), &documents, &text, "text", 1000);
    assert_eq!(context.budget.left_out.as_deref(), Some("ends of 1 texts"));
    assert!(context.budget.truncated);
}

proptest! {
    #[test]
    fn the_ceiling_applies_to_the_reply_as_sent(
        max in 500_usize..9000,
        size in 0_usize..20,
        fact in "[a-z \"\\\\\n\u{1}é日]{0,400}",
        text in "[a-z \"\\\\\n\u{1}#é日]{0,800}",
        query in "[a-z \"\\\\\n\u{1}é日]{1,300}",
        lines in prop::collection::vec(1_usize..20, 0..5),
    ) {
        let documents = DocumentsFound { hits: lines.into_iter().map(|line| hit("a.md", line)).collect(), ..DocumentsFound::default() };
        let context = packed(&graph(size, &fact), &documents, &text, &query, max);
        let sent = serde_json::to_string(&context).unwrap().chars().count();
        prop_assert!(sent <= max, "{} > {}", sent, max);
        prop_assert_eq!(context.budget.used_chars, sent);
    }
}
