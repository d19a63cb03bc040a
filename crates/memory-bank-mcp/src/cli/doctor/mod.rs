//! `doctor`: checks everything that a server needs, and prints what to do. It changes nothing, and every wait is
//! bounded. Each file has one group of checks.

mod configuration;
mod database;
mod diagnosis;
mod embeddings;
pub(crate) mod findings;
mod folder;
mod key;
mod network;
mod redis;
mod sign_in;

use anyhow::bail;
use clap::Args;

use crate::cli::options::GlobalOptions;
use crate::cli::output::Output;
use crate::cli::setup::installed;
use crate::config::{self, Settings};
use findings::{Findings, Level};

/// Further checks.
#[derive(Debug, Clone, Args)]
pub(crate) struct DoctorArguments {
    /// Also report why an API key is rejected; it is read from a file, or with `-` from standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<String>,
}

/// Runs all checks; an error if something must be fixed.
pub(crate) async fn run(
    global: &GlobalOptions,
    arguments: &DoctorArguments,
    output: Output,
) -> anyhow::Result<()> {
    let key = arguments.key.as_deref().map(key::read).transpose()?;
    let mut findings = Findings::default();
    configuration::check_spelling(std::env::vars_os(), &mut findings);
    match Settings::read(&config::environment) {
        Ok(settings) => {
            check(global, &settings, key.as_deref(), &mut findings).await;
        }
        Err(error) => findings.error(
            "configuration",
            error.to_string(),
            "correct the variable; `memory-bank-mcp config` lists all variables. Nothing else was checked",
        ),
    }
    output.show(&findings.json(), &findings.text())?;
    match findings.count(Level::Error) {
        0 => Ok(()),
        1 => bail!("found one error"),
        errors => bail!("found {errors} errors"),
    }
}

/// The checks for a process that a client starts. It serves a folder, even if the environment names a database. `setup`, which
/// calls this, says itself why it adds no hooks.
pub(crate) async fn findings_of_stdio(global: &GlobalOptions) -> Findings {
    let mut findings = Findings::default();
    configuration::check_spelling(std::env::vars_os(), &mut findings);
    folder::check(global, None, &mut findings).await;
    if !matches!(installed::files_with_hooks(global), Ok(files) if files.is_empty()) {
        report_hooks(global, &mut findings);
    }
    findings
}

/// Reports the files that have the hooks of agents. Without hooks everything else works.
fn report_hooks(global: &GlobalOptions, findings: &mut Findings) {
    let check = "hooks";
    match installed::files_with_hooks(global) {
        Err(error) => findings.warning(check, format!("{error:#}"), "name the project with `--path`"),
        Ok(files) if files.is_empty() => {
            findings.ok(check, "not installed for any agent; `memory-bank-mcp setup` installs them");
        }
        Ok(files) => {
            let files: Vec<String> = files.iter().map(|file| format!("`{}`", file.display())).collect();
            findings.ok(check, format!("installed: {}", files.join(", ")));
        }
    }
}

async fn check(global: &GlobalOptions, settings: &Settings, key: Option<&str>, findings: &mut Findings) {
    configuration::report_backend(settings, findings);
    configuration::check_index_memory(settings, configuration::allowed_memory(), findings);
    let model = embeddings::check(findings).await;
    // The slow checks run concurrently; their findings are listed in order.
    let (mut of_storage, mut of_redis, mut of_network, mut of_sign_in) =
        (Findings::default(), Findings::default(), Findings::default(), Findings::default());
    tokio::join!(
        async {
            match &settings.database {
                Some(database) => {
                    database::check(database, settings, key, model.as_ref(), &mut of_storage).await;
                }
                None => {
                    folder::check(global, key, &mut of_storage).await;
                    if let Some(model) = &model {
                        embeddings::check_folder_vectors(global, model, &mut of_storage).await;
                    }
                }
            }
        },
        redis::check(settings, &mut of_redis),
        network::check(&settings.http, &mut of_network),
        Box::pin(sign_in::check(settings, &mut of_sign_in)),
    );
    findings.extend(of_storage);
    findings.extend(of_redis);
    findings.extend(of_network);
    findings.extend(of_sign_in);
    if settings.database.is_none() {
        report_hooks(global, findings);
    }
}
