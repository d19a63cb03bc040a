//! The layouts that are recognised, by the names of files and folders.

use crate::transfer::is_rules_file;
use crate::unicode::is_alphanumeric;

/// A layout of files that an agent or a program keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Layout {
    /// `CLAUDE.md`, `.claude/rules`.
    Claude,
    /// `AGENTS.md`.
    Agents,
    /// `GEMINI.md`.
    Gemini,
    /// `.cursorrules`, `.cursor/rules`.
    Cursor,
    /// `.windsurfrules`, `.windsurf/rules`.
    Windsurf,
    /// `.clinerules` as a file or a folder, `.cline/rules`.
    ClineRules,
    /// `.roorules`, `.roo/rules`.
    RooRules,
    /// `.kilocoderules`, `.kilocode/rules`.
    KiloRules,
    /// `copilot-instructions.md`, `.github/instructions`.
    Copilot,
    /// The six files of Cline's memory bank.
    ClineBank,
    /// The files of Roo's memory bank.
    RooBank,
    /// The files of Kilo Code's memory bank.
    KiloBank,
    /// A memory bank with the names of this server.
    MemoryBank,
    /// `.serena/memories`.
    Serena,
    /// The JSON lines of the protocol's reference server for memories.
    MemoryServer,
    /// A vault of Obsidian.
    Obsidian,
}

impl Layout {
    /// All layouts, in the order of reports.
    pub const ALL: [Self; 16] = [
        Self::Claude,
        Self::Agents,
        Self::Gemini,
        Self::Cursor,
        Self::Windsurf,
        Self::ClineRules,
        Self::RooRules,
        Self::KiloRules,
        Self::Copilot,
        Self::ClineBank,
        Self::RooBank,
        Self::KiloBank,
        Self::MemoryBank,
        Self::Serena,
        Self::MemoryServer,
        Self::Obsidian,
    ];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Claude => "claude",
            Self::Agents => "agents",
            Self::Gemini => "gemini",
            Self::Cursor => "cursor",
            Self::Windsurf => "windsurf",
            Self::ClineRules => "cline-rules",
            Self::RooRules => "roo-rules",
            Self::KiloRules => "kilo-rules",
            Self::Copilot => "copilot",
            Self::ClineBank => "cline-bank",
            Self::RooBank => "roo-bank",
            Self::KiloBank => "kilo-bank",
            Self::MemoryBank => "memory-bank",
            Self::Serena => "serena",
            Self::MemoryServer => "memory-server",
            Self::Obsidian => "obsidian",
        }
    }

    /// Whether it is a memory bank in files, whose documents go to the same place in the bank.
    #[must_use]
    pub fn is_bank(self) -> bool {
        matches!(self, Self::ClineBank | Self::RooBank | Self::KiloBank | Self::MemoryBank)
    }
}

impl std::str::FromStr for Layout {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|layout| layout.as_str() == word).ok_or_else(|| {
            format!("`{word}` is not a layout; it takes {}", Self::ALL.map(Self::as_str).join(", "))
        })
    }
}

/// Folders of agents, each with the folders in it that are read: their names, or the beginnings of them if they end with
/// `*`. Other folders in them, such as copies of the project for agents at work, are not.
const AGENT_FOLDERS: [(&str, &[&str]); 10] = [
    (".claude", &["rules"]),
    (".cursor", &["rules"]),
    (".windsurf", &["rules"]),
    (".clinerules", &["*"]),
    (".cline", &["rules"]),
    (".roo", &["rules*"]),
    (".kilocode", &["rules*"]),
    (".github", &["instructions"]),
    (".serena", &["memories"]),
    (".memory-bank", &["*"]),
];

/// Folders of dependencies and results of builds, which contain rules of other projects.
const FOREIGN_FOLDERS: [&str; 14] = [
    "node_modules",
    "bower_components",
    "vendor",
    "target",
    "dist",
    "build",
    "out",
    "venv",
    "__pycache__",
    "site-packages",
    "Pods",
    "DerivedData",
    "coverage",
    "htmlcov",
];

