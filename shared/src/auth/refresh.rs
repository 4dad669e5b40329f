//! Decisions about refresh tokens that are presented: rotation with a grace for a client whose answer was lost, and the end
//! of the session when somebody has a copy (RFC 9700, section 4.14.2).

use crate::time::Timestamp;

/// A refresh token as it stands, with its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PresentedToken {
    /// True when the session has been ended.
    pub is_session_ended: bool,
    /// The time at which the session ends whatever happens.
    pub session_expires_at: Timestamp,
    /// The time at which the token expires if it is not used.
    pub expires_at: Timestamp,
    /// Its use, if it was used.
    pub used: Option<UsedToken>,
}

/// The use of a refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsedToken {
    /// The time at which it was exchanged.
    pub at: Timestamp,
    /// The time at which its successor expires, as long as that is not used itself.
    pub unused_successor_expires_at: Option<Timestamp>,
}

/// The terms of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExchangeTerms {
    /// The time.
    pub now: Timestamp,
    /// The time at which a successor that is made now expires if it is not used. The session's own end comes first where it is
    /// earlier.
    pub successor_expires_at: Timestamp,
    /// Until so many milliseconds after its exchange the newest used token still gets its successor again.
    pub grace_ms: i64,
}

/// The decision about a token that is presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshDecision {
    /// It, or its session, has expired: as if it were not there.
    Expired,
    /// The session was ended before.
    Ended,
    /// It is used up now; its successor lives until then.
    Use(Timestamp),
    /// It was used up a moment ago: the same successor again, which lives until then.
    Again(Timestamp),
    /// It had been used: somebody has a copy, and the session ends.
    Reused,
}

impl PresentedToken {
    /// Decides on an exchange.
    pub fn decide(&self, terms: &ExchangeTerms) -> RefreshDecision {
        let now = terms.now;
        if self.is_session_ended {
            return RefreshDecision::Ended;
        }
        if self.session_expires_at <= now {
            return RefreshDecision::Expired;
        }
        match self.used {
            None if self.expires_at <= now => RefreshDecision::Expired,
            None => RefreshDecision::Use(terms.successor_expires_at.min(self.session_expires_at)),
            Some(UsedToken { at, unused_successor_expires_at: Some(expires_at) })
                if now.millis_since(at) <= terms.grace_ms =>
            {
                RefreshDecision::Again(expires_at)
            }
            Some(_) => RefreshDecision::Reused,
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_795_253_400_000);

    fn at(millis: i64) -> Timestamp {
        START.plus_millis(millis)
    }

    const TERMS: ExchangeTerms =
        ExchangeTerms { now: START, successor_expires_at: START.plus_millis(700), grace_ms: 10 };

    fn token(expires_ms: i64, used: Option<(i64, Option<i64>)>) -> PresentedToken {
        PresentedToken {
            is_session_ended: false,
            session_expires_at: at(1_000),
            expires_at: at(expires_ms),
            used: used.map(|(used_ms, successor_ms)| UsedToken {
                at: at(used_ms),
                unused_successor_expires_at: successor_ms.map(at),
            }),
        }
    }

    #[rstest]
    #[case::fresh(token(1, None), RefreshDecision::Use(at(700)))]
    #[case::idle_for_too_long(token(0, None), RefreshDecision::Expired)]
    #[case::again_at_the_end_of_the_grace(token(-5, Some((-10, Some(690)))), RefreshDecision::Again(at(690)))]
    #[case::again_too_late(token(500, Some((-11, Some(690)))), RefreshDecision::Reused)]
    #[case::the_successor_is_in_use(token(500, Some((-1, None))), RefreshDecision::Reused)]
    #[case::used_on_a_clock_ahead(token(500, Some((3, Some(690)))), RefreshDecision::Again(at(690)))]
    fn exchange_in_live_session_depends_on_token(
        #[case] token: PresentedToken,
        #[case] decision: RefreshDecision,
    ) {
        assert_eq!(token.decide(&TERMS), decision);
        // Whatever the token is, an ended session lets nobody in and an expired one is not there.
        let ended = PresentedToken { is_session_ended: true, ..token };
        assert_eq!(ended.decide(&TERMS), RefreshDecision::Ended);
        let expired = PresentedToken { session_expires_at: at(0), ..token };
        assert_eq!(expired.decide(&TERMS), RefreshDecision::Expired);
    }

    #[test]
    fn token_expires_with_its_session() {
        let token = PresentedToken { session_expires_at: at(300), ..token(1, None) };
        assert_eq!(token.decide(&TERMS), RefreshDecision::Use(at(300)));
    }
}
