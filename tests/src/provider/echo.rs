//! The development provider: it refers to the prompt, so that a developer sees the conversation arrive.

use std::{num::NonZero, time::Duration};

use shared::{
    api::usage::Usage,
    provider::{ContentPart, FinishReason, ResponseFormat},
};

use super::{
    call::{Call, Gone, Received},
    script::Script,
};

/// The speed and the length of an answer.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// The time before the first chunk.
    pub first_chunk: Duration,
    /// The time before each further chunk.
    pub chunk: Duration,
    /// The number of chunks of a fixed text, in place of an answer that refers to the prompt.
    pub chunks: Option<NonZero<u32>>,
}

/// Answers one call, by the script that the message names or with a text about the prompt.
///
/// # Errors
/// Fails with [`Gone`] when the caller closed the connection before the answer was complete.
pub async fn answer(mut call: Call, pace: Pace) -> Result<(), Gone> {
    let prompt = call.received().prompt();
    if let Some(script) = Script::asked_for(&prompt) {
        return script.play(call).await;
    }
    let pieces = match pace.chunks {
        Some(chunks) => (0..chunks.get()).map(|at| format!("word{at} ")).collect(),
        None => words(&text(call.received(), &prompt)),
    };
    let usage = usage(call.received(), &pieces);
    let mut pause = pace.first_chunk;
    for piece in pieces {
        // Benchmarks set the pause to zero; a timer would round that up to a millisecond.
        if !pause.is_zero() {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = call.gone() => return Err(Gone),
            }
        }
        call.send_text(&piece).await?;
        pause = pace.chunk;
    }
    call.finish(FinishReason::Stop, usage).await
}

fn text(received: &Received, prompt: &str) -> String {
    let messages = received.request.messages.len();
    let images = received.request.messages.iter().flat_map(|message| &message.parts);
    let images = images.filter(|part| matches!(part, ContentPart::InlineImage { .. })).count();
    if matches!(
        received.request.response_format,
        Some(ResponseFormat::Json | ResponseFormat::JsonSchema { .. })
    ) {
        return serde_json::json!({ "you_said": prompt, "messages": messages, "images": images }).to_string();
    }
    let seen = match messages {
        1 => "It is the first message of our conversation that I see".to_owned(),
        more => format!("It is message {more} of our conversation, and I see all of them"),
    };
    let pictures = match images {
        0 => String::new(),
        1 => ", with a picture in it".to_owned(),
        more => format!(", with {more} pictures in it"),
    };
    format!(
        "You said: “{prompt}”. {seen}{pictures}. I am the scripted provider: set GEMINI_API_KEY, and Gemini answers \
         instead of me."
    )
}

/// Splits a text into words with the blank that follows each; joined, they are the text.
fn words(text: &str) -> Vec<String> {
    text.split_inclusive(char::is_whitespace).map(str::to_owned).collect()
}

/// About as many tokens as Gemini would count.
fn usage(received: &Received, answer: &[String]) -> Usage {
    const CHARS_A_TOKEN: usize = 4;
    let tokens = |chars: usize| u64::try_from(chars.div_ceil(CHARS_A_TOKEN)).unwrap_or(u64::MAX);
    let parts = received.request.messages.iter().flat_map(|message| &message.parts);
    let asked = parts.map(|part| match part {
        ContentPart::Text(text) => text.chars().count(),
        // Gemini counts 258 tokens for a small image.
        ContentPart::InlineImage { .. } => 258 * CHARS_A_TOKEN,
    });
    let system = received.request.system.as_deref().map_or(0, |text| text.chars().count());
    let input_tokens = tokens(asked.sum::<usize>() + system);
    let output_tokens = tokens(answer.iter().map(|word| word.chars().count()).sum());
    Usage {
        input_tokens,
        output_tokens,
        total_tokens: input_tokens.saturating_add(output_tokens),
        ..Usage::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_words_equal_text() {
        let text = "You said: “ö  b”.\nYes. ";
        assert_eq!(words(text).concat(), text);
        assert_eq!(words(text).len(), 6);
    }
}
