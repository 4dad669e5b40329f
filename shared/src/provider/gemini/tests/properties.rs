//! Properties of every request and every stream.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;

use super::super::*;
use super::{ANSWER, IDENTITY, decode};
use crate::provider::{
    ChatMessage, ContentPart, FinishReason, ModelEvent, ModelRequest, ResponseFormat, Role, StreamEnd, Usage,
};

/// Requests as EdgeChat makes them: no empty text, and roles that alternate.
fn requests() -> impl Strategy<Value = ModelRequest> {
    let words = any::<String>().prop_filter("not empty", |text| !text.is_empty());
    let part = prop_oneof![
        4 => words.clone().prop_map(ContentPart::Text),
        1 => ("image/(png|jpeg)", "[A-Za-z0-9+/]{0,20}")
            .prop_map(|(mime_type, data_base64)| ContentPart::InlineImage { mime_type, data_base64 }),
    ];
    let format = prop_oneof![
        Just(ResponseFormat::Text),
        Just(ResponseFormat::Json),
        words.clone().prop_map(|title| ResponseFormat::JsonSchema { schema: json!({"title": title}) }),
    ];
    let temperature = prop::option::of((0_u32..=200).prop_map(|hundredths| f64::from(hundredths) / 100.0));
    let messages = vec(vec(part, 1..4), 1..6).prop_map(|messages| {
        let roles = [Role::User, Role::Model].into_iter().cycle();
        roles.zip(messages).map(|(role, parts)| ChatMessage { role, parts }).collect()
    });
    (prop::option::of(words), messages, temperature, any::<Option<u32>>(), prop::option::of(format)).prop_map(
        |(system, messages, temperature, max_output_tokens, response_format)| ModelRequest {
            system,
            messages,
            temperature,
            max_output_tokens,
            response_format,
        },
    )
}

/// Events in the order a chunk tells them.
fn chunks() -> impl Strategy<Value = Vec<Vec<ModelEvent>>> {
    let words = any::<String>().prop_filter("not empty", |text| !text.is_empty());
    let delta = prop::option::of(words.clone().prop_map(ModelEvent::TextDelta));
    let usage = prop::option::of(any::<[u32; 5]>().prop_map(|counts| {
        let [input_tokens, output_tokens, cached_tokens, reasoning_tokens, total_tokens] =
            counts.map(u64::from);
        let usage = Usage {
            input_tokens,
            output_tokens,
            cached_tokens,
            reasoning_tokens,
            total_tokens,
            estimated: false,
        };
        ModelEvent::Usage(usage)
    }));
    let finish = prop::option::weighted(
        0.2,
        prop::sample::select(vec![
            FinishReason::Stop,
            FinishReason::Length,
            FinishReason::ContentFilter,
            FinishReason::Recitation,
            FinishReason::InvalidOutput,
            FinishReason::InvalidToolCall,
            FinishReason::Language,
            FinishReason::Other,
        ])
        .prop_map(ModelEvent::Finish),
    );
    let chunk = (delta, usage, finish)
        .prop_map(|(delta, usage, finish)| [delta, usage, finish].into_iter().flatten().collect());
    vec(chunk, 0..5)
}

