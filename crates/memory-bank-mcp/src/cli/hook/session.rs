//! The state of a session between its events. It must not know where the state is stored.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use memory_bank_core::secrets::masked;
use serde::{Deserialize, Serialize};

/// The most texts of which the session remembers that they were shown.
const MAX_SHOWN_TEXTS: usize = 400;
/// The most tools that are counted, and characters of their names.
const MAX_TOOLS: usize = 60;
const TOOL_CHARS: usize = 80;
/// How many calls of tools are remembered: hooks that are installed twice report each one twice, at nearly the same time.
const MAX_CALLS: usize = 32;
/// The most touched files that are remembered, and bytes of their names.
const MAX_FILES: usize = 50;
const FILE_BYTES: usize = 200;
/// Characters of the first prompt that are stored.
const PROMPT_CHARS: usize = 200;

/// The tools of agents that change files. A file that git does not know, and one in a folder without git, is seen by them only.
const EDITING_TOOLS: [&str; 14] = [
    "write",
    "edit",
    "multiedit",
    "notebookedit",
    "apply_patch",
    "write_file",
    "replace",
    "create",
    "str_replace",
    "str_replace_editor",
    "edit_file",
    "create_file",
    "insert",
    "patch",
];

/// The stored state of a session between its events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AgentSession {
    /// The first event.
    pub(super) started: Timestamp,
    /// The folder of the first event: the work of the session is recorded there, wherever the agent goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) folder: Option<PathBuf>,
    /// The folder of the bank, if it is one: an agent that starts again under the same id may be in another project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) bank_folder: Option<PathBuf>,
    /// Files that were touched. Git does not show those any more after a checkout of another branch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) files: Vec<String>,
    /// The commit that was checked out then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) head: Option<String>,
    /// The state of the bank then.
    #[serde(default)]
    pub(super) bank: BankState,
    /// How many prompts were sent.
    #[serde(default)]
    pub(super) prompts: u32,
    /// The first line of the first one, if it may be recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) first_prompt: Option<String>,
    /// How often each tool was called.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) tools: BTreeMap<String, u32>,
    /// How often a tool changed a file.
    #[serde(default)]
    pub(super) edits: u32,
    /// The conversation was compacted, and the work of the session is not in it yet.
    #[serde(default)]
    pub(super) compacted: bool,
    /// Fingerprints of texts that are in the context.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) shown: Vec<u64>,
    /// The bank was written since.
    #[serde(default)]
    pub(super) wrote: bool,
    /// When the session's record was written last, where that changes the bank's state as any other change does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) own_write: Option<Timestamp>,
    /// The session has a record in the bank, or had one.
    #[serde(default)]
    pub(super) recorded: bool,
    /// When that was checked last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) recorded_at: Option<Timestamp>,
    /// How much work, in commits, files and edits, the agent was reminded of.
    #[serde(default)]
    pub(super) reminded_work: usize,
    /// The calls of tools that were counted last, by fingerprints of their ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) calls: Vec<u64>,
    /// The agent was reminded at the end of a turn.
    #[serde(default)]
    pub(super) reminded: bool,
    /// A server has refused the record, such as for a key that may not write: it is not sent again.
    #[serde(default)]
    pub(super) record_refused: bool,
    /// A reminder waits for the next event that reaches the model.
    #[serde(default)]
    pub(super) reminder_pending: bool,
}

/// What shows whether a bank was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BankState {
    /// The last change of a document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) written: Option<Timestamp>,
    /// Entities, observations and relations, if they are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) graph: Option<usize>,
}

impl BankState {
    /// Whether there is nothing: a server has a project for each key, and a memory bank once something is written.
    pub(super) fn is_empty(self) -> bool {
        self.written.is_none() && self.graph.unwrap_or(0) == 0
    }

    /// Whether the bank was written between this state and a later one, by others than the hook itself.
    pub(super) fn differs(self, later: Self, own_write: Option<Timestamp>) -> bool {
        later.written > self.written && later.written != own_write
            || later.graph.is_some() && self.graph.is_some() && later.graph != self.graph
    }
}

impl AgentSession {
    pub(super) fn new(now: Timestamp, folder: Option<PathBuf>) -> Self {
        Self {
            started: now,
            folder,
            bank_folder: None,
            files: Vec::new(),
            head: None,
            bank: BankState::default(),
            prompts: 0,
            first_prompt: None,
            tools: BTreeMap::new(),
            edits: 0,
            compacted: false,
            shown: Vec::new(),
            wrote: false,
            own_write: None,
            recorded: false,
            recorded_at: None,
            reminded_work: 0,
            calls: Vec::new(),
            reminded: false,
            record_refused: false,
            reminder_pending: false,
        }
    }

    /// Whether its bank is in this folder, or on a server in both cases.
    pub(super) fn is_of(&self, bank_folder: Option<&Path>) -> bool {
        self.bank_folder.as_deref() == bank_folder
    }

