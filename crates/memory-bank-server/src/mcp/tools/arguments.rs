//! The arguments of a call: normalised where the meaning is unambiguous, then checked against the tool's row. An
//! unknown argument is ignored, or refused if the tool may destroy something.

use memory_bank_core::limits;
use serde_json::{Map, Number, Value};

use super::examples::{self, accepted, shown, shown_name};
use super::lenient::{self, why_not_json};
use super::schema::{Argument, Kind};

/// The treatment of an unknown argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// It is ignored, and named in the reply.
    Ignored,
    /// The call is refused: the argument may be a misspelt one that would have prevented a loss.
    Refused,
}

/// Normalises names and values of arguments, and removes empty ones: `null`, and an empty text where it has no
/// meaning. Returns the names of ignored arguments.
///
/// # Errors
/// An argument has two names with two values, or an unknown argument is refused.
pub(crate) fn prepare(
    arguments: &[Argument],
    given: &mut Map<String, Value>,
    unknown: Unknown,
) -> Result<Vec<String>, String> {
    let mut ignored_names = Vec::new();
    prepare_object(arguments, given, "", unknown, &mut ignored_names)?;
    Ok(ignored_names)
}

/// Checks prepared arguments against their descriptions.
///
/// # Errors
/// Contains the argument, its value, the accepted values and an example.
pub(crate) fn check(arguments: &[Argument], given: &mut Map<String, Value>) -> Result<(), String> {
    check_object(arguments, given, "")
}

/// Checks the names only.
///
/// # Errors
/// As [`prepare`].
pub(crate) fn spell(
    arguments: &[Argument],
    given: &mut Map<String, Value>,
    unknown: Unknown,
) -> Result<Vec<String>, String> {
    let mut ignored_names = Vec::new();
    respell(arguments, given, "")?;
    set_aside(arguments, given, "", unknown, &mut ignored_names)?;
    Ok(ignored_names)
}

fn prepare_object(
    arguments: &[Argument],
    given: &mut Map<String, Value>,
    at: &str,
    unknown: Unknown,
    ignored_names: &mut Vec<String>,
) -> Result<(), String> {
    respell(arguments, given, at)?;
    set_aside(arguments, given, at, unknown, ignored_names)?;
    for argument in arguments {
        let Some(value) = given.get_mut(argument.name) else { continue };
        lenient::coerce(argument.kind, value);
        match (argument.kind, value) {
            (Kind::Object(members), Value::Object(object)) => {
                prepare_object(members, object, &format!("{at}{}.", argument.name), unknown, ignored_names)?;
            }
            (Kind::Objects(members), Value::Array(items)) => {
                count(items.len(), &format!("{at}{}", argument.name))?;
                for (index, item) in items.iter_mut().enumerate() {
                    if let Value::Object(object) = item {
                        let at = format!("{at}{}[{index}].", argument.name);
                        prepare_object(members, object, &at, unknown, ignored_names)?;
                    }
                }
            }
            _ => {}
        }
    }
    given.retain(|name, value| {
        !arguments.iter().any(|argument| argument.name == name.as_str() && is_left_out(argument, value))
    });
    Ok(())
}

/// Normalises the names of arguments: models write `file_name` for `filename`, or a synonym.
fn respell(arguments: &[Argument], given: &mut Map<String, Value>, at: &str) -> Result<(), String> {
    let others: Vec<String> =
        given.keys().filter(|key| !arguments.iter().any(|one| one.name == key.as_str())).cloned().collect();
    for key in others {
        let Some(argument) = meant_by(arguments, &key) else { continue };
        let Some(value) = given.shift_remove(&key) else { continue };
        let empty_is_absent =
            if argument.required.is_some() { !argument.may_be_empty } else { !argument.keeps_empty };
        let is_absent = |value: &Value| value.is_null() || empty_is_absent && value.as_str() == Some("");
        match given.get(argument.name) {
            Some(present) if !is_absent(present) => {
                if !is_absent(&value) && *present != value {
                    return Err(format!(
                        "`{at}{}` and `{at}{}` mean the same and came with two values; send `{at}{}` alone. Nothing was \
                         done",
                        argument.name,
                        shown_name(&key),
                        argument.name
                    ));
                }
            }
            _ => {
                given.insert(argument.name.to_owned(), value);
            }
        }
    }
    Ok(())
}

