//! The bank of a caller: always that of its key's project.

use std::sync::Arc;

use async_trait::async_trait;
use memory_bank_core::caller::Caller;
use memory_bank_core::clock::iso_millis;
use memory_bank_core::document::{CoreDocument, DocumentPath};
use memory_bank_core::error::{EditError, StoreError, WorkspaceError};
use memory_bank_core::history::ChangeContext;
use memory_bank_core::mode::{Mode, parse_rules, rules_template};
use memory_bank_core::store::{
    Bank, ChangeKind, DocumentStore, Drafts, GraphStore, Initialized, ModeRules, RegisteredStore,
    SelectTarget, SelectedStore, StoreInfo, StoreKind, StoreList, Workspace,
};
use serde_json::{Value, json};

use crate::bank::PostgresBank;
use crate::column::{answer, column};
use crate::database::Database;
use crate::tenant::Query;

/// `.mcprules-…` takes precedence over `.clinerules-…`.
const RULES: &str = "SELECT path, content FROM app.files WHERE project_id = $1 AND kind = 'rules' AND path = ANY ($2) \
    ORDER BY path DESC LIMIT 1";
const SLUG: &str = "SELECT slug FROM public.projects WHERE id = $1";

/// The workspace of every caller: the project of its key.
#[derive(Debug, Clone)]
pub struct PostgresWorkspace {
    database: Database,
}

impl PostgresWorkspace {
    /// The workspace on this database.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    async fn open(&self, caller: &Caller) -> Result<PostgresBank, WorkspaceError> {
        Ok(PostgresBank::new(self.database.clone(), self.slug(caller).await?))
    }

    /// The project's slug; it seldom changes, so it is read once in some minutes.
    async fn slug(&self, caller: &Caller) -> Result<String, WorkspaceError> {
        let load = async {
            let rows = self.database.read_own(caller, &[Query::new(SLUG, &[&caller.project.0])]).await?;
            let row = answer(&rows, 0).first().ok_or(WorkspaceError::NoBank)?;
            Ok::<Arc<str>, WorkspaceError>(column::<&str>(row, 0)?.into())
        };
        let slug = self.database.slugs.get_or_load(caller.project, load).await?;
        Ok(slug.to_string())
    }

    fn matches(&self, caller: &Caller, slug: &str, word: &str) -> bool {
        word == slug || word == caller.project.0.to_string()
    }
}

/// Why no bank can be selected or registered here.
fn bank_is_fixed() -> WorkspaceError {
    WorkspaceError::Refused(
        "this server keeps its banks in a database: a key belongs to one project; use another key for another project"
            .to_owned(),
    )
}

#[async_trait]
impl Workspace for PostgresWorkspace {
    async fn bank(&self, caller: &Caller, store: Option<&str>) -> Result<Arc<dyn Bank>, WorkspaceError> {
        let bank = self.open(caller).await?;
        match store {
            Some(word) if !self.matches(caller, &bank.location(), word) => {
                Err(WorkspaceError::UnknownStore(word.to_owned()))
            }
            _ => Ok(Arc::new(bank)),
        }
    }

    /// Adds missing core documents. The path has no effect: the bank is the key's project.
    async fn initialize(
        &self,
        caller: &Caller,
        _path: &str,
        _rules: bool,
    ) -> Result<Initialized, WorkspaceError> {
        let bank = self.open(caller).await?;
        let paths = CoreDocument::ALL.map(CoreDocument::path);
        let context = ChangeContext::of_tool("initialize_memory_bank");
        let mut complete = |drafts: &mut Drafts| {
            drafts.set_context(&context);
            for document in CoreDocument::ALL {
                let path = document.path();
                if drafts.text(&path).is_none() {
                    drafts.set(&path, document.template().to_owned())?;
                }
            }
            Ok(())
        };
        let changes = bank.edit(caller, &paths, &mut complete).await.map_err(|error| match error {
            EditError::Store(error) => WorkspaceError::Store(error),
            other => WorkspaceError::Refused(other.to_string()),
        })?;
        let created = changes.iter().filter(|change| change.kind == ChangeKind::Created);
        Ok(Initialized {
            location: bank.location(),
            created: created.map(|change| DocumentPath::as_str(&change.path).to_owned()).collect(),
            outside: Vec::new(),
            warnings: Vec::new(),
            notice: None,
        })
    }

