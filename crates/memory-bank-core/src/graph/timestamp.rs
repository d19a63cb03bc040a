//! Timestamps: strict for new ones, lenient for those in a log.
//!
//! Logs contain everything that the date parser of a JavaScript runtime accepted (`2020`, `March 7, 2021`, `1`). A line is
//! only refused if that parser would have refused it, so the lenient half follows its rules; a date without a zone is
//! UTC.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::fmt::temporal::{Pieces, PiecesOffset};

use crate::clock::{iso_millis, within_years};
use crate::error::GraphError;
use crate::graph::ids::trim;
use crate::unicode::is_alphabetic;

/// Normalises the timestamp of a new observation: RFC 3339 becomes UTC with milliseconds; a plain date does not
/// change, so that ids equal those in existing logs.
///
/// # Errors
/// It has neither form.
pub fn parse_new(text: &str) -> Result<String, GraphError> {
    parse_argument("timestamp", text)
}

/// Parses the timestamp of an argument of this name.
///
/// # Errors
/// It has neither form.
pub fn parse_argument(argument: &str, text: &str) -> Result<String, GraphError> {
    let text = trim(text);
    let normal = if is_plain_date(text) {
        text.parse::<Date>().ok().filter(|day| day.year() >= 1).map(|_| text.to_owned())
    } else {
        rfc_3339(text).and_then(spelling)
    };
    normal.filter(|stamp| instant(stamp).is_some()).ok_or_else(|| {
        GraphError::Invalid(format!(
            "{argument} `{text}` is neither RFC 3339 (`2026-11-22T09:30:07Z`) nor a plain date (`2026-11-22`), of the years 0001 to 9999 in UTC"
        ))
    })
}

/// The last millisecond of the year 9999. It is later than [`Timestamp::MAX`], which leaves room for a time zone.
const LAST_MILLIS: i64 = 253_402_300_799_999;

/// The moment of a text in the form of RFC 3339, in milliseconds since 1970, also within the last day of the year 9999.
pub(crate) fn rfc_3339(text: &str) -> Option<i64> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at.as_millisecond());
    }
    let pieces = Pieces::parse(text).ok()?;
    let zone = match pieces.offset()? {
        PiecesOffset::Numeric(offset) => offset.offset().seconds(),
        PiecesOffset::Zulu => 0,
        _ => return None,
    };
    let (day, time) = (pieces.date(), pieces.time()?);
    let days = days_since_1970(day.year().into(), day.month().into(), day.day().into());
    let seconds = ((days * 24 + i64::from(time.hour())) * 60 + i64::from(time.minute())) * 60;
    let millis =
        (seconds + i64::from(time.second()) - i64::from(zone)) * 1000 + i64::from(time.millisecond());
    (millis > Timestamp::MAX.as_millisecond()).then_some(millis)
}

/// A moment in milliseconds since 1970 in the form of [`iso_millis`], if it is in the years 1 to 9999 in UTC.
#[must_use]
pub fn spelling(at: i64) -> Option<String> {
    const DAY: i64 = 24 * 60 * 60 * 1000;
    if let Ok(at) = Timestamp::from_millisecond(at) {
        return within_years(at).map(iso_millis);
    }
    // A day less has the same time of day, and a representable date.
    let earlier = Timestamp::from_millisecond(at.checked_sub(2 * DAY)?).ok().filter(|_| at <= LAST_MILLIS)?;
    let date = format!("9999-12-{}", if at > LAST_MILLIS - DAY { 31 } else { 30 });
    Some(format!("{date}{}", earlier.strftime("T%H:%M:%S%.3fZ")))
}

/// The moment of a stored timestamp, in milliseconds since 1970 UTC; `None` if it cannot be parsed as a date.
#[must_use]
pub fn instant(text: &str) -> Option<i64> {
    instant_of_millis_form(text)
        .or_else(|| rfc_3339(text))
        .or_else(|| midnight(text))
        .or_else(|| Legacy::default().parse(text))
}

/// The beginning of a plain date. Its year is as written, also if it is one that other forms take for one of the last century.
fn midnight(text: &str) -> Option<i64> {
    let day = is_plain_date(text).then(|| text.parse::<Date>().ok())??;
    Some(days_since_1970(day.year().into(), day.month().into(), day.day().into()) * 24 * 60 * 60 * 1000)
}

