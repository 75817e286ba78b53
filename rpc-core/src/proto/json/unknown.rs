//! What reading does with names that the schema does not have.

use std::cell::Cell;

/// What becomes of unknown names: of fields, and of the values of enums. Unknown *numbers* of enums are kept in any case.
///
/// Without a word the rule is [`Unknown::Fields`]. Another one holds while a closure runs:
///
/// ```
/// use rpc_core::proto::json::Unknown;
/// # use rpc_core::proto::json;
/// # #[derive(Default)] struct Order;
/// # impl json::Message for Order {
/// #     const NAME: &'static str = "shop.v1.Order";
/// #     fn write<M: json::SerializeMap>(&self, _: &mut json::Members<'_, M>) -> Result<(), M::Error> { Ok(()) }
/// #     fn find(_: &str) -> Option<usize> { None }
/// #     fn read<'de, A: json::MapAccess<'de>>(&mut self, _: usize, _: &mut json::Entry<'_, A>) -> Result<(), A::Error> { Ok(()) }
/// # }
/// # json::serde!(Order);
///
/// let text = r#"{"misspelt": 1}"#;
/// assert!(serde_json::from_str::<Order>(text).is_ok());
/// assert!(Unknown::Refuse.during(|| serde_json::from_str::<Order>(text)).is_err());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unknown {
    /// Refuses both: what protobuf's specification asks of parsers that are told nothing, and right for files that people
    /// write.
    Refuse,
    /// Passes over fields, and refuses names of enums: right between programs of different versions. A later version's
    /// field can be done without; a name without its number cannot be kept, and would silently become the default.
    #[default]
    Fields,
    /// Passes over both, as the specification asks of parsers that are told to ignore what they do not know: the field
    /// stays as it was, the element of a list or of a map is left out.
    All,
}

thread_local! {
    static RULE: Cell<Unknown> = const { Cell::new(Unknown::Fields) };
}

impl Unknown {
    /// Reads under this rule: whatever `read` reads in this thread before it returns.
    pub fn during<R>(self, read: impl FnOnce() -> R) -> R {
        /// Brings the rule back, after a panic too.
        struct Back(Unknown);

        impl Drop for Back {
            fn drop(&mut self) {
                RULE.set(self.0);
            }
        }

        let _back = Back(RULE.replace(self));
        read()
    }

    /// The rule that holds. Asked only when something unknown was met, so that what is known costs nothing.
    #[cold]
    pub(super) fn current() -> Self {
        RULE.get()
    }
}
