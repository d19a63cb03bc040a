//! The calls that are measured at each size, in this order: some need what those before them wrote.

use serde_json::{Value, json};

use crate::fill::{document, entity};
use crate::growth::Subject;

/// A call that is measured.
#[derive(Clone, Copy)]
pub struct Call {
    pub name: &'static str,
    pub tool: &'static str,
    /// The arguments of a round.
    pub arguments: fn(&Subject, usize) -> Value,
    /// Calls before each, whose time does not count.
    pub prepare: &'static [Prepare],
    /// The most rounds.
    pub rounds: usize,
}

/// A tool, and its arguments in a round.
type Prepare = (&'static str, fn(&Subject, usize) -> Value);

/// The rounds of calls that copy or read all of a project.
const FEW: usize = 5;

const fn call(name: &'static str, tool: &'static str, arguments: fn(&Subject, usize) -> Value) -> Call {
    Call { name, tool, arguments, prepare: &[], rounds: usize::MAX }
}

impl Call {
    const fn after(self, prepare: &'static [Prepare]) -> Self {
        Self { prepare, ..self }
    }

    const fn few(self) -> Self {
        Self { rounds: FEW, ..self }
    }
}

const THREE: Prepare = ("batch_write_files", |_, round| {
    let text = |number: usize| format!("# Notes {number}\n\n- round {round} wrote three\n");
    let file = |number: usize| json!({"filename": document(number), "content": text(number)});
    json!({"files": [file(round), file(round + 1), file(round + 2)]})
});

/// A document with an entry that is there twice. By name it is among the first, of which as many as fit are examined.
const TWICE: Prepare = ("write_memory_bank_file", |_, round| {
    let entry = format!("- the entry of round {round} is here twice\n");
    json!({"filename": format!("a/folded-{round}.md"), "content": format!("# Folded\n\n{entry}- another one\n{entry}")})
});

const LIST_BACKUPS: Prepare = ("create_backup", |_, _| json!({"listOnly": true}));

pub const CALLS: [Call; 41] = [
    call("read a document", "read_memory_bank_file", |_, round| json!({"filename": document(round)})),
    call(
        "write a document anew",
        "write_memory_bank_file",
        |_, round| json!({"filename": document(round), "content": format!("# Notes {round}\n\n- written anew\n")}),
    ),
    call(
        "make a document",
        "write_memory_bank_file",
        |_, round| json!({"filename": format!("made/made-{round}.md"), "content": format!("# Made {round}\n\n- one line\n")}),
    ),
    call(
        "rename it",
        "rename_memory_bank_file",
        |_, round| json!({"filename": format!("made/made-{round}.md"), "newFilename": format!("made/renamed-{round}.md")}),
    ),
    call(
        "delete it",
        "delete_memory_bank_file",
        |_, round| json!({"filename": format!("made/renamed-{round}.md")}),
    ),
    call(
        "track progress",
        "track_progress",
        |_, round| json!({"action": "Measured", "description": format!("round {round}")}),
    ),
    call(
        "edit a document",
        "edit_memory_bank_file",
        |_, round| json!({"filename": document(round), "edits": [{"op": "append", "heading": format!("Notes {round}"), "text": "- appended"}]}),
    ),
    call("write three documents", THREE.0, THREE.1),
    call("add a task", "update_tasks", |_, round| json!({"add": [format!("task {round}")]})),
    call(
        "log a decision",
        "log_decision",
        |_, round| json!({"title": format!("Decision {round}"), "context": "A measurement", "decision": format!("Round {round} counts")}),
    ),
    call("add a note", "add_session_note", |_, round| json!({"note": format!("round {round} was measured")})),
    call(
        "read three documents",
        "batch_read_files",
        |_, round| json!({"files": [document(round), document(round + 1), document(round + 2)]}),
    ),
    call("digest", "get_context_digest", |_, _| json!({})),
    call("bundle", "get_context_bundle", |_, _| json!({})),
    call("status", "get_memory_bank_status", |_, _| json!({})),
    call("list documents, a page", "list_memory_bank_files", |_, _| json!({})),
    call(
        "search the documents",
        "search_memory_bank",
        |subject, round| json!({"query": subject.question("search_memory_bank", round)}),
    ),
    call(
        "add an observation",
        "graph_add_observation",
        |_, round| json!({"entity": entity(1 + round % 4), "text": format!("round {round} was measured")}),
    ),
    call(
        "add one to the entity with a quarter of all",
        "graph_add_observation",
        |_, round| json!({"entity": entity(0), "text": format!("round {round} was measured")}),
    ),
    call("add an entity, a fact and a relation", "graph_batch", |_, round| {
        json!({
            "entities": [{"name": format!("measured {round}"), "entityType": "round"}],
            "observations": [{"entity": format!("measured {round}"), "text": format!("round {round} was measured")}],
            "relations": [{"from": format!("measured {round}"), "relationType": "follows", "to": entity(1)}],
        })
    }),
    call(
        "link two entities",
        "graph_link_entities",
        |_, round| json!({"from": format!("measured {round}"), "relationType": "meets", "to": entity(2)}),
    ),
    call("open an entity", "graph_open_nodes", |_, round| json!({"nodes": [entity(1 + round % 4)]})),
    call(
        "search the graph",
        "graph_search",
        |subject, round| json!({"query": subject.question("graph_search", round)}),
    ),
    call(
        "targeted context",
        "get_targeted_context",
        |subject, round| json!({"query": subject.question("search_memory_bank", round)}),
    ),
    call("history, a page", "history", |_, _| json!({})),
    call("history of a document", "history", |_, round| json!({"filename": document(round)})),
    call("who wrote each line", "history", |_, round| json!({"action": "blame", "filename": document(round)})),
    call("history of an entity", "history", |_, round| json!({"entity": entity(1 + round % 4)})),
    call("delete an entity", "graph_delete_entity", |_, round| json!({"entity": format!("measured {round}")})),
    call(
        "show a former version",
        "history",
        |_, round| json!({"action": "show", "filename": document(round), "version": 1}),
    ),
    call(
        "compare two versions",
        "history",
        |_, round| json!({"action": "diff", "filename": document(round), "version": 1, "with": 2}),
    )
    .after(&[THREE]),
    call(
        "restore a version",
        "history",
        |_, round| json!({"action": "restore", "filename": document(round), "version": 1}),
    )
    .after(&[THREE]),
    call(
        "undo changes of three documents",
        "history",
        |subject, _| json!({"action": "undo", "by": "alice", "since": subject.since()}),
    )
    .after(&[THREE]),
    call(
        "undo an observation",
        "history",
        |subject, round| json!({"action": "undo", "by": "alice", "since": subject.since(), "entity": entity(1 + round % 4)}),
    )
    .after(&[("graph_add_observation", |_, round| {
        json!({"entity": entity(1 + round % 4), "text": format!("round {round} is undone")})
    })]),
    call("count a thought", "sequential_thinking", |_, round| {
        json!({
            "thought": format!("round {round}"),
            "thoughtNumber": round + 1,
            "totalThoughts": 100,
            "nextThoughtNeeded": true,
            "sessionId": "measured",
        })
    }),
    call("finalize thoughts", "finalize_thinking_session", |_, round| {
        json!({
            "summary": format!("round {round} was thought about"),
            "sessionId": "measured",
            "nextSteps": [format!("step {round}")],
            "tasks": {"add": [format!("thought {round}")]},
        })
    }),
    call("list what can be folded", "maintain", |_, _| json!({})).few(),
    call("fold a proposal", "maintain", |subject, _| json!({"apply": [subject.named("fold_")]}))
        .after(&[TWICE, ("maintain", |_, _| json!({}))])
        .few(),
    call("create a backup", "create_backup", |_, _| json!({})).few(),
    call("list backups", LIST_BACKUPS.0, LIST_BACKUPS.1),
    call("restore a backup", "restore_backup", |subject, _| {
        let id = subject.named("memory-bank-backup-");
        json!({"backupId": id, "createPreRestoreBackup": false})
    })
    .after(&[LIST_BACKUPS])
    .few(),
];
