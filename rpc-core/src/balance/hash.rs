//! Hashes that are the same in every process, on every machine and in every version: clients that know nothing of each
//! other must send a key to the same server.

/// A key for [`Pick::key`](crate::balance::Pick::key) from bytes, a user's name for instance: FNV-1a, its bits mixed by
/// SplitMix64's finalizer (G. Steele, D. Lea, C. Flood, "Fast Splittable Pseudorandom Number Generators", 2014). It is
/// no defence against somebody who chooses keys to meet one server; bounded load is.
///
/// ```
/// assert_eq!(rpc_core::balance::hash(b"user-7"), rpc_core::balance::hash("user-7".as_bytes()));
/// ```
pub fn hash(bytes: &[u8]) -> u64 {
    let fnv = bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    mix(fnv)
}

/// Mixes the bits: numbers that are near each other get far from each other.
#[inline]
pub(crate) fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_the_same_for_ever() {
        assert_eq!(mix(0), 0xe220_a839_7b1d_cdaf, "the first number of SplitMix64 from seed 0");
        assert_eq!(hash(b""), mix(0xcbf2_9ce4_8422_2325));
        assert_eq!(hash(b"a"), mix(0xaf63_dc4c_8601_ec8c), "FNV's own test vector");
    }
}
