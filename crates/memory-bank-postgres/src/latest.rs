//! One question for all who ask at the same time, whose answer is no older than anybody's question. It must not know the question.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// The latest answer, and up to which question it counts.
#[derive(Debug)]
pub(crate) struct Latest<T> {
    asked: AtomicU64,
    answered: Mutex<Answered<T>>,
    spacing: Duration,
}

#[derive(Debug)]
struct Answered<T> {
    through: u64,
    answer: Option<T>,
    /// When the latest question was sent.
    sent: Option<Instant>,
}

impl<T> Default for Latest<T> {
    fn default() -> Self {
        Self::spaced(Duration::ZERO)
    }
}

impl<T> Latest<T> {
    /// Sends no question within this time after another one, so that more who ask share each.
    pub(crate) fn spaced(spacing: Duration) -> Self {
        let answered = Answered { through: 0, answer: None, sent: None };
        Self { asked: AtomicU64::new(0), answered: Mutex::new(answered), spacing }
    }
}

impl<T: Clone> Latest<T> {
    /// An answer that was asked for after this call began: one's own, or that of another who asked later than this call began.
    ///
    /// # Errors
    /// The error of the own question. Others ask again.
    pub(crate) async fn ask<E>(&self, question: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let ticket = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let mut answered = self.answered.lock().await;
        if let Some(answer) = &answered.answer
            && answered.through >= ticket
        {
            return Ok(answer.clone());
        }
        if let Some(sent) = answered.sent
            && sent.elapsed() < self.spacing
        {
            tokio::time::sleep_until(sent + self.spacing).await;
        }
        // All who have asked until now get this answer.
        let through = self.asked.load(Ordering::SeqCst);
        answered.sent = Some(Instant::now());
        let answer = question.await?;
        answered.through = through;
        answered.answer = Some(answer.clone());
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_asks_while_a_question_is_on_its_way_gets_the_next_answer() {
        let latest = Arc::new(Latest::<u64>::default());
        let sent = Arc::new(AtomicU64::new(0));
        let ask = |latest: Arc<Latest<u64>>, sent: Arc<AtomicU64>| async move {
            let question = async {
                let number = sent.fetch_add(1, Ordering::SeqCst) + 1;
                tokio::time::sleep(Duration::from_millis(10)).await;
                Ok::<_, ()>(number)
            };
            latest.ask(question).await.unwrap()
        };
        let first = tokio::spawn(ask(Arc::clone(&latest), Arc::clone(&sent)));
        tokio::time::sleep(Duration::from_millis(1)).await;
        let later: Vec<_> =
            (0..5).map(|_| tokio::spawn(ask(Arc::clone(&latest), Arc::clone(&sent)))).collect();
        assert_eq!(first.await.unwrap(), 1);
        for one in later {
            assert_eq!(one.await.unwrap(), 2, "all who waited share the second answer");
        }
        assert_eq!(
            ask(latest, Arc::clone(&sent)).await,
            3,
            "a former answer never counts for a new question"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn questions_are_sent_one_after_the_other_and_not_too_often() {
        let latest = Latest::<u64>::spaced(Duration::from_millis(5));
        let (sent, began) = (AtomicU64::new(0), Instant::now());
        let question = || async { Ok::<_, ()>(sent.fetch_add(1, Ordering::SeqCst) + 1) };
        assert_eq!(latest.ask(question()).await, Ok(1));
        assert_eq!(began.elapsed(), Duration::ZERO, "the first one is sent at once");
        let all = futures::future::join_all((0..10).map(|_| latest.ask(question()))).await;
        assert_eq!(all, [Ok(2); 10], "all who asked meanwhile share the next");
        assert_eq!(began.elapsed(), Duration::from_millis(5));
    }

    #[tokio::test]
    async fn an_error_is_not_shared() {
        let latest = Latest::<u64>::default();
        assert_eq!(latest.ask(async { Err("silent") }).await, Err("silent"));
        assert_eq!(latest.ask(async { Ok::<_, &str>(7) }).await, Ok(7));
    }
}
