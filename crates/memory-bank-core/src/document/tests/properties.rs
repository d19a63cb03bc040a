//! Properties of the rules on documents that people and other programs have written.

use proptest::prelude::*;

use super::{at, bank, digest_of, text};
use crate::document::CoreDocument::{ActiveContext, DecisionLog, Progress};
use crate::document::section::{LineEnding, Outline};
use crate::document::{
    Clear, LogDecision, UpdateActiveContext, UpdateTasks, log_decision, update_active_context, update_tasks,
};

/// An active-context.md with a task list among unusual sections; no fence stays open.
fn active_context() -> impl Strategy<Value = String> {
    let line = prop::sample::select(vec![
        "- a",
        "* b",
        "1. c",
        "  - n",
        "  wrapped",
        "",
        "prose",
        "### Sub",
        "```\n- fenced\n```",
        "> quote",
        "- [ ] d",
        "---",
        "<!-- x -->",
    ]);
    let other = prop::sample::select(vec!["# T\n", "", "## Known Issues\n- i\n", "intro\n\n"]);
    let title = prop::sample::select(vec!["Ongoing Tasks", "Tasks", "Current Tasks"]);
    (other.clone(), title, prop::collection::vec(line, 0..8), other, prop::bool::ANY).prop_map(
        |(before, title, lines, after, crlf)| {
            let text = format!("{before}\n## {title}\n{}\n\n## Next Steps\n- s\n\n{after}", lines.join("\n"));
            if crlf { text.replace('\n', "\r\n") } else { text }
        },
    )
}

fn apply(content: &str, request: &UpdateTasks) -> (String, Vec<String>) {
    let mut drafts = bank(&[(ActiveContext, content)]);
    let tasks = update_tasks(&mut drafts, request, at()).unwrap().tasks;
    (text(&drafts, ActiveContext), tasks)
}

fn list(items: &[&str]) -> Option<Vec<String>> {
    Some(items.iter().map(|&item| item.to_owned()).collect())
}

/// The first words of the items in the task section itself, without sub-sections and duplicates.
fn own_items(content: &str) -> Vec<String> {
    let outline = Outline::of(content);
    let mut words = Vec::new();
    for section in outline.find_all(&["Ongoing Tasks", "Tasks", "Current Tasks"]) {
        for item in outline.items_in(&section.own).iter().filter(|item| item.depth == 0) {
            let bare = item.text.trim_start_matches("[ ] ");
            let word = bare.split(' ').next().unwrap_or_default().to_owned();
            if !words.contains(&word) {
                words.push(word);
            }
        }
    }
    words
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn removing_added_tasks_restores_the_list(content in active_context()) {
        let before = apply(&content, &UpdateTasks::default());
        prop_assert_eq!(&before.0, &content);
        let added = apply(&content, &UpdateTasks { add: list(&["zzz new"]), ..UpdateTasks::default() });
        prop_assert!(added.1.iter().any(|task| task.trim_start_matches("[ ] ") == "zzz new"), "{added:?}");
        let removed = apply(&added.0, &UpdateTasks { remove: list(&["zzz new"]), ..UpdateTasks::default() });
        prop_assert_eq!(&removed.1, &before.1);
        let written = |text: &str| text.lines().filter(|line| !matches!(line.trim(), "" | "<!-- -->")).map(str::to_owned).collect::<Vec<_>>();
        prop_assert_eq!(written(&removed.0), written(&content));
    }

    #[test]
    fn replacing_the_tasks_makes_them_the_list_and_is_idempotent(content in active_context()) {
        let request = UpdateTasks { replace: list(&["x", "a", "y"]), ..UpdateTasks::default() };
        let once = apply(&content, &request);
        prop_assert_eq!(own_items(&once.0), ["x", "a", "y"], "{:?}", once);
        prop_assert_eq!(&apply(&once.0, &request).0, &once.0);
        prop_assert!(once.0.ends_with(content.get(content.find("## Next Steps").unwrap()..).unwrap()));
    }

    #[test]
    fn updating_the_lists_changes_only_them_and_is_idempotent(content in active_context()) {
        let request = UpdateActiveContext { tasks: list(&["x", "y"]), next_steps: list(&[]), clear: Some(Clear::Flag(true)), ..UpdateActiveContext::default() };
        let mut drafts = bank(&[(ActiveContext, &content)]);
        update_active_context(&mut drafts, &request).unwrap();
        let once = text(&drafts, ActiveContext);
        update_active_context(&mut drafts, &request).unwrap();
        prop_assert_eq!(&text(&drafts, ActiveContext), &once);
        let shown = digest_of(ActiveContext, &once);
        prop_assert_eq!(own_items(&once), ["x", "y"]);
        // Prose stays, and is shown if there is no list.
        prop_assert!(shown.current_context.next_steps.iter().all(|step| step == "intro"));
        let crlf = LineEnding::of(&content) == LineEnding::CrLf;
        prop_assert_eq!(once.matches('\n').count(), if crlf { once.matches("\r\n").count() } else { once.lines().count() });
    }

    #[test]
    fn the_text_of_a_decision_stays_in_its_section(
        title in "[a-z#$&` *\n-]{0,12}x", context in "(?s)[a-z#`<!\n>\\- ]{0,40}", decision in "(?s)[a-z#`<!\n>\\- ]{0,40}y",
    ) {
        let mut drafts = bank(&[(DecisionLog, "# Decision Log\n"), (Progress, "## Update History\n"), (ActiveContext, "")]);
        let request = LogDecision { title, context, decision, alternatives: list(&["# a", "```"]).unwrap(), consequences: Vec::new(), ..LogDecision::default() };
        log_decision(&mut drafts, &request, at(), "a").unwrap();
        log_decision(&mut drafts, &LogDecision { title: "after".into(), ..request }, at(), "a").unwrap();
        let log = text(&drafts, DecisionLog);
        let outline = Outline::of(&log);
        let levels: Vec<u8> = outline.headings().iter().map(|heading| heading.level).collect();
        prop_assert_eq!(levels, [1, 2, 2], "{}", log);
    }
}
