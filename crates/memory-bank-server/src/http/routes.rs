//! The routes of the server: their names in metrics and logs, and for which methods they need a key. A value from
//! outside that is not known here is called `other`.

use http::Method;

struct Route {
    /// In the spelling of the router.
    path: &'static str,
    /// The methods that need a key.
    keyed: &'static [Method],
}

const ROUTES: [Route; 59] = [
    Route { path: "/mcp", keyed: &[Method::POST, Method::GET, Method::HEAD, Method::DELETE] },
    Route { path: "/api/keys", keyed: &[Method::GET, Method::HEAD, Method::POST] },
    Route { path: "/api/keys/{id}", keyed: &[Method::PATCH, Method::DELETE] },
    Route { path: "/api/keys/{id}/rotate", keyed: &[Method::POST] },
    Route { path: "/api/history", keyed: &[Method::GET, Method::HEAD] },
    Route { path: "/api/history/show", keyed: &[Method::GET, Method::HEAD] },
    Route { path: "/api/history/diff", keyed: &[Method::GET, Method::HEAD] },
    Route { path: "/api/maintain", keyed: &[Method::GET, Method::HEAD] },
    Route { path: "/api/v1/session", keyed: &[Method::GET, Method::HEAD] },
    Route { path: "/api/v1/documents", keyed: &[Method::GET, Method::HEAD] },
    Route { path: "/api/v1/document", keyed: &[Method::GET, Method::HEAD, Method::PUT, Method::DELETE] },
    Route { path: "/api/v1/document/name", keyed: &[Method::GET, Method::HEAD] },
    Route { path: "/api/v1/document/rename", keyed: &[Method::POST] },
    Route { path: "/api/v1/digest", keyed: &[Method::GET, Method::HEAD] },
    Route { path: "/api/v1/search", keyed: &[Method::GET, Method::HEAD] },
    Route { path: "/api/v1/graph/search", keyed: &[Method::GET, Method::HEAD] },
    Route { path: "/api/v1/graph/entity", keyed: &[Method::GET, Method::HEAD] },
    Route { path: "/api/v1/graph/mentions", keyed: &[Method::GET, Method::HEAD] },
    Route { path: "/api/v1/graph/observation", keyed: &[Method::POST, Method::DELETE] },
    Route { path: "/api/v1/graph/picture", keyed: &[Method::GET, Method::HEAD] },
    Route { path: "/api/v1/history", keyed: &[Method::GET, Method::HEAD] },
    Route { path: "/api/v1/history/show", keyed: &[Method::GET, Method::HEAD] },
    Route { path: "/api/v1/history/diff", keyed: &[Method::GET, Method::HEAD] },
    Route { path: "/api/v1/history/blame", keyed: &[Method::GET, Method::HEAD] },
    Route { path: "/api/v1/history/undo", keyed: &[Method::POST] },
    Route { path: "/api/v1/events", keyed: &[Method::GET, Method::HEAD] },
    Route { path: "/api/v1/sessions", keyed: &[Method::GET, Method::HEAD] },
    Route { path: "/api/v1/members", keyed: &[Method::GET, Method::HEAD, Method::POST] },
    Route { path: "/api/v1/member", keyed: &[Method::PATCH, Method::DELETE] },
    Route { path: "/api/v1/member/key", keyed: &[Method::POST] },
    Route { path: "/api/v1/keys", keyed: &[Method::GET, Method::HEAD, Method::POST] },
    Route { path: "/api/v1/key", keyed: &[Method::PATCH, Method::DELETE] },
    Route { path: "/api/v1/grants", keyed: &[Method::GET, Method::HEAD] },
    Route { path: "/api/v1/grant", keyed: &[Method::DELETE] },
    Route { path: "/api/v1/audit", keyed: &[Method::GET, Method::HEAD] },
    Route { path: "/api/v1/calls", keyed: &[Method::GET, Method::HEAD] },
    Route { path: "/api/v1/health", keyed: &[Method::GET, Method::HEAD] },
    Route { path: "/app", keyed: &[] },
    Route { path: "/app/session", keyed: &[] },
    Route { path: "/app/openid", keyed: &[] },
    Route { path: "/app/assets/{file}", keyed: &[] },
    Route { path: "/app/{*page}", keyed: &[] },
    Route { path: "/health", keyed: &[] },
    Route { path: "/health/live", keyed: &[] },
    Route { path: "/health/ready", keyed: &[] },
    Route { path: "/api/openapi.json", keyed: &[] },
    Route { path: "/.well-known/oauth-protected-resource", keyed: &[] },
    Route { path: "/.well-known/oauth-protected-resource/mcp", keyed: &[] },
    Route { path: "/.well-known/oauth-authorization-server", keyed: &[] },
    Route { path: "/.well-known/openid-configuration", keyed: &[] },
    Route { path: "/oauth/authorize", keyed: &[] },
    Route { path: "/oauth/sign-in", keyed: &[] },
    Route { path: "/oauth/openid", keyed: &[] },
    Route { path: "/oauth/openid/callback", keyed: &[] },
    Route { path: "/oauth/token", keyed: &[] },
    Route { path: "/oauth/revoke", keyed: &[] },
    Route { path: "/oauth/register", keyed: &[] },
    Route { path: "/oauth/grants", keyed: &[] },
    Route { path: "/oauth/style.css", keyed: &[] },
];

const OTHER: &str = "other";

/// The name of the matched route.
pub(crate) fn route_name(matched: Option<&str>) -> &'static str {
    let matched = matched.map(|route| match route {
        "/mcp/" => "/mcp",
        "/app/" => "/app",
        route => route,
    });
    ROUTES.iter().map(|route| route.path).find(|path| Some(*path) == matched).unwrap_or(OTHER)
}

/// Whether a request to a route of this name needs a key; such a request is counted by its admission.
pub(crate) fn needs_key(route: &str, method: &Method) -> bool {
    ROUTES.iter().any(|known| known.path == route && known.keyed.contains(method))
}

/// The name of an HTTP method.
pub(crate) fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => OTHER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_counted_as_other() {
        assert_eq!(route_name(Some("/mcp")), "/mcp");
        assert_eq!(route_name(Some("/mcp/")), "/mcp");
        assert_eq!(route_name(Some("/api/keys/{id}")), "/api/keys/{id}");
        for path in [None, Some("/api/keys/17"), Some("/mcp\n# EOF"), Some("")] {
            assert_eq!(route_name(path), OTHER);
        }
        assert_eq!(method_name(&Method::from_bytes(b"BREW").unwrap()), OTHER);
    }

    #[test]
    fn a_route_needs_a_key_for_its_methods_only() {
        assert!(needs_key("/mcp", &Method::POST) && needs_key("/api/keys/{id}", &Method::DELETE));
        assert!(!needs_key("/mcp", &Method::OPTIONS) && !needs_key("/health", &Method::GET));
        assert!(!needs_key(OTHER, &Method::POST));
    }
}
