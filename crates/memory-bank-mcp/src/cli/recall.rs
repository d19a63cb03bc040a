//! `bench recall`: measures how many answers to given questions the search finds, through this program over standard
//! input and output, like a client. It changes nothing and must not know the ranking.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use clap::{Args, Subcommand};
use memory_bank_core::compact_sort::CompactSort as _;
use memory_bank_core::document::estimated_tokens;
use serde::Deserialize;
use serde_json::{Value, json};

use super::options::DEFAULT_FOLDER;
use super::output::{Output, Table};

/// The file with the questions about a bank.
const QUESTIONS_FILE: &str = "questions.json";
/// The largest such file, in bytes.
const QUESTIONS_BYTES: u64 = 64 * 1024 * 1024;
/// The most banks of one measurement.
const MAX_BANKS: usize = 20_000;
/// Time-out of a reply.
const REPLY_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest time without progress while vectors are made.
const STALL_TIMEOUT: Duration = Duration::from_secs(180);
/// The ranks up to which recall is reported.
const RANKS: [usize; 4] = [1, 3, 5, 10];

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
    /// The rank of each part of the answer, from 1.
    ranks: Vec<Option<usize>>,
    took: Duration,
    characters: usize,
    tokens: usize,
    /// Whether the search did not use the configured model, because it was late.
    is_without_meaning: bool,
}

/// Runs the command.
pub(crate) fn run(arguments: &RecallArguments, output: Output) -> anyhow::Result<()> {
    let banks = banks(&arguments.dir)?;
    let mut measured = Vec::new();
    for bank in &banks {
        measure_bank(bank, arguments.results, &mut measured)
            .with_context(|| format!("`{}`", bank.display()))?;
    }
    ensure!(!measured.is_empty(), "`{}` has no questions", arguments.dir.display());
    let figures = Figures::new(usize::from(arguments.results), banks.len(), &measured);
    output.show(&figures.json(arguments.missed), &figures.text(arguments.missed))
}

/// The folders with questions: this one, or those in it.
fn banks(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if dir.join(QUESTIONS_FILE).is_file() {
        return Ok(vec![dir.to_owned()]);
    }
    let entries = fs_err::read_dir(dir)?.collect::<Result<Vec<_>, _>>()?;
    let mut banks: Vec<PathBuf> = entries
        .into_iter()
        .map(|entry| entry.path())
        .filter(|path| path.join(QUESTIONS_FILE).is_file())
        .take(MAX_BANKS)
        .collect();
    banks.sort();
    ensure!(
        !banks.is_empty(),
        "neither `{}` nor a folder in it has a `{QUESTIONS_FILE}`; docs/recall.md shows its form",
        dir.display()
    );
    Ok(banks)
}

fn measure_bank(bank: &Path, results: u16, measured: &mut Vec<Measured>) -> anyhow::Result<()> {
    let file = bank.join(QUESTIONS_FILE);
    ensure!(fs_err::metadata(&file)?.len() <= QUESTIONS_BYTES, "`{QUESTIONS_FILE}` is too large");
    let questions: Vec<Question> = serde_json::from_str(&fs_err::read_to_string(&file)?)
        .with_context(|| format!("`{QUESTIONS_FILE}` is not in the form that docs/recall.md shows"))?;
    ensure!(bank.join(DEFAULT_FOLDER).is_dir(), "there is no folder `{DEFAULT_FOLDER}` with documents");
    let mut server = Server::start(bank)?;
    // The first search builds the index.
    server.await_vectors()?;
    for question in questions {
        let expected =
            question.answers.iter().map(|answer| answer.lines(bank)).collect::<anyhow::Result<Vec<_>>>();
        let expected = expected.with_context(|| format!("the answer of `{}`", question.question))?;
        ensure!(!expected.is_empty(), "`{}` has no answer", question.question);
        let started = Instant::now();
        let text = server.search(&question.question, results)?;
        let took = started.elapsed();
        let reply: Value = serde_json::from_str(&text).context("a reply that is not JSON")?;
        let hits = reply.get("results").and_then(Value::as_array).context("a reply without `results`")?;
        let ranks = expected.iter().map(|(file, lines)| rank(hits, file, lines)).collect();
        let (characters, tokens) = (text.chars().count(), estimated_tokens(&text));
        let meaning = reply.pointer("/metadata/meaning").and_then(Value::as_str);
        let is_without_meaning = meaning.is_some_and(|meaning| meaning.starts_with("not used"));
        let question = question.question;
        measured.push(Measured { question, ranks, took, characters, tokens, is_without_meaning });
    }
    server.end()
}

