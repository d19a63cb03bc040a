//! Items of lists in JSON with comments, such as the hooks of an event. All text outside of the items is copied.

use anyhow::bail;
use jsonc_parser::ast::{Array, Object, Value as Node};
use jsonc_parser::common::Ranged;
use serde_json::Value;

use super::json::{Container, descend, insert_item, member, parse, prune_member, remove_item, root};
use super::json_layout::{Layout, one_line};
use super::json_surrogates::replace_half_pairs;

/// The value to which these names lead.
pub(super) fn value_at(text: &str, path: &[&str]) -> anyhow::Result<Option<Value>> {
    let readable = replace_half_pairs(text);
    let parsed = parse(&readable)?;
    let (Some(root), Some((name, above))) = (root(&parsed)?, path.split_last()) else { return Ok(None) };
    let (object, missing) = descend(root, above)?;
    if !missing.is_empty() {
        return Ok(None);
    }
    Ok(member(object, name)?.map(|member| Value::from(member.value.clone())))
}

/// Adds a member with this value, unless there is one; objects on the way are created.
pub(super) fn put_value(text: &str, path: &[&str], value: &Value) -> anyhow::Result<String> {
    if value_at(text, path)?.is_some() {
        return Ok(text.to_owned());
    }
    let (name, above) = match path.split_last() {
        Some((name, above)) => (*name, above),
        None => return Ok(text.to_owned()),
    };
    super::json::put(text, above, name, value)
}

/// Adds an item to the end of a list; the list and objects on the way are created.
pub(super) fn append(text: &str, path: &[&str], item: &Value) -> anyhow::Result<String> {
    {
        let readable = replace_half_pairs(text);
        let parsed = parse(&readable)?;
        if let Some(root) = root(&parsed)?
            && let Some(list) = list_at(root, path)?
        {
            let layout = Layout::of(text, root.properties.first().map(|member| member.range.start));
            return Ok(insert_item(text, &container(list), &layout, &|indent| match indent {
                Some(indent) => layout.lines(item, indent),
                None => one_line(item),
            }));
        }
    }
    put_value(text, path, &Value::Array(vec![item.clone()]))
}

/// Removes the items of a list that `is_ours` accepts, and those of the lists `inner` in its items. An item whose inner list
/// becomes empty is removed, too.
pub(super) fn remove_items(
    text: &str,
    path: &[&str],
    inner: &str,
    is_ours: &dyn Fn(&Value) -> bool,
) -> anyhow::Result<String> {
    let mut text = text.to_owned();
    while let Some(shorter) = remove_one(&text, path, inner, is_ours)? {
        if shorter.len() >= text.len() {
            bail!("an item cannot be removed from it; remove it by hand");
        }
        text = shorter;
    }
    Ok(text)
}

fn remove_one(
    text: &str,
    path: &[&str],
    inner: &str,
    is_ours: &dyn Fn(&Value) -> bool,
) -> anyhow::Result<Option<String>> {
    let readable = replace_half_pairs(text);
    let parsed = parse(&readable)?;
    let Some(list) = root(&parsed)?.map(|root| list_at(root, path)).transpose()?.flatten() else {
        return Ok(None);
    };
    for (at, element) in list.elements.iter().enumerate() {
        if is_ours(&Value::from(element.clone())) {
            return Ok(Some(remove_item(text, &container(list), at)));
        }
        let Node::Object(object) = element else { continue };
        let Some(Node::Array(below)) = member(object, inner)?.map(|member| &member.value) else { continue };
        let ours: Vec<usize> = (0..below.elements.len())
            .filter(|at| below.elements.get(*at).is_some_and(|node| is_ours(&Value::from(node.clone()))))
            .collect();
        match ours.first() {
            None => {}
            Some(_) if ours.len() == below.elements.len() => {
                return Ok(Some(remove_item(text, &container(list), at)));
            }
            Some(first) => return Ok(Some(remove_item(text, &container(below), *first))),
        }
    }
    Ok(None)
}

