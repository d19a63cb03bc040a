//! Parses dates as people and assistants write them at the head of an entry: `2026-11-22 09:30:07`, `Nov 22, 2026,
//! 9:30 AM`, `22 November 2026`, `26.11.2026`, `26 novembre 2026`, `2026年11月26日`. An ambiguous date (`03/04/2026`) is
//! ignored. A time with a zone is converted to UTC; others are taken as they are, since entries of one log share a
//! zone.

use jiff::ToSpan;
use jiff::civil::{Date, DateTime};

use super::date_names::{month_of, weekday};
use crate::unicode::is_alphanumeric;

/// How many characters of a text are scanned.
const MAX_SCANNED_CHARS: usize = 160;
/// More words than a date at the head of a text has, with the word before it, a weekday, a time and its zone.
const MAX_HEAD_WORDS: usize = 32;
/// The most words before a date at the head: a label and a weekday.
const MAX_WORDS_BEFORE: usize = 2;

/// The date at the beginning of a text, after marks such as bullets. Without a time of day it is midnight.
pub(super) fn date_at_start(text: &str) -> Option<DateTime> {
    head(text, MAX_HEAD_WORDS).map(|(date, _)| date)
}

/// Whether one date is later than another. A date without a time does not order entries within its day.
pub(super) fn is_later(one: DateTime, other: DateTime) -> bool {
    let timed = |date: DateTime| date.time() != jiff::civil::Time::midnight();
    one.date() > other.date() || one > other && timed(one) && timed(other)
}

/// The date at the beginning of a text, and the text after it, without brackets, dashes and colons around it.
pub(super) fn dated(text: &str) -> Option<(DateTime, &str)> {
    let (date, end) = head(text, MAX_HEAD_WORDS)?;
    Some((date, after_date(text.get(end..).unwrap_or_default())))
}

/// As [`dated`], for a line of this server's logs, `[2026-11-22 09:30:07 UTC] …`; none for other lines.
pub(super) fn dated_log_line(line: &str) -> Option<(DateTime, &str)> {
    let bare = line.strip_prefix('[')?;
    let (date, end) = of_log_line(bare)?;
    Some((date, after_date(bare.get(end..).unwrap_or_default())))
}

/// The text after a date, without brackets, dashes and colons around it.
fn after_date(rest: &str) -> &str {
    rest.trim_start_matches(|character: char| {
        character.is_whitespace() || "])}】）*_`:：-–—|,.~>".contains(character)
    })
}

/// The date in the first `most` words of a text, at its head, and the offset after it.
fn head(text: &str, most: usize) -> Option<(DateTime, usize)> {
    let marks = |character: char| {
        character.is_whitespace()
            || matches!(character, '[' | '(' | '*' | '_' | '`' | '#' | '~' | '【' | '（' | '>')
            || !(character.is_alphanumeric() || character.is_ascii())
    };
    let bare = text.trim_start_matches(marks);
    // The rest of a check box.
    let unticked = bare.strip_prefix(['x', 'X']).unwrap_or(bare);
    let bare = unticked.strip_prefix("] ").map_or(bare, |rest| rest.trim_start_matches(marks));
    if let Some((date, end)) = of_log_line(bare) {
        return Some((date, text.len() - bare.len() + end));
    }
    // "Date: 2026-11-26", "Session of 2026-11-26": the word before the date is not part of it.
    let labels = [
        "date",
        "datum",
        "data",
        "fecha",
        "дата",
        "updated",
        "session",
        "日期",
        "日付",
        "날짜",
        "sitzung",
        "sesion",
        "sessao",
        "sessione",
        "сессия",
        "sesja",
    ];
    let skipped = |words: &[Word<'_>]| {
        // Most lines begin with a date, or have none.
        if words.first().is_some_and(Word::is_number) {
            return 0;
        }
        let label = usize::from(
            words.first().is_some_and(|word| labels.contains(&word.text.to_lowercase().as_str())),
        );
        if words.get(label).is_some_and(|word| weekday(word.text)) { label + 1 } else { label }
    };
    let first = words_of(bare, most.min(MAX_WORDS_BEFORE + 1));
    let skipped = skipped(&first);
    if first.get(skipped).is_none_or(|word| !word.is_number() && month_of(word.text).is_none()) {
        return None;
    }
    let words = words_of(bare, most);
    let (date, used) = date_in(words.get(skipped..)?)?;
    let last = words.get(skipped + used.checked_sub(1)?)?;
    Some((date, text.len() - bare.len() + last.end))
}

