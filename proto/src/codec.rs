//! The protobuf codec of every service of this contract. It counts the items of a message before it
//! decodes it: see [`crate::bounds`].

use std::marker::PhantomData;

use bytes::Buf;
use prost::{Message, Name};
use tonic::codec::{Codec, DecodeBuf, Decoder};
use tonic::{Code, Status};
use tonic_prost::{ProstDecoder, ProstEncoder};
use tonic_types::{ErrorDetails, StatusExt};

use crate::bounds::{Bounds, TooManyItems};

/// The protobuf codec of every service of this contract.
#[derive(Debug, Clone)]
pub struct BoundedCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for BoundedCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for BoundedCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Name + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = BoundedDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::default()
    }

    fn decoder(&mut self) -> Self::Decoder {
        BoundedDecoder { bounds: Bounds::of(&U::full_name()), inner: ProstDecoder::default() }
    }
}

/// Checks the bounds of a message, then decodes it.
#[derive(Debug, Clone)]
pub struct BoundedDecoder<U> {
    bounds: Option<Bounds>,
    inner: ProstDecoder<U>,
}

impl<U: Message + Default + 'static> Decoder for BoundedDecoder<U> {
    type Item = U;
    type Error = Status;

    /// # Errors
    /// INVALID_ARGUMENT for a message with too many items, and for a request that is no message of
    /// its type: the caller sent it. INTERNAL for such a response.
    fn decode(&mut self, source: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        let Some(bounds) = self.bounds else { return self.inner.decode(source) };
        // A message is contiguous here.
        bounds.check(source.chunk()).map_err(|error| too_many_items(&error))?;
        self.inner.decode(source).map_err(|error| match bounds.is_request() {
            true => Status::invalid_argument(error.message()),
            false => error,
        })
    }
}

/// Returns the error with the details that every INVALID_ARGUMENT of the services has.
fn too_many_items(error: &TooManyItems) -> Status {
    let field = error.field.rsplit('.').next().unwrap_or(error.field);
    let mut details = ErrorDetails::with_error_info("INVALID_FIELD", "sentinel", []);
    details.add_bad_request_violation(field, error.to_string());
    Status::with_error_details(Code::InvalidArgument, error.to_string(), details)
}
