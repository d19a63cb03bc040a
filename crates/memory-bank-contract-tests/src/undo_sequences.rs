//! Random sequences of changes of documents and graph by several sessions: every version reads back, and undoing all sessions
//! gives the first state.
#![expect(missing_docs, reason = "the name of each function is its rule")]

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use memory_bank_core::caller::{Caller, Right};
use memory_bank_core::error::GraphError;
use memory_bank_core::history::{ChainQuery, Subject, VersionQuery};
use memory_bank_core::limits;
use memory_bank_core::store::{ObservationDraft, Reason};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::undo::{delete, rename, request, run, undo_session, versions, write};
use crate::undo_graph::{entity, named, shown, sorted, within};
use crate::{Project, path};

/// One change of a random sequence; numbers choose names, lines and sessions.
#[derive(Debug, Clone)]
enum Step {
    Write(u8, Vec<u8>),
    Append(u8, u8),
    Rename(u8, u8),
    Delete(u8),
    Restore(u8, u8),
    Undo(u8),
    Graph(GraphStep),
}

/// One change of the graph.
#[derive(Debug, Clone)]
enum GraphStep {
    Put(u8, u8, u8),
    Fact(u8, u8),
    Forget(u8, u8),
    Link(u8, u8),
    Unlink(u8, u8),
    Delete(u8),
    Restore(u8, u8),
}

fn graph_step() -> impl Strategy<Value = GraphStep> {
    let name = || 0..3_u8;
    prop_oneof![
        4 => (name(), 0..3_u8, 0..4_u8).prop_map(|(name, key, value)| GraphStep::Put(name, key, value)),
        4 => (name(), 0..4_u8).prop_map(|(name, text)| GraphStep::Fact(name, text)),
        2 => (name(), any::<u8>()).prop_map(|(name, place)| GraphStep::Forget(name, place)),
        3 => (name(), name()).prop_map(|(from, to)| GraphStep::Link(from, to)),
        2 => (name(), name()).prop_map(|(from, to)| GraphStep::Unlink(from, to)),
        2 => name().prop_map(GraphStep::Delete),
        1 => (name(), any::<u8>()).prop_map(|(name, version)| GraphStep::Restore(name, version)),
    ]
}

/// What one session does; every second session is one of the colleague, who neither deletes nor takes back what others did.
fn steps() -> impl Strategy<Value = Vec<Vec<Step>>> {
    let step = prop_oneof![
        4 => (0..4_u8, proptest::collection::vec(0..4_u8, 0..6)).prop_map(|(name, lines)| Step::Write(name, lines)),
        4 => (0..4_u8, any::<u8>()).prop_map(|(name, line)| Step::Append(name, line)),
        2 => (0..4_u8, 0..4_u8).prop_map(|(from, to)| Step::Rename(from, to)),
        2 => (0..4_u8).prop_map(Step::Delete),
        2 => (0..4_u8, any::<u8>()).prop_map(|(name, version)| Step::Restore(name, version)),
        2 => any::<u8>().prop_map(Step::Undo),
        8 => graph_step().prop_map(Step::Graph),
    ];
    proptest::collection::vec(proptest::collection::vec(step, 1..4), 1..6)
}

/// A run of such a sequence in a folder of its own.
struct Sequence<'p> {
    p: &'p Project,
    folder: String,
    first: u128,
    /// The texts of all versions, by document and number.
    texts: BTreeMap<(String, i64), Option<String>>,
}

