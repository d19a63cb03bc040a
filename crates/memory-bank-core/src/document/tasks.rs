//! The task list of active-context.md: single tasks come and go, all else in the document stays byte for byte.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::document::active_context::TASKS;
use crate::document::section::{Item, Outline};
use crate::document::splice::{Gap, append_items, bullet, insert_lines, remove_items};
use crate::document::{CoreDocument, argument};
use crate::error::EditError;
use crate::store::Drafts;

/// Changes of the task list: arguments of `update_tasks`. `replace` wins over the others; otherwise `remove` comes first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdateTasks {
    /// Tasks to add at the end, unless they are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub add: Option<Vec<String>>,
    /// Tasks to take out: the whole text, or a part that only one task has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remove: Option<Vec<String>>,
    /// The whole list, in this order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replace: Option<Vec<String>>,
}

/// The task list after [`update_tasks`], and what changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TasksUpdated {
    /// All tasks now, in the order of the document.
    pub tasks: Vec<String>,
    /// What changed.
    pub changes: TaskChanges,
}

/// How many tasks came and went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskChanges {
    /// Tasks that were not there before.
    pub added: usize,
    /// Tasks that are gone.
    pub removed: usize,
    /// Whether the list was replaced as a whole.
    pub replaced: bool,
}

/// Edits the task list. It is one list, whatever its section is called; a new section is made only when there is none.
///
/// # Errors
/// A text to remove fits several tasks, an argument is too long, or the document would become too large.
pub fn update_tasks(drafts: &mut Drafts, asked: &UpdateTasks) -> Result<TasksUpdated, EditError> {
    let add = argument::lines("add", asked.add.as_deref().unwrap_or_default())?;
    let remove = argument::lines("remove", asked.remove.as_deref().unwrap_or_default())?;
    let replace = asked.replace.as_deref().map(|tasks| argument::lines("replace", tasks)).transpose()?;
    let mut changes = TaskChanges { replaced: replace.is_some(), ..TaskChanges::default() };
    let mut tasks = Vec::new();
    CoreDocument::ActiveContext.rewrite(drafts, |text| {
        let new = match &replace {
            Some(wanted) => replace_tasks(text, wanted, &mut changes),
            None => {
                let (rest, removed) = remove_tasks(text, &remove)?;
                let (new, added) = add_tasks(&rest, &TASKS, &add);
                changes.removed = removed;
                changes.added = added;
                new
            }
        };
        tasks = list(&new, &TASKS);
        Ok(new)
    })?;
    Ok(TasksUpdated { tasks, changes })
}

/// The items of the sections with these titles, in the order of the document. One that two lists have is given once.
pub(super) fn list(text: &str, titles: &[&str]) -> Vec<String> {
    let outline = Outline::of(text);
    let mut seen = BTreeSet::new();
    outline
        .items_below(titles)
        .into_iter()
        .map(|item| item.text.clone())
        .filter(|text| !text.is_empty() && seen.insert(key(text)))
        .collect()
}

/// Appends the items that the sections with these titles do not have yet; says how many those were.
pub(super) fn add_tasks(text: &str, titles: &[&str], add: &[String]) -> (String, usize) {
    let mut known: BTreeSet<String> = list(text, titles).iter().map(|task| key(task)).collect();
    let new: Vec<String> = add.iter().filter(|task| known.insert(key(task))).cloned().collect();
    (append_items(text, titles, &new), new.len())
}

fn remove_tasks(text: &str, remove: &[String]) -> Result<(String, usize), EditError> {
    let outline = Outline::of(text);
    let tasks = outline.items_below(&TASKS);
    let keys = Keys::of(&tasks);
    let mut doomed: BTreeSet<usize> = BTreeSet::new();
    for wanted in remove.iter().filter(|wanted| !key(wanted).is_empty()) {
        let mut found = keys.equal(wanted);
        if found.is_empty() {
            found = keys.containing(wanted);
            if found.len() > 1 {
                return Err(ambiguous(wanted, &tasks, &found));
            }
        }
        doomed.extend(found);
    }
    let removed: Vec<&Item> = doomed.iter().filter_map(|index| tasks.get(*index).copied()).collect();
    Ok((remove_items(text, &outline, &removed), removed.len()))
}

