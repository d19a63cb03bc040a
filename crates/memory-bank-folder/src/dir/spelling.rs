//! The names that folders list. Where one file has several names (another letter case, another composition, a short form),
//! only the listed one is used: under another name it would be another document, and replacing it would rename it.

use std::io;
use std::path::{Component, Path};

use memory_bank_core::unicode::folded;

use crate::dir::BankDir;
use crate::system::NAMES_HAVE_ALIASES;

impl BankDir {
    /// The listed name of what `name` leads to; none if that differs by more than letter case and composition.
    #[must_use]
    pub fn listed_name(&self, name: &str) -> Option<String> {
        if !NAMES_HAVE_ALIASES {
            return Some(name.to_owned());
        }
        let mut listed = String::new();
        for part in name.split('/') {
            let names = self.names_in(&listed);
            let exact = names.iter().find(|name| *name == part);
            let found = exact.or_else(|| names.iter().find(|name| folded(name) == folded(part)))?;
            if !listed.is_empty() {
                listed.push('/');
            }
            listed.push_str(found);
        }
        Some(listed)
    }

    /// Refuses a name of which a part exists and is listed under another name.
    ///
    /// # Errors
    /// It is; the text names the part.
    pub(crate) fn check_spelling(&self, name: &Path) -> io::Result<()> {
        if !NAMES_HAVE_ALIASES {
            return Ok(());
        }
        let mut above = String::new();
        for part in name.components() {
            let Component::Normal(part) = part else { continue };
            let part = part.to_string_lossy();
            let here = if above.is_empty() { part.to_string() } else { format!("{above}/{part}") };
            if self.is_missing(&here) {
                return Ok(());
            }
            let names = self.names_in(&above);
            if !names.iter().any(|listed| *listed == part) {
                let here = here.escape_debug();
                let same = names.iter().find(|listed| folded(listed) == folded(&part));
                return Err(io::Error::other(match same {
                    Some(listed) => format!(
                        "its folder lists `{here}` as `{}`, in another letter case or composition; use that one",
                        listed.escape_debug()
                    ),
                    None => format!("`{here}` is not the name that its folder lists; use that one"),
                }));
            }
            above = here;
        }
        Ok(())
    }
}

#[cfg(any(windows, target_os = "macos"))]
#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_name_in_another_letter_case_is_the_listed_one() {
        let temp = TempDir::new().unwrap();
        let dir = BankDir::open(temp.path()).unwrap();
        dir.create_folder("adr").unwrap();
        dir.replace("adr/notes.md", b"text").unwrap();
        assert_eq!(dir.listed_name("ADR/Notes.md").as_deref(), Some("adr/notes.md"));
        dir.check_spelling(Path::new("adr/notes.md")).unwrap();
        dir.check_spelling(Path::new("adr/new.md")).unwrap();
        for name in ["adr/NOTES.md", "Adr/notes.md", "Adr/new.md"] {
            assert!(dir.check_spelling(Path::new(name)).unwrap_err().to_string().contains("lists"), "{name}");
        }
        dir.check_folders("Adr/new.md", false).unwrap_err();
    }

    #[cfg(windows)]
    #[test]
    fn a_short_form_is_not_the_name_of_a_document() {
        let temp = TempDir::new().unwrap();
        let dir = BankDir::open(temp.path()).unwrap();
        dir.replace("a-name-that-is-longer-than-eight.md", b"text").unwrap();
        dir.prepare_internal().unwrap();
        for short in ["A-NAME~1.MD", "MBMCP~1/lock", "MBMCP~1"] {
            assert_eq!(dir.listed_name(short), None, "{short}");
            if dir.exists(short) {
                dir.check_spelling(Path::new(short)).unwrap_err();
            }
        }
    }
}
