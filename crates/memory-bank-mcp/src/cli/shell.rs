//! Shell completions and manual pages, generated from the command line's definition.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Command};
use clap_complete::Shell;

use crate::cli::output::{print_bytes, print_line};

/// The program's name.
const PROGRAM: &str = env!("CARGO_PKG_NAME");

/// Arguments of `completions`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Completions {
    /// The shell.
    shell: Shell,
}

/// Arguments of `man`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Manual {
    /// Write the pages of all commands into this folder, instead of the main page to standard output.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Prints a shell's completions.
pub(crate) fn completions(arguments: &Completions, mut command: Command) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, PROGRAM, &mut script);
    if arguments.shell == Shell::Bash {
        script = fix_bash_script(&String::from_utf8(script)?).into_bytes();
    }
    print_bytes(&script)
}

/// Works around an error of `clap_complete` 4.6: for a program with a hyphen in its name, the bash script names the cases
/// of commands with `__subcmd__` for each hyphen but searches them with `__`, so it completes no options of commands.
fn fix_bash_script(script: &str) -> String {
    script.replace(&PROGRAM.replace('-', "__subcmd__"), &PROGRAM.replace('-', "__"))
}

/// Prints the main page, or writes all.
pub(crate) fn manual(arguments: &Manual, command: Command) -> anyhow::Result<()> {
    if let Some(folder) = &arguments.dir {
        return write_pages(folder, command);
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    print_bytes(&page)
}

fn write_pages(folder: &Path, command: Command) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)
        .and_then(|()| place_pages(folder, command))
        .with_context(|| format!("the pages cannot be written to `{}`", folder.display()))?;
    print_line(&format!("Manual pages are in {}; read one with `man -l`.", folder.display()))
}

/// Writes the pages into a temporary folder and renames each: an existing file or link of that name is replaced, and
/// a link is not followed.
fn place_pages(folder: &Path, command: Command) -> std::io::Result<()> {
    let drafts = tempfile::Builder::new().prefix(".memory-bank-mcp-").tempdir_in(folder)?;
    clap_mangen::generate_to(command, drafts.path())?;
    for page in std::fs::read_dir(drafts.path())? {
        let page = page?;
        std::fs::rename(page.path(), folder.join(page.file_name()))?;
    }
    Ok(())
}