/// Removes an empty object or list, and those around it that become empty, up to the member `keep` names deep.
pub(super) fn prune(text: &str, path: &[&str], keep: usize) -> anyhow::Result<String> {
    (keep + 1..=path.len())
        .rev()
        .try_fold(text.to_owned(), |text, depth| prune_member(&text, path.get(..depth).unwrap_or_default()))
}

fn list_at<'a, 'b>(root: &'b Object<'a>, path: &[&str]) -> anyhow::Result<Option<&'b Array<'a>>> {
    let Some((name, above)) = path.split_last() else { return Ok(None) };
    let (object, missing) = descend(root, above)?;
    if !missing.is_empty() {
        return Ok(None);
    }
    match member(object, name)?.map(|member| &member.value) {
        None => Ok(None),
        Some(Node::Array(list)) => Ok(Some(list)),
        Some(_) => bail!("its member `{name}` is not a list; fix it first"),
    }
}

fn container(list: &Array<'_>) -> Container {
    let items = list.elements.iter().map(|element| element.range().start..element.range().end).collect();
    Container { start: list.range.start, end: list.range.end, items }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PATH: [&str; 2] = ["hooks", "Stop"];

    fn is_ours(item: &Value) -> bool {
        item.get("command").and_then(Value::as_str).is_some_and(|command| command.starts_with("ours"))
    }

    fn without(text: &str) -> String {
        let text = remove_items(text, &PATH, "hooks", &is_ours).unwrap();
        prune(&text, &PATH, 0).unwrap()
    }

    #[test]
    fn an_item_is_added_to_every_form_of_a_file_and_its_removal_restores_the_file() {
        let group = json!({"hooks": [{"type": "command", "command": "ours \"x\""}]});
        for before in [
            "{\n  \"a\": 1\n}\n",
            "{ \"a\": [1,  2] }",
            "{\r\n\t\"hooks\": {\r\n\t\t\"Start\": [ { \"command\": \"theirs\" } ]\r\n\t}\r\n}\r\n",
            "{\n  // mine\n  \"hooks\": {\n    \"Stop\": [\n      {\n        \"hooks\": [{ \"command\": \"theirs\" }] // x\n      }\n    ]\n  },\n}\n",
            "{\"hooks\":{\"Stop\":[{\"command\":\"theirs\"}]}}",
            "{\"history\": \"cut within an emoji \\ud83d\", \"hooks\": {\"Stop\": [{\"command\": \"theirs\"}]}}",
        ] {
            let after = append(before, &PATH, &group).unwrap();
            let list = value_at(&after, &PATH).unwrap().unwrap();
            assert_eq!(list.as_array().unwrap().last(), Some(&group), "{after}");
            assert_eq!(without(&after), before, "{after}");
        }
    }

    #[test]
    fn an_item_that_was_merged_with_others_is_removed_alone() {
        let merged = r#"{"hooks": {"Stop": [{"matcher": "x", "hooks": [{"command": "theirs"}, {"command": "ours"}]}, {"command": "ours 2"}]}}"#;
        let after = without(merged);
        let expected = json!({"hooks": {"Stop": [{"matcher": "x", "hooks": [{"command": "theirs"}]}]}});
        assert_eq!(serde_json::from_str::<Value>(&after).unwrap(), expected);
    }

    #[test]
    fn an_unexpected_member_is_an_error_and_nothing_is_changed() {
        for text in [r#"{"hooks": []}"#, r#"{"hooks": {"Stop": {}}}"#, r#"{"hooks": 1, "hooks": 2}"#, "[]"] {
            assert!(append(text, &PATH, &json!({})).is_err(), "{text}");
        }
    }

    #[test]
    fn a_member_of_others_that_is_empty_stays() {
        let text = "{\"hooks\": {\"Start\": [], \"Stop\": [{\"command\": \"ours\"}]}}";
        assert_eq!(without(text), "{\"hooks\": {\"Start\": []}}");
    }
}
