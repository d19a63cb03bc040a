//! A bare Redis client, as an attacker would use it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

/// Sends one command and returns the strings of its reply.
pub(crate) fn command(port: u16, words: &[&str]) -> io::Result<Vec<String>> {
    command_at(Ipv4Addr::LOCALHOST, port, words)
}

/// The same for a Redis at another address.
pub(crate) fn command_at(address: Ipv4Addr, port: u16, words: &[&str]) -> io::Result<Vec<String>> {
    let mut stream = TcpStream::connect((address, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut text = format!("*{}\r\n", words.len());
    for word in words {
        text += &format!("${}\r\n{word}\r\n", word.len());
    }
    stream.write_all(text.as_bytes())?;
    let mut found = Vec::new();
    value(&mut BufReader::new(stream), &mut found)?;
    Ok(found)
}

fn value(reader: &mut BufReader<TcpStream>, found: &mut Vec<String>) -> io::Result<()> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let rest = line.get(1..).unwrap_or_default().trim();
    let number = || rest.parse::<i64>().map_err(io::Error::other);
    match line.chars().next() {
        Some('*') => {
            for _ in 0..number()? {
                value(reader, found)?;
            }
        }
        Some('$') => {
            // -1 = nothing.
            let Ok(length) = usize::try_from(number()?) else { return Ok(()) };
            let mut text = vec![0; length + 2];
            reader.read_exact(&mut text)?;
            found.push(String::from_utf8_lossy(&text[..length]).into_owned());
        }
        Some('+' | ':') => found.push(rest.to_owned()),
        _ => return Err(io::Error::other(line)),
    }
    Ok(())
}
