//! The pool of connections: how a connection string is read, how TLS is done, and what each new connection is told.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use deadpool_postgres::{
    BuildError, ClientWrapper, Hook, HookError, Manager, ManagerConfig, Pool, PoolError, QueueMode,
    RecyclingMethod, Runtime, TimeoutType,
};
use memory_bank_core::caller::ProjectId;
use memory_bank_core::clock::{Clock, Entropy};
use memory_bank_core::document::Etag;
use memory_bank_core::error::StoreError;
use memory_bank_core::store::{ChangeSink, RecentContents};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::time::Instant;
use tokio_postgres::NoTls;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::error::describe;
use crate::pooler::refuse_by_name;
use crate::supabase;
use crate::unreachable::Unreachable;

/// How long one attempt to connect may take.
const CONNECT: Duration = Duration::from_secs(5);
/// When a silent connection is asked whether the other end is still there, how often, and how many times.
const ALIVE: (Duration, Duration, u32) = (Duration::from_secs(30), Duration::from_secs(10), 3);
/// How long the other end may take to acknowledge what was sent, before the connection counts as lost.
const ACKNOWLEDGED: Duration = Duration::from_secs(20);
/// How long a request waits for a free connection.
pub(crate) const WAIT: Duration = Duration::from_secs(5);

/// How long a connection beside the pool may take that shows whether the database is there.
const BESIDE: Duration = Duration::from_secs(2);

/// The most connections beside the pool.
const BARE: usize = 2;

/// What every new connection is told. A statement that hangs, and a transaction that nobody ends, are ended by the
/// database itself; a lock is not waited for longer than the folder store waits for its own. Statements are planned once a
/// connection: they find rows by keys, whatever the values, and planning one anew each time, with its policies, costs more
/// than running it. Where the values do matter, a function says so for itself (`migrations/003_functions.sql`).
const GREETING: &str = "SET statement_timeout = '20s'; SET lock_timeout = '10s'; \
    SET idle_in_transaction_session_timeout = '30s'; SET search_path = pg_catalog, public; \
    SET client_min_messages = warning; SET plan_cache_mode = force_generic_plan";

/// Where the database is, and how much of it may be used.
#[derive(Clone)]
pub struct DatabaseOptions {
    /// `postgres://…`, or `key=value` pairs. It may hold a password and is never shown.
    pub url: String,
    /// The most connections at a time.
    pub max_connections: usize,
    /// How the database's certificate is checked where `sslmode` leaves it open.
    pub trust: TrustOptions,
}

/// Whether the database's certificate is checked when the connection string does not say, and whom to believe.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustOptions {
    /// Every connection is encrypted and its certificate checked, unless `sslmode=disable` says otherwise; without this,
    /// `sslmode` counts as every PostgreSQL client takes it.
    pub verify: bool,
    /// A PEM file with authorities to trust beside the system's. When it is given, certificates are checked.
    pub root_certificate: Option<PathBuf>,
}

impl fmt::Debug for DatabaseOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseOptions")
            .field("max_connections", &self.max_connections)
            .finish_non_exhaustive()
    }
}

/// What the stores need from outside.
#[derive(Clone)]
pub struct Surroundings {
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Makes ids.
    pub entropy: Arc<dyn Entropy>,
    /// Is told of every committed change of this process.
    pub sink: Arc<dyn ChangeSink>,
}

/// The database cannot be used as asked. Shows no password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The connection string cannot be read.
    #[error("the connection string cannot be used: {0}")]
    Malformed(String),
    /// The certificates to trust cannot be read.
    #[error("the certificates to trust cannot be read: {0}")]
    Certificates(String),
    /// The database did not answer, or refused; may pass.
    #[error("the database cannot be reached: {0}")]
    Unreachable(Unreachable),
    /// A pooler that gives each transaction another session.
    #[error(
        "{evidence}, so this is a transaction pooler: between two transactions it forgets what a connection was told; \
        take the session pooler (Supabase: port 5432 of the pooler, without `pgbouncer=true`; PgBouncer: \
        `pool_mode = session`), or connect to the database itself"
    )]
    TransactionPooler {
        /// What shows it.
        evidence: String,
    },
}

