//! Public keys as `/.well-known/jwks.json` shows them (RFC 7517, RFC 8037).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use super::{claims::ALGORITHM, edge::sha256};

/// The path of the public keys.
pub const JWKS_PATH: &str = "/.well-known/jwks.json";

/// An Ed25519 public key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jwk {
    /// `OKP`.
    pub kty: String,
    /// `Ed25519`.
    pub crv: String,
    /// The 32 bytes of the key in base64url.
    pub x: String,
    /// Its name: the thumbprint of RFC 7638.
    pub kid: String,
    /// `EdDSA`.
    pub alg: String,
    /// `sig`.
    #[serde(rename = "use")]
    pub usage: String,
}

impl Jwk {
    /// The entry for an Ed25519 public key.
    pub fn ed25519(public_key: &[u8; 32]) -> Self {
        let x = URL_SAFE_NO_PAD.encode(public_key);
        // RFC 7638, section 3: the required members in the order of their names, without white space.
        let kid = URL_SAFE_NO_PAD
            .encode(sha256(format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#).as_bytes()));
        Self {
            kty: "OKP".to_owned(),
            crv: "Ed25519".to_owned(),
            x,
            kid,
            alg: ALGORITHM.to_owned(),
            usage: "sig".to_owned(),
        }
    }

    /// The bytes of the key; `None` when it is not an Ed25519 key for signatures.
    pub fn public_key(&self) -> Option<[u8; 32]> {
        if self.kty != "OKP" || self.crv != "Ed25519" || self.alg != ALGORITHM || self.usage != "sig" {
            return None;
        }
        URL_SAFE_NO_PAD.decode(&self.x).ok()?.try_into().ok()
    }
}

/// Returns whether a key id has the form of a thumbprint (RFC 7638 with SHA-256): 43 characters of base64url, one text for one
/// value. No key of ours has another.
pub fn is_thumbprint(kid: &str) -> bool {
    kid.len() == 43 && URL_SAFE_NO_PAD.decode(kid).is_ok()
}

/// The public keys that tokens may be signed with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JwkSet {
    /// The keys.
    pub keys: Vec<Jwk>,
}

impl JwkSet {
    /// The key of this name.
    pub fn find(&self, kid: &str) -> Option<&Jwk> {
        self.keys.iter().find(|key| key.kid == kid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key and thumbprint of RFC 8037, appendices A.2 and A.3.
    #[test]
    fn key_is_named_by_its_thumbprint() {
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        let public_key: [u8; 32] = URL_SAFE_NO_PAD.decode(x).unwrap().try_into().unwrap();
        let key = Jwk::ed25519(&public_key);
        assert_eq!(key.kid, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        assert_eq!(key.public_key(), Some(public_key));
        assert_eq!(
            serde_json::to_value(&key).unwrap(),
            serde_json::json!({
                "kty": "OKP", "crv": "Ed25519", "x": x, "kid": key.kid, "alg": "EdDSA", "use": "sig",
            })
        );
    }

    #[test]
    fn thumbprint_of_another_form_is_none() {
        let kid = Jwk::ed25519(&[7; 32]).kid;
        assert!(is_thumbprint(&kid));
        let long = format!("{kid}A");
        let padded = format!("{kid}=");
        let plain = kid.replacen(|_: char| true, "+", 1);
        // The last character has two bits that no byte needs.
        let loose = format!("{}B", &"A".repeat(42));
        let short = kid.strip_prefix(|_: char| true).unwrap();
        for other in ["", "1", short, &long, &padded, &plain, &loose] {
            assert!(!is_thumbprint(other), "{other}");
        }
    }

    #[test]
    fn only_ed25519_signature_keys_are_used() {
        let good = Jwk::ed25519(&[7; 32]);
        let bad = [
            Jwk { kty: "EC".to_owned(), ..good.clone() },
            Jwk { crv: "X25519".to_owned(), ..good.clone() },
            Jwk { alg: "ES256".to_owned(), ..good.clone() },
            Jwk { usage: "enc".to_owned(), ..good.clone() },
            Jwk { x: "AAAA".to_owned(), ..good.clone() },
            Jwk { x: format!("{}=", good.x), ..good.clone() },
        ];
        for key in bad {
            assert_eq!(key.public_key(), None, "{key:?}");
        }
    }

    #[test]
    fn key_set_finds_keys_by_name() {
        let (first, second) = (Jwk::ed25519(&[1; 32]), Jwk::ed25519(&[2; 32]));
        let set = JwkSet { keys: vec![first.clone(), second.clone()] };
        assert_eq!(set.find(&second.kid), Some(&second));
        assert_eq!(set.find(""), None);
        let read: JwkSet = serde_json::from_str(&serde_json::to_string(&set).unwrap()).unwrap();
        assert_eq!(read, set);
    }
}
