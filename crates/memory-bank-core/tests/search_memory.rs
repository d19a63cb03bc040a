//! The reported memory of the index, compared with the memory of the process. It is alone in its program, so that
//! nothing else allocates meanwhile. `--nocapture` prints the figures.

#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a test may panic and print"
)]

use std::fmt::Write as _;

use jiff::Timestamp;
use memory_bank_core::document::DocumentPath;
use memory_bank_core::graph::event::Event;
use memory_bank_core::graph::ids::{entity_id, observation_id};
use memory_bank_core::graph::state::GraphState;
use memory_bank_core::graph::{Entity, Observation};
use memory_bank_core::search::Index;

const TS: &str = "2026-01-01T00:00:00.000Z";
const SIZE: usize = 10_000;

/// Resident memory, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
}

/// Fourteen words of which a few are everywhere and most are rare.
fn sentence(number: usize) -> String {
    let mut text = String::new();
    for place in 0..14 {
        let seed = (number * 14 + place).wrapping_mul(2_654_435_761) % 1_000_003;
        let rank = 1_000_003 / (seed + 1) + seed % (50 * (place + 1));
        let _ = write!(text, "{}word{rank}", if place > 0 { " " } else { "" });
    }
    text
}

fn report(what: &str, units: u64, reported: u64, taken: u64) -> f64 {
    let ratio = reported as f64 / taken as f64;
    println!(
        "{what}: {units} units, {reported} bytes reported, {taken} taken, {:.0} a unit, {ratio:.2}",
        taken as f64 / units as f64
    );
    ratio
}

#[test]
fn the_reported_memory_of_the_index_is_about_right() {
    let text = (0..SIZE).fold(String::from("# Log\n\n"), |mut text, number| {
        let _ = writeln!(text, "- {}", sentence(number));
        text
    });
    let before = resident();
    let mut index = Index::default();
    index.put_document(&DocumentPath::parse("log.md").unwrap(), &text, Timestamp::UNIX_EPOCH);
    let documents = report("documents", index.units(), index.bytes(), resident() - before);

    let mut graph = GraphState::default();
    let before = resident();
    for number in 0..SIZE / 20 {
        let name = format!("{} {number}", sentence(number).split(' ').next().unwrap());
        let id = entity_id(&name, "thing");
        let (created_at, updated_at) = (TS.to_owned(), TS.to_owned());
        let entity = Entity {
            id: id.clone(),
            name,
            entity_type: "thing".to_owned(),
            attrs: None,
            created_at,
            updated_at,
        };
        graph.apply(Event::EntityUpsert { entity, ts: TS.to_owned() });
        for fact in 0..20 {
            let text = sentence(number * 20 + fact);
            let id_of = observation_id(&id, &text, TS);
            let (entity_id, timestamp) = (id.clone(), TS.to_owned());
            let observation = Observation {
                id: id_of,
                entity_id,
                text,
                source: None,
                timestamp,
                author: None,
                validity: None,
            };
            graph.apply(Event::ObservationAdd { observation, ts: TS.to_owned() });
        }
    }
    let state = report("graph", (SIZE + SIZE / 20) as u64, graph.bytes(), resident() - before);
    let mut index = Index::default();
    let before = resident();
    index.follow_graph(&graph, None);
    let facts = report("index of the graph", index.units(), index.bytes(), resident() - before);
    for ratio in [documents, state, facts] {
        assert!((0.6..=1.7).contains(&ratio), "{ratio}");
    }
}
