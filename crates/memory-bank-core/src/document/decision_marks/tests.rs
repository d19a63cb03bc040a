use jiff::Timestamp;
use rstest::rstest;

use super::*;
use crate::document::decisions::{LogDecision, log_decision};
use crate::document::{CoreDocument, Document, Etag};
use crate::store::Drafts;

const LOG: &str = "# Decision Log\n\n## Use MySQL\n- **Date:** 2026-01-01 10:00:00 UTC\n- **Decision:** MySQL it is.\n\n\
    ## Use REST\n- **Date:** 2026-01-02 10:00:00 UTC\n- **Decision:** REST.\n\n\
    ## Use REST\n- **Date:** 2026-01-03 10:00:00 UTC\n- **Decision:** REST again.\n";

fn logged(text: &str, request: &LogDecision) -> Result<String, String> {
    let at: Timestamp = "2026-02-01T00:00:00Z".parse().unwrap();
    let log = CoreDocument::DecisionLog.path();
    let mut drafts = Drafts::default();
    for path in LogDecision::paths() {
        let stored = (path == log).then(|| Document {
            path: path.clone(),
            content: text.to_owned(),
            etag: Etag::of(text),
            version: 1,
            updated_at: at,
        });
        drafts.load(path, stored);
    }
    log_decision(&mut drafts, request, at, "ann").map_err(|error| error.to_string())?;
    Ok(drafts.text(&log).unwrap().to_owned())
}

fn without_ended(text: &str, at: i64) -> Cow<'_, str> {
    holding(text, at).text
}

fn decision(supersedes: &[&str]) -> LogDecision {
    LogDecision {
        title: "Use PostgreSQL".into(),
        decision: "PostgreSQL.".into(),
        supersedes: supersedes.iter().map(|one| (*one).to_owned()).collect(),
        ..LogDecision::default()
    }
}

fn at(text: &str) -> i64 {
    text.parse::<Timestamp>().unwrap().as_millisecond()
}

#[rstest]
#[case("use mysql")]
#[case("2026-01-01 Use MySQL")]
#[case("Use MySQL (2026-01-01)")]
#[case("2026-01-01 10:00:00 UTC Use MySQL")]
fn a_decision_is_replaced_by_title_or_date_and_title(#[case] named: &str) {
    let text = logged(LOG, &decision(&[named])).unwrap();
    assert!(text.contains(
        "## Use MySQL\n- **Date:** 2026-01-01 10:00:00 UTC\n- **Superseded By:** Use PostgreSQL (2026-02-01 00:00:00 UTC)\n\
         - **Decision:** MySQL it is.\n"
    ));
    assert!(text.contains("- **Supersedes:** Use MySQL (2026-01-01 10:00:00 UTC)\n"), "{text}");
    let rest = without_ended(&text, at("2026-02-02T00:00:00Z"));
    assert!(
        !rest.contains("MySQL it is") && rest.contains("PostgreSQL.") && rest.contains("REST again"),
        "{rest}"
    );
    // No other byte of the log changed.
    let marks = |line: &&str| !line.contains("Superseded By");
    let kept: Vec<&str> = text.lines().filter(marks).take(LOG.lines().count()).collect();
    assert_eq!(kept, LOG.lines().collect::<Vec<_>>());
}

#[test]
fn an_unclear_or_unknown_title_changes_nothing_and_is_explained() {
    let several = logged(LOG, &decision(&["Use REST"])).unwrap_err();
    assert!(several.contains("2026-01-02 10:00:00 UTC, 2026-01-03"), "{several}");
    let text = logged(LOG, &decision(&["2026-01-03 Use REST"])).unwrap();
    assert!(without_ended(&text, 0).contains("REST."));
    assert!(!without_ended(&text, 0).contains("REST again"));
    // Of two with one title, the other is the one that is not replaced.
    let again = logged(&text, &LogDecision { title: "Use gRPC".into(), ..decision(&["Use REST"]) }).unwrap();
    assert!(!without_ended(&again, 0).contains("REST."));
    let unknown = logged(LOG, &decision(&["Use Oracle"])).unwrap_err();
    assert!(unknown.contains("no decision") && unknown.contains("`Use MySQL`"), "{unknown}");
    assert!(logged("", &decision(&["x"])).unwrap_err().contains("no decision"));
}

