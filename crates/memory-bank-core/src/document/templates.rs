//! The five core documents: their names and the text that a new bank starts with.
//!
//! The texts are fixed to the byte: editors recognise an untouched document by its etag or by the bracketed words.

use crate::document::DocumentPath;
use crate::error::EditError;
use crate::store::Drafts;

/// One of the five core documents, in the order that every list of them has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CoreDocument {
    /// What the project is.
    ProductContext,
    /// What is being worked on.
    ActiveContext,
    /// What was done.
    Progress,
    /// What was decided, and why.
    DecisionLog,
    /// How things are done here.
    SystemPatterns,
}

impl CoreDocument {
    /// All five, in order.
    pub const ALL: [Self; 5] =
        [Self::ProductContext, Self::ActiveContext, Self::Progress, Self::DecisionLog, Self::SystemPatterns];

    /// The name under which it is stored.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ProductContext => "product-context.md",
            Self::ActiveContext => "active-context.md",
            Self::Progress => "progress.md",
            Self::DecisionLog => "decision-log.md",
            Self::SystemPatterns => "system-patterns.md",
        }
    }

    /// The name, parsed.
    #[must_use]
    pub fn path(self) -> DocumentPath {
        DocumentPath::from(self)
    }

    /// Changes the text in the drafts by a rule. A missing document starts from its template.
    ///
    /// # Errors
    /// What the rule returned, with the name of the document where its text is in the way, or the new text is too
    /// large.
    pub(super) fn rewrite(
        self,
        drafts: &mut Drafts,
        rule: impl FnOnce(&str) -> Result<String, EditError>,
    ) -> Result<(), EditError> {
        let path = self.path();
        let new = rule(drafts.text(&path).unwrap_or(self.template())).map_err(|error| match error {
            EditError::InTheWay(reason) => EditError::InTheWay(format!("`{path}`: {reason}")),
            other => other,
        })?;
        drafts.set(&path, new)
    }

    /// The text that a new bank starts with.
    #[must_use]
    pub fn template(self) -> &'static str {
        match self {
            Self::ProductContext => PRODUCT_CONTEXT,
            Self::ActiveContext => ACTIVE_CONTEXT,
            Self::Progress => PROGRESS,
            Self::DecisionLog => DECISION_LOG,
            Self::SystemPatterns => SYSTEM_PATTERNS,
        }
    }
}

const PRODUCT_CONTEXT: &str = "\
# Project Overview

## Description
[Project description]

## Objectives
- [Objective 1]
- [Objective 2]
- [Objective 3]

## Technologies
- [Technology 1]
- [Technology 2]
- [Technology 3]

## Architecture
[Architecture description]

## Project Structure
[Project structure description]
";

const ACTIVE_CONTEXT: &str = "\
# Current Context

## Ongoing Tasks
- [Task 1]
- [Task 2]
- [Task 3]

## Known Issues
- [Issue 1]
- [Issue 2]

## Next Steps
- [Next step 1]
- [Next step 2]
- [Next step 3]

## Current Session Notes
- [Note 1]
- [Note 2]
";

const PROGRESS: &str = "\
# Project Progress

## Completed Milestones
- [Milestone 1] - [Date]
- [Milestone 2] - [Date]

## Pending Milestones
- [Milestone 3] - [Expected date]
- [Milestone 4] - [Expected date]

## Update History
- [Date] - [Update]
- [Date] - [Update]
";

const DECISION_LOG: &str = "\
# Decision Log

## Decision 1
- **Date:** [Date]
- **Context:** [Context]
- **Decision:** [Decision]
- **Alternatives Considered:** [Alternatives]
- **Consequences:** [Consequences]

## Decision 2
- **Date:** [Date]
- **Context:** [Context]
- **Decision:** [Decision]
- **Alternatives Considered:** [Alternatives]
- **Consequences:** [Consequences]
";

const SYSTEM_PATTERNS: &str = "\
# System Patterns

## Architecture Patterns
[Architecture patterns description]

## Code Patterns
[Code patterns description]

## Documentation Patterns
[Documentation patterns description]
";

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::document::{CORE_DOCUMENTS, Etag};

    #[rstest]
    #[case(CoreDocument::ProductContext, "4bf1e78afeb99fc6")]
    #[case(CoreDocument::ActiveContext, "11300c693dc84c8b")]
    #[case(CoreDocument::Progress, "3074bd5f2600d006")]
    #[case(CoreDocument::DecisionLog, "1f343174843c22cd")]
    #[case(CoreDocument::SystemPatterns, "35d505cf34f5c92a")]
    fn a_template_has_the_known_bytes(#[case] document: CoreDocument, #[case] etag: &str) {
        assert_eq!(Etag::of(document.template()).as_str(), etag);
    }

    #[test]
    fn the_names_agree_with_the_list_of_core_documents() {
        assert_eq!(CoreDocument::ALL.map(CoreDocument::name), CORE_DOCUMENTS);
        for document in CoreDocument::ALL {
            assert_eq!(DocumentPath::parse(document.name()), Ok(document.path()));
        }
    }
}
