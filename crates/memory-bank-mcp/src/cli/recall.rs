//! `bench recall`: measures how many answers to given questions the search finds, through this program over standard
//! input and output, like a client. It changes nothing and must not know the ranking.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use clap::{Args, Subcommand};
use memory_bank_core::document::estimated_tokens;
use serde::Deserialize;
use serde_json::{Value, json};

use super::options::DEFAULT_FOLDER;
use super::output::{Output, Table};

/// The file with the questions about a bank.
const QUESTIONS: &str = "questions.json";
/// Its largest size in bytes, and the largest number of banks.
const QUESTIONS_BYTES: u64 = 64 * 1024 * 1024;
const BANKS: usize = 20_000;
/// Time-out of a reply.
const REPLY_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest time without progress while vectors are made.
const STEP_TIMEOUT: Duration = Duration::from_secs(180);
/// The ranks up to which recall is reported.
const PLACES: [usize; 4] = [1, 3, 5, 10];

/// Commands for measurements.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum BenchCommand {
    /// Measure recall, latency and reply length of `search_memory_bank` for given questions.
    Recall(RecallArguments),
}

/// Arguments of `bench recall`.
#[derive(Debug, Clone, Args)]
pub(crate) struct RecallArguments {
    /// A folder with `questions.json` and the bank's folder (`memory-bank`), or a folder of such folders.
    dir: PathBuf,
    /// How many results each search requests.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1000))]
    results: u16,
    /// Also list the questions with missing answers.
    #[arg(long)]
    missed: bool,
}

/// A question in the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    question: String,
    answers: Vec<Answer>,
}

/// A part of the answer: a line of a document, by its number or by a text in it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    file: String,
    line: Option<usize>,
    text: Option<String>,
}

/// The results of one question.
struct Measured {
    question: String,
    /// For each part of the answer its rank, from 1.
    places: Vec<Option<usize>>,
    took: Duration,
    characters: usize,
    tokens: usize,
    /// Whether the model did not answer in time, where one is set.
    is_without_meaning: bool,
}

/// Runs the command.
pub(crate) fn run(wanted: &RecallArguments, output: Output) -> anyhow::Result<()> {
    let banks = banks(&wanted.dir)?;
    let mut measured = Vec::new();
    for bank in &banks {
        ask_all(bank, wanted.results, &mut measured).with_context(|| format!("`{}`", bank.display()))?;
    }
    ensure!(!measured.is_empty(), "`{}` has no questions", wanted.dir.display());
    let (data, text) = report(wanted, banks.len(), &mut measured);
    output.show(&data, &text)
}

/// The folders with questions: this one, or those in it.
fn banks(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if dir.join(QUESTIONS).is_file() {
        return Ok(vec![dir.to_owned()]);
    }
    let entries = fs_err::read_dir(dir)?.collect::<Result<Vec<_>, _>>()?;
    let mut banks: Vec<PathBuf> = entries
        .into_iter()
        .map(|entry| entry.path())
        .filter(|path| path.join(QUESTIONS).is_file())
        .take(BANKS)
        .collect();
    banks.sort();
    ensure!(
        !banks.is_empty(),
        "neither `{}` nor a folder in it has a `{QUESTIONS}`; docs/recall.md shows its form",
        dir.display()
    );
    Ok(banks)
}