/// The names of folders that may be memory banks.
const BANK_FOLDERS: [&str; 5] = ["memory-bank", "memory_bank", ".memory-bank", "cline_docs", "cline-docs"];

/// The stems of the core files of memory banks, without signs between words.
const CLINE_STEMS: [&str; 2] = ["projectbrief", "techcontext"];
const ROO_STEMS: [&str; 1] = ["decisionlog"];
/// Kilo Code's are general words, so several of them make a bank.
const KILO_STEMS: [&str; 5] = ["brief", "product", "context", "architecture", "tech"];
const SHARED_STEMS: [&str; 4] = ["productcontext", "activecontext", "systempatterns", "progress"];

/// Whether a folder is read, by its path below the start.
#[must_use]
pub fn is_visited(folders: &[&str]) -> bool {
    let Some((name, above)) = folders.split_last() else { return true };
    let agent = |name: &str| AGENT_FOLDERS.iter().find(|(folder, _)| *folder == name);
    if let Some((_, read)) = above.last().and_then(|above| agent(above)) {
        return read.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => name == pattern,
        });
    }
    if name.starts_with('.') { agent(name).is_some() } else { !FOREIGN_FOLDERS.contains(name) }
}

/// Whether a file may be imported, so that it is checked.
#[must_use]
pub fn is_candidate(path: &[&str]) -> bool {
    path.last().is_some_and(|name| is_markdown(name)) || layout_of(path).is_some()
}

/// Whether a file has personal settings, which do not belong into a bank that others read.
#[must_use]
pub fn is_personal(name: &str) -> bool {
    ["claude.local.md", "agents.local.md", "gemini.local.md"].iter().any(|own| name.eq_ignore_ascii_case(own))
}

/// The layout of a file that its path alone determines.
#[must_use]
pub fn layout_of(path: &[&str]) -> Option<Layout> {
    let (name, folders) = path.split_last()?;
    let lower = name.to_ascii_lowercase();
    if is_personal(name) {
        return None;
    }
    let by_name = match lower.as_str() {
        "claude.md" => Some(Layout::Claude),
        "agents.md" | "agent.md" => Some(Layout::Agents),
        "gemini.md" => Some(Layout::Gemini),
        ".cursorrules" => Some(Layout::Cursor),
        ".windsurfrules" => Some(Layout::Windsurf),
        ".clinerules" => Some(Layout::ClineRules),
        ".roorules" => Some(Layout::RooRules),
        ".kilocoderules" => Some(Layout::KiloRules),
        "copilot-instructions.md" => Some(Layout::Copilot),
        // Roo keeps it beside its bank.
        "projectbrief.md" if folders.is_empty() => Some(Layout::RooBank),
        _ if lower.starts_with(".roorules-") => Some(Layout::RooRules),
        _ if lower.starts_with(".kilocoderules-") => Some(Layout::KiloRules),
        // The rules of this server's modes are read by itself.
        _ if lower.starts_with(".clinerules-") && !is_rules_file(name) => Some(Layout::ClineRules),
        _ => None,
    };
    by_name.or_else(|| in_agent_folder(folders, &lower)).or_else(|| memory_server(folders, &lower))
}

