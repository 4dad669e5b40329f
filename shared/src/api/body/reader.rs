//! From a value of a body to a type of the API. serde takes a list for a struct and refuses `100.0` for an integer; a client
//! knows objects, lists, strings, numbers and booleans of JSON, and is told in these words what is wrong.

use std::{borrow::Cow, fmt};

use serde::{
    de::{self, DeserializeSeed, Deserializer, Expected, IntoDeserializer as _, Unexpected, Visitor, value},
    forward_to_deserialize_any,
};

use super::json::Json;

/// A value that is wrong: its place and the reason.
#[derive(Debug)]
pub(super) struct Mismatch {
    /// The path within the body; empty for the body itself.
    pub(super) path: String,
    /// In words of the API.
    pub(super) message: String,
}

impl Mismatch {
    fn new(message: impl Into<String>) -> Self {
        Self { path: String::new(), message: message.into() }
    }

    /// A mismatch of the member with this name of the value.
    fn of_member(name: &str, message: &str) -> Self {
        Self { path: name.to_owned(), message: message.to_owned() }
    }

    /// The same, seen from the object that has the value under this name.
    fn in_member(mut self, name: &str) -> Self {
        self.path = if self.path.is_empty() || self.path.starts_with('[') {
            format!("{name}{}", self.path)
        } else {
            format!("{name}.{}", self.path)
        };
        self
    }

    /// The same, seen from the list that has the value in this place.
    fn at(self, index: usize) -> Self {
        self.in_member(&format!("[{index}]"))
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

impl std::error::Error for Mismatch {}

/// The types' own code reports by these; only [`Self::custom`] passes a text on, and those texts are ours.
impl de::Error for Mismatch {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self::new(text.to_string())
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(demand(&expected.to_string()))
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(demand(&expected.to_string()))
    }

    fn invalid_length(_: usize, expected: &dyn Expected) -> Self {
        Self::new(demand(&expected.to_string()))
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::new(format!("must be one of {}", expected.join(", ")))
    }

    fn unknown_field(field: &str, _: &'static [&'static str]) -> Self {
        Self::of_member(field, "is not known")
    }

    fn missing_field(field: &'static str) -> Self {
        Self::of_member(field, "is required")
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::of_member(field, "is given more than once")
    }
}

/// Returns the demand on a client where the type's code expects this.
fn demand(expected: &str) -> String {
    let integer = |from: &str, to: &str| format!("must be an integer from {from} to {to}");
    match expected {
        "u8" => integer("0", "255"),
        "u16" => integer("0", "65535"),
        "u32" => integer("0", "4294967295"),
        "u64" | "u128" | "usize" => integer("0", "18446744073709551615"),
        "i8" => integer("-128", "127"),
        "i16" => integer("-32768", "32767"),
        "i32" => integer("-2147483648", "2147483647"),
        "i64" | "i128" | "isize" => integer("-9223372036854775808", "9223372036854775807"),
        "f32" | "f64" => "must be a number".to_owned(),
        // The type is one of our own visitors', such as `a string or a list of parts`.
        own => format!("must be {own}"),
    }
}

/// Calls the visitor for a text, without a copy where the body has it as it is.
fn visit_text<'de, V: Visitor<'de>>(text: Cow<'de, str>, visitor: V) -> Result<V::Value, Mismatch> {
    match text {
        Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
        Cow::Owned(text) => visitor.visit_string(text),
    }
}

/// Calls the visitor for a whole number; JSON has no other difference between `100` and `100.0`.
fn visit_integer<'de, V: Visitor<'de>>(value: &Json<'_>, visitor: V) -> Result<V::Value, Mismatch> {
    let no_integer = || Mismatch::new("must be an integer");
    match value {
        Json::Unsigned(value) => visitor.visit_u64(*value),
        Json::Signed(value) => visitor.visit_i64(*value),
        Json::Float(value) if value.fract() == 0.0 => match format!("{value:.0}").parse::<i128>() {
            Ok(whole) => match (u64::try_from(whole), i64::try_from(whole)) {
                (Ok(whole), _) => visitor.visit_u64(whole),
                (_, Ok(whole)) => visitor.visit_i64(whole),
                // Beyond every integer: the visitor names its range.
                _ if whole > 0 => visitor.visit_u128(whole.unsigned_abs()),
                _ => visitor.visit_i128(whole),
            },
            Err(_) => Err(no_integer()),
        },
        Json::Plain(text) => match (text.parse::<u64>(), text.parse::<i64>()) {
            (Ok(value), _) => visitor.visit_u64(value),
            (_, Ok(value)) => visitor.visit_i64(value),
            _ => Err(no_integer()),
        },
        _ => Err(no_integer()),
    }
}

