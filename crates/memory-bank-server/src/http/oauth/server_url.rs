//! The addresses of this server in OAuth, all below the origin that its clients know it by.

use url::Url;

use crate::http::origin::WebOrigin;

/// The path of the well-known document about the resource.
pub(super) const PROTECTED_RESOURCE: &str = "/.well-known/oauth-protected-resource";

/// The origin of the server, where OAuth is offered: where it is known for certain and nobody on the way can read or
/// change what a browser sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerUrl {
    origin: String,
}

impl ServerUrl {
    /// The server at a place; none where OAuth is not offered.
    pub(crate) fn at(origin: &WebOrigin) -> Option<Self> {
        origin.is_private().then(|| Self { origin: origin.to_string() })
    }

    /// The issuer: the origin, without a slash at its end.
    pub(crate) fn issuer(&self) -> &str {
        &self.origin
    }

    /// The port, also that of the scheme.
    pub(crate) fn port(&self) -> Option<u16> {
        Url::parse(&self.origin).ok()?.port_or_known_default()
    }

    pub(crate) fn is_https(&self) -> bool {
        self.origin.starts_with("https:")
    }

    /// Whether a client names this server as its resource (RFC 8707): the endpoint, or the origin.
    pub(crate) fn accepts_resource(&self, resource: &str) -> bool {
        let Ok(url) = Url::parse(resource) else { return false };
        let plain = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        plain
            && url.origin().ascii_serialization() == self.origin
            && matches!(url.path(), "" | "/" | "/mcp" | "/mcp/")
    }

    /// The address of a path of this server.
    pub(crate) fn path(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// The resource that tokens are for: the MCP endpoint.
    pub(crate) fn resource(&self) -> String {
        self.path("/mcp")
    }

    /// The address of the document about the resource.
    pub(crate) fn resource_metadata(&self) -> String {
        self.path(&format!("{PROTECTED_RESOURCE}/mcp"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_server_is_the_resource() {
        let server = ServerUrl::at(&WebOrigin::parse("https://memory.example").unwrap()).unwrap();
        for resource in [
            "https://memory.example/mcp",
            "https://memory.example/mcp/",
            "https://memory.example",
            "HTTPS://Memory.Example:443/",
        ] {
            assert!(server.accepts_resource(resource), "{resource}");
        }
        for resource in [
            "https://memory.example/other",
            "https://memory.example/mcp?x",
            "https://memory.example/mcp#x",
            "https://user@memory.example/mcp",
            "https://memory.example:8443/mcp",
            "http://memory.example/mcp",
            "https://evil.example/mcp",
            "https://memory.example.evil.example/mcp",
            "/mcp",
            "",
        ] {
            assert!(!server.accepts_resource(resource), "{resource}");
        }
    }

    #[test]
    fn oauth_is_offered_over_https_and_on_this_machine_only() {
        let at = |origin: &str| ServerUrl::at(&WebOrigin::parse(origin).unwrap());
        let public = at("https://Memory.example:443").unwrap();
        assert_eq!(public.issuer(), "https://memory.example");
        assert_eq!(public.resource(), "https://memory.example/mcp");
        assert_eq!(
            public.resource_metadata(),
            "https://memory.example/.well-known/oauth-protected-resource/mcp"
        );
        assert!(at("http://localhost:3100").is_some() && at("http://[::1]:3100").is_some());
        assert_eq!(at("http://memory.example"), None);
        assert_eq!(at("http://10.0.0.1"), None);
    }
}
