//! The parts of a file for everybody that are of this machine or of its user. They are named before the file is written. It must
//! not know how a file is planned.

use std::path::Path;

use memory_bank_core::caller::UNKNOWN_USER;

use super::file_plan::Target;
use super::run::Run;
use crate::cli::clients::{HookServer, Scope, Server, installed_program};

/// The notices on the entry of the server.
pub(super) fn of_entry(run: &Run<'_>, target: &Target, server: &Server) -> Vec<String> {
    let Server::Stdio { command, .. } = server else { return Vec::new() };
    let is_committed = target.scope == Scope::Project && target.client.row().is_shared;
    if is_committed { notices(&parts(run, Some(command), true)) } else { Vec::new() }
}

/// The notice on an entry that moves from one project to another; `former` and `new` are its command lines.
pub(super) fn of_move(former: &[String], new: &[String]) -> Option<String> {
    let path = |words: &[String]| {
        let mut words = words.iter().skip_while(|word| *word != "--path");
        words.nth(1).cloned()
    };
    match (path(former), path(new)) {
        (Some(former), Some(new)) if former != new => {
            Some(format!("The entry moves from the memory of `{former}` to that of `{new}`."))
        }
        _ => None,
    }
}

/// The notices on the hooks.
///
/// # Errors
/// The program cannot be started by hooks.
pub(super) fn of_hooks(
    run: &Run<'_>,
    target: &Target,
    server: Option<HookServer<'_>>,
) -> anyhow::Result<Vec<String>> {
    if target.scope != Scope::Project {
        return Ok(Vec::new());
    }
    let program = installed_program(true)?;
    let mut parts = parts(run, Some(&program), server.is_none());
    parts.extend(
        server
            .and_then(|server| server.key_file)
            .map(|file| format!("the path `{}` of the key (`--key-file`)", shown(file))),
    );
    Ok(notices(&parts))
}

/// The parts that are of this machine or of its user.
fn parts(run: &Run<'_>, program: Option<&str>, has_user: bool) -> Vec<String> {
    let mut parts = Vec::new();
    parts.extend(program.filter(|program| Path::new(program).is_absolute()).map(|program| {
        format!(
            "the path `{program}` of this program (with the program on `PATH`, its name is written instead)"
        )
    }));
    if has_user && run.global.username != UNKNOWN_USER {
        parts.push(format!("the user name `{}` (`--username`)", run.global.username));
    }
    parts.extend(
        run.global.state_dir.as_ref().map(|state| format!("the folder `{}` (`--state-dir`)", shown(state))),
    );
    parts
}

fn shown(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}

fn notices(parts: &[String]) -> Vec<String> {
    if parts.is_empty() {
        return Vec::new();
    }
    vec![format!(
        "The file is meant to be committed, and everybody who uses it gets from it: {}.",
        parts.join(", ")
    )]
}
