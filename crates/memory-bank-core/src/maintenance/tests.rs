use jiff::ToSpan as _;
use serde_json::json;

use super::*;
use crate::document::DocumentPath;
use crate::graph::ids::{entity_id, observation_id};
use crate::graph::rules::plan_relation;
use crate::graph::{FactView, Validity};

const NOW: &str = "2026-11-28T10:00:00.000Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

#[derive(Default)]
struct Graph(GraphState);

impl Graph {
    fn entity(&mut self, name: &str, entity_type: &str, attrs: &serde_json::Value) -> String {
        let id = entity_id(name, entity_type);
        let entity = Entity {
            id: id.clone(),
            name: name.into(),
            entity_type: entity_type.into(),
            attrs: attrs.as_object().cloned(),
            created_at: "2026-01-01T00:00:00.000Z".into(),
            updated_at: "2026-01-01T00:00:00.000Z".into(),
        };
        self.0.apply(Event::EntityUpsert { entity, ts: NOW.into() });
        id
    }

    fn fact(&mut self, entity_id: &str, text: &str, timestamp: &str, validity: Validity) -> String {
        let id = observation_id(entity_id, text, timestamp);
        let observation = Observation {
            id: id.clone(),
            entity_id: entity_id.into(),
            text: text.into(),
            source: None,
            timestamp: timestamp.into(),
            author: None,
            validity: validity.stored(),
        };
        self.0.apply(Event::ObservationAdd { observation, ts: NOW.into() });
        id
    }

    fn plain(&mut self, entity_id: &str, text: &str, day: u32) -> String {
        self.fact(entity_id, text, &format!("2026-02-{day:02}T00:00:00.000Z"), Validity::NONE)
    }

    fn link(&mut self, from: &str, to: &str) {
        let relation = plan_relation(from, "uses", to, NOW).unwrap();
        self.0.apply(Event::RelationAdd { relation, ts: NOW.into() });
    }

    fn proposals(&self) -> Vec<Proposal> {
        of_graph(&self.0, now()).proposals
    }

    fn kinds(&self) -> Vec<ProposalKind> {
        self.proposals().iter().map(|proposal| proposal.kind).collect()
    }

    /// Carries the only proposal out.
    fn fold(&mut self) {
        let proposals = self.proposals();
        let [proposal] = proposals.as_slice() else { panic!("{proposals:#?}") };
        let Some(Fold::Graph(fold)) = &proposal.fold else { panic!("{proposal:?}") };
        let part = self.0.part(&fold.part());
        assert_eq!(fold.events(&part, "eve", NOW).unwrap(), fold.events(&self.0, "eve", NOW).unwrap());
        for event in fold.events(&self.0, "eve", NOW).unwrap().unwrap() {
            self.0.apply(event);
        }
        assert_eq!(fold.events(&self.0, "eve", NOW).unwrap(), None, "it can be carried out once");
    }

    fn shown(&self, entity_id: &str) -> Vec<&str> {
        let endings = self.0.endings_of(entity_id, FactView::now(now()).at);
        let holding = self.0.observations_of(entity_id).filter(|fact| endings.get(fact).is_none());
        holding.map(|fact| fact.text.as_str()).collect()
    }
}

#[test]
fn the_oldest_of_equal_facts_is_kept() {
    let mut graph = Graph::default();
    let (api, web) =
        (graph.entity("Api", "service", &json!(null)), graph.entity("Web", "service", &json!(null)));
    graph.plain(&api, "speaks HTTP", 3);
    let oldest = graph.plain(&api, "speaks HTTP", 1);
    graph.plain(&api, "speaks HTTP", 2);
    graph.plain(&web, "speaks HTTP", 4);
    assert_eq!(graph.kinds(), [ProposalKind::Duplicate]);
    graph.fold();
    assert_eq!(graph.0.observations_of(&api).map(|fact| fact.id.clone()).collect::<Vec<_>>(), [oldest]);
    assert_eq!(graph.shown(&web), ["speaks HTTP"]);
    assert!(graph.kinds().is_empty());
}

#[test]
fn equal_facts_with_bounds_are_no_duplicates() {
    let mut graph = Graph::default();
    let api = graph.entity("Api", "service", &json!(null));
    graph.plain(&api, "speaks HTTP", 1);
    let until = Validity { valid_until: Some("2027-01-01".into()), ..Validity::NONE };
    graph.fact(&api, "speaks HTTP", "2026-02-02", until);
    assert!(graph.kinds().is_empty());
}

#[test]
fn what_differs_in_a_number_a_name_or_a_negation_is_only_shown() {
    for (one, other) in [
        ("uses Postgres 14", "uses Postgres 15"),
        ("The service is public", "The service is not public"),
        ("The database is hosted on Hetzner", "The database is hosted on Exoscale"),
    ] {
        let mut graph = Graph::default();
        let api = graph.entity("Api", "service", &json!(null));
        graph.plain(&api, one, 1);
        graph.plain(&api, other, 2);
        let proposals = graph.proposals();
        assert_eq!(graph.kinds(), [ProposalKind::Contradiction], "{one}");
        assert_eq!(proposals[0].fold, None);
    }
}

