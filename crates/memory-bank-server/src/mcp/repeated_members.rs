//! Finds calls whose arguments give a member twice. JSON allows that, and readers take one of both; a tool that may destroy
//! something must not depend on which.

use std::collections::HashSet;
use std::fmt;

use serde::de::{self, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// What is said to such a call.
pub(crate) const REPEATED: &str =
    "an argument is given twice, and the tool may overwrite or delete; give it once. Nothing was done";

/// Whether a call, as text that is known to be JSON, gives its name, its arguments or a member of them twice.
pub(crate) fn has_repeated_members(text: &[u8]) -> bool {
    serde_json::from_slice::<Message>(text).is_err()
}

#[derive(Deserialize)]
struct Message {
    #[serde(rename = "params")]
    _params: Params,
}

/// A member that stands twice is an error by itself here.
#[derive(Deserialize)]
struct Params {
    #[serde(rename = "name")]
    _name: IgnoredAny,
    #[serde(rename = "arguments", default)]
    _arguments: Unrepeated,
}

/// Any JSON in which no object has two members of one name. Nothing of it is kept.
#[derive(Default)]
struct Unrepeated;

impl<'de> Deserialize<'de> for Unrepeated {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Members)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Unrepeated;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unrepeated, A::Error> {
        let mut names = HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            if !names.insert(name) {
                return Err(de::Error::custom("a member is given twice"));
            }
            map.next_value::<Unrepeated>()?;
        }
        Ok(Unrepeated)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Unrepeated, A::Error> {
        while items.next_element::<Unrepeated>()?.is_some() {}
        Ok(Unrepeated)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Unrepeated, E> {
        Ok(Unrepeated)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Unrepeated, E> {
        Ok(Unrepeated)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Unrepeated, E> {
        Ok(Unrepeated)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Unrepeated, E> {
        Ok(Unrepeated)
    }

    fn visit_str<E>(self, _: &str) -> Result<Unrepeated, E> {
        Ok(Unrepeated)
    }

    fn visit_unit<E>(self) -> Result<Unrepeated, E> {
        Ok(Unrepeated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repeats(params: &str) -> bool {
        has_repeated_members(
            format!("{{\"id\":1,\"params\":{{{params}}},\"method\":\"tools/call\"}}").as_bytes(),
        )
    }

    #[test]
    fn a_member_that_is_given_twice_is_found_at_any_level() {
        for params in [
            r#""name":"x","arguments":{"a":1,"a":1}"#,
            r#""name":"x","arguments":{"a":1,"\u0061":2}"#,
            r#""name":"x","arguments":{"a":{"b":[{"c":1,"c":null}]}}"#,
            r#""name":"x","arguments":{},"arguments":{"a":1}"#,
            r#""name":"x","name":"y","arguments":{}"#,
        ] {
            assert!(repeats(params), "{params}");
        }
        for params in [
            r#""name":"x""#,
            r#""name":"x","arguments":null,"_meta":{"a":1,"a":1}"#,
            r#""name":"x","arguments":{"a":{"a":1},"b":[{"a":1.5},{"a":true}],"A":-1}"#,
            r#""name":"x","arguments":"{\"a\":1,\"a\":1}""#,
            r#""name":"x","arguments":[]"#,
        ] {
            assert!(!repeats(params), "{params}");
        }
    }
}
