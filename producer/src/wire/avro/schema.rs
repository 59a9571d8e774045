//! Avro schemas as text (Avro 1.12 specification, "Schema Declaration") become parts that are read by.
//!
//! Only what reading needs is looked at: the registry has checked the schema when its writer registered it.

use std::collections::HashMap;

use serde_json::Value;

use super::{AvroSchema, Moment, Part, Raw};

/// More types than any schema of events has.
const MOST_PARTS: usize = 100_000;
/// No number has more decimal places.
const MOST_PLACES: u64 = 100;

pub(super) fn compile(text: &str, references: &[(String, String)]) -> Result<AvroSchema, String> {
    let mut compiler = Compiler::default();
    for (name, text) in references {
        compiler.text(text).map_err(|error| format!("{name}: {error}"))?;
    }
    let root = compiler.text(text)?;
    Ok(AvroSchema { parts: compiler.parts, root })
}

#[derive(Default)]
struct Compiler {
    parts: Vec<Part>,
    /// Where the types stand that have names, by their full names.
    names: HashMap<String, usize>,
}

impl Compiler {
    fn text(&mut self, text: &str) -> Result<usize, String> {
        let schema: Value = serde_json::from_str(text).map_err(|error| format!("it is no JSON: {error}"))?;
        self.schema(&schema, "")
    }

    fn add(&mut self, part: Part) -> Result<usize, String> {
        if self.parts.len() == MOST_PARTS {
            return Err(format!("it has more than {MOST_PARTS} types"));
        }
        self.parts.push(part);
        Ok(self.parts.len() - 1)
    }

    fn schema(&mut self, schema: &Value, namespace: &str) -> Result<usize, String> {
        match schema {
            Value::String(name) => self.named(name, namespace, &Value::Null),
            Value::Array(branches) => {
                let mut parts = Vec::with_capacity(branches.len());
                for branch in branches {
                    let part = self.schema(branch, namespace)?;
                    if matches!(self.parts[part], Part::Union(_)) {
                        return Err("a union stands directly in a union".to_owned());
                    }
                    parts.push(part);
                }
                self.add(Part::Union(parts))
            }
            Value::Object(_) => match &schema["type"] {
                Value::String(kind) => match kind.as_str() {
                    "record" | "error" => self.record(schema, namespace),
                    "enum" => {
                        let symbols = list(schema, "symbols")?.iter();
                        let symbols = symbols.map(|symbol| symbol.as_str().map(str::to_owned));
                        let symbols = symbols.collect::<Option<_>>().ok_or("a symbol is no text")?;
                        self.define(schema, namespace, Part::Enum(symbols)).map(|(place, _)| place)
                    }
                    "fixed" => {
                        let size = schema["size"].as_u64().and_then(|size| usize::try_from(size).ok());
                        let part = Part::Fixed(size.ok_or("a fixed type has no size")?, raw(schema));
                        self.define(schema, namespace, part).map(|(place, _)| place)
                    }
                    "array" => {
                        let items = self.schema(&schema["items"], namespace)?;
                        self.add(Part::Array(items))
                    }
                    "map" => {
                        let values = self.schema(&schema["values"], namespace)?;
                        self.add(Part::Map(values))
                    }
                    name => self.named(name, namespace, schema),
                },
                nested @ (Value::Object(_) | Value::Array(_)) => self.schema(nested, namespace),
                _ => Err("a type has no `type`".to_owned()),
            },
            other => Err(format!("`{other}` is no type")),
        }
    }

    /// A simple type, with what `schema` says of its meaning, or one that is defined elsewhere.
    fn named(&mut self, name: &str, namespace: &str, schema: &Value) -> Result<usize, String> {
        let part = match name {
            "null" => Part::Null,
            "boolean" => Part::Boolean,
            "int" => Part::Int(moment(schema)),
            "long" => Part::Long(moment(schema)),
            "float" => Part::Float,
            "double" => Part::Double,
            "bytes" => Part::Bytes(raw(schema)),
            "string" => Part::Text,
            _ => {
                let full = full_name(name, namespace);
                let found = self.names.get(&full).or_else(|| self.names.get(name));
                return found.copied().ok_or_else(|| format!("the type `{full}` is not defined"));
            }
        };
        self.add(part)
    }

    fn record(&mut self, schema: &Value, namespace: &str) -> Result<usize, String> {
        // Its fields may hold it.
        let (place, namespace) = self.define(schema, namespace, Part::Open)?;
        let mut fields = Vec::new();
        for field in list(schema, "fields")? {
            let name = field["name"].as_str().ok_or("a field has no name")?;
            let part = self.schema(&field["type"], &namespace).map_err(|error| format!("{name}: {error}"))?;
            let mut key = Value::from(name).to_string().into_bytes();
            key.push(b':');
            fields.push((name.to_owned(), part, key));
        }
        self.parts[place] = Part::Record(fields);
        Ok(place)
    }

    /// Adds a type with a name. Returns its place, and the namespace that holds within it.
    fn define(&mut self, schema: &Value, namespace: &str, part: Part) -> Result<(usize, String), String> {
        let name = schema["name"].as_str().ok_or("a type has no name")?;
        let namespace = schema["namespace"].as_str().unwrap_or(namespace);
        let full = full_name(name, namespace);
        let within = full.rsplit_once('.').map_or("", |(within, _)| within).to_owned();
        let place = self.add(part)?;
        self.names.insert(full, place);
        Ok((place, within))
    }
}

fn full_name(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() { name.to_owned() } else { format!("{namespace}.{name}") }
}

fn list<'s>(schema: &'s Value, key: &str) -> Result<&'s [Value], String> {
    schema[key].as_array().map(Vec::as_slice).ok_or_else(|| format!("a type has no list `{key}`"))
}

fn moment(schema: &Value) -> Moment {
    match schema["logicalType"].as_str() {
        Some("date") => Moment::Date,
        Some("local-timestamp-millis") => Moment::Local(1_000),
        Some("local-timestamp-micros") => Moment::Local(1_000_000),
        Some("local-timestamp-nanos") => Moment::Local(1_000_000_000),
        // What is not known is passed over, as the specification says.
        _ => Moment::Number,
    }
}

/// A meaning that is not as it should be is left aside, as Avro's specification asks for: the bytes are then only bytes.
fn raw(schema: &Value) -> Raw {
    match schema["logicalType"].as_str() {
        Some("uuid") if schema["size"] == 16 => Raw::Uuid,
        Some("decimal") => {
            let precision = schema["precision"].as_u64().unwrap_or_default();
            match schema.get("scale").map_or(Some(0), Value::as_u64) {
                Some(scale) if scale <= precision.min(MOST_PLACES) && precision > 0 => {
                    Raw::Decimal(scale as usize)
                }
                _ => Raw::Bytes,
            }
        }
        _ => Raw::Bytes,
    }
}
