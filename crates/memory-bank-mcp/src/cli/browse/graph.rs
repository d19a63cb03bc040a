//! `graph search` and `graph open`: nodes of the knowledge graph with their facts and relations.

use serde_json::{Value, json};

use super::arguments::{GraphCommand, ended_note};
use super::bank::CommandBank;
use super::command_output::CommandOutput;
use super::screen::{Screen, Style};
use super::versions::ABOUT_CHARS;

/// Runs one command.
pub(super) async fn run(
    bank: &CommandBank,
    command: &GraphCommand,
    screen: Screen,
) -> anyhow::Result<CommandOutput> {
    match command {
        GraphCommand::Search { query, limit, facts, .. } => {
            let arguments = facts.add_to(json!({"query": query, "limit": limit}));
            search(bank, query, arguments, screen).await
        }
        GraphCommand::Open { nodes, depth, facts, .. } => {
            let arguments = json!({"nodes": nodes, "depth": depth, "maxChars": u32::MAX});
            open(bank, facts.add_to(arguments), screen).await
        }
    }
}

async fn search(
    bank: &CommandBank,
    query: &str,
    arguments: Value,
    mut screen: Screen,
) -> anyhow::Result<CommandOutput> {
    let data = bank.search("graph_search", arguments).await?;
    let entities = list(&data, "entities");
    let observations = list(&data, "observations");
    if entities.is_empty() && observations.is_empty() {
        let hint = text(&data, "importable");
        let hint = if hint.is_empty() { String::new() } else { format!("; {hint}") };
        let ended = ended_note(&data, "fact has", "facts have");
        let ended = ended.map(|ended| format!("; {ended}")).unwrap_or_default();
        let past = past_notes(&data).map(|note| format!("; {note}")).collect::<String>();
        return Ok(CommandOutput::not_found(
            data.clone(),
            format!("nothing in the graph is found for `{query}`{hint}{ended}{past}"),
        ));
    }
    for entity in &entities {
        head(&mut screen, entity);
        for fact in list(entity, "observations") {
            put_fact(&mut screen, fact, &observations);
        }
        let shown = list(entity, "observations").len();
        let left =
            number(entity, "observationCount").saturating_sub(u64::try_from(shown).unwrap_or(u64::MAX));
        if left > 0 && shown > 0 {
            screen.line(Style::Dim, &format!("    and {left} more"));
        }
    }
    let of_others: Vec<&Value> = observations
        .iter()
        .copied()
        .filter(|fact| !entities.iter().any(|entity| text(entity, "id") == text(fact, "entityId")))
        .collect();
    if !of_others.is_empty() {
        screen.title("Facts");
        for fact in of_others {
            screen
                .put(Style::Mark, "  • ")
                .put(Style::Name, text(fact, "entityName"))
                .put(Style::Plain, "  ");
            screen.put(Style::Plain, text(fact, "text"));
            screen.line(Style::Dim, &bounds(fact, &observations));
        }
    }
    let relations = list(&data, "relations");
    if !relations.is_empty() {
        screen.title("Relations");
        relations.iter().for_each(|relation| put_relation(&mut screen, relation));
    }
    left_out(&mut screen, &data);
    Ok(CommandOutput::new(data, screen))
}

async fn open(bank: &CommandBank, arguments: Value, mut screen: Screen) -> anyhow::Result<CommandOutput> {
    let lists = ["entities", "observations", "relations"];
    let data = bank.call_all("graph_open_nodes", arguments, &lists).await?;
    let (entities, observations, relations) =
        (list(&data, "entities"), list(&data, "observations"), list(&data, "relations"));
    if entities.is_empty() && !list(&data, "missing").is_empty() {
        let notes: Vec<String> = past_notes(&data).collect();
        return Ok(CommandOutput::not_found(data.clone(), notes.join("; ")));
    }
    for entity in &entities {
        head(&mut screen, entity);
        let id = text(entity, "id");
        for fact in observations.iter().filter(|fact| text(fact, "entityId") == id) {
            put_fact(&mut screen, fact, &observations);
        }
        if let Some(Value::Object(attrs)) = entity.get("attrs") {
            for (name, value) in attrs {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                screen.put(Style::Dim, "    ").put(Style::Dim, name).put(Style::Dim, ": ");
                screen.line(Style::Plain, &value);
            }
        }
        for relation in relations.iter().filter(|relation| text(relation, "fromId") == id) {
            screen
                .put(Style::Mark, "  → ")
                .put(Style::Dim, text(relation, "relationType"))
                .put(Style::Plain, " ");
            screen.line(Style::Name, text(relation, "to"));
        }
        for relation in relations.iter().filter(|relation| text(relation, "toId") == id) {
            screen
                .put(Style::Mark, "  ← ")
                .put(Style::Dim, text(relation, "relationType"))
                .put(Style::Plain, " ");
            screen.line(Style::Name, text(relation, "from"));
        }
    }
    left_out(&mut screen, &data);
    Ok(CommandOutput::new(data, screen))
}