/// The argument with this name.
fn meant_by<'a>(arguments: &'a [Argument], key: &str) -> Option<&'a Argument> {
    let key = folded(key)?;
    let same = |argument: &&Argument| folded(argument.name).as_deref() == Some(key.as_str());
    let other = |argument: &&Argument| argument.other_names.contains(&key.as_str());
    arguments.iter().find(same).or_else(|| arguments.iter().find(other))
}

/// A name in lower case and without separators. A long one belongs to no argument.
fn folded(name: &str) -> Option<String> {
    const MAX_NAME_BYTES: usize = 64;
    (name.len() <= MAX_NAME_BYTES).then(|| name.to_ascii_lowercase().replace(['_', '-', ' '], ""))
}

fn set_aside(
    arguments: &[Argument],
    given: &mut Map<String, Value>,
    at: &str,
    unknown: Unknown,
    ignored_names: &mut Vec<String>,
) -> Result<(), String> {
    let is_known = |name: &str| arguments.iter().any(|argument| argument.name == name);
    let unknown_names: Vec<String> = given.keys().filter(|key| !is_known(key)).cloned().collect();
    if let (Unknown::Refused, Some(unknown_name)) = (unknown, unknown_names.first()) {
        return Err(unknown_argument(arguments, unknown_name, at));
    }
    for unknown_name in unknown_names {
        given.shift_remove(&unknown_name);
        // All are counted; those past the bound are not named.
        if ignored_names.len() <= limits::ECHO_NAMES {
            ignored_names.push(format!("{at}{}", shown_name(&unknown_name)));
        }
    }
    Ok(())
}

fn unknown_argument(arguments: &[Argument], unknown_name: &str, at: &str) -> String {
    let known: Vec<String> = arguments.iter().map(|argument| format!("`{}`", argument.name)).collect();
    let takes = if known.is_empty() { "no arguments".to_owned() } else { known.join(", ") };
    format!(
        "unknown argument `{at}{}`; known are: {takes}. Nothing was done, since the tool may overwrite or delete: leave \
         it out or correct its name",
        shown_name(unknown_name)
    )
}

/// Whether this value counts as missing. Clients that must send every argument send `null` or an empty text.
fn is_left_out(argument: &Argument, value: &Value) -> bool {
    if argument.required.is_some() {
        return false;
    }
    match (argument.kind, value) {
        (_, Value::Null) => true,
        (Kind::Object(members), Value::Object(object)) => is_blank(members, object),
        (kind, Value::String(text)) => {
            let free = matches!(kind, Kind::Text | Kind::TextOrFree | Kind::KnownWord(_));
            !argument.keeps_empty && (text.is_empty() || !free && text.trim().is_empty())
        }
        _ => false,
    }
}

/// Whether an object has every required member, and all are empty; a word from a list counts as empty. An object
/// without a required member was intended, and is reported as incomplete.
fn is_blank(members: &[Argument], object: &Map<String, Value>) -> bool {
    let complete = members.iter().all(|member| member.required.is_none() || object.contains_key(member.name));
    let is_absent = |(name, value): (&String, &Value)| {
        let member = members.iter().find(|member| member.name == name.as_str());
        value.is_null()
            || is_empty(value)
            || member.is_some_and(|member| match member.kind {
                Kind::Word(words) => value.as_str().is_some_and(|word| words.contains(&word)),
                Kind::Flag | Kind::Clear => value == &Value::Bool(false),
                _ => false,
            })
    };
    complete && object.iter().all(is_absent)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

fn check_object(arguments: &[Argument], given: &mut Map<String, Value>, at: &str) -> Result<(), String> {
    let missing: Vec<&Argument> = arguments
        .iter()
        .filter(|argument| argument.required.is_some() && is_missing(argument, given.get(argument.name)))
        .collect();
    if !missing.is_empty() {
        return Err(missing_text(&missing, given, at));
    }
    for argument in arguments {
        if let Some(value) = given.get_mut(argument.name) {
            check_value(argument, value, &format!("{at}{}", argument.name))?;
        }
    }
    Ok(())
}

fn is_missing(argument: &Argument, value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => {
            let blank = !matches!(argument.kind, Kind::Text | Kind::TextOrFree) && text.trim().is_empty();
            (text.is_empty() || blank) && !argument.may_be_empty
        }
        Some(value) => is_empty(value) && !argument.may_be_empty,
    }
}

