//! Rows that are JSON objects: one pass by serde, borrowing, touching only the columns that are wanted.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use types::RejectReason;

use crate::map::{Cell, Reject};

/// Finds wanted columns, which are paths, in objects.
#[derive(Debug)]
pub(crate) struct JsonParser {
    root: Node,
    wanted: usize,
}

/// A place in the tree of wanted paths.
#[derive(Debug, Default)]
struct Node {
    /// Its place among the wanted columns, if it is one.
    place: Option<usize>,
    children: Vec<(String, Self)>,
}

impl Node {
    fn child(&mut self, name: &str) -> &mut Self {
        let at = self.children.iter().position(|(n, _)| n == name).unwrap_or_else(|| {
            self.children.push((name.to_owned(), Self::default()));
            self.children.len() - 1
        });
        &mut self.children[at].1
    }

    fn find(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|(n, _)| n == name).map(|(_, node)| node)
    }
}

impl JsonParser {
    pub(crate) fn new(wanted: &[String]) -> Self {
        let mut root = Node::default();
        for (place, path) in wanted.iter().enumerate() {
            // The name as a key itself comes first: a key may have dots in it.
            root.child(path).place = Some(place);
            if path.contains('.') {
                path.split('.').fold(&mut root, |node, part| node.child(part)).place = Some(place);
            }
        }
        Self { root, wanted: wanted.len() }
    }

    /// Adds the wanted columns of an object to `cells`.
    pub(crate) fn parse<'r>(&self, row: &'r [u8], cells: &mut Vec<Cell<'r>>) -> Result<(), Reject> {
        let text =
            std::str::from_utf8(row).map_err(|e| Reject::new(RejectReason::InvalidUtf8, e.to_string()))?;
        let first = cells.len();
        cells.resize(first + self.wanted, Cell::Missing);
        let mut parser = serde_json::Deserializer::from_str(text);
        let seed = ObjectSeed { node: &self.root, cells: &mut cells[first..] };
        seed.deserialize(&mut parser).and_then(|()| parser.end()).map_err(|e| {
            let reason = if e.is_data() { RejectReason::WrongType } else { RejectReason::InvalidJson };
            Reject::new(reason, e.to_string())
        })
    }
}

/// The row itself, which must be an object.
struct ObjectSeed<'n, 'c, 'r> {
    node: &'n Node,
    cells: &'c mut [Cell<'r>],
}

impl<'r> DeserializeSeed<'r> for ObjectSeed<'_, '_, 'r> {
    type Value = ();
    fn deserialize<D: Deserializer<'r>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'r> Visitor<'r> for ObjectSeed<'_, '_, 'r> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row as an object")
    }

    fn visit_map<A: MapAccess<'r>>(self, map: A) -> Result<(), A::Error> {
        visit_object(self.node, self.cells, map)
    }
}

fn visit_object<'r, A: MapAccess<'r>>(
    node: &Node,
    cells: &mut [Cell<'r>],
    mut map: A,
) -> Result<(), A::Error> {
    while let Some(Key(key)) = map.next_key()? {
        match node.find(&key) {
            Some(child) => map.next_value_seed(ValueSeed { node: child, cells })?,
            None => {
                map.next_value::<IgnoredAny>()?;
            }
        }
    }
    Ok(())
}

/// A value on the way to a wanted column, or one.
struct ValueSeed<'n, 'c, 'r> {
    node: &'n Node,
    cells: &'c mut [Cell<'r>],
}

impl<'r> ValueSeed<'_, '_, 'r> {
    fn set<E>(self, cell: Cell<'r>) -> Result<(), E> {
        if let Some(place) = self.node.place {
            self.cells[place] = cell;
        }
        Ok(())
    }
}

