//! Dates in a text, in the forms in which people and tools write them. The calendar is used only to check that a day
//! exists.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::unicode::is_alphabetic;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// A date in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundDate {
    /// Its offset, in bytes.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// The year, if it is named.
    pub year: Option<i16>,
    /// The month.
    pub month: i8,
    /// The day, if it is named.
    pub day: Option<i8>,
    /// Month and day in the other reading of an ambiguous date such as `11/03/2026`.
    pub other: Option<(i8, i8)>,
    /// The time of day after it, in seconds.
    pub seconds: u32,
}

impl FoundDate {
    /// The day, if year, month and day are named.
    #[must_use]
    pub fn date(&self) -> Option<Date> {
        Date::new(self.year?, self.month, self.day?).ok()
    }

    /// The moment, in seconds since 1970, if the day is named.
    pub(super) fn seconds_since_1970(&self) -> Option<i64> {
        let midnight = self.date()?.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second();
        Some(midnight + i64::from(self.seconds))
    }

    /// The terms of the date: the day, the day of any year, the month.
    pub(super) fn terms(&self) -> Vec<String> {
        let mut terms = Vec::new();
        let mut days = |month: i8, day: i8| match self.year {
            Some(year) => {
                terms.push(format!("@{year:04}-{month:02}-{day:02}"));
                terms.push(format!("@{month:02}-{day:02}"));
            }
            None => terms.push(format!("@--{month:02}-{day:02}")),
        };
        if let Some(day) = self.day {
            days(self.month, day);
        }
        if let Some((month, day)) = self.other {
            days(month, day);
        }
        if let Some(year) = self.year {
            terms.push(format!("@{year:04}-{:02}", self.month));
        }
        terms
    }

    /// The terms that a query for this date searches, best first.
    pub(super) fn query_terms(&self) -> Vec<String> {
        let mut terms = Vec::new();
        let mut days = |month: i8, day: i8| {
            match self.year {
                Some(year) => terms.push(format!("@{year:04}-{month:02}-{day:02}")),
                None => terms.push(format!("@{month:02}-{day:02}")),
            }
            terms.push(format!("@--{month:02}-{day:02}"));
        };
        if let Some(day) = self.day {
            days(self.month, day);
        }
        if let Some((month, day)) = self.other {
            days(month, day);
        }
        if let (Some(year), None) = (self.year, self.day) {
            terms.push(format!("@{year:04}-{:02}", self.month));
        }
        terms
    }
}

/// The names of months and their abbreviations, in the languages of [`super::language::Language`].
const MONTHS: [&str; 12] = [
    "january jan januar jänner janvier janv enero ene janeiro gennaio gen января январь янв stycznia styczeń",
    "february feb februar février févr fév febrero fevereiro fev febbraio febr февраля февраль фев lutego luty",
    "march mar märz mrz mars marzo março марта март мар marca marzec",
    "april apr avril avr abril abr aprile апреля апрель апр kwietnia kwiecień",
    "may mai mayo maio maggio mag мая май maja maj",
    "june jun juni juin junio junho giugno giu июня июнь июн czerwca czerwiec",
    "july jul juli juillet juil julio julho luglio lug июля июль июл lipca lipiec",
    "august aug août aout agosto ago августа август авг sierpnia sierpień",
    "september sep sept septembre septiembre setembro set settembre сентября сентябрь сен września wrzesień",
    "october oct oktober okt octobre octubre outubro out ottobre ott октября октябрь окт października październik",
    "november nov novembre noviembre novembro ноября ноябрь ноя listopada listopad",
    "december dec dezember dez décembre déc diciembre dic dezembro dicembre декабря декабрь дек grudnia grudzień",
];

fn month_of(word: &str) -> Option<i8> {
    static NAMES: LazyLock<HashMap<&'static str, i8>> = LazyLock::new(|| {
        let months = (1_i8..).zip(MONTHS);
        months.flat_map(|(month, names)| names.split(' ').map(move |name| (name, month))).collect()
    });
    NAMES.get(word).copied()
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Number {
        value: u32,
        digits: usize,
    },
    Month(i8),
    /// `de`, `of`, `st`: words that may be part of a date.
    Filler,
    /// The unit of a number in Chinese, Japanese and Korean dates.
    Unit(char),
    Word,
    Sign(char),
    Blank,
}

