//! From when until when a fact holds, and which facts a reply shows. A fact that has ended stays in the graph; replies leave
//! it out unless the caller wants it.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::GraphError;
use crate::graph::Observation;
use crate::graph::timestamp::{self, instant, is_plain_date, rfc_3339};
use crate::limits;

const MILLISECONDS_OF_A_DAY: i64 = 24 * 60 * 60 * 1000;

/// From when until when a fact holds, and the facts that it replaces. Times are dates or RFC 3339; a date is a whole day in
/// UTC. The facts that it replaces have ended as soon as it is recorded and holds; those with the same text as soon as it is
/// recorded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Validity {
    /// It holds from this time on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<String>,
    /// It holds until this time, a day included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<String>,
    /// Nobody should rely on it after this time, a day included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// The ids of facts of the same entity that it replaces, with the newest of those that these replaced; in a draft only the
    /// former, also by their texts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub supersedes: Vec<String>,
}

impl Validity {
    /// No bounds.
    pub const NONE: Self =
        Self { valid_from: None, valid_until: None, expires_at: None, supersedes: Vec::new() };

    /// As it is stored with a fact; `None` if it is empty.
    #[must_use]
    pub fn stored(self) -> Option<Box<Self>> {
        (!self.is_empty()).then(|| Box::new(self))
    }

    /// Whether the fact has no bounds and replaces nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::NONE
    }

    /// The moment from which it holds, in milliseconds since 1970.
    #[must_use]
    pub fn starts_at(&self) -> Option<i64> {
        self.valid_from.as_deref().and_then(instant)
    }

    /// The first moment at which it does not hold any more, in milliseconds since 1970.
    #[must_use]
    pub fn ends_at(&self) -> Option<i64> {
        [&self.valid_until, &self.expires_at].into_iter().filter_map(|text| end_of(text.as_deref()?)).min()
    }

    /// The checked form of a draft: times as they are stored, texts of replaced facts trimmed.
    ///
    /// # Errors
    /// A time has another form, the end is before the beginning, or too many facts are named.
    pub fn checked(self) -> Result<Self, GraphError> {
        let time = |argument: &str, given: Option<String>| match given.as_deref().map(str::trim) {
            None | Some("") => Ok(None),
            Some(given) => timestamp::parse_argument(argument, given).map(Some),
        };
        let checked = Self {
            valid_from: time("validFrom", self.valid_from)?,
            valid_until: time("validUntil", self.valid_until)?,
            expires_at: time("expiresAt", self.expires_at)?,
            supersedes: supersedes(self.supersedes)?,
        };
        for (name, end) in [("validUntil", &checked.valid_until), ("expiresAt", &checked.expires_at)] {
            let (Some(from), Some(end)) = (&checked.valid_from, end) else { continue };
            if checked.starts_at() >= end_of(end) {
                return Err(GraphError::Invalid(format!(
                    "validFrom `{from}` is not before {name} `{end}`; give an earlier validFrom or a later {name}, or leave one of them out"
                )));
            }
        }
        Ok(checked)
    }

    /// The bytes of its texts.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let times = [&self.valid_from, &self.valid_until, &self.expires_at];
        let times = times.into_iter().flatten().map(String::len);
        times.chain(self.supersedes.iter().map(String::len)).sum()
    }
}

fn supersedes(given: Vec<String>) -> Result<Vec<String>, GraphError> {
    let most = limits::SUPERSEDED_FACTS;
    let mut named: Vec<String> = Vec::new();
    for one in given {
        let one = crate::graph::ids::trim(&one);
        if one.is_empty() {
            return Err(GraphError::Invalid(
                "supersedes names an empty fact; give the id or the exact text of a fact of this entity"
                    .to_owned(),
            ));
        }
        if one.contains('\0') {
            return Err(GraphError::Invalid("supersedes contains a null character; leave it out".to_owned()));
        }
        if one.len() > limits::OBSERVATION_BYTES {
            return Err(GraphError::Invalid(
                "supersedes names a text that is longer than every fact; give the id of the fact".to_owned(),
            ));
        }
        if !named.iter().any(|known| known == one) {
            named.push(one.to_owned());
        }
    }
    if named.len() > most {
        return Err(GraphError::Invalid(format!(
            "supersedes names {} facts, at most {most} are allowed; write several facts, each with some of them",
            named.len()
        )));
    }
    Ok(named)
}

/// The moment of a time that is given as the first one, in the forms of [`end_of`].
pub(crate) fn start_of(text: &str) -> Option<i64> {
    if is_plain_date(text) { instant(text) } else { rfc_3339(text) }
}

/// The first moment after a time that is given as the last one: the next day for a date. Only a plain date and RFC 3339 count: other
/// words that people write beside a label may look like a date, and would hide what holds.
pub(crate) fn end_of(text: &str) -> Option<i64> {
    if !is_plain_date(text) {
        return rfc_3339(text);
    }
    Some(instant(text)?.saturating_add(MILLISECONDS_OF_A_DAY))
}

/// Which facts a reply shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FactView {
    /// The moment at which they hold, in milliseconds since 1970.
    pub at: i64,
    /// Whether that is a moment of the past, at which later facts, entities and relations were not known.
    pub is_past: bool,
    /// Whether ended facts are shown, too.
    pub with_ended: bool,
}