impl<'r> DeserializeSeed<'r> for ValueSeed<'_, '_, 'r> {
    type Value = ();
    fn deserialize<D: Deserializer<'r>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'r> Visitor<'r> for ValueSeed<'_, '_, 'r> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, yes: bool) -> Result<(), E> {
        self.set(Cell::Bool(yes))
    }

    fn visit_i64<E>(self, n: i64) -> Result<(), E> {
        self.set(Cell::Int(n))
    }

    fn visit_u64<E>(self, n: u64) -> Result<(), E> {
        // An id beyond i64 must keep all its digits.
        self.set(i64::try_from(n).map_or_else(|_| Cell::Text(Cow::Owned(n.to_string())), Cell::Int))
    }

    fn visit_f64<E>(self, n: f64) -> Result<(), E> {
        self.set(Cell::Float(n))
    }

    fn visit_borrowed_str<E>(self, text: &'r str) -> Result<(), E> {
        self.set(Cell::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.set(Cell::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.set(Cell::Missing)
    }

    fn visit_map<A: MapAccess<'r>>(self, map: A) -> Result<(), A::Error> {
        let Self { node, cells } = self;
        if let Some(place) = node.place {
            cells[place] = Cell::Other;
        }
        visit_object(node, cells, map)
    }

    fn visit_seq<A: SeqAccess<'r>>(self, mut seq: A) -> Result<(), A::Error> {
        let Self { node, cells } = self;
        if let Some(place) = node.place {
            cells[place] = Cell::Other;
        }
        for index in 0_usize.. {
            let child = node.children.iter().find(|(name, _)| name.parse() == Ok(index));
            let more = match child {
                Some((_, child)) => seq.next_element_seed(ValueSeed { node: child, cells })?.is_some(),
                None => seq.next_element::<IgnoredAny>()?.is_some(),
            };
            if !more {
                break;
            }
        }
        Ok(())
    }
}

/// Adds the paths of an object's values that are not there yet, in their order. Lists are passed over.
pub(crate) fn paths(value: &serde_json::Value, prefix: &str, all: &mut Vec<String>) {
    let serde_json::Value::Object(object) = value else { return };
    for (key, value) in object {
        let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            serde_json::Value::Object(_) => paths(value, &path, all),
            serde_json::Value::Array(_) => {}
            _ if all.contains(&path) => {}
            _ => all.push(path),
        }
    }
}

/// A key that borrows where it can.
struct Key<'r>(Cow<'r, str>);

impl<'de: 'r, 'r> serde::Deserialize<'de> for Key<'r> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Cow<'de, str>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Cow<'de, str>, E> {
                Ok(Cow::Borrowed(text))
            }
            fn visit_str<E>(self, text: &str) -> Result<Cow<'de, str>, E> {
                Ok(Cow::Owned(text.to_owned()))
            }
        }
        deserializer.deserialize_str(KeyVisitor).map(Key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse<'r>(wanted: &[&str], row: &'r str) -> Result<Vec<Cell<'r>>, RejectReason> {
        let wanted: Vec<String> = wanted.iter().map(|w| (*w).to_owned()).collect();
        let mut cells = Vec::new();
        JsonParser::new(&wanted).parse(row.as_bytes(), &mut cells).map(|()| cells).map_err(|e| e.reason)
    }

    #[test]
    fn paths_lead_into_objects_and_lists() {
        let row = r#"{"a":{"b":{"c":1}},"l":[{"p":2.5},{"p":"x\n"}],"k.d":true,"n":null,"big":18446744073709551615}"#;
        let cells = parse(&["a.b.c", "l.0.p", "l.1.p", "k.d", "n", "big", "a", "none"], row).unwrap();
        let text = |t: &'static str| Cell::Text(t.into());
        let expected = [Cell::Int(1), Cell::Float(2.5), text("x\n"), Cell::Bool(true), Cell::Missing];
        assert_eq!(cells[..5], expected);
        assert_eq!(cells[5..], [text("18446744073709551615"), Cell::Other, Cell::Missing]);
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for (row, reason) in [
            ("", RejectReason::InvalidJson),
            ("{", RejectReason::InvalidJson),
            ("[1]", RejectReason::WrongType),
            ("7", RejectReason::WrongType),
            (r#"{"a":1} {"#, RejectReason::InvalidJson),
            (r#"{"a":NaN}"#, RejectReason::InvalidJson),
            (r#"{"a":1e999}"#, RejectReason::InvalidJson),
            (r#"{"a":1,}"#, RejectReason::InvalidJson),
        ] {
            assert_eq!(parse(&["a"], row), Err(reason), "{row}");
        }
    }
}
