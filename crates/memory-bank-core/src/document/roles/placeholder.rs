//! Lines without content: rows of a template, brackets to fill in, "TBD", "none".

use std::borrow::Cow;

use super::normal::{is_cjk, words};
use crate::document::date::date_anywhere;

/// Whether a line of a document has no content of its own: a row of a template (`[Task 1]`, `Decision 1 [Date]`,
/// `- **Date:** [Date]`), a lone bullet, a comment, or a word for nothing (`TBD`, `N/A`, `none yet`).
#[must_use]
pub fn is_placeholder(line: &str) -> bool {
    let text = without_comments(line);
    let text = bare(&text);
    !text.chars().any(char::is_alphanumeric) || is_nothing(text) || is_form(text) || is_prompt(text)
}

/// Whether any line of a text has content.
#[must_use]
pub fn has_content(text: &str) -> bool {
    let text = without_comments(text);
    text.lines().any(|line| !line.trim_start().starts_with('#') && !is_placeholder(line))
}

/// The text without rows of a template, outside of code: headings, prose and all other lines stay.
#[must_use]
pub fn without_template_rows(text: &str) -> Cow<'_, str> {
    let mut fence: Option<char> = None;
    let mut is_row = |line: &str| {
        let start = line.trim_start();
        let mark =
            ['`', '~'].into_iter().find(|mark| start.chars().take_while(|sign| sign == mark).count() >= 3);
        match (fence, mark) {
            (None, Some(_)) => fence = mark,
            (Some(open), Some(mark)) if open == mark => fence = None,
            _ => {}
        }
        fence.is_none() && mark.is_none() && !start.starts_with('#') && is_form(bare(line))
    };
    if !text.contains(['[', '{', '<', '【']) {
        return Cow::Borrowed(text);
    }
    let kept: String = text.split_inclusive('\n').filter(|line| !is_row(line)).collect();
    if kept.len() == text.len() { Cow::Borrowed(text) } else { Cow::Owned(kept) }
}

/// Whether the text means that there is nothing: `None`, `N/A`, `TBD`, `keine`, `нет`, `暂无`.
#[must_use]
pub fn is_nothing(text: &str) -> bool {
    const NOTHING: &[&str] = &[
        "none",
        "none yet",
        "nothing",
        "nothing yet",
        "n a",
        "na",
        "nil",
        "null",
        "tbd",
        "tba",
        "todo",
        "to be determined",
        "to be defined",
        "to be added",
        "to be done",
        "to be filled",
        "to be filled in",
        "to be documented",
        "to be updated",
        "to be decided",
        "coming soon",
        "empty",
        "unknown",
        "not applicable",
        "not yet defined",
        "not defined yet",
        "not started yet",
        "pending",
        "placeholder",
        "no entries",
        "no entries yet",
        "no updates",
        "no updates yet",
        "no changes",
        "no changes yet",
        "lorem ipsum",
        "log of updates made",
        "log of updates made will be appended as footnotes to the end of this file",
        "keine",
        "keiner",
        "keines",
        "noch keine",
        "nichts",
        "entfallt",
        "noch offen",
        "aktuell keine",
        "derzeit keine",
        "zurzeit keine",
        "momentan keine",
        "folgt",
        "wird noch erganzt",
        "aucun",
        "aucune",
        "aucun pour l'instant",
        "aucune pour l'instant",
        "aucun pour le moment",
        "aucun connu",
        "neant",
        "rien",
        "rien a signaler",
        "a definir",
        "a completer",
        "a determiner",
        "pas encore",
        "ninguno",
        "ninguna",
        "ninguno por ahora",
        "ninguna por ahora",
        "ninguno por el momento",
        "nada",
        "por definir",
        "por determinar",
        "por completar",
        "sin definir",
        "sin novedades",
        "no aplica",
        "nenhum",
        "nenhuma",
        "nenhum no momento",
        "nenhuma no momento",
        "nenhum por enquanto",
        "a definir",
        "nao aplicavel",
        "sem pendencias",
        "nessuno",
        "nessuna",
        "nessuno al momento",
        "nessuna al momento",
        "nessuno noto",
        "niente",
        "nulla",
        "da definire",
        "da completare",
        "non applicabile",
        "нет",
        "пока нет",
        "ничего",
        "отсутствуют",
        "отсутствует",
        "не определено",
        "не указано",
        "уточняется",
        "будет дополнено",
        "на данныи момент нет",
        "brak",
        "na razie brak",
        "obecnie brak",
        "nic",
        "nie dotyczy",
        "do uzupełnienia",
        "do uzupelnienia",
        "do ustalenia",
        "nie ma",
        "无",
        "暂无",
        "没有",
        "目前无",
        "目前没有",
        "待定",
        "待补充",
        "待填写",
        "待完善",
        "暂未",
        "尚无",
        "無",
        "暫無",
        "沒有",
        "目前無",
        "待補充",
        "待填寫",
        "暂无内容",
        "なし",
        "無し",
        "特になし",
        "特に無し",
        "該当なし",
        "現在なし",
        "現時点でなし",
        "現時点ではなし",
        "未定",
        "未記入",
        "未設定",
        "ありません",
        "まだありません",
        "없음",
        "없습니다",
        "현재없음",
        "아직없음",
        "해당없음",
        "특이사항없음",
        "미정",
        "추후작성",
        "추후결정",
        "작성예정",
    ];
    let plain = words(text);
    if NOTHING.contains(&plain.as_str()) {
        return true;
    }
    if plain.chars().any(is_cjk) { is_denial(&plain) } else { denies(&plain) }
}

