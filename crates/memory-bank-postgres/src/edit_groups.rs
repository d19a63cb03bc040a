//! Groups concurrent edits of one caller on the same documents: one transaction and one commit for all. Without
//! groups, many agents that append to one log wait for its row, one commit each.
//!
//! A caller is a user in a project with one key, so no statement ever runs in another caller's context: edits of
//! different keys take turns at the row's lock. An editor is a pure function; it runs in its own task, on the text
//! that the previous edits left. This module must not know what an edit means, or how it is stored: a [`RunGroup`]
//! writes it.

use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use memory_bank_core::caller::Caller;
use memory_bank_core::document::DocumentPath;
use memory_bank_core::error::{EditError, StoreError};
use memory_bank_core::store::{DocumentChange, Drafts};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

/// The most edits in one transaction.
const MAX_GROUP: usize = 64;
/// The most document names in one transaction of a group: each may be a mebibyte.
const MAX_NAMES: usize = 16;
/// The most waiting edits of one caller.
const MAX_WAITING: usize = 256;
/// How long an edit waits for its turn: longer than the statements before it may take.
const TURN_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a group waits for one of its editors. Editors are pure functions of a few milliseconds; only a request
/// that is not polled any more takes longer.
const EDITOR_TIMEOUT: Duration = Duration::from_secs(2);
/// From this many edits on, the next group waits for [`GATHER_TIME`].
const GATHER_FROM: usize = 4;
/// How long the clients of a group have to send their next edits, so that one large group follows in place of two that
/// take turns. Few clients at once, and a single one, never wait.
const GATHER_TIME: Duration = Duration::from_millis(1);

/// Writes the edits of a group.
#[async_trait]
pub(crate) trait RunGroup: Send + Sync {
    /// Runs the edits of one caller in one transaction. Returns those that could not run together, in order.
    async fn run(&self, caller: &Caller, members: Vec<Member>) -> Vec<Member>;
}

/// Running and waiting edits, by caller.
#[derive(Debug, Default)]
pub(crate) struct EditGroups {
    lanes: Mutex<HashMap<Caller, EditQueue>>,
}

/// The edits of one caller.
#[derive(Debug, Default)]
struct EditQueue {
    running: Vec<(u64, BTreeSet<String>)>,
    waiting: VecDeque<Member>,
    last_id: u64,
}

/// An edit that waits, or is part of a group.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) paths: Vec<DocumentPath>,
    names: BTreeSet<String>,
    /// It cannot share a transaction.
    alone: bool,
    turns: mpsc::Sender<Turn>,
}

/// The next request to a waiting edit.
#[derive(Debug)]
enum Turn {
    /// Run the editor on these documents.
    Apply(Drafts, oneshot::Sender<Result<Drafts, EditError>>),
    /// Run the whole edit alone.
    Alone(Box<Permit>),
    /// The edit is done.
    Done(Result<Vec<DocumentChange>, EditError>),
}

/// How an edit begins.
pub(crate) enum Entry {
    /// No other edit of this caller uses the documents.
    Now(Box<Permit>),
    /// Another edit does: this one waits.
    Wait(Waiting),
}

/// The waiting edit's end.
pub(crate) struct Waiting {
    turns: mpsc::Receiver<Turn>,
}

/// The result of waiting.
pub(crate) enum Awaited {
    /// The edit must run alone.
    Alone(Box<Permit>),
    /// The edit ran in a group, or was refused.
    Done(Result<Vec<DocumentChange>, EditError>),
}

