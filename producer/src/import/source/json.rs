//! Rows that are JSON objects: one pass by serde, borrowing, touching only the columns that are wanted.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use types::RejectReason;

use crate::map::{Cell, MOST_BYTES_OF_A_ROW, Reject, is_within};

/// Finds wanted columns, which are paths, in objects.
#[derive(Debug)]
pub(crate) struct JsonParser {
    root: Node,
    wanted: usize,
    /// Where the items of a list are read one by one: the list's path, and which of the wanted columns are within its items.
    each: Option<(String, Vec<usize>)>,
}

/// More items of one row cannot be meant.
const MOST_ITEMS: usize = 100_000;

/// A place in the tree of wanted paths.
#[derive(Debug, Clone, Default)]
struct Node {
    /// Its place among the wanted columns, if it is one.
    place: Option<usize>,
    children: Vec<(String, Self)>,
    /// Of the list whose items are read one by one: what is wanted of an item, by its place among that.
    item: Option<Box<Self>>,
}

impl Node {
    fn child(&mut self, name: &str) -> &mut Self {
        let at = self.children.iter().position(|(n, _)| n == name).unwrap_or_else(|| {
            self.children.push((name.to_owned(), Self::default()));
            self.children.len() - 1
        });
        &mut self.children[at].1
    }

    /// Makes a column lead to a place.
    fn want(&mut self, path: &str, place: usize) {
        if path.is_empty() {
            self.place = Some(place);
            return;
        }
        // The name as a key itself comes first: a key may have dots in it.
        self.child(path).place = Some(place);
        if path.contains('.') {
            path.split('.').fold(self, |node, part| node.child(part)).place = Some(place);
        }
    }

    /// How many places there are in it.
    fn places(&self) -> usize {
        let own = self.place.map_or(0, |place| place + 1);
        self.children.iter().map(|(_, child)| child.places()).fold(own, usize::max)
    }

    fn find(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|(n, _)| n == name).map(|(_, node)| node)
    }
}

impl JsonParser {
    /// A parser of the wanted columns; `each` is the path of a list whose items are read one by one.
    pub(crate) fn new(wanted: &[String], each: Option<&str>) -> Self {
        let mut root = Node::default();
        let mut item = Node::default();
        let mut places = Vec::new();
        for (place, path) in wanted.iter().enumerate() {
            match each.filter(|each| is_within(path, each)) {
                Some(each) => {
                    item.want(path[each.len()..].trim_start_matches('.'), places.len());
                    places.push(place);
                }
                None => root.want(path, place),
            }
        }
        if let Some(each) = each {
            // As of columns, the name may be a key itself.
            root.child(each).item = Some(Box::new(item.clone()));
            each.split('.').fold(&mut root, |node, part| node.child(part)).item = Some(Box::new(item));
        }
        Self { root, wanted: wanted.len(), each: each.map(|each| (each.to_owned(), places)) }
    }

    /// Adds the wanted columns of an object to `cells`. Of an object whose items are read one by one, all of `cells` becomes as many
    /// rows, each with as many cells before its columns as there were.
    pub(crate) fn parse<'r>(&self, row: &'r [u8], cells: &mut Vec<Cell<'r>>) -> Result<(), Reject> {
        let text = super::utf8(row)?;
        let first = cells.len();
        cells.resize(first + self.wanted, Cell::Missing);
        let mut parser = serde_json::Deserializer::from_str(text);
        // An empty list takes no memory.
        let mut items = Items::default();
        let seed = ObjectSeed { node: &self.root, cells: &mut cells[first..], items: &mut items };
        seed.deserialize(&mut parser).and_then(|()| parser.end()).map_err(|e| {
            let reason = if e.is_data() { RejectReason::WrongType } else { RejectReason::InvalidJson };
            Reject::new(reason, e.to_string())
        })?;
        let Some((path, places)) = &self.each else { return Ok(()) };
        if items.no_list {
            return Err(Reject::new(RejectReason::WrongType, format!("`{path}` is no list")));
        }
        if items.count > MOST_ITEMS {
            let wrong = format!("`{path}` has more than {MOST_ITEMS} items");
            return Err(Reject::new(RejectReason::TooLarge, wrong));
        }
        // What was unescaped is copied for each item.
        let owned = |cell: &Cell<'_>| if let Cell::Text(Cow::Owned(text)) = cell { text.len() } else { 0 };
        let copied = cells.iter().map(owned).sum::<usize>().saturating_mul(items.count);
        if copied > MOST_BYTES_OF_A_ROW {
            let wrong = format!(
                "`{path}` has {} items, and with the row's own columns beside each they would take {copied} bytes",
                items.count
            );
            return Err(Reject::new(RejectReason::TooLarge, wrong));
        }
        let width = cells.len();
        for _ in 1..items.count {
            cells.extend_from_within(..width);
        }
        cells.truncate(items.count * width);
        let mut own = items.cells.into_iter();
        for row in cells.chunks_mut(width.max(1)) {
            for (place, cell) in places.iter().zip(own.by_ref()) {
                row[first + place] = cell;
            }
        }
        Ok(())
    }
}

