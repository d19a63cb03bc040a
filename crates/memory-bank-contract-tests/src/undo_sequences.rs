//! Random sequences of changes by several sessions: every version reads back, and undoing all sessions gives the first state.
#![expect(missing_docs, reason = "the name of each function is its rule")]

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use memory_bank_core::caller::Caller;
use memory_bank_core::history::{ChainQuery, Subject, VersionQuery};
use memory_bank_core::limits;
use memory_bank_core::store::Reason;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::undo::{delete, rename, request, run, undo_session, versions, write};
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

    async fn state(&self) -> Vec<Option<String>> {
        let mut state = Vec::new();
        for number in 0..4 {
            state.push(self.p.text(&self.name(number)).await);
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
        }
        self.record().await;
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
            left = undo_session(p, of, by).await.left;
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
    assert_eq!(sequence.state().await, [None, None, None, None]);
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
