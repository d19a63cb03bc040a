use proptest::prelude::*;

use super::*;
use crate::graph::event::{Event, MARKER};
use crate::graph::{Entity, Observation, Relation};

fn now() -> Timestamp {
    "2026-11-22T09:30:07Z".parse().unwrap()
}

fn file(path: &str, bytes: &[u8]) -> FileCopy {
    FileCopy { path: path.to_owned(), bytes: bytes.to_vec(), modified: now() }
}

/// A bank after a round trip through rows and files of extra data.
fn through_a_database(copy: &BankCopy) -> BankCopy {
    let extra_data = copy.extra_data_files(&[], now()).unwrap();
    let mut back = BankCopy::default();
    for document in &copy.documents {
        back.documents.push(DocumentCopy { bytes: None, ..document.clone() });
    }
    let kept = |text: &str| log::database_spelling(text);
    for entity in copy.graph.entities() {
        let (created_at, updated_at) = (kept(&entity.created_at), kept(&entity.updated_at));
        let entity = Entity { created_at, updated_at, ..entity.clone() };
        back.graph.apply(Event::EntityUpsert { entity, ts: String::new() });
    }
    let is_there = |id: &str| copy.graph.entity(id).is_some();
    for observation in copy.graph.observations().filter(|one| is_there(&one.entity_id)) {
        back.graph.apply(Event::ObservationAdd { observation: observation.clone(), ts: String::new() });
    }
    for relation in copy.graph.relations().filter(|one| is_there(&one.from_id) && is_there(&one.to_id)) {
        let relation = Relation { created_at: kept(&relation.created_at), ..relation.clone() };
        back.graph.apply(Event::RelationAdd { relation, ts: String::new() });
    }
    back.apply_extra_data_files(extra_data).unwrap();
    back
}

