//! Checks signing in with OAuth: whether clients find it at `PUBLIC_URL`, and whether the issuers of the settings can be
//! used. Only public documents are requested, so no secret is sent or shown.

use memory_bank_server::http::{
    HttpConfig, IssuerFacts, IssuerSettings, OpenIdSettings, OwnAddressFault, inspect_public_url,
};

use crate::cli::doctor::findings::Findings;
use crate::config::Settings;

/// Checks the address, the OpenID provider and the issuer of tokens; each only if a setting names it.
pub(crate) async fn check(settings: &Settings, findings: &mut Findings) {
    let http = &settings.http;
    if settings.database.is_none() {
        return report_folder(http, findings);
    }
    let (mut of_address, mut of_provider, mut of_issuer) =
        (Findings::default(), Findings::default(), Findings::default());
    tokio::join!(
        check_address(http, &mut of_address),
        async {
            if let Some(provider) = &http.openid {
                check_provider(provider, &mut of_provider).await;
            }
        },
        async {
            if let Some(issuer) = &http.outside_issuer {
                check_issuer(issuer, &mut of_issuer).await;
            }
        },
    );
    findings.extend(of_address);
    findings.extend(of_provider);
    findings.extend(of_issuer);
}

/// The names of the variables that do nothing where OAuth is not offered.
fn unused(http: &HttpConfig) -> Option<String> {
    let given = [
        http.openid.as_ref().map(|_| "`OIDC_ISSUER`"),
        http.outside_issuer.as_ref().map(|_| "`OAUTH_ISSUER`"),
    ];
    let given: Vec<&str> = given.into_iter().flatten().collect();
    (!given.is_empty()).then(|| given.join(" and "))
}

fn report_folder(http: &HttpConfig, findings: &mut Findings) {
    if let Some(given) = unused(http) {
        findings.warning(
            "sign_in",
            format!("{given} has no effect: a server of a folder has keys only"),
            "set `DATABASE_URL`, or remove the variable",
        );
    }
}

async fn check_address(http: &HttpConfig, findings: &mut Findings) {
    let Some(address) = &http.public_url else { return report_hosts(http, findings) };
    match inspect_public_url(address).await {
        Ok(()) => findings.ok("sign_in", format!("clients find the server and its sign-in at {address}")),
        Err(OwnAddressFault::Plain) => findings.warning(
            "sign_in",
            format!("`PUBLIC_URL` is {address}, without https: clients connect with keys, and cannot sign in"),
            "set `PUBLIC_URL` to the https address of the server",
        ),
        Err(OwnAddressFault::Unreachable(error)) => findings.warning(
            "sign_in",
            format!("the server's own address cannot be reached from here: {error}"),
            "start the server, or correct `PUBLIC_URL`; if only other networks reach it, request that address from there",
        ),
        Err(OwnAddressFault::Foreign(error)) => findings.error(
            "sign_in",
            format!("clients do not find the sign-in: {error}"),
            "let the proxy pass `/.well-known/oauth-*`, `/.well-known/openid-configuration` and `/oauth/*` to this server (docs/reverse-proxy.md), and start it with this `PUBLIC_URL` and a database",
        ),
    }
}

/// Without an address of its own, a server offers OAuth below the hosts that a trusted proxy passes on with https.
fn report_hosts(http: &HttpConfig, findings: &mut Findings) {
    let hosts: Vec<&str> =
        http.allowed_hosts.iter().map(String::as_str).filter(|host| *host != "*").collect();
    let any_host = hosts.len() != http.allowed_hosts.len();
    if !any_host && !hosts.is_empty() && http.trust_proxy_hops > 0 {
        return findings.ok(
            "sign_in",
            format!("clients can sign in at {}, where a proxy passes on https", hosts.join(", ")),
        );
    }
    match unused(http) {
        Some(given) => findings.warning(
            "sign_in",
            format!(
                "{given} has no effect elsewhere than on this computer: the server does not know its address"
            ),
            "set `PUBLIC_URL` to the https address of the server",
        ),
        None => findings.ok(
            "sign_in",
            "clients connect with keys; with `PUBLIC_URL`, they can sign in, too (docs/oauth.md)",
        ),
    }
}

async fn check_provider(provider: &OpenIdSettings, findings: &mut Findings) {
    let name = "sign_in.openid";
    let facts = match provider.inspect().await {
        Ok(facts) => facts,
        Err(error) => {
            return findings.error(
                name,
                format!("the OpenID provider cannot be used: {error}"),
                "write `OIDC_ISSUER` exactly as the `issuer` of the provider's metadata, and let this server reach it",
            );
        }
    };
    if !facts.lacks.is_empty() {
        return findings.error(
            name,
            format!("the metadata of {} rule out what a sign-in needs: {}", provider.issuer, facts.lacks.join("; ")),
            "enable it at the provider: the authorization code flow with PKCE (S256), a client with a secret, and the scopes of `OIDC_SCOPES`",
        );
    }
    report_keys(name, &provider.issuer, &facts, findings);
}

async fn check_issuer(issuer: &IssuerSettings, findings: &mut Findings) {
    let name = "sign_in.issuer";
    match issuer.inspect().await {
        Ok(facts) => report_keys(name, &issuer.issuer, &facts, findings),
        Err(error) => findings.error(
            name,
            format!("tokens of {} are refused, since its keys cannot be fetched: {error}", issuer.issuer),
            "write `OAUTH_ISSUER` exactly as the `issuer` of its metadata, let this server reach it, or name the address of its keys in `OAUTH_JWKS_URL`",
        ),
    }
}

fn report_keys(name: &'static str, issuer: &str, facts: &IssuerFacts, findings: &mut Findings) {
    let IssuerFacts { keys_address, usable_keys, .. } = facts;
    match usable_keys {
        0 => findings.error(
            name,
            format!("`{keys_address}` has no key that can be used, so no token of {issuer} is accepted"),
            "let it sign with a public key that it publishes with a `kid`: RS256, PS256, ES256, ES384 or EdDSA",
        ),
        1 => findings.ok(name, format!("{issuer} answers, and has one key")),
        keys => findings.ok(name, format!("{issuer} answers, and has {keys} keys")),
    }
}