/// The rank of the first hit on one of these lines of the document, from 1.
fn rank(hits: &[Value], file: &str, lines: &[usize]) -> Option<usize> {
    let is_expected = |hit: &Value| {
        let line = hit.get("line").and_then(Value::as_u64).and_then(|line| usize::try_from(line).ok());
        hit.get("file").and_then(Value::as_str) == Some(file)
            && line.is_some_and(|line| lines.contains(&line))
    };
    hits.iter().position(is_expected).map(|at| at + 1)
}

impl Answer {
    /// The document and the lines of this part.
    fn lines(&self, bank: &Path) -> anyhow::Result<(String, Vec<usize>)> {
        let lines = match (self.line, &self.text) {
            (Some(line), None) => vec![line],
            (None, Some(text)) => {
                let document = fs_err::read_to_string(bank.join(DEFAULT_FOLDER).join(&self.file))?;
                let matching = document.split('\n').zip(1..).filter(|(line, _)| line.contains(text.as_str()));
                matching.map(|(_, number)| number).collect()
            }
            _ => bail!("an answer takes either `line` or `text`"),
        };
        ensure!(!lines.is_empty(), "no line of `{}` contains the text", self.file);
        Ok((self.file.clone(), lines))
    }
}

/// The figures of all questions.
struct Figures {
    banks: usize,
    questions: usize,
    /// The share of found answers up to each rank.
    recall: Vec<(usize, f64)>,
    mean_reciprocal_rank: f64,
    median_ms: f64,
    p95_ms: f64,
    characters: f64,
    tokens: f64,
    /// Searches that did not use the configured model.
    without_meaning: usize,
    /// The questions with missing answers.
    missed: Vec<String>,
}

impl Figures {
    fn new(results: usize, banks: usize, measured: &[Measured]) -> Self {
        let count = to_f64(measured.len());
        let mean = |of: &dyn Fn(&Measured) -> f64| measured.iter().map(of).sum::<f64>() / count;
        let recall_at = |max_rank: usize| {
            mean(&|question| {
                let found = question.ranks.iter().flatten().filter(|rank| **rank <= max_rank).count();
                to_f64(found) / to_f64(question.ranks.len())
            })
        };
        let ranks = RANKS.into_iter().filter(|rank| *rank < results).chain([results]);
        let mut latencies: Vec<f64> =
            measured.iter().map(|question| question.took.as_secs_f64() * 1000.0).collect();
        latencies.compact_sort_by(f64::total_cmp);
        let percentile = |share: usize| {
            let last = latencies.len().saturating_sub(1);
            latencies.get((latencies.len() * share / 100).min(last)).copied().unwrap_or_default()
        };
        let is_missed = |question: &&Measured| question.ranks.iter().any(Option::is_none);
        Self {
            banks,
            questions: measured.len(),
            recall: ranks.map(|rank| (rank, recall_at(rank))).collect(),
            mean_reciprocal_rank: mean(&|question| {
                question.ranks.iter().flatten().min().map_or(0.0, |first| 1.0 / to_f64(*first))
            }),
            median_ms: percentile(50),
            p95_ms: percentile(95),
            characters: mean(&|question| to_f64(question.characters)),
            tokens: mean(&|question| to_f64(question.tokens)),
            without_meaning: measured.iter().filter(|question| question.is_without_meaning).count(),
            missed: measured.iter().filter(is_missed).map(|question| question.question.clone()).collect(),
        }
    }

    fn json(&self, lists_missed: bool) -> Value {
        let recall = self.recall.iter().map(|(rank, share)| (rank.to_string(), json!(share)));
        let mut data = json!({
            "banks": self.banks,
            "questions": self.questions,
            "recall": recall.collect::<serde_json::Map<_, _>>(),
            "mrr": self.mean_reciprocal_rank,
            "latencyMs": {"median": self.median_ms, "p95": self.p95_ms},
            "replyCharacters": self.characters,
            "replyTokensAtMost": self.tokens,
            "withoutMeaning": self.without_meaning,
        });
        if lists_missed && let Some(object) = data.as_object_mut() {
            object.insert("missed".into(), json!(self.missed));
        }
        data
    }

    fn text(&self, lists_missed: bool) -> String {
        let mut table = Table::new(&["MEASURE", "VALUE"]);
        let mut row = |name: String, value: String| table.row(vec![name, value]);
        row("banks".into(), self.banks.to_string());
        row("questions".into(), self.questions.to_string());
        for (rank, share) in &self.recall {
            row(format!("recall@{rank}"), format!("{:.1} %", share * 100.0));
        }
        row("MRR".into(), format!("{:.3}", self.mean_reciprocal_rank));
        row("latency, median".into(), format!("{:.2} ms", self.median_ms));
        row("latency, p95".into(), format!("{:.2} ms", self.p95_ms));
        row("characters of a reply".into(), format!("{:.0}", self.characters));
        row("tokens of a reply, at most".into(), format!("{:.0}", self.tokens));
        if self.without_meaning > 0 {
            row("searched without the model".into(), self.without_meaning.to_string());
        }
        let mut text = table.to_string();
        if lists_missed {
            text.push_str(&format!("\nQuestions with missing answers:\n{}\n", self.missed.join("\n")));
        }
        text
    }
}

