//! The machine of the measurement.

use std::process::Command;

/// One line each, as a Markdown list.
pub fn described() -> String {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZeroUsize::get);
    let processor = value_or_unknown(field("/proc/cpuinfo", "model name"));
    let memory = field("/proc/meminfo", "MemTotal")
        .and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok())
        .map(|kibibytes| format!("{} GiB", kibibytes.div_ceil(1024 * 1024)));
    let load = std::fs::read_to_string("/proc/loadavg").ok();
    let load = load.as_deref().and_then(|text| text.split(' ').next().map(str::to_owned));
    format!(
        "- {processor}, {cores} cores, {} memory\n- {}, {}\n- memory-bank-mcp {}, load of the machine at the start {}\n",
        value_or_unknown(memory),
        value_or_unknown(output("uname", &["-sr"])),
        value_or_unknown(output("rustc", &["--version"])),
        env!("CARGO_PKG_VERSION"),
        value_or_unknown(load),
    )
}

fn field(file: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn value_or_unknown(text: Option<String>) -> String {
    text.filter(|text| !text.is_empty()).unwrap_or_else(|| "unknown".to_owned())
}
