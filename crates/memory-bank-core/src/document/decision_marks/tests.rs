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

#[test]
fn line_endings_of_a_log_are_kept() {
    let windows = LOG.replace('\n', "\r\n");
    let text = logged(&windows, &decision(&["Use MySQL"])).unwrap();
    assert!(text.contains("\r\n- **Superseded By:** Use PostgreSQL (2026-02-01 00:00:00 UTC)\r\n"), "{text}");
    assert!(!text.replace("\r\n", "").contains('\n'));
}
