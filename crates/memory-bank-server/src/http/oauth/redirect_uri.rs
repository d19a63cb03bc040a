//! Redirect URIs: which a client may have, and which it may use.

use std::net::IpAddr;

use url::{Host, Url};

/// The longest redirect URI, in bytes.
const LONGEST: usize = 2048;
/// Schemes that a browser runs or shows by itself, or whose handlers on a desktop or a phone run, open, mount, call or
/// install something by an address: a code must not be sent there, and a page must not lead there. All others belong to
/// a program of the user's device (RFC 8252).
const REFUSED_SCHEMES: [&str; 88] = [
    "about",
    "acrobat",
    "afp",
    "android-app",
    "applescript",
    "apt",
    "blob",
    "brave",
    "callto",
    "chrome",
    "chrome-extension",
    "chrome-search",
    "chrome-untrusted",
    "cid",
    "cifs",
    "data",
    "devtools",
    "dns",
    "edge",
    "facetime",
    "facetime-audio",
    "feed",
    "feeds",
    "file",
    "filesystem",
    "firefox",
    "ftp",
    "ftps",
    "geo",
    "gopher",
    "hcp",
    "help",
    "icap",
    "intent",
    "irc",
    "itms",
    "itms-apps",
    "itms-appss",
    "itms-services",
    "its",
    "jar",
    "java",
    "javascript",
    "jnlp",
    "jnlps",
    "ldap",
    "ldaps",
    "livescript",
    "localexplorer",
    "macappstore",
    "macappstores",
    "mailto",
    "market",
    "mhtml",
    "microsoft-edge",
    "microsoft-edge-holographic",
    "mk",
    "mms",
    "moz-extension",
    "news",
    "nfs",
    "nntp",
    "onenote",
    "opera",
    "powershell",
    "rdp",
    "res",
    "resource",
    "rlogin",
    "rtsp",
    "search",
    "sftp",
    "shell",
    "shortcuts",
    "sip",
    "smb",
    "sms",
    "ssh",
    "steam",
    "tel",
    "telnet",
    "tn3270",
    "vbscript",
    "view-source",
    "vnc",
    "webcal",
    "ws",
    "wss",
];
/// What schemes of the same kind begin with: those of Windows and Office, its search, and settings and help of macOS.
const REFUSED_PREFIXES: [&str; 6] = ["ms-", "search-ms", "windowsdefender", "x-apple", "x-help", "x-man"];

/// Reads a redirect URI that a client may register: https, http on this machine, or a scheme of a program.
pub(super) fn parse(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok().filter(|_| text.len() <= LONGEST && is_printable(text))?;
    let plain = url.username().is_empty() && url.password().is_none() && !text.contains('#');
    let may = match url.scheme() {
        "https" => url.host_str().is_some(),
        "http" => is_loopback(&url),
        scheme => {
            !REFUSED_SCHEMES.contains(&scheme)
                && !REFUSED_PREFIXES.iter().any(|prefix| scheme.starts_with(prefix))
        }
    };
    (plain && may).then_some(url)
}

/// Whether a URI has no blanks, control characters and letters beyond ASCII, which programs read in different ways.
fn is_printable(uri: &str) -> bool {
    uri.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether a client with this registered URI may use the presented one: the same text, or on this machine the same but
/// for the port, which programs choose when they start (RFC 8252, 7.3).
pub(super) fn matches(registered: &str, presented: &str) -> bool {
    if registered == presented {
        return true;
    }
    let (Some(known), Some(wanted)) = (parse(registered), parse(presented)) else { return false };
    let same =
        known.host() == wanted.host() && known.path() == wanted.path() && known.query() == wanted.query();
    is_loopback(&known) && is_loopback(&wanted) && same
}

/// Where a code goes, for people: the host, or the scheme of a program.
pub(super) fn shown_host(url: &Url) -> String {
    match url.host_str() {
        Some(host) if matches!(url.scheme(), "http" | "https") => host.to_owned(),
        _ => format!("{}:", url.scheme()),
    }
}

/// Whether a URI is http on this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    let here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    };
    url.scheme() == "http" && here
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_may_have_addresses_of_the_web_over_https_of_this_machine_and_of_programs() {
        for uri in [
            "https://claude.ai/api/mcp/auth_callback",
            "http://localhost:33418/",
            "http://127.0.0.1/callback?x=1",
            "http://[::1]:9/cb",
            "cursor://anysphere.cursor-retrieval/oauth/callback",
            "com.example.app:/cb",
            "vscode://vscode.microsoft-authentication/cb",
            "vscode-insiders://x.y/cb",
            "claude://claude.ai/cb",
            "windsurf://codeium.windsurf/cb",
            "zed://oauth/cb",
        ] {
            assert!(parse(uri).is_some(), "{uri}");
        }
        for uri in [
            "http://evil.example/cb",
            "http://localhost.evil.example/cb",
            "http://10.0.0.1/cb",
            "https://user@claude.ai/cb",
            "https://user:pw@claude.ai/cb",
            "https://claude.ai/cb#x",
            "javascript:alert(1)",
            "JavaScript:alert(1)",
            "data:text/html,x",
            "file:///etc/passwd",
            "ms-msdt:/id",
            "ms-officecmd:%7B%7D",
            "MS-word:ofe|u|https://evil.example/x",
            "search-ms:query=x&crumb=location:%5C%5Cevil.example",
            "search:query=x",
            "shell:startup",
            "feed:https://evil.example",
            "view-source:https://evil.example",
            "microsoft-edge:https://evil.example",
            "ssh://evil.example",
            "smb://evil.example/share",
            "itms-services://?action=download-manifest",
            "x-apple.systempreferences:x",
            "/callback",
            "",
            "https://",
            "https://bücher.example/cb",
            "https://a.example/\0",
            "https://a.example/c b",
            "https://a.example/\tcb",
        ] {
            assert!(parse(uri).is_none(), "{uri}");
        }
        assert!(parse(&format!("https://a.example/{}", "x".repeat(LONGEST))).is_none());
    }

    #[test]
    fn a_presented_uri_is_the_registered_one_but_for_the_port_on_this_machine() {
        let same = [
            ("https://a.example/cb", "https://a.example/cb"),
            ("http://localhost/cb", "http://localhost:1234/cb"),
            ("http://127.0.0.1:1/cb", "http://127.0.0.1:65535/cb"),
            ("http://[::1]/cb", "http://[::1]:5/cb"),
            ("cursor://x/cb", "cursor://x/cb"),
        ];
        for (registered, presented) in same {
            assert!(matches(registered, presented), "{presented}");
        }
        let other = [
            ("https://a.example/cb", "https://a.example/cb/"),
            ("https://a.example/cb", "https://a.example/cb?x"),
            ("https://a.example/cb", "https://a.example:8443/cb"),
            ("https://a.example/cb", "https://A.example/cb"),
            ("https://a.example/cb", "https://a.example/x/../cb"),
            ("https://a.example/cb", "https://a.example.evil.example/cb"),
            ("http://localhost/cb", "http://127.0.0.1/cb"),
            ("http://localhost/cb", "http://localhost:1/cb2"),
            ("http://localhost/cb", "https://localhost:1/cb"),
            ("http://localhost/cb", "http://localhost:1@evil.example/cb"),
            ("http://localhost/cb", "http://localhost:1/cb#x"),
            ("cursor://x/cb", "cursor://x:1/cb"),
        ];
        for (registered, presented) in other {
            assert!(!matches(registered, presented), "{presented}");
        }
    }
}