/// "No known issues at this time", "keine bekannten Probleme", "None currently identified": nothing but words that deny, name
/// a kind, or say when.
fn denies(plain: &str) -> bool {
    const DENY: &[&str] = &[
        "no",
        "none",
        "nothing",
        "keine",
        "keiner",
        "kein",
        "nichts",
        "aucun",
        "aucune",
        "ningun",
        "ninguna",
        "ninguno",
        "sin",
        "nenhum",
        "nenhuma",
        "sem",
        "nessun",
        "nessuna",
        "nessuno",
        "brak",
        "нет",
        "отсутствуют",
    ];
    const REST: &[&str] = &[
        // Kinds
        "issue",
        "issues",
        "bug",
        "bugs",
        "blocker",
        "blockers",
        "problem",
        "problems",
        "task",
        "tasks",
        "decision",
        "decisions",
        "question",
        "questions",
        "item",
        "items",
        "limitation",
        "limitations",
        "risk",
        "risks",
        "note",
        "notes",
        "steps",
        "entries",
        "updates",
        "changes",
        "probleme",
        "fehler",
        "aufgaben",
        "fragen",
        "einschrankungen",
        "entscheidungen",
        "risiken",
        "blockaden",
        "problemes",
        "blocage",
        "tache",
        "anomalie",
        "problemas",
        "errores",
        "bloqueos",
        "tareas",
        "incidencias",
        "problema",
        "erros",
        "bloqueios",
        "tarefas",
        "errore",
        "errori",
        "problemi",
        "blocco",
        "attivita",
        "проблем",
        "ошибок",
        "блокеров",
        "задач",
        "problemow",
        "błedow",
        "bledow",
        "blokad",
        "blokerow",
        "zadan",
        // Which
        "known",
        "open",
        "active",
        "current",
        "major",
        "critical",
        "outstanding",
        "pending",
        "significant",
        "new",
        "recent",
        "immediate",
        "specific",
        "blocking",
        "other",
        "next",
        "bekannten",
        "offenen",
        "aktuellen",
        "kritischen",
        "weiteren",
        "bekannt",
        "offen",
        "vorhanden",
        "connu",
        "connue",
        "ouvert",
        "ouverte",
        "conocidos",
        "conocidas",
        "abiertos",
        "pendientes",
        "conhecidos",
        "abertos",
        "pendentes",
        "noto",
        "noti",
        "aperto",
        "aperti",
        "известных",
        "открытых",
        "критических",
        "znanych",
        "otwartych",
        "identified",
        "reported",
        "found",
        "recorded",
        "logged",
        "documented",
        "remaining",
        // When
        "there",
        "are",
        "is",
        "currently",
        "yet",
        "at",
        "this",
        "the",
        "time",
        "moment",
        "point",
        "stage",
        "present",
        "so",
        "far",
        "for",
        "now",
        "right",
        "today",
        "to",
        "report",
        "noch",
        "aktuell",
        "derzeit",
        "momentan",
        "zurzeit",
        "pour",
        "l'instant",
        "le",
        "a",
        "ce",
        "jour",
        "actuellement",
        "hay",
        "por",
        "ahora",
        "el",
        "momento",
        "actualmente",
        "momento",
        "enquanto",
        "al",
        "per",
        "ora",
        "пока",
        "на",
        "данныи",
        "момент",
        "razie",
        "obecnie",
        "в",
        "настоящее",
        "время",
        "na",
        "no",
    ];
    let mut denied = false;
    let mut count = 0;
    for word in plain.split(' ') {
        let denies = DENY.contains(&word);
        if !denies && !REST.contains(&word) {
            return false;
        }
        denied |= denies;
        count += 1;
    }
    denied && (2..=10).contains(&count)
}