/// How the pool is used at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolUse {
    /// The most connections.
    pub max: usize,
    /// Connections that serve a request.
    pub in_use: usize,
    /// Connections that are free.
    pub idle: usize,
    /// Requests that wait for a connection.
    pub waiting: usize,
}

/// A database with its pool. Cheap to clone; all stores are implemented on it.
#[derive(Clone)]
pub struct Database {
    pool: Pool,
    /// Connections that are told nothing and closed after use.
    bare: Pool,
    pub(crate) around: Surroundings,
    /// How many bytes a project without a quota of its own may hold; 0 = unlimited.
    pub(crate) default_quota: u64,
    /// How many changes were refused for a quota.
    pub(crate) quota_refusals: Arc<AtomicU64>,
    pub(crate) served: Arc<RecentContents<(ProjectId, Etag)>>,
    pub(crate) indexes: Arc<crate::search::Indexes>,
    /// Makes vectors, if that is set.
    pub(crate) vectors: Option<crate::search::Vectors>,
    pub(crate) slugs: Arc<crate::workspace::Slugs>,
    pub(crate) readers: Arc<crate::readers::Readers>,
    pub(crate) answers: Arc<Answers>,
    pub(crate) edit_groups: Arc<crate::edit_groups::EditGroups>,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").finish_non_exhaustive()
    }
}

impl Database {
    /// A database that was not spoken to yet; [`Self::ping`] does.
    ///
    /// # Errors
    /// The connection string or a certificate file cannot be read.
    pub fn new(options: &DatabaseOptions, around: Surroundings) -> Result<Self, ConnectError> {
        Self::with_supabase_root(options, around, supabase::ROOT)
    }

    /// The same with another authority, a PEM text, in the place of Supabase's: for tests.
    ///
    /// # Errors
    /// As [`Self::new`].
    #[doc(hidden)]
    pub fn with_supabase_root(
        options: &DatabaseOptions,
        around: Surroundings,
        supabase_root: &str,
    ) -> Result<Self, ConnectError> {
        refuse_by_name(&options.url)?;
        let (mut config, trust) = read_url(&options.url, &options.trust)?;
        for host in supabase::take_session_pooler(&mut config) {
            tracing::warn!(
                host,
                "port 6543 is Supabase's transaction pooler: port 5432 of the same host is used instead"
            );
        }
        config.connect_timeout(CONNECT);
        let (idle, interval, retries) = ALIVE;
        config.keepalives_idle(idle).keepalives_interval(interval).keepalives_retries(retries);
        config.tcp_user_timeout(ACKNOWLEDGED);
        config.application_name("memory-bank-mcp");
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let tls = match trust {
            Trust::Plain => None,
            Trust::Tls(roots) => Some(MakeRustlsConnect::new(tls_config(roots, supabase_root)?)),
        };
        let pool = |most: usize| {
            let (config, recycling) = (config.clone(), recycling.clone());
            let manager = match &tls {
                None => Manager::from_config(config, NoTls, recycling),
                Some(tls) => Manager::from_config(config, tls.clone(), recycling),
            };
            Pool::builder(manager)
                .max_size(most)
                .runtime(Runtime::Tokio1)
                .wait_timeout(Some(WAIT))
                .create_timeout(Some(CONNECT))
                .recycle_timeout(Some(CONNECT))
                // The connection that was used last is the one whose process is warm.
                .queue_mode(QueueMode::Lifo)
        };
        let malformed = |error: BuildError| ConnectError::Malformed(error.to_string());
        let greet = Hook::async_fn(|client, _| {
            Box::pin(async move { client.batch_execute(GREETING).await.map_err(HookError::Backend) })
        });
        let bare = pool(BARE).build().map_err(malformed)?;
        let pool = pool(options.max_connections.max(1)).post_create(greet).build().map_err(malformed)?;
        Ok(Self {
            pool,
            bare,
            around,
            default_quota: 0,
            quota_refusals: Arc::default(),
            served: Arc::default(),
            indexes: Arc::new(crate::search::Indexes::new(&crate::search::SearchOptions::default())),
            vectors: None,
            slugs: Arc::default(),
            edit_groups: Arc::default(),
            readers: Arc::new(crate::readers::Readers::beside(options.max_connections)),
            answers: Arc::default(),
        })
    }

