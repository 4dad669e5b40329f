//! The origin's notices that the user object keeps of its account: ended sessions, the plan, the account's deletion. Each is
//! valid until every access token that could contradict it has expired.

use serde::{Deserialize, Serialize};

use crate::{
    api::{account::Plan, internal::user_event::UserEvent},
    auth::claims::LEEWAY_S,
    id::Id,
    time::{DAY_MS, SECOND_MS, Timestamp},
};

/// The lifetime of a notice: the longest life of an access token (`ACCESS_TOKEN_EXPIRE_MINUTES` is at most a day), its leeway,
/// and an hour for clocks.
const RETENTION_MS: i64 = DAY_MS + LEEWAY_S * SECOND_MS + 3_600 * SECOND_MS;
/// The most ended sessions that are kept one by one; beyond it the oldest are dropped, and checked with the origin.
const MAX_ENDED: usize = 64;

/// A session that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct EndedSession {
    id: Id,
    at: Timestamp,
}

/// The end of all sessions that had begun by then, but for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct EndedBefore {
    at: Timestamp,
    except: Option<Id>,
}

/// A plan since then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct PlanSince {
    at: Timestamp,
    plan: Plan,
}

/// The notices of one account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountNotices {
    #[serde(default)]
    ended: Vec<EndedSession>,
    #[serde(default)]
    ended_before: Option<EndedBefore>,
    #[serde(default)]
    plan: Option<PlanSince>,
    #[serde(default)]
    is_deleted: bool,
    /// True when the user had agreed to everything that is required, by the origin's last word.
    #[serde(default)]
    pub has_consented: bool,
}

impl AccountNotices {
    /// Records an event of time `at`, and drops notices that no token can contradict any more. Returns true when anything changed.
    /// The result is the same for any order and repetition of events.
    pub fn record(&mut self, event: UserEvent, at: Timestamp, now: Timestamp) -> bool {
        let before = self.clone();
        match event {
            UserEvent::SessionEnded { session_id: id } => {
                self.ended.retain(|session| session.id != id);
                self.ended.push(EndedSession { id, at });
            }
            UserEvent::UserSessionsEnded { except } => {
                if self.ended_before.is_none_or(|known| known.at < at) {
                    self.ended_before = Some(EndedBefore { at, except });
                }
            }
            UserEvent::PlanChanged { plan } => {
                if self.plan.is_none_or(|known| known.at <= at) {
                    self.plan = Some(PlanSince { at, plan });
                }
            }
            UserEvent::UserDeleted => self.is_deleted = true,
            UserEvent::ConversationChanged { .. }
            | UserEvent::ConversationDeleted { .. }
            | UserEvent::Unknown => {}
        }
        if self.is_deleted {
            // Nothing else counts any more, and nothing else of the user is to stay.
            *self = Self { is_deleted: true, ..Self::default() };
        }
        self.forget_outdated(now);
        *self != before
    }

    /// Returns whether this session is known to have ended.
    pub fn is_ended(&self, session: Id) -> bool {
        self.is_deleted
            || self.ended.iter().any(|ended| ended.id == session)
            || self
                .ended_before
                .is_some_and(|ended| ended.except != Some(session) && session.timestamp() <= ended.at)
    }

    /// Returns the plan of a user whose token, issued at `issued_at`, names `plan`. A token of the same second as the change was
    /// issued after it, or is as good as one.
    pub fn plan(&self, plan: Plan, issued_at: Timestamp) -> Plan {
        match self.plan {
            Some(known) if issued_at.as_secs() <= known.at.as_secs() => known.plan,
            _ => plan,
        }
    }

    /// Returns whether the account was deleted.
    pub const fn is_deleted(&self) -> bool {
        self.is_deleted
    }

    fn forget_outdated(&mut self, now: Timestamp) {
        let is_current = |at: Timestamp| now.millis_since(at) < RETENTION_MS;
        self.ended.retain(|session| is_current(session.at));
        self.ended.sort_unstable_by_key(|session| (session.at, session.id));
        self.ended.drain(..self.ended.len().saturating_sub(MAX_ENDED));
        self.ended_before = self.ended_before.filter(|ended| is_current(ended.at));
        self.plan = self.plan.filter(|known| is_current(known.at));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_253_400_000);

    const fn after(seconds: i64) -> Timestamp {
        NOW.plus_millis(seconds * SECOND_MS)
    }

    /// A session that began so many seconds after `NOW`.
    fn session(seconds: i64) -> Id {
        Id::new(after(seconds), [7; 10])
    }

