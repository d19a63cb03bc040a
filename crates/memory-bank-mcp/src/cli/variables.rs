//! `config`: every variable with its value, its default and its allowed values. Secrets are never shown.

use serde_json::json;

use crate::cli::output::{Output, Table};
use crate::config::{self, Settings, VARIABLES, Variable};

/// Prints the variables, and the first invalid one.
pub(crate) fn run(output: Output) -> anyhow::Result<()> {
    let mut table = Table::new(&["VARIABLE", "VALUE", "TAKES"]);
    let mut list = Vec::new();
    for variable in VARIABLES.iter().filter(|variable| variable.is_read_by_server()) {
        let shown = shown_value(variable);
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
    let error = Settings::read(&config::environment).err().map(|error| error.to_string());
    let text = match &error {
        Some(error) => format!("{table}\n{error}"),
        None => table.to_string(),
    };
    output.show(&json!({"variables": list, "error": error}), &text)
}

/// The value of a variable as it may be shown, if it is set.
fn shown_value(variable: &Variable) -> Option<String> {
    let non_blank = |name: &str| config::environment(name).filter(|value| !value.trim().is_empty());
    if let Some(path) = variable.file_variable().as_deref().and_then(non_blank) {
        return Some(format!("(from {path})"));
    }
    let value = non_blank(variable.name)?;
    Some(if variable.is_secret() { "(set, not shown)".to_owned() } else { value })
}
