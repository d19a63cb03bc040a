//! Entries in JSON with comments. Positions come from a parser, and all text outside of the edited ranges is copied.

use anyhow::bail;
use jsonc_parser::ast::{Array, Object, ObjectProp, Value as Node};
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, ParseOptions, ParseResult, parse_to_ast};
use serde_json::{Map, Value};

use super::json_layout::{
    Layout, comments_end, first_break, indentation, line_indentation, line_start, one_line, text as quoted,
};
use super::json_surrogates::replace_half_pairs;
use super::splice::splice;

/// Parses JSON with comments and trailing commas, as most clients do.
pub(super) fn parse(text: &str) -> anyhow::Result<ParseResult<'_>> {
    let options = ParseOptions {
        allow_loose_object_property_names: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
        ..ParseOptions::default()
    };
    parse_to_ast(text, &CollectOptions::default(), &options)
        .map_err(|error| anyhow::anyhow!("it is not valid JSON: {error}; fix it first"))
}

/// The outermost object; `None` if the text has no value.
pub(super) fn root<'a, 'b>(parsed: &'b ParseResult<'a>) -> anyhow::Result<Option<&'b Object<'a>>> {
    match &parsed.value {
        None => Ok(None),
        Some(Node::Object(root)) => Ok(Some(root)),
        Some(_) => bail!("its outermost value is not an object; fix it first"),
    }
}

/// The member of this name. A repeated name is ambiguous: clients take the last, parsers the first.
pub(super) fn member<'a, 'b>(
    object: &'b Object<'a>,
    name: &str,
) -> anyhow::Result<Option<&'b ObjectProp<'a>>> {
    let mut found = object.properties.iter().filter(|member| member.name.as_str() == name);
    let first = found.next();
    match found.count() {
        0 => Ok(first),
        more => bail!("its member `{name}` occurs {} times; fix it first", more + 1),
    }
}

/// The object to which these names lead, or the last one on the way with the names that are missing in it.
pub(super) fn descend<'a, 'b, 'c>(
    root: &'b Object<'a>,
    path: &'c [&'c str],
) -> anyhow::Result<(&'b Object<'a>, &'c [&'c str])> {
    let (mut object, mut rest) = (root, path);
    while let [name, further @ ..] = rest {
        match member(object, name)?.map(|member| &member.value) {
            None => break,
            Some(Node::Object(below)) => (object, rest) = (below, further),
            Some(_) => bail!("its member `{name}` is not an object; fix it first"),
        }
    }
    Ok((object, rest))
}

/// The object that contains servers by name.
fn section_of<'a, 'b>(root: &'b Object<'a>, path: &[&str]) -> anyhow::Result<Option<&'b Object<'a>>> {
    let (object, missing) = descend(root, path)?;
    Ok(missing.is_empty().then_some(object))
}

/// The entry of this name.
pub(super) fn find(text: &str, path: &[&str], name: &str) -> anyhow::Result<Option<Value>> {
    let readable = replace_half_pairs(text);
    let parsed = parse(&readable)?;
    let Some(root) = root(&parsed)? else { return Ok(None) };
    let Some(servers) = section_of(root, path)? else { return Ok(None) };
    let Some(entry) = member(servers, name)? else { return Ok(None) };
    Ok(Some(Value::from(entry.value.clone())))
}

/// Whether the text has the member that contains servers. Claude Code's file also has it in each project.
pub(super) fn has_section(text: &str, path: &[&str]) -> anyhow::Result<bool> {
    let readable = replace_half_pairs(text);
    let parsed = parse(&readable)?;
    let Some(root) = root(&parsed)? else { return Ok(false) };
    Ok(section_of(root, path)?.is_some())
}

/// Puts the entry into the section as `name`.
pub(super) fn put(text: &str, path: &[&str], name: &str, entry: &Value) -> anyhow::Result<String> {
    // Missing objects on the way are created with it.
    let nested = |missing: &[&str]| {
        let servers = serde_json::json!({ name: entry });
        missing.iter().rev().fold(servers, |value, name| serde_json::json!({ *name: value }))
    };
    let readable = replace_half_pairs(text);
    let parsed = parse(&readable)?;
    let Some(root) = root(&parsed)? else { return Ok(new_text(text, &nested(path))) };
    let layout = Layout::of(text, root.properties.first().map(|member| member.range.start));
    let (servers, missing) = descend(root, path)?;
    if let [first, further @ ..] = missing {
        return Ok(insert(text, servers, &layout, first, &nested(further)));
    }
    match member(servers, name)? {
        None => Ok(insert(text, servers, &layout, name, entry)),
        Some(present) => match (&present.value, entry) {
            (Node::Object(_), Value::Object(members)) => put_members(text, path, name, members),
            (value, _) => Ok(replace_value(text, &layout, value, entry)),
        },
    }
}

