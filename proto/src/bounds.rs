//! How many items a message may have, counted before it is decoded. A message of nothing but empty
//! items is small on the wire and a hundred times as large in memory: 20 MiB would become gigabytes.
//!
//! Every repeated field of every message is bounded, because the fields are read from the
//! descriptors. The bounds are far above what services accept, which report the field and its range.

use std::collections::HashMap;
use std::sync::LazyLock;

use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorSet};

use crate::FILE_DESCRIPTOR_SET;

/// The bound of a field without an exception in `items_max`.
pub const ITEMS_MAX: usize = 10_000;

/// The items of one field that a message may have, over all its sub-messages.
const EXCEPTIONS: &[(&str, usize)] = &[
    // At most 1,000 jobs, and what each may have.
    ("sentinel.jobs.v1.JobSpec.labels", 200_000),
    ("sentinel.jobs.v1.JobSpec.depends_on", 200_000),
    ("sentinel.workers.v1.Assignment.labels", 200_000),
    // At most 10,000 queues, each with every state.
    ("sentinel.jobs.v1.QueueCounts.states", 250_000),
    ("sentinel.jobs.v1.QueueSummary.states", 250_000),
    // At most 100,000 credits of a worker.
    ("sentinel.workers.v1.Hello.held", 250_000),
    ("sentinel.workers.v1.Welcome.held", 250_000),
    ("sentinel.workers.v1.ReportAck.items", 250_000),
    ("sentinel.workers.v1.CancelJobs.items", 250_000),
    ("sentinel.workers.v1.Pong.cancels", 250_000),
    ("sentinel.workers.v1.Revoked.leases", 250_000),
    ("sentinel.workers.v1.CancelAck.leases", 250_000),
    // At most 1,000 workers of a page, and what each may have.
    ("sentinel.admin.v1.Worker.queues", 250_000),
    ("sentinel.admin.v1.Worker.kinds", 1_000_000),
    ("sentinel.admin.v1.Worker.labels", 250_000),
    ("sentinel.admin.v1.Worker.capabilities", 250_000),
    // Pages of keys and queues.
    ("sentinel.admin.v1.Key.queues", 250_000),
    ("sentinel.admin.v1.Queue.index_paths", 250_000),
];

/// A repeated field with more items than its bound.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {items} items, at most {max}")]
pub struct TooManyItems {
    /// The full name, such as `sentinel.jobs.v1.EnqueueBatchRequest.specs`.
    pub field: &'static str,
    pub items: usize,
    pub max: usize,
}

/// Returns how many items of a field one message may have, by the full name of the field.
pub fn items_max(field: &str) -> usize {
    let exception = EXCEPTIONS.iter().find(|(name, _)| *name == field);
    exception.map_or(ITEMS_MAX, |(_, max)| *max)
}

/// The bounds of one message type.
#[derive(Clone, Copy, Debug)]
pub struct Bounds(usize);

impl Bounds {
    /// Returns the bounds of a message type by its full name; `None` if it is not of this contract.
    pub fn of(message: &str) -> Option<Self> {
        SCHEMA.by_name.get(message).map(|index| Self(*index))
    }

    /// Returns whether a method takes this message as its request.
    pub fn is_request(self) -> bool {
        SCHEMA.messages[self.0].is_request
    }

    /// Counts the items of an encoded message. Of bytes that are no message it counts the part
    /// that reads like one: the decoder reports the rest.
    ///
    /// # Errors
    /// The first field beyond its bound.
    pub fn check(self, message: &[u8]) -> Result<(), TooManyItems> {
        if !SCHEMA.messages[self.0].has_repeated {
            return Ok(());
        }
        let mut counts = vec![0; SCHEMA.repeated.len()];
        count(&SCHEMA.messages[self.0], message, &mut counts)
    }
}

struct Schema {
    messages: Vec<MessageSchema>,
    by_name: HashMap<String, usize>,
    /// The full name and the bound of every repeated field.
    repeated: Vec<(String, usize)>,
}

#[derive(Default)]
struct MessageSchema {
    /// By field number. The contract numbers fields densely.
    fields: Vec<FieldSchema>,
    /// Whether it or a message in it has a repeated field.
    has_repeated: bool,
    is_request: bool,
}

#[derive(Clone, Copy, Default)]
struct FieldSchema {
    /// Index into the repeated fields.
    repeated: Option<usize>,
    /// Index of its message type.
    message: Option<usize>,
    packed: Packed,
}

/// The form of scalars in a packed repeated field.
#[derive(Clone, Copy, Default)]
enum Packed {
    /// Not packable: a message, a text or bytes.
    #[default]
    Never,
    Varint,
    /// Items of this many bytes.
    Fixed(usize),
}

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let set = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).expect("descriptors of this build");
    Schema::new(&set)
});

