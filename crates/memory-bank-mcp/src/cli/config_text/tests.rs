use serde_json::{Value, json};

use super::*;

const JSON: EntryLocation<'_> =
    EntryLocation { format: Format::Json, section: "mcpServers", project: None, name: "memory-bank" };
const TOML: EntryLocation<'_> =
    EntryLocation { format: Format::Toml, section: "mcp_servers", project: None, name: "memory-bank" };
const ALL: PruneOptions<'_> = PruneOptions { empty_section: true, unused_input: None };

fn entry() -> Value {
    json!({ "command": "memory-bank-mcp", "args": ["--path", "/a \"b\"\\c"] })
}

/// Texts in the forms that people and programs write.
const JSON_TEXTS: [&str; 23] = [
    "",
    "\n",
    "// only a comment",
    "{}",
    "{}\n",
    "{ }",
    "{\n}\n",
    "{\n  // nothing yet\n}\n",
    "{\"a\":1}",
    "{\"a\": 1, \"b\": [1, 2]}\n",
    "{\n  \"a\": 1\n}\n",
    "{\n\n  \"a\": 1,\n\n}\n",
    "{\n    \"a\": 1 // last\n}\n",
    "{\n\t\"a\": 1, // last\n\t/* tail\n\t   of two lines */\n}\n",
    "{\"mcpServers\":{}}",
    "{\n  \"mcpServers\": {\n  }\n}",
    "{\n  \"mcpServers\": {\n    // mine\n    \"other\": { \"command\": \"x\" } // keep\n  },\n  \"z\": null\n}\n",
    "{\n  \"mcpServers\": {\"other\": {\"command\": \"x\"}}\n}\n",
    "{\n  \"mcpServers\": {\"other\": {\"command\": \"x\"},},\n}\n",
    "\u{feff}{\r\n\t// mine\r\n\t\"theme\" : \"dark\", /* odd  spaces */\r\n\t\"mcpServers\": {\r\n\t\t\"other\": { \"command\": \"x\", }, // keep\r\n\t},\r\n}\r\n",
    "{\n  \"mcpServers\": {\n    \"other\": {\n      \"command\": \"x\"\n    }}}\n",
    "{ \"mcpServers\": { \"other\": { \"command\": \"ü // no comment\" } /* after */ } /* end */ }",
    "{\n  \"history\": [\"cut \\ud83d\", \"\\\\ude00\"],\n  \"mcpServers\": {\n    \"other\": { \"command\": \"\\udfff\" }\n  }\n}\n",
];

const TOML_TEXTS: [&str; 9] = [
    "",
    "model = \"x\"\n",
    "model = \"x\"",
    "# mine\n\n[mcp_servers.other]\ncommand = \"x\" # keep\nargs = [\n  \"a\", # one\n]\n\n# the end\n",
    "[mcp_servers]\nother = { command = \"x\" }\n",
    "mcp_servers = { other = { command = \"x\" } }\n",
    "mcp_servers.other.command = \"x\"\n\n[tui]\ntheme = \"dark\"\n",
    "\u{feff}model = \"x\"\r\n[projects.\"/shop\"]\r\ntrust_level = \"trusted\"\r\n",
    "text = \"\"\"\n[mcp_servers.memory-bank]\n\"\"\"\n",
];

fn texts() -> impl Iterator<Item = (EntryLocation<'static>, &'static str)> {
    JSON_TEXTS.iter().map(|text| (JSON, *text)).chain(TOML_TEXTS.iter().map(|text| (TOML, *text)))
}

#[test]
fn an_entry_is_added_and_all_else_stays_byte_for_byte() {
    for (location, before) in texts() {
        let after =
            put(before, location, &entry(), None).unwrap_or_else(|error| panic!("{before:?}: {error:#}"));
        assert_eq!(find(&after, location).unwrap(), Some(entry()), "{after:?}");
        let added =
            additions(before, &after).unwrap_or_else(|| panic!("something is lost: {before:?} -> {after:?}"));
        assert_eq!(without_ranges(&after, &added).as_deref(), Some(before));
        if before.contains("\r\n") {
            assert!(!after.replace("\r\n", "").contains('\n'), "line ends are mixed: {after:?}");
        }
    }
}

#[test]
fn removing_an_entry_restores_the_text() {
    // The blanks of an empty object cannot be restored.
    let exact = |before: &str| {
        !matches!(before, "" | "\n" | "// only a comment" | "model = \"x\"")
            && !before.contains("{ }")
            && !before.contains("{\n}")
            && !before.contains("{\n  }")
            && !before.contains("yet")
            && !before.ends_with("{\"mcpServers\":{}}")
    };
    for (location, before) in texts() {
        let after = put(before, location, &entry(), None).unwrap();
        let again = remove(&after, location, ALL).unwrap_or_else(|error| panic!("{after:?}: {error:#}"));
        assert_eq!(find(&again, location).unwrap(), None);
        if exact(before) {
            assert_eq!(again, before, "by way of {after:?}");
        }
    }
}

