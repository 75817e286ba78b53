//! The macros of Courier.

mod attr;
mod case;
mod ctxt;
mod duration;
mod error;
mod message;
mod service;
mod spelling;
mod wire_name;

use proc_macro::TokenStream;

/// Turns a trait into a client and a server.
#[proc_macro_attribute]
pub fn service(args: TokenStream, item: TokenStream) -> TokenStream {
    service::expand(args.into(), item.into()).into()
}

/// Lets a struct or an enum travel.
#[proc_macro_attribute]
pub fn message(args: TokenStream, item: TokenStream) -> TokenStream {
    message::expand(args.into(), item.into()).into()
}

/// An error whose variants travel with their fields.
#[proc_macro_derive(RpcError, attributes(rpc))]
pub fn rpc_error(item: TokenStream) -> TokenStream {
    error::expand(item.into()).into()
}
