//! HTTP for both sides, over plain strings: header names and their values' meaning. No HTTP types here; each
//! side has its own.
//!
//! - [`address`]: addresses of requests
//! - [`headers`]: names, and what the front drops
//! - [`request_id`]: request ids of clients that are taken over
//! - [`cors`]: access from browsers
//! - [`retry_after`]: delays that other servers ask for
//! - [`accept`]: wishes in the headers of a request
//! - [`body`]: sizes, times and codings of bodies
//! - [`base_url`]: addresses of other servers
//! - [`origin_answer`]: the meaning of the origin's answers at the edge
//! - [`user_agent`]: the kind of program behind a request

pub mod accept;
pub mod address;
pub mod base_url;
pub mod body;
pub mod cors;
pub mod headers;
pub mod origin_answer;
pub mod request_id;
pub mod retry_after;
pub mod user_agent;
