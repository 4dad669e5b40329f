//! Tests of the routes by requests to the router, each on stores of its own.
//!
//! - [`provider`]: a provider of identities, [`id_tokens`]: the tokens that it signs
//! - [`test_env`]: the router with a clock that tests set, and requests to it
//! - [`authenticator`]: an authenticator for passkeys

mod account;
mod authenticator;
mod codes;
mod consents;
mod conversations;
mod deletion;
mod deliveries;
mod document;
mod errors;
mod export;
mod guesses;
mod guests;
mod health;
mod id_tokens;
mod idempotency;
mod jobs;
mod layers;
mod lifecycle;
mod list_cache;
mod notices;
mod outages;
mod pages;
mod passkeys;
mod passwords;
mod provider;
mod rotation;
mod serving;
mod sessions;
mod sign_in;
mod sms;
mod social;
mod spelling;
mod suspensions;
mod sync;
mod test_env;
mod timings;
mod token_keys;
mod tokens;
mod usage;