/// The date of a log line of this server without its first bracket, `2026-11-22 09:30:07 UTC] …`, and the offset after it, as the
/// words decide; nearly every line of a large bank has it. `None` if only the words decide.
fn of_log_line(bare: &str) -> Option<(DateTime, usize)> {
    let bytes = bare.as_bytes();
    let day = day_at_start(bytes)?;
    let is_timed = matches!(bytes, [_, _, _, _, _, _, _, _, _, _, b' ', _, _, b':', _, _, b':', ..]);
    if !is_timed {
        return None;
    }
    let part = |at: usize| two_digits(bytes, at).and_then(|number| i8::try_from(number).ok());
    let (hour, minute, second) = (part(11)?, part(14)?, part(17)?);
    let end = match bytes.get(19..)? {
        [b' ', b'U', b'T', b'C', b']', ..] => 23,
        // The words "AM" and "PM" may be far behind it.
        [b']', b' ', b'[' | b'-', ..] if !may_be_half_of_day(bare) => 19,
        _ => return None,
    };
    let time = DateTime::new(day.year(), day.month(), day.day(), hour, minute, second, 0).ok()?;
    Some((time, end))
}

/// Whether the first word behind the bracket of a log line may be "AM" or "PM".
fn may_be_half_of_day(line: &str) -> bool {
    let behind = line.split_once(']').map_or("", |(_, behind)| behind);
    let word = behind.trim_start_matches(|character: char| !is_alphanumeric(character));
    matches!(word.as_bytes(), [b'a' | b'A' | b'p' | b'P', b'm' | b'M', ..])
}

/// Whether a text begins with a day as logs have it, `2026-11-22`: then [`date_anywhere`] finds that one.
pub(super) fn begins_with_day(text: &str) -> bool {
    day_at_start(text.as_bytes()).is_some()
}

fn day_at_start(bytes: &[u8]) -> Option<Date> {
    let is_day = matches!(bytes, [_, _, _, _, b'-', _, _, b'-', _, _, rest @ ..] if !rest.first().is_some_and(u8::is_ascii_digit));
    if !is_day {
        return None;
    }
    let year = two_digits(bytes, 0)? * 100 + two_digits(bytes, 2)?;
    date(year, two_digits(bytes, 5)?, two_digits(bytes, 8)?)
}

fn two_digits(bytes: &[u8], at: usize) -> Option<i16> {
    let digit =
        |at: usize| bytes.get(at).filter(|byte| byte.is_ascii_digit()).map(|byte| i16::from(byte - b'0'));
    Some(digit(at)? * 10 + digit(at + 1)?)
}

/// The first date in a text.
pub(super) fn date_anywhere(text: &str) -> Option<DateTime> {
    // Every form of a date has digits.
    if !text.bytes().any(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let words = words_of(text, usize::MAX);
    (0..words.len()).find_map(|first| date_in(words.get(first..)?)).map(|(date, _)| date)
}

/// A run of digits or of letters, and the text between the previous run and it.
struct Word<'t> {
    gap: &'t str,
    text: &'t str,
    /// Where it ends.
    end: usize,
}

