//! The task list: single tasks are added and removed, everything else in the documents stays byte for byte.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::document::active_context::Clear;
use crate::document::carriage_returns::with_line_feeds;
use crate::document::known_section::KnownSection;
use crate::document::list::{add_items, key, own_words, replace_items, take_items};
use crate::document::roles::is_cjk;
use crate::document::section::{Item, Outline};
use crate::document::section_items::{items, items_of};
use crate::document::splice::check_editable;
use crate::document::suggestions::NotFound;
use crate::document::{CoreDocument, DocumentPath, Removed, argument, notes};
use crate::error::EditError;
use crate::store::Drafts;
use crate::unicode::{is_alphabetic, is_alphanumeric};

/// Changes of the task list: arguments of `update_tasks`. An empty list changes nothing. The order is `clear` or
/// `replace`, then `remove`, then `add`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdateTasks {
    /// Tasks to add at the end, unless they exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub add: Option<Vec<String>>,
    /// Tasks to remove: the whole text, or words of it that only one task has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remove: Option<Vec<String>>,
    /// The whole list, in this order, before `remove` and `add`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replace: Option<Vec<String>>,
    /// Notes and issues to resolve: the whole text of each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolve: Option<Vec<String>>,
    /// Whether the list is emptied first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clear: Option<Clear>,
    /// Whether `remove` accepts whole texts only. For callers without the right to read: whether a part of a text
    /// matches would reveal the list.
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
        let lists = [&self.add, &self.remove, &self.replace, &self.resolve];
        lists.into_iter().all(none) && !self.clears()
    }

    /// The documents that the edit needs.
    #[must_use]
    pub fn paths() -> Vec<DocumentPath> {
        TASK_DOCUMENTS.into_iter().flat_map(CoreDocument::paths).collect()
    }

    fn clears(&self) -> bool {
        self.clear.as_ref().is_some_and(Clear::empties)
    }
}

/// The task list after [`update_tasks`], and what changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TasksUpdated {
    /// All tasks now, in the order of the documents.
    pub tasks: Vec<String>,
    /// The changes.
    pub changes: TaskChanges,
    /// The removed tasks.
    #[serde(skip_serializing_if = "Removed::is_empty")]
    pub removed: Removed,
    /// The texts of `remove` that match no task.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_found: Vec<NotFound>,
    /// The notes and issues that were marked as resolved.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resolved: Vec<String>,
}

/// How many tasks were added and removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskChanges {
    /// The number of new tasks.
    pub added: usize,
    /// The number of removed tasks.
    pub removed: usize,
    /// Whether the list was replaced as a whole.
    pub replaced: bool,
}

/// Edits the task list. All sections of tasks form one list; a new section is created only if there is none.
///
/// # Errors
/// A text to remove matches several tasks, a text to resolve matches none or several notes, an argument is too long
/// or a placeholder, a section of tasks has a merge conflict, or a document would become too large.
pub fn update_tasks(
    drafts: &mut Drafts,
    request: &UpdateTasks,
    at: Timestamp,
) -> Result<TasksUpdated, EditError> {
    let add = argument::items("add", request.add.as_deref().unwrap_or_default())?;
    let remove = argument::lines("remove", request.remove.as_deref().unwrap_or_default())?;
    let replace = argument::items("replace", request.replace.as_deref().unwrap_or_default())?;
    let resolve = argument::lines("resolve", request.resolve.as_deref().unwrap_or_default())?;
    if let Some(Clear::Lists(lists)) = &request.clear
        && let Some(unknown) = lists.iter().find(|list| *list != "tasks")
    {
        return Err(EditError::Refused(format!("`clear`: there is no list `{unknown}`; give true")));
    }
    let replaced = !replace.is_empty() || request.clears();
    let mut changes = TaskChanges { replaced, ..TaskChanges::default() };
    let before = tasks(drafts);
    let mut removed = Removed::default();
    let mut not_found_texts = Vec::new();
    if replaced {
        let mut new_tasks = replace;
        for text in &remove {
            let found = Keys::of(new_tasks.iter().map(|task| key(task))).find(text, false, &new_tasks)?;
            if found.is_empty() && !before.iter().any(|task| key(task) == key(text)) {
                not_found_texts.push(text.clone());
            }
            let mut index = 0;
            new_tasks.retain(|_| {
                index += 1;
                !found.contains(&(index - 1))
            });
        }
        new_tasks.extend(add);
        KnownSection::Tasks.home(drafts).rewrite(drafts, |text| {
            let edited = replace_items(text, KnownSection::Tasks, &new_tasks)?;
            changes.added = edited.added;
            removed = edited.removed;
            Ok(edited.text)
        })?;
    } else {
        if !remove.is_empty() {
            (removed, not_found_texts) = remove_tasks(drafts, &remove, request.only_whole)?;
        }
        if !add.is_empty() {
            changes.added = add_tasks(drafts, KnownSection::Tasks, &add)?;
        }
    }
    changes.removed = removed.count();
    let not_found =
        not_found_texts.iter().enumerate().map(|(index, text)| NotFound::of(index, text, &before));
    let not_found = not_found.collect();
    let resolved = notes::resolve(drafts, &resolve, at)?;
    Ok(TasksUpdated { tasks: tasks(drafts), changes, removed, not_found, resolved })
}

