//! A serializer that writes nothing: it finds the first part of a value that has no JSON, and its
//! path. After an error the path stays at the part.

use std::cell::RefCell;
use std::fmt::{self, Display, Write};

use serde::ser::{self, Impossible, Serialize};

/// Why a value has no JSON.
#[derive(Debug)]
pub(super) struct NoJson(String);

impl Display for NoJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NoJson {}

impl ser::Error for NoJson {
    fn custom<T: Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

type Checked = Result<(), NoJson>;

#[derive(Clone, Copy)]
pub(super) struct Checker<'a> {
    pub(super) path: &'a RefCell<String>,
}

impl<'a> Checker<'a> {
    /// Checks a part of the value.
    fn part<T: Serialize + ?Sized>(self, segment: fmt::Arguments<'_>, value: &T) -> Checked {
        let len = self.path.borrow().len();
        // Cannot fail for a String.
        let _ = self.path.borrow_mut().write_fmt(segment);
        value.serialize(self)?;
        self.path.borrow_mut().truncate(len);
        Ok(())
    }

    fn items(self) -> Result<Parts<'a>, NoJson> {
        Ok(Parts { checker: self, index: 0, key: String::new() })
    }

    fn variant(self, name: &str) -> Result<Parts<'a>, NoJson> {
        let _ = write!(self.path.borrow_mut(), ".{name}");
        self.items()
    }

    fn float(self, value: f64) -> Checked {
        match value.is_finite() {
            true => Ok(()),
            false => Err(NoJson(format!("{value} is not a JSON number"))),
        }
    }
}

/// The parts of an array or an object.
pub(super) struct Parts<'a> {
    checker: Checker<'a>,
    index: usize,
    key: String,
}

impl Parts<'_> {
    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Checked {
        self.index += 1;
        self.checker.part(format_args!("[{}]", self.index - 1), value)
    }
}

macro_rules! accepted {
    ($($method:ident: $type:ty),* $(,)?) => {
        $(fn $method(self, _: $type) -> Checked {
            Ok(())
        })*
    };
}

impl<'a> ser::Serializer for Checker<'a> {
    type Ok = ();
    type Error = NoJson;
    type SerializeSeq = Parts<'a>;
    type SerializeTuple = Parts<'a>;
    type SerializeTupleStruct = Parts<'a>;
    type SerializeTupleVariant = Parts<'a>;
    type SerializeMap = Parts<'a>;
    type SerializeStruct = Parts<'a>;
    type SerializeStructVariant = Parts<'a>;

    accepted! {
        serialize_bool: bool, serialize_i8: i8, serialize_i16: i16, serialize_i32: i32,
        serialize_i64: i64, serialize_i128: i128, serialize_u8: u8, serialize_u16: u16,
        serialize_u32: u32, serialize_u64: u64, serialize_u128: u128, serialize_char: char,
        serialize_str: &str, serialize_bytes: &[u8], serialize_unit_struct: &'static str,
    }

    fn serialize_f32(self, value: f32) -> Checked {
        self.float(value.into())
    }

    fn serialize_f64(self, value: f64) -> Checked {
        self.float(value)
    }

    fn serialize_none(self) -> Checked {
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Checked {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Checked {
        Ok(())
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, _: &'static str) -> Checked {
        Ok(())
    }

    fn serialize_newtype_struct<T>(self, _: &'static str, value: &T) -> Checked
    where
        T: Serialize + ?Sized,
    {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T>(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        value: &T,
    ) -> Checked
    where
        T: Serialize + ?Sized,
    {
        self.part(format_args!(".{name}"), value)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Parts<'a>, NoJson> {
        self.items()
    }

    fn serialize_tuple(self, _: usize) -> Result<Parts<'a>, NoJson> {
        self.items()
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Parts<'a>, NoJson> {
        self.items()
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        _: usize,
    ) -> Result<Parts<'a>, NoJson> {
        self.variant(name)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Parts<'a>, NoJson> {
        self.items()
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Parts<'a>, NoJson> {
        self.items()
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        _: usize,
    ) -> Result<Parts<'a>, NoJson> {
        self.variant(name)
    }
}

macro_rules! arrays {
    ($($trait:ident $method:ident),* $(,)?) => {
        $(impl ser::$trait for Parts<'_> {
            type Ok = ();
            type Error = NoJson;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Checked {
                self.item(value)
            }

            fn end(self) -> Checked {
                Ok(())
            }
        })*
    };
}

