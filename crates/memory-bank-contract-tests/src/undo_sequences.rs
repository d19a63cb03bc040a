//! Random sequences of changes of documents and graph by several sessions: every version reads back, and undoing all sessions
//! gives the first state.
#![expect(missing_docs, reason = "the name of each function is its rule")]

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;

use jiff::Timestamp;
use memory_bank_core::caller::{Caller, Right};
use memory_bank_core::error::GraphError;
use memory_bank_core::history::{ChainQuery, Subject, VersionQuery};
use memory_bank_core::limits;
use memory_bank_core::store::{ObservationDraft, UndoReport, UndoRequest};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::undo::{delete, rename, request, restore, run, versions, write};
use crate::undo_graph::{entity, named, shown, sorted, within};
use crate::{Project, path};

/// How many names documents have. The folders of the first and the last one differ only by case.
const NAMES: u8 = 5;

/// One change of a random sequence; numbers choose names, lines and sessions.
#[derive(Debug, Clone)]
enum Step {
    Write(u8, Vec<u8>),
    Append(u8, u8),
    Rename(u8, u8),
    Swap(u8, u8),
    Replace(u8, u8),
    /// Deletes a document, gives its name to others and writes a new one under it.
    Reuse(u8, u8, u8),
    Delete(u8),
    Restore(u8, u8),
    Undo(u8),
    /// Takes back all that the caller has changed so far.
    UndoOwn,
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
    let name = || 0..NAMES;
    let step = prop_oneof![
        4 => (name(), proptest::collection::vec(0..4_u8, 0..6)).prop_map(|(name, lines)| Step::Write(name, lines)),
        4 => (name(), any::<u8>()).prop_map(|(name, line)| Step::Append(name, line)),
        2 => (name(), name()).prop_map(|(from, to)| Step::Rename(from, to)),
        2 => (name(), name()).prop_map(|(one, other)| Step::Swap(one, other)),
        2 => (name(), name()).prop_map(|(from, to)| Step::Replace(from, to)),
        2 => (name(), name(), name()).prop_map(|(name, other, to)| Step::Reuse(name, other, to)),
        2 => name().prop_map(Step::Delete),
        2 => (name(), any::<u8>()).prop_map(|(name, version)| Step::Restore(name, version)),
        2 => any::<u8>().prop_map(Step::Undo),
        1 => Just(Step::UndoOwn),
        8 => graph_step().prop_map(Step::Graph),
    ];
    proptest::collection::vec(proptest::collection::vec(step, 1..4), 1..6)
}

/// A run of such a sequence in a folder of its own.
struct Sequence<'p> {
    p: &'p Project,
    folder: String,
    first: u128,
    start: Timestamp,
    /// The texts of all versions, by document and number.
    texts: BTreeMap<(String, i64), Option<String>>,
}