/// The moment of a timestamp of the form that [`iso_millis`] writes, `2026-11-22T09:30:07.000Z`, which nearly all in a log have.
/// `None` for any other form, and for a second that needs a calendar.
fn instant_of_millis_form(text: &str) -> Option<i64> {
    let bytes: &[u8; 24] = text.as_bytes().try_into().ok()?;
    let number = |from: usize, to: usize| {
        bytes.get(from..to)?.iter().try_fold(0_i64, |number, byte| {
            byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0'))
        })
    };
    let signs = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'.'), (23, b'Z')];
    if signs.iter().any(|(at, sign)| bytes.get(*at) != Some(sign)) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second, millis) = (number(11, 13)?, number(14, 16)?, number(17, 19)?, number(20, 23)?);
    // All months have 28 days; jiff knows the others.
    let is_plain =
        (1..=12).contains(&month) && (1..=28).contains(&day) && hour < 24 && minute < 60 && second < 60;
    is_plain.then(|| {
        (((days_since_1970(year, month, day) * 24 + hour) * 60 + minute) * 60 + second) * 1000 + millis
    })
}

/// The timestamp one millisecond after one of [`iso_millis`]; `None` after the last representable time.
pub(super) fn next_millisecond(stamp: &str) -> Option<String> {
    let at: Timestamp = stamp.parse().ok()?;
    at.checked_add(jiff::SignedDuration::from_millis(1)).ok().map(iso_millis)
}

/// Whether it has the form of a date without a time.
pub(super) fn is_plain_date(text: &str) -> bool {
    text.len() == 10
        && text.char_indices().all(|(at, character)| match at {
            4 | 7 => character == '-',
            _ => character.is_ascii_digit(),
        })
}

/// The lenient parser: numbers, month names and zone words in nearly any order.
#[derive(Default)]
struct Legacy {
    days: Vec<i64>,
    month: Option<i64>,
    time: Vec<i64>,
    millis: i64,
    afternoon: Option<bool>,
    zone: Option<i64>,
    time_open: bool,
    read_number: bool,
}

/// The last year of the time values of ECMAScript (ECMA-262, Time Values and Time Range).
const LATEST_YEAR: i64 = 275_760;

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

const ZONES: [(&str, i64); 13] = [
    ("z", 0),
    ("ut", 0),
    ("utc", 0),
    ("gmt", 0),
    ("est", -5),
    ("edt", -4),
    ("cst", -6),
    ("cdt", -5),
    ("mst", -7),
    ("mdt", -6),
    ("pst", -8),
    ("pdt", -7),
    ("t", 0),
];

impl Legacy {
    fn parse(mut self, text: &str) -> Option<i64> {
        let mut rest = text.chars().peekable();
        while let Some(character) = rest.next() {
            if character.is_ascii_digit() {
                let mut digits = String::from(character);
                while let Some(digit) = rest.next_if(char::is_ascii_digit) {
                    digits.push(digit);
                }
                self.number(&digits, rest.peek().copied())?;
                if self.time.is_empty() {
                    rest.next_if_eq(&'-');
                }
            } else if is_alphabetic(character) {
                let mut word = String::from(character);
                while let Some(more) = rest.next_if(|c| is_alphabetic(*c)) {
                    word.push(more);
                }
                self.word(&word.to_lowercase())?;
            } else if character == '(' {
                let mut depth = 1_u32;
                while depth > 0 {
                    match rest.next() {
                        Some('(') => depth += 1,
                        Some(')') => depth -= 1,
                        Some(_) => {}
                        None => break,
                    }
                }
            } else if matches!(character, '+' | '-') && (self.zone.is_some() || !self.time.is_empty()) {
                let mut digits = String::new();
                while let Some(digit) = rest.next_if(|c| c.is_ascii_digit() || *c == ':') {
                    if digit != ':' {
                        digits.push(digit);
                    }
                }
                self.offset(&digits, if character == '-' { -1 } else { 1 })?;
            } else if character == ')' && self.read_number {
                return None;
            }
        }
        self.moment()
    }

    fn number(&mut self, digits: &str, next: Option<char>) -> Option<()> {
        self.read_number = true;
        let value = digits.parse::<i64>().unwrap_or(i64::MAX).min(999_999_999);
        if next == Some(':') && self.time.len() < 3 {
            self.time_open = true;
            self.time.push(value);
        } else if self.time_open && self.time.len() < 3 {
            self.time.push(value);
            self.time_open = next == Some('.');
        } else if self.time_open && self.time.len() == 3 {
            // Only the first three decimals count.
            let decimals: String = digits.chars().chain("00".chars()).take(3).collect();
            self.millis = decimals.parse().unwrap_or(0);
            self.time_open = false;
        } else if self.days.len() < 3 {
            self.days.push(value);
        } else {
            return None;
        }
        Some(())
    }

