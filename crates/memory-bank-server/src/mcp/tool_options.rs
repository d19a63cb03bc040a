//! The listed tools, read-only mode, and whether apps are linked. A toolset shortens `tools/list` and nothing else: a tool that is not listed
//! can be called. Read-only mode refuses. This module must not know where a setting comes from (flag, variable,
//! address, header).

use std::fmt;
use std::str::FromStr;

use memory_bank_core::caller::{Caller, Role};

use crate::mcp::tools::Family;

/// The longest text that is parsed as a toolset, in bytes.
const TOOLSET_BYTES: usize = 256;

/// The words for families of tools.
const FAMILIES: [(&str, Family); 8] = [
    ("workspace", Family::Workspace),
    ("documents", Family::Documents),
    ("progress", Family::Progress),
    ("context", Family::Context),
    ("graph", Family::Graph),
    ("modes", Family::Modes),
    ("thinking", Family::Thinking),
    ("backups", Family::Backups),
];

/// The tools of the toolset `core`: enough to store and to find, at the lowest cost in tokens.
const CORE_TOOLS: &[&str] = &[
    "initialize_memory_bank",
    "get_context_digest",
    "get_targeted_context",
    "search_memory_bank",
    "list_memory_bank_files",
    "read_memory_bank_file",
    "edit_memory_bank_file",
    "write_memory_bank_file",
    "track_progress",
    "log_decision",
    "update_tasks",
    "graph_batch",
    "graph_search",
];

/// The options of a client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToolOptions {
    /// The tools that `tools/list` shows.
    pub toolset: Toolset,
    /// Whether every tool that changes the memory bank is refused.
    pub read_only: bool,
    /// Whether lists link MCP Apps, for a client that declared in its session that it shows them.
    pub apps: bool,
}

impl ToolOptions {
    /// The caller with the remaining rights.
    pub(crate) fn restrict(&self, mut caller: Caller) -> Caller {
        if self.read_only {
            caller.role = Role::Viewer;
            caller.is_read_only = true;
        }
        caller
    }
}

/// The tools that `tools/list` shows: all, or those of some families and perhaps the core.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Toolset(Option<Parts>);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Parts {
    core: bool,
    /// By their index in [`FAMILIES`], in that order.
    families: [bool; FAMILIES.len()],
}

/// An invalid toolset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownToolset(String);

impl fmt::Display for UnknownToolset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let families: Vec<&str> = FAMILIES.iter().map(|(word, _)| *word).collect();
        write!(
            f,
            "`{}` is not a toolset; give `all`, `core`, or families separated by commas: {}",
            self.0,
            families.join(", ")
        )
    }
}

impl std::error::Error for UnknownToolset {}

impl Toolset {
    /// Whether a tool of this name and family is shown.
    pub(crate) fn shows(&self, name: &str, family: Family) -> bool {
        let Some(Parts { core, families }) = &self.0 else { return true };
        let of_family = FAMILIES.iter().zip(families).any(|((_, known), shown)| *shown && *known == family);
        of_family || *core && CORE_TOOLS.contains(&name)
    }

    /// Whether every tool is shown.
    pub(crate) fn is_all(&self) -> bool {
        self.0.is_none()
    }
}

impl FromStr for Toolset {
    type Err = UnknownToolset;

    /// Words separated by commas, in any case; surrounding blanks are ignored.
    fn from_str(text: &str) -> Result<Self, UnknownToolset> {
        let unknown = |word: &str| {
            let short: String = word.chars().filter(|character| !character.is_control()).take(40).collect();
            UnknownToolset(short)
        };
        if text.len() > TOOLSET_BYTES {
            return Err(unknown(text));
        }
        let (mut parts, mut all, mut words) = (Parts::default(), false, 0);
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            words += 1;
            let lower = word.to_ascii_lowercase();
            match lower.as_str() {
                "all" => all = true,
                "core" => parts.core = true,
                family => {
                    let place = FAMILIES.iter().position(|(known, _)| *known == family);
                    let shown = place.and_then(|place| parts.families.get_mut(place));
                    *shown.ok_or_else(|| unknown(word))? = true;
                }
            }
        }
        if words == 0 {
            return Err(unknown(text));
        }
        Ok(Self((!all).then_some(parts)))
    }
}

impl fmt::Display for Toolset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Parts { core, families }) = &self.0 else { return f.write_str("all") };
        let families = FAMILIES.iter().zip(families).filter(|(_, shown)| **shown).map(|((word, _), _)| *word);
        let words: Vec<&str> = core.then_some("core").into_iter().chain(families).collect();
        f.write_str(&words.join(","))
    }
}

#[cfg(test)]
mod tests {
    use memory_bank_core::caller::Right;

    use super::*;
    use crate::mcp::tools::TOOLS;

    fn shown(text: &str) -> Vec<&'static str> {
        let toolset: Toolset = text.parse().unwrap();
        TOOLS.iter().filter(|tool| toolset.shows(tool.name, tool.family)).map(|tool| tool.name).collect()
    }

    #[test]
    fn a_toolset_is_all_the_core_or_families() {
        assert_eq!(shown("all").len(), TOOLS.len());
        assert_eq!(shown("graph, all").len(), TOOLS.len());
        assert_eq!(shown(" Core ").len(), CORE_TOOLS.len());
        assert_eq!(shown("backups,"), ["create_backup", "restore_backup"]);
        let both = shown("core,BACKUPS");
        assert!(both.contains(&"restore_backup") && both.contains(&"track_progress"));
        assert!(!both.contains(&"switch_mode"));
    }

    #[test]
    fn every_family_has_a_name_and_every_core_tool_exists() {
        for tool in TOOLS {
            assert!(FAMILIES.iter().any(|(_, family)| *family == tool.family), "{}", tool.name);
        }
        for name in CORE_TOOLS {
            assert!(TOOLS.iter().any(|tool| tool.name == *name), "{name}");
        }
    }

    #[test]
    fn an_unknown_toolset_is_named_with_the_known_ones() {
        for (text, named) in [("", "``"), (" , ", "` , `"), ("core,x y", "`x y`"), ("Kern\n", "`Kern`")] {
            let error = text.parse::<Toolset>().unwrap_err().to_string();
            assert!(
                error.starts_with(named) && error.contains("core") && error.contains("backups"),
                "{error}"
            );
        }
        assert!("x".repeat(5000).parse::<Toolset>().unwrap_err().to_string().len() < 300);
    }

    #[test]
    fn a_toolset_round_trips() {
        for text in ["all", "core", "graph", "core,documents,graph"] {
            assert_eq!(text.parse::<Toolset>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn read_only_leaves_the_right_to_read_and_adds_none() {
        let options = ToolOptions { read_only: true, ..ToolOptions::default() };
        let mut caller = Caller::local("alice");
        assert!(options.restrict(caller.clone()).may(Right::Read));
        assert!(!options.restrict(caller.clone()).may(Right::Write));
        caller.scopes = vec![Right::Write];
        assert!(Right::ALL.iter().all(|right| !options.restrict(caller.clone()).may(*right)));
    }
}