impl Sequence<'_> {
    fn name(&self, number: u8) -> String {
        let name = match number {
            0 => "sub/a".to_owned(),
            1..4 => char::from(b'a' + number).to_string(),
            _ if crate::IGNORES_CASE => "sub/b".to_owned(),
            _ => "Sub/b".to_owned(),
        };
        format!("{}/{name}.md", self.folder)
    }

    /// Whether there is a document of this name, or could be one, also while a document leaves its name.
    async fn is_possible(&self, name: &str, left: Option<&str>) -> bool {
        for other in [0, NAMES - 1].map(|number| self.name(number)) {
            if left != Some(other.as_str())
                && path(name).clashes_with(&other)
                && self.p.text(&other).await.is_some()
            {
                return false;
            }
        }
        true
    }

    async fn write(&self, caller: &Caller, number: u128, name: &str, text: &str) {
        if self.is_possible(name, None).await {
            write(self.p, caller, number, name, text).await;
        }
    }

    fn entity(&self, number: u8) -> String {
        format!("{} {}", self.folder, char::from(b'A' + number))
    }

    /// The texts of the documents, then the entities as sorted lines.
    async fn state(&self) -> Vec<Option<String>> {
        let mut state = Vec::new();
        for number in 0..NAMES {
            state.push(self.p.text(&self.name(number)).await);
        }
        for number in 0..3 {
            state.push(sorted(shown(self.p, &self.entity(number)).await).map(|lines| lines.join("\n")));
        }
        state
    }

    /// The state of a bank without any of them.
    fn nothing(&self) -> Vec<Option<String>> {
        vec![None; usize::from(NAMES) + 3]
    }

    async fn step(&mut self, session: usize, step: &Step) {
        let number = self.first + session as u128;
        let is_colleague = session % 2 == 1;
        let caller = if is_colleague { &self.p.colleague } else { &self.p.caller };
        let p = self.p;
        match step {
            Step::Write(name, lines) => {
                let text: String = lines.iter().map(|line| format!("line {line} é\n")).collect();
                self.write(caller, number, &self.name(*name), &text).await;
            }
            Step::Append(name, line) => {
                let name = self.name(*name);
                let text = p.text(&name).await.unwrap_or_default();
                self.write(caller, number, &name, &format!("{text}entry {line}\n")).await;
            }
            Step::Rename(from, to) => {
                self.rename(caller, number, &self.name(*from), &self.name(*to)).await;
            }
            Step::Swap(one, other) => {
                let (one, other) = (self.name(*one), self.name(*other));
                let between = format!("{}/between.md", self.folder);
                if one != other && p.text(&one).await.is_some() && p.text(&other).await.is_some() {
                    rename(p, caller, number, &one, &between).await;
                    rename(p, caller, number, &other, &one).await;
                    rename(p, caller, number, &between, &other).await;
                }
            }
            Step::Replace(from, to) => {
                let (from, to) = (self.name(*from), self.name(*to));
                if self.rename(caller, number, &from, &to).await {
                    self.write(caller, number, &from, "instead\n").await;
                }
            }
            Step::Reuse(name, other, to) if !is_colleague => {
                let [name, other, to] = [name, other, to].map(|number| self.name(*number));
                if p.text(&name).await.is_some() {
                    delete(p, caller, number, &name).await;
                    if self.rename(caller, number, &other, &name).await {
                        self.rename(caller, number, &name, &to).await;
                    }
                    self.write(caller, number, &name, "reused\n").await;
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
                self.undo(caller, &request(of, number)).await;
            }
            Step::UndoOwn => {
                let by = Some(caller.user_name.clone());
                let own = UndoRequest { session: None, by, since: Some(self.start), ..request(0, number) };
                self.undo(caller, &own).await;
            }
            Step::Delete(_) | Step::Reuse(..) => {}
            Step::Graph(step) => self.graph_step(caller, number, step).await,
        }
        self.record().await;
    }

    /// Whether it was renamed: to a free name. The last document of `sub` may move into `Sub`.
    async fn rename(&self, caller: &Caller, number: u128, from: &str, to: &str) -> bool {
        let is_free = self.p.text(to).await.is_none() && self.is_possible(to, Some(from)).await;
        let is_possible = from != to && is_free && self.p.text(from).await.is_some();
        if is_possible {
            rename(self.p, caller, number, from, to).await;
        }
        is_possible
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
                    let restored = bank.restore_entity(caller, &was, &[]).await;
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
        if let Some(text) = read.text
            && self.is_possible(name.as_str(), None).await
        {
            restore(self.p, caller, number, name.as_str(), &text).await;
        }
    }

    /// Takes changes back: as a dry run says.
    async fn undo(&self, caller: &Caller, request: &UndoRequest) -> UndoReport {
        let dry = run(self.p, caller, &UndoRequest { dry_run: true, ..request.clone() }).await;
        let report = run(self.p, caller, request).await;
        assert_eq!(UndoReport { is_written: false, ..report.clone() }, dry);
        report
    }

    /// Notes the texts of the newest versions.
    async fn record(&mut self) {
        for number in 0..NAMES {
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
        let names: Vec<_> = (0..NAMES).map(|number| path(&self.name(number))).collect();
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
    write(p, &p.caller, first + 999, &format!("begin-{case}.md"), "").await;
    // Changes of a graph have milliseconds in a folder.
    tokio::time::sleep(Duration::from_millis(3)).await;
    let begin = versions(p, &format!("begin-{case}.md")).await[0].at;
    let start = begin.checked_add(jiff::SignedDuration::from_millis(2)).unwrap();
    let mut sequence = Sequence { p, folder: format!("case-{case}"), first, start, texts: BTreeMap::new() };
    let mut before = Vec::new();
    for (session, steps) in sessions.iter().enumerate() {
        before.push(sequence.state().await);
        for step in steps {
            sequence.step(session, step).await;
        }
    }
    sequence.check().await;
    let by_session = before.iter().enumerate().rev().map(|(session, expected)| {
        (request(first + session as u128, first + 500 + session as u128), expected.clone())
    });
    let nothing = sequence.nothing();
    let all = UndoRequest { session: None, since: Some(start), ..request(0, first + 500) };
    // Either one session after the other, or all at once.
    let undos: Vec<_> =
        if case.is_multiple_of(2) { by_session.collect() } else { vec![(all, nothing.clone())] };
    for (request, expected) in undos {
        let report = sequence.undo(&p.caller, &request).await;
        assert!(report.left.is_empty() && report.left_items.is_empty(), "{request:?}: {report:?}");
        sequence.record().await;
        assert_eq!(sequence.state().await, expected, "{request:?}: {report:?}");
    }
    assert_eq!(sequence.state().await, nothing);
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