impl Word<'_> {
    /// Whether it begins with a digit; a digit of another script belongs to a word of letters.
    fn is_number(&self) -> bool {
        self.text.starts_with(|first: char| first.is_ascii_digit())
    }

    fn number(&self) -> Option<i16> {
        self.text.parse().ok()
    }

    fn follows(&self, gaps: &[&str]) -> bool {
        gaps.contains(&self.gap)
    }

    /// White space, a comma, or both.
    fn is_apart(&self) -> bool {
        !self.gap.is_empty()
            && self.gap.chars().all(|character| character.is_whitespace() || matches!(character, ',' | '.'))
    }
}

/// The first `most` words of a text.
fn words_of(text: &str, most: usize) -> Vec<Word<'_>> {
    let is_short = text.len() <= MAX_SCANNED_CHARS;
    let cut = || text.char_indices().nth(MAX_SCANNED_CHARS).map_or(text.len(), |(at, _)| at);
    let end = if is_short { text.len() } else { cut() };
    let mut rest = text.get(..end).unwrap_or_default();
    let mut words = Vec::new();
    let mut at = 0;
    loop {
        let gap = rest.find(is_alphanumeric).unwrap_or(rest.len());
        let (before, after) = rest.split_at(gap);
        let Some(first) = after.chars().next() else { return words };
        let digits = first.is_ascii_digit();
        let same = |character: char| character.is_ascii_digit() == digits && is_alphanumeric(character);
        let length = after.find(|character| !same(character)).unwrap_or(after.len());
        let (word, left) = after.split_at(length);
        at += gap + length;
        words.push(Word { gap: before, text: word, end: at });
        if words.len() == most {
            return words;
        }
        rest = left;
    }
}

