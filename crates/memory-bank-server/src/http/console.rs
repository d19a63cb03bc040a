//! `/app`: the files of the web console, which are in the program. Who signs in is a matter of `oauth::console_session`, and
//! what the console shows comes from `/api/v1`; nothing here reads a bank.

use std::io::Read;
use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use axum::routing::{get, post};
use bytes::Bytes;
use flate2::read::GzDecoder;
use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderName,
    REFERRER_POLICY, VARY,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use memory_bank_core::identity::KeyHash;

use crate::http::accept::accepts_gzip;
use crate::http::oauth::{console_page_refusal, console_session};
use crate::http::request_log::OwnCaching;
use crate::http::shared::Shared;
use crate::http::{etag, reply};

/// The built files: their names, and their contents compressed by gzip.
static BUILT: &[(&str, &[u8])] = &include!(concat!(env!("OUT_DIR"), "/console_files.rs"));
/// The page of every address of the console.
const PAGE: &str = "index.html";
/// The folder of the files whose names contain a hash of their contents.
const HASHED: &str = "assets/";
/// No script or style but those of the console, no other host, no frame around it, and no text becomes HTML without the one
/// policy that sanitises it. A document can load nothing. Workers are started by a policy that knows their files.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
                      trusted-types dompurify memory-bank-workers";
/// Further headers of every file.
const HEADERS: [(HeaderName, HeaderValue); 4] = [
    (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];

struct File {
    name: &'static str,
    compressed: &'static [u8],
    etag: HeaderValue,
}

static FILES: LazyLock<Vec<File>> = LazyLock::new(|| {
    let file = |(name, compressed): &(&'static str, &'static [u8])| {
        let hash = KeyHash::of(compressed).to_hex();
        let etag = HeaderValue::from_str(&format!("\"{}\"", hash.get(..16).unwrap_or_default())).ok()?;
        Some(File { name, compressed, etag })
    };
    BUILT.iter().filter_map(file).collect()
});

/// Their paths are also in `http::routes`.
pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/app", get(page))
        .route("/app/", get(page))
        .route("/app/session", post(console_session::open).delete(console_session::close))
        .route(
            "/app/openid",
            get(console_session::offered_provider).post(console_session::begin_with_provider),
        )
        .route("/app/assets/{file}", get(asset))
        .route("/app/{*page}", get(page))
}

/// The page of the console, at each of its addresses; the script finds out which one it is.
async fn page(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    match console_page_refusal(&shared, &request) {
        Some(refusal) => refusal,
        None => sent(PAGE, request.headers()),
    }
}

/// A file that pages load.
async fn asset(Path(file): Path<String>, headers: HeaderMap) -> Response {
    sent(&format!("{HASHED}{file}"), &headers)
}

fn sent(name: &str, headers: &HeaderMap) -> Response {
    let Some(file) = FILES.iter().find(|file| file.name == name) else {
        return reply::error(StatusCode::NOT_FOUND, "Not found");
    };
    let mut response = if etag::is_known(headers, &file.etag) {
        etag::not_modified(&file.etag)
    } else {
        match content(file, headers) {
            Some(response) => response,
            None => return reply::error(StatusCode::INTERNAL_SERVER_ERROR, "the server failed"),
        }
    };
    response.extensions_mut().insert(OwnCaching);
    let caching = if name.starts_with(HASHED) { "public, max-age=31536000, immutable" } else { "no-cache" };
    let set = response.headers_mut();
    set.insert(CACHE_CONTROL, HeaderValue::from_static(caching));
    set.insert(VARY, HeaderValue::from_static("accept-encoding"));
    set.insert(ETAG, file.etag.clone());
    set.extend(HEADERS);
    response
}

/// A file with its type: compressed, or plain for a client that does not accept that.
fn content(file: &File, headers: &HeaderMap) -> Option<Response> {
    let is_compressed = accepts_gzip(headers);
    let body = if is_compressed {
        Bytes::from_static(file.compressed)
    } else {
        let mut plain = Vec::new();
        GzDecoder::new(file.compressed).read_to_end(&mut plain).ok()?;
        Bytes::from(plain)
    };
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(type_of(file.name)));
    if is_compressed {
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Some(response)
}

fn type_of(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use http::header::ACCEPT_ENCODING;

    use super::*;

    /// All of the console, compressed.
    const MOST_BYTES: usize = 1_500_000;
    /// The scripts and styles that the page names, compressed: what the first view loads.
    const FIRST_VIEW_BYTES: usize = 120_000;

    fn plain(name: &str) -> String {
        let file = FILES.iter().find(|file| file.name == name).unwrap();
        let mut text = String::new();
        GzDecoder::new(file.compressed).read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn the_console_keeps_its_weights() {
        let all: usize = FILES.iter().map(|file| file.compressed.len()).sum();
        assert!(all <= MOST_BYTES, "{all} bytes");
        let page = plain(PAGE);
        let first: usize = FILES
            .iter()
            .filter(|file| file.name.starts_with(HASHED) && page.contains(file.name))
            .map(|file| file.compressed.len())
            .sum();
        assert!(first > 0 && first <= FIRST_VIEW_BYTES, "{first} bytes");
    }

    #[test]
    fn the_page_has_no_inline_script_or_style_and_names_no_other_host() {
        let page = plain(PAGE);
        assert!(page.contains("<script type=\"module\"") && !page.contains("style="), "{page}");
        for tag in page.split("<script").skip(1) {
            assert!(tag.contains("></script>"), "{tag}");
        }
        assert!(!page.contains("<style") && !page.contains("//"), "{page}");
    }

    #[tokio::test]
    async fn a_file_is_sent_compressed_or_plain_and_not_twice() {
        let accepting = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("br, gzip"))]);
        let compressed = sent(PAGE, &accepting);
        assert_eq!(compressed.headers()[CONTENT_ENCODING], "gzip");
        assert_eq!(compressed.headers()[CACHE_CONTROL], "no-cache");
        let uncompressed = sent(PAGE, &HeaderMap::new());
        assert_eq!(uncompressed.headers().get(CONTENT_ENCODING), None);
        let body = axum::body::to_bytes(uncompressed.into_body(), 1 << 20).await.unwrap();
        assert_eq!(body, plain(PAGE));
        let etag = compressed.headers()[ETAG].clone();
        let known = HeaderMap::from_iter([(http::header::IF_NONE_MATCH, etag)]);
        assert_eq!(sent(PAGE, &known).status(), StatusCode::NOT_MODIFIED);
        let script = FILES.iter().find(|file| file.name.ends_with(".js")).unwrap();
        let caching = sent(script.name, &accepting).headers()[CACHE_CONTROL].clone();
        assert_eq!(caching, "public, max-age=31536000, immutable");
        assert_eq!(sent("assets/../index.html", &accepting).status(), StatusCode::NOT_FOUND);
    }
}
