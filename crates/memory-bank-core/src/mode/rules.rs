//! The rules files of the modes (`.mcprules-<mode>`): lenient parsing, templates, and whether a command starts
//! "Update Memory Bank" (UMB). Stores know the location of the files.

use regex::{Regex, RegexBuilder};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::limits;
use crate::mode::Mode;
use crate::store::ModeRules;

/// The prefixes of the names of rules files, followed by the mode. The first existing file counts.
pub const RULES_PREFIXES: [&str; 2] = [".mcprules-", ".clinerules-"];

/// The pattern that starts UMB in projects without rules: whole words only.
pub const DEFAULT_UMB_TRIGGER: &str = r"\b(umb|update memory bank)\b";

/// The largest compiled trigger, in bytes, since rules files come from untrusted repositories.
const MAX_PATTERN_BYTES: usize = 256 * 1024;

/// The most opening brackets of a rules file: the time to parse nested ones is quadratic.
const MAX_BRACKETS: usize = 1000;

/// Parses a rules file, YAML or JSON. It uses and checks only the mode, the presence of `instructions.general` and
/// the trigger of `instructions.umb`.
#[must_use]
pub fn parse_rules(mode: Mode, text: &str) -> ModeRules {
    if text.bytes().filter(|byte| matches!(byte, b'[' | b'{')).count() > MAX_BRACKETS {
        return ModeRules::Invalid(format!("it has more than {MAX_BRACKETS} opening brackets"));
    }
    let file: RulesFile = match serde_norway::from_str(text.trim_start_matches('\u{feff}')) {
        Ok(file) => file,
        Err(error) => return ModeRules::Invalid(error.to_string()),
    };
    if file.mode != mode.as_str() {
        return ModeRules::Invalid(format!("it has `mode: {}` where `mode: {mode}` is expected", file.mode));
    }
    match file.instructions.umb.and_then(|umb| umb.trigger) {
        Some(trigger) if trigger.len() > limits::LINE_BYTES => {
            ModeRules::Invalid(format!("its UMB trigger is longer than {} bytes", limits::LINE_BYTES))
        }
        trigger => ModeRules::Valid { umb_trigger: trigger.as_deref().map(repair) },
    }
}

/// Whether this command starts UMB under these rules. Without valid rules, and with a trigger that is not a valid
/// expression, the [default](DEFAULT_UMB_TRIGGER) applies; rules without a trigger start nothing.
#[must_use]
pub fn starts_umb(rules: &ModeRules, command: &str) -> bool {
    let pattern = match rules {
        ModeRules::Valid { umb_trigger: None } => return false,
        ModeRules::Valid { umb_trigger: Some(pattern) } => compile(pattern),
        ModeRules::Absent | ModeRules::Invalid(_) => None,
    };
    pattern.or_else(|| compile(DEFAULT_UMB_TRIGGER)).is_some_and(|pattern| pattern.is_match(command))
}

/// The rules file for projects that have none for this mode.
#[must_use]
pub fn rules_template(mode: Mode) -> String {
    let mut text = format!("mode: {mode}\n\ninstructions:\n  general:\n");
    for line in general(mode) {
        text.push_str(&format!("    - \"{line}\"\n"));
    }
    text.push_str(&format!("  umb:\n    trigger: '{DEFAULT_UMB_TRIGGER}'\n    instructions:\n"));
    for line in UMB_INSTRUCTIONS {
        text.push_str(&format!("      - \"{line}\"\n"));
    }
    text.push_str("    override_file_restrictions: true\n  memory_bank: {}\n\nmode_triggers:\n");
    for (other, conditions) in conditions(mode) {
        text.push_str(&format!("  {other}:\n"));
        for condition in *conditions {
            text.push_str(&format!("    - condition: {condition}\n"));
        }
    }
    text
}

#[derive(Deserialize)]
struct RulesFile {
    mode: String,
    instructions: Instructions,
}

#[derive(Deserialize)]
struct Instructions {
    #[expect(dead_code, reason = "its presence is what makes the file a rules file")]
    general: Vec<IgnoredAny>,
    #[serde(default)]
    umb: Option<Umb>,
}

#[derive(Deserialize)]
struct Umb {
    #[serde(default)]
    trigger: Option<String>,
}

/// The TypeScript server's files have the pattern in double quotes, which turns `\b` into a backspace, and an inline
/// flag that its engine refuses.
fn repair(trigger: &str) -> String {
    trigger.replace('\u{8}', r"\b").replace("(?i)", "")
}