/// The documents that hold tasks, in the order in which they are listed.
const TASK_DOCUMENTS: [CoreDocument; 2] = [CoreDocument::ActiveContext, CoreDocument::Progress];

/// All tasks, without duplicates.
fn tasks(drafts: &Drafts) -> Vec<String> {
    let mut seen = BTreeSet::new();
    TASK_DOCUMENTS
        .iter()
        .filter_map(|document| document.text(drafts))
        .flat_map(|text| items(text, KnownSection::Tasks))
        .filter(|task| seen.insert(key(task)))
        .collect()
}

/// Appends the items that no list of this kind has; returns their number.
///
/// # Errors
/// The section has a merge conflict, or an item would not be visible.
pub(super) fn add_tasks(
    drafts: &mut Drafts,
    known: KnownSection,
    add: &[String],
) -> Result<usize, EditError> {
    let mut present: BTreeSet<String> = TASK_DOCUMENTS
        .iter()
        .filter_map(|document| document.text(drafts))
        .flat_map(|text| items(text, known))
        .map(|item| key(&item))
        .collect();
    let new: Vec<String> = add.iter().filter(|item| present.insert(key(item))).cloned().collect();
    known.home(drafts).rewrite(drafts, |text| add_items(text, known, &new))?;
    Ok(new.len())
}

