//! The caches from which package runners start this program. They may be emptied at any time, so a path in one must not be in
//! a file. It must not know clients.

use std::path::Path;

/// The package on npm.
const NPM_PACKAGE: &str = "@diazstg/memory-bank-mcp";
/// The lines that install the program for good.
const NPM_INSTALL: &str = "npm install --global @diazstg/memory-bank-mcp";
const UV_INSTALL: &str = "uv tool install diazstg-memory-bank-mcp";
const PIPX_INSTALL: &str = "pipx install diazstg-memory-bank-mcp";
/// The length of the name of an environment of `pipx run`, in hexadecimal digits.
const PIPX_DIGITS: usize = 15;

/// A package runner whose cache has this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PackageRunner {
    /// Its name, in a message.
    pub(super) name: &'static str,
    /// The words that start the program again; empty if an agent must not use them.
    start: &'static [&'static str],
    /// The line that installs the program.
    pub(super) install: &'static str,
}

/// `npx`.
const NPX: PackageRunner =
    PackageRunner { name: "npx", start: &["npx", "-y", NPM_PACKAGE], install: NPM_INSTALL };
/// `pnpm dlx`, since version 9.
const PNPM: PackageRunner =
    PackageRunner { name: "pnpm", start: &["pnpm", "dlx", NPM_PACKAGE], install: NPM_INSTALL };
/// `bunx`.
const BUNX: PackageRunner =
    PackageRunner { name: "bunx", start: &["bunx", NPM_PACKAGE], install: NPM_INSTALL };
/// `yarn dlx`, and `pnpm dlx` before version 9: the path does not show which of the two it was, and Yarn writes lines of its own
/// to standard output, where an agent expects messages.
const DLX: PackageRunner = PackageRunner { name: "pnpm or Yarn", start: &[], install: NPM_INSTALL };
/// `uvx`. A wheel from a folder may have a name that nobody has on PyPI yet: an agent must not start what comes to have it.
const UVX: PackageRunner = PackageRunner { name: "uv", start: &[], install: UV_INSTALL };
/// `pipx run`; as for `uvx`.
const PIPX: PackageRunner = PackageRunner { name: "pipx", start: &[], install: PIPX_INSTALL };

impl PackageRunner {
    /// The runner whose cache has the program, if one has.
    pub(super) fn of(program: &Path) -> Option<Self> {
        let parts: Vec<_> = program.iter().map(|part| part.to_str().unwrap_or_default()).collect();
        let has = |name: &str| parts.contains(&name);
        let starts = |start: &str| parts.iter().any(|part| part.starts_with(start));
        // npm/cli, workspaces/libnpmexec
        if has("_npx") {
            return Some(NPX);
        }
        // The folder around it depends on the system and on `UV_CACHE_DIR`.
        if has("archive-v0") {
            return Some(UVX);
        }
        if is_of_pipx(&parts) {
            return Some(PIPX);
        }
        if !has("node_modules") {
            return None;
        }
        // oven-sh/bun, src/cli/bunx_command.zig: in the folder for temporary files, and since version 1.4 in the cache.
        if starts("bunx-") || starts(".bunx-") {
            return Some(BUNX);
        }
        // pnpm/pnpm, exec/plugin-commands-script-runners/src/dlx.ts
        if has("dlx") {
            return Some(PNPM);
        }
        starts("dlx-").then_some(DLX)
    }

    /// The words that start the program from its package, if an agent may use them.
    pub(super) fn words(self) -> Option<Vec<String>> {
        if self.start.is_empty() {
            return None;
        }
        // On Windows these are scripts.
        let shell = if cfg!(windows) { &["cmd", "/c"][..] } else { &[] };
        Some(shell.iter().chain(self.start).map(|word| (*word).to_owned()).collect())
    }
}