/// Gives the entry these members. Those that are there already stay as they are, and so do comments between them.
fn put_members(
    text: &str,
    path: &[&str],
    name: &str,
    members: &Map<String, Value>,
) -> anyhow::Result<String> {
    let mut text = text.to_owned();
    for (member_name, value) in members {
        text = put_member(&text, path, name, member_name, value)?;
    }
    loop {
        match remove_extra_member(&text, path, name, members)? {
            Some(shorter) if shorter.len() < text.len() => text = shorter,
            _ => return Ok(text),
        }
    }
}

fn put_member(
    text: &str,
    path: &[&str],
    name: &str,
    member_name: &str,
    value: &Value,
) -> anyhow::Result<String> {
    let readable = replace_half_pairs(text);
    let parsed = parse(&readable)?;
    let Some(root) = root(&parsed)? else { return Ok(text.to_owned()) };
    let Some(entry) = entry_of(root, path, name)? else { return Ok(text.to_owned()) };
    let layout = Layout::of(text, root.properties.first().map(|member| member.range.start));
    Ok(match member(entry, member_name)? {
        Some(present) if Value::from(present.value.clone()) == *value => text.to_owned(),
        Some(present) => replace_value(text, &layout, &present.value, value),
        None => insert(text, entry, &layout, member_name, value),
    })
}

/// The text without the first member of the entry that is not in `members`; `None` if all of them are.
fn remove_extra_member(
    text: &str,
    path: &[&str],
    name: &str,
    members: &Map<String, Value>,
) -> anyhow::Result<Option<String>> {
    let readable = replace_half_pairs(text);
    let parsed = parse(&readable)?;
    let Some(root) = root(&parsed)? else { return Ok(None) };
    let Some(entry) = entry_of(root, path, name)? else { return Ok(None) };
    let extra = entry.properties.iter().position(|member| !members.contains_key(member.name.as_str()));
    Ok(extra.map(|at| remove_item(text, &Container::of(entry), at)))
}

/// The entry, if it is an object.
fn entry_of<'a, 'b>(
    root: &'b Object<'a>,
    path: &[&str],
    name: &str,
) -> anyhow::Result<Option<&'b Object<'a>>> {
    let Some(servers) = section_of(root, path)? else { return Ok(None) };
    match member(servers, name)?.map(|member| &member.value) {
        Some(Node::Object(entry)) => Ok(Some(entry)),
        _ => Ok(None),
    }
}

fn replace_value(text: &str, layout: &Layout, present: &Node<'_>, value: &Value) -> String {
    let range = present.range();
    let indent = line_indentation(text, range.start).to_owned();
    let is_one_line = !present.text(text).contains('\n') && indentation(text, range.start).is_none();
    let value = if is_one_line { one_line(value) } else { layout.lines(value, &indent) };
    splice(text, &[(range.start, range.end, value)])
}

/// Puts a prompt into the list `inputs`, unless one with its id is there.
pub(super) fn put_input(text: &str, input: &Value) -> anyhow::Result<String> {
    let readable = replace_half_pairs(text);
    let parsed = parse(&readable)?;
    let Some(root) = root(&parsed)? else { return Ok(text.to_owned()) };
    let layout = Layout::of(text, root.properties.first().map(|member| member.range.start));
    let Some(list) = inputs(root)? else {
        return Ok(insert(text, root, &layout, "inputs", &serde_json::json!([input])));
    };
    let id = input.get("id").and_then(Value::as_str).unwrap_or_default();
    if list.elements.iter().any(|element| has_id(element, id)) {
        return Ok(text.to_owned());
    }
    let ranges = list.elements.iter().map(|element| element.range().start..element.range().end).collect();
    let container = Container { start: list.range.start, end: list.range.end, items: ranges };
    Ok(insert_item(text, &container, &layout, &|indent| match indent {
        Some(indent) => layout.lines(input, indent),
        None => one_line(input),
    }))
}

