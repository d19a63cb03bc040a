//! Refuses texts that cannot be meant as a path: clients send variables that were not expanded, addresses, and paths of
//! another system. Used as a path, each would create a folder of that name. Checks the text alone and never reads the
//! disk.

use crate::system;

/// The longest accepted path, in bytes.
const MAX_PATH_BYTES: usize = 4096;

/// Texts that programs write for a missing value.
const MISSING_VALUES: [&str; 5] = ["undefined", "null", "None", "nil", "[object Object]"];

/// Whether this text can be a path on this system.
///
/// # Errors
/// It cannot; the message has the reason and what to give instead.
pub(crate) fn check(text: &str) -> Result<(), String> {
    let shown = || text.chars().take(200).collect::<String>().escape_debug().to_string();
    let refused = |why: String| Err(format!("`{}` {why}", shown()));
    if text.trim().is_empty() || text.contains('\0') {
        return refused("is not a path".to_owned());
    }
    if text.len() > MAX_PATH_BYTES {
        return refused(format!(
            "… is not a path: it has {} bytes, at most {MAX_PATH_BYTES} are taken",
            text.len()
        ));
    }
    if text.chars().any(char::is_control) {
        return refused("is not a path: it has a line break or another control character".to_owned());
    }
    if text.trim() != text || is_quoted(text) {
        let plain =
            text.trim_matches(|character: char| character.is_whitespace() || "'\"`".contains(character));
        return refused(format!("has blanks or quotes around the path; give the path alone, `{plain}`"));
    }
    if MISSING_VALUES.contains(&text) {
        return refused(format!(
            "is printed by programs where a value is missing; give the path itself, or `./{text}` for a folder of that name"
        ));
    }
    if let Some(variable) = variable(text) {
        return refused(format!(
            "holds `{variable}`, which nobody has replaced by its value; give the path itself, such as /home/me/project"
        ));
    }
    if let Some(scheme) = scheme(text) {
        return refused(match plain_path(text, scheme) {
            Some(path) => format!("is an address; give the plain path, `{}`", path.escape_debug()),
            None => "is an address; give the path of a folder on this machine".to_owned(),
        });
    }
    if let Some(why) = system::unusable_form(text) {
        return refused(why.to_owned());
    }
    if !system::PATHS_HAVE_DRIVES && (has_drive(text) || text.contains('\\')) {
        return refused(format!(
            "is a path for Windows, and this server runs on {}; give the path as it is called there, with `/`",
            std::env::consts::OS
        ));
    }
    Ok(())
}

fn is_quoted(text: &str) -> bool {
    ['"', '\'', '`'].iter().any(|quote| text.len() > 1 && text.starts_with(*quote) && text.ends_with(*quote))
}

/// The placeholder in a text, if there is one: `${x}`, `$x`, `$env:x`, `$(x)`, `%x%`, `{{x}}`, `<x>`.
fn variable(text: &str) -> Option<String> {
    for (opening, closing) in [("${", "}"), ("$(", ")"), ("{{", "}}")] {
        if let Some((_, rest)) = text.split_once(opening) {
            let name = rest.split_once(closing).map_or(rest, |(name, _)| name);
            return Some(format!("{opening}{name}{closing}"));
        }
    }
    for part in text.split(['/', '\\']) {
        let is_name = part.strip_prefix('$').is_some_and(|name| name.starts_with(is_name_start));
        let is_blank_to_fill = part.len() > 2 && part.starts_with('<') && part.ends_with('>');
        if is_name || is_blank_to_fill {
            return Some(part.to_owned());
        }
        let mut pieces = part.split('%').skip(1);
        if let (Some(name), Some(_)) = (pieces.next(), pieces.next())
            && name.starts_with(is_name_start)
            && name.chars().all(|character| character.is_ascii_alphanumeric() || "_()".contains(character))
            // `%20` is the blank of an address; an address is named as such.
            && scheme(text).is_none()
        {
            return Some(format!("%{name}%"));
        }
    }
    None
}

fn is_name_start(character: char) -> bool {
    character.is_ascii_alphabetic() || character == '_'
}