fn compile(pattern: &str) -> Option<Regex> {
    RegexBuilder::new(pattern)
        .case_insensitive(true)
        .size_limit(MAX_PATTERN_BYTES)
        .dfa_size_limit(MAX_PATTERN_BYTES)
        .nest_limit(50)
        .build()
        .ok()
}

const UMB_INSTRUCTIONS: [&str; 4] = [
    "Stop the task at hand and go through the whole session, not only its last message.",
    "Bring active-context.md up to date: tasks, known issues, next steps.",
    "Record every decision with log_decision and what was done with track_progress.",
    "Put lasting facts into the knowledge graph, then say what was updated and end UMB.",
];

fn general(mode: Mode) -> &'static [&'static str] {
    match mode {
        Mode::Architect => &[
            "Read the memory bank before designing: get_context_digest first, single documents when needed.",
            "Shape the system: components, interfaces, data, and what each must not know.",
            "Weigh alternatives and record the choice with log_decision, with its consequences.",
            "Keep system-patterns.md true when a pattern is introduced or given up.",
            "Leave the writing of code to the code mode; describe it precisely enough.",
            "Close with next steps in active-context.md.",
        ],
        Mode::Ask => &[
            "Answer from the memory bank where it has the answer, and name the document.",
            "Search with search_memory_bank before saying that something is unknown.",
            "Say plainly what is not recorded.",
            "Explain decisions with the context that decision-log.md gives.",
            "Change no code in this mode.",
            "Offer to record an answer that others will need again.",
        ],
        Mode::Code => &[
            "Read active-context.md before touching code, and system-patterns.md before adding structure.",
            "Follow the recorded patterns; when one has to be broken, log the decision.",
            "Change a document with edit_memory_bank_file rather than writing it anew.",
            "Track each finished piece of work with track_progress.",
            "Keep tasks and known issues in active-context.md current while working.",
            "Tie new modules to their documents in the knowledge graph.",
            "Ask for the architect mode when the design itself is in question.",
            "End with next steps that a stranger could pick up.",
        ],
        Mode::Debug => &[
            "Look for earlier occurrences of the fault with search_memory_bank.",
            "Write the reproduction down before changing anything.",
            "Change one thing at a time and note what each trial showed.",
            "Look for the cause, not for the first change that hides it.",
            "Record the cause as an observation on the component it belongs to.",
            "List what is still broken under known issues in active-context.md.",
            "Track the fix with add_progress_entry of type fix.",
        ],
        Mode::Test => &[
            "Read what the feature promises in product-context.md before testing it.",
            "Name each test after the behaviour it holds.",
            "Cover the edge cases that decision-log.md and known issues mention.",
            "See a new test fail before trusting it.",
            "Record gaps in coverage as tasks in active-context.md.",
            "Track what was added with add_progress_entry of type test.",
            "Hand failures that need a cause to the debug mode.",
        ],
    }
}

type Conditions = (Mode, &'static [&'static str]);

