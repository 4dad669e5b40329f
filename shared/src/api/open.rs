//! Names from a set that grows: what a newer version stored or sent, and this one does not know, is kept as it is and
//! written back unchanged, so that a rollback loses nothing and no row becomes unreadable.

use std::fmt;

/// The most bytes of a name; ours have at most 22. A longer word is no name but damage.
pub const MAX_NAME_BYTES: usize = 47;

/// A name this version does not know, held in place so that what holds it stays `Copy`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Name {
    len: u8,
    bytes: [u8; MAX_NAME_BYTES],
}

impl Name {
    /// The name of this text; `None` when it is empty or has more than [`MAX_NAME_BYTES`].
    pub fn new(text: &str) -> Option<Self> {
        let mut bytes = [0; MAX_NAME_BYTES];
        bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        let len = u8::try_from(text.len()).ok().filter(|len| *len > 0)?;
        Some(Self { len, bytes })
    }

    /// The text of the name.
    pub fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..usize::from(self.len)).unwrap_or_default();
        // Only `new` makes a name, of a whole text.
        std::str::from_utf8(bytes).unwrap_or_default()
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

/// Reads and writes a type as the name that its `as_str` and `parse` know; its schema is a string
/// of the names that are known.
macro_rules! serde_as_name {
    ($type:ident, $description:expr, $names:expr) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let name = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                Self::parse(&name).ok_or_else(|| <D::Error as serde::de::Error>::custom("is not a name"))
            }
        }

        #[cfg(feature = "openapi")]
        impl utoipa::PartialSchema for $type {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                utoipa::openapi::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .description(Some($description))
                    .enum_values(Some($names))
                    .into()
            }
        }

        #[cfg(feature = "openapi")]
        impl utoipa::ToSchema for $type {}
    };
}

/// Defines an enum whose values are names in bodies and tables, with a variant for those it does not know.
macro_rules! open_names {
    (
        #[doc = $about:literal]
        $(#[$attribute:meta])*
        pub enum $type:ident { $($(#[$meta:meta])+ $variant:ident = $name:literal,)+ }
    ) => {
        #[doc = $about]
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $type {
            $($(#[$meta])+ $variant,)+
            /// One of a newer version.
            Unknown($crate::api::open::Name),
        }

        impl $type {
            /// The names this version knows.
            pub const NAMES: &'static [&'static str] = &[$($name),+];

            /// The name as it stands in a body and a table.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $name,)+
                    Self::Unknown(name) => name.as_str(),
                }
            }

            /// Reads what [`Self::as_str`] wrote, this version's or a newer one's; `None` when it is no name at all.
            pub fn parse(text: &str) -> Option<Self> {
                match text {
                    $($name => Some(Self::$variant),)+
                    _ => $crate::api::open::Name::new(text).map(Self::Unknown),
                }
            }
        }

        $crate::api::open::serde_as_name!($type, $about.trim(), $type::NAMES.iter().copied());
    };
}

pub(crate) use {open_names, serde_as_name};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::api::{
        ErrorCode,
        account::Plan,
        chat::{FinishReason, Role, TurnCode, TurnStatus},
    };

    macro_rules! reads_back {
        ($type:ident, $name:expr) => {{
            let name: &str = $name;
            let value = $type::parse(name).unwrap();
            prop_assert_eq!(value.as_str(), name);
            let json = serde_json::to_string(&value).unwrap();
            prop_assert_eq!(&json, &serde_json::to_string(name).unwrap());
            prop_assert_eq!(serde_json::from_str::<$type>(&json).unwrap(), value);
        }};
    }

    proptest! {
        #[test]
        fn name_of_newer_version_is_kept(name in "[a-z_]{1,45}é?|\\PC{1,10}") {
            reads_back!(Role, &name);
            reads_back!(TurnStatus, &name);
            reads_back!(FinishReason, &name);
            reads_back!(TurnCode, &name);
            reads_back!(Plan, &name);
        }
    }

    #[test]
    fn known_name_reads_as_its_own_variant() {
        let known = |name: &&str| {
            let read = [
                Role::parse(name).is_some_and(|role| !matches!(role, Role::Unknown(_))),
                TurnStatus::parse(name).is_some_and(|status| !matches!(status, TurnStatus::Unknown(_))),
                FinishReason::parse(name).is_some_and(|reason| !matches!(reason, FinishReason::Unknown(_))),
                Plan::parse(name).is_some_and(|plan| !matches!(plan, Plan::Unknown(_))),
                TurnCode::parse(name).is_some_and(|code| !matches!(code, TurnCode::Unknown(_))),
            ];
            read.map(usize::from)
        };
        let names = [Role::NAMES, TurnStatus::NAMES, FinishReason::NAMES, Plan::NAMES, TurnCode::NAMES];
        for (at, names) in names.into_iter().enumerate() {
            assert!(names.iter().all(|name| known(name)[at] == 1), "{names:?}");
        }
        for code in ErrorCode::ALL {
            assert_eq!(TurnCode::parse(code.as_str()), Some(TurnCode::Error(*code)));
        }
    }

    #[test]
    fn name_of_no_bytes_or_too_many_is_none() {
        for text in ["", &"x".repeat(MAX_NAME_BYTES + 1)] {
            assert_eq!(Name::new(text), None);
            assert_eq!(Role::parse(text), None);
            assert!(serde_json::from_value::<TurnStatus>(text.into()).is_err());
        }
        assert_eq!(
            Name::new(&"x".repeat(MAX_NAME_BYTES)).map(|name| name.as_str().len()),
            Some(MAX_NAME_BYTES)
        );
        assert!(serde_json::from_str::<Role>("7").is_err());
    }
}
