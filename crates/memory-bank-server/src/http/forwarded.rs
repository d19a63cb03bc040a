//! Headers of proxies: the client's address and scheme. The entry of the outermost trusted proxy counts, the n-th
//! from the end for n proxies; entries of the client come before it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::HeaderMap;

/// The two schemes of the web.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    /// The default port of the scheme.
    pub(crate) fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// The client's address as the outermost trusted proxy saw it, if the proxy wrote one.
pub(crate) fn address(headers: &HeaderMap, hops: usize) -> Option<IpAddr> {
    let entries = entries(headers, "x-forwarded-for");
    let named = entries.len().checked_sub(hops).filter(|_| hops > 0).and_then(|at| entries.get(at))?;
    parse_address(std::str::from_utf8(named).ok()?)
}

/// The scheme of the client's request. The server itself has no TLS, so only a proxy can report it.
pub(crate) fn scheme(headers: &HeaderMap, hops: usize) -> Scheme {
    reported_scheme(headers, hops).unwrap_or(Scheme::Http)
}

/// The scheme that the outermost trusted proxy reports, if it does.
pub(crate) fn reported_scheme(headers: &HeaderMap, hops: usize) -> Option<Scheme> {
    let entries = entries(headers, "x-forwarded-proto");
    // Most proxies write one entry, however many there are.
    let named = if hops == 0 { None } else { entries.get(entries.len().saturating_sub(hops)) }?;
    if named.eq_ignore_ascii_case(b"https") {
        Some(Scheme::Https)
    } else {
        named.eq_ignore_ascii_case(b"http").then_some(Scheme::Http)
    }
}

/// The entries of a list header, which may have several lines. Bytes, because the client's entries may be invalid
/// text and must not hide the proxy's entry behind them.
fn entries<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a [u8]> {
    let lines = headers.get_all(name).iter();
    lines.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii).collect()
}

/// Parses an address as proxies write it: bare, in brackets, with a port or a zone, in quotes, and as in `Forwarded`.
/// An IPv4-mapped IPv6 address is the IPv4 address: one client is one address.
fn parse_address(text: &str) -> Option<IpAddr> {
    let text = match text.split_at_checked(4) {
        Some((name, value)) if name.eq_ignore_ascii_case("for=") => value.trim(),
        _ => text,
    };
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text).trim();
    let address = if let Some(bracketed) = text.strip_prefix('[') {
        let (inside, port) = bracketed.split_once(']')?;
        if !(port.is_empty() || port.strip_prefix(':').is_some_and(is_port)) {
            return None;
        }
        IpAddr::V6(parse_v6(inside)?)
    } else if let Ok(address) = text.parse::<Ipv4Addr>() {
        IpAddr::V4(address)
    } else if let Some(address) = parse_v6(text) {
        IpAddr::V6(address)
    } else {
        let (host, port) = text.split_once(':')?;
        IpAddr::V4(host.parse().ok().filter(|_| is_port(port))?)
    };
    Some(address.to_canonical())
}

fn parse_v6(text: &str) -> Option<Ipv6Addr> {
    match text.split_once('%') {
        Some((address, zone)) if !zone.is_empty() => address.parse().ok(),
        Some(_) => None,
        None => text.parse().ok(),
    }
}

/// A port, or the identifier of a proxy that hides it.
fn is_port(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use rstest::rstest;

    use super::*;

    fn headers(name: &'static str, values: &[&str]) -> HeaderMap {
        let values = values.iter().map(|value| HeaderValue::from_bytes(value.as_bytes()).unwrap());
        let mut headers = HeaderMap::new();
        values.for_each(|value| {
            headers.append(name, value);
        });
        headers
    }

    #[rstest]
    #[case("1.2.3.4", "1.2.3.4")]
    #[case("1.2.3.4:5678", "1.2.3.4")]
    #[case("\"1.2.3.4:5678\"", "1.2.3.4")]
    #[case("for=1.2.3.4", "1.2.3.4")]
    #[case("For=\"[2001:db8::1]:443\"", "2001:db8::1")]
    #[case("for=\"1.2.3.4:_hidden\"", "1.2.3.4")]
    #[case("2001:db8::1", "2001:db8::1")]
    #[case("2001:0DB8:0:0::1", "2001:db8::1")]
    #[case("[2001:db8::1]", "2001:db8::1")]
    #[case("[2001:db8::1]:443", "2001:db8::1")]
    #[case("::ffff:1.2.3.4", "1.2.3.4")]
    #[case("[::ffff:1.2.3.4]:80", "1.2.3.4")]
    #[case("fe80::1%eth0", "fe80::1")]
    #[case("[fe80::1%25eth0]:443", "fe80::1")]
    fn an_address_is_read_in_every_form_that_proxies_write(#[case] text: &str, #[case] is: &str) {
        let found = address(&headers("x-forwarded-for", &["9.9.9.9", text]), 1);
        assert_eq!(found.map(|found| found.to_string()).as_deref(), Some(is));
    }

    #[rstest]
    #[case("")]
    #[case("unknown")]
    #[case("_hidden")]
    #[case("1.2.3")]
    #[case("1.2.3.4:")]
    #[case("1.2.3.4:80:90")]
    #[case("1.2.3.4 5")]
    #[case("[1.2.3.4]:80")]
    #[case("[2001:db8::1")]
    #[case("[2001:db8::1]x")]
    #[case("[2001:db8::1]:")]
    #[case("fe80::1%")]
    #[case("\"1.2.3.4")]
    #[case("host.example:80")]
    #[case("01.2.3.4")]
    fn an_invalid_address_is_ignored(#[case] text: &str) {
        assert_eq!(address(&headers("x-forwarded-for", &["9.9.9.9", text]), 1), None);
    }

    #[rstest]
    #[case(&["https"], 1, Scheme::Https)]
    #[case(&["HTTPS"], 2, Scheme::Https)]
    #[case(&["https"], 0, Scheme::Http)]
    #[case(&["https, http"], 1, Scheme::Http)]
    #[case(&["https, http"], 2, Scheme::Https)]
    #[case(&["https", "http", "http"], 2, Scheme::Http)]
    #[case(&["wss"], 1, Scheme::Http)]
    #[case(&[], 1, Scheme::Http)]
    fn the_scheme_is_the_one_seen_by_the_outermost_trusted_proxy(
        #[case] values: &[&str],
        #[case] hops: usize,
        #[case] is: Scheme,
    ) {
        assert_eq!(scheme(&headers("x-forwarded-proto", values), hops), is);
    }
}
