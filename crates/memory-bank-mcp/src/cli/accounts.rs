//! Commands that change or remove users and projects in use, and that invite a member. Running servers are notified
//! of each change.

use std::io::{BufRead, IsTerminal};

use anyhow::{Context, ensure};
use clap::Args;
use memory_bank_core::caller::{Role, UserId};
use memory_bank_core::clock::{Entropy, SystemEntropy};
use memory_bank_core::identity::{Administration, NewUser, ProjectRecord, Revoked};
use memory_bank_postgres::Database;
use serde_json::json;

use crate::cli::account_arguments::{RoleName, parse_slug, parse_user_name, user_json};
use crate::cli::client_config;
use crate::cli::clients::{Client, DEFAULT_NAME, Scope, Server, key_variable};
use crate::cli::keys::{self, NewKeyOptions};
use crate::cli::output::{KEY_SHOWN_ONCE, Output, print_stderr};
use crate::cli::server_address;
use crate::cli::usage_error::UsageError;
use crate::config::Settings;

/// The placeholder for an unknown address.
const NO_URL: &str = "https://YOUR-SERVER/mcp";
/// The longest answer that is read, in bytes.
const ANSWER_BYTES: u64 = 1024;

/// Removes a user.
pub(crate) async fn remove_user(
    database: &Database,
    settings: &Settings,
    name: &str,
    output: Output,
) -> anyhow::Result<()> {
    let void = database.remove_user(name).await?;
    keys::notify_revoked(settings, &void).await;
    let count = keys_among(&void);
    let data = json!({"message": "user removed", "user": name, "revokedKeys": count});
    output.show(&data, &format!("The user {name} is removed; API keys revoked: {count}."))
}

/// The typed confirmation of a change that users of a project notice.
#[derive(Debug, Clone, Args)]
pub(crate) struct Confirmation {
    /// The project's short name once more, instead of typing it at the prompt.
    #[arg(long, value_name = "SLUG")]
    confirm: Option<String>,
    /// Do not ask; only together with `--confirm`.
    #[arg(short = 'y', long, requires = "confirm")]
    yes: bool,
}

/// Arguments of `projects rename`.
#[derive(Debug, Clone, Args)]
pub(crate) struct RenameProject {
    /// The project's short name.
    project: String,
    /// The new short name: lower-case letters, digits and hyphens.
    #[arg(value_parser = parse_slug)]
    to: String,
    #[command(flatten)]
    confirmation: Confirmation,
}

/// Gives a project another short name, if its name was typed.
pub(crate) async fn rename_project(
    database: &Database,
    settings: &Settings,
    target: &RenameProject,
    output: Output,
) -> anyhow::Result<ProjectRecord> {
    let RenameProject { project, to, confirmation } = target;
    let question = async || {
        let members = database.members(project).await?.len();
        Ok(Question {
            refusal: format!(
                "`projects rename` asks for the short name, and nothing can be asked here; nothing was renamed. Repeat the name with \
                 `--confirm {project}`"
            ),
            text: format!(
                "This renames the project {project} to {to}; members: {members}. Commands and settings that name it need the new name, \
                 and rules that give roles by the old one give nothing.\nType {project} to rename it:"
            ),
        })
    };
    check_confirmed(project, confirmation, "renamed", output, question).await?;
    let renamed = database.rename_project(project, to).await?;
    // Servers read the name with a key.
    let keys = database.project_keys(&renamed.slug).await?;
    keys::notify_changed(settings, &keys).await;
    Ok(renamed)
}

/// Arguments of `projects remove`.
#[derive(Debug, Clone, Args)]
pub(crate) struct RemoveProject {
    /// The project's short name.
    project: String,
    #[command(flatten)]
    confirmation: Confirmation,
}

/// Removes a project, if its name was typed.
pub(crate) async fn remove_project(
    database: &Database,
    settings: &Settings,
    target: &RemoveProject,
    output: Output,
) -> anyhow::Result<()> {
    let RemoveProject { project: slug, confirmation } = target;
    let question = async || {
        let members = database.members(slug).await?.len();
        let keys = database.keys(slug, false).await?.len();
        let bytes = database.stored_bytes_of(slug).await?;
        Ok(Question {
            refusal: format!(
                "`projects remove` cannot be undone, and nothing can be asked here; nothing was removed. A last copy is made by \
                 `memory-bank-mcp backup --project {slug} --to {slug}.zip`; then repeat the name with `--confirm {slug}`"
            ),
            text: format!(
                "This removes the project {slug} for good: {bytes} bytes of documents, graph and backups; members: {members}; API keys: \
                 {keys}.\nA last copy is made by: memory-bank-mcp backup --project {slug} --to {slug}.zip\nType {slug} to remove it:"
            ),
        })
    };
    check_confirmed(slug, confirmation, "removed", output, question).await?;
    let void = database.remove_project(slug).await?;
    keys::notify_revoked(settings, &void).await;
    let count = keys_among(&void);
    let data = json!({"message": "project removed", "project": slug, "revokedKeys": count});
    output.show(&data, &format!("The project {slug} is removed; API keys revoked: {count}."))
}

/// The question before a change, and the error without a terminal.
struct Question {
    text: String,
    refusal: String,
}

