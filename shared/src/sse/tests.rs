//! Tests of the decoder against the standard, with input split at every place, and of the encoder against the decoder.

use proptest::collection::vec;
use proptest::prelude::*;
use rstest::rstest;

use super::*;

type Owned = (String, String, String);

/// Decodes the pieces one after the other; returns the frames before an error, and the error.
fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, max: usize) -> (Vec<Owned>, Option<TooLong>) {
    let mut decoder = Decoder::new(max);
    let mut frames = Vec::new();
    for mut piece in pieces {
        loop {
            match decoder.read(&mut piece) {
                Ok(Some(Frame { id, event, data })) => {
                    frames.push((id.into_owned(), event.into_owned(), data.into_owned()));
                }
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
        assert!(piece.is_empty());
    }
    (frames, None)
}

fn whole(stream: &[u8]) -> Vec<Owned> {
    let (frames, error) = read([stream], 1 << 20);
    assert_eq!(error, None);
    frames
}

fn frame(id: &str, event: &str, data: &str) -> Owned {
    (id.to_owned(), event.to_owned(), data.to_owned())
}

#[rstest]
#[case::plain(b"data: hello\n\n", &[("", "message", "hello")])]
#[case::no_space(b"data:hello\n\n", &[("", "message", "hello")])]
#[case::only_one_space_is_taken(b"data:  hello\n\n", &[("", "message", " hello")])]
#[case::colons_in_the_value(b"data: {\"a\":1}\n\n", &[("", "message", "{\"a\":1}")])]
#[case::crlf(b"event: e\r\ndata: a\r\ndata: b\r\n\r\n", &[("", "e", "a\nb")])]
#[case::cr(b"event: e\rdata: a\r\r", &[("", "e", "a")])]
#[case::cr_then_crlf(b"data: a\r\r\ndata: b\r\n\r\n", &[("", "message", "a"), ("", "message", "b")])]
#[case::byte_order_mark(b"\xEF\xBB\xBFdata: a\n\n", &[("", "message", "a")])]
#[case::a_second_mark_is_a_field(b"\xEF\xBB\xBF\xEF\xBB\xBFdata: a\n\n", &[])]
#[case::comments(b": hi\ndata: a\n:\n: x\n\n:\n\n", &[("", "message", "a")])]
#[case::field_without_colon(b"data\n\n", &[("", "message", "")])]
#[case::two_empty_data_lines(b"data\ndata\n\n", &[("", "message", "\n")])]
#[case::event_without_data(b"event: e\n\ndata: a\n\n", &[("", "message", "a")])]
#[case::the_last_event_line_counts(b"event: a\nevent: b\ndata: x\n\n", &[("", "b", "x")])]
#[case::id_stays(b"id: 7\ndata: a\n\ndata: b\n\nid\ndata: c\n\n",
    &[("7", "message", "a"), ("7", "message", "b"), ("", "message", "c")])]
#[case::id_without_data_counts(b"id: 7\n\ndata: a\n\n", &[("7", "message", "a")])]
#[case::id_with_nul(b"id: 7\nid: 8\0\ndata: a\n\n", &[("7", "message", "a")])]
#[case::unknown_fields(b"retry: 10\nDATA: x\nfoo: bar\nfoo\ndata: a\n\n", &[("", "message", "a")])]
#[case::no_blank_line_at_the_end(b"data: a\n\ndata: b\n", &[("", "message", "a")])]
#[case::no_line_end_at_the_end(b"data: a\n\ndata: b", &[("", "message", "a")])]
#[case::not_utf8(b"data: a\xFFb\xE2\x82\ndata: \xAC\n\n", &[("", "message", "a\u{FFFD}b\u{FFFD}\n\u{FFFD}")])]
#[case::nothing(b"", &[])]
fn decoder_follows_standard(#[case] stream: &[u8], #[case] expected: &[(&str, &str, &str)]) {
    let expected: Vec<_> = expected.iter().map(|(id, event, data)| frame(id, event, data)).collect();
    assert_eq!(whole(stream), expected);
    for at in 0..=stream.len() {
        let (head, tail) = stream.split_at(at);
        assert_eq!(read([head, tail], 1 << 20).0, expected, "split at {at}");
    }
    assert_eq!(read(stream.chunks(1), 1 << 20).0, expected, "byte by byte");
}

#[rstest]
#[case::line(b"data: 0123456789\n\n")]
#[case::line_that_never_ends(b"data: 0123456789")]
#[case::comment(b": 01234567890123456789\n")]
#[case::many_lines(b"data: 01\ndata: 23\ndata: 45\ndata: 67\ndata: 89\n\n")]
#[case::type_and_data(b"event: 012345\ndata: 345\n\n")]
fn event_over_bound_is_refused_at_any_split(#[case] event: &[u8]) {
    let stream = [b"data: ok\n\n", event].concat();
    for at in 0..=stream.len() {
        let (head, tail) = stream.split_at(at);
        assert_eq!(
            read([head, tail], 14),
            (vec![frame("", "message", "ok")], Some(TooLong)),
            "split at {at}"
        );
    }
}