fn in_agent_folder(folders: &[&str], lower: &str) -> Option<Layout> {
    let is_text = |extensions: &[&str]| extensions.iter().any(|extension| lower.ends_with(extension));
    folders.iter().enumerate().find_map(|(at, folder)| {
        let next = folders.get(at + 1).copied().unwrap_or_default();
        match (*folder, next) {
            (".claude", "rules") if is_text(&[".md"]) => Some(Layout::Claude),
            (".cursor", "rules") if is_text(&[".mdc", ".md"]) => Some(Layout::Cursor),
            (".windsurf", "rules") if is_text(&[".md"]) => Some(Layout::Windsurf),
            (".clinerules", _) | (".cline", "rules") if is_text(&[".md", ".txt"]) => Some(Layout::ClineRules),
            (".roo", rules) if rules.starts_with("rules") && is_text(&[".md", ".txt"]) => {
                Some(Layout::RooRules)
            }
            // Its bank is a folder of its rules.
            (".kilocode", rules)
                if rules.starts_with("rules")
                    && is_text(&[".md", ".txt"])
                    && folders.get(at + 2).is_none_or(|folder| !BANK_FOLDERS.contains(folder)) =>
            {
                Some(Layout::KiloRules)
            }
            (".github", "instructions") if is_text(&[".instructions.md"]) => Some(Layout::Copilot),
            (".serena", "memories") if is_text(&[".md"]) => Some(Layout::Serena),
            _ => None,
        }
    })
}

/// The file of a memory server may have any name; those with `memory` in it, not deep in the project, are checked.
fn memory_server(folders: &[&str], lower: &str) -> Option<Layout> {
    let stem = lower.strip_suffix(".jsonl").or_else(|| lower.strip_suffix(".json"))?;
    (folders.len() <= 1 && stem.contains("memory")).then_some(Layout::MemoryServer)
}

/// The layout of the memory bank that a folder is, by its name and the names of its files.
#[must_use]
pub fn bank_layout<'a>(folder: &str, files: impl Iterator<Item = &'a str>) -> Option<Layout> {
    let stems: Vec<String> = files.filter(|name| is_markdown(name)).map(bare_stem).collect();
    let has = |known: &[&str]| known.iter().filter(|known| stems.iter().any(|stem| stem == *known)).count();
    let (cline, roo, shared) = (has(&CLINE_STEMS), has(&ROO_STEMS), has(&SHARED_STEMS));
    let is_named = BANK_FOLDERS.contains(&folder);
    if is_named && cline + roo + shared == 0 && has(&KILO_STEMS) > 1 {
        return Some(Layout::KiloBank);
    }
    if cline + roo + shared < if is_named { 1 } else { 3 } {
        return None;
    }
    Some(match (cline, roo) {
        (0, 1..) => Layout::RooBank,
        (1.., _) => Layout::ClineBank,
        (0, 0) => Layout::MemoryBank,
    })
}

/// The stem of a file's name without signs between words, in lower case: `activeContext.md` and `active_context.md` are
/// one.
pub(super) fn bare_stem(name: &str) -> String {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    stem.chars().filter(|character| is_alphanumeric(*character)).flat_map(char::to_lowercase).collect()
}

fn is_markdown(name: &str) -> bool {
    name.to_ascii_lowercase().ends_with(".md")
}

/// A file that belongs to a layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayoutMatch {
    /// The layout.
    pub layout: Layout,
    /// The folder of the bank or vault that it belongs to; empty for the start, and for other layouts.
    pub base: String,
}

/// The folders that are banks or vaults as a whole.
#[derive(Debug, Clone, Default)]
pub struct SourceFolders {
    /// Paths of vaults; empty for the start.
    pub vaults: Vec<String>,
    /// Paths of banks, with their layouts.
    pub banks: Vec<(String, Layout)>,
}

