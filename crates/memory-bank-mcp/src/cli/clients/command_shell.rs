//! The shells in which agents run the commands of hooks, and how words are quoted for them.

use anyhow::bail;

/// The shell in which an agent runs a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CommandShell {
    Posix,
    Windows,
    PowerShell,
}

impl CommandShell {
    /// The command that starts a program with the arguments `hook REST` and options.
    ///
    /// # Errors
    /// A word cannot be quoted.
    pub(super) fn command(self, program: &str, rest: &str, options: &[String]) -> anyhow::Result<String> {
        let mut words = vec![self.quoted(program)?];
        if self == Self::PowerShell && words.iter().any(|word| word.starts_with('\'')) {
            words.insert(0, "&".to_owned());
        }
        words.push(format!("hook {rest}"));
        for option in options {
            words.push(self.quoted(option)?);
        }
        Ok(words.join(" "))
    }

    /// The word, so that the shell changes nothing in it.
    fn quoted(self, word: &str) -> anyhow::Result<String> {
        if word.chars().any(char::is_control) {
            bail!(
                "`{}` has a control character, which a shell's command cannot contain",
                word.escape_debug()
            );
        }
        let is_plain = |sign: char| sign.is_ascii_alphanumeric() || "-_./:@+,=".contains(sign);
        if !word.is_empty()
            && word.chars().all(|sign| is_plain(sign) || sign == '\\' && self == Self::Windows)
        {
            return Ok(word.to_owned());
        }
        match self {
            Self::Posix => Ok(format!("'{}'", word.replace('\'', "'\\''"))),
            Self::PowerShell => Ok(format!("'{}'", word.replace('\'', "''"))),
            Self::Windows if word.contains(['"', '%', '!']) => {
                bail!(
                    "`{word}` has a character that cannot be quoted in a command on Windows; use a path without it"
                )
            }
            Self::Windows => Ok(format!("\"{word}\"")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_quoted_for_its_shell() {
        let quoted = |shell: CommandShell, word| shell.quoted(word).unwrap();
        for word in ["$(rm -rf ~)", "a b", "`id`", "a;b", "", "a\"b", "é"] {
            assert_eq!(quoted(CommandShell::Posix, word), format!("'{word}'"));
            assert_eq!(quoted(CommandShell::PowerShell, word), format!("'{word}'"));
        }
        assert_eq!(quoted(CommandShell::Posix, "it's"), "'it'\\''s'");
        assert_eq!(quoted(CommandShell::Windows, "C:\\a b\\c.exe"), "\"C:\\a b\\c.exe\"");
        assert_eq!(quoted(CommandShell::Windows, "C:\\a\\c.exe"), "C:\\a\\c.exe");
        assert!(CommandShell::Windows.quoted("%PATH%").is_err());
        for shell in [CommandShell::Posix, CommandShell::Windows, CommandShell::PowerShell] {
            assert!(shell.quoted("a\nb").is_err());
        }
        assert_eq!(CommandShell::PowerShell.command("C:/a b/x", "e", &[]).unwrap(), "& 'C:/a b/x' hook e");
    }
}