/// The scheme of an address: `file:` in any form, others before `//`.
fn scheme(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_once(':')?;
    let is_one = scheme.len() > 1
        && scheme.starts_with(|character: char| character.is_ascii_alphabetic())
        && scheme.chars().all(|character| character.is_ascii_alphanumeric() || "+-.".contains(character));
    (is_one && (scheme.eq_ignore_ascii_case("file") || rest.starts_with("//"))).then_some(scheme)
}

/// The path that a `file:` address of this machine means.
fn plain_path(text: &str, scheme: &str) -> Option<String> {
    if !scheme.eq_ignore_ascii_case("file") {
        return None;
    }
    let rest = text.get(scheme.len() + 1..)?;
    let path = match rest.strip_prefix("//") {
        Some(rest) => rest.strip_prefix("localhost").unwrap_or(rest),
        None => rest,
    };
    let path = percent_encoding::percent_decode_str(path).decode_utf8().ok()?;
    let behind = path.strip_prefix('/')?;
    // `file:///C:/Users/me` is `C:/Users/me`.
    let is_whole = system::PATHS_HAVE_DRIVES && has_drive(behind);
    Some(if is_whole { behind.to_owned() } else { path.into_owned() })
}

fn has_drive(text: &str) -> bool {
    let mut letters = text.chars();
    letters.next().is_some_and(|character| character.is_ascii_alphabetic()) && letters.next() == Some(':')
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("${workspaceFolder}/x", "`${workspaceFolder}`")]
    #[case("/a/${env:HOME}", "`${env:HOME}`")]
    #[case("$HOME/x", "`$HOME`")]
    #[case("$env:USERPROFILE/x", "`$env:USERPROFILE`")]
    #[case("$(pwd)", "`$(pwd)`")]
    #[case("%USERPROFILE%\\x", "`%USERPROFILE%`")]
    #[case("{{projectRoot}}", "`{{projectRoot}}`")]
    #[case("/home/<you>/project", "`<you>`")]
    #[case("file:///home/me/my%20project", "give the plain path, `/home/me/my project`")]
    #[case("FILE://localhost/home/me", "give the plain path, `/home/me`")]
    #[case("file:/home/me", "give the plain path, `/home/me`")]
    #[case("file:x", "is an address")]
    #[case("vscode-remote://wsl+ubuntu/home/me", "is an address")]
    #[case("https://example.com/x", "is an address")]
    #[case("\"/home/me\"", "give the path alone, `/home/me`")]
    #[case(" /home/me", "give the path alone, `/home/me`")]
    #[case("/home/me\n", "control character")]
    #[case("a\0b", "is not a path")]
    #[case("  ", "is not a path")]
    #[case("undefined", "`./undefined`")]
    #[case("null", "`./null`")]
    #[case("[object Object]", "a value is missing")]
    fn a_malformed_path_is_refused_with_the_right_form(#[case] text: &str, #[case] expected: &str) {
        let why = check(text).unwrap_err();
        assert!(why.contains(expected), "{why}");
    }

    #[cfg(windows)]
    #[rstest]
    #[case("C:project", "current folder of that drive")]
    #[case("\\\\.\\pipe\\x", "is a device")]
    #[case("file:///C:/Users/me", "give the plain path, `C:/Users/me`")]
    fn a_path_that_is_malformed_on_windows_is_refused(#[case] text: &str, #[case] expected: &str) {
        let why = check(text).unwrap_err();
        assert!(why.contains(expected), "{why}");
    }

    #[cfg(not(windows))]
    #[rstest]
    #[case("C:\\Users\\me\\proj")]
    #[case("c:/Users/me")]
    #[case("D:")]
    #[case("\\\\server\\share")]
    #[case("src\\app")]
    fn a_path_for_windows_is_refused_elsewhere(#[case] text: &str) {
        assert!(check(text).unwrap_err().contains("path for Windows"));
    }

    #[rstest]
    #[case("/srv/a$b")]
    #[case("/srv/100%/done%")]
    #[case("/srv/a:b")]
    #[case("./~bob")]
    #[case("~")]
    #[case("~/x y")]
    #[case("./undefined")]
    #[case("/srv/null")]
    #[case("../[id]/#1/{a}")]
    #[case("/srv/été/日本")]
    fn an_ordinary_path_is_accepted(#[case] text: &str) {
        check(text).unwrap();
    }
}
