use rstest::rstest;
use serde_json::json;

use super::super::TOOLS;
use super::super::schema::{optional, required};
use super::*;

const ITEM: &[Argument] = &[required("id", Kind::Text, ""), optional("maxAge", Kind::Whole(0, 9))];
const ARGUMENTS: &[Argument] = &[
    required("name", Kind::Text, "Name not specified").or_called(&["title"]),
    required("context", Kind::Text, "").or_empty(),
    optional("limit", Kind::Whole(1, 20)),
    optional("kind", Kind::Word(&["a", "b"])),
    optional("tags", Kind::Texts),
    optional("items", Kind::Objects(ITEM)),
    optional("depth", Kind::Clamped(1, 2)),
    optional("dryRun", Kind::Flag),
    optional("attrs", Kind::Free),
    optional("one", Kind::Object(ITEM)),
    optional("factId", Kind::Text).keeping_empty(),
];

fn accepted(given: &Value, unknown: Unknown) -> Result<(Value, Vec<String>), String> {
    let mut given = given.as_object().unwrap().clone();
    let ignored_names = prepare(ARGUMENTS, &mut given, unknown)?;
    check(ARGUMENTS, &mut given)?;
    Ok((Value::Object(given), ignored_names))
}

/// The accepted arguments without the two required ones.
fn checked(more: &Value) -> Result<Value, String> {
    let mut given = json!({"name": "x", "context": ""});
    given.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let (mut value, ignored_names) = accepted(&given, Unknown::Refused)?;
    assert!(ignored_names.is_empty());
    let object = value.as_object_mut().unwrap();
    object.retain(|name, value| !(name == "name" && value == "x" || name == "context" && value == ""));
    Ok(value)
}

#[rstest]
#[case(json!({"context": ""}), "Name not specified: `name` is required and is missing; it takes a string, for example {\"name\":\"Order Service\"}")]
#[case(json!({"name": "", "context": ""}), "Name not specified: `name` is required and is empty")]
#[case(json!({"name": null, "context": ""}), "Name not specified: `name` is required and is null")]
#[case(json!({"name": "x"}), "`context` is required and is missing; it takes a string, for example {\"context\":")]
#[case(json!({}), "Name not specified: `name` is required and is missing; it takes a string, `context` is required")]
#[case(json!({"name": "x", "context": "", "items": [{}]}), "`items[0].id` is required and is missing")]
#[case(json!({"name": "x", "context": "", "one": {"maxAge": 1}}), "`one.id` is required and is missing")]
fn a_missing_argument_is_named_with_its_form(#[case] given: Value, #[case] text: &str) {
    let error = accepted(&given, Unknown::Ignored).unwrap_err();
    assert!(error.starts_with(text), "{error}");
}

#[rstest]
#[case("tags", json!([1]), "`tags[0]` must be a string, got 1; for example {\"tags\":[\"text\"]}")]
#[case("tags", json!("[1]"), "`tags[0]` must be a string, got 1")]
#[case("tags", json!(7), "`tags` must be an array of strings, got 7")]
#[case("tags", json!("[\"a\", 'b']"), "`tags` must be an array of strings, got the string \"[\\\"a\\\", 'b']\", which is not JSON: ")]
#[case("limit", json!(0), "`limit` must be a whole number from 1 to 20, got 0; for example {\"limit\":10}")]
#[case("limit", json!("0"), "`limit` must be a whole number from 1 to 20, got 0")]
#[case("limit", json!("1e3"), "`limit` must be a whole number from 1 to 20, got 1000.0")]
#[case("limit", json!(1.5), "`limit` must be a whole number from 1 to 20, got 1.5")]
#[case("limit", json!("many"), "`limit` must be a whole number from 1 to 20, got the string \"many\"")]
#[case("kind", json!("c"), "`kind` must be one of a, b, got the string \"c\"; for example {\"kind\":\"a\"}")]
#[case("kind", json!("sk-verysecret"), "`kind` must be one of a, b, got a string of 13 characters")]
#[case("kind", json!("x".repeat(1_000_000)), "`kind` must be one of a, b, got a string of 1000000 characters")]
#[case("dryRun", json!("yes"), "`dryRun` must be true or false, got the string \"yes\"")]
#[case("dryRun", json!(1), "`dryRun` must be true or false, got 1")]
#[case("items", json!([null]), "`items[0]` must be an object, got null")]
#[case("items", json!([{"id": "x", "maxAge": 10}]), "`items[0].maxAge` must be a whole number from 0 to 9, got 10")]
#[case("items", json!(r#"[{"id":"x","id":"y"}]"#), "`items` must be an array of objects, got the string")]
#[case("attrs", json!([1]), "`attrs` must be an object, got an array of 1 items; for example {\"attrs\":{")]
#[case("attrs", json!("lang=rust"), "`attrs` must be an object, got the string \"lang=rust\"")]
#[case("factId", json!(5), "`factId` must be a string, got 5")]
#[case("factId", json!({"a": 1}), "`factId` must be a string, got an object of 1 members")]
fn an_invalid_argument_is_named_with_its_value_and_an_example(
    #[case] name: &str,
    #[case] value: Value,
    #[case] text: &str,
) {
    let error = checked(&json!({name: value})).unwrap_err();
    assert!(error.starts_with(text), "{error}");
    assert!(error.len() < 400, "{error}");
}

