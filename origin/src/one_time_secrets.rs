//! Codes and tokens that prove who somebody is, once. Each is derived from an id, so that a job that sends one holds only the id: no
//! secret is at rest in the accounts, in their backups or in the logs of a database.
//!
//! All come from the first secret of `JWT_SECRET`. When that is replaced, a code from before is void, since its hash is keyed, and so is
//! a token that was scheduled and not sent, since another one is derived when it is. Their users ask for another one; both live for
//! minutes.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hkdf::Hkdf;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use shared::{
    address::Address, api::account::codes::CodePurpose, auth::edge::sha256, id::Id, time::Timestamp,
};
use subtle::ConstantTimeEq as _;

/// Separates this key from others derived from the same secret (RFC 5869, section 3.2).
const KEY_INFO: &[u8] = b"edgechat one-time secret v1";
/// The number of codes there are: six decimal digits.
const CODES: u32 = 1_000_000;

/// The bytes of a link's token: the user's id, the time, and 256 bits derived from both and from the address.
const EMAIL_LINK_BYTES: usize = 16 + 8 + 32;

/// The claim of the token of a link to confirm an e-mail address. It is true when [`OneTimeSecrets::is_email_link`] says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmailLink {
    /// The user whose address it is.
    pub user_id: Id,
    /// The time at which the link expires.
    pub expires_at: Timestamp,
    proof: [u8; 32],
}

/// Derives one-time secrets.
#[derive(Clone)]
pub struct OneTimeSecrets(Hmac<Sha256>);

impl EmailLink {
    /// Reads the token of a link; anything of another form is `None`.
    pub fn decode(token: &str) -> Option<Self> {
        let bytes: [u8; EMAIL_LINK_BYTES] = URL_SAFE_NO_PAD.decode(token).ok()?.try_into().ok()?;
        let (user_id, rest) = bytes.split_first_chunk()?;
        let (expires_at, proof) = rest.split_first_chunk()?;
        Some(Self {
            user_id: Id::from_bytes(*user_id),
            expires_at: Timestamp::from_millis(i64::from_be_bytes(*expires_at)),
            proof: proof.try_into().ok()?,
        })
    }
}

impl OneTimeSecrets {
    /// Derives the key from the first secret of `JWT_SECRET`.
    ///
    /// # Errors
    ///
    /// Fails when the key is longer than HKDF can derive, which a test rules out.
    pub fn new(jwt_secret: &str) -> Result<Self, hkdf::InvalidLength> {
        let mut key = hmac::digest::Key::<Hmac<Sha256>>::default();
        Hkdf::<Sha256>::new(None, jwt_secret.as_bytes()).expand(KEY_INFO, &mut key)?;
        Ok(Self(Hmac::new(&key)))
    }

    /// Returns the code of this id: six decimal digits, each code as likely as any other.
    pub fn code(&self, id: Id) -> String {
        // The remainder of a number of 256 bits: no code is more likely than another by more than one in 2²³⁶.
        let derived = self.derive("code", &[id.as_bytes()]);
        let code = derived.iter().fold(0, |rest, byte| (rest * 256 + u32::from(*byte)) % CODES);
        format!("{code:06}")
    }

    /// Returns the token of this id: 256 bits in the alphabet of URLs.
    pub fn token(&self, id: Id) -> String {
        URL_SAFE_NO_PAD.encode(self.derive("token", &[id.as_bytes()]))
    }

    /// Returns the hash of the token of this id, which is stored where the token is accepted.
    pub fn token_hash(&self, id: Id) -> [u8; 32] {
        sha256(&self.derive("token", &[id.as_bytes()]))
    }

    /// Returns the token of a link with which a user confirms that an e-mail address is theirs. Nothing of it is stored: it proves that
    /// somebody read a mail to this address, and is of no use once the address is confirmed or another one.
    pub fn email_link_token(&self, user_id: Id, email: &str, expires_at: Timestamp) -> String {
        let proof = self.email_link_proof(user_id, email, expires_at);
        let mut token = Vec::with_capacity(EMAIL_LINK_BYTES);
        token.extend_from_slice(user_id.as_bytes());
        token.extend_from_slice(&expires_at.as_millis().to_be_bytes());
        token.extend_from_slice(&proof);
        URL_SAFE_NO_PAD.encode(token)
    }

    /// Returns whether a link was sent to this address of its user.
    pub fn is_email_link(&self, link: &EmailLink, email: &str) -> bool {
        self.email_link_proof(link.user_id, email, link.expires_at).ct_eq(&link.proof).into()
    }

    fn email_link_proof(&self, user_id: Id, email: &str, expires_at: Timestamp) -> [u8; 32] {
        let expires_at = expires_at.as_millis().to_be_bytes();
        self.derive("e-mail link", &[user_id.as_bytes(), email.as_bytes(), &expires_at])
    }

    /// Returns the keyed hash of a code, for the ephemeral store. It is another one for another recipient or purpose, so a code that
    /// was sent for one thing proves nothing else. The code is what somebody typed.
    pub fn code_hash(&self, code: &str, to: &Address, purpose: CodePurpose) -> [u8; 32] {
        let fields = [to.kind(), to.as_str(), purpose.as_str(), code];
        self.derive("code hash", &fields.map(str::as_bytes))
    }