    fn word(&mut self, word: &str) -> Option<()> {
        let start: String = word.chars().take(3).collect();
        if let Some(month) = MONTHS.iter().position(|name| **name == start) {
            self.month = i64::try_from(month + 1).ok();
        } else if word == "am" || word == "pm" {
            if self.time.is_empty() {
                let hour = self.days.pop()?;
                self.time.push(hour);
            }
            self.afternoon = Some(word == "pm");
        } else if let Some((name, hours)) = ZONES.iter().find(|(name, _)| *name == word) {
            if *name != "t" {
                self.zone = Some(hours * 60);
            }
        } else if self.read_number {
            // Words before the first number (a weekday, a label) are ignored; after it they make the date invalid.
            return None;
        }
        Some(())
    }

    fn offset(&mut self, digits: &str, sign: i64) -> Option<()> {
        let value = if digits.is_empty() { 0 } else { digits.parse::<i64>().ok()? };
        let minutes = match digits.len() {
            0..=2 => value * 60,
            3 | 4 => (value / 100) * 60 + value % 100,
            _ => return None,
        };
        self.zone = Some(sign * minutes);
        Some(())
    }

    fn moment(self) -> Option<i64> {
        let (year, month, day) = self.date()?;
        let mut time = self.time.iter().copied().chain([0, 0, 0]);
        let (mut hour, minute, second) = (time.next()?, time.next()?, time.next()?);
        if let Some(afternoon) = self.afternoon {
            if !(1..=12).contains(&hour) {
                return None;
            }
            hour = hour % 12 + if afternoon { 12 } else { 0 };
        }
        let midnight = hour == 24 && minute == 0 && second == 0 && self.millis == 0;
        if !(midnight || hour < 24) || minute > 59 || second > 59 {
            return None;
        }
        if year > LATEST_YEAR {
            return None;
        }
        let minutes = hour * 60 + minute - self.zone.unwrap_or(0);
        Some(((days_since_1970(year, month, day) * 1440 + minutes) * 60 + second) * 1000 + self.millis)
    }

    fn date(&self) -> Option<(i64, i64, i64)> {
        let is_day = |number: i64| (1..=31).contains(&number);
        let mut numbers = self.days.iter().copied();
        let first = numbers.next()?;
        let second = numbers.next().unwrap_or(1);
        let third = numbers.next().unwrap_or(1);
        let (year, month, day) = match self.month {
            None if !is_day(first) => (first, second, third),
            None => (third, first, second),
            Some(month) if !is_day(first) => (first, month, second),
            Some(month) => (second, month, first),
        };
        let year = match year {
            0..=49 => year + 2000,
            50..=99 => year + 1900,
            _ => year,
        };
        ((1..=12).contains(&month) && is_day(day)).then_some((year, month, day))
    }
}

