//! Who somebody is: passwords, sessions, tokens.
//!
//! - [`passwords`]: hashes of passwords
//! - [`tokens`]: access and refresh tokens, made and checked
//! - [`sessions`]: from a sign-in to tokens, from a refresh token to the next pair
//! - [`live`]: whether a session is alive
//! - [`throttle`]: how often somebody may try
//! - [`current`]: the extractor of signed-in requests

pub mod current;
pub mod live;
pub mod passwords;
pub mod sessions;
pub mod throttle;
pub mod tokens;

pub use current::CurrentUser;