#[rstest]
#[case(json!({"limit": "5"}), json!({"limit": 5}))]
#[case(json!({"limit": 5.0}), json!({"limit": 5}))]
#[case(json!({"depth": "-7"}), json!({"depth": 1}))]
#[case(json!({"dryRun": "True"}), json!({"dryRun": true}))]
#[case(json!({"dry_run": false}), json!({"dryRun": false}))]
#[case(json!({"DRYRUN": "false"}), json!({"dryRun": false}))]
#[case(json!({"kind": "A"}), json!({"kind": "a"}))]
#[case(json!({"tags": "one"}), json!({"tags": ["one"]}))]
#[case(json!({"tags": "[\"a\",\"b\"]"}), json!({"tags": ["a", "b"]}))]
#[case(json!({"tags": "[x] do it"}), json!({"tags": ["[x] do it"]}))]
#[case(json!({"attrs": "{\"a\":null}"}), json!({"attrs": {"a": null}}))]
#[case(json!({"attrs": {"max_age": "5", "maxAge": null}}), json!({"attrs": {"max_age": "5", "maxAge": null}}))]
#[case(json!({"items": "[{\"id\":\"x\",\"max_age\":\"5\"}]"}), json!({"items": [{"id": "x", "maxAge": 5}]}))]
#[case(json!({"items": {"id": "x", "maxAge": ""}}), json!({"items": [{"id": "x"}]}))]
#[case(json!({"items": ["{\"id\":\"x\"}"]}), json!({"items": [{"id": "x"}]}))]
#[case(json!({"one": "{\"ID\":\"x\",\"maxAge\":null}"}), json!({"one": {"id": "x"}}))]
#[case(json!({"limit": null, "kind": "", "tags": " ", "items": "", "attrs": "", "one": "", "depth": ""}), json!({}))]
#[case(json!({"limit": 5, "Limit": null}), json!({"limit": 5}))]
#[case(json!({"limit": null, "Limit": 5}), json!({"limit": 5}))]
#[case(json!({"limit": 5, "Limit": 5}), json!({"limit": 5}))]
#[case(json!({"limit": "", "Limit": 5}), json!({"limit": 5}))]
#[case(json!({"one": {"id": "", "maxAge": null}}), json!({}))]
#[case(json!({"factId": ""}), json!({"factId": ""}))]
#[case(json!({"fact_id": ""}), json!({"factId": ""}))]
fn unambiguous_forms_are_accepted(#[case] given: Value, #[case] taken: Value) {
    assert_eq!(checked(&given), Ok(taken), "{given}");
}

#[test]
fn a_text_is_not_changed() {
    for text in [" ", "{\"a\":1}", "[\"a\"]", "true", "5", "null", "\"x\"", "A", " a "] {
        let given = json!({"name": text, "context": text});
        assert_eq!(accepted(&given, Unknown::Refused), Ok((given.clone(), Vec::new())));
    }
}

#[test]
fn two_spellings_of_one_argument_may_not_have_two_values() {
    for given in [
        json!({"limit": 5, "Limit": 6}),
        json!({"limit": 5, "LIMIT": "5"}),
        json!({"dry_run": true, "dry-run": false}),
        json!({"title": "y"}),
        // Where an empty text has a meaning, it is a value.
        json!({"factId": "", "fact_id": "f1"}),
        json!({"factId": "f1", "fact_id": ""}),
        json!({"one": {"id": "x", "ID": "y"}}),
    ] {
        let error = checked(&given).unwrap_err();
        assert!(error.contains("mean the same and came with two values"), "{given}: {error}");
    }
    for given in [
        json!({"title": "x", "context": ""}),
        json!({"title": "x", "name": "", "context": ""}),
        json!({"title": "", "name": "x", "context": ""}),
        json!({"title": "x", "name": null, "context": "", "Context": null}),
    ] {
        let taken = accepted(&given, Unknown::Refused).unwrap().0;
        assert_eq!(taken, json!({"context": "", "name": "x"}), "{given}");
    }
    let given = json!({"name": "x", "context": "", "Context": "c"});
    assert!(accepted(&given, Unknown::Refused).is_err());
}

