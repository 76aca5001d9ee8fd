//! Serialisation and deserialisation by name (feature `serde`): rules, dialects and kinds of steps are the strings that
//! reports show.
//!
//! The names come from the types themselves, so that no second list of them can differ. Addresses, statuses and probe
//! answers derive their form where they are defined.

use core::fmt;

use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};
use serde::ser::{Serialize, Serializer};

use crate::{Dialect, Rule, StepKind};

macro_rules! by_name {
    ($Type:ident, $name:ident, $from:ident, $expected:literal) => {
        impl Serialize for $Type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.$name())
            }
        }

        impl<'de> Deserialize<'de> for $Type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Name;

                impl Visitor<'_> for Name {
                    type Value = $Type;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expected)
                    }

                    fn visit_str<E: Error>(self, name: &str) -> Result<$Type, E> {
                        $Type::$from(name).ok_or_else(|| E::invalid_value(Unexpected::Str(name), &self))
                    }
                }

                deserializer.deserialize_str(Name)
            }
        }
    };
}

by_name!(Rule, id, from_id, "the id of a rule, such as MAP.NEW");
by_name!(Dialect, name, from_name, "a dialect: lopapr, kvm or qemu");
by_name!(StepKind, name, from_name, "a kind of step, such as H_PUT_TCE or hot-add");
