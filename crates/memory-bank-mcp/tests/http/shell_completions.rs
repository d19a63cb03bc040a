//! The completions, loaded by the shells themselves: bash everywhere, zsh and fish where they are installed.

use std::process::Command;

use tempfile::TempDir;

use crate::client::command;

/// The output of a shell that has loaded the file `completions`; `None` if the shell is not installed.
fn shell_output(shell: &str, options: &[&str], script: &str) -> Option<String> {
    let folder = TempDir::new().unwrap();
    let made = command(&folder, &[]).args(["completions", shell]).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    std::fs::write(folder.path().join("_memory-bank-mcp"), made.stdout).unwrap();
    let spawned = Command::new(shell)
        .args(options)
        .args(["-c", script])
        .current_dir(folder.path())
        .env("HOME", folder.path())
        .output();
    let output = match spawned {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && shell != "bash" => return None,
        Err(error) => panic!("{shell}: {error}"),
    };
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && errors.is_empty(), "{shell}: {errors}");
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn bash_completes_commands_and_their_options() {
    let script = "source ./_memory-bank-mcp; f=$(complete -p memory-bank-mcp | sed 's/.*-F \\([^ ]*\\).*/\\1/'); \
        COMP_WORDS=(memory-bank-mcp aud); COMP_CWORD=1; $f memory-bank-mcp aud memory-bank-mcp; echo \"${COMPREPLY[@]}\"; \
        COMP_WORDS=(memory-bank-mcp import --fr); COMP_CWORD=2; $f memory-bank-mcp --fr import; echo \"${COMPREPLY[@]}\"";
    assert_eq!(shell_output("bash", &["--norc"], script).unwrap(), "audit\n--from\n");
}

#[test]
fn zsh_loads_the_completions_from_fpath() {
    let script = "fpath=($PWD $fpath); autoload -Uz compinit; compinit -u; print -r -- ${_comps[memory-bank-mcp]}; \
        autoload +X _memory-bank-mcp";
    if let Some(message) = shell_output("zsh", &["-f"], script) {
        assert_eq!(message, "_memory-bank-mcp\n");
    }
}

#[test]
fn fish_completes_commands_and_their_options() {
    let script = "source ./_memory-bank-mcp; complete -C 'memory-bank-mcp aud'; complete -C 'memory-bank-mcp import --fr'";
    if let Some(message) = shell_output("fish", &["--no-config"], script) {
        assert!(message.contains("audit\t") && message.contains("--from\t"), "{message}");
    }
}
