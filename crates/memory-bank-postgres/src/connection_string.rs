//! Reads connection strings as libpq does: a URL, or `key=value` pairs. Errors show no value, because each may be a part of
//! a password. This module must not know how a connection is made.

use std::fmt::{self, Write as _};
use std::net::IpAddr;
use std::str::FromStr;

use tokio_postgres::Config;

use crate::connect_error::ConnectError;
use crate::error::describe;

const SCHEMES: [&str; 2] = ["postgresql://", "postgres://"];
const DEFAULT_PORT: u16 = 5432;
/// Hosts past this many are a mistake.
const MAX_HOSTS: usize = 16;
const ENCODE: &str =
    "in a user's name or a password, write @ as %40, : as %3A, / as %2F and % as %25 (percent-encoding)";

/// The parameters of a connection string. If a key is given twice, the last value counts.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ConnectionString {
    parameters: Vec<(String, String)>,
}

/// One host to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// A host's name or address, or a socket's folder, which begins with `/`.
    pub(crate) host: String,
    /// The host's address, if it is given.
    pub(crate) address: Option<IpAddr>,
    pub(crate) port: u16,
}

impl Endpoint {
    pub(crate) fn is_socket(&self) -> bool {
        self.address.is_none() && self.host.starts_with(['/', '@'])
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Debug for ConnectionString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionString").finish_non_exhaustive()
    }
}

impl ConnectionString {
    /// Reads one.
    ///
    /// # Errors
    /// It is neither a URL of PostgreSQL's nor a list of `key=value` pairs.
    pub fn parse(text: &str) -> Result<Self, ConnectError> {
        let mut string = Self::default();
        let text = text.trim();
        match SCHEMES.iter().find_map(|scheme| text.strip_prefix(scheme)) {
            Some(rest) => string.read_url(rest)?,
            None => string.read_pairs(text)?,
        }
        // As in libpq: the spelling of JDBC.
        if string.take("ssl").is_some_and(|value| value == "true") {
            string.set("sslmode", "require".to_owned());
        }
        Ok(string)
    }

    /// The value of a key; none if it is absent or empty.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(known, _)| known == key);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// A connection string in its own form, with these parameters behind it.
    #[must_use]
    pub fn extended(text: &str, added: &[(&str, String)]) -> String {
        let mut text = text.trim().to_owned();
        let url = SCHEMES.iter().find_map(|scheme| text.strip_prefix(scheme));
        let place = url.map(|url| split_login(url).map_or(url, |(_, place)| place));
        let mut has_query = place.is_some_and(|place| place.contains('?'));
        let is_url = place.is_some();
        for (key, value) in added {
            if is_url {
                text.push(if std::mem::replace(&mut has_query, true) { '&' } else { '?' });
                let _written = write!(text, "{key}={}", encoded(value));
            } else {
                let _written = write!(text, " {key}={}", quoted(value));
            }
        }
        text
    }

    /// The value of a key, which is gone afterwards.
    pub(crate) fn take(&mut self, key: &str) -> Option<String> {
        let at = self.parameters.iter().position(|(known, _)| known == key)?;
        Some(self.parameters.remove(at).1).filter(|value| !value.is_empty())
    }

