//! What every store must do, said against the store traits only. A store's crate runs it with
//! [`contract_tests!`](crate::contract_tests), giving a function that makes a fresh [`Project`].
//!
//! It must not know of any store: no path, no file, no table.

pub mod archives;
pub mod backups;
pub mod digests;
pub mod documents;
pub mod graph;
pub mod state;

use parking_lot::Mutex;
use std::any::Any;
use std::sync::Arc;

use memory_bank_core::caller::{Caller, ProjectId};
use memory_bank_core::document::DocumentPath;
use memory_bank_core::store::{
    Bank, Change, ChangeSink, DocumentStore, Drafts, ReadOutcome, StateStore, Workspace,
};

/// An empty project (no document, no graph), reached in two ways that share nothing but the storage: as two processes
/// on one folder, or two replicas on one database.
pub struct Project {
    /// Who asks.
    pub caller: Caller,
    /// The first way in.
    pub workspace: Arc<dyn Workspace>,
    /// The bank, reached the first way.
    pub bank: Arc<dyn Bank>,
    /// The same bank, reached the second way.
    pub other: Arc<dyn Bank>,
    /// The state of callers.
    pub state: Arc<dyn StateStore>,
    /// The changes that the first bank reported.
    pub told: Arc<Told>,
    /// Resources that must live as long as the project.
    pub keep: Box<dyn Any + Send + Sync>,
}

/// Records the changes that it is notified of.
#[derive(Debug, Default)]
pub struct Told(Mutex<Vec<Change>>);

impl ChangeSink for Told {
    fn changed(&self, _project: ProjectId, change: Change) {
        self.0.lock().push(change);
    }
}

impl Told {
    /// The changes since the last call.
    pub fn take(&self) -> Vec<Change> {
        std::mem::take(&mut self.0.lock())
    }
}

/// Parses a name.
#[must_use]
pub fn path(name: &str) -> DocumentPath {
    DocumentPath::parse(name).unwrap()
}

impl Project {
    /// Writes a document.
    pub async fn write(&self, name: &str, text: &str) -> memory_bank_core::store::DocumentChange {
        let name = path(name);
        let mut editor = |drafts: &mut Drafts| drafts.set(&name, text.to_owned());
        self.bank.edit(&self.caller, std::slice::from_ref(&name), &mut editor).await.unwrap().remove(0)
    }

    /// The text of a document, if there is one.
    pub async fn text(&self, name: &str) -> Option<String> {
        text(self.bank.as_ref(), &self.caller, name).await
    }
}

/// The text of a document, if there is one.
pub async fn text(bank: &dyn Bank, caller: &Caller, name: &str) -> Option<String> {
    match DocumentStore::read(bank, caller, &[path(name)]).await.unwrap().remove(0) {
        ReadOutcome::Found(document) => Some(document.content),
        ReadOutcome::Missing => None,
        other => panic!("{other:?}"),
    }
}

/// Runs the whole suite; `$fresh` is an async function that makes a fresh [`Project`].
#[macro_export]
macro_rules! contract_tests {
    ($fresh:path) => {
        $crate::contract_tests!(@module $fresh, digests: a_bank_of_any_layout_has_its_digest_in_the_store);
        $crate::contract_tests!(@module $fresh, documents:
            names_are_listed_sorted, reading_keeps_the_order_asked_for,
            one_name_serves_reading_and_writing, an_edit_that_fails_writes_nothing,
            an_edit_of_several_documents_is_seen_as_a_whole, an_edit_says_what_it_did_in_the_order_asked_for,
            a_document_is_deleted_and_renamed, two_names_of_one_document_are_not_set_apart,
            ten_appends_at_once_all_stay, of_ten_writes_with_one_etag_exactly_one_wins,
            two_instances_lose_no_entry, a_document_over_the_bound_is_refused,
            the_text_of_an_earlier_etag_is_still_known, each_change_is_told_once,
            hostile_but_valid_names_are_kept, an_edit_touches_only_the_documents_it_names,
            an_edit_of_a_list_keeps_all_that_is_no_item, a_list_is_edited_where_the_bank_has_it,
            a_note_is_resolved_where_it_stands, an_edit_finds_a_core_document_under_its_name_in_camel_case,
            a_document_in_a_folder_is_a_document,
            a_document_in_a_folder_is_found_by_search, two_compositions_of_a_name_mean_one_document,
            a_name_that_another_system_cannot_hold_is_not_made,
            names_that_differ_by_case_alone_are_not_made_side_by_side);
        $crate::contract_tests!(@module $fresh, graph:
            attributes_are_merged, a_part_of_a_name_is_no_name,
            a_name_is_one_entity_in_any_case_and_composition, both_instances_see_one_graph,
            thirty_first_upserts_all_succeed, links_are_made_once_and_taken_away,
            deleting_an_entity_takes_its_facts_and_links, one_fact_is_stored_once,
            a_fact_given_again_is_the_one_that_was_there, a_given_time_keeps_both_and_a_deleted_fact_comes_anew,
            of_many_that_add_one_fact_at_once_one_adds_it, a_pointer_given_again_changes_nothing,
             a_batch_is_carried_out_whole_and_only_once, a_batch_that_cannot_be_carried_out_changes_nothing,
             of_batches_at_once_each_thing_is_made_once, a_fact_is_signed_by_the_first_who_gives_it,
             compaction_keeps_the_state, an_empty_graph_has_no_summary,
             a_summary_names_what_is_connected_and_what_was_touched_last, ids_follow_the_vectors,
             what_is_opened_is_loaded_within_its_bytes_the_nearest_and_newest_first);
        $crate::contract_tests!(@module $fresh, archives:
            a_full_log_goes_on_and_loses_nothing, a_full_log_without_entries_is_refused_and_nothing_changes,
            archives_of_many_months_hold_each_entry_once, the_last_archive_is_found_whatever_its_number,
            many_writers_at_the_bound_lose_nothing, a_full_bank_says_so,
            an_editor_that_goes_on_asking_is_ended);
        $crate::contract_tests!(@module $fresh, backups:
            a_backup_brings_documents_and_graph_back, the_id_that_was_given_is_listed_and_restores,
            newer_documents_stay_and_are_reported, documents_in_folders_are_brought_back, a_safety_copy_is_made_first,
            an_unknown_or_malformed_id_changes_nothing, two_backups_at_once_have_two_ids);
        $crate::contract_tests!(@module $fresh, state:
            state_is_kept_for_each_user_and_project, updates_at_once_all_count);
    };
    (@module $fresh:path, $module:ident: $($name:ident),+ $(,)?) => {
        mod $module {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    $crate::$module::$name($fresh().await).await;
                }
            )+
        }
    };
}