/// Days from 1970-01-01 to a date of the proleptic Gregorian calendar; a day past the end of its month counts into
/// the next month.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn millis(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    proptest! {
        #[test]
        fn the_usual_form_is_read_as_any_other(at in -62_135_596_800_000_i64..253_402_300_800_000) {
            let text = spelling(at).unwrap();
            prop_assert_eq!(instant(&text), Some(at));
            let read = instant_of_millis_form(&text);
            prop_assert!(read == Some(at) || read.is_none());
        }

        #[test]
        fn the_usual_form_reads_what_the_calendar_has(text in "[0-3]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9]\\.[0-9]{3}Z") {
            if let Some(read) = instant_of_millis_form(&text) {
                prop_assert_eq!(Some(read), text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond));
            }
        }
    }

    #[rstest]
    #[case("2020", "2020-01-01T00:00:00Z")]
    #[case("2020-03", "2020-03-01T00:00:00Z")]
    #[case("2020-01-01", "2020-01-01T00:00:00Z")]
    #[case("0049-05-05", "0049-05-05T00:00:00Z")]
    #[case("0001-02-03", "0001-02-03T00:00:00Z")]
    #[case("March 7, 2021", "2021-03-07T00:00:00Z")]
    #[case("1", "2001-01-01T00:00:00Z")]
    #[case("2026-11-22T09:30:07.062Z", "2026-11-22T09:30:07.062Z")]
    #[case("2026-11-22T09:30", "2026-11-22T09:30:00Z")]
    #[case("2026-11-22 09:30:07", "2026-11-22T09:30:07Z")]
    #[case("2026-11-22T09:30:07.5+02:00", "2026-11-22T07:30:07.5Z")]
    #[case("Sun, 22 Nov 2026 09:30:07 GMT", "2026-11-22T09:30:07Z")]
    #[case("Sun Nov 22 2026 09:30:07 GMT+0100 (Central European Time)", "2026-11-22T08:30:07Z")]
    #[case("11/22/2026", "2026-11-22T00:00:00Z")]
    #[case("Nov 22, 2026, 9:30 PM", "2026-11-22T21:30:00Z")]
    #[case("x 7 March 99", "1999-03-07T00:00:00Z")]
    fn texts_that_javascript_parses_as_dates_are_dates(#[case] text: &str, #[case] moment: &str) {
        assert_eq!(instant(text), Some(millis(moment)));
    }

    #[rstest]
    #[case("x")]
    #[case("")]
    #[case("   ")]
    #[case("2020 or so")]
    #[case("yesterday")]
    #[case("2020-01-01T25:00:00")]
    #[case("999999999-03-04")]
    fn texts_that_are_not_dates_have_no_instant(#[case] text: &str) {
        assert_eq!(instant(text), None);
    }

    #[rstest]
    #[case("2020-01-01", "2020-01-01")]
    #[case(" 2026-11-22T09:30:07Z ", "2026-11-22T09:30:07.000Z")]
    #[case("2026-11-22T09:30:07.0629+01:00", "2026-11-22T08:30:07.062Z")]
    fn new_timestamps_are_normalised(#[case] given: &str, #[case] stored: &str) {
        assert_eq!(parse_new(given).unwrap(), stored);
    }

    #[rstest]
    #[case("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z")]
    #[case("0000-12-31T23:00:00-01:00", "0001-01-01T00:00:00.000Z")]
    #[case("9999-12-30T23:59:59+00:00", "9999-12-30T23:59:59.000Z")]
    #[case("9999-12-31T00:00:00Z", "9999-12-31T00:00:00.000Z")]
    #[case("9999-12-31T23:59:59.9999Z", "9999-12-31T23:59:59.999Z")]
    #[case("9999-12-31T10:30:00.5-12:00", "9999-12-31T22:30:00.500Z")]
    #[case("9999-12-31t23:59:59+05:30", "9999-12-31T18:29:59.000Z")]
    fn times_at_the_ends_of_the_years_are_kept(#[case] given: &str, #[case] stored: &str) {
        assert_eq!(parse_new(given).unwrap(), stored);
        assert_eq!(instant(stored).and_then(spelling).as_deref(), Some(stored));
        assert_eq!(rfc_3339(given), instant(stored));
    }

    #[rstest]
    #[case("9999-12-31T23:59:59-00:01")]
    #[case("9999-12-31T12:00:00-12:00")]
    #[case("0001-01-01T00:59:59+01:00")]
    #[case("9999-12-31T23:59:59")]
    #[case("10000-01-01T00:30:00+01:00")]
    fn times_beyond_the_ends_of_the_years_are_refused(#[case] given: &str) {
        assert!(matches!(parse_new(given), Err(GraphError::Invalid(text)) if text.contains("0001 to 9999")));
    }

    #[rstest]
    #[case("1")]
    #[case("2020")]
    #[case("March 7, 2021")]
    #[case("2020-02-30")]
    #[case("20200101")]
    #[case("0000-12-31")]
    #[case("-000100-01-01T00:00:00Z")]
    #[case("")]
    fn new_timestamps_must_be_rfc_3339_or_a_plain_date(#[case] given: &str) {
        assert!(matches!(parse_new(given), Err(GraphError::Invalid(text)) if text.contains("timestamp")));
    }

    proptest! {
        #[test]
        fn accepted_new_timestamps_can_be_loaded(text in "\\PC{0,12}|[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}(Z|[+-][0-9]{2}:[0-9]{2}))?") {
            if let Ok(stamp) = parse_new(&text) {
                prop_assert!(instant(&stamp).is_some());
            }
        }

        #[test]
        fn the_lenient_parser_never_panics(text in "\\PC{0,40}") {
            let _ = instant(&text);
        }
    }
}
