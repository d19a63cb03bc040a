//! Whether clients find the sign-in at `PUBLIC_URL`, for `doctor`: the documents and the page of this server are requested
//! there, as a client does.

use http::StatusCode;
use serde_json::Value;
use url::Url;

use crate::http::oauth::issuer::Web;
use crate::http::oauth::server_url::{PROTECTED_RESOURCE, ServerUrl};
use crate::http::origin::WebOrigin;

/// Why clients do not find the sign-in at an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnAddressFault {
    /// It has no https, and is not of this machine: OAuth is not offered.
    Plain,
    /// Nothing can be reached there from here.
    Unreachable(String),
    /// Something else answers there, or not for all paths.
    Foreign(String),
}

/// Requests the documents and the page of this server at `PUBLIC_URL`.
///
/// # Errors
/// Clients do not find the sign-in there.
pub async fn inspect_public_url(public_url: &str) -> Result<(), OwnAddressFault> {
    let server =
        WebOrigin::parse(public_url).as_ref().and_then(ServerUrl::at).ok_or(OwnAddressFault::Plain)?;
    let (web, server) = (&Web::default(), &server);
    let (endpoint, resource) = (format!("{PROTECTED_RESOURCE}/mcp"), server.resource());
    // The first one alone: an address that cannot be reached is not tried four times.
    names(web, server, PROTECTED_RESOURCE, "resource", server.issuer()).await?;
    tokio::try_join!(
        names(web, server, &endpoint, "resource", &resource),
        names(web, server, "/.well-known/oauth-authorization-server", "issuer", server.issuer()),
        names(web, server, "/.well-known/openid-configuration", "issuer", server.issuer()),
        has_page(web, server),
    )?;
    Ok(())
}

/// Requests a path that should have a document with this value.
async fn names(
    web: &Web,
    server: &ServerUrl,
    path: &str,
    member: &str,
    expected: &str,
) -> Result<(), OwnAddressFault> {
    let address = server.path(path);
    let (status, body) = get(web, &address).await?;
    let foreign = |what: String| OwnAddressFault::Foreign(format!("`{address}` {what}"));
    if status != StatusCode::OK {
        return Err(foreign(format!("answers with status {}", status.as_u16())));
    }
    let document: Value =
        serde_json::from_slice(&body).map_err(|_| foreign("does not answer with JSON".to_owned()))?;
    match document.get(member).and_then(Value::as_str) {
        Some(named) if named == expected => Ok(()),
        Some(named) => {
            let named: String = named.escape_debug().take(200).collect();
            Err(foreign(format!("has the {member} `{named}` instead of `{expected}`")))
        }
        None => Err(foreign(format!("has no `{member}`"))),
    }
}

/// Requests the page of consent without a request of a client, which the server refuses and which stores nothing.
async fn has_page(web: &Web, server: &ServerUrl) -> Result<(), OwnAddressFault> {
    let address = server.path("/oauth/authorize");
    match get(web, &address).await? {
        (StatusCode::BAD_REQUEST, _) => Ok(()),
        (status, _) => Err(OwnAddressFault::Foreign(format!(
            "`{address}` answers with status {} instead of the server's page",
            status.as_u16()
        ))),
    }
}

async fn get(web: &Web, address: &str) -> Result<(StatusCode, bytes::Bytes), OwnAddressFault> {
    let unreachable = |error: String| OwnAddressFault::Unreachable(format!("`{address}`: {error}"));
    let url = Url::parse(address).map_err(|error| unreachable(error.to_string()))?;
    web.read(&url).await.map_err(unreachable)
}
