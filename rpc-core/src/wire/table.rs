//! Streams by id.
//!
//! Ids rise and are never reused, and the live ones are mostly close together, so that their low bits find them in
//! a list: one load and one compare. Where two live ids share their low bits the list grows, and if it is mostly
//! empty (a stream that lives for days, or a peer that picks its ids to collide) the later one goes to a hash map,
//! which is keyed and cannot be made slow from outside.

use std::collections::HashMap;

use super::stream::StreamId;

#[derive(Debug)]
pub(crate) struct Table<T> {
    slots: Vec<Option<(StreamId, T)>>,
    overflow: HashMap<StreamId, T>,
    len: usize,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), overflow: HashMap::new(), len: 0 }
    }
}

/// A list begins with this many slots: few, for most connections of a server with many are idle.
const LEAST: usize = 4;

/// A list that is empty keeps no more slots than this.
const MOST_EMPTY: usize = 1024;

impl<T> Table<T> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    fn place(&self, id: StreamId) -> usize {
        // The lowest bit only says which side opened the stream.
        (id.0 >> 1) as usize & self.slots.len().wrapping_sub(1)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, id: StreamId) -> Option<&mut T> {
        let place = self.place(id);
        match self.slots.get_mut(place) {
            Some(Some((found, value))) if *found == id => Some(value),
            _ if self.overflow.is_empty() => None,
            _ => self.overflow.get_mut(&id),
        }
    }

    /// Adds a stream; its id must be a new one.
    #[inline(always)]
    pub(crate) fn insert(&mut self, id: StreamId, value: T) {
        self.len += 1;
        let place = self.place(id);
        match self.slots.get_mut(place) {
            Some(slot @ None) => *slot = Some((id, value)),
            _ => self.insert_slow(id, value),
        }
    }

    #[cold]
    fn insert_slow(&mut self, id: StreamId, value: T) {
        // Growing is worth it while a fair part of the list is in use; otherwise the ids only happen to collide.
        if self.slots.len() < LEAST || self.len * 4 > self.slots.len() {
            let size = (self.slots.len() * 2).max(LEAST);
            let old = std::mem::replace(&mut self.slots, (0..size).map(|_| None).collect());
            let overflow = std::mem::take(&mut self.overflow);
            for (id, value) in old.into_iter().flatten().chain(overflow) {
                self.put(id, value);
            }
        }
        self.put(id, value);
    }

    fn put(&mut self, id: StreamId, value: T) {
        let place = self.place(id);
        match &mut self.slots[place] {
            slot @ None => *slot = Some((id, value)),
            Some(_) => {
                self.overflow.insert(id, value);
            }
        }
    }

    #[inline]
    pub(crate) fn remove(&mut self, id: StreamId) -> Option<T> {
        let place = self.place(id);
        let value = match self.slots.get_mut(place) {
            Some(slot @ Some(_)) if slot.as_ref().is_some_and(|(found, _)| *found == id) => {
                slot.take().map(|(_, value)| value)
            }
            _ if self.overflow.is_empty() => None,
            _ => self.overflow.remove(&id),
        };
        self.len -= usize::from(value.is_some());
        if self.len == 0 {
            self.shrink();
        }
        value
    }

    #[cold]
    fn remove_slow(&mut self, id: StreamId) -> Option<T> {
        if self.overflow.is_empty() { None } else { self.remove(id) }
    }

    /// A burst must not cost its memory for as long as the connection lives.
    #[inline]
    fn shrink(&mut self) {
        if self.slots.len() > MOST_EMPTY {
            self.slots = Vec::new();
        }
    }

    /// Removes a stream; what `last` takes out of it. It is dropped where it lies: moving it out costs more than all the
    /// rest of closing it.
    #[inline(always)]
    pub(crate) fn close<R>(&mut self, id: StreamId, last: impl FnOnce(&mut T) -> R) -> Option<R> {
        let place = self.place(id);
        if let Some(slot) = self.slots.get_mut(place)
            && let Some((found, value)) = slot
            && *found == id
        {
            let result = last(value);
            *slot = None;
            self.len -= 1;
            if self.len == 0 {
                self.shrink();
            }
            return Some(result);
        }
        self.remove_slow(id).map(|mut value| last(&mut value))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (StreamId, &T)> {
        let slots = self.slots.iter().flatten().map(|(id, value)| (*id, value));
        slots.chain(self.overflow.iter().map(|(id, value)| (*id, value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever ids come, the table is a map.
    #[test]
    fn behaves_like_a_map() {
        let mut random = fastrand::Rng::with_seed(7);
        for spread in [2, 64, 1 << 20, 1 << 40] {
            let (mut table, mut model) = (Table::default(), HashMap::new());
            let mut next = 1;
            for step in 0..5_000_u64 {
                if random.u8(..) < 140 {
                    next += 2 * random.u64(1..=spread);
                    table.insert(StreamId(next), step);
                    model.insert(next, step);
                } else if let Some(&id) = model.keys().nth(random.usize(..model.len().max(1))) {
                    assert_eq!(table.remove(StreamId(id)), model.remove(&id));
                }
                assert_eq!(table.len(), model.len());
                let probe = 1 + 2 * random.u64(..next);
                assert_eq!(table.get_mut(StreamId(probe)).map(|value| *value), model.get(&probe).copied());
            }
            assert_eq!(table.iter().count(), model.len());
            assert!(table.iter().all(|(id, value)| model.get(&id.0) == Some(value)));
        }
    }

    #[test]
    fn ids_that_collide_do_not_grow_the_list_without_end() {
        let mut table = Table::default();
        for index in 0..10_000_u64 {
            table.insert(StreamId(1 + (index << 32)), index);
        }
        assert!(table.slots.len() <= 64 * 1024);
        assert!(
            (0..10_000_u64).all(|index| table.get_mut(StreamId(1 + (index << 32))) == Some(&mut { index }))
        );
    }
}
