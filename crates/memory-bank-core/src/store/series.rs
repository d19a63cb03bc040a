//! Numbered documents of one kind: `stem.md`, `stem-2.md`, `stem-3.md`, … An edit that needs the last document of a
//! series does not know its name; the store finds it.

use std::fmt;

use crate::document::DocumentPath;
use crate::limits;

/// Documents that share a stem and are numbered.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Series(String);

impl Series {
    /// The series of this stem: lower-case letters, digits and hyphens; other characters are left out.
    #[must_use]
    pub fn new(stem: &str) -> Self {
        let plain = |character: &char| matches!(character, 'a'..='z' | '0'..='9' | '-');
        Self(stem.chars().filter(plain).collect())
    }

    /// The name of the first member without its extension.
    #[must_use]
    pub fn stem(&self) -> &str {
        &self.0
    }

    /// The member with this number, from 1 to [`limits::SERIES`].
    #[must_use]
    pub fn member(&self, number: u32) -> Option<DocumentPath> {
        let name = match number {
            1 => format!("{}.md", self.0),
            2..=limits::SERIES => format!("{}-{number}.md", self.0),
            _ => return None,
        };
        DocumentPath::parse(&name).ok()
    }

    /// The number of this document in the series; `None` if it is not a member.
    #[must_use]
    pub fn number_of(&self, path: &DocumentPath) -> Option<u32> {
        let canonical = path.canonical();
        let rest = canonical.as_str().strip_prefix(self.stem())?.strip_suffix(".md")?;
        let number = match rest.strip_prefix('-') {
            None if rest.is_empty() => 1,
            None => return None,
            Some(digits) => digits.parse().ok()?,
        };
        (self.member(number)? == canonical).then_some(number)
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("a-2026-11.md", Some(1))]
    #[case("a-2026-11-2.md", Some(2))]
    #[case("A-2026-11-10.md", Some(10))]
    #[case("a-2026-11-1.md", None)]
    #[case("a-2026-11-02.md", None)]
    #[case("a-2026-11-10000.md", None)]
    #[case("a-2026-11-x.md", None)]
    #[case("a-2026-112.md", None)]
    #[case("a-2026-11.json", None)]
    #[case("b.md", None)]
    fn members_are_recognised(#[case] name: &str, #[case] number: Option<u32>) {
        assert_eq!(Series::new("a-2026-11").number_of(&DocumentPath::parse(name).unwrap()), number);
    }

    #[test]
    fn a_series_has_a_last_member() {
        let series = Series::new("a");
        assert!(series.member(limits::SERIES).is_some() && series.member(limits::SERIES + 1).is_none());
        assert!(series.member(0).is_none());
    }
}