/// The name of a node, its type and its id.
fn head(screen: &mut Screen, entity: &Value) {
    screen.gap().put(Style::Name, text(entity, "name")).put(Style::Plain, "  ");
    screen.put(Style::Date, text(entity, "entityType")).put(Style::Plain, "  ");
    let mut counts = Vec::new();
    for (name, one, many) in
        [("observationCount", "fact", "facts"), ("relationCount", "relation", "relations")]
    {
        match number(entity, name) {
            0 => {}
            1 => counts.push(format!("1 {one}")),
            count => counts.push(format!("{count} {many}")),
        }
    }
    screen.put(Style::Dim, &counts.join(", "));
    if !counts.is_empty() {
        screen.put(Style::Plain, "  ");
    }
    screen.line(Style::Dim, text(entity, "id"));
}

fn put_fact(screen: &mut Screen, fact: &Value, all: &[&Value]) {
    let day: String = text(fact, "timestamp").chars().take(10).collect();
    screen.put(Style::Mark, "  • ");
    if !day.is_empty() {
        screen.put(Style::Date, &day).put(Style::Plain, "  ");
    }
    let mut lines = text(fact, "text").lines();
    screen.put(Style::Plain, lines.next().unwrap_or_default());
    screen.line(Style::Dim, &bounds(fact, all));
    lines.for_each(|line| {
        screen.put(Style::Plain, "    ").line(Style::Plain, line);
    });
}

/// From when until when a fact holds, and what replaced it, which is named by its text if it is among `all`.
fn bounds(fact: &Value, all: &[&Value]) -> String {
    let of = |word: &str, name: &str| {
        let time = text(fact, name);
        (!time.is_empty()).then(|| format!("{word} {}", day_or_minute(time)))
    };
    let mut parts = vec![of("from", "validFrom")];
    let ended = text(fact, "endedAt");
    let replaced_by = text(fact, "supersededBy");
    if ended.is_empty() {
        parts.extend([of("until", "validUntil"), of("expires", "expiresAt")]);
    } else if replaced_by.is_empty() {
        // A day is included, so `endedAt` is the next one; the day that was given is shown.
        let given = ["validUntil", "expiresAt"].map(|name| text(fact, name)).into_iter();
        let first = given.filter(|time| !time.is_empty()).min_by_key(|time| time.get(..10).unwrap_or(time));
        parts.push(Some(format!("ended {}", day_or_minute(first.unwrap_or(ended)))));
    } else {
        let successor = all.iter().find(|one| text(one, "id") == replaced_by);
        let successor = successor.map_or(replaced_by, |one| text(one, "text"));
        let successor: String = successor.chars().take(ABOUT_CHARS).collect();
        parts.push(Some(format!("ended {}", ended.get(..10).unwrap_or(ended))));
        parts.push(Some(format!("replaced by {}", successor.replace('\n', " "))));
    }
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { String::new() } else { format!("  {}", parts.join(", ")) }
}

/// A day as it is, a time up to its minute.
fn day_or_minute(time: &str) -> String {
    match time.get(..16) {
        Some(minute) => format!("{minute}Z"),
        None => time.to_owned(),
    }
}

fn put_relation(screen: &mut Screen, relation: &Value) {
    screen.put(Style::Mark, "  • ").put(Style::Name, text(relation, "from")).put(Style::Plain, " ");
    screen.put(Style::Dim, text(relation, "relationType")).put(Style::Mark, " → ");
    screen.line(Style::Name, text(relation, "to"));
}

/// Notes the nodes that did not exist at a time, and the parts whose former state is not known.
fn past_notes(data: &Value) -> impl Iterator<Item = String> {
    let missing: Vec<&str> = list(data, "missing").into_iter().filter_map(Value::as_str).collect();
    let missing =
        (!missing.is_empty()).then(|| format!("not in the graph at that time: {}", missing.join(", ")));
    let note = Some(text(data, "asOfNote").to_owned()).filter(|note| !note.is_empty());
    missing.into_iter().chain(note)
}

/// Notes the number of items that are not shown, and the parts whose former state is not known.
fn left_out(screen: &mut Screen, data: &Value) {
    for note in past_notes(data) {
        screen.gap().line(Style::Alert, &note);
    }
    if let Some(ended) = ended_note(data, "fact has", "facts have") {
        screen.gap().line(Style::Dim, &ended);
    }
    let remaining = data.get("remaining").and_then(Value::as_object);
    let left: Vec<String> =
        remaining.into_iter().flatten().map(|(name, count)| format!("{count} {name}")).collect();
    if !left.is_empty() {
        screen.gap().line(Style::Dim, &format!("not shown: {}", left.join(", ")));
    } else if data.get("truncated").and_then(Value::as_bool) == Some(true) {
        screen.gap().line(Style::Dim, "there is more: give more words, or a larger number with `-n`");
    }
}

fn list<'v>(data: &'v Value, name: &str) -> Vec<&'v Value> {
    data.get(name).and_then(Value::as_array).into_iter().flatten().collect()
}

fn text<'v>(data: &'v Value, name: &str) -> &'v str {
    data.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn number(data: &Value, name: &str) -> u64 {
    data.get(name).and_then(Value::as_u64).unwrap_or_default()
}
