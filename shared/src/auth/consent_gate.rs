//! The consent gate: the documents that a user is still to agree to before words of theirs go to a model, as far as the edge knows.
//!
//! The origin's word that nothing is missing is enough until it says otherwise, also after a restart and while it does not
//! answer. Its word that something is missing holds for the requests that were there when it was asked: the next one asks again, so
//! that a consent counts at once.

use crate::{
    api::{
        account::consent::{is_document, is_version},
        error::{ApiError, ErrorCode, FieldError},
    },
    auth::consents::RequiredDocument,
    time::Timestamp,
};

/// The text of a list without documents.
const NONE: &str = "none";

/// The decision about a call of the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConsentDecision {
    /// The user has agreed to everything that is required.
    Pass,
    /// The origin is to be asked first.
    Ask,
    /// Documents are missing: the error for the client.
    Refuse(ApiError),
}

/// The origin's last word about the consents of one user.
#[derive(Clone, Debug, Default)]
pub struct ConsentGate {
    word: Option<Word>,
}

#[derive(Clone, Debug)]
struct Word {
    /// The time at which the origin was asked; `None` for a word of before a restart.
    asked: Option<Timestamp>,
    missing: Vec<RequiredDocument>,
}

impl ConsentGate {
    /// Makes the gate of a user of whom it is remembered that they had agreed to everything, or not remembered.
    pub fn remembered(is_complete: bool) -> Self {
        Self { word: is_complete.then(|| Word { asked: None, missing: Vec::new() }) }
    }

    /// Returns whether the last word was that nothing is missing.
    pub fn is_complete(&self) -> bool {
        self.word.as_ref().is_some_and(|word| word.missing.is_empty())
    }

    /// Records what the origin, asked at `asked`, said is missing. Of two answers the one to the later question counts.
    pub fn record(&mut self, missing: Vec<RequiredDocument>, asked: Timestamp) {
        if self.word.as_ref().is_none_or(|word| word.asked <= Some(asked)) {
            self.word = Some(Word { asked: Some(asked), missing });
        }
    }

    /// Decides about a request that came at `since`.
    pub fn decide(&self, since: Timestamp) -> ConsentDecision {
        match &self.word {
            Some(word) if word.missing.is_empty() => ConsentDecision::Pass,
            Some(word) if word.asked >= Some(since) => ConsentDecision::Refuse(refusal(&word.missing)),
            Some(_) | None => ConsentDecision::Ask,
        }
    }
}

fn refusal(missing: &[RequiredDocument]) -> ApiError {
    let names = missing.iter().map(|known| format!("{} {}", known.document, known.version));
    let names = names.collect::<Vec<_>>().join(", ");
    let detail = format!("Agree to these documents first, by POST /api/v1/users/me/consents: {names}");
    let error = |known: &RequiredDocument| FieldError {
        field: known.document.clone(),
        message: format!("version {} is to be agreed to", known.version),
    };
    ApiError {
        errors: missing.iter().map(error).collect(),
        ..ApiError::new(ErrorCode::ConsentRequired, detail)
    }
}

/// Writes a list of documents for a header: `terms=2026-10-01,privacy=3`, or `none`.
pub fn to_header(missing: &[RequiredDocument]) -> String {
    if missing.is_empty() {
        return NONE.to_owned();
    }
    let documents = missing.iter().map(|known| format!("{}={}", known.document, known.version));
    documents.collect::<Vec<_>>().join(",")
}

/// Reads what [`to_header`] wrote; anything else is `None`.
pub fn from_header(text: &str) -> Option<Vec<RequiredDocument>> {
    if text == NONE {
        return Some(Vec::new());
    }
    let document = |pair: &str| {
        let (document, version) = pair.split_once('=')?;
        let is_one = is_document(document) && is_version(version);
        is_one.then(|| RequiredDocument { document: document.to_owned(), version: version.to_owned() })
    };
    text.split(',').map(document).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_253_400_000);

    fn terms() -> RequiredDocument {
        RequiredDocument { document: "terms".to_owned(), version: "2026-10-01".to_owned() }
    }

    const fn at(millis: i64) -> Timestamp {
        NOW.plus_millis(millis)
    }

    /// A gate to which these words were said at these times: true where nothing was missing.
    fn gate(words: &[(bool, i64)]) -> ConsentGate {
        let mut gate = ConsentGate::default();
        for (is_complete, asked) in words {
            gate.record(if *is_complete { Vec::new() } else { vec![terms()] }, at(*asked));
        }
        gate
    }

    #[rstest]
    #[case::nothing_is_known(&[], "ask")]
    #[case::agreed_long_ago(&[(true, -86_400_000)], "pass")]
    #[case::missing_before_this_request(&[(false, -1)], "ask")]
    #[case::missing_when_this_request_asked(&[(false, 0)], "refuse")]
    #[case::agreed_meanwhile(&[(false, -5), (true, 1)], "pass")]
    #[case::another_version_is_required_meanwhile(&[(true, -5), (false, 1)], "refuse")]
    #[case::answer_to_an_older_question_comes_last(&[(true, 2), (false, 1)], "pass")]
    fn decision_follows_the_last_word(#[case] words: &[(bool, i64)], #[case] expected: &str) {
        let decision = match gate(words).decide(NOW) {
            ConsentDecision::Pass => "pass",
            ConsentDecision::Ask => "ask",
            ConsentDecision::Refuse(_) => "refuse",
        };
        assert_eq!(decision, expected);
    }

    #[test]
    fn remembered_consent_passes_until_the_origin_says_otherwise() {
        assert_eq!(ConsentGate::remembered(false).decide(NOW), ConsentDecision::Ask);
        let mut gate = ConsentGate::remembered(true);
        assert_eq!((gate.is_complete(), gate.decide(NOW)), (true, ConsentDecision::Pass));
        gate.record(vec![terms()], NOW);
        assert!(!gate.is_complete() && matches!(gate.decide(NOW), ConsentDecision::Refuse(_)));
    }

    #[test]
    fn refusal_names_missing_documents() {
        let ConsentDecision::Refuse(error) = gate(&[(false, 0)]).decide(NOW) else { panic!("no refusal") };
        assert_eq!(error.code, ErrorCode::ConsentRequired);
        assert!(error.detail.contains("users/me/consents") && error.detail.ends_with("terms 2026-10-01"));
        let errors: Vec<_> = error.errors.iter().map(|one| (&*one.field, &*one.message)).collect();
        assert_eq!(errors, [("terms", "version 2026-10-01 is to be agreed to")]);
    }

    #[rstest]
    #[case("")]
    #[case("terms")]
    #[case("terms=")]
    #[case("Terms=1")]
    #[case("terms=1,")]
    #[case("terms=1,none")]
    fn header_of_another_form_is_none(#[case] text: &str) {
        assert_eq!(from_header(text), None);
    }

    proptest! {
        #[test]
        fn header_reads_back(pairs in proptest::collection::vec(("[a-z0-9_-]{1,32}", "[A-Za-z0-9.:_+-]{1,32}"), 0..16)) {
            let missing: Vec<_> =
                pairs.into_iter().map(|(document, version)| RequiredDocument { document, version }).collect();
            let header = to_header(&missing);
            prop_assert!(header.bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert_eq!(from_header(&header), Some(missing));
        }
    }
}
