//! Tool options of a request, from its address (`/mcp?tools=core&readonly`) or a header (`X-MCP-Tools`,
//! `X-MCP-Readonly`). Names match in any case, with `-`, `_` or neither: a client that asks for read-only mode must
//! not get more. A client can select tools and give up the right to write; it can never gain rights.

use http::{HeaderMap, Uri};

use crate::mcp::ToolOptions;

const TOOLS: &str = "tools";
const READ_ONLY: &str = "readonly";
const TOOLS_HEADER: &str = "x-mcp-tools";
const READ_ONLY_HEADERS: [&str; 2] = ["x-mcp-readonly", "x-mcp-read-only"];

/// The options of this request: its address takes precedence over its headers, and those over the server's settings.
///
/// # Errors
/// An option is not understood. Ignoring it could give a client that asks for read-only mode all rights.
pub(crate) fn of(server: &ToolOptions, uri: &Uri, headers: &HeaderMap) -> Result<ToolOptions, String> {
    let (mut named, mut read_only) = (None, server.read_only);
    for value in READ_ONLY_HEADERS.into_iter().flat_map(|name| headers.get_all(name)) {
        read_only |= is_on(value.to_str().unwrap_or("?"))?;
    }
    for value in headers.get_all(TOOLS_HEADER) {
        let value = value.to_str().map_err(|_| format!("the header `{TOOLS_HEADER}` is not text"))?;
        named = Some(value.to_owned());
    }
    for (name, value) in url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
        match plain(&name).as_str() {
            TOOLS => named = Some(value.into_owned()),
            READ_ONLY => read_only |= is_on(&value)?,
            _ => {}
        }
    }
    let toolset = match named.filter(|named| !named.trim().is_empty()) {
        Some(named) => named.parse().map_err(|error| format!("{error}"))?,
        None => server.toolset.clone(),
    };
    Ok(ToolOptions { toolset, read_only, ..server.clone() })
}

/// The name of a parameter without case, `-`, `_` and surrounding blanks.
fn plain(name: &str) -> String {
    let letters = name.trim().chars().filter(|character| !matches!(character, '-' | '_'));
    letters.map(|character| character.to_ascii_lowercase()).collect()
}

/// Whether the value of `readonly` is true; the bare name is.
fn is_on(word: &str) -> Result<bool, String> {
    match word.trim().to_ascii_lowercase().as_str() {
        "" | "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        other => {
            let short: String = other.chars().filter(|character| !character.is_control()).take(40).collect();
            Err(format!("`readonly` is `{short}`; give `true` or `false`, or `readonly` alone"))
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use rstest::rstest;

    use super::*;

    fn options(
        server: &ToolOptions,
        query: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<(String, bool), String> {
        let uri: Uri = format!("/mcp{query}").parse().unwrap();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(
                http::HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        of(server, &uri, &map).map(|options| (options.toolset.to_string(), options.read_only))
    }

    #[rstest]
    #[case("", &[], ("all", false))]
    #[case("?tools=core", &[], ("core", false))]
    #[case("?tools=graph%2Cdocuments&x=1", &[], ("documents,graph", false))]
    #[case("?tools=core", &[("x-mcp-tools", "graph")], ("core", false))]
    #[case("?tools=", &[("x-mcp-tools", "graph")], ("all", false))]
    #[case("", &[("x-mcp-tools", "graph")], ("graph", false))]
    #[case("?readonly", &[], ("all", true))]
    #[case("?readonly=", &[], ("all", true))]
    #[case("?readonly=1&readonly=false", &[], ("all", true))]
    #[case("?readonly=FALSE", &[], ("all", false))]
    #[case("?tools=all&readonly=true", &[], ("all", true))]
    #[case("?readonly=false", &[("x-mcp-readonly", "true")], ("all", true))]
    #[case("?read-only=true", &[], ("all", true))]
    #[case("?read_only", &[], ("all", true))]
    #[case("?readOnly=True", &[], ("all", true))]
    #[case("?READONLY", &[], ("all", true))]
    #[case("?Read%2DOnly=1&readonly=false", &[], ("all", true))]
    #[case("?Tools=core&READ_ONLY=no", &[], ("core", false))]
    #[case("?readonlyx&x-readonly", &[], ("all", false))]
    #[case("", &[("X-MCP-Read-Only", "true")], ("all", true))]
    #[case("", &[("X-MCP-Readonly", "false"), ("X-MCP-Read-Only", "1")], ("all", true))]
    fn a_request_selects_its_tools_and_may_give_up_rights(
        #[case] query: &str,
        #[case] headers: &[(&'static str, &str)],
        #[case] (toolset, read_only): (&str, bool),
    ) {
        let got = options(&ToolOptions::default(), query, headers).unwrap();
        assert_eq!(got, (toolset.to_owned(), read_only));
    }

    #[test]
    fn a_read_only_server_stays_read_only_for_every_request() {
        let server =
            ToolOptions { toolset: "core".parse().unwrap(), read_only: true, ..ToolOptions::default() };
        for query in ["?readonly=false", "?tools=all&readonly=0", ""] {
            assert!(options(&server, query, &[("x-mcp-readonly", "false")]).unwrap().1, "{query}");
        }
        assert_eq!(options(&server, "?tools=all", &[]).unwrap().0, "all");
        assert_eq!(options(&server, "", &[]).unwrap().0, "core");
    }

    #[test]
    fn an_unknown_option_is_refused() {
        let server = ToolOptions::default();
        assert!(options(&server, "?tools=kern", &[]).unwrap_err().contains("`kern`"));
        assert!(options(&server, "?readonly=maybe", &[]).unwrap_err().contains("`maybe`"));
        for query in ["?read-only=bogus", "?read_only=bogus", "?readOnly=bogus", "?READONLY=bogus"] {
            assert!(options(&server, query, &[]).unwrap_err().contains("`bogus`"), "{query}");
        }
        assert!(options(&server, "", &[("x-mcp-readonly", "x")]).is_err());
        assert!(options(&server, "", &[("x-mcp-read-only", "x")]).is_err());
    }
}
