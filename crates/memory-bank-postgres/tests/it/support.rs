//! Helpers of this crate's tests: a migrated database, reached as the server role, and tenants in it.

use std::sync::Arc;

use jiff::Timestamp;
use memory_bank_core::caller::{Caller, KeyId, ProjectId, Right, Role, UserId};
use memory_bank_core::clock::{Entropy, SystemClock, SystemEntropy};
use memory_bank_core::document::DocumentPath;
use memory_bank_core::error::EditError;
use memory_bank_core::identity::{
    AdminError, Administration, Environment, KeyDirectory, KeyStore, NewKey, NewProject, NewUser, PlainKey,
};
use memory_bank_core::store::{ChangeSink, DocumentStore, Drafts, NoSink, ReadOutcome};
use memory_bank_postgres::{Database, DatabaseOptions, Deps, IsolationError, PoolerMode, PostgresBank};
use memory_bank_test_postgres::{MIGRATOR, TestDatabase};
use tokio_postgres::SimpleQueryMessage;

/// A database with a pool on it.
pub(crate) struct Bench {
    /// As the role that serves.
    pub(crate) database: Database,
    /// As the owner of the schema, for administration.
    pub(crate) owner: Database,
    pub(crate) test: TestDatabase,
    deps: Deps,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        Self::with_sink(Arc::new(NoSink)).await
    }

    /// Why the isolation check refuses this database; a start finds the same fault.
    pub(crate) async fn refusal(&self) -> String {
        assert!(!self.database.is_prepared().await);
        match self.database.prove_isolation().await {
            Err(IsolationError::NotIsolated(reason)) => reason,
            other => panic!("{other:?}"),
        }
    }

    /// A migrated database, reached as another role.
    pub(crate) fn on(test: TestDatabase, role: &str) -> Self {
        let deps =
            Deps { clock: Arc::new(SystemClock), entropy: Arc::new(SystemEntropy), sink: Arc::new(NoSink) };
        let database = open(&test.url_of(role), 8, &deps);
        Self { owner: database.clone(), database, test, deps }
    }

    pub(crate) async fn with_sink(sink: Arc<dyn ChangeSink>) -> Self {
        let test = TestDatabase::migrated();
        let deps = Deps { clock: Arc::new(SystemClock), entropy: Arc::new(SystemEntropy), sink };
        let database = open(&test.url(), 8, &deps);
        let owner = open(&test.url_of(MIGRATOR), 2, &deps);
        Self { database, owner, test, deps }
    }

    /// The external state that a database needs.
    pub(crate) fn deps(&self) -> Deps {
        self.deps.clone()
    }

    /// Another pool on the same database, as another replica has it.
    pub(crate) fn another(&self) -> Database {
        let deps = Deps { sink: Arc::new(NoSink), ..self.deps.clone() };
        open(&self.test.url(), 8, &deps)
    }

    pub(crate) fn open(&self, url: &str, connections: usize) -> Database {
        open(url, connections, &self.deps)
    }

    /// A pool that expects a transaction pooler at this address.
    pub(crate) fn open_pooled(&self, url: &str, connections: usize) -> Database {
        self.open_with(&DatabaseOptions {
            url: url.to_owned(),
            max_connections: connections,
            pooler: PoolerMode::Transaction,
            ..DatabaseOptions::default()
        })
    }

    pub(crate) fn open_with(&self, options: &DatabaseOptions) -> Database {
        Database::new(options, self.deps.clone()).unwrap()
    }

    /// A new project with an owner of this name, who may exist already.
    pub(crate) async fn tenant(&self, user: &str, project: &str) -> Caller {
        let id = || SystemEntropy.id();
        let user = NewUser { id: UserId(id()), name: user.to_owned(), email: None };
        let project = NewProject { id: ProjectId(id()), slug: project.to_owned(), name: project.to_owned() };
        let (plain, key) = new_key();
        self.owner.bootstrap(&user, &project, &key).await.unwrap();
        self.authenticated(&plain).await
    }

    /// Another member of a project.
    pub(crate) async fn member(&self, user: &str, project: &str, role: Role) -> Caller {
        let new = NewUser { id: UserId(SystemEntropy.id()), name: user.to_owned(), email: None };
        match self.owner.create_user(&new).await {
            Ok(_) | Err(AdminError::Exists { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        self.owner.set_member(project, user, role).await.unwrap();
        let (plain, key) = new_key();
        self.owner.create_key(project, user, &key).await.unwrap();
        self.authenticated(&plain).await
    }

    /// The owner with another key, which has these scopes.
    pub(crate) async fn with_scopes(&self, owner: &Caller, scopes: Vec<Right>) -> Caller {
        let (plain, key) = new_key();
        KeyStore::create(&self.database, owner, &NewKey { scopes, ..key }).await.unwrap();
        self.authenticated(&plain).await
    }

    pub(crate) async fn authenticated(&self, key: &PlainKey) -> Caller {
        KeyDirectory::find(&self.database, &key.hash()).await.unwrap().unwrap().caller
    }

    pub(crate) fn bank(&self) -> PostgresBank {
        PostgresBank::new(self.database.clone(), "demo".to_owned())
    }
}

pub(crate) fn open(url: &str, connections: usize, deps: &Deps) -> Database {
    let options =
        DatabaseOptions { url: url.to_owned(), max_connections: connections, ..DatabaseOptions::default() };
    Database::new(&options, deps.clone()).unwrap()
}

pub(crate) fn new_key() -> (PlainKey, NewKey) {
    let plain = PlainKey::generate(Environment::Live, &SystemEntropy);
    let key = NewKey {
        id: KeyId(SystemEntropy.id()),
        hash: plain.hash(),
        prefix: plain.prefix(),
        label: None,
        scopes: Vec::new(),
        rate_limit: 60,
        expires_at: None,
        created_at: "2026-11-22T09:30:07Z".parse::<Timestamp>().unwrap(),
    };
    (plain, key)
}

pub(crate) fn path(name: &str) -> DocumentPath {
    DocumentPath::parse(name).unwrap()
}

pub(crate) async fn write(
    bank: &PostgresBank,
    caller: &Caller,
    name: &str,
    text: &str,
) -> Result<(), EditError> {
    let name = path(name);
    let mut editor = |drafts: &mut Drafts| drafts.set(&name, text.to_owned());
    bank.edit(caller, std::slice::from_ref(&name), &mut editor).await.map(drop)
}

pub(crate) async fn read(bank: &PostgresBank, caller: &Caller, name: &str) -> Option<String> {
    match bank.read(caller, &[path(name)]).await.unwrap().remove(0) {
        ReadOutcome::Found(document) => Some(document.content),
        ReadOutcome::Missing => None,
        other => panic!("{other:?}"),
    }
}

/// Runs SQL as the server's login role; an error is its code and message.
pub(crate) async fn query_as_login(bench: &Bench, sql: &str) -> Result<Vec<SimpleQueryMessage>, String> {
    let (client, connection) =
        tokio_postgres::connect(&bench.test.url(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client.simple_query(sql).await.map_err(|error| match error.as_db_error() {
        Some(message) => format!("{} {}", message.code().code(), message.message()),
        None => error.to_string(),
    })
}
