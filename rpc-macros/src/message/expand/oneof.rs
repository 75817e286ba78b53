//! Enums with data: a message with one oneof.

use proc_macro2::TokenStream;

use super::super::ast::{Member, Message};

pub(super) fn message(_message: &Message, _members: &[Member]) -> TokenStream {
    TokenStream::new()
}
