//! The address of a server as an option of a command.

use memory_bank_core::secrets::OWN_KEY_PREFIX;

use crate::cli::options::GlobalOptions;

/// Checks an address that is given as an option.
pub(crate) fn parse(text: &str) -> Result<String, String> {
    let url =
        url::Url::parse(text).map_err(|error| format!("{error}; use an address such as https://host/mcp"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err("use an address that begins with http:// or https://".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("remove user and password from the address; the key is sent in a header".to_owned());
    }
    if text.contains(OWN_KEY_PREFIX) {
        return Err(
            "remove the key from the address, because addresses are logged; the key is sent in a header"
                .to_owned(),
        );
    }
    if matches!(url.path(), "" | "/") {
        return Err(format!(
            "MCP is not served at the root; use the whole address, such as {}/mcp",
            text.trim_end_matches('/')
        ));
    }
    Ok(text.to_owned())
}

/// The address with the toolset and the read-only mode of the command line; `tools` is the default of `--tools`.
///
/// # Errors
/// An option is given that has no effect on a server over HTTP.
pub(crate) fn with_options(
    address: &str,
    global: &GlobalOptions,
    tools: Option<&str>,
) -> anyhow::Result<String> {
    let refused = [
        (global.username != memory_bank_core::caller::UNKNOWN_USER, "--username", "the key names the user"),
        (
            global.mode != memory_bank_core::mode::Mode::default(),
            "--mode",
            "a session begins in the server's mode",
        ),
        (global.folder != crate::cli::options::DEFAULT_FOLDER, "--folder", "the key names the project"),
    ];
    if let Some((_, flag, reason)) = refused.iter().find(|(given, _, _)| *given) {
        anyhow::bail!("`{flag}` has no effect on a server over HTTP, because {reason}; omit it");
    }
    let mut url = url::Url::parse(address)?;
    let has =
        |url: &url::Url, name: &str| url.query_pairs().any(|(known, _)| known.eq_ignore_ascii_case(name));
    let tools = global.tools.as_ref().map(ToString::to_string).or_else(|| tools.map(str::to_owned));
    let mut options = Vec::new();
    if let Some(tools) = tools.filter(|_| !has(&url, "tools")) {
        options.push(format!("tools={tools}"));
    }
    if global.read_only && !has(&url, "readonly") {
        options.push("readonly=true".to_owned());
    }
    if options.is_empty() {
        return Ok(address.to_owned());
    }
    let query = url.query().map(str::to_owned).into_iter().chain(options).collect::<Vec<_>>().join("&");
    url.set_query(Some(&query));
    Ok(url.to_string())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn an_address_with_a_secret_or_another_scheme_is_refused() {
        let key = format!("https://host/mcp?key=mbmcp_live_{}", "k".repeat(32));
        for url in ["ftp://host/mcp", "memory.example.com/mcp", "https://me:secret@host/mcp", &key] {
            assert!(parse(url).is_err(), "{url}");
        }
        assert!(parse("http://127.0.0.1:3100/mcp").is_ok());
    }

    #[test]
    fn an_address_without_a_path_is_refused_with_the_right_one() {
        for url in ["https://memory.example.com", "https://memory.example.com/"] {
            assert!(parse(url).unwrap_err().ends_with("such as https://memory.example.com/mcp"), "{url}");
        }
        assert!(parse("https://example.com/memory").is_ok(), "a proxy may put it anywhere");
    }

    #[test]
    fn options_are_added_to_the_address_unless_it_has_them() {
        let with = |url: &str, words: &[&str], tools| {
            let global = crate::cli::Cli::parse_from([&["memory-bank-mcp"], words].concat()).global;
            with_options(url, &global, tools).map_err(|error| error.to_string())
        };
        assert_eq!(with("https://h/mcp", &[], None).unwrap(), "https://h/mcp");
        assert_eq!(with("https://h/mcp", &[], Some("core")).unwrap(), "https://h/mcp?tools=core");
        assert_eq!(with("https://h/mcp?tools=all", &[], Some("core")).unwrap(), "https://h/mcp?tools=all");
        assert_eq!(
            with("https://h/mcp?a=1", &["--tools", "graph,core", "--read-only"], Some("core")).unwrap(),
            "https://h/mcp?a=1&tools=core,graph&readonly=true"
        );
        assert!(with("https://h/mcp", &["-u", "jo"], None).unwrap_err().contains("--username"));
        assert!(with("https://h/mcp", &["-m", "ask"], None).unwrap_err().contains("--mode"));
    }
}