    /// The same database, on which a project without a quota of its own may hold so many bytes; 0 = unlimited.
    #[must_use]
    pub fn with_default_quota(self, bytes: u64) -> Self {
        Self { default_quota: bytes, ..self }
    }

    /// Asks the database whether it is there.
    ///
    /// # Errors
    /// It is not, or it refuses; [`ConnectError::Unreachable`] says why.
    pub async fn ping(&self) -> Result<(), ConnectError> {
        let client = self.pool.get().await.map_err(|error| Unreachable::from(&error))?;
        let asked = tokio::time::timeout(WAIT, client.batch_execute("")).await;
        asked.map_err(|_| Unreachable::silent())?.map_err(|error| Unreachable::from(&error))?;
        self.answers.note();
        Ok(())
    }

    /// Whether the database is there, found out within so long. One whose connections here are all in use is busy, and not
    /// away: it has answered those lately, or lets in a connection beside them.
    pub async fn is_alive(&self, within: Duration) -> bool {
        let beside = async {
            tokio::time::sleep(within / 3).await;
            if !self.answers.within(within) && self.bare_connection().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let alive = async {
            tokio::select! {
                pinged = self.ping() => pinged.is_ok(),
                () = beside => true,
            }
        };
        tokio::time::timeout(within, alive).await.unwrap_or(false)
    }

    /// Whether the database has answered anything within so long before now.
    #[must_use]
    pub fn has_answered_within(&self, time: Duration) -> bool {
        self.answers.within(time)
    }

    /// Whether connections have ended since the last call, or could not be made. Ended ones are taken out of the pool.
    #[must_use]
    pub fn has_lost_connections(&self) -> bool {
        let ended = !self.pool.retain(|client, _| !client.is_closed()).removed.is_empty();
        self.answers.lost.swap(false, Ordering::Relaxed) || ended
    }

    /// A connection beside the pool that was told nothing. Dropped, it is closed.
    pub(crate) async fn bare_connection(&self) -> Result<ClientWrapper, ConnectError> {
        let client = self.bare.get().await.map_err(|error| Unreachable::from(&error))?;
        Ok(deadpool_postgres::Object::take(client))
    }

    /// How many connections there may be, are in use, are free, and are waited for.
    #[must_use]
    pub fn pool_use(&self) -> PoolUse {
        let status = self.pool.status();
        PoolUse {
            max: status.max_size,
            in_use: status.size.saturating_sub(status.available),
            idle: status.available,
            waiting: status.waiting,
        }
    }

    /// A connection in the login role's name. Tenants' tables are out of its reach, or must be: [`crate::tenant`] is
    /// the way there.
    pub(crate) async fn connection(&self) -> Result<deadpool_postgres::Object, StoreError> {
        match self.pool.get().await {
            Ok(connection) => Ok(connection),
            Err(PoolError::Timeout(TimeoutType::Wait)) => Err(self.no_connection_came_free().await),
            Err(error) => {
                self.answers.note_lost();
                Err(StoreError::Unreachable(Unreachable::from(&error).to_string()))
            }
        }
    }

    /// All connections were in use for longer than a request waits: the database is busy if it answers at all.
    pub(crate) async fn no_connection_came_free(&self) -> StoreError {
        let beside = tokio::time::timeout(BESIDE, self.bare_connection());
        if self.answers.within(WAIT) || matches!(beside.await, Ok(Ok(_))) {
            return StoreError::Overloaded;
        }
        self.answers.note_lost();
        StoreError::Unreachable("no connection came free, and the database answers nobody".to_owned())
    }
}

/// When the database answered last, whatever was asked.
#[derive(Debug)]
pub(crate) struct Answers {
    began: Instant,
    /// Milliseconds after `began`; `u64::MAX` = never yet.
    last: AtomicU64,
    /// Whether a connection was lost since somebody asked for that.
    lost: AtomicBool,
}

impl Default for Answers {
    fn default() -> Self {
        Self { began: Instant::now(), last: AtomicU64::new(u64::MAX), lost: AtomicBool::new(false) }
    }
}

impl Answers {
    pub(crate) fn note(&self) {
        self.last.store(self.now(), Ordering::Relaxed);
    }