impl EditGroups {
    /// Admits an edit of these documents, or queues it behind the caller's edits of one of them.
    ///
    /// # Errors
    /// Too many edits wait.
    pub(crate) fn enter(
        self: &Arc<Self>,
        runner: &Arc<dyn RunGroup>,
        caller: &Caller,
        paths: &[DocumentPath],
        names: &[String],
    ) -> Result<Entry, StoreError> {
        let names: BTreeSet<String> = names.iter().cloned().collect();
        let mut lanes = self.lanes.lock();
        let lane = lanes.entry(caller.clone()).or_default();
        let busy = lane.running.iter().map(|(_, names)| names);
        let is_free = busy
            .chain(lane.waiting.iter().map(|member| &member.names))
            .all(|other| other.is_disjoint(&names));
        if is_free {
            let id = lane.start(names);
            let (groups, runner) = (Arc::clone(self), Arc::clone(runner));
            let slot = Slot { groups, runner, caller: caller.clone(), id };
            return Ok(Entry::Now(Box::new(Permit { slot: Some(slot), edits: 1 })));
        }
        if lane.waiting.len() >= MAX_WAITING {
            return Err(StoreError::Busy);
        }
        let (turns, received) = mpsc::channel(2);
        lane.waiting.push_back(Member { paths: paths.to_vec(), names, alone: false, turns });
        Ok(Entry::Wait(Waiting { turns: received }))
    }
}

impl Waiting {
    /// Waits, running the editor whenever a group requests it.
    pub(crate) async fn turn(
        mut self,
        editor: &mut (dyn FnMut(&mut Drafts) -> Result<(), EditError> + Send + '_),
    ) -> Awaited {
        let mut applied = false;
        loop {
            match tokio::time::timeout(TURN_TIMEOUT, self.turns.recv()).await {
                Err(_) if !applied => return Awaited::Done(Err(StoreError::Busy.into())),
                Ok(Some(Turn::Apply(mut drafts, answer))) => {
                    applied = true;
                    // A group that gave up this edit puts it back into the queue.
                    drop(answer.send(editor(&mut drafts).map(|()| drafts)));
                }
                Ok(Some(Turn::Alone(permit))) => return Awaited::Alone(permit),
                Ok(Some(Turn::Done(result))) => return Awaited::Done(result),
                Err(_) | Ok(None) => {
                    let text = "the edit was interrupted; read the document to see whether it was made";
                    return Awaited::Done(Err(StoreError::Unavailable(text.to_owned()).into()));
                }
            }
        }
    }
}

impl Member {
    /// Lets the edit's own task run its editor; `None` if it does not answer in time. What it answers later counts for nothing.
    pub(crate) async fn apply(&self, drafts: Drafts) -> Option<Result<Drafts, EditError>> {
        let (answer, answered) = oneshot::channel();
        self.turns.try_send(Turn::Apply(drafts, answer)).ok()?;
        tokio::time::timeout(EDITOR_TIMEOUT, answered).await.ok()?.ok()
    }

    /// Whether its client is gone.
    pub(crate) fn is_gone(&self) -> bool {
        self.turns.is_closed()
    }

    /// Completes the edit.
    pub(crate) fn finish(self, result: Result<Vec<DocumentChange>, EditError>) {
        // The client is gone and gets no reply.
        drop(self.turns.try_send(Turn::Done(result)));
    }

    /// The edit cannot share a transaction.
    pub(crate) fn set_alone(&mut self) {
        self.alone = true;
    }
}

impl EditQueue {
    fn start(&mut self, names: BTreeSet<String>) -> u64 {
        self.last_id += 1;
        self.running.push((self.last_id, names));
        self.last_id
    }

    /// Takes those edits out of the queue that can begin now, in order: no edit overtakes another one of the same
    /// document.
    fn next_groups(&mut self) -> Vec<(u64, Vec<Member>)> {
        let mut groups: Vec<(BTreeSet<String>, Vec<Member>)> = Vec::new();
        let mut blocked: BTreeSet<String> =
            self.running.iter().flat_map(|(_, names)| names.iter().cloned()).collect();
        let mut rest = VecDeque::new();
        for member in std::mem::take(&mut self.waiting) {
            if member.turns.is_closed() {
                continue;
            }
            let mut met = groups.iter_mut().filter(|(names, _)| !names.is_disjoint(&member.names));
            let (group, other) = (met.next(), met.next());
            let fits = match &group {
                None => true,
                Some((names, members)) => {
                    let alone = member.alone || members.iter().any(|one| one.alone);
                    let together = names.union(&member.names).count();
                    !alone && other.is_none() && members.len() < MAX_GROUP && together <= MAX_NAMES
                }
            };
            if !fits || !member.names.is_disjoint(&blocked) {
                blocked.extend(member.names.iter().cloned());
                rest.push_back(member);
            } else if let Some((names, members)) = group {
                names.extend(member.names.iter().cloned());
                members.push(member);
            } else {
                groups.push((member.names.clone(), vec![member]));
            }
        }
        self.waiting = rest;
        groups.into_iter().map(|(names, members)| (self.start(names), members)).collect()
    }
}

/// The right to edit some documents as a caller; dropping it admits the next waiting edits.
#[derive(Debug)]
pub(crate) struct Permit {
    /// Gone when the permit is dropped.
    slot: Option<Slot>,
    /// How many edits the permit is for.
    edits: usize,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(slot) = self.slot.take() else { return };
        match Handle::try_current() {
            Ok(runtime) if self.edits >= GATHER_FROM => {
                runtime.spawn(async move {
                    tokio::time::sleep(GATHER_TIME).await;
                    drop(slot);
                });
            }
            _ => drop(slot),
        }
    }
}