#[test]
fn a_decision_with_an_end_is_left_out_after_it() {
    let bounded = |until: Option<&str>, expires: Option<&str>| LogDecision {
        valid_until: until.map(str::to_owned),
        expires_at: expires.map(str::to_owned),
        ..decision(&[])
    };
    let text = logged(LOG, &bounded(Some("2026-03-01"), None)).unwrap();
    assert!(text.contains("- **Valid Until:** 2026-03-01\n"), "{text}");
    assert_eq!(without_ended(&text, at("2026-03-01T23:59:59Z")), text);
    assert!(!without_ended(&text, at("2026-03-02T00:00:00Z")).contains("PostgreSQL"));
    let text = logged(LOG, &bounded(Some("2026-03-01"), Some("2026-02-10T12:00:00Z"))).unwrap();
    assert!(text.contains("- **Expires:** 2026-02-10T12:00:00.000Z\n"), "{text}");
    assert!(!without_ended(&text, at("2026-02-10T12:00:00Z")).contains("PostgreSQL"));
    assert!(logged(LOG, &bounded(Some("soon"), None)).unwrap_err().contains("validUntil `soon`"));
    assert_eq!(without_ended(LOG, i64::MAX), LOG);
    assert_eq!(
        without_ended("## A\n- **Valid Until:** never\ntext\n", i64::MAX),
        "## A\n- **Valid Until:** never\ntext\n"
    );
}

fn from(valid_from: &str, more: LogDecision) -> LogDecision {
    LogDecision { valid_from: Some(valid_from.into()), ..more }
}

#[test]
fn a_decision_that_begins_later_is_left_out_before_and_what_it_replaces_holds_until_then() {
    let request = from("2026-03-01", decision(&["Use MySQL"]));
    let text = logged(LOG, &request).unwrap();
    assert!(text.contains("- **Valid From:** 2026-03-01\n"), "{text}");
    assert!(
        text.contains("- **Superseded By:** Use PostgreSQL (2026-02-01 00:00:00 UTC), from 2026-03-01\n"),
        "{text}"
    );
    let before = holding(&text, at("2026-02-28T23:59:59Z"));
    assert!(before.text.contains("MySQL it is") && !before.text.contains("PostgreSQL.\n"), "{}", before.text);
    assert_eq!(before.upcoming, ["Use PostgreSQL (from 2026-03-01)"]);
    assert_eq!((before.left_out, before.ended.as_slice()), (1, ["Use PostgreSQL".to_owned()].as_slice()));
    let then = holding(&text, at("2026-03-01T00:00:00Z"));
    assert!(!then.text.contains("MySQL it is") && then.text.contains("PostgreSQL.\n"), "{}", then.text);
    assert!(then.upcoming.is_empty());
    assert_eq!(
        reply(LOG, &request),
        "Decision logged: Use PostgreSQL; it holds from 2026-03-01 on; it then replaces Use MySQL (2026-01-01 10:00:00 UTC)"
    );
    // Replaced before it begins, it never holds; a replacement without a time counts at once.
    let oracle = LogDecision {
        title: "Use Oracle".into(),
        decision: "Oracle.".into(),
        ..decision(&["Use PostgreSQL", "Use MySQL"])
    };
    let text = logged(&text, &oracle).unwrap();
    for moment in ["2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"] {
        let now = holding(&text, at(moment));
        assert!(!now.text.contains("MySQL it is") && !now.text.contains("PostgreSQL.\n"), "{}", now.text);
        assert!(now.text.contains("Oracle.") && now.upcoming.is_empty(), "{}", now.text);
    }
    // Neither does a later replacement postpone an earlier one.
    let late = from("2026-05-01", LogDecision { title: "Use CSV".into(), ..decision(&["Use MySQL"]) });
    let text = logged(&text, &late).unwrap();
    assert!(!without_ended(&text, at("2026-02-02T00:00:00Z")).contains("MySQL it is"));
}

#[test]
fn a_decision_that_began_already_replaces_at_once() {
    let text = logged(LOG, &from("2026-01-05", decision(&["Use MySQL"]))).unwrap();
    assert!(text.contains("Use PostgreSQL (2026-02-01 00:00:00 UTC)\n"), "{text}");
    assert!(!without_ended(&text, at("2026-01-02T00:00:00Z")).contains("MySQL it is"));
    assert_eq!(reply(LOG, &from("2026-01-05", decision(&[]))), "Decision logged: Use PostgreSQL");
}

#[rstest]
#[case("0000-01-01")]
#[case("-000001-01-01T00:00:00Z")]
#[case("-1")]
#[case("10000-01-01")]
#[case("+010000-01-01T00:00:00Z")]
#[case("99999-01-01")]
#[case("9999-12-31T23:59:59-01:00")]
#[case("soon")]
fn a_time_that_cannot_be_obeyed_is_refused(#[case] time: &str) {
    let some = || Some(time.to_owned());
    for (name, request) in [
        ("validFrom", LogDecision { valid_from: some(), ..decision(&[]) }),
        ("validUntil", LogDecision { valid_until: some(), ..decision(&[]) }),
        ("expiresAt", LogDecision { expires_at: some(), ..decision(&[]) }),
    ] {
        let refused = logged(LOG, &request).unwrap_err();
        assert!(refused.contains(&format!("{name} `{time}`")), "{refused}");
    }
}