/// The date at the beginning of these words, and how many words it consists of.
fn date_in(words: &[Word<'_>]) -> Option<(DateTime, usize)> {
    numbers(words).or_else(|| eastern(words)).or_else(|| with_month_name(words))
}

/// `2026-11-26`, `2026/11/26`, `26.11.2026`, and `26/11/2026` if it is unambiguous.
fn numbers(words: &[Word<'_>]) -> Option<(DateTime, usize)> {
    let (first, second, third) = (words.first()?, words.get(1)?, words.get(2)?);
    let sign =
        ["-", "/", ".", ". "].into_iter().find(|sign| second.follows(&[sign]) && third.follows(&[sign]))?;
    let rest = words.get(3..).unwrap_or_default();
    let (a, b, c) = (first.number()?, second.number()?, third.number()?);
    let day = if first.text.len() == 4 {
        date(a, b, c)?
    } else if third.text.len() == 4 && first.text.len() <= 2 && second.text.len() <= 2 {
        match sign {
            // A full stop follows the day in every language.
            "." | ". " => date(c, b, a)?,
            _ if a == b || a > 12 => date(c, b, a)?,
            _ if b > 12 => date(c, a, b)?,
            _ => return None,
        }
    } else {
        return None;
    };
    Some(at_time(day, rest, 3))
}

/// `2026年11月26日`, `2026년 11월 26일`.
fn eastern(words: &[Word<'_>]) -> Option<(DateTime, usize)> {
    let (year, first) = (words.first()?, words.get(1)?);
    let (month, second) = (words.get(2)?, words.get(3)?);
    let (day, third) = (words.get(4)?, words.get(5)?);
    let signs = [("年", "月", "日"), ("년", "월", "일")];
    let third_sign =
        |sign: &str| third.text.starts_with(sign) || (sign == "日" && third.text.starts_with('号'));
    if year.text.len() != 4
        || !signs.iter().any(|(y, m, d)| first.text == *y && second.text == *m && third_sign(d))
    {
        return None;
    }
    Some(at_time(
        date(year.number()?, month.number()?, day.number()?)?,
        words.get(6..).unwrap_or_default(),
        6,
    ))
}

/// `Nov 22nd, 2026`, `22 November 2026`, `22 de noviembre de 2026`.
fn with_month_name(words: &[Word<'_>]) -> Option<(DateTime, usize)> {
    let (first, second) = (words.first()?, words.get(1)?);
    let ordinal =
        |word: &Word<'_>| word.gap.is_empty() && ["st", "nd", "rd", "th", "er", "º"].contains(&word.text);
    let of = |word: &Word<'_>| ["de", "di", "del"].contains(&word.text);
    let (month, day, mut next) = match (month_of(first.text), first.number()) {
        (Some(month), _) if second.is_apart() => (month, second.number()?, 2),
        (None, Some(day)) => {
            let mut at = if ordinal(second) { 2 } else { 1 };
            if words.get(at).is_some_and(of) {
                at += 1;
            }
            let month = words.get(at).filter(|word| word.is_apart() || word.follows(&["-"]))?;
            (month_of(month.text)?, day, at + 1)
        }
        _ => return None,
    };
    if words.get(next).is_some_and(|word| ordinal(word) || of(word)) {
        next += 1;
    }
    let year = words
        .get(next)
        .filter(|word| (word.is_apart() || word.follows(&["-"])) && word.text.len() == 4)?
        .number()?;
    let mut used = next + 1;
    // `26 ноября 2026 г.`
    if words.get(used).is_some_and(|word| matches!(word.text, "г" | "года" | "r" | "roku")) {
        used += 1;
    }
    Some(at_time(date(year, month, day)?, words.get(used..).unwrap_or_default(), used))
}

fn date(year: i16, month: i16, day: i16) -> Option<Date> {
    if !(1900..=2999).contains(&year) {
        return None;
    }
    Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
}

/// The date with the time of day at the beginning of these words, or midnight. Returns the number of words of both;
/// the date has `used` words.
fn at_time(date: Date, words: &[Word<'_>], used: usize) -> (DateTime, usize) {
    let timed = time_in(words).and_then(|((hour, minute, second), zone, more)| {
        let time = DateTime::new(date.year(), date.month(), date.day(), hour, minute, second, 0).ok()?;
        Some((time.checked_sub(zone.minutes()).ok()?, used + more))
    });
    timed.unwrap_or_else(|| (date.to_datetime(jiff::civil::Time::midnight()), used))
}

/// A time of day, the minutes by which its zone is ahead of UTC, and the number of words of both.
fn time_in(all: &[Word<'_>]) -> Option<((i8, i8, i8), i64, usize)> {
    let joined = all
        .first()
        .is_some_and(|word| ["T", "t", "at", "um", "à", "a", "alle", "о", "в"].contains(&word.text));
    let mut used = usize::from(joined);
    let words = all.get(used..)?;
    let (hour, minute) = (words.first()?, words.get(1)?);
    if !(joined || hour.is_apart() || hour.follows(&[" (", ", ", " - ", " | "])) || !minute.follows(&[":"]) {
        return None;
    }
    let second = words.get(2).filter(|word| word.follows(&[":"]) && word.number().is_some());
    let mut next = if second.is_some() { 3 } else { 2 };
    let half = words.get(next).map(|word| word.text.to_ascii_lowercase());
    let hour = match (hour.number()?, half.as_deref()) {
        (12, Some("am")) => 0,
        (hour @ 1..=11, Some("pm")) => hour + 12,
        (hour, _) => hour,
    };
    if matches!(half.as_deref(), Some("am" | "pm")) {
        next += 1;
    }
    // Fractions of a second follow a full stop.
    if words.get(next).is_some_and(|word| {
        word.follows(&["."]) && word.text.chars().all(|character| character.is_ascii_digit())
    }) {
        next += 1;
    }
    let mut zone = 0;
    if let Some(word) = words.get(next) {
        let named = matches!(word.text, "Z" | "UTC" | "GMT") && word.gap.len() <= 1;
        next += usize::from(named);
        let offset =
            if named { words.get(next).filter(|word| matches!(word.gap, "+" | "-")) } else { Some(word) };
        if let Some(word) = offset
            && let Some(sign) =
                [("+", 1), (" +", 1), ("-", -1), (" -", -1)].iter().find(|(gap, _)| word.gap == *gap)
        {
            let (hours, minutes) =
                match (word.text.len(), words.get(next + 1).filter(|word| word.follows(&[":"]))) {
                    (2, Some(minutes)) => (word.number(), minutes.number()),
                    (4, _) => (word.number().map(|both| both / 100), word.number().map(|both| both % 100)),
                    // `UTC+2`
                    (1 | 2, None) if named => (word.number(), Some(0)),
                    _ => (None, None),
                };
            if let (Some(hours @ 0..=14), Some(minutes @ 0..=59)) = (hours, minutes) {
                zone = sign.1 * (i64::from(hours) * 60 + i64::from(minutes));
                let has_minutes = words.get(next + 1).is_some_and(|word| word.follows(&[":"]));
                next += if word.text.len() == 2 && has_minutes { 2 } else { 1 };
            }
        }
    }
    used += next;
    let narrow = |number: i16| i8::try_from(number).ok();
    let time =
        (narrow(hour)?, narrow(minute.number()?)?, narrow(second.and_then(Word::number).unwrap_or(0))?);
    Some((time, zone, used))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    /// Parts of dates, of times, and of the text around them.
    const PARTS: &[&str] = &[
        "[", "]", "(", "**", "- ", " ", ", ", ".", "/", "-", ":", "T", "Z", "+", "UTC", "2026", "11", "22",
        "9", "30", "07", "Nov", "november", "de", "22nd", "Monday", "Session", "date", "at", "pm", "AM",
        "年", "月", "日", "г.", "x", "words", "a", "1", "062", "+02:00", " of ",
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn the_first_words_are_enough_for_a_date_at_the_head(
            parts in prop::collection::vec(prop::sample::select(PARTS), 0..60),
        ) {
            let text = parts.concat();
            prop_assert_eq!(head(&text, MAX_HEAD_WORDS), head(&text, usize::MAX), "{}", text);
        }

        #[test]
        fn the_date_of_a_log_line_is_that_of_its_words(
            day in prop::sample::select(&["2026-11-22", "2026-13-01", "1899-01-01", "2026-02-30", "2026-11-2", "2026-11-223"][..]),
            time in prop::sample::select(&[" 09:30:07", " 24:00:00", " 9:30:07", "T09:30:07", " 09:30", ""][..]),
            zone in prop::sample::select(&["", " UTC", "Z", " UTC+2", " +02:00"][..]),
            parts in prop::collection::vec(prop::sample::select(&["]", " ", "[", "-", "AM", "pm", "amber", "UTC", "a", ": ", "é", "5"][..]), 0..6),
        ) {
            let text = format!("{day}{time}{zone}{}", parts.concat());
            let words = words_of(&text, usize::MAX);
            let by_words = date_in(&words).map(|(date, used)| (date, words[used - 1].end));
            if let Some(found) = of_log_line(&text) {
                prop_assert_eq!(Some(found), by_words, "{}", text);
            }
            if begins_with_day(&text) {
                prop_assert!(date_anywhere(&text).is_some(), "{}", text);
            }
        }

        #[test]
        fn a_date_begins_with_a_number_or_a_month(
            parts in prop::collection::vec(prop::sample::select(PARTS), 0..20),
        ) {
            let text = parts.concat();
            let words = words_of(&text, usize::MAX);
            let begins = words.first().is_some_and(|word| word.is_number() || month_of(word.text).is_some());
            prop_assert!(begins || date_in(&words).is_none(), "{}", text);
        }

        #[test]
        fn a_date_has_digits(text in "\\PC{0,60}") {
            let words = words_of(&text, usize::MAX);
            let found = (0..words.len()).find_map(|first| date_in(words.get(first..)?)).map(|(date, _)| date);
            prop_assert_eq!(date_anywhere(&text), found);
        }
    }

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
    #[case("[2026-08-30 10:49] text", Some("2026-08-30T10:49:00"))]
    #[case("2026-08-30: text", Some("2026-08-30T00:00:00"))]
    #[case("✅ 2026-08-30 text", Some("2026-08-30T00:00:00"))]
    #[case("26.11.2026", Some("2026-11-26T00:00:00"))]
    #[case("3.4.2026 Umbau", Some("2026-04-03T00:00:00"))]
    #[case("26. November 2026", Some("2026-11-26T00:00:00"))]
    #[case("26 novembre 2026", Some("2026-11-26T00:00:00"))]
    #[case("1er août 2026", Some("2026-08-01T00:00:00"))]
    #[case("26 de noviembre de 2026", Some("2026-11-26T00:00:00"))]
    #[case("26 de março de 2026", Some("2026-03-26T00:00:00"))]
    #[case("26 ноября 2026 г. — сделано", Some("2026-11-26T00:00:00"))]
    #[case("26 listopada 2026", Some("2026-11-26T00:00:00"))]
    #[case("2026年11月26日 完成", Some("2026-11-26T00:00:00"))]
    #[case("2026년 11월 26일 완료", Some("2026-11-26T00:00:00"))]
    #[case("2026. 11. 26 완료", Some("2026-11-26T00:00:00"))]
    #[case("26/11/2026 x", Some("2026-11-26T00:00:00"))]
    #[case("11/26/2026 x", Some("2026-11-26T00:00:00"))]
    #[case("04/04/2026 x", Some("2026-04-04T00:00:00"))]
    #[case("Date: 2026-11-26", Some("2026-11-26T00:00:00"))]
    #[case("Session 2026-11-26", Some("2026-11-26T00:00:00"))]
    #[case("2026-11-26T01:30:00+02:00 x", Some("2026-11-25T23:30:00"))]
    #[case("2026-11-26 01:30 UTC x", Some("2026-11-26T01:30:00"))]
    #[case("2026-11-26 23:30 -0500 x", Some("2026-11-27T04:30:00"))]
    #[case("[2026-11-26 18:20 UTC+2] x", Some("2026-11-26T16:20:00"))]
    #[case("2026-11-26 18:20 GMT-03:00 x", Some("2026-11-26T21:20:00"))]
    #[case("03/04/2026 which day", None)]
    #[case("1st of May 2026", None)]
    #[case("2026-13-01 no month", None)]
    #[case("2026-02-30 no day", None)]
    #[case("[Date] - [Update]", None)]
    #[case("12 things in May 2026", None)]
    #[case("10.0.0.1 is down", None)]
    #[case("", None)]
    fn a_date_at_the_start_of_a_text_is_found(#[case] text: &str, #[case] expected: Option<&str>) {
        assert_eq!(date_at_start(text).map(|date| date.to_string()).as_deref(), expected);
    }

    #[test]
    fn a_date_is_found_further_on() {
        assert_eq!(date_anywhere("ADR-12: Use nom (2026-11-22)").unwrap().to_string(), "2026-11-22T00:00:00");
        assert!(date_anywhere("Use nom 2.0.1 of 2026").is_none());
    }

    #[rstest]
    #[case("[2026-08-30 10:49:40] - Use hooks.", "Use hooks.")]
    #[case("**2026-08-30**: Use hooks.", "Use hooks.")]
    #[case("Nov 26, 2026 – Use hooks.", "Use hooks.")]
    #[case("2026年11月26日：完成", "完成")]
    #[case("2026-08-30T10:49:40.062Z | Use hooks.", "Use hooks.")]
    #[case("[2026-08-30 10:49 UTC+2] Use hooks.", "Use hooks.")]
    #[case("2026-08-30", "")]
    fn a_leading_date_is_separated_from_its_text(#[case] text: &str, #[case] rest: &str) {
        assert_eq!(dated(text).map(|(_, rest)| rest), Some(rest));
    }
}