impl Sequence<'_> {
    fn name(&self, number: u8) -> String {
        format!("{}/{}.md", self.folder, char::from(b'a' + number))
    }

    fn entity(&self, number: u8) -> String {
        format!("{} {}", self.folder, char::from(b'A' + number))
    }

    /// The texts of the documents, then the entities as sorted lines.
    async fn state(&self) -> Vec<Option<String>> {
        let mut state = Vec::new();
        for number in 0..4 {
            state.push(self.p.text(&self.name(number)).await);
        }
        for number in 0..3 {
            state.push(sorted(shown(self.p, &self.entity(number)).await).map(|lines| lines.join("\n")));
        }
        state
    }

    async fn step(&mut self, session: usize, step: &Step) {
        let number = self.first + session as u128;
        let is_colleague = session % 2 == 1;
        let caller = if is_colleague { &self.p.colleague } else { &self.p.caller };
        let p = self.p;
        match step {
            Step::Write(name, lines) => {
                let text: String = lines.iter().map(|line| format!("line {line} é\n")).collect();
                write(p, caller, number, &self.name(*name), &text).await;
            }
            Step::Append(name, line) => {
                let name = self.name(*name);
                let text = p.text(&name).await.unwrap_or_default();
                write(p, caller, number, &name, &format!("{text}entry {line}\n")).await;
            }
            Step::Rename(from, to) => {
                let (from, to) = (self.name(*from), self.name(*to));
                if p.text(&from).await.is_some() && p.text(&to).await.is_none() {
                    rename(p, caller, number, &from, &to).await;
                }
            }
            Step::Delete(name) if !is_colleague => {
                let name = self.name(*name);
                if p.text(&name).await.is_some() {
                    delete(p, caller, number, &name).await;
                }
            }
            Step::Restore(name, version) => self.restore(caller, number, *name, *version).await,
            Step::Undo(of) => {
                let of = self.first + u128::from(*of) % (session as u128 + 1);
                run(p, caller, &request(of, number)).await;
            }
            Step::Delete(_) => {}
            Step::Graph(step) => self.graph_step(caller, number, step).await,
        }
        self.record().await;
    }

    /// A change of something that is not there is none.
    async fn graph_step(&self, caller: &Caller, number: u128, step: &GraphStep) {
        let (p, bank) = (self.p, within(self.p, number));
        let is_owner = caller.may(Right::Admin);
        match step {
            GraphStep::Put(name, key, value) => {
                let value = if *value == 0 { Value::Null } else { json!(value) };
                entity(p, caller, number, &self.entity(*name), json!({format!("k{key}"): value})).await;
            }
            GraphStep::Fact(name, text) => {
                // The same fact at the same time is the same observation, also after it was deleted.
                let timestamp = Some("2026-11-27T09:00:00.000Z".to_owned());
                let draft = ObservationDraft {
                    text: format!("fact {text}"),
                    timestamp,
                    ..ObservationDraft::default()
                };
                let added = bank.add_observation(caller, &named(&self.entity(*name)), draft).await;
                assert!(matches!(added, Ok(_) | Err(GraphError::EntityNotFound { .. })), "{added:?}");
            }
            GraphStep::Forget(name, place) if is_owner => {
                let Ok(chain) = p.bank.entity_chain(caller, &named(&self.entity(*name)), 0).await else {
                    return;
                };
                let facts = chain.now.observations();
                if let Some(one) = facts.get(usize::from(*place) % facts.len().max(1)) {
                    bank.delete_observation(caller, &one.id, None).await.unwrap();
                }
            }
            GraphStep::Link(from, to) => {
                let (from, to) = (named(&self.entity(*from)), named(&self.entity(*to)));
                let linked = bank.link(caller, &from, "uses", &to).await;
                assert!(matches!(linked, Ok(_) | Err(GraphError::EntityNotFound { .. })), "{linked:?}");
            }
            GraphStep::Unlink(from, to) => {
                let (from, to) = (named(&self.entity(*from)), named(&self.entity(*to)));
                let unlinked = bank.unlink(caller, &from, "uses", &to).await;
                assert!(matches!(unlinked, Ok(_) | Err(GraphError::EntityNotFound { .. })), "{unlinked:?}");
            }
            GraphStep::Delete(name) if is_owner => {
                let deleted = bank.delete_entity(caller, &named(&self.entity(*name))).await;
                assert!(matches!(deleted, Ok(_) | Err(GraphError::EntityNotFound { .. })), "{deleted:?}");
            }
            GraphStep::Restore(name, version) => {
                let name = named(&self.entity(*name));
                let Ok(chain) = p.bank.entity_chain(caller, &name, 0).await else { return };
                let number = chain.changes[usize::from(*version) % chain.changes.len()].number;
                let was = p.bank.entity_chain(caller, &name, number).await.unwrap().start();
                if was.entity().is_some() {
                    let restored = bank.restore_entity(caller, &was).await;
                    assert!(restored.is_ok() || !is_owner, "{restored:?}");
                }
            }
            GraphStep::Forget(..) | GraphStep::Delete(_) => {}
        }
    }

    async fn restore(&self, caller: &Caller, number: u128, name: u8, version: u8) {
        let name = path(&self.name(name));
        let query = VersionQuery {
            subject: Subject::Document(name.clone()),
            since: None,
            until: None,
            by: None,
            after: None,
            limit: limits::VERSIONS_LISTED,
        };
        let Ok(page) = self.p.bank.list_versions(caller, &query).await else { return };
        let version = &page.versions[usize::from(version) % page.versions.len()];
        let read = self.p.bank.read_version(caller, &name, version.number).await.unwrap();
        if let Some(text) = read.text {
            write(self.p, caller, number, name.as_str(), &text).await;
        }
    }

    /// Notes the texts of the newest versions.
    async fn record(&mut self) {
        for number in 0..4 {
            let name = self.name(number);
            if let Some(text) = self.p.text(&name).await {
                let newest = versions(self.p, &name).await.swap_remove(0);
                self.texts.insert((newest.document, newest.number), Some(text));
            }
        }
    }

    /// Reads all versions that were noted, with the steps back from the newest.
    async fn check(&self) {
        let mut documents: BTreeMap<&str, BTreeMap<i64, &Option<String>>> = BTreeMap::new();
        for ((document, number), text) in &self.texts {
            documents.entry(document).or_default().insert(*number, text);
        }
        let names: Vec<_> = (0..4).map(|number| path(&self.name(number))).collect();
        for (document, mut wanted) in documents {
            for path in &names {
                let query =
                    ChainQuery { document: document.to_owned(), path: path.clone(), from: 0, most: 1000 };
                let Ok(chain) = self.p.other.chain(&self.p.caller, &query).await else { continue };
                let walked = chain.walk(|link, after, _| {
                    if let Some(text) = wanted.remove(&link.version.number) {
                        assert_eq!(after.map(|after| &after.text), text.as_ref(), "{link:?}");
                    }
                    ControlFlow::Continue(())
                });
                walked.unwrap();
                break;
            }
            assert!(wanted.is_empty(), "versions {wanted:?} of {document} are missing");
        }
    }
}

