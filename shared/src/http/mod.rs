//! What HTTP asks of both sides, over plain strings: header names and their values' meaning. No HTTP types here; each
//! side has its own.
//!
//! - [`address`]: addresses of requests
//! - [`headers`]: names, and what the front drops
//! - [`request_id`]: which request ids of clients are taken over
//! - [`cors`]: who may call from a browser
//! - [`retry_after`]: how long others ask to be left alone
//! - [`accept`]: what the request headers of a message ask for
//! - [`body`]: sizes, times and codings of bodies
//! - [`base_url`]: addresses of other servers
//! - [`origin_answer`]: what the origin's answers mean at the edge

pub mod accept;
pub mod address;
pub mod base_url;
pub mod body;
pub mod cors;
pub mod headers;
pub mod origin_answer;
pub mod request_id;
pub mod retry_after;
