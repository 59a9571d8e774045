//! Protobuf messages in Confluent's wire format: which message of the schema's file it is, and the message, read into JSON.
//!
//! Fields come by their names in the file. 64-bit numbers are numbers, enums the names of their values, bytes base64; Google's types are
//! as in Protobuf's JSON mapping: a Timestamp is text for the map's format `rfc3339`. A field without presence has its default where the
//! writer left it out, for nobody can tell; an `optional` one is then missing. Fields of the type `google.protobuf.Any` are always missing.

mod known;

use prost_reflect::{DynamicMessage, FileDescriptor, Kind, MessageDescriptor, SerializeOptions, Value};
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};

use known::KNOWN;

use super::{Bounded, TOO_LARGE, invalid, limit, too_large, zigzag};
use crate::map::Reject;

/// The schema's own file, which has no name in the registry; those that it imports have.
const OWN: &str = "churnstream-schema.proto";
/// Messages in messages; files nest no deeper.
const MOST_INDEXES: i64 = 32;

/// A file of messages.
#[derive(Debug)]
pub struct ProtobufSchema {
    file: FileDescriptor,
}

/// Files by their names, as text.
struct Texts(Vec<(String, String)>);

impl FileResolver for Texts {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        let own = self.0.iter().find(|(known, _)| known == name).map(|(_, text)| text.as_str());
        let known = || KNOWN.iter().find(|(known, _)| *known == name).map(|(_, text)| *text);
        match own.or_else(known) {
            Some(text) => File::from_source(name, text),
            None => Err(protox::Error::file_not_found(name)),
        }
    }
}

impl ProtobufSchema {
    /// Prepares a file's text. What it imports is found in `references`; the files of Google's own types, its common ones, and
    /// Confluent's are known.
    ///
    /// # Errors
    /// If it does not compile, with the reason.
    pub fn compile(text: &str, references: &[(String, String)]) -> Result<Self, String> {
        let mut texts = references.to_vec();
        texts.push((OWN.to_owned(), text.to_owned()));
        let mut resolver = ChainFileResolver::new();
        resolver.add(Texts(texts));
        resolver.add(GoogleFileResolver::new());
        let mut compiler = protox::Compiler::with_file_resolver(resolver);
        compiler.include_imports(true);
        compiler.open_file(OWN).map_err(|error| error.to_string())?;
        let file = compiler.descriptor_pool().get_file_by_name(OWN);
        Ok(Self { file: file.ok_or("the compiler gave nothing")? })
    }

    /// Appends to `json` what a value becomes.
    ///
    /// # Errors
    /// If the file has no such message, the bytes are none, or they become too large.
    pub fn decode(&self, mut content: &[u8], json: &mut Vec<u8>) -> Result<(), Reject> {
        let kind = self.message(&mut content)?;
        let (name, most) = (kind.full_name().to_owned(), limit(content.len()));
        let mut message = DynamicMessage::decode(kind, content)
            .map_err(|error| invalid(format!("it is no message {name}: {error}")))?;
        leave_out_any(&mut message);
        let options = SerializeOptions::new()
            .use_proto_field_name(true)
            .stringify_64_bit_integers(false)
            .skip_default_fields(false);
        let mut out = serde_json::Serializer::new(Bounded(json, most));
        message.serialize_with_options(&mut out, &options).map_err(|error| {
            let why = error.to_string();
            if why.contains(TOO_LARGE) { too_large() } else { invalid(format!("message {name}: {why}")) }
        })
    }

    /// Takes from the front which message it is: how many indexes there are, and each; none at all means the first message.
    fn message(&self, content: &mut &[u8]) -> Result<MessageDescriptor, Reject> {
        let count = zigzag(content)?;
        if !(0..=MOST_INDEXES).contains(&count) {
            return Err(invalid(format!("{count} indexes of a message are none")));
        }
        let mut found: Option<MessageDescriptor> = None;
        for _ in 0..count.max(1) {
            let index = if count == 0 { 0 } else { zigzag(content)? };
            let at = usize::try_from(index).unwrap_or(usize::MAX);
            found = match &found {
                None => self.file.messages().nth(at),
                // The entries of maps are no messages of the file's text.
                Some(outer) => outer.child_messages().filter(|message| !message.is_map_entry()).nth(at),
            };
            if found.is_none() {
                return Err(invalid(format!("its schema has no message at index {index}")));
            }
        }
        found.ok_or_else(|| invalid("its schema has no message"))
    }

    /// Whether the message that this is may have something at `path`; `None` if it is none.
    pub(super) fn has(&self, mut content: &[u8], path: &str) -> Option<bool> {
        Some(message_has(self.message(&mut content).ok()?, path))
    }
}

/// Takes out what is of the type `google.protobuf.Any`: it may hold others of its kind, as deep as its bytes allow, and of types that the
/// schema does not have. Messages themselves nest no deeper than decoding lets them.
fn leave_out_any(message: &mut DynamicMessage) {
    let is_any = |kind: &Kind| matches!(kind, Kind::Message(of) if of.full_name() == "google.protobuf.Any");
    let fields: Vec<_> = message
        .fields()
        .map(|(field, _)| field)
        .filter(|field| match field.kind() {
            Kind::Message(entry) if field.is_map() => is_any(&entry.map_entry_value_field().kind()),
            kind => is_any(&kind),
        })
        .collect();
    fields.iter().for_each(|field| message.clear_field(field));
    for (_, value) in message.fields_mut() {
        match value {
            Value::Message(inner) => leave_out_any(inner),
            Value::List(all) => all.iter_mut().filter_map(Value::as_message_mut).for_each(leave_out_any),
            Value::Map(all) => all.values_mut().filter_map(Value::as_message_mut).for_each(leave_out_any),
            _ => {}
        }
    }
}

fn message_has(mut message: MessageDescriptor, path: &str) -> bool {
    // Google's types have a JSON of their own.
    let mut parts = path.split('.');
    while let Some(part) = parts.next() {
        if message.full_name().starts_with("google.protobuf.") {
            return true;
        }
        let Some(field) = message.get_field_by_name(part) else { return false };
        let mut kind = field.kind();
        if field.is_map() || field.is_list() {
            if parts.next().is_none() {
                return true;
            }
            if let (true, Kind::Message(entry)) = (field.is_map(), &kind) {
                kind = entry.map_entry_value_field().kind();
            }
        }
        match kind {
            Kind::Message(inner) => message = inner,
            _ => return parts.next().is_none(),
        }
    }
    true
}

#[cfg(test)]
mod tests;