/// "目前没有已知问题", "既知の問題はありません", "알려진 문제 없음".
fn is_denial(plain: &str) -> bool {
    const DENY: &[&str] =
        &["没有", "沒有", "暂无", "暫無", "无", "無", "ありません", "なし", "ない", "없습니다", "없음"];
    const REST: &[&str] = &[
        "已知的",
        "已知",
        "重大",
        "其他",
        "未解决的",
        "未解决",
        "严重",
        "明显",
        "的",
        "目前",
        "当前",
        "當前",
        "现在",
        "暂时",
        "問題",
        "问题",
        "阻塞项",
        "阻塞",
        "缺陷",
        "任务",
        "任務",
        "限制",
        "障碍",
        "障礙",
        "现在",
        "現在",
        "現時点では",
        "現時点で",
        "今のところ",
        "既知の",
        "課題",
        "ブロッカー",
        "不具合",
        "バグ",
        "特に",
        "は",
        "が",
        "알려진",
        "현재",
        "문제점",
        "문제",
        "이슈",
        "블로커",
        "버그",
        "가",
        "이",
        "은",
        "는",
        "특별한",
        "아직",
    ];
    if plain.chars().count() > 20 || !DENY.iter().any(|word| plain.contains(word)) {
        return false;
    }
    let rest = DENY.iter().chain(REST).fold(plain.to_owned(), |text, word| text.replace(word, ""));
    rest.is_empty()
}

/// The text without comments; one that stays open goes up to the end.
fn without_comments(text: &str) -> Cow<'_, str> {
    if !text.contains("<!--") {
        return Cow::Borrowed(text);
    }
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("<!--") {
        kept.push_str(before);
        kept.push(' ');
        rest = after.split_once("-->").map_or("", |(_, behind)| behind);
    }
    kept.push_str(rest);
    Cow::Owned(kept)
}

/// The text without quote marks, bullet, check box, emphasis and blanks around it.
fn bare(line: &str) -> &str {
    let mut text = line.trim().trim_start_matches(['>', ' ']);
    text = text
        .strip_prefix(['-', '*', '+', '•'])
        .filter(|rest| rest.is_empty() || rest.starts_with([' ', '\t']))
        .unwrap_or(text);
    let digits = text.len() - text.trim_start_matches(|sign: char| sign.is_ascii_digit()).len();
    if (1..=3).contains(&digits)
        && let Some(rest) = text.get(digits..).and_then(|rest| rest.strip_prefix(['.', ')']))
        && (rest.is_empty() || rest.starts_with(' '))
    {
        text = rest;
    }
    let text = text.trim_start();
    let text = ["[ ]", "[x]", "[X]", "[]", "[-]", "[~]"]
        .iter()
        .find_map(|mark| text.strip_prefix(mark))
        .unwrap_or(text);
    text.trim_matches(|sign: char| sign.is_whitespace() || "*_|".contains(sign))
}