#[test]
fn unknown_arguments_are_ignored_and_named_or_refused() {
    let given = json!({"name": "x", "context": "", "toolCallId": "1", "__proto__": {"a": 1}, "_meta": null,
        "items": [{"id": "i", "more": 1}], "one": {"id": "i", "constructor": {}}});
    let (value, ignored_names) = accepted(&given, Unknown::Ignored).unwrap();
    assert_eq!(value, json!({"name": "x", "context": "", "items": [{"id": "i"}], "one": {"id": "i"}}));
    assert_eq!(ignored_names, ["toolCallId", "__proto__", "_meta", "items[0].more", "one.constructor"]);
    for unknown in [
        json!({"factid2": "f"}),
        json!({"fact": null}),
        json!({"ifMatchEtg": "x"}),
        json!({"__proto__": {"limit": 1}}),
        json!({"lımit": 1}),
        json!({"limit\u{0}": 1}),
        json!({"": 1}),
        json!({"items": [{"id": "x", "idd": "y"}]}),
        json!({"items": "[{\"id\":\"x\",\"idd\":\"y\"}]"}),
        json!({"one": {"id": "x", "maxAgee": null}}),
    ] {
        let error = checked(&unknown).unwrap_err();
        assert!(error.starts_with("unknown argument `"), "{unknown}: {error}");
        assert!(error.contains("known are: `") && error.contains("Nothing was done"), "{error}");
    }
    let mut given: Map<String, Value> = (0..1000).map(|n| (format!("x{n}"), json!(1))).collect();
    let ignored_names = prepare(ARGUMENTS, &mut given, Unknown::Ignored).unwrap();
    assert_eq!(ignored_names.len(), limits::ECHO_NAMES + 1);
    assert!(given.is_empty());
}

/// Every list of arguments of the table, with the lists inside of it.
fn every_list() -> Vec<(String, &'static [Argument])> {
    let mut lists: Vec<(String, &'static [Argument])> =
        TOOLS.iter().map(|tool| (tool.name.to_owned(), tool.arguments)).collect();
    let mut at = 0;
    while let Some((path, arguments)) = lists.get(at).cloned() {
        for argument in arguments {
            if let Kind::Object(members) | Kind::Objects(members) = argument.kind {
                lists.push((format!("{path}.{}", argument.name), members));
            }
        }
        at += 1;
    }
    lists
}

#[test]
fn no_two_arguments_of_a_tool_share_a_spelling() {
    for (path, arguments) in every_list() {
        let mut names: Vec<String> = Vec::new();
        for argument in arguments {
            names.push(folded(argument.name).unwrap());
            for other in argument.other_names {
                assert_eq!(folded(other).as_deref(), Some(*other), "{path}.{}", argument.name);
                names.push((*other).to_owned());
            }
        }
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count, "{path}: {names:?}");
    }
}

#[test]
fn every_example_is_accepted_by_its_tool() {
    for (path, arguments) in every_list() {
        for argument in arguments {
            let mut example = examples::of([argument]);
            let object = example.as_object_mut().unwrap();
            let one = [Argument { required: None, ..*argument }];
            let before = object.clone();
            assert_eq!(prepare(&one, object, Unknown::Refused), Ok(Vec::new()), "{path}.{}", argument.name);
            check(&one, object).unwrap();
            assert_eq!(*object, before, "{path}.{}", argument.name);
        }
    }
}

mod laws {
    use proptest::prelude::*;

    use super::*;

