//! The results of checks, as lines for people or JSON for programs.

use serde_json::{Value, json};

/// The level of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// No problem.
    Ok,
    /// It works, and should be checked.
    Warning,
    /// It must be fixed.
    Error,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One finding.
#[derive(Debug)]
struct Finding {
    check: &'static str,
    level: Level,
    message: String,
    advice: Option<String>,
}

/// All findings, in order.
#[derive(Debug, Default)]
pub(crate) struct Findings(Vec<Finding>);

impl Findings {
    /// Adds a finding without a problem.
    pub(crate) fn ok(&mut self, check: &'static str, message: impl Into<String>) {
        self.0.push(Finding { check, level: Level::Ok, message: message.into(), advice: None });
    }

    /// Adds a warning.
    pub(crate) fn warning(
        &mut self,
        check: &'static str,
        message: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.0.push(Finding {
            check,
            level: Level::Warning,
            message: message.into(),
            advice: Some(advice.into()),
        });
    }

    /// Adds an error.
    pub(crate) fn error(
        &mut self,
        check: &'static str,
        message: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.0.push(Finding {
            check,
            level: Level::Error,
            message: message.into(),
            advice: Some(advice.into()),
        });
    }

    pub(crate) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub(crate) fn count(&self, level: Level) -> usize {
        self.0.iter().filter(|finding| finding.level == level).count()
    }

    pub(crate) fn json(&self) -> Value {
        let list: Vec<Value> = self
            .0
            .iter()
            .map(|Finding { check, level, message, advice }| {
                json!({"check": check, "level": level.word(), "message": message, "advice": advice})
            })
            .collect();
        let worst = self.0.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok);
        json!({"status": worst.word(), "findings": list})
    }

    pub(crate) fn text(&self) -> String {
        let width = self.0.iter().map(|finding| finding.check.len()).max().unwrap_or(0);
        let mut text = String::new();
        for Finding { check, level, message, advice } in &self.0 {
            text += &format!("{:7}  {check:width$}  {message}\n", level.word());
            if let Some(advice) = advice {
                text += &format!("{:7}  {:width$}  -> {advice}\n", "", "");
            }
        }
        let (warnings, errors) = (self.count(Level::Warning), self.count(Level::Error));
        let plural = |number: usize| if number == 1 { "" } else { "s" };
        text + &format!(
            "\n{} checked, {warnings} warning{}, {errors} error{}",
            self.0.len(),
            plural(warnings),
            plural(errors)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_finding_is_the_status_and_advice_follows_its_finding() {
        let mut findings = Findings::default();
        assert_eq!(findings.json()["status"], "ok");
        findings.ok("a", "is well");
        findings.error("long", "is broken", "fix it");
        findings.warning("b", "is odd", "check it");
        assert_eq!(findings.json()["status"], "error");
        assert_eq!(findings.json()["findings"][2]["advice"], "check it");
        let text = findings.text();
        assert!(text.ends_with("3 checked, 1 warning, 1 error"), "{text}");
        assert!(text.contains("error    long  is broken\n               -> fix it\n"), "{text}");
    }
}