    pub(crate) fn note_lost(&self) {
        self.lost.store(true, Ordering::Relaxed);
    }

    fn within(&self, time: Duration) -> bool {
        let last = self.last.load(Ordering::Relaxed);
        last != u64::MAX && u128::from(self.now().saturating_sub(last)) <= time.as_millis()
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX - 1)
    }
}

enum Trust {
    Plain,
    Tls(Roots),
}

/// Whom to believe that it is the server.
enum Roots {
    /// Whoever answers: the line is encrypted, no more. This is what `sslmode=require` means to every PostgreSQL client.
    Anyone,
    /// Who has a certificate of the system's authorities, or of one in the file.
    System(Option<PathBuf>),
    /// Who has a certificate of one of these authorities.
    File(PathBuf),
}

/// Reads a connection string. `sslmode` takes libpq's words, two of which the driver does not know.
fn read_url(url: &str, options: &TrustOptions) -> Result<(tokio_postgres::Config, Trust), ConnectError> {
    let (base, query) = match url.split_once('?') {
        Some((base, query)) if url.starts_with("postgres") => (base, query),
        _ => (url, ""),
    };
    let mut mode = None;
    let mut root = None;
    let mut rest = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            // A transaction pooler was refused already.
            Some(("pgbouncer", _)) => {}
            Some(("sslmode", value)) => mode = Some(value.to_owned()),
            Some(("sslrootcert", value)) => root = Some(value.replace("%2F", "/")),
            _ => rest.push(pair),
        }
    }
    let plain = if rest.is_empty() { base.to_owned() } else { format!("{base}?{}", rest.join("&")) };
    let mut config = tokio_postgres::Config::from_str(&plain)
        .map_err(|error| ConnectError::Malformed(without_values(&error)))?;
    let roots = match root {
        Some(path) if path != "system" => Some(Roots::File(PathBuf::from(path))),
        Some(_) => Some(Roots::System(options.root_certificate.clone())),
        None => None,
    };
    let is_supabase = options.verify || supabase::has_supabase_host(&config);
    let verify = is_supabase || options.root_certificate.is_some();
    let trusted = || Roots::System(options.root_certificate.clone());
    let trust = match mode.as_deref() {
        Some("disable") => {
            config.ssl_mode(SslMode::Disable);
            Trust::Plain
        }
        None | Some("allow" | "prefer" | "require") if verify => {
            config.ssl_mode(SslMode::Require);
            Trust::Tls(roots.unwrap_or_else(trusted))
        }
        Some("allow") => {
            config.ssl_mode(SslMode::Disable);
            Trust::Plain
        }
        None | Some("prefer") => {
            config.ssl_mode(SslMode::Prefer);
            Trust::Tls(Roots::Anyone)
        }
        Some("require") => {
            config.ssl_mode(SslMode::Require);
            Trust::Tls(roots.unwrap_or(Roots::Anyone))
        }
        Some("verify-ca" | "verify-full") => {
            config.ssl_mode(SslMode::Require);
            Trust::Tls(roots.unwrap_or_else(trusted))
        }
        Some(other) => {
            return Err(ConnectError::Malformed(format!(
                "sslmode is `{other}`; it takes disable, prefer, require, verify-ca or verify-full"
            )));
        }
    };
    Ok((config, trust))
}

fn without_values(error: &tokio_postgres::Error) -> String {
    // The driver names the parameter and never its value.
    describe(error)
}

