//! Lengths, parts and encodings.

use base64::{
    Engine as _,
    engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD},
};
use serde_json::json;

use super::{
    super::{claims::MAX_TOKEN_BYTES, edge::sha256, token::SIGNATURE_BYTES},
    Maker, TokenCase, good, invalid, missing, signing_input, text,
};

/// More than a token may have.
const TOO_LONG: usize = 10_240;

impl Maker<'_> {
    pub(super) fn shapes(&self) -> Vec<TokenCase> {
        let (header, payload) = (self.header_text(), self.payload_text());
        let valid = self.valid();
        let input = signing_input(&header, &payload);
        let refresh = URL_SAFE_NO_PAD.encode(sha256(b"256 bits that only the origin can make sense of"));
        let filled =
            |bytes: usize| self.token(&header, &text(&self.payload_with("filler", json!("x".repeat(bytes)))));
        let longest = self.longest_filler(filled(0).len());
        let header_of_10_kb = text(&self.header_with("filler", json!("x".repeat(TOO_LONG))));
        vec![
            missing("empty", String::new()),
            good("as long as it may be", filled(longest)),
            invalid("a little longer than it may be", filled(longest + 2)),
            invalid("10 kB of claims", filled(TOO_LONG)),
            invalid("10 kB of header", self.token(&header_of_10_kb, &payload)),
            invalid("10 kB of signature", format!("{input}.{}", "A".repeat(TOO_LONG))),
            invalid("10 kB of dots", ".".repeat(TOO_LONG)),
            invalid("10 kB of a letter", "e".repeat(TOO_LONG)),
            invalid("one part", URL_SAFE_NO_PAD.encode(&header)),
            invalid("two parts", input),
            invalid("four parts", format!("{valid}.")),
            invalid("five parts, as an encrypted token has", format!("{valid}.AAAA.AAAA")),
            invalid("dots only", "..".to_owned()),
            invalid("a dot before it", format!(".{valid}")),
            invalid("two tokens", format!("{valid}, {valid}")),
            invalid("two tokens with their schemes", format!("{valid}, Bearer {valid}")),
            invalid("a space within", valid.replacen('.', ". ", 1)),
            invalid("the scheme twice", format!("Bearer {valid}")),
            invalid("quoted", format!("\"{valid}\"")),
            invalid("letters beyond ASCII", format!("é{valid}")),
            invalid("a refresh token", refresh.clone()),
            invalid("a refresh token with a prefix", format!("rt_{refresh}")),
            invalid("a refresh token in three parts", format!("{refresh}.{refresh}.{refresh}")),
        ]
    }

    /// Texts that a lax reader decodes to what was signed.
    pub(super) fn encodings(&self) -> Vec<TokenCase> {
        let header = not_full(self.header_text());
        let payload = not_full(self.payload_text());
        let signature = self.sign_texts(&header, &payload);
        let input = signing_input(&header, &payload);
        let (encoded_header, encoded_payload) =
            (URL_SAFE_NO_PAD.encode(&header), URL_SAFE_NO_PAD.encode(&payload));
        let encoded_signature = URL_SAFE_NO_PAD.encode(signature);
        // Signed in the form in which it is sent.
        let signed = |input: String| {
            let signature = URL_SAFE_NO_PAD.encode(self.key.signature(&input));
            format!("{input}.{signature}")
        };
        let hex = signature.map(|byte| format!("{byte:02x}")).concat();
        let valid = self.valid();
        vec![
            invalid(
                "padding in the header",
                signed(format!("{}.{encoded_payload}", URL_SAFE.encode(&header))),
            ),
            invalid(
                "padding in the payload",
                signed(format!("{encoded_header}.{}", URL_SAFE.encode(&payload))),
            ),
            invalid("padding behind the signature", format!("{input}.{}", URL_SAFE.encode(signature))),
            invalid(
                "a header that ends in loose bits",
                signed(format!("{}.{encoded_payload}", with_loose_bits(&header))),
            ),
            invalid(
                "a payload that ends in loose bits",
                signed(format!("{encoded_header}.{}", with_loose_bits(&payload))),
            ),
            invalid("a signature that ends in loose bits", format!("{input}.{}", with_loose_bits(signature))),
            invalid("characters of plain base64", format!("{input}.+/{}", "A".repeat(84))),
            invalid("a signature in hexadecimal digits", format!("{input}.{hex}")),
            invalid("a signature of other case", {
                let of_other_case = |c: char| {
                    if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() }
                };
                format!("{input}.{}", encoded_signature.chars().map(of_other_case).collect::<String>())
            }),
            invalid("dots in percent encoding", valid.replace('.', "%2E")),
            invalid("percent encoding in the header", valid.replacen('e', "%65", 1)),
            invalid("the header encoded twice", {
                signed(format!("{}.{encoded_payload}", URL_SAFE_NO_PAD.encode(&encoded_header)))
            }),
            invalid("the payload encoded twice", {
                signed(format!("{encoded_header}.{}", URL_SAFE_NO_PAD.encode(&encoded_payload)))
            }),
            invalid("the payload as it is", signed(format!("{encoded_header}.{payload}"))),
            invalid("all of it encoded again", URL_SAFE_NO_PAD.encode(&valid)),
        ]
    }

    /// The bytes of filler with which a token that has `bytes` without one is as long as it may be.
    fn longest_filler(&self, bytes: usize) -> usize {
        let payload = text(&self.payload_with("filler", json!(""))).len();
        let others = bytes - encoded_bytes(payload);
        (0..MAX_TOKEN_BYTES)
            .take_while(|filler| others + encoded_bytes(payload + filler) <= MAX_TOKEN_BYTES)
            .last()
            .unwrap_or_default()
    }
}

/// The length of so many bytes in base64 without padding.
const fn encoded_bytes(bytes: usize) -> usize {
    (bytes * 4).div_ceil(3)
}

/// A text of JSON whose last character in base64 has bits that no byte needs.
fn not_full(json: String) -> String {
    if json.len().is_multiple_of(3) { format!("{json} ") } else { json }
}

/// The same bytes for a lax reader: the bits that no byte needs are zero, and here one is not. The last character stands
/// before another one of the alphabet in ASCII, too.
fn with_loose_bits(bytes: impl AsRef<[u8]>) -> String {
    let mut encoded = URL_SAFE_NO_PAD.encode(bytes);
    let last = encoded.pop().map_or(0, u32::from);
    encoded.extend(char::from_u32(last + 1));
    encoded
}

const _: () = assert!(!SIGNATURE_BYTES.is_multiple_of(3), "a signature has loose bits");