impl FactView {
    /// Everything that is stored.
    pub const ALL: Self = Self { at: i64::MAX, is_past: false, with_ended: true };

    /// The facts that hold now, and those that will.
    #[must_use]
    pub fn now(now: Timestamp) -> Self {
        Self { at: now.as_millisecond(), is_past: false, with_ended: false }
    }

    /// The facts that were known at a time and had not ended, also those that begin later; a day means its end.
    ///
    /// # Errors
    /// It is neither a date nor RFC 3339.
    pub fn as_of(text: &str) -> Result<Self, GraphError> {
        let stamp = timestamp::parse_argument("asOf", text)?;
        let at = end_of(&stamp).unwrap_or(i64::MAX);
        let at = if is_plain_date(&stamp) { at.saturating_sub(1) } else { at };
        Ok(Self { at, is_past: true, with_ended: false })
    }

    /// The view with ended facts.
    #[must_use]
    pub fn with_ended(self, with_ended: bool) -> Self {
        Self { with_ended, ..self }
    }

    /// Whether something that was stored at this time was known.
    #[must_use]
    pub fn knows(&self, stored_at: &str) -> bool {
        !self.is_past || instant(stored_at).is_none_or(|at| at <= self.at)
    }
}

/// The moment at which a fact is recorded and holds.
fn begins_at(fact: &Observation) -> i64 {
    let recorded = instant(&fact.timestamp).unwrap_or(i64::MIN);
    fact.validity().starts_at().map_or(recorded, |start| start.max(recorded))
}

/// The end of a fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// The id of the fact that replaced it.
    pub superseded_by: Option<String>,
}

/// The facts that have ended at some moment, by id.
#[derive(Debug, Clone, Default)]
pub struct Endings<'a>(HashMap<&'a str, (&'a str, Ending)>);

/// A fact that names another one, as something that it replaces.
struct Replacement<'a> {
    fact: &'a Observation,
    target: &'a str,
    /// When the fact was recorded.
    recorded: i64,
    /// When it is recorded and holds.
    begins: i64,
    /// Whether it is the same text with other bounds.
    is_again: bool,
}

impl Replacement<'_> {
    /// When the replaced fact ends. A text that is written again with other bounds replaces the former ones at once, also if it
    /// begins later.
    fn at(&self) -> i64 {
        if self.is_again { self.recorded } else { self.begins }
    }

    /// Whether it has no effect since its fact was written again with other bounds, and either has not begun by these or had not
    /// begun by the former ones.
    fn is_void(&self, again: &HashMap<&str, Vec<(i64, i64)>>, at: i64) -> bool {
        let mut later = again.get(self.fact.id.as_str()).into_iter().flatten();
        !self.is_again && later.any(|(recorded, begins)| *begins > at || self.begins >= *recorded)
    }
}

impl<'a> Endings<'a> {
    /// The endings that these facts of one graph note about themselves and about facts that they replace; `find` finds a replaced
    /// fact. A fact ends with the first of its ends.
    pub fn of(
        facts: impl IntoIterator<Item = &'a Observation>,
        at: i64,
        find: impl Fn(&str) -> Option<&'a Observation>,
    ) -> Self {
        let mut endings = Self::default();
        let mut replacements: Vec<Replacement<'a>> = Vec::new();
        let mut again: HashMap<&str, Vec<(i64, i64)>> = HashMap::new();
        for fact in facts {
            let Some(validity) = &fact.validity else { continue };
            if let Some(end) = validity.ends_at().filter(|end| *end <= at) {
                endings.note(&fact.id, &fact.entity_id, Ending { at: end, superseded_by: None });
            }
            let recorded = instant(&fact.timestamp).unwrap_or(i64::MIN);
            let begins = begins_at(fact);
            for target in validity.supersedes.iter().filter(|id| **id != fact.id) {
                let is_again = find(target)
                    .is_some_and(|former| former.text == fact.text && former.entity_id == fact.entity_id);
                if is_again && recorded <= at {
                    again.entry(target).or_default().push((recorded, begins));
                }
                replacements.push(Replacement { fact, target, recorded, begins, is_again });
            }
        }
        for one in replacements.iter().filter(|one| one.at() <= at && !one.is_void(&again, at)) {
            let ending = Ending { at: one.at(), superseded_by: Some(one.fact.id.clone()) };
            endings.note(one.target, &one.fact.entity_id, ending);
        }
        endings
    }

    fn note(&mut self, id: &'a str, entity_id: &'a str, ending: Ending) {
        let (_, known) = self.0.entry(id).or_insert_with(|| (entity_id, ending.clone()));
        if ending.at < known.at {
            *known = ending;
        }
    }

    /// The end of a fact, if it has ended.
    #[must_use]
    pub fn get(&self, fact: &Observation) -> Option<&Ending> {
        let (entity_id, ending) = self.0.get(fact.id.as_str())?;
        (*entity_id == fact.entity_id).then_some(ending)
    }

    /// Whether no fact has ended.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The ids that have an end, also of facts that do not exist any more.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.keys().copied()
    }
}

#[cfg(test)]
mod tests;
