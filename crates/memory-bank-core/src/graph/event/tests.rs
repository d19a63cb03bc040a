use rstest::rstest;
use serde_json::json;

use super::*;
use crate::graph::SourceKind;

const TS: &str = "2026-11-22T09:30:07.062Z";

fn line(event: &Event) -> String {
    let mut out = Vec::new();
    event.write_line(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn events_are_written_with_exactly_the_members_of_the_format_in_their_order() {
    let entity = Entity {
        id: "ent_uJwUBCqjVyWo".into(),
        name: "Rust".into(),
        entity_type: "lang".into(),
        attrs: json!({"z": 1, "a": [true, null]}).as_object().cloned(),
        created_at: TS.into(),
        updated_at: TS.into(),
    };
    let observation = Observation {
        author: None,
        validity: None,
        id: "obs_MKAnkrEEYhsZ".into(),
        entity_id: entity.id.clone(),
        text: "a \"fact\"\n<\u{2028}>".into(),
        source: Some(ObservationSource { kind: SourceKind::Manual, reference: Some("docs".into()) }),
        timestamp: "2020-01-01".into(),
    };
    let relation = Relation {
        id: "rel_c8-6byqpeOrw".into(),
        from_id: "ent_LXEBm1nzdFq0".into(),
        to_id: entity.id.clone(),
        relation_type: "written-in".into(),
        created_at: TS.into(),
    };
    let (from_id, to_id) = (relation.from_id.clone(), relation.to_id.clone());
    let events = [
        Event::EntityUpsert { entity, ts: TS.into() },
        Event::ObservationAdd { observation, ts: "2020-01-01".into() },
        Event::RelationAdd { relation, ts: TS.into() },
        Event::RelationRemove { from_id, to_id, relation_type: "written-in".into(), ts: TS.into() },
        Event::EntityDelete { entity_id: "ent_uJwUBCqjVyWo".into(), ts: TS.into() },
        Event::ObservationDelete {
            entity_id: "ent_uJwUBCqjVyWo".into(),
            observation_id: "obs_MKAnkrEEYhsZ".into(),
            ts: TS.into(),
        },
    ];
    let expected = [
        r#"{"type":"entity_upsert","entity":{"id":"ent_uJwUBCqjVyWo","name":"Rust","entityType":"lang","attrs":{"z":1,"a":[true,null]},"createdAt":"2026-11-22T09:30:07.062Z","updatedAt":"2026-11-22T09:30:07.062Z"},"ts":"2026-11-22T09:30:07.062Z"}"#.to_owned(),
        format!(r#"{{"type":"observation_add","observation":{{"id":"obs_MKAnkrEEYhsZ","entityId":"ent_uJwUBCqjVyWo","text":"a \"fact\"\n<{}>","source":{{"kind":"manual","ref":"docs"}},"timestamp":"2020-01-01"}},"ts":"2020-01-01"}}"#, '\u{2028}'),
        r#"{"type":"relation_add","relation":{"id":"rel_c8-6byqpeOrw","fromId":"ent_LXEBm1nzdFq0","toId":"ent_uJwUBCqjVyWo","relationType":"written-in","createdAt":"2026-11-22T09:30:07.062Z"},"ts":"2026-11-22T09:30:07.062Z"}"#.to_owned(),
        r#"{"type":"relation_remove","fromId":"ent_LXEBm1nzdFq0","toId":"ent_uJwUBCqjVyWo","relationType":"written-in","ts":"2026-11-22T09:30:07.062Z"}"#.to_owned(),
        r#"{"type":"entity_delete","entityId":"ent_uJwUBCqjVyWo","ts":"2026-11-22T09:30:07.062Z"}"#.to_owned(),
        r#"{"type":"observation_delete","entityId":"ent_uJwUBCqjVyWo","observationId":"obs_MKAnkrEEYhsZ","ts":"2026-11-22T09:30:07.062Z"}"#.to_owned(),
    ];
    for (event, expected) in events.iter().zip(expected) {
        assert_eq!(line(event), format!("{expected}\n"));
        assert_eq!(read_line(expected.as_bytes()), Line::Event(event.clone()));
    }
}

#[test]
fn the_marker_is_recognised() {
    assert_eq!(read_line(MARKER.as_bytes()), Line::Marker);
    assert_eq!(read_line(b" \r\n"), Line::Blank);
    assert_eq!(read_line(br#"{"type":"snapshot_written","anything":1}"#), Line::SnapshotWritten);
}

#[rstest]
#[case::extra_members(r#"{"ts":"1","entity":{"extra":{"a":1},"id":"ent_1","name":"n","entityType":"t","createdAt":"2020","updatedAt":"March 7, 2021"},"more":5,"type":"entity_upsert"}"#)]
#[case::carriage_return("{\"type\":\"entity_delete\",\"entityId\":\"ent_1\",\"ts\":\"2020\"}\r")]
#[case::half_a_surrogate_pair(r#"{"type":"observation_add","observation":{"id":"obs_1","entityId":"ent_1","text":"cut \ud83d","timestamp":"2020"},"ts":"2020"}"#)]
fn loading_is_lenient(#[case] line: &str) {
    assert!(matches!(read_line(line.as_bytes()), Line::Event(_)), "{:?}", read_line(line.as_bytes()));
}

#[rstest]
#[case::torn(r#"{"type":"entity_upsert","entity":{"id":"ent_"#)]
#[case::future(r#"{"type":"future_event","ts":"2020-01-01"}"#)]
#[case::short_id(r#"{"type":"entity_delete","entityId":"ent_","ts":"2020"}"#)]
#[case::wrong_prefix(r#"{"type":"entity_delete","entityId":"obs_12345","ts":"2020"}"#)]
#[case::no_date(r#"{"type":"entity_delete","entityId":"ent_1","ts":"x"}"#)]
#[case::null_attrs(r#"{"type":"entity_upsert","entity":{"id":"ent_1","name":"n","entityType":"t","attrs":null,"createdAt":"1","updatedAt":"1"},"ts":"1"}"#)]
#[case::empty_name(r#"{"type":"entity_upsert","entity":{"id":"ent_1","name":"","entityType":"t","createdAt":"1","updatedAt":"1"},"ts":"1"}"#)]
#[case::odd_source(r#"{"type":"observation_add","observation":{"id":"obs_1","entityId":"ent_1","text":"","source":{"kind":"x"},"timestamp":"1"},"ts":"1"}"#)]
#[case::foreign_marker(r#"{"type":"memory_bank_graph","source":"other","version":"1"}"#)]
#[case::no_object("[1]")]
fn a_line_that_is_not_understood_is_read_as_unknown(#[case] line: &str) {
    assert!(matches!(read_line(line.as_bytes()), Line::Unknown(_)));
}

#[test]
fn half_a_surrogate_pair_counts_as_a_replacement_character() {
    let text = |escaped: &str| {
        let line = format!(
            r#"{{"type":"observation_add","observation":{{"id":"obs_1","entityId":"ent_1","text":"{escaped}","timestamp":"1"}},"ts":"1"}}"#
        );
        match read_line(line.as_bytes()) {
            Line::Event(Event::ObservationAdd { observation, .. }) => observation.text,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(text(r"a\ud83d b"), "a\u{fffd} b");
    assert_eq!(text(r"\udc00\ud83d\ude00\\ud83d\ud83d"), "\u{fffd}😀\\ud83d\u{fffd}");
}

#[test]
fn numbers_in_attributes_are_written_as_they_were_read() {
    let attrs =
        r#"{"a":0.1,"b":1.2345678901234567,"c":5e-324,"d":9007199254740993,"e":2.2250738585072014e-308}"#;
    let line = format!(
        r#"{{"type":"entity_upsert","entity":{{"id":"ent_1","name":"n","entityType":"t","attrs":{attrs},"createdAt":"1","updatedAt":"1"}},"ts":"1"}}"#
    );
    match read_line(line.as_bytes()) {
        Line::Event(event) => {
            let mut out = Vec::new();
            event.write_line(&mut out).unwrap();
            assert_eq!(String::from_utf8(out).unwrap().trim_end(), line);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn invalid_utf8_is_an_unknown_line() {
    assert!(matches!(read_line(b"{\"type\":\"\xff\"}"), Line::Unknown(_)));
}
