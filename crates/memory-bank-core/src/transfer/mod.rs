//! A whole bank as one value, for transfers between stores: from a folder's files into a database and back.
//!
//! Data that rows cannot express (invalid UTF-8, files other than documents, unknown lines of the graph's log, times
//! in unusual spellings) is carried by [`ExtraDataFile`]s, so that nothing is lost. Nothing here opens a file or knows
//! SQL.

mod extra_data;
mod files;
mod graph_history;
mod graph_lines;
mod history;
mod log;
mod memory_file;
#[cfg(test)]
mod tests;

use jiff::Timestamp;

use crate::document::{DocumentPath, keep_bytes};
use crate::graph::state::GraphState;
use crate::store::SessionState;

pub use extra_data::{ExtraDataFile, ExtraDataKind};
pub use files::{composed, is_rules_file, safe_path};
pub use graph_history::{GraphChangeCopy, GraphHistory, ItemKind, read_graph_line, write_graph_line};
pub use graph_lines::GraphLines;
pub use history::{DocumentHistory, HistoryCount, read_history_line, write_history_line};
pub use log::moment;
pub use memory_file::{MEMORY_FILES, MemoryFile, MemoryFileEntity, MemoryFileRelation};

/// The content of one bank.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct BankCopy {
    /// The documents, by name.
    pub documents: Vec<DocumentCopy>,
    /// The graph, in storage order.
    pub graph: GraphState,
    /// Unknown lines of the graph's log, in their order.
    pub lines: Vec<Vec<u8>>,
    /// The other files, by path.
    pub files: Vec<FileCopy>,
}

/// One document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentCopy {
    /// The name under which it is stored.
    pub path: DocumentPath,
    /// The text.
    pub text: String,
    /// The bytes from which the text was decoded, if they are not UTF-8.
    pub bytes: Option<Vec<u8>>,
    /// When it was last written.
    pub updated_at: Timestamp,
}

impl DocumentCopy {
    /// The file content of this document. The text may have changed since the bytes were read.
    #[must_use]
    pub fn content(&self) -> Vec<u8> {
        match &self.bytes {
            Some(bytes) => keep_bytes(bytes, &self.text),
            None => self.text.as_bytes().to_vec(),
        }
    }
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileCopy {
    /// Path in the bank, with `/`.
    pub path: String,
    /// Its content.
    pub bytes: Vec<u8>,
    /// When it was last written.
    pub modified: Timestamp,
}

/// A bank with the data outside of its folder.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ProjectCopy {
    /// The bank.
    pub bank: BankCopy,
    /// The rules files of the modes; the path is the file's name.
    pub rules: Vec<FileCopy>,
    /// The state of the user who transfers the project: mode and thinking sessions.
    pub state: Option<SessionState>,
}

/// How to treat a target project with content. A backup of it is created first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExistingContentPolicy {
    /// It must be empty.
    Empty,
    /// Merge: documents and entities of the same name are replaced.
    Merge,
    /// The content is replaced.
    Replace,
}

/// The number of items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Size {
    /// Documents.
    pub documents: usize,
    /// Entities of the graph.
    pub entities: usize,
    /// Observations of the graph.
    pub observations: usize,
    /// Relations of the graph.
    pub relations: usize,
    /// Files other than documents.
    pub files: usize,
}

impl Size {
    /// The sum, for progress bars.
    #[must_use]
    pub fn items(self) -> usize {
        self.documents + self.entities + self.observations + self.relations + self.files
    }
}

impl BankCopy {
    /// The number of items.
    #[must_use]
    pub fn size(&self) -> Size {
        let graph = self.graph.stats();
        Size {
            documents: self.documents.len(),
            entities: graph.entity_count,
            observations: graph.observation_count,
            relations: graph.relation_count,
            files: self.files.len(),
        }
    }
}

/// Why a transfer is refused. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotTransferable(pub String);