/// A process of this program that serves one bank.
struct Server {
    child: Child,
    requests: Option<ChildStdin>,
    replies: Receiver<std::io::Result<String>>,
    last_id: u64,
}

impl Server {
    fn start(bank: &Path) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("this program cannot be found")?;
        let mut child = Command::new(program)
            // Existing vectors are read; none is written beside the documents.
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
        let mut server = Self { child, requests, replies, last_id: 0 };
        let client = json!({"name": "bench-recall", "version": env!("CARGO_PKG_VERSION")});
        let params = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client});
        server.call("initialize", &params)?;
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

    /// With a model, repeats a search until each passage has a vector.
    fn await_vectors(&mut self) -> anyhow::Result<()> {
        let (mut last, mut last_progress) = (String::new(), Instant::now());
        loop {
            let reply: Value =
                serde_json::from_str(&self.search("the", 1)?).context("a reply that is not JSON")?;
            let meaning = reply.pointer("/metadata/meaning").and_then(Value::as_str);
            let Some(meaning) = meaning.filter(|meaning| *meaning != "used") else { return Ok(()) };
            if meaning != last {
                (last, last_progress) = (meaning.to_owned(), Instant::now());
            }
            ensure!(last_progress.elapsed() < STALL_TIMEOUT, "search by meaning does not work: {meaning}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn call(&mut self, method: &str, params: &Value) -> anyhow::Result<Value> {
        self.last_id += 1;
        self.send(&json!({"jsonrpc": "2.0", "id": self.last_id, "method": method, "params": params}))?;
        let deadline = Instant::now() + REPLY_TIMEOUT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.replies.recv_timeout(left).context("the server does not answer")??;
            let mut message: Value =
                serde_json::from_str(&line).context("the server writes a line that is not JSON")?;
            if message.get("id") != Some(&json!(self.last_id)) {
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
        writeln!(requests, "{message}").and_then(|()| requests.flush()).context("the server has ended")
    }

    /// Closes the server, like a client that disconnects.
    fn end(mut self) -> anyhow::Result<()> {
        drop(self.requests.take());
        self.child.wait().map(drop).context("the server cannot be waited for")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let has_ended = matches!(self.child.try_wait(), Ok(Some(_)));
        if !has_ended && self.requests.is_some() {
            // The server writes nothing, so it can be killed.
            let _killed = self.child.kill();
            let _waited = self.child.wait();
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn to_f64(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_found_in_the_folder_and_one_level_below() {
        let temp = tempfile::tempdir().unwrap();
        assert!(banks(temp.path()).unwrap_err().to_string().contains("questions.json"));
        for name in ["b", "a", "empty"] {
            fs_err::create_dir(temp.path().join(name)).unwrap();
        }
        for name in ["b", "a"] {
            fs_err::write(temp.path().join(name).join(QUESTIONS_FILE), "[]").unwrap();
        }
        assert_eq!(banks(temp.path()).unwrap(), [temp.path().join("a"), temp.path().join("b")]);
        fs_err::write(temp.path().join(QUESTIONS_FILE), "[]").unwrap();
        assert_eq!(banks(temp.path()).unwrap(), [temp.path()]);
    }

    #[test]
    fn an_answer_is_a_line_or_a_text_that_must_occur() {
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
        let measured = |ranks: &[Option<usize>], millis| Measured {
            question: "q".to_owned(),
            ranks: ranks.to_vec(),
            took: Duration::from_millis(millis),
            characters: 100,
            tokens: 30,
            is_without_meaning: false,
        };
        let figures = Figures::new(10, 1, &[measured(&[Some(1), None], 2), measured(&[Some(4)], 1)]);
        let (data, text) = (figures.json(true), figures.text(true));
        assert_eq!(data.pointer("/recall/1").and_then(Value::as_f64), Some(0.25));
        assert_eq!(data.pointer("/recall/10").and_then(Value::as_f64), Some(0.75));
        assert_eq!(data.get("mrr").and_then(Value::as_f64), Some(0.625));
        assert_eq!(data.pointer("/missed/0").and_then(Value::as_str), Some("q"));
        assert!(text.contains("recall@5") && text.contains("75.0 %"), "{text}");
    }
}