macro_rules! integers {
    ($($method:ident)+) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
            visit_integer(&self, visitor)
        }
    )+};
}

impl<'de> Deserializer<'de> for Json<'de> {
    type Error = Mismatch;

    integers! {
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
    }

    forward_to_deserialize_any! {
        i128 u128 bytes byte_buf unit unit_struct tuple tuple_struct ignored_any
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self {
            Self::Null => visitor.visit_unit(),
            Self::Bool(value) => visitor.visit_bool(value),
            Self::Unsigned(value) => visitor.visit_u64(value),
            Self::Signed(value) => visitor.visit_i64(value),
            Self::Float(value) => visitor.visit_f64(value),
            Self::String(text) | Self::Plain(text) => visit_text(text, visitor),
            Self::List(items) => visitor.visit_seq(Items { items: items.into_iter(), index: 0 }),
            Self::Object(members) => visitor.visit_map(Members { members: members.into_iter(), value: None }),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self {
            Self::Bool(value) => visitor.visit_bool(value),
            Self::Plain(text) if text == "true" => visitor.visit_bool(true),
            Self::Plain(text) if text == "false" => visitor.visit_bool(false),
            _ => Err(Mismatch::new("must be true or false")),
        }
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        let no_number = || Mismatch::new("must be a number");
        match self {
            Self::Unsigned(_) | Self::Signed(_) | Self::Float(_) => self.deserialize_any(visitor),
            Self::Plain(text) => visitor.visit_f64(text.parse().map_err(|_| no_number())?),
            _ => Err(no_number()),
        }
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        self.deserialize_string(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        self.deserialize_string(visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self {
            Self::String(text) | Self::Plain(text) => visit_text(text, visitor),
            _ => Err(Mismatch::new("must be a string")),
        }
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        self.deserialize_string(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self {
            Self::Null => visitor.visit_none(),
            value => visitor.visit_some(value),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self {
            Self::List(_) => self.deserialize_any(visitor),
            _ => Err(Mismatch::new("must be a list")),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self {
            Self::Object(_) => self.deserialize_any(visitor),
            _ => Err(Mismatch::new("must be an object")),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        match self {
            Self::String(text) | Self::Plain(text) => visitor.visit_enum(text.into_deserializer()),
            _ => Err(Mismatch::new("must be a string")),
        }
    }
}

impl<'de> de::IntoDeserializer<'de, Mismatch> for Json<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

struct Items<'de> {
    items: std::vec::IntoIter<Json<'de>>,
    index: usize,
}

impl<'de> de::SeqAccess<'de> for Items<'de> {
    type Error = Mismatch;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Mismatch> {
        let Some(item) = self.items.next() else { return Ok(None) };
        let index = self.index;
        self.index += 1;
        seed.deserialize(item).map(Some).map_err(|mismatch| mismatch.at(index))
    }
}

struct Members<'de> {
    members: std::vec::IntoIter<(Cow<'de, str>, Json<'de>)>,
    value: Option<(Cow<'de, str>, Json<'de>)>,
}

impl<'de> de::MapAccess<'de> for Members<'de> {
    type Error = Mismatch;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Mismatch> {
        let Some((name, value)) = self.members.next() else { return Ok(None) };
        let key = seed.deserialize(value::CowStrDeserializer::new(name.clone()));
        self.value = Some((name, value));
        key.map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Mismatch> {
        // serde asks for a value after its key only.
        let (name, value) = self.value.take().unwrap_or((Cow::Borrowed(""), Json::Null));
        seed.deserialize(value).map_err(|mismatch| mismatch.in_member(&name))
    }
}
