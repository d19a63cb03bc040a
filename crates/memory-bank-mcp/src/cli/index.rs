//! `index`: shows the vectors of search by meaning, and makes them anew. The words of the index are in memory only and are
//! not managed.

use std::path::Path;
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

use crate::cli::admin::{advised, slug};
use crate::cli::options::GlobalOptions;
use crate::cli::output::{Output, Table};
use crate::config::{self, DatabaseSettings, Settings};
use crate::{database, embedder};

/// How long a model may take to be read, or a service to answer.
const MODEL_WAIT: Duration = Duration::from_secs(60);
/// How long vectors may be made without a step forward.
const STEP_WAIT: Duration = Duration::from_secs(150);
/// The interval between checks of the progress.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// Arguments of `index`.
#[derive(Debug, Clone, Args)]
pub(crate) struct IndexArguments {
    /// Show how many vectors there are: of the folder's bank, or of each project of the database.
    #[arg(long, required_unless_present = "rebuild", conflicts_with = "rebuild")]
    status: bool,
    /// Drop the vectors and make them anew: at once for a folder; for a project of the database when it is searched next.
    #[arg(long)]
    rebuild: bool,
    /// The project of the database, by its short name.
    #[arg(long, value_parser = slug)]
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
        Some(wanted) => of_database(wanted, arguments, output).await.map_err(advised),
        None => {
            ensure!(
                arguments.project.is_none(),
                "`--project` names a project of a database, and `DATABASE_URL` is not set; `--path` names a folder"
            );
            of_folder(global, arguments, output).await
        }
    }
}

async fn of_database(
    wanted: &DatabaseSettings,
    arguments: &IndexArguments,
    output: Output,
) -> anyhow::Result<()> {
    let database = database::reach(wanted, Arc::new(NoSink)).await?;
    database::expect_owner(&database, wanted).await?;
    if arguments.rebuild {
        let Some(slug) = &arguments.project else {
            bail!("`--rebuild` takes the project of the database as `--project SLUG`")
        };
        let forgotten = database.forget_vectors(slug).await?;
        return output.show(
            &json!({"project": slug, "forgotten": forgotten}),
            &format!(
                "{forgotten} vectors of `{slug}` are forgotten. The next search in it makes them anew; a server that has it in memory \
                 keeps what it holds until it is restarted."
            ),
        );
    }
    let mut stored = database.stored_vectors().await?;
    if let Some(slug) = &arguments.project {
        stored.retain(|one| one.slug == *slug);
    }
    let shown = |one: &StoredVectors| {
        json!({
            "project": one.slug,
            "model": one.model,
            "vectors": one.vectors,
            "bytes": one.vectors.saturating_mul(i64::from(one.width)),
            "isBeingMade": one.is_being_made,
        })
    };
    let mut table = Table::new(&["PROJECT", "MODEL", "VECTORS", "BYTES", "BEING MADE"]);
    for one in &stored {
        table.row(vec![
            one.slug.clone(),
            one.model.clone(),
            one.vectors.to_string(),
            one.vectors.saturating_mul(i64::from(one.width)).to_string(),
            if one.is_being_made { "yes" } else { "no" }.to_owned(),
        ]);
    }
    let text = if stored.is_empty() { "No vectors are stored.".to_owned() } else { table.to_string() };
    output.show(&json!({"projects": stored.iter().map(shown).collect::<Vec<Value>>()}), &text)
}

async fn of_folder(global: &GlobalOptions, arguments: &IndexArguments, output: Output) -> anyhow::Result<()> {
    let workspace = workspace(global).await?;
    let embedder = embedder::open().map_err(embedder::Failure::into_error)?;
    if arguments.rebuild {
        let Some(embedder) = embedder else {
            bail!("`EMBEDDINGS` is not set: search is by words, and there are no vectors to make")
        };
        let model = model(&*embedder).await?;
        rebuild(&workspace, embedder, &model).await?;
        let status = status(&workspace, Some(&model)).await?;
        ensure!(
            status.count.vectors == status.count.passages,
            "{} of {} passages have a vector; the others were refused by the model or have no room in memory",
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
    let place = global.project()?;
    ensure!(place.is_dir(), "there is no folder `{}`; name another with `--path`", place.display());
    open(global, &place).await
}

async fn open(global: &GlobalOptions, place: &Path) -> anyhow::Result<FolderWorkspace> {
    let options = FolderOptions {
        path: Some(place.to_string_lossy().into_owned()),
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

/// Which model the embedder has.
pub(crate) async fn model(embedder: &dyn Embedder) -> anyhow::Result<ModelId> {
    let model = tokio::time::timeout(MODEL_WAIT, embedder.model()).await;
    let model = model.with_context(|| format!("the model did not answer in {} s", MODEL_WAIT.as_secs()))?;
    model.context("the model of `EMBEDDINGS` cannot be used")
}

async fn status(workspace: &FolderWorkspace, model: Option<&ModelId>) -> anyhow::Result<VectorStatus> {
    workspace.vector_status(model).await.map_err(no_bank)
}

/// The vectors of the folder's bank; none if there is no bank. Writes nothing.
pub(crate) async fn status_of(
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
            anyhow::anyhow!("there is no memory bank in this folder; name its project with `--path`")
        }
        other => other.into(),
    }
}

/// Makes all vectors anew, and waits for the last.
async fn rebuild(
    workspace: &FolderWorkspace,
    embedder: Arc<dyn Embedder>,
    model: &ModelId,
) -> anyhow::Result<()> {
    ensure!(
        workspace.forget_vectors(model).await.map_err(no_bank)?,
        "another process makes vectors of this bank at this moment; try again when it is done"
    );
    let at_once = MakerOptions { delay: Duration::ZERO, ..MakerOptions::default() };
    workspace.set_embedder(embedder, at_once, false);
    let (mut made, mut since) = (0, Instant::now());
    while let Some(usage) = workspace.vector_use().filter(|usage| usage.projects > 0) {
        if usage.made > made {
            (made, since) = (usage.made, Instant::now());
        }
        let why = usage.last_error.as_deref();
        if since.elapsed() > STEP_WAIT || why.is_some() && since.elapsed() > MODEL_WAIT {
            workspace.stop_vectors(Duration::ZERO).await;
            bail!("vectors are not made: {}", why.unwrap_or("the model does not answer"));
        }
        tokio::time::sleep(PROGRESS_INTERVAL).await;
    }
    Ok(())
}

fn show(status: &VectorStatus, model: Option<&ModelId>, output: Output) -> anyhow::Result<()> {
    let VectorStatus { count, file_bytes, stale, is_another_model, is_being_made } = status;
    let mut table = Table::new(&["WHAT", "VALUE"]);
    let mut row = |name: &str, value: String| table.row(vec![name.to_owned(), value]);
    row(
        "model",
        model.map_or_else(|| "none (`EMBEDDINGS` is not set)".to_owned(), |one| one.name().to_owned()),
    );
    if let Some(model) = model {
        row("values of a vector", model.dimension().to_string());
        row("passages", count.passages.to_string());
        row("with a vector", count.vectors.to_string());
        row("vectors of texts that are gone", stale.to_string());
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