#[test]
fn an_entry_between_others_is_removed_with_its_line() {
    let before = "{\n  \"mcpServers\": {\n    \"a\": 1, // one\n    \"c\": 3\n  }\n}\n";
    let after =
        before.replace("    \"c\"", "    \"memory-bank\": {\n      \"command\": \"m\"\n    },\n    \"c\"");
    assert_eq!(remove(&after, JSON, ALL).unwrap(), before);
    let before = "[mcp_servers.a]\ncommand = \"a\"\n\n# of c\n[mcp_servers.c]\ncommand = \"c\"\n";
    let ours = "[mcp_servers.memory-bank]\ncommand = \"m\" # x\nenv.A = \"1\"\n\n[mcp_servers.memory-bank.tools.t]\napproval_mode = \"auto\"\n\n";
    let after = before.replace("# of c", &format!("{ours}# of c"));
    assert_eq!(remove(&after, TOML, ALL).unwrap(), before);
}

#[test]
fn a_comment_before_an_entry_in_toml_stays() {
    let before = "a = 1\n# mine\n";
    let after = put(before, TOML, &entry(), None).unwrap();
    assert_eq!(remove(&after, TOML, ALL).unwrap(), before);
}

#[test]
fn a_new_file_has_the_entry_and_nothing_else() {
    let text = put("", JSON, &entry(), None).unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(&text).unwrap(),
        json!({ "mcpServers": { "memory-bank": entry() } })
    );
    assert!(text.ends_with("}\n"));
    let text = put("", TOML, &entry(), None).unwrap();
    assert!(text.starts_with("[mcp_servers.memory-bank]\ncommand = \"memory-bank-mcp\"\n"), "{text}");
}

#[test]
fn an_entry_of_the_name_is_replaced() {
    for (location, before) in texts() {
        let once = put(before, location, &json!({ "command": "old" }), None).unwrap();
        let twice = put(&once, location, &entry(), None).unwrap();
        assert_eq!(find(&twice, location).unwrap(), Some(entry()), "{twice:?}");
        assert_eq!(remove(&twice, location, ALL).unwrap(), remove(&once, location, ALL).unwrap());
    }
}

#[test]
fn malformed_text_is_refused() {
    let texts = [
        "{",
        "[1]",
        "{\"mcpServers\": []}",
        "{\"mcpServers\": {}, \"mcpServers\": {\"x\": 1}}",
        "{} {}",
        "{\"a\": 1 \"b\": 2}",
        "{'a': 1}",
        "{a: 1}",
        "{\"mcpServers\": {\"memory-bank\": 1, \"memory-bank\": 2}}",
    ];
    for text in texts {
        assert!(put(text, JSON, &entry(), None).is_err(), "{text}");
        assert!(find(text, JSON).is_err(), "{text}");
    }
    for text in ["a = ", "mcp_servers = 1", "a = 1\na = 2"] {
        assert!(find(text, TOML).is_err(), "{text}");
    }
}

#[test]
fn an_error_does_not_repeat_the_text() {
    for (text, location) in [
        ("a = 1\nTOKEN = \"sk-secret\nb = 1\n", TOML),
        ("{\"TOKEN\": \"sk-secret\n}", JSON),
        ("{\"a\": sk-secret}", JSON),
    ] {
        let error = format!("{:#}", find(text, location).unwrap_err());
        assert!(!error.contains("secret") && error.contains("line "), "{error}");
    }
}

#[test]
fn settings_with_any_name_are_written_as_toml() {
    let entry = json!({ "command": "m", "my setting": { "a b": 1, "c.d": [true] }, "e.f": 1.5 });
    let after = put("", TOML, &entry, None).unwrap();
    assert_eq!(find(&after, TOML).unwrap(), Some(entry));
}

#[test]
fn a_section_is_the_member_of_the_outermost_object() {
    let has = |text| has_section(text, JSON).unwrap();
    assert!(has("{\"mcpServers\": {}}"));
    assert!(!has("{\"projects\": {\"/a\": {\"mcpServers\": {}}}}") && !has("") && !has("// \"mcpServers\""));
}