proptest! {
    #[test]
    fn written_request_is_read_back(asked in requests()) {
        prop_assert_eq!(parse_request(&request(&asked)), Ok(asked));
    }

    #[test]
    fn written_stream_in_any_pieces_is_read_back(chunks in chunks(), places in vec(0_usize..2000, 0..8)) {
        let mut stream = Vec::new();
        for chunk in &chunks {
            encode_chunk(&mut stream, IDENTITY, chunk);
        }
        let (events, end) = decode([stream.as_slice()], MAX_EVENT_BYTES);
        prop_assert_eq!(&events, &chunks.concat());
        let last = events.iter().rev().find_map(|event| match event {
            ModelEvent::Finish(reason) => Some(*reason),
            _ => None,
        });
        prop_assert_eq!(end, Ok(last.map_or(StreamEnd::Incomplete, StreamEnd::Completed)));
        let expected = (events, end);
        for at in 0..=stream.len() {
            let (head, tail) = stream.split_at(at);
            prop_assert_eq!(&decode([head, tail], MAX_EVENT_BYTES), &expected, "split at {}", at);
        }
        let mut places: Vec<_> = places.into_iter().map(|place| place.min(stream.len())).collect();
        places.extend([0, stream.len()]);
        places.sort_unstable();
        let pieces = places.windows(2).map(|pair| &stream[pair[0]..pair[1]]);
        prop_assert_eq!(&decode(pieces, MAX_EVENT_BYTES), &expected);
    }

    #[test]
    fn any_bytes_can_be_read(bytes in vec(any::<u8>(), 0..300), status in any::<u16>(), max in 0_usize..400) {
        prop_assert_eq!(decode([bytes.as_slice()], max), decode(bytes.chunks(2), max));
        let is_json = serde_json::from_slice::<serde_json::Value>(&bytes).is_ok();
        prop_assert!(is_json || decode_response(&bytes, max).is_err());
        prop_assert!(is_json || parse_request(&bytes).is_err());
        prop_assert!(is_json || classify(status, None, &bytes) == classify(status, None, b""));
    }

    #[test]
    fn single_mangled_event_leaves_the_other_words_whole(
        words in vec("[a-zé😀 \\\\\"]{1,12}", 1..8),
        which in any::<prop::sample::Index>(),
        kind in 0_usize..6,
        at in any::<prop::sample::Index>(),
        // No line end, which would make it another event.
        noise in vec(any::<u8>().prop_filter("no line end", |byte| !matches!(byte, b'\r' | b'\n')), 0..9),
    ) {
        let which = which.index(words.len());
        let mut stream = Vec::new();
        for (place, word) in words.iter().enumerate() {
            let mut event = Vec::new();
            encode_chunk(&mut event, IDENTITY, &[ModelEvent::TextDelta(word.clone())]);
            if place == which {
                let mut json = event["data: ".len()..event.len() - 4].to_vec();
                let at = at.index(json.len());
                match kind {
                    0 => json.truncate(at),
                    1 => json = noise.clone(),
                    2 => json.splice(at..at, noise.clone()).for_each(drop),
                    3 => json.splice(at..=at, noise.clone()).for_each(drop),
                    4 => json = b"null".to_vec(),
                    _ => json = serde_json::to_vec(&json!([noise, { "candidates": noise }])).unwrap(),
                }
                event = [b"data: ", json.as_slice(), b"\r\n\r\n"].concat();
            }
            stream.extend(event);
        }
        encode_chunk(&mut stream, IDENTITY, &[ModelEvent::Finish(FinishReason::Stop)]);
        let (events, end) = decode([stream.as_slice()], MAX_EVENT_BYTES);
        prop_assert_eq!(end, Ok(StreamEnd::Completed(FinishReason::Stop)));
        let texts: Vec<_> = events
            .iter()
            .filter_map(|event| match event {
                ModelEvent::TextDelta(text) => Some(text.as_str()),
                _ => None,
            })
            .collect();
        let (before, after) = (&words[..which], &words[which + 1..]);
        prop_assert_eq!(&texts[..before.len()], before);
        // Of the mangled one itself there may be something or nothing.
        prop_assert_eq!(&texts[texts.len() - after.len()..], after);
        prop_assert!(texts.len() <= words.len());
    }

    #[test]
    fn spoilt_stream_does_not_panic(at in 0_usize..1000, byte in any::<u8>()) {
        let mut stream = ANSWER.as_bytes().to_vec();
        let at = at % stream.len();
        stream[at] = byte;
        prop_assert_eq!(decode([stream.as_slice()], MAX_EVENT_BYTES), decode(stream.chunks(5), MAX_EVENT_BYTES));
    }
}
