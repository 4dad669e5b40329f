//! The signature of the Worker's requests to the origin: HMAC-SHA256 over everything the origin takes from the Worker's
//! word. It tells that a request came through the Worker; who the user is, their own token tells.

use std::fmt;

use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};

use crate::time::{SECOND_MS, Timestamp};

/// The fewest characters of a key.
pub const MIN_KEY_CHARS: usize = 32;
/// The most seconds that the clocks of Worker and origin may be apart.
pub const MAX_SKEW_S: i64 = 30;

const VERSION: &str = "v1";
/// The lengths of a nonce.
const NONCE_CHARS: std::ops::RangeInclusive<usize> = 16..=64;

type HmacSha256 = Hmac<Sha256>;

/// The SHA-256 of a request's body.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// The error of a list of keys. It tells the place of the key, never the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("key {position} has {chars} characters, at least {MIN_KEY_CHARS} are needed")]
pub struct EdgeKeysError {
    /// The key's place in the list, from 1.
    pub position: usize,
    /// Its length in characters.
    pub chars: usize,
}

/// The keys that Worker and origin share. The first signs, all verify, so that a key can be replaced without a gap.
#[derive(Clone)]
pub struct EdgeKeys {
    first: HmacSha256,
    others: Vec<HmacSha256>,
}

impl fmt::Debug for EdgeKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EdgeKeys").finish_non_exhaustive()
    }
}

/// A request that is about to be signed.
#[derive(Clone, Copy, Debug)]
pub struct EdgeRequest<'a> {
    /// The method in capitals.
    pub method: &'a str,
    /// Path and query as they stand in the request line.
    pub path_and_query: &'a str,
    /// The SHA-256 of the body.
    pub body_sha256: &'a [u8; 32],
    /// The value of `X-Request-ID`.
    pub request_id: &'a str,
    /// The value of `X-EdgeChat-Client-IP`.
    pub client_ip: &'a str,
}

/// A request as it came in, before its body was read.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    /// The method in capitals.
    pub method: &'a str,
    /// Path and query as they stand in the request line.
    pub path_and_query: &'a str,
    /// The value of `X-Request-ID`; empty when absent.
    pub request_id: &'a str,
    /// The value of `X-EdgeChat-Client-IP`; empty when absent.
    pub client_ip: &'a str,
}

/// The content of a good signature. The caller still checks that the body has this digest and that the nonce is new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// Unique to the request.
    pub nonce: String,
    /// The time at which it was signed, in whole seconds.
    pub created: Timestamp,
    /// The SHA-256 of the body that was signed.
    pub body_sha256: [u8; 32],
}

/// The error of a signature. Each text is plain ASCII: it goes back to the Worker in a header and into both logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// There is none.
    #[error("the request is not signed")]
    Missing,
    /// The origin has no key to verify with.
    #[error("the origin has no EDGE_KEYS")]
    NoKeys,
    /// The header is not one of ours.
    #[error("the signature header is malformed")]
    Malformed,
    /// No key made this signature for this request.
    #[error("no key of EDGE_KEYS made the signature")]
    Mismatch,
    /// It was made more than [`MAX_SKEW_S`] ago, or as far in the future.
    #[error("the Worker's clock is {skew_s} s from the origin's, more than {MAX_SKEW_S} s")]
    Stale {
        /// Seconds from the origin's clock to the Worker's; negative when the Worker's is behind, or the request took so long.
        skew_s: i64,
    },
    /// The body is not the one that was signed.
    #[error("the body is not the one that was signed")]
    OtherBody,
    /// Its nonce was used before.
    #[error("the nonce was used before")]
    Replayed,
}

impl EdgeKeys {
    /// Reads a list of keys separated by commas; white space around a key does not count.
    ///
    /// Errors: a key, or the whole list, is shorter than [`MIN_KEY_CHARS`].
    pub fn parse(list: &str) -> Result<Self, EdgeKeysError> {
        let mut keys = list.split(',').map(str::trim).enumerate().map(|(index, key)| {
            let error = EdgeKeysError { position: index + 1, chars: key.chars().count() };
            if error.chars < MIN_KEY_CHARS {
                return Err(error);
            }
            // HMAC takes keys of every length, so this is no second reason to fail.
            HmacSha256::new_from_slice(key.as_bytes()).map_err(|_| error)
        });
        let first = keys.next().unwrap_or(Err(EdgeKeysError { position: 1, chars: 0 }))?;
        Ok(Self { first, others: keys.collect::<Result<_, _>>()? })
    }