/// Removes tasks from all documents. Returns the removed ones, and the texts that match no task.
fn remove_tasks(
    drafts: &mut Drafts,
    remove: &[String],
    only_whole: bool,
) -> Result<(Removed, Vec<String>), EditError> {
    let home = KnownSection::Tasks.home(drafts);
    let texts: Vec<(CoreDocument, Cow<'_, str>)> = TASK_DOCUMENTS
        .iter()
        .filter_map(|document| Some((*document, with_line_feeds(document.text(drafts)?))))
        .collect();
    let outlines: Vec<(CoreDocument, Outline<'_>)> =
        texts.iter().map(|(document, text)| (*document, Outline::of(text))).collect();
    let mut candidates: Vec<(CoreDocument, &Outline<'_>, &Item)> = Vec::new();
    for (document, outline) in &outlines {
        if *document == home {
            check_tasks(outline).map_err(|error| document.named_in(error, drafts))?;
        }
        candidates.extend(
            items_of(outline, KnownSection::Tasks).into_iter().map(|item| (*document, outline, item)),
        );
    }
    let (to_remove, not_found_texts) = named_tasks(&candidates, remove, only_whole)?;
    let mut removed = Removed::default();
    let mut changed = Vec::new();
    for (document, outline) in &outlines {
        let here: Vec<(&Item, bool)> = to_remove
            .iter()
            .filter_map(|(index, whole)| Some((candidates.get(*index)?, *whole)))
            .filter(|((holder, _, _), _)| holder == document)
            .map(|((_, _, item), whole)| (*item, whole))
            .collect();
        if here.is_empty() {
            continue;
        }
        check_tasks(outline).map_err(|error| document.named_in(error, drafts))?;
        let (new, taken) = take_items(outline, &here).map_err(|error| document.named_in(error, drafts))?;
        removed.extend(&taken);
        changed.push((*document, new));
    }
    for (document, new) in changed {
        document.rewrite(drafts, |_| Ok(new))?;
    }
    Ok((removed, not_found_texts))
}

/// The tasks that these texts name, by their index, and whether the lines below each that are not indented were named,
/// too; and the texts that name none.
fn named_tasks(
    candidates: &[(CoreDocument, &Outline<'_>, &Item)],
    remove: &[String],
    only_whole: bool,
) -> Result<(BTreeMap<usize, bool>, Vec<String>), EditError> {
    let texts: Vec<String> = candidates.iter().map(|(_, _, item)| item.text.to_string()).collect();
    let whole = Keys::of(texts.iter().map(|task| key(task)));
    let own = Keys::of(candidates.iter().map(|(_, outline, item)| key(&own_words(outline, item))));
    let mut named: BTreeMap<usize, bool> = BTreeMap::new();
    let mut not_found = Vec::new();
    for task in remove.iter().filter(|task| !key(task).is_empty()) {
        let mut found = whole.equal(task);
        let with_lines_below = !found.is_empty();
        if found.is_empty() {
            found = own.equal(task);
        }
        if found.is_empty() {
            found = whole.find(task, only_whole, &texts)?;
        }
        if found.is_empty() {
            not_found.push(task.clone());
        }
        for index in found {
            *named.entry(index).or_default() |= with_lines_below;
        }
    }
    Ok((named, not_found))
}

/// Refuses if a section of tasks has a merge conflict.
fn check_tasks(outline: &Outline<'_>) -> Result<(), EditError> {
    let sections =
        KnownSection::Tasks.find_all(outline).into_iter().filter_map(|index| outline.section(index));
    sections.into_iter().try_for_each(|section| check_editable(outline, &section))
}

/// The keys of all tasks in one text, one per line, so that one search covers all of them.
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

    /// The tasks equal to this one.
    fn equal(&self, task: &str) -> BTreeSet<usize> {
        let line = format!("{}\n", key(task));
        let whole = |at: &usize| self.starts.binary_search(at).is_ok();
        self.tasks_at(self.lines.match_indices(&line).map(|(at, _)| at).filter(whole))
    }

    /// The tasks that contain this text.
    fn containing(&self, task: &str) -> BTreeSet<usize> {
        self.tasks_at(self.lines.match_indices(&key(task)).map(|(at, _)| at))
    }

    /// The task equal to this one, else the only one that contains this text, if it names the task clearly.
    fn find(&self, task: &str, only_whole: bool, tasks: &[String]) -> Result<BTreeSet<usize>, EditError> {
        let mut found = self.equal(task);
        if found.is_empty() && !only_whole && !key(task).is_empty() {
            found = self.containing(task);
            if found.len() > 1 {
                return Err(ambiguous(task, tasks, &found));
            }
            let part = key(task);
            found.retain(|index| tasks.get(*index).is_some_and(|task| names_clearly(&part, &key(task))));
        }
        Ok(found)
    }

    fn tasks_at(&self, offsets: impl Iterator<Item = usize>) -> BTreeSet<usize> {
        offsets.filter_map(|at| self.starts.partition_point(|start| *start <= at).checked_sub(1)).collect()
    }
}

/// Whether a part of a task names it clearly: whole words, more than a short word or a number, and a large part of
/// the task. A typing mistake must not remove a task that was not named.
fn names_clearly(part: &str, task: &str) -> bool {
    const LONG: usize = 12;
    let is_whole_words = |at: usize| {
        let before = task.get(..at).and_then(|text| text.chars().next_back());
        let after = task.get(at + part.len()..).and_then(|text| text.chars().next());
        let cuts = |left: Option<char>, right: Option<char>| {
            let (Some(left), Some(right)) = (left, right) else { return false };
            let goes_on = |character: char| is_alphanumeric(character) || character == '_';
            goes_on(left) && goes_on(right) && !is_cjk(left) && !is_cjk(right)
        };
        !cuts(before, part.chars().next()) && !cuts(part.chars().next_back(), after)
    };
    if !task.match_indices(part).any(|(at, _)| is_whole_words(at)) {
        return false;
    }
    let given = words(part);
    let is_number = |word: &&str| !word.chars().any(is_alphabetic);
    let is_long = |word: &&str| word.chars().filter(|character| is_alphabetic(*character)).count() >= 4;
    let is_name = (given.len() >= 2 && !given.iter().all(is_number)) || given.iter().any(is_long);
    let is_much = given.len() * 3 >= words(task).len()
        || part.chars().filter(|character| is_alphanumeric(*character)).count() >= LONG;
    is_name && is_much
}

/// The words of a text; in scripts without blanks, each character is a word.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    for run in text
        .split(|character: char| !is_alphanumeric(character) && character != '_')
        .filter(|run| !run.is_empty())
    {
        let mut start = 0;
        for (at, character) in run.char_indices().filter(|(_, character)| is_cjk(*character)) {
            let end = at + character.len_utf8();
            words.extend([run.get(start..at), run.get(at..end)].into_iter().flatten());
            start = end;
        }
        words.extend(run.get(start..));
    }
    words.retain(|word| !word.is_empty());
    words
}

fn ambiguous(task: &str, tasks: &[String], found: &BTreeSet<usize>) -> EditError {
    let mut names: Vec<String> =
        found.iter().filter_map(|index| tasks.get(*index)).take(5).map(|task| format!("`{task}`")).collect();
    if found.len() > names.len() {
        names.push("…".to_owned());
    }
    EditError::Refused(format!(
        "`remove`: `{task}` fits {} tasks ({}); give the whole text of one",
        found.len(),
        names.join(", ")
    ))
}
