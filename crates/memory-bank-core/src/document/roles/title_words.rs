//! Words of headings beside the phrases of [`super::phrases`]: states, parts of a record, words that exclude a role.

use super::role::Role::{self, Done, Focus, NextStep, RecentChange, Status, Task};

/// Single words that classify a heading even as part of a longer one.
pub(super) const WITHIN: &[&str] = &[
    "completed",
    "resolved",
    "upcoming",
    "backlog",
    "blockers",
    "roadmap",
    "accomplishments",
    "achievements",
    "changelog",
    "todo",
    "todos",
    "bugs",
    "blocages",
    "blockaden",
    "projektstatus",
    "blokery",
    "блокеры",
    "бэклог",
    "выполнено",
    "завершено",
];

/// Headings with one of these words are about conventions or the past, unless the whole heading is a known phrase.
pub(super) const EXCLUDING: &[&str] = &[
    "archive",
    "archived",
    "template",
    "templates",
    "example",
    "examples",
    "legend",
    "format",
    "guidelines",
    "guide",
    "instructions",
    "convention",
    "conventions",
    "policy",
    "rules",
    "workflow",
    "workflows",
    "process",
    "how",
    "archiv",
    "vorlage",
    "legende",
    "modèle",
    "légende",
    "plantilla",
    "leyenda",
    "modelo",
    "legenda",
    "archivio",
    "archivo",
    "arquivo",
    "архив",
    "шаблон",
    "легенда",
    "archiwum",
    "szablon",
    "归档",
    "模板",
    "图例",
    "存档",
    "アーカイブ",
    "テンプレート",
    "凡例",
    "보관",
    "템플릿",
    "범례",
];

/// Words for a state of work, in brackets or after a dash.
pub(super) const STATES: &[(Role, &str)] = &[
    (
        Done,
        "done, complete, completed, finished, resolved, fixed, closed, shipped, released, all done, 100, erledigt, abgeschlossen, fertig, behoben, gelöst, \
         terminé, terminée, fait, résolu, completado, completada, hecho, resuelto, concluído, concluída, feito, resolvido, completato, completata, \
         fatto, risolto, выполнено, готово, завершено, завершена, решено, исправлено, ukończone, ukończona, zakończone, zrobione, rozwiązane, gotowe, 已完成, 完成, 已解决, 已修复, 已解決, \
         完了, 完了済み, 解決済み, 完成, 완료, 완료됨, 해결됨",
    ),
    (
        Task,
        "in progress, wip, ongoing, current, active, started, todo, to do, pending, not started, open, in arbeit, laufend, offen, läuft, en cours, à faire, en curso, \
         en progreso, pendiente, em andamento, pendente, a fazer, in corso, da fare, в работе, в процессе, текущий, текущая, w toku, w trakcie, do zrobienia, 进行中, 進行中, 待办, 未开始, 作業中, 未着手, \
         진행 중, 진행중, 대기",
    ),
    (
        NextStep,
        "next, up next, upcoming, planned, future, geplant, als nächstes, prévu, à venir, planificado, próximo, planejado, pianificato, запланировано, planowane, 计划中, 下一步, 計画中, 予定, 예정",
    ),
];

