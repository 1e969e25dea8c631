//! What a request_id is remembered to have been answered: a few bytes per item.

use bytes::Bytes;
use sentinel_domain::JobId;

use crate::batch::ItemRefused;

/// The answer to one item of an enqueue.
pub(crate) type Answer = Result<(JobId, bool), ItemRefused>;

const JOB: u8 = 0;
const DEDUPLICATED: u8 = 1;
const REFUSED: u8 = 2;

pub(crate) fn encode(answers: &[Answer]) -> Bytes {
    let mut out = Vec::with_capacity(answers.len() * 17);
    for answer in answers {
        match answer {
            Ok((id, deduplicated)) => {
                out.push(if *deduplicated { DEDUPLICATED } else { JOB });
                out.extend(id.as_u128().to_be_bytes());
            }
            Err(refused) => {
                out.push(REFUSED);
                for text in [&refused.reason, &refused.message, &refused.field] {
                    out.extend((text.len() as u32).to_be_bytes());
                    out.extend(text.as_bytes());
                }
            }
        }
    }
    out.into()
}

/// None when the bytes are not what [`encode`] wrote.
pub(crate) fn decode(mut bytes: &[u8]) -> Option<Vec<Answer>> {
    let mut answers = Vec::new();
    while let Some((tag, rest)) = bytes.split_first() {
        bytes = rest;
        match *tag {
            JOB | DEDUPLICATED => {
                let id = u128::from_be_bytes(*take(&mut bytes)?);
                answers.push(Ok((JobId::from_u128(id), *tag == DEDUPLICATED)));
            }
            REFUSED => {
                let (reason, message) = (text(&mut bytes)?, text(&mut bytes)?);
                let field = text(&mut bytes)?;
                answers.push(Err(ItemRefused { reason, message, field }));
            }
            _ => return None,
        }
    }
    Some(answers)
}

pub(crate) fn take<'a, const N: usize>(bytes: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (head, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(head)
}

pub(crate) fn text(bytes: &mut &[u8]) -> Option<String> {
    let len = u32::from_be_bytes(*take(bytes)?) as usize;
    let (head, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    String::from_utf8(head.to_vec()).ok()
}

#[cfg(test)]
mod tests;
