//! One event of a session: the answer to the agent, and the state that is stored until the next one.

mod ending;
mod records;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use memory_bank_core::document::estimated_tokens;
use memory_bank_core::hooks::{
    CONTEXT_TOKENS, PromptTerms, SessionFacts, brief, fingerprint, framed, passages_text, reminder,
};
use memory_bank_folder::{GitActivity, HookSessions, StateFolder, git_head};
use serde_json::Value;

use super::agent::{Event, HookInput, Source};
use super::answer::{Answer, takes_context, to_json};
use super::bank::{HookBank, now};
use super::error_log::log_error;
use super::recording::{activity, facts};
use super::session::AgentSession;
use super::settings::{HookSettings, Prompts};
use crate::cli::key_source;
use crate::cli::options::GlobalOptions;
use crate::cli::tool_client::ToolClient;
use crate::config::{self, command_variables::API_KEY};

/// The most tokens of the digest as JSON; as lines it has fewer.
const DIGEST_TOKENS: usize = 700;

/// An event that is answered.
pub(super) struct Hook<'a> {
    pub(super) input: HookInput,
    pub(super) global: &'a GlobalOptions,
    pub(super) url: Option<&'a str>,
    pub(super) key_file: Option<&'a Path>,
    pub(super) key_variable: Option<&'a str>,
    pub(super) no_records: bool,
    pub(super) deadline: Duration,
}

impl Hook<'_> {
    /// The answer in the agent's form.
    pub(super) async fn run(self) -> anyhow::Result<Option<Value>> {
        let state = config::state_folder(self.global.state_dir.as_deref(), &config::environment)?;
        let sessions = state.clone().map(HookSessions::new);
        let name = HookSessions::name(self.input.agent.name(), &self.input.session);
        let settings = self.settings(sessions.as_ref())?;
        if !settings.hooks {
            return Ok(None);
        }
        if self.input.event == Event::Tool && !count_tool(sessions.as_ref(), &name, &self.input)? {
            return Ok(None);
        }
        // A subagent works for the session: its tools count, and it gets nothing.
        if self.input.is_nested {
            return Ok(None);
        }
        let known = self.known(sessions.as_ref(), &name);
        let elsewhere = self.elsewhere(known.as_ref());
        let folder = self.folder(elsewhere.or_else(|| known.as_ref()?.folder.as_deref()))?;
        let Some(bank) = self.bank(&folder, state).await? else { return Ok(None) };
        // Below the same bank the session goes on.
        let starts_anew = elsewhere.is_some() && known.is_some_and(|known| !known.is_of(bank.folder()));
        let is_answered = matches!(self.input.event, Event::SessionStart(_) | Event::Prompt);
        // Without a bank nothing is stored.
        if is_answered
            && let Some(sessions) = &sessions
            && !self.claims(sessions, &name)
        {
            return Ok(None);
        }
        let handler = EventHandler { hook: &self, sessions, name, settings, folder, bank, starts_anew };
        let answer = match self.input.event {
            Event::SessionStart(source) => handler.start(source).await?,
            Event::Prompt => handler.prompt().await?,
            Event::Compaction => handler.compaction().await?,
            Event::Stop | Event::SessionEnd => handler.end().await?,
            Event::Tool => handler.tool().await,
        };
        Ok(to_json(&self.input, answer))
    }

    fn settings(&self, sessions: Option<&HookSessions>) -> anyhow::Result<HookSettings> {
        let file = sessions.map(HookSessions::settings).transpose();
        let (file, unreadable) = match file {
            Ok(file) => (file.flatten(), None),
            // An unreadable setting may forbid recording.
            Err(error) => (Some(Vec::new()), Some(error)),
        };
        let options = self.global.tool_options()?;
        let may_write = !options.read_only && !self.no_records;
        let (settings, wrong) =
            HookSettings::read(|name| std::env::var(name).ok(), file.as_deref(), may_write);
        for why in wrong.into_iter().chain(unreadable.map(|error| error.to_string())) {
            log_error(&why);
        }
        Ok(settings)
    }

    /// Whether this process answers the start or the prompt: an agent that finds hooks in a file of the user and in one of the project
    /// runs both. Other events need no claim: their records replace each other, and their reminders are counted.
    fn claims(&self, sessions: &HookSessions, name: &str) -> bool {
        let claimed = sessions.claim(name, self.input.fingerprint, now().as_millisecond());
        claimed.unwrap_or_else(|error| {
            log_error(&format!("the event cannot be claimed: {error}"));
            true
        })
    }

    /// The session as the last event left it.
    fn known(&self, sessions: Option<&HookSessions>, name: &str) -> Option<AgentSession> {
        let known = sessions.map(|sessions| sessions.load(name)).transpose().unwrap_or_else(|error| {
            log_error(&format!("the state of the session cannot be read: {error:#}"));
            None
        });
        known.flatten().as_deref().and_then(AgentSession::parse)
    }

    /// The folder in which a known session starts again, if it is another one: agents keep the id of a session that is resumed or
    /// cleared. After a compaction the agent is where it went to by itself.
    fn elsewhere(&self, known: Option<&AgentSession>) -> Option<&Path> {
        let folder = self.input.folder.as_deref().filter(|folder| folder.is_dir())?;
        let starts = matches!(self.input.event, Event::SessionStart(source) if source != Source::Compact);
        (starts && known?.folder.as_deref()? != folder).then_some(folder)
    }

    /// The folder of the session: `first`, that of its first event or of a start elsewhere, the agent's, or the current one.
    fn folder(&self, first: Option<&Path>) -> anyhow::Result<PathBuf> {
        let folders = [first, self.input.folder.as_deref()];
        match folders.into_iter().flatten().find(|folder| folder.is_dir()) {
            Some(folder) => Ok(folder.to_owned()),
            None => std::env::current_dir().context("the current folder cannot be used"),
        }
    }

    async fn bank(&self, folder: &Path, state: Option<StateFolder>) -> anyhow::Result<Option<HookBank>> {
        let Some(url) = self.url else { return HookBank::in_folder(self.global, folder, state).await };
        let key = match self.key_file {
            Some(file) => key_source::from_private_file(file)?,
            None => {
                let variable = self.key_variable.unwrap_or(API_KEY);
                key_source::from_variable(variable)?
                    .with_context(|| format!("`--url` needs the key in `{variable}`, or `--key-file`"))?
            }
        };
        Ok(Some(HookBank::on_server(ToolClient::new(url.to_owned(), Some(key))?)))
    }
}