fn entity(n: u8, created_at: &str) -> Event {
    let entity = Entity {
        id: format!("ent_{n:04}"),
        name: format!("E {n}"),
        entity_type: "t".into(),
        attrs: serde_json::from_str(r#"{"z":1,"a":{"y":[1.5,null],"b":"x"}}"#).unwrap(),
        created_at: created_at.into(),
        updated_at: "2026-01-01T00:00:00.000Z".into(),
    };
    Event::EntityUpsert { entity, ts: "2026".into() }
}

fn log_of(events: &[Event], odd: &[&str]) -> Vec<u8> {
    let mut log = format!("{MARKER}\n").into_bytes();
    for event in events {
        event.write_line(&mut log).unwrap();
    }
    for line in odd {
        log.extend_from_slice(line.as_bytes());
        log.push(b'\n');
    }
    log
}

fn any_event() -> impl Strategy<Value = Event> {
    let time = prop::sample::select(vec![
        "2026-01-01T00:00:00.000Z",
        "2020",
        "March 7, 2021",
        "2026-11-22T09:30:07+02:00",
    ]);
    (0..4_u8, 0..5_u8, 0..5_u8, time).prop_map(|(kind, a, b, at)| match kind {
        0 | 1 => entity(a, at),
        2 => Event::ObservationAdd {
            observation: Observation {
                author: None,
                validity: None,
                id: format!("obs_{a}{b:03}"),
                entity_id: format!("ent_{a:04}"),
                text: format!("fact {b}\r\n"),
                source: None,
                timestamp: at.into(),
            },
            ts: "2026".into(),
        },
        _ => Event::RelationAdd {
            relation: Relation {
                id: format!("rel_{a}{b:03}"),
                from_id: format!("ent_{a:04}"),
                to_id: format!("ent_{b:04}"),
                relation_type: "Uses".into(),
                created_at: at.into(),
            },
            ts: "2026".into(),
        },
    })
}

proptest! {
    #[test]
    fn files_come_back_from_a_database_byte_for_byte(
        contents in proptest::collection::btree_map(
            prop::sample::select(vec!["a.md", "Notes.md", "größe 日.json", "sub/x.md", "sub/y/z.png", "plain.txt"]),
            proptest::collection::vec(prop::sample::select(vec![b'a', b'\n', b'\r', 0xff, 0xe2, 0x82, 0xac, 0xef, 0xbb, 0xbf, b'#']), 0..40),
            0..6,
        ),
        events in proptest::collection::vec(any_event(), 0..30),
        odd in proptest::collection::vec("\\{\"type\":\"future[a-z]{0,5}\"\\}|[a-z{]{1,9}", 0..4),
    ) {
        let odd: Vec<&str> = odd.iter().map(String::as_str).collect();
        let mut files: Vec<FileCopy> = contents.iter().map(|(path, bytes)| file(path, bytes)).collect();
        files.push(file("graph/graph.jsonl", &log_of(&events, &odd)));
        let copy = BankCopy::from_files(files.clone()).unwrap();
        copy.check_for_rows().unwrap();
        let back = through_a_database(&copy);
        let again = BankCopy::from_files(back.to_files(now()).unwrap()).unwrap();
        prop_assert_eq!(&again.documents, &copy.documents);
        prop_assert_eq!(&again.files, &copy.files);
        prop_assert_eq!(again.graph.stats(), copy.graph.stats());
        for one in copy.graph.entities() {
            prop_assert_eq!(again.graph.entity(&one.id), Some(one));
        }
        for one in copy.graph.observations() {
            prop_assert_eq!(again.graph.observation(&one.id), Some(one));
        }
        for one in copy.graph.relations() {
            prop_assert_eq!(again.graph.relation(&one.id), Some(one));
        }
        let mut lines = again.lines.clone();
        lines.dedup();
        for line in &copy.lines {
            prop_assert!(lines.contains(line));
        }
        for one in again.to_files(now()).unwrap().iter().filter(|one| one.path != "graph/graph.jsonl") {
            prop_assert_eq!(Some(&one.bytes), files.iter().find(|file| file.path == one.path).map(|file| &file.bytes));
        }
    }
}

#[test]
fn an_edit_in_the_database_keeps_unedited_bytes() {
    let copy = BankCopy::from_files([file("a.md", b"caf\xe9\n- x\n")]).unwrap();
    let mut kept = through_a_database(&copy);
    kept.documents[0].text.push_str("- y\n");
    assert_eq!(kept.documents[0].content(), b"caf\xe9\n- x\n- y\n");
}

#[test]
fn data_that_a_database_cannot_store_is_named() {
    let mut with_null = log_of(&[entity(1, "2026")], &[]);
    with_null.extend_from_slice(br#"{"type":"observation_add","observation":{"id":"obs_null0","entityId":"ent_0001","text":"a\u0000b","timestamp":"2026"},"ts":"2026"}"#);
    let copy = BankCopy::from_files([
        file("ok.md", b"x"),
        file("zero.md", b"a\0b"),
        file("graph/graph.jsonl", &with_null),
    ])
    .unwrap();
    let message = copy.check_for_rows().unwrap_err().to_string();
    assert!(
        message.contains("`zero.md`") && message.contains("obs_null0") && !message.contains("ok.md"),
        "{message}"
    );
}

#[test]
fn paths_that_leave_the_bank_or_touch_version_control_are_refused() {
    for path in [
        "../x",
        "/x",
        "a/../b",
        "a//b",
        "",
        "a\\b",
        ".git/hooks/x",
        "sub/.GIT/config",
        ".mbmcp/lock",
        "a\0",
        "./x",
    ] {
        assert!(safe_path(path).is_err(), "{path:?}");
        assert!(BankCopy::from_files([file(path, b"")]).is_err(), "{path:?}");
    }
    safe_path(&"d/".repeat(9)).unwrap_err();
    safe_path(&"x".repeat(300)).unwrap_err();
    for path in ["a.md", "sub/x.md", ".hidden.md", "a..b.md"] {
        safe_path(path).unwrap();
    }
}

#[test]
fn a_log_without_its_marker_is_refused_with_its_name() {
    let message =
        BankCopy::from_files([file("graph/graph.jsonl", b"{\"type\":\"x\"}\n")]).unwrap_err().to_string();
    assert!(message.contains("graph/graph.jsonl") && message.contains("line 1"), "{message}");
}
