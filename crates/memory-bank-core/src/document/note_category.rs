//! The kinds of session notes.

use crate::words::word_enum;

word_enum! {
    /// The kind of a session note.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum NoteCategory {
        /// Something observed.
        Observation = "observation",
        /// Something that prevents progress.
        Blocker = "blocker",
        /// A defect or a problem.
        Issue = "issue",
        /// An open question.
        Question = "question",
        /// A decision.
        Decision = "decision",
        /// Something to do.
        Todo = "todo",
        /// Anything else.
        Other = "other",
    }
}

impl NoteCategory {
    /// The label of the kind in an entry.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Observation => "👀 Observation",
            Self::Blocker => "🚧 Blocker",
            Self::Issue => "⚠️ Issue",
            Self::Question => "❓ Question",
            Self::Decision => "✅ Decision",
            Self::Todo => "📋 Todo",
            Self::Other => "📝 Note",
        }
    }
}