/// pypa/pipx, src/pipx/commands/run.py: `~/.cache/pipx/HASH/bin/NAME`, or `.cache/HASH/bin/NAME` below `PIPX_HOME`. An installed
/// program is below `venvs`.
fn is_of_pipx(parts: &[&str]) -> bool {
    let is_hash = |part: &str| {
        part.len() == PIPX_DIGITS
            && part.chars().all(|digit| digit.is_ascii_digit() || ('a'..='f').contains(&digit))
    };
    let is_cache = |above: &[&str]| above.last() == Some(&".cache") || above.contains(&"pipx");
    parts.iter().enumerate().any(|(at, part)| {
        let (above, below) = (parts.get(..at).unwrap_or_default(), parts.get(at + 1));
        is_hash(part) && matches!(below, Some(&"bin" | &"Scripts")) && is_cache(above)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Paths as the runners make them on Linux, macOS and Windows, with `/` for the separator.
    const CACHED: [(&str, &str); 16] = [
        ("npx", "/home/jo/.npm/_npx/1a/node_modules/@diazstg/memory-bank-mcp-linux-x64/bin/memory-bank-mcp"),
        ("uv", "/home/jo/.cache/uv/archive-v0/ab/bin/memory-bank-mcp"),
        ("uv", "/home/jo/uv/cache/archive-v0/ab/bin/memory-bank-mcp"),
        ("uv", "/tmp/c/archive-v0/ab/bin/memory-bank-mcp"),
        // Versions 9, 10 and 12.
        (
            "pnpm",
            "/home/jo/.cache/pnpm/dlx/gomdgzyzw45ydi3f4ms4mrxr6a/1a21f5b9878-f03/node_modules/.pnpm/x@1/node_modules/x/bin/m",
        ),
        (
            "pnpm",
            "/Users/jo/Library/Caches/pnpm/dlx/e8e1a456/1a21f5b8089-e03/node_modules/.pnpm/x@1/node_modules/x/bin/m",
        ),
        (
            "pnpm",
            "C:/Users/jo/AppData/Local/pnpm-cache/dlx/6f4c6803/mwzmarpo-2nn/node_modules/.pnpm/x@1/node_modules/x/bin/m.exe",
        ),
        (
            "bunx",
            "/tmp/bunx-1000-@diazstg/memory-bank-mcp@latest/node_modules/@diazstg/x/bin/memory-bank-mcp",
        ),
        (
            "bunx",
            "/home/jo/.bun/install/cache/.bunx-1000/@diazstg/memory-bank-mcp@latest/node_modules/@diazstg/x/bin/m",
        ),
        // Version 8, and Yarn.
        (
            "pnpm or Yarn",
            "/home/jo/.local/share/pnpm/store/v3/tmp/dlx-11894/node_modules/.pnpm/x@1/node_modules/x/bin/m",
        ),
        ("pnpm or Yarn", "/tmp/xfs-1a2b/dlx-4711/.yarn/unplugged/x-npm-1/node_modules/x/bin/m"),
        ("pipx", "/home/jo/.cache/pipx/c539b568024c72c/bin/memory-bank-mcp"),
        ("pipx", "/home/jo/.local/pipx/.cache/c539b568024c72c/bin/memory-bank-mcp"),
        ("pipx", "/opt/tools/.cache/c539b568024c72c/bin/memory-bank-mcp"),
        ("pipx", "/Users/jo/Library/Caches/pipx/c539b568024c72c/bin/memory-bank-mcp"),
        ("pipx", "C:/Users/jo/AppData/Local/pipx/pipx/Cache/c539b568024c72c/Scripts/memory-bank-mcp.exe"),
    ];

    #[test]
    fn a_program_in_the_cache_of_a_runner_is_recognised() {
        for (name, path) in CACHED {
            assert_eq!(PackageRunner::of(Path::new(path)).map(|runner| runner.name), Some(name), "{path}");
        }
    }

    #[test]
    fn an_installed_program_is_not_taken_for_one_in_a_cache() {
        for path in [
            "/opt/x/memory-bank-mcp",
            "/home/jo/dlx/memory-bank-mcp",
            "/home/jo/bunx-tools/memory-bank-mcp",
            "/home/jo/.local/share/pnpm/global/5/node_modules/.pnpm/x@1/node_modules/x/bin/memory-bank-mcp",
            "/home/jo/.bun/install/global/node_modules/@diazstg/x/bin/memory-bank-mcp",
            "/home/jo/.local/share/pipx/venvs/diazstg-memory-bank-mcp/bin/memory-bank-mcp",
            "/home/jo/.local/share/uv/tools/diazstg-memory-bank-mcp/bin/memory-bank-mcp",
            "/srv/c539b568024c72c/bin/memory-bank-mcp",
        ] {
            assert_eq!(PackageRunner::of(Path::new(path)), None, "{path}");
        }
    }
}