fn ask_all(bank: &Path, results: u16, measured: &mut Vec<Measured>) -> anyhow::Result<()> {
    let file = bank.join(QUESTIONS);
    ensure!(fs_err::metadata(&file)?.len() <= QUESTIONS_BYTES, "`{QUESTIONS}` is too large");
    let questions: Vec<Question> = serde_json::from_str(&fs_err::read_to_string(&file)?)
        .with_context(|| format!("`{QUESTIONS}` is not in the form that docs/recall.md shows"))?;
    ensure!(bank.join(DEFAULT_FOLDER).is_dir(), "there is no folder `{DEFAULT_FOLDER}` with documents");
    let mut server = Server::start(bank)?;
    // The first search builds the index.
    server.await_vectors()?;
    for question in questions {
        let wanted =
            question.answers.iter().map(|answer| answer.lines(bank)).collect::<anyhow::Result<Vec<_>>>();
        let wanted = wanted.with_context(|| format!("the answer of `{}`", question.question))?;
        ensure!(!wanted.is_empty(), "`{}` has no answer", question.question);
        let began = Instant::now();
        let reply = server.search(&question.question, results)?;
        let took = began.elapsed();
        let found: Value = serde_json::from_str(&reply).context("a reply that is not JSON")?;
        let hits = found.get("results").and_then(Value::as_array).context("a reply without `results`")?;
        let place = |(file, lines): &(String, Vec<usize>)| {
            let is = |hit: &Value| {
                let line =
                    hit.get("line").and_then(Value::as_u64).and_then(|line| usize::try_from(line).ok());
                hit.get("file").and_then(Value::as_str) == Some(file)
                    && line.is_some_and(|line| lines.contains(&line))
            };
            hits.iter().position(is).map(|at| at + 1)
        };
        let places = wanted.iter().map(place).collect();
        let (characters, tokens) = (reply.chars().count(), estimated_tokens(&reply));
        let meaning = found.pointer("/metadata/meaning").and_then(Value::as_str);
        let is_without_meaning = meaning.is_some_and(|meaning| meaning.starts_with("not used"));
        let question = question.question;
        measured.push(Measured { question, places, took, characters, tokens, is_without_meaning });
    }
    server.end()
}

impl Answer {
    /// The document and the lines of this part.
    fn lines(&self, bank: &Path) -> anyhow::Result<(String, Vec<usize>)> {
        let lines = match (self.line, &self.text) {
            (Some(line), None) => vec![line],
            (None, Some(text)) => {
                let document = fs_err::read_to_string(bank.join(DEFAULT_FOLDER).join(&self.file))?;
                let holding = document.split('\n').zip(1..).filter(|(line, _)| line.contains(text.as_str()));
                holding.map(|(_, number)| number).collect()
            }
            _ => bail!("an answer has either `line` or `text`"),
        };
        ensure!(!lines.is_empty(), "no line of `{}` holds the text", self.file);
        Ok((self.file.clone(), lines))
    }
}

fn report(wanted: &RecallArguments, banks: usize, measured: &mut [Measured]) -> (Value, String) {
    let count = real(measured.len());
    let mean = |of: &dyn Fn(&Measured) -> f64| measured.iter().map(of).sum::<f64>() / count;
    let recall_at = |most: usize| {
        mean(&|one| {
            let found = one.places.iter().flatten().filter(|place| **place <= most).count();
            real(found) / real(one.places.len())
        })
    };
    let places: Vec<usize> = PLACES
        .into_iter()
        .filter(|place| *place < usize::from(wanted.results))
        .chain([usize::from(wanted.results)])
        .collect();
    let recall: Vec<(usize, f64)> = places.into_iter().map(|place| (place, recall_at(place))).collect();
    let rank = mean(&|one| one.places.iter().flatten().min().map_or(0.0, |first| 1.0 / real(*first)));
    let characters = mean(&|one| real(one.characters));
    let tokens = mean(&|one| real(one.tokens));
    let late = measured.iter().filter(|one| one.is_without_meaning).count();
    let missed: Vec<String> = measured
        .iter()
        .filter(|one| one.places.iter().any(Option::is_none))
        .map(|one| one.question.clone())
        .collect();
    measured.sort_by_key(|one| one.took);
    let at = |share: usize| {
        let last = measured.len().saturating_sub(1);
        measured
            .get((measured.len() * share / 100).min(last))
            .map_or(0.0, |one| one.took.as_secs_f64() * 1000.0)
    };
    let (median, p95) = (at(50), at(95));
    let mut data = json!({
        "banks": banks,
        "questions": measured.len(),
        "recall": recall.iter().map(|(place, share)| (place.to_string(), json!(share))).collect::<serde_json::Map<_, _>>(),
        "mrr": rank,
        "latencyMs": {"median": median, "p95": p95},
        "replyCharacters": characters,
        "replyTokensAtMost": tokens,
        "withoutMeaning": late,
    });
    let mut table = Table::new(&["MEASURE", "VALUE"]);
    let mut row = |name: String, value: String| table.row(vec![name, value]);
    row("banks".into(), banks.to_string());
    row("questions".into(), measured.len().to_string());
    for (place, share) in &recall {
        row(format!("recall@{place}"), format!("{:.1} %", share * 100.0));
    }
    row("MRR".into(), format!("{rank:.3}"));
    row("latency, median".into(), format!("{median:.2} ms"));
    row("latency, p95".into(), format!("{p95:.2} ms"));
    row("characters of a reply".into(), format!("{characters:.0}"));
    row("tokens of a reply, at most".into(), format!("{tokens:.0}"));
    if late > 0 {
        row("searched without the model".into(), late.to_string());
    }
    let mut text = table.to_string();
    if wanted.missed {
        text.push_str(&format!("\nNot found in whole:\n{}\n", missed.join("\n")));
        if let Some(object) = data.as_object_mut() {
            object.insert("missed".into(), json!(missed));
        }
    }
    (data, text)
}

