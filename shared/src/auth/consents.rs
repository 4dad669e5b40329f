//! The documents that a user is shown: those that the server requires, and those they have agreed to.

use crate::{api::account::Consent, time::Timestamp};

/// A document that everybody must agree to, in this version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequiredDocument {
    /// Its name.
    pub document: String,
    /// The version in force.
    pub version: String,
}

/// A version of a document that a user has agreed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedVersion {
    /// The name of the document.
    pub document: String,
    /// The version.
    pub version: String,
    /// The time at which they first agreed to it.
    pub accepted_at: Timestamp,
}

/// Returns the required documents that are not accepted in the version in force, in their order.
pub fn missing(required: &[RequiredDocument], accepted: &[AcceptedVersion]) -> Vec<RequiredDocument> {
    let is_accepted = |required: &RequiredDocument| {
        accepted.iter().any(|known| known.document == required.document && known.version == required.version)
    };
    required.iter().filter(|required| !is_accepted(required)).cloned().collect()
}

/// Returns an item for each document: the required ones in their order, then the others by name. It has the acceptance of the
/// current version, or else the newest one.
pub fn list(required: &[RequiredDocument], accepted: &[AcceptedVersion]) -> Vec<Consent> {
    let mut others: Vec<_> = accepted.iter().map(|accepted| accepted.document.as_str()).collect();
    others.sort_unstable();
    others.dedup();
    others.retain(|document| required.iter().all(|required| required.document != *document));
    let required = required.iter().map(|required| (&*required.document, Some(&*required.version)));
    let documents = required.chain(others.into_iter().map(|document| (document, None)));
    documents.map(|(document, current)| item(document, current, shown(document, current, accepted))).collect()
}

fn shown<'a>(
    document: &str,
    current: Option<&str>,
    accepted: &'a [AcceptedVersion],
) -> Option<&'a AcceptedVersion> {
    let of_document = accepted.iter().filter(|accepted| accepted.document == document);
    of_document.max_by_key(|accepted| {
        (current == Some(&accepted.version), accepted.accepted_at, accepted.version.as_str())
    })
}

/// Returns the item of a document whose required version is `current`, and of which this version is accepted.
pub fn item(document: &str, current: Option<&str>, accepted: Option<&AcceptedVersion>) -> Consent {
    Consent {
        document: document.to_owned(),
        version: accepted.map(|accepted| accepted.version.clone()),
        accepted_at: accepted.map(|accepted| accepted.accepted_at),
        required: current.is_some(),
        current_version: current.map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(document: &str, version: &str, at: i64) -> AcceptedVersion {
        let accepted_at = Timestamp::from_millis(at);
        AcceptedVersion { document: document.to_owned(), version: version.to_owned(), accepted_at }
    }

    fn required(document: &str, version: &str) -> RequiredDocument {
        RequiredDocument { document: document.to_owned(), version: version.to_owned() }
    }

    /// An item as words: the document, the version, its time, and the current version.
    fn words(item: &Consent) -> String {
        let version = item.version.as_deref().unwrap_or("-");
        let at = item.accepted_at.map_or(-1, Timestamp::as_millis);
        format!("{} {version} {at} {}", item.document, item.current_version.as_deref().unwrap_or("-"))
    }

    #[test]
    fn document_is_missing_until_its_version_in_force_is_accepted() {
        let required = [required("terms", "2"), required("privacy", "3"), required("age", "1")];
        let accepted = [accepted("terms", "2", 20), accepted("terms", "3", 30), accepted("privacy", "2", 11)];
        assert_eq!(missing(&required, &accepted), required[1..]);
        assert_eq!(missing(&required, &[]), required);
        assert_eq!(missing(&[], &accepted), []);
    }

    #[test]
    fn required_documents_come_first_with_the_version_that_counts() {
        let accepted = [
            accepted("terms", "2", 20),
            accepted("terms", "3", 30),
            accepted("privacy", "1", 10),
            accepted("privacy", "2", 11),
            accepted("news", "1", 5),
            accepted("beta", "1", 6),
        ];
        let items =
            list(&[required("terms", "2"), required("privacy", "3"), required("age", "1")], &accepted);
        assert_eq!(
            items.iter().map(words).collect::<Vec<_>>(),
            ["terms 2 20 2", "privacy 2 11 3", "age - -1 1", "beta 1 6 -", "news 1 5 -"]
        );
        assert!(items.iter().all(|item| item.required == item.current_version.is_some()));
        assert_eq!(list(&[], &[]), []);
    }
}