arrays! {
    SerializeSeq serialize_element,
    SerializeTuple serialize_element,
    SerializeTupleStruct serialize_field,
}

impl ser::SerializeTupleVariant for Parts<'_> {
    type Ok = ();
    type Error = NoJson;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Checked {
        self.item(value)
    }

    fn end(self) -> Checked {
        self.checker.leave_variant();
        Ok(())
    }
}

impl ser::SerializeMap for Parts<'_> {
    type Ok = ();
    type Error = NoJson;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Checked {
        self.key = key.serialize(KeyText)?;
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Checked {
        self.checker.part(format_args!(".{}", self.key), value)
    }

    fn end(self) -> Checked {
        Ok(())
    }
}

impl ser::SerializeStruct for Parts<'_> {
    type Ok = ();
    type Error = NoJson;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Checked {
        self.checker.part(format_args!(".{key}"), value)
    }

    fn end(self) -> Checked {
        Ok(())
    }
}

impl ser::SerializeStructVariant for Parts<'_> {
    type Ok = ();
    type Error = NoJson;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Checked {
        self.checker.part(format_args!(".{key}"), value)
    }

    fn end(self) -> Checked {
        self.checker.leave_variant();
        Ok(())
    }
}

impl Checker<'_> {
    /// Removes the name of the variant, which is the last segment once its parts are checked.
    fn leave_variant(self) {
        let mut path = self.path.borrow_mut();
        if let Some(at) = path.rfind('.') {
            path.truncate(at);
        }
    }
}

/// The text of a map's key. Keys of JSON are text; numbers, characters and variants become text.
struct KeyText;

fn no_key<T>(what: &str) -> Result<T, NoJson> {
    Err(NoJson(format!("{what} as the key of a map has no JSON: keys are text or numbers")))
}

macro_rules! keys {
    ($($method:ident: $type:ty),* $(,)?) => {
        $(fn $method(self, value: $type) -> Result<String, NoJson> {
            Ok(value.to_string())
        })*
    };
}

impl ser::Serializer for KeyText {
    type Ok = String;
    type Error = NoJson;
    type SerializeSeq = Impossible<String, NoJson>;
    type SerializeTuple = Impossible<String, NoJson>;
    type SerializeTupleStruct = Impossible<String, NoJson>;
    type SerializeTupleVariant = Impossible<String, NoJson>;
    type SerializeMap = Impossible<String, NoJson>;
    type SerializeStruct = Impossible<String, NoJson>;
    type SerializeStructVariant = Impossible<String, NoJson>;

    keys! {
        serialize_bool: bool, serialize_i8: i8, serialize_i16: i16, serialize_i32: i32,
        serialize_i64: i64, serialize_i128: i128, serialize_u8: u8, serialize_u16: u16,
        serialize_u32: u32, serialize_u64: u64, serialize_u128: u128, serialize_char: char,
        serialize_str: &str,
    }

    fn serialize_f32(self, value: f32) -> Result<String, NoJson> {
        self.serialize_f64(value.into())
    }

    fn serialize_f64(self, value: f64) -> Result<String, NoJson> {
        if value.is_finite() { Ok(value.to_string()) } else { no_key(&value.to_string()) }
    }

    fn serialize_bytes(self, _: &[u8]) -> Result<String, NoJson> {
        no_key("bytes")
    }

    fn serialize_none(self) -> Result<String, NoJson> {
        no_key("an absent value")
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<String, NoJson> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<String, NoJson> {
        no_key("the unit")
    }

    fn serialize_unit_struct(self, name: &'static str) -> Result<String, NoJson> {
        no_key(name)
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
    ) -> Result<String, NoJson> {
        Ok(name.to_owned())
    }

    fn serialize_newtype_struct<T>(self, _: &'static str, value: &T) -> Result<String, NoJson>
    where
        T: Serialize + ?Sized,
    {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T>(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        _: &T,
    ) -> Result<String, NoJson>
    where
        T: Serialize + ?Sized,
    {
        no_key(name)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, NoJson> {
        no_key("a list")
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, NoJson> {
        no_key("a tuple")
    }

    fn serialize_tuple_struct(
        self,
        name: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleStruct, NoJson> {
        no_key(name)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, NoJson> {
        no_key(name)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, NoJson> {
        no_key("a map")
    }

    fn serialize_struct(
        self,
        name: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStruct, NoJson> {
        no_key(name)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, NoJson> {
        no_key(name)
    }
}