#[test]
fn an_end_before_the_begin_is_refused() {
    let until = LogDecision { valid_until: Some("2026-02-28".into()), ..decision(&[]) };
    let refused = logged(LOG, &from("2026-03-01", until)).unwrap_err();
    assert!(refused.contains("validFrom `2026-03-01` is not before validUntil `2026-02-28`"), "{refused}");
}

#[test]
fn line_endings_of_a_log_are_kept() {
    let windows = LOG.replace('\n', "\r\n");
    let text = logged(&windows, &decision(&["Use MySQL"])).unwrap();
    assert!(text.contains("\r\n- **Superseded By:** Use PostgreSQL (2026-02-01 00:00:00 UTC)\r\n"), "{text}");
    assert!(!text.replace("\r\n", "").contains('\n'));
}

#[rstest]
#[case("- **Superseded By:** Use X (2026-01-02)")]
#[case("**superseded by:** [Use X](x.md)")]
#[case("* __SUPERSEDED BY__: ADR-0005")]
#[case("- Superseded by: 0005")]
#[case("- Superseded by: Use X, from 2026-01-31")]
#[case("- Superseded by: Use X, from scratch")]
#[case("- valid from: 2026-02-02")]
#[case("superseded by: Use X")]
#[case("- **Valid Until:** 2026-01-01")]
#[case("**valid until:** 2026-01-01")]
#[case("- Valid Until: 2026-01-01\r")]
#[case("- **valid until**: 2026-01-01")]
#[case("+ expires: **2026-01-01**")]
fn a_mark_by_hand_counts_in_any_case_with_or_without_emphasis(#[case] mark: &str) {
    let text = format!("# Log\n\n## Use A\n- **Date:** 2026-01-01\n{mark}\n\n## Use B\nb\n");
    assert_eq!(without_ended(&text, at("2026-02-01T00:00:00Z")), "# Log\n\n## Use B\nb\n", "{mark}");
    // A record with its title as the heading of the document ends as a whole.
    for record in
        [format!("# Use A\n{mark}\n"), format!("# Use A\na\n\n## Status\n{mark}\n\n## Decision\nd\n")]
    {
        assert_eq!(without_ended(&record, at("2026-02-01T00:00:00Z")), "", "{record}");
    }
}

#[rstest]
#[case("- **Superseded By:** None")]
#[case("- **Superseded By:**")]
#[case("- **Superseded By:** [Decision]")]
#[case("- Valid Until: further notice")]
#[case("- It expires: 2026-01-01")]
#[case("- Expires soon")]
fn other_lines_are_no_marks(#[case] line: &str) {
    let text = format!("# Log\n\n## Use A\n{line}\n");
    assert_eq!(without_ended(&text, i64::MAX), text);
}

#[test]
fn a_log_with_one_heading_does_not_end_with_an_entry() {
    let text = "# Decision Log\n- Use A\n- Superseded By: Use B\n";
    assert_eq!(without_ended(text, i64::MAX), text);
}

fn reply(text: &str, request: &LogDecision) -> String {
    let at: Timestamp = "2026-02-01T00:00:00Z".parse().unwrap();
    let log = CoreDocument::DecisionLog.path();
    let mut drafts = Drafts::default();
    for path in LogDecision::paths() {
        let stored = (path == log).then(|| Document {
            path: path.clone(),
            content: text.to_owned(),
            etag: Etag::of(text),
            version: 1,
            updated_at: at,
        });
        drafts.load(path, stored);
    }
    log_decision(&mut drafts, request, at, "ann").unwrap().sentence()
}

#[test]
fn a_reply_names_what_was_replaced_and_by_which_it_was_replaced_before() {
    assert_eq!(reply(LOG, &decision(&[])), "Decision logged: Use PostgreSQL");
    assert_eq!(
        reply(LOG, &decision(&["Use MySQL", "2026-01-02 Use REST"])),
        "Decision logged: Use PostgreSQL; it replaces Use MySQL (2026-01-01 10:00:00 UTC), Use REST (2026-01-02 10:00:00 UTC)"
    );
    let text = logged(LOG, &decision(&["Use MySQL"])).unwrap();
    let oracle = |supersedes: &[&str]| LogDecision { title: "Use Oracle".into(), ..decision(supersedes) };
    assert_eq!(
        reply(&text, &oracle(&["Use MySQL"])),
        "Decision logged: Use Oracle; it replaces Use MySQL (2026-01-01 10:00:00 UTC). Use MySQL (2026-01-01 10:00:00 UTC) was \
         already replaced by Use PostgreSQL (2026-02-01 00:00:00 UTC): if that does not hold any more, log a decision that \
         `supersedes` both"
    );
    let both = reply(&text, &oracle(&["Use MySQL", "Use PostgreSQL"]));
    assert!(both.contains("replaces Use MySQL") && !both.contains("already"), "{both}");
}

