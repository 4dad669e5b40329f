//! An authenticator in software that keeps one passkey, and the browser before it: enough of WebAuthn to make a credential without an
//! attestation and to sign with it, and to do both wrongly.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rcgen::{KeyPair, PublicKeyData as _, SigningKey as _};
use serde_json::{Value, json};
use shared::auth::edge::sha256;

/// The user is present, and there is data of a new credential.
const PRESENT: u8 = 0x01;
const VERIFIED: u8 = 0x04;
const BACKED_UP: u8 = 0x08 | 0x10;
const NEW_CREDENTIAL: u8 = 0x40;

/// A passkey, and how its authenticator behaves.
#[derive(Clone)]
pub(super) struct Authenticator {
    pub(super) key: String,
    pub(super) credential_id: Vec<u8>,
    pub(super) user_handle: Option<Value>,
    /// The uses so far; `None` where it does not count, as one that synchronises.
    pub(super) count: Option<u32>,
    pub(super) verifies_user: bool,
}

impl Authenticator {
    /// Makes one that counts and whose user's finger fits. The number distinguishes it from others.
    pub(super) fn new(number: u8) -> Self {
        Self {
            key: KeyPair::generate().unwrap().serialize_pem(),
            credential_id: vec![number; 20],
            user_handle: None,
            count: Some(0),
            verifies_user: true,
        }
    }

    fn key(&self) -> KeyPair {
        KeyPair::from_pem(&self.key).unwrap()
    }

    /// Makes the passkey on this site.
    pub(super) fn make(&mut self, site: &str, options: &Value) -> Value {
        let public_key = &options["public_key"];
        self.user_handle = Some(public_key["user"]["id"].clone());
        let mut data = self.data(public_key["rp"]["id"].as_str().unwrap(), NEW_CREDENTIAL);
        data.extend([0; 16]);
        data.extend(u16::try_from(self.credential_id.len()).unwrap().to_be_bytes());
        data.extend(&self.credential_id);
        data.extend(cose_key(self.key().der_bytes()));
        let response = json!({
            "clientDataJSON": encode(&client_data("webauthn.create", site, public_key)),
            "attestationObject": encode(&attestation_object(&data)),
            "transports": ["internal"],
        });
        self.credential(&response)
    }

    /// Signs a challenge on this site.
    pub(super) fn sign(&mut self, site: &str, options: &Value) -> Value {
        let public_key = &options["public_key"];
        self.count = self.count.map(|count| count + 1);
        let data = self.data(public_key["rpId"].as_str().unwrap(), 0);
        let client_data = client_data("webauthn.get", site, public_key);
        let signature = self.key().sign(&[&data[..], &sha256(&client_data)].concat()).unwrap();
        let response = json!({
            "clientDataJSON": encode(&client_data),
            "authenticatorData": encode(&data),
            "signature": encode(&signature),
            "userHandle": self.user_handle,
        });
        self.credential(&response)
    }

    fn credential(&self, response: &Value) -> Value {
        let id = encode(&self.credential_id);
        json!({
            "id": id, "rawId": id, "type": "public-key", "authenticatorAttachment": "platform",
            "clientExtensionResults": {}, "response": response,
        })
    }

    /// The data of the authenticator (WebAuthn, section 6.1), without that of a credential.
    fn data(&self, rp_id: &str, flags: u8) -> Vec<u8> {
        let verified = if self.verifies_user { VERIFIED } else { 0 };
        let backed_up = if self.count.is_none() { BACKED_UP } else { 0 };
        let mut data = sha256(rp_id.as_bytes()).to_vec();
        data.push(PRESENT | verified | backed_up | flags);
        data.extend(self.count.unwrap_or(0).to_be_bytes());
        data
    }
}

fn client_data(kind: &str, site: &str, options: &Value) -> Vec<u8> {
    let data = json!({"type": kind, "challenge": options["challenge"], "origin": site, "crossOrigin": false});
    data.to_string().into_bytes()
}

/// `{"fmt": "none", "attStmt": {}, "authData": data}` in CBOR.
fn attestation_object(data: &[u8]) -> Vec<u8> {
    let length = u8::try_from(data.len()).unwrap();
    [b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x58".as_slice(), &[length], data].concat()
}

/// A point of P-256, for ES256, in CBOR (RFC 9052, section 7).
fn cose_key(point: &[u8]) -> Vec<u8> {
    let (x, y) = point[1..].split_at(32);
    [b"\xa5\x01\x02\x03\x26\x20\x01\x21\x58\x20".as_slice(), x, b"\x22\x58\x20", y].concat()
}

pub(super) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
