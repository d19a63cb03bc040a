//! The bank that a command means: a folder's or a server's, and its tools.

use std::time::Duration;

use anyhow::bail;
use memory_bank_core::error::StoreError;
use serde_json::{Map, Value, json};

use super::arguments::{BankOptions, BrowseCommand};
use super::folder::FolderBank;
use crate::cli::clients::{DEFAULT_NAME, key_variable};
use crate::cli::key_source;
use crate::cli::options::GlobalOptions;
use crate::cli::server_address;
use crate::cli::tool_client::ToolClient;
use crate::cli::usage_error::UsageError;
use crate::config::command_variables::URL;

/// How often a search is repeated while its index is being built, and the interval.
const INDEX_ATTEMPTS: usize = 60;
const INDEX_INTERVAL: Duration = Duration::from_secs(1);
/// The most pages of one list: more than any bank has.
const MAX_PAGES: usize = 1000;

/// A bank, by the tools that it offers.
pub(super) enum CommandBank {
    /// In a folder of this machine.
    Folder(FolderBank),
    /// Behind a server.
    Server(Box<ToolClient>),
}

impl CommandBank {
    pub(super) async fn open(command: &BrowseCommand, global: &GlobalOptions) -> anyhow::Result<Self> {
        let options = command.options();
        if let Some(word) = command.changes()
            && global.tool_options()?.read_only
        {
            bail!(
                "`{word}` changes a memory bank, and `--read-only` or `MEMORY_BANK_READ_ONLY` forbids that; nothing was done"
            );
        }
        match address(options, global)? {
            Some(url) => {
                let key = match &options.key_file {
                    Some(file) => Some(key_source::from_file(file)?),
                    None => key_source::from_variable(&key_variable(DEFAULT_NAME))?,
                };
                Ok(Self::Server(Box::new(ToolClient::new(url, key)?)))
            }
            None => Ok(Self::Folder(FolderBank::open(global, command).await?)),
        }
    }

    /// The data of a tool's reply.
    ///
    /// # Errors
    /// The tool refuses, or the bank cannot be reached; the text is for people.
    pub(super) async fn call(&self, tool: &str, arguments: Value) -> anyhow::Result<Value> {
        let arguments = match arguments {
            Value::Object(arguments) => arguments.into_iter().filter(|(_, value)| !value.is_null()).collect(),
            _ => Map::new(),
        };
        let result = match self {
            Self::Folder(bank) => bank.call(tool, arguments).await?,
            Self::Server(bank) => bank.call(tool, arguments).await?,
        };
        data(&result)
    }

    /// The data of a search. While its index is being built, it is repeated.
    pub(super) async fn search(&self, tool: &str, arguments: Value) -> anyhow::Result<Value> {
        let building = StoreError::IndexBuilding { seconds: 1 }.to_string();
        let building = building.split_once(';').map_or(building.as_str(), |(text, _)| text);
        let mut attempts = 1;
        loop {
            match self.call(tool, arguments.clone()).await {
                Err(error) if attempts < INDEX_ATTEMPTS && error.to_string().contains(building) => {
                    attempts += 1;
                    tokio::time::sleep(INDEX_INTERVAL).await;
                }
                outcome => return outcome,
            }
        }
    }

    /// The data of a tool that lists something, with the lists of all pages.
    pub(super) async fn call_all(
        &self,
        tool: &str,
        mut arguments: Value,
        lists: &[&str],
    ) -> anyhow::Result<Value> {
        let mut all = self.call(tool, arguments.clone()).await?;
        for _ in 1..MAX_PAGES {
            let Some(cursor) = all.as_object_mut().and_then(|all| all.shift_remove("nextCursor")) else {
                return Ok(all);
            };
            if let Some(arguments) = arguments.as_object_mut() {
                arguments.insert("cursor".to_owned(), cursor);
            }
            let page = self.call(tool, arguments.clone()).await?;
            for list in lists {
                if let (Some(Value::Array(before)), Some(Value::Array(more))) =
                    (all.get_mut(*list), page.get(*list))
                {
                    before.extend(more.iter().cloned());
                }
            }
            let Some(object) = all.as_object_mut() else { return Ok(all) };
            for name in ["remaining", "next", "truncated", "nextCursor"] {
                object.shift_remove(name);
                if let Some(value) = page.get(name) {
                    object.insert(name.to_owned(), value.clone());
                }
            }
        }
        Ok(all)
    }
}

/// The address of a server, if one is meant: an option comes before a variable.
fn address(options: &BankOptions, global: &GlobalOptions) -> anyhow::Result<Option<String>> {
    let url = match (&options.url, &global.path) {
        (Some(_), Some(_)) => {
            return Err(UsageError(
                "`--url` names a server and `--path` a folder; leave one of them out".to_owned(),
            )
            .into());
        }
        (Some(url), None) => Some(url.clone()),
        (None, Some(_)) => None,
        (None, None) => variable()?,
    };
    let Some(url) = url else {
        if options.key_file.is_some() {
            let text =
                format!("`--key-file` has no effect on a folder; name the server with `--url` or `{URL}`");
            return Err(UsageError(text).into());
        }
        return Ok(None);
    };
    let url = server_address::with_options(&url, global, None);
    url.map(Some).map_err(|error| UsageError(format!("{error:#}")).into())
}

fn variable() -> anyhow::Result<Option<String>> {
    let value = std::env::var(URL).unwrap_or_default();
    let value = value.trim();
    if value.is_empty() {
        return Ok(None);
    }
    let url = server_address::parse(value);
    // The value may hold a password or a key, so the error does not repeat it.
    url.map(Some).map_err(|error| UsageError(format!("`{URL}` is not an address: {error}")).into())
}

/// The data of a reply: long replies have it as text only.
fn data(result: &Value) -> anyhow::Result<Value> {
    let texts: Vec<&str> = result
        .get("content")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|block| block.get("text").and_then(Value::as_str))
        .collect();
    if result.get("isError").and_then(Value::as_bool) == Some(true) {
        bail!("{}", texts.join("\n"));
    }
    if let Some(data) = result.get("structuredContent").filter(|data| data.is_object()) {
        return Ok(data.clone());
    }
    let text = texts.first().copied().unwrap_or_default();
    match serde_json::from_str::<Value>(text) {
        Ok(data) if data.is_object() => Ok(data),
        _ => Ok(json!({ "message": text })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_read_from_both_forms_of_a_reply() {
        let text = |text: &str| json!({"content": [{"type": "text", "text": text}]});
        assert_eq!(data(&text("{\"a\": 1}")).unwrap(), json!({"a": 1}));
        assert_eq!(data(&text("done")).unwrap(), json!({"message": "done"}));
        let mut both = text("done");
        both["structuredContent"] = json!({"b": 2});
        assert_eq!(data(&both).unwrap(), json!({"b": 2}));
        both["isError"] = json!(true);
        assert_eq!(data(&both).unwrap_err().to_string(), "done");
    }
}