impl Schema {
    fn new(set: &FileDescriptorSet) -> Self {
        let mut found = Vec::new();
        for file in &set.file {
            for message in &file.message_type {
                collect(file.package(), message, &mut found);
            }
        }
        let by_name: HashMap<String, usize> =
            found.iter().enumerate().map(|(at, (name, _))| (name.clone(), at)).collect();
        let mut repeated = Vec::new();
        let messages = found
            .iter()
            .map(|(name, message)| MessageSchema {
                fields: fields(name, message, &by_name, &mut repeated),
                ..MessageSchema::default()
            })
            .collect();
        let mut schema = Self { messages, by_name, repeated };
        schema.mark_repeated();
        for method in
            set.file.iter().flat_map(|file| &file.service).flat_map(|service| &service.method)
        {
            let input = method.input_type().trim_start_matches('.');
            if let Some(index) = schema.by_name.get(input) {
                schema.messages[*index].is_request = true;
            }
        }
        schema
    }

    /// Sets [`MessageSchema::has_repeated`]; a message can contain itself.
    fn mark_repeated(&mut self) {
        loop {
            let marked: Vec<usize> = (0..self.messages.len())
                .filter(|at| !self.messages[*at].has_repeated && self.contains_repeated(*at))
                .collect();
            if marked.is_empty() {
                return;
            }
            for at in marked {
                self.messages[at].has_repeated = true;
            }
        }
    }

    fn contains_repeated(&self, at: usize) -> bool {
        let is_repeated = |field: &FieldSchema| {
            let inner = field.message.is_some_and(|inner| self.messages[inner].has_repeated);
            field.repeated.is_some() || inner
        };
        self.messages[at].fields.iter().any(is_repeated)
    }
}

/// Lists a message and those that are declared in it, such as the entries of a map.
fn collect<'a>(
    scope: &str,
    message: &'a DescriptorProto,
    found: &mut Vec<(String, &'a DescriptorProto)>,
) {
    let name = format!("{scope}.{}", message.name());
    for nested in &message.nested_type {
        collect(&name, nested, found);
    }
    found.push((name, message));
}

fn fields(
    name: &str,
    message: &DescriptorProto,
    by_name: &HashMap<String, usize>,
    repeated: &mut Vec<(String, usize)>,
) -> Vec<FieldSchema> {
    let mut fields = Vec::new();
    for field in &message.field {
        let number = usize::try_from(field.number()).expect("a field number");
        if fields.len() <= number {
            fields.resize(number + 1, FieldSchema::default());
        }
        if field.label() == Label::Repeated {
            let name = format!("{name}.{}", field.name());
            let max = items_max(&name);
            repeated.push((name, max));
            fields[number].repeated = Some(repeated.len() - 1);
        }
        fields[number].message = by_name.get(field.type_name().trim_start_matches('.')).copied();
        fields[number].packed = packed(field);
    }
    fields
}

fn packed(field: &FieldDescriptorProto) -> Packed {
    match field.r#type() {
        Type::String | Type::Bytes | Type::Message | Type::Group => Packed::Never,
        Type::Double | Type::Fixed64 | Type::Sfixed64 => Packed::Fixed(8),
        Type::Float | Type::Fixed32 | Type::Sfixed32 => Packed::Fixed(4),
        _ => Packed::Varint,
    }
}

/// Adds the items of a message to `counts`.
fn count(
    schema: &MessageSchema,
    mut message: &[u8],
    counts: &mut [usize],
) -> Result<(), TooManyItems> {
    while let Some((number, content)) = field(&mut message) {
        let known = usize::try_from(number).ok().and_then(|number| schema.fields.get(number));
        let Some(field) = known else { continue };
        if let Some(index) = field.repeated {
            counts[index] += match (content, field.packed) {
                (Some(content), Packed::Varint) => {
                    content.iter().filter(|byte| **byte & 0x80 == 0).count()
                }
                (Some(content), Packed::Fixed(size)) => content.len() / size,
                _ => 1,
            };
            let (name, max) = &SCHEMA.repeated[index];
            if counts[index] > *max {
                return Err(TooManyItems { field: name, items: counts[index], max: *max });
            }
        }
        if let (Some(content), Some(inner)) = (content, field.message) {
            let inner = &SCHEMA.messages[inner];
            if inner.has_repeated {
                count(inner, content, counts)?;
            }
        }
    }
    Ok(())
}

/// Returns the number of the next field, and its bytes if it has a length. `None` at the end, and
/// where the decoder reports an error.
fn field<'a>(message: &mut &'a [u8]) -> Option<(u64, Option<&'a [u8]>)> {
    let key = varint(message)?;
    let content = match key & 7 {
        0 => {
            varint(message)?;
            None
        }
        1 => skip(message, 8)?,
        2 => {
            let len = usize::try_from(varint(message)?).ok()?;
            let (content, rest) = message.split_at_checked(len)?;
            *message = rest;
            Some(content)
        }
        5 => skip(message, 4)?,
        // No message here has a group, but the decoder skips one: its fields and those after it
        // are counted.
        3 | 4 => None,
        _ => return None,
    };
    Some((key >> 3, content))
}

fn skip<'a>(message: &mut &'a [u8], len: usize) -> Option<Option<&'a [u8]>> {
    *message = message.get(len..)?;
    Some(None)
}

fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for at in 0..10 {
        let (byte, rest) = message.split_first()?;
        *message = rest;
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests;
