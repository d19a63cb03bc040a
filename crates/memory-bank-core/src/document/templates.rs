//! The text of the core documents in a new bank, and the templates of earlier versions.
//!
//! A comment below each heading explains its content; a new document contains nothing that could be mistaken for
//! content. Banks of earlier versions have rows in brackets instead (`- [Task 1]`), which [`is_template_row`]
//! detects.

use std::ops::RangeInclusive;

use crate::document::CoreDocument;

impl CoreDocument {
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

/// The rows of lists in the templates of earlier versions: a word of the section's heading, the beginning and the end
/// of the row, and its numbers.
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

/// Whether an item is a template row in its section of the template. Such a row is replaced by the first real entry.
#[must_use]
pub(super) fn is_template_row_of(title: &str, item: &str) -> bool {
    is_row_below(item, Some(title))
}

fn is_row_below(item: &str, title: Option<&str>) -> bool {
    // A log has thousands of items, so the title is compared for template rows only.
    let is_below = |word: &str| title.is_none_or(|title| title.to_lowercase().contains(word));
    let is_row = |(word, start, end, mut numbers): (&str, &str, &str, RangeInclusive<u8>)| {
        let number = item.strip_prefix(start).and_then(|rest| rest.strip_suffix(end));
        number.is_some_and(|number| numbers.any(|one| one.to_string() == number)) && is_below(word)
    };
    // Each row begins with a bracket; nearly no item does.
    item.starts_with('[')
        && (OLD_ROWS.into_iter().any(is_row)
            || (item == "[Date] - [Update]" && ["history", "update"].into_iter().any(is_below)))
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
        && number.bytes().all(|character| character.is_ascii_digit())
        && body.lines().map(str::trim_end).filter(|line| !line.is_empty()).eq(ROWS)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
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
    fn only_template_rows_are_recognised(#[case] item: &str, #[case] expected: bool) {
        assert_eq!(is_template_row(item), expected);
    }

    #[test]
    fn a_template_decision_is_recognised_until_it_is_filled_in() {
        let body = "- **Date:** [Date]\r\n- **Context:** [Context]\r\n- **Decision:** [Decision]\r\n\
                    - **Alternatives Considered:** [Alternatives]\r\n- **Consequences:** [Consequences]\r\n\r\n";
        assert!(is_template_decision("Decision 1", body));
        assert!(!is_template_decision("Decision one", body));
        assert!(!is_template_decision("Decision 1", &body.replace("[Context]", "load")));
        assert!(!is_template_decision("Decision 1", &format!("{body}More.\n")));
        assert!(!is_template_decision("Decision 1", ""));
    }
}
