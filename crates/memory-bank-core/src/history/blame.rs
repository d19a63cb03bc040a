//! The version that wrote each line of a document.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::time::Duration;

use similar::{Algorithm, DiffTag, TextDiff};

use crate::history::{Chain, Damage, Link, Snapshot};

/// The time limit of each shortest difference. After it the difference is coarser, so a line may seem to be newer.
const TIME_LIMIT: Duration = Duration::from_millis(50);

/// Successive lines that one version wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blamed<'c> {
    /// The lines, counted from 0.
    pub lines: Range<usize>,
    /// The version; `None` if they are older than the versions that were examined.
    pub link: Option<&'c Link>,
    /// The version that wrote them first, if `link` brought back a whole text that the document had before.
    pub first: Option<&'c Link>,
}

/// The versions that wrote a line.
#[derive(Clone, Copy, Default)]
struct Origin<'c> {
    link: Option<&'c Link>,
    first: Option<&'c Link>,
}

impl Origin<'_> {
    fn numbers(&self) -> [Option<i64>; 2] {
        [self.link, self.first].map(|link| link.map(number))
    }
}

/// The origin of each line of the present text, in order. Without a document the list is empty.
///
/// # Errors
/// A text cannot be rebuilt.
pub fn blame(chain: &Chain) -> Result<Vec<Blamed<'_>>, Damage> {
    let Some(current) = &chain.current else { return Ok(Vec::new()) };
    let count = lines_of(&current.content).len();
    let mut origins: Vec<Origin<'_>> = vec![Origin::default(); count];
    // The lines of the text on the way back: which line of the present text each became.
    let mut lines: Vec<Option<usize>> = (0..count).map(Some).collect();
    // Lines of texts that were brought back, in the text that has them first on the way back: their places there and now.
    let mut again: BTreeMap<i64, Vec<(usize, usize)>> = BTreeMap::new();
    chain.walk(|link, after, before| {
        for (at, line) in again.remove(&number(link)).unwrap_or_default() {
            if let Some(place @ None) = lines.get_mut(at) {
                *place = Some(line);
            }
        }
        let (written, kept) = stepped_back(&lines, after, before);
        let former = former_with_the_text_of(chain, link);
        for (at, line) in written {
            let Some(origin) = origins.get_mut(line) else { continue };
            match (origin.link, former) {
                (None, _) => origin.link = Some(link),
                (Some(_), None) => origin.first = Some(link),
                (Some(_), Some(_)) => {}
            }
            if let Some(former) = former {
                again.entry(number(former)).or_default().push((at, line));
            }
        }
        lines = kept;
        let is_done = again.is_empty() && lines.iter().all(Option::is_none);
        if is_done { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    let mut blamed: Vec<Blamed<'_>> = Vec::new();
    for (line, origin) in origins.into_iter().enumerate() {
        let is_same =
            |last: &Blamed<'_>| Origin { link: last.link, first: last.first }.numbers() == origin.numbers();
        match blamed.last_mut() {
            Some(last) if is_same(last) => last.lines.end = line + 1,
            _ => blamed.push(Blamed { lines: line..line + 1, link: origin.link, first: origin.first }),
        }
    }
    Ok(blamed)
}

/// The newest version before this one after which the document had the same text.
fn former_with_the_text_of<'c>(chain: &'c Chain, link: &Link) -> Option<&'c Link> {
    let etag = link.version.etag.as_ref()?;
    let older = chain.links.iter().skip_while(|other| number(other) >= number(link));
    let mut same = older.filter(|other| other.version.etag.as_ref() == Some(etag));
    same.next()
}

fn number(link: &Link) -> i64 {
    link.version.number
}