/// Removes the entry; with `prune`, also a section that becomes empty.
pub(super) fn remove(text: &str, path: &[&str], name: &str, prune: bool) -> anyhow::Result<String> {
    let without_entry = {
        let readable = replace_half_pairs(text);
        let parsed = parse(&readable)?;
        let Some(servers) = root(&parsed)?.map(|root| section_of(root, path)).transpose()?.flatten() else {
            return Ok(text.to_owned());
        };
        let Some(at) = servers.properties.iter().position(|member| member.name.as_str() == name) else {
            return Ok(text.to_owned());
        };
        remove_item(text, &Container::of(servers), at)
    };
    if !prune {
        return Ok(without_entry);
    }
    // The innermost first; a member that is not empty stays, and so do those around it.
    (1..=path.len())
        .rev()
        .try_fold(without_entry, |text, depth| prune_member(&text, path.get(..depth).unwrap_or_default()))
}

/// Removes a prompt from the list `inputs`, unless an entry refers to it.
pub(super) fn remove_input(text: &str, id: &str) -> anyhow::Result<String> {
    if text.contains(&format!("${{input:{id}}}")) {
        return Ok(text.to_owned());
    }
    let without_input = {
        let readable = replace_half_pairs(text);
        let parsed = parse(&readable)?;
        let Some(list) = root(&parsed)?.map(inputs).transpose()?.flatten() else {
            return Ok(text.to_owned());
        };
        let Some(at) = list.elements.iter().position(|element| has_id(element, id)) else {
            return Ok(text.to_owned());
        };
        let items = list.elements.iter().map(|element| element.range().start..element.range().end).collect();
        remove_item(text, &Container { start: list.range.start, end: list.range.end, items }, at)
    };
    prune_member(&without_input, &["inputs"])
}

fn inputs<'a, 'b>(root: &'b Object<'a>) -> anyhow::Result<Option<&'b Array<'a>>> {
    match member(root, "inputs")?.map(|member| &member.value) {
        None => Ok(None),
        Some(Node::Array(list)) => Ok(Some(list)),
        Some(_) => bail!("its member `inputs` is not a list; fix it first"),
    }
}

fn has_id(element: &Node<'_>, id: &str) -> bool {
    let Node::Object(object) = element else { return false };
    object.get_string("id").is_some_and(|known| known.value == id)
}

/// Removes a member whose object or list is empty and has no comments.
pub(super) fn prune_member(text: &str, path: &[&str]) -> anyhow::Result<String> {
    let readable = replace_half_pairs(text);
    let parsed = parse(&readable)?;
    let (Some(root), Some((name, above))) = (root(&parsed)?, path.split_last()) else {
        return Ok(text.to_owned());
    };
    let Some(object) = section_of(root, above)? else { return Ok(text.to_owned()) };
    let Some(at) = object.properties.iter().position(|member| member.name.as_str() == *name) else {
        return Ok(text.to_owned());
    };
    let is_bare = object.properties.get(at).is_some_and(|member| {
        matches!(member.value.text(text).split_whitespace().collect::<String>().as_str(), "{}" | "[]")
    });
    if !is_bare {
        return Ok(text.to_owned());
    }
    Ok(remove_item(text, &Container::of(object), at))
}

/// Adds the value to a text without one, after its comments.
fn new_text(text: &str, value: &Value) -> String {
    let layout = Layout::of(text, None);
    let gap = if text.trim().is_empty() || text.ends_with('\n') { "" } else { layout.newline };
    let whole = format!("{}{}", layout.lines(value, ""), layout.newline);
    format!("{text}{gap}{whole}")
}

/// Adds a member at the end of an object.
fn insert(text: &str, object: &Object<'_>, layout: &Layout, name: &str, value: &Value) -> String {
    insert_item(text, &Container::of(object), layout, &|indent| match indent {
        Some(indent) => format!("{}: {}", quoted(name), layout.lines(value, indent)),
        None => format!("{}: {}", quoted(name), one_line(value)),
    })
}

/// An object or a list, with the ranges of its items.
pub(super) struct Container {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) items: Vec<std::ops::Range<usize>>,
}

impl Container {
    fn of(object: &Object<'_>) -> Self {
        let items = object.properties.iter().map(|member| member.range.start..member.range.end).collect();
        Self { start: object.range.start, end: object.range.end, items }
    }
}

