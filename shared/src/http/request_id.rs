//! Request ids of clients that are taken over. Other requests get a new id from the front.

/// The longest id that is taken over.
const MAX_CHARS: usize = 64;

/// The client's request id, when it is 1 to 64 characters of `[A-Za-z0-9-]`: nothing that could break a log or a header.
pub fn accept(header: Option<&str>) -> Option<&str> {
    header.filter(|id| {
        (1..=MAX_CHARS).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(None, false)]
    #[case(Some(""), false)]
    #[case(Some("a"), true)]
    #[case(Some("019aa5d2-8c00-7000-8000-3f6d2b1c9e77"), true)]
    #[case(Some("0123456789012345678901234567890123456789012345678901234567890123"), true)]
    #[case(Some("01234567890123456789012345678901234567890123456789012345678901234"), false)]
    #[case(Some("a b"), false)]
    #[case(Some("a\nb"), false)]
    #[case(Some("a_b"), false)]
    #[case(Some("ä"), false)]
    fn only_plain_ids_are_taken_over(#[case] header: Option<&str>, #[case] taken: bool) {
        assert_eq!(accept(header), header.filter(|_| taken));
    }
}