fn lines_of(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

/// The lines of the present text that this version wrote, with their places in its text, and the lines of the text before it.
fn stepped_back(
    lines: &[Option<usize>],
    after: Option<&Snapshot>,
    before: Option<&Snapshot>,
) -> (Vec<(usize, usize)>, Vec<Option<usize>>) {
    let text =
        |snapshot: Option<&Snapshot>| snapshot.map_or_else(String::new, |snapshot| snapshot.text.clone());
    let (before, after) = (text(before), text(after));
    let (old, new) = (lines_of(&before), lines_of(&after));
    // Most changes are small, so the difference is made of the lines between the common ones.
    let start = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let (old_rest, new_rest) = (old.get(start..).unwrap_or_default(), new.get(start..).unwrap_or_default());
    let end = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(|(old, new)| old == new).count();
    let (old_mid, new_mid) = (start..old.len() - end, start..new.len() - end);
    let line = |at: usize| lines.get(at).copied().flatten();
    let mut kept: Vec<Option<usize>> = vec![None; old.len()];
    let mut keep = |old: usize, new: usize| {
        if let Some(kept) = kept.get_mut(old) {
            *kept = line(new);
        }
    };
    (0..start).for_each(|at| keep(at, at));
    (0..end).for_each(|back| keep(old.len() - 1 - back, new.len() - 1 - back));
    let mut written = Vec::new();
    let (old_lines, new_lines) =
        (old.get(old_mid.clone()).unwrap_or_default(), new.get(new_mid.clone()).unwrap_or_default());
    let diff = TextDiff::configure()
        .algorithm(Algorithm::Myers)
        .timeout(TIME_LIMIT)
        .diff_slices(old_lines, new_lines);
    for op in diff.ops() {
        let (old, new) = (op.old_range(), op.new_range());
        if op.tag() == DiffTag::Equal {
            old.zip(new).for_each(|(old, new)| keep(old_mid.start + old, new_mid.start + new));
        } else {
            let places = new.map(|new| new_mid.start + new);
            written.extend(places.filter_map(|place| Some((place, line(place)?))));
        }
    }
    (written, kept)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::document::{Document, DocumentPath, Etag};
    use crate::history::{Delta, Version, VersionKind};

    /// The chain of these texts; the first creates the document.
    fn chain(texts: &[&str]) -> Chain {
        let path = DocumentPath::parse("a.md").unwrap();
        let link = |(at, text): (usize, &&str)| {
            let former = at.checked_sub(1).map(|at| texts[at]);
            Link {
                version: Version {
                    kind: VersionKind::Changed,
                    etag: Some(Etag::of(text)),
                    ..Version::of_nobody(
                        "d".into(),
                        i64::try_from(at).unwrap() + 1,
                        path.clone(),
                        Timestamp::UNIX_EPOCH,
                    )
                },
                former: former.map(Etag::of),
                back: former.map(|former| Delta::between(former, text)),
            }
        };
        let last = texts.last().unwrap();
        Chain {
            links: texts.iter().enumerate().map(link).rev().collect(),
            current: Some(Document {
                path: path.clone(),
                content: (*last).to_owned(),
                etag: Etag::of(last),
                version: 0,
                updated_at: Timestamp::UNIX_EPOCH,
            }),
        }
    }

    fn numbers(chain: &Chain) -> Vec<Option<i64>> {
        let blamed = blame(chain).unwrap();
        blamed.iter().flat_map(|one| one.lines.clone().map(|_| one.link.map(number))).collect()
    }

    #[test]
    fn each_line_has_the_version_that_wrote_it() {
        let chain = chain(&[
            "one\ntwo\nthree\n",
            "zero\none\ntwo\nthree\n",
            "zero\none\n2\nthree\n",
            "zero\none\n2\nthree\nfour",
            "zero\none\n2\nthree\nfour\nfive\n",
        ]);
        assert_eq!(numbers(&chain), [Some(2), Some(1), Some(3), Some(1), Some(5), Some(5)]);
        let blamed = blame(&chain).unwrap();
        assert_eq!(blamed[4].lines, 4..6);
    }

    #[test]
    fn a_text_that_was_brought_back_names_who_wrote_it_first_and_who_brought_it_back() {
        let chain = chain(&["a\nb\n", "a\nb\nc\n", "a\n", "x\n", "a\nb\nc\n", "a\nb\nc\nd\n"]);
        let first = |chain: &Chain| -> Vec<(Option<i64>, Option<i64>)> {
            let blamed = blame(chain).unwrap();
            blamed
                .iter()
                .flat_map(|one| one.lines.clone().map(|_| (one.link.map(number), one.first.map(number))))
                .collect()
        };
        assert_eq!(
            first(&chain),
            [(Some(5), Some(1)), (Some(5), Some(1)), (Some(5), Some(2)), (Some(6), None)]
        );
        // Brought back twice: the first of all is named.
        let twice = self::chain(&["a\n", "b\n", "a\n", "b\n", "a\n"]);
        assert_eq!(first(&twice), [(Some(5), Some(1))]);
    }

    proptest::proptest! {
        #[test]
        fn each_line_is_in_the_text_of_its_version_and_of_all_later_ones(
            texts in proptest::collection::vec("([abc]\n){0,8}", 1..8)
        ) {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let chain = chain(&texts);
            let blamed = blame(&chain).unwrap();
            let current = lines_of(texts.last().unwrap());
            let covered: Vec<usize> = blamed.iter().flat_map(|one| one.lines.clone()).collect();
            proptest::prop_assert_eq!(covered, (0..current.len()).collect::<Vec<_>>());
            for one in &blamed {
                let first = usize::try_from(number(one.link.unwrap())).unwrap() - 1;
                for line in one.lines.clone() {
                    proptest::prop_assert!(texts[first..].iter().all(|text| lines_of(text).contains(&current[line])));
                }
            }
        }
    }

    #[test]
    fn moved_lines_are_new_and_lines_before_the_first_version_have_none() {
        let mut chain = chain(&["a\nb\nc\n", "a\nc\nb\nd\n", "a\nc\nb\nd\n!\n"]);
        chain.links.truncate(2);
        let numbers = numbers(&chain);
        assert_eq!((numbers[0], numbers[4]), (None, Some(3)));
        assert_eq!(numbers.iter().filter(|number| **number == Some(2)).count(), 2, "{numbers:?}");
    }

    #[test]
    fn a_document_without_lines_or_that_is_gone_has_none() {
        assert!(numbers(&chain(&[""])).is_empty());
        assert!(blame(&Chain { current: None, ..chain(&["x"]) }).unwrap().is_empty());
    }
}
