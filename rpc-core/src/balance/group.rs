//! A part of the endpoints with a picker of its own: what policies that divide the list are made of.

use std::sync::Arc;
use std::time::Instant;

use crate::balance::endpoint::Endpoint;
use crate::balance::picker::{Builder, Pick, Picker};

/// How many of those that a call has tried are told to the picker of a part.
const TRIED: usize = 8;

/// A part of the endpoints, and who picks among them.
#[derive(Debug)]
pub(crate) struct Group {
    /// Indices into the whole, ascending.
    members: Vec<usize>,
    picker: Arc<dyn Picker>,
}

impl Group {
    /// `members` are indices into `all`, ascending.
    pub(crate) fn new(
        inner: &dyn Builder,
        all: &[Endpoint],
        members: Vec<usize>,
        previous: Option<&Self>,
        now: Instant,
    ) -> Self {
        let own: Vec<Endpoint> = members.iter().filter_map(|&index| all.get(index)).cloned().collect();
        let previous = previous.map(|previous| &*previous.picker);
        Self { picker: inner.build(&own, previous, now), members }
    }

    /// One of this part, as an index into the whole.
    #[inline]
    pub(crate) fn pick(&self, call: &Pick<'_>) -> Option<usize> {
        let mut tried = [0; TRIED];
        let mut count = 0;
        for index in call.tried {
            if let (Ok(own), Some(free)) = (self.members.binary_search(index), tried.get_mut(count)) {
                *free = own;
                count += 1;
            }
        }
        let own = Pick { tried: tried.get(..count).unwrap_or(&[]), ..*call };
        self.members.get(self.picker.pick(&own)?).copied()
    }
}
