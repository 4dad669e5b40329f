use proptest::prelude::*;
use rstest::rstest;

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_795_253_400_007);
const KEY_A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const KEY_B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
const NONCE: &str = "019aa5d2-8c00-7000-8000-3f6d2b1c9e77";

fn keys(list: &str) -> EdgeKeys {
    EdgeKeys::parse(list).unwrap()
}

const HEAD: RequestHead<'_> = RequestHead {
    method: "POST",
    path_and_query: "/internal/v1/turns?x=1",
    request_id: "r-1",
    client_ip: "203.0.113.7",
};

fn with_body<'a>(head: RequestHead<'a>, body_sha256: &'a [u8; 32]) -> EdgeRequest<'a> {
    let RequestHead { method, path_and_query, request_id, client_ip } = head;
    EdgeRequest { method, path_and_query, body_sha256, request_id, client_ip }
}

fn signed(list: &str) -> String {
    keys(list).sign(&with_body(HEAD, &sha256(b"{}")), NOW, NONCE)
}

#[test]
fn signed_request_is_verified() {
    let header = signed(KEY_A);
    assert!(header.starts_with(&format!("v1;t={};n={NONCE};d=44136fa355b3678a", NOW.as_secs())), "{header}");
    let expected = Signed {
        nonce: NONCE.to_owned(),
        created: Timestamp::from_millis(NOW.as_secs() * 1_000),
        body_sha256: sha256(b"{}"),
    };
    assert_eq!(keys(KEY_A).verify(&HEAD, &header, NOW), Ok(expected));
}

#[rstest]
#[case::the_new_key_signs("{B},{A}", "{A},{B}", true)]
#[case::the_old_key_still_counts("{A}", "{B},{A}", true)]
#[case::only_the_first_signs("{B},{A}", "{A}", false)]
#[case::another_key("{B}", "{A}", false)]
fn key_can_be_replaced(#[case] signer: &str, #[case] verifier: &str, #[case] good: bool) {
    let list = |text: &str| text.replace("{A}", KEY_A).replace("{B}", KEY_B);
    let outcome = keys(&list(verifier)).verify(&HEAD, &signed(&list(signer)), NOW);
    assert_eq!(outcome.map(|_| ()), if good { Ok(()) } else { Err(SignatureError::Mismatch) });
}

#[rstest]
#[case(0, true)]
#[case(30, true)]
#[case(31, false)]
#[case(-30, true)]
#[case(-31, false)]
fn signature_is_valid_for_half_a_minute(#[case] seconds: i64, #[case] good: bool) {
    let outcome = keys(KEY_A).verify(&HEAD, &signed(KEY_A), NOW.plus_millis(seconds * 1_000));
    assert_eq!(
        outcome.map(|_| ()),
        if good { Ok(()) } else { Err(SignatureError::Stale { skew_s: -seconds }) }
    );
}

#[test]
fn signature_error_as_header_is_plain_and_names_the_seconds() {
    use SignatureError::{Malformed, Mismatch, Missing, NoKeys, OtherBody, Replayed, Stale};

    for error in [Missing, NoKeys, Malformed, Mismatch, Stale { skew_s: i64::MIN }, OtherBody, Replayed] {
        let text = error.to_string();
        assert!(text.bytes().all(|b| b == b' ' || b.is_ascii_graphic()), "{text}");
    }
    assert!(Stale { skew_s: -31 }.to_string().contains("-31 s"));
}

#[rstest]
#[case("", 1, 0)]
#[case("short", 1, 5)]
#[case("{A},", 2, 0)]
#[case("{A}, b ,{A}", 2, 1)]
fn short_keys_are_named_by_their_place(#[case] list: &str, #[case] position: usize, #[case] chars: usize) {
    let error = EdgeKeys::parse(&list.replace("{A}", KEY_A)).unwrap_err();
    assert_eq!(error, EdgeKeysError { position, chars });
}