/// The items of the list that is read one by one.
#[derive(Default)]
struct Items<'r> {
    count: usize,
    /// What is wanted of each, one after the other.
    cells: Vec<Cell<'r>>,
    /// What stands there is something else.
    no_list: bool,
}

/// The row itself, which must be an object.
struct ObjectSeed<'n, 'c, 'r> {
    node: &'n Node,
    cells: &'c mut [Cell<'r>],
    items: &'c mut Items<'r>,
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
        visit_object(self.node, self.cells, self.items, map)
    }
}

fn visit_object<'r, A: MapAccess<'r>>(
    node: &Node,
    cells: &mut [Cell<'r>],
    items: &mut Items<'r>,
    mut map: A,
) -> Result<(), A::Error> {
    while let Some(Key(key)) = map.next_key()? {
        match node.find(&key) {
            Some(child) => map.next_value_seed(ValueSeed { node: child, cells, items })?,
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
    items: &'c mut Items<'r>,
}

impl<'r> ValueSeed<'_, '_, 'r> {
    fn set<E>(self, cell: Cell<'r>) -> Result<(), E> {
        if self.node.item.is_some() && cell != Cell::Missing {
            self.items.no_list = true;
        }
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
        let Self { node, cells, items } = self;
        if let Some(place) = node.place {
            cells[place] = Cell::Other;
        }
        items.no_list |= node.item.is_some();
        visit_object(node, cells, items, map)
    }

    fn visit_seq<A: SeqAccess<'r>>(self, mut seq: A) -> Result<(), A::Error> {
        let Self { node, cells, items } = self;
        if let Some(place) = node.place {
            cells[place] = Cell::Other;
        }
        if let Some(item) = &node.item {
            return visit_items(item, items, seq);
        }
        for index in 0_usize.. {
            let child = node.children.iter().find(|(name, _)| name.parse() == Ok(index));
            let more = match child {
                Some((_, child)) => seq.next_element_seed(ValueSeed { node: child, cells, items })?.is_some(),
                None => seq.next_element::<IgnoredAny>()?.is_some(),
            };
            if !more {
                break;
            }
        }
        Ok(())
    }
}

/// The items of the list that is read one by one; a list within one is a list like others.
fn visit_items<'r, A: SeqAccess<'r>>(node: &Node, items: &mut Items<'r>, mut seq: A) -> Result<(), A::Error> {
    let places = node.places();
    (items.count, items.no_list) = (0, false);
    items.cells.clear();
    loop {
        if items.count > MOST_ITEMS {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(());
        }
        let from = items.cells.len();
        items.cells.resize(from + places, Cell::Missing);
        let seed = ValueSeed { node, cells: &mut items.cells[from..], items: &mut Items::default() };
        if seq.next_element_seed(seed)?.is_none() {
            items.cells.truncate(from);
            return Ok(());
        }
        items.count += 1;
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
#[path = "json_tests.rs"]
mod tests;