    /// The value of `X-EdgeChat-Signature` for a request. The nonce is 16 to 64 characters of `[A-Za-z0-9_-]`, used
    /// once.
    pub fn sign(&self, request: &EdgeRequest<'_>, created: Timestamp, nonce: &str) -> String {
        let EdgeRequest { method, path_and_query, body_sha256, request_id, client_ip } = *request;
        let head = RequestHead { method, path_and_query, request_id, client_ip };
        let created_s = created.as_secs();
        let mac = authenticate(&self.first, &head, body_sha256, created_s, nonce).finalize().into_bytes();
        format!("{VERSION};t={created_s};n={nonce};d={};m={}", hex(body_sha256), hex(&mac))
    }

    /// Checks the signature of a request in constant time.
    ///
    /// Errors: see [`SignatureError`]; [`SignatureError::Stale`] only for what was truly signed.
    pub fn verify(
        &self,
        head: &RequestHead<'_>,
        header: &str,
        now: Timestamp,
    ) -> Result<Signed, SignatureError> {
        let SignatureHeader { created_s, nonce, body_sha256, mac } =
            SignatureHeader::parse(header).ok_or(SignatureError::Malformed)?;
        let matches = std::iter::once(&self.first)
            .chain(&self.others)
            .map(|key| authenticate(key, head, &body_sha256, created_s, nonce).verify_slice(&mac).is_ok())
            .fold(false, |any, this| any | this);
        if !matches {
            return Err(SignatureError::Mismatch);
        }
        let skew_s = created_s.saturating_sub(now.as_secs());
        if skew_s.unsigned_abs() > MAX_SKEW_S.unsigned_abs() {
            return Err(SignatureError::Stale { skew_s });
        }
        let created = Timestamp::from_millis(created_s.saturating_mul(SECOND_MS));
        Ok(Signed { nonce: nonce.to_owned(), created, body_sha256 })
    }
}

/// Feeds everything that is signed. Each field goes in behind its length, so that no two requests are the same bytes.
fn authenticate(
    key: &HmacSha256,
    head: &RequestHead<'_>,
    body_sha256: &[u8; 32],
    created_s: i64,
    nonce: &str,
) -> HmacSha256 {
    let RequestHead { method, path_and_query, request_id, client_ip } = *head;
    let mut mac = key.clone();
    for field in [VERSION, method, path_and_query, request_id, client_ip, nonce] {
        mac.update(&(field.len() as u64).to_be_bytes());
        mac.update(field.as_bytes());
    }
    mac.update(&created_s.to_be_bytes());
    mac.update(body_sha256);
    mac
}

/// `v1;t=<unix s>;n=<nonce>;d=<hex body digest>;m=<hex mac>`, the parts in this order.
struct SignatureHeader<'a> {
    created_s: i64,
    nonce: &'a str,
    body_sha256: [u8; 32],
    mac: [u8; 32],
}

impl<'a> SignatureHeader<'a> {
    fn parse(header: &'a str) -> Option<Self> {
        let mut parts = header.split(';');
        if parts.next()? != VERSION {
            return None;
        }
        let mut part = |name| parts.next()?.strip_prefix(name);
        let created = part("t=")?;
        let created_s: i64 = created.parse().ok()?;
        let nonce = part("n=")?;
        let body_sha256 = unhex(part("d=")?)?;
        let mac = unhex(part("m=")?)?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if parts.next().is_some()
            || !NONCE_CHARS.contains(&nonce.len())
            || !nonce.bytes().all(plain)
            || created_s.to_string() != created
        {
            return None;
        }
        Some(Self { created_s, nonce, body_sha256, mac })
    }
}

fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0x0f)]).collect()
}

/// Reads exactly 64 lower-case hexadecimal digits.
fn unhex(text: &str) -> Option<[u8; 32]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
        return None;
    };
    let bytes: Option<Vec<u8>> =
        pairs.iter().map(|&[high, low]| Some(digit(high)? << 4 | digit(low)?)).collect();
    bytes?.try_into().ok()
}

#[cfg(test)]
mod tests;
