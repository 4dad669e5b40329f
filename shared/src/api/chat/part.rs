//! Pieces of a message: as they are stored and shown, and as they are sent, with the rules of what a message may say.

use garde::{Path, Report, Validate};
use serde::{Deserialize, Serialize, de};

/// The most characters of a message's text.
pub const MAX_TEXT_CHARS: usize = 100_000;
/// The most parts of a message.
pub const MAX_PARTS: usize = 16;
/// The media types of pictures.
pub const IMAGE_TYPES: [&str; 5] = ["image/png", "image/jpeg", "image/webp", "image/heic", "image/heif"];

/// A piece of a message, as it is stored and shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Part {
    /// Words.
    Text {
        /// The words.
        text: String,
    },
    /// A picture, in the message itself or a file that was uploaded before.
    Image {
        /// The picture's media type; needed with `data`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mime_type: Option<String>,
        /// The picture in base64.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        data: Option<String>,
        /// The id of an uploaded file.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file_id: Option<String>,
    },
}

/// All text of the parts, joined.
pub fn joined_text(parts: &[Part]) -> String {
    let mut text = String::new();
    for part in parts {
        if let Part::Text { text: piece } = part {
            text.push_str(piece);
        }
    }
    text
}

/// The kind of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum PartType {
    /// Words.
    Text,
    /// A picture.
    Image,
}

/// A piece of a message: words, or a picture. Fields of the other kind are left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Validate)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Part, example = json!({"type": "text", "text": "Hello"})))]
pub struct PartRequest {
    /// `text` or `image`.
    #[serde(rename = "type")]
    #[garde(skip)]
    pub kind: PartType,
    /// The words; with `text`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(custom(needed_by(self.kind, PartType::Text)))]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub text: Option<String>,
    /// The picture's media type; with `image`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(custom(needed_by(self.kind, PartType::Image)), custom(validate_image))]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub mime_type: Option<String>,
    /// The picture in base64; with `image`. An answer leaves the data of old pictures out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(custom(needed_by(self.kind, PartType::Image)), custom(validate_base64))]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub data: Option<String>,
}

impl PartRequest {
    fn chars(&self) -> usize {
        self.text.as_ref().map_or(0, |text| text.chars().count())
    }

    fn is_silent(&self) -> bool {
        self.kind == PartType::Text && self.text.as_ref().is_some_and(|text| text.trim().is_empty())
    }
}

impl From<PartRequest> for Part {
    fn from(part: PartRequest) -> Self {
        match part.kind {
            PartType::Text => Self::Text { text: part.text.unwrap_or_default() },
            PartType::Image => Self::Image { mime_type: part.mime_type, data: part.data, file_id: None },
        }
    }
}

/// `content` of a message: words. A list of parts is taken as well, from clients that were made before `parts` was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Content {
    /// Words only.
    Text(String),
    /// Words and pictures.
    Parts(Vec<PartRequest>),
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Content;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Content, E> {
                Ok(Content::Text(text.to_owned()))
            }

            fn visit_string<E: de::Error>(self, text: String) -> Result<Content, E> {
                Ok(Content::Text(text))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, seq: A) -> Result<Content, A::Error> {
                Deserialize::deserialize(de::value::SeqAccessDeserializer::new(seq)).map(Content::Parts)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl Validate for Content {
    type Context = ();

    fn validate_into(&self, context: &(), parent: &mut dyn FnMut() -> Path, report: &mut Report) {
        match self {
            Self::Text(text) => {
                if let Err(error) = validate_content(text.chars().count(), text.trim().is_empty()) {
                    report.append(parent(), error);
                }
            }
            Self::Parts(parts) => {
                if let Err(error) = validate_parts(parts) {
                    report.append(parent(), error);
                }
                parts.validate_into(context, parent, report);
            }
        }
    }
}

/// The rule of a field that parts or formats of one kind need: `self.kind` is `actual`.
pub(super) fn needed_by<K: PartialEq, T>(
    actual: K,
    kind: K,
) -> impl FnOnce(&Option<T>, &()) -> garde::Result {
    move |value, ()| match value {
        None if actual == kind => Err(garde::Error::new("is required")),
        _ => Ok(()),
    }
}

pub(super) fn validate_parts(parts: &[PartRequest]) -> garde::Result {
    if parts.is_empty() || parts.len() > MAX_PARTS {
        return Err(garde::Error::new(format!("must have 1 to {MAX_PARTS} parts")));
    }
    validate_content(parts.iter().map(PartRequest::chars).sum(), parts.iter().all(PartRequest::is_silent))
}

fn validate_content(chars: usize, silent: bool) -> garde::Result {
    if silent {
        return Err(garde::Error::new("must not be empty"));
    }
    if chars > MAX_TEXT_CHARS {
        return Err(garde::Error::new(format!("must have at most {MAX_TEXT_CHARS} characters of text")));
    }
    Ok(())
}

#[expect(
    clippy::ref_option,
    clippy::trivially_copy_pass_by_ref,
    reason = "garde calls custom rules like this"
)]
fn validate_image(mime_type: &Option<String>, _context: &()) -> garde::Result {
    match mime_type {
        Some(text) if !IMAGE_TYPES.contains(&text.as_str()) => {
            Err(garde::Error::new(format!("must be one of {}", IMAGE_TYPES.join(", "))))
        }
        _ => Ok(()),
    }
}

#[expect(
    clippy::ref_option,
    clippy::trivially_copy_pass_by_ref,
    reason = "garde calls custom rules like this"
)]
fn validate_base64(data: &Option<String>, _context: &()) -> garde::Result {
    let Some(data) = data else { return Ok(()) };
    let body = data.trim_end_matches('=');
    let alphabet = body.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/');
    if body.is_empty() || !data.len().is_multiple_of(4) || data.len() - body.len() > 2 || !alphabet {
        return Err(garde::Error::new("must be base64"));
    }
    Ok(())
}