impl SourceFolders {
    /// The layout that a file belongs to: its name decides first, then the bank that it is in, then the vault.
    #[must_use]
    pub fn layout_match(&self, path: &str) -> Option<LayoutMatch> {
        let parts: Vec<&str> = path.split('/').collect();
        if let Some(layout) = layout_of(&parts) {
            return Some(LayoutMatch { layout, base: String::new() });
        }
        let name = parts.last()?;
        if !is_markdown(name) || is_personal(name) {
            return None;
        }
        // Roo keeps it beside its bank.
        let above = path.rsplit_once('/').map_or("", |(above, _)| above);
        let is_beside =
            |base: &str| base.rsplit_once('/').map_or("", |(above, _)| above) == above && base != above;
        if name.eq_ignore_ascii_case("projectbrief.md") && self.banks.iter().any(|(base, _)| is_beside(base))
        {
            return Some(LayoutMatch { layout: Layout::RooBank, base: above.to_owned() });
        }
        let bank =
            self.banks.iter().filter(|(base, _)| is_within(path, base)).max_by_key(|(base, _)| base.len());
        if let Some((base, layout)) = bank {
            let rest = below(path, base);
            let is_own =
                ["graph/", "backups/", "memory-bank-backup-"].iter().any(|own| rest.starts_with(own));
            return (!is_own).then(|| LayoutMatch { layout: *layout, base: base.clone() });
        }
        let is_hidden = parts.iter().any(|part| part.starts_with('.'));
        let vault = self.vaults.iter().filter(|base| is_within(path, base)).max_by_key(|base| base.len());
        let vault = vault.filter(|_| !is_hidden)?;
        Some(LayoutMatch { layout: Layout::Obsidian, base: vault.clone() })
    }
}

fn is_within(path: &str, base: &str) -> bool {
    base.is_empty() || path.strip_prefix(base).is_some_and(|rest| rest.starts_with('/'))
}