#[test]
fn an_input_is_added_once_and_removed_when_nothing_refers_to_it() {
    let location = EntryLocation { format: Format::Json, section: "servers", project: None, name: "m" };
    let input = json!({ "id": "key", "type": "promptString" });
    let entry = json!({ "headers": { "X-API-Key": "${input:key}" } });
    for before in ["{\"inputs\": [{\"id\": \"other\"}]}", "{\n  \"servers\": {\n    \"a\": 1\n  }\n}\n"] {
        let after = put(before, location, &entry, Some(&input)).unwrap();
        assert_eq!(put(&after, location, &entry, Some(&input)).unwrap(), after);
        let value: Value = serde_json::from_str(&after).unwrap();
        let inputs = value["inputs"].as_array().unwrap();
        assert_eq!(inputs.last(), Some(&input));
        let prune = PruneOptions { empty_section: true, unused_input: Some("key") };
        assert_eq!(remove(&after, location, prune).unwrap(), before);
    }
}

#[test]
fn additions_are_found_only_where_nothing_was_changed() {
    let ranges = |before, after| {
        additions(before, after).map(|added| added.iter().map(|range| (range.start, range.end)).collect())
    };
    assert_eq!(ranges("ac", "abc"), Some(vec![(1, 2)]));
    assert_eq!(ranges("", "abc"), Some(vec![(0, 3)]));
    assert_eq!(additions("abc", "abc"), Some(Vec::new()));
    assert_eq!(additions("abc", "ac"), None);
    let (before, after) = ("{\"a\": 1 /* c */}", "{\"a\": 1, /* c */ \"b\": 2}");
    assert_eq!(without_ranges(after, &additions(before, after).unwrap()).as_deref(), Some(before));
}

#[test]
fn comments_and_settings_in_an_entry_stay_when_its_members_change() {
    let newer = json!({ "command": "m", "args": ["--tools", "all"], "disabled": true });
    let before = "{\n  \"mcpServers\": {\n    \"memory-bank\": {\n      // mine\n      \"command\": \"m\", // a path\n      \"args\": [ \"x\" ],\n      /* off */ \"disabled\": true,\n      \"url\": \"u\"\n      // the end\n    }\n  }\n}\n";
    let after = put(before, JSON, &newer, None).unwrap();
    assert_eq!(
        after,
        before.replace("[ \"x\" ]", "[\"--tools\", \"all\"]").replace(",\n      \"url\": \"u\"", "")
    );
    assert_eq!(put(&after, JSON, &newer, None).unwrap(), after);

    let before = "[mcp_servers.memory-bank]\n# mine\ncommand = \"m\" # a path\nargs = [\n  \"x\", # one\n]\nurl = \"u\"\n# off\ndisabled = true\n\n[mcp_servers.memory-bank.tools]\na = 1 # kept\n\n[other]\n";
    let newer = json!({ "command": "m", "args": ["x"], "disabled": true, "cwd": "/", "tools": { "a": 1 } });
    let after = put(before, TOML, &newer, None).unwrap();
    assert_eq!(
        after,
        before.replace("url = \"u\"\n", "").replace("disabled = true\n", "disabled = true\ncwd = \"/\"\n")
    );
    let windows = before.replace('\n', "\r\n");
    assert_eq!(put(&windows, TOML, &newer, None).unwrap(), after.replace('\n', "\r\n"));
    // A value that is a table of its own is written anew, with the whole entry.
    let newer = json!({ "command": "m", "tools": { "a": 2 } });
    assert_eq!(find(&put(before, TOML, &newer, None).unwrap(), TOML).unwrap(), Some(newer));
}

#[test]
fn an_entry_of_one_project_is_put_below_its_name_and_removed_with_what_was_made_for_it() {
    let location = EntryLocation { project: Some("/a.b/c"), ..JSON };
    for (before, after) in [
        ("{}", json!({ "projects": { "/a.b/c": { "mcpServers": { "memory-bank": entry() } } } })),
        (
            "{\n  \"mcpServers\": { \"x\": 1 },\n  \"projects\": {\n    \"/\": { \"mcpServers\": {} }\n  }\n}\n",
            json!({ "mcpServers": { "x": 1 }, "projects": { "/": { "mcpServers": {} }, "/a.b/c": { "mcpServers": { "memory-bank": entry() } } } }),
        ),
        (
            "{ \"projects\": { \"/a.b/c\": { \"allowedTools\": [] } } }",
            json!({ "projects": { "/a.b/c": { "allowedTools": [], "mcpServers": { "memory-bank": entry() } } } }),
        ),
    ] {
        let text = put(before, location, &entry(), None).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), after);
        assert_eq!((find(&text, JSON).unwrap(), find(&text, location).unwrap()), (None, Some(entry())));
        let taken: Value = serde_json::from_str(&remove(&text, location, ALL).unwrap()).unwrap();
        assert_eq!(taken, serde_json::from_str::<Value>(before).unwrap());
    }
    assert!(find("{\"projects\": []}", location).is_err());
}