    /// Where to connect, one place after the other.
    pub(crate) fn take_endpoints(&mut self) -> Result<Vec<Endpoint>, ConnectError> {
        let [hosts, addresses, ports] =
            ["host", "hostaddr", "port"].map(|key| self.take(key).unwrap_or_default());
        let [hosts, addresses, ports] =
            [&hosts, &addresses, &ports].map(|list| list.split(',').collect::<Vec<_>>());
        let count = hosts.len().max(addresses.len());
        let fits = |list: &[&str]| list.len() == count || list == [""];
        if !fits(&hosts)
            || !fits(&addresses)
            || !(ports.len() == 1 || ports.len() == count)
            || count > MAX_HOSTS
        {
            let (hosts, addresses, ports) = (hosts.len(), addresses.len(), ports.len());
            return Err(malformed(format!(
                "it has {hosts} hosts, {addresses} values of `hostaddr` and {ports} ports; write one value of each a host, at \
                 most {MAX_HOSTS}"
            )));
        }
        (0..count)
            .map(|at| {
                let at_place = |list: &[&'_ str]| list.get(at).copied().unwrap_or_default().to_owned();
                let (host, address) = (at_place(&hosts), at_place(&addresses));
                let port = ports.get(at).or(ports.first()).copied().unwrap_or_default();
                // A socket in Linux's abstract namespace begins with `@`.
                if host.get(1..).is_some_and(|rest| rest.contains('@')) && !host.starts_with('/') {
                    return Err(malformed(format!("a host has an `@`; {ENCODE}")));
                }
                let address = match address.as_str() {
                    "" => None,
                    text => Some(text.parse::<IpAddr>().map_err(|_| {
                        malformed("`hostaddr` is not an IP address; write one, or use `host`")
                    })?),
                };
                let host = match (host.as_str(), address) {
                    ("", Some(address)) => address.to_string(),
                    ("", None) => {
                        return Err(malformed("it names no host; write one, or the folder of a socket"));
                    }
                    _ => host,
                };
                Ok(Endpoint { host, address, port: port_of(port)? })
            })
            .collect()
    }

    /// The driver's view of all that is left.
    pub(crate) fn into_config(self) -> Result<Config, ConnectError> {
        let mut pairs = String::new();
        for (key, value) in self.parameters.iter().filter(|(_, value)| !value.is_empty()) {
            let key = if key == "keepalives_count" { "keepalives_retries" } else { key };
            let _written = write!(pairs, "{key}={} ", quoted(value));
        }
        // The driver names the parameter and never its value.
        Config::from_str(&pairs).map_err(|error| malformed(describe(&error)))
    }

    pub(crate) fn set(&mut self, key: &str, value: String) {
        match self.parameters.iter_mut().find(|(known, _)| known == key) {
            Some((_, known)) => *known = value,
            None => self.parameters.push((key.to_owned(), value)),
        }
    }

    /// As libpq, so a `?` or `#` in a password needs no encoding.
    fn read_url(&mut self, text: &str) -> Result<(), ConnectError> {
        let mut rest = text;
        if let Some((login, place)) = split_login(text) {
            let (user, password) = login.split_once(':').unwrap_or((login, ""));
            self.set_decoded("user", user)?;
            self.set_decoded("password", password)?;
            rest = place;
        }
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (hosts, database) = place.split_once('/').unwrap_or((place, ""));
        if database.contains('@') {
            return Err(malformed(format!("a `/` comes before the `@`; {ENCODE}")));
        }
        self.read_hosts(hosts)?;
        self.set_decoded("dbname", database)?;
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let Some((key, value)) = pair.split_once('=') else {
                return Err(malformed(format!("a parameter after `?` has no `=`; {ENCODE}")));
            };
            let (key, value) = (decoded(key)?, decoded(value)?);
            self.set(&key, value);
        }
        Ok(())
    }

    fn read_hosts(&mut self, text: &str) -> Result<(), ConnectError> {
        let (mut hosts, mut ports) = (Vec::new(), Vec::new());
        for place in text.split(',') {
            let (host, port) = match place.strip_prefix('[') {
                None => place.split_once(':').unwrap_or((place, "")),
                Some(rest) => match rest.split_once(']') {
                    Some((host, "")) => (host, ""),
                    Some((host, port)) if port.starts_with(':') => (host, port.get(1..).unwrap_or_default()),
                    _ => {
                        return Err(malformed(
                            "an address in `[` has no `]` behind it, or something else there",
                        ));
                    }
                },
            };
            port_of(port)?;
            hosts.push(decoded(host)?);
            ports.push(port);
        }
        self.set("host", hosts.join(","));
        self.set("port", ports.join(","));
        Ok(())
    }

    fn read_pairs(&mut self, text: &str) -> Result<(), ConnectError> {
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let Some((key, after)) = rest.split_once('=') else {
                return Err(malformed(
                    "it begins neither with postgresql:// nor has it the form key=value, with values that hold spaces in single quotes",
                ));
            };
            let key = key.trim_end();
            if key.is_empty()
                || key.contains(|character: char| !(character.is_ascii_alphanumeric() || character == '_'))
            {
                return Err(malformed(
                    "a name before a `=` is not a parameter's; write postgresql://…, or key=value pairs with values that hold \
                     spaces in single quotes",
                ));
            }
            let (value, after) = pair_value(after.trim_start())?;
            self.set(key, value);
            rest = after.trim_start();
        }
        Ok(())
    }

    fn set_decoded(&mut self, key: &str, value: &str) -> Result<(), ConnectError> {
        if !value.is_empty() {
            self.set(key, decoded(value)?);
        }
        Ok(())
    }
}