/// Whether the text is a form that was not filled in: brackets with words in them, and nothing beside them but a label, a
/// number or punctuation.
fn is_form(text: &str) -> bool {
    let mut rest = String::new();
    let mut blanks = 0;
    let mut signs = text.char_indices().peekable();
    while let Some((at, sign)) = signs.next() {
        let close = match sign {
            '[' => ']',
            '{' => '}',
            '<' => '>',
            '【' => '】',
            '［' => '］',
            _ => {
                rest.push(sign);
                continue;
            }
        };
        let start = at + sign.len_utf8();
        let after = text.get(start..).unwrap_or_default();
        let Some(length) = after.find(close) else { return false };
        let inner = after.get(..length).unwrap_or_default();
        let end = start + length + close.len_utf8();
        let tail = text.get(end..).unwrap_or_default();
        // A link, a reference, or a link of a wiki.
        if sign == '[' && (tail.starts_with(['(', '[', ':']) || inner.starts_with(['[', '!', '^'])) {
            return false;
        }
        if !asks(inner, sign) {
            return false;
        }
        blanks += 1;
        rest.push(' ');
        while signs.peek().is_some_and(|(next, _)| *next < end) {
            signs.next();
        }
        // `{{words}}` has a second pair.
        if sign == '{' {
            while signs.next_if(|(_, next)| *next == '}').is_some() {}
        }
    }
    blanks > 0 && is_label(&rest)
}

/// Whether the words in a bracket ask for words in their place.
fn asks(inner: &str, bracket: char) -> bool {
    // `{{task}}`
    let is_variable = inner.starts_with('{');
    let inner = inner.trim().trim_matches(['[', ']', '{', '}']);
    let shout = inner.chars().filter(|sign| sign.is_alphabetic()).all(char::is_uppercase);
    let is_key = shout && inner.chars().any(|sign| sign.is_ascii_digit());
    let is_word = shout && inner.chars().all(|sign| sign.is_ascii_alphabetic()) && inner.len() <= 8;
    let fields =
        ["DATE", "NAME", "TITLE", "AUTHOR", "TASK", "STATUS", "TIME", "REASON", "SUMMARY", "DETAILS"];
    if is_date_form(inner) {
        return true;
    }
    if !inner.chars().any(char::is_alphabetic)
        || is_key
        || (is_word && !fields.contains(&inner))
        || date_anywhere(inner).is_some()
        || inner.starts_with(['@', '#', '/', '`', '.', '$'])
        || inner.contains("://")
        || (bracket == '<'
            && (inner.contains(['@', '/', '='])
                || ["br", "hr", "p", "b", "i", "code", "kbd"].contains(&inner)))
    {
        return false;
    }
    (bracket == '{' && is_variable) || is_template_wording(inner) || asks_the_reader(inner)
}

/// "What are you working on right now?"
fn asks_the_reader(inner: &str) -> bool {
    let mut words = inner.split(|sign: char| !sign.is_alphabetic());
    inner.ends_with('?')
        && words.any(|word| word.eq_ignore_ascii_case("you") || word.eq_ignore_ascii_case("your"))
}

/// Words of templates that a number follows.
const NUMBERED: &[&str] = &[
    "task",
    "issue",
    "step",
    "next step",
    "decision",
    "milestone",
    "note",
    "feature",
    "item",
    "goal",
    "objective",
    "bug",
    "change",
    "phase",
    "question",
    "entry",
    "component",
    "requirement",
    "technology",
    "user story",
    "story",
    "pattern",
    "priority",
    "aufgabe",
    "entscheidung",
    "schritt",
    "problem",
    "tache",
    "decision",
    "etape",
    "tarea",
    "tarefa",
    "paso",
    "passo",
    "decisao",
    "problema",
    "attivita",
    "decisione",
    "задача",
    "решение",
    "шаг",
    "проблема",
    "zadanie",
    "decyzja",
    "krok",
    "任务",
    "任務",
    "决策",
    "決策",
    "步骤",
    "问题",
    "問題",
    "タスク",
    "決定",
    "課題",
    "작업",
    "결정",
    "단계",
    "문제",
];