/// Adds an item at the end. `written` returns its text, for the indentation of its line if it gets a line of its own.
pub(super) fn insert_item(
    text: &str,
    container: &Container,
    layout: &Layout,
    written: &dyn Fn(Option<&str>) -> String,
) -> String {
    let close = container.end.saturating_sub(1);
    let outer = line_indentation(text, container.start).to_owned();
    let Some(last) = container.items.last() else {
        let indent = format!("{outer}{}", layout.unit);
        let item = written(Some(&indent));
        let open = container.start + 1;
        let at = comments_end(text, open, close);
        // A line break before the closing bracket is reused.
        let has_break = text.get(at..close).is_some_and(|rest| rest.contains('\n'));
        let ending = if has_break { String::new() } else { format!("{}{outer}", layout.newline) };
        return splice(text, &[(at, at, format!("{}{indent}{item}{ending}", layout.newline))]);
    };
    let comma = comma_after(text, last.end, close);
    let (from, trailing) = comma.map_or((last.end, ""), |comma| (comma + 1, ","));
    let mut edits = Vec::new();
    if comma.is_none() {
        edits.push((last.end, last.end, ",".to_owned()));
    }
    let indent = indentation(text, last.start).map(str::to_owned);
    let (has_break, at) = first_break(text, from, close);
    let is_in_lines = has_break || indent.is_some();
    let added = if is_in_lines {
        let indent = indent.unwrap_or_else(|| format!("{outer}{}", layout.unit));
        format!("{}{indent}{}{trailing}", layout.newline, written(Some(&indent)))
    } else {
        format!(" {}{trailing}", written(None))
    };
    edits.push((at, at, added));
    splice(text, &edits)
}

/// The position of the comma between `from` and `to`, which are separated by blanks, comments and at most one comma.
fn comma_after(text: &str, from: usize, to: usize) -> Option<usize> {
    let mut at = from;
    loop {
        let rest = text.get(at..to)?;
        if rest.starts_with(',') {
            return Some(at);
        }
        if rest.starts_with("//") {
            at += rest.find('\n')?;
        } else if rest.starts_with("/*") {
            at += rest.find("*/")? + 2;
        } else {
            at += rest.chars().next()?.len_utf8();
        }
    }
}

/// Removes the item at this position, with its comma and its line.
pub(super) fn remove_item(text: &str, container: &Container, at: usize) -> String {
    let Some(item) = container.items.get(at) else { return text.to_owned() };
    let close = container.end.saturating_sub(1);
    let next = container.items.get(at + 1).map_or(close, |next| next.start);
    let previous = at.checked_sub(1).and_then(|before| container.items.get(before));
    let starts_line = indentation(text, item.start).is_some();
    let mut edits = Vec::new();
    match (comma_after(text, item.end, next), previous) {
        (Some(comma), _) => {
            let rest = text.get(comma + 1..).unwrap_or_default();
            let blank = rest.len() - rest.trim_start_matches([' ', '\t']).len();
            let after = rest.get(blank..).unwrap_or_default();
            let line_end = ["\r\n", "\n"].iter().find(|end| after.starts_with(**end)).map(|end| end.len());
            match (starts_line, line_end) {
                (true, Some(line_end)) => {
                    edits.push((line_start(text, item.start), comma + 1 + blank + line_end, String::new()));
                }
                _ if next == close && !starts_line => {
                    edits.push((blanks_before(text, item.start), comma + 1, String::new()));
                }
                (_, None) => edits.push((item.start, comma + 1 + blank, String::new())),
                (false, Some(_)) => edits.push((blanks_before(text, item.start), comma + 1, String::new())),
            }
        }
        (None, previous) => {
            if let Some(comma) = previous.and_then(|previous| comma_after(text, previous.end, item.start)) {
                edits.push((comma, comma + 1, String::new()));
            }
            let floor = previous.map_or(container.start + 1, |previous| previous.end);
            let mut from = blanks_before(text, item.start);
            if starts_line {
                from = break_before(text, from);
            }
            // The comma before the last item is a separate edit.
            let from = from.max(floor);
            let comma_end = edits.first().map_or(floor, |(_, end, _)| *end);
            let mut end = item.end;
            let is_blank = |from, to| text.get(from..to).is_some_and(|gap: &str| gap.trim().is_empty());
            if previous.is_none() && is_blank(floor, item.start) && is_blank(item.end, close) {
                // Only blanks are left in the container.
                end = close;
            }
            edits.push((from.max(comma_end), end, String::new()));
        }
    }
    splice(text, &edits)
}

fn blanks_before(text: &str, at: usize) -> usize {
    text.get(..at).map_or(at, |before| before.trim_end_matches([' ', '\t']).len())
}

fn break_before(text: &str, at: usize) -> usize {
    let before = text.get(..at).unwrap_or_default();
    let before = before.strip_suffix('\n').map_or(before, |rest| rest.strip_suffix('\r').unwrap_or(rest));
    before.len()
}