/// Counts a call of a tool, if the session is known: its start has found a bank. Whether the result of the call is to have the
/// context that a compaction took away.
fn count_tool(sessions: Option<&HookSessions>, name: &str, input: &HookInput) -> anyhow::Result<bool> {
    let (Some(sessions), Some(tool)) = (sessions, input.tool.as_deref()) else { return Ok(false) };
    if sessions.load(name)?.is_none() {
        return Ok(false);
    }
    let may_take = takes_context(input.agent, input.event) && !input.has_failed && !input.is_nested;
    let mut takes = false;
    sessions.update(name, |before| {
        let mut session = AgentSession::parse(&before?)?;
        if !session.is_new_call(input.call) {
            return None;
        }
        session.count_tool(tool, input.has_failed);
        // Of calls at the same time, one has it.
        takes = may_take && session.compacted;
        session.compacted &= !takes;
        session.bytes()
    })?;
    Ok(takes)
}

/// The tokens that are left for a context, beside the reminder if there is one.
fn room_for_context(reminds: bool) -> usize {
    CONTEXT_TOKENS.saturating_sub(if reminds { estimated_tokens(reminder()) + 2 } else { 0 })
}

/// Texts for the agent's context, if there are any.
fn as_context(texts: &[String]) -> Answer {
    if texts.is_empty() { Answer::Silence } else { Answer::Context(texts.join("\n\n")) }
}

/// An event, with the data for its answer.
struct EventHandler<'a> {
    hook: &'a Hook<'a>,
    sessions: Option<HookSessions>,
    name: String,
    settings: HookSettings,
    folder: PathBuf,
    bank: HookBank,
    /// Whether the session starts again with another bank.
    starts_anew: bool,
}

