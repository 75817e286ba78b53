//! [`Snapshot`]: all instances behind a name, at one moment.

use std::sync::Arc;

use crate::discovery::instance::Instance;

/// All instances behind a name, at one moment: always the whole list, never a change to one. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    instances: Arc<[Instance]>,
}

impl Snapshot {
    /// These instances. Where two have the same id, the one that started last counts; they are kept sorted by id, so
    /// that equal lists are equal however they came.
    pub fn new(instances: impl IntoIterator<Item = Instance>) -> Self {
        let mut instances: Vec<Instance> = instances.into_iter().collect();
        instances.sort_by(|a, b| a.id.cmp(&b.id).then(b.started.cmp(&a.started)));
        instances.dedup_by(|later, first| later.id == first.id);
        Self { instances: instances.into() }
    }

    /// The instances, sorted by id.
    pub fn instances(&self) -> &[Instance] {
        &self.instances
    }

    /// The instance of this id.
    pub fn get(&self, id: &str) -> Option<&Instance> {
        let at = self.instances.binary_search_by(|instance| instance.id.as_str().cmp(id)).ok()?;
        self.instances.get(at)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.instances.is_empty()
    }
}