/// The keys of all tasks in one text, a line each, so that one pass over it answers a question about all of them.
struct Keys {
    lines: String,
    /// Where each line begins.
    starts: Vec<usize>,
}

impl Keys {
    fn of(tasks: &[&Item]) -> Self {
        let mut keys = Self { lines: "\n".to_owned(), starts: Vec::with_capacity(tasks.len()) };
        for task in tasks {
            keys.starts.push(keys.lines.len());
            keys.lines.push_str(&key(&task.text));
            keys.lines.push('\n');
        }
        keys
    }

    /// The tasks that are the same as this one.
    fn equal(&self, wanted: &str) -> BTreeSet<usize> {
        let line = format!("{}\n", key(wanted));
        let whole = |at: &usize| self.starts.binary_search(at).is_ok();
        self.tasks_at(self.lines.match_indices(&line).map(|(at, _)| at).filter(whole))
    }

    /// The tasks in which this text stands.
    fn containing(&self, wanted: &str) -> BTreeSet<usize> {
        self.tasks_at(self.lines.match_indices(&key(wanted)).map(|(at, _)| at))
    }

    fn tasks_at(&self, offsets: impl Iterator<Item = usize>) -> BTreeSet<usize> {
        offsets.filter_map(|at| self.starts.partition_point(|start| *start <= at).checked_sub(1)).collect()
    }
}

/// Tasks that stay keep their bytes, nested lines included; prose between the tasks stays where it is.
fn replace_tasks(text: &str, wanted: &[String], changes: &mut TaskChanges) -> String {
    let outline = Outline::of(text);
    let present: Vec<&Item> =
        outline.items_below(&TASKS).into_iter().filter(|item| item.depth == 0).collect();
    let keys = Keys::of(&present);
    let mut kept: Vec<&Item> = Vec::new();
    let mut lines: Vec<String> = Vec::new();
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for task in wanted.iter().filter(|task| seen.insert(key(task))) {
        match keys.equal(task).first().and_then(|index| present.get(*index)) {
            Some(item) => {
                kept.push(item);
                lines.push(outline.slice(&item.range).trim_end_matches(['\r', '\n']).to_owned());
            }
            None => {
                changes.added += 1;
                lines.push(bullet(task));
            }
        }
    }
    changes.removed = present.len() - kept.len();
    if changes.added == 0 && changes.removed == 0 && kept == present {
        return text.to_owned();
    }
    let emptied = remove_items(text, &outline, &present);
    if lines.is_empty() {
        return emptied;
    }
    match present.first() {
        // What is taken out lies at or behind this offset, so it still names the same place.
        Some(first) => insert_lines(&emptied, first.range.start, &lines.join("\n"), Gap::None, Gap::Blank),
        None => append_items(&emptied, &TASKS, wanted),
    }
}

fn ambiguous(wanted: &str, tasks: &[&Item], found: &BTreeSet<usize>) -> EditError {
    let mut names: Vec<String> = found
        .iter()
        .filter_map(|index| tasks.get(*index))
        .take(5)
        .map(|task| format!("`{}`", task.text))
        .collect();
    if found.len() > names.len() {
        names.push("…".to_owned());
    }
    EditError::Refused(format!(
        "`remove`: `{wanted}` fits {} tasks ({}); give the whole text of one",
        found.len(),
        names.join(", ")
    ))
}

/// By what two tasks are the same: case and a check box do not count.
fn key(task: &str) -> String {
    let task = task.trim();
    let unboxed = ["[ ]", "[x]", "[X]"].iter().find_map(|mark| task.strip_prefix(mark)).unwrap_or(task);
    unboxed.trim().to_lowercase()
}