    /// Derives 256 bits from fields. Their lengths are part of it, so that no two lists of fields are one text.
    fn derive(&self, domain: &str, fields: &[&[u8]]) -> [u8; 32] {
        let mut mac = self.0.clone();
        for field in [domain.as_bytes()].iter().chain(fields) {
            mac.update(&u64::try_from(field.len()).unwrap_or(u64::MAX).to_be_bytes());
            mac.update(field);
        }
        mac.finalize().into_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const SECRET: &str = "0f9a3b7c5d1e8f2a4b6c0d9e7f3a5b1c";

    fn secrets() -> OneTimeSecrets {
        OneTimeSecrets::new(SECRET).unwrap()
    }

    fn id(number: u128) -> Id {
        Id::from_bytes(number.to_be_bytes())
    }

    /// Pinned: another version of the program may send what this one schedules.
    #[test]
    fn code_and_token_of_an_id_never_change() {
        let secrets = secrets();
        assert_eq!(secrets.code(id(1)), "789539");
        assert_eq!(secrets.token(id(1)), "dbzBZHb8OeS9EeowRq_XOYWPg9KTN244PcHXRC-jUK4");
    }

    #[test]
    fn codes_are_uniformly_distributed() {
        const SAMPLES: u32 = 100_000;
        let secrets = secrets();
        let mut counts = [[0_u32; 10]; 6];
        for number in 0..SAMPLES {
            for (place, digit) in secrets.code(id(number.into())).bytes().enumerate() {
                counts[place][usize::from(digit - b'0')] += 1;
            }
        }
        for counts in counts {
            let expected = f64::from(SAMPLES) / 10.0;
            let chi_square: f64 =
                counts.iter().map(|count| (f64::from(*count) - expected).powi(2) / expected).sum();
            // Nine degrees of freedom: less than one in 100,000 samples is beyond; the sample is always the same.
            assert!(chi_square < 39.3, "{chi_square}: {counts:?}");
        }
    }

    #[test]
    fn hash_of_a_code_is_another_for_each_recipient_and_purpose() {
        let secrets = secrets();
        let recipients = [
            Address::Email("ada@example.com".to_owned()),
            Address::Email("adb@example.com".to_owned()),
            Address::Phone("+491701234567".to_owned()),
            Address::Email("+491701234567".to_owned()),
        ];
        let purposes = [CodePurpose::Login, CodePurpose::Verify, CodePurpose::Reset, CodePurpose::Delete];
        let hashes: BTreeSet<_> = recipients
            .iter()
            .flat_map(|to| purposes.map(|purpose| secrets.code_hash("123456", to, purpose)))
            .collect();
        assert_eq!(hashes.len(), recipients.len() * purposes.len());
    }

    #[test]
    fn email_link_proves_its_user_address_and_time_alone() {
        let expires_at = Timestamp::from_millis(1_795_253_400_007);
        let token = secrets().email_link_token(id(1), "ada@example.com", expires_at);
        let link = EmailLink::decode(&token).unwrap();
        assert_eq!((link.user_id, link.expires_at), (id(1), expires_at));
        assert!(secrets().is_email_link(&link, "ada@example.com"));
        assert!(!secrets().is_email_link(&link, "eve@example.com"));
        let later = EmailLink { expires_at: expires_at.plus_millis(1), ..link };
        let other = EmailLink { user_id: id(2), ..link };
        for forged in [later, other] {
            assert!(!secrets().is_email_link(&forged, "ada@example.com"));
        }
        for malformed in ["", "a", &token.replacen('A', "", 1), &format!("{token}AAAA"), "é"] {
            assert_eq!(EmailLink::decode(malformed), None, "{malformed}");
        }
    }

    proptest! {
        #[test]
        fn code_has_six_digits_and_token_256_bits(number: u128) {
            let (secrets, id) = (secrets(), id(number));
            let code = secrets.code(id);
            prop_assert!(code.len() == 6 && code.bytes().all(|digit| digit.is_ascii_digit()), "{code}");
            let token = URL_SAFE_NO_PAD.decode(secrets.token(id)).unwrap();
            prop_assert_eq!(token.len(), 32);
            prop_assert_eq!((secrets.code(id), URL_SAFE_NO_PAD.encode(token)), (code, secrets.token(id)));
        }

        #[test]
        fn secrets_of_other_ids_and_other_keys_are_others(one: u128, other: u128, key in "[a-f0-9]{32}") {
            prop_assume!(one != other && key != SECRET);
            let other_key = OneTimeSecrets::new(&key).unwrap();
            let tokens = [secrets().token(id(one)), secrets().token(id(other)), other_key.token(id(one))];
            prop_assert_eq!(BTreeSet::from(tokens).len(), 3);
        }

        #[test]
        fn hash_depends_on_the_code_alone_for_one_recipient_and_purpose(code in "[0-9]{6}", guess in "\\PC{0,8}") {
            let to = Address::Email("ada@example.com".to_owned());
            let hash = |code: &str| secrets().code_hash(code, &to, CodePurpose::Login);
            prop_assert_eq!(hash(&code) == hash(&guess), code == guess);
        }

        #[test]
        fn fields_are_never_joined(one in "[ab]{0,4}", other in "[ab]{0,4}", third in "[ab]{0,4}", fourth in "[ab]{0,4}") {
            let same = (&one, &other) == (&third, &fourth);
            let derived = |fields: [&str; 2]| secrets().derive("x", &fields.map(str::as_bytes));
            prop_assert_eq!(derived([&one, &other]) == derived([&third, &fourth]), same);
        }
    }
}
