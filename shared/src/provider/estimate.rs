//! Estimates of tokens that the provider did not count, by Gemini's rules of thumb.
//!
//! Source: ai.google.dev/gemini-api/docs/tokens. A token is about four characters of English text; the same number of bytes fits
//! other scripts better, whose characters take more bytes and make more tokens.

use super::{ContentPart, ModelRequest, Usage};

/// Bytes of text that make a token.
const BYTES_PER_TOKEN: usize = 4;
/// Tokens of a picture: four tiles of 258, which a phone's picture is about.
const PICTURE_TOKENS: u64 = 4 * 258;

/// Returns about the tokens of a text.
pub fn text_tokens(text: &str) -> u64 {
    u64::try_from(text.len().div_ceil(BYTES_PER_TOKEN)).unwrap_or(u64::MAX)
}

/// Returns about the tokens of a prompt.
pub fn prompt_tokens(request: &ModelRequest) -> u64 {
    let parts = request.messages.iter().flat_map(|message| &message.parts).map(|part| match part {
        ContentPart::Text(text) => text_tokens(text),
        ContentPart::InlineImage { .. } => PICTURE_TOKENS,
    });
    let system = request.system.as_deref().map_or(0, text_tokens);
    parts.fold(system, u64::saturating_add)
}

/// Returns the usage of an answer that the provider did not count to its end: what it last said, if anything, and about the tokens
/// of the text since.
pub fn complete(said: Option<Usage>, prompt_tokens: u64, uncounted: &str) -> Usage {
    let said = said.unwrap_or(Usage {
        input_tokens: prompt_tokens,
        total_tokens: prompt_tokens,
        estimated: true,
        ..Usage::default()
    });
    let more = text_tokens(uncounted);
    Usage {
        output_tokens: said.output_tokens.saturating_add(more),
        total_tokens: said.total_tokens.saturating_add(more),
        estimated: said.estimated || more > 0,
        ..said
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::provider::{ChatMessage, Role};

    /// The rules of the provider's page: four characters a token, and 100 tokens for 60 to 80 English words.
    #[rstest]
    #[case::nothing("", 0..=0)]
    #[case::one_letter("z", 1..=1)]
    #[case::sentence("The quick brown fox jumps over the lazy dog.", 9..=13)]
    #[case::japanese("吾輩は猫である。名前はまだ無い。", 9..=16)]
    #[case::russian("Все счастливые семьи похожи друг на друга.", 9..=21)]
    fn text_has_about_its_tokens(#[case] text: &str, #[case] tokens: std::ops::RangeInclusive<u64>) {
        assert!(tokens.contains(&text_tokens(text)), "{}", text_tokens(text));
    }

    #[test]
    fn prompt_counts_instructions_texts_and_pictures() {
        let picture =
            ContentPart::InlineImage { mime_type: "image/png".to_owned(), data_base64: "A".repeat(10_000) };
        let request = ModelRequest {
            system: Some("Answer in verse.".to_owned()),
            messages: vec![
                ChatMessage::text(Role::User, "x".repeat(400)),
                ChatMessage::text(Role::Model, "y".repeat(40)),
                ChatMessage { role: Role::User, parts: vec![picture, ContentPart::Text("z".to_owned())] },
            ],
            ..ModelRequest::default()
        };
        assert_eq!(prompt_tokens(&request), 4 + 100 + 10 + 1_032 + 1);
        assert_eq!(prompt_tokens(&ModelRequest::default()), 0);
    }

    #[test]
    fn counted_answer_is_what_the_provider_said() {
        let said = Usage { input_tokens: 9, output_tokens: 4, total_tokens: 13, ..Usage::default() };
        assert_eq!(complete(Some(said), 1_000, ""), said);
    }

    #[test]
    fn text_after_the_last_count_is_added_and_marked() {
        let said = Usage {
            input_tokens: 9,
            output_tokens: 4,
            cached_tokens: 3,
            reasoning_tokens: 5,
            total_tokens: 18,
            estimated: false,
        };
        let usage = complete(Some(said), 1_000, "eight by");
        assert_eq!(usage, Usage { output_tokens: 6, total_tokens: 20, estimated: true, ..said });
    }

    proptest! {
        #[test]
        fn estimate_adds_up(prompt: u64, text: String) {
            let usage = complete(None, prompt, &text);
            prop_assert!(usage.estimated);
            prop_assert_eq!((usage.input_tokens, usage.output_tokens), (prompt, text_tokens(&text)));
            prop_assert_eq!(usage.total_tokens, prompt.saturating_add(usage.output_tokens));
        }
    }
}