#[test]
fn the_advice_on_decisions_of_one_title_and_day_works() {
    let entry = |time: &str| format!("## Dup\n- **Date:** 2026-11-28 {time} UTC\n\n");
    let text = format!("# Decision Log\n\n{}{}", entry("10:00:00"), entry("11:00:00"));
    for named in ["Dup", "2026-11-28 Dup"] {
        let refused = logged(&text, &decision(&[named])).unwrap_err();
        assert!(refused.contains("as in `2026-11-28 11:00:00 Dup`;"), "{refused}");
    }
    let text = logged(&text, &decision(&["2026-11-28 11:00:00 Dup"])).unwrap();
    assert!(text.contains("11:00:00 UTC\n- **Superseded By:**"), "{text}");
    let days = logged(LOG, &decision(&["Use REST"])).unwrap_err();
    assert!(days.contains("give the date before the title, as in `2026-01-03 Use REST`;"), "{days}");
    let same = format!("# Decision Log\n\n{}{}", entry("10:00:00"), entry("10:00:00"));
    let refused = logged(&same, &decision(&["Dup"])).unwrap_err();
    assert!(refused.contains("change the heading") && !refused.contains("as in"), "{refused}");
}

#[rstest]
#[case("```\n- **Superseded By:** Use B\n```")]
#[case("~~~\n```\n- **Superseded By:** Use B\n~~~")]
#[case("<!--\n- **Valid Until:** 2026-01-01\n-->")]
#[case("- **Context:** as found:\n  - **Expires:** 2025-01-01\n  ```\n  - **Superseded By:** Use B\n  ```")]
#[case("- **Valid Until:** version 5")]
#[case("- **Valid Until:** see issue 12")]
#[case("- **Valid Until:** 2026-11")]
#[case("- **Valid Until:** 11/28/2026")]
fn a_mark_in_code_a_comment_or_an_item_does_not_count_nor_does_another_form_of_a_date(#[case] lines: &str) {
    let text = format!("# Log\n\n## Use A\n- **Date:** 2026-01-01\n{lines}\n\n## Use B\nb\n");
    assert_eq!(without_ended(&text, i64::MAX), text);
    // A mark behind it counts.
    let ended = text.replace("\n\n## Use B", "\n\n- **Superseded By:** Use C\n\n## Use B");
    assert_eq!(without_ended(&ended, i64::MAX), "# Log\n\n## Use B\nb\n");
}

#[test]
fn an_argument_of_a_decision_is_no_mark() {
    let context =
        "Found:\n- **Expires:** 2025-01-01\n```\n- **Superseded By:** title\n```\n- **Date:** 2020-01-01";
    let text = logged(LOG, &LogDecision { context: context.into(), ..decision(&[]) }).unwrap();
    assert_eq!(without_ended(&text, at("2026-03-01T00:00:00Z")), text);
    let ended =
        logged(&text, &LogDecision { title: "Use Oracle".into(), ..decision(&["Use PostgreSQL"]) }).unwrap();
    assert!(!without_ended(&ended, at("2026-03-01T00:00:00Z")).contains("Found:"), "{ended}");
}

#[test]
fn a_heading_that_groups_decisions_is_not_replaced() {
    let text = "# Decision Log\n\n## 2026\n\n### Use Kafka\n- **Date:** 2026-01-01\n\n### Use Redis\n- **Date:** 2026-01-02\n";
    let refused = logged(text, &decision(&["2026"])).unwrap_err();
    assert!(refused.contains("no decision") && refused.contains("`Use Kafka`"), "{refused}");
    let one = logged(text, &decision(&["Use Kafka"])).unwrap();
    let rest = without_ended(&one, i64::MAX);
    assert!(!rest.contains("Use Kafka\n") && rest.contains("### Use Redis"), "{rest}");
    // A decision with parts of its own is one.
    let parts = "# Decision Log\n\n## Use Kafka\n\n### Context\nc\n\n### Consequences\nd\n";
    logged(parts, &decision(&["Use Kafka"])).unwrap();
}
