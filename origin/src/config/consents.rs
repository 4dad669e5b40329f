//! Documents that every user must agree to.

use shared::{
    api::account::consent::{is_document, is_version},
    auth::consents::RequiredDocument,
};

use super::reader::{Reader, quoted};

/// The most documents that are required.
const MAX_DOCUMENTS: usize = 16;
const VARIABLE: &str = "CONSENTS_REQUIRED";

/// Reads `CONSENTS_REQUIRED`: `terms=2026-10-01,privacy=3`.
pub(super) fn read(reader: &mut Reader<'_>) -> Vec<RequiredDocument> {
    let Some(text) = reader.text(VARIABLE) else { return Vec::new() };
    parse(text).unwrap_or_else(|| {
        let wanted = "it should hold names of documents with their versions, such as terms=2026-10-01,privacy=3: at most 16, \
                      each once; a name has up to 32 small letters, digits, _ and -, a version up to 32 letters, digits and \
                      .:_+-";
        reader.wrong(VARIABLE, quoted(text), wanted);
        Vec::new()
    })
}

fn parse(text: &str) -> Option<Vec<RequiredDocument>> {
    let mut documents: Vec<RequiredDocument> = Vec::new();
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (document, version) = pair.split_once('=')?;
        let is_new = documents.iter().all(|known| known.document != document);
        if documents.len() == MAX_DOCUMENTS || !is_new || !is_document(document) || !is_version(version) {
            return None;
        }
        documents.push(RequiredDocument { document: document.to_owned(), version: version.to_owned() });
    }
    Some(documents)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("terms=2026-10-01, privacy=3", Some("terms 2026-10-01; privacy 3"))]
    #[case("terms_of-use2=V1.2:a+b_c,", Some("terms_of-use2 V1.2:a+b_c"))]
    #[case("", Some(""))]
    #[case("terms", None)]
    #[case("terms=", None)]
    #[case("=1", None)]
    #[case("Terms=1", None)]
    #[case("terms=1=2", None)]
    #[case("terms=1,terms=2", None)]
    #[case("terms=a version", None)]
    #[case("a23456789012345678901234567890123=1", None)]
    fn documents_are_read_with_their_versions(#[case] text: &str, #[case] expected: Option<&str>) {
        let words = |known: &RequiredDocument| format!("{} {}", known.document, known.version);
        let documents =
            parse(text).map(|documents| documents.iter().map(words).collect::<Vec<_>>().join("; "));
        assert_eq!(documents.as_deref(), expected);
    }

    #[test]
    fn no_more_documents_are_required_than_fit() {
        let text =
            |count: usize| (0..count).map(|number| format!("d{number}=1")).collect::<Vec<_>>().join(",");
        assert_eq!(parse(&text(16)).map(|documents| documents.len()), Some(16));
        assert_eq!(parse(&text(17)), None);
    }
}