#[derive(Debug, Clone, Copy)]
struct Token {
    kind: Kind,
    start: usize,
    end: usize,
}

/// All dates of a text, in order.
#[must_use]
pub fn dates_in(text: &str) -> Vec<FoundDate> {
    if !text.bytes().any(|byte| byte.is_ascii_digit()) {
        return Vec::new();
    }
    let tokens = tokens(text);
    let mut found: Vec<FoundDate> = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let rest = tokens.get(at..).unwrap_or_default();
        // A number within a longer run of digits and dots is not a date: `10.0.0.12`.
        let opens = at == 0
            || tokens.get(at - 1).is_none_or(|before| {
                !matches!(before.kind, Kind::Number { .. } | Kind::Sign('.' | '/' | '-' | '\\') | Kind::Word)
            });
        match opens.then(|| date_at(rest)).flatten() {
            Some((mut date, used)) => {
                let time = time_at(rest.get(used..).unwrap_or_default());
                let used = used + time.map_or(0, |(_, more)| more);
                date.seconds = time.map_or(0, |(seconds, _)| seconds);
                date.end = rest.get(used - 1).map_or(date.end, |last| last.end);
                found.push(date);
                at += used;
            }
            None => at += 1,
        }
    }
    found
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    let mut letters = text.char_indices().peekable();
    while let Some((start, c)) = letters.next() {
        let mut end = start + c.len_utf8();
        let mut run = |is: fn(char) -> bool| {
            while let Some((at, next)) = letters.next_if(|(_, next)| is(*next)) {
                end = at + next.len_utf8();
            }
        };
        let kind = if c.is_ascii_digit() {
            run(|c| c.is_ascii_digit());
            let digits = end - start;
            let value = text.get(start..end).filter(|_| digits <= 4).and_then(|text| text.parse().ok());
            value.map_or(Kind::Word, |value| Kind::Number { value, digits })
        } else if matches!(c, '年' | '月' | '日' | '년' | '월' | '일') {
            Kind::Unit(match c {
                '년' => '年',
                '월' => '月',
                '일' => '日',
                other => other,
            })
        } else if is_alphabetic(c) {
            run(|c| is_alphabetic(c) && !matches!(c, '年' | '月' | '日'));
            let word = text.get(start..end).unwrap_or_default().to_lowercase();
            match word.as_str() {
                "st" | "nd" | "rd" | "th" | "of" | "de" | "del" | "er" => Kind::Filler,
                word => month_of(word).map_or(Kind::Word, Kind::Month),
            }
        } else if c == ' ' || c == '\u{a0}' {
            run(|c| c == ' ' || c == '\u{a0}');
            Kind::Blank
        } else {
            Kind::Sign(c)
        };
        tokens.push(Token { kind, start, end });
    }
    tokens
}

/// The date at the beginning of the tokens, and its number of tokens.
fn date_at(tokens: &[Token]) -> Option<(FoundDate, usize)> {
    match tokens.first()?.kind {
        Kind::Number { value: year, digits: 4 } if is_year(year) => year_first(tokens, year),
        Kind::Number { value: number, digits: 1..=2 } => {
            in_numbers(tokens, number).unwrap_or_else(|| day_before_month(tokens, number))
        }
        Kind::Month(month) => month_first(tokens, u32::try_from(month).ok()?),
        _ => None,
    }
}

fn is_year(number: u32) -> bool {
    (1900..2200).contains(&number)
}

fn kind_at(tokens: &[Token], at: usize) -> Kind {
    tokens.get(at).map_or(Kind::Word, |token| token.kind)
}

/// The date of the first `used` tokens, if it is valid.
fn found_date(
    tokens: &[Token],
    year: Option<u32>,
    month: u32,
    day: Option<u32>,
    used: usize,
) -> Option<(FoundDate, usize)> {
    let (start, end) = (tokens.first()?.start, tokens.get(used - 1)?.end);
    let year = year.map(i16::try_from).transpose().ok()?;
    let (month, day) = (i8::try_from(month).ok()?, day.map(i8::try_from).transpose().ok()?);
    // Without a year, the 29th of February is valid.
    Date::new(year.unwrap_or(2024), month, day.unwrap_or(1)).ok()?;
    Some((FoundDate { start, end, year, month, day, other: None, seconds: 0 }, used))
}