#[test]
fn the_longer_of_two_similar_facts_supersedes_both() {
    let mut graph = Graph::default();
    let api = graph.entity("Api", "service", &json!(null));
    let long = "The service stores all its sessions in the database of the project";
    graph.plain(&api, long, 1);
    graph.plain(&api, "The service stores its sessions in the database of the project", 2);
    assert_eq!(graph.kinds(), [ProposalKind::NearDuplicate]);
    graph.fold();
    assert_eq!(graph.shown(&api), [long]);
    assert_eq!(graph.0.observation_count_of(&api), 3, "no text is deleted");
    assert!(graph.kinds().is_empty());
}

#[test]
fn facts_that_ended_long_ago_go_and_no_other_holds_again() {
    let mut graph = Graph::default();
    let api = graph.entity("Api", "service", &json!(null));
    let first = graph.plain(&api, "The port is 80", 1);
    let replaces = |id: &String| Validity { supersedes: vec![id.clone()], ..Validity::NONE };
    let second = graph.fact(&api, "The gateway listens at 81", "2026-03-01", replaces(&first));
    graph.fact(&api, "Nginx terminates TLS", "2026-04-01", replaces(&second));
    let until = |day: &str| Validity { valid_until: Some(day.into()), ..Validity::NONE };
    graph.fact(&api, "The trial runs", "2026-02-01", until("2026-11-20"));
    let before = graph.shown(&api).join(";");
    assert_eq!(graph.kinds(), [ProposalKind::Ended]);
    graph.fold();
    assert_eq!(graph.shown(&api).join(";"), before);
    assert_eq!(graph.0.observation_count_of(&api), 2, "what ended lately stays");
    assert!(graph.kinds().is_empty());
}

#[test]
fn a_proposal_has_the_same_id_in_any_order_of_its_facts() {
    let ended = |day: u32| Validity { valid_until: Some(format!("2026-03-{day:02}")), ..Validity::NONE };
    let made = |days: [u32; 3]| {
        let mut graph = Graph::default();
        let api = graph.entity("Api", "service", &json!(null));
        for day in days {
            graph.fact(&api, &format!("Trial {day} runs"), &format!("2026-02-{day:02}"), ended(day));
        }
        let proposals = graph.proposals();
        assert_eq!(graph.kinds(), [ProposalKind::Ended]);
        proposals.first().unwrap().id.clone()
    };
    assert_eq!(made([1, 2, 3]), made([3, 1, 2]));
}

#[test]
fn a_fact_that_keeps_a_lately_ended_one_ended_stays() {
    let mut graph = Graph::default();
    let api = graph.entity("Api", "service", &json!(null));
    let first = graph.plain(&api, "The port is 80", 1);
    // The replacing one ended long ago, and began to hold late.
    let bounds = Validity {
        supersedes: vec![first],
        valid_from: Some("2026-11-20".into()),
        valid_until: Some("2026-03-01".into()),
        ..Validity::NONE
    };
    graph.fact(&api, "Nginx terminates TLS", "2026-02-03", bounds);
    assert!(graph.shown(&api).is_empty());
    assert!(graph.kinds().is_empty());
}

#[test]
fn entities_of_one_name_and_type_are_merged_with_all_they_have() {
    let mut graph = Graph::default();
    let bus = graph.entity("Bus", "thing", &json!({"wheels": 4, "tags": ["a"]}));
    let buses = graph.entity("Buses", "Thing", &json!({"wheels": 4, "tags": ["b"], "colour": "red"}));
    graph.entity("Buses", "company", &json!(null));
    let depot = graph.entity("Depot", "place", &json!(null));
    graph.plain(&bus, "has a driver", 1);
    graph.plain(&bus, "needs diesel", 1);
    let old = graph.plain(&buses, "run hourly", 2);
    graph.fact(&buses, "run at noon", "2026-11-20", Validity { supersedes: vec![old], ..Validity::NONE });
    graph.link(&depot, &buses);
    graph.link(&bus, &depot);
    assert_eq!(graph.kinds(), [ProposalKind::SameName]);
    graph.fold();
    assert!(graph.0.entity(&buses).is_none());
    assert_eq!(graph.shown(&bus), ["has a driver", "needs diesel", "run at noon"]);
    assert_eq!(graph.0.observation_count_of(&bus), 4);
    assert_eq!(graph.0.relation_count_of(&bus), 2);
    assert_eq!(
        serde_json::to_value(&graph.0.entity(&bus).unwrap().attrs).unwrap(),
        json!({"wheels": 4, "tags": ["a", "b"], "colour": "red", "alsoCalled": ["Buses"]})
    );
}

#[test]
fn entities_are_not_merged_if_something_would_be_lost() {
    let mut graph = Graph::default();
    graph.entity("Bus", "thing", &json!({"wheels": 4}));
    graph.entity("Buses", "thing", &json!({"wheels": 6}));
    let (key, keys) =
        (graph.entity("Key", "thing", &json!(null)), graph.entity("Keys", "thing", &json!(null)));
    graph.link(&key, &keys);
    assert!(graph.kinds().is_empty());
}

