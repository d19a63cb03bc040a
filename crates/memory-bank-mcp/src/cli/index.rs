//! `index`: shows the vectors of search by meaning, and makes them again. The word index is in memory only and needs no
//! command.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use clap::Args;
use memory_bank_core::clock::{SystemClock, SystemEntropy};
use memory_bank_core::error::WorkspaceError;
use memory_bank_core::search::{Embedder, ModelId};
use memory_bank_core::store::NoSink;
use memory_bank_folder::{Deps, FolderOptions, FolderWorkspace, VectorStatus};
use memory_bank_postgres::StoredVectors;
use memory_bank_vectors::MakerOptions;
use serde_json::{Value, json};

use crate::cli::account_arguments::parse_slug;
use crate::cli::database_advice::with_advice;
use crate::cli::options::GlobalOptions;
use crate::cli::output::{Output, Table};
use crate::config::{self, DatabaseSettings, Settings};
use crate::{database, embedder};

/// Time-out of loading a model, or of the reply of a service.
const MODEL_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest time without progress while vectors are made.
const STALL_TIMEOUT: Duration = Duration::from_secs(150);
/// The interval between checks of the progress.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// Arguments of `index`.
#[derive(Debug, Clone, Args)]
pub(crate) struct IndexArguments {
    /// Show how many vectors there are: of the folder's bank, or of each project of the database.
    #[arg(long, required_unless_present = "rebuild", conflicts_with = "rebuild")]
    status: bool,
    /// Drop the vectors and make them again: at once for a folder; for a project of the database when it is searched next.
    #[arg(long)]
    rebuild: bool,
    /// The project of the database, by its short name.
    #[arg(long, value_parser = parse_slug)]
    project: Option<String>,
}

/// Runs the command.
pub(crate) async fn run(
    global: &GlobalOptions,
    arguments: &IndexArguments,
    output: Output,
) -> anyhow::Result<()> {
    let settings = Settings::read(&config::environment)?;
    let is_read_only = global.tool_options()?.read_only;
    ensure!(
        !(arguments.rebuild && is_read_only),
        "`--read-only` (or `MEMORY_BANK_READ_ONLY`) is set; `--rebuild` writes"
    );
    match &settings.database {
        Some(database) => run_on_database(database, arguments, output).await.map_err(with_advice),
        None => {
            ensure!(
                arguments.project.is_none(),
                "`--project` names a project of a database, but `DATABASE_URL` is not set; name a folder with `--path`"
            );
            run_on_folder(global, arguments, output).await
        }
    }
}

async fn run_on_database(
    settings: &DatabaseSettings,
    arguments: &IndexArguments,
    output: Output,
) -> anyhow::Result<()> {
    let database = database::connect(settings, Arc::new(NoSink)).await?;
    database::require_owner(&database, settings).await?;
    if arguments.rebuild {
        let Some(slug) = &arguments.project else {
            bail!("`--rebuild` needs the project of the database; name it with `--project SLUG`")
        };
        let forgotten = database.forget_vectors(slug).await?;
        return output.show(
            &json!({"project": slug, "forgotten": forgotten}),
            &format!(
                "{forgotten} vectors of `{slug}` were deleted. The next search in the project makes them again; a server that has \
                 them in memory keeps them until it is restarted."
            ),
        );
    }
    let mut stored = database.stored_vectors().await?;
    if let Some(slug) = &arguments.project {
        stored.retain(|row| row.slug == *slug);
    }
    let row_json = |row: &StoredVectors| {
        json!({
            "project": row.slug,
            "model": row.model,
            "vectors": row.vectors,
            "bytes": row.vectors.saturating_mul(i64::from(row.width)),
            "isBeingMade": row.is_being_made,
        })
    };
    let mut table = Table::new(&["PROJECT", "MODEL", "VECTORS", "BYTES", "BEING MADE"]);
    for row in &stored {
        table.row(vec![
            row.slug.clone(),
            row.model.clone(),
            row.vectors.to_string(),
            row.vectors.saturating_mul(i64::from(row.width)).to_string(),
            if row.is_being_made { "yes" } else { "no" }.to_owned(),
        ]);
    }
    let text = if stored.is_empty() { "No vectors are stored.".to_owned() } else { table.to_string() };
    output.show(&json!({"projects": stored.iter().map(row_json).collect::<Vec<Value>>()}), &text)
}

async fn run_on_folder(
    global: &GlobalOptions,
    arguments: &IndexArguments,
    output: Output,
) -> anyhow::Result<()> {
    let workspace = workspace(global).await?;
    let embedder = embedder::open().map_err(embedder::Failure::into_error)?;
    if arguments.rebuild {
        let Some(embedder) = embedder else {
            bail!("`EMBEDDINGS` is not set; without it, search is by words, and there are no vectors to make")
        };
        let model = model(&*embedder).await?;
        rebuild(&workspace, embedder, &model).await?;
        let status = status(&workspace, Some(&model)).await?;
        ensure!(
            status.count.vectors == status.count.passages,
            "{} of {} passages have a vector; the model refused the others, or they do not fit into memory",
            status.count.vectors,
            status.count.passages
        );
        return show(&status, Some(&model), output);
    }
    let model = match &embedder {
        Some(embedder) => Some(model(&**embedder).await?),
        None => None,
    };
    let status = status(&workspace, model.as_ref()).await?;
    show(&status, model.as_ref(), output)
}

