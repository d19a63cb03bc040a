//! The text of a former version, made of a later text and the steps back from it.

use crate::document::Etag;
use crate::history::Delta;

/// One step back: the version that it starts from, and the text that it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The number of the version whose change is taken back.
    pub number: i64,
    /// The replaced text.
    pub delta: Delta,
    /// The etag of the text before it.
    pub before: Etag,
}

/// Why a text cannot be rebuilt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The step back from this version leads to a text with another etag.
    #[error("the text before version {number} does not have its etag {expected}")]
    Text {
        /// The version.
        number: i64,
        /// The etag that was recorded.
        expected: Etag,
    },
    /// The text after this version is not what the next version began with, so a change between them is unknown.
    #[error("a change after version {number} is not in the history")]
    Gap {
        /// The version.
        number: i64,
    },
    /// The steps need a later text, which is not kept.
    #[error("no text is kept from which the version could be rebuilt")]
    NoText,
}

/// Takes back the changes of these versions, newest first, beginning with `newest`, the text after the first of them.
/// A step with a whole text starts again from it. Without steps the newest text itself is returned. The etags on the way name the
/// damage; only
/// that of the requested text decides, so that a wrong etag of one version hides no other.
///
/// # Errors
/// The text has another etag than its version: the history is damaged or incomplete. A text with a wrong etag is never
/// returned.
pub fn rebuild(newest: Option<&str>, steps: &[Step]) -> Result<String, Damage> {
    // Steps before the last whole text are not needed.
    let first = steps.iter().rposition(|step| step.delta.is_whole()).unwrap_or(0);
    let mut text = newest.map(str::to_owned);
    let mut found = None;
    for step in steps.get(first..).unwrap_or_default() {
        let damage = || Damage::Text { number: step.number, expected: step.before.clone() };
        let former = match &text {
            _ if step.delta.is_whole() => step.delta.undo("").map_err(|_| damage())?,
            Some(after) => step.delta.undo(after).map_err(|_| found.clone().unwrap_or_else(damage))?,
            None => return Err(Damage::NoText),
        };
        if Etag::of(&former) != step.before {
            found.get_or_insert_with(damage);
        } else {
            found = None;
        }
        text = Some(former);
    }
    match found {
        Some(damage) => Err(damage),
        None => text.ok_or(Damage::NoText),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::limits;

    /// The steps back through these texts, newest first.
    fn steps(texts: &[String]) -> Vec<Step> {
        let mut steps: Vec<Step> = texts
            .windows(2)
            .enumerate()
            .map(|(at, pair)| {
                let number = i64::try_from(at).unwrap() + 2;
                Step {
                    number,
                    delta: Delta::of_version(number, &pair[0], &pair[1]),
                    before: Etag::of(&pair[0]),
                }
            })
            .collect();
        steps.reverse();
        steps
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_version_of_any_sequence_of_texts_reads_back_byte_for_byte(
            texts in proptest::collection::vec("(a|é|\u{1F600}|\r\n|\n|b){0,40}", 1..20)
        ) {
            let steps = steps(&texts);
            let newest = texts.last().map(String::as_str);
            for (back, text) in texts.iter().rev().enumerate() {
                prop_assert_eq!(&rebuild(newest, &steps[..back]).unwrap(), text);
            }
        }

        #[test]
        fn the_stored_form_of_a_delta_reads_back(before in "\\PC{0,60}", after in "\\PC{0,60}") {
            for delta in [Delta::between(&before, &after), Delta::whole(&before)] {
                let read = Delta::from_bytes(&delta.to_bytes()).unwrap();
                prop_assert_eq!(&read, &delta);
                prop_assert_eq!(read.undo(&after).unwrap(), before.clone());
            }
        }
    }

    #[test]
    fn a_text_with_another_etag_is_never_returned() {
        let texts = ["one\ntwo\n", "one\n2\n", "one\n2\nthree\n"].map(str::to_owned);
        let mut steps = steps(&texts);
        let damage = rebuild(Some("0ne\n2\nthree\n"), &steps).unwrap_err();
        assert_eq!(damage, Damage::Text { number: 3, expected: Etag::of("one\n2\n") });
        steps[0].delta = Delta::whole("planted");
        assert!(rebuild(Some(&texts[2]), &steps).is_err());
    }

    #[test]
    fn a_wrong_etag_of_one_version_hides_no_other() {
        let texts =
            ["one\n", "one\ntwo\n", "one\ntwo\nthree\n", "one\ntwo\nthree\nfour\n"].map(str::to_owned);
        let mut steps = steps(&texts);
        steps[1].before = Etag::of("another");
        assert_eq!(rebuild(Some(&texts[3]), &steps[..1]).unwrap(), texts[2]);
        assert!(rebuild(Some(&texts[3]), &steps[..2]).is_err());
        assert_eq!(rebuild(Some(&texts[3]), &steps).unwrap(), texts[0]);
    }

    #[test]
    fn a_whole_text_needs_no_later_one() {
        let count = usize::try_from(limits::VERSIONS_TO_WHOLE).unwrap() + 3;
        let texts: Vec<String> = (1..=count).map(|lines| "- a line\n".repeat(lines)).collect();
        let steps = steps(&texts);
        assert_eq!(rebuild(None, &steps).unwrap(), texts[0]);
        assert_eq!(rebuild(None, &steps[..2]), Err(Damage::NoText));
    }
}
