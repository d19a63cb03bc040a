//! The requirements of every store, tested through the store traits only. A store's crate runs them with
//! [`contract_tests!`](crate::contract_tests), giving a function that makes a fresh [`Project`].
//!
//! It must not know of any store: no path, no file, no table.

pub mod archives;
pub mod backups;
pub mod digests;
pub mod documents;
pub mod facts;
pub mod facts_random;
pub mod graph;
pub mod graph_history;
pub mod history;
pub mod history_names;
pub mod maintenance;
pub mod past;
pub mod state;
pub mod undo;
pub mod undo_at_once;
pub mod undo_graph;
pub mod undo_previews;
pub mod undo_restores;
pub mod undo_sequences;

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
    /// The caller.
    pub caller: Caller,
    /// An editor of the same project.
    pub colleague: Caller,
    /// The first way in.
    pub workspace: Arc<dyn Workspace>,
    /// The bank, reached the first way.
    pub bank: Arc<dyn Bank>,
    /// The bank, reached the second way.
    pub other: Arc<dyn Bank>,
    /// The state of callers.
    pub state: Arc<dyn StateStore>,
    /// The changes that the first bank reported.
    pub changes: Arc<RecordedChanges>,
    /// Resources that must live as long as the project.
    pub keep: Box<dyn Any + Send + Sync>,
}

/// Records the changes that it is notified of.
#[derive(Debug, Default)]
pub struct RecordedChanges(Mutex<Vec<Change>>);

impl ChangeSink for RecordedChanges {
    fn changed(&self, _project: ProjectId, change: Change) {
        self.0.lock().push(change);
    }
}

impl RecordedChanges {
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
        // Its folder is there under another spelling.
        ReadOutcome::Unreadable(reason) if IGNORES_CASE && reason.contains("in another letter case") => None,
        other => panic!("{other:?}"),
    }
}

/// Whether the system's file systems take names that differ by case for one. The contract is the same for a database here.
pub const IGNORES_CASE: bool = cfg!(any(windows, target_os = "macos"));

