//! Sessions that are active as far as the edge knows: the origin says so, and for a while its word is enough.

use std::collections::HashMap;

use crate::{
    id::Id,
    time::{SECOND_MS, Timestamp},
};

/// For how long the origin's word about a session is enough. So long may one that was ended still be let in.
const REMEMBERED_MS: i64 = 60 * SECOND_MS;
/// For how long an origin that did not answer is not asked again.
const UNANSWERED_MS: i64 = 10 * SECOND_MS;
/// Sessions remembered at most: more than one person has at a time.
const SESSIONS: usize = 32;

/// The status of a session, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionStatus {
    /// It was active just now; or nobody can tell, as the origin does not answer.
    Active,
    /// The origin is to be asked.
    Unknown,
    /// It has ended.
    Revoked,
}

/// The word of an answer of the origin about the session that asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionReport {
    /// It is active.
    Active,
    /// It has ended.
    Revoked,
    /// There was no answer.
    Unanswered,
    /// Nothing.
    None,
}

/// The origin's word about the sessions of one user.
#[derive(Clone, Debug, Default)]
pub struct Sessions {
    known: HashMap<Id, Word>,
    unanswered: Option<Timestamp>,
}

/// The origin's word about a session, with the time at which it was asked.
#[derive(Clone, Copy, Debug)]
struct Word {
    asked: Timestamp,
    is_active: bool,
}

impl Sessions {
    /// Returns what is known of this session.
    pub fn status(&self, session: Id, now: Timestamp) -> SessionStatus {
        let word = self.known.get(&session);
        match word.filter(|word| is_within(REMEMBERED_MS, word.asked, now)) {
            Some(word) if word.is_active => SessionStatus::Active,
            Some(_) => SessionStatus::Revoked,
            None if self.unanswered.is_some_and(|at| is_within(UNANSWERED_MS, at, now)) => {
                SessionStatus::Active
            }
            None => SessionStatus::Unknown,
        }
    }

    /// Records what the origin, asked at `asked`, said about this session. Of two answers the one to the later question
    /// counts, however late the other comes.
    pub fn record(&mut self, session: Id, report: SessionReport, asked: Timestamp) {
        match report {
            SessionReport::Active => self.record_word(session, true, asked),
            SessionReport::Revoked => self.record_word(session, false, asked),
            SessionReport::Unanswered => self.unanswered = Some(asked),
            SessionReport::None => {}
        }
    }

    fn record_word(&mut self, session: Id, is_active: bool, asked: Timestamp) {
        self.unanswered = None;
        let newer = |word: &Word| (word.asked, !word.is_active) > (asked, !is_active);
        if self.known.get(&session).is_some_and(newer) {
            return;
        }
        if self.known.len() >= SESSIONS
            && !self.known.contains_key(&session)
            && let Some(oldest) = self.known.iter().min_by_key(|(_, word)| word.asked).map(|(id, _)| *id)
        {
            self.known.remove(&oldest);
        }
        self.known.insert(session, Word { asked, is_active });
    }
}

/// Returns whether `then` is at most so long ago. A time in the future is of a clock that was set back meanwhile.
fn is_within(millis: i64, then: Timestamp, now: Timestamp) -> bool {
    (0..millis).contains(&now.millis_since(then))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_253_400_000);

    fn id(n: u8) -> Id {
        Id::new(NOW, [n; 10])
    }

    const fn report(alive: bool) -> SessionReport {
        if alive { SessionReport::Active } else { SessionReport::Revoked }
    }

    const fn after(seconds: i64) -> Timestamp {
        NOW.plus_millis(seconds * SECOND_MS)
    }

    #[rstest]
    #[case::alive(true, 0, SessionStatus::Active)]
    #[case::still_alive(true, 59, SessionStatus::Active)]
    #[case::perhaps_not_any_more(true, 60, SessionStatus::Unknown)]
    #[case::ended(false, 0, SessionStatus::Revoked)]
    #[case::ended_a_minute_ago(false, 60, SessionStatus::Unknown)]
    #[case::a_clock_that_was_set_back(true, -1, SessionStatus::Unknown)]
    fn report_is_valid_for_a_minute(
        #[case] alive: bool,
        #[case] seconds: i64,
        #[case] status: SessionStatus,
    ) {
        let mut sessions = Sessions::default();
        assert_eq!(sessions.status(id(1), NOW), SessionStatus::Unknown);
        sessions.record(id(1), report(alive), NOW);
        assert_eq!(sessions.status(id(1), after(seconds)), status);
        assert_eq!(sessions.status(id(2), after(seconds)), SessionStatus::Unknown);
    }

    #[test]
    fn absent_origin_blocks_only_revoked_sessions() {
        let mut sessions = Sessions::default();
        sessions.record(id(1), SessionReport::Revoked, NOW);
        sessions.record(id(9), SessionReport::Unanswered, after(1));
        assert_eq!(sessions.status(id(1), after(2)), SessionStatus::Revoked);
        assert_eq!(sessions.status(id(2), after(10)), SessionStatus::Active);
        assert_eq!(sessions.status(id(2), after(11)), SessionStatus::Unknown);
        sessions.record(id(9), SessionReport::Unanswered, after(20));
        sessions.record(id(3), SessionReport::Active, after(21));
        assert_eq!(sessions.status(id(2), after(22)), SessionStatus::Unknown, "it answers again");
    }

    #[rstest]
    #[case::in_order([(true, 0), (false, 1)], SessionStatus::Revoked)]
    #[case::the_older_answer_comes_last([(false, 1), (true, 0)], SessionStatus::Revoked)]
    #[case::asked_at_once([(true, 1), (false, 1)], SessionStatus::Revoked)]
    #[case::asked_at_once_the_other_way([(false, 1), (true, 1)], SessionStatus::Revoked)]
    #[case::a_mistake_is_corrected([(false, 0), (true, 1)], SessionStatus::Active)]
    fn report_of_later_request_counts(#[case] reports: [(bool, i64); 2], #[case] status: SessionStatus) {
        let mut sessions = Sessions::default();
        for (alive, asked) in reports {
            sessions.record(id(1), report(alive), after(asked));
        }
        assert_eq!(sessions.status(id(1), after(2)), status);
    }

    #[test]
    fn full_table_evicts_oldest() {
        let mut sessions = Sessions::default();
        for n in 0..=32 {
            sessions.record(id(n), SessionReport::Active, after(i64::from(n)));
        }
        assert_eq!(sessions.known.len(), SESSIONS);
        assert_eq!(sessions.status(id(0), after(32)), SessionStatus::Unknown);
        assert_eq!(sessions.status(id(1), after(32)), SessionStatus::Active);
    }
}