/// The banks of the folder that the command line names. Nothing is watched.
async fn workspace(global: &GlobalOptions) -> anyhow::Result<FolderWorkspace> {
    let project = global.project()?;
    ensure!(project.is_dir(), "there is no folder `{}`; name another with `--path`", project.display());
    let options = FolderOptions {
        path: Some(project.to_string_lossy().into_owned()),
        folder: Some(global.folder.clone()),
        working_directory: std::env::current_dir().context("the current folder cannot be used")?,
        home: std::env::home_dir(),
        watch: false,
        shows_paths: true,
        follow_links: global.follow_links,
        state: global.state_folder().ok(),
    };
    let deps =
        Deps { clock: Arc::new(SystemClock), entropy: Arc::new(SystemEntropy), sink: Arc::new(NoSink) };
    FolderWorkspace::start(options, deps).await.context("the project folder cannot be used")
}

/// The model of the embedder.
pub(crate) async fn model(embedder: &dyn Embedder) -> anyhow::Result<ModelId> {
    let model = tokio::time::timeout(MODEL_TIMEOUT, embedder.model()).await;
    let model =
        model.with_context(|| format!("the model did not answer within {} s", MODEL_TIMEOUT.as_secs()))?;
    model.context("the model of `EMBEDDINGS` cannot be used")
}

async fn status(workspace: &FolderWorkspace, model: Option<&ModelId>) -> anyhow::Result<VectorStatus> {
    workspace.vector_status(model).await.map_err(no_bank)
}

/// The vectors of the folder's bank; `None` if there is no bank. It writes nothing.
pub(crate) async fn folder_status(
    global: &GlobalOptions,
    model: &ModelId,
) -> anyhow::Result<Option<VectorStatus>> {
    match workspace(global).await?.vector_status(Some(model)).await {
        Ok(status) => Ok(Some(status)),
        Err(WorkspaceError::NoBank) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn no_bank(error: WorkspaceError) -> anyhow::Error {
    match error {
        WorkspaceError::NoBank => {
            anyhow::anyhow!(
                "there is no memory bank in this folder; create it with `memory-bank-mcp init`, or name its project with `--path`"
            )
        }
        other => other.into(),
    }
}

/// Makes all vectors again, and waits for the last.
async fn rebuild(
    workspace: &FolderWorkspace,
    embedder: Arc<dyn Embedder>,
    model: &ModelId,
) -> anyhow::Result<()> {
    ensure!(
        workspace.forget_vectors(model).await.map_err(no_bank)?,
        "another process is making vectors of this bank; try again later"
    );
    let without_delay = MakerOptions { delay: Duration::ZERO, ..MakerOptions::default() };
    workspace.set_embedder(embedder, without_delay, false);
    let (mut made, mut last_progress) = (0, Instant::now());
    while let Some(usage) = workspace.vector_use().filter(|usage| usage.projects > 0) {
        if usage.made > made {
            (made, last_progress) = (usage.made, Instant::now());
        }
        let error = usage.last_error.as_deref();
        let stalled_for = last_progress.elapsed();
        if stalled_for > STALL_TIMEOUT || error.is_some() && stalled_for > MODEL_TIMEOUT {
            workspace.stop_vectors(Duration::ZERO).await;
            bail!("vectors are not made: {}", error.unwrap_or("the model does not answer"));
        }
        tokio::time::sleep(PROGRESS_INTERVAL).await;
    }
    Ok(())
}

fn show(status: &VectorStatus, model: Option<&ModelId>, output: Output) -> anyhow::Result<()> {
    let VectorStatus { count, file_bytes, stale, is_another_model, is_being_made } = status;
    let mut table = Table::new(&["FIGURE", "VALUE"]);
    let mut row = |name: &str, value: String| table.row(vec![name.to_owned(), value]);
    row(
        "model",
        model.map_or_else(|| "none (`EMBEDDINGS` is not set)".to_owned(), |model| model.name().to_owned()),
    );
    if let Some(model) = model {
        row("values of a vector", model.dimension().to_string());
        row("passages", count.passages.to_string());
        row("with a vector", count.vectors.to_string());
        row("vectors of deleted texts", stale.to_string());
        row("file of another model", if *is_another_model { "yes" } else { "no" }.to_owned());
    }
    row("bytes of the file", file_bytes.to_string());
    row("being made", if *is_being_made { "yes" } else { "no" }.to_owned());
    let data = json!({
        "model": model.map(ModelId::name),
        "dimension": model.map(ModelId::dimension),
        "passages": model.map(|_| count.passages),
        "vectors": model.map(|_| count.vectors),
        "stale": model.map(|_| stale),
        "isAnotherModel": is_another_model,
        "fileBytes": file_bytes,
        "isBeingMade": is_being_made,
    });
    output.show(&data, &table.to_string())
}