/// Checks that the short name was repeated, as an option or at the prompt. A missing project is refused before the prompt.
async fn check_confirmed(
    slug: &str,
    confirmation: &Confirmation,
    change: &str,
    output: Output,
    question: impl AsyncFnOnce() -> anyhow::Result<Question>,
) -> anyhow::Result<()> {
    let confirmed = match &confirmation.confirm {
        Some(confirmed) => confirmed.clone(),
        None => typed(&question().await?, output).await?,
    };
    if confirmed == *slug {
        return Ok(());
    }
    let given: String = confirmed.chars().take(100).collect();
    Err(UsageError(format!("`{given}` is not the short name `{slug}`; nothing was {change}")).into())
}

/// How many are keys of users; the others are tokens of what they have allowed.
fn keys_among(void: &[Revoked]) -> usize {
    void.iter().filter(|one| !one.record.is_token()).count()
}

/// The text that is typed at the prompt.
async fn typed(question: &Question, output: Output) -> anyhow::Result<String> {
    if !std::io::stdin().is_terminal() || output.json {
        return Err(UsageError(question.refusal.clone()).into());
    }
    print_stderr(&question.text)?;
    let answer = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        let mut input = std::io::Read::take(std::io::stdin().lock(), ANSWER_BYTES);
        input.read_line(&mut line).map(|_| line.trim().to_owned())
    });
    answer.await?.context("the answer cannot be read")
}

/// Arguments of `members invite`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Invite {
    /// The project's short name.
    #[arg(long)]
    project: String,
    /// The user's name.
    #[arg(long)]
    user: String,
    /// The member's role.
    #[arg(long, value_enum)]
    role: RoleName,
    /// The address of a new user.
    #[arg(long)]
    email: Option<String>,
    /// The client whose configuration is printed.
    #[arg(long, value_enum, default_value_t = Client::ClaudeCode)]
    client: Client,
    /// The server's address, such as `https://memory.example.com/mcp`; that of `PUBLIC_URL` when absent.
    #[arg(long, value_name = "URL", value_parser = server_address::parse)]
    url: Option<String>,
    #[command(flatten)]
    key: NewKeyOptions,
}

/// Invites a member, and prints how a client is connected.
pub(crate) async fn invite(
    database: &Database,
    settings: &Settings,
    invite: &Invite,
    output: Output,
) -> anyhow::Result<()> {
    let user = NewUser {
        id: UserId(SystemEntropy.id()),
        name: parse_user_name(&invite.user)?,
        email: invite.email.clone(),
    };
    ensure!(!invite.project.is_empty(), "`--project` takes the project's short name");
    let role: Role = invite.role.into();
    let (plain, key) = keys::new_key(&invite.key);
    let invited = database.invite_member(&invite.project, &user, role, &key).await?;
    let known = invite.url.clone().or_else(|| settings.http.public_url.as_deref().map(mcp_address));
    let url = known.clone().unwrap_or_else(|| NO_URL.to_owned());
    let server = Server::Http { url: url.clone(), key: None, name: DEFAULT_NAME.to_owned() };
    // A key acts in one project, so the entry is in a file of the project where the client has one.
    let scope = if invite.client.default_scope() == Scope::Project { " --scope project" } else { "" };
    let line =
        format!("memory-bank-mcp setup --client {}{scope} --url {}", invite.client.name(), shell_word(&url));
    let snippet = client_config::snippet(invite.client, DEFAULT_NAME, &server)?;
    let variable = key_variable(DEFAULT_NAME);
    let data = json!({
        "user": user_json(&invited.user),
        "isNewUser": invited.is_new,
        "project": invite.project,
        "role": role.as_str(),
        "key": keys::created_json(&plain, &invited.key),
        "client": {
            "name": invite.client.name(),
            "url": known,
            "line": line,
            "config": snippet,
            "keyVariable": variable,
        },
    });
    let text = format!(
        "User     {}{}\nProject  {}, as {}\nAPI key  {}\n\n{KEY_SHOWN_ONCE}\n\nWith the key in the variable {variable}, this line \
         connects {}:\n\n  {line}\n\nWithout this program, its file gets:\n\n{snippet}",
        invited.user.name,
        if invited.is_new { " (created)" } else { "" },
        invite.project,
        role.as_str(),
        plain.expose(),
        invite.client.row().title,
    );
    output.show(&data, &text)?;
    if known.is_none() && !output.json {
        print_stderr(&format!(
            "The server's address is not known: put it in the place of {NO_URL}, or give it with `--url` or `PUBLIC_URL`."
        ))?;
    }
    Ok(())
}

/// A word of a shell's command line. Addresses may have characters that a shell acts on.
fn shell_word(text: &str) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "-_./:@%+=,".contains(character);
    if text.chars().all(is_plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// The address of MCP on a server.
fn mcp_address(public_url: &str) -> String {
    format!("{}/mcp", public_url.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_a_command_line_starts_nothing_in_a_shell() {
        assert_eq!(shell_word("https://memory.example.com:8443/mcp"), "https://memory.example.com:8443/mcp");
        assert_eq!(shell_word("https://x/mcp?a=$(id)&b='c"), r"'https://x/mcp?a=$(id)&b='\''c'");
        assert_eq!(shell_word("https://x/mcp;id"), "'https://x/mcp;id'");
    }
}