fn tls_config(roots: Roots, supabase_root: &str) -> Result<rustls::ClientConfig, ConnectError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let unusable = |error: &dyn fmt::Display| ConnectError::Certificates(error.to_string());
    let builder = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&error))?;
    let mut store = RootCertStore::empty();
    let mut supabase = None;
    let add_file = |store: &mut RootCertStore, path: &PathBuf| {
        let unreadable =
            |error: &dyn fmt::Display| ConnectError::Certificates(format!("`{}`: {error}", path.display()));
        let before = store.len();
        for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unreadable(&error))? {
            let certificate = certificate.map_err(|error| unreadable(&error))?;
            store.add(certificate).map_err(|error| unreadable(&error))?;
        }
        if store.len() == before { Err(unreadable(&"there is no certificate in it")) } else { Ok(()) }
    };
    match roots {
        Roots::Anyone => {
            return Ok(builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Encrypted(provider)))
                .with_no_client_auth());
        }
        Roots::System(file) => {
            for certificate in rustls_native_certs::load_native_certs().certs {
                // The system's list may hold certificates that this library cannot read; the others still count.
                let _unreadable = store.add(certificate).is_err();
            }
            if let Some(path) = file {
                add_file(&mut store, &path)?;
            }
            let root =
                CertificateDer::from_pem_slice(supabase_root.as_bytes()).map_err(|error| unusable(&error))?;
            let mut beside = store.clone();
            beside.add(root).map_err(|error| unusable(&error))?;
            supabase = Some(beside);
        }
        // Whoever names a file trusts nobody else.
        Roots::File(path) => add_file(&mut store, &path)?,
    }
    let verifier = |store: RootCertStore| {
        WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(&provider))
            .build()
            .map_err(|error| unusable(&error))
    };
    // A machine without authorities of its own still reaches Supabase.
    let others = if store.is_empty() { None } else { Some(verifier(store)?) };
    let supabase = supabase.map(verifier).transpose()?;
    let by_name = ByName { supabase, others, provider: Arc::clone(&provider) };
    Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(by_name)).with_no_client_auth())
}

/// Verifies in full, with authorities that depend on the host's name: Supabase's counts for its own names alone.
#[derive(Debug)]
struct ByName {
    supabase: Option<Arc<WebPkiServerVerifier>>,
    others: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for ByName {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let is_supabase = matches!(name, ServerName::DnsName(name) if supabase::is_supabase(name.as_ref()));
        let verifier =
            if is_supabase { self.supabase.as_ref().or(self.others.as_ref()) } else { self.others.as_ref() };
        let unknown = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        verifier.ok_or(unknown)?.verify_server_cert(certificate, intermediates, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Takes any certificate; signatures are still checked.
#[derive(Debug)]
struct Encrypted(Arc<CryptoProvider>);

impl ServerCertVerifier for Encrypted {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_never_show_the_password() {
        let url = "postgres://u:secret@h/d".to_owned();
        assert!(
            !format!("{:?}", DatabaseOptions { url, max_connections: 1, trust: TrustOptions::default() })
                .contains("secret")
        );
    }

    #[test]
    fn errors_about_the_connection_string_never_show_the_password() {
        for url in ["postgres://u:secret@h:port/d", "postgres://u:secret@h/d?sslmode=maybe", "secret"] {
            let Err(error) = read_url(url, &TrustOptions::default()) else { panic!("{url}") };
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn the_words_of_sslmode_are_libpq_s() {
        let options = TrustOptions::default();
        let mode = |url: &str| read_url(url, &options).map(|(config, _)| config.get_ssl_mode()).unwrap();
        assert_eq!(mode("postgres://h/d?sslmode=disable"), SslMode::Disable);
        assert_eq!(mode("postgres://h/d"), SslMode::Prefer);
        assert_eq!(mode("postgres://h/d?sslmode=verify-full&connect_timeout=3"), SslMode::Require);
    }

    #[test]
    fn certificates_are_checked_when_that_is_asked_for_unless_tls_is_off() {
        let verify = TrustOptions { verify: true, root_certificate: None };
        let roots = TrustOptions { verify: false, root_certificate: Some(PathBuf::from("/ca.pem")) };
        for options in [&verify, &roots] {
            for url in ["postgres://h/d", "postgres://h/d?sslmode=prefer", "postgres://h/d?sslmode=require"] {
                let (config, trust) = read_url(url, options).unwrap();
                assert_eq!(config.get_ssl_mode(), SslMode::Require, "{url}");
                assert!(matches!(trust, Trust::Tls(Roots::System(_))), "{url}");
            }
            let (_, trust) = read_url("postgres://h/d?sslmode=disable", options).unwrap();
            assert!(matches!(trust, Trust::Plain));
        }
    }
}
