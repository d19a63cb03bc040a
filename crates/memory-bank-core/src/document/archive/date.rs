//! Dates as people and assistants write them at the head of an entry: `2026-11-22 09:30:07`, `Nov 22, 2026, 9:30 AM`,
//! `22 November 2026`. Time zones are not looked at: entries of one log have one.

use jiff::civil::{Date, DateTime};

/// How much of a text is looked at.
const HEAD_CHARS: usize = 160;

/// The date that a text begins with, marks before it left out. Without a time of day it is midnight.
pub(in crate::document) fn date_at_start(text: &str) -> Option<DateTime> {
    let bare = text.trim_start_matches(|sign: char| sign.is_whitespace() || "[(*_`#~".contains(sign));
    let bare =
        ["x] ", "X] ", "] "].iter().find_map(|ticked| bare.strip_prefix(ticked)).map_or(bare, |rest| {
            rest.trim_start_matches(|sign: char| sign.is_whitespace() || "[(*_`~".contains(sign))
        });
    date_in(&words_of(bare))
}

/// The first date in a text.
pub(in crate::document) fn date_anywhere(text: &str) -> Option<DateTime> {
    let words = words_of(text);
    (0..words.len()).find_map(|first| date_in(words.get(first..)?))
}

/// A run of digits or of letters, and what stands between the one before and it.
struct Word<'t> {
    gap: &'t str,
    text: &'t str,
}

impl Word<'_> {
    fn number(&self) -> Option<i16> {
        self.text.parse().ok()
    }

    fn follows(&self, gaps: &[&str]) -> bool {
        gaps.contains(&self.gap)
    }

    /// White space, a comma, or both.
    fn is_apart(&self) -> bool {
        !self.gap.is_empty() && self.gap.chars().all(|sign| sign.is_whitespace() || matches!(sign, ',' | '.'))
    }
}

fn words_of(text: &str) -> Vec<Word<'_>> {
    let end = text.char_indices().nth(HEAD_CHARS).map_or(text.len(), |(at, _)| at);
    let mut rest = text.get(..end).unwrap_or_default();
    let mut words = Vec::new();
    loop {
        let gap = rest.find(char::is_alphanumeric).unwrap_or(rest.len());
        let (before, after) = rest.split_at(gap);
        let Some(first) = after.chars().next() else { return words };
        let digits = first.is_ascii_digit();
        let same = |sign: char| sign.is_ascii_digit() == digits && sign.is_alphanumeric();
        let length = after.find(|sign| !same(sign)).unwrap_or(after.len());
        let (word, left) = after.split_at(length);
        words.push(Word { gap: before, text: word });
        rest = left;
    }
}

/// The date that these words begin with.
fn date_in(words: &[Word<'_>]) -> Option<DateTime> {
    let (first, second) = (words.first()?, words.get(1)?);
    let third = words.get(2);
    if first.text.len() == 4 && first.number().is_some() {
        let third = third?;
        let is_date = ["-", "/", "."].iter().any(|sign| second.follows(&[sign]) && third.follows(&[sign]));
        let date = date(first.number()?, second.number()?, third.number()?).filter(|_| is_date)?;
        return Some(at_time(date, words.get(3..).unwrap_or_default()));
    }
    let ordinal = |word: &Word<'_>| word.gap.is_empty() && ["st", "nd", "rd", "th"].contains(&word.text);
    let (month, day, mut next) = match (month_of(first.text), first.number()) {
        (Some(month), _) if second.is_apart() => (month, second.number()?, 2),
        (None, Some(day)) => {
            let at = if ordinal(second) { 2 } else { 1 };
            let month = words.get(at).filter(|word| word.is_apart())?;
            (month_of(month.text)?, day, at + 1)
        }
        _ => return None,
    };
    if words.get(next).is_some_and(ordinal) {
        next += 1;
    }
    let year = words.get(next).filter(|word| word.is_apart() && word.text.len() == 4)?.number()?;
    Some(at_time(date(year, month, day)?, words.get(next + 1..).unwrap_or_default()))
}

fn date(year: i16, month: i16, day: i16) -> Option<Date> {
    Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
}

/// The date at the time of day that these words begin with; midnight if they begin with none.
fn at_time(date: Date, words: &[Word<'_>]) -> DateTime {
    time_in(words)
        .and_then(|(hour, minute, second)| {
            DateTime::new(date.year(), date.month(), date.day(), hour, minute, second, 0).ok()
        })
        .unwrap_or_else(|| date.to_datetime(jiff::civil::Time::midnight()))
}

fn time_in(words: &[Word<'_>]) -> Option<(i8, i8, i8)> {
    let joined = words.first().is_some_and(|word| ["T", "t", "at", "um"].contains(&word.text));
    let words = words.get(usize::from(joined)..)?;
    let (hour, minute) = (words.first()?, words.get(1)?);
    if !(joined || hour.is_apart()) || !minute.follows(&[":"]) {
        return None;
    }
    let second = words.get(2).filter(|word| word.follows(&[":"]) && word.number().is_some());
    let half = words.get(if second.is_some() { 3 } else { 2 }).map(|word| word.text.to_ascii_lowercase());
    let hour = match (hour.number()?, half.as_deref()) {
        (12, Some("am")) => 0,
        (hour @ 1..=11, Some("pm")) => hour + 12,
        (hour, _) => hour,
    };
    let narrow = |number: i16| i8::try_from(number).ok();
    Some((narrow(hour)?, narrow(minute.number()?)?, narrow(second.and_then(Word::number).unwrap_or(0))?))
}

fn month_of(word: &str) -> Option<i16> {
    const MONTHS: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let word = word.to_lowercase();
    if word.len() < 3 {
        return None;
    }
    let found = MONTHS
        .iter()
        .zip(1..)
        .find(|(name, _)| name.starts_with(&word) || (word == "sept" && **name == "september"));
    found.map(|(_, number)| number)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("[2026-11-22 09:30:07] [alice] - Did: thing", Some("2026-11-22T09:30:07"))]
    #[case("2026-11-22T09:30:07.062Z done", Some("2026-11-22T09:30:07"))]
    #[case("**2026-11-22** - done", Some("2026-11-22T00:00:00"))]
    #[case("[x] [2026-11-22] done", Some("2026-11-22T00:00:00"))]
    #[case("2026/1/2 9:05 done", Some("2026-01-02T09:05:00"))]
    #[case("[Nov 22, 2026, 9:30 AM] ✨ Feature: x", Some("2026-11-22T09:30:00"))]
    #[case("[Nov 22, 2026, 12:05\u{202f}AM] note", Some("2026-11-22T00:05:00"))]
    #[case("November 2nd, 2026 at 5:01 pm: x", Some("2026-11-02T17:01:00"))]
    #[case("22 Sept. 2026", Some("2026-09-22T00:00:00"))]
    #[case("1st of May 2026", None)]
    #[case("2026-13-01 no month", None)]
    #[case("2026-02-30 no day", None)]
    #[case("[Date] - [Update]", None)]
    #[case("12 things in May 2026", None)]
    #[case("", None)]
    fn dates_at_the_head(#[case] text: &str, #[case] expected: Option<&str>) {
        assert_eq!(date_at_start(text).map(|date| date.to_string()).as_deref(), expected);
    }

    #[test]
    fn a_date_is_found_further_on() {
        assert_eq!(date_anywhere("ADR-12: Use nom (2026-11-22)").unwrap().to_string(), "2026-11-22T00:00:00");
        assert!(date_anywhere("Use nom 2.0.1 of 2026").is_none());
    }
}
