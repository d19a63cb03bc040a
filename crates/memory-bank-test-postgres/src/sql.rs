//! SQL in one session, sent as `psql` would send it. A process of `psql` for each statement took a third of the processor time of
//! the store's tests.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use tokio_postgres::config::SslMode;
use tokio_postgres::{Config, Error, NoTls, SimpleQueryMessage};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(60);

/// Runs each text as one batch, in one session, and returns the rows of all: one row per line, fields separated by `|`, nothing for
/// NULL.
///
/// # Errors
/// The first error, in the words of `psql`; later texts are not sent.
pub(crate) fn run(port: u16, role: &str, database: &str, texts: &[&str]) -> Result<String, String> {
    run_at(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port), role, database, texts)
}

/// The same at another address.
///
/// # Errors
/// As above.
pub(crate) fn run_at(
    address: SocketAddrV4,
    role: &str,
    database: &str,
    texts: &[&str],
) -> Result<String, String> {
    let mut config = Config::new();
    config
        .host(address.ip().to_string())
        .port(address.port())
        .user(role)
        .dbname(database)
        .ssl_mode(SslMode::Disable);
    config.application_name("psql").connect_timeout(CONNECT_TIMEOUT);
    // A thread of its own: the caller's may belong to a runtime, which none can be started in.
    let sent = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(send(&config, texts))
    };
    let session = std::thread::scope(|scope| scope.spawn(sent).join());
    session.expect("a session with the test server").map(|rows| rows.trim().to_owned())
}

async fn send(config: &Config, texts: &[&str]) -> Result<String, String> {
    let (client, connection) = config.connect(NoTls).await.map_err(|error| message(&error))?;
    let connection = tokio::spawn(connection);
    let mut rows = String::new();
    for text in texts {
        for reply in client.simple_query(text).await.map_err(|error| message(&error))? {
            if let SimpleQueryMessage::Row(row) = reply {
                let fields: Vec<&str> = (0..row.len()).map(|field| row.get(field).unwrap_or("")).collect();
                rows.push_str(&fields.join("|"));
                rows.push('\n');
            }
        }
    }
    drop(client);
    // The server has ended the session when this returns: the database can be a template, or go.
    let _ended = connection.await;
    Ok(rows)
}

fn message(error: &Error) -> String {
    let Some(error) = error.as_db_error() else { return format!("{error:?}") };
    let mut message = format!("{}:  {}", error.severity(), error.message());
    for (title, text) in [("DETAIL", error.detail()), ("HINT", error.hint()), ("CONTEXT", error.where_())] {
        if let Some(text) = text {
            message.push_str(&format!("\n{title}:  {text}"));
        }
    }
    message
}
