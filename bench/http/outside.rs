//! The same requests, sent by wrk: a load generator that nobody here wrote.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::figures::Figures;
use crate::load::{Connection, Script};
use crate::servers::output;

/// Sends each request once, and fails if its reply is not as expected: wrk looks at the status alone, and an error of a tool has status 200.
pub async fn check(address: SocketAddr, scripts: &[Script]) -> anyhow::Result<()> {
    let mut connection = Connection::open(address).await?;
    for script in scripts {
        for request in &script.requests {
            let reply = String::from_utf8_lossy(connection.ask(request).await?);
            ensure!(reply.contains(script.expects), "expected {}: {reply}", script.expects);
        }
    }
    Ok(())
}

/// Sends the requests of all scripts in turn over as many connections as there are scripts.
pub fn run(
    home: &Path,
    address: SocketAddr,
    scripts: &[Script],
    length: Duration,
) -> anyhow::Result<Figures> {
    let place = home.join("requests.lua");
    std::fs::write(&place, lua(scripts))?;
    let mut wrk = Command::new("wrk");
    wrk.args(["-t", "1", "-c", &scripts.len().to_string(), "-d", &format!("{}s", length.as_secs())]);
    wrk.arg("--latency").arg("-s").arg(&place).arg(format!("http://{address}/mcp"));
    let text = output(&mut wrk).context("`wrk` is needed: scripts/setup load")?;
    ensure!(!text.contains("Non-2xx") && !text.contains("Socket errors"), "{text}");
    let field = |name: &str| {
        let line = text.lines().map(str::trim_start).find_map(|line| line.strip_prefix(name));
        line.map(str::trim).with_context(|| format!("wrk does not report {name}: {text}"))
    };
    Ok(Figures {
        rate: field("Requests/sec:")?.parse()?,
        half: time(field("50%")?)?,
        most: time(field("99%")?)?,
        work: [Duration::ZERO; 3],
    })
}

/// A script of wrk that sends whole requests, every byte as its number: the first requests of all scripts, then their second ones. So those
/// in flight are of different scripts.
fn lua(scripts: &[Script]) -> String {
    let mut out = String::from("local requests = {\n");
    let most = scripts.iter().map(|script| script.requests.len()).max().unwrap_or(0);
    for request in
        (0..most).flat_map(|turn| scripts.iter().filter_map(move |script| script.requests.get(turn)))
    {
        out.push('"');
        for byte in request {
            let _ = write!(out, "\\{byte:03}");
        }
        out.push_str("\",\n");
    }
    out.push_str(
        "}\nlocal at = 0\nrequest = function()\n  at = at % #requests + 1\n  return requests[at]\nend\n",
    );
    out
}

/// A time as wrk shows it: 512.00us, 3.21ms, 1.02s.
fn time(shown: &str) -> anyhow::Result<Duration> {
    let (number, micros) = if let Some(number) = shown.strip_suffix("us") {
        (number, 1.0)
    } else if let Some(number) = shown.strip_suffix("ms") {
        (number, 1e3)
    } else {
        (shown.strip_suffix('s').context("wrk shows a time without a unit")?, 1e6)
    };
    Ok(Duration::from_secs_f64(number.parse::<f64>()? * micros / 1e6))
}
