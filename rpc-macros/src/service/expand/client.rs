//! `GreeterClient`: the type, its methods, and that it is a `Greeter`.

use proc_macro2::TokenStream;
use quote::quote;

use crate::attr;
use crate::service::ast::{Method, Request, Service};
use crate::service::expand::messages::{in_one, wrap_items};

/// The struct.
pub(super) fn type_of(service: &Service<'_>) -> TokenStream {
    let Service { client, cfgs, .. } = service;
    let (vis, ident) = (&service.item.vis, &service.item.ident);
    let docs = format!(
        " A client of [`{ident}`], and a `{ident}` itself: its methods call a server.\n\n \
         Clones are cheap and share the channel."
    );
    quote! {
        #(#cfgs)*
        #[doc = #docs]
        #[derive(::rpc_core::private::clone::Clone, ::rpc_core::private::fmt::Debug)]
        #vis struct #client {
            channel: ::rpc_core::private::Channel,
        }
    }
}

/// The constructors, a method for each of the trait's, and the trait.
pub(super) fn impls(service: &Service<'_>) -> TokenStream {
    let Service { client, server, .. } = service;
    let ident = &service.item.ident;
    let own = service.methods.iter().map(|method| own_method(service, method));
    let contracts = service.methods.iter().map(|method| contract_method(service, method));
    quote! {
        #[allow(dead_code)]
        impl #client {
            /// A client whose calls go over this channel.
            pub fn new(channel: ::rpc_core::private::Channel) -> Self {
                Self { channel }
            }

            /// A client of the servers at this target; waits until one of them is ready.
            ///
            /// # Errors
            /// If the target is no target, or none of its servers could be reached.
            pub async fn connect(
                target: impl ::rpc_core::private::IntoTarget,
            ) -> ::rpc_core::private::result::Result<Self, ::rpc_core::private::Status> {
                ::rpc_core::private::Channel::connect(target).await.map(Self::new)
            }

            /// A client of this implementation, in the same process: the whole stack without a socket.
            pub fn local(service: impl #ident) -> Self {
                Self::new(::rpc_core::private::Channel::local(#server::new(service)))
            }

            /// The channel that the calls go over.
            pub fn channel(&self) -> &::rpc_core::private::Channel {
                &self.channel
            }

            #(#own)*
        }

        // What `Context::caller` makes a client with.
        impl ::rpc_core::private::convert::From<::rpc_core::private::Channel> for #client {
            fn from(channel: ::rpc_core::private::Channel) -> Self {
                Self::new(channel)
            }
        }

        impl #ident for #client {
            #(#contracts)*
        }
    }
}

/// A method that gives the call, for its options.
fn own_method(service: &Service<'_>, method: &Method<'_>) -> TokenStream {
    let Method { cfgs, client_name, marker, request, .. } = method;
    let module = &service.module;
    let shown = attr::shown(&method.item.attrs);
    // Without docs of its own, the user's `missing_docs` would complain of code that they did not write.
    let docs = method.docs.is_empty().then(|| {
        let docs = format!(" Calls `{}`.", method.name);
        quote!(#[doc = #docs])
    });
    let names = method.args.iter().map(|(name, _)| name);
    let types = method.args.iter().map(|(_, ty)| ty);
    let input = match request {
        Request::Empty => {
            in_one(&quote!(<::rpc_core::private::Empty as ::rpc_core::private::default::Default>::default()))
        }
        Request::Body(name, _) => in_one(&quote!(#name)),
        Request::Fields(message) => {
            let names = names.clone();
            in_one(&quote!(#message { #(#names),* }))
        }
        Request::Stream(name, value) => wrap_items(value, &quote!(#name)),
    };
    quote! {
        #(#cfgs)*
        #docs
        #(#shown)*
        pub fn #client_name(&self, #(#names: #types),*) -> ::rpc_core::private::Call<#module::#marker> {
            ::rpc_core::private::Call::new(&self.channel, #input)
        }
    }
}

/// The trait's method, by the client's own.
fn contract_method(service: &Service<'_>, method: &Method<'_>) -> TokenStream {
    let Method { cfgs, client_name, result, .. } = method;
    let (client, ident) = (&service.client, method.ident());
    let names = method.args.iter().map(|(name, _)| name);
    let values = names.clone();
    let types = method.args.iter().map(|(_, ty)| ty);
    quote! {
        #(#cfgs)*
        fn #ident(
            &self,
            #(#names: #types),*
        ) -> impl ::rpc_core::private::Future<Output = #result> + ::rpc_core::private::marker::Send {
            #client::#client_name(self, #(#values),*)
        }
    }
}
