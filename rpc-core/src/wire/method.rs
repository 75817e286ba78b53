//! Method names cross a connection once and are numbers afterwards (§6.2): one table per direction.
//!
//! The side that opens streams binds a name by sending it together with the next free number, counting from 0. The
//! binding holds from that frame on, in wire order, even if the request itself is refused. When the table is full,
//! further names travel in each request.

use super::error::{ConnectionError, ErrorCode};

/// A name longer than this, in bytes, is no method's (§6.2).
pub(crate) const MAX_NAME: usize = 512;

/// The numbers that we gave to our methods.
#[derive(Debug, Default)]
pub(crate) struct Bound {
    /// By the method's process-wide key: its number plus one, or 0.
    numbers: Vec<u32>,
    next: u32,
}

/// How a method is named in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Naming {
    /// By a number that is bound.
    Number(u32),
    /// By name, and bound to this number from now on.
    Bind(u32),
    /// By name.
    Name,
}

impl Bound {
    /// How to name the method in the request that is written now. A [`Naming::Bind`] is remembered with
    /// [`bind`](Self::bind), once the request is really in the out-buffer.
    #[inline]
    pub(crate) fn name(&self, key: u32, path: &str, max: u32) -> Naming {
        match self.numbers.get(key as usize) {
            Some(&number) if number > 0 => Naming::Number(number - 1),
            // A name that is too long is refused, and a binding that does not take effect ends the connection.
            _ if self.next < max && path.len() <= MAX_NAME => Naming::Bind(self.next),
            _ => Naming::Name,
        }
    }

    /// Remembers a binding.
    pub(crate) fn bind(&mut self, key: u32) {
        let key = key as usize;
        if self.numbers.len() <= key {
            self.numbers.resize(key + 1, 0);
        }
        self.next += 1;
        self.numbers[key] = self.next;
    }
}

/// The names that the peer has bound.
#[derive(Debug, Default)]
pub(crate) struct Names(Vec<Box<str>>);

impl Names {
    /// Takes a binding of the peer's.
    pub(crate) fn bind(&mut self, number: u64, name: &str, max: u32) -> Result<u32, ConnectionError> {
        let next = self.0.len() as u64;
        if number != next || next >= u64::from(max) {
            return Err(ConnectionError::ours(
                ErrorCode::Protocol,
                format!("method {name:?} was bound to {number}; the next free number is {next} of {max}"),
            ));
        }
        self.0.push(name.into());
        Ok(number as u32)
    }

    /// Whether the number is bound.
    #[inline]
    pub(crate) fn check(&self, number: u64) -> Result<u32, ConnectionError> {
        match u32::try_from(number) {
            Ok(small) if (small as usize) < self.0.len() => Ok(small),
            _ => Err(self.unbound(number)),
        }
    }

    #[cold]
    fn unbound(&self, number: u64) -> ConnectionError {
        ConnectionError::ours(
            ErrorCode::Protocol,
            format!("method {number} is used, but only {} are bound", self.0.len()),
        )
    }

    /// The name of a number.
    pub(crate) fn get(&self, number: u32) -> Option<&str> {
        self.0.get(number as usize).map(|name| &**name)
    }
}
