use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::{
    api::account::Plan,
    auth::claims::{AUDIENCE, ISSUER},
    id::Id,
};

const NOW: Timestamp = Timestamp::from_millis(1_795_253_400_000);
const SECRET: &str = "a secret of more than 32 characters";
const HOUR_MS: i64 = 3_600 * SECOND_MS;

const fn at(millis: i64) -> Timestamp {
    NOW.plus_millis(millis)
}

fn private(number: u8) -> SigningKey {
    SigningKey::from_salted_secret(SECRET, &[number; 32]).unwrap()
}

fn key(number: u8, signs_from_ms: i64) -> RotatedKey {
    let private = private(number);
    let (published_at, signs_from) = (at(signs_from_ms - HOUR_MS), at(signs_from_ms));
    RotatedKey {
        number: number.into(),
        public: private.jwk().clone(),
        private: Some(private),
        published_at,
        signs_from,
    }
}

fn ring(rotated: Vec<RotatedKey>) -> KeyRing {
    KeyRing::new(SigningKeys::parse(SECRET).unwrap(), rotated)
}

fn token(key: &SigningKey, issued_ms: i64) -> String {
    let (id, issued) = (Id::new(NOW, [1; 10]), at(issued_ms).as_secs());
    key.sign(&Claims {
        iss: ISSUER.to_owned(),
        aud: AUDIENCE.to_owned(),
        sub: id,
        sid: id,
        jti: id,
        iat: issued,
        nbf: issued,
        exp: issued + 86_400,
        plan: Plan::Basic,
    })
}

#[test]
fn key_of_the_secret_alone_signs_and_verifies() {
    let ring = ring(Vec::new());
    let own = SigningKey::from_secret(SECRET).unwrap();
    assert_eq!((ring.signing(NOW).kid(), ring.jwk_set(NOW)), (own.kid(), own.jwk_set()));
    assert!(ring.verify(&token(&own, 0), NOW).is_ok());
    assert_eq!(ring.keep_from(NOW), 0);
}

#[rstest]
#[case::before(-1, "own")]
#[case::first(0, "1")]
#[case::before_the_second(HOUR_MS - 1, "1")]
#[case::second(HOUR_MS, "2")]
fn newest_key_whose_time_has_come_signs(#[case] now_ms: i64, #[case] expected: &str) {
    let ring = ring(vec![key(2, HOUR_MS), key(1, 0)]);
    let signing = ring.signing(at(now_ms)).kid();
    let names = [("own", ring.own().signing().clone()), ("1", private(1)), ("2", private(2))];
    let name = names.iter().find(|(_, key)| key.kid() == signing).unwrap().0;
    assert_eq!(name, expected);
    // Whichever signs, everybody who has this ring accepts it, and publishes it.
    let token = token(ring.signing(at(now_ms)), now_ms);
    assert!(ring.verify(&token, at(now_ms)).is_ok());
    assert!(ring.jwk_set(at(now_ms)).find(signing).is_some());
}

#[test]
fn key_that_cannot_be_derived_leaves_signing_to_the_secret() {
    let foreign = RotatedKey { private: None, ..key(2, 0) };
    let ring = ring(vec![key(1, -HOUR_MS), foreign]);
    assert_eq!(ring.signing(NOW).kid(), ring.own().signing().kid());
    assert!(ring.verify(&token(&private(2), 0), NOW).is_ok(), "others sign with it");
}

#[rstest]
#[case::next(key(3, 1), KeyState::Next, None)]
#[case::signing(key(3, 0), KeyState::Signing, None)]
#[case::old(key(1, -2 * HOUR_MS), KeyState::Old, Some(LAST_TOKEN_MS - HOUR_MS))]
fn state_follows_from_the_times(
    #[case] shown: RotatedKey,
    #[case] state: KeyState,
    #[case] accepted_until_ms: Option<i64>,
) {
    let mut keys = vec![key(1, -2 * HOUR_MS), key(2, -HOUR_MS)];
    keys.retain(|known| known.number != shown.number);
    keys.push(shown.clone());
    assert_eq!(ring(keys).state(&shown, NOW), (state, accepted_until_ms.map(at)));
}

#[test]
fn retired_key_is_accepted_until_its_last_token_ends_and_kept_for_deliveries() {
    let ring = ring(vec![key(1, -HOUR_MS), key(2, 0)]);
    let old = ring.rotated()[0].clone();
    let last = token(&private(1), -1);
    let kid = &old.public.kid;
    assert!(ring.verify(&last, at(DAY_MS)).is_ok() && ring.jwk_set(at(DAY_MS)).find(kid).is_some());
    // Whoever has the old key makes no token of later.
    let late = token(&private(1), LAST_TOKEN_MS);
    assert_eq!(ring.verify(&late, at(LAST_TOKEN_MS)), Err(TokenError::Invalid("expired key")));
    assert_eq!(ring.jwk_set(at(LAST_TOKEN_MS)).find(kid), None);
    assert_eq!(ring.state(&old, at(LAST_TOKEN_MS)).0, KeyState::Kept);
    // A delivery is judged as of its turn's time.
    assert!(ring.verify(&last, NOW).is_ok());
    let end = LAST_TOKEN_MS + MAX_DELIVERY_AGE_MS;
    assert_eq!((ring.keep_from(at(end - 1)), ring.keep_from(at(end))), (1, 2));
}

#[test]
fn token_of_a_key_elsewhere_is_told_from_one_without_key() {
    let ring = ring(vec![key(1, 0)]);
    assert!(ring.knows_key_of(&token(&private(1), 0)) && ring.knows_key_of("no token"));
    assert!(!ring.knows_key_of(&token(&private(2), 0)));
}

proptest! {
    /// Two origins of which one has read the list before the last key was stored, as long ago as the lead: no token of one is
    /// refused by the other.
    #[test]
    fn origins_that_read_the_list_within_the_lead_agree(
        gaps in prop::collection::vec(HOUR_MS..3 * DAY_MS, 1..6),
        now_ms in 0..10 * DAY_MS,
    ) {
        let mut signs_from = 0;
        let keys: Vec<_> = gaps.iter().zip(1..).map(|(gap, number)| {
            signs_from += gap;
            key(number, signs_from)
        }).collect();
        let now = at(now_ms);
        let known: Vec<_> = keys.iter().filter(|key| key.published_at <= now).cloned().collect();
        // Read before whatever was published within the last lead.
        let read_at = now.plus_millis(1 - HOUR_MS);
        let behind: Vec<_> = keys.iter().filter(|key| key.published_at <= read_at).cloned().collect();
        let (ahead, behind) = (ring(known), ring(behind));
        let token = token(ahead.signing(now), now_ms);
        prop_assert!(behind.verify(&token, now).is_ok() || ahead.signing(now).kid() != behind.signing(now).kid());
        prop_assert_eq!(ahead.signing(now).kid(), behind.signing(now).kid());
    }
}