#[test]
fn a_merge_is_refused_once_the_entity_has_something_else() {
    let mut graph = Graph::default();
    let (bus, buses) =
        (graph.entity("Bus", "thing", &json!(null)), graph.entity("Buses", "thing", &json!(null)));
    graph.plain(&bus, "has a driver", 1);
    let proposals = graph.proposals();
    let Some(Fold::Graph(fold)) = &proposals[0].fold else { panic!("{proposals:?}") };
    graph.plain(&buses, "run hourly", 2);
    assert_eq!(fold.events(&graph.0.part(&fold.part()), "eve", NOW).unwrap(), None);
    assert_ne!(graph.proposals()[0].id, proposals[0].id, "the id is that of other content");
}

#[test]
fn one_entity_does_not_take_the_comparisons_of_others() {
    let mut graph = Graph::default();
    let busy = graph.entity("Busy", "service", &json!(null));
    for number in 0..400 {
        graph.plain(&busy, &format!("the job number {number} runs on the first host"), 1);
    }
    let calm = graph.entity("Calm", "service", &json!(null));
    graph.plain(&calm, "uses Postgres 14", 1);
    graph.plain(&calm, "uses Postgres 15", 2);
    let found = of_graph(&graph.0, now());
    assert!(found.is_partial);
    assert!(found.proposals.iter().any(|proposal| proposal.about == "Calm"));
    let of_busy = found.proposals.iter().filter(|proposal| proposal.about == "Busy").count();
    assert!(of_busy <= COMPARISONS_PER_ENTITY, "{of_busy}");
}

fn path(name: &str) -> DocumentPath {
    DocumentPath::parse(name).unwrap()
}

#[test]
fn an_entry_that_a_list_has_twice_is_kept_once() {
    let text = "# Notes\n\n## Log\n\n- [2026-01-01] shipped it\n  - with care\n- something else\n- [2026-01-01] shipped it\n  - with care\n\n## More\n\n- something else\n";
    let found = of_document(&path("notes.md"), text, now());
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].kind, ProposalKind::DuplicateEntry);
    let folded = fold_document(&path("notes.md"), text, &found[0].id, now()).unwrap();
    assert_eq!(
        folded,
        "# Notes\n\n## Log\n\n- [2026-01-01] shipped it\n  - with care\n- something else\n\n## More\n\n- something else\n"
    );
    assert_eq!(fold_document(&path("notes.md"), &folded, &found[0].id, now()), None);
}

#[test]
fn entries_of_two_lists_steps_code_and_short_ones_may_be_repeated() {
    for text in [
        "Linux:\n\n- install the compiler\n\nMac:\n\n- install the compiler\n",
        "1. restart the server\n2. wait\n3. restart the server\n",
        "```\n- install the compiler\n- install the compiler\n```\n",
        "- yes\n- no\n- yes\n",
        "- install the compiler\n  - for Linux\n- install the compiler\n  - for Mac\n",
        "<<<<<<< a\n- install the compiler\n- install the compiler\n=======\n>>>>>>> b\n",
    ] {
        assert_eq!(of_document(&path("notes.md"), text, now()), [], "{text}");
    }
}

#[test]
fn equal_entries_of_two_lists_have_two_ids() {
    let list = "- install the compiler\n- install the compiler\n";
    let text = format!("## A\n\n{list}\nand\n\n{list}");
    let found = of_document(&path("notes.md"), &text, now());
    assert_eq!(found.len(), 2);
    assert_ne!(found[0].id, found[1].id);
}

#[test]
fn records_of_sessions_older_than_a_month_become_a_line_a_week() {
    let day = |days: i64| (now() - (24 * days).hours()).to_string().replace('T', " ").replace('Z', " UTC");
    let record =
        |days, id: &str| format!("- [{}] session `{id}` of claude-code on `main`, 35 min\n", day(days));
    let text = format!(
        "# Session Records\n\n## Sessions\n\n{}{}{}",
        record(3, "a"),
        record(40, "b"),
        record(41, "c")
    );
    let found = of_document(&path("session-records.md"), &text, now());
    assert_eq!(found.len(), 1, "{text}");
    assert_eq!(found[0].kind, ProposalKind::OldSessions);
    let folded = fold_document(&path("session-records.md"), &text, &found[0].id, now()).unwrap();
    assert!(
        folded.contains("`a`") && !folded.contains("`b`") && folded.contains("- Week of 2026-10-"),
        "{folded}"
    );
    assert_eq!(of_document(&path("session-records.md"), &folded, now()), []);
}

#[test]
fn a_proposal_stays_within_a_line() {
    let mut graph = Graph::default();
    let api = graph.entity("Api", "service", &json!(null));
    let long = format!("first\nsecond {}", "word ".repeat(5000));
    graph.plain(&api, &long, 1);
    graph.plain(&api, &long, 2);
    let proposals = graph.proposals();
    assert!(
        proposals[0].why.chars().count() < 200 && !proposals[0].why.contains('\n'),
        "{}",
        proposals[0].why
    );
}