    async fn set_path(&self, caller: &Caller, path: Option<&str>) -> Result<String, WorkspaceError> {
        let slug = self.slug(caller).await?;
        match path {
            Some(path) if !self.matches(caller, &slug, path) => Err(bank_is_fixed()),
            _ => Ok(slug),
        }
    }

    fn takes_paths(&self) -> bool {
        false
    }

    async fn stores(&self, caller: &Caller) -> Result<StoreList, WorkspaceError> {
        let bank = self.open(caller).await?;
        let (documents, stats) = futures::future::try_join(bank.list(caller), async {
            bank.stats(caller).await.map_err(store_of)
        })
        .await?;
        let slug = bank.location();
        let store = StoreInfo {
            id: slug.clone(),
            path: slug.clone(),
            kind: StoreKind::Remote,
            is_active: true,
            has_graph: stats.entity_count > 0,
            file_count: documents.len(),
            last_used_at: iso_millis(self.database.deps.clock.now()),
        };
        Ok(StoreList { stores: vec![store], selected_store_id: Some(slug) })
    }

    async fn select(&self, caller: &Caller, target: SelectTarget) -> Result<SelectedStore, WorkspaceError> {
        let slug = self.slug(caller).await?;
        match target {
            SelectTarget::Path(word) | SelectTarget::Store(word) if self.matches(caller, &slug, &word) => {
                Ok(SelectedStore { id: slug.clone(), path: slug.clone(), location: slug })
            }
            SelectTarget::Store(word) => Err(WorkspaceError::UnknownStore(word)),
            SelectTarget::Path(_) => Err(bank_is_fixed()),
        }
    }

    async fn register(
        &self,
        _caller: &Caller,
        _id: &str,
        _path: &str,
        _kind: StoreKind,
    ) -> Result<RegisteredStore, WorkspaceError> {
        Err(bank_is_fixed())
    }

    async fn unregister(&self, _caller: &Caller, _id: &str) -> Result<bool, WorkspaceError> {
        Err(bank_is_fixed())
    }

    /// The rules file that was imported with the project; without one, the default rules of a new folder bank.
    async fn mode_rules(&self, caller: &Caller, mode: Mode) -> Result<ModeRules, WorkspaceError> {
        let names = [format!(".mcprules-{mode}"), format!(".clinerules-{mode}")];
        let names = names.as_slice();
        let values: [crate::tenant::Value<'_>; 2] = [&caller.project.0, &names];
        let rows = self.database.read(caller, &[Query::new(RULES, &values)]).await?;
        let Some(row) = answer(&rows, 0).first() else {
            return Ok(parse_rules(mode, &rules_template(mode)));
        };
        let (name, content): (String, &[u8]) = (column(row, 0)?, column(row, 1)?);
        Ok(match parse_rules(mode, &String::from_utf8_lossy(content)) {
            ModeRules::Invalid(why) => ModeRules::Invalid(format!("{name}: {why}")),
            rules => rules,
        })
    }

    fn configuration(&self, caller: &Caller, _verbose: bool) -> Value {
        let slug = self.database.slugs.get(caller.project);
        json!({
            "projectPath": slug.map_or_else(|| caller.project.0.to_string(), |slug| slug.to_string()),
            "folderName": "memory-bank",
            "storage": "postgresql",
        })
    }
}

fn store_of(error: memory_bank_core::error::GraphError) -> StoreError {
    match error {
        memory_bank_core::error::GraphError::Store(error) => error,
        other => StoreError::Unavailable(other.to_string()),
    }
}