async fn run_sequence(p: &Project, case: u128, sessions: &[Vec<Step>]) {
    let first = (case + 1) * 1000;
    let mut sequence = Sequence { p, folder: format!("case-{case}"), first, texts: BTreeMap::new() };
    let mut before = Vec::new();
    for (session, steps) in sessions.iter().enumerate() {
        before.push(sequence.state().await);
        for step in steps {
            sequence.step(session, step).await;
        }
    }
    sequence.check().await;
    for (session, expected) in before.iter().enumerate().rev() {
        let (of, by) = (first + session as u128, first + 500 + session as u128);
        // A name may be free only after another document left it.
        let mut left = Vec::new();
        for _ in 0..4 {
            let report = undo_session(p, of, by).await;
            assert!(report.left_items.is_empty(), "session {session}: {report:?}");
            left = report.left;
            sequence.record().await;
            if left.is_empty() {
                break;
            }
        }
        // Documents that have swapped their names stay as they are, and are named.
        if left.iter().any(|left| matches!(left.reason, Reason::NameTaken(_))) {
            return sequence.check().await;
        }
        assert_eq!(&sequence.state().await, expected, "before session {session}: {left:?}");
    }
    assert_eq!(sequence.state().await, vec![None; 7]);
    sequence.check().await;
}

/// How many sequences are tried; `UNDO_CASES` of the environment for a long run.
fn cases() -> u32 {
    std::env::var("UNDO_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(24)
}

pub async fn any_sequence_of_changes_reads_back_and_is_undone(p: Project) {
    let case = std::sync::atomic::AtomicU64::new(0);
    let config =
        Config { cases: cases(), max_shrink_iters: 200, failure_persistence: None, ..Config::default() };
    let tried = tokio::task::block_in_place(|| {
        let runtime = tokio::runtime::Handle::current();
        TestRunner::new(config).run(&steps(), |sessions| {
            let case = case.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            runtime.block_on(run_sequence(&p, u128::from(case), &sessions));
            Ok(())
        })
    });
    tried.unwrap();
}