/// `2026-11-03`, `2026年11月3日`
fn year_first(tokens: &[Token], year: u32) -> Option<(FoundDate, usize)> {
    let kind = |at| kind_at(tokens, at);
    match (kind(1), kind(2), kind(3), kind(4)) {
        (
            Kind::Sign(one @ ('-' | '/' | '.')),
            Kind::Number { value: month, digits: 1..=2 },
            Kind::Sign(other),
            Kind::Number { value: day, digits: 1..=2 },
        ) if one == other && !continues(tokens.get(5)) => found_date(tokens, Some(year), month, Some(day), 5),
        (Kind::Unit('年'), ..) => of_units(tokens, year)
            .and_then(|(month, day, used)| found_date(tokens, Some(year), month, day, used)),
        _ => None,
    }
}

/// `3.11.2026`, `11/3/2026`: `None` if the tokens have another form, `Some(None)` if the date is invalid.
#[expect(clippy::option_option, reason = "another form is not an invalid date")]
fn in_numbers(tokens: &[Token], one: u32) -> Option<Option<(FoundDate, usize)>> {
    let kind = |at| kind_at(tokens, at);
    let (
        Kind::Sign(sign @ ('/' | '.' | '-')),
        Kind::Number { value: two, digits: 1..=2 },
        Kind::Sign(other),
        Kind::Number { value: year, digits: 4 },
    ) = (kind(1), kind(2), kind(3), kind(4))
    else {
        return None;
    };
    if sign != other || !is_year(year) || continues(tokens.get(5)) {
        return None;
    }
    let day_first = found_date(tokens, Some(year), two, Some(one), 5);
    let month_first = found_date(tokens, Some(year), one, Some(two), 5);
    Some(match (sign, day_first, month_first) {
        ('/', Some((day_first, _)), Some((mut date, used))) => {
            let differs = day_first.month != date.month;
            date.other = differs.then_some((day_first.month, day_first.day.unwrap_or(1)));
            Some((date, used))
        }
        (_, Some(found), _) | (_, None, Some(found)) => Some(found),
        _ => None,
    })
}

/// `3 November 2026`, `3rd of November`
fn day_before_month(tokens: &[Token], day: u32) -> Option<(FoundDate, usize)> {
    let mut at = 1;
    while at < 5 && matches!(kind_at(tokens, at), Kind::Filler | Kind::Blank | Kind::Sign('.')) {
        at += 1;
    }
    let Kind::Month(month) = kind_at(tokens, at) else { return None };
    let (year, used) = year_behind(tokens, at + 1);
    found_date(tokens, year, u32::try_from(month).ok()?, Some(day), used)
}

/// `November 3, 2026`, `November 2026`
fn month_first(tokens: &[Token], month: u32) -> Option<(FoundDate, usize)> {
    let kind = |at| kind_at(tokens, at);
    let mut at = 1;
    while at < 4 && matches!(kind(at), Kind::Blank | Kind::Sign('.')) {
        at += 1;
    }
    let day = match kind(at) {
        Kind::Number { value: day, digits: 1..=2 } if at > 1 => day,
        _ => {
            let (year, used) = year_behind(tokens, 1);
            return found_date(tokens, Some(year?), month, None, used);
        }
    };
    let mut behind = at + 1;
    if matches!(kind(behind), Kind::Filler) {
        behind += 1;
    }
    let (year, used) = year_behind(tokens, behind);
    // `May 10:30` is a time.
    if year.is_none() && matches!(kind(behind), Kind::Sign(':')) {
        return None;
    }
    found_date(tokens, year, month, Some(day), used)
}

/// Whether a number continues, as in a version or an address.
fn continues(next: Option<&Token>) -> bool {
    matches!(next.map(|token| token.kind), Some(Kind::Number { .. }))
}

/// `年 11月 3日` after a year: the month, the day, the number of tokens with the year.
fn of_units(tokens: &[Token], _year: u32) -> Option<(u32, Option<u32>, usize)> {
    let mut rest = tokens.iter().enumerate().skip(2).filter(|(_, token)| token.kind != Kind::Blank);
    let (_, month) = rest.next()?;
    let Kind::Number { value: month, .. } = month.kind else { return None };
    let (end_of_month, unit) = rest.next()?;
    if unit.kind != Kind::Unit('月') {
        return None;
    }
    let day = rest.next().and_then(|(_, day)| match day.kind {
        Kind::Number { value, .. } => Some(value),
        _ => None,
    });
    let end = day.and_then(|day| {
        let (at, unit) = rest.next()?;
        (unit.kind == Kind::Unit('日')).then_some((day, at))
    });
    Some(match end {
        Some((day, at)) => (month, Some(day), at + 1),
        None => (month, None, end_of_month + 1),
    })
}

