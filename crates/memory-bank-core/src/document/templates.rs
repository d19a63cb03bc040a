//! The five core documents: their names and the text of a new bank.
//!
//! A comment below each heading explains its content; a new document contains nothing that could be taken for
//! content. Banks of earlier versions have rows in brackets instead (`- [Task 1]`), which [`is_template_row`]
//! detects.

use std::ops::RangeInclusive;

use crate::document::DocumentPath;
use crate::document::write::OLD_NAMES;
use crate::error::EditError;
use crate::store::Drafts;

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

    /// The names under which a bank may hold it: today's, and the one in camel case that other servers give it.
    #[must_use]
    pub fn paths(self) -> Vec<DocumentPath> {
        let old = OLD_NAMES.iter().find(|(_, new)| *new == self.name());
        let old = old.and_then(|(old, _)| DocumentPath::parse(old).ok());
        std::iter::once(self.path()).chain(old).collect()
    }

    /// The name by which an edit finds it: the first of [`Self::paths`] that the bank has, or else today's, so that no
    /// second document is made beside one that is there.
    pub(super) fn place(self, drafts: &Drafts) -> DocumentPath {
        let paths = self.paths();
        let has = |path: &&DocumentPath| drafts.stored(path).is_some() || drafts.text(path).is_some();
        paths.iter().find(has).cloned().unwrap_or_else(|| self.path())
    }

    /// The text as it stands in the drafts.
    pub(super) fn text(self, drafts: &Drafts) -> Option<&str> {
        drafts.text(&self.place(drafts))
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
        let path = self.place(drafts);
        let new = rule(drafts.text(&path).unwrap_or(self.template()))
            .map_err(|error| self.named_in(error, drafts))?;
        drafts.set(&path, new)
    }

    /// The error with the name of the document where its text is in the way.
    pub(super) fn named_in(self, error: EditError, drafts: &Drafts) -> EditError {
        match error {
            EditError::InTheWay(reason) => EditError::InTheWay(format!("`{}`: {reason}", self.place(drafts))),
            other => other,
        }
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
<!-- what the project is, and for whom -->

## Objectives
<!-- what it is to achieve, a line each -->

## Technologies
<!-- languages, frameworks, services, a line each -->

## Architecture
<!-- the parts and how they work together -->

## Project Structure
<!-- where things are -->
";

const ACTIVE_CONTEXT: &str = "\
# Current Context

## Ongoing Tasks
<!-- what is being worked on, a line each -->

## Known Issues
<!-- what is wrong, a line each -->

## Next Steps
<!-- what comes next, a line each -->

## Current Session Notes
<!-- dated notes, the newest first -->
";

const PROGRESS: &str = "\
# Project Progress

## Completed Milestones
<!-- milestone and date, a line each -->

## Pending Milestones
<!-- milestone and expected date, a line each -->

## Update History
<!-- dated entries, the newest first -->
";

const DECISION_LOG: &str = "\
# Decision Log

<!-- a section for each decision, the newest last -->
";

const SYSTEM_PATTERNS: &str = "\
# System Patterns

## Architecture Patterns
<!-- how the system is built -->

## Code Patterns
<!-- how code is written here -->

## Documentation Patterns
<!-- how things are documented -->
";

/// The rows of lists that the templates of earlier versions had: the words that head the section, and the row for each
/// number up to the last one.
const OLD_ROWS: [(&str, &str, &str, RangeInclusive<u8>); 8] = [
    ("task", "[Task ", "]", 1..=3),
    ("issue", "[Issue ", "]", 1..=2),
    ("step", "[Next step ", "]", 1..=3),
    ("note", "[Note ", "]", 1..=2),
    ("objective", "[Objective ", "]", 1..=3),
    ("technolog", "[Technology ", "]", 1..=3),
    ("milestone", "[Milestone ", "] - [Date]", 1..=2),
    ("milestone", "[Milestone ", "] - [Expected date]", 3..=4),
];

/// Whether an item of a list is a row of an earlier version's template, byte for byte.
#[must_use]
pub(super) fn is_template_row(item: &str) -> bool {
    is_row_below(item, None)
}

/// Whether it is, and is in the section in which the template has it. Such a row is taken out when a real entry comes.
#[must_use]
pub(super) fn is_template_row_of(title: &str, item: &str) -> bool {
    is_row_below(item, Some(title))
}

fn is_row_below(item: &str, title: Option<&str>) -> bool {
    // A log has thousands of items, so the section's title is looked at for rows alone.
    let is_below = |word: &str| title.is_none_or(|title| title.to_lowercase().contains(word));
    let is_row = |(word, start, end, mut numbers): (&str, &str, &str, RangeInclusive<u8>)| {
        let number = item.strip_prefix(start).and_then(|rest| rest.strip_suffix(end));
        number.is_some_and(|number| numbers.any(|one| one.to_string() == number)) && is_below(word)
    };
    OLD_ROWS.into_iter().any(is_row)
        || (item == "[Date] - [Update]" && ["history", "update"].into_iter().any(is_below))
}

/// Whether a section of the decision log (heading and body) is one of an earlier version's template.
#[must_use]
pub(super) fn is_template_decision(title: &str, body: &str) -> bool {
    const ROWS: [&str; 5] = [
        "- **Date:** [Date]",
        "- **Context:** [Context]",
        "- **Decision:** [Decision]",
        "- **Alternatives Considered:** [Alternatives]",
        "- **Consequences:** [Consequences]",
    ];
    let number = title.strip_prefix("Decision ").unwrap_or_default();
    !number.is_empty()
        && number.bytes().all(|sign| sign.is_ascii_digit())
        && body.lines().map(str::trim_end).filter(|line| !line.is_empty()).eq(ROWS)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::document::CORE_DOCUMENTS;
    use crate::document::section::Outline;

    #[test]
    fn a_template_has_headings_and_comments_and_nothing_that_could_be_content() {
        for document in CoreDocument::ALL {
            let outline = Outline::of(document.template());
            assert!(outline.items().is_empty(), "{document:?}");
            for line in document.template().lines().filter(|line| !line.is_empty()) {
                assert!(
                    line.starts_with('#') || line.starts_with("<!-- ") && line.ends_with(" -->"),
                    "{line}"
                );
            }
        }
    }

    #[rstest]
    #[case("[Task 1]", true)]
    #[case("[Next step 3]", true)]
    #[case("[Next step 12]", false)]
    #[case("[Issue 12]", false)]
    #[case("[Task 01]", false)]
    #[case("[Task one: rewrite parser]", false)]
    #[case("[Milestone 3] - [Expected date]", true)]
    #[case("[Date] - [Update]", true)]
    #[case("[Task 1] write the parser", false)]
    #[case("[Task 1](tasks.md)", false)]
    #[case("[Task]", false)]
    #[case("[Task x]", false)]
    #[case("[ ] Task 1", false)]
    #[case("[Milestone 1] - 2026-11-22", false)]
    #[case("[2026-11-22] - [Update]", false)]
    #[case("[JIRA 1]", false)]
    fn only_rows_of_a_template_are_taken_for_such(#[case] item: &str, #[case] expected: bool) {
        assert_eq!(is_template_row(item), expected);
    }

    #[test]
    fn a_decision_of_the_template_is_known_until_somebody_writes_into_it() {
        let body = "- **Date:** [Date]\r\n- **Context:** [Context]\r\n- **Decision:** [Decision]\r\n\
                    - **Alternatives Considered:** [Alternatives]\r\n- **Consequences:** [Consequences]\r\n\r\n";
        assert!(is_template_decision("Decision 1", body));
        assert!(!is_template_decision("Decision one", body));
        assert!(!is_template_decision("Decision 1", &body.replace("[Context]", "load")));
        assert!(!is_template_decision("Decision 1", &format!("{body}More.\n")));
        assert!(!is_template_decision("Decision 1", ""));
    }

    #[test]
    fn the_names_agree_with_the_list_of_core_documents() {
        assert_eq!(CoreDocument::ALL.map(CoreDocument::name), CORE_DOCUMENTS);
        for document in CoreDocument::ALL {
            assert_eq!(DocumentPath::parse(document.name()), Ok(document.path()));
        }
    }
}