/// A process of this program that serves one bank.
struct Server {
    child: Child,
    requests: Option<ChildStdin>,
    replies: Receiver<std::io::Result<String>>,
    last: u64,
}

impl Server {
    fn start(bank: &Path) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("this program cannot be found")?;
        let mut child = Command::new(program)
            // Vectors that are there are read; none is written beside the documents.
            .args(["--transport", "stdio", "--read-only", "--path"])
            .arg(bank)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("this program cannot be started as a server")?;
        let requests = child.stdin.take();
        let out = child.stdout.take().context("the server has no output")?;
        let (sender, replies) = sync_channel(16);
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines() {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut server = Self { child, requests, replies, last: 0 };
        let client = json!({"name": "bench-recall", "version": env!("CARGO_PKG_VERSION")});
        let hello = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client});
        server.call("initialize", &hello)?;
        server.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))?;
        Ok(server)
    }

    /// The text of a reply of `search_memory_bank`.
    fn search(&mut self, query: &str, results: u16) -> anyhow::Result<String> {
        let arguments = json!({"query": query, "maxResults": results});
        let reply =
            self.call("tools/call", &json!({"name": "search_memory_bank", "arguments": arguments}))?;
        let text =
            reply.pointer("/content/0/text").and_then(Value::as_str).context("a reply without a text")?;
        ensure!(reply.get("isError") != Some(&Value::Bool(true)), "the search failed: {text}");
        Ok(text.to_owned())
    }

    /// Searches until each passage has a vector, where a model is set.
    fn await_vectors(&mut self) -> anyhow::Result<()> {
        let (mut last, mut since) = (String::new(), Instant::now());
        loop {
            let reply: Value =
                serde_json::from_str(&self.search("the", 1)?).context("a reply that is not JSON")?;
            let meaning = reply.pointer("/metadata/meaning").and_then(Value::as_str);
            let Some(meaning) = meaning.filter(|meaning| *meaning != "used") else { return Ok(()) };
            if meaning != last {
                (last, since) = (meaning.to_owned(), Instant::now());
            }
            ensure!(since.elapsed() < STEP_TIMEOUT, "search by meaning does not work: {meaning}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn call(&mut self, method: &str, params: &Value) -> anyhow::Result<Value> {
        self.last += 1;
        self.send(&json!({"jsonrpc": "2.0", "id": self.last, "method": method, "params": params}))?;
        let deadline = Instant::now() + REPLY_TIMEOUT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.replies.recv_timeout(left).context("the server does not answer")??;
            let mut message: Value =
                serde_json::from_str(&line).context("the server writes what is not JSON")?;
            if message.get("id") != Some(&json!(self.last)) {
                continue;
            }
            if let Some(error) = message.get("error") {
                bail!("the server refuses `{method}`: {error}");
            }
            return Ok(message.get_mut("result").map(Value::take).unwrap_or_default());
        }
    }

    fn send(&mut self, message: &Value) -> anyhow::Result<()> {
        let requests = self.requests.as_mut().context("the server was ended")?;
        writeln!(requests, "{message}").and_then(|()| requests.flush()).context("the server is gone")
    }

    /// Closes the server, like a client that disconnects.
    fn end(mut self) -> anyhow::Result<()> {
        drop(self.requests.take());
        self.child.wait().map(drop).context("the server cannot be waited for")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let is_gone = matches!(self.child.try_wait(), Ok(Some(_)));
        if !is_gone && self.requests.is_some() {
            // It did not end by itself; nothing is written here, so it can be killed.
            let _gone = self.child.kill();
            let _waited = self.child.wait();
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn real(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_looked_for_here_and_one_folder_below() {
        let temp = tempfile::tempdir().unwrap();
        assert!(banks(temp.path()).unwrap_err().to_string().contains("questions.json"));
        for name in ["b", "a", "empty"] {
            fs_err::create_dir(temp.path().join(name)).unwrap();
        }
        for name in ["b", "a"] {
            fs_err::write(temp.path().join(name).join(QUESTIONS), "[]").unwrap();
        }
        assert_eq!(banks(temp.path()).unwrap(), [temp.path().join("a"), temp.path().join("b")]);
        fs_err::write(temp.path().join(QUESTIONS), "[]").unwrap();
        assert_eq!(banks(temp.path()).unwrap(), [temp.path()]);
    }

    #[test]
    fn an_answer_is_a_line_or_a_text_and_must_stand_there() {
        let temp = tempfile::tempdir().unwrap();
        fs_err::create_dir(temp.path().join(DEFAULT_FOLDER)).unwrap();
        fs_err::write(temp.path().join(DEFAULT_FOLDER).join("a.md"), "# A\n\n- one fact\n- one fact\n")
            .unwrap();
        let answer =
            |line, text: Option<&str>| Answer { file: "a.md".into(), line, text: text.map(str::to_owned) };
        assert_eq!(answer(Some(3), None).lines(temp.path()).unwrap().1, [3]);
        assert_eq!(answer(None, Some("one fact")).lines(temp.path()).unwrap().1, [3, 4]);
        assert!(answer(None, Some("no fact")).lines(temp.path()).is_err());
        assert!(answer(None, None).lines(temp.path()).is_err());
    }

    #[test]
    fn the_figures_are_means_over_questions() {
        let measured = |places: &[Option<usize>], millis| Measured {
            question: "q".to_owned(),
            places: places.to_vec(),
            took: Duration::from_millis(millis),
            characters: 100,
            tokens: 30,
            is_without_meaning: false,
        };
        let wanted = RecallArguments { dir: PathBuf::new(), results: 10, missed: true };
        let mut all = [measured(&[Some(1), None], 2), measured(&[Some(4)], 1)];
        let (data, text) = report(&wanted, 1, &mut all);
        assert_eq!(data.pointer("/recall/1").and_then(Value::as_f64), Some(0.25));
        assert_eq!(data.pointer("/recall/10").and_then(Value::as_f64), Some(0.75));
        assert_eq!(data.get("mrr").and_then(Value::as_f64), Some(0.625));
        assert_eq!(data.pointer("/missed/0").and_then(Value::as_str), Some("q"));
        assert!(text.contains("recall@5") && text.contains("75.0 %"), "{text}");
    }
}
