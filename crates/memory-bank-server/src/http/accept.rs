//! Content negotiation: whether the `Accept` of a client takes JSON, an event stream, or both.

use http::HeaderMap;
use http::header::{ACCEPT, ACCEPT_ENCODING};

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";
/// The accepted forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// Whether it accepts JSON.
    pub(crate) json: bool,
    /// Whether it accepts an event stream.
    pub(crate) events: bool,
    /// Whether it names an event stream, and does not prefer JSON.
    prefers_events: bool,
}

impl Accepted {
    /// Parses the headers; a missing header accepts everything. `None` if neither form is accepted.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let ranges: Vec<(String, f64)> =
            values.flat_map(|value| split(value, ',')).filter_map(|range| media_range(&range)).collect();
        if ranges.is_empty() {
            return Some(Self::anything());
        }
        let (json, events) = (weight(&ranges, JSON), weight(&ranges, EVENTS));
        let names_events = ranges.iter().any(|(range, _)| range == EVENTS);
        let accepted =
            Self { json: json > 0.0, events: events > 0.0, prefers_events: names_events && events >= json };
        (accepted.json || accepted.events).then_some(accepted)
    }

    /// The forms for a client without an `Accept`.
    pub(crate) fn anything() -> Self {
        Self { json: true, events: true, prefers_events: false }
    }

    /// Whether a reply that can have either form is sent as a stream of events.
    pub(crate) fn wants_events(self, json_by_default: bool) -> bool {
        self.events && (!self.json || self.prefers_events && !json_by_default)
    }
}

/// Whether a client takes a body that gzip has compressed.
pub(crate) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let codings: Vec<(String, f64)> =
        values.flat_map(|value| split(value, ',')).filter_map(|coding| media_range(&coding)).collect();
    let of = |name: &str| codings.iter().find(|(coding, _)| coding == name).map(|(_, weight)| *weight);
    of("gzip").or_else(|| of("*")).unwrap_or_default() > 0.0
}

/// The weight of a media type: that of the most specific range.
fn weight(ranges: &[(String, f64)], media_type: &str) -> f64 {
    let kind = media_type.split('/').next().unwrap_or_default();
    let of = |name: &str| {
        ranges.iter().filter(|(range, _)| range == name).map(|(_, weight)| *weight).max_by(f64::total_cmp)
    };
    of(media_type).or_else(|| of(&format!("{kind}/*"))).or_else(|| of("*/*")).unwrap_or_default()
}

/// A range in lower case, and its weight. An invalid weight is ignored.
fn media_range(text: &str) -> Option<(String, f64)> {
    let mut parts = split(text, ';').into_iter();
    let range = parts.next()?.trim().to_ascii_lowercase();
    let weight = parts.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let weight: f64 = value.trim().parse().ok()?;
        (name.trim().eq_ignore_ascii_case("q") && (0.0..=1.0).contains(&weight)).then_some(weight)
    });
    (!range.is_empty()).then_some((range, weight.unwrap_or(1.0)))
}

/// The parts between separators outside of quotes.
fn split(text: &str, separator: char) -> Vec<String> {
    let mut parts = vec![String::new()];
    let (mut quoted, mut escaped) = (false, false);
    for sign in text.chars() {
        if sign == separator && !quoted {
            parts.push(String::new());
            continue;
        }
        if sign == '"' && !escaped {
            quoted = !quoted;
        }
        escaped = quoted && sign == '\\' && !escaped;
        if let Some(part) = parts.last_mut() {
            part.push(sign);
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use rstest::rstest;

    use super::*;

    fn accepted(values: &[&str]) -> Option<Accepted> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(ACCEPT, HeaderValue::from_str(value).unwrap());
        }
        Accepted::of(&headers)
    }

    #[rstest]
    #[case::none(&[])]
    #[case::empty(&[""])]
    #[case::blank(&[" , "])]
    #[case::anything(&["*/*"])]
    #[case::any_application(&["application/*"])]
    #[case::json(&["application/json"])]
    #[case::browser(&["text/html,application/xhtml+xml,*/*;q=0.8"])]
    #[case::charset(&["application/json; charset=utf-8"])]
    #[case::both_by_wildcards(&["text/*, application/*"])]
    #[case::json_liked_better(&["application/json;q=1, text/event-stream;q=0.5"])]
    #[case::events_refused(&["application/json, text/event-stream;q=0"])]
    #[case::events_refused_anything_else(&["text/event-stream;q=0.0, */*"])]
    #[case::low_weight(&["application/json;q=0.001"])]
    #[case::no_weight(&["application/json;q=abc"])]
    #[case::quoted(&["text/plain;x=\"a,text/event-stream,b\", application/json"])]
    #[case::upper_case(&["APPLICATION/JSON"])]
    fn json_is_sent_unless_events_are_preferred(#[case] values: &[&str]) {
        let accepted = accepted(values).unwrap();
        assert!(accepted.json && !accepted.wants_events(false) && !accepted.wants_events(true));
    }

    #[rstest]
    #[case(&["application/json, text/event-stream"], false)]
    #[case(&["application/json", "text/event-stream"], false)]
    #[case(&["APPLICATION/JSON, TEXT/EVENT-STREAM"], false)]
    #[case(&["text/event-stream, */*"], false)]
    #[case(&["text/event-stream;q=0.9, application/json;q=0.9"], false)]
    #[case(&["text/event-stream;q=abc, application/json"], false)]
    #[case(&["text/event-stream"], true)]
    #[case(&["Text/Event-Stream;q=0.1"], true)]
    #[case(&["text/*"], true)]
    #[case(&["application/json;q=0, */*"], true)]
    fn events_are_sent_where_they_are_preferred(#[case] values: &[&str], #[case] alone: bool) {
        let accepted = accepted(values).unwrap();
        assert!(accepted.wants_events(false));
        assert_eq!(
            accepted.wants_events(true),
            alone,
            "a server that answers in JSON keeps to that where it may"
        );
        assert_eq!(!accepted.json, alone);
    }

    #[rstest]
    #[case(&["text/html"])]
    #[case(&["application/xml, image/*"])]
    #[case(&["*/*;q=0"])]
    #[case(&["application/json;q=0, text/event-stream;q=0.000"])]
    #[case(&["json"])]
    #[case(&["application/jsonl"])]
    fn a_client_that_accepts_neither_gets_neither(#[case] values: &[&str]) {
        assert_eq!(accepted(values), None);
    }
}
