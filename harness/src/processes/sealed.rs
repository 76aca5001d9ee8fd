//! Sends values between processes as bytes with a length and a checksum, which the reader checks.
//!
//! | bytes | |
//! |---|---|
//! | 4 | length of the payload, little-endian |
//! | 8 | [hash](store::hash) of the payload, little-endian |
//! | length | payload: the value in postcard's format |

use std::io;

use programs::store;
use serde::{Deserialize, Serialize};

/// Number of bytes that the length and the checksum take before the payload.
const HEAD: usize = 12;
/// Largest payload in bytes: 256 MiB.
const MAX_PAYLOAD: usize = 256 << 20;

/// The result of reading a sealed value from some bytes.
pub(crate) enum Opened<T> {
    /// The value, and the number of bytes that it takes with length and checksum.
    Whole(T, usize),
    /// The bytes are the beginning of a sealed value: more bytes are needed.
    Part,
    /// The bytes hold no sealed value; the text says what is wrong.
    Broken(&'static str),
}

/// Returns the value as bytes: length, checksum, payload.
///
/// # Errors
/// Fails if the payload is larger than 256 MiB, or if the value cannot be serialised.
pub(crate) fn seal(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut bytes = postcard::to_extend(value, vec![0; HEAD]).map_err(io::Error::other)?;
    let length = bytes.len() - HEAD;
    if length > MAX_PAYLOAD {
        return Err(io::Error::other(format!("found {length} bytes to send, expected at most {MAX_PAYLOAD}")));
    }
    let hash = store::hash(&bytes[HEAD..]);
    bytes[..4].copy_from_slice(&(length as u32).to_le_bytes());
    bytes[4..HEAD].copy_from_slice(&hash.to_le_bytes());
    Ok(bytes)
}

/// Reads the sealed value at the front of `bytes`. More bytes may follow the value.
pub(crate) fn open<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Opened<T> {
    let Some((length, rest)) = bytes.split_first_chunk() else { return Opened::Part };
    let length = u32::from_le_bytes(*length) as usize;
    if length > MAX_PAYLOAD {
        return Opened::Broken("an impossible length");
    }
    let Some((hash, rest)) = rest.split_first_chunk() else { return Opened::Part };
    let Some(payload) = rest.get(..length) else { return Opened::Part };
    if u64::from_le_bytes(*hash) != store::hash(payload) {
        return Opened::Broken("a wrong checksum");
    }
    match postcard::take_from_bytes(payload) {
        Ok((value, [])) => Opened::Whole(value, HEAD + length),
        _ => Opened::Broken("no meaning"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_comes_through_and_says_where_it_ends() {
        let mut bytes = seal(&(7u64, "text")).expect("memory takes it");
        let length = bytes.len();
        for end in 0..length {
            assert!(matches!(open::<(u64, &str)>(&bytes[..end]), Opened::Part), "{end} bytes of {length}");
        }
        bytes.extend([1, 2, 3]);
        assert!(matches!(open(&bytes), Opened::Whole((7u64, "text"), at) if at == length));
    }

    #[test]
    fn what_was_changed_is_no_value() {
        let bytes = seal(&(7u64, "text")).expect("memory takes it");
        for bit in 0..8 * bytes.len() {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches!(open::<(u64, String)>(&changed), Opened::Whole(..)), "bit {bit}");
        }
        assert!(matches!(open::<u64>(&[0xff; 16]), Opened::Broken("an impossible length")));
        // Valid bytes of a value of another type.
        let other = seal(&(7u64, "text", 1u8)).expect("memory takes it");
        assert!(matches!(open::<(u64, &str)>(&other), Opened::Broken("no meaning")));
    }
}
