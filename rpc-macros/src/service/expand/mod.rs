//! The code that a service becomes.
//!
//! Beside the trait ([`contract`]) stand the client ([`client`]), the server ([`server`]) and the module with the
//! description and the methods as types ([`descriptor`]). What ties them to the user's types ([`messages`], and every
//! `impl`) stands in one `const _` block: it sees all that the trait sees, in a function's body too, and adds no name
//! to it. The module sees nothing of the user's, so it names nothing of the user's.

mod client;
mod contract;
mod descriptor;
mod messages;
mod server;

use proc_macro2::TokenStream;
use quote::quote;

use crate::service::ast::Service;

pub(super) use contract::as_written;
pub(super) use descriptor::one_deeper;

/// Everything.
pub(super) fn service(service: &Service<'_>) -> TokenStream {
    let cfgs = &service.cfgs;
    let contract = contract::contract(service);
    let client_type = client::type_of(service);
    let server_type = server::type_of(service);
    let module = descriptor::module(service);
    let described = descriptor::described(service);
    let messages = service.methods.iter().map(|method| messages::messages(service, method));
    let client_impls = client::impls(service);
    let server_impls = server::impls(service);

    quote! {
        #contract
        #client_type
        #server_type
        #module

        #(#cfgs)*
        #[allow(deprecated, unreachable_pub, non_camel_case_types, clippy::all)]
        const _: () = {
            #described
            #(#messages)*
            #client_impls
            #server_impls
        };
    }
}