/// User and password of a URL without its scheme, and the rest.
fn split_login(text: &str) -> Option<(&str, &str)> {
    let end = text.find(['@', '/'])?;
    text.get(..end).zip(text.get(end..)?.strip_prefix('@'))
}

/// The value of a pair, and the rest.
fn pair_value(text: &str) -> Result<(String, &str), ConnectError> {
    let quoted = text.strip_prefix('\'');
    let body = quoted.unwrap_or(text);
    let mut value = String::new();
    let mut letters = body.char_indices();
    while let Some((at, character)) = letters.next() {
        let ends = if quoted.is_some() { character == '\'' } else { character.is_whitespace() };
        if ends {
            return Ok((value, body.get(at + character.len_utf8()..).unwrap_or_default()));
        }
        match character {
            '\\' => value.extend(letters.next().map(|(_, escaped)| escaped)),
            _ => value.push(character),
        }
    }
    if quoted.is_some() {
        return Err(malformed(
            "a value begins with a single quote and does not end with one; write \\' for a quote in it",
        ));
    }
    Ok((value, ""))
}

fn port_of(text: &str) -> Result<u16, ConnectError> {
    match text {
        "" => Ok(DEFAULT_PORT),
        _ => text
            .parse()
            .ok()
            .filter(|port| *port > 0)
            .ok_or_else(|| malformed(format!("the port is not a number from 1 to 65535; {ENCODE}"))),
    }
}

fn decoded(text: &str) -> Result<String, ConnectError> {
    let wrong =
        || malformed(format!("a `%` is not followed by two hexadecimal digits of UTF-8 text; {ENCODE}"));
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2).ok_or_else(wrong)?;
        let digits = std::str::from_utf8(digits).map_err(|_| wrong())?;
        let byte = u8::from_str_radix(digits, 16).ok().filter(|byte| *byte != 0 && !digits.starts_with('+'));
        bytes.push(byte.ok_or_else(wrong)?);
        rest = after;
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