impl EventHandler<'_> {
    /// The digest; after a compaction with the work of the session.
    async fn start(&self, source: Source) -> anyhow::Result<Answer> {
        // Without a thread the digest and the masks build them themselves.
        let _ = std::thread::Builder::new().name("tables".to_owned()).spawn(|| {
            memory_bank_core::document::roles::prepare();
            memory_bank_core::secrets::prepare();
        });
        // The digest is right also where nothing can be stored or read, such as in a home that is read-only.
        let forgotten = self.sessions.as_ref().map(|sessions| sessions.forget_idle(now().as_second()));
        if let Some(Err(error)) = forgotten {
            log_error(&format!("old states of sessions cannot be removed: {error:#}"));
        }
        let known = self.load().filter(|_| !self.starts_anew);
        let mut session = known.clone().unwrap_or_else(|| self.begin());
        let (digest, state) = tokio::join!(self.bank.digest(DIGEST_TOKENS), self.bank.state());
        let digest = digest?;
        if known.is_none() {
            session.bank = state?;
        }
        let facts = match source {
            Source::Compact => facts(&self.activity(&session)),
            _ => SessionFacts::default(),
        };
        let reminds = session.reminder_pending && takes_context(self.hook.input.agent, self.hook.input.event);
        let reserved = if reminds { estimated_tokens(reminder()) + 2 } else { 0 };
        let (mut texts, lines) = brief(&digest, &facts, reserved)
            .map_or_else(Default::default, |(text, lines)| (vec![text], lines));
        if reminds {
            texts.push(reminder().to_owned());
        }
        let bank = known.is_none().then_some(session.bank);
        self.update(|before| {
            let mut session = before.unwrap_or(session);
            session.bank = bank.unwrap_or(session.bank);
            if matches!(source, Source::Compact | Source::Clear) {
                session.shown.clear();
            }
            session.reminder_pending &= !reminds;
            session.compacted = false;
            session.add_shown(lines.iter().map(|line| fingerprint(line)));
            Some(session)
        });
        self.write_due_of_others().await;
        Ok(as_context(&texts))
    }

    /// With the result of a tool: the digest and the work of the session, after a compaction that no other event can follow up.
    async fn tool(&self) -> Answer {
        let Some(known) = self.load() else { return Answer::Silence };
        let reminds = known.reminder_pending;
        let context = self.after_compaction(&known, room_for_context(reminds)).await;
        let is_missing = context.is_none();
        let (mut texts, shown): (Vec<String>, Vec<u64>) =
            context.map_or_else(Default::default, |(text, shown)| (vec![text], shown));
        if reminds {
            texts.push(reminder().to_owned());
        }
        self.update(|before| {
            let mut session = before?;
            session.compacted |= is_missing;
            session.add_shown(shown);
            session.reminder_pending &= !reminds;
            Some(session)
        });
        as_context(&texts)
    }

    /// The passages of the bank that match the prompt; after a compaction that no start followed, the digest and the work of the
    /// session.
    async fn prompt(&self) -> anyhow::Result<Answer> {
        let input = &self.hook.input;
        let prompt = input.prompt.as_deref().unwrap_or_default();
        if prompt.contains(reminder()) {
            // Copilot CLI sends the reminder of a hook as a prompt.
            return Ok(Answer::Silence);
        }
        let records_prompt = self.records_prompt();
        let known = self.load_or_start().await;
        let takes_context = takes_context(input.agent, input.event);
        let reminds = known.reminder_pending && takes_context;
        let room = room_for_context(reminds);
        let context = match (takes_context, known.compacted) {
            (false, _) => None,
            (true, true) => self.after_compaction(&known, room).await,
            (true, false) => self.passages(&known, prompt, room).await,
        };
        let (mut texts, shown): (Vec<String>, Vec<u64>) =
            context.map_or_else(Default::default, |(text, shown)| (vec![text], shown));
        if reminds {
            texts.push(reminder().to_owned());
        }
        self.update(|before| {
            let mut session = before.unwrap_or(known);
            session.count_prompt(prompt, records_prompt);
            session.add_shown(shown);
            session.compacted &= !takes_context;
            session.reminder_pending &= !reminds;
            Some(session)
        });
        Ok(as_context(&texts))
    }

    /// The digest with the work of the session, and the fingerprints of what it shows.
    async fn after_compaction(&self, session: &AgentSession, room: usize) -> Option<(String, Vec<u64>)> {
        let digest = self.logged("the digest cannot be read", self.bank.digest(DIGEST_TOKENS).await)?;
        let facts = facts(&self.activity(session));
        let (text, lines) = brief(&digest, &facts, CONTEXT_TOKENS.saturating_sub(room))?;
        Some((text, lines.iter().map(|line| fingerprint(line)).collect()))
    }

    /// The passages that match a prompt and fit, and their fingerprints.
    async fn passages(
        &self,
        session: &AgentSession,
        prompt: &str,
        room: usize,
    ) -> Option<(String, Vec<u64>)> {
        let terms = PromptTerms::of(prompt);
        if terms.is_empty() {
            return None;
        }
        let is_shown = |fingerprint| session.shown.contains(&fingerprint);
        let found = self.bank.recall(&terms, self.hook.deadline / 3, is_shown).await;
        let mut fitting = Vec::new();
        for passage in self.logged("the bank cannot be searched", found)? {
            fitting.push(passage);
            if estimated_tokens(&framed(&passages_text(&fitting))) > room {
                fitting.pop();
            }
        }
        let shown = fitting.iter().map(|passage| passage.fingerprint).collect();
        (!fitting.is_empty()).then(|| (framed(&passages_text(&fitting)), shown))
    }

    /// Whether the user's setting lets the first prompt be recorded in this bank, as it is now.
    fn records_prompt(&self) -> bool {
        match self.settings.prompts {
            _ if !self.settings.records => false,
            Prompts::Off => false,
            Prompts::Private => self.bank.is_private(),
            Prompts::Always => true,
        }
    }

    /// The activity in the repository; a large one may take a part of the remaining time.
    fn activity(&self, session: &AgentSession) -> GitActivity {
        activity(&self.folder, session, &self.bank, self.hook.deadline / 3)
    }

    /// The session, if its start was seen. A state that cannot be read is logged.
    fn load(&self) -> Option<AgentSession> {
        let stored = self.sessions.as_ref()?.load(&self.name).map_err(anyhow::Error::from);
        let stored = self.logged("the state of the session cannot be read", stored)??;
        let session = AgentSession::parse(&stored);
        if session.is_none() {
            log_error("the stored state of the session is not understood; it begins anew");
        }
        session
    }

    /// The session; if its start was not seen, it begins now.
    async fn load_or_start(&self) -> AgentSession {
        if let Some(session) = self.load() {
            return session;
        }
        let mut session = self.begin();
        let state = self.bank.state().await;
        session.bank = self.logged("the state of the bank cannot be read", state).unwrap_or_default();
        self.update(|before| Some(AgentSession { bank: session.bank, ..before? }));
        session
    }

    /// A session that begins now. It is stored at once, so that it is recorded also if this hook's time is up before it ends.
    fn begin(&self) -> AgentSession {
        let mut session = AgentSession::new(now(), Some(self.folder.clone()));
        session.head = git_head(&self.folder);
        session.bank_folder = self.bank.folder().map(Path::to_owned);
        self.update(|before| (self.starts_anew || before.is_none()).then(|| session.clone()));
        session
    }

    /// Changes the stored state of the session. That it cannot be stored, such as in a home that is read-only, is logged: the answer is
    /// right without it.
    fn update(&self, change: impl FnOnce(Option<AgentSession>) -> Option<AgentSession>) {
        let Some(sessions) = &self.sessions else { return };
        let changed =
            |before: Option<Vec<u8>>| change(before.as_deref().and_then(AgentSession::parse))?.bytes();
        let updated = sessions.update(&self.name, changed).map_err(anyhow::Error::from);
        self.logged("the state of the session cannot be stored", updated);
    }

    /// The result; an error is logged.
    fn logged<T>(&self, what: &str, result: anyhow::Result<T>) -> Option<T> {
        result.map_err(|error| log_error(&format!("{what}: {error:#}"))).ok()
    }
}
