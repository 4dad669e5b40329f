//! Which sessions are alive, as far as the edge knows: the origin says so, and for a while its word is enough.

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

/// What to do with a request of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It was alive just now; or nobody can tell, as the origin does not answer.
    LetIn,
    /// The origin is to be asked.
    Ask,
    /// It has ended.
    Refuse,
}

/// What the origin said about the sessions of one user.
#[derive(Clone, Debug, Default)]
pub struct Sessions {
    known: HashMap<Id, Word>,
    unanswered: Option<Timestamp>,
}

/// What the origin said, and when it was asked.
#[derive(Clone, Copy, Debug)]
struct Word {
    asked: Timestamp,
    alive: bool,
}

impl Sessions {
    /// What to do with a request of this session; `None` is one that nobody named.
    pub fn standing(&self, session: Option<Id>, now: Timestamp) -> Standing {
        let word = session.and_then(|session| self.known.get(&session));
        match word.filter(|word| is_within(REMEMBERED_MS, word.asked, now)) {
            Some(word) if word.alive => Standing::LetIn,
            Some(_) => Standing::Refuse,
            None if self.unanswered.is_some_and(|at| is_within(UNANSWERED_MS, at, now)) => Standing::LetIn,
            None => Standing::Ask,
        }
    }

    /// The origin, asked at `asked`, said whether this session is alive. Of two answers the one to the later question
    /// counts, however late the other comes.
    pub fn heard(&mut self, session: Option<Id>, alive: bool, asked: Timestamp) {
        self.unanswered = None;
        let Some(session) = session else { return };
        let newer = |word: &Word| (word.asked, !word.alive) > (asked, !alive);
        if self.known.get(&session).is_some_and(newer) {
            return;
        }
        if self.known.len() >= SESSIONS
            && !self.known.contains_key(&session)
            && let Some(oldest) = self.known.iter().min_by_key(|(_, word)| word.asked).map(|(id, _)| *id)
        {
            self.known.remove(&oldest);
        }
        self.known.insert(session, Word { asked, alive });
    }

    /// The origin did not answer.
    pub const fn unanswered(&mut self, now: Timestamp) {
        self.unanswered = Some(now);
    }
}

/// Whether `then` is at most so long ago. What lies in the future is of a clock that was set back meanwhile.
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

    const fn after(seconds: i64) -> Timestamp {
        NOW.plus_millis(seconds * SECOND_MS)
    }

    #[rstest]
    #[case::alive(true, 0, Standing::LetIn)]
    #[case::still_alive(true, 59, Standing::LetIn)]
    #[case::perhaps_not_any_more(true, 60, Standing::Ask)]
    #[case::ended(false, 0, Standing::Refuse)]
    #[case::ended_a_minute_ago(false, 60, Standing::Ask)]
    #[case::a_clock_that_was_set_back(true, -1, Standing::Ask)]
    fn the_origins_word_is_enough_for_a_minute(
        #[case] alive: bool,
        #[case] seconds: i64,
        #[case] standing: Standing,
    ) {
        let mut sessions = Sessions::default();
        assert_eq!(sessions.standing(Some(id(1)), NOW), Standing::Ask);
        sessions.heard(Some(id(1)), alive, NOW);
        assert_eq!(sessions.standing(Some(id(1)), after(seconds)), standing);
        assert_eq!(sessions.standing(Some(id(2)), after(seconds)), Standing::Ask);
        assert_eq!(sessions.standing(None, after(seconds)), Standing::Ask);
    }

    #[test]
    fn an_origin_that_is_away_keeps_out_only_those_it_told_of() {
        let mut sessions = Sessions::default();
        sessions.heard(Some(id(1)), false, NOW);
        sessions.unanswered(after(1));
        assert_eq!(sessions.standing(Some(id(1)), after(2)), Standing::Refuse);
        assert_eq!(sessions.standing(Some(id(2)), after(10)), Standing::LetIn);
        assert_eq!(sessions.standing(Some(id(2)), after(11)), Standing::Ask);
        sessions.unanswered(after(20));
        sessions.heard(Some(id(3)), true, after(21));
        assert_eq!(sessions.standing(Some(id(2)), after(22)), Standing::Ask, "it answers again");
    }

    #[rstest]
    #[case::in_order([(true, 0), (false, 1)], Standing::Refuse)]
    #[case::the_older_answer_comes_last([(false, 1), (true, 0)], Standing::Refuse)]
    #[case::asked_at_once([(true, 1), (false, 1)], Standing::Refuse)]
    #[case::asked_at_once_the_other_way([(false, 1), (true, 1)], Standing::Refuse)]
    #[case::a_mistake_is_corrected([(false, 0), (true, 1)], Standing::LetIn)]
    fn the_answer_to_the_later_question_counts(#[case] heard: [(bool, i64); 2], #[case] standing: Standing) {
        let mut sessions = Sessions::default();
        for (alive, asked) in heard {
            sessions.heard(Some(id(1)), alive, after(asked));
        }
        assert_eq!(sessions.standing(Some(id(1)), after(2)), standing);
    }

    #[test]
    fn the_oldest_make_room() {
        let mut sessions = Sessions::default();
        for n in 0..=32 {
            sessions.heard(Some(id(n)), true, after(i64::from(n)));
        }
        assert_eq!(sessions.known.len(), SESSIONS);
        assert_eq!(sessions.standing(Some(id(0)), after(32)), Standing::Ask);
        assert_eq!(sessions.standing(Some(id(1)), after(32)), Standing::LetIn);
    }
}