/// A year at this position, after a comma, blanks or `de`; and the number of tokens up to its end, or up to this
/// position.
fn year_behind(tokens: &[Token], from: usize) -> (Option<u32>, usize) {
    let kind = |at: usize| tokens.get(at).map_or(Kind::Word, |token| token.kind);
    let mut at = from;
    while at < from + 4 && matches!(kind(at), Kind::Blank | Kind::Filler | Kind::Sign(',' | '.')) {
        at += 1;
    }
    match kind(at) {
        Kind::Number { value, digits: 4 } if at > from && (1900..2200).contains(&value) => {
            (Some(value), at + 1)
        }
        _ => (None, from),
    }
}

/// The time of day after a date, in seconds, and its number of tokens.
fn time_at(tokens: &[Token]) -> Option<(u32, usize)> {
    let kind = |at: usize| tokens.get(at).map_or(Kind::Word, |token| token.kind);
    let mut at = 0;
    while at < 3 && matches!(kind(at), Kind::Blank | Kind::Sign(',')) {
        at += 1;
    }
    let text_t = tokens.get(at).is_some_and(|token| token.kind == Kind::Word && token.end - token.start == 1);
    if text_t {
        at += 1;
    }
    let (
        Kind::Number { value: hour @ 0..=23, digits: 1..=2 },
        Kind::Sign(':'),
        Kind::Number { value: minute @ 0..=59, digits: 2 },
    ) = (kind(at), kind(at + 1), kind(at + 2))
    else {
        return None;
    };
    let mut used = at + 3;
    let mut seconds = hour * 3600 + minute * 60;
    if let (Kind::Sign(':'), Kind::Number { value: second @ 0..=59, digits: 2 }) =
        (kind(used), kind(used + 1))
    {
        seconds += second;
        used += 2;
    }
    Some((seconds, used))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn days(text: &str) -> Vec<String> {
        dates_in(text).iter().filter_map(|date| date.date().map(|date| date.to_string())).collect()
    }

    #[rstest]
    #[case("[2026-11-03 09:12:00] [alice] - Deploy")]
    #[case("* 2026-11-03: done")]
    #[case("2026/11/3")]
    #[case("2026-11-03T09:12:00Z")]
    #[case("### [Nov 3, 2026, 9:30 AM] Fix")]
    #[case("on November 3rd, 2026.")]
    #[case("3 November 2026")]
    #[case("am 3. November 2026")]
    #[case("3.11.2026")]
    #[case("le 3 novembre 2026")]
    #[case("el 3 de noviembre de 2026")]
    #[case("3 ноября 2026 г.")]
    #[case("3 listopada 2026")]
    #[case("2026年11月3日")]
    #[case("2026년 11월 3일")]
    #[case("9:30 am on 3 November, 2026")]
    fn a_day_is_read_in_many_forms(#[case] text: &str) {
        assert_eq!(days(text), ["2026-11-03"]);
    }

    #[rstest]
    #[case("10.0.0.12:8443")]
    #[case("version 1.38.0")]
    #[case("2026-13-45")]
    #[case("port 5432")]
    fn invalid_days_are_not_dates(#[case] text: &str) {
        assert_eq!(days(text), [""; 0]);
    }

    #[test]
    fn a_date_has_its_time_and_may_be_ambiguous() {
        let date = &dates_in("[2026-08-30 10:49:40] - x")[0];
        assert_eq!(date.seconds, 10 * 3600 + 49 * 60 + 40);
        let date = &dates_in("11/03/2026")[0];
        assert_eq!((date.month, date.day, date.other), (11, Some(3), Some((3, 11))));
        assert_eq!(dates_in("in November 2026")[0].terms(), ["@2026-11"]);
        assert_eq!(dates_in("on November 3 we")[0].query_terms(), ["@11-03", "@--11-03"]);
    }
}
