//! Heads of columns of tables with decisions, in eleven languages.

/// Parts of heads of columns with the title of a decision.
pub(super) const TITLE_HEADS: &[&str] = &[
    "decision",
    "title",
    "entscheid",
    "décision",
    "decisi",
    "decis",
    "решени",
    "decyzj",
    "决策",
    "決策",
    "決定",
    "결정",
    "choice",
    "what",
    "topic",
];

/// Parts of heads of columns with the reasons.
pub(super) const REASON_HEADS: &[&str] = &[
    "rationale",
    "reason",
    "why",
    "begründung",
    "grund",
    "raison",
    "justif",
    "motiv",
    "razón",
    "обоснован",
    "причин",
    "uzasadnien",
    "powód",
    "理由",
    "原因",
    "이유",
    "근거",
];