    /// Texts that look like other values.
    const TEXTS: [&str; 26] = [
        "",
        " ",
        "a",
        "5",
        " 5 ",
        "1e3",
        "-1",
        "0.5",
        "true",
        "True",
        "false ",
        "null",
        "[]",
        "{}",
        "[\"a\"]",
        "[1]",
        "['a']",
        "[x] do it",
        "{\"a\":1}",
        "{\"a\":1,\"a\":2}",
        "[{\"op\":\"append\"}]",
        "{\"kind\":\"tool\"}",
        "Feature",
        "REPLACE",
        "[\"a\"",
        "\u{0}\u{202e}",
    ];
    const STRANGERS: [&str; 12] = [
        "__proto__",
        "constructor",
        "toString",
        "_meta",
        "toolCallId",
        "etag",
        "observatonId",
        "ifMatchEtagg",
        "",
        "filename\u{0}",
        "ｆilename",
        "0",
    ];

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-9i64..30).prop_map(Value::from),
            any::<f64>().prop_map(|number| json!(number)),
            proptest::sample::select(&TEXTS[..]).prop_map(|text| json!(text)),
            ".{0,12}".prop_map(|text| json!(text)),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::vec((names(), inner.clone()), 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
                inner.prop_map(|value| json!(value.to_string())),
            ]
        })
    }

    /// Names of arguments in their own and other spellings, and unknown names.
    fn names() -> impl Strategy<Value = String> {
        let mut known: Vec<String> = Vec::new();
        for (_, arguments) in every_list() {
            for argument in arguments {
                known.push(argument.name.to_owned());
                known.extend(argument.other_names.iter().map(|name| (*name).to_owned()));
            }
        }
        let spelled =
            (proptest::sample::select(known), 0..4).prop_map(|(name, way): (String, i32)| match way {
                0 => name.to_uppercase(),
                1 => name
                    .chars()
                    .flat_map(|sign| sign.is_uppercase().then_some('_').into_iter().chain([sign]))
                    .collect(),
                _ => name,
            });
        prop_oneof![9 => spelled, 1 => proptest::sample::select(&STRANGERS[..]).prop_map(str::to_owned)]
    }

    /// Arguments of which most are the tool's own.
    fn arguments() -> impl Strategy<Value = (usize, Map<String, Value>)> {
        let members = proptest::collection::vec((any::<proptest::sample::Index>(), names(), values()), 0..6);
        (0..TOOLS.len(), members).prop_map(|(tool, members)| {
            let own = TOOLS[tool].arguments;
            let named = |(index, name, value): (proptest::sample::Index, String, Value)| {
                let unknown = own.is_empty() || name.len() % 5 == 0;
                let name = if unknown { name } else { own[index.index(own.len())].name.to_owned() };
                (name, value)
            };
            (tool, members.into_iter().map(named).collect())
        })
    }

    /// Whether there is an unknown name at any level with described members.
    fn has_unknown(known: &[Argument], given: &Map<String, Value>) -> bool {
        given.iter().any(|(name, value)| {
            let Some(argument) = meant_by(known, name) else { return true };
            match (argument.kind, value) {
                (Kind::Object(members), Value::Object(inner)) => has_unknown(members, inner),
                (Kind::Objects(members), Value::Array(items)) => {
                    items.iter().filter_map(Value::as_object).any(|inner| has_unknown(members, inner))
                }
                _ => false,
            }
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]

        #[test]
        fn accepted_arguments_are_accepted_again_unchanged((tool, mut given) in arguments()) {
            let spec = &TOOLS[tool];
            let accepted = prepare(spec.arguments, &mut given, Unknown::Ignored)
                .and_then(|_| check(spec.arguments, &mut given));
            if accepted.is_ok() {
                let mut again = given.clone();
                prop_assert_eq!(prepare(spec.arguments, &mut again, Unknown::Refused), Ok(Vec::new()), "{}", spec.name);
                prop_assert_eq!(check(spec.arguments, &mut again), Ok(()));
                prop_assert_eq!(again, given);
            }
        }

        #[test]
        fn no_tool_that_may_lose_data_accepts_an_unknown_argument((tool, mut given) in arguments()) {
            let spec = &TOOLS[tool];
            if spec.hints.may_destroy && has_unknown(spec.arguments, &given) {
                prop_assert!(prepare(spec.arguments, &mut given, spec.unknown()).is_err(), "{} {:?}", spec.name, given);
            }
        }

        #[test]
        fn a_refusal_is_short_and_names_an_argument((tool, mut given) in arguments()) {
            let spec = &TOOLS[tool];
            let refused = prepare(spec.arguments, &mut given, spec.unknown())
                .and_then(|_| check(spec.arguments, &mut given));
            if let Err(text) = refused {
                prop_assert!(text.contains('`') && text.len() < 1200, "{}: {text}", spec.name);
            }
        }
    }
}
