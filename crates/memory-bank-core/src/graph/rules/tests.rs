use rstest::rstest;
use serde_json::json;

use super::*;
use crate::graph::state::GraphState;

const T1: &str = "2026-01-01T00:00:00.000Z";
const T2: &str = "2026-01-02T00:00:00.000Z";

fn upsert(existing: Option<&Entity>, attrs: Value, now: &str) -> Result<Entity, GraphError> {
    let attrs = match attrs {
        Value::Object(map) => Some(map),
        _ => None,
    };
    EntityPlan::new(EntityDraft { name: " Rust ".into(), entity_type: " lang ".into(), attrs })?
        .apply(existing, now)
}

fn observe(draft: ObservationDraft) -> Result<Observation, GraphError> {
    let plan = ObservationPlan::new(draft)?;
    Ok(plan.apply("ent_uJwUBCqjVyWo", &[&GraphState::default()], T1)?.observation)
}

fn text(text: &str) -> ObservationDraft {
    ObservationDraft { text: text.to_owned(), ..ObservationDraft::default() }
}

fn refusal<T: std::fmt::Debug>(result: Result<T, GraphError>) -> String {
    match result {
        Err(GraphError::Invalid(text)) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn attributes_are_kept_when_absent_merged_when_present_and_deleted_by_null() {
    let first = upsert(None, json!({"docPath": "a.md", "n": 1, "deep": {"a": 1}}), T1).unwrap();
    let second = upsert(Some(&first), Value::Null, T2).unwrap();
    assert_eq!(second.attrs, first.attrs);
    assert_eq!((second.created_at.as_str(), second.updated_at.as_str()), (T1, T2));
    let third = upsert(Some(&second), json!({"n": null, "m": 2, "deep": {"b": 1}, "no": null}), T2).unwrap();
    assert_eq!(json!(third.attrs), json!({"docPath": "a.md", "deep": {"b": 1}, "m": 2}));
}

#[test]
fn labels_are_trimmed_and_the_spelling_given_last_is_kept() {
    let first = upsert(None, Value::Null, T1).unwrap();
    assert_eq!((first.name.as_str(), first.entity_type.as_str()), ("Rust", "lang"));
    let draft = EntityDraft { name: "RUST".into(), entity_type: "Lang".into(), attrs: None };
    let second = EntityPlan::new(draft).unwrap().apply(Some(&first), T2).unwrap();
    assert_eq!((second.id.as_str(), second.name.as_str()), (first.id.as_str(), "RUST"));
}

#[rstest]
#[case("", "t", "name is blank")]
#[case(" \u{feff} ", "t", "name is blank")]
#[case("n", "\n", "entityType is blank")]
#[case("a\0b", "t", "null character")]
fn unusable_labels_are_refused(#[case] name: &str, #[case] entity_type: &str, #[case] reason: &str) {
    let draft = EntityDraft { name: name.into(), entity_type: entity_type.into(), attrs: None };
    assert!(refusal(EntityPlan::new(draft)).contains(reason));
}

#[test]
fn bounds_are_named() {
    let long = EntityDraft { name: "n".repeat(513), entity_type: "t".into(), attrs: None };
    assert!(refusal(EntityPlan::new(long)).contains("at most 512"));
    assert!(refusal(upsert(None, json!({"k": "v".repeat(65536)}), T1)).contains("at most 65536"));
    assert!(refusal(observe(text(&"t".repeat(65537)))).contains("at most 65536"));
    assert!(refusal(plan_relation("ent_a", &"r".repeat(513), "ent_b", T1)).contains("at most 512"));
}

#[test]
fn attributes_over_the_bound_may_shrink_but_not_grow() {
    let mut entity = upsert(None, json!({}), T1).unwrap();
    entity.attrs = json!({"a": "v".repeat(70_000), "b": "v".repeat(70_000)}).as_object().cloned();
    assert!(upsert(Some(&entity), json!({"b": null}), T2).is_ok());
    assert!(upsert(Some(&entity), json!({"c": 1}), T2).is_err());
}

#[test]
fn attributes_that_could_not_be_read_back_are_refused() {
    let mut value = json!(1);
    for _ in 0..100 {
        value = json!([value]);
    }
    assert!(refusal(upsert(None, json!({"k": value}), T1)).contains("nested"));
    assert!(refusal(upsert(None, json!({"k": ["a\0"]}), T1)).contains("null character"));
}

#[rstest]
#[case(json!("tool"), Some((SourceKind::Tool, None)))]
#[case(json!("agent"), Some((SourceKind::Agent, None)))]
#[case(json!("docs page"), Some((SourceKind::Manual, Some("docs page"))))]
#[case(json!({"kind": "tool"}), Some((SourceKind::Tool, None)))]
#[case(json!({"kind": "import", "ref": "x"}), Some((SourceKind::Import, Some("x"))))]
#[case(json!(""), None)]
#[case(json!("  "), None)]
#[case(json!(null), None)]
fn a_source_is_a_word_a_text_or_the_stored_object(
    #[case] given: Value,
    #[case] expected: Option<(SourceKind, Option<&str>)>,
) {
    let expected =
        expected.map(|(kind, reference)| ObservationSource { kind, reference: reference.map(str::to_owned) });
    assert_eq!(ObservationSource::from_argument(&given).unwrap(), expected);
}

#[rstest]
#[case(json!({"kind": "other"}))]
#[case(json!({"ref": "x"}))]
#[case(json!({"kind": "tool", "ref": 5}))]
#[case(json!(7))]
#[case(json!(["tool"]))]
fn any_other_source_is_refused(#[case] given: Value) {
    assert!(refusal(ObservationSource::from_argument(&given)).contains("source must be"));
}

#[test]
fn an_observation_is_trimmed_and_gets_the_current_time_by_default() {
    let plain = observe(text("  ts date\n")).unwrap();
    assert_eq!((plain.text.as_str(), plain.timestamp.as_str()), ("ts date", T1));
    let dated =
        observe(ObservationDraft { timestamp: Some("2020-01-01".into()), ..text("ts date") }).unwrap();
    assert_eq!(dated.id, "obs_MKAnkrEEYhsZ");
    let blank = observe(ObservationDraft { timestamp: Some(" ".into()), ..text("x") }).unwrap();
    assert_eq!(blank.timestamp, T1);
    assert!(observe(ObservationDraft { timestamp: Some("1".into()), ..text("x") }).is_err());
    assert!(refusal(observe(text(" \n"))).contains("text is blank"));
}

#[test]
fn a_relation_type_is_trimmed() {
    let spaced = plan_relation("ent_a", " r ", "ent_b", T1).unwrap();
    assert_eq!(spaced, plan_relation("ent_a", "r", "ent_b", T1).unwrap());
    assert_eq!(spaced.id, plan_relation("ent_a", "R", "ent_b", T1).unwrap().id);
    assert!(refusal(plan_relation("ent_a", " ", "ent_b", T1)).contains("relationType is blank"));
}

#[test]
fn an_observation_of_another_entity_is_not_found() {
    let observation = observe(text("fact")).unwrap();
    let mut entity = upsert(None, Value::Null, T1).unwrap();
    assert!(check_owner(&observation, &entity, "Rust").is_ok());
    entity.id = "ent_other".into();
    entity.name = "Beta".into();
    assert!(refusal(check_owner(&observation, &entity, "Rust")).contains("`Rust`, not to `Beta`"));
}