/// Titles of parts of a decision's record, which are not titles of decisions.
pub(super) const STRUCTURE: &str = "decision, decisions, the decision, rationale, reason, reasons, reasoning, why, implementation, implementation details, \
    implementation notes, details, context, background, problem, problem statement, consequences, consequence, impact, impacts, implications, outcome, result, results, alternatives, \
    alternatives considered, considered alternatives, considered options, options, options considered, pros, cons, pros and cons, trade offs, tradeoffs, status, date, author, deciders, decision drivers, decision outcome, \
    notes, references, links, related, related decisions, summary, description, next steps, action items, code, example, examples, validation, compliance, positive, negative, risks, mitigation, \
    migration, scope, motivation, evidence, follow up, template, format, new decision, title, overview, table of contents, contents, index, legend, drivers, assumptions, requirements, constraints, solution, proposed solution, \
    entscheidung, begründung, grund, gründe, warum, umsetzung, umsetzungsdetails, details zur umsetzung, implementierung, implementierungsdetails, kontext, hintergrund, problemstellung, folgen, konsequenzen, auswirkungen, alternativen, \
    betrachtete alternativen, geprüfte alternativen, optionen, vor und nachteile, vorteile, nachteile, datum, autor, ergebnis, zusammenfassung, beschreibung, verweise, vorlage, inhalt, motivation, lösung, \
    décision, justification, raison, raisons, pourquoi, mise en œuvre, détails d'implémentation, détails de mise en œuvre, détails, contexte, problème, conséquences, impacts, alternatives envisagées, alternatives considérées, options envisagées, avantages, inconvénients, \
    avantages et inconvénients, statut, auteur, résultat, résumé, références, motivation, modèle, \
    decisión, justificación, razón, razones, por qué, motivo, implementación, detalles de implementación, detalles, contexto, problema, consecuencias, impacto, alternativas, alternativas consideradas, opciones, opciones consideradas, ventajas, desventajas, pros y contras, \
    estado, fecha, autor, resultado, resumen, descripción, referencias, notas, solución, \
    decisão, justificativa, justificação, fundamentação, razão, razões, por quê, implementação, detalhes de implementação, detalhes da implementação, detalhes, consequências, opções, opções consideradas, vantagens, desvantagens, prós e contras, data, resumo, descrição, referências, solução, \
    decisione, motivazione, motivazioni, ragione, ragioni, perché, implementazione, dettagli di implementazione, dettagli implementativi, dettagli, contesto, conseguenze, impatto, alternative, alternative considerate, alternative valutate, opzioni, opzioni considerate, vantaggi, svantaggi, pro e contro, stato, autore, risultato, riepilogo, descrizione, riferimenti, note, soluzione, \
    решение, обоснование, причина, причины, почему, реализация, детали реализации, подробности, контекст, проблема, последствия, влияние, альтернативы, рассмотренные альтернативы, варианты, рассмотренные варианты, плюсы, минусы, плюсы и минусы, статус, дата, автор, результат, итог, описание, ссылки, примечания, мотивация, шаблон, \
    decyzja, uzasadnienie, powód, powody, dlaczego, implementacja, szczegóły implementacji, szczegóły, kontekst, konsekwencje, skutki, wpływ, alternatywy, rozważane alternatywy, rozważone alternatywy, opcje, rozważane opcje, zalety, wady, zalety i wady, data, wynik, podsumowanie, opis, odniesienia, uwagi, rozwiązanie, szablon, \
    决策, 决定, 理由, 原因, 依据, 决策理由, 实现细节, 实施细节, 实现, 实施, 实施方案, 细节, 背景, 上下文, 后果, 影响, 结果, 备选方案, 替代方案, 考虑的方案, 考虑的替代方案, 可选方案, 方案, 优点, 缺点, 优缺点, 状态, 日期, 作者, 总结, 描述, 参考, 备注, 问题, 模板, 决策背景, 决策内容, \
    決策, 決定, 實作細節, 實現細節, 影響, 後果, 替代方案, 備選方案, 優缺點, 狀態, 決策理由, 決策內容, \
    決定内容, 決定事項, 根拠, 理由, 背景, 経緯, 文脈, コンテキスト, 実装, 実装の詳細, 実装詳細, 詳細, 影響, 結果, 帰結, 代替案, 検討した代替案, 選択肢, 検討した選択肢, メリット, デメリット, メリットとデメリット, ステータス, 状態, 日付, 作成者, 概要, 説明, 参考, 備考, 問題, テンプレート, 対応, \
    결정, 결정 내용, 근거, 이유, 배경, 맥락, 컨텍스트, 구현, 구현 세부 사항, 구현 세부사항, 구현 상세, 세부 사항, 상세, 영향, 결과, 대안, 고려한 대안, 검토한 대안, 선택지, 장점, 단점, 장단점, 상태, 날짜, 작성자, 요약, 설명, 참고, 비고, 문제, 템플릿";

/// Words for a single thing: followed by a number or a name, they head a single entry.
pub(super) const SINGULAR: &[&str] = &[
    "task",
    "issue",
    "bug",
    "problem",
    "decision",
    "question",
    "note",
    "error",
    "fehler",
    "aufgabe",
    "entscheidung",
    "tache",
    "probleme",
    "tarea",
    "tarefa",
    "problema",
    "decisao",
    "decisione",
    "задача",
    "проблема",
    "решение",
    "zadanie",
    "decyzja",
    "next",
    "adr",
    "history",
    "log",
];

/// Words that classify a heading which ends with them ("Backend Tasks").
pub(super) const FINAL_NOUNS: &[&str] = &[
    "tasks",
    "issues",
    "bugs",
    "todos",
    "blockers",
    "decisions",
    "questions",
    "aufgaben",
    "probleme",
    "entscheidungen",
    "fragen",
];

/// Words that classify a heading which begins with them ("Tareas de la semana").
pub(super) const INITIAL_NOUNS: &[&str] = &[
    "tareas",
    "tarefas",
    "taches",
    "attivita",
    "compiti",
    "problemes",
    "problemas",
    "problemi",
    "decisiones",
    "decisoes",
    "decisioni",
    "preguntas",
    "perguntas",
    "domande",
    "aufgaben",
    "entscheidungen",
    "probleme",
    "fragen",
    "задачи",
    "проблемы",
    "решения",
    "вопросы",
    "zadania",
    "problemy",
    "decyzje",
    "pytania",
    "blocages",
    "bloqueos",
    "bloqueios",
    "риски",
    "ошибки",
    "bledy",
    "errores",
];

/// Pairs of first and last words that classify a heading ("Recent Significant Changes").
pub(super) const FIRST_AND_LAST_WORDS: &[(&[&str], &[&str], Role)] = &[
    (
        &["recent", "recently", "latest", "last"],
        &[
            "changes",
            "updates",
            "work",
            "progress",
            "improvements",
            "fixes",
            "activity",
            "developments",
            "additions",
            "modifications",
        ],
        RecentChange,
    ),
    (&["next", "immediate", "upcoming"], &["steps", "actions", "items", "priorities"], NextStep),
    (
        &["current", "active", "present", "main", "primary", "our"],
        &["focus", "goal", "goals", "objective", "objectives"],
        Focus,
    ),
    (&["current", "overall", "project"], &["status", "state"], Status),
];

/// Words that join a noun and its attribute ("Tasks for this week").
pub(super) const BINDERS: &[&str] = &[
    "for", "of", "in", "to", "from", "on", "this", "since", "with", "that", "before", "after", "um", "fur",
    "zu", "der", "des", "aus", "im", "seit", "pour", "de", "du", "des", "para", "do", "da", "del", "per",
    "di", "dla", "na", "po", "z", "для", "по", "на",
];

/// Words for "and".
pub(super) const AND: &[&str] =
    &["and", "und", "et", "y", "e", "и", "i", "or", "oder", "ou", "o", "или", "lub", "vs"];
