//! The body of a request to a gateway for SMS, as its operator writes it: a text with placeholders. A value is escaped for the form
//! of the body, so that no message changes what stands around it.

use serde_json::Value;

/// The placeholders, by name.
const PLACEHOLDERS: [(&str, Placeholder); 3] =
    [("{id}", Placeholder::Id), ("{to}", Placeholder::To), ("{text}", Placeholder::Text)];
/// A value for a trial: outside of a string, or after a backslash, it is no JSON.
const SAMPLE: Values<'_> = Values { id: "a\"\\\n", to: "a\"\\\n{text}", text: "a\"\\\n{to}&=é" };

/// The form of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFormat {
    /// `application/json`
    Json,
    /// `application/x-www-form-urlencoded`
    Form,
}

/// A template that was checked.
#[derive(Clone)]
pub struct Template {
    format: BodyFormat,
    pieces: Vec<Piece>,
}

/// The values for the placeholders.
#[derive(Clone, Copy, Debug)]
pub struct Values<'a> {
    /// `{id}`
    pub id: &'a str,
    /// `{to}`
    pub to: &'a str,
    /// `{text}`
    pub text: &'a str,
}

#[derive(Clone)]
enum Piece {
    Literal(String),
    Placeholder(Placeholder),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Placeholder {
    Id,
    To,
    Text,
}

impl BodyFormat {
    /// Reads a content type, without parameters.
    pub(super) fn parse(text: &str) -> Option<Self> {
        [Self::Json, Self::Form].into_iter().find(|format| format.content_type().eq_ignore_ascii_case(text))
    }

    /// Returns the content type.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Form => "application/x-www-form-urlencoded",
        }
    }

    fn escape(self, value: &str) -> String {
        match self {
            Self::Json => {
                let quoted = Value::from(value).to_string();
                quoted
                    .strip_prefix('"')
                    .and_then(|rest| rest.strip_suffix('"'))
                    .unwrap_or_default()
                    .to_owned()
            }
            Self::Form => form_urlencoded::byte_serialize(value.as_bytes()).collect(),
        }
    }
}

impl Template {
    /// Reads a template and tries it.
    ///
    /// # Errors
    /// Fails with a sentence of what it should be.
    pub(super) fn parse(text: &str, format: BodyFormat) -> Result<Self, String> {
        let template = Self { format, pieces: pieces(text) };
        let has = |wanted| {
            template.pieces.iter().any(|piece| matches!(piece, Piece::Placeholder(found) if *found == wanted))
        };
        if !(has(Placeholder::To) && has(Placeholder::Text)) {
            return Err(
                "it should hold the body of a request with {to} and {text}, and {id} if wanted".to_owned()
            );
        }
        if format == BodyFormat::Json && serde_json::from_str::<Value>(&template.render(SAMPLE)).is_err() {
            return Err("it should be JSON, its placeholders within strings".to_owned());
        }
        Ok(template)
    }

    /// Returns the body with these values.
    pub fn render(&self, values: Values<'_>) -> String {
        let render = |piece: &Piece| match piece {
            Piece::Literal(text) => text.clone(),
            Piece::Placeholder(placeholder) => self.format.escape(match placeholder {
                Placeholder::Id => values.id,
                Placeholder::To => values.to,
                Placeholder::Text => values.text,
            }),
        };
        self.pieces.iter().map(render).collect()
    }
}

/// Without its text, which may hold a key.
impl std::fmt::Debug for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Template({:?})", self.format)
    }
}

fn pieces(mut rest: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    loop {
        let first = PLACEHOLDERS
            .iter()
            .filter_map(|(name, placeholder)| Some((rest.split_once(name)?, *placeholder)))
            .min_by_key(|((before, _), _)| before.len());
        let Some(((before, after), placeholder)) = first else { break };
        pieces.extend([Piece::Literal(before.to_owned()), Piece::Placeholder(placeholder)]);
        rest = after;
    }
    pieces.push(Piece::Literal(rest.to_owned()));
    pieces
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    const VALUES: Values<'_> = Values { id: "1", to: "+491701234567", text: "{to} \"is\" you & me" };

    #[rstest]
    #[case(
        BodyFormat::Form,
        "To={to}&Body={text}&k={x}",
        "To=%2B491701234567&Body=%7Bto%7D+%22is%22+you+%26+me&k={x}"
    )]
    #[case(
        BodyFormat::Json,
        r#"{"m":[{"to":"{to}","text":"{text}","ref":"{id}"}]}"#,
        r#"{"m":[{"to":"+491701234567","text":"{to} \"is\" you & me","ref":"1"}]}"#
    )]
    fn placeholders_are_replaced_once_and_escaped(
        #[case] format: BodyFormat,
        #[case] template: &str,
        #[case] body: &str,
    ) {
        assert_eq!(Template::parse(template, format).unwrap().render(VALUES), body);
    }

    #[rstest]
    #[case(BodyFormat::Form, "To={to}")]
    #[case(BodyFormat::Form, "")]
    #[case(BodyFormat::Json, r#"{"to":"{to}"}"#)]
    #[case(BodyFormat::Json, r#"{"to":{to},"text":"{text}"}"#)]
    #[case(BodyFormat::Json, r#"{"to":"{to}","text":"\{text}"}"#)]
    #[case(BodyFormat::Json, "To={to}&Body={text}")]
    fn template_that_cannot_work_is_refused(#[case] format: BodyFormat, #[case] template: &str) {
        assert!(Template::parse(template, format).is_err());
    }

    proptest! {
        #[test]
        fn values_arrive_as_they_are(id in ".*", to in ".*", text in ".*") {
            let values = Values { id: &id, to: &to, text: &text };
            let json_template = Template::parse(r#"["{id}", "{to}", "{text}"]"#, BodyFormat::Json).unwrap();
            let body: Value = serde_json::from_str(&json_template.render(values)).unwrap();
            prop_assert_eq!(body, json!([id, to, text]));
            let form = Template::parse("a={id}&b={to}&c={text}", BodyFormat::Form).unwrap().render(values);
            let fields: Vec<_> = form_urlencoded::parse(form.as_bytes()).into_owned().collect();
            let expected = [("a", &id), ("b", &to), ("c", &text)].map(|(name, value)| (name.to_owned(), value.clone()));
            prop_assert_eq!(fields, expected);
        }
    }
}