fn conditions(mode: Mode) -> &'static [Conditions] {
    match mode {
        Mode::Architect => &[
            (Mode::Code, &["implementation_needed", "code_modification_needed", "refactoring_required"]),
            (Mode::Test, &["needs_test_plan", "requires_test_review", "coverage_goals_undefined"]),
            (
                Mode::Debug,
                &["architectural_issue_detected", "design_flaw_detected", "performance_problem_found"],
            ),
            (
                Mode::Ask,
                &["needs_clarification", "documentation_update_needed", "knowledge_sharing_required"],
            ),
        ],
        Mode::Ask => &[
            (
                Mode::Architect,
                &["needs_architectural_guidance", "design_question", "documentation_structure"],
            ),
            (Mode::Code, &["needs_implementation_guidance", "code_example_request", "feature_request"]),
            (Mode::Debug, &["debugging_question", "error_explanation_request", "performance_issue"]),
            (Mode::Test, &["needs_testing_explained", "requires_test_info", "coverage_question"]),
        ],
        Mode::Code => &[
            (
                Mode::Architect,
                &["needs_architectural_changes", "design_clarification_needed", "pattern_violation_found"],
            ),
            (Mode::Test, &["tests_need_update", "coverage_check_needed", "feature_ready_for_testing"]),
            (
                Mode::Debug,
                &["error_investigation_needed", "performance_issue_found", "system_analysis_required"],
            ),
            (Mode::Ask, &["documentation_needed", "implementation_explanation", "pattern_documentation"]),
        ],
        Mode::Debug => &[
            (Mode::Architect, &["needs_architectural_review", "pattern_indicates_design_issue"]),
            (Mode::Code, &["fix_implementation_needed", "performance_fix_required"]),
            (Mode::Ask, &["needs_context_clarification", "documentation_review_needed"]),
            (Mode::Test, &["test_validation_needed", "coverage_assessment_required"]),
        ],
        Mode::Test => &[
            (Mode::Architect, &["needs_test_strategy", "coverage_goals_undefined"]),
            (Mode::Code, &["tests_ready_for_implementation", "test_fixes_needed"]),
            (Mode::Debug, &["test_failure_analysis", "unexpected_test_results"]),
            (Mode::Ask, &["test_requirement_question", "test_case_clarification"]),
        ],
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const ORIGINAL: &str = "mode: code\ninstructions:\n  general: [\"x\"]\n  umb:\n    trigger: \"(?i)\\b(Update Memory Bank|UMB)\\b\"\n";

    #[test]
    fn every_template_is_valid_and_starts_umb() {
        for mode in Mode::ALL {
            let rules = parse_rules(mode, &rules_template(mode));
            assert_eq!(
                rules,
                ModeRules::Valid { umb_trigger: Some(DEFAULT_UMB_TRIGGER.to_owned()) },
                "{mode}"
            );
            assert!(starts_umb(&rules, "UMB"));
        }
    }

    #[rstest]
    #[case("UMB", true)]
    #[case("umb", true)]
    #[case("please update memory bank now", true)]
    #[case("Update Memory Bank", true)]
    #[case("plumber", false)]
    #[case("number", false)]
    #[case("", false)]
    fn only_whole_words_start_umb(#[case] command: &str, #[case] starts: bool) {
        assert_eq!(starts_umb(&ModeRules::Absent, command), starts);
        // The TypeScript server's file: `\b` in double quotes is a backspace, and the pattern begins with `(?i)`.
        assert_eq!(starts_umb(&parse_rules(Mode::Code, ORIGINAL), command), starts);
    }

    #[test]
    fn the_trigger_of_the_typescript_server_is_repaired() {
        assert_eq!(
            parse_rules(Mode::Code, ORIGINAL),
            ModeRules::Valid { umb_trigger: Some(r"\b(Update Memory Bank|UMB)\b".to_owned()) }
        );
    }

    #[test]
    fn rules_without_a_trigger_start_nothing() {
        let rules = parse_rules(Mode::Ask, "{\"mode\":\"ask\",\"instructions\":{\"general\":[]}}");
        assert_eq!(rules, ModeRules::Valid { umb_trigger: None });
        assert!(!starts_umb(&rules, "UMB"));
    }

    #[rstest]
    #[case("mode: [")]
    #[case("mode: ask\ninstructions: {general: []}\n")]
    #[case("mode: code\ninstructions: {}\n")]
    #[case("mode: code\n")]
    #[case("")]
    fn an_invalid_file_has_its_error(#[case] text: &str) {
        assert!(
            matches!(parse_rules(Mode::Code, text), ModeRules::Invalid(why) if !why.is_empty()),
            "{text}"
        );
    }

    #[test]
    fn a_malicious_file_is_parsed_fast() {
        let anchored = format!("x: &x [{}]\n", ["y"; 9_000].join(","));
        let repeated =
            format!("mode: code\n{anchored}instructions:\n  general: [{}]\n", ["*x"; 9_000].join(","));
        let nested = format!("mode: code\ninstructions:\n  general: {}", "[".repeat(50_000));
        let begun = std::time::Instant::now();
        let _ = parse_rules(Mode::Code, &repeated);
        assert!(matches!(parse_rules(Mode::Code, &nested), ModeRules::Invalid(_)));
        assert!(begun.elapsed() < std::time::Duration::from_secs(2), "{:?}", begun.elapsed());
    }

    #[rstest]
    #[case("(")]
    #[case("(?=umb)")]
    #[case("(a{1000}){1000}")]
    fn an_invalid_trigger_is_replaced_by_the_default(#[case] pattern: &str) {
        let rules = ModeRules::Valid { umb_trigger: Some(pattern.to_owned()) };
        assert!(starts_umb(&rules, "do umb"));
        assert!(!starts_umb(&rules, "plumber"));
    }
}
