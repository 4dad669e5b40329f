//! Id tokens as providers sign them, by keys that are published as examples. The black-box tests make theirs by this file, too.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    rand::SystemRandom,
    rsa::{KeyPairComponents, PublicKeyComponents},
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
use serde_json::{Value, json};

/// Signs claims under a header by a key, a private JSON Web Key.
pub(crate) fn sign(key: &str, header: &Value, claims: &Value) -> String {
    let signed = signing_input(header, claims);
    let key = key_pair(key);
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// Returns the part of a token that is signed.
pub(crate) fn signing_input(header: &Value, claims: &Value) -> String {
    let encode = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    format!("{}.{}", encode(header), encode(claims))
}

/// Returns the public half of a key, as a provider shows it under this id.
pub(crate) fn public_key(key: &str, kid: &str) -> Value {
    let key: Value = serde_json::from_str(key).unwrap();
    json!({ "kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid, "n": key["n"], "e": key["e"] })
}

fn key_pair(key: &str) -> RsaKeyPair {
    let key: Value = serde_json::from_str(key).unwrap();
    let number = |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str().unwrap()).unwrap();
    RsaKeyPair::from_components(&KeyPairComponents {
        public_key: PublicKeyComponents { n: number("n"), e: number("e") },
        d: number("d"),
        p: number("p"),
        q: number("q"),
        dP: number("dp"),
        dQ: number("dq"),
        qInv: number("qi"),
    })
    .unwrap()
}