#[test]
fn keys_are_not_printed() {
    assert_eq!(format!("{:?}", keys(KEY_A)), "EdgeKeys { .. }");
}

#[rstest]
#[case("")]
#[case("v1")]
#[case("v2;t=1;n={N};d={D};m={D}")]
#[case("v1;t=;n={N};d={D};m={D}")]
#[case("v1;t=+1;n={N};d={D};m={D}")]
#[case("v1;t=01;n={N};d={D};m={D}")]
#[case("v1;t=1;n=short;d={D};m={D}")]
#[case("v1;t=1;n={N}.;d={D};m={D}")]
#[case("v1;t=1;n={N}{N};d={D};m={D}")]
#[case("v1;t=1;n={N};d={D}00;m={D}")]
#[case("v1;t=1;n={N};d=Z;m={D}")]
#[case("v1;t=1;n={N};m={D};d={D}")]
#[case("v1;t=1;n={N};d={D};m={D};x=1")]
#[case("v1;t=1;n={N};d={D};m={D};")]
#[case("v1;t=99999999999999999999;n={N};d={D};m={D}")]
fn other_headers_are_malformed(#[case] header: &str) {
    let header = header.replace("{N}", NONCE).replace("{D}", &"ab".repeat(32));
    assert_eq!(keys(KEY_A).verify(&HEAD, &header, NOW), Err(SignatureError::Malformed), "{header}");
}

/// Parts of a request, among them such as would fit together in more than one way without their lengths.
fn parts() -> impl Strategy<Value = [String; 4]> {
    let part = || prop_oneof!["[a-c/?\n;]{0,3}", ".{0,20}"];
    [part(), part(), part(), part()]
}

fn head(parts: &[String; 4]) -> RequestHead<'_> {
    let [method, path_and_query, request_id, client_ip] = parts;
    RequestHead { method, path_and_query, request_id, client_ip }
}

proptest! {
    #[test]
    fn only_the_same_request_has_the_signature(a in parts(), b in parts(), body: [u8; 4]) {
        let digest = sha256(&body);
        let header = keys(KEY_A).sign(&with_body(head(&a), &digest), NOW, NONCE);
        let same = keys(KEY_A).verify(&head(&a), &header, NOW);
        prop_assert_eq!(same.map(|signed| signed.body_sha256), Ok(digest));
        prop_assert_eq!(keys(KEY_A).verify(&head(&b), &header, NOW).is_ok(), a == b);
    }

    #[test]
    fn text_moved_to_next_field_is_another_request(text in "[a-z]{2,8}", cut in 1usize..8, field in 0usize..3) {
        let cut = cut.min(text.len());
        let mut whole: [String; 4] = Default::default();
        let mut moved = whole.clone();
        whole[field].clone_from(&text);
        let (kept, pushed) = text.split_at(text.len() - cut);
        (moved[field], moved[field + 1]) = (kept.to_owned(), pushed.to_owned());
        let header = keys(KEY_A).sign(&with_body(head(&whole), &[0; 32]), NOW, NONCE);
        prop_assert_eq!(keys(KEY_A).verify(&head(&moved), &header, NOW), Err(SignatureError::Mismatch));
    }

    #[test]
    fn changed_header_is_refused(place in any::<prop::sample::Index>(), to in "[ -~]") {
        let header = signed(KEY_A);
        let mut changed = header.clone().into_bytes();
        let place = place.index(changed.len());
        changed[place] = to.as_bytes()[0];
        let changed = String::from_utf8(changed).unwrap();
        prop_assert_eq!(keys(KEY_A).verify(&HEAD, &changed, NOW).is_ok(), changed == header);
    }

    #[test]
    fn arbitrary_text_is_refused(text in ".{0,300}") {
        prop_assert!(keys(KEY_A).verify(&HEAD, &text, NOW).is_err());
    }

    #[test]
    fn digests_survive_their_text(bytes: [u8; 32]) {
        prop_assert_eq!(unhex(&hex(&bytes)), Some(bytes));
    }
}