/// Runs the whole suite; `$fresh` is an async function that makes a fresh [`Project`].
#[macro_export]
macro_rules! contract_tests {
    ($fresh:path) => {
        $crate::contract_tests!(@module $fresh, digests: a_bank_of_any_layout_has_a_digest);
        $crate::contract_tests!(@module $fresh, documents:
            names_are_listed_sorted, reading_keeps_the_requested_order,
            reading_and_writing_use_the_same_canonical_name, an_edit_that_fails_writes_nothing,
            an_edit_of_several_documents_is_atomic, an_edit_reports_its_changes_in_the_requested_order,
            a_document_is_deleted_and_renamed, two_names_of_one_document_are_one_document,
            ten_concurrent_appends_are_all_kept, of_ten_writes_with_one_etag_exactly_one_succeeds,
            two_instances_lose_no_entry, a_document_over_the_bound_is_refused,
            the_text_of_an_earlier_etag_is_still_available, each_change_is_notified_once,
            unusual_valid_names_are_kept, an_edit_changes_only_the_documents_that_it_names,
            an_edit_of_a_list_keeps_all_other_text, a_list_is_edited_in_the_document_that_contains_it,
            a_note_is_resolved_in_place, an_edit_finds_a_core_document_by_its_camel_case_name,
            a_document_in_a_folder_is_a_document,
            a_document_in_a_folder_is_found_by_search, unicode_normal_forms_of_a_name_are_one_document,
            a_name_that_other_systems_do_not_allow_is_not_created,
            names_that_differ_only_by_case_are_not_created_together);
        $crate::contract_tests!(@module $fresh, graph:
            attributes_are_merged, a_part_of_a_name_matches_nothing,
            an_entity_name_matches_in_any_case_and_normal_form, both_instances_see_one_graph,
            thirty_first_upserts_all_succeed, links_are_created_once_and_removed,
            deleting_an_entity_deletes_its_facts_and_links, one_fact_is_stored_once,
            a_repeated_fact_is_the_existing_one, facts_with_timestamps_are_kept_apart_and_a_deleted_fact_can_be_added_again,
            of_many_concurrent_additions_of_a_fact_one_adds_it, a_repeated_pointer_changes_nothing,
             a_batch_is_applied_completely_and_only_once, a_batch_with_an_invalid_item_changes_nothing,
             concurrent_batches_create_each_item_once, a_fact_is_signed_by_its_first_author,
             compaction_keeps_the_state, an_empty_graph_has_no_summary,
             a_summary_lists_the_most_connected_and_the_latest_entities, ids_follow_the_vectors,
             opened_nodes_are_loaded_within_the_byte_limit_nearest_and_newest_first);
        $crate::contract_tests!(@module $fresh, facts:
            a_fact_that_ends_is_left_out_and_stays_in_the_graph,
            a_fact_is_replaced_by_id_or_text_and_holds_again_without_its_successor,
            a_fact_stays_replaced_if_the_one_between_is_deleted, words_of_an_ended_fact_find_nothing,
            other_bounds_replace_the_former_ones_also_if_they_begin_later,
            other_bounds_of_a_repeated_fact_replace_it, a_view_of_the_past_shows_what_was_known_then,
            similar_facts_that_hold_are_named, a_batch_replaces_facts_of_its_own_and_existing_ones,
            of_concurrent_successors_each_is_stored, history_and_restore_keep_bounds, a_backup_keeps_bounds,
            times_of_years_that_cannot_be_kept_are_refused);
        $crate::contract_tests!(@module $fresh, facts_random: views_of_random_facts_follow_the_rule);
        $crate::contract_tests!(@module $fresh, past:
            documents_read_back_as_they_were_after_each_change, a_renamed_document_is_found_by_both_names,
            an_erased_history_does_not_reach_back);
        $crate::contract_tests!(@module $fresh, archives:
            a_full_log_is_archived_and_loses_nothing, a_full_log_without_entries_is_refused_and_nothing_changes,
            archives_of_many_months_contain_each_entry_once, the_last_archive_is_found_at_any_number,
            concurrent_writers_at_the_bound_lose_nothing, a_full_bank_reports_that_it_is_full,
            an_edit_that_keeps_requesting_archives_is_stopped);
        $crate::contract_tests!(@module $fresh, backups:
            a_backup_restores_documents_and_graph, the_returned_backup_id_is_listed_and_restores,
            a_restore_keeps_and_reports_newer_documents, documents_in_folders_are_restored, a_restore_creates_a_safety_copy_first,
            an_unknown_or_malformed_id_changes_nothing, concurrent_backups_have_different_ids);
        $crate::contract_tests!(@module $fresh, state:
            state_is_stored_per_user_and_project, concurrent_updates_all_count);
    };
    (@history $fresh:path) => {
        $crate::contract_tests!(@module $fresh, history:
            every_change_is_a_version_that_reads_back, a_version_records_author_key_tool_and_session, a_rename_is_followed,
            a_deleted_document_keeps_its_history_and_comes_back, a_long_history_is_rebuilt_and_paged,
            concurrent_edits_are_a_version_each, one_edit_of_several_documents_is_a_version_of_each,
            an_erased_history_is_gone_and_the_text_stays, an_erased_text_is_in_no_conflict_of_any_server, numbers_of_an_erased_history_name_no_other_text,
            a_name_that_another_document_got_shows_and_erases_the_deleted_ones_that_had_it,
            a_former_name_does_not_erase_the_document_that_has_another_one_now,
            the_last_document_of_a_folder_moves_into_one_that_differs_only_by_case,
            an_unknown_document_or_version_is_named,
            a_restored_backup_adds_versions);
        $crate::contract_tests!(@module $fresh, history_names:
            a_list_of_several_documents_tells_which_versions_their_names_do_not_find,
            a_document_is_read_by_no_name_that_it_never_had);
        $crate::contract_tests!(@module $fresh, graph_history:
            every_change_of_an_entity_is_listed_with_what_it_was_about,
            a_change_records_tool_and_session_and_lists_are_filtered_and_paged,
            a_deleted_entity_is_found_by_its_name_and_comes_back_as_it_was,
            an_editor_restores_but_deletes_no_facts_and_an_owner_does,
            an_erased_history_of_an_entity_is_gone_and_the_entity_stays, nothing_brings_erased_changes_back,
            a_restore_at_once_with_an_erasure_comes_before_it_or_not_at_all, numbers_of_erased_changes_name_no_others,
            an_unknown_entity_or_change_is_named,
            an_entity_as_it_was_after_each_change_equals_a_model,
            the_outline_shows_the_graph_as_it_is_and_as_it_was,
            the_graph_before_a_time_has_what_was_deleted_since_and_nothing_later,
            an_erased_history_of_the_graph_does_not_reach_back);
        $crate::contract_tests!(@module $fresh, undo:
            all_that_one_session_changed_is_taken_back, a_renamed_and_changed_document_returns_to_its_former_name_and_text,
            changes_of_others_in_other_lines_stay_and_touched_lines_are_left, nothing_is_written_by_a_dry_run_or_if_one_must_be_left,
            an_undo_that_no_tool_made_names_none_and_is_an_undo_all_the_same,
            a_second_undo_changes_nothing_and_an_undo_can_be_undone, equal_lines_of_two_sessions_are_told_apart, what_a_session_writes_again_after_its_own_undo_can_be_undone, an_editor_takes_back_only_own_changes,
            changes_of_a_user_since_a_time_are_taken_back, a_taken_name_is_left,
            a_name_that_differs_only_by_case_from_a_new_one_is_left,
            a_document_comes_back_under_a_name_that_the_undo_frees, swapped_names_are_swapped_back,
            a_new_document_under_a_name_that_was_left_goes_in_the_same_undo, a_large_set_is_refused);
        $crate::contract_tests!(@module $fresh, undo_graph:
            all_that_a_session_changed_in_the_graph_is_taken_back_with_its_documents,
            what_others_changed_in_the_graph_stays_and_is_named, an_entity_that_others_use_stays_and_they_are_named,
            nothing_is_written_by_a_dry_run_or_if_an_item_must_be_left, an_editor_takes_back_only_own_items_of_the_graph,
            one_entity_of_a_user_since_a_time_is_taken_back, what_cannot_be_written_leaves_documents_and_graph,
            undo_of_a_replacement_lets_the_former_fact_hold_and_bounds_come_back, undos_and_writes_at_the_same_time_lose_nothing);
        $crate::contract_tests!(@module $fresh, undo_at_once:
            an_undo_and_an_erasure_at_once_leave_a_whole_text_and_readable_versions, nothing_brings_an_erased_text_back,
            nothing_brings_the_erased_text_of_a_deleted_document_back,
            a_restore_or_an_undo_at_once_with_an_erasure_comes_before_it_or_not_at_all,
            of_two_undos_at_once_one_takes_back_and_the_other_finds_nothing,
            an_undo_while_another_renames_the_document_keeps_both,
            a_deletion_whose_text_was_erased_does_not_count_as_undone);
        $crate::contract_tests!(@module $fresh, undo_previews:
            a_preview_shows_the_differences_of_documents_within_its_bound, a_preview_names_facts_that_have_ended_already,
            a_part_of_the_graph_has_replaced_facts_and_tells_which_entities_are_empty);
        $crate::contract_tests!(@module $fresh, undo_restores:
            a_restored_backup_is_taken_back_by_its_session, what_others_changed_after_a_restore_stays_and_is_named,
            a_restored_backup_is_taken_back_by_its_user_and_time_and_by_restores_of_single_versions,
            a_text_that_was_brought_back_between_undos_of_its_user_goes_with_the_next_one,
            a_name_begins_anew_once_its_document_came_back_under_a_former_one);
        $crate::contract_tests!(@module $fresh, maintenance:
            each_kind_is_proposed_and_each_proposal_is_one_change_that_is_taken_back,
            all_proposals_are_carried_out_and_taken_back_in_any_order,
            a_proposal_whose_ground_has_changed_is_refused_and_nothing_changes, a_fold_is_listed_with_its_tool_and_session,
            an_editor_folds_what_deletes_nothing_and_is_told_what_takes_an_owner,
            of_concurrent_applications_of_a_proposal_one_is_written_and_the_other_is_refused,
            a_fact_that_was_replaced_meanwhile_is_no_ground_to_fold_others,
            of_several_chosen_proposals_those_that_hold_are_applied_and_an_overlap_is_refused);
        $crate::contract_tests!(@module $fresh, undo_sequences: any_sequence_of_changes_reads_back_and_is_undone);
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
