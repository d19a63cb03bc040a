//! The five core documents and their names.

/// One of the five core documents, in the order that every list of them has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CoreDocument {
    /// The project.
    ProductContext,
    /// Current work.
    ActiveContext,
    /// Finished work.
    Progress,
    /// Decisions and their reasons.
    DecisionLog,
    /// Conventions of the project.
    SystemPatterns,
}

impl CoreDocument {
    /// All five, in order.
    pub const ALL: [Self; 5] =
        [Self::ProductContext, Self::ActiveContext, Self::Progress, Self::DecisionLog, Self::SystemPatterns];

    /// The name under which it is stored.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ProductContext => "product-context.md",
            Self::ActiveContext => "active-context.md",
            Self::Progress => "progress.md",
            Self::DecisionLog => "decision-log.md",
            Self::SystemPatterns => "system-patterns.md",
        }
    }
}

/// The five core documents, in the order that every list of them has.
pub const CORE_DOCUMENTS: [&str; 5] = [
    CoreDocument::ProductContext.name(),
    CoreDocument::ActiveContext.name(),
    CoreDocument::Progress.name(),
    CoreDocument::DecisionLog.name(),
    CoreDocument::SystemPatterns.name(),
];

/// The position of a document in a list that begins with the core documents.
#[must_use]
pub fn core_rank(name: &str) -> usize {
    CORE_DOCUMENTS.iter().position(|core| *core == name).unwrap_or(CORE_DOCUMENTS.len())
}

/// The core documents that older banks name in camelCase: the old and the current name.
pub const OLD_NAMES: [(&str, &str); 4] = [
    ("productContext.md", "product-context.md"),
    ("activeContext.md", "active-context.md"),
    ("decisionLog.md", "decision-log.md"),
    ("systemPatterns.md", "system-patterns.md"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::DocumentPath;

    #[test]
    fn the_names_agree_with_the_list_of_core_documents() {
        assert_eq!(CoreDocument::ALL.map(CoreDocument::name), CORE_DOCUMENTS);
        for document in CoreDocument::ALL {
            assert_eq!(DocumentPath::parse(document.name()), Ok(document.path()));
        }
    }
}