/// Whether words in a bracket are wording of a template. What people write in brackets is theirs (`[Fix login]`,
/// `[Issue #12]`), so that only known words count: a numbered one as templates have it, a field, or a prompt.
fn is_template_wording(inner: &str) -> bool {
    const FIELDS: &[&str] = &[
        "date",
        "time",
        "timestamp",
        "title",
        "name",
        "author",
        "status",
        "reason",
        "details",
        "detail",
        "summary",
        "description",
        "context",
        "alternatives",
        "alternatives considered",
        "consequences",
        "rationale",
        "impact",
        "update",
        "updates",
        "list",
        "text",
        "content",
        "value",
        "objective",
        "objectives",
        "technologies",
        "expected date",
        "due date",
        "target date",
        "start date",
        "end date",
        "completion date",
        "date and time",
        "implementation details",
        "decision title",
        "decision made",
        "project name",
        "project title",
        "feature name",
        "task name",
        "component name",
        "module name",
        "pattern name",
        "your name",
        "file name",
        "what was decided",
        "why",
        "what",
        "how",
        "who",
        "when",
        "placeholder",
        "goals",
        "overview",
        "options considered",
        "options",
        "pros",
        "cons",
        "owner",
        "assignee",
        "version",
        "link",
        "url",
        "next steps",
        "current focus",
        "current task",
        "known issues",
        "recent changes",
        "open questions",
        "architecture",
        "tech stack",
        "notes",
        // Other languages
        "datum",
        "titel",
        "beschreibung",
        "begrundung",
        "kontext",
        "zusammenfassung",
        "alternativen",
        "folgen",
        "autor",
        "projektbeschreibung",
        "projektname",
        "titre",
        "nom",
        "auteur",
        "contexte",
        "resume",
        "consequences",
        "justification",
        "description du projet",
        "nom du projet",
        "fecha",
        "titulo",
        "nombre",
        "descripcion",
        "contexto",
        "resumen",
        "razon",
        "motivo",
        "alternativas",
        "consecuencias",
        "descripcion del proyecto",
        "nombre del proyecto",
        "data",
        "nome",
        "descricao",
        "resumo",
        "justificativa",
        "consequencias",
        "descricao do projeto",
        "nome do projeto",
        "titolo",
        "descrizione",
        "contesto",
        "sintesi",
        "motivazione",
        "alternative",
        "conseguenze",
        "autore",
        "descrizione del progetto",
        "nome del progetto",
        "дата",
        "название",
        "описание",
        "контекст",
        "автор",
        "причина",
        "обоснование",
        "альтернативы",
        "последствия",
        "описание проекта",
        "название проекта",
        "tytuł",
        "nazwa",
        "opis",
        "kontekst",
        "podsumowanie",
        "uzasadnienie",
        "alternatywy",
        "konsekwencje",
        "opis projektu",
        "nazwa projektu",
        "日期",
        "标题",
        "標題",
        "名称",
        "名稱",
        "描述",
        "背景",
        "原因",
        "理由",
        "摘要",
        "作者",
        "项目描述",
        "項目描述",
        "项目名称",
        "備選方案",
        "备选方案",
        "影响",
        "后果",
        "日付",
        "タイトル",
        "名前",
        "説明",
        "概要",
        "代替案",
        "プロジェクトの説明",
        "プロジェクト名",
        "날짜",
        "제목",
        "이름",
        "설명",
        "배경",
        "이유",
        "요약",
        "대안",
        "결과",
        "프로젝트설명",
        "프로젝트이름",
    ];
    /// What a phrase of nothing but words of templates ends or begins with.
    const ASKED_FOR: &[&str] = &["description", "summary", "name", "title", "date", "details", "rationale"];
    const BESIDE: &[&str] = &[
        "of",
        "the",
        "a",
        "an",
        "and",
        "for",
        "this",
        "your",
        "short",
        "brief",
        "detailed",
        "project",
        "structure",
        "architecture",
        "change",
        "changes",
        "update",
        "task",
        "issue",
        "decision",
        "feature",
        "component",
        "pattern",
        "milestone",
        "problem",
        "solution",
        "goal",
        "objective",
        "note",
        "session",
        "implementation",
        "module",
        "technology",
        "code",
        "documentation",
        "entry",
        "item",
        "step",
        "expected",
    ];
    const PROMPTS: &[&str] = &[
        "describe",
        "insert",
        "specify",
        "enter",
        "beschreibe",
        "beschreiben",
        "decrire",
        "decrivez",
        "describir",
        "describa",
        "descreva",
        "descrever",
        "decrivi",
        "опишите",
        "opisz",
    ];
    let plain = words(inner);
    if FIELDS.contains(&plain.as_str()) || NUMBERED.contains(&plain.as_str()) {
        return true;
    }
    // Exactly a word and a digit: an issue with a longer number, or with a sign before it, is somebody's.
    if let Some(bare) = inner.trim().strip_suffix(|sign: char| ('1'..='9').contains(&sign))
        && bare.chars().all(|sign| sign.is_alphabetic() || sign == ' ')
        && NUMBERED.contains(&words(bare).as_str())
    {
        return true;
    }
    let mut all = plain.split(' ');
    let first = all.next().unwrap_or_default();
    if PROMPTS.contains(&first)
        || is_call(&plain)
        || ["请描述", "請描述", "描述"].iter().any(|ask| plain.starts_with(ask))
    {
        return true;
    }
    plain.split(' ').any(|word| ASKED_FOR.contains(&word))
        && plain.split(' ').all(|word| ASKED_FOR.contains(&word) || BESIDE.contains(&word))
}