/// Every byte but letters and digits, percent-encoded.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            encoded.push(char::from(byte));
        } else {
            let _written = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// A value of a pair, in quotes.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

fn malformed(text: impl Into<String>) -> ConnectError {
    ConnectError::Malformed(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> ConnectionString {
        ConnectionString::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn endpoints(text: &str) -> Vec<Endpoint> {
        read(text).take_endpoints().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn a_url_and_pairs_have_the_same_meaning() {
        let url =
            read("postgresql://u%40x:p%20'w@h.example.com:6000/d?sslmode=verify-ca&application_name=a%3Db");
        let pairs = read(
            " host = h.example.com port=6000 user=u@x password='p \\'w' dbname=d sslmode=verify-ca application_name='a=b'\n",
        );
        for key in ["host", "port", "user", "password", "dbname", "sslmode", "application_name"] {
            assert_eq!(url.get(key), pairs.get(key), "{key}");
        }
        assert_eq!(url.get("password"), Some("p 'w"));
        let mut url = url;
        let (_places, _mode) = (url.take_endpoints().unwrap(), url.take("sslmode"));
        let config = url.into_config().unwrap();
        assert_eq!((config.get_user(), config.get_password()), (Some("u@x"), Some(b"p 'w".as_slice())));
        assert_eq!((config.get_dbname(), config.get_application_name()), (Some("d"), Some("a=b")));
    }

    #[test]
    fn a_question_mark_or_hash_in_a_password_is_a_part_of_it() {
        for password in ["pa?ss", "pa#ss", "?", "#1?sslmode=disable&x", "a:b", "p&=w"] {
            let string = read(&format!("postgres://u:{password}@h:5433/d?sslmode=require"));
            assert_eq!(string.get("password"), Some(password));
            assert_eq!((string.get("host"), string.get("port")), (Some("h"), Some("5433")), "{password}");
            assert_eq!(
                (string.get("dbname"), string.get("sslmode")),
                (Some("d"), Some("require")),
                "{password}"
            );
        }
    }

    #[test]
    fn unencoded_characters_are_refused_with_advice_and_without_the_password() {
        for url in [
            "postgres://u:sec/ret@h/d",
            "postgres://u:12/secret@h/d",
            "postgres://u:s@secret@h:5432/d",
            "postgres://u:secret%@h/d",
            "postgres://u:secret%zz@h/d",
            "postgres://u:secret%00@h/d",
            "postgres://u:sec?re/t@h/d",
        ] {
            let error = ConnectionString::parse(url).and_then(|mut string| string.take_endpoints());
            let error = error.unwrap_err().to_string();
            assert!(error.contains("percent-encoding"), "{url}: {error}");
            assert!(!error.contains("sec") && !error.contains("ret"), "{url}: {error}");
        }
    }

    #[test]
    fn other_strings_are_refused_without_showing_them() {
        for text in [
            "secret",
            "host=h secret",
            "host=h password='secret",
            "=secret",
            "mysql://u:secret@h/d?x=y",
            "/s@cret=x",
        ] {
            let error = ConnectionString::parse(text).unwrap_err().to_string();
            assert!(!error.contains("secret") && !error.contains("s@cret"), "{text}: {error}");
        }
        for text in [
            "host=h,i port=1,2,3",
            "host=h,i hostaddr=127.0.0.1",
            "hostaddr=h",
            "user=u",
            "postgres:///d",
            "host=h port=x",
        ] {
            assert!(read(text).take_endpoints().is_err(), "{text}");
        }
        assert!(read("host=h sslcert=/x").into_config().is_err(), "what is not supported is not ignored");
    }

    #[test]
    fn hosts_have_ports_and_addresses_of_their_own() {
        let place = |host: &str, address: Option<&str>, port| Endpoint {
            host: host.to_owned(),
            address: address.map(|text| text.parse().unwrap()),
            port,
        };
        assert_eq!(
            endpoints("postgres://a:1,[::1]:2,c/d"),
            [place("a", None, 1), place("::1", None, 2), place("c", None, 5432)]
        );
        assert_eq!(endpoints("host=a,b port=7"), [place("a", None, 7), place("b", None, 7)]);
        assert_eq!(endpoints("host=a,b port=,8"), [place("a", None, 5432), place("b", None, 8)]);
        assert_eq!(endpoints("hostaddr=::1 user=u"), [place("::1", Some("::1"), 5432)]);
        assert_eq!(endpoints("postgres:///d?hostaddr=10.0.0.1"), [place("10.0.0.1", Some("10.0.0.1"), 5432)]);
        assert_eq!(endpoints("postgres://u@h:9/d?host=%2Frun%2Fpg"), [place("/run/pg", None, 9)]);
        assert!(endpoints("postgres://%2Frun%2Fpg/d").iter().all(Endpoint::is_socket));
        assert_eq!(
            endpoints("host=a,b hostaddr=127.0.0.1,127.0.0.2"),
            [place("a", Some("127.0.0.1"), 5432), place("b", Some("127.0.0.2"), 5432)]
        );
    }

    #[test]
    fn additions_have_the_form_of_the_string() {
        let odd = " p$w#@/%:?&='\"\\ \u{e9}";
        for text in
            ["postgres://u@h/d", "postgres://u:a?b@h", "postgres://h?dbname=d", "host=h user=u ", "host='h'"]
        {
            let extended = ConnectionString::extended(
                text,
                &[("password", odd.to_owned()), ("options", "x y".to_owned())],
            );
            let string = read(&extended);
            assert_eq!(
                (string.get("password"), string.get("options")),
                (Some(odd), Some("x y")),
                "{extended}"
            );
            assert_eq!(string.get("host"), Some("h"), "{extended}");
        }
    }

    #[test]
    fn the_last_value_of_a_key_counts() {
        let string = read("postgres://u@h/d?sslmode=disable&sslmode=require&dbname=e&ssl=true");
        assert_eq!((string.get("sslmode"), string.get("dbname")), (Some("require"), Some("e")));
    }
}