/// A place among the running edits of a caller; dropping it admits the next waiting edits.
struct Slot {
    groups: Arc<EditGroups>,
    runner: Arc<dyn RunGroup>,
    caller: Caller,
    id: u64,
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slot").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Slot {
    /// Puts edits back at the front of the queue, in this order.
    fn put_back(&self, members: Vec<Member>) {
        let mut lanes = self.groups.lanes.lock();
        let Some(lane) = lanes.get_mut(&self.caller) else { return };
        for member in members.into_iter().rev() {
            lane.waiting.push_front(member);
        }
    }

    fn begin(self, mut members: Vec<Member>) {
        let edits = members.len();
        if edits == 1
            && let Some(only) = members.pop()
        {
            // An edit's own task handles what a group does not: renamings, deletions, and retries.
            let permit = Permit { slot: Some(self), edits };
            drop(only.turns.try_send(Turn::Alone(Box::new(permit))));
            return;
        }
        // A separate task: the others do not depend on one of their clients.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                let rest = self.runner.run(&self.caller, members).await;
                self.put_back(rest);
                drop(Permit { slot: Some(self), edits });
            });
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let groups = {
            let mut lanes = self.groups.lanes.lock();
            let Some(lane) = lanes.get_mut(&self.caller) else { return };
            lane.running.retain(|(id, _)| *id != self.id);
            let groups = lane.next_groups();
            if lane.running.is_empty() && lane.waiting.is_empty() {
                lanes.remove(&self.caller);
            }
            groups
        };
        for (id, members) in groups {
            let (groups, runner) = (Arc::clone(&self.groups), Arc::clone(&self.runner));
            Self { groups, runner, caller: self.caller.clone(), id }.begin(members);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(names: &[&str]) -> (Member, mpsc::Receiver<Turn>) {
        let (turns, received) = mpsc::channel(2);
        let names: BTreeSet<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let paths = names.iter().map(|name| DocumentPath::parse(name).unwrap()).collect();
        (Member { paths, names, alone: false, turns }, received)
    }

    fn lane(waiting: &[&[&str]]) -> (EditQueue, Vec<mpsc::Receiver<Turn>>) {
        let (members, receivers): (VecDeque<_>, Vec<_>) = waiting.iter().map(|names| member(names)).unzip();
        (EditQueue { waiting: members, ..EditQueue::default() }, receivers)
    }

    fn sizes(groups: &[(u64, Vec<Member>)]) -> Vec<usize> {
        groups.iter().map(|(_, members)| members.len()).collect()
    }

    /// Completes the edits of each group, and records its size.
    #[derive(Default)]
    struct Recorder(Mutex<Vec<usize>>);

    #[async_trait]
    impl RunGroup for Recorder {
        async fn run(&self, _: &Caller, members: Vec<Member>) -> Vec<Member> {
            self.0.lock().push(members.len());
            members.into_iter().for_each(|member| member.finish(Ok(Vec::new())));
            Vec::new()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_edits_of_a_group_s_clients_share_a_group_and_few_clients_do_not_wait() {
        let (recorder, groups) = (Arc::new(Recorder::default()), Arc::new(EditGroups::default()));
        let runner: Arc<dyn RunGroup> = Arc::clone(&recorder) as Arc<dyn RunGroup>;
        let caller = Caller::local("alice");
        let enter = || groups.enter(&runner, &caller, &[], &["a.md".to_owned()]).unwrap();
        let wait = async |entry| match entry {
            Entry::Wait(waiting) => matches!(waiting.turn(&mut |_| Ok(())).await, Awaited::Done(Ok(_))),
            Entry::Now(_) => false,
        };
        for count in [GATHER_FROM, 2] {
            let Entry::Now(first) = enter() else { panic!("the document is in use") };
            let waiting: Vec<Entry> = (0..count).map(|_| enter()).collect();
            drop(first);
            for entry in waiting {
                assert!(wait(entry).await);
            }
            tokio::task::yield_now().await;
            if count == GATHER_FROM {
                // Both come before the group's time is over, one after the other.
                let (one, other) = (enter(), enter());
                assert!(wait(one).await && wait(other).await);
                tokio::time::sleep(2 * GATHER_TIME).await;
            } else {
                assert!(matches!(enter(), Entry::Now(_)), "a small group is followed at once");
            }
        }
        assert_eq!(*recorder.0.lock(), [GATHER_FROM, 2, 2]);
        assert!(groups.lanes.lock().is_empty());
    }

    #[test]
    fn edits_that_share_a_document_form_a_group_and_others_run_beside_it() {
        let (mut lane, _receivers) = lane(&[&["a.md"], &["b.md"], &["a.md", "c.md"], &["c.md"], &["d.md"]]);
        assert_eq!(sizes(&lane.next_groups()), [3, 1, 1]);
        assert!(lane.waiting.is_empty());
    }

    #[test]
    fn no_edit_overtakes_another_of_the_same_document() {
        let (mut lane, _receivers) = lane(&[&["a.md", "b.md"], &["b.md"], &["c.md"]]);
        lane.start(["a.md".to_owned()].into());
        assert_eq!(sizes(&lane.next_groups()), [1], "only the edit of c.md has nothing before it");
        assert_eq!(lane.waiting.len(), 2);
    }

    #[test]
    fn an_edit_that_joins_two_groups_waits_for_both() {
        let (mut lane, _receivers) = lane(&[&["a.md"], &["b.md"], &["a.md", "b.md"], &["b.md"]]);
        assert_eq!(sizes(&lane.next_groups()), [1, 1]);
        assert_eq!(lane.waiting.len(), 2);
    }

    #[test]
    fn an_edit_that_must_be_alone_shares_no_group() {
        let (mut lane, _receivers) = lane(&[&["a.md"], &["a.md"], &["a.md"]]);
        lane.waiting[1].alone = true;
        let first = lane.next_groups();
        assert_eq!((sizes(&first), lane.waiting.len()), (vec![1], 2));
        lane.running.clear();
        assert_eq!(sizes(&lane.next_groups()), [1]);
        lane.running.clear();
        assert_eq!(sizes(&lane.next_groups()), [1]);
    }

    #[test]
    fn a_group_has_bounds_in_edits_and_in_documents() {
        let many: Vec<&[&str]> = vec![&["a.md"]; MAX_GROUP + 3];
        let (mut crowd, _receivers) = lane(&many);
        assert_eq!((sizes(&crowd.next_groups()), crowd.waiting.len()), (vec![MAX_GROUP], 3));
        let names: Vec<[String; 2]> = (0..30).map(|n| ["a.md".to_owned(), format!("{n}.md")]).collect();
        let names: Vec<Vec<&str>> =
            names.iter().map(|two| two.iter().map(String::as_str).collect()).collect();
        let (mut wide, _receivers) = lane(&names.iter().map(Vec::as_slice).collect::<Vec<_>>());
        assert_eq!(sizes(&wide.next_groups()), [MAX_NAMES - 1]);
    }

    #[test]
    fn the_edit_of_a_disconnected_client_is_skipped() {
        let (mut lane, mut receivers) = lane(&[&["a.md"], &["a.md"]]);
        receivers.remove(0);
        assert_eq!(sizes(&lane.next_groups()), [1]);
    }
}