/// Verbs with which templates ask for a text.
const CALLS: &[&str] = &[
    "add",
    "describe",
    "list",
    "document",
    "insert",
    "fill",
    "enter",
    "write",
    "put",
    "record",
    "specify",
    "your",
    "hier",
    "ajouter",
    "ajoutez",
    "agregar",
    "adicionar",
    "aggiungi",
    "decrivi",
    "beschreiben",
    "decrire",
];

/// "Add your tasks here"
fn is_call(plain: &str) -> bool {
    const HERE: &[&str] = &[" here", " hier", " ici", " aqui", " qui"];
    let first = plain.split(' ').next().unwrap_or_default();
    CALLS.contains(&first) && HERE.iter().any(|here| plain.ends_with(here)) && plain.len() <= 160
}

/// `YYYY-MM-DD HH:MM:SS` and its like.
fn is_date_form(text: &str) -> bool {
    let text = text.trim();
    text.len() >= 8
        && text.chars().all(|sign| "YMDHSTZAJhmsdyjtua-/.:, ".contains(sign))
        && ["YYYY", "yyyy", "JJJJ", "AAAA"].iter().any(|year| text.contains(year))
}

/// Whether what stands beside the brackets is no content: punctuation, a label with a colon, or a word with a number.
fn is_label(rest: &str) -> bool {
    let text = rest.trim_matches(|sign: char| sign.is_whitespace() || "*_-–—,;.|/()~".contains(sign));
    if !text.chars().any(char::is_alphanumeric) {
        return true;
    }
    let plain = words(text);
    let bare = plain.trim_end_matches(|sign: char| sign.is_ascii_digit() || sign == ' ');
    let numbered = bare.len() < plain.len();
    if numbered && NUMBERED.contains(&bare) {
        return true;
    }
    // Every label with nothing behind it: "Date: Author:".
    text.trim_end_matches(['*', '_', ' ']).ends_with([':', '：']) && plain.split(' ').count() <= 4
}

/// "(Describe the current focus here)", "_Add tasks here_".
fn is_prompt(text: &str) -> bool {
    // The line that templates put below their title.
    const INTRODUCTIONS: &[&str] =
        &["tracks", "records", "documents", "provides", "contains", "describes", "captures", "outlines"];
    if let Some(rest) = text.strip_prefix("This file ").or_else(|| text.strip_prefix("This document "))
        && rest.split(' ').next().is_some_and(|verb| INTRODUCTIONS.contains(&verb))
    {
        return true;
    }
    let inner = text.strip_prefix('(').and_then(|text| text.strip_suffix(')'));
    let plain = words(inner.unwrap_or(text));
    let first = plain.split(' ').next().unwrap_or_default();
    let describes =
        ["describe", "your", "beschreiben", "decrivi", "decrire"].contains(&first) && plain.len() <= 160;
    is_call(&plain) || (inner.is_some() && describes)
}
