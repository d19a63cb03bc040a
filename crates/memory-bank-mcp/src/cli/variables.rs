//! `config`: every variable with its value, its default and its allowed values. Secrets are never shown.

use serde_json::{Value, json};

use crate::cli::output::{Output, Table};
use crate::config::{self, ConfigError, Settings, VARIABLES, Variable};

/// Prints the variables, and the first invalid one.
pub(crate) fn run(output: Output) -> anyhow::Result<()> {
    let mut table = Table::new(&["VARIABLE", "VALUE", "TAKES"]);
    let mut list = Vec::new();
    for variable in VARIABLES.iter().filter(|variable| variable.is_read_by_server()) {
        let shown = shown(variable);
        let default = variable.default.shown();
        let value = shown.clone().unwrap_or_else(|| format!("{default} (default)"));
        table.row(vec![variable.name.to_owned(), value, variable.takes.to_owned()]);
        list.push(json!({
            "name": variable.name,
            "value": shown,
            "default": default,
            "takes": variable.takes,
            "meaning": variable.meaning,
            "secret": variable.is_secret(),
        }));
    }
    let fault = fault(&Settings::read(&config::environment));
    let text = match fault.as_str() {
        Some(fault) => format!("{table}\n{fault}"),
        None => table.to_string(),
    };
    output.show(&json!({"variables": list, "error": fault}), &text)
}

/// The value of a variable, if it is set.
fn shown(variable: &Variable) -> Option<String> {
    let set = |name: &str| config::environment(name).filter(|value| !value.trim().is_empty());
    if let Some(path) = variable.file_variable().as_deref().and_then(set) {
        return Some(format!("(from {path})"));
    }
    let value = set(variable.name)?;
    Some(if variable.is_secret() { "(set, not shown)".to_owned() } else { value })
}

fn fault(outcome: &Result<Settings, ConfigError>) -> Value {
    outcome.as_ref().err().map_or(Value::Null, |error| Value::String(error.to_string()))
}
