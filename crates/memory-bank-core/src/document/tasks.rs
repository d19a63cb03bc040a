//! The task list of active-context.md: single tasks come and go, all else in the document stays byte for byte.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::document::active_context::{Clear, TASKS};
use crate::document::list::{key, own_words, replace_items, take_items};
use crate::document::roles::is_placeholder;
use crate::document::section::{Item, Outline};
use crate::document::splice::{append_items, check_editable};
use crate::document::{CoreDocument, Removed, argument};
use crate::error::EditError;
use crate::store::Drafts;

/// Changes of the task list: arguments of `update_tasks`. An empty list means nothing of its kind. What `clear` or
/// `replace` say comes first, then `remove`, then `add`.
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
    /// Whether the list is emptied first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clear: Option<Clear>,
    /// Whether `remove` takes whole texts only. A part of a text asks what the list holds: it fits one task, several or
    /// none, and several are refused.
    #[serde(skip)]
    pub only_whole: bool,
}

impl UpdateTasks {
    /// Whether it changes anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let none = |list: &Option<Vec<String>>| {
            list.as_ref().is_none_or(|items| items.iter().all(|item| item.trim().is_empty()))
        };
        none(&self.add) && none(&self.remove) && none(&self.replace) && !self.clears()
    }

    fn clears(&self) -> bool {
        self.clear.as_ref().is_some_and(Clear::empties)
    }
}

/// The task list after [`update_tasks`], and what changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TasksUpdated {
    /// All tasks now, in the order of the document.
    pub tasks: Vec<String>,
    /// What changed.
    pub changes: TaskChanges,
    /// The tasks that were taken out.
    #[serde(skip_serializing_if = "Removed::is_empty")]
    pub removed: Removed,
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
/// A text to remove fits several tasks, an argument is too long, a section of tasks holds a merge conflict, or the
/// document would become too large.
pub fn update_tasks(drafts: &mut Drafts, asked: &UpdateTasks) -> Result<TasksUpdated, EditError> {
    let add = argument::lines("add", asked.add.as_deref().unwrap_or_default())?;
    let remove = argument::lines("remove", asked.remove.as_deref().unwrap_or_default())?;
    let replace = argument::lines("replace", asked.replace.as_deref().unwrap_or_default())?;
    if let Some(Clear::Lists(lists)) = &asked.clear
        && let Some(unknown) = lists.iter().find(|list| *list != "tasks")
    {
        return Err(EditError::Refused(format!("`clear`: there is no list `{unknown}`; give true")));
    }
    let replaced = !replace.is_empty() || asked.clears();
    let mut changes = TaskChanges { replaced, ..TaskChanges::default() };
    let mut tasks = Vec::new();
    let mut removed = Removed::default();
    CoreDocument::ActiveContext.rewrite(drafts, |text| {
        let new = if replaced {
            let wanted: Vec<String> = replace.iter().chain(&add).cloned().collect();
            let edited = replace_items(text, &TASKS, &wanted)?;
            changes.added = edited.added;
            removed = edited.removed;
            edited.text
        } else {
            let (rest, taken) = if remove.is_empty() {
                (text.to_owned(), Removed::default())
            } else {
                remove_tasks(text, &remove, asked.only_whole)?
            };
            let (new, added) = add_tasks(&rest, &TASKS, &add)?;
            changes.added = added;
            removed = taken;
            new
        };
        changes.removed = removed.count();
        tasks = list(&new, &TASKS);
        Ok(new)
    })?;
    Ok(TasksUpdated { tasks, changes, removed })
}

/// The items of the sections with these titles, in the order of the document. One that two lists have is given once.
pub(super) fn list(text: &str, titles: &[&str]) -> Vec<String> {
    let outline = Outline::of(text);
    let mut seen = BTreeSet::new();
    outline
        .items_below(titles)
        .into_iter()
        .map(|item| item.text.clone())
        .filter(|text| !is_placeholder(text) && seen.insert(key(text)))
        .collect()
}

/// Appends the items that the sections with these titles do not have yet; says how many those were.
///
/// # Errors
/// The section holds a merge conflict, or an item would not be seen.
pub(super) fn add_tasks(text: &str, titles: &[&str], add: &[String]) -> Result<(String, usize), EditError> {
    let mut known: BTreeSet<String> = list(text, titles).iter().map(|task| key(task)).collect();
    let new: Vec<String> = add.iter().filter(|task| known.insert(key(task))).cloned().collect();
    Ok((append_items(text, titles, &new)?, new.len()))
}

fn remove_tasks(text: &str, remove: &[String], only_whole: bool) -> Result<(String, Removed), EditError> {
    let outline = Outline::of(text);
    for section in outline.find_all(&TASKS) {
        check_editable(&outline, &section)?;
    }
    let tasks = outline.items_below(&TASKS);
    let whole = Keys::of(tasks.iter().map(|task| key(&task.text)));
    let own = Keys::of(tasks.iter().map(|task| key(&own_words(&outline, task))));
    // Whether the lines below a task that are not indented were named, too.
    let mut doomed: BTreeMap<usize, bool> = BTreeMap::new();
    for wanted in remove.iter().filter(|wanted| !key(wanted).is_empty()) {
        let mut found = whole.equal(wanted);
        let named = !found.is_empty();
        if found.is_empty() {
            found = own.equal(wanted);
        }
        if found.is_empty() && !only_whole {
            found = whole.containing(wanted);
            if found.len() > 1 {
                return Err(ambiguous(wanted, &tasks, &found));
            }
        }
        for index in found {
            *doomed.entry(index).or_default() |= named;
        }
    }
    let doomed: Vec<(&Item, bool)> =
        doomed.iter().filter_map(|(index, whole)| Some((*tasks.get(*index)?, *whole))).collect();
    take_items(&outline, &doomed)
}

/// The keys of all tasks in one text, a line each, so that one pass over it answers a question about all of them.
struct Keys {
    lines: String,
    /// Where each line begins.
    starts: Vec<usize>,
}

impl Keys {
    fn of(tasks: impl Iterator<Item = String>) -> Self {
        let mut keys = Self { lines: "\n".to_owned(), starts: Vec::new() };
        for task in tasks {
            keys.starts.push(keys.lines.len());
            keys.lines.push_str(&task);
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
