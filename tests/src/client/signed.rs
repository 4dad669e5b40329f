//! Requests that are signed as the Worker signs them, for the origin's own verdict about what the Worker would refuse.

use reqwest::Method;
use shared::{
    auth::edge::{EdgeKeys, EdgeRequest, sha256},
    http::headers::{CLIENT_IP, SIGNATURE, X_REQUEST_ID},
};

use super::{Ask, Client};
use crate::{clock::now, delivery::fresh_id, test_env::EDGE_KEY};

/// An address of nobody (RFC 5737).
const ADDRESS: &str = "203.0.113.7";

impl Client {
    /// Builds a request of the Worker with the client's token; an empty body is none.
    ///
    /// # Panics
    /// Panics when the key of the tests is none.
    pub fn ask_as_worker(&self, method: Method, path: &str, body: &[u8]) -> Ask {
        let (request_id, nonce) = (fresh_id().to_string(), fresh_id().to_string());
        let request = EdgeRequest {
            method: method.as_str(),
            path_and_query: path,
            body_sha256: &sha256(body),
            request_id: &request_id,
            client_ip: ADDRESS,
        };
        let signature = EdgeKeys::parse(EDGE_KEY).expect("a key").sign(&request, now(), &nonce);
        let ask = self.ask(method, path).header(X_REQUEST_ID, &request_id).header(CLIENT_IP, ADDRESS);
        let ask = ask.header(SIGNATURE, &signature);
        if body.is_empty() { ask } else { ask.json_bytes(body.to_vec()) }
    }
}