/// The error for a missing argument, beginning with the words that clients of the TypeScript server know.
fn missing_text(missing: &[&Argument], given: &Map<String, Value>, at: &str) -> String {
    let known = missing.iter().filter_map(|argument| argument.required).find(|text| !text.is_empty());
    let each: Vec<String> = missing
        .iter()
        .map(|argument| {
            let came = match given.get(argument.name) {
                Some(Value::Null) => "is null",
                Some(_) => "is empty",
                None => "is missing",
            };
            format!("`{at}{}` is required and {came}; it takes {}", argument.name, accepted(argument.kind))
        })
        .collect();
    let known = known.map(|known| format!("{known}: ")).unwrap_or_default();
    let example = examples::of(missing.iter().copied());
    format!("{known}{}, for example {example}", each.join(", "))
}

fn check_value(argument: &Argument, value: &mut Value, at: &str) -> Result<(), String> {
    let fits = match (argument.kind, &mut *value) {
        (Kind::Text | Kind::TextOrFree | Kind::KnownWord(_), Value::String(text)) => {
            return bounded(text, at);
        }
        (Kind::Word(words), Value::String(word)) => words.contains(&word.as_str()),
        (Kind::Flag | Kind::Clear, Value::Bool(_)) | (Kind::Free | Kind::TextOrFree, Value::Object(_)) => {
            true
        }
        (Kind::Whole(least, most), Value::Number(number)) => {
            match as_whole_number(number)
                .filter(|number| (i64::from(least)..=i64::from(most)).contains(number))
            {
                Some(number) => {
                    *value = number.into();
                    true
                }
                None => false,
            }
        }
        (Kind::Clamped(least, most), Value::Number(number)) => match as_whole_number(number) {
            Some(number) => {
                *value = number.clamp(least.into(), most.into()).into();
                true
            }
            None => false,
        },
        (Kind::Texts | Kind::Clear, Value::Array(items)) => {
            count(items.len(), at)?;
            for (index, item) in items.iter().enumerate() {
                match item {
                    Value::String(text) => bounded(text, &format!("{at}[{index}]"))?,
                    other => return Err(mistyped(argument, &format!("{at}[{index}]"), "a string", other)),
                }
            }
            true
        }
        (Kind::Object(members), Value::Object(object)) => {
            return check_object(members, object, &format!("{at}."));
        }
        (Kind::Objects(members), Value::Array(items)) => {
            count(items.len(), at)?;
            for (index, item) in items.iter_mut().enumerate() {
                match item {
                    Value::Object(object) => check_object(members, object, &format!("{at}[{index}]."))?,
                    other => return Err(mistyped(argument, &format!("{at}[{index}]"), "an object", other)),
                }
            }
            true
        }
        _ => false,
    };
    if fits { Ok(()) } else { Err(mistyped(argument, at, &accepted(argument.kind), value)) }
}

/// The number, if it is whole; `3.0` is.
fn as_whole_number(number: &Number) -> Option<i64> {
    number.as_i64().or_else(|| {
        let text = number.to_string();
        text.strip_suffix(".0").and_then(|as_whole_number| as_whole_number.parse().ok())
    })
}

fn mistyped(argument: &Argument, at: &str, accepted: &str, got: &Value) -> String {
    let structured =
        matches!(argument.kind, Kind::Texts | Kind::Free | Kind::Object(_) | Kind::Objects(_) | Kind::Clear);
    let why = got.as_str().filter(|_| structured).and_then(why_not_json);
    let why = why.map(|why| format!(", which is not JSON: {why}")).unwrap_or_default();
    format!("`{at}` must be {accepted}, got {}{why}; for example {}", shown(got), examples::of([argument]))
}

fn bounded(text: &str, at: &str) -> Result<(), String> {
    if text.len() > limits::DOCUMENT_BYTES {
        return Err(format!(
            "`{at}` is {} bytes long, at most {} are allowed",
            text.len(),
            limits::DOCUMENT_BYTES
        ));
    }
    Ok(())
}

fn count(items: usize, at: &str) -> Result<(), String> {
    if items > limits::LIST_ITEMS {
        return Err(format!("`{at}` has {items} items, at most {} are allowed", limits::LIST_ITEMS));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