    /// Reads a stored state; none if it is not understood.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    pub(super) fn bytes(&self) -> Option<Vec<u8>> {
        serde_json::to_vec(self).ok()
    }

    /// Remembers texts as shown; the oldest are forgotten.
    pub(super) fn add_shown(&mut self, fingerprints: impl IntoIterator<Item = u64>) {
        for fingerprint in fingerprints {
            if !self.shown.contains(&fingerprint) {
                self.shown.push(fingerprint);
            }
        }
        let surplus = self.shown.len().saturating_sub(MAX_SHOWN_TEXTS);
        self.shown.drain(..surplus);
    }

    /// Remembers files as touched, the first ones of too many.
    pub(super) fn add_files(&mut self, files: &[String]) {
        for file in files {
            if self.files.len() < MAX_FILES && file.len() <= FILE_BYTES && !self.files.contains(file) {
                self.files.push(file.clone());
            }
        }
    }

    /// Whether the agent is to be reminded of this amount of work for the first time; it counts as reminded then.
    pub(super) fn remind(&mut self, reminds: bool, work: usize) -> bool {
        let is_first = reminds && work > self.reminded_work;
        if is_first {
            self.reminded_work = work;
        }
        is_first
    }

    /// Whether a call, by the fingerprint of its id, was not counted yet; it counts as counted then.
    pub(super) fn is_new_call(&mut self, call: Option<u64>) -> bool {
        let Some(call) = call else { return true };
        if self.calls.contains(&call) {
            return false;
        }
        self.calls.push(call);
        let surplus = self.calls.len().saturating_sub(MAX_CALLS);
        self.calls.drain(..surplus);
        true
    }

    /// Counts a call of a tool; one that failed has changed no file.
    pub(super) fn count_tool(&mut self, tool: &str, has_failed: bool) {
        if !has_failed && EDITING_TOOLS.iter().any(|name| tool.eq_ignore_ascii_case(name)) {
            self.edits = self.edits.saturating_add(1);
        }
        let tool: String =
            tool.chars().filter(|character| !character.is_control()).take(TOOL_CHARS).collect();
        if tool.is_empty() || self.tools.len() >= MAX_TOOLS && !self.tools.contains_key(&tool) {
            return;
        }
        let count = self.tools.entry(tool).or_default();
        *count = count.saturating_add(1);
    }

    /// Counts a prompt; with `records_first`, its first line is stored if it is the first one.
    pub(super) fn count_prompt(&mut self, prompt: &str, records_first: bool) {
        if records_first && self.prompts == 0 {
            let first = prompt.lines().map(str::trim).find(|line| !line.is_empty());
            // A secret is masked before the line is cut.
            self.first_prompt = first.map(|line| masked(line).chars().take(PROMPT_CHARS * 4).collect());
        }
        self.prompts = self.prompts.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> AgentSession {
        AgentSession::new(Timestamp::UNIX_EPOCH, None)
    }

    #[test]
    fn everything_has_a_bound() {
        let mut session = session();
        session.add_shown(0..10_000);
        (0..10_000).for_each(|number| session.count_tool(&format!("{number}{}", "x".repeat(1000)), false));
        session.count_prompt(&"y".repeat(1_000_000), true);
        session
            .add_files(&(0..1_000).map(|number| format!("{number}{}", "z".repeat(190))).collect::<Vec<_>>());
        session.add_files(&["z".repeat(10_000)]);
        assert!(session.bytes().unwrap().len() < 32 * 1024);
        assert_eq!(AgentSession::parse(&session.bytes().unwrap()), Some(session));
        assert_eq!(AgentSession::parse(b"{"), None);
    }

    #[test]
    fn tools_that_change_files_count_as_edits() {
        let mut session = session();
        for tool in ["Read", "Write", "Bash", "apply_patch", "mcp__memory__write"] {
            session.count_tool(tool, false);
        }
        assert_eq!(session.edits, 2);
        session.count_tool("Edit", true);
        assert_eq!((session.edits, session.tools.get("Edit")), (2, Some(&1)), "it failed");
    }

    #[test]
    fn a_call_with_an_id_counts_once() {
        let mut session = session();
        assert!(
            session.is_new_call(Some(1)) && session.is_new_call(Some(2)) && !session.is_new_call(Some(1))
        );
        assert!(session.is_new_call(None) && session.is_new_call(None));
        (10..100).for_each(|call| assert!(session.is_new_call(Some(call))));
        assert_eq!(session.calls.len(), MAX_CALLS);
    }

    #[test]
    fn the_first_prompt_is_stored_only_if_it_may_be() {
        let mut session = session();
        session.count_prompt("\n  first line \nsecond", false);
        session.count_prompt("later", true);
        assert_eq!((session.first_prompt.as_deref(), session.prompts), (None, 2));
        let mut session = AgentSession::new(Timestamp::UNIX_EPOCH, None);
        session.count_prompt("\n  first line \nsecond", true);
        session.count_prompt("later", true);
        assert_eq!(session.first_prompt.as_deref(), Some("first line"));
    }

    #[test]
    fn a_bank_was_written_if_a_document_is_newer_or_the_graph_differs() {
        let at = |seconds| Timestamp::from_second(seconds).ok();
        let state = |written, graph| BankState { written, graph };
        assert!(state(at(1), None).differs(state(at(2), None), None));
        assert!(state(at(1), Some(3)).differs(state(at(1), Some(4)), None));
        assert!(!state(at(1), Some(3)).differs(state(at(1), Some(3)), None));
        assert!(!state(at(1), Some(3)).differs(state(at(1), None), None));
        assert!(state(None, None).differs(state(at(1), None), None));
        assert!(!state(at(1), None).differs(state(at(2), None), at(2)), "the hook's own record");
    }
}
