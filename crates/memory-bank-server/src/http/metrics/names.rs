//! The values of labels. Values from outside are looked up here; an unknown one is `other`.

use http::Method;

/// The routes of the router, in its spelling.
const ROUTES: [&str; 8] = [
    "/mcp",
    "/api/keys",
    "/api/keys/{id}",
    "/api/keys/{id}/rotate",
    "/health",
    "/health/live",
    "/health/ready",
    "/api/openapi.json",
];

const OTHER: &str = "other";

/// The name of the matched route.
pub(crate) fn route_name(matched: Option<&str>) -> &'static str {
    let matched = matched.map(|route| if route == "/mcp/" { "/mcp" } else { route });
    ROUTES.iter().find(|route| Some(**route) == matched).copied().unwrap_or(OTHER)
}

/// The name of an HTTP method.
pub(crate) fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
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
    fn what_the_program_does_not_know_is_called_other() {
        assert_eq!(route_name(Some("/mcp")), "/mcp");
        assert_eq!(route_name(Some("/mcp/")), "/mcp");
        assert_eq!(route_name(Some("/api/keys/{id}")), "/api/keys/{id}");
        for path in [None, Some("/api/keys/17"), Some("/mcp\n# EOF"), Some("")] {
            assert_eq!(route_name(path), OTHER);
        }
        assert_eq!(method_name(&Method::from_bytes(b"BREW").unwrap()), OTHER);
    }
}
