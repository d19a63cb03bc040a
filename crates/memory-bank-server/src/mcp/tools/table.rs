//! Every tool. Its row is beside its handler.
//!
//! The order of tools, the names of arguments, the hints and the wording of "missing" errors are those of the TypeScript
//! server, because clients rely on them. A description names the situation in which to use a tool, and is short because
//! every client pays for it in every conversation.

use super::tool::ToolSpec;
use super::{
    backups, bundle, digest, documents, graph, guide, history, maintain, modes, progress, targeted, thinking,
    workspace,
};

/// The table.
pub(crate) const TOOLS: &[ToolSpec] = &[
    guide::GET_INSTRUCTIONS,
    workspace::INITIALIZE_MEMORY_BANK,
    workspace::SET_MEMORY_BANK_PATH,
    workspace::DEBUG_MCP_CONFIG,
    documents::read::READ_MEMORY_BANK_FILE,
    documents::write::WRITE_MEMORY_BANK_FILE,
    documents::edit::EDIT_MEMORY_BANK_FILE,
    documents::write::RENAME_MEMORY_BANK_FILE,
    documents::write::DELETE_MEMORY_BANK_FILE,
    documents::list::LIST_MEMORY_BANK_FILES,
    documents::status::GET_MEMORY_BANK_STATUS,
    documents::status::MIGRATE_FILE_NAMING,
    bundle::GET_CONTEXT_BUNDLE,
    digest::GET_CONTEXT_DIGEST,
    documents::search::SEARCH_MEMORY_BANK,
    backups::CREATE_BACKUP,
    backups::RESTORE_BACKUP,
    progress::ADD_PROGRESS_ENTRY,
    progress::ADD_SESSION_NOTE,
    progress::UPDATE_TASKS,
    documents::batch::BATCH_READ_FILES,
    documents::batch::BATCH_WRITE_FILES,
    progress::TRACK_PROGRESS,
    progress::UPDATE_ACTIVE_CONTEXT,
    progress::LOG_DECISION,
    modes::SWITCH_MODE,
    graph::record::GRAPH_UPSERT_ENTITY,
    graph::record::GRAPH_ADD_OBSERVATION,
    graph::record::GRAPH_BATCH,
    graph::link::GRAPH_LINK_ENTITIES,
    graph::search::GRAPH_SEARCH,
    graph::open::GRAPH_OPEN_NODES,
    graph::delete::GRAPH_DELETE_ENTITY,
    graph::maintain::GRAPH_MAINTAIN,
    workspace::LIST_STORES,
    workspace::SELECT_STORE,
    thinking::SEQUENTIAL_THINKING,
    thinking::FINALIZE_THINKING_SESSION,
    targeted::GET_TARGETED_CONTEXT,
    graph::pointers::GRAPH_ADD_DOC_POINTER,
    history::HISTORY,
    maintain::MAINTAIN,
];
