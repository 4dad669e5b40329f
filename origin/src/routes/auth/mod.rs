//! Sign-up, sign-in, sessions, and checks of tokens.

pub(super) mod codes;
pub(super) mod guest;
pub(super) mod login;
pub(super) mod logout;
pub(super) mod oidc;
pub(super) mod passkeys;
pub(super) mod password;
pub(super) mod refresh;
pub(super) mod register;
pub(super) mod sessions;
pub(super) mod token;
pub(super) mod verify;