/// The path below a folder that it is in.
pub(super) fn below<'a>(path: &'a str, base: &str) -> &'a str {
    if base.is_empty() {
        return path;
    }
    path.strip_prefix(base).map_or(path, |rest| rest.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn the_brief_of_roo_is_beside_a_bank_in_any_folder() {
        let folders = SourceFolders {
            vaults: Vec::new(),
            banks: vec![("sub/memory-bank".to_owned(), Layout::RooBank)],
        };
        let found = folders.layout_match("sub/projectBrief.md");
        assert_eq!(found, Some(LayoutMatch { layout: Layout::RooBank, base: "sub".to_owned() }));
        for other in ["other/projectBrief.md", "sub/deeper/projectBrief.md", "sub/notes.md"] {
            assert_eq!(folders.layout_match(other), None, "{other}");
        }
    }

    fn of(path: &str) -> Option<Layout> {
        layout_of(&path.split('/').collect::<Vec<_>>())
    }

    #[rstest]
    #[case("CLAUDE.md", Layout::Claude)]
    #[case("packages/api/CLAUDE.md", Layout::Claude)]
    #[case(".claude/CLAUDE.md", Layout::Claude)]
    #[case(".claude/rules/style.md", Layout::Claude)]
    #[case("AGENTS.md", Layout::Agents)]
    #[case("GEMINI.md", Layout::Gemini)]
    #[case(".cursorrules", Layout::Cursor)]
    #[case(".cursor/rules/ts.mdc", Layout::Cursor)]
    #[case("web/.cursor/rules/deep/ts.mdc", Layout::Cursor)]
    #[case(".windsurfrules", Layout::Windsurf)]
    #[case(".windsurf/rules/a.md", Layout::Windsurf)]
    #[case(".clinerules", Layout::ClineRules)]
    #[case(".clinerules/01-style.md", Layout::ClineRules)]
    #[case(".clinerules-review", Layout::ClineRules)]
    #[case(".roo/rules-code/a.txt", Layout::RooRules)]
    #[case(".roorules", Layout::RooRules)]
    #[case(".kilocoderules", Layout::KiloRules)]
    #[case(".kilocode/rules/style.md", Layout::KiloRules)]
    #[case(".kilocode/rules-code/deep/style.md", Layout::KiloRules)]
    #[case(".github/copilot-instructions.md", Layout::Copilot)]
    #[case(".github/instructions/web/a.instructions.md", Layout::Copilot)]
    #[case(".serena/memories/modules/front.md", Layout::Serena)]
    #[case("memory.json", Layout::MemoryServer)]
    #[case("data/team-memory.jsonl", Layout::MemoryServer)]
    fn files_are_recognised_by_their_path(#[case] path: &str, #[case] layout: Layout) {
        assert_eq!(of(path), Some(layout));
    }

    #[rstest]
    #[case("README.md")]
    #[case("CLAUDE.local.md")]
    #[case(".clinerules-code")]
    #[case(".cursor/rules/readme.txt")]
    #[case(".cursor/commands/x.md")]
    #[case(".github/ISSUE_TEMPLATE/bug.md")]
    #[case(".serena/project.yml")]
    #[case("a/b/memory.json")]
    #[case("package.json")]
    fn other_files_are_not(#[case] path: &str) {
        assert_eq!(of(path), None);
    }

    #[rstest]
    #[case(&["packages", "api"], true)]
    #[case(&[".claude"], true)]
    #[case(&[".claude", "rules"], true)]
    #[case(&[".claude", "worktrees"], false)]
    #[case(&[".roo", "rules-code"], true)]
    #[case(&[".git"], false)]
    #[case(&[".obsidian"], false)]
    #[case(&["node_modules"], false)]
    #[case(&["web", "node_modules"], false)]
    #[case(&[".clinerules", "workflows"], true)]
    fn foreign_and_hidden_folders_are_not_visited(#[case] folders: &[&str], #[case] visited: bool) {
        assert_eq!(is_visited(folders), visited);
    }

    #[test]
    fn banks_are_distinguished_by_their_core_files() {
        let layout = |folder: &str, files: &[&'static str]| bank_layout(folder, files.iter().copied());
        let cline = ["projectbrief.md", "productContext.md", "activeContext.md", "techContext.md"];
        assert_eq!(layout("memory-bank", &cline), Some(Layout::ClineBank));
        assert_eq!(layout("anything", &cline), Some(Layout::ClineBank));
        let roo = ["productContext.md", "activeContext.md", "decisionLog.md"];
        assert_eq!(layout("memory-bank", &roo), Some(Layout::RooBank));
        assert_eq!(layout("memory-bank", &["progress.md"]), Some(Layout::MemoryBank));
        let kilo = ["brief.md", "context.md", "tech.md"];
        assert_eq!(layout("memory-bank", &kilo), Some(Layout::KiloBank));
        assert_eq!(layout("docs", &kilo), None);
        assert_eq!(layout("memory-bank", &["context.md"]), None);
        assert_eq!(layout("docs", &["progress.md", "notes.md"]), None);
        assert_eq!(layout("memory-bank", &["notes.md"]), None);
    }

    #[test]
    fn a_file_belongs_to_one_layout() {
        let source_folders = SourceFolders {
            vaults: vec![String::new(), "notes".to_owned()],
            banks: vec![("memory-bank".to_owned(), Layout::ClineBank)],
        };
        let layout_match = |path: &str| {
            source_folders.layout_match(path).map(|layout_match| (layout_match.layout, layout_match.base))
        };
        assert_eq!(layout_match("CLAUDE.md"), Some((Layout::Claude, String::new())));
        assert_eq!(
            layout_match("memory-bank/progress.md"),
            Some((Layout::ClineBank, "memory-bank".to_owned()))
        );
        assert_eq!(layout_match("memory-bank/graph/graph.md"), None);
        assert_eq!(layout_match("notes/a/b.md"), Some((Layout::Obsidian, "notes".to_owned())));
        assert_eq!(layout_match("notesless/b.md"), Some((Layout::Obsidian, String::new())));
        assert_eq!(layout_match(".trash/b.md"), None);
        assert_eq!(layout_match("notes/picture.png"), None);
        assert_eq!(layout_match("CLAUDE.local.md"), None);
    }

    #[test]
    fn every_layout_has_a_word_that_is_read_back() {
        for layout in Layout::ALL {
            assert_eq!(layout.as_str().parse(), Ok(layout));
        }
        assert!("vscode".parse::<Layout>().unwrap_err().contains("obsidian"));
    }
}