#[test]
fn event_over_bound_fails_all_further_reads() {
    let fits = b"data: 01234567\n\n".repeat(50);
    assert_eq!(read([fits.as_slice()], 14).0.len(), 50);
    let mut decoder = Decoder::new(14);
    let mut input: &[u8] = b"data: 0123456789\n\n";
    assert_eq!(decoder.read(&mut input), Err(TooLong));
    let mut input: &[u8] = b"data: a\n\n";
    assert_eq!(decoder.read(&mut input), Err(TooLong));
}

#[test]
fn encoder_writes_expected_format() {
    let mut out = Vec::new();
    encode(&mut out, Some(12), "message.delta", r#"{"text":"Hé"}"#);
    out.extend_from_slice(PING);
    encode(&mut out, None, "", "a\nb\r\nc\rd\n");
    encode(&mut out, None, "x\nid: 9", "");
    assert_eq!(
        String::from_utf8(out.clone()).unwrap(),
        "id: 12\nevent: message.delta\ndata: {\"text\":\"Hé\"}\n\n: ping\n\
         data: a\ndata: b\ndata: c\ndata: d\ndata: \n\n\
         event: xid: 9\ndata: \n\n"
    );
    assert_eq!(
        whole(&out),
        [
            frame("12", "message.delta", r#"{"text":"Hé"}"#),
            frame("12", "message", "a\nb\nc\nd\n"),
            frame("12", "xid: 9", "")
        ]
    );
}

/// Streams of tokens of the format, in any order and with any line ends.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(&b"data: "[..]),
        Just(&b"data:"[..]),
        Just(&b"data"[..]),
        Just(&b"event: delta"[..]),
        Just(&b"id: 1"[..]),
        Just(&b": comment"[..]),
        Just(&b"\n"[..]),
        Just(&b"\r\n"[..]),
        Just(&b"\r"[..]),
        Just("\u{FEFF}".as_bytes()),
        Just("héé→🦀".as_bytes()),
        Just(&b"\xF0\x9F"[..]),
        Just(&b"\0"[..]),
        Just(&b"x"[..]),
    ];
    vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// Splits the stream at these places, in order.
fn cut(stream: &[u8], places: Vec<usize>) -> Vec<&[u8]> {
    let mut places: Vec<_> = places.into_iter().map(|place| place.min(stream.len())).collect();
    places.extend([0, stream.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect()
}

proptest! {
    #[test]
    fn split_input_decodes_the_same(stream in stream(), places in vec(0_usize..200, 0..12), max in 1_usize..60) {
        let expected = read([stream.as_slice()], max);
        for at in 0..=stream.len() {
            prop_assert_eq!(&read(cut(&stream, vec![at]), max), &expected, "split at {}", at);
        }
        prop_assert_eq!(&read(cut(&stream, places), max), &expected);
        prop_assert_eq!(&read(stream.chunks(1), max), &expected);
    }

    #[test]
    fn arbitrary_bytes_are_decoded(stream in vec(any::<u8>(), 0..400), max in 0_usize..500) {
        prop_assert_eq!(read([stream.as_slice()], max), read(stream.chunks(3), max));
    }

    #[test]
    fn encoded_events_round_trip(
        events in vec((any::<Option<u64>>(), "[a-z.]{0,12}", any::<String>()), 0..6),
    ) {
        let mut out = Vec::new();
        let mut last_id = String::new();
        let mut expected = Vec::new();
        for (id, event, data) in &events {
            encode(&mut out, *id, event, data);
            if let Some(id) = id {
                last_id = id.to_string();
            }
            let event = if event.is_empty() { "message" } else { event };
            let data = data.replace("\r\n", "\n").replace('\r', "\n");
            expected.push(frame(&last_id, event, &data));
        }
        prop_assert_eq!(whole(&out), expected);
    }
}

#[test]
fn opening_and_pings_are_ignored_before_event() {
    let mut bytes = opening();
    assert!(bytes.len() > 512 && bytes.ends_with(b".\n"));
    bytes.extend_from_slice(PING);
    encode(&mut bytes, Some(1), "turn.started", "{}");
    bytes.extend_from_slice(PING);
    let (mut decoder, mut input) = (Decoder::new(1024), &bytes[..]);
    let frame = decoder.read(&mut input).unwrap().unwrap();
    assert_eq!((&*frame.id, &*frame.event, &*frame.data), ("1", "turn.started", "{}"));
    assert_eq!(decoder.read(&mut input), Ok(None));
}
