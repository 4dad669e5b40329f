//! The meaning of the platform's own refusals: its limits for an object or an account, and its overload.

/// Words of the platform's errors by which it refuses work that it may do later (Cloudflare, "Durable Objects: Troubleshooting" and
/// "Limits"): a daily or spending limit of the account, an object or an account with too much to do, storage that is full or slow.
const REFUSALS: [&str; 6] = [
    "exceeded allowed ",
    "is overloaded",
    "too much load",
    "operation exceeded timeout",
    "sqlite_full",
    "spending limit",
];

/// Returns whether an error of the platform's says that it refuses work for now: nothing is wrong with the request, and whoever
/// asks may come again.
pub fn is_refusal(error: &str) -> bool {
    let error = error.to_ascii_lowercase();
    REFUSALS.iter().any(|refusal| error.contains(refusal))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::rows("Error: Exceeded allowed rows written in Durable Objects free tier.", true)]
    #[case::duration("Exceeded allowed duration in Durable Objects free tier.", true)]
    #[case::object("Durable Object is overloaded. Too many requests queued.", true)]
    #[case::account("Your account is generating too much load on Durable Objects.", true)]
    #[case::slow("Durable Object storage operation exceeded timeout which caused object to be reset.", true)]
    #[case::full("database or disk is full: SQLITE_FULL", true)]
    #[case::ours("no such table: turns: SQLITE_ERROR", false)]
    #[case::corrupt("storage: expected text, found null", false)]
    fn error_is_refusal_when_platform_may_do_it_later(#[case] error: &str, #[case] expected: bool) {
        assert_eq!(is_refusal(error), expected);
    }
}