    fn noted(events: &[(UserEvent, i64)], now: i64) -> AccountNotices {
        let mut notices = AccountNotices::default();
        for (event, at) in events {
            notices.record(*event, after(*at), after(now));
        }
        notices
    }

    #[test]
    fn ended_session_is_ended_and_no_other() {
        let notices = noted(&[(UserEvent::SessionEnded { session_id: session(0) }, 10)], 10);
        assert!(notices.is_ended(session(0)));
        assert!(!notices.is_ended(session(1)));
    }

    #[rstest]
    #[case::began_before(-5, true)]
    #[case::began_at_that_moment(10, true)]
    #[case::began_later(11, false)]
    #[case::goes_on(0, false)]
    fn sessions_of_before_are_ended_but_for_one(#[case] began: i64, #[case] is_ended: bool) {
        let event = UserEvent::UserSessionsEnded { except: Some(session(0)) };
        assert_eq!(noted(&[(event, 10)], 10).is_ended(session(began)), is_ended);
    }

    #[rstest]
    #[case::token_of_before(9, Plan::Pro)]
    #[case::token_of_the_same_second(10, Plan::Pro)]
    #[case::token_of_later(11, Plan::Basic)]
    fn plan_is_that_of_the_newer_word(#[case] issued: i64, #[case] plan: Plan) {
        let notices = noted(&[(UserEvent::PlanChanged { plan: Plan::Pro }, 10)], 10);
        assert_eq!(notices.plan(Plan::Basic, after(issued)), plan);
    }

    #[test]
    fn deleted_account_has_no_session_ever() {
        let notices = noted(&[(UserEvent::UserDeleted, 0)], 10 * 86_400);
        assert!(notices.is_deleted() && notices.is_ended(session(10 * 86_400)));
    }

    #[rstest]
    #[case::before(&[(UserEvent::SessionEnded { session_id: session(0) }, 0), (UserEvent::UserDeleted, 1)])]
    #[case::after(&[(UserEvent::UserDeleted, 1), (UserEvent::PlanChanged { plan: Plan::Pro }, 2)])]
    fn deleted_account_keeps_no_other_notice(#[case] events: &[(UserEvent, i64)]) {
        assert_eq!(noted(events, 3), AccountNotices { is_deleted: true, ..AccountNotices::default() });
    }

    #[test]
    fn notices_are_forgotten_when_no_token_contradicts_them() {
        let events = [
            (UserEvent::SessionEnded { session_id: session(0) }, 0),
            (UserEvent::UserSessionsEnded { except: None }, 0),
            (UserEvent::PlanChanged { plan: Plan::Pro }, 0),
        ];
        let unknown = (UserEvent::Unknown, 0);
        let kept = noted(&[events.as_slice(), &[unknown]].concat(), 86_400 + 30);
        assert!(kept.is_ended(session(0)) && kept.plan(Plan::Basic, NOW) == Plan::Pro);
        assert_eq!(noted(&[events.as_slice(), &[unknown]].concat(), 2 * 86_400), AccountNotices::default());
    }

    #[test]
    fn oldest_ended_sessions_make_room() {
        let ended = |n: i64| (UserEvent::SessionEnded { session_id: session(n) }, n);
        let events: Vec<_> = (0..=64).map(ended).collect();
        let notices = noted(&events, 64);
        assert_eq!(notices.ended.len(), MAX_ENDED);
        assert!(!notices.is_ended(session(0)) && notices.is_ended(session(1)));
    }

    fn any_event() -> impl Strategy<Value = (UserEvent, i64)> {
        let event = prop_oneof![
            (0..5_i64).prop_map(|n| UserEvent::SessionEnded { session_id: session(n) }),
            Just(UserEvent::UserSessionsEnded { except: None }),
            Just(UserEvent::UserDeleted),
        ];
        (event, 0..20_i64)
    }

    proptest! {
        #[test]
        fn order_and_repetition_of_events_change_nothing(
            events in proptest::collection::vec(any_event(), 0..12),
            seed in any::<proptest::sample::Index>(),
        ) {
            let mut other = events.clone();
            if !other.is_empty() {
                let at = seed.index(other.len());
                other.rotate_left(at);
                other.extend(events.first().copied());
            }
            let (one, other) = (noted(&events, 20), noted(&other, 20));
            for n in 0..20 {
                prop_assert_eq!(one.is_ended(session(n)), other.is_ended(session(n)));
            }
        }

        #[test]
        fn notices_read_back(events in proptest::collection::vec(any_event(), 0..12)) {
            let notices = noted(&events, 20);
            let json = serde_json::to_string(&notices).unwrap();
            prop_assert_eq!(serde_json::from_str::<AccountNotices>(&json).unwrap(), notices);
        }
    }
}
